/**
 * How the state is changed: rows are made, edited and removed one by one, and what follows from that is kept along:
 * indexes, stamps of tables, the state's hash, the list of changes.
 *
 * Editing:
 *
 *     struct eval_row *eval = writer_edit(w, &old->row);
 *     eval->status = EVAL_STATUS_COMPLETE;
 *     writer_put(w, &eval->row);
 *
 * writer_edit() gives a copy, or the row itself when no view has seen it yet. Between the two the row is not in the
 * state's hash, and must not be edited again. What keys are made of may change only in a copy: writer_rekey() always
 * makes one. A row replaced stays readable until the entry has been applied.
 */
#ifndef RAFT_WRITER_H_
#define RAFT_WRITER_H_

#include "raft/fsm.h"
#include "raft/table.h"

struct writer {
	struct state *state;
	struct change *changes; /* Of this entry, one for each row; rows know their place. */
	uint32_t n_changes;
	uint32_t changes_cap;
};

/* What finders read. It ends with the next change. */
static inline const struct view *writer_view(const struct writer *w)
{
	return forest_work(&w->state->forest);
}

/* The index of the command that is being applied. */
static inline uint64_t writer_index(const struct writer *w)
{
	return w->state->index;
}

/* Begin to edit a row that is in its table. */
void *writer_edit(struct writer *w, const struct row *row);

/* The same, and its keys may change. */
void *writer_rekey(struct writer *w, const struct row *row);

/* The same, with room for another length of text; the text is copied as far as it goes. */
void *writer_resize(struct writer *w, const struct row *row, size_t text_len);

/* Put a row into its table: one from row_new(), or one whose editing ends. */
void writer_put(struct writer *w, struct row *row);

/* Take a row out of its table. */
void writer_remove(struct writer *w, const struct row *row);

/* The changes of an entry have been told: begin a new list. */
void writer_reset(struct writer *w);

void writer_close(struct writer *w);

/* Let a row point to another blob, whose reference it takes. */
static inline void blob_set(struct blob **slot, struct blob *blob)
{
	struct blob *old = *slot;

	*slot = blob;
	blob_unref(old);
}

#endif /* RAFT_WRITER_H_ */
