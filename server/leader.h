/**
 * What a server does when it leads: the one place where the cluster's work is kept going.
 *
 *       changes of the state                                 commands (effects->propose)
 *     ---------------------->  +------------------------+  ------------------------------>  the log
 *                              | broker      blocked    |
 *       time (leader_tick)     | applier     heartbeat  |    evaluations (effects->dispatch)
 *     ---------------------->  | periodic    deploy     |  ------------------------------>  workers
 *                              | drain       gc         |
 *                              | rootkeys locks expiry  |
 *       heartbeats, plans      +------------------------+    plans with their outcome (effects->plan_done)
 *     ---------------------->                              ------------------------------>  workers
 *
 * It runs on the core loop and calls nothing but its effects, which only take note: none of them calls back into the
 * leader before it has returned. Every function here does a bounded slice of work, about a millisecond at the most;
 * what is left is done in the next leader_tick(), which the leader asks for by effects->set_timer().
 *
 * Everything here follows from the state. leader_start() begins to fill the parts anew, in slices, while changes that
 * are applied meanwhile come in as well; so any server can take over at any time, and no evaluation is lost.
 *
 * Evaluations. Up to `slots` are with workers at the same time. A worker gets one with a token, runs it
 * (server/sched.h), submits its plans by leader_submit(), gets each back by effects->plan_done(), and ends with
 * leader_eval_done(). A plan whose token is no longer good (the leader has changed, or the worker took too long) comes
 * back with ERR_NOTLEADER or ERR_CONFLICT, and nothing of it was done.
 *
 *     effects->dispatch(evaluation, token) -> leader_submit(plan, token) -> effects->plan_done(plan) -> ...
 *                                          -> leader_eval_done(evaluation, token, status)
 */
#ifndef SERVER_LEADER_H_
#define SERVER_LEADER_H_

#include "server/blocked.h"
#include "server/broker.h"
#include "server/deploy.h"
#include "server/drain.h"
#include "server/expiry.h"
#include "server/gc.h"
#include "server/heartbeat.h"
#include "server/locks.h"
#include "server/metrics.h"
#include "server/part.h"
#include "server/periodic.h"
#include "server/plan_apply.h"
#include "server/rootkeys.h"

struct leader_effects {
	/* Put a command (without its stamp; it is copied) into the log. 0: leader_proposed() will be told once what
	 * became of it, after the changes that it made. ERR_BUSY: the queue is full, nothing was done; other errors
	 * likewise. */
	int (*propose)(void *ctx, const void *command, size_t len, uint64_t token);

	/* Give an evaluation to a worker. The leader keeps count of its slots. */
	void (*dispatch)(void *ctx, const struct broker_delivery *delivery);

	/* Give a plan back to its worker, with a view that has all of it: the newest. */
	void (*plan_done)(void *ctx, struct plan *plan);

	/* Call leader_tick() at this monotonic time, instead of any time that was set before. A time that has passed:
	 * as soon as everything else on the loop had its turn. */
	void (*set_timer)(void *ctx, int64_t mono_ns);

	/* See struct zones. */
	int64_t (*zone_offset_s)(void *ctx, const char *zone, int64_t unix_s);
};

/* 0 is the default everywhere. */
struct leader_config {
	unsigned slots; /* Evaluations with workers at the same time: 8. */
	struct broker_config broker;
	struct heartbeat_config heartbeat;
	struct gc_config gc;
	struct rootkeys_config rootkeys;
	struct expiry_config expiry;
};

/* Parts that have steps: see server/part.h. */
#define LEADER_PARTS(X) X(heartbeat) X(reaper) X(deploy) X(drain) X(periodic) X(gc) X(rootkeys) X(locks) X(expiry)

enum leader_part {
#define X(name) PART_##name,
	LEADER_PARTS(X)
#undef X
	N_PARTS
};

/* The tables that are loaded when leadership begins, in this order. */
#define LEADER_LOADS(X) X(nodes) X(evals) X(deployments) X(jobs)

