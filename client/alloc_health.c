#include "client/alloc_health.h"

#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"

/* The part of an update or migrate block that matters here. */
struct health_rule {
	const char *check;
	int64_t min_ns, deadline_ns;
};

static bool rule_of(const struct alloc_spec *spec, struct health_rule *rule)
{
	const struct update_strategy *update = spec->group->update;
	const struct migrate_strategy *migrate = spec->group->migrate;

	if (spec->alloc.deployment_id[0] != '\0') {
		if (update == NULL) {
			return false;
		}
		*rule = (struct health_rule){update->health_check, update->min_healthy_time.at, update->healthy_deadline.at};
	} else {
		if (migrate == NULL) {
			return false;
		}
		*rule = (struct health_rule){migrate->health_check, migrate->min_healthy_time.at,
		                             migrate->healthy_deadline.at};
	}
	return strcmp(rule->check, "manual") != 0;
}

static bool has_checks(const struct task_group *group)
{
	uint32_t i;
	uint32_t k;

	for (i = 0; i < group->services.n; i++) {
		if (group->services.at[i].checks.n > 0) {
			return true;
		}
	}
	for (i = 0; i < group->tasks.n; i++) {
		for (k = 0; k < group->tasks.at[i].services.n; k++) {
			if (group->tasks.at[i].services.at[k].checks.n > 0) {
				return true;
			}
		}
	}
	return false;
}

/* A verdict that the server knows already, or that was saved, stands. */
static bool known_verdict(struct alloc_runner *ar)
{
	const struct alloc_deployment_status *status = ar->spec->alloc.deployment_status;
	bool same = ar->health.deployment_id != NULL &&
	            strcmp(ar->health.deployment_id, ar->spec->alloc.deployment_id) == 0;

	ar->health.deployment_id = ar->spec->alloc.deployment_id;
	if (same && ar->health.state != HEALTH_NONE) {
		return true;
	}
	if (status != NULL && status->healthy.set) {
		ar->health.state = status->healthy.at != 0 ? HEALTH_GOOD : HEALTH_BAD;
		ar->health.at_ns = status->timestamp;
		return true;
	}
	return false;
}

void alloc_health_begin(struct alloc_runner *ar, const struct moment *at)
{
	struct health_rule rule;

	if (known_verdict(ar)) {
		return;
	}
	ar->health.state = HEALTH_NONE;
	ar->health.at_ns = 0;
	ar->health.good_since = 0;
	ar->health.checks_pass = false;
	if (!rule_of(ar->spec, &rule)) {
		return;
	}
	ar->health.state = HEALTH_WATCHED;
	ar->health.min_ns = rule.min_ns > 0 ? rule.min_ns : 0;
	ar->health.deadline = at->mono_ns + (rule.deadline_ns > 0 ? rule.deadline_ns : 0);
	ar->health.use_checks = strcmp(rule.check, "checks") == 0 && has_checks(ar->spec->group);
}

/* A task that runs once and ends, before or after the main ones. */
static bool is_short(const struct task_runner *tr)
{
	return tr->hook != HOOK_MAIN && !tr->sidecar;
}

static bool is_good(const struct task_runner *tr)
{
	if (tr->hook == HOOK_POSTSTOP) {
		return true;
	}
	return is_short(tr) ? tr->sm.at == TASK_DEAD && !tr->failed : tr->sm.at == TASK_RUNNING;
}

static bool all_good(const struct alloc_runner *ar)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		if (!is_good(&ar->tasks[i])) {
			return false;
		}
	}
	return !ar->health.use_checks || ar->health.checks_pass;
}

static bool beyond_hope(const struct alloc_runner *ar)
{
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		const struct task_runner *tr = &ar->tasks[i];

		if (tr->hook != HOOK_POSTSTOP && (tr->failed || (tr->sm.at == TASK_DEAD && !is_short(tr)))) {
			return true;
		}
	}
	return false;
}

/* Why this task stands in the way, or NULL. */
static const char *complaint(const struct alloc_runner *ar, const struct task_runner *tr, char text[96])
{
	char min[DURATION_TEXT];

	if (tr->failed) {
		return "Unhealthy because of failed task";
	}
	if (!is_good(tr)) {
		return is_short(tr) ? NULL : "Task not running by deadline";
	}
	if (ar->health.use_checks && !ar->health.checks_pass) {
		return "Services not healthy by deadline";
	}
	if (ar->health.good_since != 0) {
		duration_format(ar->health.min_ns, min);
		snprintf(text, 96, "Task not running for min_healthy_time of %s by deadline", min);
		return text;
	}
	return NULL;
}

static void give_verdict(struct alloc_runner *ar, bool good, const struct moment *at)
{
	char text[96];
	uint32_t i;

	ar->health.state = good ? HEALTH_GOOD : HEALTH_BAD;
	ar->health.at_ns = at->wall_ns;
	ar->changed = true;
	for (i = 0; !good && ar->health.deployment_id[0] != '\0' && i < ar->n; i++) {
		const char *why = complaint(ar, &ar->tasks[i], text);

		if (why != NULL) {
			task_runner_event(&ar->tasks[i], TASK_EVENT_UNHEALTHY, why, at);
		}
	}
}

void alloc_health_look(struct alloc_runner *ar, const struct moment *at)
{
	if (ar->health.state != HEALTH_WATCHED) {
		return;
	}
	if (ar->cause == CAUSE_STOPPED) {
		ar->health.state = HEALTH_NONE; /* Nobody waits for it any more. */
		return;
	}
	if (!all_good(ar)) {
		ar->health.good_since = 0;
	} else if (ar->health.good_since == 0) {
		ar->health.good_since = at->mono_ns;
	}
	if (beyond_hope(ar)) {
		give_verdict(ar, false, at);
	} else if (ar->health.good_since != 0 && at->mono_ns - ar->health.good_since >= ar->health.min_ns) {
		give_verdict(ar, true, at);
	} else if (at->mono_ns >= ar->health.deadline) {
		give_verdict(ar, false, at);
	}
}

int64_t alloc_health_due(const struct alloc_runner *ar)
{
	int64_t good;

	if (ar->health.state != HEALTH_WATCHED) {
		return 0;
	}
	good = ar->health.good_since == 0 ? INT64_MAX : ar->health.good_since + ar->health.min_ns;
	return good < ar->health.deadline ? good : ar->health.deadline;
}
