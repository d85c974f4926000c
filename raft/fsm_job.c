#include <stdio.h>
#include <string.h>

#include "raft/admission.h"
#include "raft/fsm_work.h"

/* ---- versions ---- */

struct version {
	const char *ns;
	const char *id;
	struct blob *spec; /* Its reference is taken. */
	unsigned type;
	int64_t priority;
	unsigned flags;
	uint64_t number;
	uint64_t create_index;
	enum job_status status;
	const char *token_id;
};

static struct blob *extra_with_token(struct fsm_work *f, const char *token_id)
{
	struct job_extra extra = {.status_description = "", .token_id = token_id};

	return fsm_pack(f, &job_extra_type, &extra);
}

static const struct job_row *put_version(struct fsm_work *f, const struct version *v)
{
	struct key key;
	struct job_row *row;

	key_job(&key, v->ns, v->id);
	key_number(&key, v->number);
	row = (struct job_row *)row_new(TABLE_JOBS, key.len);
	memcpy(row->key, key.at, key.len);
	row->ns_len = (uint16_t)strlen(v->ns);
	row->id_len = (uint16_t)strlen(v->id);
	row->create_index = v->create_index;
	row->modify_index = row->job_modify_index = index_of(f);
	row->version = v->number;
	row->submit_time_ns = now_of(f);
	row->flags = (uint16_t)v->flags;
	row->priority = (int16_t)v->priority;
	row->type = (uint8_t)v->type;
	row->status = (uint8_t)v->status;
	row->spec = v->spec;
	row->extra = extra_with_token(f, v->token_id);
	writer_put(&f->w, &row->row);
	return row;
}

static void remove_version(struct fsm_work *f, const struct job_row *row)
{
	struct key key = {.len = 0};

	key_put(&key, row->key, row->row.text_len);
	fsm_object_remove(f, TABLE_SUBMISSIONS, &key);
	writer_remove(&f->w, &row->row);
}

/* The newest stable version that has no tag; NULL if there is none. */
static const struct row *newest_stable(const struct row **versions, size_t n)
{
	while (n-- > 0) {
		if ((((const struct job_row *)versions[n])->flags & (JOB_STABLE | JOB_TAGGED)) == JOB_STABLE) {
			return versions[n];
		}
	}
	return NULL;
}

/* Keep the newest versions and those with tags. When the newest stable one would go, it stays in place of the oldest
 * that would be kept, so that there is something to go back to. */
static void trim_versions(struct fsm_work *f, const struct job_row *job, int64_t limit)
{
	size_t kept = 0;
	size_t n;
	size_t i;
	struct rows r;
	const struct row **versions;
	const struct row *stable;
	size_t max = limit > 0 ? (size_t)limit : VERSIONS_KEPT;

	rows_versions(&r, view_of(f), job_row_ns(job), job_row_id(job));
	versions = fsm_collect(f, &r, &n);
	stable = newest_stable(versions, n);
	for (i = n; i-- > 0;) {
		const struct job_row *version = (const struct job_row *)versions[i];
		bool stable_ahead =
			stable != NULL && max > 1 && ((const struct job_row *)stable)->version < version->version;

		if ((version->flags & JOB_TAGGED) != 0 || versions[i] == stable) {
			kept += versions[i] == stable;
		} else if (kept < max - (stable_ahead ? 1 : 0)) {
			kept++;
		} else {
			remove_version(f, version);
		}
	}
}

static bool spec_is(const struct blob *blob, const void *spec, size_t len)
{
	return blob->len == len && memcmp(blob->data, spec, len) == 0;
}

/* Versions that say the same share their specification. */
static struct blob *shared_spec(struct fsm_work *f, const struct job_row *job, const struct bytes *spec)
{
	uint64_t hash = blob_hash(spec->at, spec->n);
	const struct job_row *version;
	struct rows r;

	rows_versions(&r, view_of(f), job_row_ns(job), job_row_id(job));
	while ((version = job_next(&r)) != NULL) {
		if (version->spec->hash == hash && spec_is(version->spec, spec->at, spec->n)) {
			return blob_ref(version->spec);
		}
	}
	return blob_new(spec->at, spec->n);
}

