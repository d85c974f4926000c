#include "client/allocdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/oserror.h"
#include "client/user.h"
#include "proto/error.h"

enum {
	DEPTH_MAX = 64,    /* Deeper directories are moved up before they are removed, and not counted. */
	ROUNDS_MAX = 1000, /* Of emptying one directory that others fill. */
};

/* ---- errors ---- */

static int fail(char error[ALLOCDIR_TEXT], int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(char error[ALLOCDIR_TEXT], int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, ALLOCDIR_TEXT, format, args);
	va_end(args);
	return code;
}

static int fail_errno(char error[ALLOCDIR_TEXT], const char *what, const char *name)
{
	int code = errno == ENOSPC || errno == EDQUOT ? ERR_NOSPACE : errno == ENOMEM ? ERR_NOMEM : ERR_IO;
	char text[OSERROR_TEXT];

	return fail(error, code, "%s %s: %s", what, name, oserror_text(errno, text));
}

bool allocdir_name_ok(const char *name)
{
	return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strchr(name, '/') == NULL &&
	       strlen(name) <= NAME_MAX;
}

/* ---- building ---- */

struct place {
	const char *name;
	mode_t mode;
	bool users; /* Belongs to the task's user. */
};

static const struct place shared_places[] = {{"data", 01777, false}, {"logs", 01777, false}, {"tmp", 01777, false}};

static const struct place task_places[] = {
	{"local", 0777, true}, {"tmp", 01777, true}, {"secrets", 0700, true}, {"private", 0700, false}};

/* The mode is set by a second call, as the process's umask takes bits away from the first. Whether it was made now
 * comes back in `made`. */
static int make_dir(int dir, const char *name, mode_t mode, bool *made, char error[ALLOCDIR_TEXT])
{
	*made = mkdirat(dir, name, mode) == 0;
	if (!*made && errno != EEXIST) {
		return fail_errno(error, "failed to make directory", name);
	}
	if (*made && (mode & 022) != 0 && fchmodat(dir, name, mode, 0) != 0) {
		return fail_errno(error, "failed to set the mode of", name);
	}
	return 0;
}

