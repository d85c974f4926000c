/* Reads: how new the view must be, blocking, the cache. */
#include "server/api_query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

enum {
	BATCHES_MAX = 4,   /* Read indexes under way. */
	JITTER_SHARE = 16, /* A blocking query waits longer by a random part of this share of its time. */
	LOOKS_PER_CLOCK = 8,
};

enum query_state {
	QUERY_NEW,
	QUERY_JOINING,
	QUERY_READING,
	QUERY_LEADERLESS,
	QUERY_READY,
	QUERY_PARKED,
	QUERY_LISTING,
	QUERY_DONE
};

static const struct sm_state states[] = {
	[QUERY_NEW] = {"new", SM_TO(QUERY_JOINING) | SM_TO(QUERY_PARKED) | SM_TO(QUERY_LISTING) | SM_TO(QUERY_DONE)},
	[QUERY_JOINING] = {"joining", SM_TO(QUERY_READING)},
	[QUERY_READING] = {"reading", SM_TO(QUERY_READY) | SM_TO(QUERY_LEADERLESS) | SM_TO(QUERY_DONE)},
	[QUERY_LEADERLESS] = {"leaderless", SM_TO(QUERY_JOINING) | SM_TO(QUERY_READY) | SM_TO(QUERY_DONE)},
	[QUERY_READY] = {"ready", SM_TO(QUERY_READY) | SM_TO(QUERY_PARKED) | SM_TO(QUERY_LISTING) | SM_TO(QUERY_DONE)},
	[QUERY_PARKED] = {"parked", SM_TO(QUERY_READY) | SM_TO(QUERY_DONE)},
	[QUERY_LISTING] = {"listing", SM_TO(QUERY_READY) | SM_TO(QUERY_DONE)},
	[QUERY_DONE] = {"done", 0},
};

static void look(struct query *q);

/* ---- answers ---- */

void query_drop_view(struct query *q)
{
	if (q->v != NULL) {
		view_release(q->v);
		q->v = NULL;
	}
}

/* The query ends with this: its request is gone after the answer. */
static void finish(struct query *q)
{
	sm_move(&q->state, QUERY_DONE);
	q->api->stats.released += q->deadline.due_cb != NULL && !q->over;
	query_drop_view(q);
	q->req->gone_cb = NULL;
	q->req->data = NULL;
}

struct http_response query_head(struct query *q)
{
	return (struct http_response){
		.has = HTTP_HAS_READ,
		.index = q->index,
		.known_leader = api_info(q->api)->leader_known,
		.last_contact_ms = q->contact_ms,
		.next_token = q->next_token,
	};
}

void query_answer(struct query *q, struct http_body *body)
{
	struct http_response res = query_head(q);

	res.shared = http_body_get(body);
	finish(q);
	http_answer(q->req, &res);
}

void query_fail(struct query *q, int err)
{
	finish(q);
	if (q->fault != NULL) {
		http_answer_text(q->req, 500, "%s", q->fault);
	} else if (err == ERR_NOLEADER) {
		api_answer_leaderless(q->api, q->req);
	} else if (err == ERR_CLOSED) {
		http_answer_stopping(q->req);
	} else {
		http_answer_error(q->req, err);
	}
}

void query_refuse(struct query *q, const char *format, const char *why)
{
	const char *text = arena_printf(&q->req->mem, format, why);

	finish(q);
	http_answer_text(q->req, 400, "%s", text != NULL ? text : "");
}

void query_stream_end(struct query *q, bool whole)
{
	struct http_request *req = q->req;

	finish(q);
	req->drain_cb = NULL;
	http_stream_end(req, whole);
}

void query_missing(struct query *q)
{
	struct http_response res = query_head(q);

	res.status = 404;
	buf_str(&res.body, q->missing != NULL ? q->missing : q->kind->missing);
	finish(q);
	http_answer(q->req, &res);
}

/* Nobody reads it: only the request is to be released. */
static void answer_nobody(struct query *q)
{
	struct http_response res = {.status = 499};

	finish(q);
	http_answer(q->req, &res);
}

/* ---- finding ---- */

