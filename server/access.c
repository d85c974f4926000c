#include "server/access.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "lib/hash.h"
#include "lib/secret.h"
#include "proto/error.h"

enum {
	TERMS_MAX = 4,
	KEPT_MAX = 4096, /* Tokens, and sets of policies, that are remembered; then all are forgotten. */
	SECRET_MAX = 63, /* Bytes; what is longer is no token. */
	EXEC_LOOKS = 1000, /* Allocations of a job that are looked at for an action. */
};

/* ---- what routes need ---- */

#define OBJECT_LIST(X)                                                                                                 \
	X(ALLOC, "alloc")                                                                                              \
	X(EVAL, "eval")                                                                                                \
	X(DEPLOYMENT, "deployment")                                                                                    \
	X(EXEC, "exec")                                                                                                \
	X(ACTION, "action")                                                                                            \
	X(BODY, "body")                                                                                                \
	X(ANY, "any")

enum object {
	OBJECT_NONE,
#define X(id, text) OBJECT_##id,
	OBJECT_LIST(X)
#undef X
};

/* Needs that are a single word. */
#define WORD_LIST(X)                                                                                                   \
	X(OPEN, "open")                                                                                                \
	X(TOKEN, "token")                                                                                              \
	X(MANAGEMENT, "management")                                                                                    \
	X(NAMESPACE, "namespace:any")                                                                                  \
	X(ANYTHING, "anything")

enum term_kind {
	TERM_CAPS,
	TERM_SUBJECT,
	TERM_POOL,
	TERM_VARIABLE,
#define X(id, text) TERM_##id,
	WORD_LIST(X)
#undef X
};

struct term {
	enum term_kind kind;
	unsigned what;  /* Of a subject: which. */
	unsigned level; /* Of a subject, a pool, a variable. */
	uint64_t caps;  /* One of them is needed. */
};

struct need {
	enum object object;
	bool tasks; /* May be asked by tasks. */
	struct term terms[TERMS_MAX];
	unsigned n;
};

/* A piece of text. */
struct span {
	const char *at;
	size_t len;
};

static bool span_is(struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(text, s.at, s.len) == 0;
}

/* What stands before the next such character, and is taken off. */
static struct span split(struct span *s, char end)
{
	const char *to = memchr(s->at, end, s->len);
	struct span first = {s->at, to != NULL ? (size_t)(to - s->at) : s->len};
	size_t skip = first.len + (to != NULL);

	s->at += skip;
	s->len -= skip;
	return first;
}

