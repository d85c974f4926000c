#include "test/unit/unit.h"

#include "server/gc.h"
#include "test/unit/server/part_bench.h"

#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

struct bench {
	struct part_bench b;
	struct gc gc;
	unsigned largest; /* Rows that one command has removed. */
	int fail;
};

static void open_bench(struct bench *t)
{
	memset(t, 0, sizeof(*t));
	part_bench_open(&t->b);
	gc_init(&t->gc, NULL);
	gc_reset(&t->gc, &t->b.at);
}

static void close_bench(struct bench *t)
{
	assert_true(state_check(t->b.k.v));
	part_bench_close(&t->b);
}

/* All that is due. */
static void run(struct bench *t)
{
	enum part_step step;
	unsigned i;

	for (i = 0; (step = gc_step(&t->gc, part_bench_turn(&t->b))) != STEP_IDLE; i++) {
		assert_true(i < 100000);
		if (step == STEP_COMMAND) {
			const struct view *before = state_view(&t->b.k.state);
			size_t n = view_count(before, TABLE_ALLOCS) + view_count(before, TABLE_EVALS);
			const struct apply_result *result = t->fail != 0 ? NULL : part_bench_apply(&t->b);
			size_t gone = n - view_count(t->b.k.v, TABLE_ALLOCS) - view_count(t->b.k.v, TABLE_EVALS);

			view_release(before);
			t->largest = gone > t->largest ? (unsigned)gone : t->largest;
			gc_done(&t->gc, t->fail, result, &t->b.at);
		}
	}
}

/* Let time pass; collections take place on the way. */
static void pass(struct bench *t, int64_t ns)
{
	t->b.at.wall_ns = t->b.k.now;
	part_bench_pass(&t->b, ns);
	run(t);
}

static void force(struct bench *t)
{
	t->b.at.wall_ns = t->b.k.now;
	gc_force(&t->gc);
	run(t);
}

static size_t rows(const struct bench *t, enum table table)
{
	return view_count(t->b.k.v, table);
}

static void end_evals(struct bench *t, const char *job)
{
	struct rows r;
	const struct eval_row *row;
	struct uuid open[64];
	unsigned n = 0;

	rows_evals_of_job(&r, t->b.k.v, "default", job);
	while ((row = eval_next(&r)) != NULL) {
		if (!eval_row_terminal(row) && n < 64) {
			open[n++] = row->id;
		}
	}
	while (n-- > 0) {
		kit_put_eval(&t->b.k, kit_eval(&t->b.k, &open[n], "complete", 0));
	}
}

/* A job of this type with an allocation that has come to this. */
static struct uuid a_job(struct bench *t, const char *id, const char *type, const struct uuid *node, const char *status)
{
	struct kit *k = &t->b.k;
	struct uuid eval = kit_register(k, kit_job(k, id, type))->eval_id;
	struct uuid alloc;

	kit_place(k, id, &eval, node, 1, &alloc);
	if (status[0] != '\0') {
		kit_report(k, &alloc, status);
	}
	end_evals(t, id);
	return alloc;
}

static void what_a_stopped_job_leaves_goes_in_time(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid alloc;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	alloc = a_job(&t, "a", "service", &node, "running");
	kit_deregister(&t.b.k, "a", false);
	end_evals(&t, "a");
	kit_stop_alloc(&t.b.k, &alloc, "stopped");
	pass(&t, 70 * MINUTE); /* Its client has not ended it yet. */
	assert_int_equal(rows(&t, TABLE_ALLOCS), 1);
	kit_report(&t.b.k, &alloc, "complete");
	pass(&t, 59 * MINUTE);
	assert_int_equal(rows(&t, TABLE_ALLOCS), 1);
	pass(&t, 6 * MINUTE);
	assert_int_equal(rows(&t, TABLE_ALLOCS), 0);
	assert_int_equal(rows(&t, TABLE_EVALS), 0);
	assert_non_null(kit_find(&t.b.k, "a"));
	pass(&t, 4 * HOUR);
	assert_null(kit_find(&t.b.k, "a"));
	assert_int_equal(t.gc.allocs, 1);
	assert_int_equal(t.gc.jobs, 1);
	close_bench(&t);
}

