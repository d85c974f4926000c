#include "test/unit/unit.h"

#include <signal.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/tls.h"
#include "proto/channel.h"
#include "test/unit/certs.h"

/* One side of a connection. */
struct end {
	struct channel *ch;
	bool opened, closing, closed;
	int open_status;
	int status; /* Of reading: 0 while it goes on. */
	char why[CHANNEL_WHY];
	struct buf got;
	size_t piece;    /* What it reads at once. */
	size_t stops_at; /* It stops to read when it has so much; 0: never. */
	const char *out; /* What is to be sent, */
	size_t out_len, sent;
	bool writing;
	size_t taken;
};

static uv_loop_t loop;
static char dir[64];
static struct authority ours, theirs;
static uv_tcp_t listener;
static struct channels *serving;
static struct end server, client;
static bool accepted;

enum { CROWD = 30 };

static struct end crowd[CROWD]; /* Accepting sides, if there is to be a crowd. */
static unsigned n_crowd, crowd_max;

/* ---- certificates ---- */

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	certs_directory(dir);
	ours = certs_authority(dir, "ca");
	theirs = certs_authority(dir, "other-ca");
	certs_make(&ours, dir, "server", "server.global.nomad,localhost", 30);
	certs_make(&ours, dir, "away", "server.europe.nomad", 30);
	certs_make(&ours, dir, "client", "client.global.nomad", 30);
	certs_make(&ours, dir, "cli", "cli.global.nomad", 30);
	certs_make(&ours, dir, "nameless", "host.example.com", 30);
	certs_make(&ours, dir, "tricky", "xserver.global.nomad,server.global.nomad.evil,server..nomad,server.nomad", 30);
	certs_make(&ours, dir, "old", "server.global.nomad", -2);
	certs_make(&theirs, dir, "stranger", "server.global.nomad", 30);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	certs_authority_close(&ours);
	certs_authority_close(&theirs);
	certs_remove(dir);
	return uv_loop_close(&loop);
}

static struct tls *tls_of(const char *name)
{
	char cert[64];
	char key[64];
	char why[TLS_WHY] = "";
	struct tls_config c = {.ca_file = certs_path(dir, "ca.pem"), .clients = TLS_CLIENTS_KNOWN};
	struct tls *t;

	snprintf(cert, sizeof(cert), "%s.pem", name);
	snprintf(key, sizeof(key), "%s-key.pem", name);
	c.cert_file = certs_path(dir, cert);
	c.key_file = certs_path(dir, key);
	t = tls_new(&c, why);
	if (t == NULL) {
		fail_msg("%s", why);
	}
	return t;
}

/* How a side is configured: a certificate ("" none), a secret (""), upgrade or not, names checked or not. */
struct side {
	const char *cert;
	const char *secret;
	bool upgrade;
	bool any_name;
	unsigned turn_us;
};

static struct tls *tls_made[8];
static struct channels *channels_made[8];
static unsigned n_made;

static struct channels *channels_of(struct side s)
{
	struct channels_config c = {.region = "global",
	                            .upgrade = s.upgrade,
	                            .verify_names = !s.any_name,
	                            .turn_us = s.turn_us,
	                            .secret = s.secret,
	                            .secret_len = s.secret != NULL ? strlen(s.secret) : 0};

	if (s.cert == NULL && s.secret == NULL) {
		return NULL;
	}
	c.tls = tls_made[n_made] = s.cert != NULL ? tls_of(s.cert) : NULL;
	channels_made[n_made] = channels_new(&c);
	assert_non_null(channels_made[n_made]);
	return channels_made[n_made++];
}

/* ---- reading and writing ---- */

static void on_alloc(struct channel *c, uv_buf_t *buf)
{
	static char space[100000];
	struct end *e = c->data;

	*buf = uv_buf_init(space, (unsigned)e->piece);
}

static void on_closed(void *data)
{
	((struct end *)data)->closed = true;
}

