/* Client nodes: they register, beat, look for what they are to run, run it, and report until they are heard. */
#include "test/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "proto/error.h"
#include "proto/object.h"
#include "proto/job.h"
#include "proto/rpc_objects.h"
#include "server/shell.h"

enum { NODES_MAX = 16, TASKS_MAX = 512, REPORTS = 16 };
enum { CPU = 4000, CPU_CALM = 10000 }; /* At first there is little room; in the calm enough for all on each node. */

struct sim_task {
	struct uuid id;
	uint8_t type;     /* enum job_type */
	uint8_t status;   /* enum alloc_client */
	uint8_t reported; /* What servers know; */
	bool deployed;    /* it is of a deployment, */
	bool ends;        /* and will end as it should, or fails. */
	bool fails;
	bool stopping;
	bool seen; /* In the last look. */
	int64_t next_at;
};

struct sim_node {
	unsigned at;
	struct uuid id;
	bool registered;
	bool lost; /* Does nothing, and says nothing. */
	bool cut[HOSTS_MAX];
	int64_t beat_at;
	uint64_t seen_index;
	unsigned server; /* That it talks to. */
	struct sim_task *tasks;
	unsigned n_tasks;
	struct call registers, beats, pulls, reports;
	struct sim_task *in_report[REPORTS];
	uint8_t told[REPORTS];
	struct uuid told_id[REPORTS];
	unsigned n_told;
};

static struct sim_node nodes[NODES_MAX];
static unsigned n_nodes;
static bool calm;

unsigned nodes_count(void)
{
	return n_nodes;
}

struct uuid node_id(unsigned i)
{
	return nodes[i].id;
}

bool node_reaches(unsigned node, unsigned host)
{
	return !nodes[node].cut[host] && !nodes[node].lost;
}

/* ---- requests ---- */

static struct host *server_of(struct sim_node *n)
{
	return &sim.hosts[n->server % sim.n_hosts];
}

static void try_another(struct sim_node *n)
{
	struct host *leader = host_leader();

	n->server = leader != NULL && sim_chance(600) ? leader->at : (unsigned)sim_below(sim.n_hosts);
}

static void ask(struct sim_node *n, struct call *c, enum call_kind kind)
{
	c->kind = kind;
	c->from_node = n->at + 1;
	c->node = n->id;
	call_send(c, kind == CALL_PULL ? &sim.hosts[sim_below(sim.n_hosts)] : server_of(n));
}

static void on_registered(struct call *c)
{
	struct sim_node *n = CONTAINER_OF(c, struct sim_node, registers);

	if (c->status == 0 && c->result.status == 0) {
		n->registered = true;
		n->beat_at = 0;
	} else {
		try_another(n);
	}
}

static void register_node(struct sim_node *n)
{
	struct arena mem = {0};
	struct fault fault = {"", ""};
	struct node node;
	struct node_register p = {&node};
	char id[UUID_TEXT];
	const char *json;

	uuid_format(&n->id, id);
	json = arena_printf(&mem,
			    "{\"ID\":\"%s\",\"Name\":\"n%u\",\"Datacenter\":\"dc1\",\"Status\":\"ready\","
			    "\"SecretID\":\"%s\",\"ComputedClass\":\"v1:%u\","
			    "\"Attributes\":{\"kernel.name\":\"linux\",\"driver.raw_exec\":\"1\"},"
			    "\"NodeResources\":{\"Cpu\":{\"CpuShares\":%u},\"Memory\":{\"MemoryMB\":16000},"
			    "\"Disk\":{\"DiskMB\":100000}},"
			    "\"Drivers\":{\"raw_exec\":{\"Detected\":true,\"Healthy\":true}}}",
			    id, n->at, id, n->at % 3, calm ? CPU_CALM : CPU);
	if (json_decode(&node_type, &node, json, strlen(json), &mem, &fault) != 0) {
		sim_fail("a node: %s: %s", fault.path, fault.why);
	}
	command_encode(COMMAND_NODE_REGISTER, &p, &n->registers.command);
	arena_close(&mem);
	ask(n, &n->registers, CALL_WRITE);
}

static void on_beat(struct call *c)
{
	struct sim_node *n = CONTAINER_OF(c, struct sim_node, beats);

	if (c->status == 0) {
		n->beat_at = sim.now + c->ttl_ns / 2;
	} else if (c->status == ERR_NOTFOUND) {
		n->registered = false;
	} else {
		n->beat_at = sim.now + 200 * MS;
		try_another(n);
	}
}

