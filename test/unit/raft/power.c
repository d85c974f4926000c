#include "test/unit/raft/power.h"

#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 1024, SECTOR = 512 };

/* --- recording --- */

struct name {
	char name[POWER_NAME];
	unsigned inode;
};

struct dir {
	struct name at[POWER_FILES];
	unsigned n;
};

static struct {
	pthread_mutex_t mutex;
	struct power_trace *trace; /* NULL: nothing is recorded. */
	struct dir dir;
	unsigned inode_of[FDS];
	enum power_fault fault;
	unsigned fail_at;
} rec = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool begins(const char *name, const char *prefix)
{
	while (*prefix != 0 && *name == *prefix) {
		name++;
		prefix++;
	}
	return *prefix == 0;
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

static const char *dir_name_of(const struct dir *d, unsigned inode)
{
	for (unsigned i = 0; i < d->n; i++) {
		if (d->at[i].inode == inode) {
			return d->at[i].name;
		}
	}
	return inode == 0 ? "dir" : "";
}

static void dir_set(struct dir *d, const char *name, unsigned inode)
{
	struct name *n = dir_find(d, name);

	if (n == NULL) {
		assert(d->n < POWER_FILES && strlen(name) < POWER_NAME);
		n = &d->at[d->n++];
		strcpy(n->name, name);
	}
	n->inode = inode;
}

static void dir_remove(struct dir *d, const char *name)
{
	struct name *n = dir_find(d, name);

	if (n != NULL) {
		*n = d->at[--d->n];
	}
}

struct power_trace *power_trace_new(void)
{
	void *p = mmap(NULL, sizeof(struct power_trace), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(p != MAP_FAILED);
	return p;
}

static struct power_step *add(enum power_op op, unsigned inode)
{
	struct power_trace *t = rec.trace;
	struct power_step *s = &t->steps[t->n++];

	assert(t->n < POWER_STEPS);
	memset(s, 0, sizeof(*s));
	s->op = op;
	s->inode = inode;
	strcpy(s->name, dir_name_of(&rec.dir, inode));
	return s;
}

void power_note(unsigned note, uint64_t value)
{
	pthread_mutex_lock(&rec.mutex);
	if (rec.trace != NULL) {
		struct power_step *s = add(POWER_NOTE, 0);

		s->note = note;
		s->value = value;
	}
	pthread_mutex_unlock(&rec.mutex);
}

/* The errno of a call that is to fail, or 0; POWER_SHORT is the caller's. With the mutex held. */
static int fault_here(bool *halve)
{
	*halve = false;
	if (rec.trace == NULL || rec.trace->n_calls++ != rec.fail_at || rec.fault == POWER_NONE) {
		return 0;
	}
	rec.trace->faulted = true;
	*halve = rec.fault == POWER_SHORT;
	return rec.fault == POWER_EIO ? EIO : rec.fault == POWER_ENOSPC ? ENOSPC : 0;
}

static bool is_zero(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static const char *keep(const void *data, size_t len)
{
	struct power_trace *t = rec.trace;
	char *p = t->bytes + t->used;

	if (is_zero(data, len)) {
		return NULL;
	}
	t->used += len;
	assert(t->used <= POWER_BYTES);
	memcpy(p, data, len);
	return p;
}

int __wrap_openat(int dirfd, const char *name, int flags, ...);
int __real_openat(int dirfd, const char *name, int flags, ...);
int __wrap_close(int fd);
int __real_close(int fd);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_posix_fallocate(int fd, off_t at, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __real_ftruncate(int fd, off_t len);
int __wrap_renameat(int olddir, const char *from, int newdir, const char *to);
int __real_renameat(int olddir, const char *from, int newdir, const char *to);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int __real_unlinkat(int dirfd, const char *name, int flags);
void __wrap__exit(int status) __attribute__((noreturn));
void __real__exit(int status) __attribute__((noreturn));
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *t);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *t);

/* The process ends, in any thread, between two steps. */
void __wrap__exit(int status)
{
	pthread_mutex_lock(&rec.mutex);
	__real__exit(status);
}

/* Time flies: segments stay small, */
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	static _Atomic int calls;
	int rc = __real_clock_gettime(id, t);

	t->tv_sec += 30 * ++calls;
	return rc;
}

/* and no wait is long. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *t)
{
	struct timespec soon;

	(void)t;
	__real_clock_gettime(CLOCK_MONOTONIC, &soon);
	soon.tv_nsec += 2000000;
	soon.tv_sec += soon.tv_nsec / 1000000000;
	soon.tv_nsec %= 1000000000;
	return __real_pthread_cond_timedwait(cond, mutex, &soon);
}

static int failed(int code)
{
	pthread_mutex_unlock(&rec.mutex);
	errno = code;
	return -1;
}

static int done(int rc)
{
	int code = errno;

	pthread_mutex_unlock(&rec.mutex);
	errno = code;
	return rc;
}

static unsigned opened(const char *name, int flags)
{
	struct name *n = dir_find(&rec.dir, name);
	unsigned inode = n != NULL ? n->inode : ++rec.trace->n_inodes;

	assert(inode < POWER_INODES);
	if (n == NULL) {
		dir_set(&rec.dir, name, inode);
		add(POWER_CREATE, inode);
	} else if ((flags & O_TRUNC) != 0) {
		add(POWER_SIZE, inode);
	}
	return inode;
}

int __wrap_openat(int dirfd, const char *name, int flags, ...)
{
	bool halve;
	int code;
	int fd;

	pthread_mutex_lock(&rec.mutex);
	code = (flags & O_CREAT) != 0 ? fault_here(&halve) : 0;
	if (code != 0) {
		return failed(code);
	}
	fd = __real_openat(dirfd, name, flags, 0600);
	if (fd >= 0 && rec.trace != NULL && (flags & O_DIRECTORY) == 0) {
		assert(fd < FDS);
		rec.inode_of[fd] = opened(name, flags);
	}
	return done(fd);
}

int __wrap_close(int fd)
{
	pthread_mutex_lock(&rec.mutex);
	if (fd >= 0 && fd < FDS) {
		rec.inode_of[fd] = 0;
	}
	return done(__real_close(fd));
}

/* The real file need not be filled with zeros, nor at once. */
static void grow(int fd, off_t size)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size < size) {
		assert(__real_ftruncate(fd, size) == 0);
	}
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	struct power_step *s;
	bool halve = false;
	bool zero;
	int code;

	pthread_mutex_lock(&rec.mutex);
	if (rec.trace == NULL) {
		ssize_t n = __real_pwrite(fd, data, len, at);

		done(0);
		return n;
	}
	zero = is_zero(data, len) && begins(dir_name_of(&rec.dir, rec.inode_of[fd]), "spare-");
	code = zero && at > 0 ? 0 : fault_here(&halve); /* One of a spare's writes is like another. */
	if (code != 0) {
		return failed(code);
	}
	len = halve && len > 1 ? len / 2 : len;
	s = add(POWER_WRITE, rec.inode_of[fd]);
	s->at = (uint64_t)at;
	s->len = len;
	s->data = keep(data, len);
	if (zero) {
		grow(fd, at + (off_t)len);
	} else {
		assert(__real_pwrite(fd, data, len, at) == (ssize_t)len);
	}
	done(0);
	return (ssize_t)len;
}

