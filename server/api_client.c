/* Requests that the client agent of a node answers: signals, restarts, statistics and files of allocations. */
#include <string.h>

#include "proto/error.h"
#include "server/api_handlers.h"

#define NODE_NAMED_FIELDS(X, T) X(T, STR, node_id, "NodeID")
OBJECT_DECLARE(node_named, NODE_NAMED_FIELDS);
OBJECT_DEFINE(node_named, NODE_NAMED_FIELDS);

/* ---- finding the node ---- */

enum sought { SOUGHT_ALLOC, SOUGHT_NODE };

/* What is not in the newest view here: looked for in one that is surely new. */
struct seeking {
	struct core_read read;
	struct api *api;
	struct http_request *req;
	struct uuid id;
	enum sought what;
};

/* The ID of the node, or of the allocation's node; NULL: there is no such thing. */
static const char *node_of(struct api *api, struct http_request *req, enum sought what, const struct uuid *id)
{
	const struct view *v = api->link->ops->view(api->link);
	const struct alloc_row *row = what == SOUGHT_ALLOC ? state_alloc(v, id) : NULL;
	const char *node = row != NULL ? uuid_text(&req->mem, &row->node_id) : NULL;

	if (what == SOUGHT_NODE && state_node(v, id) != NULL) {
		node = uuid_text(&req->mem, id);
	}
	view_release(v);
	return node;
}

static void answer_unknown(struct http_request *req, enum sought what, const struct uuid *id)
{
	static const char *const kinds[] = {[SOUGHT_ALLOC] = "allocation", [SOUGHT_NODE] = "node"};

	http_answer_text(req, 404, "Unknown %s \"%s\"", kinds[what], uuid_text(&req->mem, id));
}

static void seek_done(struct core_call *call)
{
	struct seeking *s = CONTAINER_OF(call, struct seeking, read.call);
	struct api *api = s->api;
	const char *node = node_of(api, s->req, s->what, &s->id);

	if (node != NULL) {
		api_forward(api, s->req, CORE_TO_NODE, node);
	} else if (call->status != 0) {
		api_read_failed(api, s->req, call->status);
	} else {
		answer_unknown(s->req, s->what, &s->id);
	}
	api_rearm(api);
}

static void seek(struct api *api, struct http_request *req, enum sought what, const struct uuid *id)
{
	struct seeking *s = arena_calloc(&req->mem, 1, sizeof(*s));

	if (s == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	s->api = api;
	s->req = req;
	s->id = *id;
	s->what = what;
	s->read.call.done_cb = seek_done;
	api->link->ops->read(api->link, &s->read);
}

static void pass_on(struct api *api, struct http_request *req, enum sought what, const struct uuid *id)
{
	const char *node = node_of(api, req, what, id);

	if (node != NULL) {
		api_forward(api, req, CORE_TO_NODE, node);
	} else if (api_info(api)->leads) {
		answer_unknown(req, what, id);
	} else {
		seek(api, req, what, id);
	}
}

/* ---- of an allocation ---- */

static void to_node_of_alloc(struct api *api, struct http_request *req)
{
	struct uuid alloc;

	if (path_uuid(req, 0, &alloc) == 0) {
		pass_on(api, req, SOUGHT_ALLOC, &alloc);
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

void serve_client_fs_unknown(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "Invalid method");
}

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
	} else if (strcmp(asked, api_info(api)->node_id) == 0) {
		api_forward(api, req, CORE_TO_NODE, asked); /* Registered or not, it is here. */
	} else {
		pass_on(api, req, SOUGHT_NODE, &id);
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
