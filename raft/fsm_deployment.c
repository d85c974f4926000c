#include <string.h>

#include "raft/fsm_work.h"

/* ---- the object at work ---- */

/* What has no member in the row. */
static struct blob *rest_of(struct fsm_work *f, const struct deployment *d)
{
	struct deployment rest = *d;
	struct blob *blob;

	rest.id = rest.namespace_ = rest.job_id = rest.status = "";
	rest.job_version = rest.job_create_index = 0;
	rest.create_index = rest.modify_index = rest.create_time = rest.modify_time = 0;
	blob = fsm_pack(f, &deployment_type, &rest);
	return blob != NULL ? blob : blob_new("\x80", 1);
}

struct deployment *fsm_deployment_open(struct fsm_work *f, const struct uuid *id)
{
	const struct deployment_row *row;

	if (f->deployment.object != NULL && uuid_equal(&f->deployment.id, id)) {
		return f->deployment.object;
	}
	fsm_deployment_flush(f);
	row = state_deployment(view_of(f), id);
	if (row == NULL) {
		return NULL;
	}
	f->deployment.id = *id;
	f->deployment.object = fsm_scratch(f, sizeof(*f->deployment.object));
	fsm_unpack(f, &deployment_type, row->rest, f->deployment.object);
	return f->deployment.object;
}

void fsm_deployment_touch(struct fsm_work *f)
{
	f->deployment.dirty = true;
}

void fsm_deployment_flush(struct fsm_work *f)
{
	struct deployment *d = f->deployment.object;
	struct deployment_row *row;

	if (d != NULL && f->deployment.dirty) {
		row = writer_edit(&f->w, &state_deployment(view_of(f), &f->deployment.id)->row);
		blob_set(&row->rest, rest_of(f, d));
		row->modify_index = index_of(f);
		row->modify_time_ns = now_of(f);
		writer_put(&f->w, &row->row);
	}
	f->deployment.object = NULL;
	f->deployment.dirty = false;
}

struct deployment_group *fsm_deployment_group(struct deployment *d, const char *name)
{
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		if (strcmp(d->task_groups.keys[i], name) == 0) {
			return &d->task_groups.at[i];
		}
	}
	return NULL;
}

/* ---- making and changing ---- */

bool fsm_deployment_valid(const struct deployment *d)
{
	struct uuid id;

	return uuid_parse(d->id, strlen(d->id), &id) && deployment_status_parse(d->status) >= 0 &&
	       d->job_id[0] != '\0' && strlen(d->job_id) <= JOB_ID_MAX && strlen(d->namespace_) <= NAMESPACE_MAX;
}

/* What has happened is counted here alone: nothing so far. */
static void reset_groups(struct fsm_work *f, struct deployment *d)
{
	struct deployment_group *groups = fsm_scratch(f, d->task_groups.n * sizeof(*groups));
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		groups[i] = d->task_groups.at[i];
		groups[i].placed_allocs = groups[i].healthy_allocs = groups[i].unhealthy_allocs = 0;
		groups[i].placed_canaries.n = 0;
	}
	d->task_groups.at = groups;
}

static void make(struct fsm_work *f, const struct uuid *id, const struct deployment *given)
{
	struct deployment fresh = *given;
	const struct deployment *d = &fresh;
	struct deployment_row *row;
	struct key key;

	key_job(&key, d->namespace_, d->job_id);
	key_number(&key, 0);
	row = (struct deployment_row *)row_new(TABLE_DEPLOYMENTS, key.len);
	memcpy(row->key, key.at, key.len);
	fsm_serial(f, (uint8_t *)row->key + key.len - 8);
	row->id = *id;
	row->create_index = row->modify_index = index_of(f);
	row->create_time_ns = row->modify_time_ns = now_of(f);
	row->job_version = (uint64_t)d->job_version;
	row->job_create_index = (uint64_t)d->job_create_index;
	row->ns_len = (uint16_t)strlen(d->namespace_);
	row->id_len = (uint16_t)strlen(d->job_id);
	row->status = (uint8_t)deployment_status_parse(d->status);
	reset_groups(f, &fresh);
	row->rest = rest_of(f, d);
	writer_put(&f->w, &row->row);
}

/* The numbers that schedulers compute; what has happened so far stays. */
static void take_totals(struct deployment *to, const struct deployment *from)
{
	uint32_t i;

	for (i = 0; i < from->task_groups.n; i++) {
		struct deployment_group *g = fsm_deployment_group(to, from->task_groups.keys[i]);

		if (g != NULL) {
			g->desired_total = from->task_groups.at[i].desired_total;
			g->desired_canaries = from->task_groups.at[i].desired_canaries;
		}
	}
}

