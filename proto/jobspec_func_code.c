/* Functions of the job language: encodings, hashes, UUIDs, times. */
#include <openssl/evp.h>
#include <stdio.h>

#include "lib/base64.h"
#include "lib/timefmt.h"
#include "proto/error.h"
#include "proto/jobspec_func.h"

/* ---- base64 ---- */

static int run_base64encode(struct call *c)
{
	const char *text = c->args[0].string;
	struct buf out = {0};

	base64_put(&out, text, strlen(text), BASE64_PLAIN, true);
	return give_buf(c, &out);
}

static int run_base64decode(struct call *c)
{
	const char *s = c->args[0].string;
	size_t len = strlen(s);
	size_t digits = len;
	struct buf out = {0};
	uint32_t bits = 0;
	size_t i;

	while (digits > 0 && len - digits < 2 && s[digits - 1] == '=') {
		digits--;
	}
	for (i = 0; i < digits && len % 4 == 0; i++) {
		int value = base64_value(s[i]);

		if (value < 0) {
			break;
		}
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 > 0) { /* A zero byte cannot be in a text as it is. */
			char byte = (char)(bits >> (6 - 2 * (i % 4)));

			buf_put(&out, byte != '\0' ? &byte : "\xc0\x80", byte != '\0' ? 1 : 2);
		}
	}
	if (i < digits || len % 4 != 0) {
		buf_close(&out);
		return call_fail(c, "the text is not base64");
	}
	return give_buf(c, &out);
}

/* ---- URLs ---- */

static int run_urlencode(struct call *c)
{
	const char *s = c->args[0].string;
	struct buf out = {0};

	for (; *s != '\0'; s++) {
		bool plain = (*s >= '0' && *s <= '9') || ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z') ||
			     strchr("-_.~", *s) != NULL;

		if (plain) {
			buf_byte(&out, *s);
		} else if (*s == ' ') {
			buf_byte(&out, '+');
		} else {
			buf_printf(&out, "%%%02X", (unsigned char)*s);
		}
	}
	return give_buf(c, &out);
}

/* ---- JSON ---- */

/* Any JSON value, as the member of an object around it. */
static int run_jsondecode(struct call *c)
{
	struct buf text = {0};
	struct hcl_error error = {{0, 0}, ""};
	struct hcl_body *body = NULL;
	int rv;

	buf_printf(&text, "{\"v\":%s}", c->args[0].string);
	rv = text.failed ? ERR_NOMEM : hcl_parse_json(text.at, text.len, c->js->mem, &body, &error);
	buf_close(&text);
	if (rv == 0) {
		rv = body->n == 1 ? hcl_eval(body->first->value, &c->js->functions, c->js->mem, c->out, &error)
				  : ERR_SYNTAX;
	}
	if (rv == ERR_NOMEM) {
		return call_nomem(c);
	}
	return rv == 0 ? 0 : call_fail(c, "%s", error.text[0] != '\0' ? error.text : "the text is not one JSON value");
}

/* With < > & escaped, so that it may stand in HTML. */
static int run_jsonencode(struct call *c)
{
	struct buf text = {0};
	struct buf out = {0};
	size_t i;

	hcl_value_json(&c->args[0], &text);
	for (i = 0; i < text.len; i++) {
		char ch = text.at[i];

		if (ch == '<' || ch == '>' || ch == '&') {
			buf_printf(&out, "\\u%04x", ch);
		} else {
			buf_byte(&out, ch);
		}
	}
	out.failed = out.failed || text.failed;
	buf_close(&text);
	return give_buf(c, &out);
}

/* ---- CSV ---- */

struct csv {
	struct call *c;
	const char *p;
	struct hcl_value *at; /* The fields of the row that was read. */
	uint32_t n;
	uint32_t cap;
};

/* One field, and what ends it. */
static bool read_field(struct csv *csv, struct buf *field)
{
	const char *p = csv->p;
	bool quoted = *p == '"';

	for (p += quoted; *p != '\0'; p++) {
		if (quoted && *p == '"') {
			if (p[1] != '"') {
				p++;
				quoted = false;
				break;
			}
			p++;
		} else if (!quoted && (*p == ',' || *p == '\n' || *p == '\r' || *p == '"')) {
			break;
		}
		buf_byte(field, *p);
	}
	csv->p = p;
	return !quoted && *p != '"' && (*p == ',' || *p == '\0' || *p == '\n' || (*p == '\r' && p[1] == '\n'));
}

