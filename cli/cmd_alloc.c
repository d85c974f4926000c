#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/act.h"
#include "cli/alloc_pick.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/lookup.h"
#include "cli/show.h"
#include "cli/table.h"

enum { LINE_BYTES = 120 }; /* What a line of a log is taken to have when lines are asked for. */

const char *alloc_by_prefix(struct client *c, const char *prefix)
{
	struct alloc_stubs allocs;
	const char *id = lookup_one(c, "/v1/allocations", "allocation", prefix, true, &alloc_stubs_type, &allocs);

	if (id == NULL && allocs.items.n > 1) {
		show_allocs(c->mem, &allocs, true);
	}
	return id;
}

static bool read_alloc(struct client *c, const char *id, struct allocation *a)
{
	client_url(c, "/v1/allocation/%s", id);
	return client_read(c, "querying allocation", &allocation_type, a);
}

/* ---- alloc status ---- */

static const char *health_of(const struct allocation *a)
{
	const struct alloc_deployment_status *d = a->deployment_status;

	return d == NULL || !d->healthy.set ? "unset" : d->healthy.at ? "healthy" : "unhealthy";
}

static void show_alloc(struct arena *mem, const struct allocation *a, bool verbose)
{
	struct table t = {0};
	int64_t now = format_now();

	table_row(&t, "ID", format_id(mem, a->id, verbose));
	table_row(&t, "Eval ID", format_id(mem, a->eval_id, verbose));
	table_row(&t, "Name", a->name);
	table_row(&t, "Node ID", format_id(mem, a->node_id, verbose));
	table_row(&t, "Node Name", a->node_name);
	table_row(&t, "Job ID", a->job_id);
	table_row(&t, "Job Version", a->job != NULL ? format_int(mem, a->job->version) : "");
	table_row(&t, "Client Status", a->client_status);
	table_row(&t, "Client Description", a->client_description);
	table_row(&t, "Desired Status", a->desired_status);
	table_row(&t, "Desired Description", a->desired_description);
	table_row(&t, "Created", verbose ? format_time(mem, a->create_time) : format_ago(mem, a->create_time, now));
	table_row(&t, "Modified", verbose ? format_time(mem, a->modify_time) : format_ago(mem, a->modify_time, now));
	if (a->deployment_id[0] != '\0') {
		table_row(&t, "Deployment ID", format_id(mem, a->deployment_id, verbose));
		table_row(&t, "Deployment Health", health_of(a));
	}
	if (a->next_allocation[0] != '\0') {
		table_row(&t, "Replacement Alloc ID", format_id(mem, a->next_allocation, verbose));
	}
	if (a->followup_eval_id[0] != '\0') {
		table_row(&t, "Reschedule Eval ID", format_id(mem, a->followup_eval_id, verbose));
	}
	table_print_pairs(&t, stdout);
}

static void show_ports(struct arena *mem, const struct allocation *a)
{
	const struct allocated_shared *shared = a->allocated_resources != NULL ? a->allocated_resources->shared : NULL;
	struct table t = {0};
	uint32_t i;

	if (shared == NULL || shared->ports.n == 0) {
		return;
	}
	printf("\nAllocation Addresses:\n");
	table_row(&t, "Label", "Address");
	for (i = 0; i < shared->ports.n; i++) {
		const struct alloc_port *p = &shared->ports.at[i];
		const char *to = p->to > 0 ? arena_printf(mem, " -> %lld", (long long)p->to) : "";

		table_row(&t, p->label,
			  arena_printf(mem, strchr(p->host_ip, ':') != NULL ? "[%s]:%lld%s" : "%s:%lld%s", p->host_ip,
				       (long long)p->value, to));
	}
	table_print(&t, stdout);
}

static void show_resources(struct arena *mem, const struct allocation *a, const char *task)
{
	const struct allocated_resources *all = a->allocated_resources;
	struct table t = {0};
	uint32_t i;

	for (i = 0; all != NULL && i < all->tasks.n; i++) {
		const struct allocated_task *r = &all->tasks.at[i];

		if (strcmp(all->tasks.keys[i], task) == 0 && r->cpu != NULL && r->memory != NULL) {
			printf("Task Resources:\n");
			table_row(&t, "CPU", "Memory", "Disk");
			table_row(&t, arena_printf(mem, "%lld MHz", (long long)r->cpu->cpu_shares),
				  arena_printf(mem, "%lld MiB", (long long)r->memory->memory_mb),
				  arena_printf(mem, "%lld MiB",
					       all->shared != NULL ? (long long)all->shared->disk_mb : 0LL));
			table_print(&t, stdout);
			printf("\n");
		}
	}
}

/* The newest event first. */
static void show_events(struct arena *mem, const struct task_state *s, bool only_last)
{
	struct table t = {0};
	uint32_t i;

	printf("Recent Events:\n");
	table_row(&t, "Time", "Type", "Description");
	for (i = s->events.n; i > 0; i--) {
		const struct task_event *e = &s->events.at[i - 1];

		table_row(&t, format_time(mem, e->time), e->type, e->display_message);
		if (only_last) {
			break;
		}
	}
	table_print(&t, stdout);
}

