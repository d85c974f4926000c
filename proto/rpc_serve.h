/**
 * Serving HTTP requests that came as RPC calls (RPC_METHOD_HTTP): a handler answers them as any other, at once, later
 * or as a stream, and its answer goes back on the connection that the call came on.
 */
#ifndef PROTO_RPC_SERVE_H_
#define PROTO_RPC_SERVE_H_

#include "proto/conn.h"
#include "proto/http.h"

/* Make a request of the call and hand it to handle_cb. A payload that is no request is answered with an error. Nothing
 * of the call is left to the caller. */
void rpc_serve_http(struct rpc_call *call, void (*handle_cb)(void *ctx, struct http_request *req), void *ctx);

#endif /* PROTO_RPC_SERVE_H_ */
