/* Requests that the client agent of a node answers: signals, restarts, statistics and files of allocations. */
#include "proto/error.h"
#include "server/api_handlers.h"

#define NODE_NAMED_FIELDS(X, T) X(T, STR, node_id, "NodeID")
OBJECT_DECLARE(node_named, NODE_NAMED_FIELDS);
OBJECT_DEFINE(node_named, NODE_NAMED_FIELDS);

/* ---- of an allocation ---- */

/* An allocation that is not in the newest view here: looked for in one that is surely new. */
struct seeking {
	struct core_read read;
	struct api *api;
	struct http_request *req;
	struct uuid alloc;
};

/* The ID of the allocation's node; NULL: there is no such allocation. */
static const char *node_of(struct api *api, struct http_request *req, const struct uuid *alloc)
{
	const struct view *v = api->link->ops->view(api->link);
	const struct alloc_row *row = state_alloc(v, alloc);
	const char *node = row != NULL ? uuid_text(&req->mem, &row->node_id) : NULL;

	view_release(v);
	return node;
}

static void answer_unknown(struct http_request *req)
{
	http_answer_text(req, 404, "Unknown allocation \"%s\"", req->params[0]);
}

static void seek_done(struct core_call *call)
{
	struct seeking *s = CONTAINER_OF(call, struct seeking, read.call);
	struct api *api = s->api;
	const char *node = node_of(api, s->req, &s->alloc);

	if (node != NULL) {
		api_forward(api, s->req, CORE_TO_NODE, node);
	} else if (call->status != 0) {
		api_read_failed(api, s->req, call->status);
	} else {
		answer_unknown(s->req);
	}
	api_rearm(api);
}

static void seek(struct api *api, struct http_request *req, const struct uuid *alloc)
{
	struct seeking *s = arena_calloc(&req->mem, 1, sizeof(*s));

	if (s == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	s->api = api;
	s->req = req;
	s->alloc = *alloc;
	s->read.call.done_cb = seek_done;
	api->link->ops->read(api->link, &s->read);
}

static void to_node_of_alloc(struct api *api, struct http_request *req)
{
	struct uuid alloc;
	const char *node;

	if (path_uuid(req, 0, &alloc) != 0) {
		return;
	}
	node = node_of(api, req, &alloc);
	if (node != NULL) {
		api_forward(api, req, CORE_TO_NODE, node);
	} else if (api_info(api)->leads) {
		answer_unknown(req);
	} else {
		seek(api, req, &alloc);
	}
}

static void to_files_of_alloc(struct api *api, struct http_request *req)
{
	if (req->params[0][0] == '\0') {
		http_answer_text(req, 400, "must provide a valid alloc id");
	} else {
		to_node_of_alloc(api, req);
	}
}

#define TO_ALLOC_LIST(X) X(signal) X(restart) X(stats) X(checks) X(exec) X(gc) X(snapshot)
#define X(name)                                                                                                        \
	void serve_client_alloc_##name(struct api *api, struct http_request *req)                                      \
	{                                                                                                              \
		to_node_of_alloc(api, req);                                                                            \
	}
TO_ALLOC_LIST(X)
#undef X

#define TO_FILES_LIST(X) X(ls) X(stat) X(cat) X(readat) X(stream) X(logs)
#define X(name)                                                                                                        \
	void serve_client_fs_##name(struct api *api, struct http_request *req)                                         \
	{                                                                                                              \
		to_files_of_alloc(api, req);                                                                           \
	}
TO_FILES_LIST(X)
#undef X

void serve_client_unknown(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "resource not found");
}

/* ---- of a node ---- */

/* The node that the query or the body names, or else the one in this agent. */
static void to_node(struct api *api, struct http_request *req)
{
	const char *asked = http_query(req, "node_id");
	const char *why;
	struct node_named body;
	struct uuid id;

	object_init(&node_named_type, &body);
	if (asked == NULL && req->method != HTTP_GET &&
	    body_decode(req, &node_named_type, &body, BODY_OPTIONAL, NULL) != 0) {
		return;
	}
	asked = asked != NULL && asked[0] != '\0' ? asked : body.node_id;
	if (asked[0] == '\0') {
		asked = api_info(api)->node_id;
	}
	if (asked[0] == '\0') {
		http_answer_text(req, 400, "No local Node and node_id not provided");
	} else if (api_uuid(asked, &id, &why) != 0) {
		http_answer_text(req, 500, "%s: %s", why, asked);
	} else {
		api_forward(api, req, CORE_TO_NODE, uuid_text(&req->mem, &id));
	}
}

void serve_client_stats(struct api *api, struct http_request *req)
{
	to_node(api, req);
}

void serve_client_gc(struct api *api, struct http_request *req)
{
	to_node(api, req);
}

void serve_client_metadata(struct api *api, struct http_request *req)
{
	to_node(api, req);
}
