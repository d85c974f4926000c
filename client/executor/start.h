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
 * running. `tree` is given its leader. */
pid_t start_task(const struct executor_spec *spec, struct tree *tree, int out, int err, struct start_failure *failure);

#endif /* CLIENT_EXECUTOR_START_H_ */
