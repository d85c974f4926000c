/* Search: by the beginning of IDs, or by parts of names. */
#include <ctype.h>

#include "proto/error.h"
#include "server/api_handlers.h"

#define SEARCH_REQUEST_FIELDS(X, T)                                                                                    \
	X(T, STR, prefix, "Prefix")                                                                                    \
	X(T, STR, text, "Text")                                                                                        \
	X(T, STR, context, "Context")

OBJECT_DECLARE(search_request, SEARCH_REQUEST_FIELDS);
OBJECT_DEFINE(search_request, SEARCH_REQUEST_FIELDS);

enum {
	MATCHES_MAX = 20,  /* Of one context. */
	LOOKS_MAX = 20000, /* Rows that are looked at for one context. */
	TEXT_MIN = 2,
};

/* A search in one context: matches go to `out` as they are found. */
struct search {
	const struct query *q;
	const struct view *v;
	const char *text; /* The prefix or, for parts of names, the text in lower case. */
	bool fuzzy;
	struct buf *out;
	unsigned n;
	bool truncated;
	struct arena mem;
};

/* ---- matches ---- */

/* False when there are enough. */
static bool add(struct search *s, const char *id, const char *scope)
{
	if (s->n == MATCHES_MAX) {
		s->truncated = true;
		return false;
	}
	buf_str(s->out, s->n++ > 0 ? "," : "");
	if (s->fuzzy) {
		buf_str(s->out, "{\"ID\":");
	}
	json_put_str(s->out, id, strlen(id));
	if (s->fuzzy) {
		buf_str(s->out, ",\"Scope\":[");
		if (scope != NULL) {
			json_put_str(s->out, scope, strlen(scope));
		}
		buf_str(s->out, "]}");
	}
	return true;
}

static bool contains(const char *name, const char *lower)
{
	for (; *name != '\0'; name++) {
		size_t i = 0;

		while (lower[i] != '\0' && tolower((unsigned char)name[i]) == lower[i]) {
			i++;
		}
		if (lower[i] == '\0') {
			return true;
		}
	}
	return false;
}

static bool fits(const struct search *s, const char *name)
{
	return s->fuzzy ? contains(name, s->text) : strncmp(name, s->text, strlen(s->text)) == 0;
}

/* ---- contexts ---- */

static void search_jobs(struct search *s)
{
	const char *ns = query_ns(s->q);
	const struct job_row *job;
	unsigned looks = 0;
	struct rows r;

	rows_jobs(&r, s->v, ns, s->fuzzy ? "" : s->text);
	while ((job = job_next(&r)) != NULL && looks++ < LOOKS_MAX) {
		bool yes = s->fuzzy ? contains(job_row_name(job), s->text) : fits(s, job_row_id(job));

		if (yes && !add(s, s->fuzzy ? job_row_name(job) : job_row_id(job), s->fuzzy ? job_row_ns(job) : NULL)) {
			return;
		}
	}
	s->truncated = s->truncated || job != NULL;
}

/* The bytes of a prefix of hexadecimal digits; an odd last digit is compared later. */
static bool id_prefix(const struct search *s, struct uuid_prefix *out)
{
	size_t len = strlen(s->text);
	char text[UUID_TEXT];
	int rv;

	if (len >= sizeof(text)) {
		return false;
	}
	memcpy(text, s->text, len + 1);
	rv = uuid_prefix_parse(text, out);
	while (rv == ERR_RANGE && len > 0) {
		text[--len] = '\0';
		rv = uuid_prefix_parse(text, out);
	}
	return rv == 0;
}

/* IDs are lower case. */
static bool add_id(struct search *s, const struct uuid *id)
{
	char text[UUID_TEXT];

	uuid_format(id, text);
	return strncasecmp(text, s->text, strlen(s->text)) != 0 || add(s, text, NULL);
}

