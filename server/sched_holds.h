/**
 * What of a node only one allocation can have at a time: ports of its addresses, cores, devices.
 *
 * A node's are counted only when something asks for them: a bitmap of ports takes 8 KiB. What is asked for is compiled
 * once for a group (holds_ask), what one allocation gets is a struct holds, and stands in its row (alloc_server: Ports,
 * Networks, Tasks).
 */
#ifndef SERVER_SCHED_HOLDS_H_
#define SERVER_SCHED_HOLDS_H_

#include <stdbool.h>
#include <stdint.h>

#include "raft/state.h"

struct port_hold {
	const char *ip; /* The node's address; "" is all of them. */
	uint16_t port;
};

struct device_hold {
	const char *device; /* "vendor/type/name" */
	const char *instance;
};

struct holds {
	const struct port_hold *ports;
	const uint16_t *cores;
	const struct device_hold *devices;
	uint32_t n_ports;
	uint32_t n_cores;
	uint32_t n_devices;
};

static inline bool holds_any(const struct holds *h)
{
	return h->n_ports + h->n_cores + h->n_devices > 0;
}

/* A node's, with what is taken. */
struct node_holds;

/* What a node offers, nothing taken but what it reserves for itself. */
struct node_holds *node_holds_new(const struct node *node);
void node_holds_free(struct node_holds *nh); /* NULL is fine. */

/* Mark as taken. What the node does not have is passed over. */
void node_holds_take(struct node_holds *nh, const struct holds *h);

/* Is all of this there and free? */
bool node_holds_free_for(const struct node_holds *nh, const struct holds *h);

/* What an allocation has according to its row; in `mem`. ERR_CORRUPT. */
int alloc_row_holds(const struct alloc_row *row, struct holds *out, struct arena *mem);

/* The same of what is going to be its row's. */
void alloc_server_holds(const struct alloc_server *server, struct holds *out, struct arena *mem);

#endif /* SERVER_SCHED_HOLDS_H_ */
