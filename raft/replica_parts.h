/** What the replica's files share: replica.c (life, turn, proposals), replica_apply.c (what is committed is applied),
 * replica_state.c (the owner's state, as libraft's fsm), replica_member.c (leadership and membership). */
#ifndef RAFT_REPLICA_PARTS_H_
#define RAFT_REPLICA_PARTS_H_

#include "raft/io.h"
#include "raft/mend.h"
#include "raft/replica.h"

#include "lib/list.h"

enum {
	MAX_BARRIERS = 64,
	MAX_INFLIGHT = 256,        /* Entries sent to a server and not yet acknowledged. */
	INSTALL_TIMEOUT_MS = 1000, /* libraft asks again; bulk.c sends one at a time. */
	CAPACITY_KIB = 512,        /* libraft refuses entries when a majority of servers has less. */
	BOOTSTRAP_MS = 20,         /* Until the first election of a new cluster. */
	CATCH_UP_MS = 10000,       /* A server to be made a voter has this long for one round. */
	STOP_TRANSFER_MS = 100,    /* To hand on leadership before the end. */
	HAND_ON_MS = 1000,         /* Between two attempts of a full leader, doubled up to */
	HAND_ON_MAX_MS = 60000,    /* this. */
	CAPTURE_RETRY_MS = 1000,
	SLICE_NS = 2000000,     /* Entries are applied while the turn has taken less than this of a processor, one at least; */
	SLICE_BYTES = 64 << 10, /* or until these have been. */
	LAG_BYTES = 8 << 20,    /* Of what is committed; who has so much to apply takes no more entries from the leader. */
	HURRY_TIMEOUTS = 5, /* Election timeouts in which a leader that is known to be gone should be replaced. */
	REMOVED_TIMEOUTS =
		5, /* Election timeouts without a leader, before a server out of the configuration is sure. */
};

struct proposal {
	struct raft_apply apply; /* `data` is the replica while it is under way, else NULL. */
	uint64_t term;
	bool applied; /* And its slot filled. */
	bool held;    /* libraft calls it done, and it waits to be applied. */
	void *slot;
	replica_propose_cb cb;
	void *cb_data;
};

struct barrier {
	struct raft_barrier req;
	struct list link; /* In held_barriers: libraft calls it done. */
	struct replica *r;
	replica_propose_cb cb;
	void *cb_data;
};

struct replica {
	struct replica_config config;
	char *dir; /* Ours: what `config` points to. */
	char *address;
	struct raft raft;
	struct raft_io io;
	struct raft_fsm fsm;
	bool started;
	bool stopping; /* replica_stop() was called; */
	bool closing;  /* libraft is being closed; */
	bool closed;   /* it has been. */

	/* Proposals. */
	struct proposal proposals[REPLICA_WINDOW_MAX];
	unsigned n_proposals;
	unsigned n_barriers;
	unsigned n_held; /* Of the proposals. */
	struct list held_barriers;

	/* Applying. */
	uint64_t applied; /* The state is that of this index. */
	uint64_t slice_bytes;
	uv_idle_t idle; /* Runs while there is more to apply. */
	bool has_idle;

	/* Leading. */
	bool ready;
	bool barrier_pending;
	uint64_t barrier_term; /* Of the barrier that makes us ready. */
	struct barrier barrier;
	bool transferring;
	uint64_t transfer_term; /* In which leadership was handed on, or was tried to be. */
	struct raft_transfer transfer;
	replica_propose_cb transfer_cb; /* NULL: nobody asked. */
	void *transfer_data;
	uint64_t hand_on_at; /* When a full leader may try again. */
	unsigned hand_on_ms;
	uint64_t hurry_until; /* The leader's process is gone: candidates try again soon, */
	uint64_t hurry_at;    /* next at this time. */
	bool hasten;          /* Bootstrapped, and the first of the list: no need to wait for a leader, */
	unsigned hasten_ms;   /* but for a moment, in which the others are bootstrapped. */

	/* Membership. */
	bool changing;
	struct raft_change change;
	replica_propose_cb change_cb;
	void *change_data;
	uint64_t removing; /* The server that the change removes, or 0. */
	char removing_address[REPLICA_ADDRESS_MAX];
	bool was_member;
	bool removed;          /* And told so. */
	uint64_t absent_since; /* When we first were in no configuration any more; 0: we are. */

	/* What was last told to the owner. */
	uint64_t told_leader;
	char told_address[REPLICA_ADDRESS_MAX];
	uint64_t told_committed;
	uint64_t told_uncommitted;

	/* Snapshots. */
	void *capture;
	bool snapshot_wanted;
	bool restored; /* The state is that of the snapshot that libraft is about to give us. */
	uint64_t capture_retry_at;

	/* Turns. */
	struct meter turns;
	bool measures; /* The first turn has begun. */

	/* The end. */
	uv_timer_t timer;
	bool has_timer;
	void (*stop_cb)(void *data);
	void *stop_data;
};

uint64_t replica_now(const struct replica *r);

/* There are committed entries that are not yet applied; many of them. */
bool replica_behind(const struct replica *r);
bool replica_lags(const struct replica *r);

/* Apply what there is time for in this turn; at its end, see to it that another one follows if that was not all. */
void replica_apply_slice(struct replica *r);
void replica_apply_more(struct replica *r);

/* Apply all, however long it takes; who waits for it is told by the next slice. */
void replica_apply_all(struct replica *r);

/* libraft calls it done: it ends when the state has it. Or now, with an unknown outcome. */
void replica_hold_proposal(struct replica *r, struct proposal *p);
void replica_hold_barrier(struct replica *r, struct barrier *b);
void replica_drop_held(struct replica *r);

void replica_end_proposal(struct replica *r, struct proposal *p, int outcome);
void replica_end_barrier(struct barrier *b, int outcome);

/* A status of libraft's, of a request that had been accepted, as ours. */
int replica_outcome(int status);

/* Follower or candidate: let the next election begin in so many milliseconds. */
void replica_hasten(struct replica *r, unsigned delay_ms);

/* We are stopping, and need not wait any longer. */
void replica_close_soon(struct replica *r);

/* The end of the turn: is there a new leader, a new configuration? Calls back. */
void replica_watch(struct replica *r);

/* A server's process is gone; one says that we have been removed. */
void replica_on_refused(void *ctx, uint64_t id);
void replica_on_removed(void *ctx, uint64_t conf_index);

/* Is it time for a snapshot? */
void replica_watch_log(struct replica *r);

void replica_fsm_init(struct replica *r);
int replica_on_load(void *ctx, const struct raft_buffer *image);
int replica_on_encode(void *ctx, struct snapshot_writer *w);

#endif /* RAFT_REPLICA_PARTS_H_ */
