/** Two agents in memory, of whom a passes HTTP requests on to b. Each has an HTTP and an RPC thread, which are turned
 * here. */
#ifndef TEST_UNIT_PROTO_RELAY_PAIR_H_
#define TEST_UNIT_PROTO_RELAY_PAIR_H_

#include "proto/relay.h"
#include "test/unit/proto/conn_pair.h"
#include "test/unit/proto/http_sink.h"

struct agent {
	struct end end; /* First. */
	struct mailbox http, rpc;
	struct relay relay;
};

static struct agent a, b;

static void no_wake(void *arg)
{
	(void)arg;
}

static void post_http(void *ctx, struct mail *mail)
{
	mailbox_put_answer(&((struct agent *)ctx)->http, mail);
}

static void post_rpc(void *ctx, struct mail *mail)
{
	mailbox_put_answer(&((struct agent *)ctx)->rpc, mail);
}

static struct rpc_conn *route(void *ctx, const char *target, int *err)
{
	struct agent *self = ctx;

	assert_string_equal(target, "leader");
	*err = ERR_NOLEADER;
	return rpc_conn_ready(&self->end.conn) ? &self->end.conn : NULL;
}

static void serve(struct rpc_conn *c, struct rpc_call *call)
{
	relay_serve(&((struct agent *)(void *)c)->relay, call, NULL);
}

static const struct rpc_handlers handlers = {.ready_cb = end_ready_cb, .closed_cb = end_closed_cb, .request_cb = serve};

/* --- b's handlers
 * ------------------------------------------------------------------------------------------------------ */

static struct http_request *held; /* A request that waits, or a stream that is open. */
static int n_gone, n_drained;

static void note_gone(struct http_request *req)
{
	(void)req;
	n_gone++;
}

static void note_drained(struct http_request *req)
{
	(void)req;
	n_drained++;
}

static void answer_big(struct http_request *req, size_t n, bool shared)
{
	struct http_response res = {.has = HTTP_HAS_READ, .index = 9};

	for (size_t i = 0; i < n; i++) {
		buf_byte(&res.body, (char)('a' + i % 26));
	}
	if (shared) {
		res.shared = http_body_new(&res.body);
	}
	http_answer(req, &res);
}

static void handle(void *ctx, struct http_request *req)
{
	(void)ctx;
	req->gone_cb = note_gone;
	req->drain_cb = note_drained;
	if (strcmp(req->path, "/echo") == 0) {
		http_answer_text(req, 200, "%s %d %s %.*s", http_method_text(req->method), req->hops, req->token,
				 (int)req->body_len, req->body);
	} else if (strcmp(req->path, "/stopping") == 0) {
		http_answer_stopping(req);
	} else if (strcmp(req->path, "/big") == 0) {
		answer_big(req, (size_t)atoi(http_query(req, "n")), http_query(req, "shared") != NULL);
	} else if (strcmp(req->path, "/stream") == 0) {
		http_stream_begin(req, &(struct http_response){.type = "text/plain"});
		held = req;
	} else {
		req->body = arena_strndup(&req->mem, req->body != NULL ? req->body : "", req->body_len);
		held = req;
	}
}

/* --- Turning
 * ----------------------------------------------------------------------------------------------------------- */

static void turn(size_t bytes)
{
	(void)mailbox_run(&a.rpc);
	(void)mailbox_run(&b.rpc);
	pair_turn(&a.end, bytes);
	(void)mailbox_run(&b.http);
	(void)mailbox_run(&a.http);
}

static void settle(void)
{
	for (int i = 0; i < 200; i++) {
		turn(SIZE_MAX);
	}
}

static void open_agent(struct agent *self)
{
	mailbox_init(&self->http, 1, no_wake, NULL);
	mailbox_init(&self->rpc, 1, no_wake, NULL);
	self->relay = (struct relay){
		.ctx = self, .post_http = post_http, .post_rpc = post_rpc, .route = route, .handle = handle};
}

static int set_up(void **state)
{
	(void)state;
	held = NULL;
	n_gone = n_drained = 0;
	open_agent(&a);
	open_agent(&b);
	pair_open(&a.end, &b.end, &handlers, &handlers);
	pair_settle(&a.end);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rpc_conn_close(&a.end.conn, 0, "the test ends");
	settle();
	if (held != NULL) { /* It was told that nobody waits, and must answer all the same. */
		if (held->answered) {
			http_stream_end(held, true);
		} else {
			http_answer_text(held, 200, "late");
		}
	}
	settle();
	pair_close(&a.end);
	return 0;
}

static inline void ask(struct kept *k, const char *method, const char *target)
{
	assert_int_equal(kept_open(k, method, target), 0);
	relay_forward(&a.relay, &k->req, "leader", 1000);
}

#endif /* TEST_UNIT_PROTO_RELAY_PAIR_H_ */
