/*
 * Allocations of simulated nodes, and what is told of them.
 *
 *     WAITING (start_block_for) --> RUNNING (run_for) --> COMPLETE or FAILED
 *                                    ^ \--> PAUSING (restart policy's delay, of services only)
 *                                    +--------+
 *
 * A stop ends them at once. Reports go as a client's do: the newest state of what changed, one report of a node at a
 * time, the next not before REPORT_GAP_MS after it.
 */
#include "test/bench/node_sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"

enum { REPORT_MAX = 64, REPORT_GAP_MS = 20, REPORT_RETRY_MS = 500, CALL_MS = 10000 };

#define MS INT64_C(1000000)
#define NEVER_MS (INT64_MAX / 4)

#define SIM_CONFIG_FIELDS(X, T)                                                                    \
	X(T, DUR, run_for, "run_for")                                                              \
	X(T, DUR, start_block_for, "start_block_for")                                              \
	X(T, STR, start_error, "start_error")                                                      \
	X(T, INT, exit_code, "exit_code")                                                          \
	X(T, INT, exit_signal, "exit_signal")                                                      \
	X(T, STR, exit_err_msg, "exit_err_msg")

OBJECT_DECLARE(sim_config, SIM_CONFIG_FIELDS);
OBJECT_DEFINE(sim_config, SIM_CONFIG_FIELDS);

/* What the allocations of a job's version and group have in common. */
struct spec {
	struct hash_link by_key;
	char *key;
	unsigned refs;
	bool service;  /* Starts again when it ends. */
	bool unable;   /* Does not start. */
	bool fails;    /* When it ends. */
	int exit_code;
	int64_t block_ms, run_ms, delay_ms;
	int64_t healthy_ms; /* So long after its start it is healthy; -1: that is not watched. */
	uint32_t n_tasks;
	char **tasks; /* In the order of maps. */
};

enum sim_alloc_state { STATE_WAITING, STATE_RUNNING, STATE_PAUSING, STATE_COMPLETE, STATE_FAILED };
enum verdict { VERDICT_NONE, VERDICT_GOOD, VERDICT_BAD };

struct sim_alloc {
	struct hash_link by_id;
	struct list link;   /* In its node's. */
	struct list report; /* In its node's dirty or sent, or alone. */
	struct due due;
	struct uuid id, deployment;
	struct sim_node *node;
	struct spec *spec;
	int64_t modify_index;
	int64_t since_ms; /* It is in this state, by the loop's clock. */
	int64_t started_ns, finished_ns, verdict_ns;
	uint32_t seen; /* In the node's n-th push. */
	uint32_t restarts;
	uint8_t state, verdict;
	bool canary;
};

/* ---- what they have in common ---- */

static uint64_t text_hash(const char *text)
{
	uint64_t hash = 14695981039346656037U;

	for (; *text != '\0'; text++) {
		hash = (hash ^ (uint8_t)*text) * 1099511628211U;
	}
	return hash;
}

static void out_of_memory(void)
{
	log_error("sim", "out of memory");
	abort();
}

static void *must(void *p)
{
	if (p == NULL) {
		out_of_memory();
	}
	return p;
}

static struct spec *spec_find(struct sim *sim, const char *key)
{
	struct hash_link *l;

	for (l = hash_first(&sim->specs, text_hash(key)); l != NULL; l = hash_next(l)) {
		struct spec *spec = CONTAINER_OF(l, struct spec, by_key);

		if (strcmp(spec->key, key) == 0) {
			return spec;
		}
	}
	return NULL;
}

static int64_t to_ms(int64_t ns)
{
	return ns <= 0 ? 0 : ns / MS;
}

