/* How service and batch jobs are kept as they should be. */
#include "server/sched_retry.h"
#include "server/sched_update.h"
#include "test/unit/server/sched_case.h"

/* A group that is updated one by one, without waiting for checks. */
static const char update[] =
	",'Update':{'MaxParallel':%d,'MinHealthyTime':1,'HealthCheck':'task_states',"
	"'HealthyDeadline':60000000000,'ProgressDeadline':120000000000,'Canary':%d,'AutoPromote':%s}";

static const char *rolling(int max_parallel)
{
	return bed_json(&b, update, max_parallel, 0, "false");
}

static const char *canaries(int max_parallel, int canary)
{
	return bed_json(&b, update, max_parallel, canary, "false");
}

static const char *env(int version)
{
	return bed_json(&b, ",'Meta':{'v':'%d'}", version);
}

static struct uuid run_service(const char *id, int count, const char *group, const char *more)
{
	struct uuid eval = bed_register_simple(&b, id, "service", count, group, more);

	bed_run(&b);
	return eval;
}

static void nodes(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		bed_node(&b, "{}");
	}
}

/* The live allocations have the indexes 0 to n - 1, each once. */
static void expect_indexes(const char *job, unsigned n)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	unsigned i;

	assert_int_equal(list->n, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(list->at[i]->index, i);
	}
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

static unsigned count_described(const char *job, const char *description)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_STOPPED);
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < list->n; i++) {
		n += strcmp(bed_description(&b, list->at[i]), description) == 0;
	}
	return n;
}

static struct uuid deployment_id(const char *job)
{
	return state_latest_deployment(b.v, "default", job)->id;
}

/* All that run are healthy; the deployment's evaluations follow. */
static void all_healthy(const char *job)
{
	struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	struct uuid ids[100];
	unsigned n = list->n;
	unsigned i;

	for (i = 0; i < n; i++) {
		ids[i] = list->at[i]->id;
	}
	for (i = 0; i < n; i++) {
		bed_report_health(&b, &ids[i], ALLOC_CLIENT_RUNNING, true);
	}
	bed_evaluate(&b, job, false);
	bed_run(&b);
}

static const struct alloc_row *by_id(const struct uuid *id)
{
	return state_alloc(b.v, id);
}

static struct uuid id_of(const char *job, unsigned index)
{
	return bed_alloc(&b, job, index)->id;
}

static struct desired_updates *annotated(const char *json)
{
	struct job *job = bed_job(&b, json);
	struct sched_preview preview;
	struct uuid seed = {{1}};

	sched_news(&b.sched, b.v, &b.news);
	assert_int_equal(sched_dry_run(&b.sched, b.v, job, b.now, &seed, &preview, &b.mem), 0);
	assert_int_equal(preview.annotations.desired_tg_updates.n, 1);
	assert_int_equal(b.sched.nodes.n_claims, 0);
	return &preview.annotations.desired_tg_updates.at[0];
}

/* ---- counts ---- */

CASE(a_second_evaluation_changes_nothing)
{
	uint64_t before;

	nodes(2);
	run_service("web", 3, "", "");
	before = state_table_index(b.v, TABLE_ALLOCS);
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	assert_int_equal(state_table_index(b.v, TABLE_ALLOCS), before);
	expect_indexes("web", 3);
}

CASE(count_up_adds_the_missing_ones_and_keeps_the_others)
{
	struct uuid first;

	nodes(2);
	run_service("web", 1, "", "");
	first = id_of("web", 0);
	run_service("web", 3, "", "");
	expect_indexes("web", 3);
	assert_true(uuid_equal(&first, &bed_alloc(&b, "web", 0)->id));
	assert_int_equal(count_version("web", 1), 3);
}

CASE(count_down_stops_the_highest)
{
	nodes(2);
	run_service("web", 5, "", "");
	run_service("web", 2, "", "");
	expect_indexes("web", 2);
	assert_int_equal(count_described("web", "alloc not needed due to job update"), 3);
}

CASE(count_zero_stops_all_and_the_job_goes_on)
{
	nodes(1);
	run_service("web", 3, "", "");
	run_service("web", 0, "", "");
	expect_indexes("web", 0);
	run_service("web", 2, "", "");
	expect_indexes("web", 2);
}

CASE(names_are_taken_from_the_lowest_free)
{
	struct uuid id;

	nodes(2);
	run_service("web", 4, "", "");
	id = id_of("web", 1);
	bed_report(&b, &id, ALLOC_CLIENT_COMPLETE);
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	expect_indexes("web", 4);
	assert_false(uuid_equal(&id, &bed_alloc(&b, "web", 1)->id));
}

CASE(a_stopped_job_stops_everything)
{
	struct uuid eval;

	nodes(1);
	run_service("web", 3, "", "");
	eval = bed_stop(&b, "web");
	bed_run(&b);
	expect_indexes("web", 0);
	assert_int_equal(count_described("web", "alloc not needed due to job update"), 3);
	assert_string_equal(bed_eval(&b, &eval)->status, "complete");
	assert_string_equal(bed_deployment(&b, "web")->status, "cancelled");
	assert_string_equal(bed_deployment(&b, "web")->status_description, "Cancelled because job is stopped");
}

CASE(a_stopped_job_can_be_started_again)
{
	nodes(1);
	run_service("web", 2, "", "");
	bed_stop(&b, "web");
	bed_run(&b);
	run_service("web", 2, "", "");
	expect_indexes("web", 2);
	assert_int_equal(count_version("web", 2), 2);
}

