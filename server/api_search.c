/* Search: by the beginning of IDs, or by parts of names, the closest first. */
#include <ctype.h>

#include "proto/error.h"
#include "server/api_handlers.h"
#include "server/api_scaling.h"

#define SEARCH_REQUEST_FIELDS(X, T)                                                                                    \
	X(T, STR, prefix, "Prefix")                                                                                    \
	X(T, STR, text, "Text")                                                                                        \
	X(T, STR, context, "Context")

OBJECT_DECLARE(search_request, SEARCH_REQUEST_FIELDS);
OBJECT_DEFINE(search_request, SEARCH_REQUEST_FIELDS);

/* What the config of a task may name. */
#define NAMED_BY_CONFIG_FIELDS(X, T)                                                                                   \
	X(T, STR, image, "image")                                                                                      \
	X(T, STR, command, "command")                                                                                  \
	X(T, STR, class_, "class")

OBJECT_DECLARE(named_by_config, NAMED_BY_CONFIG_FIELDS);
OBJECT_DEFINE(named_by_config, NAMED_BY_CONFIG_FIELDS);

enum {
	MATCHES_MAX = 20,  /* Of one context. */
	LOOKS_MAX = 5000,  /* Rows that are looked at for one context, */
	SPECS_MAX = 100,   /* and jobs that are looked into. */
	TEXT_MIN = 2,
	SCOPE_MAX = 4,
};

/* One that was found, and what it is of. */
struct match {
	const char *id;
	const char *scope[SCOPE_MAX]; /* NULL behind the last. */
	long at;                      /* Where in the name the text is. */
};

/* A search in one context. */
struct search {
	const struct query *q;
	const struct view *v;
	const struct acl *acl; /* NULL: everything may be found. */
	const char *text; /* The prefix or, for parts of names, the text in lower case. */
	bool fuzzy;
	struct match found[MATCHES_MAX]; /* The closest first. */
	unsigned n;
	bool truncated;
	bool failed;       /* For want of memory. */
	struct arena *mem; /* The request's. */
};

/* ---- matches ---- */

static int compare(const struct match *a, const struct match *b)
{
	size_t a_len = strlen(a->id);
	size_t b_len = strlen(b->id);

	if (a->at != b->at) {
		return a->at < b->at ? -1 : 1;
	}
	return a_len != b_len ? (a_len < b_len ? -1 : 1) : strcmp(a->id, b->id);
}

static const char *keep_text(struct search *s, const char *text)
{
	const char *copy = text != NULL ? arena_strdup(s->mem, text) : NULL;

	s->failed = s->failed || (text != NULL && copy == NULL);
	return copy;
}

/* Among the closest; those that are equally close stay in their order. */
static void keep(struct search *s, const struct match *m)
{
	unsigned i = s->n++;

	for (; i > 0 && compare(m, &s->found[i - 1]) < 0; i--) {
		s->found[i] = s->found[i - 1];
	}
	s->found[i] = (struct match){.id = keep_text(s, m->id), .at = m->at};
	for (unsigned k = 0; k < SCOPE_MAX; k++) {
		s->found[i].scope[k] = keep_text(s, m->scope[k]);
	}
}

/* False when there are enough: by a prefix the first will do, of parts of names all are looked at. */
static bool add(struct search *s, const struct match *m)
{
	if (s->n < MATCHES_MAX) {
		keep(s, m);
		return !s->failed;
	}
	s->truncated = true;
	if (s->fuzzy && compare(m, &s->found[s->n - 1]) < 0) {
		s->n--;
		keep(s, m);
	}
	return s->fuzzy && !s->failed;
}

/* Where in the name it is, whatever its case; -1: nowhere. */
static long find_part(const char *name, const char *lower)
{
	for (long at = 0; name[at] != '\0'; at++) {
		size_t i = 0;

		while (lower[i] != '\0' && tolower((unsigned char)name[at + (long)i]) == lower[i]) {
			i++;
		}
		if (lower[i] == '\0') {
			return at;
		}
	}
	return -1;
}

