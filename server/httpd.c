/* The HTTP server's thread, its connections, and their beginning and end. */
#include "server/httpd_parts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "proto/error.h"

enum {
	BACKLOG = 4096,
	OVER_MAX = 32, /* Connections in TLS, too many of their clients, that shake hands to be told so; others are closed. */
	MAIL_MAX = 1 << 30, /* Not a bound: mail is answers. */
	SWEEP_MS = 1000,
	BYTES_PER_S_MIN = 64 << 10, /* A request that comes slower than this is cut, after request_ms. */
	STOP_MS = 250,              /* After the grace: when connections are hung up, and how often that is tried. */
	STOP_TRIES = 20,
	THREAD_STACK = 1 << 20,
};

bool turn_is_over(const struct httpd *h)
{
	return uv_hrtime() - h->slice_began_ns > HTTPD_TURN_MS * UINT64_C(1000000);
}

/* h2o calls this when an answer begins. Those that it makes itself, because the request is too large, come in the
 * middle of the request. */
static void on_answer_begins(h2o_filter_t *filter, h2o_req_t *req, h2o_ostream_t **slot)
{
	h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
	struct httpd_conn *c = sock->on_close.data;

	(void)filter;
	if (req->res.status == 413 && c->state == REQUEST_NONE) {
		int fd = dup(h2o_socket_get_fd(sock));

		if (fd >= 0) {
			linger_start(c->h, fd);
		}
	}
	h2o_setup_next_ostream(req, slot);
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

void conn_check_free(struct httpd_conn *c)
{
	if (!c->closed || c->state != REQUEST_NONE) {
		return;
	}
	http_body_put(c->shared);
	c->shared = NULL;
	buf_close(&c->body);
	free(c);
}

/* h2o has closed the socket, for whatever reason. */
static void on_socket_closed(void *data)
{
	struct httpd_conn *c = data;

	request_lost(c);
}

static void check_stopped(struct httpd *h);

static void on_conn_closed(uv_handle_t *handle)
{
	struct httpd_conn *c = CONTAINER_OF(handle, struct httpd_conn, tcp);
	struct httpd *h = c->h;

	assert(c->sock == NULL);
	list_remove(&c->link);
	if (c->client != NULL) {
		client_put(h, c->client);
	} else {
		h->n_over--;
	}
	h->n_conns--;
	atomic_store_explicit(&h->conns_now, h->n_conns, memory_order_relaxed);
	c->closed = true;
	conn_check_free(c);
	check_stopped(h);
}

void conn_hang_up(struct httpd_conn *c)
{
	uv_os_fd_t fd;

	if (c->sock != NULL && uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
		(void)shutdown(fd, SHUT_RDWR);
	}
}

static void free_refused(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct httpd_conn, tcp));
}

char httpd_too_many[] = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n"
			"Connection: close\r\nContent-Length: 20\r\n\r\nToo many connections";

static void refuse(struct httpd *h, struct httpd_conn *c)
{
	uv_buf_t buf = uv_buf_init(httpd_too_many, sizeof(httpd_too_many) - 1);
	uv_os_fd_t fd;

	count(&h->refused, 1);
	if (h->config.tls == NULL) {
		(void)uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	}
	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
		fd = dup(fd);
		if (fd >= 0) {
			linger_start(h, fd);
		}
	}
	uv_close((uv_handle_t *)&c->tcp, free_refused);
}

static void begin_conn(struct httpd *h, struct httpd_conn *c)
{
	c->sock = h2o_uv_socket_create((uv_stream_t *)&c->tcp, on_conn_closed);
	c->sock->on_close.cb = on_socket_closed;
	c->sock->on_close.data = c;
	c->since_ms = uv_now(&h->loop);
	list_insert(&h->conns, &c->link);
	h->n_conns++;
	atomic_store_explicit(&h->conns_now, h->n_conns, memory_order_relaxed);
	if (h->config.tls == NULL) {
		h2o_accept(&h->accept, c->sock);
	} else if (secure_begin(c) != 0) {
		h2o_socket_close(c->sock);
	}
}

static void on_accept(uv_stream_t *listener, int status)
{
	struct httpd *h = CONTAINER_OF(listener, struct httpd, listener);
	struct httpd_conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

	if (c == NULL) {
		return;
	}
	c->h = h;
	list_init(&c->waiting);
	if (uv_tcp_init(&h->loop, &c->tcp) != 0) {
		free(c);
		return;
	}
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
		uv_close((uv_handle_t *)&c->tcp, free_refused);
		return;
	}
	(void)uv_tcp_nodelay(&c->tcp, 1);
	c->client = h->n_conns < h->config.conns_max ? client_get(h, &c->tcp) : NULL;
	if (c->client != NULL) {
		begin_conn(h, c);
	} else if (h->config.tls != NULL && h->n_over < OVER_MAX && h->n_conns < h->config.conns_max) {
		h->n_over++;
		begin_conn(h, c);
	} else {
		refuse(h, c);
	}
}

