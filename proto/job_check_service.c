#include "proto/job_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- networks ---- */

/* Ports of one list by their label, or NULL. */
static const struct port *find_port(const struct port *at, uint32_t n, const char *label)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(at[i].label, label) == 0) {
			return &at[i];
		}
	}
	return NULL;
}

/* Of n networks, of which more than one is a fault. */
static const struct port *find_label(const struct network_resource *at, uint32_t n, const char *label)
{
	const struct port *p = NULL;

	if (n > 0) {
		p = find_port(at->reserved_ports.at, at->reserved_ports.n, label);
	}
	return p != NULL || n == 0 ? p : find_port(at->dynamic_ports.at, at->dynamic_ports.n, label);
}

static void check_port(struct faults *f, const struct port *p, bool is_static)
{
	if (*p->label == '\0') {
		faults_add(f, "port label must be specified");
	}
	if (is_static && (p->value < 1 || p->value > 65535)) {
		faults_add(f, "port \"%s\" cannot be mapped to a port (%" PRId64 ") outside of 1 to 65535", p->label,
			   p->value);
	}
	if (p->to < -1 || p->to > 65535) {
		faults_add(f, "port \"%s\" cannot be mapped to a port (%" PRId64 ") greater than 65535", p->label,
			   p->to);
	}
}

/* Static ports of one list against those before them, and their labels too. */
static void check_ports(struct faults *f, const struct network_resource *net, bool is_static)
{
	uint32_t n = is_static ? net->reserved_ports.n : net->dynamic_ports.n;
	const struct port *at = is_static ? net->reserved_ports.at : net->dynamic_ports.at;
	uint32_t i;
	uint32_t k;

	for (i = 0; i < n; i++) {
		check_port(f, &at[i], is_static);
		if (find_port(at, i, at[i].label) != NULL ||
		    (!is_static && find_port(net->reserved_ports.at, net->reserved_ports.n, at[i].label) != NULL)) {
			faults_add(f, "port label %s already in use", at[i].label);
		}
		for (k = 0; is_static && k < i; k++) {
			if (at[k].value == at[i].value && !at[k].ignore_collision && !at[i].ignore_collision &&
			    strcmp(at[k].host_network, at[i].host_network) == 0) {
				faults_add(f, "static port %" PRId64 " already reserved by %s", at[i].value,
					   at[k].label);
			}
		}
	}
}

void check_networks(struct faults *f, const struct network_resource *at, uint32_t n, const char *whose)
{
	struct faults all = {0};
	uint32_t i;

	if (n > 1) {
		faults_add(&all, "there may be one network block at most");
	}
	for (i = 0; i < n && i < 1; i++) {
		if (at[i].reserved_ports.n + at[i].dynamic_ports.n > JOB_LIST_MAX) {
			faults_add(&all, "a network may have %d ports at most", JOB_LIST_MAX);
			continue;
		}
		check_ports(&all, &at[i], true);
		check_ports(&all, &at[i], false);
	}
	faults_nest(f, &all, "%s network validation failed", whose);
}

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

static void check_check_type(struct faults *f, const struct service *s, const struct service_check *c)
{
	static const char *const types[] = {"http", "tcp", "grpc", "script", NULL};
	bool is_nomad = strcmp(s->provider, "nomad") == 0;

	if (!text_in(c->type, types)) {
		faults_add(f, "invalid check type (\"%s\"), must be one of \"http\", \"tcp\", \"grpc\", \"script\"",
			   c->type);
	} else if (is_nomad && strcmp(c->type, "grpc") == 0) {
		faults_add(f, "invalid check type (\"%s\"), must be one of tcp, http, script with provider nomad",
			   c->type);
	}
	if (strcmp(c->type, "http") == 0 && *c->path == '\0') {
		faults_add(f, "http type must have http path");
	}
	if (strcmp(c->type, "script") == 0 && *c->command == '\0') {
		faults_add(f, "script type must have a valid script path");
	}
}

