#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/raft/kit.h"

static void a_new_job_gets_version_0_and_an_evaluation(void **state)
{
	struct kit k;
	const struct apply_result *r;
	const struct eval_row *eval;
	const struct job_row *job;

	(void)state;
	kit_open(&k);
	r = kit_register(&k, kit_job(&k, "a", "service"));
	assert_int_equal(r->status, 0);
	assert_true(r->changed);
	assert_int_equal(r->eval_index, r->index);
	assert_int_equal(r->job_modify_index, r->index);
	job = kit_find(&k, "a");
	assert_int_equal(job->version, 0);
	assert_int_equal(job->create_index, r->index);
	assert_int_equal(job->modify_index, r->index);
	assert_int_equal(job->status, JOB_STATUS_PENDING);
	assert_int_equal(job->submit_time_ns, k.now - SECOND);
	assert_string_equal(job_row_name(job), "a");
	assert_string_equal(job_row_group(job, 0), "g");
	assert_string_equal(job_row_group(job, 1), "");
	assert_string_equal(job_row_datacenter(job, 0), "dc1");
	eval = state_eval(k.v, &r->eval_id);
	assert_int_equal(eval->status, EVAL_STATUS_PENDING);
	assert_int_equal(eval->trigger, EVAL_TRIGGER_JOB_REGISTER);
	assert_int_equal(eval->job_modify_index, r->index);
	assert_int_equal(eval->priority, 50);
	assert_string_equal(eval_row_job(eval), "a");
	kit_close(&k);
}

static void a_changed_job_gets_the_next_version(void **state)
{
	struct kit k;
	struct job *job;
	uint64_t first;
	uint64_t n;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	first = kit_register(&k, job)->index;
	for (n = 1; n <= 3; n++) {
		const struct apply_result *r;

		job->priority = (int64_t)(50 + n);
		r = kit_register(&k, job);
		assert_int_equal(r->version, n);
		assert_int_equal(kit_find(&k, "a")->version, n);
		assert_int_equal(kit_find(&k, "a")->create_index, first);
		assert_int_equal(kit_find(&k, "a")->job_modify_index, r->index);
		assert_int_equal(kit_find(&k, "a")->priority, 50 + n);
	}
	assert_int_equal(view_count(k.v, TABLE_JOBS), 4);
	assert_int_equal(view_count(k.v, INDEX_JOBS_CURRENT), 1);
	kit_close(&k);
}

static void an_unchanged_job_keeps_its_version_and_gets_an_evaluation(void **state)
{
	struct kit k;
	const struct apply_result *r;
	struct uuid eval;
	uint64_t first;

	(void)state;
	kit_open(&k);
	first = kit_register(&k, kit_job(&k, "a", "service"))->index;
	eval = k.result.eval_id;
	kit_put_eval(&k, kit_eval(&k, &eval, "complete", 1));
	r = kit_register(&k, kit_job(&k, "a", "service"));
	assert_false(r->changed);
	assert_false(uuid_equal(&r->eval_id, &eval));
	assert_int_equal(r->eval_index, r->index);
	assert_int_equal(kit_find(&k, "a")->version, 0);
	assert_int_equal(kit_find(&k, "a")->job_modify_index, first);
	assert_int_equal(r->job_modify_index, kit_find(&k, "a")->modify_index);
	assert_int_equal(view_count(k.v, TABLE_JOBS), 1);
	kit_close(&k);
}

static void versions_that_say_the_same_share_their_specification(void **state)
{
	struct kit k;
	const struct job_row *job;

	(void)state;
	kit_open(&k);
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_deregister(&k, "a", false);
	kit_register(&k, kit_job(&k, "a", "service"));
	job = kit_find(&k, "a");
	assert_int_equal(job->version, 2);
	assert_int_equal(job->flags & JOB_STOP, 0);
	assert_ptr_equal(job->spec, state_job_version(k.v, "default", "a", 0)->spec);
	assert_int_equal(job->spec->refs, 3);
	kit_close(&k);
}

