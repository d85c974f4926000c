/**
 * One server's part in a replicated log: propose entries, be told of those that are committed.
 *
 * A replica belongs to one loop, and all its functions are called there. Its owner keeps the state that the entries
 * build, and is asked for it by callbacks: `apply` changes it, `capture` freezes it for a snapshot, `restore` replaces
 * it. What is below (libraft, the log's files, the connections) shows nowhere in this interface.
 *
 *     replica_propose() --> log of every server --> apply() on every server --> propose_cb()
 *                                                        on this one: the slot    status, index
 *
 * Reading the outcome of a proposal
 *
 *  - A negative result of replica_propose() means: surely not written, now or later.
 *  - Then propose_cb comes exactly once. Status 0: committed, and applied here; `slot` holds what apply put there.
 *    ERR_UNKNOWN: leadership or the process ended first; the entry may or may not be committed by another leader.
 *
 * Leading. Between two elections at most one server is `ready`: it leads, and a barrier of its own has been applied, so
 * that its state holds everything that any leader before it has committed. Only then are proposals taken. A leader
 * whose disk is full hands leadership to another server.
 *
 * Applying. No turn of the loop applies more than there is time for, so a server that has many entries to apply at
 * once does so over several turns. Until then commit_index is larger than applied_index, on a leader too.
 *
 * A life: replica_new() checks and locks the directory and loads it; callbacks may come from replica_start() on, and
 * restore comes inside it. A server whose directory is empty is `uninitialized`: it waits until it is
 * bootstrapped or a leader adds it. replica_stop() ends in its callback, from anywhere and in the middle of anything;
 * then replica_free().
 *
 * What a full disk, a dead peer and bad bytes do is described in raft/io.c; a log that cannot be written any more
 * (EIO) ends the process, for the other servers to carry on.
 */
#ifndef RAFT_REPLICA_H_
#define RAFT_REPLICA_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "lib/meter.h"
#include "proto/channel.h"

struct replica;

enum {
	REPLICA_MAX_ENTRY = 8 << 20, /* Bytes; a longer proposal is ERR_TOOBIG. Best are 16 to 64 KiB. */
	REPLICA_MAX_SERVERS = 64,    /* In a configuration. */
	REPLICA_ADDRESS_MAX = 264,   /* With the closing zero: a host name of 253 bytes, a colon and a port. */
	REPLICA_DEFAULT_WINDOW = 4,  /* Proposals under way; one more is ERR_BUSY. */
	REPLICA_WINDOW_MAX = 16,
};

#define REPLICA_STATE_LIST(X)                                                                                          \
	X(UNINITIALIZED, "uninitialized")                                                                              \
	X(FOLLOWER, "follower")                                                                                        \
	X(CANDIDATE, "candidate")                                                                                      \
	X(LEADER, "leader")

enum replica_state {
#define X(name, text) REPLICA_##name,
	REPLICA_STATE_LIST(X)
#undef X
};

const char *replica_state_text(enum replica_state state);

#define REPLICA_ROLE_LIST(X)                                                                                           \
	X(SPARE, "spare")     /* Known, gets no entries. A new server begins so. */                                    \
	X(STANDBY, "standby") /* Gets entries, has no vote. */                                                         \
	X(VOTER, "voter")

enum replica_role {
#define X(name, text) REPLICA_##name,
	REPLICA_ROLE_LIST(X)
#undef X
};

const char *replica_role_text(enum replica_role role);

struct replica_server {
	uint64_t id;         /* Never 0. Never used again for a server whose directory was lost. */
	const char *address; /* "host:port", "10.0.0.1:4647", "[::1]:4647". */
	enum replica_role role;
};

/* Where capture and restore stream bytes to and from. Both return 0 or an ERR_ code, which the callback passes on. */
struct replica_sink {
	int (*write)(struct replica_sink *to, const void *data, size_t len);
};

struct replica_source {
	int (*read)(struct replica_source *from, void *data, size_t len); /* Exactly len bytes, or ERR_CORRUPT. */
};

/* The owner's part. `ctx` is that of the configuration. All run on the loop, but for `encode`. Those marked so may be
 * NULL. Proposing, changing and stopping are allowed in all that are marked `calls`. */
struct replica_callbacks {
	/* Entry `index` is committed: change the state. Cannot fail, and reads no clock. `slot` is that of
	 * replica_propose() when the entry was proposed here and its outcome is still awaited, else NULL. `data` is
	 * valid during the call. */
	void (*apply)(void *ctx, uint64_t index, uint64_t term, const void *data, size_t len, void *slot);

	/* We lead and are ready, or no longer. calls; may be NULL. */
	void (*ready)(void *ctx, bool ready, uint64_t term);