static int sync_fd(int fd)
{
	bool halve;
	int code;

	pthread_mutex_lock(&rec.mutex);
	if (rec.trace == NULL) {
		return done(0);
	}
	code = fault_here(&halve);
	add(POWER_SYNC, rec.inode_of[fd])->failed = code != 0;
	return code != 0 ? failed(code) : done(0);
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
	bool halve;
	int code;

	pthread_mutex_lock(&rec.mutex);
	code = fault_here(&halve);
	if (code == 0) {
		grow(fd, at + len);
	}
	if (code == 0 && rec.trace != NULL) {
		struct power_step *s = add(POWER_WRITE, rec.inode_of[fd]); /* Of zeros, in a new file. */

		s->at = (uint64_t)at;
		s->len = (size_t)len;
	}
	pthread_mutex_unlock(&rec.mutex);
	return code;
}

int __wrap_ftruncate(int fd, off_t len)
{
	bool halve;
	int code;

	pthread_mutex_lock(&rec.mutex);
	code = fault_here(&halve);
	if (code != 0) {
		return failed(code);
	}
	if (rec.trace != NULL) {
		add(POWER_SIZE, rec.inode_of[fd])->at = (uint64_t)len;
	}
	return done(__real_ftruncate(fd, len));
}

int __wrap_renameat(int olddir, const char *from, int newdir, const char *to)
{
	struct name *n;
	bool halve;
	int code;

	pthread_mutex_lock(&rec.mutex);
	code = fault_here(&halve);
	if (code != 0) {
		return failed(code);
	}
	n = dir_find(&rec.dir, from);
	if (rec.trace != NULL && n != NULL) {
		unsigned inode = n->inode;
		struct power_step *s = add(POWER_RENAME, inode);

		strcpy(s->to, to);
		dir_remove(&rec.dir, from);
		dir_set(&rec.dir, to, inode);
	}
	return done(__real_renameat(olddir, from, newdir, to));
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
	struct name *n;
	bool halve;
	int code;

	pthread_mutex_lock(&rec.mutex);
	code = fault_here(&halve);
	if (code != 0) {
		return failed(code);
	}
	n = dir_find(&rec.dir, name);
	if (rec.trace != NULL && n != NULL) {
		add(POWER_UNLINK, n->inode);
		dir_remove(&rec.dir, name);
	}
	return done(__real_unlinkat(dirfd, name, flags));
}

