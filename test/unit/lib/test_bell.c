#include "test/unit/unit.h"

#include "lib/bell.h"
#include "lib/mailbox.h"

#include <pthread.h>

enum { RINGERS = 3, LETTERS = 20000 };

struct house {
	struct bell bell;
	struct mailbox box;
	unsigned rung, taken, closed;
};

static void on_closed(struct bell *bell)
{
	((struct house *)bell->data)->closed++;
}

static void count_ring(struct bell *bell)
{
	((struct house *)bell->data)->rung++;
}

static void close_house(struct house *h, uv_loop_t *loop)
{
	bell_close(&h->bell, on_closed);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(h->closed, 1);
	assert_int_equal(h->bell.fd, -1);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void rings_before_the_loop_has_looked_are_one(void **state)
{
	struct house h = {0};
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(bell_open(&h.bell, &loop, count_ring, &h), 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(h.rung, 0);
	bell_ring(&h.bell);
	bell_ring(&h.bell);
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(h.rung, 1);
	bell_ring(&h.bell);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(h.rung, 2);
	close_house(&h, &loop);
}

/* Who rings in rung_cb itself is heard again. */
static void ring_again(struct bell *bell)
{
	struct house *h = bell->data;

	if (++h->rung < 3) {
		bell_ring(bell);
	}
}

static void who_rings_while_it_is_heard_is_heard_again(void **state)
{
	struct house h = {0};
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(bell_open(&h.bell, &loop, ring_again, &h), 0);
	bell_ring(&h.bell);
	for (int i = 0; i < 5; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(h.rung, 3);
	close_house(&h, &loop);
}

static void ring(void *arg)
{
	bell_ring(&((struct house *)arg)->bell);
}

static void take(struct mail *mail)
{
	(void)mail;
}

static void take_mail(struct bell *bell)
{
	struct house *h = bell->data;

	h->rung++;
	h->taken += mailbox_run(&h->box);
	if (h->taken == RINGERS * LETTERS) {
		uv_stop(bell->poll.loop);
	}
}

static void *send_letters(void *arg)
{
	static struct mail letters[RINGERS][LETTERS];
	static atomic_uint next;
	struct mail *mine = letters[atomic_fetch_add(&next, 1)];
	struct house *h = arg;

	for (int i = 0; i < LETTERS; i++) {
		mine[i].run_cb = take;
		mailbox_put_answer(&h->box, &mine[i]);
	}
	return NULL;
}

/* A ring that is lost would leave mail in the box, and this test waiting. */
static void no_ring_of_another_thread_is_lost(void **state)
{
	pthread_t threads[RINGERS];
	struct house h = {0};
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(bell_open(&h.bell, &loop, take_mail, &h), 0);
	mailbox_init(&h.box, 1 << 30, ring, &h);
	for (int i = 0; i < RINGERS; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &h), 0);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(h.taken, RINGERS * LETTERS);
	assert_in_range(h.rung, 1, RINGERS * LETTERS);
	for (int i = 0; i < RINGERS; i++) {
		pthread_join(threads[i], NULL);
	}
	close_house(&h, &loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_before_the_loop_has_looked_are_one),
		cmocka_unit_test(who_rings_while_it_is_heard_is_heard_again),
		cmocka_unit_test(no_ring_of_another_thread_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
