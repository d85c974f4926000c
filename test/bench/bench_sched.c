/* Figures of the schedulers: placements a second, and where the time goes; how densely nodes are packed.
 *
 *     bench_sched [NODES]     1,000 unless told otherwise
 *
 * One process plays everything: the scheduler (a worker's thread), the check of plans and their application (the core
 * loop's). Times are of this thread alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/unit/unit.h"

#include "test/unit/server/sched_bed.h"

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- one evaluation, by parts ---- */

struct parts {
	double news;
	double decide;
	double check;
	double check_max; /* Of one chunk. */
	double apply;
	unsigned chunks;
	unsigned long long placed;
};

static void add(double *to, double from)
{
	*to += cpu_s() - from;
}

static void apply_chunk(struct bed *b, const struct plan_step *step, struct parts *p)
{
	const struct uuid seed = {{1}};
	double t = cpu_s();

	batch_reset(&b->batch);
	assert(batch_add(&b->batch, step->command, step->len, b->now, &seed) == 0);
	assert(fsm_apply(&b->fsm, b->batch.entry.at, b->batch.entry.len, &b->result) == 0);
	assert(b->result.status == 0);
	p->placed += b->result.count * (step->plan->chunks[step->chunk].payload.places.n > 0);
	add(&p->apply, t);
	t = cpu_s();
	applier_applied(&b->applier, step, 0, &b->result);
	add(&p->check, t);
	p->chunks++;
}

static void apply_all(struct bed *b, struct parts *p)
{
	struct plan_step step;

	while (applier_ready(&b->applier)) {
		double t = cpu_s();
		bool ok = applier_next(&b->applier, b->v, &step);
		double spent = cpu_s() - t;

		p->check += spent;
		p->check_max = spent > p->check_max ? spent : p->check_max;
		if (ok) {
			apply_chunk(b, &step, p);
		}
	}
	assert(applier_done(&b->applier) != NULL);
}

static void evaluate(struct bed *b, const struct uuid *eval, struct parts *p)
{
	const struct view *v = state_view(&b->state);
	struct sched_run *run;
	struct uuid seed = {{3}};
	double t = cpu_s();

	memcpy(seed.at + 4, &b->ids, sizeof(b->ids));
	b->ids++;
	sched_news(&b->sched, v, &b->news);
	add(&p->news, t);
	t = cpu_s();
	assert(sched_begin(&b->sched, v, eval, b->now, &seed, &run) == SCHED_SUBMIT);
	add(&p->decide, t);
	applier_submit(&b->applier, run->plan);
	apply_all(b, p);
	assert(run->plan->refused == 0);
	sched_end(&b->sched, run);
	view_release(v);
}

static void tell(const char *what, const struct parts *p, unsigned evals)
{
	double all = p->decide + p->check + p->apply + p->news;

	printf("%-34s %8.0f placements/s %9.0f evals/s  decide %7.2f ms, news %6.2f, check %6.2f (longest %5.2f), "
	       "apply %7.2f, "
	       "%u chunks\n",
	       what, (double)p->placed / all, evals / all, p->decide * 1e3, p->news * 1e3, p->check * 1e3,
	       p->check_max * 1e3, p->apply * 1e3, p->chunks);
}

/* ---- workloads ---- */

static void add_nodes(struct bed *b, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		bed_node(b, bed_json(b,
				     "{'Name':'n%u','Meta':{'rack':'r%u','unique.n':'%u'},'ComputedClass':'v1:%u',"
				     "'NodeResources':{'Cpu':{'CpuShares':4000},'Memory':{'MemoryMB':8000},"
				     "'Disk':{'DiskMB':100000},'Networks':[{'IP':'10.0.0.1'}]}}",
				     i, i % 20, i, i % 20));
	}
}

static const char *job(struct bed *b, const char *id, unsigned count, const char *group, const char *more)
{
	return bed_json(
		b,
		"{'ID':'%s','Name':'%s','Type':'service','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Count':%u,"
		"'EphemeralDisk':{'SizeMB':10},'Tasks':[{'Name':'t','Driver':'mock_driver','Config':{'run_for':'1000h'}"
		","
		"'Resources':{'CPU':10,'MemoryMB':10},'LogConfig':{'MaxFiles':1,'MaxFileSizeMB':1}}]%s}]%s}",
		id, id, count, group, more);
}

static void run_jobs(unsigned nodes, const char *what, unsigned jobs, unsigned count, const char *group,
		     const char *more)
{
	struct parts p = {0};
	struct nodes_news none = {0};
	struct bed b;
	unsigned i;

	(void)none;
	bed_open(&b);
	b.quick = true;
	add_nodes(&b, nodes);
	sched_news(&b.sched, b.v, &b.news);
	for (i = 0; i < jobs; i++) {
		struct uuid eval = bed_register(&b, job(&b, bed_json(&b, "job-%u", i), count, group, more));

		evaluate(&b, &eval, &p);
	}
	tell(what, &p, jobs);
	bed_close(&b);
}

