/*
 * What the alloc runners ask for, carried out: directories and hooks by workers, tasks by drivers.
 *
 * Runners want their answers later, never from inside the question. What needs no work at all is put on the client's
 * `ready` list and answered at the end of the turn; so a task without hooks goes from its allocation's arrival to its
 * driver without waiting for anything but the making of its directory.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "client/allocdir.h"
#include "client/client_int.h"
#include "client/hooks.h"
#include "lib/log.h"
#include "proto/error.h"

enum {
	DESTROY_ENTRIES = 2000,
	COLLECT_MAX = 50,    /* Ended allocations that stay, unless the configuration says otherwise. */
	COLLECT_SOONER = 10, /* So many times that many do not stay even while others are being started. */
};

/* Removing directories makes file systems slow at making others (ext4 does not reuse an inode for seconds, and looks at
 * each): it waits until nothing was started for a while. */
#define COLLECT_QUIET_NS (10 * NS_PER_S)

#define MIB (INT64_C(1) << 20)

static const struct alloc_ops ops;

static struct client *client_of(struct task_runner *tr)
{
	return alloc_of(tr->alloc)->client;
}

/* ---- the table of allocations ---- */

static struct client_alloc **bucket(const struct client *c, const char *id)
{
	return (struct client_alloc **)&c->buckets[XXH3_64bits(id, strlen(id)) % CLIENT_BUCKETS];
}

struct client_alloc *client_find(const struct client *c, const char *id)
{
	struct client_alloc *ca = *bucket(c, id);

	while (ca != NULL && strcmp(ca->id, id) != 0) {
		ca = ca->next;
	}
	return ca;
}

static void table_add(struct client *c, struct client_alloc *ca)
{
	struct client_alloc **head = bucket(c, ca->id);

	ca->next = *head;
	*head = ca;
	list_insert(&c->allocs, &ca->link);
	c->n_allocs++;
}

static void table_remove(struct client *c, struct client_alloc *ca)
{
	struct client_alloc **at = bucket(c, ca->id);

	while (*at != ca) {
		at = &(*at)->next;
	}
	*at = ca->next;
	list_remove(&ca->link);
	c->n_allocs--;
}

/* ---- answers without work ---- */

static void make_ready(struct client_alloc *ca)
{
	if (list_empty(&ca->ready)) {
		list_insert(&ca->client->ready, &ca->ready);
	}
}

static void answer_later(struct task_runner *tr, enum ready ready)
{
	task_of(tr)->ready = ready;
	make_ready(alloc_of(tr->alloc));
}

static void fail_later(struct task_runner *tr, enum task_event_kind kind, const char *text, bool recoverable)
{
	struct client_task *task = task_of(tr);

	free(task->failure_text);
	task->failure_text = strdup(text);
	task->failure = (struct task_failure){.kind = kind,
	                                      .text = task->failure_text == NULL ? "out of memory" : task->failure_text,
	                                      .recoverable = recoverable};
	answer_later(tr, READY_START_FAILED);
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

static void await_previous(struct alloc_runner *ar)
{
	alloc_of(ar)->ask_previous = true;
	make_ready(alloc_of(ar));
}

static void answer_previous(struct client_alloc *ca)
{
	struct moment now;

	ca->ask_previous = false;
	list_remove(&ca->waiting);
	if (must_wait(ca)) {
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
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, waiting);

		ca->ask_previous = true;
		make_ready(ca);
	}
}

/* ---- directories ---- */

const char *host_alloc_dir(const struct client_alloc *ca, struct arena *mem)
{
	return arena_printf(mem, "%s/%s", ca->client->config->alloc_dir, ca->id);
}

struct setup_job {
	struct work_item item;
	struct client_alloc *alloc;
	struct alloc_spec *spec;
	struct allocdir_task *tasks;
	struct client_alloc *previous; /* Whose data is taken over; NULL: nobody's. */
	int rc;
	char error[ALLOCDIR_TEXT];
};

