#include "test/unit/unit.h"

#include "client/restart.h"

#define S NS_PER_S

static struct restart policy(int64_t attempts, int64_t interval_ns, int64_t delay_ns, const char *mode, const char *job)
{
	struct restart_policy p;
	struct restart r = {0};

	object_init(&restart_policy_type, &p);
	p.attempts = (struct opt){attempts, true};
	p.interval = (struct opt){interval_ns, true};
	p.delay = (struct opt){delay_ns, true};
	p.mode = mode;
	restart_set_policy(&r, &p, job, NULL);
	return r;
}

static void attempts_within_the_interval_are_granted(void **state)
{
	struct restart r = policy(2, 60 * S, S / 5, "fail", "batch");
	struct restart_answer a;

	(void)state;
	a = restart_judge(&r, RESTART_FAILURE, 1000 * S, 0);
	assert_int_equal(a.verdict, RESTART_AGAIN);
	assert_string_equal(a.reason, "Restart within policy");
	assert_int_equal(a.delay_ns, S / 5);
	a = restart_judge(&r, RESTART_FAILURE, 1001 * S, UINT64_MAX);
	assert_int_equal(a.verdict, RESTART_AGAIN);
	assert_in_range(a.delay_ns, S / 5 + 1, S / 4);
	a = restart_judge(&r, RESTART_FAILURE, 1002 * S, 0);
	assert_int_equal(a.verdict, RESTART_NEVER);
	assert_string_equal(a.reason, "Exceeded allowed attempts 2 in interval 1m0s and mode is \"fail\"");
}

static void a_new_interval_begins_with_the_first_end_after_the_old_one(void **state)
{
	struct restart r = policy(1, 60 * S, S, "fail", "service");

	(void)state;
	assert_int_equal(restart_judge(&r, RESTART_FAILURE, 1000 * S, 0).verdict, RESTART_AGAIN);
	assert_int_equal(restart_judge(&r, RESTART_FAILURE, 1060 * S, 0).verdict, RESTART_AGAIN);
	assert_int_equal(restart_judge(&r, RESTART_FAILURE, 1100 * S, 0).verdict, RESTART_NEVER);
}

static void mode_delay_waits_for_the_end_of_the_interval(void **state)
{
	struct restart r = policy(1, 60 * S, S, "delay", "service");
	struct restart_answer a;

	(void)state;
	restart_judge(&r, RESTART_FAILURE, 1000 * S, 0);
	a = restart_judge(&r, RESTART_FAILURE, 1010 * S, 0);
	assert_int_equal(a.verdict, RESTART_AGAIN);
	assert_int_equal(a.delay_ns, 50 * S);
	assert_string_equal(a.reason, "Exceeded allowed attempts, applying a delay");
	assert_string_equal(restart_judge(&r, RESTART_FAILURE, 1060 * S, 0).reason, "Restart within policy");
}

static void no_attempts_are_told_as_such(void **state)
{
	struct restart r = policy(0, 60 * S, S, "fail", "batch");
	struct restart_answer a = restart_judge(&r, RESTART_FAILURE, 1, 0);

	(void)state;
	assert_int_equal(a.verdict, RESTART_NEVER);
	assert_string_equal(a.reason, "Policy allows no restarts");
	a = restart_judge(&r, RESTART_UNRECOVERABLE, 1, 0);
	assert_int_equal(a.verdict, RESTART_NEVER);
	assert_string_equal(a.reason, "Policy allows no restarts");
}

static void what_cannot_be_cured_is_not_tried_again(void **state)
{
	struct restart r = policy(9, 60 * S, S, "delay", "service");
	struct restart_answer a = restart_judge(&r, RESTART_UNRECOVERABLE, 1, 0);

	(void)state;
	assert_int_equal(a.verdict, RESTART_NEVER);
	assert_string_equal(a.reason, "Error was unrecoverable");
}

static void success_ends_a_batch_task_and_restarts_a_service(void **state)
{
	struct restart batch = policy(0, 60 * S, S, "fail", "batch");
	struct restart service = policy(1, 60 * S, S, "fail", "service");

	(void)state;
	assert_int_equal(restart_judge(&batch, RESTART_SUCCESS, 1, 0).verdict, RESTART_DONE);
	assert_int_equal(restart_judge(&service, RESTART_SUCCESS, 1, 0).verdict, RESTART_AGAIN);
}

static void lifecycle_decides_over_the_job_type(void **state)
{
	struct lifecycle l = {.hook = "prestart", .sidecar = false};
	struct restart r = {0};

	(void)state;
	restart_set_policy(&r, NULL, "service", &l);
	assert_false(r.on_success);
	l.sidecar = true;
	restart_set_policy(&r, NULL, "batch", &l);
	assert_true(r.on_success);
	l.hook = "poststop";
	restart_set_policy(&r, NULL, "service", &l);
	assert_false(r.on_success);
}

static void a_clock_set_back_begins_a_new_interval(void **state)
{
	struct restart r = policy(1, 60 * S, S, "delay", "service");

	(void)state;
	restart_judge(&r, RESTART_FAILURE, 100000 * S, 0);
	assert_int_equal(restart_judge(&r, RESTART_FAILURE, 5 * S, 0).delay_ns, S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(attempts_within_the_interval_are_granted),
	        cmocka_unit_test(a_new_interval_begins_with_the_first_end_after_the_old_one),
	        cmocka_unit_test(mode_delay_waits_for_the_end_of_the_interval),
	        cmocka_unit_test(no_attempts_are_told_as_such),
	        cmocka_unit_test(what_cannot_be_cured_is_not_tried_again),
	        cmocka_unit_test(success_ends_a_batch_task_and_restarts_a_service),
	        cmocka_unit_test(lifecycle_decides_over_the_job_type),
	        cmocka_unit_test(a_clock_set_back_begins_a_new_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
