/* raft/transport.h on simulated wires, and the question that followers ask their leader for reads. What a connection
 * promises (order, once) holds unless the seed's faults say otherwise; what is cut off is lost without a word. */
#include "test/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "raft/disk.h"
#include "raft/transport.h"
#include "raft/snapshot.h"
#include "server/core.h"
#include "server/shell.h"

#include <fcntl.h>
#include <unistd.h>

enum packet_kind { PACKET_RAFT, PACKET_FILE, PACKET_REMOVED, PACKET_ASK, PACKET_ANSWER, PACKET_LOST };

struct packet {
	struct list link; /* First: see run_packets(). */
	enum packet_kind kind;
	struct host *from, *to;
	uint64_t from_id; /* Whose the connection was: a server that is wiped comes back as another one. */
	uint64_t to_life;
	uint64_t origin, cluster;
	uint64_t number, index;
	int status;
	bool entries;
	size_t len, file_len;
	char *body, *file;
};

struct net_faults net_faults;

/* ---- wires ---- */

static int64_t last_arrival[HOSTS_MAX][HOSTS_MAX];

static void packet_free(struct packet *p)
{
	free(p->body);
	free(p->file);
	free(p);
}

static void on_arrival(void *arg)
{
	struct packet *p = arg;

	if (!p->to->alive || p->to->life != p->to_life) {
		packet_free(p);
		return;
	}
	list_insert(&p->to->loop.packets, &p->link);
	loop_wake(p->to, sim.now);
}

static void arrive_at(struct packet *p, int64_t at)
{
	int64_t *last = &last_arrival[p->from->at][p->to->at];

	if (at < *last && sim_chance(net_faults.reorder)) {
		COUNT(reordered);
	} else if (at <= *last) {
		at = *last + US;
	}
	*last = at > *last ? at : *last;
	sim_at(at, NULL, on_arrival, p);
}

static struct packet *packet_copy(const struct packet *p)
{
	struct packet *copy = malloc(sizeof(*copy));

	*copy = *p;
	copy->body = malloc(p->len + 1);
	memcpy(copy->body, p->body, p->len);
	copy->file = NULL;
	copy->file_len = 0;
	return copy;
}

static void packet_go(struct packet *p)
{
	unsigned from = p->from->at, to = p->to->at;
	int64_t at = sim.now + net_faults.delay + sim_between(0, net_faults.jitter);

	p->to_life = p->to->life;
	sim_note(p->len, (uint64_t)p->kind << 32 | from << 8 | to);
	COUNT(packets);
	if (net_faults.cut[from][to]) {
		COUNT(cut);
		packet_free(p);
		return;
	}
	if (sim_chance(net_faults.loss)) {
		COUNT(lost);
		packet_free(p);
		return;
	}
	if (sim_chance(net_faults.late)) {
		COUNT(late);
		at += sim_between(0, 300 * MS);
	}
	if (p->kind == PACKET_RAFT && sim_chance(net_faults.twice)) {
		COUNT(twice);
		arrive_at(packet_copy(p), at + sim_between(0, 20 * MS));
	}
	arrive_at(p, at + (int64_t)p->file_len * 20);
}

static struct packet *packet_new(enum packet_kind kind, struct host *from, struct host *to, size_t len)
{
	struct packet *p = calloc(1, sizeof(*p));

	*p = (struct packet){
		.kind = kind, .from = from, .from_id = from->raft_id, .to = to, .len = len, .body = malloc(len + 1)};
	if (from->transport != NULL) {
		p->origin = from->transport->origin;
		p->cluster = from->transport->cluster;
	}
	return p;
}

/* ---- messages out ---- */

struct send {
	struct list link;
	struct raft_io_send *req;
	struct packet *packet;
};

static void send_push(struct host *h, struct raft_io_send *req, struct packet *p)
{
	struct send *s = malloc(sizeof(*s));

	*s = (struct send){.req = req, .packet = p};
	list_insert(&h->sends, &s->link);
}

static void send_end(struct send *s, int status)
{
	struct raft_io_send *req = s->req;

	if (status == 0) {
		packet_go(s->packet);
	} else {
		packet_free(s->packet);
	}
	free(s);
	if (req != NULL) {
		req->cb(req, status);
	}
}

