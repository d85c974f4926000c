#include <string.h>

#include "raft/fsm_work.h"

/* ---- evaluations ---- */

static void eval_job(struct fsm_work *f, const struct node_row *node, const struct job_row *job, struct job_set *seen)
{
	struct new_eval e = {
		.ns = job_row_ns(job),
		.job = job_row_id(job),
		.type = job->type,
		.priority = job->priority,
		.trigger = EVAL_TRIGGER_NODE_UPDATE,
		.job_modify_index = job->modify_index,
		.node = node,
	};

	if (fsm_job_set_add(f, seen, job->create_index)) {
		fsm_eval_make(f, &e);
		f->result->count++;
	}
}

static void eval_system_jobs(struct fsm_work *f, const struct node_row *node, struct job_set *seen)
{
	struct rows r;
	size_t n;
	size_t i;
	const struct row **jobs;

	rows_system_jobs(&r, view_of(f));
	jobs = fsm_collect(f, &r, &n);
	for (i = 0; i < n; i++) {
		const struct job_row *job = (const struct job_row *)jobs[i];

		if ((job->flags & JOB_STOP) == 0 && job_row_runs(job)) {
			eval_job(f, node, job, seen);
		}
	}
}

/* The job of an allocation as it is now, or as it was when it is gone. */
static const struct job_row *job_now(struct fsm_work *f, const struct alloc_row *alloc)
{
	const struct job_row *job = state_job(view_of(f), job_row_ns(alloc->job), job_row_id(alloc->job));

	return job != NULL ? job : alloc->job;
}

void fsm_eval_node(struct fsm_work *f, const struct node_row *node, bool system_jobs)
{
	struct job_set seen = {0};
	struct rows r;
	size_t n;
	size_t i;
	const struct row **allocs;

	rows_allocs_of_node(&r, view_of(f), &node->id);
	allocs = fsm_collect(f, &r, &n);
	for (i = 0; i < n; i++) {
		const struct alloc_row *alloc = (const struct alloc_row *)allocs[i];

		if (!alloc_row_terminal(alloc)) {
			eval_job(f, node, job_now(f, alloc), &seen);
		}
	}
	if (system_jobs) {
		eval_system_jobs(f, node, &seen);
	}
}

/* ---- the servers' part ---- */

static void add_event(struct fsm_work *f, struct node_extra *extra, const struct node_event *event)
{
	uint32_t keep = extra->events.n < NODE_EVENTS_MAX ? extra->events.n : NODE_EVENTS_MAX - 1;
	struct node_event *at = fsm_scratch(f, (keep + 1) * sizeof(*at));

	if (keep > 0) {
		memcpy(at, extra->events.at + (extra->events.n - keep), keep * sizeof(*at));
	}
	at[keep] = *event;
	at[keep].create_index = (int64_t)index_of(f);
	if (at[keep].timestamp == 0) {
		at[keep].timestamp = now_of(f);
	}
	extra->events.at = at;
	extra->events.n = keep + 1;
}

static void tell(struct fsm_work *f, struct node_extra *extra, const char *subsystem, const char *message)
{
	const struct node_event event = {.message = message, .subsystem = subsystem};

	if (message[0] != '\0') {
		add_event(f, extra, &event);
	}
}

/* A node while it is edited. */
struct node_edit {
	struct node_row *row;
	struct node_extra extra;
};

static void edit_begin(struct fsm_work *f, struct node_edit *e, const struct node_row *node)
{
	e->row = writer_edit(&f->w, &node->row);
	e->row->modify_index = index_of(f);
	fsm_unpack(f, &node_extra_type, e->row->extra, &e->extra);
}

static void edit_end(struct fsm_work *f, struct node_edit *e)
{
	blob_set(&e->row->extra, fsm_pack(f, &node_extra_type, &e->extra));
	writer_put(&f->w, &e->row->row);
}

static const struct node_row *find(struct fsm_work *f, const struct bytes *bytes)
{
	const struct node_row *node;
	struct uuid id;

	node = bytes_uuid(bytes, &id) ? state_node(view_of(f), &id) : NULL;
	if (node == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "node not found");
	}
	return node;
}

static bool comes_up(uint8_t before, uint8_t after)
{
	return before != NODE_STATUS_READY && after == NODE_STATUS_READY;
}

static bool goes_down(uint8_t before, uint8_t after)
{
	return before != after && (after == NODE_STATUS_DOWN || after == NODE_STATUS_DISCONNECTED);
}