static const struct job_row *update_from(struct fsm_work *f, const struct job_row *job, struct version *v,
					 int64_t versions_kept)
{
	const struct job_row *now;

	v->ns = job_row_ns(job);
	v->id = job_row_id(job);
	v->type = job->type;
	v->number = job->version + 1;
	v->create_index = job->create_index;
	v->status = (enum job_status)job->status;
	now = put_version(f, v);
	trim_versions(f, now, versions_kept);
	fsm_summary_groups(f, now);
	return now;
}

/* The flags that a new version has of the old one's. */
enum { JOB_NATURE = JOB_PERIODIC | JOB_PERIODIC_ENABLED | JOB_PARAMETERIZED | JOB_DISPATCHED | JOB_CHILD };

const struct job_row *fsm_job_update(struct fsm_work *f, const struct job_row *job, struct blob *spec, unsigned flags,
				     int64_t versions_kept)
{
	struct version v = {.spec = spec, .priority = job->priority, .flags = flags, .token_id = ""};

	return update_from(f, job, &v, versions_kept);
}

static bool says_the_same(const struct job_row *job, const void *spec, size_t len, unsigned flags)
{
	return ((job->flags ^ flags) & JOB_STOP) == 0 && spec_is(job->spec, spec, len);
}

static void put_submission(struct fsm_work *f, const struct job_row *job, const struct submission *submission)
{
	struct key key = {.len = 0};

	if (submission != NULL) {
		key_put(&key, job->key, job->row.text_len);
		fsm_object_put(f, TABLE_SUBMISSIONS, &key, &submission_type, submission);
	}
}

/* The source of the older version is the new one's too. */
const struct job_row *fsm_job_revert(struct fsm_work *f, const struct job_row *job, const struct job_row *to,
				     int64_t versions_kept)
{
	struct version v = {.spec = to->spec,
			    .priority = to->priority,
			    .flags = to->flags & (JOB_NATURE | JOB_STOP),
			    .token_id = ""};
	const struct object_row *source =
		state_submission(view_of(f), job_row_ns(to), job_row_id(to), (uint64_t)to->version);
	struct submission submission;

	if (says_the_same(job, to->spec->data, to->spec->len, to->flags)) {
		return job;
	}
	if (source != NULL) { /* It may go with its version. */
		fsm_unpack(f, &submission_type, source->object, &submission);
	}
	blob_ref(to->spec);
	job = update_from(f, job, &v, versions_kept);
	put_submission(f, job, source != NULL ? &submission : NULL);
	return job;
}

/* ---- changes of a version ---- */

void fsm_job_set_status(struct fsm_work *f, const struct job_row *job, enum job_status status)
{
	enum job_status old = (enum job_status)job->status;
	struct job_row *row;

	if (old == status) {
		return;
	}
	row = writer_edit(&f->w, &job->row);
	row->status = (uint8_t)status;
	row->modify_index = index_of(f);
	writer_put(&f->w, &row->row);
	if ((row->flags & JOB_CHILD) != 0) {
		fsm_summary_child(f, job_row_ns(row), job_row_parent(row), (int)old, (int)status);
	}
}

static void set_flag(struct fsm_work *f, const struct job_row *job, unsigned flag, bool set)
{
	struct job_row *row = writer_edit(&f->w, &job->row);

	row->flags = (uint16_t)(set ? row->flags | flag : row->flags & ~flag);
	row->modify_index = index_of(f);
	writer_put(&f->w, &row->row);
}

void fsm_job_set_stable(struct fsm_work *f, const struct job_row *job, bool stable)
{
	if (((job->flags & JOB_STABLE) != 0) != stable) {
		set_flag(f, job, JOB_STABLE, stable);
	}
}

/* ---- removing ---- */

