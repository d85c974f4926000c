/* job validate and job plan: what a job file would do. */
#include <string.h>

#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/jobfile.h"
#include "cli/show.h"

/* ---- job validate ---- */

static int tell_validated(const struct job_validated *answer)
{
	if (answer->warnings[0] != '\0') {
		fprintf(stderr, "Job Warnings:\n%s\n\n", answer->warnings);
	}
	if (answer->error[0] != '\0') {
		fprintf(stderr, "Job validation errors:\n%s\n", answer->error);
		return EXIT_ERROR;
	}
	printf("Job validation successful\n");
	return EXIT_OK;
}

static int validate(struct client *c, const struct jobfile *f)
{
	struct job_validated answer;
	struct buf body = {0};
	bool good;

	buf_printf(&body, "{\"Job\":%s}", f->job);
	client_url(c, "/v1/validate/job");
	good = client_ok(c, "validating job", "PUT", buf_text(&body), body.len) &&
	       client_decode(c, "validating job", &job_validated_type, &answer);
	buf_close(&body);
	return good ? tell_validated(&answer) : EXIT_ERROR;
}

static int with_file(struct args *args, int otherwise, int (*run)(struct client *c, const struct args *args,
								    const struct jobfile *f))
{
	struct client c;
	struct jobfile f;
	int code = otherwise;

	if (!client_init(&c, args)) {
		return otherwise;
	}
	if (jobfile_read(&c, args, &f)) {
		code = run(&c, args, &f);
	}
	jobfile_close(&f);
	client_close(&c);
	return code;
}

static int validate_file(struct client *c, const struct args *args, const struct jobfile *f)
{
	(void)args;
	return validate(c, f);
}

static int run_job_validate(struct args *args)
{
	return with_file(args, EXIT_ERROR, validate_file);
}

static const struct flag validate_flags[] = {JOBFILE_FLAGS, {NULL, NULL, NULL}};

const struct command command_job_validate = {
	.name = "job validate",
	.usage = "[options] FILE",
	.summary = "Check whether a job file is a valid job",
	.details = "The file is JSON or HCL; \"-\" is standard input. The server checks it; nothing is registered.",
	.flags = validate_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_job_validate,
};

/* ---- the diff ---- */

/* Exit codes of job plan, so that scripts can tell. */
enum { PLAN_NOTHING = 0, PLAN_CHANGES = 1, PLAN_ERROR = 255 };

static bool is_none(const char *type)
{
	return strcmp(type, DIFF_NONE) == 0;
}

static const char *sign_of(const char *type)
{
	return strcmp(type, DIFF_ADDED) == 0     ? "+ "
	       : strcmp(type, DIFF_DELETED) == 0 ? "- "
	       : strcmp(type, DIFF_EDITED) == 0  ? "+/- "
						 : "";
}

static void put_notes(const struct strs *notes)
{
	uint32_t i;

	for (i = 0; i < notes->n; i++) {
		printf("%s%s", i > 0 ? ", " : " (", notes->at[i]);
	}
	printf("%s\n", notes->n > 0 ? ")" : "");
}

static void put_field(const struct field_diff *d, int indent)
{
	printf("%*s%s%s: ", indent, "", sign_of(d->type), d->name);
	if (strcmp(d->type, DIFF_EDITED) == 0) {
		printf("\"%s\" => \"%s\"", d->was, d->now);
	} else {
		printf("\"%s\"", strcmp(d->type, DIFF_DELETED) == 0 ? d->was : d->now);
	}
	put_notes(&d->annotations);
}

static void put_fields(const struct field_diff *at, uint32_t n, int indent)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!is_none(at[i].type)) {
			put_field(&at[i], indent);
		}
	}
}

static void put_objects(const struct object_diff *at, uint32_t n, int indent)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!is_none(at[i].type)) {
			printf("%*s%s%s {\n", indent, "", sign_of(at[i].type), at[i].name);
			put_fields(at[i].fields.at, at[i].fields.n, indent + 2);
			put_objects(at[i].objects.at, at[i].objects.n, indent + 2);
			printf("%*s}\n", indent, "");
		}
	}
}

static void put_task(const struct task_diff *d)
{
	if (is_none(d->type) && d->annotations.n == 0) {
		return;
	}
	printf("  %sTask: \"%s\"", sign_of(d->type), d->name);
	put_notes(&d->annotations);
	if (strcmp(d->type, DIFF_EDITED) == 0) {
		put_fields(d->fields.at, d->fields.n, 4);
		put_objects(d->objects.at, d->objects.n, 4);
	}
}

