/**
 * Small texts in fixed memory, for code that must do without stdio and malloc(): the executor, and children between
 * fork and exec. What does not fit is cut.
 */
#ifndef CLIENT_TEXT_H_
#define CLIENT_TEXT_H_

#include <stddef.h>
#include <stdint.h>

enum { TEXT_MAX = 512 };

/* All zero is empty; `at` is always closed by a zero byte. */
struct text {
	size_t n;
	char at[TEXT_MAX];
};

/* The first n bytes of `s`, or all of it. */
static inline void text_cut(struct text *t, const char *s, size_t n)
{
	for (; n > 0 && *s != '\0' && t->n + 1 < sizeof(t->at); n--) {
		t->at[t->n++] = *s++;
	}
	t->at[t->n] = '\0';
}

static inline void text_str(struct text *t, const char *s)
{
	text_cut(t, s, SIZE_MAX);
}

static inline void text_num(struct text *t, uint64_t value)
{
	char digits[21];
	size_t i = sizeof(digits);

	digits[--i] = '\0';
	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	text_str(t, digits + i);
}

/* The decimal number that *s begins with, *s moved behind it; 0 if there is none. */
static inline uint64_t text_parse_num(const char **s)
{
	uint64_t value = 0;

	while (**s >= '0' && **s <= '9') {
		value = value * 10 + (uint64_t)(*(*s)++ - '0');
	}
	return value;
}

#endif /* CLIENT_TEXT_H_ */
