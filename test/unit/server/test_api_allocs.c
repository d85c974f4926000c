/* Allocations: reading and stopping them, and what is asked of their nodes. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

#define U "deadbeef-0000-0000-0000-000000000000"

/* A job "web" with allocations on a node. */
static struct uuid node;
static struct uuid ids[3];

static void place(unsigned n)
{
	bed_register(&b, "web", "");
	node = bed_place(&b, "web", n, ids);
}

static const char *at(const char *format, const struct uuid *id)
{
	char text[UUID_TEXT];

	uuid_format(id, text);
	return bed_quote(&b, format, text);
}

/* allocations/list_holds_the_allocation, list_by_even_prefix, list_by_a_prefix_without_hits */
CASE(allocations_are_listed)
{
	static const int cuts[] = {2, 4, 8, 9, 11, 36};
	const char *id;

	place(2);
	bed_want(&b, "GET", "/v1/allocations", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.JobID", "\"web\"");
	assert_string_not_equal(bed_json(&b, "0.Name"), bed_json(&b, "1.Name"));
	bed_is(&b, "0.Job", "none");
	id = kit_text(&b.kit, &ids[1]);
	for (unsigned i = 0; i < 6; i++) {
		bed_want(&b, "GET", bed_quote(&b, "/v1/allocations?prefix=%.*s", cuts[i], id), NULL, 200, NULL);
		assert_int_equal(bed_length(&b, ""), 1);
		bed_is(&b, "0.ID", bed_quote(&b, "'%s'", id));
	}
	bed_want(&b, "GET", "/v1/allocations?prefix=" U, NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/allocations?namespace=other", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/allocations?namespace=*", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
}

/* extended/alloc_list_fields_by_choice */
CASE(stubs_have_what_is_asked_for)
{
	place(1);
	kit_report(&b.kit, &ids[0], "running");
	bed_want(&b, "GET", "/v1/allocations", NULL, 200, NULL);
	bed_is(&b, "0.AllocatedResources", "none");
	bed_is(&b, "0.ClientStatus", "\"running\"");
	bed_want(&b, "GET", "/v1/allocations?resources=true", NULL, 200, NULL);
	bed_is(&b, "0.AllocatedResources.Tasks.t.Memory.MemoryMB", "10");
	bed_want(&b, "GET", "/v1/allocations?task_states=false", NULL, 200, NULL);
	bed_is(&b, "0.TaskStates", "null");
	bed_want(&b, "GET", "/v1/allocations?resources=perhaps", NULL, 500, NULL);
	bed_want(&b, "GET", "/v1/allocations?task_states=perhaps", NULL, 500, NULL);
	bed_want(&b, "GET", "/v1/allocations?task_states=&resources=", NULL, 200, NULL);
	bed_is(&b, "0.AllocatedResources", "none");
	bed_want(&b, "GET", "/v1/allocations?filter=ClientStatus%20==%20%22running%22", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/allocations?filter=ClientStatus%20==%20%22lost%22", NULL, 200, "[]");
}

/* allocations/read_by_full_id, read_of_an_unknown_id */
CASE(an_allocation_is_told_whole)
{
	place(1);
	bed_want(&b, "GET", at("/v1/allocation/%s", &ids[0]), NULL, 200, NULL);
	bed_is(&b, "ID", at("'%s'", &ids[0]));
	bed_is(&b, "NodeID", at("'%s'", &node));
	bed_is(&b, "Job.ID", "\"web\"");
	bed_is(&b, "Job.Version", "0");
	bed_is(&b, "DesiredStatus", "\"run\"");
	bed_is(&b, "ClientStatus", "\"pending\"");
	bed_is(&b, "Metrics.NodesEvaluated", "3");
	assert_true(b.last.res.index >= (uint64_t)bed_number(&b, "ModifyIndex"));
	bed_want(&b, "GET", "/v1/allocation/" U, NULL, 404, "alloc not found");
}

/* A host's network is told by empty texts, as soon as there is anything to tell. */
CASE(an_allocation_that_was_begun_has_a_network)
{
	place(1);
	bed_want(&b, "GET", at("/v1/allocation/%s", &ids[0]), NULL, 200, NULL);
	bed_is(&b, "NetworkStatus", "none");
	kit_report(&b.kit, &ids[0], "running");
	bed_want(&b, "GET", at("/v1/allocation/%s", &ids[0]), NULL, 200, NULL);
	bed_is(&b, "NetworkStatus.Address", "\"\"");
	bed_is(&b, "NetworkStatus.DNS", "null");
	bed_want(&b, "GET", at("/v1/node/%s/allocations", &node), NULL, 200, NULL);
	bed_is(&b, "0.NetworkStatus.InterfaceName", "\"\"");
}

/* nodes/allocations_of_a_node, evaluations/allocations_of_an_evaluation, deployments/allocations_of_a_deployment */
CASE(allocations_are_listed_by_what_they_belong_to)
{
	place(3);
	bed_want(&b, "GET", at("/v1/node/%s/allocations", &node), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_is(&b, "0.Job.ID", "\"web\"");
	bed_want(&b, "GET", at("/v1/evaluation/%s/allocations", &kit_newest_eval(&b.kit, "web")->id), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_is(&b, "0.Job", "none");
	bed_want(&b, "GET", "/v1/job/web/allocations?all=true", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_want(&b, "GET", "/v1/job/web/allocations?all=perhaps", NULL, 200, NULL); /* Not true. */
	bed_want(&b, "GET", "/v1/node/" U "/allocations", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/node/nope/allocations", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/evaluation/" U "/allocations", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/deployment/allocations/" U, NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/job/no/allocations", NULL, 200, "[]");
}

/* alloc_stop/stops_and_replaces, unknown_and_bad_ids */
CASE(an_allocation_is_stopped)
{
	const struct alloc_row *row;
	const char *eval;

	place(2);
	bed_want(&b, "POST", at("/v1/allocation/%s/stop", &ids[0]), NULL, 200, NULL);
	assert_int_equal(bed_number(&b, "Index"), b.last.res.index);
	eval = bed_json(&b, "EvalID");
	row = state_alloc(b.kit.v, &ids[0]);
	assert_int_equal(row->flags & (ALLOC_MIGRATE | ALLOC_RESCHEDULE | ALLOC_NO_SHUTDOWN_DELAY), ALLOC_MIGRATE);
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%.36s", eval + 1), NULL, 200, NULL);
	bed_is(&b, "TriggeredBy", "\"alloc-stop\"");
	assert_int_equal(state_alloc(b.kit.v, &ids[1])->flags & ALLOC_MIGRATE, 0);
	bed_want(&b, "PUT", at("/v1/allocation/%s/stop?no_shutdown_delay=true&reschedule=true", &ids[1]), "{}", 200,
		 NULL);
	row = state_alloc(b.kit.v, &ids[1]);
	assert_int_equal(row->flags & (ALLOC_MIGRATE | ALLOC_RESCHEDULE | ALLOC_NO_SHUTDOWN_DELAY),
			 ALLOC_MIGRATE | ALLOC_RESCHEDULE | ALLOC_NO_SHUTDOWN_DELAY);
	bed_want(&b, "POST", "/v1/allocation/" U "/stop", NULL, 404, "allocation not found");
	bed_want(&b, "POST", "/v1/allocation/xyz/stop", NULL, 500, NULL);
	bed_want(&b, "POST", "/v1/allocation/" U "/stop?reschedule=x", NULL, 500,
		 "Failed to parse value of \"reschedule\" (x) as a bool: strconv.ParseBool: parsing \"x\": invalid syntax");
}

/* ---- asked of the node ---- */

static const char *const of_alloc[][2] = {
	{"POST", "/v1/client/allocation/%s/signal"}, {"PUT", "/v1/client/allocation/%s/restart"},
	{"GET", "/v1/client/allocation/%s/stats"},   {"GET", "/v1/client/allocation/%s/checks"},
	{"GET", "/v1/client/fs/ls/%s?path=/"},       {"GET", "/v1/client/fs/stat/%s?path=/x"},
	{"GET", "/v1/client/fs/cat/%s?path=/x"},     {"GET", "/v1/client/fs/readat/%s?path=/x"},
	{"GET", "/v1/client/fs/stream/%s?path=/x"},  {"GET", "/v1/client/fs/logs/%s?task=t&type=stdout"},
};

/* alloc_signal/unknown_allocation_and_bad_id, client_fs/unknown_allocation */
CASE(the_node_of_an_allocation_is_asked)
{
	place(1);
	for (unsigned i = 0; i < sizeof(of_alloc) / sizeof(of_alloc[0]); i++) {
		struct kept k;

		bed_start(&b, &k, of_alloc[i][0], at(of_alloc[i][1], &ids[0]), "{\"Signal\":\"SIGHUP\"}");
		assert_ptr_equal(b.forwarded, &k.req);
		assert_int_equal(b.where, CORE_TO_NODE);
		assert_string_equal(b.to, kit_text(&b.kit, &node));
		assert_string_equal(b.forwarded->body, "{\"Signal\":\"SIGHUP\"}");
		bed_answer(&b, 200, "done");
		assert_int_equal(k.answers, 1);
		kept_close(&k);
		bed_want(&b, of_alloc[i][0], bed_quote(&b, of_alloc[i][1], U), NULL, 404,
			 "Unknown allocation \"" U "\"");
		bed_ask(&b, of_alloc[i][0], bed_quote(&b, of_alloc[i][1], "xyz"), NULL);
		assert_int_equal(b.last.res.status, 500);
		assert_non_null(strstr(bed_text(&b), "UUID must be 36 characters"));
	}
	bed_want(&b, "GET", "/v1/client/fs/ls/", NULL, 400, "must provide a valid alloc id");
}

/* A follower that has never heard of it asks the leader how far it is, and looks again. */
CASE(a_follower_looks_twice_for_an_allocation)
{
	struct uuid coming;
	struct kept k;

	bed_register(&b, "web", "");
	bed_place(&b, "web", 1, &coming); /* To know which ID the next one gets, */
	bed_close(&b);
	bed_open(&b); /* as all of this is the same each time. */
	bed_register(&b, "web", "");
	bed_lead(&b, false, true);
	bed_want(&b, "GET", "/v1/client/fs/ls/" U, NULL, 404, "Unknown allocation \"" U "\"");
	assert_int_equal(b.reads, 1);
	b.read_status = ERR_NOLEADER;
	bed_start(&b, &k, "GET", "/v1/client/fs/ls/" U, NULL);
	bed_sleep(&b, 6 * SECOND);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 500);
	assert_string_equal(buf_text(&k.body), "No cluster leader");
	kept_close(&k);
	b.read_status = 0;
	b.hold = true; /* It comes while the leader is asked. */
	bed_start(&b, &k, "GET", bed_quote(&b, "/v1/client/fs/ls/%s", kit_text(&b.kit, &coming)), NULL);
	assert_int_equal(k.answers, 0);
	node = bed_place(&b, "web", 1, ids);
	assert_true(uuid_equal(&ids[0], &coming));
	b.hold = false;
	bed_pump(&b);
	assert_ptr_equal(b.forwarded, &k.req);
	assert_string_equal(b.to, kit_text(&b.kit, &node));
	bed_answer(&b, 200, "there");
	kept_close(&k);
}

CASE(a_node_that_cannot_be_reached_is_told)
{
	static const struct {
		int err;
		int status;
		const char *text;
	} cases[] = {{ERR_NOTFOUND, 404, "No path to node"},
		     {ERR_CLOSED, 404, "No path to node"},
		     {ERR_BUSY, 429, "too many requests"},
		     {ERR_UNKNOWN, 500, "the outcome is unknown: the write may or may not have taken place"}};

	place(1);
	for (unsigned i = 0; i < 4; i++) {
		struct kept k;

		bed_start(&b, &k, "POST", at("/v1/client/allocation/%s/restart", &ids[0]), "{}");
		bed_return(&b, cases[i].err);
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.res.status, cases[i].status);
		assert_string_equal(buf_text(&k.body), cases[i].text);
		kept_close(&k);
	}
}

/* ---- asked of a node by its ID ---- */

CASE(a_node_is_asked_for_itself)
{
	const char *body;
	const char *id;
	struct kept k;

	bed_want(&b, "GET", "/v1/client/stats", NULL, 400, "No local Node and node_id not provided");
	bed_want(&b, "GET", "/v1/client/stats?node_id=xyz", NULL, 500, NULL);
	bed_want(&b, "GET", "/v1/client/stats?node_id=" U, NULL, 404, "Unknown node \"" U "\"");
	place(1);
	id = kit_text(&b.kit, &node);
	bed_start(&b, &k, "GET", bed_quote(&b, "/v1/client/stats?node_id=%s", id), NULL);
	assert_int_equal(b.where, CORE_TO_NODE);
	assert_string_equal(b.to, id);
	bed_answer(&b, 200, "there");
	kept_close(&k);
	body = bed_quote(&b, "{\"NodeID\":\"%s\",\"Meta\":{\"a\":null}}", id);
	bed_start(&b, &k, "POST", "/v1/client/metadata", body);
	assert_string_equal(b.to, id);
	assert_string_equal(b.forwarded->body, body);
	bed_answer(&b, 200, "there");
	kept_close(&k);
	b.info.node_id = "11111111-2222-3333-4444-555555555555";
	bed_start(&b, &k, "GET", "/v1/client/stats", NULL);
	assert_string_equal(b.to, b.info.node_id);
	bed_answer(&b, 200, "there");
	kept_close(&k);
	b.info.node_id = "";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(allocations_are_listed),
		T(stubs_have_what_is_asked_for),
		T(an_allocation_is_told_whole),
		T(allocations_are_listed_by_what_they_belong_to),
		T(an_allocation_that_was_begun_has_a_network),
		T(an_allocation_is_stopped),
		T(the_node_of_an_allocation_is_asked),
		T(a_follower_looks_twice_for_an_allocation),
		T(a_node_that_cannot_be_reached_is_told),
		T(a_node_is_asked_for_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