static void check_check(struct faults *f, const struct service *s, const struct service_check *c,
			const struct task_group *g)
{
	static const char *const modes[] = {"", "alloc", "auto", "host", "driver", NULL};
	static const char *const updates[] = {"", "require_healthy", "ignore_warnings", "ignore", NULL};
	struct faults one = {0};

	check_check_type(&one, s, c);
	if (strcmp(c->type, "script") != 0 && *c->port_label == '\0' && *s->port_label == '\0') {
		faults_add(&one, "check requires a port but neither check nor service \"%s\" have a port", s->name);
	}
	if (c->interval < NS_PER_S) {
		faults_add(&one, "interval (%" PRId64 "ns) cannot be lower than 1s", c->interval);
	}
	if (c->timeout < NS_PER_S) {
		faults_add(&one, "timeout (%" PRId64 "ns) is lower than required minimum timeout 1s", c->timeout);
	}
	if (!text_in(c->address_mode, modes)) {
		faults_add(&one, "invalid address_mode \"%s\"", c->address_mode);
	}
	if (!text_in(c->on_update, updates)) {
		faults_add(&one, "invalid on_update \"%s\"", c->on_update);
	}
	if (c->check_restart != NULL && c->check_restart->limit < 0) {
		faults_add(&one, "limit must be greater than or equal to 0 but found %" PRId64,
			   c->check_restart->limit);
	}
	if (*c->task_name != '\0' && group_task(g, c->task_name) == NULL) {
		faults_add(&one, "refers to non-existent task %s", c->task_name);
	}
	faults_nest(f, &one, "check \"%s\" invalid", c->name);
}

static void check_service(struct faults *f, const struct service *s, const struct task_group *g)
{
	static const char *const modes[] = {"", "auto", "host", "driver", "alloc", NULL};
	uint32_t i;

	if (!service_name_valid(s->name)) {
		faults_add(f, "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or "
			      "dashes and must be no longer than 63 characters");
	}
	if (strcmp(s->provider, "consul") != 0 && strcmp(s->provider, "nomad") != 0) {
		faults_add(f, "Service provider must be \"consul\", or \"nomad\"; not \"%s\"", s->provider);
	}
	if (!text_in(s->address_mode, modes)) {
		faults_add(f, "Service address_mode must be \"auto\", \"host\", \"driver\", or \"alloc\"; not \"%s\"",
			   s->address_mode);
	}
	if (*s->task_name != '\0' && group_task(g, s->task_name) == NULL) {
		faults_add(f, "refers to non-existent task %s", s->task_name);
	}
	for (i = 0; i < s->checks.n; i++) {
		check_check(f, s, &s->checks.at[i], g);
	}
}

/* A label that is neither a number nor interpolated must be one of the group's or the task's ports. */
static void check_label(struct faults *f, const char *label, const struct service *s, const struct task_group *g,
			const struct task *task)
{
	const struct resources *r = task != NULL ? task->resources : NULL;

	if (*label == '\0' || (*label >= '0' && *label <= '9') || strstr(label, "${") != NULL ||
	    strcmp(s->address_mode, "driver") == 0) {
		return;
	}
	if (find_label(g->networks.at, g->networks.n, label) == NULL &&
	    (r == NULL || find_label(r->networks.at, r->networks.n, label) == NULL)) {
		faults_add(f, "port label \"%s\" referenced by services %s does not exist", label, s->name);
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
			buf_printf(&doubles, "%s%s", doubles.len > 0 ? ", " : "", names->at[i]);
			first[first[i]] = UINT32_MAX; /* Told. */
		}
	}
	if (doubles.len > 0) {
		faults_add(f, "Services are not unique: %s", buf_text(&doubles));
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

void check_services(struct faults *f, const struct service *at, uint32_t n, const struct task_group *g,
		    const struct task *task)
{
	struct faults all = {0};
	uint32_t i;
	uint32_t k;

	if (count_checks(at, n) > JOB_LIST_MAX) {
		faults_add(&all, "there may be %d services and checks at most", JOB_LIST_MAX);
		n = 0;
	}
	for (i = 0; i < n; i++) {
		struct faults one = {0};

		check_service(&one, &at[i], g);
		check_label(&one, at[i].port_label, &at[i], g, task);
		for (k = 0; k < at[i].checks.n; k++) {
			check_label(&one, at[i].checks.at[k].port_label, &at[i], g, task);
		}
		faults_nest(&all, &one, "Service %s validation failed", at[i].name);
	}
	if (task == NULL) {
		check_together(&all, g);
	}
	if (task != NULL) {
		faults_nest(f, &all, "Task service validation failed");
	} else {
		faults_nest(f, &all, "Task group service validation failed");
	}
}
