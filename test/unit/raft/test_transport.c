/* Two transports on one loop, in plain text and in TLS, and strangers. SEED=N chooses other garbage. */
#include "test/unit/raft/files.h"

#include "test/unit/ipv6.h"

#include "lib/list.h"
#include "lib/log.h"
#include "lib/tls.h"
#include "proto/error.h"
#include "raft/transport_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <raft.h>
#include <sys/socket.h>

#include "test/unit/certs.h"

static uv_loop_t loop;
static struct channels *channels, *of_client; /* NULL: plain text. */

/* --- a side --- */

struct side {
	struct transport t;
	struct dir dir;
	char address[64];
	unsigned n_received;
	unsigned n_entries;
	size_t n_bytes;
	uint64_t last_term;
	char image[SNAPSHOT_NAME]; /* The last file that came. */
	bool installing;
	unsigned n_lost;
	unsigned n_refused;
	unsigned n_others;
	char other_first;
	char other_listener[TRANSPORT_LISTENER_NAME];
	uint64_t learned;
	bool closed;
};

static bool on_recv(struct transport *t, struct wire_message *m)
{
	struct side *s = t->data;

	if (m->type == WIRE_REMOVED) {
		s->learned = m->conf_index;
		return false;
	}
	s->n_received++;
	if (m->type == WIRE_FILE) {
		const struct raft_buffer *data = &m->raft.install_snapshot.data;

		snprintf(s->image, sizeof(s->image), "%s", snapshot_image_name(data->base, data->len));
		assert_int_equal(snapshot_verify(t->dirfd, s->image), 0);
		wire_message_close(m);
		return s->installing;
	}
	if (m->raft.type == RAFT_APPEND_ENTRIES) {
		const struct raft_append_entries *a = &m->raft.append_entries;

		s->n_entries += a->n_entries;
		for (unsigned i = 0; i < a->n_entries; i++) {
			s->n_bytes += a->entries[i].buf.len;
			assert_int_equal(((char *)a->entries[i].buf.base)[0], (char)(a->prev_log_index + 1 + i));
		}
		s->last_term = a->term;
	}
	wire_message_close(m);
	return false;
}

static void on_origin(struct transport *t, uint64_t origin)
{
	t->origin = origin;
}

static void on_lost(struct transport *t, uint64_t id)
{
	(void)id;
	((struct side *)t->data)->n_lost++;
}

static void on_refused(struct transport *t, uint64_t id)
{
	(void)id;
	((struct side *)t->data)->n_refused++;
}

static void on_other(struct transport *t, struct channel *ch, const char *listener, char first)
{
	struct side *s = t->data;

	s->n_others++;
	s->other_first = first;
	snprintf(s->other_listener, sizeof(s->other_listener), "%s", listener);
	channel_close(ch, NULL);
}

static void on_close(struct transport *t)
{
	((struct side *)t->data)->closed = true;
}

static void side_listen(struct side *s, const char *host)
{
	char text[256];
	char where[80];

	snprintf(where, sizeof(where), "%s:0", host);
	assert_int_equal(transport_listen(&s->t, where, "rpc", true, text, sizeof(text)), 0);
	snprintf(s->address, sizeof(s->address), "%s:%u", host, transport_port(&s->t, "rpc"));
}

static void side_init(struct side *s, uint64_t id, const char *host)
{
	memset(s, 0, sizeof(*s));
	dir_open(&s->dir);
	s->t = (struct transport){.loop = &loop,
				  .dirfd = s->dir.fd,
				  .id = id,
				  .address = s->address,
				  .cluster = 5,
				  .channels = channels,
				  .region = "global",
				  .connect_ms = 300,
				  .handshake_ms = 200,
				  .data = s,
				  .recv_cb = on_recv,
				  .origin_cb = on_origin,
				  .lost_cb = on_lost,
				  .refused_cb = on_refused,
				  .other_cb = on_other,
				  .close_cb = on_close};
	assert_int_equal(transport_init(&s->t), 0);
	if (host != NULL) {
		side_listen(s, host);
	}
}

static void side_close(struct side *s)
{
	transport_close(&s->t);
	while (!s->closed) {
		uv_run(&loop, UV_RUN_ONCE);
	}
	transport_free(&s->t);
	dir_close(&s->dir);
}

