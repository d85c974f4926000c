#include "test/unit/unit.h"

#include <time.h>

#include "test/unit/proto/relay_pair.h"

/* --- Tests
 * --------------------------------------------------------------------------------------------------------------- */

static void a_request_is_answered_by_the_other_agent(void **state)
{
	struct kept k;

	(void)state;
	assert_int_equal(kept_open(&k, "PUT", "/echo?x=1"), 0);
	k.req.token = "t";
	k.req.body = "body";
	k.req.body_len = 4;
	relay_forward(&a.relay, &k.req, "leader", 1000);
	k.req.body = NULL; /* It was copied. */
	settle();
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 200);
	assert_string_equal(buf_text(&k.body), "PUT 1 t body");
	kept_close(&k);
}

/* As for a request that waits for a leader. */
static void a_handler_may_keep_a_copy_of_the_body(void **state)
{
	struct kept k;

	(void)state;
	assert_int_equal(kept_open(&k, "PUT", "/later"), 0);
	k.req.body = "body";
	k.req.body_len = 4;
	relay_forward(&a.relay, &k.req, "leader", 1000);
	settle();
	assert_non_null(held);
	assert_int_equal(held->body_len, 4);
	assert_string_equal(held->body, "body");
	http_answer_text(held, 200, "%s", held->body);
	held = NULL;
	settle();
	assert_string_equal(buf_text(&k.body), "body");
	kept_close(&k);
}

static struct http_request *back;
static int back_err;

static void take_back(void *ctx, struct http_request *req, int err)
{
	assert_ptr_equal(ctx, &a);
	back = req;
	back_err = err;
}

static void owners_gone(struct http_request *req)
{
	(void)req;
}

/* What the other side did not answer is its owner's again, as it was. */
static void a_request_that_is_not_answered_goes_back_to_its_owner(void **state)
{
	struct kept k;
	int owner;

	(void)state;
	a.relay.returned = take_back;
	back = NULL;
	assert_int_equal(kept_open(&k, "PUT", "/later"), 0);
	k.req.data = &owner;
	k.req.gone_cb = owners_gone;
	relay_forward(&a.relay, &k.req, "leader", 1000);
	settle();
	rpc_conn_close(&a.end.conn, ERR_IO, "cut");
	settle();
	assert_ptr_equal(back, &k.req);
	assert_int_equal(back_err, ERR_UNKNOWN);
	assert_ptr_equal(k.req.data, &owner);
	assert_ptr_equal(k.req.gone_cb, owners_gone);
	assert_int_equal(k.answers, 0);
	back = NULL; /* Again: now there is no way. */
	relay_forward(&a.relay, &k.req, "leader", 1000);
	settle();
	assert_ptr_equal(back, &k.req);
	assert_int_equal(back_err, ERR_NOLEADER);
	http_answer_text(&k.req, 500, "no");
	kept_close(&k);
	a.relay.returned = NULL;
}

/* One whose client has left meanwhile is answered, so that it ends. */
static void a_request_without_a_client_does_not_go_back(void **state)
{
	struct kept k;

	(void)state;
	a.relay.returned = take_back;
	back = NULL;
	ask(&k, "GET", "/later");
	settle();
	k.req.gone = true;
	k.req.gone_cb(&k.req);
	settle();
	assert_null(back);
	assert_int_equal(k.answers, 1);
	kept_close(&k);
	a.relay.returned = NULL;
}

static void large_answers_come_whole(void **state)
{
	static const char *const targets[] = {"/big?n=262144", "/big?n=262145", "/big?n=3000000",
					      "/big?n=3000000&shared"};
	struct kept k;

	(void)state;
	for (int i = 0; i < 4; i++) {
		ask(&k, "GET", targets[i]);
		settle();
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.ends, 0);
		assert_int_equal(k.res.index, 9);
		assert_int_equal(k.body.len, atoi(http_query(&k.req, "n")));
		for (size_t j = 0; j < k.body.len; j++) {
			assert_int_equal(k.body.at[j], 'a' + j % 26);
		}
		kept_close(&k);
	}
}

static void streams_flow_through(void **state)
{
	struct kept k;

	(void)state;
	ask(&k, "GET", "/stream");
	settle();
	assert_int_equal(k.answers, 1);
	assert_string_equal(k.res.type, "text/plain");
	for (int i = 0; i < 300; i++) {
		char piece[3000];

		memset(piece, 'a' + i % 26, sizeof(piece));
		assert_int_equal(http_stream_write(held, piece, sizeof(piece)), 0);
		settle();
		assert_int_equal(k.body.len, 3000 * (i + 1));
	}
	http_stream_end(held, true);
	held = NULL;
	settle();
	assert_int_equal(k.ends, 1);
	assert_true(k.whole);
	kept_close(&k);
}

static int wait_write(struct http_request *req, const void *data, size_t len)
{
	kept_write(req, data, len);
	return HTTP_WAIT;
}

