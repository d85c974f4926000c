/* Blocking queries: ?index and ?wait. The names of conformance cases stand beside the tests. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

static size_t parked(void)
{
	struct api_stats s;

	api_get_stats(b.api, &s);
	return s.parked;
}

/* Begin a query that must not be answered yet. */
static void block(struct kept *k, const char *target)
{
	bed_start(&b, k, "GET", target, NULL);
	bed_pump(&b);
	if (k->answers != 0) {
		fail_msg("%s: %d %s", target, k->res.status, buf_text(&k->body));
	}
}

/* It is answered with this status, an index above. */
static void wants(struct kept *k, int status, uint64_t above)
{
	bed_pump(&b);
	assert_int_equal(k->answers, 1);
	assert_int_equal(k->res.status, status);
	assert_int_equal(k->res.has, HTTP_HAS_READ);
	assert_true(k->res.index > above);
	assert_int_equal(parked(), 0);
}

static uint64_t index_of(const char *target)
{
	bed_ask(&b, "GET", target, NULL);
	return b.last.res.index;
}

static const char *after(const char *target, uint64_t index)
{
	return arena_printf(&b.kit.mem, "%s?index=%llu&wait=20s", target, (unsigned long long)index);
}

/* ---- who is woken by what ---- */

/* job_returns_after_a_change, job_ignores_changes_of_another_job */
CASE(a_job_is_told_when_it_changes)
{
	uint64_t index;
	struct kept k;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	block(&k, after("/v1/job/web", index));
	bed_register(&b, "other", "");
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	assert_int_equal(parked(), 1);
	bed_register(&b, "web", "'Priority':60,");
	wants(&k, 200, index);
	assert_string_equal(kept_json(&b, &k, "Priority"), "60");
	kept_close(&k);
}

/* missing_job_returns_when_it_appears, purged_job_returns_404 */
CASE(a_job_is_told_when_it_comes_and_goes)
{
	uint64_t index;
	struct kept k;

	bed_register(&b, "other", "");
	index = index_of("/v1/job/web");
	block(&k, after("/v1/job/web", index));
	bed_register(&b, "web", "");
	wants(&k, 200, index);
	kept_close(&k);
	index = index_of("/v1/job/web");
	block(&k, after("/v1/job/web", index));
	bed_want(&b, "DELETE", "/v1/job/web?purge=true", NULL, 200, NULL);
	wants(&k, 404, index);
	assert_string_equal(buf_text(&k.body), "job not found");
	kept_close(&k);
}

struct cause {
	const char *target;
	void (*make)(void);
};

static void new_version(void)
{
	bed_register(&b, "web", "'Priority':60,");
}

static void evaluate(void)
{
	bed_want(&b, "POST", "/v1/job/web/evaluate", NULL, 200, NULL);
}

static void deploy(void)
{
	kit_deployment(&b.kit, "web", 1, 0);
}

static void place(void)
{
	struct uuid id;

	bed_place(&b, "web", 1, &id);
}

static void note_scaling(void)
{
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Message\":\"m\",\"Target\":{\"Group\":\"g\"}}", 200, NULL);
}

static void make_namespace(void)
{
	bed_want(&b, "PUT", "/v1/namespace", "{\"Name\":\"other\",\"Description\":\"new\"}", 200, NULL);
}

static void make_pool(void)
{
	bed_want(&b, "PUT", "/v1/node/pools", "{\"Name\":\"gpu\",\"Description\":\"new\"}", 200, NULL);
}

static void configure(void)
{
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration", "{\"SchedulerAlgorithm\":\"spread\"}", 200, NULL);
}

static void submit(void)
{
	const char *job = bed_job(&b, "web", "'Priority':61,");
	const char *body = bed_quote(&b, "{'Submission':{'Source':'job {}'},%s", job + 1);

	bed_want(&b, "POST", "/v1/jobs", body, 200, NULL);
}

