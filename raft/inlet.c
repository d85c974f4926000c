/* Everything that comes in: the first byte, the greeting, frames, a snapshot's bytes. */
#include "raft/transport_parts.h"

#include "lib/crc.h"
#include "lib/list.h"
#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A fuzzer cannot guess checksums: its build takes any. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define CRC_EQUAL(a, b) ((void)(a), (void)(b), true)
#else
#define CRC_EQUAL(a, b) ((a) == (b))
#endif

enum { MIN_BUF = 512, KEEPALIVE_S = 30 };

/* --- the end of a connection --- */

static void inlet_free(struct inlet *c)
{
	free(c->buf);
	free(c);
}

static void on_closed(void *inlet)
{
	struct inlet *c = inlet;
	struct transport *t = c->t;

	c->ch = NULL;
	if (!c->working) {
		inlet_free(c); /* Else file_done() does. */
	}
	transport_gone(t);
}

static void unlist(struct inlet *c)
{
	*c->prev = c->next;
	if (c->next != NULL) {
		c->next->prev = c->prev;
	}
	c->t->n_inlets--;
	c->t->n_strangers -= c->stage < INLET_FRAMES;
}

/* A file that is of no use goes, and with it what the message points to. */
static void file_drop(struct inlet *c)
{
	if (c->fd >= 0) {
		close(c->fd);
		c->fd = -1;
	}
	if (c->stage == INLET_FILE_DATA) {
		wire_message_close(&c->message);
	}
	if (c->name[0] != 0) {
		unlinkat(c->t->dirfd, c->name, 0);
	}
}

void inlet_close(struct inlet *c)
{
	bool was_server = c->stage == INLET_FRAMES && c->kind == WIRE_MESSAGES;

	if (c->closing) {
		return;
	}
	c->closing = true;
	if (c->stage >= INLET_FILE_DATA && !c->working) {
		file_drop(c);
	}
	unlist(c);
	channel_close(c->ch, on_closed);
	if (was_server && !c->t->closing) {
		c->t->lost_cb(c->t, c->id);
	}
}

/* --- greeting --- */

/* A server speaks over one connection: those before it have ended without our hearing of it. */
static void close_older(const struct inlet *c)
{
	struct inlet *next;

	for (struct inlet *old = c->t->inlets; old != NULL; old = next) {
		next = old->next;
		if (old != c && old->id == c->id && old->stage == INLET_FRAMES && old->kind == WIRE_MESSAGES) {
			old->kind = 0; /* This is no sign that the server has gone. */
			inlet_close(old);
		}
	}
}

static bool same_cluster(struct transport *t, const struct wire_hello *h)
{
	if (h->cluster != t->cluster) {
		return false;
	}
	if (h->origin != 0 && t->origin == 0) {
		t->origin_cb(t, h->origin);
	}
	return h->origin == 0 || h->origin == t->origin;
}

/* False: not one of ours. */
static bool on_hello(struct inlet *c, const struct wire_hello *h)
{
	if (!wire_hello_valid(h)) {
		return false;
	}
	if (!same_cluster(c->t, h)) {
		log_warn("raft", "server %016llx at %s is of another cluster: turned away", (unsigned long long)h->id,
			 h->address);
		return false;
	}
	if (h->id == c->t->id) {
		log_warn("raft", "%s says that it has our own ID: turned away", h->address);
		return false;
	}
	c->id = h->id;
	c->kind = h->kind;
	memcpy(c->address, h->address, sizeof(c->address));
	c->stage = INLET_FRAMES;
	c->t->n_strangers--;
	uv_tcp_keepalive(c->ch->tcp, 1, KEEPALIVE_S);
	if (c->kind == WIRE_MESSAGES) {
		close_older(c);
	}
	peer_greeted(c->t, c->id, c->address);
	return true;
}

/* --- a file --- */

