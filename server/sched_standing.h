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
	bool over; /* It was, and has succeeded or was cancelled. */
	struct deployment object;
	struct uuid ended;     /* One that ends because of what the job is now; zero: none, */
	const char *ended_why; /* and why. */
};

/* The job's latest deployment; all zero without any. ERR_CORRUPT. */
int deploy_view_load(const struct view *v, const struct sched_job *job, struct arena *mem, struct deploy_view *out);

/* Of a new deployment, whose groups are there: all that says of what it is, and that it runs. */
void deploy_name(struct deployment *d, const struct uuid *id, const struct sched_job *job, int priority,
		 struct arena *mem);

/* A group's part in one, which nothing has come of yet. */
void deploy_group_open(struct deployment_group *g, const struct update_strategy *s);

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
