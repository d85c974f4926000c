/**
 * mock_driver: tasks that are timers. For tests, and for clusters of simulated nodes.
 *
 * A task does what its config says at the times that it says: starts late or not at all, writes output, ends. One
 * timer per task waits for whichever is due next.
 */
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/driver_command.h"
#include "client/driver_config.h"
#include "client/driver_host.h"
#include "proto/error.h"

enum { RECORD_VERSION = 1, REPEATS_A_TURN = 64 };

/* When nothing is due. */
#define NEVER INT64_MAX

/* What a command beside the task does, whichever it is. */
#define MOCK_COMMAND_FIELDS(X, T)                                                                                      \
	X(T, DUR, run_for, "run_for")                                                                                  \
	X(T, INT, exit_code, "exit_code")                                                                              \
	X(T, INT, exit_signal, "exit_signal")                                                                          \
	X(T, STR, exit_err_msg, "exit_err_msg")                                                                        \
	X(T, STR, stdout_string, "stdout_string")                                                                      \
	X(T, STR, stderr_string, "stderr_string")

OBJECT_DECLARE(mock_command, MOCK_COMMAND_FIELDS);
OBJECT_DEFINE(mock_command, MOCK_COMMAND_FIELDS);

#define MOCK_CONFIG_FIELDS(X, T)                                                                                       \
	X(T, DUR, run_for, "run_for")                                                                                  \
	X(T, DUR, kill_after, "kill_after")                                                                            \
	X(T, INT, exit_code, "exit_code")                                                                              \
	X(T, INT, exit_signal, "exit_signal")                                                                          \
	X(T, STR, exit_err_msg, "exit_err_msg")                                                                        \
	X(T, STR, signal_error, "signal_error")                                                                        \
	X(T, STR, start_error, "start_error")                                                                          \
	X(T, BOOL, start_error_recoverable, "start_error_recoverable")                                                 \
	X(T, DUR, start_block_for, "start_block_for")                                                                  \
	X(T, STR, stdout_string, "stdout_string")                                                                      \
	X(T, INT, stdout_repeat, "stdout_repeat")                                                                      \
	X(T, DUR, stdout_repeat_duration, "stdout_repeat_duration")                                                    \
	X(T, DUR, plugin_exit_after, "plugin_exit_after")                                                              \
	X(T, OBJ(mock_command), exec_command, "exec_command")

OBJECT_DECLARE(mock_config, MOCK_CONFIG_FIELDS);
OBJECT_DEFINE(mock_config, MOCK_CONFIG_FIELDS);

#define MOCK_RECORD_FIELDS(X, T)                                                                                       \
	X(T, INT, version, "Version")                                                                                  \
	X(T, STR, config, "Config")                                                                                    \
	X(T, INT, started_ns, "Started")                                                                               \
	X(T, STR, log_dir, "LogDir")                                                                                   \
	X(T, STR, stdout_name, "StdoutName")

OBJECT_DECLARE(mock_record, MOCK_RECORD_FIELDS);
OBJECT_DEFINE(mock_record, MOCK_RECORD_FIELDS);

/* To a question: it never comes from inside the call that asks. */
struct answer {
	struct list link;
	driver_signal_cb signal_cb;
	driver_stats_cb stats_cb;
	void *ctx;
};

struct mock_task {
	struct driver_task base;
	struct list answers;
	uv_timer_t timer;
	struct arena mem; /* All texts. */
	const char *config_text, *log_dir, *stdout_name;
	struct mock_config config;
	bool dead;
	bool refused; /* started_cb gets `error`. */
	struct driver_error error;
	int64_t begun_ns; /* When driver_start() was called; these are Unix times, so that a record can hold them. */
	int64_t started_ns;
	int64_t output_ns;
	int64_t outputs; /* Still to be written. */
	int64_t end_ns;
};

static int64_t unix_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct mock_task *task_of(struct driver_task *base)
{
	return CONTAINER_OF(base, struct mock_task, base);
}

static int configure(struct driver_host *host, const char *config, struct driver_error *error)
{
	struct mock_plugin settings;
	int rv = driver_config_decode(&mock_plugin_type, &settings, config, &host->mem, error);

	if (rv == 0) {
		host->mock = settings;
	}
	return rv;
}

static bool enabled(const struct driver_host *host)
{
	return host->mock.enabled.set ? host->mock.enabled.at != 0 : host->dev;
}