/* Move data that is to stay with its group: what was made just now and is empty gives way. */
static void take_over(const char *root, const char *from, const char *to, const char *below)
{
	char source[4096];
	char target[4096];

	snprintf(source, sizeof(source), "%s/%s/%s", root, from, below);
	snprintf(target, sizeof(target), "%s/%s/%s", root, to, below);
	if (rename(source, target) != 0) {
		log_debug("client", "%s is not taken over", source);
	}
}

static void setup_work_cb(struct work_item *item)
{
	struct setup_job *job = CONTAINER_OF(item, struct setup_job, item);
	const struct client_config *config = job->alloc->client->config;
	const struct task_group *group = job->spec->group;
	struct allocdir_spec spec = {.root = config->alloc_dir,
	                             .alloc_id = job->alloc->id,
	                             .tasks = job->tasks,
	                             .tasks_n = group->tasks.n};
	char below[512];
	uint32_t i;

	job->rc = allocdir_build(&spec, job->error);
	if (job->rc != 0 || job->previous == NULL) {
		return;
	}
	take_over(config->alloc_dir, job->previous->id, job->alloc->id, "alloc/data");
	for (i = 0; i < group->tasks.n; i++) {
		snprintf(below, sizeof(below), "%s/local", group->tasks.at[i].name);
		take_over(config->alloc_dir, job->previous->id, job->alloc->id, below);
	}
}

static void setup_done_cb(struct work_item *item)
{
	struct setup_job *job = CONTAINER_OF(item, struct setup_job, item);
	struct client_alloc *ca = job->alloc;
	struct moment now = client_now(ca->client);

	ca->jobs--;
	if (job->previous != NULL) {
		job->previous->jobs--;
	}
	if (job->rc != 0) {
		char text[ALLOCDIR_TEXT + 64];

		snprintf(text, sizeof(text), "failed to setup alloc: %s", job->error);
		alloc_runner_set_up(&ca->ar, text, &now);
	} else {
		alloc_runner_set_up(&ca->ar, NULL, &now);
	}
	alloc_spec_unref(job->spec);
	free(job->tasks);
	free(job);
}

/* The ended allocation on this node whose data the new one inherits, if its group wants that. */
static struct client_alloc *heir_of(struct client_alloc *ca)
{
	const struct ephemeral_disk *disk = ca->ar.spec->group->ephemeral_disk;
	struct client_alloc *previous;

	if (disk == NULL || !disk->sticky) {
		return NULL;
	}
	previous = client_find(ca->client, ca->ar.spec->alloc.previous_allocation);
	return previous == NULL || previous->destroying ? NULL : previous;
}

static struct setup_job *setup_job_new(struct client_alloc *ca)
{
	const struct task_group *group = ca->ar.spec->group;
	struct setup_job *job = calloc(1, sizeof(*job));
	uint32_t i;

	if (job == NULL) {
		return NULL;
	}
	job->tasks = calloc(group->tasks.n, sizeof(job->tasks[0]));
	if (job->tasks == NULL) {
		free(job);
		return NULL;
	}
	for (i = 0; i < group->tasks.n; i++) {
		job->tasks[i] = (struct allocdir_task){.name = group->tasks.at[i].name, .user = group->tasks.at[i].user};
	}
	job->item = (struct work_item){.work_cb = setup_work_cb, .done_cb = setup_done_cb};
	job->alloc = ca;
	job->spec = alloc_spec_ref(ca->ar.spec);
	job->previous = heir_of(ca);
	return job;
}

static void setup(struct alloc_runner *ar)
{
	struct client_alloc *ca = alloc_of(ar);
	struct setup_job *job = setup_job_new(ca);

	if (job == NULL) {
		ca->setup_failed = true;
		make_ready(ca);
		return;
	}
	ca->jobs++;
	if (job->previous != NULL) {
		job->previous->jobs++;
	}
	work_put(&ca->client->work, &job->item, WORK_QUICK);
}

/* ---- the environment ---- */

