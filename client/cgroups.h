/**
 * Where on this machine the tasks' cgroups can be made.
 *
 * Version 2 has one hierarchy for everything. A machine may still have controllers in the old way, each in a hierarchy
 * of its own, even beside a version 2 without any; there they are made below the agent's own cgroup, so that what
 * bounds the agent (a container) bounds its tasks.
 */
#ifndef CLIENT_CGROUPS_H_
#define CLIENT_CGROUPS_H_

#include <stdbool.h>

#include "lib/arena.h"

enum { CGROUPS_OLD_MAX = 3 };

struct cgroups {
	char *all;                  /* Directory of version 2 for tasks' cgroups; NULL: none can be made. */
	char *old[CGROUPS_OLD_MAX]; /* Of version 1: memory, cpu, cpuset; NULL: not there. It may not exist yet. */
	bool limits_memory;         /* In one version or the other. */
	bool limits_cpu;
};

/* `name` is that of the tasks' directory; NULL: "drover.slice"; "": use no cgroups. */
void cgroups_find(struct cgroups *c, const char *name);
void cgroups_close(struct cgroups *c);

/* The path of a task's own cgroup of version 2, and of those of version 1, a line each; "" for none, NULL: no memory. */
const char *cgroups_path(const struct cgroups *c, const char *task, struct arena *mem);
const char *cgroups_old_paths(const struct cgroups *c, const char *task, struct arena *mem);

#endif /* CLIENT_CGROUPS_H_ */
