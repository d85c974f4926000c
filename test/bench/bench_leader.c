/*
 * How long a leader's turns are: taking over a large state, evaluations by the thousand, many nodes that fall silent.
 * The workers only end evaluations; the log applies at once. Of each scene: how many calls, and the longest.
 */
#include "test/unit/unit.h"

#include <time.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/leader.h"
#include "test/unit/raft/kit.h"

enum { NODES = 5000, JOBS = 20000, ALLOCS = 200000, PER_PLAN = 200 };

struct bench {
	struct kit k;
	struct leader leader;
	struct moment at;
	struct broker_delivery out[64];
	unsigned n_out;
	struct buf log[4096];
	uint64_t tokens[4096];
	unsigned n_log;
	uint64_t calls;
	int64_t total_ns;
	int64_t longest_ns;
};

/* Of the processor: others use the machine, too. */
static int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * SECOND + t.tv_nsec;
}

#define MEASURE(b, call)                                                                                               \
	do {                                                                                                           \
		int64_t from_ = clock_ns();                                                                            \
		call;                                                                                                  \
		count(b, clock_ns() - from_);                                                                          \
	} while (0)

static void count(struct bench *b, int64_t ns)
{
	b->calls++;
	b->total_ns += ns;
	b->longest_ns = ns > b->longest_ns ? ns : b->longest_ns;
}

static void tell(struct bench *b, const char *what)
{
	printf("%-44s %8llu calls %8.1f ms in all, the longest %8.3f ms\n", what, (unsigned long long)b->calls,
	       (double)b->total_ns / 1e6, (double)b->longest_ns / 1e6);
	b->calls = 0;
	b->total_ns = b->longest_ns = 0;
}

/* ---- effects ---- */

static int propose(void *ctx, const void *command, size_t len, uint64_t token)
{
	struct bench *b = ctx;

	if (b->n_log == 4096) {
		return ERR_BUSY;
	}
	b->log[b->n_log].len = 0;
	buf_put(&b->log[b->n_log], command, len);
	b->tokens[b->n_log++] = token;
	return 0;
}

static void dispatch(void *ctx, const struct broker_delivery *delivery)
{
	struct bench *b = ctx;

	b->out[b->n_out++] = *delivery;
}

static void plan_done(void *ctx, struct plan *plan)
{
	(void)ctx;
	(void)plan;
}

static void set_timer(void *ctx, int64_t mono_ns)
{
	(void)ctx;
	(void)mono_ns;
}

static const struct leader_effects effects = {propose, dispatch, plan_done, set_timer, NULL};

static void changed_cb(void *ctx, const struct change *changes, size_t n)
{
	struct bench *b = ctx;
	const struct view *v = state_view(&b->k.state);

	MEASURE(b, leader_changed(&b->leader, v, changes, n, &b->at));
	view_release(v);
}

/* ---- turns ---- */

static void apply_log(struct bench *b)
{
	unsigned n = b->n_log;
	unsigned i;

	for (i = 0; i < n; i++) {
		struct apply_result result;

		batch_reset(&b->k.batch);
		batch_add(&b->k.batch, b->log[i].at, b->log[i].len, b->at.wall_ns, &b->leader.ids.seed);
		kit_entry(&b->k, b->k.batch.entry.at, b->k.batch.entry.len);
		result = b->k.result;
		MEASURE(b, leader_proposed(&b->leader, b->tokens[i], 0, &result, &b->at));
	}
	b->n_log = 0;
}

static void end_evals(struct bench *b)
{
	unsigned n = b->n_out;
	unsigned i;

	for (i = 0; i < n; i++) {
		struct broker_delivery d = b->out[i];
		struct eval_updates p;

		object_init(&eval_updates_type, &p);
		p.evals.at = kit_eval(&b->k, &d.eval, "complete", 0);
		p.evals.n = 1;
		kit_quick(&b->k, COMMAND_EVALS, &p);
		MEASURE(b, leader_eval_done(&b->leader, b->k.v, &d.eval, d.token, 0, &b->at));
	}
	b->n_out = 0;
}

static void turns(struct bench *b, unsigned n)
{
	while (n-- > 0) {
		b->at.mono_ns += NS_PER_MS;
		b->at.wall_ns += NS_PER_MS;
		MEASURE(b, leader_tick(&b->leader, b->k.v, &b->at));
		apply_log(b);
		end_evals(b);
	}
}

/* ---- the state ---- */

static void fill(struct bench *b, struct uuid *nodes)
{
	static struct uuid ids[PER_PLAN];
	char name[32];
	unsigned i;

	for (i = 0; i < NODES; i++) {
		struct node node;
		struct node_register p = {&node};

		nodes[i] = kit_id(&b->k);
		object_init(&node_type, &node);
		node.id = kit_text(&b->k, &nodes[i]);
		node.name = "n";
		node.datacenter = "dc1";
		node.status = "ready";
		node.computed_class = i % 2 == 0 ? "v1:even" : "v1:odd";
		kit_quick(&b->k, COMMAND_NODE_REGISTER, &p);
	}
	for (i = 0; i < JOBS; i++) {
		snprintf(name, sizeof(name), "job%u", i);
		kit_quick(&b->k, COMMAND_JOB_REGISTER, kit_registration(&b->k, kit_job(&b->k, name, "service")));
	}
	for (i = 0; i < ALLOCS / PER_PLAN; i++) {
		struct uuid eval = kit_id(&b->k);

		snprintf(name, sizeof(name), "job%u", i % JOBS);
		kit_quick(&b->k, COMMAND_PLAN, kit_plan(&b->k, name, &eval, &nodes[i % NODES], PER_PLAN, ids));
		arena_close(&b->k.mem);
	}
}

int main(void)
{
	static struct uuid nodes[NODES];
	static struct bench b;
	struct uuid seed = {{7}};
	unsigned i;

	log_set_level(LOG_ERROR);
	kit_open(&b.k);
	b.at = (struct moment){1000 * SECOND, b.k.now, 0};
	b.k.fsm.changed = changed_cb;
	b.k.fsm.ctx = &b;
	leader_init(&b.leader, NULL, &effects, &b);
	fill(&b, nodes);
	b.at.wall_ns = b.k.now;
	printf("%u nodes, %u jobs with a pending evaluation each, %u allocations\n", NODES, JOBS, ALLOCS);
	tell(&b, "not leading");
	MEASURE(&b, leader_start(&b.leader, b.k.v, &b.at, &seed, 1));
	for (i = 0; b.leader.load != LOAD_DONE; i++) {
		MEASURE(&b, leader_tick(&b.leader, b.k.v, &b.at));
	}
	tell(&b, "leadership begins: everything is loaded");
	while (b.leader.broker.by_id.n > 0) {
		turns(&b, 1);
		arena_close(&b.k.mem);
	}
	tell(&b, "all evaluations are delivered and end");
	leader_gc(&b.leader, &b.at);
	turns(&b, 2000);
	tell(&b, "garbage is collected");
	b.at.mono_ns += 1000 * SECOND;
	b.leader.timer_ns = b.at.mono_ns; /* It has not stood still. */
	turns(&b, 3000);
	tell(&b, "all nodes fall silent");
	MEASURE(&b, leader_stop(&b.leader));
	tell(&b, "leadership ends");
	leader_close(&b.leader);
	for (i = 0; i < 4096; i++) {
		buf_close(&b.log[i]);
	}
	kit_close(&b.k);
	return 0;
}
