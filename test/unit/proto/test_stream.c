#include "test/unit/unit.h"

#include "test/unit/ipv6.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/error.h"
#include "proto/channel.h"
#include "proto/stream.h"

/* --- A server on a thread of its own
 * ---------------------------------------------------------------------------------- */

enum { ASK_ECHO = 1000, ASK_LATER, ASK_NEVER, ASK_STREAM, ASK_HANG_UP };

struct server {
	uv_loop_t loop;
	uv_tcp_t listener;
	uv_async_t stop;
	struct rpc_host host;
	struct rpc_hello hello;
	struct rpc_config config;
	pthread_t thread;
	int port;
	int n_open, n_closed, n_gone; /* Read when the thread has ended. */
	unsigned most_queued;
	struct rpc_call *never[64];
	unsigned n_never;
};

struct later {
	uv_timer_t timer;
	struct rpc_call *call;
};

static struct server *server_of(struct rpc_conn *c)
{
	return c->data;
}

static void free_handle(uv_handle_t *h)
{
	free(h);
}

static void answer_later(uv_timer_t *timer)
{
	struct later *l = (struct later *)timer;

	rpc_reply(l->call, "later", 5);
	uv_close((uv_handle_t *)timer, free_handle);
}

static void note_gone(struct rpc_call *call)
{
	server_of(call->conn)->n_gone++;
}

/* As much as the reader takes, up to four MiB. */
static void pump(struct rpc_call *call)
{
	static char bytes[32 << 10];
	struct server *s = server_of(call->conn);
	uintptr_t left = (uintptr_t)call->data;

	while (left > 0) {
		int rv = rpc_reply_chunk(call, bytes, sizeof(bytes));

		if (rv < 0) {
			rpc_reply_end(call, rv);
			return;
		}
		left -= sizeof(bytes);
		call->data = (void *)left;
		if (call->conn->queued + call->queue.len > s->most_queued) {
			s->most_queued = (unsigned)(call->conn->queued + call->queue.len);
		}
		if (rv == HTTP_WAIT) {
			return;
		}
	}
	rpc_reply_end(call, 0);
}

static void drop_stream(struct rpc_call *call)
{
	rpc_reply_end(call, ERR_CLOSED);
}

static void serve(struct rpc_conn *c, struct rpc_call *call)
{
	struct server *s = server_of(c);
	struct later *l;

	switch (call->method) {
	case ASK_ECHO:
		rpc_reply(call, call->payload, call->len);
		break;
	case ASK_LATER:
		l = calloc(1, sizeof(*l));
		l->call = call;
		uv_timer_init(&s->loop, &l->timer);
		uv_timer_start(&l->timer, answer_later, 20, 0);
		break;
	case ASK_NEVER:
		call->gone_cb = note_gone;
		s->never[s->n_never++] = call;
		break;
	case ASK_STREAM:
		call->data = (void *)(uintptr_t)(4 << 20);
		call->drain_cb = pump;
		call->gone_cb = drop_stream;
		rpc_reply_begin(call, "head", 4);
		pump(call);
		break;
	default:
		rpc_conn_close(c, ERR_IO, "asked to");
		rpc_fail(call, ERR_IO, "");
	}
}

static void server_ready(struct rpc_conn *c)
{
	server_of(c)->n_open++;
}

static void server_closed(struct rpc_conn *c, int err, const char *why)
{
	(void)err;
	(void)why;
	server_of(c)->n_closed++;
}

static const struct rpc_handlers server_handlers = {
	.request_cb = serve, .ready_cb = server_ready, .closed_cb = server_closed};

static void one_byte(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	static __thread char byte[1];

	(void)h;
	(void)suggested;
	*buf = uv_buf_init(byte, 1);
}

/* What the listener that Raft and RPC share does: look at the first byte, hand on. */
static void first_byte(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	struct server *s = tcp->data;

	if (n == 0) {
		return;
	}
	uv_read_stop(tcp);
	if (n == 1 && buf->base[0] == RPC_FIRST_BYTE) {
		(void)rpc_adopt(&s->host, channel_new(NULL, (uv_tcp_t *)tcp), s);
	} else {
		uv_close((uv_handle_t *)tcp, free_handle);
	}
}

