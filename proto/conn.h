/**
 * One RPC connection, but for the bytes' way: requests, answers, pushes and streams of both sides on one pair of byte
 * streams, as frames (proto/rpc.h).
 *
 * A connection is a pure state machine. What carries it (proto/stream.h over TCP, a test in memory) feeds it what has
 * arrived, takes from it what is to be sent, and calls it when its time has come:
 *
 *     carrier --> rpc_conn_input(), rpc_conn_tick() ...                  at the bottom of this file
 *     carrier <-- now(), flush(), wake(), end(), free()                  struct rpc_carrier
 *     owner   --> rpc_send(), rpc_reply() ..., rpc_push(), rpc_conn_close()
 *     owner   <-- hello_cb, ready_cb, request_cb, push_cb, closed_cb     struct rpc_handlers
 *
 * It opens with HELLO from the side that connected and the other's answer; each side's owner looks at the other's hello
 * and may refuse it. Then both sides are alike.
 *
 *     HELLO --> READY --> CLOSED         HELLO --> CLOSED when refused, late or broken
 *
 * Everything is of one thread, the carrier's loop's. No callback fires inside a call of the owner, but for one:
 * rpc_conn_close() fails the requests under way, and tells closed_cb, before it returns.
 *
 * Bounds: requests under way (each way), their bytes, bytes waiting to be sent, a frame's length (a small one before the
 * hello) and the time that it takes to come, bytes of a stream under way, the time of the hello and of silence. At the
 * first three the sender is told ERR_BUSY; what breaks the others is closed, as is a peer for which twice the bytes wait.
 */
#ifndef PROTO_CONN_H_
#define PROTO_CONN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/list.h"
#include "proto/rpc.h"
#include "proto/rpc_objects.h"

struct iovec;
struct rpc_conn;
struct rpc_request;
struct rpc_call;

struct rpc_handlers {
	/* The other side's hello, borrowed. Return 0, or an ERR_ code with a text for the other side's log in *why. */
	int (*hello_cb)(struct rpc_conn *c, const struct rpc_hello *peer, const char **why);
	/* From now on requests may be sent. The one that connected is ready later than the other. */
	void (*ready_cb)(struct rpc_conn *c);
	/* A request of the other side: answer it once, now or later. */
	void (*request_cb)(struct rpc_conn *c, struct rpc_call *call);
	/* The payload is borrowed. */
	void (*push_cb)(struct rpc_conn *c, uint32_t method, const char *payload, size_t len);
	/* The last callback, also of a connection that never was ready. Calls that are not answered yet must still be
	 * answered; the connection is freed when they are. `why` is a text for the log. */
	void (*closed_cb)(struct rpc_conn *c, int err, const char *why);
};

struct rpc_config {
	const struct rpc_handlers *handlers; /* Any may be NULL: a hello is accepted then, a request refused. */
	const struct rpc_hello *hello;       /* What we say of ourselves. Borrowed; read whenever a connection opens. */
	uint32_t frame_max;                  /* Bytes; 0: RPC_FRAME_MAX. */
	uint32_t requests_max;               /* Under way, each way; 0: RPC_REQUESTS_MAX. At most 65535. */
	uint32_t queue_max;                  /* Bytes waiting to be sent; 0: RPC_QUEUE_MAX. At twice that we give up. */
	uint32_t hello_ms;                   /* 0: RPC_HELLO_MS. */
	uint32_t ping_ms;                    /* Silence after which we ask for a sign of life; 0: RPC_PING_MS. */
	uint32_t silence_ms;                 /* Silence after which it counts as dead; 0: RPC_SILENCE_MS. */
	size_t *held_bytes;                  /* Bytes of requests under way to us, of all who share this; or NULL. */
	size_t held_bytes_max;               /* Of these; 0: RPC_HELD_MAX. */
};

enum {
	RPC_REQUESTS_MAX = 16384,
	RPC_QUEUE_MAX = 32 << 20,
	RPC_HELLO_MS = 5000,
	RPC_PING_MS = 5000,
	RPC_SILENCE_MS = 15000,
	RPC_HELLO_MAX = 16 << 10,      /* Bytes of a frame from one that has not said hello yet. */
	RPC_HELD_MAX = 512 << 20,
	RPC_CALL_COST = 2 << 10,       /* What a request is counted as, besides its bytes. */
	RPC_FRAME_MS = 10000,          /* A frame must have come in this time, plus a second for each */
	RPC_BYTES_PER_S_MIN = 64 << 10, /* so many of its bytes. */
	RPC_WINDOW = 256 << 10, /* Bytes of a stream that may be under way: the requester's first credit. */
};

