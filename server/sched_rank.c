#include "server/sched_rank.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/sched_memory.h"

enum { SCORES_SHOWN = 5 };

/* ---- what an allocation takes ---- */

struct parts {
	struct use main;
	struct use before; /* Tasks that end before the main ones begin, */
	struct use after;  /* and those that begin when they have ended. */
	struct use beside; /* Those that run all the time. */
	int64_t memory_max_mb;
};

static struct use *part_of(struct parts *p, const struct lifecycle *lc)
{
	if (lc == NULL || lc->hook[0] == 0) {
		return &p->main;
	}
	if (lc->sidecar) {
		return &p->beside;
	}
	if (strcmp(lc->hook, "prestart") == 0) {
		return &p->before;
	}
	return strcmp(lc->hook, "poststop") == 0 ? &p->after : &p->main;
}

static void add_task(struct parts *p, const struct task *task, bool oversubscribe)
{
	const struct resources *r = task->resources;
	struct use *to = part_of(p, task->lifecycle);

	if (r == NULL) {
		return;
	}
	to->cpu_mhz += r->cores > 0 ? 0 : r->cpu.at;
	to->memory_mb += r->memory_mb.at + r->secrets_mb;
	if (oversubscribe) {
		p->memory_max_mb += r->memory_max_mb > 0 ? r->memory_max_mb : r->memory_mb.at;
	}
}

static int64_t largest(int64_t a, int64_t b, int64_t c)
{
	int64_t ab = a > b ? a : b;

	return ab > c ? ab : c;
}

void ask_open(struct ask *ask, const struct task_group *group, bool oversubscribe, struct arena *mem)
{
	struct parts p = {0};
	uint32_t i;

	for (i = 0; i < group->tasks.n; i++) {
		add_task(&p, &group->tasks.at[i], oversubscribe);
	}
	*ask = (struct ask){.memory_max_mb = p.memory_max_mb};
	ask->use.cpu_mhz = p.beside.cpu_mhz + largest(p.main.cpu_mhz, p.before.cpu_mhz, p.after.cpu_mhz);
	ask->use.memory_mb = p.beside.memory_mb + largest(p.main.memory_mb, p.before.memory_mb, p.after.memory_mb);
	ask->use.disk_mb = group->ephemeral_disk != NULL ? group->ephemeral_disk->size_mb : 0;
	ask->use.count = 1;
	holds_ask_compile(group, &ask->holds, mem);
}

struct use ask_use(const struct ask *ask, const struct node_at *at)
{
	struct use u = ask->use;

	u.cpu_mhz += (int64_t)ask->holds.cores * at->core_mhz;
	return u;
}

/* ---- tallies ---- */

void tally_add(struct tally *t, const char *name, int64_t n, struct arena *mem)
{
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		if (t->at[i].name == name || strcmp(t->at[i].name, name) == 0) {
			t->at[i].n += n;
			return;
		}
	}
	t->at = arena_grow(mem, t->at, t->n, &t->cap, sizeof(t->at[0]));
	t->at[t->n].name = name;
	t->at[t->n++].n = n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct int_pair *)a)->key, ((const struct int_pair *)b)->key);
}

struct intmap tally_map(const struct tally *t, struct arena *mem)
{
	struct intmap map = {arena_need(mem, t->n, sizeof(map.at[0])), t->n};
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		map.at[i] = (struct int_pair){t->at[i].name, t->at[i].n};
	}
	if (t->n > 1) {
		sched_sort(map.at, map.n, sizeof(map.at[0]), by_name);
	}
	return map;
}

/* ---- values of facts ---- */

static uint32_t value_place(struct values *v, uint32_t id, struct arena *mem)
{
	uint32_t unused = v->cap;

	if (v->place[id] > 0) {
		return v->place[id] - 1;
	}
	v->id = arena_grow(mem, v->id, v->n, &unused, sizeof(v->id[0]));
	v->count = arena_grow(mem, v->count, v->n, &v->cap, sizeof(v->count[0]));
	v->id[v->n] = id;
	v->count[v->n] = 0;
	v->place[id] = ++v->n;
	return v->n - 1;
}

