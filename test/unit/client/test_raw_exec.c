#include "test/unit/client/world.h"

#include <grp.h>
#include <pwd.h>

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

static void exit_codes_are_told(void **state)
{
	static const int codes[] = {0, 1, 7, 255};
	struct world *w = *state;
	struct watched x;
	char script[64];
	unsigned i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		snprintf(script, sizeof(script), "exit %d", codes[i]);
		world_run_script(w, &x, script);
		assert_true(world_run(w, &x.exited, 5000));
		assert_int_equal(x.exit.code, codes[i]);
		assert_int_equal(x.exit.signal, 0);
		assert_string_equal(x.exit.error, "");
		assert_in_range(x.exit.finished_ns, world_now_ns(CLOCK_REALTIME) - 2000000000,
				world_now_ns(CLOCK_REALTIME));
		world_forget(w, &x);
	}
}

static void a_signal_of_its_own_is_told(void **state)
{
	struct world *w = *state;
	struct watched x;

	world_run_script(w, &x, "kill -9 $$");
	assert_true(world_run(w, &x.exited, 5000));
	assert_int_equal(x.exit.signal, 9);
	assert_int_equal(x.exit.code, 137);
	world_forget(w, &x);
}

static void output_is_complete_when_the_end_is_told(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[256];

	world_run_script(w, &x, "echo out1; echo out2; echo err1 >&2");
	assert_true(world_run(w, &x.exited, 5000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "out1\nout2\n");
	assert_string_equal(world_read(w, "logs/t.stderr.0", text, sizeof(text)), "err1\n");
	world_forget(w, &x);
}

static void disabled_logs_leave_no_files(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"echo x; echo y >&2\"]}");
	struct watched x;
	char path[256];

	spec.log_disabled = true;
	world_begin(w, &x, "raw_exec", &spec);
	assert_true(world_run(w, &x.exited, 5000));
	assert_int_equal(x.exit.code, 0);
	snprintf(path, sizeof(path), "%s/t.stdout.0", w->log_dir);
	assert_int_equal(access(path, F_OK), -1);
	world_forget(w, &x);
}

static void it_runs_in_its_directory_with_the_agents_environment(void **state)
{
	static const char *const env[] = {"FOO=bar", "SHARED=task"};
	struct world *w = *state;
	struct driver_spec spec = world_spec(
		w, "{\"command\":\"sh\",\"args\":[\"-c\",\"pwd; echo $FOO $INHERITED $SHARED $VAULT_TOKEN$UV_THREADPOOL_SIZE.; cat\"]}");
	struct watched x;
	char text[512];
	char want[256];

	setenv("INHERITED", "agent", 1);
	setenv("SHARED", "agent", 1);
	setenv("VAULT_TOKEN", "secret", 1);
	setenv("UV_THREADPOOL_SIZE", "8", 1);
	spec.env = env;
	spec.env_n = 2;
	world_begin(w, &x, "raw_exec", &spec);
	assert_true(world_run(w, &x.exited, 5000));
	snprintf(want, sizeof(want), "%s\nbar agent task .\n", w->task_dir);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), want);
	world_forget(w, &x);
}

static void expect_failure(struct world *w, const struct driver_spec *spec, const char *contains, const char *and)
{
	struct watched x;

	world_begin(w, &x, "raw_exec", spec);
	assert_true(world_run(w, &x.failed, 5000));
	assert_false(x.error.recoverable);
	if (strstr(x.error.text, contains) == NULL || strstr(x.error.text, and) == NULL) {
		fail_msg("\"%s\" and \"%s\" are not both in: %s", contains, and, x.error.text);
	}
	world_forget(w, &x);
}

static void failures_to_start_name_their_cause(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"/no/such/binary\"}");

	expect_failure(w, &spec, "/no/such/binary", "no such file or directory");
	spec.config = "{\"command\":\"no-such-command\"}";
	expect_failure(w, &spec, "no-such-command", "executable file not found in $PATH");
	spec.config = "{\"command\":\"/etc/passwd\"}";
	expect_failure(w, &spec, "/etc/passwd", "permission denied");
	spec.config = "{\"command\":\"/bin/true\",\"work_dir\":\"/no/such/dir\"}";
	expect_failure(w, &spec, "working directory \"/no/such/dir\"", "no such file or directory");
	spec.config = "{\"command\":\"/bin/true\"}";
	spec.user = "no-such-user";
	expect_failure(w, &spec, "user \"no-such-user\"", "unknown user");
	spec.user = NULL;
	spec.log_dir = "/no/such/logs";
	expect_failure(w, &spec, "/no/such/logs", "no such file or directory");
}

