#include "proto/websocket.h"

#include <string.h>

#include "lib/utf8.h"
#include "proto/error.h"

enum { FIN = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, CONTINUATION = 0, LEN_16 = 126, LEN_64 = 127 };

static bool is_control(unsigned opcode)
{
	return opcode >= WEBSOCKET_CLOSE;
}

static bool is_known(unsigned opcode)
{
	return opcode <= WEBSOCKET_BINARY || (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);
}

/* ---- a frame's head ---- */

/* Its length, as far as can be told of what is there. */
static size_t head_size(const struct websocket *ws)
{
	unsigned len = ws->head[1] & 0x7f;

	if (ws->head_len < 2) {
		return 2;
	}
	return 2U + (len == LEN_16 ? 2U : len == LEN_64 ? 8U : 0U) + ((ws->head[1] & MASKED) != 0 ? 4U : 0U);
}

static uint64_t big_endian(const uint8_t *at, size_t n)
{
	uint64_t value = 0;

	while (n-- > 0) {
		value = value << 8 | *at++;
	}
	return value;
}

static int check_head(const struct websocket *ws, uint64_t len)
{
	bool continued = ws->message_kind != 0;

	if (!is_known(ws->opcode) || (ws->head[0] & RESERVED) != 0 || ws->masked == ws->client) {
		return ERR_SYNTAX;
	}
	if (is_control(ws->opcode)) {
		return ws->last && len <= WEBSOCKET_CONTROL_MAX ? 0 : ERR_SYNTAX;
	}
	if ((ws->opcode == CONTINUATION) != continued) {
		return ERR_SYNTAX;
	}
	return len > ws->message_max || ws->message.len + len > ws->message_max ? ERR_TOOBIG : 0;
}

static int begin_frame(struct websocket *ws)
{
	const uint8_t *at = ws->head + 2;
	uint64_t len = ws->head[1] & 0x7f;
	int rv;

	if (len == LEN_16 || len == LEN_64) {
		size_t n = len == LEN_16 ? 2 : 8;

		len = big_endian(at, n);
		at += n;
	}
	ws->opcode = ws->head[0] & OPCODE;
	ws->last = (ws->head[0] & FIN) != 0;
	ws->masked = (ws->head[1] & MASKED) != 0;
	if (ws->masked) {
		memcpy(ws->mask, at, sizeof(ws->mask));
	}
	rv = check_head(ws, len);
	if (rv != 0) {
		return rv;
	}
	if (!is_control(ws->opcode) && ws->message_kind == 0) {
		ws->message_kind = ws->opcode;
	}
	ws->left = len;
	ws->done = 0;
	ws->in_frame = true;
	ws->head_len = 0;
	return 0;
}

/* ---- its payload ---- */

static void unmask(const struct websocket *ws, uint8_t *to, const char *from, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		to[i] = (uint8_t)from[i] ^ (ws->masked ? ws->mask[(ws->done + i) % 4] : 0);
	}
}

static int take_payload(struct websocket *ws, const char *data, size_t n)
{
	char *room;

	if (is_control(ws->opcode)) {
		unmask(ws, ws->control + ws->done, data, n);
	} else if (n > 0) {
		room = buf_room(&ws->message, n);
		if (room == NULL) {
			return ERR_NOMEM;
		}
		unmask(ws, (uint8_t *)room, data, n);
		ws->message.len += n;
	}
	ws->done += n;
	ws->left -= n;
	return 0;
}

/* Codes that an end may give; all others are made up, or mean something that is never sent. */
static bool is_code(unsigned code)
{
	return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
	       (code >= 3000 && code <= 4999);
}

static int end_close(const struct websocket *ws, struct websocket_event *out)
{
	size_t n = (size_t)ws->done;

	out->code = WEBSOCKET_NO_CODE;
	if (n == 0) {
		return 0;
	}
	out->code = n >= 2 ? (unsigned)big_endian(ws->control, 2) : 0;
	if (!is_code(out->code)) {
		return ERR_SYNTAX;
	}
	out->data += 2;
	out->len -= 2;
	return utf8_is_string(out->data, out->len) ? 0 : ERR_TYPE;
}

