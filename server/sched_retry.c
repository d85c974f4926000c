#include "server/sched_retry.h"

#include <string.h>

#include "server/sched_memory.h"

enum { EVENTS_KEPT = 5 }; /* Of an unlimited policy: enough for every delay function. */

static bool is_limited(const struct reschedule_policy *p)
{
	return p->unlimited.at == 0;
}

static uint32_t attempted(const struct reschedule_policy *p, const struct reschedule_tracker *t, int64_t failed_ns)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; t != NULL && i < t->events.n; i++) {
		n += failed_ns - t->events.at[i].reschedule_time <= p->interval.at;
	}
	return n;
}

static bool is_allowed(const struct reschedule_policy *p, const struct reschedule_tracker *t, int64_t failed_ns)
{
	if (p == NULL) {
		return false;
	}
	return !is_limited(p) ||
	       (p->attempts.at > 0 && p->interval.at > 0 && (int64_t)attempted(p, t, failed_ns) < p->attempts.at);
}

static int64_t delay_back(const struct reschedule_tracker *t, uint32_t n)
{
	return t->events.at[t->events.n - n].delay;
}

/* It ran well for longer than the longest delay: begin anew. */
static bool is_forgiven(const struct reschedule_policy *p, const struct reschedule_tracker *t, int64_t failed_ns)
{
	return p->max_delay.at > 0 && delay_back(t, 1) >= p->max_delay.at &&
	       failed_ns - t->events.at[t->events.n - 1].reschedule_time > p->max_delay.at;
}

static int64_t grown(const struct reschedule_policy *p, const struct reschedule_tracker *t)
{
	if (strcmp(p->delay_function, "exponential") == 0) {
		return delay_back(t, 1) * 2;
	}
	if (strcmp(p->delay_function, "fibonacci") == 0) {
		return t->events.n < 2 ? p->delay.at : delay_back(t, 1) + delay_back(t, 2);
	}
	return p->delay.at;
}

static int64_t next_delay(const struct reschedule_policy *p, const struct reschedule_tracker *t, int64_t failed_ns)
{
	int64_t delay;

	if (t == NULL || t->events.n == 0 || is_forgiven(p, t, failed_ns)) {
		return p->delay.at;
	}
	delay = grown(p, t);
	return p->max_delay.at > 0 && delay > p->max_delay.at && strcmp(p->delay_function, "constant") != 0
		       ? p->max_delay.at
		       : delay;
}

struct retry retry_decide(const struct reschedule_policy *policy, const struct reschedule_tracker *tracker,
			  int64_t failed_ns)
{
	int64_t delay;

	if (!is_allowed(policy, tracker, failed_ns)) {
		return (struct retry){.when = RETRY_NEVER};
	}
	delay = next_delay(policy, tracker, failed_ns);
	return (struct retry){RETRY_AT, failed_ns + delay, delay};
}

static bool still_counts(const struct reschedule_policy *p, const struct reschedule_tracker *t, uint32_t i,
			 int64_t now_ns)
{
	if (p == NULL || !is_limited(p)) {
		return i + EVENTS_KEPT > t->events.n;
	}
	return now_ns - t->events.at[i].reschedule_time <= p->interval.at;
}

struct reschedule_tracker *retry_track(const struct reschedule_policy *policy, const struct reschedule_tracker *tracker,
				       const struct reschedule_event *event, struct arena *mem)
{
	struct reschedule_tracker *to = arena_need(mem, 1, sizeof(*to));
	uint32_t n = tracker != NULL ? tracker->events.n : 0;
	uint32_t i;

	object_init(&reschedule_tracker_type, to);
	to->events.at = arena_need(mem, n + 1, sizeof(to->events.at[0]));
	for (i = 0; i < n; i++) {
		if (still_counts(policy, tracker, i, event->reschedule_time)) {
			to->events.at[to->events.n++] = tracker->events.at[i];
		}
	}
	to->events.at[to->events.n++] = *event;
	to->last_reschedule = "ok";
	return to;
}
