#include "test/unit/unit.h"

#include "proto/deployment.h"
#include "proto/error.h"
#include "proto/filter.h"

static const char sample[] =
        "{\"ID\":\"web\",\"Name\":\"the web\",\"Type\":\"service\",\"Priority\":70,\"Datacenters\":[\"dc1\",\"dc2\"],"
        "\"Meta\":{\"owner\":\"ann\",\"a/b\":\"1\",\"empty\":\"\"},\"Stop\":true,\"Periodic\":null,"
        "\"TaskGroups\":[{\"Name\":\"g\",\"Count\":3,\"ShutdownDelay\":5000000000,"
        "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"x\"}}]}]}";

static int compile(const char *text, struct arena *mem, struct filter **f, char why[FILTER_WHY])
{
	return filter_compile(text, &job_type, mem, f, why);
}

static bool matches(const char *text)
{
	char why[FILTER_WHY] = "";
	struct fault fault = {"", ""};
	struct arena mem = {0};
	struct filter *f;
	struct job job;
	uint64_t cost = 0;
	bool yes;

	assert_int_equal(json_decode(&job_type, &job, sample, sizeof(sample) - 1, &mem, &fault), 0);
	if (compile(text, &mem, &f, why) != 0) {
		fail_msg("%s: %s", text, why);
	}
	assert_int_equal(filter_match(f, &job, &cost, &yes), 0);
	arena_close(&mem);
	return yes;
}

static void values_are_compared_as_what_they_are(void **state)
{
	(void)state;
	assert_true(matches("Type == \"service\""));
	assert_true(matches("Type==service"));
	assert_true(matches("  Type\n==\t`service`  "));
	assert_false(matches("Type == batch"));
	assert_true(matches("Type != batch"));
	assert_true(matches("Priority == 70"));
	assert_false(matches("Priority == 7"));
	assert_true(matches("Priority != -1"));
	assert_true(matches("Stop == true"));
	assert_false(matches("Stop == false"));
	assert_true(matches("Name == \"the web\""));
	assert_true(matches("Name != \"the \\\"web\\\"\""));
}

static void strings_lists_and_maps_contain(void **state)
{
	(void)state;
	assert_true(matches("\"dc1\" in Datacenters"));
	assert_true(matches("dc2 in Datacenters"));
	assert_false(matches("dc in Datacenters"));
	assert_true(matches("dc not in Datacenters"));
	assert_true(matches("Datacenters contains \"dc1\""));
	assert_true(matches("Datacenters not contains \"dc3\""));
	assert_true(matches("Name contains \"web\""));
	assert_true(matches("\"he w\" in Name"));
	assert_true(matches("owner in Meta"));
	assert_true(matches("Meta not contains nobody"));
}

static void paths_go_into_objects_lists_and_maps(void **state)
{
	(void)state;
	assert_true(matches("Meta.owner == ann"));
	assert_true(matches("Meta[\"owner\"] == ann"));
	assert_true(matches("Meta[\"a/b\"] == 1"));
	assert_true(matches("\"/Meta/a~1b\" == 1"));
	assert_true(matches("\"/Type\" == service"));
	assert_true(matches("TaskGroups.0.Name == g"));
	assert_true(matches("TaskGroups.0.Tasks.0.Driver == raw_exec"));
	assert_true(matches("TaskGroups.0.Count == 3"));
	assert_true(matches("TaskGroups.0.ShutdownDelay == 5s"));
	assert_true(matches("Datacenters.1 == dc2"));
}

static void what_is_not_there_is_empty_and_equal_to_nothing(void **state)
{
	(void)state;
	assert_true(matches("Meta.nobody is empty"));
	assert_false(matches("Meta.nobody == \"\""));
	assert_true(matches("Meta.nobody != ann"));
	assert_true(matches("Meta.empty is empty"));
	assert_true(matches("Meta.empty == \"\""));
	assert_true(matches("Meta is not empty"));
	assert_true(matches("TaskGroups.7.Name is empty"));
	assert_true(matches("Periodic is empty"));
	assert_true(matches("Periodic.Spec != x"));
	assert_false(matches("TaskGroups.0.Update is not empty"));
	assert_true(matches("ParentID is empty"));
	assert_true(matches("Datacenters.9 is empty"));
	assert_false(matches("Meta.nobody matches \".*\""));
}

static void expressions_are_put_together(void **state)
{
	(void)state;
	assert_true(matches("Type == batch or Priority == 70"));
	assert_false(matches("Type == batch and Priority == 70"));
	assert_true(matches("Type == batch and Priority == 1 or Stop == true")); /* `and` binds closer. */
	assert_false(matches("Type == batch and (Priority == 1 or Stop == true)"));
	assert_true(matches("not Type == batch"));
	assert_true(matches("not not Type == service"));
	assert_true(matches("not (Type == batch or Type == system)"));
	assert_true(matches("(((Type == service)))"));
	assert_true(matches("Type == service and not dc9 in Datacenters and Meta.owner matches \"^a\""));
}

static void regular_expressions_match_somewhere(void **state)
{
	(void)state;
	assert_true(matches("ID matches \"e\""));
	assert_true(matches("ID matches `^w.b$`"));
	assert_false(matches("ID matches \"^e\""));
	assert_true(matches("ID not matches \"^e\""));
}

struct fault_case {
	const char *text;
	int rv;
	const char *why;
};

