/**
 * All processes of a task: to kill them to the last one, and to add up what they use.
 *
 * The executor is their "subreaper": a process whose parent ends becomes the executor's child, whatever session or
 * group it has moved to, so by killing its children until it has none the executor reaches all of them. A cgroup of
 * version 2, where one can be made, does it in one stroke, also against processes that fork faster than they are
 * killed. A cgroup of version 1 is not used: it adds nothing to this but its cost.
 */
#ifndef CLIENT_EXECUTOR_TREE_H_
#define CLIENT_EXECUTOR_TREE_H_

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/executor/wire.h"

struct tree {
	pid_t leader;    /* The first process, leader of session and group; 0 once it was waited for. */
	int cgroup;      /* Directory; -1: none. */
	int cgroup_dir;  /* Its parent; -1: none. */
	char cgroup_name[NAME_MAX + 1];
};

/* Make the cgroup at `path`, whose parent exists; failure leaves the tree without one, which it can do without. */
void tree_open(struct tree *t, const char *path);

/* Remove the cgroup, which is empty by now. */
void tree_close(struct tree *t);

/* SIGKILL to all processes that there are at this moment. */
void tree_kill(const struct tree *t);

/* Fill the numbers of `out` that EXECUTOR_USAGE has. */
void tree_usage(const struct tree *t, struct executor_report *out);

/* Whether the kernel killed one of them for lack of memory; known only with a cgroup. */
bool tree_oom_killed(const struct tree *t);

#endif /* CLIENT_EXECUTOR_TREE_H_ */
