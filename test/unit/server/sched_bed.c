#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/sched_bed.h"

/* A run between two steps, with the view that it needs. */
struct under_way {
	struct sched *s;
	struct sched_run *run;
	const struct view *v;
	enum sched_step step;
};

static int64_t clock_ns(void *ctx)
{
	static int64_t ticks;

	(void)ctx;
	return ++ticks;
}

static void changed(void *ctx, const struct change *changes, size_t n)
{
	struct bed *b = ctx;

	view_release(b->v);
	b->v = state_view(&b->state);
	news_add(&b->news, changes, n);
	news_add(&b->second_news, changes, n);
	applier_changed(&b->applier, b->v, changes, n);
}

void bed_open(struct bed *b)
{
	const struct sched_env env = {.clock_ns = clock_ns};

	*b = (struct bed){.now = INT64_C(1700000000) * SECOND, .seed = 1};
	state_init(&b->state);
	fsm_init(&b->fsm, &b->state, NULL, changed, b);
	b->v = state_view(&b->state);
	applier_init(&b->applier);
	sched_init(&b->sched, &env);
	sched_init(&b->second, &env);
	b->news.all = b->second_news.all = true;
}

void bed_close(struct bed *b)
{
	while (b->n_under_way > 0) {
		view_release(b->under_way[--b->n_under_way].v);
	}
	applier_close(&b->applier);
	sched_close(&b->sched);
	sched_close(&b->second);
	news_close(&b->news);
	news_close(&b->second_news);
	view_release(b->v);
	fsm_close(&b->fsm);
	state_close(&b->state);
	batch_close(&b->batch);
	buf_close(&b->command);
	arena_close(&b->mem);
}

static struct uuid new_id(struct bed *b)
{
	const struct uuid family = {{(uint8_t)b->seed, (uint8_t)(b->seed >> 8), 7}};

	return uuid_derive(&family, ++b->ids);
}

static const char *id_text(struct bed *b, const struct uuid *id)
{
	char *text = arena_alloc(&b->mem, UUID_TEXT);

	uuid_format(id, text);
	return text;
}

static void apply_encoded(struct bed *b, const void *command, size_t len)
{
	struct uuid seed = new_id(b);

	batch_reset(&b->batch);
	assert_int_equal(batch_add(&b->batch, command, len, b->now, &seed), 0);
	assert_int_equal(fsm_apply(&b->fsm, b->batch.entry.at, b->batch.entry.len, &b->result), 0);
}

const struct apply_result *bed_apply(struct bed *b, enum command type, const void *payload)
{
	struct buf command = {0};

	assert_int_equal(command_encode(type, payload, &command), 0);
	apply_encoded(b, command.at, command.len);
	buf_close(&command);
	return &b->result;
}

/* ---- json ---- */

const char *bed_json(struct bed *b, const char *format, ...)
{
	char text[65536];
	va_list args;
	char *at;

	va_start(args, format);
	assert_in_range(vsnprintf(text, sizeof(text), format, args), 0, sizeof(text) - 1);
	va_end(args);
	for (at = text; *at != 0; at++) {
		*at = *at == '\'' ? '"' : *at;
	}
	return arena_strdup(&b->mem, text);
}

static void decode(struct bed *b, const struct type *t, void *out, const char *json)
{
	struct fault fault = {"", ""};
	const char *text = bed_json(b, "%s", json);

	if (json_decode(t, out, text, strlen(text), &b->mem, &fault) != 0) {
		fail_msg("%s\n%s: %s", text, fault.path, fault.why);
	}
}

/* ---- nodes ---- */

static const char node_base[] =
	"'Name':'node','Status':'ready','Attributes':{'kernel.name':'linux','arch':'amd64','driver.raw_exec':'1'},"
	"'NodeResources':{'Cpu':{'CpuShares':4000,'TotalCpuCores':4,'ReservableCpuCores':[0,1,2,3]},"
	"'Memory':{'MemoryMB':8000},'Disk':{'DiskMB':100000},'Networks':[{'Mode':'host','IP':'10.0.0.1'}]},"
	"'Drivers':{'raw_exec':{'Detected':true,'Healthy':true},'mock_driver':{'Detected':true,'Healthy':true},"
	"'sick':{'Detected':true,'Healthy':false}}";

