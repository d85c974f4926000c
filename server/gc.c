#include "server/gc.h"

#include <string.h>

/* ---- life ---- */

static int64_t or_default(int64_t value, int64_t dflt)
{
	return value > 0 ? value : dflt;
}

void gc_init(struct gc *gc, const struct gc_config *config)
{
	struct gc_config *c = &gc->config;

	*gc = (struct gc){.stage = GC_IDLE};
	if (config != NULL) {
		*c = *config;
	}
	c->interval_ns = or_default(c->interval_ns, 5 * NS_PER_MIN);
	c->eval_ns = or_default(c->eval_ns, 60 * NS_PER_MIN);
	c->batch_eval_ns = or_default(c->batch_eval_ns, 24 * 60 * NS_PER_MIN);
	c->job_ns = or_default(c->job_ns, 4 * 60 * NS_PER_MIN);
	c->deployment_ns = or_default(c->deployment_ns, 60 * NS_PER_MIN);
	c->node_ns = or_default(c->node_ns, 24 * 60 * NS_PER_MIN);
}

static void enter(struct gc *gc, enum gc_stage stage)
{
	gc->stage = stage;
	gc->place.len = 0;
	gc->inner.len = 0;
	gc->checked = false;
	gc->at_end = false;
}

void gc_reset(struct gc *gc, const struct moment *at)
{
	enter(gc, GC_IDLE);
	gc->forced = gc->want_forced = gc->pending = false;
	gc->next_ns = at->mono_ns + gc->config.interval_ns;
}

void gc_force(struct gc *gc)
{
	gc->want_forced = true;
}

static void begin(struct gc *gc, const struct moment *at)
{
	gc->forced = gc->want_forced;
	gc->next_ns = at->mono_ns;
	gc->want_forced = false;
	enter(gc, GC_ALLOCS);
}

static enum part_step next_stage(struct gc *gc, const struct turn *turn)
{
	if (gc->stage + 1 < N_GC_STAGES) {
		enter(gc, gc->stage + 1);
		return STEP_MORE;
	}
	enter(gc, GC_IDLE);
	gc->collections++;
	gc->next_ns = turn->at->mono_ns + gc->config.interval_ns;
	return STEP_IDLE;
}

/* ---- a sweep: what one step collects ---- */

struct sweep {
	struct gc *gc;
	struct turn *turn;
	unsigned budget; /* Rows that may still be looked at. */
	struct id_ref *ids;
	uint32_t n;
};

enum verdict {
	KEEP,
	TAKE,
	LATER, /* The budget was too small to tell: gc->inner says where to go on. */
};

static void mark(struct row_mark *m, const void *key, size_t len)
{
	memcpy(m->key, key, len);
	m->len = len;
}

static void seek(struct rows *r, const struct row_mark *m)
{
	if (m->len > 0) {
		rows_seek(r, m->key, m->len);
	}
}

static bool is_older(const struct sweep *s, int64_t time_ns, int64_t age_ns)
{
	return s->gc->forced || time_ns <= s->turn->at->wall_ns - age_ns;
}

static bool spend(struct sweep *s)
{
	if (s->budget == 0) {
		return false;
	}
	s->budget--;
	return true;
}

static bool is_batch(unsigned type)
{
	return type == JOB_TYPE_BATCH || type == JOB_TYPE_SYSBATCH;
}

/* The job as it is now; NULL when it is gone, or another has its name. */
static const struct job_row *job_now(const struct sweep *s, const struct job_row *then)
{
	const struct job_row *now = state_job(s->turn->v, job_row_ns(then), job_row_id(then));

	return now != NULL && now->create_index == then->create_index ? now : NULL;
}

/* Nothing of it runs on its node, or there is no such node any more. */
static bool is_over(const struct sweep *s, const struct alloc_row *row)
{
	return alloc_row_client_terminal(row) ||
	       (alloc_row_terminal(row) && state_node(s->turn->v, &row->node_id) == NULL);
}

