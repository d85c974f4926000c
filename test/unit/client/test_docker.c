/* Against the engine of this machine; skipped where there is none. The image is made of the machine's own shell. */
#include "test/unit/client/world.h"

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
	assert_string_equal(x.exit.error, "");
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
	run_config(w, &x, script_config("trap '' INT; sleep 1000; sleep 1000", ""));
	driver_kill(x.task, NULL, 300000000);
	assert_true(world_run(w, &x.exited, 15000));
	assert_int_equal(x.exit.code, 137);
	assert_int_equal(x.exit.signal, 9);
	assert_false(x.exit.oom_killed);
	world_forget(w, &x);
}

static void too_much_memory_is_told(void **state)
{
	struct world *w = ready(state);
	struct watched x;

	run_config(w, &x, script_config("head -c 200m /dev/zero | tail; exit 1", ""));
	assert_true(world_run(w, &x.exited, 60000));
	assert_true(x.exit.oom_killed);
	world_forget(w, &x);
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
		T(credentials_are_made_into_a_header),
		T(whatever_an_engine_answers_is_borne),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
