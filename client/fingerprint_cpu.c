#include "client/fingerprint_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS_MAX = 4096, GUESS_MHZ = 1000 };

/* How many numbers the list has; they are put to `to` unless that is NULL. */
static uint32_t read_list(const char *p, int64_t *to)
{
	uint32_t n = 0;
	char *end;

	while (*p >= '0' && *p <= '9') {
		long from = strtol(p, &end, 10);
		long last = *end == '-' ? strtol(end + 1, &end, 10) : from;

		for (; from <= last && n < CPUS_MAX; from++, n++) {
			if (to != NULL) {
				to[n] = from;
			}
		}
		p = *end == ',' ? end + 1 : end;
	}
	return n;
}

struct ints fp_cpu_list(struct fp *fp, const char *text)
{
	const char *list = text == NULL || text[0] == '\0' ? "0" : text;
	struct ints out = {.at = fp_alloc(fp, read_list(list, NULL) + 1, sizeof(int64_t))};

	out.n = out.at == NULL ? 0 : read_list(list, out.at);
	return out;
}

/* From /proc/cpuinfo: the first model name, and the highest clock that any core shows. */
struct cpuinfo {
	const char *model;
	int64_t mhz;
};

static const char *value_of(const char *line, const char *key)
{
	const char *colon = strchr(line, ':');

	if (strncmp(line, key, strlen(key)) != 0 || colon == NULL) {
		return NULL;
	}
	return colon[1] == ' ' ? colon + 2 : colon + 1;
}

static struct cpuinfo read_cpuinfo(struct fp *fp)
{
	struct cpuinfo info = {.model = NULL};
	FILE *file = fp_open(fp, "/proc/cpuinfo");
	char line[4096];
	const char *value;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (info.model == NULL && (value = value_of(line, "model name")) != NULL) {
			info.model = arena_strdup(fp->mem, value);
		}
		if ((value = value_of(line, "cpu MHz")) != NULL && strtod(value, NULL) > (double)info.mhz) {
			info.mhz = (int64_t)(strtod(value, NULL) + 0.5);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return info;
}

static int64_t mhz_file(struct fp *fp, int64_t cpu, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%" PRId64 "/cpufreq/%s", cpu, name);
	return fp_number(fp, path, 0) / 1000;
}

static int64_t socket_of(struct fp *fp, int64_t cpu)
{
	char path[128];
	int64_t id;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%" PRId64 "/topology/physical_package_id", cpu);
	id = fp_number(fp, path, 0);
	return id < 0 ? 0 : id;
}

/* The memory node that each core is on. */
static void place_cores(struct fp *fp, struct node_topology *topology)
{
	char path[128];
	uint32_t i;
	uint32_t k;
	uint32_t c;

	for (i = 0; i < topology->nodes.n; i++) {
		struct ints cores;

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%" PRId64 "/cpulist", topology->nodes.at[i]);
		cores = fp_cpu_list(fp, fp_line(fp, path));
		for (k = 0; k < cores.n; k++) {
			for (c = 0; c < topology->cores.n; c++) {
				if (topology->cores.at[c].id == cores.at[k]) {
					topology->cores.at[c].node_id = topology->nodes.at[i];
				}
			}
		}
		vars_put_int(&fp->attributes, arena_printf(fp->mem, "numa.node%" PRId64 ".cores", topology->nodes.at[i]),
		             cores.n);
	}
	vars_put_int(&fp->attributes, "numa.node.count", topology->nodes.n);
}

/* The cores' clock: what the machine guarantees, else its highest, else what /proc shows. */
static int64_t fill_cores(struct fp *fp, const struct ints *online, int64_t shown_mhz, struct node_topology *topology)
{
	int64_t total = 0;
	uint32_t i;

	topology->cores.at = fp_alloc(fp, online->n, sizeof(topology->cores.at[0]));
	for (i = 0; topology->cores.at != NULL && i < online->n; i++) {
		struct node_core *core = &topology->cores.at[i];

		object_init(&node_core_type, core);
		core->id = online->at[i];
		core->socket_id = socket_of(fp, core->id);
		core->base_speed = mhz_file(fp, core->id, "base_frequency");
		core->max_speed = mhz_file(fp, core->id, "cpuinfo_max_freq");
		core->guess_speed = shown_mhz > 0 ? shown_mhz : GUESS_MHZ;
		core->grade = true;
		total += core->base_speed > 0 ? core->base_speed : core->max_speed > 0 ? core->max_speed : core->guess_speed;
		topology->cores.n++;
	}
	return total;
}

static struct node_topology *make_topology(struct fp *fp)
{
	struct node_resources *resources = fp->node->node_resources;
	struct node_topology *topology = fp_alloc(fp, 1, sizeof(*topology));

	resources->processors = fp_alloc(fp, 1, sizeof(*resources->processors));
	if (topology == NULL || resources->processors == NULL) {
		return NULL;
	}
	object_init(&node_processors_type, resources->processors);
	object_init(&node_topology_type, topology);
	resources->processors->topology = topology;
	topology->nodes = fp_cpu_list(fp, fp_line(fp, "/sys/devices/system/node/online"));
	return topology;
}

static void tell_cpu(struct fp *fp, const struct cpuinfo *info, const struct ints *online, int64_t total)
{
	int64_t usable = total - fp->config->reserved_cpu_mhz;

	vars_put_given(&fp->attributes, "cpu.modelname", info->model);
	vars_put_int(&fp->attributes, "cpu.numcores", online->n);
	vars_put_int(&fp->attributes, "cpu.reservablecores", online->n);
	vars_put_int(&fp->attributes, "cpu.frequency", online->n == 0 ? 0 : total / online->n);
	vars_put_int(&fp->attributes, "cpu.totalcompute", total);
	vars_put_int(&fp->attributes, "cpu.usablecompute", usable > 0 ? usable : 0);
}

void fingerprint_cpu(struct fp *fp)
{
	struct node_cpu *cpu = fp_alloc(fp, 1, sizeof(*cpu));
	struct node_topology *topology = make_topology(fp);
	struct cpuinfo info = read_cpuinfo(fp);
	struct ints online = fp_cpu_list(fp, fp_line(fp, "/sys/devices/system/cpu/online"));
	int64_t total;

	if (cpu == NULL || topology == NULL || online.at == NULL) {
		return;
	}
	total = fill_cores(fp, &online, info.mhz, topology);
	place_cores(fp, topology);
	if (fp->config->cpu_total_compute_mhz > 0) {
		total = fp->config->cpu_total_compute_mhz;
		topology->override_total_compute = total;
	}
	topology->override_withold_compute = fp->config->reserved_cpu_mhz;
	object_init(&node_cpu_type, cpu);
	cpu->cpu_shares = total;
	cpu->total_cpu_cores = online.n;
	cpu->reservable_cpu_cores = online;
	fp->node->node_resources->cpu = cpu;
	tell_cpu(fp, &info, &online, total);
}
