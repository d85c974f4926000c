/*
 * Lists: filtered, in pages, rendered row by row in slices of time.
 *
 *     rows of the table --> match --> [by age: runs of sorted rows, merged] --> element --> filter --> page --> body
 *
 * Queries for the same list of the same moment share one rendering. A list that gets long leaves piece by piece, as
 * fast as its client reads; a page never does, as the token of the next page goes ahead of it, in a header.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/filter.h"
#include "server/api_query.h"

enum {
	ROOM_FOR_ONE = 1 << 10, /* Bytes of an element: a guess. */
	RUN = 4096, /* Rows that are sorted at once. */
	ROWS_PER_CLOCK = 16,
	COST_PER_CLOCK = 1 << 16, /* Of filters: some 150 us. */
	SCRATCH_MAX = 256 << 10, /* Bytes of the elements' arena, which is emptied when it has more. */
	PIECE = 64 << 10,        /* Of a stream. */
	GROWS_TO = 512 << 10,    /* A page that is longer gets all the room that it may need, of which only what is */
	                         /* written becomes memory: to move some megabytes takes a turn of its own. */
	PAGE_ROOM = LIST_PAGE_MAX + LIST_STREAM,
};

#define INLINE_NS (2 * NS_PER_MS)     /* Time for lists inside handlers, in one turn of the loop; */
#define INLINE_ONE_NS (NS_PER_MS / 2) /* for one of them. */
#define SLICE_NS NS_PER_MS

struct aged {
	uint64_t age;
	struct uuid id; /* Breaks ties. */
	const struct row *row;
};

/* A sorted part of the rows. */
struct run {
	struct heap_link link;
	const struct aged *at;
	const struct aged *end;
};

/* Rows sorted by age: first they are collected, then merged. */
struct by_age {
	struct aged *rows;
	size_t n, cap;
	struct run *runs;
	struct heap heap;
	bool merging;
};

enum emission { EMIT_ROW, EMIT_NOTHING, EMIT_NO_PART, EMIT_END };

struct listing {
	struct query *q;
	const struct list_kind *kind;
	const struct acl *acl; /* The request's; NULL: all rows may be seen. */
	struct list link;      /* In api->listings, unless it waits for its client. */
	struct list followers; /* Queries with the same answer. */
	struct rows rows;
	struct by_age age;
	struct aged from;               /* By age, or ID: the page begins here, */
	bool has_from;                  /* if there is a token. */
	char from_key[ROWS_PREFIX_MAX]; /* In the table's order: likewise. */
	struct filter *filter;
	uint64_t filter_cost; /* Since the clock was asked. */
	bool whole;           /* The filter is about the whole object. */
	struct list_scratch scratch;
	struct buf body;
	int64_t n;    /* Elements. */
	size_t bytes; /* Counted in api->listing_bytes. */
	bool streaming;
	bool paused;
	bool gone;
};

/* ---- where a page begins: tokens ---- */

/* In letters that mean the same in a URL and escaped in one, as clients put them there as they are or escaped. */
static void put_escaped(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-_:/", c) != NULL) {
			buf_byte(out, *text);
		} else {
			buf_printf(out, "~%02x", c);
		}
	}
}

/* Undo that: the length, or ERR_SYNTAX. `to` has room for the text and a zero. */
static long take_escaped(char *to, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%') {
			return ERR_SYNTAX;
		}
		to[i] = text[i];
		if (text[i] == '~') {
			to[i] = '%';
		}
	}
	return http_decode(to, to, len, false);
}

static void put_id(struct buf *out, struct uuid id)
{
	char text[UUID_TEXT];

	uuid_format(&id, text);
	buf_str(out, text);
}

