#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/raft/kit.h"

static struct node get(struct kit *k, const struct uuid *id)
{
	struct node node;

	assert_int_equal(node_row_get(state_node(k->v, id), &node, &k->mem), 0);
	return node;
}

static struct node_register *again(struct kit *k, const struct uuid *id)
{
	struct node_register *p = arena_alloc(&k->mem, sizeof(*p));

	p->node = arena_alloc(&k->mem, sizeof(*p->node));
	*p->node = get(k, id);
	return p;
}

static void a_registered_node_is_there_as_it_was_given(void **state)
{
	struct kit k;
	struct uuid id;
	struct node node;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	node = get(&k, &id);
	assert_string_equal(node.id, kit_text(&k, &id));
	assert_string_equal(node.name, "n1");
	assert_string_equal(node.status, "ready");
	assert_string_equal(node.scheduling_eligibility, "eligible");
	assert_string_equal(node.secret_id, "secret");
	assert_int_equal(node.create_index, k.result.index);
	assert_int_equal(node.events.n, 1);
	assert_string_equal(node.events.at[0].message, "Node registered");
	assert_int_equal(state_node(k.v, &id)->cpu_mhz, 4000);
	assert_true(node_row_ready(state_node(k.v, &id)));
	kit_close(&k);
}

static void registering_again_keeps_what_servers_have_set(void **state)
{
	struct node_eligibility p;
	struct node_register *r;
	struct kit k;
	struct uuid id;
	uint64_t created;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	created = state_node(k.v, &id)->create_index;
	object_init(&node_eligibility_type, &p);
	p.id = uuid_bytes(&id);
	kit_apply(&k, COMMAND_NODE_ELIGIBILITY, &p);
	assert_int_equal(state_node(k.v, &id)->flags & NODE_ELIGIBLE, 0);
	r = again(&k, &id);
	kit_apply(&k, COMMAND_NODE_REGISTER, r);
	assert_false(k.result.changed);
	r->node->datacenter = "dc2";
	kit_apply(&k, COMMAND_NODE_REGISTER, r);
	assert_true(k.result.changed);
	assert_int_equal(state_node(k.v, &id)->flags & NODE_ELIGIBLE, 0);
	assert_int_equal(state_node(k.v, &id)->create_index, created);
	assert_string_equal(get(&k, &id).datacenter, "dc2");
	assert_int_equal(get(&k, &id).events.n, 2);
	r->node->secret_id = "other";
	assert_int_equal(kit_apply(&k, COMMAND_NODE_REGISTER, r)->status, ERR_REFUSED);
	r->node->id = "nonsense";
	assert_int_equal(kit_apply(&k, COMMAND_NODE_REGISTER, r)->status, ERR_INVALID);
	kit_close(&k);
}

static void a_node_brings_its_pool(void **state)
{
	struct kit k;
	struct uuid id;
	struct node_register *r;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	r = again(&k, &id);
	r->node->node_pool = "gpu";
	kit_apply(&k, COMMAND_NODE_REGISTER, r);
	assert_non_null(state_node_pool(k.v, "gpu"));
	kit_close(&k);
}

static void a_node_that_goes_down_makes_an_evaluation_for_each_of_its_jobs(void **state)
{
	struct kit k;
	struct uuid node;
	struct uuid ids[6];
	struct evaluation e;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n1");
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_place(&k, "a", &k.result.eval_id, &node, 3, ids);
	kit_register(&k, kit_job(&k, "b", "batch"));
	kit_place(&k, "b", &k.result.eval_id, &node, 2, ids + 3);
	kit_register(&k, kit_job(&k, "c", "batch"));
	kit_place(&k, "c", &k.result.eval_id, &node, 1, ids + 5);
	kit_report(&k, &ids[5], "complete");
	kit_node_status(&k, &node, NODE_STATUS_DOWN);
	assert_true(k.result.changed);
	assert_int_equal(k.result.count, 2);
	assert_int_equal(kit_evals(&k, "a"), 2);
	assert_int_equal(kit_evals(&k, "b"), 2);
	assert_int_equal(kit_evals(&k, "c"), 1);
	assert_int_equal(kit_newest_eval(&k, "a")->trigger, EVAL_TRIGGER_NODE_UPDATE);
	assert_int_equal(eval_row_get(kit_newest_eval(&k, "a"), &e, &k.mem), 0);
	assert_string_equal(e.node_id, kit_text(&k, &node));
	assert_int_equal(e.node_modify_index, k.result.index);
	kit_node_status(&k, &node, NODE_STATUS_DOWN);
	assert_int_equal(k.result.count, 0);
	assert_int_equal(state_table_index(k.v, TABLE_NODES), k.result.index - 1);
	kit_close(&k);
}