/* Add it if its name fits. False when there are enough. */
static bool try_name(struct search *s, const char *name, const char *const scope[SCOPE_MAX])
{
	struct match m = {.id = name};

	m.at = s->fuzzy ? find_part(name, s->text) : strncmp(name, s->text, strlen(s->text)) == 0 ? 0 : -1;
	if (m.at < 0) {
		return true;
	}
	m.at = s->fuzzy ? m.at : 0;
	for (unsigned i = 0; scope != NULL && i < SCOPE_MAX; i++) {
		m.scope[i] = scope[i];
	}
	return add(s, &m);
}

#define SCOPE(...) (const char *const[SCOPE_MAX]){__VA_ARGS__}

/* ---- what may be found ---- */

/* By whom jobs and what belongs to them may be seen: of a job it is enough that it may be listed. */
static bool sees_in(const struct search *s, const char *ns, enum acl_cap cap)
{
	return s->acl == NULL || acl_in_namespace(s->acl, ns, cap) ||
	       (cap == ACL_LIST_JOBS && acl_in_namespace(s->acl, ns, ACL_READ_JOB));
}

/* ---- contexts ---- */

/* In one namespace, or all. False when there are enough. */
static bool search_jobs_in(struct search *s, const char *ns)
{
	const struct job_row *job = NULL;
	unsigned looks = 0;
	bool more = true;
	struct rows r;

	rows_jobs(&r, s->v, ns, s->fuzzy ? "" : s->text);
	while (more && looks++ < LOOKS_MAX && (job = job_next(&r)) != NULL) {
		if (!sees_in(s, job_row_ns(job), ACL_LIST_JOBS)) {
			continue;
		}
		more = s->fuzzy ? try_name(s, job_row_name(job), SCOPE(job_row_ns(job), job_row_id(job)))
				: try_name(s, job_row_id(job), NULL);
	}
	s->truncated = s->truncated || (more && job != NULL);
	return more;
}

/* By a prefix in one namespace after the other: there only jobs that have it are looked at. */
static void search_jobs(struct search *s)
{
	const char *ns = query_ns(s->q);
	const struct object_row *row;
	struct rows r;

	if (ns != NULL || s->fuzzy) {
		search_jobs_in(s, ns);
		return;
	}
	rows_objects(&r, s->v, TABLE_NAMESPACES);
	while ((row = object_next(&r)) != NULL && search_jobs_in(s, row->key)) {
	}
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
	return strncasecmp(text, s->text, strlen(s->text)) != 0 || add(s, &(struct match){.id = text});
}

