#include <stdio.h>
#include <string.h>

#include "raft/fsm_work.h"

/* ---- counting ---- */

static bool is_open(int status)
{
	return status == EVAL_STATUS_PENDING || status == EVAL_STATUS_BLOCKED;
}

static void step(uint32_t *count, bool was, bool is)
{
	if (was && *count > 0) {
		--*count;
	}
	*count += is;
}

/* Statuses are enum eval_status, or -1 where there is no evaluation. */
static void count_status(struct summary_row *s, int old, int now)
{
	step(&s->evals, old >= 0, now >= 0);
	step(&s->open_evals, is_open(old), is_open(now));
	step(&s->blocked_evals, old == EVAL_STATUS_BLOCKED, now == EVAL_STATUS_BLOCKED);
}

static uint32_t clamp_count(int64_t value)
{
	return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* What schedulers could not place shows in the summary. */
static bool count_queued(struct summary_row *s, const struct intmap *queued)
{
	bool changed = false;
	uint32_t i;

	for (i = 0; queued != NULL && i < queued->n; i++) {
		uint32_t *count = fsm_summary_group(s, queued->at[i].key);
		uint32_t value = clamp_count(queued->at[i].value);

		if (count != NULL && count[GROUP_QUEUED] != value) {
			count[GROUP_QUEUED] = value;
			changed = true;
		}
	}
	return changed;
}

static void count(struct fsm_work *f, const struct eval_row *row, int old, int now, const struct intmap *queued)
{
	struct summary_row *s;
	bool visible;

	if (old == now && (queued == NULL || queued->n == 0)) {
		return;
	}
	s = fsm_summary_begin(f, eval_row_ns(row), eval_row_job(row));
	if (s != NULL) {
		count_status(s, old, now);
		visible = count_queued(s, queued);
		fsm_summary_end(f, s, visible);
	}
}

/* ---- rows ---- */

static struct eval_row *new_row(struct fsm_work *f, const char *ns, const char *job)
{
	struct eval_row *row;
	struct key key;

	key_job(&key, ns, job);
	key_number(&key, 0);
	row = (struct eval_row *)row_new(TABLE_EVALS, key.len);
	memcpy(row->key, key.at, key.len);
	fsm_serial(f, (uint8_t *)row->key + key.len - 8);
	row->ns_len = (uint16_t)strlen(ns);
	row->id_len = (uint16_t)strlen(job);
	row->create_index = row->modify_index = index_of(f);
	row->create_time_ns = row->modify_time_ns = now_of(f);
	return row;
}

/* What has no member in the row. */
static struct blob *rest_of(struct fsm_work *f, const struct evaluation *e)
{
	struct evaluation rest = *e;

	rest.id = rest.namespace_ = rest.job_id = rest.type = rest.triggered_by = rest.status = "";
	rest.priority = rest.job_modify_index = rest.snapshot_index = rest.wait_until = 0;
	rest.create_index = rest.modify_index = rest.create_time = rest.modify_time = 0;
	rest.related_evals.n = 0;
	return fsm_pack(f, &evaluation_type, &rest);
}

static void tell(struct fsm_work *f, const struct eval_row *row)
{
	if (uuid_is_zero(&f->result->eval_id)) {
		f->result->eval_id = row->id;
		f->result->eval_index = row->create_index;
	}
}

void fsm_eval_make(struct fsm_work *f, const struct new_eval *e)
{
	struct eval_row *row = new_row(f, e->ns, e->job);
	char node[UUID_TEXT] = "";
	char deployment[UUID_TEXT] = "";
	struct evaluation rest;

	row->id = fsm_id(f);
	row->job_modify_index = e->job_modify_index;
	row->priority = (int16_t)(e->priority > INT16_MAX ? INT16_MAX : e->priority < 0 ? 0 : e->priority);
	row->type = (uint8_t)e->type;
	row->status = EVAL_STATUS_PENDING;
	row->trigger = (uint8_t)e->trigger;
	if (e->node != NULL || e->deployment != NULL) {
		fsm_unpack(f, &evaluation_type, NULL, &rest);
		if (e->node != NULL) {
			uuid_format(&e->node->id, node);
			rest.node_modify_index = (int64_t)e->node->modify_index;
		}
		if (e->deployment != NULL) {
			uuid_format(e->deployment, deployment);
		}
		rest.node_id = node;
		rest.deployment_id = deployment;
		row->rest = rest_of(f, &rest);
	}
	writer_put(&f->w, &row->row);
	count(f, row, -1, EVAL_STATUS_PENDING, NULL);
	tell(f, row);
}

void fsm_eval_for(struct fsm_work *f, const struct job_row *job, unsigned trigger, int64_t priority)
{
	struct new_eval e = {
		.ns = job_row_ns(job),
		.job = job_row_id(job),
		.type = job->type,
		.priority = priority != 0 ? priority : job->priority,
		.trigger = trigger,
		.job_modify_index = job->modify_index,
	};

	fsm_eval_make(f, &e);
}

void fsm_eval_remove(struct fsm_work *f, const struct eval_row *row)
{
	writer_remove(&f->w, &row->row);
	count(f, row, row->status, -1, NULL);
}

/* ---- evaluations that schedulers and the broker put ---- */

static bool parse_head(const struct evaluation *e, struct uuid *id, int *type, int *trigger, int *status)
{
	*type = job_type_parse(e->type);
	*trigger = eval_trigger_parse(e->triggered_by);
	*status = eval_status_parse(e->status);
	return uuid_parse(e->id, strlen(e->id), id) && *type >= 0 && *trigger >= 0 && *status >= 0 &&
	       strlen(e->job_id) <= JOB_ID_MAX && strlen(e->namespace_) <= NAMESPACE_MAX && e->priority >= INT16_MIN &&
	       e->priority <= INT16_MAX;
}

bool fsm_evals_valid(const struct evaluation *evals, uint32_t n)
{
	struct uuid id;
	int type;
	int trigger;
	int status;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!parse_head(&evals[i], &id, &type, &trigger, &status)) {
			return false;
		}
	}
	return true;
}

