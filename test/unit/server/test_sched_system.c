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
	assert_int_equal(bed_deployment(&b, "sys")->task_groups.at[0].desired_total, 4);
	assert_int_equal(bed_deployment(&b, "sys")->task_groups.at[0].placed_allocs, 4);
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

/* ---- roll-outs ---- */

static const char *rolling(int max_parallel, int canary)
{
	return bed_json(&b,
			",'Update':{'MaxParallel':%d,'Stagger':30000000000,'MinHealthyTime':1,'HealthCheck':'task_states',"
			"'HealthyDeadline':60000000000,'ProgressDeadline':120000000000,'Canary':%d}",
			max_parallel, canary);
}

/* All that run are well, and an evaluation hears of it. */
static void all_healthy(const char *job)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	unsigned i;

	for (i = 0; i < list->n; i++) {
		struct uuid id = list->at[i]->id;

		bed_report_health(&b, &id, ALLOC_CLIENT_RUNNING, true);
	}
	bed_evaluate(&b, job, false);
	bed_run(&b);
}

static struct uuid deployment_id(const char *job)
{
	const char *text = bed_deployment(&b, job)->id;
	struct uuid id;

	assert_true(uuid_parse(text, strlen(text), &id));
	return id;
}

static const struct deployment_group *part(const char *job)
{
	return &bed_deployment(&b, job)->task_groups.at[0];
}

/* The first version has been rolled out. */
static void rolled_out(unsigned n, const char *group)
{
	struct uuid id;

	nodes(n);
	run_system("sys", "system", group, "");
	all_healthy("sys");
	id = deployment_id("sys");
	bed_deployment_status(&b, &id, DEPLOYMENT_STATUS_SUCCESSFUL);
}

CASE(updates_roll_by_max_parallel_and_health)
{
	rolled_out(5, rolling(2, 0));
	run_system("sys", "system", rolling(2, 0), env(2));
	assert_int_equal(count_version("sys", 1), 2);
	assert_int_equal(part("sys")->desired_total, 5);
	assert_int_equal(part("sys")->placed_allocs, 2);
	bed_evaluate(&b, "sys", false);
	bed_run(&b);
	assert_int_equal(count_version("sys", 1), 2); /* Their health is not known yet. */
	all_healthy("sys");
	assert_int_equal(count_version("sys", 1), 4);
	all_healthy("sys");
	assert_int_equal(count_version("sys", 1), 5);
	assert_int_equal(part("sys")->placed_allocs, 5);
	expect_one_each("sys", 5);
	assert_null(bed_find_eval(&b, "sys", EVAL_STATUS_PENDING));
}

CASE(a_deployment_counts_the_nodes_that_have_one)
{
	struct uuid node;

	nodes(2);
	bed_node(&b, "{'Meta':{'os':'other'}}");
	run_system("sys", "system",
		   bed_json(&b, "%s,'Constraints':[{'LTarget':'${meta.os}','Operand':'is_not_set'}]", rolling(1, 0)), "");
	assert_int_equal(part("sys")->desired_total, 2);
	node = bed_node(&b, "{}");
	bed_run(&b);
	assert_int_equal(part("sys")->desired_total, 3);
	assert_int_equal(part("sys")->placed_allocs, 3);
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_run(&b);
	assert_int_equal(part("sys")->desired_total, 2);
}

CASE(nodes_that_join_a_job_that_runs_begin_no_deployment)
{
	rolled_out(2, rolling(1, 0));
	nodes(1);
	bed_run(&b);
	expect_one_each("sys", 3);
	assert_string_equal(bed_deployment(&b, "sys")->status, "successful");
	assert_int_equal(part("sys")->desired_total, 2);
}

CASE(canaries_are_a_share_of_what_is_replaced)
{
	struct uuid id;

	rolled_out(5, rolling(2, 50)); /* Half of five is three, of which two at a time may be. */
	assert_int_equal(part("sys")->desired_canaries, 0);
	run_system("sys", "system", rolling(2, 50), env(2));
	assert_int_equal(count_version("sys", 1), 2);
	assert_int_equal(part("sys")->desired_canaries, 2);
	assert_int_equal(part("sys")->placed_canaries.n, 2);
	assert_string_equal(bed_deployment(&b, "sys")->status_description,
			    "Deployment is running but requires manual promotion");
	all_healthy("sys");
	assert_int_equal(count_version("sys", 1), 2);
	id = deployment_id("sys");
	bed_promote(&b, &id);
	bed_run(&b);
	assert_int_equal(count_version("sys", 1), 4);
	all_healthy("sys");
	assert_int_equal(count_version("sys", 1), 5);
	expect_one_each("sys", 5);
}

