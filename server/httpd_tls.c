/* TLS beneath h2o.
 *
 *     libuv  -- records -->  SSL_read()  -->  sock->input, and h2o's callback
 *            <-- records --  SSL_write() <--  h2o_socket_write(), a slice at a time
 *
 * h2o has TLS of its own, which the packaged version under libuv gets wrong. It takes a read that found nothing for an
 * error, so a client is cut off whose record just fills a buffer. It encrypts an answer at once, however long. It keeps
 * for ever what comes behind the end of a stream. It closes a socket some time after it has freed what belongs to it.
 * And it drops the alerts that tell a client why it is refused.
 *
 * So for h2o a connection is in plain text, and the four functions by which it reads, writes and closes are ours: those
 * of a program stand before those of a shared library of the same name. What is not TLS goes on to the library's.
 * Where a library is linked so that its own come first, h2o finds TLS records in the place of requests and refuses them.
 *
 * Handshakes are work: of many that come together, some wait for the next turn of the loop. */
#include "server/httpd_parts.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/log.h"
#include "lib/tls.h"
#include "proto/error.h"

enum {
	SLICE_MAX = 64 << 10, /* Bytes of an answer that are encrypted in one turn. */
	RECORD_MAX = 16 << 10,
	RECORD_MORE = 64,     /* A record's length beyond its content. */
	BUFS_MAX = 8,         /* Of one write of h2o's. */
	ANSWERS_MAX = 64 << 10, /* Bytes that a client makes us say, beside answers, and does not take. */
	HANDSHAKE_TURN_MS = 3, /* From here on in a turn handshakes wait for the next one, */
	HANDSHAKES_TURN = 8,   /* and of those that have waited so many go on, however long it is. */
};

struct secure {
	struct httpd_conn *c;
	SSL *ssl;          /* NULL until something comes. */
	struct list later; /* In h->later. */
	const char *in;    /* Records that OpenSSL has not yet taken: only while we read. */
	size_t in_len;
	struct buf out;    /* Records that are to be sent. */
	unsigned n_writes; /* Under way. */
	bool ready;        /* The handshake is over. */
	bool ended;        /* The client's side is, or has failed: what comes is thrown away. */
	bool failed;       /* Nothing can be said any more. */
	bool waits;        /* For another turn, to shake hands, */
	bool has_waited;
	bool owes;         /* or to tell h2o that its write is over. */

	/* What h2o writes, as far as it has not been encrypted. */
	h2o_iovec_t bufs[BUFS_MAX];
	size_t n_bufs, at, done;
};

struct sending {
	uv_write_t req;
	struct httpd_conn *c;
	char *data;
};

/* --- The library's own functions ---------------------------------------------------------------------------------- */

static struct {
	void (*read_start)(h2o_socket_t *sock, h2o_socket_cb cb);
	void (*read_stop)(h2o_socket_t *sock);
	void (*write)(h2o_socket_t *sock, h2o_iovec_t *bufs, size_t n, h2o_socket_cb cb);
	void (*close)(h2o_socket_t *sock);
} library;

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void find(const char *name, void *to)
{
	void *at = dlsym(RTLD_NEXT, name);

	if (at == NULL) {
		log_error("http", "libh2o has no %s", name);
		abort();
	}
	memcpy(to, &at, sizeof(at)); /* ISO C has no cast from an object's to a function's pointer. */
}

static void find_library(void)
{
	find("h2o_socket_read_start", &library.read_start);
	find("h2o_socket_read_stop", &library.read_stop);
	find("h2o_socket_write", &library.write);
	find("h2o_socket_close", &library.close);
}

/* --- What OpenSSL reads and writes -------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int size)
{
	struct secure *s = BIO_get_data(bio);
	size_t n = s->in_len < (size_t)size ? s->in_len : (size_t)size;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, s->in, n);
	s->in += n;
	s->in_len -= n;
	return (int)n;
}

static int bio_write(BIO *bio, const char *from, int n)
{
	struct secure *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buf_put(&s->out, from, (size_t)n);
	return s->out.failed ? -1 : n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *more)
{
	(void)bio;
	(void)number;
	(void)more;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
	if (bio_method != NULL) {
		BIO_meth_set_read(bio_method, bio_read);
		BIO_meth_set_write(bio_method, bio_write);
		BIO_meth_set_ctrl(bio_method, bio_ctrl);
	}
}

/* --- Sending ------------------------------------------------------------------------------------------------------ */

static void go_on_later(struct secure *s)
{
	list_remove(&s->later);
	list_insert(&s->c->h->later, &s->later);
}

static void write_more(struct secure *s);

