/** What an allocation of a job is at the moment: the first half of reconciling (server/sched_reconcile.h). */
#ifndef SERVER_SCHED_STANDING_H_
#define SERVER_SCHED_STANDING_H_

#include "server/sched_reconcile.h"

/* The deployment of the job's version, as far as it bears on its allocations. */
struct deploy_view {
	struct uuid id; /* Zero: there is none. */
	bool active;    /* Including paused. */
	bool paused;
	bool failed;
	struct deployment object;
};

/* Find the standing of `m`, whose row and index are set. `group` is the job's, or NULL. ERR_CORRUPT. */
int standing_find(const struct reconcile_input *in, const struct deploy_view *deploy, const struct task_group *group,
		  struct member *m);

/* The group's state in a deployment, or NULL. */
struct deployment_group *deploy_group(struct deployment *d, const char *name);

/* How long allocations of the group may be out of sight before they are lost; 0: not at all. */
int64_t group_lost_after_ns(const struct task_group *group);

/* Whether those out of sight are replaced. */
bool group_replaces(const struct task_group *group);

/* The same version of the same job. */
bool row_is_current(const struct sched_job *job, const struct alloc_row *row);

#endif /* SERVER_SCHED_STANDING_H_ */
