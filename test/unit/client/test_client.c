#include "test/unit/client/fake_server.h"
#include "test/unit/client/world.h"

#include <arpa/inet.h>

#include "client/access.h"
#include "client/client.h"
#include "lib/log.h"
#include "proto/disk_token.h"
#include "proto/http.h"

#define MS INT64_C(1000000)

/* A node: a client with a server of its own, and a directory that outlives its agents. */
static struct node_world {
	uv_loop_t loop;
	char dir[64];
	char state_dir[96], alloc_dir[96];
	struct client_config config;
	struct fake_server server;
	struct client *client;
	bool stopped;
	int64_t index;
} w;

static void open_agent(void)
{
	fake_server_open(&w.server, &w.loop);
	w.client = client_open(&w.loop, &w.config, &w.server.link);
	assert_non_null(w.client);
	client_start(w.client);
}

static int make_without_agent(void **state)
{
	(void)state;
	world_find_executor();
	w = (struct node_world){.index = 1};
	snprintf(w.dir, sizeof(w.dir), "%.40s/drover-client-XXXXXX", getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	assert_non_null(mkdtemp(w.dir));
	assert_int_equal(chmod(w.dir, 0755), 0);
	snprintf(w.state_dir, sizeof(w.state_dir), "%s/client", w.dir);
	snprintf(w.alloc_dir, sizeof(w.alloc_dir), "%s/alloc", w.dir);
	w.config = (struct client_config){.name = "n",
	                                  .region = "global",
	                                  .datacenter = "dc1",
	                                  .node_class = "",
	                                  .node_pool = "",
	                                  .state_dir = w.state_dir,
	                                  .alloc_dir = w.alloc_dir,
	                                  .http_addr = "127.0.0.1:1",
	                                  .program_version = "0.1.0",
	                                  .network_interface = "",
	                                  .reserved_ports = "",
	                                  .executor = "",
	                                  .dev = true};
	assert_int_equal(uv_loop_init(&w.loop), 0);
	return 0;
}

static int make(void **state)
{
	make_without_agent(state);
	open_agent();
	return 0;
}

static void stopped_cb(void *ctx)
{
	((struct node_world *)ctx)->stopped = true;
}

static void close_agent(bool end_tasks)
{
	w.stopped = false;
	client_stop(w.client, end_tasks, stopped_cb, &w);
	while (!w.stopped) {
		uv_run(&w.loop, UV_RUN_ONCE);
	}
	w.client = NULL;
	fake_server_close(&w.server);
}

static int release(void **state)
{
	char command[256];

	(void)state;
	if (w.client != NULL) {
		close_agent(true);
	}
	assert_int_equal(uv_run(&w.loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&w.loop), 0);
	snprintf(command, sizeof(command), "umount -q %s/alloc/*/*/secrets 2>/dev/null; rm -rf %s", w.dir, w.dir);
	return system(command);
}

static void tick_cb(uv_timer_t *timer)
{
	(void)timer;
}

/* Run the loop until the condition holds; what took too long fails. */
static void run_until(bool (*cond)(const void *arg), const void *arg, const char *what)
{
	uint64_t end = uv_hrtime() + UINT64_C(60000000000);
	uv_timer_t tick;

	uv_timer_init(&w.loop, &tick);
	uv_timer_start(&tick, tick_cb, 5, 5);
	while (!cond(arg)) {
		if (uv_hrtime() > end) {
			fail_msg("not within 60 s: %s", what);
		}
		uv_run(&w.loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&w.loop, UV_RUN_NOWAIT);
}

/* ---- jobs ---- */

static const char *id_of(int n)
{
	static char ids[4][64];
	static int at;

	at = (at + 1) % 4;
	snprintf(ids[at], sizeof(ids[at]), "deadbeef-0000-0000-0000-%012d", n);
	return ids[at];
}

/* A push of `count` allocations of one job, from the n-th on. `group` and `tasks` are members of the group and the
 * elements of its list of tasks. */
static void push(int n, int count, const char *desired, const char *type, const char *more, const char *group,
                 const char *tasks)
{
	struct buf b = {0};
	int i;

	w.index++;
	buf_printf(&b,
	           "{\"Index\":%lld,\"Jobs\":[{\"ID\":\"j\",\"Name\":\"j\",\"Type\":\"%s\",\"Payload\":\"aGVsbG8=\","
	           "\"TaskGroups\":[{\"Name\":\"g\"%s,\"Tasks\":[%s]}]}],\"Allocs\":[",
	           (long long)w.index, type, group, tasks);
	for (i = 0; i < count; i++) {
		buf_printf(&b,
		           "%s{\"ID\":\"%s\",\"Namespace\":\"default\",\"Name\":\"j.g[%d]\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"%s\","
		           "\"ClientStatus\":\"pending\",\"AllocModifyIndex\":%lld%s}",
		           i > 0 ? "," : "", id_of(n + i), i, desired, (long long)w.index, more);
	}
	buf_str(&b, "],\"JobOf\":[");
	for (i = 0; i < count; i++) {
		buf_str(&b, i > 0 ? ",0" : "0");
	}
	buf_str(&b, "]}");
	fake_server_push(&w.server, buf_text(&b));
	buf_close(&b);
}

#define NO_RESTARTS ",\"RestartPolicy\":{\"Attempts\":0,\"Interval\":60000000000,\"Delay\":1000000,\"Mode\":\"fail\"}"
#define RAW(name, command, args) \
	"{\"Name\":\"" name "\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"" command "\",\"args\":" args "}}"
#define SHELL(name, script) RAW(name, "/bin/sh", "[\"-c\",\"" script "\"]")
#define SLEEP(name) RAW(name, "/bin/sleep", "[\"600\"]")

static bool is_connected(const void *arg)
{
	(void)arg;
	return w.server.watches > 0;
}

static void connect_node(void)
{
	run_until(is_connected, NULL, "the node is registered");
}

/* ---- what was reported ---- */

struct wanted {
	int n;
	const char *status;
};

static bool has_status(const void *arg)
{
	const struct wanted *want = arg;
	struct fake_report *r = fake_server_find(&w.server, id_of(want->n));

	return r != NULL && strcmp(r->update.client_status, want->status) == 0;
}

static void await(int n, const char *status)
{
	struct wanted want = {n, status};
	char what[64];

	snprintf(what, sizeof(what), "allocation %d is %s", n, status);
	run_until(has_status, &want, what);
}

static const struct task_state *told(int n, const char *task)
{
	struct fake_report *r = fake_server_find(&w.server, id_of(n));
	uint32_t i;

	assert_non_null(r);
	for (i = 0; i < r->update.task_states.n; i++) {
		if (strcmp(r->update.task_states.keys[i], task) == 0) {
			return &r->update.task_states.at[i];
		}
	}
	fail_msg("no task %s", task);
	return NULL;
}

static const char *events(int n, const char *task)
{
	static char text[1024];
	const struct task_state *s = told(n, task);
	uint32_t i;

	text[0] = '\0';
	for (i = 0; i < s->events.n; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? "," : "", s->events.at[i].type);
	}
	return text;
}

static const struct task_event *last_event(int n, const char *task)
{
	const struct task_state *s = told(n, task);

	return &s->events.at[s->events.n - 1];
}

static char *file_of(int n, const char *path)
{
	static char text[4096];
	char full[512];
	size_t len;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s/%s", w.alloc_dir, id_of(n), path);
	f = fopen(full, "r");
	if (f == NULL) {
		return NULL;
	}
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	fclose(f);
	return text;
}

/* ---- tests ---- */

static void a_node_registers_and_beats(void **state)
{
	(void)state;
	connect_node();
	assert_int_equal(w.server.registrations, 1);
	assert_true(client_facts(w.client).connected);
	assert_string_equal(client_node(w.client)->status, "ready");
	assert_non_null(client_node(w.client)->drivers.keys);
}

static bool beaten(const void *arg)
{
	return w.server.heartbeats >= *(const unsigned *)arg;
}

static void heartbeats_follow_the_lease_and_a_forgotten_node_registers_again(void **state)
{
	unsigned three = 3;
	unsigned more;

	(void)state;
	w.server.ttl_ns = 500 * MS;
	connect_node();
	run_until(beaten, &three, "three heartbeats");
	w.server.forgetful = true;
	more = w.server.heartbeats + 2;
	run_until(beaten, &more, "two more");
	assert_int_equal(w.server.registrations, 2);
}

static void what_cannot_be_written_down_does_not_run(void **state)
{
	char path[160];
	int file;

	(void)state;
	connect_node();
	snprintf(path, sizeof(path), "%s/allocs", w.state_dir);
	assert_int_equal(rmdir(path), 0);
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	close(file);
	push(1, 1, "run", "batch", "", NO_RESTARTS, SHELL("t", "touch ran"));
	await(1, "failed");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Driver Failure,Not Restarting");
	assert_non_null(strstr(told(1, "t")->events.at[2].driver_error, "failed to save the state of the task"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void a_batch_of_real_tasks_completes(void **state)
{
	uint64_t begin;
	int i;

	(void)state;
	connect_node();
	begin = uv_hrtime();
	push(0, 200, "run", "batch", "", NO_RESTARTS, RAW("t", "/bin/true", "[]"));
	for (i = 0; i < 200; i++) {
		await(i, "complete");
	}
	printf("200 tasks in %llu ms, %u reports\n", (unsigned long long)((uv_hrtime() - begin) / 1000000), w.server.updates);
	assert_string_equal(events(199, "t"), "Received,Task Setup,Started,Terminated");
	assert_int_equal(client_facts(w.client).allocs_running, 0);
}

static void a_failing_task_is_reported_with_its_code(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, SHELL("t", "exit 7"));
	await(1, "failed");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Started,Terminated,Not Restarting");
	assert_int_equal(told(1, "t")->events.at[3].exit_code, 7);
	assert_string_equal(last_event(1, "t")->restart_reason, "Policy allows no restarts");
}

static void a_missing_command_and_a_bad_config_are_told_apart(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, RAW("t", "/no/such/binary", "[]"));
	push(2, 1, "run", "batch", "", NO_RESTARTS, "{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"args\":[\"x\"]}}");
	push(3, 1, "run", "batch", "", NO_RESTARTS, "{\"Name\":\"t\",\"Driver\":\"none\"}");
	await(1, "failed");
	await(2, "failed");
	await(3, "failed");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Driver Failure,Not Restarting");
	assert_non_null(strstr(told(1, "t")->events.at[2].driver_error, "/no/such/binary"));
	assert_string_equal(events(2, "t"), "Received,Task Setup,Failed Validation,Not Restarting");
	assert_non_null(strstr(told(2, "t")->events.at[2].validation_error, "command"));
	assert_string_equal(events(3, "t"), "Received,Task Setup,Driver Failure,Not Restarting");
}

static void a_task_sees_its_environment_and_files(void **state)
{
	static const char task[] =
	        "{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Env\":{\"FOO\":\"${node.datacenter}\"},"
	        "\"Config\":{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"echo $FOO ${NOMAD_ALLOC_INDEX} $NOMAD_TASK_NAME $VAR; "
	        "cat local/in/f local/rendered; pwd\"]},"
	        "\"DispatchPayload\":{\"File\":\"in/f\"},"
	        "\"Templates\":[{\"EmbeddedTmpl\":\" {{ env \\\"FOO\\\" }}\\n\",\"DestPath\":\"local/rendered\",\"Perms\":\"0600\"},"
	        "{\"EmbeddedTmpl\":\"VAR={{ env \\\"NOMAD_JOB_ID\\\" }}\",\"DestPath\":\"secrets/env\",\"Envvars\":true}]}";
	char want[256];

	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, task);
	await(1, "complete");
	snprintf(want, sizeof(want), "dc1 0 t j\nhello dc1\n%s/%s/t\n", w.alloc_dir, id_of(1));
	assert_string_equal(file_of(1, "alloc/logs/t.stdout.0"), want);
}

/* ---- templates that ask the cluster ---- */

#define FOLLOWER(script, more)                                                                             \
	"{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sh\",\"args\":[\"-c\",\"" script "\"]}," \
	"\"Templates\":[{\"EmbeddedTmpl\":\"{{ with nomadVar \\\"a\\\" }}{{ .k }}{{ end }}\",\"DestPath\":\"local/out\"," \
	"\"Splay\":1" more "}]}"

static bool is_read(const void *arg)
{
	return fake_server_reads(&w.server, arg) != NULL;
}

/* Answer a read when it comes. */
static void serve_read(const char *prefix, int status, uint64_t index, const char *body)
{
	run_until(is_read, prefix, prefix);
	fake_server_end_read(fake_server_reads(&w.server, prefix), 0, status, index, body);
}

struct file_wanted {
	int n;
	const char *path, *text;
};

static bool has_file(const void *arg)
{
	const struct file_wanted *want = arg;
	const char *text = file_of(want->n, want->path);

	return text != NULL && strcmp(text, want->text) == 0;
}

static void await_file(int n, const char *path, const char *text)
{
	struct file_wanted want = {n, path, text};

	run_until(has_file, &want, text);
}

static bool says_what_is_missing(const void *arg)
{
	(void)arg;
	return fake_server_find(&w.server, id_of(1)) != NULL && strstr(events(1, "t"), "Template") != NULL;
}

static void a_task_waits_for_what_its_templates_want(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "service", ",\"Namespace\":\"default\"", "", FOLLOWER("echo start >>$NOMAD_TASK_DIR/told; sleep 600", ""));
	serve_read("/v1/var/a?namespace=default", 404, 5, "variable not found");
	run_until(says_what_is_missing, NULL, "it says what is missing");
	assert_string_equal(last_event(1, "t")->message, "Missing: nomad.var.block(a@default.global)");
	assert_string_equal(told(1, "t")->state, "pending");
	serve_read("/v1/var/a?namespace=default&index=5", 200, 7, "{\"Path\":\"a\",\"Items\":{\"k\":\"one\"}}");
	await(1, "running");
	assert_string_equal(file_of(1, "t/local/out"), "one");
	await_file(1, "t/local/told", "start\n");
	serve_read("/v1/var/a?namespace=default&index=7", 200, 9, "{\"Path\":\"a\",\"Items\":{\"k\":\"one\",\"l\":\"\"}}");
	serve_read("/v1/var/a?namespace=default&index=9", 200, 11, "{\"Path\":\"a\",\"Items\":{\"k\":\"two\"}}");
	await_file(1, "t/local/told", "start\nstart\n");
	assert_string_equal(file_of(1, "t/local/out"), "two");
	serve_read("/v1/var/a?namespace=default&index=11", 404, 12, "variable not found");
	run_until(is_read, "/v1/var/a?namespace=default&index=12", "it waits");
	assert_string_equal(file_of(1, "t/local/out"), "two");
}

