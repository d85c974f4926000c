#include "client/executor.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client/driver_config.h"
#include "client/executor_task.h"
#include "client/oserror.h"
#include "client/procfs.h"
#include "proto/error.h"

enum { MESSAGES_A_TURN = 8 };

static struct executor_task *task_of(struct driver_task *base)
{
	return CONTAINER_OF(base, struct executor_task, base);
}

/* ---- making and freeing ---- */

struct executor_task *executor_task_make(struct driver_host *host, const struct driver *driver,
					 const struct driver_events *events, void *ctx)
{
	struct executor_task *t = calloc(1, sizeof(*t));

	if (t != NULL) {
		t->base = (struct driver_task){.driver = driver, .host = host, .events = *events, .ctx = ctx};
		t->fd = -1;
		list_insert(&host->tasks, &t->link);
		host->holders++;
	}
	return t;
}

struct errand *errand_make(struct executor_task *t)
{
	struct errand *errand = calloc(1, sizeof(*errand));

	if (errand != NULL) {
		errand->task = t;
		errand->fd = -1;
	}
	return errand;
}

void errand_free(struct errand *errand)
{
	if (errand != NULL) {
		arena_close(&errand->mem);
		free(errand);
	}
}

void executor_task_free(struct executor_task *t)
{
	struct driver_host *host = t->base.host;

	list_remove(&t->link);
	errand_free(t->launched);
	free(t->state_dir);
	free(t->cgroup);
	free(t->limit_cgroups);
	free(t);
	driver_host_left(host);
}

void executor_task_free_if_over(struct executor_task *t)
{
	if (t->dead && t->errand == NULL && !t->polling) {
		executor_task_free(t);
	}
}

bool executor_task_keep(struct executor_task *t, const struct executor_id *id)
{
	char *state_dir = strdup(id->state_dir);
	char *cgroup = strdup(id->cgroup);
	char *limit_cgroups = strdup(id->limit_cgroups);

	if (state_dir == NULL || cgroup == NULL || limit_cgroups == NULL) {
		free(state_dir);
		free(cgroup);
		free(limit_cgroups);
		return false;
	}
	free(t->state_dir);
	free(t->cgroup);
	free(t->limit_cgroups);
	t->state_dir = state_dir;
	t->cgroup = cgroup;
	t->limit_cgroups = limit_cgroups;
	t->id = *id;
	t->id.state_dir = state_dir;
	t->id.cgroup = cgroup;
	t->id.limit_cgroups = limit_cgroups;
	return true;
}

/* ---- what was asked ---- */

static struct asked take_question(struct executor_task *t, uint64_t id)
{
	struct asked a = {0};
	unsigned i;

	for (i = 0; i < EXECUTOR_ASKED_MAX; i++) {
		if (t->asked[i].id == id && id != 0) {
			a = t->asked[i];
			t->asked[i].id = 0;
			break;
		}
	}
	return a;
}

static void answer_signal(const struct asked *a, int error)
{
	struct driver_error e = {0};
	char text[OSERROR_TEXT];

	if (a->signal_cb == NULL) {
		return;
	}
	if (error != 0) {
		driver_fault(&e, "failed to signal the task: %s", oserror_text(error, text));
	}
	a->signal_cb(a->ctx, error != 0 ? &e : NULL);
}

/* The task has ended, so what was asked before gets the answer that it would get now. */
static void answer_all(struct executor_task *t)
{
	struct asked a;
	unsigned i;

	for (i = 0; i < EXECUTOR_ASKED_MAX && !t->dead; i++) {
		a = take_question(t, t->asked[i].id);
		answer_signal(&a, ESRCH);
		if (!t->dead && a.stats_cb != NULL) {
			a.stats_cb(a.ctx, NULL);
		}
	}
}

/* ---- telling the caller ---- */

void executor_tell_started(struct executor_task *t, const struct driver_error *error)
{
	t->base.state = error == NULL ? DRIVER_RUNNING : DRIVER_EXITED;
	errand_free(t->launched);
	t->launched = NULL;
	if (!t->dead) {
		t->base.events.started_cb(t->base.ctx, &t->base, error);
	}
}

void executor_tell_failed(struct executor_task *t, int error, const char *what, const char *which)
{
	struct driver_error e;
	char text[OSERROR_TEXT];

	driver_fault(&e, "failed to %s \"%s\": %s", what, which, oserror_text(error, text));
	e.recoverable = oserror_passing(error);
	executor_tell_started(t, &e);
}

static void tell_exited(struct executor_task *t, const struct driver_exit *exit)
{
	t->base.state = DRIVER_EXITED;
	answer_all(t);
	if (!t->dead) {
		t->base.events.exited_cb(t->base.ctx, &t->base, exit);
	}
}

