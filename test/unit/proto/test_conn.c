#include "test/unit/unit.h"

#include <time.h>

#include "test/unit/proto/conn_pair.h"

/* --- Handlers: calls are kept, for the test to answer ----------------------------------------------------------------
 */

enum { KEPT_MAX = 64 };

static struct rpc_call *kept[KEPT_MAX];
static int n_kept, n_gone, n_drained;
static struct buf pushed;
static char last_payload[256];

static void forget(void)
{
	n_kept = n_gone = n_drained = 0;
	pushed.len = 0;
	last_payload[0] = '\0';
}

static void count_gone(struct rpc_call *call)
{
	(void)call;
	n_gone++;
}

static void count_drained(struct rpc_call *call)
{
	(void)call;
	n_drained++;
}

static void keep_call(struct rpc_conn *c, struct rpc_call *call)
{
	size_t n = call->len < sizeof(last_payload) - 1 ? call->len : sizeof(last_payload) - 1;

	(void)c;
	memcpy(last_payload, call->payload, n);
	last_payload[n] = '\0';
	call->gone_cb = count_gone;
	call->drain_cb = count_drained;
	assert_true(n_kept < KEPT_MAX);
	kept[n_kept++] = call;
}

static void keep_push(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	(void)c;
	assert_int_equal(method, RPC_METHOD_NODE_ALLOCS);
	buf_put(&pushed, payload, len);
}

static const struct rpc_handlers plain = {
	.ready_cb = end_ready_cb, .closed_cb = end_closed_cb, .request_cb = keep_call, .push_cb = keep_push};

struct asked {
	struct rpc_request req; /* First. */
	int replies, chunks, lasts;
	int err;
	bool consume;
	struct buf got;
};

static void asked_reply(struct rpc_request *req, int err, const struct rpc_frame *f)
{
	struct asked *a = (struct asked *)req;

	a->replies++;
	a->err = err;
	a->got.len = 0;
	if (f->len > 0) {
		buf_put(&a->got, f->payload, f->len);
	}
	if ((f->flags & RPC_MORE) == 0 || err != 0) {
		a->lasts++;
	}
}

static void asked_chunk(struct rpc_request *req, int err, const char *data, size_t len, bool last)
{
	struct asked *a = (struct asked *)req;

	a->chunks++;
	a->err = err;
	if (len > 0) {
		buf_put(&a->got, data, len);
	}
	if (last) {
		a->lasts++;
	} else if (a->consume) {
		rpc_consumed(req, len);
	}
}

static void ask(struct asked *a, struct end *e, const char *text, uint32_t timeout_ms, int expected)
{
	memset(a, 0, sizeof(*a));
	a->req.reply_cb = asked_reply;
	a->req.chunk_cb = asked_chunk;
	a->consume = true;
	assert_int_equal(rpc_send(&e->conn, &a->req, RPC_METHOD_STATUS, text, strlen(text), timeout_ms), expected);
}

static struct end a, b;

static void open_plain(void)
{
	forget();
	pair_open(&a, &b, &plain, &plain);
	pair_settle(&a);
	assert_int_equal(a.ready, 1);
	assert_int_equal(b.ready, 1);
}

/* --- Hello -----------------------------------------------------------------------------------------------------------
 */

static char heard_name[2][32];

static int hear_hello(struct rpc_conn *c, const struct rpc_hello *peer, const char **why)
{
	(void)why;
	snprintf(heard_name[c->opener], sizeof(heard_name[0]), "%s", peer->name);
	return 0;
}

static int refuse_hello(struct rpc_conn *c, const struct rpc_hello *peer, const char **why)
{
	(void)c;
	(void)peer;
	*why = "another cluster";
	return ERR_REFUSED;
}

static void both_sides_hear_the_others_hello(void **state)
{
	struct rpc_handlers h = plain;

	(void)state;
	h.hello_cb = hear_hello;
	pair_open(&a, &b, &h, &h);
	assert_false(rpc_conn_ready(&a.conn));
	pair_settle(&a);
	assert_true(rpc_conn_ready(&a.conn) && rpc_conn_ready(&b.conn));
	assert_string_equal(heard_name[0], "a");
	assert_string_equal(heard_name[1], "b");
	pair_close(&a);
}

static void a_refused_hello_tells_why_on_both_sides(void **state)
{
	struct rpc_handlers h = plain;

	(void)state;
	h.hello_cb = refuse_hello;
	pair_open(&a, &b, &plain, &h);
	pair_settle(&a);
	assert_int_equal(a.ready + b.ready, 0);
	assert_int_equal(a.err, ERR_REFUSED);
	assert_string_equal(a.why, "another cluster");
	assert_string_equal(b.why, "another cluster");
	pair_close(&a);
	pair_open(&a, &b, &h, &plain);
	pair_settle(&a);
	assert_int_equal(a.err, ERR_REFUSED);
	pair_close(&a);
}