/* --- The sweep: connections that are idle, slow or stuck ---------------------------------------------------------- */

static bool is_sending(const struct httpd_conn *c)
{
	return c->sock->_cb.write != NULL;
}

/* The kernel takes more only when a third of its buffer is free: so this asks for some speed, too. */
bool conn_is_stuck(struct httpd_conn *c, uint64_t now)
{
	size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) + secure_left(c);

	if (queued != c->seen || queued == 0) {
		c->seen = queued;
		c->since_ms = now;
	}
	return now - c->since_ms > c->h->config.stall_ms;
}

/* Between requests a connection may rest; but a request that has begun must come with a certain speed. */
static bool is_slow(struct httpd_conn *c, uint64_t now)
{
	size_t input = c->sock->input->size;
	bool begins = input > 0 && c->seen == 0;

	c->seen = input;
	if (begins) {
		c->since_ms = now;
	}
	return now - c->since_ms >
	       (input > 0 ? c->h->config.request_ms + input * 1000 / BYTES_PER_S_MIN : c->h->config.idle_ms);
}

static bool is_overdue(struct httpd_conn *c, uint64_t now)
{
	if (c->state == REQUEST_OPEN || c->state == REQUEST_QUEUED) {
		return false; /* It waits for us. */
	}
	if (upgrade_is_done(c)) {
		return upgrade_is_overdue(c, now);
	}
	if (secure_is_shaking(c)) {
		return now - c->since_ms > c->h->config.handshake_ms;
	}
	if (is_sending(c)) {
		return conn_is_stuck(c, now);
	}
	if (c->state == REQUEST_STREAM) {
		c->since_ms = now;
		return false;
	}
	return is_slow(c, now);
}

/* Bytes that are kept for the connection until its client has taken them. A shared body is shared fairly. */
static size_t output_of(const struct httpd_conn *c)
{
	unsigned sharers = c->shared != NULL ? atomic_load_explicit(&c->shared->refs, memory_order_relaxed) : 1;

	return c->body.len + (c->shared != NULL ? c->shared->len / sharers : 0) + request_waiting(c);
}

struct swept {
	struct httpd_conn *most_in, *most_out; /* Of input and output. */
	size_t in, out;
};

static void sweep_conn(struct httpd_conn *c, uint64_t now, struct swept *all)
{
	size_t input;
	size_t output;

	if (c->sock == NULL) {
		return;
	}
	if (is_overdue(c, now)) {
		count(&c->h->timeouts, 1);
		conn_hang_up(c);
		return;
	}
	if (c->state == REQUEST_NONE && !is_sending(c)) {
		request_drop_body(c);
	}
	input = c->sock->input->size;
	all->in += input;
	if (all->most_in == NULL || input > all->most_in->sock->input->size) {
		all->most_in = c;
	}
	output = is_sending(c) ? output_of(c) : 0;
	all->out += output;
	if (output > 0 && (all->most_out == NULL || output > output_of(all->most_out))) {
		all->most_out = c;
	}
}

static void on_sweep(uv_timer_t *timer)
{
	struct httpd *h = timer->data;
	uint64_t now = uv_now(&h->loop);
	struct swept all = {0};

	LIST_EACH (l, &h->conns) {
		sweep_conn(CONTAINER_OF(l, struct httpd_conn, link), now, &all);
	}
	clients_sweep(h);
	if (all.in > h->config.bodies_max && all.most_in->state == REQUEST_NONE) {
		log_warn("http", "%zu MiB of request bodies under way: the largest is cut", all.in >> 20);
		conn_hang_up(all.most_in);
	}
	if (all.out > h->config.answers_max) {
		log_warn("http", "%zu MiB of answers under way: the largest is cut", all.out >> 20);
		count(&h->timeouts, 1);
		conn_hang_up(all.most_out);
	}
}

static void on_watch(uv_timer_t *timer)
{
	if (!requests_watch(timer->data)) {
		uv_timer_stop(timer);
	}
}

/* --- Turns -------------------------------------------------------------------------------------------------------- */

/* Returns whether there may be more. What came while older mail was left over has woken us already and will not do so
 * again, so the box must be seen to be empty. */
