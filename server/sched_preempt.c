/* Making room for an important job: which less important allocations give way. */
#include <stdlib.h>
#include <string.h>

#include "server/sched_memory.h"
#include "server/sched_run.h"

enum {
	PRIORITY_DELTA = 10, /* So much less important must they be. */
	NODES_TRIED = 256,   /* A limit: looking at a node's allocations is not cheap. */
	VICTIMS_MAX = 1024,  /* Of one node. */
};

/* An allocation that may have to go. */
struct victim {
	const struct alloc_row *row;
	int priority;
	double distance; /* How badly it fits what is missing. */
	bool goes;
};

struct node_try {
	struct victim *at;
	uint32_t n;
	struct use missing; /* What must become free; none of it negative. */
};

static bool may_go(struct run *r, const struct alloc_row *row)
{
	return !alloc_row_terminal(row) && row->job->create_index != r->job.create_index &&
	       row->job->priority + PRIORITY_DELTA <= r->job.job->priority && !nodes_claimed(&r->s->nodes, &row->id);
}

static double share(int64_t has, int64_t wanted)
{
	double d = wanted > 0 ? ((double)has - (double)wanted) / (double)wanted : 0;

	return d * d;
}

static double distance(const struct alloc_row *row, const struct use *missing)
{
	return share(row->cpu_mhz, missing->cpu_mhz) + share(row->memory_mb, missing->memory_mb) +
	       share(row->disk_mb, missing->disk_mb);
}

static int by_importance(const void *a, const void *b)
{
	const struct victim *x = a;
	const struct victim *y = b;

	if (x->priority != y->priority) {
		return x->priority < y->priority ? -1 : 1;
	}
	if (x->distance < y->distance || x->distance > y->distance) {
		return x->distance < y->distance ? -1 : 1;
	}
	return memcmp(&x->row->id, &y->row->id, sizeof(x->row->id));
}

static void load(struct run *r, uint32_t slot, struct node_try *t)
{
	const struct alloc_row *row;
	struct rows rows;

	rows_allocs_of_node(&rows, r->view, &r->s->nodes.more[slot].id);
	while ((row = alloc_next(&rows)) != NULL && t->n < VICTIMS_MAX) {
		if (may_go(r, row)) {
			t->at[t->n++] = (struct victim){
				.row = row, .priority = row->job->priority, .distance = distance(row, &t->missing)};
		}
	}
	sched_sort(t->at, t->n, sizeof(t->at[0]), by_importance);
}

static int64_t positive(int64_t n)
{
	return n > 0 ? n : 0;
}

static struct use missing_of(const struct node_at *at, const struct use *ask)
{
	struct use m = {
		.cpu_mhz = positive(at->used.cpu_mhz + ask->cpu_mhz - at->cpu_mhz),
		.memory_mb = positive(at->used.memory_mb + ask->memory_mb - at->memory_mb),
		.disk_mb = positive(at->used.disk_mb + ask->disk_mb - at->disk_mb),
	};

	if (at->max_allocs > 0) {
		m.count = positive(at->used.count + ask->count - at->max_allocs);
	}
	return m;
}

static bool is_enough(const struct use *freed, const struct use *missing)
{
	return freed->cpu_mhz >= missing->cpu_mhz && freed->memory_mb >= missing->memory_mb &&
	       freed->disk_mb >= missing->disk_mb && freed->count >= missing->count;
}

static struct use use_of(const struct victim *v)
{
	return alloc_row_use(v->row);
}

/* A port that is taken is freed by whoever has it. */
static bool has_port(struct run *r, const struct alloc_row *row, uint16_t port)
{
	struct alloc_server server;
	struct holds holds;
	uint32_t i;

	if (row->server == NULL || alloc_row_server(row, &server, &r->mem) != 0) {
		return false;
	}
	alloc_server_holds(&server, &holds, &r->mem);
	for (i = 0; i < holds.n_ports; i++) {
		if (holds.ports[i].port == port) {
			return true;
		}
	}
	return false;
}

