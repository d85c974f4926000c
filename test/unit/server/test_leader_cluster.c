/* A whole cluster in one process: leaders that change, real schedulers, nodes and clients that are played. Whatever
 * happens, in the end everything that should run runs, and nothing else. */
#include "test/unit/unit.h"

#include "server/sched.h"
#include "test/unit/server/leader_world.h"

enum { NODES = 10, JOBS = 6, RUNS = 64, SICK = 3 };

/* An evaluation with the scheduler. */
struct work {
	bool used;
	bool queued; /* There is something for the scheduler to do. */
	struct broker_delivery delivery;
	struct sched_run *run;
};

struct machine {
	struct uuid id;
	bool dead;
	int64_t beat_ns; /* Its next heartbeat. */
};

struct cluster {
	struct world w;
	struct sched sched;
	struct nodes_news news;
	struct work works[RUNS];
	struct machine machines[NODES];
	unsigned versions[JOBS];
	int counts[JOBS];  /* What was registered last; 0: stopped. */
	unsigned failures; /* One of so many new allocations fails; 0: none. */
	bool coup;         /* The leader is to go in the middle of something. */
	unsigned leaders;
	unsigned submitted;
};

static struct cluster *cluster_of(struct world *w)
{
	return w->ctx;
}

/* ---- the worker ---- */

static int64_t clock_ns(void *ctx)
{
	static int64_t ticks;

	(void)ctx;
	return ++ticks;
}

static void cluster_dispatch(struct world *w, const struct broker_delivery *delivery)
{
	struct cluster *c = cluster_of(w);
	unsigned i;

	for (i = 0; c->works[i].used; i++) {
		assert_true(i + 1 < RUNS);
	}
	c->works[i] = (struct work){.used = true, .queued = true, .delivery = *delivery};
}

static void cluster_plan_done(struct world *w, struct plan *plan)
{
	struct cluster *c = cluster_of(w);
	unsigned i;

	for (i = 0; !c->works[i].used || c->works[i].run == NULL || c->works[i].run->plan != plan; i++) {
		assert_true(i + 1 < RUNS);
	}
	c->works[i].queued = true;
}

static void cluster_changed(struct world *w, const struct change *changes, size_t n)
{
	news_add(&cluster_of(w)->news, changes, n);
}

static const struct world_play play = {cluster_dispatch, cluster_plan_done, cluster_changed};

static void schedule(struct cluster *c, struct work *work)
{
	struct world *w = &c->w;
	struct uuid seed = kit_id(&w->k);
	enum sched_step step;

	work->queued = false;
	sched_news(&c->sched, w->k.v, &c->news);
	if (work->run == NULL) {
		step = sched_begin(&c->sched, w->k.v, &work->delivery.eval, w->at.wall_ns, &seed, &work->run);
	} else {
		step = sched_resume(&c->sched, work->run, w->k.v, w->at.wall_ns, &seed);
	}
	if (step == SCHED_SUBMIT) {
		c->submitted++;
		leader_submit(&w->leader, work->run->plan, work->delivery.token, &w->at);
		return;
	}
	leader_eval_done(&w->leader, w->k.v, &work->delivery.eval, work->delivery.token, work->run->status, &w->at);
	sched_end(&c->sched, work->run);
	work->used = false;
}

static void schedule_some(struct cluster *c)
{
	unsigned i;

	for (i = 0; i < RUNS; i++) {
		if (c->works[i].used && c->works[i].queued && world_random(3) > 0) {
			schedule(c, &c->works[i]);
		}
	}
}

/* ---- nodes and what runs there ---- */

static void register_machine(struct cluster *c, unsigned i)
{
	struct kit *k = &c->w.k;
	struct uuid id = kit_id(k);
	struct fault fault = {"", ""};
	const char *json =
		arena_printf(&k->mem,
			     "{\"ID\":\"%s\",\"Name\":\"n%u\",\"Datacenter\":\"dc1\",\"Status\":\"ready\","
			     "\"ComputedClass\":\"v1:%u\","
			     "\"Attributes\":{\"kernel.name\":\"linux\",\"driver.raw_exec\":\"1\"},"
			     "\"NodeResources\":{\"Cpu\":{\"CpuShares\":4000},\"Memory\":{\"MemoryMB\":8000},"
			     "\"Disk\":{\"DiskMB\":100000}},"
			     "\"Drivers\":{\"raw_exec\":{\"Detected\":true,\"Healthy\":true}}}",
			     kit_text(k, &id), i, i % 3);
	struct node node;
	struct node_register p = {&node};

	assert_int_equal(json_decode(&node_type, &node, json, strlen(json), &k->mem, &fault), 0);
	assert_int_equal(world_apply(&c->w, COMMAND_NODE_REGISTER, &p)->status, 0);
	c->machines[i].id = id;
}

