#include "client/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/beneath.h"
#include "client/place.h"
#include "proto/error.h"

#define BYTES_MAX (INT64_C(100) << 30)

struct target {
	int dir;
	unsigned files;
	bool data; /* Of tasks: with owners, links wherever they lead, without a bound on files. */
	int64_t bytes;
	char *why;
	size_t size;
};

static bool ends(const char *name, const char *end)
{
	size_t a = strlen(name);
	size_t b = strlen(end);

	/* The bare kind, or behind a dot. */
	return a >= b && strcasecmp(name + a - b, end) == 0 && (a == b || name[a - b - 1] == '.');
}

enum unpack_kind unpack_kind(const char *name)
{
	static const char *const many[] = {"tar", "tar.gz", "tgz", "tar.bz2", "tbz2", "tar.xz", "txz", "tar.zst", "tzst", "zip"};
	static const char *const one[] = {"gz", "bz2", "xz", "zst"};
	size_t i;

	for (i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		if (ends(name, many[i])) {
			return UNPACK_MANY;
		}
	}
	for (i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
		if (ends(name, one[i])) {
			return UNPACK_ONE;
		}
	}
	return UNPACK_NOTHING;
}

static int refuse(struct target *t, int code, const char *format, const char *what)
{
	snprintf(t->why, t->size, format, what == NULL ? "unknown" : what);
	return code;
}

static int fail_place(struct target *t, const char *verb, const char *path, int error)
{
	char why[PLACE_WHY];
	int rc = place_fail(why, verb, path, error);

	return refuse(t, rc, "%s", why);
}

/* ---- content ---- */

static int put(struct target *t, int fd, const char *data, size_t len, int64_t at)
{
	t->bytes += (int64_t)len;
	if (t->bytes > BYTES_MAX) {
		return refuse(t, ERR_TOOBIG, "%s", "the archive unpacks to too much");
	}
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno != EINTR) {
			return fail_place(t, "write", "a file of the archive", errno);
		}
		n = n < 0 ? 0 : n;
		data += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_content(struct target *t, struct archive *a, int fd)
{
	const void *data;
	size_t len;
	la_int64_t at;
	int rc;

	while ((rc = archive_read_data_block(a, &data, &len, &at)) == ARCHIVE_OK) {
		int failed = put(t, fd, data, len, at);

		if (failed != 0) {
			return failed;
		}
	}
	return rc == ARCHIVE_EOF ? 0 : refuse(t, ERR_INVALID, "%s", archive_error_string(a));
}

/* An agent without privileges keeps what it puts there. */
static void give(const struct target *t, int fd, struct archive_entry *e)
{
	if (t->data && fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) != 0) {
		/* As said. */
	}
}

static int put_file(struct target *t, struct archive *a, struct archive_entry *e, const char *path, mode_t mode)
{
	char why[PLACE_WHY];
	const char *name;
	int parent = place_parent(t->dir, path, &name, why);
	int fd;
	int rc;

	if (parent < 0) {
		return refuse(t, parent, "%s", why);
	}
	(void)unlinkat(parent, name, 0); /* A later entry of the same name counts. */
	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	rc = fd < 0 ? fail_place(t, "open", path, errno) : copy_content(t, a, fd);
	if (fd >= 0) {
		give(t, fd, e);
		(void)fchmod(fd, mode & 0777);
		if (close(fd) != 0 && rc == 0) {
			rc = fail_place(t, "close", path, errno);
		}
	}
	close(parent);
	return rc;
}

/* ---- entries ---- */

static int put_dir(struct target *t, struct archive_entry *e, const char *path)
{
	char why[PLACE_WHY];
	int fd = place_dir(t->dir, path, why);

	if (fd < 0) {
		return refuse(t, fd, "%s", why);
	}
	if (t->data) {
		give(t, fd, e);
		(void)fchmod(fd, archive_entry_perm(e) & 01777);
	}
	close(fd);
	return 0;
}

/* A link may point to what is in the directory, seen from where the link is. */
static bool link_stays(const char *path, const char *to)
{
	const char *slash = strrchr(path, '/');
	char joined[PLACE_PATH];
	char clean[PLACE_PATH];
	int n = snprintf(joined, sizeof(joined), "%.*s/%s", slash == NULL ? 0 : (int)(slash - path), path, to);

	return to[0] != '/' && n >= 0 && n < (int)sizeof(joined) &&
	       beneath_clean(joined[0] == '/' ? joined + 1 : joined, clean, sizeof(clean)) == 0;
}

static int put_link(struct target *t, const char *path, const char *to)
{
	char why[PLACE_WHY];
	const char *name;
	int parent;
	int rc = 0;

	if (to == NULL || (!t->data && !link_stays(path, to))) {
		return refuse(t, ERR_INVALID, "the archive's link %s leads out of its directory", path);
	}
	parent = place_parent(t->dir, path, &name, why);
	if (parent < 0) {
		return refuse(t, parent, "%s", why);
	}
	(void)unlinkat(parent, name, 0);
	if (symlinkat(to, parent, name) != 0) {
		rc = fail_place(t, "link", path, errno);
	}
	close(parent);
	return rc;
}

