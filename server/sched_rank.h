/**
 * Which of the nodes that a group can run on is the best for the next allocation.
 *
 * Every feasible node has a score, kept up to date while one allocation after the other is placed: a placement changes
 * the score of its own node alone, and those of others only through spreads and the like. The best is found by blocks,
 *
 *     block:     0            1            2
 *     score   .7 .3 .5 | .9 .2 .9 | -  .1 ...        -: no room now
 *     best       .7         .9         .1            looked at again only where something changed
 *
 * so that thousands of allocations on thousands of nodes cost well below a microsecond for each node touched. Nodes
 * stand in an order that the seed decides, and of equals the first is taken: so not all schedulers prefer the same.
 *
 * The score is the mean of its parts (those that are not 0, and the first always):
 *     binpack                  how well what is left free fits, 0 to 1; by configuration the contrary
 *     job-anti-affinity        less than 0 where the group has allocations
 *     node-reschedule-penalty  -1 where this allocation has failed before
 *     node-affinity            -1 to 1: wishes fulfilled
 *     allocation-spread        -1 to 1: how much the node's share of the group should grow
 */
#ifndef SERVER_SCHED_RANK_H_
#define SERVER_SCHED_RANK_H_

#include "proto/alloc.h"
#include "server/sched_feasible.h"

/* What one allocation of a group takes. */
struct ask {
	struct use use; /* Without what reserved cores count as. */
	int64_t memory_max_mb;
	struct holds_ask holds;
};

/* `oversubscribe`: a maximum of memory above the reserved is allowed. */
void ask_open(struct ask *ask, const struct task_group *group, bool oversubscribe, struct arena *mem);

/* The same on a certain node. */
struct use ask_use(const struct ask *ask, const struct node_at *at);

/* ---- the parts of a rank ---- */

enum { RANK_BLOCK = 64 };

/* Why a candidate cannot be taken at the moment. */
enum candidate_state {
	CANDIDATE_OPEN,
	CANDIDATE_FULL, /* rank_candidate.fit tells of what. */
	CANDIDATE_DISTINCT_HOSTS,
	CANDIDATE_DISTINCT_PROPERTY,
};

struct candidate {
	uint32_t slot;
	uint8_t state;     /* enum candidate_state */
	uint8_t fit;       /* enum fit */
	bool penalty;      /* For the placement at hand. */
	bool missed;       /* Ports and the like were not there when it was tried. */
	bool settled;      /* It is out of the race: it has what it needs. */
	uint32_t here;     /* Allocations of the group, */
	uint32_t job_here; /* and of the job. */
	uint16_t port;     /* That is taken. */
	const char *port_label;
	double binpack;
	double affinity;
	double spread;
};

/* Candidates by the value of a fact: how many of the group (or the job) each value has. */
struct values {
	uint32_t key;
	bool whole_job;
	uint32_t *of;    /* By candidate: place among the values, or INTERN_NONE: it has no value. */
	uint32_t *place; /* By interned value: its place plus 1. */
	uint32_t *id;    /* Of each value: interned. */
	int64_t *count;
	uint32_t n;
	uint32_t cap;
};

struct spread_target_count {
	uint32_t value; /* Interned; INTERN_NONE: no node has it. */
	double desired;
};

struct rank_spread {
	struct values values;
	struct spread_target_count *targets;
	uint32_t n_targets;
	double rest;   /* Desired of values that no target names; 0: none. */
	double weight; /* Of the sum of all spreads'. */
	double *boost; /* By value. */
};

struct rank_distinct {
	const struct distinct *rule;
	struct values values;
};

/* Counts for metrics, by a static text or an interned name. */
struct tally {
	struct {
		const char *name;
		int64_t n;
	} * at;
	uint32_t n;
	uint32_t cap;
};

struct rank {
	struct nodes *nodes;
	const struct view *view;
	struct feasible *feasible;
	const struct ask *ask;
	struct arena *mem;
	bool spread_nodes; /* Configured: the emptiest node is the best. */
	double desired;    /* The group's count. */
	uint32_t n;
	struct candidate *at;
	double *score; /* By candidate; -INFINITY when it cannot be taken. */
	uint32_t *of;  /* By slot: the candidate, or NODE_NONE. */
	uint32_t n_blocks;
	uint32_t *best; /* By block. */
	bool *dirty;
	struct rank_spread *spreads;
	uint32_t n_spreads;
	struct rank_distinct *distincts;
	uint32_t n_distincts;
	bool rejudge;              /* Counts have changed that bear on many candidates: */
	bool respread;             /* to be looked at before the next pick. */
	const uint32_t *penalties; /* Of the latest pick. */
	uint32_t n_penalties;
	/* For metrics. */
	int64_t in_pool;
	int64_t evaluated;
	int64_t filtered;
	struct tally available;
	struct tally reasons;
	struct tally filtered_classes;
};

struct rank_input {
	struct nodes *nodes;
	const struct view *view;
	struct scope *scope;
	struct feasible *feasible;
	const struct ask *ask;
	const struct job *job;
	const struct task_group *group;
	bool spread_nodes;
	uint64_t random;
	struct arena *mem;
};

void rank_open(struct rank *r, const struct rank_input *in);

/* An allocation of the job is there on a node, or (by -1) no longer counts. Nodes that are no candidates are fine. */
void rank_count(struct rank *r, uint32_t slot, bool same_group, int by);

/* What a node has taken has changed. */
void rank_touch(struct rank *r, uint32_t slot);

/* What is wanted of one placement. */
struct rank_wish {
	const uint32_t *penalties; /* Slots where it failed before; they stay until the next pick. */
	uint32_t n_penalties;
	uint32_t preferred; /* Slot: taken if at all possible; or NODE_NONE. */
	uint64_t random;
};

/* The best node for one more allocation, or NODE_NONE. Ports, cores and devices are chosen into `server`, whose memory
 * is the rank's; nothing is claimed. */
uint32_t rank_pick(struct rank *r, const struct rank_wish *wish, struct alloc_server *server);

/* The same for one certain node; false: it is no candidate, or has no room. */
bool rank_try(struct rank *r, uint32_t slot, uint64_t random, struct alloc_server *server);

/* This node needs none any more, and is not to be counted among those without room. */
void rank_settle(struct rank *r, uint32_t slot);

/* The metrics of the latest pick, with the scores of the best nodes; before anything else changes. */
void rank_metric(const struct rank *r, struct alloc_metric *out);

/* ---- tallies ---- */

void tally_add(struct tally *t, const char *name, int64_t n, struct arena *mem);

/* As a map of the API, sorted; in `mem`. */
struct intmap tally_map(const struct tally *t, struct arena *mem);

#endif /* SERVER_SCHED_RANK_H_ */
