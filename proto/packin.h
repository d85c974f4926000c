/**
 * Packed text (msgpack) read token by token, within bounds.
 *
 * msgpack-c's unpacker believes what a message says of its lengths: five bytes make it reserve gigabytes. This reader
 * believes nothing that the rest of the message has no room for.
 */
#ifndef PROTO_PACKIN_H_
#define PROTO_PACKIN_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACK_DEPTH_MAX = 64 };

struct packin {
	const uint8_t *p;
	const uint8_t *end;
	unsigned depth; /* Levels that are open, kept by the caller of packin_take(); see packin_enter(). */
};

enum pack_token { PACK_NIL, PACK_BOOL, PACK_INT, PACK_NUM, PACK_STR, PACK_BIN, PACK_ARRAY, PACK_MAP };

struct pack_item {
	enum pack_token is;
	uint32_t n;    /* STR, BIN: bytes; ARRAY: elements; MAP: pairs. The message is long enough for all of them. */
	int64_t i;     /* INT; BOOL: 0 or 1. */
	double num;    /* NUM: finite. */
	const char *s; /* STR, BIN: in the message. */
};

/* The next token; 0, ERR_SYNTAX, or ERR_TYPE for numbers that we have no use for. */
int packin_take(struct packin *in, struct pack_item *item);

/* The next token, which must be this one. */
int packin_expect(struct packin *in, enum pack_token is, struct pack_item *item);

/* Pass over a whole value. */
int packin_skip(struct packin *in);

#endif /* PROTO_PACKIN_H_ */