static void values_open(struct values *v, const struct rank *r, uint32_t key, bool whole_job)
{
	uint32_t i;

	*v = (struct values){.key = key, .whole_job = whole_job};
	v->of = arena_need(r->mem, r->n, sizeof(v->of[0]));
	v->place = arena_need(r->mem, r->nodes->names.n, sizeof(v->place[0]));
	for (i = 0; i < r->n; i++) {
		uint32_t id = key != INTERN_NONE ? nodes_fact(r->nodes, r->at[i].slot, key) : (uint32_t)INTERN_NONE;

		v->of[i] = id != INTERN_NONE ? value_place(v, id, r->mem) : (uint32_t)INTERN_NONE;
	}
}

/* An allocation counts also on a node that is no candidate. True: some count has changed. */
static bool values_count(struct values *v, struct rank *r, uint32_t slot, bool same_group, int by)
{
	uint32_t place;
	uint32_t id;

	if (v->key == INTERN_NONE || (!same_group && !v->whole_job)) {
		return false;
	}
	id = nodes_fact(r->nodes, slot, v->key);
	if (id == INTERN_NONE) {
		return false;
	}
	place = value_place(v, id, r->mem);
	v->count[place] += by;
	return true;
}

/* ---- spreads ---- */

static double target_desired(const struct rank_spread *s, uint32_t value)
{
	uint32_t i;

	for (i = 0; i < s->n_targets; i++) {
		if (s->targets[i].value == value) {
			return s->targets[i].desired;
		}
	}
	return s->rest;
}

/* With targets: the share that is missing of what the value should have, with one more allocation counted in. */
static double boost_target(const struct rank_spread *s, uint32_t value)
{
	double desired = target_desired(s, s->values.id[value]);

	return desired > 0 ? (desired - (double)s->values.count[value] - 1) / desired : -1;
}

/* Without: how far the value is below, or above, the mean of all. */
static double boost_even(const struct rank_spread *s, uint32_t value, double mean)
{
	return mean > 0 ? fmax(-1, fmin(1, (mean - (double)s->values.count[value]) / fmax(mean, 1))) : 0;
}

static double mean_of(const struct values *v)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < v->n; i++) {
		sum += (double)v->count[i];
	}
	return v->n > 0 ? sum / v->n : 0;
}

static void spread_update(struct rank_spread *s)
{
	double mean = s->n_targets > 0 ? 0 : mean_of(&s->values);
	uint32_t i;

	for (i = 0; i < s->values.n; i++) {
		double boost = s->n_targets > 0 ? boost_target(s, i) : boost_even(s, i, mean);

		s->boost[i] = fmax(-1, boost) * s->weight;
	}
}

static double spread_sum(const struct rank *r, uint32_t candidate)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < r->n_spreads; i++) {
		const struct rank_spread *s = &r->spreads[i];
		uint32_t value = s->values.of[candidate];

		sum += value != INTERN_NONE ? s->boost[value] : -s->weight;
	}
	return sum;
}

static void targets_open(struct rank *r, struct rank_spread *s, const struct spread *from)
{
	double named = 0;
	uint32_t i;

	s->targets = arena_need(r->mem, from->targets.n, sizeof(s->targets[0]));
	for (i = 0; i < from->targets.n; i++) {
		const struct spread_target *t = &from->targets.at[i];
		double desired = (double)t->percent / 100 * r->desired;

		named += (double)t->percent;
		s->targets[s->n_targets++] =
			(struct spread_target_count){intern_find(&r->nodes->names, t->value), desired};
	}
	s->rest = fmax(0, (100 - named) / 100 * r->desired);
}

