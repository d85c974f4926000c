/**
 * Snapshot files: a header, then chunks with a checksum each, then the total.
 *
 * Written and read as streams, so an image is never whole in memory and has no limit of size. A file gets its name only
 * when it is complete, synced, and has been read back. Where libraft wants a buffer with the image, it gets a small
 * `struct snapshot_image` that names the file.
 *
 * All functions block; all but snapshot_image_name() belong on a worker, or before the loop runs.
 */
#ifndef RAFT_SNAPSHOT_H_
#define RAFT_SNAPSHOT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SNAPSHOT_CHUNK = 256 << 10,
	SNAPSHOT_NAME = 64,
	SNAPSHOT_MAX_CONF = 64 << 10, /* Bytes of an encoded configuration: 64 servers are 17 KiB. */
	SNAPSHOT_SYNC = 4 << 20,      /* Synced in steps, so that the log's sync never waits for a whole image. */
};

struct snapshot_meta {
	uint64_t index;
	uint64_t term;
	uint64_t conf_index;
	void *conf; /* Encoded; from raft_malloc(). */
	size_t conf_len;
};

struct snapshot_writer {
	int fd;
	int dirfd;
	int err; /* ERR_ code; later writes do nothing. */
	char tmp[SNAPSHOT_NAME];
	char *chunk;
	size_t fill;
	size_t unsynced;
	uint64_t at;    /* In the file. */
	uint64_t total; /* Bytes of the image. */
};

struct snapshot_reader {
	int fd;
	char *chunk;
	size_t at; /* In the chunk. */
	size_t fill;
	uint64_t total; /* Bytes of the image seen so far. */
	uint64_t file_at;
	bool end;
	struct snapshot_meta meta;
};

/* What libraft holds in place of an image. */
struct snapshot_image {
	uint64_t magic;
	char name[SNAPSHOT_NAME];
};

void snapshot_name(char name[SNAPSHOT_NAME], uint64_t index, uint64_t term);

/* Begins a file. 0, or ERR_NOMEM, ERR_NOSPACE, ERR_IO with nothing left behind. */
int snapshot_create(struct snapshot_writer *w, int dirfd, const struct snapshot_meta *meta);

/* 0, or the first error, which sticks. */
int snapshot_write(struct snapshot_writer *w, const void *data, size_t len);

/* Closes; syncs, verifies and renames unless `err` is set. Removes the file on any error, and returns it.
 * ERR_NOSPACE: try again later. *size is the file's. */
int snapshot_finish(struct snapshot_writer *w, const char *name, uint64_t *size);

/* Opens and verifies the header. 0, ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
int snapshot_open(struct snapshot_reader *r, int dirfd, const char *name);

/* Exactly len bytes of the image, else ERR_CORRUPT. */
int snapshot_read(struct snapshot_reader *r, void *data, size_t len);

/* 0 when the image ended where its writer ended it, else ERR_CORRUPT. */
int snapshot_read_end(struct snapshot_reader *r);

void snapshot_close(struct snapshot_reader *r);

/* Reads the file to its end. */
int snapshot_verify(int dirfd, const char *name);

/* The file's bytes, 0 if there is none. */
uint64_t snapshot_size(int dirfd, const char *name);

/* The newest snapshot's name, or an empty one. Removes what a crash left. 0 or ERR_IO. */
int snapshot_find(int dirfd, char name[SNAPSHOT_NAME]);

/* Removes all snapshots but this one. */
void snapshot_prune(int dirfd, const char *name);

/* From raft_malloc(); NULL when there is no memory. */
struct snapshot_image *snapshot_image_new(const char *name);

/* NULL if the bytes are none of ours. */
const char *snapshot_image_name(const void *data, size_t len);

#endif /* RAFT_SNAPSHOT_H_ */
