/* Evaluations: reading, counting and deleting them. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

#define U "deadbeef-0000-0000-0000-000000000000"

static const char *newest(const char *job)
{
	return kit_text(&b.kit, &kit_newest_eval(&b.kit, job)->id);
}

/* evaluations/list_holds_the_evaluation, list_by_prefix */
CASE(evaluations_are_listed)
{
	bed_register(&b, "web", "");
	bed_register(&b, "other", "");
	bed_want(&b, "GET", "/v1/evaluations", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.JobID", "\"web\""); /* The oldest first. */
	bed_want(&b, "GET", "/v1/evaluations?reverse=true", NULL, 200, NULL);
	bed_is(&b, "0.JobID", "\"other\"");
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluations?prefix=%.8s", newest("web")), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.ID", bed_quote(&b, "'%s'", newest("web")));
	bed_want(&b, "GET", "/v1/evaluations?job=other", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/evaluations?job=other&status=pending", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/evaluations?status=complete", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/job/web/evaluations", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/job/no/evaluations", NULL, 200, "[]");
}

/* evaluations/read */
CASE(an_evaluation_is_read)
{
	bed_register(&b, "web", "");
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%s", newest("web")), NULL, 200, NULL);
	bed_is(&b, "TriggeredBy", "\"job-register\"");
	bed_is(&b, "Status", "\"pending\"");
	bed_is(&b, "Type", "\"service\"");
	bed_is(&b, "Priority", "50");
	assert_int_equal(bed_number(&b, "ModifyIndex"), b.last.res.index);
	bed_is(&b, "RelatedEvals", "none");
	bed_want(&b, "GET", "/v1/evaluation/" U "?related=perhaps", NULL, 400, NULL);
}

CASE(related_evaluations_are_told_if_asked_for)
{
	const char *first, *second;
	struct evaluation *e;

	bed_register(&b, "web", "");
	first = newest("web");
	bed_want(&b, "POST", "/v1/job/web/evaluate", NULL, 200, NULL);
	second = newest("web");
	e = kit_eval(&b.kit, &kit_newest_eval(&b.kit, "web")->id, "complete", 0);
	e->previous_eval = first;
	kit_put_eval(&b.kit, e);
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%s?related=true", second), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, "RelatedEvals"), 1);
	bed_is(&b, "RelatedEvals.0.ID", bed_quote(&b, "'%s'", first));
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%s", second), NULL, 200, NULL);
	bed_is(&b, "RelatedEvals", "none");
}

static void pause_broker(void)
{
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration",
		 "{\"SchedulerAlgorithm\":\"binpack\",\"PauseEvalBroker\":true}", 200, NULL);
}

static void end_evals(const char *job)
{
	kit_put_eval(&b.kit, kit_eval(&b.kit, &kit_newest_eval(&b.kit, job)->id, "complete", 0));
}

CASE(evaluations_are_deleted_while_the_broker_is_paused)
{
	const char *body;

	bed_register(&b, "web", "");
	end_evals("web");
	body = bed_quote(&b, "{'EvalIDs':['%s']}", newest("web"));
	bed_want(&b, "DELETE", "/v1/evaluations", body, 500,
		 "eval broker is enabled; eval broker must be paused to delete evals");
	pause_broker();
	bed_want(&b, "DELETE", "/v1/evaluations", NULL, 400, "Request body is empty");
	bed_want(&b, "DELETE", "/v1/evaluations", "{}", 400, "evals must be deleted by either ID or filter");
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"EvalIDs\":[\"" U "\"],\"Filter\":\"a\"}", 400,
		 "evals cannot be deleted by both ID and filter");
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"EvalIDs\":[\"xyz\"]}", 500, NULL);
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"Filter\":\"((\"}", 400, NULL);
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"EvalIDs\":[\"" U "\"]}", 500, "eval not found");
	bed_want(&b, "DELETE", "/v1/evaluations", body, 200, NULL);
	bed_is(&b, "Count", "1");
	assert_int_equal(bed_number(&b, "Index"), b.last.res.index);
	bed_want(&b, "GET", "/v1/evaluations", NULL, 200, "[]");
}

