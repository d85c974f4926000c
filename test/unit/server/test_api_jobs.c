/* Registering, changing and stopping jobs by the API. The names of conformance cases stand beside the tests. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

/* jobs_register/minimal_service_job */
CASE(a_registration_tells_of_job_and_evaluation)
{
	bed_want(&b, "POST", "/v1/jobs", bed_job(&b, "web", ""), 200, NULL);
	assert_int_equal(bed_number(&b, "EvalCreateIndex"), bed_number(&b, "JobModifyIndex"));
	assert_int_equal(b.last.res.index, bed_number(&b, "JobModifyIndex"));
	assert_int_equal(b.last.res.has, HTTP_HAS_INDEX);
	assert_int_equal(strlen(bed_json(&b, "EvalID")), 38);
	bed_is(&b, "Warnings", "\"\"");
	bed_is(&b, "KnownLeader", "false");
	bed_is(&b, "LastContact", "0");
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	bed_is(&b, "ID", "\"web\"");
	bed_is(&b, "Name", "\"web\"");
	bed_is(&b, "Type", "\"service\"");
	bed_is(&b, "Version", "0");
	bed_is(&b, "Stop", "false");
	bed_is(&b, "Region", "\"global\"");
	bed_is(&b, "Priority", "50");
	bed_is(&b, "TaskGroups.0.Update.MaxParallel", "1");
}

/* jobs_register/put_is_post, changed_job_gets_next_version, unchanged_job_keeps_version_but_makes_an_evaluation */
CASE(versions_grow_with_changes_alone)
{
	long long first;
	const char *eval;

	bed_want(&b, "PUT", "/v1/jobs", bed_job(&b, "web", ""), 200, NULL);
	first = bed_number(&b, "JobModifyIndex");
	eval = bed_json(&b, "EvalID");
	bed_register(&b, "web", "");
	assert_string_not_equal(bed_json(&b, "EvalID"), eval);
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "Version", "0");
	assert_int_equal(bed_number(&b, "JobModifyIndex"), first);
	for (int n = 1; n <= 3; n++) {
		long long index = bed_register(&b, "web", bed_quote(&b, "'Priority':%d,", 50 + n));

		bed_ask(&b, "GET", "/v1/job/web", NULL);
		assert_int_equal(bed_number(&b, "Version"), n);
		assert_int_equal(bed_number(&b, "Priority"), 50 + n);
		assert_int_equal(bed_number(&b, "CreateIndex"), first);
		assert_int_equal(bed_number(&b, "JobModifyIndex"), index);
	}
}

/* jobs_register/unknown_fields_are_ignored, client_set_status_and_indexes_are_ignored */
CASE(what_servers_set_is_not_taken_from_clients)
{
	long long index = bed_register(&b, "web",
				       "'CreateIndex':5,'ModifyIndex':6,'JobModifyIndex':7,'Status':'dead',"
				       "'SubmitTime':99,'Nobody':{'a':[1]},");

	bed_ask(&b, "GET", "/v1/job/web", NULL);
	assert_int_equal(bed_number(&b, "CreateIndex"), index);
	assert_int_equal(bed_number(&b, "JobModifyIndex"), index);
	bed_is(&b, "Status", "\"pending\"");
	bed_is(&b, "Nobody", "none");
	assert_true(bed_number(&b, "SubmitTime") > 1000000);
}

static const char *cas(const char *id, const char *more, bool enforce, long long index)
{
	const char *job = bed_job(&b, id, more);

	return bed_quote(&b, "{'EnforceIndex':%s,'JobModifyIndex':%lld,%s", enforce ? "true" : "false", index, job + 1);
}

/* jobs_register/cas_*, jobs_update/enforce_index_as_a_number_is_refused */
CASE(check_and_set_guards_a_registration)
{
	long long index;

	bed_want(&b, "POST", "/v1/jobs", cas("web", "", true, 77), 500,
		 "Enforcing job modify index 77: job does not exist");
	bed_want(&b, "GET", "/v1/job/web", NULL, 404, "job not found");
	bed_want(&b, "POST", "/v1/jobs", cas("web", "", true, 0), 200, NULL);
	index = bed_number(&b, "JobModifyIndex");
	bed_want(&b, "POST", "/v1/jobs", cas("web", "'Priority':60,", true, 0), 500,
		 "Enforcing job modify index 0: job already exists");
	bed_want(&b, "POST", "/v1/jobs", cas("web", "'Priority':60,", true, index + 5), 500,
		 arena_printf(&b.kit.mem,
			      "Enforcing job modify index %lld: job exists with conflicting job modify index: %lld",
			      index + 5, index));
	bed_want(&b, "POST", "/v1/job/web", cas("web", "'Priority':60,", true, index), 200, NULL);
	bed_want(&b, "POST", "/v1/jobs", cas("web", "'Priority':61,", false, 12345), 200, NULL);
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "Version", "2");
	bed_want(&b, "POST", "/v1/job/web", bed_quote(&b, "{'EnforceIndex':1,%s", bed_job(&b, "web", "") + 1), 400,
		 NULL);
}

struct refusal {
	const char *job; /* Or the whole body, if it begins with a star. */
	int status;
	const char *piece;
};

