#include "test/unit/unit.h"

#include "test/unit/server/leader_world.h"

/* ---- a toy scheduler: it only ends evaluations, well or not ---- */

enum fate {
	COMPLETE, /* By a plan. */
	BLOCK,    /* Likewise: there is no room. */
	FAIL,     /* It says that it could not do it. */
	SILENT,   /* It says nothing for longer than it may, and submits its plan then. */
	N_FATES,
};

enum { RUNS = 64 };

struct toy_run {
	bool used;
	bool submitted;
	enum fate fate;
	struct broker_delivery delivery;
	struct uuid eval;
	char job[64];
	uint64_t term;
	int64_t due_ns;
	struct plan *plan;
	struct plan_build build;
	struct arena mem;
};

struct toy {
	struct toy_run runs[RUNS];
	unsigned fates[N_FATES]; /* How often each, of their sum. */
	unsigned delivered;
	unsigned refused; /* Plans that came too late. */
	unsigned ended;
	bool in_submit;
	bool came_back; /* During the submission. */
};

static struct toy *toy_of(struct world *w)
{
	return w->ctx;
}

static bool owns(const struct world *w, const struct toy_run *run)
{
	return run->term == w->term && broker_owns(&w->leader.broker, &run->eval, run->delivery.token);
}

static enum fate choose(const struct toy *t)
{
	unsigned sum = 0;
	unsigned i;

	for (i = 0; i < N_FATES; i++) {
		sum += t->fates[i];
	}
	sum = world_random(sum);
	for (i = 0; sum >= t->fates[i]; i++) {
		sum -= t->fates[i];
	}
	return (enum fate)i;
}

static void toy_dispatch(struct world *w, const struct broker_delivery *delivery)
{
	struct toy *t = toy_of(w);
	const struct eval_row *row = state_eval(w->k.v, &delivery->eval);
	struct toy_run *run = NULL;
	unsigned i;

	assert_non_null(row);
	for (i = 0; i < RUNS; i++) {
		struct toy_run *other = &t->runs[i];

		if (other->used && owns(w, other)) {
			assert_string_not_equal(other->job, eval_row_job(row)); /* One of a job at a time. */
		}
		run = run == NULL && !other->used ? other : run;
	}
	assert_non_null(run);
	*run = (struct toy_run){.used = true, .delivery = *delivery, .eval = delivery->eval, .term = w->term};
	snprintf(run->job, sizeof(run->job), "%s", eval_row_job(row));
	run->fate = choose(t);
	run->due_ns = w->at.mono_ns + world_random(200) * NS_PER_MS + (run->fate == SILENT ? 70 * SECOND : 0);
	t->delivered++;
}

static void toy_free(struct toy_run *run)
{
	if (run->plan != NULL) {
		plan_close(run->plan);
	}
	arena_close(&run->mem);
	run->used = false;
}

static struct toy_run *run_of(struct toy *t, const struct plan *plan)
{
	unsigned i;

	for (i = 0; i < RUNS; i++) {
		if (t->runs[i].used && t->runs[i].plan == plan) {
			return &t->runs[i];
		}
	}
	fail_msg("a plan that was not submitted came back");
	return NULL;
}

static void toy_plan_done(struct world *w, struct plan *plan)
{
	struct toy *t = toy_of(w);
	struct toy_run *run = run_of(t, plan);

	if (t->in_submit) {
		t->came_back = true;
		return;
	}
	if (plan->status == 0) {
		assert_int_equal(state_eval(w->k.v, &run->eval)->status,
				 run->fate == BLOCK ? EVAL_STATUS_BLOCKED : EVAL_STATUS_COMPLETE);
	}
	leader_eval_done(&w->leader, w->k.v, &run->eval, run->delivery.token, plan->status, &w->at);
	toy_free(run);
}

static const struct world_play toy_play = {.dispatch = toy_dispatch, .plan_done = toy_plan_done};

static void make_plan(struct world *w, struct toy_run *run)
{
	const struct eval_row *row = state_eval(w->k.v, &run->eval);
	struct plan_end end = {.n_final = 1};
	struct evaluation e;

	object_init(&evaluation_type, &e);
	if (row != NULL) {
		assert_int_equal(eval_row_get(row, &e, &run->mem), 0);
	}
	e.status = eval_status_text(run->fate == BLOCK ? EVAL_STATUS_BLOCKED : EVAL_STATUS_COMPLETE);
	e.snapshot_index = (int64_t)state_index(w->k.v);
	run->build = (struct plan_build){.mem = &run->mem, .eval = run->eval, .ns = "default", .job = run->job};
	end.final = &e;
	end.n_final = row != NULL;
	end.priority = 50;
	run->plan = plan_finish(&run->build, &end);
	run->plan->eval = run->eval;
}