/* --- the disk --- */

/* Bytes from cap on are zeros. */
struct bytes {
	char *p;
	size_t cap;
	uint64_t size;
};

struct change {
	const struct power_step *step;
	bool doomed;
};

struct changes {
	struct change *at;
	unsigned n, cap;
};

struct inode {
	struct bytes now, disk;
	struct changes dirty;
};

struct power_disk {
	unsigned n_inodes;
	struct inode inodes[POWER_INODES];
	struct dir now, disk;
	struct changes changes;
};

static void bytes_put(struct bytes *b, uint64_t at, const char *data, size_t len)
{
	size_t end = (size_t)at + len;

	if (len == 0) {
		return;
	}
	if (data != NULL && end > b->cap) {
		b->p = realloc(b->p, end);
		assert(b->p != NULL);
		memset(b->p + b->cap, 0, end - b->cap);
		b->cap = end;
	}
	if (data != NULL) {
		memcpy(b->p + at, data, len);
	} else if (at < b->cap) {
		memset(b->p + at, 0, end < b->cap ? len : b->cap - (size_t)at);
	}
	b->size = end > b->size ? end : b->size;
}

static void bytes_resize(struct bytes *b, uint64_t size)
{
	b->size = size;
	b->cap = b->cap > size ? (size_t)size : b->cap;
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
	free(to->p);
	*to = *from;
	to->p = from->cap == 0 ? NULL : malloc(from->cap);
	if (to->p != NULL) {
		memcpy(to->p, from->p, from->cap);
	}
}

static void bytes_do(struct bytes *b, const struct power_step *s, size_t from, size_t to)
{
	if (s->op == POWER_SIZE) {
		bytes_resize(b, s->at);
	} else {
		bytes_put(b, s->at + from, s->data == NULL ? NULL : s->data + from, to - from);
	}
}

static void changes_add(struct changes *c, const struct power_step *s)
{
	if (c->n == c->cap) {
		c->cap = c->cap * 2 + 8;
		c->at = realloc(c->at, c->cap * sizeof(*c->at));
		assert(c->at != NULL);
	}
	c->at[c->n++] = (struct change){s, false};
}

static void dir_do(struct dir *d, const struct power_step *s)
{
	switch (s->op) {
	case POWER_CREATE:
		dir_set(d, s->name, s->inode);
		break;
	case POWER_RENAME:
		dir_remove(d, s->name);
		dir_set(d, s->to, s->inode);
		break;
	default:
		dir_remove(d, s->name);
	}
}

struct power_disk *power_disk_new(void)
{
	struct power_disk *d = calloc(1, sizeof(*d));

	assert(d != NULL);
	return d;
}

static void inode_free(struct inode *i)
{
	free(i->now.p);
	free(i->disk.p);
	free(i->dirty.at);
	*i = (struct inode){0};
}

void power_disk_free(struct power_disk *d)
{
	for (unsigned i = 0; i <= d->n_inodes; i++) {
		inode_free(&d->inodes[i]);
	}
	free(d->changes.at);
	free(d);
}

