/* The dry run of a job. */
#include <stdlib.h>

#include "proto/diff.h"
#include "proto/error.h"
#include "server/api_handlers.h"
#include "server/api_job_draft.h"

#define PLAN_ANSWER_FIELDS(X, T)                                                                                       \
	X(T, OBJ(plan_annotations), annotations, "Annotations")                                                        \
	X(T, OBJMAP(alloc_metric), failed, "FailedTGAllocs")                                                           \
	X(T, INT, job_modify_index, "JobModifyIndex")                                                                  \
	X(T, LIST(evaluation), evals, "CreatedEvals")                                                                  \
	X(T, OBJ(job_diff), diff, "Diff")                                                                              \
	X(T, TIME, next_launch, "NextPeriodicLaunch")                                                                  \
	X(T, STR, warnings, "Warnings")                                                                                \
	X(T, INT, index, "Index")                                                                                      \
	X(T, INT, last_contact, "LastContact")                                                                         \
	X(T, BOOL, known_leader, "KnownLeader")

OBJECT_DECLARE(plan_answer, PLAN_ANSWER_FIELDS);
OBJECT_DEFINE(plan_answer, PLAN_ANSWER_FIELDS);

/* A plan under way. The worker fills an arena of its own. */
struct planning {
	struct core_plan core;
	struct api *api;
	struct http_request *req;
	struct job_draft draft;
	struct arena mem;
	const struct view *v; /* What the job is compared with. */
};

static void end(struct planning *p)
{
	view_release(p->v);
	draft_close(&p->draft);
	arena_close(&p->mem);
	free(p);
}

/* ---- the answer ---- */

static int64_t zone_offset(void *ctx, int64_t unix_s)
{
	const struct planning *p = ctx;

	return p->api->env.zone_offset_s(p->api->env.ctx, p->draft.job->periodic->time_zone, unix_s);
}

static int64_t next_launch(struct planning *p)
{
	cron_offset_cb offset = p->api->env.zone_offset_s != NULL ? zone_offset : NULL;
	int64_t next;

	if (!job_is_periodic(p->draft.job)) {
		return 0;
	}
	next = periodic_next(p->draft.job->periodic, api_wall(p->api) / NS_PER_S, offset, p);
	return next < 0 ? 0 : next * NS_PER_S;
}

static int make_diff(struct planning *p, const struct job_row *row, struct plan_answer *a)
{
	struct job was;
	int rv = row != NULL ? job_row_get(row, &was, &p->mem) : 0;

	a->diff = arena_calloc(&p->mem, 1, sizeof(*a->diff));
	if (rv == 0 && a->diff == NULL) {
		rv = ERR_NOMEM;
	}
	if (rv == 0) {
		rv = job_diff(row != NULL ? &was : NULL, p->draft.job, true, &p->mem, a->diff);
	}
	return rv != 0 ? rv : job_diff_annotate(a->diff, &p->core.preview.annotations, &p->mem);
}

static int make_answer(struct planning *p, struct plan_answer *a)
{
	const struct job *job = p->draft.job;
	const struct job_row *row = state_job(p->v, job->namespace_, job->id);

	object_init(&plan_answer_type, a);
	a->annotations = &p->core.preview.annotations;
	memcpy(&a->failed, &p->core.preview.failed, sizeof(a->failed));
	memcpy(&a->evals, &p->core.preview.evals, sizeof(a->evals));
	a->job_modify_index = row != NULL ? (int64_t)row->job_modify_index : 0;
	a->index = row != NULL ? (int64_t)row->job_modify_index : 0; /* Of the job as it is: nothing is written. */
	a->next_launch = next_launch(p);
	a->warnings = buf_text(&p->draft.warnings);
	return p->draft.request.diff ? make_diff(p, row, a) : 0;
}

static void plan_done(struct core_call *call)
{
	struct planning *p = CONTAINER_OF(call, struct planning, core.call);
	struct api *api = p->api;
	struct plan_answer a;
	int rv = call->status;

	if (rv == 0) {
		rv = make_answer(p, &a);
	}
	if (rv == 0) {
		answer_object(p->req, &plan_answer_type, &a, (uint64_t)a.index);
	} else {
		write_failed(api, p->req, rv, false);
	}
	end(p);
	api_rearm(api);
}

/* ---- beginning ---- */

static void start(struct api *api, struct http_request *req, struct planning *p)
{
	int rv = draft_complete(api, req, p->v, &p->draft);
	char why[ADMISSION_WHY] = "";

	if (rv == 0 && p->draft.faults.len == 0) {
		rv = draft_admit(req, p->v, &p->draft, true, why);
	}
	if (why[0] != '\0') {
		http_answer_text(req, 500, "%s", why);
	} else if (rv != 0) {
		http_answer_error(req, rv);
	} else if (p->draft.faults.len > 0) {
		http_answer_text(req, 500, "%s", buf_text(&p->draft.faults));
	} else {
		p->core.job = p->draft.job;
		p->core.mem = &p->mem;
		p->core.call.done_cb = plan_done;
		api->link->ops->plan(api->link, &p->core);
		return;
	}
	end(p);
}

static int read_for_plan(struct http_request *req, struct job_draft *d)
{
	if (draft_read(req, d) != 0 || draft_needs_id(req, d, "Job must have a valid ID") != 0) {
		return ERR_INVALID;
	}
	if (strcmp(d->job->id, req->params[0]) != 0) {
		http_answer_text(req, 400, "Job ID does not match");
		return ERR_INVALID;
	}
	return 0;
}

void serve_job_plan(struct api *api, struct http_request *req)
{
	struct job_draft d;
	struct planning *p;

	if (read_for_plan(req, &d) != 0 || !draft_region_is_ours(api, req, &d)) {
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		draft_close(&d);
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	p->api = api;
	p->req = req;
	p->draft = d;
	p->v = api->link->ops->view(api->link);
	start(api, req, p);
}
