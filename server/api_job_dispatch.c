/* Dispatching: children of a parameterized job. */
#include <ctype.h>

#include "proto/error.h"
#include "server/api_handlers.h"
#include "server/api_job_draft.h"

#define DISPATCH_REQUEST_FIELDS(X, T)                                                                                  \
	X(T, STR, job_id, "JobID")                                                                                     \
	X(T, BYTES, payload, "Payload")                                                                                \
	X(T, MAP, meta, "Meta")                                                                                        \
	X(T, STR, prefix, "IdPrefixTemplate")                                                                          \
	X(T, INT, priority, "Priority")                                                                                \
	X(T, STR, token, "IdempotencyToken")

#define DISPATCH_ANSWER_FIELDS(X, T)                                                                                   \
	X(T, STR, child, "DispatchedJobID")                                                                            \
	X(T, STR, eval_id, "EvalID")                                                                                   \
	X(T, INT, eval_create_index, "EvalCreateIndex")                                                                \
	X(T, INT, job_create_index, "JobCreateIndex")                                                                  \
	X(T, INT, index, "Index")

OBJECT_DECLARE(dispatch_request, DISPATCH_REQUEST_FIELDS);
OBJECT_DECLARE(dispatch_answer, DISPATCH_ANSWER_FIELDS);
OBJECT_DEFINE(dispatch_request, DISPATCH_REQUEST_FIELDS);
OBJECT_DEFINE(dispatch_answer, DISPATCH_ANSWER_FIELDS);

enum { PREFIX_MAX = 64 };

/* ---- checks ---- */

static bool name_in(const struct strs *list, const char *name)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (strcmp(list->at[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static const char *meta_value(const struct map *map, const char *key)
{
	for (uint32_t i = 0; i < map->n; i++) {
		if (strcmp(map->at[i].key, key) == 0) {
			return map->at[i].value;
		}
	}
	return NULL;
}

/* "[a b]" */
static void put_name(struct buf *out, const char *name)
{
	buf_printf(out, "%s%s", out->len == 0 ? "[" : " ", name);
}

static void find_unpermitted(const struct parameterized_job *p, const struct map *meta, struct buf *out)
{
	for (uint32_t i = 0; i < meta->n; i++) {
		if (!name_in(&p->meta_required, meta->at[i].key) && !name_in(&p->meta_optional, meta->at[i].key)) {
			put_name(out, meta->at[i].key);
		}
	}
}

static void find_missing(const struct parameterized_job *p, const struct map *meta, struct buf *out)
{
	for (uint32_t i = 0; i < p->meta_required.n; i++) {
		if (meta_value(meta, p->meta_required.at[i]) == NULL) {
			put_name(out, p->meta_required.at[i]);
		}
	}
}

static void check_meta(const struct parameterized_job *p, const struct map *meta, struct buf *why)
{
	struct buf names = {0};

	find_unpermitted(p, meta, &names);
	if (names.len > 0) {
		buf_printf(why, "Dispatch request included unpermitted metadata keys: %s]", buf_text(&names));
		buf_close(&names);
		return;
	}
	find_missing(p, meta, &names);
	if (names.len > 0) {
		buf_printf(why, "Dispatch did not provide required meta keys: %s]", buf_text(&names));
	}
	buf_close(&names);
}

/* Why the request does not fit the parent; nothing if it does. */
static void check(const struct job *parent, const struct dispatch_request *r, struct buf *why)
{
	const struct parameterized_job *p = parent->parameterized;

	if (!job_is_parameterized(parent)) {
		buf_printf(why, "Specified job \"%s\" is not a parameterized job", parent->id);
	} else if (parent->stop) {
		buf_printf(why, "Specified job \"%s\" is stopped", parent->id);
	} else if (strcmp(p->payload, "required") == 0 && r->payload.n == 0) {
		buf_str(why, "Payload is not provided but required by parameterized job");
	} else if (strcmp(p->payload, "forbidden") == 0 && r->payload.n > 0) {
		buf_str(why, "Payload provided but forbidden by parameterized job");
	} else if (r->payload.n > DISPATCH_PAYLOAD_MAX) {
		buf_printf(why, "Payload exceeds maximum size; %u > %d", r->payload.n, DISPATCH_PAYLOAD_MAX);
	} else if (r->priority < 0 || r->priority > 100) {
		buf_str(why, "job priority must be between [1, 100]");
	} else {
		check_meta(p, &r->meta, why);
	}
}

static bool prefix_is_valid(const char *prefix)
{
	size_t len = strlen(prefix);

	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)prefix[i])) {
			return false;
		}
	}
	return len <= PREFIX_MAX;
}

/* ---- the child ---- */

/* The parent's, with the request's laid over them: both are sorted by key. */
static int merge_meta(const struct map *below, const struct map *over, struct map *out, struct arena *mem)
{
	uint32_t i = 0;
	uint32_t k = 0;

	out->n = 0;
	out->at = arena_calloc(mem, (size_t)below->n + over->n, sizeof(out->at[0]));
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	while (i < below->n || k < over->n) {
		int c = i == below->n ? 1 : k == over->n ? -1 : strcmp(below->at[i].key, over->at[k].key);

		out->at[out->n++] = c < 0 ? below->at[i] : over->at[k];
		i += c <= 0;
		k += c >= 0;
	}
	return 0;
}

