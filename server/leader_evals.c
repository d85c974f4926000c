#include "server/leader_parts.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/sched_memory.h"

enum { ALL_TYPES = (1 << JOB_TYPE_COUNT) - 1 };

/* ---- from the state to the broker ---- */

/* One that is with a scheduler is looked at when it comes back. */
static void put_blocked(struct leader *l, const struct eval_row *row)
{
	if (!broker_has(&l->broker, &row->id) && blocked_put(&l->blocked, row, &l->mem) != 0) {
		log_error("leader", "a blocked evaluation of job \"%s\" cannot be decoded", eval_row_job(row));
	}
	arena_close(&l->mem);
}

void evals_put(struct leader *l, const struct eval_row *row, const struct moment *at)
{
	if (row->status == EVAL_STATUS_PENDING) {
		blocked_remove(&l->blocked, &row->id);
		broker_put(&l->broker, row, at->wall_ns);
	} else if (row->status == EVAL_STATUS_BLOCKED) {
		put_blocked(l, row);
	}
}

void evals_changed(struct leader *l, const struct eval_row *old, const struct eval_row *now, const struct moment *at)
{
	if (now != NULL && !eval_row_terminal(now)) {
		evals_put(l, now, at);
		return;
	}
	broker_remove(&l->broker, now != NULL ? &now->id : &old->id);
	blocked_remove(&l->blocked, now != NULL ? &now->id : &old->id);
}

/* ---- what blocked ones wait for ---- */

static bool frees_something(const struct alloc_row *old, const struct alloc_row *now)
{
	if (old == NULL || alloc_row_terminal(old)) {
		return false;
	}
	return now == NULL || alloc_row_terminal(now) || now->cpu_mhz < old->cpu_mhz ||
	       now->memory_mb < old->memory_mb || now->disk_mb < old->disk_mb;
}

/* A node that is not ready makes itself heard when it becomes so. */
void evals_alloc_changed(struct leader *l, const struct view *v, const struct alloc_row *old,
			 const struct alloc_row *now)
{
	const struct node_row *node;

	if (frees_something(old, now)) {
		node = state_node(v, &old->node_id);
		if (node != NULL && node_row_ready(node)) {
			blocked_freed(&l->blocked, node->class_hash, &node->id,
				      now != NULL ? now->modify_index : state_index(v));
		}
	}
}

void evals_node_changed(struct leader *l, const struct node_row *old, const struct node_row *now)
{
	if (now != NULL && node_row_ready(now) && (old == NULL || !node_row_ready(old) || old->base != now->base)) {
		blocked_freed(&l->blocked, now->class_hash, &now->id, now->modify_index);
	}
}

/* ---- from the broker to workers ---- */

static void release(struct leader *l, const struct view *v, const struct moment *at)
{
	unsigned n = LEADER_RELEASES;
	struct uuid id;

	while (n-- > 0 && l->broker.count[BROKER_READY] < LEADER_RELEASED_READY && blocked_take(&l->blocked, &id)) {
		const struct eval_row *row = state_eval(v, &id);

		if (row != NULL && !eval_row_terminal(row)) {
			broker_put(&l->broker, row, at->wall_ns);
		}
	}
}

/* Plans that wait for their turn are memory, and know less of each other than those that are made later: no more are
 * asked for while there are enough. Nor are many decided at a time: how large their plans are is not known before. */
static bool is_congested(const struct leader *l)
{
	unsigned deciding = l->slots / 16 > LEADER_DECIDING ? l->slots / 16 : LEADER_DECIDING;

	if (l->applier.n_unsent >= LEADER_BACKLOG / 4) {
		deciding = 1; /* Those that decide at the same time choose the same nodes. */
	}
	return l->applier.n_unsent >= LEADER_BACKLOG ||
	       l->broker.count[BROKER_UNACKED] >= l->applier.n_plans + deciding;
}

static bool can_dispatch(const struct leader *l)
{
	return l->broker.count[BROKER_UNACKED] < l->slots && l->broker.count[BROKER_READY] > 0 && !l->broker.paused &&
	       !is_congested(l);
}

static void dispatch(struct leader *l, const struct moment *at)
{
	struct broker_delivery delivery;

	while (can_dispatch(l) && broker_take(&l->broker, ALL_TYPES, at, &delivery)) {
		l->effects->dispatch(l->ctx, &delivery);
	}
}

void evals_tick(struct leader *l, const struct view *v, const struct moment *at)
{
	broker_tick(&l->broker, at, LEADER_TIMERS);
	blocked_pass(&l->blocked, LEADER_PASS);
	release(l, v, at);
	dispatch(l, at);
}

static bool has_work(const struct leader *l)
{
	return can_dispatch(l) || blocked_is_busy(&l->blocked) ||
	       (l->blocked.n_released > 0 && l->broker.count[BROKER_READY] < LEADER_RELEASED_READY);
}

int64_t evals_due(const struct leader *l, const struct moment *at)
{
	return has_work(l) ? at->mono_ns : broker_due(&l->broker, at);
}

/* ---- back from workers ---- */

/* What a scheduler calls done must not be waiting in the state. */
static bool is_unfinished(const struct eval_row *row, const struct moment *at)
{
	return row != NULL && row->status == EVAL_STATUS_PENDING && row->wait_until_ns <= at->wall_ns;
}