#define REMOVE_EACH(f, r, T, remove)                                                                                   \
	do {                                                                                                           \
		size_t n_;                                                                                             \
		size_t i_;                                                                                             \
		const struct row **at_ = fsm_collect(f, r, &n_);                                                       \
		for (i_ = 0; i_ < n_; i_++) {                                                                          \
			remove(f, (const struct T *)at_[i_]);                                                          \
		}                                                                                                      \
	} while (0)

static void remove_summary(struct fsm_work *f, const struct job_row *job)
{
	const struct summary_row *s = state_summary(view_of(f), job_row_ns(job), job_row_id(job));

	if (s != NULL) {
		writer_remove(&f->w, &s->row);
	}
}

/* The summary goes first, so that nothing is counted in it; the newest version last, as the indexes have it. */
void fsm_job_remove(struct fsm_work *f, const struct job_row *job)
{
	const char *ns = job_row_ns(job);
	const char *id = job_row_id(job);
	struct key key;
	struct rows r;

	remove_summary(f, job);
	if ((job->flags & JOB_CHILD) != 0) {
		fsm_summary_child(f, ns, job_row_parent(job), job->status, JOB_STATUS_DEAD);
	}
	rows_allocs_of_job(&r, view_of(f), job);
	REMOVE_EACH(f, &r, alloc_row, fsm_alloc_remove);
	rows_evals_of_job(&r, view_of(f), ns, id);
	REMOVE_EACH(f, &r, eval_row, fsm_eval_remove);
	rows_deployments_of_job(&r, view_of(f), ns, id);
	REMOVE_EACH(f, &r, deployment_row, fsm_deployment_remove);
	key_job(&key, ns, id);
	fsm_object_remove(f, TABLE_LAUNCHES, &key);
	fsm_objects_remove(f, TABLE_SCALINGS, &key);
	rows_versions(&r, view_of(f), ns, id);
	REMOVE_EACH(f, &r, job_row, remove_version);
}

static bool collectable(const struct job_row *job, const struct summary_row *s)
{
	return job->status == JOB_STATUS_DEAD && (s == NULL || (s->live_allocs == 0 && s->open_evals == 0));
}

void fsm_JOBS_DELETE(struct fsm_work *f, const struct jobs_delete *p)
{
	uint32_t i;

	for (i = 0; i < p->jobs.n; i++) {
		const char *ns = p->jobs.at[i].namespace_;
		const char *id = p->jobs.at[i].id;
		const struct job_row *job = state_job(view_of(f), ns, id);

		if (job != NULL && collectable(job, state_summary(view_of(f), ns, id))) {
			fsm_job_remove(f, job);
			f->result->count++;
		} else {
			f->result->rejected++;
		}
	}
}

/* ---- registering ---- */

static bool nature_allows(struct fsm_work *f, const struct job_row *job, const struct job_register *p)
{
	char why[ADMISSION_WHY];

	if (!admission_nature(job, p, why)) {
		fsm_fail(f, ERR_INVALID, "%s", why);
	}
	return f->result->status == 0;
}

static bool cas_allows(struct fsm_work *f, const struct job_row *job, const struct job_register *p)
{
	unsigned long long want = (unsigned long long)p->job_modify_index;

	if (!p->enforce) {
		return true;
	}
	if (job == NULL && want != 0) {
		fsm_fail(f, ERR_CONFLICT, "Enforcing job modify index %llu: job does not exist", want);
	} else if (job != NULL && want == 0) {
		fsm_fail(f, ERR_CONFLICT, "Enforcing job modify index 0: job already exists");
	} else if (job != NULL && job->job_modify_index != want) {
		fsm_fail(f, ERR_CONFLICT,
			 "Enforcing job modify index %llu: job exists with conflicting job modify index: %llu", want,
			 (unsigned long long)job->job_modify_index);
	}
	return f->result->status == 0;
}

