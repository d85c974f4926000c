#include "lib/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void hash_close(struct hash_table *t)
{
	free(t->buckets);
	memset(t, 0, sizeof(*t));
}

static struct hash_link **bucket(const struct hash_table *t, uint64_t hash)
{
	uint64_t mixed = hash * UINT64_C(0x9e3779b97f4a7c15);

	return t->cap == 0 ? (struct hash_link **)&t->only : &t->buckets[(mixed >> 32) & (t->cap - 1)];
}

static void put(struct hash_table *t, struct hash_link *e)
{
	struct hash_link **b = bucket(t, e->hash);

	e->next = *b;
	*b = e;
}

static void move_all(struct hash_table *to, struct hash_link *chain)
{
	struct hash_link *next;

	for (; chain != NULL; chain = next) {
		next = chain->next;
		put(to, chain);
	}
}

static void grow(struct hash_table *t)
{
	struct hash_table wider = {.cap = t->cap == 0 ? 16 : t->cap * 2, .n = t->n};
	size_t i;

	wider.buckets = calloc(wider.cap, sizeof(struct hash_link *));
	if (wider.buckets == NULL) {
		return;
	}
	move_all(&wider, t->only);
	for (i = 0; i < t->cap; i++) {
		move_all(&wider, t->buckets[i]);
	}
	free(t->buckets);
	*t = wider;
}

void hash_add(struct hash_table *t, struct hash_link *e, uint64_t hash)
{
	if (t->n >= t->cap) {
		grow(t);
	}
	e->hash = hash;
	put(t, e);
	t->n++;
}

void hash_remove(struct hash_table *t, struct hash_link *e)
{
	struct hash_link **at = bucket(t, e->hash);

	while (*at != e) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = e->next;
	e->next = NULL;
	t->n--;
}

static struct hash_link *with_hash(struct hash_link *e, uint64_t hash)
{
	while (e != NULL && e->hash != hash) {
		e = e->next;
	}
	return e;
}

struct hash_link *hash_first(const struct hash_table *t, uint64_t hash)
{
	return with_hash(*bucket(t, hash), hash);
}

struct hash_link *hash_next(const struct hash_link *e)
{
	return with_hash(e->next, e->hash);
}

struct hash_link *hash_walk(const struct hash_table *t, const struct hash_link *e)
{
	struct hash_link **b = e != NULL ? bucket(t, e->hash) : t->buckets;

	if (e != NULL && e->next != NULL) {
		return e->next;
	}
	if (t->cap == 0) {
		return e == NULL ? t->only : NULL;
	}
	if (e != NULL) {
		b++;
	}
	while (b < t->buckets + t->cap && *b == NULL) {
		b++;
	}
	return b < t->buckets + t->cap ? *b : NULL;
}

/* Elements go from the last bucket on, and the table shrinks with them, so that emptying it takes one walk. */
struct hash_link *hash_pop(struct hash_table *t)
{
	struct hash_link **b = &t->only;
	struct hash_link *e;

	while (t->cap > 1 && t->buckets[t->cap - 1] == NULL && t->n > 0) {
		t->cap--;
	}
	if (t->cap > 0) {
		b = &t->buckets[t->cap - 1];
	}
	e = *b;
	if (e != NULL) {
		*b = e->next;
		e->next = NULL;
		t->n--;
	}
	return e;
}