/* "web", "default.web", "default.web.ID", "4bd1...", "120.4bd1..." */
static const char *make_token(struct listing *l, const struct row *row)
{
	struct buf b = {0};
	const char *token;

	if (l->kind->key == LIST_BY_JOB) {
		put_escaped(&b, job_row_ns((const struct job_row *)row));
		buf_byte(&b, '.');
		put_escaped(&b, job_row_id((const struct job_row *)row));
	} else if (l->kind->key == LIST_BY_SERVICE) {
		put_escaped(&b, service_row_ns((const struct service_row *)row));
		buf_byte(&b, '.');
		put_escaped(&b, service_row_name((const struct service_row *)row));
		buf_byte(&b, '.');
		put_escaped(&b, service_row_id((const struct service_row *)row));
	} else if (l->kind->key == LIST_BY_VARIABLE) {
		put_escaped(&b, ((const struct object_row *)row)->key);
		buf_byte(&b, '.');
		put_escaped(&b, variable_row_path((const struct object_row *)row));
	} else if (l->kind->key == LIST_BY_NAME) {
		put_escaped(&b, ((const struct object_row *)row)->key);
	} else {
		if (l->kind->age != NULL) {
			buf_printf(&b, "%llu.", (unsigned long long)l->kind->age(row));
		}
		put_id(&b, l->kind->id(row));
	}
	token = b.failed ? NULL : arena_strdup(&l->q->req->mem, buf_text(&b));
	buf_close(&b);
	return token;
}

/* Decode the part before the dot, or all that is left if it is the last, with a zero behind. Returns its length with
 * the zero, or ERR_SYNTAX. */
static long take_part(struct listing *l, const char **token, bool last, char *to, size_t room)
{
	size_t len = last ? strlen(*token) : strcspn(*token, ".");
	char *text = arena_alloc(&l->q->req->mem, len + 1);
	long n = text != NULL ? take_escaped(text, *token, len) : ERR_NOMEM;

	if (n < 0 || (size_t)n >= room) {
		return ERR_SYNTAX;
	}
	memcpy(to, text, (size_t)n + 1);
	*token += len + ((*token)[len] == '.');
	return n + 1;
}

static unsigned key_parts(enum list_key key)
{
	switch (key) {
	case LIST_BY_SERVICE:
		return 3;
	case LIST_BY_JOB:
	case LIST_BY_VARIABLE:
		return 2;
	default:
		return 1;
	}
}

static int seek_key(struct listing *l, const char *token)
{
	unsigned parts = key_parts(l->kind->key);
	size_t len = 0;

	for (unsigned i = 0; i < parts; i++) {
		long n = take_part(l, &token, i + 1 == parts, l->from_key + len, sizeof(l->from_key) - len);

		if (n < 0) {
			return ERR_SYNTAX;
		}
		len += (size_t)n;
	}
	rows_seek(&l->rows, l->from_key, len);
	return 0;
}

static int seek_age(struct listing *l, const char *token)
{
	char *end;

	l->from.age = strtoull(token, &end, 10);
	if (end == token || *end != '.' || !uuid_parse(end + 1, strlen(end + 1), &l->from.id)) {
		return ERR_SYNTAX;
	}
	l->has_from = true;
	return 0;
}

static int seek(struct listing *l)
{
	const char *token = l->q->opt.next_token;

	if (token[0] == '\0') {
		return 0;
	}
	if (l->kind->age != NULL) {
		return seek_age(l, token);
	}
	if (l->kind->key != LIST_BY_ID) {
		return seek_key(l, token);
	}
	if (!uuid_parse(token, strlen(token), &l->from.id)) {
		return ERR_SYNTAX;
	}
	rows_seek(&l->rows, &l->from.id, sizeof(l->from.id));
	return 0;
}

/* ---- rows by age ---- */

static int compare_aged(const void *a, const void *b)
{
	const struct aged *x = a;
	const struct aged *y = b;

	if (x->age != y->age) {
		return x->age < y->age ? -1 : 1;
	}
	return memcmp(&x->id, &y->id, sizeof(x->id));
}

static int compare_aged_back(const void *a, const void *b)
{
	return compare_aged(b, a);
}

static bool run_before(const struct heap_link *a, const struct heap_link *b)
{
	return compare_aged(CONTAINER_OF((uintptr_t)a, struct run, link)->at,
			    CONTAINER_OF((uintptr_t)b, struct run, link)->at) < 0;
}

static bool run_before_back(const struct heap_link *a, const struct heap_link *b)
{
	return run_before(b, a);
}

static void sort_last_run(struct listing *l)
{
	struct by_age *g = &l->age;
	size_t begin = g->n == 0 ? 0 : (g->n - 1) / RUN * RUN;

	qsort(g->rows + begin, g->n - begin, sizeof(g->rows[0]), l->q->opt.reverse ? compare_aged_back : compare_aged);
}

