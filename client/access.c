#include "client/access.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "proto/error.h"
#include "proto/policy.h"

enum {
	CALL_MS = 6000,      /* A little longer than servers wait for a leader. */
	BAD_KEPT_MS = 1000,  /* A token that is no good is not asked about again at once, nor one */
	FAILED_KEPT_MS = 1000, /* about which nobody could be asked, */
	STALE_KEPT_MS = 5000,  /* or only before. */
	AGAIN_MS = 100,      /* When the server is lost another one is looked for: it is asked in its place, */
	PATIENCE_MS = 5000,  /* for so long. */
	SECRET_MAX = 127,
};

/* A token, and what is known of it. */
struct token {
	struct list link; /* In the book, the one used last first. */
	struct token_book *book;
	char secret[SECRET_MAX + 1];
	struct acl *acl;       /* NULL: nothing is known, or it is no good: */
	int status;            /* what such a request is answered with; 0: it was never heard of. */
	char why[64];
	int64_t expires_ns;    /* Unix time; 0: never. */
	int64_t good_until_ns; /* Loop time. */
	bool asking;
	int64_t again_ns;      /* Loop time; 0: not. While it is set, requests wait as if it were asked about. */
	int64_t give_up_ns;    /* Of those that wait. */
	bool held;             /* Those that have waited are being served. */
	struct link_call call;
	struct list waiting;   /* struct guarded */
	struct list serving;   /* Likewise: what it has allowed, and is not over yet. */
};

struct token_book {
	struct client *client;
	struct list tokens;
	unsigned n, n_waiting;
};

/* A request that waits, or is being served. In its arena. */
struct guarded {
	struct list link;
	struct token_book *book;
	struct http_request *req;
	struct access_need need;
	void (*go_cb)(void *ctx, struct http_request *req);
	void *ctx;
	bool told; /* That it is to end. */
};

/* ---- tokens ---- */

/* All are compared, so that the time it takes tells nothing of any. */
static struct token *find(struct token_book *b, const char *secret)
{
	struct token *found = NULL;

	LIST_EACH(e, &b->tokens) {
		struct token *t = CONTAINER_OF(e, struct token, link);

		found = secret_equal(t->secret, secret) ? t : found;
	}
	return found;
}

static void drop(struct token *t)
{
	while (!list_empty(&t->serving)) {
		(void)list_pop(&t->serving);
	}
	list_remove(&t->link);
	t->book->n--;
	acl_unref(t->acl);
	free(t);
}

/* Make room: false when all that are kept are in use. */
static bool drop_oldest(struct token_book *b)
{
	struct token *oldest = NULL;

	LIST_EACH(e, &b->tokens) {
		struct token *t = CONTAINER_OF(e, struct token, link);

		oldest = t->asking || t->again_ns != 0 || t->held || !list_empty(&t->serving) ? oldest : t;
	}
	if (oldest != NULL) {
		drop(oldest);
	}
	return oldest != NULL;
}

static void use(struct token_book *b, struct token *t)
{
	list_remove(&t->link);
	list_insert(b->tokens.next, &t->link);
}

static struct token *add(struct token_book *b, const char *secret)
{
	struct token *t = b->n < ACCESS_KEPT_MAX || drop_oldest(b) ? calloc(1, sizeof(*t)) : NULL;

	if (t != NULL) {
		t->book = b;
		snprintf(t->secret, sizeof(t->secret), "%s", secret);
		list_init(&t->waiting);
		list_init(&t->serving);
		list_insert(&b->tokens, &t->link);
		b->n++;
	}
	return t;
}

/* ---- decisions ---- */

static const struct {
	const char *text;
	enum acl_subject subject;
	enum acl_level level;
} subjects[] = {
        {"agent:read", ACL_AGENT, ACL_READ}, {"agent:write", ACL_AGENT, ACL_WRITE},
        {"node:read", ACL_NODE, ACL_READ}, {"node:write", ACL_NODE, ACL_WRITE},
};

