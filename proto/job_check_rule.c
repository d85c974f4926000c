#include "proto/job_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"
#include "proto/regfind.h"
#include "proto/version.h"

/* Durations in messages. */
struct dur_text {
	char at[DURATION_TEXT];
};

static struct dur_text dur(int64_t ns)
{
	struct dur_text t;

	duration_format(ns, t.at);
	return t;
}

/* ---- constraints, affinities, spreads ---- */

/* What an operand asks of the two sides. */
enum operand_is {
	OPERAND_COMPARES, /* Both sides. */
	OPERAND_SET,
	OPERAND_REGEXP,
	OPERAND_VERSION,
	OPERAND_SEMVER,
	OPERAND_PRESENCE,
	OPERAND_HOSTS,
	OPERAND_PROPERTY,
	OPERAND_UNKNOWN,
};

static const struct {
	const char *name;
	enum operand_is is;
	bool of_affinity; /* Affinities have it too. */
} operands[] = {
	{"=", OPERAND_COMPARES, true},
	{"==", OPERAND_COMPARES, true},
	{"is", OPERAND_COMPARES, true},
	{"!=", OPERAND_COMPARES, true},
	{"not", OPERAND_COMPARES, true},
	{"<", OPERAND_COMPARES, true},
	{"<=", OPERAND_COMPARES, true},
	{">", OPERAND_COMPARES, true},
	{">=", OPERAND_COMPARES, true},
	{"set_contains", OPERAND_SET, true},
	{"set_contains_all", OPERAND_SET, true},
	{"set_contains_any", OPERAND_SET, true},
	{"regexp", OPERAND_REGEXP, true},
	{"version", OPERAND_VERSION, true},
	{"semver", OPERAND_SEMVER, true},
	{"is_set", OPERAND_PRESENCE, false},
	{"is_not_set", OPERAND_PRESENCE, false},
	{"distinct_hosts", OPERAND_HOSTS, false},
	{"distinct_property", OPERAND_PROPERTY, false},
};

static enum operand_is operand_of(const char *name, bool of_affinity)
{
	size_t i;

	for (i = 0; i < sizeof(operands) / sizeof(operands[0]); i++) {
		if (strcmp(operands[i].name, name) == 0 && (operands[i].of_affinity || !of_affinity)) {
			return operands[i].is;
		}
	}
	return OPERAND_UNKNOWN;
}

static void check_regexp(struct faults *f, const char *pattern)
{
	char why[REGFIND_WHY] = "out of memory";
	struct arena mem = {0};
	struct regfind r;

	if (regfind_compile(pattern, &mem, &r, why) != 0) {
		faults_add(f, "Regular expression failed to compile: error parsing regexp: %s", why);
	}
	arena_close(&mem);
}

static void check_count(struct faults *f, const char *text)
{
	char *end;
	unsigned long long n;

	if (*text == '\0') {
		return; /* One. */
	}
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0') {
		faults_add(f,
			   "Failed to convert RTarget \"%s\" to uint64: strconv.ParseUint: parsing \"%s\": invalid "
			   "syntax",
			   text, text);
	} else if (n < 1) {
		faults_add(f, "Distinct Property must have an allowed count of 1 or greater: %llu < 1", n);
	}
}

/* What can stand for a node's attribute: a literal, or one of these in braces. */
static void check_attribute(struct faults *f, const char *name)
{
	static const char *const names[] = {"${node.unique.id}", "${node.datacenter}", "${node.unique.name}",
					    "${node.class}", "${node.pool}", NULL};
	static const char *const families[] = {"${attr.", "${device.", "${meta."};
	size_t i;

	if (*name != '$' || text_in(name, names)) {
		return;
	}
	if (name[1] != '{') {
		faults_add(f, "attribute \"%s\" is missing an opening brace", name);
		return;
	}
	if (name[strlen(name) - 1] != '}') {
		faults_add(f, "attribute \"%s\" is missing a closing brace", name);
		return;
	}
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (strncmp(name, families[i], strlen(families[i])) == 0) {
			return;
		}
	}
	faults_add(f, "unsupported attribute \"%s\"", name);
}

