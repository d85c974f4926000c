#include <stdlib.h>
#include <string.h>

#include "raft/fsm_work.h"

enum { MARK_TOUCHED = 2 }; /* Beside the writer's own. */

/* ---- making ---- */

static size_t summary_text_len(unsigned groups, size_t key_len)
{
	return (size_t)groups * N_GROUP_COUNTS * sizeof(uint32_t) + key_len;
}

static void put_names(struct buf *names, const struct job_row *job)
{
	unsigned i;

	for (i = 0; i < job_row_groups(job); i++) {
		buf_put(names, job_row_group(job, i), strlen(job_row_group(job, i)) + 1);
	}
}

static struct blob *blob_of(struct buf *b)
{
	struct blob *blob;

	if (b->failed) {
		state_malloc(SIZE_MAX);
	}
	blob = blob_new(b->at != NULL ? b->at : "", b->len);
	buf_close(b);
	return blob;
}

/* A job of that name may have been purged and left the evaluation of its end. */
static void count_evals(struct fsm_work *f, struct summary_row *s, const struct job_row *job)
{
	const struct eval_row *eval;
	struct rows r;

	rows_evals_of_job(&r, view_of(f), job_row_ns(job), job_row_id(job));
	while ((eval = eval_next(&r)) != NULL) {
		s->evals++;
		s->open_evals += !eval_row_terminal(eval);
		s->blocked_evals += eval->status == EVAL_STATUS_BLOCKED;
	}
}

/* Likewise a parent, and its children stay. */
static void count_children(struct fsm_work *f, struct summary_row *s, const struct job_row *job)
{
	struct buf prefix = {0};
	const struct job_row *child;
	struct rows r;

	if (job_row_runs(job)) {
		return;
	}
	buf_printf(&prefix, "%s/", job_row_id(job));
	rows_jobs(&r, view_of(f), job_row_ns(job), buf_text(&prefix));
	while ((child = job_next(&r)) != NULL) {
		if ((child->flags & JOB_CHILD) != 0 && strcmp(job_row_parent(child), job_row_id(job)) == 0) {
			s->children[child->status]++;
		}
	}
	buf_close(&prefix);
}

void fsm_summary_make(struct fsm_work *f, const struct job_row *job)
{
	size_t key_len = (size_t)job->ns_len + job->id_len + 2;
	unsigned groups = job_row_groups(job);
	struct summary_row *s = (struct summary_row *)row_new(TABLE_SUMMARIES, summary_text_len(groups, key_len));
	struct buf names = {0};

	s->create_index = s->modify_index = index_of(f);
	s->ns_len = job->ns_len;
	s->id_len = job->id_len;
	s->groups = (uint16_t)groups;
	memcpy((char *)(uintptr_t)summary_row_ns(s), job->key, key_len);
	put_names(&names, job);
	s->names = blob_of(&names);
	count_evals(f, s, job);
	count_children(f, s, job);
	writer_put(&f->w, &s->row);
}

static bool has_group(const struct summary_row *s, const char *name)
{
	const char *at = (const char *)s->names->data;
	unsigned i;

	for (i = 0; i < s->groups; i++, at += strlen(at) + 1) {
		if (strcmp(at, name) == 0) {
			return true;
		}
	}
	return false;
}

void fsm_summary_groups(struct fsm_work *f, const struct job_row *job)
{
	const struct summary_row *old = state_summary(view_of(f), job_row_ns(job), job_row_id(job));
	size_t key_len = (size_t)job->ns_len + job->id_len + 2;
	struct summary_row *s;
	struct buf names = {0};
	unsigned groups;
	unsigned i;

	if (old == NULL) {
		fsm_summary_make(f, job);
		return;
	}
	groups = old->groups;
	buf_put(&names, old->names->data, old->names->len);
	for (i = 0; i < job_row_groups(job); i++) {
		const char *name = job_row_group(job, i);

		if (!has_group(old, name)) {
			buf_put(&names, name, strlen(name) + 1);
			groups++;
		}
	}
	if (groups == old->groups || groups > UINT16_MAX / (N_GROUP_COUNTS * sizeof(uint32_t)) / 2) {
		buf_close(&names);
		return;
	}
	s = writer_resize(&f->w, &old->row, summary_text_len(groups, key_len));
	memset(s->count + (size_t)old->groups * N_GROUP_COUNTS, 0,
	       (size_t)(groups - old->groups) * N_GROUP_COUNTS * sizeof(uint32_t));
	s->groups = (uint16_t)groups;
	memcpy((char *)(uintptr_t)summary_row_ns(s), summary_row_ns(old), key_len);
	blob_set(&s->names, blob_of(&names));
	fsm_summary_end(f, s, true);
}

