/** A test of a scheduler: a bed of its own, and a list of functions. */
#ifndef TEST_UNIT_SERVER_SCHED_CASE_H_
#define TEST_UNIT_SERVER_SCHED_CASE_H_

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

/* CASES(X) names them all; CASE(name) { ... } defines one. */
#define CASE(name)                                                                                                     \
	static void name(void **state_);                                                                               \
	static void name##_(void);                                                                                     \
	static void name(void **state_)                                                                                \
	{                                                                                                              \
		(void)state_;                                                                                          \
		name##_();                                                                                             \
	}                                                                                                              \
	static void name##_(void)

#define RUN_CASES(CASES)                                                                                               \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const struct CMUnitTest tests[] = {CASES(CASE_ENTRY)};                                                 \
		return cmocka_run_group_tests(tests, NULL, NULL);                                                      \
	}
#define CASE_ENTRY(name) cmocka_unit_test_setup_teardown(name, setup, teardown),

#endif /* TEST_UNIT_SERVER_SCHED_CASE_H_ */
