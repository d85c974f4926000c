/* Lists of jobs. */
#include "proto/error.h"
#include "server/api_handlers.h"

#define JOB_STATUS_ALLOC_HEALTH_FIELDS(X, T)                                                                           \
	X(T, BOOL, canary, "Canary")                                                                                   \
	X(T, OPTBOOL, healthy, "Healthy")

#define JOB_STATUS_ALLOC_FIELDS(X, T)                                                                                  \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, group, "Group")                                                                                      \
	X(T, STR, client_status, "ClientStatus")                                                                       \
	X(T, STR, node_id, "NodeID")                                                                                   \
	X(T, OBJ(job_status_alloc_health), deployment_status, "DeploymentStatus")                                      \
	X(T, INT, job_version, "JobVersion")                                                                           \
	X(T, STR, followup_eval, "FollowupEvalID")                                                                     \
	X(T, BOOL, has_paused_task, "HasPausedTask")

#define JOB_STATUS_DEPLOYMENT_FIELDS(X, T)                                                                             \
	X(T, STR, id, "ID")                                                                                            \
	X(T, BOOL, is_active, "IsActive")                                                                              \
	X(T, INT, job_version, "JobVersion")                                                                           \
	X(T, STR, status, "Status")                                                                                    \
	X(T, STR, status_description, "StatusDescription")                                                             \
	X(T, BOOL, all_auto_promote, "AllAutoPromote")                                                                 \
	X(T, BOOL, requires_promotion, "RequiresPromotion")

#define JOB_STATUS_OBJECT_FIELDS(X, T)                                                                                 \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, namespace_, "Namespace")                                                                             \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, type, "Type")                                                                                        \
	X(T, STR, node_pool, "NodePool")                                                                               \
	X(T, STRS, datacenters, "Datacenters")                                                                         \
	X(T, INT, priority, "Priority")                                                                                \
	X(T, INT, version, "Version")                                                                                  \
	X(T, INT, submit_time, "SubmitTime")                                                                           \
	X(T, INT, create_index, "CreateIndex")                                                                         \
	X(T, INT, modify_index, "ModifyIndex")                                                                         \
	X(T, LIST(job_status_alloc), allocs, "Allocs", .brackets = true)                                               \
	X(T, INT, group_count_sum, "GroupCountSum")                                                                    \
	X(T, STRS, child_statuses, "ChildStatuses")                                                                    \
	X(T, STR, parent_id, "ParentID")                                                                               \
	X(T, OBJ(job_status_deployment), latest_deployment, "LatestDeployment")                                        \
	X(T, BOOL, stop, "Stop")                                                                                       \
	X(T, STR, status, "Status")                                                                                    \
	X(T, BOOL, is_pack, "IsPack")

enum {
	JOBS_WANTED_MAX = 500,
	STATUS_LOOKS_MAX = 5000, /* Allocations that are looked at to find out when wanted jobs changed last. */
};

/* Which jobs a POST asks for. */
#define JOBS_WANTED_FIELDS(X, T)                                                                                       \
	X(T, LIST(job_name), jobs, "Jobs")                                                                             \
	X(T, BOOL, include_children, "IncludeChildren")

OBJECT_DECLARE(job_status_alloc_health, JOB_STATUS_ALLOC_HEALTH_FIELDS);
OBJECT_DECLARE(job_status_alloc, JOB_STATUS_ALLOC_FIELDS);
OBJECT_DECLARE(job_status_deployment, JOB_STATUS_DEPLOYMENT_FIELDS);
OBJECT_DECLARE(job_status_object, JOB_STATUS_OBJECT_FIELDS);
OBJECT_DECLARE(jobs_wanted, JOBS_WANTED_FIELDS);
OBJECT_DEFINE(job_status_alloc_health, JOB_STATUS_ALLOC_HEALTH_FIELDS);
OBJECT_DEFINE(job_status_alloc, JOB_STATUS_ALLOC_FIELDS);
OBJECT_DEFINE(job_status_deployment, JOB_STATUS_DEPLOYMENT_FIELDS);
OBJECT_DEFINE(job_status_object, JOB_STATUS_OBJECT_FIELDS);
OBJECT_DEFINE(jobs_wanted, JOBS_WANTED_FIELDS);

/* ---- the list ---- */

enum { JOBS_META = 1 }; /* query.flags */

static int begin_jobs(struct query *q)
{
	bool meta = false;

	if (http_query_bool(q->req, "meta", &meta) != 0) {
		http_answer_text(q->req, 400, "%s", q->req->error);
		return ERR_INVALID;
	}
	q->flags = meta ? JOBS_META : 0;
	return 0;
}

