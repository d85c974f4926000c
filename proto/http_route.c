/* Routes: from a path and a method to a handler.
 *
 * Patterns are put into buckets by the letters that they begin with, two segments at most ("/v1/job"), and stand there
 * with the more telling ones first. A path is looked up by as many segments of its own, then by fewer, and tried on
 * each pattern of the bucket. */
#include "proto/http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

enum { SEGMENTS_MAX = 10, PREFIX_SEGMENTS = 2 };

enum segment_kind { LETTERS, ONE, MANY };

struct segment {
	enum segment_kind kind;
	const char *at;
	size_t len;
};

struct pattern {
	struct pattern *next; /* In its bucket. */
	const char *text;
	struct segment segments[SEGMENTS_MAX];
	unsigned n;
	unsigned many;     /* Place of the parameter that may hold slashes; n if there is none. */
	bool may_be_empty; /* The last parameter. */
	size_t prefix_len; /* Of the text: the leading letters that it is found by. */
	const struct http_route *routes[HTTP_METHODS];
};

struct http_router {
	size_t n_buckets; /* A power of two. */
	struct pattern **buckets;
	struct pattern *patterns;
	size_t n;
};

/* --- Making a router -------------------------------------------------------------------------------------------- */

static struct segment parse_segment(const char *at, size_t len)
{
	static const char dots[] = "...";
	struct segment s = {LETTERS, at, len};

	if (len > 0 && at[0] == ':') {
		s.kind = len > 4 && memcmp(at + len - 3, dots, 3) == 0 ? MANY : ONE;
	}
	return s;
}

static bool is_malformed(const struct pattern *p)
{
	unsigned params = 0;
	unsigned many = 0;

	for (unsigned i = 0; i < p->n; i++) {
		params += p->segments[i].kind != LETTERS;
		many += p->segments[i].kind == MANY;
	}
	return params > HTTP_PARAMS_MAX || many > 1 || (p->may_be_empty && p->segments[p->n - 1].kind == LETTERS);
}

static void parse_pattern(struct pattern *p, const char *text)
{
	const char *at = text + 1;
	const char *end = text + strlen(text);
	unsigned leading = 0;

	assert(text[0] == '/');
	p->text = text;
	if (end[-1] == '?') {
		p->may_be_empty = true;
		end--;
	}
	do {
		const char *slash = memchr(at, '/', (size_t)(end - at));

		if (slash == NULL) {
			slash = end;
		}
		assert(p->n < SEGMENTS_MAX);
		p->segments[p->n] = parse_segment(at, (size_t)(slash - at));
		if (leading == p->n && leading < PREFIX_SEGMENTS && p->segments[p->n].kind == LETTERS) {
			leading++;
			p->prefix_len = (size_t)(slash - text);
		}
		p->n++;
		at = slash + 1;
	} while (at <= end);
	for (p->many = 0; p->many < p->n && p->segments[p->many].kind != MANY; p->many++) {
	}
	assert(!is_malformed(p));
}

static size_t hash(const char *text, size_t len)
{
	size_t h = 5381;

	for (size_t i = 0; i < len; i++) {
		h = h * 33 + (unsigned char)text[i];
	}
	return h ^ h >> 15;
}

/* Segments behind the one that may hold slashes. */
static unsigned tail_len(const struct pattern *p)
{
	return p->many < p->n ? p->n - p->many - 1 : 0;
}

/* Whether `a` is to be tried before `b`: what cannot hold slashes first, then longer ends, then letters. */
static bool goes_before(const struct pattern *a, const struct pattern *b)
{
	bool a_many = a->many < a->n;
	bool b_many = b->many < b->n;

	if (a_many != b_many) {
		return b_many;
	}
	if (tail_len(a) != tail_len(b)) {
		return tail_len(a) > tail_len(b);
	}
	for (unsigned i = 0; i < a->n && i < b->n; i++) {
		if (a->segments[i].kind != b->segments[i].kind) {
			return a->segments[i].kind < b->segments[i].kind;
		}
	}
	return false;
}