/* ---- editing ---- */

struct summary_row *fsm_summary_begin(struct fsm_work *f, const char *ns, const char *id)
{
	const struct summary_row *s = state_summary(view_of(f), ns, id);

	return s != NULL ? writer_edit(&f->w, &s->row) : NULL;
}

static void touch(struct fsm_work *f, struct summary_row *s)
{
	if ((s->row.mark & MARK_TOUCHED) != 0) {
		return;
	}
	s->row.mark |= MARK_TOUCHED;
	if (f->touched.n == f->touched.cap) {
		unsigned cap = f->touched.cap == 0 ? 64 : f->touched.cap * 2;

		f->touched.at = state_grow(f->touched.at, f->touched.n * sizeof(struct summary_row *),
					   cap * sizeof(struct summary_row *));
		f->touched.cap = cap;
	}
	f->touched.at[f->touched.n++] = s;
}

void fsm_summary_end(struct fsm_work *f, struct summary_row *s, bool visible)
{
	if (visible) {
		s->modify_index = index_of(f);
	}
	writer_put(&f->w, &s->row);
	touch(f, s);
}

uint32_t *fsm_summary_group(struct summary_row *s, const char *group)
{
	const char *name = (const char *)s->names->data;
	unsigned i;

	for (i = 0; i < s->groups; i++, name += strlen(name) + 1) {
		if (strcmp(name, group) == 0) {
			return s->count + (size_t)i * N_GROUP_COUNTS;
		}
	}
	return NULL;
}

void fsm_summary_child(struct fsm_work *f, const char *ns, const char *parent, int old, int now)
{
	struct summary_row *s = old != now ? fsm_summary_begin(f, ns, parent) : NULL;

	if (s == NULL) {
		return;
	}
	if (old >= 0 && s->children[old] > 0) {
		s->children[old]--;
	}
	if (now >= 0) {
		s->children[now]++;
	}
	fsm_summary_end(f, s, true);
}

/* ---- the status that follows ---- */

/* A service goes on until it is stopped, and does not become pending again when it is looked at once more. */
static enum job_status service_status(const struct job_row *job, const struct summary_row *s)
{
	bool waits = s->open_evals > s->blocked_evals && job->status != JOB_STATUS_RUNNING;

	return waits ? JOB_STATUS_PENDING : JOB_STATUS_RUNNING;
}

static enum job_status derive_status(const struct job_row *job, const struct summary_row *s)
{
	bool stop = (job->flags & JOB_STOP) != 0;

	if (job->type == JOB_TYPE_SYSTEM || !job_row_runs(job)) {
		return stop ? JOB_STATUS_DEAD : JOB_STATUS_RUNNING;
	}
	if (s->live_allocs > 0) {
		return JOB_STATUS_RUNNING;
	}
	if (job->type == JOB_TYPE_SERVICE && !stop) {
		return service_status(job, s);
	}
	return s->open_evals > 0 ? JOB_STATUS_PENDING : JOB_STATUS_DEAD;
}

/* Summaries that the command has replaced or removed since are still readable. A parent whose child's status changes
 * comes to the end of the list. */
void fsm_settle(struct fsm_work *f)
{
	unsigned i;

	for (i = 0; i < f->touched.n; i++) {
		struct summary_row *touched = f->touched.at[i];
		const char *ns = summary_row_ns(touched);
		const char *id = summary_row_id(touched);
		const struct summary_row *s = state_summary(view_of(f), ns, id);
		const struct job_row *job = state_job(view_of(f), ns, id);

		touched->row.mark &= (uint8_t)~MARK_TOUCHED;
		if (s != NULL && job != NULL) {
			fsm_job_set_status(f, job, derive_status(job, s));
		}
	}
	f->touched.n = 0;
}