static bool nothing_is_read(const void *arg)
{
	(void)arg;
	return list_empty(&w.server.reads);
}

static void a_task_that_waits_for_data_can_be_stopped(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "service", ",\"Namespace\":\"default\"", "", FOLLOWER("sleep 600", ""));
	serve_read("/v1/var/a", 404, 5, "variable not found");
	run_until(is_read, "/v1/var/a?namespace=default&index=5", "it waits");
	push(1, 1, "stop", "service", ",\"Namespace\":\"default\"", "", FOLLOWER("sleep 600", ""));
	await(1, "complete");
	run_until(nothing_is_read, NULL, "nobody asks any more");
	assert_null(file_of(1, "t/local/out"));
}

static void an_agent_can_end_while_tasks_wait_for_data(void **state)
{
	(void)state;
	connect_node();
	push(1, 2, "run", "service", ",\"Namespace\":\"default\"", "", FOLLOWER("sleep 600", ""));
	run_until(is_read, "/v1/var/a", "it is asked");
	close_agent(false);
	open_agent();
	serve_read("/v1/var/a", 200, 5, "{\"Items\":{\"k\":\"v\"}}"); /* Once for both. */
	await(1, "running");
	await(2, "running");
	assert_string_equal(file_of(2, "t/local/out"), "v");
}

static void a_task_that_is_found_again_is_told_what_it_has_missed(void **state)
{
	static const char task[] = FOLLOWER("trap 'echo hup >>$NOMAD_TASK_DIR/told' HUP; while :; do sleep 0.02; done",
	                                    ",\"ChangeMode\":\"signal\",\"ChangeSignal\":\"SIGHUP\"");

	(void)state;
	connect_node();
	push(1, 1, "run", "service", ",\"Namespace\":\"default\"", "", task);
	serve_read("/v1/var/a", 200, 5, "{\"Items\":{\"k\":\"one\"}}");
	await(1, "running");
	close_agent(false);
	open_agent();
	serve_read("/v1/var/a?namespace=default", 200, 6, "{\"Items\":{\"k\":\"two\"}}");
	await_file(1, "t/local/told", "hup\n");
	assert_string_equal(file_of(1, "t/local/out"), "two");
}

