/**
 * How many bytes of entries the log holds from some index on, without looking at each entry.
 *
 * A row of checkpoints, each an index and the bytes up to it. When the row is full every second one goes, so an answer
 * is off by at most a step, and the step is a small part of the whole. What is asked for is when to take a snapshot and
 * how much to keep behind it, where that does not matter.
 */
#ifndef RAFT_WEIGHT_H_
#define RAFT_WEIGHT_H_

#include <stdint.h>

enum { WEIGHT_POINTS = 256, WEIGHT_STEP = 64 << 10 };

struct weight_point {
	uint64_t index;
	uint64_t total; /* Bytes of all entries up to and including it, since the beginning. */
};

struct weight {
	uint64_t last; /* The last entry's index. */
	uint64_t total;
	uint64_t step; /* Bytes between two points, at least. */
	unsigned n;
	struct weight_point at[WEIGHT_POINTS]; /* Ascending in both; the first is where the log begins. */
};

/* The log is empty, and its next entry is index + 1. */
void weight_reset(struct weight *w, uint64_t index);

/* Entry `index` has `bytes`; it replaces all at and above it. */
void weight_append(struct weight *w, uint64_t index, uint64_t bytes);

/* The bytes of the entries above index, or more by at most a step. */
uint64_t weight_above(const struct weight *w, uint64_t index);

/* The bytes of the entries above `from` and up to `to`, or more or fewer by at most a step. */
uint64_t weight_between(const struct weight *w, uint64_t from, uint64_t to);

/* An index above which at most `bytes` of entries are, or only the last one. */
uint64_t weight_index(const struct weight *w, uint64_t bytes);

/* The entries up to index are gone. */
void weight_forget(struct weight *w, uint64_t index);

#endif /* RAFT_WEIGHT_H_ */
