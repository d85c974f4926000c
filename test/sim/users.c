/* Those who register and stop jobs, drain nodes, and read. */
#include "test/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/arena.h"
#include "proto/error.h"
#include "proto/job.h"
#include "proto/object.h"
#include "server/shell.h"

enum { USERS_MAX = 4, JOBS = 10, TRIES = 12 };

struct wish {
	const char *id;
	const char *type;
	const char *more; /* Of the job's, */
	const char *group; /* and of its group's JSON. */
	unsigned canaries;
	bool promotes; /* By itself. */
	unsigned cpu, max;
	int count;          /* As it was asked for last; 0: stopped. */
	unsigned versions;
	bool asked;         /* It was asked for in the calm, */
	bool there;         /* and answered. */
	bool ends;          /* In the calm it is stopped. */
};

static struct wish wishes[JOBS] = {
	{.id = "web", .type = "service", .cpu = 300, .max = 6},
	{.id = "api", .type = "service", .cpu = 500, .max = 4},
	{.id = "canaries", .type = "service", .canaries = 1, .promotes = true, .cpu = 300, .max = 5},
	{.id = "promoted", .type = "service", .canaries = 2, .cpu = 200, .max = 4},
	{.id = "roaming",
	 .type = "service",
	 .group = "\"Disconnect\":{\"LostAfter\":5000000000,\"Replace\":true,\"Reconcile\":\"keep_original\"},",
	 .cpu = 200,
	 .max = 4},
	{.id = "huge", .type = "service", .cpu = 1900, .max = 20, .ends = true},
	{.id = "batch", .type = "batch", .cpu = 200, .max = 4},
	{.id = "each", .type = "system", .cpu = 100, .max = 1},
	{.id = "eachbatch", .type = "sysbatch", .cpu = 50, .max = 1},
	{.id = "tick",
	 .type = "batch",
	 .more = "\"Periodic\":{\"Enabled\":true,\"SpecType\":\"cron\",\"Spec\":\"*/3 * * * * * *\"},",
	 .cpu = 50,
	 .max = 1,
	 .ends = true},
};

struct user {
	unsigned at;
	struct call call;
	struct buf command; /* For the next try. */
	unsigned tries;
	struct wish *wish; /* What it is about, or NULL. */
	unsigned adds; /* What it would have the counter be, or 0. */
	bool idle;    /* In the calm it does nothing any more. */
	bool in_calm; /* What it does now it began in the calm. */
};

static struct user users[USERS_MAX];
static unsigned n_users;
static bool calm;

static struct host *some_host(void)
{
	struct host *leader = host_leader();

	return leader != NULL && sim_chance(700) ? leader : &sim.hosts[sim_below(sim.n_hosts)];
}

static void try_now(void *arg)
{
	struct user *u = arg;

	u->call.kind = CALL_WRITE;
	buf_put(&u->call.command, u->command.at, u->command.len);
	call_send(&u->call, some_host());
}

static void next(struct user *u);
static void act(void *arg);
static void count_added(struct user *u, const struct call *c);

static void on_done(struct call *c)
{
	struct user *u = CONTAINER_OF(c, struct user, call);
	bool surely_not = c->status != 0 && c->status != ERR_UNKNOWN;
	bool harmless = u->in_calm && u->wish == NULL; /* If it is done twice. */
	bool again = surely_not ? (calm ? u->in_calm : u->tries++ < TRIES) : c->status != 0 && harmless;

	if (c->kind == CALL_WRITE && again) {
		sim_at(sim.now + sim_between(20 * MS, 400 * MS), NULL, try_now, u);
		return;
	}
	if (u->adds > 0) {
		count_added(u, c);
	}
	if (u->wish != NULL && c->kind == CALL_WRITE && c->status == 0 && c->result.status == 0 && calm) {
		u->wish->there = u->wish->asked;
	}
	if (u->wish != NULL && calm && !u->wish->there) {
		u->wish->asked = false;
	}
	u->wish = NULL;
	next(u);
}

static void begin(struct user *u, enum command type, const void *payload)
{
	u->command.len = 0;
	command_encode(type, payload, &u->command);
	u->tries = 0;
	try_now(u);
}

/* ---- jobs ---- */

