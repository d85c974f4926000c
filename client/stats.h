/** What tasks use, as /v1/client/allocation/:id/stats tells it. */
#ifndef CLIENT_STATS_H_
#define CLIENT_STATS_H_

#include "proto/object.h"

#define CPU_STATS_FIELDS(X, T)                                                           \
	X(T, NUM, system_mode, "SystemMode")                                             \
	X(T, NUM, user_mode, "UserMode")                                                 \
	X(T, NUM, total_ticks, "TotalTicks")                                             \
	X(T, INT, throttled_periods, "ThrottledPeriods")                                 \
	X(T, INT, throttled_time, "ThrottledTime")                                       \
	X(T, NUM, percent, "Percent")                                                    \
	X(T, STRS, measured, "Measured")

#define MEMORY_STATS_FIELDS(X, T)                                                        \
	X(T, INT, rss, "RSS")                                                            \
	X(T, INT, cache, "Cache")                                                        \
	X(T, INT, swap, "Swap")                                                          \
	X(T, INT, mapped_file, "MappedFile")                                             \
	X(T, INT, usage, "Usage")                                                        \
	X(T, INT, max_usage, "MaxUsage")                                                 \
	X(T, INT, kernel_usage, "KernelUsage")                                           \
	X(T, INT, kernel_max_usage, "KernelMaxUsage")                                    \
	X(T, STRS, measured, "Measured")

#define RESOURCE_USAGE_FIELDS(X, T)                                                      \
	X(T, OBJ(memory_stats), memory, "MemoryStats")                                   \
	X(T, OBJ(cpu_stats), cpu, "CpuStats")                                            \
	X(T, ANY, devices, "DeviceStats")

#define TASK_USAGE_FIELDS(X, T)                                                          \
	X(T, OBJ(resource_usage), usage, "ResourceUsage")                                \
	X(T, INT, timestamp, "Timestamp")                                                \
	X(T, ANY, pids, "Pids")

#define ALLOC_USAGE_FIELDS(X, T)                                                         \
	X(T, OBJ(resource_usage), usage, "ResourceUsage")                                \
	X(T, OBJMAP(task_usage), tasks, "Tasks", .brackets = true)                       \
	X(T, INT, timestamp, "Timestamp")

OBJECT_DECLARE(cpu_stats, CPU_STATS_FIELDS);
OBJECT_DECLARE(memory_stats, MEMORY_STATS_FIELDS);
OBJECT_DECLARE(resource_usage, RESOURCE_USAGE_FIELDS);
OBJECT_DECLARE(task_usage, TASK_USAGE_FIELDS);
OBJECT_DECLARE(alloc_usage, ALLOC_USAGE_FIELDS);

#endif /* CLIENT_STATS_H_ */
