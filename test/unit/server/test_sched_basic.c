#include "test/unit/unit.h"

#include "test/unit/server/sched_bed.h"

static struct bed b;

static int setup(void **state)
{
	(void)state;
	bed_open(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bed_close(&b);
	return 0;
}

static void a_job_is_placed(void **state)
{
	struct uuid eval;
	const struct alloc_row *a;

	(void)state;
	bed_node(&b, "{}");
	eval = bed_register_simple(&b, "web", "service", 3, "", "");
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 3);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	a = bed_alloc(&b, "web", 2);
	assert_non_null(a);
	assert_true(uuid_equal(&a->eval_id, &eval));
	assert_int_equal(a->cpu_mhz, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_job_is_placed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
