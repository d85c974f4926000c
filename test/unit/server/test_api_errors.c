/* What goes wrong: methods, paths and bodies that are none; a leader that is lost; a core that has no room. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "server/api_parts.h"
#include "test/unit/server/api_case.h"

#define U "deadbeef-0000-0000-0000-000000000000"

/* ---- every route ---- */

/* A path that a pattern fits. */
static const char *path_of(const char *pattern)
{
	char path[256] = "";

	while (*pattern != '\0') {
		size_t len = strcspn(pattern + 1, "/") + 1;

		if (pattern[1] == ':') {
			strcat(path, strstr(pattern, "/v1/job/") == pattern ? "/web" : "/" U);
		} else {
			strncat(path, pattern, len);
		}
		pattern += len;
	}
	return arena_strdup(&b.kit.mem, path);
}

static unsigned methods_of(const char *pattern)
{
	unsigned methods = 0;

	for (size_t i = 0; i < api_n_routes; i++) {
		methods |= strcmp(api_routes[i].pattern, pattern) == 0 ? api_routes[i].methods : 0;
	}
	return methods;
}

/* http/method_not_allowed_*, head_is_not_allowed */
CASE(other_methods_are_not_allowed)
{
	unsigned n = 0;

	for (size_t i = 0; i < api_n_routes; i++) {
		const char *path = path_of(api_routes[i].pattern);
		unsigned allowed = methods_of(api_routes[i].pattern);

		for (enum http_method m = 0; m < HTTP_METHODS; m++) {
			if ((allowed & 1U << m) == 0) {
				bed_want(&b, http_method_text(m), path, NULL, 405, "Invalid method");
				n++;
			}
		}
	}
	assert_true(n > 300);
}

/* http/unknown_paths, allocations/unknown_subpath */
CASE(unknown_paths_are_not_found)
{
	static const char *const paths[] = {"/v1/nope", "/v1", "/v2/jobs", "/v1/jobs/", "/v1/allocations/",
					    "/nothing/at/all", "/v1/job/", "/v1/node/x/nothing"};

	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		bed_want(&b, "GET", paths[i], NULL, 404, "");
	}
	bed_want(&b, "GET", "/v1/allocation/" U "/nothing", NULL, 404, "resource not found");
	bed_want(&b, "POST", "/v1/allocation/" U "/a/b", NULL, 404, "resource not found");
	bed_want(&b, "GET", "/v1/client/allocation/" U "/nothing", NULL, 404, "resource not found");
	bed_want(&b, "GET", "/v1/client/allocation/" U, NULL, 404, "resource not found");
}

CASE(paths_and_parameters_are_text)
{
	bed_register(&b, "web", "");
	bed_want(&b, "DELETE", "/v1/job/web%8c", NULL, 400, NULL);
	bed_want(&b, "POST", "/v1/job/%ff/evaluate", NULL, 400, NULL);
	bed_want(&b, "PUT", "/v1/node/pool/%ff", "{}", 400, NULL);
	bed_want(&b, "GET", "/v1/job/%ff", NULL, 400, NULL);
	assert_int_equal(b.writes, 1);
}

/* http/bad_uuids, odd_prefixes */
CASE(ids_are_whole_and_prefixes_even)
{
	static const char *const ids[] = {
		"/v1/allocation/xyz", "/v1/evaluation/xyz", "/v1/node/xyz", "/v1/deployment/xyz",
		"/v1/evaluation/xyz/allocations", "/v1/deployment/allocations/xyz",
		"/v1/client/fs/ls/xyz", "/v1/client/allocation/xyz/stats", "/v1/allocation/",
	};
	static const char *const lists[] = {"/v1/allocations", "/v1/evaluations", "/v1/nodes", "/v1/deployments"};

	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		bed_want(&b, "GET", ids[i], NULL, 500, NULL);
		assert_non_null(strstr(bed_text(&b), "UUID must be 36 characters"));
	}
	bed_want(&b, "GET", "/v1/node/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", NULL, 500, NULL);
	assert_non_null(strstr(bed_text(&b), "Invalid UUID"));
	for (unsigned i = 0; i < 4; i++) {
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=abc", lists[i]), NULL, 500, NULL);
		assert_non_null(strstr(bed_text(&b), "must be even length"));
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=deadbeef-0", lists[i]), NULL, 500, NULL);
		assert_non_null(strstr(bed_text(&b), "must be even length"));
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=zz", lists[i]), NULL, 500, NULL);
		assert_non_null(strstr(bed_text(&b), "Invalid UUID"));
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=zzz", lists[i]), NULL, 500, NULL);
		assert_non_null(strstr(bed_text(&b), "must be even length"));
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=" U "00", lists[i]), NULL, 500,
			 "Invalid UUID length. UUID have 36 characters; got 38");
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=a-b-c-d-e-f", lists[i]), NULL, 500,
			 "UUID should have maximum of 4 \"-\"; got 5");
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?prefix=" U, lists[i]), NULL, 200, "[]");
	}
}

