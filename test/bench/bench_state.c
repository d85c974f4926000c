/* Figures of the state: how fast commands are applied, what rows take, how long snapshots take.
 *
 *     bench_state [ALLOCATIONS]     200,000 unless told otherwise, a multiple of 10,000
 *
 * Rates are per second of this thread's own time: the machine may be shared. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/error.h"
#include "raft/fsm.h"
#include "raft/persist.h"

enum { NODES = 1000, PER_JOB = 1000, CHUNK = 250, REGISTERS = 50000 };

static const char simple_job[] =
	"{\"ID\":\"%s\",\"Name\":\"%s\",\"Type\":\"service\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\","
	"\"Count\":1,\"EphemeralDisk\":{\"SizeMB\":10},\"RestartPolicy\":{\"Attempts\":0,\"Interval\":60000000000,"
	"\"Delay\":200000000,\"Mode\":\"fail\"},\"ReschedulePolicy\":{\"Attempts\":0,\"Unlimited\":false},"
	"\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sleep\",\"args\":[\"600\"]},"
	"\"Resources\":{\"CPU\":20,\"MemoryMB\":10},\"KillTimeout\":2000000000,"
	"\"LogConfig\":{\"MaxFiles\":1,\"MaxFileSizeMB\":1}}]}]}";

struct bench {
	struct state state;
	struct fsm fsm;
	struct arena mem; /* Of payloads. */
	struct batch batch;
	struct buf command;
	uint64_t ids;
	int64_t now;
	double applied_s; /* Spent in fsm_apply(). */
	unsigned long long commands;
	struct uuid nodes[NODES];
	struct uuid *allocs;
};

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t resident(void)
{
	unsigned long pages = 0;
	unsigned long ignored;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%lu %lu", &ignored, &pages) != 2) {
		pages = 0;
	}
	if (f != NULL) {
		fclose(f);
	}
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct uuid next_id(struct bench *b)
{
	static const struct uuid family = {{7}};

	return uuid_derive(&family, ++b->ids);
}

static void must(int rv)
{
	if (rv != 0) {
		fprintf(stderr, "bench_state: %s\n", error_text(rv));
		exit(1);
	}
}

static void flush(struct bench *b)
{
	double begin = cpu_s();

	if (b->batch.count > 0) {
		must(fsm_apply(&b->fsm, b->batch.entry.at, b->batch.entry.len, NULL));
		b->applied_s += cpu_s() - begin;
	}
	batch_reset(&b->batch);
	arena_close(&b->mem);
}

static void submit(struct bench *b, enum command type, const void *payload)
{
	struct uuid seed = next_id(b);

	b->command.len = 0;
	must(command_encode(type, payload, &b->command));
	if (batch_add(&b->batch, b->command.at, b->command.len, ++b->now, &seed) == ERR_BUSY) {
		flush(b);
		must(batch_add(&b->batch, b->command.at, b->command.len, b->now, &seed));
	}
	b->commands++;
}

static void begin_phase(struct bench *b)
{
	flush(b);
	b->applied_s = 0;
	b->commands = 0;
}

static void tell(const char *what, double n, double seconds)
{
	printf("%-52s %10.0f /s   (%.2f us each)\n", what, n / seconds, seconds / n * 1e6);
}

/* ---- what is applied ---- */

static void register_job(struct bench *b, const char *id)
{
	struct job_register p;
	struct job job;
	char *json = arena_printf(&b->mem, simple_job, id, id);

	must(json_decode(&job_type, &job, json, strlen(json), &b->mem, NULL));
	must(job_canonicalize(&job, &b->mem));
	must(job_register_fill(&p, &job, &b->mem));
	submit(b, COMMAND_JOB_REGISTER, &p);
}

static void register_nodes(struct bench *b)
{
	unsigned i;

	for (i = 0; i < NODES; i++) {
		struct node_register p;
		struct node node;
		char id[UUID_TEXT];

		b->nodes[i] = next_id(b);
		uuid_format(&b->nodes[i], id);
		object_init(&node_type, &node);
		node.id = id;
		node.name = arena_printf(&b->mem, "node-%u", i);
		node.datacenter = "dc1";
		node.status = "ready";
		p.node = &node;
		submit(b, COMMAND_NODE_REGISTER, &p);
	}
	flush(b);
}

/* The deployment that a job's first places come with. */
static void fill_deployment(struct bench *b, const char *job, const struct job_row *row, struct deployment *d)
{
	struct deployment_group *group = arena_calloc(&b->mem, 1, sizeof(*group));
	const char **name = arena_alloc(&b->mem, sizeof(*name));
	char *id = arena_alloc(&b->mem, UUID_TEXT);
	struct uuid new_id = next_id(b);

	uuid_format(&new_id, id);
	object_init(&deployment_type, d);
	object_init(&deployment_group_type, group);
	*name = "g";
	group->desired_total = PER_JOB;
	d->id = id;
	d->namespace_ = "default";
	d->job_id = job;
	d->job_version = (int64_t)row->version;
	d->job_create_index = (int64_t)row->create_index;
	d->status = "running";
	d->task_groups.keys = name;
	d->task_groups.at = group;
	d->task_groups.n = 1;
}