struct uuid bed_node(struct bed *b, const char *json)
{
	struct node node;
	struct node_register p = {&node};
	struct uuid id = new_id(b);
	size_t len = strlen(json);

	assert_true(json[0] == '{' && json[len - 1] == '}');
	decode(b, &node_type, &node,
	       bed_json(b, "{%s,'ID':'%s','SecretID':'s','Datacenter':'dc1'%s%s", node_base, id_text(b, &id),
			len > 2 ? "," : "", json + 1));
	if (node.computed_class[0] == 0) {
		node.computed_class = bed_json(b, "v1:%s:%s", node.datacenter, node.node_class);
	}
	bed_apply(b, COMMAND_NODE_REGISTER, &p);
	assert_int_equal(b->result.status, 0);
	return id;
}

struct uuid bed_node_sized(struct bed *b, int cpu_mhz, int memory_mb)
{
	return bed_node(b, bed_json(b,
				    "{'NodeResources':{'Cpu':{'CpuShares':%d},'Memory':{'MemoryMB':%d},"
				    "'Disk':{'DiskMB':100000}}}",
				    cpu_mhz, memory_mb));
}

void bed_node_status(struct bed *b, const struct uuid *id, enum node_status status)
{
	struct node_status_update p;

	object_init(&node_status_update_type, &p);
	p.id = uuid_bytes(id);
	p.status = status;
	bed_apply(b, COMMAND_NODE_STATUS, &p);
	assert_int_equal(b->result.status, 0);
}

void bed_node_eligible(struct bed *b, const struct uuid *id, bool eligible)
{
	struct node_eligibility p;

	object_init(&node_eligibility_type, &p);
	p.id = uuid_bytes(id);
	p.eligible = eligible;
	bed_apply(b, COMMAND_NODE_ELIGIBILITY, &p);
	assert_int_equal(b->result.status, 0);
}

void bed_node_drain(struct bed *b, const struct uuid *id)
{
	struct drain_strategy strategy = {.deadline = 3600 * SECOND};
	struct node_drain p;

	object_init(&node_drain_type, &p);
	p.id = uuid_bytes(id);
	p.strategy = &strategy;
	bed_apply(b, COMMAND_NODE_DRAIN, &p);
	assert_int_equal(b->result.status, 0);
}

void bed_node_purge(struct bed *b, const struct uuid *id)
{
	struct id_ref ref = {uuid_bytes(id)};
	struct nodes_delete p;

	p.nodes.at = &ref;
	p.nodes.n = 1;
	bed_apply(b, COMMAND_NODES_DELETE, &p);
	assert_int_equal(b->result.count, 1);
}

/* ---- jobs ---- */

struct job *bed_job(struct bed *b, const char *json)
{
	struct job *job = arena_alloc(&b->mem, sizeof(*job));
	struct buf why = {0};

	decode(b, &job_type, job, json);
	assert_int_equal(job_canonicalize(job, &b->mem), 0);
	if (!job_validate(job, &why)) {
		fail_msg("%s", buf_text(&why));
	}
	buf_close(&why);
	return job;
}

struct uuid bed_register(struct bed *b, const char *json)
{
	struct job_register p;

	assert_int_equal(job_register_fill(&p, bed_job(b, json), &b->mem), 0);
	bed_apply(b, COMMAND_JOB_REGISTER, &p);
	if (b->result.status != 0) {
		fail_msg("%s", b->result.text);
	}
	return b->result.eval_id;
}

const char *bed_simple(struct bed *b, const char *id, const char *type, int count, const char *group, const char *more)
{
	return bed_json(b,
			"{'ID':'%s','Name':'%s','Type':'%s','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Count':%d,"
			"'EphemeralDisk':{'SizeMB':10},'Tasks':[{'Name':'t','Driver':'raw_exec',"
			"'Config':{'command':'/bin/sleep','args':['600']},'Resources':{'CPU':100,'MemoryMB':100},"
			"'LogConfig':{'MaxFiles':1,'MaxFileSizeMB':1}}]%s}]%s}",
			id, id, type, count, group, more);
}

