#include "proto/stream.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/address.h"
#include "lib/peer.h"
#include "proto/channel.h"
#include "proto/error.h"

enum {
	READ_SIZE = 64 << 10,
	PIECES_MAX = 32, /* Of output, in one system call. */
	WRITES_MAX = 64, /* Connections that are written to in one turn of the loop; others wait for the next. */
};

struct lookup;

struct stream {
	struct rpc_conn conn; /* First. */
	struct rpc_host *host;
	struct list link;  /* In host->conns, then */
	struct list dirty; /* maybe in host->dirty. */
	unsigned n_handles;
	bool connected;
	bool ended;

	uv_tcp_t *tcp;      /* Being connected, from malloc(); then it belongs to the */
	struct channel *ch; /* channel. NULL, both, between two attempts. */
	uv_timer_t timer;

	bool writing;
	size_t handed; /* Bytes that channel_write() took, */
	size_t told;   /* and those of them that the connection knows to be sent. */

	struct lookup *lookup;
	struct addrinfo *addresses, *next_address;
	unsigned port;
	int64_t attempt_ms; /* What one address may take, */
	int64_t try_by_ms;  /* and until when the present one may; INT64_MAX if none is tried. */
};

/* An attempt that is given up ends later than the next begins, so each has a socket and a request of its own. */
struct attempt {
	uv_tcp_t tcp; /* First: freed with it. */
	uv_connect_t connect;
};

/* A look-up in the thread pool cannot always be cancelled, and then outlives whoever wanted it. */
struct lookup {
	uv_getaddrinfo_t req;
	struct stream *stream; /* NULL: nobody wants it any more. */
};

static struct stream *stream_of(struct rpc_conn *c)
{
	return (struct stream *)(void *)c;
}

/* --- Handles ------------------------------------------------------------------------------------------------------ */

static void on_host_closed(uv_handle_t *handle)
{
	struct rpc_host *host = handle->data;

	free(host->read_buffer);
	host->read_buffer = NULL;
	host->stopped_cb(host);
}

static void on_idle_closed(uv_handle_t *handle)
{
	struct rpc_host *host = handle->data;

	uv_close((uv_handle_t *)&host->prepare, on_host_closed);
}

static void host_check_stopped(struct rpc_host *host)
{
	if (host->stopping && host->n_open == 0) {
		uv_close((uv_handle_t *)&host->idle, on_idle_closed);
	}
}

static void handle_closed(struct stream *s)
{
	struct rpc_host *host = s->host;

	if (--s->n_handles > 0 || !s->ended) {
		return;
	}
	rpc_conn_release(&s->conn);
	host->n_open--;
	host_check_stopped(host);
}

