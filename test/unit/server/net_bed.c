#include "test/unit/server/net_bed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "proto/rpc_serve.h"

static char root[64];

struct bed beds[SERVERS];

/* ---- time ---- */

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void rest(unsigned ms)
{
	const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* ---- HTTP ---- */

char body[BODY_MAX];

int connect_to(uint16_t port)
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
int ask(const struct bed *b, const char *method, const char *target, const char *text)
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

unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text++;
	}
	return n;
}

/* ---- servers ---- */

/* An address that is this process' own, on the loopback interface, with ports below those that the kernel gives away: nobody
 * takes them between two starts of a server. */
static void own_address(char *out, size_t size, unsigned port)
{
	unsigned pid = (unsigned)getpid();

	snprintf(out, size, "127.%u.%u.%u:%u", 64 + (pid >> 16) % 64, (pid >> 8) % 256, pid % 256, port);
}

int open_beds(void **state)
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
		own_address(b->rpc, sizeof(b->rpc), 21000 + 2 * i);
		own_address(b->serf, sizeof(b->serf), 21001 + 2 * i);
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

void set_peers(struct bed *b, const char *list)
{
	uint32_t n = 0;

	for (; *list != '\0'; list++) {
		b->peers[n++] = beds[*list - '1'].rpc;
	}
	b->config.peers = (struct strs){b->peers, n};
}

void start(struct bed *b)
{
	char why[256];
	int rc = server_start(&b->config, &b->server, why, sizeof(why));

	if (rc != 0) {
		fail_msg("%s: %s: %s", b->name, error_text(rc), why);
	}
	b->http = server_http_port(b->server);
}

void stop(struct bed *b)
{
	server_stop(b->server);
	b->server = NULL;
}

void wipe(const struct bed *b)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf '%s'", b->dir);
	assert_int_equal(system(command), 0);
}

int close_beds(void **state)
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

unsigned voters_at(const struct bed *b)
{
	return ask(b, "GET", "/v1/operator/raft/configuration", NULL) == 200 ? count(body, "\"Voter\":true") : 0;
}

/* A leader, and as many voters, as all see it. */
struct bed *settled(unsigned voters)
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

struct bed *another_than(const struct bed *not)
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

void put_job(const struct bed *b, const char *id, unsigned n)
{
	char text[1024];

	snprintf(text, sizeof(text), JOB, id, n);
	if (ask(b, "PUT", "/v1/jobs", text) != 200) {
		fail_msg("%s: %s", b->name, body);
	}
}


void three(void)
{
	unsigned i;

	for (i = 0; i < 3; i++) {
		set_peers(&beds[i], "123");
		start(&beds[i]);
	}
}

unsigned members_at(const struct bed *b, const char *status)
{
	char text[32];

	snprintf(text, sizeof(text), "\"Status\":\"%s\"", status);
	return ask(b, "GET", "/v1/agent/members", NULL) == 200 ? count(body, text) : 0;
}

/* ---- played clients ---- */

static int hello_cb(struct rpc_conn *c, const struct rpc_hello *peer, const char **why)
{
	(void)c;
	(void)why;
	assert_string_equal(peer->kind, "server");
	return 0;
}

static void ready_cb(struct rpc_conn *c)
{
	((struct player *)c->data)->ready = true;
}

static void closed_cb(struct rpc_conn *c, int err, const char *why)
{
	struct player *p = c->data;

	p->conn = NULL;
	p->ready = false;
	p->closed_err = err;
	snprintf(p->closed_why, sizeof(p->closed_why), "%s", why != NULL ? why : "");
}

static unsigned find_known(const struct player *p, const char *id)
{
	unsigned i;

	for (i = 0; i < p->n_known && strcmp(p->known[i], id) != 0; i++) {
	}
	return i;
}

static void forget_known(struct player *p, unsigned i)
{
	p->n_known--;
	strcpy(p->known[i], p->known[p->n_known]);
	strcpy(p->desired[i], p->desired[p->n_known]);
}

