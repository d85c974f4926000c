/**
 * Who a server is: what it must not forget, besides the log.
 *
 *     DIR/identity.json    its IDs, its cluster, what it has promised while one was founded (server/founding.h)
 *     DIR/raft/            the log (raft/replica.h)
 *
 * The file is small, is replaced as a whole and synced, and its lock keeps a second process away. Raft's ID is random:
 * a server that lost its data comes back as another one.
 */
#ifndef SERVER_IDENTITY_H_
#define SERVER_IDENTITY_H_

#include "proto/rpc_objects.h"
#include "server/founding.h"

#define SERVER_IDENTITY_FIELDS(X, T)                                                               \
	X(T, STR, id, "ID")                                                                        \
	X(T, INT, raft_id, "RaftID")                                                               \
	X(T, STR, cluster, "Cluster")         /* "": in none yet. */                               \
	X(T, INT, rounds, "Rounds")           /* As in struct founding_saved, these too. */        \
	X(T, INT, round, "Round")                                                                  \
	X(T, LIST(rpc_founder), promise, "Promise")                                                \
	X(T, BOOL, decided, "Decided")
OBJECT_DECLARE(server_identity, SERVER_IDENTITY_FIELDS);

struct identity {
	int dir; /* Descriptor, with the lock. */
	struct uuid id;
	uint64_t raft_id;
	struct uuid cluster; /* Zero: none. */
	struct founding_saved founding;
};

/* Open a directory, making it and DIR/raft where they are missing, and the IDs at the first start. With a text in `why`:
 * ERR_BUSY (another process), ERR_IO, ERR_CORRUPT (the file is damaged, or missing beside a log). */
int identity_open(struct identity *i, const char *dir, char *why, size_t why_size);
void identity_close(struct identity *i);

/* Keep what has changed, durably. ERR_IO, ERR_NOSPACE: the file is as it was. */
int identity_save(const struct identity *i);

#endif /* SERVER_IDENTITY_H_ */
