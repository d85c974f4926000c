#include "lib/timefmt.h"

#include <string.h>

#define NS_PER_S INT64_C(1000000000)
#define S_PER_DAY INT64_C(86400)

/* ---- durations ---- */

/* Longer names first where one begins another. */
static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {
	{"ns", 1},
	{"us", 1000},
	/* The micro sign, and the Greek letter that looks like it. */
	{"\xc2\xb5s", 1000},
	{"\xce\xbcs", 1000},
	{"ms", 1000000},
	{"s", NS_PER_S},
	{"m", 60 * NS_PER_S},
	{"h", 3600 * NS_PER_S},
};

static const struct unit *find_unit(const char *p, const char *end)
{
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i].name);

		if ((size_t)(end - p) >= n && memcmp(p, units[i].name, n) == 0) {
			return &units[i];
		}
	}
	return NULL;
}

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

/* Whole digits from *p on, which may be none; false on overflow. */
static bool take_whole(const char **p, const char *end, uint64_t *v)
{
	for (*v = 0; is_digit(*p, end); ++*p) {
		if (__builtin_mul_overflow(*v, 10U, v) || __builtin_add_overflow(*v, (uint64_t)(**p - '0'), v)) {
			return false;
		}
	}
	return true;
}

/* Digits behind a point as numerator over a power of ten. More than 18 cannot matter: they are passed over. */
static void take_fraction(const char **p, const char *end, uint64_t *v, uint64_t *scale)
{
	for (*v = 0, *scale = 1; is_digit(*p, end); ++*p) {
		if (*scale < UINT64_C(1000000000000000000)) {
			*v = *v * 10 + (uint64_t)(**p - '0');
			*scale *= 10;
		}
	}
}

/* One number with its unit, added to *total. */
static bool take_part(const char **p, const char *end, uint64_t *total)
{
	const char *start = *p;
	uint64_t whole;
	uint64_t fraction = 0;
	uint64_t scale = 1;
	const struct unit *u;
	bool digits;

	if (!take_whole(p, end, &whole)) {
		return false;
	}
	digits = *p > start;
	if (*p < end && **p == '.') {
		start = ++*p;
		take_fraction(p, end, &fraction, &scale);
		digits = digits || *p > start;
	}
	u = digits ? find_unit(*p, end) : NULL;
	if (u == NULL) {
		return false;
	}
	*p += strlen(u->name);
	fraction = (uint64_t)((unsigned __int128)fraction * (uint64_t)u->ns / scale);
	return !__builtin_mul_overflow(whole, (uint64_t)u->ns, &whole) &&
	       !__builtin_add_overflow(whole, fraction, &whole) && !__builtin_add_overflow(*total, whole, total);
}

bool duration_parse(const char *text, size_t len, int64_t *ns)
{
	const char *p = text;
	const char *end = text + len;
	bool minus = len > 0 && *p == '-';
	uint64_t total = 0;

	if (len > 0 && (*p == '-' || *p == '+')) {
		p++;
	}
	if (end - p == 1 && *p == '0') {
		*ns = 0;
		return true;
	}
	if (p == end) {
		return false;
	}
	while (p < end) {
		if (!take_part(&p, end, &total)) {
			return false;
		}
	}
	if (total > (uint64_t)INT64_MAX + minus) {
		return false;
	}
	*ns = (int64_t)(minus ? 0 - total : total);
	return true;
}

