/** Between the files that make up the host (client/host.c): what one of them has and another needs. */
#ifndef CLIENT_HOST_INT_H_
#define CLIENT_HOST_INT_H_

#include <stdatomic.h>

#include "client/client_int.h"
#include "client/hooks.h"

static inline struct client *client_of(struct task_runner *tr)
{
	return alloc_of(tr->alloc)->client;
}

/* ---- host.c ---- */

extern const struct alloc_ops host_ops;

/* Something of the allocation can be answered at the end of the turn. */
void host_make_ready(struct client_alloc *ca);
void host_answer_later(struct task_runner *tr, enum ready ready);
/* The start has failed; the text is copied. */
void host_fail_later(struct task_runner *tr, enum task_event_kind kind, const char *text, bool recoverable);
/* If nobody needs it any more, its directory goes soon. */
void host_collect_soon(struct client_alloc *ca);

/* ---- host_prepare.c: directories, environment, hooks ---- */

void host_setup(struct alloc_runner *ar);
void host_prepare(struct task_runner *tr);
/* What is being prepared is of no use any more. */
void host_cancel_prepare(struct client_task *task);
/* `dir` is the allocation's directory. 0 or ERR_NOMEM. */
int host_make_env(struct task_runner *tr, const char *dir, struct task_env *out, struct arena *mem);

/* What a worker needs to run a task's hooks. */
struct prepare_job {
	struct work_item item;
	struct client_alloc *alloc;
	struct alloc_spec *spec; /* The plan points into it. */
	uint32_t task;
	struct arena mem;
	struct hook_plan plan;
	struct hook_outcome outcome;
	atomic_bool canceled;
};

/* `again`: of a task that runs. NULL when memory is exhausted. */
struct prepare_job *host_job_new(struct task_runner *tr, bool again);
void host_job_begin(struct prepare_job *job, void (*done_cb)(struct work_item *item));
void host_job_free(struct prepare_job *job);
/* Begin to run a task's hooks before its start. */
void host_prepare_begin(struct task_runner *tr);
/* Variables of templates that are environment. 0 or ERR_NOMEM. */
int host_keep_vars(struct client_task *task, const struct map *vars);

/* ---- host_render.c ---- */

static inline struct task_runner *runner_of_task(const struct client_task *task)
{
	return &task->alloc->ar.tasks[task - task->alloc->tasks];
}

/* Before a start: what was to be done about changes is out of date. False: a worker is still at its templates, and the
 * preparation begins by itself when it is done. */
bool host_render_reset(struct task_runner *tr);
/* The hooks have run. From now on the task hears of changes of what its templates want. True: something is missing; the
 * preparation begins again by itself. A failure comes with its text. */
bool host_render_lacks(struct task_runner *tr, const struct prepare_job *job, struct task_failure *failure);
/* Not to wait any more; whether it did. */
bool host_render_cancel(struct client_task *task);
/* A task of an earlier agent runs: its templates may be out of date. */
void host_render_adopted(struct task_runner *tr);
/* The task has ended for good, or goes. */
void host_render_end(struct client_task *task);

/* ---- host_script.c ---- */

/* Run the script that a template names, in the task; what came of it is told as an event. */
void host_run_script(struct task_runner *tr, const struct template *t);
/* The task's driver is let go of. */
void host_scripts_end(struct client_task *task);

/* ---- host_driver.c ---- */

void host_adopt(struct task_runner *tr);
void host_start(struct task_runner *tr);
/* What its driver needs to find it again was written to disk, or not: it may run, or not. */
void host_written(struct task_runner *tr, int rc);
void host_kill(struct task_runner *tr, const char *signal, int64_t timeout_ns);
void host_signal(struct task_runner *tr, const char *signal);
void host_cancel_task(struct task_runner *tr, bool now);
/* The task's handle is done with: what still runs of it is killed. */
void host_drop_driver(struct client_task *task);

#endif /* CLIENT_HOST_INT_H_ */