static void on_sent(uv_write_t *req, int status)
{
	struct sending *w = CONTAINER_OF(req, struct sending, req);
	struct secure *s = w->c->secure;

	free(w->data);
	free(w);
	if (s == NULL) {
		return; /* It is closed. */
	}
	s->n_writes--;
	s->failed |= status != 0;
	if (s->n_writes == 0 || s->failed) {
		write_more(s);
	}
}

/* The records leave in the order in which they were made. */
static void flush(struct secure *s)
{
	struct sending *w;
	uv_buf_t buf;

	if (s->out.len == 0 || s->failed) {
		s->failed |= s->out.failed;
		return;
	}
	w = malloc(sizeof(*w));
	if (w == NULL || s->out.failed) {
		free(w);
		s->failed = true;
		return;
	}
	*w = (struct sending){.c = s->c, .data = s->out.at};
	buf = uv_buf_init(s->out.at, (unsigned)s->out.len);
	s->out = (struct buf){0};
	if (uv_write(&w->req, (uv_stream_t *)&s->c->tcp, &buf, 1, on_sent) != 0) {
		free(w->data);
		free(w);
		s->failed = true;
		return;
	}
	s->n_writes++;
}

static bool is_encrypted(struct secure *s)
{
	while (s->at < s->n_bufs && s->done == s->bufs[s->at].len) {
		s->at++;
		s->done = 0;
	}
	return s->at == s->n_bufs;
}

static size_t count_left(const struct secure *s)
{
	size_t n = 0;

	for (size_t i = s->at; i < s->n_bufs; i++) {
		n += s->bufs[i].len;
	}
	return n - s->done;
}

size_t secure_left(const struct httpd_conn *c)
{
	return c->secure != NULL ? count_left(c->secure) : 0;
}

static void encrypt_slice(struct secure *s)
{
	size_t left = count_left(s);

	left = left < SLICE_MAX ? left : SLICE_MAX;
	buf_room(&s->out, left + (left / RECORD_MAX + s->n_bufs + 1) * RECORD_MORE);
	while (left > 0 && !s->failed && !is_encrypted(s)) {
		const h2o_iovec_t *b = &s->bufs[s->at];
		size_t n = b->len - s->done < left ? b->len - s->done : left;

		n = n < RECORD_MAX ? n : RECORD_MAX;
		ERR_clear_error();
		if (SSL_write(s->ssl, b->base + s->done, (int)n) != (int)n) {
			s->failed = true; /* So it is after an error of reading, too. */
			return;
		}
		s->done += n;
		left -= n;
	}
}

/* When it has left as far as it was encrypted: the next slice, or h2o is told that all has. */
static void write_more(struct secure *s)
{
	h2o_socket_t *sock = s->c->sock;
	h2o_socket_cb written = sock->_cb.write;

	if (written == NULL) {
		return;
	}
	if (!s->failed && !is_encrypted(s)) {
		encrypt_slice(s);
		flush(s);
	}
	if (s->failed || s->n_writes == 0) {
		sock->_cb.write = NULL;
		s->n_bufs = s->at = s->done = 0;
		written(sock, s->failed ? h2o_socket_error_io : NULL);
	}
}

static void write_start(struct secure *s, const h2o_iovec_t *bufs, size_t n, h2o_socket_cb cb)
{
	assert(n <= BUFS_MAX && s->c->sock->_cb.write == NULL);
	memcpy(s->bufs, bufs, n * sizeof(*bufs));
	s->n_bufs = n;
	s->at = s->done = 0;
	s->c->sock->_cb.write = cb;
	if (!s->failed) {
		encrypt_slice(s);
		flush(s);
	}
	if (s->n_writes == 0 || s->failed) { /* h2o does not expect that it is told from within. */
		s->owes = true;
		go_on_later(s);
	}
}

/* --- Receiving ---------------------------------------------------------------------------------------------------- */

static void tell_read(struct secure *s, const char *err)
{
	h2o_socket_t *sock = s->c->sock;

	if (sock->_cb.read != NULL) {
		sock->_cb.read(sock, err);
	}
}

/* All that has come goes to h2o's buffer. NULL, or why there can be no more. */
static const char *decrypt(struct secure *s)
{
	h2o_socket_t *sock = s->c->sock;
	size_t before = sock->input->size;
	int n = 0;

	while (!s->ended) {
		h2o_iovec_t room = h2o_buffer_reserve(&sock->input, 4096);

		if (room.base == NULL) {
			s->ended = true;
			return h2o_socket_error_out_of_memory;
		}
		ERR_clear_error();
		n = SSL_read(s->ssl, room.base, room.len < HTTPD_RECORDS ? (int)room.len : HTTPD_RECORDS);
		if (n <= 0) {
			break;
		}
		sock->input->size += (size_t)n;
	}
	sock->bytes_read = sock->input->size - before;
	s->in_len = 0;
	if (!s->ended) {
		int error = SSL_get_error(s->ssl, n);

		s->ended = error != SSL_ERROR_WANT_READ;
		if (s->ended && error != SSL_ERROR_ZERO_RETURN) { /* That is an end in peace: the connection's follows. */
			return h2o_socket_error_ssl_decode;
		}
	}
	return NULL;
}

