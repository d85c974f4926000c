/**
 * Locks of variables that run out: when the time in the log of one that was not renewed has passed, the leader ends it,
 * and later the delay behind it.
 *
 * There are few of them, so all are looked at, in slices, when the first of them is due. A new leader waits a moment
 * first: whoever holds a lock may have had nobody to renew it at.
 */
#ifndef SERVER_LOCKS_H_
#define SERVER_LOCKS_H_

#include "server/part.h"

#define LOCKS_PATIENCE_NS (2 * NS_PER_S)

struct locks {
	int64_t next_ns;       /* Monotonic: when to look; PART_NEVER: there are none. */
	int64_t first_ns;      /* Wall: the earliest end that this look has found. */
	int64_t not_before_ns; /* Monotonic. */
	bool looking;          /* In the middle of them. */
	bool pending;
	struct row_mark place;
};

void locks_init(struct locks *l);
void locks_reset(struct locks *l, const struct moment *at);

/* The part: it hears of a hold that is new, or renewed. */
void locks_changed(struct locks *l, const struct moment *at);
enum part_step locks_step(struct locks *l, struct turn *turn);
void locks_done(struct locks *l, const struct uuid *ref, int status, const struct moment *at);
int64_t locks_due(const struct locks *l, const struct moment *at);

#endif /* SERVER_LOCKS_H_ */
