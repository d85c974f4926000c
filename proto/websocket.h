/**
 * Websocket frames (RFC 6455), in and out, without the connection they travel on.
 *
 * A reader is fed with bytes and gives back messages, put together of their fragments, and the control frames between
 * them. It is one end's: a server's takes masked frames alone, a client's only such that are not. Writing needs no
 * state. Extensions are not known: whoever uses one has not agreed on it with us.
 */
#ifndef PROTO_WEBSOCKET_H_
#define PROTO_WEBSOCKET_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

enum websocket_kind {
	WEBSOCKET_NOTHING = -1, /* More bytes are needed. */
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

/* Why a connection is closed. Those from 3000 on say what an HTTP status would: 3404. */
enum {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_PROTOCOL = 1002,
	WEBSOCKET_NO_CODE = 1005, /* Never sent: a close that gives none. */
	WEBSOCKET_NOT_UTF8 = 1007,
	WEBSOCKET_TOO_BIG = 1009,
	WEBSOCKET_INTERNAL = 1011,
	WEBSOCKET_HTTP = 3000,
};

enum {
	WEBSOCKET_HEAD_MAX = 14,
	WEBSOCKET_CONTROL_MAX = 125,
	WEBSOCKET_KEY_LEN = 24,     /* Base64 of 16 bytes, */
	WEBSOCKET_ACCEPT_TEXT = 29, /* and of 20, with a zero. */
};

/* What a server answers to a client's key of WEBSOCKET_KEY_LEN characters. */
void websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_TEXT]);

/* All zero but for the first two is a new one. */
struct websocket {
	bool client;        /* We are the client. */
	size_t message_max; /* A longer one is an error; memory is taken only as its bytes come. */

	uint8_t head[WEBSOCKET_HEAD_MAX];
	uint8_t head_len;   /* Of what has come of it, */
	bool in_frame;      /* until it is whole. */
	uint8_t opcode;     /* Of the frame. */
	bool last;          /* It ends its message. */
	bool masked;
	uint8_t mask[4];
	uint64_t left;      /* Bytes of its payload that have not come, */
	uint64_t done;      /* and that have. */
	uint8_t message_kind; /* Of the message that is being put together; 0: none. */
	bool given;         /* The message has been given to the caller: the next begins anew. */
	struct buf message;
	uint8_t control[WEBSOCKET_CONTROL_MAX];
};

struct websocket_event {
	enum websocket_kind kind;
	const char *data; /* Valid until the next call. */
	size_t len;
	unsigned code;    /* Of a close; the rest of it is `data`. */
};

/* Take bytes up to the end of the first message or control frame, *used of them. 0; or what is wrong, and then the
 * connection is to be closed: ERR_SYNTAX, ERR_TYPE (a text that is no UTF-8), ERR_TOOBIG or ERR_NOMEM. */
int websocket_take(struct websocket *ws, const char *data, size_t len, size_t *used,
                   struct websocket_event *out);

void websocket_free(struct websocket *ws);

/* The code to close with after an error of websocket_take(), and in place of an HTTP status. */
unsigned websocket_code(int err);
unsigned websocket_status(int status);

/* Append a frame with a whole message, or a control frame. `mask`: four random bytes of a client, NULL for a server. */
void websocket_put(struct buf *out, enum websocket_kind kind, const char *data, size_t len, const uint8_t mask[4]);

/* Append a close. What does not fit of the reason is cut. */
void websocket_put_close(struct buf *out, unsigned code, const char *reason, const uint8_t mask[4]);

#endif /* PROTO_WEBSOCKET_H_ */