static void a_late_hello_is_not_waited_for(void **state)
{
	(void)state;
	pair_open(&a, &b, &plain, &plain);
	a.blocked = true;
	pair_pass(&a, RPC_HELLO_MS - 1);
	assert_int_equal(b.closed, 0);
	pair_pass(&a, 2);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.err, ERR_TIMEOUT);
	a.blocked = false;
	pair_close(&a);
}

/* One byte a second keeps nobody waiting for ever. */
static void a_slow_hello_is_not_waited_for(void **state)
{
	(void)state;
	pair_open(&a, &b, &plain, &plain);
	for (int i = 0; i < 10; i++) {
		end_write(&a, 1);
		end_deliver(&a, 1);
		a.blocked = true;
		pair_pass(&a, 1000);
		a.blocked = false;
	}
	assert_int_equal(b.err, ERR_TIMEOUT);
	pair_close(&a);
}

static void before_the_hello_only_little_is_taken(void **state)
{
	static char big[RPC_HELLO_MAX];
	const struct rpc_frame f = {
		.kind = RPC_REQUEST, .id = 65536, .code = RPC_METHOD_HELLO, .payload = big, .len = sizeof(big)};
	struct buf wire = {0};

	(void)state;
	pair_open(&a, &b, &plain, &plain);
	rpc_frame_put(&wire, &f, RPC_FRAME_MAX);
	rpc_conn_input(&b.conn, wire.at, 8);
	assert_int_equal(b.err, ERR_TOOBIG);
	buf_close(&wire);
	pair_close(&a);
}

static void nothing_comes_before_the_hello(void **state)
{
	const struct rpc_frame f = {.kind = RPC_REQUEST, .id = 65536, .code = RPC_METHOD_STATUS, .payload = ""};
	struct buf wire = {0};
	struct asked q;

	(void)state;
	pair_open(&a, &b, &plain, &plain);
	ask(&q, &a, "early", 0, ERR_CLOSED);
	assert_int_equal(rpc_push(&a.conn, RPC_METHOD_NODE_ALLOCS, "", 0), ERR_CLOSED);
	rpc_frame_put(&wire, &f, 1000);
	rpc_conn_input(&b.conn, wire.at, wire.len);
	assert_int_equal(b.err, ERR_SYNTAX);
	buf_close(&wire);
	pair_close(&a);
}

/* --- Requests and answers
 * ---------------------------------------------------------------------------------------------- */

static void requests_are_answered_in_any_order_both_ways(void **state)
{
	struct asked q[3];

	(void)state;
	open_plain();
	ask(&q[0], &a, "one", 0, 0);
	ask(&q[1], &a, "two", 0, 0);
	ask(&q[2], &b, "three", 0, 0);
	pair_settle(&a);
	assert_int_equal(n_kept, 3);
	for (int i = 2; i >= 0; i--) {
		rpc_reply(kept[i], "yes", 3);
	}
	pair_settle(&a);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(q[i].replies, 1);
		assert_int_equal(q[i].err, 0);
		assert_string_equal(buf_text(&q[i].got), "yes");
		buf_close(&q[i].got);
	}
	pair_close(&a);
}

static void errors_travel_with_their_text(void **state)
{
	struct asked q;

	(void)state;
	open_plain();
	ask(&q, &a, "x", 0, 0);
	pair_settle(&a);
	rpc_fail(kept[0], ERR_NOTLEADER, "ask s2");
	pair_settle(&a);
	assert_int_equal(q.err, ERR_NOTLEADER);
	assert_string_equal(buf_text(&q.got), "ask s2");
	buf_close(&q.got);
	pair_close(&a);
}

static void objects_travel(void **state)
{
	struct rpc_index index = {.index = 17};
	struct rpc_index back;
	struct rpc_frame f = {0};
	struct arena mem = {0};
	struct asked q = {.req = {.reply_cb = asked_reply}};

	(void)state;
	open_plain();
	assert_int_equal(rpc_send_object(&a.conn, &q.req, RPC_METHOD_READ_INDEX, &rpc_index_type, &index, 0), 0);
	pair_settle(&a);
	index.index = 18;
	rpc_reply_object(kept[0], &rpc_index_type, &index);
	pair_settle(&a);
	f.payload = q.got.at;
	f.len = q.got.len;
	assert_int_equal(rpc_get(&rpc_index_type, &back, &f, &mem), 0);
	assert_int_equal(back.index, 18);
	arena_close(&mem);
	buf_close(&q.got);
	pair_close(&a);
}

