/* Requests that others carry out: the leader, another region, a client node. */
#include <assert.h>
#include <string.h>

#include "proto/error.h"
#include "server/api_parts.h"

/* A request on its way, or waiting for one: its `data`. (Requests that are queries stay here, and have another.) */
struct errand {
	struct leader_wait wait; /* First: found by it. */
	enum core_where where;
};

/* ---- waiting for a leader ---- */

static void wait_end(struct leader_wait *w)
{
	list_remove(&w->link);
	deadline_clear(w->api, &w->deadline);
}

static void wait_due(struct deadline *d)
{
	struct leader_wait *w = CONTAINER_OF(d, struct leader_wait, deadline);

	wait_end(w);
	if (api_now(w->api) >= w->until_ns) {
		w->fail_cb(w);
	} else {
		w->again_cb(w);
	}
}

/* Who has passed it on can turn to another server; our own clients cannot. */
static bool goes_back(const struct api *api, const struct http_request *req)
{
	return api->draining && req->hops > 0;
}

/* With a leader that is known but cannot be reached there is another try soon; else when one is known. */
void leader_wait_begin(struct api *api, struct leader_wait *w)
{
	int64_t now = api_now(api);
	int64_t at;

	w->api = api;
	if (w->until_ns == 0) {
		w->until_ns = now + API_LEADER_WAIT_NS;
	}
	if (api->draining && w->until_ns > api->drain_until_ns) {
		w->until_ns = api->drain_until_ns;
	}
	w->deadline.due_cb = wait_due;
	at = api_info(api)->leader_known && now + API_RETRY_NS < w->until_ns ? now + API_RETRY_NS : w->until_ns;
	list_init(&w->link);
	if (api->stopping || goes_back(api, w->req) || now >= w->until_ns || deadline_set(api, &w->deadline, at) != 0) {
		w->fail_cb(w);
	} else {
		list_insert(&api->leaderless, &w->link);
	}
}

/* All that wait try again, or fail; those that begin to wait meanwhile are left. */
static void end_waits(struct api *api, bool fail)
{
	struct list waits;

	list_init(&waits);
	while (!list_empty(&api->leaderless)) {
		struct list *l = list_pop(&api->leaderless);

		list_insert(&waits, l);
	}
	while (!list_empty(&waits)) {
		struct leader_wait *w = CONTAINER_OF(waits.next, struct leader_wait, link);

		wait_end(w);
		if (fail) {
			w->fail_cb(w);
		} else {
			w->again_cb(w);
		}
	}
}

/* Those that wait on do so for the time that is left. */
void api_leader_drain(struct api *api)
{
	end_waits(api, false);
}

void api_leader_stop(struct api *api)
{
	end_waits(api, true);
}

void api_answer_leaderless(struct api *api, struct http_request *req)
{
	if (goes_back(api, req)) {
		http_answer_stopping(req);
	} else {
		http_answer_error(req, ERR_NOLEADER);
	}
}

static void info_cb(void *ctx)
{
	struct api *api = ctx;

	if (api_info(api)->leader_known) {
		end_waits(api, false);
	}
	api_rearm(api);
}

/* ---- passing on ---- */

static void errand_again(struct leader_wait *w)
{
	api_again(w->api, w->req);
}

/* Nobody is connected to it; perhaps as there is none, if it was asked for by its ID. */
static void answer_no_node(struct api *api, struct http_request *req)
{
	const char *name = http_query(req, "node_id");
	const struct view *v = api->link->ops->view(api->link);
	struct uuid id;

	if (name != NULL && uuid_parse(name, strlen(name), &id) && state_node(v, &id) == NULL) {
		http_answer_text(req, 404, "Unknown node \"%s\"", name);
	} else {
		http_answer_text(req, 404, "No path to node");
	}
	view_release(v);
}

static void answer_no_way(struct api *api, struct http_request *req, enum core_where where)
{
	if (where == CORE_TO_REGION) {
		http_answer_text(req, 500, "No path to region");
	} else if (where == CORE_TO_NODE) {
		answer_no_node(api, req);
	} else if (where == CORE_TO_SERVER) {
		http_answer_text(req, 500, "No path to server");
	} else {
		api_answer_leaderless(api, req);
	}
}

static void errand_fail(struct leader_wait *w)
{
	answer_no_way(w->api, w->req, ((struct errand *)w)->where);
}

/* The request's errand, which it keeps when it comes back and goes on another way. */
static struct errand *errand_of(struct api *api, struct http_request *req)
{
	struct errand *e = req->data;

