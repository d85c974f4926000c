/**
 * A client agent: runs on this machine what the servers want, and tells them how it goes.
 *
 * One libuv loop owns all of it. What decides is the alloc runners (client/alloc_runner.h); the client carries out what
 * they ask for: directories, hooks, drivers, timers; keeps their state on disk; batches what they have to tell; and
 * keeps the node known to the servers. All over a link (client/link.h), so that it never knows where a server is.
 *
 *     client_open()  restores what an earlier agent left
 *     client_start() adopts its tasks and turns to the servers
 *     client_stop()  lets go; tasks go on running, unless it is told to end them
 */
#ifndef CLIENT_CLIENT_H_
#define CLIENT_CLIENT_H_

#include <stdbool.h>
#include <stdint.h>

#include "client/config.h"
#include "client/link.h"
#include "proto/node.h"

struct uv_loop_s;
struct client;

/* Read the configuration, which is borrowed for the client's life, the machine and the local state. NULL when it cannot
 * be: the reason has been logged. The link is borrowed. */
struct client *client_open(struct uv_loop_s *loop, const struct client_config *config, struct client_link *link);

void client_start(struct client *c);

/* End: tasks are let go and found again by the next agent, or with `end_tasks` killed. stopped_cb, which may be NULL,
 * fires when nothing of the client is left on the loop; the client is freed then. */
void client_stop(struct client *c, bool end_tasks, void (*stopped_cb)(void *ctx), void *ctx);

/* Answer a request for /v1/client/...: from a server, or from this agent's own HTTP front. On the loop's thread. */
void client_http(struct client *c, struct http_request *req);

/* Have go_cb handle a request, now or later, if its token may do what its route says; otherwise it is answered. For
 * what an agent answers itself beside this. */
void client_guard(struct client *c, struct http_request *req, void (*go_cb)(void *ctx, struct http_request *req),
                  void *ctx);

/* Whether this node has, or had until it was collected, the allocation: else a request is another node's. */
bool client_has_alloc(const struct client *c, const char *id);

/* The node as it was registered last. */
const struct node *client_node(const struct client *c);

/* For /v1/agent/self and metrics. */
struct client_facts {
	uint32_t allocs, allocs_running;
	int64_t heartbeat_ttl_ns;
	int64_t last_heartbeat_ns; /* Unix time of the last one answered; 0: none yet. */
	bool connected;
};
struct client_facts client_facts(const struct client *c);

#endif /* CLIENT_CLIENT_H_ */
