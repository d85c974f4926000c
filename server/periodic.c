#include "server/periodic.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/sched_memory.h"

enum { TRACKED = JOB_PERIODIC | JOB_PERIODIC_ENABLED };

#define JOB_OF(l) CONTAINER_OF(l, struct periodic_job, by_time)

static const struct periodic_job *job_in(const struct heap_link *l)
{
	return (const struct periodic_job *)(const void *)((const char *)l - offsetof(struct periodic_job, by_time));
}

static bool is_due_first(const struct heap_link *a, const struct heap_link *b)
{
	return job_in(a)->next_s < job_in(b)->next_s;
}

static const char *id_of(const struct periodic_job *job)
{
	return job->key + strlen(job->key) + 1;
}

/* ---- jobs ---- */

static struct periodic_job *find(const struct periodic *p, const char *key, size_t len)
{
	struct uuid ref = job_ref(key, len);
	struct hash_link *l;

	for (l = hash_first(&p->by_key, id_hash(&ref)); l != NULL; l = hash_next(l)) {
		struct periodic_job *job = CONTAINER_OF(l, struct periodic_job, by_key);

		if (job->len == len && memcmp(job->key, key, len) == 0) {
			return job;
		}
	}
	return NULL;
}

static struct periodic_job *find_ref(const struct periodic *p, const struct uuid *ref)
{
	struct hash_link *l;

	for (l = hash_first(&p->by_key, id_hash(ref)); l != NULL; l = hash_next(l)) {
		struct periodic_job *job = CONTAINER_OF(l, struct periodic_job, by_key);

		if (uuid_equal(&job->ref, ref)) {
			return job;
		}
	}
	return NULL;
}

static struct periodic_job *find_named(const struct periodic *p, const char *ns, const char *id)
{
	char key[NAMESPACE_MAX + JOB_ID_MAX + 2];
	size_t ns_len = strlen(ns) + 1;
	size_t id_len = strlen(id) + 1;

	if (ns_len + id_len > sizeof(key)) {
		return NULL;
	}
	memcpy(key, ns, ns_len);
	memcpy(key + ns_len, id, id_len);
	return find(p, key, ns_len + id_len);
}

static struct periodic_job *make(struct periodic *p, const struct job_row *row)
{
	size_t len = (size_t)row->ns_len + row->id_len + 2;
	struct periodic_job *job = sched_calloc(1, sizeof(*job) + len);

	memcpy(job->key, row->key, len);
	job->len = len;
	job->ref = job_ref(job->key, len);
	list_init(&job->fresh);
	hash_add(&p->by_key, &job->by_key, id_hash(&job->ref));
	return job;
}

/* Its next launch is to be found out. */
static void refresh(struct periodic *p, struct periodic_job *job)
{
	if (heap_has(&job->by_time)) {
		heap_remove(&p->by_time, &job->by_time);
	}
	if (!job->pending && list_empty(&job->fresh)) {
		list_insert(&p->fresh, &job->fresh);
	}
}

static void drop(struct periodic *p, struct periodic_job *job)
{
	if (heap_has(&job->by_time)) {
		heap_remove(&p->by_time, &job->by_time);
	}
	list_remove(&job->fresh);
	hash_remove(&p->by_key, &job->by_key);
	free(job);
}

/* ---- life ---- */

void periodic_init(struct periodic *p)
{
	*p = (struct periodic){.fresh_at_ns = 0};
	heap_init(&p->by_time, is_due_first);
	list_init(&p->fresh);
}

void periodic_reset(struct periodic *p)
{
	struct hash_link *l;

	while ((l = hash_pop(&p->by_key)) != NULL) {
		free(CONTAINER_OF(l, struct periodic_job, by_key));
	}
	hash_close(&p->by_key);
	heap_close(&p->by_time);
	list_init(&p->fresh);
	p->fresh_at_ns = 0;
}

void periodic_close(struct periodic *p)
{
	periodic_reset(p);
}

/* ---- what is heard ---- */

static bool is_tracked(const struct job_row *row)
{
	return row != NULL && (row->flags & (TRACKED | JOB_STOP)) == TRACKED;
}