static bool run_mail(struct httpd *h)
{
	unsigned n = 0;

	for (;;) {
		struct mail *m;

		if (h->mails == NULL) {
			h->mails = mailbox_take(&h->box);
		}
		m = h->mails;
		if (m == NULL) {
			return false;
		}
		h->mails = m->next;
		m->run_cb(m);
		if (++n % 4 == 0 && turn_is_over(h)) {
			return true;
		}
	}
}

static void begin_stop(struct httpd *h);

static void on_wake(struct bell *wake)
{
	struct httpd *h = wake->data;

	if (atomic_load(&h->stop_asked) && !h->stopping) {
		begin_stop(h);
	}
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* That it is active keeps the loop from sleeping. */
}

/* At the end of a turn, before the loop sleeps: what was put off during it, as far as its time allows. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct httpd *h = prepare->data;
	bool more;

	h->slice_began_ns = uv_hrtime();
	more = run_mail(h);
	more |= requests_send(h);
	more |= secure_go_on(h);
	if (more) {
		uv_idle_start(&h->idle, on_idle);
	} else {
		uv_idle_stop(&h->idle);
	}
	check_stopped(h);
	meter_note(&h->turns, uv_hrtime(), uv_metrics_idle_time(&h->loop));
}

/* --- Stopping ----------------------------------------------------------------------------------------------------- */

static void close_own_handles(struct httpd *h)
{
	uv_handle_t *const handles[] = {(uv_handle_t *)&h->prepare, (uv_handle_t *)&h->idle, (uv_handle_t *)&h->sweep,
					(uv_handle_t *)&h->watch, (uv_handle_t *)&h->grace};

	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
		uv_close(handles[i], NULL);
	}
	uv_unref((uv_handle_t *)&h->wake.poll); /* It stays for late mail, but does not keep the loop running. */
}

static bool is_quiet(const struct httpd *h)
{
	return h->n_conns == 0 && list_empty(&h->ready) && list_empty(&h->released) && h->mails == NULL;
}

static void check_stopped(struct httpd *h)
{
	if (h->stopping && !h->closing && is_quiet(h)) {
		h->closing = true;
		if (h->config.stop_cb != NULL) {
			h->config.stop_cb(h->config.ctx, h);
		}
		lingers_close(h);
		close_own_handles(h);
		uv_stop(&h->loop); /* h2o's timers run on until its context is disposed of. */
	}
}

static void hang_up_idle(struct httpd *h)
{
	LIST_EACH (l, &h->conns) {
		struct httpd_conn *c = CONTAINER_OF(l, struct httpd_conn, link);

		if (c->sock != NULL && c->state == REQUEST_NONE && !is_sending(c)) {
			conn_hang_up(c);
		}
	}
}

static void hang_up_all(struct httpd *h)
{
	LIST_EACH (l, &h->conns) {
		conn_hang_up(CONTAINER_OF(l, struct httpd_conn, link));
	}
}

/* A connection that does not end although it is hung up would be a fault of ours: the program's end must not wait for
 * it, so then its memory is given up. */
static void on_too_late(uv_timer_t *timer)
{
	struct httpd *h = timer->data;

	hang_up_all(h);
	if (--h->tries_left == 0) {
		log_error("http", "%u connections do not end", h->n_conns);
		h->stuck = true;
		uv_stop(&h->loop);
	}
}

static void on_grace_over(uv_timer_t *timer)
{
	struct httpd *h = timer->data;

	requests_abandon(h);
	hang_up_idle(h);
	h->tries_left = STOP_TRIES;
	uv_timer_start(timer, on_too_late, STOP_MS, STOP_MS);
}

void httpd_drain(struct httpd *h)
{
	if (!h->draining) {
		h->draining = true;
		h->context.shutdown_requested = 1;
		uv_close((uv_handle_t *)&h->listener, NULL);
	}
}

bool httpd_is_busy(const struct httpd *h)
{
	LIST_EACH (l, &h->conns) {
		const struct httpd_conn *c = CONTAINER_OF(l, struct httpd_conn, link);
		bool comes = c->state == REQUEST_NONE && c->sock != NULL && !is_sending(c) && c->sock->input->size > 0;

		if (comes || c->state == REQUEST_OPEN || c->state == REQUEST_QUEUED) {
			return true;
		}
	}
	return false;
}