/* A second name of a file that was unpacked before. */
static int put_hard_link(struct target *t, const char *path, const char *to)
{
	char from[PLACE_PATH];
	char why[PLACE_WHY];
	const char *names[2];
	int parents[2];
	int rc = 0;

	if (beneath_clean(to, from, sizeof(from)) != 0) {
		return refuse(t, ERR_INVALID, "the archive's link %s leads out of its directory", path);
	}
	parents[0] = place_parent(t->dir, from, &names[0], why);
	parents[1] = parents[0] < 0 ? -1 : place_parent(t->dir, path, &names[1], why);
	if (parents[0] < 0 || parents[1] < 0) {
		rc = refuse(t, ERR_IO, "%s", why);
	} else if (linkat(parents[0], names[0], parents[1], names[1], 0) != 0) {
		rc = fail_place(t, "link", path, errno);
	}
	if (parents[0] >= 0) {
		close(parents[0]);
	}
	if (parents[1] >= 0) {
		close(parents[1]);
	}
	return rc;
}

/* alloc/data/..., TASK/local/...: nothing of what is the agent's. */
static bool is_data(const char *path)
{
	const char *slash = strchr(path, '/');
	const char *below = slash == NULL ? "" : slash + 1;
	const char *want = strncmp(path, "alloc/", 6) == 0 ? "data/" : "local/";

	return strncmp(below, want, strlen(want)) == 0;
}

static int put_entry(struct target *t, struct archive *a, struct archive_entry *e)
{
	const char *given = archive_entry_pathname(e);
	char path[PLACE_PATH];

	if (++t->files > UNPACK_FILES_MAX && !t->data) {
		return refuse(t, ERR_TOOBIG, "%s", "the archive holds too many files");
	}
	if (given == NULL || given[0] == '/' || beneath_clean(given, path, sizeof(path)) != 0) {
		return refuse(t, ERR_INVALID, "the archive's file %.100s leads out of its directory", given);
	}
	if (t->data && (!is_data(path) || archive_entry_hardlink(e) != NULL)) {
		return refuse(t, ERR_INVALID, "%.100s is no data of an allocation", path);
	}
	if (archive_entry_hardlink(e) != NULL) {
		return put_hard_link(t, path, archive_entry_hardlink(e));
	}
	switch (archive_entry_filetype(e)) {
	case AE_IFDIR:
		return put_dir(t, e, path);
	case AE_IFREG:
		return put_file(t, a, e, path, archive_entry_perm(e));
	case AE_IFLNK:
		return put_link(t, path, archive_entry_symlink(e));
	default:
		return refuse(t, ERR_INVALID, "the archive's file %.100s is neither file, directory nor link", path);
	}
}

static int put_one(struct target *t, struct archive *a, struct archive_entry *e, const char *name)
{
	const char *dot = strrchr(name, '.');
	char path[256];

	snprintf(path, sizeof(path), "%.*s", dot == NULL ? (int)strlen(name) : (int)(dot - name), name);
	return path[0] == '\0' ? refuse(t, ERR_INVALID, "%s", "the file has no name") : put_file(t, a, e, path, 0644);
}

static int put_all(struct target *t, struct archive *a, enum unpack_kind kind, const char *name)
{
	struct archive_entry *e;
	int rc;

	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
		int failed = kind == UNPACK_ONE ? put_one(t, a, e, name) : put_entry(t, a, e);

		if (failed != 0) {
			return failed;
		}
	}
	return rc == ARCHIVE_EOF ? 0 : refuse(t, ERR_INVALID, "%s", archive_error_string(a));
}

static int unpack_to(struct target *t, int fd, enum unpack_kind kind, const char *name)
{
	struct archive *a = archive_read_new();
	int rc;

	if (a == NULL) {
		return refuse(t, ERR_NOMEM, "%s", "out of memory");
	}
	archive_read_support_filter_all(a);
	if (kind == UNPACK_ONE) {
		archive_read_support_format_raw(a);
	} else {
		archive_read_support_format_tar(a);
		archive_read_support_format_zip(a);
	}
	if (lseek(fd, 0, SEEK_SET) != 0 || archive_read_open_fd(a, fd, 65536) != ARCHIVE_OK) {
		rc = refuse(t, ERR_INVALID, "%s", archive_error_string(a));
	} else {
		rc = put_all(t, a, kind, name);
	}
	archive_read_free(a);
	return rc;
}

int unpack(int fd, enum unpack_kind kind, const char *name, int dir, char *why, size_t size)
{
	struct target t = {.dir = dir, .why = why, .size = size};

	return unpack_to(&t, fd, kind, name);
}

int unpack_data(int fd, int dir, char *why, size_t size)
{
	struct target t = {.dir = dir, .why = why, .size = size, .data = true};

	return unpack_to(&t, fd, UNPACK_MANY, "");
}