static void register_job(struct user *u, struct wish *w, int count)
{
	struct arena mem = {0};
	struct fault fault = {"", ""};
	struct job_register p;
	struct job job;
	bool service = strcmp(w->type, "service") == 0;
	const char *update =
		!service ? ""
			 : arena_printf(&mem,
					"\"Update\":{\"MaxParallel\":2,\"MinHealthyTime\":1000000,"
					"\"HealthyDeadline\":20000000000,\"ProgressDeadline\":40000000000,"
					"\"AutoRevert\":%s,\"Canary\":%d,\"AutoPromote\":%s},"
					"\"Migrate\":{\"MaxParallel\":2},",
					sim_chance(300) ? "true" : "false", w->canaries,
					w->promotes ? "true" : "false");
	const char *again = service ? "\"ReschedulePolicy\":{\"Unlimited\":true,\"Delay\":5000000000,"
				      "\"DelayFunction\":\"constant\"},"
				    : "";
	const char *json = arena_printf(
		&mem,
		"{\"ID\":\"%s\",\"Type\":\"%s\",\"Datacenters\":[\"dc1\"],%s"
		"\"TaskGroups\":[{\"Name\":\"g\",\"Count\":%d,%s%s%s"
		"\"EphemeralDisk\":{\"SizeMB\":10},\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\","
		"\"Config\":{\"command\":\"/bin/sleep\"},\"Env\":{\"VERSION\":\"%u\"},"
		"\"Resources\":{\"CPU\":%u,\"MemoryMB\":200}}]}]}",
		w->id, w->type, w->more == NULL ? "" : w->more, count, update, again, w->group == NULL ? "" : w->group,
		w->versions++, w->cpu);

	if (json_decode(&job_type, &job, json, strlen(json), &mem, &fault) != 0 ||
	    job_canonicalize(&job, &mem) != 0 || job_register_fill(&p, &job, &mem) != 0) {
		sim_fail("a job: %s: %s", fault.path, fault.why);
	}
	w->count = count;
	u->wish = w;
	begin(u, COMMAND_JOB_REGISTER, &p);
	arena_close(&mem);
}

static void stop_job(struct user *u, struct wish *w, bool purge)
{
	struct job_deregister p;

	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = w->id;
	p.purge = purge;
	w->count = 0;
	u->wish = w;
	begin(u, COMMAND_JOB_DEREGISTER, &p);
}

static void evaluate_job(struct user *u, const struct wish *w)
{
	struct job_evaluate p;

	object_init(&job_evaluate_type, &p);
	p.namespace_ = "default";
	p.id = w->id;
	p.force_reschedule = sim_chance(500);
	begin(u, COMMAND_JOB_EVALUATE, &p);
}

/* ---- allocations and deployments ---- */

static const struct alloc_row *some_alloc(const struct view *v)
{
	const struct alloc_row *row, *found = NULL;
	unsigned n = 0;
	struct rows r;

	rows_allocs(&r, v, NULL);
	while ((row = alloc_next(&r)) != NULL) {
		if (!alloc_row_terminal(row) && sim_below(++n) == 0) {
			found = row;
		}
	}
	return found;
}

static bool stop_alloc(struct user *u, const struct view *v)
{
	const struct alloc_row *row = some_alloc(v);
	struct desired_transition transition;
	struct alloc_transitions p;
	struct alloc_transition one;

	if (row == NULL) {
		return false;
	}
	object_init(&desired_transition_type, &transition);
	object_init(&alloc_transitions_type, &p);
	object_init(&alloc_transition_type, &one);
	transition.migrate = (struct opt){true, true};
	one.id = uuid_bytes(&row->id);
	one.transition = &transition;
	p.allocs.at = &one;
	p.allocs.n = 1;
	p.trigger = EVAL_TRIGGER_ALLOC_STOP;
	begin(u, COMMAND_ALLOC_TRANSITIONS, &p);
	return true;
}

static const struct deployment_row *some_deployment(const struct view *v)
{
	const struct deployment_row *row;
	struct rows r;

	rows_deployments(&r, v, NULL);
	while ((row = deployment_next(&r)) != NULL) {
		if (deployment_row_active(row)) {
			return row;
		}
	}
	return NULL;
}

static bool decide_deployment(struct user *u, const struct view *v, bool fails)
{
	const struct deployment_row *row = some_deployment(v);
	struct deployment_promote promote;
	struct deployment_change change;

	if (row == NULL) {
		return false;
	}
	object_init(&deployment_promote_type, &promote);
	object_init(&deployment_change_type, &change);
	promote.id = change.id = uuid_bytes(&row->id);
	change.status = DEPLOYMENT_STATUS_FAILED;
	change.description = "Deployment marked as failed";
	change.verb = "fail";
	change.eval = true;
	if (fails) {
		begin(u, COMMAND_DEPLOYMENT_STATUS, &change);
	} else {
		begin(u, COMMAND_DEPLOYMENT_PROMOTE, &promote);
	}
	return true;
}

