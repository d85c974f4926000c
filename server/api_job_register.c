/* Registering and validating jobs. */
#include "proto/error.h"
#include "proto/faults.h"
#include "server/api_handlers.h"
#include "server/api_job_draft.h"

#define VALIDATE_ANSWER_FIELDS(X, T)                                                                                   \
	X(T, BOOL, driver_config_validated, "DriverConfigValidated")                                                   \
	X(T, STRS, validation_errors, "ValidationErrors")                                                              \
	X(T, STR, error, "Error")                                                                                      \
	X(T, STR, warnings, "Warnings")

OBJECT_DECLARE(validate_answer, VALIDATE_ANSWER_FIELDS);
OBJECT_DEFINE(validate_answer, VALIDATE_ANSWER_FIELDS);

static void answer_as(struct write *w, const struct apply_result *r, unsigned headers)
{
	struct http_response res = {.has = headers, .index = r->index};
	const char *warnings = w->own;
	struct job_registered a;

	if (write_refused(w, r)) {
		return;
	}
	object_init(&job_registered_type, &a);
	a.eval_id = uuid_text(&w->req->mem, &r->eval_id);
	a.eval_create_index = (int64_t)r->eval_index;
	a.job_modify_index = (int64_t)r->job_modify_index;
	a.warnings = warnings != NULL ? warnings : "";
	a.index = (int64_t)r->index;
	json_encode(&job_registered_type, &a, &res.body);
	http_answer(w->req, &res);
}

void answer_registered(struct write *w, const struct apply_result *r)
{
	answer_as(w, r, HTTP_HAS_INDEX);
}

void answer_reverted(struct write *w, const struct apply_result *r)
{
	answer_as(w, r, HTTP_HAS_READ);
}

bool eval_priority_is_valid(struct http_request *req, int64_t priority)
{
	if (priority != 0 && (priority < 1 || priority > 100)) {
		http_answer_text(req, 400, "Eval priority must be between 1 and 100 inclusively");
		return false;
	}
	return true;
}

bool registration_is_open(struct http_request *req, const struct view *v)
{
	struct scheduler_config config;
	int rv = state_scheduler_config(v, &config, &req->mem);

	if (rv != 0) {
		http_answer_error(req, rv);
		return false;
	}
	if (config.reject_job_registration) {
		http_answer_text(req, 403,
				 "Job registration, dispatch, and scale are disabled by the scheduler configuration");
		return false;
	}
	return true;
}

/* A source that is too long is left out, and the client is told so. */
static struct submission *source_of(struct api *api, struct job_draft *d)
{
	struct submission *s = d->request.submission;
	size_t len = s != NULL ? strlen(s->source) + strlen(s->variables) : 0;

	if (len <= api->config.source_bytes_max) {
		return s;
	}
	buf_printf(&d->warnings, "%sJob source of %zu bytes exceeds the maximum of %zu bytes and will be discarded",
		   d->warnings.len > 0 ? "\n* " : "1 warning:\n\n* ", len, api->config.source_bytes_max);
	return NULL;
}

static void propose(struct write *w, struct job_draft *d)
{
	struct job_register p;
	int rv = job_register_fill(&p, d->job, &w->req->mem);

	if (rv == ERR_TOOBIG) {
		http_answer_text(w->req, 500, DRAFT_TOO_LARGE);
		return;
	}
	if (rv != 0) {
		http_answer_error(w->req, rv);
		return;
	}
	p.versions_kept = w->api->config.versions_kept;
	p.enforce = d->request.enforce_index;
	p.job_modify_index = d->request.job_modify_index;
	p.eval_priority = d->request.eval_priority;
	p.submission = source_of(w->api, d);
	w->own = arena_strdup(&w->req->mem, buf_text(&d->warnings));
	write_propose(w, COMMAND_JOB_REGISTER, &p, answer_registered);
}