static bool take_port_holder(struct run *r, struct node_try *t, const struct candidate *c, struct use *freed)
{
	uint32_t i;

	if (!c->missed) {
		return true;
	}
	for (i = 0; i < t->n && c->fit == FIT_PORT; i++) {
		if (has_port(r, t->at[i].row, c->port)) {
			struct use u = use_of(&t->at[i]);

			use_add(freed, &u, 1);
			t->at[i].goes = true;
			return true;
		}
	}
	return false;
}

/* Give back whom it does not take, the most important first. */
static void spare(struct node_try *t, struct use *freed, const struct candidate *c)
{
	uint32_t i;

	for (i = t->n; i > 0; i--) {
		struct victim *v = &t->at[i - 1];
		struct use u = use_of(v);
		struct use less = *freed;

		use_add(&less, &u, -1);
		if (v->goes && !c->missed && is_enough(&less, &t->missing)) {
			v->goes = false;
			*freed = less;
		}
	}
}

static bool choose(struct run *r, const struct candidate *c, struct node_try *t)
{
	struct use freed = {0};
	uint32_t i;

	if (!take_port_holder(r, t, c, &freed)) {
		return false;
	}
	for (i = 0; i < t->n && !is_enough(&freed, &t->missing); i++) {
		if (!t->at[i].goes) {
			struct use u = use_of(&t->at[i]);

			t->at[i].goes = true;
			use_add(&freed, &u, 1);
		}
	}
	if (!is_enough(&freed, &t->missing)) {
		return false;
	}
	spare(t, &freed, c);
	return true;
}

/* Less is better: the importance of whom it hits, then how many. */
static int64_t cost(const struct node_try *t)
{
	int64_t highest = 0;
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		if (t->at[i].goes) {
			highest = t->at[i].priority > highest ? t->at[i].priority : highest;
			n++;
		}
	}
	return highest * VICTIMS_MAX + n;
}

static void keep(struct run *r, const struct node_try *t, uint32_t slot, struct eviction *out)
{
	uint32_t i;

	out->slot = slot;
	out->n = 0;
	out->rows = arena_need(&r->mem, t->n, sizeof(out->rows[0]));
	for (i = 0; i < t->n; i++) {
		if (t->at[i].goes) {
			out->rows[out->n++] = t->at[i].row;
		}
	}
}

/* True when some can make room there. */
static bool try_node(struct run *r, const struct candidate *c, const struct ask *ask, struct node_try *t)
{
	const struct node_at *at = &r->s->nodes.at[c->slot];
	struct use use = ask_use(ask, at);

	t->n = 0;
	t->missing = missing_of(at, &use);
	if (use.cpu_mhz > at->cpu_mhz || use.memory_mb > at->memory_mb || use.disk_mb > at->disk_mb) {
		return false;
	}
	load(r, c->slot, t);
	return t->n > 0 && choose(r, c, t);
}

static bool is_full(const struct candidate *c)
{
	return !c->settled && (c->state == CANDIDATE_FULL || (c->state == CANDIDATE_OPEN && c->missed));
}

bool preempt_find(struct run *r, const struct rank *rank, const struct ask *ask, uint32_t slot, struct eviction *out)
{
	struct node_try t = {.at = arena_need(&r->mem, VICTIMS_MAX, sizeof(t.at[0]))};
	int64_t best = INT64_MAX;
	uint32_t tried = 0;
	uint32_t i;

	for (i = 0; i < rank->n && tried < NODES_TRIED; i++) {
		const struct candidate *c = &rank->at[i];

		if ((slot != NODE_NONE && c->slot != slot) || !is_full(c)) {
			continue;
		}
		tried++;
		if (try_node(r, c, ask, &t) && cost(&t) < best) {
			best = cost(&t);
			keep(r, &t, c->slot, out);
		}
	}
	return best != INT64_MAX;
}