static void begin_stop(struct httpd *h)
{
	h->stopping = true;
	httpd_drain(h);
	hang_up_idle(h);
	uv_timer_start(&h->grace, on_grace_over, h->grace_ms, 0);
	check_stopped(h);
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct httpd *h = arg;

	meter_begin(&h->turns, uv_hrtime(), uv_metrics_idle_time(&h->loop));
	h2o_context_init(&h->context, &h->loop, &h->global);
	if (h->config.start_cb != NULL) {
		h->config.start_cb(h->config.ctx, h, &h->loop);
	}
	uv_run(&h->loop, UV_RUN_DEFAULT);
	if (!h->stuck) {
		h2o_context_dispose(&h->context);
		uv_run(&h->loop, UV_RUN_DEFAULT); /* Until the last handle is closed. */
	}
	return NULL;
}

static void wake(void *arg)
{
	struct httpd *h = arg;

	bell_ring(&h->wake);
}

static void init_h2o(struct httpd *h)
{
	h2o_hostconf_t *host;

	h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX; /* Large bodies stay in memory: no files in /tmp. */
	h2o_config_init(&h->global);
	h->global.server_name = h2o_iovec_init("", 0);
	h->global.max_request_entity_size = h->config.body_max;
	h->global.http1.req_timeout = UINT64_C(365) * 86400 * 1000; /* The sweep does that. */
	h->global.http1.upgrade_to_http2 = 0;                       /* The package's HTTP/2 has known resets. */
	host = h2o_config_register_host(&h->global, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	h2o_create_handler(&host->fallback_path, sizeof(h2o_handler_t))->on_req = request_begin;
	assert(host->fallback_path.filters.size == 1); /* The one that makes chunks, which we do ourselves. */
	host->fallback_path.filters.entries[0]->on_setup_ostream = on_answer_begins;
	h->accept.ctx = &h->context;
	h->accept.hosts = h->global.hosts;
}

static void init_loop(struct httpd *h)
{
	(void)uv_loop_configure(&h->loop, UV_METRICS_IDLE_TIME);
	uv_prepare_init(&h->loop, &h->prepare);
	uv_idle_init(&h->loop, &h->idle);
	uv_timer_init(&h->loop, &h->sweep);
	uv_timer_init(&h->loop, &h->watch);
	uv_timer_init(&h->loop, &h->grace);
	h->prepare.data = h->sweep.data = h->watch.data = h->grace.data = h;
	uv_prepare_start(&h->prepare, on_prepare);
	uv_timer_start(&h->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	uv_timer_start(&h->watch, on_watch, h->config.watch_ms, h->config.watch_ms);
	mailbox_init(&h->box, MAIL_MAX, wake, h);
	h->wake.fd = -1;
}

/* --- Listening ---------------------------------------------------------------------------------------------------- */

static int parse_address(const struct httpd_config *config, struct sockaddr_storage *addr)
{
	if (uv_ip4_addr(config->address, config->port, (struct sockaddr_in *)(void *)addr) == 0 ||
	    uv_ip6_addr(config->address, config->port, (struct sockaddr_in6 *)(void *)addr) == 0) {
		return 0;
	}
	return ERR_INVALID;
}

/* libuv 1.44 has no option for a shared port, so the socket is made here. 0 or a libuv error. */
static int open_socket(struct httpd *h, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	int rv;

	if (fd < 0) {
		return uv_translate_sys_error(errno);
	}
	if (h->config.share_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
		rv = uv_translate_sys_error(errno);
		close(fd);
		return rv;
	}
	rv = uv_tcp_open(&h->listener, fd);
	if (rv != 0) {
		close(fd);
	}
	return rv;
}

static void learn_port(struct httpd *h)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);

	if (uv_tcp_getsockname(&h->listener, (struct sockaddr *)&addr, &len) == 0) {
		h->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&addr)->sin6_port
							   : ((struct sockaddr_in *)(void *)&addr)->sin_port);
	}
}

/* 0 or a libuv error. */
static int open_listener(struct httpd *h, const struct sockaddr_storage *addr)
{
	int rv = uv_tcp_init(&h->loop, &h->listener);

	if (rv == 0) {
		rv = open_socket(h, addr->ss_family);
	}
	if (rv == 0) {
		rv = uv_tcp_bind(&h->listener, (const struct sockaddr *)addr, 0);
	}
	if (rv == 0) {
		rv = uv_listen((uv_stream_t *)&h->listener, BACKLOG, on_accept);
	}
	if (rv == 0) {
		learn_port(h);
	}
	return rv;
}

/* --- The interface ------------------------------------------------------------------------------------------------ */

#define DEFAULTS(X)                                                                                                    \
	X(body_max, (size_t)64 << 20)                                                                                  \
	X(bodies_max, (size_t)512 << 20) X(answers_max, (size_t)1 << 30)                                               \
	X(conns_max, 65536) X(idle_ms, 300000) X(request_ms, 10000) X(stall_ms, 30000) X(watch_ms, 100)                \
	X(requests_burst, 1) X(handshake_ms, 5000)

