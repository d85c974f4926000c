/** Jobs as users send them: valid, with any of the blocks that there are, some of their members left out or null. */
#ifndef TEST_RANDOM_JOB_H_
#define TEST_RANDOM_JOB_H_

#include "lib/buf.h"
#include "test/unit/proto/random_object.h"

/* The JSON of one more job with this ID. */
void random_job(uint64_t *state, const char *id, struct buf *out);

#endif /* TEST_RANDOM_JOB_H_ */
