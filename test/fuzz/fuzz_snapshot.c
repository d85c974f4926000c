/* A snapshot's file as it may be found on disk: read to its end, or refused. Built with checksums taken as they come.
 */
#include "raft/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int dirfd = -1;
	struct snapshot_reader r;
	char name[64];
	char piece[1000];
	int fd;

	if (dirfd < 0) {
		dirfd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	}
	fd = memfd_create("snapshot", 0);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		abort();
	}
	snprintf(name, sizeof(name), "%d", fd);
	snapshot_verify(dirfd, name);
	if (snapshot_open(&r, dirfd, name) == 0) {
		while (snapshot_read(&r, piece, sizeof(piece)) == 0) {
		}
		snapshot_read_end(&r);
		snapshot_close(&r);
	}
	close(fd);
	return 0;
}