static const char *const bodies[] = {
	NULL, "", "{}", "null", "[]", "7", "\"x\"", "{bad", "\xff\xfe", "{\"a\":", "   ",
	"{\"Job\":null,\"JobID\":null,\"Meta\":null}",
	"{\"Job\":{\"ID\":\"web\"},\"JobID\":\"web\",\"JobVersion\":-1,\"Payload\":\"%\",\"Count\":-1}",
	"{\"Job\":{\"ID\":\"web\",\"TaskGroups\":[null,{}]},\"JobID\":\"web\",\"NodeID\":\"x\",\"Groups\":[\"g\"]}",
	"{\"JobID\":\"web\",\"JobVersion\":9223372036854775807,\"DeploymentID\":\"" U "\",\"All\":true,\"Pause\":true}",
	"{\"EvalIDs\":[\"" U "\"],\"HealthyAllocationIDs\":[\"" U "\",\"x\"],\"DeploymentID\":\"" U "\"}",
	"{\"Filter\":\"((\",\"Prefix\":\"a\",\"Text\":\"ab\",\"Context\":\"all\",\"Eligibility\":\"eligible\"}",
	"{\"Target\":{\"Group\":\"g\"},\"Count\":2,\"Name\":\"default\",\"DrainSpec\":{\"Deadline\":1}}",
};

static const int errors[] = {0, ERR_BUSY, ERR_NOTLEADER, ERR_UNKNOWN, ERR_TIMEOUT, ERR_NOSPACE, ERR_TOOBIG, ERR_CLOSED,
			     ERR_NOLEADER, ERR_NOMEM, ERR_CORRUPT};

/* Until it is answered; what is passed on comes back with an error. */
static void settle(struct kept *k, int err)
{
	for (unsigned turns = 0; k->answers == 0; turns++) {
		if (b.forwarded != NULL) {
			bed_return(&b, err != 0 ? err : ERR_NOTFOUND);
		}
		bed_sleep(&b, SECOND);
		assert_true(turns < 20);
	}
}

static void try_all(int err)
{
	for (size_t i = 0; i < api_n_routes; i++) {
		for (enum http_method m = 0; m < HTTP_METHODS; m++) {
			for (size_t k = 0; k < sizeof(bodies) / sizeof(bodies[0]); k++) {
				struct kept one;

				if ((api_routes[i].methods & 1U << m) == 0) {
					continue;
				}
				bed_start(&b, &one, http_method_text(m), path_of(api_routes[i].pattern), bodies[k]);
				bed_pump(&b);
				settle(&one, err);
				assert_int_equal(one.answers, 1);
				assert_true(one.res.status >= 200 && one.res.status < 600);
				kept_leave(&one);
				kept_close(&one);
			}
		}
	}
}

CASE(every_route_answers_every_body_once)
{
	bed_register(&b, "web", "");
	try_all(0);
}

CASE(every_route_answers_every_error_once)
{
	for (size_t i = 1; i < sizeof(errors) / sizeof(errors[0]); i++) {
		bed_close(&b);
		bed_open(&b);
		bed_register(&b, "web", "");
		b.write_status = b.call_status = b.read_status = errors[i];
		try_all(errors[i]);
		bed_lead(&b, false, true);
		try_all(errors[i]);
	}
}

/* ---- writes on the leader ---- */

struct ask {
	const char *method;
	const char *target;
	const char *body;
};

