/* How allocations come to this node, outlive its agents, and go. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <xxhash.h>

#include "client/allocdir.h"
#include "client/client_int.h"
#include "client/host_int.h"
#include "client/migrate.h"
#include "lib/log.h"
#include "proto/error.h"

enum {
	DESTROY_ENTRIES = 2000,
	COLLECT_MAX = 50,    /* Ended allocations that stay, unless the configuration says otherwise. */
	DISK_PERCENT = 80,
	INODE_PERCENT = 70,
	PARALLEL = 2,
	COLLECT_SOONER = 10, /* So many times that many do not stay even while others are being started. */
};

/* Removing directories makes file systems slow at making others (ext4 does not reuse an inode for seconds, and looks at
 * each): it waits until nothing was started for a while. */
#define COLLECT_QUIET_NS (10 * NS_PER_S)

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
		list_init(&ca->tasks[i].scripts);
		list_init(&ca->tasks[i].live.link);
		ca->tasks[i].alloc = ca;
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
	migrate_forget(ca);
	for (i = 0; i < ca->ar.n; i++) {
		assert(ca->tasks[i].driver == NULL && ca->tasks[i].job == NULL && ca->tasks[i].render.job == NULL);
		host_render_end(&ca->tasks[i]);
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
	if (alloc_runner_init(&ca->ar, &host_ops, spec, max_kill_timeout_ns(c), &now) != 0) {
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
	if (ca != NULL && alloc_runner_restore(&ca->ar, &host_ops, spec, max_kill_timeout_ns(c), saved, &now) != 0) {
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

/* ---- what nobody remembers ---- */

/* Each directory in `path`, below which a task's executor may have left something. */
static void sweep_alloc(const char *path)
{
	char state_dir[PATH_MAX];
	DIR *d = opendir(path);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (allocdir_name_ok(e->d_name) &&
		    snprintf(state_dir, sizeof(state_dir), "%s/%s/private", path, e->d_name) < (int)sizeof(state_dir)) {
			(void)driver_sweep(state_dir);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
}

/* Tasks of allocations whose state could not be read must not run on, as nobody would ever end them. Their files stay:
 * should the servers still want the allocation it is begun anew there. */
void host_sweep_unknown(struct client *c)
{
	char path[PATH_MAX];
	DIR *d = opendir(c->config->alloc_dir);
	struct dirent *e;
	struct uuid id;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (uuid_parse(e->d_name, strlen(e->d_name), &id) && client_find(c, e->d_name) == NULL &&
		    snprintf(path, sizeof(path), "%s/%s", c->config->alloc_dir, e->d_name) < (int)sizeof(path)) {
			sweep_alloc(path);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
}

/* ---- removing what has ended ---- */

struct destroy_job {
	struct work_item item;
	struct client_alloc *alloc;
	int rc;
	char error[ALLOCDIR_TEXT];
};

/* What an agent that was killed has left behind of starts that it had not written down. */
static void sweep_tasks(const struct client_alloc *ca)
{
	char path[PATH_MAX];
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		if (snprintf(path, sizeof(path), "%s/%s/%s/private", ca->client->config->alloc_dir, ca->id,
			     ca->ar.tasks[i].task->name) < (int)sizeof(path)) {
			(void)driver_sweep(path);
		}
	}
}

static void destroy_work_cb(struct work_item *item)
{
	struct destroy_job *job = CONTAINER_OF(item, struct destroy_job, item);
	const struct client *c = job->alloc->client;

	sweep_tasks(job->alloc);
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
	c->collecting--;
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
		host_drop_driver(&ca->tasks[i]);
	}
	list_remove(&ca->save);
	list_remove(&ca->report);
	ca->destroying = true;
	ca->jobs++;
	ca->client->collecting++;
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

int64_t host_collect_every_ns(const struct client *c)
{
	return c->config->gc_interval_ns > 0 ? c->config->gc_interval_ns : 60 * NS_PER_S;
}

static bool is_over(uint64_t used, uint64_t all, double percent, double otherwise)
{
	return all > 0 && (double)used * 100 > (double)all * (percent > 0 ? percent : otherwise);
}

/* As what nobody but root may use counts as used, so it does here. */
static bool space_is_short(const struct client *c)
{
	struct statvfs st;

	return statvfs(c->config->alloc_dir, &st) == 0 &&
	       (is_over(st.f_blocks - st.f_bavail, st.f_blocks, c->config->gc_disk_percent, DISK_PERCENT) ||
	        is_over(st.f_files - st.f_ffree, st.f_files, c->config->gc_inode_percent, INODE_PERCENT));
}

/* The one to go first: what nobody knows any more, then the oldest. `ended` is how many could be. */
static struct client_alloc *first_to_go(const struct client *c, uint32_t *ended)
{
	struct client_alloc *oldest = NULL;

	*ended = 0;
	LIST_EACH(e, &c->allocs) {
		struct client_alloc *ca = CONTAINER_OF(e, struct client_alloc, link);

		*ended += alloc_runner_dead(&ca->ar) && !ca->destroying;
		if (collectable(ca) && (oldest == NULL || (ca->gone && !oldest->gone))) {
			oldest = ca;
		}
	}
	return oldest;
}

void host_collect(struct client *c)
{
	uint32_t most = (uint32_t)(c->config->gc_max_allocs > 0 ? c->config->gc_max_allocs : COLLECT_MAX);
	unsigned at_once = (unsigned)(c->config->gc_parallel > 0 ? c->config->gc_parallel : PARALLEL);
	bool quiet = client_time(c) - c->last_added > COLLECT_QUIET_NS;
	struct client_alloc *first = NULL;
	uint32_t ended;

	c->collect_due = client_time(c) + host_collect_every_ns(c);
	while (c->collecting < at_once && !c->stopping && (first = first_to_go(c, &ended)) != NULL &&
	       (first->gone || ended > COLLECT_SOONER * most || (quiet && ended > most) || space_is_short(c))) {
		destroy(first);
		if (!first->destroying) {
			return; /* No memory: later. */
		}
	}
}

/* ---- the end ---- */

void host_cancel(struct client_alloc *ca)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n; i++) {
		host_cancel_prepare(&ca->tasks[i]);
	}
}

static void let_go(struct client_task *task, bool end_tasks)
{
	if (task->driver == NULL) {
		return;
	}
	stats_lost(task);
	host_scripts_end(task);
	if (!end_tasks) {
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
