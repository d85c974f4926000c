#include "client/work.h"

#include <assert.h>

#include "proto/error.h"

static void answered(struct work_item *item)
{
	struct work *w = item->work;

	w->n--;
	item->done_cb(item); /* May free the item, and put others. */
	if (w->n == 0 && w->empty_cb != NULL) {
		w->empty_cb(w);
	}
}

/* ---- short work ---- */

static void quick_work_cb(uv_work_t *req)
{
	struct work_item *item = req->data;

	item->work_cb(item);
}

static void quick_done_cb(uv_work_t *req, int status)
{
	(void)status; /* Nothing here is cancelled. */
	answered(req->data);
}

/* ---- slow work ---- */

static void slow_thread(void *arg)
{
	struct work *w = arg;
	struct list *e;

	uv_mutex_lock(&w->lock);
	for (;;) {
		while ((e = list_pop(&w->todo)) == NULL && !w->ending) {
			w->idle++;
			uv_cond_wait(&w->more, &w->lock);
			w->idle--;
		}
		if (e == NULL) {
			break;
		}
		w->queued--;
		uv_mutex_unlock(&w->lock);
		CONTAINER_OF(e, struct work_item, link)->work_cb(CONTAINER_OF(e, struct work_item, link));
		uv_mutex_lock(&w->lock);
		list_insert(&w->done, e);
		bell_ring(&w->wake);
	}
	uv_mutex_unlock(&w->lock);
}

static void wake_cb(struct bell *bell)
{
	struct work *w = bell->data;
	struct list done;
	struct list *e;

	list_init(&done);
	uv_mutex_lock(&w->lock);
	while ((e = list_pop(&w->done)) != NULL) {
		list_insert(&done, e);
	}
	uv_mutex_unlock(&w->lock);
	while ((e = list_pop(&done)) != NULL) {
		answered(CONTAINER_OF(e, struct work_item, link));
	}
}

/* Another thread when all that there are have something to do. One that cannot be had is done without, but for the
 * first. */
static void put_slow(struct work *w, struct work_item *item)
{
	bool needed;

	uv_mutex_lock(&w->lock);
	list_insert(&w->todo, &item->link);
	w->queued++;
	needed = w->queued > w->idle && w->n_threads < WORK_SLOW_THREADS;
	uv_cond_signal(&w->more);
	uv_mutex_unlock(&w->lock);
	if (needed && uv_thread_create(&w->threads[w->n_threads], slow_thread, w) == 0) {
		w->n_threads++;
	}
	if (w->n_threads == 0) {
		list_remove(&item->link);
		w->queued--;
		uv_queue_work(w->loop, &item->req, quick_work_cb, quick_done_cb);
	}
}

void work_put(struct work *w, struct work_item *item, enum work_lane lane)
{
	item->work = w;
	item->req.data = item;
	w->n++;
	if (lane == WORK_SLOW) {
		put_slow(w, item);
	} else {
		uv_queue_work(w->loop, &item->req, quick_work_cb, quick_done_cb);
	}
}

/* ---- begin and end ---- */

int work_init(struct work *w, uv_loop_t *loop)
{
	*w = (struct work){.loop = loop};
	list_init(&w->todo);
	list_init(&w->done);
	if (uv_mutex_init(&w->lock) != 0) {
		return ERR_NOMEM;
	}
	if (uv_cond_init(&w->more) != 0) {
		uv_mutex_destroy(&w->lock);
		return ERR_NOMEM;
	}
	if (bell_open(&w->wake, loop, wake_cb, w) != 0) {
		uv_cond_destroy(&w->more);
		uv_mutex_destroy(&w->lock);
		return ERR_NOMEM;
	}
	w->open = true;
	return 0;
}

void work_close(struct work *w, void (*closed_cb)(struct bell *wake))
{
	unsigned i;

	assert(w->open && w->n == 0);
	uv_mutex_lock(&w->lock);
	w->ending = true;
	uv_cond_broadcast(&w->more);
	uv_mutex_unlock(&w->lock);
	for (i = 0; i < w->n_threads; i++) {
		uv_thread_join(&w->threads[i]);
	}
	uv_cond_destroy(&w->more);
	uv_mutex_destroy(&w->lock);
	w->open = false;
	bell_close(&w->wake, closed_cb);
}