/* Writes that are proposed, for a job "web" that is there. */
static const struct ask *writes(unsigned *n)
{
	static struct ask all[12];
	unsigned i = 0;

	all[i++] = (struct ask){"POST", "/v1/jobs", bed_job(&b, "web", "")};
	all[i++] = (struct ask){"DELETE", "/v1/job/web", NULL};
	all[i++] = (struct ask){"POST", "/v1/job/par/dispatch", "{}"};
	all[i++] = (struct ask){"PUT", "/v1/job/web/evaluate", NULL};
	all[i++] = (struct ask){"POST", "/v1/job/web/revert", "{\"JobID\":\"web\"}"};
	all[i++] = (struct ask){"POST", "/v1/job/web/stable", "{\"JobID\":\"web\"}"};
	all[i++] = (struct ask){"POST", "/v1/job/web/scale", "{\"Count\":2,\"Target\":{\"Group\":\"g\"}}"};
	all[i++] = (struct ask){"POST", "/v1/job/web/versions/v/tag", "{}"};
	all[i++] = (struct ask){"POST", "/v1/allocation/" U "/stop", NULL};
	all[i++] = (struct ask){"POST", "/v1/node/" U "/eligibility", "{\"Eligibility\":\"eligible\"}"};
	all[i++] = (struct ask){"PUT", "/v1/namespace", "{\"Name\":\"other\"}"};
	all[i++] = (struct ask){"PUT", "/v1/operator/scheduler/configuration", "{\"SchedulerAlgorithm\":\"spread\"}"};
	*n = i;
	return all;
}

static void some_jobs(void)
{
	bed_register(&b, "web", "");
	bed_register(&b, "par", "'Type':'batch','ParameterizedJob':{'Payload':'optional'},");
}

CASE(a_write_that_fails_says_how)
{
	static const struct {
		int err;
		int status;
		const char *text;
	} cases[] = {
		{ERR_BUSY, 429, "too many requests"},
		{ERR_NOSPACE, 507, "disk full"},
		{ERR_TOOBIG, 413, "too large"},
		{ERR_CLOSED, 503, "the server is stopping"},
		{ERR_TIMEOUT, 500, "timed out"},
		{ERR_NOLEADER, 500, "No cluster leader"},
		{ERR_UNKNOWN, 500, "the outcome is unknown: the write may or may not have taken place"},
	};
	const struct ask *all;
	unsigned n;

	some_jobs();
	all = writes(&n);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b.write_status = b.call_status = cases[i].err;
		for (unsigned k = 0; k < n; k++) {
			bed_want(&b, all[k].method, all[k].target, all[k].body, cases[i].status, cases[i].text);
			assert_string_equal(b.last.res.type, "text/plain; charset=utf-8");
		}
		bed_want(&b, "POST", "/v1/job/web/plan", bed_job(&b, "web", ""), cases[i].status, cases[i].text);
		bed_want(&b, "POST", "/v1/job/web/periodic/force", NULL, cases[i].status, cases[i].text);
		bed_want(&b, "PUT", "/v1/system/gc", NULL, cases[i].status, cases[i].text);
		bed_want(&b, "GET", "/v1/agent/self", NULL, cases[i].status, cases[i].text);
		bed_want(&b, "GET", "/v1/metrics", NULL, cases[i].status, cases[i].text);
	}
}

/* This server says that it leads, and its core that it does not: asked again after a moment, and not in circles. */
CASE(a_write_waits_until_it_is_known_who_leads)
{
	const struct ask *all;
	unsigned n;

	some_jobs();
	all = writes(&n);
	for (unsigned i = 0; i < n; i++) {
		unsigned writes_before = b.writes;
		struct kept k;

		b.write_status = ERR_NOTLEADER;
		bed_start(&b, &k, all[i].method, all[i].target, all[i].body);
		bed_sleep(&b, 450 * NS_PER_MS);
		assert_int_equal(k.answers, 0);
		assert_int_equal(b.writes - writes_before, 5);
		b.write_status = 0;
		bed_sleep(&b, 100 * NS_PER_MS);
		assert_int_equal(k.answers, 1);
		if (k.res.status == 500 && strstr(buf_text(&k.body), "leader") != NULL) { /* Not what the state refuses. */
			fail_msg("%s: %s", all[i].target, buf_text(&k.body));
		}
		kept_close(&k);
	}
	b.write_status = ERR_NOTLEADER;
	for (unsigned i = 0; i < n; i++) {
		struct kept k;

		bed_start(&b, &k, all[i].method, all[i].target, all[i].body);
		bed_sleep(&b, 4 * SECOND);
		assert_int_equal(k.answers, 0);
		bed_sleep(&b, SECOND + SECOND / 10);
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.res.status, 500);
		assert_string_equal(buf_text(&k.body), "No cluster leader");
		kept_close(&k);
	}
}

