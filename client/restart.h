/**
 * Whether and when a task that ended is started again.
 *
 * The restart policy grants a number of attempts within an interval. The interval begins with the first end after the
 * last interval has passed; every end counts, also one that asks for no restart. When the attempts are used up, mode
 * "fail" ends the task and mode "delay" waits for the interval's end. Delays get up to a quarter on top, so that many
 * tasks which died together do not come back together.
 */
#ifndef CLIENT_RESTART_H_
#define CLIENT_RESTART_H_

#include <stdbool.h>
#include <stdint.h>

#include "proto/job.h"

struct restart {
	int64_t attempts;
	int64_t interval_ns, delay_ns;
	bool wait_mode;  /* Mode "delay". */
	bool on_success; /* An end without fault is restarted too: the task is meant to run for ever. */
	int64_t count;       /* Ends within the interval that is under way. */
	int64_t interval_at; /* When it began, Unix time in ns; 0 before the first end. */
};

enum restart_cause {
	RESTART_SUCCESS,       /* The task ended without fault. */
	RESTART_FAILURE,       /* It ended with one, or could not be started and another try may help. */
	RESTART_UNRECOVERABLE, /* No further try will help. */
};

enum restart_verdict {
	RESTART_DONE,  /* The task has done what it was meant to do. */
	RESTART_AGAIN, /* Start it again after the delay. */
	RESTART_NEVER, /* It has failed. */
};

enum { RESTART_REASON_TEXT = 96 };

struct restart_answer {
	enum restart_verdict verdict;
	int64_t delay_ns;
	char reason[RESTART_REASON_TEXT];
};

/* Take over a policy, canonical or not, keeping what was counted. `lifecycle` is NULL for a main task. */
void restart_set_policy(struct restart *r, const struct restart_policy *policy, const char *type,
                        const struct lifecycle *lifecycle);

/* Judge one end at a Unix time; `random` is any 64 bits. */
struct restart_answer restart_judge(struct restart *r, enum restart_cause cause, int64_t now_ns, uint64_t random);

#endif /* CLIENT_RESTART_H_ */