static void place_chunk(struct bench *b, const char *job, const struct job_row *row, const struct uuid *eval,
			const struct deployment_row *deployment, size_t first)
{
	static const uint8_t packed[] = {0x82, 0x01, 0x0a, 0x0e, 0xcd, 0x30, 0x39};
	struct plan_metrics metrics = {{packed, sizeof(packed)}};
	struct plan_group group = {"g", 20, 10, 0, 10};
	struct plan_place *places = arena_calloc(&b->mem, CHUNK, sizeof(*places));
	struct deployment made;
	struct uuid made_id;
	struct plan_result p;
	unsigned i;

	object_init(&plan_result_type, &p);
	p.eval_id = uuid_bytes(eval);
	p.namespace_ = "default";
	p.job_id = job;
	p.job_create_index = (int64_t)row->create_index;
	p.job_version = (int64_t)row->version;
	p.groups.at = &group;
	p.groups.n = 1;
	p.metrics.at = &metrics;
	p.metrics.n = 1;
	p.places.at = places;
	p.places.n = CHUNK;
	if (deployment == NULL) {
		fill_deployment(b, job, row, &made);
		p.deployment = &made;
		uuid_parse(made.id, strlen(made.id), &made_id);
	}
	p.deployment_id = uuid_bytes(deployment != NULL ? &deployment->id : &made_id);
	for (i = 0; i < CHUNK; i++) {
		b->allocs[first + i] = next_id(b);
		object_init(&plan_place_type, &places[i]);
		places[i].id = uuid_bytes(&b->allocs[first + i]);
		places[i].node_id = uuid_bytes(&b->nodes[(first + i) * 7 % NODES]);
		places[i].index = (int64_t)(first + i) % PER_JOB;
		places[i].metrics = 1;
	}
	submit(b, COMMAND_PLAN, &p);
}

/* So many jobs at a time, a chunk of each by turns, as the plans of several evaluations arrive. */
static void place(struct bench *b, size_t from, size_t to)
{
	enum { JOBS = 5 };
	size_t i;
	size_t k;

	for (i = from; i < to; i += JOBS * PER_JOB) {
		for (k = 0; k < JOBS * PER_JOB; k += CHUNK) {
			size_t which = i / PER_JOB + k / CHUNK % JOBS;
			size_t first = which * PER_JOB + k / CHUNK / JOBS * CHUNK;
			char job[32];
			struct uuid eval = {{0}};
			struct rows r;
			const struct view *v;

			if (first >= to) {
				continue;
			}
			snprintf(job, sizeof(job), "place-%zu", which);
			v = forest_work(&b->state.forest);
			rows_evals_of_job(&r, v, "default", job);
			eval = eval_next(&r)->id;
			place_chunk(b, job, state_job(v, "default", job), &eval,
				    state_latest_deployment(v, "default", job), first);
			flush(b);
		}
	}
}

static void task_event(struct task_event *e, const char *const texts[3], int64_t now, struct arena *mem)
{
	object_init(&task_event_type, e);
	e->type = texts[0];
	e->time = now;
	e->display_message = texts[1];
	if (texts[2] != NULL) {
		e->message = texts[2];
		e->details.at = arena_calloc(mem, 1, sizeof(e->details.at[0]));
		e->details.at[0] = (struct pair){"message", texts[2]};
		e->details.n = 1;
	}
}

static void report(struct bench *b, size_t n, const char *status, unsigned events)
{
	static const char *const texts[][3] = {{"Received", "Task received by client", NULL},
					       {"Task Setup", "Building Task Directory", "Building Task Directory"},
					       {"Started", "Task started by client", NULL}};
	const int64_t day = INT64_C(1700000000123456789);
	size_t i;

	for (i = 0; i < n; i++) {
		struct alloc_reports p;
		struct alloc_report *r = arena_calloc(&b->mem, 1, sizeof(*r));
		struct alloc_deployment_status health;
		struct alloc_update update;
		struct task_state task;
		struct task_event e[3];
		const char *name = "t";
		char id[UUID_TEXT];
		unsigned k;

		object_init(&alloc_update_type, &update);
		object_init(&task_state_type, &task);
		for (k = 0; k < events; k++) {
			task_event(&e[k], texts[k], day + (int64_t)i, &b->mem);
		}
		uuid_format(&b->allocs[i * 7919 % n], id);
		task.state = status;
		task.started_at = day + (int64_t)i;
		task.events.at = e;
		task.events.n = events;
		update.id = id;
		update.client_status = status;
		update.client_description = "Tasks are running";
		update.task_states.keys = &name;
		update.task_states.at = &task;
		update.task_states.n = 1;
		object_init(&alloc_deployment_status_type, &health);
		health.healthy = (struct opt){true, true};
		health.timestamp = day;
		update.deployment_status = &health;
		must(alloc_report_fill(r, &update, &b->mem));
		object_init(&alloc_reports_type, &p);
		p.reports.at = r;
		p.reports.n = 1;
		submit(b, COMMAND_ALLOC_REPORTS, &p);
	}
	flush(b);
}