CASE(a_paused_or_failed_deployment_of_a_system_job_rests)
{
	struct uuid id;

	rolled_out(3, rolling(1, 0));
	run_system("sys", "system", rolling(1, 0), env(2));
	assert_int_equal(count_version("sys", 1), 1);
	id = deployment_id("sys");
	bed_deployment_status(&b, &id, DEPLOYMENT_STATUS_PAUSED);
	all_healthy("sys");
	assert_int_equal(count_version("sys", 1), 1);
	bed_deployment_status(&b, &id, DEPLOYMENT_STATUS_RUNNING);
	bed_evaluate(&b, "sys", false);
	bed_run(&b);
	assert_int_equal(count_version("sys", 1), 2);
	bed_deployment_status(&b, &id, DEPLOYMENT_STATUS_FAILED);
	all_healthy("sys");
	assert_int_equal(count_version("sys", 1), 2);
	assert_null(bed_find_eval(&b, "sys", EVAL_STATUS_PENDING));
}

CASE(a_deployment_of_a_system_job_ends_with_its_version)
{
	rolled_out(2, rolling(1, 0));
	run_system("sys", "system", rolling(1, 0), env(2));
	run_system("sys", "system", rolling(1, 0), env(3));
	assert_int_equal(bed_deployment(&b, "sys")->job_version, 2);
	bed_stop(&b, "sys");
	bed_run(&b);
	assert_string_equal(bed_deployment(&b, "sys")->status_description, "Cancelled because job is stopped");
	assert_int_equal(bed_count(&b, "sys", BED_LIVE), 0);
}

/* They could not be replaced when the others were. */
CASE(nodes_that_a_deployment_has_missed_follow_after_stagger)
{
	const char *next;
	struct uuid ids[2];
	struct uuid id;
	unsigned i;

	for (i = 0; i < 2; i++) {
		ids[i] = bed_node(&b, "{}");
	}
	rolled_out(1, rolling(1, 0));
	for (i = 0; i < 2; i++) {
		bed_node_eligible(&b, &ids[i], false);
	}
	run_system("sys", "system", rolling(1, 0), env(2));
	assert_int_equal(part("sys")->desired_total, 1);
	all_healthy("sys");
	id = deployment_id("sys");
	bed_deployment_status(&b, &id, DEPLOYMENT_STATUS_SUCCESSFUL);
	for (i = 0; i < 2; i++) {
		bed_node_eligible(&b, &ids[i], true);
	}
	id = bed_find_eval(&b, "sys", EVAL_STATUS_PENDING)->id; /* There are two, of a node each. */
	bed_run_eval(&b, &id);
	assert_int_equal(count_version("sys", 1), 2);
	next = bed_eval(&b, &id)->next_eval;
	assert_true(uuid_parse(next, strlen(next), &id));
	assert_string_equal(bed_eval(&b, &id)->triggered_by, "rolling-update");
	assert_int_equal(bed_eval(&b, &id)->wait_until, b.now + 30 * SECOND);
	bed_wait(&b, 30 * SECOND);
	bed_run(&b);
	assert_int_equal(count_version("sys", 1), 3);
	expect_one_each("sys", 3);
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
	X(updates_roll_by_max_parallel_and_health)								       \
	X(a_deployment_counts_the_nodes_that_have_one)								       \
	X(nodes_that_join_a_job_that_runs_begin_no_deployment)							       \
	X(canaries_are_a_share_of_what_is_replaced)								       \
	X(a_paused_or_failed_deployment_of_a_system_job_rests)							       \
	X(a_deployment_of_a_system_job_ends_with_its_version)							       \
	X(nodes_that_a_deployment_has_missed_follow_after_stagger)						       \
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