/* What is not known to be allowed is not. */
static bool allows(const struct acl *acl, const char *capability, const char *ns)
{
	unsigned i;

	for (i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		if (strcmp(subjects[i].text, capability) == 0) {
			return acl_may(acl, subjects[i].subject, subjects[i].level);
		}
	}
	for (i = 0; i < N_ACL_CAPS; i++) {
		if (strcmp(acl_cap_text((enum acl_cap)i), capability) == 0) {
			return ns != NULL ? acl_in_namespace(acl, ns, (enum acl_cap)i)
			                  : acl_any_namespace(acl, (enum acl_cap)i);
		}
	}
	return acl_is_management(acl);
}

/* Why it may not do that, and the status that says so; or NULL. */
static const char *refusal(const struct token *t, const struct access_need *need, int *status)
{
	int64_t wall_ns = client_now(t->book->client).wall_ns;

	*status = 403;
	if (t->acl == NULL && t->status == 0) {
		*status = 500;
		return "no server can be asked about the token";
	}
	if (t->acl == NULL) {
		*status = t->status;
		return t->why;
	}
	if (t->expires_ns != 0 && t->expires_ns <= wall_ns) {
		return "ACL token expired";
	}
	return allows(t->acl, need->capability, need->ns) && (need->also == NULL || allows(t->acl, need->also, need->ns))
	               ? NULL
	               : "Permission denied";
}

static void release_cb(struct http_request *req)
{
	struct guarded *g = req->guard;

	list_remove(&g->link);
	req->guard = NULL;
	req->release_cb = NULL;
}

static void decide(struct token *t, struct guarded *g)
{
	int status;
	const char *why = refusal(t, &g->need, &status);

	if (why != NULL) {
		http_answer_text(g->req, status, "%s", why);
		return;
	}
	list_insert(&t->serving, &g->link);
	g->req->guard = g;
	g->req->release_cb = release_cb;
	g->go_cb(g->ctx, g->req);
}

/* ---- what goes on ---- */

/* The next that is not told yet that it may no longer; any if `all`. */
static struct guarded *next_untold(struct token *t, bool all)
{
	int status;

	LIST_EACH(e, &t->serving) {
		struct guarded *g = CONTAINER_OF(e, struct guarded, link);

		if (!g->told && (all || refusal(t, &g->need, &status) != NULL)) {
			return g;
		}
	}
	return NULL;
}

/* To what is served it is as if its client had left. Each may end others, so they are looked for anew. */
static void end_refused(struct token *t)
{
	struct guarded *g;

	while ((g = next_untold(t, false)) != NULL) {
		g->told = true;
		if (g->req->gone_cb != NULL) {
			g->req->gone_cb(g->req);
		}
	}
}

/* ---- what a server says ---- */

/* A rule that cannot be read might be a deny: then nothing is granted. 0, ERR_NOMEM or ERR_INVALID. */
static int compile(const struct rpc_rights *rights, struct arena *mem, struct acl **out)
{
	const struct policy **policies = arena_alloc(mem, (rights->policies.n + 1) * sizeof(const struct policy *));
	char why[POLICY_WHY];
	int rc = policies != NULL ? 0 : ERR_NOMEM;
	uint32_t i;

	for (i = 0; rc == 0 && i < rights->policies.n; i++) {
		const struct rpc_rights_policy *p = &rights->policies.at[i];
		struct policy *policy = NULL;

		rc = policy_parse(p->rules, strlen(p->rules), mem, &policy, why);
		policies[i] = policy;
		if (rc == ERR_INVALID) {
			log_warn("client", "policy \"%.128s\" cannot be read: %s", p->name, why);
		}
	}
	if (rc == 0) {
		*out = acl_new(policies, rights->policies.n);
		rc = *out != NULL ? 0 : ERR_NOMEM;
	}
	return rc;
}

/* What the answer means: 0, or an ERR_ code when it is of no use. */
static int understand(struct rpc_rights *rights, struct arena *mem, struct acl **out)
{
	int rc = 0;

	*out = NULL;
	if (rights->status == 0 && strcmp(rights->type, "management") == 0) {
		*out = acl_management();
	} else if (rights->status == 0) {
		rc = compile(rights, mem, out);
	}
	if (rc == ERR_INVALID) {
		rights->status = 500;
		rights->why = "a policy of the token cannot be read";
		rc = 0;
	}
	return rc;
}

