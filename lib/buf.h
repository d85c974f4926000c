/**
 * A growing output buffer whose first failure sticks.
 *
 * Writers append freely and look at `failed` once, at the end.
 */
#ifndef LIB_BUF_H_
#define LIB_BUF_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* All zero is an empty buffer. */
struct buf {
	char *at;   /* From malloc(); NULL while empty. */
	size_t len; /* Bytes written. */
	size_t cap;
	bool failed; /* Memory ran out; what was written since is lost. */
};

char *buf_grow(struct buf *b, size_t n);

/* Release the memory; the buffer is empty again. */
void buf_close(struct buf *b);

/* Room for n bytes at the end, for the caller to fill and then add to `len`;
 * NULL once the buffer has failed. */
static inline char *buf_room(struct buf *b, size_t n)
{
	return b->cap - b->len < n || b->at == NULL ? buf_grow(b, n) : b->at + b->len;
}

static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	char *to = buf_room(b, n);

	if (to != NULL && n > 0) {
		memcpy(to, p, n);
		b->len += n;
	}
}

static inline void buf_byte(struct buf *b, char c)
{
	char *to = buf_room(b, 1);

	if (to != NULL) {
		*to = c;
		b->len++;
	}
}

static inline void buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* The text with a zero byte behind it (not counted); "" when the buffer failed. */
const char *buf_text(struct buf *b);

#endif /* LIB_BUF_H_ */
