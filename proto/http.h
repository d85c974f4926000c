/**
 * HTTP as values: a request comes in, a handler answers it, and neither knows a socket.
 *
 * The same handler serves a request from a socket (server/httpd.h), one that another agent sent on as an RPC frame
 * (proto/rpc.h), and one that a test made up: where the answer goes is the request's sink.
 *
 * A request's life. Whoever received it fills a struct http_request, looks up the route and calls the handler. The
 * handler answers exactly once, by http_answer() or one of its short forms, or by http_stream_begin() ...
 * http_stream_end(); now, or later from any callback on the thread that owns the request. With that the request is
 * gone, and all that its arena held. A handler that answers later may be told that the client has left (gone_cb); it
 * must answer all the same, and soon: nobody reads it, but only the answer releases the request.
 *
 * Everything here is of one thread, the one that owns the request; only struct http_body may be shared.
 */
#ifndef PROTO_HTTP_H_
#define PROTO_HTTP_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/list.h"

enum {
	HTTP_TARGET_MAX = 16 << 10, /* Bytes of path and query; a longer one is answered with 414. */
	HTTP_PARAMS_MAX = 4,        /* Parameters in a route's pattern. */
	HTTP_QUERY_MAX = 256,       /* Parameters in a query; more are answered with 400. */
	HTTP_EXTRA_MAX = 8,         /* Headers that a handler may add. */
	HTTP_HOPS_MAX = 3,          /* Agents that may pass a request on: guards against circles. */
};

#define HTTP_METHOD_LIST(X) X(GET) X(PUT) X(POST) X(DELETE) X(HEAD) X(OPTIONS) X(PATCH)

enum http_method {
#define X(name) HTTP_##name,
	HTTP_METHOD_LIST(X)
#undef X
	HTTP_OTHER, /* Any word that is none of these. */
	HTTP_METHODS,
};

/* Sets of methods. PUT and POST mean the same nearly everywhere. */
enum {
#define X(name) HTTP_BIT_##name = 1 << HTTP_##name,
	HTTP_METHOD_LIST(X)
#undef X
	HTTP_BITS_WRITE = HTTP_BIT_PUT | HTTP_BIT_POST,
	HTTP_BITS_ALL = (1 << HTTP_METHODS) - 1,
};

const char *http_method_text(enum http_method m); /* "GET"; "OTHER" for HTTP_OTHER. */
enum http_method http_method_parse(const char *text, size_t len);

/* "Not Found" for 404; "Unknown" where there is no name. */
const char *http_status_text(int status);

struct access;

/* --- Requests --------------------------------------------------------------------------------------------------- */

/* A query parameter, percent-decoded. A character U+0000 is the bytes C0 80, as in all strings of the program. */
struct http_pair {
	const char *name;
	const char *value; /* "" for ?name as for ?name= */
};

struct http_request {
	enum http_method method;
	uint8_t hops;      /* Agents that have passed it on to us; 0 when it came from a client. */
	bool accepts_gzip;
	bool plain;        /* Do not indent the answer: whoever has the original of this copy does that. */
	bool gone;         /* The client has left. Set before gone_cb is called. */
	bool answered;     /* For the asserts of http_answer() and its like. */
	bool body_spared;  /* The handler's owner did not keep the body: the request cannot be begun anew. */
	uint16_t n_pairs;
	uint32_t path_len;
	uint32_t query_len;
	const char *path;  /* As it came: not decoded, without the query. Begins with "/". */
	const char *query; /* As it came, without "?"; "" when there is none. */
	const char *token; /* X-Nomad-Token, or Authorization: Bearer; "" when there is neither. */
	/* The ID of the node that asks for itself, whose secret this agent has seen to be right; "" for all others. It does
	 * not travel: who passes the request on passes it on as anybody's. */
	const char *node;
	/* The name of a session, a UUID; "" when there is none. A GET with one comes from a websocket, that is: a handler
	 * that streams lines with status 101 begins a session, in which each line is a message to the client; a line "!CODE
	 * REASON" closes it (HTTP_SESSION_END; the codes are a websocket's). What the client says meanwhile comes as
	 * requests of their own: PUT, with the same session, one after the other, messages as lines of the body, to the
	 * same target or to what the head of the stream has as its location. 200: taken; 429: to be sent again; anything
	 * else closes the websocket. Who has a client out there makes these names, and never takes them from it. */
	const char *session;
	const struct http_pair *pairs;
	/* Who asks, and what he may see (server/access.h; NULL: everything is allowed); and who watches, on a node, that he
	 * still may (client/access.h). Given back by release_cb, with the answer or its end. */
	struct access *access;
	void *guard;
	void (*release_cb)(struct http_request *req);
	const char *error; /* What was wrong with a parameter; set by the http_query_ functions that fail. */

