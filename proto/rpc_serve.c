#include "proto/rpc_serve.h"

#include <stdlib.h>

#include "proto/error.h"

/* A body that is longer goes in pieces, so that the connection is not held up by one frame. */
enum { WHOLE_MAX = 1 << 20 };

struct served {
	struct http_request req;
	struct rpc_call *call; /* NULL once it has been answered. */
};

static struct served *of(struct http_request *req)
{
	return (struct served *)(void *)((char *)req - offsetof(struct served, req));
}

static void drop(struct served *s)
{
	http_request_close(&s->req);
	free(s);
}

static void drop_body(struct http_response *res)
{
	http_body_put(res->shared);
	res->shared = NULL;
	buf_close(&res->body);
}

/* The head alone as a payload. */
static void put_head(struct buf *out, const struct http_response *res)
{
	struct http_response head = *res;

	head.body = (struct buf){0};
	head.shared = NULL;
	rpc_put_http_response(out, &head);
}

static void reply_in_pieces(struct rpc_call *call, const struct http_response *res, const char *body, size_t len)
{
	struct buf head = {0};

	put_head(&head, res);
	if (head.failed) {
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
	} else {
		rpc_reply_begin(call, head.at, head.len);
		rpc_reply_end(call, rpc_reply_chunk(call, body, len) < 0 ? ERR_CLOSED : 0);
	}
	buf_close(&head);
}

static void reply_whole(struct rpc_call *call, const struct http_response *res)
{
	struct buf out = {0};

	rpc_put_http_response(&out, res);
	if (out.failed) {
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
	} else {
		rpc_reply(call, out.at, out.len);
	}
	buf_close(&out);
}

static void answer(struct http_request *req, struct http_response *res)
{
	struct served *s = of(req);
	const char *body = res->shared != NULL ? res->shared->at : res->body.at;
	size_t len = res->shared != NULL ? res->shared->len : res->body.len;

	s->call->gone_cb = NULL;
	s->call->drain_cb = NULL;
	if (len > WHOLE_MAX) {
		reply_in_pieces(s->call, res, body, len);
	} else {
		reply_whole(s->call, res);
	}
	drop_body(res);
	drop(s);
}

static void stream_begin(struct http_request *req, struct http_response *head)
{
	struct buf out = {0};

	put_head(&out, head);
	rpc_reply_begin(of(req)->call, out.failed ? "" : out.at, out.failed ? 0 : out.len);
	buf_close(&out);
}

static int stream_write(struct http_request *req, const void *data, size_t len)
{
	return rpc_reply_chunk(of(req)->call, data, len);
}

static void stream_end(struct http_request *req, bool whole)
{
	rpc_reply_end(of(req)->call, whole ? 0 : ERR_CLOSED);
	drop(of(req));
}

static const struct http_sink sink = {
        .answer = answer, .stream_begin = stream_begin, .stream_write = stream_write, .stream_end = stream_end};

static void gone_cb(struct rpc_call *call)
{
	struct http_request *req = call->data;

	req->gone = true;
	if (req->gone_cb != NULL) {
		req->gone_cb(req);
	}
}

static void drain_cb(struct rpc_call *call)
{
	struct http_request *req = call->data;

	if (req->drain_cb != NULL) {
		req->drain_cb(req);
	}
}

void rpc_serve_http(struct rpc_call *call, void (*handle_cb)(void *ctx, struct http_request *req), void *ctx)
{
	struct served *s = malloc(sizeof(*s));
	int rc;

	if (s == NULL) {
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
		return;
	}
	s->call = call;
	http_request_init(&s->req, &sink);
	rc = rpc_get_http_request(&s->req, call->payload, call->len);
	if (rc != 0) {
		drop(s);
		rpc_fail(call, rc, "the request cannot be read");
		return;
	}
	call->data = &s->req;
	call->gone_cb = gone_cb;
	call->drain_cb = drain_cb;
	handle_cb(ctx, &s->req);
}
