#include <stdlib.h>
#include <string.h>

#include "cli/act.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/jobfile.h"
#include "cli/lookup.h"
#include "cli/monitor.h"
#include "cli/show.h"
#include "cli/table.h"

/* ---- job run ---- */

static bool put_request(const struct args *args, const char *job, struct buf *out)
{
	long long check_index = -1;
	long long priority = 0;

	if (!args_number(args, "check-index", &check_index) || !args_number(args, "eval-priority", &priority)) {
		return false;
	}
	buf_printf(out, "{\"Job\":%s", job);
	if (check_index >= 0) {
		buf_printf(out, ",\"EnforceIndex\":true,\"JobModifyIndex\":%lld", check_index);
	}
	if (priority > 0) {
		buf_printf(out, ",\"EvalPriority\":%lld", priority);
	}
	buf_printf(out, ",\"PreserveCounts\":%s,\"PolicyOverride\":%s", format_bool(args_has(args, "preserve-counts")),
		   format_bool(args_has(args, "policy-override")));
	return true;
}

/* Where the job came from is kept with it by the server. */
static void put_submission(const struct jobfile *f, struct buf *out)
{
	buf_str(out, ",\"Submission\":{\"Source\":");
	json_put_str(out, f->text.at, f->text.len);
	if (f->variables[0] != '\0') {
		buf_str(out, ",\"Variables\":");
		json_put_str(out, f->variables, strlen(f->variables));
	}
	buf_printf(out, ",\"Format\":\"%s\"}}", f->json ? "json" : "hcl2");
}

static int register_job(struct client *c, const struct args *args, const struct buf *body)
{
	struct job_registered answer;

	client_url(c, "/v1/jobs");
	if (!client_ok(c, "submitting job", "PUT", body->at, body->len) ||
	    !client_decode(c, "submitting job", &job_registered_type, &answer)) {
		return EXIT_ERROR;
	}
	if (answer.warnings[0] != '\0') {
		fprintf(stderr, "Job Warnings:\n%s\n\n", answer.warnings);
	}
	if (args_has(args, "detach") || answer.eval_id[0] == '\0') {
		printf("Job registration successful\n");
		if (answer.eval_id[0] != '\0') {
			printf("Evaluation ID: %s\n", answer.eval_id);
		}
		return EXIT_OK;
	}
	return monitor_eval(c, answer.eval_id, args_has(args, "verbose"));
}

static int submit(struct client *c, const struct args *args, const struct jobfile *f, struct buf *body)
{
	if (!put_request(args, f->job, body)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "output")) {
		buf_byte(body, '}');
		buf_close(&c->body);
		json_pretty(buf_text(body), body->len, &c->body);
		fputs(buf_text(&c->body), stdout);
		return EXIT_OK;
	}
	put_submission(f, body);
	if (body->failed) {
		fprintf(stderr, "Error: out of memory\n");
		return EXIT_ERROR;
	}
	return register_job(c, args, body);
}

static int run_job_run(struct args *args)
{
	struct client c;
	struct jobfile f;
	struct buf body = {0};
	int code = EXIT_ERROR;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	if (jobfile_read(&c, args, &f)) {
		code = submit(&c, args, &f, &body);
	}
	jobfile_close(&f);
	buf_close(&body);
	client_close(&c);
	return code;
}

static const struct flag run_flags[] = {
	{"check-index", "index", "Register only if the job's modify index is this one; 0: if there is no such job."},
	{"detach", NULL, "Do not follow the evaluation: print its ID and return."},
	{"eval-priority", "priority", "The evaluation's priority; the job's by default."},
	JOBFILE_FLAGS,
	{"output", NULL, "Print the request as JSON, and do not send it."},
	{"policy-override", NULL, "Override soft policies."},
	{"preserve-counts", NULL, "Keep the counts of groups that the job has now."},
	{"verbose", NULL, "Show whole IDs."},
	{NULL, NULL, NULL}};

const struct command command_job_run = {
	.name = "job run",
	.usage = "[options] FILE",
	.summary = "Run a new job or update an existing one",
	.details =
		"The file is JSON or HCL; \"-\" is standard input. The evaluation that results is followed to its end. "
		"Exit code 2: something could not be placed.",
	.flags = run_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_job_run,
};

/* ---- job status ---- */

static void show_job(struct arena *mem, const struct job *j)
{
	struct table t = {0};
	struct buf datacenters = {0};
	uint32_t i;

	for (i = 0; i < j->datacenters.n; i++) {
		buf_printf(&datacenters, i > 0 ? ",%s" : "%s", j->datacenters.at[i]);
	}
	table_row(&t, "ID", j->id);
	table_row(&t, "Name", j->name);
	table_row(&t, "Submit Date", format_time(mem, j->submit_time));
	table_row(&t, "Type", j->type);
	table_row(&t, "Priority", format_int(mem, j->priority));
	table_row(&t, "Datacenters", buf_text(&datacenters));
	table_row(&t, "Namespace", j->namespace_);
	table_row(&t, "Node Pool", j->node_pool);
	table_row(&t, "Status", j->stop ? arena_printf(mem, "%s (stopped)", j->status) : j->status);
	table_row(&t, "Periodic", format_bool(j->periodic != NULL));
	table_row(&t, "Parameterized", format_bool(j->parameterized != NULL));
	table_print_pairs(&t, stdout);
	buf_close(&datacenters);
}

