/* What holds for all reads of the API: headers, options, lists, pages, filters, the cache. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

static void jobs(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bed_register(&b, arena_printf(&b.kit.mem, "job-%02u", i), "");
	}
}

/* The IDs of the last answer, a list: "a b c". */
static const char *ids(void)
{
	const char *all = "";
	unsigned n = bed_length(&b, "");

	for (unsigned i = 0; i < n; i++) {
		const char *id = bed_json(&b, arena_printf(&b.kit.mem, "%u.ID", i));

		all = arena_printf(&b.kit.mem, "%s%s%.*s", all, i > 0 ? " " : "", (int)strlen(id) - 2, id + 1);
	}
	return all;
}

/* All pages of a list, one behind the other; how many there were. */
static unsigned pages(const char *target, const char **all)
{
	const char *at = target;
	unsigned n = 0;

	*all = "";
	do {
		bed_want(&b, "GET", at, NULL, 200, NULL);
		*all = arena_printf(&b.kit.mem, "%s%s%s", *all, n > 0 ? " " : "", ids());
		at = b.last.res.next_token != NULL
			     ? arena_printf(&b.kit.mem, "%s&next_token=%s", target, b.last.res.next_token)
			     : NULL;
		assert_true(++n < 100);
	} while (at != NULL);
	return n;
}

/* ---- headers and options ---- */

/* http/list_headers, error_content_type */
CASE(reads_tell_index_and_leader)
{
	static const char *const paths[] = {"/v1/jobs", "/v1/allocations", "/v1/evaluations", "/v1/nodes",
					    "/v1/deployments"};
	struct uuid id;

	bed_register(&b, "web", "");
	bed_place(&b, "web", 1, &id);
	kit_deployment(&b.kit, "web", 1, 0);
	for (unsigned i = 0; i < 5; i++) {
		bed_want(&b, "GET", paths[i], NULL, 200, NULL);
		assert_int_equal(b.last.res.has, HTTP_HAS_READ);
		assert_true(b.last.res.index > 0);
		assert_true(b.last.res.known_leader);
		assert_int_equal(b.last.res.last_contact_ms, 0);
		assert_string_equal(b.last.res.type, "application/json");
		assert_int_equal(bed_length(&b, ""), 1);
	}
}

/* http/not_found_texts */
CASE(what_is_not_there_is_told_with_the_index)
{
	static const char *const cases[][2] = {
		{"/v1/job/no", "job not found"},
		{"/v1/job/no/versions", "job versions not found"},
		{"/v1/job/no/summary", "job not found"},
		{"/v1/job/no/scale", "job not found"},
		{"/v1/job/no/submission", "job source not found"},
		{"/v1/allocation/deadbeef-0000-0000-0000-000000000000", "alloc not found"},
		{"/v1/evaluation/deadbeef-0000-0000-0000-000000000000", "eval not found"},
		{"/v1/node/deadbeef-0000-0000-0000-000000000000", "node not found"},
		{"/v1/deployment/deadbeef-0000-0000-0000-000000000000", "deployment not found"},
		{"/v1/node/pool/no", "node pool not found"},
		{"/v1/node/pool/no/nodes", "node pool not found"},
		{"/v1/node/pool/no/jobs", "node pool not found"},
		{"/v1/namespace/no", "Namespace not found"},
	};
	uint64_t index;

	bed_register(&b, "web", "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bed_want(&b, "GET", cases[i][0], NULL, 404, cases[i][1]);
		assert_int_equal(b.last.res.has, HTTP_HAS_READ);
		assert_true(b.last.res.known_leader);
	}
	bed_want(&b, "GET", "/v1/job/no", NULL, 404, NULL);
	index = b.last.res.index;
	assert_int_equal(bed_register(&b, "web2", ""), index + 1);
}