static void a_missing_template_source_is_named(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS,
	     "{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/true\"},"
	     "\"Templates\":[{\"SourcePath\":\"local/none.tpl\",\"DestPath\":\"local/out\"}]}");
	await(1, "failed");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Task hook failed,Not Restarting");
	assert_non_null(strstr(told(1, "t")->events.at[2].display_message, "none.tpl"));
}

static void an_artifact_that_cannot_be_had_fails_the_task(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS,
	     "{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/true\"},"
	     "\"Artifacts\":[{\"GetterSource\":\"http://127.0.0.1:1/none.tar.gz\",\"RelativeDest\":\"local/\"}]}");
	await(1, "failed");
	assert_string_equal(events(1, "t"),
	                    "Received,Task Setup,Downloading Artifacts,Failed Artifact Download,Not Restarting");
}

static void a_stop_ends_the_task_and_the_next_one_waits_for_that(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", "", SHELL("t", "trap 'sleep 0.3; exit 0' INT; while :; do sleep 0.05; done"));
	await(1, "running");
	push(2, 1, "run", "service", ",\"PreviousAllocation\":\"deadbeef-0000-0000-0000-000000000001\"", "", SLEEP("t"));
	push(1, 1, "stop", "service", "", "", SLEEP("t"));
	await(2, "running");
	await(1, "complete");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Started,Killing,Terminated,Killed");
	assert_true(told(2, "t")->started_at >= told(1, "t")->finished_at);
}

static bool restarted(const void *arg)
{
	struct wanted want = {1, "running"};

	return has_status(&want) && told(1, "t")->restarts == *(const int64_t *)arg &&
	       strcmp(told(1, "t")->state, "running") == 0;
}

static void restarts_follow_the_policy(void **state)
{
	int64_t once = 1;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "",
	     ",\"RestartPolicy\":{\"Attempts\":1,\"Interval\":60000000000,\"Delay\":100000000,\"Mode\":\"fail\"}",
	     SHELL("t", "if [ -f local/once ]; then exec sleep 600; fi; touch local/once; exit 1"));
	run_until(restarted, &once, "the task runs again");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Started,Terminated,Restarting,Started");
}

static void tasks_outlive_their_agent(void **state)
{
	int64_t started;
	const char *before;
	char kept[1024];

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", "", SLEEP("t"));
	push(2, 1, "run", "batch", "", NO_RESTARTS, SHELL("t", "sleep 0.5; exit 3"));
	await(1, "running");
	await(2, "running");
	started = told(1, "t")->started_at;
	before = events(1, "t");
	snprintf(kept, sizeof(kept), "%s", before);
	close_agent(false);
	usleep(3000000); /* The second task ends while nobody looks. */
	open_agent();
	connect_node();
	push(1, 1, "run", "service", "", "", SLEEP("t"));
	await(1, "running");
	assert_int_equal(told(1, "t")->started_at, started);
	assert_string_equal(events(1, "t"), kept);
	await(2, "failed");
	assert_int_equal(told(2, "t")->events.at[3].exit_code, 3);
	assert_true(told(2, "t")->finished_at - told(2, "t")->started_at < 2500 * MS);
	push(1, 1, "stop", "service", "", "", SLEEP("t"));
	await(1, "complete");
}

/* An agent in a process of its own, which never ends by itself; says when its tasks run. */
static void run_doomed_agent(int say)
{
	open_agent();
	connect_node();
	push(1, 2, "run", "service", "", "", SLEEP("t"));
	await(1, "running");
	await(2, "running");
	(void)!write(say, "x", 1);
	for (;;) {
		uv_run(&w.loop, UV_RUN_ONCE);
	}
}

static void tasks_survive_an_agent_that_is_killed(void **state)
{
	int64_t started;
	int pipes[2];
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		run_doomed_agent(pipes[1]);
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pipes[0]);
	close(pipes[1]);
	open_agent();
	connect_node();
	await(1, "running");
	await(2, "running");
	started = told(1, "t")->started_at;
	push(1, 2, "run", "service", "", "", SLEEP("t"));
	uv_run(&w.loop, UV_RUN_NOWAIT);
	assert_string_equal(events(1, "t"), "Received,Task Setup,Started");
	assert_int_equal(told(1, "t")->restarts, 0);
	assert_int_equal(told(1, "t")->started_at, started);
	push(1, 2, "stop", "service", "", "", SLEEP("t"));
	await(1, "complete");
	await(2, "complete");
}

static void a_task_that_nobody_remembers_does_not_run_on(void **state)
{
	char path[160];
	pid_t pid;
	int i;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", "", SHELL("t", "echo $$ >local/pid; exec sleep 600"));
	await(1, "running");
	for (i = 0; i < 6000 && (file_of(1, "t/local/pid") == NULL || file_of(1, "t/local/pid")[0] == '\0'); i++) {
		usleep(10000);
	}
	pid = atoi(file_of(1, "t/local/pid"));
	assert_true(pid > 0);
	assert_int_equal(kill(pid, 0), 0);
	close_agent(false);
	assert_int_equal(kill(pid, 0), 0);
	snprintf(path, sizeof(path), "%s/allocs/%s", w.state_dir, id_of(1));
	assert_int_equal(truncate(path, 100), 0);
	open_agent();
	for (i = 0; i < 3000 && kill(pid, 0) == 0; i++) {
		usleep(10000);
	}
	assert_int_not_equal(kill(pid, 0), 0);
}

static void an_ended_allocation_stays_ended_for_the_next_agent(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, RAW("t", "/bin/true", "[]"));
	await(1, "complete");
	close_agent(false);
	open_agent();
	connect_node();
	await(1, "complete");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Started,Terminated");
}

static bool all_sent(const void *arg)
{
	(void)arg;
	return w.server.updates >= 3;
}

static void reports_that_were_lost_are_made_again(void **state)
{
	(void)state;
	connect_node();
	w.server.unreliable = true;
	push(1, 1, "run", "batch", "", NO_RESTARTS, RAW("t", "/bin/true", "[]"));
	run_until(all_sent, NULL, "the report is repeated");
	w.server.unreliable = false;
	await(1, "complete");
}

static void what_happened_without_a_server_is_told_to_the_next(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, SHELL("t", "sleep 0.3"));
	await(1, "running");
	fake_server_lose(&w.server);
	assert_false(client_facts(w.client).connected);
	usleep(500000);
	uv_run(&w.loop, UV_RUN_NOWAIT);
	fake_server_return(&w.server);
	await(1, "complete");
	assert_int_equal(w.server.watched_index, w.index);
}

static void what_must_not_run_alone_ends_without_a_server(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", ",\"StopAfterClientDisconnect\":300000000", SLEEP("t"));
	push(2, 1, "run", "service", "", "", SLEEP("t"));
	await(1, "running");
	await(2, "running");
	fake_server_lose(&w.server);
	usleep(400000);
	uv_run(&w.loop, UV_RUN_NOWAIT);
	fake_server_return(&w.server);
	await(1, "complete");
	assert_string_equal(told(2, "t")->state, "running");
	assert_int_equal(w.server.registrations, 1); /* Known to one server is known to all. */
}

static bool is_gone(const void *arg)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", w.alloc_dir, id_of(*(const int *)arg));
	return access(path, F_OK) != 0 && !client_has_alloc(w.client, id_of(*(const int *)arg));
}

static void what_the_servers_have_forgotten_is_removed(void **state)
{
	char json[128];
	int one = 1;
	int two = 2;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", "", SLEEP("t"));
	push(2, 1, "run", "batch", "", NO_RESTARTS, RAW("t", "/bin/true", "[]"));
	await(1, "running");
	await(2, "complete");
	snprintf(json, sizeof(json), "{\"Index\":%lld,\"Gone\":[\"%s\"]}", (long long)++w.index, id_of(1));
	fake_server_push(&w.server, json);
	run_until(is_gone, &one, "the running one is gone");
	snprintf(json, sizeof(json), "{\"Index\":%lld,\"Whole\":true}", (long long)++w.index);
	fake_server_push(&w.server, json);
	run_until(is_gone, &two, "the other one is gone");
}