/* What both constraints and affinities have; `whose` is one of these words. */
static void check_sides(struct faults *f, enum operand_is is, const char *operand, const char *r, const char *whose)
{
	switch (is) {
	case OPERAND_COMPARES:
		if (*r == '\0') {
			faults_add(f, "Operator \"%s\" requires an RTarget", operand);
		}
		break;
	case OPERAND_SET:
		if (*r == '\0') {
			faults_add(f, *whose == 'c' ? "Set contains constraint requires an RTarget"
						    : "Set contains operators require an RTarget");
		}
		break;
	case OPERAND_REGEXP:
		check_regexp(f, r);
		break;
	case OPERAND_VERSION:
		if (!version_spec_valid(r, false)) {
			faults_add(f, "Version %s is invalid: Malformed constraint: %s", whose, r);
		}
		break;
	case OPERAND_SEMVER:
		if (!version_spec_valid(r, true)) {
			faults_add(f, "Semver %s is invalid: Malformed constraint: %s", whose, r);
		}
		break;
	case OPERAND_PRESENCE:
		if (*r != '\0') {
			faults_add(f, "Operator \"%s\" does not support an RTarget", operand);
		}
		break;
	case OPERAND_PROPERTY:
		check_count(f, r);
		break;
	default:
		break;
	}
}

static void check_constraint(struct faults *f, const struct constraint *c, enum operand_is is)
{
	if (*c->operand == '\0') {
		faults_add(f, "Missing constraint operand");
	}
	if (is == OPERAND_UNKNOWN) {
		faults_add(f, "Unknown constraint type \"%s\"", c->operand);
	} else {
		check_sides(f, is, c->operand, c->r_target, "constraint");
	}
	if (is == OPERAND_HOSTS) {
		return;
	}
	if (*c->l_target == '\0') {
		faults_add(f, "no attribute provided but is required by operator");
	} else {
		check_attribute(f, c->l_target);
	}
}

void check_constraints(struct faults *f, const struct constraint *at, uint32_t n, enum rule_place place)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		enum operand_is is = operand_of(at[i].operand, false);
		bool spreads = is == OPERAND_HOSTS || is == OPERAND_PROPERTY;
		struct faults one = {0};

		if (place == RULE_DEVICE && spreads) {
			faults_add(f, "Constraint %" PRIu32 " validation failed: using unsupported operand \"%s\"",
				   i + 1, at[i].operand);
			continue;
		}
		check_constraint(&one, &at[i], is);
		faults_nest(f, &one, "Constraint %" PRIu32 " validation failed", i + 1);
		if (place == RULE_TASK && spreads) {
			faults_add(f, "Constraint %" PRIu32 " has disallowed Operand at task level: %s", i + 1,
				   at[i].operand);
		}
	}
}

static void check_affinity(struct faults *f, const struct affinity *a)
{
	enum operand_is is = operand_of(a->operand, true);

	if (*a->operand == '\0') {
		faults_add(f, "Missing affinity operand");
	}
	if (is == OPERAND_UNKNOWN) {
		faults_add(f, "Unknown affinity operator \"%s\"", a->operand);
	} else {
		check_sides(f, is, a->operand, a->r_target, "affinity");
	}
	if (*a->l_target == '\0') {
		faults_add(f, "No LTarget provided but is required");
	}
	if (a->weight == 0) {
		faults_add(f, "Affinity weight cannot be zero");
	} else if (a->weight < -100 || a->weight > 100) {
		faults_add(f, "Affinity weight must be within the range [-100,100]");
	}
}

void check_affinities(struct faults *f, const struct affinity *at, uint32_t n, bool is_system)
{
	uint32_t i;

	if (is_system && n > 0) {
		faults_add(f, "System jobs may not have an affinity block");
		return;
	}
	for (i = 0; i < n; i++) {
		struct faults one = {0};

		check_affinity(&one, &at[i]);
		faults_nest(f, &one, "Affinity %" PRIu32 " validation failed", i + 1);
	}
}

