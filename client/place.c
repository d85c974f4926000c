#include "client/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/beneath.h"
#include "client/oserror.h"
#include "proto/error.h"

static const char tmp_prefix[] = ".drover-";

int place_fail(char why[PLACE_WHY], const char *verb, const char *path, int error)
{
	char text[OSERROR_TEXT];

	oserror_text(error, text);
	snprintf(why, PLACE_WHY, "%s %.150s: %.90s", verb, path, text);
	return error == ENOSPC || error == EDQUOT ? ERR_NOSPACE : error == ENOENT ? ERR_NOTFOUND : ERR_IO;
}

/* ---- paths ---- */

static const char *behind(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(path, prefix, len) != 0 || (path[len] != '/' && path[len] != '\0')) {
		return NULL;
	}
	return path + len;
}

/* What lies in <task>/private is the agent's. */
static bool is_records(const char *path)
{
	const char *slash = strchr(path, '/');

	return slash != NULL && behind(slash, "/private") != NULL;
}

int place_path(const char *alloc_path, const char *task, const char *given, char out[PLACE_PATH])
{
	char joined[PLACE_PATH];
	const char *rest = behind(given, alloc_path);
	int n;

	if (rest != NULL) {
		n = snprintf(joined, sizeof(joined), "%s", rest);
	} else if (behind(given, "/alloc") != NULL) {
		n = snprintf(joined, sizeof(joined), "%s", given);
	} else {
		n = snprintf(joined, sizeof(joined), "%s/%s", task, given);
	}
	/* A leading slash means the root of the directory here, not of the machine. */
	if (n < 0 || n >= (int)sizeof(joined) || beneath_clean(joined, out, PLACE_PATH) != 0 || is_records(out)) {
		return ERR_INVALID;
	}
	return 0;
}

/* ---- directories ---- */

static int make_dir(int parent, const char *name)
{
	int fd;

	if (mkdirat(parent, name, 0777) == 0) {
		(void)fchmodat(parent, name, 0777, 0); /* Whatever the agent's mask: tasks may run as any user. */
	} else if (errno != EEXIST) {
		return -errno;
	}
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Open the directory that the first len bytes of the path name, making what is missing. A negative errno value. */
static int open_dirs(int root, const char *path, size_t len)
{
	char part[PLACE_PATH];
	int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	size_t from = 0;

	while (fd >= 0 && from < len) {
		size_t n = strcspn(path + from, "/");
		int next;

		n = n > len - from ? len - from : n;
		snprintf(part, sizeof(part), "%.*s", (int)n, path + from);
		next = n == 0 || strcmp(part, ".") == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : make_dir(fd, part);
		close(fd);
		fd = next;
		from += n + 1;
	}
	return fd;
}

int place_dir(int root, const char *path, char why[PLACE_WHY])
{
	int fd = open_dirs(root, path, strlen(path));

	return fd >= 0 ? fd : place_fail(why, "mkdir", path, -fd);
}

int place_parent(int root, const char *path, const char **name, char why[PLACE_WHY])
{
	const char *slash = strrchr(path, '/');
	int fd = open_dirs(root, path, slash == NULL ? 0 : (size_t)(slash - path));

	if (fd < 0) {
		return place_fail(why, "mkdir", path, -fd);
	}
	*name = slash == NULL ? path : slash + 1;
	return fd;
}

/* ---- files ---- */

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR) {
			return errno;
		}
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int fill(int fd, const void *data, size_t len, const struct place_owner *owner)
{
	int error = write_all(fd, data, len);

	if (error == 0 && fchmod(fd, owner->mode) != 0) {
		error = errno;
	}
	if (error == 0 && (owner->uid >= 0 || owner->gid >= 0) &&
	    fchown(fd, owner->uid >= 0 ? (uid_t)owner->uid : (uid_t)-1, owner->gid >= 0 ? (gid_t)owner->gid : (gid_t)-1) != 0) {
		error = errno;
	}
	return error;
}

/* Beside its place first, so that nobody reads half of it. */
static int write_in(int dir, const char *name, const void *data, size_t len, const struct place_owner *owner)
{
	char tmp[300];
	int error;
	int fd;

	snprintf(tmp, sizeof(tmp), "%s%.200s", tmp_prefix, name);
	if (unlinkat(dir, tmp, 0) != 0 && errno != ENOENT) {
		return errno;
	}
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return errno;
	}
	error = fill(fd, data, len, owner);
	if (close(fd) != 0 && error == 0) {
		error = errno;
	}
	if (error == 0 && renameat(dir, tmp, dir, name) != 0) {
		error = errno;
	}
	if (error != 0) {
		unlinkat(dir, tmp, 0);
	}
	return error;
}

int place_file(int root, const char *path, const void *data, size_t len, const struct place_owner *owner,
               char why[PLACE_WHY])
{
	const char *name;
	int dir = place_parent(root, path, &name, why);
	int error;

	if (dir < 0) {
		return dir;
	}
	error = write_in(dir, name, data, len, owner);
	close(dir);
	return error == 0 ? 0 : place_fail(why, "write", path, error);
}
