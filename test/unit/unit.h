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

#include <cmocka.h>

#endif /* TEST_UNIT_H_ */
