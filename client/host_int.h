/** Between the files that make up the host (client/host.c): what one of them has and another needs. */
#ifndef CLIENT_HOST_INT_H_
#define CLIENT_HOST_INT_H_

#include "client/client_int.h"

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

/* ---- host_driver.c ---- */

void host_adopt(struct task_runner *tr);
void host_start(struct task_runner *tr);
void host_kill(struct task_runner *tr, const char *signal, int64_t timeout_ns);
void host_signal(struct task_runner *tr, const char *signal);
void host_cancel_task(struct task_runner *tr, bool now);
/* The task's handle is done with: what still runs of it is killed. */
void host_drop_driver(struct client_task *task);



#endif /* CLIENT_HOST_INT_H_ */
