/**
 * A whole cluster in one process, for tests of schedulers: state, plan applier, one scheduler, simulated time.
 *
 * States are built by commands through the state machine; evaluations are run to their end by bed_run(), which plays
 * broker, worker and core loop. After each of them bed_check() looks at what must always hold.
 */
#ifndef TEST_UNIT_SERVER_SCHED_BED_H_
#define TEST_UNIT_SERVER_SCHED_BED_H_

#include "raft/fsm.h"
#include "server/plan_apply.h"
#include "server/sched.h"

#define SECOND INT64_C(1000000000)

struct bed {
	struct state state;
	struct fsm fsm;
	const struct view *v; /* The newest. */
	struct plan_applier applier;
	struct sched sched;
	struct sched second; /* Another worker, when there are `two`: neither sees the other's claims. */
	bool two;
	struct nodes_news news;
	struct nodes_news second_news;
	int64_t now;
	uint64_t ids;
	uint64_t seed;
	struct arena mem;
	struct batch batch;
	struct buf command;
	struct apply_result result;
	unsigned evals_run;
	unsigned refused;            /* Plans of which something was. */
	bool quick;                  /* Do not look at everything after each evaluation; */
	bool each_plan;              /* but at what plans could do wrong. */
	int reject;                  /* Reject the command of that many plans: as if leadership had been lost. */
	struct under_way *under_way; /* Runs, until a test fails. */
	unsigned n_under_way;
	void (*before_apply)(struct bed *b); /* Between a plan's check and its application; once. */
};

void bed_open(struct bed *b);
void bed_close(struct bed *b);

/* Single quotes stand for double ones. */
const char *bed_json(struct bed *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

const struct apply_result *bed_apply(struct bed *b, enum command type, const void *payload);

/* ---- nodes ---- */

/* A ready node: "{'Datacenter':'dc2', ...}" over 4000 MHz, 8000 MB, 100000 MB of disk in dc1, driver raw_exec. */
struct uuid bed_node(struct bed *b, const char *json);
struct uuid bed_node_sized(struct bed *b, int cpu_mhz, int memory_mb);
void bed_node_status(struct bed *b, const struct uuid *id, enum node_status status);
void bed_node_eligible(struct bed *b, const struct uuid *id, bool eligible);
void bed_node_drain(struct bed *b, const struct uuid *id);
void bed_node_purge(struct bed *b, const struct uuid *id);

/* ---- jobs ---- */

/* Register, and return the evaluation. The job is completed with defaults. */
struct uuid bed_register(struct bed *b, const char *json);
struct uuid bed_stop(struct bed *b, const char *id);
struct job *bed_job(struct bed *b, const char *json);

/* A job of one group "g" of `count` tasks with 100 MHz and 100 MB; `more` is added to the job, `group` to the group,
 * each beginning with a comma or empty. */
const char *bed_simple(struct bed *b, const char *id, const char *type, int count, const char *group, const char *more);
struct uuid bed_register_simple(struct bed *b, const char *id, const char *type, int count, const char *group,
				const char *more);
struct uuid bed_evaluate(struct bed *b, const char *id, bool force);

/* ---- running ---- */

/* Run all evaluations that are due, and those they make, until none is left. Blocked ones are not tried. */
void bed_run(struct bed *b);

/* Run one evaluation, whatever its status. */
void bed_run_eval(struct bed *b, const struct uuid *id);

/* Try all blocked ones again, and what follows. */
void bed_unblock(struct bed *b);

/* Begin several at once, at most one of a job, and apply their plans afterwards. */
void bed_run_together(struct bed *b, const struct uuid *evals, unsigned n);

/* Let time pass. */
void bed_wait(struct bed *b, int64_t ns);

/* ---- allocations ---- */

struct alloc_list {
	const struct alloc_row *at[20000];
	unsigned n;
};

enum bed_which {
	BED_ALL,
	BED_LIVE, /* Not terminal. */
	BED_STOPPED,
};

/* Those of a job, by index and then age. The rows are of b->v. */
struct alloc_list *bed_allocs(struct bed *b, const char *job, enum bed_which which);
unsigned bed_count(struct bed *b, const char *job, enum bed_which which);

/* The live one with this index, or NULL. */
const struct alloc_row *bed_alloc(struct bed *b, const char *job, unsigned index);
const char *bed_description(struct bed *b, const struct alloc_row *row);
struct alloc_server *bed_server(struct bed *b, const struct alloc_row *row);

/* What its client says. */
void bed_report(struct bed *b, const struct uuid *id, enum alloc_client status);
void bed_report_health(struct bed *b, const struct uuid *id, enum alloc_client status, bool healthy);
void bed_report_all(struct bed *b, const char *job, enum alloc_client status);
void bed_transition(struct bed *b, const struct uuid *id, const struct desired_transition *t,
		    enum eval_trigger trigger);
void bed_migrate(struct bed *b, const struct uuid *id);

/* ---- evaluations and deployments ---- */

struct evaluation *bed_eval(struct bed *b, const struct uuid *id);
const struct eval_row *bed_find_eval(struct bed *b, const char *job,
				     enum eval_status status); /* The newest, or NULL. */
unsigned bed_count_evals(struct bed *b, const char *job, enum eval_status status);
struct alloc_metric *bed_failed(struct bed *b, const struct uuid *eval, const char *group); /* NULL: none failed. */
int64_t bed_number(const struct intmap *map, const char *key);                              /* -1: not there. */
struct deployment *bed_deployment(struct bed *b, const char *job);                          /* The newest, or NULL. */
void bed_promote(struct bed *b, const struct uuid *deployment);
void bed_deployment_status(struct bed *b, const struct uuid *deployment, enum deployment_status status);

/* ---- what must always hold ---- */

void bed_check(struct bed *b);

/* Of it, what plans could do wrong: no node has more than it offers, ports, cores and devices are given once, no two of a
 * name live. */
void bed_check_plans(struct bed *b);

#endif /* TEST_UNIT_SERVER_SCHED_BED_H_ */
