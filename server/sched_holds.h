/**
 * What of a node only one allocation can have at a time: ports of its addresses, cores, devices.
 *
 * A node's are counted only when something asks for them: a bitmap of ports takes 8 KiB. What a group asks for is
 * compiled once (holds_ask), what one allocation gets is a struct holds, and stands in its row as the API shows it
 * (alloc_server: Ports, Networks, Tasks).
 */
#ifndef SERVER_SCHED_HOLDS_H_
#define SERVER_SCHED_HOLDS_H_

#include <stdbool.h>
#include <stdint.h>

#include "raft/state.h"

/* ---- what an allocation has ---- */

struct port_hold {
	const char *ip; /* The node's address; "": its first. */
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

/* In one piece from malloc(). */
struct holds *holds_copy(const struct holds *h);

/* Of what stands in an allocation's row, or is going to; in `mem`. */
void alloc_server_holds(const struct alloc_server *server, struct holds *out, struct arena *mem);

/* ---- what a node has ---- */

struct node_holds;

/* Nothing is taken but what the node reserves for itself. */
struct node_holds *node_holds_new(const struct node *node);
void node_holds_free(struct node_holds *nh); /* NULL is fine. */

/* Mark as taken, or as free. What the node does not have is passed over. */
void node_holds_take(struct node_holds *nh, const struct holds *h, bool taken);

/* Is all of this there and free? */
bool node_holds_fit(const struct node_holds *nh, const struct holds *h);

/* ---- what a group asks for ---- */

struct port_ask {
	const char *label;
	const char *host_network; /* "": the default one. */
	uint16_t port;            /* 0: any. */
	int32_t to;
	bool shared; /* It does not matter who else has it. */
};

struct device_ask {
	const char *name; /* "type", "vendor/type" or "vendor/type/name" */
	uint32_t count;
};

/* The ports of one network: the group's, or a task's own. */
struct network_ask {
	const struct network_resource *network;
	struct port_ask *ports;
	uint32_t n_ports;
	uint32_t n_static; /* The first of them. */
};

struct task_ask {
	const struct task *task;
	struct network_ask *networks;
	struct device_ask *devices;
	uint32_t n_networks;
	uint32_t n_devices;
	uint32_t cores;
};

struct holds_ask {
	struct network_ask *networks; /* The group's. */
	struct task_ask *tasks;
	uint32_t n_networks;
	uint32_t n_tasks;
	uint32_t cores; /* Of all tasks. */
	bool any;       /* Otherwise there is nothing to choose. */
};

/* In `mem`, pointing into the group. */
void holds_ask_compile(const struct task_group *group, struct holds_ask *out, struct arena *mem);

/* What did not fit: a port collision tells of which. */
enum holds_lack {
	HOLDS_OK,
	HOLDS_PORT,  /* A static port that is taken: `port`, `label`. */
	HOLDS_PORTS, /* No dynamic port is free. */
	HOLDS_CORES,
	HOLDS_DEVICES,
};

struct holds_miss {
	enum holds_lack lack;
	const char *label;
	uint16_t port;
};

/* Is there enough? Nothing is chosen. */
struct holds_miss node_holds_check(const struct node_holds *nh, const struct holds_ask *ask);

/* Choose, and mark as taken; the ports from `random`. Fills Ports, Networks and Tasks of `out`; all in `mem`. On a miss
 * nothing is taken. */
struct holds_miss node_holds_choose(struct node_holds *nh, const struct holds_ask *ask, uint64_t random,
				    struct alloc_server *out, struct arena *mem);

/* ---- devices ---- */

/* A device group as a node describes it, in JSON. */
#define NODE_DEVICE_INSTANCE_FIELDS(X, T)                                                                              \
	X(T, STR, id, "ID")                                                                                            \
	X(T, BOOL, healthy, "Healthy")
#define NODE_DEVICE_FIELDS(X, T)                                                                                       \
	X(T, STR, vendor, "Vendor")                                                                                    \
	X(T, STR, type, "Type")                                                                                        \
	X(T, STR, name, "Name")                                                                                        \
	X(T, LIST(node_device_instance), instances, "Instances")
#define NODE_DEVICES_FIELDS(X, T) X(T, LIST(node_device), devices, "Devices")
OBJECT_DECLARE(node_device_instance, NODE_DEVICE_INSTANCE_FIELDS);
OBJECT_DECLARE(node_device, NODE_DEVICE_FIELDS);
OBJECT_DECLARE(node_devices, NODE_DEVICES_FIELDS);

/* Those of a node; none when they do not decode. */
void node_devices_get(const struct node *node, struct node_devices *out, struct arena *mem);

/* "vendor/type/name" */
const char *node_device_text(const struct node_device *device, struct arena *mem);

/* Whether a request by name is for this device ("vendor/type/name"). */
bool device_name_fits(const char *asked, const char *device);

/* Whether this many cores are free to be reserved. */
bool node_holds_spare_cores(const struct node_holds *nh, uint32_t n);

/* What one reserved core of the node counts as. */
uint32_t node_core_mhz(const struct node *node);

/* ---- addresses ---- */

/* The node's address for an alias ("" is the default); NULL: it has none of that name. */
const char *node_address_find(const struct node *node, const char *alias);

#endif /* SERVER_SCHED_HOLDS_H_ */