CASE(a_group_that_is_taken_out_is_stopped)
{
	static const char two[] =
		"{'ID':'two','Type':'service','Datacenters':['dc1'],'TaskGroups':["
		"{'Name':'a','Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}%s]}";

	nodes(1);
	bed_register(
		&b,
		bed_json(
			&b, two,
			",{'Name':'b','Count':2,'Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}"));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 3);
	bed_register(&b, bed_json(&b, two, ""));
	bed_run(&b);
	assert_int_equal(bed_count(&b, "two", BED_LIVE), 1);
	assert_int_equal(count_described("two", "alloc not needed due to job update"), 2);
}

/* ---- updates ---- */

CASE(a_harmless_change_is_made_in_place)
{
	struct uuid id;

	nodes(1);
	run_service("web", 2, ",'RestartPolicy':{'Attempts':1}", "");
	id = id_of("web", 0);
	run_service("web", 2, ",'RestartPolicy':{'Attempts':2}", ",'Priority':60");
	assert_int_equal(by_id(&id)->job->version, 1);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 2);
}

CASE(a_change_of_the_task_replaces_it)
{
	struct uuid old;
	const struct alloc_row *now;

	nodes(1);
	run_service("web", 1, rolling(1), "");
	old = id_of("web", 0);
	run_service("web", 1, rolling(1), env(2));
	now = bed_alloc(&b, "web", 0);
	assert_false(uuid_equal(&old, &now->id));
	assert_string_equal(bed_description(&b, by_id(&old)), "alloc is being updated due to job update");
	assert_memory_equal(bed_server(&b, by_id(&old))->next.at, &now->id, 16);
	assert_memory_equal(bed_server(&b, now)->previous.at, &old, 16);
}

CASE(which_changes_are_destructive)
{
	static const struct {
		const char *task;
		enum update_kind kind;
	} samples[] = {
		{"", UPDATE_IN_PLACE},
		{",'KillTimeout':3000000000", UPDATE_IN_PLACE},
		{",'Services':[{'Name':'s','Provider':'nomad'}]", UPDATE_IN_PLACE},
		{",'Env':{'A':'1'}", UPDATE_DESTRUCTIVE},
		{",'User':'nobody'", UPDATE_DESTRUCTIVE},
		{",'Meta':{'a':'1'}", UPDATE_DESTRUCTIVE},
		{",'Artifacts':[{'GetterSource':'http://x/y'}]", UPDATE_DESTRUCTIVE},
		{",'Templates':[{'EmbeddedTmpl':'x','DestPath':'local/x'}]", UPDATE_DESTRUCTIVE},
		{",'Config':{'command':'y'}", UPDATE_DESTRUCTIVE},
		{",'Driver':'mock_driver'", UPDATE_DESTRUCTIVE},
		{",'Resources':{'CPU':101,'MemoryMB':100}", UPDATE_DESTRUCTIVE},
		{",'LogConfig':{'MaxFiles':2,'MaxFileSizeMB':1}", UPDATE_IN_PLACE},
		{",'Affinities':[{'LTarget':'${meta.x}','RTarget':'1','Weight':10}]", UPDATE_IN_PLACE},
	};
	static const char job[] = "{'ID':'w','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Tasks':["
				  "{'Name':'t','Driver':'raw_exec','Config':{'command':'x'},"
				  "'Resources':{'CPU':100,'MemoryMB':100}%s}]}]}";
	const struct job *from = bed_job(&b, bed_json(&b, job, ""));
	size_t i;

	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct job *to = bed_job(&b, bed_json(&b, job, samples[i].task));

		if (group_update_kind(from, &from->task_groups.at[0], to, &to->task_groups.at[0]) != samples[i].kind) {
			fail_msg("%s", samples[i].task);
		}
	}
}

CASE(meta_that_a_nearer_one_hides_may_change)
{
	static const char job[] =
		"{'ID':'w','Type':'service','Datacenters':['dc1'],'Meta':{'a':'%s'},'TaskGroups':[{'Name':'g',"
		"'Meta':{'a':'2'},'Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'x'}}]}]}";
	const struct job *from = bed_job(&b, bed_json(&b, job, "1"));
	const struct job *to = bed_job(&b, bed_json(&b, job, "9"));

	assert_int_equal(group_update_kind(from, &from->task_groups.at[0], to, &to->task_groups.at[0]),
			 UPDATE_IN_PLACE);
}

CASE(a_constraint_that_its_node_no_longer_fulfils_moves_it)
{
	struct uuid x = bed_node(&b, "{'Meta':{'rack':'1'}}");
	struct uuid old;

	run_service("web", 1, "", "");
	old = id_of("web", 0);
	run_service("web", 1, "", ",'Constraints':[{'LTarget':'${meta.rack}','Operand':'=','RTarget':'1'}]");
	assert_true(uuid_equal(&old, &bed_alloc(&b, "web", 0)->id));
	bed_node(&b, "{'Meta':{'rack':'2'}}");
	run_service("web", 1, "", ",'Constraints':[{'LTarget':'${meta.rack}','Operand':'=','RTarget':'2'}]");
	assert_false(uuid_equal(&old, &bed_alloc(&b, "web", 0)->id));
	assert_false(uuid_equal(&x, &bed_alloc(&b, "web", 0)->node_id));
}

CASE(without_an_update_block_all_are_replaced_at_once)
{
	nodes(2);
	run_service("web", 5, ",'Update':{'MaxParallel':0}", "");
	run_service("web", 5, ",'Update':{'MaxParallel':0}", env(2));
	assert_int_equal(count_version("web", 1), 5);
	expect_indexes("web", 5);
}

CASE(an_update_rolls_by_max_parallel)
{
	unsigned done;

	nodes(3);
	run_service("web", 5, rolling(2), "");
	all_healthy("web");
	run_service("web", 5, rolling(2), env(2));
	assert_int_equal(count_version("web", 1), 2);
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	assert_int_equal(count_version("web", 1), 2); /* Their health is not known yet. */
	for (done = 4; done <= 6; done += 2) {
		all_healthy("web");
		assert_int_equal(count_version("web", 1), done > 5 ? 5 : done);
	}
	expect_indexes("web", 5);
}