static void enforcing_the_index(void **state)
{
	struct kit k;
	struct job_register *p;
	const struct apply_result *r;
	char text[200];
	uint64_t index;

	(void)state;
	kit_open(&k);
	p = kit_registration(&k, kit_job(&k, "a", "service"));
	p->enforce = true;
	p->job_modify_index = 77;
	r = kit_apply(&k, COMMAND_JOB_REGISTER, p);
	assert_int_equal(r->status, ERR_CONFLICT);
	assert_string_equal(r->text, "Enforcing job modify index 77: job does not exist");
	assert_null(kit_find(&k, "a"));
	p->job_modify_index = 0;
	index = kit_apply(&k, COMMAND_JOB_REGISTER, p)->index;
	assert_int_equal(k.result.status, 0);
	r = kit_apply(&k, COMMAND_JOB_REGISTER, p);
	assert_string_equal(r->text, "Enforcing job modify index 0: job already exists");
	p->job_modify_index = (int64_t)index + 5;
	r = kit_apply(&k, COMMAND_JOB_REGISTER, p);
	snprintf(text, sizeof(text), "Enforcing job modify index %u: job exists with conflicting job modify index: %u",
		 (unsigned)index + 5, (unsigned)index);
	assert_string_equal(r->text, text);
	assert_int_equal(kit_evals(&k, "a"), 1);
	p->job_modify_index = (int64_t)index;
	assert_int_equal(kit_apply(&k, COMMAND_JOB_REGISTER, p)->status, 0);
	kit_close(&k);
}

static void a_job_cannot_change_its_nature(void **state)
{
	struct kit k;
	struct job *job;

	(void)state;
	kit_open(&k);
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_register(&k, kit_job(&k, "a", "batch"));
	assert_string_equal(k.result.text, "cannot update job from type \"service\" to \"batch\"");
	kit_register(&k, kit_job(&k, "b", "batch"));
	job = kit_job(&k, "b", "batch");
	job->periodic = arena_alloc(&k.mem, sizeof(*job->periodic));
	object_init(&periodic_config_type, job->periodic);
	job->periodic->spec = "* * * * *";
	kit_register(&k, job);
	assert_string_equal(k.result.text, "cannot update non-periodic job to being periodic");
	job->periodic = NULL;
	job->parameterized = arena_alloc(&k.mem, sizeof(*job->parameterized));
	object_init(&parameterized_job_type, job->parameterized);
	kit_register(&k, job);
	assert_string_equal(k.result.text, "cannot update non-parameterized job to being parameterized");
	assert_int_equal(kit_find(&k, "b")->version, 0);
	kit_close(&k);
}

static void an_unknown_namespace_or_pool_is_refused(void **state)
{
	struct kit k;
	struct job *job;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	job->namespace_ = "mars";
	kit_register(&k, job);
	assert_string_equal(k.result.text, "job \"a\" is in nonexistent namespace \"mars\"");
	job->namespace_ = "default";
	job->node_pool = "venus";
	kit_register(&k, job);
	assert_string_equal(k.result.text, "job \"a\" is in nonexistent node pool \"venus\"");
	assert_int_equal(k.result.status, ERR_INVALID);
	assert_int_equal(view_count(k.v, TABLE_JOBS), 0);
	assert_int_equal(state_table_index(k.v, TABLE_JOBS), 0);
	kit_close(&k);
}

static void a_version_is_honoured_for_a_new_job(void **state)
{
	struct kit k;
	struct job *job;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	job->version = 7;
	kit_register(&k, job);
	assert_int_equal(kit_find(&k, "a")->version, 7);
	job->priority = 51;
	kit_register(&k, job);
	assert_int_equal(kit_find(&k, "a")->version, 8);
	kit_close(&k);
}

static void set_stable(struct kit *k, int64_t version, bool stable)
{
	struct job_stable p;

	object_init(&job_stable_type, &p);
	p.namespace_ = "default";
	p.id = "a";
	p.version = version;
	p.stable = stable;
	kit_apply(k, COMMAND_JOB_STABLE, &p);
}

static void check_versions(const struct kit *k, const char *want)
{
	const struct job_row *job;
	char have[200] = "";
	struct rows r;

	rows_versions(&r, k->v, "default", "a");
	while ((job = job_prev(&r)) != NULL) {
		sprintf(have + strlen(have), "%u ", (unsigned)job->version);
	}
	assert_string_equal(have, want);
}

static void set_tag(struct kit *k, int64_t version, const char *name, bool unset)
{
	struct job_tag p;

	object_init(&job_tag_type, &p);
	p.namespace_ = "default";
	p.id = "a";
	p.version = (struct opt){version, !unset};
	p.name = name;
	p.unset = unset;
	kit_apply(k, COMMAND_JOB_TAG, &p);
}

