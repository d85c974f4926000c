/* Schedulers that decide at the same time, and the applier that puts them in order. */
#include "proto/error.h"
#include "test/unit/server/sched_case.h"

static struct uuid small(const char *id, int count, const char *more)
{
	return bed_register_simple(&b, id, "service", count, "", more);
}

CASE(two_evaluations_at_once_see_each_others_claims)
{
	struct uuid evals[2];

	bed_node_sized(&b, 1000, 8000);
	evals[0] = small("a", 5, "");
	evals[1] = small("b", 5, "");
	bed_run_together(&b, evals, 2);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 5);
	assert_int_equal(bed_count(&b, "b", BED_LIVE), 5);
	assert_int_equal(b.refused, 0);
}

/* Another scheduler, which knows nothing of what the first has claimed. */
static struct sched other;

static void run_blind(const struct uuid *first, const struct uuid *second)
{
	struct nodes_news all = {.all = true};
	struct sched_run *runs[2];
	const struct view *v = state_view(&b.state);
	struct uuid seed = {{9}};
	struct uuid another = {{10}};
	struct plan_step steps[4];
	unsigned n = 0;
	unsigned i;

	sched_init(&other, &b.sched.env);
	sched_news(&other, v, &all);
	sched_news(&b.sched, v, &b.news);
	assert_int_equal(sched_begin(&b.sched, v, first, b.now, &seed, &runs[0]), SCHED_SUBMIT);
	assert_int_equal(sched_begin(&other, v, second, b.now, &another, &runs[1]), SCHED_SUBMIT);
	applier_submit(&b.applier, runs[0]->plan);
	applier_submit(&b.applier, runs[1]->plan);
	while (applier_ready(&b.applier)) {
		n += applier_next(&b.applier, b.v, &steps[n]);
	}
	for (i = 0; i < n; i++) {
		struct buf entry = {0};

		buf_put(&entry, steps[i].command, steps[i].len);
		batch_reset(&b.batch);
		assert_int_equal(batch_add(&b.batch, entry.at, entry.len, b.now, &seed), 0);
		assert_int_equal(fsm_apply(&b.fsm, b.batch.entry.at, b.batch.entry.len, &b.result), 0);
		applier_applied(&b.applier, &steps[i], 0, &b.result);
		buf_close(&entry);
	}
	assert_non_null(applier_done(&b.applier));
	assert_non_null(applier_done(&b.applier));
	assert_null(applier_done(&b.applier));
	b.refused = runs[1]->plan->refused;
	sched_end(&b.sched, runs[0]);
	sched_end(&other, runs[1]);
	sched_close(&other);
	view_release(v);
}

CASE(what_does_not_fit_any_more_is_refused)
{
	struct uuid a;
	struct uuid c;

	bed_node_sized(&b, 1000, 8000);
	a = small("a", 6, "");
	c = small("c", 6, "");
	run_blind(&a, &c);
	assert_int_equal(b.refused, 2);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 6);
	assert_int_equal(bed_count(&b, "c", BED_LIVE), 4);
	assert_string_equal(bed_eval(&b, &a)->status, "complete");
	assert_string_equal(bed_eval(&b, &c)->status, "pending"); /* It goes on. */
	bed_run(&b);
	assert_string_equal(bed_eval(&b, &c)->status, "complete");
	assert_int_equal(bed_number(&bed_eval(&b, &c)->queued_allocations, "g"), 2);
}

CASE(all_or_nothing_means_nothing_then)
{
	struct uuid a;
	struct uuid c;

	bed_node_sized(&b, 1000, 8000);
	a = small("a", 6, "");
	c = small("c", 6, ",'AllAtOnce':true");
	run_blind(&a, &c);
	assert_int_equal(b.refused, 6);
	assert_int_equal(bed_count(&b, "c", BED_LIVE), 0);
	assert_int_equal(b.applier.nodes.n_claims, 0);
}

