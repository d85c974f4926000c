/* Tasks in the hands of their drivers. */
#include <string.h>

#include "client/client_int.h"
#include "client/host_int.h"
#include "lib/log.h"
#include "proto/error.h"

#define MIB (INT64_C(1) << 20)

void host_drop_driver(struct client_task *task)
{
	if (task->driver != NULL) {
		stats_lost(task);
		host_scripts_end(task);
		driver_destroy(task->driver);
		task->driver = NULL;
	}
	task->ended = false;
	task->go = GO_NOTHING;
	task->go_ns = 0;
}

static struct task_runner *runner_of(struct client_alloc *ca, const struct driver_task *driver)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		if (ca->tasks[i].driver == driver) {
			return &ca->ar.tasks[i];
		}
	}
	return NULL;
}

static void exited_cb(void *ctx, struct driver_task *driver, const struct driver_exit *exit)
{
	struct client_alloc *ca = ctx;
	struct task_runner *tr = runner_of(ca, driver);
	struct moment now = client_now(ca->client);
	struct task_exit end = {.code = exit->code,
	                        .signal = exit->signal,
	                        .oom_killed = exit->oom_killed,
	                        .finished_ns = exit->finished_ns,
	                        .error = exit->error};

	task_of(tr)->ended = true;
	alloc_runner_exited(tr, &end, &now);
}

static void ready_cb(void *ctx, struct driver_task *driver)
{
	struct client_alloc *ca = ctx;

	task_of(runner_of(ca, driver))->go = GO_WANTED;
	saver_add(ca);
}

static void said_cb(void *ctx, struct driver_task *driver, const char *text)
{
	struct client_alloc *ca = ctx;
	struct moment now = client_now(ca->client);

	alloc_runner_event(runner_of(ca, driver), TASK_EVENT_DRIVER_MESSAGE, text, &now);
}

/* What nobody would find again does not run. */
void host_written(struct task_runner *tr, int rc)
{
	struct client_task *task = task_of(tr);
	char text[128];

	task->go = GO_SAID;
	if (rc == 0) {
		driver_go(task->driver);
		return;
	}
	snprintf(text, sizeof(text), "failed to save the state of the task: %s", error_text(rc));
	host_drop_driver(task);
	host_fail_later(tr, TASK_EVENT_DRIVER_FAILURE, text, true);
}

static void started_cb(void *ctx, struct driver_task *driver, const struct driver_error *error)
{
	struct client_alloc *ca = ctx;
	struct task_runner *tr = runner_of(ca, driver);
	struct moment now = client_now(ca->client);
	struct task_failure failure = {.kind = TASK_EVENT_DRIVER_FAILURE};

	if (error == NULL) {
		alloc_runner_started(tr, NULL, &now);
		return;
	}
	failure.text = error->text;
	failure.recoverable = error->recoverable;
	alloc_runner_started(tr, &failure, &now);
	host_drop_driver(task_of(tr));
}

static const struct driver_events start_events = {
        .ready_cb = ready_cb, .said_cb = said_cb, .started_cb = started_cb, .exited_cb = exited_cb};

static void recovered_cb(void *ctx, struct driver_task *driver, const struct driver_error *error)
{
	struct client_alloc *ca = ctx;
	struct task_runner *tr = runner_of(ca, driver);
	struct moment now = client_now(ca->client);
	enum task_adopted found = ADOPTED_RUNS;

	if (error != NULL) {
		log_warn("client", "task %s of allocation %s was not found again: %s", tr->task->name, ca->id, error->text);
		found = error->never ? ADOPTED_NEVER_RAN : ADOPTED_LOST;
		host_drop_driver(task_of(tr));
	}
	alloc_runner_adopted(tr, found, &now);
	if (found == ADOPTED_RUNS) {
		host_render_adopted(tr);
	}
}

static const struct driver_events recover_events = {.started_cb = recovered_cb, .exited_cb = exited_cb};

void host_adopt(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);
	struct client *c = client_of(tr);
	const struct driver *driver = driver_find(tr->task->driver);

	if (driver != NULL && driver_enabled(c->drivers, driver)) {
		task->driver = driver_recover(c->drivers, driver, task->handle, task->handle_len, &recover_events,
		                              alloc_of(tr->alloc));
	}
	if (task->driver == NULL) {
		host_answer_later(tr, READY_ADOPT_FAILED);
	}
}

/* The driver for a task, or NULL with the reason noted. */
static const struct driver *usable_driver(struct task_runner *tr, const char *config)
{
	const struct driver *driver = driver_find(tr->task->driver);
	struct driver_error error = {.text = ""};
	char text[DRIVER_ERROR_TEXT + 64];

	if (driver == NULL || !driver_enabled(client_of(tr)->drivers, driver)) {
		snprintf(text, sizeof(text), "driver \"%.64s\" is not available on this node", tr->task->driver);
		host_fail_later(tr, TASK_EVENT_DRIVER_FAILURE, text, false);
		return NULL;
	}
	if (driver->validate != NULL && driver->validate(config, &error) != 0) {
		snprintf(text, sizeof(text), "failed to parse config: %s", error.text);
		host_fail_later(tr, TASK_EVENT_VALIDATION_FAILED, text, false);
		return NULL;
	}
	return driver;
}

