/**
 * The cluster's nodes as schedulers see them: what each offers, and how much of it is taken.
 *
 *     slot:     0        1        2        3
 *            +--------+--------+--------+--------+
 *     at     | cpu,   |        |  free  |        |   looked at by the loops over all nodes
 *            | used.. |        |        |        |
 *            +--------+--------+--------+--------+
 *     more   | id, facts, holds ...              |   looked at for one node at a time
 *            +-----------------------------------+
 *
 * A node keeps its slot for as long as it is there. What a node has taken is the sum over its allocations that are not
 * over (alloc_row_terminal()), and claims: what plans under way will change, so that what is decided next sees it. A
 * claim belongs to an allocation and an owner; it goes when the allocation is seen to have changed, or when its owner
 * gives it up. So it does not matter whether a plan's outcome or its effect is heard of first.
 *
 * Each thread that schedules has a picture of its own with all nodes and their facts; it learns by news what has
 * changed since. The plan applier has one that loads a node when it is first asked for it.
 *
 * News. The core loop collects notes of changes for each reader, and hands them over together with a view:
 *
 *     core loop                                            worker
 *     news_add(&w->news, changes, n)   after each entry    nodes_update(&nodes, view, &news)
 *     view + w->news to the worker, w->news empty again
 *
 * The view must be the newest one at the time when the news are handed over. Too many notes become "everything".
 *
 * All memory here is got or the process ends, as in the state: see server/sched_memory.h.
 */
#ifndef SERVER_SCHED_NODES_H_
#define SERVER_SCHED_NODES_H_

#include "lib/uuid.h"
#include "raft/fsm.h"
#include "raft/state.h"
#include "server/sched_holds.h"
#include "server/sched_intern.h"

enum { NODE_NONE = UINT32_MAX };

/* ---- what is taken ---- */

struct use {
	int64_t cpu_mhz;
	int64_t memory_mb;
	int64_t disk_mb;
	int64_t count; /* Allocations. */
};

struct use alloc_row_use(const struct alloc_row *row); /* Nothing when it is over. */

static inline void use_add(struct use *to, const struct use *more, int64_t sign)
{
	to->cpu_mhz += sign * more->cpu_mhz;
	to->memory_mb += sign * more->memory_mb;
	to->disk_mb += sign * more->disk_mb;
	to->count += sign * more->count;
}

/* ---- news ---- */

enum { NEWS_MAX = 65536 }; /* Notes; beyond them everything counts as changed. */

/* An allocation has changed what it takes; or, when the ID is zero, a node has changed. */
struct news_note {
	struct uuid node;
	struct uuid alloc;
	int64_t cpu_mhz; /* To be added to what is taken. */
	int64_t memory_mb;
	int64_t disk_mb;
	int32_t count;
	bool holds; /* It may hold ports, cores or devices. */
};

/* All zero is no news. What a new reader begins with has `all` set. */
struct nodes_news {
	struct news_note *notes;
	uint32_t n;
	uint32_t cap;
	bool all;
};

void news_add(struct nodes_news *news, const struct change *changes, size_t n);

/* No news again; the memory goes. */
void news_close(struct nodes_news *news);

/* ---- nodes ---- */

enum node_at_flag {
	NODE_AT_USED = 1,  /* There is a node in this slot, */
	NODE_AT_READY = 2, /* and new allocations may be placed on it: node_row_ready(). */
	NODE_AT_DOWN = 4,
	NODE_AT_DISCONNECTED = 8,
};

struct node_at {
	uint32_t cpu_mhz; /* For allocations: without what is reserved. */
	uint32_t memory_mb;
	uint32_t disk_mb;
	uint32_t core_mhz;   /* What a reserved core counts as. */
	uint32_t max_allocs; /* 0: any number. */
	uint32_t flags;      /* enum node_at_flag */
	uint32_t datacenter; /* These three are interned. */
	uint32_t pool;
	uint32_t node_class;
	uint32_t class_; /* Among nodes->classes. */
	struct use used;
};

/* An attribute or the like: "attr.kernel.name", "meta.rack", "node.class"; also what groups ask for, under the prefixes
 * below. Both are interned. */
struct fact {
	uint32_t key;
	uint32_t value;
};

#define FACT_DRIVER "driver:"   /* + name: there and healthy. */
#define FACT_VOLUME "volume:"   /* + name: "rw" or "ro". */
#define FACT_HOSTNET "hostnet:" /* + alias: its address. */
#define FACT_NETMODE "netmode:" /* + mode of a network that it offers. */
#define FACT_DEVICE "device:"   /* + vendor/type/name: how many healthy instances. */

struct node_more {
	struct uuid id;
	struct fact *facts; /* By key; from malloc(). */
	uint32_t n_facts;
	uint32_t claim;           /* Its first claim, or CLAIM_NONE. */
	struct node_holds *holds; /* NULL until they are needed. */
};

/* Nodes that are alike in all facts but those that are unique to one. */
struct node_class {
	uint64_t hash;
	uint32_t name; /* Interned: what the client calls it (ComputedClass), */
	uint32_t datacenter; /* and where its nodes are: these two are part of it. */
	uint32_t pool;
};