/* As a client does, but without running anything. */
static void push_cb(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	struct player *p = c->data;
	uint32_t i;

	assert_int_equal(method, RPC_METHOD_NODE_ALLOCS);
	arena_close(&p->mem);
	assert_int_equal(pack_decode(&rpc_node_allocs_type, &p->push, payload, len, &p->mem), 0);
	p->pushes++;
	p->longest = len > p->longest ? len : p->longest;
	p->wholes += p->push.whole;
	assert_int_equal(p->push.job_of.n, p->push.allocs.n);
	if (p->push.whole) {
		p->n_known = 0;
	}
	for (i = 0; i < p->push.allocs.n; i++) {
		const struct allocation *a = &p->push.allocs.at[i];
		unsigned at = find_known(p, a->id);

		assert_true(p->push.job_of.at[i] < p->push.jobs.n);
		assert_null(a->job);
		assert_true(at < KNOWN_MAX);
		strcpy(p->known[at], a->id);
		snprintf(p->desired[at], sizeof(p->desired[at]), "%s", a->desired_status);
		p->n_known += at == p->n_known;
	}
	for (i = 0; i < p->push.gone.n; i++) {
		unsigned at = find_known(p, p->push.gone.at[i]);

		if (at < p->n_known) {
			forget_known(p, at);
		}
	}
}

/* Requests for the node: answered with its ID. */
static void answer_http(void *ctx, struct http_request *req)
{
	http_answer_text(req, 200, "%s %s", ((struct player *)ctx)->id, req->path);
}

static void request_cb(struct rpc_conn *c, struct rpc_call *call)
{
	rpc_serve_http(call, answer_http, c->data);
}

static const struct rpc_handlers handlers = {hello_cb, ready_cb, request_cb, push_cb, closed_cb};

static void random_id(char text[UUID_TEXT])
{
	struct uuid id = uuid_random();

	uuid_format(&id, text);
}

void player_open(struct player *p, const char *kind)
{
	struct rpc_config config = {.handlers = &handlers};

	memset(p, 0, sizeof(*p));
	random_id(p->id);
	random_id(p->secret);
	object_init(&rpc_hello_type, &p->hello);
	p->hello.protocol = RPC_VERSION;
	p->hello.kind = kind;
	p->hello.id = p->id;
	p->hello.secret = p->secret;
	p->hello.name = "n1";
	p->hello.region = "global";
	config.hello = &p->hello;
	assert_int_equal(uv_loop_init(&p->loop), 0);
	assert_int_equal(rpc_host_init(&p->host, &p->loop, &config), 0);
}

static void host_stopped(struct rpc_host *host)
{
	CONTAINER_OF(host, struct player, host)->stopped = true;
}

void player_close(struct player *p)
{
	rpc_host_stop(&p->host, host_stopped);
	while (!p->stopped) {
		uv_run(&p->loop, UV_RUN_ONCE);
	}
	arena_close(&p->mem);
	assert_int_equal(uv_loop_close(&p->loop), 0);
}

void player_turn(struct player *p, unsigned ms)
{
	int64_t until = now_ms() + ms;

	do {
		uv_run(&p->loop, UV_RUN_NOWAIT);
		rest(1);
	} while (now_ms() < until);
}

bool player_connect(struct player *p, const struct bed *b)
{
	if (p->conn != NULL) {
		rpc_conn_close(p->conn, 0, "another server");
	}
	p->conn = rpc_connect(&p->host, b->rpc, 5000, p);
	while (p->conn != NULL && !p->ready) {
		player_turn(p, 1);
	}
	return p->ready;
}

struct question {
	struct rpc_request req;
	bool done;
	int err;
	struct buf answer;
};

static void answered(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct question *q = CONTAINER_OF(req, struct question, req);

	q->done = true;
	q->err = err;
	buf_put(&q->answer, frame->payload, frame->len);
}

int player_send(struct player *p, uint32_t method, const char *payload, size_t len)
{
	struct question q = {.req = {.reply_cb = answered}};
	int rc = p->conn == NULL ? ERR_CLOSED : rpc_send(p->conn, &q.req, method, payload, len, 10000);

	while (rc == 0 && !q.done) {
		player_turn(p, 1);
	}
	buf_close(&q.answer);
	return rc == 0 ? q.err : rc;
}

