/* Where allocations go, and what is told when they cannot. */
#include "test/unit/server/sched_case.h"

static const char *node_of(const struct alloc_row *row)
{
	return row != NULL ? (const char *)row->node_name->data : "";
}

/* A node with a name and more. */
static struct uuid named(const char *name, const char *more)
{
	return bed_node(&b, bed_json(&b, "{'Name':'%s'%s}", name, more));
}

static struct uuid run_simple(const char *id, int count, const char *group, const char *more)
{
	struct uuid eval = bed_register_simple(&b, id, "service", count, group, more);

	bed_run(&b);
	return eval;
}

static const char *constraint(const char *l, const char *op, const char *r)
{
	return bed_json(&b, ",'Constraints':[{'LTarget':'%s','Operand':'%s','RTarget':'%s'}]", l, op, r);
}

/* The name of the one node that a job with this constraint runs on; "" when it does not. */
static const char *placed_by(const char *l, const char *op, const char *r)
{
	static unsigned n;
	const char *id = bed_json(&b, "job-%u", ++n);

	run_simple(id, 1, "", constraint(l, op, r));
	return node_of(bed_alloc(&b, id, 0));
}

/* ---- the first steps ---- */

CASE(a_job_is_placed)
{
	struct uuid eval;
	const struct alloc_row *a;

	bed_node(&b, "{}");
	eval = run_simple("web", 3, "", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 3);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 0);
	assert_true(bed_eval(&b, &eval)->snapshot_index > 0);
	a = bed_alloc(&b, "web", 2);
	assert_non_null(a);
	assert_true(uuid_equal(&a->eval_id, &eval));
	assert_int_equal(a->cpu_mhz, 100);
	assert_int_equal(a->memory_mb, 100);
	assert_int_equal(a->disk_mb, 10);
	assert_int_equal(a->desired, ALLOC_DESIRED_RUN);
	assert_int_equal(a->client, ALLOC_CLIENT_PENDING);
}

CASE(without_nodes_everything_is_blocked)
{
	struct uuid eval = run_simple("web", 3, "", "");
	const struct eval_row *blocked = bed_find_eval(&b, "web", EVAL_STATUS_BLOCKED);
	struct alloc_metric *m = bed_failed(&b, &eval, "g");
	struct evaluation *e = bed_eval(&b, &eval);

	assert_int_equal(m->coalesced_failures, 2);
	assert_int_equal(m->nodes_evaluated, 0);
	assert_int_equal(m->nodes_filtered, 0);
	assert_int_equal(m->nodes_exhausted, 0);
	assert_true(m->allocation_time > 0);
	assert_int_equal(bed_number(&e->queued_allocations, "g"), 3);
	assert_string_equal(e->status, "complete");
	assert_non_null(blocked);
	assert_string_equal(e->blocked_eval, bed_eval(&b, &blocked->id)->id);
	e = bed_eval(&b, &blocked->id);
	assert_string_equal(e->triggered_by, "queued-allocs");
	assert_string_equal(e->status_description, "created to place remaining allocations");
	assert_string_equal(e->previous_eval, bed_eval(&b, &eval)->id);
	assert_true(e->snapshot_index > 0);
	assert_int_equal(bed_failed(&b, &blocked->id, "g")->coalesced_failures, 2); /* It tells what it waits for. */
}

CASE(a_blocked_evaluation_places_when_there_is_room)
{
	struct uuid eval = run_simple("web", 2, "", "");

	(void)eval;
	bed_node(&b, "{}");
	bed_unblock(&b);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
	assert_int_equal(bed_count_evals(&b, "web", EVAL_STATUS_BLOCKED), 0);
}

CASE(a_blocked_evaluation_that_fails_again_stays_the_same_one)
{
	const struct eval_row *blocked;
	uint64_t before;

	run_simple("web", 2, "", "");
	blocked = bed_find_eval(&b, "web", EVAL_STATUS_BLOCKED);
	before = blocked->snapshot_index;
	bed_node_sized(&b, 10, 10);
	bed_unblock(&b);
	assert_int_equal(bed_count_evals(&b, "web", EVAL_STATUS_BLOCKED), 1);
	assert_true(bed_find_eval(&b, "web", EVAL_STATUS_BLOCKED)->snapshot_index > before);
}

CASE(what_fits_is_placed_and_the_rest_waits)
{
	struct uuid eval;

	bed_node_sized(&b, 250, 8000);
	eval = run_simple("web", 5, "", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 3);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->dimension_exhausted, "cpu"), 1);
}

CASE(a_job_may_ask_for_any_number)
{
	struct uuid eval;

	bed_node_sized(&b, 1000, 100000);
	eval = run_simple("web", 2000000000, "", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 10);
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 1999999990);
	assert_int_equal(bed_failed(&b, &eval, "g")->coalesced_failures, 1999999989);
	assert_non_null(bed_find_eval(&b, "web", EVAL_STATUS_BLOCKED));
}

/* ---- room ---- */

static int64_t exhausted(const char *resources, const char *dimension)
{
	struct uuid eval = bed_register(
		&b,
		bed_json(&b,
			 "{'ID':'big','Name':'big','Type':'batch','Datacenters':['dc1'],'TaskGroups':[{'Name':'g',"
			 "'Count':1,'EphemeralDisk':{'SizeMB':%s},'Tasks':[{'Name':'t','Driver':'raw_exec',"
			 "'Config':{'command':'x'},'Resources':%s,'LogConfig':{'MaxFiles':1,'MaxFileSizeMB':1}}]}]}",
			 strcmp(dimension, "disk") == 0 ? "999999" : "10", resources));
	struct alloc_metric *m;

	bed_run(&b);
	m = bed_failed(&b, &eval, "g");
	assert_non_null(m);
	assert_int_equal(m->nodes_evaluated, 2);
	assert_int_equal(m->nodes_exhausted, 2);
	assert_int_equal(m->nodes_filtered, 0);
	assert_int_equal(bed_number(&m->nodes_available, "dc1"), 2);
	return bed_number(&m->dimension_exhausted, dimension);
}

