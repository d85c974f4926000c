#include "client/task_runner.h"

#include <stdlib.h>
#include <string.h>

#include "client/alloc_runner.h"
#include "lib/list.h"
#include "proto/error.h"

/* A process that is still there so long after its kill timeout is killed once more. */
#define KILL_AGAIN_NS (15 * NS_PER_S)

static const struct sm_state steps[] = {
        [TASK_WAITING] = {"waiting", SM_TO(TASK_PREPARING) | SM_TO(TASK_DEAD)},
        [TASK_ADOPTING] = {"adopting", SM_TO(TASK_RUNNING) | SM_TO(TASK_KILLING) | SM_TO(TASK_WAITING)},
        [TASK_PREPARING] = {"preparing", SM_TO(TASK_STARTING) | SM_TO(TASK_KILLING) | SM_TO(TASK_DELAY) | SM_TO(TASK_DEAD)},
        [TASK_STARTING] = {"starting", SM_TO(TASK_RUNNING) | SM_TO(TASK_KILLING) | SM_TO(TASK_DELAY) | SM_TO(TASK_DEAD)},
        [TASK_RUNNING] = {"running", SM_TO(TASK_LEAVING) | SM_TO(TASK_KILLING) | SM_TO(TASK_DELAY) | SM_TO(TASK_DEAD)},
        [TASK_LEAVING] = {"leaving", SM_TO(TASK_KILLING) | SM_TO(TASK_DEAD)},
        [TASK_KILLING] = {"killing", SM_TO(TASK_DELAY) | SM_TO(TASK_DEAD)},
        [TASK_DELAY] = {"delay", SM_TO(TASK_PREPARING) | SM_TO(TASK_WAITING) | SM_TO(TASK_DEAD)},
        [TASK_DEAD] = {"dead", SM_TO(TASK_DELAY)},
};

static const char *const wants[] = {[WANT_RUN] = "run", [WANT_RESTART] = "restart", [WANT_STOP] = "stop"};

/* What must hold in each step. */
static bool sound(const struct sm *m)
{
	const struct task_runner *tr = CONTAINER_OF(m, struct task_runner, sm);

	switch ((enum task_step)m->at) {
	case TASK_WAITING:
		return !tr->alive && tr->awaited == ANSWER_NONE && tr->finished_ns == 0;
	case TASK_ADOPTING:
		return !tr->alive && tr->awaited == ANSWER_ADOPT && tr->want == WANT_RUN;
	case TASK_PREPARING:
		return !tr->alive && tr->awaited == ANSWER_PREPARE && tr->want == WANT_RUN;
	case TASK_STARTING:
		return !tr->alive && tr->awaited == ANSWER_START && tr->want == WANT_RUN;
	case TASK_RUNNING:
		return tr->alive && tr->awaited == ANSWER_NONE && tr->want == WANT_RUN && tr->started_ns != 0;
	case TASK_LEAVING:
		return tr->alive && tr->want == WANT_STOP && tr->due_ns != 0;
	case TASK_KILLING:
		return tr->alive != (tr->awaited != ANSWER_NONE) && tr->want != WANT_RUN;
	case TASK_DELAY:
		return !tr->alive && tr->awaited == ANSWER_NONE && tr->due_ns != 0 && tr->want == WANT_RUN;
	case TASK_DEAD:
		return !tr->alive && tr->awaited == ANSWER_NONE && tr->due_ns == 0 && tr->finished_ns != 0;
	}
	return false;
}

const char *task_runner_state(const struct task_runner *tr)
{
	return tr->sm.at == TASK_DEAD ? "dead" : tr->alive ? "running" : "pending";
}

/* ---- what is told ---- */

static void tell(struct task_runner *tr, struct task_record record, const struct moment *at)
{
	if (record.time_ns == 0) {
		record.time_ns = at->wall_ns;
	}
	task_log_add(&tr->log, record);
	tr->changed = true;
}

