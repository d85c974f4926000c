/*
 * What an API request may ask of a node: signals, restarts, statistics and files of its allocations.
 *
 * Requests come from servers, over the link, and from the agent's own HTTP front; the answers' texts are the API's.
 */
#include <string.h>

#include "client/checks.h"
#include "client/client_int.h"
#include "client/handlers_exec.h"
#include "client/handlers_agent.h"
#include "client/handlers_fs.h"
#include "client/node_meta.h"
#include "client/stats_call.h"
#include "proto/disk_token.h"
#include "proto/error.h"

#define SIGNAL_REQUEST_FIELDS(X, T)                                                      \
	X(T, STR, signal, "Signal")                                                      \
	X(T, STR, task, "Task")

#define RESTART_REQUEST_FIELDS(X, T)                                                     \
	X(T, STR, task_name, "TaskName")                                                 \
	X(T, BOOL, all_tasks, "AllTasks")

OBJECT_DECLARE(signal_request, SIGNAL_REQUEST_FIELDS);
OBJECT_DECLARE(restart_request, RESTART_REQUEST_FIELDS);
OBJECT_DEFINE(signal_request, SIGNAL_REQUEST_FIELDS);
OBJECT_DEFINE(restart_request, RESTART_REQUEST_FIELDS);

/* The allocation that the path names, or NULL and the request has been answered. */
static struct client_alloc *find_alloc(struct client *c, struct http_request *req)
{
	const char *id = req->params[0];
	struct client_alloc *ca;
	struct uuid uuid;

	if (!uuid_parse(id, strlen(id), &uuid)) {
		http_answer_text(req, 500, strlen(id) == 36 ? "Invalid UUID: %s" : "UUID must be 36 characters: %s", id);
		return NULL;
	}
	ca = client_find(c, id);
	if (ca == NULL || ca->destroying) {
		http_answer_text(req, 404, "Unknown allocation \"%s\"", id);
		return NULL;
	}
	return ca;
}

/* As all writes are answered; the index of the state has no part in what is done here. */
static void answer_done(struct http_request *req)
{
	struct http_response res = {.status = 200};

	buf_str(&res.body, "{\"Index\":0}");
	http_answer(req, &res);
}

static void answer_nothing(struct http_request *req)
{
	struct http_response res = {.status = 200};

	http_answer(req, &res);
}

static bool body_is_empty(const struct http_request *req)
{
	return req->body_len == 0;
}

static bool body_is_null(const struct http_request *req)
{
	return req->body_len == 4 && memcmp(req->body, "null", 4) == 0;
}

/* What was wrong with a body, in words that begin as those of Go's decoder do. */
static void fault_text(const struct fault *f, char text[320])
{
	bool syntax = f->path[0] == '\0';

	snprintf(text, 320, "%s%s%s%s", syntax ? "invalid character: " : "json: ", f->why, syntax ? "" : " at ", f->path);
}

static void signal_cb(void *ctx, struct http_request *req)
{
	struct client *c = ctx;
	struct client_alloc *ca = find_alloc(c, req);
	struct moment now = client_now(c);
	struct signal_request body;
	struct buf why = {0};
	struct fault f;
	char text[320];
	int rc;

	if (ca == NULL) {
		return;
	}
	if (body_is_empty(req)) {
		http_answer_text(req, 400, "Failed to decode body: Request body is empty");
		return;
	}
	if (json_decode(&signal_request_type, &body, req->body, req->body_len, &req->mem, &f) != 0) {
		fault_text(&f, text);
		http_answer_text(req, 400, "Failed to decode body: %s", text);
		return;
	}
	if (driver_signal_number(body.signal) == 0) {
		http_answer_text(req, 400, "unknown signal \"%s\"", body.signal);
		return;
	}
	rc = alloc_runner_signal(&ca->ar, body.task, body.signal, &now, &why);
	if (rc == 0) {
		answer_done(req);
	} else {
		http_answer_text(req, 500, "%s", buf_text(&why));
	}
	buf_close(&why);
}

