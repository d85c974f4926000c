#include "raft/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "proto/error.h"
#include "raft/table.h"

enum { BUCKETS = 1024 }; /* At the beginning; they double with the waiters. */

/* ---- keys ---- */

static uint64_t key_hash(const void *at, size_t len)
{
	return XXH3_64bits(at, len);
}

uint64_t watch_key_job(const char *ns, const char *id)
{
	struct key key;

	key_job(&key, ns, id);
	return key_hash(key.at, key.len <= sizeof(key.at) ? key.len : 0);
}

uint64_t watch_key_id(const struct uuid *id)
{
	return key_hash(id, sizeof(*id));
}

uint64_t watch_key_name(const char *name)
{
	return key_hash(name, strlen(name) + 1);
}

/* Namespace and ID, each with its zero, at the beginning of a longer key. */
static uint64_t job_part(struct tree_key key)
{
	const char *at = key.at;
	size_t len = strlen(at) + 1;

	return key_hash(at, len + strlen(at + len) + 1);
}

uint64_t watch_key_row(const struct row *row)
{
	struct tree_key key = row_key((enum tree)row->table, row);

	switch (row->table) {
	case TABLE_JOBS:
	case TABLE_SUMMARIES:
	case TABLE_LAUNCHES:
	case TABLE_SCALINGS:
	case TABLE_SUBMISSIONS:
	case TABLE_SERVICES:
	case TABLE_VARIABLES:
		return job_part(key);
	default:
		return key_hash(key.at, key.len);
	}
}

/* ---- the ring ---- */

int watch_ring_init(struct watch_ring *r, size_t size, void (*wake)(void *ctx), void *ctx)
{
	*r = (struct watch_ring){.size = 1, .wake = wake, .ctx = ctx};
	while (r->size < (size != 0 ? size : WATCH_RING_DEFAULT)) {
		r->size *= 2;
	}
	r->slots = malloc(r->size * sizeof(r->slots[0]));
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	atomic_init(&r->overflow, false);
	atomic_init(&r->signalled, false);
	atomic_init(&r->listening, true);
	list_init(&r->link);
	return r->slots != NULL ? 0 : ERR_NOMEM;
}

void watch_ring_close(struct watch_ring *r)
{
	assert(list_empty(&r->link));
	free(r->slots);
	r->slots = NULL;
}

bool watch_ring_listen(struct watch_ring *r, bool on)
{
	return !atomic_exchange(&r->listening, on) && on;
}

/* The ring has been filled before it is looked whether the reader listens, and the reader drains after it has said so:
 * one of the two sees the other. */
static void ring_signal(struct watch_ring *r)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&r->listening) && !atomic_exchange(&r->signalled, true)) {
		r->wake(r->ctx);
	}
}

/* All or nothing: the reader takes an overflow for a change of everything. */
static void ring_push(struct watch_ring *r, const struct watch_notice *notices, size_t n)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	size_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	size_t i;

	if (n > r->size - (head - tail)) {
		atomic_store_explicit(&r->overflow, true, memory_order_release);
	} else {
		for (i = 0; i < n; i++) {
			r->slots[(head + i) & (r->size - 1)] = notices[i];
		}
		atomic_store_explicit(&r->head, head + n, memory_order_release);
	}
	ring_signal(r);
}

void watch_hub_init(struct watch_hub *hub)
{
	list_init(&hub->rings);
}

void watch_hub_add(struct watch_hub *hub, struct watch_ring *r)
{
	list_insert(&hub->rings, &r->link);
}

void watch_hub_remove(struct watch_hub *hub, struct watch_ring *r)
{
	(void)hub;
	list_remove(&r->link);
}

void watch_publish(struct watch_hub *hub, const struct watch_notice *notices, size_t n)
{
	LIST_EACH (link, &hub->rings) {
		if (n > 0) {
			ring_push(CONTAINER_OF(link, struct watch_ring, link), notices, n);
		}
	}
}

void watch_publish_all(struct watch_hub *hub)
{
	LIST_EACH (link, &hub->rings) {
		struct watch_ring *r = CONTAINER_OF(link, struct watch_ring, link);

		atomic_store_explicit(&r->overflow, true, memory_order_release);
		ring_signal(r);
	}
}

/* ---- the waiters ---- */

static struct list *new_buckets(size_t n)
{
	struct list *buckets = malloc(n * sizeof(*buckets));
	size_t i;

