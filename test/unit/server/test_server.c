/* A whole server with its threads, alone: from HTTP through the log and the schedulers and back, and its end. */
#include "test/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/uuid.h"
#include "proto/error.h"
#include "server/server.h"

enum { PATIENCE_MS = 60000, BODY_MAX = 1 << 20 };

static char dir[64];
static char rpc[32];
static char why[512];

/* ---- the world ---- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void rest(unsigned ms)
{
	const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static int listener(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static int make_dir(void **state)
{
	uint16_t port;

	(void)state;
	log_set_level(getenv("VERBOSE") != NULL ? LOG_DEBUG : LOG_ERROR);
	strcpy(dir, "/tmp/test_server.XXXXXX");
	close(listener(&port));
	snprintf(rpc, sizeof(rpc), "127.0.0.1:%u", port);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct server_config config_of(uint16_t port)
{
	return (struct server_config){.dir = dir,
				      .name = "s1",
				      .region = "global",
				      .datacenter = "dc1",
				      .version = "1.0",
				      .api_version = "2.0.6",
				      .bind_http_host = "127.0.0.1",
				      .http_port = port,
				      .bind_rpc = rpc,
				      .rpc_addr = rpc,
				      .bootstrap_expect = 1,
				      .election_ms = 100,
				      .heartbeat_ms = 20};
}

static struct server *start(const struct server_config *config)
{
	struct server *s = NULL;
	int rc = server_start(config, &s, why, sizeof(why));

	if (rc != 0) {
		fail_msg("%s: %s", error_text(rc), why);
	}
	return s;
}

static struct server *start_default(void)
{
	const struct server_config config = config_of(0);

	return start(&config);
}

static void stop(struct server *s)
{
	int64_t begun = now_ms();

	server_stop(s);
	assert_true(now_ms() - begun < 10000); /* test/integration/agent_start.py says how soon on a quiet machine. */
}

/* ---- HTTP ---- */

struct client {
	int fd;
	int status;
	uint64_t index;
	char body[BODY_MAX];
};

static bool open_client(struct client *c, uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(c->fd >= 0);
	return connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool send_request(struct client *c, const char *method, const char *target, const char *body)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", method,
			 target, body != NULL ? strlen(body) : 0, body != NULL ? body : "");

	assert_true((size_t)n < sizeof(text));
	return send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

static const char *header(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	return at != NULL ? at + strlen(name) : NULL;
}

/* An answer with its length told; false when the connection ends before it is there. */
static bool receive(struct client *c)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(c->fd, c->body + len, sizeof(c->body) - 1 - len, 0);
		char *end;
		const char *length;

		if (n <= 0) {
			return false;
		}
		len += (size_t)n;
		c->body[len] = '\0';
		end = strstr(c->body, "\r\n\r\n");
		length = end != NULL ? header(c->body, "content-length: ") : NULL;
		if (length != NULL && c->body + len >= end + 4 + atoi(length)) {
			const char *index = header(c->body, "x-nomad-index: ");

			c->status = atoi(c->body + strlen("HTTP/1.1 "));
			c->index = index != NULL ? strtoull(index, NULL, 10) : 0;
			memmove(c->body, end + 4, strlen(end + 4) + 1);
			return true;
		}
	}
}

static struct client one;

static int ask(struct server *s, const char *method, const char *target, const char *body)
{
	if (!open_client(&one, server_http_port(s)) || !send_request(&one, method, target, body) || !receive(&one)) {
		fail_msg("%s %s: no answer", method, target);
	}
	close(one.fd);
	return one.status;
}

static void want(struct server *s, const char *method, const char *target, const char *body, const char *text)
{
	if (ask(s, method, target, body) != 200 || (text != NULL && strstr(one.body, text) == NULL)) {
		fail_msg("%s %s: %d %.300s", method, target, one.status, one.body);
	}
}

