#include <string.h>

#include "raft/fsm_work.h"

/* A plan being applied. */
struct plan {
	const struct plan_result *p;
	const struct job_row *job; /* The version that is placed; NULL: it is gone. */
	struct uuid eval_id;
	struct uuid deployment_id;
	struct blob **metrics;
	int *groups;                 /* Of the plan's groups: their place among the job's. */
	struct summary_row *summary; /* Being edited while allocations are placed; may be NULL. */
	bool counted;
};

/* ---- checks ---- */

static bool in_range(int64_t value, int64_t max)
{
	return value >= 0 && value <= max;
}

static bool groups_valid(const struct plan_result *p)
{
	uint32_t i;

	for (i = 0; i < p->groups.n; i++) {
		const struct plan_group *g = &p->groups.at[i];

		if (!in_range(g->cpu_mhz, UINT32_MAX) || !in_range(g->memory_mb, UINT32_MAX) ||
		    !in_range(g->memory_max_mb, UINT32_MAX) || !in_range(g->disk_mb, UINT32_MAX)) {
			return false;
		}
	}
	return true;
}

static bool places_valid(const struct plan_result *p)
{
	struct uuid id;
	uint32_t i;

	for (i = 0; i < p->places.n; i++) {
		const struct plan_place *place = &p->places.at[i];

		if (!bytes_uuid(&place->id, &id) || !bytes_uuid(&place->node_id, &id) ||
		    !in_range(place->group, (int64_t)p->groups.n - 1) || !in_range(place->index, UINT32_MAX) ||
		    !in_range(place->metrics, p->metrics.n)) {
			return false;
		}
	}
	return true;
}

static bool opt_in(const struct opt *opt, int64_t count)
{
	return !opt->set || in_range(opt->at, count - 1);
}

static bool changes_valid(const struct plan_result *p)
{
	uint32_t i;

	for (i = 0; i < p->changes.n; i++) {
		if (!opt_in(&p->changes.at[i].desired, ALLOC_DESIRED_COUNT) ||
		    !opt_in(&p->changes.at[i].client, ALLOC_CLIENT_COUNT)) {
			return false;
		}
	}
	for (i = 0; i < p->deployments.n; i++) {
		if (!in_range(p->deployments.at[i].status, DEPLOYMENT_STATUS_COUNT - 1)) {
			return false;
		}
	}
	return true;
}

static bool plan_valid(const struct plan_result *p)
{
	return groups_valid(p) && places_valid(p) && changes_valid(p) && fsm_evals_valid(p->evals.at, p->evals.n) &&
	       p->evals_always >= 0 && (p->deployment == NULL || fsm_deployment_valid(p->deployment));
}

/* ---- places ---- */

/* The job's row that the places point to. It becomes running first, so that they all see it as it is then. */
static const struct job_row *job_of(struct fsm_work *f, const struct plan_result *p)
{
	const struct job_row *job = state_job_version(view_of(f), p->namespace_, p->job_id, (uint64_t)p->job_version);
	const struct job_row *current = state_job(view_of(f), p->namespace_, p->job_id);

	if (job == NULL || job->create_index != (uint64_t)p->job_create_index || !job_row_runs(job)) {
		return NULL;
	}
	if (job == current && p->places.n > 0 && (job->flags & JOB_STOP) == 0) {
		fsm_job_set_status(f, job, JOB_STATUS_RUNNING);
		job = state_job(view_of(f), p->namespace_, p->job_id);
	}
	return job;
}

static void plan_open(struct fsm_work *f, struct plan *plan, const struct plan_result *p)
{
	uint32_t i;

	*plan = (struct plan){.p = p};
	bytes_uuid(&p->eval_id, &plan->eval_id);
	bytes_uuid(&p->deployment_id, &plan->deployment_id);
	plan->job = job_of(f, p);
	plan->metrics = fsm_scratch(f, p->metrics.n * sizeof(plan->metrics[0]));
	plan->groups = fsm_scratch(f, p->groups.n * sizeof(plan->groups[0]));
	for (i = 0; i < p->metrics.n; i++) {
		plan->metrics[i] = blob_new(p->metrics.at[i].packed.at, p->metrics.at[i].packed.n);
	}
	for (i = 0; i < p->groups.n && plan->job != NULL; i++) {
		plan->groups[i] = job_row_group_find(plan->job, p->groups.at[i].name);
	}
}

static void plan_close(struct plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->p->metrics.n; i++) {
		blob_unref(plan->metrics[i]);
	}
}

static void set_job(struct alloc_row *row, const struct job_row *job)
{
	struct job_row *to = (struct job_row *)(uintptr_t)job;

	to->refs++;
	job_row_unref(row->job);
	row->job = to;
	put_be64(row->job_key, job->create_index);
}