void fsm_deployment_put(struct fsm_work *f, const struct deployment *d)
{
	struct deployment *there;
	struct uuid id;

	uuid_parse(d->id, strlen(d->id), &id);
	there = fsm_deployment_open(f, &id);
	if (there == NULL) {
		make(f, &id, d);
		return;
	}
	take_totals(there, d);
	fsm_deployment_touch(f);
}

void fsm_deployment_set_status(struct fsm_work *f, const struct uuid *id, unsigned status, const char *description)
{
	const struct deployment_row *old;
	struct deployment_row *row;
	struct deployment rest;

	fsm_deployment_flush(f);
	old = state_deployment(view_of(f), id);
	if (old == NULL || !deployment_row_active(old)) {
		return;
	}
	row = writer_edit(&f->w, &old->row);
	fsm_unpack(f, &deployment_type, row->rest, &rest);
	rest.status_description = description;
	blob_set(&row->rest, rest_of(f, &rest));
	row->status = (uint8_t)status;
	row->modify_index = index_of(f);
	row->modify_time_ns = now_of(f);
	writer_put(&f->w, &row->row);
}

void fsm_deployment_remove(struct fsm_work *f, const struct deployment_row *row)
{
	if (f->deployment.object != NULL && uuid_equal(&f->deployment.id, &row->id)) {
		f->deployment.object = NULL;
		f->deployment.dirty = false;
	}
	writer_remove(&f->w, &row->row);
}

static void add_canary(struct fsm_work *f, struct deployment_group *g, const struct uuid *id)
{
	uint32_t n = g->placed_canaries.n;
	const char **at = fsm_scratch(f, (n + 1) * sizeof(*at));
	char *text = fsm_scratch(f, UUID_TEXT);

	uuid_format(id, text);
	if (n > 0) {
		memcpy(at, g->placed_canaries.at, n * sizeof(*at));
	}
	at[n] = text;
	g->placed_canaries = (struct strs){at, n + 1};
}

void fsm_deployment_placed(struct fsm_work *f, const struct alloc_row *row)
{
	struct deployment *d = fsm_deployment_open(f, &row->deployment_id);
	struct deployment_group *g = d != NULL ? fsm_deployment_group(d, alloc_row_group(row)) : NULL;

	if (g == NULL) {
		return;
	}
	g->placed_allocs++;
	if ((row->flags & ALLOC_CANARY) != 0) {
		add_canary(f, g, &row->id);
	}
	if (g->require_progress_by == 0 && g->progress_deadline > 0) {
		g->require_progress_by = fsm_later(row->create_time_ns, g->progress_deadline);
	}
	fsm_deployment_touch(f);
}

/* ---- commands ---- */

static const struct deployment_row *find(struct fsm_work *f, const struct bytes *bytes, const char *verb)
{
	const struct deployment_row *row;
	struct uuid id;

	bytes_uuid(bytes, &id);
	row = state_deployment(view_of(f), &id);
	if (row == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "deployment not found");
	} else if (!deployment_row_active(row)) {
		fsm_fail(f, ERR_CONFLICT, "can't %s terminal deployment", verb);
		row = NULL;
	}
	return row;
}

/* The job that a deployment is of, unless another has its name by now. */
static const struct job_row *job_of(struct fsm_work *f, const struct deployment_row *row)
{
	const struct job_row *job = state_job(view_of(f), deployment_row_ns(row), deployment_row_job(row));

	return job != NULL && job->create_index == row->job_create_index ? job : NULL;
}

static void eval_for(struct fsm_work *f, const struct job_row *job, const struct deployment_row *row,
		     const struct uuid *id)
{
	struct new_eval e = {
		.ns = deployment_row_ns(row),
		.job = deployment_row_job(row),
		.type = JOB_TYPE_SERVICE,
		.priority = 50,
		.trigger = EVAL_TRIGGER_DEPLOYMENT_WATCHER,
		.deployment = id,
	};

	if (job != NULL) {
		e.type = job->type;
		e.priority = job->priority;
		e.job_modify_index = job->modify_index;
	}
	fsm_eval_make(f, &e);
}

static void mark_stable(struct fsm_work *f, const struct deployment_row *row)
{
	const struct job_row *job =
		state_job_version(view_of(f), deployment_row_ns(row), deployment_row_job(row), row->job_version);

	if (job != NULL && job->create_index == row->job_create_index) {
		fsm_job_set_stable(f, job, true);
	}
}