static void on_accept(uv_stream_t *listener, int status)
{
	struct server *s = listener->data;
	uv_tcp_t *tcp = calloc(1, sizeof(*tcp));

	assert_int_equal(status, 0);
	uv_tcp_init(&s->loop, tcp);
	tcp->data = s;
	assert_int_equal(uv_accept(listener, (uv_stream_t *)tcp), 0);
	uv_read_start((uv_stream_t *)tcp, one_byte, first_byte);
}

static void server_stopped(struct rpc_host *host)
{
	struct server *s = CONTAINER_OF(host, struct server, host);

	uv_close((uv_handle_t *)&s->listener, NULL);
	uv_close((uv_handle_t *)&s->stop, NULL);
}

static void on_stop(uv_async_t *async)
{
	struct server *s = async->data;

	rpc_host_stop(&s->host, server_stopped);
	for (unsigned i = 0; i < s->n_never; i++) {
		rpc_fail(s->never[i], ERR_CLOSED, "stopping");
	}
}

static void *run_server(void *arg)
{
	struct server *s = arg;

	uv_run(&s->loop, UV_RUN_DEFAULT);
	return NULL;
}

static void start_server(struct server *s, const char *ip)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);

	memset(s, 0, sizeof(*s));
	uv_loop_init(&s->loop);
	object_init(&rpc_hello_type, &s->hello);
	s->hello.protocol = RPC_VERSION;
	s->hello.name = "server";
	s->config = (struct rpc_config){.handlers = &server_handlers, .hello = &s->hello, .hello_ms = 2000};
	assert_int_equal(rpc_host_init(&s->host, &s->loop, &s->config), 0);
	uv_tcp_init(&s->loop, &s->listener);
	if (uv_ip4_addr(ip, 0, (struct sockaddr_in *)&addr) != 0) {
		uv_ip6_addr(ip, 0, (struct sockaddr_in6 *)&addr);
	}
	assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&addr, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 128, on_accept), 0);
	uv_tcp_getsockname(&s->listener, (struct sockaddr *)&addr, &len);
	s->port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	s->listener.data = s;
	uv_async_init(&s->loop, &s->stop, on_stop);
	s->stop.data = s;
	assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void stop_server(struct server *s)
{
	uv_async_send(&s->stop);
	pthread_join(s->thread, NULL);
	assert_int_equal(uv_loop_close(&s->loop), 0);
}

/* --- The client, on the test's thread
 * ------------------------------------------------------------------------------------- */

struct client {
	uv_loop_t loop;
	struct rpc_host host;
	struct rpc_hello hello;
	struct rpc_config config;
	struct rpc_conn *conn;
	int ready, closed, err, stopped;
	char why[128];
};

static void client_ready(struct rpc_conn *c)
{
	((struct client *)c->data)->ready++;
}

static void client_closed(struct rpc_conn *c, int err, const char *why)
{
	struct client *cl = c->data;

	cl->closed++;
	cl->err = err;
	cl->conn = NULL;
	snprintf(cl->why, sizeof(cl->why), "%s", why);
}

static void client_stopped(struct rpc_host *host)
{
	CONTAINER_OF(host, struct client, host)->stopped = 1;
}

static const struct rpc_handlers client_handlers = {.ready_cb = client_ready, .closed_cb = client_closed};

static void open_client(struct client *c)
{
	memset(c, 0, sizeof(*c));
	uv_loop_init(&c->loop);
	object_init(&rpc_hello_type, &c->hello);
	c->hello.protocol = RPC_VERSION;
	c->config = (struct rpc_config){.handlers = &client_handlers, .hello = &c->hello};
	assert_int_equal(rpc_host_init(&c->host, &c->loop, &c->config), 0);
}

static void wake_up(uv_timer_t *timer)
{
	(void)timer;
}

/* Run the loop until *what is true, or time is up; the result says which. What is to come within seconds may take a
 * minute more. */