static void six_versions_are_kept_and_the_stable_and_tagged_ones(void **state)
{
	struct kit k;
	struct job *job;
	int i;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	for (i = 0; i < 9; i++) {
		job->priority = 40 + i;
		kit_register(&k, job);
	}
	check_versions(&k, "8 7 6 5 4 3 ");
	set_stable(&k, 3, true);
	set_tag(&k, 4, "good", false);
	for (i = 9; i < 14; i++) {
		job->priority = 40 + i;
		kit_register(&k, job);
	}
	check_versions(&k, "13 12 11 10 9 4 3 ");
	set_tag(&k, 13, "good", false);
	assert_string_equal(k.result.text, "tag \"good\" already exists on a different version of job \"a\"");
	set_tag(&k, 0, "good", true);
	job->priority = 90;
	kit_register(&k, job);
	check_versions(&k, "14 13 12 11 10 3 ");
	set_tag(&k, 0, "good", true);
	assert_int_equal(k.result.status, ERR_NOTFOUND);
	kit_close(&k);
}

static void stability_belongs_to_one_version(void **state)
{
	struct kit k;
	struct job *job;
	uint64_t index;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	index = kit_register(&k, job)->index;
	set_stable(&k, 0, true);
	assert_int_equal(kit_find(&k, "a")->flags & JOB_STABLE, JOB_STABLE);
	assert_int_equal(kit_find(&k, "a")->job_modify_index, index);
	assert_int_equal(kit_find(&k, "a")->modify_index, k.result.index);
	assert_int_equal(kit_evals(&k, "a"), 1);
	job->priority = 51;
	kit_register(&k, job);
	assert_int_equal(kit_find(&k, "a")->flags & JOB_STABLE, 0);
	assert_int_equal(state_job_version(k.v, "default", "a", 0)->flags & JOB_STABLE, JOB_STABLE);
	set_stable(&k, 9, true);
	assert_string_equal(k.result.text, "job \"a\" in namespace \"default\" at version 9 not found");
	kit_close(&k);
}

static const struct apply_result *revert(struct kit *k, const char *id, int64_t version, struct opt prior)
{
	struct job_revert p;

	object_init(&job_revert_type, &p);
	p.namespace_ = "default";
	p.id = id;
	p.version = version;
	p.enforce_prior = prior;
	return kit_apply(k, COMMAND_JOB_REVERT, &p);
}

static void a_revert_registers_the_old_content_anew(void **state)
{
	const struct opt none = {0, false};
	struct kit k;
	struct job *job;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	kit_register(&k, job);
	job->priority = 51;
	kit_register(&k, job);
	assert_string_equal(revert(&k, "a", 1, none)->text, "can't revert to current version");
	assert_string_equal(revert(&k, "a", 99, none)->text,
			    "job \"a\" in namespace \"default\" at version 99 not found");
	assert_string_equal(revert(&k, "x", 0, none)->text, "job \"x\" not found");
	assert_string_equal(revert(&k, "a", 0, (struct opt){7, true})->text,
			    "Current job has version 1; enforcing version 7");
	assert_string_equal(revert(&k, "a", 0, (struct opt){0, true})->text,
			    "Current job has version 1; enforcing version 0");
	assert_int_equal(kit_find(&k, "a")->version, 1);
	revert(&k, "a", 0, (struct opt){1, true});
	assert_int_equal(k.result.status, 0);
	assert_int_equal(k.result.version, 2);
	assert_int_equal(k.result.job_modify_index, k.result.index);
	assert_int_equal(kit_find(&k, "a")->priority, 50);
	assert_false(uuid_is_zero(&k.result.eval_id));
	kit_close(&k);
}

