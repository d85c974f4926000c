/**
 * RPC connections over TCP, on a libuv loop.
 *
 * A host is what the connections of one loop share: the configuration, a read buffer, and a hook that writes, once per
 * turn of the loop, what the turn has left to be sent, each connection's with one system call. A connection that is
 * idle costs about 1 KiB. The program ignores SIGPIPE.
 *
 * What the bytes look like on the wire, and who may connect at all, is proto/channel.h.
 */
#ifndef PROTO_STREAM_H_
#define PROTO_STREAM_H_

#include <uv.h>

#include "proto/conn.h"

struct channel;
struct channels;

struct rpc_host {
	uv_loop_t *loop;
	struct channels *channels; /* NULL: plain text. */
	const char *region;        /* Of the servers that we connect to; NULL: any. */
	struct rpc_config config;
	size_t held_bytes; /* Of requests under way to us. */
	void *data;        /* The owner's. */
	struct list conns; /* All that are not closed. */
	struct list dirty; /* Those with new output. */
	unsigned n_open;   /* Connections that have handles on the loop. */
	bool stopping;
	void (*stopped_cb)(struct rpc_host *host);
	uv_prepare_t prepare;
	uv_idle_t idle;    /* Runs while there is output that no turn had time for. */
	char *read_buffer;
};

/* 0 or ERR_NOMEM. The configuration is copied; what it points to is borrowed. */
int rpc_host_init(struct rpc_host *host, uv_loop_t *loop, const struct rpc_config *config);

/* Connections that are made from now on are like this. Both are borrowed. */
void rpc_host_secure(struct rpc_host *host, struct channels *channels, const char *region);

/* Close all connections, in order (their closed_cb is called before this returns). stopped_cb comes when the last
 * handle is closed: then the host may go. Calls that are still unanswered do not hold it up; they may be answered
 * afterwards, as long as the loop's thread lives. */
void rpc_host_stop(struct rpc_host *host, void (*stopped_cb)(struct rpc_host *host));

/* Connect to "host:port" or "[v6]:port". A name's addresses are tried in turn; all that, and the hello, may take
 * timeout_ms. The connection is returned at once: ready_cb or closed_cb will follow, never inside this call. NULL when
 * memory is exhausted or the host is stopping. `data` becomes conn->data. */
struct rpc_conn *rpc_connect(struct rpc_host *host, const char *address, uint32_t timeout_ms, void *data);

/* Take over an accepted connection of the host's loop, not being read, whose first byte was RPC_FIRST_BYTE and has been
 * read. NULL when memory is exhausted or the host is stopping: then it has been closed. */
struct rpc_conn *rpc_adopt(struct rpc_host *host, struct channel *ch, void *data);

/* What carries it, borrowed: NULL while there is none. */
struct channel *rpc_conn_channel(const struct rpc_conn *c);

/* "10.0.0.1:4647" of the other end; "" while there is none. */
void rpc_conn_peer(const struct rpc_conn *c, char *text, size_t size);

#endif /* PROTO_STREAM_H_ */
