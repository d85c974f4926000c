/**
 * For tests of drivers: a loop, a host, a task directory below /tmp, and tasks whose events are written down.
 *
 * The executor is the one that was built: DROVER_EXECUTOR, or ../../../drover-executor from the test's own program.
 */
#ifndef TEST_UNIT_CLIENT_WORLD_H_
#define TEST_UNIT_CLIENT_WORLD_H_

#include "test/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "client/driver.h"
#include "client/driver_host.h"
#include "client/procfs.h"
#include "proto/error.h"

struct world {
	uv_loop_t loop;
	struct driver_host *host;
	bool closed;
	char dir[64];
	char task_dir[128], state_dir[128], log_dir[128], shared_dir[128];
};

/* A task and what its driver told of it. */
struct watched {
	struct driver_task *task;
	bool ready, started, failed, exited, answered, measured;
	struct driver_error error;
	struct driver_exit exit;
	bool answer_ok;
	struct driver_stats stats;
};

static inline int64_t world_now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int world_remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void world_make_dirs(struct world *w)
{
	snprintf(w->dir, sizeof(w->dir), "/tmp/drover-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	snprintf(w->task_dir, sizeof(w->task_dir), "%s/t", w->dir);
	snprintf(w->log_dir, sizeof(w->log_dir), "%s/logs", w->dir);
	snprintf(w->shared_dir, sizeof(w->shared_dir), "%s/alloc", w->dir);
	snprintf(w->state_dir, sizeof(w->state_dir), "%s/t/private", w->dir);
	assert_int_equal(mkdir(w->task_dir, 0777), 0);
	assert_int_equal(chmod(w->task_dir, 0777), 0);
	assert_int_equal(mkdir(w->log_dir, 0755), 0);
	assert_int_equal(mkdir(w->shared_dir, 0777), 0);
	assert_int_equal(chmod(w->shared_dir, 0777), 0);
	assert_int_equal(mkdir(w->state_dir, 0700), 0);
}

static inline void world_find_executor(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	int i;

	assert_true(n > 0);
	path[n] = '\0';
	for (i = 0; i < 4; i++) {
		*strrchr(path, '/') = '\0';
	}
	strcat(path, "/drover-executor");
	setenv("DROVER_EXECUTOR", path, 0);
}

static inline void world_open_host(struct world *w)
{
	struct driver_host_config c = {.loop = &w->loop, .dev = true};

	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->closed = false;
	w->host = driver_host_open(&c);
	assert_non_null(w->host);
}

static inline void world_open(struct world *w)
{
	memset(w, 0, sizeof(*w));
	world_find_executor();
	world_make_dirs(w);
	world_open_host(w);
}

static inline void world_host_closed(void *ctx)
{
	((struct world *)ctx)->closed = true;
}

static inline void world_tick(uv_timer_t *timer)
{
	(void)timer;
}

/* As an agent that ends. A case that failed has let go of nothing: then it is given up after a while, so that the failure
 * is told. */
static inline void world_close_host(struct world *w)
{
	int64_t end = world_now_ns(CLOCK_MONOTONIC) + 60 * (int64_t)1000000000;
	uv_timer_t tick;

	uv_timer_init(&w->loop, &tick);
	uv_timer_start(&tick, world_tick, 50, 50);
	driver_host_close(w->host, world_host_closed, w);
	while (!w->closed && world_now_ns(CLOCK_MONOTONIC) < end) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	w->host = NULL;
	uv_close((uv_handle_t *)&tick, NULL);
	if (!w->closed) {
		fail_msg("the host of the drivers does not close: somebody still holds a task");
	}
	assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static inline void world_close(struct world *w)
{
	world_close_host(w);
	nftw(w->dir, world_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Run the loop until *flag, for at most that long; whether it came. What is to come within seconds may take a minute
 * more. */
static inline bool world_run(struct world *w, const bool *flag, int64_t at_most_ms)
{
	int64_t patience = flag != NULL && at_most_ms >= 1000 ? 60000 : 0;
	int64_t end = world_now_ns(CLOCK_MONOTONIC) + (at_most_ms + patience) * 1000000;
	uv_timer_t tick;

	uv_timer_init(&w->loop, &tick);
	uv_timer_start(&tick, world_tick, 5, 5);
	while (!(flag != NULL && *flag) && world_now_ns(CLOCK_MONOTONIC) < end) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&tick, NULL);
	while (uv_is_active((uv_handle_t *)&tick)) {
		uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	uv_run(&w->loop, UV_RUN_NOWAIT);
	return flag != NULL && *flag;
}

static inline void world_started(void *ctx, struct driver_task *task, const struct driver_error *error)
{
	struct watched *x = ctx;

	assert_false(x->started || x->failed);
	x->task = task;
	x->started = error == NULL;
	x->failed = error != NULL;
	if (error != NULL) {
		x->error = *error;
	}
}

static inline void world_exited(void *ctx, struct driver_task *task, const struct driver_exit *exit)
{
	struct watched *x = ctx;

	assert_ptr_equal(x->task, task);
	assert_true(x->started && !x->exited);
	x->exited = true;
	x->exit = *exit;
}

static inline void world_answered(void *ctx, const struct driver_error *error)
{
	struct watched *x = ctx;

	x->answered = true;
	x->answer_ok = error == NULL;
}

static inline void world_measured(void *ctx, const struct driver_stats *stats)
{
	struct watched *x = ctx;

	x->measured = true;
	if (stats != NULL) {
		x->stats = *stats;
	}
}

static inline void world_ready(void *ctx, struct driver_task *task)
{
	struct watched *x = ctx;

	assert_false(x->ready || x->started || x->failed);
	assert_ptr_equal(x->task, task);
	x->ready = true;
}

static const struct driver_events world_events = {.started_cb = world_started, .exited_cb = world_exited};

/* Of a task that waits for driver_go(). */
static const struct driver_events world_waiting = {
	.ready_cb = world_ready, .started_cb = world_started, .exited_cb = world_exited};

static inline struct driver_spec world_spec(const struct world *w, const char *config)
{
	return (struct driver_spec){.alloc_id = "11111111-2222-3333-4444-555555555555", .task_name = "t",
	                            .config = config, .task_dir = w->task_dir, .state_dir = w->state_dir,
	                            .shared_dir = w->shared_dir, .log_dir = w->log_dir, .stdout_name = "t.stdout", .stderr_name = "t.stderr",
	                            .log_max_files = 10, .log_max_file_bytes = 10 << 20};
}

static inline void world_begin(struct world *w, struct watched *x, const char *driver, const struct driver_spec *spec)
{
	memset(x, 0, sizeof(*x));
	x->task = driver_start(w->host, driver_find(driver), spec, &world_events, x);
	assert_non_null(x->task);
	assert_false(x->started || x->failed);
}

/* Start a raw_exec task and wait until it runs. */
static inline void world_run_task(struct world *w, struct watched *x, const char *config)
{
	struct driver_spec spec = world_spec(w, config);

	world_begin(w, x, "raw_exec", &spec);
	if (!world_run(w, &x->started, 5000)) {
		fail_msg("not started: %s", x->error.text);
	}
}

/* One that runs a shell script: no double quotes or backslashes in it. */
static inline void world_run_script(struct world *w, struct watched *x, const char *script)
{
	char config[4096];

	snprintf(config, sizeof(config), "{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"%s\"]}", script);
	world_run_task(w, x, config);
}

static inline char *world_read(const struct world *w, const char *below, char *out, size_t size)
{
	char path[512];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", w->dir, below);
	n = proc_read(AT_FDCWD, path, out, size);
	if (n < 0) {
		out[0] = '\0';
	}
	return out;
}

/* Wait until a file below the world's directory holds something. */
static inline void world_await_file(struct world *w, const char *below)
{
	char text[64];
	int i;

	for (i = 0; i < 6000 && world_read(w, below, text, sizeof(text))[0] == '\0'; i++) {
		if (w->host != NULL) {
			world_run(w, NULL, 10);
		} else {
			usleep(10000);
		}
	}
	assert_true(text[0] != '\0');
}

static inline pid_t world_read_pid(const struct world *w, const char *below)
{
	char text[64];

	return (pid_t)atoi(world_read(w, below, text, sizeof(text)));
}

static inline bool world_is_alive(pid_t pid)
{
	struct proc_stat s;

	return proc_stat(pid, &s) == 0 && s.state != 'Z';
}

/* Wait until the process is no more. */
static inline bool world_await_death(pid_t pid)
{
	int i;

	for (i = 0; i < 6000 && world_is_alive(pid); i++) {
		usleep(10000);
	}
	return !world_is_alive(pid);
}

static inline void world_forget(struct world *w, struct watched *x)
{
	driver_destroy(x->task);
	x->task = NULL;
	world_run(w, NULL, 20);
}

#endif /* TEST_UNIT_CLIENT_WORLD_H_ */