/* Back to an older version: of the content that it has, if that is still known. */
static const struct job_row *revert(struct fsm_work *f, const struct job_row *job, const struct deployment_change *p)
{
	const struct job_row *to = NULL;
	const struct job_row *now;

	if (job != NULL && p->revert_to.set) {
		to = state_job_version(view_of(f), job_row_ns(job), job_row_id(job), (uint64_t)p->revert_to.at);
	}
	if (to == NULL || to == job) {
		return job;
	}
	f->result->version = to->version;
	now = fsm_job_revert(f, job, to, p->versions_kept);
	f->result->changed = now != job;
	return now;
}

static void change(struct fsm_work *f, const struct deployment_row *row, const struct deployment_change *p)
{
	struct uuid id = row->id;
	const struct job_row *job;

	fsm_deployment_set_status(f, &id, (unsigned)p->status, p->description);
	if (p->stable) {
		mark_stable(f, row);
	}
	job = revert(f, job_of(f, row), p);
	f->result->job_modify_index = index_of(f);
	if (p->eval) {
		eval_for(f, job, row, &id);
	}
}

static bool change_valid(struct fsm_work *f, const struct deployment_change *p)
{
	if (p->status < 0 || p->status >= DEPLOYMENT_STATUS_COUNT) {
		fsm_fail(f, ERR_INVALID, "malformed change of a deployment");
		return false;
	}
	return true;
}

void fsm_DEPLOYMENT_STATUS(struct fsm_work *f, const struct deployment_change *p)
{
	const struct deployment_row *row = change_valid(f, p) ? find(f, &p->id, p->verb) : NULL;

	if (row != NULL) {
		change(f, row, p);
	}
}

/* ---- promotion ---- */

static bool wanted(const struct deployment_promote *p, const char *group)
{
	uint32_t i;

	for (i = 0; i < p->groups.n; i++) {
		if (strcmp(p->groups.at[i], group) == 0) {
			return true;
		}
	}
	return p->groups.n == 0;
}

static uint32_t healthy_canaries(struct fsm_work *f, const struct deployment_group *g)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < g->placed_canaries.n; i++) {
		const struct alloc_row *alloc;
		struct uuid id;

		uuid_parse(g->placed_canaries.at[i], strlen(g->placed_canaries.at[i]), &id);
		alloc = state_alloc(view_of(f), &id);
		n += alloc != NULL && (alloc->flags & ALLOC_HEALTHY) != 0 && !alloc_row_terminal(alloc);
	}
	return n;
}

/* Tell of every group that stands in the way. Returns how many do. A group without canaries is promoted, too. */
static unsigned check_promotion(struct fsm_work *f, struct deployment *d, const struct deployment_promote *p,
				struct buf *faults)
{
	unsigned n_faults = 0;
	uint32_t i;

	for (i = 0; i < p->groups.n; i++) {
		if (fsm_deployment_group(d, p->groups.at[i]) == NULL) {
			buf_printf(faults, "\t* the deployment has no task group \"%.200s\"\n", p->groups.at[i]);
			n_faults++;
		}
	}
	for (i = 0; i < d->task_groups.n; i++) {
		const struct deployment_group *g = &d->task_groups.at[i];
		const char *name = d->task_groups.keys[i];
		uint32_t healthy;

		if (!wanted(p, name) || g->promoted || g->desired_canaries == 0) {
			continue;
		}
		healthy = healthy_canaries(f, g);
		if (healthy < (uint64_t)g->desired_canaries) {
			buf_printf(faults, "\t* Task group \"%s\" has %u/%lld healthy allocations\n", name, healthy,
				   (long long)g->desired_canaries);
			n_faults++;
		}
	}
	return n_faults;
}

static void promote_canaries(struct fsm_work *f, const struct deployment_group *g)
{
	uint32_t i;

	for (i = 0; i < g->placed_canaries.n; i++) {
		const struct alloc_row *alloc;
		struct alloc_edit e;
		struct uuid id;

		uuid_parse(g->placed_canaries.at[i], strlen(g->placed_canaries.at[i]), &id);
		alloc = state_alloc(view_of(f), &id);
		if (alloc != NULL && (alloc->flags & ALLOC_CANARY) != 0) {
			fsm_alloc_begin(f, &e, alloc);
			e.row->flags &= ~(uint32_t)ALLOC_CANARY;
			e.row->health_index = e.row->alloc_modify_index = index_of(f);
			fsm_alloc_end(f, &e);
		}
	}
}

/* Whoever promotes may have waited for long: the time for progress begins anew. */
static void promote_group(struct fsm_work *f, struct deployment_group *g)
{
	g->promoted = true;
	promote_canaries(f, g);
	if (g->progress_deadline > 0 && g->require_progress_by != 0) {
		g->require_progress_by = fsm_later(now_of(f), g->progress_deadline);
	}
}

