#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base64.h"
#include "lib/timefmt.h"
#include "lib/utf8.h"
#include "proto/json_chars.h"
#include "proto/walk.h"

/* ---- strings ---- */

/* The escape of an ASCII character; returns its length. */
static size_t escape(unsigned char c, char to[6])
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\n\t\r\b\f";
	static const char into[] = "\"\\ntrbf";
	const char *at = c != '\0' ? strchr(from, c) : NULL;

	if (at != NULL) {
		to[0] = '\\';
		to[1] = into[at - from];
		return 2;
	}
	memcpy(to, "\\u00", 4);
	to[4] = hex[c >> 4];
	to[5] = hex[c & 15];
	return 6;
}

/* The character at p, which is not plain ASCII. Returns how many bytes it takes. */
static size_t put_special(struct buf *out, const char *p, size_t room)
{
	unsigned char c = (unsigned char)*p;
	char tmp[6];
	size_t n;

	if (c < 0x80) {
		buf_put(out, tmp, escape(c, tmp));
		return 1;
	}
	n = utf8_len(p, room);
	if (n != 0) {
		buf_put(out, p, n);
		return n;
	}
	if (utf8_is_nul(p, room)) {
		buf_put(out, "\\u0000", 6);
		return 2;
	}
	buf_put(out, UTF8_REPLACEMENT, sizeof(UTF8_REPLACEMENT) - 1);
	return 1;
}

/* How many bytes from p on need no escape and are ASCII, copied to `to` while they are found. */
static size_t copy_plain(char *to, const char *p, size_t len)
{
	size_t i = 0;

	while (len - i >= 8) {
		uint64_t w;

		memcpy(&w, p + i, 8);
		if (json_special8(w) != 0) {
			break;
		}
		memcpy(to + i, &w, 8);
		i += 8;
	}
	while (i < len && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80 && p[i] != '"' && p[i] != '\\') {
		to[i] = p[i];
		i++;
	}
	return i;
}

void json_put_str(struct buf *out, const char *text, size_t len)
{
	const char *p = text;
	const char *end = text + len;

	buf_byte(out, '"');
	while (p < end) {
		char *to = buf_room(out, (size_t)(end - p) + 1);
		size_t n;

		if (to == NULL) {
			return;
		}
		n = copy_plain(to, p, (size_t)(end - p));
		out->len += n;
		p += n;
		if (p < end) {
			p += put_special(out, p, (size_t)(end - p));
		}
	}
	buf_byte(out, '"');
}

/* ---- numbers and such ---- */

static void put_int(struct buf *out, int64_t v)
{
	char tmp[24];
	char *p = tmp + sizeof(tmp);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (v < 0) {
		*--p = '-';
	}
	buf_put(out, p, (size_t)(tmp + sizeof(tmp) - p));
}

/* The shortest text that reads back as the same number. JSON has no other than finite ones. */
void json_put_num(struct buf *out, double v)
{
	char tmp[32];
	int digits;

	if (!isfinite(v)) {
		v = 0;
	}
	if (fabs(v) < 1e15 && !(v - (double)(int64_t)v > 0) && !(v - (double)(int64_t)v < 0)) {
		put_int(out, (int64_t)v);
		return;
	}
	for (digits = 15; digits <= 17; digits++) {
		double back;

		snprintf(tmp, sizeof(tmp), "%.*g", digits, v);
		back = strtod(tmp, NULL);
		if (!(back < v) && !(back > v)) {
			break;
		}
	}
	buf_str(out, tmp);
}

static void put_time(struct buf *out, int64_t ns)
{
	char tmp[TIME_TEXT];
	size_t n = time_format(ns, tmp);

	buf_byte(out, '"');
	buf_put(out, tmp, n);
	buf_byte(out, '"');
}

static void put_base64(struct buf *out, const struct bytes *bytes)
{
	buf_byte(out, '"');
	base64_put(out, bytes->at, bytes->n, BASE64_PLAIN, true);
	buf_byte(out, '"');
}

static void put_bool(struct buf *out, bool v)
{
	if (v) {
		buf_put(out, "true", 4);
	} else {
		buf_put(out, "false", 5);
	}
}

/* ---- objects ---- */

/* What is written of strings that were left at their default. */
enum unsaid { UNSAID_DEFAULT, UNSAID_NULL };

static void encode(const struct type *t, const void *obj, enum unsaid unsaid, struct buf *out);

static void put_obj(struct buf *out, const struct type *sub, const void *obj, enum unsaid unsaid)
{
	if (obj == NULL) {
		buf_put(out, "null", 4);
	} else {
		encode(sub, obj, unsaid, out);
	}
}

static void put_opt(struct buf *out, uint8_t kind, const struct opt *v)
{
	if (!v->set) {
		buf_put(out, "null", 4);
	} else if (kind == KIND_OPTBOOL) {
		put_bool(out, v->at != 0);
	} else {
		put_int(out, v->at);
	}
}

