/* Fail every allocation in turn while requests go from agent to agent: each must be answered once, by whatever error,
 * and nothing may leak. Linked with --wrap=malloc, calloc and realloc. */
#include "test/unit/unit.h"

#include "test/unit/proto/relay_pair.h"

static volatile long countdown = -1; /* malloc() is known not to look at such things. */
static volatile bool hit;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	if (countdown < 0 || pair_is_network || countdown-- > 0) {
		return false;
	}
	hit = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

/* False when there was not even memory for the request. */
static bool try_ask(struct kept *k, const char *target, const char *body)
{
	if (kept_open(k, "PUT", target) != 0) {
		kept_close(k);
		return false;
	}
	k->req.body = body;
	k->req.body_len = strlen(body);
	relay_forward(&a.relay, &k->req, "leader", 1000);
	return true;
}

static void write_some(struct http_request *req)
{
	static const char piece[40000];

	for (int i = 0; i < 20 && http_stream_write(req, piece, sizeof(piece)) == 0; i++) {
		turn(SIZE_MAX);
	}
}

static void release_held(void)
{
	if (held == NULL) {
		return;
	}
	if (held->answered) {
		write_some(held);
		http_stream_end(held, true);
	} else {
		http_answer_text(held, 200, "at last");
	}
	held = NULL;
}

static void scenario(long n)
{
	static const char *const targets[] = {"/echo?x=1", "/big?n=300000", "/big?n=700000&shared", "/nothing",
					      "/stream"};
	struct kept k[5];
	bool asked[5];

	set_up(NULL);
	countdown = n;
	for (int i = 0; i < 5; i++) {
		asked[i] = try_ask(&k[i], targets[i], "a body");
		for (int j = 0; j < 30; j++) {
			turn(SIZE_MAX);
		}
		release_held();
	}
	settle();
	countdown = -1;
	pair_now += 2000; /* What has got lost with its answer times out. */
	settle();
	for (int i = 0; i < 5; i++) {
		if (asked[i]) {
			assert_int_equal(k[i].answers, 1);
			assert_true(k[i].ends == 0 || k[i].ends == 1);
			kept_close(&k[i]);
		}
	}
	tear_down(NULL);
}

static void every_allocation_may_fail(void **state)
{
	long n = 0;

	(void)state;
	do {
		hit = false;
		scenario(n++);
	} while (hit);
	print_message("%ld allocations\n", n - 1);
	assert_true(n > 50);
}

/* Opening a connection. */
static void a_connection_without_memory_closes(void **state)
{
	(void)state;
	for (long n = 0; n < 100; n++) {
		open_agent(&a);
		open_agent(&b);
		hit = false;
		countdown = n;
		end_init(&a.end, &b.end, true, &handlers, "a");
		end_init(&b.end, &a.end, false, &handlers, "b");
		end_write(&a.end, 1);
		a.end.wire.len = 0;
		pair_settle(&a.end);
		countdown = -1;
		assert_true(!hit || a.end.closed + b.end.closed > 0 || a.end.ready + b.end.ready == 2);
		pair_close(&a.end);
		if (!hit) {
			assert_true(n > 5);
			return;
		}
	}
	fail();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_without_memory_closes),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
