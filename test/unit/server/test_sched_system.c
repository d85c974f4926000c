/* Jobs of type system and sysbatch: one allocation on every node. */
#include "test/unit/server/sched_case.h"

static void nodes(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		bed_node(&b, "{}");
	}
}

static struct uuid run_system(const char *id, const char *type, const char *group, const char *more)
{
	struct uuid eval = bed_register_simple(&b, id, type, 1, group, more);

	bed_run(&b);
	return eval;
}

static const char *env(int version)
{
	return bed_json(&b, ",'Meta':{'v':'%d'}", version);
}

static unsigned count_version(const char *job, uint64_t version)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < list->n; i++) {
		n += list->at[i]->job->version == version;
	}
	return n;
}

/* No node has two live ones of the job. */
static void expect_one_each(const char *job, unsigned n)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	unsigned i;
	unsigned j;

	assert_int_equal(list->n, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(list->at[i]->index, 0);
		for (j = 0; j < i; j++) {
			assert_false(uuid_equal(&list->at[i]->node_id, &list->at[j]->node_id));
		}
	}
}

CASE(a_system_job_runs_on_every_node)
{
	struct uuid eval;

	nodes(4);
	bed_node(&b, "{'Datacenter':'dc2'}");
	eval = run_system("sys", "system", "", "");
	expect_one_each("sys", 4);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 0);
	assert_null(bed_deployment(&b, "sys"));
}

CASE(and_on_nodes_that_join_later)
{
	nodes(2);
	run_system("sys", "system", "", "");
	nodes(2);
	bed_run(&b);
	expect_one_each("sys", 4);
}

CASE(nodes_that_do_not_fit_are_no_failure)
{
	struct uuid eval;

	nodes(2);
	bed_node(&b, "{'Attributes':{'kernel.name':'plan9'}}");
	eval = run_system("sys", "system", "",
			  ",'Constraints':[{'LTarget':'${attr.kernel.name}','Operand':'=','RTarget':'linux'}]");
	expect_one_each("sys", 2);
	assert_null(bed_failed(&b, &eval, "g"));
	assert_null(bed_find_eval(&b, "sys", EVAL_STATUS_BLOCKED));
}

CASE(nodes_without_room_are)
{
	struct uuid eval;
	struct alloc_metric *m;

	nodes(1);
	bed_node_sized(&b, 50, 50);
	bed_node_sized(&b, 50, 50);
	eval = run_system("sys", "system", "", "");
	expect_one_each("sys", 1);
	m = bed_failed(&b, &eval, "g");
	assert_int_equal(m->nodes_exhausted, 2);
	assert_int_equal(m->coalesced_failures, 1);
	assert_int_equal(bed_number(&m->dimension_exhausted, "cpu"), 2);
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 2);
	assert_non_null(bed_find_eval(&b, "sys", EVAL_STATUS_BLOCKED));
}

CASE(a_lost_node_loses_its_allocation)
{
	struct uuid node;
	const struct alloc_list *list;

	nodes(3);
	run_system("sys", "system", "", "");
	node = bed_allocs(&b, "sys", BED_LIVE)->at[1]->node_id;
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_run(&b);
	expect_one_each("sys", 2);
	list = bed_allocs(&b, "sys", BED_STOPPED);
	assert_string_equal(bed_description(&b, list->at[0]), "alloc is lost since its node is down");
	bed_node_status(&b, &node, NODE_STATUS_READY);
	bed_run(&b);
	expect_one_each("sys", 3);
}

CASE(a_draining_node_keeps_it_until_its_turn)
{
	struct uuid node;
	struct uuid id;

	nodes(2);
	run_system("sys", "system", "", "");
	node = bed_allocs(&b, "sys", BED_LIVE)->at[0]->node_id;
	id = bed_allocs(&b, "sys", BED_LIVE)->at[0]->id;
	bed_node_drain(&b, &node);
	bed_evaluate(&b, "sys", false);
	bed_run(&b);
	expect_one_each("sys", 2);
	bed_migrate(&b, &id);
	bed_run(&b);
	expect_one_each("sys", 1);
	assert_string_equal(bed_description(&b, state_alloc(b.v, &id)), "alloc not needed as node is tainted");
}

