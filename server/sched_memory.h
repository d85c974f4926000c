/**
 * Memory of the schedulers: it is got, or the process ends.
 *
 * A scheduler that is out of memory can neither plan nor say so, and the state, which holds far more, ends the process
 * as well (raft/state.h). All of it comes through these functions.
 */
#ifndef SERVER_SCHED_MEMORY_H_
#define SERVER_SCHED_MEMORY_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/arena.h"

/* The pointer; or the end, when it is NULL. */
void *sched_got(void *p);

/* From malloc(); zeroed. */
void *sched_calloc(size_t n, size_t size);

/* Room for one more than `n` elements in an array from malloc(), which doubles: the array, maybe elsewhere. */
void *sched_grow(void *array, uint32_t n, uint32_t *cap, size_t size);

/* From an arena; zeroed. */
static inline void *arena_need(struct arena *mem, size_t n, size_t size)
{
	return sched_got(arena_calloc(mem, n, size));
}

/* Room for one more in an array in an arena, which doubles. */
void *arena_grow(struct arena *mem, void *array, uint32_t n, uint32_t *cap, size_t size);

/* qsort() of an array that may be empty, and then NULL. */
static inline void sched_sort(void *array, size_t n, size_t size, int (*order)(const void *, const void *))
{
	if (n > 1) {
		qsort(array, n, size, order);
	}
}

#endif /* SERVER_SCHED_MEMORY_H_ */
