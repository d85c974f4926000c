/* A file system in memory for each host. What is written is seen at once by who reads, and is there for good when it
 * was synced. When the power fails, each write that was not may be there, or not, or in part (whole sectors of it);
 * changes of the directory are there up to some moment after it was last synced. */
#include "test/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 64, NAME = 64, FDS_MAX = 128, FD_FIRST = 1 << 20, SECTOR = 512 };
enum { PIECE = 16 << 10, PIECES_MAX = 2048, LENGTH_MAX = PIECE * PIECES_MAX };

struct extent {
	size_t at;
	size_t len;
};

/* The bytes of a file, in pieces; a piece that is not there is zeros, as most of a log's segment is. */
struct bytes_at {
	char *piece[PIECES_MAX];
};

static bool is_zero(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* The part of [at, at + len) that lies in one piece. */
static size_t part_of(size_t at, size_t len)
{
	size_t left = PIECE - at % PIECE;

	return len < left ? len : left;
}

/* `from` of NULL is zeros. */
static void bytes_put(struct bytes_at *b, size_t at, const char *from, size_t len)
{
	while (len > 0) {
		size_t n = part_of(at, len);
		char **piece = &b->piece[at / PIECE];

		if (*piece == NULL && from != NULL && !is_zero(from, n)) {
			*piece = calloc(1, PIECE);
		}
		if (*piece != NULL && from != NULL) {
			memcpy(*piece + at % PIECE, from, n);
		} else if (*piece != NULL) {
			memset(*piece + at % PIECE, 0, n);
		}
		at += n;
		len -= n;
		from = from == NULL ? NULL : from + n;
	}
}

static void bytes_get(const struct bytes_at *b, size_t at, char *to, size_t len)
{
	while (len > 0) {
		size_t n = part_of(at, len);
		const char *piece = b->piece[at / PIECE];

		if (piece != NULL) {
			memcpy(to, piece + at % PIECE, n);
		} else {
			memset(to, 0, n);
		}
		at += n;
		to += n;
		len -= n;
	}
}

static void bytes_copy(struct bytes_at *to, const struct bytes_at *from, size_t at, size_t len)
{
	while (len > 0) {
		size_t n = part_of(at, len);
		const char *piece = from->piece[at / PIECE];

		bytes_put(to, at, piece == NULL ? NULL : piece + at % PIECE, n);
		at += n;
		len -= n;
	}
}

static void bytes_free(struct bytes_at *b)
{
	for (unsigned i = 0; i < PIECES_MAX; i++) {
		free(b->piece[i]);
	}
}

/* A file's bytes, as they are seen and as they are on the disk. */
struct inode {
	unsigned refs; /* Names and descriptors, now and on the disk. */
	bool is_vote;
	size_t size, disk_size;
	size_t reserved; /* By posix_fallocate(). */
	struct bytes_at data, disk;
	struct extent *dirty; /* Written and not synced, in their order. */
	size_t n_dirty, dirty_cap;
};

struct name {
	char name[NAME];
	struct inode *inode;
};

struct dir {
	struct name at[FILES_MAX];
	unsigned n;
};

/* A change of the directory that was not synced: the name has this inode now, or none, and the other name is gone. */
struct dir_change {
	char name[NAME];
	struct inode *inode; /* NULL: removed. */
	char from[NAME];     /* "": it was no rename. */
};

struct descriptor {
	struct inode *inode; /* NULL: the directory, */
	bool open;
};

struct fs {
	struct host *host;
	struct dir now, disk;
	struct dir_change *changes;
	size_t n_changes, changes_cap;
	struct descriptor fds[FDS_MAX];
	size_t limit; /* Bytes; 0: enough. */
	bool spoiled;
};

/* ---- inodes and names ---- */

static struct inode *inode_new(void)
{
	return calloc(1, sizeof(struct inode));
}

static void inode_put(struct inode *i)
{
	if (i != NULL && --i->refs == 0) {
		bytes_free(&i->data);
		bytes_free(&i->disk);
		free(i->dirty);
		free(i);
	}
}

static struct inode *inode_get(struct inode *i)
{
	if (i != NULL) {
		i->refs++;
	}
	return i;
}

static struct name *dir_find(struct dir *d, const char *name)
{
	for (unsigned i = 0; i < d->n; i++) {
		if (strcmp(d->at[i].name, name) == 0) {
			return &d->at[i];
		}
	}
	return NULL;
}

/* The name gets this inode, or none. */
static void dir_set(struct dir *d, const char *name, struct inode *inode)
{
	struct name *n = dir_find(d, name);

	inode_get(inode);
	if (n != NULL) {
		inode_put(n->inode);
		n->inode = inode;
		if (inode == NULL) {
			*n = d->at[--d->n];
		}
	} else if (inode != NULL) {
		if (d->n == FILES_MAX || strlen(name) >= NAME) {
			sim_fail("too many files, or a long name: %s", name);
		}
		n = &d->at[d->n++];
		strcpy(n->name, name);
		n->inode = inode;
	}
}

static void dir_clear(struct dir *d)
{
	while (d->n > 0) {
		inode_put(d->at[--d->n].inode);
	}
}

static void dir_copy(struct dir *to, const struct dir *from)
{
	dir_clear(to);
	for (unsigned i = 0; i < from->n; i++) {
		dir_set(to, from->at[i].name, from->at[i].inode);
	}
}

static void dir_apply(struct dir *d, const struct dir_change *c)
{
	dir_set(d, c->name, c->inode);
	if (c->from[0] != 0) {
		dir_set(d, c->from, NULL);
	}
}

static void dir_change(struct fs *fs, const char *name, struct inode *inode, const char *from)
{
	struct dir_change *c;

	if (fs->n_changes == fs->changes_cap) {
		fs->changes_cap = fs->changes_cap == 0 ? 16 : fs->changes_cap * 2;
		fs->changes = realloc(fs->changes, fs->changes_cap * sizeof(*fs->changes));
	}
	c = &fs->changes[fs->n_changes++];
	*c = (struct dir_change){.inode = inode_get(inode)};
	strncpy(c->name, name, NAME - 1);
	strncpy(c->from, from, NAME - 1);
	dir_apply(&fs->now, c);
}

static void changes_forget(struct fs *fs)
{
	while (fs->n_changes > 0) {
		inode_put(fs->changes[--fs->n_changes].inode);
	}
}

static void note_dirty(struct inode *i, size_t at, size_t len)
{
	struct extent *last = i->n_dirty > 0 ? &i->dirty[i->n_dirty - 1] : NULL;

	if (i->n_dirty == i->dirty_cap) {
		i->dirty_cap = i->dirty_cap == 0 ? 8 : i->dirty_cap * 2;
		i->dirty = realloc(i->dirty, i->dirty_cap * sizeof(*i->dirty));
		last = NULL;
	}
	if (last != NULL && last->at + last->len == at && last->len >= 64 << 10) {
		last->len += len; /* Zeros, in large steps. */
		return;
	}
	i->dirty[i->n_dirty++] = (struct extent){at, len};
}

/* What is cut off is zeros if the file grows again, and that too must be synced. */
static void inode_cut(struct inode *i, size_t size)
{
	if (size < i->size) {
		bytes_put(&i->data, size, NULL, i->size - size);
		note_dirty(i, size, i->size - size);
	}
	i->size = i->reserved = size;
}

/* ---- the power fails ---- */

static void keep_sectors(struct inode *i, size_t from, size_t to)
{
	bytes_copy(&i->disk, &i->data, from, to > from ? to - from : 0);
}

static void keep_some(struct inode *i, const struct extent *e)
{
	size_t end = e->at + e->len;

	switch (sim_below(4)) {
	case 0:
		COUNT(unsynced);
		break;
	case 1:
		keep_sectors(i, e->at, end);
		break;
	default:
		COUNT(torn);
		for (size_t at = e->at; at < end;) {
			size_t next = (at / SECTOR + 1) * SECTOR;

			next = next > end ? end : next;
			if (sim_below(2) == 0) {
				keep_sectors(i, at, next);
			}
			at = next;
		}
	}
}

static void inode_power_off(struct inode *i)
{
	for (size_t n = 0; n < i->n_dirty; n++) {
		keep_some(i, &i->dirty[n]);
	}
	i->n_dirty = 0;
	if (i->size != i->disk_size && sim_below(2) == 0) {
		i->disk_size = i->size;
	}
	i->size = i->disk_size;
	i->reserved = i->size;
	bytes_put(&i->disk, i->size, NULL, LENGTH_MAX - i->size);
	bytes_copy(&i->data, &i->disk, 0, LENGTH_MAX);
}

void fs_power_off(struct fs *fs)
{
	size_t kept = sim_below(fs->n_changes + 1);

	for (size_t i = 0; i < kept; i++) {
		dir_apply(&fs->disk, &fs->changes[i]);
	}
	changes_forget(fs);
	dir_copy(&fs->now, &fs->disk);
	for (unsigned i = 0; i < fs->now.n; i++) {
		inode_power_off(fs->now.at[i].inode);
	}
}

void fs_close_all(struct fs *fs)
{
	for (unsigned i = 0; i < FDS_MAX; i++) {
		if (fs->fds[i].open) {
			inode_put(fs->fds[i].inode);
			fs->fds[i] = (struct descriptor){NULL, false};
		}
	}
}

void fs_wipe(struct fs *fs)
{
	changes_forget(fs);
	dir_clear(&fs->now);
	dir_clear(&fs->disk);
}

struct fs *fs_new(struct host *host)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	fs->host = host;
	return fs;
}