static void a_bad_config_names_the_field(void **state)
{
	static const struct {
		const char *config;
		const char *contains;
	} bad[] = {
		{"{}", "\"command\""},
		{"{\"args\":[\"x\"]}", "\"command\""},
		{"{\"command\":\"x\",\"nope\":1}", "Invalid label: No argument or block type is named \"nope\"."},
		{"{\"command\":\"x\",\"args\":{}}", "\"args\""},
		{"{\"command\":[\"x\"]}", "\"command\""},
		{"{\"command\":\"x\",\"work_dir\":\"rel\"}", "work_dir"},
		{"{\"command\":\"x\",\"oom_score_adj\":-5}", "oom_score_adj"},
		{"[]", "object"},
		{"{\"command\"", "object"},
		{"{\"command\":\"x\"", "object"},
		{"{\"command\":{x}}", "\"command\""},
	};
	const struct driver *d = driver_find("raw_exec");
	struct driver_error error;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(d->validate(bad[i].config, &error), ERR_INVALID);
		if (strstr(error.text, bad[i].contains) == NULL) {
			fail_msg("%s: %s", bad[i].config, error.text);
		}
	}
	assert_int_equal(
		d->validate("{\"command\":\"x\",\"args\":[\"-p\", 8080, true, \"[,]\"],\"oom_score_adj\":\"5\"}",
			    &error),
		0);
}

static void numbers_in_args_become_text(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];

	world_run_task(w, &x, "{\"command\":\"echo\",\"args\":[\"a,b\", 8080, true, \"]\"]}");
	assert_true(world_run(w, &x.exited, 5000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "a,b 8080 true ]\n");
	world_forget(w, &x);
}

static void write_script(const struct world *w, const char *below, const char *text, mode_t mode)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->task_dir, below);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void commands_are_looked_for_in_the_task_first(void **state)
{
	struct world *w = *state;
	struct watched x;
	char path[256];
	char text[64];

	snprintf(path, sizeof(path), "%s/local", w->task_dir);
	assert_int_equal(mkdir(path, 0755), 0);
	write_script(w, "cat", "#!/bin/sh\necho task\n", 0755);
	world_run_task(w, &x, "{\"command\":\"cat\"}");
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
	/* A download without its mode is made executable. */
	write_script(w, "local/cat", "#!/bin/sh\necho local\n", 0644);
	world_run_task(w, &x, "{\"command\":\"cat\"}");
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
	world_run_task(w, &x, "{\"command\":\"local/cat\"}");
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "task\nlocal\nlocal\n");
}

static void a_link_out_of_the_task_does_not_change_the_mode_of_its_target(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"link\"}");
	char target[256];
	char link[256];
	struct stat st;

	write_script(w, "../outside", "#!/bin/sh\n", 0644);
	snprintf(target, sizeof(target), "%s/outside", w->dir);
	snprintf(link, sizeof(link), "%s/link", w->task_dir);
	assert_int_equal(symlink(target, link), 0);
	expect_failure(w, &spec, "link", "permission denied");
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
}

