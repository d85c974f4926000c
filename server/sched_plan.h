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
	PLAN_CHUNK_BYTES = 128 << 10, /* About: ports may make places large. */
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
	struct use frees; /* Nothing: it only changes words. */
	int32_t place;    /* It is made only with this place of the chunk; -1: anyway. */
};

struct plan_chunk {
	struct plan_result payload;
	bool evals_only;               /* The command is EVALS: there is nothing else in it. */
	struct plan_claim *claims;     /* One for each place, */
	struct plan_release *releases; /* and for each change. */
	uint32_t n_always;  /* The first of the payload's evaluations, which are made also when something is refused. */
	struct buf command; /* The payload, encoded. */
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
	bool met;         /* Others' chunks were on their way then, and maybe took it: they have arrived by now. */
	uint64_t index;   /* Of the last command of it that was applied. */

	/* The applier's. */
	struct list link;
	uint64_t owner;
	uint32_t checked; /* Chunks, */
	uint32_t sent;
	uint32_t applied;
	uint64_t after; /* It waits until so many chunks, of all plans, have arrived. */
	bool queued;
	void *ctx; /* The submitter's. */
};

/* ---- making one ---- */

/* Chunks differ in what all places of a command share: the job's version, and whether they are of its deployment. */
struct chunk_key {
	const struct job_row *version; /* NULL: the job's. */
	bool deploys;
};

struct chunk_build {
	struct plan_result payload;
	struct chunk_key key;
	struct plan_claim *claims;
	struct plan_release *releases;
	const void *metric; /* The latest of the payload's. */
	size_t bytes;       /* About. */
	uint32_t places_cap, claims_cap, changes_cap, releases_cap, metrics_cap, groups_cap;
};

struct plan_build {
	struct arena *mem;
	struct uuid eval;
	const char *ns;
	const char *job;
	uint64_t job_create_index;
	uint64_t job_version;
	struct uuid deployment_id;
	struct chunk_build **chunks;
	uint32_t n;
	uint32_t cap;
};

/* What a place says; what it points to is kept until the plan is encoded. */
struct place_spec {
	struct uuid id;
	struct uuid node;
	const char *group;
	uint32_t index;
	struct use use;
	int64_t memory_max_mb;
	struct chunk_key key;
	struct bytes metric;         /* Packed; the same pointer is stored once. */
	const struct uuid *previous; /* NULL: none. */
	bool canary;
	bool update;                       /* In place. */
	const struct alloc_server *server; /* NULL: nothing to say. */
	const struct holds *holds;
};

/* What a change says: only what is set. */
struct change_spec {
	const struct alloc_row *row;
	int desired; /* enum alloc_desired, or -1 */
	int client;  /* enum alloc_client, or -1 */
	const char *description;
	const char *client_description;
	struct uuid followup;
	struct uuid preempted_by;
};

/* A place in a chunk. */
struct plan_spot {
	struct chunk_build *chunk;
	int32_t place;
};

/* Add a place, with room for `changes` that belong to it. */
struct plan_spot plan_place(struct plan_build *b, const struct place_spec *spec, uint32_t changes);

/* Add a change that is made only with a place. */
void plan_change_with(struct plan_build *b, struct plan_spot spot, const struct change_spec *spec);

/* Add a change that is made anyway. */
void plan_change(struct plan_build *b, const struct change_spec *spec);

struct plan_end {
	const struct deployment *deployment; /* New, or NULL. */
	struct uuid ended;                   /* A deployment that is cancelled, */
	const char *ended_why;               /* and why. */
	const struct evaluation *always;     /* Evaluations that are made also when something is refused, */
	uint32_t n_always;
	const struct evaluation *final; /* and those that end the work. */
	uint32_t n_final;
	int priority;
	bool all_at_once;
};

/* Encode. The plan is in the build's memory, but for the encoded commands: plan_close(). NULL: some command would be
 * larger than any may be. */
struct plan *plan_finish(struct plan_build *b, const struct plan_end *end);
void plan_close(struct plan *plan);

/* Encode a chunk's payload anew: it has been changed. ERR_TOOBIG. */
int plan_chunk_encode(struct plan_chunk *chunk);

#endif /* SERVER_SCHED_PLAN_H_ */
