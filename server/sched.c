#include "server/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/sched_memory.h"
#include "server/sched_run.h"

void sched_init(struct sched *s, const struct sched_env *env)
{
	memset(s, 0, sizeof(*s));
	nodes_init(&s->nodes, true);
	s->env = *env;
}

void sched_close(struct sched *s)
{
	nodes_close(&s->nodes);
}

void sched_news(struct sched *s, const struct view *v, struct nodes_news *news)
{
	nodes_update(&s->nodes, v, news);
}

/* ---- what all schedulers use ---- */

struct uuid run_id(struct run *r)
{
	return uuid_derive(&r->seed, r->ids++);
}

const char *run_id_text(struct run *r, const struct uuid *id)
{
	char *text = arena_need(&r->mem, UUID_TEXT, 1);

	uuid_format(id, text);
	return text;
}

uint64_t run_random(struct run *r)
{
	struct uuid id = run_id(r);
	uint64_t random;

	memcpy(&random, &id, sizeof(random));
	return random;
}

int64_t run_elapsed_ns(struct run *r)
{
	int64_t elapsed = r->s->env.clock_ns(r->s->env.ctx) - r->begun_ns;

	return elapsed > 0 ? elapsed : 1;
}

void run_eval(struct run *r, enum eval_trigger trigger, struct evaluation *out)
{
	struct uuid id = run_id(r);

	object_init(&evaluation_type, out);
	out->id = run_id_text(r, &id);
	out->priority = r->eval.priority;
	out->type = r->eval.type;
	out->triggered_by = eval_trigger_text((int)trigger);
	out->namespace_ = r->eval.namespace_;
	out->job_id = r->eval.job_id;
	out->job_modify_index = r->eval.job_modify_index;
	out->previous_eval = r->eval.id;
	out->snapshot_index = (int64_t)state_index(r->view);
}

void run_eval_always(struct run *r, const struct evaluation *eval)
{
	r->evals = arena_grow(&r->mem, r->evals, r->n_evals, &r->evals_cap, sizeof(r->evals[0]));
	r->evals[r->n_evals++] = *eval;
}

void run_stop(struct run *r, const struct change_spec *spec)
{
	uint32_t slot = nodes_find(&r->s->nodes, &spec->row->node_id);
	struct use frees = alloc_row_use(spec->row);
	struct use use = {0};

	if (slot != NODE_NONE && frees.count > 0) {
		use_add(&use, &frees, -1);
		nodes_claim(&r->s->nodes, slot, &spec->row->id, &use, NULL, spec->row->server != NULL, r->owner);
	}
}

bool run_preempts(const struct run *r)
{
	const struct preemption_config *p = r->config.preemption;

	switch (job_type_parse(r->job.job->type)) {
	case JOB_TYPE_SERVICE:
		return p != NULL && p->service;
	case JOB_TYPE_BATCH:
		return p != NULL && p->batch;
	case JOB_TYPE_SYSTEM:
		return p == NULL || p->system;
	default:
		return p != NULL && p->sysbatch;
	}
}

/* ---- what could not be placed ---- */

static struct failed_group *failed_find(struct run *r, const char *name)
{
	uint32_t i;

	for (i = 0; i < r->n_failed; i++) {
		if (strcmp(r->failed[i].name, name) == 0) {
			return &r->failed[i];
		}
	}
	return NULL;
}

void run_failed(struct run *r, const struct task_group *group, const struct alloc_metric *metric, int64_t more)
{
	struct failed_group *f = failed_find(r, group->name);

	tally_add(&r->queued, group->name, more, &r->mem);
	if (f != NULL) {
		f->metric.coalesced_failures += more;
		return;
	}
	r->failed = arena_grow(&r->mem, r->failed, r->n_failed, &r->failed_cap, sizeof(r->failed[0]));
	r->failed[r->n_failed++] = (struct failed_group){.name = group->name, .metric = *metric, .group = group};
	r->failed[r->n_failed - 1].metric.coalesced_failures = more - 1;
}

/* Classes of other datacenters and pools are not looked at; room there does not help either. Clients that do not tell
 * their class could be of any. */
