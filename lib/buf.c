#include "lib/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

char *buf_grow(struct buf *b, size_t n)
{
	size_t cap = b->cap == 0 ? 256 : b->cap;
	char *at;

	if (b->failed || n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
		b->failed = true;
		return NULL;
	}
	while (cap - b->len < n) {
		cap *= 2;
	}
	at = realloc(b->at, cap);
	if (at == NULL) {
		b->failed = true;
		return NULL;
	}
	b->at = at;
	b->cap = cap;
	return at + b->len;
}

void buf_close(struct buf *b)
{
	free(b->at);
	*b = (struct buf){0};
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	char *to;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	to = n < 0 ? NULL : buf_room(b, (size_t)n + 1);
	if (to != NULL) {
		vsnprintf(to, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(b, format, args);
	va_end(args);
}

const char *buf_text(struct buf *b)
{
	char *end = buf_room(b, 1);

	if (end == NULL) {
		return "";
	}
	*end = '\0';
	return b->at;
}