static void a_node_that_comes_up_makes_evaluations_for_system_jobs(void **state)
{
	struct kit k;
	struct uuid node;

	(void)state;
	kit_open(&k);
	kit_register(&k, kit_job(&k, "sys", "system"));
	kit_register(&k, kit_job(&k, "svc", "service"));
	kit_register(&k, kit_job(&k, "old", "system"));
	kit_deregister(&k, "old", false);
	node = kit_node(&k, "n1");
	assert_int_equal(k.result.count, 1);
	assert_int_equal(kit_evals(&k, "sys"), 2);
	assert_int_equal(kit_evals(&k, "old"), 2);
	kit_node_status(&k, &node, NODE_STATUS_DOWN);
	assert_int_equal(k.result.count, 0);
	kit_node_status(&k, &node, NODE_STATUS_READY);
	assert_int_equal(k.result.count, 1);
	assert_int_equal(kit_node_status(&k, &(struct uuid){{9}}, NODE_STATUS_DOWN)->status, ERR_NOTFOUND);
	kit_close(&k);
}

static void heartbeats_that_are_missed_are_noted(void **state)
{
	struct node_status_update p;
	struct kit k;
	struct uuid id;
	struct uuid alloc;
	struct node node;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_place(&k, "a", &k.result.eval_id, &id, 1, &alloc);
	object_init(&node_status_update_type, &p);
	p.id = uuid_bytes(&id);
	p.status = NODE_STATUS_DOWN;
	p.event = "Node heartbeat missed";
	p.missed = true;
	kit_apply(&k, COMMAND_NODE_STATUS, &p);
	node = get(&k, &id);
	assert_string_equal(node.events.at[1].message, "Node heartbeat missed");
	assert_int_equal(node.last_missed_heartbeat_index, k.result.index);
	assert_int_equal(node.status_updated_at, (k.now - SECOND) / SECOND);
	kit_report(&k, &alloc, "running");
	assert_int_equal(get(&k, &id).last_alloc_update_index, k.result.index);
	kit_close(&k);
}

static void a_drain_and_its_end(void **state)
{
	struct node_eligibility eligibility;
	struct drain_strategy strategy;
	struct node_drain p;
	int64_t started;
	struct kit k;
	struct uuid id;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	object_init(&node_drain_type, &p);
	object_init(&drain_strategy_type, &strategy);
	strategy.deadline = 60 * SECOND;
	p.id = uuid_bytes(&id);
	p.strategy = &strategy;
	kit_apply(&k, COMMAND_NODE_DRAIN, &p);
	assert_true(get(&k, &id).drain);
	assert_int_equal(get(&k, &id).drain_strategy->force_deadline, k.now - SECOND + 60 * SECOND);
	assert_string_equal(get(&k, &id).scheduling_eligibility, "ineligible");
	assert_string_equal(get(&k, &id).last_drain->status, "draining");
	started = get(&k, &id).drain_strategy->started_at;
	strategy.started_at = strategy.force_deadline = 0;
	strategy.deadline = 30 * SECOND;
	kit_apply(&k, COMMAND_NODE_DRAIN, &p); /* Another deadline, counted from now, for the same drain. */
	assert_int_equal(get(&k, &id).drain_strategy->started_at, started);
	assert_int_equal(get(&k, &id).drain_strategy->force_deadline, k.now - SECOND + 30 * SECOND);
	object_init(&node_eligibility_type, &eligibility);
	eligibility.id = uuid_bytes(&id);
	eligibility.eligible = true;
	assert_int_equal(kit_apply(&k, COMMAND_NODE_ELIGIBILITY, &eligibility)->status, ERR_INVALID);
	p.strategy = NULL;
	p.complete = true;
	kit_apply(&k, COMMAND_NODE_DRAIN, &p);
	assert_false(get(&k, &id).drain);
	assert_null(get(&k, &id).drain_strategy);
	assert_string_equal(get(&k, &id).last_drain->status, "complete");
	assert_string_equal(get(&k, &id).scheduling_eligibility, "ineligible");
	p.complete = false;
	p.mark_eligible = true;
	kit_apply(&k, COMMAND_NODE_DRAIN, &p); /* There is none to cancel any more. */
	assert_string_equal(get(&k, &id).last_drain->status, "complete");
	assert_true(node_row_ready(state_node(k.v, &id)));
	assert_false(kit_apply(&k, COMMAND_NODE_DRAIN, &p)->changed);
	eligibility.eligible = false;
	kit_apply(&k, COMMAND_NODE_ELIGIBILITY, &eligibility);
	eligibility.eligible = true;
	kit_apply(&k, COMMAND_NODE_ELIGIBILITY, &eligibility);
	assert_true(node_row_ready(state_node(k.v, &id)));
	kit_close(&k);
}

