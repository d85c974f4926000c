/** The blocking half of client/executor.c, for worker threads: starting an executor, finding one again. */
#ifndef CLIENT_LAUNCH_H_
#define CLIENT_LAUNCH_H_

#include "client/driver.h"
#include "client/executor/wire.h"

/* What identifies one start for good: the machine's run, both processes, the files. */
struct executor_id {
	char boot_id[37];
	char run[EXECUTOR_RUN_TEXT];
	pid_t executor;
	uint64_t executor_start;
	pid_t pid; /* Of the task's first process; 0: not known, it was about to be executed. */
	uint64_t start;
	const char *state_dir;
	const char *cgroup; /* "" if it has none of its own. */
	const char *limit_cgroups; /* Of version 1, a line each. */
};

/* Fill in run, boot_id, executor and executor_start, and start `program` with the spec. The connection to it, or a
 * negative errno value. */
int launch_executor(const char *program, struct executor_spec *spec, struct executor_id *id);

/* A file in memory with the spec's bytes; its descriptor, or a negative errno value. Does not block. */
int launch_spec_file(const struct executor_spec *spec);

/* The path to execute: see struct executor_launch. `path` is that of the task's environment. 0, or an errno value. A
 * file of the task's own that is not executable is made so: downloads lose their mode. */
int launch_find_command(const char *task_dir, const char *command, const char *path, char *out, size_t size);

/* The last sentence alone, for a command that will be found in the task's own root. */
void launch_ready_command(const char *task_dir, const char *command);

enum launch_found {
	LAUNCH_CONNECTED, /* It runs; the connection is told. */
	LAUNCH_ENDED,     /* The exit is told. */
	LAUNCH_GONE,      /* It is no more and left no exit; what was left of the task was killed. */
	LAUNCH_NEVER,     /* As gone, before it executed anything. */
	LAUNCH_REBOOTED,  /* As gone, because the machine was restarted. */
};

/* What has become of an executor. Blocks, for some seconds at worst. */
enum launch_found launch_find(const struct executor_id *id, int *fd, struct executor_report *exit);

#endif /* CLIENT_LAUNCH_H_ */
