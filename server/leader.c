#include "server/leader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/leader_parts.h"
#include "server/sched_memory.h"

enum { SLOTS_DEFAULT = 8 };

#define TICK_NS NS_PER_S  /* The longest time between two ticks. */
#define STALL_NS NS_PER_S /* A tick that comes so late tells that the loop stood still. */

/* ---- life ---- */

void leader_init(struct leader *l, const struct leader_config *config, const struct leader_effects *effects, void *ctx)
{
	static const struct leader_config defaults;
	const struct leader_config *c = config != NULL ? config : &defaults;

	*l = (struct leader){.effects = effects, .ctx = ctx, .slots = c->slots > 0 ? c->slots : SLOTS_DEFAULT};
	l->zones = (struct zones){effects->zone_offset_s, ctx};
	broker_init(&l->broker, &c->broker);
	blocked_init(&l->blocked);
	applier_init(&l->applier);
	reaper_init(&l->reaper, &l->broker, &l->blocked);
	heartbeat_init(&l->heartbeat, &c->heartbeat);
	periodic_init(&l->periodic);
	deploy_init(&l->deploy);
	drain_init(&l->drain);
	gc_init(&l->gc, &c->gc);
	rootkeys_init(&l->rootkeys, &c->rootkeys);
	locks_init(&l->locks);
	expiry_init(&l->expiry, &c->expiry);
}

static void reset(struct leader *l, size_t nodes, const struct moment *at)
{
	broker_reset(&l->broker);
	blocked_reset(&l->blocked);
	reaper_init(&l->reaper, &l->broker, &l->blocked);
	heartbeat_reset(&l->heartbeat, nodes);
	periodic_reset(&l->periodic);
	deploy_reset(&l->deploy);
	drain_reset(&l->drain);
	gc_reset(&l->gc, at);
	rootkeys_reset(&l->rootkeys, at);
	locks_reset(&l->locks, at);
	expiry_reset(&l->expiry, at);
}

/* No other leader has given out the same, nor this one, should it begin anew in the same term. */
static uint64_t first_token(const struct leader *l, uint64_t term)
{
	uint64_t last = l->tokens > l->broker.tokens ? l->tokens : l->broker.tokens;

	return last > term << 32 ? last : term << 32;
}

void leader_start(struct leader *l, const struct view *v, const struct moment *at, const struct uuid *seed,
		  uint64_t term)
{
	uint64_t token = first_token(l, term);

	assert(!l->leading && l->ops.n == 0);
	log_info("leader", "leadership begins, in term %llu", (unsigned long long)term);
	reset(l, view_count(v, TABLE_NODES), at);
	l->leading = true;
	l->term = term;
	l->tokens = l->broker.tokens = token;
	l->ids = (struct id_source){*seed, 0};
	l->busy_ns = at->mono_ns;
	load_begin(l, v);
	leader_wake(l, at);
}

void leader_stop(struct leader *l)
{
	const struct moment never = {0, 0, 0};
	struct hash_link *op;

	if (!l->leading) {
		return;
	}
	log_info("leader", "leadership ends, in term %llu", (unsigned long long)l->term);
	l->leading = false;
	while ((op = hash_pop(&l->ops)) != NULL) {
		free(CONTAINER_OF(op, struct leader_op, by_token));
	}
	hash_close(&l->ops);
	plans_stop(l);
	reset(l, 0, &never);
}

void leader_close(struct leader *l)
{
	leader_stop(l);
	broker_close(&l->broker);
	blocked_close(&l->blocked);
	applier_close(&l->applier);
	heartbeat_close(&l->heartbeat);
	periodic_close(&l->periodic);
	deploy_close(&l->deploy);
	drain_close(&l->drain);
	arena_close(&l->mem);
	buf_close(&l->command);
}

/* ---- turns ---- */

static void set_timer(struct leader *l, int64_t mono_ns)
{
	l->timer_ns = mono_ns;
	l->effects->set_timer(l->ctx, mono_ns);
}

