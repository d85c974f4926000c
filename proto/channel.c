#include "proto/channel.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "lib/address.h"
#include "lib/buf.h"
#include "lib/list.h"
#include "lib/log.h"
#include "lib/tls.h"

enum {
	SCRATCH = 64 << 10, /* Of what comes in. */
	RECORD = 16 << 10,  /* The most that TLS puts into one record. */
	TAKEN_MAX = 64 << 10,
	OUT_MAX = 256 << 10, /* Of what TLS itself has to say while nothing leaves. */
	NONCE = 32,
	MAC = 32,
	SECRET_VERSION = 1,
	TURN_US = 2000,
	REFUSALS = 64, /* Servers that did not answer in TLS, which are remembered. */
	ODD_NS = 1000000000,
};

/* A fuzzer cannot guess proofs: its build takes any. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define MAC_EQUAL(a, b) ((void)(a), (void)(b), true)
#else
#define MAC_EQUAL(a, b) (CRYPTO_memcmp(a, b, MAC) == 0)
#endif

struct channels {
	struct tls *tls;
	bool upgrade, verify_names;
	const char *region;
	unsigned char secret[CHANNEL_SECRET_MAX];
	size_t secret_len;
	char *scratch;
	char *record;
	struct buf out; /* What TLS has made of one step; empty between steps. */
	uint64_t refusals[REFUSALS];
	unsigned n_refusals;
	uint64_t turn;     /* The loop's time in this turn, */
	uint64_t spent_ns; /* and what handshakes have had of it */
	uint64_t turn_ns;  /* up to this. */
	uint64_t odd_next; /* Of uv_hrtime(). */
	unsigned odd_untold;
};

#define SHIELD_STAGE_LIST(X)                                     \
	X(FIRST)     /* Accepted: the first byte is awaited. */  \
	X(HANDSHAKE) /* Of TLS. */                               \
	X(SECRET)    /* Of the secret. */                        \
	X(TLS)       /* Open, in TLS. */                         \
	X(PLAIN)     /* Open, in plain text. */                  \
	X(FAILED)

enum shield_stage {
#define X(name) SHIELD_##name,
	SHIELD_STAGE_LIST(X)
#undef X
};

struct shield {
	struct channel *c;
	enum shield_stage stage;
	bool server;
	bool heard;      /* Bytes have come. */
	bool kicked;     /* The timer will go on with what was kept. */
	bool writing;    /* `flight` is on its way. */
	int status;      /* Why it failed. */
	SSL *ssl;
	channel_cb opened_cb; /* NULL: told, or not wanted. */
	uv_timer_t kick;
	const char *in; /* What TLS reads now. */
	size_t in_len;
	struct buf kept;   /* The same, of a channel that is not being read. */
	struct buf flight; /* Being written, */
	struct buf after;  /* and what TLS has said since. */
	unsigned char hand[1 + NONCE + MAC]; /* Of the secret's handshake: what has come. */
	size_t have, need;
	unsigned char nonces[2 * NONCE];
	char peer[80];    /* Its address: a connection that was reset has none any more. */
	char region[128]; /* Whose servers we connect to; "": all. */
	char why[CHANNEL_WHY];
};

/* ---- what TLS reads and writes ---- */

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *to, int n)
{
	struct shield *s = BIO_get_data(bio);
	size_t part = s->in_len < (size_t)n ? s->in_len : (size_t)n;

	BIO_clear_retry_flags(bio);
	if (part == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, s->in, part);
	s->in += part;
	s->in_len -= part;
	return (int)part;
}

static int bio_write(BIO *bio, const char *from, int n)
{
	struct shield *s = BIO_get_data(bio);
	struct buf *out = &s->c->shared->out;

	BIO_clear_retry_flags(bio);
	buf_put(out, from, (size_t)n);
	return out->failed ? -1 : n;
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
	(void)bio;
	(void)n;
	(void)p;
	return what == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "drover channel");
	if (bio_method != NULL) {
		BIO_meth_set_read(bio_method, bio_read);
		BIO_meth_set_write(bio_method, bio_write);
		BIO_meth_set_ctrl(bio_method, bio_ctrl);
	}
}

