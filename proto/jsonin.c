#include "proto/jsonin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base64.h"
#include "lib/utf8.h"
#include "proto/error.h"
#include "proto/json_chars.h"

void jsonin_init(struct jsonin *in, const char *text, size_t len, struct arena *mem, struct fault *fault)
{
	*in = (struct jsonin){.p = text, .end = text + len, .start = text, .mem = mem, .fault = fault};
	in->budget = len > SIZE_MAX / JSON_BUDGET_TIMES ? SIZE_MAX : len * JSON_BUDGET_TIMES;
	if (in->budget < JSON_BUDGET_FREE) {
		in->budget = JSON_BUDGET_FREE;
	}
}

int jsonin_fail(struct jsonin *in, int rv, const char *why)
{
	in->fault->path[0] = '\0';
	if (rv == ERR_TYPE && in->p == in->end) {
		rv = ERR_SYNTAX;
		why = "the text ends early";
	}
	if (rv == ERR_SYNTAX) {
		snprintf(in->fault->why, sizeof(in->fault->why), "%.60s at byte %zu", why, (size_t)(in->p - in->start));
	} else {
		snprintf(in->fault->why, sizeof(in->fault->why), "%s", why);
	}
	return rv;
}

/* ---- memory ---- */

void *jsonin_alloc(struct jsonin *in, size_t n)
{
	if (n > in->budget) {
		in->budget = 0;
		return NULL;
	}
	in->budget -= n;
	return arena_alloc(in->mem, n);
}

int jsonin_nomem(struct jsonin *in)
{
	return in->budget == 0 ? jsonin_fail(in, ERR_TYPE, "would need too much memory for its size")
			       : jsonin_fail(in, ERR_NOMEM, "out of memory");
}

/* Capacity is the next power of two; it begins with 4 for small elements, with 1 for structs. */
void *jsonin_grow(struct jsonin *in, void *at, uint32_t n, size_t size)
{
	uint32_t first = size > 64 ? 1 : 4;
	size_t was = n * size;
	void *more;

	if (n != 0 && (n < first || (n & (n - 1)) != 0)) {
		return at;
	}
	if (in->mem != NULL || n == 0) {
		more = jsonin_alloc(in, n == 0 ? first * size : 2 * was);
		if (more != NULL && n > 0) {
			memcpy(more, at, was);
		}
		return more;
	}
	if (was > in->budget) {
		in->budget = 0;
		return NULL;
	}
	in->budget -= was;
	return realloc(at, 2 * was);
}

/* ---- structure ---- */

bool jsonin_word(struct jsonin *in, const char *word)
{
	size_t n = strlen(word);

	if (jsonin_peek(in) != word[0] || strncmp(in->p, word, n) != 0) {
		return false;
	}
	in->p += n;
	return true;
}

static char closing(char open)
{
	return open == '{' ? '}' : ']';
}

int jsonin_open(struct jsonin *in, char open, bool *more)
{
	if (!jsonin_take(in, open)) {
		return jsonin_fail(in, ERR_TYPE, open == '{' ? "must be an object" : "must be a list");
	}
	if (in->depth == JSON_DEPTH_MAX) {
		return jsonin_fail(in, ERR_SYNTAX, "nested too deeply");
	}
	*more = !jsonin_take(in, closing(open));
	in->depth += *more;
	return 0;
}

int jsonin_next(struct jsonin *in, char open, bool *more)
{
	*more = jsonin_take(in, ',');
	if (*more) {
		return 0;
	}
	if (!jsonin_take(in, closing(open))) {
		return jsonin_fail(in, ERR_SYNTAX, open == '{' ? "expected a comma or }" : "expected a comma or ]");
	}
	in->depth--;
	return 0;
}

/* ---- strings ---- */

static int hex4(const char *p, uint32_t *out)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 4; i++) {
		char c = p[i];

		v <<= 4;
		if (c >= '0' && c <= '9') {
			v |= (uint32_t)(c - '0');
		} else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
			v |= (uint32_t)((c | 0x20) - 'a' + 10);
		} else {
			return -1;
		}
	}
	*out = v;
	return 0;
}

