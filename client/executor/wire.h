/**
 * What the agent and an executor say to each other.
 *
 * An executor is started with two descriptors: a socket (SOCK_SEQPACKET: one message, one packet) to the agent that
 * starts it, and a memory file with the task's description, the "spec". Later agents connect to the socket RUN.sock in
 * the task's state directory; the executor leaves the way the task ended in RUN.exit there, which is the report EXITED
 * as it stands here. RUN is a random name of this one start. RUN.exit.tmp is there from the start: all zeros, and the
 * report STARTED from the moment that there is a process, which waits until that is written before it executes anything.
 * Behind the report are the spec's `cgroup`, a newline, and `limit_cgroups`. So a task that no agent and no executor
 * looks after any more can be found and ended, and one that was never executed is known for sure.
 *
 * Messages are structs of fixed size with their size in front. A shorter one, of an older program, is filled up with
 * zeros, of a longer one the rest is ignored: so fields are only ever added at the end, and an executor that runs for
 * months can be talked to by newer agents. The spec is not so: it is read only by the executor installed beside the
 * agent, and any other version is refused.
 */
#ifndef CLIENT_EXECUTOR_WIRE_H_
#define CLIENT_EXECUTOR_WIRE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/buf.h"

enum {
	EXECUTOR_SOCKET_FD = 3,
	EXECUTOR_SPEC_FD = 4,
	EXECUTOR_SPEC_VERSION = 4,
	EXECUTOR_GROUPS_MAX = 1024,
	EXECUTOR_RUN_TEXT = 17, /* 16 hex digits. */
};

/* ---- the spec ---- */

/* Texts are never NULL. work_dir and state_dir are absolute. */
#define EXECUTOR_TEXTS(X)                                                                             \
	X(command)   /* What to execute, found already. */                                            \
	X(work_dir)                                                                                   \
	X(log_dir)                                                                                    \
	X(stdout_name)                                                                                \
	X(stderr_name)                                                                                \
	X(state_dir)                                                                                  \
	X(run)                                                                                        \
	X(user) /* For texts; what counts are the numbers. */                                         \
	X(cgroup) /* A directory of the cgroup v2 mount to make, and to remove at the end; or "". */ \
	X(cgroups_given) /* Some that exist, a line each, to run in and leave alone; or "". */ \
	X(limit_cgroups) /* As cgroup, a line each, of the old version, which has a hierarchy for each controller. */ \
	X(cpus) /* Those to run on, "0,2-3"; "": all. */ \
	X(root) /* What becomes the task's root directory; "": the host's, and no namespace is made. */ \
	X(shared) /* What becomes its /alloc. */ \
	X(chroot_env) /* What it sees of the host, not writable: a line for the host's path, one for the task's. */

/* Limits of 0 are none; files_max is the soft limit of open files, 0: the executor's. With a root: `capabilities` is the
 * set of those that the task may have, a bit each. wait_go: nothing of the task is executed before EXECUTOR_GO. */
#define EXECUTOR_NUMBERS(X)     \
	X(log_max_files)        \
	X(log_max_file_bytes)   \
	X(log_disabled)         \
	X(set_user)             \
	X(uid)                  \
	X(gid)                  \
	X(set_oom_score_adj)    \
	X(oom_score_adj)        \
	X(memory_bytes)         \
	X(memory_low_bytes)     \
	X(cpu_shares)           \
	X(pid_private)          \
	X(ipc_private)          \
	X(no_pivot_root)        \
	X(capabilities)         \
	X(files_max)            \
	X(wait_go)

struct executor_spec {
#define X(name) const char *name;
	EXECUTOR_TEXTS(X)
#undef X
#define X(name) int64_t name;
	EXECUTOR_NUMBERS(X)
#undef X
	char *const *args; /* With a NULL behind the last, as is env. */
	char *const *env;
	uint32_t args_n, env_n;
	const uint32_t *groups;
	uint32_t groups_n;
};

/* Append the spec's bytes. */
void executor_spec_encode(const struct executor_spec *spec, struct buf *out);

/* Read them in place: `out` points into `data`, whose pointer tables are filled in. 0, ERR_CORRUPT, or
 * ERR_UNSUPPORTED for a spec of another version. `data` must be aligned to 8. */
int executor_spec_decode(void *data, size_t len, struct executor_spec *out);