/* Of the context of now. False: no memory, or no certificate of our own. */
static bool make_ssl(struct shield *s)
{
	struct tls *tls = s->c->shared->tls;
	SSL_CTX *ctx = s->server ? tls_server(tls) : tls_client(tls);
	BIO *bio;

	pthread_once(&bio_once, make_method);
	s->ssl = ctx != NULL ? SSL_new(ctx) : NULL;
	SSL_CTX_free(ctx);
	bio = s->ssl != NULL && bio_method != NULL ? BIO_new(bio_method) : NULL;
	if (bio == NULL) {
		return false;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	if (s->server) {
		SSL_set_accept_state(s->ssl);
	} else {
		SSL_set_connect_state(s->ssl);
	}
	return true;
}

/* ---- what is shared ---- */

struct channels *channels_new(const struct channels_config *config)
{
	struct channels *s = calloc(1, sizeof(*s));

	assert(config->secret_len <= CHANNEL_SECRET_MAX);
	if (s == NULL || (s->scratch = malloc(SCRATCH)) == NULL || (s->record = malloc(RECORD)) == NULL) {
		channels_free(s);
		return NULL;
	}
	s->tls = config->tls;
	s->upgrade = config->upgrade;
	s->verify_names = config->verify_names;
	s->region = config->region;
	s->secret_len = config->secret_len;
	s->turn_ns = (config->turn_us > 0 ? config->turn_us : TURN_US) * UINT64_C(1000);
	if (config->secret_len > 0) {
		memcpy(s->secret, config->secret, config->secret_len);
	}
	return s;
}

void channels_free(struct channels *s)
{
	if (s == NULL) {
		return;
	}
	if (s->record != NULL) {
		OPENSSL_cleanse(s->record, RECORD);
	}
	OPENSSL_cleanse(s->secret, sizeof(s->secret));
	free(s->scratch);
	free(s->record);
	buf_close(&s->out);
	free(s);
}

static void peer_text(const struct channel *c, char text[ADDRESS_MAX])
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);
	char host[INET6_ADDRSTRLEN] = "";

	snprintf(text, ADDRESS_MAX, "a connection that is gone");
	if (uv_tcp_getpeername(c->tcp, (struct sockaddr *)&addr, &len) != 0) {
		return;
	}
	if (addr.ss_family == AF_INET6) {
		uv_ip6_name((struct sockaddr_in6 *)&addr, host, sizeof(host));
		address_join(host, ntohs(((struct sockaddr_in6 *)&addr)->sin6_port), text);
	} else {
		uv_ip4_name((struct sockaddr_in *)&addr, host, sizeof(host));
		address_join(host, ntohs(((struct sockaddr_in *)&addr)->sin_port), text);
	}
}

static void tell_peer(struct channel *c)
{
	char text[ADDRESS_MAX];

	peer_text(c, text);
	snprintf(c->shield->peer, sizeof(c->shield->peer), "%.79s", text);
}

void channel_odd(const struct channel *c, const char *why)
{
	struct channels *s = c->shared;

	if (s == NULL || c->shield == NULL) {
		return;
	}
	if (uv_hrtime() < s->odd_next) {
		s->odd_untold++;
		return;
	}
	log_warn("rpc", "%s %s: %s (and %u others before)", c->shield->server ? "refused" : "connecting to",
		 c->shield->peer, why, s->odd_untold);
	s->odd_next = uv_hrtime() + ODD_NS;
	s->odd_untold = 0;
}

/* ---- servers without TLS, while a cluster is changed over ---- */

static uint64_t text_hash(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = text; *p != '\0'; p++) {
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	}
	return h;
}

static void note_refusal(struct channel *c)
{
	struct channels *s = c->shared;

	s->refusals[s->n_refusals++ % REFUSALS] = text_hash(c->shield->peer);
}

/* The last attempt was in vain; the one after this one is with TLS again. */
static bool take_refusal(struct channel *c)
{
	char peer[ADDRESS_MAX];
	uint64_t h;
	unsigned i;

	peer_text(c, peer);
	h = text_hash(peer);

	for (i = 0; i < REFUSALS; i++) {
		if (c->shared->refusals[i] == h) {
			c->shared->refusals[i] = 0;
			return true;
		}
	}
	return false;
}

/* ---- what certificates say ---- */

static const char *const role_names[] = {"server", "client", "cli"};

static bool equal_text(const char *text, size_t len, const char *to)
{
	return len == strlen(to) && strncasecmp(text, to, len) == 0;
}