static void promote(struct fsm_work *f, struct deployment *d, const struct deployment_promote *p, bool runs)
{
	bool more = false;
	uint32_t i;

	for (i = 0; i < d->task_groups.n; i++) {
		struct deployment_group *g = &d->task_groups.at[i];

		if (wanted(p, d->task_groups.keys[i]) && !g->promoted) {
			promote_group(f, g);
		}
		more = more || (g->desired_canaries > 0 && !g->promoted);
	}
	if (runs && !more) {
		d->status_description = "Deployment is running";
	}
	fsm_deployment_touch(f);
}

void fsm_DEPLOYMENT_PROMOTE(struct fsm_work *f, const struct deployment_promote *p)
{
	const struct deployment_row *row = find(f, &p->id, "promote");
	struct deployment *d = row != NULL ? fsm_deployment_open(f, &row->id) : NULL;
	struct buf faults = {0};
	unsigned n_faults;
	struct uuid id;

	if (d == NULL) {
		return;
	}
	n_faults = check_promotion(f, d, p, &faults);
	if (n_faults > 0) {
		fsm_fail(f, ERR_INVALID, "%u error%s occurred:\n%s\n", n_faults, n_faults == 1 ? "" : "s",
			 buf_text(&faults));
	} else {
		id = row->id;
		promote(f, d, p, row->status == DEPLOYMENT_STATUS_RUNNING);
		fsm_deployment_flush(f);
		f->result->job_modify_index = index_of(f);
		eval_for(f, job_of(f, row), row, &id);
	}
	buf_close(&faults);
}

/* ---- health by hand ---- */

static void refuse_health(struct fsm_work *f, const struct uuid *alloc, bool known, const struct uuid *deployment)
{
	char what[UUID_TEXT];
	char of[UUID_TEXT];

	uuid_format(alloc, what);
	uuid_format(deployment, of);
	if (known) {
		fsm_fail(f, ERR_INVALID, "alloc \"%s\" is not part of deployment \"%s\"", what, of);
	} else {
		fsm_fail(f, ERR_INVALID, "unknown alloc \"%s\"", what);
	}
}

static bool all_of(struct fsm_work *f, const struct deployment_row *row, const struct id_ref *ids, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct alloc_row *alloc;
		struct uuid id;

		bytes_uuid(&ids[i].id, &id);
		alloc = state_alloc(view_of(f), &id);
		if (alloc == NULL || !uuid_equal(&alloc->deployment_id, &row->id)) {
			refuse_health(f, &id, alloc != NULL, &row->id);
			return false;
		}
	}
	return true;
}

static void set_health(struct fsm_work *f, const struct id_ref *ids, uint32_t n, bool healthy, int64_t time_ns)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct alloc_edit e;
		struct uuid id;

		bytes_uuid(&ids[i].id, &id);
		fsm_alloc_begin(f, &e, state_alloc(view_of(f), &id));
		fsm_alloc_set_health(f, e.row, healthy, time_ns);
		fsm_alloc_end(f, &e);
	}
}

void fsm_DEPLOYMENT_HEALTH(struct fsm_work *f, const struct deployment_health *p)
{
	const struct deployment_row *row = find(f, &p->id, "set health of allocations for a");
	int64_t time_ns = p->time_ns != 0 ? p->time_ns : now_of(f);
	struct uuid id;

	if (row == NULL || (p->change != NULL && !change_valid(f, p->change)) ||
	    !all_of(f, row, p->healthy.at, p->healthy.n) || !all_of(f, row, p->unhealthy.at, p->unhealthy.n)) {
		return;
	}
	set_health(f, p->healthy.at, p->healthy.n, true, time_ns);
	set_health(f, p->unhealthy.at, p->unhealthy.n, false, time_ns);
	fsm_deployment_flush(f);
	f->result->job_modify_index = index_of(f);
	if (p->change != NULL) {
		change(f, row, p->change);
	} else {
		id = row->id;
		eval_for(f, job_of(f, row), row, &id);
	}
}

void fsm_DEPLOYMENTS_DELETE(struct fsm_work *f, const struct deployments_delete *p)
{
	struct uuid id;
	uint32_t i;

	for (i = 0; i < p->deployments.n; i++) {
		const struct deployment_row *row;

		bytes_uuid(&p->deployments.at[i].id, &id);
		row = state_deployment(view_of(f), &id);
		if (row != NULL && !deployment_row_active(row)) {
			fsm_deployment_remove(f, row);
			f->result->count++;
		} else {
			f->result->rejected++;
		}
	}
}