struct uuid bed_register_simple(struct bed *b, const char *id, const char *type, int count, const char *group,
				const char *more)
{
	return bed_register(b, bed_simple(b, id, type, count, group, more));
}

struct uuid bed_stop(struct bed *b, const char *id)
{
	struct job_deregister p;

	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = id;
	bed_apply(b, COMMAND_JOB_DEREGISTER, &p);
	assert_int_equal(b->result.status, 0);
	return b->result.eval_id;
}

struct uuid bed_evaluate(struct bed *b, const char *id, bool force)
{
	struct job_evaluate p;

	object_init(&job_evaluate_type, &p);
	p.namespace_ = "default";
	p.id = id;
	p.force_reschedule = force;
	bed_apply(b, COMMAND_JOB_EVALUATE, &p);
	assert_int_equal(b->result.status, 0);
	return b->result.eval_id;
}

/* ---- running ---- */

static void take_news(struct bed *b)
{
	sched_news(&b->sched, b->v, &b->news);
	assert_int_equal(b->news.n, 0);
	if (b->two) {
		sched_news(&b->second, b->v, &b->second_news);
	}
}

/* Send what the applier has ready. */
static void apply_plans(struct bed *b)
{
	struct plan_step step;

	while (applier_ready(&b->applier)) {
		if (!applier_next(&b->applier, b->v, &step)) {
			continue;
		}
		if (b->before_apply != NULL) {
			void (*before)(struct bed *) = b->before_apply;

			b->before_apply = NULL;
			before(b);
		}
		if (b->reject > 0) {
			b->reject--;
			applier_applied(&b->applier, &step, ERR_NOTLEADER, NULL);
		} else {
			apply_encoded(b, step.command, step.len);
			assert_int_equal(b->result.status, 0);
			applier_applied(&b->applier, &step, 0, &b->result);
		}
	}
}

static void begin(struct bed *b, struct under_way *u, const struct uuid *eval)
{
	struct uuid seed = new_id(b);

	take_news(b);
	u->s = b->two && b->evals_run % 2 == 1 ? &b->second : &b->sched;
	u->v = state_view(&b->state);
	u->step = sched_begin(u->s, u->v, eval, b->now, &seed, &u->run);
	b->evals_run++;
}

static void submit(struct bed *b, struct under_way *u)
{
	if (u->step == SCHED_SUBMIT) {
		u->run->plan->ctx = u;
		applier_submit(&b->applier, u->run->plan);
	}
}

static void resume(struct bed *b, struct under_way *u)
{
	const struct view *old = u->v;
	struct uuid seed = new_id(b);

	b->refused += u->run->plan->refused > 0;
	take_news(b);
	u->v = state_view(&b->state);
	u->step = sched_resume(u->s, u->run, u->v, b->now, &seed);
	view_release(old);
}

static void end(struct under_way *u)
{
	sched_end(u->s, u->run);
	view_release(u->v);
}

/* Play on until no plan is under way. */
static void play(struct bed *b)
{
	struct plan *plan;

	do {
		apply_plans(b);
		while ((plan = applier_done(&b->applier)) != NULL) {
			struct under_way *u = plan->ctx;

			resume(b, u);
			submit(b, u);
		}
	} while (applier_ready(&b->applier));
}

void bed_run_together(struct bed *b, const struct uuid *evals, unsigned n)
{
	struct under_way *all = calloc(n, sizeof(all[0]));
	unsigned i;

	b->under_way = all;
	for (i = 0; i < n; i++) {
		begin(b, &all[i], &evals[i]);
		b->n_under_way++;
	}
	for (i = 0; i < n; i++) {
		submit(b, &all[i]);
	}
	play(b);
	for (i = 0; i < n; i++) {
		assert_int_equal(all[i].step, SCHED_DONE);
	}
	for (i = 0; i < n; i++) {
		end(&all[i]);
	}
	b->n_under_way = 0;
	free(all);
	take_news(b);
	assert_int_equal(b->sched.nodes.n_claims + b->second.nodes.n_claims, 0);
	assert_int_equal(b->applier.nodes.n_claims, 0);
	if (!b->quick) {
		bed_check(b);
	} else if (b->each_plan) {
		bed_check_plans(b);
	}
}

