/* Against the engine of this machine; skipped where there is none. The image is made of the machine's own shell. */
#include "test/unit/client/ran.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/docker_config.h"
#include "client/docker_engine.h"
#include "proto/error.h"

#define IMAGE "drover-test:1"

/* Once for a machine: each import would leave the one before without a name. */
static const char make_image[] =
	"docker image inspect " IMAGE " >/dev/null 2>&1 && exit 0; "
	"f='/bin/sh /bin/cat /bin/sleep /bin/ls /usr/bin/head /usr/bin/tail /usr/bin/seq'; "
	"l=$(for x in $f; do ldd $x; done | grep -o '/[^ ]*' | sort -u); "
	"tar -C / -chf - $(echo $f $l | sed 's, /, ,g; s,^/,,') 2>/dev/null | "
	"docker import - " IMAGE " >/dev/null 2>&1";

/* Of this process alone, as others may use the same engine. */
static char alloc_id[40];

static int setup(void **state)
{
	static struct world w;
	char path[256];

	world_open(&w);
	snprintf(alloc_id, sizeof(alloc_id), "%08x-2222-3333-4444-555555555555", (unsigned)getpid());
	snprintf(path, sizeof(path), "%s/local", w.task_dir);
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/secrets", w.task_dir);
	mkdir(path, 0777);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

/* Whether there is an engine with our image. */
static struct world *ready(void **state)
{
	static int imported = -1;
	struct world *w = *state;
	struct arena mem = {0};
	struct driver_info info;

	driver_fingerprint(w->host, driver_find("docker"), &mem, &info);
	if (!info.detected) {
		print_message("skipped: %s\n", info.health_description);
		arena_close(&mem);
		skip();
	}
	arena_close(&mem);
	imported = imported < 0 ? system(make_image) : imported;
	if (imported != 0) {
		print_message("skipped: the image cannot be imported\n");
		skip();
	}
	return w;
}

static struct driver_spec spec_of(const struct world *w, const char *config)
{
	struct driver_spec spec = world_spec(w, config);

	spec.alloc_id = alloc_id;
	spec.cpu_shares = 100;
	spec.memory_mb = 64;
	return spec;
}

static const char *script_config(const char *script, const char *more)
{
	static char configs[8][2048];
	static unsigned next;
	char *config = configs[next++ % 8];

	snprintf(config, sizeof(configs[0]),
		 "{\"image\":\"" IMAGE "\",\"command\":\"/bin/sh\",\"args\":[\"-c\",\"%s\"]%s}", script, more);
	return config;
}

static void run_config(struct world *w, struct watched *x, const char *config)
{
	struct driver_spec spec = spec_of(w, config);

	world_begin(w, x, "docker", &spec);
	if (!world_run(w, &x->started, 30000)) {
		fail_msg("not started: %s", x->error.text);
	}
}

static int containers(void)
{
	char command[256];
	char line[32] = "";
	FILE *f;

	snprintf(command, sizeof(command), "docker ps -a -q --filter label=com.hashicorp.nomad.alloc_id=%s | wc -l",
		 alloc_id);
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	return atoi(line);
}

static void a_container_runs_and_its_output_is_kept(void **state)
{
	struct world *w = ready(state);
	static const char *const env[] = {"FOO=bar"};
	const char *script = "echo out $FOO; echo err >&2; echo x > /alloc/f; ls -d /local /secrets; exit 7";
	struct driver_spec spec = spec_of(w, script_config(script, ""));
	struct watched x;
	char text[256];

	spec.env = env;
	spec.env_n = 1;
	world_begin(w, &x, "docker", &spec);
	assert_true(world_run(w, &x.exited, 30000));
	assert_int_equal(x.exit.code, 7);
	assert_int_equal(x.exit.signal, 0);
	assert_string_equal(x.exit.error, "Docker container exited with non-zero exit code: 7");
	assert_in_range(x.exit.finished_ns, world_now_ns(CLOCK_REALTIME) - 10000000000, world_now_ns(CLOCK_REALTIME));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "out bar\n/local\n/secrets\n");
	assert_string_equal(world_read(w, "logs/t.stderr.0", text, sizeof(text)), "err\n");
	assert_string_equal(world_read(w, "alloc/f", text, sizeof(text)), "x\n");
	driver_destroy(x.task);
	world_close_host(w); /* Waits for the removal. */
	world_open_host(w);
	assert_int_equal(containers(), 0);
}

