/**
 * Collection of garbage: what is over, and has been so for long enough, leaves the state.
 *
 * A collection goes through the tables once, in slices, and asks for commands of bounded size, one at a time:
 *
 *     ALLOCS       that are over on their nodes; those of a batch job only when the job is dead and goes too, as its
 *                  scheduler would run them again
 *     EVALS        that are over and have no allocations left; likewise
 *     DEPLOYMENTS  that are over, when no live allocation is of them
 *     JOBS         that are dead, with all that is left of them; large ones piece by piece
 *     NODES        that are down and have no live allocations
 *
 * Each kind has its age; a forced collection takes everything that is over, however young.
 */
#ifndef SERVER_GC_H_
#define SERVER_GC_H_

#include "raft/fsm.h"
#include "server/part.h"

/* 0 is the default. */
struct gc_config {
	int64_t interval_ns;   /* Between two collections: 5 min. */
	int64_t eval_ns;       /* Also of allocations: 1 h. */
	int64_t batch_eval_ns; /* Of evaluations and allocations of batch jobs that were registered anew since: 24 h. */
	int64_t job_ns;        /* 4 h. */
	int64_t deployment_ns; /* 1 h. */
	int64_t node_ns;       /* 24 h. */
};

#define GC_STAGES(X) X(ALLOCS) X(EVALS) X(DEPLOYMENTS) X(JOBS) X(NODES)

enum gc_stage {
	GC_IDLE,
#define X(id) GC_##id,
	GC_STAGES(X)
#undef X
	N_GC_STAGES
};

#define GC_COUNTS(X) X(collections) X(allocs) X(evals) X(deployments) X(jobs) X(nodes)

struct gc {
	struct gc_config config;
	enum gc_stage stage;
	bool forced;           /* This collection is. */
	bool want_forced;      /* The next one will be, at once. */
	bool pending;          /* A command is under way, */
	enum gc_stage kind;    /* which removes rows of this kind. */
	bool at_end;           /* Of the stage's table. */
	bool checked;          /* All allocations of the job at `place` are over. */
	int64_t next_ns;       /* Monotonic: the next collection, or the next try after a failure. */
	struct row_mark place; /* In the stage's table; */
	struct row_mark inner; /* among the allocations of the row there. */
#define X(name) uint64_t name;
	GC_COUNTS(X)
#undef X
};

void gc_init(struct gc *gc, const struct gc_config *config); /* NULL: all defaults. */

/* Leadership begins: the first collection is due an interval later. */
void gc_reset(struct gc *gc, const struct moment *at);

/* Collect now, everything that is over. */
void gc_force(struct gc *gc);

/* The part: it needs no rows. */
enum part_step gc_step(struct gc *gc, struct turn *turn);
void gc_done(struct gc *gc, int status, const struct apply_result *result, const struct moment *at);
int64_t gc_due(const struct gc *gc, const struct moment *at);

#endif /* SERVER_GC_H_ */