void task_runner_event(struct task_runner *tr, enum task_event_kind kind, const char *text, const struct moment *at)
{
	tell(tr, (struct task_record){.kind = (uint8_t)kind, .text = (char *)(uintptr_t)text}, at);
}

static void tell_delay(struct task_runner *tr, enum task_event_kind kind, int64_t duration_ns, const char *text,
                       const struct moment *at)
{
	tell(tr, (struct task_record){.kind = (uint8_t)kind, .duration_ns = duration_ns, .text = (char *)(uintptr_t)text},
	     at);
}

/* ---- moves ---- */

static const struct alloc_ops *ops(const struct task_runner *tr)
{
	return tr->alloc->ops;
}

static void move(struct task_runner *tr, enum task_step to)
{
	sm_move(&tr->sm, (int)to);
	tr->changed = true;
}

/* An end before which there is nothing more to wait for. `ended_ns` is 0 for now. */
static void die(struct task_runner *tr, int64_t ended_ns, const struct moment *at)
{
	tr->due_ns = 0;
	tr->again = false;
	tr->want = WANT_STOP;
	tr->finished_ns = ended_ns != 0 ? ended_ns : at->wall_ns;
	move(tr, TASK_DEAD);
}

static void prepare(struct task_runner *tr, const struct moment *at)
{
	tr->due_ns = 0;
	tr->awaited = ANSWER_PREPARE;
	if (!tr->set_up) {
		tr->set_up = true;
		task_runner_event(tr, TASK_EVENT_SETUP, "Building Task Directory", at);
	}
	move(tr, TASK_PREPARING);
	ops(tr)->prepare(tr);
}

static void start_again(struct task_runner *tr, int64_t delay_ns, const char *reason, const struct moment *at)
{
	tell_delay(tr, TASK_EVENT_RESTARTING, delay_ns, reason, at);
	tr->restarts++;
	tr->last_restart_ns = at->wall_ns;
	tr->want = WANT_RUN;
	tr->due_ns = at->mono_ns + delay_ns;
	move(tr, TASK_DELAY);
}

/* The restart policy has the word. */
static void judge(struct task_runner *tr, enum restart_cause cause, int64_t ended_ns, const struct moment *at)
{
	struct restart_answer a = restart_judge(&tr->restart, cause, at->wall_ns, at->random);

	if (a.verdict == RESTART_AGAIN) {
		start_again(tr, a.delay_ns, a.reason, at);
		return;
	}
	if (a.verdict == RESTART_NEVER) {
		tell(tr, (struct task_record){.kind = TASK_EVENT_NOT_RESTARTING, .text = a.reason, .fails_task = true}, at);
		tr->failed = true;
	}
	die(tr, ended_ns, at);
}

/* What ran has been killed. One that is to end and does not run has no such event: it only ends. */
static void killed(struct task_runner *tr, int64_t ended_ns, const struct moment *at)
{
	task_runner_event(tr, TASK_EVENT_KILLED, "", at);
	die(tr, ended_ns, at);
}

static int64_t kill_timeout_ns(const struct task_runner *tr)
{
	int64_t ns = tr->task->kill_timeout.set ? tr->task->kill_timeout.at : 5 * NS_PER_S;
	int64_t most = tr->alloc->max_kill_timeout_ns;

	return ns < 0 ? 0 : most > 0 && ns > most ? most : ns;
}

/* Tell the driver; only while alive. */
static void kill_process(struct task_runner *tr, const struct moment *at)
{
	int64_t timeout_ns = kill_timeout_ns(tr);

	tr->due_ns = at->mono_ns + timeout_ns + KILL_AGAIN_NS;
	if (tr->sm.at != TASK_KILLING) {
		move(tr, TASK_KILLING);
	}
	ops(tr)->kill(tr, tr->task->kill_signal, timeout_ns);
}

