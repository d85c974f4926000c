/**
 * Binary heaps of elements that hold their own place.
 *
 * The heap holds pointers and knows of an element only what `before` tells: whether it comes ahead of another. An
 * element is in at most one heap for each heap_link that it has, and can be taken out of the middle.
 */
#ifndef LIB_HEAP_H_
#define LIB_HEAP_H_

#include <stdbool.h>
#include <stddef.h>

/* All zero is in no heap. */
struct heap_link {
	size_t at; /* Its place, counted from 1. */
};

struct heap {
	bool (*before)(const struct heap_link *a, const struct heap_link *b); /* A strict order. */
	struct heap_link **at;                                                /* The first of all at 0. */
	size_t n;
	size_t cap;
};

void heap_init(struct heap *h, bool (*before)(const struct heap_link *a, const struct heap_link *b));

/* The elements are not touched. */
void heap_close(struct heap *h);

/* False when memory is exhausted; nothing was done then. */
bool heap_add(struct heap *h, struct heap_link *e);

/* Take out one that is in the heap. */
void heap_remove(struct heap *h, struct heap_link *e);

/* Its order has changed. */
void heap_moved(struct heap *h, struct heap_link *e);

static inline bool heap_has(const struct heap_link *e)
{
	return e->at != 0;
}

/* The one that comes ahead of all others, or NULL. */
static inline struct heap_link *heap_first(const struct heap *h)
{
	return h->n > 0 ? h->at[0] : NULL;
}

#endif /* LIB_HEAP_H_ */
