/* How many real tasks a client can run to completion, driver part only, how long one takes to start, and what an idle
 * one costs. Run as: test/bench/bench_driver [TASKS], as root for exec and the numbers with cgroups. */
#include "test/unit/client/world.h"

#include "client/executor_task.h"

struct bench {
	struct world w;
	const char *driver;
	int running, ended;
};

static void started(void *ctx, struct driver_task *task, const struct driver_error *error)
{
	(void)task;
	if (error != NULL) {
		fprintf(stderr, "%s\n", error->text);
		exit(1);
	}
	((struct bench *)ctx)->running++;
}

static void ended(void *ctx, struct driver_task *task, const struct driver_exit *exit)
{
	(void)exit;
	((struct bench *)ctx)->ended++;
	driver_destroy(task);
}

static void make_dir(char *out, size_t size, const char *parent, const char *name, int i)
{
	snprintf(out, size, "%s/%s%d", parent, name, i);
	mkdir(out, 0755);
}

static void start_one(struct bench *b, int i, const char *config)
{
	static const struct driver_events events = {started, ended};
	struct driver_spec spec = world_spec(&b->w, config);
	char task_dir[128], state_dir[160], log_dir[160];

	make_dir(task_dir, sizeof(task_dir), b->w.dir, "task", i);
	make_dir(state_dir, sizeof(state_dir), task_dir, "private", 0);
	make_dir(log_dir, sizeof(log_dir), task_dir, "logs", 0);
	spec.task_dir = task_dir;
	spec.state_dir = state_dir;
	spec.log_dir = log_dir;
	spec.cpu_shares = 100;
	spec.memory_mb = 64;
	driver_start(b->w.host, driver_find(b->driver), &spec, &events, b);
}

static double run_all(struct bench *b, int tasks, const char *config, const int *until)
{
	int64_t begin = world_now_ns(CLOCK_MONOTONIC);
	int i;

	for (i = 0; i < tasks; i++) {
		start_one(b, i, config);
	}
	while (*until < tasks) {
		uv_run(&b->w.loop, UV_RUN_ONCE);
	}
	return (double)(world_now_ns(CLOCK_MONOTONIC) - begin) / 1e9;
}

static long pss_kb(pid_t pid)
{
	char path[64], text[2048];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	at = proc_read(AT_FDCWD, path, text, sizeof(text)) > 0 ? strstr(text, "\nPss:") : NULL;
	return at == NULL ? 0 : atol(at + 5);
}

static long executors_kb(struct bench *b)
{
	long kb = 0;

	LIST_EACH (e, &b->w.host->tasks) {
		kb += pss_kb(CONTAINER_OF(e, struct executor_task, link)->id.executor);
	}
	return kb;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

/* One after the other, from the call until the task runs. */
static void measure_start(struct bench *b)
{
	enum { STARTS = 100 };
	double ms[STARTS];
	int i;

	for (i = 0; i < STARTS; i++) {
		int64_t begin = world_now_ns(CLOCK_MONOTONIC);

		b->running = b->ended = 0;
		start_one(b, 0, "{\"command\":\"/bin/true\"}");
		while (b->running < 1) {
			uv_run(&b->w.loop, UV_RUN_ONCE);
		}
		ms[i] = (double)(world_now_ns(CLOCK_MONOTONIC) - begin) / 1e6;
		while (b->ended < 1) {
			uv_run(&b->w.loop, UV_RUN_ONCE);
		}
	}
	qsort(ms, STARTS, sizeof(ms[0]), by_size);
	printf("%s: one start %.2f ms (p50), %.2f ms (p99)\n", b->driver, ms[STARTS / 2], ms[STARTS * 99 / 100]);
}

static void measure(const char *driver, int tasks)
{
	static struct bench b;
	double seconds;

	memset(&b, 0, sizeof(b));
	b.driver = driver;
	world_open(&b.w);
	measure_start(&b);
	b.running = b.ended = 0;
	seconds = run_all(&b, tasks, "{\"command\":\"/bin/true\"}", &b.ended);
	printf("%s: %d x /bin/true: %.3f s, %.0f tasks/s\n", driver, tasks, seconds, tasks / seconds);
	b.running = b.ended = 0;
	run_all(&b, tasks, "{\"command\":\"/bin/sleep\",\"args\":[\"2\"]}", &b.running);
	printf("%s: %d x /bin/sleep: %ld KiB (PSS) for each executor\n", driver, tasks, executors_kb(&b) / tasks);
	while (b.ended < tasks) {
		uv_run(&b.w.loop, UV_RUN_ONCE);
	}
	world_close(&b.w);
}

int main(int argc, char **argv)
{
	int tasks = argc > 1 ? atoi(argv[1]) : 200;

	measure("raw_exec", tasks);
	if (geteuid() == 0) {
		measure("exec", tasks);
	}
	return 0;
}
