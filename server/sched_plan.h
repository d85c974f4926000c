/**
 * A plan: what a scheduler wants to change, on its way to the plan applier and back.
 *
 *     worker                             core loop
 *     sched_begin() -> plan    ------->  applier_submit(), applier_next() ... commands through the log
 *     sched_resume()           <-------  the same plan, with its outcome
 *
 * A plan is cut into chunks, each one command. Its makers encode them; the applier checks the places of a chunk and
 * sends the bytes as they are, or, when something does not fit, encodes anew what does. A chunk holds places together
 * with the stops that make sense only with them. The first chunk has the deployment, the last one the evaluations that
 * end the work: those are sent only when nothing of the plan was refused.
 *
 * A plan is read and written by one thread at a time, the one that has it; its memory is the run's (server/sched.h).
 */
#ifndef SERVER_SCHED_PLAN_H_
#define SERVER_SCHED_PLAN_H_

#include "lib/buf.h"
#include "lib/list.h"
#include "raft/command.h"
#include "server/sched_nodes.h"

enum {
	PLAN_CHUNK_PLACES = 250,
	PLAN_CHUNK_CHANGES = 500,
};

/* What the applier must know of a place. */
struct plan_claim {
	struct uuid alloc;
	struct uuid node;
	struct use use;            /* For an update in place: the difference. */
	const struct holds *holds; /* NULL: none. */
	bool update;               /* Of an allocation that is there: its node need not be ready. */
};

/* What the applier must know of a change: `frees` is what the node gets back. */
struct plan_release {
	struct uuid alloc;
	struct uuid node;
	struct use frees;  /* Nothing: it only changes words. */
	int32_t place;     /* It is made only with this place of the chunk; -1: anyway. */
};

struct plan_chunk {
	struct plan_result payload;
	struct plan_claim *claims;     /* One for each place, */
	struct plan_release *releases; /* and for each change. */
	uint32_t n_always;             /* The first of the payload's evaluations, which are made also when something is refused. */
	struct buf command;            /* The payload, encoded. */
};

struct plan {
	struct uuid eval;
	int priority;
	bool all_at_once; /* All of it or nothing. */
	uint32_t n_chunks;
	struct plan_chunk *chunks;

	/* The outcome. */
	int status;       /* 0, or the ERR_ code with which a command failed: what became of the rest is unknown. */
	uint32_t refused; /* Places: something else took the room, or the node has gone. */
	uint64_t index;   /* Of the last command of it that was applied. */

	/* The applier's. */
	struct list link;
	uint64_t owner;
	uint32_t checked; /* Chunks, */
	uint32_t sent;
	uint32_t applied;
	void *ctx; /* The submitter's. */
};

#endif /* SERVER_SCHED_PLAN_H_ */