static void submit(struct world *w, struct toy_run *run)
{
	struct toy *t = toy_of(w);
	bool owned = owns(w, run);

	make_plan(w, run);
	t->in_submit = true;
	t->came_back = false;
	leader_submit(&w->leader, run->plan, run->delivery.token, &w->at);
	t->in_submit = false;
	assert_int_equal(t->came_back, !owned);
	run->submitted = owned;
	if (!owned) {
		assert_true(run->plan->status == ERR_CONFLICT || run->plan->status == ERR_NOTLEADER);
		t->refused++;
		toy_free(run);
	}
}

static void toy_work(struct world *w)
{
	struct toy *t = toy_of(w);
	unsigned i;

	for (i = 0; i < RUNS; i++) {
		struct toy_run *run = &t->runs[i];

		if (!run->used || run->submitted || run->due_ns > w->at.mono_ns) {
			continue;
		}
		if (run->fate == FAIL) {
			leader_eval_done(&w->leader, w->k.v, &run->eval, run->delivery.token, ERR_CORRUPT, &w->at);
			toy_free(run);
		} else {
			submit(w, run);
		}
	}
}

static void pass(struct world *w, int64_t ns)
{
	int64_t end = w->at.mono_ns + ns;

	while (w->at.mono_ns < end) {
		world_pass(w, 20 * NS_PER_MS);
		toy_work(w);
	}
}

static void open_toy(struct world *w, struct toy *t)
{
	memset(t, 0, sizeof(*t));
	t->fates[COMPLETE] = 1;
	world_open(w, &toy_play);
	w->ctx = t;
}

static void close_toy(struct world *w, struct toy *t)
{
	unsigned i;

	world_close(w);
	for (i = 0; i < RUNS; i++) {
		if (t->runs[i].used) {
			toy_free(&t->runs[i]);
		}
	}
}

static struct uuid register_job(struct world *w, const char *id)
{
	return world_apply(w, COMMAND_JOB_REGISTER, kit_registration(&w->k, kit_job(&w->k, id, "service")))->eval_id;
}

static struct uuid register_node(struct world *w)
{
	struct uuid id = kit_node(&w->k, "n");

	w->k.now = w->at.wall_ns;
	return id;
}

static int status_of(const struct world *w, const struct uuid *eval)
{
	return state_eval(w->k.v, eval)->status;
}

static const char *description_of(struct world *w, const struct uuid *eval)
{
	struct evaluation e;

	assert_int_equal(eval_row_get(state_eval(w->k.v, eval), &e, &w->k.mem), 0);
	return e.status_description;
}

/* ---- scenes ---- */

static void a_new_evaluation_is_delivered_and_ends_by_its_plan(void **state)
{
	struct world w;
	struct toy t;
	struct uuid eval;

	(void)state;
	open_toy(&w, &t);
	eval = register_job(&w, "a");
	pass(&w, SECOND);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_COMPLETE);
	assert_int_equal(w.leader.broker.by_id.n, 0);
	assert_int_equal(w.leader.applier.stats.plans, 1);
	close_toy(&w, &t);
}

static void evaluations_wait_while_enough_are_being_decided(void **state)
{
	struct world w;
	struct toy t;
	unsigned i;
	char id[8];

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[SILENT] = 1;
	for (i = 0; i < 7; i++) {
		snprintf(id, sizeof(id), "j%u", i);
		register_job(&w, id);
	}
	pass(&w, SECOND);
	assert_int_equal(t.delivered, 4); /* Though there are eight slots. */
	t.fates[SILENT] = 0;
	t.fates[COMPLETE] = 1;
	pass(&w, 80 * SECOND); /* Until they are taken from those that say nothing. */
	assert_int_equal(w.leader.broker.by_id.n, 0);
	assert_int_equal(w.leader.applier.n_plans, 0);
	assert_int_equal(w.leader.applier.n_unsent, 0);
	close_toy(&w, &t);
}

static void a_leader_finds_what_is_pending_in_the_state(void **state)
{
	struct world w;
	struct toy t;
	struct uuid eval;

	(void)state;
	open_toy(&w, &t);
	leader_stop(&w.leader);
	eval = register_job(&w, "a");
	pass(&w, SECOND);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_PENDING);
	world_change_leader(&w, SECOND);
	pass(&w, SECOND);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_COMPLETE);
	close_toy(&w, &t);
}

