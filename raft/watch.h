/**
 * Waiting for changes of the state: notices from the thread that applies to those that answer blocking queries.
 *
 *     core loop                          HTTP loop
 *     fsm_apply() -> hub -> ring  ->     watch_drain() -> waiters by table and key -> woken
 *
 * A notice names a table and a 64-bit hash of a row's key. Each reader's thread has a ring of them, which one thread
 * fills and one empties without locks. A full ring says "everything may have changed", and all its waiters wake.
 *
 * Waking only says: look again. A waiter takes a view first, finds that what it waits for is not there, and then
 * registers, on the thread that drains; a notice of a change that the view does not have is drained only afterwards, so
 * none is missed. A hash may be that of another row as well, which costs a look in vain.
 *
 * No module of the loop is used here: the ring's owner is told by a callback, on the writer's thread, that there is
 * something to drain, and wakes its loop.
 */
#ifndef RAFT_WATCH_H_
#define RAFT_WATCH_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/list.h"
#include "raft/state.h"

struct watch_notice {
	uint64_t key;
	uint32_t table;
};

/* The hash of a row's key: what notices of its changes carry. Of a job it is that of namespace and ID, whatever the
 * version; likewise of its summary, launch, submission and of scalings of its groups. Of a service it is that of namespace and
 * name, of a variable that of namespace and path. */
uint64_t watch_key_job(const char *ns, const char *id);
uint64_t watch_key_id(const struct uuid *id);
uint64_t watch_key_name(const char *name);
uint64_t watch_key_row(const struct row *row);

/* ---- the ring ---- */

enum { WATCH_RING_DEFAULT = 16384 };

struct watch_ring {
	struct watch_notice *slots; /* `size` of them, a power of two. */
	size_t size;
	atomic_size_t head;  /* Written by the writer: the next to fill. */
	atomic_size_t tail;  /* Written by the reader: the next to empty. */
	atomic_bool overflow;
	atomic_bool signalled; /* The reader has been told, and has not drained since. */
	atomic_bool listening; /* The reader is to be told. */
	void (*wake)(void *ctx); /* On the writer's thread. */
	void *ctx;
	struct list link;
};

/* `size` 0 is the default. ERR_NOMEM. */
int watch_ring_init(struct watch_ring *r, size_t size, void (*wake)(void *ctx), void *ctx);

/* The reader alone: whether it is to be told of what comes; at first it is. While nobody waits it need not be, and changes
 * wake no thread. True when it was deaf until now: then it is to drain soon, as it was not told of what came before. */
bool watch_ring_listen(struct watch_ring *r, bool on);

/* It must have left its hub. */
void watch_ring_close(struct watch_ring *r);

/* All rings; the writer's thread alone. */
struct watch_hub {
	struct list rings;
};

void watch_hub_init(struct watch_hub *hub);
void watch_hub_add(struct watch_hub *hub, struct watch_ring *r);
void watch_hub_remove(struct watch_hub *hub, struct watch_ring *r);

/* Push to all rings and wake their owners. */
void watch_publish(struct watch_hub *hub, const struct watch_notice *notices, size_t n);

/* Say that everything may have changed. */
void watch_publish_all(struct watch_hub *hub);

/* ---- the waiters: the reader's thread alone ---- */

/* Embedded in what waits. */
struct watcher {
	struct list link;  /* Of its bucket, its table, or the list of the woken. */
	uint64_t key;
	uint8_t table;
	bool whole; /* For the whole table. */
	bool waiting;
};

struct watchers {
	struct list *buckets; /* By table and key. */
	size_t n_buckets;     /* A power of two. */
	struct list tables[N_TABLES]; /* Those that wait for a whole table. */
	size_t n;             /* How many wait. */
};

int watchers_init(struct watchers *w); /* ERR_NOMEM. */
void watchers_close(struct watchers *w);

/* Wait for the row with this key, or for any row of the table. Does not fail: without memory for more buckets it gets
 * slower. */
void watch_row(struct watchers *w, struct watcher *who, enum table table, uint64_t key);
void watch_table(struct watchers *w, struct watcher *who, enum table table);

/* No longer wait, or be taken off the list of the woken. Harmless when it does not wait; zeroed before the first use. */
void watch_cancel(struct watchers *w, struct watcher *who);

/* Take all notices out of the ring and move those who waited for them to the end of `woken` (a list of the caller's),
 * who no longer wait then. Returns how many. The caller goes through the list in slices; new waiters may come. */
size_t watch_drain(struct watchers *w, struct watch_ring *r, struct list *woken);

#endif /* RAFT_WATCH_H_ */
