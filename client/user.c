#include "client/user.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proto/error.h"

enum { RECORD_MAX_BYTES = 16384 };

static bool parse_uid(const char *name, uid_t *out)
{
	char *end;
	unsigned long n;

	if (name[0] < '0' || name[0] > '9') {
		return false;
	}
	errno = 0;
	n = strtoul(name, &end, 10);
	if (*end != '\0' || errno != 0 || n >= UINT_MAX) {
		return false;
	}
	*out = (uid_t)n;
	return true;
}

int user_find(const char *name, struct user *out)
{
	char record[RECORD_MAX_BYTES];
	struct passwd pw;
	struct passwd *found = NULL;
	gid_t groups[USER_GROUPS_MAX];
	int n = USER_GROUPS_MAX;
	int rv = getpwnam_r(name, &pw, record, sizeof(record), &found);
	uid_t uid;
	int i;

	if (found == NULL && parse_uid(name, &uid)) {
		rv = getpwuid_r(uid, &pw, record, sizeof(record), &found);
	}
	if (found == NULL) {
		/* ENOENT and its like are how some back ends say that there is no such user. */
		return rv == EIO || rv == EMFILE || rv == ENFILE || rv == ENOMEM || rv == ERANGE ? ERR_IO
												 : ERR_NOTFOUND;
	}
	if (getgrouplist(pw.pw_name, pw.pw_gid, groups, &n) < 0) {
		n = USER_GROUPS_MAX;
	}
	out->uid = pw.pw_uid;
	out->gid = pw.pw_gid;
	out->groups_n = (uint32_t)n;
	for (i = 0; i < n; i++) {
		out->groups[i] = groups[i];
	}
	return 0;
}
