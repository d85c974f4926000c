/**
 * The agent's configuration: what files and flags say, with Nomad's names, and what follows from it.
 *
 *     config_init()       defaults
 *     config_dev()        those of -dev, if asked for
 *     config_read()       each -config file or directory, laid over what is there, in the order given
 *     config_set()        each flag
 *     config_finish()     what was left open: names, directories, addresses; then every rule is checked
 *
 * All faults go to one report, with file, line and key; a start goes on only if there was none. From then on the
 * configuration is read only, and all its parts are there: no section is NULL unless its comment says so.
 *
 * Names in the lists below: the API's (GET /v1/agent/self) in quotes; in files the member's name unless .hcl says
 * otherwise. Members marked .server come from this program, not from files.
 */
#ifndef CLI_CONFIG_H_
#define CLI_CONFIG_H_

#include "proto/cluster.h"
#include "proto/hcl_decode.h"
#include "proto/object.h"

/* The version of Nomad's API that is served; what clients are told where they ask for the version. */
#define CONFIG_API_VERSION "2.0.6"

#define CONFIG_S INT64_C(1000000000)
#define CONFIG_MS INT64_C(1000000)
#define CONFIG_MIN (60 * CONFIG_S)
#define CONFIG_HOUR (60 * CONFIG_MIN)
#define CONFIG_LONG (INT64_C(100000) * CONFIG_HOUR) /* The bound of durations that have no better one. */

/* Limits of fields: a count, a duration that may be zero, one that may not. */
#define CONFIG_COUNT .min = 0, .max = INT32_MAX
#define CONFIG_SPAN .min = 0, .max = CONFIG_LONG
#define CONFIG_PERIOD .min = CONFIG_MS, .max = CONFIG_LONG

#define AGENT_PORTS_FIELDS(X, T)                                                                                       \
	X(T, INT, http, "HTTP", .dflt = 4646, .min = 1, .max = 65535)                                                  \
	X(T, INT, rpc, "RPC", .dflt = 4647, .min = 1, .max = 65535)                                                    \
	X(T, INT, serf, "Serf", .dflt = 4648, .min = 1, .max = 65535)

/* addresses: hosts to bind to; after config_finish() never empty. advertise: "host:port", likewise. */
#define AGENT_ADDRESSES_FIELDS(X, T)                                                                                   \
	X(T, STR, http, "HTTP")                                                                                        \
	X(T, STR, rpc, "RPC")                                                                                          \
	X(T, STR, serf, "Serf")

#define AGENT_SERVER_JOIN_FIELDS(X, T)                                                                                 \
	X(T, STRS, retry_join, "RetryJoin")                                                                            \
	X(T, STRS, start_join, "StartJoin")                                                                            \
	X(T, INT, retry_max, "RetryMaxAttempts", CONFIG_COUNT)                                                         \
	X(T, DUR, retry_interval, "RetryInterval", .dflt = 30 * CONFIG_S, CONFIG_PERIOD)

#define AGENT_PLAN_REJECTION_TRACKER_FIELDS(X, T)                                                                      \
	X(T, BOOL, enabled, "Enabled")                                                                                 \
	X(T, INT, node_threshold, "NodeThreshold", .dflt = 100, .min = 1, .max = INT32_MAX)                            \
	X(T, DUR, node_window, "NodeWindow", .dflt = 5 * CONFIG_MIN, .min = CONFIG_S, .max = CONFIG_LONG)

#define AGENT_SEARCH_FIELDS(X, T)                                                                                      \
	X(T, BOOL, fuzzy_enabled, "FuzzyEnabled", .dflt = true)                                                        \
	X(T, INT, limit_query, "LimitQuery", .dflt = 20, .min = 1, .max = INT32_MAX)                                   \
	X(T, INT, limit_results, "LimitResults", .dflt = 100, .min = 1, .max = INT32_MAX)                              \
	X(T, INT, min_term_length, "MinTermLength", .dflt = 2, .min = 1, .max = INT32_MAX)

