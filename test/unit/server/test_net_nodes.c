/* What clients ask of servers, and what servers push to them; and strangers. */
#include "test/unit/server/net_bed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/disk_token.h"

static struct player p;
static struct rpc_node_lease lease;

static int open_all(void **state)
{
	return open_beds(state);
}

static struct bed *follower(void)
{
	return another_than(settled(3));
}

/* Registered and watching, with what is pushed first. */
static void go(const struct bed *b)
{
	player_open(&p, "client");
	assert_true(player_connect(&p, b));
	assert_int_equal(player_register(&p, &lease), 0);
	assert_int_equal(player_watch(&p), 0);
	while (p.wholes == 0) {
		player_turn(&p, 1);
	}
}

#define TURN_UNTIL(condition)                                         \
	do {                                                          \
		int64_t until_ = now_ms() + PATIENCE_MS;              \
		while (!(condition)) {                                \
			if (now_ms() > until_) {                      \
				fail_msg("never: %s", #condition);    \
			}                                             \
			player_turn(&p, 5);                           \
		}                                                     \
	} while (0)

static void run_a_job(const struct bed *b)
{
	go(b);
	assert_int_equal(p.n_known, 0);
	assert_int_equal(lease.servers.n, 3);
	assert_true(lease.ttl > 0);
	put_job(b, "a", 2);
	TURN_UNTIL(p.n_known == 2);
	assert_int_equal(p.push.jobs.n, 1);
	assert_string_equal(p.push.jobs.at[0].id, "a");
	assert_string_equal(p.desired[0], "run");
	assert_non_null(p.push.allocs.at[0].allocated_resources);
}

static void test_a_client_of_a_follower_gets_its_work(void **state)
{
	unsigned pushes;

	(void)state;
	three();
	run_a_job(follower());
	pushes = p.pushes;
	/* What it says itself does not come back. */
	assert_int_equal(player_report(&p, p.known[0], "running"), 0);
	player_turn(&p, 200);
	assert_int_equal(p.pushes, pushes);
	UNTIL(ask(&beds[0], "GET", "/v1/job/a/allocations", NULL) == 200 &&
	      count(body, "\"ClientStatus\":\"running\"") == 1);
	assert_int_equal(player_beat(&p, &lease), 0);
	assert_false(lease.unknown);
	assert_int_equal(ask(&beds[0], "DELETE", "/v1/job/a", NULL), 200);
	TURN_UNTIL(strcmp(p.desired[0], "stop") == 0 && strcmp(p.desired[1], "stop") == 0);
	player_close(&p);
}

static void test_a_client_of_the_leader_gets_its_work(void **state)
{
	(void)state;
	three();
	run_a_job(settled(3));
	player_close(&p);
}

static void test_a_client_that_turns_to_another_server_is_told_everything(void **state)
{
	struct bed *leader;

	(void)state;
	three();
	leader = settled(3);
	run_a_job(leader);
	assert_int_equal(player_report(&p, p.known[0], "complete"), 0);
	stop(leader);
	assert_true(player_connect(&p, another_than(NULL)));
	p.n_known = 0;
	assert_int_equal(player_watch(&p), 0);
	TURN_UNTIL(p.wholes == 2);
	assert_true(p.n_known >= 2); /* One that is over stays, by its name. */
	assert_int_equal(player_beat(&p, &lease), 0);
	assert_false(lease.unknown);
	player_close(&p);
}

/* Requests to a follower while there is no leader are kept until there is one. */
static void test_requests_wait_for_a_leader(void **state)
{
	struct bed *leader;

	(void)state;
	three();
	leader = settled(3);
	go(another_than(leader));
	stop(leader);
	assert_int_equal(player_beat(&p, &lease), 0);
	assert_false(lease.unknown);
	player_close(&p);
}

static void test_a_wrong_secret_is_refused(void **state)
{
	struct rpc_node_watch w;
	char right[UUID_TEXT];

	(void)state;
	three();
	go(follower());
	strcpy(right, p.secret);
	strcpy(p.secret, "00000000-0000-4000-8000-000000000001");
	assert_int_equal(player_beat(&p, &lease), ERR_REFUSED);
	assert_int_equal(player_register(&p, &lease), ERR_REFUSED);
	assert_int_equal(player_watch(&p), ERR_REFUSED);
	w = (struct rpc_node_watch){.node_id = "00000000-0000-4000-8000-000000000002", .secret_id = right};
	assert_int_equal(player_ask(&p, RPC_METHOD_NODE_WATCH, &rpc_node_watch_type, &w, NULL, NULL, NULL), ERR_REFUSED);
	player_close(&p);
}

/* Even with that one's own secret, which its agent would say on a connection of its own. */
static void test_a_node_speaks_for_itself_only(void **state)
{
	struct player *other = calloc(1, sizeof(*other));
	char id[UUID_TEXT], secret[UUID_TEXT];

	(void)state;
	three();
	go(follower());
	player_open(other, "client");
	assert_true(player_connect(other, &beds[0]));
	assert_int_equal(player_register(other, &lease), 0);
	strcpy(id, p.id);
	strcpy(secret, p.secret);
	strcpy(p.id, other->id);
	assert_int_equal(player_beat(&p, &lease), ERR_REFUSED);
	strcpy(p.secret, other->secret);
	assert_int_equal(player_beat(&p, &lease), ERR_REFUSED);
	assert_int_equal(player_register(&p, &lease), ERR_REFUSED);
	assert_int_equal(player_watch(&p), ERR_REFUSED);
	assert_int_equal(player_report(&p, "00000000-0000-4000-8000-000000000009", "failed"), ERR_REFUSED);
	strcpy(p.id, id);
	strcpy(p.secret, secret);
	assert_int_equal(player_beat(&p, &lease), 0);
	assert_int_equal(player_beat(other, &lease), 0);
	player_close(other);
	free(other);
	player_close(&p);
}

static void test_a_node_that_is_registered_comes_with_its_secret(void **state)
{
	char id[UUID_TEXT];

	(void)state;
	three();
	go(follower());
	strcpy(id, p.id);
	player_close(&p);
	player_open(&p, "client");
	strcpy(p.id, id);
	assert_false(player_connect(&p, follower()));
	player_close(&p);
}

static int ask_nothing(uint32_t method)
{
	struct rpc_none none = {0};

	return player_ask(&p, method, &rpc_none_type, &none, NULL, NULL, NULL);
}

/* Each method, by all who may not call it. */
static void test_everybody_makes_only_calls_of_his_own(void **state)
{
	static const struct {
		const char *kind, *region;
		unsigned bit;
	} who[] = {{"client", "global", RPC_BY_NODE}, {"cli", "global", RPC_BY_OTHERS}, {"server", "far", RPC_BY_REGION}};
	static const uint32_t methods[] = {
#define X(name, number, request, reply, callers) number,
		RPC_METHOD_LIST(X)
#undef X
		9999};
	unsigned refused = 0;
	unsigned i, m;

	(void)state;
	beds[0].config.bootstrap_expect = 1;
	start(&beds[0]);
	settled(1);
	for (i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		player_open(&p, who[i].kind);
		p.hello.region = who[i].region;
		p.hello.rpc_addr = "127.0.0.1:1";
		p.hello.raft_id = 4711;
		assert_true(player_connect(&p, &beds[0]));
		for (m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
			if ((rpc_method_callers(methods[m]) & who[i].bit) == 0) {
				assert_int_equal(ask_nothing(methods[m]), ERR_UNSUPPORTED);
				refused++;
			} else if ((rpc_method_callers(methods[m]) & RPC_AS_NODE) != 0) {
				assert_int_equal(ask_nothing(methods[m]), ERR_REFUSED);
			}
		}
		player_close(&p);
	}
	assert_in_range(refused, 25, 60);
}

/* What a node asks of the API, it asks as itself: that is nobody as long as it is not registered. */
static void test_only_a_registered_node_asks_the_api(void **state)
{
	struct http_request get;
	struct buf payload = {0};
	unsigned pass;

	(void)state;
	three();
	settled(3);
	player_open(&p, "client");
	assert_true(player_connect(&p, follower()));
	http_request_init(&get, NULL);
	assert_int_equal(http_request_target(&get, "/v1/status/leader", 17), 0);
	rpc_put_http_request(&payload, &get);
	for (pass = 0; pass < 2; pass++) {
		int want = pass == 0 ? ERR_REFUSED : 0;
		int64_t until = now_ms() + PATIENCE_MS; /* It may take a moment until the follower has heard of it. */

		while (player_send(&p, RPC_METHOD_HTTP, payload.at, payload.len) != want && now_ms() < until) {
			rest(10);
		}
		assert_int_equal(player_send(&p, RPC_METHOD_HTTP, payload.at, payload.len), want);
		assert_int_equal(player_register(&p, &lease), 0);
	}
	buf_close(&payload);
	http_request_close(&get);
	player_close(&p);
}

static void test_an_unknown_node_must_register(void **state)
{
	(void)state;
	three();
	settled(3);
	player_open(&p, "client");
	assert_true(player_connect(&p, &beds[0]));
	assert_int_equal(player_beat(&p, &lease), 0);
	assert_true(lease.unknown);
	assert_int_equal(player_watch(&p), ERR_NOTFOUND);
	player_close(&p);
}

static void test_reports_about_others_allocations_are_refused(void **state)
{
	char alloc[UUID_TEXT];

	(void)state;
	three();
	run_a_job(follower());
	strcpy(alloc, p.known[0]);
	player_close(&p);
	go(&beds[0]);
	assert_int_equal(player_report(&p, alloc, "failed"), ERR_REFUSED);
	assert_int_equal(player_report(&p, "00000000-0000-4000-8000-000000000009", "failed"), 0); /* Collected. */
	player_close(&p);
}

static int ask_previous(const char *alloc, struct rpc_previous *out)
{
	struct rpc_node_previous asked = {.node_id = p.id, .secret_id = p.secret, .alloc_id = alloc};

	return player_ask(&p, RPC_METHOD_NODE_PREVIOUS, &rpc_node_previous_type, &asked, &rpc_previous_type, out, &p.mem);
}

static void test_only_its_node_hears_what_an_allocation_replaces(void **state)
{
	struct rpc_previous previous;
	char alloc[UUID_TEXT];

	(void)state;
	three();
	run_a_job(follower());
	strcpy(alloc, p.known[0]);
	assert_int_equal(ask_previous(alloc, &previous), 0);
	assert_string_equal(previous.client_status, ""); /* It replaces none. */
	assert_string_equal(previous.token, "");
	assert_int_equal(ask_previous("00000000-0000-4000-8000-000000000009", &previous), ERR_NOTFOUND);
	assert_int_equal(ask_previous("nonsense", &previous), ERR_NOTFOUND);
	player_close(&p);
	go(&beds[0]);
	assert_int_equal(ask_previous(alloc, &previous), ERR_REFUSED);
	player_close(&p);
}

static void test_the_node_of_a_replacement_gets_a_token_for_the_data(void **state)
{
	struct rpc_previous previous;
	char before[UUID_TEXT], secret[UUID_TEXT], target[96];
	unsigned i;

	(void)state;
	three();
	run_a_job(follower());
	strcpy(before, p.known[0]);
	strcpy(secret, p.secret);
	assert_int_equal(player_report(&p, before, "running"), 0);
	snprintf(target, sizeof(target), "/v1/allocation/%s/stop", before);
	assert_int_equal(ask(&beds[0], "PUT", target, "{}"), 200);
	TURN_UNTIL(p.n_known == 3);
	for (i = 0; strcmp(p.desired[i], "run") != 0 || i < 2; i++) {
	}
	assert_int_equal(ask_previous(p.known[i], &previous), 0);
	assert_string_equal(previous.client_status, "running");
	assert_string_equal(previous.token, "");
	assert_int_equal(player_report(&p, before, "complete"), 0);
	TURN_UNTIL(ask_previous(p.known[i], &previous) == 0 && strcmp(previous.client_status, "complete") == 0);
	assert_true(disk_token_fits(previous.token, secret, before));
	assert_false(disk_token_fits(previous.token, secret, p.known[i]));
	assert_false(disk_token_fits(previous.token, "00000000-0000-4000-8000-000000000009", before));
	assert_false(disk_token_fits("", secret, before));
	player_close(&p);
}

/* More than fits into a turn of the server's loop; and everything again, as one whole message. */
static void test_many_allocations_come_in_slices(void **state)
{
	enum { MANY = 1500 };
	struct bed *leader;

	(void)state;
	three();
	leader = settled(3);
	go(leader);
	put_job(leader, "many", MANY);
	TURN_UNTIL(p.n_known == MANY);
	player_close(&p);

	player_open(&p, "client");
	assert_true(player_connect(&p, follower()));
	assert_int_equal(player_watch(&p), ERR_NOTFOUND); /* Another node. */
	player_close(&p);
}

static void test_a_node_that_comes_back_is_told_all_at_once(void **state)
{
	enum { MANY = 1500 };
	char id[UUID_TEXT], secret[UUID_TEXT];

	(void)state;
	three();
	go(follower());
	put_job(&beds[0], "many", MANY);
	TURN_UNTIL(p.n_known == MANY);
	assert_int_equal(player_report(&p, p.known[0], "failed"), 0);
	strcpy(id, p.id);
	strcpy(secret, p.secret);
	player_close(&p);

	player_open(&p, "client");
	strcpy(p.id, id);
	strcpy(p.secret, secret);
	assert_true(player_connect(&p, &beds[1]));
	assert_int_equal(player_watch(&p), 0);
	TURN_UNTIL(p.pushes > 0);
	assert_int_equal(p.wholes, 1);
	assert_true(p.n_known >= MANY);
	assert_int_equal(p.push.jobs.n, 1);
	player_close(&p);
}

/* Of two connections of one node the later one counts. */
static void test_a_node_has_one_connection(void **state)
{
	struct player *second = calloc(1, sizeof(*second));

	(void)state;
	three();
	settled(3);
	go(&beds[0]);
	player_open(second, "client");
	strcpy(second->id, p.id);
	strcpy(second->secret, p.secret);
	assert_true(player_connect(second, &beds[0]));
	assert_int_equal(player_watch(second), 0);
	TURN_UNTIL(p.conn == NULL);
	put_job(&beds[0], "a", 1);
	while (second->n_known == 0) {
		player_turn(second, 5);
	}
	player_close(second);
	free(second);
	player_close(&p);
}

/* ---- HTTP to nodes ---- */

struct asking {
	const struct bed *bed;
	char target[128];
	int status;
	uv_thread_t thread;
	bool done;
	char text[256];
};

static void ask_in_thread(void *arg)
{
	struct asking *a = arg;

	a->status = ask(a->bed, "GET", a->target, NULL);
	snprintf(a->text, sizeof(a->text), "%.200s", body);
	__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
}

static void test_a_request_for_a_node_finds_it_from_any_server(void **state)
{
	unsigned i;

	(void)state;
	three();
	go(follower());
	player_turn(&p, 100);
	for (i = 0; i < 3; i++) {
		struct asking a = {.bed = &beds[i]};

		snprintf(a.target, sizeof(a.target), "/v1/client/stats?node_id=%s", p.id);
		assert_int_equal(uv_thread_create(&a.thread, ask_in_thread, &a), 0);
		TURN_UNTIL(__atomic_load_n(&a.done, __ATOMIC_ACQUIRE));
		uv_thread_join(&a.thread);
		assert_int_equal(a.status, 200);
		assert_non_null(strstr(a.text, p.id));
	}
	player_close(&p);
	UNTIL(ask(&beds[0], "GET", "/v1/nodes", NULL) == 200);
}

/* ---- strangers ---- */

static int dial(const struct bed *b)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const char *port = strchr(b->rpc, ':');
	char ip[INET_ADDRSTRLEN];

	snprintf(ip, sizeof(ip), "%.*s", (int)(port - b->rpc), b->rpc);
	assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	a.sin_port = htons((uint16_t)atoi(port + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static bool is_closed_soon(int fd)
{
	const struct timeval t = {5, 0};
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return read(fd, &c, 1) <= 0 && errno != EAGAIN;
}

static void test_garbage_is_hung_up_on(void **state)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "D\xff\xff\xff\xff garbage", "D\0\0\0\5hello", "Rubbish"};
	unsigned i;

	(void)state;
	beds[0].config.bootstrap_expect = 1;
	beds[0].config.rpc_handshake_ms = 500;
	start(&beds[0]);
	settled(1);
	for (i = 0; i < 4; i++) {
		int fd = dial(&beds[0]);

		errno = 0;
		assert_true(write(fd, texts[i], i == 2 ? 10 : strlen(texts[i])) > 0);
		assert_true(is_closed_soon(fd));
		close(fd);
	}
	i = (unsigned)dial(&beds[0]); /* Says nothing more. */
	assert_int_equal(write((int)i, "D", 1), 1);
	errno = 0;
	assert_true(is_closed_soon((int)i));
	close((int)i);
	put_job(&beds[0], "a", 1);
}

static void test_only_our_region_and_cluster_come_in(void **state)
{
	(void)state;
	beds[0].config.bootstrap_expect = 1;
	start(&beds[0]);
	settled(1);
	player_open(&p, "client");
	p.hello.region = "elsewhere";
	assert_false(player_connect(&p, &beds[0]));
	p.hello.region = "global";
	p.hello.secret = "";
	assert_false(player_connect(&p, &beds[0]));
	p.hello.kind = "teapot";
	assert_false(player_connect(&p, &beds[0]));
	p.hello.kind = "server";
	p.hello.rpc_addr = "127.0.0.1:1";
	p.hello.raft_id = 4711;
	p.hello.cluster_id = "00000000-0000-4000-8000-000000000001";
	assert_false(player_connect(&p, &beds[0]));
	p.hello.cluster_id = "";
	p.hello.rpc_addr = "nonsense";
	assert_false(player_connect(&p, &beds[0]));
	player_close(&p);
	assert_int_equal(members_at(&beds[0], "alive"), 1);
}

/* Of these, which the other side has ended. */
static unsigned ended(const int *fds, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		char c;
		ssize_t got = recv(fds[i], &c, 1, MSG_DONTWAIT | MSG_PEEK);

		found += got == 0 || (got < 0 && errno == ECONNRESET);
	}
	return found;
}