void bed_run_eval(struct bed *b, const struct uuid *id)
{
	bed_run_together(b, id, 1);
}

static const struct eval_row *next_due(struct bed *b)
{
	const struct eval_row *best = NULL;
	const struct eval_row *row;
	struct rows r;

	rows_evals(&r, b->v, NULL);
	while ((row = eval_next(&r)) != NULL) {
		if (row->status != EVAL_STATUS_PENDING || row->wait_until_ns > b->now) {
			continue;
		}
		if (best == NULL || row->priority > best->priority ||
		    (row->priority == best->priority && row->create_index < best->create_index)) {
			best = row;
		}
	}
	return best;
}

void bed_run(struct bed *b)
{
	const struct eval_row *row;
	unsigned n = 0;

	while ((row = next_due(b)) != NULL) {
		struct uuid id = row->id;

		bed_run_eval(b, &id);
		assert_in_range(++n, 1, 10000);
	}
}

void bed_unblock(struct bed *b)
{
	struct uuid ids[1000];
	const struct eval_row *row;
	struct rows r;
	unsigned n = 0;
	unsigned i;

	rows_evals(&r, b->v, NULL);
	while ((row = eval_next(&r)) != NULL) {
		if (row->status == EVAL_STATUS_BLOCKED) {
			assert_in_range(n, 0, 999);
			ids[n++] = row->id;
		}
	}
	for (i = 0; i < n; i++) {
		bed_run_eval(b, &ids[i]);
	}
	bed_run(b);
}

void bed_wait(struct bed *b, int64_t ns)
{
	b->now += ns;
}

/* ---- allocations ---- */

static int by_index(const void *a, const void *b)
{
	const struct alloc_row *x = *(const struct alloc_row *const *)a;
	const struct alloc_row *y = *(const struct alloc_row *const *)b;

	if (x->index != y->index) {
		return x->index < y->index ? -1 : 1;
	}
	return memcmp(x->job_serial, y->job_serial, sizeof(x->job_serial));
}

struct alloc_list *bed_allocs(struct bed *b, const char *job, enum bed_which which)
{
	static struct alloc_list list;
	const struct job_row *row = state_job(b->v, "default", job);
	const struct alloc_row *alloc;
	struct rows r;

	list.n = 0;
	if (row == NULL) {
		return &list;
	}
	rows_allocs_of_job(&r, b->v, row);
	while ((alloc = alloc_next(&r)) != NULL) {
		if (which == BED_ALL || alloc_row_terminal(alloc) == (which == BED_STOPPED)) {
			assert_in_range(list.n, 0, 19999);
			list.at[list.n++] = alloc;
		}
	}
	qsort(list.at, list.n, sizeof(list.at[0]), by_index);
	return &list;
}

unsigned bed_count(struct bed *b, const char *job, enum bed_which which)
{
	return bed_allocs(b, job, which)->n;
}

const struct alloc_row *bed_alloc(struct bed *b, const char *job, unsigned index)
{
	const struct alloc_list *list = bed_allocs(b, job, BED_LIVE);
	unsigned i;

	for (i = 0; i < list->n; i++) {
		if (list->at[i]->index == index) {
			return list->at[i];
		}
	}
	return NULL;
}

struct alloc_server *bed_server(struct bed *b, const struct alloc_row *row)
{
	struct alloc_server *server = arena_alloc(&b->mem, sizeof(*server));

	assert_int_equal(alloc_row_server(row, server, &b->mem), 0);
	return server;
}

const char *bed_description(struct bed *b, const struct alloc_row *row)
{
	return bed_server(b, row)->desired_description;
}

