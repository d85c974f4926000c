#include "test/unit/unit.h"

#include "server/periodic.h"
#include "test/unit/server/part_bench.h"

struct bench {
	struct part_bench b;
	struct periodic p;
	int fail; /* Status of the commands from now on. */
	bool applied_nevertheless;
};

static void changed_cb(void *ctx, const struct change *changes, size_t n)
{
	struct bench *t = ctx;
	size_t i;

	for (i = 0; i < n; i++) {
		const struct job_row *row =
			(const struct job_row *)(changes[i].now != NULL ? changes[i].now : changes[i].old);

		if (changes[i].table == TABLE_JOBS) {
			const struct view *v = state_view(&t->b.k.state);

			periodic_changed(&t->p, job_row_ns(row), job_row_id(row),
					 state_job(v, job_row_ns(row), job_row_id(row)));
			view_release(v);
		}
	}
}

/* At midnight of some day, UTC. */
static void open_bench(struct bench *t)
{
	memset(t, 0, sizeof(*t));
	part_bench_open(&t->b);
	t->b.at.wall_ns = t->b.k.now = INT64_C(1700006400) * SECOND;
	periodic_init(&t->p);
	t->b.k.fsm.changed = changed_cb;
	t->b.k.fsm.ctx = t;
}

static void close_bench(struct bench *t)
{
	periodic_close(&t->p);
	part_bench_close(&t->b);
}

static void run(struct bench *t)
{
	enum part_step step;
	unsigned i;

	for (i = 0; (step = periodic_step(&t->p, part_bench_turn(&t->b))) != STEP_IDLE; i++) {
		assert_true(i < 10000);
		if (step == STEP_COMMAND) {
			struct uuid ref = t->b.turn.ref;
			int status = t->fail;

			if (status == 0 || t->applied_nevertheless) {
				int rv = part_bench_apply(&t->b)->status;

				status = status == 0 ? rv : status;
			}
			periodic_done(&t->p, &ref, status, &t->b.at);
		}
	}
}

static void pass(struct bench *t, int64_t ns)
{
	part_bench_pass(&t->b, ns);
	run(t);
}

/* A batch job with this periodic block. */
static void put(struct bench *t, const char *id, const char *block)
{
	struct kit *k = &t->b.k;
	const char *json = arena_printf(&k->mem,
					"{\"ID\":\"%s\",\"Name\":\"%s\",\"Type\":\"batch\",\"Datacenters\":[\"dc1\"],"
					"\"Periodic\":{%s},\"TaskGroups\":[{\"Name\":\"g\",\"Count\":1,"
					"\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\"}]}]}",
					id, id, block);

	assert_int_equal(kit_register(k, kit_json(k, json))->status, 0);
	run(t);
}

static unsigned children(const struct bench *t, const char *id)
{
	char prefix[64];
	struct rows r;
	unsigned n = 0;

	snprintf(prefix, sizeof(prefix), "%s/periodic-", id);
	rows_jobs(&r, t->b.k.v, "default", prefix);
	while (job_next(&r) != NULL) {
		n++;
	}
	return n;
}

static const struct job_row *child(const struct bench *t, const char *id, int64_t after_midnight_s)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/periodic-%lld", id, (long long)(1700006400 + after_midnight_s));
	return kit_find(&t->b.k, name);
}

static void take_over(struct bench *t)
{
	const struct job_row *row;
	struct rows r;

	periodic_reset(&t->p);
	rows_jobs(&r, t->b.k.v, NULL, NULL);
	while ((row = job_next(&r)) != NULL) {
		periodic_load(&t->p, row);
	}
	run(t);
}

static void finish(struct bench *t, const struct job_row *job)
{
	const struct eval_row *eval = kit_newest_eval(&t->b.k, job_row_id(job));

	kit_put_eval(&t->b.k, kit_eval(&t->b.k, &eval->id, "complete", 0));
	t->b.k.now = t->b.at.wall_ns;
}

#define TEN_PAST "\"Enabled\":true,\"Spec\":\"10 * * * *\""