/* ---- what is to run ---- */

static struct sim_task *task_of(struct sim_node *n, const struct uuid *id)
{
	for (unsigned i = 0; i < n->n_tasks; i++) {
		if (uuid_equal(&n->tasks[i].id, id)) {
			return &n->tasks[i];
		}
	}
	return NULL;
}

static bool is_over(const struct sim_task *t)
{
	return t->status == ALLOC_CLIENT_COMPLETE || t->status == ALLOC_CLIENT_FAILED;
}

static void take(struct sim_node *n, const struct alloc_row *row)
{
	struct sim_task *t = task_of(n, &row->id);
	bool batch = row->job->type == JOB_TYPE_BATCH || row->job->type == JOB_TYPE_SYSBATCH;

	if (t == NULL) {
		if (alloc_row_client_terminal(row) || n->n_tasks == TASKS_MAX) {
			return;
		}
		t = &n->tasks[n->n_tasks++];
		*t = (struct sim_task){.id = row->id,
				   .type = row->job->type,
				   .status = ALLOC_CLIENT_PENDING,
				   .reported = ALLOC_CLIENT_PENDING,
				   .ends = batch,
				   .fails = !calm && sim_chance(60),
				   .deployed = !uuid_is_zero(&row->deployment_id),
				   .next_at = sim.now + sim_between(20 * MS, 500 * MS)};
	}
	t->seen = true;
	if (row->client == ALLOC_CLIENT_UNKNOWN) {
		t->reported = ALLOC_CLIENT_UNKNOWN; /* They have given it up, and must hear of it again. */
	}
	t->deployed = t->deployed || !uuid_is_zero(&row->deployment_id);
	if (row->desired != ALLOC_DESIRED_RUN && !t->stopping && !is_over(t)) {
		t->stopping = true;
		t->next_at = sim.now + sim_between(10 * MS, 400 * MS);
	}
}

/* What servers have forgotten is forgotten here. */
static void forget_unseen(struct sim_node *n)
{
	for (unsigned i = 0; i < n->n_tasks;) {
		if (n->tasks[i].seen) {
			i++;
		} else {
			n->tasks[i] = n->tasks[--n->n_tasks];
		}
	}
}

static void on_pulled(struct call *c)
{
	struct sim_node *n = CONTAINER_OF(c, struct sim_node, pulls);
	const struct alloc_row *row;
	struct rows r;

	if (c->view == NULL) {
		return;
	}
	if (c->status == 0 && c->index >= n->seen_index && !n->lost) {
		n->seen_index = c->index;
		for (unsigned i = 0; i < n->n_tasks; i++) {
			n->tasks[i].seen = false;
		}
		rows_allocs_of_node(&r, c->view, &n->id);
		while ((row = alloc_next(&r)) != NULL) {
			take(n, row);
		}
		forget_unseen(n);
	}
	view_release(c->view);
	c->view = NULL;
}

static void task_acts(struct sim_task *t)
{
	if (is_over(t) || t->next_at > sim.now) {
		return;
	}
	if (t->stopping) {
		t->status = ALLOC_CLIENT_COMPLETE;
	} else if (t->status == ALLOC_CLIENT_PENDING) {
		t->status = ALLOC_CLIENT_RUNNING;
		t->next_at = t->fails || t->ends ? sim.now + sim_between(50 * MS, 3 * SEC) : INT64_MAX;
	} else if (t->fails) {
		COUNT(task_failures);
		t->status = ALLOC_CLIENT_FAILED;
	} else {
		t->status = ALLOC_CLIENT_COMPLETE;
	}
}

/* ---- reports ---- */

static void on_reported(struct call *c)
{
	struct sim_node *n = CONTAINER_OF(c, struct sim_node, reports);

	if (c->status != 0) {
		try_another(n);
		return;
	}
	for (unsigned i = 0; i < n->n_told; i++) {
		struct sim_task *t = task_of(n, &n->told_id[i]);

		if (t != NULL) {
			t->reported = n->told[i];
		}
	}
}