static void spread_open(struct rank *r, const struct spread *from, double weights)
{
	struct rank_spread *s = &r->spreads[r->n_spreads++];

	values_open(&s->values, r, target_key(r->nodes, from->attribute), false);
	s->weight = weights > 0 ? (double)from->weight / weights : 1;
	targets_open(r, s, from);
	/* A value may be met first on a node that is no candidate. */
	s->boost = arena_need(r->mem, (size_t)s->values.n + r->nodes->n, sizeof(s->boost[0]));
}

static void spreads_open(struct rank *r, const struct job *job, const struct task_group *group)
{
	double weights = 0;
	uint32_t i;

	r->spreads = arena_need(r->mem, job->spreads.n + group->spreads.n, sizeof(r->spreads[0]));
	for (i = 0; i < job->spreads.n; i++) {
		weights += (double)job->spreads.at[i].weight;
	}
	for (i = 0; i < group->spreads.n; i++) {
		weights += (double)group->spreads.at[i].weight;
	}
	for (i = 0; i < group->spreads.n; i++) {
		spread_open(r, &group->spreads.at[i], weights);
	}
	for (i = 0; i < job->spreads.n; i++) {
		spread_open(r, &job->spreads.at[i], weights);
	}
	r->respread = r->n_spreads > 0;
}

/* ---- scores ---- */

static double ten_to_the(double x)
{
	return exp2(x * 3.321928094887362);
}

static double free_share(int64_t used, uint32_t all)
{
	return all > 0 ? fmax(0, 1 - (double)used / (double)all) : 0;
}

/* Full in both dimensions is 1, empty or lopsided less: the formula of BestFit v3. */
static double binpack(const struct rank *r, const struct node_at *at)
{
	struct use u = ask_use(r->ask, at);
	double sum = ten_to_the(free_share(at->used.cpu_mhz + u.cpu_mhz, at->cpu_mhz)) +
		     ten_to_the(free_share(at->used.memory_mb + u.memory_mb, at->memory_mb));
	double fit = r->spread_nodes ? sum - 2 : 20 - sum;

	return fmax(0, fmin(18, fit)) / 18;
}

static double anti_affinity(const struct rank *r, const struct candidate *c)
{
	return c->here > 0 ? -((double)c->here + 1) / r->desired : 0;
}

static double score_of(const struct rank *r, const struct candidate *c)
{
	double anti = anti_affinity(r, c);
	double sum = c->binpack + anti + c->affinity + c->spread - c->penalty;
	int parts = 1 + (anti != 0) + (c->affinity != 0) + (c->spread != 0) + c->penalty;

	return sum / parts;
}

static bool is_crowded(const struct rank *r, uint32_t candidate)
{
	uint32_t i;

	for (i = 0; i < r->n_distincts; i++) {
		const struct values *v = &r->distincts[i].values;
		uint32_t value = v->of[candidate];

		if (value == INTERN_NONE || v->count[value] >= r->distincts[i].rule->limit) {
			return true;
		}
	}
	return false;
}

static void judge(struct rank *r, uint32_t i)
{
	struct candidate *c = &r->at[i];
	const struct node_at *at = &r->nodes->at[c->slot];
	struct use u = ask_use(r->ask, at);

	c->state = CANDIDATE_OPEN;
	if ((r->feasible->distinct_hosts_job && c->job_here > 0) ||
	    (r->feasible->distinct_hosts_group && c->here > 0)) {
		c->state = CANDIDATE_DISTINCT_HOSTS;
	} else if (is_crowded(r, i)) {
		c->state = CANDIDATE_DISTINCT_PROPERTY;
	} else if ((c->fit = (uint8_t)node_fits(at, &u)) != FIT_OK) {
		c->state = CANDIDATE_FULL;
	}
	c->missed = false;
	c->binpack = binpack(r, at);
}

static void rescore(struct rank *r, uint32_t i)
{
	struct candidate *c = &r->at[i];

	if (r->n_spreads > 0) {
		c->spread = spread_sum(r, i);
	}
	r->score[i] = c->state == CANDIDATE_OPEN && !c->missed && !c->settled ? score_of(r, c) : -INFINITY;
}