CASE(too_much_cpu_is_told)
{
	bed_node(&b, "{}");
	bed_node(&b, "{}");
	assert_int_equal(exhausted("{'CPU':99999999,'MemoryMB':10}", "cpu"), 2);
}

CASE(too_much_memory_is_told)
{
	bed_node(&b, "{}");
	bed_node(&b, "{}");
	assert_int_equal(exhausted("{'CPU':10,'MemoryMB':9999999}", "memory"), 2);
}

CASE(too_much_disk_is_told)
{
	bed_node(&b, "{}");
	bed_node(&b, "{}");
	assert_int_equal(exhausted("{'CPU':10,'MemoryMB':10}", "disk"), 2);
}

CASE(exhausted_resources_are_summed_by_task)
{
	struct uuid eval;
	struct alloc_metric *m;

	bed_node_sized(&b, 150, 8000);
	eval = run_simple("web", 4, "", "");
	m = bed_failed(&b, &eval, "g");
	assert_int_equal(m->resources_exhausted.n, 1);
	assert_string_equal(m->resources_exhausted.keys[0], "t");
	assert_int_equal(m->resources_exhausted.at[0].cpu.at, 300);
	assert_int_equal(m->resources_exhausted.at[0].memory_mb.at, 0);
}

CASE(what_a_node_reserves_is_not_for_allocations)
{
	bed_node(&b, "{'ReservedResources':{'Cpu':{'CpuShares':3750},'Memory':{'MemoryMB':100}}}");
	run_simple("web", 5, "", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
}

CASE(a_node_takes_no_more_allocations_than_its_limit)
{
	struct uuid eval;

	bed_node(&b, "{'NodeMaxAllocs':3}");
	eval = run_simple("web", 5, "", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 3);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->dimension_exhausted, "max allocations"), 1);
}

CASE(tasks_before_and_after_the_main_ones_do_not_add_up)
{
	bed_node(&b, "{}");
	bed_register(&b,
		     bed_json(&b,
			      "{'ID':'hooks','Type':'batch','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Tasks':["
			      "{'Name':'pre','Driver':'raw_exec','Config':{'command':'x'},"
			      "'Lifecycle':{'Hook':'prestart'},'Resources':{'CPU':300,'MemoryMB':50}},"
			      "{'Name':'side','Driver':'raw_exec','Config':{'command':'x'},"
			      "'Lifecycle':{'Hook':'prestart','Sidecar':true},'Resources':{'CPU':10,'MemoryMB':20}},"
			      "{'Name':'main','Driver':'raw_exec','Config':{'command':'x'},"
			      "'Resources':{'CPU':200,'MemoryMB':100}},"
			      "{'Name':'post','Driver':'raw_exec','Config':{'command':'x'},"
			      "'Lifecycle':{'Hook':'poststop'},'Resources':{'CPU':100,'MemoryMB':400}}]}]}"));
	bed_run(&b);
	assert_int_equal(bed_alloc(&b, "hooks", 0)->cpu_mhz, 310);
	assert_int_equal(bed_alloc(&b, "hooks", 0)->memory_mb, 420);
}

CASE(memory_above_the_reserved_is_kept_only_when_allowed)
{
	static const char group[] =
		"{'ID':'%s','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Tasks':["
		"{'Name':'t','Driver':'raw_exec','Config':{'command':'x'},"
		"'Resources':{'CPU':100,'MemoryMB':100,'MemoryMaxMB':900}}]}]}";
	struct scheduler_config config;
	struct preemption_config preemption;
	struct scheduler_config_put p;

	bed_node(&b, "{}");
	bed_register(&b, bed_json(&b, group, "one"));
	bed_run(&b);
	assert_int_equal(bed_alloc(&b, "one", 0)->memory_max_mb, 0);
	object_init(&scheduler_config_type, &config);
	object_init(&preemption_config_type, &preemption);
	object_init(&scheduler_config_put_type, &p);
	config.memory_oversubscription = true;
	config.preemption = &preemption;
	p.config = &config;
	bed_apply(&b, COMMAND_SCHEDULER_CONFIG, &p);
	bed_register(&b, bed_json(&b, group, "two"));
	bed_run(&b);
	assert_int_equal(bed_alloc(&b, "two", 0)->memory_max_mb, 900);
	assert_int_equal(bed_alloc(&b, "two", 0)->memory_mb, 100);
}

/* ---- which nodes come into question ---- */

CASE(datacenters_are_kept_apart)
{
	struct uuid eval;

	named("a", "");
	named("far", ",'Datacenter':'dc2'");
	eval = run_simple("web", 2, "", "");
	assert_string_equal(node_of(bed_alloc(&b, "web", 0)), "a");
	assert_string_equal(node_of(bed_alloc(&b, "web", 1)), "a");
	(void)eval;
	bed_register(&b,
		     bed_json(&b,
			      "{'ID':'far','Type':'service','Datacenters':['dc2'],'TaskGroups':[{'Name':'g','Tasks':["
			      "{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}]}"));
	bed_run(&b);
	assert_string_equal(node_of(bed_alloc(&b, "far", 0)), "far");
}

CASE(datacenters_may_have_stars)
{
	named("x", ",'Datacenter':'eu-west-1'");
	named("y", ",'Datacenter':'us-east-1'");
	bed_register(&b,
		     bed_json(&b,
			      "{'ID':'web','Type':'service','Datacenters':['eu-*'],'TaskGroups':[{'Name':'g','Count':3,"
			      "'Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}]}"));
	bed_run(&b);
	assert_string_equal(node_of(bed_alloc(&b, "web", 0)), "x");
	assert_string_equal(node_of(bed_alloc(&b, "web", 2)), "x");
}

