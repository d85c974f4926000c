/** Finding what a command names by the beginning of its ID. */
#ifndef CLI_LOOKUP_H_
#define CLI_LOOKUP_H_

#include "cli/client.h"

enum lookup {
	LOOKUP_FAILED, /* Told on stderr. */
	LOOKUP_NONE,
	LOOKUP_ONE,
	LOOKUP_MANY,
};

/* GET `path` ("/v1/allocations") with the prefix, and keep of the list only what begins with it; if one of them is it
 * exactly, only that. `list` is as for client_read_list(), and its elements have an "ID". `uuid`: the IDs are UUIDs,
 * of which the server wants an even number of digits. */
enum lookup lookup(struct client *c, const char *path, const char *prefix, bool uuid, const struct type *list_type,
		   void *list);

/* As lookup(), where one is needed: its ID, or NULL after "No KIND ..." or "Prefix matched multiple KIND ..." on
 * stderr. With several, the list is left for the caller to show. */
const char *lookup_one(struct client *c, const char *path, const char *kind, const char *prefix, bool uuid,
		       const struct type *list_type, void *list);

#endif /* CLI_LOOKUP_H_ */
