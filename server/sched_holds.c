#include "server/sched_holds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/sched_memory.h"

enum {
	PORTS = 65536,
	WORDS = PORTS / 64,
	ADDRESSES_MAX = 64,
	CORES_MAX = 4096,
};

OBJECT_DEFINE(node_device_instance, NODE_DEVICE_INSTANCE_FIELDS);
OBJECT_DEFINE(node_device, NODE_DEVICE_FIELDS);
OBJECT_DEFINE(node_devices, NODE_DEVICES_FIELDS);

/* What allocations have, in JSON. */
#define DEVICE_GIVEN_FIELDS(X, T)                                                                                      \
	X(T, STR, vendor, "Vendor")                                                                                    \
	X(T, STR, type, "Type")                                                                                        \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STRS, ids, "DeviceIDs")
#define DEVICES_GIVEN_FIELDS(X, T) X(T, LIST(device_given), devices, "Devices")
OBJECT_DECLARE(device_given, DEVICE_GIVEN_FIELDS);
OBJECT_DECLARE(devices_given, DEVICES_GIVEN_FIELDS);
OBJECT_DEFINE(device_given, DEVICE_GIVEN_FIELDS);
OBJECT_DEFINE(devices_given, DEVICES_GIVEN_FIELDS);

struct address {
	const char *ip;
	uint64_t *taken; /* Ports; NULL: none. */
};

struct instance {
	const char *device;
	const char *id;
	bool taken;
};

struct node_holds {
	struct arena mem;
	struct address addresses[ADDRESSES_MAX]; /* The first is the default. */
	uint32_t n_addresses;
	uint16_t min_dynamic;
	uint16_t max_dynamic;
	const char **aliases; /* Of addresses. */
	uint32_t *alias_of;
	uint32_t n_aliases;
	uint32_t core_mhz;
	uint16_t *cores; /* Those that can be reserved, in order. */
	bool *core_taken;
	uint32_t n_cores;
	struct instance *instances;
	uint32_t n_instances;
};

/* ---- devices ---- */

/* A JSON array has no name of its own. */
static int decode_array(const struct type *t, const char *array, void *out, struct arena *mem)
{
	size_t len;
	const char *text;

	if (array[0] == 0) {
		object_init(t, out);
		return 0;
	}
	text = sched_got(arena_printf(mem, "{\"Devices\":%s}", array));
	len = strlen(text);
	return json_decode(t, out, text, len, mem, NULL);
}

void node_devices_get(const struct node *node, struct node_devices *out, struct arena *mem)
{
	const struct node_resources *has = node->node_resources;

	if (has == NULL || decode_array(&node_devices_type, has->devices, out, mem) != 0) {
		object_init(&node_devices_type, out);
	}
}

const char *node_device_text(const struct node_device *device, struct arena *mem)
{
	return sched_got(arena_printf(mem, "%s/%s/%s", device->vendor, device->type, device->name));
}

/* What is asked for may leave out the name, and the vendor: then one part is the type. */
bool device_name_fits(const char *asked, const char *device)
{
	size_t len = strlen(asked);
	const char *slash = strchr(asked, '/');
	const char *type = strchr(device, '/');

	if (slash == NULL) {
		return type != NULL && strncmp(type + 1, asked, len) == 0 && type[1 + len] == '/';
	}
	if (strncmp(device, asked, len) != 0) {
		return false;
	}
	return device[len] == 0 || (device[len] == '/' && strchr(slash + 1, '/') == NULL);
}

/* ---- what an allocation has ---- */

struct holds *holds_copy(const struct holds *h)
{
	size_t text = 0;
	struct holds *to;
	struct port_hold *ports;
	struct device_hold *devices;
	uint16_t *cores;
	char *at;
	uint32_t i;

