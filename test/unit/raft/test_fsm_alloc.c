#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/raft/kit.h"

/* A service job "a" with `n` allocations on a node. */
struct setting {
	struct kit k;
	struct uuid node;
	struct uuid eval;
	struct uuid ids[8];
};

static struct kit *open_setting(struct setting *s, const char *type, unsigned n)
{
	kit_open(&s->k);
	s->node = kit_node(&s->k, "n1");
	s->eval = kit_register(&s->k, kit_job(&s->k, "a", type))->eval_id;
	if (n > 0) {
		kit_place(&s->k, "a", &s->eval, &s->node, n, s->ids);
		assert_int_equal(s->k.result.count, n);
	}
	return &s->k;
}

static const struct alloc_row *alloc(const struct setting *s, unsigned i)
{
	return state_alloc(s->k.v, &s->ids[i]);
}

static void a_plan_places_allocations(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	const struct alloc_row *a;
	struct evaluation *e = kit_eval(k, &s.eval, "pending", 5);
	char name[ALLOC_NAME_MAX];

	(void)state;
	kit_put_eval(k, e);
	assert_int_equal(kit_counts(k, "a")[GROUP_QUEUED], 5);
	kit_place(k, "a", &s.eval, &s.node, 3, s.ids);
	assert_int_equal(k->result.count, 3);
	assert_int_equal(k->result.rejected, 0);
	a = alloc(&s, 2);
	assert_true(uuid_equal(&a->node_id, &s.node));
	assert_true(uuid_equal(&a->eval_id, &s.eval));
	assert_int_equal(a->client, ALLOC_CLIENT_PENDING);
	assert_int_equal(a->desired, ALLOC_DESIRED_RUN);
	assert_int_equal(a->create_index, k->result.index);
	assert_int_equal(a->alloc_modify_index, k->result.index);
	assert_int_equal(a->create_time_ns, k->now - SECOND);
	assert_string_equal((const char *)a->node_name->data, "n1");
	assert_ptr_equal(a->job, kit_find(k, "a"));
	assert_ptr_equal(a->metrics, alloc(&s, 0)->metrics);
	alloc_row_name(a, name);
	assert_string_equal(name, "a.g[2]");
	assert_int_equal(kit_counts(k, "a")[GROUP_STARTING], 3);
	assert_int_equal(kit_counts(k, "a")[GROUP_QUEUED], 2);
	assert_int_equal(kit_find(k, "a")->status, JOB_STATUS_RUNNING);
	kit_close(k);
}

static void places_that_cannot_be_are_rejected(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid down = kit_node(k, "n2");
	struct plan_result *p;

	(void)state;
	kit_node_status(k, &down, NODE_STATUS_DOWN);
	p = kit_plan(k, "a", &s.eval, &s.node, 4, s.ids);
	p->places.at[1].node_id = uuid_bytes(&down);
	p->places.at[2].node_id = uuid_bytes(&s.eval);
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(k->result.count, 2);
	assert_int_equal(k->result.rejected, 2);
	assert_null(alloc(&s, 1));
	kit_deregister(k, "a", true);
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(k->result.count, 0);
	assert_int_equal(k->result.rejected, 4);
	kit_close(k);
}

static void a_rejected_place_leaves_the_evaluation_open(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct plan_result *p = kit_plan(k, "a", &s.eval, &s.eval, 1, s.ids);
	struct evaluation evals[2] = {*kit_eval(k, &s.eval, "pending", 7), *kit_eval(k, &s.eval, "complete", 0)};

	(void)state;
	p->evals.at = evals;
	p->evals.n = 2;
	p->evals_always = 1;
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(k->result.rejected, 1);
	assert_int_equal(state_eval(k->v, &s.eval)->status, EVAL_STATUS_PENDING);
	assert_int_equal(kit_counts(k, "a")[GROUP_QUEUED], 7);
	p->places.at[0].node_id = uuid_bytes(&s.node);
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(state_eval(k->v, &s.eval)->status, EVAL_STATUS_COMPLETE);
	kit_close(k);
}

static void a_plan_of_a_job_that_came_back_is_rejected(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct plan_result *p = kit_plan(k, "a", &s.eval, &s.node, 1, s.ids);

	(void)state;
	kit_deregister(k, "a", true);
	kit_register(k, kit_job(k, "a", "service"));
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(k->result.rejected, 1);
	kit_close(k);
}

static void a_malformed_plan_does_nothing(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct plan_result *p = kit_plan(k, "a", &s.eval, &s.node, 2, s.ids);
	uint64_t hash;

	(void)state;
	hash = state_hash(k->v);
	p->places.at[1].group = 1;
	assert_int_equal(kit_apply(k, COMMAND_PLAN, p)->status, ERR_INVALID);
	p->places.at[1].group = 0;
	p->places.at[1].metrics = 2;
	assert_int_equal(kit_apply(k, COMMAND_PLAN, p)->status, ERR_INVALID);
	p->places.at[1].metrics = 1;
	p->places.at[1].id = (struct bytes){(const uint8_t *)"short", 5};
	assert_int_equal(kit_apply(k, COMMAND_PLAN, p)->status, ERR_INVALID);
	assert_int_equal(state_hash(k->v), hash);
	kit_close(k);
}

