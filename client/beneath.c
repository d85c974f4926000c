#include "client/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/error.h"

enum { LINKS_MAX = 40, DEPTH_MAX = 256 };

int beneath_clean(const char *path, char *out, size_t size)
{
	size_t n = 0; /* Of out, without the closing zero. */
	size_t len;

	if (size < 2) {
		return ERR_TOOBIG;
	}
	for (; *path != '\0'; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (len == 0 || (len == 1 && path[0] == '.')) {
			continue;
		}
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			if (n == 0) {
				return ERR_RANGE;
			}
			while (n > 0 && out[--n] != '/') {
			}
			continue;
		}
		if (n + len + 2 > size) {
			return ERR_TOOBIG;
		}
		if (n > 0) {
			out[n++] = '/';
		}
		memcpy(out + n, path, len);
		n += len;
	}
	if (n == 0) {
		out[n++] = '.';
	}
	out[n] = '\0';
	return 0;
}

/* ---- by hand ---- */

struct walk {
	int dirs[DEPTH_MAX]; /* From the root (borrowed) to where we are: "..", in a link, goes back along them. */
	int depth;
	int links;
	unsigned how;
	char rest[PATH_MAX]; /* Still to be walked. */
};

static void walk_up(struct walk *w, int to)
{
	while (w->depth > to) {
		close(w->dirs[w->depth--]);
	}
}

/* Put a link's target in front of what is left. */
static int follow(struct walk *w, const char *name, const char *left)
{
	char target[PATH_MAX];
	char joined[PATH_MAX];
	ssize_t n = readlinkat(w->dirs[w->depth], name, target, sizeof(target) - 1);

	if (n < 0) {
		return -errno;
	}
	target[n] = '\0';
	if ((w->how & BENEATH_NO_LINKS) || ++w->links > LINKS_MAX) {
		return -ELOOP;
	}
	if (target[0] == '/') {
		return -EXDEV;
	}
	if (snprintf(joined, sizeof(joined), "%s/%s", target, left) >= (int)sizeof(joined)) {
		return -ENAMETOOLONG;
	}
	memcpy(w->rest, joined, strlen(joined) + 1);
	return 0;
}

/* Go down one component, or open the last one: the descriptor, or 0 to walk on, or a negative errno value. */
static int step(struct walk *w, const char *name, const char *left, int flags)
{
	bool last = left[strspn(left, "/")] == '\0';
	int here = w->dirs[w->depth];
	struct stat st;
	int fd;

	if (fstatat(here, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return -errno;
	}
	if (S_ISLNK(st.st_mode) && !(last && (flags & O_NOFOLLOW))) {
		return follow(w, name, left);
	}
	fd = openat(here, name, last ? flags | O_NOFOLLOW | O_CLOEXEC : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	if (last) {
		return fd;
	}
	if (w->depth + 1 == DEPTH_MAX) {
		close(fd);
		return -ENAMETOOLONG;
	}
	w->dirs[++w->depth] = fd;
	memmove(w->rest, left, strlen(left) + 1);
	return 0;
}

static int open_by_hand(int root, const char *path, int flags, unsigned how)
{
	struct walk w = {.how = how};
	char name[NAME_MAX + 1];
	size_t n;
	int rv = 0;

	if (strlen(path) >= sizeof(w.rest)) {
		return -ENAMETOOLONG;
	}
	memcpy(w.rest, path, strlen(path) + 1);
	w.dirs[0] = root;
	while (rv == 0) {
		memmove(w.rest, w.rest + strspn(w.rest, "/"), strlen(w.rest + strspn(w.rest, "/")) + 1);
		n = strcspn(w.rest, "/");
		if (n > NAME_MAX) {
			rv = -ENAMETOOLONG;
		} else if (n == 0 || (n == 1 && w.rest[0] == '.')) {
			if (w.rest[n] == '\0') {
				rv = openat(w.dirs[w.depth], ".", flags | O_CLOEXEC);
				rv = rv < 0 ? -errno : rv;
				break;
			}
			memmove(w.rest, w.rest + n, strlen(w.rest + n) + 1);
		} else if (n == 2 && memcmp(w.rest, "..", 2) == 0) {
			if (w.depth == 0) {
				rv = -EXDEV;
				break;
			}
			walk_up(&w, w.depth - 1);
			memmove(w.rest, w.rest + n, strlen(w.rest + n) + 1);
		} else {
			memcpy(name, w.rest, n);
			name[n] = '\0';
			rv = step(&w, name, w.rest + n, flags);
		}
	}
	walk_up(&w, 0);
	return rv;
}

/* ---- by the kernel ---- */

int beneath_open(int root, const char *path, int flags, unsigned how)
{
	struct open_how k = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
			     .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd;
	int tries;

	if (path[0] == '/') {
		return -EXDEV;
	}
	if (path[0] == '\0') {
		path = ".";
	}
	if (how & BENEATH_NO_LINKS) {
		k.resolve |= RESOLVE_NO_SYMLINKS;
	}
	/* EAGAIN: something was renamed meanwhile, and the kernel could not be sure. */
	for (tries = 0; !(how & BENEATH_BY_HAND) && tries < 16; tries++) {
		fd = syscall(SYS_openat2, root, path, &k, sizeof(k));
		if (fd >= 0) {
			return (int)fd;
		}
		if (errno == ENOSYS || errno == EPERM) {
			break;
		}
		if (errno != EAGAIN) {
			return -errno;
		}
	}
	return open_by_hand(root, path, flags, how);
}

static ssize_t path_of(int fd, char *out, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, size - 1);
	if (n >= 0) {
		out[n] = '\0';
	}
	return n;
}

int beneath_where(int root, int fd, char *out, size_t size)
{
	char base[PATH_MAX];
	char path[PATH_MAX];
	ssize_t n = path_of(root, base, sizeof(base));
	const char *below;

	if (n <= 0 || path_of(fd, path, sizeof(path)) <= 0 || strncmp(path, base, (size_t)n) != 0 ||
	    (path[n] != '/' && path[n] != '\0')) {
		return ERR_NOTFOUND;
	}
	below = path[n] == '/' ? path + n + 1 : ".";
	if (strlen(below) >= size) {
		return ERR_TOOBIG;
	}
	memcpy(out, below, strlen(below) + 1);
	return 0;
}