	for (i = 0; i < h->n_ports; i++) {
		text += strlen(h->ports[i].ip) + 1;
	}
	for (i = 0; i < h->n_devices; i++) {
		text += strlen(h->devices[i].device) + strlen(h->devices[i].instance) + 2;
	}
	to = sched_calloc(1, sizeof(*to) + h->n_ports * sizeof(*ports) + h->n_devices * sizeof(*devices) +
				     h->n_cores * sizeof(*cores) + text);
	devices = (struct device_hold *)(to + 1);
	ports = (struct port_hold *)(devices + h->n_devices);
	cores = (uint16_t *)(ports + h->n_ports);
	at = (char *)(cores + h->n_cores);
	*to = (struct holds){ports, cores, devices, h->n_ports, h->n_cores, h->n_devices};
	if (h->n_cores > 0) {
		memcpy(cores, h->cores, h->n_cores * sizeof(*cores));
	}
	for (i = 0; i < h->n_ports; i++) {
		ports[i] = (struct port_hold){at, h->ports[i].port};
		at = stpcpy(at, h->ports[i].ip) + 1;
	}
	for (i = 0; i < h->n_devices; i++) {
		devices[i].device = at;
		at = stpcpy(at, h->devices[i].device) + 1;
		devices[i].instance = at;
		at = stpcpy(at, h->devices[i].instance) + 1;
	}
	return to;
}

struct gather {
	struct arena *mem;
	struct port_hold *ports;
	uint16_t *cores;
	struct device_hold *devices;
	uint32_t n_ports, n_cores, n_devices;
	uint32_t ports_cap, cores_cap, devices_cap;
};

static void gather_port(struct gather *g, const char *ip, int64_t port)
{
	if (port > 0 && port < PORTS) {
		g->ports = arena_grow(g->mem, g->ports, g->n_ports, &g->ports_cap, sizeof(g->ports[0]));
		g->ports[g->n_ports++] = (struct port_hold){ip, (uint16_t)port};
	}
}

static void gather_network(struct gather *g, const struct network_resource *net)
{
	uint32_t i;

	for (i = 0; i < net->reserved_ports.n; i++) {
		if (!net->reserved_ports.at[i].ignore_collision) {
			gather_port(g, net->ip, net->reserved_ports.at[i].value);
		}
	}
	for (i = 0; i < net->dynamic_ports.n; i++) {
		gather_port(g, net->ip, net->dynamic_ports.at[i].value);
	}
}

static void gather_device(struct gather *g, const struct device_given *given)
{
	const char *device = sched_got(arena_printf(g->mem, "%s/%s/%s", given->vendor, given->type, given->name));
	uint32_t i;

	for (i = 0; i < given->ids.n; i++) {
		g->devices = arena_grow(g->mem, g->devices, g->n_devices, &g->devices_cap, sizeof(g->devices[0]));
		g->devices[g->n_devices++] = (struct device_hold){device, given->ids.at[i]};
	}
}

static void gather_task(struct gather *g, const struct allocated_task *task)
{
	struct devices_given devices;
	uint32_t i;

	for (i = 0; i < task->networks.n; i++) {
		gather_network(g, &task->networks.at[i]);
	}
	for (i = 0; task->cpu != NULL && i < task->cpu->reserved_cores.n; i++) {
		g->cores = arena_grow(g->mem, g->cores, g->n_cores, &g->cores_cap, sizeof(g->cores[0]));
		g->cores[g->n_cores++] = (uint16_t)task->cpu->reserved_cores.at[i];
	}
	if (task->devices[0] == 0 || decode_array(&devices_given_type, task->devices, &devices, g->mem) != 0) {
		return;
	}
	for (i = 0; i < devices.devices.n; i++) {
		gather_device(g, &devices.devices.at[i]);
	}
}

void alloc_server_holds(const struct alloc_server *server, struct holds *out, struct arena *mem)
{
	struct gather g = {.mem = mem};
	uint32_t i;

	for (i = 0; i < server->ports.n; i++) {
		if (!server->ports.at[i].ignore_collision) {
			gather_port(&g, server->ports.at[i].host_ip, server->ports.at[i].value);
		}
	}
	for (i = 0; i < server->tasks.n; i++) {
		gather_task(&g, &server->tasks.at[i]);
	}
	*out = (struct holds){g.ports, g.cores, g.devices, g.n_ports, g.n_cores, g.n_devices};
}

/* ---- addresses ---- */

static const char *default_address(const struct node_resources *has)
{
	uint32_t i;

	for (i = 0; i < has->networks.n; i++) {
		if (has->networks.at[i].ip[0] != 0) {
			return has->networks.at[i].ip;
		}
	}
	return NULL;
}