static void clients_move_allocations_along(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 2);
	uint64_t placed = alloc(&s, 0)->alloc_modify_index;

	(void)state;
	kit_report(k, &s.ids[0], "running");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_RUNNING);
	assert_int_equal(alloc(&s, 0)->modify_index, k->result.index);
	assert_int_equal(alloc(&s, 0)->alloc_modify_index, placed);
	assert_int_equal(kit_counts(k, "a")[GROUP_RUNNING], 1);
	assert_int_equal(kit_counts(k, "a")[GROUP_STARTING], 1);
	kit_report(k, &s.ids[0], "complete");
	assert_int_equal(kit_counts(k, "a")[GROUP_COMPLETE], 1);
	kit_report(k, &s.ids[0], "running");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_COMPLETE);
	kit_report(k, &s.ids[0], "failed");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_COMPLETE);
	assert_int_equal(kit_counts(k, "a")[GROUP_RUNNING], 0);
	kit_close(k);
}

static void saying_the_same_again_changes_nothing(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	uint64_t index;

	(void)state;
	index = kit_report(k, &s.ids[0], "running")->index;
	kit_report(k, &s.ids[0], "running");
	assert_int_equal(alloc(&s, 0)->modify_index, index);
	assert_int_equal(state_table_index(k->v, TABLE_ALLOCS), index);
	kit_report(k, &s.node, "running");
	assert_int_equal(k->result.rejected, 1);
	kit_close(k);
}

static void a_failure_makes_an_evaluation_for_a_job_that_goes_on(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 3);
	const struct eval_row *eval;

	(void)state;
	kit_report(k, &s.ids[0], "failed");
	assert_int_equal(k->result.count, 1);
	eval = kit_newest_eval(k, "a");
	assert_true(uuid_equal(&eval->id, &k->result.eval_id));
	assert_int_equal(eval->trigger, EVAL_TRIGGER_RETRY_FAILED_ALLOC);
	kit_report(k, &s.ids[0], "failed");
	assert_int_equal(k->result.count, 0);
	kit_stop_alloc(k, &s.ids[1], "");
	kit_report(k, &s.ids[1], "failed");
	assert_int_equal(k->result.count, 0);
	kit_deregister(k, "a", false);
	kit_report(k, &s.ids[2], "failed");
	assert_int_equal(k->result.count, 0);
	kit_close(k);
}

static void a_failure_without_a_reschedule_policy_makes_none(void **state)
{
	struct setting s;
	struct kit *k = &s.k;
	struct job *job;
	struct uuid eval;

	(void)state;
	kit_open(k);
	s.node = kit_node(k, "n");
	job = kit_job(k, "a", "batch");
	job->task_groups.at[0].reschedule_policy->attempts = (struct opt){0, true};
	eval = kit_register(k, job)->eval_id;
	kit_place(k, "a", &eval, &s.node, 1, s.ids);
	kit_report(k, &s.ids[0], "failed");
	assert_int_equal(k->result.count, 0);
	assert_int_equal(kit_evals(k, "a"), 1);
	kit_close(k);
}

static void change(struct kit *k, const struct uuid *id, struct opt desired, struct opt client, const char *why)
{
	struct plan_result p;
	struct plan_change c;

	object_init(&plan_result_type, &p);
	object_init(&plan_change_type, &c);
	c.id = uuid_bytes(id);
	c.desired = desired;
	c.client = client;
	c.description = why;
	p.changes.at = &c;
	p.changes.n = 1;
	kit_apply(k, COMMAND_PLAN, &p);
}

static void a_lost_allocation_may_turn_out_to_have_ended(void **state)
{
	const struct opt stop = {ALLOC_DESIRED_STOP, true};
	const struct opt lost = {ALLOC_CLIENT_LOST, true};
	struct setting s;
	struct kit *k = open_setting(&s, "service", 2);
	struct alloc_server server;

	(void)state;
	change(k, &s.ids[0], stop, lost, "alloc was lost since its node is down");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_LOST);
	assert_int_equal(alloc(&s, 0)->desired, ALLOC_DESIRED_STOP);
	assert_int_equal(alloc(&s, 0)->alloc_modify_index, k->result.index);
	assert_int_equal(alloc_row_server(alloc(&s, 0), &server, &k->mem), 0);
	assert_string_equal(server.desired_description, "alloc was lost since its node is down");
	assert_int_equal(kit_counts(k, "a")[GROUP_LOST], 1);
	kit_report(k, &s.ids[0], "running");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_LOST);
	kit_report(k, &s.ids[0], "complete");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_COMPLETE);
	assert_int_equal(kit_counts(k, "a")[GROUP_LOST], 0);
	kit_report(k, &s.ids[1], "complete");
	change(k, &s.ids[1], stop, lost, "");
	assert_int_equal(alloc(&s, 1)->client, ALLOC_CLIENT_COMPLETE);
	kit_close(k);
}

static void an_unknown_allocation_that_returns_makes_an_evaluation(void **state)
{
	const struct opt none = {0, false};
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);

	(void)state;
	kit_report(k, &s.ids[0], "running");
	change(k, &s.ids[0], none, (struct opt){ALLOC_CLIENT_UNKNOWN, true}, "");
	assert_int_equal(kit_counts(k, "a")[GROUP_UNKNOWN], 1);
	kit_report(k, &s.ids[0], "running");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_RUNNING);
	assert_int_equal(kit_newest_eval(k, "a")->trigger, EVAL_TRIGGER_RECONNECT);
	kit_close(k);
}

