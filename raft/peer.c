#include "raft/transport_parts.h"

#include "lib/crc.h"
#include "lib/list.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IOV = 64, MAX_ENTRIES = 1024, TURN_BUDGET = 4 << 20, PROBE_MS = 1000, MAX_PROBES = 5 };
enum { SOUND_MS = 100 }; /* A connection that held so long was taken: the next one need not wait. */

/* --- frames --- */

static struct out *out_new(size_t head_size, unsigned n_bufs)
{
	struct out *o = malloc(sizeof(*o) + n_bufs * sizeof(uv_buf_t) + head_size);

	if (o == NULL) {
		abort(); /* libraft cannot bear an error here. */
	}
	*o = (struct out){.n_bufs = n_bufs, .size = head_size};
	o->bufs[0] = uv_buf_init((char *)&o->bufs[n_bufs], (unsigned)head_size);
	return o;
}

/* Length and checksum, over all buffers. */
static void out_seal(struct out *o)
{
	char *head = o->bufs[0].base;
	struct wire_frame f = {.len = (uint32_t)(o->size - sizeof(f))};

	f.crc = crc32c(0, head + sizeof(f), o->bufs[0].len - sizeof(f));
	for (unsigned i = 1; i < o->n_bufs; i++) {
		f.crc = crc32c(f.crc, o->bufs[i].base, o->bufs[i].len);
	}
	memcpy(head, &f, sizeof(f));
}

/* The entries' data is not copied. */
static struct out *out_message(const uint64_t w[WIRE_WORDS], const struct raft_entry *entries, unsigned n)
{
	size_t words = WIRE_WORDS * sizeof(*w);
	struct out *o = out_new(sizeof(struct wire_frame) + words + n * 2 * sizeof(uint64_t), n + 1);
	char *p = o->bufs[0].base + sizeof(struct wire_frame);

	memcpy(p, w, words);
	p += words;
	for (unsigned i = 0; i < n; i++) {
		uint64_t e[2];

		wire_entry(&entries[i], e);
		memcpy(p, e, sizeof(e));
		p += sizeof(e);
		o->bufs[i + 1] = uv_buf_init(entries[i].buf.base, (unsigned)entries[i].buf.len);
		o->size += entries[i].buf.len;
	}
	o->entries = n > 0;
	out_seal(o);
	return o;
}

static struct out *out_hello(const struct transport *t)
{
	struct wire_hello h;
	struct out *o = out_new(1 + sizeof(h), 1);

	wire_hello_make(&h, WIRE_MESSAGES, t->cluster, t->origin, t->id, t->address);
	o->bufs[0].base[0] = WIRE_FIRST;
	memcpy(o->bufs[0].base + 1, &h, sizeof(h));
	return o;
}

/* --- the queue --- */

static void push(struct peer *p, struct out *o)
{
	*p->tail = o;
	p->tail = &o->next;
	p->queued += o->size;
}

static void push_front(struct peer *p, struct out *o)
{
	o->next = p->head;
	p->head = o;
	if (o->next == NULL) {
		p->tail = &o->next;
	}
	p->queued += o->size;
}

static void out_done(struct out *o, int status)
{
	if (o->req != NULL) {
		o->req->cb(o->req, status);
	}
	free(o);
}

static void pop(struct peer *p, int status)
{
	struct out *o = p->head;

	p->head = o->next;
	if (p->head == NULL) {
		p->tail = &p->head;
	}
	p->queued -= o->size - o->sent;
	out_done(o, status);
}

static void drop_queue(struct peer *p)
{
	while (p->head != NULL) {
		pop(p, p->t->closing ? RAFT_CANCELED : RAFT_NOCONNECTION);
	}
	p->n_waiting = 0;
}

/* So many bytes have left. */
static void peer_sent(struct peer *p, size_t n)
{
	if (n > 0) {
		p->moved = uv_now(p->t->loop);
	}
	while (n > 0) {
		struct out *o = p->head;
		size_t part = o->size - o->sent < n ? o->size - o->sent : n;

		o->sent += part;
		p->queued -= part;
		n -= part;
		if (o->sent == o->size) {
			pop(p, 0);
		}
	}
}

/* What of the queue has not left yet, up to MAX_IOV pieces. */
static unsigned gather(const struct peer *p, uv_buf_t bufs[MAX_IOV], size_t *total)
{
	unsigned n = 0;

	*total = 0;
	for (const struct out *o = p->head; o != NULL; o = o->next) {
		size_t skip = o->sent;

		for (unsigned i = 0; i < o->n_bufs; i++) {
			uv_buf_t b = o->bufs[i];
			size_t cut = skip < b.len ? skip : b.len;

			skip -= cut;
			if (b.len == cut) {
				continue;
			}
			if (n == MAX_IOV) {
				return n;
			}
			bufs[n++] = uv_buf_init(b.base + cut, (unsigned)(b.len - cut));
			*total += b.len - cut;
		}
	}
	return n;
}

/* --- the connection --- */

static void back_off(struct peer *p)
{
	p->next_try = uv_now(p->t->loop) + p->backoff_ms;
	p->backoff_ms = p->backoff_ms * 2 < MAX_BACKOFF_MS ? p->backoff_ms * 2 : MAX_BACKOFF_MS;
}