static void wait_for(struct server *s, const char *target, const char *text)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (ask(s, "GET", target, NULL) != 200 || strstr(one.body, text) == NULL) {
		if (now_ms() > until) {
			fail_msg("%s: %d %.600s", target, one.status, one.body);
		}
		rest(5);
	}
}

static const char *job(const char *id, unsigned count)
{
	static char text[1024];

	snprintf(text, sizeof(text),
		 "{\"Job\":{\"ID\":\"%s\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":\"g\",\"Count\":%u,"
		 "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/true\"},"
		 "\"Resources\":{\"CPU\":20,\"MemoryMB\":10}}]}]}}",
		 id, count);
	return text;
}

/* ---- what it does ---- */

static void a_job_goes_through_log_and_scheduler_and_can_be_read(void **state)
{
	struct server *s = start_default();

	(void)state;
	want(s, "PUT", "/v1/jobs", job("web", 2), "EvalID");
	want(s, "GET", "/v1/job/web", NULL, "\"ID\":\"web\"");
	/* There is no node: the scheduler blocks what it cannot place. */
	wait_for(s, "/v1/job/web/evaluations", "\"Status\":\"blocked\"");
	wait_for(s, "/v1/job/web/evaluations", "\"Status\":\"complete\"");
	want(s, "GET", "/v1/jobs?consistent", NULL, "\"ID\":\"web\"");
	want(s, "GET", "/v1/jobs?stale", NULL, "\"ID\":\"web\"");
	want(s, "PUT", "/v1/job/web/plan", "{\"Job\":{\"ID\":\"web\",\"Datacenters\":[\"dc1\"],\"TaskGroups\":[{\"Name\":"
					   "\"g\",\"Count\":3,\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\","
					   "\"Config\":{\"command\":\"/bin/true\"}}]}]},\"Diff\":true}",
	     "FailedTGAllocs");
	want(s, "DELETE", "/v1/job/web", NULL, "EvalID");
	wait_for(s, "/v1/job/web", "\"Status\":\"dead\"");
	want(s, "PUT", "/v1/system/gc", NULL, NULL);
	want(s, "PUT", "/v1/system/reconcile/summaries", NULL, NULL);
	{
		int64_t until = now_ms() + PATIENCE_MS;

		while (ask(s, "GET", "/v1/job/web", NULL) != 404) {
			assert_true(now_ms() < until);
			rest(5);
		}
	}
	stop(s);
}

static void a_server_tells_of_itself(void **state)
{
	struct server *s = start_default();

	(void)state;
	wait_for(s, "/v1/status/leader", rpc);
	want(s, "GET", "/v1/status/peers", NULL, rpc);
	want(s, "GET", "/v1/regions", NULL, "[\"global\"]");
	want(s, "GET", "/v1/agent/self", NULL, "\"leader\":\"true\"");
	want(s, "GET", "/v1/agent/self", NULL, "\"state\":\"Leader\"");
	want(s, "GET", "/v1/agent/health?type=server", NULL, "\"ok\":true");
	want(s, "GET", "/v1/agent/members", NULL, "\"ServerName\":\"s1\"");
	want(s, "GET", "/v1/metrics", NULL, "nomad.nomad.heartbeat.active");
	want(s, "GET", "/v1/metrics", NULL, "nomad.runtime.alloc_bytes");
	want(s, "GET", "/v1/metrics?format=prometheus", NULL, "nomad_raft_commitIndex");
	want(s, "GET", "/v1/operator/autopilot/health", NULL, "\"Healthy\":true");
	want(s, "GET", "/v1/operator/raft/configuration", NULL, rpc);
	stop(s);
}

