/**
 * Waking a libuv loop from another thread.
 *
 * uv_async_t does this too, but not cheaply where threads share few cores (libuv 1.44): the woken side waits until the
 * sender has gone on behind its write(), spinning, and then giving up its core. When the write wakes the loop on the
 * sender's own core, which it does more often than not there, the sender cannot go on meanwhile: that cost 70 to 90 µs a
 * wake. A bell has nothing to wait for.
 *
 * Rings before the loop has looked count as one. What was done before bell_ring() is seen by rung_cb.
 */
#ifndef LIB_BELL_H_
#define LIB_BELL_H_

#include <stdatomic.h>

#include <uv.h>

struct bell {
	uv_poll_t poll; /* Of an eventfd. A handle as any other: it may be unreferenced. */
	int fd; /* -1 when it is not open. */
	atomic_bool rung;
	void (*rung_cb)(struct bell *bell);
	void (*closed_cb)(struct bell *bell);
	void *data; /* The owner's. */
};

/* The loop's thread, or before it runs. 0 or a libuv error; then nothing is open. */
int bell_open(struct bell *bell, uv_loop_t *loop, void (*rung_cb)(struct bell *bell), void *data);

/* Any thread, while the bell is open. */
void bell_ring(struct bell *bell);

/* The loop's thread; nobody rings any more. closed_cb (or NULL) comes in a later turn: until then the memory stays. */
void bell_close(struct bell *bell, void (*closed_cb)(struct bell *bell));

#endif /* LIB_BELL_H_ */