/* Gives up the connection and what was to go over it. The next attempt waits a while. */
void peer_drop(struct peer *p)
{
	struct link *l = p->link;
	struct dial *d = p->dial;

	p->link = NULL;
	p->dial = NULL;
	drop_queue(p);
	if (l == NULL && d == NULL) {
		return;
	}
	if (l != NULL) {
		link_close(l);
	}
	if (d != NULL) {
		dial_cancel(d);
	}
	if (l != NULL && uv_now(p->t->loop) - p->connected > SOUND_MS) {
		p->backoff_ms = MIN_BACKOFF_MS;
	}
	back_off(p);
}

static void on_written(struct channel *ch, int status)
{
	struct link *l = ch->data;
	struct peer *p = l->peer;

	if (status != 0) {
		peer_drop(p);
		return;
	}
	l->writing = false;
	peer_sent(p, l->taken);
	peer_flush(p);
}

/* Leave the rest to the channel. */
static void write_later(struct peer *p, uv_buf_t bufs[MAX_IOV])
{
	size_t total;
	unsigned n = gather(p, bufs, &total);

	if (n == 0) {
		return;
	}
	if (channel_write(p->link->ch, bufs, n, &p->link->taken, on_written) != 0) {
		peer_drop(p);
	} else {
		p->link->writing = true;
	}
}

void peer_flush(struct peer *p)
{
	uv_buf_t bufs[MAX_IOV];
	size_t budget = TURN_BUDGET; /* The loop has other things to do. */
	size_t total;

	while (p->link != NULL && !p->link->writing && p->head != NULL && !p->t->held) {
		unsigned n = gather(p, bufs, &total);
		ssize_t sent = budget > 0 ? channel_try_write(p->link->ch, bufs, n) : 0;

		if (sent < 0) {
			peer_drop(p);
			return;
		}
		peer_sent(p, (size_t)sent);
		budget -= (size_t)sent < budget ? (size_t)sent : budget;
		if ((size_t)sent < total) {
			write_later(p, bufs);
			return;
		}
	}
}

/* The other side never speaks here: a byte or an end means that it went away. */
static void on_link_alloc(struct channel *ch, uv_buf_t *buf)
{
	struct link *l = ch->data;

	*buf = uv_buf_init(l->t->scratch, TRANSPORT_SCRATCH);
}

static void on_link_read(struct channel *ch, ssize_t n, const uv_buf_t *buf)
{
	struct peer *p = ((struct link *)ch->data)->peer;

	(void)n;
	(void)buf;
	peer_drop(p);
	p->t->lost_cb(p->t, p->id);
}

static void on_connected(void *data, struct channel *ch, int status)
{
	struct peer *p = data;

	p->dial = NULL;
	if (ch == NULL) {
		back_off(p);
		drop_queue(p);
		log_debug("raft", "%s: %s", p->address, uv_strerror(status));
		if (status == UV_ECONNREFUSED) {
			p->t->refused_cb(p->t, p->id);
		}
		return;
	}
	p->link = link_new(p->t, ch);
	p->link->peer = p;
	p->n_waiting = 0;
	p->connected = p->moved = uv_now(p->t->loop);
	push_front(p, out_hello(p->t));
	if (channel_read_start(ch, on_link_alloc, on_link_read) != 0) {
		peer_drop(p);
		return;
	}
	peer_flush(p);
}

static void peer_connect(struct peer *p)
{
	if (p->link != NULL || p->dial != NULL || uv_now(p->t->loop) < p->next_try) {
		return;
	}
	p->next_try = uv_now(p->t->loop) + p->backoff_ms;
	p->dial = transport_dial(p->t, p->address, on_connected, p);
}

/* A process that ends may have accepted a connection just before: the end of that one is the next hint. */
void peer_probe(struct peer *p)
{
	uint64_t now = uv_now(p->t->loop);

	if (now - p->probed > PROBE_MS) {
		p->probed = now;
		p->n_probes = 0;
	}
	if (p->n_probes++ >= MAX_PROBES) {
		return;
	}
	peer_drop(p);
	p->next_try = 0;
	peer_connect(p);
}

/* --- peers --- */

static struct peer *peer_find(struct transport *t, uint64_t id)
{
	for (unsigned i = 0; i < t->n_peers; i++) {
		if (t->peers[i]->id == id) {
			return t->peers[i];
		}
	}
	return NULL;
}

static void peer_init(struct peer *p, struct transport *t, uint64_t id, const char *address)
{
	*p = (struct peer){.t = t,
			   .id = id,
			   .backoff_ms = MIN_BACKOFF_MS,
			   .bulk_backoff_ms = MIN_BULK_BACKOFF_MS,
			   .tail = &p->head};
	snprintf(p->address, sizeof(p->address), "%s", address);
}

/* Servers come and go: the place of the one that was used longest ago, or NULL. */
static struct peer *peer_evict(struct transport *t)
{
	struct peer *oldest = NULL;

