/** What the whole machine uses, as /v1/client/stats tells it. */
#ifndef CLIENT_HOSTSTATS_H_
#define CLIENT_HOSTSTATS_H_

#include "lib/buf.h"
#include "proto/object.h"

#define HOST_MEMORY_STATS_FIELDS(X, T)                                                   \
	X(T, INT, total, "Total")                                                        \
	X(T, INT, available, "Available")                                                \
	X(T, INT, used, "Used")                                                          \
	X(T, INT, free, "Free")

#define HOST_CPU_STATS_FIELDS(X, T)                                                      \
	X(T, STR, cpu, "CPU")                                                            \
	X(T, NUM, total_percent, "TotalPercent")                                         \
	X(T, NUM, user, "User")                                                          \
	X(T, NUM, system, "System")                                                      \
	X(T, NUM, idle, "Idle")

#define HOST_DISK_STATS_FIELDS(X, T)                                                     \
	X(T, STR, device, "Device")                                                      \
	X(T, STR, mountpoint, "Mountpoint")                                              \
	X(T, INT, size, "Size")                                                          \
	X(T, INT, used, "Used")                                                          \
	X(T, INT, available, "Available")                                                \
	X(T, NUM, used_percent, "UsedPercent")                                           \
	X(T, NUM, inodes_used_percent, "InodesUsedPercent")

#define HOST_STATS_FIELDS(X, T)                                                          \
	X(T, OBJ(host_memory_stats), memory, "Memory")                                   \
	X(T, LIST(host_cpu_stats), cpu, "CPU", .brackets = true)                         \
	X(T, LIST(host_disk_stats), disk, "DiskStats", .brackets = true)                 \
	X(T, OBJ(host_disk_stats), alloc_dir, "AllocDirStats")                           \
	X(T, ANY, devices, "DeviceStats")                                                \
	X(T, INT, uptime, "Uptime")                                                      \
	X(T, NUM, ticks, "CPUTicksConsumed")                                             \
	X(T, INT, timestamp, "Timestamp")

OBJECT_DECLARE(host_memory_stats, HOST_MEMORY_STATS_FIELDS);
OBJECT_DECLARE(host_cpu_stats, HOST_CPU_STATS_FIELDS);
OBJECT_DECLARE(host_disk_stats, HOST_DISK_STATS_FIELDS);
OBJECT_DECLARE(host_stats, HOST_STATS_FIELDS);

enum { HOSTSTATS_CPUS_MAX = 1024 };

struct hoststats_cpu {
	uint64_t user, system, idle; /* Ticks since the machine began, */
	double user_percent, system_percent, idle_percent; /* and what was told then. */
};

/* What was seen when it was last looked: the processors' shares are those since then, at first since the machine began. Who
 * asks again at once is told the same again. */
struct hoststats {
	struct hoststats_cpu cpus[HOSTSTATS_CPUS_MAX];
};

/* Look, under `root` ("" is the machine). `mhz` is all that the processors have. 0 or ERR_NOMEM; what cannot be read is
 * left out. The list of disks holds that of the allocations' directory. */
int hoststats_look(struct hoststats *h, const char *root, const char *alloc_dir, double mhz, struct host_stats *out,
		   struct arena *mem);

#endif /* CLIENT_HOSTSTATS_H_ */
