/**
 * The agent's side of the executor: processes as driver tasks.
 *
 * What is common to all drivers that run a process under an executor of its own: starting it, talking to it, finding
 * it again after the agent was restarted. A driver adds what to run (executor_launch); the functions below fit into its
 * table as they are.
 *
 * Blocking work (looking up users and commands, starting a program, connecting) is done on libuv's worker threads.
 */
#ifndef CLIENT_EXECUTOR_H_
#define CLIENT_EXECUTOR_H_

#include "client/driver_host.h"

/* A root directory of the task's own, and what goes with it. */
struct executor_isolation {
	const char *chroot_env; /* As in the executor's spec. */
	bool pid_private, ipc_private;
	bool no_pivot_root;
	uint64_t capabilities;
};

struct executor_launch {
	const struct driver *driver;
	const struct driver_spec *spec;
	/* As configured. A relative one is looked for in the task's local directory, in the task directory, and, if it has
	 * no slash, along the PATH of `env`; in the task's own root if it has one. */
	const char *command;
	const char *const *args; /* Without the command itself. */
	uint32_t args_n;
	const char *const *env;  /* All of it. */
	uint32_t env_n;
	const char *work_dir;     /* "" is the task directory. */
	const char *denied_uids, *denied_gids; /* As for user_in_ranges(). NULL is as "". */
	const struct executor_isolation *isolation; /* NULL: none. */
	bool limited; /* By the resources of `spec`; a task that cannot be limited does not start. */
	const char *cgroups_given; /* Existing cgroups to run in, absolute paths, a line each; "" for one of its own. */
	bool no_cgroup;
	bool set_oom_score_adj;
	int64_t oom_score_adj;
};

/* As driver_start(); everything is copied. */
struct driver_task *executor_start(struct driver_host *host, const struct executor_launch *launch,
                                   const struct driver_events *events, void *ctx);

/* A task that never starts: started_cb gets the error, a little later. */
struct driver_task *executor_refuse(struct driver_host *host, const struct driver *driver,
                                    const struct driver_error *error, const struct driver_events *events, void *ctx);

/* As driver_recover(). */
struct driver_task *executor_recover(struct driver_host *host, const struct driver *driver, const void *state,
                                     size_t len, const struct driver_events *events, void *ctx);

/* For a driver's fingerprint: healthy if the executor can be executed, with the attribute `name`, which is static. */
void executor_fingerprint(struct driver_host *host, const char *name, struct arena *mem, struct driver_info *out);

/* Members of struct driver. */
void executor_save(const struct driver_task *task, struct buf *out);
void executor_go(struct driver_task *task);
void executor_kill(struct driver_task *task, int signal, int64_t timeout_ns);
int executor_signal(struct driver_task *task, int signal, driver_signal_cb cb, void *ctx);
int executor_stats(struct driver_task *task, driver_stats_cb cb, void *ctx);
int executor_command(struct driver_task *task, struct driver_command *cmd, const int fds[3], struct driver_error *error);
void executor_command_kill(struct driver_task *task, struct driver_command *cmd);
void executor_destroy(struct driver_task *task);
void executor_detach(struct driver_task *task);

/* The host closes: let go of the sockets of tasks that were destroyed and have not ended yet. */
void executor_abandon_all(struct driver_host *host);

/* Kill whatever executors of earlier agents still run with `state_dir` as theirs, wait for their end, and remove what
 * ended ones left there. Tasks can be left like that by an agent that died before it could write its records. Blocks,
 * for some seconds at worst. 0, or ERR_TIMEOUT when one does not end. */
int executor_sweep(const char *state_dir);

#endif /* CLIENT_EXECUTOR_H_ */