CASE(pools_are_kept_apart_but_all_is_every_one)
{
	struct uuid eval;

	named("d", "");
	named("g", ",'NodePool':'gpu'");
	run_simple("plain", 2, "", "");
	run_simple("gpu", 2, "", ",'NodePool':'gpu'");
	assert_string_equal(node_of(bed_alloc(&b, "plain", 0)), "d");
	assert_string_equal(node_of(bed_alloc(&b, "gpu", 1)), "g");
	eval = run_simple("any", 2, ",'Constraints':[{'Operand':'distinct_hosts'}]", ",'NodePool':'all'");
	assert_int_equal(bed_count(&b, "any", BED_LIVE), 2);
	(void)eval;
}

CASE(the_pool_is_told_with_its_nodes)
{
	struct alloc_metric metric;

	named("d", "");
	named("e", ",'Datacenter':'dc9'");
	named("g", ",'NodePool':'gpu'");
	run_simple("web", 1, "", "");
	assert_int_equal(alloc_row_metrics(bed_alloc(&b, "web", 0), &metric, &b.mem), 0);
	assert_int_equal(metric.nodes_in_pool, 2);
	assert_string_equal(metric.node_pool, "default");
	assert_int_equal(metric.nodes_evaluated, 1);
	assert_int_equal(bed_number(&metric.nodes_available, "dc1"), 1);
	assert_int_equal(bed_number(&metric.nodes_available, "dc9"), -1);
}

CASE(nodes_that_are_not_ready_get_nothing)
{
	struct uuid down = bed_node(&b, "{}");
	struct uuid out = bed_node(&b, "{}");
	struct uuid drain = bed_node(&b, "{}");

	bed_node_status(&b, &down, NODE_STATUS_DOWN);
	bed_node_eligible(&b, &out, false);
	bed_node_drain(&b, &drain);
	bed_node(&b, "{'Status':'initializing'}");
	run_simple("web", 2, "", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 0);
	bed_node_eligible(&b, &out, true);
	bed_unblock(&b);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
}

CASE(a_missing_driver_is_told)
{
	struct uuid eval;
	struct alloc_metric *m;

	bed_node(&b, "{}");
	bed_node(&b, "{}");
	eval = bed_register(
		&b,
		bed_json(&b, "{'ID':'web','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Tasks':["
			     "{'Name':'t','Driver':'no_such_driver','Config':{'command':'x'}}]}]}"));
	bed_run(&b);
	m = bed_failed(&b, &eval, "g");
	assert_int_equal(m->nodes_evaluated, 2);
	assert_int_equal(m->nodes_filtered, 2);
	assert_int_equal(bed_number(&m->constraint_filtered, "missing drivers"), 2);
}

CASE(a_driver_that_is_not_healthy_is_missing)
{
	bed_node(&b, "{}");
	bed_register(&b,
		     bed_json(&b,
			      "{'ID':'web','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Tasks':["
			      "{'Name':'t','Driver':'sick','Config':{'command':'x'}}]}]}"));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 0);
}

CASE(an_attribute_stands_for_a_driver_without_health)
{
	bed_node(&b, "{'Drivers':{},'Attributes':{'driver.java':'1','driver.java.version':'11'}}");
	bed_register(&b,
		     bed_json(&b,
			      "{'ID':'web','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Tasks':["
			      "{'Name':'t','Driver':'java','Config':{'command':'x'}}]}]}"));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 1);
}

/* ---- constraints ---- */

CASE(a_constraint_that_fails_is_told)
{
	struct uuid eval;
	struct alloc_metric *m;

	bed_node(&b, "{'NodeClass':'big'}");
	bed_node(&b, "{}");
	eval = run_simple("web", 1, "", constraint("${attr.kernel.name}", "=", "plan9"));
	m = bed_failed(&b, &eval, "g");
	assert_int_equal(m->nodes_evaluated, 2);
	assert_int_equal(m->nodes_filtered, 2);
	assert_int_equal(m->nodes_exhausted, 0);
	assert_int_equal(m->constraint_filtered.n, 1);
	assert_int_equal(bed_number(&m->constraint_filtered, "${attr.kernel.name} = plan9"), 2);
	assert_int_equal(bed_number(&m->class_filtered, "big"), 1);
}

CASE(equality)
{
	named("x", ",'Attributes':{'arch':'arm64'}");
	named("y", ",'Attributes':{'arch':'amd64'},'Meta':{'rack':'r1'}");
	assert_string_equal(placed_by("${attr.arch}", "=", "arm64"), "x");
	assert_string_equal(placed_by("${attr.arch}", "==", "amd64"), "y");
	assert_string_equal(placed_by("${attr.arch}", "is", "arm64"), "x");
	assert_string_equal(placed_by("${attr.arch}", "!=", "arm64"), "y");
	assert_string_equal(placed_by("${attr.arch}", "not", "amd64"), "x");
	assert_string_equal(placed_by("${meta.rack}", "=", "r1"), "y");
	assert_string_equal(placed_by("${meta.rack}", "!=", "r1"), "x");
	assert_string_equal(placed_by("${meta.nothing}", "=", "r1"), "");
	assert_string_equal(placed_by("arm64", "=", "${attr.arch}"), "x");
	assert_string_equal(placed_by("${attr.nonsense}", "=", "x"), "");
}

CASE(order_of_numbers_and_text)
{
	named("x", ",'Attributes':{'n':'9','v':'beta','f':'0.5'}");
	named("y", ",'Attributes':{'n':'10','v':'gamma','f':'1.5'}");
	assert_string_equal(placed_by("${attr.n}", "<", "10"), "x");
	assert_string_equal(placed_by("${attr.n}", ">=", "10"), "y");
	assert_string_equal(placed_by("${attr.n}", "<=", "9"), "x");
	assert_string_equal(placed_by("${attr.n}", ">", "9"), "y");
	assert_string_equal(placed_by("${attr.v}", "<", "delta"), "x");
	assert_string_equal(placed_by("${attr.f}", ">", "1"), "y");
	assert_string_equal(placed_by("${attr.missing}", "<", "5"), "");
}

CASE(regular_expressions)
{
	named("x", ",'Meta':{'name':'web-12'}");
	named("y", ",'Meta':{'name':'db-7'}");
	assert_string_equal(placed_by("${meta.name}", "regexp", "^web-[0-9]+$"), "x");
	assert_string_equal(placed_by("${meta.name}", "regexp", "db"), "y");
	assert_string_equal(placed_by("${meta.none}", "regexp", ".*"), "");
}