/* What the proposer made sure of; a command that does not hold it was not made by job_register_fill(). */
static bool well_formed(struct fsm_work *f, const struct job_register *p)
{
	bool ok = p->id[0] != '\0' && strlen(p->id) <= JOB_ID_MAX && strlen(p->namespace_) <= NAMESPACE_MAX &&
		  p->type >= 0 && p->type < JOB_TYPE_COUNT && p->priority >= INT16_MIN && p->priority <= INT16_MAX &&
		  p->version >= 0 && p->flags >= 0 && (p->flags & ~(int64_t)(JOB_NATURE | JOB_STOP)) == 0 &&
		  p->trigger >= 0 && p->trigger < EVAL_TRIGGER_COUNT && job_spec_valid(p->spec.at, p->spec.n);

	if (!ok) {
		fsm_fail(f, ERR_INVALID, "malformed registration of job \"%.200s\"", p->id);
	}
	return ok;
}

static bool surroundings_allow(struct fsm_work *f, const struct job_register *p)
{
	const struct job_row *parent;
	char why[ADMISSION_WHY];

	if (!admission_place(view_of(f), p, why)) {
		fsm_fail(f, ERR_INVALID, "%s", why);
	} else if ((p->flags & JOB_DISPATCHED) != 0) {
		parent = state_job(view_of(f), p->namespace_, p->parent);
		if (parent == NULL || (parent->flags & (JOB_PARAMETERIZED | JOB_STOP)) != JOB_PARAMETERIZED) {
			fsm_fail(f, ERR_INVALID, "parameterized job not found");
		}
	}
	return f->result->status == 0;
}

/* The child of the same parent that was dispatched with this token. */
static const struct job_row *dispatched_with(struct fsm_work *f, const struct job_register *p)
{
	struct buf prefix = {0};
	const struct job_row *child;
	struct rows r;

	buf_printf(&prefix, "%s/dispatch-", p->parent);
	rows_jobs(&r, view_of(f), p->namespace_, buf_text(&prefix));
	do {
		child = job_next(&r);
	} while (child != NULL &&
		 (strcmp(job_row_token(child), p->token) != 0 || strcmp(job_row_parent(child), p->parent) != 0));
	buf_close(&prefix);
	return child;
}

static const struct job_row *register_new(struct fsm_work *f, const struct job_register *p)
{
	struct version v = {
		.ns = p->namespace_,
		.id = p->id,
		.spec = blob_new(p->spec.at, p->spec.n),
		.type = (unsigned)p->type,
		.priority = p->priority,
		.flags = (unsigned)p->flags,
		.number = (uint64_t)p->version,
		.create_index = index_of(f),
		.status = JOB_STATUS_PENDING,
		.token_id = p->token_id,
	};
	const struct job_row *job = put_version(f, &v);

	fsm_summary_make(f, job);
	if ((job->flags & JOB_CHILD) != 0) {
		fsm_summary_child(f, p->namespace_, p->parent, -1, JOB_STATUS_PENDING);
	}
	return job;
}

static const struct job_row *register_changed(struct fsm_work *f, const struct job_row *job,
					      const struct job_register *p)
{
	struct version v = {
		.spec = shared_spec(f, job, &p->spec),
		.priority = p->priority,
		.flags = (unsigned)p->flags,
		.token_id = p->token_id,
	};

	return update_from(f, job, &v, p->versions_kept);
}

/* A summary is touched, so that the job gets its status also when it gets no evaluation. */
static void look_at_status(struct fsm_work *f, const struct job_row *job)
{
	struct summary_row *s = fsm_summary_begin(f, job_row_ns(job), job_row_id(job));

	if (s != NULL) {
		fsm_summary_end(f, s, false);
	}
}

/* After a job has a new version, or was registered as it is. */
static void finish_register(struct fsm_work *f, const struct job_row *job, bool changed, unsigned trigger,
			    int64_t priority)
{
	f->result->changed = changed;
	f->result->version = job->version;
	f->result->job_modify_index = changed ? index_of(f) : job->modify_index;
	if (job_row_runs(job)) {
		fsm_eval_for(f, job, trigger, priority);
	} else {
		look_at_status(f, job);
	}
}

static bool answer_token(struct fsm_work *f, const struct job_register *p)
{
	const struct job_row *child = NULL;

	if (p->token[0] != '\0' && (p->flags & JOB_DISPATCHED) != 0) {
		child = dispatched_with(f, p);
	}
	if (child == NULL) {
		return false;
	}
	f->result->job_modify_index = child->modify_index;
	snprintf(f->result->text, sizeof(f->result->text), "%s", job_row_id(child));
	return true;
}

