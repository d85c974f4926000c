#include "test/unit/unit.h"

#include "lib/hindex.h"

enum { KEYS = 2000 };

static bool same(const void *array, uint32_t i, const void *key)
{
	return ((const uint64_t *)array)[i] == *(const uint64_t *)key;
}

/* Few distinct low bits, so that runs of slots are long and wrap around. */
static uint64_t bad_hash(uint64_t key)
{
	return key % 7;
}

static uint64_t good_hash(uint64_t key)
{
	return key * 0x9E3779B97F4A7C15u;
}

static void compare(const struct hindex *x, const uint64_t *keys, const bool *in, uint64_t (*hash)(uint64_t),
		    uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint32_t found = hindex_find(x, hash(keys[i]), same, keys, &keys[i]);

		assert_int_equal(found, in[i] ? i : HINDEX_NONE);
	}
}

static void against_a_model(uint64_t (*hash)(uint64_t), uint32_t n, unsigned seed)
{
	static uint64_t keys[KEYS];
	bool in[KEYS] = {false};
	struct hindex x = {0};
	unsigned step;
	uint32_t i;

	printf("seed %u\n", seed);
	srand(seed);
	for (i = 0; i < n; i++) {
		keys[i] = (uint64_t)i * 3 + 1;
	}
	for (step = 0; step < 20 * n; step++) {
		i = (uint32_t)rand() % n;
		if (in[i]) {
			hindex_remove(&x, hash(keys[i]), i);
		} else {
			assert_true(hindex_add(&x, hash(keys[i]), i));
		}
		in[i] = !in[i];
		if (step % n == 0) {
			compare(&x, keys, in, hash, n);
		}
	}
	compare(&x, keys, in, hash, n);
	hindex_clear(&x);
	assert_int_equal(x.n, 0);
	hindex_close(&x);
}

static void finds_what_was_added_and_not_removed(void **state)
{
	(void)state;
	against_a_model(good_hash, KEYS, 1);
}

static void works_when_hashes_collide(void **state)
{
	(void)state;
	against_a_model(bad_hash, 60, 2);
}

static void finds_nothing_when_empty(void **state)
{
	struct hindex x = {0};
	uint64_t key = 1;

	(void)state;
	assert_int_equal(hindex_find(&x, 1, same, &key, &key), HINDEX_NONE);
	hindex_clear(&x);
	hindex_close(&x);
}

static void an_element_can_get_another_number(void **state)
{
	uint64_t keys[2] = {5, 5};
	struct hindex x = {0};

	(void)state;
	assert_true(hindex_add(&x, 5, 0));
	hindex_move(&x, 5, 0, 1);
	assert_int_equal(hindex_find(&x, 5, same, keys, &keys[0]), 1);
	hindex_close(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added_and_not_removed),
		cmocka_unit_test(works_when_hashes_collide),
		cmocka_unit_test(finds_nothing_when_empty),
		cmocka_unit_test(an_element_can_get_another_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