static void a_blocking_query_wakes(void **state)
{
	struct server *s = start_default();
	struct client *c = calloc(1, sizeof(*c));
	char target[128];
	uint64_t index;
	int64_t begun;

	(void)state;
	want(s, "PUT", "/v1/jobs", job("a", 1), NULL);
	wait_for(s, "/v1/job/a/evaluations", "blocked");
	want(s, "GET", "/v1/jobs", NULL, NULL);
	index = one.index;
	snprintf(target, sizeof(target), "/v1/jobs?index=%llu&wait=30s", (unsigned long long)index);
	assert_true(open_client(c, server_http_port(s)) && send_request(c, "GET", target, NULL));
	rest(50);
	begun = now_ms();
	want(s, "PUT", "/v1/jobs", job("b", 1), NULL);
	assert_true(receive(c));
	assert_true(now_ms() - begun < 10000);
	assert_int_equal(c->status, 200);
	assert_true(c->index > index);
	assert_non_null(strstr(c->body, "\"ID\":\"b\""));
	/* And time alone. */
	snprintf(target, sizeof(target), "/v1/job/b?index=%llu&wait=100ms", (unsigned long long)c->index + 1000);
	begun = now_ms();
	assert_true(send_request(c, "GET", target, NULL) && receive(c));
	assert_true(now_ms() - begun >= 100 && now_ms() - begun < 10000);
	/* One that waits does not hold up the end. */
	snprintf(target, sizeof(target), "/v1/nodes?index=100000&wait=300s");
	assert_true(send_request(c, "GET", target, NULL));
	rest(50);
	stop(s);
	assert_true(receive(c));
	close(c->fd);
	free(c);
}

static void what_was_written_is_there_after_a_restart(void **state)
{
	char snapshot[128];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct server_config config = config_of(0);
		struct server *s;

		config.snapshot_log_bytes = round > 0 ? 1 : 0; /* Once from the log alone, then by snapshots. */
		s = start(&config);
		snprintf(snapshot, sizeof(snapshot), "job-%u", round);
		wait_for(s, "/v1/status/leader", rpc);
		want(s, "PUT", "/v1/jobs", job(snapshot, 1), "EvalID");
		for (unsigned i = 0; i <= round; i++) {
			char target[64];

			snprintf(target, sizeof(target), "/v1/job/job-%u", i);
			want(s, "GET", target, NULL, "\"Count\":1");
		}
		rest(round > 0 ? 200 : 0);
		stop(s);
	}
}

/* ---- its beginning and end ---- */

static void what_prevents_a_start_is_told(void **state)
{
	struct server_config config;
	struct server *s = start_default();
	struct server *other;
	uint16_t port;
	int fd;

	(void)state;
	config = config_of(0);
	assert_int_equal(server_start(&config, &other, why, sizeof(why)), ERR_BUSY);
	assert_non_null(strstr(why, dir));
	stop(s);

	fd = listener(&port);
	config = config_of(port);
	assert_int_equal(server_start(&config, &other, why, sizeof(why)), ERR_IO);
	assert_non_null(strstr(why, "127.0.0.1"));
	assert_non_null(strstr(why, "in use"));
	close(fd);

	config = config_of(0);
	config.bind_http_host = "nowhere";
	assert_int_equal(server_start(&config, &other, why, sizeof(why)), ERR_INVALID);

	config = config_of(0);
	config.rpc_addr = "127.0.0.1";
	assert_int_equal(server_start(&config, &other, why, sizeof(why)), ERR_INVALID);
	assert_non_null(strstr(why, "host:port"));

	config = config_of(0);
	config.bind_rpc = "192.0.2.1:1";
	assert_true(server_start(&config, &other, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "192.0.2.1"));

	s = start_default(); /* Nothing of all that is left. */
	stop(s);
}

static void a_server_without_a_cluster_says_so_and_stops(void **state)
{
	struct server_config config = config_of(0);
	struct server *s;
	int64_t begun = now_ms();

	(void)state;
	config.bootstrap_expect = 0;
	s = start(&config);
	assert_int_equal(ask(s, "GET", "/v1/jobs?stale", NULL), 200);
	assert_int_equal(ask(s, "GET", "/v1/agent/health?type=server", NULL), 500);
	assert_int_equal(ask(s, "GET", "/v1/jobs", NULL), 500);
	assert_non_null(strstr(one.body, "No cluster leader"));
	assert_true(now_ms() - begun >= 4000 && now_ms() - begun < 40000);
	stop(s);
}

