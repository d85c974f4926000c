/**
 * UTF-8 as the program's strings hold it.
 *
 * In memory the character U+0000 is the two bytes C0 80, which no valid text
 * has otherwise, so that C string functions work on every string.
 */
#ifndef LIB_UTF8_H_
#define LIB_UTF8_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What invalid bytes become: U+FFFD. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* The length of the valid sequence at s, of which `room` bytes may be read, or 0. C0 80 is not valid. */
static inline size_t utf8_len(const char *text, size_t room)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	size_t i;

	if (n == 1) {
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4 || room < n) {
		return 0;
	}
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	/* Overlong forms, halves of surrogate pairs, and what lies above U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f)) {
		return 0;
	}
	return n;
}

static inline bool utf8_is_nul(const char *s, size_t room)
{
	return room >= 2 && (unsigned char)s[0] == 0xc0 && (unsigned char)s[1] == 0x80;
}

/* Whether the bytes may stand in a string: valid, C0 80 for U+0000, and no zero byte. */
static inline bool utf8_is_string(const char *s, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	size_t i = 0;

	while (i < n) {
		uint64_t w;
		size_t len;

		/* Eight ASCII bytes at a time: no top bit, and none zero. */
		if (n - i >= 8 && (memcpy(&w, s + i, 8), ((w | (w - ones)) & (ones * 0x80)) == 0)) {
			i += 8;
			continue;
		}
		len = s[i] == '\0' ? 0 : utf8_is_nul(s + i, n - i) ? 2 : utf8_len(s + i, n - i);
		if (len == 0) {
			return false;
		}
		i += len;
	}
	return true;
}

/* Write the character, at most 4 bytes (U+0000 as C0 80); returns their number. */
static inline size_t utf8_put(char *to, uint32_t c)
{
	if (c != 0 && c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 63));
		to[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 63));
	to[2] = (char)(0x80 | (c >> 6 & 63));
	to[3] = (char)(0x80 | (c & 63));
	return 4;
}

#endif /* LIB_UTF8_H_ */
