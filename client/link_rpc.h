/**
 * The link over TCP: RPC to any of the servers, with another tried when one fails.
 *
 * It knows the servers of the configuration and those that servers tell of. It turns to them in an order of its own,
 * so that clients spread; each attempt has about a second. One that was lost or is of no use is tried again last. When
 * all have failed it pauses, longer and longer up to a bound.
 */
#ifndef CLIENT_LINK_RPC_H_
#define CLIENT_LINK_RPC_H_

#include <uv.h>

#include "client/link.h"

struct channels;

struct link_rpc_config {
	struct channels *channels; /* How connections look on the wire: proto/channel.h. Borrowed; NULL: plain text. */
	struct strs servers; /* "host:port" */
	const char *name;
	const char *region;
	const char *datacenter;
	const char *version;
	const char *http_addr;
};

/* The configuration is copied. NULL when memory is exhausted. */
struct client_link *link_rpc_new(uv_loop_t *loop, const struct link_rpc_config *config);

/* After it has been stopped, or was never started. */
void link_rpc_free(struct client_link *link);

/* The server that is connected, "" if there is none. For facts about the agent. */
const char *link_rpc_server(const struct client_link *link);

/* The servers that are known, in a list that lives until the next call into the link. */
struct strs link_rpc_servers(const struct client_link *link);

#endif /* CLIENT_LINK_RPC_H_ */
