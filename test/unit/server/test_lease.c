#include "test/unit/unit.h"

#include "server/lease.h"

enum { ELECTION = 200, LEASE = 180, NOW = 10000 };

static void it_counts_from_what_a_majority_has_answered(void **state)
{
	uint64_t all[] = {NOW - 20, NOW, NOW - 10};
	uint64_t most[] = {NOW, 0, NOW - 150};
	uint64_t half[] = {NOW, NOW - 10, 0, 0};
	uint64_t five[] = {NOW, NOW - 1000, NOW - 70, 0, NOW - 80};
	uint64_t alone[] = {NOW};

	(void)state;
	assert_int_equal(lease_until(ELECTION, all, 3), NOW - 10 + LEASE);
	assert_int_equal(lease_until(ELECTION, most, 3), NOW - 150 + LEASE);
	assert_int_equal(lease_until(ELECTION, half, 4), 0);
	assert_int_equal(lease_until(ELECTION, five, 5), NOW - 80 + LEASE);
	assert_int_equal(lease_until(ELECTION, alone, 1), NOW + LEASE);
	assert_int_equal(lease_until(ELECTION, alone, 0), 0);
}

static void after_a_pause_old_answers_count_for_nothing(void **state)
{
	uint64_t before[] = {NOW + 1000, NOW, NOW};

	(void)state;
	assert_true(lease_until(ELECTION, before, 3) < NOW + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_counts_from_what_a_majority_has_answered),
		cmocka_unit_test(after_a_pause_old_answers_count_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