void executor_tell_exited(struct executor_task *t, const struct executor_report *r)
{
	struct driver_exit exit = {
		.code = r->code, .signal = r->signal, .oom_killed = r->oom_killed != 0, .finished_ns = r->finished_ns};

	tell_exited(t, &exit);
}

static int64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void executor_tell_lost(struct executor_task *t)
{
	struct driver_exit exit = {.finished_ns = unix_ns()};

	snprintf(exit.error, sizeof(exit.error), "the task's executor ended unexpectedly, and the task with it");
	tell_exited(t, &exit);
}

/* ---- requests ---- */

static bool send_request(struct executor_task *t, const struct executor_request *q)
{
	return t->fd >= 0 && send(t->fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*q);
}

static struct executor_request request(enum executor_request_type type)
{
	return (struct executor_request){.size = sizeof(struct executor_request), .type = (uint32_t)type};
}

/* An executor that takes no message obeys a signal: at worst the wait is its own instead of the one asked for. */
static void send_kill(struct executor_task *t, int signal, int64_t timeout_ns)
{
	struct executor_request q = request(EXECUTOR_KILL);

	q.signal = signal;
	q.timeout_ns = timeout_ns;
	if (!send_request(t, &q)) {
		proc_signal(t->id.executor, t->id.executor_start, timeout_ns > 0 ? SIGTERM : SIGQUIT);
	}
}

void executor_task_send_destroy(struct executor_task *t)
{
	struct executor_request q = request(EXECUTOR_DESTROY);

	if (!send_request(t, &q)) {
		proc_signal(t->id.executor, t->id.executor_start, SIGQUIT);
	}
}

static int ask(struct executor_task *t, struct executor_request *q, const struct asked *a)
{
	unsigned i;

	for (i = 0; i < EXECUTOR_ASKED_MAX && t->asked[i].id != 0; i++) {
	}
	q->id = t->last_question + 1;
	if (i == EXECUTOR_ASKED_MAX || !send_request(t, q)) {
		return i == EXECUTOR_ASKED_MAX ? ERR_BUSY : ERR_CLOSED;
	}
	t->last_question++;
	t->asked[i] = *a;
	t->asked[i].id = q->id;
	return 0;
}

static void answer_stats(const struct asked *a, const struct executor_report *r)
{
	struct driver_stats s;

	if (a->stats_cb == NULL) {
		return;
	}
	s = (struct driver_stats){.cpu_user_ns = r->cpu_user_ns,
				  .cpu_system_ns = r->cpu_system_ns,
				  .rss_bytes = r->rss_bytes,
				  .cache_bytes = r->cache_bytes,
				  .swap_bytes = r->swap_bytes,
				  .pids = (uint32_t)r->pids,
				  .at_ns = unix_ns()};
	a->stats_cb(a->ctx, &s);
}

/* ---- reports ---- */

static void on_ready(struct executor_task *t)
{
	if (t->base.state == DRIVER_STARTING && t->base.events.ready_cb != NULL) {
		t->base.state = DRIVER_READY;
		t->base.events.ready_cb(t->base.ctx, &t->base);
	}
}

static void on_started(struct executor_task *t, const struct executor_report *r)
{
	t->abilities = r->abilities;
	if (!executor_task_starting(t)) {
		return; /* After a broken connection: nothing new. */
	}
	t->id.pid = r->pid;
	t->id.start = r->start;
	t->base.pid = r->pid;
	executor_tell_started(t, NULL);
	if (t->kill_asked && !t->dead) {
		send_kill(t, t->kill_signal, t->kill_timeout_ns);
	}
}

static void on_failed(struct executor_task *t, const struct executor_report *r)
{
	const struct executor_spec *spec = t->launched == NULL ? NULL : &t->launched->spec;

	if (!executor_task_starting(t) || spec == NULL) {
		return;
	}
	switch (r->stage) {
#define X(name, what, member)                                                                                          \
	case EXECUTOR_STAGE_##name:                                                                                    \
		executor_tell_failed(t, r->error, what, spec->member);                                                 \
		break;
		EXECUTOR_STAGES(X)
#undef X
	default:
		executor_tell_failed(t, r->error, "start", spec->command);
		break;
	}
}

static void on_exited(struct executor_task *t, const struct executor_report *r)
{
	if (executor_task_starting(t)) {
		on_started(t, r);
	}
	if (t->base.state == DRIVER_RUNNING) {
		executor_tell_exited(t, r);
	}
}

