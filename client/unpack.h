/**
 * Unpacking archives that came from elsewhere: nothing they hold may lead out of the directory they go to, make devices
 * or grow without end. Blocking; for worker threads.
 */
#ifndef CLIENT_UNPACK_H_
#define CLIENT_UNPACK_H_

#include <stddef.h>

enum unpack_kind {
	UNPACK_NOTHING, /* No archive that we know. */
	UNPACK_MANY,    /* tar in its compressions, zip. */
	UNPACK_ONE,     /* A single compressed file. */
};

enum { UNPACK_FILES_MAX = 4096 };

/* By the end of a name, or the bare kind: "x.tar.gz", "tgz", "zip", "log.xz". */
enum unpack_kind unpack_kind(const char *name);

/* Unpack the file `fd`, from its start, into the directory `dir`. A single file gets `name` without its last ending.
 * 0; ERR_INVALID for what is no archive or has bad content, ERR_TOOBIG, ERR_NOSPACE, ERR_IO; with a text. What was
 * unpacked before a failure stays. */
int unpack(int fd, enum unpack_kind kind, const char *name, int dir, char *why, size_t size);

/* A tar archive of data that tasks of another node have made: with its owners, and links that are the tasks' own
 * business (nothing is written through them). No bound on the files. */
int unpack_data(int fd, int dir, char *why, size_t size);

#endif /* CLIENT_UNPACK_H_ */