static void nothing_that_is_alive_goes(void **state)
{
	struct bench t;
	struct uuid node;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	a_job(&t, "a", "service", &node, "running");
	kit_register(&t.b.k, kit_job(&t.b.k, "b", "service")); /* Its evaluation is pending. */
	pass(&t, 48 * HOUR);
	force(&t);
	assert_int_equal(rows(&t, TABLE_ALLOCS), 1);
	assert_non_null(kit_newest_eval(&t.b.k, "b"));
	assert_non_null(kit_find(&t.b.k, "a"));
	assert_non_null(kit_find(&t.b.k, "b"));
	assert_int_equal(rows(&t, TABLE_NODES), 1);
	close_bench(&t);
}

static void a_batch_job_keeps_what_it_has_done_until_it_goes_itself(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid ids[2];
	struct uuid eval;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	eval = kit_register(&t.b.k, kit_job(&t.b.k, "a", "batch"))->eval_id;
	kit_place(&t.b.k, "a", &eval, &node, 2, ids);
	kit_report(&t.b.k, &ids[0], "complete");
	kit_report(&t.b.k, &ids[1], "running");
	end_evals(&t, "a");
	pass(&t, 48 * HOUR);
	force(&t);
	assert_int_equal(rows(&t, TABLE_ALLOCS), 2);
	assert_int_equal(kit_evals(&t.b.k, "a"), 1);
	kit_report(&t.b.k, &ids[1], "complete");
	assert_int_equal(kit_find(&t.b.k, "a")->status, JOB_STATUS_DEAD);
	pass(&t, 3 * HOUR);
	assert_int_equal(rows(&t, TABLE_ALLOCS), 2);
	pass(&t, 2 * HOUR);
	assert_null(kit_find(&t.b.k, "a"));
	assert_int_equal(rows(&t, TABLE_ALLOCS), 0);
	assert_int_equal(rows(&t, TABLE_EVALS), 0);
	close_bench(&t);
}

static void a_forced_collection_takes_a_dead_job_at_once(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid alloc;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	alloc = a_job(&t, "dead", "batch", &node, "complete");
	a_job(&t, "live", "service", &node, "running");
	force(&t);
	assert_null(kit_find(&t.b.k, "dead"));
	assert_null(state_alloc(t.b.k.v, &alloc));
	assert_int_equal(kit_evals(&t.b.k, "dead"), 0);
	assert_non_null(kit_find(&t.b.k, "live"));
	close_bench(&t);
}

static void what_has_failed_and_was_not_replaced_is_still_looked_at(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid alloc;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	alloc = a_job(&t, "a", "service", &node, "failed");
	end_evals(&t, "a");
	pass(&t, 48 * HOUR);
	force(&t);
	assert_non_null(state_alloc(t.b.k.v, &alloc));
	kit_stop_alloc(&t.b.k, &alloc, "replaced"); /* What becomes of it when it is. */
	pass(&t, 2 * HOUR);
	assert_null(state_alloc(t.b.k.v, &alloc));
	close_bench(&t);
}

static void allocations_on_nodes_that_are_gone_need_no_word_of_their_client(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid alloc;
	struct id_ref ref;
	struct nodes_delete p;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	alloc = a_job(&t, "a", "service", &node, "running");
	object_init(&nodes_delete_type, &p);
	ref.id = uuid_bytes(&node);
	p.nodes.at = &ref;
	p.nodes.n = 1;
	kit_apply(&t.b.k, COMMAND_NODES_DELETE, &p);
	end_evals(&t, "a");
	kit_stop_alloc(&t.b.k, &alloc, "lost");
	pass(&t, 2 * HOUR);
	assert_null(state_alloc(t.b.k.v, &alloc));
	close_bench(&t);
}

static void deployments_go_when_nothing_of_them_lives(void **state)
{
	struct deployment_change change;
	struct bench t;
	struct uuid node;
	struct uuid alloc;
	struct uuid id;
	struct plan_result *plan;
	struct uuid eval;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	eval = kit_register(&t.b.k, kit_job(&t.b.k, "a", "service"))->eval_id;
	id = kit_deployment(&t.b.k, "a", 1, 0);
	plan = kit_plan(&t.b.k, "a", &eval, &node, 1, &alloc);
	plan->deployment_id = uuid_bytes(&id);
	kit_apply(&t.b.k, COMMAND_PLAN, plan);
	end_evals(&t, "a");
	force(&t);
	assert_non_null(state_deployment(t.b.k.v, &id)); /* It runs. */
	object_init(&deployment_change_type, &change);
	change.id = uuid_bytes(&id);
	change.status = DEPLOYMENT_STATUS_FAILED;
	kit_apply(&t.b.k, COMMAND_DEPLOYMENT_STATUS, &change);
	force(&t);
	assert_non_null(state_deployment(t.b.k.v, &id)); /* Its allocation lives. */
	kit_stop_alloc(&t.b.k, &alloc, "stopped");
	pass(&t, 59 * MINUTE);
	assert_non_null(state_deployment(t.b.k.v, &id));
	pass(&t, 10 * MINUTE);
	assert_null(state_deployment(t.b.k.v, &id));
	close_bench(&t);
}

