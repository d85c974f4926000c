/** Between the files that make up the alloc runner. */
#ifndef CLIENT_ALLOC_RUNNER_INT_H_
#define CLIENT_ALLOC_RUNNER_INT_H_

#include "client/alloc_runner.h"

/* The causes' names as they are saved, by enum alloc_cause. */
extern const char *const alloc_causes[];

/* After anything that came in: start and end what is to be, look at the health, tell of changes. */
void alloc_settle(struct alloc_runner *ar, const struct moment *at);

/* Something lives that is there for more than to clean up. */
bool alloc_any_working(const struct alloc_runner *ar);

/* The server wants it to run. */
bool alloc_wanted(const struct alloc_runner *ar);

#endif /* CLIENT_ALLOC_RUNNER_INT_H_ */