CASE(versions)
{
	named("x", ",'Attributes':{'v':'1.2.3'}");
	named("y", ",'Attributes':{'v':'2.0.0-beta1'}");
	named("z", ",'Attributes':{'v':'2.1'}");
	assert_string_equal(placed_by("${attr.v}", "version", ">= 1.0, < 2.0"), "x");
	assert_string_equal(placed_by("${attr.v}", "version", "> 2.0"), "z");
	assert_string_equal(placed_by("${attr.v}", "version", "~> 1.2"), "x");
	assert_string_equal(placed_by("${attr.v}", "semver", "> 1.5.0"), "y");
	assert_string_equal(placed_by("${attr.v}", "version", "> 3"), "");
}

CASE(sets)
{
	named("x", ",'Meta':{'tags':'a, b,c'}");
	named("y", ",'Meta':{'tags':'c,d'}");
	assert_string_equal(placed_by("${meta.tags}", "set_contains", "a,b"), "x");
	assert_string_equal(placed_by("${meta.tags}", "set_contains_all", "d"), "y");
	assert_string_equal(placed_by("${meta.tags}", "set_contains_any", "d,z"), "y");
	assert_string_equal(placed_by("${meta.tags}", "set_contains", "a,d"), "");
}

CASE(set_or_not)
{
	named("x", ",'Meta':{'rack':'1'}");
	named("y", "");
	assert_string_equal(placed_by("${meta.rack}", "is_set", ""), "x");
	assert_string_equal(placed_by("${meta.rack}", "is_not_set", ""), "y");
}

CASE(facts_of_the_node_itself)
{
	struct uuid x = named("x", ",'NodeClass':'big'");
	char id[UUID_TEXT];

	named("y", ",'Datacenter':'dc1'");
	uuid_format(&x, id);
	assert_string_equal(placed_by("${node.class}", "=", "big"), "x");
	assert_string_equal(placed_by("${node.unique.name}", "=", "y"), "y");
	assert_string_equal(placed_by("${node.unique.id}", "=", id), "x");
	assert_string_equal(placed_by("${node.datacenter}", "=", "dc1")[0] != 0 ? "some" : "", "some");
	assert_string_equal(placed_by("${node.pool}", "=", "default")[0] != 0 ? "some" : "", "some");
}

CASE(constraints_of_groups_and_tasks_count_too)
{
	named("x", ",'Meta':{'a':'1'}");
	named("y", ",'Meta':{'a':'1','b':'1'}");
	run_simple("web", 1, ",'Constraints':[{'LTarget':'${meta.b}','Operand':'is_set'}]",
		   ",'Constraints':[{'LTarget':'${meta.a}','Operand':'is_set'}]");
	assert_string_equal(node_of(bed_alloc(&b, "web", 0)), "y");
}

CASE(distinct_hosts_of_a_job)
{
	struct uuid eval;
	struct alloc_metric *m;

	bed_node(&b, "{}");
	bed_node(&b, "{}");
	eval = run_simple("web", 3, "", ",'Constraints':[{'Operand':'distinct_hosts'}]");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
	assert_false(uuid_equal(&bed_alloc(&b, "web", 0)->node_id, &bed_alloc(&b, "web", 1)->node_id));
	m = bed_failed(&b, &eval, "g");
	assert_int_equal(bed_number(&m->constraint_filtered, "distinct_hosts"), 2);
}

static const char two_groups[] = "{'ID':'two','Type':'service','Datacenters':['dc1']%s,'TaskGroups':["
				 "{'Name':'a','Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]%s},"
				 "{'Name':'b','Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}]}";

CASE(distinct_hosts_of_a_job_is_about_all_groups_that_of_a_group_about_its_own)
{
	static const char distinct[] = ",'Constraints':[{'Operand':'distinct_hosts'}]";

	bed_node(&b, "{}");
	bed_register(&b, bed_json(&b, two_groups, distinct, ""));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 1);
	bed_register(&b, bed_json(&b, two_groups, "", distinct));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 2);
}

CASE(distinct_property)
{
	struct uuid eval;

	named("x", ",'Meta':{'rack':'r1'}");
	named("y", ",'Meta':{'rack':'r1'}");
	named("z", ",'Meta':{'rack':'r2'}");
	named("n", "");
	eval = run_simple("web", 6, "",
			  ",'Constraints':[{'LTarget':'${meta.rack}','Operand':'distinct_property','RTarget':'2'}]");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 4);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->constraint_filtered,
				    "distinct_property: ${meta.rack}=r1 used by 2 allocs"),
			 2);
}

