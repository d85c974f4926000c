/**
 * Heartbeats: which nodes are alive.
 *
 * A node that is not down must be heard of before its time is over: the TTL that it was told, and a grace. The TTL
 * grows with the number of nodes, so that all of them together send a bounded number of heartbeats a second, and is
 * spread by random bits, so that they do not come at once. A node that is not heard of in time is marked down; or
 * disconnected, as long as an allocation there may outlive that (disconnect block), and looked at again after another
 * TTL.
 *
 * A new leader does not know when nodes were heard of last: it gives each the longest TTL that may have been told, and
 * the grace. So no node is lost early, and a dead one is found within that time.
 *
 * While the leader itself stood still it heard of nobody: heartbeat_forgive() gives all nodes that time back.
 */
#ifndef SERVER_HEARTBEAT_H_
#define SERVER_HEARTBEAT_H_

#include "lib/hash.h"
#include "lib/heap.h"
#include "lib/list.h"
#include "server/part.h"

struct heartbeat_config {
	int64_t min_ttl_ns;    /* 0: 10 s. */
	int64_t grace_ns;      /* 0: 10 s. */
	double max_per_second; /* 0: 50. */
};

struct heartbeat_node {
	struct hash_link by_id;
	struct heap_link by_time; /* Not while a command says that it is lost. */
	struct list coming;       /* Heard of, but not ready in the state: a command must say so. */
	struct uuid id;
	struct uuid scan;    /* Where to go on among its allocations when a long look was cut. */
	int64_t deadline_ns; /* Monotonic, without what was forgiven. */
	bool beaten;         /* Heard of since the command that says that it is lost. */
	bool asked;          /* A command says that it is ready. */
};

#define HEARTBEAT_COUNTS(X) X(beats) X(expired)

struct heartbeat {
	struct heartbeat_config config;
	struct hash_table by_id;
	struct heap by_time;
	struct list coming;
	int64_t coming_at_ns; /* When to ask for them; in the future after a failure. */
	int64_t forgiven_ns;
	size_t expected; /* Nodes, as long as not all are loaded. */
#define X(name) uint64_t name;
	HEARTBEAT_COUNTS(X)
#undef X
};

void heartbeat_init(struct heartbeat *hb, const struct heartbeat_config *config); /* NULL: all defaults. */
void heartbeat_close(struct heartbeat *hb);

/* Forget all nodes; so many will be loaded. */
void heartbeat_reset(struct heartbeat *hb, size_t expected);

/* A node was heard of, and says that it has this status: how long may it be silent now? `row` is what the state has of
 * it: NULL is ERR_NOTFOUND, it must register. */
int heartbeat_beat(struct heartbeat *hb, const struct node_row *row, int status, const struct moment *at,
		   int64_t *ttl_ns);

/* The leader stood still for so long. */
void heartbeat_forgive(struct heartbeat *hb, int64_t ns);

/* Nodes that are watched. */
static inline size_t heartbeat_active(const struct heartbeat *hb)
{
	return hb->by_id.n;
}

/* The part. */
void heartbeat_load(struct heartbeat *hb, const struct node_row *row, const struct moment *at);
void heartbeat_changed(struct heartbeat *hb, const struct node_row *old, const struct node_row *now,
		       const struct moment *at);
enum part_step heartbeat_step(struct heartbeat *hb, struct turn *turn);
void heartbeat_done(struct heartbeat *hb, const struct uuid *ref, int status, const struct moment *at);
int64_t heartbeat_due(const struct heartbeat *hb, const struct moment *at);

#endif /* SERVER_HEARTBEAT_H_ */
