#include <string.h>
#include <unistd.h>

#include "cli/alloc_pick.h"
#include "cli/commands.h"
#include "cli/exec_session.h"
#include "cli/format.h"

/* ---- what both have in common ---- */

#define SESSION_FLAGS                                                                                                  \
	{"i", NULL, "Pass standard input on; -i=false gives the command an empty one. The default is true."},          \
	{"t", NULL, "Give the command a terminal. The default is whether this one runs in one."},                      \
	{"e", "character",                                                                                             \
	 "With a terminal, this character and a dot behind a line's end leave the session. The default is \"~\"; "     \
	 "\"none\" for nothing."}

static bool read_options(const struct args *args, struct exec_options *o)
{
	const char *escape = args_get(args, "e", "~");
	bool at_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

	o->input = strcmp(args_get(args, "i", "true"), "true") == 0;
	o->terminal = strcmp(args_get(args, "t", format_bool(at_terminal && o->input)), "true") == 0;
	o->escape = strcmp(escape, "none") == 0 ? '\0' : escape[0];
	if (strcmp(escape, "none") != 0 && strlen(escape) != 1) {
		fprintf(stderr, "-e: one character is needed, or \"none\", not \"%s\"\n", escape);
		return false;
	}
	if (o->terminal && !o->input) {
		fprintf(stderr, "-i must be enabled if TTY is enabled\n");
		return false;
	}
	if (args_has(args, "t") && !isatty(STDIN_FILENO)) {
		fprintf(stderr, "-t: standard input is no terminal\n");
		return false;
	}
	return true;
}

static void add_params(struct client *c, const char *task, const struct exec_options *o)
{
	client_param(c, "task", task);
	client_param(c, "tty", format_bool(o->terminal));
	client_param(c, "ws_handshake", "true");
}

/* ---- alloc exec ---- */

static void add_command(struct client *c, const char **words, unsigned n)
{
	struct buf text = {0};
	unsigned i;

	for (i = 0; i < n; i++) {
		buf_byte(&text, i == 0 ? '[' : ',');
		json_put_str(&text, words[i], strlen(words[i]));
	}
	buf_byte(&text, ']');
	client_param(c, "command", buf_text(&text));
	c->url.failed |= text.failed;
	buf_close(&text);
}

static int exec(struct client *c, const struct args *args, const struct exec_options *o)
{
	const char *named = args->rest[0];
	const char *alloc = args_has(args, "job") ? alloc_of_job(c, args, named) : alloc_by_prefix(c, named);
	const char *task = args_get(args, "task", NULL);

	if (alloc != NULL && task == NULL) {
		task = alloc_only_task(c, alloc);
	}
	if (alloc == NULL || task == NULL) {
		return EXIT_ERROR;
	}
	client_url(c, "/v1/client/allocation/%s/exec", alloc);
	add_params(c, task, o);
	add_command(c, args->rest + 1, args->n_rest - 1);
	return exec_session(c, o);
}

static int run_exec(struct args *args)
{
	struct exec_options o;
	struct client c;
	int code;

	if (!read_options(args, &o) || !client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = exec(&c, args, &o);
	client_close(&c);
	return code;
}

static const struct flag exec_flags[] = {
	{"task", "task", "The task to run it in; may be left out if there is only one."},
	{"job", NULL, "The first argument is a job: take any allocation of it, a running one if there is one."},
	{"group", "group", "With -job, of this task group."},
	SESSION_FLAGS,
	{NULL, NULL, NULL}};

const struct command command_alloc_exec = {
	.name = "alloc exec",
	.usage = "[options] ALLOCATION COMMAND [ARG ...]",
	.summary = "Run a command in a task",
	.details =
		"It runs with the task's environment, directory, user and limits, and ends with this session. Its exit "
		"code is ours. An allocation may be named by the beginning of its ID.",
	.flags = exec_flags,
	.api = true,
	.leads = true,
	.min = 2,
	.max = 4096,
	.run = run_exec,
};

/* ---- action ---- */

static int action(struct client *c, const struct args *args, const char *job, const struct exec_options *o)
{
	const char *alloc = args_get(args, "allocation", args_get(args, "alloc", NULL));
	const char *task = args_get(args, "task", NULL);

	alloc = alloc != NULL ? alloc_by_prefix(c, alloc) : alloc_of_job(c, args, job);
	if (alloc != NULL && task == NULL) {
		task = alloc_only_task(c, alloc);
	}
	if (alloc == NULL || task == NULL) {
		return EXIT_ERROR;
	}
	client_url(c, "/v1/job/%s/action", client_escape(c, job));
	client_param(c, "action", args->rest[0]);
	client_param(c, "allocID", alloc);
	client_param(c, "group", args_get(args, "group", ""));
	add_params(c, task, o);
	return exec_session(c, o);
}

static int run_action(struct args *args)
{
	const char *job = args_get(args, "job", NULL);
	struct exec_options o;
	struct client c;
	int code;

	if (job == NULL) {
		fprintf(stderr, "A job ID is required: -job\n");
		return EXIT_ERROR;
	}
	if (!read_options(args, &o) || !client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = action(&c, args, job, &o);
	client_close(&c);
	return code;
}

static const struct flag action_flags[] = {{"job", "job", "The job whose action it is."},
					   {"group", "group", "Of this task group."},
					   {"task", "task", "The task; may be left out if there is only one."},
					   {"allocation", "id", "The allocation to run it in; else any of the job."},
					   {"alloc", "id", "The same."},
					   SESSION_FLAGS,
					   {NULL, NULL, NULL}};

const struct command command_action = {
	.name = "action",
	.usage = "[options] -job=JOB ACTION",
	.summary = "Run an action that a job has prepared",
	.details = "Actions are commands in the job's specification. It runs as by \"alloc exec\".",
	.flags = action_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_action,
};