/* http/stale_bad_value, blocking/bad_wait_and_bad_index, extended/list_pages */
CASE(bad_options_are_refused)
{
	static const char *const paths[] = {"/v1/jobs", "/v1/allocations", "/v1/job/x", "/v1/job/x/allocations",
					    "/v1/evaluations"};
	static const char *const cases[][2] = {
		{"wait=abc", "Invalid wait time"},
		{"wait=5", "Invalid wait time"},
		{"index=abc", "Invalid index"},
		{"index=-1", "Invalid index"},
		{"stale=perhaps", "for `stale` query string parameter"},
		{"per_page=x", "Expect a number for `per_page`"},
	};

	for (unsigned p = 0; p < 5; p++) {
		for (unsigned i = 0; i < 6; i++) {
			const char *target = arena_printf(&b.kit.mem, "%s?%s", paths[p], cases[i][0]);

			bed_want(&b, "GET", target, NULL, 400, NULL);
			if (strstr(bed_text(&b), cases[i][1]) == NULL) {
				fail_msg("%s: %s", target, bed_text(&b));
			}
		}
	}
}

/* http/pretty */
CASE(pretty_answers_are_indented)
{
	static const char *const yes[] = {"?pretty", "?pretty=1", "?pretty=true"};

	bed_register(&b, "web", "");
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	assert_null(strchr(bed_text(&b), '\n'));
	for (unsigned i = 0; i < 3; i++) {
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "/v1/job/web%s", yes[i]), NULL, 200, NULL);
		assert_non_null(strstr(bed_text(&b), "\n    \""));
		assert_int_equal(bed_text(&b)[strlen(bed_text(&b)) - 1], '\n');
		bed_is(&b, "ID", "\"web\"");
	}
	bed_want(&b, "GET", "/v1/job/web?pretty=0", NULL, 200, NULL);
	assert_null(strchr(bed_text(&b), '\n'));
	bed_want(&b, "GET", "/v1/job/no?pretty", NULL, 404, "job not found");
}

/* http/stale, consistent */
CASE(reads_are_as_new_as_they_ask)
{
	bed_register(&b, "web", "");
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/jobs?stale", NULL, 200, NULL);
	assert_int_equal(b.reads, 0); /* The leader need not ask. */
	bed_want(&b, "GET", "/v1/jobs?consistent", NULL, 200, NULL);
	assert_int_equal(b.barriers, 1);

	b.unsure = true; /* It may have been replaced, so it has to ask. */
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	assert_int_equal(b.reads, 2);
	b.unsure = false;

	bed_lead(&b, false, true);
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	assert_int_equal(b.reads, 3);
	assert_int_equal(b.last.res.last_contact_ms, 0);
	bed_want(&b, "GET", "/v1/jobs?stale", NULL, 200, NULL);
	assert_int_equal(b.reads, 3);
	assert_int_equal(b.last.res.last_contact_ms, 17);
	bed_want(&b, "GET", "/v1/jobs?stale=false", NULL, 200, NULL);
	assert_int_equal(b.reads, 4);
	bed_want(&b, "GET", "/v1/jobs?consistent", NULL, 200, NULL);
	assert_int_equal(b.barriers, 2);

	bed_lead(&b, false, false);
	bed_want(&b, "GET", "/v1/jobs?stale", NULL, 200, NULL);
	assert_false(b.last.res.known_leader);
}

CASE(reads_that_come_together_share_a_question)
{
	struct kept all[50];
	struct api_stats s;

	bed_register(&b, "web", "");
	bed_lead(&b, false, true);
	for (unsigned i = 0; i < 50; i++) {
		bed_start(&b, &all[i], "GET", "/v1/job/web", NULL);
	}
	bed_pump(&b);
	assert_int_equal(b.reads, 1);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(all[i].answers, 1);
		assert_int_equal(all[i].res.status, 200);
		kept_close(&all[i]);
	}
	api_get_stats(b.api, &s);
	assert_int_equal(s.rendered, 1);
}

