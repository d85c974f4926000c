/** What the state's own modules know of a stored specification; see job_spec_encode() in raft/state.h. */
#ifndef RAFT_SPEC_H_
#define RAFT_SPEC_H_

#include "raft/state.h"

enum {
	SPEC_GROUP_RESCHEDULES = 1, /* A failed allocation may be replaced. */
};

unsigned job_row_group_flags(const struct job_row *row, unsigned i);

/* The packed job. */
const void *job_row_packed(const struct job_row *row, size_t *len);

#endif /* RAFT_SPEC_H_ */
