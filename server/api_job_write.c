/* Writes about one job, but for registering and dispatching. */
#include "proto/error.h"
#include "server/api_handlers.h"
#include "server/api_job_draft.h"

#define REVERT_REQUEST_FIELDS(X, T)                                                                                    \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, INT, version, "JobVersion")                                                                               \
	X(T, OPTINT, enforce_prior, "EnforcePriorVersion")

#define STABLE_REQUEST_FIELDS(X, T)                                                                                    \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, INT, version, "JobVersion")                                                                               \
	X(T, BOOL, stable, "Stable")

#define TAG_REQUEST_FIELDS(X, T)                                                                                       \
	X(T, OPTINT, version, "Version")                                                                               \
	X(T, STR, description, "Description")

#define SCALE_TARGET_FIELDS(X, T)                                                                                      \
	X(T, STR, group, "Group")                                                                                      \
	X(T, STR, job, "Job")                                                                                          \
	X(T, STR, namespace_, "Namespace")

#define SCALE_REQUEST_FIELDS(X, T)                                                                                     \
	X(T, OPTINT, count, "Count")                                                                                   \
	X(T, OBJ(scale_target), target, "Target")                                                                      \
	X(T, STR, message, "Message")                                                                                  \
	X(T, BOOL, error, "Error")                                                                                     \
	X(T, ANY, meta, "Meta")

#define INDEX_ANSWER_FIELDS(X, T) X(T, INT, index, "Index")

#define FORCE_ANSWER_FIELDS(X, T)                                                                                      \
	X(T, STR, eval_id, "EvalID")                                                                                   \
	X(T, INT, eval_create_index, "EvalCreateIndex")                                                                \
	X(T, INT, index, "Index")

#define TAG_ANSWER_FIELDS(X, T)                                                                                        \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, description, "Description")                                                                          \
	X(T, INT, tagged_time, "TaggedTime")                                                                           \
	X(T, INT, index, "Index")

OBJECT_DECLARE(revert_request, REVERT_REQUEST_FIELDS);
OBJECT_DECLARE(stable_request, STABLE_REQUEST_FIELDS);
OBJECT_DECLARE(tag_request, TAG_REQUEST_FIELDS);
OBJECT_DECLARE(scale_target, SCALE_TARGET_FIELDS);
OBJECT_DECLARE(scale_request, SCALE_REQUEST_FIELDS);
OBJECT_DECLARE(index_answer, INDEX_ANSWER_FIELDS);
OBJECT_DECLARE(force_answer, FORCE_ANSWER_FIELDS);
OBJECT_DECLARE(tag_answer, TAG_ANSWER_FIELDS);
OBJECT_DEFINE(revert_request, REVERT_REQUEST_FIELDS);
OBJECT_DEFINE(stable_request, STABLE_REQUEST_FIELDS);
OBJECT_DEFINE(tag_request, TAG_REQUEST_FIELDS);
OBJECT_DEFINE(scale_target, SCALE_TARGET_FIELDS);
OBJECT_DEFINE(scale_request, SCALE_REQUEST_FIELDS);
OBJECT_DEFINE(index_answer, INDEX_ANSWER_FIELDS);
OBJECT_DEFINE(force_answer, FORCE_ANSWER_FIELDS);
OBJECT_DEFINE(tag_answer, TAG_ANSWER_FIELDS);

void answer_index(struct write *w, const struct apply_result *r)
{
	struct index_answer a = {(int64_t)r->index};

	if (!write_refused(w, r)) {
		answer_object(w->req, &index_answer_type, &a, r->index);
	}
}

static const char *job_id(const struct write *w)
{
	return w->req->params[0];
}

/* The body names the job of the path, and a version that there can be. */
static bool names_job(struct http_request *req, const char *id, int64_t version)
{
	const char *why = id[0] == '\0'                     ? "JobID must be specified"
			  : strcmp(id, req->params[0]) != 0 ? "Job ID does not match"
			  : version < 0                     ? "JobVersion can't be negative"
							    : NULL;

	if (why != NULL) {
		http_answer_text(req, 400, "%s", why);
	}
	return why == NULL;
}

/* ---- stopping ---- */

static void answer_deleted(struct write *w, const struct apply_result *r)
{
	struct job_deregistered a;

	if (write_refused(w, r)) {
		return;
	}
	object_init(&job_deregistered_type, &a);
	a.eval_id = uuid_text(&w->req->mem, &r->eval_id);
	/* Of a parent, too, whose stop makes no evaluation. */
	a.eval_create_index = (int64_t)(r->eval_index != 0 ? r->eval_index : r->job_modify_index);
	a.job_modify_index = (int64_t)r->job_modify_index;
	a.index = r->job_modify_index != 0 ? (int64_t)r->index : 0; /* 0: there was nothing to stop. */
	answer_object(w->req, &job_deregistered_type, &a, (uint64_t)a.index);
}