/* list_returns_after_a_new_job, summary_, versions_, evaluations_, allocations_, deployments_ ... */
CASE(every_read_is_woken_by_its_change)
{
	static const struct cause changes[] = {
		{"/v1/jobs", new_version},
		{"/v1/jobs/statuses", place},
		{"/v1/job/web/versions", new_version},
		{"/v1/job/web/evaluations", evaluate},
		{"/v1/job/web/allocations", place},
		{"/v1/job/web/deployments", deploy},
		{"/v1/job/web/deployment", deploy},
		{"/v1/job/web/summary", place},
		{"/v1/job/web/scale", note_scaling},
		{"/v1/job/web/submission", submit},
		{"/v1/allocations", place},
		{"/v1/evaluations", evaluate},
		{"/v1/evaluations/count", evaluate},
		{"/v1/deployments", deploy},
		{"/v1/nodes", place},
		{"/v1/namespaces", make_namespace},
		{"/v1/namespace/other", make_namespace},
		{"/v1/node/pools", make_pool},
		{"/v1/node/pool/gpu", make_pool},
		{"/v1/operator/scheduler/configuration", configure},
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct kept k;
		uint64_t index;

		bed_close(&b);
		bed_open(&b);
		bed_register(&b, "web", "");
		place();
		deploy();
		index = index_of(changes[i].target);
		if (index == 0) {
			index = 1; /* A table without a change so far: there is nothing to block on. */
		}
		block(&k, after(changes[i].target, index));
		changes[i].make();
		bed_pump(&b);
		if (k.answers != 1) {
			fail_msg("%s was not woken", changes[i].target);
		}
		wants(&k, 200, index);
		kept_close(&k);
	}
}

/* allocation_returns_after_a_change, allocation_returns_after_a_client_update, evaluation_returns_after_a_change */
CASE(single_objects_are_told_when_they_change)
{
	const char *allocation, *evaluation, *deployment, *node;
	struct uuid alloc, d, n;
	struct kept k[5];
	uint64_t index[5];

	bed_register(&b, "web", "");
	evaluation = arena_printf(&b.kit.mem, "/v1/evaluation/%s",
				  kit_text(&b.kit, &kit_newest_eval(&b.kit, "web")->id));
	d = kit_deployment(&b.kit, "web", 1, 0);
	n = bed_place(&b, "web", 1, &alloc);
	allocation = arena_printf(&b.kit.mem, "/v1/allocation/%s", kit_text(&b.kit, &alloc));
	deployment = arena_printf(&b.kit.mem, "/v1/deployment/%s", kit_text(&b.kit, &d));
	node = arena_printf(&b.kit.mem, "/v1/node/%s", kit_text(&b.kit, &n));
	{
		const char *const targets[] = {allocation, evaluation, deployment, node,
					       arena_printf(&b.kit.mem, "%s/allocations", node)};

		for (unsigned i = 0; i < 5; i++) {
			index[i] = index_of(targets[i]);
			assert_true(index[i] > 0);
			block(&k[i], after(targets[i], index[i]));
		}
	}
	assert_int_equal(parked(), 5);
	kit_report(&b.kit, &alloc, "running");
	bed_pump(&b);
	assert_int_equal(k[0].answers, 1);
	assert_string_equal(kept_json(&b, &k[0], "ClientStatus"), "\"running\"");
	assert_int_equal(k[4].answers, 1);
	kit_put_eval(&b.kit, kit_eval(&b.kit, &kit_newest_eval(&b.kit, "web")->id, "complete", 0));
	bed_pump(&b);
	assert_int_equal(k[1].answers, 1);
	assert_string_equal(kept_json(&b, &k[1], "Status"), "\"complete\"");
	bed_want(&b, "POST", arena_printf(&b.kit.mem, "/v1/deployment/fail/%s", kit_text(&b.kit, &d)), NULL, 200, NULL);
	bed_pump(&b);
	assert_int_equal(k[2].answers, 1);
	kit_node_status(&b.kit, &n, NODE_STATUS_DOWN);
	bed_pump(&b);
	assert_int_equal(k[3].answers, 1);
	assert_string_equal(kept_json(&b, &k[3], "Status"), "\"down\"");
	for (unsigned i = 0; i < 5; i++) {
		assert_true(k[i].res.index > index[i]);
		kept_close(&k[i]);
	}
	assert_int_equal(parked(), 0);
}

