/*
 * What is kept on disk: the state of every allocation that changed, written by a worker, many at a time.
 *
 * A job holds the bytes as they were when it was made; what changes meanwhile goes with the next. It starts at the end
 * of the turn in which something changed, so that little is unknown to the next agent if this one is killed.
 */
#include <stdlib.h>

#include "client/client_int.h"
#include "lib/log.h"
#include "proto/error.h"

#define RETRY_NS NS_PER_S

struct save {
	struct client_alloc *alloc;
	struct buf data;
	int rc;
};

struct save_job {
	struct work_item item;
	struct client *client;
	uint32_t n;
	struct save saves[];
};

void saver_init(struct client *c)
{
	list_init(&c->saver.dirty);
}

void saver_add(struct client_alloc *ca)
{
	if (list_empty(&ca->save)) {
		list_insert(&ca->client->saver.dirty, &ca->save);
	}
}

int64_t saver_due(const struct client *c)
{
	return !c->saver.busy && !list_empty(&c->saver.dirty) ? c->saver.not_before : 0;
}

/* What the driver needs to find the task again: as it says, or as an earlier agent left it. */
static struct bytes handle_of(const struct client_task *task, struct arena *mem)
{
	struct buf handle = {0};
	struct bytes out = {.at = task->handle, .n = task->handle_len};
	char *kept;

	if (task->driver == NULL || task->driver->state == DRIVER_STARTING || task->driver->state == DRIVER_EXITED) {
		return out;
	}
	driver_save(task->driver, &handle);
	kept = handle.failed ? NULL : arena_strndup(mem, handle.at == NULL ? "" : handle.at, handle.len);
	out = (struct bytes){.at = (const uint8_t *)kept, .n = kept == NULL ? 0 : (uint32_t)handle.len};
	buf_close(&handle);
	return out;
}

/* One that waits for this very writing, or may have been started since an earlier one. */
static void encode_go(struct client_task *task, const struct moment *now, struct saved_task *saved, struct arena *mem)
{
	if (task->driver == NULL || task->driver->state != DRIVER_READY) {
		return;
	}
	saved->handle = handle_of(task, mem);
	if (task->go == GO_WANTED && saved->handle.n > 0) {
		task->go = GO_WRITING;
		task->go_ns = now->wall_ns;
	}
	saved->go = task->go_ns;
}

static void encode(struct client_alloc *ca, struct buf *out)
{
	struct arena mem = {0};
	struct saved_alloc saved;
	struct moment now = client_now(ca->client);
	uint32_t i;

	if (alloc_runner_save(&ca->ar, &saved, &mem) != 0) {
		out->failed = true;
	} else {
		saved.alloc = &ca->ar.spec->alloc;
		for (i = 0; i < saved.tasks.n; i++) {
			saved.tasks.at[i].hooks_done = ca->tasks[i].hooks_done;
			saved.tasks.at[i].driver = ca->ar.tasks[i].task->driver;
			if (saved.tasks.at[i].alive) {
				saved.tasks.at[i].handle = handle_of(&ca->tasks[i], &mem);
			} else {
				encode_go(&ca->tasks[i], &now, &saved.tasks.at[i], &mem);
			}
		}
		state_encode(&saved, out);
	}
	arena_close(&mem);
}

static void write_one(const struct state_store *store, struct save *s)
{
	s->rc = s->data.failed ? ERR_NOMEM : state_write(store, s->alloc->id, &s->alloc->file, &s->data);
	buf_close(&s->data);
}

static void work_cb(struct work_item *item)
{
	struct save_job *job = CONTAINER_OF(item, struct save_job, item);
	uint32_t i;

	for (i = 0; i < job->n; i++) {
		write_one(&job->client->store, &job->saves[i]);
	}
}

static void done_one(struct save *s)
{
	struct client *c = s->alloc->client;

	s->alloc->jobs--;
	host_saved(s->alloc, s->rc);
	if (s->rc == 0) {
		return;
	}
	log_warn("client", "the state of allocation %s cannot be kept: %s", s->alloc->id, error_text(s->rc));
	c->saver.not_before = client_time(c) + RETRY_NS;
	saver_add(s->alloc);
}

static void done_cb(struct work_item *item)
{
	struct save_job *job = CONTAINER_OF(item, struct save_job, item);
	struct client *c = job->client;
	uint32_t i;

	c->saver.busy = false;
	for (i = 0; i < job->n; i++) {
		done_one(&job->saves[i]);
	}
	free(job);
}

static struct save_job *take_job(struct client *c)
{
	struct save_job *job = calloc(1, sizeof(*job) + SAVE_ALLOCS_MAX * sizeof(job->saves[0]));
	struct list *e;

	if (job == NULL) {
		return NULL;
	}
	job->client = c;
	job->item = (struct work_item){.work_cb = work_cb, .done_cb = done_cb};
	while (job->n < SAVE_ALLOCS_MAX && (e = list_pop(&c->saver.dirty)) != NULL) {
		struct save *s = &job->saves[job->n++];

		s->alloc = CONTAINER_OF(e, struct client_alloc, save);
		s->alloc->jobs++;
		encode(s->alloc, &s->data);
	}
	return job;
}

void saver_step(struct client *c)
{
	struct save_job *job;

	if (c->saver.busy || list_empty(&c->saver.dirty) || client_time(c) < c->saver.not_before) {
		return;
	}
	job = take_job(c);
	if (job == NULL) {
		c->saver.not_before = client_time(c) + RETRY_NS;
		return;
	}
	c->saver.busy = true;
	work_put(&c->work, &job->item, WORK_QUICK);
}

void saver_flush(struct client *c)
{
	struct list *e;

	while ((e = list_pop(&c->saver.dirty)) != NULL) {
		struct save s = {.alloc = CONTAINER_OF(e, struct client_alloc, save)};

		encode(s.alloc, &s.data);
		write_one(&c->store, &s);
		if (s.rc != 0) {
			log_warn("client", "the state of allocation %s is lost: %s", s.alloc->id, error_text(s.rc));
		}
	}
}