static void leave_at_once(struct task_runner *tr, const struct moment *at)
{
	if (tr->task->shutdown_delay > 0) {
		tell_delay(tr, TASK_EVENT_SKIPPING_DELAY, tr->task->shutdown_delay, "", at);
	}
	kill_process(tr, at);
}

static void leave(struct task_runner *tr, bool at_once, const struct moment *at)
{
	int64_t delay_ns = tr->task->shutdown_delay;

	if (delay_ns > 0 && !at_once) {
		tell_delay(tr, TASK_EVENT_WAITING_DELAY, delay_ns, "", at);
		tr->due_ns = at->mono_ns + delay_ns;
		move(tr, TASK_LEAVING);
		return;
	}
	leave_at_once(tr, at);
}

void task_runner_hurry(struct task_runner *tr, const struct moment *at)
{
	if (tr->sm.at == TASK_LEAVING) {
		leave_at_once(tr, at);
	}
}

/* ---- what comes in ---- */

void task_runner_start(struct task_runner *tr, const struct moment *at)
{
	assert(tr->sm.at == TASK_WAITING);
	prepare(tr, at);
}

static void answered(struct task_runner *tr, enum task_answer to)
{
	assert(tr->awaited == to);
	(void)to;
	tr->awaited = ANSWER_NONE;
}

/* It could not be brought to run. */
static void failed_to_run(struct task_runner *tr, const struct task_failure *failure, const struct moment *at)
{
	task_runner_event(tr, failure->kind, failure->text, at);
	if (tr->want == WANT_STOP) {
		die(tr, 0, at);
		return;
	}
	judge(tr, failure->recoverable ? RESTART_FAILURE : RESTART_UNRECOVERABLE, 0, at);
}

void task_runner_prepared(struct task_runner *tr, const struct task_failure *failure, const struct moment *at)
{
	answered(tr, ANSWER_PREPARE);
	if (failure != NULL) {
		failed_to_run(tr, failure, at);
	} else if (tr->want == WANT_STOP) {
		die(tr, 0, at);
	} else {
		tr->awaited = ANSWER_START;
		move(tr, TASK_STARTING);
		ops(tr)->start(tr);
	}
}

/* It runs: from now on, or since an earlier agent's time. */
static void runs(struct task_runner *tr, const struct moment *at)
{
	tr->alive = true;
	tr->again = false;
	tr->unhealthy = false;
	tr->changed = true;
	if (tr->want == WANT_STOP) {
		kill_process(tr, at);
	} else {
		tr->want = WANT_RUN;
		tr->due_ns = 0;
		move(tr, TASK_RUNNING);
	}
}

void task_runner_started(struct task_runner *tr, const struct task_failure *failure, const struct moment *at)
{
	answered(tr, ANSWER_START);
	if (failure != NULL) {
		failed_to_run(tr, failure, at);
		return;
	}
	task_runner_event(tr, TASK_EVENT_STARTED, "", at);
	tr->started_ns = at->wall_ns;
	runs(tr, at);
}

static void not_adopted(struct task_runner *tr, bool lost, const struct moment *at)
{
	if (lost) {
		task_runner_event(tr, TASK_EVENT_RESTORE_FAILED,
		                  "failed to restore task; will not run until server is contacted", at);
	}
	if (tr->want == WANT_STOP && lost) {
		killed(tr, 0, at);
		return;
	}
	if (tr->want == WANT_STOP) {
		die(tr, 0, at);
		return;
	}
	tr->hold = lost;
	move(tr, TASK_WAITING);
}

/* One that the earlier agent could not tell of any more has started when it was let go. */
void task_runner_adopted(struct task_runner *tr, enum task_adopted what, const struct moment *at)
{
	int64_t go_ns = tr->go_ns;

	answered(tr, ANSWER_ADOPT);
	tr->go_ns = 0;
	if (what != ADOPTED_RUNS) {
		not_adopted(tr, what == ADOPTED_LOST, at);
		return;
	}
	if (go_ns != 0) {
		tell(tr, (struct task_record){.kind = TASK_EVENT_STARTED, .time_ns = go_ns}, at);
		tr->started_ns = go_ns;
	}
	runs(tr, at);
}