	if (e == NULL) {
		e = arena_calloc(&req->mem, 1, sizeof(*e));
		if (e == NULL) {
			return NULL;
		}
		e->wait.api = api;
		e->wait.again_cb = errand_again;
		e->wait.fail_cb = errand_fail;
		e->wait.req = req;
		req->data = e;
	}
	return e;
}

void api_forward(struct api *api, struct http_request *req, enum core_where where, const char *name)
{
	struct errand *e = req->hops < HTTP_HOPS_MAX ? errand_of(api, req) : NULL;

	if (req->hops >= HTTP_HOPS_MAX) {
		http_answer_text(req, 500, "the request was passed on by too many servers");
	} else if (e == NULL || api_keep_body(req) != 0) {
		http_answer_error(req, ERR_NOMEM);
	} else {
		e->where = where;
		api->stats.forwarded++;
		api->link->ops->forward(api->link, req, where, name);
	}
}

/* A server that says it leads, and did not a moment ago: it knows better soon. */
void api_to_leader(struct api *api, struct http_request *req)
{
	struct errand *e = errand_of(api, req);

	if (e == NULL) {
		http_answer_error(req, ERR_NOMEM);
	} else if (goes_back(api, req)) {
		http_answer_stopping(req);
	} else if (api_info(api)->leader_known && !api_info(api)->leads) {
		api_forward(api, req, CORE_TO_LEADER, "");
	} else {
		e->where = CORE_TO_LEADER;
		leader_wait_begin(api, &e->wait);
	}
}

bool read_wants_leader(int err)
{
	return err == ERR_NOLEADER || err == ERR_NOTLEADER || err == ERR_TIMEOUT || err == ERR_UNKNOWN;
}

void api_read_failed(struct api *api, struct http_request *req, int err)
{
	struct errand *e = read_wants_leader(err) ? errand_of(api, req) : NULL;

	if (e != NULL) {
		e->where = CORE_TO_LEADER;
		leader_wait_begin(api, &e->wait);
	} else if (err == ERR_CLOSED) {
		http_answer_stopping(req);
	} else {
		http_answer_error(req, read_wants_leader(err) ? ERR_NOMEM : err);
	}
}

/* ---- what came back ---- */

/* It was sent, and nobody knows what became of it. A read may be made again. */
static void lost(struct api *api, struct errand *e)
{
	if (e->wait.req->method == HTTP_GET && e->where == CORE_TO_LEADER) {
		leader_wait_begin(api, &e->wait);
	} else if (e->wait.req->method == HTTP_GET && e->wait.req->session[0] == '\0') {
		http_answer_text(e->wait.req, 500, "the connection was lost before the answer had come");
	} else {
		http_answer_error(e->wait.req, ERR_UNKNOWN);
	}
}

/* The server of that region that was asked is stopping; the next try is at another one. */
static bool is_of_another_server(const struct errand *e, int err)
{
	return e->where == CORE_TO_REGION && err == ERR_NOTLEADER;
}

static void returned_cb(void *ctx, struct http_request *req, int err)
{
	struct api *api = ctx;
	struct errand *e = req->data;

	req->gone_cb = NULL;
	req->drain_cb = NULL;
	switch (err) {
	case ERR_UNKNOWN:
		lost(api, e);
		break;
	case ERR_NOTFOUND:
		answer_no_way(api, req, e->where);
		break;
	case ERR_NOLEADER:
	case ERR_NOTLEADER:
	case ERR_CLOSED:
	case ERR_TIMEOUT:
		if (e->where == CORE_TO_LEADER || is_of_another_server(e, err)) {
			leader_wait_begin(api, &e->wait);
		} else {
			answer_no_way(api, req, e->where);
		}
		break;
	default:
		http_answer_error(req, err);
	}
	api_rearm(api);
}

const struct core_events api_events = {info_cb, returned_cb};

/* ---- regions ---- */

static bool region_known(const struct core_info *info, const char *region)
{
	for (uint32_t i = 0; i < info->regions.n; i++) {
		if (strcmp(info->regions.at[i], region) == 0) {
			return true;
		}
	}
	return false;
}

void api_to_region(struct api *api, struct http_request *req, const char *region)
{
	if (region_known(api_info(api), region)) {
		api_forward(api, req, CORE_TO_REGION, region);
	} else {
		answer_no_way(api, req, CORE_TO_REGION);
	}
}

bool api_region_is_ours(struct api *api, struct http_request *req)
{
	const char *region = req->n_pairs > 0 ? http_query(req, "region") : NULL;
	const struct core_info *info = api_info(api);

	if (region == NULL || region[0] == '\0' || strcmp(region, info->region) == 0) {
		return true;
	}
	api_to_region(api, req, region);
	return false;
}