static void ended_ones_go_when_the_disk_is_full(void **state)
{
	int one = 1;
	int two = 2;

	(void)state;
	close_agent(false);
	w.config.gc_interval_ns = 100 * MS;
	w.config.gc_disk_percent = 0.0000001;
	open_agent();
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, RAW("t", "/bin/true", "[]"));
	push(2, 1, "run", "service", "", "", SLEEP("t"));
	await(2, "running");
	run_until(is_gone, &one, "the ended one is gone");
	assert_false(is_gone(&two));
}

static void nonsense_from_a_server_is_survived(void **state)
{
	(void)state;
	connect_node();
	w.server.events->push_cb(w.server.ctx, RPC_METHOD_NODE_ALLOCS, "garbage", 7);
	fake_server_push(&w.server, "{\"Index\":2,\"Allocs\":[{\"ID\":\"x\",\"AllocModifyIndex\":1}],\"JobOf\":[7]}");
	fake_server_push(&w.server, "{\"Index\":3,\"Jobs\":[{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":[{\"Name\":"
	                            "\"../x\"}]}]}],\"Allocs\":[{\"ID\":\"deadbeef-0000-0000-0000-000000000009\",\"TaskGroup\":"
	                            "\"g\",\"DesiredStatus\":\"run\",\"AllocModifyIndex\":1}],\"JobOf\":[0]}");
	uv_run(&w.loop, UV_RUN_NOWAIT);
	assert_int_equal(client_facts(w.client).allocs, 0);
}

/* ---- requests ---- */

static struct {
	int status;
	struct buf body;
	bool done;
} answer;

static void sink_answer(struct http_request *req, struct http_response *res)
{
	answer.status = res->status == 0 ? 200 : res->status;
	buf_put(&answer.body, res->body.at, res->body.len);
	buf_close(&res->body);
	answer.done = true;
	http_request_close(req);
	free(req);
}

static void sink_begin(struct http_request *req, struct http_response *head)
{
	(void)req;
	answer.status = head->status == 0 ? 200 : head->status;
}

static int sink_write(struct http_request *req, const void *data, size_t len)
{
	(void)req;
	buf_put(&answer.body, data, len);
	return 0;
}

static void sink_end(struct http_request *req, bool whole)
{
	(void)whole;
	answer.done = true;
	http_request_close(req);
	free(req);
}

static const struct http_sink sink = {sink_answer, sink_begin, sink_write, sink_end};

static const char *token = "", *session = "";

static struct http_request *request(enum http_method method, const char *target, const char *body)
{
	struct http_request *req = malloc(sizeof(*req));

	buf_close(&answer.body);
	answer.status = 0;
	answer.done = false;
	http_request_init(req, &sink);
	req->method = method;
	req->token = token;
	req->session = session;
	assert_int_equal(http_request_target(req, target, strlen(target)), 0);
	req->body = body;
	req->body_len = strlen(body);
	client_http(w.client, req);
	return req;
}

static bool answered(const void *arg)
{
	(void)arg;
	return answer.done;
}

static const char *ask(enum http_method method, const char *path, const char *body)
{
	request(method, path, body);
	run_until(answered, NULL, path);
	return buf_text(&answer.body);
}

static const char *path_of(const char *format, int n)
{
	static char path[256];

	snprintf(path, sizeof(path), format, id_of(n));
	return path;
}

static bool has_output(const void *arg)
{
	const char *text = file_of(1, "alloc/logs/t.stdout.0");

	return text != NULL && strstr(text, arg) != NULL;
}

static void signals_and_restarts_reach_the_task(void **state)
{
	int64_t once = 1;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SHELL("t", "trap 'echo got-usr1' USR1; echo ready; while :; do sleep 0.05; done"));
	run_until(has_output, "ready", "the task is ready");
	assert_string_equal(ask(HTTP_POST, path_of("/v1/client/allocation/%s/signal", 1), "{\"Signal\":\"SIGUSR1\"}"),
	                    "{\"Index\":0}");
	run_until(has_output, "got-usr1", "the trap's output");
	assert_string_equal(ask(HTTP_PUT, path_of("/v1/client/allocation/%s/restart", 1), "null"), "{\"Index\":0}");
	run_until(restarted, &once, "the task runs again");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Started,Signaling,Restart Signaled,Terminated,Restarting,Started");
}

static void bad_requests_are_answered_with_the_apis_texts(void **state)
{
	static const struct {
		enum http_method method;
		const char *path, *body;
		int status;
		const char *text;
	} cases[] = {
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000077/signal", "{}", 404,
	         "Unknown allocation \"deadbeef-0000-0000-0000-000000000077\""},
	        {HTTP_POST, "/v1/client/allocation/xyz/signal", "{}", 500, "UUID must be 36 characters"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/signal", "", 400,
	         "Failed to decode body: Request body is empty"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/signal", "{bad", 400,
	         "Failed to decode body:"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/signal", "{\"Signal\":\"SIGNOPE\"}", 400,
	         "unknown signal"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/signal",
	         "{\"Signal\":\"SIGCONT\",\"Task\":\"nope\"}", 500, "Task not found"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/signal", "{\"Signal\":\"SIGCONT\"}", 500,
	         "Failed to signal task: t, err: Task not running"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/restart", "{bad", 500,
	         "invalid character"},
	        {HTTP_POST, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/restart", "", 500,
	         "restart of an alloc that should not run"},
	        {HTTP_GET, "/v1/client/allocation/deadbeef-0000-0000-0000-000000000001/nothing", "", 404, "resource not found"},
	        {HTTP_GET, "/v1/client/fs/ls/", "", 400, "must provide a valid alloc id"},
	        {HTTP_GET, "/v1/client/fs/ls/xyz", "", 500, "UUID must be 36 characters"},
	        {HTTP_GET, "/v1/client/fs/stat/deadbeef-0000-0000-0000-000000000001", "", 400, "must provide a file name"},
	        {HTTP_GET, "/v1/client/fs/ls/deadbeef-0000-0000-0000-000000000001?path=/nope", "", 404,
	         "no such file or directory"},
	        {HTTP_GET, "/v1/client/fs/ls/deadbeef-0000-0000-0000-000000000001?path=/../..", "", 500,
	         "Path escapes the alloc directory"},
	        {HTTP_GET, "/v1/client/fs/logs/deadbeef-0000-0000-0000-000000000001", "", 400, "must provide task name"},
	        {HTTP_GET, "/v1/client/fs/logs/deadbeef-0000-0000-0000-000000000001?task=t", "", 400,
	         "must provide log type (stdout/stderr)"},
	        {HTTP_GET, "/v1/client/fs/logs/deadbeef-0000-0000-0000-000000000001?task=nope&type=stdout", "", 400,
	         "unknown task name \"nope\""},
	};
	size_t i;

	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "", NO_RESTARTS, RAW("t", "/bin/true", "[]"));
	await(1, "complete");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = ask(cases[i].method, cases[i].path, cases[i].body);

		if (answer.status != cases[i].status || strstr(text, cases[i].text) == NULL) {
			fail_msg("%s %s: %d %s", cases[i].path, cases[i].body, answer.status, text);
		}
	}
}

static void files_and_logs_can_be_read(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SHELL("t", "echo out1; echo out2; printf hello > local/f; echo end; sleep 600"));
	run_until(has_output, "end", "the task has written");
	assert_string_equal(ask(HTTP_GET, path_of("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true", 1), ""),
	                    "out1\nout2\nend\n");
	assert_string_equal(ask(HTTP_GET, path_of("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true&origin=end&offset=4", 1), ""),
	                    "end\n");
	assert_non_null(strstr(ask(HTTP_GET, path_of("/v1/client/fs/logs/%s?task=t&type=stdout", 1), ""),
	                       "\"Data\":\"b3V0MQpvdXQyCmVuZAo=\""));
	assert_string_equal(ask(HTTP_GET, path_of("/v1/client/fs/cat/%s?path=/t/local/f", 1), ""), "hello");
	assert_non_null(strstr(ask(HTTP_GET, path_of("/v1/client/fs/stat/%s?path=/t/local/f", 1), ""), "\"Size\":5"));
	assert_non_null(strstr(ask(HTTP_GET, path_of("/v1/client/fs/ls/%s", 1), ""), "\"Name\":\"alloc\""));
}

static bool streamed(const void *arg)
{
	return answer.body.len > 0 && strstr(buf_text(&answer.body), arg) != NULL;
}

static void logs_can_be_followed_until_the_client_leaves(void **state)
{
	struct http_request *req;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SHELL("t", "echo one; sleep 0.4; echo two; sleep 600"));
	run_until(has_output, "one", "the task has begun");
	req = request(HTTP_GET, path_of("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true&follow=true", 1), "");
	run_until(streamed, "one\ntwo\n", "both lines");
	assert_false(answer.done);
	req->gone = true;
	req->gone_cb(req);
	run_until(answered, NULL, "the stream ends");
	/* And one that is still open when the agent stops. */
	request(HTTP_GET, path_of("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true&follow=true", 1), "");
	run_until(streamed, "one\ntwo\n", "both lines");
	close_agent(true);
	assert_true(answer.done);
}

