/**
 * Simulated nodes: one process that is many clients to the servers, and runs their tasks as timers.
 *
 *     node_sim.c        the loop, connections, and what servers know of a node: it registers, watches, beats
 *     node_sim_node.c   what a simulated node consists of
 *     node_sim_alloc.c  allocations: what servers want, what became of it, reports
 *
 * A node has a connection of its own and says what a client says (client/session.c, client/reports.c), but has no files
 * and no processes. Its tasks are mock_driver's, of which these keys count: run_for, start_block_for, start_error,
 * exit_code, exit_signal, exit_err_msg. An allocation's tasks start together and end together, with the longest; a
 * service that ends starts again after its restart policy's delay, for ever.
 */
#ifndef TEST_BENCH_NODE_SIM_H_
#define TEST_BENCH_NODE_SIM_H_

#include <uv.h>

#include "lib/hash.h"
#include "lib/heap.h"
#include "lib/list.h"
#include "lib/uuid.h"
#include "proto/stream.h"

enum { SIM_SERVERS_MAX = 16 };

/* Something to be done later; one loop timer serves all. */
struct due {
	struct heap_link link;
	int64_t at_ms;
	void (*cb)(struct due *due);
};

struct sim {
	uv_loop_t loop;
	uv_timer_t timer;
	uv_signal_t signals[2];
	struct rpc_host host;
	struct tls *tls; /* NULL, both: in plain text. */
	struct channels *channels;
	struct rpc_hello hello; /* Of the node that connects next. */
	struct heap dues;
	struct hash_table allocs, specs;
	const char *servers[SIM_SERVERS_MAX]; /* "host:port" of their RPC. */
	unsigned n_servers;
	const char *ready_file; /* Made when all nodes have been ready. */
	struct sim_node *nodes;
	unsigned n, n_ready, n_connecting;
	uint64_t started, ended, reports, reported, lost; /* Counted since the start, told at the end. */
	bool stopping;
};

enum sim_state { SIM_DOWN, SIM_CONNECTING, SIM_REGISTERING, SIM_WATCHING, SIM_READY };

struct sim_node {
	struct sim *sim;
	unsigned number;
	unsigned server;  /* The one that it turns to. */
	struct uuid id, secret;
	struct rpc_conn *conn;
	struct due step; /* Of the session. */
	enum sim_state state;
	bool registered;
	bool was_ready; /* Ever. */
	int64_t ttl_ms;
	int64_t index; /* Of the last push. */
	uint32_t pushes;
	struct rpc_request ask;
	struct list allocs;
	struct list dirty, sent; /* Allocations that are to be reported, and those in the report under way. */
	struct due report;
	struct rpc_request reporting;
	int64_t report_not_before_ms;
};

int64_t sim_now_ms(const struct sim *sim);
int64_t sim_unix_ns(void);
uint64_t sim_random(void);

/* Do it then; replaces the time that it had. */
void due_set(struct sim *sim, struct due *due, int64_t at_ms);
void due_clear(struct sim *sim, struct due *due);

/* Its ID and secret are always the same for the same number: a process that comes after another goes on with its
 * nodes. */
void sim_node_init(struct sim_node *n, struct sim *sim, unsigned number);

/* What it registers with, in `mem`; 0 or ERR_NOMEM. */
int sim_node_fill(const struct sim_node *n, struct node *out, struct arena *mem);

void sim_take_push(struct sim_node *n, const char *payload, size_t len);

/* The servers know the node again: everything is told. */
void sim_report_all(struct sim_node *n);

/* It is connected: what is to be told may go. */
void sim_report_soon(struct sim_node *n);

/* All allocations of all nodes are forgotten. */
void sim_allocs_close(struct sim *sim);

#endif /* TEST_BENCH_NODE_SIM_H_ */
