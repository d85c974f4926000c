/* How many real tasks a client can run to completion, driver part only, and what an idle one costs.
 * Run as: test/bench/bench_driver [TASKS], as root for the numbers with cgroups. */
#include "test/unit/client/world.h"

#include "client/executor_task.h"

struct bench {
	struct world w;
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

static double run_all(struct bench *b, int tasks, const char *config, const int *until)
{
	static const struct driver_events events = {started, ended};
	int64_t begin = world_now_ns(CLOCK_MONOTONIC);
	int i;

	for (i = 0; i < tasks; i++) {
		struct driver_spec spec = world_spec(&b->w, config);
		char task_dir[128], state_dir[160], log_dir[160];

		make_dir(task_dir, sizeof(task_dir), b->w.dir, "task", i);
		make_dir(state_dir, sizeof(state_dir), task_dir, "private", 0);
		make_dir(log_dir, sizeof(log_dir), task_dir, "logs", 0);
		spec.task_dir = task_dir;
		spec.state_dir = state_dir;
		spec.log_dir = log_dir;
		driver_start(b->w.host, driver_find("raw_exec"), &spec, &events, b);
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

int main(int argc, char **argv)
{
	int tasks = argc > 1 ? atoi(argv[1]) : 200;
	static struct bench b;
	double seconds;

	world_open(&b.w);
	seconds = run_all(&b, tasks, "{\"command\":\"/bin/true\"}", &b.ended);
	printf("%d x /bin/true: %.3f s, %.0f tasks/s\n", tasks, seconds, tasks / seconds);
	b.running = b.ended = 0;
	run_all(&b, tasks, "{\"command\":\"/bin/sleep\",\"args\":[\"1\"]}", &b.running);
	printf("%d x /bin/sleep: %ld KiB (PSS) for each executor\n", tasks, executors_kb(&b) / tasks);
	while (b.ended < tasks) {
		uv_run(&b.w.loop, UV_RUN_ONCE);
	}
	world_close(&b.w);
	return 0;
}