static struct pattern **bucket_of(const struct http_router *r, const char *prefix, size_t len)
{
	return &r->buckets[hash(prefix, len) & (r->n_buckets - 1)];
}

static void insert(struct http_router *r, struct pattern *p)
{
	struct pattern **at = bucket_of(r, p->text, p->prefix_len);

	while (*at != NULL && !goes_before(p, *at)) {
		at = &(*at)->next;
	}
	p->next = *at;
	*at = p;
}

static struct pattern *pattern_with(struct http_router *r, const char *text)
{
	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->patterns[i].text, text) == 0) {
			return &r->patterns[i];
		}
	}
	return NULL;
}

static void add_route(struct http_router *r, const struct http_route *route)
{
	struct pattern *p = pattern_with(r, route->pattern);

	if (p == NULL) {
		p = &r->patterns[r->n++];
		parse_pattern(p, route->pattern);
		insert(r, p);
	}
	for (unsigned m = 0; m < HTTP_METHODS; m++) {
		if ((route->methods & 1U << m) != 0) {
			assert(p->routes[m] == NULL);
			p->routes[m] = route;
		}
	}
}

struct http_router *http_router_new(const struct http_route *routes, size_t n)
{
	struct http_router *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		return NULL;
	}
	for (r->n_buckets = 16; r->n_buckets < 2 * n; r->n_buckets *= 2) {
	}
	r->buckets = calloc(r->n_buckets, sizeof(struct pattern *));
	r->patterns = calloc(n > 0 ? n : 1, sizeof(*r->patterns));
	if (r->buckets == NULL || r->patterns == NULL) {
		http_router_free(r);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		add_route(r, &routes[i]);
	}
	return r;
}

void http_router_free(struct http_router *r)
{
	if (r != NULL) {
		free(r->buckets);
		free(r->patterns);
		free(r);
	}
}

/* --- Looking up ------------------------------------------------------------------------------------------------- */

/* Pieces of a path, not yet decoded. */
struct captures {
	struct {
		const char *at;
		size_t len;
	} at[HTTP_PARAMS_MAX];
	unsigned n;
};

static void capture(struct captures *c, const char *at, const char *end)
{
	c->at[c->n].at = at;
	c->at[c->n].len = (size_t)(end - at);
	c->n++;
}

/* Where `n` segments before `end` begin; NULL if there are not so many behind `at`. */
static const char *last_segments(const char *at, const char *end, unsigned n)
{
	while (n > 0) {
		const char *slash = memrchr(at, '/', (size_t)(end - at));

		if (slash == NULL) {
			return NULL;
		}
		end = slash;
		n--;
	}
	return end;
}

static bool fits(const struct pattern *p, const char *at, const char *end, struct captures *c)
{
	c->n = 0;
	for (unsigned i = 0; i < p->n; i++) {
		const struct segment *s = &p->segments[i];
		bool last = i + 1 == p->n;
		const char *stop;

		if (at > end) {
			return false;
		}
		if (s->kind == MANY) {
			stop = last_segments(at, end, tail_len(p));
		} else {
			stop = memchr(at, '/', (size_t)(end - at));
			stop = stop != NULL ? stop : end;
		}
		if (stop == NULL) {
			return false;
		}
		if (s->kind != LETTERS) {
			if (stop == at && !(last && p->may_be_empty)) {
				return false;
			}
			capture(c, at, stop);
		} else if ((size_t)(stop - at) != s->len || memcmp(at, s->at, s->len) != 0) {
			return false;
		}
		at = stop + 1;
	}
	return at == end + 1;
}

/* The length of the path's first n segments with the slashes before them. */
static size_t prefix_len(const char *path, size_t len, unsigned n)
{
	const char *at = path;
	const char *end = path + len;

	while (n > 0 && at < end) {
		const char *slash = memchr(at + 1, '/', (size_t)(end - at - 1));

		at = slash != NULL ? slash : end;
		n--;
	}
	return (size_t)(at - path);
}

