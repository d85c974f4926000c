#include "test/unit/unit.h"

#include <time.h>

#include "server/cache.h"

static struct http_body *body_of(const char *text)
{
	struct buf b = {0};
	struct http_body *body;

	buf_str(&b, text);
	body = http_body_new(&b);
	assert_non_null(body);
	return body;
}

static void keep(struct cache *c, const char *key, uint64_t stamp, const char *text)
{
	struct http_body *body = body_of(text);

	cache_put(c, key, strlen(key), stamp, body);
	http_body_put(body);
}

static bool has(struct cache *c, const char *key, uint64_t stamp, const char *text)
{
	struct http_body *body = cache_get(c, key, strlen(key), stamp);
	bool same = body != NULL && body->len == strlen(text) && memcmp(body->at, text, body->len) == 0;

	http_body_put(body);
	return same;
}

static void what_was_put_is_found_while_its_stamp_holds(void **state)
{
	struct cache *c = cache_new(100000);
	struct cache_stats s;

	(void)state;
	keep(c, "/v1/jobs", 1, "old");
	keep(c, "/v1/nodes", 1, "nodes");
	assert_true(has(c, "/v1/jobs", 1, "old"));
	assert_false(has(c, "/v1/jobs", 2, "old"));
	assert_false(has(c, "/v1/jobs", 1, "old")); /* It is forgotten. */
	keep(c, "/v1/jobs", 2, "new");
	keep(c, "/v1/jobs", 3, "newer");
	assert_true(has(c, "/v1/jobs", 3, "newer"));
	assert_true(has(c, "/v1/nodes", 1, "nodes"));
	cache_get_stats(c, &s);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.hits, 3);
	assert_int_equal(s.misses, 2);
	cache_free(c);
}

static void the_least_used_go_first(void **state)
{
	struct cache *c = cache_new(64 * 1024);
	struct cache_stats s;
	char key[32];
	char *kib = malloc(1025);

	(void)state;
	memset(kib, 'x', 1024);
	kib[1024] = '\0';
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		keep(c, key, 1, kib);
		assert_true(has(c, "key 0", 1, kib)); /* Used all the time. */
		cache_get_stats(c, &s);
		assert_true(s.bytes <= 64 * 1024);
	}
	assert_false(has(c, "key 1", 1, kib));
	assert_true(has(c, "key 999", 1, kib));
	assert_true(s.n > 40);
	cache_free(c);
	free(kib);
}

static void what_is_too_large_is_not_kept(void **state)
{
	struct cache *c = cache_new(8000);
	char *big = malloc(1001);

	(void)state;
	memset(big, 'x', 1000);
	big[1000] = '\0';
	keep(c, "k", 1, "small");
	keep(c, "k", 1, big);
	assert_false(has(c, "k", 1, big));
	assert_false(has(c, "k", 1, "small"));
	cache_free(c);
	free(big);
}

static void a_body_outlives_the_cache(void **state)
{
	struct cache *c = cache_new(8000);
	struct http_body *body;

	(void)state;
	keep(c, "k", 1, "text");
	body = cache_get(c, "k", 1, 1);
	cache_free(c);
	assert_memory_equal(body->at, "text", 4);
	http_body_put(body);
}

static void it_agrees_with_a_plain_table(void **state)
{
	enum { KEYS = 2000 };
	static uint64_t stamps[KEYS];
	struct cache *c = cache_new(100 << 20);
	unsigned seed = unit_seed();
	char key[32];
	char text[64];

	(void)state;
	srandom(seed);
	for (int i = 0; i < 50000; i++) {
		int k = (int)(random() % KEYS);

		snprintf(key, sizeof(key), "%d", k);
		if (random() % 3 == 0) {
			stamps[k]++;
			snprintf(text, sizeof(text), "%d at %lu", k, (unsigned long)stamps[k]);
			keep(c, key, stamps[k], text);
		} else if (stamps[k] > 0) {
			snprintf(text, sizeof(text), "%d at %lu", k, (unsigned long)stamps[k]);
			assert_true(has(c, key, stamps[k], text));
		} else {
			assert_false(has(c, key, 0, ""));
		}
	}
	cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_found_while_its_stamp_holds),
		cmocka_unit_test(the_least_used_go_first),
		cmocka_unit_test(what_is_too_large_is_not_kept),
		cmocka_unit_test(a_body_outlives_the_cache),
		cmocka_unit_test(it_agrees_with_a_plain_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
