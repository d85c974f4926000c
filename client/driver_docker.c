/**
 * docker: a container of a Docker engine, reached over its socket.
 *
 * Each task has a thread, which waits for the engine where the loop may not: it pulls, creates and starts, then carries
 * the container's output into the task's rotated files until the container has ended, and asks how. What it finds it
 * publishes in the task and wakes the loop; `stage` says how much of that is there. Short questions (signals, use) go
 * to libuv's threads.
 *
 * A container does not end with the agent. The engine keeps its output meanwhile: the next agent goes on behind the
 * last line that was written, whose time is kept in a file beside the record.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/docker_command.h"
#include "client/docker_config.h"
#include "client/docker_engine.h"
#include "client/executor/logs.h"
#include "lib/bell.h"
#include "lib/timefmt.h"
#include "proto/error.h"

enum {
	SHORT_S = 30,      /* For answers that the engine has at hand. */
	START_S = 120,
	PROBE_S = 2,
	RETRY_MS = 500,    /* While the engine does not answer. */
	RECORD_VERSION = 1,
	ID_TEXT = 65,      /* 64 hex digits. */
	LINE_TIME = 40,
	CREATE_TRIES = 60, /* While one of that name is being removed. */
	CREATE_PAUSE_MS = 250,
	CATCH_UP_TRIES = 8,
	FRAME_HEAD = 8,
	PIECE = 4096,      /* No more than a pipe takes at once. */
};

enum stage { STAGE_NONE, STAGE_READY, STAGE_STARTED, STAGE_FAILED, STAGE_ENDED, STAGE_LEFT };
enum want { WANT_RUN, WANT_DETACH, WANT_DESTROY };

/* Of a stream of the engine's: frames with a head of 8 bytes, in each a time, a space, and output. */
struct demux {
	uint8_t head[FRAME_HEAD];
	uint32_t head_n;
	uint32_t left; /* Of the frame. */
	bool in_time;
	char time[LINE_TIME];
	uint32_t time_n;
};

struct output {
	struct logs logs;
	int to; /* The pipe's end to write to; -1: none. */
};

struct docker_task {
	struct driver_task base;
	uv_thread_t thread;
	struct bell wake;
	uv_timer_t kill_timer;
	unsigned handles;  /* Of the loop's, that are not closed yet. */
	unsigned works;    /* Under way on libuv's threads. */
	bool joined;
	bool dead;
	bool told_pull, told_ready, told_start;
	bool kill_asked;
	int kill_signal;
	int64_t kill_timeout_ns;

	/* Written before the thread begins. */
	struct arena mem;
	const char *socket;
	const char *image, *name, *body, *auth; /* body NULL: the container is there. */
	const char *state_dir, *log_dir, *stdout_name, *stderr_name;
	int64_t log_max_files, log_max_file_bytes;
	bool log_disabled, pull, pull_soft, tty;
	long pull_s; /* How long getting the image may take. */
	bool refused; /* `error` says why it cannot be started. */
	bool keep;    /* An ended container stays. */

	struct engine_stop stop;
	uv_sem_t told; /* Posted when it is told to go, or let go of. */
	atomic_int want;
	/* By the thread, published with `stage`. */
	atomic_int stage;
	atomic_bool pulls; /* The image is being got. */
	char id[ID_TEXT];
	int32_t pid;
	struct driver_error error;
	struct driver_exit exit;

	/* The thread's own. */
	struct demux demux;
	struct output out, err;
	char last_time[LINE_TIME];
	int since_file;
};

/* ---- what the engine answers ---- */

#define DOCKER_STATE_FIELDS(X, T)             \
	X(T, BOOL, running, "Running")        \
	X(T, STR, status, "Status")           \
	X(T, BOOL, oom_killed, "OOMKilled")   \
	X(T, INT, pid, "Pid")                 \
	X(T, INT, exit_code, "ExitCode")      \
	X(T, STR, error, "Error")             \
	X(T, STR, finished_at, "FinishedAt")
#define DOCKER_LABELS_FIELDS(X, T) X(T, MAP, labels, "Labels")
#define DOCKER_CONTAINER_FIELDS(X, T)           \
	X(T, STR, id, "Id")                     \
	X(T, OBJ(docker_state), state, "State") \
	X(T, OBJ(docker_labels), config, "Config")
#define DOCKER_VERSION_FIELDS(X, T) X(T, STR, version, "Version")
#define DOCKER_PULL_FIELDS(X, T) X(T, STR, error, "error")
#define DOCKER_CPU_USAGE_FIELDS(X, T)               \
	X(T, INT, user_ns, "usage_in_usermode")     \
	X(T, INT, system_ns, "usage_in_kernelmode")
#define DOCKER_CPU_FIELDS(X, T) X(T, OBJ(docker_cpu_usage), usage, "cpu_usage")
#define DOCKER_MEMORY_PARTS_FIELDS(X, T) \
	X(T, INT, rss, "rss")            \
	X(T, INT, anon, "anon")          \
	X(T, INT, cache, "cache")        \
	X(T, INT, file, "file")          \
	X(T, INT, swap, "swap")
#define DOCKER_MEMORY_FIELDS(X, T) X(T, OBJ(docker_memory_parts), parts, "stats")
#define DOCKER_PIDS_FIELDS(X, T) X(T, INT, current, "current")
#define DOCKER_STATS_FIELDS(X, T)                        \
	X(T, OBJ(docker_cpu), cpu, "cpu_stats")          \
	X(T, OBJ(docker_memory), memory, "memory_stats") \
	X(T, OBJ(docker_pids), pids, "pids_stats")

