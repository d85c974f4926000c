/* Defaults, validation and warnings of jobs. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/faults.h"
#include "proto/job.h"
#include "test/unit/proto/random_object.h"

#define S NS_PER_S

static struct arena mem;

static int release(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

static struct job *parse(const char *text)
{
	struct job *j = arena_alloc(&mem, sizeof(*j));
	struct fault f;

	if (json_decode(&job_type, j, text, strlen(text), &mem, &f) != 0) {
		fail_msg("%s %s in %s", f.path, f.why, text);
	}
	return j;
}

static struct job *canonical(const char *text)
{
	struct job *j = parse(text);

	assert_int_equal(job_canonicalize(j, &mem), 0);
	return j;
}

/* A job that is valid, with something put over its members, its group's and its task's. */
static const char *sample(const char *job, const char *group, const char *task)
{
	return arena_printf(&mem,
			    "{\"ID\":\"j\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\",\"EphemeralDisk\":"
			    "{\"SizeMB\":10},"
			    "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/true\"},"
			    "\"LogConfig\":{\"MaxFiles\":1,\"MaxFileSizeMB\":1}%s}]%s}]%s}",
			    task, group, job);
}

static const char *verdict(const struct job *j)
{
	struct buf out = {0};
	bool valid = job_validate(j, &out);
	const char *text = arena_strdup(&mem, buf_text(&out));

	assert_int_equal(valid, out.len == 0);
	buf_close(&out);
	return text;
}

static void a_service_gets_the_documented_defaults(void **state)
{
	struct job *j = canonical("{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"web\",\"Tasks\":[{\"Name\":\"srv\","
				  "\"Driver\":\"raw_exec\"}]}]}");
	struct task_group *g = &j->task_groups.at[0];
	struct task *t = &g->tasks.at[0];

	(void)state;
	assert_string_equal(verdict(j), "");
	assert_string_equal(j->name, "j");
	assert_string_equal(j->region, "global");
	assert_int_equal(j->datacenters.n, 1);
	assert_string_equal(j->datacenters.at[0], "*");
	assert_int_equal(j->update->max_parallel.at, 1);
	assert_int_equal(j->update->stagger.at, 30 * S);
	assert_int_equal(j->update->healthy_deadline.at, 0);
	assert_int_equal(g->count, 1);
	assert_int_equal(g->restart_policy->attempts.at, 2);
	assert_int_equal(g->restart_policy->interval.at, 1800 * S);
	assert_int_equal(g->restart_policy->delay.at, 15 * S);
	assert_string_equal(g->restart_policy->mode, "fail");
	assert_true(g->reschedule_policy->unlimited.at);
	assert_string_equal(g->reschedule_policy->delay_function, "exponential");
	assert_int_equal(g->reschedule_policy->max_delay.at, 3600 * S);
	assert_int_equal(g->ephemeral_disk->size_mb, 300);
	assert_string_equal(g->update->health_check, "checks");
	assert_int_equal(g->update->min_healthy_time.at, 10 * S);
	assert_int_equal(g->update->healthy_deadline.at, 300 * S);
	assert_int_equal(g->update->progress_deadline.at, 600 * S);
	assert_int_equal(g->migrate->max_parallel.at, 1);
	assert_int_equal(t->kill_timeout.at, 5 * S);
	assert_int_equal(t->log_config->max_files, 10);
	assert_int_equal(t->resources->cpu.at, 100);
	assert_int_equal(t->resources->memory_mb.at, 300);
	assert_int_equal(t->restart_policy->attempts.at, 2);
	assert_string_equal(t->identity->name, "default");
}

static void the_type_of_a_job_decides_its_defaults(void **state)
{
	struct job *j = canonical(sample(",\"Type\":\"batch\"", "", ""));
	struct task_group *g = &j->task_groups.at[0];

	(void)state;
	assert_string_equal(verdict(j), "");
	assert_int_equal(g->restart_policy->attempts.at, 3);
	assert_int_equal(g->restart_policy->interval.at, 86400 * S);
	assert_int_equal(g->reschedule_policy->attempts.at, 1);
	assert_int_equal(g->reschedule_policy->delay.at, 5 * S);
	assert_null(g->update);
	assert_null(g->migrate);
	assert_int_equal(j->update->max_parallel.at, 0);
	j = canonical(sample(",\"Type\":\"system\"", "", ""));
	g = &j->task_groups.at[0];
	assert_string_equal(verdict(j), "");
	assert_int_equal(g->restart_policy->attempts.at, 2);
	assert_null(g->reschedule_policy);
	assert_int_equal(g->update->max_parallel.at, 1);
	assert_int_equal(j->update->stagger.at, 30 * S);
	assert_null(g->migrate);
	j = canonical(sample(",\"Type\":\"sysbatch\"", "", ""));
	assert_string_equal(verdict(j), "");
	assert_null(j->task_groups.at[0].update);
	assert_int_equal(j->task_groups.at[0].restart_policy->attempts.at, 3);
	assert_null(j->task_groups.at[0].reschedule_policy);
}

static void what_is_given_stays(void **state)
{
	struct job *j = canonical(
		sample(",\"Update\":{\"MaxParallel\":3,\"Canary\":1},\"Reschedule\":{\"Attempts\":4,\"Unlimited\":"
		       "false,\"Interval\":\"24h\"}",
		       ",\"Count\":0,\"Update\":{\"Canary\":0,\"MinHealthyTime\":0},\"RestartPolicy\":{\"Attempts\":0}",
		       ",\"RestartPolicy\":{\"Mode\":\"delay\",\"Attempts\":1},\"Resources\":{\"Cores\":2},"
		       "\"KillTimeout\":0"));
	struct task_group *g = &j->task_groups.at[0];
	struct task *t = &g->tasks.at[0];

	(void)state;
	assert_string_equal(verdict(j), "");
	assert_int_equal(g->count, 0);
	assert_int_equal(g->update->max_parallel.at, 3);
	assert_int_equal(g->update->canary.at, 0);
	assert_int_equal(g->update->min_healthy_time.at, 0);
	assert_int_equal(g->update->healthy_deadline.at, 300 * S);
	assert_int_equal(j->update->max_parallel.at, 3);
	assert_int_equal(j->update->canary.at, 0);
	assert_int_equal(g->reschedule_policy->attempts.at, 4);
	assert_false(g->reschedule_policy->unlimited.at);
	assert_null(j->reschedule);
	assert_int_equal(g->restart_policy->attempts.at, 0);
	assert_string_equal(t->restart_policy->mode, "delay");
	assert_int_equal(t->restart_policy->interval.at, 1800 * S);
	assert_int_equal(t->resources->cpu.at, 0);
	assert_int_equal(t->kill_timeout.at, 0);
}

/* A stored job comes back by a revert, or from a client that has read it. */
static void twice_is_once(void **state)
{
	static const char *const jobs[] = {
		"",
		",\"Type\":\"batch\"",
		",\"Type\":\"system\"",
		",\"Update\":{\"MaxParallel\":2}",
		",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"@daily\"}",
		",\"Type\":\"batch\",\"ParameterizedJob\":{}",
		",\"Migrate\":{\"MaxParallel\":2},\"Affinities\":[{\"LTarget\":\"a\",\"RTarget\":\"b\"}]",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		struct job *j = canonical(
			sample(jobs[i], ",\"Services\":[{\"Name\":\"\",\"Checks\":[{}]}]", ",\"Services\":[{}]"));
		struct buf text = {0};
		struct job *again;

		json_encode(&job_type, j, &text);
		again = canonical(buf_text(&text));
		if (!object_equal(&job_type, j, again)) {
			struct buf other = {0};

			json_encode(&job_type, again, &other);
			fail_msg("%s\n%s", buf_text(&text), buf_text(&other));
		}
		buf_close(&text);
	}
}