/* What servers made of it, and that it came back; not what its client said meanwhile. */
static void states_that_servers_set_are_kept_the_latest(void **state)
{
	const struct opt none = {0, false};
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	struct allocation a;

	(void)state;
	kit_report(k, &s.ids[0], "running");
	assert_int_equal(alloc_row_get(alloc(&s, 0), &a, NULL, &k->mem), 0);
	assert_int_equal(a.alloc_states.n, 0);
	for (int i = 1; i <= 10; i++) {
		change(k, &s.ids[0], none, (struct opt){ALLOC_CLIENT_UNKNOWN, true}, "");
		kit_report(k, &s.ids[0], "running");
		assert_int_equal(alloc_row_get(alloc(&s, 0), &a, NULL, &k->mem), 0);
		assert_int_equal(a.alloc_states.n, i < 8 ? 2 * i : 16);
		assert_string_equal(a.alloc_states.at[a.alloc_states.n - 2].value, "unknown");
		assert_string_equal(a.alloc_states.at[a.alloc_states.n - 1].value, "running");
		assert_int_equal(a.alloc_states.at[a.alloc_states.n - 1].time, alloc(&s, 0)->modify_time_ns);
	}
	change(k, &s.ids[0], none, (struct opt){ALLOC_CLIENT_LOST, true}, "alloc is lost since its node is down");
	assert_int_equal(alloc_row_get(alloc(&s, 0), &a, NULL, &k->mem), 0);
	assert_string_equal(a.alloc_states.at[15].value, "lost");
	assert_string_equal(a.desired_description, "alloc is lost since its node is down");
	kit_close(k);
}

static void a_replacement_is_linked_both_ways(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	struct plan_result *p = kit_plan(k, "a", &s.eval, &s.node, 1, &s.ids[1]);
	struct allocation a;

	(void)state;
	p->places.at[0].previous = uuid_bytes(&s.ids[0]);
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(alloc_row_get(alloc(&s, 0), &a, NULL, &k->mem), 0);
	assert_string_equal(a.next_allocation, kit_text(k, &s.ids[1]));
	assert_int_equal(alloc(&s, 0)->modify_index, k->result.index);
	assert_true(alloc(&s, 0)->alloc_modify_index < k->result.index);
	assert_int_equal(alloc(&s, 0)->flags & ALLOC_REPLACED, ALLOC_REPLACED);
	assert_int_equal(alloc_row_get(alloc(&s, 1), &a, NULL, &k->mem), 0);
	assert_string_equal(a.previous_allocation, kit_text(k, &s.ids[0]));
	kit_close(k);
}

static void an_update_in_place_keeps_what_the_client_said(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	struct uuid created = s.ids[0];
	uint64_t index = alloc(&s, 0)->create_index;
	struct plan_result *p;
	struct uuid deployment;
	struct uuid ignored;
	struct rows r;
	struct job *job;

	(void)state;
	kit_report(k, &s.ids[0], "running");
	job = kit_job(k, "a", "service");
	job->priority = 60;
	kit_register(k, job);
	deployment = kit_deployment(k, "a", 1, 0);
	p = kit_plan(k, "a", &kit_newest_eval(k, "a")->id, &s.node, 1, &ignored);
	p->places.at[0].id = uuid_bytes(&created);
	p->deployment_id = uuid_bytes(&deployment);
	p->groups.at[0].cpu_mhz = 33;
	kit_apply(k, COMMAND_PLAN, p);
	assert_int_equal(k->result.count, 1);
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_RUNNING);
	assert_int_equal(alloc(&s, 0)->job->version, 1);
	assert_int_equal(alloc(&s, 0)->create_index, index);
	assert_int_equal(alloc(&s, 0)->alloc_modify_index, k->result.index);
	assert_int_equal(alloc(&s, 0)->cpu_mhz, 33);
	assert_int_equal(kit_counts(k, "a")[GROUP_RUNNING], 1);
	rows_allocs_of_eval(&r, k->v, &s.eval);
	assert_null(alloc_next(&r));
	rows_allocs_of_deployment(&r, k->v, &deployment);
	assert_ptr_equal(alloc_next(&r), alloc(&s, 0));
	kit_close(k);
}

static void allocations_see_their_version_when_it_has_gone(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	struct job *job = kit_job(k, "a", "service");
	struct allocation a;
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		job->priority = 51 + i;
		kit_register(k, job);
	}
	assert_null(state_job_version(k->v, "default", "a", 0));
	assert_int_equal(alloc_row_get(alloc(&s, 0), &a, NULL, &k->mem), 0);
	assert_int_equal(a.job->version, 0);
	assert_int_equal(a.job->priority, 50);
	kit_close(k);
}

static void the_indexes_find_allocations(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 3);
	struct uuid other = kit_node(k, "n2");
	struct rows r;
	unsigned n = 0;

	(void)state;
	kit_place(k, "a", &s.eval, &other, 2, &s.ids[3]);
	rows_allocs_of_node(&r, k->v, &s.node);
	while (alloc_next(&r) != NULL) {
		n++;
	}
	assert_int_equal(n, 3);
	rows_allocs_of_job(&r, k->v, kit_find(k, "a"));
	for (n = 0; n < 5; n++) {
		assert_ptr_equal(alloc_next(&r), alloc(&s, n)); /* In the order of their making. */
	}
	assert_null(alloc_next(&r));
	rows_allocs_of_eval(&r, k->v, &s.eval);
	for (n = 5; n-- > 0;) {
		assert_ptr_equal(alloc_prev(&r), alloc(&s, n));
	}
	assert_null(alloc_prev(&r));
	kit_close(k);
}

