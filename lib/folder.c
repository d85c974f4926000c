#include "lib/folder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* -1: it was there. */
static int make_one(const char *path, mode_t mode)
{
	return mkdir(path, mode) == 0 ? 0 : errno == EEXIST ? -1 : errno;
}

static int make_all(const char *path, mode_t mode)
{
	char part[4096];
	char *slash;
	int rv;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part)) {
		return ENAMETOOLONG;
	}
	for (slash = part + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		rv = slash[1] == '\0' ? -1 : make_one(part, 0755);
		if (rv > 0) {
			return rv;
		}
		*slash = '/';
	}
	rv = make_one(part, mode);
	if (rv == 0 && chmod(part, mode) != 0) {
		return errno;
	}
	return rv;
}

int folder_make(const char *path, mode_t mode)
{
	int rv = make_all(path, mode);

	return rv < 0 ? 0 : rv;
}

int folder_keep(const char *path, mode_t mode)
{
	struct stat st;
	int rv = make_all(path, mode);

	if (rv >= 0) {
		return rv;
	}
	if (stat(path, &st) != 0) {
		return errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		return ENOTDIR;
	}
	return (st.st_mode & 07777 & ~mode) != 0 && chmod(path, st.st_mode & mode) != 0 ? errno : 0;
}