	/* Another leader is known, or none: id 0, address "". calls; may be NULL. */
	void (*leader)(void *ctx, uint64_t id, const char *address);

	/* Servers or roles have changed, by a committed entry or a snapshot: see replica_configuration().
	 * calls; may be NULL. */
	void (*configuration)(void *ctx);

	/* This server is no longer in the configuration: it gets nothing any more, and should stop. calls; may be
	 * NULL. */
	void (*removed)(void *ctx);

	/* Freeze the state as applied so far, in microseconds; NULL: not now. A worker encodes it; may be called
	 * again for the same capture when the disk was full. `release` comes last, on the loop. */
	void *(*capture)(void *ctx);
	int (*encode)(void *ctx, void *capture, struct replica_sink *to);
	void (*release)(void *ctx, void *capture);

	/* Replace the whole state. The bytes have been verified. An error ends replica_start(), or the process. */
	int (*restore)(void *ctx, struct replica_source *from);

	/* A connection to one of our listeners whose first byte is not Raft's: `ch` is the callee's to close; its `data`
	 * is NULL, it is not being read, `first` has been read off it. NULL: closed. */
	void (*connection)(void *ctx, struct channel *ch, const char *listener, char first);

	/* Twice in each turn of the loop: after its poll, and at its end. What came in may be proposed now, as one entry.
	 * What is to be done in slices belongs into the first, where replica_turn_ns() knows what the turn has taken.
	 * calls; may be NULL. */
	void (*turn)(void *ctx, bool ends);
};

/* Strings are copied. A zero takes the default. */
struct replica_config {
	uv_loop_t *loop;
	const char *dir;     /* Exists; nobody else's. */
	const char *cluster; /* A name: servers of another cluster are turned away. */
	uint64_t id;
	const char *address;         /* That others reach us at. */
	unsigned election_ms;        /* 200: a follower without leader waits this to twice this. */
	unsigned heartbeat_ms;       /* 40. */
	unsigned connect_ms;         /* 1000: to reach one address of a server. */
	unsigned handshake_ms;       /* 5000: an accepted connection must say what it is. */
	unsigned conns_per_address;  /* Accepted ones that are Raft's, or have not said what they are. 0: no limit. */
	struct channels *channels;   /* How connections look on the wire; borrowed. NULL: plain text. */
	const char *region;          /* Whose servers' certificates are good for Raft; borrowed. NULL: any. */
	unsigned window;             /* Proposals under way: REPLICA_DEFAULT_WINDOW. */
	uint64_t snapshot_log_bytes; /* 16 MiB: a snapshot is taken when the log since the last one is larger than
				      * this and than half of that one, */
	uint64_t snapshot_entries;   /* 1,000,000: or has more entries. */
	uint64_t trailing_bytes;     /* 4 MiB of entries are kept behind a snapshot, for followers that lag. */
	struct replica_callbacks callbacks;
	void *ctx;
};

/* Why something failed, for people. */
struct replica_fault {
	char text[256];
};

/* Lock the directory (ERR_BUSY when another process has it), check and load what is in it (ERR_CORRUPT names file and
 * byte, ERR_IO). `f` may be NULL. Blocks. */
int replica_new(const struct replica_config *config, struct replica **r, struct replica_fault *f);

/* Listen at "host:port" of this machine; "0.0.0.0:4647" and "[::]:4647" are all its addresses. Before or after the
 * start; any number up to 8. With `raft` connections of Raft (first byte 'R') are served there and others go to the
 * `connection` callback; without it all go there. Port 0 takes a free one. `name` is passed to that callback. */
int replica_listen(struct replica *r, const char *address, const char *name, bool raft, struct replica_fault *f);

/* The port of the listener of that name, 0 if there is none. */
unsigned replica_port(const struct replica *r, const char *name);

/* Restore the newest snapshot, and run. Blocks for 1 to 2 ms per MB of state. After a failure: replica_stop(). */
int replica_start(struct replica *r, struct replica_fault *f);

/* The very first configuration of a cluster, all voters. Every server of the list may be given the same list, in any
 * order; servers given different lists form different clusters, and will refuse each other. ERR_EXISTS: this server
 * is part of a cluster already. The state leaves `uninitialized` in the call; this server must be in the list. The one with the
 * lowest ID stands for election at once. */
int replica_bootstrap(struct replica *r, const struct replica_server *servers, unsigned n);

/* Append an entry. The data is copied. ERR_NOTLEADER (or not yet ready), ERR_BUSY (the window is full), ERR_NOSPACE,
 * ERR_TOOBIG, ERR_NOMEM, ERR_CLOSED: surely not written. `slot` must live until propose_cb, which may propose. */