/* Runs the loop, as io.c does, until it is true, or for a while: where that is a second, what is to come may take a
 * minute more. */
#define RUN_UNTIL(truth, ms, ...)                                                                                      \
	do {                                                                                                           \
		struct side *all_[] = {__VA_ARGS__};                                                                   \
		uint64_t end_ = uv_hrtime() / 1000000 + (ms) + ((ms) < 1000 ? 0 : 60000);                              \
		while (!(truth) && uv_hrtime() / 1000000 < end_) {                                                     \
			for (size_t i_ = 0; i_ < sizeof(all_) / sizeof(*all_); i_++) {                                 \
				transport_tick(&all_[i_]->t);                                                          \
				transport_flush(&all_[i_]->t);                                                         \
			}                                                                                              \
			uv_run(&loop, UV_RUN_NOWAIT);                                                                  \
			usleep(200);                                                                                   \
		}                                                                                                      \
	} while (0)

/* --- sending --- */

static unsigned n_sent[2]; /* Well, and not. */

static void on_sent(struct raft_io_send *req, int status)
{
	n_sent[status != 0]++;
	free(req);
}

static void send_message(struct side *from, struct side *to, const struct raft_message *message)
{
	struct raft_io_send *req = calloc(1, sizeof(*req));
	struct raft_message m = *message;

	m.server_id = to->t.id;
	m.server_address = to->address;
	req->cb = on_sent;
	transport_send(&from->t, req, &m, 0);
}

static void send_vote(struct side *from, struct side *to)
{
	struct raft_message m = {.type = RAFT_REQUEST_VOTE, .request_vote = {.term = 1, .candidate_id = from->t.id}};

	send_message(from, to, &m);
}

/* n entries of that size behind index `prev`; the data must live until they are sent. */
static void send_entries(struct side *from, struct side *to, unsigned n, size_t size, char *data, uint64_t prev)
{
	struct raft_entry *entries = calloc(n, sizeof(*entries));
	struct raft_message m = {
		.type = RAFT_APPEND_ENTRIES,
		.append_entries = {
			.term = 3, .prev_log_index = prev, .prev_log_term = 2, .entries = entries, .n_entries = n}};

	for (unsigned i = 0; i < n; i++) {
		data[i * size] = (char)(prev + 1 + i);
		entries[i] = (struct raft_entry){.term = 3, .type = RAFT_COMMAND, .buf = {data + i * size, size}};
	}
	send_message(from, to, &m);
	free(entries);
}

static void messages_go_both_ways_between(const char *host_a, const char *host_b)
{
	struct side a, b;

	side_init(&a, 1, host_a);
	side_init(&b, 2, host_b);
	send_vote(&a, &b);
	send_vote(&b, &a);
	RUN_UNTIL(a.n_received > 0 && b.n_received > 0, 3000, &a, &b);
	assert_int_equal(a.n_received, 1);
	assert_int_equal(b.n_received, 1);
	side_close(&a);
	side_close(&b);
}

static void addresses_are_numbers_or_names(void **state)
{
	(void)state;
	messages_go_both_ways_between("127.0.0.1", "127.0.0.2");
	if (has_ipv6()) {
		messages_go_both_ways_between("localhost", "[::1]");
	}
}

static void a_long_message_is_cut_and_arrives_whole(void **state)
{
	enum { N = 40, SIZE = 300 << 10 };
	char *data = calloc(N, SIZE);
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	n_sent[0] = 0;
	send_entries(&a, &b, N, SIZE, data, 10);
	RUN_UNTIL(b.n_entries == N, 10000, &a, &b);
	assert_int_equal(b.n_entries, N);
	assert_int_equal(b.n_bytes, (size_t)N * SIZE);
	assert_true(b.n_received >= 12);
	RUN_UNTIL(n_sent[0] == 1, 1000, &a, &b);
	assert_int_equal(n_sent[0], 1);
	assert_true(b.t.inlets->buf == NULL); /* Nothing is kept between frames. */
	side_close(&a);
	side_close(&b);
	free(data);
}

static void nothing_leaves_while_it_is_held(void **state)
{
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	a.t.held = true;
	send_vote(&a, &b);
	RUN_UNTIL(b.n_received > 0, 100, &a, &b);
	assert_int_equal(b.n_received, 0);
	a.t.held = false;
	RUN_UNTIL(b.n_received > 0, 2000, &a, &b);
	assert_int_equal(b.n_received, 1);
	side_close(&a);
	side_close(&b);
}