static void evaluations_that_came_meanwhile_are_cancelled_but_for_the_newest(void **state)
{
	struct uuid evals[4];
	struct world w;
	struct toy t;
	unsigned i;

	(void)state;
	open_toy(&w, &t);
	for (i = 0; i < 4; i++) {
		evals[i] = register_job(&w, "a");
	}
	pass(&w, 5 * SECOND);
	assert_int_equal(status_of(&w, &evals[0]), EVAL_STATUS_COMPLETE);
	assert_int_equal(status_of(&w, &evals[1]), EVAL_STATUS_CANCELED);
	assert_int_equal(status_of(&w, &evals[2]), EVAL_STATUS_CANCELED);
	assert_int_equal(status_of(&w, &evals[3]), EVAL_STATUS_COMPLETE);
	assert_string_equal(description_of(&w, &evals[1]), "canceled after more recent eval was processed");
	close_toy(&w, &t);
}

static void one_that_fails_again_and_again_is_followed_up_later(void **state)
{
	const struct eval_row *followup;
	struct evaluation e;
	struct world w;
	struct toy t;
	struct uuid eval;

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[FAIL] = 1;
	eval = register_job(&w, "a");
	pass(&w, 30 * SECOND);
	assert_int_equal(t.delivered, 3);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_FAILED);
	assert_string_equal(description_of(&w, &eval), "evaluation reached delivery limit (3)");
	followup = kit_newest_eval(&w.k, "a");
	assert_int_equal(followup->trigger, EVAL_TRIGGER_FAILED_FOLLOW_UP);
	assert_int_equal(eval_row_get(followup, &e, &w.k.mem), 0);
	assert_string_equal(e.previous_eval, kit_text(&w.k, &eval));
	assert_true(e.wait_until > w.at.wall_ns + 20 * SECOND);
	t.fates[COMPLETE] = 1;
	t.fates[FAIL] = 0;
	pass(&w, 10 * 60 * SECOND);
	assert_int_equal(kit_newest_eval(&w.k, "a")->status, EVAL_STATUS_COMPLETE);
	close_toy(&w, &t);
}

static void a_plan_that_comes_too_late_does_nothing(void **state)
{
	struct world w;
	struct toy t;
	struct uuid eval;

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[SILENT] = 1;
	eval = register_job(&w, "a");
	pass(&w, SECOND);
	t.fates[COMPLETE] = 1;
	t.fates[SILENT] = 0;
	pass(&w, 59 * SECOND);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_PENDING);
	pass(&w, 30 * SECOND);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_COMPLETE);
	assert_int_equal(t.refused, 1);
	assert_int_equal(t.delivered, 2);
	close_toy(&w, &t);
}

static void blocked_ones_are_tried_again_when_a_node_comes(void **state)
{
	struct uuid evals[3];
	struct world w;
	struct toy t;
	unsigned i;

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[BLOCK] = 1;
	for (i = 0; i < 3; i++) {
		char id[8];

		snprintf(id, sizeof(id), "job%u", i);
		evals[i] = register_job(&w, id);
	}
	pass(&w, 10 * SECOND);
	assert_int_equal(t.delivered, 3);
	assert_int_equal(status_of(&w, &evals[0]), EVAL_STATUS_BLOCKED);
	assert_int_equal(w.leader.blocked.n_blocked, 3);
	register_node(&w);
	pass(&w, 10 * SECOND);
	assert_int_equal(t.delivered, 6);
	t.fates[COMPLETE] = 1;
	t.fates[BLOCK] = 0;
	register_node(&w);
	pass(&w, 10 * SECOND);
	for (i = 0; i < 3; i++) {
		assert_int_equal(status_of(&w, &evals[i]), EVAL_STATUS_COMPLETE);
	}
	close_toy(&w, &t);
}

static void what_became_free_without_a_leader_is_not_missed(void **state)
{
	struct world w;
	struct toy t;
	struct uuid eval;

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[BLOCK] = 1;
	eval = register_job(&w, "a");
	pass(&w, SECOND);
	world_change_leader(&w, SECOND);
	pass(&w, SECOND);
	assert_int_equal(t.delivered, 1); /* Nothing has changed. */
	leader_stop(&w.leader);
	register_node(&w);
	t.fates[COMPLETE] = 1;
	t.fates[BLOCK] = 0;
	world_change_leader(&w, SECOND);
	pass(&w, SECOND);
	assert_int_equal(t.delivered, 2);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_COMPLETE);
	close_toy(&w, &t);
}

