/* Deployments. */
#include "proto/error.h"
#include "server/api_handlers.h"
#include "server/deploy.h"

#define DEPLOYMENT_ASK_FIELDS(X, T)                                                                                    \
	X(T, STR, id, "DeploymentID")                                                                                  \
	X(T, BOOL, pause, "Pause")                                                                                     \
	X(T, BOOL, all, "All")                                                                                         \
	X(T, STRS, groups, "Groups")                                                                                   \
	X(T, STRS, healthy, "HealthyAllocationIDs")                                                                    \
	X(T, STRS, unhealthy, "UnhealthyAllocationIDs")

#define DEPLOYMENT_CHANGED_FIELDS(X, T)                                                                                \
	X(T, STR, eval_id, "EvalID")                                                                                   \
	X(T, INT, eval_create_index, "EvalCreateIndex")                                                                \
	X(T, INT, modify_index, "DeploymentModifyIndex")                                                               \
	X(T, OPTINT, reverted, "RevertedJobVersion")                                                                   \
	X(T, INT, index, "Index")

OBJECT_DECLARE(deployment_ask, DEPLOYMENT_ASK_FIELDS);
OBJECT_DECLARE(deployment_changed, DEPLOYMENT_CHANGED_FIELDS);
OBJECT_DEFINE(deployment_ask, DEPLOYMENT_ASK_FIELDS);
OBJECT_DEFINE(deployment_changed, DEPLOYMENT_CHANGED_FIELDS);

/* ---- reads ---- */

static int find_deployments(struct query *q)
{
	query_table(q, TABLE_DEPLOYMENTS);
	return 0;
}

static void open_deployments(struct query *q, struct rows *r)
{
	rows_deployments(r, q->v, query_prefix(q));
}

static bool match_deployment(const struct query *q, const struct row *row)
{
	return query_ns_is(q, deployment_row_ns((const struct deployment_row *)row));
}

static int get_deployment(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return deployment_row_get((const struct deployment_row *)row, obj, &s->mem);
}

static uint64_t deployment_age(const struct row *row)
{
	return ((const struct deployment_row *)row)->create_index;
}

static struct uuid deployment_id(const struct row *row)
{
	return ((const struct deployment_row *)row)->id;
}

static bool sees_deployment(const struct acl *acl, const struct row *row)
{
	return acl_in_namespace(acl, deployment_row_ns((const struct deployment_row *)row), ACL_READ_JOB);
}

static const struct list_kind deployment_list = {.type = &deployment_type,
						 .open = open_deployments,
						 .match = match_deployment,
						 .sees = sees_deployment,
						 .get = get_deployment,
						 .key = LIST_BY_ID,
						 .age = deployment_age,
						 .id = deployment_id};
const struct query_kind query_deployments = {
	.begin = query_begin_prefix, .find = find_deployments, .list = &deployment_list};

static int find_deployment(struct query *q)
{
	const struct deployment_row *row = state_deployment(q->v, &q->id);

	return query_found(q, TABLE_DEPLOYMENTS, watch_key_id(&q->id), ROW_OF(row),
			   row != NULL ? row->modify_index : 0);
}

static int render_deployment(struct query *q, struct buf *out)
{
	struct deployment d;
	int rv = deployment_row_get(q->row, &d, &q->req->mem);

	if (rv == 0) {
		json_encode(&deployment_type, &d, out);
	}
	return rv;
}

const struct query_kind query_deployment = {.begin = query_begin_id,
					    .find = find_deployment,
					    .render = render_deployment,
					    .missing = "deployment not found"};

/* ---- writes ---- */

/* What all of them have. */
struct change_ask {
	struct write *w;
	struct uuid id;
	struct deployment_ask body;
};