static bool run_until(struct client *c, const int *what, int at_least, uint64_t ms)
{
	uint64_t end = uv_hrtime() / 1000000 + ms + (ms < 1000 ? 0 : 60000);
	uv_timer_t timer;

	uv_timer_init(&c->loop, &timer);
	uv_timer_start(&timer, wake_up, 10, 10);
	while (*what < at_least && uv_hrtime() / 1000000 < end) {
		uv_run(&c->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&c->loop, UV_RUN_NOWAIT);
	return *what >= at_least;
}

static void connect_to(struct client *c, const char *host, int port)
{
	char address[64];

	snprintf(address, sizeof(address), "%s:%d", host, port);
	c->conn = rpc_connect(&c->host, address, 8000, c);
	assert_non_null(c->conn);
}

static void connect_ready(struct client *c, const char *host, int port)
{
	connect_to(c, host, port);
	assert_true(run_until(c, &c->ready, 1, 2000));
}

static void close_client(struct client *c)
{
	rpc_host_stop(&c->host, client_stopped);
	uv_run(&c->loop, UV_RUN_DEFAULT);
	assert_true(c->stopped);
	assert_int_equal(uv_loop_close(&c->loop), 0);
}

/* --- Tests
 * -------------------------------------------------------------------------------------------------------------------
 */

static int n_right, n_wrong, n_last;
static size_t n_bytes;

struct asked {
	struct rpc_request req; /* First. */
	size_t len;
	int err;
};

static char text[300000];

static void check_echo(struct rpc_request *req, int err, const struct rpc_frame *f)
{
	struct asked *a = (struct asked *)req;

	a->err = err;
	n_last++;
	if (err == 0 && f->len == a->len && memcmp(f->payload, text, f->len) == 0) {
		n_right++;
	} else {
		n_wrong++;
	}
}

static void ask(struct client *c, struct asked *a, uint32_t method, size_t len, uint32_t timeout_ms)
{
	memset(a, 0, sizeof(*a));
	a->len = len;
	a->req.reply_cb = check_echo;
	assert_int_equal(rpc_send(c->conn, &a->req, method, text, len, timeout_ms), 0);
}

static struct server server;
static struct client client;

static int set_up(void **state)
{
	(void)state;
	n_right = n_wrong = n_last = 0;
	n_bytes = 0;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = (char)('a' + i % 23);
	}
	start_server(&server, "127.0.0.1");
	open_client(&client);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_client(&client);
	stop_server(&server);
	return server.n_closed >= server.n_open ? 0 : -1;
}

static void thousands_of_requests_come_back(void **state)
{
	static struct asked q[10000];
	unsigned seed = unit_seed();

	(void)state;
	srandom(seed);
	connect_ready(&client, "127.0.0.1", server.port);
	for (int i = 0; i < 10000; i++) {
		size_t len = (size_t)random() % (i % 500 == 0 ? sizeof(text) : 200);

		ask(&client, &q[i], ASK_ECHO, len, 0);
	}
	assert_true(run_until(&client, &n_last, 10000, 20000));
	assert_int_equal(n_right, 10000);
}

static void names_and_ipv6_addresses_are_found(void **state)
{
	struct server v6;
	struct asked q;
	char peer[64];

	(void)state;
	connect_ready(&client, "localhost", server.port); /* Its first address may well be ::1, where nobody listens. */
	ask(&client, &q, ASK_ECHO, 10, 1000);
	assert_true(run_until(&client, &n_right, 1, 2000));
	rpc_conn_close(client.conn, 0, "enough");
	if (!has_ipv6()) {
		return;
	}
	start_server(&v6, "::1");
	client.ready = 0;
	connect_ready(&client, "[::1]", v6.port);
	rpc_conn_peer(client.conn, peer, sizeof(peer));
	assert_memory_equal(peer, "[::1]:", 6);
	rpc_conn_close(client.conn, 0, "enough");
	stop_server(&v6);
}

static void what_cannot_be_reached_is_told(void **state)
{
	(void)state;
	connect_to(&client, "127.0.0.1", 1);
	assert_true(run_until(&client, &client.closed, 1, 3000));
	assert_int_equal(client.err, ERR_REFUSED);
	connect_to(&client, "no-such-host.invalid", 1);
	assert_true(run_until(&client, &client.closed, 2, 5000));
	client.conn = rpc_connect(&client.host, "nonsense", 100, &client);
	assert_true(run_until(&client, &client.closed, 3, 3000));
	assert_int_equal(client.err, ERR_INVALID);
	assert_int_equal(client.ready, 0);
}

