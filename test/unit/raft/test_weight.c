#include "test/unit/unit.h"

#include "raft/weight.h"

#include <stdbool.h>

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* The truth: the bytes of each entry from `first` on. */
enum { MAX = 20000 };
static uint64_t bytes[MAX];

static uint64_t above(uint64_t index, uint64_t last)
{
	uint64_t sum = 0;

	while (last > index) {
		sum += bytes[last--];
	}
	return sum;
}

static void answers_are_right_to_a_step(void **state)
{
	const char *text = getenv("SEED");
	struct weight w;
	uint64_t first = 0; /* All up to it are gone. */
	uint64_t last = 0;
	uint64_t truncations = 0;

	(void)state;
	seed = text != NULL ? strtoull(text, NULL, 0) : 1;
	print_message("seed %llu\n", (unsigned long long)seed);
	weight_reset(&w, 0);
	for (unsigned round = 0; round < 30000; round++) {
		uint64_t size = rnd(4) == 0 ? rnd(100000) : rnd(300);
		uint64_t slack;
		uint64_t index;

		if (last + 1 == MAX) {
			weight_reset(&w, 0);
			first = last = truncations = 0;
		}
		if (rnd(2000) == 0 && last > first) { /* A truncation, of few. */
			last -= rnd(last - first < 5 ? last - first : 5);
			truncations++;
		}
		bytes[++last] = size;
		weight_append(&w, last, size);
		if (rnd(500) == 0 && last > first) {
			first += rnd(last - first);
			weight_forget(&w, first);
		}
		if (round % 17 != 0) {
			continue;
		}
		/* Each truncation may have lost up to a step, and a point is a step away. */
		slack = (2 + truncations) * (w.step + 100000);
		index = first + rnd(last - first + 1);
		assert_true(weight_above(&w, index) <= above(index, last) + slack);
		assert_true(weight_above(&w, index) + slack >= above(index, last));
		index = weight_index(&w, 1 << 20);
		assert_true(index >= first && index <= last);
		assert_true(above(index, last) <= (1 << 20) + slack || index + 1 == last);
	}
}

static void an_empty_log_weighs_nothing(void **state)
{
	struct weight w;

	(void)state;
	weight_reset(&w, 500);
	assert_int_equal(weight_above(&w, 500), 0);
	assert_int_equal(weight_above(&w, 0), 0);
	assert_int_equal(weight_index(&w, 100), 500);
	weight_append(&w, 501, 1 << 30);
	assert_int_equal(weight_above(&w, 500), 1 << 30);
	assert_int_equal(weight_above(&w, 501), 0);
	assert_int_equal(weight_index(&w, 100), 500);
	weight_forget(&w, 501);
	assert_int_equal(weight_above(&w, 0), 0);
}

static void many_points_are_thinned_out(void **state)
{
	struct weight w;

	(void)state;
	weight_reset(&w, 0);
	for (uint64_t i = 1; i <= 1000000; i++) {
		weight_append(&w, i, 1024);
	}
	assert_true(w.n <= WEIGHT_POINTS);
	assert_true(weight_above(&w, 500000) >= 500000 * 1024ULL);
	assert_true(weight_above(&w, 500000) < 520000 * 1024ULL);
	weight_forget(&w, 999999);
	assert_true(w.n < 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_right_to_a_step),
		cmocka_unit_test(an_empty_log_weighs_nothing),
		cmocka_unit_test(many_points_are_thinned_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
