/** The users that tasks run as, from the system's user database. Blocking: the database may be on the network. */
#ifndef CLIENT_USER_H_
#define CLIENT_USER_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { USER_GROUPS_MAX = 1024 };

struct user {
	uid_t uid;
	gid_t gid;
	uint32_t groups_n; /* With gid; those beyond the limit are left out. */
	uint32_t groups[USER_GROUPS_MAX];
};

/* By name or by number. 0; ERR_NOTFOUND; ERR_IO when the database cannot be asked. */
int user_find(const char *name, struct user *out);

/* Whether text names ranges of numbers, as "0,100-999"; "" names none. */
bool user_ranges_ok(const char *ranges);

/* Whether such ranges have the number. */
bool user_in_ranges(const char *ranges, uint32_t id);

#endif /* CLIENT_USER_H_ */