#define AGENT_SERVER_FIELDS(X, T)                                                                                      \
	X(T, BOOL, enabled, "Enabled")                                                                                 \
	X(T, STR, authoritative_region, "AuthoritativeRegion")                                                         \
	X(T, INT, bootstrap_expect, "BootstrapExpect", .min = 0, .max = 99)                                            \
	X(T, STR, data_dir, "DataDir")                                                                                 \
	X(T, INT, raft_protocol, "RaftProtocol", .dflt = 3, .min = 3, .max = 3)                                        \
	X(T, INT, raft_multiplier, "RaftMultiplier", .min = 0, .max = 10)                                              \
	X(T, OPTINT, num_schedulers, "NumSchedulers", .min = 0, .max = 256)                                            \
	X(T, STRS, enabled_schedulers, "EnabledSchedulers")                                                            \
	X(T, DUR, node_gc_threshold, "NodeGCThreshold", .dflt = 24 * CONFIG_HOUR, CONFIG_SPAN)                         \
	X(T, DUR, job_gc_interval, "JobGCInterval", .dflt = 5 * CONFIG_MIN, CONFIG_PERIOD)                             \
	X(T, DUR, job_gc_threshold, "JobGCThreshold", .dflt = 4 * CONFIG_HOUR, CONFIG_SPAN)                            \
	X(T, DUR, eval_gc_threshold, "EvalGCThreshold", .dflt = CONFIG_HOUR, CONFIG_SPAN)                              \
	X(T, DUR, batch_eval_gc_threshold, "BatchEvalGCThreshold", .dflt = 24 * CONFIG_HOUR, CONFIG_SPAN)              \
	X(T, DUR, deployment_gc_threshold, "DeploymentGCThreshold", .dflt = CONFIG_HOUR, CONFIG_SPAN)                  \
	X(T, DUR, csi_volume_claim_gc_interval, "CSIVolumeClaimGCInterval", .dflt = 5 * CONFIG_MIN)                    \
	X(T, DUR, csi_volume_claim_gc_threshold, "CSIVolumeClaimGCThreshold", .dflt = CONFIG_HOUR)                     \
	X(T, DUR, csi_plugin_gc_threshold, "CSIPluginGCThreshold", .dflt = CONFIG_HOUR)                                \
	X(T, DUR, acl_token_gc_threshold, "ACLTokenGCThreshold", .dflt = CONFIG_HOUR, CONFIG_SPAN)                     \
	X(T, DUR, root_key_gc_interval, "RootKeyGCInterval", .dflt = 10 * CONFIG_MIN)                                  \
	X(T, DUR, root_key_gc_threshold, "RootKeyGCThreshold", .dflt = CONFIG_HOUR)                                    \
	X(T, DUR, root_key_rotation_threshold, "RootKeyRotationThreshold", .dflt = 720 * CONFIG_HOUR)                  \
	X(T, DUR, heartbeat_grace, "HeartbeatGrace", .dflt = 10 * CONFIG_S, CONFIG_SPAN)                               \
	X(T, DUR, min_heartbeat_ttl, "MinHeartbeatTTL", .dflt = 10 * CONFIG_S, CONFIG_PERIOD)                          \
	X(T, NUM, max_heartbeats_per_second, "MaxHeartbeatsPerSecond", .dflt = 50)                                     \
	X(T, DUR, failover_heartbeat_ttl, "FailoverHeartbeatTTL", .dflt = 5 * CONFIG_MIN, CONFIG_PERIOD)               \
	X(T, STRS, start_join, "StartJoin")                                                                            \
	X(T, STRS, retry_join, "RetryJoin")                                                                            \
	X(T, INT, retry_max, "RetryMaxAttempts", CONFIG_COUNT)                                                         \
	X(T, DUR, retry_interval, "RetryInterval", CONFIG_SPAN)                                                        \
	X(T, BOOL, rejoin_after_leave, "RejoinAfterLeave")                                                             \
	X(T, BOOL, non_voting_server, "NonVotingServer")                                                               \
	X(T, STR, redundancy_zone, "RedundancyZone")                                                                   \
	X(T, STR, upgrade_version, "UpgradeVersion")                                                                   \
	X(T, STR, encrypt, "EncryptKey", .secret = true)                                                               \
	X(T, OBJ(agent_server_join), server_join, "ServerJoin")                                                        \
	X(T, OBJ(scheduler_config), default_scheduler_config, "DefaultSchedulerConfig", .omit = true)                  \
	X(T, OBJ(agent_plan_rejection_tracker), plan_rejection_tracker, "PlanRejectionTracker")                        \
	X(T, BOOL, enable_event_broker, "EnableEventBroker", .dflt = true)                                             \
	X(T, INT, event_buffer_size, "EventBufferSize", .dflt = 100, .min = 0, .max = 1000000)                         \
	X(T, STR, license_path, "LicensePath")                                                                         \
	X(T, OBJ(agent_search), search, "Search")                                                                      \
	X(T, INT, deployment_query_rate_limit, "DeploymentQueryRateLimit")                                             \
	X(T, ANY, raft_boltdb, "RaftBoltConfig")                                                                       \
	X(T, ANY, raft_logstore, "RaftLogStoreConfig")                                                                 \
	X(T, INT, raft_snapshot_threshold, "RaftSnapshotThreshold", CONFIG_COUNT)                                      \
	X(T, DUR, raft_snapshot_interval, "RaftSnapshotInterval")                                                      \
	X(T, INT, raft_trailing_logs, "RaftTrailingLogs", CONFIG_COUNT)                                                \
	X(T, INT, job_default_priority, "JobDefaultPriority", .dflt = 50, .min = 50, .max = 32766)                     \
	X(T, INT, job_max_priority, "JobMaxPriority", .dflt = 100, .min = 100, .max = 32766)                           \
	X(T, INT, job_max_count, "JobMaxCount", .dflt = 50000, CONFIG_COUNT)                                           \
	X(T, STR, job_max_source_size, "JobMaxSourceSize", .dflt_str = "1M")                                           \
	X(T, INT, job_tracked_versions, "JobTrackedVersions", .dflt = 6, .min = 1, .max = 1000)                        \
	X(T, STR, oidc_issuer, "OIDCIssuer")                                                                           \
	X(T, ANY, client_introduction, "ClientIntroduction")                                                           \
	X(T, DUR, start_timeout, "StartTimeout", .dflt = 30 * CONFIG_S, .min = CONFIG_S, .max = CONFIG_LONG)           \
	X(T, STR, wrapping_key_file, "WrappingKeyFile")

