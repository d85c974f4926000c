/**
 * What the leader's parts have in common.
 *
 * A part watches one subject of the cluster (heartbeats, deployments, drains, ...) and brings it forward by commands.
 * It has no clock and no I/O, and holds nothing that does not follow from the cluster's state:
 *
 *     xxx_load(part, row, at)           while leadership begins: a row of the state, in slices, in the order of keys
 *     xxx_changed(part, old, now, at)   a row has changed; as in struct change
 *     xxx_step(part, turn)              a slice of work; may ask for one command
 *     xxx_done(part, ref, status, at)   what became of that command; what it has changed was told before
 *     xxx_due(part, at)                 when, monotonic, to step if nothing changes; a time that has passed: at once
 *
 * Loading and changes come in any order: a row may be heard of twice, or first as a change. As every want of a part
 * follows from the state, one whose command has failed is not kept: it is found again, PART_RETRY_NS later.
 *
 * A step looks at no more than about PART_ROWS rows of the state, so that no turn of the loop gets long.
 */
#ifndef SERVER_PART_H_
#define SERVER_PART_H_

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/moment.h"
#include "lib/uuid.h"
#include "raft/command.h"
#include "raft/state.h"

enum {
	PART_ROWS = 1000,
	PART_COMMAND_ROWS = 500, /* A command changes no more than about so many. */
};

#define PART_RETRY_NS NS_PER_S
#define PART_NEVER INT64_MAX

/* IDs of what the leader makes, from random bits that it was given. */
struct id_source {
	struct uuid seed;
	uint64_t n;
};

/* How many seconds the clocks of a time zone ("Europe/Berlin") are ahead of UTC at a moment. */
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
	struct arena *mem;  /* Until the step returns. */
	struct buf command; /* What it asks for, encoded, without its stamp. */
	struct uuid ref;    /* Comes back to xxx_done(): what this was about. */
};

enum part_step {
	STEP_IDLE,    /* Nothing to do before xxx_due(). */
	STEP_MORE,    /* There is more to do, after the rest of the loop had its turn. */
	STEP_COMMAND, /* Propose turn->command. There may be more to do. */
};

/* Ask for a command: STEP_COMMAND. One that cannot be encoded is logged and done with, as STEP_MORE. */
enum part_step turn_command(struct turn *turn, enum command type, const void *payload, const struct uuid *ref);

/* Zeroed memory of the turn: got, or the process ends, as in the state. */
void *turn_need(struct turn *turn, size_t n, size_t size);

/* A new ID, and any ID as text. */
const char *turn_new_id(struct turn *turn);
const char *turn_id_text(struct turn *turn, const struct uuid *id);

/* A wall time as a monotonic one, as clocks stand now; PART_NEVER stays. */
int64_t due_mono(int64_t wall_ns, const struct moment *at);

/* Where an iteration that was cut goes on: the key of the next row. */
struct row_mark {
	size_t len; /* 0: at the beginning. */
	uint8_t key[ROWS_PREFIX_MAX];
};

static inline uint64_t id_hash(const struct uuid *id)
{
	uint64_t hash;

	memcpy(&hash, id->at, sizeof(hash));
	return hash;
}

/* Of a key: namespace, zero, job's ID, zero, as rows have it. */
struct uuid job_ref(const char *key, size_t len);

#endif /* SERVER_PART_H_ */
