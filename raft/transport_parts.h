/** What the transport's files share: peers (messages out), bulks (snapshots out), inlets (everything in). */
#ifndef RAFT_TRANSPORT_PARTS_H_
#define RAFT_TRANSPORT_PARTS_H_

#include "lib/peer.h"
#include "raft/dial.h"
#include "raft/snapshot.h"
#include "raft/transport.h"

enum {
	TRANSPORT_SCRATCH = 64 << 10,
	TRANSPORT_FILE_BUF = 256 << 10, /* Of a snapshot under way, in or out. */
	MIN_BACKOFF_MS = 50,            /* Between attempts to connect to a server, */
	MAX_BACKOFF_MS = 1000,          /* doubled up to this. */
	MIN_BULK_BACKOFF_MS = 500,      /* The same for sending it a snapshot. */
	MAX_BULK_BACKOFF_MS = 30000,
};

/* One frame in a queue. The data it points to is libraft's, and valid until req->cb. */
struct out {
	struct out *next;
	struct raft_io_send *req; /* NULL but for the last frame of a message. */
	bool entries;             /* It has some. */
	size_t size;
	size_t sent;
	unsigned n_bufs;
	uv_buf_t bufs[];
};

/* An outgoing connection, freed when its channel is closed. */
struct link {
	struct transport *t;
	struct channel *ch; /* Its `data` is the link. */
	bool writing;       /* A write is under way, */
	size_t taken;       /* of so many bytes. */
	struct peer *peer; /* One of the two, or none once it is given up. */
	struct bulk *bulk;
};

struct peer {
	struct transport *t;
	uint64_t id;
	char address[WIRE_ADDRESS];
	struct dial *dial;
	struct link *link;
	struct out *head;
	struct out **tail;
	size_t queued; /* Bytes. */
	unsigned n_waiting;
	unsigned backoff_ms;
	uint64_t next_try;
	uint64_t connected; /* When. */
	uint64_t moved;     /* When bytes last left. */
	uint64_t used;      /* When there was last something to send. */
	uint64_t probed;    /* When, and how often in the second since. */
	unsigned n_probes;
	struct bulk *bulk;
	unsigned bulk_backoff_ms;
	uint64_t next_bulk;
};

/* A snapshot being sent. */
struct bulk {
	struct peer *peer;
	struct dial *dial;
	struct link *link;
	struct raft_io_send *req;
	uv_work_t work;
	int fd;
	ssize_t n; /* Bytes that the worker has read. */
	uint64_t file_at;
	char *buf;
	size_t head_size;
	size_t size, written; /* Of the piece in `buf`. */
	bool started;
	bool working;
	bool dead;
	uint64_t moved;
};

#define INLET_STAGE_LIST(X) X(FIRST_BYTE) X(HELLO) X(FRAMES) X(FILE_DATA) X(INSTALLING)

enum inlet_stage {
#define X(name) INLET_##name,
	INLET_STAGE_LIST(X)
#undef X
};

/* An accepted connection. */
struct inlet {
	struct transport *t;
	struct inlet *next;
	struct inlet **prev;
	const struct listener *listener;
	struct channel *ch; /* NULL once closed. */
	enum inlet_stage stage;
	uint8_t from[PEER_KEY]; /* Who has connected. */
	uint64_t accepted; /* When, */
	uint64_t begun;    /* and when the incomplete frame began. */
	uint64_t id;       /* From the greeting. */
	uint32_t kind;
	char address[WIRE_ADDRESS];
	char *buf; /* What is left of an incomplete frame, or file data; NULL while there is none. */
	size_t cap;
	size_t fill;
	char first;
	bool closing;
	/* A file coming in. */
	bool working;
	uv_work_t work;
	int fd;
	int status;
	uint64_t left;
	uint64_t at;
	size_t unsynced;
	char name[SNAPSHOT_NAME];
	struct wire_message message;
};

/* One handle or request less that close_cb waits for. */
void transport_gone(struct transport *t);
void transport_gone_cb(void *transport);

/* A link around a connection; never NULL. */
struct link *link_new(struct transport *t, struct channel *ch);

/* Connect to a server. As dial_start(). */
struct dial *transport_dial(struct transport *t, const char *address, dial_cb cb, void *data);

/* Close it; whatever it belongs to has let go of it. */
void link_close(struct link *l);

/* The peer of that id, made with this address if need be; NULL: no memory. There are TRANSPORT_MAX_PEERS: one more
 * takes the place of the one that was used longest ago. */
struct peer *peer_get(struct transport *t, uint64_t id, const char *address);

/* A server has greeted us, and says where it is. */
void peer_greeted(struct transport *t, uint64_t id, const char *address);
void peer_send(struct peer *p, struct raft_io_send *req, const struct raft_message *m, uint64_t stamp);
void peer_flush(struct peer *p);
void peer_tick(struct peer *p);
void peer_drop(struct peer *p);
void peer_forget(struct peer *p);
void peer_probe(struct peer *p);

void bulk_send(struct peer *p, struct raft_io_send *req, const struct raft_message *m);
void bulk_flush(struct peer *p);
void bulk_tick(struct peer *p);
void bulk_cancel(struct peer *p);

void inlet_accept(struct transport *t, struct listener *l);
void inlet_close(struct inlet *c);

#endif /* RAFT_TRANSPORT_PARTS_H_ */
