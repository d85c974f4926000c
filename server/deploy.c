#include "server/deploy.h"

#include <stdlib.h>
#include <string.h>

#include "lib/list.h"
#include "lib/log.h"
#include "proto/error.h"
#include "server/sched_memory.h"
#include "server/sched_retry.h"

#define ENTRY_OF(l) CONTAINER_OF(l, struct deploy_entry, by_time)

static const struct deploy_entry *entry_in(const struct heap_link *l)
{
	return (const struct deploy_entry *)(const void *)((const char *)l - offsetof(struct deploy_entry, by_time));
}

static bool is_due_first(const struct heap_link *a, const struct heap_link *b)
{
	return entry_in(a)->look_ns < entry_in(b)->look_ns;
}

/* ---- entries ---- */

static struct deploy_entry *find(const struct deploy *d, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&d->by_id, id_hash(id)); l != NULL; l = hash_next(l)) {
		struct deploy_entry *e = CONTAINER_OF(l, struct deploy_entry, by_id);

		if (uuid_equal(&e->id, id)) {
			return e;
		}
	}
	return NULL;
}

static void disarm(struct deploy *d, struct deploy_entry *e)
{
	if (heap_has(&e->by_time)) {
		heap_remove(&d->by_time, &e->by_time);
	}
}

static void look_at(struct deploy *d, struct deploy_entry *e, int64_t mono_ns)
{
	disarm(d, e);
	if (!e->pending && mono_ns != PART_NEVER) {
		e->look_ns = mono_ns;
		sched_got(heap_add(&d->by_time, &e->by_time) ? e : NULL);
	}
}

/* Something has changed: look soon, but not too often. */
static void look_soon(struct deploy *d, struct deploy_entry *e, const struct moment *at)
{
	int64_t soonest = e->looked_ns + DEPLOY_LOOK_NS;

	if (e->scanning) {
		e->again = true;
		return;
	}
	look_at(d, e, soonest > at->mono_ns ? soonest : at->mono_ns);
}

static struct deploy_entry *get(struct deploy *d, const struct uuid *id)
{
	struct deploy_entry *e = find(d, id);

	if (e == NULL) {
		e = sched_calloc(1, sizeof(*e));
		e->id = *id;
		hash_add(&d->by_id, &e->by_id, id_hash(id));
	}
	return e;
}

static void drop(struct deploy *d, struct deploy_entry *e)
{
	disarm(d, e);
	hash_remove(&d->by_id, &e->by_id);
	free(e);
}

/* ---- life ---- */

void deploy_init(struct deploy *d)
{
	*d = (struct deploy){.successful = 0};
	heap_init(&d->by_time, is_due_first);
}

void deploy_reset(struct deploy *d)
{
	struct hash_link *l;

	while ((l = hash_pop(&d->by_id)) != NULL) {
		free(CONTAINER_OF(l, struct deploy_entry, by_id));
	}
	hash_close(&d->by_id);
	heap_close(&d->by_time);
}

void deploy_close(struct deploy *d)
{
	deploy_reset(d);
}

/* ---- what is heard ---- */

void deploy_changed(struct deploy *d, const struct deployment_row *old, const struct deployment_row *now,
		    const struct moment *at)
{
	struct deploy_entry *e = find(d, now != NULL ? &now->id : &old->id);

	if (now == NULL || !deployment_row_active(now)) {
		if (e != NULL) {
			drop(d, e);
		}
		return;
	}
	e = get(d, &now->id);
	if (old != NULL && old->status == DEPLOYMENT_STATUS_PAUSED && now->status != DEPLOYMENT_STATUS_PAUSED) {
		e->resumed_ns = at->wall_ns;
	}
	look_soon(d, e, at);
}

void deploy_load(struct deploy *d, const struct deployment_row *row, const struct moment *at)
{
	if (deployment_row_active(row) && find(d, &row->id) == NULL) {
		look_soon(d, get(d, &row->id), at);
	}
}

