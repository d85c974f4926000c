/*
 * Measuring what the tasks of an allocation use: each running task's driver is asked, and the request is answered when
 * the last has said something, or cannot any more.
 */
#include "client/stats.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/stats_call.h"
#include "proto/http.h"

OBJECT_DEFINE(cpu_stats, CPU_STATS_FIELDS);
OBJECT_DEFINE(memory_stats, MEMORY_STATS_FIELDS);
OBJECT_DEFINE(resource_usage, RESOURCE_USAGE_FIELDS);
OBJECT_DEFINE(task_usage, TASK_USAGE_FIELDS);
OBJECT_DEFINE(alloc_usage, ALLOC_USAGE_FIELDS);

struct stats_part {
	struct list link; /* In its task's `stats`. */
	struct stats_call *call;
	struct client_task *task;
	const char *name; /* In the call's arena. */
	struct driver_stats got;
	struct driver_stats before; /* at_ns is 0 if there is none. */
	bool measured;
};

struct stats_call {
	struct http_request *req;
	struct arena mem;
	double mhz;      /* Of one core. */
	uint32_t n;
	uint32_t waiting; /* Parts, and the asking itself. */
	struct stats_part parts[];
};

static const char *cpu_measured[] = {"System Mode", "User Mode", "Percent"};
static const char *memory_measured[] = {"RSS", "Cache", "Swap", "Usage"};

/* Of one core, so that two busy cores are 200. */
static double percent(int64_t cpu_ns, int64_t wall_ns)
{
	return wall_ns <= 0 || cpu_ns < 0 ? 0 : 100.0 * (double)cpu_ns / (double)wall_ns;
}

static struct resource_usage *usage_new(struct arena *mem)
{
	struct resource_usage *u = arena_alloc(mem, sizeof(*u));
	struct cpu_stats *cpu = arena_alloc(mem, sizeof(*cpu));
	struct memory_stats *memory = arena_alloc(mem, sizeof(*memory));

	if (u == NULL || cpu == NULL || memory == NULL) {
		return NULL;
	}
	object_init(&resource_usage_type, u);
	object_init(&cpu_stats_type, cpu);
	object_init(&memory_stats_type, memory);
	cpu->measured = (struct strs){cpu_measured, 3};
	memory->measured = (struct strs){memory_measured, 4};
	u->cpu = cpu;
	u->memory = memory;
	return u;
}

static void measure(const struct stats_part *p, double mhz, struct resource_usage *u)
{
	const struct driver_stats *now = &p->got;
	const struct driver_stats *before = &p->before;
	int64_t wall_ns = before->at_ns != 0 ? now->at_ns - before->at_ns : 0;

	u->cpu->system_mode = percent(now->cpu_system_ns - before->cpu_system_ns, wall_ns);
	u->cpu->user_mode = percent(now->cpu_user_ns - before->cpu_user_ns, wall_ns);
	u->cpu->percent = u->cpu->system_mode + u->cpu->user_mode;
	u->cpu->total_ticks = u->cpu->percent / 100.0 * mhz;
	u->memory->rss = now->rss_bytes;
	u->memory->cache = now->cache_bytes;
	u->memory->swap = now->swap_bytes;
	u->memory->usage = now->rss_bytes + now->cache_bytes;
}

static void add(struct resource_usage *sum, const struct resource_usage *u)
{
	sum->cpu->system_mode += u->cpu->system_mode;
	sum->cpu->user_mode += u->cpu->user_mode;
	sum->cpu->percent += u->cpu->percent;
	sum->cpu->total_ticks += u->cpu->total_ticks;
	sum->memory->rss += u->memory->rss;
	sum->memory->cache += u->memory->cache;
	sum->memory->swap += u->memory->swap;
	sum->memory->usage += u->memory->usage;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct stats_part *)a)->name, ((const struct stats_part *)b)->name);
}

