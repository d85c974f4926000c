/**
 * The log on disk, and the thread that writes it.
 *
 *     log-<first record>   closed segments, and the one being written
 *     spare-<n>            segments made ready ahead: the capacity we promise
 *     mark                 up to where everything has been synced
 *
 * A segment is a header and a row of records. One record is one write and one fdatasync: it holds all entries that
 * queued up while the one before was being synced. The next record is only written when the last one is durable, so
 *
 *  - a damaged record with a valid one behind it,
 *  - a damaged record at or below the mark,
 *  - a damaged record in any segment but the last
 *
 * is corruption, and journal_open() refuses, naming file and byte. Anything else that is damaged is the torn end of a
 * crash, was never acknowledged, and is cut off. A record's checksum is seeded with a random number of its segment, so
 * that a client's data cannot pass for a record.
 *
 * Truncation needs no file operation: a record that begins at or below the last index replaces what is there. A segment
 * marked "reset" begins after a snapshot that was installed, and makes all before it void.
 *
 * Spares are written with zeros ahead of time. A plain fallocate() leaves blocks whose first use is a change of the
 * file system's metadata, and each sync of one takes twice as long (100 and 200 us, ext4). They begin small, so that an
 * idle server costs 2 MiB of writing, and grow while segments fill quickly.
 *
 * The vote goes through the same queue, into its own file (see vote.h): it is durable before any entry pushed later.
 *
 * A full disk makes the writer wait, for as long as it takes; journal_status() tells beforehand. Any other failed
 * write ends the process (see disk.h).
 */
#ifndef RAFT_JOURNAL_H_
#define RAFT_JOURNAL_H_

#include "raft/vote.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct raft_entry;

enum {
	JOURNAL_SEGMENT_MIN = 1 << 20,  /* Bytes of a segment, between these; */
	JOURNAL_SEGMENT_MAX = 16 << 20, /* more only for one entry that needs it. */
	JOURNAL_SPARES = 2,             /* Segments kept ready. */
	JOURNAL_MAX_BATCH = 4 << 20,    /* A record takes more only for one append. */
	JOURNAL_TEXT = 256,             /* Of an error message. */
};

enum journal_type { JOURNAL_APPEND, JOURNAL_VOTE, JOURNAL_RESET };

/* Lives, with its entries, from journal_push() until journal_finished() or journal_close() gives it back. */
struct journal_item {
	enum journal_type type;
	uint64_t index; /* The first entry; of a reset: the next entry to come. */
	const struct raft_entry *entries;
	unsigned n;
	uint64_t term; /* Of a vote. */
	uint64_t voted_for;
	uint64_t origin;
	struct journal_item *next;
};

struct journal_segment {
	uint64_t first_seq;
	uint64_t max_index; /* The highest index of any entry in it. */
	struct journal_segment *next;
};

struct journal_spare {
	int fd;
	unsigned id;
	size_t size;
};

struct journal {
	int dirfd;
	struct vote *vote;
	void (*wake_cb)(void *data); /* On the writer: there is something finished. */
	void *wake_data;

	/* What journal_open() found; who takes the entries sets them to NULL and 0. Each has its buffer of its own,
	 * from raft_malloc(). */
	struct raft_entry *entries;
	size_t n_entries;
	uint64_t start_index; /* Of the first entry, or of the next one to come. */
	uint64_t next_index;

	pthread_mutex_t mutex; /* For what follows, up to the segments. */
	pthread_cond_t work;   /* There is something pending, or the end. */
	pthread_cond_t spare;  /* A spare was made or used, or the end. */
	pthread_t writer;
	pthread_t preparer;
	bool running;
	bool stopping;
	struct journal_item *pending;
	struct journal_item **pending_tail;
	struct journal_item *finished;
	struct journal_item **finished_tail;
	struct journal_spare spares[JOURNAL_SPARES];
	unsigned n_spares;
	unsigned next_spare;
	size_t spare_size;                /* Of the next spare to be made, */
	size_t needed;                    /* and what the writer waits for, or 0. */
	struct journal_segment *segments; /* Oldest first; the last is being written. */

	/* Written with the mutex held or by the writer alone, and read by anyone: asking costs the writer nothing. */
	atomic_size_t backlog;    /* Bytes of entries that are not durable yet. */
	atomic_size_t room;       /* Bytes left in the segment being written. */
	atomic_size_t spare_room; /* Bytes of the spares. */
	atomic_bool no_space;     /* The last attempt to make a spare failed for that. */

	/* The writer's own. */
	int fd;
	int mark_fd;
	uint64_t salt;
	uint64_t seq; /* The last record that is durable. */
	size_t used;
	bool reset; /* The segment is marked so, and no record has followed: if another replaces it, that one is too. */
	unsigned unmarked;      /* Records since the mark was stored, */
	unsigned mark_slot;     /* in this one of its two. */
	struct timespec opened; /* When the segment was. */
	char *buf;
	size_t buf_size;
};

/* Reads the whole log, cuts off a torn end, checks the rest. 0, or ERR_CORRUPT, ERR_IO, ERR_NOMEM with a text.
 * After a failure only journal_close() may be called. Blocks. */
int journal_open(struct journal *j, int dirfd, struct vote *vote, char text[JOURNAL_TEXT]);

/* Starts the threads; the first write opens a new segment. 0 or ERR_NOMEM. */
int journal_start(struct journal *j, void (*wake_cb)(void *data), void *wake_data);

/* Queues an item. The queue has no bound: see journal_status(). */
void journal_push(struct journal *j, struct journal_item *item);

/* Takes all finished items, in the order in which they were pushed. */
struct journal_item *journal_finished(struct journal *j);

struct journal_status {
	size_t capacity; /* Bytes surely writable, */
	size_t backlog;  /* besides these, that were pushed and are not durable yet. */
	bool no_space;   /* The capacity does not grow: the disk is full. */
};

struct journal_status journal_status(struct journal *j);

/* Removes segments that hold nothing at or above keep_from; one that cannot be removed is kept, with all behind it.
 * Blocks; any thread, but one at a time. */
void journal_prune(struct journal *j, uint64_t keep_from);

/* Tells the threads to end. What is pending stays so, but for the record that is being written. */
void journal_stop(struct journal *j);

/* Waits for the threads. Blocks; needed only where journal_close() must not. */
void journal_join(struct journal *j);

/* Waits for the threads, frees everything, and returns the items left over. */
struct journal_item *journal_close(struct journal *j);

#endif /* RAFT_JOURNAL_H_ */
