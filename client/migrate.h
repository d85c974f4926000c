/**
 * An allocation that replaces one of another node and whose data is to follow it: waiting for the other's end, and where
 * its data can be had. On the client's loop.
 */
#ifndef CLIENT_MIGRATE_H_
#define CLIENT_MIGRATE_H_

#include <stdbool.h>

#include "proto/disk_token.h"

struct client_alloc;

/* Whether the allocation must still wait. When that changes, host_ask_previous() is called. */
bool migrate_waits(struct client_alloc *ca);

/* Where the other's data can be had, once there is nothing to wait for any more; the URL is "" when there is none. */
struct migrate_source {
	char url[512];
	char token[DISK_TOKEN_TEXT]; /* For X-Nomad-Token. */
};
const struct migrate_source *migrate_source(const struct client_alloc *ca);

/* Nobody wants to know any more; harmless when nothing was begun. */
void migrate_forget(struct client_alloc *ca);

#endif /* CLIENT_MIGRATE_H_ */