CASE(an_unhealthy_allocation_stops_the_roll)
{
	struct uuid id;

	nodes(3);
	run_service("web", 4, rolling(1), "");
	all_healthy("web");
	run_service("web", 4, rolling(1), env(2));
	id = id_of("web", 0);
	assert_int_equal(by_id(&id)->job->version, 1);
	bed_report_health(&b, &id, ALLOC_CLIENT_RUNNING, false);
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	assert_int_equal(count_version("web", 1), 1);
}

CASE(a_destructive_update_without_room_keeps_the_old_one)
{
	struct uuid old;
	struct uuid eval;

	bed_node_sized(&b, 150, 150);
	run_service("web", 1, rolling(1), "");
	old = id_of("web", 0);
	eval = bed_register(
		&b, bed_json(&b, "{'ID':'web','Name':'web','Type':'service','Datacenters':['dc1'],'TaskGroups':["
				 "{'Name':'g','Count':1,'Tasks':[{'Name':'t','Driver':'raw_exec',"
				 "'Config':{'command':'x'},'Resources':{'CPU':1000,'MemoryMB':10}}]}]}"));
	bed_run(&b);
	assert_true(uuid_equal(&old, &bed_alloc(&b, "web", 0)->id));
	assert_int_equal(by_id(&old)->desired, ALLOC_DESIRED_RUN);
	assert_int_equal(bed_number(&bed_eval(&b, &eval)->queued_allocations, "g"), 1);
}

CASE(a_destructive_update_takes_the_room_of_the_old_one)
{
	bed_node_sized(&b, 150, 150);
	run_service("web", 1, rolling(1), "");
	run_service("web", 1, rolling(1), env(2));
	assert_int_equal(count_version("web", 1), 1);
}

CASE(a_sticky_disk_stays_on_its_node)
{
	struct uuid node;
	static const char disk[] = ",'EphemeralDisk':{'SizeMB':10,'Sticky':true},'Meta':{'v':'%d'}";

	nodes(6);
	run_service("web", 1, bed_json(&b, disk, 1), "");
	node = bed_alloc(&b, "web", 0)->node_id;
	run_service("web", 1, bed_json(&b, disk, 2), "");
	assert_int_equal(count_version("web", 1), 1);
	assert_true(uuid_equal(&node, &bed_alloc(&b, "web", 0)->node_id));
}

/* ---- deployments ---- */

CASE(a_service_has_a_deployment)
{
	struct deployment *d;
	struct uuid eval;

	nodes(1);
	eval = run_service("web", 2, rolling(1), "");
	d = bed_deployment(&b, "web");
	assert_string_equal(d->status, "running");
	assert_string_equal(d->status_description, "Deployment is running");
	assert_int_equal(d->job_version, 0);
	assert_int_equal(d->task_groups.n, 1);
	assert_int_equal(d->task_groups.at[0].desired_total, 2);
	assert_int_equal(d->task_groups.at[0].placed_allocs, 2);
	assert_int_equal(d->task_groups.at[0].desired_canaries, 0);
	assert_true(d->task_groups.at[0].require_progress_by > 0);
	assert_string_equal(bed_eval(&b, &eval)->deployment_id, d->id);
	assert_false(uuid_is_zero(&bed_alloc(&b, "web", 0)->deployment_id));
}

CASE(also_when_nothing_can_be_placed)
{
	run_service("web", 2, rolling(1), "");
	assert_string_equal(bed_deployment(&b, "web")->status, "running");
	assert_int_equal(bed_deployment(&b, "web")->task_groups.at[0].placed_allocs, 0);
}

CASE(a_newer_version_cancels_the_deployment)
{
	struct uuid first;
	struct deployment d;

	nodes(1);
	run_service("web", 1, rolling(1), "");
	first = deployment_id("web");
	run_service("web", 1, rolling(1), env(2));
	assert_int_equal(deployment_row_get(state_deployment(b.v, &first), &d, &b.mem), 0);
	assert_string_equal(d.status, "cancelled");
	assert_string_equal(d.status_description, "Cancelled due to newer version of job");
	assert_int_equal(bed_deployment(&b, "web")->job_version, 1);
}

CASE(an_unchanged_job_gets_no_second_deployment)
{
	struct uuid first;

	nodes(1);
	run_service("web", 1, rolling(1), "");
	first = deployment_id("web");
	run_service("web", 1, rolling(1), "");
	assert_true(uuid_equal(&first, &(struct uuid[]){deployment_id("web")}[0]));
}

CASE(batch_jobs_have_none)
{
	nodes(1);
	bed_register_simple(&b, "work", "batch", 2, "", "");
	bed_run(&b);
	assert_int_equal(bed_count(&b, "work", BED_LIVE), 2);
	assert_null(bed_deployment(&b, "work"));
}

CASE(updates_in_place_belong_to_the_new_deployment)
{
	struct uuid id;

	nodes(1);
	run_service("web", 1, rolling(1), "");
	all_healthy("web");
	id = id_of("web", 0);
	run_service("web", 3, rolling(1), "");
	assert_true(uuid_equal(&by_id(&id)->deployment_id, &(struct uuid[]){deployment_id("web")}[0]));
	assert_int_equal(bed_deployment(&b, "web")->task_groups.at[0].placed_allocs, 3);
}