CASE(the_more_important_plan_goes_first)
{
	struct uuid a;
	struct uuid c;
	struct plan *done[2];
	struct plan_step step;
	struct sched_run *runs[2];
	struct uuid seed = {{9}};

	bed_node_sized(&b, 1000, 8000);
	a = small("a", 1, ",'Priority':10");
	c = small("c", 1, ",'Priority':90");
	sched_news(&b.sched, b.v, &b.news);
	sched_begin(&b.sched, b.v, &a, b.now, &seed, &runs[0]);
	sched_begin(&b.sched, b.v, &c, b.now, &seed, &runs[1]);
	applier_submit(&b.applier, runs[0]->plan);
	applier_submit(&b.applier, runs[1]->plan);
	assert_int_equal(applier_depth(&b.applier), 2);
	assert_true(applier_next(&b.applier, b.v, &step));
	assert_ptr_equal(step.plan, runs[1]->plan);
	applier_reset(&b.applier);
	done[0] = applier_done(&b.applier);
	done[1] = applier_done(&b.applier);
	assert_non_null(done[0]);
	assert_non_null(done[1]);
	assert_true(done[0]->status != 0 && done[1]->status != 0);
	assert_int_equal(applier_depth(&b.applier), 0);
	sched_end(&b.sched, runs[0]);
	sched_end(&b.sched, runs[1]);
	assert_int_equal(b.sched.nodes.n_claims, 0);
}

CASE(a_port_is_not_given_twice)
{
	static const char port[] = ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':80}]}]";
	struct uuid a;
	struct uuid c;

	bed_node(&b, "{}");
	a = bed_register_simple(&b, "a", "service", 1, port, "");
	c = bed_register_simple(&b, "c", "service", 1, port, "");
	run_blind(&a, &c);
	assert_int_equal(b.refused, 1);
	bed_run(&b);
	bed_check(&b);
	assert_int_equal(bed_count(&b, "a", BED_LIVE) + bed_count(&b, "c", BED_LIVE), 1);
}

static struct uuid victim;

static void node_goes_down(struct bed *bed)
{
	bed_node_status(bed, &victim, NODE_STATUS_DOWN);
}

CASE(a_node_that_goes_while_the_plan_is_on_its_way)
{
	struct uuid eval;

	victim = bed_node(&b, "{}");
	eval = small("a", 3, "");
	b.before_apply = node_goes_down;
	bed_run(&b);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 0);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 3);
	assert_true(b.refused > 0);
	bed_node(&b, "{}");
	bed_unblock(&b);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 3);
}

static void node_drops_out(struct bed *bed)
{
	bed_node_eligible(bed, &victim, false);
}

CASE(a_node_that_is_no_longer_eligible_when_the_plan_is_checked)
{
	struct uuid eval;
	struct sched_run *run;
	struct plan_step step;
	struct uuid seed = {{9}};

	victim = bed_node(&b, "{}");
	eval = small("a", 3, "");
	sched_news(&b.sched, b.v, &b.news);
	{
		const struct view *v = state_view(&b.state);

		assert_int_equal(sched_begin(&b.sched, v, &eval, b.now, &seed, &run), SCHED_SUBMIT);
		node_drops_out(&b);
		applier_submit(&b.applier, run->plan);
		assert_true(applier_next(&b.applier, b.v, &step)); /* The deployment is made all the same. */
		assert_int_equal(run->plan->refused, 3);
		batch_reset(&b.batch);
		assert_int_equal(batch_add(&b.batch, step.command, step.len, b.now, &seed), 0);
		assert_int_equal(fsm_apply(&b.fsm, b.batch.entry.at, b.batch.entry.len, &b.result), 0);
		applier_applied(&b.applier, &step, 0, &b.result);
		assert_ptr_equal(applier_done(&b.applier), run->plan);
		sched_end(&b.sched, run);
		view_release(v);
	}
	bed_run(&b);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	assert_non_null(bed_find_eval(&b, "a", EVAL_STATUS_BLOCKED));
}