static void add_task(struct spec *spec, const struct task *task, struct arena *mem)
{
	struct sim_config c;
	uint32_t k;

	for (k = spec->n_tasks; k > 0 && strcmp(spec->tasks[k - 1], task->name) > 0; k--) {
		spec->tasks[k] = spec->tasks[k - 1];
	}
	spec->tasks[k] = must(strdup(task->name));
	spec->n_tasks++;
	if (json_decode(&sim_config_type, &c, task->config, strlen(task->config), mem, NULL) != 0) {
		spec->unable = true;
		return;
	}
	spec->unable = spec->unable || c.start_error[0] != '\0' || strcmp(task->driver, "mock_driver") != 0;
	spec->fails = spec->fails || c.exit_code != 0 || c.exit_signal != 0 || c.exit_err_msg[0] != '\0';
	spec->exit_code = c.exit_code != 0 ? (int)c.exit_code : spec->exit_code;
	spec->block_ms = to_ms(c.start_block_for) > spec->block_ms ? to_ms(c.start_block_for) : spec->block_ms;
	spec->run_ms = to_ms(c.run_for) > spec->run_ms ? to_ms(c.run_for) : spec->run_ms;
}

/* Health by hand is for users to tell; checks of simulated nodes always pass. */
static int64_t healthy_after(const struct task_group *group)
{
	if (group->update != NULL && strcmp(group->update->health_check, "manual") == 0) {
		return -1;
	}
	return group->update == NULL ? 0 : to_ms(group->update->min_healthy_time.at);
}

static struct spec *spec_make(struct sim *sim, const struct job *job, const struct task_group *group, char *key)
{
	struct spec *spec = must(calloc(1, sizeof(*spec)));
	struct arena mem = {0};
	uint32_t i;

	spec->key = key;
	spec->service = strcmp(job->type, "service") == 0 || strcmp(job->type, "system") == 0;
	spec->delay_ms = group->restart_policy == NULL ? 0 : to_ms(group->restart_policy->delay.at);
	spec->healthy_ms = healthy_after(group);
	spec->tasks = must(calloc(group->tasks.n + 1, sizeof(*spec->tasks)));
	for (i = 0; i < group->tasks.n; i++) {
		add_task(spec, &group->tasks.at[i], &mem);
	}
	arena_close(&mem);
	hash_add(&sim->specs, &spec->by_key, text_hash(key));
	return spec;
}

/* NULL: the job has no such group. */
static struct spec *spec_get(struct sim *sim, const struct job *job, const char *group_name)
{
	const struct task_group *group = job == NULL ? NULL : job_group(job, group_name);
	struct spec *spec;
	struct buf key = {0};

	if (group == NULL) {
		return NULL;
	}
	buf_printf(&key, "%s\n%s\n%s\n%" PRId64 "\n%" PRId64, job->namespace_, job->id, group_name, job->version,
	           job->job_modify_index);
	if (key.failed) {
		out_of_memory();
	}
	spec = spec_find(sim, buf_text(&key));
	if (spec == NULL) {
		spec = spec_make(sim, job, group, must(strdup(buf_text(&key))));
	}
	buf_close(&key);
	spec->refs++;
	return spec;
}

static void spec_put(struct sim *sim, struct spec *spec)
{
	uint32_t i;

	if (--spec->refs > 0) {
		return;
	}
	hash_remove(&sim->specs, &spec->by_key);
	for (i = 0; i < spec->n_tasks; i++) {
		free(spec->tasks[i]);
	}
	free(spec->tasks);
	free(spec->key);
	free(spec);
}

/* ---- reports ---- */

static void report_cb(struct due *due);

void sim_report_soon(struct sim_node *n)
{
	int64_t now = sim_now_ms(n->sim);

	if (!list_empty(&n->dirty) && n->reporting.conn == NULL && !heap_has(&n->report.link)) {
		n->report.cb = report_cb;
		due_set(n->sim, &n->report, now > n->report_not_before_ms ? now : n->report_not_before_ms);
	}
}

static void tell(struct sim_alloc *a)
{
	list_remove(&a->report);
	list_insert(&a->node->dirty, &a->report);
	sim_report_soon(a->node);
}