void serve_job_delete(struct api *api, struct http_request *req)
{
	struct job_deregister p;
	struct write *w = write_new(api, req);
	bool global = false; /* In all regions: there is one. */

	if (w == NULL) {
		return;
	}
	object_init(&job_deregister_type, &p);
	if (http_query_bool(req, "purge", &p.purge) != 0 || http_query_bool(req, "global", &global) != 0 ||
	    http_query_bool(req, "no_shutdown_delay", &p.no_shutdown_delay) != 0 ||
	    http_query_int(req, "eval_priority", &p.eval_priority) != 0) {
		http_answer_text(req, 500, "%s", req->error);
		return;
	}
	if (!eval_priority_is_valid(req, p.eval_priority)) {
		return;
	}
	p.namespace_ = w->ns;
	p.id = job_id(w);
	p.versions_kept = api->config.versions_kept;
	write_propose(w, COMMAND_JOB_DEREGISTER, &p, answer_deleted);
}

/* ---- versions ---- */

void serve_job_revert(struct api *api, struct http_request *req)
{
	struct revert_request body;
	struct job_revert p;
	struct write *w;

	if (body_decode(req, &revert_request_type, &body, BODY_REQUIRED, NULL) != 0 ||
	    !names_job(req, body.job_id, body.version)) {
		return;
	}
	if (body.enforce_prior.set && body.enforce_prior.at < 0) {
		http_answer_text(req, 400, "EnforcePriorVersion can't be negative");
		return;
	}
	w = write_new(api, req);
	if (w != NULL) {
		object_init(&job_revert_type, &p);
		p.namespace_ = w->ns;
		p.id = job_id(w);
		p.version = body.version;
		p.enforce_prior = body.enforce_prior;
		p.versions_kept = api->config.versions_kept;
		write_propose(w, COMMAND_JOB_REVERT, &p, answer_reverted);
	}
}

void serve_job_stable(struct api *api, struct http_request *req)
{
	struct stable_request body;
	struct job_stable p;
	struct write *w;

	if (body_decode(req, &stable_request_type, &body, BODY_REQUIRED, NULL) != 0 ||
	    !names_job(req, body.job_id, body.version)) {
		return;
	}
	w = write_new(api, req);
	if (w != NULL) {
		p = (struct job_stable){w->ns, job_id(w), body.version, body.stable};
		write_propose(w, COMMAND_JOB_STABLE, &p, answer_index);
	}
}

static void answer_tagged(struct write *w, const struct apply_result *r)
{
	const struct job_tag *p = w->own;
	struct tag_answer a = {p->name, p->description, api_wall(w->api), (int64_t)r->index};

	if (!write_refused(w, r)) {
		answer_object(w->req, &tag_answer_type, &a, r->index);
	}
}

static void tag(struct write *w, const struct tag_request *body, bool unset)
{
	struct job_tag *p = arena_alloc(&w->req->mem, sizeof(*p));

	if (p == NULL) {
		http_answer_error(w->req, ERR_NOMEM);
		return;
	}
	*p = (struct job_tag){w->ns, job_id(w), body->version, w->req->params[1], body->description, unset};
	w->own = p;
	write_propose(w, COMMAND_JOB_TAG, p, answer_tagged);
}

void serve_job_tag(struct api *api, struct http_request *req)
{
	struct tag_request body;
	struct write *w;

	if (body_decode(req, &tag_request_type, &body, BODY_OPTIONAL, NULL) != 0) {
		return;
	}
	if (body.version.set && body.version.at < 0) {
		http_answer_text(req, 400, "Version can't be negative");
		return;
	}
	w = write_new(api, req);
	if (w != NULL) {
		tag(w, &body, false);
	}
}

void serve_job_untag(struct api *api, struct http_request *req)
{
	struct write *w = write_new(api, req);
	struct tag_request none;

	object_init(&tag_request_type, &none);
	if (w != NULL) {
		tag(w, &none, true);
	}
}

/* ---- evaluating ---- */

void serve_job_evaluate(struct api *api, struct http_request *req)
{
	struct evaluate_request body;
	struct job_evaluate p;
	struct write *w;
	bool given;

	if (body_decode(req, &evaluate_request_type, &body, BODY_OPTIONAL, &given) != 0) {
		return;
	}
	if (given && body.job_id[0] == '\0') {
		http_answer_text(req, 400, "Job ID must be specified");
	} else if (given && strcmp(body.job_id, req->params[0]) != 0) {
		http_answer_text(req, 400, "JobID not same as job name");
	} else if ((w = write_new(api, req)) != NULL) {
		object_init(&job_evaluate_type, &p);
		p.namespace_ = w->ns;
		p.id = job_id(w);
		p.force_reschedule = body.eval_options != NULL && body.eval_options->force_reschedule;
		write_propose(w, COMMAND_JOB_EVALUATE, &p, answer_registered);
	}
}