static void told_end(struct task_runner *tr, const struct task_exit *end, const struct moment *at)
{
	bool known = end->finished_ns != 0 && end->finished_ns <= at->wall_ns;
	bool said = end->error != NULL && end->error[0] != '\0';

	tell(tr,
	     (struct task_record){.kind = TASK_EVENT_TERMINATED,
	                          .time_ns = known ? end->finished_ns : at->wall_ns,
	                          .exit_code = end->code,
	                          .signal = end->signal,
	                          .oom_killed = end->oom_killed,
	                          .text = (char *)(uintptr_t)(said || !end->oom_killed || end->code == 0 ? end->error : "OOM Killed")},
	     at);
}

void task_runner_exited(struct task_runner *tr, const struct task_exit *end, const struct moment *at)
{
	bool well = end->code == 0 && end->signal == 0 && (end->error == NULL || end->error[0] == '\0');
	int64_t ended_ns = end->finished_ns >= tr->started_ns && end->finished_ns <= at->wall_ns ? end->finished_ns : 0;

	assert(tr->alive);
	tr->alive = false;
	tr->due_ns = 0;
	told_end(tr, end, at);
	if (tr->want == WANT_STOP) {
		killed(tr, ended_ns, at);
	} else if (tr->want == WANT_RESTART && !tr->unhealthy) {
		start_again(tr, 0, "", at);
	} else {
		judge(tr, well && !tr->unhealthy ? RESTART_SUCCESS : RESTART_FAILURE, ended_ns, at);
	}
}

void task_runner_wake(struct task_runner *tr, const struct moment *at)
{
	if (tr->due_ns == 0 || at->mono_ns < tr->due_ns) {
		return;
	}
	switch ((enum task_step)tr->sm.at) {
	case TASK_DELAY:
		if (tr->again) {
			tr->due_ns = 0;
			move(tr, TASK_WAITING);
		} else {
			prepare(tr, at);
		}
		break;
	case TASK_LEAVING:
		kill_process(tr, at);
		break;
	case TASK_KILLING:
		tr->due_ns = at->mono_ns + KILL_AGAIN_NS;
		if (tr->alive) {
			ops(tr)->kill(tr, "SIGKILL", 0);
		} else if (tr->awaited != ANSWER_ADOPT) {
			ops(tr)->cancel(tr, true);
		}
		break;
	default:
		tr->due_ns = 0;
	}
}

void task_runner_stop(struct task_runner *tr, const char *reason, bool fails, bool at_once, const struct moment *at)
{
	enum task_want before = (enum task_want)tr->want;

	if (before == WANT_STOP) {
		return;
	}
	tell(tr,
	     (struct task_record){.kind = TASK_EVENT_KILLING,
	                          .duration_ns = kill_timeout_ns(tr),
	                          .text = (char *)(uintptr_t)reason,
	                          .fails_task = fails},
	     at);
	tr->failed = tr->failed || fails;
	tr->want = WANT_STOP;
	switch ((enum task_step)tr->sm.at) {
	case TASK_RUNNING:
		leave(tr, at_once, at);
		break;
	case TASK_PREPARING:
	case TASK_STARTING:
		tr->due_ns = at->mono_ns + kill_timeout_ns(tr);
		ops(tr)->cancel(tr, false);
		move(tr, TASK_KILLING);
		break;
	case TASK_ADOPTING:
		move(tr, TASK_KILLING);
		break;
	case TASK_WAITING:
	case TASK_DELAY:
		die(tr, 0, at);
		break;
	default: /* KILLING for a restart: the end is awaited already. */
		break;
	}
}