static bool is_over(const struct sim_alloc *a)
{
	return a->state == STATE_COMPLETE || a->state == STATE_FAILED;
}

static void put_event(struct task_state *state, const char *type, const char *message, int64_t at_ns)
{
	struct task_event *e = &state->events.at[state->events.n++];

	object_init(&task_event_type, e);
	e->type = type;
	e->time = at_ns;
	e->message = message;
	e->display_message = message;
}

/* NULL: out of memory. */
static struct task_state *render_task(const struct sim_alloc *a, struct task_state *state, struct arena *mem)
{
	object_init(&task_state_type, state);
	state->events.at = arena_calloc(mem, 4, sizeof(*state->events.at));
	if (state->events.at == NULL) {
		return NULL;
	}
	state->state = is_over(a) ? "dead" : a->state == STATE_RUNNING ? "running" : "pending";
	state->failed = a->state == STATE_FAILED;
	state->restarts = a->restarts;
	state->last_restart = a->restarts > 0 ? a->started_ns : 0;
	state->started_at = a->started_ns;
	state->finished_at = a->finished_ns;
	if (a->started_ns > 0) {
		put_event(state, "Received", "Task received by client", a->started_ns);
		put_event(state, "Task Setup", "Building Task Directory", a->started_ns);
		put_event(state, "Started", "Task started by client", a->started_ns);
	}
	if (a->finished_ns > 0) {
		put_event(state, "Terminated", a->state == STATE_FAILED ? "Exit Code: 1" : "Exit Code: 0", a->finished_ns);
		state->events.at[state->events.n - 1].exit_code = a->state == STATE_FAILED ? a->spec->exit_code : 0;
	}
	return state;
}

static int render_verdict(const struct sim_alloc *a, struct alloc_update *out, struct arena *mem)
{
	struct alloc_deployment_status *status;

	if (a->verdict == VERDICT_NONE) {
		return 0;
	}
	status = arena_alloc(mem, sizeof(*status));
	if (status == NULL) {
		return ERR_NOMEM;
	}
	object_init(&alloc_deployment_status_type, status);
	status->healthy = (struct opt){.at = a->verdict == VERDICT_GOOD, .set = true};
	status->timestamp = a->verdict_ns;
	status->canary = a->canary;
	out->deployment_status = status;
	return 0;
}

static int render(const struct sim_alloc *a, struct alloc_update *out, struct arena *mem)
{
	static const char *const status[][2] = {{"pending", "No tasks have started"},
	                                        {"running", "Tasks are running"},
	                                        {"pending", "No tasks have started"},
	                                        {"complete", "All tasks have completed"},
	                                        {"failed", "Failed tasks"}};
	char id[UUID_TEXT];
	uint32_t i;

	object_init(&alloc_update_type, out);
	uuid_format(&a->id, id);
	out->id = arena_strdup(mem, id);
	out->client_status = status[a->state][0];
	out->client_description = status[a->state][1];
	out->task_states.keys = arena_calloc(mem, a->spec->n_tasks + 1, sizeof(*out->task_states.keys));
	out->task_states.at = arena_calloc(mem, a->spec->n_tasks + 1, sizeof(*out->task_states.at));
	if (out->id == NULL || out->task_states.keys == NULL || out->task_states.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < a->spec->n_tasks; i++) {
		out->task_states.keys[i] = arena_strdup(mem, a->spec->tasks[i]);
		if (out->task_states.keys[i] == NULL || render_task(a, &out->task_states.at[i], mem) == NULL) {
			return ERR_NOMEM;
		}
	}
	out->task_states.n = a->spec->n_tasks;
	return render_verdict(a, out, mem);
}

