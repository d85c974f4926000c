/** Client nodes: what they are made of and what they offer, as the API shows it. */
#ifndef PROTO_NODE_H_
#define PROTO_NODE_H_

#include "proto/alloc.h"

#define NODE_CPU_FIELDS(X, T)                                                            \
	X(T, INT, cpu_shares, "CpuShares")                                               \
	X(T, INT, total_cpu_cores, "TotalCpuCores")                                      \
	X(T, INTS, reservable_cpu_cores, "ReservableCpuCores", .brackets = true)

#define NODE_MEMORY_FIELDS(X, T) X(T, INT, memory_mb, "MemoryMB")
#define NODE_DISK_FIELDS(X, T) X(T, INT, disk_mb, "DiskMB")

#define NODE_ADDRESS_FIELDS(X, T)                                                        \
	X(T, STR, alias, "Alias")                                                        \
	X(T, STR, address, "Address")                                                    \
	X(T, STR, family, "Family")                                                      \
	X(T, STR, gateway, "Gateway")                                                    \
	X(T, STR, reserved_ports, "ReservedPorts")

#define NODE_NETWORK_FIELDS(X, T)                                                        \
	X(T, STR, mode, "Mode")                                                          \
	X(T, STR, device, "Device")                                                      \
	X(T, STR, mac_address, "MacAddress")                                             \
	X(T, INT, speed, "Speed")                                                        \
	X(T, LIST(node_address), addresses, "Addresses")

#define NODE_CORE_FIELDS(X, T)                                                           \
	X(T, INT, socket_id, "SocketID")                                                 \
	X(T, INT, node_id, "NodeID")                                                     \
	X(T, INT, id, "ID")                                                              \
	X(T, BOOL, grade, "Grade")                                                       \
	X(T, BOOL, disable, "Disable")                                                   \
	X(T, INT, base_speed, "BaseSpeed")                                               \
	X(T, INT, max_speed, "MaxSpeed")                                                 \
	X(T, INT, guess_speed, "GuessSpeed")

#define NODE_TOPOLOGY_FIELDS(X, T)                                                       \
	X(T, INTS, nodes, "Nodes", .brackets = true)                                     \
	X(T, ANY, distances, "Distances")                                                \
	X(T, LIST(node_core), cores, "Cores", .brackets = true)                          \
	X(T, INT, override_total_compute, "OverrideTotalCompute")                        \
	X(T, INT, override_withold_compute, "OverrideWitholdCompute")

#define NODE_PROCESSORS_FIELDS(X, T) X(T, OBJ(node_topology), topology, "Topology")

#define NODE_RESOURCES_FIELDS(X, T)                                                      \
	X(T, OBJ(node_cpu), cpu, "Cpu")                                                  \
	X(T, OBJ(node_processors), processors, "Processors")                             \
	X(T, OBJ(node_memory), memory, "Memory")                                         \
	X(T, OBJ(node_disk), disk, "Disk")                                               \
	X(T, LIST(network_resource), networks, "Networks", .brackets = true)             \
	X(T, LIST(node_network), node_networks, "NodeNetworks", .brackets = true)        \
	X(T, ANY, devices, "Devices")                                                    \
	X(T, INT, min_dynamic_port, "MinDynamicPort", .dflt = 20000)                     \
	X(T, INT, max_dynamic_port, "MaxDynamicPort", .dflt = 32000)

#define RESERVED_CPU_FIELDS(X, T)                                                        \
	X(T, INT, cpu_shares, "CpuShares")                                               \
	X(T, INTS, reserved_cpu_cores, "ReservedCpuCores")

#define RESERVED_NETWORKS_FIELDS(X, T) X(T, STR, reserved_host_ports, "ReservedHostPorts")

#define RESERVED_RESOURCES_FIELDS(X, T)                                                  \
	X(T, OBJ(reserved_cpu), cpu, "Cpu")                                              \
	X(T, OBJ(node_memory), memory, "Memory")                                         \
	X(T, OBJ(node_disk), disk, "Disk")                                               \
	X(T, OBJ(reserved_networks), networks, "Networks")

#define DRIVER_INFO_FIELDS(X, T)                                                         \
	X(T, MAP, attributes, "Attributes", .brackets = true)                            \
	X(T, BOOL, detected, "Detected")                                                 \
	X(T, BOOL, healthy, "Healthy")                                                   \
	X(T, STR, health_description, "HealthDescription")                               \
	X(T, TIME, update_time, "UpdateTime")

#define NODE_EVENT_FIELDS(X, T)                                                          \
	X(T, STR, message, "Message")                                                    \
	X(T, STR, subsystem, "Subsystem")                                                \
	X(T, MAP, details, "Details")                                                    \
	X(T, TIME, timestamp, "Timestamp")                                               \
	X(T, INT, create_index, "CreateIndex")

#define DRAIN_STRATEGY_FIELDS(X, T)                                                      \
	X(T, DUR, deadline, "Deadline")                                                  \
	X(T, BOOL, ignore_system_jobs, "IgnoreSystemJobs")                               \
	X(T, TIME, force_deadline, "ForceDeadline")                                      \
	X(T, TIME, started_at, "StartedAt")

#define DRAIN_METADATA_FIELDS(X, T)                                                      \
	X(T, TIME, started_at, "StartedAt")                                              \
	X(T, TIME, updated_at, "UpdatedAt")                                              \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, accessor_id, "AccessorID")                                             \
	X(T, MAP, meta, "Meta")

#define HOST_VOLUME_FIELDS(X, T)                                                         \
	X(T, STR, path, "Path")                                                          \
	X(T, BOOL, read_only, "ReadOnly")                                                \
	X(T, STR, id, "ID")