CASE(distinct_property_without_a_number_is_one_each)
{
	named("x", ",'Meta':{'rack':'r1'}");
	named("y", ",'Meta':{'rack':'r1'}");
	named("z", ",'Meta':{'rack':'r2'}");
	run_simple("web", 3, ",'Constraints':[{'LTarget':'${meta.rack}','Operand':'distinct_property'}]", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
}

CASE(blocked_evaluations_know_the_classes_that_may_help)
{
	struct evaluation *e;

	bed_node(&b, "{'Attributes':{'arch':'arm'},'ComputedClass':'arm'}");
	bed_node(&b, "{'Attributes':{'arch':'x86'},'ComputedClass':'x86','NodeResources':{'Cpu':{'CpuShares':1}}}");
	run_simple("web", 1, "", constraint("${attr.arch}", "=", "x86"));
	e = bed_eval(&b, &bed_find_eval(&b, "web", EVAL_STATUS_BLOCKED)->id);
	assert_int_equal(e->class_eligibility.n, 2);
	assert_string_equal(e->class_eligibility.at[0].key, "arm");
	assert_false(e->class_eligibility.at[0].value);
	assert_true(e->class_eligibility.at[1].value);
	assert_false(e->escaped_computed_class);
	run_simple("one", 1, "", constraint("${node.unique.name}", "=", "nobody"));
	e = bed_eval(&b, &bed_find_eval(&b, "one", EVAL_STATUS_BLOCKED)->id);
	assert_true(e->escaped_computed_class);
}

CASE(room_in_other_datacenters_and_pools_does_not_help)
{
	struct evaluation *e;

	bed_node(&b, "{'Datacenter':'far','ComputedClass':'far'}");
	bed_node(&b, "{'NodePool':'gpu','ComputedClass':'gpu'}");
	bed_node(&b, "{'ComputedClass':'near','NodeResources':{'Cpu':{'CpuShares':1}}}");
	run_simple("web", 1, "", "");
	e = bed_eval(&b, &bed_find_eval(&b, "web", EVAL_STATUS_BLOCKED)->id);
	assert_int_equal(e->class_eligibility.n, 3);
	for (uint32_t i = 0; i < 3; i++) {
		const struct bool_pair *class_ = &e->class_eligibility.at[i];

		assert_int_equal(class_->value, strcmp(class_->key, "near") == 0);
	}
	assert_false(e->escaped_computed_class);
}

/* ---- wishes ---- */

CASE(affinities_attract_and_repel)
{
	named("x", ",'Meta':{'ssd':'yes'}");
	named("y", "");
	run_simple("near", 1, ",'Affinities':[{'LTarget':'${meta.ssd}','Operand':'=','RTarget':'yes','Weight':100}]",
		   "");
	run_simple("far", 1, ",'Affinities':[{'LTarget':'${meta.ssd}','Operand':'=','RTarget':'yes','Weight':-100}]",
		   "");
	assert_string_equal(node_of(bed_alloc(&b, "near", 0)), "x");
	assert_string_equal(node_of(bed_alloc(&b, "far", 0)), "y");
}

CASE(an_affinity_is_a_wish_and_no_more)
{
	named("y", "");
	run_simple("near", 2, ",'Affinities':[{'LTarget':'${meta.ssd}','Operand':'=','RTarget':'yes','Weight':100}]",
		   "");
	assert_int_equal(bed_count(&b, "near", BED_LIVE), 2);
}

static unsigned count_on(const char *job, const char *node)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < list->n; i++) {
		n += strcmp(node_of(list->at[i]), node) == 0;
	}
	return n;
}

CASE(allocations_of_a_group_avoid_each_other)
{
	named("x", "");
	named("y", "");
	named("z", "");
	run_simple("web", 3, "", "");
	assert_int_equal(count_on("web", "x"), 1);
	assert_int_equal(count_on("web", "y"), 1);
	assert_int_equal(count_on("web", "z"), 1);
}

CASE(jobs_are_packed_on_few_nodes)
{
	unsigned i;

	named("x", "");
	named("y", "");
	named("z", "");
	for (i = 0; i < 20; i++) {
		run_simple(bed_json(&b, "j%u", i), 1, "", "");
	}
	for (i = 1; i < 20; i++) {
		assert_string_equal(node_of(bed_alloc(&b, bed_json(&b, "j%u", i), 0)), node_of(bed_alloc(&b, "j0", 0)));
	}
}

static void configure(const char *json)
{
	struct scheduler_config config;
	struct scheduler_config_put p;
	const char *text = bed_json(&b, "%s", json);

	object_init(&scheduler_config_put_type, &p);
	assert_int_equal(json_decode(&scheduler_config_type, &config, text, strlen(text), &b.mem, NULL), 0);
	p.config = &config;
	bed_apply(&b, COMMAND_SCHEDULER_CONFIG, &p);
	assert_int_equal(b.result.status, 0);
}

CASE(or_spread_when_configured_so)
{
	unsigned i;

	configure("{'SchedulerAlgorithm':'spread','PreemptionConfig':{}}");
	named("x", "");
	named("y", "");
	for (i = 0; i < 6; i++) {
		run_simple(bed_json(&b, "j%u", i), 1, "", "");
	}
	i = (unsigned)(strcmp(node_of(bed_alloc(&b, "j0", 0)), node_of(bed_alloc(&b, "j1", 0))) != 0);
	assert_int_equal(i, 1);
}

CASE(spread_with_targets)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		named(i < 2 ? "a" : "b", i < 2 ? ",'Meta':{'rack':'r1'}" : ",'Meta':{'rack':'r2'}");
	}
	run_simple("web", 10,
		   ",'Spreads':[{'Attribute':'${meta.rack}','Weight':100,'SpreadTarget':["
		   "{'Value':'r1','Percent':70},{'Value':'r2','Percent':30}]}]",
		   "");
	assert_int_equal(count_on("web", "a"), 7);
	assert_int_equal(count_on("web", "b"), 3);
}

CASE(spread_without_targets_is_even)
{
	unsigned i;

	for (i = 0; i < 9; i++) {
		static const char *const names[] = {"a", "a", "a", "a", "a", "a", "b", "b", "c"};

		named(names[i], bed_json(&b, ",'Meta':{'rack':'%s'}", names[i]));
	}
	run_simple("web", 9, ",'Spreads':[{'Attribute':'${meta.rack}','Weight':100}]", "");
	assert_int_equal(count_on("web", "a"), 3);
	assert_int_equal(count_on("web", "b"), 3);
	assert_int_equal(count_on("web", "c"), 3);
}

CASE(a_later_evaluation_goes_on_with_the_spread)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		named(i < 3 ? "a" : "b", i < 3 ? ",'Meta':{'rack':'r1'}" : ",'Meta':{'rack':'r2'}");
	}
	run_simple("web", 2, ",'Spreads':[{'Attribute':'${meta.rack}','Weight':100}]", "");
	run_simple("web", 6, ",'Spreads':[{'Attribute':'${meta.rack}','Weight':100}]", "");
	assert_int_equal(count_on("web", "a"), 3);
	assert_int_equal(count_on("web", "b"), 3);
}