/* jobs_register/refuses_*, body_* */
CASE(bad_registrations_are_refused)
{
	static const struct refusal cases[] = {
		{"*", 400, "Request body is empty"},
		{"*{'Job':{'ID':", 400, ""},
		{"*job", 400, ""},
		{"*{'Job':null}", 400, "Job must be specified"},
		{"*{}", 400, "Job must be specified"},
		{"*null", 400, "Job must be specified"},
		{"*[]", 400, ""},
		{"*{'Job':'x'}", 400, ""},
		{"*{'Job':{'Name':'x'}}", 400, "Job ID hasn't been provided"},
		{"*{'Job':{'ID':null}}", 400, "Job ID hasn't been provided"},
		{"*{'Job':{'ID':5}}", 400, "Job.ID"},
		{"*{'Job':{'ID':'x','TaskGroups':[{'Name':'g','Count':'two'}]}}", 400, "TaskGroups[0].Count"},
		{"*{'Job':{'ID':''}}", 500,
		 "3 errors occurred:\n\t* Missing job ID\n\t* Missing job name\n\t* Missing job task groups"},
		{"'Type':'weird',", 500, "1 error occurred:\n\t* Invalid job type: \"weird\""},
		{"'Priority':101,", 500, "job priority must be between [1, 100]"},
		{"'Name':'',", 500, "Missing job name"},
		{"'Region':'mars',", 500, "No path to region"},
		{"'Payload':'eA==',", 500, "job can't be submitted with a payload, only dispatched"},
		{"'Namespace':'other',", 500, "job \"web\" is in nonexistent namespace \"other\""},
		{"'NodePool':'other',", 500, "job \"web\" is in nonexistent node pool \"other\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *body = cases[i].job[0] == '*' ? bed_quote(&b, "%s", cases[i].job + 1)
							  : bed_job(&b, "web", cases[i].job);
		int status = bed_ask(&b, "POST", "/v1/jobs", body[0] != '\0' ? body : NULL);

		if (status != cases[i].status || strstr(bed_text(&b), cases[i].piece) == NULL ||
		    bed_text(&b)[0] == '\0') {
			fail_msg("%s: %d %s", cases[i].job, status, bed_text(&b));
		}
		assert_string_equal(b.last.res.type, "text/plain; charset=utf-8");
		bed_want(&b, "GET", "/v1/job/web", NULL, 404, "job not found");
	}
}

/* jobs_update/id_of_path_and_body_must_match, body_without_job */
CASE(the_path_names_the_job)
{
	bed_want(&b, "POST", "/v1/job/other", bed_job(&b, "web", ""), 400, "Job ID does not match name");
	bed_want(&b, "POST", "/v1/job/web", "{}", 400, "Job must be specified");
	bed_want(&b, "POST", "/v1/job/web", "{\"Job\":{}}", 400, "Job ID hasn't been provided");
	bed_want(&b, "POST", "/v1/job/web", NULL, 400, "Request body is empty");
	bed_want(&b, "POST", "/v1/job/a%2Fb", bed_job(&b, "a/b", ""), 200, NULL);
	bed_want(&b, "GET", "/v1/job/a%2Fb", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/job/a/b", NULL, 200, NULL);
	bed_is(&b, "ID", "\"a/b\"");
}

/* extended/namespace_parameter */
CASE(namespaces_are_apart)
{
	bed_want(&b, "PUT", "/v1/namespace", "{\"Name\":\"other\",\"Description\":\"d\"}", 200, "");
	bed_want(&b, "POST", "/v1/jobs?namespace=other", bed_job(&b, "web", "'Namespace':'default',"), 200, NULL);
	bed_want(&b, "GET", "/v1/job/web", NULL, 404, "job not found");
	bed_want(&b, "GET", "/v1/job/web?namespace=other", NULL, 200, NULL);
	bed_is(&b, "Namespace", "\"other\"");
	bed_register(&b, "web", "");
	bed_ask(&b, "GET", "/v1/jobs?namespace=*&prefix=we", NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_ask(&b, "GET", "/v1/jobs", NULL);
	assert_int_equal(bed_length(&b, ""), 1);
}

CASE(a_namespace_says_what_its_jobs_may)
{
	bed_want(&b, "PUT", "/v1/node/pools", "{\"Name\":\"gpu\"}", 200, "");
	bed_want(&b, "PUT", "/v1/namespace/other",
		 "{\"Capabilities\":{\"DisabledTaskDrivers\":[\"exec\"]},"
		 "\"NodePoolConfiguration\":{\"Default\":\"gpu\",\"Denied\":[\"all\"]}}",
		 200, "");
	bed_want(&b, "POST", "/v1/jobs?namespace=other", bed_job(&b, "web", ""), 200, NULL);
	bed_ask(&b, "GET", "/v1/job/web?namespace=other", NULL);
	bed_is(&b, "NodePool", "\"gpu\"");
	bed_ask(&b, "POST", "/v1/jobs?namespace=other", bed_job(&b, "web", "'NodePool':'all',"));
	assert_non_null(strstr(bed_text(&b), "does not allow jobs to use node pool \"all\""));
	bed_want(&b, "PUT", "/v1/namespace/other", "{\"Capabilities\":{\"EnabledTaskDrivers\":[\"exec\"]}}", 200, "");
	bed_ask(&b, "POST", "/v1/jobs?namespace=other", bed_job(&b, "web", ""));
	assert_non_null(strstr(bed_text(&b), "used task driver \"raw_exec\" is not allowed"));
}

CASE(counts_and_resources_can_be_preserved)
{
	const char *small = bed_quote(&b, "{'PreserveCounts':true,'PreserveResources':true,%s",
				      bed_job(&b, "web", "'Priority':60,") + 1);

	bed_want(&b, "POST", "/v1/jobs",
		 bed_quote(&b,
			   "{'Job':{'ID':'web','TaskGroups':[{'Name':'g','Count':7,'Tasks':[{'Name':'t',"
			   "'Driver':'raw_exec','Config':{'command':'x'},'Resources':{'CPU':55,'MemoryMB':66}}]}]}}"),
		 200, NULL);
	bed_want(&b, "POST", "/v1/jobs", small, 200, NULL);
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "Priority", "60");
	bed_is(&b, "TaskGroups.0.Count", "7");
	bed_is(&b, "TaskGroups.0.Tasks.0.Resources.CPU", "55");
	bed_is(&b, "TaskGroups.0.Tasks.0.Resources.MemoryMB", "66");
}

CASE(the_source_is_kept_with_its_version)
{
	const char *body = bed_quote(&b, "{'Submission':{'Source':'job {}','Format':'hcl2','Variables':'a=1'},%s",
				     bed_job(&b, "web", "") + 1);

	bed_want(&b, "GET", "/v1/job/web/submission", NULL, 404, "job source not found");
	bed_want(&b, "POST", "/v1/jobs", body, 200, NULL);
	bed_register(&b, "web", "'Priority':60,");
	bed_want(&b, "GET", "/v1/job/web/submission", NULL, 404, "job source not found");
	bed_want(&b, "GET", "/v1/job/web/submission?version=0", NULL, 200, NULL);
	bed_is(&b, "Source", "\"job {}\"");
	bed_is(&b, "Variables", "\"a=1\"");
	bed_is(&b, "Version", "0");
	bed_want(&b, "GET", "/v1/job/web/submission?version=x", NULL, 400, NULL);
	bed_want(&b, "POST", "/v1/job/web/revert", bed_quote(&b, "{'JobID':'web','JobVersion':0}"), 200, NULL);
	bed_want(&b, "GET", "/v1/job/web/submission?version=2", NULL, 200, NULL);
	bed_is(&b, "Source", "\"job {}\"");
	bed_is(&b, "Version", "2");
	bed_want(&b, "POST", "/v1/job/web/revert", bed_quote(&b, "{'JobID':'web','JobVersion':1}"), 200, NULL);
	bed_want(&b, "GET", "/v1/job/web/submission?version=3", NULL, 404, "job source not found");
}

/* plan/warnings_are_reported */
CASE(warnings_are_told)
{
	const char *body = bed_quote(&b, "{'Job':{'ID':'web','TaskGroups':[{'Name':'g','Tasks':[{'Name':'t',"
					 "'Driver':'raw_exec','Config':{'command':'x'},'Resources':{'IOPS':5}}]}]}}");

	bed_want(&b, "POST", "/v1/jobs", body, 200, NULL);
	assert_non_null(strstr(bed_json(&b, "Warnings"), "IOPS"));
}

/* extended/validate */
CASE(validation_tells_all_faults_one_by_one)
{
	bed_want(&b, "POST", "/v1/validate/job", bed_job(&b, "web", ""), 200, NULL);
	bed_is(&b, "Error", "\"\"");
	bed_is(&b, "ValidationErrors", "null");
	bed_is(&b, "DriverConfigValidated", "true");
	bed_want(&b, "POST", "/v1/validate/job", bed_job(&b, "web", "'Type':'weird','Priority':999,"), 200, NULL);
	bed_is(&b, "ValidationErrors",
	       "[\"Invalid job type: \\\"weird\\\"\",\"job priority must be between [1, 100]\"]");
	bed_want(&b, "POST", "/v1/validate/job",
		 bed_quote(&b, "{'Job':{'ID':'x','Type':'weird','TaskGroups':[{'Name':'g','Tasks':[{'Name':'t'},"
			       "{'Name':'t','Driver':'d'}]}]}}"),
		 200, NULL);
	assert_int_equal(bed_length(&b, "ValidationErrors"), 2);
	assert_non_null(strstr(bed_json(&b, "ValidationErrors.1"), "redefines"));
	bed_want(&b, "POST", "/v1/validate/job", "{}", 400, "Job must be specified");
	assert_int_equal(b.writes, 0);
}

/* jobs_stop */
CASE(a_stop_keeps_the_job_and_a_purge_does_not)
{
	long long index;

	bed_register(&b, "web", "");
	bed_want(&b, "DELETE", "/v1/job/web", NULL, 200, NULL);
	index = bed_number(&b, "JobModifyIndex");
	assert_int_equal(b.last.res.index, index);
	assert_int_equal(strlen(bed_json(&b, "EvalID")), 38);
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "Stop", "true");
	bed_is(&b, "Version", "1");
	bed_want(&b, "DELETE", "/v1/job/web?purge=maybe", NULL, 500, NULL);
	assert_non_null(strstr(bed_text(&b), "Failed to parse value of \"purge\" (maybe) as a bool"));
	bed_want(&b, "DELETE", "/v1/job/web?purge=true", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/job/web", NULL, 404, "job not found");
	bed_want(&b, "GET", "/v1/job/web/summary", NULL, 404, "job not found");
	bed_want(&b, "GET", "/v1/job/web/versions", NULL, 404, "job versions not found");
	bed_want(&b, "DELETE", "/v1/job/web", NULL, 200, NULL);
	bed_is(&b, "EvalID", "\"\"");
	bed_is(&b, "JobModifyIndex", "0");
	bed_want(&b, "DELETE", "/v1/job/web?eval_priority=101", NULL, 400,
		 "Eval priority must be between 1 and 100 inclusively");
}

/* jobs_revert */
CASE(a_revert_registers_the_old_content_anew)
{
	for (int n = 0; n < 3; n++) {
		bed_register(&b, "web", bed_quote(&b, "'Priority':%d,", 50 + n));
	}
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"web\",\"JobVersion\":1}", 200, NULL);
	assert_int_equal(b.last.res.index, bed_number(&b, "JobModifyIndex"));
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "Version", "3");
	bed_is(&b, "Priority", "51");
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"web\",\"JobVersion\":3}", 500,
		 "can't revert to current version");
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"web\",\"JobVersion\":99}", 500,
		 "job \"web\" in namespace \"default\" at version 99 not found");
	bed_want(&b, "POST", "/v1/job/no/revert", "{\"JobID\":\"no\"}", 500, "job \"no\" not found");
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"web\",\"EnforcePriorVersion\":7}", 500,
		 "Current job has version 3; enforcing version 7");
	bed_want(&b, "POST", "/v1/job/web/revert", NULL, 400, "Request body is empty");
	bed_want(&b, "POST", "/v1/job/web/revert", "{}", 400, "JobID must be specified");
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"x\"}", 400, "Job ID does not match");
	bed_want(&b, "POST", "/v1/job/web/revert", "{nonsense", 400, NULL);
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"web\",\"JobVersion\":-1}", 400, NULL);
}

