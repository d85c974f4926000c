/**
 * Snapshots: the whole state as a stream of bytes, and back.
 *
 *     | header: magic, version, index, hash, stamps of the tables | section of each table: rows |       content
 *     | length, checksum | up to 64 KiB of content | length, checksum | ... | 0                 |       stream
 *
 * Encoding needs a view and nothing else, so a worker thread does it while the core loop goes on. What rows share is
 * written once. Restoring builds a new state and checks all of it: the checksum of each piece, the form and order of
 * the rows, and that the state's hash, counted anew from the contents, is the one that was written.
 *
 * Sections name the size of the rows' plain part and the number of their blobs: a later version of the program that has
 * appended members reads an older snapshot, and takes zero for what it lacks.
 */
#ifndef RAFT_PERSIST_H_
#define RAFT_PERSIST_H_

#include "raft/state.h"

/* 0 or an ERR_ code, which persist_save() then returns. */
typedef int (*persist_write)(void *ctx, const void *data, size_t len);

/* Exactly `len` bytes: 0, or an ERR_ code (ERR_CORRUPT when there are no more). */
typedef int (*persist_read)(void *ctx, void *data, size_t len);

/* About how many bytes a snapshot of this view will have. */
size_t persist_estimate(const struct view *v);

/* Write the state that `v` sees, in pieces of little more than 64 KiB. ERR_NOMEM or the writer's error. On any thread. */
int persist_save(const struct view *v, persist_write write, void *ctx);

/* The same in steps, for a thread that has other work. Hold the view until persist_save_end(). NULL: no memory. */
struct save;
struct save *persist_save_begin(const struct view *v, persist_write write, void *ctx);

/* Write a piece, sometimes two. 1: there is more; 0: that was all; or an error. */
int persist_save_step(struct save *s);
void persist_save_end(struct save *s); /* At any time; NULL is harmless. */

/* Read one piece, the `number`-th from 0, and check all that can be seen without its rows: the form, the checksum, in
 * the first one that this program can read the rest. 1: there are more; 0: that was the last; or an ERR_ code. `index`
 * is set by the first. `piece` has room for PERSIST_PIECE bytes. */
enum { PERSIST_PIECE = 64 << 10 };
int persist_check(uint32_t number, uint64_t *index, void *piece, persist_read read, void *ctx);

/* Make a new state, which the caller gets as if by state_init(), also in that running out of memory ends the process.
 * ERR_CORRUPT, ERR_UNSUPPORTED (of a later version), or the reader's error; then `out` is as after
 * state_close(). */
int persist_load(struct state *out, persist_read read, void *ctx);

#endif /* RAFT_PERSIST_H_ */