	for (unsigned i = 0; i < t->n_peers; i++) {
		struct peer *p = t->peers[i];

		if (p->bulk == NULL && (oldest == NULL || p->used < oldest->used)) {
			oldest = p;
		}
	}
	if (oldest != NULL) {
		peer_drop(oldest);
	}
	return oldest;
}

static struct peer *peer_new(struct transport *t, uint64_t id, const char *address)
{
	struct peer *p;

	if (t->n_peers == TRANSPORT_MAX_PEERS) {
		p = peer_evict(t);
	} else {
		p = malloc(sizeof(*p));
		if (p != NULL) {
			t->peers[t->n_peers++] = p;
		}
	}
	if (p != NULL) {
		peer_init(p, t, id, address);
	}
	return p;
}

struct peer *peer_get(struct transport *t, uint64_t id, const char *address)
{
	struct peer *p = peer_find(t, id);

	if (p == NULL) {
		p = peer_new(t, id, address);
	}
	if (p != NULL) {
		p->used = uv_now(t->loop);
	}
	return p;
}

/* It is there, so an attempt to connect to it need not wait. */
void peer_greeted(struct transport *t, uint64_t id, const char *address)
{
	struct peer *p = peer_get(t, id, address);

	if (p == NULL) {
		return;
	}
	if (strcmp(p->address, address) != 0) {
		log_info("raft", "server %016llx has moved from %s to %s", (unsigned long long)id, p->address, address);
		peer_drop(p);
		snprintf(p->address, sizeof(p->address), "%s", address);
	}
	p->next_try = 0;
	p->backoff_ms = MIN_BACKOFF_MS;
}

/* Several messages of at most TRANSPORT_SPLIT (or one entry) say the same as one long one. */
static void push_entries(struct peer *p, struct raft_io_send *req, const struct raft_message *m, uint64_t stamp)
{
	struct raft_message part = *m;
	struct raft_append_entries *a = &part.append_entries;
	unsigned left = a->n_entries;

	do {
		uint64_t w[WIRE_WORDS];
		struct out *o;
		size_t size = 0;
		unsigned n = 0;

		while (n < left && n < MAX_ENTRIES && (n == 0 || size + a->entries[n].buf.len <= TRANSPORT_SPLIT)) {
			size += a->entries[n++].buf.len;
		}
		a->n_entries = n;
		left -= n;
		wire_words(&part, stamp, w);
		o = out_message(w, a->entries, n);
		o->req = left == 0 ? req : NULL;
		push(p, o);
		a->prev_log_term = n > 0 ? a->entries[n - 1].term : 0;
		a->prev_log_index += n;
		a->entries += n;
	} while (left > 0);
}

/* False: the queue is full, or we are not connected and enough is waiting. */
static bool has_room(struct peer *p)
{
	peer_connect(p);
	if (p->link == NULL && (p->dial == NULL || p->n_waiting++ >= TRANSPORT_MAX_WAITING)) {
		return false;
	}
	return p->queued <= TRANSPORT_MAX_QUEUE;
}

void peer_send(struct peer *p, struct raft_io_send *req, const struct raft_message *m, uint64_t stamp)
{
	uint64_t w[WIRE_WORDS];
	struct out *o;

	if (!has_room(p)) {
		p->t->dropped++;
		req->cb(req, RAFT_NOCONNECTION);
		return;
	}
	if (m->type == RAFT_APPEND_ENTRIES && m->append_entries.n_entries > 0) {
		push_entries(p, req, m, stamp);
		return;
	}
	wire_words(m, stamp, w);
	o = out_message(w, NULL, 0);
	o->req = req;
	push(p, o);
}

void transport_send_removed(struct transport *t, uint64_t id, const char *address, uint64_t conf_index)
{
	struct peer *p = t->closing || id == t->id ? NULL : peer_get(t, id, address);
	uint64_t w[WIRE_WORDS];

	if (p != NULL && has_room(p)) {
		wire_words_removed(conf_index, w);
		push(p, out_message(w, NULL, 0));
	}
}

/* Entries of an ended term need not be sent; and libraft may get the same ones again, from the next leader, which it
 * takes only once nobody refers to the old ones. */
void peer_forget(struct peer *p)
{
	struct out **slot = &p->head;
	bool writing = p->link != NULL && p->link->writing;

	for (struct out *o = p->head; o != NULL; o = o->next) {
		if (o->entries && (writing || o->sent > 0)) {
			peer_drop(p); /* It may be half sent. */
			return;
		}
	}
	while (*slot != NULL) {
		struct out *o = *slot;

		if (!o->entries) {
			slot = &o->next;
			continue;
		}
		*slot = o->next;
		p->queued -= o->size;
		out_done(o, RAFT_NOCONNECTION);
	}
	p->tail = slot;
}

void peer_tick(struct peer *p)
{
	uint64_t now = uv_now(p->t->loop);

	if (p->dial != NULL) {
		dial_tick(p->dial);
	}
	if (p->link != NULL && p->head != NULL && !p->t->held && now - p->moved > TRANSPORT_STALL_MS) {
		peer_drop(p);
	}
	if (p->head == NULL) {
		p->moved = now;
	}
}
