/* Time, events, chance, and threads as coroutines. */
#include "test/sim/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* As gcc says it. */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

enum { STACK = 1 << 20, EVENTS_FIRST = 1024 };

#define WALL_BEGIN (INT64_C(1760000000) * SEC)

struct sim sim;

/* ---- events: a heap by time and order of making ---- */

struct event {
	int64_t at;
	uint64_t order;
	struct host *host;
	uint64_t life;
	void (*fn)(void *arg);
	void *arg;
};

static struct event *heap;
static size_t n_events, events_cap;
static uint64_t orders;

static bool sooner(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap_events(size_t i, size_t j)
{
	struct event e = heap[i];

	heap[i] = heap[j];
	heap[j] = e;
}

void sim_at(int64_t at, struct host *host, void (*fn)(void *arg), void *arg)
{
	size_t i = n_events++;

	if (n_events > events_cap) {
		events_cap = events_cap == 0 ? EVENTS_FIRST : events_cap * 2;
		heap = realloc(heap, events_cap * sizeof(*heap));
	}
	heap[i] = (struct event){at < sim.now ? sim.now : at, orders++, host, host == NULL ? 0 : host->life, fn, arg};
	while (i > 0 && sooner(&heap[i], &heap[(i - 1) / 2])) {
		swap_events(i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static struct event pop(void)
{
	struct event first = heap[0];
	size_t i = 0;

	heap[0] = heap[--n_events];
	for (;;) {
		size_t best = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n_events; child++) {
			best = sooner(&heap[child], &heap[best]) ? child : best;
		}
		if (best == i) {
			return first;
		}
		swap_events(i, best);
		i = best;
	}
}

bool sim_step(void)
{
	struct event e;

	if (n_events == 0) {
		return false;
	}
	e = pop();
	sim.now = e.at;
	if (e.host == NULL || e.host->life == e.life) {
		COUNT(events);
		sim_note((uint64_t)e.at, e.host == NULL ? 0 : e.host->at + 1);
		e.fn(e.arg);
		sim.cur = NULL;
	}
	return true;
}

/* ---- chance ---- */

uint64_t sim_random(void)
{
	uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t sim_below(uint64_t n)
{
	return sim_random() % n;
}

int64_t sim_between(int64_t from, int64_t to)
{
	return from + (int64_t)sim_below((uint64_t)(to - from) + 1);
}

bool sim_chance(unsigned permille)
{
	return permille > 0 && sim_below(1000) < permille;
}

bool sim_planted(const char *name, unsigned permille)
{
	if (sim.plant == NULL || strcmp(sim.plant, name) != 0 || !sim_chance(permille)) {
		return false;
	}
	COUNT(planted);
	return true;
}

/* ---- telling ---- */

void sim_note(uint64_t a, uint64_t b)
{
	sim.trace = (sim.trace ^ a) * UINT64_C(0x9e3779b97f4a7c15);
	sim.trace = (sim.trace ^ sim.trace >> 29 ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
}

void sim_say(const char *format, ...)
{
	va_list args;

	if (!sim.verbose) {
		return;
	}
	fprintf(stderr, "%9.3f  ", (double)sim.now / (double)SEC);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void sim_fail(const char *format, ...)
{
	va_list args;

	printf("seed %" PRIu64 ": at %.3f s: ", sim.seed, (double)sim.now / (double)SEC);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	syscall(231, 3); /* exit_group: nothing of the program's own runs any more. */
	__builtin_unreachable();
}

void sim_init(uint64_t seed)
{
	sim.seed = seed;
	sim.random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	sim.trace = seed;
}

/* ---- clocks ---- */

static int64_t mono_of(const struct host *h, int64_t at)
{
	return SEC + at + at / 1000000 * h->drift_ppm;
}

int64_t host_mono(const struct host *h)
{
	return mono_of(h, sim.now);
}

int64_t host_wall(const struct host *h)
{
	return WALL_BEGIN + host_mono(h) + h->wall_jump_ns;
}

int64_t host_when(const struct host *h, int64_t mono)
{
	int64_t at = (int64_t)((double)(mono - SEC) / (1.0 + (double)h->drift_ppm / 1e6));

	while (mono_of(h, at) < mono) {
		at += 2 * US;
	}
	return at;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __real_clock_gettime(clockid_t clock, struct timespec *t);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int64_t ns;

	if (sim.cur == NULL) {
		ns = WALL_BEGIN + sim.now;
	} else {
		ns = clock == CLOCK_REALTIME ? host_wall(sim.cur) : host_mono(sim.cur);
	}
	*t = (struct timespec){ns / SEC, ns % SEC};
	return 0;
}

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags)
{
	char *p = data;

	(void)flags;
	for (size_t i = 0; i < len; i += 8) {
		uint64_t bits = sim_random();

		memcpy(p + i, &bits, len - i < 8 ? len - i : 8);
	}
	return (ssize_t)len;
}

/* OpenSSL's. */
int __wrap_RAND_bytes(unsigned char *data, int len);

int __wrap_RAND_bytes(unsigned char *data, int len)
{
	return __wrap_getrandom(data, (size_t)len, 0) == len;
}

/* ---- threads ---- */

struct fiber {
	ucontext_t context;
	void *stack;
	struct host *host;
	struct list link; /* Of its host. */
	void (*fn)(void *arg);
	void *arg;
	void *(*main)(void *arg); /* Or this. */
	bool done;
	bool waiting;          /* For a condition, */
	struct fiber *next;    /* after this one. */
	struct condition *at;
	uint64_t waits;        /* Ever. */
	bool timed_out;
	struct fiber *joiner;
};

struct condition {
	struct fiber *first;
};

_Static_assert(sizeof(struct condition) <= sizeof(pthread_cond_t), "it fits");

static ucontext_t main_context;
static struct fiber *running;
static struct fiber *gone; /* Its stack is free when we have left it. */
static void *stacks[256];
static unsigned n_stacks;

static void *stack_get(void)
{
	void *stack;

	if (n_stacks > 0) {
		stack = stacks[--n_stacks];
	} else {
		stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (stack == MAP_FAILED) {
			sim_fail("no memory for a stack");
		}
	}
#if defined(__SANITIZE_ADDRESS__)
	__asan_unpoison_memory_region(stack, STACK);
#endif
	return stack;
}

static void stack_put(void *stack)
{
	if (n_stacks < 256) {
		stacks[n_stacks++] = stack;
	} else {
		munmap(stack, STACK);
	}
}

static void fiber_free(struct fiber *f)
{
	stack_put(f->stack);
	f->stack = NULL; /* The struct stays: somebody may ask yet whether it is done. */
}

static void resume(void *arg);

static void fiber_ready(struct fiber *f, int64_t at)
{
	sim_at(at, f->host, resume, f);
}

static void body(unsigned high, unsigned low)
{
	struct fiber *f = (struct fiber *)((uintptr_t)high << 32 | low);

	if (f->main != NULL) {
		f->main(f->arg);
	} else {
		f->fn(f->arg);
	}
	f->done = true;
	if (f->joiner != NULL) {
		fiber_ready(f->joiner, sim.now + 5 * US);
	}
	list_remove(&f->link);
	gone = f;
	setcontext(&main_context);
}

static void enter(struct fiber *f)
{
	struct host *before = sim.cur;

	running = f;
	sim.cur = f->host;
	swapcontext(&main_context, &f->context);
	running = NULL;
	sim.cur = before;
	if (gone != NULL) {
		fiber_free(gone);
		gone = NULL;
	}
}

static void resume(void *arg)
{
	struct fiber *f = arg;

	if (f->done) {
		return;
	}
	if (f->host->frozen_until > sim.now) {
		fiber_ready(f, f->host->frozen_until);
		return;
	}
	enter(f);
}

static struct fiber *fiber_new(struct host *host)
{
	struct fiber *f = calloc(1, sizeof(*f));

	f->host = host;
	f->stack = stack_get();
	list_insert(&host->fibers, &f->link);
	getcontext(&f->context);
	f->context.uc_stack.ss_sp = f->stack;
	f->context.uc_stack.ss_size = STACK;
	f->context.uc_link = NULL;
	makecontext(&f->context, (void (*)(void))body, 2, (unsigned)((uintptr_t)f >> 32), (unsigned)(uintptr_t)f);
	fiber_ready(f, sim.now + sim_between(5 * US, 50 * US));
	return f;
}

struct fiber *fiber_start(struct host *host, void (*fn)(void *arg), void *arg)
{
	struct fiber *f = fiber_new(host);

	f->fn = fn;
	f->arg = arg;
	return f;
}

bool fiber_here(void)
{
	return running != NULL;
}

static void yield_to_main(void)
{
	struct fiber *f = running;

	swapcontext(&f->context, &main_context);
}

void fiber_sleep(int64_t ns)
{
	if (running != NULL) {
		fiber_ready(running, sim.now + ns);
		yield_to_main();
	}
}

void fiber_leave(void)
{
	setcontext(&main_context);
	__builtin_unreachable();
}

/* The one that runs is left for good by fiber_leave(). */
void fibers_end(struct host *h)
{
	struct list *e;

	while ((e = list_pop(&h->fibers)) != NULL) {
		struct fiber *f = CONTAINER_OF(e, struct fiber, link);

		f->done = true;
		if (f == running) {
			gone = f;
		} else {
			fiber_free(f);
		}
	}
}

/* ---- what the program has of POSIX threads ---- */

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t t, void **result);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct fiber *f = fiber_new(sim.cur);

	(void)attr;
	f->main = fn;
	f->arg = arg;
	*t = (pthread_t)(uintptr_t)f;
	return 0;
}

int __wrap_pthread_join(pthread_t t, void **result)
{
	struct fiber *f = (struct fiber *)(uintptr_t)t;

	(void)result;
	if (running == NULL) {
		sim_fail("the loop waits for a thread");
	}
	while (!f->done) {
		f->joiner = running;
		yield_to_main();
	}
	return 0;
}

/* Threads change only where they wait, and nobody waits with a lock but for its condition: a lock is always free. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	(void)m;
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	(void)m;
	return 0;
}

static struct condition *condition(pthread_cond_t *c)
{
	return (struct condition *)(void *)c;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	(void)attr;
	condition(c)->first = NULL;
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
	(void)c;
	return 0;
}

static void unlink_waiter(struct fiber *f)
{
	struct fiber **at = &f->at->first;

	while (*at != f) {
		at = &(*at)->next;
	}
	*at = f->next;
	f->waiting = false;
}

static void wait_at(struct condition *c)
{
	struct fiber *f = running;
	struct fiber **at = &c->first;

	if (f == NULL) {
		sim_fail("the loop waits for a condition");
	}
	while (*at != NULL) {
		at = &(*at)->next;
	}
	*at = f;
	f->next = NULL;
	f->at = c;
	f->waiting = true;
	f->timed_out = false;
	f->waits++;
	yield_to_main();
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	(void)m;
	wait_at(condition(c));
	return 0;
}

struct timeout {
	struct fiber *f;
	uint64_t waits;
};

static void on_timeout(void *arg)
{
	struct timeout *t = arg;
	struct fiber *f = t->f;

	if (!f->done && f->waiting && f->waits == t->waits) {
		unlink_waiter(f);
		f->timed_out = true;
		resume(f);
	}
	free(t);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
	struct timeout *t = malloc(sizeof(*t));

	(void)m;
	*t = (struct timeout){running, running->waits + 1};
	sim_at(host_when(running->host, at->tv_sec * SEC + at->tv_nsec), running->host, on_timeout, t);
	wait_at(condition(c));
	return running->timed_out ? ETIMEDOUT : 0;
}

static bool wake_one(struct condition *c)
{
	struct fiber *f = c->first;

	if (f == NULL) {
		return false;
	}
	unlink_waiter(f);
	fiber_ready(f, sim.now + sim_between(2 * US, 60 * US));
	return true;
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	wake_one(condition(c));
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	while (wake_one(condition(c))) {
	}
	return 0;
}
