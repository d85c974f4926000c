/**
 * What handlers have done that takes longer than a turn of a loop may: on threads of libuv's pool, few at a time, so
 * that what else the pool does (files, snapshots) does not wait for it. The core thread's.
 */
#ifndef SERVER_CHORES_H_
#define SERVER_CHORES_H_

#include <uv.h>

#include "lib/list.h"

enum {
	CHORES_AT_ONCE = 2, /* Of the pool's four threads. */
	CHORES_MAX = 32,    /* These, and those that wait. Beyond them: ERR_BUSY. */
};

struct chores {
	uv_loop_t *loop;
	struct list waiting;
	unsigned running;
	unsigned n; /* With those that wait. */
	bool closed;
	void (*idle_cb)(struct chores *c); /* The last one is done. */
};

/* Embedded in what the caller keeps, which stays until done_cb. */
struct chore {
	uv_work_t work;
	struct list link;
	struct chores *all;
	void (*run_cb)(struct chore *chore); /* On a thread of the pool. */
	void (*done_cb)(struct chore *chore, int status); /* 0; ERR_CLOSED: it was not run. */
};

void chores_init(struct chores *c, uv_loop_t *loop, void (*idle_cb)(struct chores *c));

/* 0, and done_cb comes later; ERR_BUSY; ERR_CLOSED. */
int chores_add(struct chores *c, struct chore *chore);

/* What has not begun is not run any more; what has is waited for: until chores_idle(). */
void chores_close(struct chores *c);

static inline bool chores_idle(const struct chores *c)
{
	return c->n == 0;
}

#endif /* SERVER_CHORES_H_ */
