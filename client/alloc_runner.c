#include "client/alloc_runner.h"

#include <stdlib.h>
#include <string.h>

#include "client/alloc_health.h"
#include "client/alloc_runner_int.h"
#include "lib/list.h"
#include "proto/error.h"

static bool sound(const struct sm *m);

static const struct sm_state steps[] = {
        [ALLOC_NEW] = {"new", SM_TO(ALLOC_WAITING) | SM_TO(ALLOC_RUNNING)},
        [ALLOC_WAITING] = {"waiting", SM_TO(ALLOC_SETUP) | SM_TO(ALLOC_RUNNING)},
        [ALLOC_SETUP] = {"setup", SM_TO(ALLOC_RUNNING)},
        [ALLOC_RUNNING] = {"running", SM_TO(ALLOC_DEAD)},
        [ALLOC_DEAD] = {"dead", 0},
};

const char *const alloc_causes[] = {
#define X(id, text) text,
        ALLOC_CAUSE_LIST(X)
#undef X
};

static bool all_in(const struct alloc_runner *ar, enum task_step step)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (ar->tasks[i].sm.at != (int)step) {
			return false;
		}
	}
	return true;
}

static bool sound(const struct sm *m)
{
	const struct alloc_runner *ar = CONTAINER_OF(m, struct alloc_runner, sm);

	switch ((enum alloc_step)m->at) {
	case ALLOC_NEW:
	case ALLOC_WAITING:
	case ALLOC_SETUP:
		return all_in(ar, TASK_WAITING);
	case ALLOC_RUNNING:
		return ar->began_ns != 0;
	case ALLOC_DEAD:
		return all_in(ar, TASK_DEAD);
	}
	return false;
}

/* ---- the tasks among each other ---- */

struct task_runner *alloc_runner_task(const struct alloc_runner *ar, const char *name)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (strcmp(ar->tasks[i].task->name, name) == 0) {
			return &ar->tasks[i];
		}
	}
	return NULL;
}

static bool is_live(const struct task_runner *tr)
{
	return tr->sm.at != TASK_DEAD;
}

/* Kinds of tasks, to ask all of a kind at once. */
typedef bool (*task_kind)(const struct task_runner *tr);

static bool is_leader(const struct task_runner *tr)
{
	return tr->task->leader && tr->hook != HOOK_POSTSTOP;
}

static bool is_poststop(const struct task_runner *tr)
{
	return tr->hook == HOOK_POSTSTOP;
}

static bool is_sidecar(const struct task_runner *tr)
{
	return tr->sidecar;
}

static bool is_plain(const struct task_runner *tr)
{
	return !tr->sidecar && tr->hook != HOOK_POSTSTOP;
}

static bool is_main(const struct task_runner *tr)
{
	return tr->hook == HOOK_MAIN;
}

static bool is_prestart(const struct task_runner *tr)
{
	return tr->hook == HOOK_PRESTART;
}

static bool is_poststart(const struct task_runner *tr)
{
	return tr->hook == HOOK_POSTSTART;
}

static bool any_live(const struct alloc_runner *ar, task_kind kind)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (kind(&ar->tasks[i]) && is_live(&ar->tasks[i])) {
			return true;
		}
	}
	return false;
}

bool alloc_any_working(const struct alloc_runner *ar)
{
	return any_live(ar, is_plain) || any_live(ar, is_sidecar);
}

/* Anything of the allocation was begun: only then has a poststop task something to come after. */
static bool any_begun(const struct alloc_runner *ar)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (ar->tasks[i].set_up) {
			return true;
		}
	}
	return false;
}

/* ---- bringing up ---- */

/* A stage is up when its sidecars have been started, its short tasks have ended well, its main tasks have started. */
static bool stage_is_up(const struct alloc_runner *ar, task_kind kind)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		const struct task_runner *tr = &ar->tasks[i];
		bool lasting = is_main(tr) || tr->sidecar;

		if (kind(tr) && (lasting ? tr->started_ns == 0 || tr->again : tr->sm.at != TASK_DEAD || tr->failed)) {
			return false;
		}
	}
	return true;
}

static bool start_all(struct alloc_runner *ar, task_kind kind, const struct moment *at)
{
	bool did = false;
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		struct task_runner *tr = &ar->tasks[i];

		if (kind(tr) && tr->sm.at == TASK_WAITING && !tr->hold && !task_runner_stopping(tr)) {
			task_runner_start(tr, at);
			did = true;
		}
	}
	return did;
}

