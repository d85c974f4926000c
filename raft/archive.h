/**
 * A backup of the whole state, as a file: what GET /v1/operator/snapshot gives.
 *
 * It is a snapshot (raft/persist.h) compressed by gzip, and nothing else. So it tells by itself whether it is whole and
 * undamaged: gzip has a checksum and a length at its end, each piece of the snapshot a checksum and a number, and what
 * comes out of loading must have the hash that the state had when it was saved.
 *
 * A reader takes compressed bytes from wherever they are, and is a source for persist_check() and persist_load().
 */
#ifndef RAFT_ARCHIVE_H_
#define RAFT_ARCHIVE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the snapshot in an archive; a longer one is refused, as it would not fit into the servers' memory. */
#define ARCHIVE_SNAPSHOT_MAX (UINT64_C(16) << 30)

/* The next compressed bytes, which stay until the next call: their number, 0 at the end. */
typedef size_t (*archive_next)(void *ctx, const void **data);

struct archive;

/* NULL: no memory. */
struct archive *archive_open(archive_next next, void *ctx);
void archive_close(struct archive *a); /* NULL is harmless. */

/* Exactly so many bytes of the snapshot; `archive` is a struct archive. 0, ERR_CORRUPT, ERR_TOOBIG or ERR_NOMEM. */
int archive_read(void *archive, void *data, size_t len);

/* 0 when all has been read, and gzip agrees; else ERR_CORRUPT. */
int archive_read_end(struct archive *a);

/* What is wrong with it, for people, after an error: "it ends in the middle". */
const char *archive_why(const struct archive *a);

/* ---- a whole archive at once, for those who have it in a file ---- */

enum { ARCHIVE_TABLES_MAX = 32 };

struct archive_info {
	uint64_t index;
	uint64_t hash;
	struct archive_table {
		const char *name; /* Static. */
		uint64_t rows;
		uint64_t index;
	} tables[ARCHIVE_TABLES_MAX]; /* Those with rows. */
	unsigned n_tables;
};

/* Read it to its end: all checksums are right, and its index is this. 0, or an ERR_ code with what is wrong in `why`,
 * which is static. */
int archive_verify(archive_next next, void *ctx, uint64_t *index, const char **why);

/* The same, and load it as a server would. */
int archive_inspect(archive_next next, void *ctx, struct archive_info *out, const char **why);

#endif /* RAFT_ARCHIVE_H_ */
