#include "lib/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a chunk with its header: a little more than a power of two would cost an allocator a quarter more. */
enum { CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

struct arena_chunk {
	struct arena_chunk *older;
	size_t size;
	char data[];
};

/* Each is twice the size of the one before, from the smallest to the largest. */
static size_t next_size(const struct arena *a)
{
	size_t before = a->chunks != NULL ? a->chunks->size + sizeof(struct arena_chunk) : 0;
	size_t all = CHUNK_MIN;

	while (all <= before && all < CHUNK_MAX) {
		all *= 2;
	}
	return all - sizeof(struct arena_chunk);
}

void *arena_more(struct arena *a, size_t n)
{
	size_t size = next_size(a);
	struct arena_chunk *c;

	if (size < n) {
		size = n;
	}
	c = malloc(sizeof(*c) + size);
	if (c == NULL) {
		return NULL;
	}
	c->older = a->chunks;
	c->size = size;
	a->chunks = c;
	a->next = c->data + n;
	a->end = c->data + size;
	a->total += sizeof(*c) + size;
	return c->data;
}

void arena_close(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c != NULL) {
		struct arena_chunk *older = c->older;

		free(c);
		c = older;
	}
	*a = (struct arena){0};
}

void *arena_alloc(struct arena *a, size_t n)
{
	void *p;

	if (n > SIZE_MAX - 7) {
		return NULL;
	}
	n = (n + 7) & ~(size_t)7;
	if (a == NULL) {
		return malloc(n > 0 ? n : 8);
	}
	if ((size_t)(a->end - a->next) < n || a->next == NULL) {
		return arena_more(a, n);
	}
	p = a->next;
	a->next += n;
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t n;
	void *p;

	if (__builtin_mul_overflow(count, size, &n)) {
		return NULL;
	}
	p = arena_alloc(a, n);
	if (p != NULL) {
		memset(p, 0, n);
	}
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;

	if (p != NULL) {
		memcpy(p, s, n);
		p[n] = '\0';
	}
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	va_list again;
	char *p;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (p != NULL) {
		vsnprintf(p, (size_t)n + 1, format, again);
	}
	va_end(again);
	return p;
}