/* Ours: the timing and the sizes of the replicated log. */
#define AGENT_RAFT_FIELDS(X, T)                                                                                        \
	X(T, DUR, election_timeout, "ElectionTimeout", .dflt = 200 * CONFIG_MS, .min = 50 * CONFIG_MS,                 \
	  .max = 60 * CONFIG_S)                                                                                        \
	X(T, DUR, heartbeat_interval, "HeartbeatInterval", .dflt = 40 * CONFIG_MS, .min = 10 * CONFIG_MS,              \
	  .max = 10 * CONFIG_S)                                                                                        \
	X(T, STR, snapshot_size, "SnapshotSize", .dflt_str = "16MiB")                                                  \
	X(T, STR, trailing_size, "TrailingSize", .dflt_str = "4MiB")

#define AGENT_RESERVED_FIELDS(X, T)                                                                                    \
	X(T, INT, cpu, "CPU", CONFIG_COUNT)                                                                            \
	X(T, INT, memory, "MemoryMB", CONFIG_COUNT)                                                                    \
	X(T, INT, disk, "DiskMB", CONFIG_COUNT)                                                                        \
	X(T, STR, reserved_ports, "ReservedPorts")                                                                     \
	X(T, STR, cores, "Cores")

#define AGENT_HOST_VOLUME_FIELDS(X, T)                                                                                 \
	X(T, STR, name, "Name", .label = true)                                                                         \
	X(T, STR, path, "Path")                                                                                        \
	X(T, BOOL, read_only, "ReadOnly")

#define AGENT_HOST_NETWORK_FIELDS(X, T)                                                                                \
	X(T, STR, name, "Name", .label = true)                                                                         \
	X(T, STR, cidr, "CIDR")                                                                                        \
	X(T, STR, interface, "Interface")                                                                              \
	X(T, STR, reserved_ports, "ReservedPorts")

#define AGENT_DRAIN_FIELDS(X, T)                                                                                       \
	X(T, DUR, deadline, "Deadline", .dflt = CONFIG_HOUR, CONFIG_SPAN)                                              \
	X(T, BOOL, force, "Force")                                                                                     \
	X(T, BOOL, ignore_system_jobs, "IgnoreSystemJobs")

#define AGENT_USERS_FIELDS(X, T)                                                                                       \
	X(T, INT, dynamic_user_min, "MinDynamicUser", .dflt = 80000, CONFIG_COUNT)                                     \
	X(T, INT, dynamic_user_max, "MaxDynamicUser", .dflt = 89999, CONFIG_COUNT)