static void statistics_are_answered(void **state)
{
	const char *text;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", "", SLEEP("t"));
	await(1, "running");
	text = ask(HTTP_GET, path_of("/v1/client/allocation/%s/stats", 1), "");
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(text, "\"Tasks\":{\"t\":{\"ResourceUsage\":{\"MemoryStats\":{\"RSS\":"));
	assert_non_null(strstr(text, "\"Timestamp\":"));
}

/* ---- who may ask ---- */

#define IN_DEFAULT(capabilities) "namespace \"default\" { capabilities = [" capabilities "] }"

static int64_t expiry_ns;
static const char *deleted = "none";

/* The tokens that there are, and what they may do. */
static int say_rights(const char *which, struct rpc_rights *out)
{
	static const struct {
		const char *token, *rules;
	} tokens[] = {
	        {"", ""},
	        {"reader", IN_DEFAULT("\"read-job\", \"read-fs\"")},
	        {"logs", IN_DEFAULT("\"read-logs\"")},
	        {"life", IN_DEFAULT("\"alloc-lifecycle\"")},
	        {"submits", IN_DEFAULT("\"submit-job\"")},
	        {"exec", IN_DEFAULT("\"alloc-exec\"")},
	        {"machine", IN_DEFAULT("\"alloc-exec\", \"alloc-node-exec\"")},
	        {"far", "namespace \"far\" { policy = \"write\" }"},
	        {"noread", "node { policy = \"read\" } agent { policy = \"read\" }"},
	        {"nowrite", "node { policy = \"write\" }"},
	        {"garbage", "namespace \"default\" { policy = \"writ"},
	        {"admin", NULL},
	};
	static struct rpc_rights_policy policy;
	size_t i;

	out->type = "client";
	out->expires_ns = expiry_ns;
	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		if (strcmp(tokens[i].token, which) == 0 && strcmp(which, deleted) != 0) {
			policy = (struct rpc_rights_policy){"p", tokens[i].rules != NULL ? tokens[i].rules : ""};
			out->policies.at = &policy;
			out->policies.n = 1;
			out->type = tokens[i].rules == NULL ? "management" : "client";
			return 0;
		}
	}
	out->status = 403;
	out->why = "ACL token not found";
	return strcmp(which, "broken") == 0 ? ERR_NOLEADER : 0;
}

static int make_with_access(void **state)
{
	make_without_agent(state);
	w.config.acl_enabled = true;
	w.config.acl_token_ttl_ns = w.config.acl_policy_ttl_ns = 30 * NS_PER_S;
	open_agent();
	w.server.rights = say_rights;
	expiry_ns = 0;
	deleted = "none";
	return 0;
}

static int release_access(void **state)
{
	token = session = "";
	return release(state);
}

static void ticked(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void run_for(unsigned ms)
{
	bool over = false;
	uv_timer_t timer = {.data = &over};

	uv_timer_init(&w.loop, &timer);
	uv_timer_start(&timer, ticked, ms, 0);
	while (!over) {
		uv_run(&w.loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w.loop, UV_RUN_NOWAIT);
}

static int status_with(const char *with, enum http_method method, const char *path, const char *body)
{
	token = with;
	ask(method, path, body);
	return answer.status;
}

/* Each route with each token: those that it is for, and a word of its handler's; all others are refused. */
static void each_request_needs_its_right(void **state)
{
	static const char *const tokens[] = {"",       "reader", "logs", "life",    "submits", "exec",    "machine",
	                                     "far",    "noread", "nowrite", "garbage", "admin"};
	static const struct {
		enum http_method method;
		const char *path, *body;
		const char *may; /* Tokens, each with a space behind; "admin" may always. */
	} routes[] = {
	        {HTTP_GET, "/v1/client/allocation/%s/stats", "", "reader "},
	        {HTTP_GET, "/v1/client/allocation/%s/checks", "", "reader "},
	        {HTTP_GET, "/v1/client/fs/ls/%s", "", "reader "},
	        {HTTP_GET, "/v1/client/fs/stat/%s?path=/", "", "reader "},
	        {HTTP_GET, "/v1/client/fs/cat/%s?path=/nope", "", "reader "},
	        {HTTP_GET, "/v1/client/fs/readat/%s?path=/nope&offset=0&limit=1", "", "reader "},
	        {HTTP_GET, "/v1/client/fs/stream/%s?path=/nope", "", "reader "},
	        {HTTP_GET, "/v1/client/fs/logs/%s?task=t&type=stdout&plain=true", "", "reader logs "},
	        {HTTP_GET, "/v1/client/allocation/%s/snapshot", "", "reader "},
	        {HTTP_PUT, "/v1/client/allocation/%s/signal", "{\"Signal\":\"SIGCONT\"}", "life "},
	        {HTTP_PUT, "/v1/client/allocation/%s/restart", "{\"TaskName\":\"nope\"}", "life "},
	        {HTTP_PUT, "/v1/client/allocation/%s/gc", "", "submits "},
	        {HTTP_GET, "/v1/client/allocation/%s/exec?task=t", "", "machine "},
	        {HTTP_GET, "/v1/client/allocation/%s/exec?task=nope", "", "exec machine "},
	        {HTTP_PUT, "/v1/client/allocation/%s/exec", "", "exec machine "},
	        {HTTP_GET, "/v1/client/stats", "", "noread nowrite "},
	        {HTTP_GET, "/v1/client/metadata", "", "noread nowrite "},
	        {HTTP_POST, "/v1/client/metadata", "{\"Meta\":{}}", "nowrite "},
	        {HTTP_PUT, "/v1/client/gc", "", "nowrite "},
	        {HTTP_GET, "/v1/agent/host", "", "noread "},
	        {HTTP_GET, "/v1/agent/pprof/cmdline", "", ""},
	};
	size_t i, t;

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SLEEP("t"));
	await(1, "running");
	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		for (t = 0; t < sizeof(tokens) / sizeof(tokens[0]); t++) {
			char name[32], path[256];
			bool may, was;

			snprintf(name, sizeof(name), "%s ", tokens[t]);
			may = (tokens[t][0] != '\0' && strstr(routes[i].may, name) != NULL) || strcmp(tokens[t], "admin") == 0;
			snprintf(path, sizeof(path), "%s", strchr(routes[i].path, '%') != NULL ? path_of(routes[i].path, 1) : routes[i].path);
			was = (status_with(tokens[t], routes[i].method, path, routes[i].body) != 403 ||
			       strcmp(buf_text(&answer.body), "Permission denied") != 0) &&
			      strcmp(buf_text(&answer.body), "a policy of the token cannot be read") != 0;
			if (was != may) {
				fail_msg("%s with \"%s\": %d %s", path, tokens[t], answer.status, buf_text(&answer.body));
			}
		}
		assert_int_equal(status_with("unknown", routes[i].method, "/v1/client/stats", ""), 403);
		assert_string_equal(buf_text(&answer.body), "ACL token not found");
	}
	assert_in_range(w.server.rights_asked, sizeof(tokens) / sizeof(tokens[0]) + 1, 60); /* Each once, or what is no good. */
}

/* Who has no right on any allocation is not told which there are. */
static void unknown_allocations_are_told_to_those_who_may_read(void **state)
{
	(void)state;
	connect_node();
	assert_int_equal(status_with("reader", HTTP_GET, path_of("/v1/client/fs/ls/%s", 7), ""), 404);
	assert_int_equal(status_with("life", HTTP_GET, path_of("/v1/client/fs/ls/%s", 7), ""), 403);
	assert_int_equal(status_with("", HTTP_GET, path_of("/v1/client/allocation/%s/nothing", 7), ""), 404);
}

