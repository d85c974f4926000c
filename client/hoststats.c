#include "client/hoststats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "proto/error.h"

enum { TICKS_MIN = 10 };

OBJECT_DEFINE(host_memory_stats, HOST_MEMORY_STATS_FIELDS);
OBJECT_DEFINE(host_cpu_stats, HOST_CPU_STATS_FIELDS);
OBJECT_DEFINE(host_disk_stats, HOST_DISK_STATS_FIELDS);
OBJECT_DEFINE(host_stats, HOST_STATS_FIELDS);

static FILE *open_under(const char *root, const char *path)
{
	char full[4096];

	return (size_t)snprintf(full, sizeof(full), "%s%s", root, path) < sizeof(full) ? fopen(full, "re") : NULL;
}

/* ---- memory ---- */

static void look_at_memory(const char *root, struct host_memory_stats *out)
{
	FILE *f = open_under(root, "/proc/meminfo");
	char line[256];
	unsigned long long kib;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "MemTotal: %llu kB", &kib) == 1) {
			out->total = (int64_t)kib * 1024;
		} else if (sscanf(line, "MemFree: %llu kB", &kib) == 1) {
			out->free = (int64_t)kib * 1024;
		} else if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
			out->available = (int64_t)kib * 1024;
		}
	}
	out->used = out->total > out->available ? out->total - out->available : 0;
	if (f != NULL) {
		fclose(f);
	}
}

/* ---- processors ---- */

static double percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

/* Counters may go back a little: that is no time at all. */
static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* A tick is 10 ms: shares of fewer would be of no use. */
static void update_cpu(struct hoststats_cpu *cpu, const struct hoststats_cpu *now)
{
	uint64_t user = since(now->user, cpu->user);
	uint64_t system = since(now->system, cpu->system);
	uint64_t idle = since(now->idle, cpu->idle);
	uint64_t all = user + system + idle;

	if (all >= TICKS_MIN) {
		*cpu = *now;
		cpu->user_percent = percent(user, all);
		cpu->system_percent = percent(system, all);
		cpu->idle_percent = percent(idle, all);
	}
}

static int add_cpu(struct hoststats *h, unsigned n, const struct hoststats_cpu *now, struct host_stats *out,
		   struct arena *mem)
{
	struct host_cpu_stats *cpu = &out->cpu.at[out->cpu.n];
	struct hoststats_cpu *known = &h->cpus[n];

	object_init(&host_cpu_stats_type, cpu);
	cpu->cpu = arena_printf(mem, "cpu%u", n);
	if (cpu->cpu == NULL) {
		return ERR_NOMEM;
	}
	update_cpu(known, now);
	cpu->user = known->user_percent;
	cpu->system = known->system_percent;
	cpu->idle = known->idle_percent;
	cpu->total_percent = cpu->user + cpu->system;
	out->cpu.n++;
	return 0;
}

static int look_at_cpus(struct hoststats *h, const char *root, struct host_stats *out, struct arena *mem)
{
	FILE *f = open_under(root, "/proc/stat");
	char line[512];
	int rv = 0;

	out->cpu.at = arena_calloc(mem, HOSTSTATS_CPUS_MAX, sizeof(out->cpu.at[0]));
	if (out->cpu.at == NULL) {
		rv = ERR_NOMEM;
	}
	while (rv == 0 && f != NULL && fgets(line, sizeof(line), f) != NULL) {
		unsigned long long user, nice, system, idle, iowait = 0, irq = 0, softirq = 0, steal = 0;
		struct hoststats_cpu now;
		unsigned n;

		if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &n, &user, &nice, &system, &idle,
			   &iowait, &irq, &softirq, &steal) >= 5 &&
		    n < HOSTSTATS_CPUS_MAX && out->cpu.n < HOSTSTATS_CPUS_MAX) {
			now = (struct hoststats_cpu){
				.user = user + nice, .system = system + irq + softirq + steal, .idle = idle + iowait};
			rv = add_cpu(h, n, &now, out, mem);
		}
	}
	if (f != NULL) {
		fclose(f);
	}
	return rv;
}

static double busy_share(const struct host_stats *s)
{
	double sum = 0;

	for (uint32_t i = 0; i < s->cpu.n; i++) {
		sum += s->cpu.at[i].total_percent;
	}
	return s->cpu.n > 0 ? sum / (100.0 * s->cpu.n) : 0;
}

/* ---- disks ---- */

/* What is mounted where the directory is, by the number of its device; "" when that is not found. */
static void find_mount(const char *root, const char *dir, struct host_disk_stats *out, struct arena *mem)
{
	FILE *f = open_under(root, "/proc/self/mountinfo");
	char line[4096], point[2048], device[1024];
	unsigned major_no, minor_no;
	struct stat st;

	while (f != NULL && stat(dir, &st) == 0 && fgets(line, sizeof(line), f) != NULL) {
		const char *dash = strstr(line, " - ");

		if (dash != NULL && sscanf(line, "%*u %*u %u:%u %*s %2047s", &major_no, &minor_no, point) == 3 &&
		    makedev(major_no, minor_no) == st.st_dev && sscanf(dash, " - %*s %1023s", device) == 1) {
			out->device = arena_strdup(mem, device);
			out->mountpoint = arena_strdup(mem, point);
			break;
		}
	}
	if (f != NULL) {
		fclose(f);
	}
	out->device = out->device != NULL ? out->device : "";
	out->mountpoint = out->mountpoint != NULL ? out->mountpoint : "";
}

static void look_at_disk(const char *root, const char *dir, struct host_disk_stats *out, struct arena *mem)
{
	struct statvfs fs;

	object_init(&host_disk_stats_type, out);
	find_mount(root, dir, out, mem);
	if (statvfs(dir, &fs) != 0) {
		return;
	}
	out->size = (int64_t)(fs.f_blocks * fs.f_frsize);
	out->available = (int64_t)(fs.f_bavail * fs.f_frsize);
	out->used = (int64_t)((fs.f_blocks - fs.f_bfree) * fs.f_frsize);
	out->used_percent = percent((uint64_t)out->used, (uint64_t)(out->used + out->available));
	out->inodes_used_percent = percent(fs.f_files - fs.f_ffree, fs.f_files);
}

/* ---- all of it ---- */

static int64_t look_at_uptime(const char *root)
{
	FILE *f = open_under(root, "/proc/uptime");
	double seconds = 0;

	if (f != NULL) {
		if (fscanf(f, "%lf", &seconds) != 1) {
			seconds = 0;
		}
		fclose(f);
	}
	return (int64_t)seconds;
}

int hoststats_look(struct hoststats *h, const char *root, const char *alloc_dir, double mhz, struct host_stats *out,
		   struct arena *mem)
{
	object_init(&host_stats_type, out);
	out->memory = arena_calloc(mem, 1, sizeof(*out->memory));
	out->alloc_dir = arena_calloc(mem, 1, sizeof(*out->alloc_dir));
	out->disk.at = arena_calloc(mem, 1, sizeof(out->disk.at[0]));
	if (out->memory == NULL || out->alloc_dir == NULL || out->disk.at == NULL) {
		return ERR_NOMEM;
	}
	object_init(&host_memory_stats_type, out->memory);
	look_at_memory(root, out->memory);
	look_at_disk(root, alloc_dir, out->alloc_dir, mem);
	out->disk.at[0] = *out->alloc_dir;
	out->disk.n = 1;
	out->uptime = look_at_uptime(root);
	out->devices = "[]";
	if (look_at_cpus(h, root, out, mem) != 0) {
		return ERR_NOMEM;
	}
	out->ticks = busy_share(out) * mhz;
	return 0;
}