static const char *find_alias(const struct node_resources *has, const char *alias)
{
	uint32_t i;
	uint32_t j;

	for (i = 0; i < has->node_networks.n; i++) {
		const struct node_network *net = &has->node_networks.at[i];

		for (j = 0; j < net->addresses.n; j++) {
			if (strcmp(net->addresses.at[j].alias, alias) == 0) {
				return net->addresses.at[j].address;
			}
		}
	}
	return NULL;
}

const char *node_address_find(const struct node *node, const char *alias)
{
	const struct node_resources *has = node->node_resources;
	const char *ip;

	if (has == NULL) {
		return alias[0] == 0 ? "" : NULL;
	}
	if (alias[0] != 0 && strcmp(alias, "default") != 0) {
		return find_alias(has, alias);
	}
	ip = find_alias(has, "default");
	if (ip == NULL) {
		ip = default_address(has);
	}
	return ip != NULL ? ip : "";
}

static struct address *address_find(const struct node_holds *nh, const char *ip)
{
	uint32_t i;

	if (ip[0] == 0) {
		return (struct address *)&nh->addresses[0];
	}
	for (i = 0; i < nh->n_addresses; i++) {
		if (strcmp(nh->addresses[i].ip, ip) == 0) {
			return (struct address *)&nh->addresses[i];
		}
	}
	return NULL;
}

static struct address *address_add(struct node_holds *nh, const char *ip)
{
	struct address *a = nh->n_addresses > 0 ? address_find(nh, ip) : NULL;

	if (a == NULL && nh->n_addresses < ADDRESSES_MAX) {
		a = &nh->addresses[nh->n_addresses++];
		a->ip = sched_got(arena_strdup(&nh->mem, ip));
	}
	return a;
}

/* ---- ports ---- */

static bool port_taken(const struct address *a, uint32_t port)
{
	return a->taken != NULL && (a->taken[port / 64] >> (port % 64) & 1) != 0;
}

static void port_set(struct node_holds *nh, struct address *a, uint32_t port, bool taken)
{
	if (a->taken == NULL) {
		a->taken = arena_need(&nh->mem, WORDS, sizeof(a->taken[0]));
	}
	if (taken) {
		a->taken[port / 64] |= UINT64_C(1) << (port % 64);
	} else {
		a->taken[port / 64] &= ~(UINT64_C(1) << (port % 64));
	}
}

/* "22,80,8000-9000"; what is malformed is passed over. */
static void reserve_text(struct node_holds *nh, struct address *a, const char *text)
{
	while (*text != 0) {
		char *end;
		unsigned long from = strtoul(text, &end, 10);
		unsigned long to = *end == '-' ? strtoul(end + 1, &end, 10) : from;

		for (; from > 0 && from <= to && from < PORTS; from++) {
			port_set(nh, a, (uint32_t)from, true);
		}
		text = end + strcspn(end, ",");
		text += *text == ',';
	}
}

/* ---- a node ---- */

static void load_alias(struct node_holds *nh, const struct node_address *from, uint32_t *cap)
{
	struct address *a = address_add(nh, from->address);
	uint32_t unused = *cap;

	if (a == NULL) {
		return;
	}
	reserve_text(nh, a, from->reserved_ports);
	nh->aliases = arena_grow(&nh->mem, nh->aliases, nh->n_aliases, cap, sizeof(nh->aliases[0]));
	nh->alias_of = arena_grow(&nh->mem, nh->alias_of, nh->n_aliases, &unused, sizeof(nh->alias_of[0]));
	nh->aliases[nh->n_aliases] = sched_got(arena_strdup(&nh->mem, from->alias));
	nh->alias_of[nh->n_aliases++] = (uint32_t)(a - nh->addresses);
}

static void load_addresses(struct node_holds *nh, const struct node *node)
{
	const struct node_resources *has = node->node_resources;
	const struct reserved_resources *reserved = node->reserved_resources;
	uint32_t cap = 0;
	uint32_t i;
	uint32_t j;

	address_add(nh, node_address_find(node, ""));
	for (i = 0; has != NULL && i < has->node_networks.n; i++) {
		for (j = 0; j < has->node_networks.at[i].addresses.n; j++) {
			load_alias(nh, &has->node_networks.at[i].addresses.at[j], &cap);
		}
	}
	for (i = 0; reserved != NULL && reserved->networks != NULL && i < nh->n_addresses; i++) {
		reserve_text(nh, &nh->addresses[i], reserved->networks->reserved_host_ports);
	}
}