/* All that comes before the poststop tasks has ended: their turn. */
static bool finish(struct alloc_runner *ar, const struct moment *at)
{
	if (alloc_any_working(ar)) {
		return false;
	}
	return any_begun(ar) && start_all(ar, is_poststop, at);
}

static bool bring_up(struct alloc_runner *ar, const struct moment *at)
{
	bool did = start_all(ar, is_prestart, at);

	if (stage_is_up(ar, is_prestart)) {
		did = start_all(ar, is_main, at) || did;
		if (stage_is_up(ar, is_main)) {
			did = start_all(ar, is_poststart, at) || did;
		}
	}
	return finish(ar, at) || did;
}

/* ---- taking down ---- */

static const char *stop_reason(const struct alloc_runner *ar)
{
	return ar->cause == CAUSE_TOO_LONG ? ALLOC_TOO_LONG : "";
}

static bool stop_all(struct alloc_runner *ar, task_kind kind, const struct moment *at)
{
	bool did = false;
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		struct task_runner *tr = &ar->tasks[i];

		if (kind(tr) && is_live(tr) && !task_runner_stopping(tr)) {
			task_runner_stop(tr, stop_reason(ar), false, ar->shut, at);
			did = true;
		}
	}
	return did;
}

static bool take_down(struct alloc_runner *ar, const struct moment *at)
{
	static const task_kind order[] = {is_leader, is_plain, is_sidecar};
	size_t i;

	if (ar->leave_until_ns != 0 && at->mono_ns < ar->leave_until_ns && !ar->shut) {
		return false;
	}
	ar->leave_until_ns = 0;
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (any_live(ar, order[i])) {
			return stop_all(ar, order[i], at);
		}
	}
	return any_begun(ar) && ar->cause != CAUSE_TOO_LONG ? finish(ar, at) : stop_all(ar, is_poststop, at);
}

static void tell_live(struct alloc_runner *ar, enum task_event_kind kind, const char *text, const struct moment *at)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (is_live(&ar->tasks[i]) && !is_poststop(&ar->tasks[i])) {
			task_runner_event(&ar->tasks[i], kind, text, at);
		}
	}
}

static void set_cause(struct alloc_runner *ar, enum alloc_cause cause, const struct moment *at)
{
	int64_t delay_ns = ar->spec->group->shutdown_delay.set ? ar->spec->group->shutdown_delay.at : 0;

	/* One that has begun to go does not wait a second time. */
	if (ar->cause == CAUSE_NONE && delay_ns > 0 && ar->sm.at == ALLOC_RUNNING) {
		ar->leave_until_ns = at->mono_ns + delay_ns;
	}
	ar->cause = cause;
	ar->changed = true;
}

static void sibling_failed(struct alloc_runner *ar, const struct task_runner *failed, const struct moment *at)
{
	set_cause(ar, CAUSE_SIBLING, at);
	tell_live(ar, TASK_EVENT_SIBLING_FAILED, failed->task->name, at);
}

static bool find_dead_cause(struct alloc_runner *ar, const struct moment *at)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		const struct task_runner *tr = &ar->tasks[i];

		if (is_live(tr) || is_poststop(tr)) {
			continue;
		}
		if (tr->failed) {
			sibling_failed(ar, tr, at);
			return true;
		}
		if (tr->task->leader) {
			set_cause(ar, CAUSE_LEADER, at);
			tell_live(ar, TASK_EVENT_LEADER_DEAD, "", at);
			return true;
		}
	}
	return false;
}

/* Look for a reason to take down what lives. */
static bool find_cause(struct alloc_runner *ar, const struct moment *at)
{
	if (!alloc_any_working(ar)) {
		return false;
	}
	if (find_dead_cause(ar, at)) {
		return true;
	}
	if (ar->run_until_ns != 0 && at->mono_ns >= ar->run_until_ns) {
		set_cause(ar, CAUSE_TOO_LONG, at);
		return true;
	}
	if (!any_live(ar, is_plain)) {
		set_cause(ar, CAUSE_MAIN_DEAD, at);
		tell_live(ar, TASK_EVENT_MAIN_DEAD, "", at);
		return true;
	}
	return false;
}

/* ---- settling ---- */