static void fingerprint(struct driver_host *host, struct arena *mem, struct driver_info *out)
{
	struct pair *attribute = arena_alloc(mem, sizeof(*attribute));

	(void)host;
	if (attribute != NULL) {
		*attribute = (struct pair){"driver.mock", "true"};
		out->attributes.at = attribute;
		out->attributes.n = 1;
	}
	out->healthy = true;
	out->health_description = "Healthy";
}

static int validate(const char *text, struct driver_error *error)
{
	struct mock_config c;
	struct arena mem = {0};
	int rv = driver_config_decode(&mock_config_type, &c, text, &mem, error);

	arena_close(&mem);
	return rv;
}

/* ---- what happens when ---- */

static int64_t after(int64_t from, int64_t duration)
{
	return duration > NEVER - from ? NEVER : from + (duration > 0 ? duration : 0);
}

static int64_t next_due(const struct mock_task *t)
{
	if (!list_empty(&t->answers)) {
		return 0;
	}
	if (t->base.state == DRIVER_STARTING) {
		return after(t->begun_ns, t->config.start_block_for);
	}
	if (t->base.state == DRIVER_EXITED) {
		return NEVER;
	}
	return t->outputs > 0 && t->output_ns < t->end_ns ? t->output_ns : t->end_ns;
}

static void on_timer(uv_timer_t *timer);

static void wait_for_next(struct mock_task *t)
{
	int64_t due = t->dead ? NEVER : next_due(t);
	int64_t wait_ns = due - unix_ns();

	if (due == NEVER) {
		return;
	}
	uv_timer_start(&t->timer, on_timer, wait_ns <= 0 ? 0 : (uint64_t)((wait_ns + 999999) / 1000000), 0);
}

static void tell_started(struct mock_task *t)
{
	t->base.state = t->refused ? DRIVER_EXITED : DRIVER_RUNNING;
	t->base.events.started_cb(t->base.ctx, &t->base, t->refused ? &t->error : NULL);
}

static void tell_exited(struct mock_task *t)
{
	struct driver_exit exit = {
		.code = (int)t->config.exit_code, .signal = (int)t->config.exit_signal, .finished_ns = t->end_ns};
	bool crashed =
		t->config.plugin_exit_after > 0 && t->end_ns == after(t->started_ns, t->config.plugin_exit_after);

	snprintf(exit.error, sizeof(exit.error), "%s",
		 crashed ? "the mock driver has lost the task" : t->config.exit_err_msg);
	t->base.state = DRIVER_EXITED;
	t->base.events.exited_cb(t->base.ctx, &t->base, &exit);
}

static void write_output(const struct mock_task *t)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s.0", t->log_dir, t->stdout_name) >= (int)sizeof(path)) {
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0) {
		return;
	}
	if (write(fd, t->config.stdout_string, strlen(t->config.stdout_string)) < 0) {
		/* A mock's output that a full disk swallows is not missed. */
	}
	close(fd);
}

static void put_outputs(struct mock_task *t, int64_t now)
{
	int i;

	for (i = 0; i < REPEATS_A_TURN && t->outputs > 0 && t->output_ns <= now; i++) {
		write_output(t);
		t->outputs--;
		t->output_ns = after(t->output_ns, t->config.stdout_repeat_duration);
	}
}

static void give_answer(struct mock_task *t)
{
	struct answer *a = CONTAINER_OF(list_pop(&t->answers), struct answer, link);
	struct driver_stats none = {.at_ns = unix_ns()};
	struct driver_error e;

	if (a->signal_cb != NULL) {
		driver_fault(&e, "%s", t->config.signal_error);
		a->signal_cb(a->ctx, t->config.signal_error[0] == '\0' ? NULL : &e);
	} else if (a->stats_cb != NULL) {
		a->stats_cb(a->ctx, &none);
	}
	free(a);
}

static void on_timer(uv_timer_t *timer)
{
	struct mock_task *t = CONTAINER_OF(timer, struct mock_task, timer);
	int64_t now = unix_ns();

	if (now < next_due(t)) {
		wait_for_next(t); /* The clock was set back, or the timer was a little early. */
		return;
	}
	if (!list_empty(&t->answers)) {
		give_answer(t);
	} else if (t->base.state == DRIVER_STARTING) {
		tell_started(t);
	} else if (t->outputs > 0 && t->output_ns <= now) {
		put_outputs(t, now);
	} else {
		tell_exited(t);
	}
	if (!t->dead) {
		wait_for_next(t);
	}
}

