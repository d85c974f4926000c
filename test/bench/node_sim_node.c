/* What a simulated node says of itself: about as much as a real one does, so that it costs the servers as much. */
#include "test/bench/node_sim.h"

#include "proto/error.h"
#include "proto/node.h"

enum { CPU_MHZ = 16000, MEMORY_MB = 32768, DISK_MB = 200000, RACK_NODES = 40, CLASSES = 4 };

void sim_node_init(struct sim_node *n, struct sim *sim, unsigned number)
{
	static const struct uuid family = {{0x5e, 0x11, 0x0d, 0xe5}};

	n->sim = sim;
	n->number = number;
	n->id = uuid_derive(&family, 2 * (uint64_t)number);
	n->secret = uuid_derive(&family, 2 * (uint64_t)number + 1);
	list_init(&n->allocs);
	list_init(&n->dirty);
	list_init(&n->sent);
}

/* In the order of their keys, as maps are. "#" stands for the node's number. */
static const struct pair facts[] = {
        {"cpu.arch", "amd64"},
        {"cpu.frequency", "2000"},
        {"cpu.modelname", "Simulated Processor 8-Core"},
        {"cpu.numcores", "8"},
        {"cpu.reservablecores", "8"},
        {"cpu.totalcompute", "16000"},
        {"cpu.usablecompute", "16000"},
        {"driver.mock", "true"},
        {"driver.mock_driver", "1"},
        {"drover.version", DROVER_VERSION},
        {"kernel.arch", "x86_64"},
        {"kernel.landlock", "v3"},
        {"kernel.name", "linux"},
        {"kernel.version", "6.1.0-18-amd64"},
        {"memory.totalbytes", "34359738368"},
        {"nomad.advertise.address", "127.0.0.1:1"},
        {"nomad.bridge.hairpin_mode", "false"},
        {"nomad.service_discovery", "true"},
        {"nomad.version", "2.0.6"},
        {"numa.node.count", "1"},
        {"numa.node0.cores", "0-7"},
        {"os.cgroups.version", "2"},
        {"os.name", "debian"},
        {"os.signals", "SIGABRT,SIGALRM,SIGBUS,SIGCHLD,SIGCONT,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGKILL,SIGTERM,SIGUSR1"},
        {"os.version", "12"},
        {"plugins.cni.version.bridge", "v1.3.0"},
        {"unique.cgroup.mountpoint", "/sys/fs/cgroup"},
        {"unique.hostname", "sim-#"},
        {"unique.network.ip-address", "10.0.0.#"},
        {"unique.storage.bytesfree", "209715200000"},
        {"unique.storage.bytestotal", "419430400000"},
        {"unique.storage.volume", "/dev/vda#"},
};

enum { N_FACTS = sizeof(facts) / sizeof(facts[0]) };

static const char *numbered(const char *text, unsigned number, struct arena *mem)
{
	size_t len = strlen(text);

	if (len == 0 || text[len - 1] != '#') {
		return text;
	}
	return arena_printf(mem, "%.*s%u", (int)len - 1, text, number);
}

static int fill_facts(const struct sim_node *n, struct node *out, struct arena *mem)
{
	uint32_t i;

	out->attributes.at = arena_calloc(mem, N_FACTS, sizeof(*out->attributes.at));
	out->meta.at = arena_calloc(mem, 1, sizeof(*out->meta.at));
	if (out->attributes.at == NULL || out->meta.at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < N_FACTS; i++) {
		out->attributes.at[i] = (struct pair){facts[i].key, numbered(facts[i].value, n->number, mem)};
	}
	out->attributes.n = N_FACTS;
	out->meta.at[0] = (struct pair){"rack", arena_printf(mem, "r%u", n->number / RACK_NODES)};
	out->meta.n = 1;
	out->node_class = arena_printf(mem, "class-%u", n->number % CLASSES);
	out->computed_class = arena_printf(mem, "v1:%u%02u", n->number / RACK_NODES + 1, n->number % CLASSES);
	return 0;
}

static int fill_resources(struct node *out, struct arena *mem)
{
	struct node_resources *r = arena_alloc(mem, sizeof(*r));

	if (r == NULL) {
		return ERR_NOMEM;
	}
	object_init(&node_resources_type, r);
	r->cpu = arena_alloc(mem, sizeof(*r->cpu));
	r->memory = arena_alloc(mem, sizeof(*r->memory));
	r->disk = arena_alloc(mem, sizeof(*r->disk));
	if (r->cpu == NULL || r->memory == NULL || r->disk == NULL) {
		return ERR_NOMEM;
	}
	object_init(&node_cpu_type, r->cpu);
	object_init(&node_memory_type, r->memory);
	object_init(&node_disk_type, r->disk);
	r->cpu->cpu_shares = CPU_MHZ;
	r->cpu->total_cpu_cores = 8;
	r->memory->memory_mb = MEMORY_MB;
	r->disk->disk_mb = DISK_MB;
	out->node_resources = r;
	return 0;
}

static int fill_driver(struct node *out, struct arena *mem)
{
	static const char *const name = "mock_driver";

	out->drivers.keys = arena_calloc(mem, 1, sizeof(*out->drivers.keys));
	out->drivers.at = arena_alloc(mem, sizeof(*out->drivers.at));
	if (out->drivers.keys == NULL || out->drivers.at == NULL) {
		return ERR_NOMEM;
	}
	object_init(&driver_info_type, out->drivers.at);
	out->drivers.keys[0] = name;
	out->drivers.at->detected = true;
	out->drivers.at->healthy = true;
	out->drivers.at->health_description = "Healthy";
	out->drivers.at->update_time = sim_unix_ns();
	out->drivers.n = 1;
	return 0;
}

static const char *id_text(const struct uuid *id, struct arena *mem)
{
	char text[UUID_TEXT];

	uuid_format(id, text);
	return arena_strdup(mem, text);
}

int sim_node_fill(const struct sim_node *n, struct node *out, struct arena *mem)
{
	object_init(&node_type, out);
	out->id = id_text(&n->id, mem);
	out->secret_id = id_text(&n->secret, mem);
	out->name = arena_printf(mem, "sim-%u", n->number);
	out->datacenter = "dc1";
	out->http_addr = "127.0.0.1:1";
	out->status = "ready";
	out->scheduling_eligibility = "eligible";
	if (fill_facts(n, out, mem) != 0 || fill_resources(out, mem) != 0 || fill_driver(out, mem) != 0 || out->id == NULL ||
	    out->secret_id == NULL || out->name == NULL) {
		return ERR_NOMEM;
	}
	return 0;
}
