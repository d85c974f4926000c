/* A server with handlers of every temper, for http_front.py. It prints its ports, runs until its standard input ends,
 * and prints how it ended. Options: NAME=NUMBER, the names being those of struct httpd_config; and
 *
 *     peer=PORT    pass requests with ?far on to the server whose RPC port this is
 *     rpc=PORT     the RPC port; 0, the default: any
 *     tls=FOLDER   HTTPS, with the files of open_tls(); a line on standard input has them read again
 *     hold_ms=N    how long a request that cannot be passed on now is kept
 */
#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

#include "lib/log.h"
#include "lib/tls.h"
#include "proto/error.h"
#include "proto/relay.h"
#include "proto/channel.h"
#include "proto/stream.h"
#include "server/cache.h"
#include "server/httpd.h"

struct site {
	struct httpd *h;
	uv_loop_t *loop;
	struct http_router *router;
	struct cache *cache;
	struct list parked; /* struct http_request.link */
	unsigned n_parked, n_gone, n_open_streams;
	struct mailbox work; /* For the worker. */
	pthread_mutex_t lock;
	pthread_cond_t rung;
	bool ringing;
	atomic_bool over, started;
	uint16_t rpc_port;
};

static struct site site;

/* The other thread, which passes requests on and takes them. */
struct far {
	uv_loop_t loop;
	uv_async_t wake;
	uv_tcp_t listener;
	uv_timer_t timer; /* Connects, and tries again what is kept. */
	struct mailbox box;
	struct rpc_host host;
	struct rpc_hello hello;
	struct relay relay;
	struct rpc_conn *peer;
	char address[64]; /* Of the peer; "" if there is none. */
	struct list kept; /* struct relay_out */
	unsigned hold_tries;
	uint16_t port;
	atomic_bool over;
	pthread_t thread;
};

static struct far far;

enum { FAR_TICK_MS = 20 };

static int64_t number(struct http_request *req, const char *name, int64_t dflt)
{
	(void)http_query_int(req, name, &dflt);
	return dflt;
}

static void answer_json(struct http_request *req, struct buf *b)
{
	struct http_response res = {.has = HTTP_HAS_READ, .index = 42, .known_leader = true, .body = *b};

	http_answer(req, &res);
}

static void say_hello(void *ctx, struct http_request *req)
{
	struct buf b = {0};

	(void)ctx;
	buf_str(&b, "\"hello\"");
	answer_json(req, &b);
}

/* A JSON array of about n bytes. */
static void make_json(struct buf *b, size_t n)
{
	buf_byte(b, '[');
	for (unsigned i = 0; b->len + 40 < n; i++) {
		buf_printf(b, "%s{\"ID\":%u,\"Name\":\"row %u\"}", i > 0 ? "," : "", i, i);
	}
	buf_byte(b, ']');
}

static void give_json(void *ctx, struct http_request *req)
{
	struct buf b = {0};

	(void)ctx;
	make_json(&b, (size_t)number(req, "n", 100));
	answer_json(req, &b);
}

static void give_shared(void *ctx, struct http_request *req)
{
	struct http_body *body = cache_get(site.cache, req->query, req->query_len, 1);
	struct http_response res = {.has = HTTP_HAS_READ, .index = 42, .known_leader = true};

	(void)ctx;
	if (body == NULL) {
		struct buf b = {0};

		make_json(&b, (size_t)number(req, "n", 100));
		body = http_body_new(&b);
		assert(body != NULL);
		cache_put(site.cache, req->query, req->query_len, 1, body);
	}
	res.shared = body;
	http_answer(req, &res);
}

static void echo(void *ctx, struct http_request *req)
{
	struct http_response res = {.type = "application/octet-stream"};

	(void)ctx;
	assert(req->body[req->body_len] == '\0');
	if (req->body_len > 0) {
		buf_put(&res.body, req->body, req->body_len);
	}
	http_answer(req, &res);
}

static void show(void *ctx, struct http_request *req)
{
	(void)ctx;
	http_answer_text(req, 200, "%s token=%s gzip=%d param=%s", http_method_text(req->method), req->token,
			 req->accepts_gzip, req->params[0]);
}

/* --- Later, by a timer --- */

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void on_later(uv_timer_t *timer)
{
	struct http_request *req = timer->data;
	struct buf b = {0};

	uv_close((uv_handle_t *)timer, free_handle);
	buf_str(&b, "\"later\"");
	answer_json(req, &b);
}

