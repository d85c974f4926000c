/**
 * Task drivers: the seam between what a node decides to run and how it is run.
 *
 * A driver is one table of functions (struct driver). All drivers stand in one list in driver.c; driver_find() knows
 * them by name. What they share, the loop, the executor's path and each plugin's settings, is a struct driver_host, of
 * which a client has one.
 *
 * A task that was started is a struct driver_task, which its driver made. It lives on the host's loop: every function
 * here is called, and every callback fires, on the loop's thread; never a callback from inside the call that asked for
 * it, so a caller may hold no lock against itself. Its life:
 *
 *     driver_start()   --> ready_cb            it will run when driver_go() is called, and not before
 *                      --> started_cb(error)   it does not run; only driver_destroy() is allowed now
 *     driver_recover() --> started_cb(NULL)    it runs; driver_save() tells what a later recovery needs
 *                             `--> exited_cb   it has ended, as have all processes that it had started
 *
 * Who wants a task to be found again whatever happens keeps, between ready_cb and driver_go(), what driver_save() tells:
 * then nothing ever runs that is not written down, and what was written down and never ran is known (`never`).
 *
 * Whatever the state, driver_destroy() or driver_detach() ends the handle: no callback fires afterwards and the
 * pointer is dead. Each driver_task must see exactly one of them before driver_host_close().
 */
#ifndef CLIENT_DRIVER_H_
#define CLIENT_DRIVER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/list.h"
#include "proto/node.h"

struct uv_loop_s;
struct driver_command;
struct driver_host;
struct driver_task;

enum { DRIVER_ERROR_TEXT = 512 };

/* Why a task could not be started, recovered or signalled. */
struct driver_error {
	bool recoverable; /* Starting it again may help: the restart policy decides. Else the task has failed for good. */
	bool lost;        /* Of a recovery: the task is surely gone (the machine was restarted), not merely out of reach. */
	bool never;       /* Of a recovery: it was about to run, and surely never did. */
	char text[DRIVER_ERROR_TEXT];
};

/* How a task ended. */
struct driver_exit {
	int code;   /* Of exit(); 128 + signal when a signal ended it. */
	int signal; /* 0 unless a signal ended it. */
	bool oom_killed;
	int64_t finished_ns;          /* Unix time, of the end itself and not of our learning of it. */
	char error[DRIVER_ERROR_TEXT]; /* "" unless the driver lost sight of the task: then how it ended is not known. */
};

/* What a task uses, with all its processes. */
struct driver_stats {
	int64_t cpu_user_ns, cpu_system_ns; /* Since its start. */
	int64_t rss_bytes, cache_bytes, swap_bytes;
	uint32_t pids;
	int64_t at_ns; /* Unix time of the measurement. */
};

/* What driver_start() is told. Everything is borrowed for the call only. Paths are absolute. NULL is as "". */
struct driver_spec {
	const char *alloc_id;
	const char *task_name;
	const char *config;       /* The task's Config block as JSON text, interpolated. */
	const char *const *env;   /* "KEY=value", complete but for what the driver itself inherits to the task. */
	uint32_t env_n;
	const char *user;         /* "" is the driver's default_user. */
	const char *task_dir;     /* <alloc>/<task>; its working directory. */
	const char *state_dir;    /* Of the agent alone, for what outlives it: <alloc>/<task>/private. */
	const char *shared_dir;   /* <alloc>/alloc */
	const char *log_dir;      /* <alloc>/alloc/logs */
	const char *stdout_name;  /* Base name of the rotated files in log_dir: "web.stdout", which gives web.stdout.0 ... */
	const char *stderr_name;
	int64_t log_max_files;    /* Per stream; at least 1. */
	int64_t log_max_file_bytes;
	bool log_disabled;        /* Output goes nowhere. */
	int64_t cpu_shares;
	int64_t memory_mb, memory_max_mb;
	const char *cpus;         /* Those that are the task's alone, "0,2-3"; "" is none. */
};

struct driver_events {
	/* At most once, before started_cb: driver_save() works, and the task waits for driver_go(). NULL: it does not wait.
	 * A driver whose tasks cannot outlive the agent does not call it. */
	void (*ready_cb)(void *ctx, struct driver_task *task);
	/* Any number of times before that, and before started_cb: what it is busy with, for people. NULL: nobody listens. */
	void (*said_cb)(void *ctx, struct driver_task *task, const char *text);
	/* Exactly once. `error` is NULL when the task runs, and borrowed. */
	void (*started_cb)(void *ctx, struct driver_task *task, const struct driver_error *error);
	/* Exactly once after a started_cb without error. */
	void (*exited_cb)(void *ctx, struct driver_task *task, const struct driver_exit *exit);
};