static void what_is_nested_gets_defaults_too(void **state)
{
	const struct job *j = canonical(sample(
		"",
		",\"Services\":[{\"PortLabel\":\"80\",\"CheckRestart\":{\"Limit\":3,\"Grace\":5},\"Checks\":[{},"
		"{\"CheckRestart\":{\"Limit\":5}}]},{\"PortLabel\":\"81\",\"Checks\":[{\"CheckRestart\":{}},{}]}]",
		",\"Templates\":[{\"ChangeMode\":\"signal\"},{\"ChangeSignal\":\"sigint\"},{}],\"Vault\":{},"
		"\"Resources\":{\"NUMA\":{}},\"Artifacts\":[{\"GetterSource\":\"http://h/a/b.bin?x=/\",\"GetterMode\":"
		"\"any\"},{\"GetterSource\":\"http://h/a/b.bin\",\"GetterMode\":\"file\"},{\"GetterSource\":\"http://h/a/\","
		"\"GetterMode\":\"file\"}]"));
	const struct service *s = j->task_groups.at[0].services.at;
	const struct task *t = &j->task_groups.at[0].tasks.at[0];

	(void)state;
	/* What a service says of all its checks, and a second to begin with. */
	assert_int_equal(s[0].checks.at[0].check_restart->limit, 3);
	assert_int_equal(s[0].checks.at[0].check_restart->grace.at, 5);
	assert_int_equal(s[0].checks.at[1].check_restart->limit, 5);
	assert_int_equal(s[0].checks.at[1].check_restart->grace.at, 5);
	assert_int_equal(s[1].checks.at[0].check_restart->grace.at, NS_PER_S);
	assert_null(s[1].checks.at[1].check_restart);
	assert_string_equal(t->templates.at[0].change_signal, "SIGHUP");
	assert_string_equal(t->templates.at[1].change_signal, "SIGINT");
	assert_string_equal(t->templates.at[2].change_signal, "");
	assert_string_equal(t->vault->change_signal, "SIGHUP");
	assert_string_equal(t->resources->numa->affinity, "none");
	/* A single file has a name, all else a directory. */
	assert_string_equal(t->artifacts.at[0].relative_dest, "local/");
	assert_string_equal(t->artifacts.at[1].relative_dest, "local/b.bin");
	assert_string_equal(t->artifacts.at[2].relative_dest, "local/");
}

/* The one that speaks to the cluster itself stands apart from the others, and what is said for it is put right. */
static void identities_are_told_apart(void **state)
{
	struct job *j = canonical(sample(
		"", "",
		",\"Identities\":[{\"Name\":\"a\",\"Audience\":[\"x\"],\"ChangeMode\":\"signal\",\"ChangeSignal\":"
		"\"sighup\"},{\"Audience\":[\"y\"],\"Env\":true},{\"Name\":\"b\"}]"));
	const struct task *t = &j->task_groups.at[0].tasks.at[0];

	(void)state;
	assert_int_equal(t->identities.n, 2);
	assert_string_equal(t->identities.at[0].name, "a");
	assert_string_equal(t->identities.at[0].change_signal, "SIGHUP");
	assert_string_equal(t->identities.at[1].name, "b");
	assert_string_equal(t->identity->name, "default");
	assert_true(t->identity->env);
	assert_int_equal(t->identity->audience.n, 1);
	assert_string_equal(t->identity->audience.at[0], "nomadproject.io");
	j = canonical(sample("", "", ",\"Identities\":[{\"Name\":\"default\"},{\"Name\":\"default\"}]"));
	assert_non_null(strstr(verdict(j), "Duplicate default identities found"));
}

static void a_plugin_gets_its_places(void **state)
{
	struct job *j = canonical(sample("", "", ",\"CSIPluginConfig\":{\"ID\":\"p\",\"Type\":\"node\"}"));
	const struct csi_plugin *p = j->task_groups.at[0].tasks.at[0].csi_plugin;

	(void)state;
	assert_string_equal(p->mount_dir, "/csi");
	assert_string_equal(p->stage_publish_base_dir, "/local/csi");
	assert_int_equal(p->health_timeout, 30 * NS_PER_S);
}

/* Disks are asked for by groups. */
static void a_task_asks_for_no_disk(void **state)
{
	struct job *j = canonical(sample("", "", ",\"Resources\":{\"DiskMB\":500}"));

	(void)state;
	assert_int_equal(j->task_groups.at[0].tasks.at[0].resources->disk_mb, 0);
}

static void services_get_names(void **state)
{
	struct job *j =
		canonical(sample("", ",\"Services\":[{\"Checks\":[{}]}]", ",\"Services\":[{\"Provider\":\"nomad\"}]"));
	struct task_group *g = &j->task_groups.at[0];

	(void)state;
	assert_string_equal(g->services.at[0].name, "j-g");
	assert_string_equal(g->services.at[0].provider, "consul");
	assert_string_equal(g->services.at[0].checks.at[0].name, "service: \"j-g\" check");
	assert_string_equal(g->tasks.at[0].services.at[0].name, "j-g-t");
	assert_string_equal(g->tasks.at[0].services.at[0].provider, "nomad");
	assert_string_equal(g->tasks.at[0].services.at[0].task_name, "t");
	assert_string_equal(g->services.at[0].task_name, "");
	assert_string_equal(g->services.at[0].cluster, "default");
}

static void names_of_services_may_hold_those_of_their_owners(void **state)
{
	struct job *j = canonical(sample(
		",\"Name\":\"n\"",
		",\"Services\":[{\"Name\":\"a-${JOB}-${TASKGROUP}-${TASK}-${x}\"},{\"Name\":\"${BASE}\"}]",
		",\"Services\":[{\"Name\":\"${BASE}\",\"Checks\":[{\"SuccessBeforePassing\":-1}]}]"));
	const struct task_group *g = &j->task_groups.at[0];
	struct buf text = {0};
	int i;

	(void)state;
	assert_string_equal(g->services.at[0].name, "a-n-g-group-${x}");
	assert_string_equal(g->services.at[1].name, "n-g-group");
	assert_string_equal(g->tasks.at[0].services.at[0].name, "n-g-t");
	assert_string_equal(g->tasks.at[0].services.at[0].checks.at[0].task_name, "t");
	assert_int_equal(g->tasks.at[0].services.at[0].checks.at[0].success_before_passing, 0);

	/* However often they stand there. */
	buf_str(&text, ",\"Services\":[{\"Name\":\"");
	for (i = 0; i < 10000; i++) {
		buf_str(&text, "${BASE}");
	}
	buf_str(&text, "\"}]");
	j = canonical(sample("", buf_text(&text), ""));
	buf_close(&text);
	assert_true(strlen(j->task_groups.at[0].services.at[0].name) < 5000);
	assert_non_null(strstr(verdict(j), "Service name must be valid per RFC 1123"));
}

static void all_faults_come_together(void **state)
{
	(void)state;
	assert_string_equal(
		verdict(canonical("{\"ID\":\"\"}")),
		"3 errors occurred:\n\t* Missing job ID\n\t* Missing job name\n\t* Missing job task groups\n\n");
	assert_string_equal(verdict(canonical(sample(",\"ID\":\"\",\"Name\":\"n\"", "", ""))),
			    "1 error occurred:\n\t* Missing job ID\n\n");
}