static void answer_later(void *ctx, struct http_request *req)
{
	uv_timer_t *timer = malloc(sizeof(*timer));

	(void)ctx;
	uv_timer_init(site.loop, timer);
	timer->data = req;
	uv_timer_start(timer, on_later, (uint64_t)number(req, "ms", 50), 0);
}

/* --- Later, by another thread --- */

struct errand {
	struct mail mail;
	struct http_request *req;
};

static void deliver(struct mail *mail)
{
	struct errand *j = CONTAINER_OF(mail, struct errand, mail);
	struct buf b = {0};

	buf_str(&b, "\"worked\"");
	answer_json(j->req, &b);
	free(j);
}

static void work(struct mail *mail)
{
	mail->run_cb = deliver;
	httpd_post(site.h, mail);
}

static void ask_worker(void *ctx, struct http_request *req)
{
	struct errand *j = malloc(sizeof(*j));

	(void)ctx;
	j->req = req;
	j->mail.run_cb = work;
	if (!mailbox_put(&site.work, &j->mail)) {
		free(j);
		http_answer_error(req, ERR_BUSY);
	}
}

static void ring(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&site.lock);
	site.ringing = true;
	pthread_cond_signal(&site.rung);
	pthread_mutex_unlock(&site.lock);
}

static void *run_worker(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&site.lock);
		while (!site.ringing && !site.over) {
			pthread_cond_wait(&site.rung, &site.lock);
		}
		site.ringing = false;
		pthread_mutex_unlock(&site.lock);
		if (mailbox_run(&site.work) == 0 && site.over) {
			return NULL;
		}
	}
}

/* --- Parked, until somebody releases all --- */

static void unpark(struct http_request *req, struct http_response *res)
{
	list_remove(&req->link);
	site.n_parked--;
	http_answer(req, res);
}

static void on_parked_gone(struct http_request *req)
{
	site.n_gone++;
	unpark(req, &(struct http_response){.status = 499});
}

static void park(void *ctx, struct http_request *req)
{
	(void)ctx;
	req->gone_cb = on_parked_gone;
	list_insert(&site.parked, &req->link);
	site.n_parked++;
}

static void release(void *ctx, struct http_request *req)
{
	struct buf b = {0};
	struct http_body *body;
	unsigned n = site.n_parked;

	(void)ctx;
	make_json(&b, (size_t)number(req, "n", 300));
	body = http_body_new(&b);
	while (!list_empty(&site.parked)) {
		struct http_response res = {
			.has = HTTP_HAS_READ, .index = 43, .known_leader = true, .shared = http_body_get(body)};

		unpark(CONTAINER_OF(site.parked.next, struct http_request, link), &res);
	}
	http_body_put(body);
	http_answer_text(req, 200, "%u", n);
}

/* --- Streams --- */

static void pour(struct http_request *req)
{
	static char piece[1 << 20];
	int64_t *left = req->data;
	int64_t size = number(req, "size", 1000);

	while (*left > 0) {
		int rv;

		memset(piece, 'a' + (int)(*left % 26), (size_t)size);
		rv = http_stream_write(req, piece, (size_t)size);
		if (rv < 0) {
			break;
		}
		--*left;
		if (rv == HTTP_WAIT) {
			return;
		}
	}
	req->drain_cb = NULL;
	site.n_open_streams--;
	http_stream_end(req, *left == 0 && number(req, "break", 0) == 0);
}

static void stream(void *ctx, struct http_request *req)
{
	int64_t *left = arena_alloc(&req->mem, sizeof(*left));
	struct http_response head = {.type = "text/plain"};

	(void)ctx;
	*left = number(req, "n", 10);
	req->data = left;
	req->drain_cb = pour;
	site.n_open_streams++;
	http_stream_begin(req, &head);
	pour(req);
}

static void on_follower_gone(struct http_request *req)
{
	site.n_gone++;
	site.n_open_streams--;
	http_stream_end(req, true);
}

/* Opens a stream and says nothing. */
static void follow(void *ctx, struct http_request *req)
{
	struct http_response head = {.type = "text/plain"};

	(void)ctx;
	req->gone_cb = on_follower_gone;
	site.n_open_streams++;
	http_stream_begin(req, &head);
}