static void take(struct secure *s)
{
	const char *err = decrypt(s);

	flush(s);
	if (uv_stream_get_write_queue_size((uv_stream_t *)&s->c->tcp) > ANSWERS_MAX + 2 * SLICE_MAX) {
		err = h2o_socket_error_ssl_decode;
	}
	if (err != NULL || s->c->sock->bytes_read > 0) {
		tell_read(s, err);
	}
}

/* --- Handshakes --------------------------------------------------------------------------------------------------- */

static SSL *new_ssl(struct tls *tls)
{
	SSL_CTX *ctx = tls_server(tls);
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;

	SSL_CTX_free(ctx);
	return ssl;
}

/* By the files as they are when it begins. */
static bool begin_tls(struct secure *s)
{
	SSL *ssl = new_ssl(s->c->h->config.tls);
	BIO *bio = ssl != NULL ? BIO_new(bio_method) : NULL;

	if (bio == NULL) {
		SSL_free(ssl);
		ERR_clear_error();
		return false;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_clear_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE); /* A client may ask for records shorter than ours. */
	SSL_set_num_tickets(ssl, 1);
	s->ssl = ssl;
	return true;
}

/* Who speaks HTTP here is told so, in HTTP. */
static void tell_plain(struct secure *s)
{
	static char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
			     "Connection: close\r\nContent-Length: 47\r\n\r\n"
			     "Client sent an HTTP request to an HTTPS server.";
	uv_buf_t buf = uv_buf_init(text, sizeof(text) - 1);

	(void)uv_try_write((uv_stream_t *)&s->c->tcp, &buf, 1);
}

/* The client shall see why: see httpd_linger.c. */
static void close_lingering(struct secure *s)
{
	struct httpd_conn *c = s->c;
	int fd = dup(h2o_socket_get_fd(c->sock));

	flush(s);
	if (fd >= 0) {
		linger_start(c->h, fd);
	}
	s->failed = true;
	h2o_socket_close(c->sock);
}

static void refuse_handshake(struct secure *s)
{
	bool plain = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST;
	char why[256];

	tls_fault_text(s->ssl, why, sizeof(why));
	log_debug("http", "TLS handshake failed: %s", why);
	count(&s->c->h->handshakes_failed, 1);
	if (plain) {
		flush(s);
		tell_plain(s);
	}
	close_lingering(s);
}

