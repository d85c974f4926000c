/**
 * Deployments: whether a new version of a job proves itself.
 *
 * The schedulers make a deployment, place its allocations and hold back what its limits do not allow yet; apply counts
 * what clients say of their health. This part looks at the counts:
 *
 *     all groups have their healthy allocations, canaries promoted   -> successful, and the job's version is stable
 *     canaries are healthy, and the job says so (AutoPromote)        -> promoted
 *     one has failed and will not be rescheduled; or it is unhealthy,
 *     and the group gives it no time (ProgressDeadline 0)            -> failed
 *     no progress for as long as the group allows                    -> failed, unless canaries wait for a person
 *     more are healthy than before                                   -> an evaluation, to replace the next
 *
 * A failed deployment of a group with AutoRevert brings back the newest stable version of the job. While a deployment
 * is paused nothing happens, and its deadline begins anew afterwards.
 */
#ifndef SERVER_DEPLOY_H_
#define SERVER_DEPLOY_H_

#include "lib/hash.h"
#include "lib/heap.h"
#include "server/part.h"

/* Between two looks at one deployment, so that a burst of reports makes one evaluation. */
#define DEPLOY_LOOK_NS (100 * NS_PER_MS)

struct deploy_entry {
	struct hash_link by_id;
	struct heap_link by_time; /* Unless it is paused, or a command about it is under way. */
	struct uuid id;
	int64_t look_ns;       /* Monotonic: when to look next. */
	int64_t looked_ns;     /* When that was last. */
	int64_t resumed_ns;    /* Wall time at which it went on after a pause; 0: never. */
	int64_t healthy;       /* Allocations that were healthy at its last evaluation; */
	int64_t asked_healthy; /* and at the one that is being made. */
	int64_t standing;      /* Allocations that are healthy and have not been lost or replaced, of those looked at. */
	bool pending;          /* A command is under way, */
	bool asked;            /* which makes an evaluation. */
	bool scanning;         /* Not all of its allocations have been looked at yet: go on here. */
	bool again;            /* Something has changed meanwhile. */
	uint8_t scan[8];
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

/* How a deployment fails for this reason: with an evaluation, and with what the job goes back to, of which the
 * description tells. It goes back if one of these groups says so (AutoRevert); NULL is any group. In the memory of
 * `mem`. ERR_CORRUPT. For the payload of COMMAND_DEPLOYMENT_STATUS, or of _HEALTH with unhealthy allocations. */
int deploy_failure(const struct view *v, const struct deployment_row *row, const char *reason,
		   const struct strs *groups, struct deployment_change *out, struct arena *mem);

/* Deployments that are watched. */
static inline size_t deploy_active(const struct deploy *d)
{
	return d->by_id.n;
}

/* The part. It hears of deployments, and of all allocations. */
void deploy_load(struct deploy *d, const struct deployment_row *row, const struct moment *at);
void deploy_changed(struct deploy *d, const struct deployment_row *old, const struct deployment_row *now,
		    const struct moment *at);
void deploy_alloc_changed(struct deploy *d, const struct alloc_row *old, const struct alloc_row *now,
			  const struct moment *at);
enum part_step deploy_step(struct deploy *d, struct turn *turn);
void deploy_done(struct deploy *d, const struct uuid *ref, int status, const struct moment *at);
int64_t deploy_due(const struct deploy *d, const struct moment *at);

#endif /* SERVER_DEPLOY_H_ */
