#include "test/unit/unit.h"

#include "lib/meter.h"

static void nothing_has_no_quantiles(void **state)
{
	struct histogram h = {0};
	struct quantiles q;

	(void)state;
	histogram_take(&h, &q);
	assert_int_equal(q.longest_ns, 0);
	assert_int_equal(q.p99_ns, 0);
	assert_int_equal(q.p999_ns, 0);
}

static void a_quantile_is_at_most_an_eighth_too_high(void **state)
{
	struct histogram h = {0};
	struct quantiles q;
	uint64_t ns;

	(void)state;
	for (ns = 1; ns < UINT64_C(16000000000); ns += ns / 3 + 1) {
		for (int i = 0; i < 10; i++) {
			histogram_add(&h, ns);
		}
		histogram_add(&h, ns * 4); /* So that the quantile is not cut at the longest. */
		histogram_take(&h, &q);
		assert_int_equal(q.longest_ns, ns * 4);
		for (int i = 0; i < 2000; i++) {
			histogram_add(&h, ns);
		}
		histogram_add(&h, ns * 4);
		histogram_take(&h, &q);
		assert_true(q.p999_ns > ns || q.p999_ns == ns * 4);
		assert_true(q.p999_ns <= ns + ns / 8 + 1024);
	}
}

static void one_in_a_thousand_counts_for_the_longest_alone(void **state)
{
	struct histogram h = {0};
	struct quantiles q;

	(void)state;
	for (int i = 0; i < 999; i++) {
		histogram_add(&h, i < 985 ? 10000 : 1000000);
	}
	histogram_add(&h, 50000000);
	histogram_take(&h, &q);
	assert_int_equal(q.longest_ns, 50000000);
	assert_in_range(q.p999_ns, 1000000, 1200000);
	assert_in_range(q.p99_ns, 1000000, 1200000);
	histogram_take(&h, &q);
	assert_int_equal(q.longest_ns, 0);
}

static void what_is_too_long_for_the_histogram_is_counted(void **state)
{
	struct histogram h = {0};
	struct quantiles q;

	(void)state;
	histogram_add(&h, UINT64_MAX);
	histogram_take(&h, &q);
	assert_true(q.longest_ns == UINT64_MAX);
	assert_true(q.p999_ns >= UINT64_C(16000000000));
}

static void waiting_is_no_part_of_a_turn(void **state)
{
	struct meter m = {0};
	struct meter_stats s;
	volatile unsigned work = 0;

	(void)state;
	meter_begin(&m, 1000, 500);
	meter_note(&m, 5001000, 4000500);
	meter_look(&m, &s);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.clock.longest_ns, 1000000);
	while (work < 1000000) {
		work++;
	}
	meter_note(&m, 5001001, 4000500);
	meter_look(&m, &s);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.clock.longest_ns, 1);
	assert_true(s.cpu.longest_ns > 100000); /* It was on a processor, whatever the clock was told. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_has_no_quantiles),
		cmocka_unit_test(a_quantile_is_at_most_an_eighth_too_high),
		cmocka_unit_test(one_in_a_thousand_counts_for_the_longest_alone),
		cmocka_unit_test(what_is_too_long_for_the_histogram_is_counted),
		cmocka_unit_test(waiting_is_no_part_of_a_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