static void hang_up(struct end *e)
{
	channel_close(e->ch, on_closed);
	e->ch = NULL;
	e->closing = true;
}

static void on_read(struct channel *c, ssize_t n, const uv_buf_t *buf)
{
	struct end *e = c->data;

	if (n < 0) {
		e->status = (int)n;
		snprintf(e->why, sizeof(e->why), "%s", channel_why(c));
		hang_up(e);
		return;
	}
	buf_put(&e->got, buf->base, (size_t)n);
	if (e->stops_at > 0 && e->got.len >= e->stops_at) {
		channel_read_stop(c);
		e->stops_at = 0;
	}
}

static void flush(struct end *e);

static void on_written(struct channel *c, int status)
{
	struct end *e = c->data;

	e->writing = false;
	if (status == 0) {
		e->sent += e->taken;
		flush(e);
	}
}

/* In pieces of odd sizes. */
static unsigned gather(const struct end *e, uv_buf_t bufs[8])
{
	size_t at = e->sent;
	unsigned n = 0;

	for (size_t size = 1; n < 8 && at < e->out_len; size = size * 9 + 3) {
		size_t len = e->out_len - at < size ? e->out_len - at : size;

		bufs[n++] = uv_buf_init((char *)(uintptr_t)e->out + at, (unsigned)len);
		at += len;
	}
	return n;
}

static void flush(struct end *e)
{
	uv_buf_t bufs[8];
	ssize_t rv;

	while (!e->writing && e->ch != NULL && e->sent < e->out_len) {
		rv = channel_try_write(e->ch, bufs, gather(e, bufs));
		if (rv < 0) {
			return;
		}
		e->sent += (size_t)rv;
		if (rv == 0) {
			e->writing = channel_write(e->ch, bufs, gather(e, bufs), &e->taken, on_written) == 0;
			assert_true(e->writing);
		}
	}
}

/* ---- meeting ---- */

static void on_connection(uv_stream_t *stream, int status)
{
	struct end *e = n_crowd < crowd_max ? &crowd[n_crowd++] : &server;
	uv_tcp_t *tcp = malloc(sizeof(*tcp));

	assert_int_equal(status, 0);
	uv_tcp_init(&loop, tcp);
	assert_int_equal(uv_accept(stream, (uv_stream_t *)tcp), 0);
	e->ch = channel_new(serving, tcp);
	e->ch->data = e;
	e->piece = 1000;
	assert_true(channel_serve(e->ch));
	assert_int_equal(channel_read_start(e->ch, on_alloc, on_read), 0);
	accepted = true;
}

static int listen_somewhere(void)
{
	struct sockaddr_in addr;
	int len = sizeof(addr);

	uv_ip4_addr("127.0.0.1", 0, &addr);
	uv_tcp_init(&loop, &listener);
	assert_int_equal(uv_tcp_bind(&listener, (struct sockaddr *)&addr, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&listener, 16, on_connection), 0);
	uv_tcp_getsockname(&listener, (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin_port);
}

static uv_connect_t connect_req;
static bool connected;

static void on_connect(uv_connect_t *req, int status)
{
	(void)req;
	assert_int_equal(status, 0);
	connected = true;
}

static void on_opened(struct channel *c, int status)
{
	struct end *e = c->data;

	e->opened = status == 0;
	e->open_status = status;
	snprintf(e->why, sizeof(e->why), "%s", channel_why(c));
	if (status == 0) {
		assert_int_equal(channel_read_start(c, on_alloc, on_read), 0);
		flush(e);
	}
}

#define RUN_UNTIL(truth)                                                    \
	do {                                                                \
		uint64_t end_ = uv_hrtime() + UINT64_C(60000000000);        \
		while (!(truth) && uv_hrtime() < end_) {                    \
			uv_run(&loop, UV_RUN_NOWAIT);                       \
			usleep(100);                                        \
		}                                                           \
	} while (0)

static uv_tcp_t *raw_connection(int port)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));
	struct sockaddr_in addr;

	uv_ip4_addr("127.0.0.1", port, &addr);
	uv_tcp_init(&loop, tcp);
	connected = false;
	assert_int_equal(uv_tcp_connect(&connect_req, tcp, (struct sockaddr *)&addr, on_connect), 0);
	RUN_UNTIL(connected);
	return tcp;
}