static void long_output_is_rotated_and_complete(void **state)
{
	struct world *w = ready(state);
	struct driver_spec spec = spec_of(w, script_config("seq 1 20000; seq 1 100 >&2", ""));
	struct watched x;
	char path[256];
	struct stat st;
	int64_t bytes = 0;
	int i;

	spec.log_max_file_bytes = 40000;
	world_begin(w, &x, "docker", &spec);
	assert_true(world_run(w, &x.exited, 30000));
	for (i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "%s/t.stdout.%d", w->log_dir, i);
		bytes += stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
		assert_true(stat(path, &st) != 0 || st.st_size <= 40000);
	}
	assert_int_equal(bytes, 108894);
	world_forget(w, &x);
}

static void signals_and_kills_reach_it(void **state)
{
	const char *script = "trap 'echo usr' USR1; trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done";
	struct world *w = ready(state);
	struct watched x;

	run_config(w, &x, script_config(script, ""));
	world_await_file(w, "logs/t.stdout.0");
	assert_true(x.task->pid > 0);
	assert_int_equal(driver_signal(x.task, "SIGUSR1", world_answered, &x), 0);
	assert_true(world_run(w, &x.answered, 10000));
	assert_true(x.answer_ok);
	driver_kill(x.task, "SIGTERM", 20000000000);
	assert_true(world_run(w, &x.exited, 15000));
	assert_int_equal(x.exit.code, 5);
	world_forget(w, &x);
	run_config(w, &x, script_config("trap '' INT; echo deaf >&2; sleep 1000; sleep 1000", ""));
	world_await_file(w, "logs/t.stderr.0");
	driver_kill(x.task, NULL, 300000000);
	assert_true(world_run(w, &x.exited, 15000));
	assert_int_equal(x.exit.code, 137);
	assert_int_equal(x.exit.signal, 9);
	assert_false(x.exit.oom_killed);
	world_forget(w, &x);
}

/* An engine under load may hear of the container's end before it hears why: then it does not know. */
static void too_much_memory_is_told(void **state)
{
	struct world *w = ready(state);
	struct watched x = {0};
	unsigned i;

	for (i = 0; i < 5 && !x.exit.oom_killed; i++) {
		run_config(w, &x, script_config("head -c 200m /dev/zero | tail; exit 1", ""));
		assert_true(world_run(w, &x.exited, 60000));
		world_forget(w, &x);
	}
	assert_true(x.exit.oom_killed);
}

static void another_agent_finds_it_and_no_line_is_lost_or_doubled(void **state)
{
	const char *script = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 3";
	struct world *w = ready(state);
	struct buf record = {0};
	struct watched x;
	char text[1024];

	run_config(w, &x, script_config(script, ""));
	world_await_file(w, "logs/t.stdout.0");
	driver_save(x.task, &record);
	driver_detach(x.task);
	world_close_host(w);
	usleep(300000);
	world_open_host(w);
	memset(&x, 0, sizeof(x));
	x.task = driver_recover(w->host, driver_find("docker"), record.at, record.len, &world_events, &x);
	assert_true(world_run(w, &x.exited, 20000));
	assert_int_equal(x.exit.code, 3);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)),
			    "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n");
	world_forget(w, &x);
	buf_close(&record);
}

static void a_container_that_is_gone_is_told(void **state)
{
	char command[128];
	struct world *w = ready(state);
	struct watched x;

	run_config(w, &x, script_config("sleep 1000", ""));
	snprintf(command, sizeof(command), "docker rm -f t-%s >/dev/null", alloc_id);
	assert_int_equal(system(command), 0);
	assert_true(world_run(w, &x.exited, 15000));
	assert_true(x.exit.code != 0 || x.exit.error[0] != '\0');
	world_forget(w, &x);
}

static void a_leftover_of_an_earlier_run_gives_way(void **state)
{
	struct world *w = ready(state);
	struct watched x;

	run_config(w, &x, script_config("sleep 1000", ""));
	driver_detach(x.task); /* An agent that died before it could write its record. */
	run_config(w, &x, script_config("exit 4", ""));
	assert_true(world_run(w, &x.exited, 15000));
	assert_int_equal(x.exit.code, 4);
	world_forget(w, &x);
}