static void block_update(struct rank *r, uint32_t block)
{
	uint32_t from = block * RANK_BLOCK;
	uint32_t to = from + RANK_BLOCK < r->n ? from + RANK_BLOCK : r->n;
	uint32_t best = from;
	uint32_t i;

	for (i = from; i < to; i++) {
		rescore(r, i);
		if (r->score[i] > r->score[best]) {
			best = i;
		}
	}
	r->best[block] = best;
	r->dirty[block] = false;
}

static void judge_all(struct rank *r)
{
	uint32_t i;

	for (i = 0; i < r->n; i++) {
		judge(r, i);
	}
}

/* What bears on many candidates at once is looked at when the next pick needs it. */
static void catch_up(struct rank *r)
{
	uint32_t i;

	if (!r->rejudge && !r->respread) {
		return;
	}
	if (r->rejudge) {
		judge_all(r);
	}
	for (i = 0; i < r->n_spreads && r->respread; i++) {
		spread_update(&r->spreads[i]);
	}
	memset(r->dirty, 1, r->n_blocks * sizeof(r->dirty[0]));
	r->rejudge = r->respread = false;
}

/* The best candidate, or NODE_NONE. */
static uint32_t best_of(struct rank *r)
{
	double score = -INFINITY;
	uint32_t best = NODE_NONE;
	uint32_t block;

	catch_up(r);
	for (block = 0; block < r->n_blocks; block++) {
		if (r->dirty[block]) {
			block_update(r, block);
		}
		if (r->score[r->best[block]] > score) {
			best = r->best[block];
			score = r->score[best];
		}
	}
	return best;
}

static void mark(struct rank *r, uint32_t candidate)
{
	r->dirty[candidate / RANK_BLOCK] = true;
}

/* ---- opening ---- */

