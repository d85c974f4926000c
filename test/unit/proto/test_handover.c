#include "test/unit/unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "proto/handover.h"

/* --- an owner, whose sink takes as much as a script says ---------------------------------------------------------- */

struct asked {
	struct http_request req; /* First. */
	struct list link;
	struct buf got;
	int answers, ends, status;
	struct http_response head; /* The last answer's, whose texts must live as long as the request. */
	bool whole;
	bool fussy;   /* Its sink has no room after each write, until it is drained. */
	bool waiting; /* For drain_cb. */
};

static struct asked *asked_of(struct http_request *req)
{
	return (struct asked *)(void *)req;
}

static void sink_answer(struct http_request *req, struct http_response *res)
{
	struct asked *a = asked_of(req);

	a->answers++;
	a->status = res->status;
	a->head = *res;
	if (res->shared != NULL) {
		buf_put(&a->got, res->shared->at, res->shared->len);
		http_body_put(res->shared);
	} else {
		buf_put(&a->got, res->body.at, res->body.len);
		buf_close(&res->body);
	}
}

static void sink_begin(struct http_request *req, struct http_response *head)
{
	asked_of(req)->answers++;
	asked_of(req)->status = head->status;
	asked_of(req)->head = *head;
}

static int sink_write(struct http_request *req, const void *data, size_t len)
{
	struct asked *a = asked_of(req);

	if (req->gone) {
		return ERR_CLOSED;
	}
	assert_false(a->waiting);
	buf_put(&a->got, data, len);
	a->waiting = a->fussy;
	return a->fussy ? HTTP_WAIT : 0;
}

static void sink_end(struct http_request *req, bool whole)
{
	asked_of(req)->ends++;
	asked_of(req)->whole = whole;
}

static const struct http_sink sink = {sink_answer, sink_begin, sink_write, sink_end};

static void asked_init(struct asked *a, const char *target, const char *body)
{
	memset(a, 0, sizeof(*a));
	http_request_init(&a->req, &sink);
	assert_int_equal(http_request_target(&a->req, target, strlen(target)), 0);
	a->req.body = body;
	a->req.body_len = strlen(body);
}

static void asked_close(struct asked *a)
{
	buf_close(&a->got);
	http_request_close(&a->req);
}

/* --- two threads that are one: their mail is run when the test says so -------------------------------------------- */

struct world {
	struct mailbox there, back;
	bool refuse;
	struct http_request *parked; /* The copy that is not answered yet. */
	size_t left;                 /* Bytes that the handler will stream. */
	int gone;
	bool want_drain;
};

static struct world *world;

static void no_wake(void *arg)
{
	(void)arg;
}

static bool post_there(void *ctx, struct mail *mail)
{
	struct world *w = ctx;

	return !w->refuse && mailbox_put(&w->there, mail);
}

static void post_follow(void *ctx, struct mail *mail)
{
	mailbox_put_answer(&((struct world *)ctx)->there, mail);
}

static void post_back(void *ctx, struct mail *mail)
{
	mailbox_put_answer(&((struct world *)ctx)->back, mail);
}

static void stream_on(struct http_request *copy)
{
	static char bytes[10000];
	int rc = 0;

	memset(bytes, 'x', sizeof(bytes));
	while (world->left > 0 && rc == 0) {
		size_t n = world->left < sizeof(bytes) ? world->left : sizeof(bytes);

		rc = http_stream_write(copy, bytes, n);
		world->left -= rc >= 0 ? n : 0;
	}
	if (rc < 0 || world->left == 0) {
		world->parked = NULL;
		http_stream_end(copy, world->left == 0);
	}
}

static void stream_gone(struct http_request *copy)
{
	world->gone++;
	world->parked = NULL;
	http_stream_end(copy, false);
}

static void parked_gone(struct http_request *copy)
{
	(void)copy;
	world->gone++;
}

/* Texts that are gone with the copy. */
static char *lent[5];

