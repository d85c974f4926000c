#include "lib/base64.h"

#include <stdint.h>

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_put(struct buf *out, const void *data, size_t n, enum base64_digits digits, bool pads)
{
	const char *digit = digits == BASE64_URL ? url : plain;
	const uint8_t *in = data;
	char *to = buf_room(out, (n + 2) / 3 * 4);
	const char *start = to;
	size_t left;

	if (to == NULL) {
		return;
	}
	for (left = n; left >= 3; left -= 3, in += 3) {
		uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		*to++ = digit[bits >> 18];
		*to++ = digit[bits >> 12 & 63];
		*to++ = digit[bits >> 6 & 63];
		*to++ = digit[bits & 63];
	}
	if (left > 0) {
		uint32_t bits = (uint32_t)in[0] << 16 | (left > 1 ? (uint32_t)in[1] << 8 : 0);

		*to++ = digit[bits >> 18];
		*to++ = digit[bits >> 12 & 63];
		if (left > 1) {
			*to++ = digit[bits >> 6 & 63];
		}
		for (; pads && left < 3; left++) {
			*to++ = '=';
		}
	}
	out->len += (size_t)(to - start);
}

int base64_value(char digit)
{
	if (digit >= 'A' && digit <= 'Z') {
		return digit - 'A';
	}
	if (digit >= 'a' && digit <= 'z') {
		return digit - 'a' + 26;
	}
	if (digit >= '0' && digit <= '9') {
		return digit - '0' + 52;
	}
	return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}