static void check_spread(struct faults *f, const struct spread *s)
{
	uint32_t *first = first_with_name(s->targets.n > 0 ? &s->targets.at[0].value : NULL, s->targets.n,
					  sizeof(*s->targets.at));
	int64_t sum = 0;
	uint32_t i;

	if (*s->attribute == '\0') {
		faults_add(f, "Missing spread attribute");
	}
	if (s->weight <= 0 || s->weight > 100) {
		faults_add(f, "Spread block must have a positive weight from 0 to 100");
	}
	for (i = 0; first != NULL && i < s->targets.n; i++) {
		const struct spread_target *t = &s->targets.at[i];

		if (first[i] != i) {
			faults_add(f, "Spread target value \"%s\" already defined", t->value);
		}
		if (t->percent < 0 || t->percent > 100) {
			faults_add(f, "Spread target percentage for value \"%s\" must be between 0 and 100", t->value);
		} else {
			sum += t->percent;
		}
	}
	if (sum > 100) {
		faults_add(f, "Sum of spread target percentages must not be greater than 100%%; got %" PRId64 "%%",
			   sum);
	}
	free(first);
}

void check_spreads(struct faults *f, const struct spread *at, uint32_t n, bool is_system)
{
	uint32_t i;

	if (is_system && n > 0) {
		faults_add(f, "System jobs may not have a spread block");
		return;
	}
	for (i = 0; i < n; i++) {
		struct faults one = {0};

		check_spread(&one, &at[i]);
		faults_nest(f, &one, "Spread %" PRIu32 " validation failed", i + 1);
	}
}

/* ---- what is done about failure ---- */

void check_restart(struct faults *f, const struct restart_policy *r)
{
	static const char *const modes[] = {"delay", "fail", NULL};
	int64_t all_ns;

	if (!text_in(r->mode, modes)) {
		faults_add(f, "Unsupported restart mode: \"%s\"", r->mode);
	}
	if (r->attempts.at < 0) {
		faults_add(f, "Restart attempts can not be less than 0 (got %" PRId64 ")", r->attempts.at);
		return;
	}
	if (r->attempts.at == 0 && strcmp(r->mode, "fail") != 0) {
		faults_add(f, "Restart policy \"%s\" with %" PRId64 " attempts is ambiguous", r->mode, r->attempts.at);
	}
	if (r->interval.at < 5 * NS_PER_S) {
		faults_add(f, "Interval can not be less than 5s (got %s)", dur(r->interval.at).at);
	}
	if (r->delay.at < 0 || __builtin_mul_overflow(r->attempts.at, r->delay.at, &all_ns) ||
	    all_ns > r->interval.at) {
		faults_add(f,
			   "Nomad can't restart the TaskGroup %" PRId64
			   " times in an interval of %s with a delay of %s",
			   r->attempts.at, dur(r->interval.at).at, dur(r->delay.at).at);
	}
}

/* The delay behind this one; `before` is the one ahead of it. */
static int64_t next_delay(const struct reschedule_policy *r, int64_t delay, int64_t before)
{
	bool fibonacci = strcmp(r->delay_function, "fibonacci") == 0;
	int64_t next;

	if (strcmp(r->delay_function, "constant") == 0) {
		return delay;
	}
	if (__builtin_add_overflow(delay, fibonacci ? before : delay, &next)) {
		next = INT64_MAX;
	}
	return r->max_delay.at > 0 && next > r->max_delay.at ? r->max_delay.at : next;
}