static int add_field(struct csv *csv)
{
	struct buf field = {0};
	int rv = read_field(csv, &field) ? 0 : call_fail(csv->c, "a quote that does not belong there");

	if (rv == 0 && csv->n == csv->cap) {
		rv = call_fail(csv->c, csv->cap > 0 ? "a row has more fields than the first"
						     : "the first row has too many fields");
	}
	buf_text(&field);
	if (rv == 0 && field.failed) {
		rv = call_nomem(csv->c);
	}
	if (rv == 0 && !text_value(csv->c, field.at, field.len, &csv->at[csv->n])) {
		rv = ERR_TOOBIG;
	}
	csv->n += rv == 0;
	buf_close(&field);
	return rv;
}

/* The next row that is not empty; ERR_NOTFOUND at the end. */
static int read_row(struct csv *csv)
{
	int rv;

	csv->n = 0;
	while (*csv->p == '\n' || *csv->p == '\r') {
		csv->p++;
	}
	if (*csv->p == '\0') {
		return ERR_NOTFOUND;
	}
	csv->at = call_alloc(csv->c, csv->cap, sizeof(*csv->at));
	if (csv->at == NULL) {
		return call_nomem(csv->c);
	}
	while ((rv = add_field(csv)) == 0 && *csv->p == ',') {
		csv->p++;
	}
	return rv;
}

static int row_object(struct csv *csv, const struct hcl_value *names, uint32_t n, struct hcl_value *out)
{
	struct hcl_member *members = call_alloc(csv->c, n, sizeof(*members));
	struct call into = *csv->c;
	uint32_t i;

	if (members == NULL) {
		return call_nomem(csv->c);
	}
	if (csv->n != n) {
		return call_fail(csv->c, "a row has %u fields, the first one %u", csv->n, n);
	}
	for (i = 0; i < n; i++) {
		members[i] = (struct hcl_member){.key = names[i].string, .value = csv->at[i]};
	}
	into.out = out;
	return give_object(&into, members, n);
}

static uint32_t count_lines(const char *s)
{
	uint32_t n = 1;

	for (; *s != '\0'; s++) {
		n += *s == '\n';
	}
	return n;
}

/* The first row has the names of what is in the others. */
static int run_csvdecode(struct call *c)
{
	struct csv csv = {.c = c, .p = c->args[0].string, .cap = 1024};
	struct hcl_value *rows = call_alloc(c, count_lines(csv.p), sizeof(*rows));
	const struct hcl_value *names;
	uint32_t n_names;
	uint32_t n = 0;
	int rv;

	if (rows == NULL) {
		return call_nomem(c);
	}
	rv = read_row(&csv);
	if (rv != 0) {
		return rv == ERR_NOTFOUND ? call_fail(c, "the first row is missing") : rv;
	}
	names = csv.at;
	n_names = csv.cap = csv.n;
	while ((rv = read_row(&csv)) == 0) {
		rv = row_object(&csv, names, n_names, &rows[n++]);
		if (rv != 0) {
			return rv;
		}
	}
	return rv == ERR_NOTFOUND ? give_list(c, rows, n) : rv;
}

/* ---- hashes ---- */

static int give_hash(struct call *c, const EVP_MD *kind)
{
	const char *s = c->args[0].string;
	unsigned char hash[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;
	unsigned i;

	if (EVP_Digest(s, strlen(s), hash, &n, kind, NULL) != 1) {
		return call_fail(c, "the system does not have this hash");
	}
	for (i = 0; i < n; i++) {
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	}
	return give_text(c, hex, 2 * n);
}

static int run_md5(struct call *c)
{
	return give_hash(c, EVP_md5());
}

static int run_sha1(struct call *c)
{
	return give_hash(c, EVP_sha1());
}

static int run_sha256(struct call *c)
{
	return give_hash(c, EVP_sha256());
}

static int run_sha512(struct call *c)
{
	return give_hash(c, EVP_sha512());
}

/* ---- UUIDs ---- */

static int give_uuid(struct call *c, const struct uuid *u)
{
	char text[UUID_TEXT];

	uuid_format(u, text);
	return give_text(c, text, UUID_TEXT - 1);
}

static int run_uuidv4(struct call *c)
{
	const struct uuid u = uuid_derive(&c->js->seed, ++c->js->n_uuids);

	return give_uuid(c, &u);
}

static bool read_namespace(const char *name, struct uuid *out)
{
	static const char *const names[] = {"dns", "url", NULL, "oid", NULL, "x500"};
	char text[UUID_TEXT] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
	size_t i;

	/* In RFC 4122 they differ in one digit. */
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (i != 2 && names[i] != NULL && strcmp(names[i], name) == 0) {
			text[7] = i == 0 ? '0' : i == 1 ? '1' : i == 3 ? '2' : '4';
			return uuid_parse(text, UUID_TEXT - 1, out);
		}
	}
	return uuid_parse(name, strlen(name), out);
}

