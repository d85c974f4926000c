#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/raft/kit.h"

void kit_open(struct kit *k)
{
	*k = (struct kit){.now = INT64_C(1700000000) * SECOND};
	state_init(&k->state);
	fsm_init(&k->fsm, &k->state, NULL, NULL, k);
	k->fsm.replace = kit_replace;
	k->v = state_view(&k->state);
}

void kit_close(struct kit *k)
{
	view_release(k->v);
	fsm_close(&k->fsm);
	state_close(&k->state);
	batch_close(&k->batch);
	buf_close(&k->last);
	arena_close(&k->mem);
}

struct uuid kit_id(struct kit *k)
{
	static const struct uuid family = {{42}};

	return uuid_derive(&family, ++k->seeds);
}

const char *kit_text(struct kit *k, const struct uuid *id)
{
	char *text = arena_alloc(&k->mem, UUID_TEXT);

	uuid_format(id, text);
	return text;
}

int kit_entry(struct kit *k, const void *entry, size_t len)
{
	int rv = fsm_apply(&k->fsm, entry, len, &k->result);

	view_release(k->v);
	k->v = state_view(&k->state);
	return rv;
}

const struct apply_result *kit_quick(struct kit *k, enum command type, const void *payload)
{
	struct uuid seed = kit_id(k);

	k->last.len = 0;
	assert_int_equal(command_encode(type, payload, &k->last), 0);
	batch_reset(&k->batch);
	assert_int_equal(batch_add(&k->batch, k->last.at, k->last.len, k->now, &seed), 0);
	k->now += SECOND;
	assert_int_equal(kit_entry(k, k->batch.entry.at, k->batch.entry.len), 0);
	return &k->result;
}

const struct apply_result *kit_apply(struct kit *k, enum command type, const void *payload)
{
	kit_quick(k, type, payload);
	assert_true(state_check(k->v));
	return &k->result;
}

/* ---- jobs ---- */

struct job *kit_json(struct kit *k, const char *json)
{
	struct job *job = arena_alloc(&k->mem, sizeof(*job));
	struct fault fault = {"", ""};

	if (json_decode(&job_type, job, json, strlen(json), &k->mem, &fault) != 0) {
		fail_msg("%s: %s", fault.path, fault.why);
	}
	return job;
}

struct job *kit_job(struct kit *k, const char *id, const char *type)
{
	return kit_json(k, arena_printf(&k->mem,
					"{\"ID\":\"%s\",\"Name\":\"%s\",\"Type\":\"%s\",\"Datacenters\":[\"dc1\"],"
					"\"TaskGroups\":[{\"Name\":\"g\",\"Count\":1,"
					"\"ReschedulePolicy\":{\"Attempts\":1},\"EphemeralDisk\":{\"SizeMB\":10},"
					"\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\","
					"\"Config\":{\"command\":\"/bin/sleep\",\"args\":[\"600\"]},"
					"\"Resources\":{\"CPU\":20,\"MemoryMB\":10},\"LogConfig\":{}}]}]}",
					id, id, type));
}

struct job_register *kit_registration(struct kit *k, const struct job *job)
{
	struct job_register *p = arena_alloc(&k->mem, sizeof(*p));

	assert_int_equal(job_register_fill(p, job, &k->mem), 0);
	return p;
}

const struct apply_result *kit_register(struct kit *k, const struct job *job)
{
	return kit_apply(k, COMMAND_JOB_REGISTER, kit_registration(k, job));
}

const struct apply_result *kit_deregister(struct kit *k, const char *id, bool purge)
{
	struct job_deregister p;

	object_init(&job_deregister_type, &p);
	p.namespace_ = "default";
	p.id = id;
	p.purge = purge;
	return kit_apply(k, COMMAND_JOB_DEREGISTER, &p);
}

const struct job_row *kit_find(const struct kit *k, const char *id)
{
	return state_job(k->v, "default", id);
}

const uint32_t *kit_counts(const struct kit *k, const char *id)
{
	return summary_row_counts(state_summary(k->v, "default", id), 0);
}

/* ---- evaluations ---- */

struct evaluation *kit_eval(struct kit *k, const struct uuid *id, const char *status, int queued)
{
	const struct eval_row *row = state_eval(k->v, id);
	struct evaluation *e = arena_alloc(&k->mem, sizeof(*e));
	struct int_pair *pair = arena_alloc(&k->mem, sizeof(*pair));

