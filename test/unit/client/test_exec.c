#include "test/unit/client/world.h"

#include <pwd.h>

#include "client/capabilities.h"
#include "client/executor/tree.h"
#include "client/executor_task.h"
#include "client/user.h"

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

/* Where the machine does not let us, the fingerprint says why. */
static struct world *permitted(void **state)
{
	struct world *w = *state;
	struct arena mem = {0};
	struct driver_info info;

	driver_fingerprint(w->host, driver_find("exec"), &mem, &info);
	if (!info.detected) {
		print_message("skipped: %s\n", info.health_description);
		arena_close(&mem);
		skip();
	}
	arena_close(&mem);
	return w;
}

static struct driver_spec spec_of(const struct world *w, const char *config)
{
	struct driver_spec spec = world_spec(w, config);

	spec.cpu_shares = 100;
	spec.memory_mb = 64;
	return spec;
}

static void run_config(struct world *w, struct watched *x, const char *config)
{
	struct driver_spec spec = spec_of(w, config);

	world_begin(w, x, "exec", &spec);
	if (!world_run(w, &x->started, 5000)) {
		fail_msg("not started: %s", x->error.text);
	}
}

/* A few of them can be in use at a time. */
static const char *script_config(const char *script, const char *more)
{
	static char configs[16][2048];
	static unsigned next;
	char *config = configs[next++ % 16];

	snprintf(config, sizeof(configs[0]), "{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"%s\"]%s}", script, more);
	return config;
}

static void run_script(struct world *w, struct watched *x, const char *script)
{
	run_config(w, x, script_config(script, ""));
}

/* What the script writes, when it has ended. */
static const char *output_of(struct world *w, const char *script, const char *more)
{
	static char text[1024];
	struct watched x;
	char path[256];

	snprintf(path, sizeof(path), "%s/t.stdout.0", w->log_dir);
	unlink(path);
	run_config(w, &x, script_config(script, more));
	if (!world_run(w, &x.exited, 5000)) {
		fail_msg("did not end: %s", script);
	}
	world_forget(w, &x);
	return world_read(w, "logs/t.stdout.0", text, sizeof(text));
}

static void refused(struct world *w, const struct driver_spec *spec, const char *contains)
{
	struct watched x;

	world_begin(w, &x, "exec", spec);
	assert_true(world_run(w, &x.failed, 5000));
	if (strstr(x.error.text, contains) == NULL) {
		fail_msg("\"%s\" is not in: %s", contains, x.error.text);
	}
	assert_false(x.error.recoverable);
	world_forget(w, &x);
}

/* ---- the root ---- */

static void its_directory_is_its_root(void **state)
{
	struct world *w = permitted(state);
	char path[256];
	char text[64];

	snprintf(path, sizeof(path), "%s/local", w->task_dir);
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_string_equal(output_of(w, "pwd; echo hello > /local/f; cat /local/f", ""), "/\nhello\n");
	assert_string_equal(world_read(w, "t/local/f", text, sizeof(text)), "hello\n");
	assert_string_equal(output_of(w, "pwd", ",\"work_dir\":\"/local\""), "/local\n");
}

static void the_shared_directory_is_there(void **state)
{
	struct world *w = permitted(state);
	char text[64];

	assert_string_equal(output_of(w, "echo shared > /alloc/f; cat /alloc/f", ""), "shared\n");
	assert_string_equal(world_read(w, "alloc/f", text, sizeof(text)), "shared\n");
}

static void nothing_else_of_the_host_is_seen(void **state)
{
	struct world *w = permitted(state);
	const char *seen;

	assert_string_equal(output_of(w, "ls -d /home /root /var /opt /boot 2>/dev/null; echo none", ""), "none\n");
	/* Neither by going up nor by what other processes have. */
	seen = output_of(w, "cd /; cd ../../..; pwd; ls -d root home; ls /proc/*/root/ | grep -c ^boot", "");
	assert_string_equal(seen, "/\n0\n");
	/* The agent's records. */
	assert_string_equal(output_of(w, "ls -A /private; echo none", ""), "none\n");
}

