#include "test/unit/unit.h"

#include "lib/uuid.h"

static const char text[] = "0123abcd-4567-89ef-0123-456789abcdef";

static void text_survives_a_round_trip(void **state)
{
	struct uuid u;
	char out[UUID_TEXT];

	(void)state;
	assert_true(uuid_parse(text, strlen(text), &u));
	uuid_format(&u, out);
	assert_string_equal(out, text);
	assert_true(uuid_parse("0123ABCD-4567-89EF-0123-456789ABCDEF", 36, &u));
	uuid_format(&u, out);
	assert_string_equal(out, text);
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = {"", "xyz", "0123abcd-4567-89ef-0123-456789abcde", "0123abcd-4567-89ef-0123-456789abcdef0",
	                                  "0123abcd04567-89ef-0123-456789abcdef", "0123abcd-4567-89ef-0123-456789abcdeg",
	                                  "0123abc--4567-89ef-0123-456789abcdef"};
	struct uuid u = {{7}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(uuid_parse(bad[i], strlen(bad[i]), &u));
	}
	assert_int_equal(u.at[0], 7);
}

static void the_zero_is_an_empty_text(void **state)
{
	struct uuid u = {{0}};
	char out[UUID_TEXT] = "x";

	(void)state;
	uuid_format(&u, out);
	assert_string_equal(out, "");
	assert_true(uuid_is_zero(&u));
}

static void derived_ones_repeat_and_differ(void **state)
{
	struct uuid seed = uuid_random();
	struct uuid a = uuid_derive(&seed, 1);
	struct uuid b = uuid_derive(&seed, 1);
	struct uuid c = uuid_derive(&seed, 2);

	(void)state;
	assert_true(uuid_equal(&a, &b));
	assert_false(uuid_equal(&a, &c));
	assert_int_equal(a.at[6] >> 4, 4);
	assert_int_equal(a.at[8] >> 6, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text_survives_a_round_trip),
	        cmocka_unit_test(other_texts_are_refused),
	        cmocka_unit_test(the_zero_is_an_empty_text),
	        cmocka_unit_test(derived_ones_repeat_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
