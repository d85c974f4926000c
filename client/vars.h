/**
 * A map of strings in the making: kept sorted by key, without doubles, in memory of an arena.
 *
 * Writers put freely and look at `failed` once, at the end, as with a struct buf. Keys and values are borrowed: they
 * live as long as the arena does, or longer.
 */
#ifndef CLIENT_VARS_H_
#define CLIENT_VARS_H_

#include "lib/arena.h"
#include "proto/object.h"

struct vars {
	struct map map;
	uint32_t cap;
	struct arena *mem;
	bool failed; /* Memory ran out; nothing is added any more. */
};

/* The later of two values of one key counts. A NULL is memory that could not be had: the map fails. */
void vars_put(struct vars *v, const char *key, const char *value);
void vars_put_int(struct vars *v, const char *key, int64_t value);

/* Nothing is put for NULL and "". */
void vars_put_given(struct vars *v, const char *key, const char *value);

/* The value of a sorted map, or NULL. */
const char *map_find(const struct map *map, const char *key);

#endif /* CLIENT_VARS_H_ */
