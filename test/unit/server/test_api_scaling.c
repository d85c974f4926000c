/* Scaling policies and actions, which stand in jobs. */
#include "test/unit/unit.h"

#include "test/unit/server/api_case.h"

#define TASK(name, more)                                                                     \
	"{'Name':'" name "','Driver':'raw_exec','Config':{'command':'/bin/sleep'}" more "}"
#define POLICY "{'Min':0,'Max':9,'Policy':{'cooldown':'1m'}}"

static void register_groups(const char *id, const char *more, const char *groups)
{
	bed_want(&b, "PUT", "/v1/jobs",
		 bed_quote(&b, "{'Job':{%s'ID':'%s','Type':'service','TaskGroups':%s}}", more, id, groups), 200, NULL);
}

/* A job with two groups: the first has a policy, the second one of its own and two of a task. */
static void register_scaled(const char *id, const char *more)
{
	register_groups(id, more,
			"[{'Name':'a','Scaling':" POLICY ",'Tasks':[" TASK("t", "") "]},"
			"{'Name':'b','Scaling':{'Max':4,'Enabled':false},'Tasks':[" TASK("t", "") ","
			TASK("u", ",'ScalingPolicies':[{'Type':'vertical_cpu','Max':2},"
			     "{'Type':'vertical_mem','Max':3}]")
			"]}]");
}

CASE(policies_are_listed_with_what_they_are_of)
{
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, "[]");
	bed_register(&b, "plain", "");
	register_scaled("web", "");
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 4);
	bed_is(&b, "0.Type", "\"horizontal\"");
	bed_is(&b, "0.Enabled", "true");
	bed_is(&b, "0.Target", "{\"Group\":\"a\",\"Job\":\"web\",\"Namespace\":\"default\"}");
	bed_is(&b, "0.CreateIndex", "3");
	bed_is(&b, "0.Policy", "none");
	bed_is(&b, "1.Enabled", "false");
	bed_is(&b, "2.Type", "\"vertical_cpu\"");
	bed_is(&b, "3.Target", "{\"Group\":\"b\",\"Job\":\"web\",\"Namespace\":\"default\",\"Task\":\"u\"}");
	bed_want(&b, "POST", "/v1/scaling/policies", "{}", 405, NULL);
}