static bool take_changes(struct alloc_runner *ar)
{
	bool changed = ar->changed;
	uint32_t i;

	ar->changed = false;
	for (i = 0; i < ar->n; i++) {
		changed = changed || ar->tasks[i].changed;
		ar->tasks[i].changed = false;
	}
	return changed;
}

static void sooner(int64_t *due, int64_t at)
{
	if (at != 0 && (*due == 0 || at < *due)) {
		*due = at;
	}
}

static int64_t next_due(const struct alloc_runner *ar)
{
	int64_t due = 0;
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		sooner(&due, ar->tasks[i].due_ns);
	}
	if (ar->sm.at == ALLOC_RUNNING) {
		sooner(&due, ar->leave_until_ns);
		sooner(&due, ar->cause == CAUSE_NONE && alloc_any_working(ar) ? ar->run_until_ns : 0);
		sooner(&due, alloc_health_due(ar));
	}
	return due;
}

static bool step_on(struct alloc_runner *ar, const struct moment *at)
{
	if (ar->cause == CAUSE_NONE && find_cause(ar, at)) {
		return true;
	}
	return ar->cause == CAUSE_NONE ? bring_up(ar, at) : take_down(ar, at);
}

/* The loop ends: each turn brings at least one task nearer to its end, or gives the one cause. */
void alloc_settle(struct alloc_runner *ar, const struct moment *at)
{
	if (ar->sm.at == ALLOC_RUNNING) {
		while (step_on(ar, at)) {
		}
		alloc_health_look(ar, at);
		if (all_in(ar, TASK_DEAD)) {
			sm_move(&ar->sm, ALLOC_DEAD);
			ar->changed = true;
		}
	}
	ar->due_ns = next_due(ar);
	if (take_changes(ar)) {
		ar->ops->changed(ar);
	}
}

/* ---- what comes in ---- */

/* What is meant to end by itself may be bounded, and so that it counts from the first begin on, agents' ends included. */
static void set_deadline(struct alloc_runner *ar, const struct moment *at)
{
	const char *type = ar->spec->alloc.job->type;
	bool bounded = strcmp(type, "batch") == 0 || strcmp(type, "sysbatch") == 0;
	int64_t most_ns = bounded && ar->spec->group->max_run_duration.set ? ar->spec->group->max_run_duration.at : 0;
	int64_t ran_ns = at->wall_ns > ar->began_ns ? at->wall_ns - ar->began_ns : 0;

	ar->run_until_ns = most_ns <= 0 ? 0 : at->mono_ns + (most_ns > ran_ns ? most_ns - ran_ns : 0);
}

static void run(struct alloc_runner *ar, const struct moment *at)
{
	if (ar->began_ns == 0) {
		ar->began_ns = at->wall_ns;
	}
	set_deadline(ar, at);
	sm_move(&ar->sm, ALLOC_RUNNING);
	ar->changed = true;
	alloc_health_begin(ar, at);
}

bool alloc_wanted(const struct alloc_runner *ar)
{
	return strcmp(ar->spec->alloc.desired_status, "run") == 0;
}

void alloc_runner_begin(struct alloc_runner *ar, const struct moment *at)
{
	assert(ar->sm.at == ALLOC_NEW);
	if (!alloc_wanted(ar) && ar->cause == CAUSE_NONE) {
		set_cause(ar, CAUSE_STOPPED, at);
	}
	if (ar->began_ns != 0 || ar->cause != CAUSE_NONE) {
		run(ar, at);
	} else {
		sm_move(&ar->sm, ALLOC_WAITING);
		ar->changed = true;
		ar->ops->await_previous(ar);
	}
	alloc_settle(ar, at);
}

void alloc_runner_previous_ended(struct alloc_runner *ar, const struct moment *at)
{
	if (ar->sm.at == ALLOC_WAITING) {
		sm_move(&ar->sm, ALLOC_SETUP);
		ar->ops->setup(ar);
	}
	alloc_settle(ar, at);
}

void alloc_runner_set_up(struct alloc_runner *ar, const char *error, const struct moment *at)
{
	uint32_t i;

	if (ar->sm.at == ALLOC_SETUP) {
		run(ar, at);
		for (i = 0; error != NULL && i < ar->n; i++) {
			task_runner_fail(&ar->tasks[i], TASK_EVENT_SETUP_FAILURE, error, at);
		}
	}
	alloc_settle(ar, at);
}