	for (i = 0; buckets != NULL && i < n; i++) {
		list_init(&buckets[i]);
	}
	return buckets;
}

int watchers_init(struct watchers *w)
{
	unsigned i;

	*w = (struct watchers){.n_buckets = BUCKETS, .buckets = new_buckets(BUCKETS)};
	for (i = 0; i < N_TABLES; i++) {
		list_init(&w->tables[i]);
	}
	return w->buckets != NULL ? 0 : ERR_NOMEM;
}

void watchers_close(struct watchers *w)
{
	assert(w->n == 0);
	free(w->buckets);
	w->buckets = NULL;
}

static struct list *bucket(struct list *buckets, size_t n, uint64_t key, unsigned table)
{
	return &buckets[(key + table * UINT64_C(0x9e3779b97f4a7c15)) & (n - 1)];
}

static void grow(struct watchers *w)
{
	size_t n = w->n_buckets * 2;
	struct list *buckets = new_buckets(n);
	size_t i;

	if (buckets == NULL) {
		return;
	}
	for (i = 0; i < w->n_buckets; i++) {
		LIST_EACH (link, &w->buckets[i]) {
			struct watcher *who = CONTAINER_OF(link, struct watcher, link);

			list_remove(link);
			list_insert(bucket(buckets, n, who->key, who->table), link);
		}
	}
	free(w->buckets);
	w->buckets = buckets;
	w->n_buckets = n;
}

static void wait_in(struct watchers *w, struct watcher *who, struct list *at)
{
	assert(!who->waiting);
	who->waiting = true;
	w->n++;
	list_insert(at, &who->link);
}

void watch_row(struct watchers *w, struct watcher *who, enum table table, uint64_t key)
{
	if (w->n >= w->n_buckets) {
		grow(w);
	}
	who->table = (uint8_t)table;
	who->key = key;
	who->whole = false;
	wait_in(w, who, bucket(w->buckets, w->n_buckets, key, table));
}

void watch_table(struct watchers *w, struct watcher *who, enum table table)
{
	who->table = (uint8_t)table;
	who->whole = true;
	wait_in(w, who, &w->tables[table]);
}

void watch_cancel(struct watchers *w, struct watcher *who)
{
	if (who->waiting) {
		who->waiting = false;
		w->n--;
	}
	if (who->link.next != NULL) {
		list_remove(&who->link);
	}
}

static void wake(struct watchers *w, struct watcher *who, struct list *woken)
{
	who->waiting = false;
	w->n--;
	list_remove(&who->link);
	list_insert(woken, &who->link);
}

static size_t wake_all(struct watchers *w, struct list *from, struct list *woken)
{
	size_t n = 0;

	LIST_EACH (link, from) {
		wake(w, CONTAINER_OF(link, struct watcher, link), woken);
		n++;
	}
	return n;
}

static size_t wake_row(struct watchers *w, const struct watch_notice *notice, struct list *woken)
{
	struct list *at = bucket(w->buckets, w->n_buckets, notice->key, notice->table);
	size_t n = 0;

	LIST_EACH (link, at) {
		struct watcher *who = CONTAINER_OF(link, struct watcher, link);

		if (who->key == notice->key && who->table == notice->table) {
			wake(w, who, woken);
			n++;
		}
	}
	return n;
}

static size_t wake_everybody(struct watchers *w, struct list *woken)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < N_TABLES; i++) {
		n += wake_all(w, &w->tables[i], woken);
	}
	for (i = 0; i < w->n_buckets; i++) {
		n += wake_all(w, &w->buckets[i], woken);
	}
	return n;
}

size_t watch_drain(struct watchers *w, struct watch_ring *r, struct list *woken)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t head;
	size_t n = 0;

	atomic_exchange(&r->signalled, false); /* Not a store: whoever is not to signal again has filled before. */
	head = atomic_load_explicit(&r->head, memory_order_acquire);
	for (; tail != head; tail++) {
		const struct watch_notice *notice = &r->slots[tail & (r->size - 1)];

		if (w->n > 0) {
			n += wake_all(w, &w->tables[notice->table], woken);
			n += wake_row(w, notice, woken);
		}
	}
	atomic_store_explicit(&r->tail, tail, memory_order_release);
	if (atomic_exchange_explicit(&r->overflow, false, memory_order_acquire)) {
		n += wake_everybody(w, woken);
	}
	return n;
}