/* What waits is what operators delete; what running allocations came of stays. */
CASE(open_evaluations_are_deleted_and_needed_ones_stay)
{
	const char *needed;
	struct uuid alloc;

	bed_register(&b, "web", "");
	needed = newest("web");
	bed_place(&b, "web", 1, &alloc);
	kit_report(&b.kit, &alloc, "running");
	bed_register(&b, "idle", "");
	pause_broker();
	bed_want(&b, "DELETE", "/v1/evaluations", bed_quote(&b, "{'EvalIDs':['%s']}", needed), 500,
		 bed_quote(&b, "eval %s is not safe to delete", needed));
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"Filter\":\"Status == `pending`\"}", 200, NULL);
	bed_is(&b, "Count", "1");
	bed_want(&b, "GET", "/v1/job/idle/evaluations", NULL, 200, "[]");
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%s", needed), NULL, 200, NULL);
}

enum { MANY = 1300 };

static void many(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct job *job = kit_job(&b.kit, arena_printf(&b.kit.mem, "many-%04u", i), "service");
		struct eval_updates p;

		kit_quick(&b.kit, COMMAND_JOB_REGISTER, kit_registration(&b.kit, job));
		object_init(&eval_updates_type, &p);
		p.evals.at = kit_eval(&b.kit, &kit_newest_eval(&b.kit, job->id)->id, "complete", 0);
		p.evals.n = 1;
		kit_quick(&b.kit, COMMAND_EVALS, &p);
	}
}

/* Picked in slices, and deleted by commands of a bounded size. */
CASE(many_evaluations_are_deleted_by_a_filter)
{
	struct api_stats s;

	many();
	bed_register(&b, "web", "");
	end_evals("web");
	pause_broker();
	b.writes = 0;
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"Filter\":\"JobID matches `many-.*`\"}", 200, NULL);
	assert_int_equal(bed_number(&b, "Count"), MANY);
	assert_int_equal(b.writes, 3);
	bed_want(&b, "GET", "/v1/evaluations", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "DELETE", "/v1/evaluations", "{\"Filter\":\"JobID == `none`\"}", 200, "{\"Count\":0,\"Index\":0}");
	api_get_stats(b.api, &s);
	assert_int_equal(s.rendering, 0);
}

/* Some are gone already: it is not begun anew, and the client is told. */
CASE(a_deletion_that_loses_its_leader_ends)
{
	struct kept k;

	many();
	pause_broker();
	b.hold = true;
	bed_start(&b, &k, "DELETE", "/v1/evaluations", "{\"Filter\":\"JobID matches `many-.*`\"}");
	while (b.n_calls == 0) {
		b.now += NS_PER_MS;
		api_run(b.api);
	}
	b.write_status = ERR_NOTLEADER; /* The first command was carried out. */
	b.hold = false;
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 500);
	assert_string_equal(buf_text(&k.body), "No cluster leader");
	assert_int_equal(b.forwards, 0);
	kept_close(&k);
}

CASE(a_deletion_that_has_not_begun_follows_the_leadership)
{
	struct kept k;

	many();
	pause_broker();
	b.write_status = ERR_NOTLEADER;
	bed_start(&b, &k, "DELETE", "/v1/evaluations", "{\"Filter\":\"JobID matches `many-.*`\"}");
	bed_sleep(&b, SECOND);
	assert_int_equal(k.answers, 0);
	bed_lead(&b, false, true);
	bed_pump(&b);
	assert_ptr_equal(b.forwarded, &k.req);
	bed_answer(&b, 200, "there");
	kept_close(&k);
}

CASE(a_stop_ends_the_picking_of_evaluations)
{
	struct kept k;

	many();
	pause_broker();
	bed_start(&b, &k, "DELETE", "/v1/evaluations", "{\"Filter\":\"JobID matches `many-.*`\"}");
	api_stop(b.api);
	b.write_status = ERR_CLOSED;
	bed_pump(&b);
	bed_sleep(&b, SECOND);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 503);
	kept_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(evaluations_are_listed),
		T(an_evaluation_is_read),
		T(related_evaluations_are_told_if_asked_for),
		T(evaluations_are_deleted_while_the_broker_is_paused),
		T(open_evaluations_are_deleted_and_needed_ones_stay),
		T(many_evaluations_are_deleted_by_a_filter),
		T(a_deletion_that_loses_its_leader_ends),
		T(a_deletion_that_has_not_begun_follows_the_leadership),
		T(a_stop_ends_the_picking_of_evaluations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
