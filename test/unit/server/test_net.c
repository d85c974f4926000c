/* Several servers with all their threads, in one process and on loopback addresses: they find each other, and clients
 * find them. */
#include "test/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/uuid.h"
#include "proto/error.h"
#include "proto/stream.h"
#include "server/server.h"

enum { SERVERS = 5, PATIENCE_MS = 15000, BODY_MAX = 1 << 20 };

static char root[64];

/* One place where a server can stand; its addresses and its directory stay. */
static struct bed {
	char dir[96], name[8], rpc[32], serf[32];
	const char *peers[SERVERS];
	struct server_config config;
	struct server *server;
	uint16_t http;
} beds[SERVERS];

/* ---- time ---- */

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

/* ---- HTTP ---- */

static char body[BODY_MAX];

static int connect_to(uint16_t port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The status, with the body in `body`; 0: no answer. */
static int ask(const struct bed *b, const char *method, const char *target, const char *text)
{
	static char answer[BODY_MAX];
	char head[1024];
	size_t len = 0;
	ssize_t got;
	int fd = connect_to(b->http);
	int status = 0;
	const char *at;

	body[0] = '\0';
	if (fd < 0) {
		return 0;
	}
	snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
	         method, target, text != NULL ? strlen(text) : 0);
	assert_true(write(fd, head, strlen(head)) > 0);
	if (text != NULL) {
		assert_true(write(fd, text, strlen(text)) > 0);
	}
	while (len + 1 < sizeof(answer) && (got = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0) {
		len += (size_t)got;
	}
	close(fd);
	answer[len] = '\0';
	if (sscanf(answer, "HTTP/1.1 %d", &status) != 1) {
		return 0;
	}
	at = strstr(answer, "\r\n\r\n");
	if (at != NULL) {
		strcpy(body, at + 4);
	}
	return status;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text++;
	}
	return n;
}

/* ---- servers ---- */

static uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static int open_beds(void **state)
{
	unsigned i;

	(void)state;
	log_set_level(getenv("VERBOSE") != NULL ? LOG_DEBUG : LOG_OFF);
	strcpy(root, "/tmp/test_net.XXXXXX");
	if (mkdtemp(root) == NULL) {
		return -1;
	}
	for (i = 0; i < SERVERS; i++) {
		struct bed *b = &beds[i];

		memset(b, 0, sizeof(*b));
		snprintf(b->name, sizeof(b->name), "s%u", i + 1);
		snprintf(b->dir, sizeof(b->dir), "%s/%s", root, b->name);
		snprintf(b->rpc, sizeof(b->rpc), "127.0.0.1:%u", free_port());
		snprintf(b->serf, sizeof(b->serf), "127.0.0.1:%u", free_port());
		b->config = (struct server_config){.dir = b->dir,
		                                   .name = b->name,
		                                   .region = "global",
		                                   .datacenter = "dc1",
		                                   .version = "1.0",
		                                   .api_version = "2.0.6",
		                                   .bind_http_host = "127.0.0.1",
		                                   .bind_rpc = b->rpc,
		                                   .rpc_addr = b->rpc,
		                                   .bind_serf = b->serf,
		                                   .serf_addr = b->serf,
		                                   .http_addr = "127.0.0.1:4646",
		                                   .bootstrap_expect = 3,
		                                   .schedulers = 1,
		                                   .election_ms = 150,
		                                   .heartbeat_ms = 30,
		                                   .join_ms = 500};
	}
	return 0;
}

/* Whom it looks for: places in `list`, a digit each. */
static void set_peers(struct bed *b, const char *list)
{
	uint32_t n = 0;

	for (; *list != '\0'; list++) {
		b->peers[n++] = beds[*list - '1'].rpc;
	}
	b->config.peers = (struct strs){b->peers, n};
}

static void start(struct bed *b)
{
	char why[256];
	int rc = server_start(&b->config, &b->server, why, sizeof(why));

	if (rc != 0) {
		fail_msg("%s: %s: %s", b->name, error_text(rc), why);
	}
	b->http = server_http_port(b->server);
}

