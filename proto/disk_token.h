/**
 * Leave to fetch the data of an allocation that has ended from its node: a token that servers give to the node of the
 * one that replaces it, and that the former node knows when it sees it. It is made of that node's own secret, so nobody
 * else can make it, and is good for this allocation alone, as long as its data is there.
 */
#ifndef PROTO_DISK_TOKEN_H_
#define PROTO_DISK_TOKEN_H_

#include <stdbool.h>

enum { DISK_TOKEN_TEXT = 65 };

/* From the secret of the node that has the data, and the allocation's ID. False: it could not be made. */
bool disk_token(const char *node_secret, const char *alloc_id, char out[DISK_TOKEN_TEXT]);

/* Whether it is that token. */
bool disk_token_fits(const char *token, const char *node_secret, const char *alloc_id);

#endif /* PROTO_DISK_TOKEN_H_ */
