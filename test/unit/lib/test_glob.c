#include "test/unit/unit.h"

#include "lib/glob.h"

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{"", "", true},          {"", "a", false},         {"*", "", true},          {"*", "abc", true},
		{"abc", "abc", true},    {"abc", "abcd", false},   {"abc", "ab", false},     {"a*", "a", true},
		{"a*", "ba", false},     {"*c", "abc", true},      {"*c", "abcd", false},    {"a*c", "abbc", true},
		{"a*c", "acb", false},   {"a**c", "ac", true},     {"*b*", "abc", true},     {"*b*", "acc", false},
		{"a*b*c", "a1b2b3c", true}, {"*ab", "aab", true},  {"*aab", "aaab", true},   {"a?c", "abc", false},
		{"dc[1]", "dc1", false}, {"\\*", "\\", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].fits) {
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