static void a_stop_is_a_new_version_and_the_job_dies(void **state)
{
	struct kit k;
	struct uuid ids[2];
	struct uuid node;
	struct uuid eval;
	uint64_t first;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n");
	kit_register(&k, kit_job(&k, "a", "service"));
	eval = k.result.eval_id;
	kit_place(&k, "a", &eval, &node, 2, ids);
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_RUNNING);
	first = kit_deregister(&k, "a", false)->index;
	assert_int_equal(k.result.job_modify_index, first);
	assert_int_equal(k.result.eval_index, first);
	assert_int_equal(state_eval(k.v, &k.result.eval_id)->trigger, EVAL_TRIGGER_JOB_DEREGISTER);
	assert_int_equal(kit_find(&k, "a")->version, 1);
	assert_int_equal(kit_find(&k, "a")->flags & JOB_STOP, JOB_STOP);
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_RUNNING);
	kit_put_eval(&k, kit_eval(&k, &eval, "complete", 0));
	kit_put_eval(&k, kit_eval(&k, &kit_newest_eval(&k, "a")->id, "complete", 0));
	kit_stop_alloc(&k, &ids[0], "alloc not needed due to job update");
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_RUNNING);
	kit_stop_alloc(&k, &ids[1], "alloc not needed due to job update");
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_DEAD);
	kit_deregister(&k, "a", false);
	assert_int_equal(k.result.status, 0);
	assert_true(k.result.job_modify_index > first);
	kit_register(&k, kit_job(&k, "a", "service"));
	assert_int_equal(kit_find(&k, "a")->version, 3);
	assert_int_not_equal(kit_find(&k, "a")->status, JOB_STATUS_DEAD);
	kit_close(&k);
}

static void stopping_an_unknown_job_is_no_error(void **state)
{
	struct kit k;

	(void)state;
	kit_open(&k);
	kit_deregister(&k, "no", true);
	assert_int_equal(k.result.status, 0);
	assert_int_equal(k.result.job_modify_index, 0);
	assert_true(uuid_is_zero(&k.result.eval_id));
	kit_close(&k);
}

static void a_purge_removes_all_that_belongs_to_the_job(void **state)
{
	struct kit k;
	struct uuid ids[3];
	struct uuid node;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n");
	kit_register(&k, kit_job(&k, "a", "service"));
	kit_place(&k, "a", &k.result.eval_id, &node, 3, ids);
	kit_deployment(&k, "a", 3, 0);
	kit_deregister(&k, "a", true);
	assert_int_equal(k.result.status, 0);
	assert_false(uuid_is_zero(&k.result.eval_id));
	assert_null(kit_find(&k, "a"));
	assert_null(state_summary(k.v, "default", "a"));
	assert_null(state_latest_deployment(k.v, "default", "a"));
	assert_null(state_alloc(k.v, &ids[0]));
	assert_int_equal(view_count(k.v, TABLE_JOBS), 0);
	assert_int_equal(kit_evals(&k, "a"), 1);
	assert_int_equal(state_eval(k.v, &k.result.eval_id)->trigger, EVAL_TRIGGER_JOB_DEREGISTER);
	/* It comes back while the evaluation of its end is open. */
	kit_register(&k, kit_job(&k, "a", "service"));
	assert_int_equal(kit_find(&k, "a")->version, 0);
	assert_int_equal(kit_evals(&k, "a"), 2);
	kit_close(&k);
}

static struct job *parent_job(struct kit *k, const char *id)
{
	struct job *job = kit_job(k, id, "batch");

	job->parameterized = arena_alloc(&k->mem, sizeof(*job->parameterized));
	object_init(&parameterized_job_type, job->parameterized);
	return job;
}

static struct job *child_job(struct kit *k, const char *parent, const char *id)
{
	struct job *job = parent_job(k, id);

	job->parent_id = parent;
	job->dispatched = true;
	return job;
}

static void check_children(const struct kit *k, const char *parent, unsigned pending, unsigned running, unsigned dead)
{
	const struct summary_row *s = state_summary(k->v, "default", parent);

	assert_int_equal(s->children[JOB_STATUS_PENDING], pending);
	assert_int_equal(s->children[JOB_STATUS_RUNNING], running);
	assert_int_equal(s->children[JOB_STATUS_DEAD], dead);
}

