#include "server/api.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/error.h"
#include "server/api_parts.h"

enum { CACHE_BYTES = 32 << 20, VERSIONS_KEPT = 6, COUNT_MAX = 50000, SOURCE_BYTES_MAX = 1 << 20 };

/* ---- time ---- */

static struct deadline *deadline_of(const struct heap_link *l)
{
	return CONTAINER_OF((uintptr_t)l, struct deadline, link);
}

static bool is_due_before(const struct heap_link *a, const struct heap_link *b)
{
	return deadline_of(a)->at_ns < deadline_of(b)->at_ns;
}

int deadline_set(struct api *api, struct deadline *d, int64_t at_ns)
{
	d->at_ns = at_ns;
	if (heap_has(&d->link)) {
		heap_moved(&api->deadlines, &d->link);
		return 0;
	}
	return heap_add(&api->deadlines, &d->link) ? 0 : ERR_NOMEM;
}

void deadline_clear(struct api *api, struct deadline *d)
{
	if (heap_has(&d->link)) {
		heap_remove(&api->deadlines, &d->link);
	}
}

static void run_deadlines(struct api *api)
{
	int64_t now = api_now(api);
	struct heap_link *first;

	while ((first = heap_first(&api->deadlines)) != NULL && deadline_of(first)->at_ns <= now) {
		struct deadline *d = deadline_of(first);

		heap_remove(&api->deadlines, first);
		d->due_cb(d);
	}
}

/* Have the environment know when there is something to do next. */
void api_rearm(struct api *api)
{
	const struct heap_link *first = heap_first(&api->deadlines);
	int64_t at = first != NULL ? deadline_of(first)->at_ns : INT64_MAX;

	if (at != api->armed_ns) {
		api->armed_ns = at;
		api->env.run_at(api->env.ctx, at);
	}
}

/* ---- life ---- */

static void wake(void *ctx)
{
	struct api *api = ctx;

	api->env.wake(api->env.ctx);
}

static void set_defaults(struct api_config *c)
{
	static const struct keyring no_wrapping;

	c->cache_bytes = c->cache_bytes != 0 ? c->cache_bytes : CACHE_BYTES;
	c->versions_kept = c->versions_kept != 0 ? c->versions_kept : VERSIONS_KEPT;
	c->count_max = c->count_max != 0 ? c->count_max : COUNT_MAX;
	c->source_bytes_max = c->source_bytes_max != 0 ? c->source_bytes_max : SOURCE_BYTES_MAX;
	c->version = c->version != NULL ? c->version : "";
	c->keyring = c->keyring != NULL ? c->keyring : &no_wrapping;
	c->acl_config.token_min_ttl_ns = c->acl_config.token_min_ttl_ns != 0 ? c->acl_config.token_min_ttl_ns : NS_PER_MIN;
	c->acl_config.token_max_ttl_ns = c->acl_config.token_max_ttl_ns != 0 ? c->acl_config.token_max_ttl_ns : 24 * 60 * NS_PER_MIN;
}

static void init_lists(struct api *api)
{
	list_init(&api->leaderless);
	list_init(&api->parked);
	list_init(&api->ready);
	list_init(&api->joining[0]);
	list_init(&api->joining[1]);
	list_init(&api->listings);
	list_init(&api->crowded);
	list_init(&api->backups);
	list_init(&api->monitors);
	list_init(&api->newcomers.waiting);
	list_init(&api->newcomers.asked);
	heap_init(&api->deadlines, is_due_before);
	api->armed_ns = INT64_MAX;
}

/* Each of these takes back what it has begun when it fails. */
static int init_watches(struct api *api)
{
	int rv = watchers_init(&api->watchers);

	if (rv == 0) {
		rv = watch_ring_init(&api->ring, 0, wake, api);
		if (rv != 0) {
			watchers_close(&api->watchers);
		}
	}
	return rv;
}

static int init_tables(struct api *api)
{
	api->router = http_router_new(api_routes, api_n_routes);
	api->cache = cache_new(api->config.cache_bytes);
	api->access = api->config.acl ? access_new(api_routes, api_n_routes, api->env.random(api->env.ctx)) : NULL;
	if (api->router != NULL && api->cache != NULL && (api->access != NULL || !api->config.acl)) {
		return 0;
	}
	if (api->router != NULL) {
		http_router_free(api->router);
	}
	cache_free(api->cache);
	access_free(api->access);
	return ERR_NOMEM;
}

