/* What users wish: signals and restarts of a running allocation's tasks. */
#include <string.h>

#include "client/alloc_runner_int.h"
#include "proto/error.h"

static bool is_poststop(const struct task_runner *tr)
{
	return tr->hook == HOOK_POSTSTOP;
}

static int refuse(struct buf *why, int code, const char *text)
{
	buf_str(why, text);
	return code;
}

/* Told as that kind of event with that text. */
static bool send_signal(struct task_runner *tr, const char *signal, enum task_event_kind kind, const char *text,
                        const struct moment *at)
{
	if (tr->sm.at != TASK_RUNNING) {
		return false;
	}
	task_runner_event(tr, kind, text, at);
	tr->alloc->ops->signal(tr, signal);
	return true;
}

static bool signal_one(struct task_runner *tr, const char *signal, const struct moment *at)
{
	return send_signal(tr, signal, TASK_EVENT_SIGNALING, signal, at);
}

static int signal_all(struct alloc_runner *ar, const char *signal, const struct moment *at, struct buf *why)
{
	struct buf list = {0};
	uint32_t failed = 0;
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (!signal_one(&ar->tasks[i], signal, at)) {
			buf_printf(&list, "\t* Failed to signal task: %s, err: Task not running\n", ar->tasks[i].task->name);
			failed++;
		}
	}
	if (failed > 0) {
		buf_printf(why, "%u error%s occurred:\n%s\n", failed, failed == 1 ? "" : "s", buf_text(&list));
	}
	buf_close(&list);
	return failed > 0 ? ERR_CONFLICT : 0;
}

int alloc_runner_signal(struct alloc_runner *ar, const char *task, const char *signal, const struct moment *at,
                        struct buf *why)
{
	struct task_runner *tr = alloc_runner_task(ar, task);
	int rc = 0;

	if (task[0] == '\0') {
		rc = signal_all(ar, signal, at, why);
	} else if (tr == NULL) {
		return refuse(why, ERR_NOTFOUND, "Task not found");
	} else if (!signal_one(tr, signal, at)) {
		rc = refuse(why, ERR_CONFLICT, "Task not running");
	}
	alloc_settle(ar, at);
	return rc;
}

int alloc_runner_signal_rendered(struct task_runner *tr, const char *signal, const char *phrase, const struct moment *at)
{
	bool sent = send_signal(tr, signal, TASK_EVENT_RERENDERED, phrase, at);

	alloc_settle(tr->alloc, at);
	return sent ? 0 : ERR_CONFLICT;
}

/* All of them, dead ones too, begin once more in the order of their hooks; those that run, as they are. */
static void restart_many(struct alloc_runner *ar, bool dead_too, const struct moment *at)
{
	const char *reason =
	        dead_too ? "User requested all tasks to restart" : "User requested running tasks to restart";
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		struct task_runner *tr = &ar->tasks[i];

		if (dead_too && tr->sm.at == TASK_DEAD && !is_poststop(tr)) {
			task_runner_revive(tr, reason, at);
			tr->again = true;
		} else if (task_runner_restart(tr, reason, at) == 0) { /* One that does not run is left alone. */
			tr->again = dead_too;
		}
	}
}

static bool should_run(const struct alloc_runner *ar)
{
	const char *description;
	enum alloc_client status = alloc_runner_status(ar, &description);

	return alloc_wanted(ar) && ar->cause == CAUSE_NONE && alloc_any_working(ar) && status != ALLOC_CLIENT_FAILED;
}

int alloc_runner_restart_task(struct task_runner *tr, const char *reason, const struct moment *at)
{
	int rc = task_runner_restart(tr, reason, at);

	alloc_settle(tr->alloc, at);
	return rc;
}

int alloc_runner_restart(struct alloc_runner *ar, const char *task, bool all_tasks, const struct moment *at,
                         struct buf *why)
{
	struct task_runner *tr = alloc_runner_task(ar, task);
	int rc = 0;

	if (task[0] != '\0' && all_tasks) {
		return refuse(why, ERR_INVALID, "task name cannot be set when restarting all tasks");
	}
	if (task[0] != '\0' && tr == NULL) {
		buf_printf(why, "Could not find task runner for task: %s", task);
		return ERR_NOTFOUND;
	}
	if (tr != NULL && tr->sm.at != TASK_RUNNING) {
		return refuse(why, ERR_CONFLICT, "Task not running");
	}
	if (!should_run(ar)) {
		return refuse(why, ERR_CONFLICT, "restart of an alloc that should not run");
	}
	if (tr == NULL) {
		restart_many(ar, all_tasks, at);
	} else {
		rc = task_runner_restart(tr, "User requested task to restart", at);
	}
	alloc_settle(ar, at);
	return rc;
}