typedef void (*replica_propose_cb)(void *data, int status, uint64_t index);
int replica_propose(struct replica *r, const void *data, size_t len, void *slot, replica_propose_cb cb, void *cb_data);

/* How many more proposals the window takes now; 0 also when we are not ready or full. */
unsigned replica_window(const struct replica *r);

/* `cb` when all that was proposed before has been applied, which proves that we lead. Errors as for a proposal; at
 * most 64 at a time, else ERR_BUSY. */
int replica_barrier(struct replica *r, replica_propose_cb cb, void *cb_data);

/* Hand leadership to server `id`, or, with 0, to the voter that is furthest. `cb` when another server leads (0) or an
 * election timeout has passed (ERR_TIMEOUT). ERR_NOTLEADER, ERR_BUSY, ERR_NOTFOUND (no such voter). */
int replica_transfer(struct replica *r, uint64_t id, replica_propose_cb cb, void *cb_data);

/* Leadership is being handed on, or was tried to be in this term: what asked the other server to take it may still be on
 * its way. It may be elected at once, whoever has heard of us. */
bool replica_transferring(const struct replica *r);

/* Changes of the configuration, by the leader. One at a time, else ERR_BUSY. `cb` status: 0 when committed,
 * ERR_UNKNOWN, or ERR_TIMEOUT when a server to be made a voter did not catch up. An added server begins as a spare:
 * assign STANDBY, and when it has caught up, VOTER. ERR_EXISTS: id or address is in use; ERR_NOTFOUND; ERR_INVALID: has
 * that role already. */
int replica_add(struct replica *r, uint64_t id, const char *address, replica_propose_cb cb, void *cb_data);
int replica_remove(struct replica *r, uint64_t id, replica_propose_cb cb, void *cb_data);
int replica_assign(struct replica *r, uint64_t id, enum replica_role role, replica_propose_cb cb, void *cb_data);

/* Take a snapshot soon, whatever the policy says. */
void replica_snapshot(struct replica *r);

struct replica_peer {
	struct replica_server server; /* The address is valid until the configuration changes. */
	uint64_t match_index;         /* On the leader: what it has stored. 0 elsewhere. */
	uint64_t contact_ms;          /* Since it was last heard of; UINT64_MAX: never. 0 for ourselves. */
	uint64_t answered_ms;         /* On the leader: when (uv_hrtime()) it had sent the newest message that this one
				       * has answered; 0: never. Now for ourselves. */
};

/* The servers, in the order of the configuration; at most `max` are stored. Returns how many there are. */
unsigned replica_configuration(const struct replica *r, struct replica_peer *peers, unsigned max);

struct replica_status {
	enum replica_state state;
	bool ready;
	bool full; /* No proposals are taken: the disk. */
	uint64_t id;
	uint64_t term;
	uint64_t last_index;   /* In the log. */
	uint64_t stored_index; /* Durable here. */
	uint64_t commit_index; /* On the leader: what a reader elsewhere must have applied to see all that was answered.
				*/
	uint64_t applied_index;
	uint64_t snapshot_index; /* 0: none. */
	uint64_t snapshot_bytes;
	uint64_t leader_id; /* 0: unknown. */
	const char *leader_address;
	uint64_t leader_contact_ms; /* Since the leader was last heard of; 0 on the leader, UINT64_MAX: never. */
	uint64_t log_bytes;         /* Of the entries since the last snapshot, which are in memory. */
	uint64_t disk_capacity;     /* Bytes that can surely be written. */
	uint64_t disk_backlog;      /* Bytes accepted and not yet durable. */
	uint64_t dropped;           /* Messages to servers that did not take them. */
	bool snapshot_running;      /* One is being taken or installed. */
};

struct replica_status replica_status(const struct replica *r);

/* What the present turn of the loop has taken of a processor's time so far. */
uint64_t replica_turn_ns(const struct replica *r);

/* The loop's turns since the last look. */
void replica_turns(struct replica *r, struct meter_stats *out);

/* Hand on leadership (100 ms at most), then close everything. Proposals that are open end with ERR_UNKNOWN. `cb` comes
 * last, when nothing of the replica is left on the loop. Also for a replica that was never started. */
void replica_stop(struct replica *r, void (*cb)(void *data), void *cb_data);

/* After replica_stop()'s callback. */
void replica_free(struct replica *r);

/* For a cluster that has lost its majority for good: with no server running, append to this directory's log a
 * configuration with these servers, on the one server whose log is the longest; then copy the directory to the others.
 * Blocks. */
int replica_recover(const char *dir, const struct replica_server *servers, unsigned n, struct replica_fault *f);

#endif /* RAFT_REPLICA_H_ */
