#include "test/unit/unit.h"

#include <pthread.h>

#include "raft/watch.h"
#include "test/unit/raft/kit.h"

static void count_wake(void *ctx)
{
	++*(int *)ctx;
}

/* A state whose changes go to one ring. */
struct setting {
	struct kit k;
	struct watch_hub hub;
	struct watch_ring ring;
	struct watchers w;
	struct list woken;
	int wakes;
};

static void open_setting(struct setting *s, size_t size)
{
	kit_open(&s->k);
	s->wakes = 0;
	watch_hub_init(&s->hub);
	assert_int_equal(watch_ring_init(&s->ring, size, count_wake, &s->wakes), 0);
	watch_hub_add(&s->hub, &s->ring);
	assert_int_equal(watchers_init(&s->w), 0);
	list_init(&s->woken);
	s->k.fsm.hub = &s->hub;
}

static void close_setting(struct setting *s)
{
	watchers_close(&s->w);
	watch_hub_remove(&s->hub, &s->ring);
	watch_ring_close(&s->ring);
	kit_close(&s->k);
}

static void drain(struct setting *s)
{
	watch_drain(&s->w, &s->ring, &s->woken);
}

/* While nobody waits no thread is woken; who then begins to wait hears of what came before he was heard. */
static void a_reader_that_does_not_listen_is_not_woken(void **state)
{
	struct watcher a = {0};
	struct setting s;

	(void)state;
	open_setting(&s, 0);
	assert_false(watch_ring_listen(&s.ring, false));
	assert_false(watch_ring_listen(&s.ring, false));
	kit_register(&s.k, kit_job(&s.k, "a", "service"));
	assert_int_equal(s.wakes, 0);
	watch_row(&s.w, &a, TABLE_JOBS, watch_key_job("default", "a"));
	kit_deregister(&s.k, "a", true);
	assert_int_equal(s.wakes, 0);
	assert_true(watch_ring_listen(&s.ring, true));
	drain(&s);
	assert_false(a.waiting);
	watch_cancel(&s.w, &a);
	assert_false(watch_ring_listen(&s.ring, true));
	kit_register(&s.k, kit_job(&s.k, "a", "service"));
	assert_int_equal(s.wakes, 1);
	close_setting(&s);
}

static void a_change_wakes_those_who_wait_for_its_row_or_table(void **state)
{
	struct watcher a = {0};
	struct watcher b = {0};
	struct watcher jobs = {0};
	struct watcher nodes = {0};
	struct setting s;

	(void)state;
	open_setting(&s, 0);
	watch_row(&s.w, &a, TABLE_JOBS, watch_key_job("default", "a"));
	watch_row(&s.w, &b, TABLE_JOBS, watch_key_job("default", "b"));
	watch_table(&s.w, &jobs, TABLE_JOBS);
	watch_table(&s.w, &nodes, TABLE_NODES);
	kit_register(&s.k, kit_job(&s.k, "a", "service"));
	assert_int_equal(s.wakes, 1);
	drain(&s);
	assert_false(a.waiting);
	assert_false(jobs.waiting);
	assert_true(b.waiting);
	assert_true(nodes.waiting);
	assert_int_equal(s.w.n, 2);
	kit_deregister(&s.k, "a", true);
	assert_int_equal(s.wakes, 2);
	drain(&s);
	assert_true(b.waiting);
	watch_cancel(&s.w, &b);
	watch_cancel(&s.w, &nodes);
	watch_cancel(&s.w, &a); /* It is on the list of the woken. */
	watch_cancel(&s.w, &jobs);
	assert_true(list_empty(&s.woken));
	close_setting(&s);
}

