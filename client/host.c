/*
 * What the alloc runners ask for, carried out: directories and hooks by workers (host_prepare.c), tasks by drivers
 * (host_driver.c).
 *
 * Runners want their answers later, never from inside the question. What needs no work at all is put on the client's
 * `ready` list and answered at the end of the turn; so a task without hooks goes from its allocation's arrival to its
 * driver without waiting for anything but the making of its directory.
 */
#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/host_int.h"
#include "client/migrate.h"

/* ---- answers without work ---- */

void host_make_ready(struct client_alloc *ca)
{
	if (list_empty(&ca->ready)) {
		list_insert(&ca->client->ready, &ca->ready);
	}
}

void host_answer_later(struct task_runner *tr, enum ready ready)
{
	task_of(tr)->ready = ready;
	host_make_ready(alloc_of(tr->alloc));
}

void host_fail_later(struct task_runner *tr, enum task_event_kind kind, const char *text, bool recoverable)
{
	struct client_task *task = task_of(tr);

	free(task->failure_text);
	task->failure_text = strdup(text);
	task->failure = (struct task_failure){.kind = kind,
	                                      .text = task->failure_text == NULL ? "out of memory" : task->failure_text,
	                                      .recoverable = recoverable};
	host_answer_later(tr, READY_START_FAILED);
}

/* ---- waiting for those that it replaces ---- */

static bool still_runs(const struct client *c, const char *id)
{
	const struct client_alloc *ca = id[0] == '\0' ? NULL : client_find(c, id);

	return ca != NULL && !alloc_runner_dead(&ca->ar);
}

static bool must_wait(const struct client_alloc *ca)
{
	const struct allocation *alloc = &ca->ar.spec->alloc;
	uint32_t i;

	if (still_runs(ca->client, alloc->previous_allocation)) {
		return true;
	}
	for (i = 0; i < alloc->preempted_allocations.n; i++) {
		if (still_runs(ca->client, alloc->preempted_allocations.at[i])) {
			return true;
		}
	}
	return false;
}

void host_ask_previous(struct client_alloc *ca)
{
	ca->ask_previous = true;
	host_make_ready(ca);
}

static void await_previous(struct alloc_runner *ar)
{
	host_ask_previous(alloc_of(ar));
}

static void answer_previous(struct client_alloc *ca)
{
	struct moment now;

	ca->ask_previous = false;
	list_remove(&ca->waiting);
	if (must_wait(ca) || migrate_waits(ca)) {
		list_insert(&ca->client->waiting, &ca->waiting);
		return;
	}
	now = client_now(ca->client);
	alloc_runner_previous_ended(&ca->ar, &now);
}

/* Somebody has ended: those that wait ask again. */
static void ask_again(struct client *c)
{
	LIST_EACH(e, &c->waiting) {
		host_ask_previous(CONTAINER_OF(e, struct client_alloc, waiting));
	}
}

/* ---- changes ---- */

void host_collect_soon(struct client_alloc *ca)
{
	if (ca->gone && alloc_runner_dead(&ca->ar)) {
		ca->client->collect_due = client_time(ca->client);
	}
}

void host_forget(struct client_alloc *ca)
{
	struct moment now = client_now(ca->client);

	ca->gone = true;
	alloc_runner_stop(&ca->ar, &now);
	host_collect_soon(ca);
}

/* Templates of tasks that have ended ask nothing any more. */
static void end_renders(struct client_alloc *ca)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		if (task_runner_step(&ca->ar.tasks[i]) == TASK_DEAD) {
			host_render_end(&ca->tasks[i]);
		}
	}
}

static void changed(struct alloc_runner *ar)
{
	struct client_alloc *ca = alloc_of(ar);

	reports_add(ca);
	saver_add(ca);
	checks_look(ca);
	end_renders(ca);
	if (alloc_runner_dead(ar) && !ca->ended) {
		ca->ended = true;
		ask_again(ca->client);
		host_collect_soon(ca);
	}
}

const struct alloc_ops host_ops = {
        .await_previous = await_previous,
        .setup = host_setup,
        .adopt = host_adopt,
        .prepare = host_prepare,
        .cancel = host_cancel_task,
        .start = host_start,
        .kill = host_kill,
        .signal = host_signal,
        .changed = changed,
};

void host_dispose(struct client_alloc *ca)
{
	ca->gone = ca->gone || alloc_runner_dead(&ca->ar);
	host_collect_soon(ca);
}

/* A driver keeps its records of an ended task until the end is in our own. */
void host_saved(struct client_alloc *ca, int rc)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		struct client_task *task = &ca->tasks[i];

		if (task->go == GO_WRITING) {
			host_written(&ca->ar.tasks[i], rc);
		}
		if (rc != 0 || !list_empty(&ca->save)) {
			continue;
		}
		if (task->ended) {
			host_drop_driver(task);
		}
		if (task->start_due) {
			host_start(&ca->ar.tasks[i]);
		}
	}
	host_collect_soon(ca);
}

/* ---- answering ---- */

static void serve_task(struct client_alloc *ca, uint32_t i)
{
	static const struct task_failure no_memory = {
	        .kind = TASK_EVENT_HOOK_FAILED, .text = "out of memory", .recoverable = true};
	struct client_task *task = &ca->tasks[i];
	enum ready ready = task->ready;
	struct moment now = client_now(ca->client);

	task->ready = READY_NOTHING;
	switch (ready) {
	case READY_NOTHING:
		break;
	case READY_ADOPT_FAILED:
		alloc_runner_adopted(&ca->ar.tasks[i], ADOPTED_LOST, &now);
		break;
	case READY_PREPARED:
		alloc_runner_prepared(&ca->ar.tasks[i], NULL, &now);
		break;
	case READY_PREPARE_FAILED:
		alloc_runner_prepared(&ca->ar.tasks[i], &no_memory, &now);
		break;
	case READY_START_FAILED:
		alloc_runner_started(&ca->ar.tasks[i], &task->failure, &now);
		break;
	}
}

void host_serve(struct client *c)
{
	struct list *e;
	uint32_t i;

	/* Ends: every answer leads to a worker, a driver, a timer or an end. */
	while ((e = list_pop(&c->ready)) != NULL) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, ready);
		struct moment now = client_now(c);

		if (ca->ask_previous) {
			answer_previous(ca);
		}
		if (ca->setup_failed) {
			ca->setup_failed = false;
			alloc_runner_set_up(&ca->ar, "failed to setup alloc: out of memory", &now);
		}
		for (i = 0; i < ca->ar.n; i++) {
			serve_task(ca, i);
		}
	}
}
