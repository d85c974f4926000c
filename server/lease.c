#include "server/lease.h"

#include <stdlib.h>

static int newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x < y) - (x > y);
}

uint64_t lease_until(unsigned election_ms, uint64_t *sent_ms, unsigned n)
{
	uint64_t sent;

	if (n == 0) {
		return 0;
	}
	qsort(sent_ms, n, sizeof(*sent_ms), newest_first);
	sent = sent_ms[n / 2]; /* So many have answered what was sent then, or later; one more than half. */
	return sent != 0 ? sent + election_ms - election_ms / 10 : 0;
}