static bool find_name(const char *const *names, unsigned n, struct span s, unsigned *out)
{
	for (unsigned i = 0; i < n; i++) {
		if (span_is(s, names[i])) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool parse_word(struct span s, struct term *out)
{
#define X(id, text)                                                                                                    \
	if (span_is(s, text)) {                                                                                        \
		*out = (struct term){.kind = TERM_##id};                                                               \
		return true;                                                                                           \
	}
	WORD_LIST(X)
#undef X
	return false;
}

/* "node:read" */
static bool parse_level(struct span s, struct term *out)
{
	static const char *const subjects[] = {"agent", "node", "operator", "quota", "plugin"};
	static const char *const levels[] = {"list", "read", "write"};
	static const char *const pools[] = {"read", "write", "delete"};
	static const char *const rights[] = {"list", "read", "write", "destroy"};
	struct span subject = split(&s, ':');

	*out = (struct term){.kind = TERM_SUBJECT};
	if (find_name(subjects, N_ACL_SUBJECTS, subject, &out->what)) {
		return find_name(levels, 3, s, &out->level);
	}
	out->kind = span_is(subject, "node_pool") ? TERM_POOL : TERM_VARIABLE;
	if (out->kind == TERM_POOL) {
		return find_name(pools, 3, s, &out->level);
	}
	return span_is(subject, "variables") && find_name(rights, 4, s, &out->level);
}

/* "read-job|scale-job" */
static bool parse_caps(struct span s, struct term *out)
{
	*out = (struct term){.kind = TERM_CAPS};
	while (s.len > 0) {
		struct span name = split(&s, '|');
		unsigned cap = 1;

		while (cap < N_ACL_CAPS && !span_is(name, acl_cap_text((enum acl_cap)cap))) {
			cap++;
		}
		if (cap == N_ACL_CAPS) {
			return false;
		}
		out->caps |= UINT64_C(1) << cap;
	}
	return out->caps != 0;
}

static bool parse_half(struct span s, struct need *out)
{
	static const char *const objects[] = {
#define X(id, text) text,
		OBJECT_LIST(X)
#undef X
	};
	static const char tasks[] = "+tasks";
	unsigned object = 0;

	*out = (struct need){.object = OBJECT_NONE};
	if (memchr(s.at, '/', s.len) != NULL) {
		if (!find_name(objects, sizeof(objects) / sizeof(objects[0]), split(&s, '/'), &object)) {
			return false;
		}
		out->object = (enum object)(object + 1);
	}
	if (s.len > sizeof(tasks) - 1 && memcmp(s.at + s.len - (sizeof(tasks) - 1), tasks, sizeof(tasks) - 1) == 0) {
		out->tasks = true;
		s.len -= sizeof(tasks) - 1;
	}
	while (s.len > 0 && out->n < TERMS_MAX) {
		struct span one = split(&s, '&');
		struct term *t = &out->terms[out->n++];

		if (!parse_word(one, t) && !parse_level(one, t) && !parse_caps(one, t)) {
			return false;
		}
	}
	return out->n > 0 && s.len == 0;
}

/* What a route's line says of the methods that read, or that do not. */
static bool parse_need(const char *text, bool reads, struct need *out)
{
	struct span rest = {text != NULL ? text : "", text != NULL ? strlen(text) : 0};
	struct span first = split(&rest, ';');

	return parse_half(reads || rest.len == 0 ? first : rest, out);
}

/* ---- what was resolved before ---- */

/* A token, and what it may do while tokens, policies and roles are those of these indexes. It is found by a hash that
 * nobody outside can foretell, and then compared in constant time. */
struct known {
	struct hash_link link;
	char secret[SECRET_MAX + 1]; /* "": of nobody. */
	int64_t expiry_ns;           /* 0: never. */
	uint64_t token_hash;
	uint64_t tokens_index;
	uint64_t policies_index;
	uint64_t roles_index;
	struct access *access;
};

/* What some policies allow together. */
struct allowed {
	struct hash_link link;
	struct acl *acl;
	size_t len;
	char key[]; /* Their names, each with its row's hash. */
};

/* For each route, what it needs of methods that read, and of others. */
struct access_book {
	const struct http_route *routes;
	struct need (*needs)[2];
	uint64_t seed; /* Of hashes of secrets. */
	struct hash_table known;
	struct hash_table allowed;
};

static void give_back(struct access *a)
{
	if (a != NULL && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
		acl_unref(a->acl);
		free(a);
	}
}

static void release_cb(struct http_request *req)
{
	give_back(req->access);
	req->access = NULL;
}

static struct access *access_make(struct acl *acl, const char *accessor, const char *type, const char *name)
{
	size_t len = strlen(name) + 1;
	struct access *a = calloc(1, sizeof(*a) + len);

	if (a == NULL) {
		return NULL;
	}
	atomic_init(&a->refs, 1);
	a->acl = acl_ref(acl);
	a->type = type;
	snprintf(a->accessor, sizeof(a->accessor), "%s", accessor);
	memcpy(a->name, name, len);
	return a;
}

static void forget_known(struct access_book *b, struct known *k)
{
	hash_remove(&b->known, &k->link);
	give_back(k->access);
	free(k);
}

static void forget_all(struct access_book *b)
{
	struct hash_link *l;

	while ((l = hash_pop(&b->known)) != NULL) {
		struct known *k = CONTAINER_OF(l, struct known, link);

		give_back(k->access);
		free(k);
	}
	hash_close(&b->known);
	while ((l = hash_pop(&b->allowed)) != NULL) {
		struct allowed *a = CONTAINER_OF(l, struct allowed, link);

		acl_unref(a->acl);
		free(a);
	}
	hash_close(&b->allowed);
	b->known = (struct hash_table){0};
	b->allowed = (struct hash_table){0};
}

struct access_book *access_new(const struct http_route *routes, size_t n, uint64_t seed)
{
	struct access_book *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		return NULL;
	}
	b->routes = routes;
	b->seed = seed;
	b->needs = calloc(n + 1, sizeof(b->needs[0]));
	if (b->needs == NULL) {
		free(b);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		if (!parse_need(routes[i].capability, true, &b->needs[i][1]) ||
		    !parse_need(routes[i].capability, false, &b->needs[i][0])) {
			assert(false);
			access_free(b); /* Nothing is served rather than everything. */
			return NULL;
		}
	}
	return b;
}

void access_free(struct access_book *b)
{
	if (b != NULL) {
		forget_all(b);
		free(b->needs);
		free(b);
	}
}

/* ---- from policies to an ACL ---- */

/* Policies of a token, each once. */
struct gathered {
	const struct view *v;
	struct arena *mem;
	const struct object_row **at;
	size_t n, cap;
};

/* One that is gone allows nothing. */
static int gather(struct gathered *g, const char *name)
{
	const struct object_row *row = state_acl_policy(g->v, name);

	for (size_t i = 0; i < g->n; i++) {
		if (g->at[i] == row) {
			return 0;
		}
	}
	if (row == NULL) {
		return 0;
	}
	if (g->n == g->cap) {
		size_t cap = g->cap == 0 ? 8 : g->cap * 2;
		const struct object_row **at = arena_calloc(g->mem, cap, sizeof(struct object_row *));

		if (at == NULL) {
			return ERR_NOMEM;
		}
		if (g->n > 0) {
			memcpy(at, g->at, g->n * sizeof(struct object_row *));
		}
		g->at = at;
		g->cap = cap;
	}
	g->at[g->n++] = row;
	return 0;
}

static int gather_role(struct gathered *g, const char *id)
{
	const struct acl_role_row *row = state_acl_role(g->v, id);
	struct acl_role role;
	int rv = row != NULL ? acl_role_row_get(g->v, row, &role, g->mem) : ERR_NOTFOUND;

	for (uint32_t i = 0; rv == 0 && i < role.policies.n; i++) {
		rv = gather(g, role.policies.at[i].name);
	}
	return rv == ERR_NOTFOUND ? 0 : rv;
}

static int gather_token(struct gathered *g, const struct acl_token *token)
{
	int rv = 0;

	for (uint32_t i = 0; rv == 0 && i < token->policies.n; i++) {
		rv = gather(g, token->policies.at[i]);
	}
	for (uint32_t i = 0; rv == 0 && i < token->roles.n; i++) {
		rv = gather_role(g, token->roles.at[i].id);
	}
	return rv;
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp((*(const struct object_row *const *)a)->key, (*(const struct object_row *const *)b)->key);
}

static void put_key(const struct gathered *g, struct buf *key)
{
	if (g->n > 1) {
		qsort(g->at, g->n, sizeof(g->at[0]), compare_rows);
	}
	for (size_t i = 0; i < g->n; i++) {
		buf_put(key, g->at[i]->key, strlen(g->at[i]->key) + 1);
		buf_put(key, &g->at[i]->row.hash, sizeof(g->at[i]->row.hash));
	}
}

/* With one more, if that is not NULL. A rule that cannot be read might be a deny: then there is no ACL at all. */
static int compile(const struct gathered *g, const struct policy *more, struct acl **out)
{
	const struct policy **policies = arena_calloc(g->mem, g->n + 1, sizeof(struct policy *));
	char why[POLICY_WHY];
	int rv = policies != NULL ? 0 : ERR_NOMEM;

	for (size_t i = 0; rv == 0 && i < g->n; i++) {
		struct acl_policy said;
		struct policy *parsed;

		rv = acl_policy_row_get(g->at[i], &said, g->mem);
		if (rv == 0) {
			rv = policy_parse(said.rules, strlen(said.rules), g->mem, &parsed, why);
		}
		policies[i] = rv == 0 ? parsed : NULL;
	}
	if (rv == 0) {
		policies[g->n] = more;
		*out = acl_new(policies, g->n + (more != NULL));
		rv = *out != NULL ? 0 : ERR_NOMEM;
	}
	return rv;
}

/* The ACL of these policies, with a reference of the caller's. */
static int take_acl(struct access_book *b, const struct gathered *g, struct acl **out)
{
	struct buf key = {0};
	struct allowed *a;
	uint64_t hash;
	int rv;

	put_key(g, &key);
	hash = XXH3_64bits(key.at, key.len);
	for (struct hash_link *l = hash_first(&b->allowed, hash); l != NULL; l = hash_next(l)) {
		a = CONTAINER_OF(l, struct allowed, link);
		if (a->len == key.len && (key.len == 0 || memcmp(a->key, key.at, key.len) == 0)) {
			*out = acl_ref(a->acl);
			buf_close(&key);
			return 0;
		}
	}
	rv = key.failed ? ERR_NOMEM : compile(g, NULL, out);
	a = rv == 0 ? malloc(sizeof(*a) + key.len) : NULL;
	if (a != NULL) {
		a->acl = acl_ref(*out);
		a->len = key.len;
		if (key.len > 0) {
			memcpy(a->key, key.at, key.len);
		}
		hash_add(&b->allowed, &a->link, hash);
	}
	buf_close(&key);
	return rv;
}

/* ---- from a secret to an access ---- */

/* NULL is nobody. With a reference, the caller's. */
static int resolve(struct access_book *b, const struct view *v, const struct acl_token_row *row, struct access **out)
{
	struct arena mem = {0};
	struct gathered g = {.v = v, .mem = &mem};
	struct acl_token token = {.name = "Anonymous Token"};
	bool management = row != NULL && (row->flags & ACL_TOKEN_MANAGEMENT) != 0;
	struct acl *acl = acl_management();
	int rv = row != NULL ? acl_token_row_get(v, row, &token, &mem) : gather(&g, "anonymous");

	if (rv == 0 && row != NULL && !management) {
		rv = gather_token(&g, &token);
	}
	if (rv == 0 && !management) {
		rv = take_acl(b, &g, &acl);
	}
	if (rv == 0) {
		*out = access_make(acl, row != NULL ? token.accessor_id : "anonymous",
				   management ? "management" : "client", token.name);
		acl_unref(acl);
		rv = *out != NULL ? 0 : ERR_NOMEM;
	}
	if (rv == 0) {
		(*out)->anonymous = row == NULL;
	}
	arena_close(&mem);
	return rv;
}

static struct known *find_known(struct access_book *b, const char *secret, uint64_t hash)
{
	for (struct hash_link *l = hash_first(&b->known, hash); l != NULL; l = hash_next(l)) {
		struct known *k = CONTAINER_OF(l, struct known, link);

		if (secret_equal(k->secret, secret)) {
			return k;
		}
	}
	return NULL;
}

static struct access *access_get(struct access *a)
{
	atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

/* Remembered if there is memory for it. */
static void remember(struct access_book *b, const struct known *said, uint64_t hash)
{
	struct known *k = malloc(sizeof(*k));

	if (k != NULL) {
		*k = *said;
		(void)access_get(k->access);
		hash_add(&b->known, &k->link, hash);
	}
}

static bool is_current(const struct known *k, const struct view *v)
{
	return k->tokens_index == state_table_index(v, TABLE_ACL_TOKENS) &&
	       k->policies_index == state_table_index(v, TABLE_ACL_POLICIES) &&
	       k->roles_index == state_table_index(v, TABLE_ACL_ROLES);
}

/* What was known may hold on although other tokens have changed: then what is kept for it holds on, too. */
static int look_up(struct access_book *b, const struct view *v, struct known *said, uint64_t hash, struct known *k,
		   const struct acl_token_row *row)
{
	bool same = k != NULL && k->token_hash == said->token_hash && k->policies_index == said->policies_index &&
		    k->roles_index == said->roles_index;
	int rv = 0;

	if (same) {
		said->access = access_get(k->access);
	}
	if (k != NULL) {
		forget_known(b, k);
	}
	if (b->known.n >= KEPT_MAX || b->allowed.n >= KEPT_MAX) {
		forget_all(b);
	}
	rv = same ? 0 : resolve(b, v, row, &said->access);
	if (rv == 0) {
		remember(b, said, hash);
	}
	return rv;
}

/* Of a secret; "" is nobody's. With ACCESS_YES *out has a reference, the caller's. */
static enum access_verdict take_secret(struct access_book *b, const struct view *v, const char *secret, int64_t wall_ns,
				       struct access **out)
{
	const struct acl_token_row *row = NULL;
	struct known said = {.tokens_index = state_table_index(v, TABLE_ACL_TOKENS),
			     .policies_index = state_table_index(v, TABLE_ACL_POLICIES),
			     .roles_index = state_table_index(v, TABLE_ACL_ROLES)};
	size_t len = strlen(secret);
	struct known *k;
	uint64_t hash;

	if (len > SECRET_MAX) {
		return ACCESS_UNKNOWN;
	}
	hash = XXH3_64bits_withSeed(secret, len, b->seed);
	k = find_known(b, secret, hash);
	if (k != NULL && is_current(k, v)) {
		*out = access_get(k->access);
		said.expiry_ns = k->expiry_ns;
	} else {
		row = len > 0 ? state_acl_token_by_secret(v, secret) : NULL;
		if (row == NULL && len > 0) {
			return ACCESS_UNKNOWN;
		}
		memcpy(said.secret, secret, len);
		said.token_hash = row != NULL ? row->row.hash : 0;
		said.expiry_ns = row != NULL ? acl_token_row_expiry(row) : 0;
		if (look_up(b, v, &said, hash, k, row) != 0) {
			return ACCESS_FAILED;
		}
		*out = said.access;
	}
	if (said.expiry_ns != 0 && said.expiry_ns <= wall_ns) {
		give_back(*out);
		return ACCESS_EXPIRED;
	}
	return ACCESS_YES;
}

static enum access_verdict take_token(struct access_book *b, const struct view *v, struct http_request *req,
				      const char *secret, int64_t wall_ns)
{
	struct access *access;
	enum access_verdict verdict = take_secret(b, v, secret, wall_ns, &access);

	if (verdict == ACCESS_YES) {
		req->access = access;
		req->release_cb = release_cb;
	}
	return verdict;
}

/* ---- commands beside tasks ---- */

/* Whether one of the group's tasks, or the one named, sees the node's file system as it is. */
static bool is_bare(const struct job_row *row, const char *group, const char *task, struct arena *mem)
{
	struct job job;
	bool bare = false;

	if (job_row_get(row, &job, mem) != 0) {
		return true;
	}
	for (uint32_t i = 0; i < job.task_groups.n; i++) {
		const struct task_group *g = &job.task_groups.at[i];

		for (uint32_t k = 0; k < g->tasks.n && (group[0] == '\0' || strcmp(group, g->name) == 0); k++) {
			const struct task *t = &g->tasks.at[k];

			if (task[0] == '\0' || strcmp(task, t->name) == 0) {
				bare = bare || strcmp(t->driver, "raw_exec") == 0 ||
				       strcmp(t->driver, "mock_driver") == 0;
			}
		}
	}
	return bare;
}

static const char *param(const struct http_request *req, const char *name)
{
	const char *value = http_query(req, name);

	return value != NULL ? value : "";
}

static bool exec_is_bare(const struct view *v, const struct http_request *req, const struct uuid *id)
{
	const struct alloc_row *alloc = state_alloc(v, id);
	struct arena mem = {0};
	bool bare = alloc != NULL && is_bare(alloc->job, alloc_row_group(alloc), param(req, "task"), &mem);

	arena_close(&mem);
	return bare;
}

/* Any version that has allocations may be the one whose action is run. */
static bool action_is_bare(const struct view *v, const struct http_request *req, const char *ns)
{
	const struct job_row *job = state_job(v, ns, req->params[0]);
	const struct job_row *last = job;
	const struct alloc_row *alloc;
	struct arena mem = {0};
	unsigned looks = 0;
	struct rows r;
	bool bare = job != NULL && is_bare(job, "", param(req, "task"), &mem);

	if (job != NULL) {
		rows_allocs_of_job(&r, v, job);
		while (!bare && (alloc = alloc_next(&r)) != NULL) {
			bare = looks++ == EXEC_LOOKS ||
			       (alloc->job != last && is_bare(alloc->job, "", param(req, "task"), &mem));
			last = alloc->job;
		}
	}
	arena_close(&mem);
	return bare;
}

/* ---- what a request needs ---- */

/* What a request is about. */
struct asked {
	const struct view *v;
	const struct http_request *req;
	const struct acl *acl;
	const char *ns; /* NULL: any will do. */
	struct uuid id;
};

static const char *asked_namespace(const struct http_request *req)
{
	const char *ns = req->n_pairs > 0 ? http_query(req, "namespace") : NULL;

	return ns == NULL || ns[0] == '\0' ? "default" : ns;
}

/* Of the object in the path; NULL when it is not there. */
static const char *object_namespace(const struct asked *a, enum object object)
{
	const struct deployment_row *deployment;
	const struct alloc_row *alloc;
	const struct eval_row *eval;

	switch (object) {
	case OBJECT_ALLOC:
	case OBJECT_EXEC:
		alloc = state_alloc(a->v, &a->id);
		return alloc != NULL ? job_row_ns(alloc->job) : NULL;
	case OBJECT_EVAL:
		eval = state_eval(a->v, &a->id);
		return eval != NULL ? eval_row_ns(eval) : NULL;
	case OBJECT_DEPLOYMENT:
		deployment = state_deployment(a->v, &a->id);
		return deployment != NULL ? deployment_row_ns(deployment) : NULL;
	default:
		return NULL;
	}
}

/* The query's namespace goes before the one in a body. */
static bool body_decides(const struct http_request *req)
{
	return param(req, "namespace")[0] == '\0';
}

static void find_namespace(struct asked *a, enum object object)
{
	const char *text = a->req->params[0];

	a->ns = asked_namespace(a->req);
	if (object == OBJECT_NONE || object == OBJECT_ACTION) {
		a->ns = strcmp(a->ns, "*") == 0 && object == OBJECT_NONE ? NULL : a->ns;
	} else if (object == OBJECT_BODY) {
		a->ns = body_decides(a->req) ? NULL : a->ns;
	} else if (object == OBJECT_ANY || !uuid_parse(text, strlen(text), &a->id)) {
		a->ns = NULL;
	} else {
		a->ns = object_namespace(a, object);
	}
}

static bool allows_variable(const struct asked *a, enum object object, const struct term *t)
{
	enum acl_variable_right right = (enum acl_variable_right)t->level;

	if (right == ACL_VARIABLE_LIST || object == OBJECT_BODY) {
		return acl_any_variable(a->acl, a->ns, right);
	}
	return acl_variable(a->acl, asked_namespace(a->req), a->req->params[0], right);
}

static bool allows_pool(const struct asked *a, enum object object, const struct term *t)
{
	const char *pool = a->req->params[0];
	enum acl_pool_right right = (enum acl_pool_right)t->level;

	return pool[0] == '\0' || object == OBJECT_BODY ? acl_any_node_pool(a->acl, right)
							: acl_node_pool(a->acl, pool, right);
}

/* Where no namespace is asked for, it is enough to see one. */
static bool sees_anything(const struct asked *a)
{
	return (a->ns != NULL ? acl_sees_namespace(a->acl, a->ns)
			      : acl_any_namespace_any(a->acl, ~ACL_BIT(DENY)) ||
					acl_any_variable(a->acl, NULL, ACL_VARIABLE_LIST)) ||
	       acl_may(a->acl, ACL_NODE, ACL_READ) || acl_any_node_pool(a->acl, ACL_POOL_READ);
}

static bool allows(const struct asked *a, enum object object, const struct term *t)
{
	switch (t->kind) {
	case TERM_CAPS:
		return a->ns != NULL ? acl_in_namespace_any(a->acl, a->ns, t->caps)
				     : acl_any_namespace_any(a->acl, t->caps);
	case TERM_SUBJECT:
		return acl_may(a->acl, (enum acl_subject)t->what, (enum acl_level)t->level);
	case TERM_POOL:
		return allows_pool(a, object, t);
	case TERM_VARIABLE:
		return allows_variable(a, object, t);
	case TERM_NAMESPACE:
		return acl_sees_namespace(a->acl, a->req->params[0]);
	case TERM_ANYTHING:
		return sees_anything(a);
	case TERM_OPEN:
	case TERM_TOKEN:
		return true;
	case TERM_MANAGEMENT:
		break;
	}
	return false;
}

static bool allows_exec(const struct asked *a, enum object object)
{
	bool bare = false;

	if (object == OBJECT_EXEC) {
		bare = exec_is_bare(a->v, a->req, &a->id);
	} else if (object == OBJECT_ACTION) {
		bare = action_is_bare(a->v, a->req, a->ns);
	}
	return !bare || acl_in_namespace(a->acl, a->ns, ACL_ALLOC_NODE_EXEC);
}

static bool allows_all(const struct view *v, const struct http_request *req, const struct need *need)
{
	struct asked a = {.v = v, .req = req, .acl = req->access->acl};
	bool yes = true;

	find_namespace(&a, need->object);
	for (unsigned i = 0; yes && i < need->n; i++) {
		yes = allows(&a, need->object, &need->terms[i]);
	}
	return yes && allows_exec(&a, need->object);
}

/* ---- nodes, for their tasks ---- */

enum {
	NODE_ALLOCS_MAX = 2000, /* Further ones are passed over, */
	PATHS_OF_ALLOC = 3 + 16, /* as are tasks of groups with more than so many, if all groups there have. */
};

/* What is gathered for a node, or for one of its tasks if it says which asks. */
struct on_node {
	struct gathered policies;
	struct policy *own;
	const char *ns;   /* That it asks about. */
	const char *task; /* NULL: any. */
	const struct alloc_row *alloc; /* That the task is of. */
	bool in_ns; /* Something of it runs there. */
};

static void add_path(struct on_node *n, const char *ns, const char *path)
{
	if (path != NULL) {
		policy_add_variable(n->own, ns, path, ACL_VARIABLE_READ);
	}
}

/* By which a job's variables and policies name it: a child is of its parent. */
static const char *known_as(const struct alloc_row *alloc)
{
	const char *parent = job_row_parent(alloc->job);

	return parent[0] != '\0' ? parent : job_row_id(alloc->job);
}

/* nomad/jobs, and below it what bears the names of the job, the group and the task. */
static void add_paths(struct on_node *n, const struct alloc_row *alloc)
{
	const char *ns = job_row_ns(alloc->job);
	const char *id = known_as(alloc);
	const char *group = alloc_row_group(alloc);
	struct arena *mem = n->policies.mem;
	struct job job;

	add_path(n, ns, "nomad/jobs");
	add_path(n, ns, arena_printf(mem, "nomad/jobs/%s", id));
	add_path(n, ns, arena_printf(mem, "nomad/jobs/%s/%s", id, group));
	if (n->task != NULL) {
		add_path(n, ns, arena_printf(mem, "nomad/jobs/%s/%s/%s", id, group, n->task));
		return;
	}
	if (job_row_get(alloc->job, &job, mem) != 0 || alloc->group >= job.task_groups.n) {
		return;
	}
	for (uint32_t i = 0; i < job.task_groups.at[alloc->group].tasks.n; i++) {
		add_path(n, ns,
			 arena_printf(mem, "nomad/jobs/%s/%s/%s", id, group,
				      job.task_groups.at[alloc->group].tasks.at[i].name));
	}
}

/* What a policy is for: a job, one of its groups, or one of that's tasks. Who does not say which task asks gets nothing
 * that is for one alone. */
static bool is_for(const struct acl_job *what, const struct on_node *n, const struct alloc_row *alloc)
{
	const char *ns = what->namespace_[0] != '\0' ? what->namespace_ : "default";

	return strcmp(ns, job_row_ns(alloc->job)) == 0 &&
	       (what->job_id[0] == '\0' || strcmp(what->job_id, known_as(alloc)) == 0) &&
	       (what->group[0] == '\0' || strcmp(what->group, alloc_row_group(alloc)) == 0) &&
	       (what->task[0] == '\0' || (n->task != NULL && strcmp(what->task, n->task) == 0));
}

/* What runs there and asks, in turn. */
struct askers {
	const struct on_node *n;
	struct rows rows;
	unsigned looks;
};

/* In its place: rows know where they are. */
static void askers_open(struct askers *a, const struct on_node *n, const struct view *v, const struct uuid *node)
{
	*a = (struct askers){.n = n};
	if (n->task == NULL) {
		rows_allocs_of_node(&a->rows, v, node);
	}
}

static const struct alloc_row *next_asker(struct askers *a)
{
	const struct alloc_row *alloc;

	if (a->n->task != NULL) {
		return a->looks++ == 0 && !alloc_row_terminal(a->n->alloc) ? a->n->alloc : NULL;
	}
	while (a->looks++ < NODE_ALLOCS_MAX && (alloc = alloc_next(&a->rows)) != NULL) {
		if (!alloc_row_terminal(alloc)) {
			return alloc;
		}
	}
	return NULL;
}

static int add_job_policies(struct on_node *n, const struct view *v, const struct uuid *node)
{
	const struct object_row *row;
	const struct alloc_row *alloc;
	struct rows policies;
	int rv = 0;

	rows_objects(&policies, v, TABLE_ACL_POLICIES);
	while (rv == 0 && (row = object_next(&policies)) != NULL) {
		struct acl_policy policy;
		struct askers askers;
		bool fits = false;

		rv = acl_policy_row_get(row, &policy, n->policies.mem);
		if (rv != 0 || policy.job_acl == NULL) {
			continue;
		}
		askers_open(&askers, n, v, node);
		while (!fits && (alloc = next_asker(&askers)) != NULL) {
			fits = is_for(policy.job_acl, n, alloc);
		}
		rv = fits ? gather(&n->policies, row->key) : 0;
	}
	return rv;
}

/* In the namespace that is asked about. */
static bool is_there(const struct on_node *n, const struct alloc_row *alloc)
{
	return strcmp(job_row_ns(alloc->job), n->ns) == 0;
}

static int gather_node(struct on_node *n, const struct view *v, const struct uuid *node, bool variables)
{
	const struct alloc_row *alloc;
	struct askers askers;
	size_t there = 0;

	askers_open(&askers, n, v, node);
	while ((alloc = next_asker(&askers)) != NULL) {
		there += is_there(n, alloc);
	}
	n->in_ns = there > 0;
	if (!variables) {
		return 0;
	}
	n->own = policy_new(n->policies.mem, there * PATHS_OF_ALLOC);
	if (n->own == NULL) {
		return ERR_NOMEM;
	}
	askers_open(&askers, n, v, node);
	while ((alloc = next_asker(&askers)) != NULL) {
		if (is_there(n, alloc)) {
			add_paths(n, alloc);
		}
	}
	return add_job_policies(n, v, node);
}

static bool has_task(const struct alloc_row *alloc, const char *name, struct arena *mem)
{
	struct job job;

	if (job_row_get(alloc->job, &job, mem) != 0 || alloc->group >= job.task_groups.n) {
		return false;
	}
	for (uint32_t i = 0; i < job.task_groups.at[alloc->group].tasks.n; i++) {
		if (strcmp(job.task_groups.at[alloc->group].tasks.at[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* "task=ALLOC/TASK": of the node, or it is refused. */
static bool find_task(struct on_node *n, const struct view *v, const struct uuid *node, struct http_request *req)
{
	const char *text = http_query(req, "task");
	const char *name = text != NULL ? strchr(text, '/') : NULL;
	struct uuid id;

	if (text == NULL) {
		return true;
	}
	if (name == NULL || !uuid_parse(text, (size_t)(name - text), &id)) {
		return false;
	}
	n->alloc = state_alloc(v, &id);
	n->task = name + 1;
	return n->alloc != NULL && uuid_equal(&n->alloc->node_id, node) && has_task(n->alloc, n->task, n->policies.mem);
}

/* Of services the namespace says all: the answer is the same as for everybody, and kept as theirs. Of variables only
 * some may be seen. */
static enum access_verdict check_node(const struct view *v, struct http_request *req, const struct need *need)
{
	struct arena mem = {0};
	struct on_node n = {.policies = {.v = v, .mem = &mem}, .ns = asked_namespace(req)};
	bool variables = need->terms[0].kind == TERM_VARIABLE;
	struct acl *acl = acl_management();
	enum access_verdict verdict = ACCESS_DENIED;
	struct uuid node;
	int rv = need->tasks && uuid_parse(req->node, strlen(req->node), &node) && find_task(&n, v, &node, req)
			 ? gather_node(&n, v, &node, variables)
			 : ERR_DENIED;

	if (rv == 0 && variables) {
		rv = compile(&n.policies, n.own, &acl);
	}
	if (rv == 0 && (variables || n.in_ns)) {
		req->access = access_make(acl, req->node, "client", "");
		rv = req->access != NULL ? 0 : ERR_NOMEM;
		verdict = rv == 0 ? ACCESS_YES : ACCESS_FAILED;
	}
	if (verdict == ACCESS_YES) {
		req->release_cb = release_cb;
		req->access->passing = variables;
		if (variables && !allows_all(v, req, need)) {
			release_cb(req);
			verdict = ACCESS_DENIED;
		}
	}
	acl_unref(acl);
	arena_close(&mem);
	return rv == 0 || rv == ERR_DENIED ? verdict : ACCESS_FAILED;
}

/* ---- the check ---- */

static bool is_open(const struct need *need)
{
	return need->terms[0].kind == TERM_OPEN;
}

enum access_verdict access_check(struct access_book *b, const struct view *v, struct http_request *req, int64_t wall_ns)
{
	const struct need *need = &b->needs[req->route - b->routes][req->method == HTTP_GET];
	enum access_verdict verdict;

	if (req->access != NULL) {
		release_cb(req);
	}
	if (req->token[0] == '\0' && req->node[0] != '\0' && !is_open(need)) {
		return check_node(v, req, need);
	}
	verdict = take_token(b, v, req, req->token, wall_ns);
	if (verdict != ACCESS_YES && is_open(need)) {
		verdict = take_token(b, v, req, "", wall_ns);
	}
	if (verdict == ACCESS_YES && !acl_is_management(req->access->acl) && !allows_all(v, req, need)) {
		release_cb(req);
		verdict = ACCESS_DENIED;
	}
	return verdict;
}

const char *access_text(enum access_verdict verdict)
{
	switch (verdict) {
	case ACCESS_UNKNOWN:
		return "ACL token not found";
	case ACCESS_EXPIRED:
		return "ACL token expired";
	default:
		return "Permission denied";
	}
}

/* ---- bodies ---- */

static bool allows_volumes(const struct acl *acl, const struct job *job, const struct task_group *g)
{
	for (uint32_t i = 0; i < g->volumes.n; i++) {
		const struct volume_request *r = &g->volumes.at[i];

		if (strcmp(r->type, "host") == 0
			    ? !acl_host_volume(acl, r->source, r->read_only ? ACL_MOUNT_READONLY : ACL_MOUNT_READWRITE)
			    : !acl_in_namespace(acl, job->namespace_, ACL_CSI_MOUNT_VOLUME)) {
			return false;
		}
	}
	return true;
}

static bool allows_plugins(const struct acl *acl, const struct job *job, const struct task_group *g)
{
	for (uint32_t i = 0; i < g->tasks.n; i++) {
		if (g->tasks.at[i].csi_plugin != NULL &&
		    !acl_in_namespace(acl, job->namespace_, ACL_CSI_REGISTER_PLUGIN)) {
			return false;
		}
	}
	return true;
}

bool access_job(const struct http_request *req, const struct job *job)
{
	const struct acl *acl = access_acl(req);
	struct need need;
	bool yes = true;

	if (acl == NULL || acl_is_management(acl)) {
		return true;
	}
	if (!parse_need(req->route->capability, false, &need)) {
		return false;
	}
	for (unsigned i = 0; yes && i < need.n; i++) {
		yes = need.terms[i].kind == TERM_CAPS &&
		      acl_in_namespace_any(acl, job->namespace_, need.terms[i].caps);
	}
	if ((need.terms[0].caps & ACL_BIT(SUBMIT_JOB)) == 0) {
		return yes;
	}
	for (uint32_t i = 0; yes && i < job->task_groups.n; i++) {
		yes = allows_volumes(acl, job, &job->task_groups.at[i]) &&
		      allows_plugins(acl, job, &job->task_groups.at[i]);
	}
	return yes;
}