static void a_transition_marks_and_evaluates(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 2);
	struct alloc_transitions p;
	struct alloc_transition t[3];
	struct desired_transition migrate;

	(void)state;
	object_init(&alloc_transitions_type, &p);
	object_init(&desired_transition_type, &migrate);
	migrate.migrate = (struct opt){1, true};
	t[0] = (struct alloc_transition){uuid_bytes(&s.ids[0]), &migrate};
	t[1] = (struct alloc_transition){uuid_bytes(&s.ids[1]), &migrate};
	t[2] = (struct alloc_transition){uuid_bytes(&s.node), &migrate};
	p.allocs.at = t;
	p.allocs.n = 3;
	p.trigger = EVAL_TRIGGER_ALLOC_STOP;
	kit_apply(k, COMMAND_ALLOC_TRANSITIONS, &p);
	assert_int_equal(k->result.count, 1);
	assert_int_equal(k->result.rejected, 1);
	assert_int_equal(k->result.eval_index, k->result.index);
	assert_int_equal(alloc(&s, 0)->flags & ALLOC_MIGRATE, ALLOC_MIGRATE);
	assert_int_equal(kit_newest_eval(k, "a")->trigger, EVAL_TRIGGER_ALLOC_STOP);
	migrate.migrate.at = 0;
	kit_apply(k, COMMAND_ALLOC_TRANSITIONS, &p);
	assert_int_equal(alloc(&s, 0)->flags & ALLOC_MIGRATE, 0);
	p.allocs.at = &t[2];
	p.allocs.n = 1;
	kit_apply(k, COMMAND_ALLOC_TRANSITIONS, &p);
	assert_int_equal(k->result.status, ERR_NOTFOUND);
	assert_string_equal(k->result.text, "allocation not found");
	kit_close(k);
}

static void a_delay_is_cut_short_for_those_that_go_already(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 3);
	uint64_t placed = alloc(&s, 0)->alloc_modify_index;
	struct job_deregister p;

	(void)state;
	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = "a";
	p.no_shutdown_delay = true;
	kit_stop_alloc(k, &s.ids[1], "");
	kit_stop_alloc(k, &s.ids[2], "");
	kit_report(k, &s.ids[2], "complete");
	kit_apply(k, COMMAND_JOB_DEREGISTER, &p);
	assert_int_equal(alloc(&s, 0)->flags & ALLOC_NO_SHUTDOWN_DELAY, ALLOC_NO_SHUTDOWN_DELAY);
	assert_int_equal(alloc(&s, 0)->alloc_modify_index, placed); /* It is told with its stop. */
	assert_int_equal(alloc(&s, 1)->flags & ALLOC_NO_SHUTDOWN_DELAY, ALLOC_NO_SHUTDOWN_DELAY);
	assert_int_equal(alloc(&s, 1)->alloc_modify_index, k->result.index);
	assert_int_equal(alloc(&s, 2)->flags & ALLOC_NO_SHUTDOWN_DELAY, 0);
	kit_apply(k, COMMAND_JOB_DEREGISTER, &p);
	assert_true(alloc(&s, 1)->alloc_modify_index < k->result.index);
	kit_close(k);
}

/* ---- evaluations ---- */

static void an_evaluation_that_completes_cancels_the_blocked_ones(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct evaluation *blocked = kit_eval(k, &s.eval, "blocked", -1);
	struct uuid id = kit_id(k);
	struct evaluation e;
	char why[100];

	(void)state;
	blocked->id = kit_text(k, &id);
	kit_put_eval(k, blocked);
	assert_int_equal(state_eval(k->v, &id)->status, EVAL_STATUS_BLOCKED);
	kit_put_eval(k, kit_eval(k, &s.eval, "complete", 0));
	assert_int_equal(state_eval(k->v, &id)->status, EVAL_STATUS_CANCELED);
	eval_row_get(state_eval(k->v, &id), &e, &k->mem);
	snprintf(why, sizeof(why), "evaluation \"%s\" successful", kit_text(k, &s.eval));
	assert_string_equal(e.status_description, why);
	kit_put_eval(k, kit_eval(k, &id, "pending", -1));
	assert_int_equal(k->result.rejected, 1);
	assert_int_equal(state_eval(k->v, &id)->status, EVAL_STATUS_CANCELED);
	kit_close(k);
}

static void an_evaluation_keeps_all_its_members(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct evaluation *e = kit_eval(k, &s.eval, "complete", 2);
	struct alloc_metric metric;
	const char *group = "g";
	struct evaluation got;

	(void)state;
	object_init(&alloc_metric_type, &metric);
	metric.coalesced_failures = 1;
	e->failed_tg_allocs.keys = &group;
	e->failed_tg_allocs.at = &metric;
	e->failed_tg_allocs.n = 1;
	e->blocked_eval = kit_text(k, &s.node);
	e->snapshot_index = 9;
	kit_put_eval(k, e);
	assert_int_equal(eval_row_get(state_eval(k->v, &s.eval), &got, &k->mem), 0);
	e->modify_index = (int64_t)k->result.index;
	e->modify_time = k->now - SECOND;
	assert_true(object_equal(&evaluation_type, e, &got));
	e->id = "xyz";
	assert_int_equal(kit_put_eval(k, e)->status, ERR_INVALID);
	kit_close(k);
}

