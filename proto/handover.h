/**
 * HTTP requests that are answered on another thread of this agent than the one that owns them.
 *
 *     owner's thread                                    other thread
 *     handover_http(req)  ---- a copy of it --------->  handle_cb(copy)
 *     answer              <--- what it was answered --  http_answer(copy) or a stream
 *     gone_cb             ---- gone ----------------->  copy->gone_cb
 *     drain_cb            ---- room ----------------->  copy->drain_cb
 *
 * All of it travels as mail, so that neither thread waits for the other. At most HANDOVER_WINDOW bytes of a stream are
 * under way; a handler that goes on without room is told ERR_BUSY at HTTP_STREAM_MAX. The handler answers the copy as
 * any request, and need not know that it is one.
 */
#ifndef PROTO_HANDOVER_H_
#define PROTO_HANDOVER_H_

#include "lib/mailbox.h"
#include "proto/http.h"

enum { HANDOVER_WINDOW = 256 << 10 };

/* The two ways, and who answers. Borrowed until the request has been answered. The posts are called on the thread that
 * sends and deliver in order; mail that was taken must be run, also when the receiver stops. */
struct handover_route {
	bool (*there)(void *ctx, struct mail *mail); /* To the other thread. False: it takes no new requests. */
	void (*follow)(void *ctx, struct mail *mail); /* The same, for what follows a request: cannot fail. */
	void (*back)(void *ctx, struct mail *mail);   /* To the owner's: cannot fail. */
	void (*handle_cb)(void *ctx, struct http_request *copy); /* On the other thread. */
	void *ctx;
};

/* Have the request answered there. Inside its handler, as the body is copied. A full way is answered with 429. */
void handover_http(const struct handover_route *route, struct http_request *req);

#endif /* PROTO_HANDOVER_H_ */