static void a_parent_counts_its_children(void **state)
{
	struct kit k;
	struct uuid node;
	struct uuid id;
	struct uuid eval;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n");
	kit_register(&k, parent_job(&k, "p"));
	assert_true(uuid_is_zero(&k.result.eval_id));
	assert_int_equal(kit_find(&k, "p")->status, JOB_STATUS_RUNNING);
	kit_register(&k, child_job(&k, "p", "p/dispatch-1-a"));
	eval = k.result.eval_id;
	kit_register(&k, child_job(&k, "p", "p/dispatch-2-b"));
	assert_false(uuid_is_zero(&k.result.eval_id));
	check_children(&k, "p", 2, 0, 0);
	kit_place(&k, "p/dispatch-1-a", &eval, &node, 1, &id);
	kit_put_eval(&k, kit_eval(&k, &eval, "complete", 0));
	check_children(&k, "p", 1, 1, 0);
	kit_report(&k, &id, "running");
	kit_report(&k, &id, "complete");
	assert_int_equal(kit_find(&k, "p/dispatch-1-a")->status, JOB_STATUS_DEAD);
	check_children(&k, "p", 1, 0, 1);
	kit_deregister(&k, "p/dispatch-2-b", true);
	check_children(&k, "p", 0, 0, 2);
	assert_int_equal(kit_find(&k, "p")->status, JOB_STATUS_RUNNING);
	kit_deregister(&k, "p", false);
	assert_true(uuid_is_zero(&k.result.eval_id));
	assert_int_equal(kit_find(&k, "p")->status, JOB_STATUS_DEAD);
	kit_register(&k, child_job(&k, "p", "p/dispatch-3-c"));
	assert_string_equal(k.result.text, "parameterized job not found");
	kit_close(&k);
}

static void a_dispatch_with_a_known_token_makes_nothing(void **state)
{
	struct kit k;
	struct job *job;

	(void)state;
	kit_open(&k);
	kit_register(&k, parent_job(&k, "p"));
	job = child_job(&k, "p", "p/dispatch-1-a");
	job->dispatch_idempotency_token = "once";
	kit_register(&k, job);
	assert_true(k.result.changed);
	job->id = "p/dispatch-2-b";
	kit_register(&k, job);
	assert_int_equal(k.result.status, 0);
	assert_false(k.result.changed);
	assert_string_equal(k.result.text, "p/dispatch-1-a");
	assert_null(kit_find(&k, "p/dispatch-2-b"));
	kit_close(&k);
}

static void a_launch_is_recorded_with_the_child(void **state)
{
	struct kit k;
	struct job *job;
	struct job_register *p;
	struct launch launch;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "p", "batch");
	job->periodic = arena_alloc(&k.mem, sizeof(*job->periodic));
	object_init(&periodic_config_type, job->periodic);
	kit_register(&k, job);
	assert_int_equal(kit_find(&k, "p")->flags & (JOB_PERIODIC | JOB_PERIODIC_ENABLED),
			 JOB_PERIODIC | JOB_PERIODIC_ENABLED);
	job = kit_job(&k, "p/periodic-7", "batch");
	job->parent_id = "p";
	p = kit_registration(&k, job);
	p->launch_ns = 7 * SECOND;
	p->trigger = EVAL_TRIGGER_PERIODIC_JOB;
	kit_apply(&k, COMMAND_JOB_REGISTER, p);
	assert_int_equal(state_eval(k.v, &k.result.eval_id)->trigger, EVAL_TRIGGER_PERIODIC_JOB);
	assert_int_equal(object_row_get(state_launch(k.v, "default", "p"), &launch_type, &launch, &k.mem), 0);
	assert_int_equal(launch.launch_ns, 7 * SECOND);
	check_children(&k, "p", 1, 0, 0);
	/* A second one within the same second is the same child. */
	kit_apply(&k, COMMAND_JOB_REGISTER, p);
	assert_false(k.result.changed);
	check_children(&k, "p", 1, 0, 0);
	kit_close(&k);
}

static const struct apply_result *evaluate(struct kit *k, const char *id)
{
	struct job_evaluate p;

	object_init(&job_evaluate_type, &p);
	p.namespace_ = "default";
	p.id = id;
	return kit_apply(k, COMMAND_JOB_EVALUATE, &p);
}

static void evaluating_a_job(void **state)
{
	struct kit k;
	uint64_t index;

	(void)state;
	kit_open(&k);
	index = kit_register(&k, kit_job(&k, "a", "service"))->index;
	evaluate(&k, "a");
	assert_int_equal(k.result.eval_index, k.result.index);
	assert_int_equal(k.result.job_modify_index, index);
	assert_int_equal(kit_evals(&k, "a"), 2);
	assert_string_equal(evaluate(&k, "b")->text, "job not found");
	kit_register(&k, parent_job(&k, "p"));
	assert_string_equal(evaluate(&k, "p")->text, "can't evaluate parameterized job");
	kit_close(&k);
}