/* Leadership is lost between the look and the write: the new leader gets the request, body and all. */
CASE(a_write_follows_the_leadership)
{
	const struct ask *all;
	unsigned n;

	some_jobs();
	all = writes(&n);
	for (unsigned i = 0; i < n; i++) {
		struct kept k;

		bed_lead(&b, true, true);
		b.hold = true;
		b.write_status = ERR_NOTLEADER;
		bed_start(&b, &k, all[i].method, all[i].target, all[i].body);
		bed_lead(&b, false, true);
		b.hold = false;
		bed_pump(&b);
		assert_ptr_equal(b.forwarded, &k.req);
		assert_int_equal(b.where, CORE_TO_LEADER);
		if (all[i].body != NULL) {
			assert_string_equal(b.forwarded->body, all[i].body);
		}
		bed_answer(&b, 200, "there");
		assert_int_equal(k.answers, 1);
		kept_close(&k);
	}
}

/* Large bodies are not copied on the leader, so there is nothing to send on. */
CASE(a_large_write_is_not_made_anew)
{
	char *big = malloc(400000);
	char *job = malloc(500000);
	struct kept k;

	memset(big, ' ', 400000 - 1);
	big[400000 - 1] = '\0';
	sprintf(job, "%s%s", bed_job(&b, "web", ""), big);
	bed_want(&b, "POST", "/v1/jobs", job, 200, NULL);
	b.write_status = b.call_status = ERR_NOTLEADER;
	bed_want(&b, "POST", "/v1/jobs", job, 500, "No cluster leader");
	bed_want(&b, "PUT", "/v1/system/gc", big, 500, "No cluster leader");
	bed_want(&b, "POST", "/v1/job/web/periodic/force", big, 500, "No cluster leader");
	assert_int_equal(b.forwards, 0);
	/* Who has passed it on can send it again. */
	assert_int_equal(kept_open(&k, "POST", "/v1/jobs"), 0);
	k.req.hops = 1;
	k.req.body = job;
	k.req.body_len = strlen(job);
	api_handle(b.api, &k.req);
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	assert_true(k.res.not_done);
	kept_close(&k);
	/* On a follower they are. */
	bed_lead(&b, false, true);
	bed_start(&b, &k, "POST", "/v1/jobs", job);
	assert_ptr_equal(b.forwarded, &k.req);
	assert_string_equal(b.forwarded->body, job);
	bed_answer(&b, 200, "there");
	kept_close(&k);
	free(big);
	free(job);
}

/* ---- requests that are passed on ---- */

CASE(writes_wait_for_a_leader)
{
	struct kept k;

	bed_lead(&b, false, false);
	bed_start(&b, &k, "POST", "/v1/jobs", bed_job(&b, "web", ""));
	bed_sleep(&b, 3 * SECOND);
	assert_int_equal(b.forwards, 0);
	bed_lead(&b, false, true);
	assert_int_equal(b.forwards, 1);
	bed_answer(&b, 200, "there");
	kept_close(&k);

	bed_lead(&b, false, false);
	bed_start(&b, &k, "POST", "/v1/jobs", bed_job(&b, "web", ""));
	bed_sleep(&b, SECOND);
	bed_lead(&b, true, true); /* It is this one. */
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 200);
	kept_close(&k);

	bed_lead(&b, false, false);
	bed_start(&b, &k, "DELETE", "/v1/job/web", NULL);
	bed_sleep(&b, 5 * SECOND);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 500);
	assert_string_equal(buf_text(&k.body), "No cluster leader");
	kept_close(&k);
}

/* A read by which something is looked for that is not here yet. */
CASE(a_search_for_what_is_new_waits_for_a_leader)
{
	struct kept k;

	bed_lead(&b, false, true);
	b.read_status = ERR_NOLEADER;
	bed_start(&b, &k, "GET", "/v1/client/allocation/" U "/stats", NULL);
	bed_sleep(&b, SECOND);
	assert_int_equal(k.answers, 0);
	b.read_status = 0;
	bed_sleep(&b, SECOND);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 404);
	kept_close(&k);
}