static void cancel(struct fsm_work *f, const struct eval_row *blocked, const char *why)
{
	struct eval_row *row = writer_edit(&f->w, &blocked->row);
	struct evaluation rest;

	fsm_unpack(f, &evaluation_type, row->rest, &rest);
	rest.status_description = why;
	blob_set(&row->rest, rest_of(f, &rest));
	row->status = EVAL_STATUS_CANCELED;
	row->modify_index = index_of(f);
	row->modify_time_ns = now_of(f);
	writer_put(&f->w, &row->row);
	count(f, row, EVAL_STATUS_BLOCKED, EVAL_STATUS_CANCELED, NULL);
}

/* All that the job wants is placed: whatever waited for room does so no longer. */
static void cancel_blocked(struct fsm_work *f, const struct eval_row *done)
{
	const struct summary_row *s = state_summary(view_of(f), eval_row_ns(done), eval_row_job(done));
	char id[UUID_TEXT];
	char why[UUID_TEXT + 32];
	const struct row **evals;
	struct rows r;
	size_t n;
	size_t i;

	if (s != NULL && s->blocked_evals == 0) {
		return;
	}
	uuid_format(&done->id, id);
	snprintf(why, sizeof(why), "evaluation \"%s\" successful", id);
	rows_evals_of_job(&r, view_of(f), eval_row_ns(done), eval_row_job(done));
	evals = fsm_collect(f, &r, &n);
	for (i = 0; i < n; i++) {
		const struct eval_row *eval = (const struct eval_row *)evals[i];

		if (eval->status == EVAL_STATUS_BLOCKED) {
			cancel(f, eval, why);
		}
	}
}

static void fill(struct fsm_work *f, struct eval_row *row, const struct evaluation *e)
{
	struct uuid id;
	int type;
	int trigger;
	int status;

	parse_head(e, &id, &type, &trigger, &status);
	row->type = (uint8_t)type;
	row->trigger = (uint8_t)trigger;
	row->status = (uint8_t)status;
	row->priority = (int16_t)e->priority;
	row->job_modify_index = (uint64_t)e->job_modify_index;
	row->snapshot_index = (uint64_t)e->snapshot_index;
	row->wait_until_ns = e->wait_until;
	row->modify_index = index_of(f);
	row->modify_time_ns = now_of(f);
	blob_set(&row->rest, rest_of(f, e));
}

static void put_one(struct fsm_work *f, const struct evaluation *e)
{
	const struct eval_row *old;
	struct eval_row *row;
	struct uuid id;
	int before = -1;

	uuid_parse(e->id, strlen(e->id), &id);
	old = state_eval(view_of(f), &id);
	if (old != NULL && eval_row_terminal(old)) {
		f->result->rejected++;
		return;
	}
	if (old != NULL) {
		before = old->status;
		row = writer_edit(&f->w, &old->row);
	} else {
		row = new_row(f, e->namespace_, e->job_id);
		row->id = id;
	}
	fill(f, row, e);
	writer_put(&f->w, &row->row);
	count(f, row, before, row->status, &e->queued_allocations);
	f->result->count++;
	if (row->status == EVAL_STATUS_COMPLETE && e->failed_tg_allocs.n == 0) {
		cancel_blocked(f, row);
	}
}

void fsm_evals_put(struct fsm_work *f, const struct evaluation *evals, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		put_one(f, &evals[i]);
	}
}

void fsm_EVALS(struct fsm_work *f, const struct eval_updates *p)
{
	if (!fsm_evals_valid(p->evals.at, p->evals.n)) {
		fsm_fail(f, ERR_INVALID, "malformed evaluation");
		return;
	}
	fsm_evals_put(f, p->evals.at, p->evals.n);
}

/* ---- collecting ---- */

static void delete_allocs(struct fsm_work *f, const struct evals_delete *p)
{
	struct uuid id;
	uint32_t i;

	for (i = 0; i < p->allocs.n; i++) {
		const struct alloc_row *row;

		bytes_uuid(&p->allocs.at[i].id, &id);
		row = state_alloc(view_of(f), &id);
		if (row != NULL && (p->force || alloc_row_terminal(row))) {
			fsm_alloc_remove(f, row);
			f->result->count++;
		} else {
			f->result->rejected++;
		}
	}
}

static bool has_allocs(struct fsm_work *f, const struct uuid *eval)
{
	struct rows r;

	rows_allocs_of_eval(&r, view_of(f), eval);
	return rows_next(&r) != NULL;
}

void fsm_EVALS_DELETE(struct fsm_work *f, const struct evals_delete *p)
{
	struct uuid id;
	uint32_t i;

	delete_allocs(f, p);
	for (i = 0; i < p->evals.n; i++) {
		const struct eval_row *row;

		bytes_uuid(&p->evals.at[i].id, &id);
		row = state_eval(view_of(f), &id);
		if (row != NULL && (p->force || (eval_row_terminal(row) && !has_allocs(f, &id)))) {
			fsm_eval_remove(f, row);
			f->result->count++;
		} else {
			f->result->rejected++;
		}
	}
}