/* A revert has the headers of a read, and the stop of a parent an index, though it makes no evaluation. */
CASE(what_clients_know_of_reverts_and_stops)
{
	bed_register(&b, "web", "");
	bed_register(&b, "web", "'Priority':51,");
	bed_want(&b, "POST", "/v1/job/web/revert", "{\"JobID\":\"web\"}", 200, NULL);
	assert_int_equal(b.last.res.has, HTTP_HAS_READ);
	assert_false(b.last.res.known_leader);
	assert_int_equal(b.last.res.last_contact_ms, 0);
	assert_int_equal(bed_number(&b, "Index"), b.last.res.index);
	bed_register(&b, "per", "'Type':'batch','Periodic':{'Spec':'0 0 1 1 *'},");
	bed_want(&b, "DELETE", "/v1/job/per", NULL, 200, NULL);
	bed_is(&b, "EvalID", "\"\"");
	assert_int_equal(bed_number(&b, "EvalCreateIndex"), bed_number(&b, "JobModifyIndex"));
	assert_true(bed_number(&b, "JobModifyIndex") > 0);
	bed_want(&b, "DELETE", "/v1/job/nobody", NULL, 200, NULL);
	assert_int_equal(bed_number(&b, "EvalCreateIndex"), 0);
	assert_int_equal(bed_number(&b, "Index"), 0);
	assert_int_equal(b.last.res.index, 0);
	bed_register(&b, "bat", "'Type':'batch',");
	bed_want(&b, "DELETE", "/v1/job/bat", NULL, 200, NULL);
	bed_want(&b, "GET", bed_quote(&b, "/v1/evaluation/%s", arena_printf(&b.kit.mem, "%.36s", bed_json(&b, "EvalID") + 1)), NULL,
		 200, NULL);
	bed_is(&b, "Type", "\"service\"");
	bed_want(&b, "GET", "/v1/job/web/versions?diffs=true&diff_version=x", NULL, 500,
		 "Failed to parse value of \"diff_version\" (x) as a uint64: strconv.ParseUint: parsing \"x\": invalid syntax");
	bed_want(&b, "GET", "/v1/job/web/submission?version=x", NULL, 400,
		 "Unable to parse job submission version parameter");
	bed_want(&b, "POST", "/v1/jobs",
		 "{\"Job\":{\"ID\":\"sys\",\"Type\":\"system\",\"TaskGroups\":[{\"Name\":\"g\",\"Scaling\":{\"Max\":1}}]}}", 400,
		 "Task groups with job type system do not support scaling blocks");
}