static void changes_copy(struct changes *to, const struct changes *from)
{
	for (unsigned i = 0; i < from->n; i++) {
		changes_add(to, from->at[i].step);
		to->at[i].doomed = from->at[i].doomed;
	}
}

struct power_disk *power_disk_copy(const struct power_disk *d)
{
	struct power_disk *c = power_disk_new();

	c->n_inodes = d->n_inodes;
	c->now = d->now;
	c->disk = d->disk;
	changes_copy(&c->changes, &d->changes);
	for (unsigned i = 0; i <= d->n_inodes; i++) {
		bytes_copy(&c->inodes[i].now, &d->inodes[i].now);
		bytes_copy(&c->inodes[i].disk, &d->inodes[i].disk);
		changes_copy(&c->inodes[i].dirty, &d->inodes[i].dirty);
	}
	return c;
}

/* What is synced is on the disk, but what an earlier sync that failed has let go of. */
static void sync_inode(struct inode *i, bool fails)
{
	unsigned kept = 0;

	for (unsigned k = 0; k < i->dirty.n; k++) {
		struct change c = i->dirty.at[k];

		c.doomed |= fails;
		if (c.doomed) {
			i->dirty.at[kept++] = c;
		} else {
			bytes_do(&i->disk, c.step, 0, c.step->len);
		}
	}
	i->dirty.n = kept;
}

static void sync_dir(struct power_disk *d, bool fails)
{
	unsigned kept = 0;

	for (unsigned k = 0; k < d->changes.n; k++) {
		struct change c = d->changes.at[k];

		c.doomed |= fails;
		if (c.doomed) {
			d->changes.at[kept++] = c;
		} else {
			dir_do(&d->disk, c.step);
		}
	}
	d->changes.n = kept;
}

static void inode_forget_unnamed(struct power_disk *d)
{
	for (unsigned i = 1; i <= d->n_inodes; i++) {
		bool named = dir_name_of(&d->now, i)[0] != 0 || dir_name_of(&d->disk, i)[0] != 0;

		for (unsigned k = 0; k < d->changes.n && !named; k++) {
			named = d->changes.at[k].step->inode == i;
		}
		if (!named) {
			inode_free(&d->inodes[i]);
		}
	}
}

void power_step(struct power_disk *d, const struct power_step *s, const char *forget)
{
	struct inode *i = &d->inodes[s->inode];

	d->n_inodes = s->inode > d->n_inodes ? s->inode : d->n_inodes;
	switch (s->op) {
	case POWER_WRITE:
	case POWER_SIZE:
		bytes_do(&i->now, s, 0, s->len);
		changes_add(&i->dirty, s);
		break;
	case POWER_SYNC:
		if (forget != NULL && begins(s->name, forget)) {
			break;
		}
		if (s->inode == 0) {
			sync_dir(d, s->failed);
			inode_forget_unnamed(d);
		} else {
			sync_inode(i, s->failed);
		}
		break;
	case POWER_CREATE:
	case POWER_RENAME:
	case POWER_UNLINK:
		dir_do(&d->now, s);
		changes_add(&d->changes, s);
		break;
	case POWER_NOTE:
		break;
	}
}

bool power_dirty(const struct power_disk *d)
{
	bool dirty = d->changes.n > 0;

	for (unsigned i = 1; i <= d->n_inodes && !dirty; i++) {
		dirty = d->inodes[i].dirty.n > 0 && !begins(dir_name_of(&d->now, i), "spare-");
	}
	return dirty;
}

/* --- the power fails --- */

static void lose_sectors(struct bytes *b, const struct power_step *s, uint32_t (*below)(uint32_t n))
{
	for (size_t from = 0; from < s->len;) {
		size_t to = from + SECTOR - (size_t)(s->at + from) % SECTOR;

		to = to > s->len ? s->len : to;
		if (below(2) == 0) {
			bytes_do(b, s, from, to);
		}
		from = to;
	}
}

static void lose_of(struct bytes *b, const struct power_step *s, enum power_loss loss, const struct power_step *last,
		    uint32_t (*below)(uint32_t n))
{
	unsigned draw = loss == POWER_SOME ? below(2) : loss == POWER_TORN ? below(4) : 0;

	if (loss == POWER_LOSE_ALL || loss == POWER_LOSE_DATA || draw == 1) {
		return;
	}
	if (s->op == POWER_WRITE && s == last) {
		bytes_do(b, s, 0, below((uint32_t)s->len));
	} else if (s->op == POWER_WRITE && s->data != NULL && draw > 1) {
		lose_sectors(b, s, below);
	} else {
		bytes_do(b, s, 0, s->len);
	}
}