/* `stats` is NULL when they cannot be had; `error` when the signal was delivered. */
typedef void (*driver_stats_cb)(void *ctx, const struct driver_stats *stats);
typedef void (*driver_signal_cb)(void *ctx, const struct driver_error *error);

enum driver_capability {
	DRIVER_SEND_SIGNALS = 1 << 0, /* driver_signal() works. */
	DRIVER_EXEC = 1 << 1,         /* Commands can be run beside a running task: client/driver_command.h. */
	DRIVER_ROOT = 1 << 2,         /* Tasks see their directory as the root: /alloc, /local, /secrets. */
};

struct driver {
	const char *name;
	unsigned capabilities;   /* Of enum driver_capability. */
	const char *kill_signal; /* What ends a task whose specification names no signal: "SIGINT". */
	const char *default_user; /* Of a task whose specification names none; NULL: the agent's own. */

	/* Take over the settings of a plugin block, JSON text. 0, or ERR_INVALID with the key at fault. */
	int (*configure)(struct driver_host *host, const char *config, struct driver_error *error);
	/* Whether the agent's configuration lets the driver run tasks. */
	bool (*enabled)(const struct driver_host *host);
	/* Add attributes and health to `out`; the strings come from `mem` or are static. Called only when enabled; a driver
	 * that cannot work on this machine takes back `detected`. */
	void (*fingerprint)(struct driver_host *host, struct arena *mem, struct driver_info *out);
	/* Check a task's config. 0, or ERR_INVALID with a text that names the field at fault. */
	int (*validate)(const char *config, struct driver_error *error);
	/* These are as the functions below say. */
	struct driver_task *(*start)(struct driver_host *host, const struct driver_spec *spec,
	                             const struct driver_events *events, void *ctx);
	struct driver_task *(*recover)(struct driver_host *host, const void *state, size_t len,
	                               const struct driver_events *events, void *ctx);
	void (*save)(const struct driver_task *task, struct buf *out);
	void (*go)(struct driver_task *task); /* NULL if it never calls ready_cb. */
	void (*kill)(struct driver_task *task, int signal, int64_t timeout_ns);
	int (*signal)(struct driver_task *task, int signal, driver_signal_cb cb, void *ctx);
	int (*stats)(struct driver_task *task, driver_stats_cb cb, void *ctx);
	/* Only with DRIVER_EXEC. Run cmd->argv with these three descriptors as its own, which are borrowed; a terminal is
	 * all three. 0, and later driver_command_over(); or a negative code and why. */
	int (*command)(struct driver_task *task, struct driver_command *cmd, const int fds[3],
	               struct driver_error *error);
	/* Kill it and forget it: it is not told any more. */
	void (*command_kill)(struct driver_task *task, struct driver_command *cmd);
	/* NULL: a terminal is made here, and its size is that of its other end. Else the driver makes it, and the command's
	 * descriptors are pipes all the same. */
	void (*command_resize)(struct driver_task *task, struct driver_command *cmd, unsigned rows, unsigned columns);
	void (*destroy)(struct driver_task *task);
	void (*detach)(struct driver_task *task);
};

enum driver_state {
	DRIVER_STARTING, /* Until ready_cb or started_cb. */
	DRIVER_READY,    /* From ready_cb to started_cb. */
	DRIVER_RUNNING,
	DRIVER_EXITED,   /* exited_cb has fired, or started_cb with an error. */
};

/* The head of every driver's task; the driver embeds it. Callers read, and do not write. */
struct driver_task {
	const struct driver *driver;
	struct driver_host *host;
	struct driver_events events;
	void *ctx;
	enum driver_state state;
	bool findable; /* Recovered, or told to go: driver_detach() leaves it to a later agent, also before it runs. */
	int32_t pid; /* Of the task's first process; 0 if there is none of that kind. */
	struct list commands; /* struct driver_command: those that run beside it. */
};

/* ---- the list of drivers ---- */

const struct driver *driver_find(const char *name); /* NULL if there is none of that name. */
const struct driver *driver_at(unsigned i);         /* NULL after the last one; in order of the names. */

/* ---- the host ---- */

