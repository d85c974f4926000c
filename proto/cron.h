/**
 * When a periodic job runs: cron expressions.
 *
 * Five fields (minute, hour, day of month, month, day of week), six (and a year), or seven (a second before them, and a
 * year). A field is a list, by commas, of *, a value, a range a-b, each with a step by /n; months and days of the week
 * have names too; ? is *. The day of month knows L (the last), LW (the last weekday) and nW (the weekday nearest to the
 * n-th), the day of week nL (the last of its kind in the month) and n#k (the k-th). When both days are restricted,
 * either will do. Also @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, and "@every 1h30m".
 *
 * Pure: the time comes in as an argument, and so does the time zone.
 */
#ifndef PROTO_CRON_H_
#define PROTO_CRON_H_

#include <stdbool.h>
#include <stdint.h>

enum { CRON_YEAR_MIN = 1970, CRON_YEAR_MAX = 2099, CRON_TEXT_MAX = 256 };

/* Sets of bits: bit n is the value n. */
struct cron {
	uint64_t seconds;
	uint64_t minutes;
	uint32_t hours;
	uint32_t days;            /* Of the month; bit 0 is not used. */
	uint32_t months;          /* 1 to 12. */
	uint32_t weekdays;        /* 0 is Sunday. */
	uint64_t years[3];        /* Bit 0 is CRON_YEAR_MIN. */
	uint32_t near_weekdays;   /* nW: days of the month. */
	uint32_t last_weekdays;   /* nL: days of the week. */
	uint32_t nth_weekdays[5]; /* n#k: days of the week, by k - 1. */
	bool last_day;
	bool last_workday;
	bool any_day;     /* The day of month is not restricted, */
	bool any_weekday; /* nor the day of week. */
	int64_t every_s;  /* If not 0, the only thing that counts. */
};

/* 0 or ERR_SYNTAX, with a static text that tells why. */
int cron_parse(const char *text, struct cron *out, const char **why);

/* Seconds that a place's clock is ahead of UTC at a moment. */
typedef int64_t (*cron_offset_cb)(void *ctx, int64_t unix_s);

/* The first moment after the given one, in whole seconds; -1 when there is none before the end of CRON_YEAR_MAX.
 * `offset` may be NULL: UTC. Where the clock is set forward, a time that it skips does not run that day; where it is set
 * back, a time that comes twice runs twice. */
int64_t cron_next(const struct cron *c, int64_t after_s, cron_offset_cb offset, void *ctx);

#endif /* PROTO_CRON_H_ */
