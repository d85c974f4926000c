/*
 * Templates that ask the cluster: a task is not started before all is there that they want, and is told, as each of
 * them says, when what they have been made of has changed.
 *
 *     preparing:  render -- lacks something --> wait for data --> render ... --> start
 *     running:    data has changed --> wait (the template's), render again
 *                 --> files differ: splay --> restart or signal
 */
#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/host_int.h"
#include "lib/log.h"
#include "proto/error.h"

static bool is_running(const struct client_task *task)
{
	return task_runner_step(runner_of_task(task)) == TASK_RUNNING;
}

static struct client *client_with(const struct client_task *task)
{
	return task->alloc->client;
}

/* ---- what is wanted ---- */

static void changed_cb(struct live_set *set)
{
	CONTAINER_OF(set, struct client_task, live)->render.changed = true;
}

static bool is_known(const struct template_data *data, const char *target)
{
	uint32_t i;

	for (i = 0; i < data->n_known; i++) {
		if (strcmp(data->known[i].target, target) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the rendering asked for what it was not given: there may be an answer already, as others have asked, too. */
static bool asked_more(const struct template_data *data)
{
	uint32_t i;

	for (i = 0; i < data->n_wants; i++) {
		if (!is_known(data, data->wants[i].target)) {
			return true;
		}
	}
	return false;
}

/* 0, or a failure with its text. */
static int want(struct client_task *task, const struct template_data *data, const char **why)
{
	int rc;

	task->live.changed_cb = changed_cb;
	rc = live_want(&client_with(task)->live, &task->live, data->wants, data->n_wants);
	task->render.changed = task->render.changed || (rc == 0 && asked_more(data));
	*why = rc == ERR_TOOBIG ? "template: the tasks of this node ask for too many variables and services"
	                        : "out of memory";
	return rc;
}

/* "Missing: a, b" */
static void put_missing(const struct template_data *data, struct buf *out)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < data->n_wants; i++) {
		if (data->wants[i].missing) {
			buf_printf(out, "%s%s", n++ == 0 ? "Missing: " : ", ", data->wants[i].name);
		}
	}
}

/* Once all has been asked for, people are told what is not there; once as long as it is the same. */
static void tell_missing(struct task_runner *tr, const struct template_data *data)
{
	struct task_render *r = &task_of(tr)->render;
	struct moment now = client_now(client_of(tr));
	struct buf text = {0};

	if (!live_known(&task_of(tr)->live) || asked_more(data)) {
		return;
	}
	put_missing(data, &text);
	if (!text.failed && (r->told == NULL || strcmp(r->told, buf_text(&text)) != 0)) {
		free(r->told);
		r->told = strdup(buf_text(&text));
		alloc_runner_event(tr, TASK_EVENT_TEMPLATE, buf_text(&text), &now);
	}
	buf_close(&text);
}

bool host_render_lacks(struct task_runner *tr, const struct prepare_job *job, struct task_failure *failure)
{
	struct client_task *task = task_of(tr);
	const char *why;

	if (want(task, job->plan.data, &why) != 0) {
		*failure = (struct task_failure){.kind = TASK_EVENT_HOOK_FAILED, .text = why, .recoverable = true};
		return false;
	}
	if (!job->outcome.lacks) {
		free(task->render.told);
		task->render.told = NULL;
		return false;
	}
	task->render.waits = true;
	tell_missing(tr, job->plan.data);
	return true;
}

bool host_render_cancel(struct client_task *task)
{
	bool waited = task->render.waits;

	task->render.waits = false;
	return waited;
}

bool host_render_reset(struct task_runner *tr)
{
	struct task_render *r = &task_of(tr)->render;

	r->first_ns = r->due_ns = r->act_ns = 0;
	r->restarts = false;
	r->n_signals = 0;
	r->scripts = 0;
	r->waits = r->job != NULL;
	r->changed = false;
	return !r->waits;
}

void host_render_end(struct client_task *task)
{
	(void)live_want(&client_with(task)->live, &task->live, NULL, 0);
	free(task->render.told);
	task->render.told = NULL;
	task->render.due_ns = task->render.act_ns = task->render.first_ns = 0;
}

/* ---- telling the task ---- */

static void add_signal(struct client_task *task, const char *name)
{
	struct task_render *r = &task->render;
	unsigned i;

	for (i = 0; i < r->n_signals; i++) {
		if (strcmp(r->signals[i], name) == 0) {
			return;
		}
	}
	if (r->n_signals < RENDER_SIGNALS_MAX && strlen(name) < RENDER_SIGNAL_TEXT) {
		strcpy(r->signals[r->n_signals++], name);
	} else {
		log_warn("client", "signal %s of a template of task %s is not sent", name,
		         runner_of_task(task)->task->name);
	}
}

enum { SCRIPTS_MAX = 64 };

/* By its place, as the bits of a number: more of them are not told of. */
static void add_script(struct task_runner *tr, const struct template *t)
{
	size_t place = (size_t)(t - tr->task->templates.at);

	if (place < SCRIPTS_MAX) {
		task_of(tr)->render.scripts |= UINT64_C(1) << place;
	} else {
		log_warn("client", "the script of template %zu of task %s is not run", place, tr->task->name);
	}
}

static void run_scripts(struct task_runner *tr, uint64_t scripts)
{
	uint32_t i;

	for (i = 0; i < tr->task->templates.n && i < SCRIPTS_MAX; i++) {
		if ((scripts >> i & 1) != 0) {
			host_run_script(tr, &tr->task->templates.at[i]);
		}
	}
}

/* What one template wants; how long to wait at the most before it is done. */
static int64_t note_change(struct task_runner *tr, const struct template *t)
{
	struct client_task *task = task_of(tr);

	if (strcmp(t->change_mode, "restart") == 0 || t->change_mode[0] == '\0') {
		task->render.restarts = true;
	} else if (strcmp(t->change_mode, "signal") == 0) {
		add_signal(task, t->change_signal);
	} else if (strcmp(t->change_mode, "script") == 0) {
		add_script(tr, t);
	} else {
		return 0;
	}
	return t->splay > 0 ? t->splay : 0;
}

static void note_changes(struct task_runner *tr, const bool *changed)
{
	struct task_render *r = &task_of(tr)->render;
	struct moment now = client_now(client_of(tr));
	int64_t splay_ns = 0;
	uint32_t i;

	for (i = 0; i < tr->task->templates.n; i++) {
		int64_t ns = changed[i] ? note_change(tr, &tr->task->templates.at[i]) : 0;

		splay_ns = ns > splay_ns ? ns : splay_ns;
	}
	if ((r->restarts || r->n_signals > 0 || r->scripts != 0) && r->act_ns == 0) {
		r->act_ns = client_time(client_of(tr)) + (int64_t)(now.random % ((uint64_t)splay_ns + 1));
	}
}

static void act(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);
	struct task_render *r = &task->render;
	struct moment now = client_now(client_of(tr));
	bool restarts = r->restarts;
	uint64_t scripts = r->scripts;
	unsigned n = r->n_signals;
	unsigned i;

	r->act_ns = 0;
	r->restarts = false;
	r->n_signals = 0;
	r->scripts = 0;
	if (restarts) {
		(void)alloc_runner_restart_task(tr, "Template with change_mode restart re-rendered", &now);
		return;
	}
	for (i = 0; i < n; i++) {
		if (alloc_runner_signal_rendered(tr, r->signals[i], driver_signal_phrase(r->signals[i]), &now) != 0) {
			log_warn("client", "%s to task %s: it does not run", r->signals[i], tr->task->name);
		}
	}
	run_scripts(tr, scripts);
}