/* Only children were dispatched, and only they have tokens. */
CASE(a_job_cannot_pretend_to_be_a_child)
{
	bed_register(&b, "web", "'DispatchIdempotencyToken':'t','ParentID':'x',");
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	bed_is(&b, "DispatchIdempotencyToken", "\"\"");
	bed_is(&b, "ParentID", "\"\"");
}

/* jobs_stable */
CASE(a_version_is_marked_as_stable)
{
	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/job/web/stable", "{\"JobID\":\"web\",\"JobVersion\":0,\"Stable\":true}", 200, NULL);
	assert_int_equal(bed_number(&b, "Index"), b.last.res.index);
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "Stable", "true");
	bed_register(&b, "web", "'Priority':60,");
	bed_ask(&b, "GET", "/v1/job/web/versions", NULL);
	bed_is(&b, "Versions.0.Stable", "false");
	bed_is(&b, "Versions.1.Stable", "true");
	bed_want(&b, "POST", "/v1/job/web/stable", "{\"JobID\":\"web\",\"JobVersion\":9,\"Stable\":true}", 500,
		 "job \"web\" in namespace \"default\" at version 9 not found");
	bed_want(&b, "POST", "/v1/job/web/stable", "{}", 400, "JobID must be specified");
}

CASE(versions_have_tags)
{
	bed_register(&b, "web", "");
	bed_register(&b, "web", "'Priority':60,");
	bed_want(&b, "PUT", "/v1/job/web/versions/golden/tag", "{\"Version\":0,\"Description\":\"good\"}", 200, NULL);
	bed_is(&b, "Name", "\"golden\"");
	bed_ask(&b, "GET", "/v1/job/web/versions?diffs=true&diff_tag=golden", NULL);
	bed_is(&b, "Versions.1.VersionTag.Name", "\"golden\"");
	assert_int_equal(bed_length(&b, "Diffs"), 1);
	bed_want(&b, "PUT", "/v1/job/web/versions/golden/tag", "{\"Version\":1}", 500,
		 "tag \"golden\" already exists on a different version of job \"web\"");
	bed_want(&b, "DELETE", "/v1/job/web/versions/golden/tag", NULL, 200, NULL);
	bed_want(&b, "DELETE", "/v1/job/web/versions/golden/tag", NULL, 500, "tag \"golden\" not found on job \"web\"");
	bed_want(&b, "GET", "/v1/job/web/versions?diffs=true&diff_tag=golden", NULL, 404, NULL);
}

/* jobs_evaluate */
CASE(an_evaluation_is_made_on_demand)
{
	const char *periodic = "'Type':'batch','Periodic':{'Enabled':true,'Spec':'0 0 1 1 *'},";

	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/job/web/evaluate", NULL, 200, NULL);
	assert_int_equal(bed_number(&b, "EvalCreateIndex"), b.last.res.index);
	bed_want(&b, "PUT", "/v1/job/web/evaluate", "{\"JobID\":\"web\",\"EvalOptions\":{\"ForceReschedule\":true}}",
		 200, NULL);
	bed_want(&b, "POST", "/v1/job/web/evaluate", "{\"JobID\":\"x\"}", 400, "JobID not same as job name");
	bed_want(&b, "POST", "/v1/job/web/evaluate", "{}", 400, "Job ID must be specified");
	bed_want(&b, "POST", "/v1/job/no/evaluate", NULL, 500, "job not found");
	bed_register(&b, "per", periodic);
	bed_is(&b, "EvalID", "\"\"");
	bed_want(&b, "POST", "/v1/job/per/evaluate", NULL, 500, "can't evaluate periodic job");
	bed_register(&b, "par", "'Type':'batch','ParameterizedJob':{'Payload':'optional'},");
	bed_want(&b, "POST", "/v1/job/par/evaluate", NULL, 500, "can't evaluate parameterized job");
}