static bool take(struct token *t, const char *payload, size_t len)
{
	const struct client_config *config = t->book->client->config;
	int64_t ttl_ns = config->acl_token_ttl_ns < config->acl_policy_ttl_ns ? config->acl_token_ttl_ns
	                                                                      : config->acl_policy_ttl_ns;
	struct arena mem = {0};
	struct rpc_rights rights;
	struct acl *acl = NULL;
	bool good = pack_decode(&rpc_rights_type, &rights, payload, len, &mem) == 0 && understand(&rights, &mem, &acl) == 0;

	if (good) {
		acl_unref(t->acl);
		t->acl = acl;
		t->status = (int)rights.status;
		snprintf(t->why, sizeof(t->why), "%s", rights.why);
		t->expires_ns = rights.expires_ns;
		t->good_until_ns = client_time(t->book->client) + (acl != NULL ? ttl_ns : BAD_KEPT_MS * NS_PER_MS);
	}
	arena_close(&mem);
	return good;
}

/* The request is its handler's again. */
static void free_from(struct guarded *g)
{
	list_remove(&g->link);
	g->book->n_waiting--;
	g->req->data = NULL;
	g->req->gone_cb = NULL;
}

/* Those that wait are served with what is known. */
static void serve(struct token *t)
{
	struct list waiting;

	list_init(&waiting);
	while (!list_empty(&t->waiting)) {
		list_insert(&waiting, list_pop(&t->waiting));
	}
	t->held = true;
	while (!list_empty(&waiting)) {
		struct guarded *g = CONTAINER_OF(waiting.next, struct guarded, link);

		free_from(g);
		decide(t, g);
	}
	end_refused(t);
	t->held = false;
}

/* Nobody could be asked: is it worth another try? Not for what was known before, nor at the end. */
static bool try_again(struct token *t, int err)
{
	struct client *c = t->book->client;
	int64_t now_ns = client_time(c);

	if ((err != ERR_CLOSED && err != ERR_UNKNOWN) || t->acl != NULL || t->status != 0 || c->stopping ||
	    now_ns >= t->give_up_ns) {
		return false;
	}
	t->again_ns = now_ns + AGAIN_MS * NS_PER_MS;
	return true;
}

static void failed(struct token *t)
{
	t->good_until_ns = client_time(t->book->client) + (t->acl != NULL ? STALE_KEPT_MS : FAILED_KEPT_MS) * NS_PER_MS;
}

static void done_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct token *t = CONTAINER_OF(call, struct token, call);

	t->asking = false;
	if (err != 0 && try_again(t, err)) {
		return;
	}
	if (err != 0 || !take(t, payload, len)) {
		failed(t);
	}
	serve(t);
}

/* Afterwards it is being asked, or to be asked again; or there is nothing to wait for. */
static void ask(struct token *t)
{
	struct client *c = t->book->client;
	struct rpc_node_rights asked;
	int rc;

	object_init(&rpc_node_rights_type, &asked);
	asked.node_id = c->node_id;
	asked.secret_id = c->secret_id;
	asked.token = t->secret;
	t->call = (struct link_call){.done_cb = done_cb};
	t->again_ns = 0;
	rc = c->stopping ? ERR_CLOSED
	                 : c->link->ops->call(c->link, &t->call, RPC_METHOD_NODE_RIGHTS, &rpc_node_rights_type, &asked, CALL_MS);
	t->asking = rc == 0;
	if (rc != 0 && !try_again(t, rc)) {
		failed(t);
	}
}

static bool is_awaited(const struct token *t)
{
	return t->asking || t->again_ns != 0;
}

/* What is known of it, while something goes on by it. */
static bool is_too_old(struct token *t, int64_t now_ns)
{
	return !is_awaited(t) && now_ns >= t->good_until_ns && next_untold(t, true) != NULL;
}

/* In loop time, when something that goes on is to end by it; 0: nothing, or never. */
static int64_t expiry_ns(struct token *t)
{
	return t->expires_ns != 0 && next_untold(t, true) != NULL
	               ? client_time(t->book->client) + t->expires_ns - client_now(t->book->client).wall_ns
	               : 0;
}

void access_step(struct token_book *b, int64_t now_ns)
{
	if (b == NULL) {
		return;
	}
	LIST_EACH(e, &b->tokens) {
		struct token *t = CONTAINER_OF(e, struct token, link);

		if ((t->again_ns != 0 && t->again_ns <= now_ns) || is_too_old(t, now_ns)) {
			ask(t);
			if (!is_awaited(t)) {
				serve(t);
			}
		} else if (expiry_ns(t) != 0 && expiry_ns(t) <= now_ns) {
			end_refused(t);
		}
	}
}