static bool has_number(const struct ints *list, int64_t number)
{
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		if (list->at[i] == number) {
			return true;
		}
	}
	return false;
}

uint32_t node_core_mhz(const struct node *node)
{
	const struct node_cpu *cpu = node->node_resources != NULL ? node->node_resources->cpu : NULL;

	return cpu != NULL && cpu->total_cpu_cores > 0 && cpu->cpu_shares > 0
		       ? (uint32_t)(cpu->cpu_shares / cpu->total_cpu_cores)
		       : 0;
}

static void load_cores(struct node_holds *nh, const struct node *node)
{
	const struct node_cpu *cpu = node->node_resources != NULL ? node->node_resources->cpu : NULL;
	const struct reserved_cpu *reserved = node->reserved_resources != NULL ? node->reserved_resources->cpu : NULL;
	uint32_t i;

	if (cpu == NULL || cpu->reservable_cpu_cores.n == 0) {
		return;
	}
	nh->cores = arena_need(&nh->mem, cpu->reservable_cpu_cores.n, sizeof(nh->cores[0]));
	nh->core_mhz = node_core_mhz(node);
	nh->core_taken = arena_need(&nh->mem, cpu->reservable_cpu_cores.n, sizeof(nh->core_taken[0]));
	for (i = 0; i < cpu->reservable_cpu_cores.n; i++) {
		int64_t core = cpu->reservable_cpu_cores.at[i];

		if (core >= 0 && core < CORES_MAX &&
		    (reserved == NULL || !has_number(&reserved->reserved_cpu_cores, core))) {
			nh->cores[nh->n_cores++] = (uint16_t)core;
		}
	}
}

static void load_device(struct node_holds *nh, const struct node_device *d, uint32_t *cap)
{
	const char *text = node_device_text(d, &nh->mem);
	uint32_t i;

	for (i = 0; i < d->instances.n; i++) {
		if (!d->instances.at[i].healthy) {
			continue;
		}
		nh->instances = arena_grow(&nh->mem, nh->instances, nh->n_instances, cap, sizeof(nh->instances[0]));
		nh->instances[nh->n_instances++] = (struct instance){
			.device = text, .id = sched_got(arena_strdup(&nh->mem, d->instances.at[i].id))};
	}
}

static void load_devices(struct node_holds *nh, const struct node *node)
{
	struct arena scratch = {0};
	struct node_devices devices;
	uint32_t cap = 0;
	uint32_t i;

	node_devices_get(node, &devices, &scratch);
	for (i = 0; i < devices.devices.n; i++) {
		load_device(nh, &devices.devices.at[i], &cap);
	}
	arena_close(&scratch);
}

static uint16_t port_or(int64_t port, uint16_t otherwise)
{
	return port > 0 && port < PORTS ? (uint16_t)port : otherwise;
}

struct node_holds *node_holds_new(const struct node *node)
{
	struct node_holds *nh = sched_calloc(1, sizeof(*nh));
	const struct node_resources *has = node->node_resources;

	nh->min_dynamic = port_or(has != NULL ? has->min_dynamic_port : 0, 20000);
	nh->max_dynamic = port_or(has != NULL ? has->max_dynamic_port : 0, 32000);
	load_addresses(nh, node);
	load_cores(nh, node);
	load_devices(nh, node);
	return nh;
}

void node_holds_free(struct node_holds *nh)
{
	if (nh != NULL) {
		arena_close(&nh->mem);
		free(nh);
	}
}

static uint32_t core_find(const struct node_holds *nh, uint16_t core)
{
	uint32_t i = 0;

	while (i < nh->n_cores && nh->cores[i] != core) {
		i++;
	}
	return i;
}

static struct instance *instance_find(const struct node_holds *nh, const struct device_hold *d)
{
	uint32_t i;

	for (i = 0; i < nh->n_instances; i++) {
		if (strcmp(nh->instances[i].id, d->instance) == 0 && strcmp(nh->instances[i].device, d->device) == 0) {
			return &nh->instances[i];
		}
	}
	return NULL;
}