CASE(a_stop_is_not_made_without_its_replacement)
{
	struct uuid eval;
	struct uuid old;

	victim = bed_node(&b, "{}");
	small("a", 1, "");
	bed_run(&b);
	old = bed_alloc(&b, "a", 0)->id;
	eval = small("a", 1, ",'Meta':{'v':'2'}");
	b.before_apply = NULL;
	{
		const struct view *v = state_view(&b.state);
		struct sched_run *run;
		struct plan_step step;
		struct uuid seed = {{9}};

		sched_news(&b.sched, v, &b.news);
		sched_begin(&b.sched, v, &eval, b.now, &seed, &run);
		assert_int_equal(run->plan->chunks[0].payload.changes.n, 1);
		node_drops_out(&b);
		applier_submit(&b.applier, run->plan);
		assert_true(applier_next(&b.applier, b.v, &step));
		assert_int_equal(run->plan->chunks[0].payload.changes.n, 0);
		assert_int_equal(run->plan->chunks[0].payload.places.n, 0);
		assert_int_equal(run->plan->refused, 1);
		applier_reset(&b.applier);
		assert_non_null(applier_done(&b.applier));
		sched_end(&b.sched, run);
		view_release(v);
	}
	assert_false(alloc_row_terminal(state_alloc(b.v, &old)));
}

CASE(a_plan_that_was_not_applied_leaves_nothing_behind)
{
	struct uuid eval;

	bed_node(&b, "{}");
	eval = small("a", 3, "");
	b.reject = 1;
	bed_run_eval(&b, &eval);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 0);
	assert_string_equal(bed_eval(&b, &eval)->status, "pending");
	bed_run(&b);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 3);
}

CASE(a_large_plan_comes_in_chunks)
{
	struct uuid eval;
	unsigned i;

	for (i = 0; i < 20; i++) {
		bed_node_sized(&b, 10000, 10000);
	}
	eval = small("a", 1200, "");
	bed_run(&b);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 1200);
	assert_int_equal(b.applier.stats.chunks, 5);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	/* And the stops of a large job. */
	bed_stop(&b, "a");
	bed_run(&b);
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 0);
}

CASE(more_than_one_evaluation_may_place_is_left_to_the_next)
{
	struct uuid eval;

	bed_node(&b, "{'NodeResources':{'Cpu':{'CpuShares':200000000},'Memory':{'MemoryMB':200000000},"
		     "'Disk':{'DiskMB':1000200}}}");
	eval = small("a", 100050, "");
	b.quick = true;
	bed_run(&b);
	assert_int_equal(view_count(b.v, TABLE_ALLOCS), 100020); /* The disk is full. */
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 50);
	assert_int_equal(b.evals_run, 2);
	assert_int_equal(bed_count_evals(&b, "a", EVAL_STATUS_COMPLETE), 2);
	assert_int_equal(bed_count_evals(&b, "a", EVAL_STATUS_BLOCKED), 1);
}

CASE(the_end_of_the_evaluation_waits_for_the_other_chunks)
{
	struct sched_run *run;
	struct plan_step steps[3];
	struct uuid seed = {{9}};
	const struct view *v;
	struct uuid eval;
	unsigned i;

	for (i = 0; i < 10; i++) {
		bed_node_sized(&b, 10000, 10000);
	}
	eval = small("a", 600, "");
	sched_news(&b.sched, b.v, &b.news);
	v = state_view(&b.state);
	sched_begin(&b.sched, v, &eval, b.now, &seed, &run);
	assert_int_equal(run->plan->n_chunks, 3);
	applier_submit(&b.applier, run->plan);
	assert_true(applier_next(&b.applier, b.v, &steps[0]));
	assert_true(applier_next(&b.applier, b.v, &steps[1]));
	assert_false(applier_ready(&b.applier));
	b.result = (struct apply_result){.index = 5, .count = 249, .rejected = 1};
	applier_applied(&b.applier, &steps[0], 0, &b.result);
	assert_false(applier_ready(&b.applier));
	applier_applied(&b.applier, &steps[1], 0, &b.result);
	assert_true(applier_ready(&b.applier));
	assert_true(applier_next(&b.applier, b.v, &steps[2]));
	assert_int_equal(run->plan->chunks[2].payload.evals.n, 0); /* Two places were rejected. */
	assert_null(applier_done(&b.applier));
	applier_applied(&b.applier, &steps[2], 0, &b.result);
	assert_ptr_equal(applier_done(&b.applier), run->plan);
	assert_int_equal(run->plan->refused, 3);
	sched_end(&b.sched, run);
	view_release(v);
}

