/**
 * How long the turns of a loop are: the longest, and quantiles of a histogram whose size does not depend on what it
 * counts. One thread notes turns, any may look.
 *
 * Each turn is measured twice: by the clock, where a machine that is busy with something else counts, and by the time
 * that the thread was on a processor, which is what its work takes.
 */
#ifndef LIB_METER_H_
#define LIB_METER_H_

#include <stdatomic.h>
#include <stdint.h>

enum {
	HISTOGRAM_PARTS = 8,       /* Of a power of two: a quantile is at most an eighth too high. */
	HISTOGRAM_BUCKETS = 23 * 8, /* From 1 us, above which all is counted exactly enough, to 17 s. */
};

struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
	_Atomic uint64_t longest_ns;
};

struct meter {
	/* The loop's: as they were when the last turn ended. */
	uint64_t end_ns;
	uint64_t idle_ns;
	uint64_t cpu_ns;
	/* Of both. */
	struct histogram clock;
	struct histogram cpu;
	_Atomic uint64_t n;
};

struct quantiles {
	uint64_t longest_ns;
	uint64_t p99_ns;
	uint64_t p999_ns;
};

struct meter_stats {
	uint64_t n;              /* Turns since the start; */
	struct quantiles clock;  /* those since the last look. */
	struct quantiles cpu;
};

/* Before the first turn. Both times are monotonic; `idle_ns` is how long the loop has waited since it is there. */
void meter_begin(struct meter *m, uint64_t now_ns, uint64_t idle_ns);

/* A turn has ended: it has taken the time since the last such call, but for what the loop has waited. */
void meter_note(struct meter *m, uint64_t now_ns, uint64_t idle_ns);

/* What the turn that has not ended yet has taken of a processor so far. The loop's thread. */
uint64_t meter_spent_ns(const struct meter *m);

/* What was noted since the last look; what is noted meanwhile is told then or the next time. */
void meter_look(struct meter *m, struct meter_stats *out);

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_take(struct histogram *h, struct quantiles *out);

#endif /* LIB_METER_H_ */