static void set_defaults(struct httpd_config *config)
{
#define X(field, value)                                                                                                \
	if (config->field == 0) {                                                                                      \
		config->field = (value);                                                                               \
	}
	DEFAULTS(X)
#undef X
}

static int start_thread(struct httpd *h)
{
	pthread_attr_t attr;
	int rv;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	rv = pthread_create(&h->thread, &attr, run, h);
	pthread_attr_destroy(&attr);
	return rv;
}

/* Free what is there of it; the loop must run once for its handles to close. */
static void destroy(struct httpd *h)
{
	if (h->stuck) {
		return;
	}
	if (h->wake.fd >= 0 && !uv_is_closing((uv_handle_t *)&h->wake.poll)) {
		bell_close(&h->wake, NULL);
	}
	uv_run(&h->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&h->loop);
	clients_close(h);
	h2o_config_dispose(&h->global);
	gzip_free(h->gzip);
	free(h->records);
	free(h);
}

int httpd_start(const struct httpd_config *config, struct httpd **out, char *why, size_t why_size)
{
	struct sockaddr_storage addr;
	struct httpd *h;
	int rv;

	if (parse_address(config, &addr) != 0) {
		snprintf(why, why_size, "%s is not an IP address", config->address);
		return ERR_INVALID;
	}
	h = calloc(1, sizeof(*h));
	if (h != NULL && config->tls != NULL) {
		h->records = malloc(HTTPD_RECORDS);
	}
	if (h == NULL || (config->tls != NULL && h->records == NULL) || uv_loop_init(&h->loop) != 0) {
		free(h != NULL ? h->records : NULL);
		free(h);
		snprintf(why, why_size, "%s", error_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	h->config = *config;
	set_defaults(&h->config);
	list_init(&h->conns);
	list_init(&h->open);
	list_init(&h->watched);
	list_init(&h->ready);
	list_init(&h->released);
	list_init(&h->lingering);
	list_init(&h->idle_clients);
	h->clients_seed = uv_hrtime() ^ (uint64_t)(uintptr_t)h;
	list_init(&h->later);
	init_h2o(h);
	init_loop(h);
	rv = open_listener(h, &addr);
	if (rv == 0) {
		rv = bell_open(&h->wake, &h->loop, on_wake, h);
	}
	if (rv == 0) {
		rv = uv_translate_sys_error(start_thread(h));
	}
	if (rv != 0) {
		snprintf(why, why_size, "cannot listen on %s port %u: %s", config->address, config->port,
			 uv_strerror(rv));
		uv_close((uv_handle_t *)&h->listener, NULL);
		close_own_handles(h);
		destroy(h);
		return ERR_IO;
	}
	*out = h;
	return 0;
}

uint16_t httpd_port(const struct httpd *h)
{
	return h->port;
}

void httpd_post(struct httpd *h, struct mail *mail)
{
	mailbox_put_answer(&h->box, mail);
}

void httpd_stop(struct httpd *h, uint32_t grace_ms)
{
	assert(!h->joined);
	h->grace_ms = grace_ms;
	atomic_store(&h->stop_asked, true);
	bell_ring(&h->wake);
	pthread_join(h->thread, NULL);
	h->joined = true;
}

void httpd_run_mail(struct httpd *h)
{
	assert(h->joined);
	do {
		h->slice_began_ns = uv_hrtime();
	} while (run_mail(h));
}

void httpd_close(struct httpd *h)
{
	httpd_run_mail(h);
	destroy(h);
}

void httpd_get_stats(struct httpd *h, struct httpd_stats *stats)
{
	*stats = (struct httpd_stats){
		.requests = atomic_load_explicit(&h->requests, memory_order_relaxed),
		.refused_conns = atomic_load_explicit(&h->refused, memory_order_relaxed),
		.gone = atomic_load_explicit(&h->gone, memory_order_relaxed),
		.timeouts = atomic_load_explicit(&h->timeouts, memory_order_relaxed),
		.limited = atomic_load_explicit(&h->limited, memory_order_relaxed),
		.handshakes_failed = atomic_load_explicit(&h->handshakes_failed, memory_order_relaxed),
		.bytes_out = atomic_load_explicit(&h->bytes_out, memory_order_relaxed),
		.conns = atomic_load_explicit(&h->conns_now, memory_order_relaxed),
		.waiting = atomic_load_explicit(&h->waiting_now, memory_order_relaxed),
	};
	meter_look(&h->turns, &stats->turns);
}
