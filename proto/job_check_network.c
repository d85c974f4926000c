#include "proto/job_check.h"

#include <inttypes.h>
#include <string.h>

enum { PORT_MAX = 65535, HOSTNAME_MAX = 255, HOSTNAME_LABEL_MAX = 63 };

/* Among the first of them: too many are a fault. */
static const struct port *find_port(const struct port *at, uint32_t n, const char *label)
{
	uint32_t i;

	for (i = 0; i < n && i < JOB_LIST_MAX; i++) {
		if (strcmp(at[i].label, label) == 0) {
			return &at[i];
		}
	}
	return NULL;
}

const struct port *find_port_label(const struct network_resource *at, uint32_t n, const char *label)
{
	const struct port *p = NULL;

	if (n > 0) { /* More than one is a fault. */
		p = find_port(at->reserved_ports.at, at->reserved_ports.n, label);
	}
	return p != NULL || n == 0 ? p : find_port(at->dynamic_ports.at, at->dynamic_ports.n, label);
}

/* ---- ports ---- */

/* The ports that have been looked at: their labels, and the numbers of those that are static. */
struct port_list {
	const struct port *at[JOB_LIST_MAX];
	const struct task *owner[JOB_LIST_MAX]; /* NULL: the group. */
	uint32_t n;
};

static void check_label(struct faults *f, const struct port_list *seen, const struct port *p)
{
	uint32_t i;

	if (*p->label == '\0') {
		faults_add(f, "Port label must be specified");
	}
	for (i = 0; i < seen->n; i++) {
		if (strcmp(seen->at[i]->label, p->label) == 0) {
			faults_add(f, "Port label %s already in use by taskgroup network", p->label);
			return;
		}
	}
}

static void check_static(struct faults *f, const struct port_list *seen, const struct port *p, bool may_collide)
{
	uint32_t i;

	if (p->value > PORT_MAX) {
		faults_add(f, "Port %s (%" PRId64 ") cannot be greater than %d", p->label, p->value, PORT_MAX);
		return;
	}
	for (i = 0; i < seen->n; i++) {
		const struct port *q = seen->at[i];

		if (q->value == p->value && strcmp(q->host_network, p->host_network) == 0) {
			if (!may_collide) {
				faults_add(f, "Static port %" PRId64 " already reserved by %s:%s", p->value,
					   seen->owner[i] != NULL ? seen->owner[i]->name : "taskgroup network",
					   q->label);
			}
			return;
		}
	}
}

static void check_target(struct faults *f, const struct port *p)
{
	if (p->to < -1) {
		faults_add(f, "Port \"%s\" cannot be mapped to negative value %" PRId64, p->label, p->to);
	} else if (p->to > PORT_MAX) {
		faults_add(f, "Port \"%s\" cannot be mapped to a port (%" PRId64 ") greater than %d", p->label, p->to,
			   PORT_MAX);
	}
}

static void check_port(struct faults *f, struct port_list *seen, const struct port *p, bool is_static,
		       const struct network_resource *net, const struct task *owner)
{
	check_label(f, seen, p);
	if (p->value < 0 || (is_static && p->value == 0)) {
		faults_add(f, "Port %s (%" PRId64 ") must be 1 to %d", p->label, p->value, PORT_MAX);
	} else if (p->value > 0) {
		check_static(f, seen, p, p->ignore_collision && owner == NULL);
	}
	check_target(f, p);
	if (owner == NULL && p->ignore_collision && *net->mode != '\0' && strcmp(net->mode, "host") != 0) {
		faults_add(f, "Port \"%s\" collision may not be ignored on non-host network mode \"%s\"", p->label,
			   net->mode);
	}
	seen->at[seen->n] = p;
	seen->owner[seen->n++] = owner;
}

static void check_ports(struct faults *f, struct port_list *seen, const struct network_resource *net,
			const struct task *owner)
{
	uint32_t i;

	for (i = 0; i < net->reserved_ports.n; i++) {
		check_port(f, seen, &net->reserved_ports.at[i], true, net, owner);
	}
	for (i = 0; i < net->dynamic_ports.n; i++) {
		check_port(f, seen, &net->dynamic_ports.at[i], false, net, owner);
	}
}

/* ---- what else a network says ---- */

/* CNI_ARGS is a list of KEY=VALUE with a semicolon between them. */
static void check_cni(struct faults *f, const struct cni_config *cni)
{
	uint32_t i;

	for (i = 0; i < cni->args.n; i++) {
		if (strchr(cni->args.at[i].key, ';') != NULL) {
			faults_add(f, "invalid ';' character in CNI arg key \"%s\"", cni->args.at[i].key);
		}
		if (strchr(cni->args.at[i].value, ';') != NULL) {
			faults_add(f, "invalid ';' character in CNI arg value \"%s\"", cni->args.at[i].value);
		}
	}
}

static bool hostname_valid(const char *name)
{
	if (strlen(name) > HOSTNAME_MAX) {
		return false;
	}
	while (*name != '\0') {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > HOSTNAME_LABEL_MAX) {
			return false;
		}
		name += n + (name[n] == '.');
	}
	return true;
}

static void check_network(struct faults *f, const struct network_resource *net)
{
	if (net->cni != NULL) {
		check_cni(f, net->cni);
	}
	/* What is interpolated is not known yet. */
	if (*net->hostname != '\0' && strstr(net->hostname, "${") == NULL && !hostname_valid(net->hostname)) {
		faults_add(f, "Hostname is not a valid DNS name");
	}
}

static uint64_t count_ports(const struct network_resource *at, uint32_t n)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		sum += (uint64_t)at[i].reserved_ports.n + at[i].dynamic_ports.n;
	}
	return sum;
}

static uint64_t count_all_ports(const struct task_group *g)
{
	uint64_t sum = count_ports(g->networks.at, g->networks.n);
	uint32_t i;

	for (i = 0; i < g->tasks.n; i++) {
		const struct resources *r = g->tasks.at[i].resources;

		sum += count_ports(r->networks.at, r->networks.n);
	}
	return sum;
}

static void check_task_networks(struct faults *f, struct port_list *seen, const struct task *t)
{
	const struct resources *r = t->resources;
	uint32_t i;

	if (r->networks.n > 1) {
		faults_add(f, "there may be one network block at most");
	}
	for (i = 0; i < r->networks.n; i++) {
		check_ports(f, seen, &r->networks.at[i], t);
	}
}

void check_networks(struct faults *f, const struct task_group *g)
{
	struct port_list seen;
	struct faults all = {0};
	uint32_t i;

	seen.n = 0;
	if (g->networks.n > 1) {
		faults_add(&all, "there may be one network block at most");
	}
	if (count_all_ports(g) > JOB_LIST_MAX) {
		faults_add(&all, "a task group may have %d ports at most", JOB_LIST_MAX);
	} else {
		for (i = 0; i < g->networks.n; i++) {
			check_ports(&all, &seen, &g->networks.at[i], NULL);
			check_network(&all, &g->networks.at[i]);
		}
		for (i = 0; i < g->tasks.n; i++) {
			check_task_networks(&all, &seen, &g->tasks.at[i]);
		}
	}
	faults_nest(f, &all, "Task group network validation failed");
}