static void file_write(struct inlet *c)
{
	int rc = disk_put(DISK_INCOMING, c->fd, c->buf, c->fill, c->at);

	c->at += c->fill;
	c->left -= c->fill;
	c->unsynced += c->fill;
	if (rc == 0 && c->unsynced >= SNAPSHOT_SYNC) {
		c->unsynced = 0;
		rc = disk_sync(DISK_INCOMING, c->fd);
	}
	if (rc == 0 && c->left == 0) {
		rc = disk_sync_all(DISK_INCOMING, c->fd);
	}
	if (rc == 0 && c->left == 0) {
		rc = snapshot_verify(c->t->dirfd, c->name);
	}
	c->status = rc;
}

/* The whole room is asked for at first: it is better to know at once that there is none. */
static void file_work(uv_work_t *work)
{
	struct inlet *c = CONTAINER_OF(work, struct inlet, work);

	c->status = c->at == 0 ? disk_allocate(DISK_INCOMING, c->fd, (size_t)c->left) : 0;
	if (c->status == 0) {
		file_write(c);
	}
}

/* The message goes up, with a name in place of the image. */
static void file_complete(struct inlet *c)
{
	struct transport *t = c->t;
	struct snapshot_image *image = snapshot_image_new(c->name);

	close(c->fd);
	c->fd = -1;
	if (image == NULL) {
		inlet_close(c);
		return;
	}
	c->message.raft.install_snapshot.data = (struct raft_buffer){image, sizeof(*image)};
	c->stage = INLET_INSTALLING;
	if (!t->recv_cb(t, &c->message)) {
		inlet_close(c);
		return;
	}
	c->name[0] = 0; /* The file is theirs now. */
}

static void inlet_read(struct inlet *c);

static void file_failed(struct inlet *c)
{
	if (!c->closing) {
		log_warn("raft", "a snapshot from %s: %s", c->address, error_text(c->status));
		inlet_close(c);
		return;
	}
	file_drop(c); /* inlet_close() left it to us. */
	if (c->ch == NULL) {
		inlet_free(c);
	}
}

static void file_done(uv_work_t *work, int status)
{
	struct inlet *c = CONTAINER_OF(work, struct inlet, work);
	struct transport *t = c->t;

	(void)status;
	c->working = false;
	c->fill = 0;
	if (c->closing || c->status != 0) {
		file_failed(c);
	} else if (c->left > 0) {
		inlet_read(c);
	} else {
		file_complete(c);
	}
	transport_gone(t);
}

static void file_push(struct inlet *c)
{
	channel_read_stop(c->ch);
	c->working = true;
	c->t->n_handles++;
	uv_queue_work(c->t->loop, &c->work, file_work, file_done);
}

static bool file_start(struct inlet *c)
{
	if (c->kind != WIRE_SNAPSHOT || c->message.file_size == 0 || c->message.file_size > INT64_MAX) {
		return false;
	}
	snprintf(c->name, sizeof(c->name), "incoming-%u", ++c->t->n_incoming);
	c->fd = disk_open(DISK_INCOMING, c->t->dirfd, c->name, O_WRONLY | O_CREAT | O_TRUNC);
	if (c->fd < 0) {
		log_warn("raft", "a snapshot from %s: %s", c->address, error_text(disk_error()));
		return false;
	}
	c->left = c->message.file_size;
	c->stage = INLET_FILE_DATA;
	return true;
}

/* --- frames --- */

static bool on_frame(struct inlet *c, const char *body, size_t size)
{
	struct wire_message *m = &c->message;
	int rc = wire_decode(body, size, m);

	if (rc != 0) {
		log_warn("raft", "a frame from %s: %s", c->address, error_text(rc));
		return false;
	}
	m->raft.server_id = c->id;
	m->raft.server_address = c->address;
	if (m->type != WIRE_FILE) {
		c->t->recv_cb(c->t, m);
		return true;
	}
	if (file_start(c)) {
		return true;
	}
	wire_message_close(m);
	return false;
}

/* Takes what is whole at the front of p; the bytes taken, or -1: the connection is to be closed. *need is what the next
 * step waits for. */
