#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/raft/kit.h"

static const char *json_of(struct kit *k, const struct type *t, const void *object)
{
	struct buf b = {0};
	const char *text;

	json_encode(t, object, &b);
	text = arena_strndup(&k->mem, b.at, b.len);
	buf_close(&b);
	return text;
}

static void contains(const char *text, const char *piece)
{
	if (strstr(text, piece) == NULL) {
		fail_msg("%s\nis not in\n%s", piece, text);
	}
}

static void a_job_comes_back_as_it_was_registered(void **state)
{
	struct kit k;
	struct job *job;
	struct job got;

	(void)state;
	kit_open(&k);
	job = kit_json(
		&k,
		"{\"ID\":\"a/b c\",\"Name\":\"other\",\"Type\":\"batch\",\"Priority\":77,\"AllAtOnce\":true,"
		"\"Datacenters\":[\"dc1\",\"dc2\"],\"Meta\":{\"x\":\"1\"},\"TaskGroups\":[{\"Name\":\"g\",\"Count\":3,"
		"\"Tasks\":[{\"Name\":\"t\",\"Config\":{\"args\":[1,2]}}]},{\"Name\":\"h\"}],\"Payload\":\"AQI=\"}");
	kit_register(&k, job);
	assert_int_equal(k.result.status, 0);
	assert_int_equal(job_row_get(kit_find(&k, "a/b c"), &got, &k.mem), 0);
	assert_true(object_equal_spec(&job_type, job, &got));
	assert_string_equal(got.status, "pending");
	assert_int_equal(got.create_index, k.result.index);
	assert_int_equal(got.submit_time, k.now - SECOND);
	assert_null(got.version_tag);
	assert_string_equal(got.name, "other");
	kit_close(&k);
}

static void the_stub_of_a_job(void **state)
{
	struct kit k;
	struct job_stub stub;
	const char *json;

	(void)state;
	kit_open(&k);
	kit_register(&k, kit_job(&k, "a", "service"));
	assert_int_equal(job_row_stub(k.v, kit_find(&k, "a"), &stub, &k.mem), 0);
	json = json_of(&k, &job_stub_type, &stub);
	contains(json,
		 "\"ID\":\"a\",\"ParentID\":\"\",\"Name\":\"a\",\"Namespace\":\"default\",\"Datacenters\":[\"dc1\"]");
	contains(json, "\"JobSummary\":{\"JobID\":\"a\",\"Namespace\":\"default\",\"Summary\":{\"g\":{\"Queued\":0,");
	contains(json, "\"Children\":{\"Pending\":0,\"Running\":0,\"Dead\":0}");
	contains(json, "\"Periodic\":false,\"ParameterizedJob\":false,\"Stop\":false,\"Status\":\"pending\"");
	kit_close(&k);
}

/* A job with two tasks and all that servers say of an allocation. */
static struct uuid place_full(struct kit *k)
{
	struct alloc_port port;
	struct alloc_server server;
	struct plan_result *p;
	struct job *job;
	struct uuid id;
	struct uuid node = kit_node(k, "n1");

