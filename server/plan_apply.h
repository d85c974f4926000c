/**
 * The plan applier: the one place, on the leader's core loop, where what several schedulers decided at the same time is
 * brought into an order, so that no node gets more than it has.
 *
 *     applier_submit(ap, plan)
 *     while (applier_next(ap, view, &step))        one chunk a call
 *             propose(step.command, ..., step)
 *     applier_applied(ap, &step, status, result)   when it was applied or has failed
 *     ... -> applier_done(ap): plans whose outcome is known
 *
 * A place is checked against the newest view and against the chunks that are on their way through the log, which its
 * picture of nodes holds as claims. What does not fit is refused, with the stops that belong to it; the scheduler tries
 * the rest again on a newer view. It could not see there what is still on its way, and would choose the same again: so
 * a plan that was refused something comes out as done when all chunks that had been sent before have arrived.
 *
 * The last of several chunks, which ends the evaluation, is held back until the others have been applied: one of their
 * places may be rejected there.
 *
 * A chunk is 250 places, and costs less than a millisecond: the caller looks at its clock between two.
 */
#ifndef SERVER_PLAN_APPLY_H_
#define SERVER_PLAN_APPLY_H_

#include "server/sched_plan.h"

#define APPLIER_STATS(X)                                                                                               \
	X(plans, "plans submitted")                                                                                    \
	X(chunks, "chunks proposed")                                                                                   \
	X(placed, "places applied")                                                                                    \
	X(refused, "places refused by the check")                                                                      \
	X(rejected, "places rejected when they were applied")                                                          \
	X(partial, "plans of which something was refused")

struct applier_stats {
#define X(name, text) uint64_t name;
	APPLIER_STATS(X)
#undef X
};

struct plan_applier {
	struct nodes nodes;
	struct list queue; /* Plans with chunks to be sent now: by priority, then in order. */
	struct list sent;  /* Those that wait for chunks to be applied. */
	struct list waiting; /* Refused something, and others' chunks are on their way. */
	struct list done;
	uint32_t n_queued;
	uint32_t n_plans;  /* That have not come out as done, */
	uint32_t n_unsent; /* and chunks of them that are to be checked and sent. */
	uint64_t n_sent, n_arrived; /* Chunks of all plans. */
	uint64_t owners;
	struct applier_stats stats;
};

/* A chunk to be proposed. */
struct plan_step {
	struct plan *plan;
	uint32_t chunk;
	const void *command; /* Without its stamp, for batch_add(). Stays until applier_applied(). */
	size_t len;
};

void applier_init(struct plan_applier *ap);
void applier_close(struct plan_applier *ap);

/* Leadership begins or ends: forget all nodes and claims. Plans that were submitted come out as done, with
 * ERR_NOTLEADER; commands of theirs that are under way need not be told of any more. */
void applier_reset(struct plan_applier *ap);

/* What an entry has changed, while leading: from fsm's callback. `v` is the newest view. */
void applier_changed(struct plan_applier *ap, const struct view *v, const struct change *changes, size_t n);

/* Take a plan. It belongs to the applier until it comes out as done. */
void applier_submit(struct plan_applier *ap, struct plan *plan);

/* Whether there is something to do for applier_next(). */
static inline bool applier_ready(const struct plan_applier *ap)
{
	return !list_empty(&ap->queue);
}

/* Check the next chunk. True: propose it, and tell applier_applied() in the end, whatever becomes of it. False: there
 * is nothing to propose at the moment; call again while applier_ready(). */
bool applier_next(struct plan_applier *ap, const struct view *v, struct plan_step *step);

/* What became of a chunk: `status` 0 and the result of its command, or the ERR_ code of a proposal that failed, with
 * a result of NULL. Steps of one plan are told in their order. */
void applier_applied(struct plan_applier *ap, const struct plan_step *step, int status,
		     const struct apply_result *result);

/* The next plan whose outcome is known, or NULL. */
struct plan *applier_done(struct plan_applier *ap);

/* Plans that wait to be checked. A metric. */
static inline uint32_t applier_depth(const struct plan_applier *ap)
{
	return ap->n_queued;
}

#endif /* SERVER_PLAN_APPLY_H_ */