static struct query_watch *next_watch(struct query *q)
{
	assert(q->n_watches < QUERY_WATCHES_MAX);
	return &q->watches[q->n_watches++];
}

int query_found(struct query *q, enum table table, uint64_t key, const struct row *row, uint64_t modify_index)
{
	struct query_watch *w = next_watch(q);

	w->watcher.table = (uint8_t)table;
	w->watcher.key = key;
	w->watcher.whole = false;
	q->row = row;
	q->index = row != NULL ? modify_index : state_table_index(q->v, table);
	q->stamp = row != NULL ? row->hash | 1 : 0;
	return row != NULL ? 0 : ERR_NOTFOUND;
}

/* The sum of the tables' indexes is never the same for two contents, as each of them only grows. */
void query_table(struct query *q, enum table table)
{
	struct query_watch *w = next_watch(q);
	uint64_t index = state_table_index(q->v, table);

	w->watcher.table = (uint8_t)table;
	w->watcher.whole = true;
	if (index > q->index) {
		q->index = index;
	}
	q->stamp += index + 1;
}

static int find(struct query *q)
{
	q->row = NULL;
	q->missing = NULL;
	q->index = 0;
	q->stamp = 0;
	q->n_watches = 0;
	return q->kind->find(q);
}

/* ---- parking ---- */

static void unpark(struct query *q)
{
	for (unsigned i = 0; i < q->n_watches; i++) {
		watch_cancel(&q->api->watchers, &q->watches[i].watcher);
	}
	deadline_clear(q->api, &q->deadline);
	list_remove(&q->link);
}

static void make_ready(struct query *q)
{
	sm_move(&q->state, QUERY_READY);
	list_insert(&q->api->ready, &q->link);
	api_run_soon(q->api);
}

static void time_is_up(struct deadline *d)
{
	struct query *q = CONTAINER_OF(d, struct query, deadline);

	unpark(q);
	q->over = true;
	make_ready(q);
}

static void client_gone(struct http_request *req)
{
	struct query *q = req->data;

	if (q->state.at == QUERY_PARKED) {
		unpark(q);
		answer_nobody(q);
	} else if (q->state.at == QUERY_LISTING) {
		listing_gone(q);
	}
}

static void watch(struct query *q, struct query_watch *w)
{
	struct watchers *all = &q->api->watchers;
	struct watcher old = w->watcher;

	w->query = q;
	w->watcher = (struct watcher){.waiting = false};
	if (old.whole) {
		watch_table(all, &w->watcher, (enum table)old.table);
	} else {
		watch_row(all, &w->watcher, (enum table)old.table, old.key);
	}
}

/* The longest time is counted from the first look. */
static int set_time(struct query *q)
{
	int64_t wait = q->opt.wait_ns;

	if (q->deadline.due_cb == NULL) {
		q->deadline.due_cb = time_is_up;
		wait += (int64_t)(q->api->env.random(q->api->env.ctx) % ((uint64_t)wait / JITTER_SHARE + 1));
		q->deadline.at_ns = api_now(q->api) + wait;
		q->api->stats.blocked++;
	}
	return deadline_set(q->api, &q->deadline, q->deadline.at_ns);
}

static void park(struct query *q)
{
	query_drop_view(q);
	if (set_time(q) != 0) {
		query_fail(q, ERR_NOMEM);
		return;
	}
	sm_move(&q->state, QUERY_PARKED);
	list_insert(&q->api->parked, &q->link);
	for (unsigned i = 0; i < q->n_watches; i++) {
		watch(q, &q->watches[i]);
	}
	if (watch_ring_listen(&q->api->ring, true)) {
		api_run_soon(q->api);
	}
}

void queries_woken(struct api *api)
{
	struct list woken;

	list_init(&woken);
	watch_drain(&api->watchers, &api->ring, &woken);
	while (!list_empty(&woken)) {
		struct watcher *who = CONTAINER_OF(woken.next, struct watcher, link);
		struct query *q = CONTAINER_OF(who, struct query_watch, watcher)->query;

		unpark(q); /* Takes all of its watches off the list. */
		make_ready(q);
	}
	if (api->watchers.n == 0) {
		(void)watch_ring_listen(&api->ring, false);
	}
}

/* ---- the body ---- */

