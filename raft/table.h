/**
 * What there is to know of each table, for all that is done to rows of any kind: hashing, indexing, counting, saving.
 *
 * For the modules of the state itself; readers of the state need raft/state.h alone.
 */
#ifndef RAFT_TABLE_H_
#define RAFT_TABLE_H_

#include "raft/state.h"

enum { TABLE_BLOBS_MAX = 4 };

struct table_info {
	const char *name;
	uint16_t plain;     /* Bytes of the plain part, which begins behind struct row. */
	uint16_t blobs;     /* Where the pointers to blobs begin. */
	uint16_t fixed;     /* Where the text begins. */
	uint8_t n_blobs;
	uint8_t shared;     /* Bit i: many rows share blob i. */
	bool has_job;       /* An allocation: holds a reference to a job's row. */
	uint8_t n_indexes;
	uint8_t indexes[4]; /* Trees. */
};

extern const struct table_info tables[N_TABLES];

static inline const struct table_info *row_table(const struct row *row)
{
	return &tables[row->table];
}

static inline const uint8_t *row_plain(const struct row *row)
{
	return (const uint8_t *)(row + 1);
}

static inline struct blob **row_blobs(const struct row *row)
{
	return (struct blob **)((char *)(uintptr_t)row + row_table(row)->blobs);
}

static inline char *row_text(const struct row *row)
{
	return (char *)(uintptr_t)row + row_table(row)->fixed;
}

/* Whether a row belongs into this index of its table; for INDEX_JOBS_CURRENT and _SYSTEM: if its version is the
 * newest. */
bool row_indexed(const struct row *row, enum tree index);

/* The key of a row in a table or index. */
struct tree_key row_key(enum tree tree, const struct row *row);

/* The hash of a row's content, from the hashes of its blobs. */
uint64_t row_hash(const struct row *row);

/* The same of bytes, for blobs. */
uint64_t blob_hash(const void *data, size_t len);

/* ---- memory: these end the process when there is none ---- */

void *state_malloc(size_t size);

/* A larger array with the first `used` bytes of `at`, which is freed. */
void *state_grow(void *at, size_t used, size_t size);

/* A zeroed row of this table, in no tree, with room for `text_len` bytes. */
struct row *row_new(enum table table, size_t text_len);

/* Give up a row that is in no tree, or that the forest has released. */
void row_free(struct row *row);

struct blob *blob_new(const void *data, size_t len);

/* Text with its closing zero. */
struct blob *blob_text(const char *text);

static inline struct blob *blob_ref(struct blob *blob)
{
	if (blob != NULL) {
		blob->refs++;
	}
	return blob;
}

void blob_unref(struct blob *blob); /* NULL is fine. */

void job_row_unref(struct job_row *row);

/* An empty state, without the rows of a new cluster. */
void state_open(struct state *s);

/* ---- keys ---- */

/* A key being put together. */
struct key {
	size_t len; /* Beyond the room: too long, it is the key of no row. */
	uint8_t at[ROWS_PREFIX_MAX];
};

void key_put(struct key *k, const void *data, size_t len);
void key_text(struct key *k, const char *text); /* With its zero. */
void key_number(struct key *k, uint64_t number); /* 8 bytes, the highest first. */

static inline struct tree_key key_of(const struct key *k)
{
	return (struct tree_key){k->at, k->len};
}

/* Namespace and ID, each with a zero. */
static inline void key_job(struct key *k, const char *ns, const char *id)
{
	k->len = 0;
	key_text(k, ns);
	key_text(k, id);
}

/* Iterate over the rows of any tree whose keys begin so. */
void rows_open(struct rows *r, const struct view *v, unsigned tree, const void *prefix, size_t len);

void put_be64(uint8_t at[8], uint64_t number);
uint64_t get_be64(const uint8_t at[8]);

#endif /* RAFT_TABLE_H_ */