/* ---- starting and finding again ---- */

/* Read the config; a fault makes it a task that does not start. False when memory is exhausted. */
static bool take_config(struct mock_task *t, const char *text)
{
	int rv;

	t->config_text = arena_strdup(&t->mem, text == NULL ? "" : text);
	if (t->config_text == NULL) {
		return false;
	}
	rv = driver_config_decode(&mock_config_type, &t->config, t->config_text, &t->mem, &t->error);
	if (rv != 0) {
		object_init(&mock_config_type, &t->config);
		t->refused = true;
	} else if (t->config.start_error[0] != '\0') {
		driver_fault(&t->error, "%s", t->config.start_error);
		t->error.recoverable = t->config.start_error_recoverable;
		t->refused = true;
	}
	return rv != ERR_NOMEM;
}

static void set_times(struct mock_task *t, int64_t started_ns)
{
	t->started_ns = started_ns;
	t->output_ns = started_ns;
	t->outputs = t->config.stdout_string[0] == '\0'
			     ? 0
			     : 1 + (t->config.stdout_repeat > 0 ? t->config.stdout_repeat : 0);
	t->end_ns = after(started_ns, t->config.run_for);
	if (t->config.plugin_exit_after > 0 && after(started_ns, t->config.plugin_exit_after) < t->end_ns) {
		t->end_ns = after(started_ns, t->config.plugin_exit_after);
	}
}

static struct mock_task *make_task(struct driver_host *host, const struct driver_events *events, void *ctx)
{
	struct mock_task *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		return NULL;
	}
	t->base = (struct driver_task){.driver = &driver_mock, .host = host, .events = *events, .ctx = ctx};
	list_init(&t->answers);
	uv_timer_init(host->loop, &t->timer);
	host->holders++;
	return t;
}

static void timer_closed(uv_handle_t *handle)
{
	struct mock_task *t = CONTAINER_OF(handle, struct mock_task, timer);
	struct driver_host *host = t->base.host;

	LIST_EACH (e, &t->answers) {
		free(CONTAINER_OF(e, struct answer, link));
	}
	arena_close(&t->mem);
	free(t);
	driver_host_left(host);
}

static void let_go(struct driver_task *task)
{
	struct mock_task *t = task_of(task);

	assert(!t->dead);
	t->dead = true;
	uv_close((uv_handle_t *)&t->timer, timer_closed);
}

static struct driver_task *start(struct driver_host *host, const struct driver_spec *spec,
				 const struct driver_events *events, void *ctx)
{
	struct mock_task *t = make_task(host, events, ctx);

	if (t == NULL) {
		return NULL;
	}
	t->log_dir = arena_strdup(&t->mem, spec->log_dir == NULL ? "" : spec->log_dir);
	t->stdout_name = arena_strdup(&t->mem, spec->stdout_name == NULL ? "" : spec->stdout_name);
	if (!take_config(t, spec->config) || t->log_dir == NULL || t->stdout_name == NULL) {
		let_go(&t->base);
		return NULL;
	}
	t->begun_ns = unix_ns();
	set_times(t, after(t->begun_ns, t->config.start_block_for));
	if (spec->log_disabled) {
		t->outputs = 0;
	}
	wait_for_next(t);
	return &t->base;
}

static bool read_record(struct mock_task *t, const void *state, size_t len)
{
	struct mock_record r;

	object_init(&mock_record_type, &r);
	if (pack_decode(&mock_record_type, &r, state, len, &t->mem) != 0 || r.version != RECORD_VERSION) {
		driver_fault(&t->error, "the record of the running task cannot be read");
		t->error.recoverable = true;
		t->refused = true;
		t->log_dir = t->stdout_name = "";
		object_init(&mock_config_type, &t->config);
		return true;
	}
	t->log_dir = r.log_dir;
	t->stdout_name = r.stdout_name;
	if (!take_config(t, r.config)) {
		return false;
	}
	t->config.start_block_for = 0;
	set_times(t, r.started_ns);
	t->outputs = 0;
	return true;
}

static struct driver_task *recover(struct driver_host *host, const void *state, size_t len,
				   const struct driver_events *events, void *ctx)
{
	struct mock_task *t = make_task(host, events, ctx);

	if (t == NULL) {
		return NULL;
	}
	t->begun_ns = unix_ns();
	if (!read_record(t, state, len)) {
		let_go(&t->base);
		return NULL;
	}
	wait_for_next(t);
	return &t->base;
}

