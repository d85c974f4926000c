/**
 * All processes of a task: to kill them to the last one, to add up what they use, and to bound it.
 *
 * The executor is their "subreaper": a process whose parent ends becomes the executor's child, whatever session or
 * group it has moved to, so by killing its children until it has none the executor reaches all of them. In a PID
 * namespace of its own the first process is that parent instead, and takes all others with it when it ends. A cgroup of
 * version 2, where one can be made, does it in one stroke, also against processes that fork faster than they are
 * killed.
 *
 * Cgroups of version 1 are used for limits alone, on machines that have the controllers there. All cgroups of a task
 * have the same name, each in its hierarchy.
 */
#ifndef CLIENT_EXECUTOR_TREE_H_
#define CLIENT_EXECUTOR_TREE_H_

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/executor/wire.h"

enum { TREE_LIMITS_MAX = 4 };

/* A cgroup: the directories of it and of its parent; -1: none. */
struct tree_group {
	int dir;
	int parent;
};

struct tree {
	pid_t leader;    /* The first process, leader of session and group; 0 once it was waited for. */
	struct tree_group all; /* Of version 2. */
	struct tree_group limits[TREE_LIMITS_MAX]; /* Of version 1. */
	char name[NAME_MAX + 1];
};

/* A tree without processes and cgroups. */
void tree_init(struct tree *t);

/* Make the cgroups that the spec names. Without limits failure leaves the tree without one, which it can do without;
 * with limits it is an errno value: what is to be bounded must not run unbounded. */
int tree_open(struct tree *t, const struct executor_spec *spec);

/* Write the spec's limits into one cgroup, to those of its files that are there. 0 or an errno value. */
int tree_limit(const struct tree_group *g, const struct executor_spec *spec, bool old);

/* Remove the cgroups, which are empty by now. */
void tree_close(struct tree *t);

/* Go on without the cgroup of version 2. */
void tree_leave(struct tree *t);

/* SIGKILL to all processes that there are at this moment. */
void tree_kill(const struct tree *t);

/* Fill the numbers of `out` that EXECUTOR_USAGE has. */
void tree_usage(const struct tree *t, struct executor_report *out);

/* Whether the kernel killed one of them for lack of memory; known only with a cgroup. */
bool tree_oom_killed(const struct tree *t);

#endif /* CLIENT_EXECUTOR_TREE_H_ */
