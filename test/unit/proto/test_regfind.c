/* Matches of regular expressions and of their groups. What is wanted is what Go's regexp package says. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/regfind.h"

static struct arena mem;

static int tear_down(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

/* The spans of the first match: "0-3 1-2 -"; or "none". */
static const char *found(const char *pattern, const char *text)
{
	struct regfind_span spans[REGFIND_GROUPS_MAX + 1];
	struct regfind r;
	char why[REGFIND_WHY];
	static char out[512];
	uint64_t cost = 0;
	int rv = regfind_compile(pattern, &mem, &r, why);
	size_t at = 0;

	if (rv != 0) {
		fail_msg("%s", why);
	}
	assert_int_equal(regfind_test(&r, text, UINT64_MAX, &cost), regfind_next(&r, text, 0, spans, UINT64_MAX, &cost));
	rv = regfind_next(&r, text, 0, spans, UINT64_MAX, &cost);
	if (rv == ERR_NOTFOUND) {
		return "none";
	}
	assert_int_equal(rv, 0);
	assert_true(cost > 0);
	for (uint32_t i = 0; i <= r.n_groups; i++) {
		const char *gap = i > 0 ? " " : "";

		at += (size_t)(spans[i].set ? snprintf(out + at, sizeof(out) - at, "%s%zu-%zu", gap, spans[i].from,
						       spans[i].to)
					    : snprintf(out + at, sizeof(out) - at, "%s-", gap));
	}
	return out;
}

static void check(const char *pattern, const char *text, const char *want)
{
	const char *is = found(pattern, text);

	if (strcmp(is, want) != 0) {
		fail_msg("%s in \"%s\": %s, not %s", pattern, text, is, want);
	}
}

static void check_bad(const char *pattern, const char *want)
{
	struct regfind r;
	char why[REGFIND_WHY] = "";

	assert_int_equal(regfind_compile(pattern, &mem, &r, why), ERR_SYNTAX);
	if (strstr(why, want) == NULL) {
		fail_msg("%s: %s, not %s", pattern, why, want);
	}
}

#define CASE(name) static void name(void **state __attribute__((unused)))

CASE(the_leftmost_match_is_found)
{
	check("", "abc", "0-0");
	check("b", "abc", "1-2");
	check("bc|b", "abc", "1-3");
	check("b|bc", "abc", "1-2");
	check("x|y|c", "abc", "2-3");
	check("x", "abc", "none");
	check("a|", "b", "0-0");
	check("(a|ab)(c|bcd)", "abcd", "0-4 0-1 1-4");
}

CASE(repetitions_take_much_or_little)
{
	check("a*", "aaa", "0-3");
	check("a*?", "aaa", "0-0");
	check("a+?", "aaa", "0-1");
	check("a??b", "ab", "0-2");
	check("a{2}", "aaa", "0-2");
	check("a{2,}", "aaaa", "0-4");
	check("a{1,2}?", "aaa", "0-1");
	check("(?U)a+", "aaa", "0-1");
	check("(?U)a+?", "aaa", "0-3");
	check("a{,2}", "a{,2}", "0-5");
	check("a{0}b", "ab", "1-2");
	check("(a*)*", "aa", "0-2 0-2");
	check("(a*)+b", "aab", "0-3 0-2");
	check("(?:ab){2,3}", "abababab", "0-6");
	check("<(.+?)>", "<a><b>", "0-3 1-2");
	check("(?:a|(?:.*)?)*", "bAcA", "0-4");
	check("(^)*", "a", "0-0 0-0");
	check("(|a)*", "aa", "0-0 0-0");
	check("(|a)+", "aa", "0-0 0-0");
}

CASE(groups_keep_their_last_turn)
{
	check("(a)|(b)", "b", "0-1 - 0-1");
	check("(?:(a)|b)*", "ab", "0-2 0-1");
	check("((a)(b)?)+", "aba", "0-3 2-3 2-3 1-2");
	check("(?P<x>a)(?<y>b)", "ab", "0-2 0-1 1-2");
}

CASE(classes_have_members)
{
	check("[b-d]+", "abcde", "1-4");
	check("[^a]", "ab", "1-2");
	check("[]a]+", "]a]", "0-3");
	check("[a\\]\\-]+", "x]-a", "1-4");
	check("[a-]+", "-a", "0-2");
	check("\\d+", "ab12", "2-4");
	check("\\D+", "12ab", "2-4");
	check("[\\w-]+", " a-b_1", "1-6");
	check("[^\\s]+", " ab ", "1-3");
	check("\\S+", " ab ", "1-3");
	check("[[:alpha:]]+[[:^alpha:]]", "1ab2", "1-4");
	check("[[:punct:]]", "a!", "1-2");
	check("[ä-ö]+", "aäöb", "1-5");
	check(".", "ä", "0-2");
	check("ä+", "ää", "0-4");
	check("[^a]", "ä", "0-2");
}

CASE(escapes_are_characters)
{
	check("\\.\\\\\\$", "a.\\$", "1-4");
	check("\\x41\\x{e4}", "Aä", "0-3");
	check("\\t\\n", "\t\n", "0-2");
	check("\\-\\_?", "-", "0-1");
}