static void search_allocs(struct search *s)
{
	const struct alloc_row *alloc = NULL;
	char name[ALLOC_NAME_MAX];
	struct uuid_prefix prefix;
	unsigned looks = 0;
	struct rows r;

	if (!s->fuzzy && !id_prefix(s, &prefix)) {
		return;
	}
	rows_allocs(&r, s->v, s->fuzzy ? NULL : &prefix);
	while (looks++ < LOOKS_MAX && (alloc = alloc_next(&r)) != NULL) {
		bool more = true;

		if (!query_ns_is(s->q, job_row_ns(alloc->job))) {
			continue;
		}
		if (!s->fuzzy) {
			more = add_id(s, &alloc->id);
		} else {
			alloc_row_name(alloc, name);
			more = !contains(name, s->text) || add(s, name, uuid_text(&s->mem, &alloc->id));
		}
		if (!more) {
			return;
		}
	}
	s->truncated = s->truncated || alloc != NULL;
}

static void search_evals(struct search *s)
{
	const struct eval_row *e = NULL;
	struct uuid_prefix prefix;
	unsigned looks = 0;
	struct rows r;

	if (s->fuzzy || !id_prefix(s, &prefix)) {
		return;
	}
	rows_evals(&r, s->v, &prefix);
	while (looks++ < LOOKS_MAX && (e = eval_next(&r)) != NULL) {
		if (query_ns_is(s->q, eval_row_ns(e)) && !add_id(s, &e->id)) {
			return;
		}
	}
	s->truncated = s->truncated || e != NULL;
}

static void search_deployments(struct search *s)
{
	const struct deployment_row *d = NULL;
	struct uuid_prefix prefix;
	unsigned looks = 0;
	struct rows r;

	if (s->fuzzy || !id_prefix(s, &prefix)) {
		return;
	}
	rows_deployments(&r, s->v, &prefix);
	while (looks++ < LOOKS_MAX && (d = deployment_next(&r)) != NULL) {
		if (query_ns_is(s->q, deployment_row_ns(d)) && !add_id(s, &d->id)) {
			return;
		}
	}
	s->truncated = s->truncated || d != NULL;
}

static void search_nodes(struct search *s)
{
	const struct node_row *node = NULL;
	struct uuid_prefix prefix;
	unsigned looks = 0;
	struct rows r;
	bool more = true;

	if (!s->fuzzy && !id_prefix(s, &prefix)) {
		return;
	}
	rows_nodes(&r, s->v, s->fuzzy ? NULL : &prefix);
	while (more && looks++ < LOOKS_MAX && (node = node_next(&r)) != NULL) {
		if (!s->fuzzy) {
			more = add_id(s, &node->id);
		} else if (contains(node_row_name(node), s->text)) {
			more = add(s, node_row_name(node), uuid_text(&s->mem, &node->id));
		}
	}
	s->truncated = s->truncated || (more && node != NULL);
}

static void search_names(struct search *s, enum table table)
{
	const struct object_row *row;
	struct rows r;

	rows_objects(&r, s->v, table);
	while ((row = object_next(&r)) != NULL) {
		if (fits(s, row->key) && !add(s, row->key, NULL)) {
			return;
		}
	}
}

static void search_namespaces(struct search *s)
{
	search_names(s, TABLE_NAMESPACES);
}

static void search_pools(struct search *s)
{
	search_names(s, TABLE_NODE_POOLS);
}

#define CONTEXT_LIST(X)                                                                                                \
	X("jobs", search_jobs)                                                                                         \
	X("allocs", search_allocs)                                                                                     \
	X("evals", search_evals)                                                                                       \
	X("deployment", search_deployments)                                                                            \
	X("nodes", search_nodes)                                                                                       \
	X("namespaces", search_namespaces)                                                                             \
	X("node_pools", search_pools)

struct context {
	const char *name;
	void (*search)(struct search *s);
};

static const struct context contexts[] = {
#define X(name, search) {name, search},
	CONTEXT_LIST(X)
#undef X
};

enum { N_CONTEXTS = sizeof(contexts) / sizeof(contexts[0]) };

/* ---- the request ---- */

enum { SEARCH_FUZZY = 1 };