static void faults_are_nested_by_group_and_task(void **state)
{
	(void)state;
	assert_string_equal(verdict(canonical(sample("", ",\"Count\":-1", ",\"Driver\":\"\",\"Name\":\"a/b\""))),
			    "1 error occurred:\n\t* Task group g validation failed: 2 errors occurred:\n"
			    "\t* Task group count can't be negative\n"
			    "\t* Task a/b validation failed: 2 errors occurred:\n\t* Task name cannot include slashes\n"
			    "\t* Missing task driver\n\n\n\n\n\n");
}

/* Each with a piece of its text; %s of sample() for the job, the group or the task. */
static void bad_jobs_are_refused(void **state)
{
	static const struct {
		const char *job;
		const char *group;
		const char *task;
		const char *piece;
	} cases[] = {
		{",\"Name\":\"\"", "", "", "Missing job name"},
		{",\"Name\":\"a\\u0000b\"", "", "", "Job Name contains a null character"},
		{",\"ID\":\"a\\u0000b\"", "", "", "Job ID contains a null character"},
		{",\"ID\":\"a b\"", "", "", "Job ID contains a space"},
		{",\"Datacenters\":[\"\"]", "", "", "Job datacenter must be non-empty string"},
		{",\"TaskGroups\":[]", "", "", "Missing job task groups"},
		{",\"Type\":\"weird\"", "", "", "Invalid job type: \"weird\""},
		{",\"Type\":\"_core\"", "", "", "job type cannot be core"},
		{",\"Type\":\"\"", "", "", "Missing job type"},
		{",\"Priority\":101", "", "", "job priority must be between [1, 100]"},
		{",\"Priority\":-5", "", "", "job priority must be between [1, 100]"},
		{",\"NodePool\":\"a b\"", "", "", "Invalid node pool"},
		{"", ",\"Name\":\"\"", "", "Job task group 1 missing name"},
		{"", ",\"Name\":\"\"", "", "Missing task group name"},
		{"", ",\"Tasks\":[]", "", "Missing tasks for task group"},
		{"", ",\"Count\":-1", "", "Task group count can't be negative"},
		{"", "", ",\"Name\":\"\"", "Task 1 missing name"},
		{"", "", ",\"Name\":\"\"", "Missing task name"},
		{"", "", ",\"Name\":\"a/b\"", "Task name cannot include slashes"},
		{"", "", ",\"Driver\":\"\"", "Missing task driver"},
		{"", ",\"RestartPolicy\":{\"Mode\":\"weird\"}", "", "Unsupported restart mode: \"weird\""},
		{"", ",\"RestartPolicy\":{\"Attempts\":0,\"Mode\":\"delay\"}", "",
		 "Restart policy \"delay\" with 0 attempts is ambiguous"},
		{"", ",\"RestartPolicy\":{\"Attempts\":1,\"Interval\":\"1s\",\"Delay\":\"100ms\"}", "",
		 "Interval can not be less than 5s (got 1s)"},
		{"", ",\"RestartPolicy\":{\"Attempts\":10,\"Interval\":\"10s\",\"Delay\":\"5s\"}", "",
		 "Nomad can't restart the TaskGroup 10 times in an interval of 10s with a delay of 5s"},
		{"", ",\"ReschedulePolicy\":{\"Delay\":\"1s\"}", "", "Delay cannot be less than 5s (got 1s)"},
		{"", ",\"ReschedulePolicy\":{\"DelayFunction\":\"x\"}", "", "Invalid delay function \"x\""},
		{"", ",\"ReschedulePolicy\":{\"Attempts\":3,\"Unlimited\":false}", "",
		 "Interval must be a non zero value if Attempts > 0"},
		{"",
		 ",\"ReschedulePolicy\":{\"Attempts\":9223372036854775807,\"Unlimited\":false,\"Interval\":"
		 "9223372036854775807}",
		 "", "accommodate 9223372036854775807 attempts"},
		{"",
		 ",\"ReschedulePolicy\":{\"Attempts\":3,\"Unlimited\":false,\"Interval\":\"1m\",\"DelayFunction\":"
		 "\"fibonacci\"}",
		 "", "Nomad can only make 2 attempts in 1m0s with initial delay 30s, delay function \"fibonacci\", "
		 "and delay ceiling 1h0m0s\n\t* Set the interval to at least 2m0s to accommodate 3 attempts"},
		{"", ",\"Update\":{\"HealthCheck\":\"x\"}", "", "Invalid health check given: \"x\""},
		{"", ",\"Update\":{\"MinHealthyTime\":\"10m\"}", "",
		 "Minimum healthy time must be less than healthy deadline: 10m0s > 5m0s"},
		{"", ",\"Update\":{\"HealthyDeadline\":\"1h\"}", "",
		 "Healthy deadline must be less than progress deadline: 1h0m0s > 10m0s"},
		{"", ",\"Update\":{\"AutoPromote\":true}", "",
		 "Auto Promote requires a Canary count greater than zero"},
		{",\"Type\":\"batch\",\"Update\":{\"Stagger\":10000000000,\"MaxParallel\":1}", "", "",
		 "Job type \"batch\" does not allow update block"},
		{",\"Type\":\"batch\"", ",\"Migrate\":{}", "", "Job type \"batch\" does not allow migrate block"},
		{",\"Type\":\"system\"", ",\"ReschedulePolicy\":{}", "",
		 "System or sysbatch jobs should not have a reschedule policy"},
		{",\"Type\":\"system\"", ",\"Count\":2", "", "Count cannot exceed 1 with system scheduler"},
		{",\"Type\":\"system\",\"Affinities\":[{}]", "", "", "System jobs may not have an affinity block"},
		{",\"Type\":\"system\",\"Spreads\":[{}]", "", "", "System jobs may not have a spread block"},
		{"", "", ",\"Resources\":{\"CPU\":0,\"MemoryMB\":1}", "minimum CPU value is 1; got 0"},
		{"", "", ",\"Resources\":{\"CPU\":0,\"MemoryMB\":1}", "minimum MemoryMB value is 10; got 1"},
		{"", "", ",\"Resources\":{\"CPU\":10,\"Cores\":1}",
		 "Task can only ask for 'cpu' or 'cores' resource, not both."},
		{"", "", ",\"Resources\":{\"MemoryMaxMB\":100}",
		 "MemoryMaxMB value (100) should be larger than MemoryMB value (300)"},
		{"", ",\"EphemeralDisk\":{\"SizeMB\":5}", "", "minimum DiskMB value is 10; got 5"},
		{"", "", ",\"LogConfig\":{\"MaxFiles\":10,\"MaxFileSizeMB\":10}",
		 "log storage (100 MB) must be less than requested disk capacity (10 MB)"},
		{",\"Constraints\":[{\"LTarget\":\"a\",\"RTarget\":\"b\",\"Operand\":\"??\"}]", "", "",
		 "Unknown constraint type \"??\""},
		{",\"Constraints\":[{\"LTarget\":\"a\",\"RTarget\":\"(\",\"Operand\":\"regexp\"}]", "", "",
		 "Constraint 1 validation failed: 1 error occurred:\n\t* Regular expression failed to compile"},
		{",\"Constraints\":[{\"LTarget\":\"a\",\"RTarget\":\"zz\",\"Operand\":\"version\"}]", "", "",
		 "Version constraint is invalid"},
		{",\"Constraints\":[{\"LTarget\":\"a\",\"RTarget\":\"1\",\"Operand\":\"semver\"}]", "", "",
		 "Semver constraint is invalid"},
		{",\"Constraints\":[{\"LTarget\":\"a\",\"Operand\":\"=\"}]", "", "",
		 "Operator \"=\" requires an RTarget"},
		{",\"Constraints\":[{\"RTarget\":\"b\",\"Operand\":\"=\"}]", "", "",
		 "no attribute provided but is required by operator"},
		{",\"Constraints\":[{\"LTarget\":\"a\",\"RTarget\":\"0\",\"Operand\":\"distinct_property\"}]", "", "",
		 "allowed count of 1 or greater: 0 < 1"},
		{"", "", ",\"Constraints\":[{\"Operand\":\"distinct_hosts\"}]",
		 "has disallowed Operand at task level: distinct_hosts"},
		{",\"Affinities\":[{\"LTarget\":\"a\",\"RTarget\":\"b\",\"Weight\":0}]", "", "",
		 "Affinity weight cannot be zero"},
		{",\"Spreads\":[{\"Attribute\":\"a\",\"SpreadTarget\":[{\"Value\":\"x\",\"Percent\":60},{\"Value\":"
		 "\"x\",\"Percent\":60}]}]",
		 "", "", "Spread target value \"x\" already defined"},
		{",\"Spreads\":[{\"Attribute\":\"a\",\"SpreadTarget\":[{\"Value\":\"x\",\"Percent\":60},{\"Value\":"
		 "\"y\",\"Percent\":60}]}]",
		 "", "", "Sum of spread target percentages must not be greater than 100%; got 120%"},
		{",\"Periodic\":{\"Spec\":\"* * * * *\"}", "", "",
		 "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler"},
		{",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"bad\"}", "", "",
		 "Invalid cron spec \"bad\": missing field(s)"},
		{",\"Type\":\"batch\",\"Periodic\":{\"Specs\":[\"@daily\",\"bad\"]}", "", "",
		 "Invalid cron spec \"bad\""},
		{",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"@daily\",\"Specs\":[\"@daily\"]}", "", "",
		 "Only cron or crons may be used"},
		{",\"Type\":\"batch\",\"Periodic\":{}", "", "", "Must specify a spec"},
		{",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"@daily\",\"SpecType\":\"wat\"}", "", "",
		 "Unknown periodic specification type \"wat\""},
		{",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"@daily\",\"TimeZone\":\"../etc\"}", "", "",
		 "Invalid time zone \"../etc\""},
		{",\"ParameterizedJob\":{}", "", "", "Parameterized job can only be used with"},
		{",\"Type\":\"batch\",\"ParameterizedJob\":{\"Payload\":\"sometimes\"}", "", "",
		 "Unknown payload requirement: \"sometimes\""},
		{",\"Type\":\"batch\",\"ParameterizedJob\":{\"MetaRequired\":[\"a\",\"c\",\"b\"],\"MetaOptional\":["
		 "\"b\",\"a\"]}",
		 "", "", "Required and optional meta keys should be disjoint. Following keys exist in both: [a b]"},
		{",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"@daily\"},\"ParameterizedJob\":{}", "", "",
		 "periodic and parameterized"},
		{"", "", ",\"Lifecycle\":{\"Hook\":\"sometime\"}", "invalid hook: sometime"},
		{"", "", ",\"Templates\":[{\"DestPath\":\"a\"}]",
		 "Must specify a source path or have an embedded template"},
		{"", "", ",\"Templates\":[{\"SourcePath\":\"a\",\"DestPath\":\"../a\"}]",
		 "\t* destination escapes allocation directory"},
		{"", "", ",\"Templates\":[{\"EmbeddedTmpl\":\"a\",\"DestPath\":\"a\",\"ChangeMode\":\"signal\","
			 "\"ChangeSignal\":\"\"}]",
		 "Must specify signal value"},
		{"", "", ",\"Templates\":[{\"EmbeddedTmpl\":\"a\",\"DestPath\":\"a\",\"Perms\":\"9\"}]",
		 "Failed to parse \"9\" as octal"},
		{"", "",
		 ",\"Templates\":[{\"EmbeddedTmpl\":\"a\",\"DestPath\":\"a\"},{\"EmbeddedTmpl\":\"b\",\"DestPath\":"
		 "\"a\"}]",
		 "Template 2 has same destination as 1"},
		{"", "", ",\"Artifacts\":[{}]",
		 "Artifact 1 validation failed: 1 error occurred:\n\t* source must be specified"},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"RelativeDest\":\"a/../../b\"}]",
		 "\t* destination escapes allocation directory"},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"GetterOptions\":{\"checksum\":\"md5:zz\"}}]",
		 "invalid checksum: it must be hexadecimal"},
		{"", "", ",\"VolumeMounts\":[{\"Volume\":\"v\"}]", "Volume Mount (0) references undefined volume v"},
		{"", ",\"Volumes\":{\"v\":{\"Type\":\"x\",\"Source\":\"s\"}}", "",
		 "Task group volume validation for v failed: 1 error occurred:\n\t* volume has unrecognized type x"},
		{"",
		 ",\"Networks\":[{\"ReservedPorts\":[{\"Label\":\"a\",\"Value\":80},{\"Label\":\"b\",\"Value\":80}]}]",
		 "", "Static port 80 already reserved by taskgroup network:a"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"a\"},{\"Label\":\"a\"}]}]", "",
		 "Port label a already in use by taskgroup network"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"a\",\"To\":70000}]}]", "", "greater than 65535"},
		{"",
		 ",\"Services\":[{\"Name\":\"s\",\"PortLabel\":\"80\"},{\"Name\":\"s\",\"PortLabel\":\"80\"},"
		 "{\"Name\":\"s\",\"PortLabel\":\"80\"}]",
		 "",
		 "Task group service validation failed: 1 error occurred:\n\t* Services are not unique: [group->s:80]\n"},
		{"",
		 "",
		 ",\"Services\":[{\"Name\":\"s\"},{\"Name\":\"s\"}]",
		 "Services are not unique: [t->s]"},
		{"",
		 ",\"Services\":[{\"Name\":\"s\",\"Provider\":\"nomad\"}]",
		 ",\"Services\":[{\"Name\":\"s\"}]",
		 "Multiple service providers used: task group services must use the same provider"},
		{"",
		 ",\"Services\":[{\"Name\":\"s\",\"Checks\":[{\"Name\":\"c\",\"Type\":\"tcp\","
		 "\"Interval\":1000000000,\"Timeout\":1000000000}]}]",
		 "",
		 "check requires a port but neither check nor service \"s\" have a port"},
		{"",
		 ",\"ReschedulePolicy\":{\"Attempts\":3,\"Interval\":3600000000000}",
		 "",
		 "Reschedule Policy with Attempts = 3, Interval = 1h0m0s, and Unlimited = true is ambiguous"},
		{"",
		 ",\"Disconnect\":{\"LostAfter\":5},\"MaxClientDisconnect\":5",
		 "",
		 "using both lost_after and max_client_disconnect is not allowed"},
		{"",
		 ",\"Disconnect\":{\"StopOnClientAfter\":5},\"StopAfterClientDisconnect\":5",
		 "",
		 "using both stop_after_client_disconnect and stop_on_client_after is not allowed"},
		{"",
		 "",
		 ",\"Resources\":{\"Devices\":[{\"Name\":\"\"}]}",
		 "device 1 failed validation: 1 error occurred:\n\t* device name must be given"},
		{"", ",\"Services\":[{\"Name\":\"a_b\"}]", "", "Service name must be valid per RFC 1123"},
		{"", ",\"Services\":[{\"Name\":\"a\",\"PortLabel\":\"http\"}]", "",
		 "port label \"http\" referenced by services a does not exist"},
		{"",
		 ",\"Services\":[{\"Name\":\"a\",\"PortLabel\":\"80\",\"Checks\":[{\"Name\":\"c\",\"Type\":\"tcp\",\"Interval\":\"5s\","
		 "\"Timeout\":\"5s\",\"TaskName\":\"nobody\"}]"
		 "}]",
		 "", "refers to non-existent task nobody"},
		{"", ",\"Scaling\":{\"Min\":5,\"Max\":10}", "",
		 "task group count must not be less than minimum count in scaling policy"},
		{"", ",\"Disconnect\":{\"LostAfter\":-1}", "", "lost_after cannot be a negative duration"},
		{"", ",\"MaxClientDisconnect\":1,\"StopAfterClientDisconnect\":1", "",
		 "both max_client_disconnect and stop_after_client_disconnect"},
		{"", "", ",\"KillTimeout\":-1", "KillTimeout must be a positive value"},
		{"", ",\"ShutdownDelay\":-1", "",
		 "1 error occurred:\n\t* ShutdownDelay must be a positive value\n\n"},
		{"", "", ",\"KillTimeout\":\"700s\"",
		 "KillTimout (11m40s) longer than the group's ProgressDeadline (10m0s)"},
		{"", ",\"MaxRunDuration\":0", "",
		 "MaxRunDuration must be greater than zero"},
		{"", ",\"MaxRunDuration\":5", "",
		 "Job type \"service\" does not allow max_run_duration"},
		{"", "", ",\"Lifecycle\":{\"Hook\":\"prestart\"}",
		 "Task group g must have at least one main task"},
		{"", "", ",\"Lifecycle\":{\"Hook\":\"\",\"Sidecar\":true}",
		 "Lifecycle validation failed: no lifecycle hook provided"},
		{"", "", ",\"Name\":\"alloc\"",
		 "Task cannot be named \"alloc\""},
		{"", "", ",\"Resources\":{\"Cores\":-1}",
		 "cores value (-1) cannot be negative"},
		{"", "", ",\"Resources\":{\"SecretsMB\":301}",
		 "SecretsMB value (301) cannot be larger than MemoryMB value (300)"},
		{"", "", ",\"Resources\":{\"SecretsMB\":-1}",
		 "SecretsMB value (-1) cannot be negative"},
		{"", "", ",\"Resources\":{\"Devices\":[{\"Name\":\"gpu\",\"Constraints\":[{\"Operand\":\"distinct"
		 "_hosts\"}]}]}",
		 "Constraint 1 validation failed: using unsupported operand \"distinct_hosts\""},
		{"", "", ",\"Resources\":{\"NUMA\":{\"Affinity\":\"x\"}}",
		 "numa affinity must be one of none, prefer, or require"},
		{"", "", ",\"Resources\":{\"NUMA\":{\"Devices\":[\"gpu\"]}}",
		 "numa device \"gpu\" not requested as task resource"},
		{"", "", ",\"Resources\":{\"CPU\":0,\"MemoryMB\":1}",
		 "* 1 error occurred:\n\t* 2 errors occurred:\n\t* minimum CPU value is 1; got 0\n\t* min"
		 "imum MemoryMB"},
		{"", ",\"Networks\":[{\"ReservedPorts\":[{\"Label\":\"a\",\"Value\":70000}]}]", "",
		 "Port a (70000) cannot be greater than 65535"},
		{"", ",\"Networks\":[{\"ReservedPorts\":[{\"Label\":\"a\"}]}]", "",
		 "Port a (0) must be 1 to 65535"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"a\",\"To\":-5}]}]", "",
		 "Port \"a\" cannot be mapped to negative value -5"},
		{"", ",\"Networks\":[{\"Mode\":\"bridge\",\"DynamicPorts\":[{\"Label\":\"a\",\"IgnoreCollisio"
		 "n\":true}]}]", "",
		 "Port \"a\" collision may not be ignored on non-host network mode \"bridge\""},
		{"", ",\"Networks\":[{\"Hostname\":\"a..b\"}]", "",
		 "Hostname is not a valid DNS name"},
		{"", ",\"Networks\":[{\"CNI\":{\"Args\":{\"a;\":\"b\"}}}]", "",
		 "invalid ';' character in CNI arg key \"a;\""},
		{"", ",\"Networks\":[{\"ReservedPorts\":[{\"Label\":\"a\",\"Value\":80}]}]",
		 ",\"Resources\":{\"Networks\":[{\"ReservedPorts\":[{\"Label\":\"b\",\"Value\":80}]}]}",
		 "Static port 80 already reserved by taskgroup network:a"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"a\"}]}]",
		 ",\"Resources\":{\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"a\"}]}]}",
		 "Port label a already in use by taskgroup network"},
		{"", ",\"RestartPolicy\":{\"Attempts\":0,\"Mode\":\"x\"}", "",
		 "Unsupported restart mode: \"x\"\n\t* Restart policy \"x\" with 0 attempts is ambiguous"},
		{"", ",\"ReschedulePolicy\":{\"Attempts\":3,\"Interval\":\"1h\"}", "",
		 "If Attempts >0, Unlimited cannot also be set to true"},
		{"", ",\"ReschedulePolicy\":{\"Attempts\":3,\"Unlimited\":false}", "",
		 "Interval cannot be less than 15s (got 0s)"},
		{"", ",\"ReschedulePolicy\":{\"MaxDelay\":\"10s\"}", "",
		 "Max Delay cannot be less than Delay 30s (got 10s)"},
		{"", ",\"ReschedulePolicy\":{\"Attempts\":10,\"Unlimited\":false,\"Interval\":\"1m\",\"DelayF"
		 "unction\":\"constant\"}", "",
		 "* 2 errors occurred:\n\t* Nomad can only make 2 attempts in 1m0s with initial delay 30s"
		 " and delay function \"constant\"\n\t* Set the interval to at least 5m0s to accommodate 1"
		 "0 attempts"},
		{",\"Constraints\":[{\"LTarget\":\"${attr.x\",\"RTarget\":\"b\",\"Operand\":\"=\"}]", "", "",
		 "attribute \"${attr.x\" is missing a closing brace"},
		{",\"Constraints\":[{\"LTarget\":\"$attr.x\",\"RTarget\":\"b\",\"Operand\":\"=\"}]", "", "",
		 "attribute \"$attr.x\" is missing an opening brace"},
		{",\"Constraints\":[{\"LTarget\":\"${env.x}\",\"RTarget\":\"b\",\"Operand\":\"=\"}]", "", "",
		 "unsupported attribute \"${env.x}\""},
		{",\"Constraints\":[{\"LTarget\":\"${attr.kernel.name}\",\"RTarget\":\"x\",\"Operand\":\"distinct_property\"}]", "", "",
		 "Failed to convert RTarget \"x\" to uint64: strconv.ParseUint: parsing \"x\": invalid sy"
		 "ntax"},
		{",\"Affinities\":[{\"LTarget\":\"${attr.kernel.name}\",\"RTarget\":\"zz\",\"Operand\":\"version\"}]", "", "",
		 "Version affinity is invalid: Malformed constraint: zz"},
		{",\"Affinities\":[{\"RTarget\":\"b\",\"Operand\":\"=\"}]", "", "",
		 "No LTarget provided but is required\n"},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"GetterMode\":\"y\"}]",
		 "invalid artifact mode \"y\"; must be one of: any, file, dir"},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"GetterOptions\":{\"checksum\":\"\"}}]",
		 "checksum value cannot be empty"},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"GetterOptions\":{\"checksum\":\"nope\"}}]",
		 "checksum must be given as \"type:value\"; got \"nope\""},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"GetterOptions\":{\"checksum\":\"foo:aabb\"}}]"
		 "",
		 "unsupported checksum type: foo"},
		{"", "", ",\"Artifacts\":[{\"GetterSource\":\"x\",\"GetterOptions\":{\"checksum\":\"md5:12\"}}]",
		 "invalid md5 checksum: 12"},
		{"", "", ",\"Templates\":[{\"EmbeddedTmpl\":\"x\",\"DestPath\":\"a\",\"Wait\":{\"Min\":\"10s\",\"Max\":\"5s\"}}]",
		 "wait min 10s is greater than max 5s"},
		{"", "", ",\"Actions\":[{\"Name\":\"a\",\"Command\":\"\"}]",
		 "Action a validation failed: 1 error occurred:\n\t* command cannot be empty"},
		{"", "", ",\"Actions\":[{\"Name\":\"a b\",\"Command\":\"x\"}]",
		 "invalid name 'a b'"},
		{"", "", ",\"Actions\":[{\"Name\":\"a\",\"Command\":\"x\"},{\"Name\":\"a\",\"Command\":\"x\"},{\"Name\":\"a\",\"Command\":\"x\"}]",
		 "1 error occurred:\n\t* Action a defined multiple times"},
		{"", "", ",\"CSIPluginConfig\":{\"Type\":\"x\"}",
		 "CSIPluginConfig must have a non-empty PluginID\n\t* CSIPluginConfig PluginType must be "
		 "one of 'node', 'controller', or 'monolith', got: \"x\""},
		{"", "", ",\"CSIPluginConfig\":{\"ID\":\"p\",\"Type\":\"node\",\"MountDir\":\"/a\",\"StagePublish"
		 "BaseDir\":\"/a/b\"}",
		 "CSIPluginConfig StagePublishBaseDir must not be a subdirectory of MountDir"},
		{"", "", ",\"Identities\":[{\"Name\":\"a b\"}]",
		 "Identity \"a b\" is invalid: 1 error occurred:\n\t* invalid name \"a b\". Must match re"
		 "gex ^[a-zA-Z0-9-_]{1,128}$"},
		{"", "", ",\"Identities\":[{\"Name\":\"a\",\"ChangeMode\":\"x\",\"Audience\":[\"\"],\"TTL\":-1,\"Filepath\":\"f\"}]",
		 "4 errors occurred:\n\t* an empty string is an invalid audience (1)\n\t* invalid change_"
		 "mode: x\n\t* ttl must be >= 0\n\t* file parameter must be true in order to specify filep"
		 "ath"},
		{"", "", ",\"Identities\":[{\"Name\":\"a\",\"ChangeSignal\":\"SIGHUP\"}]",
		 "can only use change_signal=\"SIGHUP\" with change_mode=\"signal\""},
		{"", "", ",\"Secrets\":[{\"Name\":\"s\"}]",
		 "Secret \"s\" is invalid: 2 errors occurred:\n\t* secret provider cannot be empty\n\t* s"
		 "ecret path cannot be empty"},
		{"", "", ",\"Secrets\":[{\"Name\":\"s\",\"Provider\":\"vault\",\"Path\":\"p\"},{\"Name\":\"s\",\"Provider\":\"nomad\",\"Path\":\"p\"}]",
		 "Secret \"s\" has provider \"vault\" but no vault block\n\t* Duplicate secret \"s\" foun"
		 "d"},
		{"", ",\"Volumes\":{\"v\":{\"Type\":\"host\",\"Source\":\"s\"}}",
		 ",\"VolumeMounts\":[{\"Volume\":\"v\",\"PropagationMode\":\"x\"}]",
		 "Volume Mount (0) is invalid: \"1 error occurred:\n\t* volume mount has an invalid propa"
		 "gation mode: \"x\""},
		{"", ",\"Volumes\":{\"v\":{\"Type\":\"csi\",\"Source\":\"s\"}}", "",
		 "CSI volumes must have an attachment mode\n\t* CSI volumes must have an access mode"},
		{"", ",\"Volumes\":{\"v\":{\"Type\":\"host\",\"Source\":\"s\",\"AccessMode\":\"x\"}}", "",
		 "host volumes cannot be mounted with x access mode"},
		{"", ",\"Volumes\":{\"v\":{\"Type\":\"host\",\"Source\":\"s\",\"PerAlloc\":true,\"Sticky\":tr"
		 "ue}}", "",
		 "volume cannot be per_alloc and sticky at the same time"},
		{"", ",\"Scaling\":{\"Max\":-1}", "",
		 "Task group scaling policy validation failed: 2 errors occurred:\n\t* Scaling policy inv"
		 "alid: maximum count must be specified and non-negative\n\t* Scaling policy invalid: task"
		 " group count must not be greater than maximum count in scaling policy"},
		{"", ",\"Count\":5,\"Scaling\":{\"Min\":5,\"Max\":3}", "",
		 "Scaling policy invalid: maximum count must not be less than minimum count"},
		{",\"Type\":\"batch\",\"Payload\":\"YWJj\"", "", "",
		 "job can't be submitted with a payload, only dispatched"},
		{",\"Type\":\"weird\",\"Priority\":500,\"Datacenters\":[\"\"]", "", "",
		 "3 errors occurred:\n\t* Invalid job type: \"weird\"\n\t* Job datacenter must be non-emp"
		 "ty string\n\t* job priority must be between [1, 100]"},
		{"", ",\"Services\":[{\"Name\":\"a b\"}]", "",
		 "Task group service validation failed: 1 error occurred:\n\t* Service[0] a b validation "
		 "failed: 1 error occurred:\n\t* Service name must be valid per RFC 1123"},
		{"", "", ",\"Services\":[{\"Name\":\"a b\"}]",
		 "Task t validation failed: 1 error occurred:\n\t* 1 error occurred:\n\t* service[0] \"a "
		 "b\" validation failed: 1 error occurred:\n\t* Service name must be"},
		{"", ",\"Services\":[{\"Name\":\"a\",\"Provider\":\"x\"}]", "",
		 "Service provider must be \"consul\", or \"nomad\"; not \"x\""},
		{"", ",\"Services\":[{\"Name\":\"a\",\"AddressMode\":\"driver\"}]", "",
		 "service \"a\" cannot use address_mode=\"driver\""},
		{"", "", ",\"Services\":[{\"Name\":\"a\",\"AddressMode\":\"alloc\"}]",
		 "service \"a\" cannot use address_mode=\"alloc\""},
		{"", ",\"Services\":[{\"Name\":\"a\",\"Address\":\"1.2.3.4\",\"AddressMode\":\"host\"}]", "",
		 "Service address_mode must be \"auto\" if address is set"},
		{"", "", ",\"Services\":[{\"Name\":\"a\"},{\"Name\":\"a\"}]",
		 "service \"a\" is duplicate"},
		{"", "", ",\"Services\":[{\"Name\":\"a\",\"TaskName\":\"u\"}]",
		 "Service a is invalid: may only specify task the service belongs to, got \"u\""},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"grpc\"}]}]", "",
		 "* invalid check type (\"grpc\"), must be one of tcp, http"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"consul\",\"PortLabel\":\"p\",\"Checks\":[{\"Name\":\"c\",\"Type\":\"x\"}]}]"
		 "", "",
		 "Check c invalid: invalid check type (\"x\"), must be one of grpc, tcp, http, script"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"tcp\"}]}]", "",
		 "missing required value interval. Interval cannot be less than 1s"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":\"5m"
		 "s\"}]}]", "",
		 "interval (5ms) cannot be lower than 1s"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":\"5s"
		 "\"}]}]", "",
		 "missing required value timeout. Timeout cannot be less than 1s"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":\"5s"
		 "\",\"Timeout\":\"5ms\"}]}]", "",
		 "timeout (5ms) is lower than required minimum timeout 1s"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":\"5s"
		 "\",\"Timeout\":\"5s\",\"InitialStatus\":\"x\"}]}]", "",
		 "invalid initial check state (x), must be one of \"passing\", \"warning\", \"critical\" "
		 "or empty"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"tcp\",\"Interval\":\"5s"
		 "\",\"Timeout\":\"5s\",\"OnUpdate\":\"ignore\",\"CheckRestart\":{\"Limit\":1}}]}]", "",
		 "on_update value \"ignore\" is not compatible with check_restart"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Type\":\"http\",\"Interval\":\"5"
		 "s\",\"Timeout\":\"5s\"}]}]", "",
		 "http type must have http path"},
		{"", ",\"Networks\":[{\"DynamicPorts\":[{\"Label\":\"p\"}]}],\"Services\":[{\"Name\":\"a\",\"Provider\":\"nomad\",\"PortLabel\":\"p\",\"Checks\":[{\"Name\":\"c\",\"Type\":\"script\",\"Command\":\"x\",\"Interval\":\"5s\",\"Timeout\":\"5s\"}]}]", "",
		 "Task group service check validation failed: 1 error occurred:\n\t* Service [g]->a or Ch"
		 "eck c must specify task parameter"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = verdict(canonical(sample(cases[i].job, cases[i].group, cases[i].task)));

		if (strstr(text, cases[i].piece) == NULL) {
			fail_msg("%s%s%s: want %s, have %s", cases[i].job, cases[i].group, cases[i].task,
				 cases[i].piece, text);
		}
	}
}

