/* What must hold of any job, with random ones: SEED repeats a run. */
#include "test/unit/unit.h"

#include "test/unit/proto/random_job.h"
#include "test/unit/server/api_case.h"

enum { JOBS = 150 };

static uint64_t seed;

static const char *body_of(const char *more, const char *job)
{
	return arena_printf(&b.kit.mem, "{%s\"Job\":%s}", more, job);
}

static void same_version(const char *id, const char *first, const char *job)
{
	bed_want(&b, "GET", bed_quote(&b, "/v1/job/%s", id), NULL, 200, NULL);
	if (strcmp(bed_json(&b, "Version"), "0") != 0 || strcmp(bed_json(&b, "JobModifyIndex"), first) != 0) {
		fail_msg("a new version of %s", job);
	}
	bed_want(&b, "GET", bed_quote(&b, "/v1/job/%s/versions", id), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, "Versions"), 1);
}

static void plan_is_none(const char *id, const char *job)
{
	if (bed_ask(&b, "POST", bed_quote(&b, "/v1/job/%s/plan", id), body_of("\"Diff\":true,", job)) != 200) {
		fail_msg("%s: %s", bed_text(&b), job);
	}
	if (strcmp(bed_json(&b, "Diff.Type"), "\"None\"") != 0) {
		fail_msg("differs from itself: %s\n%s", bed_json(&b, "Diff"), job);
	}
	bed_is(&b, "Diff.Fields", "null");
	bed_is(&b, "Diff.Objects", "null");
}

static void check_job(const char *id, const char *job)
{
	const char *first;
	const char *read;
	const char *again; /* As a client writes what it has read. */

	if (bed_ask(&b, "POST", "/v1/jobs", body_of("", job)) != 200) {
		fail_msg("%s: %s", bed_text(&b), job);
	}
	bed_want(&b, "GET", bed_quote(&b, "/v1/job/%s", id), NULL, 200, NULL);
	first = bed_json(&b, "JobModifyIndex");
	read = arena_strdup(&b.kit.mem, bed_text(&b));
	again = bed_json(&b, "");
	plan_is_none(id, read);
	plan_is_none(id, again);
	plan_is_none(id, job);
	bed_want(&b, "PUT", "/v1/jobs", body_of("", again), 200, NULL);
	same_version(id, first, job);
	bed_want(&b, "POST", bed_quote(&b, "/v1/job/%s", id), body_of("", job), 200, NULL);
	same_version(id, first, job);
}

CASE(what_was_read_is_registered_without_a_change)
{
	uint64_t s = seed;

	for (int i = 0; i < JOBS; i++) {
		struct buf job = {0};
		const char *id = bed_quote(&b, "job%d", i);

		random_job(&s, id, &job);
		check_job(id, buf_text(&job));
		buf_close(&job);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_read_is_registered_without_a_change),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
