/**
 * Deployments: whether a new version of a job proves itself.
 *
 * The schedulers make a deployment, place its allocations and hold back what its limits do not allow yet; apply counts
 * what clients say of their health. This part looks at the counts:
 *
 *     all groups have their healthy allocations, canaries promoted   -> successful, and the job's version is stable
 *     canaries are healthy, and the job says so (AutoPromote)        -> promoted
 *     more are healthy than before                                   -> an evaluation, to place the next
 *     one is unhealthy: it can be rescheduled before the deadline    -> marked for that, and an evaluation
 *                       otherwise                                    -> failed
 *     no progress for as long as the job allows                      -> failed, unless canaries wait for a person
 *
 * A failed deployment of a group with AutoRevert brings back the newest stable version of the job.
 */
#ifndef SERVER_DEPLOY_H_
#define SERVER_DEPLOY_H_

#include "lib/hash.h"
#include "lib/heap.h"
#include "lib/list.h"
#include "server/part.h"

/* Between two looks at one deployment, so that a burst of reports makes one evaluation. */
#define DEPLOY_LOOK_NS (100 * NS_PER_MS)

struct deploy_entry {
	struct hash_link by_id;
	struct heap_link by_time;
	struct uuid id;
	int64_t look_ns;   /* Monotonic: when to look next. */
	int64_t looked_ns; /* When it was looked at last. */
	int64_t floor_ns;  /* Wall time: the deadline is not before this, as it was paused. */
	int64_t healthy;   /* Allocations that were healthy at the last evaluation. */
	uint8_t scan[8];   /* Where to go on among its allocations: a serial. */
	bool scanning;
	bool pending;          /* A command is under way, */
	int64_t asked_healthy; /* with this many healthy ones. */
};

#define DEPLOY_COUNTS(X) X(successful) X(failed) X(promoted) X(evals)

struct deploy {
	struct hash_table by_id;
	struct heap by_time;
#define X(name) uint64_t name;
	DEPLOY_COUNTS(X)
#undef X
};

void deploy_init(struct deploy *d);
void deploy_close(struct deploy *d);
void deploy_reset(struct deploy *d);

#define DEPLOY_FAILED_BY_HAND "Deployment marked as failed"
#define DEPLOY_FAILED_ALLOCS "Failed due to unhealthy allocations"
#define DEPLOY_FAILED_DEADLINE "Failed due to progress deadline"

/* Fill in how this deployment fails, for whatever reason: with an evaluation, and what the job goes back to, which the
 * description tells. With `groups` only if one of these is to be reverted by itself; NULL is all of them. ERR_CORRUPT.
 * In the memory of `mem`. */
int deploy_failure(const struct view *v, const struct deployment_row *row, const char *reason,
		   const struct strs *groups, struct deployment_change *out, struct arena *mem);

/* The part. */
void deploy_load(struct deploy *d, const struct deployment_row *row, const struct moment *at);
void deploy_changed(struct deploy *d, const struct deployment_row *old, const struct deployment_row *now,
		    const struct moment *at);
enum part_step deploy_step(struct deploy *d, struct turn *turn);
void deploy_done(struct deploy *d, const struct uuid *ref, int status, const struct moment *at);
int64_t deploy_due(const struct deploy *d, const struct moment *at);

#endif /* SERVER_DEPLOY_H_ */