static void a_destroyed_one_is_removed_even_while_it_starts(void **state)
{
	struct world *w = ready(state);
	struct driver_spec spec = spec_of(w, script_config("sleep 1000", ""));
	struct watched x;
	int i;

	for (i = 0; i < 4; i++) {
		world_begin(w, &x, "docker", &spec);
		world_run(w, NULL, i * 150);
		driver_destroy(x.task);
		world_close_host(w);
		world_open_host(w);
		assert_int_equal(containers(), 0);
	}
}

static void use_is_measured(void **state)
{
	struct world *w = ready(state);
	struct watched x;

	run_config(w, &x, script_config("sleep 1000 & wait", ""));
	assert_int_equal(driver_stats(x.task, world_measured, &x), 0);
	assert_true(world_run(w, &x.measured, 10000));
	assert_true(x.stats.pids >= 1 && x.stats.at_ns > 0);
	world_forget(w, &x);
}

static void refused(struct world *w, const struct driver_spec *spec, const char *contains)
{
	struct watched x;

	world_begin(w, &x, "docker", spec);
	assert_true(world_run(w, &x.failed, 30000));
	if (strstr(x.error.text, contains) == NULL) {
		fail_msg("\"%s\" is not in: %s", contains, x.error.text);
	}
	world_forget(w, &x);
}

static void what_cannot_be_started_says_why(void **state)
{
	struct world *w = ready(state);
	struct driver_spec spec = spec_of(w, "{\"image\":\"127.0.0.1:1/none:1\"}");

	refused(w, &spec, "Failed to pull `127.0.0.1:1/none:1`");
	spec.config = "{\"image\":\"" IMAGE "\",\"command\":\"/no/such\"}";
	refused(w, &spec, "/no/such");
	assert_int_equal(containers(), 0);
}

static void an_engine_that_is_missing_is_told(void **state)
{
	struct world *w = *state;
	struct driver_spec spec = spec_of(w, "{\"image\":\"x:1\"}");
	struct arena mem = {0};
	struct driver_info info;
	struct driver_error error;

	assert_int_equal(driver_host_plugin(w->host, "docker", "{\"endpoint\":\"unix:///no/such.sock\"}", &error), 0);
	driver_fingerprint(w->host, driver_find("docker"), &mem, &info);
	assert_false(info.detected || info.healthy);
	assert_string_equal(info.health_description, "Failed to connect to docker daemon");
	refused(w, &spec, "Failed to connect to docker daemon");
	arena_close(&mem);
}

static void what_is_not_allowed_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{"\"privileged\":true", "privileged"},
		{"\"volumes\":[\"/etc:/etc\"]", "volumes are not enabled"},
		{"\"volumes\":[\"../x:/x\"]", "not in the task's directory"},
		{"\"volumes\":[\"link:/x\"]", "not in the task's directory"},
		{"\"volumes\":[\"nothing\"]", "invalid docker volume"},
		{"\"mount\":{\"type\":\"bind\",\"source\":\"/etc\",\"target\":\"/x\"}", "volumes are not enabled"},
		{"\"ports\":[\"http\"]", "Port \"http\" not found"},
		{"\"cap_add\":[\"sys_admin\"]", "does not allow the following capabilities: sys_admin"},
	};
	struct world *w = *state;
	struct driver_spec spec;
	char config[256];
	char path[256];
	unsigned i;

	snprintf(path, sizeof(path), "%s/link", w->task_dir);
	assert_int_equal(symlink("/etc", path), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(config, sizeof(config), "{\"image\":\"x:1\",%s}", bad[i][0]);
		spec = spec_of(w, config);
		refused(w, &spec, bad[i][1]);
	}
}