CASE(what_comes_back_is_tried_again_if_nothing_was_done)
{
	static const int lost[] = {ERR_NOLEADER, ERR_CLOSED, ERR_NOTLEADER, ERR_TIMEOUT};

	bed_lead(&b, false, true);
	for (unsigned i = 0; i < 4; i++) {
		unsigned before = b.forwards;
		struct kept k;

		bed_start(&b, &k, "POST", "/v1/jobs", bed_job(&b, "web", ""));
		bed_return(&b, lost[i]);
		assert_int_equal(k.answers, 0);
		bed_sleep(&b, 100 * NS_PER_MS);
		assert_int_equal(b.forwards - before, 2);
		assert_ptr_equal(b.forwarded, &k.req);
		assert_string_equal(b.forwarded->body, bed_job(&b, "web", ""));
		bed_answer(&b, 200, "there");
		assert_int_equal(k.answers, 1);
		kept_close(&k);
		/* For so long, and then no more. */
		bed_start(&b, &k, "POST", "/v1/jobs", bed_job(&b, "web", ""));
		for (unsigned n = 0; k.answers == 0; n++) {
			assert_true(n < 60);
			bed_return(&b, lost[i]);
			bed_sleep(&b, 100 * NS_PER_MS);
		}
		assert_int_equal(k.res.status, 500);
		assert_string_equal(buf_text(&k.body), "No cluster leader");
		kept_close(&k);
	}
}

CASE(what_comes_back_says_why)
{
	static const struct {
		int err;
		int status;
		const char *text;
	} cases[] = {
		{ERR_UNKNOWN, 500, "the outcome is unknown: the write may or may not have taken place"},
		{ERR_BUSY, 429, "too many requests"},
		{ERR_TOOBIG, 413, "too large"},
		{ERR_NOTFOUND, 500, "No cluster leader"},
	};

	bed_lead(&b, false, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kept k;

		bed_start(&b, &k, "POST", "/v1/jobs", bed_job(&b, "web", ""));
		bed_return(&b, cases[i].err);
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.res.status, cases[i].status);
		assert_string_equal(buf_text(&k.body), cases[i].text);
		kept_close(&k);
	}
}

/* A read that only the leader answers may be made twice. */
CASE(a_lost_read_is_asked_again)
{
	struct kept k;

	bed_lead(&b, false, true);
	bed_start(&b, &k, "GET", "/v1/operator/autopilot/health", NULL);
	bed_return(&b, ERR_UNKNOWN);
	assert_int_equal(k.answers, 0);
	bed_lead(&b, true, true);
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 429); /* One of the servers is not healthy. */
	kept_close(&k);
}

CASE(requests_do_not_go_in_circles)
{
	struct kept k;

	bed_lead(&b, false, true);
	assert_int_equal(kept_open(&k, "DELETE", "/v1/job/web"), 0);
	k.req.hops = HTTP_HOPS_MAX;
	api_handle(b.api, &k.req);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 500);
	assert_int_equal(b.forwards, 0);
	kept_close(&k);
}

/* http/unknown_region */
CASE(requests_go_to_their_region)
{
	struct kept k;

	bed_want(&b, "GET", "/v1/jobs?region=mars", NULL, 500, "No path to region");
	bed_want(&b, "POST", "/v1/jobs?region=mars", bed_job(&b, "web", ""), 500, "No path to region");
	bed_want(&b, "POST", "/v1/jobs", bed_job(&b, "web", "'Region':'mars',"), 500, "No path to region");
	bed_want(&b, "GET", "/v1/jobs?region=global", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/jobs?region=", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/agent/members?region=mars", NULL, 200, NULL);
	bed_start(&b, &k, "POST", "/v1/jobs?region=europe", bed_job(&b, "web", ""));
	assert_int_equal(b.where, CORE_TO_REGION);
	assert_string_equal(b.to, "europe");
	assert_string_equal(b.forwarded->body, bed_job(&b, "web", ""));
	bed_return(&b, ERR_NOLEADER);
	assert_int_equal(k.answers, 1);
	assert_string_equal(buf_text(&k.body), "No path to region");
	kept_close(&k);
	bed_start(&b, &k, "POST", "/v1/jobs", bed_job(&b, "web", "'Region':'europe',"));
	assert_string_equal(b.to, "europe");
	bed_answer(&b, 200, "there");
	kept_close(&k);
}

/* ---- reads ---- */

