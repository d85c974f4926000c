/* Random lives of a cluster: whatever happens, what must hold holds, and in quiet times everything comes right. */
#include "test/unit/server/sched_case.h"

enum {
	JOBS = 12,
	NODES_MIN = 3,
	NODES_MAX = 14,
};

static uint64_t rng;

static unsigned dice(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((rng >> 33) % n);
}

static bool chance(unsigned percent)
{
	return dice(100) < percent;
}

/* ---- nodes ---- */

static unsigned node_list(const struct node_row **at, unsigned max)
{
	const struct node_row *row;
	struct rows r;
	unsigned n = 0;

	rows_nodes(&r, b.v, NULL);
	while ((row = node_next(&r)) != NULL && n < max) {
		at[n++] = row;
	}
	return n;
}

static const struct node_row *some_node(void)
{
	const struct node_row *at[NODES_MAX + 1];
	unsigned n = node_list(at, NODES_MAX + 1);

	return n > 0 ? at[dice(n)] : NULL;
}

static void add_node(void)
{
	const struct node_row *at[NODES_MAX + 1];

	if (node_list(at, NODES_MAX + 1) < NODES_MAX) {
		bed_node(&b,
			 bed_json(&b,
				  "{'NodeResources':{'Cpu':{'CpuShares':%u,'TotalCpuCores':4,'ReservableCpuCores':[0,1,"
				  "2,3]},"
				  "'Memory':{'MemoryMB':%u},'Disk':{'DiskMB':100000},'Networks':[{'IP':'10.0.0.1'}],"
				  "'MinDynamicPort':20000,'MaxDynamicPort':20050},'Meta':{'rack':'r%u'},'NodeClass':'%"
				  "s'}",
				  500 + dice(3000), 500 + dice(3000), dice(3), dice(2) ? "big" : ""));
	}
}

static void undrain(const struct uuid *id)
{
	struct node_drain p;

	object_init(&node_drain_type, &p);
	p.id = uuid_bytes(id);
	p.mark_eligible = true;
	bed_apply(&b, COMMAND_NODE_DRAIN, &p);
}

static void change_node(void)
{
	const struct node_row *node = some_node();
	struct uuid id;

	if (node == NULL) {
		return;
	}
	id = node->id;
	switch (dice(10)) {
	case 0:
	case 1:
		bed_node_status(&b, &id, NODE_STATUS_DOWN);
		break;
	case 2:
		bed_node_status(&b, &id, NODE_STATUS_DISCONNECTED);
		break;
	case 3:
		bed_node_drain(&b, &id);
		break;
	case 4:
		undrain(&id);
		break;
	case 5:
		if ((node->flags & NODE_DRAIN) == 0) {
			bed_node_eligible(&b, &id, chance(50));
		}
		break;
	case 6:
		if (chance(30)) {
			bed_node_purge(&b, &id);
		}
		break;
	default:
		bed_node_status(&b, &id, NODE_STATUS_READY);
	}
}

/* ---- jobs ---- */

static const char *job_name(unsigned i)
{
	return bed_json(&b, "job-%u", i);
}

/* The type of a job never changes. */
static const char *job_type_of(unsigned i)
{
	static const char *const types[] = {"service", "service", "batch", "service", "system", "sysbatch"};

	return types[i % 6];
}