/* Everything a task is told about itself; `dir` is its allocation's. */
static int make_env(struct task_runner *tr, const char *dir, struct task_env *out, struct arena *mem)
{
	struct client *c = client_of(tr);
	struct task_env_args args = {.alloc = &tr->alloc->spec->alloc,
	                             .group = tr->alloc->spec->group,
	                             .task = tr->task,
	                             .node_vars = &c->node_vars,
	                             .datacenter = c->node.datacenter,
	                             .region = c->config->region,
	                             .more = &task_of(tr)->template_vars};

	args.alloc_dir = arena_printf(mem, "%s/alloc", dir);
	args.task_dir = arena_printf(mem, "%s/%s/local", dir, tr->task->name);
	args.secrets_dir = arena_printf(mem, "%s/%s/secrets", dir, tr->task->name);
	return task_env_make(&args, out, mem);
}

int host_env(struct task_runner *tr, struct task_env *out, struct arena *mem)
{
	const char *dir = host_alloc_dir(alloc_of(tr->alloc), mem);

	return dir == NULL ? ERR_NOMEM : make_env(tr, dir, out, mem);
}

/* ---- hooks ---- */

struct prepare_job {
	struct work_item item;
	struct client_alloc *alloc;
	struct alloc_spec *spec; /* The plan points into it. */
	uint32_t task;
	struct arena mem;
	struct hook_plan plan;
	struct hook_outcome outcome;
	atomic_bool canceled;
};

static void prepare_work_cb(struct work_item *item)
{
	struct prepare_job *job = CONTAINER_OF(item, struct prepare_job, item);

	hooks_run(&job->plan, &job->outcome, &job->mem);
}

static int keep_vars(struct client_task *task, const struct map *vars)
{
	uint32_t i;

	arena_close(&task->vars_mem);
	task->template_vars = (struct map){.at = arena_calloc(&task->vars_mem, vars->n + 1, sizeof(struct pair))};
	if (task->template_vars.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < vars->n; i++) {
		struct pair *to = &task->template_vars.at[i];

		to->key = arena_strdup(&task->vars_mem, vars->at[i].key);
		to->value = arena_strdup(&task->vars_mem, vars->at[i].value);
		if (to->key == NULL || to->value == NULL) {
			return ERR_NOMEM;
		}
		task->template_vars.n++;
	}
	return 0;
}

static void prepare_done_cb(struct work_item *item)
{
	static const struct task_failure no_memory = {
	        .kind = TASK_EVENT_HOOK_FAILED, .text = "out of memory", .recoverable = true};
	struct prepare_job *job = CONTAINER_OF(item, struct prepare_job, item);
	struct client_alloc *ca = job->alloc;
	struct client_task *task = &ca->tasks[job->task];
	const struct task_failure *failure = job->outcome.failed ? &job->outcome.failure : NULL;
	struct moment now = client_now(ca->client);

	ca->jobs--;
	task->job = NULL;
	if (failure == NULL) {
		task->hooks_done = true;
		failure = keep_vars(task, &job->outcome.vars) != 0 ? &no_memory : NULL;
	}
	alloc_runner_prepared(&ca->ar.tasks[job->task], failure, &now);
	arena_close(&job->mem);
	alloc_spec_unref(job->spec);
	free(job);
}

static struct prepare_job *prepare_job_new(struct task_runner *tr)
{
	struct client_alloc *ca = alloc_of(tr->alloc);
	struct prepare_job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		return NULL;
	}
	job->item = (struct work_item){.work_cb = prepare_work_cb, .done_cb = prepare_done_cb};
	job->alloc = ca;
	job->spec = alloc_spec_ref(ca->ar.spec);
	job->task = (uint32_t)(tr - ca->ar.tasks);
	job->plan = (struct hook_plan){.alloc_root = ca->client->config->alloc_dir,
	                               .alloc_id = ca->id,
	                               .alloc_path = host_alloc_dir(ca, &job->mem),
	                               .task = tr->task,
	                               .payload = ca->ar.spec->alloc.job->payload,
	                               .fetch = !task_of(tr)->hooks_done,
	                               .canceled = &job->canceled};
	if (job->plan.alloc_path == NULL || make_env(tr, job->plan.alloc_path, &job->plan.env, &job->mem) != 0) {
		arena_close(&job->mem);
		alloc_spec_unref(job->spec);
		free(job);
		return NULL;
	}
	return job;
}