static void pushes_arrive(void **state)
{
	(void)state;
	open_plain();
	assert_int_equal(rpc_push(&b.conn, RPC_METHOD_NODE_ALLOCS, "run this", 8), 0);
	pair_settle(&a);
	assert_string_equal(buf_text(&pushed), "run this");
	buf_close(&pushed);
	pair_close(&a);
}

static void a_cancelled_request_hears_nothing_and_its_handler_is_told(void **state)
{
	struct asked q;

	(void)state;
	open_plain();
	ask(&q, &a, "x", 0, 0);
	pair_settle(&a);
	rpc_cancel(&q.req);
	rpc_cancel(&q.req);
	pair_settle(&a);
	assert_int_equal(n_gone, 1);
	rpc_reply(kept[0], "too late", 8);
	pair_settle(&a);
	assert_int_equal(q.replies, 0);
	pair_close(&a);
}

static void a_late_answer_is_not_taken_for_the_next_requests(void **state)
{
	struct asked q[2];

	(void)state;
	open_plain();
	ask(&q[0], &a, "first", 0, 0);
	pair_settle(&a);
	rpc_reply(kept[0], "first's", 7);
	rpc_cancel(&q[0].req);
	ask(&q[1], &a, "second", 0, 0);
	assert_int_equal(q[0].req.id & 0xffff, q[1].req.id & 0xffff);
	pair_settle(&a);
	assert_int_equal(q[0].replies, 0);
	assert_int_equal(q[1].replies, 0);
	rpc_reply(kept[1], "second's", 8);
	pair_settle(&a);
	assert_string_equal(buf_text(&q[1].got), "second's");
	buf_close(&q[1].got);
	pair_close(&a);
}

static void a_request_without_an_answer_times_out(void **state)
{
	struct asked q[3];

	(void)state;
	open_plain();
	ask(&q[0], &a, "x", 500, 0);
	ask(&q[1], &a, "y", 100, 0);
	ask(&q[2], &a, "z", 0, 0);
	pair_pass(&a, 99);
	assert_int_equal(q[1].replies, 0);
	pair_pass(&a, 13);
	assert_int_equal(q[1].err, ERR_TIMEOUT);
	assert_int_equal(q[0].replies, 0);
	assert_int_equal(n_gone, 1);
	pair_pass(&a, 401);
	assert_int_equal(q[0].err, ERR_TIMEOUT);
	pair_pass(&a, 20000);
	assert_int_equal(q[2].replies, 0);
	for (int i = 0; i < 3; i++) {
		rpc_reply(kept[i], "", 0);
	}
	pair_settle(&a);
	assert_int_equal(q[2].replies, 1);
	for (int i = 0; i < 3; i++) {
		buf_close(&q[i].got);
	}
	pair_close(&a);
}

/* Whether a lost request may be sent again is what every writer wants to know. */
static void a_lost_connection_tells_unsent_requests_from_sent_ones(void **state)
{
	struct asked q[3];

	(void)state;
	open_plain();
	ask(&q[0], &a, "has arrived", 0, 0);
	pair_settle(&a);
	ask(&q[1], &a, "has left in part", 0, 0);
	end_write(&a, 10);
	ask(&q[2], &a, "is still here", 0, 0);
	rpc_conn_close(&a.conn, ERR_IO, "cable cut");
	assert_int_equal(q[0].err, ERR_UNKNOWN);
	assert_int_equal(q[1].err, ERR_CLOSED);
	assert_int_equal(q[2].err, ERR_CLOSED);
	assert_string_equal(buf_text(&q[2].got), "cable cut");
	pair_settle(&a);
	assert_int_equal(n_gone, 1);
	assert_false(b.freed);
	rpc_reply(kept[0], "nobody listens", 14);
	assert_true(b.freed);
	for (int i = 0; i < 3; i++) {
		buf_close(&q[i].got);
	}
	pair_close(&a);
}

static void closing_in_order_lets_answers_leave(void **state)
{
	struct asked q;

	(void)state;
	open_plain();
	ask(&q, &a, "x", 0, 0);
	pair_settle(&a);
	rpc_reply(kept[0], "goodbye", 7);
	rpc_conn_close(&b.conn, 0, "stopping");
	pair_settle(&a);
	assert_int_equal(q.err, 0);
	assert_string_equal(buf_text(&q.got), "goodbye");
	buf_close(&q.got);
	pair_close(&a);
}