static void a_kill_is_polite_first(void **state)
{
	struct world *w = *state;
	struct watched x;

	world_run_script(w, &x, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
	world_await_file(w, "logs/t.stdout.0");
	assert_int_equal(driver_kill(x.task, "SIGTERM", 5000000000), 0);
	assert_true(world_run(w, &x.exited, 3000));
	assert_int_equal(x.exit.code, 5);
	world_forget(w, &x);
}

static void the_kill_timeout_is_followed_by_sigkill(void **state)
{
	struct world *w = *state;
	struct watched x;
	int64_t begin;
	int64_t took;

	world_run_script(w, &x, "trap '' INT TERM; echo deaf; while :; do sleep 0.2; done");
	world_await_file(w, "logs/t.stdout.0");
	begin = world_now_ns(CLOCK_MONOTONIC);
	assert_int_equal(driver_kill(x.task, NULL, 500000000), 0);
	assert_true(world_run(w, &x.exited, 3000));
	took = world_now_ns(CLOCK_MONOTONIC) - begin;
	assert_in_range(took, 490000000, 20000000000);
	assert_int_equal(x.exit.signal, SIGKILL);
	world_forget(w, &x);
}

static void a_second_kill_can_shorten_the_wait_only(void **state)
{
	struct world *w = *state;
	struct watched x;
	int64_t begin;

	world_run_script(w, &x, "trap '' INT; echo deaf; while :; do sleep 0.2; done");
	world_await_file(w, "logs/t.stdout.0");
	begin = world_now_ns(CLOCK_MONOTONIC);
	driver_kill(x.task, NULL, 60000000000);
	driver_kill(x.task, NULL, 300000000);
	driver_kill(x.task, NULL, 60000000000);
	assert_true(world_run(w, &x.exited, 3000));
	assert_true(world_now_ns(CLOCK_MONOTONIC) - begin >= 290000000);
	world_forget(w, &x);
}

static void a_kill_while_it_starts_is_not_lost(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/sleep\",\"args\":[\"60\"]}");
	struct watched x;

	world_begin(w, &x, "raw_exec", &spec);
	assert_int_equal(driver_kill(x.task, "SIGTERM", 1000000000), 0);
	assert_true(world_run(w, &x.exited, 3000));
	assert_true(x.started);
	assert_int_equal(x.exit.signal, SIGTERM);
	world_forget(w, &x);
}

static void signals_reach_the_task(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];

	world_run_script(w, &x, "trap 'echo got-usr1; exit 0' USR1; echo ready; while :; do sleep 0.05; done");
	world_await_file(w, "logs/t.stdout.0");
	assert_int_equal(driver_signal(x.task, "SIGNOPE", world_answered, &x), ERR_INVALID);
	assert_int_equal(driver_signal(x.task, "SIGUSR1", world_answered, &x), 0);
	assert_true(world_run(w, &x.answered, 2000));
	assert_true(x.answer_ok);
	assert_true(world_run(w, &x.exited, 3000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "ready\ngot-usr1\n");
	assert_int_equal(driver_signal(x.task, "SIGUSR1", NULL, NULL), ERR_CLOSED);
	world_forget(w, &x);
}

static void the_whole_tree_dies_with_the_first_process(void **state)
{
	struct world *w = *state;
	struct watched x;
	pid_t child;
	pid_t moved;

	/* One child of the group, and one that has left it twice over and has lost its parent. */
	world_run_script(w, &x,
			 "sleep 1000 & echo $! > child; setsid sh -c 'setsid sleep 1000 & echo $! > moved'; "
			 "while [ ! -s moved ]; do sleep 0.01; done; exit 3");
	assert_true(world_run(w, &x.exited, 5000));
	child = world_read_pid(w, "t/child");
	moved = world_read_pid(w, "t/moved");
	assert_true(child > 1 && moved > 1);
	assert_false(world_is_alive(child));
	assert_false(world_is_alive(moved));
	assert_int_equal(x.exit.code, 3);
	world_forget(w, &x);
}

static void a_kill_reaches_children_that_hide(void **state)
{
	struct world *w = *state;
	struct watched x;
	pid_t moved;

	world_run_script(w, &x,
			 "trap '' INT; setsid sh -c 'trap : INT TERM HUP; sleep 1000 & echo $$ > moved; wait; wait' & "
			 "wait; wait; wait");
	world_await_file(w, "t/moved");
	moved = world_read_pid(w, "t/moved");
	assert_true(world_is_alive(moved));
	driver_kill(x.task, NULL, 100000000);
	assert_true(world_run(w, &x.exited, 5000));
	assert_false(world_is_alive(moved));
	world_forget(w, &x);
}

static void a_destroyed_task_dies_and_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct watched x;
	DIR *d;
	struct dirent *e;
	pid_t pid;

	world_run_script(w, &x, "trap '' INT TERM; echo $$; sleep 1000; sleep 1000");
	world_await_file(w, "logs/t.stdout.0");
	pid = world_read_pid(w, "logs/t.stdout.0");
	driver_destroy(x.task);
	assert_true(world_await_death(pid));
	world_run(w, NULL, 200);
	assert_false(x.exited);
	d = opendir(w->state_dir);
	while ((e = readdir(d)) != NULL) {
		assert_int_equal(e->d_name[0], '.');
	}
	closedir(d);
}