CASE(a_node_that_does_not_fit_any_more_loses_it)
{
	bed_node(&b, "{'Meta':{'rack':'1'}}");
	bed_node(&b, "{'Meta':{'rack':'2'}}");
	run_system("sys", "system", "", "");
	expect_one_each("sys", 2);
	run_system("sys", "system", "", ",'Constraints':[{'LTarget':'${meta.rack}','Operand':'=','RTarget':'2'}]");
	expect_one_each("sys", 1);
	assert_string_equal(bed_description(&b, bed_allocs(&b, "sys", BED_STOPPED)->at[0]),
			    "alloc not needed due to job update");
}

CASE(a_stopped_system_job_stops_everywhere)
{
	nodes(3);
	run_system("sys", "system", "", "");
	bed_stop(&b, "sys");
	bed_run(&b);
	expect_one_each("sys", 0);
}

CASE(a_harmless_change_is_made_in_place)
{
	nodes(2);
	run_system("sys", "system", "", "");
	run_system("sys", "system", "", ",'Priority':77");
	expect_one_each("sys", 2);
	assert_int_equal(bed_count(&b, "sys", BED_ALL), 2);
	assert_int_equal(count_version("sys", 1), 2);
}

CASE(updates_roll_by_max_parallel_and_stagger)
{
	static const char rolling[] = ",'Update':{'MaxParallel':2,'Stagger':30000000000}";
	const struct eval_row *next;

	nodes(5);
	run_system("sys", "system", rolling, "");
	run_system("sys", "system", rolling, env(2));
	assert_int_equal(count_version("sys", 1), 2);
	next = bed_find_eval(&b, "sys", EVAL_STATUS_PENDING);
	assert_non_null(next);
	assert_string_equal(bed_eval(&b, &next->id)->triggered_by, "rolling-update");
	assert_int_equal(next->wait_until_ns, b.now + 30 * SECOND);
	bed_wait(&b, 30 * SECOND);
	bed_run(&b);
	assert_int_equal(count_version("sys", 1), 4);
	bed_wait(&b, 30 * SECOND);
	bed_run(&b);
	assert_int_equal(count_version("sys", 1), 5);
	expect_one_each("sys", 5);
	assert_null(bed_find_eval(&b, "sys", EVAL_STATUS_PENDING));
}

CASE(a_failed_system_allocation_is_placed_again)
{
	struct uuid id;

	nodes(1);
	run_system("sys", "system", "", "");
	id = bed_allocs(&b, "sys", BED_LIVE)->at[0]->id;
	bed_report(&b, &id, ALLOC_CLIENT_FAILED);
	bed_evaluate(&b, "sys", false);
	bed_run(&b);
	expect_one_each("sys", 1);
}

CASE(system_jobs_make_room_for_themselves)
{
	bed_node_sized(&b, 1000, 1000);
	bed_register_simple(&b, "low", "service", 10, "", ",'Priority':20");
	bed_run(&b);
	run_system("sys", "system", "", ",'Priority':80");
	expect_one_each("sys", 1);
	assert_int_equal(bed_count(&b, "low", BED_LIVE), 9);
}

/* The old one runs on, and what waits for room is told, or nobody would look again. */
CASE(an_update_that_finds_no_room_waits_for_it)
{
	static const char port[] = ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':8080}]}]";
	struct uuid eval;

	nodes(1);
	run_system("sys", "system", "", "");
	bed_register_simple(&b, "holder", "service", 1, port, "");
	bed_run(&b);
	assert_int_equal(bed_count(&b, "holder", BED_LIVE), 1);
	eval = run_system("sys", "system", port, "");
	expect_one_each("sys", 1);
	assert_int_equal(count_version("sys", 0), 1);
	assert_non_null(bed_failed(&b, &eval, "g"));
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 1);
	assert_non_null(bed_find_eval(&b, "sys", EVAL_STATUS_BLOCKED));
	bed_stop(&b, "holder");
	bed_run(&b);
	bed_report_all(&b, "holder", ALLOC_CLIENT_COMPLETE);
	bed_evaluate(&b, "sys", false);
	bed_run(&b);
	expect_one_each("sys", 1);
	assert_int_equal(count_version("sys", 1), 1);
}