static struct asked *second;

static void ask_again_and_close(struct rpc_request *req, int err, const struct rpc_frame *f)
{
	asked_reply(req, err, f);
	ask(second, &a, "from a callback", 0, err == 0 ? 0 : ERR_CLOSED);
	rpc_conn_close(&a.conn, ERR_IO, "closed in a callback");
}

static void callbacks_may_send_and_close(void **state)
{
	struct asked q[2];

	(void)state;
	open_plain();
	second = &q[1];
	ask(&q[0], &a, "x", 0, 0);
	q[0].req.reply_cb = ask_again_and_close;
	pair_settle(&a);
	rpc_reply(kept[0], "", 0);
	pair_settle(&a);
	assert_int_equal(q[1].err, ERR_CLOSED);
	buf_close(&q[1].got);
	pair_close(&a);
	open_plain();
	ask(&q[0], &a, "x", 0, 0);
	q[0].req.reply_cb = ask_again_and_close;
	rpc_conn_close(&a.conn, ERR_IO, "cut");
	assert_int_equal(q[0].replies, 1);
	buf_close(&q[0].got);
	pair_close(&a);
}

/* --- Bounds
 * ------------------------------------------------------------------------------------------------------------- */

static void too_many_requests_are_refused_on_our_side(void **state)
{
	static struct asked q[RPC_REQUESTS_MAX];
	struct asked more;

	(void)state;
	open_plain();
	b.blocked = true;
	a.config.requests_max = 20;
	for (int i = 0; i < 20; i++) {
		ask(&q[i], &a, "x", 0, 0);
	}
	ask(&more, &a, "x", 0, ERR_BUSY);
	rpc_cancel(&q[7].req);
	ask(&more, &a, "x", 0, 0);
	rpc_conn_close(&a.conn, ERR_IO, "");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(q[i].replies, i == 7 ? 0 : 1);
		buf_close(&q[i].got);
	}
	buf_close(&more.got);
	pair_close(&a);
}

static void too_many_requests_are_refused_on_their_side(void **state)
{
	struct asked q[4];

	(void)state;
	open_plain();
	b.config.requests_max = 3;
	for (int i = 0; i < 3; i++) {
		ask(&q[i], &a, "x", 0, 0);
	}
	pair_settle(&a);
	rpc_cancel(&q[2].req); /* Its handler has not answered, so its place is not free yet. */
	ask(&q[3], &a, "x", 0, 0);
	pair_settle(&a);
	assert_int_equal(q[3].err, ERR_BUSY);
	for (int i = 0; i < 3; i++) {
		rpc_reply(kept[i], "", 0);
	}
	pair_settle(&a);
	for (int i = 0; i < 4; i++) {
		buf_close(&q[i].got);
	}
	pair_close(&a);
}

static void the_bytes_of_requests_under_way_are_bounded(void **state)
{
	static char big[3 * RPC_CALL_COST]; /* Alone it finds room. */
	struct asked q[4];
	size_t held = 0;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	open_plain();
	b.config.held_bytes = &held;
	b.config.held_bytes_max = 10 + 2 * RPC_CALL_COST;
	ask(&q[0], &a, big, 0, 0);
	pair_settle(&a);
	assert_int_equal(held, strlen(big) + RPC_CALL_COST);
	ask(&q[1], &a, "x", 0, 0);
	pair_settle(&a);
	assert_int_equal(q[1].err, ERR_BUSY);
	rpc_reply(kept[0], "", 0);
	assert_int_equal(held, 0);
	ask(&q[2], &a, "123456", 0, 0);
	ask(&q[3], &a, "1234", 0, 0);
	pair_settle(&a);
	assert_int_equal(held, 10 + 2 * RPC_CALL_COST);
	assert_int_equal(n_kept, 3);
	rpc_reply(kept[1], "", 0);
	rpc_conn_close(&b.conn, ERR_CLOSED, "over");
	assert_int_equal(held, 0);
	rpc_reply(kept[2], "", 0);
	assert_int_equal(held, 0);
	pair_close(&a);
	for (int i = 0; i < 4; i++) {
		buf_close(&q[i].got); /* Those that were under way have been told. */
	}
}