/* Something listens, but nobody accepts or says hello. */
static void a_mute_listener_is_given_up(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char address[32];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(addr.sin_port));
	client.conn = rpc_connect(&client.host, address, 200, &client);
	assert_true(run_until(&client, &client.closed, 1, 2000));
	assert_int_equal(client.err, ERR_TIMEOUT);
	close(fd);
}

static int connect_raw(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_port = htons((uint16_t)port);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void assert_hung_up(int fd)
{
	char c[256];

	while (recv(fd, c, sizeof(c), 0) > 0) {
	}
	assert_true(errno != EAGAIN); /* Closed, and not our patience at its end. */
	close(fd);
}

static void half_open_connections_and_garbage_are_closed(void **state)
{
	static const char garbage[] = "D\0\0\0\x20not a frame at all, is it now, no.";
	static const char huge[] = "D\xff\xff\xff\xffx";
	int fd[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		fd[i] = connect_raw(server.port);
	}
	errno = 0;
	assert_int_equal(send(fd[0], "D", 1, 0), 1); /* And then nothing. */
	assert_true(send(fd[1], garbage, sizeof(garbage), 0) > 0);
	assert_true(send(fd[2], huge, sizeof(huge), 0) > 0);
	assert_true(send(fd[3], "GET / HTTP/1.1\r\n\r\n", 18, 0) > 0);
	for (int i = 0; i < 4; i++) {
		errno = 0;
		assert_hung_up(fd[i]);
	}
}

static void answers_cancels_and_timeouts_mix(void **state)
{
	static struct asked q[300];

	(void)state;
	connect_ready(&client, "127.0.0.1", server.port);
	for (int i = 0; i < 300; i++) {
		ask(&client, &q[i], i < 30 ? ASK_NEVER : ASK_LATER, 0, i % 2 == 0 && i < 30 ? 100 : 0);
	}
	for (int i = 30; i < 300; i += 3) {
		rpc_cancel(&q[i].req);
	}
	assert_true(run_until(&client, &n_last, 15 + 180, 5000));
	for (int i = 0; i < 30; i += 2) {
		assert_int_equal(q[i].err, ERR_TIMEOUT);
	}
	rpc_conn_close(client.conn, ERR_IO, "enough");
	for (int i = 1; i < 30; i += 2) {
		assert_int_equal(q[i].err, ERR_UNKNOWN);
	}
	assert_int_equal(n_last, 30 + 180);
}

static void take_stream(struct rpc_request *req, int err, const char *data, size_t len, bool last)
{
	(void)data;
	n_bytes += len;
	if (last) {
		((struct asked *)req)->err = err;
		n_last++;
	} else {
		rpc_consumed(req, len);
	}
}

static void ignore_head(struct rpc_request *req, int err, const struct rpc_frame *f)
{
	(void)req;
	(void)f;
	assert_int_equal(err, 0);
}

static void keep_stream(struct rpc_request *req, int err, const char *data, size_t len, bool last)
{
	(void)req;
	(void)err;
	(void)data;
	(void)last;
	n_bytes += len;
}

static void streams_flow_and_slow_readers_hold_them_up(void **state)
{
	struct asked fast[8];
	struct asked slow = {.req = {.reply_cb = ignore_head, .chunk_cb = keep_stream}};
	int never = 0;

	(void)state;
	connect_ready(&client, "127.0.0.1", server.port);
	assert_int_equal(rpc_send(client.conn, &slow.req, ASK_STREAM, "", 0, 0), 0);
	run_until(&client, &never, 1, 200);
	assert_int_equal(n_bytes, RPC_WINDOW);
	n_bytes = 0;
	for (int i = 0; i < 8; i++) {
		fast[i] = (struct asked){.req = {.reply_cb = ignore_head, .chunk_cb = take_stream}};
		assert_int_equal(rpc_send(client.conn, &fast[i].req, ASK_STREAM, "", 0, 0), 0);
	}
	assert_true(run_until(&client, &n_last, 8, 10000));
	assert_int_equal(n_bytes, 8 * (4 << 20));
	rpc_cancel(&slow.req);
	rpc_conn_close(client.conn, 0, "enough");
}

/* The kernel's buffers fill up, and what is behind them too; then all must still arrive. */
static void a_peer_that_pauses_gets_everything_in_the_end(void **state)
{
	static struct asked q[400];

	(void)state;
	connect_ready(&client, "127.0.0.1", server.port);
	for (int i = 0; i < 100; i++) {
		ask(&client, &q[i], ASK_ECHO, sizeof(text), 0);
	}
	uv_run(&client.loop, UV_RUN_NOWAIT);
	usleep(300000); /* Our loop stands still; the server answers into full buffers. */
	for (int i = 100; i < 400; i++) {
		if (rpc_send(client.conn, &q[i].req, ASK_ECHO, text, 100, 0) == 0) {
			q[i].len = 100;
			q[i].req.reply_cb = check_echo;
		} else {
			n_last++;
		}
	}
	assert_true(run_until(&client, &n_last, 400, 20000));
	assert_int_equal(n_wrong, 0);
	assert_true(n_right >= 100);
}

static void a_server_that_hangs_up_in_the_middle_fails_what_is_under_way(void **state)
{
	struct asked q[20];

	(void)state;
	connect_ready(&client, "127.0.0.1", server.port);
	for (int i = 0; i < 20; i++) {
		ask(&client, &q[i], i == 10 ? ASK_HANG_UP : ASK_NEVER, 0, 0);
	}
	assert_true(run_until(&client, &client.closed, 1, 3000));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(q[i].err, ERR_UNKNOWN);
	}
	client.ready = 0;
	connect_ready(&client, "127.0.0.1", server.port);
}

