/**
 * Metadata of the node that operators change while its agent runs: GET and POST /v1/client/metadata.
 *
 * What is set there, or unset, stands above what the configuration says, survives a restart of the agent, and is told
 * to the servers by registering the node anew.
 */
#ifndef CLIENT_NODE_META_H_
#define CLIENT_NODE_META_H_

#include "proto/http.h"
#include "proto/object.h"

struct client;

enum {
	NODE_META_KEYS_MAX = 1024,     /* Dynamic ones; */
	NODE_META_KEY_MAX = 256,       /* bytes of a key; */
	NODE_META_TEXT_MAX = 64 << 10, /* bytes of a request, and of what is kept, as JSON. */
	/* Bytes that a running agent may take for its node's facts: what has been replaced is freed with it, as tasks
	 * that are being prepared may read it. A change takes about 2 KiB. */
	NODE_META_MEMORY_MAX = 64 << 20,
};

/* What is kept of an earlier agent, laid over the configuration's; before the node is told of. A damaged file is set aside
 * with a warning. ERR_NOMEM. */
int node_meta_open(struct client *c);

void node_meta_answer(struct client *c, struct http_request *req);
void node_meta_apply(struct client *c, struct http_request *req);

/* The metadata that comes of the configuration's (`fixed`, in any order) and what lies over it: both sorted by key, a NULL value
 * takes a key out. In `mem`; ERR_NOMEM. */
int node_meta_merge(const struct map *fixed, const struct map *over, struct map *out, struct arena *mem);

/* An object of texts and nulls, as the API takes and the file keeps it, laid over `out`, which is sorted. 0, ERR_NOMEM, or
 * ERR_INVALID with the reason in `why`; `out` is as it was then. */
int node_meta_parse(const char *json, size_t len, struct map *out, const char **why, struct arena *mem);

#endif /* CLIENT_NODE_META_H_ */
