#include "client/restart.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"

static bool wanted_after_success(const char *type, const struct lifecycle *lifecycle)
{
	if (lifecycle != NULL && lifecycle->hook[0] != '\0') {
		return lifecycle->sidecar && strcmp(lifecycle->hook, "poststop") != 0;
	}
	return strcmp(type, "batch") != 0 && strcmp(type, "sysbatch") != 0;
}

void restart_set_policy(struct restart *r, const struct restart_policy *policy, const char *type,
                        const struct lifecycle *lifecycle)
{
	r->on_success = wanted_after_success(type, lifecycle);
	r->attempts = policy == NULL ? 0 : policy->attempts.at;
	r->interval_ns = policy == NULL ? 0 : policy->interval.at;
	r->delay_ns = policy == NULL || policy->delay.at < 0 ? 0 : policy->delay.at;
	r->wait_mode = policy != NULL && strcmp(policy->mode, "delay") == 0;
}

/* Up to a quarter more than the policy's delay. */
static int64_t with_jitter(int64_t delay_ns, uint64_t random)
{
	return delay_ns + (int64_t)((double)delay_ns * 0.25 * ((double)(random >> 11) / 9007199254740992.0));
}

static void count_end(struct restart *r, int64_t now_ns)
{
	/* A clock that was set back begins a new interval: the old one's end might be far away. */
	if (r->interval_at == 0 || now_ns < r->interval_at || now_ns - r->interval_at >= r->interval_ns) {
		r->interval_at = now_ns;
		r->count = 0;
	}
	r->count++;
}

static struct restart_answer again(int64_t delay_ns, const char *reason)
{
	struct restart_answer a = {.verdict = RESTART_AGAIN, .delay_ns = delay_ns};

	snprintf(a.reason, sizeof(a.reason), "%s", reason);
	return a;
}

static struct restart_answer never(const char *reason)
{
	struct restart_answer a = {.verdict = RESTART_NEVER};

	snprintf(a.reason, sizeof(a.reason), "%s", reason);
	return a;
}

static struct restart_answer exhausted(const struct restart *r, int64_t now_ns)
{
	struct restart_answer a = {.verdict = RESTART_NEVER};
	char interval[DURATION_TEXT];
	int64_t rest_ns = r->interval_at + r->interval_ns - now_ns;

	if (r->wait_mode) {
		return again(rest_ns > r->delay_ns ? rest_ns : r->delay_ns, "Exceeded allowed attempts, applying a delay");
	}
	duration_format(r->interval_ns, interval);
	snprintf(a.reason, sizeof(a.reason), "Exceeded allowed attempts %" PRId64 " in interval %s and mode is \"fail\"",
	         r->attempts, interval);
	return a;
}

struct restart_answer restart_judge(struct restart *r, enum restart_cause cause, int64_t now_ns, uint64_t random)
{
	count_end(r, now_ns);
	if (cause == RESTART_SUCCESS && !r->on_success) {
		return (struct restart_answer){.verdict = RESTART_DONE};
	}
	if (r->attempts == 0 && !r->wait_mode) {
		return never("Policy allows no restarts");
	}
	if (cause == RESTART_UNRECOVERABLE) {
		return never("Error was unrecoverable");
	}
	if (r->count > r->attempts) {
		return exhausted(r, now_ns);
	}
	return again(with_jitter(r->delay_ns, random), "Restart within policy");
}
