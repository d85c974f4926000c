/**
 * One attempt at an evaluation, as the schedulers of all types share it.
 *
 *     sched.c            loads what an attempt needs, makes the evaluations that end it, counts attempts
 *     sched_generic.c    service and batch: reconciles, finds nodes for what is missing
 *     sched_system.c     system and sysbatch: one allocation for each node
 *     sched_group.c      choosing nodes for the places of one group
 */
#ifndef SERVER_SCHED_RUN_H_
#define SERVER_SCHED_RUN_H_

#include "server/sched.h"
#include "server/sched_rank.h"
#include "server/sched_reconcile.h"

struct failed_group {
	const char *name;
	struct alloc_metric metric;
	const struct task_group *group;
};

struct run {
	struct sched_run pub;
	struct sched *s;
	struct arena mem; /* Of this attempt. */
	const struct view *view;
	int64_t now_ns;
	int64_t begun_ns; /* By the clock. */
	struct uuid seed;
	uint64_t ids;
	uint64_t owner;    /* Of its claims. */
	uint32_t attempts; /* Without progress. */
	uint32_t meetings; /* Since this one made progress. */
	bool dry;
	struct evaluation eval;
	struct scheduler_config config;
	bool spread_nodes;
	bool oversubscribe;
	struct sched_job job;
	struct scope scope;

	/* What it comes to. */
	struct plan_build build;
	struct plan_end end;
	uint32_t placed;   /* Places of this attempt. */
	bool unfinished;   /* There are more than one evaluation may place: another goes on. */
	struct failed_group *failed;
	uint32_t n_failed;
	uint32_t failed_cap;
	struct tally queued;
	struct tally blocked_classes; /* Names of classes; n is 1 when eligible. */
	bool escaped;
	struct evaluation *evals; /* Made whatever becomes of the plan: for later, and for jobs preempted. */
	uint32_t n_evals;
	uint32_t evals_cap;
	struct plan_annotations annotations;
	struct {
		const struct alloc_row **at;
		uint32_t n, cap;
	} preempted;
};

enum { RUN_PLACES_MAX = 100000 }; /* By one evaluation. */

/* 0, or ERR_CORRUPT. Fill the build and what follows. */
int generic_decide(struct run *r);
int system_decide(struct run *r);

struct uuid run_id(struct run *r);
const char *run_id_text(struct run *r, const struct uuid *id);
uint64_t run_random(struct run *r);
int64_t run_elapsed_ns(struct run *r);

/* A new evaluation of the job, all but its status filled in. */
void run_eval(struct run *r, enum eval_trigger trigger, struct evaluation *out);

/* One that is made whatever becomes of the plan. */
void run_eval_always(struct run *r, const struct evaluation *eval);

/* What a stop or the like frees is free for what is decided next. */
void run_stop(struct run *r, const struct change_spec *spec);

/* Note what could not be placed, and where it might be. `group` once. */
void run_failed(struct run *r, const struct task_group *group, const struct alloc_metric *metric, int64_t more);
void run_eligibility(struct run *r, const struct feasible *f);

/* Add evaluations for the jobs whose allocations were preempted: they look for other places. */
void run_preempted(struct run *r);

/* Whether the configuration lets this type of job preempt others. */
bool run_preempts(const struct run *r);

/* ---- placing allocations of one group ---- */

struct group_sched {
	struct run *r;
	const struct task_group *group;
	struct feasible feasible;
	struct ask ask;
	struct rank rank;
	struct bytes metric; /* Of the latest placements. */
	uint32_t placed;
	bool full; /* The last plain attempt found no node. */
};

void group_sched_open(struct group_sched *gs, struct run *r, const struct task_group *group);

struct group_wish {
	struct uuid id; /* Of the allocation to be. */
	uint32_t index;
	const struct alloc_row *previous; /* NULL: none. */
	bool canary;
	const uint32_t *penalties;
	uint32_t n_penalties;
	uint32_t preferred;
	struct chunk_key key;
	const struct reschedule_tracker *tracker;
	uint32_t changes; /* That will go with it. */
};

/* Find a node, claim it, add the place to the plan. False: there is none; its metric is told by run_failed(). */
bool group_sched_place(struct group_sched *gs, const struct group_wish *wish, struct plan_spot *spot);

/* As many more would fail, too. */
void group_sched_fail(struct group_sched *gs, int64_t n);

/* Place on one certain node, for jobs of type system. */
bool group_sched_place_on(struct group_sched *gs, const struct group_wish *wish, uint32_t slot, struct plan_spot *spot);

/* ---- making room: server/sched_preempt.c ---- */

struct eviction {
	uint32_t slot;
	const struct alloc_row **rows; /* In the run's memory. */
	uint32_t n;
};

/* The node where the least important allocations must give way; false: there is none. `slot` may be NODE_NONE: any
 * candidate of the rank. */
bool preempt_find(struct run *r, const struct rank *rank, const struct ask *ask, uint32_t slot, struct eviction *out);

#endif /* SERVER_SCHED_RUN_H_ */