static void nothing_fits(struct bed *bed)
{
	bed_node_eligible(bed, &victim, false);
}

CASE(attempts_without_progress_come_to_an_end)
{
	struct uuid eval;
	struct sched_run *run;
	struct uuid seed = {{9}};
	const struct view *v;
	unsigned attempts = 0;
	enum sched_step step;

	victim = bed_node(&b, "{}");
	eval = small("a", 1, "");
	sched_news(&b.sched, b.v, &b.news);
	v = state_view(&b.state);
	step = sched_begin(&b.sched, v, &eval, b.now, &seed, &run);
	while (step == SCHED_SUBMIT && run->plan->chunks[0].payload.places.n > 0) {
		run->plan->refused = 1; /* An applier that never finds room. */
		run->plan->status = 0;
		step = sched_resume(&b.sched, run, v, b.now, &seed);
		attempts++;
	}
	assert_int_equal(attempts, SCHED_ATTEMPTS_SERVICE);
	assert_int_equal(step, SCHED_SUBMIT);
	assert_int_equal(run->plan->chunks[0].payload.evals.n, 2);
	assert_string_equal(run->plan->chunks[0].payload.evals.at[0].status, "failed");
	assert_string_equal(run->plan->chunks[0].payload.evals.at[0].status_description,
			    "maximum attempts reached (5)");
	assert_string_equal(run->plan->chunks[0].payload.evals.at[1].status, "blocked");
	assert_string_equal(run->plan->chunks[0].payload.evals.at[1].triggered_by, "max-plan-attempts");
	assert_string_equal(run->plan->chunks[0].payload.evals.at[1].status_description,
			    "created due to placement conflicts");
	sched_end(&b.sched, run);
	view_release(v);
	nothing_fits(&b);
}

/* One on top of the other: `second` decides before anything of the first has been applied. */
static bool is_met(struct sched_run *first, struct sched_run *second)
{
	struct plan_step steps[4];
	unsigned n = 0;
	unsigned i;
	bool early;

	applier_submit(&b.applier, first->plan);
	applier_submit(&b.applier, second->plan);
	while (applier_ready(&b.applier)) {
		n += applier_next(&b.applier, b.v, &steps[n]);
	}
	early = applier_done(&b.applier) != NULL;
	for (i = 0; i < n; i++) {
		applier_applied(&b.applier, &steps[i], 0, NULL);
	}
	assert_ptr_equal(applier_done(&b.applier), first->plan);
	assert_ptr_equal(applier_done(&b.applier), second->plan);
	return !early && second->plan->met;
}

