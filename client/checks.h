/**
 * Service checks: whether what an allocation offers answers.
 *
 * They are run while a deployment waits for them (client/alloc_health.h), from the start of the allocation's tasks
 * until its verdict. A tcp check passes when a connection is accepted, an http check when the answer's status is below
 * 400. Other kinds are not known and never pass; the log says so. All on the client's loop, without threads.
 */
#ifndef CLIENT_CHECKS_H_
#define CLIENT_CHECKS_H_

#include <stdint.h>

struct checks;
struct client;
struct client_alloc;

/* NULL when memory is exhausted. */
struct checks *checks_new(struct client *c);

/* Stop all, and close what is on the loop: its handles are counted in the client's. */
void checks_close(struct checks *k);

/* Begin or end the checks of an allocation, as its health wants it now. */
void checks_look(struct client_alloc *ca);

/* The allocation goes. */
void checks_forget(struct client_alloc *ca);

/* Run what is due; the loop time in ns at which something will be, 0 for never. */
void checks_step(struct checks *k);
int64_t checks_due(const struct checks *k);

#endif /* CLIENT_CHECKS_H_ */