static void long_descriptions_are_refused(void **state)
{
	char text[1002];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[1001] = '\0';
	assert_non_null(strstr(verdict(canonical(sample(arena_printf(&mem, ",\"UI\":{\"Description\":\"%s\"}", text), "", ""))),
			       "UI description must be under 1000 characters, currently 1001"));
	assert_non_null(
		strstr(verdict(canonical(sample(arena_printf(&mem, ",\"VersionTag\":{\"Description\":\"%s\"}", text), "", ""))),
		       "Tagged version description must be under 1000 characters, currently 1001"));
}

static void lists_know_their_doubles(void **state)
{
	const char *text;

	(void)state;
	text = verdict(canonical(
		"{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\"},{\"Name\":\"h\"},{\"Name\":\"g\"},{\"Name\":\"g\"}]}"));
	assert_non_null(strstr(text, "Job task group 3 redefines 'g' from group 1"));
	assert_non_null(strstr(text, "Job task group 4 redefines 'g' from group 1"));
	text = verdict(canonical("{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":[{\"Name\":\"t\",\"Leader\":"
				 "true},{\"Name\":\"t\",\"Leader\":true}]}]}"));
	assert_non_null(strstr(text, "Task 2 redefines 't' from task 1"));
	assert_non_null(strstr(text, "Only one task may be marked as leader"));
}

static void a_great_many_faults_are_cut(void **state)
{
	struct buf text = {0};
	const char *out;
	int i;

	(void)state;
	buf_str(&text, "{\"ID\":\"j\",\"TaskGroups\":[{}");
	for (i = 0; i < 20000; i++) {
		buf_str(&text, ",{\"Unknown\":\"something\"}");
	}
	buf_str(&text, "]}");
	out = verdict(canonical(buf_text(&text)));
	assert_true(strncmp(out, "40002 errors occurred:", 22) == 0);
	assert_true(strlen(out) < FAULTS_TEXT_MAX + 4096);
	buf_close(&text);
}

/* The sample of the documentation, as far as today's rules allow. */
static void the_documented_sample_is_valid(void **state)
{
	struct job *j = canonical(
		"{\"Region\":\"global\",\"ID\":\"example\",\"ParentID\":\"\",\"Name\":\"example\",\"Type\":\"batch\","
		"\"Priority\":50,\"AllAtOnce\":false,"
		"\"Datacenters\":[\"dc1\"],\"Constraints\":[{\"LTarget\":\"${attr.kernel.name}\",\"RTarget\":\"linux\","
		"\"Operand\":\"=\"}],\"TaskGroups\":"
		"[{\"Name\":\"cache\",\"Count\":1,\"Constraints\":[{\"LTarget\":\"${attr.os.signals}\",\"RTarget\":"
		"\"SIGUSR1\",\"Operand\":"
		"\"set_contains\"}],\"RestartPolicy\":{\"Attempts\":10,\"Interval\":300000000000,\"Delay\":25000000000,"
		"\"Mode\":\"delay\"},"
		"\"Tasks\":[{\"Name\":\"redis\",\"Driver\":\"raw_exec\",\"User\":\"foo-user\",\"Config\":{\"command\":"
		"\"/bin/sleep\",\"args\":[\"60\"]},"
		"\"Env\":{\"foo\":\"bar\",\"baz\":\"pipe\"},\"Services\":null,\"Vault\":null,\"Templates\":[{"
		"\"SourcePath\":\"local/config.conf.tpl\","
		"\"DestPath\":\"local/"
		"config.conf\",\"EmbeddedTmpl\":\"\",\"ChangeMode\":\"signal\",\"ChangeSignal\":\"sigusr1\",\"Splay\":"
		"5000000000,"
		"\"Perms\":\"\"}],\"Constraints\":null,\"Resources\":{\"CPU\":500,\"MemoryMB\":256,\"DiskMB\":0,"
		"\"IOPS\":0},\"DispatchPayload\":null,"
		"\"Meta\":{\"foo\":\"bar\"},\"KillTimeout\":5000000000,\"LogConfig\":{\"MaxFiles\":10,"
		"\"MaxFileSizeMB\":10},\"Artifacts\":[{"
		"\"GetterSource\":\"http://foo.com/"
		"artifact.tar.gz\",\"GetterOptions\":{\"checksum\":\"md5:c4aa853ad2215426eb7d70a21922e794\"},"
		"\"RelativeDest\":\"local/"
		"\"}],\"Leader\":false}],\"EphemeralDisk\":{\"Sticky\":false,\"SizeMB\":300,\"Migrate\":false},"
		"\"Meta\":{\"foo\":\"bar\"}}],\"Payload\":null,\"VaultToken\":\"\",\"Status\":\"running\","
		"\"CreateIndex\":7}");

	(void)state;
	assert_string_equal(verdict(j), "");
	assert_string_equal(j->task_groups.at[0].tasks.at[0].templates.at[0].change_signal, "SIGUSR1");
}

static const char *warning(const struct job *j)
{
	struct buf out = {0};
	const char *text;

	job_warnings(j, false, &out);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

static void warnings_are_told(void **state)
{
	(void)state;
	assert_string_equal(warning(canonical(sample("", "", ""))), "");
	assert_non_null(strstr(warning(canonical(sample("", ",\"Networks\":[{\"MBits\":5}]", ""))),
			       "Group \"g\" has warnings: 1 error occurred:\n\t* mbits has been deprecated"));
	assert_non_null(strstr(warning(canonical(sample("", "", ",\"Vault\":{}"))), "vault is not supported"));
	assert_non_null(strstr(warning(canonical(sample(",\"Multiregion\":{}", "", ""))), "multiregion is not supported"));
	assert_string_equal(warning(canonical(sample("", "", ",\"Resources\":{\"MemoryMB\":10,\"MemoryMaxMB\":20}"))),
			    "1 warning:\n\n* Memory oversubscription is not enabled; Task \"g.t\" memory_max value will be "
			    "ignored. Update the Scheduler Configuration to allow oversubscription.");
	assert_string_equal(
		warning(canonical(sample("", "", ",\"Resources\":{\"IOPS\":5}"))),
		"1 warning:\n\n* Group \"g\" has warnings: 1 error occurred:\n\t* Task \"t\" has warnings: 1 error "
		"occurred:\n"
		"\t* IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resource block.\n\n\n\n");
	assert_non_null(strstr(warning(canonical(sample("", ",\"Count\":2,\"Update\":{\"MaxParallel\":3}", ""))),
			       "Update max parallel count is greater than task group count (3 > 2)."));
	assert_non_null(strstr(warning(canonical(sample("", ",\"Services\":[{\"Name\":\"s\",\"Connect\":{}}]", ""))),
			       "Service \"s\": connect is not supported and has no effect"));
	assert_non_null(strstr(warning(canonical(sample("", "", ",\"Services\":[{\"Name\":\"s\",\"Connect\":{}}]"))),
			       "Service \"s\": connect is not supported and has no effect"));
	assert_null(strstr(warning(canonical(sample("", ",\"Services\":[{\"Name\":\"s\",\"Connect\":null}]", ""))),
			   "connect is not supported"));
	assert_string_equal(warning(canonical(sample("", ",\"Services\":[{\"Name\":\"s\"}]", ""))),
			    "1 warning:\n\n* group \"g\" defines services, but neither the group nor any of its tasks have "
			    "shutdown_delay set");
	assert_string_equal(
		warning(canonical(sample("", ",\"ShutdownDelay\":1,\"Services\":[{\"Name\":\"s\"}]", ""))), "");
	assert_non_null(strstr(warning(canonical(sample("", "", ",\"Services\":[{\"Name\":\"s\"}]"))),
			       "task \"t\" in group \"g\" defines services, but has no shutdown_delay set"));
	assert_non_null(
		strstr(warning(canonical(sample("", ",\"Services\":[{\"Name\":\"s\",\"TaskName\":\"t\"}]", ""))),
		       "group \"g\" references task \"t\" in a service definition, but the task has no shutdown_delay set"));
	assert_string_equal(
		warning(canonical(sample(",\"Type\":\"batch\",\"Periodic\":{\"Spec\":\"@daily\"}", "", ""))),
		"1 warning:\n\n* cron is deprecated and may be removed in a future release. Use crons instead");
	assert_string_equal(
		warning(canonical(sample(",\"Type\":\"batch\",\"Periodic\":{\"Specs\":[\"@daily\"]}", "", ""))), "");
	assert_non_null(strstr(warning(canonical(sample("", "", ",\"Resources\":{\"Networks\":[{}]}"))),
			       "task network resources have been deprecated as of Nomad 0.12.0."));
	assert_non_null(strstr(warning(canonical(sample("", "", ",\"Identities\":[{\"Name\":\"a\",\"Env\":true}]"))),
			       "Identity[a]: 3 errors occurred:\n\t* identities without an audience are insecure\n\t* "
			       "identities without an expiration are insecure\n\t* using env=true without "
			       "change_mode=\"restart\" may result in task not getting updated identity"));
	/* Who has no canaries has none to promote. */
	assert_string_equal(warning(canonical(sample("", ",\"Update\":{\"Canary\":1,\"AutoPromote\":true}", ""))), "");
}

static void groups_and_tasks_are_found_by_name(void **state)
{
	struct job *j = canonical(sample("", "", ""));

	(void)state;
	assert_ptr_equal(job_group(j, "g"), &j->task_groups.at[0]);
	assert_null(job_group(j, "x"));
	assert_ptr_equal(group_task(&j->task_groups.at[0], "t"), &j->task_groups.at[0].tasks.at[0]);
	assert_null(group_task(&j->task_groups.at[0], "x"));
}

static void parents_are_known_from_their_children(void **state)
{
	struct job *j = canonical(sample(",\"Type\":\"batch\",\"ParameterizedJob\":{}", "", ""));

	(void)state;
	assert_true(job_is_parameterized(j));
	j->dispatched = true;
	assert_false(job_is_parameterized(j));
	assert_false(job_is_periodic(j));
	j = canonical(sample(",\"Type\":\"batch\",\"Periodic\":{\"Specs\":[\"0 5 * * *\",\"0 4 * * *\"]}", "", ""));
	assert_true(job_is_periodic(j));
	assert_int_equal(periodic_next(j->periodic, 0, NULL, NULL), 4 * 3600);
	assert_int_equal(periodic_next(j->periodic, 4 * 3600, NULL, NULL), 5 * 3600);
}

/* Whatever a user sends, it gets an answer. */
static void random_jobs_do_no_harm(void **state)
{
	uint64_t seed = random_seed();
	int i;

	(void)state;
	for (i = 0; i < 300; i++) {
		struct arena one = {0};
		struct buf out = {0};
		struct job j;

		random_object(&job_type, &j, &one, &seed, 5);
		assert_int_equal(job_canonicalize(&j, &one), 0);
		job_validate(&j, &out);
		job_warnings(&j, false, &out);
		buf_close(&out);
		arena_close(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_gets_the_documented_defaults),
		cmocka_unit_test(the_type_of_a_job_decides_its_defaults),
		cmocka_unit_test(what_is_given_stays),
		cmocka_unit_test(twice_is_once),
		cmocka_unit_test(what_is_nested_gets_defaults_too),
		cmocka_unit_test(identities_are_told_apart),
		cmocka_unit_test(a_plugin_gets_its_places),
		cmocka_unit_test(a_task_asks_for_no_disk),
		cmocka_unit_test(services_get_names),
		cmocka_unit_test(names_of_services_may_hold_those_of_their_owners),
		cmocka_unit_test(all_faults_come_together),
		cmocka_unit_test(faults_are_nested_by_group_and_task),
		cmocka_unit_test(bad_jobs_are_refused),
		cmocka_unit_test(long_descriptions_are_refused),
		cmocka_unit_test(lists_know_their_doubles),
		cmocka_unit_test(a_great_many_faults_are_cut),
		cmocka_unit_test(the_documented_sample_is_valid),
		cmocka_unit_test(warnings_are_told),
		cmocka_unit_test(groups_and_tasks_are_found_by_name),
		cmocka_unit_test(parents_are_known_from_their_children),
		cmocka_unit_test(random_jobs_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