static void destroying_while_it_starts_is_clean(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/sleep\",\"args\":[\"1000\"]}");
	struct watched x;
	int i;

	for (i = 0; i < 20; i++) {
		world_begin(w, &x, "raw_exec", &spec);
		if (i % 2 == 1) {
			world_run(w, NULL, i % 7);
		}
		driver_destroy(x.task);
	}
	world_run(w, NULL, 300);
	assert_true(list_empty(&w->host->tasks));
}

static void a_vanished_task_directory_does_not_stop_the_kill(void **state)
{
	struct world *w = *state;
	struct watched x;

	world_run_script(w, &x, "trap '' INT; echo ready; while :; do sleep 0.05; done");
	world_await_file(w, "logs/t.stdout.0");
	nftw(w->dir, world_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	driver_kill(x.task, NULL, 100000000);
	assert_true(world_run(w, &x.exited, 5000));
	assert_int_equal(x.exit.signal, SIGKILL);
	world_forget(w, &x);
}

static void use_is_measured_over_the_whole_tree(void **state)
{
	struct world *w = *state;
	struct watched x;

	world_run_script(w, &x,
			 "sleep 1000 & sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo x; sleep 1000'");
	world_await_file(w, "logs/t.stdout.0");
	assert_int_equal(driver_stats(x.task, world_measured, &x), 0);
	assert_true(world_run(w, &x.measured, 2000));
	assert_in_range(x.stats.pids, 3, 4);
	assert_true(x.stats.rss_bytes > 1 << 20);
	assert_true(x.stats.cpu_user_ns + x.stats.cpu_system_ns > 20000000);
	world_forget(w, &x);
}

static void the_user_is_changed_when_asked(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"id -u; id -G; pwd\"]}");
	struct watched x;
	char text[256];
	char want[256];

	spec.user = "nobody";
	world_begin(w, &x, "raw_exec", &spec);
	if (geteuid() != 0) {
		/* Without privileges: refused, unless it is the same user. */
		world_run(w, &x.failed, 3000);
		assert_true(x.failed || x.started);
		if (x.started) {
			assert_true(world_run(w, &x.exited, 3000));
		}
		world_forget(w, &x);
		return;
	}
	assert_true(world_run(w, &x.exited, 5000));
	snprintf(want, sizeof(want), "%u\n%u\n%s\n", getpwnam("nobody")->pw_uid, getpwnam("nobody")->pw_gid,
		 w->task_dir);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), want);
	world_forget(w, &x);
}

static void a_cgroup_can_be_given(void **state)
{
	static const char given[] = "/sys/fs/cgroup/freezer/drover-test-given";
	struct world *w = *state;
	struct driver_error error;
	struct watched x;
	char text[2048];

	assert_int_equal(driver_find("raw_exec")
				 ->validate("{\"command\":\"x\",\"cgroup_v1_override\":{\"a\":\"../b\"}}", &error),
			 ERR_INVALID);
	assert_int_equal(driver_find("raw_exec")
				 ->validate("{\"command\":\"x\",\"cgroup_v1_override\":[{\"a\":\"b\"}],"
					    "\"cgroup_v2_override\":\"c\"}",
					    &error),
			 ERR_INVALID);
	if (geteuid() != 0 || mkdir(given, 0755) != 0) {
		skip();
	}
	world_run_task(w, &x,
		       "{\"command\":\"cat\",\"args\":[\"/proc/self/cgroup\"],"
		       "\"cgroup_v1_override\":[{\"freezer\":\"drover-test-given\"}]}");
	assert_true(world_run(w, &x.exited, 5000));
	assert_non_null(strstr(world_read(w, "logs/t.stdout.0", text, sizeof(text)), ":freezer:/drover-test-given\n"));
	world_forget(w, &x);
	assert_int_equal(rmdir(given), 0);
}

/* Tasks of all kinds that are started, asked, killed, let go of and destroyed in any order: in the end there is none.
 */