/* ---- rendering again ---- */

/* The task is the same as when it began, as far as one can see: its specification is. */
static bool still_meant(const struct prepare_job *job)
{
	return job->spec == job->alloc->ar.spec && is_running(&job->alloc->tasks[job->task]);
}

static void take_again(struct task_runner *tr, const struct prepare_job *job)
{
	struct client_task *task = task_of(tr);
	struct moment now = client_now(client_of(tr));
	const char *why;

	if (job->outcome.failed) {
		alloc_runner_event(tr, TASK_EVENT_TEMPLATE, job->outcome.failure.text, &now);
		return;
	}
	if (want(task, job->plan.data, &why) != 0) {
		log_warn("client", "templates of task %s: %s", tr->task->name, why);
		return;
	}
	if (!job->outcome.lacks && host_keep_vars(task, &job->outcome.vars) != 0) {
		log_warn("client", "templates of task %s: out of memory", tr->task->name);
	}
	note_changes(tr, job->outcome.changed);
}

static void again_done_cb(struct work_item *item)
{
	struct prepare_job *job = CONTAINER_OF(item, struct prepare_job, item);
	struct client_task *task = &job->alloc->tasks[job->task];

	job->alloc->jobs--;
	task->render.job = NULL;
	if (still_meant(job)) {
		take_again(runner_of_task(task), job);
	}
	if (host_render_cancel(task)) {
		host_prepare_begin(runner_of_task(task)); /* It was for this job. */
	}
	host_job_free(job);
}

