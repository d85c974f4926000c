/**
 * Group commit: commands that arrive while entries are on their way through the log join the next one.
 *
 *     proposer_add() ... --> queue --> one entry of up to ENTRY_BEST bytes --> replica, a few under way
 *     done_cb() of each  <------------------------------------------- applied, with a result for each command
 *
 * proposer_turn() is called at the end of each turn of the loop, so also whenever an entry is done. A command that finds
 * no entry under way does not wait for others. While there is one, commands gather until it is done or there are enough
 * of them (PROPOSER_WORTH) for another beside it: each entry costs every server a write of the disk, messages and turns
 * of its loop, whatever its size, so under load small ones are what limits throughput. The queue is bounded: beyond that a caller is told
 * ERR_BUSY, surely not done. The leader's own commands have some room more than those of clients, so that a flood of
 * writes does not stop the cluster's work.
 */
#ifndef SERVER_PROPOSER_H_
#define SERVER_PROPOSER_H_

#include "lib/list.h"
#include "raft/fsm.h"

enum {
	PROPOSER_MAX = 8192,           /* Commands that wait. */
	PROPOSER_MAX_OWN = 2 * PROPOSER_MAX, /* The same, for the leader's own. */
	PROPOSER_MAX_BYTES = 64 << 20,
	PROPOSER_WORTH = ENTRY_BEST / 4, /* Bytes that are worth an entry of their own beside others. */
};

/* A command to be written. Embedded in what its proposer keeps; the proposer's again from done_cb on. */
struct write {
	const void *command; /* Without its stamp; stays until done_cb. */
	size_t len;
	/* status 0 with the result of its apply; or an ERR_ code with NULL: ERR_UNKNOWN: it may or may not be carried out;
	 * others: surely not. */
	void (*done_cb)(struct write *w, int status, const struct apply_result *result);
	struct list link;
};

struct entry;

struct proposer_effects {
	/* 0: another entry may be proposed now. ERR_BUSY: later. Others: no, and what waits is to be told so. */
	int (*room)(void *ctx);
	/* As replica_propose(); in the end proposer_done() is told. */
	int (*propose)(void *ctx, const void *entry, size_t len, struct entry *slot);
	/* The time for the commands, and a seed of random bits. */
	int64_t (*now_ns)(void *ctx);
	struct uuid (*random)(void *ctx);
};

/* An entry under way. */
struct entry {
	struct list writes;
	unsigned n;
	struct apply_result results[];
};

struct proposer {
	const struct proposer_effects *effects;
	void *ctx;
	struct list queue;
	unsigned n;
	size_t bytes;
	unsigned under_way; /* Entries. */
	struct batch batch;
	struct uuid seed; /* Of which those of the commands are derived. */
	uint64_t seeds;
	uint64_t n_entries, n_commands; /* Ever. */
};

void proposer_init(struct proposer *p, const struct proposer_effects *effects, void *ctx);

/* Nothing waits or is under way any more. */
void proposer_close(struct proposer *p);

/* Put a command into the queue. ERR_BUSY; ERR_TOOBIG: then done_cb will not come. */
int proposer_add(struct proposer *p, struct write *w, bool own);

/* Make entries of what waits, as far as that is worth it and they are taken. */
void proposer_turn(struct proposer *p);

/* An entry was applied, its results being filled, or has failed. */
void proposer_done(struct proposer *p, struct entry *e, int status);

/* Tell all that wait: this server does not lead, or ends. */
void proposer_fail(struct proposer *p, int err);

#endif /* SERVER_PROPOSER_H_ */