static const char *lend(struct http_request *copy, unsigned i, const char *text)
{
	lent[i] = arena_strdup(&copy->mem, text);
	return lent[i];
}

static struct http_response lent_answer(struct http_request *copy)
{
	struct http_response res = {.n_extra = 1};

	res.type = lend(copy, 0, "text/odd");
	res.next_token = lend(copy, 1, "next");
	res.location = lend(copy, 2, "/there");
	res.extra[0] = (struct http_header){lend(copy, 3, "Name"), lend(copy, 4, "value")};
	return res;
}

static void handle(void *ctx, struct http_request *copy)
{
	assert_ptr_equal(ctx, world);
	if (strncmp(copy->path, "/lent", 5) == 0) {
		struct http_response res = lent_answer(copy);

		if (copy->path[5] == '\0') {
			http_answer(copy, &res);
		} else {
			http_stream_begin(copy, &res);
			http_stream_end(copy, true);
		}
		return;
	}
	if (strcmp(copy->path, "/echo") == 0) {
		struct buf body = {0};

		buf_put(&body, copy->body, copy->body_len);
		http_answer_json(copy, &body, 7);
	} else if (strcmp(copy->path, "/session") == 0) {
		http_answer_text(copy, 200, "%s", copy->session);
	} else if (strcmp(copy->path, "/park") == 0) {
		world->parked = copy;
		copy->gone_cb = parked_gone;
	} else {
		struct http_response head = {.status = 206};

		world->parked = copy;
		copy->gone_cb = stream_gone;
		copy->drain_cb = stream_on;
		http_stream_begin(copy, &head);
		stream_on(copy);
	}
}

static struct handover_route route = {post_there, post_follow, post_back, handle, NULL};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	mailbox_init(&w->there, 16, no_wake, NULL);
	mailbox_init(&w->back, 16, no_wake, NULL);
	route.ctx = w;
	world = w;
}

static void settle(struct world *w, struct asked *a)
{
	for (int i = 0; i < 1000; i++) {
		mailbox_run(&w->there);
		mailbox_run(&w->back);
		if (a->waiting && a->req.drain_cb != NULL) {
			a->waiting = false;
			a->req.drain_cb(&a->req);
		}
	}
}

static void a_request_is_answered_by_the_other_thread(void **state)
{
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	asked_init(&a, "/echo?pretty", "{\"a\":1}");
	handover_http(&route, &a.req);
	a.req.body = "gone";
	assert_int_equal(a.answers, 0);
	settle(&w, &a);
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(buf_text(&a.got), "    \"a\": 1")); /* Indented, and once. */
	asked_close(&a);
}

/* An HTTP server sends them in a later turn, when the copy is gone. */
static void a_sessions_name_goes_along(void **state)
{
	char name[] = "11111111-2222-3333-4444-555555555555";
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	asked_init(&a, "/session", "");
	a.req.session = name;
	handover_http(&route, &a.req);
	name[0] = 'x';
	settle(&w, &a);
	assert_string_equal(buf_text(&a.got), "11111111-2222-3333-4444-555555555555");
	asked_close(&a);
}

static void the_texts_of_an_answer_outlive_the_copy(void **state)
{
	static const char *const targets[] = {"/lent", "/lent/stream"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world w;
		struct asked a;

		world_init(&w);
		asked_init(&a, targets[i], "");
		handover_http(&route, &a.req);
		settle(&w, &a);
		assert_int_equal(a.answers, 1);
		assert_string_equal(a.head.type, "text/odd");
		assert_string_equal(a.head.next_token, "next");
		assert_string_equal(a.head.location, "/there");
		assert_int_equal(a.head.n_extra, 1);
		assert_string_equal(a.head.extra[0].name, "Name");
		assert_string_equal(a.head.extra[0].value, "value");
		assert_ptr_not_equal(a.head.type, lent[0]);
		assert_ptr_not_equal(a.head.next_token, lent[1]);
		assert_ptr_not_equal(a.head.location, lent[2]);
		assert_ptr_not_equal(a.head.extra[0].name, lent[3]);
		assert_ptr_not_equal(a.head.extra[0].value, lent[4]);
		asked_close(&a);
	}
}