/* The time that all attempts take with their delays, at most INT64_MAX, and how many of them fit into the interval. */
static int64_t attempts_ns(const struct reschedule_policy *r, int64_t *fit)
{
	int64_t delay = r->delay.at;
	int64_t before = 0;
	int64_t left = r->attempts.at;
	int64_t sum = 0;
	int64_t rest;

	*fit = 0;
	while (left > 0) {
		int64_t next = next_delay(r, delay, before);

		if (next == delay && before != 0) { /* From here on they are all the same. */
			break;
		}
		if (__builtin_add_overflow(sum, delay, &sum)) {
			return INT64_MAX;
		}
		*fit += sum <= r->interval.at;
		before = delay;
		delay = next;
		left--;
	}
	if (sum < r->interval.at && left > 0) {
		rest = (r->interval.at - sum) / delay;
		*fit += rest < left ? rest : left;
	}
	if (__builtin_mul_overflow(left, delay, &rest) || __builtin_add_overflow(sum, rest, &sum)) {
		return INT64_MAX;
	}
	return sum;
}

/* Whether all attempts have time for their delays within the interval. */
static void check_attempts(struct faults *f, const struct reschedule_policy *r)
{
	const int64_t half = NS_PER_S / 2;
	int64_t fit;
	int64_t needed = attempts_ns(r, &fit);
	struct faults both = {0};

	if (needed <= r->interval.at && needed < INT64_MAX) {
		return;
	}
	if (strcmp(r->delay_function, "constant") == 0) {
		faults_add(&both,
			   "Nomad can only make %" PRId64
			   " attempts in %s with initial delay %s and delay function \"%s\"",
			   fit, dur(r->interval.at).at, dur(r->delay.at).at, r->delay_function);
	} else {
		faults_add(&both,
			   "Nomad can only make %" PRId64
			   " attempts in %s with initial delay %s, delay function \"%s\", and delay ceiling %s",
			   fit, dur(r->interval.at).at, dur(r->delay.at).at, r->delay_function,
			   dur(r->max_delay.at).at);
	}
	needed = needed > INT64_MAX - half ? needed : (needed + half) / NS_PER_S * NS_PER_S;
	faults_add(&both, "Set the interval to at least %s to accommodate %" PRId64 " attempts", dur(needed).at,
		   r->attempts.at);
	faults_inline(f, &both);
}

/* False if the attempts cannot be reckoned with it. */
static bool check_reschedule_delays(struct faults *f, const struct reschedule_policy *r)
{
	static const char *const functions[] = {"constant", "exponential", "fibonacci", NULL};
	const int64_t least = 5 * NS_PER_S;
	uint32_t before = f->n;

	if (r->delay.at < least) {
		faults_add(f, "Delay cannot be less than 5s (got %s)", dur(r->delay.at).at);
	}
	if (!text_in(r->delay_function, functions)) {
		faults_add(f,
			   "Invalid delay function \"%s\", must be one of [\"constant\" \"exponential\" \"fibonacci\"]",
			   r->delay_function);
	}
	if (strcmp(r->delay_function, "constant") != 0) {
		if (r->max_delay.at < least) {
			faults_add(f, "Max Delay cannot be less than 5s (got %s)", dur(r->max_delay.at).at);
		}
		if (r->max_delay.at < r->delay.at) {
			faults_add(f, "Max Delay cannot be less than Delay %s (got %s)", dur(r->delay.at).at,
				   dur(r->max_delay.at).at);
		}
	}
	return f->n == before;
}

void check_reschedule(struct faults *f, const struct reschedule_policy *r)
{
	bool delays_known;

	if (r->attempts.at <= 0 && !r->unlimited.at) {
		if (r->attempts.at < 0) {
			faults_add(f, "Reschedule attempts can not be less than 0 (got %" PRId64 ")", r->attempts.at);
		}
		return; /* It is off. */
	}
	if (r->attempts.at > 0 && r->interval.at <= 0) {
		faults_add(f, "Interval must be a non zero value if Attempts > 0");
	}
	if (r->attempts.at > 0 && r->unlimited.at) {
		faults_add(f,
			   "Reschedule Policy with Attempts = %" PRId64
			   ", Interval = %s, and Unlimited = true is ambiguous",
			   r->attempts.at, dur(r->interval.at).at);
		faults_add(f, "If Attempts >0, Unlimited cannot also be set to true");
	}
	delays_known = check_reschedule_delays(f, r);
	if (r->unlimited.at) {
		return;
	}
	if (r->interval.at < 15 * NS_PER_S) {
		faults_add(f, "Interval cannot be less than 15s (got %s)", dur(r->interval.at).at);
	}
	if (delays_known) {
		check_attempts(f, r);
	}
}

