/* Sending a snapshot: its own connection, the greeting, one frame, the file's bytes. A worker reads the file piece by
 * piece while libuv writes the piece before. The other side closes when it has installed it, or cannot. */
#include "raft/transport_parts.h"

#include "lib/crc.h"
#include "lib/list.h"
#include "lib/log.h"
#include "raft/disk.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Released when no worker, no connection and no dial refers to it any more. */
static void bulk_free(struct bulk *b)
{
	b->peer->bulk = NULL;
	close(b->fd);
	free(b->buf);
	free(b);
}

/* Over, well or not: libraft looks only at what the other server says later, and asks again. */
static void bulk_end(struct bulk *b, int status)
{
	struct peer *p = b->peer;

	if (b->link != NULL) {
		link_close(b->link);
		b->link = NULL;
	}
	if (b->dial != NULL) {
		dial_cancel(b->dial);
		b->dial = NULL;
	}
	if (b->req != NULL) {
		b->req->cb(b->req, status);
		b->req = NULL;
	}
	if (!b->dead) {
		p->next_bulk = uv_now(p->t->loop) + p->bulk_backoff_ms;
		p->bulk_backoff_ms =
			p->bulk_backoff_ms * 2 < MAX_BULK_BACKOFF_MS ? p->bulk_backoff_ms * 2 : MAX_BULK_BACKOFF_MS;
	}
	b->dead = true;
	if (!b->working) {
		bulk_free(b); /* Else on_read_done() does. */
	}
}

/* --- the file --- */

static void read_piece(uv_work_t *work)
{
	struct bulk *b = CONTAINER_OF(work, struct bulk, work);

	b->n = disk_pread(b->fd, b->buf, TRANSPORT_FILE_BUF, b->file_at);
}

static void on_read_done(uv_work_t *work, int status);

static void bulk_next(struct bulk *b)
{
	struct transport *t = b->peer->t;

	b->moved = uv_now(t->loop);
	b->working = true;
	t->n_handles++;
	uv_queue_work(t->loop, &b->work, read_piece, on_read_done);
}

static void write_rest(struct bulk *b);

static void on_written(struct channel *ch, int status)
{
	struct link *l = ch->data;
	struct bulk *b = l->bulk;

	if (status != 0) {
		bulk_end(b, RAFT_NOCONNECTION);
		return;
	}
	b->written += l->taken;
	if (b->written < b->size) {
		b->moved = l->taken > 0 ? uv_now(b->peer->t->loop) : b->moved;
		write_rest(b);
	} else {
		bulk_next(b);
	}
}

static void write_rest(struct bulk *b)
{
	uv_buf_t buf = uv_buf_init(b->buf + b->written, (unsigned)(b->size - b->written));

	if (channel_write(b->link->ch, &buf, 1, &b->link->taken, on_written) != 0) {
		bulk_end(b, RAFT_NOCONNECTION);
	}
}

static void bulk_write(struct bulk *b, size_t size)
{
	b->size = size;
	b->written = 0;
	write_rest(b);
}

static void on_read_done(uv_work_t *work, int status)
{
	struct bulk *b = CONTAINER_OF(work, struct bulk, work);
	struct transport *t = b->peer->t;

	b->working = false;
	if (b->dead || status != 0 || b->n < 0) {
		bulk_end(b, RAFT_CANCELED);
	} else if (b->n > 0) {
		b->file_at += (uint64_t)b->n;
		bulk_write(b, (size_t)b->n);
	}
	transport_gone(t);
}

/* --- the connection --- */

static void on_link_alloc(struct channel *ch, uv_buf_t *buf)
{
	struct link *l = ch->data;

	*buf = uv_buf_init(l->t->scratch, TRANSPORT_SCRATCH);
}

static void on_link_read(struct channel *ch, ssize_t n, const uv_buf_t *buf)
{
	(void)n;
	(void)buf;
	bulk_end(((struct link *)ch->data)->bulk, 0);
}