static void the_host_directories_are_not_writable(void **state)
{
	struct world *w = permitted(state);
	const char *script = "for d in /bin /etc /usr /usr/lib /sys /proc/sys/kernel; do "
			     "touch $d/drover-test 2>/dev/null && echo $d; done; echo none";
	struct driver_spec spec = spec_of(w, script_config(script, ""));
	struct watched x;
	char text[256];

	spec.user = "root";
	world_begin(w, &x, "exec", &spec);
	assert_true(world_run(w, &x.exited, 5000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "none\n");
	assert_int_equal(access("/etc/drover-test", F_OK), -1);
	world_forget(w, &x);
}

static void a_device_file_that_a_task_makes_is_no_door(void **state)
{
	struct world *w = permitted(state);
	const char *script = "for d in / /tmp /alloc /dev /dev/shm; do mkdir -p $d; "
			     "mknod $d/n c 1 3 && (echo x > $d/n) 2>/dev/null && echo open $d; rm -f $d/n; done; "
			     "echo x > /dev/null && head -c 2 /dev/zero | wc -c";

	assert_string_equal(output_of(w, script, ""), "2\n");
}

static void links_in_its_directory_do_not_lead_mounts_out(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("echo reached", ""));
	char link[256];
	char target[256];

	snprintf(target, sizeof(target), "%s/outside", w->dir);
	assert_int_equal(mkdir(target, 0777), 0);
	snprintf(link, sizeof(link), "%s/dev", w->task_dir);
	assert_int_equal(symlink(target, link), 0);
	refused(w, &spec, "make /dev in");
	assert_int_equal(rmdir(target), 0); /* Nothing was put there. */
}

static void what_a_task_puts_among_the_hosts_files_is_seen(void **state)
{
	struct world *w = permitted(state);
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/etc", w->task_dir);
	assert_int_equal(mkdir(path, 0777), 0);
	snprintf(path, sizeof(path), "%s/etc/app.conf", w->task_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("mine\n", f);
	fclose(f);
	assert_string_equal(output_of(w, "cat /etc/app.conf; grep -c ^root: /etc/passwd", ""), "mine\n1\n");
	assert_string_equal(output_of(w, "touch /etc/x 2>/dev/null || echo refused", ""), "refused\n");
}

static void what_is_shown_of_the_host_can_be_chosen(void **state)
{
	struct pair pairs[] = {{"/bin/sh", "/tools/sh"}, {"/etc/hostname", "/tools/name"}, {"/lib", "/lib"},
			       {"/lib64", "/lib64"},     {"/no/such", "/tools/none"},      {"relative", "/tools/bad"}};
	struct map env = {.at = pairs, .n = 6};
	struct world *w = permitted(state);
	struct driver_host_config c = {.loop = &w->loop, .chroot_env = &env};
	struct watched x;
	char text[64];

	world_close_host(w);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->closed = false;
	w->host = driver_host_open(&c);
	assert_non_null(w->host);
	run_config(w, &x, "{\"command\":\"/tools/sh\",\"args\":[\"-c\",\"echo /tools/* /bin /usr/*\"]}");
	assert_true(world_run(w, &x.exited, 5000));
	world_read(w, "logs/t.stdout.0", text, sizeof(text));
	assert_string_equal(text, "/tools/name /tools/sh /bin /usr/*\n");
	world_forget(w, &x);
}

static void commands_are_found_in_the_root(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, "{\"command\":\"nothing-such\"}");
	struct watched x;
	char path[256];
	char text[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/local", w->task_dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/local/cat", w->task_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("#!/bin/sh\necho local $0\n", f);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0); /* A download has lost its mode. */
	run_config(w, &x, "{\"command\":\"cat\"}");
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
	run_config(w, &x, "{\"command\":\"local/cat\"}");
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
	run_config(w, &x, "{\"command\":\"echo\",\"args\":[\"from the path\"]}");
	assert_true(world_run(w, &x.exited, 5000));
	world_forget(w, &x);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)),
			    "local /local/cat\nlocal /local/cat\nfrom the path\n");
	refused(w, &spec, "failed to launch command \"nothing-such\": no such file or directory");
	spec.config = "{\"command\":\"/etc/passwd\"}";
	refused(w, &spec, "permission denied");
	spec.config = "{\"command\":\"/bin/true\",\"work_dir\":\"/no/such\"}";
	refused(w, &spec, "working directory \"/no/such\"");
}

