#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, NAME_MAX_BYTES = 32 };

static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};
static const char *const tags[] = {"[TRACE]", "[DEBUG]", "[INFO] ", "[WARN] ", "[ERROR]"};
static atomic_int level_now = LOG_INFO;

struct log_tap {
	struct log_tap *next;
	enum log_level level;
	bool json;
	struct buf lines;
	uint64_t dropped;
};

static pthread_mutex_t taps_lock = PTHREAD_MUTEX_INITIALIZER; /* Of the taps; held for copying a line, no longer. */
static struct log_tap *taps;
static atomic_int taps_level = LOG_OFF; /* The least of all taps. */
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

static void __attribute__((format(printf, 5, 0))) make(struct line *l, bool json, enum log_level level,
						       const char *subsystem, const char *format, va_list args)
{
	l->len = 0;
	if (json) {
		make_json(l, level, subsystem, format, args);
	} else {
		make_text(l, level, subsystem, format, args);
	}
	l->text[l->len++] = '\n';
}

/* ---- taps ---- */

static void find_taps_level(void)
{
	int least = LOG_OFF;

	for (const struct log_tap *t = taps; t != NULL; t = t->next) {
		least = (int)t->level < least ? (int)t->level : least;
	}
	atomic_store_explicit(&taps_level, least, memory_order_relaxed);
}

struct log_tap *log_tap_open(enum log_level level, bool json)
{
	struct log_tap *tap = calloc(1, sizeof(*tap));

	if (tap != NULL) {
		tap->level = level;
		tap->json = json;
		pthread_mutex_lock(&taps_lock);
		tap->next = taps;
		taps = tap;
		find_taps_level();
		pthread_mutex_unlock(&taps_lock);
	}
	return tap;
}

void log_tap_close(struct log_tap *tap)
{
	struct log_tap **at = &taps;

	if (tap == NULL) {
		return;
	}
	pthread_mutex_lock(&taps_lock);
	while (*at != tap) {
		at = &(*at)->next;
	}
	*at = tap->next;
	find_taps_level();
	pthread_mutex_unlock(&taps_lock);
	buf_close(&tap->lines);
	free(tap);
}

uint64_t log_tap_take(struct log_tap *tap, struct buf *out)
{
	uint64_t dropped;

	pthread_mutex_lock(&taps_lock);
	buf_put(out, tap->lines.at, tap->lines.len);
	tap->lines.len = 0;
	dropped = tap->dropped;
	tap->dropped = 0;
	pthread_mutex_unlock(&taps_lock);
	return dropped;
}

static void give(struct log_tap *tap, const struct line *l)
{
	if (tap->lines.len + l->len > LOG_TAP_BYTES) {
		tap->dropped++;
		return;
	}
	buf_put(&tap->lines, l->text, l->len);
	if (tap->lines.failed) {
		tap->lines.failed = false;
		tap->dropped++;
	}
}

static void __attribute__((format(printf, 3, 0))) give_taps(enum log_level level, const char *subsystem,
							    const char *format, va_list args)
{
	struct line lines[2]; /* As text, and as JSON; made when somebody wants it. */
	bool made[2] = {false, false};
	va_list again;

	pthread_mutex_lock(&taps_lock);
	for (struct log_tap *t = taps; t != NULL; t = t->next) {
		if (t->level > level) {
			continue;
		}
		if (!made[t->json]) {
			made[t->json] = true;
			va_copy(again, args);
			make(&lines[t->json], t->json, level, subsystem, format, again);
			va_end(again);
		}
		give(t, &lines[t->json]);
	}
	pthread_mutex_unlock(&taps_lock);
}

bool log_wants(enum log_level level)
{
	return level >= log_get_level() || (int)level >= atomic_load_explicit(&taps_level, memory_order_relaxed);
}

/* A line goes out by one write(), so that lines of several threads do not mix. */
void log_write(enum log_level level, const char *subsystem, const char *format, ...)
{
	int fd = atomic_load_explicit(&file, memory_order_relaxed);
	struct line l;
	va_list args;

	if (level >= LOG_OFF || !log_wants(level)) {
		return;
	}
	va_start(args, format);
	if ((int)level >= atomic_load_explicit(&taps_level, memory_order_relaxed)) {
		va_list again;

		va_copy(again, args);
		give_taps(level, subsystem, format, again);
		va_end(again);
	}
	if (level < log_get_level()) {
		va_end(args);
		return;
	}
	make(&l, atomic_load_explicit(&as_json, memory_order_relaxed), level, subsystem, format, args);
	va_end(args);
	if (fd >= 0 && write(fd, l.text, l.len) < 0) {
		fd = -1; /* It is on stderr at least. */
	}
	if (write(STDERR_FILENO, l.text, l.len) < 0) {
		return; /* Nobody reads the log: there is no better place to say so. */
	}
}