static void a_frame_that_comes_too_slowly_closes(void **state)
{
	static char big[1 << 20];
	const struct rpc_frame f = {
		.kind = RPC_REQUEST, .id = 65536, .code = RPC_METHOD_STATUS, .payload = big, .len = sizeof(big)};
	struct buf wire = {0};
	size_t at = 0;

	(void)state;
	rpc_frame_put(&wire, &f, RPC_FRAME_MAX);
	open_plain();
	a.blocked = true; /* Nothing of its own gets between, which does not worry it. */
	a.config.silence_ms = 1000000;
	while (at < wire.len) { /* 32 s, but with some speed. */
		size_t n = wire.len - at < 32768 ? wire.len - at : 32768;

		rpc_conn_input(&b.conn, wire.at + at, n);
		at += n;
		pair_pass(&a, n == 32768 ? 800 : 0);
	}
	assert_int_equal(b.closed, 0);
	assert_int_equal(n_kept, 1);
	rpc_reply(kept[0], "", 0);
	pair_pass(&a, 1000);
	for (at = 0; at < 100 && b.closed == 0; at++) {
		rpc_conn_input(&b.conn, wire.at + at, 1);
		pair_pass(&a, 1000);
	}
	assert_int_equal(b.err, ERR_TIMEOUT);
	assert_in_range(at, RPC_FRAME_MS / 1000, RPC_FRAME_MS / 1000 + 6);
	buf_close(&wire);
	pair_close(&a);
}

static void a_full_queue_refuses_requests_and_a_fuller_one_closes(void **state)
{
	static char big[100000];
	struct asked q[8];
	int i;

	(void)state;
	open_plain();
	a.config.queue_max = b.config.queue_max = 250000;
	for (i = 0; i < 8; i++) {
		ask(&q[i], &a, "x", 0, 0);
	}
	pair_settle(&a);
	a.blocked = b.blocked = true;
	for (i = 0; i < 3; i++) {
		assert_int_equal(rpc_push(&a.conn, RPC_METHOD_NODE_ALLOCS, big, sizeof(big)), 0);
	}
	assert_int_equal(rpc_push(&a.conn, RPC_METHOD_NODE_ALLOCS, big, sizeof(big)), ERR_BUSY);
	for (i = 0; i < 8; i++) {
		rpc_reply(kept[i], big, sizeof(big));
	}
	assert_int_equal(b.closed, 0);
	pair_turn(&b, 0);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.err, ERR_BUSY);
	pair_settle(&a);
	for (i = 0; i < 8; i++) {
		buf_close(&q[i].got);
	}
	pair_close(&a);
	buf_close(&pushed);
}

static void frames_too_long_are_refused_here_and_close_there(void **state)
{
	static char big[2000];
	struct asked q;

	(void)state;
	open_plain();
	a.config.frame_max = 1000;
	memset(&q, 0, sizeof(q));
	assert_int_equal(rpc_send(&a.conn, &q.req, RPC_METHOD_STATUS, big, 1000, 0), ERR_TOOBIG);
	ask(&q, &a, "x", 0, 0);
	pair_settle(&a);
	b.config.frame_max = 1000;
	rpc_reply(kept[0], big, sizeof(big)); /* Told as an error instead. */
	pair_settle(&a);
	assert_int_equal(q.err, ERR_TOOBIG);
	b.config.frame_max = 0;
	assert_int_equal(rpc_push(&b.conn, RPC_METHOD_NODE_ALLOCS, big, sizeof(big)), 0);
	pair_settle(&a);
	assert_int_equal(a.err, ERR_TOOBIG);
	buf_close(&q.got);
	pair_close(&a);
}

static void garbage_closes(void **state)
{
	unsigned seed = unit_seed();

	(void)state;
	srandom(seed);
	for (int round = 0; round < 300; round++) {
		char bytes[64];
		size_t n = (size_t)random() % sizeof(bytes) + 1;

		open_plain();
		for (size_t i = 0; i < n; i++) {
			bytes[i] = (char)(random() % 3 == 0 ? random() : 0);
		}
		rpc_conn_input(&b.conn, bytes, n);
		if (round % 2 == 0) {
			rpc_conn_input(&b.conn, "\xff\xff\xff\xff garbage", 12);
			assert_true(b.closed == 1 || b.conn.input.len > 0);
		}
		for (int i = 0; i < n_kept; i++) {
			rpc_reply(kept[i], "", 0);
		}
		pair_close(&a);
	}
	buf_close(&pushed);
}

/* --- Life signs
 * ----------------------------------------------------------------------------------------------------------- */

static void an_idle_connection_lives(void **state)
{
	(void)state;
	open_plain();
	pair_pass(&a, 10 * RPC_SILENCE_MS);
	assert_int_equal(a.closed + b.closed, 0);
	assert_true(a.conn.put > 100); /* Pings or pongs. */
	assert_true(a.conn.put < 2000);
	pair_close(&a);
}