/* Digits of v to the left of `to`. */
static char *put_back(char *to, uint64_t v)
{
	do {
		*--to = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	return to;
}

/* A fraction of `digits` digits to the left of `to`, with its point, without trailing zeros: nothing when it is 0. */
static char *put_fraction_back(char *to, uint64_t v, int digits)
{
	while (digits > 0 && v % 10 == 0) {
		v /= 10;
		digits--;
	}
	if (digits == 0) {
		return to;
	}
	for (; digits > 0; digits--) {
		*--to = (char)('0' + v % 10);
		v /= 10;
	}
	*--to = '.';
	return to;
}

static char *put_text_back(char *to, const char *s)
{
	size_t n = strlen(s);

	memcpy(to - n, s, n);
	return to - n;
}

static char *put_small_back(char *to, uint64_t u)
{
	static const struct {
		uint64_t below;
		uint64_t unit;
		int digits;
		const char *name;
	} small[] = {{1000, 1, 0, "ns"}, {1000000, 1000, 3, "\xc2\xb5s"}, {1000000000, 1000000, 6, "ms"}};
	size_t i = 0;

	while (u >= small[i].below) {
		i++;
	}
	to = put_text_back(to, small[i].name);
	to = put_fraction_back(to, u % small[i].unit, small[i].digits);
	return put_back(to, u / small[i].unit);
}

static char *put_large_back(char *to, uint64_t u)
{
	uint64_t s = u / (uint64_t)NS_PER_S;

	*--to = 's';
	to = put_fraction_back(to, u % (uint64_t)NS_PER_S, 9);
	to = put_back(to, s % 60);
	if (s >= 60) {
		*--to = 'm';
		to = put_back(to, s / 60 % 60);
	}
	if (s >= 3600) {
		*--to = 'h';
		to = put_back(to, s / 3600);
	}
	return to;
}

size_t duration_format(int64_t ns, char text[DURATION_TEXT])
{
	char tmp[DURATION_TEXT];
	char *end = tmp + sizeof(tmp) - 1;
	char *p = end;
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	if (u == 0) {
		p = put_text_back(p, "0s");
	} else if (u < (uint64_t)NS_PER_S) {
		p = put_small_back(p, u);
	} else {
		p = put_large_back(p, u);
	}
	if (ns < 0) {
		*--p = '-';
	}
	memcpy(text, p, (size_t)(end - p));
	text[end - p] = '\0';
	return (size_t)(end - p);
}

/* ---- the calendar ---- */

/* A cycle of 400 years has 146097 days. Years are counted from March, so that the leap day is the last of its year:
 * then the days before a month follow a straight line, (153 m + 2) / 5 for m counted from March. */
enum { CYCLE_YEARS = 400, CYCLE_DAYS = 146097, EPOCH = 719468 /* From 0000-03-01 to 1970-01-01. */ };

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t date_to_days(struct date d)
{
	int64_t year = d.year - (d.month <= 2);
	int64_t cycle = floor_div(year, CYCLE_YEARS);
	int64_t y = year - cycle * CYCLE_YEARS;
	int64_t m = (d.month + 9) % 12;

	return cycle * CYCLE_DAYS + y * 365 + y / 4 - y / 100 + (153 * m + 2) / 5 + d.day - 1 - EPOCH;
}

struct date date_from_days(int64_t days)
{
	int64_t shifted = days + EPOCH;
	int64_t cycle = floor_div(shifted, CYCLE_DAYS);
	int64_t left = shifted - cycle * CYCLE_DAYS;
	/* Take out the leap days that lie before: every 4 years (1460 days), but not every 100, and the last of all. */
	int64_t y = (left - left / 1460 + left / 36524 - left / (CYCLE_DAYS - 1)) / 365;
	int64_t day_of_year = left - (y * 365 + y / 4 - y / 100);
	int64_t m = (5 * day_of_year + 2) / 153;
	struct date d;

	d.day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
	d.month = (int)(m < 10 ? m + 3 : m - 9);
	d.year = y + cycle * CYCLE_YEARS + (d.month <= 2);
	return d;
}

int date_month_days(int64_t year, int month)
{
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (month == 2) {
		return leap ? 29 : 28;
	}
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* ---- times ---- */

/* Exactly n digits with a value of at least `min` and at most `max`. */
static bool take_number(const char **p, const char *end, int n, int min, int max, int *out)
{
	int v = 0;

	for (; n > 0; n--, ++*p) {
		if (!is_digit(*p, end)) {
			return false;
		}
		v = v * 10 + (**p - '0');
	}
	*out = v;
	return v >= min && v <= max;
}

static bool take_char(const char **p, const char *end, char c)
{
	if (*p == end || **p != c) {
		return false;
	}
	++*p;
	return true;
}

/* "Z", "+02:00", "-07:30": seconds east of Greenwich. */
static bool take_zone(const char **p, const char *end, int *east_s)
{
	int hours;
	int minutes;
	bool west;

	*east_s = 0;
	if (take_char(p, end, 'Z')) {
		return true;
	}
	west = take_char(p, end, '-');
	if (!west && !take_char(p, end, '+')) {
		return false;
	}
	if (!take_number(p, end, 2, 0, 23, &hours) || !take_char(p, end, ':') ||
	    !take_number(p, end, 2, 0, 59, &minutes)) {
		return false;
	}
	*east_s = (hours * 60 + minutes) * (west ? -60 : 60);
	return true;
}

static bool take_clock(const char **p, const char *end, int64_t *second_of_day)
{
	int h;
	int m;
	int s;

	if (!take_number(p, end, 2, 0, 23, &h) || !take_char(p, end, ':') || !take_number(p, end, 2, 0, 59, &m) ||
	    !take_char(p, end, ':') || !take_number(p, end, 2, 0, 59, &s)) {
		return false;
	}
	*second_of_day = (h * 60 + m) * 60 + s;
	return true;
}

static bool take_date(const char **p, const char *end, struct date *d)
{
	int year;

	if (!take_number(p, end, 4, 0, 9999, &year) || !take_char(p, end, '-') ||
	    !take_number(p, end, 2, 1, 12, &d->month) || !take_char(p, end, '-') ||
	    !take_number(p, end, 2, 1, date_month_days(year, d->month), &d->day)) {
		return false;
	}
	d->year = year;
	return true;
}

/* The fraction of a second in nanoseconds; 0 when there is none. */
static bool take_nanos(const char **p, const char *end, int64_t *ns)
{
	const char *start;
	uint64_t v;
	uint64_t scale;

	*ns = 0;
	if (!take_char(p, end, '.')) {
		return true;
	}
	start = *p;
	take_fraction(p, end, &v, &scale);
	*ns = (int64_t)((unsigned __int128)v * (uint64_t)NS_PER_S / scale);
	return *p > start;
}

bool time_parse(const char *text, size_t len, int64_t *unix_ns)
{
	const char *p = text;
	const char *end = text + len;
	struct date d;
	int64_t clock_s;
	int64_t ns;
	int64_t unix_s;
	__int128 total;
	int east_s;

	if (!take_date(&p, end, &d) || !take_char(&p, end, 'T') || !take_clock(&p, end, &clock_s) ||
	    !take_nanos(&p, end, &ns) || !take_zone(&p, end, &east_s) || p != end) {
		return false;
	}
	unix_s = date_to_days(d) * S_PER_DAY + clock_s - east_s;
	if (unix_s == date_to_days((struct date){1, 1, 1}) * S_PER_DAY && ns == 0) {
		*unix_ns = 0;
		return true;
	}
	total = (__int128)unix_s * NS_PER_S + ns;
	if (total < INT64_MIN || total > INT64_MAX) {
		return false;
	}
	*unix_ns = (int64_t)total;
	return true;
}

static char *put_padded(char *to, int64_t v, int digits, char after)
{
	int i;

	for (i = digits - 1; i >= 0; i--) {
		to[i] = (char)('0' + v % 10);
		v /= 10;
	}
	to[digits] = after;
	return to + digits + 1;
}

size_t time_format(int64_t unix_ns, char text[TIME_TEXT])
{
	int64_t unix_s = floor_div(unix_ns, NS_PER_S);
	int64_t rest = unix_ns % NS_PER_S;
	int64_t ns = rest < 0 ? rest + NS_PER_S : rest;
	int64_t days = floor_div(unix_s, S_PER_DAY);
	int64_t clock_s = unix_s - days * S_PER_DAY;
	struct date d = date_from_days(days);
	char tmp[16];
	char *fraction = put_fraction_back(tmp + sizeof(tmp), (uint64_t)ns, 9);
	char *p = text;

	p = put_padded(p, d.year, 4, '-');
	p = put_padded(p, d.month, 2, '-');
	p = put_padded(p, d.day, 2, 'T');
	p = put_padded(p, clock_s / 3600, 2, ':');
	p = put_padded(p, clock_s / 60 % 60, 2, ':');
	p = put_padded(p, clock_s % 60, 2, 'Z');
	p--; /* The fraction stands before the Z. */
	memcpy(p, fraction, (size_t)(tmp + sizeof(tmp) - fraction));
	p += tmp + sizeof(tmp) - fraction;
	p[0] = 'Z';
	p[1] = '\0';
	return (size_t)(p + 1 - text);
}
