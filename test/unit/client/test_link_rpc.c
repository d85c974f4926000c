#include "test/unit/unit.h"

#include <arpa/inet.h>

#include "client/link_rpc.h"
#include "proto/error.h"
#include "proto/rpc_serve.h"
#include "proto/channel.h"
#include "proto/stream.h"

/* Servers of a kind: each listens on a port of its own and answers NODE_HEARTBEAT with its number as index. */
enum { SERVERS = 3 };

struct little_server {
	uv_tcp_t listener;
	struct rpc_conn *conn; /* The last one that came. */
	unsigned calls;
	char address[32];
	bool deaf;   /* Accepts and says nothing. */
	bool silent; /* Answers no calls before the test's end. */
	struct rpc_call *kept;
	bool open;
};

static uv_loop_t loop;
static struct rpc_host host; /* Of all servers. */
static struct rpc_hello hello;
static struct little_server servers[SERVERS];
static struct client_link *link_;
static unsigned ups, downs, pushes, requests;
static bool stopped, host_stopped;

/* ---- the servers ---- */

static struct little_server *server_of(struct rpc_conn *c)
{
	return c->data;
}

static void server_ready_cb(struct rpc_conn *c)
{
	server_of(c)->conn = c;
}

/* "/v1/size/N" is answered with N letters, those of more than 1000 as a stream. */
static void server_http_cb(void *ctx, struct http_request *req)
{
	struct http_response res = {.status = 200, .has = HTTP_HAS_INDEX, .index = 7};
	size_t n = strtoul(strrchr(req->path, '/') + 1, NULL, 10);
	char piece[500];

	(void)ctx;
	memset(piece, 'x', sizeof(piece));
	if (n <= 1000) {
		while (res.body.len < n) {
			buf_byte(&res.body, 'x');
		}
		http_answer(req, &res);
		return;
	}
	http_stream_begin(req, &res);
	for (; n > 0; n -= n < sizeof(piece) ? n : sizeof(piece)) {
		(void)http_stream_write(req, piece, n < sizeof(piece) ? n : sizeof(piece));
	}
	http_stream_end(req, true);
}

static void server_request_cb(struct rpc_conn *c, struct rpc_call *call)
{
	struct little_server *s = server_of(c);
	struct rpc_node_lease lease;

	s->calls++;
	if (call->method == RPC_METHOD_HTTP && !s->silent) {
		rpc_serve_http(call, server_http_cb, s);
		return;
	}
	if (s->silent) {
		if (s->kept != NULL) {
			rpc_fail(s->kept, ERR_TIMEOUT, "late");
		}
		s->kept = call;
		return;
	}
	object_init(&rpc_node_lease_type, &lease);
	lease.index = s - servers;
	rpc_reply_object(call, &rpc_node_lease_type, &lease);
}

static void server_closed_cb(struct rpc_conn *c, int err, const char *why)
{
	(void)err;
	(void)why;
	if (server_of(c) != NULL && server_of(c)->conn == c) {
		server_of(c)->conn = NULL;
	}
}

static const struct rpc_handlers server_handlers = {
        .ready_cb = server_ready_cb, .request_cb = server_request_cb, .closed_cb = server_closed_cb};

struct accepted {
	uv_tcp_t *tcp;
	struct little_server *server;
};

static void free_cb(uv_handle_t *handle)
{
	free(handle);
}

static void alloc_cb(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	static char byte;

	(void)handle;
	(void)size;
	*buf = uv_buf_init(&byte, 1);
}

static void first_byte_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	if (n == 0) {
		return;
	}
	uv_read_stop(stream);
	if (n < 0 || buf->base[0] != RPC_FIRST_BYTE) {
		uv_close((uv_handle_t *)stream, free_cb);
	} else {
		void *data = stream->data; /* The stream's is the channel's from here on. */

		(void)rpc_adopt(&host, channel_new(NULL, (uv_tcp_t *)stream), data);
	}
}

static void connection_cb(uv_stream_t *listener, int status)
{
	struct little_server *s = listener->data;
	uv_tcp_t *tcp = malloc(sizeof(*tcp));

	assert_int_equal(status, 0);
	uv_tcp_init(&loop, tcp);
	tcp->data = s;
	assert_int_equal(uv_accept(listener, (uv_stream_t *)tcp), 0);
	if (!s->deaf) {
		uv_read_start((uv_stream_t *)tcp, alloc_cb, first_byte_cb);
	} else {
		uv_read_start((uv_stream_t *)tcp, alloc_cb, first_byte_cb);
		uv_read_stop((uv_stream_t *)tcp);
		tcp->data = NULL;
		uv_unref((uv_handle_t *)tcp);
	}
}