static void a_full_way_is_answered_with_429(void **state)
{
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	w.refuse = true;
	asked_init(&a, "/echo", "");
	handover_http(&route, &a.req);
	assert_int_equal(a.answers, 1);
	assert_int_equal(a.status, 429);
	asked_close(&a);
}

static void a_stream_comes_whole_however_slowly_it_is_taken(void **state)
{
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	w.left = 3000123;
	asked_init(&a, "/stream", "");
	a.fussy = true;
	handover_http(&route, &a.req);
	mailbox_run(&w.there);
	assert_true(3000123 - w.left <= HANDOVER_WINDOW + 10000);
	settle(&w, &a);
	assert_int_equal(a.status, 206);
	assert_int_equal(a.ends, 1);
	assert_true(a.whole);
	assert_int_equal(a.got.len, 3000123);
	asked_close(&a);
}

static void a_client_that_leaves_a_stream_is_told_of(void **state)
{
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	w.left = 3000123;
	asked_init(&a, "/stream", "");
	a.fussy = true;
	handover_http(&route, &a.req);
	mailbox_run(&w.there);
	mailbox_run(&w.back);
	a.req.gone = true;
	a.req.gone_cb(&a.req);
	a.waiting = false;
	settle(&w, &a);
	assert_int_equal(w.gone, 1);
	assert_int_equal(a.ends, 1);
	assert_false(a.whole);
	asked_close(&a);
}

static void one_that_leaves_while_it_waits_gets_its_answer_all_the_same(void **state)
{
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	asked_init(&a, "/park", "");
	handover_http(&route, &a.req);
	settle(&w, &a);
	a.req.gone = true;
	a.req.gone_cb(&a.req);
	settle(&w, &a);
	assert_int_equal(w.gone, 1);
	assert_true(w.parked->gone);
	http_answer_text(w.parked, 200, "nobody");
	settle(&w, &a);
	assert_int_equal(a.answers, 1);
	asked_close(&a);
}

static void leaving_and_answering_may_cross(void **state)
{
	struct world w;
	struct asked a;

	(void)state;
	world_init(&w);
	asked_init(&a, "/park", "");
	handover_http(&route, &a.req);
	settle(&w, &a);
	http_answer_text(w.parked, 200, "late");
	a.req.gone = true;
	a.req.gone_cb(&a.req);
	settle(&w, &a);
	assert_int_equal(w.gone, 0);
	assert_int_equal(a.answers, 1);
	asked_close(&a);
}

/* --- two threads that are two ------------------------------------------------------------------------------------- */

struct thread {
	struct mailbox box;
	sem_t wake;
	pthread_t thread;
	atomic_bool stop;
};

static struct thread server;
static struct thread owner;

static void wake_thread(void *arg)
{
	sem_post(&((struct thread *)arg)->wake);
}

static bool to_server(void *ctx, struct mail *mail)
{
	(void)ctx;
	return mailbox_put(&server.box, mail);
}

static void after_it(void *ctx, struct mail *mail)
{
	(void)ctx;
	mailbox_put_answer(&server.box, mail);
}

static void to_owner(void *ctx, struct mail *mail)
{
	(void)ctx;
	mailbox_put_answer(&owner.box, mail);
}

/* Each request of this test streams "/N" bytes, or answers with its body. */
static void pour(struct http_request *copy)
{
	static const char bytes[1000];
	size_t left = (size_t)(uintptr_t)copy->data;
	int rc = 0;

	while (left > 0 && rc == 0) {
		size_t n = left < sizeof(bytes) ? left : sizeof(bytes);

		rc = http_stream_write(copy, bytes, n);
		left -= rc >= 0 ? n : 0;
	}
	copy->data = (void *)(uintptr_t)left;
	if (rc < 0 || left == 0) {
		http_stream_end(copy, left == 0);
	}
}