/* ---- allocations ---- */

/* Schedulers look at what has ended, too: without it they would take it as missing, and place it anew. */
static bool is_needed(const struct alloc_row *row, const struct job_row *job)
{
	bool same_version = row->job->version == job->version;

	if ((job->flags & JOB_STOP) != 0 || !same_version) {
		return false;
	}
	return is_batch(job->type) || (row->desired == ALLOC_DESIRED_RUN && (row->flags & ALLOC_REPLACED) == 0);
}

static enum verdict judge_alloc(struct sweep *s, const struct row *r)
{
	const struct alloc_row *row = (const struct alloc_row *)r;
	const struct gc_config *c = &s->gc->config;
	const struct job_row *job;
	int64_t age_ns;

	if (!is_over(s, row) || !is_older(s, row->modify_time_ns, c->eval_ns)) {
		return KEEP;
	}
	job = job_now(s, row->job);
	if (job == NULL) {
		return TAKE;
	}
	age_ns = is_batch(job->type) && (job->flags & JOB_STOP) == 0 ? c->batch_eval_ns : c->eval_ns;
	return is_needed(row, job) || !is_older(s, row->modify_time_ns, age_ns) ? KEEP : TAKE;
}

/* ---- evaluations ---- */

static bool has_allocs(const struct sweep *s, const struct uuid *eval)
{
	struct rows r;

	rows_allocs_of_eval(&r, s->turn->v, eval);
	return rows_next(&r) != NULL;
}

static enum verdict judge_eval(struct sweep *s, const struct row *r)
{
	const struct eval_row *row = (const struct eval_row *)r;
	const struct gc_config *c = &s->gc->config;
	const struct job_row *job;
	bool present;

	if (!eval_row_terminal(row) || !is_older(s, row->modify_time_ns, c->eval_ns) || has_allocs(s, &row->id)) {
		return KEEP;
	}
	job = is_batch(row->type) ? state_job(s->turn->v, eval_row_ns(row), eval_row_job(row)) : NULL;
	if (job == NULL || (job->flags & JOB_STOP) != 0) {
		return TAKE;
	}
	present = row->create_index >= job->job_modify_index;
	return present || !is_older(s, row->modify_time_ns, c->batch_eval_ns) ? KEEP : TAKE;
}

/* ---- deployments and nodes ---- */

/* Whether there is a live one among these allocations. `key_of` makes the key of the index for going on there. */
static enum verdict none_alive(struct sweep *s, struct rows *r,
			       void (*mark_at)(struct row_mark *m, const struct alloc_row *row))
{
	const struct alloc_row *row;

	seek(r, &s->gc->inner);
	while ((row = alloc_next(r)) != NULL) {
		if (!spend(s)) {
			mark_at(&s->gc->inner, row);
			return LATER;
		}
		if (!alloc_row_terminal(row)) {
			s->gc->inner.len = 0;
			return KEEP;
		}
	}
	s->gc->inner.len = 0;
	return TAKE;
}

static void mark_of_deployment(struct row_mark *m, const struct alloc_row *row)
{
	memcpy(m->key, &row->deployment_id, sizeof(row->deployment_id));
	memcpy(m->key + sizeof(row->deployment_id), row->deployment_serial, sizeof(row->deployment_serial));
	m->len = sizeof(row->deployment_id) + sizeof(row->deployment_serial);
}

static void mark_of_node(struct row_mark *m, const struct alloc_row *row)
{
	memcpy(m->key, &row->node_id, sizeof(row->node_id));
	memcpy(m->key + sizeof(row->node_id), &row->id, sizeof(row->id));
	m->len = sizeof(row->node_id) + sizeof(row->id);
}

static enum verdict judge_deployment(struct sweep *s, const struct row *r)
{
	const struct deployment_row *row = (const struct deployment_row *)r;
	struct rows allocs;