static void test_connections_of_an_address_are_bounded(void **state)
{
	enum { DIALLED = 12, MAX = 8 };
	int fds[DIALLED];
	unsigned i;

	(void)state;
	beds[0].config.bootstrap_expect = 1;
	beds[0].config.rpc_conns_per_client = MAX;
	beds[0].config.rpc_handshake_ms = 2 * PATIENCE_MS; /* So that it is not why one ends. */
	start(&beds[0]);
	settled(1);
	for (i = 0; i < DIALLED; i++) {
		fds[i] = dial(&beds[0]);
		(void)!send(fds[i], "D", 1, MSG_NOSIGNAL); /* It may have been closed already. */
	}
	UNTIL(ended(fds, DIALLED) >= DIALLED - MAX);
	rest(100);
	assert_int_equal(ended(fds, DIALLED), DIALLED - MAX);
	for (i = 0; i < DIALLED; i++) {
		close(fds[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_beds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_client_of_a_follower_gets_its_work),
		TEST(test_a_client_of_the_leader_gets_its_work),
		TEST(test_a_client_that_turns_to_another_server_is_told_everything),
		TEST(test_requests_wait_for_a_leader),
		TEST(test_a_wrong_secret_is_refused),
		TEST(test_a_node_speaks_for_itself_only),
		TEST(test_a_node_that_is_registered_comes_with_its_secret),
		TEST(test_everybody_makes_only_calls_of_his_own),
		TEST(test_only_a_registered_node_asks_the_api),
		TEST(test_an_unknown_node_must_register),
		TEST(test_reports_about_others_allocations_are_refused),
		TEST(test_only_its_node_hears_what_an_allocation_replaces),
		TEST(test_the_node_of_a_replacement_gets_a_token_for_the_data),
		TEST(test_many_allocations_come_in_slices),
		TEST(test_a_node_that_comes_back_is_told_all_at_once),
		TEST(test_a_node_has_one_connection),
		TEST(test_a_request_for_a_node_finds_it_from_any_server),
		TEST(test_garbage_is_hung_up_on),
		TEST(test_only_our_region_and_cluster_come_in),
		TEST(test_connections_of_an_address_are_bounded),
	};

	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