/* ROLE.REGION.nomad; `role` NULL: any of them. */
static bool is_name(const char *name, size_t len, const char *role, const char *region)
{
	static const char end[] = ".nomad";
	size_t tail = sizeof(end) - 1;
	const char *dot = memchr(name, '.', len);
	size_t head = dot != NULL ? (size_t)(dot - name) : 0;
	size_t i;

	if (dot == NULL || len <= head + 1 + tail || strncasecmp(name + len - tail, end, tail) != 0) {
		return false;
	}
	if (region != NULL && !equal_text(dot + 1, len - tail - head - 1, region)) {
		return false;
	}
	for (i = 0; i < sizeof(role_names) / sizeof(role_names[0]); i++) {
		if ((role == NULL || role == role_names[i]) && equal_text(name, head, role_names[i])) {
			return true;
		}
	}
	return false;
}

static bool cert_named(X509 *cert, const char *role, const char *region)
{
	GENERAL_NAMES *names = cert != NULL ? X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL) : NULL;
	bool found = false;
	int i;

	for (i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		found = g->type == GEN_DNS && is_name((const char *)ASN1_STRING_get0_data(g->d.dNSName),
						      (size_t)ASN1_STRING_length(g->d.dNSName), role, region);
	}
	GENERAL_NAMES_free(names);
	return found;
}

bool channel_is_tls(const struct channel *c)
{
	return c->shield != NULL && c->shield->stage == SHIELD_TLS;
}

bool channel_may(const struct channel *c, enum channel_role role, const char *region)
{
	X509 *cert;
	int i;

	if (c->shield == NULL || c->shield->stage == SHIELD_PLAIN) {
		return true;
	}
	cert = c->shield->ssl != NULL ? SSL_get0_peer_certificate(c->shield->ssl) : NULL;
	for (i = 0; i <= (int)role; i++) {
		if (cert_named(cert, role_names[i], region)) {
			return true;
		}
	}
	return cert != NULL && !c->shared->verify_names && !cert_named(cert, NULL, NULL);
}

/* ---- the end ---- */

const char *channel_why(const struct channel *c)
{
	return c->shield != NULL ? c->shield->why : "";
}

static void shield_release(struct shield *s)
{
	SSL_free(s->ssl);
	buf_close(&s->kept);
	buf_close(&s->flight);
	buf_close(&s->after);
	OPENSSL_cleanse(s->nonces, sizeof(s->nonces));
	free(s);
}

/* Its last handle has been closed. */
static void release(struct channel *c)
{
	void (*closed_cb)(void *data) = c->closed_cb;
	void *data = c->data;

	free(c->tcp);
	if (c->shield != NULL) {
		shield_release(c->shield);
	}
	free(c);
	if (closed_cb != NULL) {
		closed_cb(data);
	}
}

static void on_tcp_closed(uv_handle_t *tcp)
{
	release(tcp->data);
}

/* The timer first: then the connection. */
static void on_kick_closed(uv_handle_t *kick)
{
	struct channel *c = CONTAINER_OF((uv_timer_t *)kick, struct shield, kick)->c;

	uv_close((uv_handle_t *)c->tcp, on_tcp_closed);
}

static void send_out(struct channel *c);

void channel_close(struct channel *c, void (*closed_cb)(void *data))
{
	struct shield *s = c->shield;

	assert(!c->closing);
	if (s != NULL && s->stage == SHIELD_TLS && !s->writing) {
		ERR_clear_error();
		(void)SSL_shutdown(s->ssl);
		send_out(c);
	}
	c->closing = true;
	c->read_cb = NULL;
	c->written_cb = NULL;
	c->closed_cb = closed_cb;
	if (s == NULL) {
		uv_close((uv_handle_t *)c->tcp, on_tcp_closed);
		return;
	}
	(void)uv_read_stop((uv_stream_t *)c->tcp);
	uv_close((uv_handle_t *)&s->kick, on_kick_closed);
}

/* ---- bytes out ---- */

static void on_flight(uv_write_t *req, int status);

static void on_kick(uv_timer_t *timer);

/* Go on in a turn of its own: with what was kept, or to the end. */
static void kick_in(struct shield *s, unsigned ms)
{
	if (!s->kicked) {
		s->kicked = true;
		uv_timer_start(&s->kick, on_kick, ms, 0);
	}
}

static void kick(struct shield *s)
{
	kick_in(s, 0);
}

/* What TLS has made is lost, and with it the connection; who reads is told. */
static void broken(struct shield *s, int status)
{
	s->stage = SHIELD_FAILED;
	s->status = status;
	kick(s);
}

