/* Agents that die and agents that come back: an agent here is a child process of the test with a host of its own. */
#include "test/unit/client/world.h"

#include "client/executor_task.h"

static int setup(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	world_find_executor();
	world_make_dirs(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	nftw(w->dir, world_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static void save_record(struct world *w, const struct watched *x)
{
	struct buf b = {0};
	char path[256];
	char temporary[256];
	int fd;

	driver_save(x->task, &b);
	assert_in_range(b.len, 1, 600);
	snprintf(path, sizeof(path), "%s/record", w->dir);
	snprintf(temporary, sizeof(temporary), "%s/record.tmp", w->dir);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, b.at, b.len), (ssize_t)b.len);
	close(fd);
	assert_int_equal(rename(temporary, path), 0);
	buf_close(&b);
}

/* An agent of its own process group that starts a task, records it, and goes on until it is killed. */
static pid_t first_agent(struct world *w, const char *script, bool record)
{
	struct watched x;
	pid_t pid = fork();

	if (pid != 0) {
		return pid;
	}
	setpgid(0, 0);
	world_open_host(w);
	world_run_script(w, &x, script);
	if (record) {
		save_record(w, &x);
	}
	for (;;) {
		uv_run(&w->loop, UV_RUN_ONCE);
	}
}

static void kill_agent(pid_t pid)
{
	setpgid(pid, pid);
	assert_int_equal(kill(-pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static size_t load_record(struct world *w, char *out, size_t size)
{
	char path[256];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/record", w->dir);
	n = proc_read(AT_FDCWD, path, out, size);
	assert_true(n > 0);
	return (size_t)n;
}

static void begin_recovery(struct world *w, struct watched *x, const void *record, size_t n)
{
	memset(x, 0, sizeof(*x));
	x->task = driver_recover(w->host, driver_find("raw_exec"), record, n, &world_events, x);
	assert_non_null(x->task);
}

static void second_agent(struct world *w, struct watched *x)
{
	char record[1024];
	size_t n = load_record(w, record, sizeof(record));

	world_open_host(w);
	begin_recovery(w, x, record, n);
}

static void a_task_survives_its_agent_and_is_found_again(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[256];
	pid_t agent = first_agent(w, "echo $$; trap 'echo got; exit 9' USR1; while :; do sleep 0.05; done", true);
	pid_t task;

	world_await_file(w, "record");
	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	kill_agent(agent);
	assert_true(world_is_alive(task));
	second_agent(w, &x);
	assert_true(world_run(w, &x.started, 3000));
	assert_int_equal(x.task->pid, task);
	assert_false(x.exited);
	assert_int_equal(driver_stats(x.task, world_measured, &x), 0);
	assert_true(world_run(w, &x.measured, 2000));
	assert_int_equal(driver_signal(x.task, "USR1", world_answered, &x), 0);
	assert_true(world_run(w, &x.exited, 3000));
	assert_int_equal(x.exit.code, 9);
	world_read(w, "logs/t.stdout.0", text, sizeof(text));
	assert_non_null(strstr(text, "\ngot\n"));
	world_forget(w, &x);
	world_close_host(w);
}

static void an_end_while_no_agent_was_there_is_told_later(void **state)
{
	struct world *w = *state;
	struct watched x;
	pid_t agent = first_agent(w, "echo $$; while [ ! -e go ]; do sleep 0.02; done; exit 42", true);
	char path[256];
	pid_t task;
	int64_t began, ended;

	world_await_file(w, "record");
	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	kill_agent(agent);
	snprintf(path, sizeof(path), "%s/go", w->task_dir);
	began = world_now_ns(CLOCK_REALTIME);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_true(world_await_death(task));
	ended = world_now_ns(CLOCK_REALTIME);
	usleep(2000000);
	second_agent(w, &x);
	assert_true(world_run(w, &x.exited, 3000));
	assert_int_equal(x.exit.code, 42);
	assert_in_range(x.exit.finished_ns, began, ended + 1500000000);
	world_forget(w, &x);
	world_close_host(w);
}

static void a_found_task_can_be_killed_and_destroyed(void **state)
{
	struct world *w = *state;
	struct watched x;
	pid_t agent = first_agent(w, "trap '' INT; setsid sleep 1000 & echo $!; wait; sleep 1000; sleep 1000", true);
	pid_t child;

	world_await_file(w, "record");
	world_await_file(w, "logs/t.stdout.0");
	kill_agent(agent);
	second_agent(w, &x);
	assert_true(world_run(w, &x.started, 3000));
	child = world_read_pid(w, "logs/t.stdout.0");
	assert_true(world_is_alive(child));
	assert_int_equal(driver_kill(x.task, NULL, 100000000), 0);
	assert_true(world_run(w, &x.exited, 3000));
	assert_int_equal(x.exit.signal, SIGKILL);
	assert_false(world_is_alive(child));
	world_forget(w, &x);
	world_close_host(w);
}

static void detaching_leaves_the_task_running(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct watched y;
	char record[1024];
	pid_t task;

	world_open_host(w);
	world_run_script(w, &x, "echo $$; sleep 1000");
	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	save_record(w, &x);
	driver_detach(x.task);
	world_close_host(w);
	assert_true(world_is_alive(task));
	world_open_host(w);
	begin_recovery(w, &y, record, load_record(w, record, sizeof(record)));
	assert_true(world_run(w, &y.started, 3000));
	world_forget(w, &y);
	assert_true(world_await_death(task));
	world_close_host(w);
}

/* The record of a task, changed by a function, must not be taken for the task that runs. */
static void recover_altered(struct world *w, struct watched *x, size_t (*alter)(char *record, size_t n))
{
	char record[1024];
	size_t n = load_record(w, record, sizeof(record));

	n = alter(record, n);
	begin_recovery(w, x, record, n);
}

static size_t alter_with(char *data, size_t n, void (*change)(struct executor_record *r))
{
	struct arena mem = {0};
	struct buf b = {0};
	struct executor_record r;

	assert_int_equal(pack_decode(&executor_record_type, &r, data, n, &mem), 0);
	change(&r);
	pack_encode(&executor_record_type, &r, &b);
	memcpy(data, b.at, b.len);
	n = b.len;
	buf_close(&b);
	arena_close(&mem);
	return n;
}

/* As after the PIDs went to other processes: the numbers are right, the start times are not. */
static void change_starts(struct executor_record *r)
{
	r->executor_start++;
	r->start++;
	r->run = "0000000000000000";
	r->cgroup = "";
}

static size_t alter_starts(char *record, size_t n)
{
	return alter_with(record, n, change_starts);
}

static void change_boot(struct executor_record *r)
{
	r->boot_id = "00000000-0000-0000-0000-000000000000";
}

static size_t alter_boot(char *record, size_t n)
{
	return alter_with(record, n, change_boot);
}

static size_t alter_bytes(char *record, size_t n)
{
	record[n / 2] ^= 0x55;
	return n - 3;
}

static pid_t run_and_record(struct world *w, struct watched *x)
{
	world_open_host(w);
	world_run_script(w, x, "echo $$; sleep 1000");
	world_await_file(w, "logs/t.stdout.0");
	save_record(w, x);
	return world_read_pid(w, "logs/t.stdout.0");
}

static void a_process_with_the_same_pid_is_not_signalled(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct watched y;
	pid_t task = run_and_record(w, &x);
	struct proc_stat s;

	assert_int_equal(proc_stat(task, &s), 0);
	recover_altered(w, &y, alter_starts);
	assert_true(world_run(w, &y.exited, 5000));
	assert_true(y.exit.error[0] != '\0');
	assert_true(world_is_alive(task));
	assert_true(world_is_alive(s.parent));
	assert_int_equal(proc_stat(task, &s), 0);
	assert_int_not_equal(s.state, 'T');
	driver_destroy(y.task);
	world_forget(w, &x);
	assert_true(world_await_death(task));
	world_close_host(w);
}

static void a_restart_of_the_machine_is_told_apart(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct watched y;
	pid_t task = run_and_record(w, &x);

	recover_altered(w, &y, alter_boot);
	assert_true(world_run(w, &y.failed, 5000));
	assert_true(y.error.lost);
	assert_non_null(strstr(y.error.text, "restarted"));
	assert_true(world_is_alive(task));
	driver_destroy(y.task);
	world_forget(w, &x);
	world_close_host(w);
}

static void a_damaged_record_is_an_error(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct watched y;

	run_and_record(w, &x);
	recover_altered(w, &y, alter_bytes);
	assert_true(world_run(w, &y.failed, 5000));
	assert_false(y.error.lost);
	driver_destroy(y.task);
	world_forget(w, &x);
	world_close_host(w);
}

static void a_task_whose_executor_was_killed_ends(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct proc_stat s;
	pid_t task = run_and_record(w, &x);

	assert_int_equal(proc_stat(task, &s), 0);
	kill(s.parent, SIGKILL);
	assert_true(world_run(w, &x.exited, 5000));
	assert_non_null(strstr(x.exit.error, "executor"));
	assert_true(world_await_death(task));
	world_forget(w, &x);
	world_close_host(w);
}

static void so_it_does_when_no_agent_was_there(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct proc_stat s;
	pid_t agent = first_agent(w, "echo $$; sleep 1000", true);
	pid_t task;

	world_await_file(w, "record");
	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	kill_agent(agent);
	assert_int_equal(proc_stat(task, &s), 0);
	kill(s.parent, SIGKILL);
	second_agent(w, &x);
	assert_true(world_run(w, &x.exited, 5000));
	assert_non_null(strstr(x.exit.error, "executor"));
	assert_true(world_await_death(task));
	world_forget(w, &x);
	world_close_host(w);
}

static void a_task_that_nobody_recorded_ends_before_the_next_starts(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct world copy = *w;
	pid_t agent = first_agent(&copy, "echo $$; sleep 1000", false);
	pid_t task;

	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	usleep(100000);
	kill_agent(agent);
	assert_true(world_is_alive(task));
	world_open_host(w);
	world_run_script(w, &x, "exit 0");
	assert_false(world_is_alive(task));
	assert_true(world_run(w, &x.exited, 3000));
	world_forget(w, &x);
	world_close_host(w);
}

static void a_vanished_state_directory_ends_the_task(void **state)
{
	struct world *w = *state;
	struct watched x;
	char record[1024];
	pid_t agent = first_agent(w, "echo $$; sleep 1000", true);
	size_t n;
	pid_t task;

	world_await_file(w, "record");
	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	n = load_record(w, record, sizeof(record));
	kill_agent(agent);
	nftw(w->state_dir, world_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	world_open_host(w);
	begin_recovery(w, &x, record, n);
	assert_true(world_run(w, &x.exited, 8000));
	assert_true(world_await_death(task));
	world_forget(w, &x);
	world_close_host(w);
}

static void agents_that_come_and_go_lose_nothing(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[8192];
	pid_t agent = first_agent(
		w, "i=0; while [ $i -lt 200 ]; do echo line-$i; i=$((i+1)); sleep 0.005; done; exit 11", true);
	const char *at = text;
	char want[32];
	int i;

	world_await_file(w, "record");
	kill_agent(agent);
	for (i = 0; i < 5; i++) {
		second_agent(w, &x);
		assert_true(world_run(w, &x.started, 3000));
		world_run(w, NULL, 50);
		if (x.exited) {
			break;
		}
		driver_detach(x.task);
		world_close_host(w);
	}
	if (i == 5) {
		second_agent(w, &x);
	}
	assert_true(world_run(w, &x.exited, 8000));
	assert_int_equal(x.exit.code, 11);
	world_read(w, "logs/t.stdout.0", text, sizeof(text));
	for (i = 0; i < 200; i++) {
		snprintf(want, sizeof(want), "line-%d\n", i);
		assert_memory_equal(at, want, strlen(want));
		at += strlen(want);
	}
	assert_int_equal(*at, '\0');
	world_forget(w, &x);
	world_close_host(w);
}

/* ---- between being ready and running ---- */

static void make_ready(struct world *w, struct watched *x, const char *script)
{
	struct driver_spec spec;
	char config[256];

	snprintf(config, sizeof(config), "{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"%s\"]}", script);
	spec = world_spec(w, config);
	memset(x, 0, sizeof(*x));
	x->task = driver_start(w->host, driver_find("raw_exec"), &spec, &world_waiting, x);
	assert_non_null(x->task);
	assert_true(world_run(w, &x->ready, 5000));
	save_record(w, x);
}

/* An agent that is killed by itself, at once, after it has recorded the task, and perhaps has let it go. */
static void agent_that_dies_ready(struct world *w, const char *script, bool go)
{
	struct watched x;
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		world_open_host(w);
		make_ready(w, &x, script);
		if (go) {
			driver_go(x.task);
		}
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_ready_task_runs_when_it_is_told(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];

	world_open_host(w);
	make_ready(w, &x, "echo once");
	world_run(w, NULL, 150);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "");
	assert_false(x.started);
	driver_go(x.task);
	assert_true(world_run(w, &x.exited, 3000));
	assert_int_equal(x.exit.code, 0);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "once\n");
	world_forget(w, &x);
	world_close_host(w);
}

static void a_task_that_was_ready_when_its_agent_died_never_ran(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];

	agent_that_dies_ready(w, "echo no", false);
	second_agent(w, &x);
	assert_true(world_run(w, &x.failed, 5000));
	assert_true(x.error.never);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "");
	world_forget(w, &x);
	world_close_host(w);
}

static void a_task_that_was_told_to_go_is_found_though_nobody_heard_of_its_start(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];

	agent_that_dies_ready(w, "echo $$; exec sleep 1000", true);
	second_agent(w, &x);
	assert_true(world_run(w, &x.started, 5000));
	world_await_file(w, "logs/t.stdout.0");
	world_run(w, NULL, 50);
	snprintf(text, sizeof(text), "%d\n", x.task->pid);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text + 32, 32), text);
	world_forget(w, &x);
	world_close_host(w);
}

