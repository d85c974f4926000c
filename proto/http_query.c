/* A request's target: path, query and the parameters in it. */
#include "proto/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"
#include "lib/utf8.h"
#include "proto/error.h"
#include "proto/job.h"

#define WAIT_DEFAULT_NS (5 * NS_PER_MIN)
#define WAIT_MAX_NS (10 * NS_PER_MIN)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of the escape at `text`, "%41", or -1. */
static int unescape(const char *text, size_t len)
{
	int high = len >= 3 ? hex_digit(text[1]) : -1;
	int low = len >= 3 ? hex_digit(text[2]) : -1;

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

long http_decode(char *to, const char *text, size_t len, bool in_query)
{
	char *out = to;
	size_t i = 0;

	while (i < len) {
		int c = text[i] == '%' ? unescape(text + i, len - i) : (unsigned char)text[i];

		if (c < 0 || text[i] == '\0') {
			return ERR_SYNTAX;
		}
		if (c == 0) {
			*out++ = (char)0xc0;
			c = 0x80;
		} else if (c == '+' && in_query && text[i] == '+') {
			c = ' ';
		}
		i += text[i] == '%' ? 3 : 1;
		*out++ = (char)c;
	}
	*out = '\0';
	return utf8_is_string(to, (size_t)(out - to)) ? out - to : ERR_TYPE;
}

/* Room for the decoded text of all parameters, and where it is filled to. */
struct decoded {
	char *next;
};

/* One "name=value". What cannot be decoded is left out, as are names or values with a semicolon, which once separated
 * parameters: the API's own servers do both. What is no text is an error: see http_request_target(). */
static int add_pair(struct http_request *req, struct http_pair *pairs, struct decoded *d, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
	char *name = d->next;
	long n;
	long v = 0;

	if (len == 0 || memchr(text, ';', len) != NULL) {
		return 0;
	}
	n = http_decode(name, text, name_len, true);
	if (n < 0) {
		return n == ERR_TYPE ? ERR_SYNTAX : 0;
	}
	if (equals != NULL) {
		v = http_decode(name + n + 1, equals + 1, len - name_len - 1, true);
	} else {
		name[n + 1] = '\0';
	}
	if (v >= 0) {
		pairs[req->n_pairs++] = (struct http_pair){name, name + n + 1};
		d->next = name + n + 1 + v + 1;
	}
	return v == ERR_TYPE ? ERR_SYNTAX : 0;
}

static unsigned count_pairs(const char *query, size_t len)
{
	unsigned n = 1;

	for (size_t i = 0; i < len; i++) {
		n += query[i] == '&';
	}
	return n;
}

static int parse_query(struct http_request *req)
{
	const char *at = req->query;
	const char *end = at + req->query_len;
	unsigned n = count_pairs(at, req->query_len);
	struct http_pair *pairs;
	struct decoded d;

	if (n > HTTP_QUERY_MAX) {
		return ERR_RANGE;
	}
	pairs = arena_alloc(&req->mem, n * sizeof(*pairs) + req->query_len + 2 * n);
	if (pairs == NULL) {
		return ERR_NOMEM;
	}
	d.next = (char *)(pairs + n);
	while (at <= end) {
		const char *next = memchr(at, '&', (size_t)(end - at));

		if (next == NULL) {
			next = end;
		}
		if (add_pair(req, pairs, &d, at, (size_t)(next - at)) != 0) {
			return ERR_SYNTAX;
		}
		at = next + 1;
	}
	req->pairs = pairs;
	return 0;
}

/* Clients may write "http://host/path": to us it is the path alone. */
static void skip_scheme_and_host(const char **target, size_t *len)
{
	static const char scheme[] = "http://";
	const char *slash;

	if (*len < sizeof(scheme) || memcmp(*target, scheme, sizeof(scheme) - 1) != 0) {
		return;
	}
	slash = memchr(*target + sizeof(scheme) - 1, '/', *len - (sizeof(scheme) - 1));
	if (slash != NULL) {
		*len -= (size_t)(slash - *target);
		*target = slash;
	}
}

int http_request_target(struct http_request *req, const char *target, size_t len)
{
	const char *mark;
	size_t path_len;
	char *copy;

	if (len > HTTP_TARGET_MAX) {
		return ERR_TOOBIG;
	}
	skip_scheme_and_host(&target, &len);
	if (len == 0 || target[0] != '/' || memchr(target, '\0', len) != NULL) {
		return ERR_SYNTAX;
	}
	copy = arena_strndup(&req->mem, target, len);
	if (copy == NULL) {
		return ERR_NOMEM;
	}
	mark = memchr(target, '?', len);
	path_len = mark != NULL ? (size_t)(mark - target) : len;
	copy[path_len] = '\0';
	req->path = copy;
	req->path_len = (uint32_t)path_len;
	if (path_len + 1 >= len) {
		return 0;
	}
	req->query = copy + path_len + 1;
	req->query_len = (uint32_t)(len - path_len - 1);
	return parse_query(req);
}

const char *http_query_next(const struct http_request *req, const char *name, unsigned *at)
{
	while (*at < req->n_pairs) {
		const struct http_pair *p = &req->pairs[(*at)++];

		if (strcmp(p->name, name) == 0) {
			return p->value;
		}
	}
	return NULL;
}

const char *http_query(const struct http_request *req, const char *name)
{
	unsigned at = 0;

	return http_query_next(req, name, &at);
}

static int fail(struct http_request *req, const char *text)
{
	req->error = text != NULL ? text : error_text(ERR_NOMEM);
	return ERR_INVALID;
}

static int parse_bool(const char *text, bool *out)
{
	static const char *const words[2][6] = {{"0", "f", "F", "FALSE", "false", "False"},
						{"1", "t", "T", "TRUE", "true", "True"}};

	for (unsigned i = 0; i < 12; i++) {
		if (strcmp(text, words[i / 6][i % 6]) == 0) {
			*out = i >= 6;
			return 0;
		}
	}
	return ERR_SYNTAX;
}

static int parse_int(const char *text, int64_t *out)
{
	char *end;
	long long n;

	if ((text[0] < '0' || text[0] > '9') && text[0] != '-' && text[0] != '+') {
		return ERR_SYNTAX;
	}
	errno = 0;
	n = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno != 0) {
		return errno == ERANGE ? ERR_RANGE : ERR_SYNTAX;
	}
	*out = n;
	return 0;
}