static void on_connected(void *data, struct channel *ch, int status)
{
	struct bulk *b = data;

	b->dial = NULL;
	if (ch == NULL) {
		log_debug("raft", "%s: %s", b->peer->address, uv_strerror(status));
		bulk_end(b, RAFT_NOCONNECTION);
		return;
	}
	b->link = link_new(b->peer->t, ch);
	b->link->bulk = b;
	if (channel_read_start(ch, on_link_alloc, on_link_read) != 0) {
		bulk_end(b, RAFT_NOCONNECTION);
		return;
	}
	bulk_write(b, b->head_size);
}

/* --- begin --- */

/* The greeting and the frame, at the front of the buffer. */
static void encode_head(struct bulk *b, const struct raft_message *m, const struct raft_buffer *conf, uint64_t size)
{
	struct transport *t = b->peer->t;
	struct wire_hello hello;
	struct wire_frame f;
	uint64_t w[WIRE_WORDS];
	char *p = b->buf;

	wire_hello_make(&hello, WIRE_SNAPSHOT, t->cluster, t->origin, t->id, t->address);
	wire_words_file(m, conf->len, size, w);
	f.len = (uint32_t)(sizeof(w) + conf->len);
	f.crc = crc32c(crc32c(0, w, sizeof(w)), conf->base, conf->len);
	*p++ = WIRE_FIRST;
	p = mempcpy(p, &hello, sizeof(hello));
	p = mempcpy(p, &f, sizeof(f));
	p = mempcpy(p, w, sizeof(w));
	p = mempcpy(p, conf->base, conf->len);
	b->head_size = (size_t)(p - b->buf);
	assert(b->head_size <= TRANSPORT_FILE_BUF);
}

static struct bulk *bulk_new(struct peer *p, const struct raft_message *m, int fd, uint64_t size)
{
	struct bulk *b = calloc(1, sizeof(*b));
	struct raft_buffer conf;

	if (b == NULL || (b->buf = malloc(TRANSPORT_FILE_BUF)) == NULL ||
	    raft_configuration_encode(&m->install_snapshot.conf, &conf) != 0) {
		abort(); /* As libraft's own: it cannot go on without memory. */
	}
	b->peer = p;
	b->fd = fd;
	b->moved = uv_now(p->t->loop);
	encode_head(b, m, &conf, size);
	raft_free(conf.base);
	return b;
}

/* One at a time for each server: libraft asks again and again. And not too often, where it does not go well. */
void bulk_send(struct peer *p, struct raft_io_send *req, const struct raft_message *m)
{
	const struct raft_install_snapshot *s = &m->install_snapshot;
	const char *name = snapshot_image_name(s->data.base, s->data.len);
	uint64_t now = uv_now(p->t->loop);
	int fd = -1;

	if (now > p->next_bulk + MAX_BULK_BACKOFF_MS) {
		p->bulk_backoff_ms = MIN_BULK_BACKOFF_MS;
	}
	if (p->bulk == NULL && name != NULL && now >= p->next_bulk) {
		fd = disk_open(DISK_SNAPSHOT, p->t->dirfd, name, O_RDONLY);
	}
	if (fd < 0) {
		req->cb(req, RAFT_CANCELED);
		return;
	}
	p->bulk = bulk_new(p, m, fd, snapshot_size(p->t->dirfd, name));
	p->bulk->req = req;
	log_info("raft", "sending snapshot %s to %s", name, p->address);
}

void bulk_flush(struct peer *p)
{
	struct bulk *b = p->bulk;

	if (b == NULL || b->started) {
		return;
	}
	b->started = true;
	b->dial = transport_dial(p->t, p->address, on_connected, b);
	if (b->dial == NULL) {
		bulk_end(b, RAFT_NOCONNECTION);
	}
}

void bulk_tick(struct peer *p)
{
	struct bulk *b = p->bulk;

	if (b == NULL || b->dead) {
		return;
	}
	if (b->dial != NULL) {
		dial_tick(b->dial);
	} else if (uv_now(p->t->loop) - b->moved > TRANSPORT_BULK_MS) {
		bulk_end(b, RAFT_NOCONNECTION);
	}
}

void bulk_cancel(struct peer *p)
{
	if (p->bulk != NULL && !p->bulk->dead) {
		bulk_end(p->bulk, RAFT_CANCELED);
	}
}
