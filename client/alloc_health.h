/**
 * Whether an allocation has proved itself: what a deployment, or a drain, waits for.
 *
 * It is healthy once all its tasks have been as they should be, and its checks have passed, for the least healthy time
 * without a break; it is unhealthy as soon as a task has failed, and when the deadline comes first. The verdict is
 * given once for each deployment.
 */
#ifndef CLIENT_ALLOC_HEALTH_H_
#define CLIENT_ALLOC_HEALTH_H_

#include "client/alloc_runner.h"

/* Begin to watch, if the job asks for it and there is no verdict for this deployment yet. */
void alloc_health_begin(struct alloc_runner *ar, const struct moment *at);

/* Look at the tasks; called whenever something may have changed. */
void alloc_health_look(struct alloc_runner *ar, const struct moment *at);

/* The next moment at which looking will matter without anything changing; monotonic, 0 is never. */
int64_t alloc_health_due(const struct alloc_runner *ar);

#endif /* CLIENT_ALLOC_HEALTH_H_ */