void fsm_JOB_REGISTER(struct fsm_work *f, const struct job_register *p)
{
	const struct job_row *job = state_job(view_of(f), p->namespace_, p->id);
	bool changed;

	if (!well_formed(f, p) || !surroundings_allow(f, p) || !cas_allows(f, job, p) ||
	    (job != NULL && !nature_allows(f, job, p)) || answer_token(f, p)) {
		return;
	}
	changed = job == NULL || !says_the_same(job, p->spec.at, p->spec.n, (unsigned)p->flags);
	if (job == NULL) {
		job = register_new(f, p);
	} else if (changed) {
		job = register_changed(f, job, p);
	}
	if (changed) {
		put_submission(f, job, p->submission);
	}
	if (p->launch_ns != 0 && p->parent[0] != '\0') {
		fsm_launch_put(f, p->namespace_, p->parent, p->launch_ns);
	}
	finish_register(f, job, changed, (unsigned)p->trigger, p->eval_priority);
}

/* ---- stopping ---- */

/* Also those that are being stopped already: their delay is cut short. */
static void mark_no_shutdown_delay(struct fsm_work *f, const struct job_row *job)
{
	size_t n;
	size_t i;
	struct rows r;
	const struct row **allocs;

	rows_allocs_of_job(&r, view_of(f), job);
	allocs = fsm_collect(f, &r, &n);
	for (i = 0; i < n; i++) {
		const struct alloc_row *alloc = (const struct alloc_row *)allocs[i];

		if (!alloc_row_client_terminal(alloc)) {
			fsm_alloc_set_flags(f, alloc, alloc->flags | ALLOC_NO_SHUTDOWN_DELAY);
		}
	}
}

static void eval_of_stop(struct fsm_work *f, const struct job_row *job, int64_t priority)
{
	struct new_eval e = {
		.ns = job_row_ns(job),
		.job = job_row_id(job),
		.type = JOB_TYPE_SERVICE, /* Whatever the job was: it only goes. So clients know it. */
		.priority = priority != 0 ? priority : job->priority,
		.trigger = EVAL_TRIGGER_JOB_DEREGISTER,
		.job_modify_index = index_of(f),
	};

	if (job_row_runs(job)) {
		fsm_eval_make(f, &e);
	}
}

void fsm_JOB_DEREGISTER(struct fsm_work *f, const struct job_deregister *p)
{
	const struct job_row *job = state_job(view_of(f), p->namespace_, p->id);

	if (job == NULL) {
		return;
	}
	f->result->job_modify_index = index_of(f);
	f->result->changed = true;
	if (p->purge) {
		fsm_job_remove(f, job);
		eval_of_stop(f, job, p->eval_priority); /* The row stays readable until the entry is applied. */
		return;
	}
	if (p->no_shutdown_delay) {
		mark_no_shutdown_delay(f, job);
	}
	job = fsm_job_update(f, job, blob_ref(job->spec), (job->flags & JOB_NATURE) | JOB_STOP, p->versions_kept);
	f->result->version = job->version;
	look_at_status(f, job);
	eval_of_stop(f, job, p->eval_priority);
}

/* ---- versions, by their number ---- */

static void fail_version(struct fsm_work *f, const char *ns, const char *id, int64_t version)
{
	fsm_fail(f, ERR_NOTFOUND, "job \"%s\" in namespace \"%s\" at version %lld not found", id, ns,
		 (long long)version);
}