static void a_node_goes_when_it_has_been_down_for_a_day_and_is_empty(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid alloc;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	alloc = a_job(&t, "a", "service", &node, "running");
	kit_node_status(&t.b.k, &node, NODE_STATUS_DOWN);
	end_evals(&t, "a");
	pass(&t, 25 * HOUR);
	assert_int_equal(rows(&t, TABLE_NODES), 1);
	kit_stop_alloc(&t.b.k, &alloc, "lost");
	pass(&t, 6 * MINUTE);
	assert_int_equal(rows(&t, TABLE_NODES), 0);
	close_bench(&t);
}

static void place_many(struct bench *t, const char *job, const struct uuid *eval, const struct uuid *node, unsigned n)
{
	struct uuid *ids = calloc(n, sizeof(*ids));
	unsigned i;

	kit_quick(&t->b.k, COMMAND_PLAN, kit_plan(&t->b.k, job, eval, node, n, ids));
	for (i = 0; i < n; i++) {
		struct alloc_update update;
		struct alloc_reports p;
		struct alloc_report report;

		object_init(&alloc_update_type, &update);
		update.id = kit_text(&t->b.k, &ids[i]);
		update.client_status = "complete";
		assert_int_equal(alloc_report_fill(&report, &update, &t->b.k.mem), 0);
		object_init(&alloc_reports_type, &p);
		p.reports.at = &report;
		p.reports.n = 1;
		kit_quick(&t->b.k, COMMAND_ALLOC_REPORTS, &p);
	}
	free(ids);
}

static void a_large_job_goes_piece_by_piece(void **state)
{
	struct bench t;
	struct uuid node;
	struct uuid eval;
	unsigned i;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	eval = kit_register(&t.b.k, kit_job(&t.b.k, "big", "batch"))->eval_id;
	for (i = 0; i < 600; i++) {
		struct job_evaluate p;

		object_init(&job_evaluate_type, &p);
		p.namespace_ = "default";
		p.id = "big";
		kit_quick(&t.b.k, COMMAND_JOB_EVALUATE, &p);
	}
	place_many(&t, "big", &eval, &node, 2300);
	for (i = 0; i < 10; i++) {
		end_evals(&t, "big");
	}
	a_job(&t, "a small one", "batch", &node, "complete");
	a_job(&t, "small", "batch", &node, "complete");
	for (i = 0; kit_find(&t.b.k, "big") != NULL; i++) {
		assert_true(i < 20);
		end_evals(&t, "big");
		force(&t);
	}
	assert_int_equal(rows(&t, TABLE_ALLOCS) + rows(&t, TABLE_EVALS) + rows(&t, TABLE_JOBS), 0);
	assert_true(t.largest <= PART_COMMAND_ROWS);
	close_bench(&t);
}

static void a_command_that_fails_is_tried_again(void **state)
{
	struct bench t;
	struct uuid node;

	(void)state;
	open_bench(&t);
	node = kit_node(&t.b.k, "n");
	a_job(&t, "dead", "batch", &node, "complete");
	t.fail = ERR_UNKNOWN;
	force(&t);
	assert_int_equal(gc_due(&t.gc, &t.b.at), t.b.at.mono_ns + PART_RETRY_NS);
	t.fail = 0;
	pass(&t, SECOND);
	assert_null(kit_find(&t.b.k, "dead"));
	close_bench(&t);
}

/* ---- anything at all ---- */

/* Everything that the job has ends well. */
static void wind_down(struct bench *t, const char *id)
{
	struct kit *k = &t->b.k;
	const struct alloc_row *row;
	struct uuid ids[64];
	unsigned n = 0;
	struct rows r;

	if (rand() % 2 == 0) {
		kit_deregister(k, id, false);
	}
	rows_allocs_of_job(&r, k->v, kit_find(k, id));
	while (n < 64 && (row = alloc_next(&r)) != NULL) {
		ids[n++] = row->id;
	}
	while (n-- > 0) {
		kit_report(k, &ids[n], "complete");
	}
	end_evals(t, id);
}

