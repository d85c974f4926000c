#include "server/chores.h"

#include "proto/error.h"

void chores_init(struct chores *c, uv_loop_t *loop, void (*idle_cb)(struct chores *c))
{
	*c = (struct chores){.loop = loop, .idle_cb = idle_cb};
	list_init(&c->waiting);
}

static void on_work(uv_work_t *work)
{
	struct chore *chore = CONTAINER_OF(work, struct chore, work);

	chore->run_cb(chore);
}

static void on_done(uv_work_t *work, int status);

static void begin(struct chores *c)
{
	while (c->running < CHORES_AT_ONCE && !list_empty(&c->waiting)) {
		struct chore *chore = CONTAINER_OF(list_pop(&c->waiting), struct chore, link);

		c->running++;
		(void)uv_queue_work(c->loop, &chore->work, on_work, on_done); /* It refuses nothing but a NULL. */
	}
}

static void on_done(uv_work_t *work, int status)
{
	struct chore *chore = CONTAINER_OF(work, struct chore, work);
	struct chores *c = chore->all;

	(void)status;
	c->running--;
	c->n--;
	chore->done_cb(chore, 0);
	begin(c);
	if (c->n == 0) {
		c->idle_cb(c);
	}
}

int chores_add(struct chores *c, struct chore *chore)
{
	if (c->closed) {
		return ERR_CLOSED;
	}
	if (c->n >= CHORES_MAX) {
		return ERR_BUSY;
	}
	chore->all = c;
	c->n++;
	list_insert(&c->waiting, &chore->link);
	begin(c);
	return 0;
}

void chores_close(struct chores *c)
{
	c->closed = true;
	while (!list_empty(&c->waiting)) {
		struct chore *chore = CONTAINER_OF(list_pop(&c->waiting), struct chore, link);

		c->n--;
		chore->done_cb(chore, ERR_CLOSED);
	}
}