static void put_value(struct buf *out, uint8_t kind, const struct type *sub, const void *v, enum unsaid unsaid)
{
	switch (kind) {
	case KIND_BOOL:
		put_bool(out, *(const bool *)v);
		break;
	case KIND_INT:
	case KIND_DUR:
		put_int(out, *(const int64_t *)v);
		break;
	case KIND_NUM:
		json_put_num(out, *(const double *)v);
		break;
	case KIND_TIME:
		put_time(out, *(const int64_t *)v);
		break;
	case KIND_STR:
		json_put_str(out, *(const char *const *)v, strlen(*(const char *const *)v));
		break;
	case KIND_ANY:
		buf_str(out, *(const char *const *)v);
		break;
	case KIND_BYTES:
		put_base64(out, v);
		break;
	case KIND_OBJ:
		put_obj(out, sub, *(void *const *)v, unsaid);
		break;
	case VALUE_STRUCT:
		encode(sub, v, unsaid, out);
		break;
	default:
		put_opt(out, kind, v);
	}
}

static void put_row(struct buf *out, const struct field *f, const void *m, enum unsaid unsaid)
{
	struct elems e = elems_of(f, m);
	uint32_t i;

	buf_byte(out, e.shape->keyed ? '{' : '[');
	for (i = 0; i < e.n; i++) {
		if (i > 0) {
			buf_byte(out, ',');
		}
		if (e.shape->keyed) {
			const char *key = *elem_key(&e, i);

			json_put_str(out, key, strlen(key));
			buf_byte(out, ':');
		}
		put_value(out, e.shape->value, e.sub, elem_value(&e, i), unsaid);
	}
	buf_byte(out, e.shape->keyed ? '}' : ']');
}

/* Kinds that have no zero of their own in JSON. */
static bool empty_is_null(uint8_t kind)
{
	return kind >= KIND_TIME && kind != KIND_STR;
}

static bool is_unsaid(const struct field *f, const void *m)
{
	return f->kind == KIND_STR && f->dflt_str != NULL && *(const char *const *)m == f->dflt_str;
}

static void put_member(struct buf *out, const struct field *f, const void *m, enum unsaid unsaid)
{
	if (empty_is_null(f->kind) && member_empty(f, m)) {
		if (!f->brackets) {
			buf_put(out, "null", 4);
		} else if (f->kind == KIND_STRS || f->kind == KIND_INTS || f->kind == KIND_LIST) {
			buf_put(out, "[]", 2);
		} else {
			buf_put(out, "{}", 2);
		}
	} else if (kind_is_row(f->kind)) {
		put_row(out, f, m, unsaid);
	} else if (unsaid == UNSAID_NULL && is_unsaid(f, m)) {
		buf_put(out, "null", 4);
	} else {
		put_value(out, f->kind, f->sub, m, unsaid);
	}
}

static void encode(const struct type *t, const void *obj, enum unsaid unsaid, struct buf *out)
{
	const struct field *f;
	char before = '{';

	for (f = t->fields; f < t->fields + t->n; f++) {
		const void *m = const_member(obj, f);

		if (f->omit && member_empty(f, m)) {
			continue;
		}
		buf_byte(out, before);
		buf_put(out, f->json, f->name_len + 3u);
		put_member(out, f, m, unsaid);
		before = ',';
	}
	if (before == '{') {
		buf_byte(out, '{');
	}
	buf_byte(out, '}');
}

void json_encode(const struct type *t, const void *obj, struct buf *out)
{
	encode(t, obj, UNSAID_DEFAULT, out);
}

void json_encode_given(const struct type *t, const void *obj, struct buf *out)
{
	encode(t, obj, UNSAID_NULL, out);
}

/* ---- pretty ---- */

static void new_line(struct buf *out, unsigned depth)
{
	buf_byte(out, '\n');
	while (depth-- > 0) {
		buf_put(out, "    ", 4);
	}
}

/* The string at p with its quotes; returns what is behind it. */
static const char *pretty_str(struct buf *out, const char *p, const char *end)
{
	const char *start = p++;

	while (p < end && *p != '"') {
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	}
	p += p < end;
	buf_put(out, start, (size_t)(p - start));
	return p;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void pretty_char(struct buf *out, char c, char next, unsigned *depth)
{
	switch (c) {
	case '{':
	case '[':
		buf_byte(out, c);
		++*depth;
		if (next != '}' && next != ']') {
			new_line(out, *depth);
		}
		break;
	case ',':
		buf_byte(out, c);
		new_line(out, *depth);
		break;
	case ':':
		buf_put(out, ": ", 2);
		break;
	default:
		buf_byte(out, c);
	}
}

void json_pretty(const char *text, size_t len, struct buf *out)
{
	const char *end = text + len;
	const char *p = text;
	unsigned depth = 0;
	char last = '\0';

	while (p < end) {
		char c = *p;

		if (c == '"') {
			p = pretty_str(out, p, end);
		} else if (is_space(c)) {
			p++;
			continue;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
			if (last != '{' && last != '[') {
				new_line(out, depth);
			}
			buf_byte(out, c);
			p++;
		} else {
			while (++p < end && is_space(*p)) {
			}
			pretty_char(out, c, p < end ? *p : '\0', &depth);
		}
		last = c;
	}
	buf_byte(out, '\n');
}