static void a_dead_peer_is_found_out(void **state)
{
	struct asked q;

	(void)state;
	open_plain();
	pair_pass(&a, 1000);
	b.blocked = true;
	ask(&q, &a, "x", 0, 0);
	pair_pass(&a, RPC_SILENCE_MS + 1);
	assert_int_equal(a.closed, 1);
	assert_int_equal(a.err, ERR_TIMEOUT);
	assert_int_equal(q.err, ERR_UNKNOWN);
	rpc_reply(kept[0], "", 0);
	buf_close(&q.got);
	pair_close(&a);
}

/* It sends, so it is not silent; but what we say does not leave. */
static void a_peer_that_does_not_read_is_found_out(void **state)
{
	(void)state;
	open_plain();
	a.blocked = true;
	b.config.silence_ms = 1000000; /* Or else it would find out first. */
	assert_int_equal(rpc_push(&a.conn, RPC_METHOD_NODE_ALLOCS, "x", 1), 0);
	for (int i = 0; i < 30 && a.closed == 0; i++) {
		assert_int_equal(rpc_push(&b.conn, RPC_METHOD_NODE_ALLOCS, "x", 1), 0);
		pair_pass(&a, 1000);
	}
	assert_int_equal(a.err, ERR_TIMEOUT);
	assert_string_equal(a.why, "the other side does not read");
	buf_close(&pushed);
	pair_close(&a);
}

/* --- Streams
 * ---------------------------------------------------------------------------------------------------------------- */

static void a_stream_arrives_whole_and_in_order(void **state)
{
	static char piece[10000];
	struct asked q;
	int rv = 0;

	(void)state;
	open_plain();
	ask(&q, &a, "logs", 1000, 0);
	pair_settle(&a);
	rpc_reply_begin(kept[0], "head", 4);
	pair_settle(&a);
	assert_int_equal(q.replies, 1);
	assert_string_equal(buf_text(&q.got), "head");
	q.got.len = 0;
	pair_pass(&a, 2000); /* The answer has begun: no timeout. */
	for (int i = 0; i < 100; i++) {
		memset(piece, 'a' + i % 26, sizeof(piece));
		rv = rpc_reply_chunk(kept[0], piece, sizeof(piece));
		assert_int_equal(rv, 0);
		pair_settle(&a);
	}
	rpc_reply_end(kept[0], 0);
	pair_settle(&a);
	assert_int_equal(q.lasts, 1);
	assert_int_equal(q.err, 0);
	assert_int_equal(q.got.len, 1000000);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(q.got.at[i * 10000 + 5], 'a' + i % 26);
	}
	buf_close(&q.got);
	pair_close(&a);
}

static void a_slow_reader_holds_the_writer_up(void **state)
{
	static char piece[50000];
	struct asked q;
	size_t taken = 0;
	int rv;

	(void)state;
	open_plain();
	ask(&q, &a, "logs", 0, 0);
	q.consume = false;
	pair_settle(&a);
	rpc_reply_begin(kept[0], "", 0);
	do {
		rv = rpc_reply_chunk(kept[0], piece, sizeof(piece));
		taken += rv >= 0 ? sizeof(piece) : 0;
		pair_settle(&a);
	} while (rv == 0);
	assert_int_equal(rv, HTTP_WAIT);
	assert_int_equal(q.got.len, RPC_WINDOW);
	while ((rv = rpc_reply_chunk(kept[0], piece, sizeof(piece))) == HTTP_WAIT) {
		taken += sizeof(piece);
	}
	assert_int_equal(rv, ERR_BUSY);
	assert_true(taken <= RPC_WINDOW + HTTP_STREAM_MAX);
	assert_int_equal(n_drained, 0);
	q.consume = true;
	rpc_consumed(&q.req, RPC_WINDOW);
	pair_settle(&a);
	assert_int_equal(n_drained, 1);
	assert_int_equal(q.got.len, taken);
	rpc_reply_end(kept[0], 0);
	pair_settle(&a);
	assert_int_equal(q.lasts, 1);
	buf_close(&q.got);
	pair_close(&a);
}