static bool show_summary(struct client *c, const char *id)
{
	struct arena *mem = c->mem;
	struct job_summary s;
	struct table t = {0};
	uint32_t i;

	client_url(c, "/v1/job/%s/summary", id);
	if (!client_read(c, "querying job summary", &job_summary_type, &s)) {
		return false;
	}
	if (s.children != NULL && s.children->pending + s.children->running + s.children->dead > 0) {
		printf("\nChildren Job Summary\n");
		table_row(&t, "Pending", "Running", "Dead");
		table_row(&t, format_int(mem, s.children->pending), format_int(mem, s.children->running),
			  format_int(mem, s.children->dead));
		table_print(&t, stdout);
	}
	if (s.summary.n > 0) {
		printf("\nSummary\n");
		table_row(&t, "Task Group", "Queued", "Starting", "Running", "Failed", "Complete", "Lost", "Unknown");
	}
	for (i = 0; i < s.summary.n; i++) {
		const struct group_summary *g = &s.summary.at[i];

		table_row(&t, s.summary.keys[i], format_int(mem, g->queued), format_int(mem, g->starting),
			  format_int(mem, g->running), format_int(mem, g->failed), format_int(mem, g->complete),
			  format_int(mem, g->lost), format_int(mem, g->unknown));
	}
	table_print(&t, stdout);
	return true;
}

static const struct evaluation *blocked_eval(const struct evaluations *evals)
{
	uint32_t i;

	for (i = 0; i < evals->items.n; i++) {
		const struct evaluation *e = &evals->items.at[i];

		if (strcmp(e->status, "blocked") == 0 && e->failed_tg_allocs.n > 0) {
			return e;
		}
	}
	return NULL;
}

static bool show_job_evals(struct client *c, const char *id, bool verbose)
{
	struct evaluations evals;
	const struct evaluation *blocked;

	client_url(c, "/v1/job/%s/evaluations", id);
	if (!client_read_list(c, "querying job evaluations", &evaluations_type, &evals)) {
		return false;
	}
	if (verbose) {
		printf("\nEvaluations\n");
		show_evals(c->mem, &evals, verbose);
	}
	blocked = blocked_eval(&evals);
	if (blocked != NULL) {
		printf("\nPlacement Failure\n");
		show_failures(stdout, blocked, 0);
	}
	return true;
}

static void show_deployment(struct arena *mem, const struct deployment *d, bool verbose)
{
	struct table t = {0};
	uint32_t i;

	printf("\nLatest Deployment\n");
	table_row(&t, "ID", format_id(mem, d->id, verbose));
	table_row(&t, "Status", d->status);
	table_row(&t, "Description", d->status_description);
	table_print_pairs(&t, stdout);
	printf("\nDeployed\n");
	table_row(&t, "Task Group", "Desired", "Canaries", "Placed", "Healthy", "Unhealthy", "Progress Deadline");
	for (i = 0; i < d->task_groups.n; i++) {
		const struct deployment_group *g = &d->task_groups.at[i];

		table_row(&t, d->task_groups.keys[i], format_int(mem, g->desired_total),
			  format_int(mem, g->desired_canaries), format_int(mem, g->placed_allocs),
			  format_int(mem, g->healthy_allocs), format_int(mem, g->unhealthy_allocs),
			  format_time(mem, g->require_progress_by));
	}
	table_print(&t, stdout);
}

/* There may be none, and a server may not know of deployments: neither is an error. */
static void show_latest_deployment(struct client *c, const char *id, bool verbose)
{
	struct deployment d;

	client_url(c, "/v1/job/%s/deployment", id);
	if (client_send(c, "GET", NULL, 0) == 0 && c->status == 200 && buf_text(&c->body)[0] == '{' &&
	    client_decode(c, "querying latest deployment", &deployment_type, &d)) {
		show_deployment(c->mem, &d, verbose);
	}
}

static bool show_job_allocs(struct client *c, const char *id, const struct args *args)
{
	struct alloc_stubs allocs;

	client_url(c, "/v1/job/%s/allocations", id);
	if (args_has(args, "all-allocs")) {
		client_param(c, "all", "true");
	}
	if (!client_read_list(c, "querying job allocations", &alloc_stubs_type, &allocs)) {
		return false;
	}
	printf("\nAllocations\n");
	show_allocs(c->mem, &allocs, args_has(args, "verbose"));
	return true;
}

/* A parent never runs itself, so it has no allocations. */
static bool is_parent(const struct job *j)
{
	return job_is_periodic(j) || job_is_parameterized(j);
}