static void tell_stats(void *ctx, struct http_request *req)
{
	struct httpd_stats s;
	struct buf b = {0};
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	(void)ctx;
	httpd_get_stats(site.h, &s);
	assert(f != NULL && fscanf(f, "%*d %ld", &pages) == 1);
	fclose(f);
	buf_printf(&b,
		   "{\"parked\":%u,\"gone\":%u,\"streams\":%u,\"conns\":%u,\"waiting\":%u,\"requests\":%lu,\"refused\":"
		   "%lu,\"limited\":%lu,"
		   "\"timeouts\":%lu,\"shakes_failed\":%lu,\"turn_us\":%lu,\"rss_kb\":%ld}",
		   site.n_parked, site.n_gone, site.n_open_streams, s.conns, s.waiting, (unsigned long)s.requests,
		   (unsigned long)s.refused_conns, (unsigned long)s.limited, (unsigned long)s.timeouts,
		   (unsigned long)s.handshakes_failed,
		   (unsigned long)s.turns.clock.longest_ns / 1000,
		   pages * 4);
	answer_json(req, &b);
}

/* A session that says something, and then a message that does not end. */
static void talk(void *ctx, struct http_request *req)
{
	static char piece[64 << 10];
	struct http_response head = {.status = 101};

	(void)ctx;
	memset(piece, 'x', sizeof(piece));
	http_stream_begin(req, &head);
	(void)http_stream_write(req, "hello\n", 6);
	for (int i = 0; i < 48 && http_stream_write(req, piece, sizeof(piece)) >= 0; i++) {
	}
	http_stream_end(req, true);
}

static const struct http_route routes[] = {
	{.pattern = "/talk", .methods = HTTP_BIT_GET, .handle_cb = talk},
	{.pattern = "/hello", .methods = HTTP_BIT_GET, .handle_cb = say_hello},
	{.pattern = "/json", .methods = HTTP_BIT_GET, .handle_cb = give_json},
	{.pattern = "/shared", .methods = HTTP_BIT_GET, .handle_cb = give_shared},
	{.pattern = "/echo", .methods = HTTP_BITS_WRITE, .handle_cb = echo},
	{.pattern = "/show/:x...", .methods = HTTP_BITS_ALL, .handle_cb = show},
	{.pattern = "/later", .methods = HTTP_BIT_GET, .handle_cb = answer_later},
	{.pattern = "/worker", .methods = HTTP_BIT_GET | HTTP_BITS_WRITE, .handle_cb = ask_worker},
	{.pattern = "/park", .methods = HTTP_BIT_GET | HTTP_BITS_WRITE, .handle_cb = park},
	{.pattern = "/release", .methods = HTTP_BITS_WRITE, .handle_cb = release},
	{.pattern = "/stream", .methods = HTTP_BIT_GET, .handle_cb = stream},
	{.pattern = "/follow", .methods = HTTP_BIT_GET, .handle_cb = follow},
	{.pattern = "/stats", .methods = HTTP_BIT_GET, .handle_cb = tell_stats},
};

static void handle(void *ctx, struct http_request *req)
{
	if (req->hops == 0 && http_query(req, "far") != NULL) {
		relay_forward(&far.relay, req, "peer", (uint32_t)number(req, "timeout", 10000));
	} else if (http_route_find(site.router, req) == 0) {
		req->route->handle_cb(ctx, req);
	}
}

/* --- Far requests --- */

static void post_http(void *ctx, struct mail *mail)
{
	(void)ctx;
	httpd_post(site.h, mail);
}

static void post_rpc(void *ctx, struct mail *mail)
{
	(void)ctx;
	mailbox_put_answer(&far.box, mail);
}

static struct rpc_conn *route(void *ctx, const char *target, int *err)
{
	(void)ctx;
	(void)target;
	*err = ERR_NOLEADER;
	return far.peer != NULL && rpc_conn_ready(far.peer) ? far.peer : NULL;
}

static bool keep(void *ctx, struct relay_out *out, int err)
{
	(void)ctx;
	(void)err;
	if (relay_out_tries(out) > far.hold_tries || far.over) {
		return false;
	}
	list_insert(&far.kept, relay_out_link(out));
	return true;
}

static void on_far_closed(struct rpc_conn *c, int err, const char *why)
{
	(void)err;
	(void)why;
	if (c == far.peer) {
		far.peer = NULL;
	}
}

static void on_far_request(struct rpc_conn *c, struct rpc_call *call)
{
	(void)c;
	if (call->method == RPC_METHOD_HTTP) {
		relay_serve(&far.relay, call, NULL);
	} else {
		rpc_fail(call, ERR_UNSUPPORTED, "HTTP only");
	}
}

static const struct rpc_handlers far_handlers = {.request_cb = on_far_request, .closed_cb = on_far_closed};