static void fly(struct channel *c)
{
	struct shield *s = c->shield;
	uv_buf_t buf = uv_buf_init(s->flight.at, (unsigned)s->flight.len);
	int rv = s->flight.failed ? UV_ENOMEM : 0;

	if (rv == 0) {
		rv = uv_write(&c->write, (uv_stream_t *)c->tcp, &buf, 1, on_flight);
	}
	s->writing = rv == 0;
	if (rv != 0) {
		buf_close(&s->flight);
		broken(s, rv);
	}
}

static void on_flight(uv_write_t *req, int status)
{
	struct channel *c = CONTAINER_OF(req, struct channel, write);
	struct shield *s = c->shield;
	channel_cb written_cb = c->written_cb;

	s->writing = false;
	buf_close(&s->flight);
	if (c->closing) {
		return;
	}
	if (status == 0 && s->after.len > 0) {
		s->flight = s->after;
		s->after = (struct buf){0};
		fly(c);
		return;
	}
	c->written_cb = NULL;
	if (written_cb != NULL) {
		written_cb(c, status);
	}
}

/* What TLS has made leaves, or stays behind as a flight. */
static void send_out(struct channel *c)
{
	struct shield *s = c->shield;
	struct buf *out = &c->shared->out;
	uv_buf_t buf;
	size_t sent;
	int rv;

	if (out->failed) {
		buf_close(out); /* The step that has made it has failed as well. */
	}
	if (out->len == 0) {
		return;
	}
	if (s->writing) {
		buf_put(&s->after, out->at, out->len);
	} else {
		buf = uv_buf_init(out->at, (unsigned)out->len);
		rv = uv_try_write((uv_stream_t *)c->tcp, &buf, 1);
		sent = rv > 0 ? (size_t)rv : 0;
		if (sent < out->len && (rv >= 0 || rv == UV_EAGAIN)) {
			buf_put(&s->flight, out->at + sent, out->len - sent);
			fly(c);
		}
	}
	out->len = 0;
}

/* The same, and it is told when it has left, even if that is at once. */
static void fly_out(struct channel *c)
{
	struct shield *s = c->shield;
	struct buf *out = &c->shared->out;

	buf_put(&s->flight, out->at, out->len);
	out->len = 0;
	fly(c);
}

/* As many bytes as are sent in one go; what comes of them is in `out`. A record is filled from several pieces. */
static ssize_t encrypt(struct channel *c, const uv_buf_t *bufs, unsigned n)
{
	struct channels *shared = c->shared;
	size_t total = 0;
	size_t skip = 0;
	unsigned i = 0;

	while (i < n && total < TAKEN_MAX) {
		const char *from = bufs[i].base + skip;
		size_t len = bufs[i].len - skip;
		int rv;

		if (len < RECORD && i + 1 < n) {
			size_t fill = len;

			memcpy(shared->record, from, len);
			for (unsigned to = i + 1; to < n && fill < RECORD; to++) {
				size_t part = RECORD - fill < bufs[to].len ? RECORD - fill : bufs[to].len;

				memcpy(shared->record + fill, bufs[to].base, part);
				fill += part;
			}
			from = shared->record;
			len = fill;
		}
		len = len < RECORD ? len : RECORD;
		if (len == 0) {
			break;
		}
		ERR_clear_error();
		rv = SSL_write(c->shield->ssl, from, (int)len);
		if (rv <= 0) {
			return UV_EPROTO;
		}
		total += (size_t)rv;
		for (skip += (size_t)rv; i < n && skip >= bufs[i].len; i++) {
			skip -= bufs[i].len;
		}
	}
	return (ssize_t)total;
}

static bool is_direct(const struct channel *c)
{
	return c->shield == NULL || (c->shield->stage == SHIELD_PLAIN && !c->shield->writing);
}

ssize_t channel_try_write(struct channel *c, const uv_buf_t *bufs, unsigned n)
{
	struct shield *s = c->shield;
	ssize_t taken;

	if (is_direct(c)) {
		int rv = uv_try_write((uv_stream_t *)c->tcp, bufs, n);

		return rv == UV_EAGAIN ? 0 : rv;
	}
	if (s->stage == SHIELD_FAILED) {
		return UV_EPROTO;
	}
	if (s->writing || s->stage != SHIELD_TLS) {
		return 0;
	}
	taken = encrypt(c, bufs, n);
	send_out(c);
	return taken;
}

static void on_written(uv_write_t *req, int status)
{
	struct channel *c = CONTAINER_OF(req, struct channel, write);
	channel_cb written_cb = c->written_cb;

	c->written_cb = NULL;
	if (written_cb != NULL) {
		written_cb(c, status);
	}
}

