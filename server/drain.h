/**
 * Drains: nodes that are being emptied.
 *
 *     service   migrated, as many at a time for each group as its migrate.max_parallel allows
 *     batch     may run on until the deadline
 *     system    last, when nothing else is left; not at all when the drain says so
 *
 * To migrate, an allocation is marked, with an evaluation for its job: the scheduler stops it and places another. One
 * that is marked does not count as healthy any more, so the next follows when the replacement is. At the deadline all
 * that is left is marked. When all that has to go has ended on the node, the drain is complete.
 *
 * Two things are looked at, each when something of it has changed, and now and then: a node, with its allocations, and
 * a job of which allocations are on such nodes, with all of its allocations.
 */
#ifndef SERVER_DRAIN_H_
#define SERVER_DRAIN_H_

#include "lib/hash.h"
#include "lib/heap.h"
#include "server/part.h"

#define DRAIN_LOOK_NS (5 * NS_PER_S)   /* Between two looks when nothing changes, */
#define DRAIN_GAP_NS (100 * NS_PER_MS) /* and when much does. */

#define DRAIN_COUNTS(X) X(migrated) X(completed)

struct drain {
	struct hash_table by_ref; /* Nodes and jobs. */
	struct heap by_time;
	size_t n_nodes;
#define X(name) uint64_t name;
	DRAIN_COUNTS(X)
#undef X
};

void drain_init(struct drain *d);
void drain_close(struct drain *d);
void drain_reset(struct drain *d);

/* Nodes that are being drained. */
static inline size_t drain_active(const struct drain *d)
{
	return d->n_nodes;
}

/* The part. It hears of nodes, and of all allocations. */
void drain_load(struct drain *d, const struct node_row *row, const struct moment *at);
void drain_changed(struct drain *d, const struct node_row *old, const struct node_row *now, const struct moment *at);
void drain_alloc_changed(struct drain *d, const struct alloc_row *old, const struct alloc_row *now,
			 const struct moment *at);
enum part_step drain_step(struct drain *d, struct turn *turn);
void drain_done(struct drain *d, const struct uuid *ref, int status, const struct moment *at);
int64_t drain_due(const struct drain *d, const struct moment *at);

#endif /* SERVER_DRAIN_H_ */