/* What schedulers must look at after such a step. */
static void eval_step(struct fsm_work *f, const struct node_row *node, uint8_t before)
{
	if (comes_up(before, node->status)) {
		fsm_eval_node(f, node, true);
	} else if (goes_down(before, node->status)) {
		fsm_eval_node(f, node, false);
	}
}

/* ---- registering ---- */

/* What the client says of its node, without what the servers keep. */
static struct blob *base_of(struct fsm_work *f, const struct node *node)
{
	struct node base = *node;

	base.id = base.name = base.status = base.status_description = base.scheduling_eligibility = "";
	base.drain = false;
	base.drain_strategy = NULL;
	base.last_drain = NULL;
	base.events.n = 0;
	base.status_updated_at = base.last_missed_heartbeat_index = base.last_alloc_update_index = 0;
	base.create_index = base.modify_index = 0;
	return fsm_pack(f, &node_type, &base);
}

static uint32_t clamp(int64_t value)
{
	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void take_resources(struct node_row *row, const struct node *node)
{
	const struct node_resources *has = node->node_resources;
	const struct reserved_resources *reserved = node->reserved_resources;

	row->cpu_mhz = has != NULL && has->cpu != NULL ? clamp(has->cpu->cpu_shares) : 0;
	row->memory_mb = has != NULL && has->memory != NULL ? clamp(has->memory->memory_mb) : 0;
	row->disk_mb = has != NULL && has->disk != NULL ? clamp(has->disk->disk_mb) : 0;
	row->reserved_cpu_mhz = reserved != NULL && reserved->cpu != NULL ? clamp(reserved->cpu->cpu_shares) : 0;
	row->reserved_memory_mb = reserved != NULL && reserved->memory != NULL ? clamp(reserved->memory->memory_mb) : 0;
	row->reserved_disk_mb = reserved != NULL && reserved->disk != NULL ? clamp(reserved->disk->disk_mb) : 0;
}

static bool secret_fits(struct fsm_work *f, const struct node_row *there, const struct node *node)
{
	struct node base;

	fsm_unpack(f, &node_type, there->base, &base);
	return base.secret_id[0] == '\0' || strcmp(base.secret_id, node->secret_id) == 0;
}

static struct node_row *new_node(struct fsm_work *f, const struct uuid *id, const struct node *node)
{
	struct node_row *row = (struct node_row *)row_new(TABLE_NODES, 0);

	row->id = *id;
	row->create_index = index_of(f);
	row->flags = strcmp(node->scheduling_eligibility, "ineligible") == 0 ? 0 : NODE_ELIGIBLE;
	row->name = blob_text(node->name);
	return row;
}

static void describe(struct fsm_work *f, struct node_edit *e, const struct node *node, bool is_new, uint8_t before)
{
	struct blob *base = base_of(f, node);

	if (strcmp((const char *)e->row->name->data, node->name) != 0) {
		blob_set(&e->row->name, blob_text(node->name));
	}
	blob_set(&e->row->base, base != NULL ? base : blob_new("\x80", 1));
	take_resources(e->row, node);
	e->row->class_hash = blob_hash(node->computed_class, strlen(node->computed_class));
	e->row->modify_index = index_of(f);
	if (is_new || e->row->status != before) {
		e->row->status_time_s = now_of(f) / NS_PER_S;
	}
	e->extra.status_description = node->status_description;
	if (is_new) {
		tell(f, &e->extra, "Cluster", "Node registered");
	} else if (before == NODE_STATUS_DOWN && e->row->status != before) {
		tell(f, &e->extra, "Cluster", "Node re-registered");
	}
}

/* A client registers again whenever it finds new servers: mostly there is nothing new. */
static bool says_nothing_new(struct fsm_work *f, const struct node_row *there, const struct node *node, uint8_t status)
{
	struct blob *base = base_of(f, node);
	bool same = base != NULL && there->status == status && strcmp(node_row_name(there), node->name) == 0 &&
		    base->len == there->base->len && memcmp(base->data, there->base->data, base->len) == 0;

	blob_unref(base);
	return same;
}

static void register_node(struct fsm_work *f, const struct node_row *there, const struct uuid *id,
			  const struct node *node, uint8_t status)
{
	uint8_t before = there != NULL ? there->status : NODE_STATUS_INIT;
	struct node_edit e;

	if (there != NULL) {
		edit_begin(f, &e, there);
	} else {
		e.row = new_node(f, id, node);
		fsm_unpack(f, &node_extra_type, NULL, &e.extra);
	}
	e.row->status = status;
	describe(f, &e, node, there == NULL, before);
	edit_end(f, &e);
	f->result->changed = true;
	eval_step(f, e.row, before);
}

void fsm_NODE_REGISTER(struct fsm_work *f, const struct node_register *p)
{
	const struct node *node = p->node;
	const struct node_row *there;
	struct uuid id;
	int status;

	if (node == NULL || !uuid_parse(node->id, strlen(node->id), &id) || node->name[0] == '\0' ||
	    strlen(node->node_pool) > NAMESPACE_MAX) {
		fsm_fail(f, ERR_INVALID, "malformed node");
		return;
	}
	status = node->status[0] == '\0' ? NODE_STATUS_INIT : node_status_parse(node->status);
	there = state_node(view_of(f), &id);
	if (status < 0) {
		fsm_fail(f, ERR_INVALID, "invalid status \"%.100s\" for node", node->status);
		return;
	}
	if (there != NULL && !secret_fits(f, there, node)) {
		fsm_fail(f, ERR_REFUSED, "node secret ID does not match. Not registering node.");
		return;
	}
	if (node->node_pool[0] != '\0') {
		fsm_pool_make(f, node->node_pool, "");
	}
	if (there == NULL || !says_nothing_new(f, there, node, (uint8_t)status)) {
		register_node(f, there, &id, node, (uint8_t)status);
	}
}

void fsm_NODES_DELETE(struct fsm_work *f, const struct nodes_delete *p)
{
	uint32_t removed = 0;
	struct uuid id;
	uint32_t i;

	for (i = 0; i < p->nodes.n; i++) {
		const struct node_row *node;

		bytes_uuid(&p->nodes.at[i].id, &id);
		node = state_node(view_of(f), &id);
		if (node != NULL) {
			writer_remove(&f->w, &node->row);
			fsm_eval_node(f, node, false);
			removed++;
		}
	}
	f->result->count = removed;
	f->result->rejected = p->nodes.n - removed;
}

/* ---- status, eligibility, drain ---- */

void fsm_NODE_STATUS(struct fsm_work *f, const struct node_status_update *p)
{
	const struct node_row *node = find(f, &p->id);
	struct node_edit e;
	uint8_t before;

	if (node == NULL) {
		return;
	}
	if (p->status < 0 || p->status >= NODE_STATUS_COUNT) {
		fsm_fail(f, ERR_INVALID, "malformed status of a node");
		return;
	}
	before = node->status;
	if (before == p->status && !p->missed && p->event[0] == '\0') {
		return;
	}
	edit_begin(f, &e, node);
	if (before != p->status) {
		e.row->status_time_s = now_of(f) / NS_PER_S;
	}
	e.row->status = (uint8_t)p->status;
	e.extra.status_description = p->description;
	if (p->missed) {
		e.row->missed_index = index_of(f);
	}
	tell(f, &e.extra, p->missed ? "Heartbeat" : "Cluster", p->event);
	edit_end(f, &e);
	f->result->changed = before != p->status;
	eval_step(f, e.row, before);
}

void fsm_NODE_ELIGIBILITY(struct fsm_work *f, const struct node_eligibility *p)
{
	const struct node_row *node = find(f, &p->id);
	const char *event =
		p->eligible ? "Node marked as eligible for scheduling" : "Node marked as ineligible for scheduling";
	struct node_edit e;

	if (node == NULL) {
		return;
	}
	if (p->eligible && (node->flags & NODE_DRAIN) != 0) {
		fsm_fail(f, ERR_INVALID, "can not set node's scheduling eligibility to eligible while it is draining");
		return;
	}
	if (((node->flags & NODE_ELIGIBLE) != 0) == p->eligible) {
		return;
	}
	edit_begin(f, &e, node);
	e.row->flags ^= NODE_ELIGIBLE;
	tell(f, &e.extra, "Cluster", p->event[0] != '\0' ? p->event : event);
	edit_end(f, &e);
	f->result->changed = true;
	if (p->eligible) {
		fsm_eval_node(f, e.row, true);
	}
}

static void drain_begin(struct fsm_work *f, struct node_edit *e, const struct node_drain *p,
			struct drain_metadata *last)
{
	bool again = (e->row->flags & NODE_DRAIN) != 0;
	const struct drain_strategy *before = again ? e->extra.drain_strategy : NULL;

	e->row->flags = (uint8_t)((e->row->flags | NODE_DRAIN) & ~NODE_ELIGIBLE);
	e->extra.drain_strategy = p->strategy;
	if (p->strategy->started_at == 0) {
		p->strategy->started_at = before != NULL ? before->started_at : now_of(f);
	}
	if (p->strategy->deadline > 0 && p->strategy->force_deadline == 0) {
		p->strategy->force_deadline = fsm_later(now_of(f), p->strategy->deadline);
	}
	last->started_at = again && e->extra.last_drain != NULL ? e->extra.last_drain->started_at : now_of(f);
	last->status = "draining";
	tell(f, &e->extra, "Drain", again ? "Node drain strategy updated" : "Node drain strategy set");
}

static void tell_complete(struct fsm_work *f, struct node_extra *extra, bool deadlined)
{
	static const struct pair detail = {"deadline_reached", "true"};
	struct node_event event = {.message = "Node drain complete", .subsystem = "Drain"};

	if (deadlined) {
		event.details.at = fsm_scratch(f, sizeof(detail));
		event.details.at[0] = detail;
		event.details.n = 1;
	}
	add_event(f, extra, &event);
}

static void drain_end(struct fsm_work *f, struct node_edit *e, const struct node_drain *p, struct drain_metadata *last)
{
	unsigned flags = e->row->flags & ~(unsigned)NODE_DRAIN;

	e->row->flags = (uint8_t)(p->mark_eligible ? flags | NODE_ELIGIBLE : flags);
	e->extra.drain_strategy = NULL;
	if (e->extra.last_drain != NULL) {
		*last = *e->extra.last_drain;
	}
	last->status = p->complete ? "complete" : "canceled";
	if (p->complete) {
		tell_complete(f, &e->extra, p->deadlined);
	} else {
		tell(f, &e->extra, "Drain", "Node drain disabled");
	}
}

static void note_drain(struct fsm_work *f, struct node_edit *e, const struct node_drain *p, struct drain_metadata *last)
{
	last->updated_at = now_of(f);
	if (p->meta.n > 0) {
		last->meta = p->meta;
	}
	if (p->accessor_id[0] != '\0') {
		last->accessor_id = p->accessor_id;
	}
	e->extra.last_drain = last;
}

void fsm_NODE_DRAIN(struct fsm_work *f, const struct node_drain *p)
{
	const struct node_row *node = find(f, &p->id);
	struct drain_metadata last = {.status = "", .accessor_id = ""};
	bool was_eligible = node != NULL && (node->flags & NODE_ELIGIBLE) != 0;
	bool drains = node != NULL && (node->flags & NODE_DRAIN) != 0;
	struct node_edit e;

	if (node == NULL || (p->strategy == NULL && !drains && (was_eligible || !p->mark_eligible))) {
		return;
	}
	edit_begin(f, &e, node);
	if (p->strategy != NULL) {
		drain_begin(f, &e, p, &last);
		note_drain(f, &e, p, &last);
	} else if (drains) {
		drain_end(f, &e, p, &last);
		note_drain(f, &e, p, &last);
	} else { /* The last one is over, and stays what it was. */
		e.row->flags = (uint8_t)(e.row->flags | NODE_ELIGIBLE);
		tell(f, &e.extra, "Cluster", "Node marked as eligible for scheduling");
	}
	edit_end(f, &e);
	f->result->changed = true;
	if (!was_eligible && (e.row->flags & NODE_ELIGIBLE) != 0) {
		fsm_eval_node(f, e.row, true);
	}
}

void fsm_NODE_EVENTS(struct fsm_work *f, const struct node_events *p)
{
	const struct node_row *node = find(f, &p->id);
	struct node_edit e;
	uint32_t i;

	if (node == NULL || p->events.n == 0) {
		return;
	}
	edit_begin(f, &e, node);
	for (i = p->events.n > NODE_EVENTS_MAX ? p->events.n - NODE_EVENTS_MAX : 0; i < p->events.n; i++) {
		add_event(f, &e.extra, &p->events.at[i]);
	}
	edit_end(f, &e);
}

void fsm_NODE_EVALUATE(struct fsm_work *f, const struct node_evaluate *p)
{
	const struct node_row *node = find(f, &p->id);

	if (node != NULL) {
		fsm_eval_node(f, node, true);
	}
}