static void the_node_of_a_successor_gets_the_data(void **state)
{
	char right[DISK_TOKEN_TEXT], other[DISK_TOKEN_TEXT];

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SLEEP("t"));
	await(1, "running");
	assert_true(disk_token(client_node(w.client)->secret_id, id_of(1), right));
	assert_true(disk_token(client_node(w.client)->secret_id, id_of(2), other));
	assert_int_equal(status_with(right, HTTP_GET, path_of("/v1/client/allocation/%s/snapshot", 1), ""), 200);
	assert_int_equal(status_with(other, HTTP_GET, path_of("/v1/client/allocation/%s/snapshot", 1), ""), 403);
	assert_int_equal(status_with(right, HTTP_GET, path_of("/v1/client/fs/ls/%s", 1), ""), 403);
}

static void what_servers_say_is_kept_for_a_while(void **state)
{
	(void)state;
	w.config.acl_policy_ttl_ns = 300 * MS;
	connect_node();
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 200);
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 200);
	assert_int_equal(w.server.rights_asked, 1);
	run_for(400);
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 200);
	assert_int_equal(w.server.rights_asked, 2);
	/* Without a server what is known holds on; what is not known is of no use. */
	fake_server_lose(&w.server);
	run_for(400);
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 200);
	assert_int_equal(status_with("reader", HTTP_GET, "/v1/client/stats", ""), 500);
	assert_int_equal(w.server.rights_asked, 2);
}

static void a_token_waits_for_another_server(void **state)
{
	(void)state;
	connect_node();
	fake_server_lose(&w.server);
	token = "noread";
	request(HTTP_GET, "/v1/client/stats", "");
	run_for(300);
	assert_false(answer.done);
	fake_server_return(&w.server);
	run_until(answered, NULL, "a server is found");
	assert_int_equal(answer.status, 200);
	/* One that is lost while it is asked; and one that waits when the agent stops. */
	token = "nowrite";
	request(HTTP_GET, "/v1/client/stats", "");
	fake_server_lose(&w.server);
	assert_false(answer.done);
	fake_server_return(&w.server);
	run_until(answered, NULL, "a server is found again");
	assert_int_equal(answer.status, 200);
	fake_server_lose(&w.server);
	token = "reader";
	request(HTTP_GET, "/v1/client/stats", "");
	run_for(150);
	assert_false(answer.done);
	close_agent(true);
	assert_true(answer.done);
	assert_int_equal(answer.status, 500);
}

static void a_server_that_cannot_say_is_no_leave(void **state)
{
	(void)state;
	connect_node();
	assert_int_equal(status_with("broken", HTTP_GET, "/v1/client/stats", ""), 500);
	assert_int_equal(status_with("broken", HTTP_GET, "/v1/client/stats", ""), 500);
	assert_int_equal(w.server.rights_asked, 1); /* Not again at once. */
}

static void a_token_ends_at_its_time(void **state)
{
	struct timespec now;

	(void)state;
	connect_node();
	clock_gettime(CLOCK_REALTIME, &now);
	expiry_ns = (now.tv_sec * NS_PER_S + now.tv_nsec) + 300 * MS;
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 200);
	run_for(400);
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 403);
	assert_string_equal(buf_text(&answer.body), "ACL token expired");
}

static void follow(const char *as)
{
	token = as;
	request(HTTP_GET, path_of("/v1/client/fs/logs/%s?task=t&type=stdout&plain=true&follow=true", 1), "");
	run_until(streamed, "one\n", "the first line");
	assert_false(answer.done);
}

static void what_goes_on_ends_with_its_token(void **state)
{
	struct timespec now;

	(void)state;
	w.config.acl_policy_ttl_ns = 200 * MS;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SHELL("t", "echo one; sleep 600"));
	run_until(has_output, "one", "the task has begun");
	follow("reader");
	run_for(500);
	assert_false(answer.done);
	assert_in_range(w.server.rights_asked, 2, 5);
	deleted = "reader";
	run_until(answered, NULL, "the stream ends");
	assert_string_equal(buf_text(&answer.body), "one\n");
	/* Nobody listens any more, so nobody asks. */
	w.server.rights_asked = 0;
	run_for(500);
	assert_int_equal(w.server.rights_asked, 0);
	/* When no server can say more, what is known goes on to hold; but time goes on, too. */
	clock_gettime(CLOCK_REALTIME, &now);
	expiry_ns = (now.tv_sec * NS_PER_S + now.tv_nsec) + 1500 * MS;
	follow("logs");
	fake_server_lose(&w.server);
	run_for(700);
	assert_false(answer.done);
	run_until(answered, NULL, "the stream ends");
	fake_server_return(&w.server);
}

static int pid_of_command(void)
{
	const char *text = file_of(1, "alloc/pid");

	return text != NULL ? atoi(text) : 0;
}

static bool command_runs(const void *arg)
{
	(void)arg;
	return pid_of_command() > 0;
}

static bool command_has_ended(const void *arg)
{
	(void)arg;
	return kill(pid_of_command(), 0) != 0;
}

static void a_command_ends_with_its_token(void **state)
{
	(void)state;
	w.config.acl_policy_ttl_ns = 200 * MS;
	connect_node();
	push(1, 1, "run", "service", "", NO_RESTARTS, SHELL("t", "echo one; sleep 600"));
	run_until(has_output, "one", "the task has begun");
	token = "machine";
	session = "deadbeef-0000-0000-0000-0000000000aa";
	request(HTTP_GET,
	        path_of("/v1/client/allocation/%s/exec?task=t&command=%%5B%%22%%2Fbin%%2Fsh%%22%%2C%%22-c%%22%%2C%%22echo%%20%%24%%24"
	                "%%3E%%24NOMAD_ALLOC_DIR%%2Fpid%%3B%%20exec%%20sleep%%20600%%22%%5D",
	                1),
	        "");
	run_until(command_runs, NULL, "the command runs");
	assert_false(answer.done);
	deleted = "machine";
	run_until(answered, NULL, "the session ends");
	run_until(command_has_ended, NULL, "the command ends");
}

static unsigned count_warnings(struct log_tap *tap)
{
	struct buf text = {0};
	unsigned n = 0;

	(void)log_tap_take(tap, &text);
	for (const char *at = buf_text(&text); (at = strstr(at, "this agent has not")) != NULL; at++) {
		n++;
	}
	buf_close(&text);
	return n;
}

/* With access control it has nothing to say; without, it says so once. */
static void a_node_without_access_control_among_servers_with_it_warns(void **state)
{
	struct log_tap *tap = log_tap_open(LOG_WARN, false);

	(void)state;
	assert_non_null(tap);
	w.server.acl = true;
	w.config.acl_enabled = token[0] != '\0';
	connect_node();
	assert_int_equal(count_warnings(tap), w.config.acl_enabled ? 0 : 1);
	fake_server_lose(&w.server);
	fake_server_return(&w.server);
	assert_int_equal(count_warnings(tap), 0);
	log_tap_close(tap);
	w.server.acl = false;
}

static int with_a_token(void **state)
{
	token = "reader";
	return make_with_access(state);
}

/* The book is bounded; and who leaves while he waits is answered. */
static void many_tokens_are_not_kept(void **state)
{
	struct http_request *req;
	char name[32];
	int i;

	(void)state;
	connect_node();
	for (i = 0; i < 3 * ACCESS_KEPT_MAX; i++) {
		snprintf(name, sizeof(name), "stranger-%d", i);
		assert_int_equal(status_with(name, HTTP_GET, "/v1/client/stats", ""), 403);
	}
	token = "noread";
	req = request(HTTP_GET, "/v1/client/stats", "");
	assert_false(answer.done);
	req->gone = true;
	req->gone_cb(req);
	assert_true(answer.done);
	assert_int_equal(status_with("noread", HTTP_GET, "/v1/client/stats", ""), 200);
	/* One that waits when the agent stops. */
	token = "nowrite";
	request(HTTP_GET, "/v1/client/stats", "");
	close_agent(true);
	assert_true(answer.done);
}

/* ---- the mock driver ---- */

static void many_simulated_tasks_cost_little(void **state)
{
	int i;

	(void)state;
	connect_node();
	push(0, 500, "run", "batch", "", NO_RESTARTS, "{\"Name\":\"t\",\"Driver\":\"mock_driver\",\"Config\":{\"run_for\":\"100ms\"}}");
	for (i = 0; i < 500; i++) {
		await(i, "complete");
	}
}