static void evaluations_and_allocations_are_collected(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 2);
	struct evals_delete p;
	struct id_ref allocs[2] = {{uuid_bytes(&s.ids[0])}, {uuid_bytes(&s.ids[1])}};
	struct id_ref evals[1] = {{uuid_bytes(&s.eval)}};

	(void)state;
	kit_put_eval(k, kit_eval(k, &s.eval, "complete", 0));
	kit_report(k, &s.ids[0], "complete");
	object_init(&evals_delete_type, &p);
	p.allocs.at = allocs;
	p.allocs.n = 2;
	p.evals.at = evals;
	p.evals.n = 1;
	kit_apply(k, COMMAND_EVALS_DELETE, &p);
	assert_int_equal(k->result.count, 1);
	assert_int_equal(k->result.rejected, 2);
	assert_null(alloc(&s, 0));
	assert_non_null(alloc(&s, 1));
	assert_non_null(state_eval(k->v, &s.eval));
	assert_int_equal(kit_counts(k, "a")[GROUP_COMPLETE], 1);
	kit_stop_alloc(k, &s.ids[1], "");
	kit_apply(k, COMMAND_EVALS_DELETE, &p);
	assert_int_equal(k->result.count, 2);
	assert_null(state_eval(k->v, &s.eval));
	kit_close(k);
}

/* ---- deployments ---- */

static void report_health(struct kit *k, const struct uuid *id, bool healthy)
{
	struct alloc_report report;
	struct alloc_reports p;

	object_init(&alloc_report_type, &report);
	object_init(&alloc_reports_type, &p);
	report.id = uuid_bytes(id);
	report.status = ALLOC_CLIENT_RUNNING;
	report.healthy = (struct opt){healthy, true};
	report.health_time_ns = 5 * SECOND;
	p.reports.at = &report;
	p.reports.n = 1;
	kit_apply(k, COMMAND_ALLOC_REPORTS, &p);
}

static struct deployment_group group_of(struct kit *k, const struct uuid *id)
{
	struct deployment d;

	assert_int_equal(deployment_row_get(state_deployment(k->v, id), &d, &k->mem), 0);
	return d.task_groups.at[0];
}

static struct uuid deploy(struct setting *s, unsigned n, int64_t canaries)
{
	struct kit *k = &s->k;
	struct uuid deployment = kit_deployment(k, "a", n, canaries);
	struct plan_result *p = kit_plan(k, "a", &s->eval, &s->node, n, s->ids);
	unsigned i;

	p->deployment_id = uuid_bytes(&deployment);
	for (i = 0; i < n && i < canaries; i++) {
		p->places.at[i].canary = true;
	}
	kit_apply(k, COMMAND_PLAN, p);
	return deployment;
}

static void a_deployment_counts_placed_and_healthy(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 3, 0);

	(void)state;
	assert_int_equal(group_of(k, &d).placed_allocs, 3);
	assert_int_equal(group_of(k, &d).require_progress_by, k->now - SECOND + 100 * SECOND);
	report_health(k, &s.ids[0], true);
	report_health(k, &s.ids[1], false);
	report_health(k, &s.ids[1], false);
	assert_int_equal(group_of(k, &d).healthy_allocs, 1);
	assert_int_equal(group_of(k, &d).unhealthy_allocs, 1);
	assert_int_equal(group_of(k, &d).require_progress_by, 105 * SECOND);
	assert_int_equal(alloc(&s, 0)->flags & ALLOC_HEALTHY, ALLOC_HEALTHY);
	report_health(k, &s.ids[1], true);
	assert_int_equal(group_of(k, &d).healthy_allocs, 2);
	assert_int_equal(group_of(k, &d).unhealthy_allocs, 0);
	assert_true(uuid_equal(&state_latest_deployment(k->v, "default", "a")->id, &d));
	kit_close(k);
}

static const struct apply_result *set_status(struct kit *k, const struct uuid *id, int status, const char *verb,
					     struct opt revert_to)
{
	struct deployment_change p;

	object_init(&deployment_change_type, &p);
	p.id = uuid_bytes(id);
	p.status = status;
	p.description = verb;
	p.verb = verb;
	p.eval = status != DEPLOYMENT_STATUS_PAUSED;
	p.stable = status == DEPLOYMENT_STATUS_SUCCESSFUL;
	p.revert_to = revert_to;
	return kit_apply(k, COMMAND_DEPLOYMENT_STATUS, &p);
}

static void a_terminal_deployment_stays_as_it_is(void **state)
{
	const struct opt none = {0, false};
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 1, 0);

	(void)state;
	set_status(k, &d, DEPLOYMENT_STATUS_PAUSED, "pause", none);
	assert_true(uuid_is_zero(&k->result.eval_id));
	assert_int_equal(state_deployment(k->v, &d)->status, DEPLOYMENT_STATUS_PAUSED);
	set_status(k, &d, DEPLOYMENT_STATUS_FAILED, "fail", none);
	assert_false(uuid_is_zero(&k->result.eval_id));
	assert_int_equal(kit_newest_eval(k, "a")->trigger, EVAL_TRIGGER_DEPLOYMENT_WATCHER);
	assert_string_equal(set_status(k, &d, DEPLOYMENT_STATUS_FAILED, "fail", none)->text,
			    "can't fail terminal deployment");
	assert_string_equal(set_status(k, &d, DEPLOYMENT_STATUS_PAUSED, "pause", none)->text,
			    "can't pause terminal deployment");
	assert_int_equal(set_status(k, &s.eval, DEPLOYMENT_STATUS_PAUSED, "pause", none)->status, ERR_NOTFOUND);
	kit_close(k);
}

static void success_marks_the_version_stable_and_failure_goes_back_to_it(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 1, 0);
	struct job *job;

	(void)state;
	set_status(k, &d, DEPLOYMENT_STATUS_SUCCESSFUL, "", (struct opt){0, false});
	assert_int_equal(kit_find(k, "a")->flags & JOB_STABLE, JOB_STABLE);
	job = kit_job(k, "a", "service");
	job->priority = 70;
	kit_register(k, job);
	d = kit_deployment(k, "a", 1, 0);
	set_status(k, &d, DEPLOYMENT_STATUS_FAILED, "fail", (struct opt){0, true});
	assert_true(k->result.changed);
	assert_int_equal(k->result.version, 0);
	assert_int_equal(kit_find(k, "a")->version, 2);
	assert_int_equal(kit_find(k, "a")->priority, 50);
	kit_close(k);
}