static void end_init(struct end *e)
{
	buf_close(&e->got);
	*e = (struct end){.piece = 1000};
}

static int port;

static void begin(struct side accepting)
{
	end_init(&server);
	end_init(&client);
	n_made = 0;
	accepted = false;
	serving = channels_of(accepting);
	port = listen_somewhere();
}

/* Connect, until both sides know how it went: something was said, or it failed. */
static void meet(struct channels *connecting, const char *region)
{
	int rv;

	client.ch = channel_new(connecting, raw_connection(port));
	client.ch->data = &client;
	client.out = "Dhello";
	client.out_len = 6;
	rv = channel_connect(client.ch, region, on_opened);
	assert_true(rv >= 0);
	if (rv == 1) {
		on_opened(client.ch, 0);
	}
	RUN_UNTIL(client.open_status != 0 || client.status != 0 || server.got.len >= 6);
}

static void part(struct end *e)
{
	if (e->ch != NULL) {
		hang_up(e);
	}
	RUN_UNTIL(e->closed || !e->closing);
	assert_true(e->closed || !e->closing);
	end_init(e);
}

static void finish(void)
{
	part(&client);
	part(&server);
	uv_close((uv_handle_t *)&listener, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	while (n_made > 0) {
		channels_free(channels_made[--n_made]);
		tls_free(tls_made[n_made]);
	}
}

static void assert_met(void)
{
	if (server.got.len != 6) {
		fail_msg("client: %d %s; server: %d %s", client.open_status, client.why, server.status, server.why);
	}
	assert_memory_equal(server.got.at, "Dhello", 6);
}

static void they_meet(struct side accepting, struct side connecting)
{
	begin(accepting);
	meet(channels_of(connecting), "global");
	assert_met();
	finish();
}

/* What each side says of it; NULL: it does not matter. Nothing of what was said has arrived. */
static void they_do_not(struct side accepting, struct side connecting, const char *server_why, const char *client_why)
{
	begin(accepting);
	meet(channels_of(connecting), "global");
	/* A client that does not want the server leaves without a word to it. */
	RUN_UNTIL(server.status != 0 || (server_why == NULL && client.open_status != 0));
	for (int i = 0; i < 100; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(100);
	}
	if (server_why != NULL && strstr(server.why, server_why) == NULL) {
		fail_msg("the server says \"%s\", not \"%s\"", server.why, server_why);
	}
	if (client_why != NULL && strstr(client.why, client_why) == NULL) {
		fail_msg("the client says \"%s\", not \"%s\"", client.why, client_why);
	}
	assert_int_equal(server.got.len, 0);
	finish();
}

static const struct side plain = {0};
static const struct side with_server_cert = {.cert = "server"};
static const struct side with_client_cert = {.cert = "client"};
static const struct side with_secret = {.secret = "0123456789abcdef"};

/* ---- tests ---- */

static void agents_of_the_same_kind_meet(void **state)
{
	(void)state;
	they_meet(plain, plain);
	they_meet(with_server_cert, with_server_cert);
	they_meet(with_server_cert, with_client_cert);
	they_meet(with_secret, with_secret);
	they_meet((struct side){.cert = "server", .secret = "x"}, with_client_cert);
}

static void strangers_are_turned_away(void **state)
{
	(void)state;
	they_do_not(with_server_cert, plain, "plain text, where only TLS is taken", NULL);
	they_do_not(with_server_cert, with_secret, "plain text, where only TLS is taken", "hangs up");
	they_do_not(with_server_cert, (struct side){.cert = "stranger"}, "certificate", NULL);
	they_do_not(with_server_cert, (struct side){.cert = "old"}, "has expired", NULL);
	they_do_not((struct side){.cert = "old"}, with_client_cert, NULL, "has expired");
	they_do_not((struct side){.cert = "stranger"}, with_client_cert, NULL, "unable to get local issuer");
	they_do_not(with_secret, plain, "does not know of the secret", NULL);
	they_do_not(with_secret, with_client_cert, "TLS, which is not configured here", "hangs up");
	they_do_not(with_secret, (struct side){.secret = "fedcba9876543210"}, NULL, "does not know our secret");
}

static void who_connects_wants_a_server_of_the_region(void **state)
{
	(void)state;
	they_do_not(with_client_cert, with_client_cert, NULL, "not that of server.global.nomad");
	they_do_not((struct side){.cert = "away"}, with_client_cert, NULL, "not that of server.global.nomad");
	they_do_not((struct side){.cert = "tricky"}, with_client_cert, NULL, "not that of server.global.nomad");
	they_do_not((struct side){.cert = "nameless"}, with_client_cert, NULL, "not that of server.global.nomad");
	they_meet((struct side){.cert = "nameless"}, (struct side){.cert = "client", .any_name = true});
	they_do_not(with_client_cert, (struct side){.cert = "client", .any_name = true}, NULL, "not that of server.global");
	begin((struct side){.cert = "away"});
	meet(channels_of(with_server_cert), NULL);
	assert_met();
	finish();
}

static void what_a_certificate_allows_follows_from_its_names(void **state)
{
	static const struct {
		const char *cert;
		bool any_name;
		bool server, client, cli;
	} cases[] = {{"server", false, true, true, true},    {"client", false, false, true, true},
	             {"cli", false, false, false, true},     {"nameless", false, false, false, false},
	             {"nameless", true, true, true, true},   {"client", true, false, true, true},
	             {"away", false, false, false, false},   {"away", true, false, false, false},
	             {"tricky", false, false, false, false}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin((struct side){.cert = "server", .any_name = cases[i].any_name});
		meet(channels_of((struct side){.cert = cases[i].cert}), "global");
		assert_met();
		assert_true(channel_is_tls(server.ch));
		assert_int_equal(channel_may(server.ch, CHANNEL_SERVER, "global"), cases[i].server);
		assert_int_equal(channel_may(server.ch, CHANNEL_CLIENT, "global"), cases[i].client);
		assert_int_equal(channel_may(server.ch, CHANNEL_CLI, "global"), cases[i].cli);
		assert_int_equal(channel_may(server.ch, CHANNEL_SERVER, "europe"),
		                 strcmp(cases[i].cert, "away") == 0 ||
		                         (cases[i].any_name && strcmp(cases[i].cert, "nameless") == 0));
		finish();
	}
}

static void while_a_cluster_is_changed_over_both_are_taken(void **state)
{
	const struct side upgrading = {.cert = "server", .upgrade = true};
	struct channels *connecting;

	(void)state;
	they_meet(upgrading, plain);
	they_meet(upgrading, with_client_cert);
	they_meet((struct side){.cert = "server", .upgrade = true, .secret = "s"}, (struct side){.secret = "s"});
	they_do_not((struct side){.cert = "server", .upgrade = true, .secret = "s"}, plain, "secret", NULL);
	they_do_not(upgrading, (struct side){.cert = "stranger"}, "certificate", NULL);

	/* A server without TLS hangs up at the first attempt; the next one is without, the one after that with TLS again. */
	begin(plain);
	connecting = channels_of(upgrading);
	meet(connecting, "global");
	RUN_UNTIL(server.got.len > 0);
	assert_int_equal(server.got.at[0], CHANNEL_TLS_FIRST);
	part(&server);
	RUN_UNTIL(client.open_status != 0);
	assert_non_null(strstr(client.why, "hangs up"));
	part(&client);
	meet(connecting, "global");
	assert_met();
	part(&server);
	part(&client);
	meet(connecting, "global");
	RUN_UNTIL(server.got.len > 0);
	assert_int_equal(server.got.at[0], CHANNEL_TLS_FIRST);
	finish();
}

/* Both ways at once, more than any buffer holds. */
static void carry(struct side accepting, struct side connecting, size_t piece)
{
	enum { SIZE = 3000000 };
	char *text = malloc(SIZE);
	size_t i;

	for (i = 0; i < SIZE; i++) {
		text[i] = (char)(i * 7 + i / 251);
	}
	text[0] = 'D';
	begin(accepting);
	server.piece = client.piece = piece;
	server.stops_at = 100000;
	meet(channels_of(connecting), "global");
	assert_met();
	client.out = server.out = text;
	client.out_len = server.out_len = SIZE;
	client.sent = 6;
	memcpy(text, "Dhello", 6);
	flush(&client);
	flush(&server);
	RUN_UNTIL(client.got.len == SIZE && server.stops_at == 0);
	assert_int_equal(client.got.len, SIZE);
	for (i = 0; i < 200; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		flush(&client);
		usleep(100);
	}
	assert_true(server.got.len >= 100000 && server.got.len < 100000 + piece + 1);
	assert_int_equal(channel_read_start(server.ch, on_alloc, on_read), 0);
	assert_true(server.got.len < 100000 + piece + 1); /* Nothing is read inside the call. */
	RUN_UNTIL(server.got.len == SIZE);
	assert_int_equal(server.got.len, SIZE);
	assert_memory_equal(server.got.at, text, SIZE);
	assert_memory_equal(client.got.at, text, SIZE);
	finish();
	free(text);
}

static void bytes_arrive_in_order_and_only_when_they_are_wanted(void **state)
{
	(void)state;
	carry(plain, plain, 65536);
	carry(with_server_cert, with_client_cert, 65536);
	carry(with_server_cert, with_client_cert, 777);
	carry(with_secret, with_secret, 5000);
	carry((struct side){.cert = "server", .upgrade = true}, plain, 20000);
}

static uv_tcp_t *probe_with(const void *data, size_t len)
{
	uv_tcp_t *tcp = raw_connection(port);
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);

	assert_int_equal(uv_try_write((uv_stream_t *)tcp, &buf, 1), (int)len);
	RUN_UNTIL(accepted);
	return tcp;
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void half_a_handshake_ends_with_its_connection(void **state)
{
	static const unsigned char part_of_hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
	static const unsigned char part_of_secret[] = {'K', 1, 2, 3};
	const struct side sides[] = {with_server_cert, with_secret};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		uv_tcp_t *tcp;

		begin(sides[i]);
		tcp = i == 0 ? probe_with(part_of_hello, sizeof(part_of_hello))
		             : probe_with(part_of_secret, sizeof(part_of_secret));
		uv_run(&loop, UV_RUN_NOWAIT);
		assert_int_equal(server.status, 0);
		uv_close((uv_handle_t *)tcp, free_handle);
		RUN_UNTIL(server.status != 0);
		assert_int_equal(server.status, UV_EOF);
		finish();
	}
}

