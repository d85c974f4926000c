#include "test/unit/unit.h"

#include "client/taskenv.h"

static struct arena mem;
static struct map node_vars;
static struct node node;
static struct allocation alloc;

static const char alloc_json[] =
        "{\"ID\":\"deadbeef-1111-2222-3333-444444444444\",\"Name\":\"j/x.g[7]\",\"TaskGroup\":\"g\","
        "\"AllocatedResources\":{\"Tasks\":{\"t\":{\"Cpu\":{\"CpuShares\":20,\"ReservedCores\":[0,1,2,5,7,8]},"
        "\"Memory\":{\"MemoryMB\":10,\"MemoryMaxMB\":40}},"
        "\"u\":{\"Networks\":[{\"IP\":\"10.0.0.1\",\"DynamicPorts\":[{\"Label\":\"db\",\"Value\":4000}]}]}},"
        "\"Shared\":{\"Ports\":[{\"Label\":\"http\",\"Value\":23456,\"To\":80,\"HostIP\":\"10.0.0.1\"},"
        "{\"Label\":\"a-b\",\"Value\":99,\"HostIP\":\"fd00::1\"}]}},"
        "\"Job\":{\"ID\":\"j/x\",\"Name\":\"web\",\"ParentID\":\"j\",\"Namespace\":\"prod\",\"Region\":\"eu\","
        "\"ParameterizedJob\":{\"MetaOptional\":[\"opt\"]},"
        "\"Meta\":{\"owner\":\"job\",\"my.key-1\":\"v\",\"from\":\"${node.datacenter}\"},\"TaskGroups\":[{\"Name\":\"g\","
        "\"Meta\":{\"owner\":\"group\"},\"Tasks\":[{\"Name\":\"t\",\"Meta\":{\"owner\":\"me\"},"
        "\"Env\":{\"FOO\":\"bar\",\"ADDR\":\"${NOMAD_ADDR_http}/${attr.kernel.name}/${meta.rack}\","
        "\"UNKNOWN\":\"${nothing.here} ${also\",\"bad-name\":\"1\"}}]}]}}";

static const char node_json[] =
        "{\"ID\":\"n1\",\"Name\":\"host\",\"Datacenter\":\"dc1\",\"NodeClass\":\"big\",\"NodePool\":\"default\","
        "\"Attributes\":{\"kernel.name\":\"linux\",\"unique.hostname\":\"h\"},\"Meta\":{\"rack\":\"r1\"}}";

static int prepare(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(json_decode(&allocation_type, &alloc, alloc_json, strlen(alloc_json), &mem, &f), 0);
	assert_int_equal(json_decode(&node_type, &node, node_json, strlen(node_json), &mem, &f), 0);
	return node_vars_make(&node, "eu", &node_vars, &mem);
}