static int show_one_job(struct client *c, const struct args *args, const char *name)
{
	const char *id = client_escape(c, name);
	bool verbose = args_has(args, "verbose");
	struct job job;

	client_url(c, "/v1/job/%s", id);
	if (!client_read(c, "querying job", &job_type, &job)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	show_job(c->mem, &job);
	if (args_has(args, "short")) {
		return EXIT_OK;
	}
	if (!show_summary(c, id) || (!is_parent(&job) && !show_job_evals(c, id, verbose))) {
		return EXIT_ERROR;
	}
	if (is_parent(&job)) {
		return EXIT_OK;
	}
	show_latest_deployment(c, id, verbose);
	return show_job_allocs(c, id, args) ? EXIT_OK : EXIT_ERROR;
}

static int list_jobs(struct client *c, const struct args *args)
{
	struct job_stubs jobs;

	client_url(c, "/v1/jobs");
	if (!client_read_list(c, "querying jobs", &job_stubs_type, &jobs)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else {
		show_jobs(c->mem, &jobs);
	}
	return EXIT_OK;
}

/* The job of that ID, or the only one whose ID begins so; NULL after a word on stderr. */
static const char *find_job(struct client *c, const char *prefix)
{
	struct job_stubs jobs;
	const char *id = lookup_one(c, "/v1/jobs", "job", prefix, false, &job_stubs_type, &jobs);

	if (id == NULL && jobs.items.n > 1) {
		show_jobs(c->mem, &jobs);
	}
	return id;
}

static int run_job_status(struct args *args)
{
	return act_status(args, list_jobs, find_job, show_one_job);
}

static const struct flag status_flags[] = {{"all-allocs", NULL, "Also allocations of an earlier job with the same ID."},
					   {"json", NULL, "Print the server's answer."},
					   {"short", NULL, "Leave out summary, evaluations and allocations."},
					   {"verbose", NULL, "Show whole IDs, and evaluations."},
					   {NULL, NULL, NULL}};

const struct command command_job_status = {
	.name = "job status",
	.usage = "[options] [JOB]",
	.summary = "Show the status of a job, or list all jobs",
	.details = "A job may be named by the beginning of its ID.",
	.flags = status_flags,
	.api = true,
	.max = 1,
	.run = run_job_status,
};

/* ---- job stop ---- */

static bool confirmed(const char *id)
{
	char answer[8] = "";

	printf("Are you sure you want to stop job \"%s\"? [y/N] ", id);
	fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
		printf("Cancelling job stop\n");
		return false;
	}
	return true;
}

static bool stop_url(struct client *c, const struct args *args, const char *id)
{
	long long priority = 0;

	if (!args_number(args, "eval-priority", &priority)) {
		return false;
	}
	client_url(c, "/v1/job/%s", client_escape(c, id));
	client_param(c, "purge", format_bool(args_has(args, "purge")));
	if (args_has(args, "global")) {
		client_param(c, "global", "true");
	}
	if (args_has(args, "no-shutdown-delay")) {
		client_param(c, "no_shutdown_delay", "true");
	}
	if (priority > 0) {
		client_param(c, "eval_priority", format_int(c->mem, priority));
	}
	return true;
}

static int stop_job(struct client *c, const struct args *args)
{
	const char *id = find_job(c, args->rest[0]);
	struct job_deregistered answer;

	if (id == NULL || (strcmp(id, args->rest[0]) != 0 && !args_has(args, "yes") && !confirmed(id)) ||
	    !stop_url(c, args, id)) {
		return EXIT_ERROR;
	}
	if (!client_ok(c, "deregistering job", "DELETE", NULL, 0) ||
	    !client_decode(c, "deregistering job", &job_deregistered_type, &answer)) {
		return EXIT_ERROR;
	}
	if (answer.eval_id[0] == '\0') {
		return EXIT_OK;
	}
	if (args_has(args, "detach")) {
		printf("%s\n", answer.eval_id);
		return EXIT_OK;
	}
	return monitor_eval(c, answer.eval_id, args_has(args, "verbose"));
}

static int run_job_stop(struct args *args)
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = stop_job(&c, args);
	client_close(&c);
	return code;
}

static const struct flag stop_flags[] = {{"detach", NULL, "Do not follow the evaluation: print its ID and return."},
					 {"eval-priority", "priority", "The evaluation's priority."},
					 {"global", NULL, "In all regions of a multi-region job."},
					 {"no-shutdown-delay", NULL, "Do not wait for the tasks' shutdown delays."},
					 {"purge", NULL, "Forget the job and its allocations as well."},
					 {"verbose", NULL, "Show whole IDs."},
					 {"yes", NULL, "Do not ask when only the beginning of the ID was given."},
					 {NULL, NULL, NULL}};

const struct command command_job_stop = {
	.name = "job stop",
	.usage = "[options] JOB",
	.summary = "Stop a running job",
	.details = "A job may be named by the beginning of its ID; then it is asked for.",
	.flags = stop_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_job_stop,
};