static bool is_before_page(const struct listing *l, const struct aged *a)
{
	int order = l->has_from ? compare_aged(a, &l->from) : 0;

	return l->q->opt.reverse ? order > 0 : order < 0;
}

static int collect(struct listing *l, const struct row *row)
{
	struct by_age *g = &l->age;
	struct aged a = {l->kind->age(row), l->kind->id(row), row};

	if (is_before_page(l, &a)) {
		return 0;
	}
	if (g->n == g->cap) {
		size_t cap = g->cap == 0 ? 64 : g->cap * 2;
		struct aged *rows = realloc(g->rows, cap * sizeof(*rows));

		if (rows == NULL) {
			return ERR_NOMEM;
		}
		g->rows = rows;
		g->cap = cap;
	}
	g->rows[g->n++] = a;
	if (g->n % RUN == 0) {
		sort_last_run(l);
	}
	return 0;
}

static int begin_merge(struct listing *l)
{
	struct by_age *g = &l->age;
	size_t n = (g->n + RUN - 1) / RUN;

	g->merging = true;
	heap_init(&g->heap, l->q->opt.reverse ? run_before_back : run_before);
	g->runs = calloc(n + 1, sizeof(*g->runs));
	if (g->runs == NULL) {
		return ERR_NOMEM;
	}
	if (g->n % RUN != 0) {
		sort_last_run(l);
	}
	for (size_t i = 0; i < n; i++) {
		g->runs[i].at = g->rows + i * RUN;
		g->runs[i].end = i + 1 < n ? g->rows + (i + 1) * RUN : g->rows + g->n;
		if (!heap_add(&g->heap, &g->runs[i].link)) {
			return ERR_NOMEM;
		}
	}
	return 0;
}

static const struct row *merge_next(struct by_age *g)
{
	struct heap_link *first = heap_first(&g->heap);
	struct run *run;
	const struct row *row;

	if (first == NULL) {
		return NULL;
	}
	run = CONTAINER_OF(first, struct run, link);
	row = run->at->row;
	if (++run->at == run->end) {
		heap_remove(&g->heap, first);
	} else {
		heap_moved(&g->heap, first);
	}
	return row;
}

/* ---- elements ---- */

static void empty_scratch(struct listing *l)
{
	arena_close(&l->scratch.mem);
	l->scratch.jobs = (struct job_cache){NULL, NULL};
}

typedef int (*get_cb)(struct query *q, const struct row *row, void *obj, struct list_scratch *s);

static int make(struct listing *l, const struct row *row, const struct type *t, get_cb get, void **out)
{
	*out = arena_alloc(&l->scratch.mem, t->size);
	return *out != NULL ? get(l->q, row, *out, &l->scratch) : ERR_NOMEM;
}

static int passes_filter(struct listing *l, const struct row *row, const void *element, bool *yes)
{
	void *whole;
	int rv;

	*yes = true;
	if (l->filter == NULL) {
		return 0;
	}
	if (!l->whole) {
		return filter_match(l->filter, element, &l->filter_cost, yes);
	}
	rv = make(l, row, l->kind->whole, l->kind->get_whole, &whole);
	return rv == 0 ? filter_match(l->filter, whole, &l->filter_cost, yes) : rv;
}

static bool page_is_full(const struct listing *l)
{
	return l->q->opt.per_page > 0 && !l->kind->count &&
	       (l->n >= l->q->opt.per_page || l->body.len >= LIST_PAGE_MAX);
}

static void make_room(struct listing *l)
{
	if (l->q->opt.per_page > 0 && l->body.len >= GROWS_TO && l->body.cap < PAGE_ROOM) {
		(void)buf_room(&l->body, PAGE_ROOM - l->body.len);
	}
}