static void report(struct cluster *c, const struct uuid *id, const char *status, int healthy)
{
	struct alloc_deployment_status health;
	struct alloc_update update;
	struct alloc_reports p;
	struct alloc_report r;

	object_init(&alloc_update_type, &update);
	object_init(&alloc_deployment_status_type, &health);
	update.id = kit_text(&c->w.k, id);
	update.client_status = status;
	if (healthy >= 0) {
		health.healthy = (struct opt){healthy, true};
		update.deployment_status = &health;
	}
	assert_int_equal(alloc_report_fill(&r, &update, &c->w.k.mem), 0);
	object_init(&alloc_reports_type, &p);
	p.reports.at = &r;
	p.reports.n = 1;
	world_apply(&c->w, COMMAND_ALLOC_REPORTS, &p);
}

/* What the client says next of an allocation; false: nothing. */
static bool client_acts(struct cluster *c, const struct alloc_row *row)
{
	struct uuid id = row->id;
	bool decided = (row->flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY)) != 0;

	if (alloc_row_client_terminal(row)) {
		return false;
	}
	if (row->desired != ALLOC_DESIRED_RUN) {
		report(c, &id, "complete", -1);
		return true;
	}
	if (row->client == ALLOC_CLIENT_PENDING && c->failures > 0 && world_random(c->failures) == 0) {
		report(c, &id, "failed", 0);
		return true;
	}
	if (row->client != ALLOC_CLIENT_RUNNING || !decided) {
		report(c, &id, "running", 1);
		return true;
	}
	return false;
}

static void machine_acts(struct cluster *c, struct machine *m)
{
	const struct alloc_row *row;
	struct rows r;
	int64_t ttl;

	if (m->dead) {
		return;
	}
	if (m->beat_ns <= c->w.at.mono_ns &&
	    leader_heartbeat(&c->w.leader, c->w.k.v, &m->id, NODE_STATUS_READY, &c->w.at, &ttl) == 0) {
		m->beat_ns = c->w.at.mono_ns + ttl / 2;
	}
	rows_allocs_of_node(&r, c->w.k.v, &m->id);
	while ((row = alloc_next(&r)) != NULL) {
		if (world_random(3) == 0 && client_acts(c, row)) {
			return; /* The view is another now. */
		}
	}
}

static void pass(struct cluster *c, int64_t ns)
{
	int64_t end = c->w.at.mono_ns + ns;
	unsigned i;

	while (c->w.at.mono_ns < end) {
		world_pass(&c->w, 50 * NS_PER_MS);
		schedule_some(c);
		if (c->coup && c->w.n_log > 0) {
			c->coup = false;
			c->leaders++;
			world_change_leader(&c->w, world_random(2000) * NS_PER_MS);
		}
		for (i = 0; i < NODES; i++) {
			machine_acts(c, &c->machines[i]);
		}
	}
}

/* ---- jobs ---- */

static const char *job_name(unsigned job)
{
	static const char *const names[JOBS] = {"job0", "job1", "job2", "job3", "job4", "canaries"};

	return names[job];
}