struct driver_host_config {
	struct uv_loop_s *loop;
	const char *executor;      /* Path of drover-executor; NULL: $DROVER_EXECUTOR, beside the program, or as installed. */
	const char *cgroup_parent; /* Name below the cgroup mounts; NULL: "drover.slice"; "": use no cgroups. */
	/* What tasks in a root of their own see of the host, path by path there and here; NULL: the default. */
	const struct map *chroot_env;
	bool dev;                  /* Development mode: drivers that are off by default are on. */
	int64_t files_max;         /* The soft limit of open files of tasks; 0: the agent's. */
};

/* NULL when memory is exhausted. The config is copied. */
struct driver_host *driver_host_open(const struct driver_host_config *config);

/* Apply a plugin block of the agent's configuration, its config as JSON text. 0; ERR_NOTFOUND for a driver that we do
 * not have; ERR_INVALID with the key at fault. Call it before the first fingerprint. */
int driver_host_plugin(struct driver_host *host, const char *name, const char *config, struct driver_error *error);

bool driver_enabled(const struct driver_host *host, const struct driver *driver);

/* Fill `out` for the node's Drivers: not detected and with a reason while the driver is off. */
void driver_fingerprint(struct driver_host *host, const struct driver *driver, struct arena *mem,
                        struct driver_info *out);

/* All tasks must have been destroyed or detached. closed_cb, which may be NULL, fires once the loop holds nothing of
 * the host any more; the host is freed then. */
void driver_host_close(struct driver_host *host, void (*closed_cb)(void *ctx), void *ctx);

/* ---- tasks ---- */

/* Begin to start a task. All failures but one arrive by started_cb; NULL is: memory is exhausted. */
struct driver_task *driver_start(struct driver_host *host, const struct driver *driver, const struct driver_spec *spec,
                                 const struct driver_events *events, void *ctx);

/* Find the task again that driver_save() described, by an agent before us. If it ended meanwhile, started_cb reports
 * no error and exited_cb follows. A record that cannot be read is an error by started_cb. NULL: no memory. */
struct driver_task *driver_recover(struct driver_host *host, const struct driver *driver, const void *state, size_t len,
                                   const struct driver_events *events, void *ctx);

/* Append what driver_recover() needs, at most a few hundred bytes, versioned by the driver. For tasks that are ready or
 * run. */
void driver_save(const struct driver_task *task, struct buf *out);

/* Let a task run that is ready; once. */
void driver_go(struct driver_task *task);

/* Ask the task to end: `signal` (a name; "" or NULL is the driver's own) now, and SIGKILL for all its processes after
 * timeout_ns. Allowed while it starts; nothing happens when it has ended. Asking again can only shorten the wait.
 * The end is told by exited_cb. ERR_INVALID, and nothing done, for an unknown signal name. */
int driver_kill(struct driver_task *task, const char *signal, int64_t timeout_ns);

/* Send a signal to the task's first process. The answer comes by cb, which may be NULL; it does not come if the task
 * is destroyed or detached before. ERR_INVALID for an unknown name, ERR_CLOSED when the task does not run, ERR_BUSY when
 * too many questions are open, ERR_UNSUPPORTED: the driver cannot; cb is not called then. */
int driver_signal(struct driver_task *task, const char *signal, driver_signal_cb cb, void *ctx);

/* Measure what the task uses. ERR_CLOSED when it does not run, ERR_BUSY as above. As for driver_signal(), a dead handle answers no more. */
int driver_stats(struct driver_task *task, driver_stats_cb cb, void *ctx);

/* The task is no longer wanted: what still runs of it is killed at once, its records on disk are removed. */
void driver_destroy(struct driver_task *task);

/* The agent ends, the task goes on: let go of it so that driver_recover() can find it. One that is starting and was
 * not told to go is destroyed, because nothing tells a later agent of it. */
void driver_detach(struct driver_task *task);

/* End whatever still runs with `state_dir` as its state directory although no record tells of it: an agent that died at
 * the wrong moment leaves such tasks behind. driver_start() does it by itself; to be done also before the directory is
 * removed. Blocks for some seconds at worst, for worker threads. 0, or ERR_TIMEOUT when one does not end. */
int driver_sweep(const char *state_dir);

/* The number of a signal by its name, "SIGHUP" or "HUP"; 0 if there is none of that name. */
int driver_signal_number(const char *name);
const char *driver_signal_name(int number); /* "" if there is none. */
/* Of a signal by its name, what it says: "hangup"; the name itself where there is no such signal. */
const char *driver_signal_phrase(const char *name);

#endif /* CLIENT_DRIVER_H_ */