CASE(a_sysbatch_job_runs_once_on_every_node)
{
	nodes(3);
	run_system("once", "sysbatch", "", "");
	expect_one_each("once", 3);
	bed_report_all(&b, "once", ALLOC_CLIENT_COMPLETE);
	bed_evaluate(&b, "once", false);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "once", BED_ALL), 3);
	nodes(1);
	bed_run(&b);
	expect_one_each("once", 1);
	assert_int_equal(bed_count(&b, "once", BED_ALL), 4);
}

CASE(and_again_when_it_is_changed)
{
	nodes(2);
	run_system("once", "sysbatch", "", "");
	bed_report_all(&b, "once", ALLOC_CLIENT_COMPLETE);
	run_system("once", "sysbatch", "", env(2));
	expect_one_each("once", 2);
	assert_int_equal(bed_count(&b, "once", BED_ALL), 4);
}

CASE(a_failed_sysbatch_allocation_is_left_alone)
{
	nodes(2);
	run_system("once", "sysbatch", "", "");
	bed_report_all(&b, "once", ALLOC_CLIENT_FAILED);
	bed_evaluate(&b, "once", false);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "once", BED_ALL), 2);
}

CASE(out_of_sight_it_is_unknown)
{
	struct uuid id;
	struct uuid node;

	nodes(2);
	run_system("sys", "system", ",'Disconnect':{'LostAfter':600000000000}", "");
	id = bed_allocs(&b, "sys", BED_LIVE)->at[0]->id;
	node = bed_allocs(&b, "sys", BED_LIVE)->at[0]->node_id;
	bed_report(&b, &id, ALLOC_CLIENT_RUNNING);
	bed_node_status(&b, &node, NODE_STATUS_DISCONNECTED);
	bed_run(&b);
	assert_int_equal(state_alloc(b.v, &id)->client, ALLOC_CLIENT_UNKNOWN);
	bed_wait(&b, 601 * SECOND);
	bed_run(&b);
	assert_int_equal(state_alloc(b.v, &id)->client, ALLOC_CLIENT_LOST);
	expect_one_each("sys", 1);
}

CASE(static_ports_of_system_jobs)
{
	struct uuid eval;

	nodes(2);
	run_system("one", "system", ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':9100}]}]", "");
	eval = run_system("two", "system", ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':9100}]}]", "");
	expect_one_each("one", 2);
	expect_one_each("two", 0);
	assert_int_equal(
		bed_number(&bed_failed(&b, &eval, "g")->dimension_exhausted, "network: reserved port collision p=9100"),
		2);
}

CASE(a_group_taken_out_is_stopped)
{
	static const char two[] =
		"{'ID':'two','Type':'system','Datacenters':['dc1'],'TaskGroups':["
		"{'Name':'a','Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}%s]}";

	nodes(2);
	bed_register(&b, bed_json(&b, two,
				  ",{'Name':'b','Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}"));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 4);
	bed_register(&b, bed_json(&b, two, ""));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 2);
}

#define CASES(X)												       \
	X(a_system_job_runs_on_every_node)									       \
	X(and_on_nodes_that_join_later)										       \
	X(nodes_that_do_not_fit_are_no_failure)									       \
	X(nodes_without_room_are)										       \
	X(a_lost_node_loses_its_allocation)									       \
	X(a_draining_node_keeps_it_until_its_turn)								       \
	X(a_node_that_does_not_fit_any_more_loses_it)								       \
	X(a_stopped_system_job_stops_everywhere)								       \
	X(a_harmless_change_is_made_in_place)									       \
	X(updates_roll_by_max_parallel_and_stagger)								       \
	X(a_failed_system_allocation_is_placed_again)								       \
	X(system_jobs_make_room_for_themselves)									       \
	X(an_update_that_finds_no_room_waits_for_it)								       \
	X(a_sysbatch_job_runs_once_on_every_node)								       \
	X(and_again_when_it_is_changed)										       \
	X(a_failed_sysbatch_allocation_is_left_alone)								       \
	X(out_of_sight_it_is_unknown)										       \
	X(static_ports_of_system_jobs)										       \
	X(a_group_taken_out_is_stopped)
RUN_CASES(CASES)