/* The next version of a service job; the last job begins with a canary, which goes on by itself. */
static void register_job(struct cluster *c, unsigned job, int count)
{
	struct kit *k = &c->w.k;
	struct fault fault = {"", ""};
	struct job object;
	const char *json = arena_printf(
		&k->mem,
		"{\"ID\":\"%s\",\"Type\":\"service\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\","
		"\"Count\":%d,"
		"\"Update\":{\"MaxParallel\":2,\"MinHealthyTime\":1000000,\"HealthyDeadline\":60000000000,"
		"\"ProgressDeadline\":120000000000,\"Canary\":%d,\"AutoPromote\":%s},"
		"\"Migrate\":{\"MaxParallel\":2},"
		"\"ReschedulePolicy\":{\"Unlimited\":true,\"Delay\":5000000000,\"DelayFunction\":\"constant\"},"
		"\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sleep\"},"
		"\"Env\":{\"VERSION\":\"%u\"},\"Resources\":{\"CPU\":600,\"MemoryMB\":500}}]}]}",
		job_name(job), count, job == JOBS - 1 ? 1 : 0, job == JOBS - 1 ? "true" : "false", c->versions[job]++);

	assert_int_equal(json_decode(&job_type, &object, json, strlen(json), &k->mem, &fault), 0);
	assert_int_equal(job_canonicalize(&object, &k->mem), 0);
	assert_int_equal(world_apply(&c->w, COMMAND_JOB_REGISTER, kit_registration(k, &object))->status, 0);
	c->counts[job] = count;
}

static void stop_job(struct cluster *c, unsigned job)
{
	struct job_deregister p;

	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = job_name(job);
	world_apply(&c->w, COMMAND_JOB_DEREGISTER, &p);
	c->counts[job] = 0;
}

static void drain(struct cluster *c, unsigned i, bool begin)
{
	struct drain_strategy strategy;
	struct node_drain p;

	object_init(&drain_strategy_type, &strategy);
	object_init(&node_drain_type, &p);
	strategy.deadline = 60 * SECOND;
	p.id = uuid_bytes(&c->machines[i].id);
	p.strategy = begin ? &strategy : NULL;
	p.mark_eligible = !begin;
	world_apply(&c->w, COMMAND_NODE_DRAIN, &p);
}

static unsigned count_sick(const struct cluster *c)
{
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < NODES; i++) {
		const struct node_row *row = state_node(c->w.k.v, &c->machines[i].id);

		n += c->machines[i].dead || !node_row_ready(row);
	}
	return n;
}

static void some_event(struct cluster *c)
{
	unsigned job = world_random(JOBS);
	unsigned i = world_random(NODES);

	switch (world_random(8)) {
	case 0:
	case 1:
		register_job(c, job, 1 + (int)world_random(6));
		break;
	case 2:
		if (world_random(3) == 0 && c->counts[job] > 0) {
			stop_job(c, job);
		}
		break;
	case 3:
	case 4:
		c->machines[i].dead = !c->machines[i].dead && count_sick(c) < SICK;
		break;
	case 5:
		drain(c, i, count_sick(c) < SICK);
		break;
	default:
		c->coup = true;
	}
}

/* ---- what must hold ---- */

static void nobody_has_more_than_there_is(const struct cluster *c)
{
	unsigned i;

	for (i = 0; i < NODES; i++) {
		const struct node_row *node = state_node(c->w.k.v, &c->machines[i].id);
		const struct alloc_row *row;
		uint64_t cpu = 0;
		uint64_t memory = 0;
		struct rows r;

		rows_allocs_of_node(&r, c->w.k.v, &node->id);
		while ((row = alloc_next(&r)) != NULL) {
			cpu += alloc_row_terminal(row) ? 0 : row->cpu_mhz;
			memory += alloc_row_terminal(row) ? 0 : row->memory_mb;
		}
		assert_true(cpu <= node->cpu_mhz && memory <= node->memory_mb);
	}
}

static void everything_runs_that_should(const struct cluster *c, unsigned job)
{
	const struct job_row *row = kit_find(&c->w.k, job_name(job));
	bool seen[16] = {false};
	const struct alloc_row *alloc;
	struct rows r;
	int live = 0;

	if (row == NULL) {
		assert_int_equal(c->counts[job], 0);
		return;
	}
	rows_allocs_of_job(&r, c->w.k.v, row);
	while ((alloc = alloc_next(&r)) != NULL) {
		if (alloc_row_terminal(alloc)) {
			continue;
		}
		live++;
		assert_int_equal(alloc->client, ALLOC_CLIENT_RUNNING);
		assert_int_equal(alloc->job->version, row->version);
		assert_true(alloc->index < 16 && !seen[alloc->index]);
		seen[alloc->index] = true;
	}
	if (live != c->counts[job]) {
		fail_msg("%s has %d of %d allocations", job_name(job), live, c->counts[job]);
	}
}