static void prepare(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);
	bool fetch = !task->hooks_done;
	struct moment now = client_now(client_of(tr));

	if (!hooks_needed(tr->task, fetch)) {
		answer_later(tr, READY_PREPARED);
		return;
	}
	if (hooks_slow(tr->task, fetch)) {
		task_runner_event(tr, TASK_EVENT_DOWNLOADING, "", &now);
	}
	task->job = prepare_job_new(tr);
	if (task->job == NULL) {
		answer_later(tr, READY_PREPARE_FAILED);
		return;
	}
	alloc_of(tr->alloc)->jobs++;
	atomic_store(&task->job->canceled, client_of(tr)->stopping);
	work_put(&client_of(tr)->work, &task->job->item, hooks_slow(tr->task, fetch) ? WORK_SLOW : WORK_QUICK);
}

static void drop_driver(struct client_task *task)
{
	if (task->driver != NULL) {
		stats_lost(task);
		driver_destroy(task->driver);
		task->driver = NULL;
	}
	task->ended = false;
}

static void cancel(struct task_runner *tr, bool now)
{
	struct client_task *task = task_of(tr);

	if (task->job != NULL) {
		atomic_store(&task->job->canceled, true);
	} else if (task->driver != NULL && task->driver->state == DRIVER_STARTING) {
		if (now) {
			drop_driver(task);
			fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "killed while it was being started", false);
		} else {
			(void)driver_kill(task->driver, "", 0);
		}
	}
}

/* ---- drivers ---- */

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
	drop_driver(task_of(tr));
}

static const struct driver_events start_events = {.started_cb = started_cb, .exited_cb = exited_cb};

static void recovered_cb(void *ctx, struct driver_task *driver, const struct driver_error *error)
{
	struct client_alloc *ca = ctx;
	struct task_runner *tr = runner_of(ca, driver);
	struct moment now = client_now(ca->client);

	if (error != NULL) {
		log_warn("client", "task %s of allocation %s was not found again: %s", tr->task->name, ca->id, error->text);
		drop_driver(task_of(tr));
	}
	alloc_runner_adopted(tr, error == NULL, &now);
}

static const struct driver_events recover_events = {.started_cb = recovered_cb, .exited_cb = exited_cb};

static void adopt(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);
	struct client *c = client_of(tr);
	const struct driver *driver = driver_find(tr->task->driver);

	if (driver != NULL && driver_enabled(c->drivers, driver)) {
		task->driver = driver_recover(c->drivers, driver, task->handle, task->handle_len, &recover_events,
		                              alloc_of(tr->alloc));
	}
	if (task->driver == NULL) {
		answer_later(tr, READY_ADOPT_FAILED);
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
		fail_later(tr, TASK_EVENT_DRIVER_FAILURE, text, false);
		return NULL;
	}
	if (driver->validate != NULL && driver->validate(config, &error) != 0) {
		snprintf(text, sizeof(text), "failed to parse config: %s", error.text);
		fail_later(tr, TASK_EVENT_VALIDATION_FAILED, text, false);
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

/* Fill the specification that a driver is told; false when memory is exhausted. */
static bool make_spec(struct task_runner *tr, struct driver_spec *spec, struct arena *mem)
{
	struct client_alloc *ca = alloc_of(tr->alloc);
	const char *dir = host_alloc_dir(ca, mem);
	struct task_env env;

	if (dir == NULL || make_env(tr, dir, &env, mem) != 0 || task_env_list(&env, &spec->env, &spec->env_n, mem) != 0) {
		return false;
	}
	spec->alloc_id = ca->id;
	spec->task_name = tr->task->name;
	spec->config = task_env_replace_json(&env, tr->task->config, mem);
	spec->user = task_env_replace(&env, tr->task->user, mem);
	spec->task_dir = arena_printf(mem, "%s/%s", dir, tr->task->name);
	spec->state_dir = arena_printf(mem, "%s/%s/private", dir, tr->task->name);
	spec->log_dir = arena_printf(mem, "%s/alloc/logs", dir);
	spec->stdout_name = arena_printf(mem, "%s.stdout", tr->task->name);
	spec->stderr_name = arena_printf(mem, "%s.stderr", tr->task->name);
	set_limits(tr, spec);
	return spec->config != NULL && spec->user != NULL && spec->task_dir != NULL && spec->state_dir != NULL &&
	       spec->log_dir != NULL && spec->stdout_name != NULL && spec->stderr_name != NULL;
}

static void start(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);
	struct driver_spec spec = {.alloc_id = ""};
	const struct driver *driver;
	struct arena mem = {0};

	drop_driver(task);
	if (!make_spec(tr, &spec, &mem)) {
		fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "out of memory", true);
	} else if ((driver = usable_driver(tr, spec.config)) != NULL) {
		task->driver = driver_start(client_of(tr)->drivers, driver, &spec, &start_events, alloc_of(tr->alloc));
		if (task->driver == NULL) {
			fail_later(tr, TASK_EVENT_DRIVER_FAILURE, "out of memory", true);
		}
	}
	arena_close(&mem);
}