struct api *api_new(const struct api_env *env, struct core_link *link, const struct api_config *config)
{
	struct api *api = calloc(1, sizeof(*api));

	if (api == NULL) {
		return NULL;
	}
	api->env = *env;
	api->link = link;
	api->config = *config;
	set_defaults(&api->config);
	api->started_ns = api_now(api);
	init_lists(api);
	if (init_watches(api) != 0) {
		free(api);
		return NULL;
	}
	if (init_tables(api) != 0) {
		watch_ring_close(&api->ring);
		watchers_close(&api->watchers);
		free(api);
		return NULL;
	}
	if (events_open(api) != 0) {
		http_router_free(api->router);
		cache_free(api->cache);
		access_free(api->access);
		watch_ring_close(&api->ring);
		watchers_close(&api->watchers);
		free(api);
		return NULL;
	}
	events_init(&api->feed, wake, api);
	link->ops->start(link, &api_events, api);
	return api;
}

void api_free(struct api *api)
{
	assert(list_empty(&api->parked) && list_empty(&api->ready) && list_empty(&api->listings) &&
	       list_empty(&api->leaderless) && api->n_backups == 0);
	events_shut(api);
	watch_ring_close(&api->ring);
	watchers_close(&api->watchers);
	heap_close(&api->deadlines);
	http_router_free(api->router);
	cache_free(api->cache);
	access_free(api->access);
	free(api);
}

struct watch_ring *api_ring(struct api *api)
{
	return &api->ring;
}

struct event_feed *api_feed(struct api *api)
{
	return &api->feed;
}

void api_get_stats(const struct api *api, struct api_stats *stats)
{
	*stats = api->stats;
	stats->parked = api->watchers.n;
}

/* ---- requests ---- */

static bool is_ours_to_do(const struct api *api, const struct http_route *route)
{
	return route->consistency != HTTP_LEADER || api_info(api)->leads;
}

void api_refuse(struct http_request *req, enum access_verdict verdict)
{
	if (verdict == ACCESS_FAILED) {
		http_answer_text(req, 500, "the token's policies cannot be read");
	} else {
		http_answer_text(req, 403, "%s", access_text(verdict));
	}
}

static enum access_verdict check(struct api *api, struct http_request *req)
{
	const struct view *v = api->link->ops->view(api->link);
	enum access_verdict verdict = access_check(api->access, v, req, api_wall(api));

	view_release(v);
	return verdict;
}

bool api_still_allows(struct api *api, struct http_request *req)
{
	return api->access == NULL || check(api, req) == ACCESS_YES;
}

static void ask_for_newcomers(struct api *api);

static void newcomer_goes_on(struct api *api, struct http_request *req, int err)
{
	enum access_verdict verdict = err == 0 ? check(api, req) : ACCESS_UNKNOWN;

	if (err != 0) {
		api_read_failed(api, req, err);
	} else if (verdict != ACCESS_YES) {
		api_refuse(req, verdict);
	} else {
		req->route->handle_cb(api, req);
	}
}

static void newcomers_done(struct core_call *call)
{
	struct newcomers *n = CONTAINER_OF(call, struct newcomers, read.call);
	struct api *api = CONTAINER_OF(n, struct api, newcomers);

	while (!list_empty(&n->asked)) {
		newcomer_goes_on(api, CONTAINER_OF(list_pop(&n->asked), struct http_request, link), call->status);
	}
	n->asking = false;
	ask_for_newcomers(api);
	api_rearm(api);
}

/* One read for all that have come while the last one was under way. */
static void ask_for_newcomers(struct api *api)
{
	struct newcomers *n = &api->newcomers;

	if (n->asking || list_empty(&n->waiting)) {
		return;
	}
	while (!list_empty(&n->waiting)) {
		struct list *l = list_pop(&n->waiting);

		list_insert(&n->asked, l);
	}
	n->asking = true;
	n->read = (struct core_read){.call = {.done_cb = newcomers_done}};
	api->link->ops->read(api->link, &n->read);
}

/* A token that was made a moment ago may not be known here yet. */
static void wait_for_token(struct api *api, struct http_request *req)
{
	list_insert(&api->newcomers.waiting, &req->link);
	ask_for_newcomers(api);
}