static void reported_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct sim_node *n = CONTAINER_OF(req, struct sim_node, reporting);
	struct list *e;

	(void)frame;
	n->report_not_before_ms = sim_now_ms(n->sim) + (err == 0 ? REPORT_GAP_MS : REPORT_RETRY_MS);
	while ((e = list_pop(&n->sent)) != NULL) {
		if (err != 0) {
			list_insert(&n->dirty, e);
		}
	}
	if (err != 0 && err != ERR_CLOSED && !n->sim->stopping) {
		log_warn("sim", "node %u: a report: %s", n->number, error_text(err));
	}
	if (!n->sim->stopping) {
		sim_report_soon(n);
	}
}

static int fill(struct sim_node *n, struct rpc_node_update *out, struct arena *mem)
{
	uint32_t cap = 0;

	LIST_EACH (e, &n->dirty) {
		cap += cap < REPORT_MAX;
	}
	out->allocs.at = arena_calloc(mem, cap, sizeof(*out->allocs.at));
	while (out->allocs.at != NULL && out->allocs.n < cap) {
		struct list *e = n->dirty.next;

		if (render(CONTAINER_OF(e, struct sim_alloc, report), &out->allocs.at[out->allocs.n], mem) != 0) {
			return ERR_NOMEM;
		}
		out->allocs.n++;
		list_remove(e);
		list_insert(&n->sent, e);
	}
	return out->allocs.at == NULL ? ERR_NOMEM : 0;
}

static int send_report(struct sim_node *n, struct arena *mem)
{
	struct rpc_node_update update;
	char id[UUID_TEXT], secret[UUID_TEXT];
	int rc;

	uuid_format(&n->id, id);
	uuid_format(&n->secret, secret);
	object_init(&rpc_node_update_type, &update);
	update.node_id = id;
	update.secret_id = secret;
	rc = fill(n, &update, mem);
	if (rc == 0) {
		n->sim->reports++;
		n->sim->reported += update.allocs.n;
		n->reporting = (struct rpc_request){.reply_cb = reported_cb};
		rc = rpc_send_object(n->conn, &n->reporting, RPC_METHOD_NODE_UPDATE, &rpc_node_update_type, &update, CALL_MS);
	}
	return rc;
}

static void report_cb(struct due *due)
{
	struct sim_node *n = CONTAINER_OF(due, struct sim_node, report);
	struct arena mem = {0};
	int rc;

	/* A node that is not connected, or not known, tells everything later. */
	if (n->reporting.conn != NULL || list_empty(&n->dirty) || n->state < SIM_WATCHING) {
		return;
	}
	rc = send_report(n, &mem);
	arena_close(&mem);
	if (rc != 0) {
		n->reporting.conn = NULL;
		reported_cb(&n->reporting, rc, NULL);
	}
}

void sim_report_all(struct sim_node *n)
{
	LIST_EACH (e, &n->allocs) {
		struct sim_alloc *a = CONTAINER_OF(e, struct sim_alloc, link);

		if (list_empty(&a->report)) {
			tell(a);
		}
	}
}

/* ---- what happens to them ---- */

static int64_t later(int64_t from_ms, int64_t ms)
{
	return ms > NEVER_MS - from_ms ? NEVER_MS : from_ms + ms;
}

static int64_t healthy_at(const struct sim_alloc *a)
{
	return a->verdict != VERDICT_NONE || uuid_is_zero(&a->deployment) || a->spec->healthy_ms < 0
	               ? NEVER_MS
	               : later(a->since_ms, a->spec->healthy_ms);
}

/* When something happens to it next. */
static int64_t next_at(const struct sim_alloc *a)
{
	int64_t end = later(a->since_ms, a->spec->run_ms);
	int64_t healthy = healthy_at(a);

	switch (a->state) {
	case STATE_WAITING:
		return later(a->since_ms, a->spec->block_ms);
	case STATE_RUNNING:
		return healthy < end ? healthy : end;
	case STATE_PAUSING:
		return later(a->since_ms, a->spec->delay_ms);
	default:
		return NEVER_MS;
	}
}