/* periodic */
CASE(a_periodic_job_is_launched_by_force)
{
	bed_register(&b, "per", "'Type':'batch','Periodic':{'Enabled':true,'Spec':'0 0 1 1 *'},");
	bed_want(&b, "POST", "/v1/job/per/periodic/force", NULL, 200, NULL);
	assert_int_equal(bed_number(&b, "EvalCreateIndex"), b.last.res.index);
	assert_int_equal(strlen(bed_json(&b, "EvalID")), 38);
	bed_ask(&b, "GET", "/v1/jobs?prefix=per/periodic-", NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.ParentID", "\"per\"");
	bed_ask(&b, "GET", "/v1/job/per/summary", NULL);
	bed_is(&b, "Children.Pending", "1");
	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/job/web/periodic/force", NULL, 500, "can't force launch non-periodic job");
	bed_want(&b, "POST", "/v1/job/no/periodic/force", NULL, 500, "job not found");
	bed_register(&b, "off", "'Type':'batch','Periodic':{'Enabled':false,'Spec':'0 0 1 1 *'},");
	bed_ask(&b, "POST", "/v1/job/off/periodic/force", NULL);
	assert_non_null(strstr(bed_text(&b), "can't force run non-tracked job"));
}

/* ---- dispatching: dispatch ---- */

static void parent(const char *block)
{
	bed_register(&b, "par",
		     bed_quote(&b, "'Type':'batch','Meta':{'a':'parent','z':'kept'},'ParameterizedJob':{%s},", block));
	bed_is(&b, "EvalID", "\"\"");
}

CASE(a_dispatch_makes_a_child)
{
	const char *child;

	parent("'Payload':'optional','MetaOptional':['a']");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"Payload\":\"aGVsbG8=\",\"Meta\":{\"a\":\"child\"}}", 200,
		 NULL);
	assert_int_equal(bed_number(&b, "Index"), b.last.res.index);
	assert_int_equal(bed_number(&b, "JobCreateIndex"), b.last.res.index);
	child = bed_json(&b, "DispatchedJobID");
	assert_non_null(strstr(child, "par/dispatch-1700000000-"));
	assert_int_equal(strlen(child), strlen("\"par/dispatch-1700000000-01234567\""));
	bed_want(&b, "GET", bed_quote(&b, "/v1/job/%.*s", (int)strlen(child) - 2, child + 1), NULL, 200, NULL);
	bed_is(&b, "ParentID", "\"par\"");
	bed_is(&b, "Dispatched", "true");
	bed_is(&b, "Version", "0");
	bed_is(&b, "Payload", "\"aGVsbG8=\"");
	bed_is(&b, "Meta", "{\"a\":\"child\",\"z\":\"kept\"}");
	bed_is(&b, "ParameterizedJob.Payload", "\"optional\"");
	bed_want(&b, "POST", bed_quote(&b, "/v1/job/%.*s/dispatch", (int)strlen(child) - 2, child + 1), "{}", 500,
		 NULL);
	assert_non_null(strstr(bed_text(&b), "is not a parameterized job"));
	bed_ask(&b, "GET", "/v1/job/par/summary", NULL);
	bed_is(&b, "Children.Pending", "1");
}

CASE(a_dispatch_fits_its_parent)
{
	parent("'Payload':'forbidden','MetaRequired':['req']");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"Payload\":\"eA==\"}", 500,
		 "Payload provided but forbidden by parameterized job");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"Meta\":{\"bad\":\"x\"}}", 500,
		 "Dispatch request included unpermitted metadata keys: [bad]");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{}", 500, "Dispatch did not provide required meta keys: [req]");
	bed_want(&b, "POST", "/v1/job/par/dispatch", NULL, 400, "Request body is empty");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{broken", 400, NULL);
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"JobID\":\"x\"}", 400, "Job ID does not match");
	bed_want(&b, "POST", "/v1/job/no/dispatch", "{}", 500, "parameterized job not found");
	bed_ask(&b, "POST", "/v1/job/par/dispatch", "{\"Payload\":\"!!!\"}");
	assert_non_null(strstr(bed_text(&b), "illegal base64 data"));
	bed_register(&b, "req", "'Type':'batch','ParameterizedJob':{'Payload':'required'},");
	bed_want(&b, "POST", "/v1/job/req/dispatch", "{}", 500,
		 "Payload is not provided but required by parameterized job");
	bed_want(&b, "POST", "/v1/job/req/dispatch/payload", "raw bytes", 200, NULL);
	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/job/web/dispatch", "{}", 500, "Specified job \"web\" is not a parameterized job");
}

CASE(payloads_and_prefixes_are_bounded)
{
	char *body = malloc(40000);

	parent("'Payload':'optional'");
	strcpy(body, "{\"Payload\":\"");
	for (int i = 0; i < 16385 / 3; i++) {
		strcat(body, "eHh4");
	}
	strcat(body, "eHg=\"}"); /* 16383 and two more. */
	bed_want(&b, "POST", "/v1/job/par/dispatch", body, 500, "Payload exceeds maximum size; 16385 > 16384");
	strcpy(body + strlen(body) - 6, "eA==\"}");
	bed_want(&b, "POST", "/v1/job/par/dispatch", body, 200, NULL);
	free(body);
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"IdPrefixTemplate\":\"nightly\"}", 200, NULL);
	assert_non_null(strstr(bed_json(&b, "DispatchedJobID"), "par/dispatch-nightly-1700000000-"));
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"IdPrefixTemplate\":\"a b\"}", 400, NULL);
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"Priority\":77}", 200, NULL);
}