static void report(struct bed *b, const struct uuid *id, enum alloc_client status, struct opt healthy)
{
	struct alloc_update update;
	struct alloc_deployment_status health;
	struct task_state state;
	const char *name = "t";
	struct alloc_report r;
	struct alloc_reports p;

	object_init(&alloc_update_type, &update);
	object_init(&task_state_type, &state);
	object_init(&alloc_deployment_status_type, &health);
	update.id = id_text(b, id);
	update.client_status = alloc_client_text((int)status);
	state.state = status == ALLOC_CLIENT_RUNNING ? "running" : status == ALLOC_CLIENT_PENDING ? "pending" : "dead";
	state.failed = status == ALLOC_CLIENT_FAILED;
	state.finished_at = status == ALLOC_CLIENT_FAILED || status == ALLOC_CLIENT_COMPLETE ? b->now : 0;
	update.task_states.keys = &name;
	update.task_states.at = &state;
	update.task_states.n = 1;
	health.healthy = healthy;
	health.timestamp = b->now;
	if (healthy.set) {
		update.deployment_status = &health;
	}
	assert_int_equal(alloc_report_fill(&r, &update, &b->mem), 0);
	p.reports.at = &r;
	p.reports.n = 1;
	bed_apply(b, COMMAND_ALLOC_REPORTS, &p);
	assert_int_equal(b->result.status, 0);
}

void bed_report(struct bed *b, const struct uuid *id, enum alloc_client status)
{
	report(b, id, status, (struct opt){0});
}

void bed_report_health(struct bed *b, const struct uuid *id, enum alloc_client status, bool healthy)
{
	report(b, id, status, (struct opt){healthy, true});
}

void bed_report_all(struct bed *b, const char *job, enum alloc_client status)
{
	struct alloc_list *list = bed_allocs(b, job, BED_LIVE);
	struct uuid *ids = calloc(list->n + 1, sizeof(ids[0]));
	unsigned n = list->n;
	unsigned i;

	for (i = 0; i < n; i++) {
		ids[i] = list->at[i]->id;
	}
	for (i = 0; i < n; i++) {
		bed_report(b, &ids[i], status);
	}
	free(ids);
}

void bed_transition(struct bed *b, const struct uuid *id, const struct desired_transition *t, enum eval_trigger trigger)
{
	struct alloc_transition one = {uuid_bytes(id), (struct desired_transition *)(uintptr_t)t};
	struct alloc_transitions p;

	object_init(&alloc_transitions_type, &p);
	p.allocs.at = &one;
	p.allocs.n = 1;
	p.trigger = trigger;
	bed_apply(b, COMMAND_ALLOC_TRANSITIONS, &p);
	assert_int_equal(b->result.status, 0);
}

void bed_migrate(struct bed *b, const struct uuid *id)
{
	const struct desired_transition t = {.migrate = {1, true}};

	bed_transition(b, id, &t, EVAL_TRIGGER_NODE_DRAIN);
}

/* ---- evaluations and deployments ---- */

struct evaluation *bed_eval(struct bed *b, const struct uuid *id)
{
	struct evaluation *e = arena_alloc(&b->mem, sizeof(*e));
	struct evaluation *copy = arena_alloc(&b->mem, sizeof(*e));
	const struct eval_row *row = state_eval(b->v, id);

	assert_non_null(row);
	assert_int_equal(eval_row_get(row, e, &b->mem), 0);
	assert_int_equal(object_copy(&evaluation_type, copy, e, &b->mem), 0);
	return copy;
}

static const struct eval_row *find_eval(struct bed *b, const char *job, enum eval_status status, unsigned *n)
{
	const struct eval_row *found = NULL;
	const struct eval_row *row;
	struct rows r;

	*n = 0;
	rows_evals_of_job(&r, b->v, "default", job);
	while ((row = eval_next(&r)) != NULL) {
		if (row->status == status) {
			found = row;
			++*n;
		}
	}
	return found;
}

const struct eval_row *bed_find_eval(struct bed *b, const char *job, enum eval_status status)
{
	unsigned n;

	return find_eval(b, job, status, &n);
}

unsigned bed_count_evals(struct bed *b, const char *job, enum eval_status status)
{
	unsigned n;

	find_eval(b, job, status, &n);
	return n;
}

struct alloc_metric *bed_failed(struct bed *b, const struct uuid *eval, const char *group)
{
	struct evaluation *e = bed_eval(b, eval);
	uint32_t i;

