/**
 * Reads that must see everything that was committed when they were asked for, on any server.
 *
 * A leader that is sure that it leads (server/lease.h) knows how far that is. Any other server asks the leader how far
 * it has committed, once for all reads that have come while an earlier question was under way. Either lets them go when
 * it has applied that far; for a leader that is mostly now:
 *
 *     reads_add() ...  fresh --> one question --> asked --> the answer --> waiting for apply --> done_cb
 *
 * Without a leader, or without an answer, they fail after READS_PATIENCE_MS.
 */
#ifndef SERVER_READS_H_
#define SERVER_READS_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/list.h"

enum {
	READS_PATIENCE_MS = 5000,
	READS_RETRY_MS = 10, /* After a question that had no answer. */
	READS_MAX = 65536, /* That wait; more are told ERR_BUSY. */
};

/* Embedded in what the reader keeps. */
struct read {
	void (*done_cb)(struct read *r, int status); /* 0, ERR_NOLEADER, ERR_TIMEOUT or ERR_CLOSED. */
	struct list link;
	int64_t until_ms;
	uint64_t index; /* Of the log: to be applied. */
};

struct reads_effects {
	/* This server leads, and is sure of it: all that anybody was answered, or has seen on another server, is up to
	 * *index of the log. */
	bool (*leads)(void *ctx, uint64_t *index);
	/* Ask the leader, which may be this server, not being sure; reads_answer() will follow. Not 0: there is no way to ask
	 * now. */
	int (*ask)(void *ctx);
};

struct reads {
	const struct reads_effects *effects;
	void *ctx;
	struct list fresh;   /* Not yet asked for. */
	struct list asked;   /* The question under way is theirs. */
	struct list waiting; /* For an index to be applied, in the order of these. */
	unsigned n;
	bool asking;
	bool failed;     /* The last question. */
	int64_t next_ms; /* Not asked before this. */
	uint64_t applied;
	uint64_t questions; /* A metric. */
};

void reads_init(struct reads *rs, const struct reads_effects *effects, void *ctx);

/* ERR_BUSY: too many; then done_cb does not come. */
int reads_add(struct reads *rs, struct read *r, int64_t now_ms);

/* The end of a turn of the loop: so far is applied here. */
void reads_turn(struct reads *rs, uint64_t applied, int64_t now_ms);

/* The leader's answer, or err: the question is asked again. */
void reads_answer(struct reads *rs, int err, uint64_t index);

/* All fail: the server ends. */
void reads_fail(struct reads *rs, int err);

#endif /* SERVER_READS_H_ */