void node_holds_take(struct node_holds *nh, const struct holds *h, bool taken)
{
	uint32_t i;

	for (i = 0; i < h->n_ports; i++) {
		struct address *a = address_add(nh, h->ports[i].ip);

		if (a != NULL) {
			port_set(nh, a, h->ports[i].port, taken);
		}
	}
	for (i = 0; i < h->n_cores; i++) {
		uint32_t core = core_find(nh, h->cores[i]);

		if (core < nh->n_cores) {
			nh->core_taken[core] = taken;
		}
	}
	for (i = 0; i < h->n_devices; i++) {
		struct instance *in = instance_find(nh, &h->devices[i]);

		if (in != NULL) {
			in->taken = taken;
		}
	}
}

bool node_holds_fit(const struct node_holds *nh, const struct holds *h)
{
	uint32_t i;

	for (i = 0; i < h->n_ports; i++) {
		const struct address *a = address_find(nh, h->ports[i].ip);

		if (a == NULL || port_taken(a, h->ports[i].port)) {
			return false;
		}
	}
	for (i = 0; i < h->n_cores; i++) {
		uint32_t core = core_find(nh, h->cores[i]);

		if (core == nh->n_cores || nh->core_taken[core]) {
			return false;
		}
	}
	for (i = 0; i < h->n_devices; i++) {
		const struct instance *in = instance_find(nh, &h->devices[i]);

		if (in == NULL || in->taken) {
			return false;
		}
	}
	return true;
}

/* ---- what a group asks for ---- */

static void add_port(struct network_ask *ask, const struct port *p)
{
	ask->ports[ask->n_ports++] = (struct port_ask){.label = p->label,
						       .host_network = p->host_network,
						       .port = port_or(p->value, 0),
						       .to = (int32_t)p->to,
						       .shared = p->ignore_collision};
}

static void compile_network(const struct network_resource *net, struct network_ask *out, struct arena *mem)
{
	uint32_t i;

	*out = (struct network_ask){.network = net};
	out->ports = arena_need(mem, net->reserved_ports.n + net->dynamic_ports.n, sizeof(out->ports[0]));
	for (i = 0; i < net->reserved_ports.n; i++) {
		add_port(out, &net->reserved_ports.at[i]);
	}
	out->n_static = out->n_ports;
	for (i = 0; i < net->dynamic_ports.n; i++) {
		add_port(out, &net->dynamic_ports.at[i]);
		out->ports[out->n_ports - 1].port = 0;
	}
}

static struct network_ask *compile_networks(const struct network_resource *nets, uint32_t n, struct arena *mem)
{
	struct network_ask *asks = arena_need(mem, n, sizeof(asks[0]));
	uint32_t i;

	for (i = 0; i < n; i++) {
		compile_network(&nets[i], &asks[i], mem);
	}
	return asks;
}

static void compile_task(const struct task *task, struct task_ask *out, struct arena *mem)
{
	const struct resources *r = task->resources;
	uint32_t i;

	*out = (struct task_ask){.task = task};
	if (r == NULL) {
		return;
	}
	out->cores = r->cores > 0 ? (uint32_t)r->cores : 0;
	out->n_networks = r->networks.n;
	out->networks = compile_networks(r->networks.at, r->networks.n, mem);
	out->devices = arena_need(mem, r->devices.n, sizeof(out->devices[0]));
	for (i = 0; i < r->devices.n; i++) {
		const struct device_request *d = &r->devices.at[i];

		out->devices[out->n_devices++] = (struct device_ask){d->name, d->count > 0 ? (uint32_t)d->count : 1};
	}
}

void holds_ask_compile(const struct task_group *group, struct holds_ask *out, struct arena *mem)
{
	uint32_t i;

	*out = (struct holds_ask){.n_networks = group->networks.n, .any = group->networks.n > 0};
	out->networks = compile_networks(group->networks.at, group->networks.n, mem);
	out->tasks = arena_need(mem, group->tasks.n, sizeof(out->tasks[0]));
	for (i = 0; i < group->tasks.n; i++) {
		struct task_ask *t = &out->tasks[out->n_tasks];

		compile_task(&group->tasks.at[i], t, mem);
		if (t->cores + t->n_networks + t->n_devices > 0) {
			out->any = true;
			out->cores += t->cores;
			out->n_tasks++;
		}
	}
}