void fsm_JOB_REVERT(struct fsm_work *f, const struct job_revert *p)
{
	const struct job_row *job = state_job(view_of(f), p->namespace_, p->id);
	const struct job_row *to = state_job_version(view_of(f), p->namespace_, p->id, (uint64_t)p->version);
	const struct job_row *now;

	if (job == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "job \"%s\" not found", p->id);
	} else if (to == job) {
		fsm_fail(f, ERR_INVALID, "can't revert to current version");
	} else if (to == NULL) {
		fail_version(f, p->namespace_, p->id, p->version);
	} else if (p->enforce_prior.set && (uint64_t)p->enforce_prior.at != job->version) {
		fsm_fail(f, ERR_CONFLICT, "Current job has version %llu; enforcing version %lld",
			 (unsigned long long)job->version, (long long)p->enforce_prior.at);
	} else {
		now = fsm_job_revert(f, job, to, p->versions_kept);
		finish_register(f, now, now != job, EVAL_TRIGGER_JOB_REGISTER, p->eval_priority);
	}
}

void fsm_JOB_STABLE(struct fsm_work *f, const struct job_stable *p)
{
	const struct job_row *job = state_job_version(view_of(f), p->namespace_, p->id, (uint64_t)p->version);

	if (job == NULL) {
		fail_version(f, p->namespace_, p->id, p->version);
		return;
	}
	fsm_job_set_stable(f, job, p->stable);
	f->result->job_modify_index = index_of(f);
}

/* ---- tags ---- */

static const char *tag_of(struct fsm_work *f, const struct job_row *job)
{
	struct job_extra extra;

	if ((job->flags & JOB_TAGGED) == 0) {
		return NULL;
	}
	fsm_unpack(f, &job_extra_type, job->extra, &extra);
	return extra.tag != NULL ? extra.tag->name : NULL;
}

static const struct job_row *tagged_version(struct fsm_work *f, const char *ns, const char *id, const char *name)
{
	const struct job_row *version;
	struct rows r;

	rows_versions(&r, view_of(f), ns, id);
	while ((version = job_next(&r)) != NULL) {
		const char *tag = tag_of(f, version);

		if (tag != NULL && strcmp(tag, name) == 0) {
			break;
		}
	}
	return version;
}

static void set_tag(struct fsm_work *f, const struct job_row *job, struct version_tag *tag)
{
	struct job_row *row = writer_edit(&f->w, &job->row);
	struct job_extra extra;

	fsm_unpack(f, &job_extra_type, row->extra, &extra);
	extra.tag = tag;
	blob_set(&row->extra, fsm_pack(f, &job_extra_type, &extra));
	row->flags = (uint16_t)(tag != NULL ? row->flags | JOB_TAGGED : row->flags & ~JOB_TAGGED);
	row->modify_index = index_of(f);
	writer_put(&f->w, &row->row);
}

void fsm_JOB_TAG(struct fsm_work *f, const struct job_tag *p)
{
	struct version_tag tag = {p->name, p->description, now_of(f)};
	const struct job_row *tagged = tagged_version(f, p->namespace_, p->id, p->name);
	const struct job_row *job = state_job(view_of(f), p->namespace_, p->id);

	if (job == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "job \"%s\" not found", p->id);
		return;
	}
	if (p->unset) {
		if (tagged == NULL) {
			fsm_fail(f, ERR_NOTFOUND, "tag \"%s\" not found on job \"%s\"", p->name, p->id);
		} else {
			set_tag(f, tagged, NULL);
		}
		return;
	}
	if (p->version.set) {
		job = state_job_version(view_of(f), p->namespace_, p->id, (uint64_t)p->version.at);
	}
	if (job == NULL) {
		fail_version(f, p->namespace_, p->id, p->version.at);
	} else if (tagged != NULL && tagged != job) {
		fsm_fail(f, ERR_EXISTS, "tag \"%s\" already exists on a different version of job \"%s\"", p->name,
			 p->id);
	} else {
		set_tag(f, job, &tag);
	}
}

/* ---- evaluating ---- */

static void force_reschedule(struct fsm_work *f, const struct job_row *job)
{
	size_t n;
	size_t i;
	struct rows r;
	const struct row **allocs;

	rows_allocs_of_job(&r, view_of(f), job);
	allocs = fsm_collect(f, &r, &n);
	for (i = 0; i < n; i++) {
		const struct alloc_row *alloc = (const struct alloc_row *)allocs[i];
		struct alloc_edit e;

		if (alloc->client == ALLOC_CLIENT_FAILED &&
		    (alloc->flags & (ALLOC_REPLACED | ALLOC_FORCE_RESCHEDULE)) == 0) {
			fsm_alloc_begin(f, &e, alloc);
			e.row->flags |= ALLOC_FORCE_RESCHEDULE;
			fsm_alloc_end(f, &e);
		}
	}
}