static struct packet *encode(struct host *to, const struct raft_message *m, uint64_t stamp)
{
	const struct raft_append_entries *a = &m->append_entries;
	unsigned n = m->type == RAFT_APPEND_ENTRIES ? a->n_entries : 0;
	uint64_t w[WIRE_WORDS];
	size_t size = sizeof(w) + n * 2 * sizeof(uint64_t);
	struct packet *p;
	char *at;

	for (unsigned i = 0; i < n; i++) {
		size += a->entries[i].buf.len;
	}
	p = packet_new(PACKET_RAFT, sim.cur, to, size);
	p->entries = n > 0;
	wire_words(m, stamp, w);
	at = mempcpy(p->body, w, sizeof(w));
	for (unsigned i = 0; i < n; i++) {
		uint64_t e[2];

		wire_entry(&a->entries[i], e);
		at = mempcpy(at, e, sizeof(e));
	}
	for (unsigned i = 0; i < n; i++) {
		if (a->entries[i].buf.len > 0) {
			at = mempcpy(at, a->entries[i].buf.base, a->entries[i].buf.len);
		}
	}
	return p;
}

/* The message, and the file that it names. NULL: it is there no more. */
static struct packet *encode_file(struct host *to, const struct raft_message *m)
{
	const struct raft_install_snapshot *s = &m->install_snapshot;
	const char *name = snapshot_image_name(s->data.base, s->data.len);
	struct raft_buffer conf;
	uint64_t w[WIRE_WORDS];
	struct packet *p;
	char *data;
	size_t len;

	if (name == NULL || fs_read_file(sim.cur->fs, name, &data, &len) != 0) {
		return NULL;
	}
	if (raft_configuration_encode(&s->conf, &conf) != 0) {
		sim_fail("no memory");
	}
	p = packet_new(PACKET_FILE, sim.cur, to, sizeof(w) + conf.len);
	wire_words_file(m, conf.len, len, w);
	memcpy(mempcpy(p->body, w, sizeof(w)), conf.base, conf.len);
	raft_free(conf.base);
	p->file = data;
	p->file_len = len;
	return p;
}

/* One at a time for each server: its connection ends when the other side has done with it, or nothing moves for
 * long. */
static int64_t bulk_until[HOSTS_MAX][HOSTS_MAX];

static struct packet *send_file(struct host *to, const struct raft_message *m)
{
	int64_t *until = &bulk_until[sim.cur->at][to->at];

	if (*until > sim.now) {
		return NULL;
	}
	*until = sim.now + 10 * SEC;
	return encode_file(to, m);
}

void transport_send(struct transport *t, struct raft_io_send *req, const struct raft_message *m, uint64_t stamp)
{
	struct host *to = host_of(m->server_id);
	struct packet *p = NULL;

	if (to != NULL && (to->alive || !to->powered) && !t->closing) {
		p = m->type == RAFT_INSTALL_SNAPSHOT ? send_file(to, m) : encode(to, m, stamp);
	}
	if (p == NULL) {
		t->dropped++;
		req->cb(req, RAFT_NOCONNECTION);
		return;
	}
	send_push(sim.cur, req, p);
}

void transport_send_removed(struct transport *t, uint64_t id, const char *address, uint64_t conf_index)
{
	struct host *to = host_of(id);
	struct packet *p;

	(void)address;
	if (to == NULL || to == sim.cur || t->closing) {
		return;
	}
	p = packet_new(PACKET_REMOVED, sim.cur, to, WIRE_WORDS * sizeof(uint64_t));
	wire_words_removed(conf_index, (uint64_t *)(void *)p->body);
	send_push(sim.cur, NULL, p);
}

/* A callback may send more: that goes too. */
void transport_flush(struct transport *t)
{
	struct list *e;

	while (!t->held && (e = list_pop(&sim.cur->sends)) != NULL) {
		send_end(CONTAINER_OF(e, struct send, link), 0);
	}
}

static void drop_sends(struct host *h, bool all, int status)
{
	LIST_EACH (e, &h->sends) {
		struct send *s = CONTAINER_OF(e, struct send, link);

		if (all || s->packet->entries) {
			list_remove(&s->link);
			send_end(s, status);
		}
	}
}

void transport_forget(struct transport *t)
{
	(void)t;
	drop_sends(sim.cur, false, RAFT_NOCONNECTION);
}

/* ---- a transport's life ---- */