static void bad_configs_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{"{}", "\"image\""},
		{"{\"image\":\"a b\"}", "no name of an image"},
		{"{\"image\":\"../../x\"}", "no name of an image"},
		{"{\"image\":\"x\",\"nope\":1}", "\"nope\""},
		{"{\"image\":\"x\",\"mount\":[{\"type\":\"odd\",\"target\":\"/x\"}]}", "mount type"},
		{"{\"image\":\"x\",\"mounts\":[{\"target\":\"x\"}]}", "mount target"},
		{"{\"image\":\"x\",\"cap_drop\":[\"fly\"]}", "cap_drop"},
		{"{\"image\":\"x\",\"ulimit\":{\"nofile\":\"many\"}}", "ulimit specification nofile"},
		{"{\"image\":\"x\",\"devices\":[{\"host_path\":\"dev\"}]}", "devices"},
		{"{\"image\":\"x\",\"devices\":[{\"host_path\":\"/dev/null\",\"cgroup_permissions\":\"x\"}]}", "cgroup permission"},
		{"{\"image\":\"x\",\"image_pull_timeout\":\"soon\"}", "image_pull_timeout"},
		{"{\"image\":\"x\",\"cpu_hard_limit\":true}", "cpu_hard_limit is not supported"},
		{"{\"image\":\"x\",\"load\":\"x.tar\"}", "load is not supported"},
		{"{\"image\":\"x\",\"logging\":{\"typ\":\"none\"}}", "\"typ\""},
		{"{\"image\":\"x\",\"mount\":[{\"target\":\"/x\",\"bind_options\":[{\"odd\":1}]}]}", "\"odd\""},
		{"{\"image\":\"x\",\"devices\":[1]}", "no objects"},
	};
	struct driver_error error;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(driver_find("docker")->validate(bad[i][0], &error), ERR_INVALID);
		if (strstr(error.text, bad[i][1]) == NULL) {
			fail_msg("%s: %s", bad[i][0], error.text);
		}
	}
}

static void the_engine_is_told_what_the_task_asks_for(void **state)
{
	static const char *const env[] = {"NOMAD_PORT_web_ui=80", "NOMAD_HOST_PORT_web_ui=20001",
					  "NOMAD_HOST_IP_web_ui=127.0.0.1"};
	static const char *const pieces[] = {
		"\"Image\":\"x:1\",\"Cmd\":[\"run\",\"a\"],\"Entrypoint\":[\"e\"],",
		"-2222-3333-4444-555555555555\",\"k\":\"v\"}",
		"\"ExposedPorts\":{\"80/tcp\":{},\"80/udp\":{}}",
		"\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"20001\"}]",
		"\"Memory\":134217728,\"MemorySwap\":134217728,\"MemoryReservation\":67108864,\"CpuShares\":100",
		"\"NetworkMode\":\"bridge\"",
		"\"CapDrop\":[\"ALL\"],\"CapAdd\":[\"CHOWN\"]",
		"{\"Type\":\"volume\",\"Source\":\"data\",\"Target\":\"/data\",\"ReadOnly\":true}",
	};
	struct world *w = *state;
	struct driver_spec spec = spec_of(
		w, "{\"image\":\"x:1\",\"command\":\"run\",\"args\":[\"a\"],\"entrypoint\":[\"e\"],"
		   "\"labels\":[{\"k\":\"v\"}],\"ports\":[\"web-ui\"],\"network_mode\":\"bridge\","
		   "\"cap_drop\":[\"all\"],\"cap_add\":[\"chown\"],"
		   "\"mount\":[{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/data\",\"readonly\":true}]}");
	struct docker_config c;
	struct driver_error error;
	struct arena mem = {0};
	struct buf out = {0};
	unsigned i;

	spec.env = env;
	spec.env_n = 3;
	spec.memory_max_mb = 128;
	assert_int_equal(docker_config(spec.config, &c, &mem, &error), 0);
	assert_int_equal(docker_create_body(w->host, &spec, &c, &mem, &out, &error), 0);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (strstr(buf_text(&out), pieces[i]) == NULL) {
			fail_msg("%s is not in %s", pieces[i], buf_text(&out));
		}
	}
	buf_close(&out);
	arena_close(&mem);
}

