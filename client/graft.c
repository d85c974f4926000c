#include "client/graft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/allocdir.h"
#include "client/beneath.h"
#include "proto/error.h"

enum { REMOVE_ENTRIES = 1 << 20 };

/* ---- walking ---- */

struct entry {
	int dir;
	const char *name;
	const char *path; /* From the tree's root. */
	int depth;
	mode_t kind; /* As S_IFDIR. */
};

typedef int (*visit_fn)(void *ctx, const struct entry *e, char why[PLACE_WHY]);

static int open_dir(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* One that is moved is seen before or not at all, never twice: a directory's entries are counted once. */
static int each(int dir, const char *below, int depth, visit_fn visit, void *ctx, char why[PLACE_WHY])
{
	int own = open_dir(dir, ".");
	DIR *d = own < 0 ? NULL : fdopendir(own);
	char path[PLACE_PATH];
	struct dirent *e;
	struct stat st;
	int rc = 0;

	if (d == NULL) {
		return place_fail(why, "open", below, errno);
	}
	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			continue;
		}
		if (snprintf(path, sizeof(path), "%s%s%s", below, below[0] == '\0' ? "" : "/", e->d_name) >= (int)sizeof(path)) {
			rc = place_fail(why, "open", below, ENAMETOOLONG);
		} else {
			rc = visit(ctx, &(struct entry){dir, e->d_name, path, depth, st.st_mode & S_IFMT}, why);
		}
	}
	closedir(d);
	return rc;
}

static int into(const struct entry *e, visit_fn visit, void *ctx, char why[PLACE_WHY])
{
	int fd;
	int rc;

	if (e->depth == GRAFT_DEPTH_MAX) {
		snprintf(why, PLACE_WHY, "%.100s ... is too deep", e->path);
		return ERR_TOOBIG;
	}
	fd = open_dir(e->dir, e->name);
	if (fd < 0) {
		return place_fail(why, "open", e->path, errno);
	}
	rc = each(fd, e->path, e->depth + 1, visit, ctx, why);
	close(fd);
	return rc;
}

/* ---- moving ---- */

static int move_entry(void *ctx, const struct entry *e, char why[PLACE_WHY])
{
	int to = *(const int *)ctx;
	int below;
	int rc;

	if (renameat(e->dir, e->name, to, e->name) == 0) {
		return 0;
	}
	below = e->kind == S_IFDIR ? open_dir(to, e->name) : -1;
	if (below < 0) {
		(void)unlinkat(to, e->name, 0);
		return renameat(e->dir, e->name, to, e->name) == 0 ? 0 : place_fail(why, "rename", e->path, errno);
	}
	rc = into(e, move_entry, &below, why);
	close(below);
	return rc;
}

int graft(int from, int to, char why[PLACE_WHY])
{
	return each(from, "", 0, move_entry, &to, why);
}

/* ---- links ---- */

static int check_entry(void *ctx, const struct entry *e, char why[PLACE_WHY])
{
	char to[PATH_MAX];
	char joined[PLACE_PATH];
	char clean[PLACE_PATH];
	const char *slash = strrchr(e->path, '/');
	ssize_t n;
	int len;

	if (e->kind == S_IFDIR) {
		return into(e, check_entry, ctx, why);
	}
	if (e->kind != S_IFLNK) {
		return 0;
	}
	n = readlinkat(e->dir, e->name, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	len = snprintf(joined, sizeof(joined), "%.*s%s%s", slash == NULL ? 0 : (int)(slash - e->path), e->path,
	               slash == NULL ? "" : "/", to);
	if (n <= 0 || to[0] == '/' || len >= (int)sizeof(joined) || beneath_clean(joined, clean, sizeof(clean)) != 0) {
		snprintf(why, PLACE_WHY, "the link %.150s leads out of its directory", e->path);
		return ERR_INVALID;
	}
	return 0;
}

int graft_links_stay(int dir, char why[PLACE_WHY])
{
	return each(dir, "", 0, check_entry, NULL, why);
}

/* ---- owners ---- */

struct owner {
	uid_t uid;
	gid_t gid;
};

static int give_entry(void *ctx, const struct entry *e, char why[PLACE_WHY])
{
	const struct owner *owner = ctx;

	if (fchownat(e->dir, e->name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW) != 0) {
		return place_fail(why, "chown", e->path, errno);
	}
	return e->kind == S_IFDIR ? into(e, give_entry, ctx, why) : 0;
}

int graft_give(int parent, const char *name, uid_t uid, gid_t gid, char why[PLACE_WHY])
{
	struct owner owner = {uid, gid};
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return place_fail(why, "chown", name, errno);
	}
	return give_entry(&owner, &(struct entry){parent, name, name, 0, st.st_mode & S_IFMT}, why);
}

/* ---- removing ---- */

void graft_remove(int parent, const char *name)
{
	char root[64];
	char why[ALLOCDIR_TEXT];

	snprintf(root, sizeof(root), "/proc/self/fd/%d", parent);
	while (allocdir_destroy(root, name, REMOVE_ENTRIES, why) == ERR_BUSY) {
	}
}