/* The client does not read: its agent's window fills up, then the connection's, then the handler is asked to wait. */
static void a_slow_client_holds_the_other_agents_handler_up(void **state)
{
	static const struct http_sink slow = {kept_answer, kept_begin, wait_write, kept_end};
	static char piece[50000];
	struct kept k;
	size_t taken = 0;
	int rv;

	(void)state;
	ask(&k, "GET", "/stream");
	k.req.sink = &slow;
	settle();
	do {
		rv = http_stream_write(held, piece, sizeof(piece));
		taken += sizeof(piece);
		settle();
	} while (rv == 0 && taken < 10000000);
	assert_int_equal(rv, HTTP_WAIT);
	assert_true(taken < 1000000);
	assert_true(k.body.len <= RPC_WINDOW);
	n_drained = 0;
	for (int i = 0; i < 50; i++) {
		k.req.drain_cb(&k.req);
		settle();
	}
	assert_int_equal(k.body.len, taken);
	assert_int_equal(n_drained, 1);
	http_stream_end(held, true);
	held = NULL;
	settle();
	assert_true(k.whole);
	kept_close(&k);
}

static void a_stream_that_breaks_is_seen_to_break(void **state)
{
	struct kept k;

	(void)state;
	ask(&k, "GET", "/stream");
	settle();
	http_stream_write(held, "half", 4);
	http_stream_end(held, false);
	held = NULL;
	settle();
	assert_int_equal(k.ends, 1);
	assert_false(k.whole);
	kept_close(&k);
}

static void leave(struct kept *k)
{
	k->req.gone = true;
	k->req.gone_cb(&k->req);
}

static void the_other_agents_handler_is_told_when_the_client_leaves(void **state)
{
	static const char *const targets[] = {"/wait", "/stream"};
	struct kept k;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ask(&k, "GET", targets[i]);
		settle();
		leave(&k);
		settle();
		assert_int_equal(n_gone, i + 1);
		assert_int_equal(k.answers, 1);
		assert_int_equal(k.ends, i);
		if (i == 0) {
			http_answer_text(held, 200, "too late");
		} else {
			assert_int_equal(http_stream_write(held, "x", 1), ERR_CLOSED);
			http_stream_end(held, true);
		}
		held = NULL;
		settle();
		kept_close(&k);
	}
}

static void a_lost_connection_is_an_unknown_outcome(void **state)
{
	struct kept k;

	(void)state;
	ask(&k, "POST", "/wait");
	settle();
	rpc_conn_close(&a.end.conn, ERR_IO, "cable cut");
	settle();
	assert_int_equal(k.res.status, 500);
	assert_string_equal(buf_text(&k.body),
			    "the outcome is unknown: the write may or may not have taken place (cable cut)");
	assert_int_equal(n_gone, 1);
	kept_close(&k);
}

static void a_slow_agent_is_not_waited_for_for_ever(void **state)
{
	struct kept k;

	(void)state;
	ask(&k, "POST", "/wait");
	settle();
	pair_now += 1100;
	settle();
	assert_int_equal(k.res.status, 500);
	assert_string_equal(buf_text(&k.body),
			    "the outcome is unknown: the write may or may not have taken place (timed out)");
	assert_int_equal(n_gone, 1);
	kept_close(&k);
}

static struct relay_out *put_by;

static bool keep(void *ctx, struct relay_out *out, int err)
{
	(void)ctx;
	assert_int_equal(err, ERR_NOLEADER);
	put_by = out;
	return relay_out_tries(out) < 3;
}

/* Nobody leads, for a while. */
static void what_was_not_carried_out_may_be_tried_again(void **state)
{
	struct kept k;

	(void)state;
	a.relay.again = keep;
	a.end.conn.state = RPC_CONN_HELLO; /* Not ready. */
	ask(&k, "PUT", "/echo");
	settle();
	assert_int_equal(k.answers, 0);
	assert_string_equal(relay_out_target(put_by), "leader");
	relay_try(put_by);
	assert_int_equal(relay_out_tries(put_by), 2);
	a.end.conn.state = RPC_CONN_READY;
	relay_try(put_by);
	settle();
	assert_string_equal(buf_text(&k.body), "PUT 1  ");
	kept_close(&k);

	a.end.conn.state = RPC_CONN_HELLO;
	ask(&k, "PUT", "/echo");
	settle();
	leave(&k);
	settle();
	assert_int_equal(k.answers, 0);
	assert_true(relay_out_gone(put_by));
	relay_give_up(put_by, ERR_CLOSED);
	settle();
	assert_int_equal(k.answers, 1);
	kept_close(&k);

	a.relay.again = NULL;
	ask(&k, "PUT", "/echo");
	settle();
	assert_int_equal(k.res.status, 500);
	assert_string_equal(buf_text(&k.body), "No cluster leader");
	kept_close(&k);
	a.end.conn.state = RPC_CONN_READY;
}

static bool keep_not_done(void *ctx, struct relay_out *out, int err)
{
	(void)ctx;
	assert_int_equal(err, ERR_NOTLEADER);
	put_by = out;
	return true;
}

