/* What the program uses of libuv, on simulated time. A turn of a host's loop begins with what made it leave its poll
 * and ends where it would go back to sleep; it takes a little time, so a loop that never sleeps does not stop the
 * world. */
#include "test/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "lib/bell.h"

/* ---- lists of handles ---- */

#define ADD(list, n, max, handle)                                                                                      \
	do {                                                                                                           \
		if ((n) == (max)) {                                                                                    \
			sim_fail("too many handles");                                                                  \
		}                                                                                                      \
		(list)[(n)++] = (handle);                                                                              \
	} while (0)

#define REMOVE(list, n, handle)                                                                                        \
	do {                                                                                                           \
		for (unsigned i_ = 0; i_ < (n); i_++) {                                                                \
			if ((list)[i_] == (handle)) {                                                                  \
				memmove(&(list)[i_], &(list)[i_ + 1], ((n) - i_ - 1) * sizeof((list)[0]));             \
				(n)--;                                                                                 \
				break;                                                                                 \
			}                                                                                              \
		}                                                                                                      \
	} while (0)

static struct loop *loop_of(const uv_loop_t *uv)
{
	return &((struct host *)uv->data)->loop;
}

struct later {
	struct list link;
	void (*fn)(void *arg);
	void *arg;
};

struct done_work {
	struct list link;
	uv_work_t *work;
	struct host *host;
};

void loop_reset(struct host *h)
{
	h->loop = (struct loop){.wake_at = INT64_MAX};
	list_init(&h->loop.works);
	list_init(&h->loop.packets);
	list_init(&h->loop.calls);
	list_init(&h->loop.later);
}

void loop_later(struct host *h, void (*fn)(void *arg), void *arg)
{
	struct later *l = malloc(sizeof(*l));

	*l = (struct later){.fn = fn, .arg = arg};
	list_insert(&h->loop.later, &l->link);
	loop_wake(h, sim.now);
}

/* ---- turns ---- */

static void on_wake(void *arg)
{
	struct host *h = arg;

	if (h->loop.wake_at > sim.now) {
		return; /* Another one was scheduled, or the turn has been. */
	}
	h->loop.wake_at = INT64_MAX;
	if (h->frozen_until > sim.now) {
		loop_wake(h, h->frozen_until);
		return;
	}
	host_run(h);
}

void loop_wake(struct host *h, int64_t at)
{
	at = at < sim.now ? sim.now : at;
	if (at < h->loop.wake_at) {
		h->loop.wake_at = at;
		sim_at(at, h, on_wake, h);
	}
}

/* ---- the loop ---- */

int uv_loop_init(uv_loop_t *loop)
{
	loop->data = sim.cur;
	return 0;
}

int uv_loop_configure(uv_loop_t *loop, uv_loop_option option, ...)
{
	(void)loop;
	(void)option;
	return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
	(void)loop;
	return 0;
}

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
	(void)loop;
	(void)mode;
	sim_fail("the loop is run by the program itself");
}

void uv_stop(uv_loop_t *loop)
{
	loop_of(loop)->stopped = true;
}

uint64_t uv_now(const uv_loop_t *loop)
{
	return loop_of(loop)->now_ms;
}

void uv_update_time(uv_loop_t *loop)
{
	loop_of(loop)->now_ms = (uint64_t)(host_mono(loop->data) / MS);
}

uint64_t uv_hrtime(void)
{
	return sim.cur == NULL ? (uint64_t)sim.now : (uint64_t)host_mono(sim.cur);
}

uint64_t uv_metrics_idle_time(uv_loop_t *loop)
{
	(void)loop;
	return 0;
}

unsigned uv_available_parallelism(void)
{
	return 2;
}

const char *uv_strerror(int err)
{
	(void)err;
	return "an error of libuv";
}

/* ---- timers ---- */

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
	*timer = (uv_timer_t){.data = timer->data, .loop = loop, .type = UV_TIMER};
	return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
	struct loop *l = loop_of(timer->loop);

	REMOVE(l->timers, l->n_timers, timer);
	return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	struct loop *l = loop_of(timer->loop);

	if (repeat != 0) {
		sim_fail("a timer that repeats");
	}
	uv_timer_stop(timer);
	timer->timer_cb = cb;
	timer->timeout = l->now_ms + timeout;
	ADD(l->timers, l->n_timers, TIMERS_MAX, timer);
	return 0;
}

