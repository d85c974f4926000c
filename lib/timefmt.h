/**
 * Durations and points in time as the API writes them.
 *
 * Both are counts of nanoseconds in memory. A duration's text is Go's
 * ("1h30m0s"), a time's is RFC 3339 ("2026-11-22T08:15:30.5Z"). Pure: no clock
 * and no time zones beyond the offset that a text states.
 */
#ifndef LIB_TIMEFMT_H_
#define LIB_TIMEFMT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DURATION_TEXT = 32, /* Room for any duration's text, */
	TIME_TEXT = 32,     /* and for any time's, with the closing zero. */
};

/* "1h2m3.5s", "-300ms", "100us", "0": numbers with fractions, each with a unit of ns, us (or µs), ms, s, m, h.
 * False when it is anything else or does not fit. */
bool duration_parse(const char *text, size_t len, int64_t *ns);

/* "1m0s", "1.5s", "200ms", "0s"; returns the length. */
size_t duration_format(int64_t ns, char text[DURATION_TEXT]);

/* RFC 3339 with capital T and Z, or with an offset; digits beyond nanoseconds are cut. Go's zero time, year 1, becomes
 * 0. False when it is anything else, no date of the calendar, or too far off (the years 1678 to 2261 fit). */
bool time_parse(const char *text, size_t len, int64_t *unix_ns);

/* In UTC, without trailing zeros in the fraction; returns the length. */
size_t time_format(int64_t unix_ns, char text[TIME_TEXT]);

/* The Gregorian calendar, without end in both directions: days since 1970-01-01 of a date and back. */
struct date {
	int64_t year;
	int month; /* 1 to 12. */
	int day;   /* 1 to 31. */
};
int64_t date_to_days(struct date d);
struct date date_from_days(int64_t days);
int date_month_days(int64_t year, int month);

#endif /* LIB_TIMEFMT_H_ */