void leader_wake(struct leader *l, const struct moment *at)
{
	set_timer(l, at->mono_ns);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool may_propose(const struct leader *l, const struct moment *at)
{
	return l->busy_ns <= at->mono_ns && l->ops.n < LEADER_OPS;
}

/* When a part has to step next; with a full queue it waits. */
static int64_t parts_due(const struct leader *l, const struct moment *at)
{
	int64_t due = PART_NEVER;

#define X(name) due = earlier(due, name##_due(&l->name, at));
	LEADER_PARTS(X)
#undef X
	if (l->ops.n >= LEADER_OPS) {
		return PART_NEVER; /* leader_proposed() wakes it. */
	}
	return due < l->busy_ns ? l->busy_ns : due;
}

static int64_t next_turn(const struct leader *l, const struct moment *at)
{
	int64_t due = earlier(earlier(parts_due(l, at), evals_due(l, at)), plans_due(l, at));

	return l->load != LOAD_DONE ? at->mono_ns : earlier(due, at->mono_ns + TICK_NS);
}

/* ---- commands ---- */

bool leader_propose(struct leader *l, struct leader_op *op, const void *command, size_t len, const struct moment *at)
{
	uint64_t token = ++l->tokens;

	if (l->effects->propose(l->ctx, command, len, token) != 0) {
		l->busy_ns = at->mono_ns + LEADER_BUSY_NS;
		return false;
	}
	hash_add(&l->ops, &op->by_token, token);
	return true;
}

#define X(name)                                                                                                        \
	static enum part_step step_##name(struct leader *l, struct turn *turn)                                         \
	{                                                                                                              \
		return name##_step(&l->name, turn);                                                                    \
	}
LEADER_PARTS(X)
#undef X

static void tell_gc(struct leader *l, const struct uuid *ref, int status, const struct apply_result *result,
		    const struct moment *at)
{
	(void)ref;
	gc_done(&l->gc, status, result, at);
}

#define LEADER_PLAIN_PARTS(X) X(heartbeat) X(reaper) X(deploy) X(drain) X(periodic) X(rootkeys) X(locks) X(expiry)
#define X(name)                                                                                                        \
	static void tell_##name(struct leader *l, const struct uuid *ref, int status,                                  \
				const struct apply_result *result, const struct moment *at)                            \
	{                                                                                                              \
		(void)result;                                                                                          \
		name##_done(&l->name, ref, status, at);                                                                \
	}
LEADER_PLAIN_PARTS(X)
#undef X

static const struct {
	enum part_step (*step)(struct leader *l, struct turn *turn);
	void (*tell)(struct leader *l, const struct uuid *ref, int status, const struct apply_result *result,
		     const struct moment *at);
} parts[] = {
#define X(name) [PART_##name] = {step_##name, tell_##name},
	LEADER_PARTS(X)
#undef X
};

static void propose_for(struct leader *l, enum leader_part part, const struct turn *turn)
{
	struct leader_op *op = sched_calloc(1, sizeof(*op));

	op->part = part;
	op->ref = turn->ref;
	if (!leader_propose(l, op, turn->command.at, turn->command.len, turn->at)) {
		parts[part].tell(l, &turn->ref, ERR_BUSY, NULL, turn->at);
		free(op);
	}
}

static enum part_step step_part(struct leader *l, enum leader_part part, const struct view *v, const struct moment *at)
{
	struct turn turn = {
		.v = v, .at = at, .ids = &l->ids, .zones = &l->zones, .mem = &l->mem, .command = l->command};
	enum part_step step = parts[part].step(l, &turn);

	if (step == STEP_COMMAND) {
		propose_for(l, part, &turn);
	}
	l->command = turn.command;
	arena_close(&l->mem);
	return step;
}

/* What a step counts: one that had to be cut has looked at many rows. */
static const unsigned costs[] = {[STEP_IDLE] = 0, [STEP_COMMAND] = 1, [STEP_MORE] = LEADER_STEPS / 2};

/* A few steps, of the parts in turn, so that none holds up another. */
static void step_parts(struct leader *l, const struct view *v, const struct moment *at)
{
	unsigned spent = 0;
	unsigned idle = 0;

	while (spent < LEADER_STEPS && idle < N_PARTS && may_propose(l, at)) {
		enum part_step step = step_part(l, l->turn++ % N_PARTS, v, at);

		spent += costs[step];
		idle = step == STEP_IDLE ? idle + 1 : 0;
	}
}

void leader_proposed(struct leader *l, uint64_t token, int status, const struct apply_result *result,
		     const struct moment *at)
{
	struct hash_link *link = hash_first(&l->ops, token);
	struct leader_op *op;

	if (link == NULL) {
		return;
	}
	op = CONTAINER_OF(link, struct leader_op, by_token);
	hash_remove(&l->ops, link);
	if (op->is_plan) {
		plans_proposed(l, &op->chunk, status, result, at);
	} else {
		parts[op->part].tell(l, &op->ref, status != 0 || result == NULL ? status : result->status, result, at);
	}
	free(op);
	leader_wake(l, at);
}

/* ---- what happens ---- */