void periodic_changed(struct periodic *p, const char *ns, const char *id, const struct job_row *now)
{
	struct periodic_job *job = find_named(p, ns, id);

	if (!is_tracked(now)) {
		if (job != NULL) {
			drop(p, job);
		}
		return;
	}
	if (job == NULL) {
		job = make(p, now);
	}
	if (job->job_modify_index != now->job_modify_index) {
		job->job_modify_index = now->job_modify_index;
		refresh(p, job);
	}
}

void periodic_load(struct periodic *p, const struct job_row *row)
{
	if (is_tracked(row)) {
		periodic_changed(p, job_row_ns(row), job_row_id(row), row);
	}
}

/* ---- when ---- */

struct zone {
	const struct zones *zones;
	const char *name;
};

static int64_t offset_cb(void *ctx, int64_t unix_s)
{
	const struct zone *zone = ctx;

	return zone->zones->offset_s(zone->zones->ctx, zone->name, unix_s);
}

static int64_t next_after(const struct turn *turn, const struct periodic_config *config, int64_t after_s)
{
	struct zone zone = {turn->zones, config->time_zone};
	bool is_utc = zone.name[0] == '\0' || strcmp(zone.name, "UTC") == 0 || turn->zones->offset_s == NULL;

	return periodic_next(config, after_s, is_utc ? NULL : offset_cb, &zone);
}