/* What is asked for depends on what some server has: it may be old. */
static bool touch_something(struct user *u)
{
	struct host *h = some_host();
	const struct view *v;
	bool done;

	if (!h->alive) {
		return false;
	}
	v = host_view(h);
	done = sim_chance(500) ? stop_alloc(u, v) : decide_deployment(u, v, !calm && sim_chance(200));
	view_release(v);
	return done;
}

/* ---- a counter: a job that does not run, which is registered anew with check-and-set ---- */

enum { COUNTER_MAX = 4096 };

static unsigned added, perhaps_added;
static bool reached[COUNTER_MAX]; /* Somebody was told that he has brought it there. */

static unsigned counter_value(const struct job_row *row)
{
	struct arena mem = {0};
	struct job job;
	unsigned value = 0;

	if (row != NULL && job_row_get(row, &job, &mem) == 0) {
		for (size_t i = 0; i < job.meta.n; i++) {
			value = (unsigned)strtoul(job.meta.at[i].value, NULL, 10);
		}
	}
	arena_close(&mem);
	return value;
}

/* What it reads may be old: then somebody else has been quicker, and this one is told so. */
static bool add_one(struct user *u)
{
	struct host *h = some_host();
	struct arena mem = {0};
	struct fault fault = {"", ""};
	const struct job_row *row;
	const struct view *v;
	struct job_register p;
	struct job job;
	const char *json;

	if (!h->alive) {
		return false;
	}
	v = host_view(h);
	row = state_job(v, "default", "counter");
	u->adds = counter_value(row) + 1;
	json = arena_printf(&mem,
			    "{\"ID\":\"counter\",\"Type\":\"batch\",\"Datacenters\":[\"dc1\"],\"Meta\":{\"n\":\"%u\"},"
			    "\"ParameterizedJob\":{\"Payload\":\"optional\"},"
			    "\"TaskGroups\":[{\"Name\":\"g\",\"Count\":1,"
			    "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/true\"},"
			    "\"Resources\":{\"CPU\":20,\"MemoryMB\":10}}]}]}",
			    u->adds);
	if (json_decode(&job_type, &job, json, strlen(json), &mem, &fault) != 0 ||
	    job_canonicalize(&job, &mem) != 0 || job_register_fill(&p, &job, &mem) != 0) {
		sim_fail("the counter: %s: %s", fault.path, fault.why);
	}
	p.enforce = true;
	p.job_modify_index = row == NULL ? 0 : (int64_t)row->job_modify_index;
	begin(u, COMMAND_JOB_REGISTER, &p);
	view_release(v);
	arena_close(&mem);
	return true;
}

static void count_added(struct user *u, const struct call *c)
{
	if (c->status == ERR_UNKNOWN) {
		perhaps_added++;
	} else if (c->status == 0 && c->result.status == 0) {
		if (u->adds >= COUNTER_MAX || reached[u->adds]) {
			sim_fail("two have been told that they have brought the counter to %u", u->adds);
		}
		reached[u->adds] = true;
		added++;
	}
	u->adds = 0;
}

static void check_counter(const struct view *v)
{
	unsigned value = counter_value(state_job(v, "default", "counter"));

	if (value < added || value > added + perhaps_added) {
		sim_fail("the counter is %u; %u were told that they have added one, and %u do not know", value, added,
			 perhaps_added);
	}
}

/* ---- nodes ---- */

static void drain_node(struct user *u, unsigned node, bool begins)
{
	struct uuid id = node_id(node);
	struct drain_strategy strategy;
	struct node_drain p;

	object_init(&drain_strategy_type, &strategy);
	object_init(&node_drain_type, &p);
	strategy.deadline = sim_between(2, 20) * SEC;
	p.id = uuid_bytes(&id);
	p.strategy = begins ? &strategy : NULL;
	p.mark_eligible = !begins;
	if (begins) {
		COUNT(drains);
	}
	begin(u, COMMAND_NODE_DRAIN, &p);
}

static void mark_node(struct user *u, unsigned node, bool eligible)
{
	struct uuid id = node_id(node);
	struct node_eligibility p;

	object_init(&node_eligibility_type, &p);
	p.id = uuid_bytes(&id);
	p.eligible = eligible;
	begin(u, COMMAND_NODE_ELIGIBILITY, &p);
}

/* ---- one after the other ---- */

static void read_state(struct user *u)
{
	u->call.kind = CALL_READ;
	call_send(&u->call, &sim.hosts[sim_below(sim.n_hosts)]);
}

static void write_nothing(struct user *u)
{
	struct no_payload p = {0};

	begin(u, COMMAND_NOTHING, &p);
}