enum { CLAIM_NONE = UINT32_MAX };

struct claim {
	struct uuid alloc;
	struct use use;
	struct holds *takes; /* One piece of malloc(), or NULL. */
	uint64_t owner;
	uint32_t slot;
	uint32_t next; /* Of the slot's. */
	uint32_t prev;
	bool frees;
};

struct nodes {
	bool facts; /* Has all nodes, with their facts. */
	bool stale; /* Everything must be loaded anew. */
	uint32_t n; /* Slots, free ones included. */
	uint32_t cap;
	uint32_t n_used;
	struct node_at *at;
	struct node_more *more;
	uint32_t *free; /* Slots. */
	uint32_t n_free;
	uint32_t free_cap;
	struct hindex by_id;
	struct node_class *classes;
	uint32_t n_classes;
	uint32_t classes_cap;
	struct hindex by_class;
	struct intern names;
	size_t built; /* Bytes of `names` after the last build. */
	struct claim *claims;
	uint32_t n_claims;
	uint32_t claims_cap;
	struct hindex by_alloc; /* Claims. */
};

/* Empty; with `facts` the first update loads everything. */
void nodes_init(struct nodes *nodes, bool facts);
void nodes_close(struct nodes *nodes);

/* Forget everything, claims too. */
void nodes_reset(struct nodes *nodes);

/* Come to what `v` has. Takes the news. A node that does not decode counts as not ready. */
void nodes_update(struct nodes *nodes, const struct view *v, struct nodes_news *news);

/* The slot of a node, or NODE_NONE. */
uint32_t nodes_find(const struct nodes *nodes, const struct uuid *id);

/* The same, and load it when it is not there yet; for a picture without facts. */
uint32_t nodes_load(struct nodes *nodes, const struct view *v, const struct uuid *id);

/* The value of a fact, or INTERN_NONE. */
uint32_t nodes_fact(const struct nodes *nodes, uint32_t slot, uint32_t key);

/* ---- claims ---- */

/* Count `use` as taken (or, where negative, as free) on behalf of this allocation until the allocation is seen to
 * change or the owner gives it up. `takes` are the ports and the like that it will have (copied; may be NULL); `frees`:
 * it gives up its own. An allocation has at most one claim: a second replaces the first. */
void nodes_claim(struct nodes *nodes, uint32_t slot, const struct uuid *alloc, const struct use *use,
		 const struct holds *takes, bool frees, uint64_t owner);

/* Take back one claim, if it is there: the placement or the stop was given up. */
void nodes_unclaim(struct nodes *nodes, const struct uuid *alloc);

bool nodes_claimed(const struct nodes *nodes, const struct uuid *alloc);

/* Take back all that are left of this owner. Owners are numbers that are not used twice. */
void nodes_disown(struct nodes *nodes, uint64_t owner);

/* ---- what cannot be shared ---- */

/* Ports, cores and devices of a node as they stand, claims included; loaded from `v`, the view that the nodes have come
 * to, when they are not there. They stay until the next change of nodes or claims. NULL: the node's row, or an
 * allocation's, is damaged. */
struct node_holds *nodes_holds(struct nodes *nodes, const struct view *v, uint32_t slot);

/* ---- does it fit? The one answer for schedulers and the plan applier ---- */

#define FIT_LIST(X)                                                                                                    \
	X(OK, "")                                                                                                      \
	X(CPU, "cpu")                                                                                                  \
	X(MEMORY, "memory")                                                                                            \
	X(DISK, "disk")                                                                                                \
	X(ALLOCS, "max allocations")                                                                                   \
	X(STATE, "node not ready")                                                                                     \
	X(PORT, "network: reserved port collision")                                                                    \
	X(PORTS, "network: dynamic port selection failed")                                                             \
	X(CORES, "cores")                                                                                              \
	X(DEVICES, "devices: no devices match request")

enum fit {
#define X(id, text) FIT_##id,
	FIT_LIST(X)
#undef X
	N_FITS
};

/* As metrics name it. */
const char *fit_text(enum fit fit);

/* Whether a node has room for `ask` besides what it has taken. Ports and the like: node_holds_fit(). */
static inline enum fit node_fits(const struct node_at *at, const struct use *ask)
{
	if (at->used.cpu_mhz + ask->cpu_mhz > at->cpu_mhz) {
		return FIT_CPU;
	}
	if (at->used.memory_mb + ask->memory_mb > at->memory_mb) {
		return FIT_MEMORY;
	}
	if (at->used.disk_mb + ask->disk_mb > at->disk_mb) {
		return FIT_DISK;
	}
	return at->max_allocs != 0 && at->used.count + ask->count > at->max_allocs ? FIT_ALLOCS : FIT_OK;
}

/* Does what a plan places there still fit, by all that can be counted? */
enum fit nodes_fit(struct nodes *nodes, const struct view *v, uint32_t slot, const struct use *ask,
		   const struct holds *takes);

#endif /* SERVER_SCHED_NODES_H_ */