static void sooner(int64_t *due, int64_t at)
{
	if (at != 0 && (*due == 0 || at < *due)) {
		*due = at;
	}
}

int64_t access_due(const struct token_book *b)
{
	int64_t due = 0;

	if (b == NULL) {
		return 0;
	}
	LIST_EACH(e, &b->tokens) {
		struct token *t = CONTAINER_OF(e, struct token, link);

		sooner(&due, t->again_ns);
		sooner(&due, expiry_ns(t));
		if (!is_awaited(t) && next_untold(t, true) != NULL) {
			sooner(&due, t->good_until_ns);
		}
	}
	return due;
}

void access_stop(struct token_book *b)
{
	if (b == NULL) {
		return;
	}
	LIST_EACH(e, &b->tokens) {
		struct token *t = CONTAINER_OF(e, struct token, link);

		if (t->again_ns != 0) {
			t->again_ns = 0;
			serve(t);
		}
	}
}

/* ---- waiting ---- */

static void gone_cb(struct http_request *req)
{
	free_from(req->data);
	http_answer_error(req, ERR_CLOSED);
}

static struct guarded *guard(struct token_book *b, struct http_request *req, const struct access_need *need,
                             void (*go_cb)(void *ctx, struct http_request *req), void *ctx)
{
	struct guarded *g = arena_calloc(&req->mem, 1, sizeof(*g));
	const char *ns = need->ns != NULL ? arena_strdup(&req->mem, need->ns) : NULL;

	if (g == NULL || (need->ns != NULL && ns == NULL)) {
		return NULL;
	}
	*g = (struct guarded){.book = b, .req = req, .need = *need, .go_cb = go_cb, .ctx = ctx};
	g->need.ns = ns;
	list_init(&g->link);
	return g;
}

/* The request outlives the call that brought it, so it takes along what it needs. */
static void wait_for(struct token *t, struct guarded *g)
{
	struct token_book *b = t->book;
	struct http_request *req = g->req;
	const char *body = arena_strndup(&req->mem, req->body, req->body_len);

	if (b->n_waiting >= ACCESS_WAIT_MAX || body == NULL) {
		http_answer_error(req, b->n_waiting >= ACCESS_WAIT_MAX ? ERR_BUSY : ERR_NOMEM);
		return;
	}
	list_insert(&t->waiting, &g->link);
	b->n_waiting++;
	req->body = body;
	req->data = g;
	req->gone_cb = gone_cb;
}

void access_guard(struct token_book *b, struct http_request *req, const struct access_need *need,
                  void (*go_cb)(void *ctx, struct http_request *req), void *ctx)
{
	struct guarded *g;
	struct token *t;

	if (b == NULL || need->capability == NULL) {
		go_cb(ctx, req);
		return;
	}
	if (strlen(req->token) > SECRET_MAX) {
		http_answer_text(req, 403, "ACL token not found");
		return;
	}
	t = find(b, req->token);
	t = t != NULL ? t : add(b, req->token);
	g = t != NULL ? guard(b, req, need, go_cb, ctx) : NULL;
	if (g == NULL) {
		http_answer_error(req, t == NULL ? ERR_BUSY : ERR_NOMEM);
		return;
	}
	use(b, t);
	if (!is_awaited(t) && client_time(b->client) >= t->good_until_ns) {
		t->give_up_ns = client_time(b->client) + PATIENCE_MS * NS_PER_MS;
		ask(t);
	}
	if (is_awaited(t)) {
		wait_for(t, g);
	} else {
		decide(t, g);
	}
}

/* ---- begin and end ---- */

struct token_book *access_open(struct client *c)
{
	struct token_book *b = calloc(1, sizeof(*b));

	if (b != NULL) {
		b->client = c;
		list_init(&b->tokens);
	}
	return b;
}

void access_close(struct token_book *b)
{
	while (b != NULL && !list_empty(&b->tokens)) {
		drop(CONTAINER_OF(b->tokens.next, struct token, link));
	}
	free(b);
}