/* ---- how densely ---- */

static uint64_t rng = 7;

static unsigned dice(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((rng >> 33) % n);
}

struct item {
	int cpu;
	int memory;
};

struct bin {
	int cpu;
	int memory;
	unsigned items;
};

/* The reference: each item, as it comes, goes to the used node that it leaves with the least room; a new one if none.
 */
static unsigned best_fit(const struct item *items, unsigned n, struct bin *bins, unsigned n_bins)
{
	unsigned used = 0;
	unsigned i;
	unsigned j;

	for (i = 0; i < n; i++) {
		double best = 1e9;
		unsigned at = n_bins;

		for (j = 0; j < n_bins; j++) {
			double left = (double)(bins[j].cpu - items[i].cpu) / 4000 +
				      (double)(bins[j].memory - items[i].memory) / 8000;

			if (bins[j].cpu >= items[i].cpu && bins[j].memory >= items[i].memory && left < best) {
				best = left;
				at = j;
			}
		}
		if (at == n_bins) {
			continue;
		}
		used += bins[at].items++ == 0;
		bins[at].cpu -= items[i].cpu;
		bins[at].memory -= items[i].memory;
	}
	return used;
}

static unsigned nodes_used(const struct bed *b)
{
	unsigned used = 0;
	uint32_t i;

	for (i = 0; i < b->sched.nodes.n; i++) {
		used += b->sched.nodes.at[i].used.count > 0;
	}
	return used;
}

static void pack(unsigned nodes)
{
	enum { JOBS = 3000 };
	static struct item items[JOBS];
	struct bin *bins = calloc(nodes, sizeof(bins[0]));
	struct parts p = {0};
	unsigned placed = 0;
	unsigned reference;
	struct bed b;
	unsigned i;

	bed_open(&b);
	b.quick = true;
	add_nodes(&b, nodes);
	for (i = 0; i < nodes; i++) {
		bins[i] = (struct bin){4000, 8000, 0};
	}
	for (i = 0; i < JOBS; i++) {
		struct uuid eval;

		items[i] = (struct item){(int)(50 + dice(1200)), (int)(50 + dice(2600))};
		eval = bed_register(
			&b, bed_json(&b,
				     "{'ID':'j%u','Type':'batch','Datacenters':['dc1'],'TaskGroups':[{'Name':'g',"
				     "'EphemeralDisk':{'SizeMB':10},'Tasks':[{'Name':'t','Driver':'raw_exec',"
				     "'Config':{'command':'x'},'Resources':{'CPU':%d,'MemoryMB':%d},"
				     "'LogConfig':{'MaxFiles':1,'MaxFileSizeMB':1}}]}]}",
				     i, items[i].cpu, items[i].memory));
		evaluate(&b, &eval, &p);
	}
	placed = (unsigned)p.placed;
	sched_news(&b.sched, b.v, &b.news);
	reference = best_fit(items, JOBS, bins, nodes);
	printf("packing %u jobs of different sizes on %u nodes: %u placed on %u nodes; best fit uses %u\n", JOBS, nodes,
	       placed, nodes_used(&b), reference);
	bed_close(&b);
	free(bins);
}

int main(int argc, char **argv)
{
	unsigned nodes = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;

	printf("%u nodes\n", nodes);
	run_jobs(nodes, "1 job x 5,000", 1, 5000, "", "");
	run_jobs(nodes, "50 jobs x 100", 50, 100, "", "");
	run_jobs(nodes, "1,000 jobs x 1", 1000, 1, "", "");
	run_jobs(nodes, "1 x 5,000, spread over racks", 1, 5000,
		 ",'Spreads':[{'Attribute':'${meta.rack}','Weight':50}]", "");
	run_jobs(nodes, "1 x 5,000, affinity, constraints", 1, 5000,
		 ",'Affinities':[{'LTarget':'${meta.rack}','RTarget':'r3','Weight':50}]",
		 ",'Constraints':[{'LTarget':'${attr.kernel.name}','Operand':'=','RTarget':'linux'},"
		 "{'LTarget':'${meta.unique.n}','Operand':'regexp','RTarget':'[0-8]$'}]");
	run_jobs(nodes, "1 x 5,000, two dynamic ports", 1, 5000,
		 ",'Networks':[{'DynamicPorts':[{'Label':'a'},{'Label':'b'}]}]", "");
	run_jobs(nodes, "1,000 jobs that fit nowhere", 1000, 1, "",
		 ",'Constraints':[{'LTarget':'${attr.kernel.name}','Operand':'=','RTarget':'plan9'}]");
	pack(nodes);
	return 0;
}