static void restart_cb(void *ctx, struct http_request *req)
{
	struct client *c = ctx;
	struct client_alloc *ca = find_alloc(c, req);
	struct moment now = client_now(c);
	struct restart_request body;
	struct buf why = {0};
	struct fault f;
	char text[320];

	if (ca == NULL) {
		return;
	}
	object_init(&restart_request_type, &body);
	if (!body_is_empty(req) && !body_is_null(req) &&
	    json_decode(&restart_request_type, &body, req->body, req->body_len, &req->mem, &f) != 0) {
		fault_text(&f, text);
		http_answer_text(req, 500, "%s", text);
		return;
	}
	if (alloc_runner_restart(&ca->ar, body.task_name, body.all_tasks, &now, &why) == 0) {
		answer_done(req);
	} else {
		http_answer_text(req, 500, "%s", buf_text(&why));
	}
	buf_close(&why);
}

static void stats_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca != NULL) {
		stats_answer(ca, req);
	}
}

static void snapshot_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca != NULL) {
		fs_answer_data(ca, req);
	}
}

static void checks_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca != NULL) {
		checks_answer(ca, req);
	}
}

static void exec_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca != NULL) {
		exec_answer(ca, req);
	}
}

static void exec_input_cb(void *ctx, struct http_request *req)
{
	exec_input_answer(ctx, req);
}

/* Remove one allocation's directory now, or those of all that have ended. */
static void gc_alloc_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca == NULL) {
		return;
	}
	if (!alloc_runner_dead(&ca->ar)) {
		http_answer_text(req, 500, "No such allocation on client, or allocation not eligible for GC");
		return;
	}
	host_dispose(ca);
	answer_nothing(req);
}

static void gc_cb(void *ctx, struct http_request *req)
{
	struct client *c = ctx;

	LIST_EACH(e, &c->allocs) {
		host_dispose(CONTAINER_OF(e, struct client_alloc, link));
	}
	answer_nothing(req);
}

/* ---- the node ---- */

static void node_meta_cb(void *ctx, struct http_request *req)
{
	node_meta_answer(ctx, req);
}

static void node_meta_put_cb(void *ctx, struct http_request *req)
{
	node_meta_apply(ctx, req);
}

static void unknown_fs_cb(void *ctx, struct http_request *req)
{
	(void)ctx;
	http_answer_text(req, 404, "Invalid method");
}

static void unknown_cb(void *ctx, struct http_request *req)
{
	(void)ctx;
	http_answer_text(req, 404, "resource not found");
}

/* ---- files ---- */

static void fs_cb(struct client *c, enum fs_request what, struct http_request *req)
{
	struct client_alloc *ca;

	if (req->params[0][0] == '\0') {
		http_answer_text(req, 400, "must provide a valid alloc id");
		return;
	}
	ca = find_alloc(c, req);
	if (ca != NULL) {
		fs_answer(ca, what, req);
	}
}