/* Of health a change of the deployment tells. What else matters is that an unhealthy one has ended. */
void deploy_alloc_changed(struct deploy *d, const struct alloc_row *old, const struct alloc_row *now,
			  const struct moment *at)
{
	struct deploy_entry *e;

	if (now == NULL || old == NULL || (now->flags & ALLOC_UNHEALTHY) == 0 || now->client == old->client) {
		return;
	}
	e = find(d, &now->deployment_id);
	if (e != NULL) {
		look_soon(d, e, at);
	}
}

/* ---- a look ---- */

struct look {
	struct turn *turn;
	struct deploy_entry *entry;
	const struct deployment_row *row;
	struct deployment object;
};

static bool needs_promotion(const struct deployment_group *g)
{
	return g->desired_canaries > 0 && !g->promoted;
}

static bool group_is_complete(const struct deployment_group *g)
{
	return !needs_promotion(g) && g->healthy_allocs >= g->desired_total;
}

/* It has what it needs for now: only a person can bring it on. */
static bool group_is_waiting(const struct deployment_group *g)
{
	return needs_promotion(g) && g->healthy_allocs >= g->desired_canaries;
}

static bool is_complete(const struct deployment *d)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		if (!group_is_complete(&d->task_groups.at[i])) {
			return false;
		}
	}
	return true;
}

static int64_t sum_desired(const struct deployment *d)
{
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		n += d->task_groups.at[i].desired_total;
	}
	return n;
}

static int64_t sum_healthy(const struct deployment *d)
{
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		n += d->task_groups.at[i].healthy_allocs;
	}
	return n;
}

static const struct deployment_group *group_named(const struct deployment *d, const char *name)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		if (strcmp(d->task_groups.keys[i], name) == 0) {
			return &d->task_groups.at[i];
		}
	}
	return NULL;
}

/* ---- success ---- */

static enum part_step succeed(struct deploy *d, struct look *l)
{
	struct deployment_change p;

	object_init(&deployment_change_type, &p);
	p.id = uuid_bytes(&l->row->id);
	p.status = DEPLOYMENT_STATUS_SUCCESSFUL;
	p.description = "Deployment completed successfully";
	p.stable = true;
	d->successful++;
	return turn_command(l->turn, COMMAND_DEPLOYMENT_STATUS, &p, &l->row->id);
}

/* ---- promotion ---- */

static bool canaries_are_healthy(const struct look *l, const struct deployment_group *g)
{
	int64_t healthy = 0;
	uint32_t i;

	for (i = 0; i < g->placed_canaries.n; i++) {
		const char *text = g->placed_canaries.at[i];
		const struct alloc_row *alloc;
		struct uuid id;

		alloc = uuid_parse(text, strlen(text), &id) ? state_alloc(l->turn->v, &id) : NULL;
		healthy += alloc != NULL && !alloc_row_terminal(alloc) && (alloc->flags & ALLOC_HEALTHY) != 0;
	}
	return healthy >= g->desired_canaries;
}

/* All groups that have canaries want to go on by themselves, and can. */
static bool promotes_itself(const struct look *l)
{
	bool any = false;
	uint32_t i;

	for (i = 0; i < l->object.task_groups.n; i++) {
		const struct deployment_group *g = &l->object.task_groups.at[i];

		if (!needs_promotion(g)) {
			continue;
		}
		if (!g->auto_promote || !group_is_waiting(g) || !canaries_are_healthy(l, g)) {
			return false;
		}
		any = true;
	}
	return any;
}

static enum part_step promote(struct deploy *d, struct look *l)
{
	struct deployment_promote p;

	object_init(&deployment_promote_type, &p);
	p.id = uuid_bytes(&l->row->id);
	d->promoted++;
	return turn_command(l->turn, COMMAND_DEPLOYMENT_PROMOTE, &p, &l->row->id);
}

/* ---- failure ---- */

static bool is_among(const struct strs *groups, const char *name)
{
	uint32_t i;

	for (i = 0; groups != NULL && i < groups->n; i++) {
		if (strcmp(groups->at[i], name) == 0) {
			return true;
		}
	}
	return groups == NULL;
}