/* While questions are under way others gather for the next, so that their number is bounded. */
CASE(questions_under_way_are_few)
{
	struct kept all[20];

	bed_register(&b, "web", "");
	bed_lead(&b, false, true);
	b.hold = true;
	for (unsigned i = 0; i < 20; i++) {
		bed_start(&b, &all[i], "GET", "/v1/job/web", NULL);
		bed_pump(&b);
	}
	assert_int_equal(b.reads, 4);
	b.hold = false;
	bed_pump(&b);
	assert_int_equal(b.reads, 5);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(all[i].answers, 1);
		kept_close(&all[i]);
	}
}

/* ---- the cache ---- */

CASE(a_body_is_rendered_once)
{
	struct api_stats s;
	uint64_t before;

	jobs(3);
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	api_get_stats(b.api, &s);
	before = s.rendered;
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/jobs?stale", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/jobs?index=1&wait=1s", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/jobs?pretty", NULL, 200, NULL);
	assert_non_null(strchr(bed_text(&b), '\n'));
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	assert_null(strchr(bed_text(&b), '\n'));
	api_get_stats(b.api, &s);
	assert_int_equal(s.rendered, before);
	bed_want(&b, "GET", "/v1/jobs?prefix=job-01", NULL, 200, NULL);
	assert_string_equal(ids(), "job-01");
	bed_want(&b, "GET", "/v1/jobs?reverse=true", NULL, 200, NULL);
	assert_string_equal(ids(), "job-02 job-01 job-00");
	bed_register(&b, "job-03", "");
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	assert_string_equal(ids(), "job-00 job-01 job-02 job-03");
}

