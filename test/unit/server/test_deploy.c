#include "test/unit/unit.h"

#include "server/deploy.h"
#include "test/unit/server/part_bench.h"

struct bench {
	struct part_bench b;
	struct deploy d;
	struct uuid node;
	struct uuid id; /* Of the deployment. */
	struct uuid allocs[3000];
	unsigned n;
	int fail;
};

static void changed_cb(void *ctx, const struct change *changes, size_t n)
{
	struct bench *t = ctx;
	size_t i;

	for (i = 0; i < n; i++) {
		const struct change *c = &changes[i];

		if (c->table == TABLE_DEPLOYMENTS) {
			deploy_changed(&t->d, (const struct deployment_row *)c->old,
				       (const struct deployment_row *)c->now, &t->b.at);
		} else if (c->table == TABLE_ALLOCS) {
			deploy_alloc_changed(&t->d, (const struct alloc_row *)c->old, (const struct alloc_row *)c->now,
					     &t->b.at);
		}
	}
}

static void open_bench(struct bench *t)
{
	memset(t, 0, sizeof(*t));
	part_bench_open(&t->b);
	deploy_init(&t->d);
	t->b.k.fsm.changed = changed_cb;
	t->b.k.fsm.ctx = t;
	t->node = kit_node(&t->b.k, "n");
}

static void close_bench(struct bench *t)
{
	deploy_close(&t->d);
	part_bench_close(&t->b);
}

static void run(struct bench *t)
{
	enum part_step step;
	unsigned i;

	t->b.at.wall_ns = t->b.k.now;
	for (i = 0; (step = deploy_step(&t->d, part_bench_turn(&t->b))) != STEP_IDLE; i++) {
		assert_true(i < 10000);
		if (step == STEP_COMMAND) {
			struct uuid ref = t->b.turn.ref;
			int status = t->fail;

			if (status == 0) {
				status = part_bench_apply(&t->b)->status;
				assert_int_equal(status, 0);
			}
			deploy_done(&t->d, &ref, status, &t->b.at);
		}
	}
}

static void pass(struct bench *t, int64_t ns)
{
	t->b.at.wall_ns = t->b.k.now;
	part_bench_pass(&t->b, ns);
	run(t);
}

static struct deployment get(struct bench *t)
{
	struct deployment d;

	assert_int_equal(deployment_row_get(state_deployment(t->b.k.v, &t->id), &d, &t->b.k.mem), 0);
	return d;
}

/* A deployment of a new version of job "a", whose task has this name. */
static struct job *job_of(struct bench *t, const char *task)
{
	struct job *job = kit_job(&t->b.k, "a", "service");

	job->task_groups.at[0].tasks.at[0].name = task;
	return job;
}

static void deploy(struct bench *t, const struct job *job, struct deployment_group group)
{
	struct kit *k = &t->b.k;
	struct deployment d;
	struct plan_result p;
	const char *key = "g";
	const struct job_row *row;

	assert_int_equal(kit_register(k, job)->status, 0);
	row = kit_find(k, "a");
	t->id = kit_id(k);
	object_init(&plan_result_type, &p);
	object_init(&deployment_type, &d);
	d.id = kit_text(k, &t->id);
	d.namespace_ = p.namespace_ = "default";
	d.job_id = p.job_id = "a";
	d.job_version = p.job_version = (int64_t)row->version;
	d.job_create_index = p.job_create_index = (int64_t)row->create_index;
	d.status = "running";
	d.status_description = "Deployment is running";
	d.task_groups.keys = &key;
	d.task_groups.at = &group;
	d.task_groups.n = 1;
	p.deployment = &d;
	assert_int_equal(kit_apply(k, COMMAND_PLAN, &p)->status, 0);
	t->n = 0;
	run(t);
}

static void place(struct bench *t, unsigned n, bool canary)
{
	struct uuid eval = kit_id(&t->b.k);
	struct plan_result *p = kit_plan(&t->b.k, "a", &eval, &t->node, n, t->allocs + t->n);
	unsigned i;

	p->deployment_id = uuid_bytes(&t->id);
	for (i = 0; i < n; i++) {
		p->places.at[i].canary = canary;
	}
	assert_int_equal(kit_quick(&t->b.k, COMMAND_PLAN, p)->status, 0);
	t->n += n;
}