static void entries_of_an_ended_term_are_forgotten(void **state)
{
	char data[64] = {0};
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	a.t.held = true;
	n_sent[0] = n_sent[1] = 0;
	send_entries(&a, &b, 2, 16, data, 10);
	send_vote(&a, &b);
	transport_forget(&a.t);
	assert_int_equal(n_sent[1], 1);
	a.t.held = false;
	RUN_UNTIL(b.n_received > 0, 2000, &a, &b);
	assert_int_equal(b.n_received, 1);
	assert_int_equal(b.n_entries, 0);
	side_close(&a);
	side_close(&b);
}

static void a_server_that_is_not_there_costs_nothing(void **state)
{
	struct side a, b;
	char data[64] = {0};

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	side_close(&b);
	n_sent[0] = n_sent[1] = 0;
	for (unsigned i = 0; i < 1000; i++) {
		send_entries(&a, &b, 1, 16, data, 10);
	}
	assert_true(n_sent[1] >= 990);
	RUN_UNTIL(n_sent[1] == 1000, 2000, &a);
	assert_int_equal(n_sent[1], 1000);
	assert_int_equal(a.n_refused, 1);
	side_close(&a);
}

static void a_server_that_reads_nothing_fills_a_bounded_queue(void **state)
{
	enum { SIZE = 1 << 20 };
	char *data = calloc(1, SIZE);
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(where);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct side a, b = {.t = {.id = 2}};

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&where, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&where, &len);
	snprintf(b.address, sizeof(b.address), "127.0.0.1:%u", ntohs(where.sin_port));
	side_init(&a, 1, "127.0.0.1");
	for (unsigned i = 0; i < 100; i++) {
		send_entries(&a, &b, 1, SIZE, data, 10);
		RUN_UNTIL(false, 2, &a);
	}
	assert_true(a.t.peers[0]->queued <= TRANSPORT_MAX_QUEUE + 2 * SIZE);
	assert_true(a.t.dropped > 20);
	side_close(&a);
	close(fd);
	free(data);
}

static void servers_of_another_cluster_are_turned_away(void **state)
{
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	a.t.cluster = 6;
	send_vote(&a, &b);
	RUN_UNTIL(b.n_received > 0, 200, &a, &b);
	assert_int_equal(b.n_received, 0);
	a.t.cluster = 5;
	a.t.origin = 77; /* The first that greets us tells the origin, */
	RUN_UNTIL(false, 100, &a, &b);
	send_vote(&a, &b);
	RUN_UNTIL(b.n_received > 0, 2000, &a, &b);
	assert_int_equal(b.n_received, 1);
	assert_int_equal(b.t.origin, 77);
	a.t.origin = 78; /* and no other is taken after it. */
	transport_probe(&a.t, 2);
	send_vote(&a, &b);
	RUN_UNTIL(b.n_received > 1, 200, &a, &b);
	assert_int_equal(b.n_received, 1);
	side_close(&a);
	side_close(&b);
}

static void the_end_of_a_server_is_noticed(void **state)
{
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	send_vote(&a, &b);
	RUN_UNTIL(b.n_received > 0, 2000, &a, &b);
	side_close(&a);
	RUN_UNTIL(b.n_lost > 0, 2000, &b);
	assert_int_equal(b.n_lost, 1);
	transport_probe(&b.t, 1);
	RUN_UNTIL(b.n_refused > 0, 2000, &b);
	assert_int_equal(b.n_refused, 1);
	side_close(&b);
}

/* --- strangers --- */

static int stranger(struct side *s, const void *data, size_t len)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	where.sin_port = htons((uint16_t)transport_port(&s->t, "rpc"));
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	if (len > 0) {
		assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
	}
	return fd;
}

