/**
 * Work that would block the loop: done on other threads, answered on the loop.
 *
 * Two lanes: short work goes to libuv's pool, which others use too; work that may wait for the network gets one of a
 * few threads of its own, so that slow downloads never hold up the start of a task. What does not find a thread waits.
 */
#ifndef CLIENT_WORK_H_
#define CLIENT_WORK_H_

#include <stdbool.h>
#include <uv.h>

#include "lib/bell.h"
#include "lib/list.h"

enum { WORK_SLOW_THREADS = 4 };

enum work_lane { WORK_QUICK, WORK_SLOW };

/* Embedded in what the work is about; it is the work's from work_put() until done_cb. */
struct work_item {
	void (*work_cb)(struct work_item *item); /* On another thread. */
	void (*done_cb)(struct work_item *item); /* On the loop. */
	struct work *work;
	struct list link;
	uv_work_t req;
};

struct work {
	uv_loop_t *loop;
	struct bell wake;
	uv_mutex_t lock;      /* Guards the two lists and `ending`. */
	uv_cond_t more;
	struct list todo;     /* Slow work that waits. */
	struct list done;     /* Slow work to be answered. */
	uv_thread_t threads[WORK_SLOW_THREADS];
	unsigned n_threads;
	unsigned idle, queued; /* Threads that wait for work, work that waits for threads; under the lock. */
	unsigned n; /* Items under way, of both lanes; the loop's. */
	bool open, ending;
	void (*empty_cb)(struct work *w); /* If set: the last item has been answered. */
};

/* 0 or ERR_NOMEM. */
int work_init(struct work *w, uv_loop_t *loop);

void work_put(struct work *w, struct work_item *item, enum work_lane lane);

/* Nothing is under way any more: end the threads and close the bell. */
void work_close(struct work *w, void (*closed_cb)(struct bell *wake));

#endif /* CLIENT_WORK_H_ */