	assert_non_null(row);
	assert_int_equal(eval_row_get(row, e, &k->mem), 0);
	e->namespace_ = arena_strdup(&k->mem, e->namespace_); /* The row may go before the object does. */
	e->job_id = arena_strdup(&k->mem, e->job_id);
	e->status = status;
	if (queued >= 0) {
		*pair = (struct int_pair){"g", queued};
		e->queued_allocations = (struct intmap){pair, 1};
	}
	return e;
}

const struct apply_result *kit_put_eval(struct kit *k, const struct evaluation *e)
{
	struct eval_updates p;

	object_init(&eval_updates_type, &p);
	p.evals.at = (struct evaluation *)(uintptr_t)e;
	p.evals.n = 1;
	return kit_apply(k, COMMAND_EVALS, &p);
}

unsigned kit_evals(const struct kit *k, const char *job)
{
	struct rows r;
	unsigned n = 0;

	rows_evals_of_job(&r, k->v, "default", job);
	while (eval_next(&r) != NULL) {
		n++;
	}
	return n;
}

const struct eval_row *kit_newest_eval(const struct kit *k, const char *job)
{
	struct rows r;

	rows_evals_of_job(&r, k->v, "default", job);
	return eval_prev(&r);
}

/* ---- nodes ---- */

struct uuid kit_node(struct kit *k, const char *name)
{
	struct uuid id = kit_id(k);
	struct node_resources resources;
	struct node_memory memory;
	struct node_cpu cpu;
	struct node node;
	struct node_register p = {&node};

	object_init(&node_type, &node);
	object_init(&node_resources_type, &resources);
	object_init(&node_memory_type, &memory);
	object_init(&node_cpu_type, &cpu);
	cpu.cpu_shares = 4000;
	memory.memory_mb = 8000;
	resources.cpu = &cpu;
	resources.memory = &memory;
	node.node_resources = &resources;
	node.id = kit_text(k, &id);
	node.secret_id = "secret";
	node.name = name;
	node.datacenter = "dc1";
	node.status = "ready";
	kit_apply(k, COMMAND_NODE_REGISTER, &p);
	assert_int_equal(k->result.status, 0);
	return id;
}

const struct apply_result *kit_node_status(struct kit *k, const struct uuid *id, int status)
{
	struct node_status_update p;

	object_init(&node_status_update_type, &p);
	p.id = uuid_bytes(id);
	p.status = status;
	return kit_apply(k, COMMAND_NODE_STATUS, &p);
}

/* ---- plans ---- */

struct plan_result *kit_plan(struct kit *k, const char *job, const struct uuid *eval, const struct uuid *node,
			     unsigned n, struct uuid *ids)
{
	const struct job_row *row = kit_find(k, job);
	struct plan_result *p = arena_alloc(&k->mem, sizeof(*p));
	struct plan_metrics *metrics = arena_calloc(&k->mem, 1, sizeof(*metrics));
	struct plan_group *group = arena_alloc(&k->mem, sizeof(*group));
	unsigned i;

	object_init(&plan_result_type, p);
	object_init(&plan_group_type, group);
	*group = (struct plan_group){"g", 20, 10, 0, 10};
	metrics->packed = (struct bytes){(const uint8_t *)"\x81\x01\x03", 3}; /* NodesEvaluated: 3. */
	p->eval_id = uuid_bytes(eval);
	p->namespace_ = "default";
	p->job_id = job;
	p->job_create_index = row != NULL ? (int64_t)row->create_index : 0;
	p->job_version = row != NULL ? (int64_t)row->version : 0;
	p->groups.at = group;
	p->groups.n = 1;
	p->metrics.at = metrics;
	p->metrics.n = 1;
	p->places.at = arena_calloc(&k->mem, n, sizeof(struct plan_place));
	p->places.n = n;
	for (i = 0; i < n; i++) {
		ids[i] = kit_id(k);
		object_init(&plan_place_type, &p->places.at[i]);
		p->places.at[i].id = uuid_bytes(&ids[i]);
		p->places.at[i].node_id = uuid_bytes(node);
		p->places.at[i].index = i;
		p->places.at[i].metrics = 1;
	}
	return p;
}

const struct apply_result *kit_place(struct kit *k, const char *job, const struct uuid *eval, const struct uuid *node,
				     unsigned n, struct uuid *ids)
{
	return kit_apply(k, COMMAND_PLAN, kit_plan(k, job, eval, node, n, ids));
}