void alloc_runner_stop(struct alloc_runner *ar, const struct moment *at)
{
	if (ar->cause != CAUSE_STOPPED && ar->sm.at != ALLOC_DEAD) {
		set_cause(ar, CAUSE_STOPPED, at);
	}
	/* What it waits for before it runs is of no interest any more. */
	if (ar->sm.at == ALLOC_WAITING) {
		run(ar, at);
	}
	alloc_settle(ar, at);
}

static bool no_delay_wanted(const struct allocation *alloc)
{
	return alloc->desired_transition != NULL && alloc->desired_transition->no_shutdown_delay.set &&
	       alloc->desired_transition->no_shutdown_delay.at != 0;
}

/* An update in place never changes which tasks there are; one that does is of no use. */
static bool same_tasks(const struct alloc_runner *ar, const struct alloc_spec *spec)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (group_task(spec->group, ar->tasks[i].task->name) == NULL) {
			return false;
		}
	}
	return ar->n == spec->group->tasks.n;
}

/* A verdict does not outlive its deployment; the id is one of the newer specification's in any case. */
static void update_health(struct alloc_runner *ar, bool other_deployment, const struct moment *at)
{
	if (ar->sm.at == ALLOC_RUNNING && other_deployment) {
		alloc_health_begin(ar, at);
	} else if (other_deployment) {
		ar->health.state = HEALTH_NONE;
	}
	ar->health.deployment_id = ar->health.deployment_id == NULL ? NULL : ar->spec->alloc.deployment_id;
}

/* Those that have begun, too. */
static void skip_delays(struct alloc_runner *ar, const struct moment *at)
{
	uint32_t i;

	ar->shut = true;
	for (i = 0; i < ar->n; i++) {
		task_runner_hurry(&ar->tasks[i], at);
	}
}

/* Servers took it for unknown while its node was away: they are told that it is not. */
static void tell_reconnected(struct alloc_runner *ar, const struct alloc_spec *old, const struct moment *at)
{
	uint32_t i;

	if (strcmp(ar->spec->alloc.client_status, "unknown") != 0 || strcmp(old->alloc.client_status, "unknown") == 0) {
		return;
	}
	for (i = 0; i < ar->n; i++) {
		task_runner_event(&ar->tasks[i], TASK_EVENT_RECONNECTED, "", at);
	}
}

void alloc_runner_update(struct alloc_runner *ar, struct alloc_spec *spec, const struct moment *at)
{
	struct alloc_spec *old = ar->spec;
	bool other_deployment = strcmp(old->alloc.deployment_id, spec->alloc.deployment_id) != 0;
	uint32_t i;

	if (!same_tasks(ar, spec)) {
		return;
	}
	ar->spec = alloc_spec_ref(spec);
	for (i = 0; i < ar->n; i++) {
		task_runner_update(&ar->tasks[i], group_task(spec->group, ar->tasks[i].task->name));
	}
	update_health(ar, other_deployment, at);
	tell_reconnected(ar, old, at);
	alloc_spec_unref(old);
	if (ar->sm.at == ALLOC_RUNNING) {
		set_deadline(ar, at);
	}
	if (no_delay_wanted(&spec->alloc)) {
		skip_delays(ar, at);
	}
	ar->changed = true;
	if (alloc_wanted(ar)) {
		alloc_settle(ar, at);
	} else {
		alloc_runner_stop(ar, at);
	}
}

void alloc_runner_adopted(struct task_runner *tr, enum task_adopted what, const struct moment *at)
{
	task_runner_adopted(tr, what, at);
	alloc_settle(tr->alloc, at);
}

void alloc_runner_prepared(struct task_runner *tr, const struct task_failure *failure, const struct moment *at)
{
	task_runner_prepared(tr, failure, at);
	alloc_settle(tr->alloc, at);
}

void alloc_runner_started(struct task_runner *tr, const struct task_failure *failure, const struct moment *at)
{
	task_runner_started(tr, failure, at);
	alloc_settle(tr->alloc, at);
}

void alloc_runner_exited(struct task_runner *tr, const struct task_exit *end, const struct moment *at)
{
	task_runner_exited(tr, end, at);
	alloc_settle(tr->alloc, at);
}

void alloc_runner_event(struct task_runner *tr, enum task_event_kind kind, const char *text, const struct moment *at)
{
	task_runner_event(tr, kind, text, at);
	alloc_settle(tr->alloc, at);
}

void alloc_runner_contacted(struct alloc_runner *ar, const struct moment *at)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		ar->tasks[i].hold = false;
	}
	alloc_settle(ar, at);
}