static const struct apply_result *promote(struct kit *k, const struct uuid *id)
{
	struct deployment_promote p;

	object_init(&deployment_promote_type, &p);
	p.id = uuid_bytes(id);
	return kit_apply(k, COMMAND_DEPLOYMENT_PROMOTE, &p);
}

static void only_healthy_canaries_are_promoted(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 2, 1);

	(void)state;
	assert_int_equal(group_of(k, &d).placed_canaries.n, 1);
	assert_string_equal(group_of(k, &d).placed_canaries.at[0], kit_text(k, &s.ids[0]));
	promote(k, &d);
	assert_int_equal(k->result.status, ERR_INVALID);
	assert_non_null(strstr(k->result.text, "Task group \"g\" has 0/1 healthy allocations"));
	report_health(k, &s.ids[0], true);
	promote(k, &d);
	assert_int_equal(k->result.status, 0);
	assert_false(uuid_is_zero(&k->result.eval_id));
	assert_true(group_of(k, &d).promoted);
	assert_int_equal(alloc(&s, 0)->flags & ALLOC_CANARY, 0);
	assert_int_equal(promote(k, &d)->status, 0); /* Once more changes nothing. */
	kit_close(k);
}

/* Whoever promotes looked at the canaries for as long as it took: progress is demanded from then on. */
static void a_promotion_gives_new_time_for_progress(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 1, 1);
	int64_t promoted;

	(void)state;
	report_health(k, &s.ids[0], true);
	assert_int_equal(group_of(k, &d).require_progress_by, 105 * SECOND);
	k->now += 3600 * SECOND;
	promoted = k->now;
	assert_int_equal(promote(k, &d)->status, 0);
	assert_int_equal(group_of(k, &d).require_progress_by, promoted + 100 * SECOND);
	kit_close(k);
}

static void a_deployment_without_canaries_can_be_promoted(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 1, 0);

	(void)state;
	assert_int_equal(promote(k, &d)->status, 0);
	assert_false(uuid_is_zero(&k->result.eval_id));
	assert_true(group_of(k, &d).promoted);
	kit_close(k);
}

static void health_can_be_set_by_hand(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 2, 0);
	struct deployment_health p;
	struct id_ref good = {uuid_bytes(&s.ids[0])};
	struct id_ref bad = {uuid_bytes(&s.ids[1])};

	(void)state;
	object_init(&deployment_health_type, &p);
	p.id = uuid_bytes(&d);
	p.healthy.at = &good;
	p.healthy.n = 1;
	p.unhealthy.at = &bad;
	p.unhealthy.n = 1;
	assert_int_equal(kit_apply(k, COMMAND_DEPLOYMENT_HEALTH, &p)->status, 0);
	assert_false(uuid_is_zero(&k->result.eval_id));
	assert_int_equal(group_of(k, &d).healthy_allocs, 1);
	assert_int_equal(group_of(k, &d).unhealthy_allocs, 1);
	bad.id = uuid_bytes(&s.node);
	assert_int_equal(kit_apply(k, COMMAND_DEPLOYMENT_HEALTH, &p)->status, ERR_INVALID);
	kit_close(k);
}

static void putting_a_deployment_again_changes_its_totals_alone(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 2, 0);
	struct deployment again;
	struct plan_result p;

	(void)state;
	report_health(k, &s.ids[0], true);
	assert_int_equal(deployment_row_get(state_deployment(k->v, &d), &again, &k->mem), 0);
	object_init(&plan_result_type, &p);
	p.namespace_ = "default";
	p.job_id = "a";
	p.job_create_index = again.job_create_index;
	p.deployment = &again;
	again.task_groups.at[0].desired_total = 9;
	again.task_groups.at[0].healthy_allocs = 7;
	kit_apply(k, COMMAND_PLAN, &p);
	assert_int_equal(group_of(k, &d).desired_total, 9);
	assert_int_equal(group_of(k, &d).healthy_allocs, 1);
	assert_int_equal(group_of(k, &d).placed_allocs, 2);
	kit_close(k);
}

static void groups_are_promoted_by_name(void **state)
{
	const char *other = "h";
	const char *right = "g";
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 1, 1);
	struct deployment_promote p;

	(void)state;
	report_health(k, &s.ids[0], true);
	object_init(&deployment_promote_type, &p);
	p.id = uuid_bytes(&d);
	p.groups = (struct strs){&other, 1};
	assert_int_equal(kit_apply(k, COMMAND_DEPLOYMENT_PROMOTE, &p)->status, ERR_INVALID);
	p.groups = (struct strs){&right, 1};
	assert_int_equal(kit_apply(k, COMMAND_DEPLOYMENT_PROMOTE, &p)->status, 0);
	assert_true(group_of(k, &d).promoted);
	kit_close(k);
}