static void plan_next(struct sim_alloc *a)
{
	int64_t at_ms = next_at(a);

	if (at_ms == NEVER_MS) {
		due_clear(a->node->sim, &a->due);
	} else {
		due_set(a->node->sim, &a->due, at_ms);
	}
}

static void move(struct sim_alloc *a, enum sim_alloc_state to)
{
	a->state = (uint8_t)to;
	a->since_ms = sim_now_ms(a->node->sim);
	if (is_over(a)) {
		a->finished_ns = sim_unix_ns();
		a->node->sim->ended++;
	}
	tell(a);
	plan_next(a);
}

static void judge(struct sim_alloc *a, enum verdict verdict)
{
	if (a->verdict == VERDICT_NONE && !uuid_is_zero(&a->deployment) && a->spec->healthy_ms >= 0) {
		a->verdict = (uint8_t)verdict;
		a->verdict_ns = sim_unix_ns();
		tell(a);
	}
}

static void start(struct sim_alloc *a)
{
	if (a->spec->unable) {
		judge(a, VERDICT_BAD);
		move(a, STATE_FAILED);
		return;
	}
	a->started_ns = sim_unix_ns();
	a->finished_ns = 0;
	a->node->sim->started++;
	move(a, STATE_RUNNING);
}

static void run_out(struct sim_alloc *a)
{
	if (a->spec->service) {
		a->restarts++;
		move(a, STATE_PAUSING);
	} else {
		move(a, a->spec->fails ? STATE_FAILED : STATE_COMPLETE);
	}
}

static void alloc_due_cb(struct due *due)
{
	struct sim_alloc *a = CONTAINER_OF(due, struct sim_alloc, due);

	if (a->state == STATE_WAITING || a->state == STATE_PAUSING) {
		start(a);
	} else if (a->state == STATE_RUNNING && healthy_at(a) <= sim_now_ms(a->node->sim)) {
		judge(a, VERDICT_GOOD);
		plan_next(a);
	} else if (a->state == STATE_RUNNING) {
		run_out(a);
	}
}

/* ---- what servers want ---- */

static uint64_t id_hash(const struct uuid *id)
{
	uint64_t hash;

	memcpy(&hash, id->at, sizeof(hash));
	return hash;
}

static struct sim_alloc *find(struct sim *sim, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&sim->allocs, id_hash(id)); l != NULL; l = hash_next(l)) {
		struct sim_alloc *a = CONTAINER_OF(l, struct sim_alloc, by_id);

		if (uuid_equal(&a->id, id)) {
			return a;
		}
	}
	return NULL;
}

static void forget(struct sim_alloc *a)
{
	struct sim *sim = a->node->sim;

	due_clear(sim, &a->due);
	list_remove(&a->link);
	list_remove(&a->report);
	hash_remove(&sim->allocs, &a->by_id);
	spec_put(sim, a->spec);
	free(a);
}

/* One that another process of this kind ran goes on as if it had just begun. */
static struct sim_alloc *add(struct sim_node *n, const struct uuid *id, const struct allocation *alloc,
                             struct spec *spec)
{
	struct sim_alloc *a = must(calloc(1, sizeof(*a)));
	bool began = alloc_client_parse(alloc->client_status) != ALLOC_CLIENT_PENDING;

	a->id = *id;
	a->node = n;
	a->spec = spec;
	a->due.cb = alloc_due_cb;
	a->state = began ? STATE_RUNNING : STATE_WAITING;
	a->since_ms = sim_now_ms(n->sim);
	a->started_ns = began ? sim_unix_ns() : 0;
	list_init(&a->report);
	list_insert(&n->allocs, &a->link);
	hash_add(&n->sim->allocs, &a->by_id, id_hash(id));
	return a;
}