void run_eligibility(struct run *r, const struct feasible *f)
{
	struct scope scope;
	uint32_t i;

	scope_open(&scope, f->nodes, r->job.job);
	r->escaped |= f->escapes;
	for (i = 0; i < f->nodes->n_classes; i++) {
		const struct node_class *class_ = &f->nodes->classes[i];
		const char *name = intern_text(&f->nodes->names, class_->name);
		bool unknown = f->classes[i].verdict == CLASS_UNKNOWN;

		if (unknown && (name[0] == 0 || scope_has_class(&scope, class_))) {
			continue;
		}
		if (name[0] == 0) {
			r->escaped = true;
		} else {
			tally_add(&r->blocked_classes, name, f->classes[i].verdict == CLASS_FEASIBLE, &r->mem);
		}
	}
}

/* How much of what a dimension lacked the group's tasks would have taken, for all that failed. */
static void put_exhausted(struct run *r, const struct failed_group *f, struct alloc_metric *out)
{
	const struct task_group *g = f->group;
	int64_t times = f->metric.coalesced_failures + 1;
	bool cpu = false;
	bool memory = false;
	uint32_t i;

	for (i = 0; i < out->dimension_exhausted.n; i++) {
		cpu |= strcmp(out->dimension_exhausted.at[i].key, fit_text(FIT_CPU)) == 0;
		memory |= strcmp(out->dimension_exhausted.at[i].key, fit_text(FIT_MEMORY)) == 0;
	}
	if (out->dimension_exhausted.n == 0) {
		return;
	}
	out->resources_exhausted.keys = arena_need(&r->mem, g->tasks.n, sizeof(char *));
	out->resources_exhausted.at = arena_need(&r->mem, g->tasks.n, sizeof(out->resources_exhausted.at[0]));
	for (i = 0; i < g->tasks.n; i++) {
		const struct resources *asked = g->tasks.at[i].resources;
		struct resources *to = &out->resources_exhausted.at[i];

		object_init(&resources_type, to);
		to->cpu = (struct opt){cpu && asked != NULL ? asked->cpu.at * times : 0, true};
		to->memory_mb = (struct opt){memory && asked != NULL ? asked->memory_mb.at * times : 0, true};
		out->resources_exhausted.keys[i] = g->tasks.at[i].name;
	}
	out->resources_exhausted.n = g->tasks.n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct failed_group *)a)->name, ((const struct failed_group *)b)->name);
}

/* Maps of the API are sorted by key; tasks come in the order of the job. */
static void sort_exhausted(struct run *r, struct alloc_metric *m)
{
	uint32_t n = m->resources_exhausted.n;
	const char **keys = arena_need(&r->mem, n, sizeof(keys[0]));
	struct resources *at = arena_need(&r->mem, n, sizeof(at[0]));
	uint32_t i;
	uint32_t j;

	for (i = 0; i < n; i++) {
		for (j = i; j > 0 && strcmp(keys[j - 1], m->resources_exhausted.keys[i]) > 0; j--) {
			keys[j] = keys[j - 1];
			at[j] = at[j - 1];
		}
		keys[j] = m->resources_exhausted.keys[i];
		at[j] = m->resources_exhausted.at[i];
	}
	m->resources_exhausted.keys = keys;
	m->resources_exhausted.at = at;
}

static void put_failed(struct run *r, struct evaluation *out)
{
	uint32_t n = r->n_failed;
	uint32_t i;

	sched_sort(r->failed, n, sizeof(r->failed[0]), by_name);
	out->failed_tg_allocs.keys = arena_need(&r->mem, n, sizeof(char *));
	out->failed_tg_allocs.at = arena_need(&r->mem, n, sizeof(out->failed_tg_allocs.at[0]));
	for (i = 0; i < n; i++) {
		struct alloc_metric *m = &out->failed_tg_allocs.at[i];

		*m = r->failed[i].metric;
		put_exhausted(r, &r->failed[i], m);
		sort_exhausted(r, m);
		out->failed_tg_allocs.keys[i] = r->failed[i].name;
	}
	out->failed_tg_allocs.n = n;
}

/* ---- the evaluations that end an attempt ---- */

static void put_eligibility(struct run *r, struct evaluation *out)
{
	struct intmap map = tally_map(&r->blocked_classes, &r->mem);
	uint32_t i;

	out->escaped_computed_class = r->escaped;
	out->class_eligibility.at = arena_need(&r->mem, map.n, sizeof(out->class_eligibility.at[0]));
	out->class_eligibility.n = map.n;
	for (i = 0; i < map.n; i++) {
		out->class_eligibility.at[i] = (struct bool_pair){map.at[i].key, map.at[i].value > 0};
	}
}

