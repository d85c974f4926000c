/* Allocations. */
#include "proto/error.h"
#include "server/api_handlers.h"

#define ALLOC_STOPPED_FIELDS(X, T)                                                                                     \
	X(T, STR, eval_id, "EvalID")                                                                                   \
	X(T, INT, index, "Index")

OBJECT_DECLARE(alloc_stopped, ALLOC_STOPPED_FIELDS);
OBJECT_DEFINE(alloc_stopped, ALLOC_STOPPED_FIELDS);

/* ---- lists ---- */

static int stub_flag(struct query *q, const char *name, unsigned flag)
{
	bool on = (q->flags & flag) != 0;

	if (http_query_bool(q->req, name, &on) != 0) {
		http_answer_text(q->req, 500, "%s", q->req->error);
		return ERR_INVALID;
	}
	q->flags = on ? q->flags | flag : q->flags & ~flag;
	return 0;
}

static int begin_allocs(struct query *q)
{
	q->flags = ALLOC_STUB_TASK_STATES;
	if (query_begin_prefix(q) != 0 || stub_flag(q, "resources", ALLOC_STUB_RESOURCES) != 0) {
		return ERR_INVALID;
	}
	return stub_flag(q, "task_states", ALLOC_STUB_TASK_STATES);
}

static int find_allocs(struct query *q)
{
	query_table(q, TABLE_ALLOCS);
	return 0;
}

static void open_allocs(struct query *q, struct rows *r)
{
	rows_allocs(r, q->v, query_prefix(q));
}

static bool match_alloc(const struct query *q, const struct row *row)
{
	return query_ns_is(q, job_row_ns(((const struct alloc_row *)row)->job));
}

static bool sees_alloc(const struct acl *acl, const struct row *row)
{
	return acl_in_namespace(acl, job_row_ns(((const struct alloc_row *)row)->job), ACL_READ_JOB);
}

static int get_stub(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	return alloc_row_stub((const struct alloc_row *)row, q->flags, obj, &s->jobs, &s->mem);
}

static int get_whole(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	(void)q;
	return alloc_row_get((const struct alloc_row *)row, obj, &s->jobs, &s->mem);
}

static uint64_t alloc_age(const struct row *row)
{
	return ((const struct alloc_row *)row)->create_index;
}

static struct uuid alloc_id(const struct row *row)
{
	return ((const struct alloc_row *)row)->id;
}

/* With a prefix in the order of IDs, else the oldest first. */
#define ALLOC_LIST                                                                                                     \
	.type = &alloc_stub_type, .get = get_stub, .match = match_alloc, .sees = sees_alloc, .whole = &allocation_type, \
	.get_whole = get_whole, .partial = {"Resources", "TaskStates"}, .key = LIST_BY_ID, .id = alloc_id

static const struct list_kind alloc_list = {ALLOC_LIST, .open = open_allocs, .age = alloc_age};
const struct query_kind query_allocs = {.begin = begin_allocs, .find = find_allocs, .list = &alloc_list};

/* Of an evaluation or a deployment, in the order of their making. */
static int begin_by_id(struct query *q)
{
	q->flags = ALLOC_STUB_TASK_STATES;
	return query_begin_id(q);
}

static void open_eval_allocs(struct query *q, struct rows *r)
{
	rows_allocs_of_eval(r, q->v, &q->id);
}

static void open_deployment_allocs(struct query *q, struct rows *r)
{
	rows_allocs_of_deployment(r, q->v, &q->id);
}

static const struct list_kind eval_alloc_list = {
	.type = &alloc_stub_type, .get = get_stub, .sees = sees_alloc, .open = open_eval_allocs};
static const struct list_kind deployment_alloc_list = {
	.type = &alloc_stub_type, .get = get_stub, .sees = sees_alloc, .open = open_deployment_allocs};

const struct query_kind query_eval_allocs = {.begin = begin_by_id, .find = find_allocs, .list = &eval_alloc_list};
const struct query_kind query_deployment_allocs = {
	.begin = begin_by_id, .find = find_allocs, .list = &deployment_alloc_list};