static uv_timer_t *first_timer(const struct loop *l)
{
	uv_timer_t *first = l->n_timers == 0 ? NULL : l->timers[0];

	for (unsigned i = 1; i < l->n_timers; i++) {
		first = l->timers[i]->timeout < first->timeout ? l->timers[i] : first;
	}
	return first;
}

static void run_timers(struct loop *l)
{
	uv_timer_t *t;

	while ((t = first_timer(l)) != NULL && t->timeout <= l->now_ms) {
		uv_timer_stop(t);
		t->timer_cb(t);
	}
}

/* ---- handles of each turn ---- */

int uv_prepare_init(uv_loop_t *loop, uv_prepare_t *p)
{
	*p = (uv_prepare_t){.data = p->data, .loop = loop, .type = UV_PREPARE};
	return 0;
}

int uv_prepare_start(uv_prepare_t *p, uv_prepare_cb cb)
{
	struct loop *l = loop_of(p->loop);

	p->prepare_cb = cb;
	ADD(l->prepares, l->n_prepares, HANDLES_MAX, p);
	return 0;
}

int uv_check_init(uv_loop_t *loop, uv_check_t *c)
{
	*c = (uv_check_t){.data = c->data, .loop = loop, .type = UV_CHECK};
	return 0;
}

int uv_check_start(uv_check_t *c, uv_check_cb cb)
{
	struct loop *l = loop_of(c->loop);

	c->check_cb = cb;
	ADD(l->checks, l->n_checks, HANDLES_MAX, c);
	return 0;
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *i)
{
	*i = (uv_idle_t){.data = i->data, .loop = loop, .type = UV_IDLE};
	return 0;
}

int uv_idle_stop(uv_idle_t *i)
{
	struct loop *l = loop_of(i->loop);

	REMOVE(l->idles, l->n_idles, i);
	return 0;
}

int uv_idle_start(uv_idle_t *i, uv_idle_cb cb)
{
	struct loop *l = loop_of(i->loop);

	uv_idle_stop(i);
	i->idle_cb = cb;
	ADD(l->idles, l->n_idles, HANDLES_MAX, i);
	return 0;
}

/* ---- across threads ---- */

int bell_open(struct bell *bell, uv_loop_t *loop, void (*rung_cb)(struct bell *bell), void *data)
{
	bell->poll = (uv_poll_t){.loop = loop, .type = UV_POLL};
	bell->fd = 0;
	atomic_init(&bell->rung, false);
	bell->rung_cb = rung_cb;
	bell->data = data;
	return 0;
}

void bell_ring(struct bell *bell)
{
	struct host *h = bell->poll.loop->data;

	if (!atomic_exchange(&bell->rung, true)) {
		ADD(h->loop.rung, h->loop.n_rung, HANDLES_MAX, bell);
		loop_wake(h, sim.now + sim_between(2 * US, 30 * US));
	}
}

static void on_bell_closed(uv_handle_t *handle)
{
	struct bell *bell = CONTAINER_OF(handle, struct bell, poll);

	bell->fd = -1;
	if (bell->closed_cb != NULL) {
		bell->closed_cb(bell);
	}
}

void bell_close(struct bell *bell, void (*closed_cb)(struct bell *bell))
{
	struct loop *l = loop_of(bell->poll.loop);

	REMOVE(l->rung, l->n_rung, bell);
	bell->closed_cb = closed_cb;
	uv_close((uv_handle_t *)&bell->poll, on_bell_closed);
}

static void run_bells(struct loop *l)
{
	while (l->n_rung > 0) {
		struct bell *bell = l->rung[0];

		REMOVE(l->rung, l->n_rung, bell);
		atomic_store(&bell->rung, false);
		bell->rung_cb(bell);
	}
}

static void work_on_pool(void *arg)
{
	struct done_work *d = arg;

	d->work->work_cb(d->work);
	list_insert(&d->host->loop.works, &d->link);
	loop_wake(d->host, sim.now + sim_between(2 * US, 30 * US));
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb work_cb, uv_after_work_cb after_cb)
{
	struct done_work *d = malloc(sizeof(*d));

	*d = (struct done_work){.work = work, .host = loop->data};
	work->loop = loop;
	work->work_cb = work_cb;
	work->after_work_cb = after_cb;
	fiber_start(loop->data, work_on_pool, d);
	return 0;
}

