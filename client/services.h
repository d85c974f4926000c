/**
 * Services with the provider "nomad": what an allocation offers, told to the servers with its status.
 *
 * A group's services are offered while the allocation runs and nothing ends it; a task's while the task runs. What is
 * to end is off the list before it is killed, so a shutdown delay gives others the time to turn away.
 */
#ifndef CLIENT_SERVICES_H_
#define CLIENT_SERVICES_H_

#include "client/taskenv.h"
#include "proto/alloc.h"

struct alloc_runner;
struct client;
struct client_alloc;
struct task_runner;

/* Add the services that the allocation offers now. All memory is of `mem` or of the allocation. 0 or ERR_NOMEM. */
int services_fill(struct client_alloc *ca, struct alloc_update *update, struct arena *mem);

/* Where a port with this label is reached: the label of a port that was granted, a number, or "" for no port (0). False
 * when there is no such port. `tr` is the task that asks; the strings are the allocation's or the node's. */
struct service_place {
	const char *ip;
	int64_t port;
};
bool services_place(struct task_runner *tr, const char *label, struct service_place *out);

/* The sum of what `of` says of each service, of whatever provider, of the group and of all its tasks. */
uint32_t services_sum(const struct alloc_runner *ar, uint32_t (*of)(const struct service *s));

#endif /* CLIENT_SERVICES_H_ */
