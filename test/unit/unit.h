/** What every unit test includes: cmocka and the headers it wants before it. */
#ifndef TEST_UNIT_H_
#define TEST_UNIT_H_

#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/** A seed for random(): $SEED, or a new one. It is printed as scripts/check looks for it when a test has failed. */
static inline unsigned unit_seed(void)
{
	const char *given = getenv("SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

	print_message("SEED=%u\n", seed);
	return seed;
}

#endif /* TEST_UNIT_H_ */
