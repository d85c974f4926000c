#include "cli/format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SHORT_ID = 8 };
#define NS_PER_SECOND INT64_C(1000000000)

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

const char *format_id(struct arena *mem, const char *id, bool whole)
{
	return whole || strlen(id) <= SHORT_ID ? id : or_empty(arena_strndup(mem, id, SHORT_ID));
}

const char *format_int(struct arena *mem, int64_t n)
{
	return or_empty(arena_printf(mem, "%lld", (long long)n));
}

const char *format_bool(bool yes)
{
	return yes ? "true" : "false";
}

const char *format_time(struct arena *mem, int64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / NS_PER_SECOND);
	struct tm tm;
	char text[40];
	size_t n;

	if (unix_ns == 0 || localtime_r(&seconds, &tm) == NULL) {
		return "N/A";
	}
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm);
	if (n < 5) {
		return "N/A";
	}
	if (strcmp(text + n - 5, "+0000") == 0) {
		strcpy(text + n - 5, "Z");
	} else {
		memmove(text + n - 1, text + n - 2, 3); /* +0100 becomes +01:00. */
		text[n - 2] = ':';
	}
	return or_empty(arena_strdup(mem, text));
}

const char *format_ago(struct arena *mem, int64_t unix_ns, int64_t now_ns)
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = {{86400 * 365, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	enum { N = sizeof(units) / sizeof(units[0]) };
	int64_t seconds = (now_ns - unix_ns) / NS_PER_SECOND;
	size_t i = 0;

	if (unix_ns == 0) {
		return "N/A";
	}
	if (seconds < 0) {
		seconds = 0; /* The other machine's clock is ahead of ours. */
	}
	while (i < N - 1 && seconds < units[i].seconds) {
		i++;
	}
	if (i == N - 1) {
		return or_empty(arena_printf(mem, "%llds ago", (long long)seconds));
	}
	return or_empty(arena_printf(mem, "%lld%c%lld%c ago", (long long)(seconds / units[i].seconds), units[i].unit,
				     (long long)(seconds % units[i].seconds / units[i + 1].seconds),
				     units[i + 1].unit));
}

const char *format_clean(struct arena *mem, const char *text)
{
	char *copy = arena_strdup(mem, text);
	char *c;

	for (c = copy; c != NULL && *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			*c = '?';
		}
	}
	return or_empty(copy);
}

int64_t format_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}