static void on_far_tick(uv_timer_t *timer)
{
	struct list again;

	(void)timer;
	if (far.peer == NULL && far.address[0] != '\0') {
		far.peer = rpc_connect(&far.host, far.address, 1000, NULL);
	}
	list_init(&again);
	while (!list_empty(&far.kept)) {
		list_insert(&again, list_pop(&far.kept));
	}
	while (!list_empty(&again)) {
		relay_try(relay_out_of(list_pop(&again)));
	}
}

static void one_byte(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char byte;

	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(&byte, 1);
}

static void on_first_byte(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	if (n == 0) {
		return;
	}
	uv_read_stop(tcp);
	if (n == 1 && buf->base[0] == RPC_FIRST_BYTE) {
		(void)rpc_adopt(&far.host, channel_new(NULL, (uv_tcp_t *)tcp), NULL);
	} else {
		uv_close((uv_handle_t *)tcp, free_handle);
	}
}

static void on_far_accept(uv_stream_t *listener, int status)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));

	assert(status == 0);
	uv_tcp_init(&far.loop, tcp);
	tcp->data = NULL;
	if (uv_accept(listener, (uv_stream_t *)tcp) != 0) {
		uv_close((uv_handle_t *)tcp, free_handle);
	} else {
		uv_read_start((uv_stream_t *)tcp, one_byte, on_first_byte);
	}
}

static void on_far_stopped(struct rpc_host *host)
{
	(void)host;
	uv_stop(&far.loop);
}

static void on_far_wake(uv_async_t *wake)
{
	(void)wake;
	(void)mailbox_run(&far.box);
	if (far.over && !far.host.stopping) {
		uv_close((uv_handle_t *)&far.listener, NULL);
		uv_close((uv_handle_t *)&far.timer, NULL);
		rpc_host_stop(&far.host, on_far_stopped);
		while (!list_empty(&far.kept)) {
			relay_give_up(relay_out_of(list_pop(&far.kept)), ERR_NOLEADER);
		}
	}
}

static void ring_far(void *arg)
{
	(void)arg;
	uv_async_send(&far.wake);
}

static void *run_far(void *arg)
{
	(void)arg;
	uv_run(&far.loop, UV_RUN_DEFAULT);
	return NULL;
}

static void start_far(uint16_t port)
{
	static struct rpc_config config = {.handlers = &far_handlers, .hello = &far.hello};
	struct sockaddr_in addr;
	int len = sizeof(addr);

	far.relay = (struct relay){
		.post_http = post_http, .post_rpc = post_rpc, .route = route, .again = keep, .handle = handle};
	object_init(&rpc_hello_type, &far.hello);
	far.hello.protocol = RPC_VERSION;
	list_init(&far.kept);
	uv_loop_init(&far.loop);
	uv_async_init(&far.loop, &far.wake, on_far_wake);
	mailbox_init(&far.box, 1, ring_far, NULL);
	assert(rpc_host_init(&far.host, &far.loop, &config) == 0);
	uv_tcp_init(&far.loop, &far.listener);
	uv_ip4_addr("127.0.0.1", port, &addr);
	assert(uv_tcp_bind(&far.listener, (struct sockaddr *)&addr, 0) == 0);
	assert(uv_listen((uv_stream_t *)&far.listener, 128, on_far_accept) == 0);
	uv_tcp_getsockname(&far.listener, (struct sockaddr *)&addr, &len);
	far.port = ntohs(addr.sin_port);
	uv_timer_init(&far.loop, &far.timer);
	uv_timer_start(&far.timer, on_far_tick, 0, FAR_TICK_MS);
	assert(pthread_create(&far.thread, NULL, run_far, NULL) == 0);
}

static void start(void *ctx, struct httpd *h, uv_loop_t *loop)
{
	(void)ctx;
	site.h = h;
	site.loop = loop;
	start_far(site.rpc_port);
	site.started = true;
}

/* After HTTP has ended. What both threads still had to say to each other is run here. */
static void stop_far(void)
{
	far.over = true;
	ring_far(NULL);
	pthread_join(far.thread, NULL);
}

static void close_far(void)
{
	uv_close((uv_handle_t *)&far.wake, NULL);
	uv_run(&far.loop, UV_RUN_DEFAULT);
	assert(uv_loop_close(&far.loop) == 0);
}

static const struct option {
	const char *name;
	size_t offset, size;
} options[] = {
#define OPTION(field)                                                                                                  \
	{                                                                                                              \
#field, offsetof(struct httpd_config, field), sizeof(((struct httpd_config *)0)->field)                \
	}
	OPTION(port),    OPTION(body_max),   OPTION(bodies_max), OPTION(conns_max), OPTION(conns_per_client_max),
	OPTION(idle_ms), OPTION(request_ms), OPTION(stall_ms),   OPTION(watch_ms),  OPTION(answers_max),
	OPTION(requests_burst), OPTION(handshake_ms),
#undef OPTION
};