static void faults_are_told(void **state)
{
	static const struct fault_case cases[] = {
	        {"", ERR_SYNTAX, "a value is missing at the end"},
	        {"Type", ERR_SYNTAX, "an operator is missing at the end"},
	        {"Type ==", ERR_SYNTAX, "a value is missing at the end"},
	        {"Type == \"x", ERR_SYNTAX, "the end of a string is missing"},
	        {"Type == `x", ERR_SYNTAX, "the end of a string is missing"},
	        {"Type ~ x", ERR_SYNTAX, "an operator is missing at \"~ x\""},
	        {"Type == a b", ERR_SYNTAX, "\"b\" is left over"},
	        {"(Type == a", ERR_SYNTAX, "a closing parenthesis is missing"},
	        {"Type == a)", ERR_SYNTAX, "\")\" is left over"},
	        {"Type is", ERR_SYNTAX, "\"empty\" is missing"},
	        {"Type == a and", ERR_SYNTAX, "a value is missing"},
	        {"Meta[owner == a", ERR_SYNTAX, "a closing bracket is missing"},
	        {"Nonsense == a", ERR_NOTFOUND, "there is no field \"Nonsense\""},
	        {"TaskGroups.x.Name == a", ERR_NOTFOUND, "there is no field \"x\""},
	        {"Type.x == a", ERR_NOTFOUND, "there is no field \"x\""},
	        {"Meta.a.b == a", ERR_NOTFOUND, "there is no field \"b\""},
	        {"Priority == high", ERR_SYNTAX, "\"high\" is no value for \"Priority\""},
	        {"Stop == 1", ERR_SYNTAX, "\"1\" is no value for \"Stop\""},
	        {"Datacenters == dc1", ERR_SYNTAX, "\"==\" cannot be asked of \"Datacenters\""},
	        {"TaskGroups contains g", ERR_SYNTAX, "\"in\" cannot be asked of \"TaskGroups\""},
	        {"Priority matches 7", ERR_SYNTAX, "\"matches\" cannot be asked of \"Priority\""},
	        {"Priority is empty", ERR_SYNTAX, "\"is empty\" cannot be asked of \"Priority\""},
	        {"Type matches \"(\"", ERR_SYNTAX, "is no regular expression"},
	        {"\"service\" == Type", ERR_SYNTAX, "\"service\" is no selector"},
	};
	char why[FILTER_WHY];
	struct arena mem = {0};
	struct filter *f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why[0] = '\0';
		if (compile(cases[i].text, &mem, &f, why) != cases[i].rv || strstr(why, cases[i].why) == NULL) {
			fail_msg("%s: %s", cases[i].text, why);
		}
	}
	arena_close(&mem);
}

static void length_and_nesting_are_bounded(void **state)
{
	char *text = malloc(FILTER_TEXT_MAX + 100);
	char why[FILTER_WHY];
	struct arena mem = {0};
	struct filter *f;

	(void)state;
	memset(text, '(', FILTER_TEXT_MAX + 1);
	text[FILTER_TEXT_MAX + 1] = '\0';
	assert_int_equal(compile(text, &mem, &f, why), ERR_SYNTAX);
	assert_non_null(strstr(why, "longer"));
	text[100] = '\0';
	assert_int_equal(compile(text, &mem, &f, why), ERR_SYNTAX);
	assert_non_null(strstr(why, "nested"));
	text[0] = '\0';
	for (int i = 0; i < 500; i++) {
		strcat(text, i == 0 ? "ID == web" : " or ID==x");
	}
	assert_true(matches(text));
	arena_close(&mem);
	free(text);
}

/* One expression that is slow, or many that are slow together; the others of the filter are not asked any more. */
static void the_time_of_its_expressions_is_bounded(void **state)
{
	static const char slow[] = "Name matches \"(x?){200}x{200}y\"";
	static const char less[] = "Name matches \"(x*)*(x*)*y\"";
	char *text = malloc(FILTER_TEXT_MAX);
	char why[FILTER_WHY] = "";
	struct arena mem = {0};
	struct filter *f;
	struct job job;
	uint64_t cost = 0;
	bool yes = true;

	(void)state;
	object_init(&job_type, &job);
	job.name = arena_calloc(&mem, 1, 20001);
	memset((char *)job.name, 'x', 20000);
	assert_int_equal(compile(slow, &mem, &f, why), 0);
	assert_int_equal(filter_match(f, &job, &cost, &yes), ERR_TOOBIG);
	assert_true(yes && cost > FILTER_COST_MAX && cost < FILTER_COST_MAX + 10000);
	assert_int_equal(compile(less, &mem, &f, why), 0);
	cost = 0;
	assert_int_equal(filter_match(f, &job, &cost, &yes), 0);
	assert_true(!yes && cost < FILTER_COST_MAX);
	text[0] = '\0';
	for (int i = 0; i < 100; i++) {
		strcat(text, i == 0 ? "" : " or ");
		strcat(text, less);
	}
	assert_int_equal(compile(text, &mem, &f, why), 0);
	cost = 0;
	assert_int_equal(filter_match(f, &job, &cost, &yes), ERR_TOOBIG);
	assert_true(cost > FILTER_COST_MAX && cost < FILTER_COST_MAX + 10000);
	arena_close(&mem);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(values_are_compared_as_what_they_are),
	        cmocka_unit_test(strings_lists_and_maps_contain),
	        cmocka_unit_test(paths_go_into_objects_lists_and_maps),
	        cmocka_unit_test(what_is_not_there_is_empty_and_equal_to_nothing),
	        cmocka_unit_test(expressions_are_put_together),
	        cmocka_unit_test(regular_expressions_match_somewhere),
	        cmocka_unit_test(faults_are_told),
	        cmocka_unit_test(length_and_nesting_are_bounded),
	        cmocka_unit_test(the_time_of_its_expressions_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
