/* What somebody may send before he is known, and in a handshake: to a server in TLS, to one with a secret, to one that is
 * being changed over; and what a server may answer to who connects to it. The first byte of the input says which, and
 * how the rest is cut. Proofs of the secret are taken as they come, so that what is behind them is reached. */
#include "proto/channel.c"

#include <signal.h>

#include "test/unit/certs.h"

enum { SIDES = 5 };

static uv_loop_t loop;
static struct channels *sides[SIDES];
static size_t n_read;

static void on_bytes_alloc(struct channel *c, uv_buf_t *buf)
{
	static char space[4096];

	(void)c;
	*buf = uv_buf_init(space, n_read % 3 == 0 ? 1 : sizeof(space));
}

/* Reading stops and goes on now and then. */
static void on_bytes(struct channel *c, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	n_read++;
	if (n > 0 && n_read % 5 == 0) {
		channel_read_stop(c);
	}
}

static void on_open(struct channel *c, int status)
{
	if (status == 0) {
		(void)channel_read_start(c, on_bytes_alloc, on_bytes);
	}
}

static void set_up(void)
{
	char dir[64];
	char why[TLS_WHY];
	struct authority a;
	struct tls_config config = {.clients = TLS_CLIENTS_KNOWN};
	struct channels_config c = {.region = "global"};
	struct tls *tls;

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_OFF);
	uv_loop_init(&loop);
	certs_directory(dir);
	a = certs_authority(dir, "ca");
	certs_make(&a, dir, "server", "server.global.nomad", 30);
	certs_authority_close(&a);
	config.ca_file = certs_path(dir, "ca.pem");
	config.cert_file = certs_path(dir, "server.pem");
	config.key_file = certs_path(dir, "server-key.pem");
	tls = tls_new(&config, why);
	certs_remove(dir);
	assert(tls != NULL);
	c.tls = tls;
	sides[0] = channels_new(&c); /* Accepts, in TLS; */
	sides[3] = channels_new(&c); /* connects. */
	c.upgrade = true;
	c.secret = "0123456789abcdef";
	c.secret_len = 16;
	sides[1] = channels_new(&c);
	c.tls = NULL;
	sides[2] = channels_new(&c); /* Accepts, with a secret; */
	sides[4] = channels_new(&c); /* connects. */
}

static struct channel *open_side(unsigned which)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));
	struct channel *c;

	uv_tcp_init(&loop, tcp);
	c = channel_new(sides[which], tcp);
	if (which < 3) {
		(void)channel_serve(c);
		(void)channel_read_start(c, on_bytes_alloc, on_bytes);
		return c;
	}
	/* There is no connection to be read: what channel_connect() does but for that. */
	(void)add_shield(c, false);
	c->shield->opened_cb = on_open;
	if (which == 3) {
		(void)greet_with_tls(c);
	} else {
		(void)greet_with_secret(c);
	}
	return c;
}

/* As libuv would: into the buffer that it is told to use, while it is being read. */
static void feed(struct channel *c, const uint8_t *data, size_t size, size_t piece)
{
	while (size > 0) {
		uv_buf_t buf;
		size_t n;

		if (c->shield->kicked) {
			uv_timer_stop(&c->shield->kick);
			on_kick(&c->shield->kick);
		}
		if (c->shield->stage == SHIELD_FAILED) {
			return;
		}
		if (c->read_cb == NULL && c->shield->opened_cb == NULL) {
			(void)channel_read_start(c, on_bytes_alloc, on_bytes);
			continue;
		}
		on_alloc((uv_handle_t *)c->tcp, 65536, &buf);
		n = buf.len < size ? buf.len : size;
		n = n < piece ? n : piece;
		memcpy(buf.base, data, n);
		on_read((uv_stream_t *)c->tcp, (ssize_t)n, &buf);
		data += n;
		size -= n;
		piece = piece * 2 + 1;
	}
	on_read((uv_stream_t *)c->tcp, UV_EOF, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct channel *c;

	if (sides[0] == NULL) {
		set_up();
	}
	if (size < 1) {
		return 0;
	}
	n_read = 0;
	c = open_side(data[0] % SIDES);
	feed(c, data + 1, size - 1, data[0] / SIDES + 1);
	channel_close(c, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}