CASE(the_scores_of_the_best_nodes_are_told)
{
	struct alloc_metric metric;
	unsigned i;

	for (i = 0; i < 8; i++) {
		named("x", i == 3 ? ",'Meta':{'ssd':'yes'}" : "");
	}
	run_simple("web", 1, ",'Affinities':[{'LTarget':'${meta.ssd}','Operand':'=','RTarget':'yes','Weight':50}]", "");
	assert_int_equal(alloc_row_metrics(bed_alloc(&b, "web", 0), &metric, &b.mem), 0);
	assert_int_equal(metric.score_meta_data.n, 5);
	assert_int_equal(metric.nodes_evaluated, 8);
	assert_true(metric.score_meta_data.at[0].norm_score > metric.score_meta_data.at[1].norm_score);
	assert_string_equal(metric.score_meta_data.at[0].scores.at[0].key, "binpack");
	assert_string_equal(metric.score_meta_data.at[0].scores.at[1].key, "job-anti-affinity");
	assert_string_equal(metric.score_meta_data.at[0].scores.at[2].key, "node-affinity");
	assert_true(metric.score_meta_data.at[0].scores.at[2].value > 0.99);
	assert_string_equal(metric.score_meta_data.at[0].scores.at[3].key, "node-reschedule-penalty");
	i = (unsigned)strlen(metric.score_meta_data.at[0].node_id);
	assert_int_equal(i, 36);
}

/* ---- ports, cores, devices, volumes ---- */

CASE(a_static_port_is_given_once_on_a_node)
{
	struct uuid eval;
	struct alloc_server *s;

	bed_node(&b, "{}");
	bed_node(&b, "{}");
	eval = run_simple("web", 3, ",'Networks':[{'ReservedPorts':[{'Label':'http','Value':8080}]}]", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 2);
	s = bed_server(&b, bed_alloc(&b, "web", 0));
	assert_int_equal(s->ports.n, 1);
	assert_string_equal(s->ports.at[0].label, "http");
	assert_int_equal(s->ports.at[0].value, 8080);
	assert_string_equal(s->ports.at[0].host_ip, "10.0.0.1");
	assert_int_equal(s->networks.n, 1);
	assert_int_equal(s->networks.at[0].reserved_ports.at[0].value, 8080);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->dimension_exhausted,
				    "network: reserved port collision http=8080"),
			 2);
}

CASE(dynamic_ports_are_different_and_in_range)
{
	unsigned i;

	bed_node(&b, "{'NodeResources':{'Cpu':{'CpuShares':40000},'Memory':{'MemoryMB':80000},'Disk':{'DiskMB':100000},"
		     "'Networks':[{'IP':'10.0.0.1'}],'MinDynamicPort':30000,'MaxDynamicPort':30019}}");
	run_simple("web", 12, ",'Networks':[{'DynamicPorts':[{'Label':'a','To':-1},{'Label':'b','To':80}]}]", "");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 10);
	for (i = 0; i < 10; i++) {
		struct alloc_server *s = bed_server(&b, bed_alloc(&b, "web", i));

		assert_int_equal(s->ports.n, 2);
		assert_in_range(s->ports.at[0].value, 30000, 30019);
		assert_int_equal(s->ports.at[0].to, s->ports.at[0].value);
		assert_int_equal(s->ports.at[1].to, 80);
	}
	bed_check(&b);
}

CASE(a_port_is_free_again_when_its_allocation_ends)
{
	bed_node(&b, "{}");
	run_simple("one", 1, ",'Networks':[{'ReservedPorts':[{'Label':'http','Value':80}]}]", "");
	run_simple("two", 1, ",'Networks':[{'ReservedPorts':[{'Label':'http','Value':80}]}]", "");
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 0);
	bed_stop(&b, "one");
	bed_run(&b);
	bed_unblock(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 1);
}

CASE(ports_that_a_node_reserves_are_not_given)
{
	bed_node(&b, "{'ReservedResources':{'Networks':{'ReservedHostPorts':'22,8000-8100'}}}");
	run_simple("a", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':8050}]}]", "");
	run_simple("b", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':8101}]}]", "");
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 0);
	assert_int_equal(bed_count(&b, "b", BED_LIVE), 1);
}

CASE(a_destructive_update_keeps_its_static_port_on_a_full_node)
{
	static const char group[] = ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':8050}]}],'Meta':{'v':'%d'}";

	bed_node(&b, "{}");
	run_simple("a", 1, bed_json(&b, group, 1), "");
	run_simple("a", 1, bed_json(&b, group, 2), "");
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 1);
	assert_int_equal(bed_alloc(&b, "a", 0)->job->version, 1);
}

CASE(host_networks_have_ports_of_their_own)
{
	bed_node(&b, "{'NodeResources':{'Cpu':{'CpuShares':4000},'Memory':{'MemoryMB':8000},'Disk':{'DiskMB':100000},"
		     "'Networks':[{'IP':'10.0.0.1'}],'NodeNetworks':[{'Mode':'host','Device':'eth0','Addresses':["
		     "{'Alias':'default','Address':'10.0.0.1'},{'Alias':'private','Address':'192.168.0.1'}]}]}}");
	run_simple("a", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':80}]}]", "");
	run_simple("b", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':80,'HostNetwork':'private'}]}]", "");
	run_simple("c", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':80,'HostNetwork':'public'}]}]", "");
	assert_int_equal(bed_count(&b, "a", BED_LIVE), 1);
	assert_string_equal(bed_server(&b, bed_alloc(&b, "b", 0))->ports.at[0].host_ip, "192.168.0.1");
	assert_int_equal(bed_count(&b, "c", BED_LIVE), 0);
}

CASE(a_network_mode_must_be_offered)
{
	struct uuid eval;

	named("x", "");
	eval = run_simple("a", 1, ",'Networks':[{'Mode':'bridge'}]", "");
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->constraint_filtered, "missing network"), 1);
	named("y", ",'NodeResources':{'Cpu':{'CpuShares':4000},'Memory':{'MemoryMB':8000},'Disk':{'DiskMB':9999},"
		   "'Networks':[{'Mode':'host','IP':'10.0.0.2'},{'Mode':'bridge'}]}");
	bed_unblock(&b);
	assert_string_equal(node_of(bed_alloc(&b, "a", 0)), "y");
}

CASE(reserved_cores_are_given_once)
{
	struct uuid eval;
	struct alloc_server *s;

	bed_node(&b, "{}");
	eval = bed_register(
		&b, bed_json(&b, "{'ID':'c','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Count':3,"
				 "'Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'},"
				 "'Resources':{'Cores':2,'MemoryMB':10}}]}]}"));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "c", BED_LIVE), 2);
	s = bed_server(&b, bed_alloc(&b, "c", 1));
	assert_int_equal(s->tasks.n, 1);
	assert_int_equal(s->tasks.at[0].cpu->reserved_cores.n, 2);
	assert_int_equal(s->tasks.at[0].cpu->cpu_shares, 2000);
	assert_int_equal(bed_alloc(&b, "c", 0)->cpu_mhz, 2000);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->dimension_exhausted, "cores"), 1);
}

