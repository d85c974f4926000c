#include "proto/http.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/object.h"

#define STATUS_LIST(X)                                                                                                 \
	X(101, "Switching Protocols") X(200, "OK")                                                                     \
	X(202, "Accepted") X(204, "No Content") X(301, "Moved Permanently") X(304, "Not Modified")                     \
		X(307, "Temporary Redirect") X(400, "Bad Request") X(401, "Unauthorized") X(403, "Forbidden")          \
			X(404, "Not Found") X(405, "Method Not Allowed") X(408, "Request Timeout") X(409, "Conflict")  \
				X(413, "Request Entity Too Large") X(414, "Request URI Too Long")                      \
					X(417, "Expectation Failed") X(429, "Too Many Requests")                       \
						X(499, "Client Closed Request") X(500, "Internal Server Error")        \
							X(501, "Not Implemented") X(502, "Bad Gateway")                \
								X(503, "Service Unavailable")                          \
									X(504, "Gateway Timeout")                      \
										X(507, "Insufficient Storage")

/* Errors that are not answered with 500. */
#define STATUS_OF_ERROR_LIST(X)                                                                                        \
	X(SYNTAX, 400)                                                                                                 \
	X(TYPE, 400) X(RANGE, 400) X(INVALID, 400) X(NOTFOUND, 404) X(BUSY, 429) X(TOOBIG, 413) X(NOSPACE, 507)        \
		X(UNSUPPORTED, 501) X(DENIED, 403)

const char *http_method_text(enum http_method m)
{
	static const char *const names[] = {
#define X(name) #name,
		HTTP_METHOD_LIST(X)
#undef X
			"OTHER"};

	return m < HTTP_METHODS ? names[m] : "OTHER";
}

enum http_method http_method_parse(const char *text, size_t len)
{
#define X(name)                                                                                                        \
	if (len == sizeof(#name) - 1 && memcmp(text, #name, sizeof(#name) - 1) == 0) {                                 \
		return HTTP_##name;                                                                                    \
	}
	HTTP_METHOD_LIST(X)
#undef X
	return HTTP_OTHER;
}

const char *http_status_text(int status)
{
	switch (status) {
#define X(number, text)                                                                                                \
	case number:                                                                                                   \
		return text;
		STATUS_LIST(X)
#undef X
	default:
		return "Unknown";
	}
}

int http_status_of(int err)
{
	switch (err) {
#define X(name, status)                                                                                                \
	case ERR_##name:                                                                                               \
		return status;
		STATUS_OF_ERROR_LIST(X)
#undef X
	default:
		return 500;
	}
}

void http_request_init(struct http_request *req, const struct http_sink *sink)
{
	memset(req, 0, sizeof(*req));
	req->path = "/";
	req->path_len = 1;
	req->query = "";
	req->token = "";
	req->node = "";
	req->session = "";
	req->error = "";
	req->body = "";
	req->sink = sink;
	list_init(&req->link);
	for (unsigned i = 0; i < HTTP_PARAMS_MAX; i++) {
		req->params[i] = "";
	}
}

void http_request_close(struct http_request *req)
{
	arena_close(&req->mem);
}

/* --- Responses -------------------------------------------------------------------------------------------------- */

struct http_body *http_body_new(struct buf *b)
{
	struct http_body *body = b->failed ? NULL : malloc(sizeof(*body));

