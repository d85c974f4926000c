/**
 * The scheduler: decides for one evaluation what runs where.
 *
 * It is a function of a view of the state, a picture of the nodes that has come to the same view, the evaluation, the
 * time and a seed. What it decides is a plan (server/sched_plan.h), which goes through the plan applier; when something
 * of it was refused it decides again on a newer view. Each worker thread has one `struct sched`, and may have several
 * evaluations under way: while the plan of one is applied it begins the next, which sees what the first has claimed.
 * The broker takes care that no two are of the same job.
 *
 *     worker thread
 *       mail: evaluation, view, news         sched_news(); run = sched_begin() -> SUBMIT: post run->plan to the core
 * loop mail: plan with its outcome,         sched_news(); sched_resume(run)   -> SUBMIT: post run->plan again view,
 * news                                                       -> DONE: acknowledge, sched_end(run)
 *
 * Every evaluation ends in the state by its own plan: complete, with what could not be placed in a blocked one, or
 * failed; so DONE needs no command. The view that comes with an outcome must have all that was applied of the plan.
 *
 * What could not be placed goes into a blocked evaluation, with the classes of nodes that may help (ClassEligibility;
 * all others are unknown) and the index of the view (SnapshotIndex): capacity that came later was not seen. A blocked
 * evaluation that is tried again and fails again is put anew, still blocked, with a later SnapshotIndex; so the broker
 * sees a change of its row. Waiting ones (reschedules, rolling updates of system jobs, clients that are cut off) are
 * pending with WaitUntil.
 *
 * Types: service and batch (server/sched_generic.c), system and sysbatch (server/sched_system.c).
 */
#ifndef SERVER_SCHED_H_
#define SERVER_SCHED_H_

#include "server/sched_plan.h"

/* What a scheduler needs from the world. */
struct sched_env {
	int64_t (*clock_ns)(void *ctx); /* Any monotonic clock: how long decisions take goes into metrics. */
	void *ctx;
};

enum {
	SCHED_ATTEMPTS_SERVICE = 5, /* Without progress; then the evaluation fails. */
	SCHED_ATTEMPTS_BATCH = 2,
	SCHED_ATTEMPTS_SYSTEM = 5,
	SCHED_MEETINGS = 100, /* Attempts at which others were faster: that is progress, though not this evaluation's. */
};

struct sched {
	struct nodes nodes;
	struct sched_env env;
	uint64_t owners; /* Of claims, given out so far. */
};

enum sched_step {
	SCHED_SUBMIT, /* Submit run->plan. */
	SCHED_DONE,   /* Nothing more to do; run->status tells how it went. */
};

struct sched_run {
	struct plan *plan;
	struct uuid eval;
	int status; /* 0: the evaluation has come to its end in the state, or is not there any more (or over). Else an
		     * ERR_ code: it has not, and must be delivered again. */
	void *ctx;  /* The caller's. */
};

void sched_init(struct sched *s, const struct sched_env *env);
void sched_close(struct sched *s); /* All runs have ended. */

/* Come to a newer view: before anything that is given this view. Takes the news. */
void sched_news(struct sched *s, const struct view *v, struct nodes_news *news);

/* Begin an evaluation. `v` is the view of the latest sched_news(); the caller keeps it until the next sched_resume() or
 * sched_end() of the run, whose plan points into it. `seed` is random. */
enum sched_step sched_begin(struct sched *s, const struct view *v, const struct uuid *eval, int64_t now_ns,
			    const struct uuid *seed, struct sched_run **run);

/* Go on after the outcome of run->plan, at once; `v` and `seed` are new ones, as above. */
enum sched_step sched_resume(struct sched *s, struct sched_run *run, const struct view *v, int64_t now_ns,
			     const struct uuid *seed);

/* Forget a run, at any time when its plan is not with the applier. */
void sched_end(struct sched *s, struct sched_run *run);

/* ---- the dry run of a job ---- */

struct sched_preview {
	struct plan_annotations annotations;
	CTYPE_OBJMAP(alloc_metric) failed; /* FailedTGAllocs */
	CTYPE_LIST(evaluation) evals;      /* That would be made besides its own. */
};

/* What would happen if this canonicalized job were registered now. Nothing is changed. All of `out` is in `mem`.
 * ERR_CORRUPT. */
int sched_dry_run(struct sched *s, const struct view *v, const struct job *job, int64_t now_ns, const struct uuid *seed,
		  struct sched_preview *out, struct arena *mem);

#endif /* SERVER_SCHED_H_ */