#define AGENT_CLIENT_FIELDS(X, T)                                                                                      \
	X(T, BOOL, enabled, "Enabled")                                                                                 \
	X(T, STR, state_dir, "StateDir")                                                                               \
	X(T, STR, alloc_dir, "AllocDir")                                                                               \
	X(T, STR, alloc_mounts_dir, "AllocMountsDir")                                                                  \
	X(T, STRS, servers, "Servers")                                                                                 \
	X(T, STR, node_class, "NodeClass")                                                                             \
	X(T, STR, node_pool, "NodePool", .dflt_str = "default")                                                        \
	X(T, MAP, options, "Options")                                                                                  \
	X(T, MAP, meta, "Meta")                                                                                        \
	X(T, MAP, chroot_env, "ChrootEnv")                                                                             \
	X(T, STR, network_interface, "NetworkInterface")                                                               \
	X(T, STR, preferred_address_family, "PreferredAddressFamily")                                                  \
	X(T, INT, network_speed, "NetworkSpeed", CONFIG_COUNT)                                                         \
	X(T, INT, cpu_total_compute, "CpuCompute", CONFIG_COUNT)                                                       \
	X(T, BOOL, cpu_disable_dmidecode, "CpuDisableDmidecode")                                                       \
	X(T, INT, memory_total_mb, "MemoryMB", CONFIG_COUNT)                                                           \
	X(T, INT, disk_total_mb, "DiskTotalMB", .min = 0, .max = INT64_C(1) << 40)                                     \
	X(T, INT, disk_free_mb, "DiskFreeMB", .min = 0, .max = INT64_C(1) << 40)                                       \
	X(T, OBJ(agent_reserved), reserved, "Reserved")                                                                \
	X(T, DUR, max_kill_timeout, "MaxKillTimeout", .dflt = 30 * CONFIG_S, CONFIG_SPAN)                              \
	X(T, STR, client_max_port, "ClientMaxPort")                                                                    \
	X(T, STR, client_min_port, "ClientMinPort")                                                                    \
	X(T, INT, min_dynamic_port, "MinDynamicPort", .dflt = 20000, .min = 1, .max = 65535)                           \
	X(T, INT, max_dynamic_port, "MaxDynamicPort", .dflt = 32000, .min = 1, .max = 65535)                           \
	X(T, BOOL, disable_remote_exec, "DisableRemoteExec")                                                           \
	X(T, OBJ(agent_server_join), server_join, "ServerJoin")                                                        \
	X(T, DUR, gc_interval, "GCInterval", .dflt = CONFIG_MIN, .min = CONFIG_S, .max = CONFIG_LONG)                  \
	X(T, INT, gc_parallel_destroys, "GCParallelDestroys", .dflt = 2, .min = 1, .max = 64)                          \
	X(T, NUM, gc_disk_usage_threshold, "GCDiskUsageThreshold", .dflt = 80)                                         \
	X(T, NUM, gc_inode_usage_threshold, "GCInodeUsageThreshold", .dflt = 70)                                       \
	X(T, INT, gc_max_allocs, "GCMaxAllocs", .dflt = 50, CONFIG_COUNT)                                              \
	X(T, BOOL, gc_volumes_on_node_gc, "GCVolumesOnNodeGC")                                                         \
	X(T, BOOL, no_host_uuid, "NoHostUUID", .dflt = true)                                                           \
	X(T, INT, node_max_allocs, "NodeMaxAllocs", CONFIG_COUNT)                                                      \
	X(T, OBJMAP(agent_host_volume), host_volume, "HostVolumes")                                                    \
	X(T, STR, host_volume_plugin_dir, "HostVolumePluginDir")                                                       \
	X(T, STR, host_volumes_dir, "HostVolumesDir")                                                                  \
	X(T, OBJMAP(agent_host_network), host_network, "HostNetworks")                                                 \
	X(T, BOOL, bind_wildcard_default_host_network, "BindWildcardDefaultHostNetwork", .dflt = true)                 \
	X(T, STR, cni_path, "CNIPath", .dflt_str = "/opt/cni/bin")                                                     \
	X(T, STR, cni_config_dir, "CNIConfigDir", .dflt_str = "/opt/cni/config")                                       \
	X(T, STR, bridge_network_name, "BridgeNetworkName", .dflt_str = "nomad")                                       \
	X(T, STR, bridge_network_subnet, "BridgeNetworkSubnet")                                                        \
	X(T, STR, bridge_network_subnet_ipv6, "BridgeNetworkSubnetIPv6")                                               \
	X(T, BOOL, bridge_network_hairpin_mode, "BridgeNetworkHairpinMode")                                            \
	X(T, STR, cgroup_parent, "CgroupParent")                                                                       \
	X(T, BOOL, nomad_service_discovery, "NomadServiceDiscovery", .dflt = true)                                     \
	X(T, OBJ(agent_drain), drain_on_shutdown, "Drain", .omit = true)                                               \
	X(T, OBJ(agent_users), users, "Users")                                                                         \
	X(T, ANY, template, "Template")                                                                                \
	X(T, ANY, artifact, "Artifact")                                                                                \
	X(T, ANY, fingerprint, "Fingerprinters")                                                                       \
	X(T, STR, common_plugin_dir, "CommonPluginDir")                                                                \
	X(T, STR, intro_token, "IntroToken", .secret = true)