static void show_task(struct arena *mem, const struct allocation *a, uint32_t i)
{
	const struct task_state *s = &a->task_states.at[i];
	const char *task = format_clean(mem, a->task_states.keys[i]);
	struct table t = {0};

	printf("\nTask \"%s\" is \"%s\"\n", task, s->state);
	show_resources(mem, a, a->task_states.keys[i]);
	printf("Task Events:\n");
	table_row(&t, "Started At", format_time(mem, s->started_at));
	table_row(&t, "Finished At", format_time(mem, s->finished_at));
	table_row(&t, "Total Restarts", format_int(mem, s->restarts));
	table_row(&t, "Last Restart", format_time(mem, s->last_restart));
	table_print_pairs(&t, stdout);
	printf("\n");
	show_events(mem, s, false);
}

/* The last event of each task. */
static void show_tasks_short(struct arena *mem, const struct allocation *a)
{
	struct table t = {0};
	uint32_t i;

	printf("\nTasks\n");
	table_row(&t, "Name", "State", "Last Event", "Time");
	for (i = 0; i < a->task_states.n; i++) {
		const struct task_state *s = &a->task_states.at[i];
		const struct task_event *e = s->events.n > 0 ? &s->events.at[s->events.n - 1] : NULL;

		table_row(&t, a->task_states.keys[i], s->state, e != NULL ? e->type : "",
			  format_time(mem, e != NULL ? e->time : 0));
	}
	table_print(&t, stdout);
}