static void a_driver_that_fails_now_and_then_is_tried_again(void **state)
{
	(void)state;
	connect_node();
	push(1, 1, "run", "batch", "",
	     ",\"RestartPolicy\":{\"Attempts\":2,\"Interval\":60000000000,\"Delay\":10000000,\"Mode\":\"fail\"}",
	     "{\"Name\":\"t\",\"Driver\":\"mock_driver\",\"Config\":{\"start_error\":\"not yet\",\"start_error_recoverable\":true}}");
	await(1, "failed");
	assert_string_equal(events(1, "t"), "Received,Task Setup,Driver Failure,Restarting,Driver Failure,Restarting,Driver Failure,"
	                                    "Not Restarting");
	assert_int_equal(told(1, "t")->restarts, 2);
}

static bool is_starting(const void *arg)
{
	(void)arg;
	return client_facts(w.client).allocs_running == 1 && fake_server_find(&w.server, id_of(1)) != NULL &&
	       told(1, "t")->events.n >= 2;
}

static void a_start_that_takes_for_ever_can_be_stopped(void **state)
{
	static const char task[] =
	        "{\"Name\":\"t\",\"Driver\":\"mock_driver\",\"KillTimeout\":300000000,"
	        "\"Config\":{\"start_block_for\":\"1h\"}}";

	(void)state;
	connect_node();
	push(1, 1, "run", "service", "", "", task);
	run_until(is_starting, NULL, "the task is being started");
	push(1, 1, "stop", "service", "", "", task);
	await(1, "complete");
}

/* ---- services ---- */

/* The services of allocation 1 that were told last. */
static const struct alloc_update *told_services(void)
{
	static const struct alloc_update none;
	struct fake_report *r = fake_server_find(&w.server, id_of(1));

	return r == NULL ? &none : &r->update;
}

static bool tells_services(const void *arg)
{
	return told_services()->services.n == *(const uint32_t *)arg;
}

static void await_services(uint32_t n)
{
	run_until(tells_services, &n, "so many services are told");
}

#define GRANTED                                                                                       \
	",\"AllocatedResources\":{\"Shared\":{\"Ports\":[{\"Label\":\"my-port\",\"Value\":1234,\"HostIP\":\"127.0.0.9\"}]}}"

static void services_are_offered_while_their_allocation_runs(void **state)
{
	static const char group[] =
	        ",\"ShutdownDelay\":300000000,\"Services\":["
	        "{\"Name\":\"${NOMAD_GROUP_NAME}-s\",\"Provider\":\"nomad\",\"PortLabel\":\"my-port\",\"Tags\":[\"i${NOMAD_ALLOC_INDEX}\",\"b\"],"
	        "\"CanaryTags\":[\"c\"]},"
	        "{\"Name\":\"number\",\"Provider\":\"nomad\",\"PortLabel\":\"8080\",\"Address\":\"example.org\"},"
	        "{\"Name\":\"nowhere\",\"Provider\":\"nomad\",\"PortLabel\":\"missing\"},"
	        "{\"Name\":\"other\",\"Provider\":\"consul\",\"PortLabel\":\"my-port\"}]";
	const struct service_registration *s;
	char id[128];

	(void)state;
	connect_node();
	push(1, 1, "run", "service", GRANTED, group, SLEEP("t"));
	await(1, "running");
	await_services(2);
	s = told_services()->services.at;
	snprintf(id, sizeof(id), "_nomad-task-%s-group-g-g-s-my-port", id_of(1));
	assert_string_equal(s[0].id, id);
	assert_string_equal(s[0].service_name, "g-s");
	assert_string_equal(s[0].address, "127.0.0.9");
	assert_int_equal(s[0].port, 1234);
	assert_int_equal(s[0].tags.n, 2);
	assert_string_equal(s[0].tags.at[0], "i0");
	assert_string_equal(s[1].address, "example.org");
	assert_int_equal(s[1].port, 8080);
	/* They are off the list before the task is killed. */
	push(1, 1, "stop", "service", GRANTED, group, SLEEP("t"));
	await_services(0);
	assert_string_equal(told_services()->client_status, "running");
	await(1, "complete");
}

static void a_canary_has_tags_of_its_own(void **state)
{
	static const char group[] = ",\"Services\":[{\"Name\":\"s\",\"Provider\":\"nomad\",\"PortLabel\":\"my-port\",\"Tags\":[\"t\"],"
	                            "\"CanaryTags\":[\"c1\",\"c2\"]}]";

	(void)state;
	connect_node();
	push(1, 1, "run", "service", GRANTED ",\"DeploymentID\":\"d\",\"DeploymentStatus\":{\"Canary\":true}", group, SLEEP("t"));
	await_services(1);
	assert_int_equal(told_services()->services.at[0].tags.n, 2);
}

static void services_of_a_task_are_offered_while_it_runs(void **state)
{
	static const char two[] = "{\"Name\":\"quick\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sleep\",\"args\":[\"1\"]},"
	                          "\"Services\":[{\"Name\":\"q\",\"Provider\":\"nomad\",\"PortLabel\":\"my-port\"}]},"
	                          "{\"Name\":\"slow\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sleep\",\"args\":[\"600\"]},"
	                          "\"Services\":[{\"Name\":\"s\",\"Provider\":\"nomad\",\"PortLabel\":\"my-port\"}]}";
	char id[128];

	(void)state;
	connect_node();
	push(1, 1, "run", "batch", GRANTED, "", two);
	await_services(2);
	await_services(1);
	snprintf(id, sizeof(id), "_nomad-task-%s-slow-s-my-port", id_of(1));
	assert_string_equal(told_services()->services.at[0].id, id);
}

/* ---- checks ---- */

/* A listener that answers every request with a status; 0 accepts and hangs up. */
static struct {
	uv_tcp_t tcp;
	int status;
	int port;
	unsigned asked;
} service;

static void free_handle_cb(uv_handle_t *handle)
{
	free(handle);
}

static void request_alloc_cb(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	static char bytes[1024];

	(void)handle;
	(void)size;
	*buf = uv_buf_init(bytes, sizeof(bytes));
}

static void request_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	char text[128];
	uv_buf_t out = uv_buf_init(text, 0);

	(void)buf;
	if (n > 0 && service.status != 0) {
		out.len = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", service.status);
		(void)uv_try_write(stream, &out, 1);
	}
	if (n != 0 && !uv_is_closing((uv_handle_t *)stream)) {
		uv_close((uv_handle_t *)stream, free_handle_cb);
	}
}

static void service_cb(uv_stream_t *listener, int status)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));

	assert_int_equal(status, 0);
	uv_tcp_init(&w.loop, tcp);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)tcp), 0);
	uv_read_start((uv_stream_t *)tcp, request_alloc_cb, request_cb);
	service.asked++;
}

static void open_service(int status)
{
	struct sockaddr_in in;
	int len = sizeof(in);

	service.status = status;
	service.asked = 0;
	uv_tcp_init(&w.loop, &service.tcp);
	uv_ip4_addr("0.0.0.0", 0, &in);
	assert_int_equal(uv_tcp_bind(&service.tcp, (struct sockaddr *)&in, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&service.tcp, 16, service_cb), 0);
	assert_int_equal(uv_tcp_getsockname(&service.tcp, (struct sockaddr *)&in, &len), 0);
	service.port = ntohs(in.sin_port);
}

static void push_checked(const char *checks)
{
	char group[1024];

	snprintf(group, sizeof(group),
	         ",\"Update\":{\"HealthCheck\":\"checks\",\"MinHealthyTime\":200000000,\"HealthyDeadline\":1500000000},"
	         "\"Services\":[{\"Name\":\"s\",\"PortLabel\":\"http\",\"Checks\":[%s]}]",
	         checks);
	push(1, 1, "run", "service",
	     ",\"DeploymentID\":\"d1\",\"AllocatedResources\":{\"Shared\":{\"Ports\":[{\"Label\":\"http\","
	     "\"Value\":1,\"HostIP\":\"127.0.0.1\"}]}}",
	     group, SLEEP("t"));
}

static bool has_verdict(const void *arg)
{
	struct fake_report *r = fake_server_find(&w.server, id_of(1));

	(void)arg;
	return r != NULL && r->update.deployment_status != NULL && r->update.deployment_status->healthy.set;
}

static int verdict(void)
{
	run_until(has_verdict, NULL, "there is a verdict on its health");
	return (int)fake_server_find(&w.server, id_of(1))->update.deployment_status->healthy.at;
}