static const char *random_group_options(unsigned job)
{
	const char *type = job_type_of(job);
	const char *retry =
		chance(50) ? "'Attempts':2,'Interval':3600000000000,'Delay':5000000000,'DelayFunction':'exponential',"
			     "'MaxDelay':60000000000,'Unlimited':false"
			   : "'Attempts':0,'Delay':5000000000,'DelayFunction':'fibonacci','MaxDelay':60000000000,"
			     "'Unlimited':true";
	bool generic = strncmp(type, "sys", 3) != 0;
	bool service = strcmp(type, "service") == 0;

	return bed_json(
		&b, "%s%s%s%s%s", generic ? bed_json(&b, ",'ReschedulePolicy':{%s}", retry) : "",
		chance(25)   ? ",'Networks':[{'ReservedPorts':[{'Label':'s','Value':8080}]}]"
		: chance(25) ? ",'Networks':[{'DynamicPorts':[{'Label':'a'},{'Label':'b'}]}]"
			     : "",
		service ? bed_json(&b,
				   ",'Update':{'MaxParallel':%u,'Canary':%u,'MinHealthyTime':1,"
				   "'HealthyDeadline':60000000000,'ProgressDeadline':%s,'HealthCheck':'task_states'}",
				   dice(4), dice(3), chance(50) ? "120000000000" : "0")
			: "",
		chance(20)   ? ",'Disconnect':{'LostAfter':120000000000,'Reconcile':'best_score'}"
		: chance(10) ? ",'Disconnect':{'LostAfter':120000000000,'Replace':false}"
			     : "",
		chance(15) && generic ? ",'Constraints':[{'Operand':'distinct_hosts'}]"
		: chance(15) && generic
			? ",'Constraints':[{'LTarget':'${meta.rack}','Operand':'distinct_property','RTarget':'4'}]"
		: chance(20) && generic ? ",'Spreads':[{'Attribute':'${meta.rack}','Weight':50}]"
					: "");
}

static void change_job(unsigned i)
{
	const char *groups = bed_json(&b, "%s", "");
	unsigned n = 1 + dice(2);
	unsigned g;

	for (g = 0; g < n; g++) {
		groups = bed_json(&b,
				  "%s%s{'Name':'g%u','Count':%u,'EphemeralDisk':{'SizeMB':10},'Tasks':[{'Name':'t',"
				  "'Driver':'raw_exec','Config':{'command':'x'},'Resources':{%s'MemoryMB':%u},"
				  "'LogConfig':{'MaxFiles':1,'MaxFileSizeMB':1}}],'Meta':{'v':'%u'}%s}",
				  groups, g > 0 ? "," : "", g, strncmp(job_type_of(i), "sys", 3) == 0 ? 1 : dice(7),
				  chance(10) ? "'Cores':1," : bed_json(&b, "'CPU':%u,", 20 + dice(200)), 20 + dice(200),
				  chance(50) ? 1 : dice(100), random_group_options(i));
	}
	bed_register(
		&b,
		bed_json(&b,
			 "{'ID':'%s','Name':'%s','Type':'%s','Priority':%u,'Datacenters':['dc1']%s,'TaskGroups':[%s]}",
			 job_name(i), job_name(i), job_type_of(i), 10 + 10 * dice(9),
			 chance(5) ? ",'AllAtOnce':true" : "", groups));
}

static void end_job(unsigned i)
{
	struct job_deregister p;

	if (state_job(b.v, "default", job_name(i)) == NULL) {
		return;
	}
	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = job_name(i);
	p.purge = chance(30);
	bed_apply(&b, COMMAND_JOB_DEREGISTER, &p);
}

/* ---- allocations ---- */

static void report_some(unsigned job)
{
	struct alloc_list *list = bed_allocs(&b, job_name(job), BED_ALL);
	unsigned times = dice(6);
	const struct alloc_row *row;
	struct uuid id;

	while (list->n > 0 && times-- > 0) {
		row = list->at[dice(list->n)];
		if (alloc_row_client_terminal(row)) {
			continue;
		}
		id = row->id;
		if (row->desired != ALLOC_DESIRED_RUN) {
			bed_report(&b, &id, ALLOC_CLIENT_COMPLETE);
		} else if (chance(70)) {
			bed_report_health(&b, &id, ALLOC_CLIENT_RUNNING, chance(90));
		} else {
			bed_report(&b, &id, chance(60) ? ALLOC_CLIENT_FAILED : ALLOC_CLIENT_COMPLETE);
		}
		list = bed_allocs(&b, job_name(job), BED_ALL);
	}
}

static void migrate_some(void)
{
	const struct node_row *node = some_node();
	const struct alloc_row *row;
	struct rows r;

	if (node == NULL) {
		return;
	}
	rows_allocs_of_node(&r, b.v, &node->id);
	while ((row = alloc_next(&r)) != NULL) {
		if (!alloc_row_terminal(row) && chance(40)) {
			struct uuid id = row->id;

			bed_migrate(&b, &id);
			return;
		}
	}
}