enum leader_load {
#define X(table) LOAD_##table,
	LEADER_LOADS(X)
#undef X
	LOAD_DONE
};

/* What the broker wants of the state: evaluations that are to be cancelled, or have failed, become so. */
struct reaper {
	struct broker *broker;
	struct blocked *blocked;
	bool pending;
	int64_t next_ns; /* Monotonic: not before this, after a failure. */
};

struct leader_op;

struct leader {
	const struct leader_effects *effects;
	void *ctx;
	unsigned slots;
	bool leading;
	uint64_t term;
	struct id_source ids;
	struct zones zones;

	struct broker broker;
	struct blocked blocked;
	struct plan_applier applier;
	struct reaper reaper;
	struct heartbeat heartbeat;
	struct periodic periodic;
	struct deploy deploy;
	struct drain drain;
	struct gc gc;
	struct rootkeys rootkeys;
	struct locks locks;
	struct expiry expiry;

	enum leader_load load;
	struct row_mark load_at; /* Where loading goes on. */
	struct hash_table ops;   /* Commands under way, by their token. */
	uint64_t tokens;         /* Of commands. */
	struct leader_op *held;  /* A chunk of a plan that found the queue full. */
	int64_t busy_ns;         /* Monotonic: the queue was full, and is not tried again before this. */
	int64_t timer_ns;        /* What was asked for last. */
	unsigned turn;           /* Which part steps first. */
	struct arena mem;        /* Of a step, */
	struct buf command;      /* and what it asks for. */
};

void leader_init(struct leader *l, const struct leader_config *config, const struct leader_effects *effects, void *ctx);
void leader_close(struct leader *l);

/* Leadership begins: all entries before it have been applied (a barrier). `v` is the newest view; `seed` is random. */
void leader_start(struct leader *l, const struct view *v, const struct moment *at, const struct uuid *seed,
		  uint64_t term);

/* It ends, or the program does. Plans come back with ERR_NOTLEADER; commands under way are not asked for any more. */
void leader_stop(struct leader *l);

/* An entry was applied: from fsm's callback, whether leading or not. `v` is the newest view. */
void leader_changed(struct leader *l, const struct view *v, const struct change *changes, size_t n,
		    const struct moment *at);

/* Do what is due. `v` is the newest view. */
void leader_tick(struct leader *l, const struct view *v, const struct moment *at);

/* What became of a command: status 0 and the result of its apply, or why it was not applied, or is not known to have
 * been, with a result of NULL. Tokens of an earlier leadership are passed over. */
void leader_proposed(struct leader *l, uint64_t token, int status, const struct apply_result *result,
		     const struct moment *at);

/* A client says that its node is alive and has this status (enum node_status): how long it may be silent from now on.
 * ERR_NOTFOUND: it must register; ERR_NOTLEADER. After a register this is how the node gets its first TTL. */
int leader_heartbeat(struct leader *l, const struct view *v, const struct uuid *node, int status,
		     const struct moment *at, int64_t *ttl_ns);

/* A worker's plan, which is of the evaluation that it had with this token. It comes back by effects->plan_done() in any
 * case, maybe before this returns. */
void leader_submit(struct leader *l, struct plan *plan, uint64_t token, const struct moment *at);

/* A worker is done with an evaluation. A status that is not 0: it must be delivered again. */
void leader_eval_done(struct leader *l, const struct view *v, const struct uuid *eval, uint64_t token, int status,
		      const struct moment *at);

/* The command that launches a periodic job now, for whom asks to propose it: see periodic_force(). ERR_NOTLEADER. */
int leader_force_launch(struct leader *l, const struct view *v, const char *ns, const char *id, const struct moment *at,
			struct buf *command, const char **child, const char **text, struct arena *mem);

/* Begin to collect all garbage. ERR_NOTLEADER. */
int leader_gc(struct leader *l, const struct moment *at);

#endif /* SERVER_LEADER_H_ */