static void what_is_no_handshake_is_refused(void **state)
{
	static const char *const texts[] = {"\x16garbage garbage garbage garbage", "GET / HTTP/1.1\r\n\r\n", "R", "D"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uv_tcp_t *tcp;

		begin(with_server_cert);
		tcp = probe_with(texts[i], strlen(texts[i]));
		RUN_UNTIL(server.status != 0);
		assert_int_equal(server.status, UV_EPROTO);
		assert_int_equal(server.got.len, 0);
		uv_close((uv_handle_t *)tcp, free_handle);
		finish();
	}
}

static void bytes_that_were_changed_on_their_way_end_the_connection(void **state)
{
	static const char junk[] = "\x17\x03\x03\x00\x20 this was never encrypted by us..";
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)junk, sizeof(junk) - 1);

	(void)state;
	begin(with_server_cert);
	meet(channels_of(with_client_cert), "global");
	assert_met();
	assert_int_equal(uv_try_write((uv_stream_t *)client.ch->tcp, &buf, 1), (int)buf.len);
	RUN_UNTIL(server.status != 0);
	assert_int_equal(server.status, UV_EPROTO);
	assert_non_null(strstr(server.why, "TLS: "));
	assert_int_equal(server.got.len, 6);
	finish();
}

/* What was said by one who knows the secret is of no use to others. */
static void an_old_handshake_cannot_be_played_again(void **state)
{
	char said[1 + 1 + 32 + 32] = "K\x01";
	uv_tcp_t *tcp;

	(void)state;
	memset(said + 2, 'n', 64);
	begin(with_secret);
	tcp = probe_with(said, sizeof(said));
	RUN_UNTIL(server.status != 0);
	assert_int_equal(server.status, UV_EPROTO);
	assert_non_null(strstr(server.why, "does not know the secret"));
	uv_close((uv_handle_t *)tcp, free_handle);
	finish();
}