static int open_dir(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_and_open(int dir, const char *name, mode_t mode, char error[ALLOCDIR_TEXT])
{
	bool made;
	int rv = make_dir(dir, name, mode, &made, error);
	int fd = rv != 0 ? -1 : open_dir(dir, name);

	if (rv == 0 && fd < 0) {
		rv = fail_errno(error, "failed to open", name);
	}
	return rv != 0 ? rv : fd;
}

static int make_places(int dir, const struct place *places, size_t n, const struct user *user,
		       char error[ALLOCDIR_TEXT])
{
	bool made;
	size_t i;
	int rv;

	for (i = 0; i < n; i++) {
		rv = make_dir(dir, places[i].name, places[i].mode, &made, error);
		if (rv != 0) {
			return rv;
		}
		if (made && user != NULL && places[i].users &&
		    fchownat(dir, places[i].name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) != 0) {
			return fail_errno(error, "failed to set the owner of", places[i].name);
		}
	}
	return 0;
}

/* Secrets that never touch a disk. An agent that may not mount does without; so does nobody else need to know. */
static void mount_secrets(int task, const struct user *user)
{
	int fd = openat(task, "secrets", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char target[64];
	char options[128];
	struct statfs fs;

	if (fd < 0) {
		return;
	}
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	snprintf(options, sizeof(options), "size=1m,mode=0700,uid=%u,gid=%u", user == NULL ? geteuid() : user->uid,
		 user == NULL ? getegid() : user->gid);
	if (fstatfs(fd, &fs) != 0 || (unsigned long)fs.f_type != (unsigned long)TMPFS_MAGIC) {
		mount("tmpfs", target, "tmpfs", MS_NODEV | MS_NOSUID | MS_NOEXEC, options);
	}
	close(fd);
}

static int find_user(const struct allocdir_task *task, struct user *found, const struct user **out,
		     char error[ALLOCDIR_TEXT])
{
	int rv;

	*out = NULL;
	if (task->user == NULL || task->user[0] == '\0') {
		return 0;
	}
	rv = user_find(task->user, found);
	if (rv != 0) {
		return fail(error, rv == ERR_NOTFOUND ? ERR_INVALID : rv, "failed to look up user \"%s\": %s",
			    task->user, rv == ERR_NOTFOUND ? "unknown user" : error_text(rv));
	}
	/* Without privileges a chown to anyone else fails; to oneself it is not needed. */
	*out = found->uid == geteuid() ? NULL : found;
	return 0;
}

static int build_task(int alloc, const struct allocdir_task *task, bool plain, char error[ALLOCDIR_TEXT])
{
	const struct user *user;
	struct user found;
	int fd;
	int rv;

	if (!allocdir_name_ok(task->name) || strcmp(task->name, "alloc") == 0) {
		return fail(error, ERR_INVALID, "a task cannot be named \"%s\"", task->name);
	}
	rv = find_user(task, &found, &user, error);
	if (rv != 0) {
		return rv;
	}
	fd = make_and_open(alloc, task->name, 01777, error);
	if (fd < 0) {
		return fd;
	}
	rv = make_places(fd, task_places, sizeof(task_places) / sizeof(task_places[0]), user, error);
	if (rv == 0 && !plain && geteuid() == 0) {
		mount_secrets(fd, user);
	}
	close(fd);
	return rv;
}

static int build_shared(int alloc, char error[ALLOCDIR_TEXT])
{
	int fd = make_and_open(alloc, "alloc", 01777, error);
	int rv;

	if (fd < 0) {
		return fd;
	}
	rv = make_places(fd, shared_places, sizeof(shared_places) / sizeof(shared_places[0]), NULL, error);
	close(fd);
	return rv;
}

static int make_root(const char *path, char error[ALLOCDIR_TEXT])
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && mkdir(path, 0711) == 0) {
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? fail_errno(error, "failed to open", path) : fd;
}

int allocdir_build(const struct allocdir_spec *spec, char error[ALLOCDIR_TEXT])
{
	int root;
	int alloc;
	int rv;
	uint32_t i;

	if (!allocdir_name_ok(spec->alloc_id)) {
		return fail(error, ERR_INVALID, "\"%s\" is no allocation ID", spec->alloc_id);
	}
	root = make_root(spec->root, error);
	if (root < 0) {
		return root;
	}
	alloc = make_and_open(root, spec->alloc_id, 0755, error);
	close(root);
	if (alloc < 0) {
		return alloc;
	}
	rv = build_shared(alloc, error);
	for (i = 0; i < spec->tasks_n && rv == 0; i++) {
		rv = build_task(alloc, &spec->tasks[i], spec->plain_secrets, error);
	}
	close(alloc);
	return rv;
}

/* ---- walking what tasks have left ---- */

/* Open a directory, but not one on which something is mounted: EXDEV. A kernel without openat2() sees a mount only
 * where the device differs. */
static int open_unmounted(int dir, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_NO_XDEV | RESOLVE_BENEATH};
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	struct stat here;
	struct stat there;

	if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) {
		return fd;
	}
	fd = open_dir(dir, name);
	if (fd >= 0 && (fstat(dir, &here) != 0 || fstat(fd, &there) != 0 || here.st_dev != there.st_dev)) {
		close(fd);
		errno = EXDEV;
		return -1;
	}
	return fd;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

struct sweep {
	int top;       /* The allocation's directory. */
	unsigned left; /* Entries that may still be looked at now. */
	unsigned removed;
	unsigned moved; /* Directories moved up, for their names. */
	int error;      /* The first errno value other than "already gone". */
	char at_fault[NAME_MAX + 1];
};

static void note_fault(struct sweep *s, const char *name)
{
	if (s->error == 0 && errno != ENOENT) {
		s->error = errno;
		snprintf(s->at_fault, sizeof(s->at_fault), "%s", name);
	}
}

static bool take_off_mount(int dir, const char *name)
{
	char path[64 + NAME_MAX];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
}

static void empty_dir(struct sweep *s, int fd, unsigned depth);

/* Too deep to go on: it is put below the top, where it is found again with all its depth to go. */
static void move_up(struct sweep *s, int dir, const char *name)
{
	char up[48];
	int rv;

	do {
		snprintf(up, sizeof(up), ".drover-removed-%u", s->moved++);
		rv = renameat(dir, name, s->top, up);
	} while (rv != 0 && (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) && s->moved < ROUNDS_MAX);
	if (rv == 0) {
		s->removed++;
	} else {
		note_fault(s, name);
	}
}

static void remove_dir(struct sweep *s, int dir, const char *name, unsigned depth)
{
	int fd = open_unmounted(dir, name);
	int tries;

	for (tries = 0; fd < 0 && errno == EXDEV && tries < 16; tries++) {
		if (!take_off_mount(dir, name)) {
			break;
		}
		fd = open_unmounted(dir, name);
	}
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0) {
		fd = open_unmounted(dir, name);
	}
	if (fd < 0) {
		errno = errno == ENOTDIR ? EPERM : errno; /* A file that may not be removed. */
		note_fault(s, name);
		return;
	}
	empty_dir(s, fd, depth + 1);
	close(fd);
	if (s->left == 0) {
		return;
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
		s->removed++;
	} else if (errno != ENOTEMPTY) {
		note_fault(s, name);
	}
}