#define DOCKER_RECORD_FIELDS(X, T)              \
	X(T, INT, version, "Version")           \
	X(T, STR, id, "ID")                     \
	X(T, STR, state_dir, "StateDir")        \
	X(T, STR, log_dir, "LogDir")            \
	X(T, STR, stdout_name, "Stdout")        \
	X(T, STR, stderr_name, "Stderr")        \
	X(T, INT, log_max_files, "MaxFiles")    \
	X(T, INT, log_max_file_bytes, "MaxFileBytes") \
	X(T, BOOL, log_disabled, "LogDisabled") \
	X(T, BOOL, tty, "TTY")

OBJECT_DECLARE(docker_state, DOCKER_STATE_FIELDS);
OBJECT_DECLARE(docker_labels, DOCKER_LABELS_FIELDS);
OBJECT_DECLARE(docker_container, DOCKER_CONTAINER_FIELDS);
OBJECT_DECLARE(docker_version, DOCKER_VERSION_FIELDS);
OBJECT_DECLARE(docker_pull, DOCKER_PULL_FIELDS);
OBJECT_DECLARE(docker_cpu_usage, DOCKER_CPU_USAGE_FIELDS);
OBJECT_DECLARE(docker_cpu, DOCKER_CPU_FIELDS);
OBJECT_DECLARE(docker_memory_parts, DOCKER_MEMORY_PARTS_FIELDS);
OBJECT_DECLARE(docker_memory, DOCKER_MEMORY_FIELDS);
OBJECT_DECLARE(docker_pids, DOCKER_PIDS_FIELDS);
OBJECT_DECLARE(docker_stats, DOCKER_STATS_FIELDS);
OBJECT_DECLARE(docker_record, DOCKER_RECORD_FIELDS);
OBJECT_DEFINE(docker_state, DOCKER_STATE_FIELDS);
OBJECT_DEFINE(docker_labels, DOCKER_LABELS_FIELDS);
OBJECT_DEFINE(docker_container, DOCKER_CONTAINER_FIELDS);
OBJECT_DEFINE(docker_version, DOCKER_VERSION_FIELDS);
OBJECT_DEFINE(docker_pull, DOCKER_PULL_FIELDS);
OBJECT_DEFINE(docker_cpu_usage, DOCKER_CPU_USAGE_FIELDS);
OBJECT_DEFINE(docker_cpu, DOCKER_CPU_FIELDS);
OBJECT_DEFINE(docker_memory_parts, DOCKER_MEMORY_PARTS_FIELDS);
OBJECT_DEFINE(docker_memory, DOCKER_MEMORY_FIELDS);
OBJECT_DEFINE(docker_pids, DOCKER_PIDS_FIELDS);
OBJECT_DEFINE(docker_stats, DOCKER_STATS_FIELDS);
OBJECT_DEFINE(docker_record, DOCKER_RECORD_FIELDS);

static struct docker_task *task_of(const struct driver_task *base)
{
	return (struct docker_task *)CONTAINER_OF(base, struct docker_task, base);
}

