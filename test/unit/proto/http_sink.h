/** A sink that keeps the answer, for tests of handlers. */
#ifndef TEST_UNIT_PROTO_HTTP_SINK_H_
#define TEST_UNIT_PROTO_HTTP_SINK_H_

#include "proto/http.h"

struct kept {
	struct http_request req; /* First: the sink finds `kept` by it. */
	struct http_response res;
	struct buf body; /* Of the answer or stream. */
	int answers, ends;
	bool streams; /* It was begun, and has not ended. */
	bool whole;
	bool full; /* The client reads nothing: each write is the last until the request's drain_cb. */
};

static void kept_answer(struct http_request *req, struct http_response *res)
{
	struct kept *k = (struct kept *)req;

	k->answers++;
	k->res = *res;
	if (res->shared != NULL) {
		buf_put(&k->body, res->shared->at, res->shared->len);
		http_body_put(res->shared);
	} else {
		k->body = res->body;
	}
}

static void kept_begin(struct http_request *req, struct http_response *head)
{
	struct kept *k = (struct kept *)req;

	k->answers++;
	k->streams = true;
	k->res = *head;
}

static int kept_write(struct http_request *req, const void *data, size_t len)
{
	struct kept *k = (struct kept *)req;

	buf_put(&k->body, data, len);
	return k->full ? HTTP_WAIT : 0;
}

static void kept_end(struct http_request *req, bool whole)
{
	struct kept *k = (struct kept *)req;

	k->ends++;
	k->streams = false;
	k->whole = whole;
}

static const struct http_sink kept_sink = {kept_answer, kept_begin, kept_write, kept_end};

static inline int kept_open(struct kept *k, const char *method, const char *target)
{
	memset(k, 0, sizeof(*k));
	http_request_init(&k->req, &kept_sink);
	k->req.method = http_method_parse(method, strlen(method));
	return http_request_target(&k->req, target, strlen(target));
}

/* The client leaves in the middle of a stream. */
static inline void kept_leave(struct kept *k)
{
	if (k->streams && k->req.gone_cb != NULL) {
		k->req.gone = true;
		k->req.gone_cb(&k->req);
	}
}

static inline void kept_close(struct kept *k)
{
	buf_close(&k->body);
	http_request_close(&k->req);
}

#endif /* TEST_UNIT_PROTO_HTTP_SINK_H_ */