/* --- Asking ----------------------------------------------------------------------------------------------------- */

/* Embedded in what the requester keeps of it. Set the callbacks, then rpc_send(); from the last callback or
 * rpc_cancel() on it is the requester's again. */
struct rpc_request {
	/* The answer (err is 0; RPC_MORE in flags tells that chunks follow) or an error, with a text as payload:
	 *   ERR_CLOSED   the connection was lost before the request had left: it surely was not carried out
	 *   ERR_UNKNOWN  it was lost afterwards: nobody knows
	 *   ERR_TIMEOUT  no answer in time; nobody knows
	 *   others       the other side says so
	 * The frame is borrowed. The last callback, unless chunks follow. */
	void (*reply_cb)(struct rpc_request *req, int err, const struct rpc_frame *frame);
	/* A piece of a streamed answer, maybe empty, or its failure. The last callback if `last`, as with any error. */
	void (*chunk_cb)(struct rpc_request *req, int err, const char *data, size_t len, bool last);

	struct rpc_conn *conn; /* NULL: not under way. */
	uint32_t id;
	uint32_t window;   /* Of the stream: bytes that the other side may still send, */
	uint32_t consumed; /* and bytes that we have dealt with and not yet told it. */
	bool streaming;
	uint64_t put_at; /* The connection's output up to the end of its frame. */
	int64_t deadline_ms;
};

/* Payload is copied. timeout_ms 0: none; else the time until the answer begins. 0; ERR_CLOSED (not ready), ERR_BUSY,
 * ERR_TOOBIG or ERR_NOMEM, and then no callback comes. */
int rpc_send(struct rpc_conn *c, struct rpc_request *req, uint32_t method, const char *payload, size_t len,
             uint32_t timeout_ms);
int rpc_send_object(struct rpc_conn *c, struct rpc_request *req, uint32_t method, const struct type *t,
                    const void *obj, uint32_t timeout_ms);

/* No callback comes any more, and the other side is told. Harmless on a request that is not under way. */
void rpc_cancel(struct rpc_request *req);

/* So many bytes of chunks have been dealt with: the other side may send as many more. */
void rpc_consumed(struct rpc_request *req, size_t n);

/* As rpc_send(), but nobody answers. */
int rpc_push(struct rpc_conn *c, uint32_t method, const char *payload, size_t len);
int rpc_push_object(struct rpc_conn *c, uint32_t method, const struct type *t, const void *obj);

/* --- Answering -------------------------------------------------------------------------------------------------- */

/* A request of the other side. Made by the connection, freed by the answer. */
struct rpc_call {
	uint32_t method;
	const char *payload; /* Valid inside request_cb only. */
	size_t len;
	void *data;                               /* The handler's own, as the callbacks; they may be NULL. */
	void (*gone_cb)(struct rpc_call *call);   /* Nobody waits for the answer any more. Answer all the same. */
	void (*drain_cb)(struct rpc_call *call);  /* After rpc_reply_chunk() returned HTTP_WAIT: there is room again. */

	struct rpc_conn *conn;
	uint32_t id;
	uint32_t credit;  /* Bytes of the stream that we may send. */
	bool gone;
	bool streaming;
	bool waiting;     /* drain_cb is owed. */
	bool ending;      /* rpc_reply_end() came while bytes wait for credit. */
	size_t held_bytes; /* As counted by the connection. */
	struct buf queue; /* Those bytes. */
};

/* Answer: a payload (copied), an object, or an error. */
void rpc_reply(struct rpc_call *call, const char *payload, size_t len);
void rpc_reply_object(struct rpc_call *call, const struct type *t, const void *obj);
void rpc_fail(struct rpc_call *call, int err, const char *text);

/* A streamed answer; write as http_stream_write(). `err` is 0 for an answer that is whole. */
void rpc_reply_begin(struct rpc_call *call, const char *payload, size_t len);
int rpc_reply_chunk(struct rpc_call *call, const char *data, size_t len);
void rpc_reply_end(struct rpc_call *call, int err);

