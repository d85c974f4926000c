/**
 * What a node remembers over a restart of its agent: who it is, and one file for each of its allocations.
 *
 *     DIR/client-id, DIR/secret-id    the node's UUIDs, made at the first start
 *     DIR/allocs/ID                   a struct saved_alloc (client/saved.h)
 *
 * A file is replaced as a whole (written beside, then renamed) and carries its length and a checksum, so what is read
 * back is what was written, or is set aside as ID.damaged with a warning; a start never fails for it. Nothing is
 * synced: what only a crash of the machine can lose describes tasks that the crash has ended.
 */
#ifndef CLIENT_STATE_H_
#define CLIENT_STATE_H_

#include <stddef.h>

#include "client/saved.h"
#include "lib/buf.h"
#include "lib/uuid.h"

struct state_store {
	char *dir; /* Of the allocations' files. */
};

/* Make the directories where they are missing; remove what an interrupted write left. 0, ERR_NOMEM or ERR_IO. */
int state_open(struct state_store *s, const char *dir);
void state_close(struct state_store *s);

/* The node's IDs, made when there are none. 0; ERR_IO when they can be neither read nor kept; ERR_CORRUPT when a file
 * is there that holds none: who the node is must not be guessed. */
int state_ids(const char *dir, char node_id[UUID_TEXT], char secret_id[UUID_TEXT]);

/* A file's bytes from the object and back. `out->failed` tells of memory; decoding returns 0, ERR_NOMEM or
 * ERR_CORRUPT. */
void state_encode(const struct saved_alloc *saved, struct buf *out);
int state_decode(const void *data, size_t len, struct saved_alloc *out, struct arena *mem);

/* These may run on any thread, on one ID one at a time. 0, ERR_NOSPACE or ERR_IO; an ID that is no plain name is
 * ERR_INVALID. Removing what is not there is no error. */
int state_write(const struct state_store *s, const char *id, const void *data, size_t len);
int state_remove(const struct state_store *s, const char *id);

/* Read all allocations. The arena is the callback's to keep or close. 0 or ERR_IO. */
int state_load(const struct state_store *s, void (*found_cb)(void *ctx, struct saved_alloc *saved, struct arena *mem),
               void *ctx);

#endif /* CLIENT_STATE_H_ */
