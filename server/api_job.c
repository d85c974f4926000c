/* Reads of one job: itself, its versions, and what belongs to it. */
#include "proto/diff.h"
#include "proto/error.h"
#include "server/api_handlers.h"
#include "server/api_scaling.h"

#define VERSIONS_ANSWER_FIELDS(X, T)                                                                                   \
	X(T, LIST(job), versions, "Versions", .brackets = true)                                                        \
	X(T, LIST(job_diff), diffs, "Diffs")                                                                           \
	X(T, INT, index, "Index")                                                                                      \
	X(T, INT, last_contact, "LastContact")                                                                         \
	X(T, BOOL, known_leader, "KnownLeader")                                                                        \
	X(T, STR, next_token, "NextToken")

#define GROUP_SCALING_FIELDS(X, T)                                                                                     \
	X(T, INT, desired, "Desired")                                                                                  \
	X(T, INT, placed, "Placed")                                                                                    \
	X(T, INT, running, "Running")                                                                                  \
	X(T, INT, healthy, "Healthy")                                                                                  \
	X(T, INT, unhealthy, "Unhealthy")                                                                              \
	X(T, LIST(scaling_event), events, "Events")

#define SCALING_ANSWER_FIELDS(X, T)                                                                                    \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, STR, namespace_, "Namespace")                                                                             \
	X(T, INT, job_create_index, "JobCreateIndex")                                                                  \
	X(T, INT, job_modify_index, "JobModifyIndex")                                                                  \
	X(T, BOOL, job_stopped, "JobStopped")                                                                          \
	X(T, OBJMAP(group_scaling), groups, "TaskGroups", .brackets = true)

#define SUBMISSION_ANSWER_FIELDS(X, T)                                                                                 \
	SUBMISSION_FIELDS(X, T)                                                                                        \
	X(T, STR, namespace_, "Namespace")                                                                             \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, INT, version, "Version")                                                                                  \
	X(T, INT, job_modify_index, "JobModifyIndex")

#define JOB_ACTION_FIELDS(X, T)                                                                                        \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, command, "Command")                                                                                  \
	X(T, STRS, args, "Args")                                                                                       \
	X(T, STR, task, "TaskName")                                                                                    \
	X(T, STR, group, "TaskGroupName")

OBJECT_DECLARE(versions_answer, VERSIONS_ANSWER_FIELDS);
OBJECT_DECLARE(group_scaling, GROUP_SCALING_FIELDS);
OBJECT_DECLARE(scaling_answer, SCALING_ANSWER_FIELDS);
OBJECT_DECLARE(submission_answer, SUBMISSION_ANSWER_FIELDS);
OBJECT_DECLARE(job_action, JOB_ACTION_FIELDS);
OBJECT_DEFINE(versions_answer, VERSIONS_ANSWER_FIELDS);
OBJECT_DEFINE(group_scaling, GROUP_SCALING_FIELDS);
OBJECT_DEFINE(scaling_answer, SCALING_ANSWER_FIELDS);
OBJECT_DEFINE(submission_answer, SUBMISSION_ANSWER_FIELDS);
OBJECT_DEFINE(job_action, JOB_ACTION_FIELDS);

static const char *job_id(const struct query *q)
{
	return q->req->params[0];
}

static const char *job_ns(const struct query *q)
{
	return q->opt.namespace_;
}

static uint64_t job_key(const struct query *q)
{
	return watch_key_job(job_ns(q), job_id(q));
}

static const struct job_row *job_of(const struct query *q)
{
	return state_job(q->v, job_ns(q), job_id(q));
}

/* ---- the job ---- */