static uint64_t next_random(uint64_t *random)
{
	uint64_t x = *random += UINT64_C(0x9E3779B97F4A7C15);

	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

static void filter(struct rank *r, uint32_t slot, const char *why)
{
	const char *class_ = intern_text(&r->nodes->names, r->nodes->at[slot].node_class);

	r->filtered++;
	tally_add(&r->reasons, why, 1, r->mem);
	if (class_[0] != 0) {
		tally_add(&r->filtered_classes, class_, 1, r->mem);
	}
}

static void consider(struct rank *r, struct scope *scope, uint32_t slot)
{
	const struct node_at *at = &r->nodes->at[slot];
	const char *why;

	r->of[slot] = NODE_NONE;
	if ((at->flags & NODE_AT_READY) == 0 || !scope_pool_has(scope, slot)) {
		return;
	}
	r->in_pool++;
	if (!scope_has(scope, slot)) {
		return;
	}
	r->evaluated++;
	tally_add(&r->available, intern_text(&r->nodes->names, at->datacenter), 1, r->mem);
	why = feasible_why_not(r->feasible, slot);
	if (why != NULL) {
		filter(r, slot, why);
		return;
	}
	r->at[r->n++] = (struct candidate){.slot = slot, .affinity = feasible_affinity(r->feasible, slot)};
}

static void shuffle(struct rank *r, uint64_t random)
{
	uint32_t i;

	for (i = r->n; i > 1; i--) {
		uint32_t j = (uint32_t)(next_random(&random) % i);
		struct candidate c = r->at[i - 1];

		r->at[i - 1] = r->at[j];
		r->at[j] = c;
	}
	for (i = 0; i < r->n; i++) {
		r->of[r->at[i].slot] = i;
	}
}

static void distincts_open(struct rank *r)
{
	uint32_t i;

	r->distincts = arena_need(r->mem, r->feasible->n_distincts, sizeof(r->distincts[0]));
	for (i = 0; i < r->feasible->n_distincts; i++) {
		const struct distinct *rule = &r->feasible->distincts[i];

		r->distincts[i].rule = rule;
		values_open(&r->distincts[i].values, r, rule->key, rule->whole_job);
	}
	r->n_distincts = r->feasible->n_distincts;
}

void rank_open(struct rank *r, const struct rank_input *in)
{
	uint32_t i;

	*r = (struct rank){.nodes = in->nodes,
			   .view = in->view,
			   .feasible = in->feasible,
			   .ask = in->ask,
			   .mem = in->mem,
			   .spread_nodes = in->spread_nodes,
			   .desired = in->group->count > 0 ? (double)in->group->count : 1};
	r->at = arena_need(r->mem, r->nodes->n_used, sizeof(r->at[0]));
	r->of = arena_need(r->mem, r->nodes->n, sizeof(r->of[0]));
	for (i = 0; i < r->nodes->n; i++) {
		consider(r, in->scope, i);
	}
	shuffle(r, in->random);
	r->score = arena_need(r->mem, r->n, sizeof(r->score[0]));
	r->n_blocks = (r->n + RANK_BLOCK - 1) / RANK_BLOCK;
	r->best = arena_need(r->mem, r->n_blocks, sizeof(r->best[0]));
	r->dirty = arena_need(r->mem, r->n_blocks, sizeof(r->dirty[0]));
	memset(r->dirty, 1, r->n_blocks * sizeof(r->dirty[0]));
	distincts_open(r);
	spreads_open(r, in->job, in->group);
	for (i = 0; i < r->n; i++) {
		judge(r, i);
	}
}

/* ---- changes ---- */

void rank_touch(struct rank *r, uint32_t slot)
{
	uint32_t i = r->of[slot];

	if (i != NODE_NONE) {
		judge(r, i);
		mark(r, i);
	}
}

void rank_count(struct rank *r, uint32_t slot, bool same_group, int by)
{
	uint32_t at = r->of[slot];
	uint32_t i;

	if (at != NODE_NONE) {
		r->at[at].job_here += (uint32_t)by;
		r->at[at].here += same_group ? (uint32_t)by : 0;
	}
	for (i = 0; i < r->n_spreads; i++) {
		r->respread |= values_count(&r->spreads[i].values, r, slot, same_group, by);
	}
	for (i = 0; i < r->n_distincts; i++) {
		r->rejudge |= values_count(&r->distincts[i].values, r, slot, same_group, by);
	}
	rank_touch(r, slot);
}

/* ---- picking ---- */

static enum fit fit_of(enum holds_lack lack)
{
	static const enum fit fits[] = {[HOLDS_OK] = FIT_OK,
					[HOLDS_PORT] = FIT_PORT,
					[HOLDS_PORTS] = FIT_PORTS,
					[HOLDS_CORES] = FIT_CORES,
					[HOLDS_DEVICES] = FIT_DEVICES};

	return fits[lack];
}

/* Choose ports and the like on a candidate; false, and it is out of the race, when they are not there. What is chosen
 * is only marked by the claim that follows. */
static bool choose_holds(struct rank *r, uint32_t i, uint64_t random, struct alloc_server *server)
{
	struct candidate *c = &r->at[i];
	struct node_holds *nh;
	struct holds_miss miss = {.lack = HOLDS_PORTS};
	struct holds chosen;

	object_init(&alloc_server_type, server);
	if (!r->ask->holds.any) {
		return true;
	}
	nh = nodes_holds(r->nodes, r->view, c->slot);
	if (nh != NULL) {
		miss = node_holds_choose(nh, &r->ask->holds, random, server, r->mem);
	}
	if (miss.lack == HOLDS_OK) {
		alloc_server_holds(server, &chosen, r->mem);
		node_holds_take(nh, &chosen, false);
		return true;
	}
	c->missed = true;
	c->fit = (uint8_t)fit_of(miss.lack);
	c->port = miss.port;
	c->port_label = miss.label;
	mark(r, i);
	return false;
}

static void penalize(struct rank *r, bool on)
{
	uint32_t i;

	for (i = 0; i < r->n_penalties; i++) {
		uint32_t at = r->penalties[i] != NODE_NONE ? r->of[r->penalties[i]] : (uint32_t)NODE_NONE;

		if (at != NODE_NONE) {
			r->at[at].penalty = on;
			mark(r, at);
		}
	}
}

static uint32_t pick_best(struct rank *r, uint64_t random, struct alloc_server *server)
{
	uint32_t best;

	do {
		best = best_of(r);
	} while (best != NODE_NONE && !choose_holds(r, best, random, server));
	return best;
}

uint32_t rank_pick(struct rank *r, const struct rank_wish *wish, struct alloc_server *server)
{
	uint32_t preferred = wish->preferred != NODE_NONE ? r->of[wish->preferred] : (uint32_t)NODE_NONE;
	uint32_t best;

	penalize(r, false);
	r->penalties = wish->penalties;
	r->n_penalties = wish->n_penalties;
	penalize(r, true);
	best_of(r); /* Metrics show all scores. */
	if (preferred != NODE_NONE && r->score[preferred] != -INFINITY &&
	    choose_holds(r, preferred, wish->random, server)) {
		return r->at[preferred].slot;
	}
	best = pick_best(r, wish->random, server);
	return best != NODE_NONE ? r->at[best].slot : (uint32_t)NODE_NONE;
}

bool rank_try(struct rank *r, uint32_t slot, uint64_t random, struct alloc_server *server)
{
	uint32_t i = r->of[slot];

	if (i == NODE_NONE) {
		return false;
	}
	best_of(r);
	return r->score[i] != -INFINITY && choose_holds(r, i, random, server);
}

void rank_settle(struct rank *r, uint32_t slot)
{
	if (r->of[slot] != NODE_NONE) {
		r->at[r->of[slot]].settled = true;
		mark(r, r->of[slot]);
	}
}

/* ---- metrics ---- */

/* Too few cores are too few MHz as well: what was asked for is told. */
static bool lacks_cores(const struct rank *r, const struct candidate *c)
{
	const struct node_holds *nh = r->ask->holds.cores > 0 ? nodes_holds(r->nodes, r->view, c->slot) : NULL;

	return nh != NULL && !node_holds_spare_cores(nh, r->ask->holds.cores);
}

static const char *dimension_text(const struct rank *r, const struct candidate *c)
{
	if (c->fit == FIT_CPU && lacks_cores(r, c)) {
		return fit_text(FIT_CORES);
	}
	if (c->fit == FIT_PORT && c->port_label != NULL) {
		return sched_got(
			arena_printf(r->mem, "%s %s=%u", fit_text(FIT_PORT), c->port_label, (unsigned)c->port));
	}
	return fit_text((enum fit)c->fit);
}

static const char *crowd_text(const struct rank *r, uint32_t candidate)
{
	uint32_t i;

	for (i = 0; i < r->n_distincts; i++) {
		const struct rank_distinct *d = &r->distincts[i];
		uint32_t value = d->values.of[candidate];

		if (value == INTERN_NONE) {
			return sched_got(arena_printf(r->mem, "missing property \"%s\"", d->rule->target));
		}
		if (d->values.count[value] >= d->rule->limit) {
			return sched_got(arena_printf(
				r->mem, "distinct_property: %s=%s used by %lld allocs", d->rule->target,
				intern_text(&r->nodes->names, d->values.id[value]), (long long)d->values.count[value]));
		}
	}
	return "distinct_property";
}

struct metric_sums {
	struct tally reasons;
	struct tally classes;
	struct tally exhausted;
	struct tally dimensions;
	int64_t n_filtered;
	int64_t n_exhausted;
};

static void copy_tally(const struct tally *from, struct tally *to, struct arena *mem)
{
	uint32_t i;

	for (i = 0; i < from->n; i++) {
		tally_add(to, from->at[i].name, from->at[i].n, mem);
	}
}

static void sum_candidate(const struct rank *r, uint32_t i, struct metric_sums *s)
{
	const struct candidate *c = &r->at[i];
	const char *class_ = intern_text(&r->nodes->names, r->nodes->at[c->slot].node_class);

	if ((c->state == CANDIDATE_OPEN && !c->missed) || c->settled) {
		return;
	}
	if (c->state == CANDIDATE_FULL || c->state == CANDIDATE_OPEN) {
		s->n_exhausted++;
		tally_add(&s->dimensions, dimension_text(r, c), 1, r->mem);
		if (class_[0] != 0) {
			tally_add(&s->exhausted, class_, 1, r->mem);
		}
		return;
	}
	s->n_filtered++;
	tally_add(&s->reasons, c->state == CANDIDATE_DISTINCT_HOSTS ? "distinct_hosts" : crowd_text(r, i), 1, r->mem);
	if (class_[0] != 0) {
		tally_add(&s->classes, class_, 1, r->mem);
	}
}

/* The places of the best candidates, best first. */
static uint32_t best_places(const struct rank *r, uint32_t *best)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < r->n; i++) {
		uint32_t at;

		if (r->score[i] == -INFINITY || (n == SCORES_SHOWN && r->score[i] <= r->score[best[n - 1]])) {
			continue;
		}
		at = n < SCORES_SHOWN ? n++ : SCORES_SHOWN - 1;
		for (; at > 0 && r->score[best[at - 1]] < r->score[i]; at--) {
			best[at] = best[at - 1];
		}
		best[at] = i;
	}
	return n;
}