static void run_works(struct loop *l)
{
	struct list *e;

	while ((e = list_pop(&l->works)) != NULL) {
		struct done_work *d = CONTAINER_OF(e, struct done_work, link);
		uv_work_t *work = d->work;

		free(d);
		work->after_work_cb(work, 0);
	}
}

/* ---- ends ---- */

int uv_is_active(const uv_handle_t *handle)
{
	const struct loop *l = loop_of(handle->loop);

	for (unsigned i = 0; i < l->n_timers; i++) {
		if ((const uv_handle_t *)l->timers[i] == handle) {
			return 1;
		}
	}
	return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
	struct loop *l = loop_of(handle->loop);

	handle->close_cb = cb;
	REMOVE(l->timers, l->n_timers, (uv_timer_t *)handle);
	REMOVE(l->prepares, l->n_prepares, (uv_prepare_t *)handle);
	REMOVE(l->checks, l->n_checks, (uv_check_t *)handle);
	REMOVE(l->idles, l->n_idles, (uv_idle_t *)handle);
	ADD(l->closing, l->n_closing, HANDLES_MAX * 4, handle);
}

static void run_closing(struct host *h)
{
	struct loop *l = &h->loop;
	struct list *e;

	while (l->n_closing > 0) {
		uv_handle_t *handle = l->closing[0];

		REMOVE(l->closing, l->n_closing, handle);
		if (handle->close_cb != NULL) {
			handle->close_cb(handle);
		}
	}
	while ((e = list_pop(&l->later)) != NULL) {
		struct later *later = CONTAINER_OF(e, struct later, link);

		later->fn(later->arg);
		free(later);
	}
}

/* ---- a turn ---- */

static void run_packets(struct host *h)
{
	struct list *e;
	unsigned n = 0;

	while (n++ < 32 && (e = list_pop(&h->loop.packets)) != NULL) {
		net_deliver(h, (struct packet *)(void *)e);
	}
}

static void run_calls(struct host *h)
{
	struct list *e;

	while ((e = list_pop(&h->loop.calls)) != NULL) {
		struct call *c = CONTAINER_OF(e, struct call, link);

		list_init(&c->link);
		call_run(h, c);
	}
}

/* Handles may be stopped by the callbacks of others: each list is walked by its places. */
static void run_checks(struct loop *l)
{
	for (unsigned i = 0; i < l->n_checks; i++) {
		l->checks[i]->check_cb(l->checks[i]);
	}
}

static void run_rest(struct loop *l)
{
	uv_idle_t *idles[HANDLES_MAX];
	unsigned n = l->n_idles;

	memcpy(idles, l->idles, n * sizeof(idles[0]));
	for (unsigned i = 0; i < n; i++) {
		idles[i]->idle_cb(idles[i]);
	}
	for (unsigned i = 0; i < l->n_prepares; i++) {
		l->prepares[i]->prepare_cb(l->prepares[i]);
	}
}

void loop_turn(struct host *h)
{
	struct loop *l = &h->loop;
	int64_t cost = sim_between(10 * US, 120 * US);
	uv_timer_t *t;

	COUNT(turns);
	l->now_ms = (uint64_t)(host_mono(h) / MS);
	run_bells(l);
	run_works(l);
	run_packets(h);
	run_calls(h);
	run_checks(l);
	run_closing(h);
	if (l->stopped) {
		return;
	}
	l->now_ms = (uint64_t)(host_mono(h) / MS);
	run_timers(l);
	run_rest(l);
	if (l->n_idles > 0 || l->n_closing > 0 || l->n_rung > 0 || !list_empty(&l->works) ||
	    !list_empty(&l->packets) || !list_empty(&l->later)) {
		loop_wake(h, sim.now + cost);
	} else if ((t = first_timer(l)) != NULL) {
		int64_t at = host_when(h, (int64_t)t->timeout * MS);

		loop_wake(h, at > sim.now + cost ? at : sim.now + cost);
	}
}