CASE(children_are_made_by_their_parents_alone)
{
	const char *id, *path, *child;

	parent("'Payload':'optional'");
	bed_want(&b, "POST", "/v1/jobs", bed_job(&b, "fake", "'Dispatched':true,'ParentID':'par',"), 500,
		 "job can't be submitted with 'Dispatched' set");
	bed_register(&b, "own", "'ParentID':'par',");
	bed_want(&b, "GET", "/v1/job/own", NULL, 200, NULL);
	bed_is(&b, "ParentID", "\"\"");
	bed_want(&b, "GET", "/v1/job/par/summary", NULL, 200, NULL);
	bed_is(&b, "Children.Pending", "0");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"Payload\":\"eA==\"}", 200, NULL);
	id = bed_json(&b, "DispatchedJobID");
	path = bed_quote(&b, "/v1/job/%.*s", (int)strlen(id) - 2, id + 1);
	bed_want(&b, "GET", path, NULL, 200, NULL); /* What was read may be registered, and changes nothing. */
	child = arena_strdup(&b.kit.mem, bed_text(&b));
	bed_want(&b, "PUT", "/v1/jobs", bed_quote(&b, "{'Job':%s}", child), 200, NULL);
	bed_want(&b, "PUT", "/v1/jobs",
		 bed_quote(&b, "{'Job':%.*s,'ParentID':'own'}}", (int)strlen(child) - 1, child), 200, NULL);
	bed_want(&b, "GET", path, NULL, 200, NULL);
	bed_is(&b, "ParentID", "\"par\"");
	bed_is(&b, "Version", "0");
	bed_is(&b, "Payload", "\"eA==\"");
}

CASE(children_that_are_gone_have_no_status)
{
	const char *child;

	parent("'Payload':'optional'");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{}", 200, NULL);
	child = bed_json(&b, "DispatchedJobID");
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{}", 200, NULL);
	bed_register(&b, "par/no-child", "");
	bed_want(&b, "GET", "/v1/jobs/statuses?prefix=par", NULL, 200, NULL);
	bed_is(&b, "0.ChildStatuses", "[\"pending\",\"pending\"]");
	bed_is(&b, "1.ID", "\"par/no-child\"");
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/job/%.*s?purge=true", (int)strlen(child) - 2, child + 1), NULL, 200,
		 NULL);
	bed_want(&b, "GET", "/v1/jobs/statuses?prefix=par", NULL, 200, NULL);
	bed_is(&b, "0.ChildStatuses", "[\"pending\"]");
	bed_is(&b, "1.ChildStatuses", "null");
}

CASE(a_token_makes_one_child)
{
	const char *child;

	parent("'Payload':'optional'");
	bed_want(&b, "POST", "/v1/job/par/dispatch?idempotency_token=t1", "{}", 200, NULL);
	child = bed_json(&b, "DispatchedJobID");
	bed_want(&b, "POST", "/v1/job/par/dispatch?idempotency_token=t1", "{}", 200, NULL);
	assert_string_equal(bed_json(&b, "DispatchedJobID"), child);
	bed_want(&b, "POST", "/v1/job/par/dispatch", "{\"IdempotencyToken\":\"t1\"}", 200, NULL);
	bed_is(&b, "DispatchedJobID", child);
	bed_want(&b, "POST", "/v1/job/par/dispatch?idempotency_token=t2", "{}", 200, NULL);
	assert_string_not_equal(bed_json(&b, "DispatchedJobID"), child);
}

CASE(a_job_has_not_more_allocations_than_are_configured)
{
	const char *fault = "total count was greater than configured job_max_count: %s > 50000";
	const char *groups = "{'Job':{'ID':'web','Type':'%s','TaskGroups':[{'Name':'a','Count':%s,'Tasks':[{'Name':'t',"
			     "'Driver':'raw_exec','Config':{'command':'/bin/true'}}]},{'Name':'b','Count':1,'Tasks':"
			     "[{'Name':'t','Driver':'raw_exec','Config':{'command':'/bin/true'}}]}]}}";
	const char *so = bed_quote(&b, fault, "50001");

	bed_want(&b, "PUT", "/v1/jobs", bed_quote(&b, groups, "batch", "50000"), 500, NULL);
	assert_non_null(strstr(bed_text(&b), so));
	bed_want(&b, "PUT", "/v1/jobs", bed_quote(&b, groups, "batch", "9223372036854775807"), 500, NULL);
	assert_non_null(strstr(bed_text(&b), bed_quote(&b, fault, "9223372036854775807")));
	bed_want(&b, "PUT", "/v1/job/web/plan", bed_quote(&b, groups, "batch", "50000"), 500, NULL);
	bed_want(&b, "PUT", "/v1/jobs", bed_quote(&b, groups, "batch", "49999"), 200, NULL);
	bed_want(&b, "PUT", "/v1/job/web/scale", "{\"Count\":50000,\"Target\":{\"Group\":\"a\"}}", 400, so);
	bed_want(&b, "PUT", "/v1/job/web/scale", "{\"Count\":49998,\"Target\":{\"Group\":\"a\"}}", 200, NULL);
	bed_want(&b, "GET", "/v1/job/web/scale", NULL, 200, NULL);
	bed_is(&b, "TaskGroups.a.Events.0.PreviousCount", "49999");
}

CASE(what_is_enforced_is_not_negative)
{
	bed_register(&b, "web", "");
	bed_register(&b, "web", "'Priority':60,");
	bed_want(&b, "PUT", "/v1/jobs",
		 bed_quote(&b, "{'EnforceIndex':true,'JobModifyIndex':-5,%s", bed_job(&b, "web", "") + 1), 400,
		 "JobModifyIndex can't be negative");
	bed_want(&b, "PUT", "/v1/job/web/revert",
		 "{\"JobID\":\"web\",\"JobVersion\":0,\"EnforcePriorVersion\":-1}", 400,
		 "EnforcePriorVersion can't be negative");
	bed_want(&b, "PUT", "/v1/job/web/revert", "{\"JobID\":\"web\",\"JobVersion\":-1}", 400,
		 "JobVersion can't be negative");
}

