#include "raft/archive.h"

#include <stdlib.h>
#include <zlib.h>

#include "proto/error.h"
#include "raft/persist.h"

enum { WINDOW_BITS = 15, GZIP_FORMAT = 16 };

struct archive {
	z_stream z;
	archive_next next;
	void *ctx;
	uint64_t total; /* Bytes that have come out. */
	bool end;       /* Of the compressed stream, which agrees with its checksum. */
	const char *why;
};

struct archive *archive_open(archive_next next, void *ctx)
{
	struct archive *a = calloc(1, sizeof(*a));

	if (a != NULL && inflateInit2(&a->z, WINDOW_BITS + GZIP_FORMAT) != Z_OK) {
		free(a);
		return NULL;
	}
	if (a != NULL) {
		a->next = next;
		a->ctx = ctx;
		a->why = "it holds no snapshot of the state";
	}
	return a;
}

void archive_close(struct archive *a)
{
	if (a != NULL) {
		(void)inflateEnd(&a->z);
		free(a);
	}
}

static int fail(struct archive *a, int rc, const char *why)
{
	a->why = why;
	return rc;
}

/* False: there are no more compressed bytes. */
static bool refill(struct archive *a)
{
	const void *data = NULL;

	if (a->z.avail_in == 0) {
		a->z.avail_in = (uInt)a->next(a->ctx, &data);
		a->z.next_in = (Bytef *)(uintptr_t)data; /* zlib's pointer is not const, but it does not write there. */
	}
	return a->z.avail_in > 0;
}

/* As much as there is room for, or a little less. */
static int inflate_some(struct archive *a)
{
	int rv;

	if (!refill(a)) {
		return fail(a, ERR_CORRUPT, "it ends in the middle");
	}
	rv = inflate(&a->z, Z_NO_FLUSH);
	if (rv == Z_STREAM_END) {
		a->end = true;
		return 0;
	}
	if (rv == Z_MEM_ERROR) {
		return fail(a, ERR_NOMEM, "out of memory");
	}
	if (rv != Z_OK && rv != Z_BUF_ERROR) {
		return fail(a, ERR_CORRUPT,
			    a->z.total_out == 0 ? "it is not an archive in gzip's format" : "gzip finds it damaged");
	}
	return 0;
}

int archive_read(void *archive, void *data, size_t len)
{
	struct archive *a = archive;

	a->z.next_out = data;
	a->z.avail_out = (uInt)len;
	while (a->z.avail_out > 0) {
		int rc = a->end ? fail(a, ERR_CORRUPT, "the snapshot in it ends in the middle") : inflate_some(a);

		if (rc != 0) {
			return rc;
		}
	}
	a->total += len;
	if (a->total > ARCHIVE_SNAPSHOT_MAX) {
		return fail(a, ERR_TOOBIG, "the snapshot in it is too large");
	}
	a->why = "a checksum in it is wrong, or it is not a snapshot";
	return 0;
}

int archive_read_end(struct archive *a)
{
	unsigned char more;

	a->z.next_out = &more;
	a->z.avail_out = 1;
	while (!a->end && a->z.avail_out > 0) {
		int rc = inflate_some(a);

		if (rc != 0) {
			return rc;
		}
	}
	return a->end && a->z.avail_out > 0 && !refill(a) ? 0 : fail(a, ERR_CORRUPT, "there is more behind its end");
}

const char *archive_why(const struct archive *a)
{
	return a->why;
}

/* ---- a whole archive at once ---- */

static int ended(struct archive *a, int rc, const char **why)
{
	if (rc == 0) {
		rc = archive_read_end(a);
	}
	if (rc == ERR_UNSUPPORTED) {
		*why = "a later version of the program has made it";
	} else if (rc != 0) {
		*why = a->why;
	}
	archive_close(a);
	return rc;
}

int archive_verify(archive_next next, void *ctx, uint64_t *index, const char **why)
{
	struct archive *a = archive_open(next, ctx);
	void *piece = malloc(PERSIST_PIECE);
	uint32_t n = 0;
	int rc = 1;

	if (a == NULL || piece == NULL) {
		archive_close(a);
		free(piece);
		*why = "out of memory";
		return ERR_NOMEM;
	}
	while (rc == 1) {
		rc = persist_check(n++, index, piece, archive_read, a);
	}
	free(piece);
	return ended(a, rc, why);
}

static void describe(struct state *s, struct archive_info *out)
{
	const struct view *v = state_view(s);

	_Static_assert((int)N_TABLES <= (int)ARCHIVE_TABLES_MAX, "there are more tables than an archive can tell of");
	*out = (struct archive_info){.index = state_index(v), .hash = state_hash(v)};
	for (unsigned i = 0; i < N_TABLES; i++) {
		if (view_count(v, i) > 0) {
			out->tables[out->n_tables++] = (struct archive_table){
				table_name((enum table)i), view_count(v, i), state_table_index(v, (enum table)i)};
		}
	}
	view_release(v);
}

int archive_inspect(archive_next next, void *ctx, struct archive_info *out, const char **why)
{
	struct archive *a = archive_open(next, ctx);
	struct state s;
	bool loaded;
	int rc;

	if (a == NULL) {
		*why = "out of memory";
		return ERR_NOMEM;
	}
	rc = persist_load(&s, archive_read, a);
	loaded = rc == 0;
	rc = ended(a, rc, why);
	if (rc == 0) {
		describe(&s, out);
	}
	if (loaded) {
		state_close(&s);
	}
	return rc;
}