static void each_kind_of_row_has_its_key(void **state)
{
	struct watcher w[5] = {{.waiting = false}};
	struct setting s;
	struct uuid node;
	struct uuid alloc;
	struct uuid eval;
	int i;

	(void)state;
	open_setting(&s, 0);
	node = kit_node(&s.k, "n");
	eval = kit_register(&s.k, kit_job(&s.k, "a", "service"))->eval_id;
	drain(&s);
	kit_place(&s.k, "a", &eval, &node, 1, &alloc);
	drain(&s);
	watch_row(&s.w, &w[0], TABLE_ALLOCS, watch_key_id(&alloc));
	watch_row(&s.w, &w[1], TABLE_SUMMARIES, watch_key_job("default", "a"));
	watch_row(&s.w, &w[2], TABLE_EVALS, watch_key_id(&eval));
	watch_row(&s.w, &w[3], TABLE_NODES, watch_key_id(&node));
	watch_row(&s.w, &w[4], TABLE_NAMESPACES, watch_key_name("default"));
	kit_report(&s.k, &alloc, "running");
	drain(&s);
	assert_false(w[0].waiting);
	assert_false(w[1].waiting);
	assert_true(w[2].waiting);
	kit_put_eval(&s.k, kit_eval(&s.k, &eval, "complete", 0));
	kit_node_status(&s.k, &node, NODE_STATUS_DOWN);
	drain(&s);
	assert_false(w[2].waiting);
	assert_false(w[3].waiting);
	assert_true(w[4].waiting);
	for (i = 0; i < 5; i++) {
		watch_cancel(&s.w, &w[i]);
	}
	close_setting(&s);
}

static void a_full_ring_wakes_everybody(void **state)
{
	struct watcher a = {0};
	struct watcher b = {0};
	struct setting s;
	char id[20];
	int i;

	(void)state;
	open_setting(&s, 8);
	watch_row(&s.w, &a, TABLE_JOBS, watch_key_job("default", "not there"));
	watch_table(&s.w, &b, TABLE_NODES);
	for (i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "job-%d", i);
		kit_register(&s.k, kit_job(&s.k, id, "service"));
	}
	assert_int_equal(s.wakes, 1); /* Nobody has drained since. */
	drain(&s);
	assert_false(a.waiting);
	assert_false(b.waiting);
	watch_cancel(&s.w, &a);
	watch_row(&s.w, &a, TABLE_JOBS, watch_key_job("default", "not there"));
	kit_register(&s.k, kit_job(&s.k, "x", "service"));
	drain(&s);
	assert_true(a.waiting);
	watch_publish_all(&s.hub);
	drain(&s);
	assert_false(a.waiting);
	watch_cancel(&s.w, &a);
	watch_cancel(&s.w, &b);
	close_setting(&s);
}

static void many_waiters_find_their_rows(void **state)
{
	enum { N = 5000 };
	struct watcher *w = calloc(N, sizeof(*w));
	struct setting s;
	char id[20];
	int i;

	(void)state;
	open_setting(&s, 0);
	for (i = 0; i < N; i++) {
		snprintf(id, sizeof(id), "job-%d", i);
		watch_row(&s.w, &w[i], TABLE_JOBS, watch_key_job("default", id));
	}
	kit_register(&s.k, kit_job(&s.k, "job-77", "service"));
	drain(&s);
	for (i = 0; i < N; i++) {
		assert_int_equal(w[i].waiting, i != 77);
		watch_cancel(&s.w, &w[i]);
	}
	free(w);
	close_setting(&s);
}

/* ---- two threads ---- */

enum { ROUNDS = 20000 };

struct threads {
	struct watch_hub hub;
	struct watch_ring ring;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool told;
	atomic_int published; /* Like a state's index: read after the notice. */
};

static void tell(void *ctx)
{
	struct threads *t = ctx;

	pthread_mutex_lock(&t->lock);
	t->told = true;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static void *publish(void *ctx)
{
	struct threads *t = ctx;
	struct watch_notice notice = {5, TABLE_JOBS};
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		atomic_store(&t->published, i);
		watch_publish(&t->hub, &notice, 1);
	}
	return NULL;
}

