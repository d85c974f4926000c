#include "lib/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, NAME_MAX_BYTES = 32 };

static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};
static const char *const tags[] = {"[TRACE]", "[DEBUG]", "[INFO] ", "[WARN] ", "[ERROR]"};
static atomic_int level_now = LOG_INFO;
static char own_name[NAME_MAX_BYTES];

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&level_now, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *level)
{
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(text, names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_name(const char *name)
{
	snprintf(own_name, sizeof(own_name), "%s", name);
}

/* A line goes out by one write(), so that lines of several threads do not mix. */
void log_write(enum log_level level, const char *subsystem, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	struct timespec now;
	struct tm tm;
	va_list args;
	size_t n;
	int more;

	if (level < log_get_level() || level >= LOG_OFF) {
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	more = snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %s%s%s: ", now.tv_nsec / 1000000, tags[level], own_name,
	                own_name[0] != '\0' ? " " : "", subsystem);
	n += (size_t)more;
	va_start(args, format);
	more = vsnprintf(line + n, sizeof(line) - n, format, args);
	va_end(args);
	n = more < 0 || n + (size_t)more >= sizeof(line) - 1 ? sizeof(line) - 2 : n + (size_t)more;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0) {
		return; /* Nobody reads the log: there is no better place to say so. */
	}
}