#define AGENT_PLUGIN_FIELDS(X, T)                                                                                      \
	X(T, STR, name, "Name", .label = true)                                                                         \
	X(T, STRS, args, "Args")                                                                                       \
	X(T, ANY, config, "Config")

#define AGENT_ACL_FIELDS(X, T)                                                                                         \
	X(T, BOOL, enabled, "Enabled")                                                                                 \
	X(T, DUR, token_ttl, "TokenTTL", .dflt = 30 * CONFIG_S, CONFIG_SPAN)                                           \
	X(T, DUR, policy_ttl, "PolicyTTL", .dflt = 30 * CONFIG_S, CONFIG_SPAN)                                         \
	X(T, DUR, role_ttl, "RoleTTL", .dflt = 30 * CONFIG_S, CONFIG_SPAN)                                             \
	X(T, STR, replication_token, "ReplicationToken", .secret = true)                                               \
	X(T, DUR, token_min_expiration_ttl, "TokenMinExpirationTTL", .dflt = CONFIG_MIN, CONFIG_SPAN)                  \
	X(T, DUR, token_max_expiration_ttl, "TokenMaxExpirationTTL", .dflt = 24 * CONFIG_HOUR, CONFIG_SPAN)

#define AGENT_TLS_FIELDS(X, T)                                                                                         \
	X(T, BOOL, http, "EnableHTTP")                                                                                 \
	X(T, BOOL, rpc, "EnableRPC")                                                                                   \
	X(T, BOOL, verify_server_hostname, "VerifyServerHostname")                                                     \
	X(T, STR, ca_file, "CAFile")                                                                                   \
	X(T, STR, cert_file, "CertFile")                                                                               \
	X(T, STR, key_file, "KeyFile")                                                                                 \
	X(T, BOOL, rpc_upgrade_mode, "RPCUpgradeMode")                                                                 \
	X(T, BOOL, verify_https_client, "VerifyHTTPSClient")                                                           \
	X(T, STR, tls_cipher_suites, "TLSCipherSuites")                                                                \
	X(T, STR, tls_min_version, "TLSMinVersion")                                                                    \
	X(T, BOOL, tls_prefer_server_cipher_suites, "TLSPreferServerCipherSuites")

#define AGENT_TELEMETRY_FIELDS(X, T)                                                                                   \
	X(T, STR, statsite_address, "StatsiteAddr")                                                                    \
	X(T, STR, statsd_address, "StatsdAddr")                                                                        \
	X(T, STR, datadog_address, "DataDogAddr")                                                                      \
	X(T, STRS, datadog_tags, "DataDogTags")                                                                        \
	X(T, BOOL, prometheus_metrics, "PrometheusMetrics")                                                            \
	X(T, BOOL, disable_hostname, "DisableHostname")                                                                \
	X(T, BOOL, use_node_name, "UseNodeName")                                                                       \
	X(T, DUR, collection_interval, "CollectionInterval", .dflt = CONFIG_S, CONFIG_PERIOD)                          \
	X(T, DUR, in_memory_collection_interval, "InMemoryCollectionInterval", .dflt = 10 * CONFIG_S)                  \
	X(T, DUR, in_memory_retention_period, "InMemoryRetentionPeriod", .dflt = CONFIG_MIN)                           \
	X(T, BOOL, publish_allocation_metrics, "PublishAllocationMetrics")                                             \
	X(T, BOOL, publish_node_metrics, "PublishNodeMetrics")                                                         \
	X(T, BOOL, include_alloc_metadata_in_metrics, "IncludeAllocMetadataInMetrics")                                 \
	X(T, STRS, allowed_metadata_keys_in_metrics, "AllowedMetadataKeysInMetrics")                                   \
	X(T, STRS, prefix_filter, "PrefixFilter")                                                                      \
	X(T, OPTBOOL, filter_default, "FilterDefault")                                                                 \
	X(T, BOOL, disable_dispatched_job_summary_metrics, "DisableDispatchedJobSummaryMetrics")                       \
	X(T, BOOL, disable_quota_utilization_metrics, "DisableQuotaUtilizationMetrics")                                \
	X(T, BOOL, disable_allocation_hook_metrics, "DisableAllocationHookMetrics")                                    \
	X(T, BOOL, disable_rpc_rate_metrics_labels, "DisableRPCRateMetricsLabels")