void alloc_runner_checks(struct alloc_runner *ar, bool pass, const struct moment *at)
{
	ar->health.checks_pass = pass;
	alloc_settle(ar, at);
}

void alloc_runner_unhealthy(struct alloc_runner *ar, struct task_runner *tr, const char *reason,
                            const struct moment *at)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (tr == NULL || tr == &ar->tasks[i]) {
			task_runner_unhealthy(&ar->tasks[i], reason, at);
		}
	}
	alloc_settle(ar, at);
}

void alloc_runner_fail_task(struct task_runner *tr, const char *reason, const struct moment *at)
{
	task_runner_stop(tr, reason, true, false, at);
	alloc_settle(tr->alloc, at);
}

void alloc_runner_wake(struct alloc_runner *ar, const struct moment *at)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		task_runner_wake(&ar->tasks[i], at);
	}
	alloc_settle(ar, at);
}

/* ---- begin and end ---- */

static int make(struct alloc_runner *ar, const struct alloc_ops *ops, struct alloc_spec *spec,
                int64_t max_kill_timeout_ns)
{
	*ar = (struct alloc_runner){.ops = ops, .max_kill_timeout_ns = max_kill_timeout_ns};
	ar->tasks = calloc(spec->group->tasks.n, sizeof(ar->tasks[0]));
	if (ar->tasks == NULL) {
		return ERR_NOMEM;
	}
	ar->spec = alloc_spec_ref(spec);
	ar->n = spec->group->tasks.n;
	ar->shut = no_delay_wanted(&spec->alloc);
	sm_init(&ar->sm, steps, sound, ALLOC_NEW);
	return 0;
}

int alloc_runner_init(struct alloc_runner *ar, const struct alloc_ops *ops, struct alloc_spec *spec,
                      int64_t max_kill_timeout_ns, const struct moment *at)
{
	uint32_t i;

	if (make(ar, ops, spec, max_kill_timeout_ns) != 0) {
		return ERR_NOMEM;
	}
	for (i = 0; i < ar->n; i++) {
		task_runner_init(&ar->tasks[i], ar, &spec->group->tasks.at[i], at);
	}
	return 0;
}

static const struct saved_task *saved_of(const struct saved_alloc *saved, const char *name)
{
	uint32_t i;

	for (i = 0; i < saved->tasks.n; i++) {
		if (strcmp(saved->tasks.at[i].name, name) == 0) {
			return &saved->tasks.at[i];
		}
	}
	return NULL;
}

static enum alloc_cause cause_of(const char *text)
{
	int i;

	for (i = 0; i < CAUSE_COUNT; i++) {
		if (strcmp(alloc_causes[i], text) == 0) {
			return (enum alloc_cause)i;
		}
	}
	return CAUSE_NONE;
}

static void restore_health(struct alloc_runner *ar, const struct saved_alloc *saved)
{
	/* A verdict counts for its own deployment only. */
	if (saved->healthy.set && strcmp(saved->healthy_deployment, ar->spec->alloc.deployment_id) == 0) {
		ar->health.state = saved->healthy.at != 0 ? HEALTH_GOOD : HEALTH_BAD;
		ar->health.at_ns = saved->healthy_at;
		ar->health.deployment_id = ar->spec->alloc.deployment_id;
	}
}

int alloc_runner_restore(struct alloc_runner *ar, const struct alloc_ops *ops, struct alloc_spec *spec,
                         int64_t max_kill_timeout_ns, const struct saved_alloc *saved, const struct moment *at)
{
	uint32_t i;

	if (make(ar, ops, spec, max_kill_timeout_ns) != 0) {
		return ERR_NOMEM;
	}
	ar->cause = cause_of(saved->cause);
	ar->began_ns = saved->began;
	restore_health(ar, saved);
	for (i = 0; i < ar->n; i++) {
		const struct task *task = &spec->group->tasks.at[i];
		const struct saved_task *of = saved_of(saved, task->name);

		if (of != NULL) {
			task_runner_restore(&ar->tasks[i], ar, task, of, at);
		} else {
			task_runner_init(&ar->tasks[i], ar, task, at);
		}
	}
	return 0;
}

void alloc_runner_close(struct alloc_runner *ar)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		task_runner_close(&ar->tasks[i]);
	}
	free(ar->tasks);
	alloc_spec_unref(ar->spec);
	*ar = (struct alloc_runner){.n = 0};
}
