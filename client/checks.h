/**
 * Service checks: whether what an allocation offers answers.
 *
 * They are run as long as the allocation runs and nothing ends it; a task's only while the task runs. A tcp check
 * passes when a connection is accepted, an http check when the answer's status is from 200 to 399, a script check when
 * a command beside the task exits with 0; 1 is a warning. Other kinds are not known and never pass; the log says so.
 * What comes of them is told to the allocation's health (client/alloc_health.h), unless a check is of no matter to it
 * (on_update "ignore"), and to the API; a check with check_restart that has failed so often restarts its task. All on
 * the client's loop, without threads.
 */
#ifndef CLIENT_CHECKS_H_
#define CLIENT_CHECKS_H_

#include <stdint.h>

#include "proto/http.h"

struct checks;
struct client;
struct client_alloc;

/* NULL when memory is exhausted. */
struct checks *checks_new(struct client *c);

/* Stop all, and close what is on the loop: its handles are counted in the client's. */
void checks_close(struct checks *k);

/* Begin or end the checks of an allocation, as its state wants it now. */
void checks_look(struct client_alloc *ca);

/* The allocation goes. */
void checks_forget(struct client_alloc *ca);

/* Run what is due; the loop time in ns at which something will be, 0 for never. */
void checks_step(struct checks *k);
int64_t checks_due(const struct checks *k);

/* Answer with the results of an allocation's checks: {"ID":{...}}. */
void checks_answer(const struct client_alloc *ca, struct http_request *req);

#endif /* CLIENT_CHECKS_H_ */