static const char gpus[] =
	"{'Name':'gpu','NodeResources':{'Cpu':{'CpuShares':4000},'Memory':{'MemoryMB':8000},"
	"'Disk':{'DiskMB':9999},'Devices':[{'Vendor':'nvidia','Type':'gpu','Name':'1080ti','Instances':["
	"{'ID':'g0','Healthy':true},{'ID':'g1','Healthy':true},{'ID':'bad','Healthy':false}]}]}}";

static const char *device_job(const char *id, const char *device, int count)
{
	return bed_json(&b,
			"{'ID':'%s','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Count':1,"
			"'Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'},"
			"'Resources':{'CPU':10,'MemoryMB':10,'Devices':[{'Name':'%s','Count':%d}]}}]}]}",
			id, device, count);
}

CASE(devices_are_counted_and_given_once)
{
	struct uuid eval;

	bed_node(&b, "{}");
	bed_node(&b, gpus);
	bed_register(&b, device_job("a", "gpu", 1));
	bed_register(&b, device_job("b", "nvidia/gpu", 1));
	eval = bed_register(&b, device_job("c", "nvidia/gpu/1080ti", 1));
	bed_run(&b);
	assert_string_equal(node_of(bed_alloc(&b, "a", 0)), "gpu");
	assert_string_equal(node_of(bed_alloc(&b, "b", 0)), "gpu");
	assert_int_equal(bed_count(&b, "c", BED_LIVE), 0);
	assert_int_equal(
		bed_number(&bed_failed(&b, &eval, "g")->dimension_exhausted, "devices: no devices match request"), 1);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->constraint_filtered, "missing devices"), 1);
	assert_non_null(strstr(bed_server(&b, bed_alloc(&b, "a", 0))->tasks.at[0].devices, "\"DeviceIDs\":[\"g"));
	eval = bed_register(&b, device_job("d", "gpu", 3));
	bed_run(&b);
	assert_int_equal(bed_number(&bed_failed(&b, &eval, "g")->constraint_filtered, "missing devices"), 2);
}

CASE(host_volumes_must_be_there_and_writable)
{
	static const char group[] = ",'Volumes':{'v':{'Name':'v','Type':'host','Source':'data','ReadOnly':%s}}";
	struct uuid eval;

	named("x", ",'HostVolumes':{'data':{'Path':'/srv','ReadOnly':true}}");
	named("y", "");
	run_simple("reads", 1, bed_json(&b, group, "true"), "");
	assert_string_equal(node_of(bed_alloc(&b, "reads", 0)), "x");
	eval = run_simple("writes", 1, bed_json(&b, group, "false"), "");
	assert_int_equal(
		bed_number(&bed_failed(&b, &eval, "g")->constraint_filtered, "missing compatible host volumes"), 2);
}

/* ---- preemption ---- */

CASE(an_important_job_makes_room_when_that_is_allowed)
{
	const struct alloc_row *high;
	struct alloc_list *list;
	struct alloc_server *s;

	configure("{'PreemptionConfig':{'ServiceSchedulerEnabled':true}}");
	bed_node_sized(&b, 1000, 1000);
	run_simple("low", 10, "", ",'Priority':20");
	assert_int_equal(bed_count(&b, "low", BED_LIVE), 10);
	run_simple("high", 2, "", ",'Priority':70");
	assert_int_equal(bed_count(&b, "high", BED_LIVE), 2);
	list = bed_allocs(&b, "low", BED_STOPPED);
	assert_int_equal(list->n, 2);
	assert_int_equal(list->at[0]->desired, ALLOC_DESIRED_EVICT);
	s = bed_server(&b, list->at[0]);
	assert_int_equal(strncmp(s->desired_description, "Preempted by alloc ID ", 22), 0);
	assert_int_equal(s->preempted_by.n, 16);
	high = bed_alloc(&b, "high", 0);
	assert_int_equal(bed_server(&b, high)->preempted.n, 1);
	/* The job that lost something looks for another place. */
	assert_int_equal(bed_count_evals(&b, "low", EVAL_STATUS_BLOCKED), 1);
}

CASE(otherwise_it_waits)
{
	bed_node_sized(&b, 1000, 1000);
	run_simple("low", 10, "", ",'Priority':20");
	run_simple("high", 1, "", ",'Priority':90");
	assert_int_equal(bed_count(&b, "high", BED_LIVE), 0);
	assert_int_equal(bed_count(&b, "low", BED_LIVE), 10);
}

CASE(nearly_as_important_is_not_preempted)
{
	configure("{'PreemptionConfig':{'ServiceSchedulerEnabled':true}}");
	bed_node_sized(&b, 1000, 1000);
	run_simple("low", 10, "", ",'Priority':61");
	run_simple("high", 1, "", ",'Priority':70");
	assert_int_equal(bed_count(&b, "high", BED_LIVE), 0);
}