static void put_group(const struct task_group_diff *d)
{
	uint32_t i;

	printf("%sTask Group: \"%s\"", sign_of(d->type), d->name);
	for (i = 0; i < d->updates.n; i++) {
		printf("%s%lld %s", i > 0 ? ", " : " (", (long long)d->updates.at[i].value, d->updates.at[i].key);
	}
	printf("%s\n", d->updates.n > 0 ? ")" : "");
	if (strcmp(d->type, DIFF_EDITED) == 0) {
		put_fields(d->fields.at, d->fields.n, 2);
		put_objects(d->objects.at, d->objects.n, 2);
	}
	for (i = 0; i < d->tasks.n; i++) {
		put_task(&d->tasks.at[i]);
	}
	printf("\n");
}

static void put_diff(const struct job_diff *d)
{
	uint32_t i;

	printf("%sJob: \"%s\"\n", sign_of(d->type), d->id);
	if (strcmp(d->type, DIFF_EDITED) == 0) {
		put_fields(d->fields.at, d->fields.n, 0);
		put_objects(d->objects.at, d->objects.n, 0);
	}
	for (i = 0; i < d->task_groups.n; i++) {
		put_group(&d->task_groups.at[i]);
	}
}

/* ---- job plan ---- */

static void put_dry_run(const struct job_planned *p)
{
	struct evaluation failed;

	printf("Scheduler dry-run:\n");
	if (p->failed.n == 0) {
		printf("- All tasks successfully allocated.\n");
	} else {
		object_init(&evaluation_type, &failed);
		failed.failed_tg_allocs.keys = p->failed.keys;
		failed.failed_tg_allocs.at = p->failed.at;
		failed.failed_tg_allocs.n = p->failed.n;
		printf("- WARNING: Failed to place all allocations.\n");
		show_failures(stdout, &failed, 2);
	}
	printf("\n");
}

/* Whether allocations come or go. */
static bool changes_allocs(const struct plan_annotations *a)
{
	uint32_t i;

	for (i = 0; a != NULL && i < a->desired_tg_updates.n; i++) {
		const struct desired_updates *u = &a->desired_tg_updates.at[i];

		if (u->place + u->stop + u->destructive_update + u->migrate + u->canary > 0) {
			return true;
		}
	}
	return false;
}

static int tell_plan(const struct args *args, const struct job_planned *p)
{
	if (p->diff != NULL) {
		put_diff(p->diff);
	}
	put_dry_run(p);
	if (p->warnings[0] != '\0') {
		printf("Job Warnings:\n%s\n\n", p->warnings);
	}
	printf("Job Modify Index: %lld\nTo submit the job with version verification run:\n\n"
	       "drover job run -check-index %lld %s\n\n"
	       "With -check-index the job is only run if its modify index on the server is still that one: if another\n"
	       "user has changed the job meanwhile, what this plan says no longer holds.\n",
	       (long long)p->job_modify_index, (long long)p->job_modify_index, args->rest[0]);
	return changes_allocs(p->annotations) ? PLAN_CHANGES : PLAN_NOTHING;
}

static int plan_file(struct client *c, const struct args *args, const struct jobfile *f)
{
	struct job_planned answer;
	struct buf body = {0};
	bool good;

	buf_printf(&body, "{\"Job\":%s,\"Diff\":%s,\"PolicyOverride\":%s}", f->job,
		   strcmp(args_get(args, "diff", "true"), "false") != 0 ? "true" : "false",
		   args_has(args, "policy-override") ? "true" : "false");
	client_url(c, "/v1/job/%s/plan", client_escape(c, f->decoded.id));
	good = client_ok(c, "during plan", "PUT", buf_text(&body), body.len) &&
	       client_decode(c, "during plan", &job_planned_type, &answer);
	buf_close(&body);
	return good ? tell_plan(args, &answer) : PLAN_ERROR;
}

static int run_job_plan(struct args *args)
{
	return with_file(args, PLAN_ERROR, plan_file);
}

static const struct flag plan_flags[] = {
	{"diff", NULL, "Show what changes; -diff=false does not."},
	JOBFILE_FLAGS,
	{"policy-override", NULL, "Override soft policies."},
	{NULL, NULL, NULL},
};

const struct command command_job_plan = {
	.name = "job plan",
	.usage = "[options] FILE",
	.summary = "Show what running a job file would change",
	.details = "The file is JSON or HCL; \"-\" is standard input. Nothing is registered. Exit code 0: no "
		   "allocation would be made or stopped; 1: some would; 255: an error.",
	.flags = plan_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_job_plan,
};