	if (body == NULL) {
		buf_close(b);
		return NULL;
	}
	atomic_init(&body->refs, 1);
	atomic_init(&body->gzip, NULL);
	body->index = 0;
	body->len = b->len;
	body->at = b->at;
	*b = (struct buf){0};
	return body;
}

struct http_body *http_body_get(struct http_body *body)
{
	atomic_fetch_add_explicit(&body->refs, 1, memory_order_relaxed);
	return body;
}

void http_body_put(struct http_body *body)
{
	if (body == NULL || atomic_fetch_sub_explicit(&body->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	http_body_put(atomic_load_explicit(&body->gzip, memory_order_relaxed));
	free(body->at);
	free(body);
}

/* ?pretty asks for indented JSON, with any value but 0. */
static bool wants_pretty(const struct http_request *req)
{
	const char *value;

	if (req->n_pairs == 0 || req->hops > 0 || req->plain) {
		return false; /* For a request that was passed on, whoever was asked first does it. */
	}
	value = http_query(req, "pretty");
	return value != NULL && strcmp(value, "0") != 0;
}

static bool is_json(const struct http_response *res)
{
	return res->type != NULL && strcmp(res->type, "application/json") == 0;
}

static void indent(struct http_response *res)
{
	struct buf pretty = {0};

	if (res->shared != NULL) {
		json_pretty(res->shared->at, res->shared->len, &pretty);
		http_body_put(res->shared);
		res->shared = NULL;
	} else {
		json_pretty(res->body.at, res->body.len, &pretty);
		buf_close(&res->body);
	}
	res->body = pretty;
}

static bool has_body(const struct http_response *res)
{
	return res->shared != NULL ? res->shared->len > 0 : res->body.len > 0;
}

static void set_defaults(struct http_response *res)
{
	if (res->status == 0) {
		res->status = 200;
	}
	if (res->type == NULL && has_body(res)) {
		res->type = res->status < 400 ? "application/json" : "text/plain; charset=utf-8";
	}
}

/* The body could not be made for want of memory: an answer that needs none. */
static void out_of_memory(struct http_response *res)
{
	buf_close(&res->body);
	http_body_put(res->shared);
	*res = (struct http_response){.status = 500};
}

static void release(struct http_request *req)
{
	if (req->release_cb != NULL) {
		req->release_cb(req);
	}
}

void http_answer(struct http_request *req, struct http_response *res)
{
	assert(!req->answered);
	assert(list_empty(&req->link));
	req->answered = true;
	set_defaults(res);
	if (has_body(res) && is_json(res) && wants_pretty(req)) {
		indent(res);
	}
	if (res->body.failed) {
		out_of_memory(res);
	}
	release(req);
	req->sink->answer(req, res);
}

void http_answer_json(struct http_request *req, struct buf *body, uint64_t index)
{
	struct http_response res = {.has = HTTP_HAS_INDEX, .index = index, .body = *body};

	*body = (struct buf){0};
	http_answer(req, &res);
}

void http_answer_text(struct http_request *req, int status, const char *format, ...)
{
	struct http_response res = {.status = status, .type = "text/plain; charset=utf-8"};
	va_list args;

	va_start(args, format);
	buf_vprintf(&res.body, format, args);
	va_end(args);
	http_answer(req, &res);
}

void http_answer_error(struct http_request *req, int err)
{
	http_answer_text(req, http_status_of(err), "%s", error_text(err));
}

static void answer_not_done(struct http_request *req, int status, const char *text)
{
	struct http_response res = {.status = status, .not_done = true};

	buf_str(&res.body, text);
	http_answer(req, &res);
}

void http_answer_not_done(struct http_request *req, int err)
{
	answer_not_done(req, http_status_of(err), error_text(err));
}

void http_answer_stopping(struct http_request *req)
{
	answer_not_done(req, 503, "the server is stopping");
}

void http_stream_begin(struct http_request *req, struct http_response *head)
{
	assert(!req->answered);
	assert(head->body.at == NULL && head->shared == NULL);
	req->answered = true;
	if (head->status == 0) {
		head->status = 200;
	}
	req->sink->stream_begin(req, head);
}

int http_stream_write(struct http_request *req, const void *data, size_t len)
{
	assert(req->answered);
	return req->sink->stream_write(req, data, len);
}

void http_stream_end(struct http_request *req, bool whole)
{
	assert(req->answered);
	assert(list_empty(&req->link));
	release(req);
	req->sink->stream_end(req, whole);
}
