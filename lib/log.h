/**
 * The program's log: lines on stderr, and in a file if one is open, each with time, level and subsystem.
 *
 *     2026-11-22T08:15:30.123Z [INFO]  raft: leader is s2
 *     {"@timestamp":"2026-11-22T08:15:30.123Z","@level":"info","@module":"raft","@message":"leader is s2"}
 *
 * Callable from any thread. The code that can decide logs; all below it only returns.
 */
#ifndef LIB_LOG_H_
#define LIB_LOG_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Lines below this level are dropped. The default is LOG_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "trace", "debug", "info", "warn", "error", "off", in any case; false if unknown. */
bool log_level_parse(const char *text, enum log_level *level);

/* A name put before the subsystem of each line, for several agents in one terminal; copied, cut at 31 bytes. */
void log_set_name(const char *name);

/* Lines are JSON objects from now on, or text. */
void log_set_json(bool json);

/* Lines go to this file as well, from now on: it is made if it is missing, and written behind what it has. A file that
 * was open before is closed, so the same path again is how a file that was moved away is followed. 0 or an errno: then
 * all is as before. One thread at a time. */
int log_open(const char *path);

/* ---- listening ---- */

/* Gets a copy of each line from now on, of its own level and form, whatever the log itself has. What is not taken out in
 * time is dropped, and counted. For any thread; each tap for one. */
struct log_tap;

enum { LOG_TAP_BYTES = 256 << 10 };

/* NULL when memory is exhausted. */
struct log_tap *log_tap_open(enum log_level level, bool json);
void log_tap_close(struct log_tap *tap); /* NULL is harmless. */

/* Take out what there is: lines, each with its end. Returns how many were dropped since the last time, behind these. */
uint64_t log_tap_take(struct log_tap *tap, struct buf *out);

/* Whether anybody wants lines of this level: the log itself or a tap. */
bool log_wants(enum log_level level);

void log_write(enum log_level level, const char *subsystem, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#define log_error(subsystem, ...) log_write(LOG_ERROR, subsystem, __VA_ARGS__)
#define log_warn(subsystem, ...) log_write(LOG_WARN, subsystem, __VA_ARGS__)
#define log_info(subsystem, ...) log_write(LOG_INFO, subsystem, __VA_ARGS__)
#define log_debug(subsystem, ...)                                   \
	do {                                                        \
		if (log_wants(LOG_DEBUG)) {                         \
			log_write(LOG_DEBUG, subsystem, __VA_ARGS__); \
		}                                                   \
	} while (0)

#endif /* LIB_LOG_H_ */
