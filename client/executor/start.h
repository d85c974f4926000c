/** Starting the task's first process, and saying precisely what went wrong. */
#ifndef CLIENT_EXECUTOR_START_H_
#define CLIENT_EXECUTOR_START_H_

#include "client/executor/tree.h"
#include "client/executor/wire.h"

struct start_failure {
	int32_t stage; /* enum executor_stage */
	int32_t error; /* errno */
};

/* Execute the command as leader of a new session, with `out` and `err` as its output and /dev/null as its input, in
 * the tree's cgroup if it has one. Its PID, once the command itself runs; or -1, the failure told, and nothing left
 * running. `tree` is given its leader. `record` is told the PID first, and may refuse with an errno value: whoever is
 * killed at whatever moment, nothing is executed that was not recorded. */
pid_t start_task(const struct executor_spec *spec, struct tree *tree, int out, int err, int (*record)(pid_t pid),
                 struct start_failure *failure);

/* Execute another command beside the running task, in all that the task is in: cgroups, namespaces and root, limits,
 * user, capabilities, environment, working directory. `spec` is the task's, but for its args. The command leads a
 * session of its own, with fds[0] as its terminal if that is one. Without a slash it is looked for along the PATH of
 * the environment. As start_task() otherwise; the tree's leader stays. */
pid_t start_command(const struct executor_spec *spec, const struct tree *tree, const int fds[3], bool terminal,
		    struct start_failure *failure);

#endif /* CLIENT_EXECUTOR_START_H_ */
