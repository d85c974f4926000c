/**
 * Hash tables of elements that hold their own link.
 *
 * The table knows an element by its hash alone; the caller compares:
 *
 *     for (l = hash_first(&t, hash); l != NULL; l = hash_next(l)) {
 *             struct thing *thing = CONTAINER_OF(l, struct thing, link);
 *             ...
 *     }
 *
 * Nothing here fails: without memory for more buckets a table gets slower.
 */
#ifndef LIB_HASH_H_
#define LIB_HASH_H_

#include <stddef.h>
#include <stdint.h>

struct hash_link {
	struct hash_link *next;
	uint64_t hash;
};

/* All zero is empty. It grows a few buckets at a time, so that no addition takes long. */
struct hash_table {
	struct hash_link **buckets;
	size_t cap; /* A power of two, or 0: then there is only the one below. */
	size_t n;
	struct hash_link **old; /* Buckets from before it grew, which are not all empty yet; NULL: none. */
	size_t old_cap;
	size_t moved; /* The first of these are. */
	struct hash_link *only;
};

/* The elements are not touched. */
void hash_close(struct hash_table *t);

void hash_add(struct hash_table *t, struct hash_link *e, uint64_t hash);

/* Take out one that is in the table. */
void hash_remove(struct hash_table *t, struct hash_link *e);

/* The first element with this hash, and the next one with the same; NULL: none. */
struct hash_link *hash_first(const struct hash_table *t, uint64_t hash);
struct hash_link *hash_next(const struct hash_link *e);

/* The element behind this one among all, in no order; the first for NULL; NULL at the end. Between two calls nothing is
 * added, and nothing but elements that were passed is removed. */
struct hash_link *hash_walk(const struct hash_table *t, const struct hash_link *e);

/* To end a table: take out all elements, one a call, in no order; NULL when there are none left. From the first call on
 * the table is good only for more of them and for hash_close(). */
struct hash_link *hash_pop(struct hash_table *t);

#endif /* LIB_HASH_H_ */