int channel_write(struct channel *c, const uv_buf_t *bufs, unsigned n, size_t *taken, channel_cb written_cb)
{
	struct shield *s = c->shield;
	ssize_t some = 0;

	assert(c->written_cb == NULL && !c->closing);
	if (is_direct(c)) {
		int rv = uv_write(&c->write, (uv_stream_t *)c->tcp, bufs, n, on_written);
		size_t total = 0;

		for (unsigned i = 0; rv == 0 && i < n; i++) {
			total += bufs[i].len;
		}
		*taken = total;
		c->written_cb = rv == 0 ? written_cb : NULL;
		return rv;
	}
	if (s->stage == SHIELD_FAILED) {
		return UV_EPROTO;
	}
	if (!s->writing) {
		assert(s->stage == SHIELD_TLS); /* Nobody writes before it is open. */
		some = encrypt(c, bufs, n);
		fly_out(c);
	}
	if (some < 0 || !s->writing) {
		return some < 0 ? (int)some : UV_EPIPE;
	}
	*taken = (size_t)some;
	c->written_cb = written_cb;
	return 0;
}

size_t channel_unsent(const struct channel *c, size_t taken)
{
	size_t queued = uv_stream_get_write_queue_size((const uv_stream_t *)c->tcp);

	return queued < taken ? queued : taken;
}

/* ---- handshakes ---- */

/* Once. Whoever waits is told; nobody, when he asks again. */
static void fail(struct channel *c, int status)
{
	struct shield *s = c->shield;
	channel_cb opened_cb = s->opened_cb;
	channel_read_cb read_cb = c->read_cb;

	s->stage = SHIELD_FAILED;
	s->status = status;
	s->opened_cb = NULL;
	c->read_cb = NULL;
	(void)uv_read_stop((uv_stream_t *)c->tcp);
	if (opened_cb != NULL) {
		opened_cb(c, status);
	} else if (read_cb != NULL) {
		read_cb(c, status, NULL);
	}
}

static void refuse(struct channel *c, const char *why)
{
	snprintf(c->shield->why, sizeof(c->shield->why), "%s", why);
	channel_odd(c, why);
	fail(c, UV_EPROTO);
}

static void open_now(struct channel *c, enum shield_stage stage)
{
	struct shield *s = c->shield;
	channel_cb opened_cb = s->opened_cb;

	s->stage = stage;
	s->opened_cb = NULL;
	if (opened_cb != NULL) {
		if (c->read_cb == NULL) {
			(void)uv_read_stop((uv_stream_t *)c->tcp);
		}
		opened_cb(c, 0);
	}
}

static void tls_failed(struct channel *c)
{
	struct shield *s = c->shield;
	char reason[160];

	tls_fault_text(s->ssl, reason, sizeof(reason));
	snprintf(s->why, sizeof(s->why), "TLS: %s", reason);
	channel_odd(c, s->why);
	fail(c, UV_EPROTO);
}

/* When a server is lost a thousand agents turn to the others at once: a signature takes as long as hundreds of messages. */
static bool turn_is_over(struct channel *c)
{
	struct channels *shared = c->shared;
	uint64_t now = uv_now(c->tcp->loop);

	if (shared->turn != now) {
		shared->turn = now;
		shared->spent_ns = 0;
	}
	return shared->spent_ns >= shared->turn_ns;
}

/* What it costs, not what it takes: on a busy machine one handshake may last long, and the others would wait for that. */
static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void tls_handshake(struct channel *c)
{
	struct shield *s = c->shield;
	uint64_t began = thread_ns();
	int rv;

	if (s->ssl == NULL && !make_ssl(s)) {
		refuse(c, "TLS cannot be begun");
		return;
	}
	ERR_clear_error();
	rv = SSL_do_handshake(s->ssl);
	c->shared->spent_ns += thread_ns() - began;
	send_out(c); /* An alert, too. */
	if (rv != 1) {
		if (SSL_get_error(s->ssl, rv) != SSL_ERROR_WANT_READ) {
			tls_failed(c);
		}
		return;
	}
	if (!s->server && !channel_may(c, CHANNEL_SERVER, s->region[0] != '\0' ? s->region : NULL)) {
		snprintf(s->why, sizeof(s->why), "TLS: the certificate of the other side is not that of server.%s.nomad",
			 s->region[0] != '\0' ? s->region : "REGION");
		channel_odd(c, s->why);
		fail(c, UV_EPROTO);
		return;
	}
	open_now(c, SHIELD_TLS);
}