static void search_allocs(struct search *s)
{
	const struct alloc_row *alloc = NULL;
	char name[ALLOC_NAME_MAX];
	char id[UUID_TEXT];
	struct uuid_prefix prefix;
	unsigned looks = 0;
	struct rows r;

	if (!s->fuzzy && !id_prefix(s, &prefix)) {
		return;
	}
	rows_allocs(&r, s->v, s->fuzzy ? NULL : &prefix);
	while (looks++ < LOOKS_MAX && (alloc = alloc_next(&r)) != NULL) {
		bool more = true;

		if (!query_ns_is(s->q, job_row_ns(alloc->job)) ||
		    !sees_in(s, job_row_ns(alloc->job), ACL_READ_JOB)) {
			continue;
		}
		if (!s->fuzzy) {
			more = add_id(s, &alloc->id);
		} else {
			alloc_row_name(alloc, name);
			uuid_format(&alloc->id, id);
			more = try_name(s, name, SCOPE(job_row_ns(alloc->job), id));
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

	if (!id_prefix(s, &prefix)) {
		return;
	}
	rows_evals(&r, s->v, &prefix);
	while (looks++ < LOOKS_MAX && (e = eval_next(&r)) != NULL) {
		if (query_ns_is(s->q, eval_row_ns(e)) && sees_in(s, eval_row_ns(e), ACL_READ_JOB) &&
		    !add_id(s, &e->id)) {
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

	if (!id_prefix(s, &prefix)) {
		return;
	}
	rows_deployments(&r, s->v, &prefix);
	while (looks++ < LOOKS_MAX && (d = deployment_next(&r)) != NULL) {
		if (query_ns_is(s->q, deployment_row_ns(d)) && sees_in(s, deployment_row_ns(d), ACL_READ_JOB) &&
		    !add_id(s, &d->id)) {
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
	char id[UUID_TEXT];
	struct rows r;
	bool more = true;

	if ((s->acl != NULL && !acl_may(s->acl, ACL_NODE, ACL_READ)) || (!s->fuzzy && !id_prefix(s, &prefix))) {
		return;
	}
	rows_nodes(&r, s->v, s->fuzzy ? NULL : &prefix);
	while (more && looks++ < LOOKS_MAX && (node = node_next(&r)) != NULL) {
		uuid_format(&node->id, id);
		more = s->fuzzy ? try_name(s, node_row_name(node), SCOPE(id)) : add_id(s, &node->id);
	}
	s->truncated = s->truncated || (more && node != NULL);
}

static bool sees_name(const struct search *s, enum table table, const char *name)
{
	return s->acl == NULL || (table == TABLE_NAMESPACES ? acl_sees_namespace(s->acl, name)
							    : acl_node_pool(s->acl, name, ACL_POOL_READ));
}

/* A namespace is in nothing; a pool is told to be in itself. */
static void search_names(struct search *s, enum table table)
{
	const struct object_row *row;
	struct rows r;

	rows_objects(&r, s->v, table);
	while ((row = object_next(&r)) != NULL) {
		const char *scope = table == TABLE_NAMESPACES ? NULL : row->key;

		if (sees_name(s, table, row->key) && !try_name(s, row->key, SCOPE(scope))) {
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

static void search_variables(struct search *s)
{
	const struct object_row *row;
	unsigned left = LOOKS_MAX;
	struct rows r;

	rows_variables(&r, s->v, query_ns(s->q), s->fuzzy ? "" : s->text);
	while ((row = object_next(&r)) != NULL) {
		if (left-- == 0) {
			s->truncated = true;
			return;
		}
		if (s->acl != NULL && !acl_variable(s->acl, row->key, variable_row_path(row), ACL_VARIABLE_LIST)) {
			continue;
		}
		if (!try_name(s, variable_row_path(row), SCOPE(row->key, variable_row_path(row)))) {
			return;
		}
	}
}

/* False when there are enough. */
static bool try_policies(struct search *s, const struct job_row *row, struct arena *mem)
{
	const struct scaling_policy *p;
	struct uuid id;
	struct job job;
	bool more = true;

	if (job_row_get(row, &job, mem) != 0 || scaling_policies_name(&job, mem) != 0) {
		s->failed = true;
		return false;
	}
	for (unsigned i = 0; more && (p = scaling_policy_at(&job, i)) != NULL; i++) {
		more = !uuid_parse(p->id, strlen(p->id), &id) || add_id(s, &id);
	}
	return more;
}

static bool sees_policies(const struct search *s, const char *ns)
{
	return s->acl == NULL ||
	       acl_in_namespace_any(s->acl, ns, ACL_BIT(LIST_SCALING_POLICIES) | ACL_BIT(READ_JOB));
}

static void search_policies(struct search *s)
{
	const struct job_row *row = NULL;
	struct arena mem = {0};
	unsigned looks = 0;
	unsigned specs = 0;
	bool more = true;
	struct rows r;

	rows_jobs(&r, s->v, query_ns(s->q), "");
	while (more && looks++ < LOOKS_MAX && specs < SPECS_MAX && (row = job_next(&r)) != NULL) {
		if (job_row_scales(row) && sees_policies(s, job_row_ns(row))) {
			more = try_policies(s, row, &mem);
			specs++;
			arena_close(&mem);
		}
	}
	s->truncated = s->truncated || (more && row != NULL);
}

/* There are none. */
static void search_nothing(struct search *s)
{
	(void)s;
}

/* ---- what is inside of jobs ---- */

#define INSIDE_LIST(X) X(GROUPS, "groups") X(SERVICES, "services") X(TASKS, "tasks") X(IMAGES, "images") \
	X(COMMANDS, "commands") X(CLASSES, "classes")

enum inside {
#define X(id, name) INSIDE_##id,
	INSIDE_LIST(X)
#undef X
	N_INSIDES
};

static const char *const inside_names[] = {
#define X(id, name) name,
	INSIDE_LIST(X)
#undef X
};

static void look_into_config(struct search all[N_INSIDES], const struct task *t, const char *const scope[SCOPE_MAX],
			     struct arena *mem)
{
	struct fault fault;
	struct named_by_config named;

	object_init(&named_by_config_type, &named);
	if (json_decode(&named_by_config_type, &named, t->config, strlen(t->config), mem, &fault) != 0) {
		return;
	}
	if (strcmp(t->driver, "docker") == 0) {
		try_name(&all[INSIDE_IMAGES], named.image, scope);
	} else if (strcmp(t->driver, "exec") == 0 || strcmp(t->driver, "raw_exec") == 0) {
		try_name(&all[INSIDE_COMMANDS], named.command, scope);
	} else if (strcmp(t->driver, "java") == 0) {
		try_name(&all[INSIDE_CLASSES], named.class_, scope);
	}
}

static void look_into_task(struct search all[N_INSIDES], const struct job *job, const struct task_group *g,
			   const struct task *t, struct arena *mem)
{
	const char *const scope[SCOPE_MAX] = {job->namespace_, job->id, g->name, t->name};

	try_name(&all[INSIDE_TASKS], t->name, SCOPE(job->namespace_, job->id, g->name));
	for (uint32_t i = 0; i < t->services.n; i++) {
		try_name(&all[INSIDE_SERVICES], t->services.at[i].name, scope);
	}
	look_into_config(all, t, scope, mem);
}

static void look_into(struct search all[N_INSIDES], const struct job *job, struct arena *mem)
{
	for (uint32_t i = 0; i < job->task_groups.n; i++) {
		const struct task_group *g = &job->task_groups.at[i];

		try_name(&all[INSIDE_GROUPS], g->name, SCOPE(job->namespace_, job->id));
		for (uint32_t k = 0; k < g->services.n; k++) {
			try_name(&all[INSIDE_SERVICES], g->services.at[k].name,
				 SCOPE(job->namespace_, job->id, g->name));
		}
		for (uint32_t k = 0; k < g->tasks.n; k++) {
			look_into_task(all, job, g, &g->tasks.at[k], mem);
		}
	}
}

/* Of the first jobs: to look into one takes longer than to read a name. */
static void search_inside(struct search all[N_INSIDES], const struct query *q)
{
	const struct job_row *row = NULL;
	struct arena mem = {0};
	unsigned specs = 0;
	struct rows r;

	rows_jobs(&r, q->v, query_ns(q), "");
	while (specs++ < SPECS_MAX && (row = job_next(&r)) != NULL) {
		struct job job;

		if (sees_in(&all[0], job_row_ns(row), ACL_READ_JOB) && job_row_get(row, &job, &mem) == 0) {
			look_into(all, &job, &mem);
		}
		arena_close(&mem);
	}
	for (unsigned i = 0; i < N_INSIDES; i++) {
		all[i].truncated = all[i].truncated || row != NULL;
	}
}

/* ---- all contexts ---- */

/* Name, whether it is searched by IDs alone even where parts of names are looked for, and how. */
#define CONTEXT_LIST(X)                                                                                                \
	X("allocs", false, search_allocs)                                                                              \
	X("jobs", false, search_jobs)                                                                                  \
	X("nodes", false, search_nodes)                                                                                \
	X("node_pools", false, search_pools)                                                                           \
	X("evals", true, search_evals)                                                                                 \
	X("deployment", true, search_deployments)                                                                      \
	X("plugins", false, search_nothing)                                                                            \
	X("volumes", true, search_nothing)                                                                             \
	X("scaling_policy", true, search_policies)                                                                     \
	X("vars", false, search_variables)                                                                             \
	X("namespaces", false, search_namespaces)                                                                      \
	X("host_volumes", true, search_nothing)

struct context {
	const char *name;
	bool by_id;
	void (*search)(struct search *s);
};

static const struct context contexts[] = {
#define X(name, by_id, search) {name, by_id, search},
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

static void refuse_context(struct http_request *req, const char *context)
{
	struct buf names = {0};

	for (unsigned i = 0; i < N_CONTEXTS; i++) {
		buf_printf(&names, "%s%s", i > 0 ? " " : "", contexts[i].name);
	}
	http_answer_text(req, 500, "context must be one of [%s] or 'all' for all contexts; got \"%.200s\"",
			 buf_text(&names), context);
	buf_close(&names);
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
		refuse_context(q->req, r->context);
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
		http_answer_text(q->req, 500, "fuzzy search query must be at least %d characters, got %zu", TEXT_MIN,
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

static void put_match(const struct search *s, const struct match *m, struct buf *out)
{
	if (!s->fuzzy) {
		json_put_str(out, m->id, strlen(m->id));
		return;
	}
	buf_str(out, "{\"ID\":");
	json_put_str(out, m->id, strlen(m->id));
	for (unsigned i = 0; i < SCOPE_MAX && m->scope[i] != NULL; i++) {
		buf_str(out, i == 0 ? ",\"Scope\":[" : ",");
		json_put_str(out, m->scope[i], strlen(m->scope[i]));
	}
	buf_str(out, m->scope[0] != NULL ? "]}" : "}");
}

static void put_matches(const struct search *s, const char *name, struct buf *out)
{
	buf_printf(out, "%s\"%s\":", out->at[out->len - 1] == '{' ? "" : ",", name);
	if (s->n == 0 && !s->fuzzy) {
		buf_str(out, "null");
		return;
	}
	buf_byte(out, '[');
	for (unsigned i = 0; i < s->n; i++) {
		buf_str(out, i > 0 ? "," : "");
		put_match(s, &s->found[i], out);
	}
	buf_str(out, "]");
}

static void put_truncation(const char *name, bool truncated, struct buf *out)
{
	buf_printf(out, "%s\"%s\":%s", out->len == 0 ? "" : ",", name, truncated ? "true" : "false");
}

/* What was found in a context, and whether there is more. Where parts of names found nothing, nothing is said but that
 * there is no more. */
static void put_found(const struct search *s, const struct context *c, struct buf *out, struct buf *truncations)
{
	if (s->n > 0 || !s->fuzzy || c->by_id) {
		put_matches(s, c->name, out);
	}
	put_truncation(c->name, s->truncated, truncations);
}

static struct search search_of(struct query *q)
{
	const struct search_request *r = q->own;
	bool fuzzy = (q->flags & SEARCH_FUZZY) != 0;

	return (struct search){
		.q = q, .v = q->v, .acl = access_serial(q->req) != 0 ? access_acl(q->req) : NULL, .fuzzy = fuzzy, .text = fuzzy ? r->text : r->prefix, .mem = &q->req->mem};
}

static void put_insides(struct query *q, struct buf *out, struct buf *truncations)
{
	struct search all[N_INSIDES];

	for (unsigned i = 0; i < N_INSIDES; i++) {
		all[i] = search_of(q);
	}
	search_inside(all, q);
	for (unsigned i = 0; i < N_INSIDES; i++) {
		out->failed = out->failed || all[i].failed;
		if (!out->failed && all[i].n > 0) {
			put_matches(&all[i], inside_names[i], out);
			put_truncation(inside_names[i], all[i].truncated, truncations);
		}
	}
}

static int render(struct query *q, struct buf *out)
{
	const struct search_request *r = q->own;
	bool all = r->context[0] == '\0' || strcmp(r->context, "all") == 0;
	struct buf truncations = {0};

	buf_str(out, "{\"Matches\":{");
	for (unsigned i = 0; i < N_CONTEXTS && !out->failed; i++) {
		if (all || strcmp(r->context, contexts[i].name) == 0) {
			struct search s = search_of(q);

			contexts[i].search(&s);
			out->failed = out->failed || s.failed;
			if (!out->failed) {
				put_found(&s, &contexts[i], out, &truncations);
			}
		}
	}
	if ((q->flags & SEARCH_FUZZY) != 0 && (all || strcmp(r->context, "jobs") == 0)) {
		put_insides(q, out, &truncations);
	}
	buf_str(out, "},\"Truncations\":{");
	buf_put(out, truncations.at, truncations.len);
	buf_printf(out, "},\"Index\":%llu,\"LastContact\":%llu,\"KnownLeader\":%s}", (unsigned long long)q->index,
		   (unsigned long long)q->contact_ms, api_info(q->api)->leader_known ? "true" : "false");
	buf_close(&truncations);
	return out->failed ? ERR_NOMEM : 0;
}

const struct query_kind query_search = {.begin = begin_search, .find = find, .render = render};
const struct query_kind query_search_fuzzy = {.begin = begin_fuzzy, .find = find, .render = render};
