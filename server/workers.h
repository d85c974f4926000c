/**
 * The threads that schedule: each has a scheduler with a picture of all nodes, and a few evaluations under way.
 *
 *     core thread                                            worker
 *     dispatch: evaluation, view, news          -- mail -->  sched_begin()
 *     leader_submit()                          <-- mail --   a plan
 *     plan_done: its outcome, new view, news    -- mail -->  sched_resume()
 *     leader_eval_done()                       <-- mail --   done
 *
 * How many are under way is the leader's to bound (its slots). Dry runs of jobs go the same way, at most
 * WORKERS_DRY_RUNS at a time. All functions are the core thread's.
 */
#ifndef SERVER_WORKERS_H_
#define SERVER_WORKERS_H_

#include "server/shell.h"

enum {
	WORKERS_MAX = 64,
	WORKERS_AUTO_MAX = 8,  /* When nothing is configured. */
	WORKERS_EVALS = 32,    /* Under way with each, mostly in the log: the leader's slots. */
	WORKERS_DRY_RUNS = 64, /* Beyond them: ERR_BUSY. */
};

/* How many threads that configuration means. */
unsigned workers_count(const struct server_config *config);

/* Start the threads. ERR_NOMEM with a text in `why`; nothing is left then. */
int workers_new(struct server *s, struct workers **out, char *why, size_t why_size);

void workers_dispatch(struct workers *w, const struct broker_delivery *delivery);
void workers_plan_done(struct workers *w, struct plan *plan);

/* Dry-run p->job, with the newest view. done_cb follows on the core thread. ERR_BUSY: it does not. */
int workers_dry_run(struct workers *w, struct core_plan *p, void (*done_cb)(struct core_plan *p, int status));

/* An entry was applied; the whole state was replaced. */
void workers_changed(struct workers *w, const struct change *changes, size_t n);
void workers_replaced(struct workers *w);

/* The server ends: what is under way is given up as soon as the worker looks up. core_check_end() follows. */
void workers_give_up(struct workers *w);
bool workers_idle(const struct workers *w);

/* Numbers. */
struct workers_stats {
	unsigned threads;
	unsigned evals, dry_runs; /* Under way. */
	uint64_t evals_done;
	uint64_t busy_ns; /* Of all threads, at schedulers' work. */
};
void workers_get_stats(const struct workers *w, struct workers_stats *stats);

/* End the threads; nothing is under way. NULL is harmless. */
void workers_free(struct workers *w);

#endif /* SERVER_WORKERS_H_ */