/* Steps of one trace are in the order of their places. */
static const struct power_step *last_write(const struct power_disk *d)
{
	const struct power_step *last = NULL;

	for (unsigned i = 1; i <= d->n_inodes; i++) {
		const struct changes *c = &d->inodes[i].dirty;

		for (unsigned k = 0; k < c->n; k++) {
			if (c->at[k].step->op == POWER_WRITE && c->at[k].step->data != NULL && c->at[k].step > last) {
				last = c->at[k].step;
			}
		}
	}
	return last;
}

static bool keeps_name(enum power_loss loss, unsigned k, unsigned upto, uint32_t (*below)(uint32_t n))
{
	switch (loss) {
	case POWER_LOSE_ALL:
	case POWER_LOSE_NAMES:
		return false;
	case POWER_SOME:
		return k < upto;
	case POWER_TORN:
		return below(2) == 0;
	default:
		return true;
	}
}

void power_lose(struct power_disk *d, enum power_loss loss, uint32_t (*below)(uint32_t n))
{
	const struct power_step *last = loss == POWER_CUT ? last_write(d) : NULL;
	unsigned upto = below(d->changes.n + 1);

	if (loss == POWER_KILL) {
		return;
	}
	for (unsigned k = 0; k < d->changes.n; k++) {
		if (keeps_name(loss, k, upto, below)) {
			dir_do(&d->disk, d->changes.at[k].step);
		}
	}
	d->changes.n = 0;
	d->now = d->disk;
	for (unsigned i = 1; i <= d->n_inodes; i++) {
		struct inode *n = &d->inodes[i];

		for (unsigned k = 0; k < n->dirty.n; k++) {
			lose_of(&n->disk, n->dirty.at[k].step, loss, last, below);
		}
		n->dirty.n = 0;
		bytes_copy(&n->now, &n->disk);
	}
}

bool power_flip(struct power_disk *d, const char *prefix, uint32_t (*below)(uint32_t n), char name[POWER_NAME])
{
	unsigned start = d->now.n == 0 ? 0 : below(d->now.n);

	for (unsigned k = 0; k < d->now.n; k++) {
		const struct name *n = &d->now.at[(start + k) % d->now.n];
		struct bytes *b = &d->inodes[n->inode].now;
		size_t len = b->cap;

		if (!begins(n->name, prefix)) {
			continue;
		}
		while (len > 0 && b->p[len - 1] == 0) {
			len--;
		}
		if (len > 0) {
			b->p[below((uint32_t)len)] ^= (char)(1 << below(8));
			strcpy(name, n->name);
			return true;
		}
	}
	return false;
}

static void empty_dir(int dirfd)
{
	int fd = __real_openat(dirfd, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	assert(dir != NULL);
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.') {
			__real_unlinkat(dirfd, e->d_name, 0);
		}
	}
	closedir(dir);
}

void power_write(const struct power_disk *d, int dirfd)
{
	empty_dir(dirfd);
	for (unsigned i = 0; i < d->now.n; i++) {
		const struct bytes *b = &d->inodes[d->now.at[i].inode].now;
		int fd = __real_openat(dirfd, d->now.at[i].name, O_RDWR | O_CREAT, 0600);

		if (fd < 0) {
			perror(d->now.at[i].name);
			abort();
		}
		if (!begins(d->now.at[i].name, "spare-")) {
			assert(__real_pwrite(fd, b->p, b->cap, 0) == (ssize_t)b->cap);
			assert(__real_ftruncate(fd, (off_t)b->size) == 0);
		}
		__real_close(fd);
	}
}

void power_record(struct power_trace *t, const struct power_disk *disk, enum power_fault fault, unsigned call)
{
	t->n = t->n_calls = 0;
	t->used = 0;
	t->faulted = false;
	t->n_inodes = disk == NULL ? 0 : disk->n_inodes;
	rec.dir = disk == NULL ? (struct dir){.n = 0} : disk->now;
	rec.fault = fault;
	rec.fail_at = call;
	rec.trace = t;
}

void power_record_end(void)
{
	rec.trace = NULL;
}