static const struct pattern *find(const struct http_router *r, const char *path, size_t len, struct captures *c)
{
	size_t tried = SIZE_MAX;

	for (unsigned n = PREFIX_SEGMENTS + 1; n-- > 0;) {
		size_t prefix = prefix_len(path, len, n);
		const struct pattern *p;

		if (prefix == tried) {
			continue;
		}
		tried = prefix;
		for (p = *bucket_of(r, path, prefix); p != NULL; p = p->next) {
			if (p->prefix_len == prefix && fits(p, path + 1, path + len, c)) {
				return p;
			}
		}
	}
	return NULL;
}

static bool is_dots(const char *at, size_t len)
{
	return (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.');
}

/* Has the path an empty segment, but for the last, or one of dots? */
static bool is_clean(const char *path, size_t len)
{
	const char *at = path + 1;
	const char *end = path + len;

	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));

		if (slash == NULL) {
			return !is_dots(at, (size_t)(end - at));
		}
		if (slash == at || is_dots(at, (size_t)(slash - at))) {
			return false;
		}
		at = slash + 1;
	}
}

/* Writes the path without such segments to `to`, which has room for it, and returns its length. */
static size_t clean(char *to, const char *path, size_t len)
{
	const char *at = path + 1;
	const char *end = path + len;
	size_t n = 0;

	while (at <= end) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t part = (size_t)((slash != NULL ? slash : end) - at);

		if (part == 2 && is_dots(at, part)) {
			while (n > 0 && to[--n] != '/') {
			}
		} else if (part > 0 && !is_dots(at, part)) {
			to[n++] = '/';
			memcpy(to + n, at, part);
			n += part;
		}
		at += part + 1;
	}
	if (n == 0 || end[-1] == '/') {
		to[n++] = '/';
	}
	return n;
}

static void redirect(struct http_request *req)
{
	struct http_response res = {.status = 307};
	char *to = arena_alloc(&req->mem, req->path_len + req->query_len + 3);
	size_t n;

	if (to == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	n = clean(to, req->path, req->path_len);
	if (req->query_len > 0) {
		to[n++] = '?';
		memcpy(to + n, req->query, req->query_len);
		n += req->query_len;
	}
	to[n] = '\0';
	res.location = to;
	http_answer(req, &res);
}

static void refuse_method(struct http_request *req, const struct pattern *p)
{
	struct http_response res = {.status = 405, .n_extra = 1};
	struct buf allow = {0};

	for (unsigned m = 0; m < HTTP_OTHER; m++) {
		if (p->routes[m] != NULL) {
			buf_printf(&allow, "%s%s", allow.len > 0 ? ", " : "", http_method_text(m));
		}
	}
	res.extra[0] = (struct http_header){"Allow", arena_strdup(&req->mem, buf_text(&allow))};
	res.n_extra = res.extra[0].value != NULL;
	buf_close(&allow);
	buf_str(&res.body, "Invalid method");
	http_answer(req, &res);
}

/* 0, ERR_SYNTAX or ERR_NOMEM. */
static int decode_params(struct http_request *req, const struct captures *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		char *to = arena_alloc(&req->mem, c->at[i].len + 1);

		if (to == NULL) {
			return ERR_NOMEM;
		}
		if (http_decode(to, c->at[i].at, c->at[i].len, false) < 0) {
			return ERR_SYNTAX;
		}
		req->params[i] = to;
	}
	return 0;
}

int http_route_find(const struct http_router *r, struct http_request *req)
{
	const struct pattern *p;
	struct captures c;
	int rv;

	if (!is_clean(req->path, req->path_len)) {
		redirect(req);
		return ERR_NOTFOUND;
	}
	p = find(r, req->path, req->path_len, &c);
	if (p == NULL) {
		http_answer(req, &(struct http_response){.status = 404});
		return ERR_NOTFOUND;
	}
	if (p->routes[req->method] == NULL) {
		refuse_method(req, p);
		return ERR_NOTFOUND;
	}
	rv = decode_params(req, &c);
	if (rv != 0) {
		http_answer_text(req, http_status_of(rv), "%s in the path",
				 rv == ERR_SYNTAX ? "Malformed percent-encoding" : "Out of memory");
		return ERR_NOTFOUND;
	}
	req->route = p->routes[req->method];
	return 0;
}