CASE(a_paused_deployment_places_nothing_new)
{
	struct uuid d;

	nodes(2);
	run_service("web", 3, rolling(1), "");
	all_healthy("web");
	run_service("web", 3, rolling(1), env(2));
	d = deployment_id("web");
	bed_deployment_status(&b, &d, DEPLOYMENT_STATUS_PAUSED);
	all_healthy("web");
	assert_int_equal(count_version("web", 1), 1);
	bed_deployment_status(&b, &d, DEPLOYMENT_STATUS_RUNNING);
	bed_run(&b);
	assert_int_equal(count_version("web", 1), 2);
}

CASE(a_failed_deployment_goes_no_further)
{
	struct uuid d;

	nodes(2);
	run_service("web", 3, rolling(1), "");
	all_healthy("web");
	run_service("web", 3, rolling(1), env(2));
	d = deployment_id("web");
	bed_deployment_status(&b, &d, DEPLOYMENT_STATUS_FAILED);
	bed_run(&b);
	all_healthy("web");
	assert_int_equal(count_version("web", 1), 1);
	assert_int_equal(count_version("web", 0), 2);
}

/* ---- canaries ---- */

static void start_canaries(int count, int canary)
{
	nodes(3);
	run_service("web", count, canaries(2, canary), "");
	all_healthy("web");
	run_service("web", count, canaries(2, canary), env(2));
}

CASE(canaries_run_beside_the_old_ones)
{
	struct deployment *d;

	start_canaries(3, 1);
	d = bed_deployment(&b, "web");
	assert_string_equal(d->status_description, "Deployment is running but requires manual promotion");
	assert_int_equal(d->task_groups.at[0].desired_canaries, 1);
	assert_int_equal(d->task_groups.at[0].desired_total, 3);
	assert_int_equal(d->task_groups.at[0].placed_canaries.n, 1);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 4);
	assert_int_equal(count_version("web", 0), 3);
	all_healthy("web");
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 4);
}

CASE(promotion_replaces_the_old_ones)
{
	struct uuid canary;
	struct uuid d;
	unsigned i;

	start_canaries(3, 1);
	canary = id_of("web", 0);
	canary = count_version("web", 1) == 1 && by_id(&canary)->job->version == 1
			 ? canary
			 : bed_allocs(&b, "web", BED_LIVE)->at[1]->id;
	all_healthy("web");
	d = deployment_id("web");
	bed_promote(&b, &d);
	bed_run(&b);
	for (i = 0; i < 3; i++) {
		all_healthy("web");
	}
	assert_int_equal(count_version("web", 1), 3);
	expect_indexes("web", 3);
	assert_false(alloc_row_terminal(by_id(&canary)));
	assert_true(bed_deployment(&b, "web")->task_groups.at[0].promoted);
}

CASE(as_many_canaries_as_allocations)
{
	struct uuid d;

	start_canaries(2, 2);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 4);
	all_healthy("web");
	d = deployment_id("web");
	bed_promote(&b, &d);
	bed_run(&b);
	expect_indexes("web", 2);
	assert_int_equal(count_version("web", 1), 2);
	assert_int_equal(count_described("web", "alloc not needed due to job update"), 2);
}

CASE(automatic_promotion_is_told)
{
	nodes(2);
	run_service("web", 1, bed_json(&b, update, 1, 1, "true"), "");
	all_healthy("web");
	run_service("web", 1, bed_json(&b, update, 1, 1, "true"), env(2));
	assert_string_equal(bed_deployment(&b, "web")->status_description,
			    "Deployment is running pending automatic promotion");
}

CASE(canaries_of_a_version_that_is_superseded_are_stopped)
{
	start_canaries(2, 1);
	run_service("web", 2, canaries(2, 1), env(3));
	assert_int_equal(count_version("web", 1), 0);
	assert_int_equal(count_version("web", 2), 1);
	assert_int_equal(count_version("web", 0), 2);
}

CASE(canaries_of_a_failed_deployment_are_stopped)
{
	struct uuid d;

	start_canaries(2, 1);
	d = deployment_id("web");
	bed_deployment_status(&b, &d, DEPLOYMENT_STATUS_FAILED);
	bed_run(&b);
	assert_int_equal(count_version("web", 1), 0);
	expect_indexes("web", 2);
}

CASE(a_lost_canary_is_placed_again_as_one)
{
	const struct alloc_list *list;
	struct uuid node;
	unsigned i;

	start_canaries(2, 1);
	list = bed_allocs(&b, "web", BED_LIVE);
	for (i = 0; i < list->n && list->at[i]->job->version == 0; i++) {
	}
	node = list->at[i]->node_id;
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_run(&b);
	assert_int_equal(count_version("web", 1), 1);
	assert_int_equal(count_version("web", 0), 2);
	list = bed_allocs(&b, "web", BED_LIVE);
	for (i = 0; i < list->n && list->at[i]->job->version == 0; i++) {
	}
	assert_true((list->at[i]->flags & ALLOC_CANARY) != 0);
}

CASE(while_canaries_run_the_others_keep_their_version)
{
	const struct alloc_list *list;
	struct uuid id;
	unsigned i;

	start_canaries(2, 1);
	list = bed_allocs(&b, "web", BED_LIVE);
	for (i = 0; i < list->n && list->at[i]->job->version != 0; i++) {
	}
	id = list->at[i]->id;
	bed_migrate(&b, &id);
	bed_run(&b);
	assert_true(alloc_row_terminal(by_id(&id)));
	assert_int_equal(count_version("web", 0), 2);
	assert_int_equal(count_version("web", 1), 1);
}

/* ---- failures ---- */

static const char retry[] = ",'ReschedulePolicy':{'Attempts':%d,'Interval':86400000000000,'Delay':%ld,"
			    "'DelayFunction':'%s','MaxDelay':3600000000000,'Unlimited':%s},'Update':{'MaxParallel':0}";

static struct uuid fail_one(const char *job, unsigned index)
{
	struct uuid id = id_of(job, index);