static void remove_entry(struct sweep *s, int dir, const char *name, unsigned depth)
{
	s->left--;
	if (unlinkat(dir, name, 0) == 0 ||
	    (errno == EBUSY && take_off_mount(dir, name) && unlinkat(dir, name, 0) == 0)) {
		s->removed++;
		return;
	}
	if (errno != EISDIR && errno != EPERM) {
		note_fault(s, name);
	} else if (depth >= DEPTH_MAX) {
		move_up(s, dir, name);
	} else {
		remove_dir(s, dir, name, depth);
	}
}

/* One round; the number of entries seen, or -1. */
static int empty_once(struct sweep *s, int fd, unsigned depth)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int seen = 0;

	if (d == NULL) {
		note_fault(s, ".");
		if (copy >= 0) {
			close(copy);
		}
		return -1;
	}
	while (s->left > 0 && (e = readdir(d)) != NULL) {
		if (!is_dots(e->d_name)) {
			seen++;
			remove_entry(s, fd, e->d_name, depth);
		}
	}
	closedir(d);
	return seen;
}

/* Until nothing is seen any more, or nothing helps: entries are moved to the top meanwhile, and a directory that is
 * changed while it is read may hide some. */
static void empty_dir(struct sweep *s, int fd, unsigned depth)
{
	unsigned before;
	int round;

	for (round = 0; round < ROUNDS_MAX && s->left > 0; round++) {
		before = s->removed;
		if (empty_once(s, fd, depth) <= 0 || s->removed == before) {
			return;
		}
	}
}

/* With a fault there is still more to do as long as calls get something done. */
static int sweep_result(const struct sweep *s, char error[ALLOCDIR_TEXT])
{
	if (s->left == 0 && s->removed > 0) {
		return ERR_BUSY;
	}
	errno = s->error;
	return s->error != 0 ? fail_errno(error, "failed to remove", s->at_fault) : s->left == 0 ? ERR_BUSY : 0;
}

int allocdir_destroy(const char *root, const char *alloc_id, unsigned max_entries, char error[ALLOCDIR_TEXT])
{
	struct sweep s = {.left = max_entries == 0 ? 1 : max_entries};
	int dir = allocdir_name_ok(alloc_id) ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int rv = 0;

	s.top = dir < 0 ? -1 : open_dir(dir, alloc_id);
	if (s.top < 0) {
		rv = allocdir_name_ok(alloc_id) && errno == ENOENT ? 0 : fail_errno(error, "failed to open", alloc_id);
	} else {
		empty_dir(&s, s.top, 0);
		close(s.top);
		if (s.left > 0 && unlinkat(dir, alloc_id, AT_REMOVEDIR) != 0) {
			note_fault(&s, alloc_id);
		}
		rv = sweep_result(&s, error);
	}
	if (dir >= 0) {
		close(dir);
	}
	return rv;
}

/* ---- counting ---- */

struct count {
	unsigned left;
	int64_t bytes;
};

static void count_dir(struct count *c, int fd, unsigned depth);

static void count_entry(struct count *c, int dir, const char *name, unsigned depth)
{
	struct stat st;
	int fd;

	c->left--;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return;
	}
	/* A file with several names is counted once for each name's share. */
	c->bytes += (int64_t)st.st_blocks * 512 / (S_ISREG(st.st_mode) && st.st_nlink > 0 ? (int64_t)st.st_nlink : 1);
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
		fd = open_unmounted(dir, name);
		if (fd >= 0) {
			count_dir(c, fd, depth + 1);
		}
	}
}

/* Takes over `fd`. */
static void count_dir(struct count *c, int fd, unsigned depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	if (d == NULL) {
		close(fd);
		return;
	}
	while (c->left > 0 && (e = readdir(d)) != NULL) {
		if (!is_dots(e->d_name)) {
			count_entry(c, fd, e->d_name, depth);
		}
	}
	closedir(d);
}

int allocdir_usage(const char *root, const char *alloc_id, unsigned max_entries, int64_t *bytes)
{
	struct count c = {.left = max_entries};
	int fd = allocdir_open(root, alloc_id);

	if (fd < 0) {
		return fd;
	}
	count_dir(&c, fd, 0);
	*bytes = c.bytes;
	return c.left == 0 ? ERR_TOOBIG : 0;
}

int allocdir_open(const char *root, const char *alloc_id)
{
	int dir = allocdir_name_ok(alloc_id) ? open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fd = dir < 0 ? -1 : open_dir(dir, alloc_id);

	if (dir >= 0) {
		close(dir);
	}
	return fd < 0 ? ERR_NOTFOUND : fd;
}