static void render_again(struct task_runner *tr)
{
	struct task_render *r = &task_of(tr)->render;

	r->first_ns = r->due_ns = 0;
	r->job = host_job_new(tr, true);
	if (r->job != NULL) {
		host_job_begin(r->job, again_done_cb);
	}
}

void host_render_adopted(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);

	if (hooks_ask(tr->task) && is_running(task) && task->render.job == NULL) {
		render_again(tr);
	}
}

/* ---- when ---- */

/* How long data must be at rest before templates are rendered again, and how long that may take: the longest that any
 * of them asks for. */
static void wait_of(const struct task *task, int64_t *min_ns, int64_t *max_ns)
{
	uint32_t i;

	*min_ns = *max_ns = 0;
	for (i = 0; i < task->templates.n; i++) {
		const struct wait_config *w = task->templates.at[i].wait;
		int64_t min = w != NULL && w->min.set ? w->min.at : 0;
		int64_t max = w != NULL && w->max.set ? w->max.at : 4 * min;

		*min_ns = min > *min_ns ? min : *min_ns;
		*max_ns = max > *max_ns ? max : *max_ns;
	}
}

static void note_data(struct client_task *task)
{
	struct task_render *r = &task->render;
	int64_t now_ns = client_time(client_with(task));
	int64_t min_ns;
	int64_t max_ns;

	wait_of(runner_of_task(task)->task, &min_ns, &max_ns);
	r->first_ns = r->first_ns != 0 ? r->first_ns : now_ns;
	r->due_ns = now_ns + min_ns < r->first_ns + max_ns ? now_ns + min_ns : r->first_ns + max_ns;
	r->due_ns = r->due_ns > now_ns ? r->due_ns : now_ns;
}

/* Data has changed. */
static void take_change(struct client_task *task)
{
	struct task_render *r = &task->render;

	if (task->job != NULL || r->job != NULL) {
		return; /* Looked at again when that has ended. */
	}
	if (!live_known(&task->live)) {
		return; /* More is about to come. */
	}
	if (r->waits) {
		r->changed = r->waits = false;
		host_prepare_begin(runner_of_task(task));
	} else if (is_running(task)) {
		r->changed = false;
		note_data(task);
	}
}

/* True: it was told something, and lists may be others now. */
static bool step(struct client_task *task, int64_t now_ns)
{
	struct task_render *r = &task->render;

	if (r->changed) {
		take_change(task);
	}
	if (!is_running(task)) {
		r->due_ns = r->act_ns = r->first_ns = 0;
		return false;
	}
	if (r->due_ns != 0 && now_ns >= r->due_ns && r->job == NULL) {
		render_again(runner_of_task(task));
	}
	if (r->act_ns == 0 || now_ns < r->act_ns) {
		return false;
	}
	act(runner_of_task(task));
	return true;
}

static bool step_any(struct client *c)
{
	LIST_EACH(e, &c->live.sets) {
		struct live_set *set = CONTAINER_OF(e, struct live_set, link);

		if (step(CONTAINER_OF(set, struct client_task, live), client_time(c))) {
			return true;
		}
	}
	return false;
}

void host_render_step(struct client *c)
{
	while (step_any(c)) {
	}
}

int64_t host_render_due(const struct client *c)
{
	int64_t due = 0;

	LIST_EACH(e, &c->live.sets) {
		const struct task_render *r =
		        &CONTAINER_OF(CONTAINER_OF(e, struct live_set, link), struct client_task, live)->render;

		due = r->due_ns != 0 && r->job == NULL && (due == 0 || r->due_ns < due) ? r->due_ns : due;
		due = r->act_ns != 0 && (due == 0 || r->act_ns < due) ? r->act_ns : due;
	}
	return due;
}
