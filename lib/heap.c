#include "lib/heap.h"

#include <assert.h>
#include <stdlib.h>

void heap_init(struct heap *h, bool (*before)(const struct heap_link *a, const struct heap_link *b))
{
	*h = (struct heap){.before = before};
}

void heap_close(struct heap *h)
{
	free(h->at);
	heap_init(h, h->before);
}

static void put(struct heap *h, size_t i, struct heap_link *e)
{
	h->at[i] = e;
	e->at = i + 1;
}

/* Places i and above are free for `e` to rise from. */
static void rise(struct heap *h, size_t i, struct heap_link *e)
{
	while (i > 0 && h->before(e, h->at[(i - 1) / 2])) {
		put(h, i, h->at[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(h, i, e);
}

static void sink(struct heap *h, size_t i, struct heap_link *e)
{
	size_t child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && h->before(h->at[child + 1], h->at[child])) {
			child++;
		}
		if (!h->before(h->at[child], e)) {
			break;
		}
		put(h, i, h->at[child]);
		i = child;
	}
	put(h, i, e);
}

static void settle(struct heap *h, size_t i, struct heap_link *e)
{
	if (i > 0 && h->before(e, h->at[(i - 1) / 2])) {
		rise(h, i, e);
	} else {
		sink(h, i, e);
	}
}

bool heap_add(struct heap *h, struct heap_link *e)
{
	assert(e->at == 0);
	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 16 : h->cap * 2;
		struct heap_link **at = reallocarray(h->at, cap, sizeof(struct heap_link *));

		if (at == NULL) {
			return false;
		}
		h->at = at;
		h->cap = cap;
	}
	h->n++;
	rise(h, h->n - 1, e);
	return true;
}

void heap_remove(struct heap *h, struct heap_link *e)
{
	size_t i = e->at - 1;
	struct heap_link *last;

	assert(e->at > 0 && e->at <= h->n && h->at[i] == e);
	last = h->at[--h->n];
	e->at = 0;
	if (last != e) {
		settle(h, i, last);
	}
}

void heap_moved(struct heap *h, struct heap_link *e)
{
	assert(e->at > 0 && e->at <= h->n && h->at[e->at - 1] == e);
	settle(h, e->at - 1, e);
}