/* As job files bring them: blocks as lists, values of any kind. */
static void every_key_reaches_the_engine(void **state)
{
	static const char *const env[] = {"NOMAD_JOB_NAME=web", "NOMAD_TASK_NAME=t"};
	static const char *const pieces[] = {
		"\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":2048,\"Hard\":4096},{\"Name\":\"nproc\",\"Soft\":99,\"Hard\":99}]",
		"\"Devices\":[{\"PathOnHost\":\"/dev/null\",\"PathInContainer\":\"/dev/x\",\"CgroupPermissions\":\"r\"}]",
		"\"LogConfig\":{\"Type\":\"local\",\"Config\":{\"max-file\":\"3\",\"mode\":\"blocking\"}}",
		"\"Memory\":268435456,\"MemorySwap\":268435456,\"MemoryReservation\":67108864",
		"\"PidsLimit\":50",
		"\"CpusetCpus\":\"0\"",
		"\"StorageOpt\":{\"size\":\"1G\"}",
		"\"UsernsMode\":\"host\",\"UTSMode\":\"host\"",
		"\"DnsOptions\":[\"ndots:1\"],\"GroupAdd\":[\"100\"]",
		"\"Runtime\":\"runc\"",
		"\"Tty\":true,\"OpenStdin\":true,\"Healthcheck\":{\"Test\":[\"NONE\"]}",
		"\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{\"Aliases\":[\"a\"],\"IPAMConfig\":{\"IPv4Address\":\"10.1.2.3\"}}}}",
		"\"MacAddress\":\"02:42:ac:11:00:02\"",
		"\"TmpfsOptions\":{\"Mode\":511,\"SizeBytes\":1048576}",
		"\"VolumeOptions\":{\"NoCopy\":true,\"Labels\":{\"l\":\"1\"},\"DriverConfig\":{\"Name\":\"local\",\"Options\":{\"o\":\"size=1\"}}}",
		"\"Sysctls\":{\"net.core.somaxconn\":\"16384\"}",
		"\"com.hashicorp.nomad.job_name\":\"web\"",
	};
	static const char config[] =
		"{\"image\":\"x:1\",\"ulimit\":[{\"nofile\":\"2048:4096\",\"nproc\":99}],"
		"\"devices\":{\"host_path\":\"/dev/null\",\"container_path\":\"/dev/x\",\"cgroup_permissions\":\"r\"},"
		"\"logging\":[{\"type\":\"local\",\"config\":[{\"max-file\":3,\"mode\":\"blocking\"}]}],\"memory_hard_limit\":256,"
		"\"pids_limit\":\"50\",\"cpuset_cpus\":\"0\",\"storage_opt\":{\"size\":\"1G\"},\"userns_mode\":\"host\",\"uts_mode\":\"host\","
		"\"dns_options\":[\"ndots:1\"],\"group_add\":[100],\"runtime\":\"runc\",\"tty\":true,\"interactive\":\"true\","
		"\"healthchecks\":[{\"disable\":true}],\"network_mode\":\"mine\",\"network_aliases\":[\"a\"],"
		"\"ipv4_address\":\"10.1.2.3\",\"mac_address\":\"02:42:ac:11:00:02\",\"image_pull_timeout\":\"10m\","
		"\"sysctl\":{\"net.core.somaxconn\":\"16384\"},\"container_exists_attempts\":5,"
		"\"mount\":[{\"type\":\"tmpfs\",\"target\":\"/a\",\"tmpfs_options\":[{\"mode\":511,\"size\":1048576}]},"
		"{\"type\":\"volume\",\"target\":\"/b\",\"source\":\"v\",\"volume_options\":[{\"no_copy\":true,\"labels\":[{\"l\":1}],"
		"\"driver_config\":[{\"name\":\"local\",\"options\":[{\"o\":\"size=1\"}]}]}]}]}";
	struct world *w = *state;
	struct driver_spec spec = spec_of(w, config);
	struct docker_config c;
	struct driver_error error;
	struct arena mem = {0};
	struct buf out = {0};
	unsigned i;

	assert_int_equal(driver_host_plugin(w->host, "docker", "{\"extra_labels\":[\"job*\"],\"gc\":{\"image\":false,"
	                                    "\"image_delay\":\"3m\",\"dangling_containers\":{\"enabled\":true}},\"tls\":{},"
	                                    "\"pids_limit\":9,\"infra_image\":\"x\",\"volumes\":{\"selinuxlabel\":\"z\"}}", &error), 0);
	spec.env = env;
	spec.env_n = 2;
	if (docker_config(spec.config, &c, &mem, &error) != 0 ||
	    docker_create_body(w->host, &spec, &c, &mem, &out, &error) != 0) {
		fail_msg("%s", error.text);
	}
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (strstr(buf_text(&out), pieces[i]) == NULL) {
			fail_msg("%s is not in %s", pieces[i], buf_text(&out));
		}
	}
	assert_null(strstr(buf_text(&out), "nomad.task_name"));
	buf_close(&out);
	arena_close(&mem);
}