int task_runner_restart(struct task_runner *tr, const char *reason, const struct moment *at)
{
	if (tr->sm.at != TASK_RUNNING) {
		return ERR_CONFLICT;
	}
	task_runner_event(tr, TASK_EVENT_RESTART_SIGNALED, reason, at);
	tr->want = WANT_RESTART;
	kill_process(tr, at);
	return 0;
}

void task_runner_unhealthy(struct task_runner *tr, const char *reason, const struct moment *at)
{
	if (tr->sm.at != TASK_RUNNING) {
		return;
	}
	task_runner_event(tr, TASK_EVENT_RESTART_SIGNALED, reason, at);
	tr->want = WANT_RESTART;
	tr->unhealthy = true;
	kill_process(tr, at);
}

void task_runner_revive(struct task_runner *tr, const char *reason, const struct moment *at)
{
	assert(tr->sm.at == TASK_DEAD);
	task_runner_event(tr, TASK_EVENT_RESTART_SIGNALED, reason, at);
	tr->failed = false;
	tr->finished_ns = 0;
	start_again(tr, 0, "", at);
}

void task_runner_fail(struct task_runner *tr, enum task_event_kind kind, const char *text, const struct moment *at)
{
	assert(tr->sm.at == TASK_WAITING);
	tell(tr, (struct task_record){.kind = (uint8_t)kind, .text = (char *)(uintptr_t)text, .fails_task = true}, at);
	tr->failed = true;
	die(tr, 0, at);
}

/* ---- begin and end ---- */

static enum task_hook hook_of(const struct task *task)
{
	static const char *const names[] = {[HOOK_PRESTART] = "prestart", [HOOK_POSTSTART] = "poststart",
	                                    [HOOK_POSTSTOP] = "poststop"};
	int i;

	for (i = HOOK_PRESTART; task->lifecycle != NULL && i <= HOOK_POSTSTOP; i++) {
		if (strcmp(task->lifecycle->hook, names[i]) == 0) {
			return (enum task_hook)i;
		}
	}
	return HOOK_MAIN;
}

void task_runner_update(struct task_runner *tr, const struct task *task)
{
	const struct task_group *group = tr->alloc->spec->group;

	tr->task = task;
	tr->hook = (uint8_t)hook_of(task);
	tr->sidecar = tr->hook != HOOK_MAIN && tr->hook != HOOK_POSTSTOP && task->lifecycle->sidecar;
	restart_set_policy(&tr->restart, task->restart_policy != NULL ? task->restart_policy : group->restart_policy,
	                   tr->alloc->spec->alloc.job->type, task->lifecycle);
}

static void init(struct task_runner *tr, struct alloc_runner *alloc, const struct task *task)
{
	*tr = (struct task_runner){.alloc = alloc};
	sm_init(&tr->sm, steps, sound, TASK_WAITING);
	task_runner_update(tr, task);
}

void task_runner_init(struct task_runner *tr, struct alloc_runner *alloc, const struct task *task,
                      const struct moment *at)
{
	init(tr, alloc, task);
	task_runner_event(tr, TASK_EVENT_RECEIVED, "", at);
}

void task_runner_close(struct task_runner *tr)
{
	task_log_close(&tr->log);
}

/* ---- the API form ---- */

int task_runner_render(const struct task_runner *tr, struct task_state *out, struct arena *mem)
{
	uint32_t i;

	object_init(&task_state_type, out);
	out->state = task_runner_state(tr);
	out->failed = tr->failed;
	out->restarts = tr->restarts;
	out->last_restart = tr->last_restart_ns;
	out->started_at = tr->started_ns;
	out->finished_at = tr->finished_ns;
	out->events.at = arena_calloc(mem, TASK_EVENTS_KEPT, sizeof(out->events.at[0]));
	if (out->events.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < tr->log.n; i++) {
		if (task_record_render(&tr->log.at[i], &out->events.at[i], mem) != 0) {
			return ERR_NOMEM;
		}
		out->events.n++;
	}
	return 0;
}

