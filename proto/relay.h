/**
 * HTTP requests from agent to agent: the HTTP thread of one hands a request over to its RPC thread, which sends it on a
 * connection; the other agent's RPC thread hands it over to its HTTP thread, whose handler answers it as any other.
 *
 *     handler -> relay_forward() | route(), rpc_send() ~~~~ request_cb -> relay_serve() | handle() -> handler
 *     client  <- http_answer()   |  reply_cb           ~~~~       rpc_reply()           | sink     <-
 *        HTTP thread                 RPC thread                     RPC thread            HTTP thread
 *
 * Between the threads there is mail only; each side's object is freed by its HTTP thread when both have done with it.
 * Streamed answers flow with back-pressure all the way: the client's socket, this agent's window, the connection's
 * credit, the other agent's handler. Large answers are cut into pieces on the way and put together again.
 *
 * The two threads may be one. Stop in this order: HTTP (its threads end), RPC (connections are closed), then what is
 * left in the mailboxes is run, RPC's first.
 */
#ifndef PROTO_RELAY_H_
#define PROTO_RELAY_H_

#include "lib/mailbox.h"
#include "proto/conn.h"
#include "proto/http.h"

enum {
	RELAY_TARGET_MAX = 64,          /* With the closing zero. */
	RELAY_PIECE_FROM = 256 << 10,   /* Longer answers travel in pieces. */
	RELAY_WHOLE_MAX = 64 << 20,     /* Longer answers are passed on piece by piece, without their length. */
	RELAY_WINDOW = 256 << 10,       /* Bytes of a stream between the threads. */
};

struct relay_out;

struct relay {
	void *ctx;
	/* Have mail->run_cb called on that thread, after what was posted before; never inside the call. Callable from
	 * both threads. They cannot fail. */
	void (*post_http)(void *ctx, struct mail *mail);
	void (*post_rpc)(void *ctx, struct mail *mail);
	/* RPC thread: the connection for a target; NULL, and why in *err, if there is none now. */
	struct rpc_conn *(*route)(void *ctx, const char *target, int *err);
	/* RPC thread: the request is a read, or was surely not carried out (no connection, one lost before it was sent, a server that
	 * does not lead). Return true to keep it, and call relay_try() or relay_give_up() later. NULL: never. */
	bool (*again)(void *ctx, struct relay_out *out, int err);
	/* HTTP thread: a request from another agent. */
	void (*handle)(void *ctx, struct http_request *req);
	/* HTTP thread: the request was not answered by the other side, for the reason `err`, and is its owner's again, with
	 * its data and callbacks as they were. ERR_UNKNOWN, ERR_TIMEOUT: nobody knows whether it was carried out. NULL: it
	 * is answered with the error. */
	void (*returned)(void *ctx, struct http_request *req, int err);
	unsigned serving; /* HTTP thread: other agents' requests that have come and are not answered; streams are not among them. */
};

/* HTTP thread, inside the handler: answer the request with what the target's handler answers, or with an error. The
 * request is the relay's from now on. timeout_ms is the time until the answer begins. The body is copied. */
void relay_forward(const struct relay *r, struct http_request *req, const char *target, uint32_t timeout_ms);

/* RPC thread: what again() has kept. It is given up by itself only if its client leaves: see relay_out_gone(). */
void relay_try(struct relay_out *out);
void relay_give_up(struct relay_out *out, int err);

/* RPC thread, about what again() has kept: who wants it, how long it has been tried, whether somebody waits for it, and
 * a list for whoever keeps it. */
const char *relay_out_target(const struct relay_out *out);
unsigned relay_out_tries(const struct relay_out *out);
bool relay_out_gone(const struct relay_out *out);
struct list *relay_out_link(struct relay_out *out);
struct relay_out *relay_out_of(struct list *link);

/* RPC thread, in request_cb: serve a request of method HTTP. `node`: it is asked by this node itself, which has shown its
 * secret (struct http_request); NULL: it is not. An answer that says that nothing was done (http_response.not_done) is
 * sent as ERR_NOTLEADER, so that who passed the request on tries it elsewhere. */
void relay_serve(struct relay *r, struct rpc_call *call, const char *node);

#endif /* PROTO_RELAY_H_ */