/* ---- space ---- */

static size_t inode_space(const struct inode *i)
{
	return i->size > i->reserved ? i->size : i->reserved;
}

static size_t fs_used(const struct fs *fs)
{
	size_t used = 0;

	for (unsigned i = 0; i < fs->now.n; i++) {
		used += inode_space(fs->now.at[i].inode);
	}
	return used;
}

/* Is there room for this file to grow to `size`? */
static bool fs_room(struct fs *fs, const struct inode *i, size_t size)
{
	if (fs->limit == 0 || size <= inode_space(i) || fs_used(fs) + size - inode_space(i) <= fs->limit) {
		return true;
	}
	COUNT(no_space);
	return false;
}

void fs_fill(struct fs *fs, bool full)
{
	fs->limit = full ? fs_used(fs) + sim_below(600 << 10) + 1 : 0;
}

void fs_spoil(struct fs *fs)
{
	fs->spoiled = true;
}

int fs_read_file(struct fs *fs, const char *name, char **data, size_t *len)
{
	struct name *n = dir_find(&fs->now, name);

	if (n == NULL) {
		return -1;
	}
	*len = n->inode->size;
	*data = malloc(*len + 1);
	bytes_get(&n->inode->data, 0, *data, *len);
	return 0;
}

/* ---- system calls ---- */

