/**
 * A client's way to the servers: one table of functions, so that the client knows neither addresses nor sockets.
 *
 * A link is connected to one server at a time and finds another by itself when that one is lost. What is said are the
 * methods and objects of proto/rpc.h. link_rpc.h is the link over TCP; tests have one of their own.
 *
 * All of it happens on the client's loop. No callback fires inside a call into the link.
 */
#ifndef CLIENT_LINK_H_
#define CLIENT_LINK_H_

#include <stdint.h>

#include "proto/http.h"
#include "proto/rpc.h"

struct client_link;

struct link_events {
	/* A server is connected: calls may be made. */
	void (*up_cb)(void *ctx);
	/* It is lost; every call that was under way has ended before. up_cb follows when another is found. */
	void (*down_cb)(void *ctx);
	/* The server says something without being asked. The payload is borrowed. */
	void (*push_cb)(void *ctx, uint32_t method, const char *payload, size_t len);
	/* A request for this node that reached a server. Answered once, now or later. */
	void (*http_cb)(void *ctx, struct http_request *req);
};

/* Embedded in what the caller keeps of a call; his again from done_cb on. */
struct link_call {
	/* err is 0 with the answer as payload, borrowed; or an ERR_ code, with a text for people as payload. ERR_CLOSED:
	 * it surely was not carried out; ERR_UNKNOWN, ERR_TIMEOUT: it may have been. */
	void (*done_cb)(struct link_call *call, int err, const char *payload, size_t len);
	void *link_data; /* The link's own. */
};

/* A GET of the API, likewise. */
struct link_read {
	/* err is 0 with the answer, borrowed; or an ERR_ code, and res is NULL. */
	void (*done_cb)(struct link_read *read, int err, const struct http_response *res);
	void *link_data;
};

struct link_ops {
	/* Begin to look for a server, as this node; the IDs are borrowed. */
	void (*start)(struct client_link *link, const char *node_id, const char *secret_id, const struct link_events *events,
	              void *ctx);
	/* Ask the server. 0, or ERR_CLOSED (none is connected), ERR_BUSY, ERR_TOOBIG, ERR_NOMEM, and done_cb never fires. */
	int (*call)(struct client_link *link, struct link_call *call, uint32_t method, const struct type *type,
	            const void *obj, uint32_t timeout_ms);
	/* Ask the server for a path of the API, which may be one that waits for a change. An answer of more than `max`
	 * bytes is ERR_TOOBIG. Results as above. */
	int (*read)(struct client_link *link, struct link_read *read, const char *target, size_t max, uint32_t timeout_ms);
	/* A read is of no use any more: done_cb does not fire. Only while it is under way. */
	void (*cancel)(struct client_link *link, struct link_read *read);
	/* Servers that there are, "host:port", as the one connected says; copied. */
	void (*servers)(struct client_link *link, const struct strs *addresses);
	/* The present server is of no use: turn to another. */
	void (*renew)(struct client_link *link);
	/* End. Calls under way end with ERR_CLOSED or ERR_UNKNOWN before it returns; stopped_cb when nothing is left on the
	 * loop, and then the link may be freed. */
	void (*stop)(struct client_link *link, void (*stopped_cb)(void *ctx), void *ctx);
};

struct client_link {
	const struct link_ops *ops;
};

#endif /* CLIENT_LINK_H_ */