static void take_wish(struct sim_alloc *a, const struct allocation *alloc)
{
	struct uuid deployment = {{0}};

	(void)uuid_parse(alloc->deployment_id, strlen(alloc->deployment_id), &deployment);
	if (!uuid_equal(&deployment, &a->deployment)) {
		a->deployment = deployment;
		a->verdict = VERDICT_NONE;
	}
	a->canary = alloc->deployment_status != NULL && alloc->deployment_status->canary;
	a->modify_index = alloc->alloc_modify_index;
	if (is_over(a)) {
		return;
	}
	if (strcmp(alloc->desired_status, "run") != 0) {
		move(a, STATE_COMPLETE);
	} else if (a->state == STATE_WAITING && a->spec->block_ms == 0) {
		start(a);
	} else {
		plan_next(a);
	}
}

/* What ended before it came here has nothing to be done for it. */
static bool ended_elsewhere(const struct allocation *alloc)
{
	int status = alloc_client_parse(alloc->client_status);

	return status >= ALLOC_CLIENT_COMPLETE && status != ALLOC_CLIENT_UNKNOWN;
}

static void take_alloc(struct sim_node *n, const struct allocation *alloc)
{
	struct sim_alloc *a;
	struct spec *spec;
	struct uuid id;

	if (!uuid_parse(alloc->id, strlen(alloc->id), &id)) {
		log_error("sim", "node %u: an allocation without an ID", n->number);
		return;
	}
	a = find(n->sim, &id);
	if (a != NULL && a->node != n) {
		log_error("sim", "node %u: allocation %s is on node %u as well", n->number, alloc->id, a->node->number);
		return;
	}
	if (a != NULL) {
		a->seen = n->pushes;
	}
	if (a == NULL ? ended_elsewhere(alloc) : a->modify_index >= alloc->alloc_modify_index) {
		return;
	}
	spec = spec_get(n->sim, alloc->job, alloc->task_group);
	if (spec == NULL) {
		log_error("sim", "node %u: allocation %s is of no use", n->number, alloc->id);
		return;
	}
	if (a == NULL) {
		a = add(n, &id, alloc, spec);
		a->seen = n->pushes;
	} else {
		spec_put(n->sim, a->spec);
		a->spec = spec;
	}
	take_wish(a, alloc);
}

static void forget_missing(struct sim_node *n, const struct rpc_node_allocs *push)
{
	struct uuid id;
	uint32_t i;

	for (i = 0; i < push->gone.n; i++) {
		struct sim_alloc *a =
		        uuid_parse(push->gone.at[i], strlen(push->gone.at[i]), &id) ? find(n->sim, &id) : NULL;

		if (a != NULL && a->node == n) {
			forget(a);
		}
	}
	if (!push->whole) {
		return;
	}
	LIST_EACH (e, &n->allocs) {
		struct sim_alloc *a = CONTAINER_OF(e, struct sim_alloc, link);

		if (a->seen != n->pushes) {
			forget(a);
		}
	}
}

void sim_take_push(struct sim_node *n, const char *payload, size_t len)
{
	struct arena mem = {0};
	struct rpc_node_allocs push;
	uint32_t i;

	if (pack_decode(&rpc_node_allocs_type, &push, payload, len, &mem) != 0) {
		log_error("sim", "node %u: what the server wants cannot be read", n->number);
		arena_close(&mem);
		return;
	}
	n->pushes++;
	for (i = 0; i < push.allocs.n; i++) {
		int64_t job = i < push.job_of.n ? push.job_of.at[i] : -1;

		push.allocs.at[i].job = job >= 0 && job < push.jobs.n ? &push.jobs.at[job] : NULL;
		take_alloc(n, &push.allocs.at[i]);
	}
	forget_missing(n, &push);
	n->index = push.index;
	arena_close(&mem);
}

void sim_allocs_close(struct sim *sim)
{
	unsigned i;

	for (i = 0; i < sim->n; i++) {
		LIST_EACH (e, &sim->nodes[i].allocs) {
			forget(CONTAINER_OF(e, struct sim_alloc, link));
		}
	}
	hash_close(&sim->allocs);
	hash_close(&sim->specs);
}
