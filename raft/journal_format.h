/** The bytes of the log's files, for journal.c, which writes them, and journal_load.c, which reads them. */
#ifndef RAFT_JOURNAL_FORMAT_H_
#define RAFT_JOURNAL_FORMAT_H_

#include "lib/crc.h"
#include "raft/journal.h"

enum {
	SEGMENT_VERSION = 1,
	SEGMENT_RESET = 1, /* A flag. */
	SEGMENT_NAME = 32,
	RECORD_MAGIC = 0x64636572,
	MARK_SLOT = 512, /* One sector: written whole or not. */
};

#define SEGMENT_MAGIC 0x31746e656d676573ULL

struct segment_header {
	uint64_t magic;
	uint32_t version;
	uint32_t flags;
	uint64_t salt;
	uint64_t first_seq;
	uint64_t next_index;
	uint32_t crc; /* Of what is before it. */
	uint32_t unused;
};

/* Followed by its body: n entry headers, and the entries' data, each filled up to 8 bytes. */
struct record {
	uint32_t magic;
	uint32_t crc; /* Of what follows, seeded with the salt. */
	uint64_t seq;
	uint64_t index;
	uint32_t n;
	uint32_t body_crc;
	uint64_t size; /* Of the body. */
};

struct entry_header {
	uint64_t term;
	uint32_t type;
	uint32_t len;
};

/* How far everything is durable; in two slots, written in turn. It is not synced itself: it may claim less than what
 * is, and never more. */
struct mark {
	uint64_t seq;
	uint64_t vote_version;
	uint32_t crc; /* Of what is before it. */
	uint32_t unused;
};

_Static_assert(sizeof(struct segment_header) == 48 && sizeof(struct record) == 40 && sizeof(struct entry_header) == 16,
	       "what is on disk has no hidden padding");

static inline size_t pad8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static inline uint32_t segment_header_crc(const struct segment_header *h)
{
	return crc32c(0, h, offsetof(struct segment_header, crc));
}

static inline uint32_t record_crc(const struct record *r, uint64_t salt)
{
	return crc32c(crc32c(0, &salt, sizeof(salt)), &r->seq, sizeof(*r) - offsetof(struct record, seq));
}

static inline uint32_t mark_crc(const struct mark *m)
{
	return crc32c(0, m, offsetof(struct mark, crc));
}

void journal_segment_name(char name[SEGMENT_NAME], uint64_t first_seq);

/* A load under way. */
struct load {
	struct journal *j;
	char *text;              /* Where a failure is described. */
	char name[SEGMENT_NAME]; /* Of the file being read. */
	uint64_t synced;         /* By the mark: records up to here were durable. */
	size_t max_entries;      /* Room in j->entries. */
	size_t last_at;          /* Where the last good record of the file begins. */
};

/* Reads one segment's bytes. On success *end is where the good records end. Pure, for the fuzzer. */
int journal_load_records(struct load *ld, const char *p, size_t size, bool last, struct journal_segment *seg,
			 size_t *end);

/* Forgets the loaded entries from index on. */
void journal_load_truncate(struct journal *j, uint64_t index);

#endif /* RAFT_JOURNAL_FORMAT_H_ */