CASE(a_kept_body_is_that_of_its_parameters)
{
	bed_register(&b, "web", "'Meta':{'k':'v'},");
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	bed_is(&b, "0.Meta", "none");
	bed_want(&b, "GET", "/v1/jobs?meta=true", NULL, 200, NULL);
	bed_is(&b, "0.Meta", "{\"k\":\"v\"}");
	bed_want(&b, "GET", "/v1/jobs?meta=false", NULL, 200, NULL);
	bed_is(&b, "0.Meta", "none");
	bed_want(&b, "GET", "/v1/jobs?meta=perhaps", NULL, 400, NULL);
	/* Names and values do not run into each other. */
	bed_want(&b, "GET", "/v1/jobs?a=bc&prefix=no", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/jobs?ab=c&prefix=we", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
}

/* ---- lists ---- */

/* jobs_read/list_* */
CASE(jobs_are_listed_by_id)
{
	jobs(3);
	bed_register(&b, "a/b", "");
	bed_want(&b, "GET", "/v1/jobs", NULL, 200, NULL);
	assert_string_equal(ids(), "a/b job-00 job-01 job-02");
	bed_is(&b, "1.JobSummary.Summary.g.Queued", "0");
	bed_is(&b, "1.Name", "\"job-00\"");
	bed_is(&b, "1.TaskGroups", "none");
	bed_want(&b, "GET", "/v1/jobs?prefix=job-0", NULL, 200, NULL);
	assert_string_equal(ids(), "job-00 job-01 job-02");
	bed_want(&b, "GET", "/v1/jobs?prefix=a%2F", NULL, 200, NULL);
	assert_string_equal(ids(), "a/b");
	bed_want(&b, "GET", "/v1/jobs?prefix=zzz", NULL, 200, "[]");
}

CASE(jobs_of_all_namespaces_are_listed)
{
	bed_want(&b, "PUT", "/v1/namespace", "{\"Name\":\"aaa\"}", 200, "");
	bed_want(&b, "POST", "/v1/jobs?namespace=aaa", bed_job(&b, "web", ""), 200, NULL);
	jobs(2);
	bed_want(&b, "GET", "/v1/jobs?namespace=*", NULL, 200, NULL);
	assert_string_equal(ids(), "web job-00 job-01");
	bed_is(&b, "0.Namespace", "\"aaa\"");
	bed_want(&b, "GET", "/v1/jobs?namespace=*&prefix=job-01", NULL, 200, NULL);
	assert_string_equal(ids(), "job-01");
	bed_want(&b, "GET", "/v1/jobs?namespace=no", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/evaluations?namespace=aaa", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.JobID", "\"web\"");
	bed_want(&b, "GET", "/v1/evaluations?namespace=*", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
}

CASE(a_filter_picks_elements)
{
	jobs(3);
	bed_register(&b, "other", "'Priority':77,'Type':'batch','Meta':{'team':'red'},");
	bed_want(&b, "GET", "/v1/jobs?filter=Priority%20==%2077", NULL, 200, NULL);
	assert_string_equal(ids(), "other");
	bed_want(&b, "GET", "/v1/jobs?filter=Type%20!=%20%22batch%22", NULL, 200, NULL);
	assert_string_equal(ids(), "job-00 job-01 job-02");
	/* What only the whole job has. */
	bed_want(&b, "GET", "/v1/jobs?filter=AllAtOnce%20==%20false", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 4);
	/* What elements have only if it is asked for. */
	bed_want(&b, "GET", "/v1/jobs?filter=Meta.team%20==%20%22red%22", NULL, 200, NULL);
	assert_string_equal(ids(), "other");
	bed_is(&b, "0.Meta", "none");
	bed_want(&b, "GET", "/v1/jobs?filter=Nonsense%20==%201", NULL, 400, NULL);
	assert_non_null(strstr(bed_text(&b), "failed to read filter expression: "));
	bed_want(&b, "GET", "/v1/jobs?filter=((", NULL, 400, NULL);
	bed_want(&b, "GET", "/v1/evaluations?filter=JobID%20==%20%22other%22", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/evaluations/count?filter=JobID%20!=%20%22other%22", NULL, 200, "{\"Count\":3}");
	bed_want(&b, "GET", "/v1/evaluations/count", NULL, 200, "{\"Count\":4}");
	bed_want(&b, "GET", "/v1/evaluations/count?job=other", NULL, 200, "{\"Count\":1}");
}

CASE(a_filter_that_takes_too_long_is_refused)
{
	char *text = arena_calloc(&b.kit.mem, 1, 3501);

	memset(text, 'x', 3500);
	jobs(1);
	bed_register(&b, "web", arena_printf(&b.kit.mem, "'Meta':{'long':'%s'},", text));
	bed_want(&b, "GET", "/v1/jobs?filter=Meta.long%20matches%20%22(x%3F)%7B900%7Dx%7B900%7Dy%22", NULL, 400,
		 "failed to evaluate filter expression: its regular expressions take too long");
	bed_want(&b, "GET", "/v1/jobs?filter=Meta.long%20matches%20%22(x*)*(x*)*y%22", NULL, 200, "[]");
}

/* In the list these are bools, in the job objects: filters may mean either. */
CASE(filters_tell_periodic_and_parameterized_jobs)
{
	jobs(1);
	bed_register(&b, "par", "'Type':'batch','ParameterizedJob':{'Payload':'optional'},");
	bed_register(&b, "per", "'Type':'batch','Periodic':{'Enabled':true,'Spec':'0 0 1 1 *'},");
	bed_want(&b, "GET", "/v1/jobs?filter=Periodic%20is%20not%20empty", NULL, 200, NULL);
	assert_string_equal(ids(), "per");
	bed_want(&b, "GET", "/v1/jobs?filter=Periodic.Spec%20==%20%220%200%201%201%20*%22", NULL, 200, NULL);
	assert_string_equal(ids(), "per");
	bed_want(&b, "GET", "/v1/jobs?filter=Periodic%20==%20true", NULL, 200, NULL);
	assert_string_equal(ids(), "per");
	bed_want(&b, "GET", "/v1/jobs?filter=ParameterizedJob%20is%20not%20empty%20and%20ParentID%20==%20%22%22", NULL,
		 200, NULL);
	assert_string_equal(ids(), "par");
	bed_want(&b, "GET", "/v1/jobs?filter=ParameterizedJob%20is%20empty%20and%20Periodic%20is%20empty", NULL, 200,
		 NULL);
	assert_string_equal(ids(), "job-00");
	bed_want(&b, "GET", "/v1/jobs/statuses?filter=Periodic%20is%20not%20empty", NULL, 200, NULL);
	assert_string_equal(ids(), "per");
	bed_want(&b, "GET", "/v1/jobs?filter=Periodic%20==%205", NULL, 400, NULL);
}

/* extended/list_pages */
CASE(a_list_comes_in_pages)
{
	const char *all;

	jobs(5);
	assert_int_equal(pages("/v1/jobs?per_page=2", &all), 3);
	assert_string_equal(all, "job-00 job-01 job-02 job-03 job-04");
	assert_int_equal(pages("/v1/jobs?per_page=5", &all), 1);
	assert_int_equal(pages("/v1/jobs?per_page=4", &all), 2);
	assert_int_equal(pages("/v1/jobs?per_page=2&reverse=true", &all), 3);
	assert_string_equal(all, "job-04 job-03 job-02 job-01 job-00");
	assert_int_equal(pages("/v1/jobs?per_page=1&namespace=*&filter=ID%20!=%20%22job-02%22", &all), 4);
	assert_string_equal(all, "job-00 job-01 job-03 job-04");
	assert_int_equal(pages("/v1/jobs?per_page=2&prefix=job-0", &all), 3);
	bed_want(&b, "GET", "/v1/jobs?per_page=2", NULL, 200, NULL);
	assert_string_equal(b.last.res.next_token, "default.job-02");
	bed_want(&b, "GET", "/v1/jobs?per_page=2&next_token=%25zz", NULL, 400, NULL);
	assert_int_equal(pages("/v1/namespaces?per_page=1", &all), 1);
	assert_int_equal(pages("/v1/node/pools?per_page=1", &all), 2);
}

CASE(page_tokens_hold_any_id)
{
	const char *all;

	bed_register(&b, "a%2fb", "");
	bed_register(&b, "a&b=c", "");
	bed_register(&b, "a+b", "");
	bed_register(&b, "a.b", "");
	bed_register(&b, "a.b.c", "");
	bed_register(&b, "a/b", "");
	bed_register(&b, "a~2fb", "");
	bed_register(&b, "\xc3\xa4", "");
	assert_int_equal(pages("/v1/jobs?per_page=1", &all), 8);
	assert_string_equal(all, "a%2fb a&b=c a+b a.b a.b.c a/b a~2fb \xc3\xa4");
	bed_want(&b, "GET", "/v1/jobs?per_page=1&next_token=default.a.b.c", NULL, 200, NULL);
	assert_string_equal(ids(), "a.b.c");
}

/* Those by age and by ID, whose tokens are other ones. */
CASE(lists_by_age_come_in_pages)
{
	static const char *const paths[] = {"/v1/allocations?per_page=2", "/v1/evaluations?per_page=2",
					    "/v1/deployments?per_page=2", "/v1/jobs/statuses?per_page=2",
					    "/v1/nodes?per_page=2"};
	struct uuid allocs[5];

	jobs(5);
	for (unsigned i = 0; i < 5; i++) {
		const char *job = arena_printf(&b.kit.mem, "job-%02u", i);

		bed_place(&b, job, 1, &allocs[i]);
		kit_deployment(&b.kit, job, 1, 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		const char *forwards, *backwards, *whole;

		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%.*s", (int)strcspn(paths[i], "?"), paths[i]), NULL, 200,
			 NULL);
		whole = ids();
		assert_int_equal(pages(paths[i], &forwards), 3);
		assert_string_equal(forwards, whole);
		assert_int_equal(pages(arena_printf(&b.kit.mem, "%s&reverse=true", paths[i]), &backwards), 3);
		assert_int_equal(strlen(backwards), strlen(forwards));
		assert_memory_equal(backwards + strlen(backwards) - 4, forwards + strcspn(forwards, " ") - 4, 4);
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s&next_token=nonsense", paths[i]), NULL, 400, NULL);
		assert_non_null(strstr(bed_text(&b), "next_token"));
	}
	bed_want(&b, "GET", "/v1/allocations", NULL, 200, NULL);
	for (unsigned i = 0; i < 5; i++) {
		char text[UUID_TEXT];

		uuid_format(&allocs[i], text);
		assert_memory_equal(ids() + i * UUID_TEXT, text, UUID_TEXT - 1); /* The oldest first. */
	}
}

/* What belongs to a job, an evaluation, a deployment or a node is told whole, whatever is asked. */
CASE(lists_of_one_thing_have_no_pages)
{
	struct uuid allocs[3];
	struct uuid deployment, eval, node;
	const char *targets[6];

	bed_register(&b, "web", "");
	eval = kit_newest_eval(&b.kit, "web")->id;
	deployment = kit_deployment(&b.kit, "web", 3, 0);
	node = bed_place(&b, "web", 3, allocs);
	bed_want(&b, "POST", "/v1/job/web/evaluate", NULL, 200, NULL);
	kit_deployment(&b.kit, "web", 3, 0);
	targets[0] = "/v1/job/web/allocations";
	targets[1] = "/v1/job/web/evaluations";
	targets[2] = "/v1/job/web/deployments";
	targets[3] = arena_printf(&b.kit.mem, "/v1/evaluation/%s/allocations", kit_text(&b.kit, &eval));
	targets[4] = arena_printf(&b.kit.mem, "/v1/deployment/allocations/%s", kit_text(&b.kit, &deployment));
	targets[5] = arena_printf(&b.kit.mem, "/v1/node/%s/allocations", kit_text(&b.kit, &node));
	for (unsigned i = 0; i < 6; i++) {
		const char *whole;

		bed_want(&b, "GET", targets[i], NULL, 200, NULL);
		whole = ids();
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?per_page=1&next_token=7.x", targets[i]), NULL, 200,
			 NULL);
		assert_string_equal(ids(), whole);
		assert_null(b.last.res.next_token);
		bed_want(&b, "GET", arena_printf(&b.kit.mem, "%s?reverse=true", targets[i]), NULL, 200, NULL);
		assert_int_equal(strlen(ids()), strlen(whole));
	}
}

/* ---- what takes longer ---- */

enum { MANY = 1500, TOO_MANY = 4000 };

static void many_jobs(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct job *job = kit_job(&b.kit, arena_printf(&b.kit.mem, "many-%04u", i), "service");

		kit_quick(&b.kit, COMMAND_JOB_REGISTER, kit_registration(&b.kit, job));
	}
}

/* Each look at the clock costs a little here: so a list takes many slices. */
CASE(a_long_list_is_rendered_in_slices)
{
	struct kept slow;
	struct kept quick;

	many_jobs(MANY);
	b.tick_ns = NS_PER_MS / 8;
	bed_start(&b, &slow, "GET", "/v1/evaluations", NULL);
	assert_int_equal(slow.answers, 0);
	bed_start(&b, &quick, "GET", "/v1/job/many-0000", NULL);
	assert_int_equal(quick.answers, 1);
	bed_pump(&b);
	assert_int_equal(slow.answers, 1);
	b.last = slow;
	b.has_last = true;
	assert_int_equal(bed_length(&b, ""), MANY);
	kept_close(&quick);
}

CASE(the_same_list_is_rendered_once_for_all_who_wait)
{
	struct kept all[10];
	struct api_stats s;
	uint64_t before;
	size_t len;

	many_jobs(MANY);
	api_get_stats(b.api, &s);
	before = s.rendered;
	b.tick_ns = NS_PER_MS / 8;
	for (unsigned i = 0; i < 10; i++) {
		bed_start(&b, &all[i], "GET", "/v1/evaluations", NULL);
	}
	all[3].req.gone = true; /* Some leave meanwhile: one that waits, and the one for whom it is rendered. */
	all[3].req.gone_cb(&all[3].req);
	all[0].req.gone = true;
	all[0].req.gone_cb(&all[0].req);
	bed_pump(&b);
	api_get_stats(b.api, &s);
	assert_int_equal(s.rendered, before + 1);
	len = all[1].body.len;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(all[i].answers, 1);
		if (i != 3) {
			assert_int_equal(all[i].body.len, len);
		}
		kept_close(&all[i]);
	}
}

