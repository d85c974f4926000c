/**
 * RPC connections over TCP, on a libuv loop: the one file pair of proto/ that knows a socket.
 *
 * A host is what the connections of one loop share: the configuration, a read buffer, and a hook that writes, once per
 * turn of the loop, what the turn has left to be sent, each connection's with one system call. A connection that is
 * idle costs about 1 KiB.
 *
 * All bytes pass through read_bytes() and write_bytes() of stream.c: that is where TLS goes.
 */
#ifndef PROTO_STREAM_H_
#define PROTO_STREAM_H_

#include <uv.h>

#include "proto/conn.h"

struct rpc_host {
	uv_loop_t *loop;
	struct rpc_config config;
	uv_prepare_t prepare;
	struct list dirty; /* Connections with new output. */
	struct list conns; /* All. */
	unsigned n_conns, n_handles;
	bool stopping;
	void (*stopped_cb)(struct rpc_host *host);
	void *data; /* The owner's. */
	char *read_buffer;
};

/* 0 or ERR_NOMEM. The configuration is copied; what it points to is borrowed. */
int rpc_host_init(struct rpc_host *host, uv_loop_t *loop, const struct rpc_config *config);

/* Close all connections (their closed_cb is called) and, when the last handle is closed, call stopped_cb: then the host
 * may go. Calls that are still unanswered do not hold it up; they may be answered until the loop's end. */
void rpc_host_stop(struct rpc_host *host, void (*stopped_cb)(struct rpc_host *host));

/* Connect to "host:port", "[v6]:port"; a name's addresses are tried in turn, all within timeout_ms. Returns the
 * connection at once: ready_cb or closed_cb will follow. NULL when memory is exhausted. `data` becomes conn->data. */
struct rpc_conn *rpc_connect(struct rpc_host *host, const char *address, uint32_t timeout_ms, void *data);

/* Take over an accepted connection, from malloc(), whose first byte was RPC_FIRST_BYTE and has been read; bytes that
 * were read behind it are given along. NULL when memory is exhausted: then it has been closed. */
struct rpc_conn *rpc_adopt(struct rpc_host *host, uv_tcp_t *tcp, const char *read, size_t len, void *data);

/* "10.0.0.1:4647" of the other end; "" when unknown. */
void rpc_conn_peer(const struct rpc_conn *c, char *text, size_t size);

#endif /* PROTO_STREAM_H_ */