	bed_report(&b, &id, ALLOC_CLIENT_FAILED);
	bed_run(&b);
	return id;
}

CASE(a_failed_allocation_is_placed_again_after_a_delay)
{
	const struct eval_row *later;
	struct evaluation *e;
	struct uuid old;
	struct alloc_server *s;

	nodes(3);
	run_service("web", 1, bed_json(&b, retry, 0, 30 * SECOND, "constant", "true"), "");
	old = fail_one("web", 0);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 0);
	later = bed_find_eval(&b, "web", EVAL_STATUS_PENDING);
	assert_non_null(later);
	e = bed_eval(&b, &later->id);
	assert_string_equal(e->triggered_by, "alloc-reschedule");
	assert_string_equal(e->status_description, "created for delayed rescheduling");
	assert_int_equal(e->wait_until, b.now + 30 * SECOND);
	assert_memory_equal(bed_server(&b, by_id(&old))->followup_eval.at, &later->id, 16);
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	assert_int_equal(bed_count_evals(&b, "web", EVAL_STATUS_PENDING), 1); /* No second one. */
	bed_wait(&b, 30 * SECOND);
	bed_run(&b);
	expect_indexes("web", 1);
	assert_string_equal(bed_description(&b, by_id(&old)), "alloc was rescheduled because it failed");
	s = bed_server(&b, bed_alloc(&b, "web", 0));
	assert_memory_equal(s->previous.at, &old, 16);
	assert_int_equal(s->reschedule_tracker->events.n, 1);
	assert_int_equal(s->reschedule_tracker->events.at[0].delay, 30 * SECOND);
	assert_false(uuid_equal(&bed_alloc(&b, "web", 0)->node_id, &by_id(&old)->node_id));
}

CASE(failures_at_about_the_same_time_wait_for_one_evaluation)
{
	nodes(3);
	run_service("web", 3, bed_json(&b, retry, 0, 30 * SECOND, "constant", "true"), "");
	bed_report_all(&b, "web", ALLOC_CLIENT_FAILED);
	bed_run(&b);
	assert_int_equal(bed_count_evals(&b, "web", EVAL_STATUS_PENDING), 1);
	bed_wait(&b, 30 * SECOND);
	bed_run(&b);
	expect_indexes("web", 3);
}

CASE(the_policy_ends_it)
{
	unsigned i;

	nodes(3);
	run_service("web", 1, bed_json(&b, retry, 2, 5 * SECOND, "constant", "false"), "");
	for (i = 0; i < 2; i++) {
		fail_one("web", 0);
		bed_wait(&b, 5 * SECOND);
		bed_run(&b);
		assert_int_equal(bed_count(&b, "web", BED_LIVE), 1);
	}
	fail_one("web", 0);
	bed_wait(&b, 60 * SECOND);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 0);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 3);
	/* The failed one counts: no other takes its place. */
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 3);
}

CASE(unless_it_is_forced)
{
	nodes(2);
	run_service("web", 1, bed_json(&b, retry, 0, 5 * SECOND, "constant", "false"), "");
	fail_one("web", 0);
	assert_int_equal(bed_count(&b, "web", BED_LIVE), 0);
	bed_evaluate(&b, "web", true);
	bed_run(&b);
	expect_indexes("web", 1);
}

CASE(attempts_of_long_ago_do_not_count)
{
	nodes(2);
	run_service("web", 1, bed_json(&b, retry, 1, 5 * SECOND, "constant", "false"), "");
	fail_one("web", 0);
	bed_wait(&b, 5 * SECOND);
	bed_run(&b);
	bed_wait(&b, 25 * 3600 * SECOND);
	fail_one("web", 0);
	bed_wait(&b, 5 * SECOND);
	bed_run(&b);
	expect_indexes("web", 1);
}

static int64_t delay_after(unsigned failures, const char *function)
{
	struct reschedule_policy policy;
	struct reschedule_tracker *tracker = NULL;
	struct retry r = {0};
	int64_t now = 0;
	unsigned i;

	object_init(&reschedule_policy_type, &policy);
	policy.unlimited = (struct opt){1, true};
	policy.delay = (struct opt){10 * SECOND, true};
	policy.max_delay = (struct opt){100 * SECOND, true};
	policy.delay_function = function;
	for (i = 0; i < failures; i++) {
		struct reschedule_event event;

		r = retry_decide(&policy, tracker, now);
		assert_int_equal(r.when, RETRY_AT);
		object_init(&reschedule_event_type, &event);
		event.reschedule_time = r.at_ns;
		event.delay = r.delay_ns;
		tracker = retry_track(&policy, tracker, &event, &b.mem);
		now = r.at_ns + SECOND;
	}
	return r.delay_ns / SECOND;
}

CASE(delays_grow_as_the_policy_says)
{
	static const int64_t exponential[] = {10, 20, 40, 80, 100, 100};
	static const int64_t fibonacci[] = {10, 10, 20, 30, 50, 80, 100};
	unsigned i;

	for (i = 0; i < 6; i++) {
		assert_int_equal(delay_after(i + 1, "constant"), 10);
		assert_int_equal(delay_after(i + 1, "exponential"), exponential[i]);
		assert_int_equal(delay_after(i + 1, "fibonacci"), fibonacci[i]);
	}
	assert_int_equal(delay_after(7, "fibonacci"), fibonacci[6]);
}

CASE(a_failed_one_without_room_waits_and_keeps_its_history)
{
	struct uuid node;
	struct uuid old;

	node = bed_node(&b, "{}");
	run_service("web", 1, bed_json(&b, retry, 0, 5 * SECOND, "constant", "true"), "");
	old = fail_one("web", 0);
	bed_node_eligible(&b, &node, false);
	bed_wait(&b, 5 * SECOND);
	bed_run(&b);
	assert_int_equal(by_id(&old)->desired, ALLOC_DESIRED_RUN);
	assert_int_equal(bed_count_evals(&b, "web", EVAL_STATUS_BLOCKED), 1);
	bed_node_eligible(&b, &node, true);
	bed_unblock(&b);
	expect_indexes("web", 1);
	assert_memory_equal(bed_server(&b, bed_alloc(&b, "web", 0))->previous.at, &old, 16);
}