static void put_result(struct run *r, struct evaluation *final)
{
	struct intmap queued = tally_map(&r->queued, &r->mem);

	final->snapshot_index = (int64_t)state_index(r->view);
	final->queued_allocations.at = queued.at;
	final->queued_allocations.n = queued.n;
	put_failed(r, final);
	if (r->eval.annotate_plan) {
		final->plan_annotations = &r->annotations;
	}
	if (r->end.deployment != NULL) {
		final->deployment_id = r->end.deployment->id;
	}
}

static void put_blocked(struct run *r, struct evaluation *blocked, bool conflicts)
{
	run_eval(r, conflicts ? EVAL_TRIGGER_MAX_PLANS : EVAL_TRIGGER_QUEUED_ALLOCS, blocked);
	blocked->status = eval_status_text(EVAL_STATUS_BLOCKED);
	blocked->status_description =
		conflicts ? "created due to placement conflicts" : "created to place remaining allocations";
	put_eligibility(r, blocked);
}

/* A blocked evaluation that has failed again waits on, itself. */
static bool waits_on(const struct run *r)
{
	return r->n_failed > 0 && strcmp(r->eval.status, eval_status_text(EVAL_STATUS_BLOCKED)) == 0;
}

/* The rest of a very large job is another evaluation's. */
static void put_rest(struct run *r, struct evaluation *out)
{
	run_eval(r, EVAL_TRIGGER_QUEUED_ALLOCS, out);
	out->status = eval_status_text(EVAL_STATUS_PENDING);
	out->status_description = "created to place remaining allocations";
}

static void make_final(struct run *r)
{
	struct evaluation *final = arena_need(&r->mem, 3, sizeof(*final));
	uint32_t n = 1;

	final[0] = r->eval;
	put_result(r, &final[0]);
	if (waits_on(r)) {
		put_eligibility(r, &final[0]);
	} else {
		final[0].status = eval_status_text(EVAL_STATUS_COMPLETE);
	}
	if (r->n_failed > 0 && !waits_on(r)) {
		put_blocked(r, &final[n], false);
		final[n].failed_tg_allocs = final[0].failed_tg_allocs; /* Also tells what it waits for. */
		final[0].blocked_eval = final[n++].id;
	}
	if (r->unfinished) {
		put_rest(r, &final[n++]);
	}
	r->end.final = final;
	r->end.n_final = n;
}

static void make_failure(struct run *r, const char *why, bool conflicts)
{
	struct evaluation *final = arena_need(&r->mem, 2, sizeof(*final));

	final[0] = r->eval;
	put_result(r, &final[0]);
	final[0].status = eval_status_text(EVAL_STATUS_FAILED);
	final[0].status_description = why;
	r->end.final = final;
	r->end.n_final = 1;
	if (conflicts) {
		put_blocked(r, &final[1], true);
		final[0].blocked_eval = final[1].id;
		r->end.n_final = 2;
	}
}

/* ---- attempts ---- */

static uint32_t attempts_max(const struct run *r)
{
	switch (job_type_parse(r->eval.type)) {
	case JOB_TYPE_BATCH:
		return SCHED_ATTEMPTS_BATCH;
	case JOB_TYPE_SERVICE:
		return SCHED_ATTEMPTS_SERVICE;
	default:
		return SCHED_ATTEMPTS_SYSTEM;
	}
}

static int load_config(struct run *r)
{
	const char *pool = r->job.job != NULL ? r->job.job->node_pool : "";

	if (state_scheduler_config_in(r->view, pool, &r->config, &r->mem) != 0) {
		return ERR_CORRUPT;
	}
	r->spread_nodes = strcmp(r->config.algorithm, "spread") == 0;
	r->oversubscribe = r->config.memory_oversubscription;
	return 0;
}

static int load_job(struct run *r)
{
	const struct job_row *row = state_job(r->view, r->eval.namespace_, r->eval.job_id);

	if (row == NULL) {
		return 0;
	}
	r->job.job = arena_need(&r->mem, 1, sizeof(*r->job.job));
	r->job.row = row;
	r->job.version = row->version;
	r->job.create_index = row->create_index;
	r->job.stopped = (row->flags & JOB_STOP) != 0;
	r->job.batch = row->type == JOB_TYPE_BATCH;
	return job_row_get(row, r->job.job, &r->mem) == 0 ? 0 : ERR_CORRUPT;
}