#define AGENT_LIMITS_FIELDS(X, T)                                                                                      \
	X(T, DUR, https_handshake_timeout, "HTTPSHandshakeTimeout", .dflt = 5 * CONFIG_S, CONFIG_SPAN)                 \
	X(T, INT, http_max_conns_per_client, "HTTPMaxConnsPerClient", .dflt = 100, CONFIG_COUNT)                       \
	X(T, NUM, http_request_rate_per_client, "HTTPRequestRatePerClient")                                            \
	X(T, INT, http_request_burst_per_client, "HTTPRequestBurstPerClient", .min = 0, .max = 1000000)                \
	X(T, DUR, rpc_handshake_timeout, "RPCHandshakeTimeout", .dflt = 5 * CONFIG_S, CONFIG_SPAN)                     \
	X(T, INT, rpc_max_conns_per_client, "RPCMaxConnsPerClient", .dflt = 100, CONFIG_COUNT)                         \
	X(T, NUM, rpc_default_write_rate, "RPCDefaultWriteRate")                                                       \
	X(T, NUM, rpc_default_read_rate, "RPCDefaultReadRate")                                                         \
	X(T, NUM, rpc_default_list_rate, "RPCDefaultListRate")

#define AGENT_UI_LABEL_FIELDS(X, T)                                                                                    \
	X(T, STR, text, "Text")                                                                                        \
	X(T, STR, background_color, "BackgroundColor")                                                                 \
	X(T, STR, text_color, "TextColor")

#define AGENT_UI_LINK_FIELDS(X, T) X(T, STR, ui_url, "BaseUIURL")

#define AGENT_UI_FIELDS(X, T)                                                                                          \
	X(T, BOOL, enabled, "Enabled", .dflt = true)                                                                   \
	X(T, BOOL, show_cli_hints, "ShowCLIHints", .dflt = true)                                                       \
	X(T, OBJ(agent_ui_label), label, "Label")                                                                      \
	X(T, OBJ(agent_ui_link), consul, "Consul")                                                                     \
	X(T, OBJ(agent_ui_link), vault, "Vault")                                                                       \
	X(T, ANY, content_security_policy, "ContentSecurityPolicy")

#define AGENT_AUTOPILOT_FIELDS(X, T)                                                                                   \
	X(T, BOOL, cleanup_dead_servers, "CleanupDeadServers", .dflt = true)                                           \
	X(T, DUR, last_contact_threshold, "LastContactThreshold", .dflt = 200 * CONFIG_MS)                             \
	X(T, INT, max_trailing_logs, "MaxTrailingLogs", .dflt = 250, CONFIG_COUNT)                                     \
	X(T, INT, min_quorum, "MinQuorum", .min = 0, .max = 99)                                                        \
	X(T, DUR, server_stabilization_time, "ServerStabilizationTime", .dflt = 10 * CONFIG_S)                         \
	X(T, BOOL, enable_redundancy_zones, "EnableRedundancyZones")                                                   \
	X(T, BOOL, disable_upgrade_migration, "DisableUpgradeMigration")                                               \
	X(T, BOOL, enable_custom_upgrades, "EnableCustomUpgrades")

#define AGENT_VERSION_FIELDS(X, T)                                                                                     \
	X(T, STR, version, "Version", .dflt_str = CONFIG_API_VERSION)                                                  \
	X(T, STR, prerelease, "VersionPrerelease")                                                                     \
	X(T, STR, metadata, "VersionMetadata")                                                                         \
	X(T, STR, revision, "Revision")

