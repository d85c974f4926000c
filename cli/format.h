/** Values as people read them. Results are in the arena; "" when memory is exhausted. */
#ifndef CLI_FORMAT_H_
#define CLI_FORMAT_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"

/* The first eight characters of an ID, or all of it. */
const char *format_id(struct arena *mem, const char *id, bool whole);

const char *format_int(struct arena *mem, int64_t n);
const char *format_bool(bool yes);

/* "2026-11-22T08:15:30Z" in local time with its offset; "N/A" for 0. */
const char *format_time(struct arena *mem, int64_t unix_ns);

/* "5m3s ago"; "N/A" for 0. */
const char *format_ago(struct arena *mem, int64_t unix_ns, int64_t now_ns);

/* Control characters shown as "?": what comes from a server must not command the terminal. */
const char *format_clean(struct arena *mem, const char *text);

/* The time now, in nanoseconds since 1970. */
int64_t format_now(void);

#endif /* CLI_FORMAT_H_ */
