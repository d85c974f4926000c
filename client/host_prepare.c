/*
 * What must be there before a task starts: its allocation's directory, its environment, its hooks. Workers make them;
 * what they need stands in jobs of their own.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/allocdir.h"
#include "client/carry.h"
#include "client/client_int.h"
#include "client/hooks.h"
#include "client/host_int.h"
#include "client/migrate.h"
#include "lib/log.h"
#include "proto/error.h"

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
	struct migrate_source source;  /* Where data of another node's can be had. */
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

/* Without it the allocation runs all the same: data that must not be lost does not belong here. */
static void fetch_data(struct setup_job *job)
{
	const struct client *c = job->alloc->client;
	int dir = allocdir_open(c->config->alloc_dir, job->alloc->id);
	char why[CARRY_WHY] = "its directory cannot be opened";

	if (dir < 0 || carry_fetch(dir, job->source.url, job->source.token, c->config, &c->canceled, why) != 0) {
		log_warn("client", "allocation %s goes without the data of the one before: %s: %s", job->alloc->id, job->source.url,
		         why);
	}
	if (dir >= 0) {
		close(dir);
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
	if (job->rc == 0 && job->source.url[0] != '\0') {
		fetch_data(job);
	}
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

/* Whose the task's directories are. */
static const char *user_of(const struct task *task)
{
	const struct driver *driver = driver_find(task->driver);

	return task->user[0] != '\0' || driver == NULL ? task->user : driver->default_user;
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
		job->tasks[i] = (struct allocdir_task){.name = group->tasks.at[i].name, .user = user_of(&group->tasks.at[i])};
	}
	job->item = (struct work_item){.work_cb = setup_work_cb, .done_cb = setup_done_cb};
	job->alloc = ca;
	job->spec = alloc_spec_ref(ca->ar.spec);
	job->previous = heir_of(ca);
	job->source = *migrate_source(ca);
	return job;
}

void host_setup(struct alloc_runner *ar)
{
	struct client_alloc *ca = alloc_of(ar);
	struct setup_job *job = setup_job_new(ca);

	if (job == NULL) {
		ca->setup_failed = true;
		host_make_ready(ca);
		return;
	}
	ca->jobs++;
	if (job->previous != NULL) {
		job->previous->jobs++;
	}
	work_put(&ca->client->work, &job->item, job->source.url[0] != '\0' ? WORK_SLOW : WORK_QUICK);
}

/* ---- the environment ---- */

static bool has_own_root(const struct task *task)
{
	const struct driver *driver = driver_find(task->driver);

	return driver != NULL && (driver->capabilities & DRIVER_ROOT) != 0;
}

int host_make_env(struct task_runner *tr, const char *dir, struct task_env *out, struct arena *mem)
{
	struct client *c = client_of(tr);
	struct task_env_args args = {.alloc = &tr->alloc->spec->alloc,
	                             .group = tr->alloc->spec->group,
	                             .task = tr->task,
	                             .node_vars = c->node_vars,
	                             .datacenter = c->node.datacenter,
	                             .region = c->config->region,
	                             .more = &task_of(tr)->template_vars};

	if (has_own_root(tr->task)) {
		args.alloc_dir = "/alloc";
		args.task_dir = "/local";
		args.secrets_dir = "/secrets";
	} else {
		args.alloc_dir = arena_printf(mem, "%s/alloc", dir);
		args.task_dir = arena_printf(mem, "%s/%s/local", dir, tr->task->name);
		args.secrets_dir = arena_printf(mem, "%s/%s/secrets", dir, tr->task->name);
	}
	return task_env_make(&args, out, mem);
}

int host_env(struct task_runner *tr, struct task_env *out, struct arena *mem)
{
	const char *dir = host_alloc_dir(alloc_of(tr->alloc), mem);

	return dir == NULL ? ERR_NOMEM : host_make_env(tr, dir, out, mem);
}

/* ---- hooks ---- */

static void prepare_work_cb(struct work_item *item)
{
	struct prepare_job *job = CONTAINER_OF(item, struct prepare_job, item);

	hooks_run(&job->plan, &job->outcome, &job->mem);
}

int host_keep_vars(struct client_task *task, const struct map *vars)
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

void host_job_free(struct prepare_job *job)
{
	arena_close(&job->mem);
	alloc_spec_unref(job->spec);
	free(job);
}

void host_job_begin(struct prepare_job *job, void (*done_cb)(struct work_item *item))
{
	struct client *c = job->alloc->client;
	bool slow = hooks_slow(job->plan.task, job->plan.fetch);

	job->item = (struct work_item){.work_cb = prepare_work_cb, .done_cb = done_cb};
	job->alloc->jobs++;
	atomic_store(&job->canceled, c->stopping);
	work_put(&c->work, &job->item, slow ? WORK_SLOW : WORK_QUICK);
}

static void prepare_done_cb(struct work_item *item)
{
	struct prepare_job *job = CONTAINER_OF(item, struct prepare_job, item);
	struct client_alloc *ca = job->alloc;
	struct client_task *task = &ca->tasks[job->task];
	struct task_runner *tr = &ca->ar.tasks[job->task];
	struct task_failure failure = job->outcome.failure;
	bool failed = job->outcome.failed;
	struct moment now = client_now(ca->client);
	bool lacks = false;

	ca->jobs--;
	task->job = NULL;
	if (!failed) {
		task->hooks_done = true;
		failure.text = NULL;
		lacks = !task_runner_stopping(tr) && host_render_lacks(tr, job, &failure);
		failed = failure.text != NULL;
	}
	if (!failed && !lacks && host_keep_vars(task, &job->outcome.vars) != 0) {
		failure = (struct task_failure){
		        .kind = TASK_EVENT_HOOK_FAILED, .text = "out of memory", .recoverable = true};
		failed = true;
	}
	if (!lacks) {
		alloc_runner_prepared(tr, failed ? &failure : NULL, &now);
	}
	host_job_free(job);
}

/* What the cluster has told so far. */
static struct template_data *data_for(struct task_runner *tr, struct arena *mem)
{
	struct template_data *data = arena_calloc(mem, 1, sizeof(*data));

	if (data == NULL || live_answers(&task_of(tr)->live, &data->known, &data->n_known, mem) != 0) {
		return NULL;
	}
	data->namespace_ = tr->alloc->spec->alloc.namespace_;
	data->region = client_of(tr)->config->region;
	data->mem = mem;
	if (client_of(tr)->config->acl_enabled) {
		data->workload = arena_printf(mem, "%s/%s", alloc_of(tr->alloc)->id, tr->task->name);
		return data->workload != NULL ? data : NULL;
	}
	return data;
}

struct prepare_job *host_job_new(struct task_runner *tr, bool again)
{
	struct client_alloc *ca = alloc_of(tr->alloc);
	struct prepare_job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		return NULL;
	}
	job->alloc = ca;
	job->spec = alloc_spec_ref(ca->ar.spec);
	job->task = (uint32_t)(tr - ca->ar.tasks);
	job->plan = (struct hook_plan){.alloc_root = ca->client->config->alloc_dir,
	                               .alloc_id = ca->id,
	                               .alloc_path = host_alloc_dir(ca, &job->mem),
	                               .task = tr->task,
	                               .payload = ca->ar.spec->alloc.job->payload,
	                               .fetch = !again && !task_of(tr)->hooks_done,
	                               .again = again,
	                               .data = data_for(tr, &job->mem),
	                               .canceled = &job->canceled};
	if (job->plan.alloc_path == NULL || job->plan.data == NULL ||
	    host_make_env(tr, job->plan.alloc_path, &job->plan.env, &job->mem) != 0) {
		host_job_free(job);
		return NULL;
	}
	return job;
}

void host_prepare_begin(struct task_runner *tr)
{
	struct client_task *task = task_of(tr);

	task->job = host_job_new(tr, false);
	if (task->job == NULL) {
		host_answer_later(tr, READY_PREPARE_FAILED);
	} else {
		host_job_begin(task->job, prepare_done_cb);
	}
}

void host_prepare(struct task_runner *tr)
{
	bool fetch = !task_of(tr)->hooks_done;
	struct moment now = client_now(client_of(tr));

	if (!hooks_needed(tr->task, fetch)) {
		host_answer_later(tr, READY_PREPARED);
		return;
	}
	if (hooks_slow(tr->task, fetch)) {
		task_runner_event(tr, TASK_EVENT_DOWNLOADING, "", &now);
	}
	if (host_render_reset(tr)) {
		host_prepare_begin(tr);
	}
}

void host_cancel_prepare(struct client_task *task)
{
	if (task->job != NULL) {
		atomic_store(&task->job->canceled, true);
	}
}