static const char *child_id(struct api *api, const struct job *parent, const char *prefix, struct arena *mem)
{
	unsigned random = (unsigned)api->env.random(api->env.ctx);
	long long now_s = (long long)(api_wall(api) / NS_PER_S);

	return arena_printf(mem, "%s/dispatch-%s%s%lld-%08x", parent->id, prefix, prefix[0] != '\0' ? "-" : "", now_s,
			    random);
}

/* The parent becomes the child in place. */
static int make_child(struct api *api, struct job *job, const struct dispatch_request *r, const char *token,
		      struct arena *mem)
{
	const char *id = child_id(api, job, r->prefix, mem);
	struct map meta;

	if (id == NULL || merge_meta(&job->meta, &r->meta, &meta, mem) != 0) {
		return ERR_NOMEM;
	}
	job->parent_id = job->id;
	job->id = job->name = id;
	job->meta = meta;
	job->payload = r->payload;
	job->dispatched = true;
	job->dispatch_idempotency_token = token;
	job->nomad_token_id = "";
	if (r->priority != 0) {
		job->priority = r->priority;
	}
	return 0;
}

/* ---- the answer ---- */

struct dispatching {
	const char *id; /* Of the child. */
};

static void answer_dispatched(struct write *w, const struct apply_result *r)
{
	const struct dispatching *d = w->own;
	struct dispatch_answer a;

	if (write_refused(w, r)) {
		return;
	}
	object_init(&dispatch_answer_type, &a);
	a.child = r->text[0] != '\0' ? r->text : d->id; /* One that had the same token. */
	a.eval_id = uuid_text(&w->req->mem, &r->eval_id);
	a.eval_create_index = (int64_t)r->eval_index;
	a.job_create_index = (int64_t)r->job_modify_index;
	a.index = (int64_t)r->index;
	answer_object(w->req, &dispatch_answer_type, &a, r->index);
}

static void propose(struct write *w, struct job *child)
{
	struct dispatching *d = arena_alloc(&w->req->mem, sizeof(*d));
	struct job_register p;
	int rv = d != NULL ? job_register_fill(&p, child, &w->req->mem) : ERR_NOMEM;

	if (rv == ERR_TOOBIG) {
		http_answer_text(w->req, 400, "IdPrefixTemplate is too long: the ID of the child may have %d bytes",
				 JOB_ID_MAX);
		return;
	}
	if (rv != 0) {
		http_answer_error(w->req, rv);
		return;
	}
	d->id = child->id;
	w->own = d;
	p.versions_kept = w->api->config.versions_kept;
	write_propose(w, COMMAND_JOB_REGISTER, &p, answer_dispatched);
}

/* ---- dispatching ---- */

static void dispatch_from(struct write *w, const struct job_row *row, const struct dispatch_request *r)
{
	struct http_request *req = w->req;
	const char *asked = http_query(req, "idempotency_token");
	const char *token = asked != NULL && asked[0] != '\0' ? asked : r->token;
	struct buf why = {0};
	struct job job;
	int rv = job_row_get(row, &job, &req->mem);

	if (rv == 0) {
		check(&job, r, &why);
		if (why.len == 0) {
			rv = make_child(w->api, &job, r, token, &req->mem);
		}
	}
	if (rv != 0 || why.failed) {
		http_answer_error(req, rv != 0 ? rv : ERR_NOMEM);
	} else if (why.len > 0) {
		http_answer_text(req, 500, "%s", buf_text(&why));
	} else {
		propose(w, &job);
	}
	buf_close(&why);
}

static void dispatch_in(struct write *w, const struct view *v, const struct dispatch_request *r)
{
	const struct job_row *row = state_job(v, w->ns, w->req->params[0]);

	if (!registration_is_open(w->req, v)) {
		return;
	}
	if (row == NULL) {
		http_answer_text(w->req, 500, "parameterized job not found");
	} else {
		dispatch_from(w, row, r);
	}
}

static void dispatch(struct api *api, struct http_request *req, const struct dispatch_request *r)
{
	struct write *w = write_new(api, req);
	const struct view *v;

	if (w != NULL) {
		v = api->link->ops->view(api->link);
		dispatch_in(w, v, r);
		view_release(v);
	}
}

void serve_job_dispatch(struct api *api, struct http_request *req)
{
	struct dispatch_request r;

	if (body_decode(req, &dispatch_request_type, &r, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (r.job_id[0] != '\0' && strcmp(r.job_id, req->params[0]) != 0) {
		http_answer_text(req, 400, "Job ID does not match");
	} else if (!prefix_is_valid(r.prefix)) {
		http_answer_text(req, 400,
				 "IdPrefixTemplate is longer than %d characters, or has some that are not allowed",
				 PREFIX_MAX);
	} else {
		dispatch(api, req, &r);
	}
}

/* The body is the payload itself. */
void serve_job_dispatch_payload(struct api *api, struct http_request *req)
{
	struct dispatch_request r;

	if (req->body_len > UINT32_MAX) {
		http_answer_error(req, ERR_TOOBIG);
		return;
	}
	object_init(&dispatch_request_type, &r);
	r.payload = (struct bytes){(const uint8_t *)req->body, (uint32_t)req->body_len};
	dispatch(api, req, &r);
}
