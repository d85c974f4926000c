/** How access control is set up on a server: the part of the configuration `acl` that its API looks at. */
#ifndef SERVER_ACL_CONFIG_H_
#define SERVER_ACL_CONFIG_H_

#include <stdbool.h>
#include <stdint.h>

/* Zero is off, and the default everywhere. */
struct acl_config {
	bool enabled;
	int64_t token_min_ttl_ns; /* What a token's life may be, if it ends: 1 min */
	int64_t token_max_ttl_ns; /* to 24 h. */
	/* What the operator has written into the file by which the first token may be made again: an index, or 0.
	 * Called on the thread of the API. NULL: there is no such file. */
	int64_t (*reset_index)(void *ctx);
	void *ctx;
};

#endif /* SERVER_ACL_CONFIG_H_ */
