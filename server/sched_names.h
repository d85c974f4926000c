/** The indexes of a group's allocations ("job.group[3]"): which are in use. */
#ifndef SERVER_SCHED_NAMES_H_
#define SERVER_SCHED_NAMES_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"

struct names {
	struct arena *mem;
	uint64_t *bits;
	uint32_t words;
	uint32_t next; /* All below are in use. */
};

enum { NAMES_MAX = 1 << 24 }; /* An index beyond is not looked at. */

static inline bool names_has(const struct names *n, uint32_t index)
{
	return index / 64 < n->words && (n->bits[index / 64] >> (index % 64) & 1) != 0;
}

/* False when it was in use already. */
bool names_take(struct names *n, uint32_t index);

/* The lowest that is free; it is in use afterwards. */
uint32_t names_next(struct names *n);

#endif /* SERVER_SCHED_NAMES_H_ */