struct writer {
	pthread_t thread;
	uint16_t port;
	unsigned first, n;
	unsigned done;    /* Answered with 200. */
	unsigned answers; /* Of any kind. */
};

static void *write_jobs(void *arg)
{
	struct writer *w = arg;
	struct client *c = calloc(1, sizeof(*c));
	char text[1024];

	if (open_client(c, w->port)) {
		for (unsigned i = 0; i < w->n; i++) {
			snprintf(text, sizeof(text),
				 "{\"Job\":{\"ID\":\"w-%u\",\"Type\":\"batch\",\"Datacenters\":[\"dc1\"],"
				 "\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\","
				 "\"Config\":{\"command\":\"/bin/true\"}}]}]}}",
				 w->first + i);
			if (!send_request(c, "PUT", "/v1/jobs", text) || !receive(c)) {
				break;
			}
			__atomic_fetch_add(&w->answers, 1, __ATOMIC_RELAXED);
			if (c->status != 200) {
				break;
			}
			w->done++;
		}
	}
	close(c->fd);
	free(c);
	return NULL;
}

/* Those that were answered are there afterwards, and each writer has an answer or a closed connection. */
static void the_end_may_come_in_the_middle_of_many_writes(void **state)
{
	enum { WRITERS = 8 };
	struct writer w[WRITERS];
	struct server *s = start_default();
	unsigned done = 0;
	int64_t until;

	(void)state;
	wait_for(s, "/v1/status/leader", rpc);
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.port = server_http_port(s), .first = i * 1000, .n = 1000};
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_jobs, &w[i]), 0);
	}
	until = now_ms() + PATIENCE_MS;
	while (__atomic_load_n(&w[0].answers, __ATOMIC_RELAXED) < 5) {
		assert_true(now_ms() < until);
		rest(1);
	}
	stop(s);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		done += w[i].done;
	}
	assert_true(done > 0 && done < WRITERS * 1000);
	s = start_default();
	wait_for(s, "/v1/status/leader", rpc);
	for (unsigned i = 0; i < WRITERS; i++) {
		for (unsigned k = 0; k < w[i].done; k++) {
			char target[64];

			snprintf(target, sizeof(target), "/v1/job/w-%u?stale", w[i].first + k);
			want(s, "GET", target, NULL, NULL);
		}
	}
	stop(s);
}

static void *told_end;

static void on_end(void *ctx, const char *text)
{
	snprintf(why, sizeof(why), "%s", text);
	__atomic_store_n(&told_end, ctx, __ATOMIC_RELEASE);
}

void server_end(struct server *s, const char *text);

static void a_server_that_cannot_go_on_asks_to_be_stopped(void **state)
{
	struct server *s = start_default();
	int64_t until = now_ms() + PATIENCE_MS;

	(void)state;
	server_end(s, "the sky has fallen");
	server_end(s, "another reason");
	server_on_end(s, on_end, s);
	while (__atomic_load_n(&told_end, __ATOMIC_ACQUIRE) == NULL) {
		assert_true(now_ms() < until);
		rest(1);
	}
	assert_string_equal(why, "the sky has fallen");
	server_leave(s, 500);
	stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
		T(a_job_goes_through_log_and_scheduler_and_can_be_read),
		T(a_server_tells_of_itself),
		T(a_blocking_query_wakes),
		T(what_was_written_is_there_after_a_restart),
		T(what_prevents_a_start_is_told),
		T(the_end_may_come_in_the_middle_of_many_writes),
		T(a_server_that_cannot_go_on_asks_to_be_stopped),
		T(a_server_without_a_cluster_says_so_and_stops),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
