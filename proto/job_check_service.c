#include "proto/job_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"

/* ---- services ---- */

/* What a name may hold: letters, digits and, within, dashes; interpolated ones are not known yet. */
static bool service_name_valid(const char *name)
{
	size_t n = strlen(name);
	size_t i;

	if (strstr(name, "${") != NULL) {
		return true;
	}
	for (i = 0; i < n; i++) {
		char c = name[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!word && (c != '-' || i == 0 || i + 1 == n)) {
			return false;
		}
	}
	return n > 0 && n <= 63;
}

/* Of a check only the first thing that is wrong is told. */

/* Of provider "nomad" are those that an agent can ask itself. */
static bool check_type_fits(struct buf *why, const struct service *s, const struct service_check *c)
{
	static const char *const of_nomad[] = {"tcp", "http", "script", NULL};
	static const char *const of_consul[] = {"grpc", "tcp", "http", "script", NULL};
	bool is_nomad = strcmp(s->provider, "nomad") == 0;

	if (!text_in(c->type, is_nomad ? of_nomad : of_consul)) {
		buf_printf(why, "invalid check type (\"%s\"), must be one of %s", c->type,
			   is_nomad ? "tcp, http, script" : "grpc, tcp, http, script");
		return false;
	}
	if (strcmp(c->type, "http") == 0 && *c->path == '\0') {
		buf_printf(why, "http type must have http path");
		return false;
	}
	if (strcmp(c->type, "http") == 0 && strstr(c->path, "://") != NULL) {
		buf_printf(why, "http type must have relative http path");
		return false;
	}
	if (strcmp(c->type, "script") == 0 && *c->command == '\0') {
		buf_printf(why, "script type must have a valid script path");
		return false;
	}
	return true;
}

static bool check_times_fit(struct buf *why, const struct service_check *c)
{
	char text[DURATION_TEXT];

	if (c->interval == 0) {
		buf_printf(why, "missing required value interval. Interval cannot be less than 1s");
	} else if (c->interval < NS_PER_S) {
		duration_format(c->interval, text);
		buf_printf(why, "interval (%s) cannot be lower than 1s", text);
	} else if (c->timeout == 0) {
		buf_printf(why, "missing required value timeout. Timeout cannot be less than 1s");
	} else if (c->timeout < NS_PER_S) {
		duration_format(c->timeout, text);
		buf_printf(why, "timeout (%s) is lower than required minimum timeout 1s", text);
	} else {
		return true;
	}
	return false;
}

static bool check_words_fit(struct buf *why, const struct service_check *c)
{
	static const char *const states[] = {"", "passing", "warning", "critical", NULL};
	static const char *const modes[] = {"", "alloc", "host", "driver", NULL};
	static const char *const updates[] = {"", "require_healthy", "ignore_warnings", "ignore", NULL};

	if (!text_in(c->initial_status, states)) {
		buf_printf(why,
			   "invalid initial check state (%s), must be one of \"passing\", \"warning\", \"critical\" or "
			   "empty",
			   c->initial_status);
	} else if (strcmp(c->address_mode, "auto") == 0) {
		buf_printf(why, "invalid address_mode \"auto\" - auto only valid for services");
	} else if (!text_in(c->address_mode, modes)) {
		buf_printf(why, "invalid address_mode \"%s\"", c->address_mode);
	} else if (!text_in(c->on_update, updates)) {
		buf_printf(why, "on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; got \"%s\"",
			   c->on_update);
	} else {
		return true;
	}
	return false;
}