	if (deployment_row_active(row) || !is_older(s, row->modify_time_ns, s->gc->config.deployment_ns)) {
		return KEEP;
	}
	rows_allocs_of_deployment(&allocs, s->turn->v, &row->id);
	return none_alive(s, &allocs, mark_of_deployment);
}

static enum verdict judge_node(struct sweep *s, const struct row *r)
{
	const struct node_row *row = (const struct node_row *)r;
	struct rows allocs;

	if (row->status != NODE_STATUS_DOWN || !is_older(s, row->status_time_s * NS_PER_S, s->gc->config.node_ns)) {
		return KEEP;
	}
	rows_allocs_of_node(&allocs, s->turn->v, &row->id);
	return none_alive(s, &allocs, mark_of_node);
}

/* ---- the stages of tables by ID ---- */

static void open_allocs(struct rows *r, const struct view *v)
{
	rows_allocs(r, v, NULL);
}

static void open_evals(struct rows *r, const struct view *v)
{
	rows_evals(r, v, NULL);
}

static void open_deployments(struct rows *r, const struct view *v)
{
	rows_deployments(r, v, NULL);
}

static void open_nodes(struct rows *r, const struct view *v)
{
	rows_nodes(r, v, NULL);
}

static const struct uuid *id_of(const struct row *row)
{
	switch ((enum table)row->table) {
	case TABLE_ALLOCS:
		return &((const struct alloc_row *)row)->id;
	case TABLE_EVALS:
		return &((const struct eval_row *)row)->id;
	case TABLE_DEPLOYMENTS:
		return &((const struct deployment_row *)row)->id;
	default:
		return &((const struct node_row *)row)->id;
	}
}

/* Ask for the command that removes what was collected. */
static enum part_step delete_rows(struct sweep *s, enum gc_stage kind)
{
	static const struct uuid nobody;
	struct evals_delete evals;
	struct deployments_delete deployments;
	struct nodes_delete nodes;

	object_init(&evals_delete_type, &evals);
	object_init(&deployments_delete_type, &deployments);
	object_init(&nodes_delete_type, &nodes);
	s->gc->kind = kind;
	switch (kind) {
	case GC_EVALS:
		evals.evals.at = s->ids;
		evals.evals.n = s->n;
		return turn_command(s->turn, COMMAND_EVALS_DELETE, &evals, &nobody);
	case GC_DEPLOYMENTS:
		deployments.deployments.at = s->ids;
		deployments.deployments.n = s->n;
		return turn_command(s->turn, COMMAND_DEPLOYMENTS_DELETE, &deployments, &nobody);
	case GC_NODES:
		nodes.nodes.at = s->ids;
		nodes.nodes.n = s->n;
		return turn_command(s->turn, COMMAND_NODES_DELETE, &nodes, &nobody);
	default:
		evals.allocs.at = s->ids;
		evals.allocs.n = s->n;
		return turn_command(s->turn, COMMAND_EVALS_DELETE, &evals, &nobody);
	}
}

static const struct {
	void (*open)(struct rows *r, const struct view *v);
	enum verdict (*judge)(struct sweep *s, const struct row *row);
} stages[N_GC_STAGES] = {
	[GC_ALLOCS] = {open_allocs, judge_alloc},
	[GC_EVALS] = {open_evals, judge_eval},
	[GC_DEPLOYMENTS] = {open_deployments, judge_deployment},
	[GC_NODES] = {open_nodes, judge_node},
};

static void take(struct sweep *s, const struct uuid *id)
{
	s->ids[s->n++].id = uuid_bytes(id);
}

/* Collect until the command or the budget is full. True: the table is at its end. */
static bool sweep_table(struct sweep *s)
{
	const struct row *row;
	struct rows r;

	stages[s->gc->stage].open(&r, s->turn->v);
	seek(&r, &s->gc->place);
	while ((row = rows_next(&r)) != NULL) {
		enum verdict verdict =
			s->n < PART_COMMAND_ROWS && spend(s) ? stages[s->gc->stage].judge(s, row) : LATER;

		if (verdict == LATER) {
			mark(&s->gc->place, id_of(row), sizeof(struct uuid));
			return false;
		}
		if (verdict == TAKE) {
			take(s, id_of(row));
		}
	}
	return true;
}

