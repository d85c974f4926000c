/* Nodes and node pools. */
#include "proto/error.h"
#include "server/api_handlers.h"

#define DRAIN_REQUEST_FIELDS(X, T)                                                                                     \
	X(T, STR, node_id, "NodeID")                                                                                   \
	X(T, OBJ(drain_strategy), strategy, "DrainSpec")                                                               \
	X(T, BOOL, mark_eligible, "MarkEligible")                                                                      \
	X(T, MAP, meta, "Meta")

#define ELIGIBILITY_REQUEST_FIELDS(X, T)                                                                               \
	X(T, STR, node_id, "NodeID")                                                                                   \
	X(T, STR, eligibility, "Eligibility")

#define NODE_CHANGED_FIELDS(X, T)                                                                                      \
	X(T, STRS, eval_ids, "EvalIDs")                                                                                \
	X(T, INT, eval_create_index, "EvalCreateIndex")                                                                \
	X(T, INT, node_modify_index, "NodeModifyIndex")                                                                \
	X(T, DUR, heartbeat_ttl, "HeartbeatTTL")                                                                       \
	X(T, INT, index, "Index")                                                                                      \
	X(T, INT, last_contact, "LastContact")                                                                         \
	X(T, BOOL, known_leader, "KnownLeader")

OBJECT_DECLARE(drain_request, DRAIN_REQUEST_FIELDS);
OBJECT_DECLARE(eligibility_request, ELIGIBILITY_REQUEST_FIELDS);
OBJECT_DECLARE(node_changed, NODE_CHANGED_FIELDS);
OBJECT_DEFINE(drain_request, DRAIN_REQUEST_FIELDS);
OBJECT_DEFINE(eligibility_request, ELIGIBILITY_REQUEST_FIELDS);
OBJECT_DEFINE(node_changed, NODE_CHANGED_FIELDS);

/* ---- reads ---- */

static int stub_flag(struct query *q, const char *name, unsigned flag)
{
	bool on = false;

	if (http_query_bool(q->req, name, &on) != 0) {
		http_answer_text(q->req, 400, "%s", q->req->error);
		return ERR_INVALID;
	}
	q->flags |= on ? flag : 0;
	return 0;
}

static int begin_nodes(struct query *q)
{
	if (query_begin_prefix(q) != 0 || stub_flag(q, "resources", NODE_STUB_RESOURCES) != 0) {
		return ERR_INVALID;
	}
	return stub_flag(q, "os", NODE_STUB_OS);
}

static int find_nodes(struct query *q)
{
	query_table(q, TABLE_NODES);
	return 0;
}

static void open_nodes(struct query *q, struct rows *r)
{
	rows_nodes(r, q->v, query_prefix(q));
}

static int get_stub(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	return node_row_stub((const struct node_row *)row, q->flags, obj, &s->mem);
}

static int get_whole(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	int rv = node_row_get((const struct node_row *)row, obj, &s->mem);

	(void)q;
	if (rv == 0) {
		object_hide_secrets(&node_type, obj);
	}
	return rv;
}

static struct uuid node_id(const struct row *row)
{
	return ((const struct node_row *)row)->id;
}

#define NODE_LIST                                                                                                      \
	.type = &node_stub_type, .open = open_nodes, .get = get_stub, .whole = &node_type, .get_whole = get_whole,     \
	.partial = {"Resources", "Attributes"}, .key = LIST_BY_ID, .id = node_id

static const struct list_kind node_list = {NODE_LIST};
const struct query_kind query_nodes = {.begin = begin_nodes, .find = find_nodes, .list = &node_list};