/* ---- what rows take ---- */

static size_t usable(const void *p)
{
	return p != NULL ? malloc_usable_size((void *)(uintptr_t)p) : 0;
}

static void tell_rows(struct bench *b)
{
	const struct view *v = state_view(&b->state);
	const struct job_row *job = state_job(v, "default", "job-100");
	const struct alloc_row *alloc = state_alloc(v, &b->allocs[0]);
	const struct eval_row *eval;
	struct rows r;

	rows_evals_of_job(&r, v, "default", "job-100");
	eval = eval_next(&r);
	printf("a job's row %zu bytes, with its specification (%u) %zu; its summary %zu; an evaluation %zu\n",
	       usable(job), job->spec->len, usable(job) + usable(job->spec),
	       usable(state_summary(v, "default", "job-100")) + usable(state_summary(v, "default", "job-100")->names),
	       usable(eval) + usable(eval->rest));
	printf("a running allocation's row %zu bytes, with what its client said (%u) %zu\n", usable(alloc),
	       alloc->reported->len, usable(alloc) + usable(alloc->reported) + usable(alloc->server));
	view_release(v);
}

/* ---- snapshots ---- */

static int to_memory(void *ctx, const void *data, size_t len)
{
	buf_put(ctx, data, len);
	return ((struct buf *)ctx)->failed ? ERR_NOMEM : 0;
}

struct source {
	const char *at;
	size_t left;
};

static int from_memory(void *ctx, void *data, size_t len)
{
	struct source *s = ctx;

	if (len > s->left) {
		return ERR_CORRUPT;
	}
	memcpy(data, s->at, len);
	s->at += len;
	s->left -= len;
	return 0;
}

static void snapshots(struct bench *b)
{
	const struct view *v = state_view(&b->state);
	struct state copy;
	struct buf out = {0};
	struct source in;
	double begin = cpu_s();

	must(persist_save(v, to_memory, &out));
	printf("snapshot saved in %.2f s: %.1f MB (estimated %.1f)\n", cpu_s() - begin, (double)out.len / 1e6,
	       (double)persist_estimate(v) / 1e6);
	in = (struct source){out.at, out.len};
	begin = cpu_s();
	must(persist_load(&copy, from_memory, &in));
	printf("and restored in %.2f s\n", cpu_s() - begin);
	if (state_hash(forest_work(&copy.forest)) != state_hash(v)) {
		must(ERR_CORRUPT);
	}
	view_release(v);
	state_close(&copy);
	buf_close(&out);
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200000;
	size_t before;
	size_t i;

	n -= n % (10 * PER_JOB);
	b->allocs = calloc(n, sizeof(*b->allocs));
	state_init(&b->state);
	fsm_init(&b->fsm, &b->state, NULL, NULL, NULL);
	register_nodes(b);
	begin_phase(b);
	before = resident();
	for (i = 0; i < REGISTERS; i++) {
		char id[32];

		snprintf(id, sizeof(id), "job-%zu", i);
		register_job(b, id);
	}
	flush(b);
	tell("registers applied", REGISTERS, b->applied_s);
	printf("memory for a registered job, with all indexes: %zu bytes\n", (resident() - before) / REGISTERS);
	for (i = 0; i < n / PER_JOB; i++) {
		char id[32];

		snprintf(id, sizeof(id), "place-%zu", i);
		register_job(b, id);
	}
	begin_phase(b);
	before = resident();
	place(b, 0, n / 2);
	tell("placements applied, the first half", (double)n / 2, b->applied_s);
	begin_phase(b);
	place(b, n / 2, n);
	tell("placements applied, the second half", (double)n / 2, b->applied_s);
	begin_phase(b);
	report(b, n, "running", 3);
	tell("reports applied (running, 3 events)", (double)n, b->applied_s);
	printf("memory for a running allocation, with all indexes: %zu bytes\n", (resident() - before) / n);
	tell_rows(b);
	snapshots(b);
	fsm_close(&b->fsm);
	state_close(&b->state);
	batch_close(&b->batch);
	buf_close(&b->command);
	arena_close(&b->mem);
	free(b->allocs);
	free(b);
	return 0;
}