/* Put one row into the body: an ERR_ code or an emission. */
static int emit(struct listing *l, const struct row *row)
{
	void *element;
	bool yes;
	int rv;

	if (l->kind->count && l->filter == NULL) {
		l->n++;
		return EMIT_ROW;
	}
	if (l->scratch.mem.total > SCRATCH_MAX) {
		empty_scratch(l);
	}
	rv = make(l, row, l->kind->type, l->kind->get, &element);
	if (rv == LIST_SKIP || rv == LIST_NO_PART) {
		return rv == LIST_SKIP ? EMIT_NOTHING : EMIT_NO_PART;
	}
	if (rv == 0) {
		rv = passes_filter(l, row, element, &yes);
	}
	if (rv != 0) {
		return rv;
	}
	if (!yes) {
		return EMIT_NOTHING;
	}
	if (page_is_full(l)) {
		l->q->next_token = make_token(l, row);
		return l->q->next_token != NULL ? EMIT_END : ERR_NOMEM;
	}
	if (l->n++ > 0 && !l->kind->count) {
		buf_byte(&l->body, ',');
	}
	if (l->kind->count) {
		return EMIT_ROW;
	}
	make_room(l);
	json_encode(l->kind->type, element, &l->body);
	return l->body.failed ? ERR_NOMEM : l->kind->first ? EMIT_END : EMIT_ROW;
}

/* All elements of one row. */
static int emit_all(struct listing *l, const struct row *row)
{
	int rv;

	l->scratch.part = 0;
	do {
		rv = emit(l, row);
		l->scratch.part++;
	} while (l->kind->in_parts && (rv == EMIT_ROW || rv == EMIT_NOTHING));
	return rv == EMIT_NO_PART ? EMIT_NOTHING : rv;
}

/* One row of the table or, when those are sorted, of the merge. */
static int advance(struct listing *l)
{
	bool collecting = l->kind->age != NULL && !l->age.merging;
	bool back = !collecting && l->q->opt.reverse != l->kind->backwards;
	const struct row *row;

	if (l->age.merging) {
		row = merge_next(&l->age);
		return row != NULL ? emit_all(l, row) : EMIT_END;
	}
	row = back ? rows_prev(&l->rows) : rows_next(&l->rows);
	if (row == NULL && collecting) {
		int rv = begin_merge(l);

		return rv != 0 ? rv : EMIT_NOTHING;
	}
	if (row == NULL) {
		return EMIT_END;
	}
	if ((l->acl != NULL && !l->kind->sees(l->acl, row)) ||
	    (l->kind->match != NULL && !l->kind->match(l->q, row))) {
		return EMIT_NOTHING;
	}
	if (collecting) {
		int rv = collect(l, row);

		return rv != 0 ? rv : EMIT_NOTHING;
	}
	return emit_all(l, row);
}

/* ---- life ---- */

static void release(struct listing *l)
{
	struct api *api = l->q->api;

	list_remove(&l->link);
	api->listing_bytes -= l->bytes;
	api->stats.rendering--;
	arena_close(&l->scratch.mem);
	buf_close(&l->body);
	heap_close(&l->age.heap);
	free(l->age.runs);
	free(l->age.rows);
	l->q->listing = NULL;
	free(l);
	/* All of them: one that finds its answer in the cache would let no other follow. */
	while (!list_empty(&api->crowded)) {
		query_look_again(CONTAINER_OF(list_pop(&api->crowded), struct query, link));
	}
}

/* Only a filter is too much. */
static void refuse(struct query *q, int err)
{
	if (err == ERR_TOOBIG) {
		query_refuse(q, "%s", FILTER_TOO_COSTLY);
	} else {
		query_fail(q, err);
	}
}

/* Those that wait for the same list look for themselves, or get the same error. */
static void dismiss_followers(struct listing *l, int err)
{
	while (!list_empty(&l->followers)) {
		struct query *q = CONTAINER_OF(list_pop(&l->followers), struct query, link);

		if (err != 0) {
			refuse(q, err);
		} else {
			query_look_again(q);
		}
	}
}

static void end_stream(struct listing *l, bool whole)
{
	struct query *q = l->q;

	release(l);
	query_stream_end(q, whole);
}

static void fail(struct listing *l, int err)
{
	struct query *q = l->q;

	dismiss_followers(l, err);
	if (l->streaming) {
		end_stream(l, false);
		return;
	}
	release(l);
	refuse(q, err);
}

static void answer_all(struct listing *l, struct http_body *body)
{
	struct query *q = l->q;

	if (q->stamp != 0) {
		cache_put(q->api->cache, q->key, q->key_len, q->stamp, body);
	}
	while (!list_empty(&l->followers)) {
		query_answer(CONTAINER_OF(list_pop(&l->followers), struct query, link), body);
	}
	release(l);
	query_answer(q, body);
}