static void kill_task(struct task_runner *tr, const char *signal, int64_t timeout_ns)
{
	struct driver_task *driver = task_of(tr)->driver;

	/* A signal that the driver does not know must not keep a task alive. */
	if (driver_kill(driver, signal, timeout_ns) != 0) {
		(void)driver_kill(driver, "", timeout_ns);
	}
}

static void signal_task(struct task_runner *tr, const char *signal)
{
	int rc = driver_signal(task_of(tr)->driver, signal, NULL, NULL);

	if (rc != 0) {
		log_warn("client", "%s to task %s: %s", signal, tr->task->name, error_text(rc));
	}
}

/* ---- changes ---- */

/* What the servers have forgotten need not stay. */
static void collect_soon(struct client_alloc *ca)
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
	collect_soon(ca);
}

static void changed(struct alloc_runner *ar)
{
	struct client_alloc *ca = alloc_of(ar);

	reports_add(ca);
	saver_add(ca);
	checks_look(ca);
	if (alloc_runner_dead(ar) && !ca->ended) {
		ca->ended = true;
		ask_again(ca->client);
		collect_soon(ca);
	}
}

static const struct alloc_ops ops = {
        .await_previous = await_previous,
        .setup = setup,
        .adopt = adopt,
        .prepare = prepare,
        .cancel = cancel,
        .start = start,
        .kill = kill_task,
        .signal = signal_task,
        .changed = changed,
};

void host_dispose(struct client_alloc *ca)
{
	ca->gone = ca->gone || alloc_runner_dead(&ca->ar);
	collect_soon(ca);
}

/* A driver keeps its records of an ended task until the end is in our own. */
void host_saved(struct client_alloc *ca)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		if (ca->tasks[i].ended && list_empty(&ca->save)) {
			drop_driver(&ca->tasks[i]);
		}
	}
	collect_soon(ca);
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
		alloc_runner_adopted(&ca->ar.tasks[i], false, &now);
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

/* ---- begin and end of an allocation ---- */

static struct client_alloc *alloc_new(struct client *c, const struct alloc_spec *spec)
{
	struct client_alloc *ca = calloc(1, sizeof(*ca));
	uint32_t i;

	if (ca == NULL) {
		return NULL;
	}
	ca->tasks = calloc(spec->group->tasks.n, sizeof(ca->tasks[0]));
	if (ca->tasks == NULL) {
		free(ca);
		return NULL;
	}
	for (i = 0; i < spec->group->tasks.n; i++) {
		list_init(&ca->tasks[i].stats);
	}
	ca->client = c;
	snprintf(ca->id, sizeof(ca->id), "%s", spec->alloc.id);
	list_init(&ca->link);
	list_init(&ca->ready);
	list_init(&ca->waiting);
	list_init(&ca->report);
	list_init(&ca->save);
	return ca;
}