void fsm_JOB_EVALUATE(struct fsm_work *f, const struct job_evaluate *p)
{
	const struct job_row *job = state_job(view_of(f), p->namespace_, p->id);

	if (job == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "job not found");
	} else if ((job->flags & JOB_PERIODIC) != 0) {
		fsm_fail(f, ERR_INVALID, "can't evaluate periodic job");
	} else if ((job->flags & JOB_PARAMETERIZED) != 0) {
		fsm_fail(f, ERR_INVALID, "can't evaluate parameterized job");
	} else {
		if (p->force_reschedule) {
			force_reschedule(f, job);
		}
		f->result->job_modify_index = job->modify_index;
		fsm_eval_for(f, job, EVAL_TRIGGER_JOB_REGISTER, p->eval_priority);
	}
}

/* ---- scaling ---- */

static void put_scaling_event(struct fsm_work *f, const struct job_scale *p)
{
	const struct object_row *old = state_scaling(view_of(f), p->namespace_, p->id, p->group);
	struct scaling_events before;
	struct scaling_events after;
	struct key key;
	char eval_id[UUID_TEXT];
	uint32_t keep;

	fsm_unpack(f, &scaling_events_type, old != NULL ? old->object : NULL, &before);
	keep = before.events.n < SCALING_EVENTS_MAX - 1 ? before.events.n : SCALING_EVENTS_MAX - 1;
	after.events.at = fsm_scratch(f, (keep + 1) * sizeof(struct scaling_event));
	after.events.n = keep + 1;
	after.events.at[0] = *p->event;
	if (keep > 0) {
		memcpy(after.events.at + 1, before.events.at, keep * sizeof(struct scaling_event));
	}
	uuid_format(&f->result->eval_id, eval_id);
	after.events.at[0].eval_id = eval_id;
	after.events.at[0].time = now_of(f);
	after.events.at[0].create_index = (int64_t)index_of(f);
	key_job(&key, p->namespace_, p->id);
	key_text(&key, p->group);
	fsm_object_put(f, TABLE_SCALINGS, &key, &scaling_events_type, &after);
}

static bool scale_allowed(struct fsm_work *f, const struct job_row *job, const struct job_scale *p)
{
	if (job == NULL) {
		fsm_fail(f, ERR_NOTFOUND, "job \"%s\" not found", p->id);
	} else if (strlen(p->group) > GROUP_NAME_MAX || job_row_group_find(job, p->group) < 0) {
		fsm_fail(f, ERR_INVALID, "task group \"%.200s\" does not exist in job", p->group);
	} else if (p->event == NULL || (p->spec.n > 0 && !job_spec_valid(p->spec.at, p->spec.n))) {
		fsm_fail(f, ERR_INVALID, "malformed scaling of job \"%s\"", p->id);
	} else if (p->spec.n > 0 && job->job_modify_index != (uint64_t)p->job_modify_index) {
		fsm_fail(f, ERR_CONFLICT, "job \"%s\" has changed meanwhile", p->id);
	}
	return f->result->status == 0;
}

void fsm_JOB_SCALE(struct fsm_work *f, const struct job_scale *p)
{
	const struct job_row *job = state_job(view_of(f), p->namespace_, p->id);

	if (!scale_allowed(f, job, p)) {
		return;
	}
	f->result->job_modify_index = job->modify_index;
	if (p->spec.n > 0) {
		job = fsm_job_update(f, job, shared_spec(f, job, &p->spec), job->flags & (JOB_NATURE | JOB_STOP),
				     p->versions_kept);
		finish_register(f, job, true, EVAL_TRIGGER_SCALING, 0);
	}
	put_scaling_event(f, p);
}