	for (i = 0; i < e->failed_tg_allocs.n; i++) {
		if (strcmp(e->failed_tg_allocs.keys[i], group) == 0) {
			return &e->failed_tg_allocs.at[i];
		}
	}
	return NULL;
}

int64_t bed_number(const struct intmap *map, const char *key)
{
	uint32_t i;

	for (i = 0; i < map->n; i++) {
		if (strcmp(map->at[i].key, key) == 0) {
			return map->at[i].value;
		}
	}
	return -1;
}

struct deployment *bed_deployment(struct bed *b, const char *job)
{
	const struct deployment_row *row = state_latest_deployment(b->v, "default", job);
	struct deployment *d = arena_alloc(&b->mem, sizeof(*d));

	if (row == NULL) {
		return NULL;
	}
	assert_int_equal(deployment_row_get(row, d, &b->mem), 0);
	return d;
}

void bed_promote(struct bed *b, const struct uuid *deployment)
{
	struct deployment_promote p;

	object_init(&deployment_promote_type, &p);
	p.id = uuid_bytes(deployment);
	bed_apply(b, COMMAND_DEPLOYMENT_PROMOTE, &p);
	if (b->result.status != 0) {
		fail_msg("%s", b->result.text);
	}
}

void bed_deployment_status(struct bed *b, const struct uuid *deployment, enum deployment_status status)
{
	struct deployment_change p;

	object_init(&deployment_change_type, &p);
	p.id = uuid_bytes(deployment);
	p.status = status;
	p.verb = "change";
	p.eval = true;
	bed_apply(b, COMMAND_DEPLOYMENT_STATUS, &p);
	assert_int_equal(b->result.status, 0);
}

/* ---- what must always hold ---- */

/* What only one allocation of a node may have. */
struct sole {
	struct uuid node;
	char kind;        /* Port, core or device instance. */
	const char *text; /* The port's address; device and instance. */
	int64_t number;   /* The port; the core. */
};

static int by_sole(const void *a, const void *b)
{
	const struct sole *x = a;
	const struct sole *y = b;
	int rv = memcmp(&x->node, &y->node, sizeof(x->node));

	if (rv == 0) {
		rv = x->kind - y->kind;
	}
	if (rv == 0) {
		rv = strcmp(x->text, y->text);
	}
	return rv != 0 ? rv : (x->number > y->number) - (x->number < y->number);
}

static void check_node(struct bed *b, const struct node_row *node)
{
	struct use sum = {0};
	const struct alloc_row *row;
	struct rows r;

	rows_allocs_of_node(&r, b->v, &node->id);
	while ((row = alloc_next(&r)) != NULL) {
		struct use u = alloc_row_use(row);

		use_add(&sum, &u, 1);
	}
	assert_true(sum.cpu_mhz <= (int64_t)node->cpu_mhz - node->reserved_cpu_mhz);
	assert_true(sum.memory_mb <= (int64_t)node->memory_mb - node->reserved_memory_mb);
	assert_true(sum.disk_mb <= (int64_t)node->disk_mb - node->reserved_disk_mb);
}

static void check_picture(struct bed *b, const struct nodes *nodes, const struct node_row *node)
{
	uint32_t slot = nodes_find(nodes, &node->id);
	struct use sum = {0};
	const struct alloc_row *row;
	struct rows r;

	if (slot == NODE_NONE) {
		assert_false(nodes->facts);
		return;
	}
	rows_allocs_of_node(&r, b->v, &node->id);
	while ((row = alloc_next(&r)) != NULL) {
		struct use u = alloc_row_use(row);

		use_add(&sum, &u, 1);
	}
	assert_memory_equal(&nodes->at[slot].used, &sum, sizeof(sum));
	assert_int_equal((nodes->at[slot].flags & NODE_AT_READY) != 0, node_row_ready(node));
}