static void a_service_that_cannot_be_placed_runs_and_a_batch_job_waits(void **state)
{
	struct kit k;
	struct evaluation *blocked;
	const char *type[] = {"service", "batch"};
	int i;

	(void)state;
	kit_open(&k);
	for (i = 0; i < 2; i++) {
		struct uuid eval = kit_register(&k, kit_job(&k, type[i], type[i]))->eval_id;

		blocked = kit_eval(&k, &eval, "blocked", -1);
		blocked->id = kit_text(&k, &(struct uuid){{(uint8_t)(i + 1)}});
		kit_put_eval(&k, blocked);
		kit_put_eval(&k, kit_eval(&k, &eval, "failed", 1));
	}
	assert_int_equal(kit_find(&k, "service")->status, JOB_STATUS_RUNNING);
	assert_int_equal(kit_find(&k, "batch")->status, JOB_STATUS_PENDING);
	assert_int_equal(kit_counts(&k, "batch")[GROUP_QUEUED], 1);
	kit_close(&k);
}

static void a_batch_job_runs_and_dies_with_its_allocations(void **state)
{
	struct kit k;
	struct uuid node;
	struct uuid eval;
	struct uuid id;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n");
	eval = kit_register(&k, kit_job(&k, "a", "batch"))->eval_id;
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_PENDING);
	kit_place(&k, "a", &eval, &node, 1, &id);
	kit_put_eval(&k, kit_eval(&k, &eval, "complete", 0));
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_RUNNING);
	kit_report(&k, &id, "complete");
	assert_int_equal(kit_find(&k, "a")->status, JOB_STATUS_DEAD);
	assert_int_equal(kit_find(&k, "a")->flags & JOB_STOP, 0);
	kit_close(&k);
}

static void dead_jobs_are_collected_and_others_are_left(void **state)
{
	struct kit k;
	struct jobs_delete p;
	struct job_name names[3] = {{"default", "dead"}, {"default", "live"}, {"default", "none"}};

	(void)state;
	kit_open(&k);
	kit_register(&k, kit_job(&k, "live", "service"));
	kit_register(&k, kit_job(&k, "dead", "batch"));
	kit_put_eval(&k, kit_eval(&k, &k.result.eval_id, "complete", 0));
	assert_int_equal(kit_find(&k, "dead")->status, JOB_STATUS_DEAD);
	p.jobs.at = names;
	p.jobs.n = 3;
	kit_apply(&k, COMMAND_JOBS_DELETE, &p);
	assert_int_equal(k.result.count, 1);
	assert_int_equal(k.result.rejected, 2);
	assert_null(kit_find(&k, "dead"));
	assert_int_equal(kit_evals(&k, "dead"), 0);
	assert_non_null(kit_find(&k, "live"));
	kit_close(&k);
}

static void new_groups_are_added_to_the_summary(void **state)
{
	struct kit k;
	struct job *job;
	struct job_summary s;
	uint64_t index;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	index = kit_register(&k, job)->index;
	job->task_groups.at[0].name = "h";
	kit_register(&k, job);
	assert_int_equal(summary_row_get(state_summary(k.v, "default", "a"), &s, &k.mem), 0);
	assert_int_equal(s.summary.n, 2);
	assert_string_equal(s.summary.keys[0], "g");
	assert_string_equal(s.summary.keys[1], "h");
	assert_int_equal(s.create_index, index);
	assert_int_equal(s.modify_index, k.result.index);
	kit_close(&k);
}

static void scaling_keeps_a_history(void **state)
{
	struct kit k;
	struct job *job;
	struct job_scale p;
	struct scaling_event event;
	struct scaling_events events;
	struct job_register *as_job;
	int i;

	(void)state;
	kit_open(&k);
	job = kit_job(&k, "a", "service");
	kit_register(&k, job);
	object_init(&job_scale_type, &p);
	object_init(&scaling_event_type, &event);
	p.namespace_ = "default";
	p.id = "a";
	p.group = "g";
	p.event = &event;
	for (i = 0; i < 25; i++) {
		job->task_groups.at[0].count = i + 2;
		as_job = kit_registration(&k, job);
		p.spec = as_job->spec;
		p.job_modify_index = (int64_t)kit_find(&k, "a")->job_modify_index;
		event.count = (struct opt){i + 2, true};
		kit_apply(&k, COMMAND_JOB_SCALE, &p);
		assert_int_equal(k.result.status, 0);
		assert_int_equal(state_eval(k.v, &k.result.eval_id)->trigger, EVAL_TRIGGER_SCALING);
	}
	p.job_modify_index = 3;
	assert_int_equal(kit_apply(&k, COMMAND_JOB_SCALE, &p)->status, ERR_CONFLICT);
	p.spec = (struct bytes){NULL, 0};
	kit_apply(&k, COMMAND_JOB_SCALE, &p);
	assert_true(uuid_is_zero(&k.result.eval_id));
	object_row_get(state_scaling(k.v, "default", "a", "g"), &scaling_events_type, &events, &k.mem);
	assert_int_equal(events.events.n, 20);
	assert_int_equal(events.events.at[1].count.at, 26);
	p.group = "x";
	assert_int_equal(kit_apply(&k, COMMAND_JOB_SCALE, &p)->status, ERR_INVALID);
	kit_close(&k);
}

