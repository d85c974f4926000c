/** One API for all tests of a file, made anew for each. */
#ifndef TEST_UNIT_SERVER_API_CASE_H_
#define TEST_UNIT_SERVER_API_CASE_H_

#include "test/unit/server/api_bed.h"

static struct bed b;

static inline int open_bed(void **state)
{
	(void)state;
	bed_open(&b);
	return 0;
}

static inline int close_bed(void **state)
{
	(void)state;
	bed_close(&b);
	return 0;
}

#define CASE(name) static void name(void **state __attribute__((unused)))
#define T(name) cmocka_unit_test_setup_teardown(name, open_bed, close_bed)

#endif /* TEST_UNIT_SERVER_API_CASE_H_ */