static void report(struct bench *t, unsigned i, const char *status, int healthy)
{
	struct alloc_deployment_status health;
	struct alloc_update update;
	struct alloc_reports p;
	struct alloc_report r;

	object_init(&alloc_update_type, &update);
	object_init(&alloc_deployment_status_type, &health);
	update.id = kit_text(&t->b.k, &t->allocs[i]);
	update.client_status = status;
	if (healthy >= 0) {
		health.healthy = (struct opt){healthy, true};
		update.deployment_status = &health;
	}
	assert_int_equal(alloc_report_fill(&r, &update, &t->b.k.mem), 0);
	object_init(&alloc_reports_type, &p);
	p.reports.at = &r;
	p.reports.n = 1;
	kit_apply(&t->b.k, COMMAND_ALLOC_REPORTS, &p);
}

static void healthy(struct bench *t, unsigned i)
{
	report(t, i, "running", 1);
	pass(t, SECOND);
}

static void set_status(struct bench *t, int status)
{
	struct deployment_change p;

	object_init(&deployment_change_type, &p);
	p.id = uuid_bytes(&t->id);
	p.status = status;
	p.description = deployment_status_text(status);
	kit_apply(&t->b.k, COMMAND_DEPLOYMENT_STATUS, &p);
	run(t);
}

/* Version 0 of job "a", which is stable. */
static void first_version(struct bench *t)
{
	deploy(t, job_of(t, "t"), (struct deployment_group){.desired_total = 1, .progress_deadline = 100 * SECOND});
	place(t, 1, false);
	healthy(t, 0);
}

static void it_is_successful_when_all_are_healthy_and_the_version_is_stable(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	deploy(&t, job_of(&t, "t"), (struct deployment_group){.desired_total = 2, .progress_deadline = 100 * SECOND});
	place(&t, 2, false);
	healthy(&t, 0);
	assert_string_equal(get(&t).status, "running");
	healthy(&t, 1);
	assert_string_equal(get(&t).status, "successful");
	assert_string_equal(get(&t).status_description, "Deployment completed successfully");
	assert_true((kit_find(&t.b.k, "a")->flags & JOB_STABLE) != 0);
	assert_int_equal(deploy_active(&t.d), 0);
	assert_int_equal(t.d.evals, 0); /* Of a first version there is nothing to replace. */
	close_bench(&t);
}

/* One that is lost, and whose client tells later that it was healthy, does not stand for the one that is missing. */
static void a_lost_one_that_is_told_healthy_does_not_complete_it(void **state)
{
	static struct bench t;
	struct plan_change change;
	struct plan_result *p;
	struct uuid eval;

	(void)state;
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "new"), (struct deployment_group){.desired_total = 2, .progress_deadline = 100 * SECOND});
	place(&t, 2, false);
	eval = kit_id(&t.b.k);
	p = kit_plan(&t.b.k, "a", &eval, &t.node, 0, NULL);
	object_init(&plan_change_type, &change);
	change.id = uuid_bytes(&t.allocs[1]);
	change.desired = (struct opt){ALLOC_DESIRED_STOP, true};
	change.client = (struct opt){ALLOC_CLIENT_LOST, true};
	p->changes.at = &change;
	p->changes.n = 1;
	assert_int_equal(kit_quick(&t.b.k, COMMAND_PLAN, p)->status, 0);
	healthy(&t, 0);
	healthy(&t, 1);
	assert_int_equal(get(&t).task_groups.at[0].healthy_allocs, 2);
	assert_string_equal(get(&t).status, "running");
	place(&t, 1, false);
	healthy(&t, 2);
	assert_string_equal(get(&t).status, "successful");
	close_bench(&t);
}

static void more_healthy_ones_make_an_evaluation_for_the_next(void **state)
{
	static struct bench t;
	struct evaluation e;

	(void)state;
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "new"), (struct deployment_group){.desired_total = 4, .progress_deadline = 100 * SECOND});
	place(&t, 3, false);
	report(&t, 0, "running", 1);
	report(&t, 1, "running", 1);
	pass(&t, SECOND);
	assert_int_equal(t.d.evals, 1);
	assert_int_equal(eval_row_get(kit_newest_eval(&t.b.k, "a"), &e, &t.b.k.mem), 0);
	assert_string_equal(e.triggered_by, "deployment-watcher");
	assert_string_equal(e.status, "pending");
	assert_string_equal(e.deployment_id, kit_text(&t.b.k, &t.id));
	pass(&t, SECOND);
	assert_int_equal(t.d.evals, 1);
	healthy(&t, 2);
	assert_int_equal(t.d.evals, 2);
	close_bench(&t);
}

static void a_new_leader_makes_the_evaluation_that_may_be_missing(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "new"), (struct deployment_group){.desired_total = 4, .progress_deadline = 100 * SECOND});
	place(&t, 3, false);
	t.fail = ERR_UNKNOWN;
	report(&t, 0, "running", 1);
	run(&t);
	t.fail = 0;
	deploy_reset(&t.d);
	deploy_load(&t.d, state_deployment(t.b.k.v, &t.id), &t.b.at);
	t.d.evals = 0;
	pass(&t, SECOND);
	assert_int_equal(t.d.evals, 1);
	pass(&t, SECOND);
	assert_int_equal(t.d.evals, 1);
	close_bench(&t);
}

