/* Any bytes from the network, after a hello, to either side of a connection; and any payload as HTTP. */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "proto/conn.h"
#include "proto/error.h"

static int64_t now = 1000;
static bool freed;

static int64_t get_now(struct rpc_conn *c)
{
	(void)c;
	return now;
}

static void ignore(struct rpc_conn *c)
{
	(void)c;
}

static void end(struct rpc_conn *c, bool flush)
{
	(void)c;
	(void)flush;
}

static void note_free(struct rpc_conn *c)
{
	(void)c;
	freed = true;
}

static const struct rpc_carrier carrier = {get_now, ignore, ignore, end, note_free};

/* What a handler does is chosen by the method. */
static void handle(struct rpc_conn *c, struct rpc_call *call)
{
	static char bytes[1000];

	(void)c;
	switch (call->method % 4) {
	case 0:
		rpc_reply(call, call->payload, call->len);
		break;
	case 1:
		rpc_fail(call, ERR_INVALID, "no");
		break;
	default:
		rpc_reply_begin(call, "", 0);
		for (int i = 0; i < 400; i++) {
			(void)rpc_reply_chunk(call, bytes, sizeof(bytes));
		}
		rpc_reply_end(call, 0);
	}
}

static void close_on_push(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	(void)payload;
	(void)len;
	if (method == 77) {
		rpc_conn_close(c, 0, "told to");
	}
}

static int replies;

static void on_reply(struct rpc_request *req, int err, const struct rpc_frame *f)
{
	if (err == 0 && (f->flags & RPC_MORE) != 0) {
		return;
	}
	replies++;
	assert(req->conn == NULL);
}

static void on_chunk(struct rpc_request *req, int err, const char *data, size_t len, bool last)
{
	(void)err;
	(void)data;
	rpc_consumed(req, len);
	replies += last;
}

static void drain(struct rpc_conn *c)
{
	struct iovec iov[8];
	unsigned n;

	while ((n = rpc_conn_output(c, iov, 8)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			rpc_conn_sent(c, iov[i].iov_len);
		}
	}
}

static void greet(struct rpc_conn *c, const struct rpc_hello *hello, bool opener)
{
	struct buf b = {0};
	struct buf wire = {0};

	pack_encode(&rpc_hello_type, hello, &b);
	rpc_frame_put(&wire,
		      &(struct rpc_frame){.kind = opener ? RPC_REPLY : RPC_REQUEST,
					  .id = opener ? c->hello.id : 65536,
					  .code = opener ? 0 : RPC_METHOD_HELLO,
					  .payload = b.at,
					  .len = b.len},
		      RPC_FRAME_MAX);
	rpc_conn_input(c, wire.at, wire.len);
	buf_close(&b);
	buf_close(&wire);
}

/* In pieces, whose sizes the input chooses. */
static void feed(struct rpc_conn *c, const uint8_t *data, size_t size)
{
	size_t step = size > 0 ? data[0] + 1U : 1;

	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		char *piece = malloc(n);

		memcpy(piece, data + at, n);
		rpc_conn_input(c, piece, n);
		free(piece);
		drain(c);
	}
}

static void fuzz_conn(const uint8_t *data, size_t size, bool opener)
{
	static const struct rpc_handlers handlers = {.request_cb = handle, .push_cb = close_on_push};
	struct rpc_hello hello;
	struct rpc_config config = {.handlers = &handlers, .hello = &hello, .requests_max = 64, .frame_max = 65536};
	struct rpc_request req[2] = {{.reply_cb = on_reply, .chunk_cb = on_chunk}, {.reply_cb = on_reply}};
	struct rpc_conn c;
	int sent = 0;

	object_init(&rpc_hello_type, &hello);
	hello.protocol = RPC_VERSION;
	freed = false;
	replies = 0;
	rpc_conn_init(&c, &config, &carrier, opener, 0);
	greet(&c, &hello, opener);
	assert(rpc_conn_ready(&c));
	for (int i = 0; i < 2; i++) {
		sent += rpc_send(&c, &req[i], RPC_METHOD_STATUS, "x", 1, 1000) == 0;
	}
	drain(&c);
	feed(&c, data, size);
	now += 2000;
	rpc_conn_tick(&c);
	rpc_conn_close(&c, ERR_IO, "the input ends");
	assert(replies == sent);
	rpc_conn_release(&c);
	assert(freed);
}

static void fuzz_http(const uint8_t *data, size_t size)
{
	static const struct http_sink no_sink;
	char *copy = malloc(size > 0 ? size : 1);
	struct http_request req;
	struct http_response res;
	struct arena mem = {0};

	memcpy(copy, data, size);
	http_request_init(&req, &no_sink);
	if (rpc_get_http_request(&req, copy, size) == 0) {
		assert(req.body[req.body_len] == '\0');
	}
	http_request_close(&req);
	if (rpc_get_http_response(&res, copy, size, &mem) == 0) {
		struct buf b = {0};

		rpc_put_http_response(&b, &res);
		assert(!b.failed);
		buf_close(&b);
		buf_close(&res.body);
	}
	arena_close(&mem);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) {
		return 0;
	}
	switch (data[0] % 3) {
	case 0:
		fuzz_conn(data + 1, size - 1, false);
		break;
	case 1:
		fuzz_conn(data + 1, size - 1, true);
		break;
	default:
		fuzz_http(data + 1, size - 1);
	}
	return 0;
}