/* ---- nodes that go ---- */

CASE(allocations_of_a_lost_node_are_replaced)
{
	struct uuid node;
	struct uuid old;

	nodes(2);
	run_service("web", 2, "", "");
	old = id_of("web", 1);
	node = by_id(&old)->node_id;
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_run(&b);
	expect_indexes("web", 2);
	assert_int_equal(by_id(&old)->client, ALLOC_CLIENT_LOST);
	assert_int_equal(by_id(&old)->desired, ALLOC_DESIRED_STOP);
	assert_string_equal(bed_description(&b, by_id(&old)), "alloc is lost since its node is down");
	assert_memory_equal(bed_server(&b, bed_alloc(&b, "web", 1))->previous.at, &old, 16);
}

CASE(so_are_those_of_a_node_that_was_purged)
{
	struct uuid node = bed_node(&b, "{}");

	run_service("web", 2, "", "");
	bed_node(&b, "{}");
	bed_node_purge(&b, &node);
	bed_run(&b);
	expect_indexes("web", 2);
	assert_int_equal(bed_count(&b, "web", BED_STOPPED), 2);
}

CASE(lost_ones_without_room_are_placed_later)
{
	struct uuid node = bed_node(&b, "{}");

	run_service("web", 2, "", "");
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_run(&b);
	expect_indexes("web", 0);
	bed_node(&b, "{}");
	bed_unblock(&b);
	expect_indexes("web", 2);
}

CASE(a_migrating_allocation_goes_elsewhere)
{
	struct uuid id;

	nodes(2);
	run_service("web", 2, "", "");
	id = id_of("web", 0);
	bed_node_eligible(&b, &(struct uuid[]){by_id(&id)->node_id}[0], false);
	bed_migrate(&b, &id);
	bed_run(&b);
	expect_indexes("web", 2);
	assert_string_equal(bed_description(&b, by_id(&id)), "alloc is being migrated");
	assert_false(uuid_equal(&bed_alloc(&b, "web", 0)->node_id, &by_id(&id)->node_id));
	assert_memory_equal(bed_server(&b, by_id(&id))->next.at, &bed_alloc(&b, "web", 0)->id, 16);
}

CASE(on_a_draining_node_they_wait_for_their_turn)
{
	struct uuid node = bed_node(&b, "{}");

	run_service("web", 2, "", "");
	bed_node(&b, "{}");
	bed_node_drain(&b, &node);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 2);
}

CASE(fewer_and_lost_at_the_same_time)
{
	struct uuid node;

	nodes(1);
	run_service("web", 3, "", "");
	node = bed_alloc(&b, "web", 0)->node_id;
	nodes(1);
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_register_simple(&b, "web", "service", 2, "", "");
	bed_run(&b);
	expect_indexes("web", 2);
}

/* ---- nodes out of sight ---- */

static const char away[] = ",'Disconnect':{'LostAfter':600000000000,'Replace':%s,'Reconcile':'%s'}";

static struct uuid cut_off(const char *replace, const char *how, struct uuid *node)
{
	struct uuid id;

	nodes(2);
	run_service("web", 1, bed_json(&b, away, replace, how), "");
	id = id_of("web", 0);
	bed_report(&b, &id, ALLOC_CLIENT_RUNNING);
	*node = by_id(&id)->node_id;
	bed_node_status(&b, node, NODE_STATUS_DISCONNECTED);
	bed_run(&b);
	return id;
}

static unsigned count_running(const char *job)
{
	const struct alloc_list *list = bed_allocs(&b, job, BED_LIVE);
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < list->n; i++) {
		n += list->at[i]->client != ALLOC_CLIENT_UNKNOWN;
	}
	return n;
}

CASE(an_allocation_out_of_sight_is_unknown_and_replaced)
{
	const struct eval_row *later;
	struct uuid node;
	struct uuid id = cut_off("true", "best_score", &node);

	assert_int_equal(by_id(&id)->client, ALLOC_CLIENT_UNKNOWN);
	assert_int_equal(by_id(&id)->desired, ALLOC_DESIRED_RUN);
	assert_int_equal(count_running("web"), 1);
	later = bed_find_eval(&b, "web", EVAL_STATUS_PENDING);
	assert_non_null(later);
	assert_string_equal(bed_eval(&b, &later->id)->triggered_by, "max-disconnect-timeout");
	bed_evaluate(&b, "web", false);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 2);
}

CASE(after_its_time_it_is_lost)
{
	struct uuid node;
	struct uuid id = cut_off("true", "best_score", &node);

	bed_wait(&b, 601 * SECOND);
	bed_run(&b);
	assert_int_equal(by_id(&id)->client, ALLOC_CLIENT_LOST);
	expect_indexes("web", 1);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 2);
}

static void come_back(const struct uuid *node, const struct uuid *id)
{
	bed_node_status(&b, node, NODE_STATUS_READY);
	bed_run(&b);
	bed_report(&b, id, ALLOC_CLIENT_RUNNING);
	bed_run(&b);
}

CASE(the_original_may_be_kept_when_it_comes_back)
{
	struct uuid node;
	struct uuid id = cut_off("true", "keep_original", &node);

	come_back(&node, &id);
	expect_indexes("web", 1);
	assert_true(uuid_equal(&id, &bed_alloc(&b, "web", 0)->id));
	assert_int_equal(count_described("web", "alloc not needed due to disconnected client reconnect"), 1);
}