static void answer_changed(struct write *w, const struct apply_result *r)
{
	struct deployment_changed a = {.eval_create_index = (int64_t)r->eval_index,
				       .modify_index = (int64_t)r->index,
				       .index = (int64_t)r->index};

	if (write_refused(w, r)) {
		return;
	}
	a.eval_id = uuid_text(&w->req->mem, &r->eval_id);
	a.reverted = (struct opt){r->changed ? (int64_t)r->version : 0, r->changed};
	answer_object(w->req, &deployment_changed_type, &a, r->index);
}

/* The body names the deployment of the path, if it names one. */
static int ask(struct api *api, struct http_request *req, enum body_need need, struct change_ask *a)
{
	if (path_uuid(req, 0, &a->id) != 0 || body_decode(req, &deployment_ask_type, &a->body, need, NULL) != 0) {
		return ERR_INVALID;
	}
	if (need == BODY_REQUIRED && a->body.id[0] == '\0') {
		http_answer_text(req, 400, "DeploymentID must be specified");
		return ERR_INVALID;
	}
	if (a->body.id[0] != '\0' && strcmp(a->body.id, req->params[0]) != 0) {
		http_answer_text(req, 400, "Deployment ID does not match");
		return ERR_INVALID;
	}
	a->w = write_new(api, req);
	return a->w != NULL ? 0 : ERR_NOMEM;
}

/* `groups`: those whose AutoRevert counts; NULL: all. */
static int with_failure(struct change_ask *a, const struct view *v, const char *reason, const struct strs *groups,
			struct deployment_change *out)
{
	const struct deployment_row *row = state_deployment(v, &a->id);
	int rv = 0;

	object_init(&deployment_change_type, out);
	out->id = uuid_bytes(&a->id);
	out->status = DEPLOYMENT_STATUS_FAILED;
	out->description = reason;
	if (row != NULL) {
		rv = deploy_failure(v, row, reason, groups, out, &a->w->req->mem);
	}
	out->versions_kept = a->w->api->config.versions_kept;
	if (rv != 0) {
		http_answer_error(a->w->req, rv);
	}
	return rv;
}

void serve_deployment_fail(struct api *api, struct http_request *req)
{
	struct deployment_change p;
	struct change_ask a;
	const struct view *v;

	if (ask(api, req, BODY_OPTIONAL, &a) != 0) {
		return;
	}
	v = api->link->ops->view(api->link);
	if (with_failure(&a, v, DEPLOY_FAILED_BY_HAND, NULL, &p) == 0) {
		p.verb = "fail";
		write_propose(a.w, COMMAND_DEPLOYMENT_STATUS, &p, answer_changed);
	}
	view_release(v);
}

void serve_deployment_pause(struct api *api, struct http_request *req)
{
	struct deployment_change p;
	struct change_ask a;

	if (ask(api, req, BODY_REQUIRED, &a) != 0) {
		return;
	}
	object_init(&deployment_change_type, &p);
	p.id = uuid_bytes(&a.id);
	p.status = a.body.pause ? DEPLOYMENT_STATUS_PAUSED : DEPLOYMENT_STATUS_RUNNING;
	p.description = a.body.pause ? "Deployment is paused" : "Deployment is running";
	p.verb = a.body.pause ? "pause" : "resume";
	p.eval = !a.body.pause;
	write_propose(a.w, COMMAND_DEPLOYMENT_STATUS, &p, answer_changed);
}

void serve_deployment_promote(struct api *api, struct http_request *req)
{
	struct deployment_promote p;
	struct change_ask a;

	if (ask(api, req, BODY_REQUIRED, &a) != 0) {
		return;
	}
	if (a.body.all == (a.body.groups.n > 0)) {
		http_answer_text(req, 400, "exactly one of All and Groups must be given");
		return;
	}
	object_init(&deployment_promote_type, &p);
	p.id = uuid_bytes(&a.id);
	p.groups = a.body.groups;
	write_propose(a.w, COMMAND_DEPLOYMENT_PROMOTE, &p, answer_changed);
}

/* Deployments are blocked only by those of other regions, and a cluster is one region: there is none to unblock. What
 * is told is what the newest state says. */
struct unblocking {
	struct core_read read;
	struct api *api;
	struct http_request *req;
	struct uuid id;
};