static void no_mount_is_left(void **state)
{
	struct world *w = permitted(state);
	struct watched x;
	char line[4096];
	FILE *mounts;
	bool seen = false;

	run_script(w, &x, "echo ready; sleep 1000");
	world_await_file(w, "logs/t.stdout.0");
	mounts = fopen("/proc/self/mountinfo", "r");
	assert_non_null(mounts);
	while (fgets(line, sizeof(line), mounts) != NULL) {
		seen |= strstr(line, w->dir) != NULL;
	}
	fclose(mounts);
	assert_false(seen); /* Not even while it runs: the host does not see them. */
	world_forget(w, &x);
}

static void the_old_way_of_changing_the_root_works_too(void **state)
{
	struct world *w = permitted(state);
	struct driver_error error;

	assert_int_equal(driver_host_plugin(w->host, "exec", "{\"no_pivot_root\":true}", &error), 0);
	assert_string_equal(output_of(w, "pwd; ls -d /root /home 2>/dev/null; echo none", ""), "/\nnone\n");
}

/* ---- who it is ---- */

static void it_is_nobody_unless_told(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("id -u; echo x > /dev/stderr", ""));
	struct watched x;
	char text[256];
	char want[64];

	snprintf(want, sizeof(want), "%u\n", getpwnam("nobody")->pw_uid);
	assert_string_equal(output_of(w, "id -u", ""), want);
	spec.user = "daemon";
	world_begin(w, &x, "exec", &spec);
	assert_true(world_run(w, &x.exited, 5000));
	snprintf(want, sizeof(want), "%u\n", getpwnam("daemon")->pw_uid);
	assert_non_null(strstr(world_read(w, "logs/t.stdout.0", text, sizeof(text)), want));
	assert_string_equal(world_read(w, "logs/t.stderr.0", text, sizeof(text)), "x\n");
	world_forget(w, &x);
}

static void users_can_be_denied(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("true", ""));
	struct driver_error error;

	assert_int_equal(driver_host_plugin(w->host, "exec", "{\"denied_host_uids\":\"0,70000-80000\"}", &error), 0);
	spec.user = "root";
	refused(w, &spec, "running as uid 0 is disallowed");
	assert_int_equal(driver_host_plugin(w->host, "exec", "{\"denied_host_gids\":\"0-5\"}", &error), 0);
	refused(w, &spec, "running as gid 0 is disallowed");
	assert_string_equal(output_of(w, "echo ok", ""), "ok\n");
}

static uint64_t capabilities_of(struct world *w, const char *which, const char *more)
{
	char script[128];

	snprintf(script, sizeof(script), "grep %s: /proc/self/status | cut -f 2", which);
	return strtoull(output_of(w, script, more), NULL, 16);
}

static void it_has_the_capabilities_that_are_allowed(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("true", ",\"cap_add\":[\"net_raw\", \"sys_time\"]"));
	uint64_t usual = capabilities_default() & capabilities_all();
	struct driver_error error;

	assert_int_equal(capabilities_of(w, "CapEff", ""), usual);
	assert_int_equal(capabilities_of(w, "CapBnd", ""), usual);
	assert_int_equal(capabilities_of(w, "CapEff", ",\"cap_drop\":[\"all\"]"), 0);
	assert_int_equal(capabilities_of(w, "CapEff", ",\"cap_drop\":[\"all\"],\"cap_add\":[\"CAP_CHOWN\"]"), 1);
	refused(w, &spec, "driver does not allow the following capabilities: net_raw, sys_time");
	assert_int_equal(driver_host_plugin(w->host, "exec", "{\"allow_caps\":[\"kill\",\"net_raw\"]}", &error), 0);
	assert_int_equal(capabilities_of(w, "CapEff", ""), 1 << 5);
	assert_int_equal(capabilities_of(w, "CapEff", ",\"cap_add\":[\"NET_RAW\"]"), 1 << 5 | 1 << 13);
}

