/**
 * The life of one allocation on a node: its tasks in their order, its status, its health, its end.
 *
 * An alloc runner decides and does nothing itself: what happens comes in as function calls, what is to be done goes
 * out through struct alloc_ops. The shell answers effects later, never from inside them. After each call the runner
 * has settled: every task whose turn has come is being started, every one that must end is being ended, and
 * `due_ns` says when alloc_runner_wake() wants to be called.
 *
 *     NEW --> WAITING (for the allocation that it replaces) --> SETUP --> RUNNING --> DEAD
 *
 * While RUNNING the tasks are brought up in this order, each stage waiting for the one before:
 *
 *     prestart (until the short ones have ended well and the sidecars run) --> main --> poststart
 *
 * When there is a cause to end them, they are taken down: the leader; then all others but sidecars; then the sidecars.
 * Then, and also when the main tasks have ended by themselves, the poststop tasks run.
 */
#ifndef CLIENT_ALLOC_RUNNER_H_
#define CLIENT_ALLOC_RUNNER_H_

#include <stdbool.h>
#include <stdint.h>

#include "client/task_runner.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "proto/alloc.h"

/* Memory of what came together and is kept as long as any of it is: counted. */
struct alloc_source {
	unsigned refs;
	struct arena mem;
};

/* With one reference, the caller's. NULL when memory is exhausted. */
struct alloc_source *alloc_source_new(void);
void alloc_source_unref(struct alloc_source *source);

/* An allocation as a server specified it; counted, never changed. */
struct alloc_spec {
	unsigned refs;
	struct alloc_source *source;
	const struct task_group *group; /* In alloc.job. */
	struct allocation alloc;        /* What it points to is of the source, its job too: others may share that. */
};

/* A specification whose parts lie in `source`, of which it takes a reference. NULL when it is of no use (no job, no
 * such group, no tasks, tasks without a name, two of one name) or memory is exhausted. */
struct alloc_spec *alloc_spec_make(const struct allocation *alloc, struct alloc_source *source);
struct alloc_spec *alloc_spec_ref(struct alloc_spec *spec);
void alloc_spec_unref(struct alloc_spec *spec); /* NULL is harmless. */

enum alloc_step { ALLOC_NEW, ALLOC_WAITING, ALLOC_SETUP, ALLOC_RUNNING, ALLOC_DEAD };

/* Why tasks are taken down. The names are saved: only append. */
#define ALLOC_CAUSE_LIST(X)                                                                        \
	X(NONE, "")                                                                                \
	X(STOPPED, "stopped")        /* A server wants it. */                                      \
	X(SIBLING, "sibling-failed")                                                               \
	X(LEADER, "leader-dead")                                                                   \
	X(MAIN_DEAD, "main-dead")    /* Only sidecars are left. */                                 \
	X(TOO_LONG, "max-run-duration")

enum alloc_cause {
#define X(id, text) CAUSE_##id,
	ALLOC_CAUSE_LIST(X)
#undef X
	CAUSE_COUNT
};

/* How one that has run for its max_run_duration describes itself. */
#define ALLOC_TOO_LONG "allocation exceeded max_run_duration"

enum alloc_health { HEALTH_NONE, HEALTH_WATCHED, HEALTH_GOOD, HEALTH_BAD };

/* What a runner has done. The answer to each is the function named. */
struct alloc_ops {
	void (*await_previous)(struct alloc_runner *ar); /* alloc_runner_previous_ended() */
	void (*setup)(struct alloc_runner *ar);          /* alloc_runner_set_up() */
	void (*adopt)(struct task_runner *tr);           /* alloc_runner_adopted() */
	void (*prepare)(struct task_runner *tr);         /* alloc_runner_prepared() */
	/* Preparing or starting is of no use any more, and is answered all the same: soon, or with `now` at once. */
	void (*cancel)(struct task_runner *tr, bool now);
	void (*start)(struct task_runner *tr);           /* alloc_runner_started(), later alloc_runner_exited() */
	void (*kill)(struct task_runner *tr, const char *signal, int64_t timeout_ns); /* "" is the driver's signal. */
	void (*signal)(struct task_runner *tr, const char *signal);
	void (*changed)(struct alloc_runner *ar); /* Something that servers are told, or that must be saved. */
};

struct alloc_runner {
	struct sm sm;
	const struct alloc_ops *ops;
	struct alloc_spec *spec;
	struct task_runner *tasks; /* In the order of the group. */
	uint32_t n;
	int64_t max_kill_timeout_ns;
	int64_t due_ns; /* Monotonic; 0 is never. */
	int64_t began_ns;       /* Unix time at which RUNNING began. */
	int64_t run_until_ns;   /* Monotonic; 0 without a longest duration. */
	int64_t leave_until_ns; /* The group's shutdown delay; 0 outside of it. */
	enum alloc_cause cause;
	struct {
		enum alloc_health state;
		int64_t at_ns;       /* Unix time of the verdict. */
		int64_t good_since;  /* Monotonic; 0 while not all tasks are as they should be. */
		int64_t deadline;    /* Monotonic. */
		int64_t min_ns;
		bool use_checks, checks_pass;
		const char *deployment_id; /* In spec. */
	} health;
	bool changed;
	bool shut; /* Stopping goes without delays: the server said so. */
};

