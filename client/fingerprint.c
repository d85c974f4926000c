#include "client/fingerprint.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <xxhash.h>

#include "client/driver.h"
#include "client/fingerprint_parts.h"
#include "proto/error.h"

#define MIB (INT64_C(1) << 20)

/* ---- reading ---- */

FILE *fp_open(const struct fp *fp, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", fp->args->root, path);
	return fopen(full, "re");
}

const char *fp_line(const struct fp *fp, const char *path)
{
	FILE *file = fp_open(fp, path);
	char line[4096];
	bool got = file != NULL && fgets(line, sizeof(line), file) != NULL;

	if (file != NULL) {
		fclose(file);
	}
	if (!got) {
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return arena_strdup(fp->mem, line);
}

int64_t fp_number(const struct fp *fp, const char *path, int64_t otherwise)
{
	const char *line = fp_line(fp, path);
	char *end;
	int64_t n;

	if (line == NULL) {
		return otherwise;
	}
	n = strtoll(line, &end, 10);
	return end == line ? otherwise : n;
}

void *fp_alloc(struct fp *fp, size_t count, size_t size)
{
	void *p = arena_calloc(fp->mem, count, size);

	if (p == NULL) {
		fp->attributes.failed = true;
	}
	return p;
}

/* ---- the system ---- */

/* VALUE or "VALUE" behind KEY= */
static const char *os_release(struct fp *fp, const char *key)
{
	FILE *file = fp_open(fp, "/etc/os-release");
	size_t len = strlen(key);
	char *value = NULL;
	char line[512];

	while (file != NULL && value == NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, key, len) == 0 && line[len] == '=') {
			char *from = line + len + 1 + (line[len + 1] == '"');

			value = arena_strndup(fp->mem, from, strcspn(from, "\"\n"));
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return value;
}

/* What a task may be sent, as ${attr.os.signals} lists it. */
static const char os_signals[] = "SIGABRT,SIGALRM,SIGBUS,SIGCHLD,SIGCONT,SIGFPE,SIGHUP,SIGILL,SIGINT,SIGIO,SIGIOT,"
                                 "SIGKILL,SIGPIPE,SIGPROF,SIGQUIT,SIGSEGV,SIGSTOP,SIGSYS,SIGTERM,SIGTRAP,SIGTSTP,"
                                 "SIGTTIN,SIGTTOU,SIGURG,SIGUSR1,SIGUSR2,SIGWINCH,SIGXCPU,SIGXFSZ,SIGNULL";

/* Go's name for a machine, which constraints on cpu.arch are written in. */
static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"i686", "386"},
	                                       {"armv7l", "arm"},   {"ppc64le", "ppc64le"}, {"s390x", "s390x"}};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(machine, names[i][0]) == 0) {
			return names[i][1];
		}
	}
	return machine;
}

static void fingerprint_system(struct fp *fp)
{
	struct vars *a = &fp->attributes;
	struct utsname u;

	if (uname(&u) == 0) {
		vars_put(a, "kernel.name", "linux");
		vars_put(a, "kernel.version", arena_strdup(fp->mem, u.release));
		vars_put(a, "kernel.arch", arena_strdup(fp->mem, u.machine));
		vars_put(a, "cpu.arch", arena_strdup(fp->mem, go_arch(u.machine)));
		vars_put(a, "unique.hostname", arena_strdup(fp->mem, u.nodename));
	}
	vars_put_given(a, "os.name", os_release(fp, "ID"));
	vars_put_given(a, "os.version", os_release(fp, "VERSION_ID"));
	vars_put(a, "os.signals", os_signals);
	vars_put(a, "nomad.version", CLIENT_NOMAD_VERSION);
	vars_put(a, "drover.version", fp->config->program_version);
	vars_put_given(a, "nomad.advertise.address", fp->config->http_addr);
}

/* One hierarchy for all (v2), or one for each controller (v1). */
static void fingerprint_cgroup(struct fp *fp)
{
	FILE *file = fp_open(fp, "/sys/fs/cgroup/cgroup.controllers");

	if (file != NULL) {
		fclose(file);
		vars_put(&fp->attributes, "os.cgroups.version", "2");
	} else {
		file = fp_open(fp, "/proc/cgroups");
		if (file == NULL) {
			return;
		}
		fclose(file);
		vars_put(&fp->attributes, "os.cgroups.version", "1");
	}
	vars_put(&fp->attributes, "unique.cgroup.mountpoint", "/sys/fs/cgroup");
}

