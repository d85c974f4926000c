#include "server/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BUCKETS_MIN = 256, LARGEST_SHARE = 8 };

struct entry {
	struct list used;   /* In cache.used. */
	struct entry *next; /* In its bucket. */
	uint64_t hash;
	uint64_t stamp;
	struct http_body *body;
	size_t len;
	char key[];
};

struct cache {
	struct entry **buckets;
	size_t n_buckets; /* A power of two. */
	struct list used; /* The last used at the end. */
	size_t bytes_max;
	struct cache_stats stats;
};

struct cache *cache_new(size_t bytes_max)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		return NULL;
	}
	c->buckets = calloc(BUCKETS_MIN, sizeof(struct entry *));
	if (c->buckets == NULL) {
		free(c);
		return NULL;
	}
	c->n_buckets = BUCKETS_MIN;
	c->bytes_max = bytes_max;
	list_init(&c->used);
	return c;
}

static struct entry **find(const struct cache *c, uint64_t hash, const void *key, size_t len)
{
	struct entry **at = &c->buckets[hash & (c->n_buckets - 1)];

	while (*at != NULL && ((*at)->hash != hash || (*at)->len != len || memcmp((*at)->key, key, len) != 0)) {
		at = &(*at)->next;
	}
	return at;
}

static size_t size_of(const struct entry *e)
{
	return sizeof(*e) + e->len + sizeof(*e->body) + e->body->len;
}

static void forget(struct cache *c, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	list_remove(&e->used);
	c->stats.bytes -= size_of(e);
	c->stats.n--;
	http_body_put(e->body);
	free(e);
}

static void forget_oldest(struct cache *c)
{
	struct entry *e = CONTAINER_OF(c->used.next, struct entry, used);

	forget(c, find(c, e->hash, e->key, e->len));
}

void cache_free(struct cache *c)
{
	if (c != NULL) {
		while (!list_empty(&c->used)) {
			forget_oldest(c);
		}
		free(c->buckets);
		free(c);
	}
}

struct http_body *cache_get(struct cache *c, const void *key, size_t len, uint64_t stamp)
{
	struct entry **at = find(c, XXH3_64bits(key, len), key, len);
	struct entry *e = *at;

	if (e != NULL && e->stamp != stamp) {
		forget(c, at);
		e = NULL;
	}
	if (e == NULL) {
		c->stats.misses++;
		return NULL;
	}
	list_remove(&e->used);
	list_insert(&c->used, &e->used);
	c->stats.hits++;
	return http_body_get(e->body);
}

/* Without memory for more buckets it only gets slower. */
static void grow(struct cache *c)
{
	size_t n = c->n_buckets * 2;
	struct entry **buckets = calloc(n, sizeof(struct entry *));

	if (buckets == NULL) {
		return;
	}
	LIST_EACH (l, &c->used) {
		struct entry *e = CONTAINER_OF(l, struct entry, used);

		e->next = buckets[e->hash & (n - 1)];
		buckets[e->hash & (n - 1)] = e;
	}
	free(c->buckets);
	c->buckets = buckets;
	c->n_buckets = n;
}

void cache_put(struct cache *c, const void *key, size_t len, uint64_t stamp, struct http_body *body)
{
	uint64_t hash = XXH3_64bits(key, len);
	struct entry **at = find(c, hash, key, len);
	struct entry *e;

	if (*at != NULL) {
		forget(c, at);
	}
	if (body->len + len > c->bytes_max / LARGEST_SHARE) {
		return;
	}
	e = malloc(sizeof(*e) + len);
	if (e == NULL) {
		return;
	}
	e->hash = hash;
	e->stamp = stamp;
	e->body = http_body_get(body);
	e->len = len;
	memcpy(e->key, key, len);
	c->stats.bytes += size_of(e);
	c->stats.n++;
	if (c->stats.n > c->n_buckets) {
		grow(c);
	}
	at = &c->buckets[hash & (c->n_buckets - 1)];
	e->next = *at;
	*at = e;
	list_insert(&c->used, &e->used);
	while (c->stats.bytes > c->bytes_max) {
		forget_oldest(c);
	}
}

void cache_get_stats(const struct cache *c, struct cache_stats *stats)
{
	*stats = c->stats;
}