static void malformed_reports_and_transitions_are_refused(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	struct alloc_transitions t;
	struct alloc_reports p;
	struct alloc_report r;

	(void)state;
	object_init(&alloc_reports_type, &p);
	object_init(&alloc_report_type, &r);
	object_init(&alloc_transitions_type, &t);
	r.id = uuid_bytes(&s.ids[0]);
	r.status = ALLOC_CLIENT_COUNT;
	p.reports.at = &r;
	p.reports.n = 1;
	assert_int_equal(kit_apply(k, COMMAND_ALLOC_REPORTS, &p)->status, ERR_INVALID);
	t.trigger = EVAL_TRIGGER_COUNT;
	assert_int_equal(kit_apply(k, COMMAND_ALLOC_TRANSITIONS, &t)->status, ERR_INVALID);
	/* What a client says need not decode for the allocation to go on. */
	r.status = ALLOC_CLIENT_RUNNING;
	r.reported = (struct bytes){(const uint8_t *)"\x81\xff", 2};
	assert_int_equal(kit_apply(k, COMMAND_ALLOC_REPORTS, &p)->status, 0);
	change(k, &s.ids[0], (struct opt){ALLOC_DESIRED_STOP, true}, (struct opt){ALLOC_CLIENT_LOST, true}, "gone");
	assert_int_equal(alloc(&s, 0)->client, ALLOC_CLIENT_LOST);
	kit_close(k);
}

static void deployments_are_collected_when_they_are_over(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 0);
	struct uuid d = deploy(&s, 1, 0);
	struct deployments_delete p;
	struct id_ref id = {uuid_bytes(&d)};

	(void)state;
	p.deployments.at = &id;
	p.deployments.n = 1;
	kit_apply(k, COMMAND_DEPLOYMENTS_DELETE, &p);
	assert_int_equal(k->result.rejected, 1);
	set_status(k, &d, DEPLOYMENT_STATUS_CANCELLED, "", (struct opt){0, false});
	kit_apply(k, COMMAND_DEPLOYMENTS_DELETE, &p);
	assert_int_equal(k->result.count, 1);
	assert_null(state_deployment(k->v, &d));
	kit_close(k);
}

/* ---- services ---- */

/* Services of allocation i: "web" and "db" by bits, with this port. */
static struct service_registration *services(struct setting *s, unsigned i, unsigned which, int64_t port, uint32_t *n)
{
	static const char *const names[] = {"web", "db"};
	struct service_registration *at = arena_calloc(&s->k.mem, 2, sizeof(*at));
	unsigned k;

	*n = 0;
	for (k = 0; k < 2; k++) {
		if ((which >> k & 1) != 0) {
			struct service_registration *r = &at[(*n)++];

			object_init(&service_registration_type, r);
			r->id = arena_printf(&s->k.mem, "_nomad-task-%s-group-g-%s-http", kit_text(&s->k, &s->ids[i]), names[k]);
			r->service_name = names[k];
			r->address = "127.0.0.1";
			r->port = port;
			r->datacenter = "dc1";
			r->tags.at = (const char **)(uintptr_t)names;
			r->tags.n = k + 1;
		}
	}
	return at;
}

static uint64_t report_services(struct setting *s, unsigned i, const char *status, const struct service_registration *at,
				uint32_t n)
{
	struct alloc_update update;
	struct alloc_reports p;
	struct alloc_report report;

	object_init(&alloc_update_type, &update);
	update.id = kit_text(&s->k, &s->ids[i]);
	update.client_status = status;
	update.services.at = (struct service_registration *)(uintptr_t)at;
	update.services.n = n;
	assert_int_equal(alloc_report_fill(&report, &update, &s->k.mem), 0);
	object_init(&alloc_reports_type, &p);
	p.reports.at = &report;
	p.reports.n = 1;
	return kit_apply(&s->k, COMMAND_ALLOC_REPORTS, &p)->index;
}

static void report_web_and_db(struct setting *s, unsigned i, const char *status, unsigned which, int64_t port)
{
	uint32_t n;
	struct service_registration *at = services(s, i, which, port, &n);

	report_services(s, i, status, at, n);
}

/* A plan that holds an allocation for lost. */
static struct plan_result *lost_plan(struct setting *s, unsigned i)
{
	struct plan_result *p = arena_alloc(&s->k.mem, sizeof(*p));
	struct plan_change *change = arena_alloc(&s->k.mem, sizeof(*change));

	object_init(&plan_result_type, p);
	object_init(&plan_change_type, change);
	change->id = uuid_bytes(&s->ids[i]);
	change->desired = (struct opt){ALLOC_DESIRED_STOP, true};
	change->client = (struct opt){ALLOC_CLIENT_LOST, true};
	p->changes.at = change;
	p->changes.n = 1;
	return p;
}

static size_t n_services(const struct setting *s)
{
	return view_count(s->k.v, TABLE_SERVICES);
}

static void services_follow_what_their_allocation_reports(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 2);
	const struct service_row *row;
	struct service_registration r;
	uint64_t made;
	struct rows rows;

	(void)state;
	report_web_and_db(&s, 0, "running", 3, 80);
	report_web_and_db(&s, 1, "running", 1, 81);
	assert_int_equal(n_services(&s), 3);
	rows_services(&rows, k->v, "default", "web");
	row = service_next(&rows);
	assert_int_equal(service_row_get(k->v, row, &r, &k->mem), 0);
	assert_string_equal(r.service_name, "web");
	assert_string_equal(r.namespace_, "default");
	assert_string_equal(r.job_id, "a");
	assert_string_equal(r.node_id, kit_text(k, &s.node));
	assert_string_equal(r.alloc_id, kit_text(k, uuid_equal(&row->alloc_id, &s.ids[0]) ? &s.ids[0] : &s.ids[1]));
	assert_string_equal(r.address, "127.0.0.1");
	assert_string_equal(r.datacenter, "dc1");
	assert_int_equal(r.tags.n, 1);
	assert_int_equal(r.create_index, r.modify_index);
	assert_non_null(service_next(&rows));
	assert_null(service_next(&rows));
	made = state_table_index(k->v, TABLE_SERVICES);
	report_web_and_db(&s, 0, "running", 3, 80); /* Nothing new. */
	assert_int_equal(state_table_index(k->v, TABLE_SERVICES), made);
	report_web_and_db(&s, 0, "running", 2, 90);
	rows_services_of_alloc(&rows, k->v, &s.ids[0]);
	row = service_next(&rows);
	assert_string_equal(service_row_name(row), "db");
	assert_int_equal(service_row_get(k->v, row, &r, &k->mem), 0);
	assert_int_equal(r.port, 90);
	assert_true(r.create_index < r.modify_index);
	assert_null(service_next(&rows));
	kit_close(k);
}