static int release(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

static struct task_env make(const struct map *more)
{
	struct task_env_args args = {.alloc = &alloc,
	                             .group = &alloc.job->task_groups.at[0],
	                             .task = &alloc.job->task_groups.at[0].tasks.at[0],
	                             .node_vars = &node_vars,
	                             .datacenter = "dc1",
	                             .region = "eu",
	                             .alloc_dir = "/d/alloc",
	                             .task_dir = "/d/t/local",
	                             .secrets_dir = "/d/t/secrets",
	                             .more = more};
	struct task_env env;

	assert_int_equal(task_env_make(&args, &env, &mem), 0);
	return env;
}

static void a_task_knows_where_and_what_it_is(void **state)
{
	static const char *const want[][2] = {
	        {"NOMAD_ALLOC_ID", "deadbeef-1111-2222-3333-444444444444"},
	        {"NOMAD_SHORT_ALLOC_ID", "deadbeef"},
	        {"NOMAD_ALLOC_NAME", "j/x.g[7]"},
	        {"NOMAD_ALLOC_INDEX", "7"},
	        {"NOMAD_TASK_NAME", "t"},
	        {"NOMAD_GROUP_NAME", "g"},
	        {"NOMAD_JOB_ID", "j/x"},
	        {"NOMAD_JOB_NAME", "web"},
	        {"NOMAD_JOB_PARENT_ID", "j"},
	        {"NOMAD_NAMESPACE", "prod"},
	        {"NOMAD_DC", "dc1"},
	        {"NOMAD_REGION", "eu"},
	        {"NOMAD_ALLOC_DIR", "/d/alloc"},
	        {"NOMAD_TASK_DIR", "/d/t/local"},
	        {"NOMAD_SECRETS_DIR", "/d/t/secrets"},
	        {"NOMAD_CPU_LIMIT", "20"},
	        {"NOMAD_CPU_CORES", "0-2,5,7-8"},
	        {"NOMAD_MEMORY_LIMIT", "10"},
	        {"NOMAD_MEMORY_MAX_LIMIT", "40"},
	        {"NOMAD_META_owner", "me"},
	        {"NOMAD_META_OWNER", "me"},
	        {"NOMAD_META_my.key_1", "v"},
	        {"NOMAD_META_MY.KEY_1", "v"},
	        {"NOMAD_META_from", "dc1"},
	        {"NOMAD_META_opt", ""},
	        {"NOMAD_META_OPT", ""},
	        {"NOMAD_PORT_http", "80"},
	        {"NOMAD_ALLOC_PORT_http", "80"},
	        {"NOMAD_HOST_PORT_http", "23456"},
	        {"NOMAD_IP_http", "10.0.0.1"},
	        {"NOMAD_ADDR_http", "10.0.0.1:23456"},
	        {"NOMAD_HOST_ADDR_http", "10.0.0.1:23456"},
	        {"NOMAD_ADDR_a_b", "[fd00::1]:99"},
	        {"NOMAD_PORT_u_db", "4000"},
	        {"NOMAD_ADDR_u_db", "10.0.0.1:4000"},
	        {"FOO", "bar"},
	        {"ADDR", "10.0.0.1:23456/linux/r1"},
	        {"UNKNOWN", "${nothing.here} ${also"},
	        {"bad_name", "1"},
	};
	struct task_env env = make(NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const char *got = task_env_get(&env, want[i][0]);

		if (got == NULL || strcmp(got, want[i][1]) != 0) {
			fail_msg("%s is %s, not %s", want[i][0], got == NULL ? "unset" : got, want[i][1]);
		}
	}
	assert_null(task_env_get(&env, "NOMAD_PORT_db"));
}

static void the_list_is_what_a_process_gets(void **state)
{
	struct pair more[] = {{"FOO", "${not} touched"}};
	struct map map = {more, 1};
	struct task_env env = make(&map);
	const char *const *list;
	bool found = false;
	uint32_t n;
	uint32_t i;

	(void)state;
	assert_int_equal(task_env_list(&env, &list, &n, &mem), 0);
	assert_int_equal(n, env.vars.n);
	assert_null(list[n]);
	for (i = 0; i < n; i++) {
		assert_true(i == 0 || strcmp(list[i - 1], list[i]) < 0);
		found = found || strcmp(list[i], "FOO=${not} touched") == 0;
	}
	assert_true(found);
}

static void references_are_replaced_and_unknown_ones_stay(void **state)
{
	static const char *const cases[][2] = {
	        {"", ""},
	        {"plain", "plain"},
	        {"${node.unique.id}", "n1"},
	        {"a${node.unique.name}b${node.class}c", "ahostbbigc"},
	        {"${env[\"FOO\"]}", "bar"},
	        {"${FOO}${FOO}", "barbar"},
	        {"${attr.unique.hostname}", "h"},
	        {"${attr.none}", "${attr.none}"},
	        {"${}", "${}"},
	        {"${", "${"},
	        {"${${FOO}}", "${bar}"},
	        {"$${FOO}", "$bar"},
	        {"${env[\"", "${env[\""},
	        {"${node.pool} ${node.region} ${node.datacenter}", "default eu dc1"},
	};
	struct task_env env = make(NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(task_env_replace(&env, cases[i][0], &mem), cases[i][1]);
	}
}

static void json_keeps_its_shape_whatever_a_value_holds(void **state)
{
	struct pair more[] = {{"EVIL", "\"],\"x\":[\"\\"}};
	struct map map = {more, 1};
	struct task_env env = make(&map);

	(void)state;
	assert_string_equal(task_env_replace_json(&env, "{\"a\":1}", &mem), "{\"a\":1}");
	assert_string_equal(task_env_replace_json(&env, "{\"command\":\"${FOO}\",\"args\":[\"-x\",\"${attr.kernel.name}\",1]}", &mem),
	                    "{\"command\":\"bar\",\"args\":[\"-x\",\"linux\",1]}");
	assert_string_equal(task_env_replace_json(&env, "{\"a\":\"${EVIL}\"}", &mem), "{\"a\":\"\\\"],\\\"x\\\":[\\\"\\\\\"}");
	assert_string_equal(task_env_replace_json(&env, "{\"a\":\"${env[\\\"FOO\\\"]}\",\"${FOO}\":2}", &mem),
	                    "{\"a\":\"bar\",\"${FOO}\":2}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_task_knows_where_and_what_it_is),
	        cmocka_unit_test(the_list_is_what_a_process_gets),
	        cmocka_unit_test(references_are_replaced_and_unknown_ones_stay),
	        cmocka_unit_test(json_keeps_its_shape_whatever_a_value_holds),
	};

	return cmocka_run_group_tests(tests, prepare, release);
}