/* ---- choosing ---- */

/* One allocation's choice; what was taken so far, so that it can be given back. */
struct choice {
	struct node_holds *nh;
	struct arena *mem;
	uint64_t random;
	struct gather taken;
};

static struct address *address_of(const struct node_holds *nh, const char *alias)
{
	uint32_t i;

	for (i = 0; i < nh->n_aliases; i++) {
		if (strcmp(nh->aliases[i], alias[0] == 0 ? "default" : alias) == 0) {
			return (struct address *)&nh->addresses[nh->alias_of[i]];
		}
	}
	return alias[0] == 0 || strcmp(alias, "default") == 0 ? (struct address *)&nh->addresses[0] : NULL;
}

/* The first free port at or behind a random place of the range, going round. */
static uint32_t free_port(const struct node_holds *nh, const struct address *a, uint64_t random)
{
	uint32_t n = (uint32_t)(nh->max_dynamic - nh->min_dynamic) + 1;
	uint32_t from = (uint32_t)(random % n);
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint32_t port = nh->min_dynamic + (from + i) % n;

		if (!port_taken(a, port)) {
			return port;
		}
	}
	return 0;
}

static uint64_t next_random(uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *random >> 33;
}

/* What is given away must not depend on the node's memory. */
static const char *ip_copy(struct choice *c, const struct address *a)
{
	return sched_got(arena_strdup(c->mem, a->ip));
}

static struct holds_miss choose_port(struct choice *c, const struct port_ask *ask, const char **ip, uint32_t *port)
{
	struct address *a = address_of(c->nh, ask->host_network);

	*port = ask->port;
	if (a == NULL || (ask->port != 0 && !ask->shared && port_taken(a, ask->port))) {
		return (struct holds_miss){HOLDS_PORT, ask->label, ask->port};
	}
	if (ask->port == 0) {
		*port = free_port(c->nh, a, next_random(&c->random));
		if (*port == 0) {
			return (struct holds_miss){.lack = HOLDS_PORTS};
		}
	}
	*ip = ip_copy(c, a);
	if (!ask->shared) {
		port_set(c->nh, a, *port, true);
		gather_port(&c->taken, *ip, *port);
	}
	return (struct holds_miss){0};
}

static struct port port_given(const struct port_ask *ask, uint32_t port)
{
	return (struct port){.label = ask->label,
			     .host_network = ask->host_network,
			     .value = port,
			     .to = ask->to < 0 ? (int64_t)port : ask->to,
			     .ignore_collision = ask->shared};
}

/* `ports` (for a group's network) gets the flat list; the network is a copy with the values filled in. */
static struct holds_miss choose_network(struct choice *c, const struct network_ask *ask, struct network_resource *out,
					struct alloc_port *ports)
{
	uint32_t i;

	*out = *ask->network;
	out->reserved_ports.at = arena_need(c->mem, ask->n_static, sizeof(struct port));
	out->dynamic_ports.at = arena_need(c->mem, ask->n_ports - ask->n_static, sizeof(struct port));
	out->ip = ip_copy(c, &c->nh->addresses[0]);
	for (i = 0; i < ask->n_ports; i++) {
		struct port *to =
			i < ask->n_static ? &out->reserved_ports.at[i] : &out->dynamic_ports.at[i - ask->n_static];
		const char *ip = "";
		uint32_t port;
		struct holds_miss miss = choose_port(c, &ask->ports[i], &ip, &port);

		if (miss.lack != HOLDS_OK) {
			return miss;
		}
		*to = port_given(&ask->ports[i], port);
		if (ports != NULL) {
			ports[i] = (struct alloc_port){.label = to->label,
						       .value = port,
						       .to = to->to,
						       .host_ip = ip,
						       .ignore_collision = to->ignore_collision};
		}
	}
	return (struct holds_miss){0};
}