static void on_report(struct executor_task *t, const struct executor_report *r)
{
	struct asked a;

	switch (r->type) {
	case EXECUTOR_READY:
		on_ready(t);
		break;
	case EXECUTOR_STARTED:
		on_started(t, r);
		break;
	case EXECUTOR_FAILED:
		on_failed(t, r);
		break;
	case EXECUTOR_EXITED:
		on_exited(t, r);
		break;
	case EXECUTOR_SIGNALLED:
		a = take_question(t, r->id);
		answer_signal(&a, r->error);
		break;
	case EXECUTOR_USAGE:
		a = take_question(t, r->id);
		answer_stats(&a, r);
		break;
	case EXECUTOR_RAN:
		executor_command_ran(t, r);
		break;
	default:
		break;
	}
}

/* ---- the connection ---- */

static void poll_closed(uv_handle_t *handle)
{
	struct executor_task *t = CONTAINER_OF(handle, struct executor_task, poll);

	close(t->fd);
	t->fd = -1;
	if (!t->dead) {
		executor_commands_lost(t);
	}
	if (!t->detached) {
		driver_host_reap(t->base.host, t->id.executor);
	}
	if (t->base.state != DRIVER_EXITED && !t->dead) {
		executor_task_find(t);
	}
	t->polling = false; /* Only now: callbacks may have let go of the task. */
	executor_task_free_if_over(t);
}

void executor_task_disconnect(struct executor_task *t)
{
	if (t->polling && !uv_is_closing((uv_handle_t *)&t->poll)) {
		uv_close((uv_handle_t *)&t->poll, poll_closed);
	}
}

static void readable(uv_poll_t *handle, int status, int events)
{
	struct executor_task *t = CONTAINER_OF(handle, struct executor_task, poll);
	struct executor_report r;
	ssize_t n;
	int i;

	(void)status;
	(void)events;
	for (i = 0; i < MESSAGES_A_TURN && !uv_is_closing((uv_handle_t *)handle); i++) {
		n = recv(t->fd, &r, sizeof(r), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		}
		if (n <= 0 || !executor_message_fix(&r, sizeof(r), n)) {
			executor_task_disconnect(t);
			return;
		}
		/* Of a task that was let go of, only the end of the connection matters. */
		if (!t->dead) {
			on_report(t, &r);
		}
	}
}

void executor_task_connected(struct executor_task *t, int fd)
{
	assert(!t->polling && t->fd < 0);
	t->fd = fd;
	t->polling = true;
	uv_poll_init(t->base.host->loop, &t->poll, fd);
	uv_poll_start(&t->poll, UV_READABLE, readable);
}

/* ---- the rest of the table ---- */

/* An executor that is not reached any more is noticed when its connection ends. */
void executor_go(struct driver_task *task)
{
	struct executor_request q = request(EXECUTOR_GO);

	(void)send_request(task_of(task), &q);
}

void executor_kill(struct driver_task *task, int signal, int64_t timeout_ns)
{
	struct executor_task *t = task_of(task);

	if (task->state == DRIVER_RUNNING) {
		send_kill(t, signal, timeout_ns);
		return;
	}
	if (!t->kill_asked || timeout_ns < t->kill_timeout_ns) {
		t->kill_timeout_ns = timeout_ns;
	}
	t->kill_signal = signal;
	t->kill_asked = true;
}

int executor_signal(struct driver_task *task, int signal, driver_signal_cb cb, void *ctx)
{
	struct executor_request q = request(EXECUTOR_SIGNAL);
	struct asked a = {.signal_cb = cb, .ctx = ctx};

	q.signal = signal;
	return ask(task_of(task), &q, &a);
}

int executor_stats(struct driver_task *task, driver_stats_cb cb, void *ctx)
{
	struct executor_request q = request(EXECUTOR_STATS);
	struct asked a = {.stats_cb = cb, .ctx = ctx};

	return ask(task_of(task), &q, &a);
}

void executor_destroy(struct driver_task *task)
{
	struct executor_task *t = task_of(task);

	assert(!t->dead);
	t->dead = true;
	if (t->polling && task->state != DRIVER_EXITED) {
		executor_task_send_destroy(t); /* The rest follows when it closes the connection. */
	}
	executor_task_free_if_over(t);
}

void executor_detach(struct driver_task *task)
{
	struct executor_task *t = task_of(task);

	assert(!t->dead);
	t->dead = true;
	t->detached = true;
	executor_task_disconnect(t);
	executor_task_free_if_over(t);
}

void executor_abandon_all(struct driver_host *host)
{
	LIST_EACH (e, &host->tasks) {
		struct executor_task *t = CONTAINER_OF(e, struct executor_task, link);

		assert(t->dead);
		executor_task_disconnect(t);
	}
}