static void on_tcp_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	free(handle);
	handle_closed(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

static void on_channel_closed(void *data)
{
	handle_closed(data);
}

static void close_tcp(struct stream *s)
{
	if (s->tcp != NULL) {
		uv_close((uv_handle_t *)s->tcp, on_tcp_closed);
		s->tcp = NULL;
	}
	if (s->ch != NULL) {
		channel_close(s->ch, on_channel_closed);
		s->ch = NULL;
	}
}

/* --- Bytes: one way out, one way in ------------------------------------------------------------------------------- */

static size_t take_output(struct stream *s, uv_buf_t *bufs, unsigned *n)
{
	struct iovec iov[PIECES_MAX];
	size_t total = 0;

	*n = rpc_conn_output(&s->conn, iov, PIECES_MAX);
	for (unsigned i = 0; i < *n; i++) {
		bufs[i] = uv_buf_init(iov[i].iov_base, (unsigned)iov[i].iov_len);
		total += iov[i].iov_len;
	}
	return total;
}

/* What of a write under way has gone already. */
static void tell_progress(struct stream *s)
{
	size_t done;

	if (!s->writing || s->ch == NULL) {
		return;
	}
	done = s->handed - channel_unsent(s->ch, s->handed);
	if (done > s->told) {
		rpc_conn_sent(&s->conn, done - s->told);
		s->told = done;
	}
}

static void write_bytes(struct stream *s, bool wait);

static void on_written(struct channel *c, int status)
{
	struct stream *s = c->data;

	s->writing = false;
	if (status != 0) {
		rpc_conn_close(&s->conn, ERR_IO, uv_strerror(status));
		return;
	}
	rpc_conn_sent(&s->conn, s->handed - s->told);
	write_bytes(s, true);
}

/* What the kernel does not take at once is left to the loop, if we may wait. */
static void write_rest(struct stream *s)
{
	uv_buf_t bufs[PIECES_MAX];
	unsigned n;
	int rv;

	(void)take_output(s, bufs, &n);
	s->told = 0;
	rv = channel_write(s->ch, bufs, n, &s->handed, on_written);
	if (rv != 0) {
		rpc_conn_doom(&s->conn, ERR_IO, uv_strerror(rv));
		return;
	}
	s->writing = true;
}

static void write_bytes(struct stream *s, bool wait)
{
	while (s->connected && !s->writing && s->ch != NULL) {
		uv_buf_t bufs[PIECES_MAX];
		unsigned n;
		size_t total = take_output(s, bufs, &n);
		ssize_t sent = n > 0 ? channel_try_write(s->ch, bufs, n) : 0;

		if (n == 0) {
			return;
		}
		if (sent > 0) {
			rpc_conn_sent(&s->conn, (size_t)sent);
		}
		if (sent < 0) {
			rpc_conn_doom(&s->conn, ERR_IO, uv_strerror((int)sent));
			return;
		}
		if ((size_t)sent < total) {
			if (wait) {
				write_rest(s);
			}
			return;
		}
	}
}

static void alloc_bytes(struct channel *c, uv_buf_t *buf)
{
	struct stream *s = c->data;

	*buf = uv_buf_init(s->host->read_buffer, READ_SIZE);
}

/* Why a connection has ended or was never there, for people. */
static const char *why_text(const struct stream *s, int status)
{
	const char *why = s->ch != NULL ? channel_why(s->ch) : "";

	return why[0] != '\0' ? why : uv_strerror(status);
}

static void read_bytes(struct channel *c, ssize_t n, const uv_buf_t *buf)
{
	struct stream *s = c->data;

	if (n > 0) {
		rpc_conn_input(&s->conn, buf->base, (size_t)n);
	} else if (n == UV_EOF) {
		rpc_conn_close(&s->conn, ERR_CLOSED, "closed by the other side");
	} else if (n < 0) {
		rpc_conn_close(&s->conn, ERR_IO, why_text(s, (int)n));
	}
}

static void begin_to_flow(struct stream *s)
{
	int rv = channel_read_start(s->ch, alloc_bytes, read_bytes);

	s->connected = true;
	s->try_by_ms = INT64_MAX;
	(void)uv_tcp_nodelay(s->ch->tcp, 1);
	if (rv != 0) {
		rpc_conn_doom(&s->conn, ERR_IO, uv_strerror(rv));
		return;
	}
	write_bytes(s, true);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* That it is there keeps the loop from waiting. */
}

/* Once per turn, before the loop sleeps. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct rpc_host *host = prepare->data;
	unsigned n = WRITES_MAX;

	while (n-- > 0 && !list_empty(&host->dirty)) {
		write_bytes(CONTAINER_OF(list_pop(&host->dirty), struct stream, dirty), true);
	}
	if (list_empty(&host->dirty)) {
		uv_idle_stop(&host->idle);
	} else {
		uv_idle_start(&host->idle, on_idle);
	}
}

/* --- Carrying ----------------------------------------------------------------------------------------------------- */

static int64_t carrier_now(struct rpc_conn *c)
{
	return (int64_t)uv_now(stream_of(c)->host->loop);
}

static void carrier_flush(struct rpc_conn *c)
{
	struct stream *s = stream_of(c);

	if (!s->ended && list_empty(&s->dirty)) {
		list_insert(&s->host->dirty, &s->dirty);
	}
}

static void next_attempt(struct stream *s);
static void on_timer(uv_timer_t *timer);

static void carrier_wake(struct rpc_conn *c)
{
	struct stream *s = stream_of(c);
	int64_t at = c->wake_ms < s->try_by_ms ? c->wake_ms : s->try_by_ms;
	int64_t now = carrier_now(c);

	if (!s->ended && at != INT64_MAX) {
		uv_timer_start(&s->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct stream *s = timer->data;
	int64_t now = carrier_now(&s->conn);

	if (now >= s->try_by_ms) {
		next_attempt(s);
	}
	if (now >= s->conn.wake_ms) {
		tell_progress(s);
		rpc_conn_tick(&s->conn);
	}
	carrier_wake(&s->conn); /* The tick asks only for what is nearer than the timer was. */
}

static void forget_addresses(struct stream *s)
{
	if (s->lookup != NULL) {
		s->lookup->stream = NULL;
		(void)uv_cancel((uv_req_t *)&s->lookup->req);
		s->lookup = NULL;
	}
	if (s->addresses != NULL) {
		uv_freeaddrinfo(s->addresses);
		s->addresses = NULL;
	}
}

static void carrier_end(struct rpc_conn *c, bool flush)
{
	struct stream *s = stream_of(c);

	tell_progress(s);
	if (flush) {
		write_bytes(s, false);
	}
	s->ended = true;
	list_remove(&s->dirty);
	list_remove(&s->link);
	forget_addresses(s);
	close_tcp(s);
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void carrier_free(struct rpc_conn *c)
{
	free(stream_of(c));
}

static const struct rpc_carrier carrier = {carrier_now, carrier_flush, carrier_wake, carrier_end, carrier_free};

/* --- Connecting --------------------------------------------------------------------------------------------------- */

static void on_opened(struct channel *c, int status)
{
	struct stream *s = c->data;

	if (status == 0) {
		forget_addresses(s);
		begin_to_flow(s);
	} else if (s->next_address != NULL) {
		next_attempt(s);
		carrier_wake(&s->conn);
	} else {
		rpc_conn_close(&s->conn, ERR_REFUSED, why_text(s, status));
	}
}

static void open_channel(struct stream *s)
{
	int rv = UV_ENOMEM;

	s->ch = channel_new(s->host->channels, s->tcp);
	if (s->ch != NULL) {
		s->tcp = NULL;
		s->ch->data = s;
		rv = channel_connect(s->ch, s->host->region, on_opened);
	}
	if (rv == 1) {
		on_opened(s->ch, 0);
	} else if (rv != 0) {
		rpc_conn_doom(&s->conn, ERR_IO, uv_strerror(rv));
	}
}

static void on_connect(uv_connect_t *req, int status)
{
	struct stream *s = req->handle->data;

	if (status == UV_ECANCELED || s->tcp != (uv_tcp_t *)req->handle) {
		return; /* Given up. */
	}
	if (status != 0) {
		s->try_by_ms = 0;
		next_attempt(s);
		carrier_wake(&s->conn);
		return;
	}
	open_channel(s);
}

/* A new socket for each address; 0 or a libuv error. */
static int try_address(struct stream *s, const struct sockaddr *addr)
{
	struct attempt *a = malloc(sizeof(*a));
	int rv;

	if (a == NULL) {
		return UV_ENOMEM;
	}
	rv = uv_tcp_init(s->host->loop, &a->tcp);
	if (rv != 0) {
		free(a);
		return rv;
	}
	a->tcp.data = s;
	s->tcp = &a->tcp;
	s->n_handles++;
	s->try_by_ms = carrier_now(&s->conn) + s->attempt_ms;
	return uv_tcp_connect(&a->connect, &a->tcp, addr, on_connect);
}

static void set_port(struct sockaddr *addr, unsigned port)
{
	if (addr->sa_family == AF_INET6) {
		((struct sockaddr_in6 *)(void *)addr)->sin6_port = htons((uint16_t)port);
	} else {
		((struct sockaddr_in *)(void *)addr)->sin_port = htons((uint16_t)port);
	}
}

/* Give up the present address, if any, and go on to the next. */
static void next_attempt(struct stream *s)
{
	int rv = UV_EADDRNOTAVAIL;

	close_tcp(s);
	s->try_by_ms = INT64_MAX;
	while (rv != 0 && s->next_address != NULL) {
		struct addrinfo *ai = s->next_address;

		s->next_address = ai->ai_next;
		set_port(ai->ai_addr, s->port);
		rv = try_address(s, ai->ai_addr);
		if (rv != 0) {
			close_tcp(s);
		}
	}
	if (rv != 0) {
		s->try_by_ms = INT64_MAX;
		rpc_conn_doom(&s->conn, ERR_REFUSED, "cannot connect");
	}
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *result)
{
	struct lookup *l = CONTAINER_OF(req, struct lookup, req);
	struct stream *s = l->stream;
	unsigned n = 0;

	free(l);
	if (s == NULL || status != 0) {
		if (result != NULL) {
			uv_freeaddrinfo(result);
		}
		if (s != NULL) {
			s->lookup = NULL;
			rpc_conn_doom(&s->conn, ERR_NOTFOUND, uv_strerror(status));
		}
		return;
	}
	s->lookup = NULL;
	s->addresses = result;
	s->next_address = result;
	for (const struct addrinfo *ai = result; ai != NULL; ai = ai->ai_next) {
		n++;
	}
	s->attempt_ms = (s->conn.open_by_ms - carrier_now(&s->conn)) / (n > 0 ? n : 1) + 1;
	next_attempt(s);
	carrier_wake(&s->conn);
}

static void look_up(struct stream *s, const char *host)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	struct lookup *l = malloc(sizeof(*l));
	int rv = UV_ENOMEM;

	if (l != NULL) {
		l->stream = s;
		rv = uv_getaddrinfo(s->host->loop, &l->req, on_lookup, host, NULL, &hints);
	}
	if (rv != 0) {
		free(l);
		rpc_conn_doom(&s->conn, ERR_NOTFOUND, uv_strerror(rv));
		return;
	}
	s->lookup = l;
}

/* Most addresses are numbers, which need no thread to look them up. */
static void dial(struct stream *s, const char *address)
{
	char host[ADDRESS_HOST_MAX];
	struct sockaddr_storage numeric;
	int rv;

	if (!address_split(address, host, &s->port)) {
		rpc_conn_doom(&s->conn, ERR_INVALID, "not an address: host:port is one");
		return;
	}
	if (uv_ip4_addr(host, (int)s->port, (struct sockaddr_in *)(void *)&numeric) != 0 &&
	    uv_ip6_addr(host, (int)s->port, (struct sockaddr_in6 *)(void *)&numeric) != 0) {
		look_up(s, host);
		return;
	}
	rv = try_address(s, (const struct sockaddr *)&numeric);
	if (rv != 0) {
		rpc_conn_doom(&s->conn, ERR_REFUSED, uv_strerror(rv));
	}
}

/* --- Begin and end ------------------------------------------------------------------------------------------------ */

static struct stream *new_stream(struct rpc_host *host, bool opener, uint32_t open_ms, void *data)
{
	struct stream *s = host->stopping ? NULL : calloc(1, sizeof(*s));

	if (s == NULL) {
		return NULL;
	}
	s->host = host;
	s->attempt_ms = INT32_MAX;
	s->try_by_ms = INT64_MAX;
	list_init(&s->dirty);
	list_insert(&host->conns, &s->link);
	host->n_open++;
	uv_timer_init(host->loop, &s->timer);
	s->timer.data = s;
	s->n_handles = 1;
	rpc_conn_init(&s->conn, &host->config, &carrier, opener, open_ms);
	s->conn.data = data;
	return s;
}

struct rpc_conn *rpc_connect(struct rpc_host *host, const char *address, uint32_t timeout_ms, void *data)
{
	struct stream *s = new_stream(host, true, timeout_ms, data);

	if (s == NULL) {
		return NULL;
	}
	dial(s, address);
	carrier_wake(&s->conn);
	return &s->conn;
}

struct rpc_conn *rpc_adopt(struct rpc_host *host, struct channel *ch, void *data)
{
	struct stream *s = new_stream(host, false, 0, data);

	if (s == NULL) {
		channel_close(ch, NULL);
		return NULL;
	}
	ch->data = s;
	s->ch = ch;
	s->n_handles++;
	begin_to_flow(s);
	return &s->conn;
}

void rpc_conn_peer(const struct rpc_conn *c, char *text, size_t size)
{
	const struct stream *s = (const struct stream *)(const void *)c;

	*text = '\0';
	if (s->ch != NULL) {
		peer_text(s->ch->tcp, text, size);
	}
}

struct channel *rpc_conn_channel(const struct rpc_conn *c)
{
	return ((const struct stream *)(const void *)c)->ch;
}

void rpc_host_secure(struct rpc_host *host, struct channels *channels, const char *region)
{
	host->channels = channels;
	host->region = region;
}

int rpc_host_init(struct rpc_host *host, uv_loop_t *loop, const struct rpc_config *config)
{
	*host = (struct rpc_host){.loop = loop, .config = *config, .read_buffer = malloc(READ_SIZE)};
	if (host->read_buffer == NULL) {
		return ERR_NOMEM;
	}
	host->config.held_bytes = &host->held_bytes;
	list_init(&host->conns);
	list_init(&host->dirty);
	uv_prepare_init(loop, &host->prepare);
	uv_prepare_start(&host->prepare, on_prepare);
	uv_unref((uv_handle_t *)&host->prepare); /* It alone does not keep the loop running. */
	host->prepare.data = host;
	uv_idle_init(loop, &host->idle);
	uv_unref((uv_handle_t *)&host->idle);
	host->idle.data = host;
	return 0;
}

void rpc_host_stop(struct rpc_host *host, void (*stopped_cb)(struct rpc_host *host))
{
	assert(!host->stopping);
	host->stopping = true;
	host->stopped_cb = stopped_cb;
	while (!list_empty(&host->conns)) {
		rpc_conn_close(&CONTAINER_OF(host->conns.next, struct stream, link)->conn, 0, "stopping");
	}
	host_check_stopped(host);
}