static struct holds_miss choose_group(struct choice *c, const struct holds_ask *ask, struct alloc_server *out)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < ask->n_networks; i++) {
		n += ask->networks[i].n_ports;
	}
	out->networks.at = arena_need(c->mem, ask->n_networks, sizeof(out->networks.at[0]));
	out->networks.n = ask->n_networks;
	out->ports.at = arena_need(c->mem, n, sizeof(out->ports.at[0]));
	for (i = 0; i < ask->n_networks; i++) {
		struct holds_miss miss =
			choose_network(c, &ask->networks[i], &out->networks.at[i], &out->ports.at[out->ports.n]);

		if (miss.lack != HOLDS_OK) {
			return miss;
		}
		out->ports.n += ask->networks[i].n_ports;
	}
	return (struct holds_miss){0};
}

bool node_holds_spare_cores(const struct node_holds *nh, uint32_t n)
{
	uint32_t spare = 0;
	uint32_t i;

	for (i = 0; i < nh->n_cores; i++) {
		spare += !nh->core_taken[i];
	}
	return spare >= n;
}

static bool choose_cores(struct choice *c, uint32_t n, struct allocated_task *out)
{
	int64_t *cores = arena_need(c->mem, n, sizeof(cores[0]));
	uint32_t chosen = 0;
	uint32_t i;

	for (i = 0; i < c->nh->n_cores && chosen < n; i++) {
		if (!c->nh->core_taken[i]) {
			cores[chosen++] = c->nh->cores[i];
		}
	}
	out->cpu = arena_need(c->mem, 1, sizeof(*out->cpu));
	out->cpu->reserved_cores.at = cores;
	out->cpu->reserved_cores.n = chosen;
	out->cpu->cpu_shares = (int64_t)chosen * c->nh->core_mhz;
	return chosen == n;
}

/* Instances of one device: the first kind that has enough of them. */
static bool choose_device(struct choice *c, const struct device_ask *ask, const char **device, const char **ids)
{
	const struct node_holds *nh = c->nh;
	uint32_t i;
	uint32_t j;

	for (i = 0; i < nh->n_instances; i++) {
		uint32_t n = 0;

		if (!device_name_fits(ask->name, nh->instances[i].device)) {
			continue;
		}
		for (j = i; j < nh->n_instances && n < ask->count; j++) {
			if (!nh->instances[j].taken && strcmp(nh->instances[j].device, nh->instances[i].device) == 0) {
				ids[n++] = nh->instances[j].id;
			}
		}
		if (n == ask->count) {
			*device = nh->instances[i].device;
			return true;
		}
	}
	return false;
}

static void put_device(struct buf *json, const char *device, const char *const *ids, uint32_t n)
{
	static const char *const keys[] = {"{\"Vendor\":", ",\"Type\":", ",\"Name\":"};
	uint32_t i;

	for (i = 0; i < 3; i++) {
		size_t len = i < 2 ? strcspn(device, "/") : strlen(device);

		buf_str(json, keys[i]);
		json_put_str(json, device, len);
		device += len + (i < 2);
	}
	buf_str(json, ",\"DeviceIDs\":[");
	for (i = 0; i < n; i++) {
		buf_str(json, i > 0 ? "," : "");
		json_put_str(json, ids[i], strlen(ids[i]));
	}
	buf_str(json, "]}");
}

static bool choose_devices(struct choice *c, const struct task_ask *ask, struct allocated_task *out)
{
	struct buf json = {0};
	bool all = true;
	uint32_t i;
	uint32_t j;

	for (i = 0; i < ask->n_devices && all; i++) {
		const char **ids = arena_need(c->mem, ask->devices[i].count, sizeof(ids[0]));
		const char *device = NULL;

		all = choose_device(c, &ask->devices[i], &device, ids);
		if (all) {
			buf_str(&json, i > 0 ? "," : "[");
			put_device(&json, device, ids, ask->devices[i].count);
		}
		for (j = 0; all && j < ask->devices[i].count; j++) {
			const struct device_hold hold = {device, ids[j]};

			instance_find(c->nh, &hold)->taken = true;
		}
	}
	if (ask->n_devices > 0) {
		buf_byte(&json, ']');
		out->devices = sched_got(arena_strdup(c->mem, buf_text(&json)));
	}
	buf_close(&json);
	return all;
}

static struct holds_miss choose_task(struct choice *c, const struct task_ask *ask, struct allocated_task *out)
{
	uint32_t i;