static void a_child_is_launched_when_its_time_has_come(void **state)
{
	struct bench t;
	struct job job;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST);
	assert_int_equal(periodic_due(&t.p, &t.b.at), t.b.at.mono_ns + 600 * SECOND);
	pass(&t, 599 * SECOND);
	assert_int_equal(children(&t, "p"), 0);
	pass(&t, SECOND);
	assert_int_equal(children(&t, "p"), 1);
	assert_non_null(child(&t, "p", 600));
	assert_int_equal(job_row_get(child(&t, "p", 600), &job, &t.b.k.mem), 0);
	assert_string_equal(job.parent_id, "p");
	assert_string_equal(job.name, job.id);
	assert_string_equal(job.type, "batch");
	assert_null(job.periodic);
	assert_int_equal(job.version, 0);
	assert_int_equal(kit_newest_eval(&t.b.k, job.id)->trigger, EVAL_TRIGGER_PERIODIC_JOB);
	assert_non_null(state_launch(t.b.k.v, "default", "p"));
	assert_int_equal(periodic_due(&t.p, &t.b.at), t.b.at.mono_ns + 3600 * SECOND);
	close_bench(&t);
}

static void a_job_that_is_not_enabled_or_stopped_is_left_alone(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "off", "\"Enabled\":false,\"Spec\":\"10 * * * *\"");
	put(&t, "p", TEN_PAST);
	assert_int_equal(t.p.by_key.n, 1);
	kit_deregister(&t.b.k, "p", false);
	assert_int_equal(t.p.by_key.n, 0);
	pass(&t, 7200 * SECOND);
	assert_int_equal(children(&t, "p") + children(&t, "off"), 0);
	close_bench(&t);
}

static void a_new_expression_counts_from_now_on(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST);
	put(&t, "p", "\"Enabled\":true,\"Spec\":\"20 * * * *\"");
	pass(&t, 1199 * SECOND);
	assert_int_equal(children(&t, "p"), 0);
	pass(&t, 1 * SECOND);
	assert_non_null(child(&t, "p", 1200));
	put(&t, "p", "\"Enabled\":true,\"Spec\":\"nonsense\"");
	pass(&t, 7200 * SECOND);
	assert_int_equal(children(&t, "p"), 1);
	close_bench(&t);
}

static void a_live_child_holds_back_the_next_where_overlap_is_prohibited(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST ",\"ProhibitOverlap\":true");
	pass(&t, 600 * SECOND);
	pass(&t, 3600 * SECOND);
	pass(&t, 3600 * SECOND);
	assert_int_equal(children(&t, "p"), 1);
	assert_int_equal(t.p.overlapped, 2);
	finish(&t, child(&t, "p", 600));
	pass(&t, 60 * SECOND);
	assert_int_equal(children(&t, "p"), 1); /* What was passed over is not made up for. */
	pass(&t, 3600 * SECOND);
	assert_int_equal(children(&t, "p"), 2);
	close_bench(&t);
}

static void what_no_leader_launched_is_launched_once(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST);
	part_bench_pass(&t.b, 5 * 3600 * SECOND);
	take_over(&t);
	assert_int_equal(children(&t, "p"), 1);
	take_over(&t);
	take_over(&t);
	assert_int_equal(children(&t, "p"), 1);
	pass(&t, 600 * SECOND);
	assert_int_equal(children(&t, "p"), 2);
	close_bench(&t);
}

static void a_command_of_unknown_outcome_is_repeated_only_if_it_was_lost(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST);
	t.fail = ERR_UNKNOWN;
	pass(&t, 600 * SECOND);
	assert_int_equal(periodic_due(&t.p, &t.b.at), t.b.at.mono_ns + PART_RETRY_NS);
	t.fail = 0;
	pass(&t, 5 * SECOND);
	assert_int_equal(children(&t, "p"), 1);
	t.fail = ERR_UNKNOWN;
	t.applied_nevertheless = true;
	pass(&t, 3600 * SECOND);
	t.fail = 0;
	pass(&t, 5 * SECOND);
	assert_int_equal(children(&t, "p"), 2);
	close_bench(&t);
}

static void a_launch_that_is_refused_is_not_tried_over_and_over(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST);
	t.fail = ERR_INVALID;
	pass(&t, 600 * SECOND);
	assert_int_equal(t.p.refused, 1);
	t.fail = 0;
	pass(&t, 3599 * SECOND);
	assert_int_equal(children(&t, "p"), 0);
	pass(&t, SECOND);
	assert_int_equal(children(&t, "p"), 1);
	close_bench(&t);
}

static int64_t one_hour_ahead(void *ctx, const char *zone, int64_t unix_s)
{
	(void)unix_s;
	*(unsigned *)ctx += 1;
	return strcmp(zone, "Europe/Berlin") == 0 ? 3600 : 0;
}