/* Forget what an attempt came to. */
static void attempt_clear(struct run *r)
{
	nodes_disown(&r->s->nodes, r->owner);
	if (r->pub.plan != NULL) {
		plan_close(r->pub.plan);
		r->pub.plan = NULL;
	}
	arena_close(&r->mem);
	memset(&r->eval, 0, sizeof(*r) - offsetof(struct run, eval));
	r->ids = 0;
}

static void attempt_open(struct run *r, const struct view *v, int64_t now_ns, const struct uuid *seed)
{
	r->view = v;
	r->now_ns = now_ns;
	r->seed = *seed;
	r->owner = ++r->s->owners;
	r->begun_ns = r->s->env.clock_ns(r->s->env.ctx);
	object_init(&plan_annotations_type, &r->annotations);
}

static void build_open(struct run *r)
{
	struct plan_build *b = &r->build;

	b->mem = &r->mem;
	uuid_parse(r->eval.id, strlen(r->eval.id), &b->eval);
	b->ns = r->eval.namespace_;
	b->job = r->eval.job_id;
	b->job_create_index = r->job.create_index;
	b->job_version = r->job.version;
	r->end.priority = (int)r->eval.priority;
	r->end.all_at_once = r->job.job != NULL && r->job.job->all_at_once;
}

/* Decide what to do about the job that is loaded. */
static int decide(struct run *r)
{
	int type = job_type_parse(r->eval.type);

	build_open(r);
	if (r->job.job == NULL) {
		return 0; /* Its allocations went with it. */
	}
	scope_open(&r->scope, &r->s->nodes, r->job.job);
	return type == JOB_TYPE_SYSTEM || type == JOB_TYPE_SYSBATCH ? system_decide(r) : generic_decide(r);
}

static void finish(struct run *r)
{
	r->end.always = r->evals;
	r->end.n_always = r->n_evals;
	r->pub.plan = plan_finish(&r->build, &r->end);
}

/* Nothing but the evaluation's end as a failure. */
static void finish_failed(struct run *r, const char *why, bool conflicts)
{
	nodes_disown(&r->s->nodes, r->owner);
	r->build.n = 0;
	r->n_evals = 0;
	r->end.deployment = NULL;
	r->end.ended = (struct uuid){0};
	make_failure(r, why, conflicts);
	finish(r);
	sched_got(r->pub.plan);
}

static enum sched_step done(struct run *r, int status)
{
	r->pub.status = status;
	return SCHED_DONE;
}

static enum sched_step attempt(struct run *r)
{
	const struct eval_row *row = state_eval(r->view, &r->pub.eval);
	char why[64];

	if (row == NULL || eval_row_terminal(row)) {
		return done(r, 0);
	}
	if (eval_row_get(row, &r->eval, &r->mem) != 0 || load_job(r) != 0 || load_config(r) != 0) {
		log_error("sched", "an evaluation's rows are damaged");
		return done(r, ERR_CORRUPT);
	}
	if (r->attempts >= attempts_max(r)) {
		snprintf(why, sizeof(why), "maximum attempts reached (%u)", attempts_max(r));
		build_open(r);
		finish_failed(r, sched_got(arena_strdup(&r->mem, why)), true);
		return SCHED_SUBMIT;
	}
	if (decide(r) != 0) {
		log_error("sched", "rows of a job's allocations are damaged");
		finish_failed(r, "rows of the job are damaged", false);
		return SCHED_SUBMIT;
	}
	make_final(r);
	finish(r);
	if (r->pub.plan == NULL) {
		finish_failed(r, "the plan is too large", false);
	}
	return SCHED_SUBMIT;
}

enum sched_step sched_begin(struct sched *s, const struct view *v, const struct uuid *eval, int64_t now_ns,
			    const struct uuid *seed, struct sched_run **run)
{
	struct run *r = sched_calloc(1, sizeof(*r));

	r->s = s;
	r->pub.eval = *eval;
	*run = &r->pub;
	attempt_open(r, v, now_ns, seed);
	return attempt(r);
}

static struct run *run_of(struct sched_run *pub)
{
	return (struct run *)(void *)pub;
}

static bool is_over(const struct run *r)
{
	return r->pub.plan->status != 0 || r->pub.plan->refused == 0;
}