static void no_progress_until_the_deadline_fails_it(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	deploy(&t, job_of(&t, "t"), (struct deployment_group){.desired_total = 2, .progress_deadline = 100 * SECOND});
	pass(&t, 1000 * SECOND); /* Nothing was placed yet. */
	place(&t, 2, false);
	pass(&t, 90 * SECOND);
	healthy(&t, 0); /* Progress. */
	pass(&t, 90 * SECOND);
	assert_string_equal(get(&t).status, "running");
	assert_true(deploy_due(&t.d, &t.b.at) < t.b.at.mono_ns + 20 * SECOND);
	pass(&t, 20 * SECOND);
	assert_string_equal(get(&t).status, "failed");
	assert_string_equal(get(&t).status_description, "Failed due to progress deadline");
	close_bench(&t);
}

static void a_failed_one_brings_back_the_stable_version(void **state)
{
	static struct bench t;
	struct job *bad;

	(void)state;
	open_bench(&t);
	first_version(&t);
	bad = job_of(&t, "bad");
	bad->task_groups.at[0].reschedule_policy->attempts = (struct opt){0, true};
	deploy(&t, bad,
	       (struct deployment_group){.desired_total = 1, .progress_deadline = 100 * SECOND, .auto_revert = true});
	place(&t, 1, false);
	report(&t, 0, "running", 0); /* Unhealthy, but it has not ended. */
	pass(&t, SECOND);
	assert_string_equal(get(&t).status, "running");
	report(&t, 0, "failed", 0);
	pass(&t, SECOND);
	assert_string_equal(get(&t).status, "failed");
	assert_string_equal(get(&t).status_description,
			    "Failed due to unhealthy allocations - rolling back to job version 0");
	assert_int_equal(kit_find(&t.b.k, "a")->version, 2);
	assert_true(kit_find(&t.b.k, "a")->spec == state_job_version(t.b.k.v, "default", "a", 0)->spec);
	assert_int_equal(kit_newest_eval(&t.b.k, "a")->trigger, EVAL_TRIGGER_DEPLOYMENT_WATCHER);
	close_bench(&t);
}

static void where_there_is_nothing_to_go_back_to_the_description_says_so(void **state)
{
	static struct bench t;
	struct deployment_group group = {.desired_total = 1, .progress_deadline = 100 * SECOND, .auto_revert = true};

	(void)state;
	open_bench(&t);
	deploy(&t, job_of(&t, "t"), group);
	place(&t, 1, false);
	pass(&t, 200 * SECOND);
	assert_string_equal(get(&t).status_description,
			    "Failed due to progress deadline - no stable job version to auto revert to");
	close_bench(&t);
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "other"), group);
	deploy(&t, job_of(&t, "t"), group); /* Version 2 says what version 0 does. */
	place(&t, 1, false);
	pass(&t, 200 * SECOND);
	assert_string_equal(get(&t).status_description,
			    "Failed due to progress deadline - not rolling back to stable job "
			    "version 0 as current job has same specification");
	close_bench(&t);
}

static void one_that_will_be_rescheduled_does_not_fail_it(void **state)
{
	static struct bench t;
	struct job *job;

	(void)state;
	open_bench(&t);
	job = job_of(&t, "t");
	job->task_groups.at[0].reschedule_policy->unlimited = (struct opt){1, true};
	deploy(&t, job, (struct deployment_group){.desired_total = 1, .progress_deadline = 100 * SECOND});
	place(&t, 1, false);
	report(&t, 0, "failed", 0);
	pass(&t, 50 * SECOND);
	assert_string_equal(get(&t).status, "running");
	pass(&t, 60 * SECOND);
	assert_string_equal(get(&t).status, "failed");
	close_bench(&t);
}

static void without_a_deadline_one_unhealthy_allocation_fails_it(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	deploy(&t, job_of(&t, "t"), (struct deployment_group){.desired_total = 2});
	place(&t, 2, false);
	healthy(&t, 0);
	report(&t, 1, "running", 0);
	pass(&t, SECOND);
	assert_string_equal(get(&t).status_description, "Failed due to unhealthy allocations");
	close_bench(&t);
}

static void healthy_canaries_wait_for_a_person(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "new"),
	       (struct deployment_group){.desired_total = 3, .desired_canaries = 1, .progress_deadline = 100 * SECOND});
	place(&t, 1, true);
	healthy(&t, 0);
	pass(&t, 10000 * SECOND);
	assert_string_equal(get(&t).status, "running");
	close_bench(&t);
}