static void unblock_done(struct core_call *call)
{
	struct unblocking *u = CONTAINER_OF(call, struct unblocking, read.call);
	const struct view *v = u->api->link->ops->view(u->api->link);
	const struct deployment_row *row = state_deployment(v, &u->id);

	if (call->status != 0) {
		api_read_failed(u->api, u->req, call->status);
	} else if (row == NULL) {
		http_answer_text(u->req, 500, "deployment not found");
	} else {
		http_answer_text(u->req, 500, "can't unblock %s deployment",
				 deployment_row_active(row) ? "running" : "terminal");
	}
	view_release(v);
	api_rearm(u->api);
}

void serve_deployment_unblock(struct api *api, struct http_request *req)
{
	struct unblocking *u;
	struct change_ask a;

	if (ask(api, req, BODY_REQUIRED, &a) != 0) {
		return;
	}
	u = arena_calloc(&req->mem, 1, sizeof(*u));
	if (u == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	u->api = api;
	u->req = req;
	u->id = a.id;
	u->read.call.done_cb = unblock_done;
	api->link->ops->read(api->link, &u->read);
}

/* ---- health by hand ---- */

/* The IDs as a payload has them. 0, or answered. */
static int put_ids(struct http_request *req, const struct strs *ids, struct id_ref **out, uint32_t *n)
{
	struct uuid *at = arena_alloc(&req->mem, ids->n * sizeof(*at));

	*out = arena_alloc(&req->mem, ids->n * sizeof(**out));
	if (at == NULL || *out == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	for (*n = 0; *n < ids->n; ++*n) {
		const char *why;

		if (api_uuid(ids->at[*n], &at[*n], &why) != 0) {
			http_answer_text(req, 500, "%s: %s", why, ids->at[*n]);
			return ERR_INVALID;
		}
		(*out)[*n] = (struct id_ref){uuid_bytes(&at[*n])};
	}
	return 0;
}

/* The groups of these allocations. */
static int groups_of(const struct view *v, const struct deployment_health *p, struct arena *mem, struct strs *out)
{
	out->n = 0;
	out->at = arena_alloc(mem, p->unhealthy.n * sizeof(out->at[0]));
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < p->unhealthy.n; i++) {
		const struct alloc_row *alloc;
		struct uuid id;

		bytes_uuid(&p->unhealthy.at[i].id, &id);
		alloc = state_alloc(v, &id);
		if (alloc != NULL) {
			out->at[out->n++] = alloc_row_group(alloc);
		}
	}
	return 0;
}

void serve_deployment_health(struct api *api, struct http_request *req)
{
	struct deployment_change failure;
	struct strs groups;
	struct deployment_health p;
	struct change_ask a;
	const struct view *v;
	int rv = 0;

	if (ask(api, req, BODY_REQUIRED, &a) != 0) {
		return;
	}
	if (a.body.healthy.n == 0 && a.body.unhealthy.n == 0) {
		http_answer_text(req, 500, "must specify at least one healthy/unhealthy allocation ID");
		return;
	}
	object_init(&deployment_health_type, &p);
	if (put_ids(req, &a.body.healthy, &p.healthy.at, &p.healthy.n) != 0 ||
	    put_ids(req, &a.body.unhealthy, &p.unhealthy.at, &p.unhealthy.n) != 0) {
		return;
	}
	p.id = uuid_bytes(&a.id);
	v = api->link->ops->view(api->link);
	if (p.unhealthy.n > 0 && (rv = groups_of(v, &p, &req->mem, &groups)) != 0) {
		http_answer_error(req, rv);
	} else if (p.unhealthy.n > 0) {
		rv = with_failure(&a, v, DEPLOY_FAILED_ALLOCS, &groups, &failure);
		p.change = &failure;
	}
	if (rv == 0) {
		write_propose(a.w, COMMAND_DEPLOYMENT_HEALTH, &p, answer_changed);
	}
	view_release(v);
}