CASE(places_have_no_width)
{
	check("^b", "ab", "none");
	check("(?m)^b$", "a\nb\nc", "2-3");
	check("b$", "ab", "1-2");
	check("b$", "b\n", "none");
	check("\\bfoo\\b", "afoo foo", "5-8");
	check("\\Bo", "foo", "1-2");
	check("\\Aa\\z", "a", "0-1");
}

CASE(flags_hold_for_their_group)
{
	check("(?i)aB", "Ab", "0-2");
	check("(?i)[a-c]+", "xABC", "1-4");
	check("a(?i:b)c", "aBc", "0-3");
	check("a(?i:b)c", "aBC", "none");
	check("(?i:a(?-i)b)", "Ab", "0-2");
	check("(?i:a(?-i)b)", "AB", "none");
	check("a.b", "a\nb", "none");
	check("(?s)a.b", "a\nb", "0-3");
	check("(a(?i)b)c", "aBC", "none");
}

CASE(faults_are_told)
{
	check_bad("(", "missing closing )");
	check_bad(")", "unexpected )");
	check_bad("a)b", "unexpected )");
	check_bad("[a", "missing closing ]");
	check_bad("[", "missing closing ]");
	check_bad("[b-a]", "invalid character class range");
	check_bad("[a-\\d]", "invalid character class range");
	check_bad("[[:nope:]]", "invalid character class range");
	check_bad("*a", "missing argument to repetition operator");
	check_bad("a**", "invalid nested repetition operator");
	check_bad("a{2}{3}", "invalid nested repetition operator");
	check_bad("a{2,1}", "invalid repeat count");
	check_bad("a{1001}", "invalid repeat count");
	check_bad("\\", "invalid escape sequence");
	check_bad("\\pL", "invalid escape sequence");
	check_bad("\\1", "invalid escape sequence");
	check_bad("\\x4", "invalid escape sequence");
	check_bad("\\x{110000}", "invalid escape sequence");
	check_bad("(?=a)", "invalid or unsupported Perl syntax");
	check_bad("(?P=a)", "invalid named capture");
	check_bad("(?P<a", "invalid named capture");
}

CASE(expressions_and_searches_are_bounded)
{
	char deep[400];
	struct regfind r;
	struct regfind_span spans[REGFIND_GROUPS_MAX + 1];
	char why[REGFIND_WHY];
	char *text = arena_alloc(&mem, 20001);
	uint64_t cost = 0;

	memset(deep, '(', 399);
	deep[399] = '\0';
	check_bad(deep, "too");
	check_bad("(((a{100}){100}){100}){100}", "expression too large");
	check_bad("(?:(?:(?:a{0,50}){50}){50}){50}", "expression too large");
	memset(text, 'a', 20000);
	text[20000] = '\0';
	assert_int_equal(regfind_compile("(a*)*(a*)*b", &mem, &r, why), 0);
	assert_int_equal(regfind_next(&r, text, 0, spans, UINT64_MAX, &cost), ERR_NOTFOUND);
	assert_true(cost < 2000000);
	cost = 0;
	assert_int_equal(regfind_next(&r, text, 0, spans, 1000, &cost), ERR_TOOBIG);
}

/* Patterns that take a backtracking matcher, or one with sets of positions, time beyond all measure. */
CASE(a_test_takes_time_in_proportion)
{
	static const char *const hostile[] = {"(x+x+)+y", "(x*)*(x*)*y", "(.*)(.*)(.*)(.*)(.*)[0-9]", "(x|x)*y", "(x|xx)+$y",
					      "((x|b)*|(c|x)*){20}z", "(x?){200}x{200}y", "(?:(?:x{0,20}){0,20}){0,20}y"};
	char *text = arena_alloc(&mem, 10001);
	char why[REGFIND_WHY];
	struct regfind r;
	uint64_t cost;

	memset(text, 'x', 10000);
	text[10000] = '\0';
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		int rv = regfind_compile(hostile[i], &mem, &r, why);

		if (rv != 0) {
			assert_non_null(strstr(why, "too large"));
			continue;
		}
		cost = 0;
		assert_int_equal(regfind_test(&r, text, UINT64_MAX, &cost), ERR_NOTFOUND);
		assert_true(cost <= 2 * 10001 * (uint64_t)r.n);
		if (cost > 2000) {
			uint64_t all = cost;

			cost = 0;
			assert_int_equal(regfind_test(&r, text, 1000, &cost), ERR_TOOBIG);
			assert_true(cost < 1000 + 3 * (uint64_t)r.n && cost < all);
		}
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_leftmost_match_is_found),
		TEST(repetitions_take_much_or_little),
		TEST(groups_keep_their_last_turn),
		TEST(classes_have_members),
		TEST(escapes_are_characters),
		TEST(places_have_no_width),
		TEST(flags_hold_for_their_group),
		TEST(faults_are_told),
		TEST(expressions_and_searches_are_bounded),
		TEST(a_test_takes_time_in_proportion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