/* Collect what is over, as the leader does. */
static void collect(void)
{
	struct uuid ids[200];
	struct id_ref refs[200];
	const struct alloc_row *row;
	struct evals_delete p;
	struct rows r;
	uint32_t n = 0;

	rows_allocs(&r, b.v, NULL);
	while ((row = alloc_next(&r)) != NULL && n < 200) {
		bool over = alloc_row_terminal(row) &&
			    (row->job->type == JOB_TYPE_SERVICE || row->desired != ALLOC_DESIRED_RUN);

		if (over && alloc_row_client_terminal(row) && row->modify_time_ns < b.now - 600 * SECOND) {
			ids[n++] = row->id;
		}
	}
	object_init(&evals_delete_type, &p);
	for (uint32_t i = 0; i < n; i++) {
		refs[i].id = uuid_bytes(&ids[i]);
	}
	p.allocs.at = refs;
	p.allocs.n = n;
	bed_apply(&b, COMMAND_EVALS_DELETE, &p);
}

/* ---- deployments: a watcher of few words ---- */

static bool may_promote(const struct deployment *d)
{
	uint32_t i;
	bool any = false;

	for (i = 0; i < d->task_groups.n; i++) {
		const struct deployment_group *g = &d->task_groups.at[i];

		if (g->desired_canaries > 0 && !g->promoted) {
			any = true;
			if (g->healthy_allocs < g->desired_canaries) {
				return false;
			}
		}
	}
	return any;
}

static bool is_complete(const struct deployment *d)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		const struct deployment_group *g = &d->task_groups.at[i];

		if (g->healthy_allocs < g->desired_total || (g->desired_canaries > 0 && !g->promoted)) {
			return false;
		}
	}
	return true;
}

static void watch_deployment(unsigned job, bool gently)
{
	const struct deployment_row *row = state_latest_deployment(b.v, "default", job_name(job));
	struct deployment_promote p;
	struct deployment d;
	struct uuid id;

	if (row == NULL || !deployment_row_active(row)) {
		return;
	}
	id = row->id;
	assert_int_equal(deployment_row_get(row, &d, &b.mem), 0);
	if (may_promote(&d)) {
		object_init(&deployment_promote_type, &p);
		p.id = uuid_bytes(&id);
		bed_apply(&b, COMMAND_DEPLOYMENT_PROMOTE, &p); /* May be refused. */
	} else if (is_complete(&d)) {
		bed_deployment_status(&b, &id, DEPLOYMENT_STATUS_SUCCESSFUL);
	} else if (!gently) {
		static const enum deployment_status some[] = {DEPLOYMENT_STATUS_RUNNING, DEPLOYMENT_STATUS_RUNNING,
							      DEPLOYMENT_STATUS_PAUSED, DEPLOYMENT_STATUS_FAILED};

		bed_deployment_status(&b, &id, some[dice(4)]);
	}
}

/* ---- evaluations ---- */

/* Those that are due, one for each job, in random order. */
static unsigned due(struct uuid *ids, unsigned max)
{
	const struct eval_row *at[64];
	const struct eval_row *row;
	struct rows r;
	unsigned n = 0;
	unsigned i;

	rows_evals(&r, b.v, NULL);
	while ((row = eval_next(&r)) != NULL && n < max) {
		bool again = false;

		for (i = 0; i < n; i++) {
			again |= strcmp(eval_row_job(at[i]), eval_row_job(row)) == 0;
		}
		if (!again && ((row->status == EVAL_STATUS_PENDING && row->wait_until_ns <= b.now) ||
			       (row->status == EVAL_STATUS_BLOCKED && chance(20)))) {
			at[n] = row;
			ids[n++] = row->id;
		}
	}
	for (i = n; i > 1; i--) {
		unsigned j = dice(i);
		struct uuid id = ids[i - 1];

		ids[i - 1] = ids[j];
		ids[j] = id;
	}
	return n;
}

static void some_node_fails(struct bed *bed)
{
	(void)bed;
	change_node();
}

