#include "server/sched_memory.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

void *sched_got(void *p)
{
	if (p == NULL) {
		log_error("sched", "out of memory");
		abort();
	}
	return p;
}

void *sched_calloc(size_t n, size_t size)
{
	return sched_got(calloc(n > 0 ? n : 1, size));
}

static uint32_t doubled(uint32_t cap)
{
	return cap == 0 ? 8 : cap * 2;
}

void *sched_grow(void *array, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap) {
		return array;
	}
	*cap = doubled(*cap);
	return sched_got(reallocarray(array, *cap, size));
}

void *arena_grow(struct arena *mem, void *array, uint32_t n, uint32_t *cap, size_t size)
{
	void *wider;

	if (n < *cap) {
		return array;
	}
	*cap = doubled(*cap);
	wider = arena_need(mem, *cap, size);
	if (n > 0) {
		memcpy(wider, array, n * size);
	}
	return wider;
}
