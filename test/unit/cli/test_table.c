#include "test/unit/unit.h"

#include <time.h>

#include "cli/format.h"
#include "cli/table.h"

static struct arena mem;

static int tear_down(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

/* What a table prints. */
static const char *printed(struct table *t, bool pairs)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	const char *copy;

	assert_non_null(out);
	if (pairs) {
		table_print_pairs(t, out);
	} else {
		table_print(t, out);
	}
	fclose(out);
	copy = arena_strdup(&mem, text);
	free(text);
	return copy;
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
	struct table t = {0};

	(void)state;
	table_row(&t, "ID", "Status", "Note");
	table_row(&t, "web", "running", "x");
	table_row(&t, "a-longer-one", "dead", "");
	assert_string_equal(printed(&t, false), "ID            Status   Note\n"
						"web           running  x\n"
						"a-longer-one  dead     <none>\n");
	assert_string_equal(printed(&t, false), "");
}

static void pairs_are_aligned(void **state)
{
	struct table t = {0};

	(void)state;
	table_row(&t, "ID", "web");
	table_row(&t, "Node Pool", "default");
	assert_string_equal(printed(&t, true), "ID        = web\nNode Pool = default\n");
}

static void letters_count_not_bytes(void **state)
{
	struct table t = {0};

	(void)state;
	table_row(&t, "\xc3\xa4\xc3\xb6\xc3\xbc", "x");
	table_row(&t, "abc", "y");
	assert_string_equal(printed(&t, false), "\xc3\xa4\xc3\xb6\xc3\xbc  x\nabc  y\n");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	struct table t = {0};

	(void)state;
	table_row(&t, "a\tb\nc\x1b[31m\x7f", "x");
	assert_string_equal(printed(&t, false), "a?b?c?[31m?  x\n");
	assert_string_equal(format_clean(&mem, "a\x1b]0;x\x07"), "a?]0;x?");
}

static void ids_are_cut_to_eight(void **state)
{
	(void)state;
	assert_string_equal(format_id(&mem, "0123abcd-4567-89ef-0123-456789abcdef", false), "0123abcd");
	assert_string_equal(format_id(&mem, "0123abcd-4567-89ef-0123-456789abcdef", true),
			    "0123abcd-4567-89ef-0123-456789abcdef");
	assert_string_equal(format_id(&mem, "", false), "");
}

static void times_are_local_with_their_offset(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(format_time(&mem, INT64_C(1769860800000000000)), "2026-01-31T12:00:00Z");
	setenv("TZ", "XYZ-01:30", 1);
	tzset();
	assert_string_equal(format_time(&mem, INT64_C(1769860800000000000)), "2026-01-31T13:30:00+01:30");
	assert_string_equal(format_time(&mem, 0), "N/A");
}

static void ages_have_two_units_at_most(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {{0, "0s ago"},       {59, "59s ago"},        {61, "1m1s ago"}, {3600, "1h0m ago"},
		     {90000, "1d1h ago"}, {31536000, "1y0d ago"}, {-5, "0s ago"}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(format_ago(&mem, INT64_C(2000000000000000000) - cases[i].seconds * 1000000000,
					       INT64_C(2000000000000000000)),
				    cases[i].text);
	}
	assert_string_equal(format_ago(&mem, 0, 5), "N/A");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(columns_are_as_wide_as_their_widest_cell, tear_down),
		cmocka_unit_test_teardown(pairs_are_aligned, tear_down),
		cmocka_unit_test_teardown(letters_count_not_bytes, tear_down),
		cmocka_unit_test_teardown(control_characters_do_not_reach_the_terminal, tear_down),
		cmocka_unit_test_teardown(ids_are_cut_to_eight, tear_down),
		cmocka_unit_test_teardown(times_are_local_with_their_offset, tear_down),
		cmocka_unit_test_teardown(ages_have_two_units_at_most, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
