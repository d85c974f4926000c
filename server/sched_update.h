/** What an update of a job means for an allocation of an older version. */
#ifndef SERVER_SCHED_UPDATE_H_
#define SERVER_SCHED_UPDATE_H_

#include "proto/job.h"

enum update_kind {
	UPDATE_NONE,        /* Nothing has changed. */
	UPDATE_IN_PLACE,    /* The client can take the new version over while the tasks run. */
	UPDATE_DESTRUCTIVE, /* It must be replaced. */
};

/* `from` and `to` are two versions of a group; all that is not known to be harmless is destructive. Constraints are:
 * whether the allocation's node fulfils new ones is for the caller to find out. */
enum update_kind group_update_kind(const struct job *from_job, const struct task_group *from, const struct job *to_job,
				   const struct task_group *to);

#endif /* SERVER_SCHED_UPDATE_H_ */