#define AGENT_CONFIG_FIELDS(X, T)                                                                                      \
	X(T, STR, region, "Region", .dflt_str = "global")                                                              \
	X(T, STR, datacenter, "Datacenter", .dflt_str = "dc1")                                                         \
	X(T, STR, name, "NodeName")                                                                                    \
	X(T, STR, data_dir, "DataDir")                                                                                 \
	X(T, STR, plugin_dir, "PluginDir")                                                                             \
	X(T, STR, log_level, "LogLevel", .dflt_str = "INFO")                                                           \
	X(T, BOOL, log_json, "LogJson")                                                                                \
	X(T, STR, log_file, "LogFile")                                                                                 \
	X(T, BOOL, log_include_location, "LogIncludeLocation")                                                         \
	X(T, DUR, log_rotate_duration, "LogRotateDuration", .dflt = 24 * CONFIG_HOUR)                                  \
	X(T, INT, log_rotate_bytes, "LogRotateBytes", .min = 0, .max = INT64_MAX)                                      \
	X(T, INT, log_rotate_max_files, "LogRotateMaxFiles", CONFIG_COUNT)                                             \
	X(T, STR, bind_addr, "BindAddr", .dflt_str = "0.0.0.0")                                                        \
	X(T, BOOL, enable_debug, "EnableDebug")                                                                        \
	X(T, OBJ(agent_ports), ports, "Ports")                                                                         \
	X(T, OBJ(agent_addresses), addresses, "Addresses")                                                             \
	X(T, OBJ(agent_addresses), advertise, "AdvertiseAddrs")                                                        \
	X(T, OBJ(agent_client), client, "Client")                                                                      \
	X(T, OBJ(agent_server), server, "Server")                                                                      \
	X(T, OBJ(agent_raft), raft, "Raft")                                                                            \
	X(T, OBJ(agent_acl), acl, "ACL")                                                                               \
	X(T, OBJ(agent_telemetry), telemetry, "Telemetry")                                                             \
	X(T, BOOL, leave_on_interrupt, "LeaveOnInt")                                                                   \
	X(T, BOOL, leave_on_terminate, "LeaveOnTerm")                                                                  \
	X(T, BOOL, enable_syslog, "EnableSyslog")                                                                      \
	X(T, STR, syslog_facility, "SyslogFacility", .dflt_str = "LOCAL0")                                             \
	X(T, BOOL, disable_update_check, "DisableUpdateCheck")                                                         \
	X(T, BOOL, disable_anonymous_signature, "DisableAnonymousSignature")                                           \
	X(T, ANY, consul, "Consul", .secret = true)                                                                    \
	X(T, ANY, vault, "Vault", .secret = true)                                                                      \
	X(T, OBJ(agent_ui), ui, "UI")                                                                                  \
	X(T, OBJ(agent_tls), tls, "TLSConfig")                                                                         \
	X(T, MAP, http_api_response_headers, "HTTPAPIResponseHeaders")                                                 \
	X(T, ANY, sentinel, "Sentinel")                                                                                \
	X(T, OBJ(agent_autopilot), autopilot, "Autopilot")                                                             \
	X(T, LIST(agent_plugin), plugin, "Plugins", .brackets = true)                                                  \
	X(T, OBJ(agent_limits), limits, "Limits")                                                                      \
	X(T, ANY, audit, "Audit")                                                                                      \
	X(T, ANY, reporting, "Reporting")                                                                              \
	X(T, ANY, keyring, "KEKProviders", .secret = true)                                                             \
	X(T, ANY, rpc, "RPC")                                                                                          \
	X(T, ANY, eventlog, "Eventlog")                                                                                \
	X(T, OBJ(agent_version), version, "Version", .server = true)                                                   \
	X(T, STRS, files, "Files", .server = true)                                                                     \
	X(T, BOOL, dev_mode, "DevMode", .server = true)