int transport_init(struct transport *t)
{
	sim.cur->transport = t;
	memset(bulk_until[sim.cur->at], 0, sizeof(bulk_until[sim.cur->at]));
	list_init(&sim.cur->sends);
	return 0;
}

int transport_listen(struct transport *t, const char *address, const char *name, bool raft, char *text, size_t size)
{
	(void)t;
	(void)address;
	(void)name;
	(void)raft;
	(void)text;
	(void)size;
	return 0;
}

unsigned transport_port(const struct transport *t, const char *name)
{
	(void)t;
	(void)name;
	return 4647;
}

void transport_tick(struct transport *t)
{
	(void)t;
}

void transport_installed(struct transport *t)
{
	(void)t;
}

static void on_closed(void *arg)
{
	struct transport *t = arg;

	t->close_cb(t);
}

void transport_close(struct transport *t)
{
	t->closing = true;
	drop_sends(sim.cur, true, RAFT_CANCELED);
	loop_later(sim.cur, on_closed, t);
}

void transport_free(struct transport *t)
{
	(void)t;
}

/* ---- a process that is gone ---- */

struct news {
	struct host *of, *to;
	uint64_t of_life;
};

static void on_refused(void *arg)
{
	struct news *n = arg;

	if (!n->of->alive && n->of->life == n->of_life) {
		sim.cur = n->to;
		if (!n->to->transport->closing) {
			n->to->transport->refused_cb(n->to->transport, n->of->raft_id);
		}
		loop_wake(n->to, sim.now);
	}
	free(n);
}

static void on_lost(void *arg)
{
	struct news *n = arg;

	sim.cur = n->to;
	if (!n->to->transport->closing) {
		n->to->transport->lost_cb(n->to->transport, n->of->raft_id);
	}
	loop_wake(n->to, sim.now);
	free(n);
}

static void tell(struct host *of, struct host *to, void (*fn)(void *arg))
{
	struct news *n = malloc(sizeof(*n));

	*n = (struct news){of, to, of->life};
	sim_at(sim.now + net_faults.delay + sim_between(0, net_faults.jitter), to, fn, n);
}

/* The kernel tells the others, unless the power is off or the wire cut. */
void net_host_died(struct host *h, bool power)
{
	for (unsigned i = 0; i < sim.n_hosts && !power; i++) {
		struct host *to = &sim.hosts[i];

		if (to != h && to->alive && to->transport != NULL && !net_faults.cut[h->at][i]) {
			tell(h, to, on_lost);
		}
	}
}

void transport_probe(struct transport *t, uint64_t id)
{
	struct host *h = sim.cur;
	struct host *of = host_of(id);

	(void)t;
	if (of != NULL && !of->alive && of->powered && !net_faults.cut[h->at][of->at] &&
	    !net_faults.cut[of->at][h->at]) {
		tell(of, h, on_refused);
	}
}

/* ---- messages in ---- */

struct incoming {
	struct host *host, *from;
	struct wire_message message;
	char name[SNAPSHOT_NAME];
	char *file;
	size_t len;
	int status;
};

/* On a thread of the pool. */
static int write_file(struct incoming *in)
{
	int dirfd = in->host->transport->dirfd;
	int fd = disk_open(DISK_INCOMING, dirfd, in->name, O_WRONLY | O_CREAT | O_TRUNC);
	int rc = fd < 0 ? disk_error() : disk_allocate(DISK_INCOMING, fd, in->len);

	if (rc == 0) {
		rc = disk_put(DISK_INCOMING, fd, in->file, in->len, 0);
	}
	if (rc == 0) {
		rc = disk_sync_all(DISK_INCOMING, fd);
	}
	if (fd >= 0) {
		close(fd);
	}
	return rc == 0 ? snapshot_verify(dirfd, in->name) : rc;
}

static void incoming_done(void *arg)
{
	struct incoming *in = arg;
	struct transport *t = in->host->transport;
	struct snapshot_image *image;

	bulk_until[in->from->at][in->host->at] = sim.now + 500 * MS;
	if (in->status != 0 || t->closing) {
		wire_message_close(&in->message);
		unlinkat(t->dirfd, in->name, 0);
	} else {
		image = snapshot_image_new(in->name);
		in->message.raft.install_snapshot.data = (struct raft_buffer){image, sizeof(*image)};
		if (!t->recv_cb(t, &in->message)) {
			unlinkat(t->dirfd, in->name, 0);
		} else {
			COUNT(installs);
		}
	}
	free(in->file);
	free(in);
}

