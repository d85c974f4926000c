/** Directories and damaged files for the tests of what is on disk. */
#ifndef TEST_UNIT_RAFT_FILES_H_
#define TEST_UNIT_RAFT_FILES_H_

#include "test/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new directory, and its descriptor. On a real file system: /tmp, or $TMPDIR. */
struct dir {
	char path[256];
	int fd;
};

static inline void dir_open(struct dir *d)
{
	const char *base = getenv("TMPDIR");

	snprintf(d->path, sizeof(d->path), "%s/drover-test-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY);
	assert_true(d->fd >= 0);
}

/* Calls f for each file; its name is valid during the call. */
static inline void dir_each(const struct dir *d, void (*f)(const struct dir *d, const char *name, void *data),
			    void *data)
{
	DIR *dir = opendir(d->path);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.') {
			f(d, e->d_name, data);
		}
	}
	closedir(dir);
}

static inline void unlink_one(const struct dir *d, const char *name, void *data)
{
	(void)data;
	unlinkat(d->fd, name, 0);
}

static inline void dir_close(struct dir *d)
{
	dir_each(d, unlink_one, NULL);
	close(d->fd);
	rmdir(d->path);
}

static inline bool file_exists(const struct dir *d, const char *name)
{
	return faccessat(d->fd, name, F_OK, 0) == 0;
}

static inline size_t file_size(const struct dir *d, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(d->fd, name, &st, 0), 0);
	return (size_t)st.st_size;
}

static inline void file_cut(const struct dir *d, const char *name, size_t size)
{
	int fd = openat(d->fd, name, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static inline void file_read(const struct dir *d, const char *name, void *data, size_t len, size_t at)
{
	int fd = openat(d->fd, name, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, data, len, (off_t)at), len);
	close(fd);
}

static inline void file_write(const struct dir *d, const char *name, const void *data, size_t len, size_t at)
{
	int fd = openat(d->fd, name, O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
	close(fd);
}

static inline void file_flip(const struct dir *d, const char *name, size_t at, unsigned char bits)
{
	unsigned char c;

	file_read(d, name, &c, 1, at);
	c ^= bits;
	file_write(d, name, &c, 1, at);
}

/* How many files begin so; the last of them in the order of names is stored. */
struct count {
	const char *prefix;
	unsigned n;
	char last[256];
};

static inline void count_one(const struct dir *d, const char *name, void *data)
{
	struct count *c = data;

	(void)d;
	if (strncmp(name, c->prefix, strlen(c->prefix)) == 0) {
		c->n++;
		if (strcmp(name, c->last) > 0) {
			snprintf(c->last, sizeof(c->last), "%s", name);
		}
	}
}

static inline unsigned file_count(const struct dir *d, const char *prefix, char last[256])
{
	struct count c = {.prefix = prefix};

	dir_each(d, count_one, &c);
	if (last != NULL) {
		memcpy(last, c.last, sizeof(c.last));
	}
	return c.n;
}

#endif /* TEST_UNIT_RAFT_FILES_H_ */