/* Its client has too many connections, and can hear that now. */
static void refuse_ready(struct secure *s)
{
	count(&s->c->h->refused, 1);
	(void)SSL_write(s->ssl, httpd_too_many, (int)strlen(httpd_too_many));
	(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
	close_lingering(s);
}

static void begin_http(struct secure *s)
{
	struct httpd_conn *c = s->c;
	const char *err = NULL;

	s->ready = true;
	uv_read_stop((uv_stream_t *)&c->tcp);
	if (s->in_len > 0 || SSL_has_pending(s->ssl) == 1) { /* Else an idle connection needs no buffer yet. */
		err = decrypt(s);
	}
	flush(s);
	if (err != NULL) {
		h2o_socket_close(c->sock);
		return;
	}
	c->since_ms = uv_now(&c->h->loop);
	h2o_http1_accept(&c->h->accept, c->sock, *h2o_get_timestamp(&c->h->context, NULL, NULL));
}

static void shake_hands(struct secure *s)
{
	int rv;

	s->has_waited = false;
	if (s->ssl == NULL && !begin_tls(s)) {
		h2o_socket_close(s->c->sock);
		return;
	}
	ERR_clear_error();
	rv = SSL_accept(s->ssl);
	if (rv == 1) {
		flush(s);
		if (s->c->client != NULL) {
			begin_http(s);
		} else {
			refuse_ready(s);
		}
	} else if (SSL_get_error(s->ssl, rv) == SSL_ERROR_WANT_READ) {
		flush(s);
	} else {
		refuse_handshake(s);
	}
}

static bool turn_is_long(const struct httpd *h)
{
	return uv_hrtime() / 1000000 > uv_now(&h->loop) + HANDSHAKE_TURN_MS;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct httpd_conn *c = CONTAINER_OF(handle, struct httpd_conn, tcp);

	(void)suggested;
	if (!c->secure->ready && !c->secure->has_waited && turn_is_long(c->h)) {
		*buf = uv_buf_init(NULL, 0); /* on_read() gets UV_ENOBUFS. */
	} else {
		*buf = uv_buf_init(c->h->records, HTTPD_RECORDS);
	}
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct httpd_conn *c = CONTAINER_OF(stream, struct httpd_conn, tcp);
	struct secure *s = c->secure;

	if (n == 0) {
		return;
	}
	if (n == UV_ENOBUFS) {
		uv_read_stop(stream);
		s->waits = true;
		go_on_later(s);
		return;
	}
	c->sock->bytes_read = 0;
	if (n < 0) {
		uv_read_stop(stream);
		s->ended = true;
		if (s->ready) {
			tell_read(s, h2o_socket_error_closed);
		} else {
			h2o_socket_close(c->sock);
		}
		return;
	}
	s->in = buf->base;
	s->in_len = (size_t)n;
	if (s->ready) {
		take(s);
	} else {
		shake_hands(s);
	}
}

/* --- Connections -------------------------------------------------------------------------------------------------- */

int secure_begin(struct httpd_conn *c)
{
	struct secure *s = calloc(1, sizeof(*s));

	pthread_once(&bio_once, make_bio_method);
	if (s == NULL || bio_method == NULL) {
		free(s);
		return ERR_NOMEM;
	}
	list_init(&s->later);
	s->c = c;
	c->secure = s;
	return uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0 ? 0 : ERR_IO;
}

bool secure_is_shaking(const struct httpd_conn *c)
{
	return c->secure != NULL && !c->secure->ready;
}

/* The client is told that this is the end, if there is nothing before that. */
static void say_end(struct secure *s)
{
	uv_buf_t buf;

	if (s->ready && !s->failed && s->n_writes == 0) {
		(void)SSL_shutdown(s->ssl);
		ERR_clear_error();
	}
	if (s->out.len > 0 && !s->failed && s->n_writes == 0) {
		buf = uv_buf_init(s->out.at, (unsigned)s->out.len);
		(void)uv_try_write((uv_stream_t *)&s->c->tcp, &buf, 1);
	}
}

static void secure_end(struct httpd_conn *c)
{
	struct secure *s = c->secure;

	if (s != NULL) {
		say_end(s);
		c->secure = NULL;
		list_remove(&s->later);
		SSL_free(s->ssl);
		buf_close(&s->out);
		free(s);
	}
}

static bool go_on(struct secure *s, unsigned *n)
{
	if (s->waits && *n < HANDSHAKES_TURN) {
		++*n;
		s->waits = false;
		s->has_waited = true;
		(void)uv_read_start((uv_stream_t *)&s->c->tcp, on_alloc, on_read);
	}
	if (s->owes) {
		s->owes = false;
		write_more(s);
		return false; /* It may be gone. */
	}
	return s->waits;
}

bool secure_go_on(struct httpd *h)
{
	unsigned n = 0;
	struct list now;
	struct list *l;

	list_init(&now);
	while ((l = list_pop(&h->later)) != NULL) {
		list_insert(&now, l);
	}
	while ((l = list_pop(&now)) != NULL) {
		struct secure *s = CONTAINER_OF(l, struct secure, later);

		if (go_on(s, &n)) {
			list_insert(&h->later, l);
		}
	}
	return !list_empty(&h->later);
}

/* --- In the place of h2o's functions ------------------------------------------------------------------------------ */

static struct secure *secure_of(h2o_socket_t *sock)
{
	struct httpd_conn *c = sock->on_close.data;

	pthread_once(&library_once, find_library);
	return c != NULL ? c->secure : NULL;
}

void h2o_socket_read_start(h2o_socket_t *sock, h2o_socket_cb cb)
{
	struct secure *s = secure_of(sock);

	if (s == NULL) {
		library.read_start(sock, cb);
		return;
	}
	sock->_cb.read = cb;
	if (!s->waits) {
		(void)uv_read_start((uv_stream_t *)&s->c->tcp, on_alloc, on_read);
	}
}

void h2o_socket_read_stop(h2o_socket_t *sock)
{
	if (secure_of(sock) == NULL) {
		library.read_stop(sock);
		return;
	}
	sock->_cb.read = NULL;
	uv_read_stop((uv_stream_t *)&secure_of(sock)->c->tcp);
}

void h2o_socket_write(h2o_socket_t *sock, h2o_iovec_t *bufs, size_t n, h2o_socket_cb cb)
{
	struct secure *s = secure_of(sock);

	if (s == NULL) {
		library.write(sock, bufs, n, cb);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		sock->bytes_written += bufs[i].len;
	}
	write_start(s, bufs, n, cb);
}

void h2o_socket_close(h2o_socket_t *sock)
{
	struct secure *s = secure_of(sock);

	if (s != NULL) {
		secure_end(s->c);
	}
	library.close(sock);
}
