#include "server/api.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/error.h"
#include "server/api_parts.h"

enum { CACHE_BYTES = 32 << 20, VERSIONS_KEPT = 6, SOURCE_BYTES_MAX = 1 << 20 };

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
	c->cache_bytes = c->cache_bytes != 0 ? c->cache_bytes : CACHE_BYTES;
	c->versions_kept = c->versions_kept != 0 ? c->versions_kept : VERSIONS_KEPT;
	c->source_bytes_max = c->source_bytes_max != 0 ? c->source_bytes_max : SOURCE_BYTES_MAX;
	c->version = c->version != NULL ? c->version : "";
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
	if (api->router != NULL && api->cache != NULL) {
		return 0;
	}
	if (api->router != NULL) {
		http_router_free(api->router);
	}
	cache_free(api->cache);
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
	link->ops->start(link, &api_events, api);
	return api;
}

void api_free(struct api *api)
{
	assert(list_empty(&api->parked) && list_empty(&api->ready) && list_empty(&api->listings) &&
	       list_empty(&api->leaderless) && api->n_backups == 0);
	watch_ring_close(&api->ring);
	watchers_close(&api->watchers);
	heap_close(&api->deadlines);
	http_router_free(api->router);
	cache_free(api->cache);
	free(api);
}

struct watch_ring *api_ring(struct api *api)
{
	return &api->ring;
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

static void serve(struct api *api, struct http_request *req)
{
	if (req->route->consistency != HTTP_LOCAL && !api_region_is_ours(api, req)) {
		return;
	}
	if (is_ours_to_do(api, req->route)) {
		req->route->handle_cb(api, req);
	} else {
		api_to_leader(api, req);
	}
}

void api_again(struct api *api, struct http_request *req)
{
	serve(api, req);
	api_rearm(api);
}

/* The leader carries out a write at once, and needs a copy of the body only if it loses leadership at that very moment:
 * then a large one is not tried again. */
static bool is_body_spared(const struct api *api, const struct http_request *req)
{
	return req->body_len > API_BODY_KEPT && req->route->consistency == HTTP_LEADER && api_info(api)->leads;
}

static int keep_body(struct http_request *req)
{
	const char *copy = req->body_len > 0 ? arena_strndup(&req->mem, req->body, req->body_len) : req->body;

	if (copy == NULL) {
		return ERR_NOMEM;
	}
	req->body = copy;
	return 0;
}

int api_keep_body(struct api *api, struct http_request *req)
{
	return is_body_spared(api, req) ? keep_body(req) : 0;
}

void api_handle(struct api *api, struct http_request *req)
{
	api->stats.requests++;
	if (api->stopping) {
		http_answer_text(req, 503, "the server is stopping");
	} else if (http_route_find(api->router, req) == 0) {
		if (is_body_spared(api, req) || keep_body(req) == 0) {
			serve(api, req);
		} else {
			http_answer_error(req, ERR_NOMEM);
		}
	}
	api_rearm(api);
}

/* Lists and backups share a turn with queries that were woken: when there are some, the others get half of it. */
static bool run_slices(struct api *api)
{
	int64_t now = api_now(api);
	bool alone = list_empty(&api->listings) && list_empty(&api->backups);
	bool more = queries_run(api, now + (alone ? API_TURN_NS : API_TURN_NS / 2));

	more = listings_run(api, now + (list_empty(&api->backups) ? API_TURN_NS : API_TURN_NS * 3 / 4)) || more;
	return backups_run(api, now + API_TURN_NS) || more;
}

void api_run(struct api *api)
{
	api->inline_ns = 0;
	queries_woken(api);
	run_deadlines(api);
	queries_join(api);
	if (run_slices(api)) {
		api_run_soon(api);
	}
	api_rearm(api);
}

void api_stop(struct api *api)
{
	api->stopping = true;
	api_leader_stop(api);
	queries_stop(api);
	backups_stop(api);
	api_run_soon(api);
	api_rearm(api);
}
