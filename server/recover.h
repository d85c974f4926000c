/**
 * The way out of the loss of most servers: a file that says who is left.
 *
 * A cluster that has lost its majority for good elects nobody any more. Its operator stops what still runs and writes,
 * as for Nomad, DIR/raft/peers.json:
 *
 *     [{"id": "1234567890123", "address": "10.0.0.1:4647", "non_voter": false}]
 *
 * The id is the RaftID of the server's DIR/identity.json; of the server itself its ID, a UUID, will do. A server that
 * finds the file at its start makes these servers the whole configuration, and renames it to peers.json.recovered. What
 * only the lost servers had is lost with them.
 *
 * It is meant for one server, the one with the longest log; the others come back with empty directories. The same file
 * on several servers works as well, but what they lack of each other's logs is decided by who wins their election.
 */
#ifndef SERVER_RECOVER_H_
#define SERVER_RECOVER_H_

#include "server/identity.h"

/* Before the replica is made. 0 also when there is no such file. ERR_INVALID, ERR_SYNTAX, ERR_IO and so on with a text
 * in `why`: the server must not start, and the file is left as it is. `address` is the one that others reach us at. */
int recover_servers(const char *dir, const struct identity *identity, const char *address, char *why, size_t why_size);

#endif /* SERVER_RECOVER_H_ */
