/* Commands beside a task, with each driver that runs them by an executor. */
#include "test/unit/client/ran.h"

#include "proto/http.h"

static int setup(void **state)
{
	static struct world w;

	world_open(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

static void begin_task(struct world *w, struct watched *x, const char *driver)
{
	static const char *const env[] = {"COLOR=green", "PATH=/usr/local/bin:/usr/bin:/bin"};
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/sleep\",\"args\":[\"1000\"]}");

	spec.env = env;
	spec.env_n = 2;
	spec.cpu_shares = 100;
	spec.memory_mb = 64;
	world_begin(w, x, driver, &spec);
	if (!world_run(w, &x->started, 10000)) {
		fail_msg("not started: %s", x->error.text);
	}
}

static void output_and_exit_code_are_told(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	ran_to_end(w, &r, &x, "echo out; echo err >&2; exit 7");
	assert_string_equal(r.out, "out\n");
	assert_string_equal(r.err, "err\n");
	assert_int_equal(r.end.code, 7);
	assert_int_equal(r.end.signal, 0);
	assert_string_equal(r.end.error, "");
	assert_true(r.out_ended && r.err_ended);
	ran_to_end(w, &r, &x, "kill -9 $$");
	assert_int_equal(r.end.code, 137);
	assert_int_equal(r.end.signal, 9);
	assert_false(x.exited);
	world_forget(w, &x);
}

static void it_is_in_the_tasks_directory_with_its_environment(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;
	char want[512];

	begin_task(w, &x, "raw_exec");
	ran_to_end(w, &r, &x, "pwd; echo $COLOR");
	snprintf(want, sizeof(want), "%s\ngreen\n", w->task_dir);
	assert_string_equal(r.out, want);
	world_forget(w, &x);
}

static void input_arrives_and_ends(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "cat; echo over");
	assert_int_equal(driver_command_write(r.cmd, "one\n", 4), 0);
	assert_int_equal(driver_command_write(r.cmd, "two\n", 4), 0);
	driver_command_close_input(r.cmd);
	assert_true(world_run(w, &r.ended, 5000));
	assert_string_equal(r.out, "one\ntwo\nover\n");
	ran_stop(&r);
	world_forget(w, &x);
}

static void a_writer_is_asked_to_wait_and_then_refused(void **state)
{
	static char piece[48 << 10];
	struct world *w = *state;
	struct watched x;
	struct ran r;
	int rv = 0;
	int n = 0;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "read x; cat >/dev/null; echo all");
	memset(piece, 'x', sizeof(piece));
	while (rv == 0 && n++ < 100) {
		rv = driver_command_write(r.cmd, piece, sizeof(piece));
	}
	assert_int_equal(rv, HTTP_WAIT);
	while (rv >= 0 && n++ < 200) {
		rv = driver_command_write(r.cmd, piece, sizeof(piece));
	}
	assert_int_equal(rv, ERR_BUSY);
	assert_int_equal(driver_command_write(r.cmd, "\n", 1), HTTP_WAIT);
	assert_true(world_run(w, &r.room, 5000));
	driver_command_close_input(r.cmd);
	assert_true(world_run(w, &r.ended, 5000));
	assert_string_equal(r.out, "all\n");
	ran_stop(&r);
	world_forget(w, &x);
}

static void who_does_not_read_makes_it_wait(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;
	size_t before;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "head -c 200000 /dev/zero | tr '\\0' x");
	driver_command_read(r.cmd, false);
	world_run(w, NULL, 200);
	before = r.out_n;
	assert_false(r.ended);
	world_run(w, NULL, 100);
	assert_int_equal(r.out_n, before);
	driver_command_read(r.cmd, true);
	assert_true(world_run(w, &r.ended, 5000));
	assert_int_equal(r.out_n, 200000);
	ran_stop(&r);
	world_forget(w, &x);
}

static void what_it_leaves_behind_does_not_hold_up_its_end(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "sleep 100 & echo done");
	assert_true(world_run(w, &r.ended, 5000));
	assert_string_equal(r.out, "done\n");
	assert_int_equal(r.end.code, 0);
	ran_stop(&r);
	world_forget(w, &x);
}

static void what_cannot_be_started_is_told(void **state)
{
	static const char *const missing[] = {"no-such-command", NULL};
	static const char *const no_path[] = {"/no/such/command", NULL};
	struct world *w = *state;
	struct watched x;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	ran_start(&r, &x, false, missing);
	assert_non_null(r.cmd);
	assert_true(world_run(w, &r.ended, 5000));
	assert_string_equal(r.end.error, "failed to start command \"no-such-command\": executable file not found in $PATH");
	ran_stop(&r);
	ran_start(&r, &x, false, no_path);
	assert_true(world_run(w, &r.ended, 5000));
	assert_non_null(strstr(r.end.error, "no such file or directory"));
	ran_stop(&r);
	world_forget(w, &x);
}