/* What a plan says of an allocation, new or updated in place. */
static void fill(const struct plan *plan, struct alloc_row *row, const struct plan_place *place, uint64_t index)
{
	const struct plan_group *g = &plan->p->groups.at[place->group];
	bool same_deployment = uuid_equal(&row->deployment_id, &plan->deployment_id);

	row->eval_id = plan->eval_id;
	if (!same_deployment) { /* Its health is to be found anew. */
		row->deployment_id = plan->deployment_id;
		row->flags &= ~(uint32_t)(ALLOC_HEALTHY | ALLOC_UNHEALTHY | ALLOC_CANARY);
		row->health_time_ns = 0;
		row->health_index = 0;
	}
	row->modify_index = row->alloc_modify_index = index;
	row->cpu_mhz = (uint32_t)g->cpu_mhz;
	row->memory_mb = (uint32_t)g->memory_mb;
	row->memory_max_mb = (uint32_t)g->memory_max_mb;
	row->disk_mb = (uint32_t)g->disk_mb;
	row->group = (uint16_t)plan->groups[place->group];
	if (place->canary) {
		row->flags |= ALLOC_CANARY;
	}
	if (place->metrics > 0) {
		blob_set(&row->metrics, blob_ref(plan->metrics[place->metrics - 1]));
	}
	set_job(row, plan->job);
}

static void put_server(struct fsm_work *f, struct alloc_row *row, const struct plan_place *place)
{
	struct alloc_server server;

	if (place->server == NULL && place->previous.n == 0) {
		return;
	}
	if (place->server != NULL) {
		server = *place->server;
	} else {
		fsm_unpack(f, &alloc_server_type, NULL, &server);
	}
	server.previous = place->previous;
	fsm_alloc_server_set(f, row, &server);
}

/* The allocation that is replaced learns by which. */
static void link_previous(struct fsm_work *f, const struct plan_place *place)
{
	const struct alloc_row *previous;
	struct alloc_server server;
	struct alloc_edit e;
	struct uuid id;

	if (!bytes_uuid(&place->previous, &id)) {
		return;
	}
	previous = state_alloc(view_of(f), &id);
	if (previous != NULL) {
		fsm_alloc_begin(f, &e, previous);
		fsm_alloc_server_get(f, e.row, &server);
		server.next = place->id;
		fsm_alloc_server_set(f, e.row, &server);
		fsm_alloc_end(f, &e);
	}
}

static struct alloc_row *new_alloc(struct fsm_work *f, const struct plan_place *place, const struct node_row *node)
{
	struct alloc_row *row = (struct alloc_row *)row_new(TABLE_ALLOCS, 0);

	bytes_uuid(&place->id, &row->id);
	row->node_id = node->id;
	row->node_name = blob_ref(node->name);
	row->create_index = index_of(f);
	row->create_time_ns = row->modify_time_ns = now_of(f);
	row->index = (uint32_t)place->index;
	row->desired = ALLOC_DESIRED_RUN;
	row->client = ALLOC_CLIENT_PENDING;
	fsm_serial(f, row->job_serial);
	memcpy(row->eval_serial, row->job_serial, sizeof(row->eval_serial));
	memcpy(row->deployment_serial, row->job_serial, sizeof(row->deployment_serial));
	return row;
}

static void place_new(struct fsm_work *f, struct plan *plan, const struct plan_place *place,
		      const struct node_row *node)
{
	struct alloc_row *row = new_alloc(f, place, node);

	fill(plan, row, place, index_of(f));
	put_server(f, row, place);
	writer_put(&f->w, &row->row);
	if (plan->summary != NULL) {
		plan->summary->allocs++;
		plan->summary->live_allocs++;
		fsm_alloc_count(plan->summary, alloc_row_group(row), -1, ALLOC_CLIENT_PENDING);
		plan->counted = true;
	}
	if (!uuid_is_zero(&row->deployment_id)) {
		fsm_deployment_placed(f, row);
	}
}

/* Among the groups of another version its own may stand elsewhere: the name counts. */
static bool may_place_again(const struct plan *plan, const struct plan_place *place, const struct alloc_row *old)
{
	return !alloc_row_terminal(old) && old->job->create_index == plan->job->create_index &&
	       strcmp(alloc_row_group(old), plan->p->groups.at[place->group].name) == 0;
}

/* An update in place: whatever its node is doing. */
static bool place_again(struct fsm_work *f, struct plan *plan, const struct plan_place *place,
			const struct alloc_row *old)
{
	bool new_deployment = !uuid_equal(&old->deployment_id, &plan->deployment_id);
	struct alloc_row *row;

	if (!may_place_again(plan, place, old)) {
		return false;
	}
	row = writer_rekey(&f->w, &old->row);
	fill(plan, row, place, index_of(f));
	row->modify_time_ns = now_of(f);
	writer_put(&f->w, &row->row);
	if (new_deployment && !uuid_is_zero(&row->deployment_id)) {
		fsm_deployment_placed(f, row);
	}
	return true;
}

