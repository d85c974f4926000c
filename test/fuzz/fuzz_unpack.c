/* Archives from elsewhere: any bytes, unpacked into a directory beside which nothing may appear, in which nothing is but
 * files, directories and links, and out of which no file is written. The first byte says which kind it is taken for. */
#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/unpack.h"

enum { FILE_MAX = 1 << 20, DEPTH = 16 };

static char base[64]; /* Holds "in", the target, and "out", where a link of the target leads. */
static unsigned outside;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int look_at(const char *path, const struct stat *st, int type, struct FTW *at)
{
	size_t n = strlen(base);

	(void)type;
	assert(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode));
	assert((st->st_mode & (S_ISUID | S_ISGID)) == 0 || S_ISDIR(st->st_mode));
	outside += at->level > 0 && strncmp(path + n, "/in", 3) != 0;
	return 0;
}

static void clean(void)
{
	/* What was unpacked without rights, too. */
	(void)nftw(base, remove_one, DEPTH, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct rlimit most = {FILE_MAX, FILE_MAX};

	(void)argc;
	(void)argv;
	signal(SIGXFSZ, SIG_IGN);
	(void)setrlimit(RLIMIT_FSIZE, &most); /* A file that is too large is an error then, and no full disk. */
	snprintf(base, sizeof(base), "%s/fuzz_unpack-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	atexit(clean);
	return 0;
}

static int file_of(const uint8_t *data, size_t len)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	return fd;
}

/* Like a task's directory: a link leads out of it that was there before. */
static int make_target(void)
{
	char path[128];
	int fd;

	clean();
	assert(mkdir(base, 0700) == 0);
	snprintf(path, sizeof(path), "%s/out", base);
	assert(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/in", base);
	assert(mkdir(path, 0700) == 0);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fd >= 0 && symlinkat("../out", fd, "l") == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[320] = "";
	int dir;
	int fd;
	int rv;

	if (len == 0) {
		return 0;
	}
	dir = make_target();
	fd = file_of(data + 1, len - 1);
	switch (data[0] % 3) {
	case 0:
		rv = unpack(fd, UNPACK_MANY, "a.tar", dir, why, sizeof(why));
		break;
	case 1:
		rv = unpack(fd, UNPACK_ONE, "a.gz", dir, why, sizeof(why));
		break;
	default:
		rv = unpack_data(fd, dir, why, sizeof(why));
	}
	assert(rv == 0 || why[0] != '\0');
	close(fd);
	close(dir);
	outside = 0;
	(void)nftw(base, look_at, DEPTH, FTW_PHYS);
	assert(outside == 1); /* "out" itself, and nothing in it. */
	return 0;
}