void check_update(struct faults *f, const struct update_strategy *u)
{
	static const char *const checks[] = {"checks", "task_states", "manual", NULL};

	if (!text_in(u->health_check, checks)) {
		faults_add(f, "Invalid health check given: \"%s\"", u->health_check);
	}
	if (u->max_parallel.at < 0) {
		faults_add(f, "Max parallel can not be less than zero: %" PRId64 " < 0", u->max_parallel.at);
	}
	if (u->canary.at < 0) {
		faults_add(f, "Canary count can not be less than zero: %" PRId64 " < 0", u->canary.at);
	}
	if (u->canary.at == 0 && u->auto_promote.at) {
		faults_add(f, "Auto Promote requires a Canary count greater than zero");
	}
	if (u->min_healthy_time.at < 0) {
		faults_add(f, "Minimum healthy time may not be less than zero: %s", dur(u->min_healthy_time.at).at);
	}
	if (u->healthy_deadline.at <= 0) {
		faults_add(f, "Healthy deadline must be greater than zero: %s", dur(u->healthy_deadline.at).at);
	}
	if (u->progress_deadline.at < 0) {
		faults_add(f, "Progress deadline must be zero or greater: %s", dur(u->progress_deadline.at).at);
	}
	if (u->min_healthy_time.at >= u->healthy_deadline.at) {
		faults_add(f, "Minimum healthy time must be less than healthy deadline: %s > %s",
			   dur(u->min_healthy_time.at).at, dur(u->healthy_deadline.at).at);
	}
	if (u->progress_deadline.at != 0 && u->healthy_deadline.at >= u->progress_deadline.at) {
		faults_add(f, "Healthy deadline must be less than progress deadline: %s > %s",
			   dur(u->healthy_deadline.at).at, dur(u->progress_deadline.at).at);
	}
	if (u->stagger.at <= 0) {
		faults_add(f, "Stagger must be greater than zero: %s", dur(u->stagger.at).at);
	}
}

void check_migrate(struct faults *f, const struct migrate_strategy *m)
{
	static const char *const checks[] = {"checks", "task_states", NULL};

	if (m->max_parallel.at < 0) {
		faults_add(f, "MaxParallel must be >= 0 but found %" PRId64, m->max_parallel.at);
	}
	if (!text_in(m->health_check, checks)) {
		faults_add(f, "Invalid HealthCheck: \"%s\"", m->health_check);
	}
	if (m->min_healthy_time.at < 0) {
		faults_add(f, "MinHealthyTime is %s and must be >= 0", dur(m->min_healthy_time.at).at);
	}
	if (m->healthy_deadline.at < 0) {
		faults_add(f, "HealthyDeadline is %s and must be >= 0", dur(m->healthy_deadline.at).at);
	}
	if (m->min_healthy_time.at > m->healthy_deadline.at) {
		faults_add(f, "MinHealthyTime must be less than HealthyDeadline");
	}
}

void check_disconnect(struct faults *f, const struct disconnect_strategy *d, const char *type)
{
	static const char *const choices[] = {"best_score", "longest_running", "keep_original", "keep_replacement",
					      NULL};
	bool may_stop = strcmp(type, "service") == 0 || strcmp(type, "batch") == 0;

	if (d->stop_on_client_after.set && d->stop_on_client_after.at < 0) {
		faults_add(f, "stop_after cannot be a negative duration");
	}
	if (d->stop_on_client_after.set && !may_stop) {
		faults_add(f, "stop_after can only be used with service or batch job types");
	}
	if (d->lost_after.set && d->lost_after.at < 0) {
		faults_add(f, "lost_after cannot be a negative duration");
	}
	if (d->stop_on_client_after.set && d->lost_after.at != 0) {
		faults_add(f, "Disconnect cannot be configured with both lost_after and stop_after");
	}
	if (!text_in(d->reconcile, choices)) {
		faults_add(f, "reconcile option is invalid: %s", d->reconcile);
	}
}

