/**
 * Blocked evaluations: those whose jobs wait for room, and when to try them again.
 *
 * A blocked evaluation knows which classes of nodes it could use (ClassEligibility; what it does not name is unknown,
 * and counts as usable), or that this cannot be told by class (escaped), or the one node that it is about. When
 * something of a class has become free, or a node has come, those that could use it and have not seen it yet are
 * released: they leave this module for the broker. If they find no room they come back with a later index.
 *
 * What became free is noted by class, with the index of the change; so an evaluation that was being tried while it
 * happened is released at once when it comes back (its SnapshotIndex is older).
 *
 *     freed(class, index) --> notes --> a pass over the blocked, in slices --> released --> broker
 *                                  new notes are for the next pass
 *
 * A job has one blocked evaluation (a system job one for each node): of two the older is a duplicate, to be cancelled,
 * and listed until the state says that it is over.
 */
#ifndef SERVER_BLOCKED_H_
#define SERVER_BLOCKED_H_

#include "lib/arena.h"
#include "lib/hash.h"
#include "lib/list.h"
#include "raft/state.h"

enum {
	BLOCKED_NOTES_MAX = 64,     /* Classes noted for one pass; with more, all count as noted. */
	BLOCKED_CLASSES_MAX = 4096, /* Whose last change is known; with more, it is the latest of all for each. */
};

struct blocked_class;

struct blocked_eval {
	struct hash_link by_id;
	struct hash_link by_job;
	struct hash_link by_node; /* If it is about one. */
	struct list link;         /* Of todo, looked, released or duplicates. */
	struct uuid id;
	struct uuid node; /* Zero: none. */
	uint64_t create_index;
	uint64_t snapshot_index;
	uint64_t job_hash;
	bool escaped;
	bool released;
	bool duplicate;
	uint32_t n_classes;
	struct blocked_class *classes; /* What it says of each. */
	size_t len;
	char key[]; /* Namespace, zero, job's ID, zero. */
};

struct blocked_note {
	uint64_t class_hash;
	uint64_t index;
};

struct blocked_notes {
	struct blocked_note at[BLOCKED_NOTES_MAX];
	unsigned n;
	uint64_t all_index; /* Everything may have become free at this index; 0: not so. */
};

struct blocked {
	struct hash_table by_id;
	struct hash_table by_job;
	struct hash_table by_node;
	struct list todo;   /* To be looked at in this pass, */
	struct list looked; /* and in the next one. */
	struct list released;
	struct list duplicates;
	struct blocked_notes now;  /* What this pass is about, */
	struct blocked_notes next; /* and the next one. */
	struct hash_table classes; /* Their last changes. */
	uint64_t floor_index;      /* Of classes that are not in there. */
	uint64_t last_index;       /* Of all. */
	size_t n_blocked;          /* Without released ones and duplicates. */
	size_t n_escaped;
	size_t n_released;
};

void blocked_init(struct blocked *bl);
void blocked_close(struct blocked *bl);
void blocked_reset(struct blocked *bl);

/* An evaluation is blocked, or still is. With memory of `mem` while it is decoded; ERR_CORRUPT. */
int blocked_put(struct blocked *bl, const struct eval_row *row, struct arena *mem);

/* It is over, gone, or pending. */
void blocked_remove(struct blocked *bl, const struct uuid *id);

bool blocked_has(const struct blocked *bl, const struct uuid *id);

/* At this index something has become free on this node, of this class. */
void blocked_freed(struct blocked *bl, uint64_t class_hash, const struct uuid *node, uint64_t index);

/* At this index anything may have become possible. */
void blocked_all(struct blocked *bl, uint64_t index);

/* Look at up to `max` evaluations of the present pass. True: there is more to look at. */
bool blocked_pass(struct blocked *bl, unsigned max);

/* Whether there is something for blocked_pass() to do. */
bool blocked_is_busy(const struct blocked *bl);

/* Take out the next released one: it is the caller's to put it into the broker. */
bool blocked_take(struct blocked *bl, struct uuid *id);

/* The first duplicate, and the one behind it; NULL: none. */
const struct blocked_eval *blocked_duplicate(const struct blocked *bl, const struct blocked_eval *after);

#endif /* SERVER_BLOCKED_H_ */