/* many_waiters_are_all_woken */
CASE(many_waiters_are_all_woken_by_one_rendering)
{
	struct kept k[100];
	struct api_stats s;
	uint64_t index, before;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	for (unsigned i = 0; i < 100; i++) {
		block(&k[i], after("/v1/job/web", index));
	}
	api_get_stats(b.api, &s);
	before = s.rendered;
	bed_register(&b, "web", "'Priority':91,");
	bed_pump(&b);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(k[i].answers, 1);
		kept_close(&k[i]);
	}
	api_get_stats(b.api, &s);
	assert_int_equal(s.rendered, before + 1);
	assert_int_equal(s.released, 100);
}

/* ---- how long ---- */

/* times_out_at_wait_with_jitter */
CASE(a_query_ends_with_its_time)
{
	int64_t shortest = INT64_MAX;
	int64_t longest = 0;
	uint64_t index;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	for (unsigned i = 0; i < 50; i++) {
		int64_t begin = b.now;
		struct kept k;

		block(&k, arena_printf(&b.kit.mem, "/v1/job/web?index=%llu&wait=1600ms", (unsigned long long)index));
		bed_sleep(&b, 1600 * NS_PER_MS - 1);
		assert_int_equal(k.answers, 0);
		while (k.answers == 0) {
			bed_sleep(&b, NS_PER_MS);
		}
		shortest = b.now - begin < shortest ? b.now - begin : shortest;
		longest = b.now - begin > longest ? b.now - begin : longest;
		assert_int_equal(k.res.status, 200);
		assert_int_equal(k.res.index, index);
		kept_close(&k);
	}
	assert_true(longest <= 1702 * NS_PER_MS);
	assert_true(longest - shortest > 50 * NS_PER_MS);
}

/* wait_units */
CASE(five_minutes_are_waited_and_ten_at_most)
{
	static const struct {
		const char *wait;
		int64_t ms;
	} cases[] = {{"", 300000},         {"&wait=0", 300000},    {"&wait=0s", 300000}, {"&wait=1h", 600000},
		     {"&wait=100ms", 100}, {"&wait=0.1s", 100}, {"&wait=100000us", 100}, {"&wait=1m30s", 90000}};
	uint64_t index;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kept k;

		block(&k, arena_printf(&b.kit.mem, "/v1/job/web?index=%llu%s", (unsigned long long)index,
				       cases[i].wait));
		bed_sleep(&b, cases[i].ms * NS_PER_MS - 1);
		assert_int_equal(k.answers, 0);
		bed_sleep(&b, cases[i].ms * NS_PER_MS / 16 + 1);
		assert_int_equal(k.answers, 1);
		kept_close(&k);
	}
}

/* index_zero_and_wait_alone_do_not_block, old_index_answers_at_once */
CASE(what_is_newer_already_is_told_at_once)
{
	bed_register(&b, "web", "");
	bed_want(&b, "GET", "/v1/jobs?wait=10s", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/jobs?index=0&wait=10s", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/job/web?index=1&wait=10s", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/job/web/summary?index=1&wait=10s", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/job/no?index=1&wait=10s", NULL, 404, NULL);
	assert_int_equal(parked(), 0);
}

