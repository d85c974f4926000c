/**
 * The directory of an allocation on its node.
 *
 *     <root>/<alloc id>/            0755
 *         alloc/                    1777  shared by its tasks: data, logs, tmp within are 1777 too
 *         <task>/                   1777  the task's working directory
 *             local/                0777
 *             tmp/                  1777
 *             secrets/              0700  the task user's; in memory (tmpfs) where the agent may mount
 *             private/              0700  the agent's: records and sockets of drivers
 *
 * What is 1777 is open to all users, because tasks may run as any, but nobody can take away what is another's: so
 * private/ stays where it is. All functions block, for worker threads.
 */
#ifndef CLIENT_ALLOCDIR_H_
#define CLIENT_ALLOCDIR_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ALLOCDIR_TEXT = 512 };

struct allocdir_task {
	const char *name;
	const char *user; /* "" or NULL: the agent's own. */
};

struct allocdir_spec {
	const char *root; /* Absolute; made if it is missing. */
	const char *alloc_id;
	const struct allocdir_task *tasks;
	uint32_t tasks_n;
	bool plain_secrets; /* Never mount. */
};

/* Make the directory, or complete it: what is there already is left as it is. 0, or an ERR_ code and a text that says
 * what failed; ERR_NOSPACE for a full disk. What was made before a failure stays for allocdir_destroy(). */
int allocdir_build(const struct allocdir_spec *spec, char error[ALLOCDIR_TEXT]);

/* Remove it with all that tasks have put there, following no link and entering no mount; mounts are taken off. At most
 * about max_entries are removed in one call, so that a worker can turn to others. 0 when nothing is left or was there;
 * ERR_BUSY: call again; else an ERR_ code and a text, and what could be removed is gone. */
int allocdir_destroy(const char *root, const char *alloc_id, unsigned max_entries, char error[ALLOCDIR_TEXT]);

/* The disk space that it takes, mounts left out. ERR_NOTFOUND; ERR_TOOBIG when there are more than max_entries, and
 * `bytes` is what was counted until then. */
int allocdir_usage(const char *root, const char *alloc_id, unsigned max_entries, int64_t *bytes);

/* The directory as a descriptor for client/fs_api.h and client/beneath.h; ERR_NOTFOUND if there is none. */
int allocdir_open(const char *root, const char *alloc_id);

/* Names that may stand for a file of their own: not empty, ".", "..", with a slash or longer than the system allows. */
bool allocdir_name_ok(const char *name);

#endif /* CLIENT_ALLOCDIR_H_ */