static bool mac(const struct channels *shared, const char *who, const unsigned char nonces[2 * NONCE], unsigned char out[MAC])
{
	unsigned char text[16 + 1 + 2 * NONCE] = {0};
	unsigned len = 0;

	snprintf((char *)text, 16, "drover %s", who);
	text[16] = SECRET_VERSION;
	memcpy(text + 17, nonces, 2 * NONCE);
	return HMAC(EVP_sha256(), shared->secret, (int)shared->secret_len, text, sizeof(text), out, &len) != NULL && len == MAC;
}

static void say(struct channel *c, const void *data, size_t len)
{
	buf_put(&c->shared->out, data, len);
	send_out(c);
}

static bool is_mac(struct channel *c, const char *who, const unsigned char said[MAC])
{
	unsigned char expected[MAC];

	return mac(c->shared, who, c->shield->nonces, expected) && MAC_EQUAL(expected, said);
}

/* The next part of it has come: the client's nonce, or its proof; the server's nonce and proof. */
static void secret_step(struct channel *c)
{
	struct shield *s = c->shield;
	unsigned char answer[NONCE + MAC];

	if (s->server && s->need == 1 + NONCE) {
		memcpy(s->nonces, s->hand + 1, NONCE);
		if (s->hand[0] != SECRET_VERSION || RAND_bytes(s->nonces + NONCE, NONCE) != 1) {
			refuse(c, "a handshake of another version");
			return;
		}
		memcpy(answer, s->nonces + NONCE, NONCE);
		if (!mac(c->shared, "server", s->nonces, answer + NONCE)) {
			refuse(c, "out of memory");
			return;
		}
		s->have = 0;
		s->need = MAC;
		say(c, answer, sizeof(answer));
		return;
	}
	if (s->server) {
		if (!is_mac(c, "client", s->hand)) {
			refuse(c, "it does not know the secret (encrypt)");
			return;
		}
		open_now(c, SHIELD_PLAIN);
		return;
	}
	memcpy(s->nonces + NONCE, s->hand, NONCE);
	if (!is_mac(c, "server", s->hand + NONCE) || !mac(c->shared, "client", s->nonces, answer)) {
		refuse(c, "the server does not know our secret (encrypt)");
		return;
	}
	say(c, answer, MAC);
	open_now(c, SHIELD_PLAIN);
}

/* What the other side speaks. The byte is in `hand`. */
static void on_first(struct channel *c)
{
	struct shield *s = c->shield;
	const struct channels *shared = c->shared;
	unsigned char first = s->hand[0];

	if (first == CHANNEL_TLS_FIRST && shared->tls != NULL) {
		s->stage = SHIELD_HANDSHAKE;
	} else if (first == CHANNEL_TLS_FIRST) {
		refuse(c, "TLS, which is not configured here (tls.rpc)");
	} else if (shared->tls != NULL && !shared->upgrade) {
		refuse(c, "plain text, where only TLS is taken (tls.rpc)");
	} else if (first == CHANNEL_SECRET_FIRST && shared->secret_len > 0) {
		s->stage = SHIELD_SECRET;
		s->have = 0;
		s->need = 1 + NONCE;
	} else if (shared->secret_len > 0) {
		refuse(c, "it does not know of the secret that is needed here (encrypt)");
	} else {
		open_now(c, SHIELD_PLAIN);
	}
}

/* ---- bytes in ---- */

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf);

/* Of the first byte, and of the secret's handshake, no more is read than belongs to it: what follows is the owner's. */
static bool is_by_hand(const struct shield *s)
{
	return s->stage == SHIELD_FIRST || s->stage == SHIELD_SECRET;
}

static void on_alloc(uv_handle_t *tcp, size_t suggested, uv_buf_t *buf)
{
	struct channel *c = tcp->data;
	struct shield *s = c->shield;

	(void)suggested;
	if (s != NULL && is_by_hand(s)) {
		*buf = uv_buf_init((char *)s->hand + s->have, (unsigned)(s->need - s->have));
	} else if (s == NULL || s->stage == SHIELD_PLAIN) {
		c->alloc_cb(c, buf);
	} else {
		*buf = uv_buf_init(c->shared->scratch, SCRATCH);
	}
}

