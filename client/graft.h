/**
 * Moving what was put together in a directory of its own to where it belongs, and what else is done to a whole tree that
 * came from elsewhere. No link is followed. Blocking; for worker threads.
 */
#ifndef CLIENT_GRAFT_H_
#define CLIENT_GRAFT_H_

#include <sys/types.h>

#include "client/place.h"

enum { GRAFT_DEPTH_MAX = 64 };

/* Move all that the directory `from` holds into `to`, both on one file system: directories that are in both become one,
 * any other entry replaces what has its name. 0 or an ERR_ code with a text; then some of it has been moved. */
int graft(int from, int to, char why[PLACE_WHY]);

/* Whether every link in the tree leads to what is in the tree: 0, or ERR_INVALID with a text that names the first that
 * does not; ERR_TOOBIG for a tree that is too deep. */
int graft_links_stay(int dir, char why[PLACE_WHY]);

/* Give the tree to a user, `name` in `parent` with all that is in it. 0 or an ERR_ code with a text. */
int graft_give(int parent, const char *name, uid_t uid, gid_t gid, char why[PLACE_WHY]);

/* Remove the directory `name` in `parent` with all that is in it, as far as possible. */
void graft_remove(int parent, const char *name);

#endif /* CLIENT_GRAFT_H_ */
