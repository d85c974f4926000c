/**
 * What a node remembers over a restart of its agent: who it is, and one file for each of its allocations.
 *
 *     DIR/client-id, DIR/secret-id    the node's UUIDs, made at the first start
 *     DIR/allocs/ID                   a struct saved_alloc (client/saved.h)
 *
 * A file has two slots, each with a number, a length and a checksum; a write goes to the older one. So a write that
 * was torn leaves the state before it, and no file is made or removed for a change: file systems are slow at that. One
 * that has outgrown its slots is written anew, beside the old one, which it then replaces. A file without a good slot is
 * set aside as ID.damaged, with a warning; a start never fails for it. Nothing is synced: what only a crash of the
 * machine can lose describes tasks that the crash has ended.
 */
#ifndef CLIENT_STATE_H_
#define CLIENT_STATE_H_

#include <stdbool.h>
#include <stddef.h>

#include "client/saved.h"
#include "lib/buf.h"
#include "lib/uuid.h"

/* Replace a file as a whole, by one of `size` bytes (>= `len`) of which the first `len` are given and the others zero; it is written
 * beside it, as PATH.tmp, and readable by its owner alone. `sync` makes it last over a crash of the machine. 0, ERR_NOSPACE or
 * ERR_IO: then what was there stays. */
int state_replace_file(const char *path, const void *data, size_t len, size_t size, bool sync);

struct state_store {
	char *dir; /* Of the allocations' files. */
};

/* Make the directories where they are missing; remove what an interrupted write left. 0, ERR_NOMEM or ERR_IO. */
int state_store_open(struct state_store *s, const char *dir);
void state_store_close(struct state_store *s);

/* The node's IDs, made when there are none. 0; ERR_IO when they can be neither read nor kept; ERR_CORRUPT when a file
 * is there that holds none: who the node is must not be guessed. */
int state_ids(const char *dir, char node_id[UUID_TEXT], char secret_id[UUID_TEXT]);

/* What a writer remembers of a file that it has written; all zero before. */
struct state_file {
	uint32_t slot_bytes;
	uint64_t number; /* Of the last write. */
};

/* What is to be written of an object, into an empty buffer; `out->failed` tells of memory. */
void state_encode(const struct saved_alloc *saved, struct buf *out);

/* The object from a whole file's bytes: 0, ERR_NOMEM or ERR_CORRUPT. */
int state_decode(const void *data, size_t len, struct saved_alloc *out, struct arena *mem);

/* These may run on any thread, on one ID one at a time. 0, ERR_TOOBIG, ERR_NOSPACE or ERR_IO; an ID that is no plain
 * name is ERR_INVALID. `encoded` is from state_encode(). Removing what is not there is no error. */
int state_write(const struct state_store *s, const char *id, struct state_file *file, struct buf *encoded);
int state_remove(const struct state_store *s, const char *id);

/* Read all allocations. The arena is the callback's to keep or close. 0 or ERR_IO. */
int state_load(const struct state_store *s, void (*found_cb)(void *ctx, struct saved_alloc *saved, struct arena *mem),
               void *ctx);

#endif /* CLIENT_STATE_H_ */