void leader_eval_done(struct leader *l, const struct view *v, const struct uuid *eval, uint64_t token, int status,
		      const struct moment *at)
{
	const struct eval_row *row = state_eval(v, eval);

	if (!l->leading || !broker_owns(&l->broker, eval, token)) {
		return;
	}
	if (status != 0 || is_unfinished(row, at)) {
		log_debug("leader", "an evaluation is to be delivered again: %s", error_text(status));
		broker_nack(&l->broker, eval, token, at);
	} else {
		broker_ack(&l->broker, eval, token);
		if (row != NULL) {
			evals_put(l, row, at);
		}
	}
	leader_wake(l, at);
}

/* ---- the reaper ---- */

/* Some minutes later, and not all at once. */
static int64_t followup_time(const struct turn *turn)
{
	return turn->at->wall_ns + NS_PER_MIN + (int64_t)(turn->at->random % (uint64_t)(5 * NS_PER_MIN));
}

static void make_followup(struct turn *turn, const struct evaluation *failed, struct evaluation *out)
{
	object_init(&evaluation_type, out);
	out->id = turn_new_id(turn);
	out->namespace_ = failed->namespace_;
	out->job_id = failed->job_id;
	out->job_modify_index = failed->job_modify_index;
	out->priority = failed->priority;
	out->type = failed->type;
	out->triggered_by = eval_trigger_text(EVAL_TRIGGER_FAILED_FOLLOW_UP);
	out->status = eval_status_text(EVAL_STATUS_PENDING);
	out->wait_until = followup_time(turn);
	out->previous_eval = failed->id;
}

/* The evaluation as it is in the state, to be changed; false: it is over. */
static bool get_open(struct turn *turn, const struct uuid *id, struct evaluation *out)
{
	const struct eval_row *row = state_eval(turn->v, id);

	return row != NULL && !eval_row_terminal(row) && eval_row_get(row, out, turn->mem) == 0;
}

static const struct uuid nobody;

/* Give one up after too many deliveries: its job is looked at again later. */
static enum part_step reap_failed(struct reaper *r, const struct broker_item *item, struct turn *turn)
{
	const struct uuid id = item->id;
	struct evaluation evals[2];
	struct eval_updates p;
	char why[64];

	if (!get_open(turn, &id, &evals[0])) {
		broker_remove(r->broker, &id);
		return STEP_MORE;
	}
	make_followup(turn, &evals[0], &evals[1]);
	snprintf(why, sizeof(why), "evaluation reached delivery limit (%d)", BROKER_DELIVERIES_MAX);
	evals[0].status = eval_status_text(EVAL_STATUS_FAILED);
	evals[0].status_description = why;
	evals[0].next_eval = evals[1].id;
	object_init(&eval_updates_type, &p);
	p.evals.at = evals;
	p.evals.n = 2;
	log_warn("leader", "an evaluation of job \"%s\" has failed %d times", evals[0].job_id, BROKER_DELIVERIES_MAX);
	return turn_command(turn, COMMAND_EVALS, &p, &nobody);
}

static void cancel(struct turn *turn, struct eval_updates *p, const struct uuid *id, const char *why)
{
	struct evaluation *e = &p->evals.at[p->evals.n];

	if (get_open(turn, id, e)) {
		e->status = eval_status_text(EVAL_STATUS_CANCELED);
		e->status_description = why;
		p->evals.n++;
	}
}

static enum part_step reap_canceled(struct reaper *r, struct turn *turn)
{
	const struct blocked_eval *duplicate = NULL;
	const struct broker_item *item = NULL;
	struct eval_updates p;
	unsigned n = PART_COMMAND_ROWS / 2;

	object_init(&eval_updates_type, &p);
	p.evals.at = turn_need(turn, n, sizeof(p.evals.at[0]));
	while (p.evals.n < n && (item = broker_cancel(r->broker, item)) != NULL) {
		cancel(turn, &p, &item->id, "canceled after more recent eval was processed");
	}
	while (p.evals.n < n && (duplicate = blocked_duplicate(r->blocked, duplicate)) != NULL) {
		cancel(turn, &p, &duplicate->id,
		       sched_got(arena_printf(turn->mem, "existing blocked evaluation exists for job \"%s\"",
					      duplicate->key + strlen(duplicate->key) + 1)));
	}
	return p.evals.n > 0 ? turn_command(turn, COMMAND_EVALS, &p, &nobody) : STEP_IDLE;
}

void reaper_init(struct reaper *r, struct broker *broker, struct blocked *blocked)
{
	*r = (struct reaper){.broker = broker, .blocked = blocked};
}

static bool has_wishes(const struct reaper *r)
{
	return broker_failed(r->broker) != NULL || broker_cancel(r->broker, NULL) != NULL ||
	       blocked_duplicate(r->blocked, NULL) != NULL;
}

enum part_step reaper_step(struct reaper *r, struct turn *turn)
{
	const struct broker_item *failed = broker_failed(r->broker);
	enum part_step step;

	if (r->pending || r->next_ns > turn->at->mono_ns || !has_wishes(r)) {
		return STEP_IDLE;
	}
	step = failed != NULL ? reap_failed(r, failed, turn) : reap_canceled(r, turn);
	r->pending = step == STEP_COMMAND;
	if (step == STEP_IDLE) { /* All are over, which will be heard of. */
		r->next_ns = turn->at->mono_ns + PART_RETRY_NS;
	}
	return step;
}

void reaper_done(struct reaper *r, const struct uuid *ref, int status, const struct moment *at)
{
	(void)ref;
	r->pending = false;
	r->next_ns = status == 0 ? at->mono_ns : at->mono_ns + PART_RETRY_NS;
}

int64_t reaper_due(const struct reaper *r, const struct moment *at)
{
	if (r->pending || !has_wishes(r)) {
		return PART_NEVER;
	}
	return r->next_ns > at->mono_ns ? r->next_ns : at->mono_ns;
}