	job = kit_json(
		k, "{\"ID\":\"a\",\"Name\":\"a\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":["
		   "{\"Name\":\"t\",\"Resources\":{\"CPU\":33,\"MemoryMB\":44,\"MemoryMaxMB\":50}},"
		   "{\"Name\":\"init\",\"Lifecycle\":{\"Hook\":\"prestart\"},\"Resources\":{\"CPU\":7,\"MemoryMB\":8}}]"
		   "}]}");
	kit_register(k, job);
	p = kit_plan(k, "a", &k->result.eval_id, &node, 1, &id);
	object_init(&alloc_server_type, &server);
	object_init(&alloc_port_type, &port);
	port.label = "http";
	port.value = 20001;
	server.ports.at = &port;
	server.ports.n = 1;
	p->places.at[0].server = &server;
	p->places.at[0].canary = true;
	p->groups.at[0].disk_mb = 300;
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(k->result.count, 1);
	return id;
}

static void an_allocation_shows_the_resources_of_its_job(void **state)
{
	struct kit k;
	struct allocation a;
	struct uuid id;
	const char *json;

	(void)state;
	kit_open(&k);
	id = place_full(&k);
	kit_report(&k, &id, "running");
	assert_int_equal(alloc_row_get(state_alloc(k.v, &id), &a, NULL, &k.mem), 0);
	json = json_of(&k, &allocation_type, &a);
	contains(json, "\"Name\":\"a.g[0]\"");
	contains(json, "\"NodeName\":\"n1\"");
	contains(json, "\"AllocatedResources\":{\"Tasks\":{\"init\":{\"Cpu\":{\"CpuShares\":7,");
	contains(json, ",\"t\":{\"Cpu\":{\"CpuShares\":33,\"ReservedCores\":null},"
		       "\"Memory\":{\"MemoryMB\":44,\"MemoryMaxMB\":50},\"Networks\":null,\"Devices\":null}}");
	contains(json, "\"TaskLifecycles\":{\"t\":null,\"init\":{\"Hook\":\"prestart\",\"Sidecar\":false}}");
	contains(json, "\"Shared\":{\"DiskMB\":300,\"Networks\":null,\"Ports\":[{\"Label\":\"http\",\"Value\":20001,");
	contains(json, "\"Resources\":{\"CPU\":40,\"Cores\":0,\"MemoryMB\":52,\"MemoryMaxMB\":50,\"DiskMB\":300,");
	contains(json, "\"SharedResources\":{\"CPU\":0,\"Cores\":0,\"MemoryMB\":0,\"MemoryMaxMB\":0,\"DiskMB\":300,");
	contains(json, "\"TaskResources\":{\"init\":{\"CPU\":7,");
	contains(json, "\"Metrics\":{\"NodesEvaluated\":3,");
	contains(json, "\"DesiredTransition\":{\"Migrate\":null,");
	contains(json, "\"DeploymentStatus\":{\"Healthy\":null,\"Timestamp\":null,\"Canary\":true,");
	contains(json, "\"ClientStatus\":\"running\",\"ClientDescription\":\"running\"");
	contains(json, "\"Job\":{\"ID\":\"a\"");
	assert_null(strstr(json, "\"DesiredDescription\""));
	assert_null(strstr(json, "\"NextAllocation\""));
	kit_close(&k);
}

/* Maps of objects travel in the order of their keys; a client refuses any other. */
static void an_allocation_can_be_sent_whatever_its_tasks_are_called(void **state)
{
	struct kit k;
	struct allocation a;
	struct allocation b;
	struct uuid id;
	struct buf packed = {0};

	(void)state;
	kit_open(&k);
	id = place_full(&k); /* The tasks "t" and "init", in this order. */
	assert_int_equal(alloc_row_get(state_alloc(k.v, &id), &a, NULL, &k.mem), 0);
	pack_encode(&allocation_type, &a, &packed);
	assert_int_equal(pack_decode(&allocation_type, &b, packed.at, packed.len, &k.mem), 0);
	assert_int_equal(b.allocated_resources->tasks.n, 2);
	assert_string_equal(b.allocated_resources->tasks.keys[1], "t");
	assert_int_equal(b.allocated_resources->tasks.at[1].cpu->cpu_shares, 33);
	buf_close(&packed);
	kit_close(&k);
}

static void the_stub_of_an_allocation(void **state)
{
	struct kit k;
	struct alloc_stub stub;
	struct uuid id;
	const char *json;

	(void)state;
	kit_open(&k);
	id = place_full(&k);
	assert_int_equal(alloc_row_stub(state_alloc(k.v, &id), ALLOC_STUB_TASK_STATES, &stub, NULL, &k.mem), 0);
	json = json_of(&k, &alloc_stub_type, &stub);
	contains(json, "\"JobType\":\"service\",\"JobVersion\":0,\"TaskGroup\":\"g\",\"DesiredStatus\":\"run\"");
	contains(json, "\"FollowupEvalID\":\"\",\"NextAllocation\":\"\",\"RescheduleTracker\":null");
	assert_null(strstr(json, "AllocatedResources"));
	assert_int_equal(alloc_row_stub(state_alloc(k.v, &id), ALLOC_STUB_RESOURCES, &stub, NULL, &k.mem), 0);
	json = json_of(&k, &alloc_stub_type, &stub);
	contains(json, "\"AllocatedResources\":{\"Tasks\":{\"init\"");
	kit_close(&k);
}

static void a_list_decodes_a_job_once(void **state)
{
	struct job_cache cache = {0};
	struct allocation a[3];
	struct uuid ids[3];
	struct uuid node;
	struct kit k;
	int i;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n");
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_place(&k, "a", &k.result.eval_id, &node, 3, ids);
	for (i = 0; i < 3; i++) {
		assert_int_equal(alloc_row_get(state_alloc(k.v, &ids[i]), &a[i], &cache, &k.mem), 0);
		assert_ptr_equal(a[i].job, a[0].job);
	}
	kit_close(&k);
}

static void the_stub_of_a_node(void **state)
{
	struct kit k;
	struct node_stub stub;
	struct node_register p;
	struct node node;
	struct pair attributes[] = {{"nomad.version", "2.0.6"}, {"os.name", "debian"}};
	struct uuid id;
	const char *json;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	node_row_get(state_node(k.v, &id), &node, &k.mem);
	node.http_addr = "[::1]:4646";
	node.attributes = (struct map){attributes, 2};
	p.node = &node;
	kit_apply(&k, COMMAND_NODE_REGISTER, &p);
	assert_int_equal(node_row_stub(state_node(k.v, &id), NODE_STUB_OS, &stub, &k.mem), 0);
	json = json_of(&k, &node_stub_type, &stub);
	contains(json, "\"Address\":\"::1\"");
	contains(json, "\"Attributes\":{\"os.name\":\"debian\"}");
	contains(json, "\"Version\":\"2.0.6\"");
	assert_null(strstr(json, "NodeResources"));
	assert_null(strstr(json, "secret"));
	node_row_stub(state_node(k.v, &id), NODE_STUB_RESOURCES, &stub, &k.mem);
	contains(json_of(&k, &node_stub_type, &stub), "\"NodeResources\":{\"Cpu\":{\"CpuShares\":4000");
	kit_close(&k);
}

/* ---- iterating ---- */

static void jobs_are_listed_by_namespace_and_prefix(void **state)
{
	static const char *const ids[] = {"web", "web-b", "web-b2", "db", "weber"};
	const struct job_row *job;
	char have[100] = "";
	struct rows r;
	struct kit k;
	size_t i;

	(void)state;
	kit_open(&k);
	for (i = 0; i < 5; i++) {
		kit_register(&k, kit_job(&k, ids[i], "service"));
	}
	rows_jobs(&r, k.v, "default", "web-");
	while ((job = job_next(&r)) != NULL) {
		strcat(strcat(have, job_row_id(job)), " ");
	}
	assert_string_equal(have, "web-b web-b2 ");
	rows_jobs(&r, k.v, "default", "");
	rows_seek(&r, "default\0web", 12);
	have[0] = '\0';
	while ((job = job_next(&r)) != NULL) {
		strcat(strcat(have, job_row_id(job)), " ");
	}
	assert_string_equal(have, "web web-b web-b2 weber ");
	rows_jobs(&r, k.v, NULL, NULL);
	rows_seek(&r, "default\0web", 12);
	assert_string_equal(job_row_id(job_prev(&r)), "web");
	assert_string_equal(job_row_id(job_prev(&r)), "db");
	assert_null(job_prev(&r));
	assert_null(job_prev(&r));
	rows_jobs(&r, k.v, "nowhere", "");
	assert_null(job_next(&r));
	kit_close(&k);
}

static void seeking_backwards_ends_at_the_key_or_before(void **state)
{
	const struct job_row *job;
	struct rows r;
	struct kit k;

	(void)state;
	kit_open(&k);
	kit_register(&k, kit_job(&k, "b", "service"));
	kit_register(&k, kit_job(&k, "d", "service"));
	rows_jobs(&r, k.v, "default", "");
	rows_seek(&r, "default\0c", 10);
	job = job_prev(&r);
	assert_string_equal(job_row_id(job), "b");
	rows_jobs(&r, k.v, "default", "");
	rows_seek(&r, "default\0a", 10);
	assert_null(job_prev(&r));
	rows_jobs(&r, k.v, "default", "");
	rows_seek(&r, "default\0z", 10);
	assert_string_equal(job_row_id(job_prev(&r)), "d");
	kit_close(&k);
}

static void what_is_found_by_prefix_of_an_id(void **state)
{
	const struct alloc_row *alloc;
	struct uuid_prefix prefix;
	struct uuid ids[40];
	struct uuid node;
	struct rows r;
	struct kit k;
	unsigned n = 0;
	char text[UUID_TEXT];

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n");
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_place(&k, "a", &k.result.eval_id, &node, 40, ids);
	uuid_format(&ids[7], text);
	text[2] = '\0';
	assert_int_equal(uuid_prefix_parse(text, &prefix), 0);
	rows_allocs(&r, k.v, &prefix);
	while ((alloc = alloc_next(&r)) != NULL) {
		assert_int_equal(alloc->id.at[0], ids[7].at[0]);
		n += uuid_equal(&alloc->id, &ids[7]);
	}
	assert_int_equal(n, 1);
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_comes_back_as_it_was_registered),
		cmocka_unit_test(the_stub_of_a_job),
		cmocka_unit_test(an_allocation_shows_the_resources_of_its_job),
		cmocka_unit_test(an_allocation_can_be_sent_whatever_its_tasks_are_called),
		cmocka_unit_test(the_stub_of_an_allocation),
		cmocka_unit_test(a_list_decodes_a_job_once),
		cmocka_unit_test(the_stub_of_a_node),
		cmocka_unit_test(jobs_are_listed_by_namespace_and_prefix),
		cmocka_unit_test(seeking_backwards_ends_at_the_key_or_before),
		cmocka_unit_test(what_is_found_by_prefix_of_an_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