static void stop(struct bed *b)
{
	server_stop(b->server);
	b->server = NULL;
}

static void wipe(const struct bed *b)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf '%s'", b->dir);
	assert_int_equal(system(command), 0);
}

static int close_beds(void **state)
{
	char command[128];
	unsigned i;

	(void)state;
	for (i = 0; i < SERVERS; i++) {
		if (beds[i].server != NULL) {
			stop(&beds[i]);
		}
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

/* All servers that run say that the same one leads: which; NULL: not yet. */
static struct bed *the_leader(void)
{
	char leader[64] = "";
	struct bed *found = NULL;
	unsigned i;

	for (i = 0; i < SERVERS; i++) {
		if (beds[i].server == NULL) {
			continue;
		}
		if (ask(&beds[i], "GET", "/v1/status/leader", NULL) != 200 || strlen(body) < 5 ||
		    strlen(body) >= sizeof(leader) || (leader[0] != '\0' && strcmp(leader, body) != 0)) {
			return NULL;
		}
		strcpy(leader, body);
	}
	for (i = 0; i < SERVERS; i++) {
		if (beds[i].server != NULL && strncmp(leader + 1, beds[i].rpc, strlen(beds[i].rpc)) == 0) {
			found = &beds[i];
		}
	}
	return found;
}

static unsigned voters_at(const struct bed *b)
{
	return ask(b, "GET", "/v1/operator/raft/configuration", NULL) == 200 ? count(body, "\"Voter\":true") : 0;
}

/* A leader, and as many voters, as all see it. */
static struct bed *settled(unsigned voters)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (now_ms() < until) {
		struct bed *leader = the_leader();
		bool all = leader != NULL;
		unsigned i;

		for (i = 0; i < SERVERS && all; i++) {
			all = beds[i].server == NULL || voters_at(&beds[i]) == voters;
		}
		if (all) {
			return leader;
		}
		rest(10);
	}
	fail_msg("no cluster of %u voters", voters);
	return NULL;
}

static struct bed *another_than(const struct bed *not)
{
	unsigned i = 0;

	while (&beds[i] == not || beds[i].server == NULL) {
		i++;
	}
	return &beds[i];
}

#define JOB                                                                                                                \
	"{\"Job\":{\"ID\":\"%s\",\"Type\":\"service\",\"Datacenters\":[\"*\"],\"TaskGroups\":[{\"Name\":\"g\",\"Count\":%u," \
	"\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/true\"},"                        \
	"\"Resources\":{\"CPU\":10,\"MemoryMB\":10}}]}]}}"

static void put_job(const struct bed *b, const char *id, unsigned n)
{
	char text[1024];

	snprintf(text, sizeof(text), JOB, id, n);
	if (ask(b, "PUT", "/v1/jobs", text) != 200) {
		fail_msg("%s: %s", b->name, body);
	}
}

/* ---- finding each other ---- */

static void three(void)
{
	unsigned i;

	for (i = 0; i < 3; i++) {
		set_peers(&beds[i], "123");
		start(&beds[i]);
	}
}

static void test_three_servers_found_a_cluster_at_once(void **state)
{
	int64_t begun = now_ms();

	(void)state;
	three();
	settled(3);
	printf("three servers: settled in %d ms\n", (int)(now_ms() - begun));
	put_job(&beds[0], "a", 1);
	put_job(&beds[1], "b", 1);
	put_job(&beds[2], "c", 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ask(&beds[i], "GET", "/v1/jobs", NULL), 200);
		assert_int_equal(count(body, "\"TaskGroups\"") + count(body, "\"JobSummary\""), 3);
		assert_int_equal(ask(&beds[i], "GET", "/v1/agent/members", NULL), 200);
		assert_int_equal(count(body, "\"Status\":\"alive\""), 3);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_beds, close_beds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_three_servers_found_a_cluster_at_once),
	};

	(void)another_than;
	(void)wipe;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