CASE(or_its_replacement)
{
	struct uuid node;
	struct uuid id = cut_off("true", "keep_replacement", &node);

	come_back(&node, &id);
	expect_indexes("web", 1);
	assert_false(uuid_equal(&id, &bed_alloc(&b, "web", 0)->id));
	assert_string_equal(bed_description(&b, by_id(&id)), "alloc not needed due to disconnected client reconnect");
}

CASE(or_the_better_one)
{
	struct uuid node;
	struct uuid id = cut_off("true", "best_score", &node);

	come_back(&node, &id);
	expect_indexes("web", 1);
}

CASE(it_may_also_wait_without_being_replaced)
{
	struct uuid node;
	struct uuid id = cut_off("false", "", &node);

	assert_int_equal(by_id(&id)->client, ALLOC_CLIENT_UNKNOWN);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 1);
	come_back(&node, &id);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 1);
	assert_int_equal(by_id(&id)->client, ALLOC_CLIENT_RUNNING);
}

CASE(without_such_a_block_it_is_lost_at_once)
{
	struct uuid id;
	struct uuid node;

	nodes(2);
	run_service("web", 1, "", "");
	id = id_of("web", 0);
	bed_report(&b, &id, ALLOC_CLIENT_RUNNING);
	node = by_id(&id)->node_id;
	bed_node_status(&b, &node, NODE_STATUS_DISCONNECTED);
	bed_run(&b);
	assert_int_equal(by_id(&id)->client, ALLOC_CLIENT_LOST);
	expect_indexes("web", 1);
}

CASE(a_client_that_stops_by_itself_is_given_the_time)
{
	struct uuid id;
	struct uuid node;

	nodes(2);
	run_service("web", 1, ",'Disconnect':{'StopOnClientAfter':60000000000}", "");
	id = id_of("web", 0);
	node = by_id(&id)->node_id;
	bed_node_status(&b, &node, NODE_STATUS_DOWN);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "web", BED_ALL), 1);
	assert_int_equal(bed_count_evals(&b, "web", EVAL_STATUS_PENDING), 1);
	bed_wait(&b, 61 * SECOND);
	bed_run(&b);
	assert_int_equal(by_id(&id)->client, ALLOC_CLIENT_LOST);
	expect_indexes("web", 1);
}

/* ---- batch ---- */

static void run_batch(int count, const char *group, const char *more)
{
	bed_register_simple(&b, "work", "batch", count, group, more);
	bed_run(&b);
}

CASE(what_a_batch_job_has_done_stays_done)
{
	nodes(1);
	run_batch(3, "", "");
	bed_report_all(&b, "work", ALLOC_CLIENT_COMPLETE);
	bed_evaluate(&b, "work", false);
	bed_run(&b);
	run_batch(3, "", "");
	assert_int_equal(bed_count(&b, "work", BED_ALL), 3);
}

CASE(a_changed_batch_job_runs_anew)
{
	nodes(1);
	run_batch(2, "", "");
	bed_report_all(&b, "work", ALLOC_CLIENT_COMPLETE);
	run_batch(3, "", "");
	expect_indexes("work", 3);
	assert_int_equal(count_version("work", 1), 3);
}

CASE(a_running_batch_allocation_goes_on_in_the_new_version)
{
	struct uuid id;

	nodes(1);
	run_batch(2, "", "");
	id = id_of("work", 1);
	bed_report(&b, &id, ALLOC_CLIENT_COMPLETE);
	run_batch(3, "", "");
	expect_indexes("work", 3);
	assert_int_equal(bed_count(&b, "work", BED_ALL), 4);
}

CASE(a_failed_batch_allocation_is_tried_again)
{
	nodes(2);
	run_batch(1, "", "");
	fail_one("work", 0);
	bed_wait(&b, 10 * SECOND);
	bed_run(&b);
	expect_indexes("work", 1);
	fail_one("work", 0);
	bed_wait(&b, 10 * SECOND);
	bed_run(&b);
	expect_indexes("work", 0); /* One attempt a day. */
}

CASE(a_drained_batch_allocation_runs_elsewhere_unless_it_was_done)
{
	struct uuid id;

	nodes(2);
	run_batch(2, "", "");
	id = id_of("work", 0);
	bed_report(&b, &(struct uuid[]){id_of("work", 1)}[0], ALLOC_CLIENT_COMPLETE);
	bed_migrate(&b, &id);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "work", BED_LIVE), 1);
	assert_non_null(bed_alloc(&b, "work", 0));
	bed_report(&b, &id, ALLOC_CLIENT_COMPLETE);
	bed_evaluate(&b, "work", false);
	bed_run(&b);
	assert_int_equal(bed_count(&b, "work", BED_ALL), 3);
}

CASE(fewer_batch_allocations_stop_the_highest)
{
	nodes(1);
	run_batch(4, "", "");
	run_batch(2, "", "");
	expect_indexes("work", 2);
}

/* ---- dry runs ---- */

CASE(a_dry_run_changes_nothing)
{
	uint64_t before;

	nodes(1);
	before = state_index(b.v);
	assert_int_equal(annotated(bed_simple(&b, "web", "service", 1, "", ""))->place, 1);
	assert_int_equal(state_index(b.v), before);
	run_service("web", 1, "", "");
	bed_check(&b);
}