static void so_it_is_when_it_has_ended(void **state)
{
	struct world *w = *state;
	struct watched x;

	agent_that_dies_ready(w, "exit 12", true);
	usleep(300000);
	second_agent(w, &x);
	assert_true(world_run(w, &x.exited, 5000));
	assert_int_equal(x.exit.code, 12);
	world_forget(w, &x);
	world_close_host(w);
}

/* Only the executor's own record tells of the process. */
static void what_nobody_heard_of_dies_with_agent_and_executor(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct proc_stat s;
	pid_t task;

	agent_that_dies_ready(w, "echo $$; exec sleep 1000", true);
	world_await_file(w, "logs/t.stdout.0");
	task = world_read_pid(w, "logs/t.stdout.0");
	assert_int_equal(proc_stat(task, &s), 0);
	kill(s.parent, SIGKILL);
	second_agent(w, &x);
	assert_true(world_run(w, &x.exited, 5000));
	assert_non_null(strstr(x.exit.error, "executor"));
	assert_true(world_await_death(task));
	world_forget(w, &x);
	world_close_host(w);
}

static void an_agent_that_ends_while_it_finds_a_task_lets_it_run(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct watched y;
	pid_t task = run_and_record(w, &x);
	char record[1024];

	driver_detach(x.task);
	world_close_host(w);
	world_open_host(w);
	begin_recovery(w, &y, record, load_record(w, record, sizeof(record)));
	driver_detach(y.task);
	world_close_host(w);
	second_agent(w, &x);
	assert_true(world_run(w, &x.started, 5000));
	assert_int_equal(x.task->pid, task);
	world_forget(w, &x);
	world_close_host(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_task_survives_its_agent_and_is_found_again),
		T(an_end_while_no_agent_was_there_is_told_later),
		T(a_found_task_can_be_killed_and_destroyed),
		T(detaching_leaves_the_task_running),
		T(a_process_with_the_same_pid_is_not_signalled),
		T(a_restart_of_the_machine_is_told_apart),
		T(a_damaged_record_is_an_error),
		T(a_task_whose_executor_was_killed_ends),
		T(so_it_does_when_no_agent_was_there),
		T(a_task_that_nobody_recorded_ends_before_the_next_starts),
		T(a_vanished_state_directory_ends_the_task),
		T(agents_that_come_and_go_lose_nothing),
		T(a_ready_task_runs_when_it_is_told),
		T(a_task_that_was_ready_when_its_agent_died_never_ran),
		T(a_task_that_was_told_to_go_is_found_though_nobody_heard_of_its_start),
		T(so_it_is_when_it_has_ended),
		T(what_nobody_heard_of_dies_with_agent_and_executor),
		T(an_agent_that_ends_while_it_finds_a_task_lets_it_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