/* Little-endian machines only, as all that this program runs on. */
static void set_option(struct httpd_config *config, const char *text)
{
	const char *equals = strchr(text, '=');
	unsigned long value = strtoul(equals + 1, NULL, 10);

	if (strncmp("requests_per_s=", text, (size_t)(equals - text) + 1) == 0) {
		config->requests_per_s = strtod(equals + 1, NULL);
		return;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strncmp(options[i].name, text, (size_t)(equals - text)) == 0) {
			memcpy((char *)config + options[i].offset, &value, options[i].size);
		}
	}
}

static void allow_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* FOLDER/server.pem and server-key.pem; if there is a FOLDER/ca.pem, clients must have a certificate by it. */
static struct tls *open_tls(const char *folder)
{
	char why[TLS_WHY], ca[256], cert[256], key[256];
	struct tls_config config = {.ca_file = ca, .cert_file = cert, .key_file = key, .alpn = "http/1.1", .resume = true};
	struct tls *tls;

	snprintf(ca, sizeof(ca), "%s/ca.pem", folder);
	snprintf(cert, sizeof(cert), "%s/server.pem", folder);
	snprintf(key, sizeof(key), "%s/server-key.pem", folder);
	if (access(ca, R_OK) != 0) {
		config.ca_file = NULL;
	} else {
		config.clients = TLS_CLIENTS_KNOWN;
	}
	tls = tls_new(&config, why);
	if (tls == NULL) {
		printf("error %s\n", why);
		exit(1);
	}
	return tls;
}

int main(int argc, char **argv)
{
	struct httpd_config config = {.address = "127.0.0.1", .start_cb = start, .handle_cb = handle};
	struct httpd_stats s;
	pthread_t worker;
	uint32_t grace_ms = 300;
	struct httpd *h;
	char why[TLS_WHY];
	char c;

	signal(SIGPIPE, SIG_IGN);
	allow_files();
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "grace_ms=", 9) == 0) {
			grace_ms = (uint32_t)atoi(argv[i] + 9);
		} else if (strncmp(argv[i], "address=", 8) == 0) {
			config.address = argv[i] + 8;
		} else if (strncmp(argv[i], "tls=", 4) == 0) {
			config.tls = open_tls(argv[i] + 4);
		} else if (strncmp(argv[i], "peer=", 5) == 0) {
			snprintf(far.address, sizeof(far.address), "127.0.0.1:%s", argv[i] + 5);
		} else if (strncmp(argv[i], "rpc=", 4) == 0) {
			site.rpc_port = (uint16_t)atoi(argv[i] + 4);
		} else if (strncmp(argv[i], "hold_ms=", 8) == 0) {
			far.hold_tries = (unsigned)atoi(argv[i] + 8) / FAR_TICK_MS;
		} else {
			set_option(&config, argv[i]);
		}
	}
	list_init(&site.parked);
	pthread_mutex_init(&site.lock, NULL);
	pthread_cond_init(&site.rung, NULL);
	mailbox_init(&site.work, 1000, ring, NULL);
	site.router = http_router_new(routes, sizeof(routes) / sizeof(routes[0]));
	site.cache = cache_new(64 << 20);
	assert(pthread_create(&worker, NULL, run_worker, NULL) == 0);
	if (httpd_start(&config, &h, why, sizeof(why)) != 0) {
		printf("error %s\n", why);
		return 1;
	}
	while (!site.started) {
		usleep(1000);
	}
	printf("port %u %u\n", httpd_port(h), far.port);
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0) { /* A line: read the files of TLS again. */
		if (config.tls != NULL && c == '\n') {
			printf("reload %s\n", tls_reload(config.tls, why) == 0 ? "done" : why);
			fflush(stdout);
		}
	}
	httpd_stop(h, grace_ms);
	stop_far();
	site.over = true;
	ring(NULL);
	pthread_join(worker, NULL);
	httpd_run_mail(h);
	while (mailbox_run(&far.box) > 0) {
		httpd_run_mail(h);
	}
	httpd_get_stats(h, &s); /* Only now has everybody had his say. */
	httpd_close(h);
	close_far();
	tls_free(config.tls);
	http_router_free(site.router);
	cache_free(site.cache);
	printf("stopped conns=%u waiting=%u parked=%u streams=%u\n", s.conns, s.waiting, site.n_parked,
	       site.n_open_streams);
	return 0;
}