CASE(the_least_important_gives_way_and_no_more_than_needed)
{
	configure("{'PreemptionConfig':{'ServiceSchedulerEnabled':true}}");
	bed_node_sized(&b, 1000, 1000);
	run_simple("low", 5, "", ",'Priority':20");
	run_simple("lower", 5, "", ",'Priority':10");
	run_simple("high", 3, "", ",'Priority':70");
	assert_int_equal(bed_count(&b, "high", BED_LIVE), 3);
	assert_int_equal(bed_count(&b, "low", BED_LIVE), 5);
	assert_int_equal(bed_count(&b, "lower", BED_LIVE), 2);
}

CASE(the_holder_of_a_port_may_have_to_go)
{
	configure("{'PreemptionConfig':{'ServiceSchedulerEnabled':true}}");
	bed_node(&b, "{}");
	run_simple("other", 1, "", ",'Priority':10");
	run_simple("low", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':80}]}]", ",'Priority':20");
	run_simple("high", 1, ",'Networks':[{'ReservedPorts':[{'Label':'p','Value':80}]}]", ",'Priority':70");
	assert_int_equal(bed_count(&b, "high", BED_LIVE), 1);
	assert_int_equal(bed_count(&b, "low", BED_LIVE), 0);
	assert_int_equal(bed_count(&b, "other", BED_LIVE), 1);
}

/* ---- the whole job ---- */

CASE(all_or_nothing)
{
	bed_node_sized(&b, 1000, 1000);
	run_simple("web", 5, "", ",'AllAtOnce':true");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 5);
}

CASE(each_group_fails_for_itself)
{
	struct uuid eval;

	bed_node(&b, "{}");
	eval = bed_register(
		&b,
		bed_json(&b,
			 "{'ID':'two','Type':'service','Datacenters':['dc1'],'TaskGroups':["
			 "{'Name':'a','Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]},"
			 "{'Name':'b','Count':2,'Tasks':[{'Name':'t','Driver':'nope','Config':{'command':'x'}}]}]}"));
	bed_run(&b);
	assert_null(bed_failed(&b, &eval, "a"));
	assert_int_equal(bed_failed(&b, &eval, "b")->coalesced_failures, 1);
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "a"), 0);
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "b"), 2);
}

CASE(a_job_that_is_gone_needs_nothing)
{
	struct uuid eval;
	struct job_deregister p;

	bed_node(&b, "{}");
	run_simple("web", 2, "", "");
	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = "web";
	p.purge = true;
	bed_apply(&b, COMMAND_JOB_DEREGISTER, &p);
	eval = b.result.eval_id;
	bed_run(&b);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
}

#define CASES(X)												       \
	X(a_job_is_placed)											       \
	X(without_nodes_everything_is_blocked)									       \
	X(a_blocked_evaluation_places_when_there_is_room)							       \
	X(a_blocked_evaluation_that_fails_again_stays_the_same_one)						       \
	X(what_fits_is_placed_and_the_rest_waits)								       \
	X(a_job_may_ask_for_any_number)								       \
	X(too_much_cpu_is_told)											       \
	X(too_much_memory_is_told)										       \
	X(too_much_disk_is_told)										       \
	X(exhausted_resources_are_summed_by_task)								       \
	X(what_a_node_reserves_is_not_for_allocations)								       \
	X(a_node_takes_no_more_allocations_than_its_limit)							       \
	X(tasks_before_and_after_the_main_ones_do_not_add_up)							       \
	X(memory_above_the_reserved_is_kept_only_when_allowed)							       \
	X(datacenters_are_kept_apart)										       \
	X(datacenters_may_have_stars)										       \
	X(pools_are_kept_apart_but_all_is_every_one)								       \
	X(the_pool_is_told_with_its_nodes)									       \
	X(nodes_that_are_not_ready_get_nothing)									       \
	X(a_missing_driver_is_told)										       \
	X(a_driver_that_is_not_healthy_is_missing)								       \
	X(an_attribute_stands_for_a_driver_without_health)							       \
	X(a_constraint_that_fails_is_told)									       \
	X(equality)												       \
	X(order_of_numbers_and_text)										       \
	X(regular_expressions)											       \
	X(versions)												       \
	X(sets)													       \
	X(set_or_not)												       \
	X(facts_of_the_node_itself)										       \
	X(constraints_of_groups_and_tasks_count_too)								       \
	X(distinct_hosts_of_a_job)										       \
	X(distinct_hosts_of_a_job_is_about_all_groups_that_of_a_group_about_its_own)				       \
	X(distinct_property)											       \
	X(distinct_property_without_a_number_is_one_each)							       \
	X(blocked_evaluations_know_the_classes_that_may_help)							       \
	X(room_in_other_datacenters_and_pools_does_not_help)							       \
	X(affinities_attract_and_repel)										       \
	X(an_affinity_is_a_wish_and_no_more)									       \
	X(allocations_of_a_group_avoid_each_other)								       \
	X(jobs_are_packed_on_few_nodes)										       \
	X(or_spread_when_configured_so)										       \
	X(spread_with_targets)											       \
	X(spread_without_targets_is_even)									       \
	X(a_later_evaluation_goes_on_with_the_spread)								       \
	X(the_scores_of_the_best_nodes_are_told)								       \
	X(a_static_port_is_given_once_on_a_node)								       \
	X(dynamic_ports_are_different_and_in_range)								       \
	X(a_port_is_free_again_when_its_allocation_ends)							       \
	X(ports_that_a_node_reserves_are_not_given)								       \
	X(a_destructive_update_keeps_its_static_port_on_a_full_node)						       \
	X(host_networks_have_ports_of_their_own)								       \
	X(a_network_mode_must_be_offered)									       \
	X(reserved_cores_are_given_once)									       \
	X(devices_are_counted_and_given_once)									       \
	X(host_volumes_must_be_there_and_writable)								       \
	X(an_important_job_makes_room_when_that_is_allowed)							       \
	X(otherwise_it_waits)											       \
	X(nearly_as_important_is_not_preempted)									       \
	X(the_least_important_gives_way_and_no_more_than_needed)						       \
	X(the_holder_of_a_port_may_have_to_go)									       \
	X(all_or_nothing)											       \
	X(each_group_fails_for_itself)										       \
	X(a_job_that_is_gone_needs_nothing)
RUN_CASES(CASES)