static ssize_t on_hello_bytes(struct inlet *c, const char *p, size_t size, size_t *need)
{
	struct wire_hello h;

	*need = sizeof(h);
	if (size < sizeof(h)) {
		return 0;
	}
	memcpy(&h, p, sizeof(h));
	return on_hello(c, &h) ? (ssize_t)sizeof(h) : -1;
}

static ssize_t on_frame_bytes(struct inlet *c, const char *p, size_t size, size_t *need)
{
	struct wire_frame f;

	*need = sizeof(f);
	if (size < sizeof(f)) {
		return 0;
	}
	memcpy(&f, p, sizeof(f));
	if (f.len > WIRE_MAX_FRAME) {
		return -1;
	}
	*need = sizeof(f) + f.len;
	if (size < *need) {
		return 0;
	}
	if (!CRC_EQUAL(f.crc, crc32c(0, p + sizeof(f), f.len)) || !on_frame(c, p + sizeof(f), f.len)) {
		return -1;
	}
	return (ssize_t)*need;
}

/* --- bytes --- */

/* Makes room for what an incomplete frame needs; a large one gets it as its bytes come. */
static bool inlet_reserve(struct inlet *c, size_t need)
{
	size_t cap = c->fill * 2 > MIN_BUF ? c->fill * 2 : MIN_BUF;
	char *buf;

	cap = cap > need ? need : cap;
	if (cap <= c->cap) {
		return true;
	}
	buf = realloc(c->buf, cap);
	if (buf == NULL) {
		return false;
	}
	c->buf = buf;
	c->cap = cap;
	return true;
}

/* Keeps the n bytes at p, which are in c->buf or in the shared buffer, until there are `need`. Nothing left: no buffer.
 */
static bool inlet_keep(struct inlet *c, const char *p, size_t n, size_t need)
{
	c->fill = n;
	if (n == 0) {
		c->begun = 0;
		free(c->buf);
		c->buf = NULL;
		c->cap = 0;
		return true;
	}
	if (c->buf != NULL) {
		memmove(c->buf, p, n);
		return inlet_reserve(c, need);
	}
	if (!inlet_reserve(c, need)) {
		return false;
	}
	memcpy(c->buf, p, n);
	return true;
}

/* A file is written in large pieces. */
static bool file_reserve(struct inlet *c, const char *p, size_t n)
{
	char *buf;

	if (c->cap >= TRANSPORT_FILE_BUF) {
		return true; /* The bytes are in it. */
	}
	buf = malloc(TRANSPORT_FILE_BUF);
	if (buf == NULL || n > TRANSPORT_FILE_BUF) {
		free(buf);
		return false;
	}
	memcpy(buf, p, n);
	free(c->buf);
	c->buf = buf;
	c->cap = TRANSPORT_FILE_BUF;
	return true;
}

/* The rest of the bytes belongs to the file. */
static bool file_bytes(struct inlet *c, const char *p, size_t n)
{
	if (n > c->left || !file_reserve(c, p, n)) {
		return false;
	}
	c->fill = n;
	if (c->fill == c->cap || c->fill == c->left) {
		file_push(c);
	}
	return true;
}

/* n bytes have come; false: the connection is to be closed. */
static bool on_bytes(struct inlet *c, const char *p, size_t n)
{
	size_t need = 0;

	while (!c->closing && (c->stage == INLET_HELLO || c->stage == INLET_FRAMES)) {
		ssize_t taken =
			c->stage == INLET_HELLO ? on_hello_bytes(c, p, n, &need) : on_frame_bytes(c, p, n, &need);

		if (taken < 0) {
			return false;
		}
		if (taken == 0) {
			c->begun = c->begun != 0 ? c->begun : uv_now(c->t->loop);
			return inlet_keep(c, p, n, need);
		}
		c->begun = 0;
		p += taken;
		n -= (size_t)taken;
	}
	if (c->closing) {
		return true;
	}
	return c->stage == INLET_FILE_DATA && file_bytes(c, p, n);
}