static bool is_id(const char *id)
{
	return strlen(id) == ID_TEXT - 1 && strspn(id, "0123456789abcdef") == ID_TEXT - 1;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_ms(int ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* "2026-01-02T03:04:05.123456789Z" as seconds and nanoseconds of Unix time; false if it is none. */
static bool parse_time(const char *text, int64_t *seconds, int64_t *ns)
{
	struct tm tm = {0};
	const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t unit = 100000000;

	if (at == NULL || tm.tm_year < 70) {
		return false;
	}
	*seconds = (int64_t)timegm(&tm);
	*ns = 0;
	for (at += *at == '.'; *at >= '0' && *at <= '9' && unit > 0; at++, unit /= 10) {
		*ns += (*at - '0') * unit;
	}
	return true;
}

/* ---- the thread: calls ---- */

static bool is_wanted(const struct docker_task *t)
{
	return atomic_load(&t->want) == WANT_RUN;
}

/* Only what may take long can be given up: of a container that was just made we must know. */
static int call(struct docker_task *t, const char *method, long timeout_s, struct buf *reply, char why[ENGINE_WHY],
		const char *format, ...) __attribute__((format(printf, 6, 7)));

static int call(struct docker_task *t, const char *method, long timeout_s, struct buf *reply, char why[ENGINE_WHY],
		const char *format, ...)
{
	char path[1024];
	struct engine_call c = {.socket = t->socket, .method = method, .path = path, .timeout_s = timeout_s};
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	return engine_call(&c, reply, why);
}

static int fail(struct docker_task *t, bool recoverable, const char *what, const char *why)
{
	driver_fault(&t->error, "%s: %s", what, why);
	t->error.recoverable = recoverable;
	return ERR_IO;
}

static void remove_container(struct docker_task *t)
{
	struct engine_call c = {.socket = t->socket, .method = "DELETE", .timeout_s = SHORT_S};
	char why[ENGINE_WHY];
	char path[128];

	if (t->id[0] != '\0') {
		snprintf(path, sizeof(path), "/containers/%s?force=1&v=1", t->id);
		c.path = path;
		engine_call(&c, NULL, why);
	}
}

/* ---- the thread: the image ---- */

/* The last line of a pull's progress says what went wrong, while the status was good. */
static bool pull_failed(const struct buf *reply, char why[ENGINE_WHY])
{
	size_t n = reply->len;
	struct docker_pull p;
	struct arena mem = {0};
	char *line;
	bool failed;

	while (n > 0 && (reply->at[n - 1] == '\n' || reply->at[n - 1] == '\r')) {
		reply->at[--n] = '\0';
	}
	line = n == 0 ? NULL : memrchr(reply->at, '\n', n);
	line = line == NULL ? reply->at : line + 1;
	failed = n > 0 && json_decode(&docker_pull_type, &p, line, (size_t)(reply->at + n - line), &mem, NULL) == 0 &&
		 p.error[0] != '\0';
	if (failed) {
		snprintf(why, ENGINE_WHY, "%s", p.error);
	}
	arena_close(&mem);
	return failed;
}

static bool pull_image(struct docker_task *t, const char *auth, char why[ENGINE_WHY])
{
	bool tagged = strchr(t->image, '@') != NULL || !docker_image_is_latest(t->image) ||
		      strstr(t->image, ":latest") != NULL;
	struct engine_call c = {
		.socket = t->socket, .method = "POST", .auth = auth, .timeout_s = t->pull_s, .stop = &t->stop};
	struct buf reply = {0};
	char path[1024];
	bool ok;

	snprintf(path, sizeof(path), "/images/create?fromImage=%s%s", t->image, tagged ? "" : "&tag=latest");
	c.path = path;
	ok = engine_call(&c, &reply, why) == 200 && !pull_failed(&reply, why);
	buf_close(&reply);
	return ok;
}

static int get_image(struct docker_task *t)
{
	char why[ENGINE_WHY];
	char text[ENGINE_WHY];
	int status = call(t, "GET", SHORT_S, NULL, why, "/images/%s/json", t->image);
	bool there = status == 200;

	if (status < 0) {
		return fail(t, true, "Failed to connect to docker daemon", why);
	}
	if (there && !t->pull) {
		return 0;
	}
	atomic_store(&t->pulls, true);
	bell_ring(&t->wake);
	if (pull_image(t, t->auth, why) || (t->pull_soft && t->auth != NULL && pull_image(t, NULL, why))) {
		return 0;
	}
	/* One that was built here and is in no registry. */
	if (there) {
		return 0;
	}
	snprintf(text, sizeof(text), "Failed to pull `%.200s`", t->image);
	return fail(t, true, text, why);
}

/* ---- the thread: the container ---- */

/* Decode the container; the status, or -1. */
static int inspect(struct docker_task *t, const char *name, struct docker_container *out, struct arena *mem,
		   char why[ENGINE_WHY])
{
	struct buf reply = {0};
	int status = call(t, "GET", SHORT_S, &reply, why, "/containers/%s/json", name);
	struct fault fault;
	const char *text;

	if (status == 200) {
		text = arena_strndup(mem, buf_text(&reply), reply.len);
		if (text == NULL || json_decode(&docker_container_type, out, text, reply.len, mem, &fault) != 0 ||
		    out->state == NULL || !is_id(out->id)) {
			snprintf(why, ENGINE_WHY, "the engine's answer cannot be read");
			status = -1;
		}
	}
	buf_close(&reply);
	return status;
}

/* A container of our name that an earlier run of this task has left. */
static void remove_leftover(struct docker_task *t)
{
	struct docker_container c;
	struct arena mem = {0};
	char why[ENGINE_WHY];
	uint32_t i;

	if (inspect(t, t->name, &c, &mem, why) == 200 && c.config != NULL) {
		for (i = 0; i < c.config->labels.n; i++) {
			if (strcmp(c.config->labels.at[i].key, "com.hashicorp.nomad.alloc_id") == 0) {
				call(t, "DELETE", SHORT_S, NULL, why, "/containers/%s?force=1&v=1", c.id);
			}
		}
	}
	arena_close(&mem);
}

static int create(struct docker_task *t)
{
	struct engine_call c = {.socket = t->socket, .method = "POST", .body = t->body, .timeout_s = START_S};
	struct docker_container made;
	struct arena mem = {0};
	struct buf reply = {0};
	char why[ENGINE_WHY] = "";
	char path[512];
	int status = 409;
	int i;

	snprintf(path, sizeof(path), "/containers/create?name=%s", t->name);
	c.path = path;
	for (i = 0; i < CREATE_TRIES && status == 409 && is_wanted(t); i++) {
		status = engine_call(&c, &reply, why);
		if (status == 409 && is_wanted(t)) {
			remove_leftover(t);
			pause_ms(CREATE_PAUSE_MS);
		}
	}
	if (status == 201 && json_decode(&docker_container_type, &made, buf_text(&reply), reply.len, &mem, NULL) == 0 &&
	    is_id(made.id)) {
		memcpy(t->id, made.id, sizeof(t->id));
	}
	buf_close(&reply);
	arena_close(&mem);
	return t->id[0] != '\0' ? 0 : fail(t, status < 0 || status >= 500, "Failed to create container", why);
}

static int start_container(struct docker_task *t)
{
	char why[ENGINE_WHY];
	int status;

	status = call(t, "POST", START_S, NULL, why, "/containers/%s/start", t->id);
	if (status != 204 && status != 304) {
		remove_container(t);
		t->id[0] = '\0';
		return fail(t, status < 0 || status >= 500, "Failed to start container", why);
	}
	return 0;
}

/* ---- the thread: output ---- */

static void write_output(struct docker_task *t, struct output *o, const char *data, size_t n)
{
	enum logs_state s;
	ssize_t put;

	while (n > 0 && o->to >= 0) {
		put = write(o->to, data, n < PIECE ? n : PIECE);
		if (put <= 0) {
			return;
		}
		data += put;
		n -= (size_t)put;
		do {
			s = logs_pump(&o->logs, clock_ns(CLOCK_MONOTONIC));
			if (s == LOGS_BLOCKED) {
				pause_ms(50);
			}
		} while (s == LOGS_MORE || (s == LOGS_BLOCKED && is_wanted(t)));
	}
}

/* Behind each frame, so that the next agent does not write it again. */
static void keep_time(struct docker_task *t)
{
	memset(t->last_time, 0, sizeof(t->last_time));
	memcpy(t->last_time, t->demux.time, t->demux.time_n);
	if (t->since_file >= 0 &&
	    pwrite(t->since_file, t->last_time, sizeof(t->last_time), 0) != (ssize_t)sizeof(t->last_time)) {
		/* Lines may come twice then. */
	}
}

static void begin_frame(struct demux *d)
{
	d->left = (uint32_t)d->head[4] << 24 | (uint32_t)d->head[5] << 16 | (uint32_t)d->head[6] << 8 | d->head[7];
	d->in_time = true;
	d->time_n = 0;
	d->head_n = 0;
}

static size_t take_head(struct demux *d, const char *data, size_t n)
{
	size_t take = FRAME_HEAD - d->head_n;

	take = take < n ? take : n;
	memcpy(d->head + d->head_n, data, take);
	d->head_n += (uint32_t)take;
	if (d->head_n == FRAME_HEAD) {
		begin_frame(d);
	}
	return take;
}

/* The time that goes up to the first space; what it takes. */
static size_t take_time(struct demux *d, const char *data, size_t n)
{
	size_t at = 0;

	for (; d->in_time && at < n; at++) {
		d->in_time = data[at] != ' ';
		if (d->in_time && d->time_n + 1 < LINE_TIME) {
			d->time[d->time_n++] = data[at];
		}
	}
	return at;
}

/* Of a terminal there are no frames, but lines, each with its time. */
static size_t take_line(struct docker_task *t, const char *data, size_t n)
{
	struct demux *d = &t->demux;
	size_t at = take_time(d, data, n);
	const char *end = d->in_time ? NULL : memchr(data + at, '\n', n - at);
	size_t take = end != NULL ? (size_t)(end + 1 - data) : n;

	if (!d->in_time) {
		write_output(t, &t->out, data + at, take - at);
	}
	if (end != NULL) {
		keep_time(t);
		d->in_time = true;
		d->time_n = 0;
	}
	return take;
}

/* Of a frame's data: its time, then output. */
static size_t take_data(struct docker_task *t, const char *data, size_t n)
{
	struct demux *d = &t->demux;
	size_t take = d->left < n ? d->left : n;
	size_t at = take_time(d, data, take);

	if (!d->in_time) {
		write_output(t, d->head[0] == 2 ? &t->err : &t->out, data + at, take - at);
	}
	d->left -= (uint32_t)take;
	if (d->left == 0) {
		keep_time(t);
	}
	return take;
}

static bool sink_cb(void *ctx, const char *data, size_t n)
{
	struct docker_task *t = ctx;
	size_t took;

	while (n > 0) {
		took = t->tty		   ? take_line(t, data, n)
		       : t->demux.left > 0 ? take_data(t, data, n)
					   : take_head(&t->demux, data, n);
		data += took;
		n -= took;
	}
	return is_wanted(t);
}

static void open_output(struct docker_task *t, struct output *o, int dir, const char *name)
{
	int ends[2];

	o->to = -1;
	o->logs.from = o->logs.file = -1;
	if (dir < 0 || logs_open(&o->logs, dir, name, t->log_max_files, t->log_max_file_bytes) != 0) {
		return;
	}
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
		o->logs.from = ends[0];
		o->to = ends[1];
	}
}

static void close_output(struct output *o)
{
	if (o->to >= 0) {
		close(o->to);
		logs_drain(&o->logs, clock_ns(CLOCK_MONOTONIC));
	}
	logs_close(&o->logs);
}

static void open_since(struct docker_task *t)
{
	char path[PATH_MAX];

	t->since_file = -1;
	if (snprintf(path, sizeof(path), "%s/%.16s.docker", t->state_dir, t->id) < (int)sizeof(path)) {
		t->since_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (t->since_file >= 0 && pread(t->since_file, t->last_time, sizeof(t->last_time) - 1, 0) <= 0) {
		t->last_time[0] = '\0';
	}
}

/* Write what the engine has kept of the output since the last of it; `follow` until it has no more to say. */
static void read_output(struct docker_task *t, bool follow)
{
	struct engine_call c = {.socket = t->socket, .method = "GET", .stop = &t->stop, .sink = sink_cb, .ctx = t};
	char path[256];
	char why[ENGINE_WHY];
	int64_t seconds;
	int64_t ns;

	c.timeout_s = follow ? 0 : START_S;
	t->demux = (struct demux){.in_time = t->tty};
	snprintf(path, sizeof(path), "/containers/%s/logs?follow=%d&stdout=1&stderr=1&timestamps=1", t->id, follow);
	if (parse_time(t->last_time, &seconds, &ns)) {
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&since=%lld.%09lld",
			 (long long)(ns == 999999999 ? seconds + 1 : seconds), (long long)((ns + 1) % 1000000000));
	}
	c.path = path;
	engine_call(&c, NULL, why);
}

/* Follow the container's output, or without output only its end. */
static void follow(struct docker_task *t)
{
	struct engine_call c = {.socket = t->socket, .method = "POST", .stop = &t->stop};
	char path[256];
	char why[ENGINE_WHY];

	if (!t->log_disabled) {
		read_output(t, true);
		return;
	}
	snprintf(path, sizeof(path), "/containers/%s/wait", t->id);
	c.path = path;
	engine_call(&c, NULL, why);
}

/* An engine under load lets go of who follows before it has told the last of an ended container's output. */
static void catch_up(struct docker_task *t)
{
	char before[LINE_TIME];
	unsigned i;

	for (i = 0; i < CATCH_UP_TRIES && is_wanted(t); i++) {
		memcpy(before, t->last_time, sizeof(before));
		read_output(t, false);
		if (memcmp(before, t->last_time, sizeof(before)) == 0) {
			return;
		}
	}
}

/* ---- the thread: the end ---- */

static void tell_lost(struct docker_task *t, const char *why)
{
	t->exit = (struct driver_exit){.finished_ns = clock_ns(CLOCK_REALTIME)};
	snprintf(t->exit.error, sizeof(t->exit.error), "the container is gone: %s", why);
}

/* 0; ERR_BUSY while it runs. */
static int read_end(struct docker_task *t, const struct docker_state *s)
{
	bool by_signal = s->exit_code > 128 && s->exit_code < 128 + 65;
	int64_t seconds;
	int64_t ns;

	if (s->running || strcmp(s->status, "created") == 0 || strcmp(s->status, "restarting") == 0) {
		return ERR_BUSY;
	}
	t->exit = (struct driver_exit){.code = (int)s->exit_code,
				       .signal = by_signal ? (int)s->exit_code - 128 : 0,
				       .oom_killed = s->oom_killed,
				       .finished_ns = clock_ns(CLOCK_REALTIME)};
	if (parse_time(s->finished_at, &seconds, &ns)) {
		t->exit.finished_ns = seconds * 1000000000 + ns;
	}
	if (s->exit_code != 0) {
		snprintf(t->exit.error, sizeof(t->exit.error),
			 s->oom_killed ? "OOM Killed" : "Docker container exited with non-zero exit code: %lld",
			 (long long)s->exit_code);
	}
	return 0;
}

/* Whether it has ended, and how. An engine that does not answer is waited for: the container may well run. */
static bool has_ended(struct docker_task *t, int32_t *pid)
{
	struct docker_container c;
	struct arena mem = {0};
	char why[ENGINE_WHY];
	int status = inspect(t, t->id, &c, &mem, why);
	bool ended = false;

	if (status == 404) {
		tell_lost(t, why);
		ended = true;
	} else if (status == 200) {
		*pid = (int32_t)c.state->pid;
		ended = read_end(t, c.state) == 0;
	}
	arena_close(&mem);
	return ended;
}

static void publish(struct docker_task *t, enum stage stage)
{
	atomic_store(&t->stage, stage);
	bell_ring(&t->wake);
}

/* Whether it is still to be started when the loop has had its word. */
static bool await_go(struct docker_task *t)
{
	if (t->base.events.ready_cb != NULL) {
		publish(t, STAGE_READY);
		uv_sem_wait(&t->told);
	}
	return is_wanted(t);
}

static int make_container(struct docker_task *t)
{
	int rv = get_image(t);

	if (rv == 0) {
		rv = create(t);
	}
	if (rv != 0) {
		return rv;
	}
	return await_go(t) ? start_container(t) : ERR_CLOSED;
}

/* One that an agent wrote down and could not start any more is started now. */
static int adopt_container(struct docker_task *t)
{
	struct docker_container c;
	struct arena mem = {0};
	char why[ENGINE_WHY];
	bool waits = inspect(t, t->id, &c, &mem, why) == 200 && c.state != NULL &&
		     strcmp(c.state->status, "created") == 0;

	arena_close(&mem);
	return waits ? start_container(t) : 0;
}

static void carry(struct docker_task *t)
{
	int dir = t->log_disabled ? -1 : open(t->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ended = false;
	int32_t pid;

	open_output(t, &t->out, dir, t->stdout_name);
	open_output(t, &t->err, dir, t->stderr_name);
	open_since(t);
	while (!ended && is_wanted(t)) {
		follow(t);
		ended = is_wanted(t) && has_ended(t, &pid);
		if (!ended && is_wanted(t)) {
			pause_ms(RETRY_MS);
		}
	}
	if (ended && !t->log_disabled) {
		catch_up(t);
	}
	close_output(&t->out);
	close_output(&t->err);
	if (dir >= 0) {
		close(dir);
	}
	if (t->since_file >= 0) {
		close(t->since_file);
	}
}

static void thread_cb(void *ctx)
{
	struct docker_task *t = ctx;

	if (t->refused || (t->body != NULL ? make_container(t) : adopt_container(t)) != 0) {
		publish(t, STAGE_FAILED);
		return;
	}
	(void)has_ended(t, &t->pid);
	publish(t, STAGE_STARTED);
	carry(t);
	publish(t, is_wanted(t) ? STAGE_ENDED : STAGE_LEFT);
}

/* ---- the loop: making and freeing ---- */

static void free_if_over(struct docker_task *t)
{
	struct driver_host *host = t->base.host;

	if (t->handles == 0 && t->works == 0) {
		uv_sem_destroy(&t->told);
		arena_close(&t->mem);
		free(t);
		driver_host_left(host);
	}
}

static void handle_closed(uv_handle_t *handle)
{
	struct docker_task *t = handle->data;

	t->handles--;
	free_if_over(t);
}

static void bell_closed(struct bell *wake)
{
	struct docker_task *t = wake->data;

	t->handles--;
	free_if_over(t);
}

/* Before run_task(). */
static void free_unborn(struct docker_task *t)
{
	if (t != NULL) {
		uv_sem_destroy(&t->told);
		arena_close(&t->mem);
		free(t);
	}
}

static struct docker_task *make_task(struct driver_host *host, const struct driver_events *events, void *ctx)
{
	struct docker_task *t = calloc(1, sizeof(*t));

	if (t != NULL && uv_sem_init(&t->told, 0) != 0) {
		free(t);
		t = NULL;
	}
	if (t != NULL) {
		t->base = (struct driver_task){.driver = &driver_docker, .host = host, .events = *events, .ctx = ctx};
		t->since_file = -1;
		engine_stop_init(&t->stop);
		atomic_init(&t->want, WANT_RUN);
		atomic_init(&t->stage, STAGE_NONE);
		atomic_init(&t->pulls, false);
		t->socket = arena_strdup(&t->mem, host->docker_socket);
		t->keep = host->docker.gc != NULL && !host->docker.gc->container;
	}
	return t;
}

static void wake_cb(struct bell *wake);

/* NULL, and the task freed, when it cannot. */
static struct driver_task *run_task(struct docker_task *t)
{
	if (bell_open(&t->wake, t->base.host->loop, wake_cb, t) != 0) {
		free_unborn(t);
		return NULL;
	}
	uv_timer_init(t->base.host->loop, &t->kill_timer);
	t->kill_timer.data = t;
	t->handles = 2;
	t->base.host->holders++;
	if (uv_thread_create(&t->thread, thread_cb, t) != 0) {
		t->joined = true;
		driver_fault(&t->error, "a thread cannot be started");
		t->error.recoverable = true;
		publish(t, STAGE_FAILED);
	}
	return &t->base;
}

/* ---- the loop: short questions ---- */

enum question { ASK_SIGNAL, ASK_STATS, ASK_REMOVE };

struct docker_work {
	uv_work_t work;
	struct docker_task *task;
	enum question question;
	int signal;
	driver_signal_cb signal_cb;
	driver_stats_cb stats_cb;
	void *ctx;
	bool failed;
	char why[ENGINE_WHY];
	struct driver_stats stats;
};

static bool read_stats(const struct buf *reply, struct driver_stats *out)
{
	struct docker_stats s;
	struct arena mem = {0};
	const struct docker_memory_parts *m;
	bool ok = json_decode(&docker_stats_type, &s, reply->at, reply->len, &mem, NULL) == 0 && s.cpu != NULL &&
		  s.cpu->usage != NULL && s.memory != NULL;

	if (ok) {
		m = s.memory->parts;
		*out = (struct driver_stats){.cpu_user_ns = s.cpu->usage->user_ns,
					     .cpu_system_ns = s.cpu->usage->system_ns,
					     .rss_bytes = m == NULL ? 0 : m->rss + m->anon,
					     .cache_bytes = m == NULL ? 0 : m->cache + m->file,
					     .swap_bytes = m == NULL ? 0 : m->swap,
					     .pids = s.pids == NULL ? 0 : (uint32_t)s.pids->current,
					     .at_ns = clock_ns(CLOCK_REALTIME)};
	}
	arena_close(&mem);
	return ok;
}

static void forget_time(const struct docker_task *t)
{
	char path[PATH_MAX];

	if (t->state_dir != NULL &&
	    snprintf(path, sizeof(path), "%s/%.16s.docker", t->state_dir, t->id) < (int)sizeof(path)) {
		unlink(path);
	}
}

static void work_cb(uv_work_t *work)
{
	struct docker_work *w = CONTAINER_OF(work, struct docker_work, work);
	struct engine_call c = {.socket = w->task->socket, .method = "POST", .timeout_s = SHORT_S};
	struct buf reply = {0};
	char path[160];
	int status;

	if (w->question == ASK_REMOVE) {
		remove_container(w->task);
		forget_time(w->task);
		return;
	}
	if (w->question == ASK_STATS) {
		c.method = "GET";
		snprintf(path, sizeof(path), "/containers/%s/stats?stream=false&one-shot=true", w->task->id);
	} else {
		snprintf(path, sizeof(path), "/containers/%s/kill?signal=%d", w->task->id, w->signal);
	}
	c.path = path;
	status = engine_call(&c, &reply, w->why);
	w->failed = status / 100 != 2 || (w->question == ASK_STATS && !read_stats(&reply, &w->stats));
	buf_close(&reply);
}

static void work_done_cb(uv_work_t *work, int status)
{
	struct docker_work *w = CONTAINER_OF(work, struct docker_work, work);
	struct docker_task *t = w->task;
	struct driver_error error;

	(void)status;
	if (w->signal_cb != NULL && !t->dead) {
		if (w->failed) {
			driver_fault(&error, "failed to signal the container: %s", w->why);
		}
		w->signal_cb(w->ctx, w->failed ? &error : NULL);
	}
	if (w->stats_cb != NULL && !t->dead) {
		w->stats_cb(w->ctx, w->failed ? NULL : &w->stats);
	}
	free(w);
	t->works--;
	free_if_over(t);
}

static int ask(struct docker_task *t, const struct docker_work *what)
{
	enum { WORKS_MAX = 16 };
	bool room = t->works < WORKS_MAX || what->question == ASK_REMOVE;
	struct docker_work *w = room ? malloc(sizeof(*w)) : NULL;

	if (w == NULL) {
		return ERR_BUSY;
	}
	*w = *what;
	w->task = t;
	t->works++;
	uv_queue_work(t->base.host->loop, &w->work, work_cb, work_done_cb);
	return 0;
}

static void send_signal(struct docker_task *t, int number)
{
	struct docker_work w = {.question = ASK_SIGNAL, .signal = number};

	(void)ask(t, &w);
}

static void kill_timer_cb(uv_timer_t *timer)
{
	struct docker_task *t = timer->data;

	if (t->base.state == DRIVER_RUNNING && !t->dead) {
		send_signal(t, 9);
		uv_timer_start(timer, kill_timer_cb, 1000, 0); /* Should the engine not have heard it. */
	}
}

static void begin_kill(struct docker_task *t)
{
	uint64_t ms = t->kill_timeout_ns > 0 ? (uint64_t)t->kill_timeout_ns / 1000000 : 0;

	if (ms > 0 && t->kill_signal > 0) {
		send_signal(t, t->kill_signal);
	}
	if (!uv_is_active((uv_handle_t *)&t->kill_timer) || ms < uv_timer_get_due_in(&t->kill_timer)) {
		uv_timer_start(&t->kill_timer, kill_timer_cb, ms, 0);
	}
}

/* ---- the loop: what the thread has found ---- */

/* The last thing for a task that was let go of and whose thread is no more. */
static void finish(struct docker_task *t)
{
	struct docker_work w = {.question = ASK_REMOVE};

	if (uv_is_closing((uv_handle_t *)&t->kill_timer)) {
		return;
	}
	if (atomic_load(&t->want) == WANT_DESTROY && t->id[0] != '\0' && !t->keep) {
		(void)ask(t, &w); /* Without memory it stays, for the next start of this task to remove. */
	}
	bell_close(&t->wake, bell_closed);
	uv_close((uv_handle_t *)&t->kill_timer, handle_closed);
}

static void join(struct docker_task *t)
{
	if (!t->joined) {
		uv_thread_join(&t->thread);
		t->joined = true;
	}
}

static void tell_pull(struct docker_task *t)
{
	if (!t->told_pull && !t->told_start && t->base.events.said_cb != NULL) {
		t->base.events.said_cb(t->base.ctx, &t->base, "Downloading image");
	}
	t->told_pull = true;
}

static void tell_ready(struct docker_task *t)
{
	if (!t->told_ready) {
		t->told_ready = true;
		t->base.state = DRIVER_READY;
		t->base.events.ready_cb(t->base.ctx, &t->base);
	}
}

static void tell_started(struct docker_task *t, const struct driver_error *error)
{
	t->told_start = true;
	t->base.state = error == NULL ? DRIVER_RUNNING : DRIVER_EXITED;
	t->base.pid = t->pid;
	t->base.events.started_cb(t->base.ctx, &t->base, error);
	if (error == NULL && t->kill_asked && !t->dead) {
		begin_kill(t);
	}
}

/* The callbacks may let go of the task; while it is dead nothing is told, and the thread's end is the end. */
static void wake_cb(struct bell *wake)
{
	struct docker_task *t = wake->data;
	enum stage stage = (enum stage)atomic_load(&t->stage);

	if (stage >= STAGE_FAILED) {
		join(t);
	}
	if (t->dead) {
		if (t->joined) {
			finish(t);
		}
		return;
	}
	if (atomic_load(&t->pulls)) {
		tell_pull(t);
	}
	if (stage == STAGE_NONE || t->dead) {
		return;
	}
	if (stage == STAGE_FAILED && !t->told_start) {
		tell_started(t, &t->error);
		return;
	}
	if (stage == STAGE_READY) {
		tell_ready(t);
		return;
	}
	if (!t->told_start) {
		tell_started(t, NULL);
	}
	if (stage == STAGE_ENDED && !t->dead && t->base.state == DRIVER_RUNNING) {
		t->base.state = DRIVER_EXITED;
		uv_timer_stop(&t->kill_timer);
		t->base.events.exited_cb(t->base.ctx, &t->base, &t->exit);
	}
}

/* ---- settings ---- */

static int configure(struct driver_host *host, const char *config, struct driver_error *error)
{
	struct docker_plugin settings;
	const char *socket;
	uint64_t allowed;
	int rv = docker_settings(config, &settings, &socket, &allowed, &host->mem, error);

	if (rv == 0) {
		host->docker = settings;
		host->docker_socket = socket;
		host->docker_allowed = allowed;
	}
	return rv;
}

static bool enabled(const struct driver_host *host)
{
	(void)host;
	return true;
}

static void fingerprint(struct driver_host *host, struct arena *mem, struct driver_info *out)
{
	struct pair *attributes = arena_calloc(mem, 2, sizeof(*attributes));
	struct docker_version v;
	struct buf reply = {0};
	bool ok = attributes != NULL && engine_version(host->docker_socket, PROBE_S, &reply) == 0;
	const char *text = ok ? arena_strndup(mem, reply.at, reply.len - 1) : NULL;

	ok = text != NULL && json_decode(&docker_version_type, &v, text, reply.len - 1, mem, NULL) == 0;
	buf_close(&reply);
	if (!ok) {
		out->detected = false;
		out->health_description = "Failed to connect to docker daemon";
		return;
	}
	attributes[0] = (struct pair){"driver.docker", "true"};
	attributes[1] = (struct pair){"driver.docker.version", v.version};
	out->attributes.at = attributes;
	out->attributes.n = 2;
	out->healthy = true;
	out->health_description = "Healthy";
}

static int validate(const char *text, struct driver_error *error)
{
	struct docker_config c;
	struct arena mem = {0};
	int rv = docker_config(text, &c, &mem, error);

	arena_close(&mem);
	return rv;
}

/* ---- the table ---- */

/* Names of containers are of letters, digits and these; "task-<allocation>" it is to users. */
static const char *container_name(const struct driver_spec *spec, struct arena *mem)
{
	char *name = arena_printf(mem, "%.100s-%.64s", spec->task_name, spec->alloc_id);
	char *at;

	for (at = name; at != NULL && *at != '\0'; at++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-", *at) == NULL) {
			*at = '_';
		}
	}
	if (name != NULL && strchr("_.-", name[0]) != NULL) {
		name[0] = 't';
	}
	return name;
}

static void copy_paths(struct docker_task *t, const struct driver_spec *spec)
{
	t->state_dir = arena_strdup(&t->mem, spec->state_dir);
	t->log_dir = arena_strdup(&t->mem, spec->log_dir);
	t->stdout_name = arena_strdup(&t->mem, spec->stdout_name);
	t->stderr_name = arena_strdup(&t->mem, spec->stderr_name);
	t->log_max_files = spec->log_max_files;
	t->log_max_file_bytes = spec->log_max_file_bytes;
	t->log_disabled = spec->log_disabled;
}

static int prepare(struct docker_task *t, const struct driver_spec *spec)
{
	struct docker_config c;
	struct buf body = {0};
	int64_t pull_ns = 0;
	int rv = docker_config(spec->config, &c, &t->mem, &t->error);

	if (rv == 0) {
		rv = docker_create_body(t->base.host, spec, &c, &t->mem, &body, &t->error);
	}
	if (rv == 0) {
		t->image = c.image;
		t->pull = c.force_pull || docker_image_is_latest(c.image);
		t->pull_soft = c.auth_soft_fail;
		t->tty = c.tty;
		(void)duration_parse(c.image_pull_timeout, strlen(c.image_pull_timeout), &pull_ns);
		t->pull_s = (long)(pull_ns / 1000000000) + 1;
		t->auth = docker_auth_header(c.auth, &t->mem);
		t->name = container_name(spec, &t->mem);
		t->body = arena_strndup(&t->mem, body.at, body.len);
		copy_paths(t, spec);
		rv = t->name == NULL || t->body == NULL || t->state_dir == NULL || t->log_dir == NULL ||
				     t->stdout_name == NULL || t->stderr_name == NULL || t->socket == NULL
			     ? ERR_NOMEM
			     : 0;
	}
	buf_close(&body);
	return rv;
}

/* What cannot be started is told by the thread too, for callers that wait for it. */
static struct driver_task *start(struct driver_host *host, const struct driver_spec *spec,
				 const struct driver_events *events, void *ctx)
{
	struct docker_task *t = make_task(host, events, ctx);
	int rv = t == NULL ? ERR_NOMEM : prepare(t, spec);

	if (rv == ERR_NOMEM) {
		free_unborn(t);
		return NULL;
	}
	t->refused = rv != 0;
	return run_task(t);
}

static bool read_record(struct docker_task *t, const void *state, size_t len)
{
	struct docker_record r;

	object_init(&docker_record_type, &r);
	if (pack_decode(&docker_record_type, &r, state, len, &t->mem) != 0 || r.version != RECORD_VERSION ||
	    !is_id(r.id) || r.state_dir[0] != '/' || r.log_dir[0] != '/') {
		return false;
	}
	memcpy(t->id, r.id, sizeof(t->id));
	t->state_dir = r.state_dir;
	t->log_dir = r.log_dir;
	t->stdout_name = r.stdout_name;
	t->stderr_name = r.stderr_name;
	t->log_max_files = r.log_max_files;
	t->log_max_file_bytes = r.log_max_file_bytes;
	t->log_disabled = r.log_disabled;
	t->tty = r.tty;
	return true;
}

static struct driver_task *recover(struct driver_host *host, const void *state, size_t len,
				   const struct driver_events *events, void *ctx)
{
	struct docker_task *t = make_task(host, events, ctx);

	if (t == NULL || t->socket == NULL) {
		free_unborn(t);
		return NULL;
	}
	if (!read_record(t, state, len)) {
		t->refused = true;
		driver_fault(&t->error, "the record of the running task cannot be read");
		t->error.recoverable = true;
	}
	return run_task(t);
}

static void save(const struct driver_task *task, struct buf *out)
{
	const struct docker_task *t = task_of(task);
	struct docker_record r;

	object_init(&docker_record_type, &r);
	r.version = RECORD_VERSION;
	r.id = t->id;
	r.state_dir = t->state_dir;
	r.log_dir = t->log_dir;
	r.stdout_name = t->stdout_name;
	r.stderr_name = t->stderr_name;
	r.log_max_files = t->log_max_files;
	r.log_max_file_bytes = t->log_max_file_bytes;
	r.log_disabled = t->log_disabled;
	r.tty = t->tty;
	pack_encode(&docker_record_type, &r, out);
}

static void go(struct driver_task *task)
{
	uv_sem_post(&task_of(task)->told);
}

static void kill_task(struct driver_task *task, int number, int64_t timeout_ns)
{
	struct docker_task *t = task_of(task);

	if (!t->kill_asked || timeout_ns < t->kill_timeout_ns) {
		t->kill_timeout_ns = timeout_ns;
	}
	t->kill_signal = number;
	t->kill_asked = true;
	if (task->state == DRIVER_RUNNING) {
		begin_kill(t);
	}
}

static int signal_task(struct driver_task *task, int number, driver_signal_cb cb, void *ctx)
{
	struct docker_work w = {.question = ASK_SIGNAL, .signal = number, .signal_cb = cb, .ctx = ctx};

	return ask(task_of(task), &w);
}

static int command(struct driver_task *task, struct driver_command *cmd, const int fds[3], struct driver_error *error)
{
	const struct docker_task *t = task_of(task);

	return docker_command(t->socket, t->id, cmd, fds, error);
}

static void command_kill(struct driver_task *task, struct driver_command *cmd)
{
	(void)task;
	docker_command_kill(cmd);
}

static void command_resize(struct driver_task *task, struct driver_command *cmd, unsigned rows, unsigned columns)
{
	(void)task;
	docker_command_resize(cmd, rows, columns);
}

static int stats(struct driver_task *task, driver_stats_cb cb, void *ctx)
{
	struct docker_work w = {.question = ASK_STATS, .stats_cb = cb, .ctx = ctx};

	return ask(task_of(task), &w);
}

static void let_go(struct docker_task *t, enum want want)
{
	t->dead = true;
	atomic_store(&t->want, want);
	if (t->joined) {
		finish(t);
	} else {
		uv_sem_post(&t->told);
		engine_stop(&t->stop); /* finish() follows when the thread has told of its end. */
	}
}

static void destroy(struct driver_task *task)
{
	struct docker_task *t = task_of(task);

	t->keep = t->keep && task->state == DRIVER_EXITED;
	let_go(t, WANT_DESTROY);
}

static void detach(struct driver_task *task)
{
	let_go(task_of(task), WANT_DETACH);
}

const struct driver driver_docker = {
	.name = "docker",
	.capabilities = DRIVER_SEND_SIGNALS | DRIVER_ROOT | DRIVER_EXEC,
	.kill_signal = "SIGINT",
	.configure = configure,
	.enabled = enabled,
	.fingerprint = fingerprint,
	.validate = validate,
	.start = start,
	.recover = recover,
	.save = save,
	.go = go,
	.kill = kill_task,
	.signal = signal_task,
	.stats = stats,
	.command = command,
	.command_kill = command_kill,
	.command_resize = command_resize,
	.destroy = destroy,
	.detach = detach,
};