static void random_lives_leave_nothing(void **state)
{
	enum { SLOTS = 12, STEPS = 400 };
	static const char *const configs[] = {
		"{\"command\":\"/bin/true\"}",
		"{\"command\":\"/no/such\"}",
		"{\"command\":\"/bin/sleep\",\"args\":[\"0.03\"]}",
		"{\"command\":\"/bin/sleep\",\"args\":[\"1000\"]}",
		("{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"trap '' INT; setsid sleep 1000 & sleep 1000; sleep "
		 "1000\"]}"),
	};
	struct world *w = *state;
	static struct watched x[SLOTS];
	unsigned seed = (unsigned)time(NULL);
	char marker[64];
	char command[128];
	const char *env[1] = {marker};
	struct buf b = {0};
	int step;
	int i;

	printf("seed %u\n", seed);
	srand(seed);
	snprintf(marker, sizeof(marker), "DROVER_TEST=%d-%u", (int)getpid(), seed);
	memset(x, 0, sizeof(x));
	for (step = 0; step < STEPS; step++) {
		struct watched *y = &x[rand() % SLOTS];
		char state_dir[160];

		if (y->task == NULL) {
			struct driver_spec spec = world_spec(w, configs[rand() % 5]);

			snprintf(state_dir, sizeof(state_dir), "%s/%d", w->state_dir, (int)(y - x));
			mkdir(state_dir, 0700);
			spec.state_dir = state_dir;
			spec.env = env;
			spec.env_n = 1;
			world_begin(w, y, "raw_exec", &spec);
		} else if (rand() % 4 == 0) {
			driver_destroy(y->task);
			y->task = NULL;
		} else if (rand() % 4 == 0) {
			driver_kill(y->task, NULL, rand() % 3 * INT64_C(10000000));
		} else if (rand() % 3 == 0) {
			driver_stats(y->task, world_measured, y);
			driver_signal(y->task, "SIGCONT", world_answered, y);
		} else if (y->task->state == DRIVER_RUNNING && !y->exited) {
			b.len = 0;
			driver_save(y->task, &b);
			driver_detach(y->task);
			memset(y, 0, sizeof(*y));
			y->task = driver_recover(w->host, driver_find("raw_exec"), b.at, b.len, &world_events, y);
		}
		if (rand() % 3 == 0) {
			world_run(w, NULL, rand() % 20);
		}
	}
	for (i = 0; i < SLOTS; i++) {
		if (x[i].task != NULL) {
			driver_destroy(x[i].task);
		}
	}
	buf_close(&b);
	for (i = 0; i < 500 && !list_empty(&w->host->tasks); i++) {
		world_run(w, NULL, 10);
	}
	assert_true(list_empty(&w->host->tasks));
	snprintf(command, sizeof(command), "! grep -slz '^%s$' /proc/[0-9]*/environ >/dev/null", marker);
	assert_int_equal(system(command), 0);
}

static int64_t pss_kb(pid_t pid)
{
	char path[64];
	char text[2048];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	if (proc_read(AT_FDCWD, path, text, sizeof(text)) <= 0) {
		return -1;
	}
	at = strstr(text, "\nPss:");
	return at == NULL ? -1 : atoll(at + 5);
}

/* What a running task costs beside its own process, with its share of what executors have in common. */
static void an_executor_is_small(void **state)
{
	enum { TASKS = 8 };
	struct world *w = *state;
	struct watched x[TASKS];
	struct proc_stat s;
	int64_t sum = 0;
	int i;

	if (EXECUTOR_IS_INSTRUMENTED) {
		skip();
	}
	for (i = 0; i < TASKS; i++) {
		char state_dir[160];
		struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/sleep\",\"args\":[\"1000\"]}");

		snprintf(state_dir, sizeof(state_dir), "%s/%d", w->state_dir, i);
		assert_int_equal(mkdir(state_dir, 0700), 0);
		spec.state_dir = state_dir;
		world_begin(w, &x[i], "raw_exec", &spec);
		assert_true(world_run(w, &x[i].started, 3000));
	}
	for (i = 0; i < TASKS; i++) {
		assert_int_equal(proc_stat(x[i].task->pid, &s), 0);
		assert_true(pss_kb(s.parent) > 0);
		sum += pss_kb(s.parent);
	}
	printf("%lld KiB for each executor\n", (long long)(sum / TASKS));
	assert_in_range(sum / TASKS, 1, 200);
	for (i = 0; i < TASKS; i++) {
		world_forget(w, &x[i]);
	}
}