static void on_pool(void *arg)
{
	struct incoming *in = arg;

	in->status = write_file(in);
	loop_later(in->host, incoming_done, in);
}

static void take_file(struct host *h, struct packet *p, struct wire_message *m)
{
	struct incoming *in = calloc(1, sizeof(*in));

	*in = (struct incoming){.host = h, .from = p->from, .message = *m, .file = p->file, .len = p->file_len};
	in->message.raft.server_address = p->from->address;
	p->file = NULL;
	snprintf(in->name, sizeof(in->name), "incoming-%u", ++h->incoming);
	fiber_start(h, on_pool, in);
}

static void take_message(struct host *h, struct packet *p)
{
	struct transport *t = h->transport;
	struct wire_message m;

	if (t->closing || (t->origin != 0 && p->origin != 0 && t->origin != p->origin)) {
		return;
	}
	if (t->origin == 0 && p->origin != 0) {
		t->origin_cb(t, p->origin);
		t->origin = p->origin;
	}
	if (wire_decode(p->body, p->len, &m) != 0) {
		const uint64_t *w = (const uint64_t *)(const void *)p->body;

		sim_fail("server %u cannot read what server %u has sent: %zu bytes, %llu %llu %llu %llu", h->at + 1,
			 p->from->at + 1, p->len, (unsigned long long)w[0], (unsigned long long)w[1],
			 (unsigned long long)w[2], (unsigned long long)w[3]);
	}
	m.raft.server_id = p->from_id;
	m.raft.server_address = p->from->address;
	if (m.type == WIRE_FILE) {
		take_file(h, p, &m);
	} else {
		t->recv_cb(t, &m);
	}
}

/* ---- how far is the leader? ---- */

struct question {
	struct host *host, *from;
	uint64_t number;
};

static void answer(struct host *h, struct host *to, uint64_t number, int status, uint64_t index)
{
	struct packet *p = packet_new(PACKET_ANSWER, h, to, 0);

	p->number = number;
	p->status = status;
	p->index = index;
	packet_go(p);
}

static void on_barrier(void *data, int status, uint64_t index)
{
	struct question *q = data;

	answer(q->host, q->from, q->number, status, index);
	free(q);
}

static void take_question(struct host *h, const struct packet *p)
{
	struct question *q;
	int rc;

	if (!h->server->ready) {
		answer(h, p->from, p->number, ERR_NOTLEADER, 0);
		return;
	}
	if (sim_planted("stale-read", 1000)) {
		answer(h, p->from, p->number, 0, 1);
		return;
	}
	if (server_surely_leads(h->server)) {
		answer(h, p->from, p->number, 0, replica_status(h->server->replica).commit_index);
		return;
	}
	q = malloc(sizeof(*q));
	*q = (struct question){h, p->from, p->number};
	rc = replica_barrier(h->server->replica, on_barrier, q);
	if (rc != 0) {
		answer(h, p->from, p->number, rc, 0);
		free(q);
	}
}

static void take_answer(struct host *h, uint64_t number, int status, uint64_t index)
{
	if (h->asking && h->asked == number) {
		h->asking = false;
		reads_answer(&h->server->reads, status, index);
	}
}

static void on_no_answer(void *arg)
{
	struct question *q = arg;

	sim.cur = q->host;
	take_answer(q->host, q->number, ERR_TIMEOUT, 0);
	loop_wake(q->host, sim.now);
	free(q);
}

int net_ask_index(struct net *n)
{
	struct host *h = sim.cur;
	struct host *leader = host_of(h->leader_id);
	struct question *q;
	struct packet *p;

	(void)n;
	if (leader == NULL || leader == h) {
		return ERR_NOLEADER;
	}
	h->asking = true;
	h->asked++;
	p = packet_new(PACKET_ASK, h, leader, 0);
	p->number = h->asked;
	packet_go(p);
	q = malloc(sizeof(*q));
	*q = (struct question){.host = h, .number = h->asked};
	sim_at(sim.now + SEC, h, on_no_answer, q);
	return 0;
}

void net_deliver(struct host *h, struct packet *p)
{
	switch (p->kind) {
	case PACKET_ASK:
		take_question(h, p);
		break;
	case PACKET_ANSWER:
		take_answer(h, p->number, p->status, p->index);
		break;
	default:
		take_message(h, p);
	}
	packet_free(p);
}