static void a_terminal_is_one(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, true, "test -t 0 && test -t 1 && test -t 2 && read x && stty size </dev/tty && echo [$x] >&2 "
			   "&& echo $TERM");
	driver_command_resize(r.cmd, 33, 101);
	assert_int_equal(driver_command_write(r.cmd, "abc\n", 4), 0);
	assert_true(world_run(w, &r.ended, 5000));
	assert_int_equal(r.end.code, 0);
	assert_non_null(strstr(r.out, "33 101\r\n"));
	assert_non_null(strstr(r.out, "[abc]\r\nxterm\r\n"));
	assert_int_equal(r.err_n, 0);
	ran_stop(&r);
	world_forget(w, &x);
}

static void control_c_reaches_what_runs_in_the_terminal(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, true, "trap 'echo caught; exit 3' INT; echo ready; sleep 100 & wait");
	while (strstr(r.out, "ready") == NULL) {
		world_run(w, NULL, 10);
	}
	assert_int_equal(driver_command_write(r.cmd, "\003", 1), 0);
	assert_true(world_run(w, &r.ended, 5000));
	assert_int_equal(r.end.code, 3);
	ran_stop(&r);
	world_forget(w, &x);
}

/* The PID that the script has printed. */
static pid_t printed_pid(struct world *w, struct ran *r)
{
	while (strchr(r->out, '\n') == NULL) {
		world_run(w, NULL, 10);
	}
	return (pid_t)atoi(r->out);
}

static bool is_gone(struct world *w, pid_t pid)
{
	int i;

	for (i = 0; i < 300 && kill(pid, 0) == 0; i++) {
		world_run(w, NULL, 10);
	}
	return i < 300;
}

static void it_is_killed_when_it_is_stopped(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;
	pid_t pid;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "echo $$; sleep 100");
	pid = printed_pid(w, &r);
	ran_stop(&r);
	assert_true(is_gone(w, pid));
	assert_false(x.exited);
	world_forget(w, &x);
}

static void it_ends_with_the_task(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;
	pid_t pid;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "echo $$; sleep 100");
	pid = printed_pid(w, &r);
	assert_int_equal(driver_kill(x.task, "SIGKILL", 0), 0);
	assert_true(world_run(w, &x.exited, 5000));
	assert_true(world_run(w, &r.ended, 5000));
	assert_int_equal(r.end.signal, 9);
	assert_true(is_gone(w, pid));
	ran_stop(&r);
	ran_start(&r, &x, false, (const char *const[]){"/bin/true", NULL});
	assert_null(r.cmd);
	assert_string_equal(r.error.text, "the task is not running");
	world_forget(w, &x);
}

static void who_lets_go_of_the_task_ends_it(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;
	pid_t pid;

	begin_task(w, &x, "raw_exec");
	ran_script(&r, &x, false, "echo $$; sleep 100");
	pid = printed_pid(w, &r);
	driver_destroy(x.task);
	assert_false(r.ended);
	assert_true(world_run(w, &r.ended, 5000));
	assert_string_equal(r.end.error, "the task has ended");
	ran_stop(&r);
	assert_true(is_gone(w, pid));
}

static void many_run_beside_one_task_but_not_any_number(void **state)
{
	static struct ran r[33];
	struct world *w = *state;
	struct watched x;
	unsigned i;

	begin_task(w, &x, "raw_exec");
	for (i = 0; i < 32; i++) {
		ran_script(&r[i], &x, false, "read x; echo $x");
	}
	ran_start(&r[32], &x, false, (const char *const[]){"/bin/true", NULL});
	assert_null(r[32].cmd);
	for (i = 0; i < 32; i++) {
		char line[16];

		snprintf(line, sizeof(line), "%u\n", i);
		assert_int_equal(driver_command_write(r[i].cmd, line, strlen(line)), 0);
	}
	for (i = 0; i < 32; i++) {
		assert_true(world_run(w, &r[i].ended, 5000));
		assert_int_equal(atoi(r[i].out), (int)i);
		ran_stop(&r[i]);
	}
	world_forget(w, &x);
}

static void after_the_agent_was_restarted_commands_run_again(void **state)
{
	struct world *w = *state;
	struct buf record = {0};
	struct watched x;
	struct watched y;
	struct ran r;

	begin_task(w, &x, "raw_exec");
	driver_save(x.task, &record);
	driver_detach(x.task);
	world_close_host(w);
	world_open_host(w);
	memset(&y, 0, sizeof(y));
	y.task = driver_recover(w->host, driver_find("raw_exec"), record.at, record.len, &world_events, &y);
	assert_true(world_run(w, &y.started, 5000));
	ran_to_end(w, &r, &y, "echo $COLOR; pwd");
	assert_int_equal(r.end.code, 0);
	assert_memory_equal(r.out, "green\n/", 7);
	buf_close(&record);
	world_forget(w, &y);
}

/* ---- one that only pretends ---- */

