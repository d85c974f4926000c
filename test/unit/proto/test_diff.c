#include "test/unit/unit.h"

#include "proto/diff.h"
#include "proto/error.h"
#include "test/unit/proto/random_object.h"

static struct arena mem;
static uint64_t seed;

static int release(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

static struct job *job(const char *text)
{
	struct job *j = arena_alloc(&mem, sizeof(*j));
	struct fault f;

	if (json_decode(&job_type, j, text, strlen(text), &mem, &f) != 0) {
		fail_msg("%s %s", f.path, f.why);
	}
	return j;
}

static struct job_diff *diff(const struct job *was, const struct job *now, bool contextual)
{
	struct job_diff *d = arena_alloc(&mem, sizeof(*d));

	assert_int_equal(job_diff(was, now, contextual, &mem, d), 0);
	return d;
}

static const char *text_of(const struct job_diff *d)
{
	struct buf b = {0};
	const char *text;

	json_encode(&job_diff_type, d, &b);
	text = arena_strdup(&mem, buf_text(&b));
	buf_close(&b);
	return text;
}

/* The diff of two jobs that have these members beside their ID. */
static const char *between(const char *was, const char *now)
{
	return text_of(diff(job(arena_printf(&mem, "{\"ID\":\"j\"%s}", was)),
			    job(arena_printf(&mem, "{\"ID\":\"j\"%s}", now)), true));
}

#define FIELD(type, name, was, now)                                                                                    \
	"{\"Type\":\"" type "\",\"Name\":\"" name "\",\"Old\":\"" was "\",\"New\":\"" now "\",\"Annotations\":null}"

static void a_changed_value_is_a_field(void **state)
{
	(void)state;
	assert_string_equal(between("", ",\"Priority\":88"),
			    "{\"Type\":\"Edited\",\"ID\":\"j\",\"Fields\":[" FIELD(
				    "Edited", "Priority", "50", "88") "],\"Objects\":null,\"TaskGroups\":null}");
	assert_string_equal(between("", ""),
			    "{\"Type\":\"None\",\"ID\":\"j\",\"Fields\":null,\"Objects\":null,\"TaskGroups\":null}");
}

static void maps_show_their_entries_sorted(void **state)
{
	(void)state;
	assert_string_equal(
		between(",\"Meta\":{\"foo\":\"bar\",\"keep\":\"1\",\"x\":\"1\"}",
			",\"Meta\":{\"x\":\"2\",\"new\":\"2\",\"keep\":\"1\"}"),
		"{\"Type\":\"Edited\",\"ID\":\"j\",\"Fields\":[" FIELD("Deleted", "Meta[foo]", "bar", "") "," FIELD(
			"Added", "Meta[new]", "", "2") "," FIELD("Edited", "Meta[x]", "1",
								 "2") "],\"Objects\":null,\"TaskGroups\":null}");
}

static void what_servers_set_and_secrets_are_no_change(void **state)
{
	(void)state;
	assert_non_null(
		strstr(between("", ",\"Version\":3,\"Status\":\"dead\",\"VaultToken\":\"s\",\"Payload\":\"AA==\""),
		       "\"Type\":\"None\""));
}

static void lists_of_strings_are_sets(void **state)
{
	(void)state;
	assert_string_equal(
		between(",\"Datacenters\":[\"a\",\"b\"]", ",\"Datacenters\":[\"c\",\"b\"]"),
		"{\"Type\":\"Edited\",\"ID\":\"j\",\"Fields\":null,\"Objects\":[{\"Type\":\"Edited\",\"Name\":"
		"\"Datacenters\",\"Fields\":[" FIELD("Added", "Datacenters", "", "c") "," FIELD(
			"Deleted", "Datacenters", "a", "") "," FIELD("None", "Datacenters", "b",
								     "b") "],\"Objects\":null}],\"TaskGroups\":null}");
	assert_non_null(strstr(between(",\"Datacenters\":[\"a\",\"b\"]", ",\"Datacenters\":[\"b\",\"a\",\"a\"]"),
			       "\"Type\":\"None\""));
}

static void lists_without_a_key_pair_what_is_equal(void **state)
{
	static const char one[] = "{\"LTarget\":\"a\",\"RTarget\":\"b\",\"Operand\":\"=\"}";
	static const char two[] = "{\"LTarget\":\"c\",\"RTarget\":\"d\",\"Operand\":\"=\"}";
	const char *text;

	(void)state;
	text = between(arena_printf(&mem, ",\"Constraints\":[%s,%s]", one, two),
		       arena_printf(&mem, ",\"Constraints\":[%s]", two));
	assert_string_equal(
		text, "{\"Type\":\"Edited\",\"ID\":\"j\",\"Fields\":null,\"Objects\":[{\"Type\":\"Deleted\",\"Name\":"
		      "\"Constraint\",\"Fields\":[" FIELD("Deleted", "LTarget", "a", "") "," FIELD(
			      "Deleted", "Operand", "=", "") "," FIELD("Deleted", "RTarget", "b",
								       "") "],\"Objects\":null}],\"TaskGroups\":null}");
	text = between(arena_printf(&mem, ",\"Constraints\":[%s,%s]", one, two),
		       arena_printf(&mem, ",\"Constraints\":[%s,%s]", two, one));
	assert_non_null(strstr(text, "\"Type\":\"None\""));
}

static void context_shows_the_unchanged_fields_of_changed_objects(void **state)
{
	struct job *was = job("{\"ID\":\"j\",\"Periodic\":{\"Spec\":\"@daily\"}}");
	struct job *now = job("{\"ID\":\"j\",\"Periodic\":{\"Spec\":\"@weekly\"}}");
	const char *with = text_of(diff(was, now, true));
	const char *without = text_of(diff(was, now, false));

	(void)state;
	assert_non_null(strstr(with, FIELD("Edited", "Spec", "@daily", "@weekly")));
	assert_non_null(strstr(with, FIELD("None", "SpecType", "cron", "cron")));
	assert_non_null(strstr(without, "\"Fields\":[" FIELD("Edited", "Spec", "@daily", "@weekly") "]"));
	assert_null(strstr(without, "SpecType"));
}

static void what_a_task_has_from_its_group_is_told_there(void **state)
{
#define RESTARTS(of_group, of_task)                                                                                    \
	",\"TaskGroups\":[{\"Name\":\"g\",\"RestartPolicy\":{\"Attempts\":" of_group                                  \
	"},\"Tasks\":[{\"Name\":\"t\",\"RestartPolicy\":{\"Attempts\":" of_task "}}]}]"
	struct job *was = job("{\"ID\":\"j\"" RESTARTS("1", "1") "}");
	struct job_diff *d = diff(was, job("{\"ID\":\"j\"" RESTARTS("2", "2") "}"), false);

	(void)state;
	assert_string_equal(d->task_groups.at[0].type, "Edited");
	assert_string_equal(d->task_groups.at[0].objects.at[0].name, "RestartPolicy");
	assert_string_equal(d->task_groups.at[0].tasks.at[0].type, "None");
	d = diff(was, job("{\"ID\":\"j\"" RESTARTS("1", "2") "}"), false);
	assert_string_equal(d->task_groups.at[0].tasks.at[0].type, "Edited");
	assert_string_equal(d->task_groups.at[0].tasks.at[0].objects.at[0].name, "RestartPolicy");
}

static void groups_and_tasks_are_all_listed_by_name(void **state)
{
	struct job *was = job("{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"b\"},{\"Name\":\"a\",\"Tasks\":[{\"Name\":"
			      "\"y\"},{\"Name\":\"x\"}]}]}");
	struct job *now =
		job("{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"a\",\"Tasks\":[{\"Name\":\"x\"}]},{\"Name\":\"n\"}]}");
	struct job_diff *d = diff(was, now, true);

	(void)state;
	assert_int_equal(d->task_groups.n, 3);
	assert_string_equal(d->task_groups.at[0].name, "a");
	assert_string_equal(d->task_groups.at[0].type, "Edited");
	assert_string_equal(d->task_groups.at[0].tasks.at[0].name, "x");
	assert_string_equal(d->task_groups.at[0].tasks.at[0].type, "None");
	assert_string_equal(d->task_groups.at[0].tasks.at[1].type, "Deleted");
	assert_string_equal(d->task_groups.at[1].type, "Deleted");
	assert_string_equal(d->task_groups.at[1].fields.at[0].name, "Count");
	assert_string_equal(d->task_groups.at[1].fields.at[0].was, "1");
	assert_string_equal(d->task_groups.at[1].fields.at[0].now, "");
	assert_string_equal(d->task_groups.at[2].type, "Added");
	d = diff(was, was, true);
	assert_string_equal(d->type, "None");
	assert_string_equal(d->task_groups.at[0].type, "None");
	assert_string_equal(d->task_groups.at[0].tasks.at[0].type, "None");
}

#define TASK(members) ",\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":[{\"Name\":\"t\"" members "}]}]"

static void configurations_are_flat(void **state)
{
	const char *text = between(TASK(",\"Config\":{\"command\":\"a\",\"args\":[\"1\",\"2\"],\"labels\":[{\"x\":{"
					"\"y\":1.50}}],\"none\":null,\"empty\":{}}"),
				   TASK(",\"Config\":{\"command\":\"a\",\"args\":[\"1\",\"3\",\"4\"],\"labels\":[{"
					"\"x\":{\"y\":true}}],\"none\":null,\"empty\":[]}"));

	(void)state;
	assert_non_null(strstr(
		text,
		"\"Objects\":[{\"Type\":\"Edited\",\"Name\":\"Config\",\"Fields\":[" FIELD(
			"None", "args[0]", "1",
			"1") "," FIELD("Edited", "args[1]", "2",
				       "3") "," FIELD("Added", "args[2]", "",
						      "4") "," FIELD("None", "command", "a",
								     "a") "," FIELD("Edited", "labels[0][x][y]", "1.5",
										    "true") "," FIELD("None", "none",
												      "null",
												      "null") "],"
													      "\"Object"
													      "s\":"
													      "null}"
													      "]"));
}

static void nested_objects_have_the_names_of_the_tables(void **state)
{
	const char *text = between(TASK(",\"Resources\":{\"CPU\":100,\"Networks\":[{\"Mode\":\"host\",\"DynamicPorts\":"
					"[{\"Label\":\"a\"}]}]}"),
				   TASK(",\"Resources\":{\"CPU\":100,\"Networks\":[{\"Mode\":\"host\",\"DynamicPorts\":"
					"[{\"Label\":\"b\"}]}]}"));

	(void)state;
	assert_non_null(strstr(text, "{\"Type\":\"Edited\",\"Name\":\"Resources\""));
	assert_non_null(strstr(text, "{\"Type\":\"Deleted\",\"Name\":\"Network\""));
	/* What is empty on both sides is context; a dynamic port has no value to show. */
	assert_non_null(
		strstr(text, "{\"Type\":\"Added\",\"Name\":\"Dynamic Port\",\"Fields\":[" FIELD(
				     "None", "HostNetwork", "", "") "," FIELD("Added", "IgnoreCollision", "", "false")
		       "," FIELD("Added", "Label", "", "b") "," FIELD("Added", "To", "", "0") "]"));
	assert_non_null(strstr(text, "\"Name\":\"Network\",\"Fields\":[" FIELD("None", "Hostname", "", "") ","));
}

static void services_are_paired_by_name(void **state)
{
	const char *text = between(
		TASK(",\"Services\":[{\"Name\":\"s\",\"Tags\":[\"a\"]},{\"Name\":\"same\"}]"),
		TASK(",\"Services\":[{\"Name\":\"same\"},{\"Name\":\"s\",\"Tags\":[\"b\"],\"PortLabel\":\"http\"}]"));

	(void)state;
	assert_non_null(strstr(text, "{\"Type\":\"Edited\",\"Name\":\"Service\""));
	assert_non_null(strstr(text, FIELD("Added", "PortLabel", "", "http")));
	assert_non_null(strstr(text, "{\"Type\":\"Edited\",\"Name\":\"Tags\",\"Fields\":[" FIELD(
					     "Added", "Tags", "", "b") "," FIELD("Deleted", "Tags", "a", "") "]"));
	assert_null(strstr(text, "\"same\""));
}

/* The only one there was is the only one there is, whatever its name. */
static void lone_services_and_templates_are_edited(void **state)
{
	const char *text = between(TASK(",\"Services\":[{\"Name\":\"a\"}],\"Templates\":[{\"DestPath\":\"x\"}]"),
				   TASK(",\"Services\":[{\"Name\":\"b\"}],\"Templates\":[{\"DestPath\":\"y\"}]"));

	(void)state;
	assert_non_null(strstr(text, "{\"Type\":\"Edited\",\"Name\":\"Service\""));
	assert_non_null(strstr(text, "{\"Type\":\"Edited\",\"Name\":\"Template\""));
	assert_non_null(strstr(text, FIELD("Edited", "DestPath", "x", "y")));
	assert_null(strstr(text, "Deleted"));
}

/* Templates and artifacts are known by where they go. */
static void what_goes_to_the_same_place_is_edited(void **state)
{
	const char *text = between(TASK(",\"Artifacts\":[{\"GetterSource\":\"a\",\"RelativeDest\":\"d\"}],\"Templates\":[{"
					"\"DestPath\":\"x\",\"EmbeddedTmpl\":\"1\"},{\"DestPath\":\"y\"}]"),
				   TASK(",\"Artifacts\":[{\"GetterSource\":\"b\",\"RelativeDest\":\"d\"}],\"Templates\":[{"
					"\"DestPath\":\"y\"},{\"DestPath\":\"x\",\"EmbeddedTmpl\":\"2\"}]"));

	(void)state;
	assert_non_null(strstr(text, FIELD("Edited", "GetterSource", "a", "b")));
	assert_non_null(strstr(text, FIELD("Edited", "EmbeddedTmpl", "1", "2")));
	assert_null(strstr(text, "Deleted"));
	assert_null(strstr(text, "\"Type\":\"Added\""));
}

static void sets_are_told_by_what_became_of_them(void **state)
{
	(void)state;
	assert_non_null(strstr(between(",\"Datacenters\":[\"a\"]", ",\"Datacenters\":[\"a\",\"b\"]"),
			       "{\"Type\":\"Added\",\"Name\":\"Datacenters\",\"Fields\":[" FIELD(
				       "Added", "Datacenters", "", "b") "," FIELD("None", "Datacenters", "a", "a") "]"));
	assert_non_null(strstr(between(",\"Datacenters\":[\"a\",\"b\"]", ",\"Datacenters\":[\"a\"]"),
			       "{\"Type\":\"Deleted\",\"Name\":\"Datacenters\""));
	assert_non_null(strstr(between(",\"Datacenters\":[\"a\"]", ",\"Datacenters\":[\"b\"]"),
			       "{\"Type\":\"Edited\",\"Name\":\"Datacenters\""));
	/* Of an object that has changed, those that have not are context. */
	assert_non_null(strstr(between(TASK(",\"Services\":[{\"Name\":\"s\",\"Tags\":[\"a\"]}]"),
				       TASK(",\"Services\":[{\"Name\":\"s\",\"Tags\":[\"a\"],\"PortLabel\":\"p\"}]")),
			       "{\"Type\":\"None\",\"Name\":\"Tags\",\"Fields\":[" FIELD("None", "Tags", "a", "a") "]"));
}

static void what_is_new_comes_before_what_is_gone(void **state)
{
	const char *text = between(",\"Constraints\":[{\"LTarget\":\"a\"}]", ",\"Constraints\":[{\"LTarget\":\"z\"}]");
	const char *added = strstr(text, "{\"Type\":\"Added\",\"Name\":\"Constraint\"");
	const char *deleted = strstr(text, "{\"Type\":\"Deleted\",\"Name\":\"Constraint\"");

	(void)state;
	assert_non_null(added);
	assert_non_null(deleted);
	assert_true(added < deleted);
}

/* The stagger of an update is told where it differs. */
static void quiet_fields_are_no_context(void **state)
{
	const char *group = ",\"TaskGroups\":[{\"Name\":\"g\",\"Update\":{\"Stagger\":%s,\"Canary\":%s}}]";
	const char *was = arena_printf(&mem, group, "1", "1");

	(void)state;
	assert_null(strstr(between(was, arena_printf(&mem, group, "1", "2")), "Stagger"));
	assert_non_null(strstr(between(was, arena_printf(&mem, group, "2", "1")), FIELD("Edited", "Stagger", "1", "2")));
}

static void a_new_job_is_all_added(void **state)
{
	struct job *now = job("{\"ID\":\"j\",\"Datacenters\":[\"dc1\"]" TASK(
		",\"Driver\":\"raw_exec\",\"KillTimeout\":\"2s\",\"Env\":{\"NEW\":\"1\"}") "}");
	struct job_diff *d = diff(NULL, now, true);
	const char *text = text_of(d);

	(void)state;
	assert_string_equal(d->type, "Added");
	assert_string_equal(d->id, "j");
	assert_non_null(strstr(text, FIELD("Added", "Type", "", "service")));
	assert_non_null(strstr(text, FIELD("Added", "Priority", "", "50")));
	assert_non_null(strstr(text, "{\"Type\":\"Added\",\"Name\":\"Datacenters\",\"Fields\":[" FIELD(
					     "Added", "Datacenters", "", "dc1") "],\"Objects\":null}"));
	assert_non_null(strstr(text, FIELD("Added", "Driver", "", "raw_exec")));
	assert_non_null(strstr(text, FIELD("Added", "KillTimeout", "", "2000000000")));
	assert_non_null(strstr(text, FIELD("Added", "Env[NEW]", "", "1")));
	assert_null(strstr(text_of(diff(NULL, now, false)), "\"None\""));
	d = diff(now, NULL, true);
	assert_string_equal(d->type, "Deleted");
	assert_string_equal(d->task_groups.at[0].tasks.at[0].type, "Deleted");
	d = diff(NULL, NULL, true);
	assert_string_equal(d->type, "None");
}

static void annotations_say_what_follows(void **state)
{
	static const char *const keys[] = {"a", "g", "z"};
	struct desired_updates updates[3] = {{.place = 9}, {.place = 2, .in_place_update = 1}, {.stop = 9}};
	struct plan_annotations plan = {
		.desired_tg_updates = {.keys = (const char **)(uintptr_t)keys, .at = updates, .n = 3}};
	struct job *was = job("{\"ID\":\"j\"" TASK("") "}");
	struct job *more =
		job("{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\",\"Count\":3,\"Tasks\":[{\"Name\":\"t\"}]}]}");
	struct job_diff *d = diff(was, more, true);
	struct task_group_diff *g = &d->task_groups.at[0];

	(void)state;
	assert_int_equal(job_diff_annotate(d, &plan, &mem), 0);
	assert_int_equal(g->updates.n, 2);
	assert_string_equal(g->updates.at[0].key, "create");
	assert_int_equal(g->updates.at[0].value, 2);
	assert_string_equal(g->updates.at[1].key, "in-place update");
	assert_string_equal(g->fields.at[0].name, "Count");
	assert_string_equal(g->fields.at[0].annotations.at[0], "forces create");
	assert_int_equal(g->tasks.at[0].annotations.n, 0);

	d = diff(more, was, true);
	assert_int_equal(job_diff_annotate(d, NULL, &mem), 0);
	assert_string_equal(d->task_groups.at[0].fields.at[0].annotations.at[0], "forces destroy");

	d = diff(was, job("{\"ID\":\"j\"" TASK(",\"Env\":{\"NEW\":\"1\"}") "}"), true);
	assert_int_equal(job_diff_annotate(d, &plan, &mem), 0);
	assert_string_equal(d->task_groups.at[0].tasks.at[0].annotations.at[0], "forces create/destroy update");

	was = job("{\"ID\":\"j\"" TASK(",\"LogConfig\":{}") "}");
	d = diff(was, job("{\"ID\":\"j\"" TASK(",\"KillTimeout\":5,\"LogConfig\":{\"MaxFiles\":2}") "}"), true);
	assert_int_equal(job_diff_annotate(d, &plan, &mem), 0);
	assert_string_equal(d->task_groups.at[0].tasks.at[0].annotations.at[0], "forces in-place update");

	d = diff(NULL, was, true);
	assert_int_equal(job_diff_annotate(d, &plan, &mem), 0);
	assert_string_equal(d->task_groups.at[0].tasks.at[0].annotations.at[0], "forces create");
	d = diff(was, NULL, true);
	assert_int_equal(job_diff_annotate(d, &plan, &mem), 0);
	assert_string_equal(d->task_groups.at[0].tasks.at[0].annotations.at[0], "forces destroy");
}

/* Nothing is lost and nothing is made up: equal jobs have no diff, and the diff back is the mirror. */
static void random_jobs_differ_both_ways(void **state)
{
	uint64_t s = seed;
	int i;

	(void)state;
	for (i = 0; i < 60; i++) {
		struct arena one = {0};
		struct job a;
		struct job b;
		struct job_diff there;
		struct job_diff back;

		random_object(&job_type, &a, &one, &s, 4);
		random_object(&job_type, &b, &one, &s, 4);
		assert_int_equal(job_diff(&a, &a, i % 2, &one, &there), 0);
		assert_string_equal(there.type, "None");
		assert_int_equal(there.objects.n, 0);
		assert_int_equal(job_diff(&a, &b, i % 2, &one, &there), 0);
		assert_int_equal(job_diff(&b, &a, i % 2, &one, &back), 0);
		assert_string_equal(there.type, back.type);
		assert_int_equal(there.fields.n, back.fields.n);
		assert_int_equal(there.objects.n, back.objects.n);
		assert_int_equal(there.task_groups.n, back.task_groups.n);
		arena_close(&one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_value_is_a_field),
		cmocka_unit_test(maps_show_their_entries_sorted),
		cmocka_unit_test(what_servers_set_and_secrets_are_no_change),
		cmocka_unit_test(lists_of_strings_are_sets),
		cmocka_unit_test(lists_without_a_key_pair_what_is_equal),
		cmocka_unit_test(context_shows_the_unchanged_fields_of_changed_objects),
		cmocka_unit_test(what_a_task_has_from_its_group_is_told_there),
		cmocka_unit_test(groups_and_tasks_are_all_listed_by_name),
		cmocka_unit_test(configurations_are_flat),
		cmocka_unit_test(nested_objects_have_the_names_of_the_tables),
		cmocka_unit_test(services_are_paired_by_name),
		cmocka_unit_test(lone_services_and_templates_are_edited),
		cmocka_unit_test(what_goes_to_the_same_place_is_edited),
		cmocka_unit_test(sets_are_told_by_what_became_of_them),
		cmocka_unit_test(what_is_new_comes_before_what_is_gone),
		cmocka_unit_test(quiet_fields_are_no_context),
		cmocka_unit_test(a_new_job_is_all_added),
		cmocka_unit_test(annotations_say_what_follows),
		cmocka_unit_test(random_jobs_differ_both_ways),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, release);
}
