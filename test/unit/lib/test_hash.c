#include "test/unit/unit.h"

#include "lib/hash.h"
#include "lib/list.h"

enum { N = 500 };

struct thing {
	struct hash_link link;
	unsigned key;
	bool in;
};

static uint64_t good(unsigned key)
{
	return key * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t bad(unsigned key)
{
	return key % 5;
}

static struct thing *find(const struct hash_table *t, uint64_t hash, unsigned key)
{
	struct hash_link *l;

	for (l = hash_first(t, hash); l != NULL; l = hash_next(l)) {
		struct thing *thing = CONTAINER_OF(l, struct thing, link);

		assert_true(l->hash == hash);
		if (thing->key == key) {
			return thing;
		}
	}
	return NULL;
}

static size_t walk(const struct hash_table *t)
{
	const struct hash_link *l;
	size_t n = 0;

	for (l = hash_walk(t, NULL); l != NULL; l = hash_walk(t, l)) {
		assert_true(CONTAINER_OF(l, struct thing, link)->in);
		n++;
	}
	return n;
}

static void against_a_model(uint64_t (*hash)(unsigned key), unsigned seed)
{
	static struct thing things[N];
	struct hash_table t = {0};
	size_t n = 0;
	unsigned i;

	printf("seed %u\n", seed);
	srand(seed);
	memset(things, 0, sizeof(things));
	for (i = 0; i < 20000; i++) {
		struct thing *thing = &things[rand() % N];

		thing->key = (unsigned)(thing - things);
		assert_ptr_equal(find(&t, hash(thing->key), thing->key), thing->in ? thing : NULL);
		if (thing->in) {
			hash_remove(&t, &thing->link);
		} else {
			hash_add(&t, &thing->link, hash(thing->key));
		}
		thing->in = !thing->in;
		n = thing->in ? n + 1 : n - 1;
		assert_int_equal(t.n, n);
		if (i < 2000 || i % 100 == 0) {
			assert_int_equal(walk(&t), n);
		}
	}
	while (n > 0) {
		struct thing *thing = CONTAINER_OF(hash_pop(&t), struct thing, link);

		assert_true(thing->in);
		thing->in = false;
		n--;
	}
	assert_null(hash_pop(&t));
	hash_close(&t);
}

static void it_holds_what_was_added_and_not_removed(void **state)
{
	(void)state;
	against_a_model(good, 1);
}

static void equal_hashes_are_told_apart_by_the_caller(void **state)
{
	(void)state;
	against_a_model(bad, 2);
}

static void an_empty_table_has_nothing(void **state)
{
	struct hash_table t = {0};

	(void)state;
	assert_null(hash_first(&t, 7));
	assert_null(hash_walk(&t, NULL));
	assert_null(hash_pop(&t));
	hash_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_holds_what_was_added_and_not_removed),
		cmocka_unit_test(equal_hashes_are_told_apart_by_the_caller),
		cmocka_unit_test(an_empty_table_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
