/** What io.c and io_snapshot.c share. */
#ifndef RAFT_IO_PARTS_H_
#define RAFT_IO_PARTS_H_

#include "raft/io.h"
#include "raft/journal.h"

#include "lib/bell.h"
#include "lib/list.h"

#include <stdatomic.h>

enum {
	LOW_SPACE = 512 << 10,          /* Less surely writable, and no more to be had: the disk is full. */
	MAX_BACKLOG = 32 << 20,         /* A leader's bytes on their way to the disk. */
	MAX_FOLLOWER_BACKLOG = 8 << 20, /* Entries that come beyond this are ignored for now. */
	MIN_TICK_MS = 5,
	PUT_RETRY_MS = 500,       /* A snapshot that could not be written is tried again, */
	PUT_RETRY_MAX_MS = 30000, /* more and more slowly. */
	MAX_CONTACTS = TRANSPORT_MAX_PEERS,
};

/* A snapshot being written, or installed. */
struct put {
	struct backend *b;
	uv_work_t work;
	uv_timer_t retry;
	unsigned retry_ms;
	struct raft_io_snapshot_put *req;
	unsigned trailing; /* 0: installed. */
	struct snapshot_meta meta;
	char tmp[SNAPSHOT_NAME];
	char name[SNAPSHOT_NAME];
	uint64_t size;
	int status;
	bool working;
	bool renamed;
	struct journal_item reset;
};

/* What is known of another server. Stamps are monotonic milliseconds of whoever led in that term: of the newest message
 * that we have had from it, and of the newest of ours that it has had. */
struct contact {
	uint64_t id;
	uint64_t at;
	uint64_t heard_term;
	uint64_t heard_stamp;
	uint64_t answered_term;
	uint64_t answered_stamp;
};

struct backend {
	struct raft_io *io;
	struct io_config config;
	int dirfd;
	unsigned n_handles; /* What must end before close_cb. */
	struct vote vote;   /* The writer's, once it runs. */
	uint64_t term;
	uint64_t voted_for;
	struct journal journal;
	bool opened;        /* The journal is; */
	bool running;       /* its threads are; */
	bool joined;        /* they have ended; */
	bool closed;        /* it was closed. */
	unsigned n_workers; /* On the pool, that use the journal. */
	bool started;
	atomic_bool closing;
	uint64_t next_index;
	bool vote_changed; /* Not yet on its way to the disk; */
	unsigned n_votes;  /* these are. */
	struct weight weight;
	struct transport transport;
	struct snapshot_meta snapshot; /* The newest; index 0: none. */
	uint64_t snapshot_bytes;
	struct put *put;
	bool void_log; /* What is on disk is from before the snapshot. */
	struct journal_item reset;
	struct contact contacts[MAX_CONTACTS];
	unsigned n_contacts;
	uint64_t deaf_until; /* To candidates. */
	unsigned tick_ms;
	uint64_t tick_due;
	bool late; /* The last tick was, and has been put off once. */
	uv_timer_t timer;
	uv_prepare_t prepare;
	uv_check_t check;
	struct bell wake;
	raft_io_tick_cb tick_cb;
	raft_io_recv_cb recv_cb;
	raft_io_close_cb close_cb;
};

/* libraft's code for one of ours. */
int io_raft_code(int err);

/* The journal's threads run from the first write on; libraft may append and vote inside raft_start(). */
void io_run(struct backend *b);

/* One handle or worker less; the last calls close_cb. */
void io_gone(struct backend *b);

/* At the end, when the journal's threads and all workers have ended: the rest of its items are given back. */
void io_close_journal(struct backend *b);

/* libraft's wish for the newest snapshot: a new struct that names the file. */
int io_load_snapshot(struct backend *b, struct raft_snapshot **snapshot);
void io_free_snapshot(struct raft_snapshot *s);
int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
		    const struct raft_snapshot *s, raft_io_snapshot_put_cb cb);
int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb);
void io_put_finish(struct put *p, int status);
void io_put_cancel(struct backend *b);

#endif /* RAFT_IO_PARTS_H_ */
