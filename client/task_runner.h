/**
 * The life of one task on a node: when it is prepared, started, killed and started again, and what is told of it.
 *
 * A task runner decides and does nothing itself. What happens comes in as function calls, each with the moment it
 * happens at; what is to be done goes out through struct alloc_ops of its allocation (alloc_runner.h). Effects are
 * answered later, never from inside the call that asked for them.
 *
 *     WAITING --> PREPARING --> STARTING --> RUNNING --> LEAVING --> KILLING --> DEAD
 *        ^            ^  \___________\__________|___________________/   |
 *        |            |               \         v                       |
 *     ADOPTING        '--------------- DELAY <--'-----------------------'   (and every state --> DEAD)
 *
 * WAITING    for its turn among the tasks of the allocation (or, after a restore that failed, for a server)
 * ADOPTING   the driver looks for a task that an earlier agent left running
 * PREPARING  its directories are made, its hooks run: payload, artifacts, templates
 * STARTING   the driver has been told to start it
 * RUNNING    it runs
 * LEAVING    it runs, and is given its shutdown delay before it is killed
 * KILLING    its end is awaited: of the process, or of what was under way when the wish to end it came
 * DELAY      it has ended and waits to be started again
 * DEAD       it has ended for good. Only a user's restart of all tasks leads out of here.
 */
#ifndef CLIENT_TASK_RUNNER_H_
#define CLIENT_TASK_RUNNER_H_

#include <stdbool.h>
#include <stdint.h>

#include "client/restart.h"
#include "client/saved.h"
#include "client/task_event.h"
#include "lib/moment.h"
#include "lib/sm.h"
#include "proto/alloc.h"

struct alloc_runner;

enum task_step {
	TASK_WAITING,
	TASK_ADOPTING,
	TASK_PREPARING,
	TASK_STARTING,
	TASK_RUNNING,
	TASK_LEAVING,
	TASK_KILLING,
	TASK_DELAY,
	TASK_DEAD,
};

/* Where in the allocation's life a task has its place. */
enum task_hook { HOOK_MAIN, HOOK_PRESTART, HOOK_POSTSTART, HOOK_POSTSTOP };

/* What is to become of the task once it has ended. */
enum task_want { WANT_RUN, WANT_RESTART, WANT_STOP };

/* Which effect has been asked for and not been answered. */
enum task_answer { ANSWER_NONE, ANSWER_ADOPT, ANSWER_PREPARE, ANSWER_START };

/* What has become of a task that an earlier agent ran, or was about to run. */
enum task_adopted { ADOPTED_LOST, ADOPTED_RUNS, ADOPTED_NEVER_RAN };

/* How a task ended. */
struct task_exit {
	int code;   /* 128 + signal when a signal ended it. */
	int signal; /* 0 unless a signal ended it. */
	bool oom_killed;
	int64_t finished_ns; /* Unix time of the end, 0 for now. */
	const char *error;   /* "" unless its end could not be observed. */
};

/* Why a task could not be prepared or started. */
struct task_failure {
	enum task_event_kind kind; /* What is told: DRIVER_FAILURE, DOWNLOAD_FAILED, HOOK_FAILED ... */
	const char *text;
	bool recoverable; /* Another try may help: the restart policy decides. */
};

struct task_runner {
	struct sm sm;
	struct alloc_runner *alloc;
	const struct task *task; /* In the allocation's present specification. */
	struct task_log log;
	struct restart restart;
	int64_t started_ns, finished_ns, last_restart_ns; /* Unix time; 0 is never. */
	int64_t due_ns;          /* Monotonic time at which task_runner_wake() has something to do; 0 is never. */
	int64_t go_ns;           /* In ADOPTING, of a task that is not known to have started: since when it may have. Else 0. */
	int64_t restarts;
	uint8_t hook;    /* enum task_hook */
	uint8_t want;    /* enum task_want */
	uint8_t awaited; /* enum task_answer */
	bool sidecar;
	bool failed;
	bool alive;      /* The driver runs it: it was started, and its end has not been told. */
	bool hold;       /* In WAITING: until a server has been heard of. */
	bool unhealthy;  /* It is being killed for a restart because a check has failed. */
	bool again;      /* It ran, and waits for its turn once more, as all of its allocation are restarted. */
	bool set_up;     /* Its directories were begun once. */
	bool changed;    /* Something that servers are told has changed; reset by the allocation. */
};

/* A task of `alloc`, which received it at that moment. */
void task_runner_init(struct task_runner *tr, struct alloc_runner *alloc, const struct task *task,
                      const struct moment *at);

/* As task_runner_init(), for a task that an earlier agent has had: it goes on from what was saved. A task that was
 * running is adopted when the caller has what its driver needs for that. */
void task_runner_restore(struct task_runner *tr, struct alloc_runner *alloc, const struct task *task,
                         const struct saved_task *saved, const struct moment *at);

void task_runner_close(struct task_runner *tr);

/* The specification changed in place. */
void task_runner_update(struct task_runner *tr, const struct task *task);

/* Its turn has come; only in WAITING, and without hold. */
void task_runner_start(struct task_runner *tr, const struct moment *at);

/* Answers. A NULL failure is success. */
void task_runner_adopted(struct task_runner *tr, enum task_adopted what, const struct moment *at);
void task_runner_prepared(struct task_runner *tr, const struct task_failure *failure, const struct moment *at);
void task_runner_started(struct task_runner *tr, const struct task_failure *failure, const struct moment *at);
void task_runner_exited(struct task_runner *tr, const struct task_exit *end, const struct moment *at);

/* `due_ns` has come. */
void task_runner_wake(struct task_runner *tr, const struct moment *at);

/* End it for good. The reason, which may be "", is told; `fails` marks the task as failed by it, `at_once` skips its
 * shutdown delay. Nothing happens when its end is under way or has come. */
void task_runner_stop(struct task_runner *tr, const char *reason, bool fails, bool at_once, const struct moment *at);

/* If it waits for its shutdown delay, that is over. */
void task_runner_hurry(struct task_runner *tr, const struct moment *at);

/* End it and start it again at once, free of the restart policy. 0, or ERR_CONFLICT when it does not run. */
int task_runner_restart(struct task_runner *tr, const char *reason, const struct moment *at);

/* End it as a failure that the restart policy is to judge. Nothing happens when it does not run. */
void task_runner_unhealthy(struct task_runner *tr, const char *reason, const struct moment *at);

/* As task_runner_restart() for a dead task, which lives again. */
void task_runner_revive(struct task_runner *tr, const char *reason, const struct moment *at);

/* It can never run: told as the event `kind` with a text, and failed. Only in WAITING. */
void task_runner_fail(struct task_runner *tr, enum task_event_kind kind, const char *text, const struct moment *at);

/* Tell what happened to it. */
void task_runner_event(struct task_runner *tr, enum task_event_kind kind, const char *text, const struct moment *at);

/* "pending", "running" or "dead". */
const char *task_runner_state(const struct task_runner *tr);

/* The API form: 0 or ERR_NOMEM. */
int task_runner_render(const struct task_runner *tr, struct task_state *out, struct arena *mem);

/* What the next agent needs to go on, without the driver's handle: 0 or ERR_NOMEM. */
int task_runner_save(const struct task_runner *tr, struct saved_task *out, struct arena *mem);

/* Whether the task has been killed or is being killed for good. */
static inline bool task_runner_stopping(const struct task_runner *tr)
{
	return tr->want == WANT_STOP;
}

static inline enum task_step task_runner_step(const struct task_runner *tr)
{
	return (enum task_step)tr->sm.at;
}

#endif /* CLIENT_TASK_RUNNER_H_ */