static void job_changed(struct leader *l, const struct view *v, const struct job_row *row)
{
	if ((row->flags & JOB_PERIODIC) != 0) {
		periodic_changed(&l->periodic, job_row_ns(row), job_row_id(row),
				 state_job(v, job_row_ns(row), job_row_id(row)));
	}
}

static void alloc_changed(struct leader *l, const struct view *v, const struct alloc_row *old,
			  const struct alloc_row *now, const struct moment *at)
{
	evals_alloc_changed(l, v, old, now);
	deploy_alloc_changed(&l->deploy, old, now, at);
	drain_alloc_changed(&l->drain, old, now, at);
}

static void node_changed(struct leader *l, const struct node_row *old, const struct node_row *now,
			 const struct moment *at)
{
	heartbeat_changed(&l->heartbeat, old, now, at);
	drain_changed(&l->drain, old, now, at);
	evals_node_changed(l, old, now);
}

#define ROWS(type, change) (const struct type *)(change)->old, (const struct type *)(change)->now

static void row_changed(struct leader *l, const struct view *v, const struct change *c, const struct moment *at)
{
	switch (c->table) {
	case TABLE_EVALS:
		evals_changed(l, ROWS(eval_row, c), at);
		break;
	case TABLE_ALLOCS:
		alloc_changed(l, v, ROWS(alloc_row, c), at);
		break;
	case TABLE_NODES:
		node_changed(l, ROWS(node_row, c), at);
		break;
	case TABLE_DEPLOYMENTS:
		deploy_changed(&l->deploy, ROWS(deployment_row, c), at);
		break;
	case TABLE_JOBS:
		job_changed(l, v, (const struct job_row *)(c->now != NULL ? c->now : c->old));
		break;
	case TABLE_CONFIGS:
	case TABLE_NODE_POOLS:
		load_config(l, v);
		blocked_all(&l->blocked, state_index(v));
		break;
	case TABLE_ROOT_KEYS:
		rootkeys_changed(&l->rootkeys, at);
		break;
	case TABLE_VARIABLE_HOLDS:
		locks_changed(&l->locks, at);
		break;
	case TABLE_ACL_TOKENS:
	case TABLE_ACL_ONCE:
		expiry_changed(&l->expiry, at);
		break;
	default:
		break;
	}
}

void leader_changed(struct leader *l, const struct view *v, const struct change *changes, size_t n,
		    const struct moment *at)
{
	size_t i;

	if (!l->leading) {
		return;
	}
	applier_changed(&l->applier, v, changes, n);
	for (i = 0; i < n; i++) {
		row_changed(l, v, &changes[i], at);
	}
	leader_wake(l, at);
}

/* Nobody could be heard of while the loop stood still. */
static void notice_stall(struct leader *l, const struct moment *at)
{
	int64_t late = at->mono_ns - l->timer_ns;

	if (late >= STALL_NS) {
		log_warn("leader", "the loop has stood still for %lld ms", (long long)(late / NS_PER_MS));
		heartbeat_forgive(&l->heartbeat, late);
	}
}

void leader_tick(struct leader *l, const struct view *v, const struct moment *at)
{
	if (!l->leading) {
		return;
	}
	notice_stall(l, at);
	load_step(l, v, at);
	evals_tick(l, v, at);
	plans_tick(l, v, at);
	step_parts(l, v, at);
	set_timer(l, next_turn(l, at));
}

/* ---- what others ask for ---- */

int leader_heartbeat(struct leader *l, const struct view *v, const struct uuid *node, int status,
		     const struct moment *at, int64_t *ttl_ns)
{
	int rv;

	if (!l->leading) {
		return ERR_NOTLEADER;
	}
	rv = heartbeat_beat(&l->heartbeat, state_node(v, node), status, at, ttl_ns);
	if (heartbeat_due(&l->heartbeat, at) <= at->mono_ns) {
		leader_wake(l, at);
	}
	return rv;
}

int leader_force_launch(struct leader *l, const struct view *v, const char *ns, const char *id, const struct moment *at,
			struct buf *command, const char **child, const char **text, struct arena *mem)
{
	if (!l->leading) {
		*text = error_text(ERR_NOTLEADER);
		return ERR_NOTLEADER;
	}
	return periodic_force(&l->periodic, v, ns, id, at->wall_ns, command, child, text, mem);
}

int leader_gc(struct leader *l, const struct moment *at)
{
	if (!l->leading) {
		return ERR_NOTLEADER;
	}
	gc_force(&l->gc);
	expiry_force(&l->expiry, at);
	leader_wake(l, at);
	return 0;
}
