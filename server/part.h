/**
 * What the leader's parts have in common.
 *
 * A part watches one subject of the cluster (heartbeats, deployments, drains, ...) and brings it forward by commands.
 * It has no clock, no I/O and no state that could be lost: all it holds follows from the cluster's state.
 *
 *     xxx_load(part, row)            while leadership begins: a row of the state, in slices, in the order of keys
 *     xxx_changed(part, old, now)    a row has changed
 *     xxx_step(part, turn)           a slice of work; may ask for one command
 *     xxx_done(part, ref, status)    what became of a command that it asked for
 *     xxx_due(part)                  when to step again if nothing changes
 *
 * Loading and changes come in any order: a row may be heard of twice, or first as a change. As every want of a part
 * follows from the state, one whose command has failed is not kept: it is found again, PART_RETRY_NS later.
 *
 * A step looks at about PART_ROWS rows of the state, so that no turn of the loop gets long.
 */
#ifndef SERVER_PART_H_
#define SERVER_PART_H_

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/moment.h"
#include "lib/uuid.h"
#include "proto/cron.h"
#include "raft/command.h"
#include "raft/state.h"

enum {
	PART_ROWS = 1000,
	PART_COMMAND_ROWS = 500, /* A command changes at most about so many. */
};

#define PART_RETRY_NS NS_PER_S
#define PART_NEVER INT64_MAX

/* IDs of what the leader makes, from random bits that it was given. */
struct id_source {
	struct uuid seed;
	uint64_t n;
};

struct uuid id_source_next(struct id_source *ids);

/* Seconds that the clocks of a time zone ("Europe/Berlin") are ahead of UTC at a moment; 0 for unknown ones. */
struct zones {
	int64_t (*offset_s)(void *ctx, const char *zone, int64_t unix_s); /* NULL: all are UTC. */
	void *ctx;
};

/* What a step is given, and what it gives. */
struct turn {
	const struct view *v; /* The newest. */
	const struct moment *at;
	struct id_source *ids;
	const struct zones *zones;
	struct arena mem;   /* For the step alone. */
	struct buf command; /* What it asks for, encoded, without its stamp. */
	struct uuid ref;    /* Comes back to xxx_done(): whatever tells the part what this was about. */
};

enum part_step {
	STEP_IDLE,    /* Nothing to do before xxx_due(). */
	STEP_MORE,    /* There is more to do; the rest of the loop has its turn first. */
	STEP_COMMAND, /* Propose turn->command; there may be more to do. */
};

/* Ask for a command: STEP_COMMAND, or STEP_MORE if it cannot be encoded, which is logged. */
enum part_step turn_command(struct turn *turn, enum command type, const void *payload, const struct uuid *ref);

/* All of it comes through here: got, or the process ends, as in the state. */
void *turn_need(struct turn *turn, size_t n, size_t size);

/* An ID as text, in the turn's memory. */
const char *turn_id_text(struct turn *turn, const struct uuid *id);

/* The hash of an ID, and of a job's namespace and ID. */
/* Where an iteration that was cut goes on: the key of the next row. */
struct place {
	size_t len; /* 0: at the beginning. */
	uint8_t key[ROWS_PREFIX_MAX];
};

static inline uint64_t id_hash(const struct uuid *id)
{
	uint64_t hash;

	memcpy(&hash, id->at, sizeof(hash));
	return hash;
}

#endif /* SERVER_PART_H_ */