/* Lists that are being rendered have bounded memory; those that wait for it all get their turn. */
CASE(a_crowd_of_lists_is_answered)
{
	enum { LISTS = 300, ALIKE = 600 };
	struct kept *all = calloc(LISTS + ALIKE, sizeof(*all));
	struct api_stats s;

	jobs(3);
	b.tick_ns = NS_PER_MS;
	for (unsigned i = 0; i < LISTS + ALIKE; i++) {
		const char *target = i < LISTS ? arena_printf(&b.kit.mem, "/v1/jobs?nothing=%u", i) : "/v1/jobs";

		bed_start(&b, &all[i], "GET", target, NULL);
	}
	api_get_stats(b.api, &s);
	assert_true(s.rendering > 200 && s.rendering <= 256);
	bed_pump(&b);
	for (unsigned i = 0; i < LISTS + ALIKE; i++) {
		assert_int_equal(all[i].answers, 1);
		assert_int_equal(all[i].res.status, 200);
		kept_close(&all[i]);
	}
	free(all);
}

CASE(a_list_too_long_for_one_body_is_streamed)
{
	struct api_stats s;
	struct kept k;

	many_jobs(TOO_MANY);
	bed_start(&b, &k, "GET", "/v1/jobs", NULL);
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.ends, 1);
	assert_true(k.whole);
	assert_int_equal(k.res.has, HTTP_HAS_READ);
	b.last = k;
	b.has_last = true;
	assert_int_equal(bed_length(&b, ""), TOO_MANY);
	api_get_stats(b.api, &s);
	assert_int_equal(s.streamed, 1);
	assert_int_equal(s.rendering, 0);
}