static void alloc_free(struct client_alloc *ca)
{
	uint32_t i;

	checks_forget(ca);
	for (i = 0; i < ca->ar.n; i++) {
		assert(ca->tasks[i].driver == NULL && ca->tasks[i].job == NULL);
		free(ca->tasks[i].handle);
		free(ca->tasks[i].failure_text);
		arena_close(&ca->tasks[i].vars_mem);
	}
	list_remove(&ca->ready);
	list_remove(&ca->waiting);
	list_remove(&ca->report);
	list_remove(&ca->save);
	alloc_runner_close(&ca->ar);
	free(ca->tasks);
	free(ca);
}

static int64_t max_kill_timeout_ns(const struct client *c)
{
	return c->config->max_kill_timeout_ns > 0 ? c->config->max_kill_timeout_ns : 30 * NS_PER_S;
}

void host_begin(struct client_alloc *ca)
{
	struct moment now = client_now(ca->client);

	alloc_runner_begin(&ca->ar, &now);
}

struct client_alloc *host_add(struct client *c, struct alloc_spec *spec)
{
	struct moment now = client_now(c);
	struct uuid uuid;
	struct client_alloc *ca;
	uint32_t i;

	/* Names become directories. */
	for (i = 0; i < spec->group->tasks.n; i++) {
		if (!allocdir_name_ok(spec->group->tasks.at[i].name)) {
			log_warn("client", "allocation %s has a task whose name is no file's", spec->alloc.id);
			return NULL;
		}
	}
	ca = !uuid_parse(spec->alloc.id, strlen(spec->alloc.id), &uuid) ? NULL : alloc_new(c, spec);
	if (ca == NULL) {
		return NULL;
	}
	if (alloc_runner_init(&ca->ar, &ops, spec, max_kill_timeout_ns(c), &now) != 0) {
		free(ca->tasks);
		free(ca);
		return NULL;
	}
	table_add(c, ca);
	c->last_added = client_time(c);
	host_begin(ca);
	return ca;
}

static const struct saved_task *saved_of(const struct saved_alloc *saved, const char *name)
{
	uint32_t i;

	for (i = 0; i < saved->tasks.n; i++) {
		if (strcmp(saved->tasks.at[i].name, name) == 0) {
			return &saved->tasks.at[i];
		}
	}
	return NULL;
}

/* What the task's driver needs to find it again. */
static void take_saved(struct client_task *task, const struct saved_task *saved)
{
	task->hooks_done = saved->hooks_done;
	if (saved->handle.n == 0) {
		return;
	}
	task->handle = malloc(saved->handle.n);
	if (task->handle != NULL) {
		memcpy(task->handle, saved->handle.at, saved->handle.n);
		task->handle_len = saved->handle.n;
	}
}

static struct client_alloc *restore(struct client *c, const struct saved_alloc *saved, struct alloc_spec *spec)
{
	struct moment now = client_now(c);
	struct client_alloc *ca = alloc_new(c, spec);
	uint32_t i;

	for (i = 0; ca != NULL && i < spec->group->tasks.n; i++) {
		const struct saved_task *task = saved_of(saved, spec->group->tasks.at[i].name);

		if (task != NULL) {
			take_saved(&ca->tasks[i], task);
		}
	}
	if (ca != NULL && alloc_runner_restore(&ca->ar, &ops, spec, max_kill_timeout_ns(c), saved, &now) != 0) {
		ca->ar.n = spec->group->tasks.n;
		alloc_free(ca);
		ca = NULL;
	}
	return ca;
}

void host_restore(struct client *c, struct saved_alloc *saved, struct arena *mem)
{
	struct alloc_source *source = alloc_source_new();
	struct alloc_spec *spec = NULL;
	struct client_alloc *ca = NULL;

	if (source == NULL) {
		arena_close(mem);
	} else {
		source->mem = *mem;
		spec = alloc_spec_make(saved->alloc, source);
		alloc_source_unref(source);
	}
	if (spec != NULL) {
		ca = restore(c, saved, spec);
		alloc_spec_unref(spec);
	}
	if (ca == NULL) {
		log_warn("client", "an allocation of an earlier agent could not be restored");
		return;
	}
	table_add(c, ca);
}