static bool is_context(const char *name)
{
	for (unsigned i = 0; i < N_CONTEXTS; i++) {
		if (strcmp(contexts[i].name, name) == 0) {
			return true;
		}
	}
	return name[0] == '\0' || strcmp(name, "all") == 0;
}

static int begin(struct query *q, unsigned flags)
{
	struct search_request *r = arena_alloc(&q->req->mem, sizeof(*r));

	if (r == NULL) {
		http_answer_error(q->req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	if (body_decode(q->req, &search_request_type, r, BODY_REQUIRED, NULL) != 0) {
		return ERR_INVALID;
	}
	if (!is_context(r->context)) {
		http_answer_text(q->req, 400, "context must be one of the known ones or \"all\"; got \"%s\"",
				 r->context);
		return ERR_INVALID;
	}
	q->flags = flags;
	q->own = r;
	return 0;
}

static int begin_search(struct query *q)
{
	return begin(q, 0);
}

static int begin_fuzzy(struct query *q)
{
	struct search_request *r;

	if (begin(q, SEARCH_FUZZY) != 0) {
		return ERR_INVALID;
	}
	r = q->own;
	if (strlen(r->text) < TEXT_MIN) {
		http_answer_text(q->req, 400, "fuzzy search query must be at least %d characters, got %zu", TEXT_MIN,
				 strlen(r->text));
		return ERR_INVALID;
	}
	r->text = arena_strdup(&q->req->mem, r->text);
	for (char *c = (char *)(uintptr_t)r->text; c != NULL && *c != '\0'; c++) {
		*c = (char)tolower((unsigned char)*c);
	}
	return 0;
}

static int find(struct query *q)
{
	query_table(q, TABLE_JOBS);
	query_table(q, TABLE_ALLOCS);
	query_table(q, TABLE_EVALS);
	query_table(q, TABLE_NODES);
	return 0;
}

/* One context: its matches to `out`, and whether there are more. Contexts without any are left out. */
static void put_context(struct query *q, const struct context *c, struct buf *out, struct buf *truncations)
{
	const struct search_request *r = q->own;
	struct buf found = {0};
	struct search s = {.q = q, .v = q->v, .fuzzy = (q->flags & SEARCH_FUZZY) != 0, .out = &found};

	s.text = s.fuzzy ? r->text : r->prefix;
	c->search(&s);
	if (s.n > 0 || strcmp(r->context, c->name) == 0) {
		buf_printf(out, "%s\"%s\":[", out->at[out->len - 1] == '{' ? "" : ",", c->name);
		buf_put(out, found.at, found.len);
		buf_byte(out, ']');
		buf_printf(truncations, "%s\"%s\":%s", truncations->len == 0 ? "" : ",", c->name,
			   s.truncated ? "true" : "false");
	}
	out->failed = out->failed || found.failed;
	buf_close(&found);
	arena_close(&s.mem);
}

static int render(struct query *q, struct buf *out)
{
	const struct search_request *r = q->own;
	bool all = r->context[0] == '\0' || strcmp(r->context, "all") == 0;
	struct buf truncations = {0};

	buf_str(out, "{\"Matches\":{");
	for (unsigned i = 0; i < N_CONTEXTS && !out->failed; i++) {
		if (all || strcmp(r->context, contexts[i].name) == 0) {
			put_context(q, &contexts[i], out, &truncations);
		}
	}
	buf_str(out, "},\"Truncations\":{");
	buf_put(out, truncations.at, truncations.len);
	buf_printf(out, "},\"Index\":%llu,\"LastContact\":%llu,\"KnownLeader\":%s}", (unsigned long long)q->index,
		   (unsigned long long)q->contact_ms, api_info(q->api)->leader_known ? "true" : "false");
	buf_close(&truncations);
	return 0;
}

const struct query_kind query_search = {.begin = begin_search, .find = find, .render = render};
const struct query_kind query_search_fuzzy = {.begin = begin_fuzzy, .find = find, .render = render};