static enum part_step step_table(struct sweep *s)
{
	s->gc->at_end = sweep_table(s);
	return s->n > 0 ? delete_rows(s, s->gc->stage) : STEP_MORE;
}

/* ---- jobs ---- */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t newest_eval_ns(const struct sweep *s, const struct job_row *job)
{
	const struct eval_row *eval;
	struct rows r;

	rows_evals_of_job(&r, s->turn->v, job_row_ns(job), job_row_id(job));
	eval = eval_prev(&r);
	return eval != NULL ? eval->modify_time_ns : 0;
}

static bool is_dead(const struct sweep *s, const struct job_row *job, const struct summary_row *summary)
{
	return job->status == JOB_STATUS_DEAD && summary != NULL && summary->live_allocs == 0 &&
	       summary->open_evals == 0 &&
	       is_older(s, later(job->submit_time_ns, newest_eval_ns(s, job)), s->gc->config.job_ns);
}

static void mark_of_job(struct row_mark *m, const struct alloc_row *row)
{
	memcpy(m->key, row->job_key, sizeof(row->job_key));
	memcpy(m->key + sizeof(row->job_key), row->job_serial, sizeof(row->job_serial));
	m->len = sizeof(row->job_key) + sizeof(row->job_serial);
}

/* Whether all of a job's allocations are over, and old enough. */
static enum verdict check_allocs(struct sweep *s, const struct job_row *job)
{
	const struct alloc_row *row;
	struct rows r;

	rows_allocs_of_job(&r, s->turn->v, job);
	seek(&r, &s->gc->inner);
	while ((row = alloc_next(&r)) != NULL) {
		if (!spend(s)) {
			mark_of_job(&s->gc->inner, row);
			return LATER;
		}
		if (!is_over(s, row) || !is_older(s, row->modify_time_ns, s->gc->config.job_ns)) {
			s->gc->inner.len = 0;
			return KEEP;
		}
	}
	s->gc->inner.len = 0;
	return TAKE;
}

/* As many of its allocations, or else of its evaluations, as a command may have. */
static enum part_step delete_some(struct sweep *s, const struct job_row *job)
{
	const struct alloc_row *alloc;
	const struct eval_row *eval;
	struct rows r;

	rows_allocs_of_job(&r, s->turn->v, job);
	while (s->n < PART_COMMAND_ROWS && (alloc = alloc_next(&r)) != NULL) {
		take(s, &alloc->id);
	}
	if (s->n > 0) {
		return delete_rows(s, GC_ALLOCS);
	}
	rows_evals_of_job(&r, s->turn->v, job_row_ns(job), job_row_id(job));
	while (s->n < PART_COMMAND_ROWS && (eval = eval_next(&r)) != NULL) {
		take(s, &eval->id);
	}
	return delete_rows(s, GC_EVALS);
}

/* Jobs to be removed by one command, and how many rows that is. */
struct job_list {
	struct job_name *at;
	uint32_t n;
	uint64_t weight;
};

static uint64_t weight_of(const struct summary_row *summary)
{
	return 1 + (uint64_t)summary->allocs + summary->evals;
}

/* TAKE: the job can go, and is on the list if there is room for it. */
static enum verdict judge_job(struct sweep *s, const struct job_row *job, struct job_list *list)
{
	const struct summary_row *summary = state_summary(s->turn->v, job_row_ns(job), job_row_id(job));
	enum verdict verdict = TAKE;

	if (!is_dead(s, job, summary)) {
		return KEEP;
	}
	if (!s->gc->checked) {
		verdict = check_allocs(s, job);
	}
	if (verdict == TAKE) {
		s->gc->checked = true;
		if (list->weight + weight_of(summary) > PART_COMMAND_ROWS) {
			return LATER;
		}
		list->weight += weight_of(summary);
		list->at[list->n++] = (struct job_name){job_row_ns(job), job_row_id(job)};
	}
	return verdict;
}