static void set_limits(const struct task_runner *tr, struct driver_spec *spec)
{
	const struct resources *r = tr->task->resources;
	const struct log_config *logs = tr->task->log_config;

	spec->log_max_files = logs == NULL || logs->max_files < 1 ? 10 : logs->max_files;
	spec->log_max_file_bytes = (logs == NULL || logs->max_file_size_mb < 1 ? 10 : logs->max_file_size_mb) * MIB;
	spec->log_disabled = logs != NULL && logs->disabled;
	spec->cpu_shares = r == NULL ? 0 : r->cpu.at;
	spec->memory_mb = r == NULL ? 0 : r->memory_mb.at;
	spec->memory_max_mb = r == NULL ? 0 : r->memory_max_mb;
}

/* The processors that the servers have set aside for the task: "0,2,3". NULL when memory is exhausted. */
static const char *reserved_cpus(const struct task_runner *tr, struct arena *mem)
{
	const struct allocated_resources *r = tr->alloc->spec->alloc.allocated_resources;
	const struct allocated_cpu *cpu = NULL;
	const char *text = "";
	uint32_t i;

	for (i = 0; r != NULL && i < r->tasks.n; i++) {
		if (strcmp(r->tasks.keys[i], tr->task->name) == 0) {
			cpu = r->tasks.at[i].cpu;
		}
	}
	for (i = 0; cpu != NULL && i < cpu->reserved_cores.n && text != NULL; i++) {
		text = arena_printf(mem, "%s%s%lld", text, i > 0 ? "," : "", (long long)cpu->reserved_cores.at[i]);
	}
	return text;
}

/* Fill the specification that a driver is told; false when memory is exhausted. */
static bool make_spec(struct task_runner *tr, struct driver_spec *spec, struct arena *mem)
{
	struct client_alloc *ca = alloc_of(tr->alloc);
	const char *dir = host_alloc_dir(ca, mem);
	struct task_env env;

	if (dir == NULL || host_make_env(tr, dir, &env, mem) != 0 || task_env_list(&env, &spec->env, &spec->env_n, mem) != 0) {
		return false;
	}
	spec->alloc_id = ca->id;
	spec->task_name = tr->task->name;
	spec->config = task_env_replace_json(&env, tr->task->config, mem);
	spec->user = task_env_replace(&env, tr->task->user, mem);
	spec->task_dir = arena_printf(mem, "%s/%s", dir, tr->task->name);
	spec->state_dir = arena_printf(mem, "%s/%s/private", dir, tr->task->name);
	spec->shared_dir = arena_printf(mem, "%s/alloc", dir);
	spec->log_dir = arena_printf(mem, "%s/alloc/logs", dir);
	spec->stdout_name = arena_printf(mem, "%s.stdout", tr->task->name);
	spec->stderr_name = arena_printf(mem, "%s.stderr", tr->task->name);
	spec->cpus = reserved_cpus(tr, mem);
	set_limits(tr, spec);
	return spec->cpus != NULL && spec->shared_dir != NULL && spec->config != NULL && spec->user != NULL && spec->task_dir != NULL && spec->state_dir != NULL &&
	       spec->log_dir != NULL && spec->stdout_name != NULL && spec->stderr_name != NULL;
}

/* The records of its last run go with the start of the next; until its end is in our own they are all that tells of it. */
static bool must_wait(const struct client_task *task, const struct client_alloc *ca)
{
	return task->ended && (!list_empty(&ca->save) || ca->jobs > 0);
}

void host_start(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);
	struct driver_spec spec = {.alloc_id = ""};
	const struct driver *driver;
	struct arena mem = {0};

	task->start_due = must_wait(task, alloc_of(tr->alloc));
	if (task->start_due) {
		saver_add(alloc_of(tr->alloc));
		return;
	}
	host_drop_driver(task);
	if (!make_spec(tr, &spec, &mem)) {
		host_fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "out of memory", true);
	} else if ((driver = usable_driver(tr, spec.config)) != NULL) {
		task->driver = driver_start(client_of(tr)->drivers, driver, &spec, &start_events, alloc_of(tr->alloc));
		if (task->driver == NULL) {
			host_fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "out of memory", true);
		}
	}
	arena_close(&mem);
}

void host_kill(struct task_runner *tr, const char *signal, int64_t timeout_ns)
{
	struct driver_task *driver = task_of(tr)->driver;

	/* A signal that the driver does not know must not keep a task alive. */
	if (driver_kill(driver, signal, timeout_ns) != 0) {
		(void)driver_kill(driver, "", timeout_ns);
	}
}

void host_signal(struct task_runner *tr, const char *signal)
{
	int rc = driver_signal(task_of(tr)->driver, signal, NULL, NULL);

	if (rc != 0) {
		log_warn("client", "%s to task %s: %s", signal, tr->task->name, error_text(rc));
	}
}

void host_cancel_task(struct task_runner *tr, bool now)
{
	struct client_task *task = task_of(tr);

	if (task->job != NULL) {
		host_cancel_prepare(task);
	} else if (host_render_cancel(task)) {
		host_answer_later(tr, READY_PREPARED);
	} else if (task->start_due) {
		task->start_due = false;
		host_fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "killed before it was started", false);
	} else if (task->driver != NULL &&
		   (task->driver->state == DRIVER_STARTING || task->driver->state == DRIVER_READY)) {
		if (now) {
			host_drop_driver(task);
			host_fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "killed while it was being started", false);
		} else {
			(void)driver_kill(task->driver, "", 0);
		}
	}
}