int http_query_bool(struct http_request *req, const char *name, bool *out)
{
	const char *value = http_query(req, name);

	if (value == NULL || value[0] == '\0' || parse_bool(value, out) == 0) {
		return 0;
	}
	return fail(req, arena_printf(&req->mem,
				      "Failed to parse value of \"%s\" (%s) as a bool: strconv.ParseBool: parsing "
				      "\"%s\": invalid syntax",
				      name, value, value));
}

int http_query_int(struct http_request *req, const char *name, int64_t *out)
{
	const char *value = http_query(req, name);
	int rv = value != NULL ? parse_int(value, out) : 0;

	if (rv == 0) {
		return 0;
	}
	return fail(req,
		    arena_printf(&req->mem,
				 "Failed to parse value of \"%s\" (%s) as an int: strconv.ParseInt: parsing \"%s\": %s",
				 name, value, value, rv == ERR_RANGE ? "value out of range" : "invalid syntax"));
}

int http_query_duration(struct http_request *req, const char *name, int64_t *out_ns)
{
	const char *value = http_query(req, name);

	if (value == NULL || duration_parse(value, strlen(value), out_ns)) {
		return 0;
	}
	return fail(req,
		    arena_printf(&req->mem,
				 "Failed to parse value of \"%s\" (%s) as a duration: time: invalid duration \"%s\"",
				 name, value, value));
}

/* --- What all reads have in common -------------------------------------------------------------------------------- */

static int parse_wait(struct http_request *req, struct http_options *o)
{
	const char *value = http_query(req, "wait");

	if (value != NULL && value[0] != '\0' && !duration_parse(value, strlen(value), &o->wait_ns)) {
		return fail(req, "Invalid wait time");
	}
	if (o->wait_ns <= 0) {
		o->wait_ns = WAIT_DEFAULT_NS;
	} else if (o->wait_ns > WAIT_MAX_NS) {
		o->wait_ns = WAIT_MAX_NS;
	}
	return 0;
}

static int parse_index(struct http_request *req, struct http_options *o)
{
	const char *value = http_query(req, "index");
	char *end;

	if (value == NULL || value[0] == '\0') {
		return 0;
	}
	errno = 0;
	o->index = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0) {
		return fail(req, "Invalid index");
	}
	return 0;
}

static int parse_stale(struct http_request *req, struct http_options *o)
{
	const char *value = http_query(req, "stale");

	if (value == NULL) {
		return 0;
	}
	if (value[0] == '\0') {
		o->stale = true;
		return 0;
	}
	if (parse_bool(value, &o->stale) != 0) {
		return fail(req,
			    arena_printf(&req->mem,
					 "Expect `true` or `false` for `stale` query string parameter, got %s", value));
	}
	return 0;
}

static int parse_per_page(struct http_request *req, struct http_options *o)
{
	const char *value = http_query(req, "per_page");

	if (value == NULL || value[0] == '\0') {
		return 0;
	}
	if (parse_int(value, &o->per_page) != 0 || o->per_page < 0 || o->per_page > INT32_MAX) {
		return fail(req, arena_printf(&req->mem,
					      "Expect a number for `per_page` query string parameter, got %s", value));
	}
	return 0;
}

/* Anything but "true" in some spelling means no, as it does to the API's own servers. */
static void parse_reverse(const struct http_request *req, struct http_options *o)
{
	const char *value = http_query(req, "reverse");

	if (value != NULL && parse_bool(value, &o->reverse) != 0) {
		o->reverse = false;
	}
}

static void text_option(const struct http_request *req, const char *name, const char **out)
{
	const char *value = http_query(req, name);

	if (value != NULL && value[0] != '\0') {
		*out = value;
	}
}

int http_options_parse(struct http_request *req, struct http_options *out)
{
	struct http_options o = {.region = "",
				 .namespace_ = "default",
				 .prefix = "",
				 .filter = "",
				 .next_token = "",
				 .wait_ns = WAIT_DEFAULT_NS};

	if (req->n_pairs > 0) {
		if (parse_wait(req, &o) != 0 || parse_index(req, &o) != 0 || parse_stale(req, &o) != 0 ||
		    parse_per_page(req, &o) != 0) {
			return ERR_INVALID;
		}
		parse_reverse(req, &o);
		text_option(req, "region", &o.region);
		text_option(req, "namespace", &o.namespace_);
		text_option(req, "prefix", &o.prefix);
		text_option(req, "filter", &o.filter);
		text_option(req, "next_token", &o.next_token);
		o.consistent = http_query(req, "consistent") != NULL;
	}
	*out = o;
	return 0;
}
