/**
 * Time zones, from the system's database: how far the clocks of "Europe/Berlin" are ahead of UTC at a moment.
 *
 * A cache holds the zones that were asked for, at most ZONES_MAX; it belongs to one thread. Files are read when a zone
 * is first asked for (some kilobytes), and again when an hour has passed since: the database may have been updated.
 */
#ifndef SERVER_ZONES_H_
#define SERVER_ZONES_H_

#include <stddef.h>
#include <stdint.h>

enum {
	ZONES_MAX = 64, /* Beyond them the one that was loaded first goes. */
	ZONE_NAME_MAX = 64,
	ZONE_FILE_MAX = 64 << 10,
};

/* ---- one zone's file (RFC 8536): pure ---- */

/* When and how the offset changes after the file's last transition, year by year. */
struct zone_day {
	char kind; /* 'M': the week-th day of a month's weekdays; 'J': day 1 to 365 without 29 February; 'N': 0 to 365. */
	int month, week, day;
	int32_t second; /* Of that day, by the clocks as they stand then; may be negative or beyond the day. */
};

struct zone_rule {
	int32_t standard_s; /* Ahead of UTC. */
	int32_t summer_s;
	int has_summer;
	struct zone_day begins, ends; /* Summer time. */
};

struct zone_file {
	uint32_t n;      /* Transitions, in order. */
	int64_t *at;     /* From malloc(), with room for `n`: their Unix times, */
	int32_t *offset; /* and the offset from then on; in one piece with it. */
	int32_t first_s; /* Before the first. */
	int has_rule;
	struct zone_rule rule;
};

/* 0, ERR_NOMEM or ERR_CORRUPT; after 0 zone_file_close(). */
int zone_file_decode(const void *data, size_t len, struct zone_file *out);
int64_t zone_file_offset_s(const struct zone_file *z, int64_t unix_s);
void zone_file_close(struct zone_file *z);

/* ---- zones by name ---- */

struct zone_entry;

struct zones_cache {
	struct zone_entry *at;
	unsigned n;
	unsigned next; /* To be replaced when it is full. */
};

/* ERR_NOTFOUND (no such zone, or a name that is none), ERR_CORRUPT, ERR_IO, ERR_NOMEM; then it is to be taken for UTC. */
int zones_offset(struct zones_cache *c, const char *zone, int64_t unix_s, int64_t *offset_s);

/* All zero is an empty cache, too. */
void zones_close(struct zones_cache *c);

#endif /* SERVER_ZONES_H_ */
