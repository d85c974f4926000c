#include "test/unit/unit.h"

#include "lib/mailbox.h"

#include <pthread.h>

enum { PRODUCERS = 4, EACH = 20000, CAP = 64 };

struct letter {
	struct mail mail;
	int from;
	int number;
};

static void count_wakes(void *arg)
{
	(*(int *)arg)++;
}

static void mail_comes_out_in_order_and_wakes_once(void **state)
{
	struct letter letters[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
	struct mailbox box;
	struct mail *m;
	int wakes = 0;
	int i;

	(void)state;
	mailbox_init(&box, 10, count_wakes, &wakes);
	assert_null(mailbox_take(&box));
	for (i = 0; i < 3; i++) {
		assert_true(mailbox_put(&box, &letters[i].mail));
	}
	assert_int_equal(wakes, 1);
	for (i = 0, m = mailbox_take(&box); m != NULL; m = m->next) {
		assert_int_equal(((struct letter *)m)->number, i++);
	}
	assert_int_equal(i, 3);
	assert_true(mailbox_put(&box, &letters[0].mail));
	assert_int_equal(wakes, 2);
}

static void a_full_box_refuses_all_but_answers(void **state)
{
	struct letter letters[4] = {{.number = 0}};
	struct mailbox box;
	int wakes = 0;

	(void)state;
	mailbox_init(&box, 2, count_wakes, &wakes);
	assert_true(mailbox_put(&box, &letters[0].mail));
	assert_true(mailbox_put(&box, &letters[1].mail));
	assert_false(mailbox_put(&box, &letters[2].mail));
	mailbox_put_answer(&box, &letters[3].mail);
	assert_non_null(mailbox_take(&box));
	assert_true(mailbox_put(&box, &letters[2].mail));
}

static int ran;

static void run_and_free(struct mail *mail)
{
	ran += ((struct letter *)mail)->number;
	free(mail);
}

static void running_may_free_the_mail(void **state)
{
	struct mailbox box;
	int wakes = 0;
	int i;

	(void)state;
	mailbox_init(&box, 10, count_wakes, &wakes);
	for (i = 1; i <= 4; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		assert_non_null(l);
		l->number = i;
		l->mail.run_cb = run_and_free;
		assert_true(mailbox_put(&box, &l->mail));
	}
	assert_int_equal(mailbox_run(&box), 4);
	assert_int_equal(ran, 10);
	assert_int_equal(mailbox_run(&box), 0);
}

/* The owner of the threads' test sleeps on a condition, as an event loop sleeps in its poll. */
struct bell {
	pthread_mutex_t lock;
	pthread_cond_t rung;
	bool ringing;
	unsigned wakes;
};

static struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
static struct mailbox shared;

static void ring(void *arg)
{
	struct bell *b = arg;

	pthread_mutex_lock(&b->lock);
	b->ringing = true;
	b->wakes++;
	pthread_cond_signal(&b->rung);
	pthread_mutex_unlock(&b->lock);
}

static void wait_for_ring(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	while (!b->ringing) {
		pthread_cond_wait(&b->rung, &b->lock);
	}
	b->ringing = false;
	pthread_mutex_unlock(&b->lock);
}

static void *produce(void *arg)
{
	struct letter *letters = arg;
	int i;

	for (i = 0; i < EACH; i++) {
		while (!mailbox_put(&shared, &letters[i].mail)) {
			sched_yield();
		}
	}
	return NULL;
}

static void threads_lose_nothing_and_keep_their_order(void **state)
{
	static struct letter letters[PRODUCERS][EACH];
	pthread_t threads[PRODUCERS];
	int next[PRODUCERS] = {0};
	int got = 0;
	int i;

	(void)state;
	mailbox_init(&shared, CAP, ring, &bell);
	for (i = 0; i < PRODUCERS; i++) {
		int j;

		for (j = 0; j < EACH; j++) {
			letters[i][j] = (struct letter){.from = i, .number = j};
		}
		assert_int_equal(pthread_create(&threads[i], NULL, produce, letters[i]), 0);
	}
	while (got < PRODUCERS * EACH) {
		struct mail *m;
		int burst = 0;

		wait_for_ring(&bell);
		for (m = mailbox_take(&shared); m != NULL; m = m->next) {
			const struct letter *l = (const struct letter *)m;

			assert_int_equal(l->number, next[l->from]++);
			burst++;
		}
		assert_true(burst <= CAP);
		got += burst;
	}
	for (i = 0; i < PRODUCERS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_null(mailbox_take(&shared));
	assert_true(bell.wakes <= PRODUCERS * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_comes_out_in_order_and_wakes_once),
		cmocka_unit_test(a_full_box_refuses_all_but_answers),
		cmocka_unit_test(running_may_free_the_mail),
		cmocka_unit_test(threads_lose_nothing_and_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
