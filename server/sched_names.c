#include "server/sched_names.h"

#include <string.h>

#include "server/sched_memory.h"

static void widen(struct names *n, uint32_t words)
{
	uint32_t wanted = n->words * 2 > words ? n->words * 2 : words;
	uint64_t *bits = arena_need(n->mem, wanted, sizeof(bits[0]));

	if (n->words > 0) {
		memcpy(bits, n->bits, n->words * sizeof(bits[0]));
	}
	n->bits = bits;
	n->words = wanted;
}

bool names_take(struct names *n, uint32_t index)
{
	if (index >= NAMES_MAX || names_has(n, index)) {
		return false;
	}
	if (index / 64 >= n->words) {
		widen(n, index / 64 + 1);
	}
	n->bits[index / 64] |= UINT64_C(1) << (index % 64);
	return true;
}

uint32_t names_next(struct names *n)
{
	while (names_has(n, n->next)) {
		n->next++;
	}
	names_take(n, n->next);
	return n->next++;
}