static struct fs *here(void)
{
	if (sim.cur == NULL) {
		sim_fail("a file is asked for by nobody");
	}
	return sim.cur->fs;
}

static struct descriptor *fd_of(int fd)
{
	struct fs *fs = here();
	int i = fd - FD_FIRST;

	return i >= 0 && i < FDS_MAX && fs->fds[i].open ? &fs->fds[i] : NULL;
}

static int fd_new(struct inode *inode)
{
	struct fs *fs = here();

	for (int i = 0; i < FDS_MAX; i++) {
		if (!fs->fds[i].open) {
			fs->fds[i] = (struct descriptor){inode_get(inode), true};
			return FD_FIRST + i;
		}
	}
	sim_fail("server %u has more than %d files open", fs->host->at + 1, FDS_MAX);
}

static int fails(int code)
{
	errno = code;
	return -1;
}

static int64_t slowly(int64_t ns)
{
	int64_t times = here()->host->disk_slow;

	return times > 1 ? ns * times : ns;
}

int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dirfd, const char *name, int flags, ...);
int __wrap_flock(int fd, int operation);
int __wrap_close(int fd);
int __real_close(int fd);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_posix_fallocate(int fd, off_t at, off_t len);
int __wrap_posix_fadvise(int fd, off_t at, off_t len, int advice);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_renameat(int olddir, const char *from, int newdir, const char *to);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstatat(int dirfd, const char *name, struct stat *st, int flags);
int __wrap_scandirat(int dirfd, const char *name, struct dirent ***out, int (*filter)(const struct dirent *),
		     int (*compare)(const struct dirent **, const struct dirent **));
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir(DIR *dir);
int __wrap_closedir(DIR *dir);