static void check_nodes(struct bed *b)
{
	const struct node_row *node;
	struct rows r;

	rows_nodes(&r, b->v, NULL);
	while ((node = node_next(&r)) != NULL) {
		check_node(b, node);
		check_picture(b, &b->sched.nodes, node);
		if (b->two) {
			check_picture(b, &b->second.nodes, node);
		}
		check_picture(b, &b->applier.nodes, node);
	}
	assert_int_equal(b->sched.nodes.n_used, view_count(b->v, TABLE_NODES));
}

struct soles {
	struct sole *at;
	uint32_t n;
	uint32_t cap;
};

static void sole_add(struct soles *s, const struct alloc_row *row, char kind, const char *text, int64_t number)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 64 : s->cap * 2;
		s->at = reallocarray(s->at, s->cap, sizeof(s->at[0]));
	}
	s->at[s->n++] = (struct sole){row->node_id, kind, text, number};
}

static void soles_of(struct soles *s, const struct alloc_row *row, struct arena *mem)
{
	struct alloc_server server;
	struct holds holds;
	uint32_t i;

	assert_int_equal(alloc_row_server(row, &server, mem), 0);
	for (i = 0; i < server.ports.n; i++) {
		sole_add(s, row, 'p', server.ports.at[i].host_ip, server.ports.at[i].value);
	}
	alloc_server_holds(&server, &holds, mem);
	for (i = 0; i < holds.n_cores; i++) {
		sole_add(s, row, 'c', "", holds.cores[i]);
	}
	for (i = 0; i < holds.n_devices; i++) {
		const struct device_hold *d = &holds.devices[i];

		sole_add(s, row, 'd', arena_printf(mem, "%s/%s", d->device, d->instance), 0);
	}
}

/* Ports, cores and devices are given once. */
static void check_soles(struct bed *b)
{
	struct arena mem = {0};
	struct soles all = {0};
	const struct alloc_row *row;
	struct rows r;
	uint32_t i;

	rows_allocs(&r, b->v, NULL);
	while ((row = alloc_next(&r)) != NULL) {
		if (!alloc_row_terminal(row) && row->server != NULL) {
			soles_of(&all, row, &mem);
		}
	}
	if (all.n > 0) {
		qsort(all.at, all.n, sizeof(all.at[0]), by_sole);
	}
	for (i = 1; i < all.n; i++) {
		if (by_sole(&all.at[i - 1], &all.at[i]) == 0) {
			fail_msg("given twice: %c %s %lld", all.at[i].kind, all.at[i].text, (long long)all.at[i].number);
		}
	}
	free(all.at);
	arena_close(&mem);
}

/* One of a name lives, apart from canaries and those whose node is out of sight (or back from there). */
static bool is_plain(const struct alloc_row *row)
{
	return !alloc_row_terminal(row) && (row->flags & (ALLOC_CANARY | ALLOC_REPLACED)) == 0 &&
	       row->client != ALLOC_CLIENT_UNKNOWN;
}

static void check_names(struct bed *b, const struct job_row *job)
{
	const struct alloc_list *list = bed_allocs(b, job_row_id(job), BED_LIVE);
	unsigned i;
	unsigned j;

	if (job->type != JOB_TYPE_SERVICE && job->type != JOB_TYPE_BATCH) {
		return;
	}
	for (i = 0; i < list->n; i++) {
		for (j = i + 1; j < list->n && list->at[j]->index == list->at[i]->index; j++) {
			bool same = strcmp(alloc_row_group(list->at[i]), alloc_row_group(list->at[j])) == 0;
			bool line = list->at[i]->job->version == list->at[j]->job->version;

			if (same && line && is_plain(list->at[i]) && is_plain(list->at[j])) {
				fail_msg("two live allocations %s.%s[%u]", job_row_id(job),
					 alloc_row_group(list->at[i]), list->at[i]->index);
			}
		}
	}
}

void bed_check_plans(struct bed *b)
{
	const struct job_row *job;
	struct rows r;

	check_nodes(b);
	check_soles(b);
	rows_jobs(&r, b->v, "default", "");
	while ((job = job_next(&r)) != NULL) {
		check_names(b, job);
	}
}

void bed_check(struct bed *b)
{
	take_news(b);
	assert_true(state_check(b->v));
	bed_check_plans(b);
}