/* False when memory is exhausted. */
static bool fill(struct stats_call *call, struct alloc_usage *out)
{
	uint32_t i;

	object_init(&alloc_usage_type, out);
	out->usage = usage_new(&call->mem);
	out->tasks.keys = arena_calloc(&call->mem, call->n + 1, sizeof(out->tasks.keys[0]));
	out->tasks.at = arena_calloc(&call->mem, call->n + 1, sizeof(out->tasks.at[0]));
	if (out->usage == NULL || out->tasks.keys == NULL || out->tasks.at == NULL) {
		return false;
	}
	qsort(call->parts, call->n, sizeof(call->parts[0]), by_name);
	for (i = 0; i < call->n; i++) {
		struct task_usage *t = &out->tasks.at[out->tasks.n];

		if (!call->parts[i].measured) {
			continue;
		}
		object_init(&task_usage_type, t);
		t->usage = usage_new(&call->mem);
		if (t->usage == NULL) {
			return false;
		}
		t->timestamp = call->parts[i].got.at_ns;
		measure(&call->parts[i], call->mhz, t->usage);
		add(out->usage, t->usage);
		out->timestamp = t->timestamp > out->timestamp ? t->timestamp : out->timestamp;
		out->tasks.keys[out->tasks.n++] = call->parts[i].name;
	}
	return true;
}

static void part_done(struct stats_call *call)
{
	struct http_response res = {.status = 200};
	struct alloc_usage usage;

	if (--call->waiting > 0) {
		return;
	}
	if (fill(call, &usage)) {
		json_encode(&alloc_usage_type, &usage, &res.body);
		http_answer(call->req, &res);
	} else {
		http_answer_text(call->req, 500, "out of memory");
	}
	arena_close(&call->mem);
	free(call);
}

static void measured_cb(void *ctx, const struct driver_stats *stats)
{
	struct stats_part *p = ctx;

	list_remove(&p->link);
	if (stats != NULL) {
		p->measured = true;
		p->got = *stats;
		p->before = p->task->measured;
		p->task->measured = *stats;
	}
	part_done(p->call);
}

void stats_lost(struct client_task *task)
{
	struct list *e;

	while ((e = list_pop(&task->stats)) != NULL) {
		part_done(CONTAINER_OF(e, struct stats_part, link)->call);
	}
	task->measured = (struct driver_stats){.at_ns = 0};
}

static void ask(struct stats_call *call, struct client_task *task, const char *name)
{
	struct stats_part *p = &call->parts[call->n];

	p->name = arena_strdup(&call->mem, name);
	if (p->name == NULL || task->driver == NULL) {
		return;
	}
	p->call = call;
	p->task = task;
	list_init(&p->link);
	if (driver_stats(task->driver, measured_cb, p) == 0) {
		list_insert(&task->stats, &p->link);
		call->n++;
		call->waiting++;
	}
}

static bool has_task(const struct client_alloc *ca, const char *name)
{
	uint32_t i;

	for (i = 0; i < ca->ar.n && strcmp(ca->ar.tasks[i].task->name, name) != 0; i++) {
	}
	return i < ca->ar.n;
}

void stats_answer(struct client_alloc *ca, struct http_request *req)
{
	const char *only = http_query(req, "task");
	struct stats_call *call = calloc(1, sizeof(*call) + ca->ar.n * sizeof(call->parts[0]));
	const struct node_cpu *cpu = ca->client->node.node_resources->cpu;
	uint32_t i;

	if (call == NULL) {
		http_answer_text(req, 500, "out of memory");
		return;
	}
	if (only != NULL && only[0] != '\0' && !has_task(ca, only)) {
		http_answer_text(req, 500, "allocation \"%s\" has no task \"%.200s\"", ca->id, only);
		free(call);
		return;
	}
	call->req = req;
	call->mhz = cpu == NULL || cpu->total_cpu_cores == 0 ? 0 : (double)cpu->cpu_shares / (double)cpu->total_cpu_cores;
	call->waiting = 1;
	for (i = 0; i < ca->ar.n; i++) {
		if (only == NULL || only[0] == '\0' || strcmp(ca->ar.tasks[i].task->name, only) == 0) {
			ask(call, &ca->tasks[i], ca->ar.tasks[i].task->name);
		}
	}
	part_done(call);
}