static int find_node(struct query *q)
{
	const struct node_row *row = state_node(q->v, &q->id);

	return query_found(q, TABLE_NODES, watch_key_id(&q->id), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_node(struct query *q, struct buf *out)
{
	struct node node;
	int rv = node_row_get(q->row, &node, &q->req->mem);

	if (rv == 0) {
		object_hide_secrets(&node_type, &node);
		json_encode(&node_type, &node, out);
	}
	return rv;
}

const struct query_kind query_node = {
	.begin = query_begin_id, .find = find_node, .render = render_node, .missing = "node not found"};

/* ---- writes ---- */

/* The evaluations that a change of a node has made: of the jobs that have allocations there, and of system jobs. */
enum { EVAL_IDS_MAX = 1000 };

static void add_eval(struct write *w, const struct view *v, const struct job_row *job, uint64_t index,
		     struct node_changed *a)
{
	const struct eval_row *e;
	const char *id;
	struct rows r;

	rows_evals_of_job(&r, v, job_row_ns(job), job_row_id(job));
	while (a->eval_ids.n < EVAL_IDS_MAX && (e = eval_prev(&r)) != NULL && e->create_index >= index) {
		if (e->create_index != index) {
			continue;
		}
		id = uuid_text(&w->req->mem, &e->id);
		for (uint32_t i = 0; i < a->eval_ids.n; i++) {
			if (strcmp(a->eval_ids.at[i], id) == 0) {
				return;
			}
		}
		a->eval_ids.at[a->eval_ids.n++] = id;
	}
}

static int find_evals(struct write *w, const struct apply_result *r, struct node_changed *a)
{
	const struct view *v = w->api->link->ops->view(w->api->link);
	const struct uuid *node = w->own;
	const struct alloc_row *alloc;
	const struct job_row *job;
	struct rows rows;

	a->eval_ids.at = arena_alloc(&w->req->mem, EVAL_IDS_MAX * sizeof(char *));
	if (a->eval_ids.at != NULL) {
		rows_allocs_of_node(&rows, v, node);
		while (a->eval_ids.n < EVAL_IDS_MAX && (alloc = alloc_next(&rows)) != NULL) {
			add_eval(w, v, alloc->job, r->eval_index, a);
		}
		rows_system_jobs(&rows, v);
		while (a->eval_ids.n < EVAL_IDS_MAX && (job = job_next(&rows)) != NULL) {
			add_eval(w, v, job, r->eval_index, a);
		}
	}
	view_release(v);
	return a->eval_ids.at != NULL ? 0 : ERR_NOMEM;
}

static void answer_node(struct write *w, const struct apply_result *r)
{
	struct node_changed a;

	if (write_refused(w, r)) {
		return;
	}
	object_init(&node_changed_type, &a);
	a.eval_create_index = (int64_t)r->eval_index;
	a.node_modify_index = (int64_t)r->index;
	a.index = (int64_t)r->index;
	if (r->eval_index != 0 && find_evals(w, r, &a) != 0) {
		http_answer_error(w->req, ERR_NOMEM);
		return;
	}
	answer_object(w->req, &node_changed_type, &a, r->index);
}

/* The write of the node in the path, which w->own points to. NULL: answered. */
static struct write *node_write(struct api *api, struct http_request *req)
{
	struct uuid *id = arena_alloc(&req->mem, sizeof(*id));
	struct write *w = NULL;

	if (id == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return NULL;
	}
	if (path_uuid(req, 0, id) == 0) {
		w = write_new(api, req);
	}
	if (w != NULL) {
		w->own = id;
	}
	return w;
}

static bool names_node(struct http_request *req, const char *id)
{
	if (id[0] != '\0' && strcmp(id, req->params[0]) != 0) {
		http_answer_text(req, 400, "Node ID does not match");
		return false;
	}
	return true;
}

/* Servers say when it began, and when it ends by force. */
static struct drain_strategy *asked_strategy(struct drain_request *body)
{
	if (body->strategy != NULL) {
		body->strategy->started_at = 0;
		body->strategy->force_deadline = 0;
	}
	return body->strategy;
}

void serve_node_drain(struct api *api, struct http_request *req)
{
	struct drain_request body;
	struct node_drain p;
	struct write *w;

	if (body_decode(req, &drain_request_type, &body, BODY_REQUIRED, NULL) != 0 || !names_node(req, body.node_id)) {
		return;
	}
	w = node_write(api, req);
	if (w != NULL) {
		object_init(&node_drain_type, &p);
		p.id = uuid_bytes(w->own);
		p.strategy = asked_strategy(&body);
		p.mark_eligible = body.mark_eligible;
		p.meta = body.meta;
		write_propose(w, COMMAND_NODE_DRAIN, &p, answer_node);
	}
}

void serve_node_eligibility(struct api *api, struct http_request *req)
{
	struct eligibility_request body;
	struct node_eligibility p;
	struct write *w;
	bool eligible;

	if (body_decode(req, &eligibility_request_type, &body, BODY_REQUIRED, NULL) != 0 ||
	    !names_node(req, body.node_id)) {
		return;
	}
	eligible = strcmp(body.eligibility, "eligible") == 0;
	if (!eligible && strcmp(body.eligibility, "ineligible") != 0) {
		http_answer_text(req, 500, "invalid scheduling eligibility \"%s\"", body.eligibility);
		return;
	}
	w = node_write(api, req);
	if (w != NULL) {
		object_init(&node_eligibility_type, &p);
		p.id = uuid_bytes(w->own);
		p.eligible = eligible;
		write_propose(w, COMMAND_NODE_ELIGIBILITY, &p, answer_node);
	}
}

void serve_node_evaluate(struct api *api, struct http_request *req)
{
	struct write *w = node_write(api, req);
	struct node_evaluate p;

	if (w != NULL) {
		p.id = uuid_bytes(w->own);
		write_propose(w, COMMAND_NODE_EVALUATE, &p, answer_node);
	}
}

static void answer_purged(struct write *w, const struct apply_result *r)
{
	if (r->status == 0 && r->rejected > 0) {
		http_answer_text(w->req, 500, "node not found");
	} else {
		answer_node(w, r);
	}
}

void serve_node_purge(struct api *api, struct http_request *req)
{
	struct write *w = node_write(api, req);
	struct nodes_delete p;
	struct id_ref ref;

	if (w != NULL) {
		ref.id = uuid_bytes(w->own);
		object_init(&nodes_delete_type, &p);
		p.nodes.at = &ref;
		p.nodes.n = 1;
		write_propose(w, COMMAND_NODES_DELETE, &p, answer_purged);
	}
}

/* ---- pools ---- */

/* What is told of a pool that says nothing of it: one day. */
#define NODE_IDENTITY_TTL_NS (24 * 3600 * NS_PER_S)

static int get_pool(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	const struct object_row *o = (const struct object_row *)row;
	struct node_pool *pool = obj;
	int rv = object_row_get(o, &node_pool_type, pool, &s->mem);

	(void)q;
	if (pool->node_identity_ttl == 0) {
		pool->node_identity_ttl = NODE_IDENTITY_TTL_NS;
	}
	pool->create_index = (int64_t)o->create_index;
	pool->modify_index = (int64_t)o->modify_index;
	return rv;
}

static int find_pools(struct query *q)
{
	query_table(q, TABLE_NODE_POOLS);
	return 0;
}

static void open_pools(struct query *q, struct rows *r)
{
	rows_objects(r, q->v, TABLE_NODE_POOLS);
}

static bool match_name(const struct query *q, const struct row *row)
{
	return strncmp(((const struct object_row *)row)->key, q->opt.prefix, strlen(q->opt.prefix)) == 0;
}

static bool sees_pool(const struct acl *acl, const struct row *row)
{
	return acl_node_pool(acl, ((const struct object_row *)row)->key, ACL_POOL_READ);
}

static const struct list_kind pool_list = {
	.type = &node_pool_type, .open = open_pools, .match = match_name, .sees = sees_pool,
	.get = get_pool, .key = LIST_BY_NAME};
const struct query_kind query_node_pools = {.find = find_pools, .list = &pool_list};

static int find_pool(struct query *q)
{
	const char *name = q->req->params[0];
	const struct object_row *row = state_node_pool(q->v, name);

	return query_found(q, TABLE_NODE_POOLS, watch_key_name(name), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_pool(struct query *q, struct buf *out)
{
	struct list_scratch s = {.mem = {0}};
	struct node_pool pool;
	int rv = get_pool(q, q->row, &pool, &s);

	if (rv == 0) {
		json_encode(&node_pool_type, &pool, out);
	}
	arena_close(&s.mem);
	return rv;
}

const struct query_kind query_node_pool = {.find = find_pool, .render = render_pool, .missing = "node pool not found"};

/* ?prefix could mean nodes or pools. */
static int begin_pool_nodes(struct query *q)
{
	return query_refuses_prefix(q) ? ERR_INVALID : begin_nodes(q);
}

static int find_pool_nodes(struct query *q)
{
	query_table(q, TABLE_NODES);
	return state_node_pool(q->v, q->req->params[0]) != NULL ? 0 : ERR_NOTFOUND;
}

/* The pool of a node is in its packed part. */
static int get_pool_stub(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	struct node_stub *stub = obj;
	const char *pool = q->req->params[0];
	int rv = get_stub(q, row, obj, s);

	if (rv == 0 && strcmp(pool, "all") != 0 && strcmp(pool, stub->node_pool) != 0) {
		return LIST_SKIP;
	}
	return rv;
}

static const struct list_kind pool_node_list = {.type = &node_stub_type,
						.open = open_nodes,
						.get = get_pool_stub,
						.whole = &node_type,
						.get_whole = get_whole,
						.partial = {"Resources", "Attributes"},
						.key = LIST_BY_ID,
						.id = node_id};
const struct query_kind query_node_pool_nodes = {
	.begin = begin_pool_nodes, .find = find_pool_nodes, .list = &pool_node_list, .missing = "node pool not found"};

static void answer_pool_put(struct write *w, const struct apply_result *r)
{
	if (r->status == ERR_INVALID) {
		http_answer_text(w->req, 400, "%s", r->text);
	} else if (!write_refused(w, r)) {
		http_answer_json(w->req, &(struct buf){0}, r->index);
	}
}

static void put_pool(struct api *api, struct http_request *req, const char *name)
{
	struct node_pool *pool = arena_alloc(&req->mem, sizeof(*pool));
	struct write *w;

	if (pool == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	if (body_decode(req, &node_pool_type, pool, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (pool->name[0] == '\0' && name != NULL) {
		pool->name = name;
	}
	if (!access_node_pool(req, pool->name, ACL_POOL_WRITE)) {
		api_refuse(req, ACCESS_DENIED);
		return;
	}
	if (name != NULL && strcmp(name, pool->name) != 0) {
		http_answer_text(req, 400, "Node pool name does not match request path");
		return;
	}
	if (pool->scheduler != NULL && !algorithm_is_valid(req, pool->scheduler->algorithm)) {
		return;
	}
	w = write_new(api, req);
	if (w != NULL) {
		write_propose(w, COMMAND_NODE_POOL_PUT, &(struct node_pool_put){pool}, answer_pool_put);
	}
}

void serve_node_pools_put(struct api *api, struct http_request *req)
{
	put_pool(api, req, NULL);
}

void serve_node_pool_put(struct api *api, struct http_request *req)
{
	put_pool(api, req, req->params[0]);
}

void serve_node_pool_delete(struct api *api, struct http_request *req)
{
	struct write *w = write_new(api, req);

	if (w != NULL) {
		write_propose(w, COMMAND_NODE_POOL_DELETE, &(struct name_delete){req->params[0]}, answer_removed);
	}
}
