#include "server/zones.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "proto/error.h"

#define DATABASE "/usr/share/zoneinfo"

enum {
	HEADER_BYTES = 44,
	TRANSITIONS_MAX = 4096,
	OFFSET_MAX_S = 26 * 3600, /* The format's limits are about a day. */
	DAY_S = 86400,
	STALE_S = 3600,
};

/* ---- the file's binary part ---- */

struct input {
	const uint8_t *at;
	const uint8_t *end;
};

static const uint8_t *take(struct input *in, uint64_t len)
{
	const uint8_t *at = in->at;

	if ((uint64_t)(in->end - at) < len) {
		return NULL;
	}
	in->at += len;
	return at;
}

static int64_t big_endian(const uint8_t *p, unsigned bytes)
{
	uint64_t v = (p[0] & 0x80) != 0 ? UINT64_MAX : 0;

	for (unsigned i = 0; i < bytes; i++) {
		v = v << 8 | p[i];
	}
	return (int64_t)v;
}

struct header {
	char version;
	uint32_t isut, isstd, leaps, times, types, chars;
};

static bool take_header(struct input *in, struct header *h)
{
	const uint8_t *p = take(in, HEADER_BYTES);

	if (p == NULL || memcmp(p, "TZif", 4) != 0) {
		return false;
	}
	h->version = (char)p[4];
	h->isut = (uint32_t)big_endian(p + 20, 4);
	h->isstd = (uint32_t)big_endian(p + 24, 4);
	h->leaps = (uint32_t)big_endian(p + 28, 4);
	h->times = (uint32_t)big_endian(p + 32, 4);
	h->types = (uint32_t)big_endian(p + 36, 4);
	h->chars = (uint32_t)big_endian(p + 40, 4);
	return h->types > 0 && h->types <= 256 && h->times <= TRANSITIONS_MAX;
}

static uint64_t tail_bytes(const struct header *h, unsigned time_bytes)
{
	return (uint64_t)h->chars + (uint64_t)h->leaps * (time_bytes + 4) + h->isstd + h->isut;
}

/* The offset of a local time type; false when there is none, or it is absurd. */
static bool type_offset(const uint8_t *types, const struct header *h, unsigned i, int32_t *out)
{
	int64_t offset = i < h->types ? big_endian(types + (size_t)i * 6, 4) : INT64_MAX;

	if (offset < -OFFSET_MAX_S || offset > OFFSET_MAX_S) {
		return false;
	}
	*out = (int32_t)offset;
	return true;
}

/* Transitions, which must be in order. */
static int take_times(struct zone_file *z, const struct header *h, const uint8_t *times, const uint8_t *kinds,
		      const uint8_t *types, unsigned bytes)
{
	z->at = malloc((h->times + 1) * (sizeof(z->at[0]) + sizeof(z->offset[0])));
	if (z->at == NULL) {
		return ERR_NOMEM;
	}
	z->offset = (int32_t *)(z->at + h->times + 1);
	for (; z->n < h->times; z->n++) {
		z->at[z->n] = big_endian(times + (size_t)z->n * bytes, bytes);
		if (!type_offset(types, h, kinds[z->n], &z->offset[z->n]) ||
		    (z->n > 0 && z->at[z->n] <= z->at[z->n - 1])) {
			return ERR_CORRUPT;
		}
	}
	return 0;
}

static int take_block(struct input *in, const struct header *h, unsigned bytes, struct zone_file *z)
{
	const uint8_t *times = take(in, (uint64_t)h->times * bytes);
	const uint8_t *kinds = times != NULL ? take(in, h->times) : NULL;
	const uint8_t *types = kinds != NULL ? take(in, (uint64_t)h->types * 6) : NULL;

	if (types == NULL || take(in, tail_bytes(h, bytes)) == NULL || !type_offset(types, h, 0, &z->first_s)) {
		return ERR_CORRUPT;
	}
	return take_times(z, h, times, kinds, types, bytes);
}

/* ---- its footer: a rule, as in the variable TZ of POSIX ---- */

static bool is_name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "CET", "<+03>". */
static bool skip_name(const char **p)
{
	const char *at = *p;

	if (*at == '<') {
		at = strchr(at, '>');
		if (at == NULL) {
			return false;
		}
		*p = at + 1;
		return true;
	}
	while (is_name_char(*at)) {
		at++;
	}
	if (at - *p < 3) {
		return false;
	}
	*p = at;
	return true;
}

static bool take_number(const char **p, int max, int *out)
{
	int v = 0;

	if (**p < '0' || **p > '9') {
		return false;
	}
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		v = v * 10 + (**p - '0');
		if (v > max) {
			return false;
		}
	}
	*out = v;
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_clock(const char **p, int32_t *out)
{
	int part[3] = {0, 0, 0};
	int sign = 1;

	if (**p == '+' || **p == '-') {
		sign = **p == '-' ? -1 : 1;
		(*p)++;
	}
	if (!take_number(p, 167, &part[0])) {
		return false;
	}
	for (int i = 1; i < 3 && **p == ':'; i++) {
		(*p)++;
		if (!take_number(p, 59, &part[i])) {
			return false;
		}
	}
	*out = sign * (part[0] * 3600 + part[1] * 60 + part[2]);
	return true;
}

