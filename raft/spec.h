/** What can be told of a stored specification without decoding it; see job_spec_encode() in raft/state.h. */
#ifndef RAFT_SPEC_H_
#define RAFT_SPEC_H_

#include "raft/state.h"

enum {
	SPEC_GROUP_RESCHEDULES = 1, /* A failed allocation may be replaced. */
	SPEC_GROUP_DISCONNECTS = 2, /* One whose node is cut off may go on for a while. */
	SPEC_GROUP_SCALES = 4,      /* It, or a task of it, has a scaling policy. */
};

unsigned job_row_group_flags(const struct job_row *row, unsigned i);

/* The packed job. */
const void *job_row_packed(const struct job_row *row, size_t *len);

#endif /* RAFT_SPEC_H_ */
