/** The versions of a job that its allocations have, compared with the one that is wanted. */
#ifndef SERVER_SCHED_VERSIONS_H_
#define SERVER_SCHED_VERSIONS_H_

#include "server/sched_reconcile.h"

/* A content that some version has. Versions that say the same share it. */
struct version {
	const struct blob *spec;
	struct job job;
	int32_t *groups; /* Of its own groups: the place among those of the wanted job, or -1. */
	uint8_t *kinds;  /* enum update_kind: what the update means for their allocations. */
};

struct versions {
	const struct sched_job *job;
	struct arena *mem;
	struct version **at;
	uint32_t n;
	uint32_t cap;
};

/* Of an allocation of the job; NULL: damaged. */
const struct version *version_of(struct versions *vs, const struct alloc_row *row);

/* What the update means for an allocation. */
enum update_kind version_kind(const struct versions *vs, const struct version *v, const struct alloc_row *row);

#endif /* SERVER_SCHED_VERSIONS_H_ */