static int run_uuidv5(struct call *c)
{
	const char *name = c->args[1].string;
	unsigned char hash[EVP_MAX_MD_SIZE];
	struct buf text = {0};
	struct uuid u;
	unsigned n;
	int good;

	if (!read_namespace(c->args[0].string, &u)) {
		return call_fail(c, "argument 1 must be dns, url, oid, x500 or a UUID");
	}
	buf_put(&text, u.at, sizeof(u.at));
	buf_str(&text, name);
	good = !text.failed && EVP_Digest(text.at, text.len, hash, &n, EVP_sha1(), NULL) == 1;
	buf_close(&text);
	if (!good) {
		return call_fail(c, "the hash cannot be made");
	}
	memcpy(u.at, hash, sizeof(u.at));
	u.at[6] = (uint8_t)((u.at[6] & 0x0f) | 0x50);
	u.at[8] = (uint8_t)((u.at[8] & 0x3f) | 0x80);
	return give_uuid(c, &u);
}

/* ---- times ---- */

#define NS INT64_C(1000000000)

/* A point in time, with the offset that its text had. */
struct moment_text {
	int64_t ns; /* Unix time. */
	int64_t offset_s;
};

static int read_time(struct call *c, const char *text, struct moment_text *out)
{
	size_t len = strlen(text);
	int hours;
	int minutes;

	if (!time_parse(text, len, &out->ns)) {
		return call_fail(c, "\"%.60s\" is not a time such as 2026-01-31T12:00:00Z", text);
	}
	out->offset_s = 0;
	if ((text[len - 1] | 0x20) != 'z' && sscanf(text + len - 5, "%2d:%2d", &hours, &minutes) == 2) {
		out->offset_s = (text[len - 6] == '-' ? -60 : 60) * (hours * 60 + minutes);
	}
	return 0;
}

struct broken_time {
	struct date date;
	int weekday; /* 0 is Sunday. */
	int hour, minute, second;
	int offset_min;
};

static struct broken_time break_time(const struct moment_text *t)
{
	int64_t local = t->ns / NS - (t->ns % NS < 0) + t->offset_s;
	int64_t day = local / 86400 - (local % 86400 < 0);
	int second = (int)(local - day * 86400);

	return (struct broken_time){
		.date = date_from_days(day),
		.weekday = (int)(((day + 4) % 7 + 7) % 7),
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
		.offset_min = (int)(t->offset_s / 60),
	};
}

static void put_offset(struct buf *out, int minutes, const char *colon)
{
	int m = minutes < 0 ? -minutes : minutes;

	buf_printf(out, "%c%02d%s%02d", minutes < 0 ? '-' : '+', m / 60, colon, m % 60);
}

static const char *const months[] = {"January", "February", "March",	 "April",   "May",	"June",
				     "July",	"August",   "September", "October", "November", "December"};
static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

static bool put_name(struct buf *out, size_t n, const char *name)
{
	buf_put(out, name, n == 3 ? 3 : strlen(name));
	return n == 3 || n == 4;
}

static bool put_number(struct buf *out, size_t n, int number)
{
	buf_printf(out, n == 2 ? "%02d" : "%d", number);
	return n <= 2;
}

static bool put_zone(struct buf *out, size_t n, int minutes)
{
	if (minutes == 0 && (n == 1 || n == 3)) {
		buf_str(out, n == 1 ? "Z" : "UTC");
	} else {
		put_offset(out, minutes, n == 3 || n == 4 ? "" : ":");
	}
	return n == 1 || (n >= 3 && n <= 5);
}