static void nothing_is_under_way(const struct cluster *c)
{
	const struct deployment_row *deployment;
	const struct eval_row *eval;
	struct rows r;

	rows_evals(&r, c->w.k.v, NULL);
	while ((eval = eval_next(&r)) != NULL) {
		assert_true(eval_row_terminal(eval) || eval->wait_until_ns > c->w.at.wall_ns);
	}
	rows_deployments(&r, c->w.k.v, NULL);
	while ((deployment = deployment_next(&r)) != NULL) {
		assert_false(deployment_row_active(deployment));
	}
}

/* ---- a long life ---- */

static void open_cluster(struct cluster *c)
{
	const struct sched_env env = {.clock_ns = clock_ns};
	unsigned i;

	memset(c, 0, sizeof(*c));
	world_open(&c->w, &play);
	c->w.ctx = c;
	c->w.log_delay_ns = 200 * NS_PER_MS;
	sched_init(&c->sched, &env);
	c->news.all = true;
	for (i = 0; i < NODES; i++) {
		register_machine(c, i);
	}
}

static void close_cluster(struct cluster *c)
{
	unsigned i;

	leader_stop(&c->w.leader);
	for (i = 0; i < RUNS; i++) {
		if (c->works[i].used && c->works[i].run != NULL) {
			sched_end(&c->sched, c->works[i].run);
		}
	}
	sched_close(&c->sched);
	news_close(&c->news);
	world_close(&c->w);
}

/* No more trouble, until everything has settled. */
static void settle(struct cluster *c)
{
	unsigned i;

	c->failures = 0;
	for (i = 0; i < NODES; i++) {
		c->machines[i].dead = false;
	}
	pass(c, 60 * SECOND);
	for (i = 0; i < NODES; i++) {
		drain(c, i, false);
	}
	pass(c, 60 * SECOND);
	for (i = 0; i < JOBS; i++) { /* A deployment that failed may have left old versions. */
		if (c->counts[i] > 0) {
			register_job(c, i, c->counts[i]);
		}
	}
	pass(c, 15 * 60 * SECOND);
}

static void in_the_end_everything_runs_that_should(void **state)
{
	static struct cluster c;
	unsigned seed;
	unsigned i;

	(void)state;
	for (seed = 1; seed <= 3; seed++) {
		printf("seed %u\n", seed);
		srand(seed);
		open_cluster(&c);
		c.failures = 10;
		for (i = 0; i < 600; i++) {
			if (world_random(3) == 0) {
				some_event(&c);
			}
			pass(&c, world_random(4) * SECOND);
			nobody_has_more_than_there_is(&c);
		}
		settle(&c);
		nobody_has_more_than_there_is(&c);
		for (i = 0; i < JOBS; i++) {
			everything_runs_that_should(&c, i);
		}
		nothing_is_under_way(&c);
		assert_true(state_check(c.w.k.v));
		printf("%u leaders, %u plans, %u commands lost\n", c.leaders, c.submitted, c.w.lost);
		assert_true(c.leaders > 20 && c.submitted > 100 && c.w.lost > 0);
		close_cluster(&c);
	}
}

static void room_that_a_stopped_job_leaves_goes_to_those_that_wait(void **state)
{
	static struct cluster c;

	(void)state;
	open_cluster(&c);
	register_job(&c, 0, NODES * 6); /* All there is. */
	pass(&c, 10 * SECOND);
	register_job(&c, 1, 5);
	pass(&c, 10 * SECOND);
	assert_int_equal(c.w.leader.blocked.n_blocked, 1);
	assert_int_equal(kit_newest_eval(&c.w.k, job_name(1))->status, EVAL_STATUS_BLOCKED);
	stop_job(&c, 0);
	pass(&c, 30 * SECOND);
	everything_runs_that_should(&c, 1);
	assert_int_equal(c.w.leader.blocked.n_blocked, 0);
	close_cluster(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_that_a_stopped_job_leaves_goes_to_those_that_wait),
		cmocka_unit_test(in_the_end_everything_runs_that_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