static void a_submission_goes_with_its_version(void **state)
{
	struct kit k;
	struct job *job;
	struct job_register *p;
	struct submission submission;
	int i;

	(void)state;
	kit_open(&k);
	object_init(&submission_type, &submission);
	submission.source = "job \"a\" {}";
	submission.format = "hcl2";
	job = kit_job(&k, "a", "service");
	for (i = 0; i < 8; i++) {
		job->priority = 20 + i;
		p = kit_registration(&k, job);
		p->submission = &submission;
		kit_apply(&k, COMMAND_JOB_REGISTER, p);
	}
	assert_int_equal(view_count(k.v, TABLE_SUBMISSIONS), 6);
	assert_non_null(state_submission(k.v, "default", "a", 7));
	assert_null(state_submission(k.v, "default", "a", 1));
	kit_deregister(&k, "a", true);
	assert_int_equal(view_count(k.v, TABLE_SUBMISSIONS), 0);
	kit_close(&k);
}

static void names_that_are_too_long_are_refused(void **state)
{
	struct job_register p;
	struct kit k;
	struct job *job;
	char *id;

	(void)state;
	kit_open(&k);
	id = arena_alloc(&k.mem, JOB_ID_MAX + 2);
	memset(id, 'x', JOB_ID_MAX + 1);
	id[JOB_ID_MAX + 1] = '\0';
	job = kit_job(&k, "a", "service");
	job->id = id;
	assert_int_equal(job_register_fill(&p, job, &k.mem), ERR_TOOBIG);
	p = *kit_registration(&k, kit_job(&k, "a", "service"));
	p.id = id;
	kit_apply(&k, COMMAND_JOB_REGISTER, &p);
	assert_int_equal(k.result.status, ERR_INVALID);
	job->id = id + 1;
	kit_register(&k, job);
	assert_int_equal(k.result.status, 0);
	assert_non_null(kit_find(&k, id + 1));
	assert_null(kit_find(&k, id));
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_job_gets_version_0_and_an_evaluation),
		cmocka_unit_test(a_changed_job_gets_the_next_version),
		cmocka_unit_test(an_unchanged_job_keeps_its_version_and_gets_an_evaluation),
		cmocka_unit_test(versions_that_say_the_same_share_their_specification),
		cmocka_unit_test(enforcing_the_index),
		cmocka_unit_test(a_job_cannot_change_its_nature),
		cmocka_unit_test(an_unknown_namespace_or_pool_is_refused),
		cmocka_unit_test(a_version_is_honoured_for_a_new_job),
		cmocka_unit_test(six_versions_are_kept_and_the_stable_and_tagged_ones),
		cmocka_unit_test(stability_belongs_to_one_version),
		cmocka_unit_test(a_revert_registers_the_old_content_anew),
		cmocka_unit_test(a_stop_is_a_new_version_and_the_job_dies),
		cmocka_unit_test(stopping_an_unknown_job_is_no_error),
		cmocka_unit_test(a_purge_removes_all_that_belongs_to_the_job),
		cmocka_unit_test(a_parent_counts_its_children),
		cmocka_unit_test(a_dispatch_with_a_known_token_makes_nothing),
		cmocka_unit_test(a_launch_is_recorded_with_the_child),
		cmocka_unit_test(evaluating_a_job),
		cmocka_unit_test(a_service_that_cannot_be_placed_runs_and_a_batch_job_waits),
		cmocka_unit_test(a_batch_job_runs_and_dies_with_its_allocations),
		cmocka_unit_test(dead_jobs_are_collected_and_others_are_left),
		cmocka_unit_test(new_groups_are_added_to_the_summary),
		cmocka_unit_test(scaling_keeps_a_history),
		cmocka_unit_test(a_submission_goes_with_its_version),
		cmocka_unit_test(names_that_are_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
