/**
 * The one door through which the log, the vote and the snapshots reach the disk.
 *
 * Thin: each function is one system call, or its repetition until all is done. It exists so that tests can make the
 * n-th write fail, and so that what is final about a failure is decided in one place: a log that could not be written
 * is not retried, since the kernel may have dropped the pages; the process ends and the other servers carry on.
 */
#ifndef RAFT_DISK_H_
#define RAFT_DISK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_op { DISK_OPEN, DISK_WRITE, DISK_SYNC, DISK_ALLOCATE, DISK_RENAME };
enum disk_file { DISK_LOG, DISK_SPARE, DISK_VOTE, DISK_MARK, DISK_SNAPSHOT, DISK_INCOMING, DISK_DIR };

enum { DISK_EXIT = 4 }; /* The status that disk_die() ends the process with. */

/* For tests: NULL, or asked before each call, with the file's position and the bytes; any thread. Not 0: the call
 * fails with this as errno. */
extern int (*disk_fault)(enum disk_op op, enum disk_file file, uint64_t at, size_t len);

/* errno as ERR_NOSPACE or ERR_IO. */
int disk_error(void);

/* A file in the directory, mode 0600; -1 and errno. */
int disk_open(enum disk_file file, int dirfd, const char *name, int flags);

/* At most len bytes; -1 and errno. */
ssize_t disk_pwrite(enum disk_file file, int fd, const void *data, size_t len, uint64_t at);

/* All of it, at a place; 0 or ERR_NOSPACE, ERR_IO with errno. */
int disk_put(enum disk_file file, int fd, const void *data, size_t len, uint64_t at);

/* fdatasync(), and fsync() for when the file's size or the directory matters. 0, ERR_NOSPACE or ERR_IO. */
int disk_sync(enum disk_file file, int fd);
int disk_sync_all(enum disk_file file, int fd);

/* Make sure that the first len bytes can be written. */
int disk_allocate(enum disk_file file, int fd, size_t len);

/* Rename within the directory, durably. After a failure the file has its old name, so that it can be tried again, or
 * removed; but a power cut may bring the new one. */
int disk_rename(enum disk_file file, int dirfd, const char *from, const char *to);

/* Reads up to len bytes from a place; the number, less only at the end of the file; -1 and errno. */
ssize_t disk_pread(int fd, void *data, size_t len, uint64_t at);

/* The write failed for good: say so and end the process with status DISK_EXIT. */
void disk_die(const char *what) __attribute__((noreturn));

#endif /* RAFT_DISK_H_ */