static void put_score(const struct rank *r, uint32_t i, struct node_score *out)
{
	const struct candidate *c = &r->at[i];
	struct num_pair *at = arena_need(r->mem, 5, sizeof(at[0]));
	char *id = arena_need(r->mem, UUID_TEXT, 1);
	uint32_t n = 0;

	uuid_format(&r->nodes->more[c->slot].id, id);
	object_init(&node_score_type, out);
	if (c->spread != 0) {
		at[n++] = (struct num_pair){"allocation-spread", c->spread};
	}
	at[n++] = (struct num_pair){"binpack", c->binpack};
	at[n++] = (struct num_pair){"job-anti-affinity", anti_affinity(r, c)};
	at[n++] = (struct num_pair){"node-affinity", c->affinity};
	at[n++] = (struct num_pair){"node-reschedule-penalty", c->penalty ? -1 : 0};
	out->node_id = id;
	out->scores = (struct nummap){at, n};
	out->norm_score = r->score[i];
}

static void put_scores(const struct rank *r, struct alloc_metric *out)
{
	uint32_t best[SCORES_SHOWN];
	uint32_t n = best_places(r, best);
	uint32_t i;

	out->score_meta_data.at = arena_need(r->mem, n, sizeof(out->score_meta_data.at[0]));
	out->score_meta_data.n = n;
	for (i = 0; i < n; i++) {
		put_score(r, best[i], &out->score_meta_data.at[i]);
	}
}

void rank_metric(const struct rank *r, struct alloc_metric *out)
{
	struct metric_sums s = {.n_filtered = r->filtered};
	uint32_t i;

	copy_tally(&r->reasons, &s.reasons, r->mem);
	copy_tally(&r->filtered_classes, &s.classes, r->mem);
	for (i = 0; i < r->n; i++) {
		sum_candidate(r, i, &s);
	}
	object_init(&alloc_metric_type, out);
	out->nodes_evaluated = r->evaluated;
	out->nodes_in_pool = r->in_pool;
	out->nodes_filtered = s.n_filtered;
	out->nodes_exhausted = s.n_exhausted;
	out->nodes_available = tally_map(&r->available, r->mem);
	out->class_filtered = tally_map(&s.classes, r->mem);
	out->constraint_filtered = tally_map(&s.reasons, r->mem);
	out->class_exhausted = tally_map(&s.exhausted, r->mem);
	out->dimension_exhausted = tally_map(&s.dimensions, r->mem);
	put_scores(r, out);
}