	object_init(&allocated_task_type, out);
	out->networks.at = arena_need(c->mem, ask->n_networks, sizeof(out->networks.at[0]));
	out->networks.n = ask->n_networks;
	for (i = 0; i < ask->n_networks; i++) {
		struct holds_miss miss = choose_network(c, &ask->networks[i], &out->networks.at[i], NULL);

		if (miss.lack != HOLDS_OK) {
			return miss;
		}
	}
	if (ask->cores > 0 && !choose_cores(c, ask->cores, out)) {
		return (struct holds_miss){.lack = HOLDS_CORES};
	}
	for (i = 0; i < ask->cores; i++) {
		c->nh->core_taken[core_find(c->nh, (uint16_t)out->cpu->reserved_cores.at[i])] = true;
	}
	return (struct holds_miss){.lack = choose_devices(c, ask, out) ? HOLDS_OK : HOLDS_DEVICES};
}

static struct holds_miss choose_tasks(struct choice *c, const struct holds_ask *ask, struct alloc_server *out)
{
	uint32_t i;

	out->tasks.keys = arena_need(c->mem, ask->n_tasks, sizeof(out->tasks.keys[0]));
	out->tasks.at = arena_need(c->mem, ask->n_tasks, sizeof(out->tasks.at[0]));
	for (i = 0; i < ask->n_tasks; i++) {
		struct holds_miss miss;

		out->tasks.keys[i] = ask->tasks[i].task->name;
		out->tasks.n = i + 1;
		miss = choose_task(c, &ask->tasks[i], &out->tasks.at[i]);
		if (miss.lack != HOLDS_OK) {
			return miss;
		}
	}
	return (struct holds_miss){0};
}

static int by_key(const void *a, const void *b, void *keys)
{
	const char **k = keys;

	return strcmp(k[*(const uint32_t *)a], k[*(const uint32_t *)b]);
}

/* Maps of objects are kept sorted. */
static void sort_tasks(struct alloc_server *out, struct arena *mem)
{
	uint32_t *order = arena_need(mem, out->tasks.n, sizeof(order[0]));
	const char **keys = arena_need(mem, out->tasks.n, sizeof(keys[0]));
	struct allocated_task *at = arena_need(mem, out->tasks.n, sizeof(at[0]));
	uint32_t i;

	for (i = 0; i < out->tasks.n; i++) {
		order[i] = i;
	}
	qsort_r(order, out->tasks.n, sizeof(order[0]), by_key, out->tasks.keys);
	for (i = 0; i < out->tasks.n; i++) {
		keys[i] = out->tasks.keys[order[i]];
		at[i] = out->tasks.at[order[i]];
	}
	out->tasks.keys = keys;
	out->tasks.at = at;
}

struct holds_miss node_holds_choose(struct node_holds *nh, const struct holds_ask *ask, uint64_t random,
				    struct alloc_server *out, struct arena *mem)
{
	struct choice c = {.nh = nh, .mem = mem, .random = random, .taken = {.mem = mem}};
	struct holds_miss miss = choose_group(&c, ask, out);
	struct holds all;

	if (miss.lack == HOLDS_OK) {
		miss = choose_tasks(&c, ask, out);
	}
	if (miss.lack != HOLDS_OK) {
		const struct holds ports = {.ports = c.taken.ports, .n_ports = c.taken.n_ports};

		alloc_server_holds(out, &all, mem);
		all.ports = NULL;
		all.n_ports = 0;
		node_holds_take(nh, &all, false);
		node_holds_take(nh, &ports, false);
		return miss;
	}
	sort_tasks(out, mem);
	return miss;
}

struct holds_miss node_holds_check(const struct node_holds *nh, const struct holds_ask *ask)
{
	struct arena mem = {0};
	struct alloc_server out;
	struct holds all;
	struct node_holds *nh_ = (struct node_holds *)nh;
	struct holds_miss miss;

	object_init(&alloc_server_type, &out);
	miss = node_holds_choose(nh_, ask, 0, &out, &mem);
	if (miss.lack == HOLDS_OK) {
		alloc_server_holds(&out, &all, &mem);
		node_holds_take(nh_, &all, false);
	}
	arena_close(&mem);
	return miss;
}