static bool check_restart_fits(struct buf *why, const struct service_check *c)
{
	const struct check_restart *r = c->check_restart;
	struct faults both = {0};

	if (r == NULL) {
		return true;
	}
	if (strcmp(c->on_update, "ignore") == 0) {
		buf_printf(why, "on_update value \"ignore\" is not compatible with check_restart");
		return false;
	}
	if (strcmp(c->on_update, "ignore_warnings") == 0 && !r->ignore_warnings) {
		buf_printf(why, "on_update value \"ignore_warnings\" not supported with check_restart ignore_warnings "
				"value \"false\"");
		return false;
	}
	if (r->limit < 0) {
		faults_add(&both, "limit must be greater than or equal to 0 but found %" PRId64, r->limit);
	}
	if (r->grace.at < 0) {
		faults_add(&both, "grace period must be greater than or equal to 0 but found %" PRId64, r->grace.at);
	}
	if (both.n > 0) {
		faults_text(&both, why);
		faults_close(&both);
		return false;
	}
	return true;
}

static bool check_needs_port(const struct service_check *c)
{
	static const char *const types[] = {"grpc", "http", "tcp", NULL};

	return text_in(c->type, types);
}

static void check_check(struct faults *f, const struct service *s, const struct service_check *c)
{
	struct buf why = {0};

	if (check_needs_port(c) && *c->port_label == '\0' && *s->port_label == '\0') {
		faults_add(f,
			   "Check %s invalid: check requires a port but neither check nor service \"%s\" have a port",
			   c->name, s->name);
		return;
	}
	if (check_type_fits(&why, s, c) && check_times_fit(&why, c) && check_words_fit(&why, c) &&
	    check_restart_fits(&why, c)) {
		return;
	}
	if (strcmp(s->provider, "nomad") == 0) {
		faults_add(f, "%s", buf_text(&why));
	} else {
		faults_add(f, "Check %s invalid: %s", c->name, buf_text(&why));
	}
	buf_close(&why);
}

static void check_service(struct faults *f, const struct service *s)
{
	static const char *const modes[] = {"", "auto", "host", "driver", "alloc", NULL};
	static const char *const updates[] = {"", "require_healthy", "ignore_warnings", "ignore", NULL};
	uint32_t i;

	if (!service_name_valid(s->name)) {
		faults_add(f,
			   "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or "
			   "dashes and must be no longer than 63 characters: \"%s\"",
			   s->name);
	}
	if (!text_in(s->address_mode, modes)) {
		faults_add(f, "Service address_mode must be \"auto\", \"host\", or \"driver\"; not \"%s\"",
			   s->address_mode);
	} else if (*s->address != '\0' && *s->address_mode != '\0' && strcmp(s->address_mode, "auto") != 0) {
		faults_add(f, "Service address_mode must be \"auto\" if address is set");
	}
	if (!text_in(s->on_update, updates)) {
		faults_add(f,
			   "Service on_update must be \"require_healthy\", \"ignore_warnings\", or \"ignore\"; not "
			   "\"%s\"",
			   s->on_update);
	}
	if (strcmp(s->provider, "consul") != 0 && strcmp(s->provider, "nomad") != 0) {
		faults_add(f, "Service provider must be \"consul\", or \"nomad\"; not \"%s\"", s->provider);
		return;
	}
	for (i = 0; i < s->checks.n; i++) {
		check_check(f, s, &s->checks.at[i]);
	}
}

/* Labels that are neither numbers nor interpolated must be those of the group's or the task's ports. */
static bool label_known(const char *label, const struct service *s, const struct task_group *g, const struct task *task)
{
	const struct resources *r = task != NULL ? task->resources : NULL;

	return *label == '\0' || (*label >= '0' && *label <= '9') || strstr(label, "${") != NULL ||
	       strcmp(s->address_mode, "driver") == 0 ||
	       find_port_label(g->networks.at, g->networks.n, label) != NULL ||
	       (r != NULL && find_port_label(r->networks.at, r->networks.n, label) != NULL);
}

static void check_labels(struct faults *f, const struct service *s, const struct task_group *g, const struct task *task)
{
	const char *told = label_known(s->port_label, s, g, task) ? "" : s->port_label;
	uint32_t i;

	if (*told != '\0') {
		faults_add(f, "port label \"%s\" referenced by services %s does not exist", told, s->name);
	}
	for (i = 0; i < s->checks.n; i++) {
		const char *label = s->checks.at[i].port_label;

		if (!label_known(label, s, g, task) && strcmp(label, told) != 0) {
			faults_add(f, "port label \"%s\" referenced by services %s does not exist", label, s->name);
		}
	}
}

