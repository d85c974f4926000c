/*
 * What an API request may ask of a node: signals, restarts, statistics and files of its allocations.
 *
 * Requests come from servers, over the link, and from the agent's own HTTP front; the answers' texts are the API's.
 */
#include <string.h>

#include "client/checks.h"
#include "client/client_int.h"
#include "client/handlers_fs.h"
#include "client/stats_call.h"
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

static void answer_empty_object(struct http_request *req)
{
	struct http_response res = {.status = 200};

	buf_str(&res.body, "{}");
	http_answer(req, &res);
}

static bool body_is_empty(const struct http_request *req)
{
	return req->body_len == 0;
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
		answer_empty_object(req);
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
	if (!body_is_empty(req) &&
	    json_decode(&restart_request_type, &body, req->body, req->body_len, &req->mem, &f) != 0) {
		fault_text(&f, text);
		http_answer_text(req, 500, "%s", text);
		return;
	}
	if (alloc_runner_restart(&ca->ar, body.task_name, body.all_tasks, &now, &why) == 0) {
		answer_empty_object(req);
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

static void checks_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca != NULL) {
		checks_answer(ca, req);
	}
}

/* Remove one allocation's directory now, or those of all that have ended. */
static void gc_alloc_cb(void *ctx, struct http_request *req)
{
	struct client_alloc *ca = find_alloc(ctx, req);

	if (ca == NULL) {
		return;
	}
	if (!alloc_runner_dead(&ca->ar)) {
		http_answer_text(req, 500, "failed to collect allocation: not present or not eligible for garbage collection");
		return;
	}
	host_dispose(ca);
	answer_empty_object(req);
}

static void gc_cb(void *ctx, struct http_request *req)
{
	struct client *c = ctx;

	LIST_EACH(e, &c->allocs) {
		host_dispose(CONTAINER_OF(e, struct client_alloc, link));
	}
	answer_empty_object(req);
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
	if (ca != NULL && what == FS_LOGS && http_query(req, "task") != NULL && http_query(req, "task")[0] != '\0' &&
	    http_query(req, "type") != NULL && alloc_runner_task(&ca->ar, http_query(req, "task")) == NULL) {
		http_answer_text(req, 400, "unknown task name \"%s\"", http_query(req, "task"));
	} else if (ca != NULL) {
		fs_answer(c, ca->id, what, req);
	}
}

#define X(name, text)                                                  \
	static void fs_##name##_cb(void *ctx, struct http_request *req) \
	{                                                               \
		fs_cb(ctx, FS_##name, req);                             \
	}
FS_REQUESTS(X)
#undef X

/* ---- routes ---- */

static const struct http_route routes[] = {
        {"/v1/client/allocation/:id/signal", HTTP_BITS_WRITE, HTTP_LOCAL, "alloc-lifecycle", 0, signal_cb},
        {"/v1/client/allocation/:id/restart", HTTP_BITS_WRITE, HTTP_LOCAL, "alloc-lifecycle", 0, restart_cb},
        {"/v1/client/allocation/:id/stats", HTTP_BIT_GET, HTTP_LOCAL, "read-job", 0, stats_cb},
        {"/v1/client/allocation/:id/checks", HTTP_BIT_GET, HTTP_LOCAL, "read-job", 0, checks_cb},
        {"/v1/client/allocation/:id/gc", HTTP_BIT_GET | HTTP_BITS_WRITE, HTTP_LOCAL, "submit-job", 0, gc_alloc_cb},
        {"/v1/client/allocation/:id...", HTTP_BITS_ALL, HTTP_LOCAL, NULL, 0, unknown_cb},
        {"/v1/client/gc", HTTP_BIT_GET | HTTP_BITS_WRITE, HTTP_LOCAL, "node:write", 0, gc_cb},
#define X(name, text) {"/v1/client/fs/" text "/:id?", HTTP_BIT_GET, HTTP_LOCAL, "read-fs", 0, fs_##name##_cb},
        FS_REQUESTS(X)
#undef X
};

int handlers_init(struct client *c)
{
	c->router = http_router_new(routes, sizeof(routes) / sizeof(routes[0]));
	return c->router == NULL ? ERR_NOMEM : 0;
}

void handlers_close(struct client *c)
{
	if (c->router != NULL) {
		http_router_free(c->router);
		c->router = NULL;
	}
}

void client_http(struct client *c, struct http_request *req)
{
	if (c->stopping) {
		http_answer_text(req, 500, "the client agent is stopping");
	} else if (http_route_find(c->router, req) == 0) {
		req->route->handle_cb(c, req);
	}
}