CASE(a_time_zone_must_be_known)
{
	const char *zone = "'Type':'batch','Periodic':{'Enabled':%s,'Spec':'0 0 1 1 *','TimeZone':'%s'},";
	const char *far = bed_job(&b, "per", bed_quote(&b, zone, "true", "Mars/Base"));
	const char *why = "1 error occurred:\n\t* Invalid time zone \"Mars/Base\": unknown time zone Mars/Base\n\n";

	bed_want(&b, "POST", "/v1/jobs", far, 500, why);
	bed_want(&b, "POST", "/v1/job/per/plan", far, 500, why);
	bed_want(&b, "POST", "/v1/validate/job", far, 200, NULL);
	bed_is(&b, "ValidationErrors.0", "\"Invalid time zone \\\"Mars/Base\\\": unknown time zone Mars/Base\"");
	bed_register(&b, "per", bed_quote(&b, zone, "true", "Europe/Berlin"));
	bed_register(&b, "off", bed_quote(&b, zone, "false", "UTC"));
}

/* ---- scaling: extended/scale ---- */

CASE(a_group_is_scaled)
{
	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\"},\"Message\":\"more\"}",
		 200, NULL);
	assert_int_equal(strlen(bed_json(&b, "EvalID")), 38);
	bed_ask(&b, "GET", "/v1/job/web", NULL);
	bed_is(&b, "TaskGroups.0.Count", "3");
	bed_is(&b, "Version", "1");
	bed_want(&b, "GET", "/v1/job/web/scale", NULL, 200, NULL);
	bed_is(&b, "TaskGroups.g.Desired", "3");
	bed_is(&b, "TaskGroups.g.Events.0.Message", "\"more\"");
	bed_is(&b, "TaskGroups.g.Events.0.PreviousCount", "1");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Target\":{\"Group\":\"g\"},\"Message\":\"no\",\"Error\":true}",
		 200, NULL);
	bed_is(&b, "EvalID", "\"\"");
	bed_want(&b, "GET", "/v1/job/no/scale", NULL, 404, "job not found");
}

CASE(scaling_has_its_limits)
{
	struct uuid deployment, eval, node, id;
	struct plan_result *plan;

	bed_register(&b, "web", "");
	bed_want(&b, "POST", "/v1/job/no/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\"}}", 404,
		 "job \"no\" not found");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3}", 400, "missing task group name for scaling action");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":-1,\"Target\":{\"Group\":\"g\"}}", 400,
		 "scaling action count can't be negative");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Error\":true,\"Target\":{\"Group\":\"g\"}}", 400,
		 "scaling action should not contain count if error is true");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Target\":{\"Group\":\"x\"}}", 400,
		 "task group \"x\" specified for scaling does not exist in job");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\",\"Job\":\"db\"}}", 400,
		 "job ID in payload did not match URL");
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\",\"Namespace\":\"x\"}}", 400,
		 "namespace in payload did not match header");
	bed_register(&b, "sys", "'Type':'system',");
	bed_want(&b, "POST", "/v1/job/sys/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\"}}", 400,
		 "cannot scale jobs of type \"system\"");
	deployment = kit_deployment(&b.kit, "web", 1, 0); /* With nothing placed it does not matter, */
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":2,\"Target\":{\"Group\":\"g\"}}", 200, NULL);
	deployment = kit_deployment(&b.kit, "web", 1, 0); /* else it goes first. */
	eval = kit_newest_eval(&b.kit, "web")->id;
	node = kit_node(&b.kit, "n1");
	plan = kit_plan(&b.kit, "web", &eval, &node, 1, &id);
	plan->deployment_id = uuid_bytes(&deployment);
	kit_apply(&b.kit, COMMAND_PLAN, plan);
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\"}}", 400,
		 "job scaling blocked due to active deployment");
}

/* ---- planning: plan ---- */

static const char *plan_body(const char *id, const char *more)
{
	return bed_quote(&b, "{'Diff':true,%s", bed_job(&b, id, more) + 1);
}

CASE(a_plan_of_a_new_job_adds_everything)
{
	kit_node(&b.kit, "n1");
	bed_want(&b, "POST", "/v1/job/web/plan", plan_body("web", ""), 200, NULL);
	bed_is(&b, "Diff.Type", "\"Added\"");
	bed_is(&b, "Diff.ID", "\"web\"");
	bed_is(&b, "Diff.TaskGroups.0.Type", "\"Added\"");
	bed_is(&b, "JobModifyIndex", "0");
	bed_is(&b, "NextPeriodicLaunch", "null");
	assert_int_equal(bed_number(&b, "Annotations.DesiredTGUpdates.g.Place"), 1);
	assert_int_equal(bed_number(&b, "Index"), 0);
	assert_int_equal(b.last.res.index, 0);
	bed_want(&b, "GET", "/v1/job/web", NULL, 404, "job not found");
	bed_want(&b, "POST", "/v1/job/web/plan", bed_job(&b, "web", ""), 200, NULL);
	bed_is(&b, "Diff", "null");
	assert_int_equal(b.writes, 0);
}

CASE(a_plan_compares_with_the_job_as_it_is)
{
	long long index = bed_register(&b, "web", "");

	bed_want(&b, "PUT", "/v1/job/web/plan", plan_body("web", "'Priority':88,"), 200, NULL);
	bed_is(&b, "Diff.Type", "\"Edited\"");
	bed_is(&b, "Diff.Fields",
	       "[{\"Annotations\":null,\"Name\":\"Priority\",\"New\":\"88\",\"Old\":\"50\",\"Type\":\"Edited\"}]");
	assert_int_equal(bed_number(&b, "JobModifyIndex"), index);
	assert_int_equal(bed_number(&b, "Index"), index);
	assert_int_equal(b.last.res.index, index);
	bed_want(&b, "POST", "/v1/job/web/plan", plan_body("web", ""), 200, NULL);
	bed_is(&b, "Diff.Type", "\"None\"");
	bed_is(&b, "Diff.Fields", "null");
}