static void the_output_of_a_terminal_is_kept(void **state)
{
	struct world *w = ready(state);
	struct watched x;
	char text[64];

	run_config(w, &x, script_config("echo one; echo two", ",\"tty\":true,\"pids_limit\":64,\"ulimit\":{\"nofile\":\"512:1024\"},"
							      "\"logging\":{\"type\":\"json-file\",\"config\":{\"max-size\":\"1m\"}}"));
	assert_true(world_run(w, &x.exited, 30000));
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "one\r\ntwo\r\n");
	world_forget(w, &x);
}

/* An agent that dies between the making of a container and its start: the next one starts it. */
static void one_that_was_made_and_not_started_is_started_by_the_next(void **state)
{
	struct world *w = ready(state);
	struct driver_spec spec = spec_of(w, script_config("echo once; exit 3", ""));
	struct buf record = {0};
	struct watched x;
	struct watched y;
	char text[64];

	memset(&x, 0, sizeof(x));
	x.task = driver_start(w->host, driver_find("docker"), &spec, &world_waiting, &x);
	assert_non_null(x.task);
	assert_true(world_run(w, &x.ready, 30000));
	world_run(w, NULL, 300);
	assert_int_equal(containers(), 1);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "");
	driver_save(x.task, &record);
	memset(&y, 0, sizeof(y));
	y.task = driver_recover(w->host, driver_find("docker"), record.at, record.len, &world_events, &y);
	assert_non_null(y.task);
	assert_true(world_run(w, &y.exited, 30000));
	assert_int_equal(y.exit.code, 3);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "once\n");
	world_forget(w, &y);
	driver_destroy(x.task);
	buf_close(&record);
}

static void credentials_are_made_into_a_header(void **state)
{
	struct docker_auth auth = {.username = "u", .password = "p?", .email = "", .server_address = ""};
	struct arena mem = {0};

	(void)state;
	assert_string_equal(docker_auth_header(&auth, &mem),
			    "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA_IiwiZW1haWwiOiIiLCJzZXJ2ZXJhZGRyZXNzIjoiIn0=");
	auth.username = "";
	assert_null(docker_auth_header(&auth, &mem));
	assert_true(docker_image_is_latest("a") && docker_image_is_latest("r:5000/a"));
	assert_true(docker_image_is_latest("a:latest"));
	assert_false(docker_image_is_latest("a:1") || docker_image_is_latest("r:5000/a:1"));
	arena_close(&mem);
}

struct played {
	int listener;
	const char *answer; /* NULL: none, and the connection stays open until the asker has gone. */
};

static void *play_engine(void *data)
{
	struct played *p = data;
	char question[256];
	int fd = accept(p->listener, NULL, NULL);

	if (recv(fd, question, sizeof(question), 0) > 0 && p->answer != NULL) {
		(void)!send(fd, p->answer, strlen(p->answer), MSG_NOSIGNAL);
	} else {
		(void)!recv(fd, question, sizeof(question), 0);
	}
	close(fd);
	return NULL;
}

static int ask_version(const char *answer, struct buf *reply)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct played p = {.answer = answer};
	pthread_t thread;
	int rv;

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/drover-test-engine-%d", (int)getpid());
	unlink(address.sun_path);
	p.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(p.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(p.listener, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, play_engine, &p), 0);
	rv = engine_version(address.sun_path, 1, reply);
	pthread_join(thread, NULL);
	close(p.listener);
	unlink(address.sun_path);
	return rv;
}

/* ---- an engine that is played ---- */

/* Of a container that ends at once: whoever follows its output is left before the end of it. */
#define HASTY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
struct hasty {
	int listener;
	bool followed;
	unsigned rest; /* How often the rest was asked for. */
};