static bool reverts_itself(const struct deployment *d, const struct strs *groups)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		if (d->task_groups.at[i].auto_revert && is_among(groups, d->task_groups.keys[i])) {
			return true;
		}
	}
	return false;
}

static const struct job_row *newest_stable(const struct view *v, const struct job_row *job)
{
	const struct job_row *version;
	struct rows r;

	rows_versions(&r, v, job_row_ns(job), job_row_id(job));
	do {
		version = job_prev(&r);
	} while (version != NULL && ((version->flags & JOB_STABLE) == 0 || version->version == job->version));
	return version;
}

static bool says_the_same(const struct job_row *a, const struct job_row *b)
{
	return a->spec->len == b->spec->len && memcmp(a->spec->data, b->spec->data, a->spec->len) == 0;
}

/* What the job goes back to, and how the description tells of it. */
static const char *revert(const struct view *v, const struct job_row *job, const char *reason,
			  struct deployment_change *out, struct arena *mem)
{
	const struct job_row *to = newest_stable(v, job);

	if (to == NULL) {
		return sched_got(arena_printf(mem, "%s - no stable job version to auto revert to", reason));
	}
	if (says_the_same(to, job)) {
		return sched_got(arena_printf(
			mem, "%s - not rolling back to stable job version %llu as current job has same specification",
			reason, (unsigned long long)to->version));
	}
	out->revert_to = (struct opt){(int64_t)to->version, true};
	return sched_got(
		arena_printf(mem, "%s - rolling back to job version %llu", reason, (unsigned long long)to->version));
}

int deploy_failure(const struct view *v, const struct deployment_row *row, const char *reason,
		   const struct strs *groups, struct deployment_change *out, struct arena *mem)
{
	const struct job_row *job = state_job(v, deployment_row_ns(row), deployment_row_job(row));
	bool present = job != NULL && job->create_index == row->job_create_index && job->version == row->job_version;
	struct deployment object;
	int rv = deployment_row_get(row, &object, mem);

	if (rv != 0) {
		return rv;
	}
	object_init(&deployment_change_type, out);
	out->id = uuid_bytes(&row->id);
	out->status = DEPLOYMENT_STATUS_FAILED;
	out->verb = "fail";
	out->eval = true;
	out->description = present && reverts_itself(&object, groups) ? revert(v, job, reason, out, mem) : reason;
	return 0;
}

static enum part_step fail(struct deploy *d, struct look *l, const char *reason, const struct strs *groups)
{
	struct deployment_change p;

	if (deploy_failure(l->turn->v, l->row, reason, groups, &p, l->turn->mem) != 0) {
		return STEP_MORE;
	}
	log_info("deployments", "deployment of version %llu of job \"%s\": %s", (unsigned long long)l->row->job_version,
		 deployment_row_job(l->row), p.description);
	d->failed++;
	return turn_command(l->turn, COMMAND_DEPLOYMENT_STATUS, &p, &l->row->id);
}

/* ---- unhealthy allocations ---- */

/* Whether schedulers will never replace it by themselves. */
static bool is_hopeless(struct look *l, const struct alloc_row *alloc)
{
	const struct task_group *group;
	struct alloc_server server;
	struct job job;

	if (alloc->client != ALLOC_CLIENT_FAILED || job_row_get(alloc->job, &job, l->turn->mem) != 0 ||
	    alloc_row_server(alloc, &server, l->turn->mem) != 0) {
		return false;
	}
	group = job_group(&job, alloc_row_group(alloc));
	return group != NULL &&
	       retry_decide(group->reschedule_policy, server.reschedule_tracker, alloc->modify_time_ns).when ==
		       RETRY_NEVER;
}

static bool fails_deployment(struct look *l, const struct alloc_row *alloc)
{
	const struct deployment_group *g = group_named(&l->object, alloc_row_group(alloc));

	if (g == NULL || (alloc->flags & (ALLOC_UNHEALTHY | ALLOC_REPLACED)) != ALLOC_UNHEALTHY ||
	    alloc->desired != ALLOC_DESIRED_RUN) {
		return false;
	}
	return g->progress_deadline == 0 || is_hopeless(l, alloc);
}