static void it_cannot_become_more(void **state)
{
	struct world *w = permitted(state);

	assert_string_equal(output_of(w, "grep NoNewPrivs /proc/self/status | cut -f 2", ""), "1\n");
	assert_string_equal(output_of(w, "mount -t tmpfs x /tmp 2>/dev/null || echo no", ""), "no\n");
}

/* ---- namespaces ---- */

static void it_sees_its_own_processes_only(void **state)
{
	struct world *w = permitted(state);
	char want[64];

	assert_string_equal(output_of(w, "echo $$ /proc/[0-9]*", ""), "1 /proc/1\n");
	snprintf(want, sizeof(want), "test -d /proc/%d && echo seen", getpid());
	assert_string_equal(output_of(w, want, ",\"pid_mode\":\"host\""), "seen\n");
}

static const char *own_link(const char *path)
{
	static char text[64];
	ssize_t n = readlink(path, text, sizeof(text) - 2);

	assert_true(n > 0);
	text[n] = '\n';
	text[n + 1] = '\0';
	return text;
}

static void each_namespace_can_be_the_hosts(void **state)
{
	struct world *w = permitted(state);
	struct driver_error error;

	assert_string_not_equal(output_of(w, "readlink /proc/self/ns/ipc", ""), own_link("/proc/self/ns/ipc"));
	assert_string_equal(output_of(w, "readlink /proc/self/ns/ipc", ",\"ipc_mode\":\"host\""),
			    own_link("/proc/self/ns/ipc"));
	assert_int_equal(driver_host_plugin(w->host, "exec", "{\"default_pid_mode\":\"host\"}", &error), 0);
	assert_string_equal(output_of(w, "readlink /proc/self/ns/pid", ""), own_link("/proc/self/ns/pid"));
	assert_string_not_equal(output_of(w, "readlink /proc/self/ns/pid", ",\"pid_mode\":\"private\""),
				own_link("/proc/self/ns/pid"));
	assert_string_not_equal(output_of(w, "readlink /proc/self/ns/mnt", ""), own_link("/proc/self/ns/mnt"));
}

/* ---- its end ---- */