/* The character of \uXXXX, whose backslash is at p, or of two that are a surrogate pair; the length, or 0. */
static size_t take_u(const char *p, uint32_t *c)
{
	uint32_t low;

	if (hex4(p + 2, c) != 0) {
		return 0;
	}
	if (*c < 0xd800 || *c >= 0xe000) {
		return 6;
	}
	if (*c < 0xdc00 && p[6] == '\\' && p[7] == 'u' && hex4(p + 8, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
		*c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
		return 12;
	}
	*c = 0xfffd;
	return 6;
}

/* What the letter of a short escape stands for; 0 is no such. */
static const char short_escapes[256] = {
	['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};

/* One escape, whose backslash is at p, into at most 4 bytes; *n is their number. Returns the escape's length, or 0. */
static size_t take_escape(const char *p, char to[4], size_t *n)
{
	uint32_t c;
	size_t len;

	*to = short_escapes[(unsigned char)p[1]];
	if (*to != '\0') {
		*n = 1;
		return 2;
	}
	len = p[1] == 'u' ? take_u(p, &c) : 0;
	*n = len == 0 ? 0 : utf8_put(to, c);
	return len;
}

/* A string in the text, looked through. */
struct span {
	const char *at;  /* Behind the opening quote. */
	const char *end; /* The closing one. */
	size_t len;      /* Of the string that it stands for. */
	bool plain;      /* The bytes up to the end are that string. */
	bool broken;     /* Some are no UTF-8. */
};

/* Pass over what is neither plain ASCII nor the closing quote. */
static int scan_special(struct jsonin *in, struct span *s)
{
	unsigned char c = (unsigned char)*in->p;
	char tmp[4];
	size_t n = 0;
	size_t len;

	if (c == '\\') {
		len = take_escape(in->p, tmp, &n);
		if (len == 0) {
			return jsonin_fail(in, ERR_SYNTAX, "bad escape");
		}
	} else if (c >= 0x80) {
		len = utf8_len(in->p, (size_t)(in->end - in->p));
		n = len;
		if (len == 0) {
			len = 1;
			n = sizeof(UTF8_REPLACEMENT) - 1;
			s->broken = true;
		}
	} else {
		return jsonin_fail(in, ERR_SYNTAX,
				   in->p == in->end ? "the text ends in a string" : "control character in a string");
	}
	s->plain = s->plain && c >= 0x80 && n == len;
	s->len += n;
	in->p += len;
	return 0;
}

/* A string, its quotes included. All of it is checked. */
static int scan_str(struct jsonin *in, struct span *s)
{
	const char *run;

	if (!jsonin_take(in, '"')) {
		return jsonin_fail(in, ERR_TYPE, "must be a string");
	}
	*s = (struct span){.at = in->p, .plain = true};
	for (;;) {
		uint64_t w;
		const char *p = in->p;

		run = p;
		while (in->end - p >= 8 && (memcpy(&w, p, 8), json_special8(w) == 0)) {
			p += 8;
		}
		while ((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\') {
			p++;
		}
		s->len += (size_t)(p - run);
		in->p = p;
		if (*p == '"') {
			s->end = in->p++;
			return 0;
		}
		if (scan_special(in, s) != 0) {
			return ERR_SYNTAX;
		}
	}
}

/* How many bytes from p on are the string as it stands. */
static size_t run_len(const struct span *s, const char *p)
{
	const char *q = p;
	size_t n;

	if (!s->broken) {
		q = memchr(p, '\\', (size_t)(s->end - p));
		return (size_t)((q != NULL ? q : s->end) - p);
	}
	while (q < s->end && *q != '\\' && (n = utf8_len(q, (size_t)(s->end - q))) != 0) {
		q += n;
	}
	return (size_t)(q - p);
}

/* The string that a span stands for, of s->len bytes. */
static void span_decode(const struct span *s, char *to)
{
	const char *p = s->at;
	size_t n;

	if (s->plain) {
		memcpy(to, p, s->len);
		return;
	}
	while (p < s->end) {
		n = run_len(s, p);
		memcpy(to, p, n);
		p += n;
		to += n;
		if (p == s->end) {
			break;
		}
		if (*p == '\\') {
			p += take_escape(p, to, &n);
			to += n;
		} else {
			memcpy(to, UTF8_REPLACEMENT, sizeof(UTF8_REPLACEMENT) - 1);
			p++;
			to += sizeof(UTF8_REPLACEMENT) - 1;
		}
	}
}

int jsonin_str(struct jsonin *in, const char **out)
{
	struct span s;
	char *to;
	int rv = scan_str(in, &s);

	if (rv != 0) {
		return rv;
	}
	to = jsonin_alloc(in, s.len + 1);
	if (to == NULL) {
		return jsonin_nomem(in);
	}
	span_decode(&s, to);
	to[s.len] = '\0';
	*out = to;
	return 0;
}

int jsonin_peek_str(struct jsonin *in, char tmp[JSON_TMP], const char **out, size_t *len)
{
	struct span s;
	int rv = scan_str(in, &s);

	if (rv != 0) {
		return rv;
	}
	*out = s.at;
	*len = s.len;
	if (!s.plain) {
		if (s.len >= JSON_TMP) {
			*len = s.len = 0;
		} else {
			span_decode(&s, tmp);
		}
		tmp[s.len] = '\0';
		*out = tmp;
	}
	return 0;
}

static int take_colon(struct jsonin *in)
{
	return jsonin_take(in, ':') ? 0 : jsonin_fail(in, ERR_SYNTAX, "expected a colon");
}

int jsonin_name(struct jsonin *in, char tmp[JSON_TMP], const char **out, size_t *len)
{
	if (jsonin_peek(in) != '"') {
		return jsonin_fail(in, ERR_SYNTAX, "expected a name");
	}
	if (jsonin_peek_str(in, tmp, out, len) != 0) {
		return ERR_SYNTAX;
	}
	return take_colon(in);
}

/* ---- numbers ---- */

static bool take_digits(struct jsonin *in)
{
	const char *start = in->p;

	while (*in->p >= '0' && *in->p <= '9') {
		in->p++;
	}
	return in->p > start;
}

/* Pass over a number; *whole when it has no fraction and no exponent. */
static int scan_num(struct jsonin *in, bool *whole)
{
	const char *digits;

	in->p += *in->p == '-';
	digits = in->p;
	if (!take_digits(in)) {
		return jsonin_fail(in, ERR_TYPE, "must be a number");
	}
	*whole = *in->p != '.' && *in->p != 'e' && *in->p != 'E';
	if (*digits == '0' && in->p > digits + 1) {
		return jsonin_fail(in, ERR_SYNTAX, "bad number");
	}
	if (*in->p == '.' && (in->p++, !take_digits(in))) {
		return jsonin_fail(in, ERR_SYNTAX, "bad number");
	}
	if (*in->p == 'e' || *in->p == 'E') {
		in->p++;
		in->p += *in->p == '+' || *in->p == '-';
		if (!take_digits(in)) {
			return jsonin_fail(in, ERR_SYNTAX, "bad number");
		}
	}
	return 0;
}

int jsonin_num(struct jsonin *in, double *out)
{
	const char *start;
	bool whole;
	double d;
	int rv;

	jsonin_peek(in);
	start = in->p;
	rv = scan_num(in, &whole);
	if (rv != 0) {
		return rv;
	}
	d = strtod(start, NULL);
	if (!isfinite(d)) {
		return jsonin_fail(in, ERR_TYPE, "is out of range");
	}
	*out = d + 0.0; /* There is one zero. */
	return 0;
}

int jsonin_int(struct jsonin *in, int64_t *out)
{
	const char *start;
	const char *p;
	bool minus;
	bool whole;
	uint64_t u = 0;
	int rv;

	jsonin_peek(in);
	start = in->p;
	rv = scan_num(in, &whole);
	if (rv == ERR_TYPE || (rv == 0 && !whole)) {
		return jsonin_fail(in, ERR_TYPE, "must be an integer");
	}
	if (rv != 0) {
		return rv;
	}
	minus = *start == '-';
	for (p = start + minus; p < in->p; p++) {
		u = u * 10 + (unsigned)(*p - '0');
	}
	/* 19 digits cannot overflow 64 bits without a sign. */
	if (in->p - start - minus > 19 || u > (uint64_t)INT64_MAX + minus) {
		return jsonin_fail(in, ERR_TYPE, "is out of range");
	}
	*out = (int64_t)(minus ? 0 - u : u);
	return 0;
}

/* ---- any value ---- */

static int skip_scalar(struct jsonin *in)
{
	struct span s;
	double d;
	char c = jsonin_peek(in);

	if (c == '"') {
		return scan_str(in, &s);
	}
	if (c == '-' || (c >= '0' && c <= '9')) {
		return jsonin_num(in, &d);
	}
	if (jsonin_word(in, "null") || jsonin_word(in, "true") || jsonin_word(in, "false")) {
		return 0;
	}
	/* A type error at the end of the text is told as that end. */
	return jsonin_fail(in, in->p == in->end ? ERR_TYPE : ERR_SYNTAX, "expected a value");
}

int jsonin_skip(struct jsonin *in)
{
	char open = jsonin_peek(in);
	char tmp[JSON_TMP];
	const char *name;
	size_t len;
	bool more;
	int rv;

	if (open != '{' && open != '[') {
		return skip_scalar(in);
	}
	rv = jsonin_open(in, open, &more);
	while (rv == 0 && more) {
		rv = open == '{' ? jsonin_name(in, tmp, &name, &len) : 0;
		if (rv == 0) {
			rv = jsonin_skip(in);
		}
		if (rv == 0) {
			rv = jsonin_next(in, open, &more);
		}
	}
	return rv;
}

bool json_is_text(const char *text, size_t len)
{
	struct fault fault;
	struct jsonin in;

	jsonin_init(&in, text, len, NULL, &fault);
	return jsonin_skip(&in) == 0 && in.p == in.end;
}

/* One string in the form that json_put_str() gives it. */
static int any_str(struct jsonin *in, struct buf *out)
{
	struct span s;
	char *tmp;
	int rv = scan_str(in, &s);

	if (rv != 0) {
		return rv;
	}
	if (s.plain) {
		buf_put(out, s.at - 1, s.len + 2);
		return 0;
	}
	tmp = malloc(s.len + 1);
	if (tmp == NULL) {
		out->failed = true;
		return 0;
	}
	span_decode(&s, tmp);
	json_put_str(out, tmp, s.len);
	free(tmp);
	return 0;
}

/* A member of an object just written: where in the buffer its name (between the quotes) and all of it are. */
struct any_member {
	const char *name;
	size_t name_len;
	size_t len; /* From the opening quote on. */
};

static int name_cmp(const struct any_member *a, const struct any_member *b)
{
	int c = memcmp(a->name, b->name, a->name_len < b->name_len ? a->name_len : b->name_len);

	return c != 0 ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* Of members with one name the one that came first is first. */
static int any_member_cmp(const void *a, const void *b)
{
	const struct any_member *p = a;
	const struct any_member *q = b;
	int c = name_cmp(p, q);

	return c != 0 ? c : (p->name > q->name) - (p->name < q->name);
}

/* The n members of the object that begins at `start`, found again in its text. NULL when memory is exhausted. */
static struct any_member *any_members(struct buf *out, size_t start, size_t n)
{
	struct any_member *members = malloc(n * sizeof(*members));
	struct fault fault;
	struct jsonin in;
	size_t i;

	if (members == NULL) {
		return NULL;
	}
	jsonin_init(&in, buf_text(out), out->len, NULL, &fault);
	in.p += start + 1;
	for (i = 0; i < n && !out->failed; i++, in.p++) {
		const char *p = in.p;
		struct span s = {0};

		/* It is our own text: nothing of this fails. */
		scan_str(&in, &s);
		take_colon(&in);
		jsonin_skip(&in);
		members[i] = (struct any_member){s.at, (size_t)(s.end - s.at), (size_t)(in.p - p)};
	}
	return members;
}

/* Write the n members of the object at `start`, which ends the buffer, again in the order of their names. */
static void any_sort(struct buf *out, size_t start, size_t n)
{
	struct any_member *m = any_members(out, start, n);
	struct buf sorted = {0};
	size_t i;

	if (m == NULL || out->failed) {
		free(m);
		out->failed = true;
		return;
	}
	qsort(m, n, sizeof(*m), any_member_cmp);
	for (i = 0; i < n; i++) {
		if (i + 1 == n || name_cmp(&m[i], &m[i + 1]) != 0) { /* Of one name the last counts. */
			buf_byte(&sorted, sorted.len == 0 ? '{' : ',');
			buf_put(&sorted, m[i].name - 1, m[i].len);
		}
	}
	buf_byte(&sorted, '}');
	out->failed = sorted.failed;
	if (!sorted.failed) {
		memcpy(out->at + start, sorted.at, sorted.len);
		out->len = start + sorted.len;
	}
	buf_close(&sorted);
	free(m);
}

static int any_value(struct jsonin *in, struct buf *out);

/* What is known of an object while its members are written. */
struct any_object {
	size_t n;
	size_t name_at; /* Where the last name is in the buffer. */
	size_t name_len;
	bool ascending;
};

/* The name of a member and its colon. */
static int any_name(struct jsonin *in, struct buf *out, struct any_object *o)
{
	size_t at = out->len + 1;
	int rv = jsonin_peek(in) == '"' ? any_str(in, out) : jsonin_fail(in, ERR_SYNTAX, "expected a name");

	if (rv == 0) {
		rv = take_colon(in);
	}
	if (rv != 0 || out->failed) {
		return rv;
	}
	if (o->n++ > 0) {
		struct any_member was = {out->at + o->name_at, o->name_len, 0};
		struct any_member is = {out->at + at, out->len - 1 - at, 0};

		o->ascending = o->ascending && name_cmp(&was, &is) < 0;
	}
	o->name_at = at;
	o->name_len = out->len - 1 - at;
	buf_byte(out, ':');
	return 0;
}

static int any_nested(struct jsonin *in, char open, struct buf *out)
{
	struct any_object o = {.ascending = true};
	size_t start = out->len;
	bool more;
	int rv = jsonin_open(in, open, &more);

	buf_byte(out, open);
	while (rv == 0 && more) {
		rv = open == '{' ? any_name(in, out, &o) : 0;
		if (rv == 0) {
			rv = any_value(in, out);
		}
		if (rv == 0) {
			rv = jsonin_next(in, open, &more);
		}
		if (rv == 0 && more) {
			buf_byte(out, ',');
		}
	}
	buf_byte(out, closing(open));
	if (rv == 0 && !o.ascending) {
		any_sort(out, start, o.n);
	}
	return rv;
}

/* 1.50 is 1.5, as clients send it back that have read it; integers of any length stay as they are. */
static int any_num(struct jsonin *in, struct buf *out)
{
	const char *start = in->p;
	const char *p;
	double d;
	int rv = jsonin_num(in, &d);

	if (rv != 0) {
		return rv;
	}
	for (p = start; p < in->p; p++) {
		if (*p == '.' || *p == 'e' || *p == 'E') {
			json_put_num(out, d);
			return 0;
		}
	}
	buf_put(out, start, (size_t)(in->p - start));
	return 0;
}

static int any_value(struct jsonin *in, struct buf *out)
{
	char c = jsonin_peek(in);
	const char *start = in->p;
	int rv;

	if (c == '{' || c == '[') {
		return any_nested(in, c, out);
	}
	if (c == '"') {
		return any_str(in, out);
	}
	if (c == '-' || (c >= '0' && c <= '9')) {
		return any_num(in, out);
	}
	rv = skip_scalar(in);
	if (rv == 0) {
		buf_put(out, start, (size_t)(in->p - start));
	}
	return rv;
}

int jsonin_any(struct jsonin *in, const char **out)
{
	struct buf text = {0};
	char *to;
	int rv = any_value(in, &text);

	if (rv == 0) {
		to = text.failed ? NULL : jsonin_alloc(in, text.len + 1);
		if (to == NULL) {
			rv = jsonin_nomem(in);
		} else {
			memcpy(to, buf_text(&text), text.len + 1);
			*out = to;
		}
	}
	buf_close(&text);
	return rv;
}

/* ---- Base64 ---- */

static size_t skip_line_ends(const char *text, size_t len, size_t i)
{
	while (i < len && (text[i] == '\n' || text[i] == '\r')) {
		i++;
	}
	return i;
}

/* What is behind the first `=`, of a group that has `have` digits: the rest of the padding and nothing else. Returns
 * where the text is bad, or len. */
static size_t check_padding(const char *text, size_t len, size_t i, int have)
{
	if (have < 2) {
		return i;
	}
	if (have == 2) {
		i = skip_line_ends(text, len, i + 1);
		if (i == len || text[i] != '=') {
			return i == len ? len - 1 : i;
		}
	}
	return skip_line_ends(text, len, i + 1);
}

int64_t base64_decode(char *text, size_t len)
{
	uint32_t bits = 0;
	int have = 0;
	size_t n = 0;
	size_t i;

	for (i = skip_line_ends(text, len, 0); i < len && text[i] != '='; i = skip_line_ends(text, len, i + 1)) {
		int d = base64_value(text[i]);

		if (d < 0) {
			return -1 - (int64_t)i;
		}
		bits = bits << 6 | (uint32_t)d;
		if (++have == 4) {
			text[n++] = (char)(bits >> 16);
			text[n++] = (char)(bits >> 8);
			text[n++] = (char)bits;
			have = 0;
		}
	}
	if (i == len) {
		return have == 0 ? (int64_t)n : -1 - (int64_t)len;
	}
	i = check_padding(text, len, i, have);
	if (i != len) {
		return -1 - (int64_t)i;
	}
	bits <<= 6 * (4 - have);
	text[n++] = (char)(bits >> 16);
	if (have == 3) {
		text[n++] = (char)(bits >> 8);
	}
	return (int64_t)n;
}