static void server_open(struct little_server *s)
{
	struct sockaddr_in in;
	int len = sizeof(in);

	*s = (struct little_server){.open = true};
	uv_tcp_init(&loop, &s->listener);
	s->listener.data = s;
	uv_ip4_addr("127.0.0.1", 0, &in);
	assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&in, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 16, connection_cb), 0);
	assert_int_equal(uv_tcp_getsockname(&s->listener, (struct sockaddr *)&in, &len), 0);
	snprintf(s->address, sizeof(s->address), "127.0.0.1:%d", ntohs(in.sin_port));
}

/* It dies: nobody listens, connections break. */
static void server_kill(struct little_server *s)
{
	s->open = false;
	uv_close((uv_handle_t *)&s->listener, NULL);
	if (s->conn != NULL) {
		rpc_conn_close(s->conn, ERR_CLOSED, "killed");
	}
}

/* ---- the client's side ---- */

static void up_cb(void *ctx)
{
	(void)ctx;
	ups++;
}

static void down_cb(void *ctx)
{
	(void)ctx;
	downs++;
}

static void push_cb(void *ctx, uint32_t method, const char *payload, size_t len)
{
	(void)ctx;
	assert_int_equal(method, RPC_METHOD_NODE_ALLOCS);
	assert_int_equal(len, 5);
	assert_memory_equal(payload, "hello", 5);
	pushes++;
}

static void http_cb(void *ctx, struct http_request *req)
{
	(void)ctx;
	requests++;
	http_answer_text(req, 404, "no %s", req->path);
}

static const struct link_events events = {.up_cb = up_cb, .down_cb = down_cb, .push_cb = push_cb, .http_cb = http_cb};

static void open_link(unsigned first, unsigned n)
{
	const char *addresses[SERVERS];
	struct link_rpc_config config = {.servers = {addresses, n},
	                                 .name = "n",
	                                 .region = "global",
	                                 .datacenter = "dc1",
	                                 .version = "0",
	                                 .http_addr = ""};
	unsigned i;

	for (i = 0; i < n; i++) {
		addresses[i] = servers[first + i].address;
	}
	link_ = link_rpc_new(&loop, &config);
	assert_non_null(link_);
	link_->ops->start(link_, "deadbeef-0000-0000-0000-000000000001", "secret", &events, NULL);
}

static int make(void **state)
{
	static struct rpc_config config = {.handlers = &server_handlers, .hello = &hello};
	int i;

	(void)state;
	ups = downs = pushes = requests = 0;
	object_init(&rpc_hello_type, &hello);
	hello.protocol = RPC_VERSION;
	hello.kind = "server";
	hello.region = "global";
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(rpc_host_init(&host, &loop, &config), 0);
	for (i = 0; i < SERVERS; i++) {
		server_open(&servers[i]);
	}
	return 0;
}

static void stopped_cb(void *ctx)
{
	(void)ctx;
	stopped = true;
}

static void host_stopped_cb(struct rpc_host *h)
{
	(void)h;
	host_stopped = true;
}

static void close_rest(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle)) {
		uv_close(handle, handle->type == UV_TCP ? free_cb : NULL); /* Accepted by a deaf server. */
	}
}