static void miss_all(struct listing *l)
{
	struct query *q = l->q;

	while (!list_empty(&l->followers)) {
		query_missing(CONTAINER_OF(list_pop(&l->followers), struct query, link));
	}
	release(l);
	query_missing(q);
}

static void finish(struct listing *l)
{
	struct http_body *body;

	if (l->kind->first && l->n == 0) {
		miss_all(l);
		return;
	}
	if (l->kind->count) {
		l->body.len = 0;
		buf_printf(&l->body, "{\"Count\":%lld}", (long long)l->n);
	} else if (!l->kind->first) {
		buf_byte(&l->body, ']');
	}
	l->q->api->stats.rendered++;
	body = http_body_new(&l->body);
	if (body == NULL) {
		fail(l, ERR_NOMEM);
		return;
	}
	answer_all(l, body);
	http_body_put(body);
}

/* ---- streams ---- */

static void drained(struct http_request *req)
{
	struct query *q = req->data;
	struct listing *l = q->listing;

	if (l != NULL && l->paused) {
		l->paused = false;
		list_insert(&q->api->listings, &l->link);
		api_run_soon(q->api);
	}
}

static void begin_stream(struct listing *l)
{
	struct http_response head = query_head(l->q);

	dismiss_followers(l, 0);
	l->streaming = true;
	l->q->api->stats.streamed++;
	l->q->req->drain_cb = drained;
	head.type = "application/json";
	http_stream_begin(l->q->req, &head);
}

/* Send what there is. False when the stream has ended. */
static bool flush(struct listing *l)
{
	int rv = l->body.len > 0 ? http_stream_write(l->q->req, l->body.at, l->body.len) : 0;

	if (rv < 0) {
		end_stream(l, false);
		return false;
	}
	l->body.len = 0;
	if (rv == HTTP_WAIT) {
		l->paused = true;
		list_remove(&l->link);
	}
	return true;
}

/* ---- slices ---- */

static bool should_flush(const struct listing *l)
{
	return l->q->opt.per_page == 0 && l->body.len >= (l->streaming ? (size_t)PIECE : (size_t)LIST_STREAM);
}

static void end(struct listing *l)
{
	if (!l->streaming) {
		finish(l);
		return;
	}
	buf_byte(&l->body, ']');
	if (flush(l)) {
		end_stream(l, true);
	}
}

/* Go on until the end, or until the time. False when it has ended, or waits for its client. */
static bool step(struct listing *l, int64_t end_ns)
{
	struct api *api = l->q->api;

	for (unsigned n = 1;; n++) {
		int rv = advance(l);

		if (rv < 0) {
			fail(l, rv);
			return false;
		}
		if (rv == EMIT_END) {
			end(l);
			return false;
		}
		if (should_flush(l)) {
			if (!l->streaming) {
				begin_stream(l);
			}
			if (!flush(l) || l->paused) {
				return false;
			}
		}
		if (n % ROWS_PER_CLOCK != 0 && l->filter_cost < COST_PER_CLOCK) {
			continue;
		}
		l->filter_cost = 0;
		if (api_now(api) >= end_ns) {
			return true;
		}
	}
}

bool listings_run(struct api *api, int64_t end_ns)
{
	int64_t now = api_now(api);

	while (!list_empty(&api->listings) && now < end_ns) {
		struct listing *l = CONTAINER_OF(list_pop(&api->listings), struct listing, link);

		/* Behind the others, for its next slice; it may end in this one. */
		list_insert(&api->listings, &l->link);
		step(l, now + SLICE_NS < end_ns ? now + SLICE_NS : end_ns);
		now = api_now(api);
	}
	return !list_empty(&api->listings);
}

/* ---- beginning ---- */

static bool asks_for_partial(const struct list_kind *kind, const char *filter)
{
	for (unsigned i = 0; i < LIST_PARTIAL_MAX && kind->partial[i] != NULL; i++) {
		if (strstr(filter, kind->partial[i]) != NULL) {
			return true;
		}
	}
	return false;
}