/* ---- launching ---- */

struct forcing {
	struct core_action core;
	struct api *api;
	struct http_request *req;
};

static void force_done(struct core_call *call)
{
	struct forcing *f = CONTAINER_OF(call, struct forcing, core.call);
	const struct apply_result *r = &f->core.result;
	struct api *api = f->api;
	struct force_answer a = {"", (int64_t)r->eval_index, (int64_t)r->index};

	if (call->status != 0 && f->core.text != NULL) {
		http_answer_text(f->req, 500, "%s", f->core.text);
	} else if (call->status != 0) {
		write_failed(api, f->req, call->status, false);
	} else if (r->status != 0) {
		http_answer_text(f->req, 500, "%s", r->text[0] != '\0' ? r->text : error_text(r->status));
	} else {
		a.eval_id = uuid_text(&f->req->mem, &r->eval_id);
		answer_object(f->req, &force_answer_type, &a, r->index);
	}
	api_rearm(api);
}

void serve_job_force(struct api *api, struct http_request *req)
{
	struct forcing *f = arena_calloc(&req->mem, 1, sizeof(*f));
	const char *ns = http_query(req, "namespace");

	if (f == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	f->api = api;
	f->req = req;
	f->core.kind = CORE_FORCE_LAUNCH;
	f->core.ns = ns != NULL && ns[0] != '\0' ? ns : "default";
	f->core.id = req->params[0];
	f->core.mem = &req->mem;
	f->core.call.done_cb = force_done;
	api->link->ops->action(api->link, &f->core);
}

/* ---- scaling ---- */

enum { SCALE_EVENT_MAX = 64 << 10 }; /* Bytes that an event may say: a group keeps some of them. */

enum { SCALE_TRIES = 64 }; /* Of those who scale at once one gets through each time. */

struct scaling {
	struct write *w;
	struct scale_request body;
	unsigned tries;
};

static void scale(struct scaling *s);

/* The job has changed since its specification was read: once more with the new one. */
static void answer_scaled(struct write *w, const struct apply_result *r)
{
	struct scaling *s = w->own;

	if (r->status == ERR_CONFLICT && ++s->tries < SCALE_TRIES) {
		scale(s);
		return;
	}
	w->own = NULL; /* No warnings. */
	answer_registered(w, r);
}

/* An active deployment that has placed something: one that has not leaves nothing half done. */
static bool deployment_stands_in_the_way(const struct view *v, const struct job_row *job, struct arena *mem)
{
	const struct deployment_row *row = state_latest_deployment(v, job_row_ns(job), job_row_id(job));
	int64_t placed = 0;
	struct deployment d;

	if (row == NULL || row->job_create_index != job->create_index || !deployment_row_active(row)) {
		return false;
	}
	if (deployment_row_get(row, &d, mem) != 0) {
		return true;
	}
	for (uint32_t i = 0; i < d.task_groups.n; i++) {
		placed += d.task_groups.at[i].placed_allocs;
	}
	return placed > 0;
}

/* The reason why the job cannot be scaled so; NULL: it can. */
static const char *why_not(struct scaling *s, const struct view *v, const struct job_row *row,
			   const struct task_group *g)
{
	struct arena *mem = &s->w->req->mem;
	const struct scaling_policy *policy = g != NULL ? g->scaling : NULL;
	int64_t count = s->body.count.at;

	if (row->type == JOB_TYPE_SYSTEM || row->type == JOB_TYPE_SYSBATCH) {
		return arena_printf(mem, "cannot scale jobs of type \"%s\"", job_type_text(row->type));
	}
	if (g == NULL) {
		return arena_printf(mem, "task group \"%s\" specified for scaling does not exist in job",
				    s->body.target->group);
	}
	if (!s->body.count.set) {
		return NULL;
	}
	if (policy != NULL && count < (policy->min.set ? policy->min.at : g->count)) {
		return arena_printf(mem, "group count was less than scaling policy minimum: %lld < %lld",
				    (long long)count, (long long)(policy->min.set ? policy->min.at : g->count));
	}
	if (policy != NULL && policy->max.set && count > policy->max.at) {
		return arena_printf(mem, "group count was greater than scaling policy maximum: %lld > %lld",
				    (long long)count, (long long)policy->max.at);
	}
	return deployment_stands_in_the_way(v, row, mem) ? "job scaling blocked due to active deployment" : NULL;
}

static void propose_scale(struct scaling *s, const struct job_row *row, struct job *job, struct task_group *g)
{
	struct scaling_event event = {.count = s->body.count,
				      .previous_count = g->count,
				      .message = s->body.message,
				      .error = s->body.error,
				      .meta = s->body.meta,
				      .eval_id = ""};
	struct buf spec = {0};
	struct job_scale p;

	object_init(&job_scale_type, &p);
	p.namespace_ = s->w->ns;
	p.id = job_id(s->w);
	p.group = g->name;
	p.job_modify_index = (int64_t)row->job_modify_index;
	p.event = &event;
	p.versions_kept = s->w->api->config.versions_kept;
	if (s->body.count.set) {
		g->count = s->body.count.at;
		job_spec_encode(job, &spec);
		p.spec = (struct bytes){(const uint8_t *)spec.at, (uint32_t)spec.len};
	}
	if (spec.failed) {
		http_answer_error(s->w->req, ERR_NOMEM);
	} else {
		write_propose(s->w, COMMAND_JOB_SCALE, &p, answer_scaled);
	}
	buf_close(&spec);
}

static const char *why_not_so_many(struct scaling *s, const struct job *job, struct task_group *g)
{
	int64_t was = g->count;
	const char *why = NULL;

	g->count = s->body.count.at;
	if (!job_total_count_fits(s->w->api, job)) {
		why = arena_printf(&s->w->req->mem, JOB_TOTAL_COUNT_FAULT, (long long)job_total_count(job),
				   (long long)s->w->api->config.count_max);
	}
	g->count = was;
	return why;
}

static void scale_in(struct scaling *s, const struct view *v)
{
	const struct job_row *row = state_job(v, s->w->ns, job_id(s->w));
	struct http_request *req = s->w->req;
	struct task_group *g;
	const char *why;
	struct job job;
	int rv;

	if (row == NULL) {
		http_answer_text(req, 404, "job \"%s\" not found", job_id(s->w));
		return;
	}
	rv = job_row_get(row, &job, &req->mem);
	if (rv != 0) {
		http_answer_error(req, rv);
		return;
	}
	g = job_group(&job, s->body.target->group);
	why = why_not(s, v, row, g);
	if (why == NULL && g != NULL && s->body.count.set) {
		why = why_not_so_many(s, &job, g);
	}
	if (why != NULL) {
		http_answer_text(req, 400, "%s", why);
	} else if (g != NULL) {
		propose_scale(s, row, &job, g);
	} else {
		http_answer_error(req, ERR_NOMEM); /* There was none to say why. */
	}
}

static void scale(struct scaling *s)
{
	struct api *api = s->w->api;
	const struct view *v = api->link->ops->view(api->link);

	if (registration_is_open(s->w->req, v)) {
		scale_in(s, v);
	}
	view_release(v);
}

/* What the body may say again is what the request says. */
static bool says_the_same(const char *again, const char *said)
{
	return again[0] == '\0' || strcmp(again, said) == 0;
}

static bool scale_makes_sense(struct http_request *req, const struct scale_request *body)
{
	const char *ns = http_query(req, "namespace");
	const char *why = NULL;

	if (body->target != NULL && !says_the_same(body->target->job, req->params[0])) {
		why = "job ID in payload did not match URL";
	} else if (body->target != NULL &&
		   !says_the_same(body->target->namespace_, ns != NULL && ns[0] != '\0' ? ns : "default")) {
		why = "namespace in payload did not match header";
	} else if (body->target == NULL || body->target->group[0] == '\0') {
		why = "missing task group name for scaling action";
	} else if (body->error && body->count.set) {
		why = "scaling action should not contain count if error is true";
	} else if (body->count.set && body->count.at < 0) {
		why = "scaling action count can't be negative";
	} else if (strlen(body->message) + strlen(body->meta) > SCALE_EVENT_MAX) {
		why = "Message and Meta of a scaling action must not be longer than 65536 bytes together";
	}
	if (why != NULL) {
		http_answer_text(req, 400, "%s", why);
	}
	return why == NULL;
}

void serve_job_scale(struct api *api, struct http_request *req)
{
	struct scaling *s = arena_calloc(&req->mem, 1, sizeof(*s));

	if (s == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	if (body_decode(req, &scale_request_type, &s->body, BODY_REQUIRED, NULL) != 0 ||
	    !scale_makes_sense(req, &s->body)) {
		return;
	}
	s->w = write_new(api, req);
	if (s->w != NULL) {
		s->w->own = s;
		scale(s);
	}
}