/* The counters also hold those that were healthy and are lost by now, or were told of when they were already. */
static bool stands(const struct alloc_row *alloc)
{
	return (alloc->flags & (ALLOC_HEALTHY | ALLOC_REPLACED)) == ALLOC_HEALTHY &&
	       alloc->desired == ALLOC_DESIRED_RUN && alloc->client != ALLOC_CLIENT_LOST;
}

/* Count the allocations that stand or, if asked to, look for one that fails it. True: not all have been looked at. */
static bool scan(struct look *l, const struct alloc_row **failing)
{
	struct deploy_entry *e = l->entry;
	uint8_t from[sizeof(struct uuid) + sizeof(e->scan)];
	const struct alloc_row *alloc;
	unsigned budget = PART_ROWS;
	struct rows r;

	memcpy(from, &e->id, sizeof(e->id));
	memcpy(from + sizeof(e->id), e->scan, sizeof(e->scan));
	rows_allocs_of_deployment(&r, l->turn->v, &e->id);
	if (e->scanning) {
		rows_seek(&r, from, sizeof(from));
	} else {
		e->standing = 0;
	}
	e->scanning = false;
	while ((alloc = alloc_next(&r)) != NULL) {
		if (budget-- == 0) {
			memcpy(e->scan, alloc->deployment_serial, sizeof(e->scan));
			e->scanning = true;
			return true;
		}
		e->standing += stands(alloc);
		if (failing != NULL && fails_deployment(l, alloc)) {
			*failing = alloc;
			return false;
		}
	}
	return false;
}

static bool has_unhealthy(const struct deployment *d)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		if (d->task_groups.at[i].unhealthy_allocs > 0) {
			return true;
		}
	}
	return false;
}

/* ---- deadlines ---- */

/* When a group must have made progress; wall time, PART_NEVER. */
static int64_t group_deadline(const struct look *l, const struct deployment_group *g)
{
	int64_t resumed = l->entry->resumed_ns > 0 ? l->entry->resumed_ns + g->progress_deadline : 0;

	if (g->progress_deadline == 0 || g->require_progress_by == 0 || group_is_waiting(g) ||
	    (group_is_complete(g) && !is_complete(&l->object))) {
		return PART_NEVER;
	}
	return g->require_progress_by > resumed ? g->require_progress_by : resumed;
}

/* The earliest one, and the groups that have passed theirs. */
static int64_t deadline(const struct look *l, struct strs *late)
{
	int64_t earliest = PART_NEVER;
	uint32_t i;

	late->n = 0;
	late->at = turn_need(l->turn, l->object.task_groups.n, sizeof(late->at[0]));
	for (i = 0; i < l->object.task_groups.n; i++) {
		int64_t at = group_deadline(l, &l->object.task_groups.at[i]);

		if (at <= l->turn->at->wall_ns) {
			late->at[late->n++] = l->object.task_groups.keys[i];
		}
		earliest = at < earliest ? at : earliest;
	}
	return earliest;
}

/* ---- progress ---- */

static bool has_progressed(const struct look *l)
{
	int64_t healthy = sum_healthy(&l->object);

	if (healthy < l->entry->healthy) {
		l->entry->healthy = healthy;
	}
	return healthy > l->entry->healthy;
}

/* The first version of a job has nothing to replace. */
static bool replaces_nothing(const struct look *l)
{
	const struct job_row *job = state_job_version(l->turn->v, deployment_row_ns(l->row), deployment_row_job(l->row),
						      l->row->job_version);

	return job == NULL || job->create_index == job->job_modify_index;
}

static enum part_step evaluate(struct deploy *d, struct look *l)
{
	const struct job_row *job = state_job(l->turn->v, deployment_row_ns(l->row), deployment_row_job(l->row));
	struct evaluation e;
	struct eval_updates p;