/* A new allocation; takes a reference to the spec. 0 or ERR_NOMEM. Nothing happens before alloc_runner_begin(). */
int alloc_runner_init(struct alloc_runner *ar, const struct alloc_ops *ops, struct alloc_spec *spec,
                      int64_t max_kill_timeout_ns, const struct moment *at);

/* One that an earlier agent has had. alloc_runner_begin() follows too. */
int alloc_runner_restore(struct alloc_runner *ar, const struct alloc_ops *ops, struct alloc_spec *spec,
                         int64_t max_kill_timeout_ns, const struct saved_alloc *saved, const struct moment *at);

/* Drop everything; no effect is under way any more. Safe on a zeroed one. */
void alloc_runner_close(struct alloc_runner *ar);

void alloc_runner_begin(struct alloc_runner *ar, const struct moment *at);

/* The server's newer word on it: takes a reference. A stop or an eviction takes the tasks down. */
void alloc_runner_update(struct alloc_runner *ar, struct alloc_spec *spec, const struct moment *at);

/* Take the tasks down as if the server had asked for it. */
void alloc_runner_stop(struct alloc_runner *ar, const struct moment *at);

/* Answers to the effects; `error` and failures are NULL for success. */
void alloc_runner_previous_ended(struct alloc_runner *ar, const struct moment *at);
void alloc_runner_set_up(struct alloc_runner *ar, const char *error, const struct moment *at);
void alloc_runner_adopted(struct task_runner *tr, enum task_adopted what, const struct moment *at);
void alloc_runner_prepared(struct task_runner *tr, const struct task_failure *failure, const struct moment *at);
void alloc_runner_started(struct task_runner *tr, const struct task_failure *failure, const struct moment *at);
void alloc_runner_exited(struct task_runner *tr, const struct task_exit *end, const struct moment *at);
void alloc_runner_event(struct task_runner *tr, enum task_event_kind kind, const char *text, const struct moment *at);

/* A server has been heard of: tasks that could not be restored may run again. */
void alloc_runner_contacted(struct alloc_runner *ar, const struct moment *at);

/* Whether all its service checks pass; asked for only by deployments that go by checks. */
void alloc_runner_checks(struct alloc_runner *ar, bool pass, const struct moment *at);

/* A check of a task, or of all that run (NULL), has failed too often: they end and go on as the restart policy says. */
void alloc_runner_unhealthy(struct alloc_runner *ar, struct task_runner *tr, const char *reason,
                            const struct moment *at);

/* A task that runs ends for good, as failed, for a reason that is told. */
void alloc_runner_fail_task(struct task_runner *tr, const char *reason, const struct moment *at);

/* `due_ns` has come. */
void alloc_runner_wake(struct alloc_runner *ar, const struct moment *at);

/* A user's wishes. `task` is "" for all. Returns 0, or ERR_NOTFOUND, ERR_INVALID or ERR_CONFLICT with the text for the
 * user in `why`. */
int alloc_runner_signal(struct alloc_runner *ar, const char *task, const char *signal, const struct moment *at,
                        struct buf *why);
/* A template has changed that wants it; the event calls the signal by its phrase. 0 or ERR_CONFLICT. */
int alloc_runner_signal_rendered(struct task_runner *tr, const char *signal, const char *phrase, const struct moment *at);
/* A task that runs ends and is started again, free of the restart policy. 0 or ERR_CONFLICT. */
int alloc_runner_restart_task(struct task_runner *tr, const char *reason, const struct moment *at);
int alloc_runner_restart(struct alloc_runner *ar, const char *task, bool all_tasks, const struct moment *at,
                         struct buf *why);

/* What servers are told: 0 or ERR_NOMEM. Strings are borrowed from the runner or in `mem`. */
int alloc_runner_report(const struct alloc_runner *ar, struct alloc_update *out, struct arena *mem);

/* What the next agent needs, without spec and driver handles: 0 or ERR_NOMEM. */
int alloc_runner_save(const struct alloc_runner *ar, struct saved_alloc *out, struct arena *mem);

/* The status and its description as servers are told. */
enum alloc_client alloc_runner_status(const struct alloc_runner *ar, const char **description);

/* No task will ever run again, but for a user's restart of all before the server wants it stopped. */
static inline bool alloc_runner_dead(const struct alloc_runner *ar)
{
	return ar->sm.at == ALLOC_DEAD;
}

struct task_runner *alloc_runner_task(const struct alloc_runner *ar, const char *name);

#endif /* CLIENT_ALLOC_RUNNER_H_ */
