/*
 * Scripts of templates: what a task that runs is told of a change of its files by a command beside it.
 *
 * Of each template one runs at a time. A change while it does runs it once more.
 */
#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/host_int.h"
#include "client/script.h"
#include "lib/log.h"
#include "proto/error.h"

struct change_run {
	struct list link; /* In the task's `scripts`. */
	struct script script;
	struct client_task *task;
	struct alloc_spec *spec; /* The template is its. */
	const struct template *t;
	bool again;
};

static void drop(struct change_run *run)
{
	list_remove(&run->link);
	script_stop(&run->script);
	alloc_spec_unref(run->spec);
	free(run);
}

void host_scripts_end(struct client_task *task)
{
	LIST_EACH(e, &task->scripts) {
		drop(CONTAINER_OF(e, struct change_run, link));
	}
}

/* ---- what came of it ---- */

/* The script as the event tells it: "/bin/sh with arguments [-c true]". */
static void put_script(struct buf *out, const struct change_script *s)
{
	uint32_t i;

	buf_printf(out, "script %s with arguments [", s->command);
	for (i = 0; i < s->args.n; i++) {
		buf_printf(out, "%s%s", i > 0 ? " " : "", s->args.at[i]);
	}
	buf_byte(out, ']');
}

static void put_outcome(struct buf *out, const struct change_script *s, const struct script_answer *answer)
{
	if (answer->code == 0) {
		buf_str(out, "Template successfully ran ");
		put_script(out, s);
		buf_str(out, ". Exit code: 0");
	} else if (answer->code > 0) {
		buf_str(out, "Template ran ");
		put_script(out, s);
		buf_printf(out, " on change but it exited with code: %d", answer->code);
	} else {
		buf_str(out, "Template failed to run ");
		put_script(out, s);
		buf_printf(out, " on change: %s", answer->output);
	}
}

static void tell(struct task_runner *tr, const struct change_script *s, const struct script_answer *answer)
{
	struct moment now = client_now(client_of(tr));
	struct buf text = {0};

	put_outcome(&text, s, answer);
	alloc_runner_event(tr, answer->code == 0 ? TASK_EVENT_HOOK_MESSAGE : TASK_EVENT_HOOK_FAILED, buf_text(&text),
	                   &now);
	buf_close(&text);
	if (answer->code != 0 && s->fail_on_error) {
		alloc_runner_fail_task(tr, "Template script failed, task is being killed", &now);
	}
}

static void begin(struct change_run *run);

/* What is told may end the task, and with it this; so it comes last. */
static void done_cb(struct script *s, const struct script_answer *answer)
{
	struct change_run *run = CONTAINER_OF(s, struct change_run, script);
	struct task_runner *tr = runner_of_task(run->task);
	struct alloc_spec *spec = alloc_spec_ref(run->spec);
	const struct change_script *cs = run->t->change_script;

	if (run->again && (answer->code == 0 || !cs->fail_on_error)) {
		run->again = false;
		begin(run);
	} else {
		drop(run);
	}
	tell(tr, cs, answer);
	alloc_spec_unref(spec);
}

/* ---- running it ---- */

/* With the task's environment filled in. */
static const char **make_argv(struct task_runner *tr, const struct change_script *s, struct arena *mem)
{
	const char **argv = arena_calloc(mem, (size_t)s->args.n + 1, sizeof(*argv));
	struct task_env env;
	uint32_t i;

	if (argv == NULL || host_env(tr, &env, mem) != 0) {
		return NULL;
	}
	for (i = 0; i <= s->args.n; i++) {
		argv[i] = task_env_replace(&env, i == 0 ? s->command : s->args.at[i - 1], mem);
		if (argv[i] == NULL) {
			return NULL;
		}
	}
	return argv;
}

static void begin(struct change_run *run)
{
	struct task_runner *tr = runner_of_task(run->task);
	const struct change_script *s = run->t->change_script;
	struct arena mem = {0};
	const char **argv = make_argv(tr, s, &mem);

	if (argv == NULL || script_start(&run->script, client_of(tr), run->task->driver, argv, s->args.n + 1,
	                                 s->timeout) != 0) {
		log_warn("client", "the script of a template of task %s: out of memory", tr->task->name);
		drop(run);
	}
	arena_close(&mem);
}

void host_run_script(struct task_runner *tr, const struct template *t)
{
	struct client_task *task = task_of(tr);
	struct change_run *run;

	if (t->change_script == NULL || task->driver == NULL) {
		return;
	}
	LIST_EACH(e, &task->scripts) {
		run = CONTAINER_OF(e, struct change_run, link);
		if (run->t == t) {
			run->again = true;
			return;
		}
	}
	run = calloc(1, sizeof(*run));
	if (run == NULL) {
		log_warn("client", "the script of a template of task %s: out of memory", tr->task->name);
		return;
	}
	run->script.done_cb = done_cb;
	run->task = task;
	run->spec = alloc_spec_ref(tr->alloc->spec);
	run->t = t;
	list_insert(&task->scripts, &run->link);
	begin(run);
}