static void the_time_zone_of_the_job_counts(void **state)
{
	struct bench t;
	unsigned asked = 0;

	(void)state;
	open_bench(&t);
	t.b.zones = (struct zones){one_hour_ahead, &asked};
	put(&t, "p", "\"Enabled\":true,\"Spec\":\"0 4 * * *\",\"TimeZone\":\"Europe/Berlin\"");
	assert_true(asked > 0);
	pass(&t, 3 * 3600 * SECOND);
	assert_non_null(child(&t, "p", 3 * 3600));
	close_bench(&t);
}

static void by_hand_it_is_launched_whatever_else_runs(void **state)
{
	struct buf command = {0};
	const char *name = NULL;
	const char *text = NULL;
	struct bench t;

	(void)state;
	open_bench(&t);
	put(&t, "p", TEN_PAST ",\"ProhibitOverlap\":true");
	pass(&t, 600 * SECOND);
	part_bench_pass(&t.b, SECOND);
	assert_int_equal(
		periodic_force(&t.p, t.b.k.v, "default", "p", t.b.at.wall_ns, &command, &name, &text, &t.b.k.mem), 0);
	assert_string_equal(name, "p/periodic-1700007001");
	buf_close(&t.b.turn.command);
	t.b.turn.command = command;
	assert_int_equal(part_bench_apply(&t.b)->status, 0);
	assert_int_equal(children(&t, "p"), 2);
	close_bench(&t);
}

static void by_hand_only_periodic_jobs_that_are_on_are_launched(void **state)
{
	struct buf command = {0};
	const char *name = NULL;
	const char *text = NULL;
	struct bench t;
	struct kit *k = &t.b.k;

	(void)state;
	open_bench(&t);
	kit_register(k, kit_job(k, "plain", "batch"));
	put(&t, "off", "\"Enabled\":false,\"Spec\":\"10 * * * *\"");
	assert_int_equal(periodic_force(&t.p, k->v, "default", "none", k->now, &command, &name, &text, &k->mem),
			 ERR_NOTFOUND);
	assert_string_equal(text, "job not found");
	assert_int_equal(periodic_force(&t.p, k->v, "default", "plain", k->now, &command, &name, &text, &k->mem),
			 ERR_INVALID);
	assert_string_equal(text, "can't force launch non-periodic job");
	assert_int_equal(periodic_force(&t.p, k->v, "default", "off", k->now, &command, &name, &text, &k->mem),
			 ERR_INVALID);
	assert_string_equal(text, "can't force run non-tracked job \"off\" (default)");
	buf_close(&command);
	close_bench(&t);
}

/* Every time that is due is launched at most once, and always while there is a leader. */
static void leaders_that_change_launch_nothing_twice(void **state)
{
	struct bench t;
	int64_t end = 3600;
	int64_t s;
	unsigned late = 0;

	(void)state;
	printf("seed 5\n");
	srand(5);
	open_bench(&t);
	put(&t, "p", "\"Enabled\":true,\"Spec\":\"*/10 * * * * * *\"");
	for (s = 1; s <= end; s++) {
		pass(&t, SECOND);
		if (rand() % 50 == 0) {
			s += rand() % 30;
			part_bench_pass(&t.b, (s - (t.b.at.wall_ns / SECOND - 1700006400)) * SECOND);
			late++;
			take_over(&t);
		}
		if (rand() % 200 == 0) {
			t.fail = t.fail != 0 ? 0 : ERR_UNKNOWN;
			t.applied_nevertheless = rand() % 2;
		}
	}
	assert_true(late > 20);
	assert_true(children(&t, "p") <= (unsigned)end / 10);
	assert_true(children(&t, "p") > (unsigned)end / 10 / 4);
	close_bench(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_is_launched_when_its_time_has_come),
		cmocka_unit_test(a_job_that_is_not_enabled_or_stopped_is_left_alone),
		cmocka_unit_test(a_new_expression_counts_from_now_on),
		cmocka_unit_test(a_live_child_holds_back_the_next_where_overlap_is_prohibited),
		cmocka_unit_test(what_no_leader_launched_is_launched_once),
		cmocka_unit_test(a_command_of_unknown_outcome_is_repeated_only_if_it_was_lost),
		cmocka_unit_test(a_launch_that_is_refused_is_not_tried_over_and_over),
		cmocka_unit_test(the_time_zone_of_the_job_counts),
		cmocka_unit_test(by_hand_it_is_launched_whatever_else_runs),
		cmocka_unit_test(by_hand_only_periodic_jobs_that_are_on_are_launched),
		cmocka_unit_test(leaders_that_change_launch_nothing_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