CASE(a_plan_tells_when_a_periodic_job_runs_next)
{
	bed_want(&b, "POST", "/v1/job/per/plan",
		 plan_body("per", "'Type':'batch','Periodic':{'Enabled':true,'Spec':'0 0 1 1 *','TimeZone':'UTC'},"),
		 200, NULL);
	bed_is(&b, "NextPeriodicLaunch", "\"2024-01-01T00:00:00Z\"");
}

CASE(a_plan_of_a_bad_job_is_refused)
{
	bed_want(&b, "POST", "/v1/job/web/plan", NULL, 400, "Request body is empty");
	bed_want(&b, "POST", "/v1/job/web/plan", "{}", 400, "Job must be specified");
	bed_want(&b, "POST", "/v1/job/web/plan", "{\"Job\":{}}", 400, "Job must have a valid ID");
	bed_want(&b, "POST", "/v1/job/x/plan", plan_body("web", ""), 400, "Job ID does not match");
	bed_want(&b, "POST", "/v1/job/web/plan", plan_body("web", "'Type':'weird',"), 500, NULL);
	assert_non_null(strstr(bed_text(&b), "Invalid job type: \"weird\""));
	assert_int_equal(b.plans, 0);
}

/* What a registration would be refused for is no plan. */
CASE(a_plan_of_a_job_that_may_not_be_registered_is_refused)
{
	static const char *const refused[][2] = {
		{"'Type':'batch',", "cannot update job from type \"service\" to \"batch\""},
		{"'Namespace':'none',", "1 error occurred:\n\t* job \"web\" is in nonexistent namespace \"none\"\n\n"},
		{"'NodePool':'none',", "1 error occurred:\n\t* job \"web\" is in nonexistent node pool \"none\"\n\n"},
		{"'NodePool':'none','Priority':500,",
		 "2 errors occurred:\n\t* job \"web\" is in nonexistent node pool \"none\"\n\t* job priority must be between [1, 100]"
		 "\n\n"},
	};

	bed_register(&b, "web", "");
	bed_register(&b, "bat", "'Type':'batch',");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *text = refused[i][1];

		bed_want(&b, "POST", "/v1/job/web/plan", plan_body("web", refused[i][0]), 500, text);
		bed_want(&b, "POST", "/v1/jobs", bed_job(&b, "web", refused[i][0]), 500, text);
	}
	bed_want(&b, "POST", "/v1/job/bat/plan", plan_body("bat", "'Type':'batch','Periodic':{'Spec':'@daily'},"), 500,
		 "cannot update non-periodic job to being periodic");
	bed_want(&b, "POST", "/v1/validate/job", bed_job(&b, "web", "'NodePool':'none',"), 200, NULL);
	bed_is(&b, "ValidationErrors.0", "\"job \\\"web\\\" is in nonexistent node pool \\\"none\\\"\"");
	bed_want(&b, "POST", "/v1/validate/job", bed_job(&b, "web", "'Type':'batch',"), 200, NULL);
	bed_is(&b, "ValidationErrors", "null");
	assert_int_equal(b.plans, 0);
}

CASE(registrations_can_be_closed)
{
	bed_register(&b, "web", "");
	bed_want(&b, "PUT", "/v1/operator/scheduler/configuration", "{\"RejectJobRegistration\":true}", 200, NULL);
	bed_is(&b, "Updated", "true");
	bed_want(&b, "POST", "/v1/jobs", bed_job(&b, "web", ""), 403, NULL);
	bed_want(&b, "POST", "/v1/job/web/scale", "{\"Count\":3,\"Target\":{\"Group\":\"g\"}}", 403, NULL);
	bed_want(&b, "DELETE", "/v1/job/web", NULL, 200, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_registration_tells_of_job_and_evaluation),
		T(versions_grow_with_changes_alone),
		T(what_servers_set_is_not_taken_from_clients),
		T(check_and_set_guards_a_registration),
		T(bad_registrations_are_refused),
		T(the_path_names_the_job),
		T(namespaces_are_apart),
		T(a_namespace_says_what_its_jobs_may),
		T(counts_and_resources_can_be_preserved),
		T(the_source_is_kept_with_its_version),
		T(warnings_are_told),
		T(validation_tells_all_faults_one_by_one),
		T(a_stop_keeps_the_job_and_a_purge_does_not),
		T(a_revert_registers_the_old_content_anew),
		T(what_clients_know_of_reverts_and_stops),
		T(a_job_cannot_pretend_to_be_a_child),
		T(a_version_is_marked_as_stable),
		T(versions_have_tags),
		T(an_evaluation_is_made_on_demand),
		T(a_periodic_job_is_launched_by_force),
		T(a_dispatch_makes_a_child),
		T(a_dispatch_fits_its_parent),
		T(payloads_and_prefixes_are_bounded),
		T(children_are_made_by_their_parents_alone),
		T(children_that_are_gone_have_no_status),
		T(a_token_makes_one_child),
		T(a_job_has_not_more_allocations_than_are_configured),
		T(what_is_enforced_is_not_negative),
		T(a_time_zone_must_be_known),
		T(a_group_is_scaled),
		T(scaling_has_its_limits),
		T(a_plan_of_a_new_job_adds_everything),
		T(a_plan_compares_with_the_job_as_it_is),
		T(a_plan_tells_when_a_periodic_job_runs_next),
		T(a_plan_of_a_bad_job_is_refused),
		T(a_plan_of_a_job_that_may_not_be_registered_is_refused),
		T(registrations_can_be_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