static void a_mock_does_what_its_config_says(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"run_for\":\"100s\",\"exec_command\":{\"run_for\":\"50ms\",\"exit_code\":3,"
						"\"stdout_string\":\"out\",\"stderr_string\":\"err\"}}");
	struct driver_spec bare = world_spec(w, "{\"run_for\":\"100s\"}");
	struct watched x;
	struct watched y;
	struct ran r;

	world_begin(w, &x, "mock_driver", &spec);
	assert_true(world_run(w, &x.started, 5000));
	ran_to_end(w, &r, &x, "whatever");
	assert_string_equal(r.out, "out");
	assert_string_equal(r.err, "err");
	assert_int_equal(r.end.code, 3);
	ran_script(&r, &x, false, "whatever");
	ran_stop(&r);
	ran_script(&r, &x, false, "whatever");
	world_forget(w, &x);
	assert_true(world_run(w, &r.ended, 5000));
	assert_string_equal(r.end.error, "the task has ended");
	ran_stop(&r);
	world_begin(w, &y, "mock_driver", &bare);
	assert_true(world_run(w, &y.started, 5000));
	ran_start(&r, &y, false, (const char *const[]){"x", NULL});
	assert_null(r.cmd);
	assert_string_equal(r.error.text, "the task's config has no exec_command");
	world_forget(w, &y);
}

/* ---- in a root of its own ---- */

static bool has_exec(struct world *w)
{
	struct driver_info info;
	struct arena mem = {0};
	bool ok;

	driver_fingerprint(w->host, driver_find("exec"), &mem, &info);
	ok = info.detected && info.healthy;
	arena_close(&mem);
	return ok;
}

static void in_an_isolated_task_it_is_isolated_too(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	if (!has_exec(w)) {
		skip();
	}
	begin_task(w, &x, "exec");
	ran_to_end(w, &r, &x,
		   "pwd; id -un; ls -d /alloc /private/* 2>/dev/null; echo $COLOR; "
		   "grep NoNewPrivs /proc/self/status; touch /etc/x 2>/dev/null || echo read-only");
	assert_string_equal(r.err, "");
	assert_int_equal(r.end.code, 0);
	assert_non_null(strstr(r.out, "/\nnobody\n/alloc\ngreen\n"));
	assert_non_null(strstr(r.out, "NoNewPrivs:\t1\nread-only\n"));
	world_forget(w, &x);
}

static void in_an_isolated_task_it_sees_the_tasks_processes_alone(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;

	if (!has_exec(w)) {
		skip();
	}
	begin_task(w, &x, "exec");
	ran_to_end(w, &r, &x, "tr '\\0' ' ' </proc/1/cmdline; kill -0 1 && echo; ls /proc | grep '^[0-9]*$' | wc -l");
	assert_memory_equal(r.out, "/bin/sleep 1000 \n", 17);
	assert_true(atoi(r.out + 17) < 8);
	ran_to_end(w, &r, &x, "kill -9 $$");
	assert_int_equal(r.end.signal, 9);
	ran_script(&r, &x, true, "echo in; tty >/dev/null; test -t 0 && exit 4");
	assert_true(world_run(w, &r.ended, 5000));
	assert_int_equal(r.end.code, 4);
	ran_stop(&r);
	assert_int_equal(driver_kill(x.task, "SIGKILL", 0), 0);
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
}

static void in_an_isolated_task_it_is_in_the_tasks_cgroup(void **state)
{
	struct world *w = *state;
	struct watched x;
	struct ran r;
	char own[64];
	char line[4096];
	FILE *f;

	if (!has_exec(w)) {
		skip();
	}
	begin_task(w, &x, "exec");
	ran_to_end(w, &r, &x, "cat /proc/self/cgroup >/alloc/cg; cat /alloc/cg");
	snprintf(own, sizeof(own), "/proc/%d/cgroup", (int)x.task->pid);
	f = fopen(own, "r");
	assert_non_null(f);
	/* Those that limit it; hierarchies without a controller that was asked for may differ. */
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strstr(line, "memory") != NULL || strncmp(line, "0::", 3) == 0) {
			assert_non_null(strstr(r.out, line));
		}
	}
	fclose(f);
	world_forget(w, &x);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(output_and_exit_code_are_told),
		T(it_is_in_the_tasks_directory_with_its_environment),
		T(input_arrives_and_ends),
		T(a_writer_is_asked_to_wait_and_then_refused),
		T(who_does_not_read_makes_it_wait),
		T(what_it_leaves_behind_does_not_hold_up_its_end),
		T(what_cannot_be_started_is_told),
		T(a_terminal_is_one),
		T(control_c_reaches_what_runs_in_the_terminal),
		T(it_is_killed_when_it_is_stopped),
		T(it_ends_with_the_task),
		T(who_lets_go_of_the_task_ends_it),
		T(many_run_beside_one_task_but_not_any_number),
		T(after_the_agent_was_restarted_commands_run_again),
		T(a_mock_does_what_its_config_says),
		T(in_an_isolated_task_it_is_isolated_too),
		T(in_an_isolated_task_it_sees_the_tasks_processes_alone),
		T(in_an_isolated_task_it_is_in_the_tasks_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