static int release(void **state)
{
	int i;

	(void)state;
	stopped = host_stopped = false;
	link_->ops->stop(link_, stopped_cb, NULL);
	for (i = 0; i < SERVERS; i++) {
		if (servers[i].open) {
			uv_close((uv_handle_t *)&servers[i].listener, NULL);
		}
		if (servers[i].kept != NULL) {
			rpc_fail(servers[i].kept, ERR_TIMEOUT, "late");
		}
	}
	rpc_host_stop(&host, host_stopped_cb);
	while (!stopped || !host_stopped) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	link_rpc_free(link_);
	uv_walk(&loop, close_rest, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static void tick_cb(uv_timer_t *timer)
{
	(void)timer;
}

/* Run until *value is at least that. */
static void run_until(const unsigned *value, unsigned want)
{
	uint64_t end = uv_hrtime() + UINT64_C(60000000000);
	uv_timer_t tick;

	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, tick_cb, 5, 5);
	while (*value < want) {
		if (uv_hrtime() > end) {
			fail_msg("not within 10 s");
		}
		uv_run(&loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

/* ---- calls ---- */

static struct {
	struct link_call call;
	unsigned done;
	int err;
	int64_t index;
} asked;

static void done_cb(struct link_call *call, int err, const char *payload, size_t len)
{
	struct arena mem = {0};
	struct rpc_node_lease lease;

	assert_ptr_equal(call, &asked.call);
	asked.done++;
	asked.err = err;
	if (err == 0) {
		assert_int_equal(pack_decode(&rpc_node_lease_type, &lease, payload, len, &mem), 0);
		asked.index = lease.index;
		arena_close(&mem);
	}
}

static int beat(void)
{
	struct rpc_node_heartbeat h;

	object_init(&rpc_node_heartbeat_type, &h);
	asked.call = (struct link_call){.done_cb = done_cb};
	asked.done = 0;
	return link_->ops->call(link_, &asked.call, RPC_METHOD_NODE_HEARTBEAT, &rpc_node_heartbeat_type, &h, 500);
}

static struct little_server *present(void)
{
	int i;

	for (i = 0; i < SERVERS; i++) {
		if (strcmp(link_rpc_server(link_), servers[i].address) == 0) {
			return &servers[i];
		}
	}
	fail();
	return NULL;
}

/* ---- tests ---- */

static void a_call_is_answered_by_the_server_that_is_connected(void **state)
{
	(void)state;
	open_link(0, SERVERS);
	assert_int_equal(beat(), ERR_CLOSED);
	run_until(&ups, 1);
	assert_int_equal(beat(), 0);
	run_until(&asked.done, 1);
	assert_int_equal(asked.err, 0);
	assert_ptr_equal(&servers[asked.index], present());
}

static void another_server_is_found_when_one_dies(void **state)
{
	struct little_server *first;

	(void)state;
	open_link(0, SERVERS);
	run_until(&ups, 1);
	first = present();
	server_kill(first);
	run_until(&ups, 2);
	assert_int_equal(downs, 1);
	assert_ptr_not_equal(present(), first);
	server_kill(present());
	run_until(&ups, 3);
	assert_int_equal(beat(), 0);
	run_until(&asked.done, 1);
	assert_int_equal(asked.err, 0);
}

static void a_call_under_way_ends_with_the_connection(void **state)
{
	(void)state;
	open_link(0, 1);
	run_until(&ups, 1);
	servers[0].silent = true;
	assert_int_equal(beat(), 0);
	run_until(&servers[0].calls, 1);
	rpc_conn_close(servers[0].conn, ERR_CLOSED, "killed");
	run_until(&downs, 1);
	assert_int_equal(asked.done, 1);
	assert_int_equal(asked.err, ERR_UNKNOWN);
	run_until(&ups, 2);
}

static void a_call_that_is_not_answered_times_out(void **state)
{
	(void)state;
	open_link(0, 1);
	run_until(&ups, 1);
	servers[0].silent = true;
	assert_int_equal(beat(), 0);
	run_until(&asked.done, 1);
	assert_int_equal(asked.err, ERR_TIMEOUT);
}

static void a_server_that_says_nothing_is_given_up_in_about_a_second(void **state)
{
	uint64_t begin = uv_hrtime();
	struct strs learned;
	const char *address = servers[1].address;

	(void)state;
	servers[0].deaf = true;
	open_link(0, 1);
	learned = (struct strs){&address, 1};
	link_->ops->servers(link_, &learned);
	run_until(&ups, 1);
	assert_ptr_equal(present(), &servers[1]);
	assert_true(uv_hrtime() - begin < UINT64_C(6000000000));
}

static void servers_that_are_told_of_are_remembered(void **state)
{
	const char *addresses[SERVERS] = {servers[0].address, servers[1].address, servers[2].address};
	struct strs learned = {addresses, SERVERS};

	(void)state;
	open_link(0, 1);
	run_until(&ups, 1);
	link_->ops->servers(link_, &learned);
	link_->ops->servers(link_, &learned);
	assert_int_equal(link_rpc_servers(link_).n, SERVERS);
	server_kill(&servers[0]);
	run_until(&ups, 2);
	assert_ptr_not_equal(present(), &servers[0]);
}

static void a_useless_server_is_left(void **state)
{
	struct little_server *first;

	(void)state;
	open_link(0, SERVERS);
	run_until(&ups, 1);
	first = present();
	link_->ops->renew(link_);
	run_until(&ups, 2);
	assert_ptr_not_equal(present(), first);
}

static void who_is_no_server_of_this_region_is_refused(void **state)
{
	unsigned never = 0;
	uint64_t end;

	(void)state;
	hello.region = "mars";
	open_link(0, 1);
	for (end = uv_hrtime() + UINT64_C(300000000); uv_hrtime() < end;) {
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(ups, never);
	hello.region = "global";
	run_until(&ups, 1);
}

static unsigned replies;

static void reply_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct arena mem = {0};
	struct http_response res = {.status = 0};

	(void)req;
	assert_int_equal(err, 0);
	assert_int_equal(rpc_get_http_response(&res, frame->payload, frame->len, &mem), 0);
	assert_int_equal(res.status, 404);
	assert_string_equal(buf_text(&res.body), "no /v1/client/x");
	buf_close(&res.body);
	arena_close(&mem);
	replies++;
}

static void pushes_and_requests_come_through(void **state)
{
	static struct rpc_request req;
	struct http_request http;
	struct buf payload = {0};

	(void)state;
	open_link(0, 1);
	run_until(&ups, 1);
	assert_int_equal(rpc_push(servers[0].conn, RPC_METHOD_NODE_ALLOCS, "hello", 5), 0);
	run_until(&pushes, 1);
	http_request_init(&http, NULL);
	assert_int_equal(http_request_target(&http, "/v1/client/x?y=1", 16), 0);
	rpc_put_http_request(&payload, &http);
	req = (struct rpc_request){.reply_cb = reply_cb};
	assert_int_equal(rpc_send(servers[0].conn, &req, RPC_METHOD_HTTP, payload.at, payload.len, 0), 0);
	run_until(&replies, 1);
	assert_int_equal(requests, 1);
	http_request_close(&http);
	buf_close(&payload);
}

static void without_servers_nothing_happens(void **state)
{
	(void)state;
	open_link(0, 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(ups, 0);
	assert_string_equal(link_rpc_server(link_), "");
}

/* ---- reads of the API ---- */

static struct {
	struct link_read read;
	unsigned done;
	int err, status;
	uint64_t index;
	size_t len;
} got;

static void read_done_cb(struct link_read *read, int err, const struct http_response *res)
{
	assert_ptr_equal(read, &got.read);
	assert_true((err == 0) == (res != NULL));
	got.done++;
	got.err = err;
	got.status = res != NULL ? res->status : 0;
	got.index = res != NULL ? res->index : 0;
	got.len = res != NULL ? res->body.len : 0;
}

static int start_read(const char *target, size_t max)
{
	got.read = (struct link_read){.done_cb = read_done_cb};
	got.done = 0;
	return link_->ops->read(link_, &got.read, target, max, 5000);
}

static void a_read_is_answered_whole_or_in_pieces(void **state)
{
	static const struct {
		const char *target;
		size_t max;
		int err;
		size_t len;
	} cases[] = {{"/v1/size/10?stale", 1000, 0, 10},
	             {"/v1/size/0", 0, 0, 0},
	             {"/v1/size/10", 9, ERR_TOOBIG, 0},
	             {"/v1/size/5000", 5000, 0, 5000},
	             {"/v1/size/400000", 1 << 20, 0, 400000},
	             {"/v1/size/400000", 399999, ERR_TOOBIG, 0}};

	(void)state;
	open_link(0, 1);
	assert_int_equal(start_read("/v1/size/1", 10), ERR_CLOSED);
	run_until(&ups, 1);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(start_read(cases[i].target, cases[i].max), 0);
		run_until(&got.done, 1);
		assert_int_equal(got.err, cases[i].err);
		assert_int_equal(got.len, cases[i].len);
		assert_int_equal(got.index, cases[i].err == 0 ? 7 : 0);
	}
	assert_int_equal(downs, 0);
}

static void a_read_ends_with_the_connection_or_is_called_off(void **state)
{
	(void)state;
	servers[0].silent = true;
	open_link(0, 1);
	run_until(&ups, 1);
	assert_int_equal(start_read("/v1/size/1", 10), 0);
	link_->ops->cancel(link_, &got.read);
	assert_int_equal(start_read("/v1/size/1", 10), 0);
	run_until(&servers[0].calls, 2);
	server_kill(&servers[0]);
	run_until(&got.done, 1);
	assert_int_equal(got.err, ERR_UNKNOWN);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(a_call_is_answered_by_the_server_that_is_connected),
	        T(another_server_is_found_when_one_dies),
	        T(a_call_under_way_ends_with_the_connection),
	        T(a_call_that_is_not_answered_times_out),
	        T(a_server_that_says_nothing_is_given_up_in_about_a_second),
	        T(servers_that_are_told_of_are_remembered),
	        T(a_useless_server_is_left),
	        T(who_is_no_server_of_this_region_is_refused),
	        T(pushes_and_requests_come_through),
	        T(a_read_is_answered_whole_or_in_pieces),
	        T(a_read_ends_with_the_connection_or_is_called_off),
	        T(without_servers_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