CASE(reads_wait_for_a_leader)
{
	static const int lost[] = {ERR_NOLEADER, ERR_NOTLEADER, ERR_TIMEOUT, ERR_UNKNOWN};

	bed_register(&b, "web", "");
	for (unsigned i = 0; i < 4; i++) {
		struct kept k;

		bed_lead(&b, false, i % 2 == 0);
		b.read_status = lost[i];
		bed_start(&b, &k, "GET", "/v1/job/web", NULL);
		bed_sleep(&b, 2 * SECOND);
		assert_int_equal(k.answers, 0);
		b.read_status = 0;
		bed_lead(&b, false, true);
		bed_pump(&b);
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.res.status, 200);
		kept_close(&k);

		bed_lead(&b, false, i % 2 == 0);
		b.read_status = lost[i];
		bed_start(&b, &k, "GET", "/v1/job/web", NULL);
		bed_sleep(&b, 5 * SECOND + SECOND / 10);
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.res.status, 500);
		assert_string_equal(buf_text(&k.body), "No cluster leader");
		kept_close(&k);
		b.read_status = 0;
		bed_want(&b, "GET", "/v1/job/web?stale", NULL, 200, NULL);
	}
}

CASE(a_read_that_fails_says_how)
{
	bed_register(&b, "web", "");
	bed_lead(&b, false, true);
	b.read_status = ERR_BUSY;
	bed_want(&b, "GET", "/v1/job/web", NULL, 429, "too many requests");
	bed_want(&b, "GET", "/v1/jobs?consistent", NULL, 429, "too many requests");
	b.read_status = ERR_CLOSED;
	bed_want(&b, "GET", "/v1/job/web", NULL, 503, "the server is stopping");
}

CASE(a_stop_answers_who_waits_for_a_leader)
{
	struct kept k[2];

	bed_register(&b, "web", "");
	bed_lead(&b, false, false);
	bed_start(&b, &k[0], "GET", "/v1/job/web", NULL);
	bed_start(&b, &k[1], "DELETE", "/v1/job/web", NULL);
	bed_sleep(&b, SECOND);
	api_stop(b.api);
	bed_pump(&b);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(k[i].answers, 1);
		assert_int_equal(k[i].res.status, 500);
		kept_close(&k[i]);
	}
}

/* ---- the end of a server ---- */

static const int64_t limit_ns = 3 * SECOND;

CASE(clients_of_a_server_that_ends_are_served_by_the_next_leader)
{
	struct kept k[3];

	bed_register(&b, "web", "");
	bed_lead(&b, false, false);
	bed_start(&b, &k[0], "DELETE", "/v1/job/web", NULL);
	bed_start(&b, &k[1], "GET", "/v1/job/web", NULL);
	api_drain(b.api, limit_ns);
	bed_start(&b, &k[2], "POST", "/v1/jobs", bed_job(&b, "new", ""));
	bed_sleep(&b, SECOND);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(k[i].answers, 0);
	}
	bed_lead(&b, false, true);
	bed_pump(&b);
	assert_int_equal(b.forwards, 2);
	assert_string_equal(b.forwarded->body, bed_job(&b, "new", ""));
	bed_answer(&b, 200, "there");
	bed_answer(&b, 200, "there");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(k[i].answers, 1);
		assert_int_equal(k[i].res.status, 200);
		kept_close(&k[i]);
	}
}

/* It takes less time than a request may wait for a leader otherwise. */
CASE(who_waits_for_a_leader_does_not_hold_a_server_up)
{
	struct kept k[3];

	bed_register(&b, "web", "");
	bed_lead(&b, false, false);
	bed_start(&b, &k[0], "DELETE", "/v1/job/web", NULL);
	api_drain(b.api, limit_ns);
	bed_sleep(&b, SECOND);
	bed_start(&b, &k[1], "DELETE", "/v1/job/web", NULL);
	bed_start(&b, &k[2], "GET", "/v1/job/web", NULL);
	bed_sleep(&b, 2 * SECOND - NS_PER_MS);
	assert_int_equal(k[0].answers + k[1].answers + k[2].answers, 0);
	bed_sleep(&b, 2 * NS_PER_MS);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(k[i].answers, 1);
		assert_int_equal(k[i].res.status, 500);
		assert_string_equal(buf_text(&k[i].body), "No cluster leader");
		assert_false(k[i].res.not_done && k[i].req.hops == 0);
		kept_close(&k[i]);
	}
}

static void start_passed_on(struct kept *k, const char *method, const char *target)
{
	assert_int_equal(kept_open(k, method, target), 0);
	k->req.hops = 1;
	api_handle(b.api, &k->req);
}