static bool is_ended(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void others_get_their_connections(void **state)
{
	struct side a;
	char text[64];
	int fd;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	fd = stranger(&a, "Drover", 6);
	RUN_UNTIL(a.n_others > 0, 1000, &a);
	assert_int_equal(a.n_others, 1);
	assert_int_equal(a.other_first, 'D');
	assert_string_equal(a.other_listener, "rpc");
	assert_int_equal(a.t.n_inlets, 0);
	close(fd);
	side_close(&a);
	/* Where Raft is not served, its byte is as any other. */
	side_init(&a, 1, NULL);
	assert_int_equal(transport_listen(&a.t, "127.0.0.1:0", "rpc", false, text, sizeof(text)), 0);
	fd = stranger(&a, "R", 1);
	RUN_UNTIL(a.n_others > 0, 1000, &a);
	assert_int_equal(a.other_first, 'R');
	close(fd);
	side_close(&a);
}

static void who_does_not_say_what_it_is_must_go(void **state)
{
	struct side a;
	int silent, half;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	silent = stranger(&a, "", 0);
	half = stranger(&a, "R\1\0\0", 4);
	RUN_UNTIL(a.t.n_inlets == 2, 1000, &a);
	assert_int_equal(a.t.n_strangers, 2);
	RUN_UNTIL(a.t.n_inlets == 0, 1000, &a);
	assert_true(is_ended(silent) && is_ended(half));
	close(silent);
	close(half);
	side_close(&a);
}

/* 'R', a good greeting, and what the caller says. */
static int greeted(struct side *s, uint64_t id, const void *data, size_t len)
{
	char bytes[1 + sizeof(struct wire_hello) + 4096] = {WIRE_FIRST};
	struct wire_hello h;

	wire_hello_make(&h, WIRE_MESSAGES, 5, 0, id, "127.0.0.1:9");
	memcpy(bytes + 1, &h, sizeof(h));
	memcpy(bytes + 1 + sizeof(h), data, len);
	return stranger(s, bytes, 1 + sizeof(h) + len);
}

static void a_frame_longer_than_allowed_ends_the_connection(void **state)
{
	struct wire_frame f = {.len = WIRE_MAX_FRAME + 1};
	struct side a;
	int fd;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	fd = greeted(&a, 9, &f, sizeof(f));
	RUN_UNTIL(is_ended(fd), 1000, &a);
	assert_true(is_ended(fd));
	assert_int_equal(a.t.n_inlets, 0);
	close(fd);
	/* One that is allowed, and does not come, takes no memory for what it promises. */
	f.len = WIRE_MAX_FRAME;
	fd = greeted(&a, 9, &f, sizeof(f));
	RUN_UNTIL(a.t.inlets != NULL && a.t.inlets->fill > 0, 1000, &a);
	assert_true(a.t.inlets->cap < 4096);
	close(fd);
	side_close(&a);
}

static void garbage_ends_the_connection(void **state)
{
	const char *text = getenv("SEED");
	unsigned seed = text != NULL ? (unsigned)atoi(text) : 1;
	struct side a;

	(void)state;
	print_message("seed %u\n", seed);
	side_init(&a, 1, "127.0.0.1");
	srand(seed);
	for (unsigned i = 0; i < 300; i++) {
		char junk[2000];
		size_t len = (size_t)(rand() % (int)sizeof(junk));
		int fd;

		for (size_t k = 0; k < len; k++) {
			junk[k] = (char)(rand() % 256);
		}
		junk[0] = WIRE_FIRST;
		if (i % 2 == 0) { /* A short frame: its checksum is wrong, or its length goes beyond. */
			uint32_t size = (uint32_t)(rand() % 3000);

			memcpy(junk, &size, sizeof(size));
			fd = greeted(&a, 9, junk, len);
		} else {
			fd = stranger(&a, junk, len);
		}
		RUN_UNTIL(false, 1, &a);
		close(fd);
	}
	RUN_UNTIL(a.t.n_inlets == 0, 2000, &a);
	assert_int_equal(a.t.n_inlets, 0);
	assert_int_equal(a.t.n_strangers, 0);
	assert_int_equal(a.n_received, 0);
	side_close(&a);
}

static void too_many_connections_are_closed(void **state)
{
	static int fds[TRANSPORT_MAX_INLETS + 20];
	struct side a;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	a.t.handshake_ms = 60000;
	for (unsigned i = 0; i < TRANSPORT_MAX_INLETS + 20; i++) {
		fds[i] = greeted(&a, 1000 + i, "", 0);
		RUN_UNTIL(a.t.n_inlets > i && a.t.n_strangers == 0, 20, &a);
	}
	RUN_UNTIL(a.t.n_strangers == 0, 1000, &a);
	assert_in_range(a.t.n_inlets, TRANSPORT_MAX_INLETS - 1, TRANSPORT_MAX_INLETS + 1);
	for (unsigned i = 0; i < TRANSPORT_MAX_INLETS + 20; i++) {
		close(fds[i]);
	}
	side_close(&a);
}

static void one_address_alone_cannot_take_all_places(void **state)
{
	int fds[8];
	unsigned ended = 0;
	struct side a;
	int other;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	a.t.handshake_ms = 60000;
	a.t.per_address = 5;
	for (unsigned i = 0; i < 8; i++) {
		fds[i] = stranger(&a, "", 0);
	}
	RUN_UNTIL(a.t.n_inlets == 5 && is_ended(fds[7]), 1000, &a);
	for (unsigned i = 0; i < 8; i++) {
		ended += is_ended(fds[i]);
	}
	assert_int_equal(ended, 3);
	close(fds[0]);
	RUN_UNTIL(a.t.n_inlets == 4, 1000, &a);
	other = greeted(&a, 9, "", 0);
	RUN_UNTIL(a.t.n_inlets == 5 && a.t.n_strangers == 4, 1000, &a);
	assert_false(is_ended(other));
	for (unsigned i = 1; i < 8; i++) {
		close(fds[i]);
	}
	close(other);
	side_close(&a);
}

static void a_frame_that_comes_too_slowly_ends_the_connection(void **state)
{
	const uint32_t frame[2] = {1000, 0};
	struct side a;
	int slow, idle;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	a.t.frame_ms = 200;
	idle = greeted(&a, 8, "", 0);
	slow = greeted(&a, 9, frame, sizeof(frame));
	for (int i = 0; i < 100 && !is_ended(slow); i++) {
		(void)send(slow, "x", 1, MSG_NOSIGNAL);
		RUN_UNTIL(false, 10, &a);
	}
	assert_true(is_ended(slow));
	assert_false(is_ended(idle));
	close(slow);
	close(idle);
	side_close(&a);
}

static void a_server_that_comes_back_replaces_its_old_connection(void **state)
{
	struct side a;
	int old, new;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	old = greeted(&a, 9, "", 0);
	RUN_UNTIL(a.t.n_inlets == 1 && a.t.n_strangers == 0, 1000, &a);
	new = greeted(&a, 9, "", 0);
	RUN_UNTIL(is_ended(old), 1000, &a);
	assert_true(is_ended(old));
	assert_false(is_ended(new));
	assert_int_equal(a.t.n_inlets, 1);
	assert_int_equal(a.n_lost, 0);
	close(old);
	close(new);
	side_close(&a);
}

/* --- snapshots --- */

enum { IMAGE = 3 << 20 };

static void snapshot_make(struct side *s, char name[SNAPSHOT_NAME])
{
	struct snapshot_meta meta = {.index = 9, .term = 2, .conf_index = 1, .conf = "", .conf_len = 0};
	struct snapshot_writer w;
	uint64_t size;

	snapshot_name(name, 9, 2);
	assert_int_equal(snapshot_create(&w, s->dir.fd, &meta), 0);
	for (unsigned i = 0; i < IMAGE; i += 1000) {
		char piece[1000];

		memset(piece, (int)(i / 1000), sizeof(piece));
		snapshot_write(&w, piece, sizeof(piece));
	}
	assert_int_equal(snapshot_finish(&w, name, &size), 0);
}

static void send_snapshot(struct side *from, struct side *to, const char *name)
{
	struct raft_message m = {.type = RAFT_INSTALL_SNAPSHOT,
				 .install_snapshot = {.term = 3, .last_index = 9, .last_term = 2, .conf_index = 1}};
	struct snapshot_image *image = snapshot_image_new(name);

	raft_configuration_init(&m.install_snapshot.conf);
	assert_int_equal(raft_configuration_add(&m.install_snapshot.conf, 1, "a:1", RAFT_VOTER), 0);
	m.install_snapshot.data = (struct raft_buffer){image, sizeof(*image)};
	send_message(from, to, &m);
	raft_configuration_close(&m.install_snapshot.conf);
	raft_free(image);
}

static void a_snapshot_arrives_whole_and_once(void **state)
{
	char name[SNAPSHOT_NAME];
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	snapshot_make(&a, name);
	n_sent[1] = 0;
	b.installing = true;
	send_snapshot(&a, &b, name);
	send_snapshot(&a, &b, name); /* One at a time. */
	assert_int_equal(n_sent[1], 1);
	send_vote(&a, &b); /* Messages flow meanwhile. */
	RUN_UNTIL(b.image[0] != 0, 5000, &a, &b);
	assert_int_equal(b.n_received, 2);
	assert_true(file_exists(&b.dir, b.image));
	assert_int_equal(file_size(&b.dir, b.image), file_size(&a.dir, name));
	assert_non_null(a.t.peers[0]->bulk); /* It waits until it is installed. */
	transport_installed(&b.t);
	RUN_UNTIL(a.t.peers[0]->bulk == NULL, 2000, &a, &b);
	assert_null(a.t.peers[0]->bulk);
	assert_true(file_exists(&b.dir, b.image)); /* Whoever installs it owns it. */
	side_close(&a);
	side_close(&b);
}

static void a_snapshot_that_is_not_wanted_is_removed(void **state)
{
	char name[SNAPSHOT_NAME];
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	snapshot_make(&a, name);
	send_snapshot(&a, &b, name);
	RUN_UNTIL(b.image[0] != 0, 5000, &a, &b);
	RUN_UNTIL(a.t.peers[0]->bulk == NULL, 2000, &a, &b);
	assert_int_equal(file_count(&b.dir, "incoming", NULL), 0);
	side_close(&a);
	side_close(&b);
}

static void a_damaged_snapshot_does_not_arrive(void **state)
{
	char name[SNAPSHOT_NAME];
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.1");
	snapshot_make(&a, name);
	file_flip(&a.dir, name, IMAGE / 2, 1);
	send_snapshot(&a, &b, name);
	RUN_UNTIL(a.t.n_peers > 0 && a.t.peers[0]->bulk == NULL, 5000, &a, &b);
	assert_int_equal(b.n_received, 0);
	assert_int_equal(file_count(&b.dir, "incoming", NULL), 0);
	side_close(&a);
	side_close(&b);
}

static void the_end_may_come_at_any_step_of_a_snapshot(void **state)
{
	(void)state;
	for (unsigned steps = 0; steps < 60; steps += 2) {
		char name[SNAPSHOT_NAME];
		struct side a, b;

		side_init(&a, 1, "127.0.0.1");
		side_init(&b, 2, "127.0.0.1");
		snapshot_make(&a, name);
		send_snapshot(&a, &b, name);
		for (unsigned i = 0; i < steps; i++) {
			transport_flush(&a.t);
			uv_run(&loop, UV_RUN_NOWAIT);
			usleep(100);
		}
		if (steps % 4 == 0) {
			side_close(&a);
			side_close(&b);
		} else {
			side_close(&b);
			side_close(&a);
		}
	}
}

static void the_certificate_of_a_client_does_not_reach_raft(void **state)
{
	struct side a, b;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	side_init(&b, 2, "127.0.0.2");
	send_vote(&b, &a);
	RUN_UNTIL(a.n_received == 1, 1000, &a, &b);
	assert_int_equal(a.n_received, 1);
	side_close(&b);
	side_init(&b, 2, "127.0.0.2");
	b.t.channels = of_client;
	RUN_UNTIL(a.t.n_inlets == 0, 1000, &a);
	send_vote(&b, &a);
	RUN_UNTIL(b.n_lost == 1, 1000, &a, &b);
	assert_int_equal(b.n_lost, 1);
	assert_int_equal(a.n_received, 1);
	assert_int_equal(a.t.n_inlets, 0);
	side_close(&a);
	side_close(&b);
}

static void a_handshake_that_takes_too_long_is_cut(void **state)
{
	struct side a;
	int fd;

	(void)state;
	side_init(&a, 1, "127.0.0.1");
	fd = stranger(&a, "\x16\x03\x01\x02", 4);
	RUN_UNTIL(a.t.n_strangers == 1, 1000, &a);
	RUN_UNTIL(false, 100, &a);
	assert_false(is_ended(fd));
	RUN_UNTIL(is_ended(fd), 1000, &a);
	assert_true(is_ended(fd));
	assert_int_equal(a.t.n_strangers, 0);
	close(fd);
	side_close(&a);
}

static char certs[64];
static struct tls *tls[2];

static struct channels *secured(const char *cert, const char *key, struct tls **set)
{
	const struct tls_config config = {.ca_file = certs_path(certs, "ca.pem"),
					  .cert_file = certs_path(certs, cert),
					  .key_file = certs_path(certs, key),
					  .clients = TLS_CLIENTS_KNOWN};
	char why[TLS_WHY] = "";

	*set = tls_new(&config, why);
	assert_string_equal(why, "");
	return channels_new(&(struct channels_config){.tls = *set, .verify_names = true, .region = "global"});
}

static int secure_open(void **state)
{
	struct authority a;

	(void)state;
	certs_directory(certs);
	a = certs_authority(certs, "ca");
	certs_make(&a, certs, "server", "server.global.nomad", 30);
	certs_make(&a, certs, "client", "client.global.nomad", 30);
	certs_authority_close(&a);
	channels = secured("server.pem", "server-key.pem", &tls[0]);
	of_client = secured("client.pem", "client-key.pem", &tls[1]);
	return uv_loop_init(&loop);
}

static int loop_open(void **state)
{
	(void)state;
	return uv_loop_init(&loop);
}

static int loop_end(void **state)
{
	(void)state;
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static int secure_end(void **state)
{
	int rv = loop_end(state);

	channels_free(channels);
	channels_free(of_client);
	tls_free(tls[0]);
	tls_free(tls[1]);
	certs_remove(certs);
	return rv;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_numbers_or_names),
		cmocka_unit_test(a_long_message_is_cut_and_arrives_whole),
		cmocka_unit_test(nothing_leaves_while_it_is_held),
		cmocka_unit_test(entries_of_an_ended_term_are_forgotten),
		cmocka_unit_test(a_server_that_is_not_there_costs_nothing),
		cmocka_unit_test(a_server_that_reads_nothing_fills_a_bounded_queue),
		cmocka_unit_test(servers_of_another_cluster_are_turned_away),
		cmocka_unit_test(the_end_of_a_server_is_noticed),
		cmocka_unit_test(others_get_their_connections),
		cmocka_unit_test(who_does_not_say_what_it_is_must_go),
		cmocka_unit_test(a_frame_longer_than_allowed_ends_the_connection),
		cmocka_unit_test(garbage_ends_the_connection),
		cmocka_unit_test(too_many_connections_are_closed),
		cmocka_unit_test(one_address_alone_cannot_take_all_places),
		cmocka_unit_test(a_frame_that_comes_too_slowly_ends_the_connection),
		cmocka_unit_test(a_server_that_comes_back_replaces_its_old_connection),
		cmocka_unit_test(a_snapshot_arrives_whole_and_once),
		cmocka_unit_test(a_snapshot_that_is_not_wanted_is_removed),
		cmocka_unit_test(a_damaged_snapshot_does_not_arrive),
		cmocka_unit_test(the_end_may_come_at_any_step_of_a_snapshot),
	};

	const struct CMUnitTest in_tls[] = {
		cmocka_unit_test(addresses_are_numbers_or_names),
		cmocka_unit_test(a_long_message_is_cut_and_arrives_whole),
		cmocka_unit_test(nothing_leaves_while_it_is_held),
		cmocka_unit_test(entries_of_an_ended_term_are_forgotten),
		cmocka_unit_test(a_server_that_is_not_there_costs_nothing),
		cmocka_unit_test(servers_of_another_cluster_are_turned_away),
		cmocka_unit_test(the_end_of_a_server_is_noticed),
		cmocka_unit_test(a_snapshot_arrives_whole_and_once),
		cmocka_unit_test(a_snapshot_that_is_not_wanted_is_removed),
		cmocka_unit_test(a_damaged_snapshot_does_not_arrive),
		cmocka_unit_test(the_end_may_come_at_any_step_of_a_snapshot),
		cmocka_unit_test(who_does_not_say_what_it_is_must_go),
		cmocka_unit_test(the_certificate_of_a_client_does_not_reach_raft),
		cmocka_unit_test(a_handshake_that_takes_too_long_is_cut),
	};
	int failed;

	log_set_level(LOG_OFF);
	failed = cmocka_run_group_tests(tests, loop_open, loop_end);
	return failed + cmocka_run_group_tests(in_tls, secure_open, secure_end);
}
