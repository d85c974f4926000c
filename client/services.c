#include "client/services.h"

#include <stdlib.h>
#include <string.h>

#include "client/client_int.h"
#include "client/vars.h"
#include "lib/log.h"
#include "proto/error.h"

enum { SERVICES_MAX = 256 }; /* Of one allocation; as many as servers keep. */

/* ---- where a port is ---- */

static bool find_in(const struct network_resource *net, const char *label, struct service_place *out)
{
	const struct port *ports[] = {net->reserved_ports.at, net->dynamic_ports.at};
	const uint32_t counts[] = {net->reserved_ports.n, net->dynamic_ports.n};
	size_t k;
	uint32_t i;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < counts[k]; i++) {
			if (strcmp(ports[k][i].label, label) == 0) {
				*out = (struct service_place){net->ip, ports[k][i].value};
				return true;
			}
		}
	}
	return false;
}

static bool find_of_group(const struct allocated_shared *shared, const char *label, struct service_place *out)
{
	uint32_t i;

	for (i = 0; i < shared->ports.n; i++) {
		if (strcmp(shared->ports.at[i].label, label) == 0) {
			*out = (struct service_place){shared->ports.at[i].host_ip, shared->ports.at[i].value};
			return true;
		}
	}
	for (i = 0; i < shared->networks.n; i++) {
		if (find_in(&shared->networks.at[i], label, out)) {
			return true;
		}
	}
	return false;
}

static bool find_of_task(const struct allocated_task *task, const char *label, struct service_place *out)
{
	uint32_t i;

	for (i = 0; i < task->networks.n; i++) {
		if (find_in(&task->networks.at[i], label, out)) {
			return true;
		}
	}
	return false;
}

/* What the servers granted; the task's own before the group's. */
static bool find_granted(const struct task_runner *tr, const char *label, struct service_place *out)
{
	const struct allocated_resources *got = tr->alloc->spec->alloc.allocated_resources;
	uint32_t i;

	for (i = 0; got != NULL && i < got->tasks.n; i++) {
		if (strcmp(got->tasks.keys[i], tr->task->name) == 0 && find_of_task(&got->tasks.at[i], label, out)) {
			return true;
		}
	}
	return got != NULL && got->shared != NULL && find_of_group(got->shared, label, out);
}

static bool is_number(const char *label)
{
	return label[0] != '\0' && strlen(label) <= 5 && strspn(label, "0123456789") == strlen(label);
}

bool services_place(struct task_runner *tr, const char *label, struct service_place *out)
{
	const char *ip = map_find(&alloc_of(tr->alloc)->client->node.attributes, "unique.network.ip-address");
	struct service_place place = {"", 0};

	if (label[0] != '\0' && !find_granted(tr, label, &place)) {
		place.port = is_number(label) ? atoi(label) : 0;
		if (place.port < 1 || place.port > 65535) {
			return false;
		}
	}
	if (place.ip[0] == '\0') {
		place.ip = ip == NULL ? "" : ip;
	}
	*out = place;
	return place.ip[0] != '\0';
}

/* ---- one service ---- */

static bool is_canary(const struct allocation *alloc)
{
	return alloc->deployment_status != NULL && alloc->deployment_status->canary;
}

static int put_tags(const struct task_env *env, const struct strs *from, struct service_registration *out,
		    struct arena *mem)
{
	uint32_t i;

	out->tags.at = arena_calloc(mem, from->n, sizeof(out->tags.at[0]));
	if (out->tags.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < from->n; i++) {
		out->tags.at[i] = task_env_replace(env, from->at[i], mem);
		if (out->tags.at[i] == NULL) {
			return ERR_NOMEM;
		}
	}
	out->tags.n = from->n;
	return 0;
}

/* Fill `out`: 0, ERR_NOMEM, or ERR_NOTFOUND for a port that is not there. */
static int make(struct task_runner *tr, const char *of, const struct task_env *env, const struct service *s,
		struct service_registration *out, struct arena *mem)
{
	const struct allocation *alloc = &tr->alloc->spec->alloc;
	const char *name = task_env_replace(env, s->name, mem);
	const char *label = task_env_replace(env, s->port_label, mem);
	const char *address = task_env_replace(env, s->address, mem);
	struct service_place place;

