/* Job files through the API. */
#include "test/unit/unit.h"

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bed, close_bed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_file_becomes_a_job),
		TEST(the_job_can_be_registered),
		TEST(faults_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