/* --- The connection --------------------------------------------------------------------------------------------- */

/* What carries a connection. */
struct rpc_carrier {
	int64_t (*now)(struct rpc_conn *c); /* Milliseconds of any clock that does not go backwards. */
	void (*flush)(struct rpc_conn *c);  /* There is output, where there was none: take it before the loop sleeps. */
	void (*wake)(struct rpc_conn *c);   /* c->wake_ms has come nearer: call rpc_conn_tick() then. */
	/* It is closed: hang up, and rpc_conn_release() afterwards. With `flush` try first to send the output, without
	 * waiting. What has been sent must have been told when this returns. */
	void (*end)(struct rpc_conn *c, bool flush);
	void (*free)(struct rpc_conn *c); /* Nothing refers to it any more. */
};

enum rpc_conn_state { RPC_CONN_HELLO, RPC_CONN_READY, RPC_CONN_CLOSED };

struct rpc_slot { /* Of the requests under way: an id is a generation and the number of a slot. */
	struct rpc_request *req;
	uint16_t generation;
	uint16_t next_free; /* Number of the next free slot; of the last one its own. */
};

struct rpc_conn {
	const struct rpc_config *config;
	const struct rpc_carrier *carrier;
	void *data; /* The owner's. */
	enum rpc_conn_state state;
	bool opener;   /* We have connected, and say hello first. */
	bool pinged;   /* And have heard nothing since. */
	bool released; /* By the carrier. */
	uint8_t held;  /* Calls of ours on the stack that need it. */
	int doom_err;  /* Not 0: to be closed as soon as nobody is in the middle of something. */
	const char *doom_why;
	uint32_t n_requests, slots_cap, free_slot;
	uint32_t n_calls, calls_cap;
	struct rpc_slot *slots;  /* Our requests. */
	struct rpc_call **calls; /* Theirs that are not gone, by the slots of their ids. */
	struct buf input;        /* A frame that is not yet whole, */
	int64_t input_ms;        /* and when it began. */
	size_t held_bytes;       /* Of their requests that are not answered. */
	struct list pieces;      /* Output. */
	size_t queued;           /* Its bytes. */
	uint64_t put, sent;      /* Bytes ever put into it, and ever taken by the network. */
	int64_t open_by_ms;      /* When it must be ready. */
	int64_t heard_ms;        /* When the last bytes came, */
	int64_t moved_ms;        /* and when output last got less, or began. */
	int64_t deadline_ms;     /* No request's deadline is before this. */
	int64_t wake_ms;
	struct rpc_request hello;
};

/* Close: fails all requests under way and tells closed_cb. With err 0 it is in order, and output that is ready still
 * leaves. Harmless on a closed one. */
void rpc_conn_close(struct rpc_conn *c, int err, const char *why);

static inline bool rpc_conn_ready(const struct rpc_conn *c)
{
	return c->state == RPC_CONN_READY;
}

/* For carriers. After init an opener's output is RPC_FIRST_BYTE and its hello; an acceptor has consumed the first byte
 * already. open_ms is the time that connecting and the hello may take; 0: the configuration's for the hello. */
void rpc_conn_init(struct rpc_conn *c, const struct rpc_config *config, const struct rpc_carrier *carrier, bool opener,
                   uint32_t open_ms);
void rpc_conn_input(struct rpc_conn *c, const char *data, size_t len);
void rpc_conn_tick(struct rpc_conn *c);

/* The first pieces of output, at most n; returns how many. They stay where they are until rpc_conn_sent() has counted
 * all their bytes. */
unsigned rpc_conn_output(struct rpc_conn *c, struct iovec *iov, unsigned n);
void rpc_conn_sent(struct rpc_conn *c, size_t n);

/* Close it as soon as nobody is in the middle of something: at the next tick, which is asked for at once. `why` must
 * stay. The first call counts. */
void rpc_conn_doom(struct rpc_conn *c, int err, const char *why);

/* After end(): the carrier has let go of it. It is freed now, or with its last call. */
void rpc_conn_release(struct rpc_conn *c);

#endif /* PROTO_CONN_H_ */
