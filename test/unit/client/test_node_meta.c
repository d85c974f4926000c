/* Metadata that is laid over the configuration's. */
#include "test/unit/unit.h"

#include "client/node_meta.h"
#include "proto/error.h"

static struct arena mem;

static int teardown(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

static int parse(const char *json, struct map *out, const char **why)
{
	return node_meta_parse(json, strlen(json), out, why, &mem);
}

static void assert_pair(const struct map *map, uint32_t i, const char *key, const char *value)
{
	assert_true(i < map->n);
	assert_string_equal(map->at[i].key, key);
	if (value == NULL) {
		assert_null(map->at[i].value);
	} else {
		assert_string_equal(map->at[i].value, value);
	}
}

static void changes_lie_over_each_other_in_order_of_their_keys(void **state)
{
	struct map over = {0};
	const char *why;

	(void)state;
	assert_int_equal(parse("{\"m\":\"1\",\"a\":\"2\",\"z\":null}", &over, &why), 0);
	assert_int_equal(over.n, 3);
	assert_pair(&over, 0, "a", "2");
	assert_pair(&over, 1, "m", "1");
	assert_pair(&over, 2, "z", NULL);
	assert_int_equal(parse("{\"m\":null,\"b\":\"\"}", &over, &why), 0);
	assert_int_equal(over.n, 4);
	assert_pair(&over, 1, "b", "");
	assert_pair(&over, 2, "m", NULL);
	assert_int_equal(parse("{}", &over, &why), 0);
	assert_int_equal(over.n, 4);
}

static void what_is_unset_is_taken_out_of_the_configuration(void **state)
{
	struct pair given[] = {{"rack", "r1"}, {"b", "x"}, {"a", "y"}};
	const struct map fixed = {given, 3};
	struct map over = {0};
	struct map all;
	const char *why;

	(void)state;
	assert_int_equal(parse("{\"rack\":null,\"b\":\"z\",\"c\":\"w\",\"none\":null}", &over, &why), 0);
	assert_int_equal(node_meta_merge(&fixed, &over, &all, &mem), 0);
	assert_int_equal(all.n, 3);
	assert_pair(&all, 0, "a", "y");
	assert_pair(&all, 1, "b", "z");
	assert_pair(&all, 2, "c", "w");
}

static void what_is_no_metadata_changes_nothing_and_is_told(void **state)
{
	static const char *const bad[][2] = {{"[]", "object"},
					     {"", "object"},
					     {"{\"a\":1}", "strings"},
					     {"{\"a\":{}}", "strings"},
					     {"{\"b\":\"1\",\"a\"}", "strings"},
					     {"{\"b\":\"1\"", "object"},
					     {"{\"\":\"1\"}", "must not be empty"},
					     {"{\"a b\":\"1\"}", "spaces"},
					     {"{\"a}\":null}", "braces"}};
	struct map over = {0};
	const char *why;
	size_t i;

	(void)state;
	assert_int_equal(parse("{\"k\":\"v\"}", &over, &why), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i][0], &over, &why), ERR_INVALID);
		assert_non_null(strstr(why, bad[i][1]));
		assert_int_equal(over.n, 1);
	}
}

static void keys_are_bounded_in_number_and_length(void **state)
{
	struct map over = {0};
	const char *why;
	char json[400];
	int i;

	(void)state;
	for (i = 0; i < NODE_META_KEYS_MAX; i++) {
		snprintf(json, sizeof(json), "{\"k%d\":\"v\"}", i);
		assert_int_equal(parse(json, &over, &why), 0);
	}
	assert_int_equal(parse("{\"k0\":\"again\"}", &over, &why), 0);
	assert_int_equal(parse("{\"one more\":\"v\"}", &over, &why), ERR_INVALID);
	assert_int_equal(parse("{\"onemore\":\"v\"}", &over, &why), ERR_INVALID);
	assert_non_null(strstr(why, "1024"));
	assert_int_equal(over.n, NODE_META_KEYS_MAX);
	over.n = 0;
	memset(json, 'k', sizeof(json));
	memcpy(json, "{\"", 2);
	strcpy(json + 300, "\":\"v\"}");
	assert_int_equal(parse(json, &over, &why), ERR_INVALID);
	assert_non_null(strstr(why, "256"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(changes_lie_over_each_other_in_order_of_their_keys, teardown),
		cmocka_unit_test_teardown(what_is_unset_is_taken_out_of_the_configuration, teardown),
		cmocka_unit_test_teardown(what_is_no_metadata_changes_nothing_and_is_told, teardown),
		cmocka_unit_test_teardown(keys_are_bounded_in_number_and_length, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