static void tls_bytes(struct channel *c)
{
	struct shield *s = c->shield;
	uv_buf_t buf;
	int n;

	c->alloc_cb(c, &buf);
	ERR_clear_error();
	n = SSL_read(s->ssl, buf.base, (int)(buf.len < INT32_MAX ? buf.len : INT32_MAX));
	send_out(c);
	if (n > 0) {
		c->read_cb(c, n, &buf);
		return;
	}
	n = SSL_get_error(s->ssl, n);
	if (n == SSL_ERROR_ZERO_RETURN) {
		fail(c, UV_EOF);
	} else if (n != SSL_ERROR_WANT_READ) {
		tls_failed(c);
	} else if (s->after.len > OUT_MAX) {
		refuse(c, "TLS: too much to be said to one who does not listen");
	}
}

/* TLS takes what it can of the bytes at s->in; what the owner does not want yet is kept. */
static void pump(struct channel *c)
{
	struct shield *s = c->shield;
	bool more = true;

	while (more && !c->closing && (s->stage == SHIELD_HANDSHAKE || (s->stage == SHIELD_TLS && c->read_cb != NULL))) {
		if (s->stage == SHIELD_HANDSHAKE && turn_is_over(c)) {
			(void)uv_read_stop((uv_stream_t *)c->tcp);
			kick_in(s, 1); /* Not 0: libuv would call again in the same turn. */
			more = false;
		} else if (s->stage == SHIELD_HANDSHAKE) {
			tls_handshake(c);
			more = s->stage != SHIELD_HANDSHAKE;
		} else {
			tls_bytes(c);
			more = s->in_len > 0 || (s->stage == SHIELD_TLS && SSL_pending(s->ssl) > 0);
		}
	}
	if (s->in_len > 0 && !c->closing && (s->stage == SHIELD_TLS || s->stage == SHIELD_HANDSHAKE)) {
		buf_put(&s->kept, s->in, s->in_len);
	}
	s->in = NULL;
	s->in_len = 0;
}

static void take_first(struct channel *c)
{
	uv_buf_t buf;

	c->alloc_cb(c, &buf);
	buf.base[0] = (char)c->shield->hand[0];
	c->read_cb(c, 1, &buf);
}

static void read_on(struct channel *c)
{
	struct shield *s = c->shield;
	int rv = 0;

	if (!c->closing && c->read_cb != NULL) {
		rv = channel_read_start(c, c->alloc_cb, c->read_cb);
	} else if (!c->closing && s->stage == SHIELD_HANDSHAKE && !s->kicked) {
		rv = uv_read_start((uv_stream_t *)c->tcp, on_alloc, on_read);
	}

	if (rv != 0) {
		fail(c, rv);
	}
}

static void on_kick(uv_timer_t *timer)
{
	struct shield *s = CONTAINER_OF(timer, struct shield, kick);
	struct channel *c = s->c;
	struct buf kept = s->kept;

	s->kicked = false;
	if (c->closing || (c->read_cb == NULL && s->stage != SHIELD_HANDSHAKE)) {
		return;
	}
	if (s->stage == SHIELD_FAILED) {
		fail(c, s->status);
	} else if (s->stage == SHIELD_TLS || s->stage == SHIELD_HANDSHAKE) {
		s->kept = (struct buf){0};
		s->in = kept.at;
		s->in_len = kept.len;
		pump(c);
		buf_close(&kept);
		read_on(c);
	}
}

static void raw_end(struct channel *c, int status)
{
	struct shield *s = c->shield;

	if (s == NULL) {
		channel_read_cb read_cb = c->read_cb;

		c->read_cb = NULL;
		read_cb(c, status, NULL);
		return;
	}
	if (!s->server && !s->heard && s->stage == SHIELD_HANDSHAKE) {
		snprintf(s->why, sizeof(s->why), "it hangs up when it is spoken to in TLS: is tls.rpc configured there?");
		if (c->shared->upgrade) {
			note_refusal(c);
		}
	} else if (!s->server && !s->heard && s->stage == SHIELD_SECRET) {
		snprintf(s->why, sizeof(s->why), "it hangs up at the secret's handshake: is encrypt configured there?");
	}
	fail(c, status);
}

static void by_hand(struct channel *c, size_t n)
{
	struct shield *s = c->shield;

	s->have += n;
	if (s->have < s->need) {
		return;
	}
	if (s->stage == SHIELD_SECRET) {
		secret_step(c);
		return;
	}
	on_first(c);
	if (s->stage == SHIELD_HANDSHAKE) {
		s->in = (const char *)s->hand;
		s->in_len = 1;
		pump(c);
	} else if (s->stage == SHIELD_PLAIN) {
		take_first(c);
	}
}

