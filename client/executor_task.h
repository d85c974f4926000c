/** The inside of client/executor.c and its two errands, executor_start.c and executor_find.c. */
#ifndef CLIENT_EXECUTOR_TASK_H_
#define CLIENT_EXECUTOR_TASK_H_

#include "client/executor.h"
#include "client/launch.h"
#include "client/user.h"

enum { EXECUTOR_ASKED_MAX = 16 };

/* A question to the executor that was not answered yet. One of the callbacks is set, or none if nobody listens. */
struct asked {
	uint64_t id; /* 0: free. */
	driver_signal_cb signal_cb;
	driver_stats_cb stats_cb;
	void *ctx;
};

/*
 * A task's life here, in terms of what it holds of the loop:
 *
 *     errand (LAUNCH) --> poll (talking) --> errand (FIND), if the connection breaks --> poll, or the end
 *
 * At most one of the two is there. When there is none and the caller has let go of the task (`dead`), it is freed.
 */
struct executor_task {
	struct driver_task base;
	struct list link; /* In host->tasks. */
	struct errand *errand;
	struct errand *launched; /* Done, and kept until the task runs: error texts name what was to be run. */
	uv_poll_t poll;
	int fd;      /* -1: no connection; then `poll` is not in use. */
	bool polling;
	unsigned breaks; /* Times that the connection broke: one that always breaks at once must not go on for ever. */
	bool dead;
	bool detached;
	bool kill_asked; /* While the task was starting. */
	int kill_signal;
	int64_t kill_timeout_ns;
	struct executor_id id;
	char *state_dir, *cgroup, *limit_cgroups; /* What `id` points to. */
	uint64_t last_question;
	uint64_t abilities; /* What the executor says it can do: EXECUTOR_CAN_RUN. */
	struct asked asked[EXECUTOR_ASKED_MAX];
};

/* Work for another thread: everything that it needs and finds is here. */
struct errand {
	uv_work_t work;
	struct executor_task *task;
	struct arena mem;
	const char *program;
	struct executor_id id;
	bool failed;
	struct driver_error error;
	int fd;
	/* LAUNCH */
	struct executor_spec spec;
	const char *command; /* As configured. */
	const char *task_dir;
	const char *denied_uids, *denied_gids;
	struct user found;
	/* FIND */
	enum launch_found outcome;
	struct executor_report exit;
};

/* What driver_save() writes. */
#define EXECUTOR_RECORD_FIELDS(X, T)                     \
	X(T, INT, version, "Version")                    \
	X(T, STR, boot_id, "BootID")                     \
	X(T, STR, run, "Run")                            \
	X(T, INT, executor, "Executor")                  \
	X(T, INT, executor_start, "ExecutorStart")       \
	X(T, INT, pid, "PID")                            \
	X(T, INT, start, "Start")                        \
	X(T, STR, state_dir, "StateDir")                 \
	X(T, STR, cgroup, "Cgroup")                      \
	X(T, STR, limit_cgroups, "LimitCgroups")

OBJECT_DECLARE(executor_record, EXECUTOR_RECORD_FIELDS);

/* Nothing was told yet of whether it runs. */
static inline bool executor_task_starting(const struct executor_task *t)
{
	return t->base.state == DRIVER_STARTING || t->base.state == DRIVER_READY;
}

/* ---- making and freeing ---- */

/* NULL: no memory. */
struct executor_task *executor_task_make(struct driver_host *host, const struct driver *driver,
                                         const struct driver_events *events, void *ctx);

/* Free a task of which nothing was told yet. */
void executor_task_free(struct executor_task *t);

/* Free it if the caller has let go of it and nothing of the loop's holds it. */
void executor_task_free_if_over(struct executor_task *t);

/* An errand for the task, not under way yet; NULL: no memory. Freeing NULL is harmless. */
struct errand *errand_make(struct executor_task *t);
void errand_free(struct errand *errand);

/* Copy the identity into the task; false: no memory. */
bool executor_task_keep(struct executor_task *t, const struct executor_id *id);

/* ---- the connection ---- */

void executor_task_connected(struct executor_task *t, int fd);
void executor_task_disconnect(struct executor_task *t);
void executor_task_send_destroy(struct executor_task *t);

/* The connection broke without a report of the end (executor_find.c). */
void executor_task_find(struct executor_task *t);

/* ---- commands beside the task (executor_command.c) ---- */

/* A command has ended. */
void executor_command_ran(struct executor_task *t, const struct executor_report *r);

/* The connection has broken: the executor has ended them, and cannot say so. */
void executor_commands_lost(struct executor_task *t);

/* ---- telling the caller; any of these may end in the task being let go of ---- */

void executor_tell_started(struct executor_task *t, const struct driver_error *error);
void executor_tell_failed(struct executor_task *t, int error, const char *what, const char *which);
void executor_tell_exited(struct executor_task *t, const struct executor_report *r);
void executor_tell_lost(struct executor_task *t);

#endif /* CLIENT_EXECUTOR_TASK_H_ */
