/**
 * RPC frames: how agents talk to each other, without the talking.
 *
 * On a connection (proto/stream.h), after the first byte RPC_FIRST_BYTE of the side that opened it, frames go both
 * ways:
 *
 *     u32, big endian     length of what follows
 *     msgpack array       [kind, id, code, flags], unsigned integers
 *     bytes               the payload
 *
 *     kind     id         code            payload
 *     REQUEST  the number  a method        the method's object; the receiver answers once, by REPLY or ERROR
 *     REPLY    of the      0               the method's answer. RPC_MORE: CHUNKs follow
 *     ERROR    request     an ERR_ number  a text for people
 *     CHUNK    on its      0               a piece of the answer. Without RPC_MORE it is the last one
 *     CREDIT   sender's    bytes           -        the requester has room for so many more bytes of chunks
 *     CANCEL   side        0               -        the requester wants no answer any more, and gets none
 *     PUSH     0           a method        the method's object; no answer
 *     PING     0           0               -        answered by PONG
 *
 * Payloads are packed objects (proto/object.h), described in proto/rpc_objects.h, but for HTTP's: those are a packed
 * head and the body's bytes behind it, so that a body is not copied once more.
 *
 * Bounds: a frame longer than the receiver allows ends the connection before anything is allocated for it, and nothing
 * is unpacked that has not been measured.
 */
#ifndef PROTO_RPC_H_
#define PROTO_RPC_H_

#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "proto/http.h"
#include "proto/object.h"

enum {
	RPC_FIRST_BYTE = 'D', /* Tells RPC from Raft ('R') on the port that they share. */
	RPC_VERSION = 1,      /* Of the protocol; told in HELLO. */
	RPC_FRAME_MAX = 16 << 20, /* Bytes of a frame, unless the configuration says otherwise. */
	RPC_HEAD_MAX = 32,        /* Bytes before the payload, at most. */
	RPC_CHUNK_MAX = 64 << 10, /* Bytes of payload in one CHUNK. */
};

#define RPC_KIND_LIST(X)                                                            \
	X(REQUEST, 1) X(REPLY, 2) X(ERROR, 3) X(CHUNK, 4) X(CREDIT, 5) X(CANCEL, 6) \
	X(PUSH, 7) X(PING, 8) X(PONG, 9)

/* Who may call a method. A node's agent says in its hello which node it is; what it calls AS_NODE begins with the same
 * ID and secret, and is refused otherwise, before anything else of it is looked at. The leader compares them with what the
 * node has registered. Servers pass such calls on as they came. */
enum {
	RPC_BY_SERVER = 1,  /* A server of the same region. */
	RPC_BY_REGION = 2,  /* A server of another region. */
	RPC_BY_NODE = 4,    /* A node's agent. */
	RPC_BY_OTHERS = 8,  /* Agents and programs that are neither, with no more rights than HTTP gives. */
	RPC_AS_NODE = 16,
	RPC_BY_ANY = RPC_BY_SERVER | RPC_BY_REGION | RPC_BY_NODE | RPC_BY_OTHERS,
	RPC_FOR_NODE = RPC_BY_SERVER | RPC_BY_NODE | RPC_AS_NODE, /* By the node, or by a server that passes it on. */
};

/* name, number on the wire (never reused), payload of the request or push, payload of the answer: types of
 * rpc_objects.h, or none; who may call it of a server. */
