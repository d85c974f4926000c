/** UUIDs: 16 bytes in memory, 36 characters in the API. */
#ifndef LIB_UUID_H_
#define LIB_UUID_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { UUID_TEXT = 37 }; /* With the closing zero. */

struct uuid {
	uint8_t at[16];
};

static inline bool uuid_is_zero(const struct uuid *u)
{
	static const struct uuid zero;

	return memcmp(u, &zero, sizeof(zero)) == 0;
}

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Exactly 36 characters in the form 8-4-4-4-12, hex digits of either case; else false and `out` untouched. */
bool uuid_parse(const char *text, size_t len, struct uuid *out);

/* Lower case, with the closing zero. The zero UUID becomes "". */
void uuid_format(const struct uuid *u, char text[UUID_TEXT]);

/* A version 4 UUID made of 16 random bytes of the caller's. */
struct uuid uuid_from_random(const uint8_t random[16]);

/* The n-th of a family: the same seed and n give the same UUID on every server, so that the state machine can
 * make IDs although it has no random source. */
struct uuid uuid_derive(const struct uuid *seed, uint64_t n);

/* From the system's random source; aborts if there is none. For shells only: cores are handed random bits. */
struct uuid uuid_random(void);

#endif /* LIB_UUID_H_ */