OBJECT_DECLARE(agent_ports, AGENT_PORTS_FIELDS);
OBJECT_DECLARE(agent_addresses, AGENT_ADDRESSES_FIELDS);
OBJECT_DECLARE(agent_server_join, AGENT_SERVER_JOIN_FIELDS);
OBJECT_DECLARE(agent_plan_rejection_tracker, AGENT_PLAN_REJECTION_TRACKER_FIELDS);
OBJECT_DECLARE(agent_search, AGENT_SEARCH_FIELDS);
OBJECT_DECLARE(agent_server, AGENT_SERVER_FIELDS);
OBJECT_DECLARE(agent_raft, AGENT_RAFT_FIELDS);
OBJECT_DECLARE(agent_reserved, AGENT_RESERVED_FIELDS);
OBJECT_DECLARE(agent_host_volume, AGENT_HOST_VOLUME_FIELDS);
OBJECT_DECLARE(agent_host_network, AGENT_HOST_NETWORK_FIELDS);
OBJECT_DECLARE(agent_drain, AGENT_DRAIN_FIELDS);
OBJECT_DECLARE(agent_users, AGENT_USERS_FIELDS);
OBJECT_DECLARE(agent_client, AGENT_CLIENT_FIELDS);
OBJECT_DECLARE(agent_plugin, AGENT_PLUGIN_FIELDS);
OBJECT_DECLARE(agent_acl, AGENT_ACL_FIELDS);
OBJECT_DECLARE(agent_tls, AGENT_TLS_FIELDS);
OBJECT_DECLARE(agent_telemetry, AGENT_TELEMETRY_FIELDS);
OBJECT_DECLARE(agent_limits, AGENT_LIMITS_FIELDS);
OBJECT_DECLARE(agent_ui_label, AGENT_UI_LABEL_FIELDS);
OBJECT_DECLARE(agent_ui_link, AGENT_UI_LINK_FIELDS);
OBJECT_DECLARE(agent_ui, AGENT_UI_FIELDS);
OBJECT_DECLARE(agent_autopilot, AGENT_AUTOPILOT_FIELDS);
OBJECT_DECLARE(agent_version, AGENT_VERSION_FIELDS);
OBJECT_DECLARE(agent_config, AGENT_CONFIG_FIELDS);

/* Defaults; all sections are there but default_scheduler_config and drain_on_shutdown. ERR_NOMEM or 0. */
int config_init(struct agent_config *c, struct arena *mem);

/* The defaults of -dev on top: a server and a client with raw_exec on the loopback. The caller sets data_dir. */
int config_dev(struct agent_config *c, struct arena *mem);

/* After the files: -dev is a server and a client whatever they say of these roles. Programs that make configuration files
 * write `"client": {"enabled": false}` for what they do not ask for, and mean -dev to win. */
void config_dev_roles(struct agent_config *c);

/* Lay a file, or the *.hcl and *.json files of a directory in the order of their names, over c. Faults are noted.
 * 0, ERR_INVALID if there were any, or ERR_NOMEM. */
int config_read(struct agent_config *c, const char *path, struct arena *mem, struct hcl_report *report);

/* Lay one value over c, as a flag does: `path` is "server.enabled"; `source` is what faults are told of ("-server").
 * A list takes texts with commas between, a map KEY=VALUE. Results as for config_read(). */
int config_set(struct agent_config *c, const char *source, const char *path, const char *value, struct arena *mem,
	       struct hcl_report *report);

/* Fill in what was left open (from the machine: its name and addresses) and check it all. */
int config_finish(struct agent_config *c, struct arena *mem, struct hcl_report *report);

/* Every rule that concerns more than one value by itself; part of config_finish(). */
void config_check(const struct agent_config *c, struct hcl_report *report);

/* As GET /v1/agent/self shows it, without secrets. ERR_NOMEM or 0. */
int config_json(const struct agent_config *c, struct buf *out);

/* The bytes of server.encrypt: 16, 24 or 32; 0: there is none, or it is none. */
enum { CONFIG_SECRET_MAX = 32 };
size_t config_encrypt_key(const char *text, unsigned char out[CONFIG_SECRET_MAX]);

/* A duration in milliseconds, as far as they go. */
uint32_t config_ms(int64_t ns);

/* Raft's timing in milliseconds, with raft_multiplier in it. */
unsigned config_election_ms(const struct agent_config *c);
unsigned config_heartbeat_ms(const struct agent_config *c);

/* Where this server may find others ("host:port"): all of its join lists, with the serf port where none is given. */
int config_server_peers(const struct agent_config *c, struct arena *mem, struct strs *out);

/* Where this client may find servers: likewise, with the RPC port; the agent's own server first, if it is one. */
int config_client_servers(const struct agent_config *c, struct arena *mem, struct strs *out);

#endif /* CLI_CONFIG_H_ */
