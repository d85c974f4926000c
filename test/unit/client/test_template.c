#include "test/unit/unit.h"

#include "client/template.h"
#include "client/vars.h"
#include "proto/error.h"

static struct pair pairs[] = {{"EMPTY", ""}, {"NAME", "Web \"1\""}, {"PORT", "80"}};
static const struct task_env env = {.vars = {pairs, 3}};
static char why[TEMPLATE_WHY];

static void renders(const char *text, const char *want)
{
	struct buf out = {0};

	if (template_render(text, strlen(text), "", "", &env, &out, why) != 0) {
		fail_msg("%s: %s", text, why);
	}
	assert_string_equal(buf_text(&out), want);
	buf_close(&out);
}

static void refused(const char *text, const char *reason)
{
	struct buf out = {0};

	assert_int_equal(template_render(text, strlen(text), "", "", &env, &out, why), ERR_INVALID);
	if (strstr(why, reason) == NULL) {
		fail_msg("%s: %s, not %s", text, why, reason);
	}
	buf_close(&out);
}

static void text_without_actions_goes_through(void **state)
{
	(void)state;
	renders("", "");
	renders("plain text\n", "plain text\n");
	renders("{ { } } $\n", "{ { } } $\n");
}

static void variables_and_strings_are_put_in(void **state)
{
	(void)state;
	renders("port={{ env \"PORT\" }};", "port=80;");
	renders("{{env \"NONE\"}}|{{env \"EMPTY\"}}|", "||");
	renders("{{ \"a }} b\\n\\\"\" }}{{ `raw \\n` }}", "a }} b\n\"raw \\n");
	renders("a{{/* nothing \" of } this */}}b{{- /* or this */ -}} c", "abc");
}

static void values_go_through_functions(void **state)
{
	(void)state;
	renders("{{ env \"NAME\" | toUpper }}", "WEB \"1\"");
	renders("{{ toLower (env \"NAME\") }}", "web \"1\"");
	renders("{{ \" x \" | trimSpace | toJSON }}", "\"x\"");
	renders("{{ env \"NAME\" | toJSON }}", "\"Web \\\"1\\\"\"");
}

static void dashes_take_the_space_away(void **state)
{
	(void)state;
	renders("a \n {{- env \"PORT\" -}} \n b", "a80b");
	renders("a {{ env \"PORT\" -}} b", "a 80b");
	renders("a {{- env \"PORT\" }} b", "a80 b");
}

static void other_delimiters_can_be_chosen(void **state)
{
	static const char text[] = "[[ env \"PORT\" ]] {{ x }}";
	struct buf out = {0};

	(void)state;
	assert_int_equal(template_render(text, strlen(text), "[[", "]]", &env, &out, why), 0);
	assert_string_equal(buf_text(&out), "80 {{ x }}");
	buf_close(&out);
}

static void what_is_not_known_is_named(void **state)
{
	(void)state;
	refused("a\nb {{ key \"x\" }}", "line 2: \"key\" is not supported");
	refused("{{ range service \"web\" }}", "\"range\" is not supported");
	refused("{{ env }}", "a value is missing");
	refused("{{ env \"A\" \"B\" }}", "not supported");
	refused("{{ env \"A\"", "without an end");
	refused("{{ \"a }}", "without an end");
	refused("{{ }}", "a value is missing");
	refused("{{ (env \"A\" }}", "a missing )");
	refused("{{ \"\\q\" }}", "bad escape");
	refused("{{ ((((((((((((((((((((((((((((((((((((((((\"x\")))))))))))))))))))))))))))))))))))))))) }}",
	        "too deeply nested");
}

static void a_rendered_file_can_be_variables(void **state)
{
	static const char text[] = "# comment\n\nA=1\nexport B = x \nC=\"quoted = yes\"\nA=2\nD=";
	struct arena mem = {0};
	struct map map;

	(void)state;
	assert_int_equal(template_variables(text, strlen(text), &map, &mem, why), 0);
	assert_int_equal(map.n, 4);
	assert_string_equal(map_find(&map, "A"), "2");
	assert_string_equal(map_find(&map, "C"), "quoted = yes");
	assert_string_equal(map_find(&map, "D"), "");
	assert_int_equal(template_variables("A=1\nnothing", 11, &map, &mem, why), ERR_INVALID);
	assert_string_equal(why, "line 2 is not KEY=value");
	arena_close(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text_without_actions_goes_through),
	        cmocka_unit_test(variables_and_strings_are_put_in),
	        cmocka_unit_test(values_go_through_functions),
	        cmocka_unit_test(dashes_take_the_space_away),
	        cmocka_unit_test(other_delimiters_can_be_chosen),
	        cmocka_unit_test(what_is_not_known_is_named),
	        cmocka_unit_test(a_rendered_file_can_be_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