static int64_t last_launch_s(struct turn *turn, const struct job_row *row)
{
	const struct object_row *at = state_launch(turn->v, job_row_ns(row), job_row_id(row));
	struct launch launch;

	if (at == NULL || object_row_get(at, &launch_type, &launch, turn->mem) != 0) {
		return 0;
	}
	return launch.launch_ns / NS_PER_S;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Since the last launch, or since it was registered so: what is due by now, or next. */
static enum part_step find_next(struct periodic *p, struct periodic_job *job, struct turn *turn)
{
	const struct job_row *row = state_job(turn->v, job->key, id_of(job));
	struct job spec;
	int64_t after_s;

	list_remove(&job->fresh);
	if (row == NULL || job_row_get(row, &spec, turn->mem) != 0 || spec.periodic == NULL) {
		drop(p, job);
		return STEP_MORE;
	}
	after_s = later(last_launch_s(turn, row), row->submit_time_ns / NS_PER_S);
	job->next_s = next_after(turn, spec.periodic, later(after_s, job->floor_s));
	if (job->next_s >= 0) {
		sched_got(heap_add(&p->by_time, &job->by_time) ? job : NULL);
	}
	return STEP_MORE;
}

/* ---- launching ---- */

/* A child that is to run now, of the content of its parent. `launch_s` is in its name. */
static int derive(const struct job_row *row, const struct job *parent, int64_t launch_s, int64_t now_ns,
		  struct job_register *out, struct arena *mem)
{
	struct job child = *parent;
	int rv;

	child.parent_id = job_row_id(row);
	child.id = child.name = sched_got(arena_printf(mem, "%s/periodic-%lld", child.parent_id, (long long)launch_s));
	child.periodic = NULL;
	child.stop = child.stable = false;
	child.version = 0;
	child.version_tag = NULL;
	rv = job_register_fill(out, &child, mem);
	out->trigger = EVAL_TRIGGER_PERIODIC_JOB;
	out->launch_ns = now_ns;
	return rv;
}

static bool has_live_child(const struct view *v, const struct job_row *row)
{
	const struct summary_row *s = state_summary(v, job_row_ns(row), job_row_id(row));

	return s != NULL && s->children[JOB_STATUS_PENDING] + s->children[JOB_STATUS_RUNNING] > 0;
}

/* What was due is done with, launched or not. */
static enum part_step pass_over(struct periodic *p, struct periodic_job *job, const struct turn *turn)
{
	job->floor_s = turn->at->wall_ns / NS_PER_S;
	refresh(p, job);
	return STEP_MORE;
}

static enum part_step launch(struct periodic *p, struct periodic_job *job, struct turn *turn)
{
	const struct job_row *row = state_job(turn->v, job->key, id_of(job));
	struct job_register child;
	struct job parent;

	heap_remove(&p->by_time, &job->by_time);
	if (row == NULL || job_row_get(row, &parent, turn->mem) != 0 || parent.periodic == NULL) {
		drop(p, job);
		return STEP_MORE;
	}
	if (parent.periodic->prohibit_overlap && has_live_child(turn->v, row)) {
		log_debug("periodic", "job \"%s\" is not launched: a child of it is not done yet", job_row_id(row));
		p->overlapped++;
		return pass_over(p, job, turn);
	}
	if (derive(row, &parent, job->next_s, turn->at->wall_ns, &child, turn->mem) != 0) {
		log_error("periodic", "job \"%s\" cannot be launched: its name is too long", job_row_id(row));
		p->refused++;
		return pass_over(p, job, turn);
	}
	job->pending = turn_command(turn, COMMAND_JOB_REGISTER, &child, &job->ref) == STEP_COMMAND;
	return job->pending ? STEP_COMMAND : pass_over(p, job, turn);
}

enum part_step periodic_step(struct periodic *p, struct turn *turn)
{
	struct heap_link *first = heap_first(&p->by_time);

	if (!list_empty(&p->fresh) && p->fresh_at_ns <= turn->at->mono_ns) {
		return find_next(p, CONTAINER_OF(p->fresh.next, struct periodic_job, fresh), turn);
	}
	if (first != NULL && job_in(first)->next_s <= turn->at->wall_ns / NS_PER_S) {
		return launch(p, JOB_OF(first), turn);
	}
	return STEP_IDLE;
}

/* The state refused it: so it would again. Any other failure may pass. */
static bool is_refused(int status)
{
	return status == ERR_INVALID || status == ERR_CONFLICT || status == ERR_TOOBIG;
}

void periodic_done(struct periodic *p, const struct uuid *ref, int status, const struct moment *at)
{
	struct periodic_job *job = find_ref(p, ref);

	p->launched += status == 0;
	if (job == NULL) {
		return;
	}
	job->pending = false;
	if (is_refused(status)) {
		log_warn("periodic", "the launch of job \"%s\" was refused: %s", id_of(job), error_text(status));
		p->refused++;
		job->floor_s = at->wall_ns / NS_PER_S;
	} else if (status != 0) {
		p->fresh_at_ns = at->mono_ns + PART_RETRY_NS;
	}
	refresh(p, job);
}

int64_t periodic_due(const struct periodic *p, const struct moment *at)
{
	struct heap_link *first = heap_first(&p->by_time);
	int64_t due = first != NULL ? due_mono(job_in(first)->next_s * NS_PER_S, at) : PART_NEVER;

	if (!list_empty(&p->fresh) && p->fresh_at_ns < due) {
		due = p->fresh_at_ns > at->mono_ns ? p->fresh_at_ns : at->mono_ns;
	}
	return due;
}

/* ---- by hand ---- */

static int refuse(int status, const char *text, const char **out)
{
	*out = text;
	return status;
}

int periodic_force(const struct periodic *p, const struct view *v, const char *ns, const char *id, int64_t wall_ns,
		   struct buf *command, const char **child, const char **text, struct arena *mem)
{
	const struct job_row *row = state_job(v, ns, id);
	struct job_register registration;
	struct job parent;
	int rv;

	if (row == NULL) {
		return refuse(ERR_NOTFOUND, "job not found", text);
	}
	if ((row->flags & JOB_PERIODIC) == 0) {
		return refuse(ERR_INVALID, "can't force launch non-periodic job", text);
	}
	if (find_named(p, ns, id) == NULL) {
		return refuse(ERR_INVALID,
			      sched_got(arena_printf(mem, "can't force run non-tracked job \"%s\" (%s)", id, ns)),
			      text);
	}
	rv = job_row_get(row, &parent, mem);
	if (rv == 0) {
		rv = derive(row, &parent, wall_ns / NS_PER_S, wall_ns, &registration, mem);
	}
	if (rv == 0) {
		rv = command_encode(COMMAND_JOB_REGISTER, &registration, command);
	}
	if (rv != 0) {
		return refuse(rv, error_text(rv), text);
	}
	*child = registration.id;
	return 0;
}