/* Parameters that change how an answer is waited for, but not what it is. */
static bool is_about_waiting(const char *name)
{
	static const char *const names[] = {"index", "wait", "stale", "consistent", "pretty", "region"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

static size_t put_text(char *to, size_t at, const char *text)
{
	size_t len = strlen(text) + 1;

	memcpy(to + at, text, len);
	return at + len;
}

/* What the body is kept under: the path, the parameters that it depends on, and what whoever asks may see. */
static void make_key(struct query *q)
{
	const struct http_request *req = q->req;
	uint64_t serial = access_serial(req);
	size_t len = req->path_len;
	char *to;

	q->key = req->path;
	q->key_len = req->path_len;
	if (req->n_pairs == 0 && serial == 0) {
		return;
	}
	to = arena_alloc(&q->req->mem,
			 req->path_len + req->query_len + 2 * (size_t)req->n_pairs + 1 + 1 + sizeof(serial));
	if (to == NULL) {
		q->stamp = 0;
		return;
	}
	memcpy(to, req->path, len);
	for (unsigned i = 0; i < req->n_pairs; i++) {
		if (!is_about_waiting(req->pairs[i].name)) {
			to[len++] = '?';
			len = put_text(to, len, req->pairs[i].name);
			len = put_text(to, len, req->pairs[i].value);
		}
	}
	if (serial != 0) {
		to[len++] = '#';
		memcpy(to + len, &serial, sizeof(serial));
		len += sizeof(serial);
	}
	q->key = to;
	q->key_len = len;
}

static bool is_cacheable(const struct query *q)
{
	return q->stamp != 0 && q->req->method == HTTP_GET && q->opt.per_page == 0 &&
	       (q->req->access == NULL || !q->req->access->passing);
}

static void render(struct query *q)
{
	struct buf out = {0};
	int rv = q->kind->render(q, &out);
	struct http_body *body = rv == 0 ? http_body_new(&out) : NULL;

	if (body == NULL) {
		buf_close(&out);
		query_fail(q, rv != 0 ? rv : ERR_NOMEM);
		return;
	}
	q->api->stats.rendered++;
	if (q->stamp != 0) {
		cache_put(q->api->cache, q->key, q->key_len, q->stamp, body);
	}
	query_answer(q, body);
	http_body_put(body);
}

static void tell(struct query *q)
{
	struct http_body *body = NULL;

	if (!is_cacheable(q)) {
		q->stamp = 0;
	} else if (q->key == NULL) {
		make_key(q);
	}
	if (q->stamp != 0) {
		body = cache_get(q->api->cache, q->key, q->key_len, q->stamp);
	}
	if (body != NULL) {
		query_answer(q, body);
		http_body_put(body);
	} else if (q->kind->list != NULL) {
		sm_move(&q->state, QUERY_LISTING);
		listing_begin(q);
	} else {
		render(q);
	}
}

/* ---- looking ---- */

static bool must_wait(const struct query *q)
{
	return q->opt.index > 0 && q->index <= q->opt.index && !q->over && !q->req->gone && !q->api->draining;
}

/* By the tokens and policies of the view that it is answered from, each time: while it waited, they may have changed. */
static bool may_look(struct query *q)
{
	struct api *api = q->api;
	enum access_verdict verdict =
		api->access == NULL ? ACCESS_YES : access_check(api->access, q->v, q->req, api_wall(api));

	if (verdict != ACCESS_YES) {
		finish(q);
		api_refuse(q->req, verdict);
	}
	return verdict == ACCESS_YES;
}

static void look(struct query *q)
{
	int rv;

	if (q->v == NULL) {
		q->v = q->api->link->ops->view(q->api->link);
		if (!may_look(q)) {
			return;
		}
		q->key = q->api->access == NULL ? q->key : NULL;
	}
	rv = find(q);
	if (rv != 0 && rv != ERR_NOTFOUND) {
		query_fail(q, rv);
	} else if (must_wait(q)) {
		park(q);
	} else if (rv == ERR_NOTFOUND) {
		query_missing(q);
	} else {
		tell(q);
	}
}

void query_look_again(struct query *q)
{
	query_drop_view(q);
	make_ready(q);
}

bool queries_run(struct api *api, int64_t end_ns)
{
	unsigned n = 0;

	while (!list_empty(&api->ready)) {
		struct query *q = CONTAINER_OF(list_pop(&api->ready), struct query, link);

		look(q);
		if (++n % LOOKS_PER_CLOCK == 0 && api_now(api) >= end_ns) {
			break;
		}
	}
	return !list_empty(&api->ready);
}

void queries_stop(struct api *api)
{
	while (!list_empty(&api->parked)) {
		time_is_up(&CONTAINER_OF(api->parked.next, struct query, link)->deadline);
	}
}

/* ---- coming up to date ---- */

/* Queries that share one read index. */
struct read_batch {
	struct core_read read;
	struct api *api;
	struct list queries;
};

static void join(struct query *q)
{
	sm_move(&q->state, QUERY_JOINING);
	list_insert(&q->api->joining[q->opt.consistent], &q->link);
	api_run_soon(q->api);
}

static void again_with_leader(struct leader_wait *w)
{
	join(CONTAINER_OF(w, struct query, wait));
}

static void fail_without_leader(struct leader_wait *w)
{
	query_fail(CONTAINER_OF(w, struct query, wait), ERR_NOLEADER);
}


static void read_failed(struct query *q, int err)
{
	if (!read_wants_leader(err)) {
		query_fail(q, err);
		return;
	}
	q->wait.req = q->req;
	q->wait.again_cb = again_with_leader;
	q->wait.fail_cb = fail_without_leader;
	sm_move(&q->state, QUERY_LEADERLESS);
	leader_wait_begin(q->api, &q->wait);
}

static void read_done(struct core_call *call)
{
	struct read_batch *b = CONTAINER_OF(call, struct read_batch, read.call);
	struct api *api = b->api;

	api->batches--;
	while (!list_empty(&b->queries)) {
		struct query *q = CONTAINER_OF(list_pop(&b->queries), struct query, link);

		if (call->status == 0) {
			make_ready(q);
		} else {
			read_failed(q, call->status);
		}
	}
	free(b);
	queries_run(api, api_now(api) + API_TURN_NS / 2);
	api_run_soon(api);
	api_rearm(api);
}

static void fail_all(struct list *queries)
{
	while (!list_empty(queries)) {
		struct query *q = CONTAINER_OF(list_pop(queries), struct query, link);

		sm_move(&q->state, QUERY_READING);
		query_fail(q, ERR_NOMEM);
	}
}

static void start_batch(struct api *api, bool barrier)
{
	struct read_batch *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		fail_all(&api->joining[barrier]);
		return;
	}
	b->api = api;
	b->read.barrier = barrier;
	b->read.call.done_cb = read_done;
	list_init(&b->queries);
	while (!list_empty(&api->joining[barrier])) {
		struct query *q = CONTAINER_OF(list_pop(&api->joining[barrier]), struct query, link);

		sm_move(&q->state, QUERY_READING);
		list_insert(&b->queries, &q->link);
	}
	api->batches++;
	api->stats.read_indexes++;
	api->link->ops->read(api->link, &b->read);
}

/* At most so many are under way: the others share the next. */
void queries_join(struct api *api)
{
	for (unsigned barrier = 0; barrier < 2; barrier++) {
		if (!list_empty(&api->joining[barrier]) && api->batches < BATCHES_MAX) {
			start_batch(api, barrier != 0);
		}
	}
}

/* ---- beginning ---- */

/* A leader that was replaced while it was not looking believes for a while that it leads. */
static bool surely_leads(struct api *api)
{
	const struct core_ops *ops = api->link->ops;

	return api_info(api)->leads && (ops->surely_leads == NULL || ops->surely_leads(api->link));
}

static bool is_new_enough(struct query *q)
{
	if (q->opt.stale) {
		q->contact_ms = q->api->link->ops->last_contact_ms(q->api->link);
		return true;
	}
	return !q->opt.consistent && surely_leads(q->api);
}

static struct query *new_query(struct api *api, struct http_request *req, const struct query_kind *kind)
{
	struct query *q = arena_calloc(&req->mem, 1, sizeof(*q));

	if (q == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return NULL;
	}
	q->req = req;
	q->api = api;
	q->kind = kind;
	list_init(&q->link);
	sm_init(&q->state, states, NULL, QUERY_NEW);
	return q;
}

/* Before anything else of the request is looked at. With ACCESS_YES the view is the caller's. A server that follows may
 * not know a new token yet: then it is looked for in a view that is newer. */
static enum access_verdict check_early(struct query *q, const struct view **out)
{
	struct api *api = q->api;
	const struct view *v = api->link->ops->view(api->link);
	enum access_verdict verdict = access_check(api->access, v, q->req, api_wall(api));

	if (verdict == ACCESS_YES) {
		*out = v;
	} else {
		view_release(v);
	}
	return verdict;
}

void query_begin(struct api *api, struct http_request *req, const struct query_kind *kind)
{
	struct query *q = new_query(api, req, kind);
	enum access_verdict verdict;
	const struct view *v = NULL;
	bool enough;

	if (q == NULL) {
		return;
	}
	if (http_options_parse(req, &q->opt) != 0) {
		http_answer_text(req, 400, "%s", req->error);
		return;
	}
	if (kind->list != NULL && kind->list->key == LIST_WHOLE) {
		q->opt.per_page = 0;
		q->opt.next_token = "";
	}
	enough = is_new_enough(q);
	if (enough && api->access != NULL) {
		verdict = check_early(q, &v);
		enough = verdict == ACCESS_YES;
		if (!enough && (verdict != ACCESS_UNKNOWN || api_info(api)->leads)) {
			api_refuse(req, verdict);
			return;
		}
	}
	if (kind->begin != NULL && kind->begin(q) != 0) {
		if (v != NULL) {
			view_release(v);
		}
		return;
	}
	q->v = v;
	req->data = q;
	req->gone_cb = client_gone;
	if (enough) {
		look(q);
	} else {
		join(q);
	}
}

int query_begin_id(struct query *q)
{
	return path_uuid(q->req, 0, &q->id);
}

int query_begin_any_id(struct query *q)
{
	const char *why;

	if (api_uuid(q->req->params[0], &q->id, &why) != 0) {
		q->id = (struct uuid){{0}};
	}
	return 0;
}

/* What a prefix must be whatever its letters are; the message for what is wrong with it, or NULL. */
static const char *prefix_fault(struct query *q)
{
	const char *text = q->opt.prefix;
	size_t len = strlen(text);
	size_t hyphens = 0;

	for (; *text != '\0'; text++) {
		hyphens += *text == '-';
	}
	return len >= UUID_TEXT ? arena_printf(&q->req->mem, "Invalid UUID length. UUID have %d characters; got %zu",
					       UUID_TEXT - 1, len)
	       : hyphens > 4    ? arena_printf(&q->req->mem, "UUID should have maximum of 4 \"-\"; got %zu", hyphens)
	       : (len - hyphens) % 2 != 0 ? "Input (without hyphens) must be even length"
					  : NULL;
}

int query_begin_prefix(struct query *q)
{
	struct uuid_prefix *prefix;
	const char *why;
	int rv;

	if (q->opt.prefix[0] == '\0') {
		return 0;
	}
	why = prefix_fault(q);
	if (why != NULL) {
		http_answer_text(q->req, 500, "%s", why);
		return ERR_INVALID;
	}
	prefix = arena_alloc(&q->req->mem, sizeof(*prefix));
	rv = prefix != NULL ? uuid_prefix_parse(q->opt.prefix, prefix) : ERR_NOMEM;
	q->own = prefix;
	if (rv == ERR_NOMEM) {
		http_answer_error(q->req, rv);
	} else if (rv != 0) {
		http_answer_text(q->req, 500, "Invalid UUID: \"%s\"", q->opt.prefix);
	}
	return rv;
}

bool query_refuses_prefix(struct query *q)
{
	if (q->opt.prefix[0] != '\0') {
		http_answer_text(q->req, 400, "prefix argument not allowed");
		return true;
	}
	return false;
}

const struct uuid_prefix *query_prefix(const struct query *q)
{
	return q->opt.prefix[0] != '\0' ? q->own : NULL;
}