/* The reader waits for each step it has not seen; if a wake were lost it would wait for ever at the last. */
static void wait_for_all(bool always_listens)
{
	struct threads t = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
	struct watcher who = {0};
	struct list woken;
	struct watchers w;
	pthread_t thread;
	int seen = 0;

	watch_hub_init(&t.hub);
	assert_int_equal(watch_ring_init(&t.ring, 16, tell, &t), 0);
	watch_hub_add(&t.hub, &t.ring);
	assert_int_equal(watchers_init(&w), 0);
	list_init(&woken);
	pthread_create(&thread, NULL, publish, &t);
	while (seen < ROUNDS) {
		seen = atomic_load(&t.published);
		if (seen == ROUNDS) {
			break;
		}
		watch_row(&w, &who, TABLE_JOBS, 5);
		if (watch_ring_listen(&t.ring, true)) {
			watch_drain(&w, &t.ring, &woken);
		}
		while (who.waiting) {
			pthread_mutex_lock(&t.lock);
			while (!t.told) {
				pthread_cond_wait(&t.cond, &t.lock);
			}
			t.told = false;
			pthread_mutex_unlock(&t.lock);
			watch_drain(&w, &t.ring, &woken);
		}
		watch_cancel(&w, &who);
		(void)watch_ring_listen(&t.ring, always_listens);
	}
	pthread_join(thread, NULL);
	watchers_close(&w);
	watch_hub_remove(&t.hub, &t.ring);
	watch_ring_close(&t.ring);
}

static void no_wake_is_lost_between_threads(void **state)
{
	(void)state;
	wait_for_all(true);
}

static void no_wake_is_lost_by_who_listens_only_while_he_waits(void **state)
{
	(void)state;
	wait_for_all(false);
}

/* ---- the feed of the leader's core ---- */

struct feed {
	unsigned n;
	struct change changes[32];
};

static void collect(void *ctx, const struct change *changes, size_t n)
{
	struct feed *feed = ctx;

	assert_true(n <= 32);
	feed->n = (unsigned)n;
	memcpy(feed->changes, changes, n * sizeof(*changes));
}

static const struct change *change_of(const struct feed *feed, enum table table)
{
	unsigned i;

	for (i = 0; i < feed->n; i++) {
		if (feed->changes[i].table == table) {
			return &feed->changes[i];
		}
	}
	return NULL;
}

static void the_feed_tells_each_row_once_with_old_and_new(void **state)
{
	struct feed feed = {0};
	struct uuid node;
	struct uuid alloc;
	struct kit k;

	(void)state;
	kit_open(&k);
	k.fsm.changed = collect;
	k.fsm.ctx = &feed;
	kit_register(&k, kit_job(&k, "a", "batch"));
	assert_int_equal(feed.n, 3);
	assert_null(change_of(&feed, TABLE_JOBS)->old);
	assert_ptr_equal(change_of(&feed, TABLE_JOBS)->now, kit_find(&k, "a"));
	assert_ptr_equal(change_of(&feed, TABLE_EVALS)->now, kit_newest_eval(&k, "a"));
	node = kit_node(&k, "n");
	kit_place(&k, "a", &kit_newest_eval(&k, "a")->id, &node, 1, &alloc);
	assert_ptr_equal(change_of(&feed, TABLE_JOBS)->now, kit_find(&k, "a"));
	kit_deregister(&k, "a", true);
	assert_null(change_of(&feed, TABLE_JOBS)->now);
	assert_null(change_of(&feed, TABLE_ALLOCS)->now);
	assert_non_null(change_of(&feed, TABLE_ALLOCS)->old);
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_that_does_not_listen_is_not_woken),
		cmocka_unit_test(a_change_wakes_those_who_wait_for_its_row_or_table),
		cmocka_unit_test(each_kind_of_row_has_its_key),
		cmocka_unit_test(a_full_ring_wakes_everybody),
		cmocka_unit_test(many_waiters_find_their_rows),
		cmocka_unit_test(no_wake_is_lost_between_threads),
		cmocka_unit_test(no_wake_is_lost_by_who_listens_only_while_he_waits),
		cmocka_unit_test(the_feed_tells_each_row_once_with_old_and_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