static void ends_and_signals_are_told(void **state)
{
	struct world *w = permitted(state);
	struct watched x;

	run_script(w, &x, "exit 7");
	assert_true(world_run(w, &x.exited, 5000));
	assert_int_equal(x.exit.code, 7);
	world_forget(w, &x);
	run_script(w, &x, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
	world_await_file(w, "logs/t.stdout.0");
	driver_kill(x.task, "SIGTERM", 5000000000);
	assert_true(world_run(w, &x.exited, 3000));
	assert_int_equal(x.exit.code, 5);
	world_forget(w, &x);
}

static void a_kill_reaches_all_in_either_mode(void **state)
{
	static const char *const modes[] = {"", ",\"pid_mode\":\"host\""};
	const char *script = "trap '' INT TERM; setsid sh -c 'setsid sleep 7654321 & sleep 7654321' & "
			     "sleep 0.2; echo ready; sleep 7654321; sleep 7654321";
	struct world *w = permitted(state);
	struct watched x;
	unsigned i;
	FILE *f;
	char path[64];
	char line[32] = "";
	char log[256];
	int left = 0;

	for (i = 0; i < 2; i++) {
		run_config(w, &x, script_config(script, modes[i]));
		world_await_file(w, "logs/t.stdout.0");
		driver_kill(x.task, NULL, 100000000);
		assert_true(world_run(w, &x.exited, 5000));
		assert_int_equal(x.exit.signal, SIGKILL);
		assert_false(x.exit.oom_killed);
		world_forget(w, &x);
		snprintf(path, sizeof(path), "pgrep -c -f 'sleep 765432[1]'");
		f = popen(path, "r");
		assert_non_null(f);
		assert_non_null(fgets(line, sizeof(line), f));
		left += atoi(line);
		pclose(f);
		snprintf(log, sizeof(log), "%s/t.stdout.0", w->log_dir);
		unlink(log);
	}
	assert_int_equal(left, 0);
}

static void it_dies_with_its_executor(void **state)
{
	struct world *w = permitted(state);
	struct watched x;
	pid_t pid;

	run_script(w, &x, "echo ready; sleep 1000");
	world_await_file(w, "logs/t.stdout.0");
	pid = x.task->pid;
	assert_true(world_is_alive(pid));
	assert_int_equal(kill(CONTAINER_OF(x.task, struct executor_task, base)->id.executor, SIGKILL), 0);
	assert_true(world_await_death(pid));
	assert_true(world_run(w, &x.exited, 5000));
	assert_string_not_equal(x.exit.error, "");
	world_forget(w, &x);
}

static void another_agent_finds_it_again(void **state)
{
	struct world *w = permitted(state);
	struct buf record = {0};
	struct watched x;

	run_script(w, &x, "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done");
	world_await_file(w, "logs/t.stdout.0");
	driver_save(x.task, &record);
	driver_detach(x.task);
	world_close_host(w);
	world_open_host(w);
	memset(&x, 0, sizeof(x));
	x.task = driver_recover(w->host, driver_find("exec"), record.at, record.len, &world_events, &x);
	assert_true(world_run(w, &x.started, 5000));
	assert_int_equal(driver_signal(x.task, "SIGUSR1", NULL, NULL), 0);
	assert_true(world_run(w, &x.exited, 5000));
	assert_int_equal(x.exit.code, 9);
	world_forget(w, &x);
	buf_close(&record);
}

/* ---- limits ---- */

static void too_much_memory_is_the_end_and_told(void **state)
{
	struct world *w = permitted(state);
	struct watched x;

	run_script(w, &x, "head -c 200m /dev/zero | tail | wc -c; exit 3");
	assert_true(world_run(w, &x.exited, 20000));
	assert_true(x.exit.oom_killed);
	world_forget(w, &x);
}

static void a_maximum_of_memory_is_the_bound(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("head -c 100m /dev/zero | tail | wc -c; exit 3", ""));
	struct watched x;

	spec.memory_max_mb = 400;
	world_begin(w, &x, "exec", &spec);
	assert_true(world_run(w, &x.exited, 20000));
	assert_false(x.exit.oom_killed);
	assert_int_equal(x.exit.code, 3);
	world_forget(w, &x);
}

/* The task's cgroups in the hierarchies of version 1 and 2: "memory/...". */
static void read_cgroup_file(pid_t pid, const char *controller, const char *file, char *out, size_t size)
{
	char path[1200];
	char text[1024];
	char key[32];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	assert_true(proc_read(AT_FDCWD, path, text, sizeof(text)) > 0);
	snprintf(key, sizeof(key), ":%s:", controller);
	at = strstr(text, key);
	out[0] = '\0';
	if (at != NULL) {
		at += strlen(key);
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%.*s/%s", controller, (int)strcspn(at, "\n"), at, file);
		if (proc_read(AT_FDCWD, path, out, size) < 0) {
			out[0] = '\0';
		}
	}
}

static void make_file(const char *dir, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

/* This machine may have only one of the versions. A plain directory takes what is written as well as a cgroup, but has
 * no files at first. */
static void the_limits_of_version_2_are_written(void **state)
{
	static const char *const files[] = {"memory.max", "memory.low", "memory.swap.max", "cpu.weight", "cpuset.cpus"};
	struct world *w = *state;
	struct executor_spec spec = {.memory_bytes = 1 << 30, .memory_low_bytes = 1 << 20, .cpu_shares = 1000,
				     .cpus = "0-1"};
	struct tree_group g;
	char text[64];
	unsigned i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		make_file(w->shared_dir, files[i]);
	}
	g = (struct tree_group){.dir = open(w->shared_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .parent = -1};
	assert_int_equal(tree_limit(&g, &spec, false), 0);
	assert_string_equal(world_read(w, "alloc/memory.max", text, sizeof(text)), "1073741824");
	assert_string_equal(world_read(w, "alloc/memory.low", text, sizeof(text)), "1048576");
	assert_string_equal(world_read(w, "alloc/memory.swap.max", text, sizeof(text)), "0");
	assert_string_equal(world_read(w, "alloc/cpu.weight", text, sizeof(text)), "39");
	assert_string_equal(world_read(w, "alloc/cpuset.cpus", text, sizeof(text)), "0-1");
	close(g.dir);
}

static void a_task_that_cannot_be_limited_does_not_start(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("true", ""));

	spec.cpus = "100000";
	refused(w, &spec, "limit the resources of");
}

