#include "proto/cron.h"

#include <string.h>
#include <strings.h>

#include "lib/timefmt.h"
#include "proto/error.h"

/* ---- parsing ---- */

/* What a field may hold. Names are tried before numbers; they count from `names_from`. */
struct part {
	int min;
	int max;
	const char *const *names;
	int names_from;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
					  "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct part sixties = {0, 59, NULL, 0};
static const struct part hours = {0, 23, NULL, 0};
static const struct part days = {1, 31, NULL, 0};
static const struct part months = {1, 12, month_names, 1};
static const struct part weekdays = {0, 7, weekday_names, 0}; /* 7 is Sunday again. */
static const struct part years = {CRON_YEAR_MIN, CRON_YEAR_MAX, NULL, 0};

/* A set of values of the part, as bits from its minimum on. Years need the most: 130. */
struct bits {
	uint64_t at[3];
};

static void bits_add(struct bits *b, int i)
{
	b->at[i / 64] |= UINT64_C(1) << i % 64;
}

static bool take_name(const struct part *part, const char **p, int *value)
{
	int i;

	for (i = 0; part->names != NULL && part->names[i] != NULL; i++) {
		if (strncasecmp(*p, part->names[i], 3) == 0) {
			*value = part->names_from + i;
			*p += 3;
			return true;
		}
	}
	return false;
}

static bool take_number(const char **p, int *value)
{
	const char *start = *p;
	int v = 0;

	for (; **p >= '0' && **p <= '9' && *p - start < 4; ++*p) {
		v = v * 10 + (**p - '0');
	}
	*value = v;
	return *p > start;
}

static bool take_value(const struct part *part, const char **p, int *value)
{
	return (take_name(part, p, value) || take_number(p, value)) && *value >= part->min && *value <= part->max;
}

static bool at_end(const char *p)
{
	return *p == '\0' || *p == ',' || *p == ' ' || *p == '\t';
}

/* One entry of a list: *, a, a-b, a/n, a-b/n, * /n. *all when it is no restriction. */
static bool take_entry(const struct part *part, const char **p, struct bits *out, bool *all)
{
	int from = part->min;
	int to = part->max;
	int step = 1;
	bool star = **p == '*' || **p == '?';
	int i;

	if (star) {
		++*p;
	} else {
		if (!take_value(part, p, &from)) {
			return false;
		}
		to = **p == '/' ? part->max : from;
		if (**p == '-' && (++*p, !take_value(part, p, &to))) {
			return false;
		}
	}
	if (**p == '/' && (++*p, !take_number(p, &step) || step == 0)) {
		return false;
	}
	if (!at_end(*p) || from > to) {
		return false;
	}
	for (i = from; i <= to; i += step) {
		bits_add(out, i - part->min);
	}
	*all = *all || (star && step == 1);
	return true;
}

/* L, LW, 15W. */
static bool take_special_day(struct cron *c, const char **p)
{
	const char *q = *p;
	int day;

	if (strncasecmp(q, "LW", 2) == 0) {
		c->last_workday = true;
		q += 2;
	} else if (*q == 'L' || *q == 'l') {
		c->last_day = true;
		q++;
	} else if (take_value(&days, &q, &day) && (*q == 'W' || *q == 'w')) {
		c->near_weekdays |= 1u << day;
		q++;
	} else {
		return false;
	}
	*p = q;
	return at_end(q);
}

/* 5L, 5#2; L alone is Saturday. */
static bool take_special_weekday(struct cron *c, const char **p)
{
	const char *q = *p;
	int day;
	int nth;

	if ((*q == 'L' || *q == 'l') && at_end(q + 1)) {
		c->weekdays |= 1u << 6;
		*p = q + 1;
		return true;
	}
	if (!take_value(&weekdays, &q, &day)) {
		return false;
	}
	if (*q == 'L' || *q == 'l') {
		c->last_weekdays |= 1u << day % 7;
		q++;
	} else if (*q == '#' && (++q, take_number(&q, &nth)) && nth >= 1 && nth <= 5) {
		c->nth_weekdays[nth - 1] |= 1u << day % 7;
	} else {
		return false;
	}
	*p = q;
	return at_end(q);
}

/* A whole field. The special forms of days are tried first; they are about what plain entries are not. */
static bool take_field(const struct part *part, const char **p, struct cron *c, struct bits *out, bool *all)
{
	*out = (struct bits){{0}};
	*all = false;
	for (;;) {
		bool special =
			(part == &days && take_special_day(c, p)) || (part == &weekdays && take_special_weekday(c, p));

		if (!special && !take_entry(part, p, out, all)) {
			return false;
		}
		if (**p != ',') {
			return true;
		}
		++*p;
	}
}

static void skip_spaces(const char **p)
{
	*p += strspn(*p, " \t");
}

static int count_fields(const char *p)
{
	int n = 0;

	for (skip_spaces(&p); *p != '\0'; skip_spaces(&p)) {
		n++;
		p += strcspn(p, " \t");
	}
	return n;
}

/* Put what was read where it belongs. */
static void store(struct cron *c, const struct part *part, bool is_second, const struct bits *b, bool all)
{
	if (part == &sixties) {
		*(is_second ? &c->seconds : &c->minutes) = b->at[0];
	} else if (part == &hours) {
		c->hours = (uint32_t)b->at[0];
	} else if (part == &days) {
		c->days = (uint32_t)(b->at[0] << days.min);
		c->any_day = all;
	} else if (part == &months) {
		c->months = (uint32_t)(b->at[0] << months.min);
	} else if (part == &weekdays) {
		c->weekdays |= (uint32_t)((b->at[0] | b->at[0] >> 7) & 0x7f);
		c->any_weekday = all;
	} else {
		memcpy(c->years, b->at, sizeof(c->years));
	}
}

static int parse_fields(const char *text, struct cron *c, const char **why)
{
	static const struct part *const order[] = {&sixties, &sixties, &hours, &days, &months, &weekdays, &years};
	int n = count_fields(text);
	int i;

	if (n < 5 || n > 7) {
		*why = n < 5 ? "missing field(s)" : "too many fields";
		return ERR_SYNTAX;
	}
	c->seconds = 1;
	memset(c->years, 0xff, sizeof(c->years));
	for (i = n == 7 ? 0 : 1; n > 0; i++, n--) {
		struct bits b;
		bool all;

		skip_spaces(&text);
		if (!take_field(order[i], &text, c, &b, &all)) {
			*why = "syntax error in a field";
			return ERR_SYNTAX;
		}
		store(c, order[i], i == 0, &b, all);
	}
	return 0;
}

static int parse_every(const char *text, struct cron *c, const char **why)
{
	int64_t ns;

	if (!duration_parse(text, strlen(text), &ns) || ns < INT64_C(1000000000)) {
		*why = "@every needs a duration of a second or more";
		return ERR_SYNTAX;
	}
	c->every_s = ns / INT64_C(1000000000);
	return 0;
}

int cron_parse(const char *text, struct cron *out, const char **why)
{
	static const struct {
		const char *name;
		const char *fields;
	} named[] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
		     {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
		     {"@hourly", "0 * * * *"}};
	struct cron c = {0};
	size_t i;
	int rv;

	if (strlen(text) > CRON_TEXT_MAX) {
		*why = "too long";
		return ERR_SYNTAX;
	}
	skip_spaces(&text);
	if (strncmp(text, "@every ", 7) == 0) {
		text += 7;
		skip_spaces(&text);
		rv = parse_every(text, &c, why);
	} else {
		for (i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
			text = strcmp(text, named[i].name) == 0 ? named[i].fields : text;
		}
		rv = parse_fields(text, &c, why);
	}
	if (rv == 0) {
		*out = c;
	}
	return rv;
}

/* ---- the next time ---- */

/* A clock's reading. */
struct reading {
	struct date date;
	int hour;
	int minute;
	int second;
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static struct reading read_clock(int64_t local_s)
{
	int64_t day = floor_div(local_s, 86400);
	int64_t s = local_s - day * 86400;

	return (struct reading){date_from_days(day), (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60)};
}

static int64_t to_seconds(const struct reading *r)
{
	return date_to_days(r->date) * 86400 + r->hour * 3600 + r->minute * 60 + r->second;
}

/* Sunday is 0. */
static int weekday_of(int64_t year, int month, int day)
{
	int64_t n = date_to_days((struct date){year, month, day}) + 4; /* 1970-01-01 was a Thursday. */

	return (int)(n - floor_div(n, 7) * 7);
}

/* The Monday to Friday nearest to that day within the month. */
static int nearest_workday(int64_t year, int month, int day)
{
	int last = date_month_days(year, month);
	int w;

	day = day > last ? last : day;
	w = weekday_of(year, month, day);
	if (w == 6) {
		return day > 1 ? day - 1 : day + 2;
	}
	if (w == 0) {
		return day < last ? day + 1 : day - 2;
	}
	return day;
}

static uint32_t days_by_weekday(const struct cron *c, int64_t year, int month)
{
	int last = date_month_days(year, month);
	uint32_t set = 0;
	int day;

	for (day = 1; day <= last; day++) {
		uint32_t w = 1u << weekday_of(year, month, day);

		if ((c->weekdays & w) != 0 || (c->nth_weekdays[(day - 1) / 7] & w) != 0 ||
		    (day + 7 > last && (c->last_weekdays & w) != 0)) {
			set |= 1u << day;
		}
	}
	return set;
}

static uint32_t days_by_day(const struct cron *c, int64_t year, int month)
{
	int last = date_month_days(year, month);
	uint32_t set = c->days;
	int day;

	for (day = 1; day <= last; day++) {
		if ((c->near_weekdays & 1u << day) != 0) {
			set |= 1u << nearest_workday(year, month, day);
		}
	}
	if (c->last_day) {
		set |= 1u << last;
	}
	if (c->last_workday) {
		set |= 1u << nearest_workday(year, month, last);
	}
	return set;
}

/* The days of that month on which it runs. */
static uint32_t days_of(const struct cron *c, int64_t year, int month)
{
	uint32_t all = (uint32_t)((UINT64_C(1) << (date_month_days(year, month) + 1)) - 2);
	uint32_t set = 0;

	if (c->any_day && c->any_weekday) {
		return all;
	}
	if (!c->any_day) {
		set |= days_by_day(c, year, month);
	}
	if (!c->any_weekday) {
		set |= days_by_weekday(c, year, month);
	}
	return set & all;
}

/* The lowest member of the set that is at least `from`, or -1. */
static int next_in(uint64_t set, int from)
{
	set = from < 64 ? set >> from << from : 0;
	return set == 0 ? -1 : __builtin_ctzll(set);
}

static bool year_runs(const struct cron *c, int64_t year)
{
	uint64_t i = (uint64_t)(year - CRON_YEAR_MIN);

	return (c->years[i / 64] >> i % 64 & 1) != 0;
}

/* Move one unit of a reading to the next member of its set; *moved when that is a later one, so that the units below
 * begin anew. False when there is none: then the unit above must move on by one. */
static bool settle(int *unit, uint64_t set, bool *moved)
{
	int v = next_in(set, *unit);

	if (v > *unit) {
		*moved = true;
	}
	*unit = v >= 0 ? v : *unit;
	return v >= 0;
}

/* The time of day of r, or the next one that the expression has; false when that is tomorrow. */
static bool settle_clock(const struct cron *c, struct reading *r)
{
	bool moved = false;

	if (!settle(&r->hour, c->hours, &moved)) {
		return false;
	}
	if (moved) {
		r->minute = r->second = 0;
	}
	moved = false;
	if (!settle(&r->minute, c->minutes, &moved)) {
		*r = (struct reading){r->date, r->hour + 1, 0, 0};
		return settle_clock(c, r);
	}
	if (moved) {
		r->second = 0;
	}
	if (!settle(&r->second, c->seconds, &moved)) {
		*r = (struct reading){r->date, r->hour, r->minute + 1, 0};
		return settle_clock(c, r);
	}
	return true;
}

static struct reading start_of(int64_t year, int month, int day)
{
	return (struct reading){{year, month, day}, 0, 0, 0};
}

/* The first reading at or after r that the expression has; false when there is none. */
static bool settle_reading(const struct cron *c, struct reading *r)
{
	while (r->date.year <= CRON_YEAR_MAX) {
		int month = next_in(c->months, r->date.month);
		int day;

		if (!year_runs(c, r->date.year) || month < 0) {
			*r = start_of(r->date.year + 1, 1, 1);
			continue;
		}
		if (month > r->date.month) {
			*r = start_of(r->date.year, month, 1);
		}
		day = next_in(days_of(c, r->date.year, month), r->date.day);
		if (day < 0) { /* A month 13 is found to be none. */
			*r = start_of(r->date.year, month + 1, 1);
			continue;
		}
		if (day > r->date.day) {
			*r = start_of(r->date.year, month, day);
		}
		if (settle_clock(c, r)) {
			return true;
		}
		*r = start_of(r->date.year, month, day + 1);
	}
	return false;
}

enum {
	DAY_S = 86400, /* Clocks are set by less, */
	PROBE_S = 3 * 3600, /* and not twice in this time. */
};

/* The first moment after `from`, up to `until`, at which the clock is set; until + 1 when it is not. */
static int64_t clock_set_at(int64_t from, int64_t until, cron_offset_cb offset, void *ctx)
{
	int64_t ahead_s = offset(ctx, from);
	int64_t before = from;
	int64_t after = from;

	while (offset(ctx, after) == ahead_s) {
		if (after == until) {
			return until + 1;
		}
		before = after;
		after = until - after > PROBE_S ? after + PROBE_S : until;
	}
	while (after - before > 1) {
		int64_t middle = before + (after - before) / 2;

		*(offset(ctx, middle) == ahead_s ? &before : &after) = middle;
	}
	return after;
}

/* The first moment from this one on whose reading the expression has, if the clock is not set before it; -1: there is
 * none. */
static int64_t read_on(const struct cron *c, int64_t from, int64_t ahead_s)
{
	struct reading r = read_clock(from + ahead_s);

	if (r.date.year < CRON_YEAR_MIN) {
		r = start_of(CRON_YEAR_MIN, 1, 1);
	}
	return settle_reading(c, &r) ? to_seconds(&r) - ahead_s : -1;
}

/* From one setting of the clock to the next. When the clock was not set within a day no reading comes again that was
 * passed before; so nothing happens until the one that was found comes near. */
static int64_t next_by_clock(const struct cron *c, int64_t from, cron_offset_cb offset, void *ctx)
{
	int64_t at;

	while ((at = read_on(c, from, offset(ctx, from))) >= 0) {
		int64_t until = at - from > 2 * DAY_S ? from + DAY_S : at;
		int64_t set_at = clock_set_at(from, until, offset, ctx);

		if (set_at > until && until == at) {
			return at;
		}
		from = set_at <= until ? set_at : at - DAY_S;
	}
	return -1;
}

int64_t cron_next(const struct cron *c, int64_t after_s, cron_offset_cb offset, void *ctx)
{
	const int64_t first = date_to_days((struct date){CRON_YEAR_MIN, 1, 1}) * 86400;
	const int64_t last = date_to_days((struct date){CRON_YEAR_MAX + 1, 1, 2}) * 86400;

	if (c->every_s != 0) {
		return after_s > INT64_MAX - c->every_s ? -1 : after_s + c->every_s;
	}
	if (after_s < first || after_s > last) {
		after_s = after_s < first ? first - 1 : last;
	}
	return offset != NULL ? next_by_clock(c, after_s + 1, offset, ctx) : read_on(c, after_s + 1, 0);
}