static int find_jobs(struct query *q)
{
	query_table(q, TABLE_JOBS);
	query_table(q, TABLE_SUMMARIES);
	return 0;
}

static void open_jobs(struct query *q, struct rows *r)
{
	rows_jobs(r, q->v, query_ns(q), q->opt.prefix);
}

/* Over all namespaces the prefix is not part of the iteration. */
static bool match_job(const struct query *q, const struct row *row)
{
	return strncmp(job_row_id((const struct job_row *)row), q->opt.prefix, strlen(q->opt.prefix)) == 0;
}

static int get_job(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	const struct job_row *job = (const struct job_row *)row;
	struct job_stub *stub = obj;
	struct job whole;
	int rv = job_row_stub(q->v, job, stub, &s->mem);

	if (rv == 0 && (q->flags & JOBS_META) != 0) {
		rv = job_row_get(job, &whole, &s->mem);
		stub->meta = whole.meta;
	}
	return rv;
}

static int get_whole_job(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return job_row_get((const struct job_row *)row, obj, &s->mem);
}

static bool sees_job(const struct acl *acl, const struct row *row)
{
	return acl_in_namespace(acl, job_row_ns((const struct job_row *)row), ACL_LIST_JOBS);
}

static const struct list_kind job_list = {
	.type = &job_stub_type,
	.open = open_jobs,
	.match = match_job,
	.sees = sees_job,
	.get = get_job,
	.whole = &job_type,
	.get_whole = get_whole_job,
	.partial = {"Meta", "Periodic", "ParameterizedJob"},
	.key = LIST_BY_JOB,
};

const struct query_kind query_jobs = {.begin = begin_jobs, .find = find_jobs, .list = &job_list};

/* ---- jobs of a node pool ---- */

static int begin_pool_jobs(struct query *q)
{
	return query_refuses_prefix(q) ? ERR_INVALID : begin_jobs(q);
}

static int find_pool_jobs(struct query *q)
{
	const char *name = q->req->params[0];

	find_jobs(q);
	return state_node_pool(q->v, name) != NULL ? 0 : ERR_NOTFOUND;
}

static bool match_pool_job(const struct query *q, const struct row *row)
{
	const char *pool = q->req->params[0];

	return match_job(q, row) &&
	       (strcmp(pool, "all") == 0 || strcmp(job_row_node_pool((const struct job_row *)row), pool) == 0);
}

static const struct list_kind pool_job_list = {
	.type = &job_stub_type,
	.open = open_jobs,
	.match = match_pool_job,
	.sees = sees_job,
	.get = get_job,
	.whole = &job_type,
	.get_whole = get_whole_job,
	.partial = {"Meta", "Periodic", "ParameterizedJob"},
	.key = LIST_BY_JOB,
};

const struct query_kind query_node_pool_jobs = {
	.begin = begin_pool_jobs, .find = find_pool_jobs, .list = &pool_job_list, .missing = "node pool not found"};

/* ---- what they are doing ---- */