static void fingerprint_memory(struct fp *fp)
{
	const char *line = fp_line(fp, "/proc/meminfo");
	struct node_memory *memory = fp_alloc(fp, 1, sizeof(*memory));
	int64_t kib = 0;

	if (memory == NULL) {
		return;
	}
	object_init(&node_memory_type, memory);
	if (line != NULL && sscanf(line, "MemTotal: %" SCNd64, &kib) == 1) {
		memory->memory_mb = kib / 1024;
	}
	if (fp->config->memory_total_mb > 0) {
		memory->memory_mb = fp->config->memory_total_mb;
		kib = memory->memory_mb * 1024;
	}
	vars_put_int(&fp->attributes, "memory.totalbytes", kib * 1024);
	fp->node->node_resources->memory = memory;
}

/* The device that a directory is on, as /proc/self/mountinfo names it. */
static const char *volume_of(struct fp *fp, dev_t dev)
{
	FILE *file = fp_open(fp, "/proc/self/mountinfo");
	const char *found = NULL;
	char line[4096];

	while (file != NULL && found == NULL && fgets(line, sizeof(line), file) != NULL) {
		const char *dash = strstr(line, " - ");
		unsigned major_n;
		unsigned minor_n;
		char source[256];

		if (dash != NULL && sscanf(line, "%*u %*u %u:%u", &major_n, &minor_n) == 2 && major_n == major(dev) &&
		    minor_n == minor(dev) && sscanf(dash, " - %*s %255s", source) == 1) {
			found = arena_strdup(fp->mem, source);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return found;
}

static void fingerprint_storage(struct fp *fp)
{
	struct node_disk *disk = fp_alloc(fp, 1, sizeof(*disk));
	struct statvfs fs;
	struct stat st;
	int64_t total = 0;
	int64_t free_bytes = 0;

	if (disk == NULL) {
		return;
	}
	if (statvfs(fp->config->alloc_dir, &fs) == 0) {
		total = (int64_t)(fs.f_blocks * fs.f_frsize);
		free_bytes = (int64_t)(fs.f_bavail * fs.f_frsize);
	}
	if (fp->config->disk_total_mb > 0) {
		total = fp->config->disk_total_mb * MIB;
	}
	if (fp->config->disk_free_mb > 0) {
		free_bytes = fp->config->disk_free_mb * MIB;
	}
	object_init(&node_disk_type, disk);
	disk->disk_mb = free_bytes / MIB;
	fp->node->node_resources->disk = disk;
	vars_put_int(&fp->attributes, "unique.storage.bytestotal", total);
	vars_put_int(&fp->attributes, "unique.storage.bytesfree", free_bytes);
	if (stat(fp->config->alloc_dir, &st) == 0) {
		vars_put_given(&fp->attributes, "unique.storage.volume", volume_of(fp, st.st_dev));
	}
}

/* ---- drivers ---- */

static void add_driver(struct fp *fp, const struct driver *driver, struct driver_info *info)
{
	uint32_t i;

	driver_fingerprint(fp->args->drivers, driver, fp->mem, info);
	info->update_time = fp->args->now_ns;
	if (!info->detected) {
		return;
	}
	for (i = 0; i < info->attributes.n; i++) {
		vars_put(&fp->attributes, info->attributes.at[i].key, info->attributes.at[i].value);
	}
	vars_put(&fp->attributes, arena_printf(fp->mem, "driver.%s", driver->name), "1");
}

static void fingerprint_drivers(struct fp *fp)
{
	unsigned n = 0;
	unsigned i;

	while (driver_at(n) != NULL) {
		n++;
	}
	fp->node->drivers.keys = fp_alloc(fp, n, sizeof(fp->node->drivers.keys[0]));
	fp->node->drivers.at = fp_alloc(fp, n, sizeof(fp->node->drivers.at[0]));
	if (fp->node->drivers.keys == NULL || fp->node->drivers.at == NULL) {
		return;
	}
	for (i = 0; i < n; i++) {
		object_init(&driver_info_type, &fp->node->drivers.at[i]);
		fp->node->drivers.keys[i] = driver_at(i)->name;
		add_driver(fp, driver_at(i), &fp->node->drivers.at[i]);
	}
	fp->node->drivers.n = n;
}

/* ---- what the configuration says ---- */

static void set_reserved(struct fp *fp)
{
	const struct client_config *c = fp->config;
	struct reserved_resources *r = fp_alloc(fp, 1, sizeof(*r));

	if (r == NULL) {
		return;
	}
	object_init(&reserved_resources_type, r);
	r->cpu = fp_alloc(fp, 1, sizeof(*r->cpu));
	r->memory = fp_alloc(fp, 1, sizeof(*r->memory));
	r->disk = fp_alloc(fp, 1, sizeof(*r->disk));
	r->networks = fp_alloc(fp, 1, sizeof(*r->networks));
	if (fp->attributes.failed) {
		return;
	}
	object_init(&reserved_cpu_type, r->cpu);
	object_init(&node_memory_type, r->memory);
	object_init(&node_disk_type, r->disk);
	object_init(&reserved_networks_type, r->networks);
	r->cpu->cpu_shares = c->reserved_cpu_mhz;
	r->memory->memory_mb = c->reserved_memory_mb;
	r->disk->disk_mb = c->reserved_disk_mb;
	r->networks->reserved_host_ports = c->reserved_ports;
	fp->node->reserved_resources = r;
}

static void set_host_volumes(struct fp *fp)
{
	const struct client_config *c = fp->config;
	struct vars sorted = {.mem = fp->mem}; /* Name to index: maps are kept in the order of their keys. */
	uint32_t i;

	for (i = 0; i < c->n_host_volumes; i++) {
		vars_put_int(&sorted, c->host_volumes[i].name, i);
	}
	fp->node->host_volumes.keys = fp_alloc(fp, sorted.map.n, sizeof(fp->node->host_volumes.keys[0]));
	fp->node->host_volumes.at = fp_alloc(fp, sorted.map.n, sizeof(fp->node->host_volumes.at[0]));
	if (sorted.failed || fp->attributes.failed) {
		fp->attributes.failed = true;
		return;
	}
	for (i = 0; i < sorted.map.n; i++) {
		const struct client_host_volume *from = &c->host_volumes[atoi(sorted.map.at[i].value)];
		struct host_volume *to = &fp->node->host_volumes.at[i];

		object_init(&host_volume_type, to);
		to->path = from->path;
		to->read_only = from->read_only;
		fp->node->host_volumes.keys[i] = sorted.map.at[i].key;
	}
	fp->node->host_volumes.n = sorted.map.n;
}

static void set_identity(struct fp *fp)
{
	const struct client_config *c = fp->config;
	const char *host = map_find(&fp->attributes.map, "unique.hostname");
	struct node *n = fp->node;

	n->id = fp->args->node_id;
	n->secret_id = fp->args->secret_id;
	n->name = c->name[0] != '\0' ? c->name : host != NULL ? host : fp->args->node_id;
	n->datacenter = c->datacenter;
	n->node_class = c->node_class;
	n->node_pool = c->node_pool[0] != '\0' ? c->node_pool : "default";
	n->http_addr = c->http_addr;
	n->tls_enabled = c->https;
	n->meta = c->meta;
	n->status = "ready";
	n->scheduling_eligibility = "eligible";
	n->node_max_allocs = c->node_max_allocs;
	n->csi_controller_plugins = "{}";
	n->csi_node_plugins = "{}";
}

int fingerprint(const struct fingerprint_args *args, struct node *out, struct arena *mem)
{
	struct fp fp = {
	        .args = args, .config = args->config, .node = out, .attributes = {.mem = mem}, .mem = mem};

	object_init(&node_type, out);
	out->node_resources = fp_alloc(&fp, 1, sizeof(*out->node_resources));
	if (out->node_resources == NULL) {
		return ERR_NOMEM;
	}
	object_init(&node_resources_type, out->node_resources);
	if (args->config->min_dynamic_port > 0) {
		out->node_resources->min_dynamic_port = args->config->min_dynamic_port;
	}
	if (args->config->max_dynamic_port > 0) {
		out->node_resources->max_dynamic_port = args->config->max_dynamic_port;
	}
	fingerprint_system(&fp);
	fingerprint_cgroup(&fp);
	fingerprint_cpu(&fp);
	fingerprint_memory(&fp);
	fingerprint_storage(&fp);
	fingerprint_network(&fp);
	if (args->drivers != NULL) {
		fingerprint_drivers(&fp);
	}
	set_reserved(&fp);
	set_host_volumes(&fp);
	set_identity(&fp);
	if (fp.attributes.failed) {
		return ERR_NOMEM;
	}
	out->attributes = fp.attributes.map;
	out->computed_class = fingerprint_class(out, mem);
	return out->computed_class == NULL ? ERR_NOMEM : 0;
}

/* ---- the class ---- */

static void hash_text(XXH3_state_t *state, const char *text)
{
	XXH3_64bits_update(state, text, strlen(text) + 1); /* With the zero, so that "ab","c" is not "a","bc". */
}

static void hash_map(XXH3_state_t *state, const struct map *map)
{
	uint32_t i;

	for (i = 0; i < map->n; i++) {
		if (strncmp(map->at[i].key, "unique.", 7) != 0) {
			hash_text(state, map->at[i].key);
			hash_text(state, map->at[i].value);
		}
	}
	hash_text(state, "");
}

const char *fingerprint_class(const struct node *node, struct arena *mem)
{
	XXH3_state_t *state = XXH3_createState();
	uint64_t hash;

	if (state == NULL) {
		return NULL;
	}
	XXH3_64bits_reset(state);
	hash_text(state, node->datacenter);
	hash_text(state, node->node_class);
	hash_text(state, node->node_pool);
	hash_map(state, &node->attributes);
	hash_map(state, &node->meta);
	hash_text(state, node->node_resources == NULL ? "" : node->node_resources->devices);
	hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return arena_printf(mem, "v1:%" PRIu64, hash);
}