static void on_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	struct channel *c = tcp->data;
	struct shield *s = c->shield;

	if (n == 0 || c->closing) {
		return;
	}
	if (n < 0) {
		raw_end(c, (int)n);
		return;
	}
	if (s == NULL || s->stage == SHIELD_PLAIN) {
		c->read_cb(c, n, buf);
		return;
	}
	s->heard = true;
	if (is_by_hand(s)) {
		by_hand(c, (size_t)n);
	} else {
		s->in = buf->base;
		s->in_len = (size_t)n;
		pump(c);
	}
}

int channel_read_start(struct channel *c, channel_alloc_cb alloc_cb, channel_read_cb read_cb)
{
	struct shield *s = c->shield;

	assert(!c->closing);
	c->alloc_cb = alloc_cb;
	c->read_cb = read_cb;
	if (s != NULL && s->peer[0] == '\0') {
		tell_peer(c);
	}
	if (s != NULL && (s->kept.len > 0 || s->stage == SHIELD_FAILED ||
			  (s->stage == SHIELD_TLS && SSL_pending(s->ssl) > 0))) {
		kick(s);
		(void)uv_read_stop((uv_stream_t *)c->tcp);
		return 0;
	}
	if (uv_is_active((uv_handle_t *)c->tcp)) {
		(void)uv_read_stop((uv_stream_t *)c->tcp);
	}
	return uv_read_start((uv_stream_t *)c->tcp, on_alloc, on_read);
}

void channel_read_stop(struct channel *c)
{
	c->read_cb = NULL;
	(void)uv_read_stop((uv_stream_t *)c->tcp);
}

/* ---- begin ---- */

struct channel *channel_new(struct channels *shared, uv_tcp_t *tcp)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		c->tcp = tcp;
		c->shared = shared;
		tcp->data = c;
	}
	return c;
}

static bool add_shield(struct channel *c, bool server)
{
	struct shield *s = calloc(1, sizeof(*s));

	if (s == NULL || uv_timer_init(c->tcp->loop, &s->kick) != 0) {
		free(s);
		return false;
	}
	s->c = c;
	s->server = server;
	s->stage = SHIELD_FIRST;
	s->need = 1;
	c->shield = s;
	if (!server) {
		tell_peer(c);
	}
	return true;
}

bool channel_serve(struct channel *c)
{
	return c->shared == NULL || add_shield(c, true);
}

static bool greet_with_tls(struct channel *c)
{
	struct shield *s = c->shield;
	char name[sizeof(s->region) + 16];
	int rv;

	s->stage = SHIELD_HANDSHAKE;
	if (!make_ssl(s)) {
		return false;
	}
	if (s->region[0] != '\0') {
		snprintf(name, sizeof(name), "server.%s.nomad", s->region);
		(void)SSL_set_tlsext_host_name(s->ssl, name);
	}
	ERR_clear_error();
	rv = SSL_do_handshake(s->ssl);
	send_out(c);
	return SSL_get_error(s->ssl, rv) == SSL_ERROR_WANT_READ;
}

static bool greet_with_secret(struct channel *c)
{
	struct shield *s = c->shield;
	unsigned char hello[2 + NONCE] = {CHANNEL_SECRET_FIRST, SECRET_VERSION};

	s->stage = SHIELD_SECRET;
	s->need = NONCE + MAC;
	if (RAND_bytes(s->nonces, NONCE) != 1) {
		return false;
	}
	memcpy(hello + 2, s->nonces, NONCE);
	say(c, hello, sizeof(hello));
	return true;
}

int channel_connect(struct channel *c, const char *region, channel_cb opened_cb)
{
	struct channels *shared = c->shared;
	bool tls = shared != NULL && shared->tls != NULL && !(shared->upgrade && take_refusal(c));
	int rv;

	if (shared == NULL || (!tls && shared->secret_len == 0)) {
		return 1;
	}
	if (!add_shield(c, false)) {
		return UV_ENOMEM;
	}
	snprintf(c->shield->region, sizeof(c->shield->region), "%s", region != NULL ? region : "");
	rv = uv_read_start((uv_stream_t *)c->tcp, on_alloc, on_read);
	if (rv != 0) {
		return rv;
	}
	if (tls ? !greet_with_tls(c) : !greet_with_secret(c)) {
		return UV_EPROTO;
	}
	c->shield->opened_cb = opened_cb; /* From here on it may be told. */
	return 0;
}