static void the_end_of_a_stream_waits_for_its_bytes(void **state)
{
	static char big[RPC_WINDOW * 2];
	struct asked q;

	(void)state;
	open_plain();
	ask(&q, &a, "logs", 0, 0);
	q.consume = false;
	pair_settle(&a);
	rpc_reply_begin(kept[0], "", 0);
	assert_int_equal(rpc_reply_chunk(kept[0], big, sizeof(big)), HTTP_WAIT);
	rpc_reply_end(kept[0], 0);
	pair_settle(&a);
	assert_int_equal(q.lasts, 0);
	q.consume = true;
	rpc_consumed(&q.req, RPC_WINDOW);
	pair_settle(&a);
	assert_int_equal(q.lasts, 1);
	assert_int_equal(q.got.len, sizeof(big));
	assert_int_equal(n_drained, 0);
	buf_close(&q.got);
	pair_close(&a);
}

static void a_stream_can_break_off_from_both_ends(void **state)
{
	static char big[RPC_WINDOW * 2];
	struct asked q[4];

	(void)state;
	open_plain();
	for (int i = 0; i < 4; i++) {
		ask(&q[i], &a, "logs", 0, 0);
		q[i].consume = false;
		pair_settle(&a);
		rpc_reply_begin(kept[i], "", 0);
		rpc_reply_chunk(kept[i], big, sizeof(big));
		pair_settle(&a);
	}
	rpc_reply_end(kept[0], ERR_IO);
	rpc_cancel(&q[1].req);
	rpc_reply_end(kept[2], 0);
	rpc_cancel(&q[2].req);
	pair_settle(&a);
	assert_int_equal(q[0].err, ERR_IO);
	assert_int_equal(q[0].lasts, 1);
	assert_int_equal(q[1].lasts, 0);
	assert_int_equal(n_gone, 1);
	assert_int_equal(rpc_reply_chunk(kept[1], "x", 1), ERR_CLOSED);
	rpc_reply_end(kept[1], 0);
	rpc_conn_close(&b.conn, ERR_IO, "cut");
	pair_settle(&a);
	assert_int_equal(q[3].err, ERR_UNKNOWN);
	assert_int_equal(q[3].lasts, 1);
	assert_int_equal(n_gone, 2);
	rpc_reply_end(kept[3], 0);
	for (int i = 0; i < 4; i++) {
		buf_close(&q[i].got);
	}
	pair_close(&a);
}

static void who_wants_no_stream_gets_an_error(void **state)
{
	struct asked q;

	(void)state;
	open_plain();
	ask(&q, &a, "x", 0, 0);
	q.req.chunk_cb = NULL;
	pair_settle(&a);
	rpc_reply_begin(kept[0], "", 0);
	pair_settle(&a);
	assert_int_equal(q.err, ERR_UNSUPPORTED);
	assert_int_equal(n_gone, 1);
	rpc_reply_end(kept[0], 0);
	buf_close(&q.got);
	pair_close(&a);
}

/* --- Everything at random
 * ------------------------------------------------------------------------------------------------------ */

enum { SOAK_ASKED = 200 };

struct soak {
	struct asked q;
	bool cancelled;
	bool sent;
};

static struct rpc_call *open_calls[KEPT_MAX];
static int n_open;

static void soak_gone(struct rpc_call *call)
{
	n_gone++;
	if (random() % 2 == 0) { /* Some answer at once, some are found by soak_answer() later. */
		for (int i = 0; i < n_open; i++) {
			if (open_calls[i] == call) {
				open_calls[i] = open_calls[--n_open];
				break;
			}
		}
		if (call->streaming) {
			rpc_reply_end(call, ERR_CLOSED);
		} else {
			rpc_fail(call, ERR_CLOSED, "gone");
		}
	}
}

static void soak_request(struct rpc_conn *c, struct rpc_call *call)
{
	(void)c;
	if (n_open == KEPT_MAX || random() % 4 == 0) {
		rpc_reply(call, call->payload, call->len);
		return;
	}
	call->gone_cb = soak_gone;
	open_calls[n_open++] = call;
}

static void soak_answer(void)
{
	static char bytes[200000];
	int i = n_open > 0 ? (int)(random() % n_open) : 0;
	struct rpc_call *call = n_open > 0 ? open_calls[i] : NULL;

	if (call == NULL) {
		return;
	}
	if (!call->streaming && random() % 3 == 0) {
		rpc_reply_begin(call, "", 0);
		return;
	}
	if (call->streaming && random() % 3 != 0) {
		rpc_reply_chunk(call, bytes, (size_t)random() % sizeof(bytes));
		return;
	}
	open_calls[i] = open_calls[--n_open];
	if (call->streaming) {
		rpc_reply_end(call, random() % 5 == 0 ? ERR_IO : 0);
	} else if (random() % 5 == 0) {
		rpc_fail(call, ERR_NOTLEADER, "not me");
	} else {
		rpc_reply(call, bytes, (size_t)random() % 1000);
	}
}