#define X(name, text, capability)                                       \
	static void fs_##name##_cb(void *ctx, struct http_request *req) \
	{                                                               \
		fs_cb(ctx, FS_##name, req);                             \
	}
FS_REQUESTS(X)
#undef X

/* ---- the agent itself ---- */

#define AGENT_HANDLERS(X) X(monitor) X(host) X(pprof) X(hoststats)
#define X(name)                                                        \
	static void name##_cb(void *ctx, struct http_request *req)     \
	{                                                              \
		name##_answer(ctx, req);                               \
	}
AGENT_HANDLERS(X)
#undef X

/* ---- routes ---- */

/* What a path's first parameter is, and what else decides who may. */
enum { OF_ALLOC = 1, OF_EXEC = 2, OF_DATA = 4 };

static const struct http_route routes[] = {
        {"/v1/client/allocation/:id/signal", HTTP_BITS_WRITE, HTTP_LOCAL, "alloc-lifecycle", OF_ALLOC, signal_cb},
        {"/v1/client/allocation/:id/restart", HTTP_BITS_WRITE, HTTP_LOCAL, "alloc-lifecycle", OF_ALLOC, restart_cb},
        {"/v1/client/allocation/:id/stats", HTTP_BIT_GET, HTTP_LOCAL, "read-job", OF_ALLOC, stats_cb},
        {"/v1/client/allocation/:id/checks", HTTP_BIT_GET, HTTP_LOCAL, "read-job", OF_ALLOC, checks_cb},
        {"/v1/client/allocation/:id/exec", HTTP_BIT_GET, HTTP_LOCAL, "alloc-exec", OF_ALLOC | OF_EXEC, exec_cb},
        {"/v1/client/allocation/:id/exec", HTTP_BITS_WRITE, HTTP_LOCAL, "alloc-exec", OF_ALLOC, exec_input_cb},
        {"/v1/client/allocation/:id/snapshot", HTTP_BIT_GET, HTTP_LOCAL, "read-fs", OF_ALLOC | OF_DATA, snapshot_cb},
        {"/v1/client/allocation/:id/gc", HTTP_BIT_GET | HTTP_BITS_WRITE, HTTP_LOCAL, "submit-job", OF_ALLOC, gc_alloc_cb},
        {"/v1/client/allocation/:id...", HTTP_BITS_ALL, HTTP_LOCAL, NULL, 0, unknown_cb},
        {"/v1/agent/monitor", HTTP_BIT_GET, HTTP_LOCAL, "agent:read", 0, monitor_cb},
        {"/v1/agent/host", HTTP_BIT_GET, HTTP_LOCAL, "agent:read", 0, host_cb},
        {"/v1/agent/pprof/:profile", HTTP_BIT_GET, HTTP_LOCAL, "agent:write", 0, pprof_cb},
        {"/v1/client/stats", HTTP_BIT_GET | HTTP_BITS_WRITE, HTTP_LOCAL, "node:read", 0, hoststats_cb},
        {"/v1/client/gc", HTTP_BIT_GET | HTTP_BITS_WRITE, HTTP_LOCAL, "node:write", 0, gc_cb},
        {"/v1/client/metadata", HTTP_BIT_GET, HTTP_LOCAL, "node:read", 0, node_meta_cb},
        {"/v1/client/metadata", HTTP_BIT_POST, HTTP_LOCAL, "node:write", 0, node_meta_put_cb},
#define X(name, text, capability) {"/v1/client/fs/" text "/:id?", HTTP_BIT_GET, HTTP_LOCAL, capability, OF_ALLOC, fs_##name##_cb},
        FS_REQUESTS(X)
#undef X
        {"/v1/client/fs/:what...", HTTP_BITS_ALL, HTTP_LOCAL, NULL, 0, unknown_fs_cb},
};

/* ---- who may ---- */

/* Commands in a task that sees the whole machine need a right of their own. A task that is not known is the handler's
 * affair. */
static bool sees_the_machine(const struct client_alloc *ca, const char *task)
{
	const struct task_runner *tr = task != NULL ? alloc_runner_task(&ca->ar, task) : NULL;
	const struct driver *driver = tr != NULL ? driver_find(tr->task->driver) : NULL;

	return driver != NULL && (driver->capabilities & DRIVER_ROOT) == 0;
}

static struct access_need need_of(const struct client *c, const struct http_request *req)
{
	const struct http_route *route = req->route;
	const struct client_alloc *ca = (route->flags & OF_ALLOC) != 0 ? client_find(c, req->params[0]) : NULL;
	struct access_need need = {.capability = route->capability};

	if (ca == NULL) {
		return need;
	}
	need.ns = ca->ar.spec->alloc.namespace_;
	if ((route->flags & OF_DATA) != 0 && disk_token_fits(req->token, c->secret_id, ca->id)) {
		need.capability = NULL; /* For the node of the allocation that takes it over. */
	} else if ((route->flags & OF_EXEC) != 0 && sees_the_machine(ca, http_query(req, "task"))) {
		need.also = "alloc-node-exec";
	}
	return need;
}

static void handle_cb(void *ctx, struct http_request *req)
{
	req->route->handle_cb(ctx, req);
}

void client_guard(struct client *c, struct http_request *req, void (*go_cb)(void *ctx, struct http_request *req),
                  void *ctx)
{
	const struct access_need need = {.capability = req->route->capability};

	access_guard(c->access, req, &need, go_cb, ctx);
}

int handlers_init(struct client *c)
{
	c->router = http_router_new(routes, sizeof(routes) / sizeof(routes[0]));
	if (c->config->acl_enabled) {
		c->access = access_open(c);
	}
	return c->router == NULL || (c->config->acl_enabled && c->access == NULL) ? ERR_NOMEM : 0;
}

void handlers_close(struct client *c)
{
	access_close(c->access);
	c->access = NULL;
	if (c->router != NULL) {
		http_router_free(c->router);
		c->router = NULL;
	}
}

void client_http(struct client *c, struct http_request *req)
{
	struct access_need need;

	if (c->stopping) {
		http_answer_text(req, 500, "the client agent is stopping");
	} else if (http_route_find(c->router, req) == 0) {
		need = need_of(c, req);
		access_guard(c->access, req, &need, handle_cb, c);
	}
}