int __wrap_open(const char *path, int flags, ...)
{
	(void)path;
	if ((flags & O_DIRECTORY) == 0) {
		sim_fail("a file is opened that is not in the log's directory: %s", path);
	}
	return fd_new(NULL);
}

int __wrap_openat(int dirfd, const char *name, int flags, ...)
{
	struct fs *fs = here();
	struct name *n = dir_find(&fs->now, name);
	struct inode *inode;

	(void)dirfd;
	if (strcmp(name, ".") == 0) {
		return fd_new(NULL);
	}
	if (n == NULL && (flags & O_CREAT) == 0) {
		return fails(ENOENT);
	}
	if (n == NULL) {
		inode = inode_new();
		inode->is_vote = strncmp(name, "vote", 4) == 0;
		dir_change(fs, name, inode, "");
	} else {
		inode = n->inode;
	}
	if ((flags & O_TRUNC) != 0) {
		inode_cut(inode, 0);
	}
	return fd_new(inode);
}

int __wrap_flock(int fd, int operation)
{
	(void)operation;
	return fd_of(fd) != NULL ? 0 : fails(EBADF);
}

int __wrap_close(int fd)
{
	struct descriptor *d;

	if (fd < FD_FIRST) {
		return __real_close(fd); /* The simulation's own. */
	}
	d = fd_of(fd);
	if (d == NULL) {
		return fails(EBADF);
	}
	inode_put(d->inode);
	*d = (struct descriptor){NULL, false};
	return 0;
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	struct descriptor *d = fd_of(fd);
	size_t end = (size_t)at + len;
	struct inode *i;

	if (d == NULL || d->inode == NULL) {
		return fails(EBADF);
	}
	i = d->inode;
	if (here()->spoiled && fiber_here()) {
		here()->spoiled = false;
		COUNT(disk_errors);
		return fails(EIO);
	}
	if (!fs_room(here(), i, end)) {
		return fails(ENOSPC);
	}
	if (end > LENGTH_MAX) {
		sim_fail("a file is too long");
	}
	bytes_put(&i->data, (size_t)at, data, len);
	i->size = end > i->size ? end : i->size;
	note_dirty(i, (size_t)at, len);
	if (slowly(1) > 1) {
		fiber_sleep(slowly(20 * US));
	}
	return (ssize_t)len;
}

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at)
{
	struct descriptor *d = fd_of(fd);
	size_t n;

	if (d == NULL || d->inode == NULL) {
		return fails(EBADF);
	}
	n = (size_t)at >= d->inode->size ? 0 : d->inode->size - (size_t)at;
	n = n > len ? len : n;
	bytes_get(&d->inode->data, (size_t)at, data, n);
	return (ssize_t)n;
}

static void inode_keep(struct inode *i, size_t n, size_t size)
{
	n = n > i->n_dirty ? i->n_dirty : n;
	for (size_t k = 0; k < n; k++) {
		keep_sectors(i, i->dirty[k].at, i->dirty[k].at + i->dirty[k].len);
	}
	i->n_dirty -= n;
	memmove(i->dirty, i->dirty + n, i->n_dirty * sizeof(*i->dirty));
	i->disk_size = size;
	inode_put(i);
}

/* A bug to be found: a disk that says "done" long before it is. */
static void on_kept(void *arg)
{
	struct inode *i = arg;

	inode_keep(i, i->n_dirty, i->size);
}

static void inode_sync_later(struct inode *i)
{
	sim_at(sim.now + 300 * MS, sim.cur, on_kept, inode_get(i));
}

/* What was written before the sync began is durable when it ends. */
static void inode_sync(struct inode *i)
{
	size_t n = i->n_dirty;
	size_t size = i->size;

	if (sim_planted("write-cache", 1000)) {
		fiber_sleep(100 * US);
		inode_sync_later(i);
		return;
	}
	inode_get(i);
	fiber_sleep(slowly(sim_between(100 * US, 900 * US)));
	if (sim_planted("lost-sync", 1000) || (i->is_vote && sim_planted("lost-vote", 1000))) {
		inode_put(i);
		return;
	}
	inode_keep(i, n, size);
}

