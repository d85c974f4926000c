/**
 * A disk that loses its power: what a program does to the files of one directory is recorded, and can be replayed up
 * to any step into what the disk may hold when the power fails there.
 *
 * The program's system calls are wrapped by the linker (test/local.mk). They go to a real directory and, in the order
 * in which they happened, into a trace, which may be shared with a child that is the program. No real sync is made.
 * What was not synced may be lost, kept, or kept in part, each write for itself; so may changes of the directory.
 */
#ifndef TEST_UNIT_RAFT_POWER_H_
#define TEST_UNIT_RAFT_POWER_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POWER_STEPS = 20000, POWER_BYTES = 32 << 20, POWER_INODES = 512, POWER_NAME = 64, POWER_FILES = 32 };

enum power_op { POWER_CREATE, POWER_WRITE, POWER_SIZE, POWER_SYNC, POWER_RENAME, POWER_UNLINK, POWER_NOTE };

struct power_step {
	enum power_op op;
	bool failed;     /* A sync that failed: what it was to keep no later one will. */
	unsigned inode;  /* 0: the directory. */
	uint64_t at;     /* Or the new size. */
	size_t len;
	const char *data; /* NULL: zeros. */
	char name[POWER_NAME];
	char to[POWER_NAME];
	unsigned note; /* The caller's. */
	uint64_t value;
};

struct power_trace {
	unsigned n;
	unsigned n_inodes;
	unsigned n_calls; /* That could have failed. */
	bool faulted;     /* The fault was met. */
	size_t used;
	struct power_step steps[POWER_STEPS];
	char bytes[POWER_BYTES];
};

/* Shared with children. */
struct power_trace *power_trace_new(void);

enum power_fault { POWER_NONE, POWER_EIO, POWER_ENOSPC, POWER_SHORT };

struct power_disk;

/* From now on calls are recorded, until power_record_end(); `disk` tells what files there are, NULL: none. The call of
 * number `call` (from 0) fails so. */
void power_record(struct power_trace *t, const struct power_disk *disk, enum power_fault fault, unsigned call);
void power_record_end(void);
void power_note(unsigned note, uint64_t value);

/* What the power's loss leaves of what was not synced. */
enum power_loss {
	POWER_KILL,       /* All, and it is still not synced: only the process is gone. */
	POWER_LOSE_ALL,   /* Nothing. */
	POWER_LOSE_NAMES, /* What was written, not what became of names. */
	POWER_LOSE_DATA,  /* The other way round. */
	POWER_SOME,       /* Some writes, and the names up to some moment. */
	POWER_TORN,       /* Some sectors of some writes, and some names. */
	POWER_CUT,        /* All, but of the last write only the beginning. */
	POWER_LOSSES
};

struct power_disk *power_disk_new(void);
void power_disk_free(struct power_disk *d);
struct power_disk *power_disk_copy(const struct power_disk *d);

/* Does a step; `forget` of a file's name: its syncs do nothing ("dir": the directory's), NULL: none. */
void power_step(struct power_disk *d, const struct power_step *s, const char *forget);

/* Has anything not been synced? */
bool power_dirty(const struct power_disk *d);

/* The power fails and comes back. */
void power_lose(struct power_disk *d, enum power_loss loss, uint32_t (*below)(uint32_t n));

/* Flips a bit of a file whose name begins so, among the bytes up to the last that is not 0. False: there is none.
 * The file's name is stored. */
bool power_flip(struct power_disk *d, const char *prefix, uint32_t (*below)(uint32_t n), char name[POWER_NAME]);

/* Makes the directory's files be what the disk holds. Files nobody reads ("spare-") are made empty. */
void power_write(const struct power_disk *d, int dirfd);

#endif /* TEST_UNIT_RAFT_POWER_H_ */