static void its_shares_and_processors_are_set(void **state)
{
	struct world *w = permitted(state);
	struct driver_spec spec = spec_of(w, script_config("nproc; sleep 1000", ""));
	struct watched x;
	char text[64];

	spec.cpu_shares = 250;
	spec.cpus = "0";
	world_begin(w, &x, "exec", &spec);
	world_await_file(w, "logs/t.stdout.0");
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "1\n");
	if (w->host->cgroups.old[1] != NULL) {
		read_cgroup_file(x.task->pid, "cpu", "cpu.shares", text, sizeof(text));
		assert_string_equal(text, "250\n");
	} else {
		read_cgroup_file(x.task->pid, "", "cpu.weight", text, sizeof(text));
		assert_string_equal(text, "10\n");
	}
	world_forget(w, &x);
}

static void no_cgroup_is_left(void **state)
{
	struct world *w = permitted(state);
	struct watched x;
	char path[1024];
	char *paths;
	char *line;
	struct arena mem = {0};
	int i;

	run_script(w, &x, "echo ready; sleep 1000");
	world_await_file(w, "logs/t.stdout.0");
	paths = arena_strdup(&mem, CONTAINER_OF(x.task, struct executor_task, base)->id.limit_cgroups);
	snprintf(path, sizeof(path), "%s", CONTAINER_OF(x.task, struct executor_task, base)->id.cgroup);
	assert_true(paths[0] != '\0' || path[0] != '\0');
	world_forget(w, &x);
	for (line = strtok(paths, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		for (i = 0; i < 100 && access(line, F_OK) == 0; i++) {
			world_run(w, NULL, 10);
		}
		assert_int_equal(access(line, F_OK), -1);
	}
	assert_true(path[0] == '\0' || access(path, F_OK) == -1);
	arena_close(&mem);
}

static void use_is_measured(void **state)
{
	struct world *w = permitted(state);
	struct watched x;

	run_script(w, &x, "sleep 1000 & echo ready; wait");
	world_await_file(w, "logs/t.stdout.0");
	assert_int_equal(driver_stats(x.task, world_measured, &x), 0);
	assert_true(world_run(w, &x.measured, 2000));
	assert_int_equal(x.stats.pids, 2);
	assert_true(x.stats.rss_bytes > 0);
	world_forget(w, &x);
}

/* ---- what is refused ---- */

static void bad_settings_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{"{\"default_pid_mode\":\"maybe\"}", "default_pid_mode"},
		{"{\"default_ipc_mode\":\"\"}", "default_ipc_mode"},
		{"{\"allow_caps\":[\"fly\"]}", "\"fly\""},
		{"{\"denied_host_uids\":\"5-\"}", "denied_host_uids"},
		{"{\"denied_host_gids\":\"9-5\"}", "denied_host_gids"},
		{"{\"nope\":1}", "\"nope\""},
	};
	struct world *w = *state;
	struct driver_error error;
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(driver_host_plugin(w->host, "exec", bad[i][0], &error), ERR_INVALID);
		if (strstr(error.text, bad[i][1]) == NULL) {
			fail_msg("%s: %s", bad[i][0], error.text);
		}
	}
	assert_string_equal(w->host->exec.default_pid_mode, "private");
}

