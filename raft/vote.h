/**
 * The current term and vote, and which cluster this server belongs to, on disk in two slots that are written in turn.
 *
 * Each slot has a checksum and a version; the valid one with the higher version counts. A crash in the middle of a
 * write therefore leaves the one before. The file is as large as it ever gets from the start, so a full disk does not
 * stop a vote. All functions block: after the start only the journal's writer calls them.
 */
#ifndef RAFT_VOTE_H_
#define RAFT_VOTE_H_

#include <stdint.h>

struct vote {
	int fd;
	uint64_t version; /* Of the last one written; 0: none was. */
	uint64_t term;
	uint64_t voted_for; /* 0: nobody. */
	uint64_t origin;    /* The cluster's beginning; 0: in none yet. See raft/wire.h. */
};

/* Creates the file if there is none. 0, ERR_IO, ERR_NOSPACE, or ERR_CORRUPT: both slots are damaged. */
int vote_open(struct vote *v, int dirfd);

/* Durable when it returns 0; else ERR_IO. */
int vote_put(struct vote *v, uint64_t term, uint64_t voted_for, uint64_t origin);

/* Safe on one that was not opened, if its fd is -1. */
void vote_close(struct vote *v);

#endif /* RAFT_VOTE_H_ */