static void a_job_has_one_blocked_evaluation(void **state)
{
	struct world w;
	struct toy t;
	struct uuid first;
	struct uuid second;

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[BLOCK] = 1;
	first = register_job(&w, "a");
	pass(&w, SECOND);
	second = register_job(&w, "a");
	pass(&w, SECOND);
	assert_int_equal(status_of(&w, &first), EVAL_STATUS_CANCELED);
	assert_string_equal(description_of(&w, &first), "existing blocked evaluation exists for job \"a\"");
	assert_int_equal(status_of(&w, &second), EVAL_STATUS_BLOCKED);
	close_toy(&w, &t);
}

static void a_paused_broker_delivers_nothing(void **state)
{
	struct scheduler_config_put p;
	struct preemption_config preemption;
	struct scheduler_config config;
	struct world w;
	struct toy t;
	struct uuid eval;

	(void)state;
	open_toy(&w, &t);
	object_init(&scheduler_config_put_type, &p);
	object_init(&scheduler_config_type, &config);
	object_init(&preemption_config_type, &preemption);
	config.preemption = &preemption;
	config.pause_eval_broker = true;
	p.config = &config;
	world_apply(&w, COMMAND_SCHEDULER_CONFIG, &p);
	eval = register_job(&w, "a");
	pass(&w, 5 * SECOND);
	world_change_leader(&w, SECOND);
	pass(&w, 5 * SECOND);
	assert_int_equal(t.delivered, 0);
	config.pause_eval_broker = false;
	world_apply(&w, COMMAND_SCHEDULER_CONFIG, &p);
	pass(&w, 5 * SECOND);
	assert_int_equal(status_of(&w, &eval), EVAL_STATUS_COMPLETE);
	close_toy(&w, &t);
}

static void a_full_queue_delays_and_loses_nothing(void **state)
{
	struct uuid evals[40];
	struct world w;
	struct toy t;
	unsigned i;

	(void)state;
	open_toy(&w, &t);
	w.log_max = 1;
	for (i = 0; i < 40; i++) {
		char id[8];

		snprintf(id, sizeof(id), "job%u", i % 20);
		evals[i] = register_job(&w, id);
	}
	pass(&w, 60 * SECOND);
	assert_true(w.busy > 0);
	for (i = 0; i < 40; i++) {
		assert_int_equal(status_of(&w, &evals[i]), EVAL_STATUS_COMPLETE);
	}
	close_toy(&w, &t);
}

static void nodes_live_by_their_heartbeats(void **state)
{
	struct world w;
	struct toy t;
	struct uuid node;
	int64_t ttl;
	unsigned i;

	(void)state;
	open_toy(&w, &t);
	node = register_node(&w);
	for (i = 0; i < 10; i++) {
		assert_int_equal(leader_heartbeat(&w.leader, w.k.v, &node, NODE_STATUS_READY, &w.at, &ttl), 0);
		pass(&w, ttl);
		if (i == 5) {
			world_change_leader(&w, 3 * SECOND);
		}
	}
	assert_int_equal(state_node(w.k.v, &node)->status, NODE_STATUS_READY);
	pass(&w, 11 * SECOND);
	assert_int_equal(state_node(w.k.v, &node)->status, NODE_STATUS_DOWN);
	leader_stop(&w.leader);
	assert_int_equal(leader_heartbeat(&w.leader, w.k.v, &node, NODE_STATUS_READY, &w.at, &ttl), ERR_NOTLEADER);
	close_toy(&w, &t);
}

static void a_leader_that_stood_still_blames_no_node(void **state)
{
	struct world w;
	struct toy t;
	struct uuid node;
	int64_t ttl;

	(void)state;
	open_toy(&w, &t);
	node = register_node(&w);
	pass(&w, SECOND);
	assert_int_equal(leader_heartbeat(&w.leader, w.k.v, &node, NODE_STATUS_READY, &w.at, &ttl), 0);
	pass(&w, SECOND);
	w.at.mono_ns += 300 * SECOND; /* Suspended. */
	w.at.wall_ns += 300 * SECOND;
	pass(&w, ttl);
	assert_int_equal(state_node(w.k.v, &node)->status, NODE_STATUS_READY);
	pass(&w, 30 * SECOND);
	assert_int_equal(state_node(w.k.v, &node)->status, NODE_STATUS_DOWN);
	close_toy(&w, &t);
}

static void garbage_is_collected_on_demand(void **state)
{
	struct job_deregister p;
	struct world w;
	struct toy t;

	(void)state;
	open_toy(&w, &t);
	register_job(&w, "a");
	pass(&w, SECOND);
	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = "a";
	world_apply(&w, COMMAND_JOB_DEREGISTER, &p);
	pass(&w, SECOND);
	assert_non_null(kit_find(&w.k, "a"));
	assert_int_equal(leader_gc(&w.leader, &w.at), 0);
	pass(&w, SECOND);
	assert_null(kit_find(&w.k, "a"));
	assert_int_equal(view_count(w.k.v, TABLE_EVALS), 0);
	close_toy(&w, &t);
}

