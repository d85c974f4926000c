#include "raft/writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MARK_EDITING = 1 };

static bool owned(const struct writer *w, const struct row *row)
{
	return forest_owns(&w->state->forest, &row->life);
}

/* Allocations that point to a version of a job see it as it was when they were placed. */
static bool pinned(const struct row *row)
{
	return row->table == TABLE_JOBS && ((const struct job_row *)row)->refs > 1;
}

static struct row *copy_row(const struct row *from, size_t text_len)
{
	const struct table_info *t = row_table(from);
	size_t text = from->text_len < text_len ? from->text_len : text_len;
	struct row *to = row_new((enum table)from->table, text_len);
	unsigned i;

	memcpy(to + 1, from + 1, t->fixed - sizeof(*to) + text);
	for (i = 0; i < t->n_blobs; i++) {
		blob_ref(row_blobs(to)[i]);
	}
	if (t->has_job) {
		((struct alloc_row *)to)->job->refs++;
	}
	if (from->table == TABLE_JOBS) {
		((struct job_row *)to)->refs = 1;
	}
	return to;
}

static struct row *edit_copy(struct writer *w, const struct row *row, size_t text_len)
{
	struct row *copy;

	assert((row->mark & MARK_EDITING) == 0);
	copy = copy_row(row, text_len);
	copy->change = owned(w, row) ? row->change : 0;
	copy->mark = MARK_EDITING;
	w->state->hash -= row->hash;
	return copy;
}

void *writer_edit(struct writer *w, const struct row *row)
{
	struct row *own = (struct row *)(uintptr_t)row;

	if (!owned(w, row) || pinned(row)) {
		return edit_copy(w, row, row->text_len);
	}
	assert((row->mark & MARK_EDITING) == 0);
	own->mark |= MARK_EDITING;
	w->state->hash -= row->hash;
	return own;
}

void *writer_rekey(struct writer *w, const struct row *row)
{
	return edit_copy(w, row, row->text_len);
}

void *writer_resize(struct writer *w, const struct row *row, size_t text_len)
{
	return edit_copy(w, row, text_len);
}

/* ---- the list of changes ---- */

static void record(struct writer *w, const struct row *old, struct row *now)
{
	if (w->n_changes == w->changes_cap) {
		uint32_t cap = w->changes_cap == 0 ? 256 : w->changes_cap * 2;

		w->changes = state_grow(w->changes, w->n_changes * sizeof(*w->changes), cap * sizeof(*w->changes));
		w->changes_cap = cap;
	}
	w->changes[w->n_changes++] = (struct change){(enum table)(now != NULL ? now : old)->table, old, now};
	if (now != NULL) {
		now->change = w->n_changes;
	}
}

void writer_reset(struct writer *w)
{
	w->n_changes = 0;
}

void writer_close(struct writer *w)
{
	free(w->changes);
	*w = (struct writer){0};
}

/* ---- trees ---- */

static void tree_put(struct writer *w, unsigned tree, struct row *row, struct row **old)
{
	struct tree_row *was;

	if (forest_put(&w->state->forest, tree, &row->life, &was) != 0) {
		state_malloc(SIZE_MAX); /* Says so, and ends the process. */
	}
	*old = (struct row *)was;
}

static void tree_remove(struct writer *w, unsigned tree, struct tree_key key, struct row **old)
{
	struct tree_row *was;

	if (forest_remove(&w->state->forest, tree, key, &was) != 0) {
		state_malloc(SIZE_MAX);
	}
	*old = (struct row *)was;
}

static bool same_key(struct tree_key a, struct tree_key b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* Of a job's versions the indexes have the newest alone. */
static bool newest(const struct writer *w, const struct row *row)
{
	const struct row *current;

	if (row->table != TABLE_JOBS) {
		return true;
	}
	current = (const struct row *)view_find(writer_view(w), INDEX_JOBS_CURRENT, row_key(INDEX_JOBS_CURRENT, row));
	return current == NULL || ((const struct job_row *)current)->version <= ((const struct job_row *)row)->version;
}

static void index_put(struct writer *w, struct row *row, const struct row *old)
{
	const struct table_info *t = row_table(row);
	bool current = newest(w, row);
	struct row *was;
	unsigned i;

	for (i = 0; i < t->n_indexes && current; i++) {
		enum tree index = (enum tree)t->indexes[i];

		if (old != NULL && row_indexed(old, index) &&
		    (!row_indexed(row, index) || !same_key(row_key(index, old), row_key(index, row)))) {
			tree_remove(w, index, row_key(index, old), &was);
		}
		if (row_indexed(row, index)) {
			tree_put(w, index, row, &was);
		}
	}
}

static void stamp(struct writer *w, const struct row *row)
{
	forest_stamp(&w->state->forest, row->table, w->state->index);
}

void writer_put(struct writer *w, struct row *row)
{
	bool there = owned(w, row);

	row->mark &= (uint8_t)~MARK_EDITING;
	row->hash = row_hash(row);
	w->state->hash += row->hash;
	stamp(w, row);
	if (!there) {
		struct row *old;

		tree_put(w, row->table, row, &old);
		index_put(w, row, old);
		if (row->change == 0) {
			record(w, old, row);
		} else {
			w->changes[row->change - 1].now = row;
		}
	}
}

void writer_remove(struct writer *w, const struct row *row)
{
	const struct table_info *t = row_table(row);
	bool current = newest(w, row);
	struct row *was;
	unsigned i;

	assert((row->mark & MARK_EDITING) == 0);
	w->state->hash -= row->hash;
	stamp(w, row);
	for (i = 0; i < t->n_indexes && current; i++) {
		enum tree index = (enum tree)t->indexes[i];

		if (row_indexed(row, index)) {
			tree_remove(w, index, row_key(index, row), &was);
			assert(was == row);
		}
	}
	tree_remove(w, row->table, row_key((enum tree)row->table, row), &was);
	assert(was == row);
	if (owned(w, row)) {
		w->changes[row->change - 1].now = NULL;
	} else {
		record(w, row, NULL);
	}
}
