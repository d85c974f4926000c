/* What constraints are made of: regular expressions and versions. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/regfind.h"
#include "proto/version.h"

static bool matches(const char *pattern, const char *text)
{
	char why[REGFIND_WHY];
	struct arena mem = {0};
	struct regfind r;
	uint64_t cost = 0;
	int rv;

	if (regfind_compile(pattern, &mem, &r, why) != 0) {
		fail_msg("%s: %s", pattern, why);
	}
	rv = regfind_test(&r, text, UINT64_MAX, &cost);
	assert_true(rv == 0 || rv == ERR_NOTFOUND);
	arena_close(&mem);
	return rv == 0;
}

static void expressions_mean_what_they_mean_in_go(void **state)
{
	static const struct {
		const char *pattern;
		const char *text;
		bool yes;
	} cases[] = {
		{"linux", "my linux", true},
		{"^linux$", "my linux", false},
		{"", "anything", true},
		{"^\\d+\\.\\d+$", "12.5", true},
		{"^\\d+\\.\\d+$", "12x5", false},
		{"^\\w+\\s\\S+$", "ab_1 x-y", true},
		{"^[\\w.-]+$", "a.b-c_9", true},
		{"^[\\w.-]+$", "a b", false},
		{"^[\\d\\s]+$", "1 2", true},
		{"^[^\\d]+$", "abc", true},
		{"^[^\\d]+$", "a1c", false},
		{"^[]a]+$", "]a]", true},
		{"^[a\\]]+$", "]a]", true},
		{"^[\\^x]+$", "^x", true},
		{"^[\\^]$", "^", true},
		{"^[\\^-]+$", "-^", true},
		{"^[[:alpha:][]+$", "a[b", true},
		{"^[a-c\\-]+$", "a-b", true},
		{"\\bweb\\b", "a web b", true},
		{"\\bweb\\b", "awebb", false},
		{"^(?:a|b)+$", "abba", true},
		{"^(?P<name>a)(b)?$", "ab", true},
		{"(?i)LINUX", "linux", true},
		{"^a{2,3}$", "aaa", true},
		{"^a{2,3}$", "aaaa", false},
		{"^a{,3}$", "a{,3}", true},
		{"^x{y}$", "x{y}", true},
		{"^a+?b*?$", "aab", true},
		{"^caf\xc3\xa9+$", "caf\xc3\xa9\xc3\xa9", true},
		{"\\x41\\t", "A\t", true},
		{"^\\<a\\>$", "<a>", true},
		{"a\\.b\\/c", "a.b/c", true},
		{"^[\xc3\xa9]$", "\xc3\xa9", true},
		{"^.$", "\xc3\xa9", true},
		{"x(?i)y", "xY", true},
		{"x(?i)y", "XY", false},
		{"a|^b|c$", "xbc", true},
		{"b$|^a", "ba", false},
		{"ab|ac", "aaac", true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (matches(cases[i].pattern, cases[i].text) != cases[i].yes) {
			fail_msg("%s on %s", cases[i].pattern, cases[i].text);
		}
	}
}

static void bad_expressions_are_refused(void **state)
{
	static const char *const bad[] = {"(",
					  ")",
					  "a)",
					  "[",
					  "[a",
					  "*a",
					  "a**",
					  "a{3}{3}",
					  "a{1001}",
					  "(a{100}){100}",
					  "a{3,2}",
					  "(a)\\1",
					  "(?=a)",
					  "(?<!a)",
					  "\\",
					  "\\i",
					  "[z-a]",
					  "[[:alpha:",
					  "[[:nonsense:]]",
					  "(?P<x",
					  "(?:",
					  "\\p{L}"};
	char why[REGFIND_WHY];
	char huge[REGFIND_CODE_MAX + 2];
	struct arena mem = {0};
	struct regfind r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (regfind_compile(bad[i], &mem, &r, why) != ERR_SYNTAX) {
			fail_msg("%s", bad[i]);
		}
		assert_true(strlen(why) > 0);
	}
	memset(huge, 'a', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(regfind_compile(huge, &mem, &r, why), ERR_SYNTAX);
	assert_int_equal(regfind_compile("(", &mem, &r, why), ERR_SYNTAX);
	assert_string_equal(why, "missing closing ): `(`");
	arena_close(&mem);
}

static void versions_satisfy_constraints(void **state)
{
	static const struct {
		const char *version;
		const char *spec;
		bool yes;
		bool semver;
	} cases[] = {
		{"1.2.3", "1.2.3", true, false},
		{"1.2", "= 1.2.0", true, false},
		{"v1.2.3", ">= 1.2, < 2", true, false},
		{"2.0", ">= 1.2, < 2", false, false},
		{"1.4.5", "~> 1.4", true, false},
		{"1.5", "~> 1.4", true, false},
		{"2.0", "~> 1.4", false, false},
		{"1.4.9", "~> 1.4.2", true, false},
		{"1.5.0", "~> 1.4.2", false, false},
		{"1.4.1", "~> 1.4.2", false, false},
		{"1.2.3-beta", ">= 1.0", false, false},
		{"1.2.3-beta", ">= 1.2.3-alpha", true, false},
		{"1.2.3", ">= 1.2.3-alpha", true, false},
		{"1.2.3-beta", "!= 1.2.3", true, false},
		{"1.2.3-beta", ">= 1.0.0", true, true},
		{"1.2.3-rc.2", "< 1.2.3-rc.10", true, true},
		{"1.2.3-alpha", "< 1.2.3-alpha.1", true, true},
		{"1.2.3-1", "< 1.2.3-alpha", true, true},
		{"1.2.3+build", "1.2.3", true, true},
		{"5.10.0-8-amd64", "> 4", false, false},
		{"4.15.0", "!= 4.15", false, false},
		{"1.2.3", ">1.2.2,<1.2.4", true, false},
		{"1.2.3", "<= 1.2.2", false, false},
		{"nonsense", "> 1", false, false},
		{"1.2", "1.2", false, true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (version_satisfies(cases[i].version, cases[i].spec, cases[i].semver) != cases[i].yes) {
			fail_msg("%s of %s", cases[i].spec, cases[i].version);
		}
	}
}

static void bad_version_constraints_are_refused(void **state)
{
	static const char *const bad[] = {
		"zz", "", ">", ">= 1,", ",", "1..2", "1.2.3-", "=> 1", "1 2", "> 1 <2", "99999999999999999999999"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (version_spec_valid(bad[i], false)) {
			fail_msg("%s", bad[i]);
		}
	}
	assert_false(version_spec_valid("v1.2.3", true));
	assert_true(version_spec_valid("v1.2.3", false));
	assert_true(version_spec_valid(">= 1.0.0-rc.1+x, < 2.0.0", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expressions_mean_what_they_mean_in_go),
		cmocka_unit_test(bad_expressions_are_refused),
		cmocka_unit_test(versions_satisfy_constraints),
		cmocka_unit_test(bad_version_constraints_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
