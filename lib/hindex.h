/**
 * A hash index over an array of the caller's.
 *
 * It holds numbers of elements by the hashes of their keys (open addressing, linear probing) and knows nothing else of
 * them: the caller compares. Elements keep their numbers; the index keeps 8 bytes for each.
 */
#ifndef LIB_HINDEX_H_
#define LIB_HINDEX_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HINDEX_NONE = UINT32_MAX };

struct hindex_slot;

/* All zero is empty. */
struct hindex {
	struct hindex_slot *slots;
	uint32_t cap; /* A power of two, or 0. */
	uint32_t n;
};

/* Whether element `i` of `array` has this key. */
typedef bool (*hindex_same)(const void *array, uint32_t i, const void *key);

void hindex_close(struct hindex *x);

/* The element, or HINDEX_NONE. */
uint32_t hindex_find(const struct hindex *x, uint64_t hash, hindex_same same, const void *array, const void *key);

/* Add an element whose key is not there. False when memory is exhausted; nothing was done then. */
bool hindex_add(struct hindex *x, uint64_t hash, uint32_t i);

/* Take out an element that is there. */
void hindex_remove(struct hindex *x, uint64_t hash, uint32_t i);

/* It has another number now. */
void hindex_move(struct hindex *x, uint64_t hash, uint32_t from, uint32_t to);

/* Take out all, keeping the memory. */
void hindex_clear(struct hindex *x);

#endif /* LIB_HINDEX_H_ */