static void some_event(struct bench *t, const struct uuid *nodes)
{
	static const char *const ids[] = {"a", "b", "c", "d"};
	static const char *const types[] = {"service", "batch", "batch", "service"};
	static const char *const statuses[] = {"running", "complete", "failed"};
	struct kit *k = &t->b.k;
	unsigned i = (unsigned)rand() % 4;
	const struct job_row *job = kit_find(k, ids[i]);
	struct uuid alloc;
	struct rows r;

	if (rand() % 3 == 0) {
		end_evals(t, ids[i]);
	} else if (job == NULL || rand() % 4 == 0) {
		kit_register(k, kit_job(k, ids[i], types[i]));
	} else if (rand() % 6 == 0) {
		wind_down(t, ids[i]);
	} else if (rand() % 2 == 0 && kit_newest_eval(k, ids[i]) != NULL) {
		struct uuid eval = kit_newest_eval(k, ids[i])->id;

		kit_place(k, ids[i], &eval, &nodes[rand() % 2], 1, &alloc);
	} else {
		const struct alloc_row *row;

		rows_allocs_of_job(&r, k->v, job);
		while ((row = alloc_next(&r)) != NULL && rand() % 3 != 0) {
		}
		if (row != NULL && rand() % 3 == 0) {
			struct uuid id = row->id;

			kit_stop_alloc(k, &id, "stopped");
		} else if (row != NULL) {
			struct uuid id = row->id;

			kit_report(k, &id, statuses[rand() % 3]);
		}
	}
}

struct census {
	size_t live_allocs, open_evals, live_jobs;
};

static struct census count_live(const struct bench *t)
{
	struct census c = {0};
	const struct alloc_row *alloc;
	const struct eval_row *eval;
	const struct job_row *job;
	struct rows r;

	rows_allocs(&r, t->b.k.v, NULL);
	while ((alloc = alloc_next(&r)) != NULL) {
		c.live_allocs += !alloc_row_client_terminal(alloc);
	}
	rows_evals(&r, t->b.k.v, NULL);
	while ((eval = eval_next(&r)) != NULL) {
		c.open_evals += !eval_row_terminal(eval);
	}
	rows_jobs(&r, t->b.k.v, NULL, NULL);
	while ((job = job_next(&r)) != NULL) {
		c.live_jobs += job->status != JOB_STATUS_DEAD;
	}
	return c;
}

static void whatever_happens_only_what_is_over_goes(void **state)
{
	struct census before;
	struct census after;
	struct uuid nodes[2];
	struct bench t;
	unsigned i;

	(void)state;
	printf("seed 9\n");
	srand(9);
	open_bench(&t);
	nodes[0] = kit_node(&t.b.k, "n0");
	nodes[1] = kit_node(&t.b.k, "n1");
	for (i = 0; i < 1500; i++) {
		some_event(&t, nodes);
		if (rand() % 10 == 0) {
			before = count_live(&t);
			if (rand() % 3 == 0) {
				force(&t);
			} else {
				pass(&t, rand() % 300 * MINUTE);
			}
			after = count_live(&t);
			assert_memory_equal(&before, &after, sizeof(before));
		}
	}
	printf("%llu jobs, %llu allocations, %llu evaluations\n", (unsigned long long)t.gc.jobs,
	       (unsigned long long)t.gc.allocs, (unsigned long long)t.gc.evals);
	assert_true(t.gc.jobs > 10 && t.gc.allocs > 10 && t.gc.evals > 10);
	close_bench(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_stopped_job_leaves_goes_in_time),
		cmocka_unit_test(nothing_that_is_alive_goes),
		cmocka_unit_test(a_batch_job_keeps_what_it_has_done_until_it_goes_itself),
		cmocka_unit_test(a_forced_collection_takes_a_dead_job_at_once),
		cmocka_unit_test(what_has_failed_and_was_not_replaced_is_still_looked_at),
		cmocka_unit_test(allocations_on_nodes_that_are_gone_need_no_word_of_their_client),
		cmocka_unit_test(deployments_go_when_nothing_of_them_lives),
		cmocka_unit_test(a_node_goes_when_it_has_been_down_for_a_day_and_is_empty),
		cmocka_unit_test(a_large_job_goes_piece_by_piece),
		cmocka_unit_test(a_command_that_fails_is_tried_again),
		cmocka_unit_test(whatever_happens_only_what_is_over_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
