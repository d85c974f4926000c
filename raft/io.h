/**
 * What libraft 0.22 runs on: a `struct raft_io` of our own over journal, vote, snapshot and transport.
 *
 * Used by replica.c alone. Nothing here blocks the loop once raft_start() has returned. The essay on what libraft asks
 * of it, and on the traps of the back end it replaces, is in io.c.
 */
#ifndef RAFT_IO_H_
#define RAFT_IO_H_

#include "raft/snapshot.h"
#include "raft/transport.h"
#include "raft/weight.h"

#include <raft.h>
#include <uv.h>

struct io_config {
	uv_loop_t *loop;
	const char *dir; /* All strings are the caller's, and outlive it. */
	uint64_t cluster;
	uint64_t id;
	const char *address;
	unsigned connect_ms;
	unsigned handshake_ms;
	unsigned per_address;
	struct channels *channels;
	const char *region;
	void *ctx;

	/* Inside raft_start(): restores the state from the newest snapshot, in place of fsm.restore, which is called
	 * all the same; for libraft forgets to free the entries when that one fails. 0 or an ERR_ code. */
	int (*restore_cb)(void *ctx, const struct raft_buffer *image);
	/* On a worker: writes the image of what fsm.snapshot captured. Once io_closing() it should give up. */
	int (*encode_cb)(void *ctx, struct snapshot_writer *w);
	/* Twice in each turn of the loop, after its poll and at its end; what was queued is sent after it. Requests of
	 * libraft have been fired. */
	void (*turn_cb)(void *ctx, bool ends);
	/* The state is so far behind the log that no more entries are wanted now. */
	bool (*lags_cb)(void *ctx);
	/* A server tells us that the committed configuration of conf_index is without us. */
	void (*removed_cb)(void *ctx, uint64_t conf_index);
	/* Nothing listens any more where this server was. */
	void (*refused_cb)(void *ctx, uint64_t id);
	/* NULL: connections that are not Raft's are closed. */
	void (*other_cb)(void *ctx, struct channel *ch, const char *listener, char first);
};

struct io_status {
	uint64_t capacity; /* Bytes that can surely be written. */
	uint64_t backlog;  /* Bytes accepted and not yet durable. */
	uint64_t dropped;  /* Messages. */
	bool full;         /* Do not propose, and hand leadership on. */
	bool busy;         /* Do not propose: the disk is behind. */
	bool putting;      /* A snapshot is being written or installed. */
	uint64_t snapshot_index;
	uint64_t snapshot_bytes;
};

/* Locks the directory and reads everything in it. 0, ERR_BUSY, ERR_CORRUPT, ERR_IO, ERR_NOMEM with io->errmsg; after a
 * failure io_free(). */
int io_init(struct raft_io *io, const struct io_config *config);

/* After raft_close()'s callback, or when raft_init() or io_init() failed. */
void io_free(struct raft_io *io);

struct io_status io_status(struct raft_io *io);
struct transport *io_transport(struct raft_io *io);

/* The bytes of the log's entries, by index. */
struct weight *io_weight(struct raft_io *io);

/* The cluster's origin, 0 while there is none; set durably before any message leaves. */
uint64_t io_origin(struct raft_io *io);
void io_set_origin(struct raft_io *io, uint64_t origin);

/* Gives libraft a message as if it had come from a server. */
void io_deliver(struct raft_io *io, struct raft_message *m);

/* Milliseconds since the server was heard of; UINT64_MAX: never. */
uint64_t io_contact_ms(struct raft_io *io, uint64_t id);

/* When this leader had sent the newest message that the server has answered in this term, in monotonic milliseconds
 * (uv_hrtime()); 0: it has answered none. */
uint64_t io_answered_ms(struct raft_io *io, uint64_t id);

/* Look at libraft's clock again: its next time-out has been moved. */
void io_rearm(struct raft_io *io);

/* Any thread. */
bool io_closing(struct raft_io *io);

/* For fsm.restore: opens the image that the buffer stands for. */
int io_open_image(struct raft_io *io, const struct raft_buffer *buf, struct snapshot_reader *r);

/* Before raft_start(), in place of it: appends a configuration to the log. Blocks. For a cluster that has lost its
 * majority. ERR_INVALID: there is no log to append to. */
int io_recover(struct raft_io *io, const struct raft_configuration *conf);

/* The term of an entry of libraft's log, 0 if it is not there. */
uint64_t io_term_of(const struct raft *raft, uint64_t index);

#endif /* RAFT_IO_H_ */