static void fill_report(struct alloc_report *r, const struct sim_task *t, struct arena *mem)
{
	struct alloc_deployment_status *health = arena_alloc(mem, sizeof(*health));
	struct alloc_update update;
	char *id = arena_alloc(mem, UUID_TEXT);

	object_init(&alloc_update_type, &update);
	object_init(&alloc_deployment_status_type, health);
	uuid_format(&t->id, id);
	update.id = id;
	update.client_status = t->status == ALLOC_CLIENT_RUNNING    ? "running"
			       : t->status == ALLOC_CLIENT_COMPLETE ? "complete"
			       : t->status == ALLOC_CLIENT_FAILED   ? "failed"
								    : "pending";
	if (t->deployed && (t->status == ALLOC_CLIENT_RUNNING || t->status == ALLOC_CLIENT_FAILED)) {
		health->healthy = (struct opt){t->status == ALLOC_CLIENT_RUNNING, true};
		update.deployment_status = health;
	}
	if (alloc_report_fill(r, &update, mem) != 0) {
		sim_fail("a report cannot be filled");
	}
}

static void report(struct sim_node *n)
{
	struct alloc_report reports[REPORTS];
	struct alloc_reports p;
	struct arena mem = {0};

	n->n_told = 0;
	for (unsigned i = 0; i < n->n_tasks && n->n_told < REPORTS; i++) {
		struct sim_task *t = &n->tasks[i];

		if (t->status != t->reported) {
			fill_report(&reports[n->n_told], t, &mem);
			n->told[n->n_told] = t->status;
			n->told_id[n->n_told++] = t->id;
		}
	}
	if (n->n_told > 0) {
		object_init(&alloc_reports_type, &p);
		p.reports.at = reports;
		p.reports.n = n->n_told;
		command_encode(COMMAND_ALLOC_REPORTS, &p, &n->reports.command);
		ask(n, &n->reports, CALL_WRITE);
	}
	arena_close(&mem);
}

/* ---- time ---- */

static void on_tick(void *arg)
{
	struct sim_node *n = arg;

	sim_at(sim.now + sim_between(150 * MS, 350 * MS), NULL, on_tick, n);
	if (n->lost) {
		return;
	}
	if (!n->registered) {
		if (!n->registers.open) {
			register_node(n);
		}
		return;
	}
	if (!n->beats.open && n->beat_at <= sim.now) {
		ask(n, &n->beats, CALL_BEAT);
	}
	if (!n->pulls.open) {
		ask(n, &n->pulls, CALL_PULL);
	}
	for (unsigned i = 0; i < n->n_tasks; i++) {
		task_acts(&n->tasks[i]);
	}
	if (!n->reports.open) {
		report(n);
	}
}

void nodes_begin(unsigned count)
{
	n_nodes = count;
	for (unsigned i = 0; i < count; i++) {
		struct sim_node *n = &nodes[i];

		*n = (struct sim_node){.at = i, .server = i};
		n->tasks = calloc(TASKS_MAX, sizeof(*n->tasks));
		for (unsigned b = 0; b < sizeof(n->id.at); b++) {
			n->id.at[b] = (uint8_t)sim_random();
		}
		n->registers.done = on_registered;
		n->beats.done = on_beat;
		n->pulls.done = on_pulled;
		n->reports.done = on_reported;
		sim_at(sim_between(0, 500 * MS), NULL, on_tick, n);
	}
}

/* ---- faults ---- */

static void on_healed(void *arg)
{
	struct sim_node *n = arg;

	n->lost = false;
	memset(n->cut, 0, sizeof(n->cut));
}

void node_fault(void)
{
	struct sim_node *n = &nodes[sim_below(n_nodes)];

	if (sim_chance(500)) {
		COUNT(node_losses);
		n->lost = true;
	} else {
		COUNT(node_cuts);
		for (unsigned i = 0; i < sim.n_hosts; i++) {
			n->cut[i] = sim_chance(700);
		}
	}
	sim_at(sim.now + sim_between(500 * MS, 12 * SEC), NULL, on_healed, n);
}

void nodes_calm(void)
{
	calm = true;
	for (unsigned i = 0; i < n_nodes; i++) {
		on_healed(&nodes[i]);
		nodes[i].registered = false;
		for (unsigned t = 0; t < nodes[i].n_tasks; t++) {
			nodes[i].tasks[t].fails = false;
		}
	}
}

bool nodes_settled(char *why, size_t size)
{
	for (unsigned i = 0; i < n_nodes; i++) {
		if (!nodes[i].registered) {
			snprintf(why, size, "node n%u has not registered again", i);
			return false;
		}
		for (unsigned t = 0; t < nodes[i].n_tasks; t++) {
			if (nodes[i].tasks[t].status != nodes[i].tasks[t].reported) {
				snprintf(why, size, "node n%u has something to report", i);
				return false;
			}
		}
	}
	return true;
}
