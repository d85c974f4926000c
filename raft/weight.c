#include "raft/weight.h"

#include <assert.h>
#include <string.h>

void weight_reset(struct weight *w, uint64_t index)
{
	*w = (struct weight){.last = index, .step = WEIGHT_STEP, .n = 1, .at = {{index, 0}}};
}

/* The last point at or before index; the first one when all are behind it. */
static unsigned find(const struct weight *w, uint64_t index)
{
	unsigned low = 0;
	unsigned high = w->n;

	while (high - low > 1) {
		unsigned mid = (low + high) / 2;

		if (w->at[mid].index <= index) {
			low = mid;
		} else {
			high = mid;
		}
	}
	return low;
}

static void thin_out(struct weight *w)
{
	for (unsigned i = 1; i < WEIGHT_POINTS / 2; i++) {
		w->at[i] = w->at[2 * i];
	}
	w->n = WEIGHT_POINTS / 2;
	w->step *= 2;
}

static void truncate_from(struct weight *w, uint64_t index)
{
	if (index <= w->at[0].index) {
		weight_reset(w, index - 1);
		return;
	}
	w->n = find(w, index - 1) + 1;
	w->last = index - 1;
	w->total = w->at[w->n - 1].total;
}

void weight_append(struct weight *w, uint64_t index, uint64_t bytes)
{
	assert(index > 0 && w->n > 0);
	if (index <= w->last) {
		truncate_from(w, index);
	}
	w->last = index;
	w->total += bytes;
	if (w->total - w->at[w->n - 1].total < w->step) {
		return;
	}
	if (w->n == WEIGHT_POINTS) {
		thin_out(w);
	}
	w->at[w->n++] = (struct weight_point){index, w->total};
}

uint64_t weight_above(const struct weight *w, uint64_t index)
{
	return index >= w->last ? 0 : w->total - w->at[find(w, index)].total;
}

uint64_t weight_between(const struct weight *w, uint64_t from, uint64_t to)
{
	return w->at[find(w, to)].total - w->at[find(w, from)].total;
}

uint64_t weight_index(const struct weight *w, uint64_t bytes)
{
	unsigned i = 0;

	while (i < w->n && w->total - w->at[i].total > bytes) {
		i++;
	}
	if (i < w->n && w->at[i].index < w->last) {
		return w->at[i].index;
	}
	return w->last > w->at[0].index ? w->last - 1 : w->last;
}

void weight_forget(struct weight *w, uint64_t index)
{
	unsigned first = find(w, index);

	if (index >= w->last) {
		weight_reset(w, index);
		return;
	}
	w->n -= first;
	memmove(w->at, w->at + first, w->n * sizeof(w->at[0]));
	w->at[0].index = index > w->at[0].index ? index : w->at[0].index;
	if (w->n < WEIGHT_POINTS / 4 && w->step > WEIGHT_STEP) {
		w->step /= 2;
	}
}