#define RPC_METHOD_LIST(X)                                                                                   \
	/* Between any two agents. */                                                                        \
	X(HELLO, 1, rpc_hello, rpc_hello, RPC_BY_ANY)  /* The first request on a connection, by who opened it. */ \
	X(HTTP, 2, rpc_http_request, rpc_http_response, RPC_BY_ANY) /* An API request, to a server's or a client's agent. */ \
	/* Between servers. */                                                                               \
	X(STATUS, 10, rpc_none, rpc_status, RPC_BY_SERVER | RPC_BY_REGION | RPC_BY_OTHERS)                   \
	X(READ_INDEX, 11, rpc_none, rpc_index, RPC_BY_SERVER) /* To the leader: how far is committed? */     \
	X(MEMBERS, 12, rpc_members, rpc_members, RPC_BY_SERVER | RPC_BY_REGION) /* Here are those I know; whom do you know? */ \
	X(JOIN, 13, rpc_member, rpc_members, RPC_BY_SERVER) /* To the leader: make me a voter. */            \
	X(LEAVE, 14, rpc_member, rpc_none, RPC_BY_SERVER)                                                    \
	X(STATE_HASH, 15, rpc_index, rpc_state_hash, RPC_BY_SERVER | RPC_BY_OTHERS)                          \
	X(FOUNDING, 16, rpc_founding, rpc_none, RPC_BY_SERVER) /* Pushed: see server/founding.h. */          \
	X(NODES_AT, 17, rpc_nodes_at, rpc_none, RPC_BY_SERVER) /* Pushed: these clients are connected to me. */ \
	/* From a client to a server. */                                                                     \
	X(NODE_REGISTER, 30, node, rpc_node_lease, RPC_FOR_NODE)                                             \
	X(NODE_HEARTBEAT, 31, rpc_node_heartbeat, rpc_node_lease, RPC_FOR_NODE)                              \
	X(NODE_UPDATE, 32, rpc_node_update, rpc_index, RPC_FOR_NODE) /* Task states and the like. */         \
	X(NODE_WATCH, 33, rpc_node_watch, rpc_index, RPC_BY_NODE | RPC_AS_NODE) /* From now on, push me what is to run here. */ \
	X(NODE_PREVIOUS, 34, rpc_node_previous, rpc_previous, RPC_BY_NODE | RPC_AS_NODE) /* Whose data may I fetch? */ \
	X(NODE_RIGHTS, 35, rpc_node_rights, rpc_rights, RPC_BY_NODE | RPC_AS_NODE) /* What may be done with this token? */ \
	/* Pushed by a server to a client. */                                                                \
	X(NODE_ALLOCS, 50, rpc_node_allocs, rpc_none, 0)

enum rpc_kind {
#define X(name, number) RPC_##name = number,
	RPC_KIND_LIST(X)
#undef X
};

enum rpc_method {
#define X(name, number, request, reply, callers) RPC_METHOD_##name = number,
	RPC_METHOD_LIST(X)
#undef X
};

const char *rpc_method_text(uint32_t method); /* "NODE_UPDATE"; "unknown method" for others. */
unsigned rpc_method_callers(uint32_t method);    /* RPC_BY_...; 0 for others. */

/* Flags of a frame. */
enum { RPC_MORE = 1 };

struct rpc_frame {
	uint32_t kind;
	uint32_t id;
	uint32_t code;
	uint32_t flags;
	const char *payload; /* Points into the input. */
	size_t len;
};

/* Append a frame. Returns 0, or ERR_TOOBIG (nothing appended) when it would be longer than max; memory sticks in
 * out->failed. */
int rpc_frame_put(struct buf *out, const struct rpc_frame *frame, size_t max);

/* As above, but without the payload: the caller sends frame->len bytes behind it. */
int rpc_frame_put_head(struct buf *out, const struct rpc_frame *frame, size_t max);

/* The first frame of the input. 1: there is one, *used bytes long, which points into data. 0: not yet whole; *used says
 * how long it will be, or 0 if that is not known yet. ERR_SYNTAX or ERR_TOOBIG: not one of ours, close. */
int rpc_frame_get(const char *data, size_t len, size_t max, struct rpc_frame *frame, size_t *used);

/* Packed object from a payload; 0, ERR_SYNTAX, ERR_TYPE or ERR_NOMEM. */
static inline int rpc_get(const struct type *t, void *obj, const struct rpc_frame *frame, struct arena *mem)
{
	return pack_decode(t, obj, frame->payload, frame->len, mem);
}

/* An HTTP request as a payload, and back. Putting counts one more hop. Getting fills a request that
 * http_request_init() has prepared; the body is not copied: it points into the payload. 0, ERR_SYNTAX, ERR_TOOBIG (too
 * many hops or too long a target) or ERR_NOMEM. */
void rpc_put_http_request(struct buf *out, const struct http_request *req);
int rpc_get_http_request(struct http_request *req, const char *payload, size_t len);

/* An answer as a payload, and back. Getting copies: strings into `mem`, the body into res->body. */
void rpc_put_http_response(struct buf *out, const struct http_response *res);
int rpc_get_http_response(struct http_response *res, const char *payload, size_t len, struct arena *mem);

/* The same without its body, which follows in chunks: so many bytes, or 0 if that is not known. */
void rpc_put_http_head(struct buf *out, const struct http_response *res, size_t length);
int rpc_get_http_length(const char *payload, size_t len, struct arena *mem, size_t *length);

#endif /* PROTO_RPC_H_ */