static void metrics_have_names_and_fit_what_there_is(void **state)
{
	struct metric all[100];
	struct world w;
	struct toy t;
	size_t n;
	size_t i;

	(void)state;
	open_toy(&w, &t);
	t.fates[COMPLETE] = 0;
	t.fates[BLOCK] = 1;
	register_job(&w, "a");
	pass(&w, SECOND);
	n = leader_metrics(&w.leader, all, 100);
	assert_true(n > 20 && n <= 100);
	for (i = 0; i < n; i++) {
		if (strcmp(all[i].name, "nomad.blocked_evals.total_blocked") == 0) {
			assert_true(all[i].value == 1.0);
		}
	}
	assert_int_equal(leader_metrics(&w.leader, all, 1), n);
	close_toy(&w, &t);
}

/* ---- anything, and leaders that change in the middle of it ---- */

enum { JOBS = 15, STEPS = 1500 };

static void some_event(struct world *w)
{
	char id[8];

	snprintf(id, sizeof(id), "job%u", world_random(JOBS));
	switch (world_random(8)) {
	case 0:
		world_change_leader(w, world_random(3000) * NS_PER_MS);
		break;
	case 1:
		register_node(w);
		break;
	default:
		register_job(w, id);
	}
}

static void check_all_ended(const struct world *w)
{
	const struct eval_row *row;
	struct rows r;

	rows_evals(&r, w->k.v, NULL);
	while ((row = eval_next(&r)) != NULL) {
		assert_true(eval_row_terminal(row));
	}
}

static void no_evaluation_is_lost_and_none_is_run_twice_at_once(void **state)
{
	static struct world w;
	static struct toy t;
	unsigned seed;
	unsigned i;

	(void)state;
	for (seed = 1; seed <= 3; seed++) {
		printf("seed %u\n", seed);
		srand(seed);
		open_toy(&w, &t);
		t.fates[COMPLETE] = 10;
		t.fates[BLOCK] = 4;
		t.fates[FAIL] = 2;
		t.fates[SILENT] = 1;
		w.log_max = 4;
		w.log_delay_ns = 300 * NS_PER_MS;
		for (i = 0; i < STEPS; i++) {
			if (world_random(3) == 0) {
				some_event(&w);
			}
			pass(&w, world_random(10) == 0 ? 5 * SECOND : world_random(100) * NS_PER_MS);
			broker_check(&w.leader.broker);
		}
		t.fates[BLOCK] = t.fates[FAIL] = t.fates[SILENT] = 0;
		pass(&w, 20 * 60 * SECOND); /* All delays are over. */
		register_node(&w);
		pass(&w, 60 * SECOND);
		check_all_ended(&w);
		assert_true(state_check(w.k.v));
		printf("%u delivered, %u plans too late, %u commands applied and forgotten, %u lost, %u times busy\n",
		       t.delivered, t.refused, w.forgotten, w.lost, w.busy);
		assert_true(t.refused > 0 && w.forgotten > 0 && w.lost > 0 && w.busy > 0);
		close_toy(&w, &t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_evaluation_is_delivered_and_ends_by_its_plan),
		cmocka_unit_test(evaluations_wait_while_enough_are_being_decided),
		cmocka_unit_test(a_leader_finds_what_is_pending_in_the_state),
		cmocka_unit_test(evaluations_that_came_meanwhile_are_cancelled_but_for_the_newest),
		cmocka_unit_test(one_that_fails_again_and_again_is_followed_up_later),
		cmocka_unit_test(a_plan_that_comes_too_late_does_nothing),
		cmocka_unit_test(blocked_ones_are_tried_again_when_a_node_comes),
		cmocka_unit_test(what_became_free_without_a_leader_is_not_missed),
		cmocka_unit_test(a_job_has_one_blocked_evaluation),
		cmocka_unit_test(a_paused_broker_delivers_nothing),
		cmocka_unit_test(a_full_queue_delays_and_loses_nothing),
		cmocka_unit_test(nodes_live_by_their_heartbeats),
		cmocka_unit_test(a_leader_that_stood_still_blames_no_node),
		cmocka_unit_test(garbage_is_collected_on_demand),
		cmocka_unit_test(metrics_have_names_and_fit_what_there_is),
		cmocka_unit_test(no_evaluation_is_lost_and_none_is_run_twice_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