	object_init(&service_registration_type, out);
	if (name == NULL || label == NULL || address == NULL) {
		return ERR_NOMEM;
	}
	if (!services_place(tr, label, &place)) {
		return ERR_NOTFOUND;
	}
	out->id = arena_printf(mem, "_nomad-task-%s-%s-%s-%s", alloc->id, of, name, label);
	out->service_name = name;
	out->address = address[0] != '\0' ? address : place.ip;
	out->port = place.port;
	out->datacenter = alloc_of(tr->alloc)->client->node.datacenter;
	if (out->id == NULL) {
		return ERR_NOMEM;
	}
	return put_tags(env, is_canary(alloc) && s->canary_tags.n > 0 ? &s->canary_tags : &s->tags, out, mem);
}

/* ---- all of them ---- */

static bool is_ours(const struct service *s)
{
	return strcmp(s->provider, "nomad") == 0;
}

static bool known(const struct alloc_update *update, const char *id)
{
	uint32_t i;

	for (i = 0; i < update->services.n; i++) {
		if (strcmp(update->services.at[i].id, id) == 0) {
			return true;
		}
	}
	return false;
}

static int add(struct task_runner *tr, const char *of, const struct service *at, uint32_t n,
	       struct alloc_update *update, struct arena *mem)
{
	struct task_env env;
	uint32_t i;
	int rc = host_env(tr, &env, mem);

	for (i = 0; rc == 0 && i < n && update->services.n < SERVICES_MAX; i++) {
		struct service_registration *to = &update->services.at[update->services.n];

		if (!is_ours(&at[i])) {
			continue;
		}
		rc = make(tr, of, &env, &at[i], to, mem);
		if (rc == ERR_NOTFOUND) {
			log_warn("client", "allocation %s: service \"%s\" has no port \"%s\"", update->id, at[i].name,
				 at[i].port_label);
			rc = 0;
		} else if (rc == 0 && !known(update, to->id)) {
			update->services.n++;
		}
	}
	return rc;
}

static uint32_t sum_of(const struct service *at, uint32_t n, uint32_t (*of)(const struct service *s))
{
	uint32_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		sum += of(&at[i]);
	}
	return sum;
}

uint32_t services_sum(const struct alloc_runner *ar, uint32_t (*of)(const struct service *s))
{
	const struct task_group *group = ar->spec->group;
	uint32_t n = sum_of(group->services.at, group->services.n, of);
	uint32_t i;

	for (i = 0; i < ar->n; i++) {
		n += sum_of(ar->tasks[i].task->services.at, ar->tasks[i].task->services.n, of);
	}
	return n;
}

static uint32_t one_if_ours(const struct service *s)
{
	return is_ours(s) ? 1 : 0;
}

int services_fill(struct client_alloc *ca, struct alloc_update *update, struct arena *mem)
{
	struct alloc_runner *ar = &ca->ar;
	const struct task_group *group = ar->spec->group;
	uint32_t most = services_sum(ar, one_if_ours);
	uint32_t i;
	int rc = 0;

	if (most == 0 || ar->sm.at != ALLOC_RUNNING || ar->cause != CAUSE_NONE) {
		return 0;
	}
	update->services.at = arena_calloc(mem, most, sizeof(update->services.at[0]));
	if (update->services.at == NULL) {
		return ERR_NOMEM;
	}
	if (group->services.n > 0) {
		const char *of = arena_printf(mem, "group-%s", group->name);

		rc = of == NULL ? ERR_NOMEM
				: add(&ar->tasks[0], of, group->services.at, group->services.n, update, mem);
	}
	for (i = 0; rc == 0 && i < ar->n; i++) {
		const struct task *task = ar->tasks[i].task;

		bool runs = ar->tasks[i].sm.at == TASK_RUNNING || ar->tasks[i].sm.at == TASK_ADOPTING;

		if (runs && task->services.n > 0) {
			rc = add(&ar->tasks[i], task->name, task->services.at, task->services.n, update, mem);
		}
	}
	return rc;
}
