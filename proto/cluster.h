/**
 * What describes the cluster itself, as the API shows it: namespaces, node pools, the scheduler's configuration, the
 * history of a job's scaling, the servers, and when periodic jobs were launched last.
 */
#ifndef PROTO_CLUSTER_H_
#define PROTO_CLUSTER_H_

#include "proto/deployment.h"

#define NAMESPACE_CAPABILITIES_FIELDS(X, T)                                              \
	X(T, STRS, enabled_task_drivers, "EnabledTaskDrivers")                           \
	X(T, STRS, disabled_task_drivers, "DisabledTaskDrivers")                         \
	X(T, STRS, enabled_network_modes, "EnabledNetworkModes")                         \
	X(T, STRS, disabled_network_modes, "DisabledNetworkModes")

#define NAMESPACE_POOLS_FIELDS(X, T)                                                     \
	X(T, STR, default_, "Default", .hcl = "default")                                 \
	X(T, STRS, allowed, "Allowed")                                                   \
	X(T, STRS, denied, "Denied")

#define NAMESPACE_FIELDS(X, T)                                                           \
	X(T, STR, name, "Name", .required = true, .label = true)                         \
	X(T, STR, description, "Description")                                            \
	X(T, STR, quota, "Quota")                                                        \
	X(T, OBJ(namespace_capabilities), capabilities, "Capabilities")                  \
	X(T, OBJ(namespace_pools), node_pools, "NodePoolConfiguration", .hcl = "node_pool_config") \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

#define NODE_POOL_SCHEDULER_FIELDS(X, T)                                                 \
	X(T, STR, algorithm, "SchedulerAlgorithm", .hcl = "scheduler_algorithm")         \
	X(T, OPTBOOL, memory_oversubscription, "MemoryOversubscriptionEnabled",          \
	  .hcl = "memory_oversubscription_enabled")

#define NODE_POOL_FIELDS(X, T)                                                           \
	X(T, STR, name, "Name", .required = true, .label = true)                         \
	X(T, STR, description, "Description")                                            \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, OBJ(node_pool_scheduler), scheduler, "SchedulerConfiguration", .hcl = "scheduler_config") \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)                           \
	X(T, DUR, node_identity_ttl, "NodeIdentityTTL", .hcl = "node_identity_ttl", .blank = true)

#define PREEMPTION_CONFIG_FIELDS(X, T)                                                   \
	X(T, BOOL, system, "SystemSchedulerEnabled", .dflt = true, .hcl = "system_scheduler_enabled") \
	X(T, BOOL, sysbatch, "SysBatchSchedulerEnabled", .hcl = "sysbatch_scheduler_enabled") \
	X(T, BOOL, batch, "BatchSchedulerEnabled", .hcl = "batch_scheduler_enabled")     \
	X(T, BOOL, service, "ServiceSchedulerEnabled", .hcl = "service_scheduler_enabled")

#define SCHEDULER_CONFIG_FIELDS(X, T)                                                    \
	X(T, STR, algorithm, "SchedulerAlgorithm", .dflt_str = "binpack", .hcl = "scheduler_algorithm") \
	X(T, OBJ(preemption_config), preemption, "PreemptionConfig", .hcl = "preemption_config") \
	X(T, BOOL, memory_oversubscription, "MemoryOversubscriptionEnabled",             \
	  .hcl = "memory_oversubscription_enabled")                                      \
	X(T, BOOL, reject_job_registration, "RejectJobRegistration")                     \
	X(T, BOOL, pause_eval_broker, "PauseEvalBroker")                                 \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)                           \
	X(T, INT, node_limit, "NodeLimitForFeasibilityChecks") /* Schedulers look at all nodes. */

/* How the leader looks after the servers themselves. */
#define AUTOPILOT_CONFIG_FIELDS(X, T)                                                    \
	X(T, BOOL, cleanup_dead_servers, "CleanupDeadServers", .dflt = true)             \
	X(T, DUR, last_contact_threshold, "LastContactThreshold", .dflt = 200000000)     \
	X(T, INT, max_trailing_logs, "MaxTrailingLogs", .dflt = 250)                     \
	X(T, INT, min_quorum, "MinQuorum")                                               \
	X(T, DUR, server_stabilization_time, "ServerStabilizationTime", .dflt = 10000000000) \
	X(T, BOOL, enable_redundancy_zones, "EnableRedundancyZones")                     \
	X(T, BOOL, disable_upgrade_migration, "DisableUpgradeMigration")                 \
	X(T, BOOL, enable_custom_upgrades, "EnableCustomUpgrades")                       \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

#define SCALING_EVENT_FIELDS(X, T)                                                       \
	X(T, INT, time, "Time")                                                          \
	X(T, OPTINT, count, "Count")                                                     \
	X(T, INT, previous_count, "PreviousCount")                                       \
	X(T, STR, message, "Message")                                                    \
	X(T, BOOL, error, "Error")                                                       \
	X(T, ANY, meta, "Meta")                                                          \
	X(T, STR, eval_id, "EvalID", .omit = true)                                       \
	X(T, INT, create_index, "CreateIndex")

/* Of one group; the newest first. */
#define SCALING_EVENTS_FIELDS(X, T) X(T, LIST(scaling_event), events, "Events")

/* A server as the others know it. The ID is Raft's. */
#define SERVER_META_FIELDS(X, T)                                                         \
	X(T, INT, id, "ID")                                                              \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, region, "Region")                                                      \
	X(T, STR, datacenter, "Datacenter")                                              \
	X(T, STR, raft_addr, "RaftAddr")                                                 \
	X(T, STR, rpc_addr, "RPCAddr")                                                   \
	X(T, STR, http_addr, "HTTPAddr")                                                 \
	X(T, STR, serf_addr, "SerfAddr")                                                 \
	X(T, STR, version, "Version")                                                    \
	X(T, MAP, tags, "Tags")

#define LAUNCH_FIELDS(X, T)                                                              \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, INT, launch_ns, "Launch")                                                   \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

OBJECT_DECLARE(namespace_capabilities, NAMESPACE_CAPABILITIES_FIELDS);
OBJECT_DECLARE(namespace_pools, NAMESPACE_POOLS_FIELDS);
OBJECT_DECLARE(namespace_, NAMESPACE_FIELDS);
OBJECT_DECLARE(node_pool_scheduler, NODE_POOL_SCHEDULER_FIELDS);
OBJECT_DECLARE(node_pool, NODE_POOL_FIELDS);
OBJECT_DECLARE(preemption_config, PREEMPTION_CONFIG_FIELDS);
OBJECT_DECLARE(scheduler_config, SCHEDULER_CONFIG_FIELDS);
OBJECT_DECLARE(autopilot_config, AUTOPILOT_CONFIG_FIELDS);
OBJECT_DECLARE(scaling_event, SCALING_EVENT_FIELDS);
OBJECT_DECLARE(scaling_events, SCALING_EVENTS_FIELDS);
OBJECT_DECLARE(server_meta, SERVER_META_FIELDS);
OBJECT_DECLARE(launch, LAUNCH_FIELDS);

#endif /* PROTO_CLUSTER_H_ */
