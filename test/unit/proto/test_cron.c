#include "test/unit/unit.h"

#include <inttypes.h>

#include "lib/timefmt.h"
#include "proto/cron.h"
#include "proto/error.h"
#include "test/unit/proto/random_object.h"

#define NS INT64_C(1000000000)

static uint64_t seed;

static int64_t at(const char *text)
{
	int64_t ns;

	assert_true(time_parse(text, strlen(text), &ns));
	return ns / NS;
}

static void the_next_time_is_found(void **state)
{
	static const struct {
		const char *spec;
		const char *after;
		const char *next;
	} cases[] = {
		{"* * * * *", "2026-11-22T08:15:30Z", "2026-11-22T08:16:00Z"},
		{"*/1 * * * * * *", "2026-11-22T08:15:30Z", "2026-11-22T08:15:31Z"},
		{"0 0 1 1 *", "2026-11-22T08:15:30Z", "2027-01-01T00:00:00Z"},
		{"0 0 1 1 *", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"},
		{"*/15 * * * *", "2026-11-22T08:45:00Z", "2026-11-22T09:00:00Z"},
		{"5/20 * * * *", "2026-11-22T08:46:00Z", "2026-11-22T09:05:00Z"},
		{"0 9-17/4 * * mon-fri", "2026-11-20T17:30:00Z", "2026-11-23T09:00:00Z"},
		{"0 0 29 2 *", "2026-11-22T08:15:30Z", "2028-02-29T00:00:00Z"},
		{"0 0 13 * 5", "2026-11-10T00:00:00Z", "2026-11-13T00:00:00Z"}, /* Either day. */
		{"0 0 13 * 5", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"},
		{"0 0 ? * 7", "2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"},
		{"0 0 L * *", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"},
		{"0 0 LW * *", "2026-02-01T00:00:00Z", "2026-02-27T00:00:00Z"},
		{"0 0 15W * *", "2026-08-01T00:00:00Z", "2026-08-14T00:00:00Z"}, /* The 15th is a Saturday. */
		{"0 0 1W * *", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z"},  /* Not back into July. */
		{"0 0 * * 5L", "2026-11-01T00:00:00Z", "2026-11-27T00:00:00Z"},
		{"0 0 * * 1#2", "2026-11-01T00:00:00Z", "2026-11-09T00:00:00Z"},
		{"0 12 1 jan,JUL *", "2026-02-01T00:00:00Z", "2026-07-01T12:00:00Z"},
		{"0 0 1 1 * 2030", "2026-02-01T00:00:00Z", "2030-01-01T00:00:00Z"},
		{"30 5 4 3 2 * 2031-2033/2", "2031-02-04T00:00:00Z", "2033-02-03T04:05:30Z"},
		{"@hourly", "2026-11-22T08:15:30Z", "2026-11-22T09:00:00Z"},
		{"@daily", "2026-11-22T08:15:30Z", "2026-11-23T00:00:00Z"},
		{"@weekly", "2026-11-22T08:15:30Z", "2026-11-29T00:00:00Z"},
		{"@monthly", "2026-11-22T08:15:30Z", "2026-12-01T00:00:00Z"},
		{"@yearly", "2026-11-22T08:15:30Z", "2027-01-01T00:00:00Z"},
		{"@every 1h30m", "2026-11-22T08:15:30Z", "2026-11-22T09:45:30Z"},
		{"  0\t0  1 1 *  ", "1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why;
		struct cron c;

		assert_int_equal(cron_parse(cases[i].spec, &c, &why), 0);
		if (cron_next(&c, at(cases[i].after), NULL, NULL) != at(cases[i].next)) {
			fail_msg("%s after %s", cases[i].spec, cases[i].after);
		}
	}
}

static void a_spec_may_have_no_next_time(void **state)
{
	const char *why;
	struct cron c;

	(void)state;
	assert_int_equal(cron_parse("0 0 30 2 *", &c, &why), 0);
	assert_int_equal(cron_next(&c, 0, NULL, NULL), -1);
	assert_int_equal(cron_parse("0 0 1 1 * 1999", &c, &why), 0);
	assert_int_equal(cron_next(&c, at("2026-11-22T08:15:30Z"), NULL, NULL), -1);
	assert_int_equal(cron_parse("* * * * *", &c, &why), 0);
	assert_int_equal(cron_next(&c, INT64_MAX, NULL, NULL), -1);
	assert_int_equal(cron_next(&c, INT64_MIN, NULL, NULL), 0);
}

static void what_is_no_spec_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  "bad",
					  "* * * *",
					  "* * * * * * * *",
					  "60 * * * *",
					  "* 24 * * *",
					  "* * 0 * *",
					  "* * 32 * *",
					  "* * * 13 *",
					  "* * * 0 *",
					  "* * * * 8",
					  "5-1 * * * *",
					  "*/0 * * * *",
					  "*/ * * * *",
					  "1, * * * *",
					  ",1 * * * *",
					  "1-2-3 * * * *",
					  "a * * * *",
					  "* * * foo *",
					  "* * * * monday",
					  "* * * * 9#2",
					  "* * * * 1#6",
					  "* * 32W * *",
					  "* * * * * 1969",
					  "@sometimes",
					  "@every",
					  "@every 5",
					  "@every 1ms",
					  "@every -1h",
					  "99999 * * * *"};
	char huge[1000];
	const char *why;
	struct cron c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (cron_parse(bad[i], &c, &why) != ERR_SYNTAX) {
			fail_msg("%s", bad[i]);
		}
	}
	memset(huge, ' ', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(cron_parse(huge, &c, &why), ERR_SYNTAX);
	assert_int_equal(cron_parse("bad", &c, &why), ERR_SYNTAX);
	assert_string_equal(why, "missing field(s)");
}

/* A place whose clock is two hours ahead until the last Sunday of October, and then one. */
static int64_t offset(void *ctx, int64_t unix_s)
{
	(void)ctx;
	return unix_s >= at("2026-03-29T01:00:00Z") && unix_s < at("2026-10-25T01:00:00Z") ? 7200 : 3600;
}

static void the_clock_of_the_place_counts(void **state)
{
	const char *why;
	struct cron c;

	(void)state;
	assert_int_equal(cron_parse("30 2 * * *", &c, &why), 0);
	assert_int_equal(cron_next(&c, at("2026-07-01T12:00:00Z"), offset, NULL), at("2026-07-02T00:30:00Z"));
	assert_int_equal(cron_next(&c, at("2026-12-01T12:00:00Z"), offset, NULL), at("2026-12-02T01:30:00Z"));
	/* 02:30 does not exist on March 29. */
	assert_int_equal(cron_next(&c, at("2026-03-28T12:00:00Z"), offset, NULL), at("2026-03-30T00:30:00Z"));
	/* It comes twice on October 25. */
	assert_int_equal(cron_next(&c, at("2026-10-24T12:00:00Z"), offset, NULL), at("2026-10-25T00:30:00Z"));
	assert_int_equal(cron_next(&c, at("2026-10-25T00:30:00Z"), offset, NULL), at("2026-10-25T01:30:00Z"));
	assert_int_equal(cron_next(&c, at("2026-10-25T01:30:00Z"), offset, NULL), at("2026-10-26T01:30:00Z"));
	/* Once a year, from the wrong side of the year. */
	assert_int_equal(cron_parse("30 2 25 10 *", &c, &why), 0);
	assert_int_equal(cron_next(&c, at("2026-01-01T00:00:00Z"), offset, NULL), at("2026-10-25T00:30:00Z"));
	assert_int_equal(cron_next(&c, at("2026-10-25T00:30:00Z"), offset, NULL), at("2026-10-25T01:30:00Z"));
	assert_int_equal(cron_next(&c, at("2026-10-25T01:30:00Z"), offset, NULL), at("2027-10-25T01:30:00Z"));
	/* Only when the clock skips it. */
	assert_int_equal(cron_parse("30 2 29 3 * 2026", &c, &why), 0);
	assert_int_equal(cron_next(&c, at("2026-01-01T00:00:00Z"), offset, NULL), -1);
	/* Every hour, through both. */
	assert_int_equal(cron_parse("0 * * * *", &c, &why), 0);
	assert_int_equal(cron_next(&c, at("2026-03-29T00:00:00Z"), offset, NULL), at("2026-03-29T01:00:00Z"));
	assert_int_equal(cron_next(&c, at("2026-10-25T00:00:00Z"), offset, NULL), at("2026-10-25T01:00:00Z"));
	assert_int_equal(cron_next(&c, at("2026-10-25T00:59:59Z"), offset, NULL), at("2026-10-25T01:00:00Z"));
}

/* Plain lists only; looked up the slow way. */
static bool runs_at(const uint64_t sets[5], const bool all[5], int64_t minute)
{
	int64_t day = minute / 1440;
	struct date d = date_from_days(day);
	bool by_day = (sets[2] >> d.day & 1) != 0;
	bool by_weekday = (sets[4] >> (day + 4) % 7 & 1) != 0;
	bool day_ok = all[2] ? (all[4] || by_weekday) : all[4] ? by_day : by_day || by_weekday;

	return (sets[0] >> minute % 60 & 1) != 0 && (sets[1] >> minute / 60 % 24 & 1) != 0 && day_ok &&
	       (sets[3] >> d.month & 1) != 0;
}

/* A spec whose fields are plain lists, of which `sets` and `all` get the values. */
static void random_spec(uint64_t *s, char spec[256], uint64_t sets[5], bool all[5])
{
	static const int from[] = {0, 0, 1, 1, 0};
	static const int to[] = {59, 23, 31, 12, 6};
	int i;
	int k;

	spec[0] = '\0';
	for (i = 0; i < 5; i++) {
		int n = (int)(random_next(s) % 4);

		all[i] = n == 0;
		sets[i] = all[i] ? UINT64_MAX : 0;
		sprintf(spec + strlen(spec), "%s%s", i > 0 ? " " : "", all[i] ? "*" : "");
		for (k = 0; k < n; k++) {
			int v = from[i] + (int)(random_next(s) % (unsigned)(to[i] - from[i] + 1));

			sets[i] |= UINT64_C(1) << v;
			sprintf(spec + strlen(spec), "%s%d", k > 0 ? "," : "", v);
		}
	}
}

static void random_specs_agree_with_a_search(void **state)
{
	uint64_t s = seed;
	int round;

	(void)state;
	for (round = 0; round < 300; round++) {
		int64_t start = (int64_t)(random_next(&s) % (60u * 365 * 1440)); /* 1970 to 2030, in minutes. */
		int64_t m;
		uint64_t sets[5];
		bool all[5];
		char spec[256];
		const char *why;
		struct cron c;

		random_spec(&s, spec, sets, all);
		assert_int_equal(cron_parse(spec, &c, &why), 0);
		for (m = start + 1; m < start + 3 * 366 * 1440 && !runs_at(sets, all, m); m++) {
		}
		if (m < start + 3 * 366 * 1440 && cron_next(&c, start * 60, NULL, NULL) != m * 60) {
			fail_msg("%s after %" PRId64, spec, start * 60);
		}
	}
}

static void so_they_do_where_the_clock_is_set(void **state)
{
	uint64_t s = seed + 1;
	int round;

	(void)state;
	for (round = 0; round < 300; round++) {
		bool spring = random_next(&s) % 2 == 0;
		int64_t middle = at(spring ? "2026-03-29T01:00:00Z" : "2026-10-25T01:00:00Z") / 60;
		int64_t start = middle - 2 * 1440 + (int64_t)(random_next(&s) % (3 * 1440));
		int64_t m;
		uint64_t sets[5];
		bool all[5];
		char spec[256];
		const char *why;
		struct cron c;

		random_spec(&s, spec, sets, all);
		assert_int_equal(cron_parse(spec, &c, &why), 0);
		for (m = start + 1; m < start + 366 * 1440 && !runs_at(sets, all, m + offset(NULL, m * 60) / 60); m++) {
		}
		if (m < start + 366 * 1440 && cron_next(&c, start * 60, offset, NULL) != m * 60) {
			fail_msg("%s after %" PRId64, spec, start * 60);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_time_is_found),           cmocka_unit_test(a_spec_may_have_no_next_time),
		cmocka_unit_test(what_is_no_spec_is_refused),       cmocka_unit_test(the_clock_of_the_place_counts),
		cmocka_unit_test(random_specs_agree_with_a_search), cmocka_unit_test(so_they_do_where_the_clock_is_set),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
