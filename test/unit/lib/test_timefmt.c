#include "test/unit/unit.h"

#include "lib/timefmt.h"

#define S INT64_C(1000000000)

static void durations_read_as_in_go(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{"0", 0},
		{"0s", 0},
		{"-0", 0},
		{"1h2m3.5s", 3723 * S + S / 2},
		{"1m30s", 90 * S},
		{"300ms", 300000000},
		{"100us", 100000},
		{"100\xc2\xb5s", 100000},
		{"100\xce\xbcs", 100000},
		{"+5s", 5 * S},
		{"-1.5h", -5400 * S},
		{".5s", S / 2},
		{"5.s", 5 * S},
		{"1h1h", 7200 * S},
		{"0.000000001s", 1},
		{"0.0000000019999999999999999999999s", 1},
		{"9223372036854775807ns", INT64_MAX},
		{"-9223372036854775808ns", INT64_MIN},
		{"2562047h47m16.854775807s", INT64_MAX},
	};
	static const char *const bad[] = {"",
					  "+",
					  "-",
					  "1",
					  "s",
					  ".s",
					  "1x",
					  "1 s",
					  "1s ",
					  "1s2",
					  "1..5s",
					  "--1s",
					  "3e2s",
					  "1sm",
					  "9223372036854775808ns",
					  "2562048h",
					  "99999999999999999999h"};
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(duration_parse(good[i].text, strlen(good[i].text), &ns));
		assert_int_equal(ns, good[i].ns);
	}
	ns = 77;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(duration_parse(bad[i], strlen(bad[i]), &ns));
	}
	assert_int_equal(ns, 77);
}

static void durations_are_written_as_in_go(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{1, "1ns"},
		{1100, "1.1\xc2\xb5s"},
		{200000000, "200ms"},
		{2200000, "2.2ms"},
		{3 * S / 2, "1.5s"},
		{10 * S, "10s"},
		{60 * S, "1m0s"},
		{3600 * S, "1h0m0s"},
		{-90 * S, "-1m30s"},
		{INT64_MAX, "2562047h47m16.854775807s"},
		{INT64_MIN, "-2562047h47m16.854775808s"},
	};
	char text[DURATION_TEXT];
	int64_t back;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(duration_format(cases[i].ns, text), strlen(cases[i].text));
		assert_string_equal(text, cases[i].text);
		assert_true(duration_parse(text, strlen(text), &back));
		assert_int_equal(back, cases[i].ns);
	}
}

static void times_read_as_rfc_3339(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"0001-01-01T00:00:00Z", 0},
		{"2017-05-25T23:41:23.240184101Z", 1495755683240184101},
		{"2017-05-26T01:41:23.240184101+02:00", 1495755683240184101},
		{"2017-05-25T16:11:23.2401841019999-07:30", 1495755683240184101},
		{"1969-12-31T23:59:59.5Z", -500000000},
		{"2000-02-29T00:00:00Z", 951782400 * S},
		{"2261-12-31T23:59:59Z", 9214646399 * S},
	};
	static const char *const bad[] = {"",
					  "2017-05-25",
					  "2017-05-25T23:41:23",
					  "2017-05-25t23:41:23Z",
					  "2017-05-25T23:41:23z",
					  "2017-5-25T23:41:23Z",
					  "2017-02-29T00:00:00Z",
					  "2017-13-01T00:00:00Z",
					  "2017-00-01T00:00:00Z",
					  "2017-01-01T24:00:00Z",
					  "2017-01-01T00:60:00Z",
					  "2017-01-01T00:00:60Z",
					  "2017-01-01T00:00:00.Z",
					  "2017-01-01T00:00:00Z ",
					  "2017-01-01T00:00:00+24:00",
					  "2017-01-01T00:00:00+0200",
					  "2263-01-01T00:00:00Z",
					  "1600-01-01T00:00:00Z",
					  "0001-01-01T00:00:01Z"};
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(time_parse(good[i].text, strlen(good[i].text), &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(time_parse(bad[i], strlen(bad[i]), &ns));
	}
}

static void times_are_written_in_utc_without_trailing_zeros(void **state)
{
	char text[TIME_TEXT];
	int64_t back;

	(void)state;
	assert_int_equal(time_format(1495755683240184101, text), 30);
	assert_string_equal(text, "2017-05-25T23:41:23.240184101Z");
	time_format(1495755683240000000, text);
	assert_string_equal(text, "2017-05-25T23:41:23.24Z");
	time_format(1495755683 * S, text);
	assert_string_equal(text, "2017-05-25T23:41:23Z");
	time_format(-1, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
	time_format(INT64_MIN, text);
	assert_string_equal(text, "1677-09-21T00:12:43.145224192Z");
	assert_true(time_parse(text, strlen(text), &back));
	assert_true(back == INT64_MIN);
	time_format(INT64_MAX, text);
	assert_string_equal(text, "2262-04-11T23:47:16.854775807Z");
}

static void every_day_has_one_date(void **state)
{
	struct date want = {-401, 1, 1};
	int64_t days = date_to_days(want);

	(void)state;
	assert_int_equal(date_to_days((struct date){1970, 1, 1}), 0);
	for (; want.year < 2500; days++) {
		struct date d = date_from_days(days);

		if (d.year != want.year || d.month != want.month || d.day != want.day || date_to_days(want) != days) {
			fail_msg("day %lld", (long long)days);
		}
		if (++want.day > date_month_days(want.year, want.month)) {
			want.day = 1;
			want.month++;
		}
		if (want.month > 12) {
			want.month = 1;
			want.year++;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_read_as_in_go),
		cmocka_unit_test(durations_are_written_as_in_go),
		cmocka_unit_test(times_read_as_rfc_3339),
		cmocka_unit_test(times_are_written_in_utc_without_trailing_zeros),
		cmocka_unit_test(every_day_has_one_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