static void register_job(struct api *api, struct http_request *req, struct job_draft *d)
{
	const struct view *v = api->link->ops->view(api->link);
	struct write *w = NULL;
	int rv = 0;

	if (registration_is_open(req, v)) {
		rv = draft_complete(api, req, v, d);
		if (rv != 0) {
			http_answer_error(req, rv);
		} else if (d->faults.len > 0) {
			http_answer_text(req, 500, "%s", buf_text(&d->faults));
		} else if (d->is_new && d->job->dispatched) {
			http_answer_text(req, 500, "job can't be submitted with 'Dispatched' set");
		} else {
			w = write_new(api, req);
		}
	}
	view_release(v);
	if (w != NULL) {
		propose(w, d);
	}
	draft_close(d);
}

static bool has_scaling(const struct job *job)
{
	for (uint32_t i = 0; i < job->task_groups.n; i++) {
		if (job->task_groups.at[i].scaling != NULL) {
			return true;
		}
	}
	return false;
}

static int read_for_register(struct api *api, struct http_request *req, struct job_draft *d, const char *id)
{
	if (draft_read(req, d) != 0 || draft_needs_id(req, d, "Job ID hasn't been provided") != 0) {
		return ERR_INVALID;
	}
	if (id != NULL && strcmp(id, d->job->id) != 0) {
		http_answer_text(req, 400, "Job ID does not match name");
		return ERR_INVALID;
	}
	if (strcmp(d->job->type, "system") == 0 && has_scaling(d->job)) {
		http_answer_text(req, 400, "Task groups with job type system do not support scaling blocks");
		return ERR_INVALID;
	}
	if (d->request.job_modify_index < 0) {
		http_answer_text(req, 400, "JobModifyIndex can't be negative");
		return ERR_INVALID;
	}
	if (!eval_priority_is_valid(req, d->request.eval_priority)) {
		return ERR_INVALID;
	}
	return draft_region_is_ours(api, req, d) ? 0 : ERR_INVALID;
}

void serve_jobs_register(struct api *api, struct http_request *req)
{
	struct job_draft d;

	if (read_for_register(api, req, &d, NULL) == 0) {
		register_job(api, req, &d);
	}
}

void serve_job_register(struct api *api, struct http_request *req)
{
	struct job_draft d;

	if (read_for_register(api, req, &d, req->params[0]) == 0) {
		register_job(api, req, &d);
	}
}

/* ---- validating ---- */

/* Faults of its surroundings, when it has none of its own. */
static int validate_place(struct http_request *req, const struct view *v, struct job_draft *d)
{
	char why[ADMISSION_WHY];
	struct faults f = {0};
	int rv = draft_admit(req, v, d, false, why);

	if (rv != ERR_INVALID) {
		return rv;
	}
	faults_add(&f, "%s", why);
	faults_text(&f, &d->faults);
	faults_close(&f);
	return d->faults.failed ? ERR_NOMEM : 0;
}

static void answer_validated(struct http_request *req, struct job_draft *d)
{
	struct validate_answer a;

	object_init(&validate_answer_type, &a);
	a.driver_config_validated = true;
	a.warnings = buf_text(&d->warnings);
	a.error = d->faults.len > 0 ? buf_text(&d->faults) : "";
	if (faults_split(a.error, &a.validation_errors, &req->mem) != 0) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	answer_object(req, &validate_answer_type, &a, 0);
}

void serve_job_validate(struct api *api, struct http_request *req)
{
	struct job_draft d;
	const struct view *v;
	int rv;

	if (draft_read(req, &d) != 0) {
		return;
	}
	v = api->link->ops->view(api->link);
	rv = draft_complete(api, req, v, &d);
	if (rv == 0 && d.faults.len == 0) {
		rv = validate_place(req, v, &d);
	}
	view_release(v);
	if (rv != 0) {
		http_answer_error(req, rv);
	} else {
		answer_validated(req, &d);
	}
	draft_close(&d);
}