static void only_the_last_events_are_kept(void **state)
{
	struct node_event events[25];
	struct node_events p;
	struct kit k;
	struct uuid id;
	int i;

	(void)state;
	kit_open(&k);
	id = kit_node(&k, "n1");
	for (i = 0; i < 25; i++) {
		object_init(&node_event_type, &events[i]);
		events[i].message = arena_printf(&k.mem, "event %d", i);
	}
	p.id = uuid_bytes(&id);
	p.events.at = events;
	p.events.n = 25;
	kit_apply(&k, COMMAND_NODE_EVENTS, &p);
	assert_int_equal(get(&k, &id).events.n, NODE_EVENTS_MAX);
	assert_string_equal(get(&k, &id).events.at[9].message, "event 24");
	kit_close(&k);
}

static void a_removed_node_leaves_evaluations(void **state)
{
	struct nodes_delete p;
	struct id_ref ids[2];
	struct kit k;
	struct uuid node;
	struct uuid alloc;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n1");
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_place(&k, "a", &k.result.eval_id, &node, 1, &alloc);
	ids[0].id = ids[1].id = uuid_bytes(&node);
	p.nodes.at = ids;
	p.nodes.n = 2;
	kit_apply(&k, COMMAND_NODES_DELETE, &p);
	assert_int_equal(k.result.count, 1);
	assert_int_equal(k.result.rejected, 1);
	assert_null(state_node(k.v, &node));
	assert_int_equal(kit_newest_eval(&k, "a")->trigger, EVAL_TRIGGER_NODE_UPDATE);
	assert_string_equal((const char *)state_alloc(k.v, &alloc)->node_name->data, "n1");
	kit_close(&k);
}

/* ---- the small tables ---- */

static void a_new_cluster_has_its_defaults(void **state)
{
	struct scheduler_config config;
	struct kit k;

	(void)state;
	kit_open(&k);
	assert_int_equal(state_index(k.v), 1);
	assert_true(state_check(k.v));
	assert_non_null(state_namespace(k.v, "default"));
	assert_non_null(state_node_pool(k.v, "all"));
	assert_non_null(state_node_pool(k.v, "default"));
	assert_int_equal(state_scheduler_config(k.v, &config, &k.mem), 0);
	assert_string_equal(config.algorithm, "binpack");
	assert_true(config.preemption->system);
	assert_int_equal(state_table_index(k.v, TABLE_JOBS), 0);
	assert_int_equal(state_table_index(k.v, TABLE_NAMESPACES), 1);
	kit_close(&k);
}

static void namespaces_come_and_go(void **state)
{
	struct namespace_ ns;
	struct namespace_put put = {&ns};
	struct name_delete del = {"team"};
	struct uuid eval;
	struct job *job;
	struct kit k;

	(void)state;
	kit_open(&k);
	object_init(&namespace__type, &ns);
	ns.name = "team";
	kit_apply(&k, COMMAND_NAMESPACE_PUT, &put);
	assert_true(k.result.changed);
	kit_apply(&k, COMMAND_NAMESPACE_PUT, &put);
	assert_false(k.result.changed);
	job = kit_job(&k, "a", "batch");
	job->namespace_ = "team";
	eval = kit_register(&k, job)->eval_id;
	assert_int_equal(k.result.status, 0);
	assert_non_null(state_job(k.v, "team", "a"));
	assert_null(state_job(k.v, "default", "a"));
	kit_apply(&k, COMMAND_NAMESPACE_DELETE, &del);
	assert_string_equal(k.result.text, "namespace \"team\" has non-terminal jobs");
	kit_put_eval(&k, kit_eval(&k, &eval, "complete", 0));
	kit_apply(&k, COMMAND_NAMESPACE_DELETE, &del);
	assert_int_equal(k.result.status, 0); /* Dead jobs do not hold it. */
	assert_null(state_namespace(k.v, "team"));
	kit_close(&k);
}