/* The job where the sweep has stopped; NULL: it is at its end. */
static const struct job_row *sweep_jobs(struct sweep *s, struct job_list *list)
{
	const struct job_row *job;
	struct rows r;

	rows_jobs(&r, s->turn->v, NULL, NULL);
	seek(&r, &s->gc->place);
	while ((job = job_next(&r)) != NULL) {
		size_t len = (size_t)job->ns_len + job->id_len + 2;
		bool resumed = s->gc->place.len == len && memcmp(s->gc->place.key, job->key, len) == 0;

		s->gc->checked = s->gc->checked && resumed;
		s->gc->inner.len = resumed ? s->gc->inner.len : 0;
		if (!spend(s) || judge_job(s, job, list) == LATER) {
			mark(&s->gc->place, job->key, len);
			return job;
		}
	}
	return NULL;
}

static enum part_step step_jobs(struct sweep *s)
{
	static const struct uuid nobody;
	struct job_list list = {turn_need(s->turn, PART_COMMAND_ROWS, sizeof(list.at[0])), 0, 0};
	const struct job_row *stopped = sweep_jobs(s, &list);
	struct jobs_delete p;

	s->gc->at_end = stopped == NULL;
	if (list.n > 0) {
		object_init(&jobs_delete_type, &p);
		p.jobs.at = list.at;
		p.jobs.n = list.n;
		s->gc->kind = GC_JOBS;
		return turn_command(s->turn, COMMAND_JOBS_DELETE, &p, &nobody);
	}
	return s->gc->checked && stopped != NULL ? delete_some(s, stopped) : STEP_MORE;
}

/* ---- the part ---- */

enum part_step gc_step(struct gc *gc, struct turn *turn)
{
	struct sweep s = {.gc = gc, .turn = turn, .budget = PART_ROWS};
	enum part_step step;

	if (gc->pending || turn->at->mono_ns < gc_due(gc, turn->at)) {
		return STEP_IDLE;
	}
	if (gc->stage == GC_IDLE || (gc->want_forced && !gc->forced)) {
		begin(gc, turn->at);
	}
	if (gc->at_end) {
		return next_stage(gc, turn);
	}
	s.ids = turn_need(turn, PART_COMMAND_ROWS, sizeof(s.ids[0]));
	step = gc->stage == GC_JOBS ? step_jobs(&s) : step_table(&s);
	gc->pending = step == STEP_COMMAND;
	return step;
}

static void add_count(struct gc *gc, uint64_t n)
{
	uint64_t *const counts[N_GC_STAGES] = {
		[GC_ALLOCS] = &gc->allocs, [GC_EVALS] = &gc->evals, [GC_DEPLOYMENTS] = &gc->deployments,
		[GC_JOBS] = &gc->jobs,     [GC_NODES] = &gc->nodes,
	};

	*counts[gc->kind] += n;
}

/* A large job of which nothing can be removed, against all that was seen, is passed over by beginning the next stage.
 */
void gc_done(struct gc *gc, int status, const struct apply_result *result, const struct moment *at)
{
	gc->pending = false;
	if (status != 0) {
		gc->next_ns = at->mono_ns + PART_RETRY_NS;
		enter(gc, gc->stage);
		return;
	}
	add_count(gc, result->count);
	gc->at_end |= gc->stage == GC_JOBS && gc->kind != GC_JOBS && result->count == 0;
}

int64_t gc_due(const struct gc *gc, const struct moment *at)
{
	if (gc->pending) {
		return PART_NEVER;
	}
	if (gc->stage == GC_IDLE && gc->want_forced) {
		return at->mono_ns;
	}
	return gc->next_ns > at->mono_ns ? gc->next_ns : at->mono_ns;
}