static int sync_fd(int fd)
{
	struct descriptor *d = fd_of(fd);
	struct fs *fs = here();

	if (d == NULL) {
		return fails(EBADF);
	}
	if (d->inode != NULL) {
		inode_sync(d->inode);
		return 0;
	}
	fiber_sleep(slowly(sim_between(100 * US, 600 * US)));
	if (!sim_planted("lost-dir-sync", 1000)) {
		dir_copy(&fs->disk, &fs->now);
		changes_forget(fs);
	}
	return 0;
}

int __wrap_fdatasync(int fd)
{
	return sync_fd(fd);
}

int __wrap_fsync(int fd)
{
	return sync_fd(fd);
}

int __wrap_posix_fallocate(int fd, off_t at, off_t len)
{
	struct descriptor *d = fd_of(fd);
	size_t end = (size_t)(at + len);

	if (d == NULL || d->inode == NULL) {
		return EBADF;
	}
	if (!fs_room(here(), d->inode, end)) {
		return ENOSPC;
	}
	d->inode->size = end > d->inode->size ? end : d->inode->size;
	d->inode->reserved = end > d->inode->reserved ? end : d->inode->reserved;
	return 0;
}

int __wrap_posix_fadvise(int fd, off_t at, off_t len, int advice)
{
	(void)fd;
	(void)at;
	(void)len;
	(void)advice;
	return 0;
}

int __wrap_ftruncate(int fd, off_t len)
{
	struct descriptor *d = fd_of(fd);

	if (d == NULL || d->inode == NULL) {
		return fails(EBADF);
	}
	inode_cut(d->inode, (size_t)len);
	return 0;
}

int __wrap_renameat(int olddir, const char *from, int newdir, const char *to)
{
	struct fs *fs = here();
	struct name *n = dir_find(&fs->now, from);

	(void)olddir;
	(void)newdir;
	if (n == NULL) {
		return fails(ENOENT);
	}
	dir_change(fs, to, n->inode, from);
	return 0;
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
	struct fs *fs = here();

	(void)dirfd;
	(void)flags;
	if (dir_find(&fs->now, name) == NULL) {
		return fails(ENOENT);
	}
	dir_change(fs, name, NULL, "");
	return 0;
}

static void fill_stat(const struct inode *i, struct stat *st)
{
	*st = (struct stat){.st_mode = S_IFREG | 0600, .st_size = (off_t)i->size, .st_nlink = 1};
}

int __wrap_fstat(int fd, struct stat *st)
{
	struct descriptor *d = fd_of(fd);

	if (d == NULL || d->inode == NULL) {
		return fails(EBADF);
	}
	fill_stat(d->inode, st);
	return 0;
}

int __wrap_fstatat(int dirfd, const char *name, struct stat *st, int flags)
{
	struct name *n = dir_find(&here()->now, name);

	(void)dirfd;
	(void)flags;
	if (n == NULL) {
		return fails(ENOENT);
	}
	fill_stat(n->inode, st);
	return 0;
}

/* The names as they were when it was opened. */
struct listing {
	int fd;
	unsigned at;
	struct dir dir;
	struct dirent entry;
};

int __wrap_scandirat(int dirfd, const char *name, struct dirent ***out, int (*filter)(const struct dirent *),
		     int (*compare)(const struct dirent **, const struct dirent **))
{
	const struct dir *dir = &here()->now;
	struct dirent **list = calloc(dir->n + 1, sizeof(*list));

	if (fd_of(dirfd) == NULL || strcmp(name, ".") != 0 || filter != NULL) {
		sim_fail("a directory is listed in a way that is not simulated");
	}
	for (unsigned i = 0; i < dir->n; i++) {
		list[i] = calloc(1, sizeof(**list));
		strcpy(list[i]->d_name, dir->at[i].name);
	}
	qsort(list, dir->n, sizeof(*list), (int (*)(const void *, const void *))compare);
	*out = list;
	return (int)dir->n;
}

DIR *__wrap_fdopendir(int fd)
{
	struct listing *l = calloc(1, sizeof(*l));

	l->fd = fd;
	dir_copy(&l->dir, &here()->now);
	return (DIR *)l;
}

struct dirent *__wrap_readdir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;

	if (l->at == l->dir.n) {
		return NULL;
	}
	strcpy(l->entry.d_name, l->dir.at[l->at++].name);
	return &l->entry;
}

int __wrap_closedir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;

	dir_clear(&l->dir);
	__wrap_close(l->fd);
	free(l);
	return 0;
}