/* It was a write, and there was an answer: but one that says that nothing was done. */
static void what_a_stopping_agent_has_not_done_is_tried_elsewhere(void **state)
{
	struct kept k;

	(void)state;
	a.relay.again = keep_not_done;
	put_by = NULL;
	ask(&k, "PUT", "/stopping");
	settle();
	assert_non_null(put_by);
	assert_int_equal(k.answers, 0);
	assert_int_equal(b.relay.serving, 0);
	relay_give_up(put_by, ERR_NOLEADER);
	settle();
	assert_int_equal(k.answers, 1);
	kept_close(&k);
}

static void an_agent_knows_whether_it_serves_others(void **state)
{
	static const char *const targets[] = {"/wait", "/stream"};
	struct kept k;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ask(&k, "GET", targets[i]);
		settle();
		assert_int_equal(b.relay.serving, i == 0); /* A stream has begun, and may take long. */
		if (i == 0) {
			http_answer_text(held, 200, "now");
		} else {
			http_stream_end(held, true);
		}
		held = NULL;
		settle();
		assert_int_equal(b.relay.serving, 0);
		kept_close(&k);
	}
}

static bool keep_lost(void *ctx, struct relay_out *out, int err)
{
	(void)ctx;
	assert_int_equal(err, ERR_UNKNOWN);
	put_by = out;
	return true;
}

static void a_read_whose_connection_is_lost_may_be_tried_again(void **state)
{
	struct kept k;

	(void)state;
	a.relay.again = keep_lost;
	put_by = NULL;
	ask(&k, "GET", "/wait");
	settle();
	rpc_conn_close(&a.end.conn, ERR_IO, "cable cut");
	settle();
	assert_non_null(put_by);
	assert_int_equal(k.answers, 0);
	relay_give_up(put_by, ERR_NOLEADER);
	settle();
	assert_string_equal(buf_text(&k.body), "No cluster leader");
	kept_close(&k);
}

/* It may have begun, and would run a command twice. */
static void a_session_whose_connection_is_lost_is_not_begun_again(void **state)
{
	struct kept k;

	(void)state;
	a.relay.again = keep_lost;
	put_by = NULL;
	assert_int_equal(kept_open(&k, "GET", "/wait"), 0);
	k.req.session = "11111111-2222-3333-4444-555555555555";
	relay_forward(&a.relay, &k.req, "leader", 1000);
	settle();
	rpc_conn_close(&a.end.conn, ERR_IO, "cable cut");
	settle();
	assert_null(put_by);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 500);
	kept_close(&k);
}

static void requests_that_went_round_are_refused(void **state)
{
	struct kept k;

	(void)state;
	kept_open(&k, "GET", "/echo");
	k.req.hops = HTTP_HOPS_MAX;
	relay_forward(&a.relay, &k.req, "leader", 1000);
	settle();
	assert_int_equal(k.res.status, 413);
	kept_close(&k);
}

/* Everything at once, in random slices, cut off at a random moment: each request must be answered exactly once. */
static void random_traffic_is_all_answered(void **state)
{
	static const char *const targets[] = {"/echo", "/big?n=100", "/big?n=400000", "/big?n=900000&shared"};
	enum { MANY = 60 };
	static struct kept k[MANY];
	unsigned seed = unit_seed();

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		srandom(seed + round);
		for (int i = 0; i < MANY; i++) {
			ask(&k[i], "GET", targets[random() % 4]);
			while (random() % 3 != 0) {
				turn((size_t)random() % 100000);
			}
			if (random() % 5 == 0) {
				struct kept *who = &k[random() % (i + 1)];

				if (who->answers == 0 && !who->req.gone) {
					leave(who);
				}
			}
		}
		if (round % 2 == 0) {
			rpc_conn_close(random() % 2 ? &a.end.conn : &b.end.conn, ERR_IO, "cut");
		}
		settle();
		for (int i = 0; i < MANY; i++) {
			assert_int_equal(k[i].answers, 1);
			kept_close(&k[i]);
		}
		assert_int_equal(b.relay.serving, 0);
		if (round % 2 == 0) {
			pair_close(&a.end);
			set_up(NULL);
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_handler_may_keep_a_copy_of_the_body),
		TEST(a_request_that_is_not_answered_goes_back_to_its_owner),
		TEST(a_request_without_a_client_does_not_go_back),
		TEST(a_request_is_answered_by_the_other_agent),
		TEST(large_answers_come_whole),
		TEST(streams_flow_through),
		TEST(a_slow_client_holds_the_other_agents_handler_up),
		TEST(a_stream_that_breaks_is_seen_to_break),
		TEST(the_other_agents_handler_is_told_when_the_client_leaves),
		TEST(a_lost_connection_is_an_unknown_outcome),
		TEST(a_slow_agent_is_not_waited_for_for_ever),
		TEST(what_was_not_carried_out_may_be_tried_again),
		TEST(what_a_stopping_agent_has_not_done_is_tried_elsewhere),
		TEST(an_agent_knows_whether_it_serves_others),
		TEST(a_read_whose_connection_is_lost_may_be_tried_again),
		TEST(a_session_whose_connection_is_lost_is_not_begun_again),
		TEST(requests_that_went_round_are_refused),
		TEST(random_traffic_is_all_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