/* ---- all services of a group and its tasks ---- */

struct service_names {
	struct buf *texts; /* "task->name:port". */
	const char **at;
	uint32_t n, max;
	const char *provider; /* Of the first. */
	bool mixed;
};

static void add_names(struct service_names *names, const char *owner, const void *services, uint32_t n)
{
	const struct service *s = services;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct buf *b = &names->texts[names->n];

		buf_printf(b, "%s->%s%s%s", owner, s[i].name, *s[i].port_label != '\0' ? ":" : "", s[i].port_label);
		names->at[names->n++] = buf_text(b);
		names->mixed |= names->provider != NULL && strcmp(names->provider, s[i].provider) != 0;
		names->provider = s[i].provider;
	}
}

/* Each name that stands more than once, once. */
static void tell_doubles(struct faults *f, const struct service_names *names)
{
	uint32_t *first = first_with_name(names->at, names->n, sizeof(names->at[0]));
	struct buf doubles = {0};
	uint32_t i;

	for (i = 0; first != NULL && i < names->n; i++) {
		if (first[i] != i && first[first[i]] == first[i]) {
			buf_printf(&doubles, "%s%s", doubles.len > 0 ? " " : "", names->at[i]);
			first[first[i]] = UINT32_MAX; /* Told. */
		}
	}
	if (doubles.len > 0) {
		faults_add(f, "Services are not unique: [%s]", buf_text(&doubles));
	}
	buf_close(&doubles);
	free(first);
}

static void check_names(struct faults *f, const struct task_group *g, struct service_names *names)
{
	uint32_t i;

	add_names(names, "group", g->services.at, g->services.n);
	for (i = 0; i < g->tasks.n; i++) {
		add_names(names, g->tasks.at[i].name, g->tasks.at[i].services.at, g->tasks.at[i].services.n);
	}
	tell_doubles(f, names);
	if (names->mixed) {
		faults_add(f, "Multiple service providers used: task group services must use the same provider");
	}
}

static void check_together(struct faults *f, const struct task_group *g)
{
	struct service_names names = {.max = g->services.n};
	uint32_t i;

	for (i = 0; i < g->tasks.n; i++) {
		names.max += g->tasks.at[i].services.n;
	}
	names.texts = calloc((size_t)names.max + 1, sizeof(names.texts[0]));
	names.at = calloc((size_t)names.max + 1, sizeof(names.at[0]));
	if (names.texts != NULL && names.at != NULL) {
		check_names(f, g, &names);
	}
	for (i = 0; i < names.n; i++) {
		buf_close(&names.texts[i]);
	}
	free(names.texts);
	free(names.at);
}

static uint64_t count_checks(const struct service *at, uint32_t n)
{
	uint64_t sum = n;
	uint32_t i;

	for (i = 0; i < n; i++) {
		sum += at[i].checks.n;
	}
	return sum;
}

static bool services_are_few(struct faults *f, const struct service *at, uint32_t n)
{
	if (count_checks(at, n) > JOB_LIST_MAX) {
		faults_add(f, "there may be %d services and checks at most", JOB_LIST_MAX);
		return false;
	}
	return true;
}

/* A service of a task, and its checks, may name that task alone. */
static void check_owner(struct faults *f, const struct service *s, const struct task *t)
{
	uint32_t i;

	if (*s->task_name != '\0' && strcmp(s->task_name, t->name) != 0) {
		faults_add(f, "Service %s is invalid: may only specify task the service belongs to, got \"%s\"",
			   s->name, s->task_name);
	}
	for (i = 0; i < s->checks.n; i++) {
		const struct service_check *c = &s->checks.at[i];

		if (*c->task_name != '\0' && strcmp(c->task_name, t->name) != 0) {
			faults_add(f, "Check %s is invalid: may only specify task the check belongs to, got \"%s\"",
				   c->name, c->task_name);
		}
	}
}

