/**
 * Rendered bodies, to be sent again as long as they hold.
 *
 * A body is kept under a key (any bytes: a request's path and query, say) with a stamp, which the caller makes of all
 * that the body depends on: the stamps of the tables it was rendered from. A look-up with another stamp finds nothing,
 * and forgets the body. The cache is bounded in bytes; what has not been used for longest goes first.
 *
 * Of one thread; the bodies may be of any.
 */
#ifndef SERVER_CACHE_H_
#define SERVER_CACHE_H_

#include <stddef.h>
#include <stdint.h>

#include "proto/http.h"

struct cache;

/* Bodies and keys together take at most so many bytes, and their compressed forms, if clients want them, less than that
 * once more. NULL when memory is exhausted. */
struct cache *cache_new(size_t bytes_max);
void cache_free(struct cache *c);

/* A reference, the caller's; or NULL. */
struct http_body *cache_get(struct cache *c, const void *key, size_t len, uint64_t stamp);

/* Keeps a reference of its own. Replaces what the key had. A body that would take up more than an eighth of the cache
 * is not kept, nor is one for which there is no memory. */
void cache_put(struct cache *c, const void *key, size_t len, uint64_t stamp, struct http_body *body);

struct cache_stats {
	uint64_t hits, misses;
	size_t bytes, n;
};

void cache_get_stats(const struct cache *c, struct cache_stats *stats);

#endif /* SERVER_CACHE_H_ */