#define NODE_FIELDS(X, T)                                                                \
	X(T, STR, id, "ID", .required = true)                                            \
	X(T, STR, secret_id, "SecretID", .secret = true)                                 \
	X(T, STR, datacenter, "Datacenter", .required = true)                            \
	X(T, STR, name, "Name", .required = true)                                        \
	X(T, STR, http_addr, "HTTPAddr")                                                 \
	X(T, BOOL, tls_enabled, "TLSEnabled")                                            \
	X(T, MAP, attributes, "Attributes", .brackets = true)                            \
	X(T, OBJ(node_resources), node_resources, "NodeResources")                       \
	X(T, OBJ(reserved_resources), reserved_resources, "ReservedResources")           \
	X(T, MAP, links, "Links", .brackets = true)                                      \
	X(T, MAP, meta, "Meta", .brackets = true)                                        \
	X(T, STR, node_class, "NodeClass")                                               \
	X(T, STR, node_pool, "NodePool", .dflt_str = "default")                          \
	X(T, STR, computed_class, "ComputedClass")                                       \
	X(T, STR, cgroup_parent, "CgroupParent")                                         \
	X(T, BOOL, drain, "Drain")                                                       \
	X(T, OBJ(drain_strategy), drain_strategy, "DrainStrategy")                       \
	X(T, STR, scheduling_eligibility, "SchedulingEligibility")                       \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, status_description, "StatusDescription")                               \
	X(T, INT, status_updated_at, "StatusUpdatedAt")                                  \
	X(T, LIST(node_event), events, "Events", .brackets = true)                       \
	X(T, OBJMAP(driver_info), drivers, "Drivers", .brackets = true)                  \
	X(T, OBJMAP(host_volume), host_volumes, "HostVolumes", .brackets = true)         \
	X(T, ANY, host_networks, "HostNetworks")                                         \
	X(T, ANY, csi_controller_plugins, "CSIControllerPlugins", .brackets = true)      \
	X(T, ANY, csi_node_plugins, "CSINodePlugins", .brackets = true)                  \
	X(T, OBJ(drain_metadata), last_drain, "LastDrain")                               \
	X(T, INT, last_missed_heartbeat_index, "LastMissedHeartbeatIndex")               \
	X(T, INT, last_alloc_update_index, "LastAllocUpdateIndex")                       \
	X(T, INT, node_max_allocs, "NodeMaxAllocs")                                      \
	X(T, BOOL, gc_volumes_on_node_gc, "GCVolumesOnNodeGC")                           \
	X(T, STR, identity_signing_key_id, "IdentitySigningKeyID")                       \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

#define NODE_STUB_FIELDS(X, T)                                                           \
	X(T, STR, address, "Address")                                                    \
	X(T, STR, id, "ID")                                                              \
	X(T, MAP, attributes, "Attributes", .omit = true)                                \
	X(T, STR, datacenter, "Datacenter")                                              \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, node_class, "NodeClass")                                               \
	X(T, STR, node_pool, "NodePool")                                                 \
	X(T, STR, version, "Version")                                                    \
	X(T, BOOL, drain, "Drain")                                                       \
	X(T, STR, scheduling_eligibility, "SchedulingEligibility")                       \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, status_description, "StatusDescription")                               \
	X(T, OBJMAP(driver_info), drivers, "Drivers", .brackets = true)                  \
	X(T, OBJMAP(host_volume), host_volumes, "HostVolumes", .brackets = true)         \
	X(T, OBJ(node_resources), node_resources, "NodeResources", .omit = true)         \
	X(T, OBJ(reserved_resources), reserved_resources, "ReservedResources", .omit = true) \
	X(T, OBJ(drain_metadata), last_drain, "LastDrain")                               \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

OBJECT_DECLARE(node_cpu, NODE_CPU_FIELDS);
OBJECT_DECLARE(node_memory, NODE_MEMORY_FIELDS);
OBJECT_DECLARE(node_disk, NODE_DISK_FIELDS);
OBJECT_DECLARE(node_address, NODE_ADDRESS_FIELDS);
OBJECT_DECLARE(node_network, NODE_NETWORK_FIELDS);
OBJECT_DECLARE(node_core, NODE_CORE_FIELDS);
OBJECT_DECLARE(node_topology, NODE_TOPOLOGY_FIELDS);
OBJECT_DECLARE(node_processors, NODE_PROCESSORS_FIELDS);
OBJECT_DECLARE(node_resources, NODE_RESOURCES_FIELDS);
OBJECT_DECLARE(reserved_cpu, RESERVED_CPU_FIELDS);
OBJECT_DECLARE(reserved_networks, RESERVED_NETWORKS_FIELDS);
OBJECT_DECLARE(reserved_resources, RESERVED_RESOURCES_FIELDS);
OBJECT_DECLARE(driver_info, DRIVER_INFO_FIELDS);
OBJECT_DECLARE(node_event, NODE_EVENT_FIELDS);
OBJECT_DECLARE(drain_strategy, DRAIN_STRATEGY_FIELDS);
OBJECT_DECLARE(drain_metadata, DRAIN_METADATA_FIELDS);
OBJECT_DECLARE(host_volume, HOST_VOLUME_FIELDS);
OBJECT_DECLARE(node, NODE_FIELDS);
OBJECT_DECLARE(node_stub, NODE_STUB_FIELDS);

#define NODE_STATUS_LIST(X) X(INIT, "initializing") X(READY, "ready") X(DOWN, "down") X(DISCONNECTED, "disconnected")
#define NODE_STATUS_ENUM(id, text) NODE_STATUS_##id,
STATUS_DECLARE(node_status, NODE_STATUS, NODE_STATUS_LIST);

#endif /* PROTO_NODE_H_ */