/* n times a letter; false if it means nothing. */
static bool put_token(struct buf *out, char letter, size_t n, const struct broken_time *t)
{
	switch (letter) {
	case 'Y':
		buf_printf(out, n == 2 ? "%02d" : "%04d", (int)(n == 2 ? t->date.year % 100 : t->date.year));
		return n == 2 || n == 4;
	case 'M':
		return n <= 2 ? put_number(out, n, t->date.month) : put_name(out, n, months[t->date.month - 1]);
	case 'D':
		return put_number(out, n, t->date.day);
	case 'E':
		return put_name(out, n, days[t->weekday]);
	case 'h':
		return put_number(out, n, t->hour);
	case 'H':
		return put_number(out, n, (t->hour + 11) % 12 + 1);
	case 'A':
	case 'a':
		buf_str(out, letter == 'A' ? (t->hour < 12 ? "AM" : "PM") : (t->hour < 12 ? "am" : "pm"));
		return n == 2;
	case 'm':
		return put_number(out, n, t->minute);
	case 's':
		return put_number(out, n, t->second);
	case 'Z':
		return put_zone(out, n, t->offset_min);
	default:
		return false;
	}
}

/* 'text', in which '' is a quote; s is at the first one. NULL if the last one is missing. */
static const char *put_quoted(struct buf *out, const char *s)
{
	for (s++; *s != '\0'; s++) {
		if (*s == '\'' && s[1] != '\'') {
			return s + 1;
		}
		s += *s == '\'';
		buf_byte(out, *s);
	}
	return NULL;
}

static bool is_letter(char ch)
{
	return (ch | 0x20) >= 'a' && (ch | 0x20) <= 'z';
}

static bool put_date(struct buf *out, const char *s, const struct broken_time *t)
{
	while (s != NULL && *s != '\0') {
		size_t n = 1;

		if (*s == '\'') {
			s = put_quoted(out, s);
			continue;
		}
		while (is_letter(*s) && s[n] == *s) {
			n++;
		}
		if (!is_letter(*s)) {
			buf_byte(out, *s);
		} else if (!put_token(out, *s, n, t)) {
			return false;
		}
		s += n;
	}
	return s != NULL;
}

static int run_formatdate(struct call *c)
{
	struct moment_text when;
	struct broken_time t;
	struct buf out = {0};
	int rv = read_time(c, c->args[1].string, &when);

	if (rv != 0) {
		return rv;
	}
	t = break_time(&when);
	if (put_date(&out, c->args[0].string, &t)) {
		return give_buf(c, &out);
	}
	buf_close(&out);
	return call_fail(c, "letters that are no part of a date, or a missing quote: %.60s", c->args[0].string);
}

static int run_timeadd(struct call *c)
{
	const char *text = c->args[1].string;
	struct moment_text when;
	struct broken_time t;
	struct buf out = {0};
	int64_t by;
	int rv = read_time(c, c->args[0].string, &when);

	if (rv != 0) {
		return rv;
	}
	if (!duration_parse(text, strlen(text), &by)) {
		return call_fail(c, "\"%.60s\" is not a duration such as 1h30m", text);
	}
	if (__builtin_add_overflow(when.ns, by, &when.ns)) {
		return call_fail(c, "the time is too far off");
	}
	t = break_time(&when);
	put_date(&out, "YYYY-MM-DD'T'hh:mm:ssZ", &t);
	return give_buf(c, &out);
}

const struct function jobspec_code_functions[] = {
	{"base64decode", "s", run_base64decode},
	{"base64encode", "s", run_base64encode},
	{"csvdecode", "s", run_csvdecode},
	{"formatdate", "ss", run_formatdate},
	{"jsondecode", "s", run_jsondecode},
	{"jsonencode", "v", run_jsonencode},
	{"md5", "s", run_md5},
	{"sha1", "s", run_sha1},
	{"sha256", "s", run_sha256},
	{"sha512", "s", run_sha512},
	{"timeadd", "ss", run_timeadd},
	{"urlencode", "s", run_urlencode},
	{"uuidv4", "", run_uuidv4},
	{"uuidv5", "ss", run_uuidv5},
	{NULL, NULL, NULL},
};