static bool place_one(struct fsm_work *f, struct plan *plan, const struct plan_place *place)
{
	const struct alloc_row *old;
	const struct node_row *node;
	struct uuid id;

	if (plan->job == NULL || plan->groups[place->group] < 0) {
		return false;
	}
	bytes_uuid(&place->id, &id);
	old = state_alloc(view_of(f), &id);
	if (old != NULL) {
		return place_again(f, plan, place, old);
	}
	bytes_uuid(&place->node_id, &id);
	node = state_node(view_of(f), &id);
	if (node == NULL || node->status == NODE_STATUS_DOWN) {
		return false;
	}
	place_new(f, plan, place, node);
	link_previous(f, place);
	return true;
}

/* link_previous() may edit the summary too, when the one before is of the same job: it changes neither status nor
 * liveness, so it does not. */
static void place_all(struct fsm_work *f, struct plan *plan)
{
	const struct plan_result *p = plan->p;
	uint32_t i;

	if (plan->job != NULL && p->places.n > 0) {
		plan->summary = fsm_summary_begin(f, p->namespace_, p->job_id);
	}
	for (i = 0; i < p->places.n; i++) {
		if (place_one(f, plan, &p->places.at[i])) {
			f->result->count++;
		} else {
			f->result->rejected++;
		}
	}
	if (plan->summary != NULL) {
		fsm_summary_end(f, plan->summary, plan->counted);
	}
}

/* ---- changes ---- */

/* What the client has said is over stays so. */
static uint8_t changed_client(const struct alloc_row *row, const struct opt *client)
{
	bool over = row->client == ALLOC_CLIENT_COMPLETE || row->client == ALLOC_CLIENT_FAILED;

	return client->set && !over ? (uint8_t)client->at : row->client;
}

static void change_server(struct fsm_work *f, struct alloc_row *row, const struct plan_change *c)
{
	struct alloc_server server;

	fsm_alloc_server_get(f, row, &server);
	if (c->description[0] != '\0') {
		server.desired_description = c->description;
	}
	if (c->followup_eval.n > 0) {
		server.followup_eval = c->followup_eval;
	}
	if (c->preempted_by.n > 0) {
		server.preempted_by = c->preempted_by;
	}
	fsm_alloc_server_set(f, row, &server);
}

static void change_description(struct fsm_work *f, struct alloc_row *row, const char *description)
{
	struct alloc_reported reported;

	fsm_unpack_foreign(f, &alloc_reported_type, row->reported, &reported);
	reported.description = description;
	blob_set(&row->reported, fsm_pack(f, &alloc_reported_type, &reported));
}

static bool change_one(struct fsm_work *f, const struct plan_change *c)
{
	const struct alloc_row *row;
	struct alloc_edit e;
	struct uuid id;

	row = bytes_uuid(&c->id, &id) ? state_alloc(view_of(f), &id) : NULL;
	if (row == NULL) {
		return false;
	}
	fsm_alloc_begin(f, &e, row);
	if (c->desired.set) {
		e.row->desired = (uint8_t)c->desired.at;
	}
	e.row->client = changed_client(e.row, &c->client);
	if (c->description[0] != '\0' || c->followup_eval.n > 0 || c->preempted_by.n > 0) {
		change_server(f, e.row, c);
	}
	if (e.row->client != e.client) {
		fsm_alloc_note_state(f, e.row);
	}
	if (c->client_description[0] != '\0') {
		change_description(f, e.row, c->client_description);
	}
	e.row->alloc_modify_index = index_of(f);
	e.row->modify_time_ns = now_of(f);
	fsm_alloc_end(f, &e);
	return true;
}

/* ---- the whole ---- */

static void put_deployments(struct fsm_work *f, const struct plan_result *p)
{
	struct uuid id;
	uint32_t i;

	for (i = 0; i < p->deployments.n; i++) {
		bytes_uuid(&p->deployments.at[i].id, &id);
		fsm_deployment_set_status(f, &id, (unsigned)p->deployments.at[i].status,
					  p->deployments.at[i].description);
	}
	if (p->deployment != NULL) {
		fsm_deployment_put(f, p->deployment);
	}
}

/* When a place was rejected the work is not at its end: only those are put that do not say so. */
static void put_evals(struct fsm_work *f, const struct plan_result *p)
{
	uint32_t placed = f->result->count;
	uint32_t rejected = f->result->rejected;
	uint32_t n = rejected == 0 || p->evals_always > p->evals.n ? p->evals.n : (uint32_t)p->evals_always;

	fsm_evals_put(f, p->evals.at, n);
	f->result->count = placed;
	f->result->rejected = rejected;
}

void fsm_PLAN(struct fsm_work *f, const struct plan_result *p)
{
	struct plan plan;
	uint32_t i;

	if (!plan_valid(p)) {
		fsm_fail(f, ERR_INVALID, "malformed plan");
		return;
	}
	plan_open(f, &plan, p);
	if (plan.job != NULL) {
		put_deployments(f, p);
	}
	for (i = 0; i < p->changes.n; i++) {
		change_one(f, &p->changes.at[i]);
	}
	place_all(f, &plan);
	plan_close(&plan);
	put_evals(f, p);
}