/* ---- messages ---- */

enum executor_request_type {
	EXECUTOR_SIGNAL = 1, /* `signal` to the first process; answered by SIGNALLED. */
	EXECUTOR_KILL = 2,   /* `signal` now, SIGKILL to all after timeout_ns; no answer but EXITED. */
	EXECUTOR_STATS = 3,  /* Answered by STATS. */
	EXECUTOR_DESTROY = 4, /* SIGKILL to all at once; leave nothing on disk. */
	EXECUTOR_GO = 5,      /* Execute the task now: after READY, from the agent that was told so. */
	/* Run a command beside the task. With it come four descriptors: a spec of which the args alone count, and the
	 * command's 0, 1 and 2. Answered by RAN when it has ended, or could not be started. */
	EXECUTOR_RUN = 6,
	EXECUTOR_RUN_KILL = 7, /* SIGKILL to the command with this id, and no answer any more. */
};

enum {
	EXECUTOR_RUN_FDS = 4,
	EXECUTOR_RUNS_MAX = 32, /* Commands at a time. */
};

struct executor_request {
	uint32_t size;
	uint32_t type;
	uint64_t id; /* Comes back in the answer. */
	int64_t timeout_ns;
	int32_t signal;
	uint32_t terminal; /* Of RUN: its input is a terminal, and is to control it. */
};

enum executor_report_type {
	EXECUTOR_STARTED = 1, /* Once it runs, and to each agent that connects: pid, start. */
	EXECUTOR_FAILED = 2,  /* It could not be started: stage, error. The executor ends. */
	EXECUTOR_EXITED = 3,  /* code, signal, oom_killed, finished_ns. The executor ends, as soon as it may. */
	EXECUTOR_SIGNALLED = 4,
	EXECUTOR_USAGE = 5,
	EXECUTOR_READY = 6,   /* All is there but the task; the executor ends if its agent ends before it says GO. */
	EXECUTOR_RAN = 7, /* Of the command with this id: code, signal; or stage, error. */
};

/* What an executor was about to do when a start failed: how a text for people calls it, and the text of the spec that
 * goes with it. */
#define EXECUTOR_STAGES(X)                                             \
	X(SPEC, "read the description of", command)                    \
	X(STATE, "use state directory", state_dir)                     \
	X(LOGS, "open log files in", log_dir)                          \
	X(FORK, "fork for", command)                                   \
	X(CGROUP, "join cgroup", cgroups_given)                         \
	X(LIMITS, "limit the resources of", command)                   \
	X(OOM, "set oom_score_adj for", command)                       \
	X(ROOT, "change to root directory", root)                      \
	X(SHARED, "mount on /alloc in the task's root", shared)        \
	X(CHROOT_ENV, "mount the chroot environment in", root)         \
	X(DEV, "make /dev in", root)                                   \
	X(PROC, "mount /proc in", root)                                \
	X(SYS, "mount /sys in", root)                                  \
	X(CAPABILITIES, "set the capabilities of", command)            \
	X(USER, "change to user", user)                                \
	X(WORK_DIR, "change to working directory", work_dir)           \
	X(EXEC, "launch command", command)

enum executor_stage {
#define X(name, what, member) EXECUTOR_STAGE_##name,
	EXECUTOR_STAGES(X)
#undef X
};

struct executor_report {
	uint32_t size;
	uint32_t type;
	uint64_t id;
	int32_t error; /* An errno value, of FAILED and SIGNALLED; 0: none. */
	int32_t stage;
	int32_t pid;
	int32_t unused;
	uint64_t start; /* The first process's start time: see client/procfs.h. */
	int32_t code;
	int32_t signal;
	int64_t oom_killed;
	int64_t finished_ns; /* Unix time. */
	int64_t cpu_user_ns, cpu_system_ns;
	int64_t rss_bytes, cache_bytes, swap_bytes;
	int64_t pids;
	uint64_t abilities; /* Of STARTED: what else this executor can do; 0 from those that are older than these bits. */
};

enum { EXECUTOR_CAN_RUN = 1 };

/* Bring a received message of `got` bytes to the full size of ours; false if it is not one. */
bool executor_message_fix(void *message, size_t size, ssize_t got);

#endif /* CLIENT_EXECUTOR_WIRE_H_ */
