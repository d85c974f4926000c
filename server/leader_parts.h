/** What the files of the leader share: leader.c (life, turns, commands), leader_load.c, leader_evals.c, leader_plans.c.
 */
#ifndef SERVER_LEADER_PARTS_H_
#define SERVER_LEADER_PARTS_H_

#include "server/leader.h"

enum {
	LEADER_LOAD_ROWS = PART_ROWS / 2, /* In one turn. */
	LEADER_STEPS = 8,                 /* Of all parts together. */
	LEADER_CHUNKS = 1,                /* Of plans. */
	LEADER_TIMERS = 256,              /* That run out in the broker. */
	LEADER_PASS = 2000,               /* Blocked evaluations that are looked at, */
	LEADER_RELEASES = 256,            /* and released ones that go to the broker, */
	LEADER_RELEASED_READY = 1024,     /* as long as it has fewer than these. */
	LEADER_OPS = 256,                 /* Commands under way. */
	LEADER_BACKLOG = 16,              /* Chunks of plans that wait to be checked; then no evaluation goes out. */
	LEADER_DECIDING = 4,              /* Evaluations whose plans are not there yet; or a sixteenth of the slots. */
};

#define LEADER_BUSY_NS (20 * NS_PER_MS) /* Until a full queue is tried again. */

/* A command under way. */
struct leader_op {
	struct hash_link by_token;
	bool is_plan;
	enum leader_part part; /* Whose it is; what it is about: */
	struct uuid ref;
	struct plan_step chunk; /* Or a chunk of a plan. */
};

/* ---- leader.c ---- */

/* Propose; false: the queue is full or leadership is being lost, and the op is still the caller's. */
bool leader_propose(struct leader *l, struct leader_op *op, const void *command, size_t len, const struct moment *at);

/* Ask for a turn as soon as possible. */
void leader_wake(struct leader *l, const struct moment *at);

/* ---- leader_load.c ---- */

void load_begin(struct leader *l, const struct view *v);

/* A slice of what is to be loaded. */
void load_step(struct leader *l, const struct view *v, const struct moment *at);

/* The schedulers' configuration may be another. */
void load_config(struct leader *l, const struct view *v);

/* ---- leader_evals.c ---- */

/* An evaluation as it is in the state now. */
void evals_put(struct leader *l, const struct eval_row *row, const struct moment *at);
void evals_changed(struct leader *l, const struct eval_row *old, const struct eval_row *now, const struct moment *at);

/* Something may have become free for blocked ones. */
void evals_alloc_changed(struct leader *l, const struct view *v, const struct alloc_row *old,
			 const struct alloc_row *now);
void evals_node_changed(struct leader *l, const struct node_row *old, const struct node_row *now);

/* A slice of what is due. */
void evals_tick(struct leader *l, const struct view *v, const struct moment *at);
int64_t evals_due(const struct leader *l, const struct moment *at);

void reaper_init(struct reaper *r, struct broker *broker, struct blocked *blocked);
enum part_step reaper_step(struct reaper *r, struct turn *turn);
void reaper_done(struct reaper *r, const struct uuid *ref, int status, const struct moment *at);
int64_t reaper_due(const struct reaper *r, const struct moment *at);

/* ---- leader_plans.c ---- */

void plans_tick(struct leader *l, const struct view *v, const struct moment *at);
void plans_proposed(struct leader *l, const struct plan_step *chunk, int status, const struct apply_result *result,
		    const struct moment *at);
int64_t plans_due(const struct leader *l, const struct moment *at);

/* Leadership ends: all of them go back. */
void plans_stop(struct leader *l);

#endif /* SERVER_LEADER_PARTS_H_ */