static bool skip_char(const char **p, char c)
{
	if (**p != c) {
		return false;
	}
	(*p)++;
	return true;
}

static bool take_month_day(const char **p, struct zone_day *d)
{
	d->kind = 'M';
	return take_number(p, 12, &d->month) && d->month >= 1 && skip_char(p, '.') && take_number(p, 5, &d->week) &&
	       d->week >= 1 && skip_char(p, '.') && take_number(p, 6, &d->day);
}

static bool take_day(const char **p, struct zone_day *d)
{
	bool ok;

	if (skip_char(p, 'M')) {
		ok = take_month_day(p, d);
	} else if (skip_char(p, 'J')) {
		d->kind = 'J';
		ok = take_number(p, 365, &d->day) && d->day >= 1;
	} else {
		d->kind = 'N';
		ok = take_number(p, 365, &d->day);
	}
	d->second = 2 * 3600;
	return ok && (!skip_char(p, '/') || take_clock(p, &d->second));
}

/* POSIX counts west of Greenwich. */
static bool take_offset(const char **p, int32_t *out)
{
	int32_t west;

	if (!take_clock(p, &west) || west < -OFFSET_MAX_S || west > OFFSET_MAX_S) {
		return false;
	}
	*out = -west;
	return true;
}

static bool take_rule(const char *p, struct zone_rule *r)
{
	if (!skip_name(&p) || !take_offset(&p, &r->standard_s)) {
		return false;
	}
	if (*p == '\0') {
		return true;
	}
	r->has_summer = 1;
	r->summer_s = r->standard_s + 3600;
	if (!skip_name(&p) || (*p != ',' && !take_offset(&p, &r->summer_s))) {
		return false;
	}
	return skip_char(&p, ',') && take_day(&p, &r->begins) && skip_char(&p, ',') && take_day(&p, &r->ends) &&
	       *p == '\0';
}

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; an empty one says nothing. */
static int take_footer(struct input *in, struct zone_file *z)
{
	char text[128];
	size_t len = (size_t)(in->end - in->at);

	if (len < 2 || len > sizeof(text) || in->at[0] != '\n' || in->at[len - 1] != '\n') {
		return ERR_CORRUPT;
	}
	memcpy(text, in->at + 1, len - 2);
	text[len - 2] = '\0';
	if (strlen(text) != len - 2) {
		return ERR_CORRUPT;
	}
	z->has_rule = text[0] != '\0';
	return !z->has_rule || take_rule(text, &z->rule) ? 0 : ERR_CORRUPT;
}

int zone_file_decode(const void *data, size_t len, struct zone_file *out)
{
	struct input in = {data, (const uint8_t *)data + len};
	struct zone_file z = {0};
	struct header h;
	int rc = ERR_CORRUPT;

	if (!take_header(&in, &h)) {
		return ERR_CORRUPT;
	}
	if (h.version == '\0') {
		rc = take_block(&in, &h, 4, &z);
	} else if (take(&in, (uint64_t)h.times * 5 + (uint64_t)h.types * 6 + tail_bytes(&h, 4)) != NULL &&
		   take_header(&in, &h)) {
		rc = take_block(&in, &h, 8, &z);
		rc = rc == 0 ? take_footer(&in, &z) : rc;
	}
	if (rc != 0) {
		zone_file_close(&z);
		return rc;
	}
	*out = z;
	return 0;
}

void zone_file_close(struct zone_file *z)
{
	free(z->at);
	memset(z, 0, sizeof(*z));
}

/* ---- a moment ---- */

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970 to the first of January of a year. */
static int64_t days_to(int64_t year)
{
	int64_t y = year - 1;

	return (year - 1970) * 365 + (y / 4 - 1969 / 4) - (y / 100 - 1969 / 100) + (y / 400 - 1969 / 400);
}

static int64_t year_of(int64_t unix_s)
{
	int64_t days = unix_s / DAY_S;
	int64_t year = 1970 + days / 366;

	while (days_to(year + 1) <= days) {
		year++;
	}
	return year;
}