/* Not ours: the channel goes to whoever serves such connections. */
static void hand_over(struct inlet *c)
{
	struct transport *t = c->t;
	struct channel *ch = c->ch;

	if (t->other_cb == NULL) {
		inlet_close(c);
		return;
	}
	channel_read_stop(ch);
	unlist(c);
	ch->data = NULL;
	t->n_handles--;
	t->other_cb(t, ch, c->listener->name, c->first);
	inlet_free(c);
}

static void on_first_byte(struct inlet *c)
{
	if (c->first != WIRE_FIRST || !c->listener->raft) {
		hand_over(c);
	} else if (channel_may(c->ch, CHANNEL_SERVER, c->t->region)) {
		c->stage = INLET_HELLO;
	} else {
		channel_odd(c->ch, "Raft is for servers of this region, which its certificate is not of");
		inlet_close(c);
	}
}

static void on_alloc(struct channel *ch, uv_buf_t *buf)
{
	struct inlet *c = ch->data;

	if (c->stage == INLET_FIRST_BYTE) {
		*buf = uv_buf_init(&c->first, 1);
	} else if (c->buf != NULL) {
		*buf = uv_buf_init(c->buf + c->fill, (unsigned)(c->cap - c->fill));
	} else {
		*buf = uv_buf_init(c->t->scratch, TRANSPORT_SCRATCH);
	}
}

static void on_read(struct channel *ch, ssize_t n, const uv_buf_t *buf)
{
	struct inlet *c = ch->data;

	if (n < 0) {
		inlet_close(c);
	} else if (c->stage == INLET_FIRST_BYTE) {
		on_first_byte(c);
	} else {
		bool kept = c->buf != NULL;

		c->fill += kept ? (size_t)n : 0;
		if (!on_bytes(c, kept ? c->buf : buf->base, kept ? c->fill : (size_t)n)) {
			inlet_close(c);
		}
	}
}

static void inlet_read(struct inlet *c)
{
	if (channel_read_start(c->ch, on_alloc, on_read) != 0) {
		inlet_close(c);
	}
}

/* --- accepting --- */

static bool is_full(const struct transport *t)
{
	return t->n_strangers >= TRANSPORT_MAX_STRANGERS || t->n_inlets - t->n_strangers >= TRANSPORT_MAX_INLETS;
}

/* One address alone must not be able to fill the places that all share. */
static bool too_many_from(const struct inlet *new)
{
	unsigned n = 0;

	for (const struct inlet *c = new->t->inlets; c != NULL; c = c->next) {
		n += memcmp(c->from, new->from, sizeof(c->from)) == 0;
	}
	return new->t->per_address > 0 && n > new->t->per_address;
}

static void inlet_list(struct inlet *c)
{
	struct transport *t = c->t;

	c->next = t->inlets;
	if (c->next != NULL) {
		c->next->prev = &c->next;
	}
	c->prev = &t->inlets;
	t->inlets = c;
	t->n_inlets++;
	t->n_strangers++;
}

void inlet_accept(struct transport *t, struct listener *l)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));
	struct inlet *c = calloc(1, sizeof(*c));
	bool full = is_full(t);

	if (tcp == NULL || c == NULL || uv_tcp_init(t->loop, tcp) != 0 ||
	    (c->ch = channel_new(t->channels, tcp)) == NULL || !channel_serve(c->ch)) {
		abort(); /* As libraft's own: it cannot go on without memory. */
	}
	t->n_handles++;
	c->ch->data = c;
	c->t = t;
	c->listener = l;
	c->fd = -1;
	c->accepted = uv_now(t->loop);
	inlet_list(c);
	if (uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)tcp) != 0 || full) {
		inlet_close(c);
		return;
	}
	peer_key(c->ch->tcp, c->from);
	if (too_many_from(c)) {
		inlet_close(c);
		return;
	}
	uv_tcp_nodelay(tcp, 1);
	inlet_read(c);
}