static void services_go_with_their_allocation(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 4);
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		report_web_and_db(&s, i, "running", 3, 80);
	}
	assert_int_equal(n_services(&s), 8);
	report_web_and_db(&s, 0, "complete", 3, 80); /* One that has ended offers nothing, whatever it says. */
	assert_int_equal(n_services(&s), 6);
	report_web_and_db(&s, 1, "pending", 3, 80);
	assert_int_equal(n_services(&s), 4);
	kit_apply(k, COMMAND_PLAN, lost_plan(&s, 2));
	assert_int_equal(n_services(&s), 2);
	kit_deregister(k, "a", true);
	assert_int_equal(n_services(&s), 0);
	kit_close(k);
}

static void services_that_no_row_can_be_made_of_are_passed_over(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 2);
	struct service_registration *at;
	char name[SERVICE_NAME_MAX + 2];
	uint32_t n;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	at = services(&s, 0, 3, 80, &n);
	at[0].service_name = "";
	report_services(&s, 0, "running", at, n);
	assert_int_equal(n_services(&s), 1);
	at[0].service_name = name;
	report_services(&s, 0, "running", at, n);
	assert_int_equal(n_services(&s), 1);
	report_services(&s, 1, "running", at, n); /* Another's. */
	assert_int_equal(n_services(&s), 1);
	kit_close(k);
}

static void a_service_is_taken_off_the_list(void **state)
{
	struct setting s;
	struct kit *k = open_setting(&s, "service", 1);
	const char *id = arena_printf(&k->mem, "_nomad-task-%s-group-g-web-http", kit_text(k, &s.ids[0]));

	(void)state;
	report_web_and_db(&s, 0, "running", 3, 80);
	kit_apply(k, COMMAND_SERVICE_DELETE, &(struct service_delete){"default", "web", id});
	assert_int_equal(k->result.status, 0);
	assert_int_equal(n_services(&s), 1);
	kit_apply(k, COMMAND_SERVICE_DELETE, &(struct service_delete){"default", "web", id});
	assert_int_equal(k->result.status, ERR_NOTFOUND);
	kit_close(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_places_allocations),
		cmocka_unit_test(places_that_cannot_be_are_rejected),
		cmocka_unit_test(a_rejected_place_leaves_the_evaluation_open),
		cmocka_unit_test(a_plan_of_a_job_that_came_back_is_rejected),
		cmocka_unit_test(a_malformed_plan_does_nothing),
		cmocka_unit_test(clients_move_allocations_along),
		cmocka_unit_test(saying_the_same_again_changes_nothing),
		cmocka_unit_test(a_failure_makes_an_evaluation_for_a_job_that_goes_on),
		cmocka_unit_test(a_failure_without_a_reschedule_policy_makes_none),
		cmocka_unit_test(a_lost_allocation_may_turn_out_to_have_ended),
		cmocka_unit_test(an_unknown_allocation_that_returns_makes_an_evaluation),
		cmocka_unit_test(states_that_servers_set_are_kept_the_latest),
		cmocka_unit_test(a_replacement_is_linked_both_ways),
		cmocka_unit_test(an_update_in_place_keeps_what_the_client_said),
		cmocka_unit_test(allocations_see_their_version_when_it_has_gone),
		cmocka_unit_test(the_indexes_find_allocations),
		cmocka_unit_test(a_transition_marks_and_evaluates),
		cmocka_unit_test(a_delay_is_cut_short_for_those_that_go_already),
		cmocka_unit_test(an_evaluation_that_completes_cancels_the_blocked_ones),
		cmocka_unit_test(an_evaluation_keeps_all_its_members),
		cmocka_unit_test(evaluations_and_allocations_are_collected),
		cmocka_unit_test(a_deployment_counts_placed_and_healthy),
		cmocka_unit_test(a_terminal_deployment_stays_as_it_is),
		cmocka_unit_test(success_marks_the_version_stable_and_failure_goes_back_to_it),
		cmocka_unit_test(only_healthy_canaries_are_promoted),
		cmocka_unit_test(a_promotion_gives_new_time_for_progress),
		cmocka_unit_test(a_deployment_without_canaries_can_be_promoted),
		cmocka_unit_test(health_can_be_set_by_hand),
		cmocka_unit_test(putting_a_deployment_again_changes_its_totals_alone),
		cmocka_unit_test(groups_are_promoted_by_name),
		cmocka_unit_test(malformed_reports_and_transitions_are_refused),
		cmocka_unit_test(deployments_are_collected_when_they_are_over),
		cmocka_unit_test(services_follow_what_their_allocation_reports),
		cmocka_unit_test(services_go_with_their_allocation),
		cmocka_unit_test(services_that_no_row_can_be_made_of_are_passed_over),
		cmocka_unit_test(a_service_is_taken_off_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