	if (job == NULL) {
		return STEP_MORE;
	}
	object_init(&evaluation_type, &e);
	object_init(&eval_updates_type, &p);
	e.id = turn_new_id(l->turn);
	e.namespace_ = job_row_ns(job);
	e.job_id = job_row_id(job);
	e.type = job_type_text(job->type);
	e.priority = job->priority;
	e.triggered_by = eval_trigger_text(EVAL_TRIGGER_DEPLOYMENT_WATCHER);
	e.status = eval_status_text(EVAL_STATUS_PENDING);
	e.job_modify_index = (int64_t)job->job_modify_index;
	e.deployment_id = turn_id_text(l->turn, &l->row->id);
	p.evals.at = &e;
	p.evals.n = 1;
	d->evals++;
	l->entry->asked_healthy = sum_healthy(&l->object);
	l->entry->asked = true;
	return turn_command(l->turn, COMMAND_EVALS, &p, &l->row->id);
}

/* ---- the part ---- */

static enum part_step decide(struct deploy *d, struct look *l)
{
	bool complete = is_complete(&l->object);
	const struct alloc_row *failing = NULL;
	struct strs late;
	int64_t by;

	if (promotes_itself(l)) {
		return promote(d, l);
	}
	if (!complete && !has_unhealthy(&l->object)) {
		l->entry->scanning = false;
	} else if (scan(l, complete ? NULL : &failing)) {
		look_at(d, l->entry, l->turn->at->mono_ns);
		return STEP_MORE;
	}
	if (complete && l->entry->standing >= sum_desired(&l->object)) {
		return succeed(d, l);
	}
	if (failing != NULL) {
		const char *group = alloc_row_group(failing);

		return fail(d, l, DEPLOY_FAILED_ALLOCS, &(struct strs){&group, 1});
	}
	by = deadline(l, &late);
	if (late.n > 0) {
		return fail(d, l, DEPLOY_FAILED_DEADLINE, &late);
	}
	look_at(d, l->entry, due_mono(by, l->turn->at));
	return has_progressed(l) && !replaces_nothing(l) ? evaluate(d, l) : STEP_MORE;
}

static enum part_step look(struct deploy *d, struct deploy_entry *e, struct turn *turn)
{
	struct look l = {.turn = turn, .entry = e, .row = state_deployment(turn->v, &e->id)};
	enum part_step step;

	disarm(d, e);
	e->looked_ns = turn->at->mono_ns;
	if (l.row == NULL || !deployment_row_active(l.row)) {
		drop(d, e);
		return STEP_MORE;
	}
	if (l.row->status != DEPLOYMENT_STATUS_RUNNING || deployment_row_get(l.row, &l.object, turn->mem) != 0) {
		e->scanning = false;
		return STEP_MORE;
	}
	step = decide(d, &l);
	e->pending = step == STEP_COMMAND;
	if (e->pending) {
		disarm(d, e);
	} else if (e->again && !e->scanning) {
		look_at(d, e, turn->at->mono_ns + DEPLOY_LOOK_NS);
	}
	e->again = e->again && e->scanning;
	return step;
}

enum part_step deploy_step(struct deploy *d, struct turn *turn)
{
	struct heap_link *first = heap_first(&d->by_time);

	if (first == NULL || entry_in(first)->look_ns > turn->at->mono_ns) {
		return STEP_IDLE;
	}
	return look(d, ENTRY_OF(first), turn);
}

void deploy_done(struct deploy *d, const struct uuid *ref, int status, const struct moment *at)
{
	struct deploy_entry *e = find(d, ref);

	if (e == NULL) {
		return;
	}
	e->pending = false;
	if (status == 0 && e->asked) {
		e->healthy = e->asked_healthy;
	}
	e->asked = false;
	look_at(d, e, at->mono_ns + (status == 0 ? DEPLOY_LOOK_NS : PART_RETRY_NS));
}

int64_t deploy_due(const struct deploy *d, const struct moment *at)
{
	struct heap_link *first = heap_first(&d->by_time);

	(void)at;
	return first != NULL ? entry_in(first)->look_ns : PART_NEVER;
}