/* index_above_the_current_one_waits_for_the_timeout */
CASE(statuses_of_certain_jobs_wait_for_those)
{
	const char *body = "{\"Jobs\":[{\"ID\":\"web\"},{\"ID\":\"db\",\"Namespace\":\"default\"}]}";
	uint64_t index;
	struct uuid id;
	struct kept k;

	bed_register(&b, "web", "");
	bed_register(&b, "db", "");
	bed_register(&b, "other", "");
	bed_place(&b, "db", 1, &id);
	bed_want(&b, "POST", "/v1/jobs/statuses", body, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	index = b.last.res.index;
	bed_start(&b, &k, "POST", after("/v1/jobs/statuses", index), body);
	bed_register(&b, "other", "'Priority':70,");
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	kit_report(&b.kit, &id, "running");
	wants(&k, 200, index);
	index = k.res.index;
	kept_close(&k);
	bed_start(&b, &k, "POST", after("/v1/jobs/statuses", index), body);
	bed_want(&b, "DELETE", "/v1/job/web?purge=true", NULL, 200, NULL);
	wants(&k, 200, index);
	kept_close(&k);
}

CASE(an_index_of_the_future_waits)
{
	struct kept k;

	bed_register(&b, "web", "");
	block(&k, "/v1/job/web?index=1000000&wait=1s");
	bed_register(&b, "web", "'Priority':60,");
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	assert_int_equal(parked(), 1);
	bed_sleep(&b, 2 * SECOND); /* Its time is counted from the first look. */
	assert_int_equal(k.answers, 1);
	assert_string_equal(kept_json(&b, &k, "Priority"), "60");
	kept_close(&k);
}

/* writes_do_not_block */
CASE(writes_do_not_block)
{
	bed_want(&b, "POST", "/v1/jobs?index=99999999&wait=20s", bed_job(&b, "web", ""), 200, NULL);
	bed_want(&b, "POST", "/v1/job/web/evaluate?index=99999999&wait=20s", NULL, 200, NULL);
	bed_want(&b, "DELETE", "/v1/job/web?index=99999999&wait=20s", NULL, 200, NULL);
}

/* ---- the end of it ---- */

CASE(who_leaves_is_forgotten)
{
	uint64_t index;
	struct kept k;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	block(&k, after("/v1/job/web", index));
	k.req.gone = true;
	k.req.gone_cb(&k.req);
	assert_int_equal(k.answers, 1);
	assert_int_equal(parked(), 0);
	kept_close(&k);
	bed_register(&b, "web", "'Priority':60,");
	bed_sleep(&b, 30 * SECOND);
	assert_int_equal(b.at, INT64_MAX);
}

CASE(who_leaves_when_woken_is_answered_once)
{
	uint64_t index;
	struct kept k;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	block(&k, after("/v1/job/web", index));
	bed_sleep(&b, SECOND);
	b.now += 30 * SECOND; /* Time is up, and a change has come, and then the client leaves. */
	kit_deregister(&b.kit, "web", false);
	api_run(b.api);
	if (k.answers == 0) {
		k.req.gone = true;
		k.req.gone_cb(&k.req);
	}
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	kept_close(&k);
}

CASE(a_stop_answers_all_who_wait)
{
	uint64_t index;
	struct kept k[3];

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	block(&k[0], after("/v1/job/web", index));
	block(&k[1], after("/v1/jobs", index + 10));
	block(&k[2], after("/v1/job/no", index + 10));
	api_stop(b.api);
	bed_pump(&b);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(k[i].answers, 1);
		assert_int_equal(k[i].res.status, i == 2 ? 404 : 200);
		kept_close(&k[i]);
	}
	bed_want(&b, "GET", "/v1/jobs", NULL, 503, "the server is stopping");
}

/* works_on_every_server, stale_read_with_index_sees_the_write */
CASE(followers_block_as_well)
{
	static const char *const how[] = {"", "&stale", "&consistent"};

	bed_register(&b, "web", "");
	for (unsigned i = 0; i < 3; i++) {
		uint64_t index = index_of("/v1/job/web");
		struct kept k;

		bed_lead(&b, false, true);
		block(&k, arena_printf(&b.kit.mem, "%s%s", after("/v1/job/web", index), how[i]));
		bed_lead(&b, true, true);
		bed_register(&b, "web", arena_printf(&b.kit.mem, "'Priority':%u,", 60 + i));
		wants(&k, 200, index);
		kept_close(&k);
	}
}

/* The clients of a full ring look for themselves. */
CASE(a_flood_of_changes_wakes_all)
{
	uint64_t index;
	struct kept k;

	bed_register(&b, "web", "");
	index = index_of("/v1/job/web");
	block(&k, after("/v1/job/web", index));
	watch_publish_all(&b.hub);
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	assert_int_equal(parked(), 1);
	bed_register(&b, "web", "'Priority':60,");
	watch_publish_all(&b.hub);
	wants(&k, 200, index);
	kept_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_job_is_told_when_it_changes),
		T(a_job_is_told_when_it_comes_and_goes),
		T(every_read_is_woken_by_its_change),
		T(single_objects_are_told_when_they_change),
		T(many_waiters_are_all_woken_by_one_rendering),
		T(a_query_ends_with_its_time),
		T(five_minutes_are_waited_and_ten_at_most),
		T(what_is_newer_already_is_told_at_once),
		T(statuses_of_certain_jobs_wait_for_those),
		T(an_index_of_the_future_waits),
		T(writes_do_not_block),
		T(who_leaves_is_forgotten),
		T(who_leaves_when_woken_is_answered_once),
		T(a_stop_answers_all_who_wait),
		T(followers_block_as_well),
		T(a_flood_of_changes_wakes_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