/* Room that others took while this one decided is no fault of its own. */
static void count_attempt(struct run *r)
{
	if (r->pub.plan->refused < r->placed) {
		r->attempts = 0;
		r->meetings = 0;
	} else if (r->pub.plan->met && r->meetings < SCHED_MEETINGS) {
		r->meetings++;
	} else {
		r->attempts++;
	}
}

enum sched_step sched_resume(struct sched *s, struct sched_run *run, const struct view *v, int64_t now_ns,
			     const struct uuid *seed)
{
	struct run *r = run_of(run);
	int status = run->plan->status;

	(void)s;
	if (is_over(r)) {
		attempt_clear(r);
		return done(r, status);
	}
	count_attempt(r);
	attempt_clear(r);
	attempt_open(r, v, now_ns, seed);
	return attempt(r);
}

void sched_end(struct sched *s, struct sched_run *run)
{
	struct run *r = run_of(run);

	(void)s;
	attempt_clear(r);
	free(r);
}

/* ---- the dry run ---- */

static void dry_job(struct run *r, const struct job *job)
{
	const struct job_row *row = state_job(r->view, job->namespace_, job->id);

	r->job.job = arena_need(&r->mem, 1, sizeof(*r->job.job));
	*r->job.job = *job;
	r->job.row = row;
	r->job.stopped = job->stop;
	r->job.batch = strcmp(job->type, job_type_text(JOB_TYPE_BATCH)) == 0;
}

/* An unchanged job keeps its version, so that its allocations need nothing. */
static int dry_version(struct run *r)
{
	const struct job_row *row = r->job.row;
	struct job now;

	if (row == NULL) {
		return 0;
	}
	if (job_row_get(row, &now, &r->mem) != 0) {
		return ERR_CORRUPT;
	}
	r->job.create_index = row->create_index;
	r->job.version =
		row->version + !(object_equal_spec(&job_type, &now, r->job.job) && now.stop == r->job.job->stop);
	return 0;
}

static void dry_evaluation(struct run *r)
{
	struct uuid id = run_id(r);

	object_init(&evaluation_type, &r->eval);
	r->eval.id = run_id_text(r, &id);
	r->eval.namespace_ = r->job.job->namespace_;
	r->eval.job_id = r->job.job->id;
	r->eval.type = r->job.job->type;
	r->eval.priority = r->job.job->priority;
	r->eval.status = eval_status_text(EVAL_STATUS_PENDING);
	r->eval.triggered_by = eval_trigger_text(EVAL_TRIGGER_JOB_REGISTER);
	r->eval.job_modify_index = r->job.row != NULL ? (int64_t)r->job.row->job_modify_index : 0;
	r->eval.annotate_plan = true;
}

/* Copies in `mem` of what the run has. */
static void dry_result(struct run *r, struct sched_preview *out, struct arena *mem)
{
	struct evaluation result;
	uint32_t n = r->n_evals + r->end.n_final - 1;
	uint32_t i;

	sched_got(object_copy(&evaluation_type, &result, &r->end.final[0], mem) == 0 ? r : NULL);
	sched_got(object_copy(&plan_annotations_type, &out->annotations, &r->annotations, mem) == 0 ? r : NULL);
	memcpy(&out->failed, &result.failed_tg_allocs, sizeof(out->failed));
	out->evals.at = arena_need(mem, n, sizeof(out->evals.at[0]));
	out->evals.n = n;
	for (i = 0; i < n; i++) {
		const struct evaluation *from = i < r->n_evals ? &r->evals[i] : &r->end.final[i - r->n_evals + 1];

		sched_got(object_copy(&evaluation_type, &out->evals.at[i], from, mem) == 0 ? r : NULL);
	}
}

int sched_dry_run(struct sched *s, const struct view *v, const struct job *job, int64_t now_ns, const struct uuid *seed,
		  struct sched_preview *out, struct arena *mem)
{
	struct run *r = sched_calloc(1, sizeof(*r));
	int rv;

	r->s = s;
	r->dry = true;
	attempt_open(r, v, now_ns, seed);
	dry_job(r, job);
	dry_evaluation(r);
	rv = dry_version(r);
	if (rv == 0) {
		rv = load_config(r);
	}
	if (rv == 0) {
		rv = decide(r);
	}
	if (rv == 0) {
		make_final(r);
		dry_result(r, out, mem);
	}
	attempt_clear(r);
	free(r);
	return rv;
}