/* ---- removing what has ended ---- */

struct destroy_job {
	struct work_item item;
	struct client_alloc *alloc;
	int rc;
	char error[ALLOCDIR_TEXT];
};

static void destroy_work_cb(struct work_item *item)
{
	struct destroy_job *job = CONTAINER_OF(item, struct destroy_job, item);
	const struct client *c = job->alloc->client;

	job->rc = allocdir_destroy(c->config->alloc_dir, job->alloc->id, DESTROY_ENTRIES, job->error);
	if (job->rc != ERR_BUSY) {
		(void)state_remove(&c->store, job->alloc->id);
	}
}

static void destroy_done_cb(struct work_item *item)
{
	struct destroy_job *job = CONTAINER_OF(item, struct destroy_job, item);
	struct client_alloc *ca = job->alloc;
	struct client *c = ca->client;

	if (job->rc == ERR_BUSY && !c->stopping) {
		work_put(&c->work, &job->item, WORK_QUICK); /* Others first. */
		return;
	}
	if (job->rc != 0 && job->rc != ERR_BUSY) {
		log_warn("client", "the directory of allocation %s: %s", ca->id, job->error);
	}
	ca->jobs--;
	free(job);
	table_remove(c, ca);
	alloc_free(ca);
	c->collecting = false;
	c->collect_due = client_time(c);
}

static void destroy(struct client_alloc *ca)
{
	struct destroy_job *job = calloc(1, sizeof(*job));
	uint32_t i;

	if (job == NULL) {
		return;
	}
	for (i = 0; i < ca->ar.n; i++) {
		drop_driver(&ca->tasks[i]);
	}
	list_remove(&ca->save);
	list_remove(&ca->report);
	ca->destroying = true;
	ca->jobs++;
	ca->client->collecting = true;
	job->item = (struct work_item){.work_cb = destroy_work_cb, .done_cb = destroy_done_cb};
	job->alloc = ca;
	work_put(&ca->client->work, &job->item, WORK_QUICK);
}

/* It has ended, the servers know that, and nothing is under way for it. */
static bool collectable(const struct client_alloc *ca)
{
	return alloc_runner_dead(&ca->ar) && ca->jobs == 0 && !ca->destroying && list_empty(&ca->save) &&
	       (ca->gone || list_empty(&ca->report));
}

void host_collect(struct client *c)
{
	uint32_t most = (uint32_t)(c->config->gc_max_allocs > 0 ? c->config->gc_max_allocs : COLLECT_MAX);
	struct client_alloc *oldest = NULL;
	uint32_t ended = 0;
	bool quiet;

	c->collect_due = client_time(c) + COLLECT_EVERY_NS;
	if (c->collecting || c->stopping) {
		return;
	}
	quiet = client_time(c) - c->last_added > COLLECT_QUIET_NS;
	LIST_EACH(e, &c->allocs) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, link);

		ended += alloc_runner_dead(&ca->ar);
		if (collectable(ca) && (oldest == NULL || (ca->gone && !oldest->gone))) {
			oldest = ca;
		}
	}
	if (oldest != NULL && (oldest->gone || ended > COLLECT_SOONER * most || (quiet && ended > most))) {
		destroy(oldest);
	}
}

/* ---- the end ---- */

void host_cancel(struct client_alloc *ca)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		cancel(&ca->ar.tasks[i], false);
	}
}

static void let_go(struct client_task *task, bool end_tasks)
{
	if (task->driver == NULL) {
		return;
	}
	stats_lost(task);
	if (!end_tasks && task->driver->state == DRIVER_RUNNING) {
		driver_detach(task->driver);
	} else {
		driver_destroy(task->driver);
	}
	task->driver = NULL;
}

void host_close(struct client *c, bool end_tasks)
{
	struct list *e;
	uint32_t i;

	while ((e = c->allocs.next) != &c->allocs) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, link);

		for (i = 0; i < ca->ar.n; i++) {
			let_go(&ca->tasks[i], end_tasks);
		}
		table_remove(c, ca);
		alloc_free(ca);
	}
}