static void bad_configs_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{"{}", "\"command\""},
		{"{\"command\":\"x\",\"pid_mode\":\"none\"}", "pid_mode"},
		{"{\"command\":\"x\",\"ipc_mode\":\"none\"}", "ipc_mode"},
		{"{\"command\":\"x\",\"work_dir\":\"here\"}", "work_dir"},
		{"{\"command\":\"x\",\"cap_add\":[\"fly\"]}", "cap_add"},
		{"{\"command\":\"x\",\"cap_drop\":[\"\"]}", "cap_drop"},
	};
	struct driver_error error;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(driver_find("exec")->validate(bad[i][0], &error), ERR_INVALID);
		if (strstr(error.text, bad[i][1]) == NULL) {
			fail_msg("%s: %s", bad[i][0], error.text);
		}
	}
}

static void ranges_of_users_are_read(void **state)
{
	(void)state;
	assert_true(user_ranges_ok("") && user_ranges_ok("0") && user_ranges_ok("1, 5-7,9"));
	assert_false(user_ranges_ok(",") || user_ranges_ok("1,") || user_ranges_ok("a") || user_ranges_ok("-1") ||
		     user_ranges_ok("3-2") || user_ranges_ok("4294967295") || user_ranges_ok("1 2"));
	assert_true(user_in_ranges("1, 5-7,9", 6) && user_in_ranges("1, 5-7,9", 9));
	assert_false(user_in_ranges("1, 5-7,9", 8) || user_in_ranges("", 0));
}

/* An agent that is not root says so. The effective user of this process alone is changed, and back. */
static void without_privileges_it_is_not_detected(void **state)
{
	struct world *w = *state;
	struct driver_info info;
	struct arena mem = {0};
	struct driver_spec spec = spec_of(w, script_config("true", ""));

	if (geteuid() == 0) {
		assert_int_equal(seteuid(65534), 0);
	}
	driver_fingerprint(w->host, driver_find("exec"), &mem, &info);
	if (getuid() == 0) {
		assert_int_equal(seteuid(0), 0);
	}
	assert_false(info.detected || info.healthy);
	assert_string_equal(info.health_description, "Driver must run as root");
	assert_int_equal(info.attributes.n, 0);
	refused(w, &spec, "Driver must run as root");
	arena_close(&mem);
}

static void with_privileges_it_is_healthy(void **state)
{
	struct world *w = permitted(state);
	struct driver_info info;
	struct arena mem = {0};

	driver_fingerprint(w->host, driver_find("exec"), &mem, &info);
	assert_true(info.detected && info.healthy);
	assert_string_equal(info.health_description, "Healthy");
	assert_int_equal(info.attributes.n, 1);
	assert_string_equal(info.attributes.at[0].key, "driver.exec");
	arena_close(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(its_directory_is_its_root),
		T(the_shared_directory_is_there),
		T(nothing_else_of_the_host_is_seen),
		T(the_host_directories_are_not_writable),
		T(a_device_file_that_a_task_makes_is_no_door),
		T(links_in_its_directory_do_not_lead_mounts_out),
		T(what_a_task_puts_among_the_hosts_files_is_seen),
		T(what_is_shown_of_the_host_can_be_chosen),
		T(commands_are_found_in_the_root),
		T(no_mount_is_left),
		T(the_old_way_of_changing_the_root_works_too),
		T(it_is_nobody_unless_told),
		T(users_can_be_denied),
		T(it_has_the_capabilities_that_are_allowed),
		T(it_cannot_become_more),
		T(it_sees_its_own_processes_only),
		T(each_namespace_can_be_the_hosts),
		T(ends_and_signals_are_told),
		T(a_kill_reaches_all_in_either_mode),
		T(it_dies_with_its_executor),
		T(another_agent_finds_it_again),
		T(too_much_memory_is_the_end_and_told),
		T(a_maximum_of_memory_is_the_bound),
		T(the_limits_of_version_2_are_written),
		T(a_task_that_cannot_be_limited_does_not_start),
		T(its_shares_and_processors_are_set),
		T(no_cgroup_is_left),
		T(use_is_measured),
		T(bad_settings_are_refused),
		T(bad_configs_are_refused),
		T(ranges_of_users_are_read),
		T(without_privileges_it_is_not_detected),
		T(with_privileges_it_is_healthy),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