static int begin_statuses(struct query *q)
{
	struct jobs_wanted *wanted = arena_alloc(&q->req->mem, sizeof(*wanted));

	if (wanted == NULL) {
		http_answer_error(q->req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	if (body_decode(q->req, &jobs_wanted_type, wanted, BODY_OPTIONAL, NULL) != 0) {
		return ERR_INVALID;
	}
	if (http_query_bool(q->req, "include_children", &wanted->include_children) != 0) {
		http_answer_text(q->req, 400, "%s", q->req->error);
		return ERR_INVALID;
	}
	if (wanted->jobs.n > JOBS_WANTED_MAX) {
		http_answer_text(q->req, 400, "at most %d jobs can be asked for at once", JOBS_WANTED_MAX);
		return ERR_INVALID;
	}
	q->own = wanted;
	return 0;
}

static void raise_index(uint64_t *index, uint64_t to)
{
	*index = to > *index ? to : *index;
}

/* When a job, or what is told of it, changed last. False when `looks` are used up. */
static bool look_at_wanted(const struct view *v, const struct job_row *job, uint64_t *index, unsigned *looks)
{
	const struct summary_row *summary = state_summary(v, job_row_ns(job), job_row_id(job));
	const struct deployment_row *deployment = state_latest_deployment(v, job_row_ns(job), job_row_id(job));
	const struct alloc_row *alloc;
	struct rows r;

	raise_index(index, job->modify_index);
	raise_index(index, summary != NULL ? summary->modify_index : 0);
	raise_index(index, deployment != NULL ? deployment->modify_index : 0);
	rows_allocs_of_job(&r, v, job);
	while (*looks > 0 && (alloc = alloc_next(&r)) != NULL) {
		raise_index(index, alloc->modify_index);
		--*looks;
	}
	return *looks > 0;
}

/* Of the jobs that are asked for; 0 when one of them is not there, or they have too many allocations to look at. */
static uint64_t index_of_wanted(const struct query *q)
{
	const struct jobs_wanted *wanted = q->own;
	unsigned looks = STATUS_LOOKS_MAX;
	uint64_t index = 0;

	for (uint32_t i = 0; i < wanted->jobs.n; i++) {
		const struct job_name *name = &wanted->jobs.at[i];
		const struct job_row *job =
			state_job(q->v, name->namespace_[0] != '\0' ? name->namespace_ : "default", name->id);

		if (job == NULL || !look_at_wanted(q->v, job, &index, &looks)) {
			return 0;
		}
	}
	return index;
}

/* Who asks for certain jobs waits for those alone. */
static int find_statuses(struct query *q)
{
	uint64_t index = index_of_wanted(q);

	query_table(q, TABLE_JOBS);
	query_table(q, TABLE_ALLOCS);
	query_table(q, TABLE_DEPLOYMENTS);
	query_table(q, TABLE_SUMMARIES);
	q->index = index > 0 ? index : q->index;
	return 0;
}

static bool is_wanted(const struct jobs_wanted *wanted, const struct job_row *job)
{
	for (uint32_t i = 0; i < wanted->jobs.n; i++) {
		const struct job_name *name = &wanted->jobs.at[i];
		const char *ns = name->namespace_[0] != '\0' ? name->namespace_ : "default";

		if (strcmp(name->id, job_row_id(job)) == 0 && strcmp(ns, job_row_ns(job)) == 0) {
			return true;
		}
	}
	return false;
}

static bool match_status(const struct query *q, const struct row *row)
{
	const struct jobs_wanted *wanted = q->own;
	const struct job_row *job = (const struct job_row *)row;

	if (wanted->jobs.n > 0) {
		return is_wanted(wanted, job);
	}
	return match_job(q, row) && (wanted->include_children || (job->flags & JOB_CHILD) == 0);
}

static int put_alloc(const struct alloc_row *row, struct job_status_alloc *a, struct arena *mem)
{
	struct alloc_server server;
	int rv = alloc_row_server(row, &server, mem);
	struct uuid followup;

	object_init(&job_status_alloc_type, a);
	a->deployment_status = arena_calloc(mem, 1, sizeof(*a->deployment_status));
	if (rv != 0 || a->deployment_status == NULL) {
		return rv != 0 ? rv : ERR_NOMEM;
	}
	a->id = uuid_text(mem, &row->id);
	a->node_id = uuid_text(mem, &row->node_id);
	a->group = alloc_row_group(row);
	a->client_status = alloc_client_text(row->client);
	a->job_version = (int64_t)row->job->version;
	a->deployment_status->canary = (row->flags & ALLOC_CANARY) != 0;
	a->deployment_status->healthy =
		(struct opt){(row->flags & ALLOC_HEALTHY) != 0, (row->flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY)) != 0};
	if (bytes_uuid(&server.followup_eval, &followup)) {
		a->followup_eval = uuid_text(mem, &followup);
	}
	return 0;
}

static int put_allocs(struct query *q, const struct job_row *job, struct job_status_object *o, struct arena *mem)
{
	const struct alloc_row *row;
	struct rows r;
	uint32_t n = 0;
	int rv = 0;

	rows_allocs_of_job(&r, q->v, job);
	while (alloc_next(&r) != NULL) {
		n++;
	}
	o->allocs.at = arena_alloc(mem, n * sizeof(o->allocs.at[0]));
	if (o->allocs.at == NULL) {
		return ERR_NOMEM;
	}
	rows_allocs_of_job(&r, q->v, job);
	while (rv == 0 && (row = alloc_next(&r)) != NULL) {
		rv = put_alloc(row, &o->allocs.at[o->allocs.n++], mem);
	}
	return rv;
}

static void put_promotion(const struct deployment *d, struct job_status_deployment *out)
{
	out->all_auto_promote = d->task_groups.n > 0;
	for (uint32_t i = 0; i < d->task_groups.n; i++) {
		const struct deployment_group *g = &d->task_groups.at[i];

		out->all_auto_promote = out->all_auto_promote && g->auto_promote;
		out->requires_promotion = out->requires_promotion || (g->desired_canaries > 0 && !g->promoted);
	}
}

static int put_latest(struct query *q, const struct job_row *job, struct job_status_object *o, struct arena *mem)
{
	const struct deployment_row *row = state_latest_deployment(q->v, job_row_ns(job), job_row_id(job));
	struct deployment d;
	int rv;

	if (row == NULL) {
		return 0;
	}
	o->latest_deployment = arena_calloc(mem, 1, sizeof(*o->latest_deployment));
	rv = o->latest_deployment != NULL ? deployment_row_get(row, &d, mem) : ERR_NOMEM;
	if (rv == 0) {
		o->latest_deployment->id = d.id;
		o->latest_deployment->is_active = deployment_row_active(row);
		o->latest_deployment->job_version = d.job_version;
		o->latest_deployment->status = d.status;
		o->latest_deployment->status_description = d.status_description;
		put_promotion(&d, o->latest_deployment);
	}
	return rv;
}

/* The next child of a job among the jobs whose IDs begin with that of the job and a slash. */
static const struct job_row *child_next(struct rows *r, const struct job_row *parent)
{
	const struct job_row *job;

	do {
		job = job_next(r);
	} while (job != NULL &&
		 ((job->flags & JOB_CHILD) == 0 || strcmp(job_row_parent(job), job_row_id(parent)) != 0));
	return job;
}

/* Of those that are there: the summary counts also what was collected since. */
static int put_children(struct query *q, const struct job_row *job, struct job_status_object *o, struct arena *mem)
{
	const char *prefix = arena_printf(mem, "%s/", job_row_id(job));
	const struct job_row *child;
	struct rows r;
	size_t n = 0;

	if (job_row_runs(job)) {
		return 0;
	}
	if (prefix == NULL) {
		return ERR_NOMEM;
	}
	rows_jobs(&r, q->v, job_row_ns(job), prefix);
	while (child_next(&r, job) != NULL) {
		n++;
	}
	o->child_statuses.at = arena_alloc(mem, n * sizeof(char *));
	if (o->child_statuses.at == NULL) {
		return ERR_NOMEM;
	}
	rows_jobs(&r, q->v, job_row_ns(job), prefix);
	while ((child = child_next(&r, job)) != NULL) {
		o->child_statuses.at[o->child_statuses.n++] = job_status_text(child->status);
	}
	return 0;
}

static void put_plain(const struct job_row *row, const struct job *job, struct job_status_object *o)
{
	o->id = job->id;
	o->namespace_ = job->namespace_;
	o->name = job->name;
	o->type = job->type;
	o->node_pool = job->node_pool;
	o->datacenters = job->datacenters;
	o->priority = job->priority;
	o->version = job->version;
	o->submit_time = job->submit_time;
	o->create_index = job->create_index;
	o->modify_index = job->modify_index;
	o->parent_id = job->parent_id;
	o->stop = job->stop;
	o->status = job_status_text(row->status);
	for (uint32_t i = 0; i < job->task_groups.n; i++) {
		o->group_count_sum += job->task_groups.at[i].count;
	}
	for (uint32_t i = 0; i < job->meta.n; i++) {
		o->is_pack = o->is_pack || strcmp(job->meta.at[i].key, "pack.name") == 0;
	}
}

static int get_status(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	const struct job_row *job = (const struct job_row *)row;
	struct job_status_object *o = obj;
	struct job whole;
	int rv = job_row_get(job, &whole, &s->mem);

	object_init(&job_status_object_type, o);
	if (rv == 0) {
		put_plain(job, &whole, o);
		rv = put_allocs(q, job, o, &s->mem);
	}
	if (rv == 0) {
		rv = put_latest(q, job, o, &s->mem);
	}
	return rv != 0 ? rv : put_children(q, job, o, &s->mem);
}

static uint64_t job_age(const struct row *row)
{
	return ((const struct job_row *)row)->modify_index;
}

/* No two jobs have the same create_index. */
static struct uuid job_tie(const struct row *row)
{
	uint64_t index = ((const struct job_row *)row)->create_index;
	struct uuid id = {{0}};

	for (unsigned i = 0; i < 8; i++) {
		id.at[i] = (uint8_t)(index >> (56 - 8 * i));
	}
	return id;
}

static const struct list_kind status_list = {
	.type = &job_status_object_type,
	.open = open_jobs,
	.match = match_status,
	.sees = sees_job,
	.get = get_status,
	.whole = &job_type,
	.get_whole = get_whole_job,
	.key = LIST_BY_ID,
	.age = job_age,
	.id = job_tie,
};

const struct query_kind query_job_statuses = {.begin = begin_statuses, .find = find_statuses, .list = &status_list};