static void some_operation(struct user *u)
{
	struct wish *w = &wishes[sim_below(JOBS)];
	unsigned node = (unsigned)sim_below(nodes_count());

	switch (sim_below(19)) {
	case 0:
	case 1:
	case 2:
	case 3:
		register_job(u, w, 1 + (int)sim_below(w->max));
		break;
	case 4:
		stop_job(u, w, sim_chance(300));
		break;
	case 5:
		evaluate_job(u, w);
		break;
	case 6:
		drain_node(u, node, sim_chance(400));
		break;
	case 7:
		mark_node(u, node, sim_chance(600));
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		read_state(u);
		break;
	case 12:
	case 13:
		if (!touch_something(u)) {
			next(u);
		}
		break;
	case 14:
	case 15:
	case 16:
		if (!add_one(u)) {
			next(u);
		}
		break;
	default:
		write_nothing(u);
	}
}

static bool promote_one(struct user *u)
{
	struct host *h = host_leader();
	const struct view *v = h == NULL ? NULL : host_view(h);
	bool done = v != NULL && sim_chance(300) && decide_deployment(u, v, false);

	if (v != NULL) {
		view_release(v);
	}
	return done;
}

/* In the calm the first user brings all to a state that is known. */
static unsigned calm_step;

static bool others_idle(void)
{
	for (unsigned i = 1; i < n_users; i++) {
		if (!users[i].idle) {
			return false;
		}
	}
	return true;
}

static void calm_operation(struct user *u)
{
	if (u->at != 0) {
		u->idle = true;
		return;
	}
	if (!others_idle()) {
		next(u);
		return;
	}
	u->in_calm = true;
	if (calm_step < nodes_count()) {
		drain_node(u, calm_step++, false);
		return;
	}
	if (calm_step < 2 * nodes_count()) {
		mark_node(u, calm_step++ - nodes_count(), true);
		return;
	}
	for (unsigned i = 0; i < JOBS; i++) {
		struct wish *w = &wishes[i];

		if (!w->asked) {
			w->asked = true;
			if (w->ends) {
				stop_job(u, w, false);
			} else {
				register_job(u, w, 1 + (int)sim_below(w->max));
			}
			return;
		}
	}
	if (!promote_one(u)) {
		sim_at(sim.now + 200 * MS, NULL, act, u); /* Perhaps one of them must be asked for again. */
	}
}

static void act(void *arg)
{
	struct user *u = arg;

	if (calm) {
		calm_operation(u);
	} else {
		some_operation(u);
	}
}

static void next(struct user *u)
{
	sim_at(sim.now + (calm ? 10 * MS : sim_between(10 * MS, 400 * MS)), NULL, act, u);
}

void users_begin(unsigned n)
{
	n_users = n;
	for (unsigned i = 0; i < n; i++) {
		users[i].at = i;
		users[i].call.done = on_done;
		sim_at(SEC + sim_between(0, 500 * MS), NULL, act, &users[i]);
	}
}

void users_calm(void)
{
	calm = true;
}

/* ---- what they want in the end ---- */

static void tell_node(const struct view *v, const struct node_row *node)
{
	const struct alloc_row *row;
	unsigned cpu = 0, n = 0;
	struct rows r;

	rows_allocs_of_node(&r, v, &node->id);
	while ((row = alloc_next(&r)) != NULL) {
		if (!alloc_row_terminal(row)) {
			cpu += row->cpu_mhz;
			n++;
		}
	}
	sim_say("node %s: status %d, flags %x, %u allocations with %u MHz", node_row_name(node), node->status,
		node->flags, n, cpu);
}

static void tell_alloc(const struct alloc_row *row, const struct job_row *job)
{
	char id[UUID_TEXT], node[UUID_TEXT];

	uuid_format(&row->id, id);
	uuid_format(&row->node_id, node);
	sim_say("  allocation %.8s [%u] on %.8s %s, version %" PRIu64 " of %" PRIu64
		", desired %d, client %d, flags %x, index %" PRIu64 " to %" PRIu64,
		id, row->index, node, (const char *)row->node_name->data, row->job->version, job->version, row->desired,
		row->client, row->flags, row->create_index, row->modify_index);
}

static bool job_settled(const struct view *v, const struct wish *w, char *why, size_t size);