CASE(what_others_passed_on_goes_back_from_a_server_that_ends)
{
	struct kept k[4];

	bed_register(&b, "web", "");
	bed_lead(&b, false, false);
	start_passed_on(&k[0], "DELETE", "/v1/job/web");
	start_passed_on(&k[1], "GET", "/v1/job/web");
	bed_pump(&b);
	assert_int_equal(k[0].answers + k[1].answers, 0);
	api_drain(b.api, limit_ns);
	bed_pump(&b);
	start_passed_on(&k[2], "DELETE", "/v1/job/web");
	bed_lead(&b, false, true); /* That one they find as well. */
	start_passed_on(&k[3], "DELETE", "/v1/job/web");
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(k[i].answers, 1);
		assert_int_equal(k[i].res.status, 503);
		assert_true(k[i].res.not_done);
		kept_close(&k[i]);
	}
	assert_int_equal(b.forwards, 0);
	bed_lead(&b, true, true); /* As long as it leads it does what it is asked for. */
	start_passed_on(&k[0], "DELETE", "/v1/job/web");
	bed_pump(&b);
	assert_int_equal(k[0].res.status, 200);
	assert_false(k[0].res.not_done);
	kept_close(&k[0]);
	b.write_status = ERR_NOTLEADER; /* Leadership has gone in that moment. */
	start_passed_on(&k[0], "DELETE", "/v1/job/web");
	bed_pump(&b);
	assert_true(k[0].res.not_done);
	kept_close(&k[0]);
	api_stop(b.api);
	start_passed_on(&k[0], "GET", "/v1/jobs");
	assert_true(k[0].res.not_done);
	kept_close(&k[0]);
}

/* Leadership is about to go: so there will be a need for them. */
CASE(a_server_that_ends_keeps_large_bodies)
{
	char *job = malloc(500000);
	struct kept k;

	sprintf(job, "%s%*s", bed_job(&b, "web", ""), 400000, "");
	api_drain(b.api, limit_ns);
	b.write_status = ERR_NOTLEADER;
	bed_start(&b, &k, "POST", "/v1/jobs", job);
	bed_sleep(&b, 150 * NS_PER_MS);
	assert_int_equal(k.answers, 0);
	bed_lead(&b, false, true);
	bed_pump(&b);
	assert_ptr_equal(b.forwarded, &k.req);
	assert_string_equal(b.forwarded->body, job);
	bed_answer(&b, 200, "there");
	kept_close(&k);
	free(job);
}

CASE(a_request_goes_to_another_server_of_the_region_when_one_ends)
{
	struct kept k;

	bed_start(&b, &k, "DELETE", "/v1/job/web?region=europe", NULL);
	assert_int_equal(b.forwards, 1);
	bed_return(&b, ERR_NOTLEADER);
	bed_sleep(&b, 150 * NS_PER_MS);
	assert_int_equal(b.forwards, 2);
	assert_int_equal(b.where, CORE_TO_REGION);
	assert_string_equal(b.to, "europe");
	for (unsigned n = 0; k.answers == 0; n++) {
		assert_true(n < 60);
		bed_return(&b, ERR_NOTLEADER);
		bed_sleep(&b, 100 * NS_PER_MS);
	}
	assert_string_equal(buf_text(&k.body), "No path to region");
	kept_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(other_methods_are_not_allowed),
		T(unknown_paths_are_not_found),
		T(paths_and_parameters_are_text),
		T(ids_are_whole_and_prefixes_even),
		T(every_route_answers_every_body_once),
		T(every_route_answers_every_error_once),
		T(a_write_that_fails_says_how),
		T(a_write_waits_until_it_is_known_who_leads),
		T(a_write_follows_the_leadership),
		T(a_large_write_is_not_made_anew),
		T(writes_wait_for_a_leader),
		T(what_comes_back_is_tried_again_if_nothing_was_done),
		T(what_comes_back_says_why),
		T(a_lost_read_is_asked_again),
		T(requests_do_not_go_in_circles),
		T(requests_go_to_their_region),
		T(reads_wait_for_a_leader),
		T(a_read_that_fails_says_how),
		T(a_stop_answers_who_waits_for_a_leader),
		T(a_search_for_what_is_new_waits_for_a_leader),
		T(clients_of_a_server_that_ends_are_served_by_the_next_leader),
		T(who_waits_for_a_leader_does_not_hold_a_server_up),
		T(what_others_passed_on_goes_back_from_a_server_that_ends),
		T(a_server_that_ends_keeps_large_bodies),
		T(a_request_goes_to_another_server_of_the_region_when_one_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