	/* Valid until the handler returns, and no longer: who answers later takes along what it needs. body[body_len]
	 * is a readable zero. */
	const char *body;
	size_t body_len;

	struct arena mem; /* For all that lives as long as the request. */

	/* Set by http_route_find(). The parameters of the pattern, in its order, decoded; "" behind the last. */
	const struct http_route *route;
	const char *params[HTTP_PARAMS_MAX];

	/* The handler's own. The callbacks may be NULL, and may answer the request. */
	void (*gone_cb)(struct http_request *req);
	void (*drain_cb)(struct http_request *req); /* There is room again, after http_stream_write() said HTTP_WAIT. */
	void *data;
	struct list link; /* A list of its own until the handler uses it; the handler unlinks it before it answers. */

	const struct http_sink *sink;
};

/* The value of a query parameter, the first if there are several; NULL when it is not there. */
const char *http_query(const struct http_request *req, const char *name);

/* The values of a repeated parameter, in turn: *at begins at 0. NULL after the last. */
const char *http_query_next(const struct http_request *req, const char *name, unsigned *at);

/* Typed parameters. `out` is written only if the parameter is there, so it holds the default before. 0, or ERR_INVALID
 * with the text for the client in req->error. Booleans are 1 t T TRUE true True 0 f F FALSE false False, and one without a
 * value is as good as not there; numbers and durations need one. Durations are "1m30s". */
int http_query_bool(struct http_request *req, const char *name, bool *out);
int http_query_int(struct http_request *req, const char *name, int64_t *out);
int http_query_duration(struct http_request *req, const char *name, int64_t *out_ns);

/* The parameters that all reads have in common. */
struct http_options {
	const char *region;     /* "" when not given, as the others. */
	const char *namespace_; /* "default" when not given; "*" is all of them. */
	const char *prefix;
	const char *filter;
	const char *next_token;
	int64_t per_page; /* 0: all. */
	int64_t wait_ns;  /* At most ten minutes; five when not given or 0. */
	uint64_t index;   /* 0: do not block. */
	bool stale;
	bool consistent;
	bool reverse;
};

/* 0, or ERR_INVALID with the text for a 400 in req->error. */
int http_options_parse(struct http_request *req, struct http_options *out);

/* For those who make requests. After http_request_init() everything is zero, "" or its default; then set the target and
 * what else there is. 0, ERR_SYNTAX (no path; a query that is no UTF-8: 400), ERR_RANGE (too many parameters: 400),
 * ERR_TOOBIG (414) or ERR_NOMEM. The target is copied. */
void http_request_init(struct http_request *req, const struct http_sink *sink);
int http_request_target(struct http_request *req, const char *target, size_t len);
void http_request_close(struct http_request *req);

/* Percent-decode into `to`, which has room for len + 1 bytes; a zero is put behind. Returns the length, ERR_SYNTAX for a
 * broken escape or a zero byte, or ERR_TYPE when it is no UTF-8. In a query `+` is a space. */
long http_decode(char *to, const char *text, size_t len, bool in_query);

/* --- Responses -------------------------------------------------------------------------------------------------- */

/* A rendered body that several answers share; counted, of any thread. The bytes never change. */
struct http_body {
	atomic_uint refs;
	uint64_t index; /* For the owner: the X-Nomad-Index that it was rendered at. */
	size_t len;
	char *at;
	_Atomic(struct http_body *) gzip; /* The same, compressed: made by the first who needs it, owned by this. */
};

/* Takes over the buffer's memory; the buffer is empty afterwards. NULL if it had failed or memory is exhausted. */
struct http_body *http_body_new(struct buf *b);
struct http_body *http_body_get(struct http_body *body);
void http_body_put(struct http_body *body); /* NULL is harmless. */

struct http_header {
	const char *name;
	const char *value;
};

enum { /* Which of the headers below are sent. */
	HTTP_HAS_INDEX = 1,   /* X-Nomad-Index */
	HTTP_HAS_LEADER = 2,  /* X-Nomad-KnownLeader */
	HTTP_HAS_CONTACT = 4, /* X-Nomad-LastContact */
	HTTP_HAS_READ = HTTP_HAS_INDEX | HTTP_HAS_LEADER | HTTP_HAS_CONTACT,
};