CASE(a_stream_waits_for_its_client)
{
	struct api_stats s;
	struct kept slow;
	struct kept gone;

	many_jobs(TOO_MANY);
	b.tick_ns = NS_PER_MS / 8;
	bed_start(&b, &slow, "GET", "/v1/jobs", NULL);
	slow.full = true;
	bed_start(&b, &gone, "GET", "/v1/jobs?reverse=true", NULL);
	gone.full = true;
	bed_pump(&b);
	assert_int_equal(slow.ends, 0);
	assert_int_equal(gone.answers, 1);
	gone.req.gone = true;
	gone.req.gone_cb(&gone.req);
	assert_int_equal(gone.ends, 1);
	assert_false(gone.whole);
	for (unsigned turns = 0; slow.ends == 0; turns++) {
		assert_true(turns < 1000);
		slow.req.drain_cb(&slow.req);
		bed_pump(&b);
	}
	assert_true(slow.whole);
	api_get_stats(b.api, &s);
	assert_int_equal(s.rendering, 0);
	b.last = slow;
	b.has_last = true;
	assert_int_equal(bed_length(&b, ""), TOO_MANY);
	kept_close(&gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(reads_tell_index_and_leader),
		T(what_is_not_there_is_told_with_the_index),
		T(bad_options_are_refused),
		T(pretty_answers_are_indented),
		T(reads_are_as_new_as_they_ask),
		T(reads_that_come_together_share_a_question),
		T(questions_under_way_are_few),
		T(a_body_is_rendered_once),
		T(a_kept_body_is_that_of_its_parameters),
		T(jobs_are_listed_by_id),
		T(jobs_of_all_namespaces_are_listed),
		T(a_filter_picks_elements),
		T(a_filter_that_takes_too_long_is_refused),
		T(filters_tell_periodic_and_parameterized_jobs),
		T(a_list_comes_in_pages),
		T(page_tokens_hold_any_id),
		T(lists_by_age_come_in_pages),
		T(lists_of_one_thing_have_no_pages),
		T(a_long_list_is_rendered_in_slices),
		T(the_same_list_is_rendered_once_for_all_who_wait),
		T(a_crowd_of_lists_is_answered),
		T(a_list_too_long_for_one_body_is_streamed),
		T(a_stream_waits_for_its_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
