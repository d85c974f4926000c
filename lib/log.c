#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
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
static atomic_bool as_json;
static atomic_int file = -1;

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

void log_set_json(bool json)
{
	atomic_store_explicit(&as_json, json, memory_order_relaxed);
}

/* The number of the descriptor stays the same when another file takes its place: a thread that is about to write never
 * finds it closed. */
int log_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	int old = atomic_load(&file);

	if (fd < 0) {
		return errno;
	}
	if (old < 0) {
		atomic_store(&file, fd);
		return 0;
	}
	if (dup3(fd, old, O_CLOEXEC) < 0) {
		int error = errno;

		close(fd);
		return error;
	}
	close(fd);
	return 0;
}

/* ---- lines ---- */

struct line {
	char text[LINE_MAX_BYTES + 1]; /* The last byte is for the line's end. */
	size_t len;
};

static void put_format(struct line *l, const char *format, va_list args)
{
	int n = vsnprintf(l->text + l->len, LINE_MAX_BYTES - l->len, format, args);

	if (n > 0) {
		l->len += (size_t)n < LINE_MAX_BYTES - l->len ? (size_t)n : LINE_MAX_BYTES - l->len - 1;
	}
}

static void __attribute__((format(printf, 2, 3))) put(struct line *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_format(l, format, args);
	va_end(args);
}

/* A text in a JSON string. Bytes above 127 pass as they are; what does not fit is cut, with room left for the end. */
static void put_json(struct line *l, const char *text)
{
	for (; *text != '\0' && l->len < LINE_MAX_BYTES - 8; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == '"' || c == '\\') {
			put(l, "\\u%04x", c);
		} else {
			l->text[l->len++] = (char)c;
		}
	}
}

static void put_time(struct line *l)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	l->len += strftime(l->text + l->len, LINE_MAX_BYTES - l->len, "%Y-%m-%dT%H:%M:%S", &tm);
	put(l, ".%03ldZ", now.tv_nsec / 1000000);
}

static void make_text(struct line *l, enum log_level level, const char *subsystem, const char *format, va_list args)
{
	put_time(l);
	put(l, " %s %s%s%s: ", tags[level], own_name, own_name[0] != '\0' ? " " : "", subsystem);
	put_format(l, format, args);
}

static void make_json(struct line *l, enum log_level level, const char *subsystem, const char *format, va_list args)
{
	struct line message;

	message.len = 0;
	put_format(&message, format, args);
	message.text[message.len] = '\0';
	put(l, "{\"@timestamp\":\"");
	put_time(l);
	put(l, "\",\"@level\":\"%s\",\"@module\":\"", names[level]);
	put_json(l, subsystem);
	put(l, "\",\"@message\":\"");
	put_json(l, message.text);
	put(l, "\"}");
}

/* A line goes out by one write(), so that lines of several threads do not mix. */
void log_write(enum log_level level, const char *subsystem, const char *format, ...)
{
	int fd = atomic_load_explicit(&file, memory_order_relaxed);
	struct line l;
	va_list args;

	if (level < log_get_level() || level >= LOG_OFF) {
		return;
	}
	l.len = 0;
	va_start(args, format);
	if (atomic_load_explicit(&as_json, memory_order_relaxed)) {
		make_json(&l, level, subsystem, format, args);
	} else {
		make_text(&l, level, subsystem, format, args);
	}
	va_end(args);
	l.text[l.len++] = '\n';
	if (fd >= 0 && write(fd, l.text, l.len) < 0) {
		fd = -1; /* It is on stderr at least. */
	}
	if (write(STDERR_FILENO, l.text, l.len) < 0) {
		return; /* Nobody reads the log: there is no better place to say so. */
	}
}