CASE(dry_runs_tell_of_ups_and_downs)
{
	struct desired_updates *d;

	nodes(1);
	run_service("web", 2, "", "");
	d = annotated(bed_simple(&b, "web", "service", 2, "", ""));
	assert_int_equal(d->ignore, 2);
	assert_int_equal(d->place + d->stop + d->in_place_update + d->destructive_update, 0);
	d = annotated(bed_simple(&b, "web", "service", 4, "", ""));
	assert_int_equal(d->place, 2);
	assert_int_equal(d->in_place_update, 2);
	d = annotated(bed_simple(&b, "web", "service", 1, "", ""));
	assert_int_equal(d->stop, 1);
	assert_int_equal(d->in_place_update, 1);
	d = annotated(bed_simple(&b, "web", "service", 2, "", env(2)));
	assert_int_equal(d->destructive_update, 1);
	assert_int_equal(d->ignore, 1);
	d = annotated(bed_simple(&b, "web", "service", 2, "", ",'Stop':true"));
	assert_int_equal(d->stop, 2);
	assert_int_equal(d->place, 0);
}

CASE(dry_runs_tell_of_failures)
{
	struct job *job = bed_job(&b, bed_simple(&b, "web", "service", 3, "", ""));
	struct sched_preview preview;
	struct uuid seed = {{1}};

	sched_news(&b.sched, b.v, &b.news);
	assert_int_equal(sched_dry_run(&b.sched, b.v, job, b.now, &seed, &preview, &b.mem), 0);
	assert_int_equal(preview.failed.n, 1);
	assert_int_equal(preview.failed.at[0].coalesced_failures, 2);
	assert_int_equal(preview.evals.n, 1);
	assert_string_equal(preview.evals.at[0].status, "blocked");
	assert_string_equal(preview.evals.at[0].job_id, "web");
	assert_int_equal(strlen(preview.evals.at[0].previous_eval), 36);
	assert_int_equal(preview.evals.at[0].failed_tg_allocs.n, 1);
	assert_int_equal(preview.evals.at[0].failed_tg_allocs.at[0].coalesced_failures, 2);
}

#define CASES(X)												       \
	X(a_second_evaluation_changes_nothing)									       \
	X(count_up_adds_the_missing_ones_and_keeps_the_others)							       \
	X(count_down_stops_the_highest)										       \
	X(count_zero_stops_all_and_the_job_goes_on)								       \
	X(names_are_taken_from_the_lowest_free)									       \
	X(a_stopped_job_stops_everything)									       \
	X(a_stopped_job_can_be_started_again)									       \
	X(a_group_that_is_taken_out_is_stopped)									       \
	X(a_harmless_change_is_made_in_place)									       \
	X(a_change_of_the_task_replaces_it)									       \
	X(which_changes_are_destructive)									       \
	X(meta_that_a_nearer_one_hides_may_change)								       \
	X(a_constraint_that_its_node_no_longer_fulfils_moves_it)						       \
	X(without_an_update_block_all_are_replaced_at_once)							       \
	X(an_update_rolls_by_max_parallel)									       \
	X(an_unhealthy_allocation_stops_the_roll)								       \
	X(a_destructive_update_without_room_keeps_the_old_one)							       \
	X(a_destructive_update_takes_the_room_of_the_old_one)							       \
	X(a_sticky_disk_stays_on_its_node)									       \
	X(a_service_has_a_deployment)										       \
	X(also_when_nothing_can_be_placed)									       \
	X(a_newer_version_cancels_the_deployment)								       \
	X(an_unchanged_job_gets_no_second_deployment)								       \
	X(batch_jobs_have_none)											       \
	X(updates_in_place_belong_to_the_new_deployment)							       \
	X(a_paused_deployment_places_nothing_new)								       \
	X(a_failed_deployment_goes_no_further)									       \
	X(canaries_run_beside_the_old_ones)									       \
	X(promotion_replaces_the_old_ones)									       \
	X(as_many_canaries_as_allocations)									       \
	X(automatic_promotion_is_told)										       \
	X(canaries_of_a_version_that_is_superseded_are_stopped)							       \
	X(canaries_of_a_failed_deployment_are_stopped)								       \
	X(a_lost_canary_is_placed_again_as_one)									       \
	X(while_canaries_run_the_others_keep_their_version)							       \
	X(a_failed_allocation_is_placed_again_after_a_delay)							       \
	X(failures_at_about_the_same_time_wait_for_one_evaluation)						       \
	X(the_policy_ends_it)											       \
	X(unless_it_is_forced)											       \
	X(attempts_of_long_ago_do_not_count)									       \
	X(delays_grow_as_the_policy_says)									       \
	X(a_failed_one_without_room_waits_and_keeps_its_history)						       \
	X(allocations_of_a_lost_node_are_replaced)								       \
	X(so_are_those_of_a_node_that_was_purged)								       \
	X(lost_ones_without_room_are_placed_later)								       \
	X(a_migrating_allocation_goes_elsewhere)								       \
	X(on_a_draining_node_they_wait_for_their_turn)								       \
	X(fewer_and_lost_at_the_same_time)									       \
	X(an_allocation_out_of_sight_is_unknown_and_replaced)							       \
	X(after_its_time_it_is_lost)										       \
	X(the_original_may_be_kept_when_it_comes_back)								       \
	X(or_its_replacement)											       \
	X(or_the_better_one)											       \
	X(it_may_also_wait_without_being_replaced)								       \
	X(without_such_a_block_it_is_lost_at_once)								       \
	X(a_client_that_stops_by_itself_is_given_the_time)							       \
	X(what_a_batch_job_has_done_stays_done)									       \
	X(a_changed_batch_job_runs_anew)									       \
	X(a_running_batch_allocation_goes_on_in_the_new_version)						       \
	X(a_failed_batch_allocation_is_tried_again)								       \
	X(a_drained_batch_allocation_runs_elsewhere_unless_it_was_done)						       \
	X(fewer_batch_allocations_stop_the_highest)								       \
	X(a_dry_run_changes_nothing)										       \
	X(dry_runs_tell_of_ups_and_downs)									       \
	X(dry_runs_tell_of_failures)
RUN_CASES(CASES)
