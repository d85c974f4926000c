#include "server/leader_parts.h"

#include <stdlib.h>

#include "proto/error.h"
#include "server/sched_memory.h"

/* Plans whose outcome is known go back to their workers. */
static void give_back(struct leader *l, const struct moment *at)
{
	struct plan *plan;

	while ((plan = applier_done(&l->applier)) != NULL) {
		broker_hold(&l->broker, &plan->eval, broker_token(&l->broker, &plan->eval), false, at);
		l->effects->plan_done(l->ctx, plan);
	}
}

static void refuse(struct leader *l, struct plan *plan, int status)
{
	plan->status = status;
	l->effects->plan_done(l->ctx, plan);
}

void leader_submit(struct leader *l, struct plan *plan, uint64_t token, const struct moment *at)
{
	if (!l->leading) {
		refuse(l, plan, ERR_NOTLEADER);
	} else if (!broker_owns(&l->broker, &plan->eval, token)) {
		refuse(l, plan, ERR_CONFLICT);
	} else {
		broker_hold(&l->broker, &plan->eval, token, true, at);
		applier_submit(&l->applier, plan);
		leader_wake(l, at);
	}
}

/* ---- into the log ---- */

/* A chunk that finds the queue full is held, and no other goes before it. */
static void send(struct leader *l, struct leader_op *op, const struct moment *at)
{
	l->held = leader_propose(l, op, op->chunk.command, op->chunk.len, at) ? NULL : op;
}

static void send_next(struct leader *l, const struct view *v, const struct moment *at)
{
	struct plan_step chunk;
	struct leader_op *op;

	if (applier_next(&l->applier, v, &chunk)) {
		op = sched_calloc(1, sizeof(*op));
		op->is_plan = true;
		op->chunk = chunk;
		send(l, op, at);
	}
}

void plans_tick(struct leader *l, const struct view *v, const struct moment *at)
{
	unsigned n = LEADER_CHUNKS;

	if (l->held != NULL && l->busy_ns <= at->mono_ns) {
		send(l, l->held, at);
	}
	while (n-- > 0 && l->held == NULL && l->ops.n < LEADER_OPS && applier_ready(&l->applier)) {
		send_next(l, v, at);
	}
	give_back(l, at);
}

void plans_proposed(struct leader *l, const struct plan_step *chunk, int status, const struct apply_result *result,
		    const struct moment *at)
{
	applier_applied(&l->applier, chunk, status != 0 || result == NULL ? status : result->status, result);
	give_back(l, at);
}

int64_t plans_due(const struct leader *l, const struct moment *at)
{
	if (l->held != NULL) {
		return l->busy_ns;
	}
	return applier_ready(&l->applier) && l->ops.n < LEADER_OPS ? at->mono_ns : PART_NEVER;
}

void plans_stop(struct leader *l)
{
	struct plan *plan;

	free(l->held);
	l->held = NULL;
	applier_reset(&l->applier);
	while ((plan = applier_done(&l->applier)) != NULL) {
		l->effects->plan_done(l->ctx, plan);
	}
}