CASE(policies_are_chosen_by_job_type_and_namespace)
{
	bed_want(&b, "PUT", "/v1/namespace", "{\"Name\":\"dev\"}", 200, NULL);
	register_scaled("web", "");
	register_scaled("web2", "");
	register_scaled("far", "'Namespace':'dev',");
	bed_want(&b, "GET", "/v1/scaling/policies?job=web", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 4);
	bed_want(&b, "GET", "/v1/scaling/policies?job=we", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/scaling/policies?type=horizontal", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 4);
	bed_want(&b, "GET", "/v1/scaling/policies?job=web&type=vertical_mem", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/scaling/policies?namespace=dev", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 4);
	bed_want(&b, "GET", "/v1/scaling/policies?namespace=*", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 12);
	bed_want(&b, "GET", "/v1/scaling/policies?filter=Enabled%20==%20false", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
}

/* The ID of the first policy that is listed. */
static const char *first_id(char id[64])
{
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, NULL);
	snprintf(id, 64, "%.36s", bed_json(&b, "0.ID") + 1);
	return id;
}

CASE(one_policy_is_read_by_its_id)
{
	char id[64];

	register_scaled("web", "");
	first_id(id);
	bed_want(&b, "GET", bed_quote(&b, "/v1/scaling/policy/%s", id), NULL, 200, NULL);
	bed_is(&b, "ID", bed_quote(&b, "'%s'", id));
	bed_is(&b, "Min", "0");
	bed_is(&b, "Max", "9");
	bed_is(&b, "Policy", "{\"cooldown\":\"1m\"}");
	bed_is(&b, "Target.Group", "\"a\"");
	bed_want(&b, "GET", bed_quote(&b, "/v1/scaling/policies?prefix=%.8s", id), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/scaling/policy/deadbeef-0000-0000-0000-000000000000", NULL, 404, "policy not found");
	bed_want(&b, "GET", "/v1/scaling/policy/xyz", NULL, 404, "policy not found");
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/scaling/policy/%s", id), NULL, 405, NULL);
}

CASE(a_policy_keeps_its_id_as_long_as_its_job_is_there)
{
	char before[64], now[64];

	register_scaled("web", "");
	first_id(before);
	register_scaled("web", "'Priority':70,");
	assert_string_equal(first_id(now), before);
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	bed_is(&b, "TaskGroups.0.Scaling.ID", bed_quote(&b, "'%s'", before));
	bed_want(&b, "DELETE", "/v1/job/web?purge=true", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, "[]");
	register_scaled("web", "");
	assert_string_not_equal(first_id(now), before);
}

CASE(a_stopped_job_has_no_policies_until_it_runs_again)
{
	register_scaled("web", "");
	bed_want(&b, "DELETE", "/v1/job/web", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, "[]");
	register_scaled("web", "");
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 4);
}

CASE(what_was_read_registers_without_a_new_version)
{
	char *job;

	register_scaled("web", "");
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	job = strdup(bed_text(&b));
	bed_want(&b, "PUT", "/v1/jobs", bed_quote(&b, "{'Job':%s}", job), 200, NULL);
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	bed_is(&b, "Version", "0");
	free(job);
}

CASE(who_waits_for_a_policy_is_told)
{
	static struct kept list, one;
	char id[64];

	register_scaled("web", "");
	first_id(id);
	bed_start(&b, &list, "GET",
		  bed_quote(&b, "/v1/scaling/policies?job=other&index=%d", (int)b.last.res.index), NULL);
	bed_start(&b, &one, "GET", bed_quote(&b, "/v1/scaling/policy/%s?index=%d", id, (int)b.last.res.index), NULL);
	bed_pump(&b);
	assert_int_equal(list.answers + one.answers, 0);
	bed_want(&b, "DELETE", "/v1/job/web?purge=true", NULL, 200, NULL);
	bed_pump(&b);
	assert_int_equal(list.answers + one.answers, 2);
	assert_int_equal(one.res.status, 404);
	kept_close(&list);
	kept_close(&one);
}

CASE(actions_are_told_with_their_tasks)
{
	register_groups("web", "",
			"[{'Name':'a','Tasks':["
			TASK("t", ",'Actions':[{'Name':'one','Command':'/bin/ls','Args':['-l']},"
			     "{'Name':'two','Command':'/bin/true'}]") "]},"
			"{'Name':'b','Tasks':[" TASK("u", ",'Actions':[{'Name':'one','Command':'/bin/id'}]") "]}]");
	bed_want(&b, "GET", "/v1/job/web/actions", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_is(&b, "0.Name", "\"one\"");
	bed_is(&b, "0.Command", "\"/bin/ls\"");
	bed_is(&b, "0.Args", "[\"-l\"]");
	bed_is(&b, "0.TaskName", "\"t\"");
	bed_is(&b, "0.TaskGroupName", "\"a\"");
	bed_is(&b, "1.Name", "\"two\"");
	bed_is(&b, "1.Args", "null");
	bed_is(&b, "2.TaskName", "\"u\"");
	bed_is(&b, "2.TaskGroupName", "\"b\"");
	bed_register(&b, "plain", "");
	bed_want(&b, "GET", "/v1/job/plain/actions", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/job/none/actions", NULL, 404, "job not found");
	bed_want(&b, "PUT", "/v1/job/web/actions", "{}", 405, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(policies_are_listed_with_what_they_are_of),
		T(policies_are_chosen_by_job_type_and_namespace),
		T(one_policy_is_read_by_its_id),
		T(a_policy_keeps_its_id_as_long_as_its_job_is_there),
		T(a_stopped_job_has_no_policies_until_it_runs_again),
		T(what_was_read_registers_without_a_new_version),
		T(who_waits_for_a_policy_is_told),
		T(actions_are_told_with_their_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
