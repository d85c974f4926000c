/** Looking at eight characters of JSON text at a time; for its reader and writer. */
#ifndef PROTO_JSON_CHARS_H_
#define PROTO_JSON_CHARS_H_

#include <stdint.h>

/* Nonzero when one of 8 bytes is a control character, a quote, a backslash or not ASCII: each test sets the top bit of
 * the bytes that it catches (and perhaps of bytes above one caught, which does not matter). */
static inline uint64_t json_special8(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t quote = w ^ (ones * '"');
	uint64_t backslash = w ^ (ones * '\\');

	return (w | (w - ones * 0x20) | (quote - ones) | (backslash - ones)) & (ones * 0x80);
}

#endif /* PROTO_JSON_CHARS_H_ */