static void check_group_service(struct faults *f, const struct service *s, uint32_t number, const struct task_group *g)
{
	struct faults one = {0};
	bool valid;
	uint32_t i;

	check_service(&one, s);
	check_labels(&one, s, g, NULL);
	valid = one.n == 0;
	faults_nest(f, &one, "Service[%" PRIu32 "] %s validation failed", number, s->name);
	if (!valid) {
		return;
	}
	if (strcmp(s->address_mode, "driver") == 0) {
		faults_add(f,
			   "service \"%s\" cannot use address_mode=\"driver\", only services defined in a \"task\" block "
			   "can use this mode",
			   s->name);
	}
	if (*s->task_name != '\0' && group_task(g, s->task_name) == NULL) {
		faults_add(f, "Service %s invalid: refers to non-existent task %s", s->name, s->task_name);
	}
	for (i = 0; i < s->checks.n; i++) {
		const struct service_check *c = &s->checks.at[i];

		if (*c->task_name != '\0' && group_task(g, c->task_name) == NULL) {
			faults_add(f, "Check %s invalid: refers to non-existent task %s", c->name, c->task_name);
		}
	}
}

/* A script runs in a task: of several, which one must be said. */
static void check_script_tasks(struct faults *f, const struct task_group *g)
{
	struct faults all = {0};
	uint32_t i;
	uint32_t k;

	for (i = 0; i < g->services.n; i++) {
		const struct service *s = &g->services.at[i];

		for (k = 0; *s->task_name == '\0' && k < s->checks.n; k++) {
			const struct service_check *c = &s->checks.at[k];

			if (strcmp(c->type, "script") == 0 && *c->task_name == '\0') {
				faults_add(&all, "Service [%s]->%s or Check %s must specify task parameter", g->name,
					   s->name, c->name);
			}
		}
	}
	faults_nest(f, &all, "Task group service check validation failed");
}

void check_group_services(struct faults *f, const struct task_group *g)
{
	struct faults all = {0};
	uint32_t i;
	uint32_t k;

	for (i = 0; i < g->tasks.n; i++) {
		const struct task *t = &g->tasks.at[i];

		for (k = 0; k < t->services.n; k++) {
			check_owner(&all, &t->services.at[k], t);
		}
	}
	if (services_are_few(&all, g->services.at, g->services.n)) {
		for (i = 0; i < g->services.n; i++) {
			check_group_service(&all, &g->services.at[i], i, g);
		}
		check_together(&all, g);
	}
	faults_nest(f, &all, "Task group service validation failed");
	check_script_tasks(f, g);
}

static void check_task_service(struct faults *f, const struct service *s, uint32_t number, const struct task *t,
			       const struct task_group *g)
{
	struct faults one = {0};
	uint32_t i;

	check_service(&one, s);
	faults_nest(f, &one, "service[%" PRIu32 "] \"%s\" validation failed", number, s->name);
	if (strcmp(s->address_mode, "alloc") == 0) {
		faults_add(f,
			   "service \"%s\" cannot use address_mode=\"alloc\", only services defined in a \"group\" block "
			   "can use this mode",
			   s->name);
	}
	for (i = 0; i < number; i++) {
		if (strcmp(t->services.at[i].name, s->name) == 0 &&
		    strcmp(t->services.at[i].port_label, s->port_label) == 0) {
			faults_add(f, "service \"%s\" is duplicate", s->name);
			break;
		}
	}
	check_labels(f, s, g, t);
}

void check_task_services(struct faults *f, const struct task *t, const struct task_group *g)
{
	struct faults all = {0};
	uint32_t i;

	if (services_are_few(&all, t->services.at, t->services.n)) {
		for (i = 0; i < t->services.n; i++) {
			check_task_service(&all, &t->services.at[i], i, t, g);
		}
	}
	faults_inline(f, &all);
}
