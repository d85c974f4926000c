#include "lib/meter.h"

#include <time.h>

/* ---- histograms ---- */

/* Units of 1024 ns. The first HISTOGRAM_PARTS buckets are one unit wide; behind them each power of two has as many, so
 * that a bucket's width is an eighth of where it begins. */
static unsigned bucket_of(uint64_t ns)
{
	uint64_t v = ns >> 10;
	unsigned e;
	unsigned b;

	if (v < HISTOGRAM_PARTS) {
		return (unsigned)v;
	}
	e = 63 - (unsigned)__builtin_clzll(v); /* At least 3. */
	b = (e - 2) * HISTOGRAM_PARTS + (unsigned)((v >> (e - 3)) & (HISTOGRAM_PARTS - 1));
	return b < HISTOGRAM_BUCKETS ? b : HISTOGRAM_BUCKETS - 1;
}

/* What is in the bucket is shorter. */
static uint64_t bucket_end_ns(unsigned b)
{
	unsigned e = b / HISTOGRAM_PARTS + 2;
	uint64_t part = b % HISTOGRAM_PARTS;

	return b < HISTOGRAM_PARTS ? (uint64_t)(b + 1) << 10 : (HISTOGRAM_PARTS + part + 1) << (e - 3) << 10;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	atomic_fetch_add_explicit(&h->buckets[bucket_of(ns)], 1, memory_order_relaxed);
	if (ns > atomic_load_explicit(&h->longest_ns, memory_order_relaxed)) {
		atomic_store_explicit(&h->longest_ns, ns, memory_order_relaxed);
	}
}

/* The end of the bucket that the n-th smallest is in, but not beyond the longest. */
static uint64_t nth(const uint64_t *buckets, uint64_t n, uint64_t longest_ns)
{
	uint64_t seen = 0;
	uint64_t end_ns;
	unsigned b = 0;

	while (b + 1 < HISTOGRAM_BUCKETS && seen + buckets[b] < n) {
		seen += buckets[b++];
	}
	end_ns = bucket_end_ns(b);
	return end_ns < longest_ns ? end_ns : longest_ns;
}

void histogram_take(struct histogram *h, struct quantiles *out)
{
	uint64_t buckets[HISTOGRAM_BUCKETS];
	uint64_t n = 0;

	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
		buckets[b] = atomic_exchange_explicit(&h->buckets[b], 0, memory_order_relaxed);
		n += buckets[b];
	}
	out->longest_ns = atomic_exchange_explicit(&h->longest_ns, 0, memory_order_relaxed);
	out->p99_ns = nth(buckets, n - n / 100, out->longest_ns);
	out->p999_ns = nth(buckets, n - n / 1000, out->longest_ns);
}

/* ---- turns ---- */

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void meter_begin(struct meter *m, uint64_t now_ns, uint64_t idle_ns)
{
	m->end_ns = now_ns;
	m->idle_ns = idle_ns;
	m->cpu_ns = thread_ns();
}

void meter_note(struct meter *m, uint64_t now_ns, uint64_t idle_ns)
{
	uint64_t cpu_ns = thread_ns();

	histogram_add(&m->clock, (now_ns - m->end_ns) - (idle_ns - m->idle_ns));
	histogram_add(&m->cpu, cpu_ns - m->cpu_ns);
	atomic_fetch_add_explicit(&m->n, 1, memory_order_relaxed);
	m->end_ns = now_ns;
	m->idle_ns = idle_ns;
	m->cpu_ns = cpu_ns;
}

uint64_t meter_spent_ns(const struct meter *m)
{
	return thread_ns() - m->cpu_ns;
}

void meter_look(struct meter *m, struct meter_stats *out)
{
	histogram_take(&m->clock, &out->clock);
	histogram_take(&m->cpu, &out->cpu);
	out->n = atomic_load_explicit(&m->n, memory_order_relaxed);
}
