/* Deployments: reading them, and changing them by hand. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

#define U "deadbeef-0000-0000-0000-000000000000"

static struct uuid id; /* Of the deployment. */

static void deploy(int64_t canaries)
{
	bed_register(&b, "web", "");
	id = kit_deployment(&b.kit, "web", 2, canaries);
}

static const char *path(const char *verb)
{
	return bed_quote(&b, "/v1/deployment/%s%s", verb, kit_text(&b.kit, &id));
}

static const char *body(const char *more)
{
	return bed_quote(&b, "{'DeploymentID':'%s'%s}", kit_text(&b.kit, &id), more);
}

/* deployments/list_and_read, jobs_read/deployments_of_an_unknown_job */
CASE(deployments_are_read)
{
	deploy(0);
	bed_want(&b, "GET", "/v1/deployments", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", bed_quote(&b, "/v1/deployments?prefix=%.8s", kit_text(&b.kit, &id)), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/deployments?namespace=other", NULL, 200, "[]");
	bed_want(&b, "GET", path(""), NULL, 200, NULL);
	bed_is(&b, "JobID", "\"web\"");
	bed_is(&b, "Status", "\"running\"");
	bed_is(&b, "TaskGroups.g.DesiredTotal", "2");
	bed_is(&b, "TaskGroups.g.PlacedCanaries", "null");
	assert_int_equal(bed_number(&b, "ModifyIndex"), b.last.res.index);
	bed_want(&b, "GET", path("allocations/"), NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/deployment/" U, NULL, 404, "deployment not found");
	bed_want(&b, "GET", "/v1/job/web/deployment", NULL, 200, NULL);
	bed_is(&b, "ID", bed_quote(&b, "'%s'", kit_text(&b.kit, &id)));
	bed_want(&b, "GET", "/v1/job/no/deployment", NULL, 200, "null");
	bed_want(&b, "GET", "/v1/job/no/deployments", NULL, 200, "[]");
}

CASE(the_newest_deployment_of_a_job_comes_first)
{
	deploy(0);
	bed_register(&b, "web", "'Priority':60,");
	id = kit_deployment(&b.kit, "web", 2, 0);
	bed_want(&b, "GET", "/v1/job/web/deployments", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.JobVersion", "1");
	bed_is(&b, "1.JobVersion", "0");
	bed_want(&b, "GET", "/v1/job/web/deployment", NULL, 200, NULL);
	bed_is(&b, "JobVersion", "1");
}

/* deployments/fail */
CASE(a_deployment_is_failed)
{
	deploy(0);
	bed_want(&b, "POST", path("fail/"), NULL, 200, NULL);
	assert_int_equal(bed_number(&b, "DeploymentModifyIndex"), b.last.res.index);
	bed_is(&b, "RevertedJobVersion", "null");
	assert_int_equal(strlen(bed_json(&b, "EvalID")), 38);
	bed_ask(&b, "GET", path(""), NULL);
	bed_is(&b, "Status", "\"failed\"");
	bed_is(&b, "StatusDescription", "\"Deployment marked as failed\"");
	bed_want(&b, "POST", path("fail/"), NULL, 500, "can't fail terminal deployment");
	bed_want(&b, "POST", path("pause/"), body(",'Pause':true"), 500, "can't pause terminal deployment");
	bed_want(&b, "POST", path("pause/"), body(",'Pause':false"), 500, "can't resume terminal deployment");
	bed_want(&b, "POST", path("promote/"), body(",'All':true"), 500, "can't promote terminal deployment");
	bed_want(&b, "POST", "/v1/deployment/fail/" U, NULL, 500, "deployment not found");
	bed_want(&b, "POST", "/v1/deployment/fail/xyz", NULL, 500, NULL);
}

/* deployments/pause_and_resume */
CASE(a_deployment_is_paused_and_resumed)
{
	deploy(0);
	bed_want(&b, "POST", path("pause/"), body(",'Pause':true"), 200, NULL);
	bed_is(&b, "EvalID", "\"\"");
	bed_is(&b, "EvalCreateIndex", "0");
	bed_ask(&b, "GET", path(""), NULL);
	bed_is(&b, "Status", "\"paused\"");
	bed_is(&b, "StatusDescription", "\"Deployment is paused\"");
	bed_want(&b, "PUT", path("pause/"), body(",'Pause':false"), 200, NULL);
	assert_int_equal(strlen(bed_json(&b, "EvalID")), 38);
	bed_ask(&b, "GET", path(""), NULL);
	bed_is(&b, "Status", "\"running\"");
	bed_is(&b, "StatusDescription", "\"Deployment is running\"");
	bed_want(&b, "POST", path("pause/"), "{\"DeploymentID\":\"other\",\"Pause\":true}", 400,
		 "Deployment ID does not match");
	bed_want(&b, "POST", path("pause/"), "{\"Pause\":true}", 400, "DeploymentID must be specified");
	bed_want(&b, "POST", path("pause/"), NULL, 400, "Request body is empty");
}

/* deployments/promote_of_an_unhealthy_canary_is_refused */
CASE(a_canary_is_promoted_when_it_is_healthy)
{
	deploy(1);
	bed_want(&b, "POST", path("promote/"), body(",'All':true"), 500, NULL);
	assert_non_null(strstr(bed_text(&b), "Task group \"g\" has 0/1 healthy allocations"));
	bed_want(&b, "POST", path("promote/"), body(""), 400, NULL);
	bed_want(&b, "POST", path("promote/"), body(",'All':true,'Groups':['g']"), 400, NULL);
	bed_want(&b, "POST", path("promote/"), body(",'Groups':['no']"), 500, NULL);
}

CASE(health_is_set_by_hand)
{
	deploy(0);
	bed_want(&b, "POST", path("allocation-health/"), body(""), 500,
		 "must specify at least one healthy/unhealthy allocation ID");
	bed_want(&b, "POST", path("allocation-health/"), body(",'HealthyAllocationIDs':['xyz']"), 500, NULL);
	bed_want(&b, "POST", path("allocation-health/"), body(",'HealthyAllocationIDs':['" U "']"), 500,
		 "unknown alloc \"" U "\"");
	bed_want(&b, "POST", path("allocation-health/"), body(",'UnhealthyAllocationIDs':['" U "']"), 500,
		 "unknown alloc \"" U "\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(deployments_are_read),
		T(the_newest_deployment_of_a_job_comes_first),
		T(a_deployment_is_failed),
		T(a_deployment_is_paused_and_resumed),
		T(a_canary_is_promoted_when_it_is_healthy),
		T(health_is_set_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