static void save(const struct driver_task *task, struct buf *out)
{
	const struct mock_task *t = CONTAINER_OF(task, const struct mock_task, base);
	struct mock_record r;

	object_init(&mock_record_type, &r);
	r.version = RECORD_VERSION;
	r.config = t->config_text;
	r.started_ns = t->started_ns;
	r.log_dir = t->log_dir;
	r.stdout_name = t->stdout_name;
	pack_encode(&mock_record_type, &r, out);
}

/* ---- the rest of the table ---- */

/* Before it runs, the end is set all the same and comes right after the start. */
static void kill_task(struct driver_task *task, int signal, int64_t timeout_ns)
{
	struct mock_task *t = task_of(task);
	int64_t wait = t->config.kill_after < timeout_ns ? t->config.kill_after : timeout_ns;
	int64_t end = after(unix_ns(), wait);

	(void)signal;
	t->end_ns = end < t->end_ns ? end : t->end_ns;
	wait_for_next(t);
}

static int answer_later(struct mock_task *t, const struct answer *what)
{
	struct answer *a = malloc(sizeof(*a));

	if (a == NULL) {
		return ERR_NOMEM;
	}
	*a = *what;
	list_insert(&t->answers, &a->link);
	wait_for_next(t);
	return 0;
}

static int signal_task(struct driver_task *task, int signal, driver_signal_cb cb, void *ctx)
{
	struct answer a = {.signal_cb = cb, .ctx = ctx};

	(void)signal;
	return answer_later(task_of(task), &a);
}

static int stats(struct driver_task *task, driver_stats_cb cb, void *ctx)
{
	struct answer a = {.stats_cb = cb, .ctx = ctx};

	return answer_later(task_of(task), &a);
}

/* ---- commands ---- */

struct mock_run {
	uv_timer_t timer;
	struct driver_host *host;
	struct driver_command *cmd; /* NULL: forgotten. */
	struct driver_command_end end;
};

static void run_closed(uv_handle_t *handle)
{
	struct mock_run *r = CONTAINER_OF(handle, struct mock_run, timer);
	struct driver_host *host = r->host;

	free(r);
	driver_host_left(host);
}

static void run_over(uv_timer_t *timer)
{
	struct mock_run *r = CONTAINER_OF(timer, struct mock_run, timer);

	uv_close((uv_handle_t *)timer, run_closed);
	driver_command_over(r->cmd, &r->end);
}

/* What a pipe does not take at once nobody gets. */
static void say(int fd, const char *text)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && write(fd, text, strlen(text)) < 0) {
		/* As it was said. */
	}
}

static int command(struct driver_task *task, struct driver_command *cmd, const int fds[3], struct driver_error *error)
{
	const struct mock_command *c = task_of(task)->config.exec_command;
	struct mock_run *r = calloc(1, sizeof(*r));

	if (r == NULL || c == NULL) {
		free(r);
		return driver_fault(error, c == NULL ? "the task's config has no exec_command" : "out of memory");
	}
	r->host = task->host;
	r->host->holders++;
	r->cmd = cmd;
	r->end.code = (int)c->exit_code;
	r->end.signal = (int)c->exit_signal;
	snprintf(r->end.error, sizeof(r->end.error), "%s", c->exit_err_msg);
	say(fds[1], c->stdout_string);
	say(fds[2], c->stderr_string);
	uv_timer_init(r->host->loop, &r->timer);
	uv_timer_start(&r->timer, run_over, (uint64_t)(c->run_for > 0 ? c->run_for / 1000000 : 0), 0);
	cmd->inner = r;
	return 0;
}

static void command_kill(struct driver_task *task, struct driver_command *cmd)
{
	struct mock_run *r = cmd->inner;

	(void)task;
	r->cmd = NULL;
	uv_close((uv_handle_t *)&r->timer, run_closed);
}

const struct driver driver_mock = {
	.name = "mock_driver",
	.capabilities = DRIVER_SEND_SIGNALS | DRIVER_EXEC,
	.kill_signal = "SIGINT",
	.configure = configure,
	.enabled = enabled,
	.fingerprint = fingerprint,
	.validate = validate,
	.start = start,
	.recover = recover,
	.save = save,
	.kill = kill_task,
	.signal = signal_task,
	.stats = stats,
	.command = command,
	.command_kill = command_kill,
	.destroy = let_go,
	.detach = let_go,
};