/* Whether the handler may be called; else the request has been answered, or waits. */
static bool may_begin(struct api *api, struct http_request *req)
{
	enum access_verdict verdict;

	if (api->access == NULL || (req->route->flags & API_QUERY) != 0) {
		return true;
	}
	verdict = check(api, req);
	if (verdict == ACCESS_UNKNOWN && api_info(api)->leader_known && !api_info(api)->leads) {
		wait_for_token(api, req);
	} else if (verdict != ACCESS_YES) {
		api_refuse(req, verdict);
	}
	return verdict == ACCESS_YES;
}

static void serve(struct api *api, struct http_request *req)
{
	if (req->route->consistency != HTTP_LOCAL && !api_region_is_ours(api, req)) {
		return;
	}
	if (!is_ours_to_do(api, req->route)) {
		api_to_leader(api, req);
	} else if (may_begin(api, req)) {
		req->route->handle_cb(api, req);
	}
}

void api_again(struct api *api, struct http_request *req)
{
	serve(api, req);
	api_rearm(api);
}

/* The leader carries out a write at once, and needs a copy of the body only if it loses leadership at that very moment:
 * then a large one is not tried again. */
static bool may_spare_body(const struct api *api, const struct http_request *req)
{
	return req->body_len > API_BODY_KEPT && req->route->consistency == HTTP_LEADER && api_info(api)->leads &&
	       !api->draining;
}

static int keep_body(struct http_request *req)
{
	const char *copy = req->body_len > 0 ? arena_strndup(&req->mem, req->body, req->body_len) : req->body;

	if (copy == NULL) {
		return ERR_NOMEM;
	}
	req->body = copy;
	req->body_spared = false;
	return 0;
}

int api_keep_body(struct http_request *req)
{
	return req->body_spared ? keep_body(req) : 0;
}

/* How long handlers take until they return. */
static void note_handled(struct api *api, int64_t begun)
{
	struct api_sample *h = &api->handled;
	double ms = (double)(api_now(api) - begun) / NS_PER_MS;

	h->min = h->count == 0 || ms < h->min ? ms : h->min;
	h->max = ms > h->max ? ms : h->max;
	h->sum += ms;
	h->squares += ms * ms;
	h->count++;
}

void api_handle(struct api *api, struct http_request *req)
{
	int64_t begun = api_now(api);

	api->stats.requests++;
	if (api->stopping) {
		http_answer_stopping(req);
	} else if (http_route_find(api->router, req) == 0) {
		req->body_spared = may_spare_body(api, req);
		if (req->body_spared || keep_body(req) == 0) {
			serve(api, req);
		} else {
			http_answer_error(req, ERR_NOMEM);
		}
	}
	note_handled(api, begun);
	api_rearm(api);
}

/* Lists and backups share a turn with queries that were woken: when there are some, the others get half of it. */
static bool run_slices(struct api *api)
{
	int64_t now = api_now(api);
	bool alone = list_empty(&api->listings) && list_empty(&api->backups);
	bool more = queries_run(api, now + (alone ? API_TURN_NS : API_TURN_NS / 2));

	more = listings_run(api, now + (list_empty(&api->backups) ? API_TURN_NS : API_TURN_NS * 3 / 4)) || more;
	more = events_run(api, now + API_TURN_NS) || more;
	return backups_run(api, now + API_TURN_NS) || more;
}

void api_run(struct api *api)
{
	api->inline_ns = 0;
	queries_woken(api);
	events_take(api);
	run_deadlines(api);
	queries_join(api);
	if (run_slices(api)) {
		api_run_soon(api);
	}
	api_rearm(api);
}

void api_drain(struct api *api, int64_t limit_ns)
{
	api->draining = true;
	api->drain_until_ns = api_now(api) + limit_ns;
	queries_stop(api);
	api_leader_drain(api);
	api_run_soon(api);
	api_rearm(api);
}

void api_stop(struct api *api)
{
	if (!api->draining) {
		api_drain(api, 0);
	}
	api->stopping = true;
	api_leader_stop(api);
	queries_stop(api);
	events_stop(api);
	monitors_stop(api);
	backups_stop(api);
	api_run_soon(api);
	api_rearm(api);
}