static void what_is_built_in_stays(void **state)
{
	struct name_delete ns = {"default"};
	struct name_delete pool = {"all"};
	struct name_delete none = {"none"};
	struct kit k;

	(void)state;
	kit_open(&k);
	assert_string_equal(kit_apply(&k, COMMAND_NAMESPACE_DELETE, &ns)->text, "can not delete default namespace");
	assert_int_equal(kit_apply(&k, COMMAND_NODE_POOL_DELETE, &pool)->status, ERR_INVALID);
	assert_int_equal(kit_apply(&k, COMMAND_NAMESPACE_DELETE, &none)->status, ERR_NOTFOUND);
	assert_int_equal(kit_apply(&k, COMMAND_NODE_POOL_DELETE, &none)->status, ERR_NOTFOUND);
	kit_close(&k);
}

static void a_pool_in_use_stays(void **state)
{
	struct node_pool pool;
	struct node_pool_put put = {&pool};
	struct name_delete del = {"gpu"};
	struct node_register *r;
	struct uuid node;
	struct kit k;

	(void)state;
	kit_open(&k);
	object_init(&node_pool_type, &pool);
	pool.name = "gpu";
	kit_apply(&k, COMMAND_NODE_POOL_PUT, &put);
	node = kit_node(&k, "n1");
	r = again(&k, &node);
	r->node->node_pool = "gpu";
	kit_apply(&k, COMMAND_NODE_REGISTER, r);
	assert_string_equal(kit_apply(&k, COMMAND_NODE_POOL_DELETE, &del)->text, "node pool \"gpu\" has nodes");
	r->node->node_pool = "default";
	kit_apply(&k, COMMAND_NODE_REGISTER, r);
	assert_int_equal(kit_apply(&k, COMMAND_NODE_POOL_DELETE, &del)->status, 0);
	assert_null(state_node_pool(k.v, "gpu"));
	kit_close(&k);
}

static void the_configuration_is_checked_and_set(void **state)
{
	struct scheduler_config config;
	struct scheduler_config_put p = {&config, true, 77};
	struct kit k;

	(void)state;
	kit_open(&k);
	state_scheduler_config(k.v, &config, &k.mem);
	config.algorithm = "spread";
	assert_false(kit_apply(&k, COMMAND_SCHEDULER_CONFIG, &p)->changed);
	p.modify_index = 1;
	assert_true(kit_apply(&k, COMMAND_SCHEDULER_CONFIG, &p)->changed);
	state_scheduler_config(k.v, &config, &k.mem);
	assert_string_equal(config.algorithm, "spread");
	assert_int_equal(config.modify_index, k.result.index);
	kit_close(&k);
}

static void servers_tell_of_themselves(void **state)
{
	struct server_meta meta;
	struct server_put put = {&meta};
	struct server_delete del = {7};
	struct server_meta got;
	struct kit k;

	(void)state;
	kit_open(&k);
	object_init(&server_meta_type, &meta);
	meta.id = 7;
	meta.name = "s1";
	kit_apply(&k, COMMAND_SERVER_PUT, &put);
	assert_int_equal(object_row_get(state_server(k.v, 7), &server_meta_type, &got, &k.mem), 0);
	assert_string_equal(got.name, "s1");
	kit_apply(&k, COMMAND_SERVER_DELETE, &del);
	assert_null(state_server(k.v, 7));
	assert_int_equal(kit_apply(&k, COMMAND_SERVER_DELETE, &del)->status, ERR_NOTFOUND);
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_registered_node_is_there_as_it_was_given),
		cmocka_unit_test(registering_again_keeps_what_servers_have_set),
		cmocka_unit_test(a_node_brings_its_pool),
		cmocka_unit_test(a_node_that_goes_down_makes_an_evaluation_for_each_of_its_jobs),
		cmocka_unit_test(a_node_that_comes_up_makes_evaluations_for_system_jobs),
		cmocka_unit_test(heartbeats_that_are_missed_are_noted),
		cmocka_unit_test(a_drain_and_its_end),
		cmocka_unit_test(only_the_last_events_are_kept),
		cmocka_unit_test(a_removed_node_leaves_evaluations),
		cmocka_unit_test(a_new_cluster_has_its_defaults),
		cmocka_unit_test(namespaces_come_and_go),
		cmocka_unit_test(what_is_built_in_stays),
		cmocka_unit_test(a_pool_in_use_stays),
		cmocka_unit_test(the_configuration_is_checked_and_set),
		cmocka_unit_test(servers_tell_of_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