static void canaries_that_are_not_healthy_in_time_fail_it(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "new"),
	       (struct deployment_group){.desired_total = 3, .desired_canaries = 1, .progress_deadline = 100 * SECOND});
	place(&t, 1, true);
	pass(&t, 101 * SECOND);
	assert_string_equal(get(&t).status, "failed");
	close_bench(&t);
}

static void with_auto_promote_they_go_on_by_themselves(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	first_version(&t);
	deploy(&t, job_of(&t, "new"),
	       (struct deployment_group){.desired_total = 2,
					 .desired_canaries = 2,
					 .progress_deadline = 100 * SECOND,
					 .auto_promote = true});
	place(&t, 2, true);
	healthy(&t, 0);
	assert_false(get(&t).task_groups.at[0].promoted);
	healthy(&t, 1);
	assert_true(get(&t).task_groups.at[0].promoted);
	pass(&t, SECOND);
	assert_string_equal(get(&t).status, "successful");
	close_bench(&t);
}

static void a_pause_stops_everything_and_gives_the_time_back(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	deploy(&t, job_of(&t, "t"), (struct deployment_group){.desired_total = 1, .progress_deadline = 100 * SECOND});
	place(&t, 1, false);
	set_status(&t, DEPLOYMENT_STATUS_PAUSED);
	pass(&t, 500 * SECOND);
	assert_string_equal(get(&t).status, "paused");
	set_status(&t, DEPLOYMENT_STATUS_RUNNING);
	pass(&t, 90 * SECOND);
	assert_string_equal(get(&t).status, "running");
	pass(&t, 20 * SECOND);
	assert_string_equal(get(&t).status, "failed");
	close_bench(&t);
}

static void a_command_that_fails_is_asked_for_again(void **state)
{
	static struct bench t;

	(void)state;
	open_bench(&t);
	deploy(&t, job_of(&t, "t"), (struct deployment_group){.desired_total = 1, .progress_deadline = 100 * SECOND});
	place(&t, 1, false);
	t.fail = ERR_BUSY;
	healthy(&t, 0);
	assert_string_equal(get(&t).status, "running");
	t.fail = 0;
	pass(&t, SECOND);
	assert_string_equal(get(&t).status, "successful");
	close_bench(&t);
}

static void many_allocations_are_looked_at_in_slices(void **state)
{
	static struct bench t;
	enum part_step step;
	unsigned slices = 0;
	struct job *job;

	(void)state;
	open_bench(&t);
	job = job_of(&t, "t");
	job->task_groups.at[0].reschedule_policy->attempts = (struct opt){0, true};
	deploy(&t, job, (struct deployment_group){.desired_total = 2500, .progress_deadline = 100 * SECOND});
	place(&t, 2500, false);
	report(&t, 2499, "failed", 0);
	part_bench_pass(&t.b, SECOND);
	while ((step = deploy_step(&t.d, part_bench_turn(&t.b))) == STEP_MORE) {
		slices++;
		report(&t, slices, "running", -1); /* Things go on meanwhile. */
	}
	assert_int_equal(step, STEP_COMMAND);
	assert_int_equal(slices, 2);
	part_bench_apply(&t.b);
	assert_string_equal(get(&t).status, "failed");
	close_bench(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_successful_when_all_are_healthy_and_the_version_is_stable),
		cmocka_unit_test(a_lost_one_that_is_told_healthy_does_not_complete_it),
		cmocka_unit_test(more_healthy_ones_make_an_evaluation_for_the_next),
		cmocka_unit_test(a_new_leader_makes_the_evaluation_that_may_be_missing),
		cmocka_unit_test(no_progress_until_the_deadline_fails_it),
		cmocka_unit_test(a_failed_one_brings_back_the_stable_version),
		cmocka_unit_test(where_there_is_nothing_to_go_back_to_the_description_says_so),
		cmocka_unit_test(one_that_will_be_rescheduled_does_not_fail_it),
		cmocka_unit_test(without_a_deadline_one_unhealthy_allocation_fails_it),
		cmocka_unit_test(healthy_canaries_wait_for_a_person),
		cmocka_unit_test(canaries_that_are_not_healthy_in_time_fail_it),
		cmocka_unit_test(with_auto_promote_they_go_on_by_themselves),
		cmocka_unit_test(a_pause_stops_everything_and_gives_the_time_back),
		cmocka_unit_test(a_command_that_fails_is_asked_for_again),
		cmocka_unit_test(many_allocations_are_looked_at_in_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
