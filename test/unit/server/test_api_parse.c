/* Job files through the API. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_bed.h"

static struct bed b;

static int open_bed(void **state)
{
	(void)state;
	bed_open(&b);
	return 0;
}

static int close_bed(void **state)
{
	(void)state;
	bed_close(&b);
	return 0;
}

#define CASE(name) static void name(void **state __attribute__((unused)))

static const char hcl[] = "variable \\'n\\' {}\\njob \\'web\\' { group \\'g\\' { count = var.n\\n"
			  " task \\'t\\' { driver = \\'raw_exec\\'\\n config { command = \\'/bin/true\\' } } } }";

static const char *request(const char *more)
{
	return bed_quote(&b, "{'JobHCL':'%s','Variables':'n = 3'%s}", hcl, more);
}

CASE(a_job_file_becomes_a_job)
{
	bed_want(&b, "POST", "/v1/jobs/parse", request(""), 200, NULL);
	bed_is(&b, "ID", "\"web\"");
	bed_is(&b, "Name", "\"web\"");
	bed_is(&b, "Namespace", "null");
	bed_is(&b, "TaskGroups.0.Count", "3");
	bed_is(&b, "TaskGroups.0.RestartPolicy", "null");
	bed_is(&b, "TaskGroups.0.Tasks.0.Config.command", "\"/bin/true\"");
	bed_want(&b, "PUT", "/v1/jobs/parse", request(",'Canonicalize':true"), 200, NULL);
	bed_is(&b, "Namespace", "\"default\"");
	bed_is(&b, "TaskGroups.0.RestartPolicy.Attempts", "2");
	assert_int_equal(b.writes, 0);
}

CASE(the_job_can_be_registered)
{
	const char *job;

	bed_want(&b, "POST", "/v1/jobs/parse", request(""), 200, NULL);
	job = bed_quote(&b, "{'Job':%s}", bed_json(&b, ""));
	bed_want(&b, "POST", "/v1/jobs", job, 200, NULL);
	bed_want(&b, "GET", "/v1/job/web", NULL, 200, NULL);
	bed_is(&b, "Type", "\"service\"");
	bed_is(&b, "TaskGroups.0.Count", "3");
}

CASE(flags_go_before_the_text_of_variables)
{
	const char *list = "variable \\'l\\' { type = list(string) }\\njob \\'web\\' { datacenters = var.l\\n"
			   " group \\'g\\' { task \\'t\\' { driver = \\'raw_exec\\' } } }";

	bed_want(&b, "POST", "/v1/jobs/parse", request(",'VariableFlags':{'n':'5','other':'x'}"), 200, NULL);
	bed_is(&b, "TaskGroups.0.Count", "5");
	bed_want(&b, "POST", "/v1/jobs/parse",
		 bed_quote(&b, "{'JobHCL':'%s','VariableFlags':{'l':'[\\'a\\', \\'b\\']'}}", list), 200, NULL);
	bed_is(&b, "Datacenters", "[\"a\",\"b\"]");
	bed_want(&b, "POST", "/v1/jobs/parse",
		 bed_quote(&b, "{'JobHCL':'%s','VariableFlags':{'l':'5'}}", list), 400, NULL);
	bed_want(&b, "POST", "/v1/jobs/parse", request(",'VariableFlags':{'n':5}"), 400, NULL);
}

/* What the file leaves open is open when its job is registered. */
CASE(what_is_not_said_gets_its_default_later)
{
	const char *file = "{'JobHCL':'job \\'s\\' { group \\'g\\' { task \\'t\\' { driver = \\'raw_exec\\'\\n"
			   " config { command = \\'/bin/true\\' }\\n template { data = \\'x\\'\\n destination = \\'local/x\\'\\n"
			   " change_mode = \\'signal\\' }\\n artifact { source = \\'http://h/f\\'\\n mode = \\'file\\' } } } }'}";

	bed_want(&b, "POST", "/v1/jobs/parse", bed_quote(&b, "%s", file), 200, NULL);
	bed_is(&b, "TaskGroups.0.Tasks.0.Templates.0.ChangeSignal", "null");
	bed_want(&b, "POST", "/v1/jobs", bed_quote(&b, "{'Job':%s}", bed_json(&b, "")), 200, NULL);
	bed_want(&b, "GET", "/v1/job/s", NULL, 200, NULL);
	bed_is(&b, "TaskGroups.0.Tasks.0.Templates.0.ChangeSignal", "\"SIGHUP\"");
	bed_is(&b, "TaskGroups.0.Tasks.0.Artifacts.0.RelativeDest", "\"local/f\"");
}

CASE(faults_are_told)
{
	bed_want(&b, "POST", "/v1/jobs/parse", bed_quote(&b, "{'JobHCL':'job \\'x\\' {\\n colour = 1 }'}"), 400,
		 "error parsing job file from input.hcl:\ninput.hcl:2,2: colour is not known here");
	bed_want(&b, "POST", "/v1/jobs/parse", "{}", 400, "Job spec is empty");
	bed_want(&b, "POST", "/v1/jobs/parse", NULL, 400, "Request body is empty");
	bed_want(&b, "POST", "/v1/jobs/parse", request(",'HCLv1':true"), 400,
		 "HCLv1 is not supported: job files are HCL2");
	bed_want(&b, "POST", "/v1/jobs/parse", "{\"JobHCL\":5}", 400, NULL);
	bed_want(&b, "GET", "/v1/jobs/parse", NULL, 405, NULL);
}

CASE(no_more_are_parsed_at_a_time_than_may_be)
{
	bed_want(&b, "POST", "/v1/jobs/parse", request(""), 200, NULL);
	assert_int_equal(b.chores, 1);
	b.call_status = ERR_BUSY;
	bed_want(&b, "POST", "/v1/jobs/parse", request(""), 429, NULL);
	b.call_status = ERR_CLOSED;
	assert_true(bed_ask(&b, "POST", "/v1/jobs/parse", request("")) >= 500);
	b.call_status = 0;
	bed_want(&b, "POST", "/v1/jobs/parse", request(""), 200, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bed, close_bed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_file_becomes_a_job),
		TEST(the_job_can_be_registered),
		TEST(flags_go_before_the_text_of_variables),
		TEST(what_is_not_said_gets_its_default_later),
		TEST(faults_are_told),
		TEST(no_more_are_parsed_at_a_time_than_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
