#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "raft/table.h"

struct check {
	const struct view *v;
	unsigned faults;
	uint64_t hash; /* Counted anew. */
};

static void fault(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fault(struct check *c, const char *format, ...)
{
	va_list args;

	if (c->faults++ < 20) {
		va_start(args, format);
		fputs("state_check: ", stderr);
		vfprintf(stderr, format, args);
		fputc('\n', stderr);
		va_end(args);
	}
}

#define EXPECT(c, condition, name)                                                                                     \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fault(c, "%s: %s", name, #condition);                                                          \
		}                                                                                                      \
	} while (0)

/* ---- each row by itself, and in its indexes ---- */

static bool in_index(const struct check *c, const struct row *row, enum tree index)
{
	return (const struct row *)view_find(c->v, index, row_key(index, row)) == row;
}

static bool is_newest(const struct check *c, const struct job_row *job)
{
	const struct job_row *newest = NULL;
	const struct job_row *version;
	struct rows r;

	rows_versions(&r, c->v, job_row_ns(job), job_row_id(job));
	while ((version = job_next(&r)) != NULL) {
		newest = version;
	}
	return newest == job;
}

static void check_blobs(struct check *c, const struct row *row)
{
	const struct table_info *t = row_table(row);
	unsigned i;

	for (i = 0; i < t->n_blobs; i++) {
		const struct blob *blob = row_blobs(row)[i];

		if (blob != NULL) {
			EXPECT(c, blob->hash == blob_hash(blob->data, blob->len), table_name((enum table)row->table));
		}
	}
}

static void check_row(struct check *c, const struct row *row, size_t *indexed)
{
	const struct table_info *t = row_table(row);
	bool newest = row->table != TABLE_JOBS || is_newest(c, (const struct job_row *)row);
	unsigned i;

	check_blobs(c, row);
	EXPECT(c, row->hash == row_hash(row), table_name((enum table)row->table));
	c->hash += row->hash;
	for (i = 0; i < t->n_indexes; i++) {
		enum tree index = (enum tree)t->indexes[i];
		bool wanted = newest && row_indexed(row, index);

		if (in_index(c, row, index) != wanted) {
			fault(c, "a row of %s is %s index %d", table_name((enum table)row->table),
			      wanted ? "not in" : "in", index);
		}
		indexed[i] += wanted;
	}
}

static void check_table(struct check *c, enum table table)
{
	const struct table_info *t = &tables[table];
	size_t indexed[4] = {0};
	const struct row *row;
	struct rows r;
	unsigned i;

	view_check(c->v, table);
	rows_objects(&r, c->v, table);
	while ((row = rows_next(&r)) != NULL) {
		if (row->table != table) {
			fault(c, "a row of another table in %s", table_name(table));
			return;
		}
		check_row(c, row, indexed);
	}
	for (i = 0; i < t->n_indexes; i++) {
		view_check(c->v, t->indexes[i]);
		if (view_count(c->v, t->indexes[i]) != indexed[i]) {
			fault(c, "index %d of %s has %zu rows and should have %zu", t->indexes[i], table_name(table),
			      view_count(c->v, t->indexes[i]), indexed[i]);
		}
	}
}

/* ---- what is told twice ---- */

struct counts {
	uint32_t allocs, live_allocs, evals, open_evals, blocked_evals;
	uint32_t children[JOB_STATUS_COUNT]; /* Dead ones stay counted when they are collected. */
};

static uint32_t group_now(const struct check *c, const struct job_row *job, const char *group, int client)
{
	const struct alloc_row *alloc;
	uint32_t n = 0;
	struct rows r;

	rows_allocs_of_job(&r, c->v, job);
	while ((alloc = alloc_next(&r)) != NULL) {
		n += strcmp(alloc_row_group(alloc), group) == 0 && alloc->client == client;
	}
	return n;
}

static void check_groups(struct check *c, const struct summary_row *s, const struct job_row *job)
{
	const char *name = (const char *)s->names->data;
	const char *id = summary_row_id(s);
	unsigned i;

	for (i = 0; i < s->groups; i++, name += strlen(name) + 1) {
		const uint32_t *count = summary_row_counts(s, i);

		EXPECT(c, count[GROUP_STARTING] == group_now(c, job, name, ALLOC_CLIENT_PENDING), id);
		EXPECT(c, count[GROUP_RUNNING] == group_now(c, job, name, ALLOC_CLIENT_RUNNING), id);
		EXPECT(c, count[GROUP_UNKNOWN] == group_now(c, job, name, ALLOC_CLIENT_UNKNOWN), id);
		EXPECT(c, count[GROUP_COMPLETE] >= group_now(c, job, name, ALLOC_CLIENT_COMPLETE), id);
		EXPECT(c, count[GROUP_FAILED] >= group_now(c, job, name, ALLOC_CLIENT_FAILED), id);
		EXPECT(c, count[GROUP_LOST] >= group_now(c, job, name, ALLOC_CLIENT_LOST), id);
	}
}

