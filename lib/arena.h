/**
 * Memory for what lives and dies together.
 *
 * A request, a decode or a plan allocates from one arena and is released by one
 * arena_close(). Functions that take `struct arena *mem` and are given NULL take
 * each piece from malloc() instead; their callers then free piece by piece.
 * An arena belongs to one thread at a time.
 */
#ifndef LIB_ARENA_H_
#define LIB_ARENA_H_

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

/* All zero is an empty arena. */
struct arena {
	struct arena_chunk *chunks; /* Newest first. */
	char *next;                 /* Next free byte of the newest chunk. */
	char *end;
	size_t total; /* Bytes taken from malloc(). A metric, and a bound for callers. */
};

/* Used by arena_alloc() when the newest chunk is full. */
void *arena_more(struct arena *a, size_t n);

/* Release everything; the arena is empty again. Safe on a zeroed arena. */
void arena_close(struct arena *a);

/* `n` bytes, aligned to 8, not cleared; NULL when memory is exhausted. */
void *arena_alloc(struct arena *a, size_t n);

/* As arena_alloc(), cleared; NULL also when count * size overflows. */
void *arena_calloc(struct arena *a, size_t count, size_t size);

/* A copy of n bytes with a zero byte behind them. */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);

/* A formatted string; NULL when memory is exhausted. */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* LIB_ARENA_H_ */