static int show_one_alloc(struct client *c, const struct args *args, const char *id)
{
	bool verbose = args_has(args, "verbose");
	struct allocation a;
	uint32_t i;

	if (!read_alloc(c, id, &a)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	show_alloc(c->mem, &a, verbose);
	if (args_has(args, "short")) {
		show_tasks_short(c->mem, &a);
		return EXIT_OK;
	}
	show_ports(c->mem, &a);
	for (i = 0; i < a.task_states.n; i++) {
		show_task(c->mem, &a, i);
	}
	if (verbose && a.metrics != NULL) {
		printf("\nPlacement Metrics\n");
		show_metric(stdout, a.metrics, 0);
	}
	return EXIT_OK;
}

static int list_allocs(struct client *c, const struct args *args)
{
	struct alloc_stubs allocs;

	client_url(c, "/v1/allocations");
	if (!client_read_list(c, "querying allocations", &alloc_stubs_type, &allocs)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else {
		show_allocs(c->mem, &allocs, args_has(args, "verbose"));
	}
	return EXIT_OK;
}

static int run_status(struct args *args)
{
	return act_status(args, list_allocs, alloc_by_prefix, show_one_alloc);
}

static const struct flag status_flags[] = {{"json", NULL, "Print the server's answer."},
					   {"short", NULL, "Of each task, only the last event."},
					   {"verbose", NULL, "Show whole IDs, and times in full."},
					   {NULL, NULL, NULL}};

const struct command command_alloc_status = {
	.name = "alloc status",
	.usage = "[options] [ALLOCATION]",
	.summary = "Show the status of an allocation and its tasks, or list all",
	.details = "An allocation may be named by the beginning of its ID.",
	.flags = status_flags,
	.api = true,
	.max = 1,
	.run = run_status,
};

/* ---- alloc logs ---- */

/* What is asked for, once it is clear of which task. */
struct logs {
	const char *alloc;
	const char *task;
	long long tail_bytes; /* From the end; -1 for all. */
	long long tail_lines; /* Of these bytes, only the last so many lines; 0 for all. */
	bool follow;
};

const char *alloc_of_job(struct client *c, const struct args *args, const char *job)
{
	const char *group = args_get(args, "group", NULL);
	struct alloc_stubs allocs;
	const struct alloc_stub *best = NULL;
	uint32_t i;

	client_url(c, "/v1/job/%s/allocations", client_escape(c, job));
	if (!client_read_list(c, "querying job allocations", &alloc_stubs_type, &allocs)) {
		return NULL;
	}
	for (i = 0; i < allocs.items.n; i++) {
		const struct alloc_stub *a = &allocs.items.at[i];

		if ((group == NULL || strcmp(group, a->task_group) == 0) &&
		    (best == NULL || strcmp(a->client_status, "running") == 0)) {
			best = a;
		}
	}
	if (best == NULL) {
		fprintf(stderr, "No allocations for job \"%s\"\n", job);
	}
	return best != NULL ? best->id : NULL;
}

const char *alloc_only_task(struct client *c, const char *id)
{
	struct allocation a;
	uint32_t i;

	if (!read_alloc(c, id, &a)) {
		return NULL;
	}
	if (a.task_states.n == 1) {
		return a.task_states.keys[0];
	}
	fprintf(stderr, "Allocation \"%s\" has %u tasks: name one of\n", format_id(c->mem, id, false), a.task_states.n);
	for (i = 0; i < a.task_states.n; i++) {
		fprintf(stderr, "  * %s\n", format_clean(c->mem, a.task_states.keys[i]));
	}
	return NULL;
}

static bool find_logs(struct client *c, const struct args *args, struct logs *l)
{
	const char *job = args_get(args, "job", NULL);
	unsigned next = job == NULL ? 1 : 0; /* Where the task is among the arguments. */
	long long lines = -1;
	long long bytes = -1;

	if (!args_number(args, "n", &lines) || !args_number(args, "c", &bytes)) {
		return false;
	}
	if (job == NULL && args->n_rest == 0) {
		fprintf(stderr, "An allocation ID or -job is needed\n");
		return false;
	}
	l->alloc = job != NULL ? alloc_of_job(c, args, job) : alloc_by_prefix(c, args->rest[0]);
	if (l->alloc == NULL) {
		return false;
	}
	l->task = args_get(args, "task", args->n_rest > next ? args->rest[next] : NULL);
	if (l->task == NULL) {
		l->task = alloc_only_task(c, l->alloc);
	}
	l->follow = args_has(args, "f");
	if (args_has(args, "tail") || lines >= 0 || bytes >= 0) {
		l->tail_lines = bytes >= 0 ? 0 : lines >= 0 ? lines : 10;
		l->tail_bytes = bytes >= 0 ? bytes : l->tail_lines * LINE_BYTES;
	}
	return l->task != NULL;
}

/* The last n lines of the text; n is at least 1. */
static const char *last_lines(const char *text, size_t len, long long n)
{
	const char *at = text + len;

	if (len > 0 && at[-1] == '\n') {
		at--;
	}
	for (;; n--) {
		const char *before = memrchr(text, '\n', (size_t)(at - text));

		if (before == NULL || n == 1) {
			return before != NULL ? before + 1 : text;
		}
		at = before;
	}
}

static bool print_logs(struct client *c, const struct logs *l, const char *type)
{
	bool cut = l->tail_lines > 0 && !l->follow;
	bool good;

	client_url(c, "/v1/client/fs/logs/%s", l->alloc);
	client_param(c, "task", l->task);
	client_param(c, "type", type);
	client_param(c, "follow", format_bool(l->follow));
	client_param(c, "plain", "true");
	client_param(c, "origin", l->tail_bytes >= 0 ? "end" : "start");
	client_param(c, "offset", format_int(c->mem, l->tail_bytes >= 0 ? l->tail_bytes : 0));
	c->stream = cut ? NULL : stdout;
	good = client_ok(c, "reading logs", "GET", NULL, 0);
	c->stream = NULL;
	if (good && cut) {
		const char *text = buf_text(&c->body);
		const char *from = last_lines(text, c->body.len, l->tail_lines);

		fwrite(from, 1, (size_t)(text + c->body.len - from), stdout);
	}
	return good;
}

/* Both at once: a second process follows stderr, as long as the first one lives. */
static int follow_both(struct client *c, const struct args *args, const struct logs *l)
{
	pid_t parent = getpid();
	pid_t child = fork();
	struct client own;
	bool good;

	if (child < 0) {
		fprintf(stderr, "Error: a second process cannot be started\n");
		return EXIT_ERROR;
	}
	if (child > 0) {
		good = print_logs(c, l, "stdout");
		waitpid(child, NULL, 0);
		return good ? EXIT_OK : EXIT_ERROR;
	}
	good = prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 && getppid() == parent && client_init(&own, args) &&
	       print_logs(&own, l, "stderr");
	fflush(stdout);
	_exit(good ? EXIT_OK : EXIT_ERROR);
}

static int show_logs(struct client *c, const struct args *args)
{
	struct logs l = {.tail_bytes = -1};
	bool out = args_has(args, "stdout");
	bool err = args_has(args, "stderr");

	if (!find_logs(c, args, &l)) {
		return EXIT_ERROR;
	}
	if (l.follow && out == err) {
		return follow_both(c, args, &l);
	}
	if ((out || !err) && !print_logs(c, &l, "stdout")) {
		return EXIT_ERROR;
	}
	return !err || print_logs(c, &l, "stderr") ? EXIT_OK : EXIT_ERROR;
}

static int run_logs(struct args *args)
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = show_logs(&c, args);
	client_close(&c);
	return code;
}

static const struct flag logs_flags[] = {{"stdout", NULL, "The task's standard output; this is the default."},
					 {"stderr", NULL, "The task's standard error."},
					 {"f", NULL, "Follow: go on with what comes; both, unless one is named."},
					 {"tail", NULL, "Only the end: the last ten lines."},
					 {"n", "lines", "Only the last so many lines, about."},
					 {"c", "bytes", "Only the last so many bytes."},
					 {"job", "job", "Any allocation of this job, a running one if there is one."},
					 {"group", "group", "Of this task group."},
					 {"task", "task", "The task; the last argument names it otherwise."},
					 {"verbose", NULL, "Show whole IDs."},
					 {NULL, NULL, NULL}};

const struct command command_alloc_logs = {
	.name = "alloc logs",
	.usage = "[options] ALLOCATION [TASK]",
	.summary = "Print what a task has written",
	.details =
		"An allocation may be named by the beginning of its ID. The task may be left out if there is only one.",
	.flags = logs_flags,
	.api = true,
	.max = 2,
	.run = run_logs,
};