/* As whole allocations are told. One that a client has said anything of has a network: the host's, where it says no more. */
static int finish_alloc(struct allocation *a, struct arena *mem)
{
	bool heard_of = a->task_states.n > 0 || strcmp(a->client_status, "pending") != 0;

	object_hide_secrets(&allocation_type, a);
	if (a->network_status == NULL && heard_of) {
		a->network_status = arena_calloc(mem, 1, sizeof(*a->network_status));
		if (a->network_status == NULL) {
			return ERR_NOMEM;
		}
		object_init(&alloc_network_status_type, a->network_status);
	}
	return 0;
}

/* Of a node: whole ones. */
static void open_node_allocs(struct query *q, struct rows *r)
{
	rows_allocs_of_node(r, q->v, &q->id);
}

static int get_told(struct query *q, const struct row *row, void *obj, struct list_scratch *s)
{
	int rv = get_whole(q, row, obj, s);

	return rv == 0 ? finish_alloc(obj, &s->mem) : rv;
}

static const struct list_kind node_alloc_list = {
	.type = &allocation_type, .get = get_told, .sees = sees_alloc, .open = open_node_allocs};
const struct query_kind query_node_allocs = {.begin = query_begin_any_id, .find = find_allocs, .list = &node_alloc_list};

/* ---- one ---- */

static int find_alloc(struct query *q)
{
	const struct alloc_row *row = state_alloc(q->v, &q->id);

	return query_found(q, TABLE_ALLOCS, watch_key_id(&q->id), ROW_OF(row), row != NULL ? row->modify_index : 0);
}

static int render_alloc(struct query *q, struct buf *out)
{
	struct allocation a;
	int rv = alloc_row_get(q->row, &a, NULL, &q->req->mem);

	rv = rv == 0 ? finish_alloc(&a, &q->req->mem) : rv;
	if (rv == 0) {
		json_encode(&allocation_type, &a, out);
	}
	return rv;
}

const struct query_kind query_alloc = {
	.begin = query_begin_id, .find = find_alloc, .render = render_alloc, .missing = "alloc not found"};

void serve_alloc_unknown(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "resource not found");
}

/* ---- stopping ---- */

static void answer_stopped(struct write *w, const struct apply_result *r)
{
	struct alloc_stopped a;

	if (r->status == ERR_NOTFOUND) {
		http_answer_text(w->req, 404, "allocation not found");
		return;
	}
	if (!write_refused(w, r)) {
		a = (struct alloc_stopped){uuid_text(&w->req->mem, &r->eval_id), (int64_t)r->index};
		answer_object(w->req, &alloc_stopped_type, &a, r->index);
	}
}

static void propose_stop(struct write *w, const struct uuid *id, bool no_shutdown_delay, bool reschedule)
{
	struct desired_transition transition = {.no_shutdown_delay = {no_shutdown_delay, no_shutdown_delay}};
	struct alloc_transition alloc = {uuid_bytes(id), &transition};
	struct alloc_transitions p;

	transition.migrate = (struct opt){.at = 1, .set = true}; /* With "reschedule", too, which is said of batch jobs. */
	transition.reschedule = (struct opt){reschedule, reschedule};
	object_init(&alloc_transitions_type, &p);
	p.allocs.at = &alloc;
	p.allocs.n = 1;
	p.trigger = EVAL_TRIGGER_ALLOC_STOP;
	write_propose(w, COMMAND_ALLOC_TRANSITIONS, &p, answer_stopped);
}

void serve_alloc_stop(struct api *api, struct http_request *req)
{
	bool no_shutdown_delay = false;
	bool reschedule = false;
	struct write *w;
	struct uuid id;

	if (path_uuid(req, 0, &id) != 0) {
		return;
	}
	if (http_query_bool(req, "no_shutdown_delay", &no_shutdown_delay) != 0 ||
	    http_query_bool(req, "reschedule", &reschedule) != 0) {
		http_answer_text(req, 500, "%s", req->error);
		return;
	}
	w = write_new(api, req);
	if (w != NULL) {
		propose_stop(w, &id, no_shutdown_delay, reschedule);
	}
}