static void stopping_while_busy_is_clean(void **state)
{
	static struct asked q[500];

	(void)state;
	connect_ready(&client, "127.0.0.1", server.port);
	for (int i = 0; i < 500; i++) {
		ask(&client, &q[i], i % 3 == 0 ? ASK_LATER : ASK_ECHO, i % 50 == 0 ? sizeof(text) : 50, 0);
	}
	for (int i = 0; i < 3; i++) {
		uv_run(&client.loop, UV_RUN_NOWAIT);
	}
	connect_to(&client, "127.0.0.1", server.port); /* Stopped while it connects. */
	connect_to(&client, "localhost", server.port); /* Or looks up a name. */
}

static void many_idle_connections_cost_little(void **state)
{
	enum { MANY = 300 };

	(void)state;
	for (int i = 0; i < MANY; i++) {
		connect_to(&client, "127.0.0.1", server.port);
	}
	assert_true(run_until(&client, &client.ready, MANY, 5000));
}

static void what_many_connections_are_told_at_once_leaves_over_several_turns(void **state)
{
	enum { MANY = 300, WRITES = 64 }; /* As stream.c has it. */
	static struct rpc_conn *conns[MANY];
	static struct asked q[MANY];
	unsigned waiting = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		connect_to(&client, "127.0.0.1", server.port);
		conns[i] = client.conn;
	}
	assert_true(run_until(&client, &client.ready, MANY, 5000));
	for (int i = 0; i < MANY; i++) {
		client.conn = conns[i];
		ask(&client, &q[i], ASK_ECHO, 10, 0);
	}
	uv_run(&client.loop, UV_RUN_NOWAIT);
	for (int i = 0; i < MANY; i++) {
		waiting += conns[i]->queued > 0;
	}
	assert_true(waiting >= MANY - 2 * WRITES && waiting < MANY);
	assert_true(run_until(&client, &n_last, MANY, 5000));
	assert_int_equal(n_right, MANY);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(thousands_of_requests_come_back),
		TEST(names_and_ipv6_addresses_are_found),
		TEST(what_cannot_be_reached_is_told),
		TEST(a_mute_listener_is_given_up),
		TEST(half_open_connections_and_garbage_are_closed),
		TEST(answers_cancels_and_timeouts_mix),
		TEST(streams_flow_and_slow_readers_hold_them_up),
		TEST(a_peer_that_pauses_gets_everything_in_the_end),
		TEST(a_server_that_hangs_up_in_the_middle_fails_what_is_under_way),
		TEST(stopping_while_busy_is_clean),
		TEST(many_idle_connections_cost_little),
		TEST(what_many_connections_are_told_at_once_leaves_over_several_turns),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
