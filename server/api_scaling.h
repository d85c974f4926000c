/** What jobs are told of their scaling policies by the servers: for handlers that answer with whole jobs. */
#ifndef SERVER_API_SCALING_H_
#define SERVER_API_SCALING_H_

#include "lib/arena.h"
#include "raft/state.h"

/* Give each scaling policy of a decoded job its ID, its target and its indexes. 0 or ERR_NOMEM. */
int scaling_policies_name(struct job *job, struct arena *mem);

/* The n-th policy of a job, or NULL behind the last. */
const struct scaling_policy *scaling_policy_at(const struct job *job, unsigned n);

/* Whether a job has policies, without decoding it. One that is stopped has none. */
bool job_row_scales(const struct job_row *row);

#endif /* SERVER_API_SCALING_H_ */
