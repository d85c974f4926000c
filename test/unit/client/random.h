/** Random numbers for tests: from a seed that is printed, and that DROVER_SEED may give. */
#ifndef TEST_UNIT_CLIENT_RANDOM_H_
#define TEST_UNIT_CLIENT_RANDOM_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct random {
	uint64_t state;
};

static inline struct random random_begin(const char *what)
{
	const char *given = getenv("DROVER_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("%s: DROVER_SEED=%llu\n", what, (unsigned long long)seed);
	return (struct random){seed};
}

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to n - 1. */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)(random_next(r) % n);
}

#endif /* TEST_UNIT_CLIENT_RANDOM_H_ */