#define CHECK(type, more) "{\"Type\":\"" type "\",\"PortLabel\":\"%d\",\"Interval\":1000000000" more "}"

static void healthy_is_what_answers_its_checks(void **state)
{
	char checks[512];

	(void)state;
	open_service(204);
	connect_node();
	snprintf(checks, sizeof(checks), CHECK("http", ",\"Path\":\"/h\",\"Header\":{\"X-A\":[\"1\",\"2\"]}") "," CHECK("tcp", ""),
	         service.port, service.port);
	push_checked(checks);
	assert_int_equal(verdict(), 1);
	assert_true(service.asked >= 2);
	uv_close((uv_handle_t *)&service.tcp, NULL);
}

static void unhealthy_is_what_answers_with_errors_or_not_at_all(void **state)
{
	char checks[512];

	(void)state;
	open_service(500);
	connect_node();
	snprintf(checks, sizeof(checks), CHECK("http", ",\"Path\":\"/h\""), service.port);
	push_checked(checks);
	assert_int_equal(verdict(), 0);
	assert_true(service.asked >= 2);
	assert_string_equal(last_event(1, "t")->message, "Services not healthy by deadline");
	uv_close((uv_handle_t *)&service.tcp, NULL);
}

static void a_check_whose_port_nobody_listens_on_fails(void **state)
{
	(void)state;
	connect_node();
	push_checked("{\"Type\":\"tcp\",\"Interval\":1000000000}"); /* The service's port, which is 1. */
	assert_int_equal(verdict(), 0);
}

/* ---- checks in the long run ---- */

#define RESTARTED(grace) ",\"Name\":\"c\",\"CheckRestart\":{\"Limit\":2,\"Grace\":" grace "}"

static bool has_restarted(const void *arg)
{
	const struct alloc_update *u = told_services();

	(void)arg;
	return u->task_states.n == 1 && u->task_states.at[0].restarts > 0;
}

/* A group whose service has this check, without a deployment. */
static void push_with_check(const char *check, const char *tasks)
{
	char group[1024];

	snprintf(group, sizeof(group),
	         ",\"RestartPolicy\":{\"Attempts\":3,\"Interval\":60000000000,\"Delay\":1000000,\"Mode\":\"fail\"},"
	         "\"Services\":[{\"Name\":\"s\",\"Provider\":\"nomad\",\"PortLabel\":\"my-port\",\"Checks\":[%s]}]",
	         check);
	push(1, 1, "run", "service", GRANTED, group, tasks);
}

static const struct task_event *event_of_type(const char *type)
{
	const struct alloc_update *u = told_services();
	uint32_t i;

	for (i = 0; u->task_states.n == 1 && i < u->task_states.at[0].events.n; i++) {
		if (strcmp(u->task_states.at[0].events.at[i].type, type) == 0) {
			return &u->task_states.at[0].events.at[i];
		}
	}
	return NULL;
}

static void a_check_that_fails_too_often_restarts_its_task(void **state)
{
	char check[512];

	(void)state;
	open_service(500);
	connect_node();
	snprintf(check, sizeof(check), CHECK("http", ",\"Path\":\"/h\"" RESTARTED("10000000")), service.port);
	push_with_check(check, SLEEP("t"));
	run_until(has_restarted, NULL, "the task is restarted");
	assert_in_range(service.asked, 2, 3); /* The first may fall into the time of grace. */
	assert_string_equal(event_of_type("Restart Signaled")->restart_reason, "healthcheck: check \"c\" unhealthy");
	uv_close((uv_handle_t *)&service.tcp, NULL);
}

/* The JSON of the checks of allocation 1. */
static const char *checks_json(void)
{
	return ask(HTTP_GET, path_of("/v1/client/allocation/%s/checks", 1), "");
}

static bool check_has_failed(const void *arg)
{
	(void)arg;
	return strstr(checks_json(), "\"Status\":\"failure\"") != NULL;
}

static void checks_are_told(void **state)
{
	char check[512];

	(void)state;
	open_service(503);
	connect_node();
	/* One failure is within the time of grace: nothing is restarted. */
	snprintf(check, sizeof(check), CHECK("http", ",\"OnUpdate\":\"ignore\",\"Path\":\"/h\"" RESTARTED("60000000000")), service.port);
	push_with_check(check, SLEEP("t"));
	run_until(check_has_failed, NULL, "the check has failed");
	assert_non_null(strstr(checks_json(), "\"StatusCode\":503"));
	assert_non_null(strstr(checks_json(), "\"Mode\":\"readiness\""));
	assert_non_null(strstr(checks_json(), "\"Service\":\"s\",\"Check\":\"c\""));
	assert_false(has_restarted(NULL));
	uv_close((uv_handle_t *)&service.tcp, NULL);
}

static void a_check_that_is_ignored_does_not_hold_health_back(void **state)
{
	(void)state;
	connect_node();
	push_checked("{\"Type\":\"tcp\",\"Interval\":1000000000,\"OnUpdate\":\"ignore\"}");
	assert_int_equal(verdict(), 1);
}

#define A(f) cmocka_unit_test_setup_teardown(f, make_with_access, release_access)
#define T(test) cmocka_unit_test_setup_teardown(test, make, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(a_node_registers_and_beats),
	        T(heartbeats_follow_the_lease_and_a_forgotten_node_registers_again),
	        T(what_cannot_be_written_down_does_not_run),
	        T(a_batch_of_real_tasks_completes),
	        T(a_failing_task_is_reported_with_its_code),
	        T(a_missing_command_and_a_bad_config_are_told_apart),
	        T(a_task_sees_its_environment_and_files),
	        T(a_missing_template_source_is_named),
	        T(a_task_waits_for_what_its_templates_want),
	        T(a_task_that_waits_for_data_can_be_stopped),
	        T(an_agent_can_end_while_tasks_wait_for_data),
	        T(a_task_that_is_found_again_is_told_what_it_has_missed),
	        T(an_artifact_that_cannot_be_had_fails_the_task),
	        T(a_stop_ends_the_task_and_the_next_one_waits_for_that),
	        T(restarts_follow_the_policy),
	        T(tasks_outlive_their_agent),
	        cmocka_unit_test_setup_teardown(tasks_survive_an_agent_that_is_killed, make_without_agent, release),
	        T(a_task_that_nobody_remembers_does_not_run_on),
	        T(an_ended_allocation_stays_ended_for_the_next_agent),
	        T(reports_that_were_lost_are_made_again),
	        T(what_happened_without_a_server_is_told_to_the_next),
	        T(what_must_not_run_alone_ends_without_a_server),
	        T(what_the_servers_have_forgotten_is_removed),
	        T(ended_ones_go_when_the_disk_is_full),
	        T(nonsense_from_a_server_is_survived),
	        T(signals_and_restarts_reach_the_task),
	        T(bad_requests_are_answered_with_the_apis_texts),
	        T(files_and_logs_can_be_read),
	        T(logs_can_be_followed_until_the_client_leaves),
	        T(statistics_are_answered),
	        T(many_simulated_tasks_cost_little),
	        T(a_driver_that_fails_now_and_then_is_tried_again),
	        T(a_start_that_takes_for_ever_can_be_stopped),
	        T(services_are_offered_while_their_allocation_runs),
	        A(each_request_needs_its_right),
	        A(unknown_allocations_are_told_to_those_who_may_read),
	        A(the_node_of_a_successor_gets_the_data),
	        A(what_servers_say_is_kept_for_a_while),
	        A(a_token_waits_for_another_server),
	        A(a_server_that_cannot_say_is_no_leave),
	        A(a_token_ends_at_its_time),
	        A(what_goes_on_ends_with_its_token),
	        T(a_node_without_access_control_among_servers_with_it_warns),
	        cmocka_unit_test_setup_teardown(a_node_without_access_control_among_servers_with_it_warns, with_a_token, release_access),
	        A(a_command_ends_with_its_token),
	        A(many_tokens_are_not_kept),
	        T(a_canary_has_tags_of_its_own),
	        T(services_of_a_task_are_offered_while_it_runs),
	        T(healthy_is_what_answers_its_checks),
	        T(unhealthy_is_what_answers_with_errors_or_not_at_all),
	        T(a_check_whose_port_nobody_listens_on_fails),
	        T(a_check_that_fails_too_often_restarts_its_task),
	        T(checks_are_told),
	        T(a_check_that_is_ignored_does_not_hold_health_back),
	};

	cmocka_set_test_filter(getenv("DROVER_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