static struct counts recount(const struct check *c, const struct job_row *job)
{
	const struct alloc_row *alloc;
	const struct eval_row *eval;
	const struct job_row *child;
	struct counts n = {0};
	struct rows r;

	rows_allocs_of_job(&r, c->v, job);
	while ((alloc = alloc_next(&r)) != NULL) {
		n.allocs++;
		n.live_allocs += !alloc_row_terminal(alloc);
	}
	rows_evals_of_job(&r, c->v, job_row_ns(job), job_row_id(job));
	while ((eval = eval_next(&r)) != NULL) {
		n.evals++;
		n.open_evals += !eval_row_terminal(eval);
		n.blocked_evals += eval->status == EVAL_STATUS_BLOCKED;
	}
	rows_jobs(&r, c->v, job_row_ns(job), job_row_id(job));
	while ((child = job_next(&r)) != NULL) {
		if ((child->flags & JOB_CHILD) != 0 && strcmp(job_row_parent(child), job_row_id(job)) == 0) {
			n.children[child->status]++;
		}
	}
	return n;
}

static void check_summary(struct check *c, const struct summary_row *s)
{
	const struct job_row *job = state_job(c->v, summary_row_ns(s), summary_row_id(s));
	const char *id = summary_row_id(s);
	struct counts n;

	if (job == NULL) {
		fault(c, "a summary without a job: %s", id);
		return;
	}
	n = recount(c, job);
	EXPECT(c, s->allocs == n.allocs, id);
	EXPECT(c, s->live_allocs == n.live_allocs, id);
	EXPECT(c, s->evals == n.evals, id);
	EXPECT(c, s->open_evals == n.open_evals, id);
	EXPECT(c, s->blocked_evals == n.blocked_evals, id);
	EXPECT(c, s->children[JOB_STATUS_PENDING] == n.children[JOB_STATUS_PENDING], id);
	EXPECT(c, s->children[JOB_STATUS_RUNNING] == n.children[JOB_STATUS_RUNNING], id);
	EXPECT(c, s->children[JOB_STATUS_DEAD] >= n.children[JOB_STATUS_DEAD], id);
	check_groups(c, s, job);
}

static void check_job(struct check *c, const struct job_row *job)
{
	const struct summary_row *s = state_summary(c->v, job_row_ns(job), job_row_id(job));
	const char *id = job_row_id(job);

	EXPECT(c, s != NULL, id);
	EXPECT(c, job->status == JOB_STATUS_DEAD || state_namespace(c->v, job_row_ns(job)) != NULL, id);
	EXPECT(c, job_spec_valid(job->spec->data, job->spec->len), id);
	if (s != NULL && job->status == JOB_STATUS_DEAD) {
		EXPECT(c, s->live_allocs == 0 || job->type == JOB_TYPE_SYSTEM, id);
	}
	if (s != NULL && s->live_allocs > 0 && (job->flags & JOB_STOP) == 0) {
		EXPECT(c, job->status == JOB_STATUS_RUNNING, id);
	}
}

static void check_alloc(struct check *c, const struct alloc_row *alloc)
{
	char id[UUID_TEXT];

	uuid_format(&alloc->id, id);
	EXPECT(c, alloc->job != NULL && alloc->node_name != NULL, id);
	EXPECT(c, get_be64(alloc->job_key) == alloc->job->create_index, id);
	EXPECT(c, alloc->group < job_row_groups(alloc->job), id);
	EXPECT(c, memcmp(alloc->eval_serial, alloc->job_serial, 8) == 0, id);
	EXPECT(c, memcmp(alloc->deployment_serial, alloc->job_serial, 8) == 0, id);
	EXPECT(c, (alloc->flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY)) != (ALLOC_HEALTHY | ALLOC_UNHEALTHY), id);
	EXPECT(c, alloc->job->row.hash == row_hash(&alloc->job->row), id);
	EXPECT(c, state_job(c->v, job_row_ns(alloc->job), job_row_id(alloc->job)) != NULL, id);
}

