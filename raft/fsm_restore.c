/*
 * Another state in place of this one: a backup is restored (PUT /v1/operator/snapshot).
 *
 * It goes through the log, as everything that changes the state. An archive (raft/archive.h) does not fit into one
 * entry, so it comes in parts, which are rows of the state like others until RESTORE_COMMIT makes a state of them:
 *
 *     RESTORE_PART 0, 1, 2, ...   rows of the table RESTORES; the state that is served stays as it is
 *     RESTORE_COMMIT              the parts, unpacked, become the state, on each server at the same place of the log
 *
 * Why so, and not by a snapshot that the leader writes and the others install: that one is decided by the leader
 * alone. If it fails after its own disk has the new state and before a majority has it, the others elect a leader with
 * the old one, and two servers have different pasts under the same numbers. Here there is one moment, the commit's
 * entry, and Raft has decided about it before anybody acts. Whatever fails, whenever:
 *
 *   - before the commit's entry is in a majority's logs all servers have the old state, with some parts in it, which
 *     the next leader drops;
 *   - after it all come to the new one, however often they crash, because replaying the log comes to the same end;
 *   - a snapshot that is taken in between has the parts as it has all rows, so that a server that gets it instead of
 *     the log can carry out the commit as well.
 *
 * An archive that is no good is refused by all servers alike, and nothing has changed: whether it is depends on its
 * bytes alone.
 *
 * Indexes never go back. The new state's index is above the one that the old state had and above the archive's, and so
 * is the stamp of each table: who blocks on any of them wakes, whichever state he has seen last.
 */
#include <stdlib.h>
#include <string.h>

#include "raft/archive.h"
#include "raft/fsm_work.h"
#include "raft/persist.h"

/* A part of the present restore; false: there is none with this number. */
static bool find_part(struct fsm_work *f, uint64_t number, struct restore_part *part)
{
	const struct object_row *row = state_restore_part(view_of(f), number);

	if (row != NULL) {
		fsm_unpack(f, &restore_part_type, row->object, part);
	}
	return row != NULL;
}

static bool is_of(const struct restore_part *part, const struct bytes *id)
{
	return part->id.n == id->n && memcmp(part->id.at, id->at, id->n) == 0;
}

/* Whether the part before this one is there, and of the same restore. */
static bool follows(struct fsm_work *f, const struct restore_part *p)
{
	struct restore_part before;

	return p->number == 0 || (find_part(f, (uint64_t)p->number - 1, &before) && is_of(&before, &p->id));
}

static bool id_is_valid(const struct bytes *id)
{
	return id->n == sizeof(struct uuid);
}

void fsm_RESTORE_PART(struct fsm_work *f, const struct restore_part *p)
{
	const struct key all = {.len = 0};
	struct key key = {.len = 0};

	if (!id_is_valid(&p->id) || p->number < 0 || p->number >= RESTORE_PARTS_MAX || p->data.n == 0 ||
	    p->data.n > RESTORE_PART_MAX) {
		fsm_fail(f, ERR_INVALID, "a malformed part of an archive");
		return;
	}
	if (!follows(f, p)) {
		fsm_fail(f, ERR_CONFLICT, "another restore has begun");
		return;
	}
	if (p->number == 0) {
		fsm_objects_remove(f, TABLE_RESTORES, &all);
	}
	key_number(&key, (uint64_t)p->number);
	f->result->changed = fsm_object_put(f, TABLE_RESTORES, &key, &restore_part_type, p);
}

void fsm_RESTORE_DROP(struct fsm_work *f, const struct restore_drop *p)
{
	const struct key all = {.len = 0};
	struct restore_part first;

	if (find_part(f, 0, &first) && is_of(&first, &p->id)) {
		fsm_objects_remove(f, TABLE_RESTORES, &all);
		f->result->changed = true;
	}
}

/* ---- the parts, one after the other ---- */

struct parts {
	struct fsm_work *f;
	uint64_t next;
};

static size_t next_part(void *ctx, const void **data)
{
	struct parts *parts = ctx;
	struct restore_part part;

	if (!find_part(parts->f, parts->next, &part)) {
		return 0;
	}
	parts->next++;
	*data = part.data.at;
	return part.data.n;
}

static int load(struct fsm_work *f, struct state *fresh)
{
	struct parts parts = {f, 0};
	struct archive *a = archive_open(next_part, &parts);
	int rc;

	if (a == NULL) {
		state_malloc(SIZE_MAX);
	}
	rc = persist_load(fresh, archive_read, a);
	if (rc == 0) {
		rc = archive_read_end(a);
		rc = rc == 0 && view_count(forest_work(&fresh->forest), TABLE_RESTORES) > 0 ? ERR_INVALID : rc;
		if (rc != 0) {
			state_close(fresh);
		}
	}
	if (rc == ERR_NOMEM) {
		state_malloc(SIZE_MAX); /* A server that skips what the others do must not go on. */
	}
	if (rc != 0) {
		fsm_fail(f, rc, "the archive cannot be restored: %s",
			 rc == ERR_UNSUPPORTED ? "a later version of the program has made it"
			 : rc == ERR_INVALID   ? "it was made in the middle of a restore"
					       : archive_why(a));
	}
	archive_close(a);
	return rc;
}

/* All of it has just changed. */
static void stamp(struct state *s, uint64_t index)
{
	unsigned i;

	s->index = index;
	for (i = 0; i < N_TABLES; i++) {
		forest_stamp(&s->forest, i, index);
	}
	forest_stamp(&s->forest, TREE_STATE_INDEX, index);
	if (forest_commit(&s->forest) != 0) {
		state_malloc(SIZE_MAX);
	}
}

static bool is_complete(struct fsm_work *f, const struct restore_commit *p)
{
	struct restore_part part;

	return id_is_valid(&p->id) && p->parts > 0 && view_count(view_of(f), TABLE_RESTORES) == (uint64_t)p->parts &&
	       find_part(f, (uint64_t)p->parts - 1, &part) && is_of(&part, &p->id);
}

void fsm_RESTORE_COMMIT(struct fsm_work *f, const struct restore_commit *p)
{
	struct state *fresh;
	uint64_t index;

	if (!f->may_replace) {
		fsm_fail(f, ERR_UNSUPPORTED, "this state cannot be replaced");
		return;
	}
	if (!is_complete(f, p)) {
		fsm_fail(f, ERR_CONFLICT, "parts of the archive are missing, or another restore has begun");
		return;
	}
	fresh = state_malloc(sizeof(*fresh));
	memset(fresh, 0, sizeof(*fresh));
	if (load(f, fresh) != 0) {
		free(fresh);
		return;
	}
	index = fresh->index + 1 > index_of(f) ? fresh->index + 1 : index_of(f);
	stamp(fresh, index);
	f->fresh = fresh;
	f->result->index = index;
	f->result->changed = true;
}