static void answer_frame(int fd, const char *line)
{
	const char head[8] = {1, 0, 0, 0, 0, 0, 0, (char)strlen(line)};

	(void)!send(fd, "HTTP/1.0 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
	(void)!send(fd, head, sizeof(head), MSG_NOSIGNAL);
	(void)!send(fd, line, strlen(line), MSG_NOSIGNAL);
}

static void answer_text(int fd, const char *text)
{
	(void)!send(fd, "HTTP/1.0 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void *play_hasty(void *data)
{
	struct hasty *p = data;
	char question[1024];
	ssize_t n;
	int fd;

	while ((fd = accept(p->listener, NULL, NULL)) >= 0) {
		n = recv(fd, question, sizeof(question) - 1, 0);
		question[n > 0 ? n : 0] = '\0';
		if (strstr(question, "/logs?follow=1") != NULL) {
			p->followed = true;
			answer_frame(fd, "2026-01-02T03:04:05.000000001Z one\n");
		} else if (strstr(question, "since=1767323045.000000002") != NULL && strstr(question, "/logs?follow=0") != NULL) {
			p->rest++;
			answer_frame(fd, "2026-01-02T03:04:05.000000002Z two\n");
		} else if (strstr(question, "/logs?") != NULL) {
			answer_text(fd, "");
		} else if (p->followed) {
			answer_text(fd, "{\"Id\":\"" HASTY "\",\"State\":{\"Status\":\"exited\",\"ExitCode\":6}}");
		} else {
			answer_text(fd, "{\"Id\":\"" HASTY "\",\"State\":{\"Running\":true,\"Status\":\"running\",\"Pid\":5}}");
		}
		close(fd);
	}
	return NULL;
}

/* A record of a running container, as docker's driver saves it. */
#define RECORD_FIELDS(X, T)                     \
	X(T, INT, version, "Version")           \
	X(T, STR, id, "ID")                     \
	X(T, STR, state_dir, "StateDir")        \
	X(T, STR, log_dir, "LogDir")            \
	X(T, STR, stdout_name, "Stdout")    \
	X(T, STR, stderr_name, "Stderr")    \
	X(T, INT, log_max_files, "MaxFiles") \
	X(T, INT, log_max_file_bytes, "MaxFileBytes")
OBJECT_DECLARE(record, RECORD_FIELDS);
OBJECT_DEFINE(record, RECORD_FIELDS);

static void an_engine_that_lets_go_of_who_follows_is_asked_for_the_rest(void **state)
{
	struct world *w = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct record r = {.version = 1, .id = HASTY, .state_dir = w->state_dir, .log_dir = w->log_dir,
			   .stdout_name = "t.stdout", .stderr_name = "t.stderr",
			   .log_max_files = 2, .log_max_file_bytes = 4096};
	struct hasty p = {0};
	struct watched x;
	struct driver_error error;
	struct buf record = {0};
	pthread_t thread;
	char config[160];
	char text[64];

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/drover-test-engine-%d", (int)getpid());
	snprintf(config, sizeof(config), "{\"endpoint\":\"unix://%s\"}", address.sun_path);
	unlink(address.sun_path);
	p.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(p.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(p.listener, 4), 0);
	assert_int_equal(pthread_create(&thread, NULL, play_hasty, &p), 0);
	assert_int_equal(driver_host_plugin(w->host, "docker", config, &error), 0);
	pack_encode(&record_type, &r, &record);
	memset(&x, 0, sizeof(x));
	x.task = driver_recover(w->host, driver_find("docker"), record.at, record.len, &world_events, &x);
	assert_true(world_run(w, &x.exited, 10000));
	assert_int_equal(x.exit.code, 6);
	assert_string_equal(world_read(w, "logs/t.stdout.0", text, sizeof(text)), "one\ntwo\n");
	driver_detach(x.task);
	shutdown(p.listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	assert_int_equal(p.rest, 1);
	close(p.listener);
	unlink(address.sun_path);
	buf_close(&record);
}

/* ---- commands in it ---- */

static void a_command_runs_in_it(void **state)
{
	struct world *w = ready(state);
	static const char *const env[] = {"FOO=bar"};
	struct driver_spec spec = spec_of(w, script_config("echo here > /f; while :; do sleep 1; done", ""));
	struct watched x;
	static struct ran r;

	spec.env = env;
	spec.env_n = 1;
	world_begin(w, &x, "docker", &spec);
	assert_true(world_run(w, &x.started, 30000));
	ran_to_end(w, &r, &x, "echo out $FOO; echo err >&2; exit 7");
	assert_string_equal(r.out, "out bar\n");
	assert_string_equal(r.err, "err\n");
	assert_int_equal(r.end.code, 7);
	assert_string_equal(r.end.error, "");
	ran_script(&r, &x, false, "cat; cat /f");
	assert_int_equal(driver_command_write(r.cmd, "one\n", 4), 0);
	driver_command_close_input(r.cmd);
	assert_true(world_run(w, &r.ended, 10000));
	assert_string_equal(r.out, "one\nhere\n");
	ran_stop(&r);
	ran_to_end(w, &r, &x, "seq 1 40000");
	assert_int_equal(r.out_n, 228894);
	driver_destroy(x.task);
}

static void a_terminal_in_it_is_the_engines(void **state)
{
	struct world *w = ready(state);
	struct watched x;
	static struct ran r;

	run_config(w, &x, script_config("while :; do sleep 1; done", ""));
	ran_script(&r, &x, true, "test -t 0 && test -t 1 && read x && echo [$x]; exit 5");
	driver_command_resize(r.cmd, 33, 101);
	assert_int_equal(driver_command_write(r.cmd, "abc\n", 4), 0);
	assert_true(world_run(w, &r.ended, 10000));
	assert_int_equal(r.end.code, 5);
	assert_non_null(strstr(r.out, "[abc]\r\n"));
	ran_stop(&r);
	driver_destroy(x.task);
}

static void a_command_in_it_is_killed_and_what_is_none_is_told(void **state)
{
	struct world *w = ready(state);
	static const char *const none[] = {"/no/such/command", NULL};
	struct watched x;
	static struct ran r;
	char script[64];
	char search[80];
	int i;

	run_config(w, &x, script_config("while :; do sleep 1; done", ""));
	snprintf(script, sizeof(script), "echo on; exec sleep 4321.%d", (int)getpid());
	snprintf(search, sizeof(search), "pgrep -f '^sleep 4321[.]%d$' >/dev/null", (int)getpid());
	ran_script(&r, &x, false, script);
	while (r.out_n == 0) {
		world_run(w, NULL, 10);
	}
	ran_stop(&r);
	for (i = 0; i < 500 && system(search) == 0; i++) {
		world_run(w, NULL, 10);
	}
	assert_in_range(i, 0, 499);
	ran_start(&r, &x, false, none);
	assert_true(world_run(w, &r.ended, 10000));
	assert_true(r.end.code == 126 || r.end.code == 127 || r.end.error[0] != '\0');
	ran_stop(&r);
	ran_script(&r, &x, false, "sleep 1000");
	driver_destroy(x.task);
	assert_true(world_run(w, &r.ended, 10000));
	assert_string_equal(r.end.error, "the task has ended");
	ran_stop(&r);
}

static void whatever_an_engine_answers_is_borne(void **state)
{
	static char huge[100 << 10];
	struct buf reply = {0};

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	assert_int_equal(ask_version("HTTP/1.0 500 no\r\n\r\n{}", &reply), ERR_SYNTAX);
	assert_int_equal(ask_version("HTTP/1.0 200 OK\r\nserver: x", &reply), ERR_SYNTAX);
	assert_int_equal(ask_version("HTTP", &reply), ERR_SYNTAX);
	assert_int_equal(ask_version("", &reply), ERR_SYNTAX);
	assert_int_equal(ask_version(NULL, &reply), ERR_TIMEOUT);
	assert_int_equal(ask_version(huge, &reply), ERR_TOOBIG);
	assert_int_equal(reply.len, 0);
	assert_int_equal(ask_version("HTTP/1.0 200 OK\r\nserver: x\r\n\r\n{\"Version\":\"1\"}", &reply), 0);
	assert_string_equal(reply.at, "{\"Version\":\"1\"}");
	assert_int_equal(engine_version("/nowhere/docker.sock", 1, &reply), ERR_IO);
	buf_close(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_container_runs_and_its_output_is_kept),
		T(long_output_is_rotated_and_complete),
		T(signals_and_kills_reach_it),
		T(too_much_memory_is_told),
		T(another_agent_finds_it_and_no_line_is_lost_or_doubled),
		T(a_container_that_is_gone_is_told),
		T(a_leftover_of_an_earlier_run_gives_way),
		T(a_destroyed_one_is_removed_even_while_it_starts),
		T(use_is_measured),
		T(what_cannot_be_started_says_why),
		T(an_engine_that_is_missing_is_told),
		T(what_is_not_allowed_is_refused),
		T(bad_configs_are_refused),
		T(the_engine_is_told_what_the_task_asks_for),
		T(every_key_reaches_the_engine),
		T(the_output_of_a_terminal_is_kept),
		T(one_that_was_made_and_not_started_is_started_by_the_next),
		T(a_command_runs_in_it),
		T(a_terminal_in_it_is_the_engines),
		T(a_command_in_it_is_killed_and_what_is_none_is_told),
		T(credentials_are_made_into_a_header),
		T(whatever_an_engine_answers_is_borne),
		T(an_engine_that_lets_go_of_who_follows_is_asked_for_the_rest),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