static void run_some(void)
{
	struct uuid ids[64];
	unsigned n = due(ids, 1 + dice(8));

	if (chance(10)) {
		b.before_apply = some_node_fails;
	}
	b.reject = chance(3);
	if (n > 0) {
		bed_run_together(&b, ids, n);
	}
	b.before_apply = NULL;
	b.reject = 0;
}

/* Every evaluation that could run has ended, or waits for room and says for what. */
static void check_evals(void)
{
	const struct eval_row *row;
	struct rows r;

	rows_evals(&r, b.v, NULL);
	while ((row = eval_next(&r)) != NULL) {
		if (row->status == EVAL_STATUS_PENDING) {
			assert_true(row->wait_until_ns > b.now);
		} else if (row->status == EVAL_STATUS_BLOCKED) {
			struct evaluation e;

			assert_int_equal(eval_row_get(row, &e, &b.mem), 0);
			assert_true(e.snapshot_index > 0);
			assert_true(e.status_description[0] != 0);
		}
	}
}

/* ---- one step ---- */

static void step(void)
{
	unsigned job = dice(JOBS);

	switch (dice(20)) {
	case 0:
	case 1:
		change_job(job);
		break;
	case 2:
		if (chance(30)) {
			end_job(job);
		}
		break;
	case 3:
		add_node();
		break;
	case 4:
		change_node();
		break;
	case 5:
		migrate_some();
		break;
	case 6:
	case 7:
		watch_deployment(job, chance(90));
		break;
	case 8:
	case 9:
		bed_wait(&b, (int64_t)dice(60) * SECOND);
		break;
	case 10:
		if (chance(10)) {
			collect();
		}
		break;
	case 11:
	case 12:
	case 13:
	case 14:
		report_some(job);
		break;
	default:
		run_some();
	}
	if (b.mem.total > 50 << 20) {
		arena_close(&b.mem);
	}
}

/* ---- quiet times ---- */

static void calm_nodes(void)
{
	const struct node_row *at[NODES_MAX + 1];
	struct uuid ids[NODES_MAX + 1];
	unsigned n = node_list(at, NODES_MAX + 1);
	unsigned i;

	for (i = 0; i < n; i++) {
		ids[i] = at[i]->id;
	}
	for (i = 0; i < n; i++) {
		bed_node_status(&b, &ids[i], NODE_STATUS_READY);
		undrain(&ids[i]);
	}
	for (i = 0; i < 6; i++) {
		bed_node(&b,
			 bed_json(&b,
				  "{'NodeResources':{'Cpu':{'CpuShares':900000,'TotalCpuCores':16,'ReservableCpuCores':"
				  "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]},'Memory':{'MemoryMB':900000},"
				  "'Disk':{'DiskMB':10000000},'Networks':[{'IP':'10.0.0.1'}]},'Meta':{'rack':'q%u'}}",
				  i));
	}
}

static bool has_gone_wrong(const struct alloc_row *row)
{
	return row->client == ALLOC_CLIENT_FAILED;
}

/* All that runs is well. */
static void calm_allocs(unsigned job)
{
	struct alloc_list *list = bed_allocs(&b, job_name(job), BED_LIVE);
	struct uuid ids[400];
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < list->n && n < 400; i++) {
		if ((list->at[i]->flags & ALLOC_HEALTHY) == 0 || list->at[i]->client != ALLOC_CLIENT_RUNNING) {
			ids[n++] = list->at[i]->id;
		}
	}
	for (i = 0; i < n; i++) {
		bed_report_health(&b, &ids[i], ALLOC_CLIENT_RUNNING, true);
	}
}