static const struct apply_result *report_update(struct kit *k, const struct alloc_update *update)
{
	struct alloc_reports p;
	struct alloc_report report;

	assert_int_equal(alloc_report_fill(&report, update, &k->mem), 0);
	object_init(&alloc_reports_type, &p);
	p.reports.at = &report;
	p.reports.n = 1;
	return kit_apply(k, COMMAND_ALLOC_REPORTS, &p);
}

const struct apply_result *kit_report(struct kit *k, const struct uuid *alloc, const char *status)
{
	struct alloc_update update;

	object_init(&alloc_update_type, &update);
	update.id = kit_text(k, alloc);
	update.client_status = status;
	update.client_description = status;
	return report_update(k, &update);
}

const struct apply_result *kit_serve(struct kit *k, const struct uuid *alloc, const char *name, int64_t port)
{
	const char *tags[] = {name, "a"};
	struct service_registration s;
	struct alloc_update update;

	object_init(&alloc_update_type, &update);
	object_init(&service_registration_type, &s);
	update.id = kit_text(k, alloc);
	update.client_status = "running";
	update.services.at = &s;
	update.services.n = 1;
	s.id = arena_printf(&k->mem, "_nomad-task-%s-group-g-%s-http", update.id, name);
	s.service_name = name;
	s.tags.at = tags;
	s.tags.n = 2;
	s.address = "127.0.0.1";
	s.port = port;
	s.datacenter = "dc1";
	return report_update(k, &update);
}

const struct apply_result *kit_stop_alloc(struct kit *k, const struct uuid *alloc, const char *why)
{
	struct plan_result p;
	struct plan_change change;

	object_init(&plan_result_type, &p);
	object_init(&plan_change_type, &change);
	change.id = uuid_bytes(alloc);
	change.desired = (struct opt){ALLOC_DESIRED_STOP, true};
	change.description = why;
	p.changes.at = &change;
	p.changes.n = 1;
	return kit_apply(k, COMMAND_PLAN, &p);
}

struct uuid kit_deployment(struct kit *k, const char *job, int64_t total, int64_t canaries)
{
	const struct job_row *row = kit_find(k, job);
	struct uuid id = kit_id(k);
	struct deployment_group group;
	struct deployment d;
	struct plan_result p;
	const char *key = "g";

	object_init(&plan_result_type, &p);
	object_init(&deployment_type, &d);
	object_init(&deployment_group_type, &group);
	group.desired_total = total;
	group.desired_canaries = canaries;
	group.progress_deadline = 100 * SECOND;
	d.id = kit_text(k, &id);
	d.namespace_ = "default";
	d.job_id = job;
	d.job_version = (int64_t)row->version;
	d.job_create_index = (int64_t)row->create_index;
	d.status = "running";
	d.status_description = "Deployment is running";
	d.task_groups.keys = &key;
	d.task_groups.at = &group;
	d.task_groups.n = 1;
	p.namespace_ = "default";
	p.job_id = job;
	p.job_create_index = d.job_create_index;
	p.job_version = d.job_version;
	p.deployment = &d;
	kit_apply(k, COMMAND_PLAN, &p);
	return id;
}

/* ---- snapshots ---- */

static int to_buf(void *ctx, const void *data, size_t len)
{
	struct buf *out = ctx;

	buf_put(out, data, len);
	return out->failed ? ERR_NOMEM : 0;
}

void kit_save(const struct kit *k, struct buf *out)
{
	assert_int_equal(persist_save(k->v, to_buf, out), 0);
}

struct source {
	const uint8_t *at;
	size_t left;
};

static int from_source(void *ctx, void *data, size_t len)
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

/* A state does not move: the kit's is emptied and loaded in its place. */
static void take(struct kit *k, struct source *source)
{
	view_release(k->v);
	state_close(&k->state);
	assert_int_equal(persist_load(&k->state, from_source, source), 0);
	fsm_replaced(&k->fsm, &k->state);
	k->v = state_view(&k->state);
}

void kit_replace(void *ctx, struct state *fresh)
{
	const struct view *v = state_view(fresh);
	struct buf b = {0};
	struct source source;

	assert_int_equal(persist_save(v, to_buf, &b), 0);
	view_release(v);
	state_close(fresh);
	free(fresh);
	source = (struct source){(const uint8_t *)b.at, b.len};
	take(ctx, &source);
	buf_close(&b);
}

int kit_load(struct kit *k, const void *data, size_t len)
{
	struct source source = {data, len};
	struct state fresh;
	int rv = persist_load(&fresh, from_source, &source);

	if (rv == 0) {
		state_close(&fresh);
		source = (struct source){data, len};
		take(k, &source);
	}
	return rv;
}