static void soak_ask(struct soak *s, struct end *e)
{
	memset(s, 0, sizeof(*s));
	s->q.req.reply_cb = asked_reply;
	s->q.req.chunk_cb = asked_chunk;
	s->q.consume = true;
	s->sent = rpc_send(&e->conn, &s->q.req, RPC_METHOD_STATUS, "question", 8, random() % 2 ? 0 : 200) == 0;
}

static void soak(unsigned seed)
{
	static struct soak s[SOAK_ASKED];
	const struct rpc_handlers h = {
		.ready_cb = end_ready_cb, .closed_cb = end_closed_cb, .request_cb = soak_request};

	srandom(seed);
	n_open = 0;
	pair_open(&a, &b, &h, &h);
	pair_settle(&a);
	for (int i = 0; i < SOAK_ASKED; i++) {
		int rounds = (int)(random() % 5);

		soak_ask(&s[i], random() % 2 ? &a : &b);
		if (random() % 6 == 0) {
			int j = (int)(random() % (i + 1));

			s[j].cancelled |= s[j].q.lasts == 0;
			rpc_cancel(&s[j].q.req);
		}
		while (rounds-- > 0) {
			soak_answer();
			pair_now += random() % 50;
			pair_turn(&a, (size_t)random() % 3000);
		}
		if (random() % (SOAK_ASKED * 3) == 0) {
			rpc_conn_close(&a.conn, ERR_IO, "cut at random");
		}
	}
	for (int i = 0; i < 2000 && random() % 1000 != 0; i++) {
		soak_answer();
		pair_turn(&a, (size_t)random() % 10000);
	}
	rpc_conn_close(&b.conn, ERR_IO, "the end");
	pair_settle(&a);
	while (n_open > 0) {
		struct rpc_call *call = open_calls[--n_open];

		if (call->streaming) {
			rpc_reply_end(call, 0);
		} else {
			rpc_reply(call, "", 0);
		}
	}
	for (int i = 0; i < SOAK_ASKED; i++) { /* Each has had its last word exactly once, but for the cancelled. */
		assert_int_equal(s[i].q.lasts, s[i].sent && !s[i].cancelled ? 1 : 0);
		buf_close(&s[i].q.got);
	}
	pair_close(&a);
}

static void random_traffic_keeps_every_promise(void **state)
{
	unsigned seed = unit_seed();

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		soak(seed + i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_hear_the_others_hello),
		cmocka_unit_test(a_refused_hello_tells_why_on_both_sides),
		cmocka_unit_test(a_late_hello_is_not_waited_for),
		cmocka_unit_test(a_slow_hello_is_not_waited_for),
		cmocka_unit_test(before_the_hello_only_little_is_taken),
		cmocka_unit_test(nothing_comes_before_the_hello),
		cmocka_unit_test(requests_are_answered_in_any_order_both_ways),
		cmocka_unit_test(errors_travel_with_their_text),
		cmocka_unit_test(objects_travel),
		cmocka_unit_test(pushes_arrive),
		cmocka_unit_test(a_cancelled_request_hears_nothing_and_its_handler_is_told),
		cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_requests),
		cmocka_unit_test(a_request_without_an_answer_times_out),
		cmocka_unit_test(a_lost_connection_tells_unsent_requests_from_sent_ones),
		cmocka_unit_test(closing_in_order_lets_answers_leave),
		cmocka_unit_test(callbacks_may_send_and_close),
		cmocka_unit_test(too_many_requests_are_refused_on_our_side),
		cmocka_unit_test(too_many_requests_are_refused_on_their_side),
		cmocka_unit_test(the_bytes_of_requests_under_way_are_bounded),
		cmocka_unit_test(a_frame_that_comes_too_slowly_closes),
		cmocka_unit_test(a_full_queue_refuses_requests_and_a_fuller_one_closes),
		cmocka_unit_test(frames_too_long_are_refused_here_and_close_there),
		cmocka_unit_test(garbage_closes),
		cmocka_unit_test(an_idle_connection_lives),
		cmocka_unit_test(a_dead_peer_is_found_out),
		cmocka_unit_test(a_peer_that_does_not_read_is_found_out),
		cmocka_unit_test(a_stream_arrives_whole_and_in_order),
		cmocka_unit_test(a_slow_reader_holds_the_writer_up),
		cmocka_unit_test(the_end_of_a_stream_waits_for_its_bytes),
		cmocka_unit_test(a_stream_can_break_off_from_both_ends),
		cmocka_unit_test(who_wants_no_stream_gets_an_error),
		cmocka_unit_test(random_traffic_keeps_every_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