CASE(whom_others_were_faster_than_waits_for_them_and_tries_again)
{
	struct nodes_news all = {.all = true};
	struct uuid seed = {{9}}, another = {{10}};
	struct sched_run *runs[2];
	struct uuid evals[2];
	unsigned attempts;

	bed_node_sized(&b, 600, 8000);
	evals[0] = bed_register_simple(&b, "a", "batch", 6, "", "");
	evals[1] = bed_register_simple(&b, "c", "batch", 6, "", ""); /* Without deployments: nothing of it is left. */
	sched_init(&other, &b.sched.env);
	sched_news(&other, b.v, &all);
	sched_news(&b.sched, b.v, &b.news);
	assert_int_equal(sched_begin(&b.sched, b.v, &evals[0], b.now, &seed, &runs[0]), SCHED_SUBMIT);
	assert_int_equal(sched_begin(&other, b.v, &evals[1], b.now, &another, &runs[1]), SCHED_SUBMIT);
	for (attempts = 0; attempts < 3 * SCHED_ATTEMPTS_BATCH; attempts++) {
		assert_true(is_met(runs[0], runs[1]));
		assert_int_equal(runs[1]->plan->refused, 6);
		assert_int_equal(sched_resume(&other, runs[1], b.v, b.now, &another), SCHED_SUBMIT);
		assert_int_equal(runs[1]->plan->chunks[0].payload.places.n, 6); /* It has not given up. */
	}
	sched_end(&b.sched, runs[0]);
	sched_end(&other, runs[1]);
	sched_close(&other);
}

CASE(who_waits_for_others_comes_back_when_leadership_ends)
{
	struct nodes_news all = {.all = true};
	struct uuid seed = {{9}}, another = {{10}};
	struct plan_step steps[4];
	struct sched_run *runs[2];
	struct uuid evals[2];
	unsigned n = 0;

	bed_node_sized(&b, 600, 8000);
	evals[0] = bed_register_simple(&b, "a", "batch", 6, "", "");
	evals[1] = bed_register_simple(&b, "c", "batch", 6, "", ""); /* Without deployments: nothing of it is left. */
	sched_init(&other, &b.sched.env);
	sched_news(&other, b.v, &all);
	sched_news(&b.sched, b.v, &b.news);
	assert_int_equal(sched_begin(&b.sched, b.v, &evals[0], b.now, &seed, &runs[0]), SCHED_SUBMIT);
	assert_int_equal(sched_begin(&other, b.v, &evals[1], b.now, &another, &runs[1]), SCHED_SUBMIT);
	applier_submit(&b.applier, runs[0]->plan);
	applier_submit(&b.applier, runs[1]->plan);
	while (applier_ready(&b.applier)) {
		n += applier_next(&b.applier, b.v, &steps[n]);
	}
	assert_int_equal(n, 1);
	assert_int_equal(runs[1]->plan->refused, 6);
	assert_null(applier_done(&b.applier));
	applier_reset(&b.applier);
	assert_ptr_equal(applier_done(&b.applier), runs[0]->plan);
	assert_ptr_equal(applier_done(&b.applier), runs[1]->plan);
	assert_int_equal(runs[1]->plan->status, ERR_NOTLEADER);
	sched_end(&b.sched, runs[0]);
	sched_end(&other, runs[1]);
	sched_close(&other);
}

#define CASES(X)												       \
	X(two_evaluations_at_once_see_each_others_claims)							       \
	X(what_does_not_fit_any_more_is_refused)								       \
	X(all_or_nothing_means_nothing_then)									       \
	X(the_more_important_plan_goes_first)									       \
	X(a_port_is_not_given_twice)										       \
	X(a_node_that_goes_while_the_plan_is_on_its_way)							       \
	X(a_node_that_is_no_longer_eligible_when_the_plan_is_checked)						       \
	X(a_stop_is_not_made_without_its_replacement)								       \
	X(a_plan_that_was_not_applied_leaves_nothing_behind)							       \
	X(a_large_plan_comes_in_chunks)										       \
	X(more_than_one_evaluation_may_place_is_left_to_the_next)							       \
	X(the_end_of_the_evaluation_waits_for_the_other_chunks)							       \
	X(attempts_without_progress_come_to_an_end)								       \
	X(whom_others_were_faster_than_waits_for_them_and_tries_again)						       \
	X(who_waits_for_others_comes_back_when_leadership_ends)
RUN_CASES(CASES)
