#include "raft/disk.h"

#include "lib/log.h"
#include "proto/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int (*disk_fault)(enum disk_op op, enum disk_file file, uint64_t at, size_t len);

static bool faulty(enum disk_op op, enum disk_file file, uint64_t at, size_t len)
{
	int fault = disk_fault == NULL ? 0 : disk_fault(op, file, at, len);

	if (fault != 0) {
		errno = fault;
	}
	return fault != 0;
}

int disk_error(void)
{
	return errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : ERR_IO;
}

int disk_open(enum disk_file file, int dirfd, const char *name, int flags)
{
	return faulty(DISK_OPEN, file, 0, 0) ? -1 : openat(dirfd, name, flags | O_CLOEXEC, 0600);
}

ssize_t disk_pwrite(enum disk_file file, int fd, const void *data, size_t len, uint64_t at)
{
	ssize_t n;

	if (faulty(DISK_WRITE, file, at, len)) {
		return -1;
	}
	do {
		n = pwrite(fd, data, len, (off_t)at);
	} while (n < 0 && errno == EINTR);
	return n;
}

int disk_put(enum disk_file file, int fd, const void *data, size_t len, uint64_t at)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = disk_pwrite(file, fd, p, len, at);

		if (n < 0) {
			return disk_error();
		}
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int disk_sync(enum disk_file file, int fd)
{
	return faulty(DISK_SYNC, file, 0, 0) || fdatasync(fd) != 0 ? disk_error() : 0;
}

int disk_sync_all(enum disk_file file, int fd)
{
	return faulty(DISK_SYNC, file, 0, 0) || fsync(fd) != 0 ? disk_error() : 0;
}

int disk_allocate(enum disk_file file, int fd, size_t len)
{
	int code = faulty(DISK_ALLOCATE, file, 0, len) ? errno : posix_fallocate(fd, 0, (off_t)len);

	errno = code;
	return code != 0 ? disk_error() : 0;
}

int disk_rename(enum disk_file file, int dirfd, const char *from, const char *to)
{
	int rc;

	if (faulty(DISK_RENAME, file, 0, 0) || renameat(dirfd, from, dirfd, to) != 0) {
		return disk_error();
	}
	rc = disk_sync_all(DISK_DIR, dirfd);
	if (rc != 0) {
		int code = errno;

		renameat(dirfd, to, dirfd, from);
		errno = code;
	}
	return rc;
}

ssize_t disk_pread(int fd, void *data, size_t len, uint64_t at)
{
	char *p = data;
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, p + done, len - done, (off_t)(at + done));

		if (n < 0 && errno != EINTR) {
			return -1;
		}
		if (n == 0) {
			break;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

void disk_die(const char *what)
{
	log_error("raft", "%s: %s: this server cannot keep its log and ends", what, strerror(errno));
	_exit(DISK_EXIT);
}