/* All zero is an empty 200. Strings are borrowed: static, or from the request's arena. */
struct http_response {
	int status;       /* 0 is 200. */
	unsigned has;     /* HTTP_HAS_... */
	bool known_leader;
	uint64_t index;
	uint64_t last_contact_ms;
	const char *type;       /* Content-Type. NULL: JSON, plain text from status 400 on, none for an empty body. */
	const char *next_token; /* X-Nomad-NextToken; NULL or "": not sent. */
	const char *location;
	struct http_header extra[HTTP_EXTRA_MAX];
	unsigned n_extra;
	struct buf body;          /* Its memory goes over to the sink... */
	struct http_body *shared; /* ...or, if not NULL, one reference to this, and `body` is empty. */
	/* The request was surely not carried out, and another agent may do it: whoever passed it on gets it back, as if this
	 * one had not been reached (proto/relay.h). Clients see the answer. */
	bool not_done;
};

/* Where an answer goes. Each function but write() ends in the sink's own time; what it is given it takes over. */
struct http_sink {
	void (*answer)(struct http_request *req, struct http_response *res);
	void (*stream_begin)(struct http_request *req, struct http_response *head);
	int (*stream_write)(struct http_request *req, const void *data, size_t len);
	void (*stream_end)(struct http_request *req, bool whole);
};

/* Answer. Takes over res->body or res->shared, and indents the body if the client asked so by ?pretty. The request is
 * gone afterwards. */
void http_answer(struct http_request *req, struct http_response *res);

/* Short forms: JSON with an index (of a write), a text with a status, the text of an ERR_ code with its status. */
void http_answer_json(struct http_request *req, struct buf *body, uint64_t index);
void http_answer_text(struct http_request *req, int status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
void http_answer_error(struct http_request *req, int err);

/* The same, of a request that was surely not carried out: see http_response.not_done. The second: 503, since this agent is
 * about to end. */
void http_answer_not_done(struct http_request *req, int err);
void http_answer_stopping(struct http_request *req);

/* The status that an ERR_ code is answered with: 429 for BUSY, 507 for NOSPACE, 403 for DENIED, 404 for NOTFOUND, 413 for
 * TOOBIG, 400 for what is wrong with the request's form; else 500. */
int http_status_of(int err);

/* An answer of unknown length, piece by piece. The head's body is not looked at.
 * Write returns 0; HTTP_WAIT when it took the bytes but the next should wait for drain_cb; ERR_BUSY when it did not
 * take them, as the caller did not wait and HTTP_STREAM_MAX bytes are queued; ERR_CLOSED when the client has left: then
 * end. An end that is not whole cuts the connection, so that the client sees that something is missing. */
enum { HTTP_WAIT = 1, HTTP_STREAM_MAX = 1 << 20, HTTP_SESSION_END = '!' };
void http_stream_begin(struct http_request *req, struct http_response *head);
int http_stream_write(struct http_request *req, const void *data, size_t len);
void http_stream_end(struct http_request *req, bool whole);

/* --- Routes ----------------------------------------------------------------------------------------------------- */

enum http_consistency {
	HTTP_ANY_SERVER, /* Any server, on its own state; how new that must be is up to the request's options. */
	HTTP_LEADER,     /* The leader alone: others pass the request on. */
	HTTP_LOCAL,      /* The agent that was asked, server or client. */
};

/*
 * One line of a route table. Several lines may have the same pattern and different methods. In a pattern
 *
 *     /v1/jobs             is matched letter by letter
 *     /v1/node/:id         :id is one segment of the path, not empty
 *     /v1/job/:id...       :id... is one segment or more: it may hold slashes
 *     /v1/job/:id.../plan  a longer end wins: "/v1/job/a/plan" is the job "a", not the job "a/plan"
 *     /v1/client/fs/:id?   the last one may be empty, if marked so
 *
 * Letters win over parameters, from left to right. Paths are matched as they came, so an encoded slash never ends a
 * segment; parameters are decoded afterwards, once.
 */
struct http_route {
	const char *pattern;
	unsigned methods; /* HTTP_BIT_...; all others are answered with 405. */
	enum http_consistency consistency;
	const char *capability; /* What the token must be allowed to do; NULL: nothing. */
	unsigned flags;         /* The table's owner's own. */
	void (*handle_cb)(void *ctx, struct http_request *req);
};

struct http_router;

/* The table is borrowed and must outlive the router. NULL when memory is exhausted. Two lines with one pattern and a
 * method in common, and a malformed pattern, are broken promises. */
struct http_router *http_router_new(const struct http_route *routes, size_t n);
void http_router_free(struct http_router *r);

/* Fills req->route and req->params and returns 0. Otherwise it has answered the request (404 with an empty body; 405;
 * 307 to a cleaned path where there are empty or dot segments; 400) and returns ERR_NOTFOUND. */
int http_route_find(const struct http_router *r, struct http_request *req);

#endif /* PROTO_HTTP_H_ */
