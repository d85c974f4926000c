#include "lib/hindex.h"

#include <stdlib.h>
#include <string.h>

struct hindex_slot {
	uint32_t hash;
	uint32_t at; /* The element's number plus 1; 0: empty. */
};

/* The low bits of a hash choose the slot, and 32 bits of it spare most comparisons. */
static uint32_t fold(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t next(const struct hindex *x, uint32_t slot)
{
	return (slot + 1) & (x->cap - 1);
}

void hindex_close(struct hindex *x)
{
	free(x->slots);
	memset(x, 0, sizeof(*x));
}

uint32_t hindex_find(const struct hindex *x, uint64_t hash, hindex_same same, const void *array, const void *key)
{
	uint32_t h = fold(hash);
	uint32_t slot;

	if (x->n == 0) {
		return HINDEX_NONE;
	}
	for (slot = h & (x->cap - 1); x->slots[slot].at != 0; slot = next(x, slot)) {
		if (x->slots[slot].hash == h && same(array, x->slots[slot].at - 1, key)) {
			return x->slots[slot].at - 1;
		}
	}
	return HINDEX_NONE;
}

static void put(struct hindex *x, uint32_t h, uint32_t at)
{
	uint32_t slot = h & (x->cap - 1);

	while (x->slots[slot].at != 0) {
		slot = next(x, slot);
	}
	x->slots[slot].hash = h;
	x->slots[slot].at = at;
}

static bool grow(struct hindex *x)
{
	struct hindex wider = {.cap = x->cap == 0 ? 16 : x->cap * 2, .n = x->n};
	uint32_t i;

	wider.slots = calloc(wider.cap, sizeof(wider.slots[0]));
	if (wider.slots == NULL) {
		return false;
	}
	for (i = 0; i < x->cap; i++) {
		if (x->slots[i].at != 0) {
			put(&wider, x->slots[i].hash, x->slots[i].at);
		}
	}
	free(x->slots);
	*x = wider;
	return true;
}

bool hindex_add(struct hindex *x, uint64_t hash, uint32_t i)
{
	if (x->n >= x->cap / 2 && !grow(x)) {
		return false;
	}
	put(x, fold(hash), i + 1);
	x->n++;
	return true;
}

static struct hindex_slot *slot_of(const struct hindex *x, uint64_t hash, uint32_t i)
{
	uint32_t slot = fold(hash) & (x->cap - 1);

	while (x->slots[slot].at != i + 1) {
		slot = next(x, slot);
	}
	return &x->slots[slot];
}

/* Those behind the gap that would not be found beyond it move into it. */
void hindex_remove(struct hindex *x, uint64_t hash, uint32_t i)
{
	uint32_t gap = (uint32_t)(slot_of(x, hash, i) - x->slots);
	uint32_t slot;

	for (slot = next(x, gap); x->slots[slot].at != 0; slot = next(x, slot)) {
		uint32_t home = x->slots[slot].hash & (x->cap - 1);

		if (((slot - home) & (x->cap - 1)) >= ((slot - gap) & (x->cap - 1))) {
			x->slots[gap] = x->slots[slot];
			gap = slot;
		}
	}
	x->slots[gap].at = 0;
	x->n--;
}

void hindex_move(struct hindex *x, uint64_t hash, uint32_t from, uint32_t to)
{
	slot_of(x, hash, from)->at = to + 1;
}

void hindex_clear(struct hindex *x)
{
	if (x->n > 0) {
		memset(x->slots, 0, x->cap * sizeof(x->slots[0]));
		x->n = 0;
	}
}