static int find_job(struct query *q)
{
	const struct job_row *row = job_of(q);

	return query_found(q, TABLE_JOBS, job_key(q), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_job(struct query *q, struct buf *out)
{
	struct job job;
	int rv = job_row_get(q->row, &job, &q->req->mem);

	if (rv == 0) {
		rv = scaling_policies_name(&job, &q->req->mem);
	}
	if (rv == 0) {
		object_hide_secrets(&job_type, &job);
		json_encode(&job_type, &job, out);
	}
	return rv;
}

const struct query_kind query_job = {.find = find_job, .render = render_job, .missing = "job not found"};

/* ---- versions ---- */

/* What each version is compared with: the one before it, or always the same. */
struct comparison {
	bool diffs;
	const char *tag; /* "": none. */
	int64_t version; /* -1: none. */
};

static int begin_versions(struct query *q)
{
	struct comparison *c = arena_calloc(&q->req->mem, 1, sizeof(*c));
	const char *tag = http_query(q->req, "diff_tag");

	if (c == NULL) {
		http_answer_error(q->req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	*c = (struct comparison){.tag = tag != NULL ? tag : "", .version = -1};
	q->own = c;
	if (http_query_bool(q->req, "diffs", &c->diffs) != 0) {
		http_answer_text(q->req, 500, "%s", q->req->error);
		return ERR_INVALID;
	}
	if (http_query_int(q->req, "diff_version", &c->version) != 0) {
		const char *text = http_query(q->req, "diff_version");

		http_answer_text(q->req, 500,
				 "Failed to parse value of \"diff_version\" (%s) as a uint64: strconv.ParseUint: parsing "
				 "\"%s\": invalid syntax",
				 text, text);
		return ERR_INVALID;
	}
	return 0;
}

static bool has_tag(const struct job_row *row, const char *tag)
{
	struct arena mem = {0};
	struct job job;
	bool has = (row->flags & JOB_TAGGED) != 0 && job_row_get(row, &job, &mem) == 0 && job.version_tag != NULL &&
		   strcmp(job.version_tag->name, tag) == 0;

	arena_close(&mem);
	return has;
}

/* Whether there is what the versions are to be compared with; else it is told what is not there. */
static bool base_is_there(struct query *q)
{
	const struct comparison *c = q->own;
	const struct job_row *row;
	struct rows r;

	if (!c->diffs || (c->tag[0] == '\0' && c->version < 0)) {
		return true;
	}
	rows_versions(&r, q->v, job_ns(q), job_id(q));
	do {
		row = job_next(&r);
	} while (row != NULL && (c->tag[0] != '\0' ? !has_tag(row, c->tag)
						   : row->version != (uint64_t)c->version));
	if (row == NULL) {
		q->missing = c->tag[0] != '\0' ? arena_printf(&q->req->mem, "tag \"%s\" not found", c->tag)
					       : arena_printf(&q->req->mem, "version %lld not found",
							      (long long)c->version);
	}
	return row != NULL;
}

/* The index is that of the version that changed last; the body depends on them all. */
static int find_versions(struct query *q)
{
	const struct job_row *newest = NULL;
	const struct job_row *row;
	uint64_t index = 0;
	uint64_t stamp = 1;
	struct rows r;
	int rv;

	rows_versions(&r, q->v, job_ns(q), job_id(q));
	while ((row = job_next(&r)) != NULL) {
		index = row->modify_index > index ? row->modify_index : index;
		stamp = stamp * 31 + row->row.hash;
		newest = row;
	}
	rv = query_found(q, TABLE_JOBS, job_key(q), ROW_OF(newest), index);
	q->stamp = rv == 0 && q->contact_ms == 0 ? stamp | 1 : 0;
	return rv == 0 && !base_is_there(q) ? ERR_NOTFOUND : rv;
}

static int get_versions(struct query *q, struct versions_answer *a)
{
	struct arena *mem = &q->req->mem;
	const struct job_row *row;
	uint32_t n = 0;
	struct rows r;

	rows_versions(&r, q->v, job_ns(q), job_id(q));
	while (job_next(&r) != NULL) {
		n++;
	}
	a->versions.at = arena_alloc(mem, n * sizeof(a->versions.at[0]));
	if (a->versions.at == NULL) {
		return ERR_NOMEM;
	}
	rows_versions(&r, q->v, job_ns(q), job_id(q));
	while ((row = job_prev(&r)) != NULL) {
		int rv = job_row_get(row, &a->versions.at[a->versions.n++], mem);

		if (rv != 0) {
			return rv;
		}
	}
	return 0;
}

static bool is_compared_with(const struct comparison *c, const struct job *job)
{
	if (c->tag[0] != '\0') {
		return job->version_tag != NULL && strcmp(job->version_tag->name, c->tag) == 0;
	}
	return job->version == c->version;
}

/* The version that all are compared with; NULL when it is the one before each. ERR_NOTFOUND. */
static int find_base(const struct comparison *c, const struct versions_answer *a, const struct job **base)
{
	*base = NULL;
	if (c->tag[0] == '\0' && c->version < 0) {
		return 0;
	}
	for (uint32_t i = 0; i < a->versions.n; i++) {
		if (is_compared_with(c, &a->versions.at[i])) {
			*base = &a->versions.at[i];
			return 0;
		}
	}
	return ERR_NOTFOUND;
}

static int make_diffs(struct query *q, struct versions_answer *a)
{
	const struct job *base;
	int rv = find_base(q->own, a, &base);

	a->diffs.at = arena_calloc(&q->req->mem, a->versions.n, sizeof(a->diffs.at[0]));
	if (rv == 0 && a->diffs.at == NULL) {
		rv = ERR_NOMEM;
	}
	for (uint32_t i = 0; i < a->versions.n && rv == 0; i++) {
		const struct job *now = &a->versions.at[i];
		const struct job *was = base != NULL ? base : i + 1 < a->versions.n ? now + 1 : now;

		if (was != now) {
			rv = job_diff(was, now, true, &q->req->mem, &a->diffs.at[a->diffs.n++]);
		}
	}
	return rv;
}

static int render_versions(struct query *q, struct buf *out)
{
	const struct comparison *c = q->own;
	struct versions_answer a;
	int rv;

	object_init(&versions_answer_type, &a);
	rv = get_versions(q, &a);
	if (rv == 0 && c->diffs) {
		rv = make_diffs(q, &a);
	}
	a.index = (int64_t)q->index;
	a.last_contact = (int64_t)q->contact_ms;
	a.known_leader = api_info(q->api)->leader_known;
	for (uint32_t i = 0; i < a.versions.n && rv == 0; i++) {
		rv = scaling_policies_name(&a.versions.at[i], &q->req->mem);
	}
	if (rv == 0) {
		object_hide_secrets(&versions_answer_type, &a);
		json_encode(&versions_answer_type, &a, out);
	}
	return rv;
}

const struct query_kind query_job_versions = {
	.begin = begin_versions, .find = find_versions, .render = render_versions, .missing = "job versions not found"};

/* ---- what belongs to the job ---- */

/* ?all would add those of earlier jobs of this name, but they are gone with them. */
static int find_allocs(struct query *q)
{
	query_table(q, TABLE_ALLOCS);
	q->row = job_of(q);
	return 0;
}

static void open_allocs(struct query *q, struct rows *r)
{
	if (q->row != NULL) {
		rows_allocs_of_job(r, q->v, q->row);
	} else {
		rows_none(r);
	}
}

static int get_alloc(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return alloc_row_stub((const struct alloc_row *)row, ALLOC_STUB_TASK_STATES, obj, &s->jobs, &s->mem);
}

static const struct list_kind job_alloc_list = {.type = &alloc_stub_type, .open = open_allocs, .get = get_alloc};
const struct query_kind query_job_allocs = {.find = find_allocs, .list = &job_alloc_list};

static int find_evals(struct query *q)
{
	query_table(q, TABLE_EVALS);
	return 0;
}

static void open_evals(struct query *q, struct rows *r)
{
	rows_evals_of_job(r, q->v, job_ns(q), job_id(q));
}

static int get_eval(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return eval_row_get((const struct eval_row *)row, obj, &s->mem);
}

static const struct list_kind job_eval_list = {.type = &evaluation_type, .open = open_evals, .get = get_eval};
const struct query_kind query_job_evals = {.find = find_evals, .list = &job_eval_list};

static int find_deployments(struct query *q)
{
	query_table(q, TABLE_DEPLOYMENTS);
	return 0;
}

static void open_deployments(struct query *q, struct rows *r)
{
	rows_deployments_of_job(r, q->v, job_ns(q), job_id(q));
}

static int get_deployment(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return deployment_row_get((const struct deployment_row *)row, obj, &s->mem);
}

static const struct list_kind job_deployment_list = {
	.type = &deployment_type, .open = open_deployments, .get = get_deployment, .backwards = true};
const struct query_kind query_job_deployments = {
	.find = find_deployments, .list = &job_deployment_list};

/* The newest one, which may be another one next time: so the whole table is watched. */
static int find_latest(struct query *q)
{
	const struct deployment_row *row = state_latest_deployment(q->v, job_ns(q), job_id(q));

	query_table(q, TABLE_DEPLOYMENTS);
	if (row != NULL) {
		q->row = &row->row;
		q->index = row->modify_index;
		q->stamp = row->row.hash | 1;
	}
	return 0;
}

static int render_latest(struct query *q, struct buf *out)
{
	struct deployment d;
	int rv;

	if (q->row == NULL) {
		buf_str(out, "null");
		return 0;
	}
	rv = deployment_row_get(q->row, &d, &q->req->mem);
	if (rv == 0) {
		json_encode(&deployment_type, &d, out);
	}
	return rv;
}

const struct query_kind query_job_deployment = {.find = find_latest, .render = render_latest};

static int find_summary(struct query *q)
{
	const struct summary_row *row = state_summary(q->v, job_ns(q), job_id(q));

	return query_found(q, TABLE_SUMMARIES, job_key(q), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_summary(struct query *q, struct buf *out)
{
	struct job_summary s;
	int rv = summary_row_get(q->row, &s, &q->req->mem);

	if (rv == 0) {
		json_encode(&job_summary_type, &s, out);
	}
	return rv;
}

const struct query_kind query_job_summary = {
	.find = find_summary, .render = render_summary, .missing = "job not found"};

/* ---- scaling ---- */

static int find_scaling(struct query *q)
{
	const struct job_row *row = job_of(q);

	query_table(q, TABLE_ALLOCS);
	query_table(q, TABLE_SCALINGS);
	query_table(q, TABLE_JOBS);
	q->row = ROW_OF(row);
	return row != NULL ? 0 : ERR_NOTFOUND;
}

static int put_group_scaling(struct query *q, const struct task_group *group, struct group_scaling *g)
{
	const struct object_row *row = state_scaling(q->v, job_ns(q), job_id(q), group->name);
	struct scaling_events events;
	int rv;

	object_init(&group_scaling_type, g);
	g->desired = group->count;
	if (row == NULL) {
		return 0;
	}
	rv = object_row_get(row, &scaling_events_type, &events, &q->req->mem);
	if (rv == 0) {
		g->events.at = events.events.at;
		g->events.n = events.events.n;
	}
	return rv;
}

static void count_allocs(struct query *q, struct scaling_answer *a)
{
	const struct alloc_row *alloc;
	struct rows r;

	rows_allocs_of_job(&r, q->v, q->row);
	while ((alloc = alloc_next(&r)) != NULL) {
		const char *name = alloc_row_group(alloc);

		for (uint32_t i = 0; i < a->groups.n && !alloc_row_terminal(alloc); i++) {
			if (strcmp(a->groups.keys[i], name) == 0) {
				struct group_scaling *g = &a->groups.at[i];

				g->placed++;
				g->running += alloc->client == ALLOC_CLIENT_RUNNING;
				g->healthy += (alloc->flags & ALLOC_HEALTHY) != 0;
				g->unhealthy += (alloc->flags & ALLOC_UNHEALTHY) != 0;
			}
		}
	}
}

static int put_groups(struct query *q, const struct job *job, struct scaling_answer *a)
{
	uint32_t n = job->task_groups.n;
	int rv = 0;

	a->groups.keys = arena_calloc(&q->req->mem, n, sizeof(char *));
	a->groups.at = arena_calloc(&q->req->mem, n, sizeof(a->groups.at[0]));
	if (a->groups.keys == NULL || a->groups.at == NULL) {
		return ERR_NOMEM;
	}
	for (; a->groups.n < n && rv == 0; a->groups.n++) {
		a->groups.keys[a->groups.n] = job->task_groups.at[a->groups.n].name;
		rv = put_group_scaling(q, &job->task_groups.at[a->groups.n], &a->groups.at[a->groups.n]);
	}
	return rv;
}

static int render_scaling(struct query *q, struct buf *out)
{
	struct scaling_answer a;
	struct job job;
	int rv = job_row_get(q->row, &job, &q->req->mem);

	object_init(&scaling_answer_type, &a);
	if (rv == 0) {
		rv = put_groups(q, &job, &a);
	}
	if (rv == 0) {
		count_allocs(q, &a);
		a.job_id = job.id;
		a.namespace_ = job.namespace_;
		a.job_create_index = job.create_index;
		a.job_modify_index = job.job_modify_index;
		a.job_stopped = job.stop;
		json_encode(&scaling_answer_type, &a, out);
	}
	return rv;
}

const struct query_kind query_job_scaling = {
	.find = find_scaling, .render = render_scaling, .missing = "job not found"};

/* ---- actions ---- */

static void put_actions(const struct task_group *g, const struct task *t, struct buf *out)
{
	for (uint32_t i = 0; i < t->actions.n; i++) {
		const struct action *action = &t->actions.at[i];
		struct job_action a = {action->name, action->command, action->args, t->name, g->name};

		buf_str(out, out->at[out->len - 1] == '[' ? "" : ",");
		json_encode(&job_action_type, &a, out);
	}
}

static int render_actions(struct query *q, struct buf *out)
{
	struct job job;
	int rv = job_row_get(q->row, &job, &q->req->mem);

	buf_str(out, "[");
	for (uint32_t i = 0; rv == 0 && i < job.task_groups.n && !out->failed; i++) {
		const struct task_group *g = &job.task_groups.at[i];

		for (uint32_t k = 0; k < g->tasks.n && !out->failed; k++) {
			put_actions(g, &g->tasks.at[k], out);
		}
	}
	buf_str(out, "]");
	return rv;
}

const struct query_kind query_job_actions = {.find = find_job, .render = render_actions, .missing = "job not found"};

/* ---- the source ---- */

struct source_ask {
	int64_t version; /* -1: that of the newest. */
	uint64_t found;
};

static int begin_submission(struct query *q)
{
	struct source_ask *ask = arena_alloc(&q->req->mem, sizeof(*ask));

	if (ask == NULL) {
		http_answer_error(q->req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	ask->version = -1;
	q->own = ask;
	if (http_query_int(q->req, "version", &ask->version) != 0) {
		http_answer_text(q->req, 400, "Unable to parse job submission version parameter");
		return ERR_INVALID;
	}
	return 0;
}

static int find_submission(struct query *q)
{
	const struct job_row *job = job_of(q);
	struct source_ask *ask = q->own;
	const struct object_row *row = NULL;

	if (job != NULL) {
		ask->found = ask->version >= 0 ? (uint64_t)ask->version : job->version;
		row = state_submission(q->v, job_ns(q), job_id(q), ask->found);
	}
	return query_found(q, TABLE_SUBMISSIONS, job_key(q), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_submission(struct query *q, struct buf *out)
{
	const struct object_row *row = q->row;
	const struct source_ask *ask = q->own;
	struct submission_answer a;
	struct submission s;
	int rv = object_row_get(row, &submission_type, &s, &q->req->mem);

	if (rv == 0) {
		a = (struct submission_answer){.source = s.source,
					       .format = s.format,
					       .variable_flags = s.variable_flags,
					       .variables = s.variables,
					       .namespace_ = job_ns(q),
					       .job_id = job_id(q),
					       .version = (int64_t)ask->found,
					       .job_modify_index = (int64_t)row->modify_index};
		json_encode(&submission_answer_type, &a, out);
	}
	return rv;
}

const struct query_kind query_job_submission = {.begin = begin_submission,
						.find = find_submission,
						.render = render_submission,
						.missing = "job source not found"};
