#include "client/user.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- ranges ---- */

static bool next_number(const char **at, unsigned long *out)
{
	char *end;

	*at += strspn(*at, " ");
	if (**at < '0' || **at > '9') {
		return false;
	}
	errno = 0;
	*out = strtoul(*at, &end, 10);
	*at = end + strspn(end, " ");
	return errno == 0 && *out < UINT_MAX;
}

/* One range, *at moved behind it and its comma. */
static bool next_range(const char **at, unsigned long *low, unsigned long *high)
{
	if (!next_number(at, low)) {
		return false;
	}
	*high = *low;
	if (**at == '-') {
		(*at)++;
		if (!next_number(at, high) || *high < *low) {
			return false;
		}
	}
	if (**at == ',') {
		(*at)++;
		return **at != '\0';
	}
	return **at == '\0';
}

bool user_ranges_ok(const char *ranges)
{
	unsigned long low;
	unsigned long high;

	while (*ranges != '\0') {
		if (!next_range(&ranges, &low, &high)) {
			return false;
		}
	}
	return true;
}

bool user_in_ranges(const char *ranges, uint32_t id)
{
	unsigned long low;
	unsigned long high;

	while (*ranges != '\0' && next_range(&ranges, &low, &high)) {
		if (id >= low && id <= high) {
			return true;
		}
	}
	return false;
}
