#include "lib/hash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MOVES = 4 }; /* Old buckets that one addition empties: all are empty long before the table grows again. */

static size_t place(uint64_t hash, size_t cap)
{
	return (hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (cap - 1);
}

/* Where elements with this hash are. What is in an old bucket has nothing in the new one: see hash_add(). */
static struct hash_link **bucket(const struct hash_table *t, uint64_t hash)
{
	if (t->old != NULL && t->old[place(hash, t->old_cap)] != NULL) {
		return &t->old[place(hash, t->old_cap)];
	}
	return t->cap == 0 ? (struct hash_link **)&t->only : &t->buckets[place(hash, t->cap)];
}

void hash_close(struct hash_table *t)
{
	free(t->buckets);
	free(t->old);
	memset(t, 0, sizeof(*t));
}

/* ---- growing, a few buckets at a time ---- */

static void put(struct hash_table *t, struct hash_link *e)
{
	struct hash_link **b = &t->buckets[place(e->hash, t->cap)];

	e->next = *b;
	*b = e;
}

static void move_all(struct hash_table *t, struct hash_link **from)
{
	struct hash_link *e;

	while ((e = *from) != NULL) {
		*from = e->next;
		put(t, e);
	}
}

static void move_some(struct hash_table *t, size_t n)
{
	while (t->old != NULL && n-- > 0) {
		move_all(t, &t->old[t->moved]);
		if (++t->moved == t->old_cap) {
			free(t->old);
			t->old = NULL;
			t->old_cap = t->moved = 0;
		}
	}
}

static void grow(struct hash_table *t)
{
	size_t cap = t->cap == 0 ? 16 : t->cap * 2;
	struct hash_link **buckets = calloc(cap, sizeof(struct hash_link *));

	if (buckets == NULL) {
		return;
	}
	move_some(t, t->old_cap);
	t->old = t->buckets;
	t->old_cap = t->cap;
	t->moved = 0;
	t->buckets = buckets;
	t->cap = cap;
	move_all(t, &t->only);
}

/* ---- elements ---- */

void hash_add(struct hash_table *t, struct hash_link *e, uint64_t hash)
{
	e->hash = hash;
	if (t->n >= t->cap) {
		grow(t);
	}
	t->n++;
	if (t->cap == 0) {
		e->next = t->only;
		t->only = e;
		return;
	}
	move_some(t, MOVES);
	if (t->old != NULL) {
		move_all(t, &t->old[place(hash, t->old_cap)]);
	}
	put(t, e);
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

/* ---- all of them ---- */

/* The first element in buckets from `i` on, old ones first, then the others. */
static struct hash_link *from(const struct hash_table *t, size_t i)
{
	for (; i < t->old_cap; i++) {
		if (t->old[i] != NULL) {
			return t->old[i];
		}
	}
	for (i -= t->old_cap; i < t->cap; i++) {
		if (t->buckets[i] != NULL) {
			return t->buckets[i];
		}
	}
	return NULL;
}

struct hash_link *hash_walk(const struct hash_table *t, const struct hash_link *e)
{
	struct hash_link **b;

	if (t->cap == 0) {
		return e == NULL ? t->only : e->next;
	}
	if (e == NULL) {
		return from(t, 0);
	}
	if (e->next != NULL) {
		return e->next;
	}
	b = bucket(t, e->hash);
	if (t->old != NULL && b >= t->old && b < t->old + t->old_cap) {
		return from(t, (size_t)(b - t->old) + 1);
	}
	return from(t, t->old_cap + (size_t)(b - t->buckets) + 1);
}

/* The last bucket of an array that has something in it; the array gets shorter with those behind it. */
static struct hash_link **last(struct hash_link **buckets, size_t *cap)
{
	while (*cap > 0 && buckets[*cap - 1] == NULL) {
		--*cap;
	}
	return *cap > 0 ? &buckets[*cap - 1] : NULL;
}

struct hash_link *hash_pop(struct hash_table *t)
{
	struct hash_link **b = t->old != NULL ? last(t->old, &t->old_cap) : NULL;
	struct hash_link *e;

	if (b == NULL && t->buckets != NULL) {
		b = last(t->buckets, &t->cap);
	}
	if (b == NULL) {
		b = &t->only;
	}
	e = *b;
	if (e != NULL) {
		*b = e->next;
		e->next = NULL;
		t->n--;
	}
	return e;
}