static void no_descriptor_of_the_agents_is_inherited(void **state)
{
	struct world *w = *state;
	int leak = open("/etc/passwd", O_RDONLY); /* Without O_CLOEXEC, as a careless library may do. */
	struct watched x;
	char text[256];

	world_run_script(w, &x, "ls /proc/self/fd | tr '\\\\n' ' '; ls -l /proc/$PPID/fd | grep -c passwd");
	assert_true(world_run(w, &x.exited, 5000));
	/* 3 is the directory that ls reads. */
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "0 1 2 3 0\n");
	close(leak);
	world_forget(w, &x);
}

static void signals_and_groups_start_clean(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[512];

	signal(SIGPIPE, SIG_IGN);
	world_run_script(
		w, &x,
		"grep -E '^Sig(Blk|Ign)' /proc/self/status; test $$ = $(ps -o pgid= -p $$ | tr -d ' ') && echo leader");
	assert_true(world_run(w, &x.exited, 5000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)),
			    "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nleader\n");
	world_forget(w, &x);
}

static void a_restarted_task_goes_on_in_the_same_log(void **state)
{
	struct world *w = *state;
	struct watched x;
	char text[64];
	int i;

	for (i = 0; i < 3; i++) {
		world_run_script(w, &x, "echo again");
		assert_true(world_run(w, &x.exited, 5000));
		world_forget(w, &x);
	}
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "again\nagain\nagain\n");
}

static void a_missing_executor_is_told(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/true\"}");
	struct driver_info info;
	struct arena mem = {0};
	char *kept = w->host->executor;
	static char missing[] = "/no/such/executor";

	w->host->executor = missing;
	expect_failure(w, &spec, missing, "no such file or directory");
	driver_fingerprint(w->host, driver_find("raw_exec"), &mem, &info);
	assert_true(info.detected);
	assert_false(info.healthy);
	w->host->executor = kept;
	arena_close(&mem);
}

static void the_driver_is_off_until_it_is_turned_on(void **state)
{
	struct world *w = *state;
	const struct driver *d = driver_find("raw_exec");
	struct driver_error error;
	struct driver_info info;
	struct arena mem = {0};
	struct driver_spec spec = world_spec(w, "{\"command\":\"/bin/true\"}");

	w->host->dev = false;
	driver_fingerprint(w->host, d, &mem, &info);
	assert_false(info.detected);
	expect_failure(w, &spec, "disabled", "raw_exec");
	assert_int_equal(driver_host_plugin(w->host, "raw_exec", "{\"enabled\":true}", &error), 0);
	driver_fingerprint(w->host, d, &mem, &info);
	assert_true(info.detected && info.healthy);
	assert_int_equal(driver_host_plugin(w->host, "raw_exec", "{\"enable\":true}", &error), ERR_INVALID);
	assert_non_null(strstr(error.text, "\"enable\""));
	assert_int_equal(driver_host_plugin(w->host, "podman", "{}", &error), ERR_NOTFOUND);
	arena_close(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(exit_codes_are_told),
		T(a_signal_of_its_own_is_told),
		T(output_is_complete_when_the_end_is_told),
		T(disabled_logs_leave_no_files),
		T(it_runs_in_its_directory_with_the_agents_environment),
		T(failures_to_start_name_their_cause),
		T(a_bad_config_names_the_field),
		T(numbers_in_args_become_text),
		T(commands_are_looked_for_in_the_task_first),
		T(a_link_out_of_the_task_does_not_change_the_mode_of_its_target),
		T(a_kill_is_polite_first),
		T(the_kill_timeout_is_followed_by_sigkill),
		T(a_second_kill_can_shorten_the_wait_only),
		T(a_kill_while_it_starts_is_not_lost),
		T(signals_reach_the_task),
		T(the_whole_tree_dies_with_the_first_process),
		T(a_kill_reaches_children_that_hide),
		T(a_destroyed_task_dies_and_leaves_nothing),
		T(destroying_while_it_starts_is_clean),
		T(a_vanished_task_directory_does_not_stop_the_kill),
		T(use_is_measured_over_the_whole_tree),
		T(the_user_is_changed_when_asked),
		T(a_cgroup_can_be_given),
		T(random_lives_leave_nothing),
		T(an_executor_is_small),
		T(no_descriptor_of_the_agents_is_inherited),
		T(signals_and_groups_start_clean),
		T(a_restarted_task_goes_on_in_the_same_log),
		T(a_missing_executor_is_told),
		T(the_driver_is_off_until_it_is_turned_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