static void cut_off(struct http_request *copy)
{
	http_stream_end(copy, false);
}

static void serve_thread(void *ctx, struct http_request *copy)
{
	long n = strtol(copy->path + 1, NULL, 10);
	struct http_response head = {0};

	(void)ctx;
	if (n == 0) {
		http_answer_text(copy, 200, "%s", copy->body);
		return;
	}
	copy->data = (void *)(uintptr_t)n;
	copy->drain_cb = pour;
	copy->gone_cb = cut_off;
	http_stream_begin(copy, &head);
	pour(copy);
}

static const struct handover_route threads_route = {to_server, after_it, to_owner, serve_thread, NULL};

static void *serve(void *arg)
{
	(void)arg;
	while (!atomic_load(&server.stop)) {
		sem_wait(&server.wake);
		mailbox_run(&server.box);
	}
	return NULL;
}

static void thread_init(struct thread *t)
{
	sem_init(&t->wake, 0, 0);
	mailbox_init(&t->box, 64, wake_thread, t);
}

/* Some leave in the middle of their stream. */
static void run_owner(struct asked *asked, int n, unsigned *seed)
{
	int open = n;

	while (open > 0) {
		sem_wait(&owner.wake);
		mailbox_run(&owner.box);
		open = 0;
		for (int i = 0; i < n; i++) {
			struct asked *a = &asked[i];

			if (a->answers > 0 && a->req.gone_cb != NULL && rand_r(seed) % 8 == 0 && !a->req.gone) {
				a->req.gone = true;
				a->waiting = false;
				a->req.gone_cb(&a->req);
			}
			if (a->waiting && a->req.drain_cb != NULL && !a->req.gone) {
				a->waiting = false;
				a->req.drain_cb(&a->req);
				sem_post(&owner.wake);
			}
			open += a->req.gone_cb != NULL; /* Cleared by the end. */
		}
	}
}

static void nothing_is_lost_between_two_threads(void **state)
{
	enum { N = 32 };
	struct asked asked[N];
	unsigned seed = 7;

	(void)state;
	thread_init(&server);
	thread_init(&owner);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < N; i++) {
			char target[32];

			snprintf(target, sizeof(target), "/%d", i % 4 == 0 ? 0 : 50000 * (i % 16));
			asked_init(&asked[i], target, "the body");
			asked[i].fussy = i % 3 == 0;
			handover_http(&threads_route, &asked[i].req);
		}
		run_owner(asked, N, &seed);
		for (int i = 0; i < N; i++) {
			size_t n = i % 4 == 0 || i % 16 == 0 ? strlen("the body") : 50000 * (size_t)(i % 16);

			assert_int_equal(asked[i].answers, 1);
			assert_true(asked[i].req.gone || asked[i].got.len == n);
			assert_true(i % 4 == 0 || asked[i].req.gone || asked[i].whole);
			asked_close(&asked[i]);
		}
	}
	atomic_store(&server.stop, true);
	sem_post(&server.wake);
	pthread_join(server.thread, NULL);
	mailbox_run(&server.box);
	mailbox_run(&owner.box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_request_is_answered_by_the_other_thread),
	        cmocka_unit_test(a_sessions_name_goes_along),
	        cmocka_unit_test(the_texts_of_an_answer_outlive_the_copy),
	        cmocka_unit_test(a_full_way_is_answered_with_429),
	        cmocka_unit_test(a_stream_comes_whole_however_slowly_it_is_taken),
	        cmocka_unit_test(a_client_that_leaves_a_stream_is_told_of),
	        cmocka_unit_test(one_that_leaves_while_it_waits_gets_its_answer_all_the_same),
	        cmocka_unit_test(leaving_and_answering_may_cross),
	        cmocka_unit_test(nothing_is_lost_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