static int end_frame(struct websocket *ws, struct websocket_event *out)
{
	ws->in_frame = false;
	if (is_control(ws->opcode)) {
		*out = (struct websocket_event){.kind = (enum websocket_kind)ws->opcode,
						.data = (const char *)ws->control,
						.len = (size_t)ws->done};
		return ws->opcode == WEBSOCKET_CLOSE ? end_close(ws, out) : 0;
	}
	if (!ws->last) {
		return 0;
	}
	*out = (struct websocket_event){.kind = (enum websocket_kind)ws->message_kind,
					.data = ws->message.len > 0 ? ws->message.at : "",
					.len = ws->message.len};
	ws->message_kind = 0;
	ws->given = true;
	return out->kind == WEBSOCKET_TEXT && !utf8_is_string(out->data, out->len) ? ERR_TYPE : 0;
}

/* ---- reading ---- */

static void forget_given(struct websocket *ws)
{
	if (ws->given) {
		ws->given = false;
		ws->message.len = 0;
	}
}

int websocket_take(struct websocket *ws, const char *data, size_t len, size_t *used, struct websocket_event *out)
{
	int rv = 0;

	*out = (struct websocket_event){.kind = WEBSOCKET_NOTHING, .data = ""};
	*used = 0;
	forget_given(ws);
	while (rv == 0 && out->kind == WEBSOCKET_NOTHING) {
		if (!ws->in_frame) {
			while (ws->head_len < head_size(ws) && *used < len) {
				ws->head[ws->head_len++] = (uint8_t)data[(*used)++];
			}
			if (ws->head_len < head_size(ws)) {
				return 0;
			}
			rv = begin_frame(ws);
		} else if (ws->left > 0) {
			size_t n = len - *used < ws->left ? len - *used : (size_t)ws->left;

			if (n == 0) {
				return 0;
			}
			rv = take_payload(ws, data + *used, n);
			*used += n;
		}
		if (rv == 0 && ws->in_frame && ws->left == 0) {
			rv = end_frame(ws, out);
		}
	}
	return rv;
}

void websocket_free(struct websocket *ws)
{
	buf_close(&ws->message);
}

unsigned websocket_code(int err)
{
	switch (err) {
	case ERR_TYPE:
		return WEBSOCKET_NOT_UTF8;
	case ERR_TOOBIG:
		return WEBSOCKET_TOO_BIG;
	case ERR_NOMEM:
		return WEBSOCKET_INTERNAL;
	default:
		return WEBSOCKET_PROTOCOL;
	}
}

unsigned websocket_status(int status)
{
	return status == 500 ? WEBSOCKET_INTERNAL : WEBSOCKET_HTTP + (unsigned)status;
}

/* ---- writing ---- */

static void put_big_endian(struct buf *out, uint64_t value, unsigned n)
{
	while (n-- > 0) {
		buf_byte(out, (char)(uint8_t)(value >> (8 * n)));
	}
}

void websocket_put(struct buf *out, enum websocket_kind kind, const char *data, size_t len, const uint8_t mask[4])
{
	unsigned masked = mask != NULL ? MASKED : 0;
	size_t i;

	buf_byte(out, (char)(uint8_t)(FIN | (unsigned)kind));
	if (len < LEN_16) {
		buf_byte(out, (char)(uint8_t)(masked | len));
	} else {
		unsigned n = len > UINT16_MAX ? 8 : 2;

		buf_byte(out, (char)(uint8_t)(masked | (n == 8 ? LEN_64 : LEN_16)));
		put_big_endian(out, len, n);
	}
	if (mask == NULL) {
		buf_put(out, data, len);
		return;
	}
	buf_put(out, mask, 4);
	for (i = 0; i < len; i++) {
		buf_byte(out, (char)((uint8_t)data[i] ^ mask[i % 4]));
	}
}

void websocket_put_close(struct buf *out, unsigned code, const char *reason, const uint8_t mask[4])
{
	char body[WEBSOCKET_CONTROL_MAX];
	size_t n = strlen(reason);

	n = n < sizeof(body) - 2 ? n : sizeof(body) - 2;
	while (n > 0 && ((uint8_t)reason[n] & 0xc0) == 0x80) {
		n--; /* Not in the middle of a character. */
	}
	body[0] = (char)(uint8_t)(code >> 8);
	body[1] = (char)(uint8_t)code;
	memcpy(body + 2, reason, n);
	websocket_put(out, WEBSOCKET_CLOSE, body, n + 2, mask);
}
