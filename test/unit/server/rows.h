/** Rows made by hand, for tests of what only reads a few of their members. */
#ifndef TEST_UNIT_SERVER_ROWS_H_
#define TEST_UNIT_SERVER_ROWS_H_

#include <stdio.h>
#include <string.h>

#include "raft/state.h"

enum { ROWS_KEY_MAX = 64 };

struct eval_row_of {
	union {
		struct eval_row row;
		char room[sizeof(struct eval_row) + ROWS_KEY_MAX]; /* The key comes behind the row. */
	};
};

/* The n-th ID of a family. */
static inline struct uuid test_id(unsigned family, uint64_t n)
{
	const struct uuid seed = {{(uint8_t)family, 42}};

	return uuid_derive(&seed, n);
}

/* A pending evaluation of a service job of namespace "default". */
static inline struct eval_row *eval_of(struct eval_row_of *e, uint64_t n, const char *job)
{
	memset(e, 0, sizeof(*e));
	e->row.id = test_id(1, n);
	e->row.create_index = n;
	e->row.priority = 50;
	e->row.type = JOB_TYPE_SERVICE;
	e->row.status = EVAL_STATUS_PENDING;
	e->row.ns_len = 7;
	e->row.id_len = (uint16_t)strlen(job);
	snprintf(e->row.key, ROWS_KEY_MAX, "default%c%s", 0, job);
	return &e->row;
}

#endif /* TEST_UNIT_SERVER_ROWS_H_ */