/* A job that nothing stands in the way of is as it was registered. */
static void check_service(unsigned i)
{
	const struct job_row *row = state_job(b.v, "default", job_name(i));
	const struct alloc_list *live = bed_allocs(&b, job_name(i), BED_LIVE);
	struct job job;
	uint32_t g;
	unsigned k;

	assert_int_equal(job_row_get(row, &job, &b.mem), 0);
	for (g = 0; g < job.task_groups.n; g++) {
		bool seen[16] = {false};
		unsigned n = 0;

		for (k = 0; k < live->n; k++) {
			if (strcmp(alloc_row_group(live->at[k]), job.task_groups.at[g].name) == 0) {
				assert_in_range(live->at[k]->index, 0, 15);
				assert_false(seen[live->at[k]->index]);
				seen[live->at[k]->index] = true;
				assert_int_equal(live->at[k]->job->version, row->version);
				n++;
			}
		}
		assert_int_equal(n, job.task_groups.at[g].count);
	}
	for (k = 0; k < live->n; k++) {
		assert_true(job_row_group_find(row, alloc_row_group(live->at[k])) >= 0);
	}
}

/* A new version of everything, and nothing in its way. */
static unsigned quiet(void)
{
	unsigned checked = 0;
	unsigned i;
	unsigned round;

	calm_nodes();
	for (i = 0; i < JOBS; i++) {
		change_job(i);
	}
	for (round = 0; round < 40; round++) {
		bed_run(&b);
		bed_unblock(&b);
		for (i = 0; i < JOBS; i++) {
			calm_allocs(i);
			watch_deployment(i, true);
			bed_evaluate(&b, job_name(i), false);
		}
		bed_wait(&b, 130 * SECOND);
	}
	bed_run(&b);
	bed_unblock(&b);
	bed_check(&b);
	check_evals();
	for (i = 0; i < JOBS; i++) {
		const char *type = job_type_of(i);

		if (strcmp(type, "service") == 0) {
			struct alloc_list *list = bed_allocs(&b, job_name(i), BED_ALL);
			bool wrong = bed_find_eval(&b, job_name(i), EVAL_STATUS_BLOCKED) != NULL;
			unsigned k;

			for (k = 0; k < list->n; k++) {
				wrong |= has_gone_wrong(list->at[k]) && list->at[k]->desired == ALLOC_DESIRED_RUN;
			}
			if (!wrong) {
				check_service(i);
				checked++;
			}
		}
	}
	return checked;
}

static void configure(void)
{
	struct preemption_config preemption = {
		.system = chance(80), .sysbatch = chance(50), .batch = chance(50), .service = chance(50)};
	struct scheduler_config config;
	struct scheduler_config_put p;

	object_init(&scheduler_config_type, &config);
	object_init(&scheduler_config_put_type, &p);
	config.algorithm = chance(30) ? "spread" : "binpack";
	config.memory_oversubscription = chance(50);
	config.preemption = &preemption;
	p.config = &config;
	bed_apply(&b, COMMAND_SCHEDULER_CONFIG, &p);
	assert_int_equal(b.result.status, 0);
}

static void live(uint64_t seed, unsigned steps)
{
	unsigned checked;
	unsigned i;

	printf("seed %llu\n", (unsigned long long)seed);
	rng = seed;
	b.seed = seed;
	b.two = chance(50);
	b.quick = true;
	b.each_plan = true;
	configure();
	for (i = 0; i < NODES_MIN; i++) {
		add_node();
	}
	for (i = 0; i < steps; i++) {
		step();
		if (i % 25 == 0) {
			bed_run(&b);
			bed_check(&b);
			check_evals();
		}
	}
	checked = quiet();
	printf("%u evaluations, %u partly refused, %zu allocations, %u services came right\n", b.evals_run, b.refused,
	       view_count(b.v, TABLE_ALLOCS), checked);
	assert_true(checked > 0);
}

static uint64_t first_seed(void)
{
	const char *text = getenv("SEED");

	return text != NULL ? strtoull(text, NULL, 10) : 1;
}

static unsigned steps(void)
{
	const char *text = getenv("STEPS");

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 3400;
}

CASE(one_life)
{
	live(first_seed(), steps());
}

CASE(another_life)
{
	live(first_seed() + 1, steps());
}

CASE(a_third_life)
{
	live(first_seed() + 2, steps());
}

#define CASES(X)                                                                                                       \
	X(one_life)                                                                                                    \
	X(another_life)                                                                                                \
	X(a_third_life)
RUN_CASES(CASES)
