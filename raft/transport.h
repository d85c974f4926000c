/**
 * Connections between servers, on listeners that other protocols share.
 *
 * The first byte of a connection tells the protocol: 'R' is ours, with any other the channel goes to other_cb. A
 * connection carries messages one way, from the server that opened it: one lasting connection per server for messages,
 * and one of its own for a snapshot, so that heartbeats flow while it is sent. A server's address is what its own
 * greeting says, or else what the configuration says.
 *
 *     transport.c   listeners, the turn, the end        peer.c   messages out
 *     inlet.c       everything in                       bulk.c   snapshots out
 *
 * An idle connection holds no buffer: bytes are read into one that all share, and only what is left of an incomplete
 * frame is kept. How bytes look on the wire is proto/channel.h; with TLS only servers of our region are listened to.
 */
#ifndef RAFT_TRANSPORT_H_
#define RAFT_TRANSPORT_H_

#include "proto/channel.h"
#include "raft/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

enum {
	TRANSPORT_SPLIT = 1 << 20,      /* Append messages are cut to this, at entries. */
	TRANSPORT_MAX_QUEUE = 32 << 20, /* Past this, messages to a server are dropped. */
	TRANSPORT_MAX_WAITING = 4,      /* Messages kept for a server not yet connected. */
	TRANSPORT_MAX_PEERS = 64,
	TRANSPORT_MAX_INLETS = 256,     /* Of Raft's; further ones are closed. */
	TRANSPORT_MAX_STRANGERS = 1024, /* That have not said yet what they are; further ones are closed. */
	TRANSPORT_MAX_LISTENERS = 8,
	TRANSPORT_FRAME_MS = 10000,     /* A frame must have come in this time, plus a second for each */
	TRANSPORT_BYTES_PER_S_MIN = 64 << 10, /* so many of its bytes. */
	TRANSPORT_STALL_MS = 10000, /* A server that takes nothing for so long is disconnected. */
	TRANSPORT_BULK_MS = 60000,  /* The same while it installs a snapshot. */
	TRANSPORT_LISTENER_NAME = 16,
};

struct peer;
struct inlet;

struct listener {
	uv_tcp_t tcp; /* Its `data` is the transport. */
	char name[TRANSPORT_LISTENER_NAME];
	bool raft; /* Is Raft served here? */
};

struct transport {
	uv_loop_t *loop;
	int dirfd; /* Where snapshots are. */
	uint64_t id;
	const char *address; /* Ours, in our greeting. */
	struct channels *channels; /* NULL: plain text. Borrowed, */
	const char *region;        /* and so is this: whose servers may speak to us. NULL: any. */
	uint64_t cluster;
	uint64_t origin; /* 0: in no cluster yet. */
	unsigned connect_ms;
	unsigned handshake_ms;
	unsigned frame_ms;    /* 0: TRANSPORT_FRAME_MS. */
	unsigned per_address; /* Accepted connections from one; further ones are closed. 0: no limit. */
	void *data;

	/* The message and all it points to, but the address, belong to the callee. Of a file, true: it is being
	 * installed; it is the callee's, and transport_installed() must come. */
	bool (*recv_cb)(struct transport *t, struct wire_message *m);
	/* We are in no cluster yet, and a server of one has greeted us. */
	void (*origin_cb)(struct transport *t, uint64_t origin);
	/* A connection from or to a server has ended. / Nothing listens at its address. */
	void (*lost_cb)(struct transport *t, uint64_t id);
	void (*refused_cb)(struct transport *t, uint64_t id);
	/* Owns the channel. NULL: such connections are closed. */
	void (*other_cb)(struct transport *t, struct channel *ch, const char *listener, char first);
	void (*close_cb)(struct transport *t);

	/* Set by transport_init() to nothing. */
	struct listener *listeners[TRANSPORT_MAX_LISTENERS];
	unsigned n_listeners;
	struct peer *peers[TRANSPORT_MAX_PEERS];
	unsigned n_peers;
	struct inlet *inlets;
	unsigned n_inlets;    /* Accepted ones, of which these */
	unsigned n_strangers; /* have not said what they are. */
	unsigned n_handles;   /* What must end before close_cb. */
	unsigned n_incoming;  /* Numbers the files that come in. */
	char *scratch;        /* Where all connections read into. */
	bool closing;
	bool held; /* Nothing leaves: a vote is on its way to the disk. */
	uint64_t dropped;
};

/* After the members up to close_cb have been set. ERR_NOMEM. */
int transport_init(struct transport *t);

/* See replica_listen(). ERR_INVALID, ERR_IO, ERR_NOMEM, ERR_TOOBIG; text for people. */
int transport_listen(struct transport *t, const char *address, const char *name, bool raft, char *text, size_t size);

unsigned transport_port(const struct transport *t, const char *name);

/* Never fails: whatever happens, req->cb is called once, maybe before this returns. The stamp comes with the message:
 * see wire_words(). */
void transport_send(struct transport *t, struct raft_io_send *req, const struct raft_message *m, uint64_t stamp);

/* A note that the server is no longer in the configuration; lost if it cannot be reached soon. */
void transport_send_removed(struct transport *t, uint64_t id, const char *address, uint64_t conf_index);

/* Writes what was queued; call once per turn. */
void transport_flush(struct transport *t);

/* Time-outs; call every few milliseconds. */
void transport_tick(struct transport *t);

/* Connect to this server anew, now: see refused_cb. */
void transport_probe(struct transport *t, uint64_t id);

/* Drop entries that are queued: they are of a term that has ended. */
void transport_forget(struct transport *t);

/* The snapshot that recv_cb took is installed. */
void transport_installed(struct transport *t);

/* Ends everything; close_cb when it has ended. Then transport_free(). */
void transport_close(struct transport *t);
void transport_free(struct transport *t);

#endif /* RAFT_TRANSPORT_H_ */