/* ---- the saved form ---- */

static int save_events(const struct task_log *log, struct saved_task *out, struct arena *mem)
{
	uint32_t i;

	out->events.at = arena_calloc(mem, TASK_EVENTS_KEPT, sizeof(out->events.at[0]));
	if (out->events.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < log->n; i++) {
		const struct task_record *r = &log->at[i];

		out->events.at[i] = (struct saved_event){.kind = r->kind,
		                                         .time = r->time_ns,
		                                         .duration = r->duration_ns,
		                                         .text = r->text == NULL ? "" : r->text,
		                                         .exit_code = r->exit_code,
		                                         .signal = r->signal,
		                                         .fails_task = r->fails_task,
		                                         .oom_killed = r->oom_killed};
	}
	out->events.n = log->n;
	return 0;
}

int task_runner_save(const struct task_runner *tr, struct saved_task *out, struct arena *mem)
{
	object_init(&saved_task_type, out);
	out->name = tr->task->name;
	out->step = sm_name(&tr->sm);
	out->want = wants[tr->want];
	out->alive = tr->alive || tr->awaited == ANSWER_ADOPT; /* It may well be. */
	out->failed = tr->failed;
	out->set_up = tr->set_up;
	out->restarts = tr->restarts;
	out->last_restart = tr->last_restart_ns;
	out->started = tr->started_ns;
	out->finished = tr->finished_ns;
	out->interval_count = tr->restart.count;
	out->interval_at = tr->restart.interval_at;
	out->go = tr->go_ns;
	return save_events(&tr->log, out, mem);
}

static void restore_events(struct task_runner *tr, const struct saved_task *saved)
{
	uint32_t i;

	for (i = 0; i < saved->events.n; i++) {
		const struct saved_event *e = &saved->events.at[i];

		if (e->kind < 0 || e->kind >= TASK_EVENT_COUNT) {
			continue;
		}
		task_log_add(&tr->log, (struct task_record){.kind = (uint8_t)e->kind,
		                                            .time_ns = e->time,
		                                            .duration_ns = e->duration,
		                                            .text = (char *)(uintptr_t)e->text,
		                                            .exit_code = (int)e->exit_code,
		                                            .signal = (int)e->signal,
		                                            .fails_task = e->fails_task,
		                                            .oom_killed = e->oom_killed});
	}
}

static void restore_fields(struct task_runner *tr, const struct saved_task *saved)
{
	tr->failed = saved->failed;
	tr->set_up = saved->set_up;
	tr->restarts = saved->restarts;
	tr->last_restart_ns = saved->last_restart;
	tr->started_ns = saved->started;
	tr->restart.count = saved->interval_count;
	tr->restart.interval_at = saved->interval_at;
	tr->want = strcmp(saved->want, wants[WANT_STOP]) == 0 ? WANT_STOP : WANT_RUN;
}

void task_runner_restore(struct task_runner *tr, struct alloc_runner *alloc, const struct task *task,
                         const struct saved_task *saved, const struct moment *at)
{
	init(tr, alloc, task);
	restore_events(tr, saved);
	restore_fields(tr, saved);
	if (strcmp(saved->step, steps[TASK_DEAD].name) == 0) {
		tr->finished_ns = saved->finished != 0 ? saved->finished : at->wall_ns;
		tr->sm.at = TASK_DEAD;
	} else if (saved->handle.n > 0 && ((saved->alive && saved->started != 0) || saved->go != 0)) {
		tr->go_ns = saved->go;
		tr->awaited = ANSWER_ADOPT;
		tr->sm.at = tr->want == WANT_STOP ? TASK_KILLING : TASK_ADOPTING;
		ops(tr)->adopt(tr);
	} else if (tr->want == WANT_STOP) {
		die(tr, 0, at);
	}
	assert(sound(&tr->sm));
}
