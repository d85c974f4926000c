/** When a failed allocation is replaced: what a group's reschedule policy says. */
#ifndef SERVER_SCHED_RETRY_H_
#define SERVER_SCHED_RETRY_H_

#include "proto/alloc.h"

enum retry_when {
	RETRY_NEVER, /* The policy allows no more. */
	RETRY_AT,
};

struct retry {
	enum retry_when when;
	int64_t at_ns;
	int64_t delay_ns; /* Since the failure. */
};

/* `policy` and `tracker` may be NULL. */
struct retry retry_decide(const struct reschedule_policy *policy, const struct reschedule_tracker *tracker,
			  int64_t failed_ns);

/* The tracker of the allocation that replaces one with `tracker`: what still counts, and one more event. In `mem`. */
struct reschedule_tracker *retry_track(const struct reschedule_policy *policy, const struct reschedule_tracker *tracker,
				       const struct reschedule_event *event, struct arena *mem);

#endif /* SERVER_SCHED_RETRY_H_ */