/* All that there is of a job which is not what it should be. */
static void tell_job(const struct view *v, const struct wish *w)
{
	const struct job_row *job = state_job(v, "default", w->id);
	const struct deployment_row *deployment;
	const struct alloc_row *alloc;
	const struct eval_row *eval;
	struct rows r;
	char why[160];

	if (job == NULL || job_settled(v, w, why, sizeof(why))) {
		return;
	}
	sim_say("%s, version %" PRIu64 ", of index %" PRIu64, why, job->version, job->modify_index);
	rows_allocs_of_job(&r, v, job);
	while ((alloc = alloc_next(&r)) != NULL) {
		tell_alloc(alloc, job);
	}
	rows_evals_of_job(&r, v, "default", w->id);
	while ((eval = eval_next(&r)) != NULL) {
		sim_say("  evaluation: status %d, trigger %d, index %" PRIu64 " to %" PRIu64 ", of index %" PRIu64, eval->status,
			eval->trigger, eval->create_index, eval->modify_index, eval->snapshot_index);
	}
	rows_deployments_of_job(&r, v, "default", w->id);
	while ((deployment = deployment_next(&r)) != NULL) {
		sim_say("  deployment of version %" PRIu64 ": status %d, index %" PRIu64 " to %" PRIu64,
			deployment->job_version, deployment->status, deployment->create_index, deployment->modify_index);
	}
}

void users_tell(void)
{
	struct host *leader = host_leader();
	const struct view *v = leader == NULL ? NULL : host_view(leader);
	const struct node_row *node;
	const struct eval_row *eval;
	struct rows r;

	if (v == NULL) {
		return;
	}
	rows_nodes(&r, v, NULL);
	while ((node = node_next(&r)) != NULL) {
		tell_node(v, node);
	}
	rows_evals(&r, v, NULL);
	while ((eval = eval_next(&r)) != NULL) {
		if (!eval_row_terminal(eval)) {
			sim_say("evaluation of %s: status %d, trigger %d, created at %" PRIu64 ", of index %" PRIu64,
				eval_row_job(eval), eval->status, eval->trigger, eval->create_index,
				eval->snapshot_index);
		}
	}
	for (unsigned i = 0; i < JOBS; i++) {
		tell_job(v, &wishes[i]);
	}
	view_release(v);
}

static bool job_settled(const struct view *v, const struct wish *w, char *why, size_t size)
{
	const struct job_row *job = state_job(v, "default", w->id);
	bool service = strcmp(w->type, "service") == 0, each = strcmp(w->type, "system") == 0;
	const struct alloc_row *row;
	unsigned running = 0, other = 0;
	unsigned wanted = each ? nodes_count() : (unsigned)w->count;
	struct rows r;

	if (job == NULL) {
		snprintf(why, size, "%s is not there", w->id);
		return w->count == 0 || !(service || each); /* Batch jobs that are done are collected. */
	}
	if (!job_row_runs(job)) {
		return true;
	}
	rows_allocs_of_job(&r, v, job);
	while ((row = alloc_next(&r)) != NULL) {
		bool newest = row->job->version == job->version;

		if (alloc_row_terminal(row)) {
			other += !alloc_row_client_terminal(row);
		} else {
			running += newest && row->client == ALLOC_CLIENT_RUNNING;
			other += !newest || row->client != ALLOC_CLIENT_RUNNING;
		}
	}
	snprintf(why, size, "%s: %u of %u run, %u are not what they should be", w->id, running, wanted, other);
	if (service || each) {
		return running == wanted && other == 0;
	}
	return running == 0 && other == 0;
}

static bool evals_settled(const struct view *v, int64_t wall_ns, char *why, size_t size)
{
	const struct deployment_row *deployment;
	const struct eval_row *row;
	struct rows r;

	rows_evals(&r, v, NULL);
	while ((row = eval_next(&r)) != NULL) {
		if (!eval_row_terminal(row) && row->wait_until_ns <= wall_ns) {
			snprintf(why, size, "an evaluation of %s is open: status %d", eval_row_job(row), row->status);
			return false;
		}
	}
	rows_deployments(&r, v, NULL);
	while ((deployment = deployment_next(&r)) != NULL) {
		if (deployment_row_active(deployment)) {
			snprintf(why, size, "a deployment of %s is active", deployment_row_job(deployment));
			return false;
		}
	}
	return true;
}

bool users_settled(char *why, size_t size)
{
	struct host *leader = host_leader();
	const struct view *v;
	bool ok = leader != NULL;

	snprintf(why, size, "there is no leader");
	for (unsigned i = 0; i < JOBS && ok; i++) {
		snprintf(why, size, "%s was not registered yet", wishes[i].id);
		ok = wishes[i].there;
	}
	if (!ok) {
		return false;
	}
	v = host_view(leader);
	for (unsigned i = 0; i < JOBS && ok; i++) {
		ok = job_settled(v, &wishes[i], why, size);
	}
	if (ok) {
		check_counter(v);
	}
	ok = ok && evals_settled(v, host_wall(leader), why, size);
	view_release(v);
	return ok;
}