static void check_service(struct check *c, const struct service_row *service)
{
	const struct alloc_row *alloc = state_alloc(c->v, &service->alloc_id);
	const char *id = service_row_id(service);

	EXPECT(c, alloc != NULL && alloc->client == ALLOC_CLIENT_RUNNING, id);
	EXPECT(c, alloc == NULL || strcmp(job_row_ns(alloc->job), service_row_ns(service)) == 0, id);
}

static void check_variable(struct check *c, const struct object_row *row)
{
	const struct object_row *hold = state_variable_hold(c->v, row->key, variable_row_path(row));
	const char *path = variable_row_path(row);
	struct arena mem = {0};
	struct sealed_variable v;
	struct variable_hold h;

	if (object_row_get(row, &sealed_variable_type, &v, &mem) != 0) {
		fault(c, "variable %s cannot be decoded", path);
	} else if (v.lock_id[0] != '\0') {
		EXPECT(c, hold != NULL && object_row_get(hold, &variable_hold_type, &h, &mem) == 0 &&
			       strcmp(h.lock_id, v.lock_id) == 0, path);
	}
	arena_close(&mem);
}

/* One root key at the most is active, and one is when there are any. */
static void check_keys(struct check *c)
{
	const struct object_row *row;
	struct arena mem = {0};
	unsigned active = 0;
	struct root_key key;
	struct rows r;

	rows_objects(&r, c->v, TABLE_ROOT_KEYS);
	while ((row = object_next(&r)) != NULL) {
		active += object_row_get(row, &root_key_type, &key, &mem) == 0 && strcmp(key.state, "active") == 0;
	}
	EXPECT(c, active == (view_count(c->v, TABLE_ROOT_KEYS) > 0), "root keys");
	arena_close(&mem);
}

static void check_tokens(struct check *c)
{
	const struct acl_token_row *token;
	const struct acl_once_row *once;
	uint8_t lookup[16];
	struct rows r;

	rows_objects(&r, c->v, TABLE_ACL_TOKENS);
	while ((token = acl_token_next(&r)) != NULL) {
		acl_lookup(&token->secret, lookup);
		EXPECT(c, memcmp(lookup, token->lookup, sizeof(lookup)) == 0, "a token's lookup");
		EXPECT(c, acl_token_row_expiry(token) >= 0, "a token's expiry");
	}
	rows_objects(&r, c->v, TABLE_ACL_ONCE);
	while ((once = acl_once_next(&r)) != NULL) {
		acl_lookup(&once->secret, lookup);
		EXPECT(c, memcmp(lookup, once->lookup, sizeof(lookup)) == 0, "a one-time token's lookup");
		EXPECT(c, view_find(c->v, TABLE_ACL_TOKENS, (struct tree_key){&once->accessor, sizeof(once->accessor)}),
		       "a one-time token's token");
	}
}

bool state_check(const struct view *v)
{
	struct check c = {.v = v};
	const struct summary_row *summary;
	const struct service_row *service;
	const struct object_row *object;
	const struct alloc_row *alloc;
	const struct job_row *job;
	struct rows r;
	unsigned t;

	for (t = 0; t < N_TABLES; t++) {
		check_table(&c, (enum table)t);
		EXPECT(&c, state_table_index(v, (enum table)t) <= state_index(v), table_name((enum table)t));
	}
	if (c.hash != state_hash(v)) {
		fault(&c, "the hash is %016llx and should be %016llx", (unsigned long long)state_hash(v),
		      (unsigned long long)c.hash);
	}
	rows_summaries(&r, v, NULL, "");
	while ((summary = summary_next(&r)) != NULL) {
		check_summary(&c, summary);
	}
	rows_jobs(&r, v, NULL, "");
	while ((job = job_next(&r)) != NULL) {
		check_job(&c, job);
	}
	rows_allocs(&r, v, NULL);
	while ((alloc = alloc_next(&r)) != NULL) {
		check_alloc(&c, alloc);
	}
	rows_services(&r, v, NULL, NULL);
	while ((service = service_next(&r)) != NULL) {
		check_service(&c, service);
	}
	rows_variables(&r, v, NULL, "");
	while ((object = object_next(&r)) != NULL) {
		check_variable(&c, object);
	}
	check_keys(&c);
	check_tokens(&c);
	return c.faults == 0;
}