static int month_start(int64_t year, int month) /* 1 to 13. */
{
	static const int start[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

	return start[month - 1] + (month > 2 && is_leap(year));
}

/* The week-th weekday of the month; 5 is the last one. Days from the beginning of the year. */
static int64_t weekday_in(const struct zone_day *d, int64_t year)
{
	int64_t first = month_start(year, d->month);
	int64_t end = month_start(year, d->month + 1);
	int weekday = (int)((days_to(year) + first + 4) % 7); /* 1 January 1970 was a Thursday. */
	int64_t day = first + (d->day - weekday + 7) % 7 + (int64_t)(d->week - 1) * 7;

	return day < end ? day : day - 7;
}

/* Unix time at which that day's second is, by clocks that are so far ahead. */
static int64_t day_time(const struct zone_day *d, int64_t year, int32_t offset_s)
{
	int64_t day;

	switch (d->kind) {
	case 'M':
		day = weekday_in(d, year);
		break;
	case 'J':
		day = d->day - 1 + (d->day > 59 && is_leap(year));
		break;
	default:
		day = d->day;
	}
	return (days_to(year) + day) * DAY_S + d->second - offset_s;
}

static int64_t rule_offset_s(const struct zone_rule *r, int64_t unix_s)
{
	int64_t year, begins, ends;
	bool summer;

	if (!r->has_summer || unix_s < 0 || unix_s > INT64_C(1) << 40) {
		return r->standard_s;
	}
	year = year_of(unix_s + r->standard_s < 0 ? 0 : unix_s + r->standard_s);
	begins = day_time(&r->begins, year, r->standard_s);
	ends = day_time(&r->ends, year, r->summer_s);
	summer = begins < ends ? unix_s >= begins && unix_s < ends : unix_s >= begins || unix_s < ends;
	return summer ? r->summer_s : r->standard_s;
}

int64_t zone_file_offset_s(const struct zone_file *z, int64_t unix_s)
{
	uint32_t low = 0;
	uint32_t high = z->n; /* The first transition that is later is at `high` or before. */

	if (z->has_rule && (z->n == 0 || unix_s >= z->at[z->n - 1])) {
		return rule_offset_s(&z->rule, unix_s);
	}
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (z->at[middle] <= unix_s) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0 ? z->offset[low - 1] : z->first_s;
}

/* ---- zones by name ---- */

struct zone_entry {
	char name[ZONE_NAME_MAX];
	int status; /* Of loading it. */
	int64_t loaded_s;
	struct zone_file file;
};

/* Relative, and nowhere but below the database. */
static bool is_name(const char *zone)
{
	size_t len = strlen(zone);

	return len > 0 && len < ZONE_NAME_MAX && zone[0] != '/' && strstr(zone, "..") == NULL &&
	       strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/.") == len;
}

static ssize_t read_all(int fd, char *data, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size && (n = read(fd, data + len, size - len)) != 0) {
		if (n < 0 && errno != EINTR) {
			return -1;
		}
		len += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)len;
}

static int load_fd(int fd, struct zone_file *out)
{
	char *data = malloc(ZONE_FILE_MAX);
	ssize_t len = data != NULL ? read_all(fd, data, ZONE_FILE_MAX) : 0;
	int rc = data == NULL ? ERR_NOMEM : len < 0 ? ERR_IO : zone_file_decode(data, (size_t)len, out);

	free(data);
	return rc;
}

static int load(const char *zone, struct zone_file *out)
{
	char path[sizeof(DATABASE) + 1 + ZONE_NAME_MAX];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", DATABASE, zone);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_IO;
	}
	rc = load_fd(fd, out);
	close(fd);
	return rc;
}

static struct zone_entry *find(struct zones_cache *c, const char *zone)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (strcmp(c->at[i].name, zone) == 0) {
			return &c->at[i];
		}
	}
	return NULL;
}

static struct zone_entry *place_for(struct zones_cache *c, const char *zone)
{
	struct zone_entry *e = find(c, zone);

	if (e == NULL) {
		e = &c->at[c->n < ZONES_MAX ? c->n++ : c->next++ % ZONES_MAX];
	}
	zone_file_close(&e->file);
	return e;
}

static struct zone_entry *reload(struct zones_cache *c, const char *zone, int64_t now_s)
{
	struct zone_entry *e;

	if (c->at == NULL) {
		c->at = calloc(ZONES_MAX, sizeof(c->at[0]));
		if (c->at == NULL) {
			return NULL;
		}
	}
	e = place_for(c, zone);
	snprintf(e->name, sizeof(e->name), "%s", zone);
	e->loaded_s = now_s;
	e->status = load(zone, &e->file);
	if (e->status != 0) {
		log_warn("server", "time zone %s counts as UTC: %s", zone, error_text(e->status));
	}
	return e;
}

static int64_t monotonic_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int zones_offset(struct zones_cache *c, const char *zone, int64_t unix_s, int64_t *offset_s)
{
	int64_t now_s = monotonic_s();
	struct zone_entry *e;

	if (!is_name(zone)) {
		return ERR_NOTFOUND;
	}
	e = find(c, zone);
	if (e == NULL || now_s - e->loaded_s > STALE_S) {
		e = reload(c, zone, now_s);
	}
	if (e == NULL) {
		return ERR_NOMEM;
	}
	if (e->status == 0) {
		*offset_s = zone_file_offset_s(&e->file, unix_s);
	}
	return e->status;
}

void zones_close(struct zones_cache *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		zone_file_close(&c->at[i].file);
	}
	free(c->at);
	memset(c, 0, sizeof(*c));
}