int player_ask(struct player *p, uint32_t method, const struct type *t, const void *obj, const struct type *answer,
               void *out, struct arena *mem)
{
	struct question q = {.req = {.reply_cb = answered}};
	int rc = p->conn == NULL ? ERR_CLOSED : rpc_send_object(p->conn, &q.req, method, t, obj, 10000);

	while (rc == 0 && !q.done) {
		player_turn(p, 1);
	}
	rc = rc == 0 ? q.err : rc;
	if (rc == 0 && answer != NULL) {
		rc = pack_decode(answer, out, q.answer.at, q.answer.len, mem);
	}
	buf_close(&q.answer);
	return rc;
}

#define NODE                                                                                                           \
	"{\"ID\":\"%s\",\"SecretID\":\"%s\",\"Name\":\"n1\",\"Datacenter\":\"dc1\",\"NodePool\":\"default\"," \
	"\"Status\":\"ready\",\"Attributes\":{\"driver.raw_exec\":\"1\",\"kernel.name\":\"linux\"},"              \
	"\"Drivers\":{\"raw_exec\":{\"Detected\":true,\"Healthy\":true}},"                                        \
	"\"NodeResources\":{\"Cpu\":{\"CpuShares\":40000},\"Memory\":{\"MemoryMB\":80000},\"Disk\":{\"DiskMB\":2000000}}}"

int player_register(struct player *p, struct rpc_node_lease *lease)
{
	struct arena mem = {0};
	struct node node;
	char text[1024];
	int rc;

	snprintf(text, sizeof(text), NODE, p->id, p->secret);
	assert_int_equal(json_decode(&node_type, &node, text, strlen(text), &mem, NULL), 0);
	rc = player_ask(p, RPC_METHOD_NODE_REGISTER, &node_type, &node, &rpc_node_lease_type, lease, &p->mem);
	arena_close(&mem);
	return rc;
}

int player_beat(struct player *p, struct rpc_node_lease *lease)
{
	struct rpc_node_heartbeat h = {.node_id = p->id, .secret_id = p->secret, .status = "ready"};

	return player_ask(p, RPC_METHOD_NODE_HEARTBEAT, &rpc_node_heartbeat_type, &h, &rpc_node_lease_type, lease, &p->mem);
}

int player_watch(struct player *p)
{
	struct rpc_node_watch w = {.node_id = p->id, .secret_id = p->secret};

	return player_ask(p, RPC_METHOD_NODE_WATCH, &rpc_node_watch_type, &w, NULL, NULL, NULL);
}

int player_report(struct player *p, const char *alloc, const char *status)
{
	struct alloc_update update;
	struct rpc_node_update u;

	object_init(&alloc_update_type, &update);
	update.id = alloc;
	update.client_status = status;
	object_init(&rpc_node_update_type, &u);
	u.node_id = p->id;
	u.secret_id = p->secret;
	u.allocs.at = &update;
	u.allocs.n = 1;
	return player_ask(p, RPC_METHOD_NODE_UPDATE, &rpc_node_update_type, &u, NULL, NULL, NULL);
}

/* ---- states ---- */

static struct rpc_state_hash hash_at(const struct bed *b, int64_t index)
{
	struct rpc_index asked = {index};
	struct rpc_state_hash answer = {0};
	struct arena mem = {0};
	struct player p;

	player_open(&p, "cli");
	assert_true(player_connect(&p, b));
	assert_int_equal(player_ask(&p, RPC_METHOD_STATE_HASH, &rpc_index_type, &asked, &rpc_state_hash_type, &answer, &mem),
	                 0);
	arena_close(&mem);
	player_close(&p);
	return answer;
}

/* At the index that the first one is at; the others come to it, and remember it. */
void same_state(void)
{
	const struct bed *first = another_than(NULL);
	struct rpc_state_hash want = hash_at(first, 0);
	unsigned i;

	for (i = 0; i < SERVERS; i++) {
		if (beds[i].server != NULL) {
			UNTIL(hash_at(&beds[i], 0).index >= want.index);
			assert_true(hash_at(&beds[i], want.index).hash == want.hash);
		}
	}
}