static int compile_filter(struct listing *l, char why[FILTER_WHY])
{
	const char *text = l->q->opt.filter;
	struct arena *mem = &l->q->req->mem;
	bool partial = asks_for_partial(l->kind, text);
	int rv = ERR_NOTFOUND;

	if (text[0] == '\0') {
		return 0;
	}
	if (!partial) {
		rv = filter_compile(text, l->kind->type, mem, &l->filter, why);
	}
	if (rv == ERR_NOTFOUND && l->kind->whole != NULL) {
		l->whole = true;
		rv = filter_compile(text, l->kind->whole, mem, &l->filter, why);
	}
	if (rv == ERR_SYNTAX && partial) {
		l->whole = false;
		rv = filter_compile(text, l->kind->type, mem, &l->filter, why);
	}
	return rv;
}

/* How long its page may get, and how much of the table it may have to sort. */
static size_t estimate(const struct query *q)
{
	size_t page = q->opt.per_page > LIST_STREAM / ROOM_FOR_ONE ? LIST_PAGE_MAX : LIST_STREAM;
	size_t sorted = 0;

	if (q->kind->list->age != NULL) {
		sorted = view_count(q->v, q->watches[0].watcher.table) * sizeof(struct aged);
	}
	return page + sorted;
}

static struct listing *same_listing(const struct query *q)
{
	LIST_EACH (e, &q->api->listings) {
		struct listing *l = CONTAINER_OF(e, struct listing, link);
		const struct query *o = l->q;

		if (!l->streaming && q->stamp != 0 && o->stamp == q->stamp && o->key_len == q->key_len &&
		    memcmp(o->key, q->key, q->key_len) == 0) {
			return l;
		}
	}
	return NULL;
}

static struct listing *new_listing(struct query *q)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (l != NULL) {
		l->q = q;
		l->kind = q->kind->list;
		l->acl = l->kind->sees != NULL && access_serial(q->req) != 0 ? access_acl(q->req) : NULL;
		l->bytes = estimate(q);
		list_init(&l->link);
		list_init(&l->followers);
		q->listing = l;
		q->api->listing_bytes += l->bytes;
		q->api->stats.rendering++;
		if (!l->kind->first) {
			buf_byte(&l->body, '[');
		}
		l->kind->open(q, &l->rows);
	}
	return l;
}

/* 0, or the query has been answered. */
static int prepare(struct listing *l)
{
	struct query *q = l->q;
	char why[FILTER_WHY] = "";
	int rv = compile_filter(l, why);

	if (rv != 0) {
		release(l);
		query_refuse(q, "failed to read filter expression: %s", why);
	} else if (seek(l) != 0) {
		rv = ERR_SYNTAX;
		release(l);
		query_refuse(q, "malformed next_token: %s", q->opt.next_token);
	}
	return rv;
}

/* The first slice comes at once, as most lists are short, unless this turn has had enough of them. */
static void begin(struct listing *l)
{
	struct api *api = l->q->api;
	int64_t now = api_now(api);

	list_insert(&api->listings, &l->link);
	if (api->inline_ns >= INLINE_NS || step(l, now + INLINE_ONE_NS)) {
		api_run_soon(api);
	}
	api->inline_ns += api_now(api) - now;
	if (api->inline_ns >= INLINE_NS) {
		api_run_soon(api);
	}
}

void listing_begin(struct query *q)
{
	struct api *api = q->api;
	struct listing *l = same_listing(q);

	if (l != NULL) {
		query_drop_view(q);
		list_insert(&l->followers, &q->link);
		return;
	}
	if (api->stats.rendering > 0 && api->listing_bytes + estimate(q) > LISTINGS_BYTES) {
		query_drop_view(q);
		list_insert(&api->crowded, &q->link);
		return;
	}
	l = new_listing(q);
	if (l == NULL) {
		query_fail(q, ERR_NOMEM);
	} else if (prepare(l) == 0) {
		begin(l);
	}
}

/* While others want the list it goes on, and is answered in the end to nobody. */
void listing_gone(struct query *q)
{
	struct listing *l = q->listing;

	if (l == NULL) {
		list_remove(&q->link); /* Crowded, or a follower. */
		query_fail(q, ERR_CLOSED);
	} else if (l->streaming) {
		end_stream(l, false);
	} else if (list_empty(&l->followers)) {
		release(l);
		query_fail(q, ERR_CLOSED);
	}
}