void check_scaling(struct faults *f, const struct task_group *g)
{
	const struct scaling_policy *s = g->scaling;
	struct faults one = {0};

	if (!s->max.set || s->max.at < 0) {
		faults_add(&one, "Scaling policy invalid: maximum count must be specified and non-negative");
	} else if (s->max.at < s->min.at) {
		faults_add(&one, "Scaling policy invalid: maximum count must not be less than minimum count");
	}
	if (s->min.at < 0) {
		faults_add(&one, "Scaling policy invalid: minimum count must be specified and non-negative");
	}
	if (s->max.set && g->count > s->max.at) {
		faults_add(&one, "Scaling policy invalid: task group count must not be greater than maximum count in "
				 "scaling policy");
	}
	if (g->count < s->min.at) {
		faults_add(&one, "Scaling policy invalid: task group count must not be less than minimum count in "
				 "scaling policy");
	}
	faults_nest(f, &one, "Task group scaling policy validation failed");
}

/* ---- when it runs ---- */

static void check_cron(struct faults *f, const char *spec)
{
	const char *why;
	struct cron c;

	if (cron_parse(spec, &c, &why) != 0) {
		faults_add(f, "Invalid cron spec \"%s\": %s", spec, why);
	}
}

/* Names of the time zone database are known by their form only: the database is no business of this layer. */
static bool time_zone_valid(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++) {
		bool ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			  strchr("_+-/", *p) != NULL;

		if (!ok) {
			return false;
		}
	}
	return p > name && p - name < 64 && *name != '/' && strstr(name, "//") == NULL;
}

void check_periodic(struct faults *f, const struct periodic_config *p)
{
	uint32_t i;

	if (!p->enabled) {
		return;
	}
	if (*p->spec != '\0' && p->specs.n > 0) {
		faults_add(f, "Only cron or crons may be used");
	}
	if (*p->spec == '\0' && p->specs.n == 0) {
		faults_add(f, "Must specify a spec");
	}
	if (!time_zone_valid(p->time_zone)) {
		faults_add(f, "Invalid time zone \"%s\": unknown time zone %s", p->time_zone, p->time_zone);
	}
	if (strcmp(p->spec_type, "cron") != 0) {
		faults_add(f, "Unknown periodic specification type \"%s\"", p->spec_type);
		return;
	}
	if (*p->spec != '\0') {
		check_cron(f, p->spec);
	}
	for (i = 0; i < p->specs.n; i++) {
		check_cron(f, p->specs.at[i]);
	}
}

/* "[a b]": the keys that both lists have. */
static void put_common(struct buf *b, const struct parameterized_job *p)
{
	uint32_t i;
	uint32_t k;

	for (i = 0; i < p->meta_required.n; i++) {
		for (k = 0; k < p->meta_optional.n; k++) {
			if (strcmp(p->meta_required.at[i], p->meta_optional.at[k]) == 0) {
				buf_printf(b, "%s%s", b->len == 0 ? "[" : " ", p->meta_required.at[i]);
				break;
			}
		}
	}
}

void check_parameterized(struct faults *f, const struct parameterized_job *p)
{
	static const char *const payloads[] = {"optional", "required", "forbidden", NULL};
	struct buf common = {0};

	if (!text_in(p->payload, payloads)) {
		faults_add(f, "Unknown payload requirement: \"%s\"", p->payload);
	}
	if (p->meta_required.n > JOB_LIST_MAX || p->meta_optional.n > JOB_LIST_MAX) {
		faults_add(f, "There may be %d meta keys at most", JOB_LIST_MAX);
		return;
	}
	put_common(&common, p);
	if (common.len > 0) {
		faults_add(f, "Required and optional meta keys should be disjoint. Following keys exist in both: %s]",
			   buf_text(&common));
	}
	buf_close(&common);
}