static void the_other_side_sees_an_end_in_order(void **state)
{
	(void)state;
	begin(with_server_cert);
	meet(channels_of(with_client_cert), "global");
	assert_met();
	hang_up(&client);
	RUN_UNTIL(server.status != 0 && client.closed);
	assert_int_equal(server.status, UV_EOF);
	finish();
}

static unsigned n_met(void)
{
	unsigned n = 0;
	unsigned i;

	for (i = 0; i < CROWD; i++) {
		n += crowd[i].got.len == 6;
	}
	return n;
}

/* With next to no time for handshakes in each turn they all come to an end, one after the other. */
static void a_crowd_is_served_in_turns(void **state)
{
	static struct end guests[CROWD];
	struct channels *connecting;
	uv_tcp_t *tcps[CROWD];
	unsigned i;

	(void)state;
	begin((struct side){.cert = "server", .turn_us = 1});
	connecting = channels_of((struct side){.cert = "client", .turn_us = 1});
	memset(crowd, 0, sizeof(crowd));
	n_crowd = 0;
	crowd_max = CROWD;
	for (i = 0; i < CROWD; i++) {
		tcps[i] = raw_connection(port);
	}
	for (i = 0; i < CROWD; i++) {
		end_init(&guests[i]);
		guests[i].ch = channel_new(connecting, tcps[i]);
		guests[i].ch->data = &guests[i];
		guests[i].out = "Dhello";
		guests[i].out_len = 6;
		assert_int_equal(channel_connect(guests[i].ch, "global", on_opened), 0);
	}
	for (i = 0; i < 3; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_true(n_met() < CROWD);
	RUN_UNTIL(n_met() == CROWD);
	assert_int_equal(n_met(), CROWD);
	crowd_max = 0;
	for (i = 0; i < CROWD; i++) {
		part(&guests[i]);
		part(&crowd[i]);
	}
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(agents_of_the_same_kind_meet),
	        cmocka_unit_test(strangers_are_turned_away),
	        cmocka_unit_test(who_connects_wants_a_server_of_the_region),
	        cmocka_unit_test(what_a_certificate_allows_follows_from_its_names),
	        cmocka_unit_test(while_a_cluster_is_changed_over_both_are_taken),
	        cmocka_unit_test(bytes_arrive_in_order_and_only_when_they_are_wanted),
	        cmocka_unit_test(a_crowd_is_served_in_turns),
	        cmocka_unit_test(half_a_handshake_ends_with_its_connection),
	        cmocka_unit_test(what_is_no_handshake_is_refused),
	        cmocka_unit_test(bytes_that_were_changed_on_their_way_end_the_connection),
	        cmocka_unit_test(an_old_handshake_cannot_be_played_again),
	        cmocka_unit_test(the_other_side_sees_an_end_in_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
