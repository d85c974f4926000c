/**
 * Jobs and everything nested in them, as the Jobs API documents them.
 *
 * Field lists: see proto/object.h. Defaults here hold for every job; those that
 * depend on the job's type (restart, reschedule, update) are job_canonicalize()'s.
 */
#ifndef PROTO_JOB_H_
#define PROTO_JOB_H_

#include "proto/cron.h"
#include "proto/object.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_MIN (60 * NS_PER_S)

#define CONSTRAINT_FIELDS(X, T)                                                                 \
	X(T, STR, l_target, "LTarget", .hcl = "attribute")                               \
	X(T, STR, r_target, "RTarget", .hcl = "value")                                   \
	X(T, STR, operand, "Operand", .hcl = "operator")

#define AFFINITY_FIELDS(X, T)                                                                   \
	X(T, STR, l_target, "LTarget", .hcl = "attribute")                               \
	X(T, STR, r_target, "RTarget", .hcl = "value")                                   \
	X(T, STR, operand, "Operand", .hcl = "operator", .dflt_str = "=")                \
	X(T, INT, weight, "Weight", .dflt = 50, .min = -100, .max = 100)

#define SPREAD_TARGET_FIELDS(X, T)                                                              \
	X(T, STR, value, "Value", .key = true, .label = true)                            \
	X(T, INT, percent, "Percent", .min = 0, .max = 100)

#define SPREAD_FIELDS(X, T)                                                                     \
	X(T, STR, attribute, "Attribute")                                                \
	X(T, INT, weight, "Weight", .dflt = 50, .min = 0, .max = 100)                    \
	X(T, LIST(spread_target), targets, "SpreadTarget", .hcl = "target", .diff = "SpreadTarget")

/* A field that is not given gets the default of the job's type from job_canonicalize(). */
#define RESTART_POLICY_FIELDS(X, T)                                                          \
	X(T, OPTINT, attempts, "Attempts")                                               \
	X(T, OPTDUR, interval, "Interval")                                               \
	X(T, OPTDUR, delay, "Delay")                                                     \
	X(T, STR, mode, "Mode")                                                          \
	X(T, OPTBOOL, render_templates, "RenderTemplates")

#define RESCHEDULE_POLICY_FIELDS(X, T)                                                          \
	X(T, OPTINT, attempts, "Attempts")                                               \
	X(T, OPTDUR, interval, "Interval")                                               \
	X(T, OPTDUR, delay, "Delay")                                                     \
	X(T, STR, delay_function, "DelayFunction")                                       \
	X(T, OPTDUR, max_delay, "MaxDelay")                                              \
	X(T, OPTBOOL, unlimited, "Unlimited")

#define EPHEMERAL_DISK_FIELDS(X, T)                                                             \
	X(T, BOOL, sticky, "Sticky")                                                     \
	X(T, INT, size_mb, "SizeMB", .dflt = 300, .hcl = "size")                         \
	X(T, BOOL, migrate, "Migrate")

#define UPDATE_STRATEGY_FIELDS(X, T)                                                            \
	X(T, OPTDUR, stagger, "Stagger", .quiet = true)                                                 \
	X(T, OPTINT, max_parallel, "MaxParallel")                                        \
	X(T, STR, health_check, "HealthCheck")                                           \
	X(T, OPTDUR, min_healthy_time, "MinHealthyTime")                                 \
	X(T, OPTDUR, healthy_deadline, "HealthyDeadline")                                \
	X(T, OPTDUR, progress_deadline, "ProgressDeadline")                              \
	X(T, OPTBOOL, auto_revert, "AutoRevert")                                         \
	X(T, OPTBOOL, auto_promote, "AutoPromote")                                       \
	X(T, OPTINT, canary, "Canary")

#define MIGRATE_STRATEGY_FIELDS(X, T)                                                           \
	X(T, OPTINT, max_parallel, "MaxParallel")                                        \
	X(T, STR, health_check, "HealthCheck")                                           \
	X(T, OPTDUR, min_healthy_time, "MinHealthyTime")                                 \
	X(T, OPTDUR, healthy_deadline, "HealthyDeadline")

#define DISCONNECT_STRATEGY_FIELDS(X, T)                                                        \
	X(T, OPTDUR, lost_after, "LostAfter")                                            \
	X(T, OPTBOOL, replace, "Replace")                                                \
	X(T, STR, reconcile, "Reconcile")                                                \
	X(T, OPTDUR, stop_on_client_after, "StopOnClientAfter")

#define DNS_CONFIG_FIELDS(X, T)                                                                 \
	X(T, STRS, servers, "Servers")                                                   \
	X(T, STRS, searches, "Searches")                                                 \
	X(T, STRS, options, "Options")

#define PORT_FIELDS(X, T)                                                                       \
	X(T, STR, label, "Label", .key = true, .label = true)                            \
	X(T, INT, value, "Value", .hcl = "static", .min = 0, .max = 65535, .scarce = true)               \
	X(T, INT, to, "To", .min = -1, .max = 65535)                                     \
	X(T, STR, host_network, "HostNetwork")                                           \
	X(T, BOOL, ignore_collision, "IgnoreCollision")

#define CNI_CONFIG_FIELDS(X, T) X(T, MAP, args, "Args")

#define NETWORK_RESOURCE_FIELDS(X, T)                                                           \
	X(T, STR, mode, "Mode", .omit = true)                                            \
	X(T, STR, device, "Device", .omit = true, .scarce = true)                                        \
	X(T, STR, cidr, "CIDR", .omit = true, .scarce = true)                                            \
	X(T, STR, ip, "IP", .omit = true, .scarce = true)                                                \
	X(T, STR, hostname, "Hostname", .omit = true)                                    \
	X(T, OPTINT, mbits, "MBits", .omit = true, .quiet = true)                                       \
	X(T, OBJ(dns_config), dns, "DNS", .omit = true)                                  \
	X(T, LIST(port), reserved_ports, "ReservedPorts", .diff = "Static Port")         \
	X(T, LIST(port), dynamic_ports, "DynamicPorts", .hcl = "port", .diff = "Dynamic Port") \
	X(T, OBJ(cni_config), cni, "CNI", .omit = true)

#define DEVICE_REQUEST_FIELDS(X, T)                                                             \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, INT, count, "Count", .dflt = 1)                                             \
	X(T, LIST(constraint), constraints, "Constraints", .hcl = "constraint", .diff = "Constraint") \
	X(T, LIST(affinity), affinities, "Affinities", .hcl = "affinity", .diff = "Affinity")

#define NUMA_REQUEST_FIELDS(X, T)                                                               \
	X(T, STR, affinity, "Affinity")                                                  \
	X(T, STRS, devices, "Devices")

#define RESOURCES_FIELDS(X, T)                                                                  \
	X(T, OPTINT, cpu, "CPU")                                                         \
	X(T, INT, cores, "Cores")                                                        \
	X(T, OPTINT, memory_mb, "MemoryMB", .hcl = "memory")                             \
	X(T, INT, memory_max_mb, "MemoryMaxMB", .hcl = "memory_max")                     \
	X(T, INT, disk_mb, "DiskMB", .hcl = "disk")                                      \
	X(T, INT, iops, "IOPS")                                                          \
	X(T, LIST(network_resource), networks, "Networks", .hcl = "network", .diff = "Network") \
	X(T, LIST(device_request), devices, "Devices", .hcl = "device", .diff = "Device") \
	X(T, OBJ(numa_request), numa, "NUMA")                                            \
	X(T, INT, secrets_mb, "SecretsMB", .hcl = "secrets")

#define LOG_CONFIG_FIELDS(X, T)                                                                 \
	X(T, INT, max_files, "MaxFiles", .dflt = 10)                                     \
	X(T, INT, max_file_size_mb, "MaxFileSizeMB", .dflt = 10, .hcl = "max_file_size") \
	X(T, BOOL, disabled, "Disabled")

#define ARTIFACT_FIELDS(X, T)                                                                   \
	X(T, STR, getter_source, "GetterSource", .hcl = "source")                        \
	X(T, MAP, getter_options, "GetterOptions", .hcl = "options")                     \
	X(T, MAP, getter_headers, "GetterHeaders", .hcl = "headers")                     \
	X(T, STR, getter_mode, "GetterMode", .dflt_str = "any", .hcl = "mode")           \
	X(T, BOOL, getter_insecure, "GetterInsecure", .hcl = "insecure")                 \
	X(T, STR, relative_dest, "RelativeDest", .key = true, .hcl = "destination")                   \
	X(T, BOOL, chown, "Chown")

#define CHANGE_SCRIPT_FIELDS(X, T)                                                              \
	X(T, STR, command, "Command")                                                    \
	X(T, STRS, args, "Args")                                                         \
	X(T, DUR, timeout, "Timeout", .dflt = 5 * NS_PER_S)                              \
	X(T, BOOL, fail_on_error, "FailOnError")

#define WAIT_CONFIG_FIELDS(X, T)                                                                \
	X(T, OPTDUR, min, "Min")                                                         \
	X(T, OPTDUR, max, "Max")

/* What signal is sent is job_canonicalize()'s to say: the default here only tells what was not given from "". */
#define TEMPLATE_FIELDS(X, T)                                                                   \
	X(T, STR, source_path, "SourcePath", .hcl = "source")                            \
	X(T, STR, dest_path, "DestPath", .key = true, .hcl = "destination")                           \
	X(T, STR, embedded_tmpl, "EmbeddedTmpl", .hcl = "data")                          \
	X(T, STR, change_mode, "ChangeMode", .dflt_str = "restart")                      \
	X(T, STR, change_signal, "ChangeSignal", .dflt_str = "")                         \
	X(T, OBJ(change_script), change_script, "ChangeScript")                          \
	X(T, DUR, splay, "Splay", .dflt = 5 * NS_PER_S)                                  \
	X(T, STR, perms, "Perms", .dflt_str = "0644")                                    \
	X(T, OPTINT, uid, "Uid", .scarce = true)                                                         \
	X(T, OPTINT, gid, "Gid", .scarce = true)                                                         \
	X(T, STR, left_delim, "LeftDelim", .dflt_str = "{{", .hcl = "left_delimiter")    \
	X(T, STR, right_delim, "RightDelim", .dflt_str = "}}", .hcl = "right_delimiter") \
	X(T, BOOL, envvars, "Envvars", .hcl = "env")                                     \
	X(T, DUR, vault_grace, "VaultGrace")                                             \
	X(T, OBJ(wait_config), wait, "Wait")                                             \
	X(T, BOOL, err_missing_key, "ErrMissingKey", .hcl = "error_on_missing_key")      \
	X(T, BOOL, once, "Once")

#define VAULT_FIELDS(X, T)                                                                      \
	X(T, STR, role, "Role")                                                          \
	X(T, STRS, policies, "Policies")                                                 \
	X(T, STR, namespace_, "Namespace", .hcl = "namespace")                           \
	X(T, STR, cluster, "Cluster", .dflt_str = "default")                             \
	X(T, BOOL, env, "Env", .dflt = true)                                             \
	X(T, BOOL, disable_file, "DisableFile")                                          \
	X(T, STR, change_mode, "ChangeMode", .dflt_str = "restart")                      \
	X(T, STR, change_signal, "ChangeSignal", .dflt_str = "")                         \
	X(T, BOOL, allow_token_expiration, "AllowTokenExpiration")

#define CONSUL_FIELDS(X, T)                                                                     \
	X(T, STR, namespace_, "Namespace", .hcl = "namespace")                           \
	X(T, STR, cluster, "Cluster", .dflt_str = "default")                             \
	X(T, STR, partition, "Partition")

#define DISPATCH_PAYLOAD_FIELDS(X, T) X(T, STR, file, "File")

#define LIFECYCLE_FIELDS(X, T)                                                                  \
	X(T, STR, hook, "Hook")                                                          \
	X(T, BOOL, sidecar, "Sidecar")

#define CSI_PLUGIN_FIELDS(X, T)                                                                 \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, type, "Type")                                                          \
	X(T, STR, mount_dir, "MountDir")                                                 \
	X(T, STR, stage_publish_base_dir, "StagePublishBaseDir")                         \
	X(T, DUR, health_timeout, "HealthTimeout")

#define VOLUME_MOUNT_FIELDS(X, T)                                                               \
	X(T, STR, volume, "Volume")                                                      \
	X(T, STR, destination, "Destination")                                            \
	X(T, BOOL, read_only, "ReadOnly")                                                \
	X(T, STR, propagation_mode, "PropagationMode", .dflt_str = "private")            \
	X(T, STR, selinux_label, "SELinuxLabel")

#define SCALING_POLICY_FIELDS(X, T)                                                             \
	X(T, STR, id, "ID", .quiet = true)                                                              \
	X(T, STR, namespace_, "Namespace", .quiet = true, .hcl = "namespace")                           \
	X(T, STR, type, "Type", .quiet = true, .label = true)                                           \
	X(T, OPTINT, min, "Min")                                                         \
	X(T, OPTINT, max, "Max")                                                         \
	X(T, ANY, policy, "Policy")                                                      \
	X(T, MAP, target, "Target")                                                      \
	X(T, OPTBOOL, enabled, "Enabled")                                                \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

#define WORKLOAD_IDENTITY_FIELDS(X, T)                                                          \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, STRS, audience, "Audience", .hcl = "aud")                                   \
	X(T, STR, change_mode, "ChangeMode")                                             \
	X(T, STR, change_signal, "ChangeSignal")                                         \
	X(T, BOOL, env, "Env")                                                           \
	X(T, STRS, extra_claims, "ExtraClaims")                                          \
	X(T, BOOL, file, "File")                                                         \
	X(T, STR, filepath, "Filepath")                                                  \
	X(T, STR, service_name, "ServiceName")                                           \
	X(T, DUR, ttl, "TTL")

#define ACTION_FIELDS(X, T)                                                                     \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, STR, command, "Command")                                                    \
	X(T, STRS, args, "Args")

#define SECRET_REQUEST_FIELDS(X, T)                                                             \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, STR, provider, "Provider")                                                  \
	X(T, STR, path, "Path")                                                          \
	X(T, ANY, config, "Config")                                                      \
	X(T, MAP, env, "Env")

#define SCHEDULE_CRON_FIELDS(X, T)                                                              \
	X(T, STR, start, "Start")                                                        \
	X(T, STR, end, "End")                                                            \
	X(T, STR, timezone, "Timezone")

#define TASK_SCHEDULE_FIELDS(X, T) X(T, OBJ(schedule_cron), cron, "Cron")

#define CHECK_RESTART_FIELDS(X, T)                                                              \
	X(T, INT, limit, "Limit")                                                        \
	X(T, OPTDUR, grace, "Grace")                                                     \
	X(T, BOOL, ignore_warnings, "IgnoreWarnings")

#define SERVICE_CHECK_FIELDS(X, T)                                                              \
	X(T, STR, name, "Name", .key = true)                                             \
	X(T, STR, type, "Type")                                                          \
	X(T, STR, command, "Command")                                                    \
	X(T, STRS, args, "Args")                                                         \
	X(T, STR, path, "Path")                                                          \
	X(T, STR, protocol, "Protocol")                                                  \
	X(T, STR, port_label, "PortLabel", .hcl = "port")                                \
	X(T, BOOL, expose, "Expose")                                                     \
	X(T, STR, address_mode, "AddressMode")                                           \
	X(T, DUR, interval, "Interval")                                                  \
	X(T, DUR, timeout, "Timeout")                                                    \
	X(T, STR, initial_status, "InitialStatus")                                       \
	X(T, STR, notes, "Notes")                                                        \
	X(T, STR, tls_server_name, "TLSServerName")                                      \
	X(T, BOOL, tls_skip_verify, "TLSSkipVerify")                                     \
	X(T, ANY, header, "Header")                                                      \
	X(T, STR, method, "Method")                                                      \
	X(T, OBJ(check_restart), check_restart, "CheckRestart")                          \
	X(T, STR, grpc_service, "GRPCService")                                           \
	X(T, BOOL, grpc_use_tls, "GRPCUseTLS")                                           \
	X(T, STR, task_name, "TaskName", .hcl = "task")                                  \
	X(T, INT, success_before_passing, "SuccessBeforePassing")                        \
	X(T, INT, failures_before_critical, "FailuresBeforeCritical")                    \
	X(T, INT, failures_before_warning, "FailuresBeforeWarning")                      \
	X(T, STR, body, "Body")                                                          \
	X(T, STR, on_update, "OnUpdate")

#define SERVICE_FIELDS(X, T)                                                                    \
	X(T, STR, name, "Name", .key = true)                                             \
	X(T, STRS, tags, "Tags")                                                         \
	X(T, STRS, canary_tags, "CanaryTags")                                            \
	X(T, BOOL, enable_tag_override, "EnableTagOverride")                             \
	X(T, STR, port_label, "PortLabel", .hcl = "port")                                \
	X(T, STR, address_mode, "AddressMode")                                           \
	X(T, STR, address, "Address")                                                    \
	X(T, LIST(service_check), checks, "Checks", .hcl = "check", .diff = "Check")     \
	X(T, OBJ(check_restart), check_restart, "CheckRestart")                          \
	X(T, ANY, connect, "Connect")                                                    \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, MAP, canary_meta, "CanaryMeta")                                             \
	X(T, MAP, tagged_addresses, "TaggedAddresses")                                   \
	X(T, STR, task_name, "TaskName", .hcl = "task")                                  \
	X(T, STR, on_update, "OnUpdate")                                                 \
	X(T, OBJ(workload_identity), identity, "Identity")                               \
	X(T, STR, provider, "Provider")                                                  \
	X(T, STR, cluster, "Cluster")                                                    \
	X(T, STR, kind, "Kind")                                                          \
	X(T, ANY, weights, "Weights")

#define TASK_FIELDS(X, T)                                                                       \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, STR, driver, "Driver")                                                      \
	X(T, STR, user, "User")                                                          \
	X(T, OBJ(lifecycle), lifecycle, "Lifecycle")                                     \
	X(T, ANY, config, "Config", .diff = "Config")                                    \
	X(T, LIST(constraint), constraints, "Constraints", .hcl = "constraint", .diff = "Constraint") \
	X(T, LIST(affinity), affinities, "Affinities", .hcl = "affinity", .diff = "Affinity") \
	X(T, MAP, env, "Env")                                                            \
	X(T, LIST(service), services, "Services", .hcl = "service", .diff = "Service")   \
	X(T, OBJ(resources), resources, "Resources")                                     \
	X(T, OBJ(restart_policy), restart_policy, "RestartPolicy", .hcl = "restart")     \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, OPTDUR, kill_timeout, "KillTimeout")                                        \
	X(T, OBJ(log_config), log_config, "LogConfig", .hcl = "logs")                    \
	X(T, LIST(artifact), artifacts, "Artifacts", .hcl = "artifact", .diff = "Artifact") \
	X(T, OBJ(vault), vault, "Vault")                                                 \
	X(T, OBJ(consul), consul, "Consul")                                              \
	X(T, LIST(template), templates, "Templates", .hcl = "template", .diff = "Template") \
	X(T, OBJ(dispatch_payload), dispatch_payload, "DispatchPayload")                 \
	X(T, LIST(volume_mount), volume_mounts, "VolumeMounts", .hcl = "volume_mount", .diff = "VolumeMount") \
	X(T, OBJ(csi_plugin), csi_plugin, "CSIPluginConfig")                             \
	X(T, BOOL, leader, "Leader")                                                     \
	X(T, DUR, shutdown_delay, "ShutdownDelay")                                       \
	X(T, STR, kill_signal, "KillSignal")                                             \
	X(T, STR, kind, "Kind")                                                          \
	X(T, LIST(scaling_policy), scaling_policies, "ScalingPolicies", .hcl = "scaling", .diff = "Scaling") \
	X(T, OBJ(workload_identity), identity, "Identity")                               \
	X(T, LIST(workload_identity), identities, "Identities", .diff = "Identity")      \
	X(T, LIST(action), actions, "Actions", .hcl = "action", .diff = "Action")        \
	X(T, OBJ(task_schedule), schedule, "Schedule")                                   \
	X(T, LIST(secret_request), secrets, "Secrets", .hcl = "secret", .diff = "Secret")

#define MOUNT_OPTIONS_FIELDS(X, T)                                                              \
	X(T, STR, fs_type, "FSType")                                                     \
	X(T, STRS, mount_flags, "MountFlags")

#define VOLUME_REQUEST_FIELDS(X, T)                                                             \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, STR, type, "Type")                                                          \
	X(T, STR, source, "Source")                                                      \
	X(T, BOOL, read_only, "ReadOnly")                                                \
	X(T, BOOL, sticky, "Sticky")                                                     \
	X(T, STR, access_mode, "AccessMode")                                             \
	X(T, STR, attachment_mode, "AttachmentMode")                                     \
	X(T, OBJ(mount_options), mount_options, "MountOptions")                          \
	X(T, BOOL, per_alloc, "PerAlloc")

#define TASK_GROUP_FIELDS(X, T)                                                                 \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, INT, count, "Count", .dflt = 1)                                             \
	X(T, LIST(constraint), constraints, "Constraints", .hcl = "constraint", .diff = "Constraint") \
	X(T, LIST(affinity), affinities, "Affinities", .hcl = "affinity", .diff = "Affinity") \
	X(T, LIST(task), tasks, "Tasks", .hcl = "task")                                  \
	X(T, LIST(spread), spreads, "Spreads", .hcl = "spread", .diff = "Spread")        \
	X(T, OBJMAP(volume_request), volumes, "Volumes", .hcl = "volume", .diff = "Volume") \
	X(T, OBJ(restart_policy), restart_policy, "RestartPolicy", .hcl = "restart")     \
	X(T, OBJ(disconnect_strategy), disconnect, "Disconnect")                         \
	X(T, OBJ(reschedule_policy), reschedule_policy, "ReschedulePolicy", .hcl = "reschedule") \
	X(T, OBJ(ephemeral_disk), ephemeral_disk, "EphemeralDisk")                       \
	X(T, OBJ(update_strategy), update, "Update")                                     \
	X(T, OBJ(migrate_strategy), migrate, "Migrate")                                  \
	X(T, LIST(network_resource), networks, "Networks", .hcl = "network", .diff = "Network") \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, LIST(service), services, "Services", .hcl = "service", .diff = "Service")   \
	X(T, OPTDUR, shutdown_delay, "ShutdownDelay")                                    \
	X(T, OPTDUR, stop_after_client_disconnect, "StopAfterClientDisconnect")          \
	X(T, OPTDUR, max_client_disconnect, "MaxClientDisconnect")                       \
	X(T, OBJ(scaling_policy), scaling, "Scaling")                                    \
	X(T, OBJ(consul), consul, "Consul")                                              \
	X(T, BOOL, prevent_reschedule_on_lost, "PreventRescheduleOnLost")                \
	X(T, OPTDUR, max_run_duration, "MaxRunDuration")

#define PERIODIC_CONFIG_FIELDS(X, T)                                                            \
	X(T, BOOL, enabled, "Enabled", .dflt = true)                                     \
	X(T, STR, spec, "Spec", .hcl = "cron")                                           \
	X(T, STRS, specs, "Specs", .brackets = true, .hcl = "crons")                     \
	X(T, STR, spec_type, "SpecType", .dflt_str = "cron")                             \
	X(T, BOOL, prohibit_overlap, "ProhibitOverlap")                                  \
	X(T, STR, time_zone, "TimeZone", .dflt_str = "UTC")

#define PARAMETERIZED_JOB_FIELDS(X, T)                                                          \
	X(T, STR, payload, "Payload", .dflt_str = "optional")                            \
	X(T, STRS, meta_required, "MetaRequired")                                        \
	X(T, STRS, meta_optional, "MetaOptional")

#define MULTIREGION_STRATEGY_FIELDS(X, T)                                                       \
	X(T, OPTINT, max_parallel, "MaxParallel")                                        \
	X(T, STR, on_failure, "OnFailure")

#define MULTIREGION_REGION_FIELDS(X, T)                                                         \
	X(T, STR, name, "Name", .key = true, .label = true)                              \
	X(T, OPTINT, count, "Count")                                                     \
	X(T, STRS, datacenters, "Datacenters")                                           \
	X(T, STR, node_pool, "NodePool")                                                 \
	X(T, MAP, meta, "Meta")

#define MULTIREGION_FIELDS(X, T)                                                                \
	X(T, OBJ(multiregion_strategy), strategy, "Strategy")                            \
	X(T, LIST(multiregion_region), regions, "Regions", .hcl = "region", .diff = "Region")

#define JOB_UI_LINK_FIELDS(X, T)                                                                \
	X(T, STR, label, "Label")                                                        \
	X(T, STR, url, "URL", .hcl = "url")

#define JOB_UI_FIELDS(X, T)                                                                     \
	X(T, STR, description, "Description")                                            \
	X(T, LIST(job_ui_link), links, "Links", .hcl = "link", .diff = "Link")

#define VERSION_TAG_FIELDS(X, T)                                                                \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, description, "Description")                                            \
	X(T, INT, tagged_time, "TaggedTime")

#define JOB_FIELDS(X, T)                                                                        \
	X(T, STR, id, "ID", .label = true)                                               \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, region, "Region", .dflt_str = "global")                                \
	X(T, STR, namespace_, "Namespace", .dflt_str = "default", .hcl = "namespace")    \
	X(T, STR, type, "Type", .dflt_str = "service")                                   \
	X(T, INT, priority, "Priority", .dflt = 50)                                      \
	X(T, BOOL, all_at_once, "AllAtOnce")                                             \
	X(T, STRS, datacenters, "Datacenters", .diff = "Datacenters")                    \
	X(T, STR, node_pool, "NodePool", .dflt_str = "default")                          \
	X(T, LIST(constraint), constraints, "Constraints", .hcl = "constraint", .diff = "Constraint") \
	X(T, LIST(affinity), affinities, "Affinities", .hcl = "affinity", .diff = "Affinity") \
	X(T, LIST(spread), spreads, "Spreads", .hcl = "spread", .diff = "Spread")        \
	X(T, LIST(task_group), task_groups, "TaskGroups", .hcl = "group")                \
	X(T, OBJ(update_strategy), update, "Update")                                     \
	X(T, OBJ(multiregion), multiregion, "Multiregion")                               \
	X(T, OBJ(periodic_config), periodic, "Periodic")                                 \
	X(T, OBJ(parameterized_job), parameterized, "ParameterizedJob")                  \
	X(T, BYTES, payload, "Payload")                                                  \
	X(T, OBJ(reschedule_policy), reschedule, "Reschedule", .omit = true)             \
	X(T, OBJ(migrate_strategy), migrate, "Migrate", .omit = true)                    \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, STR, consul_token, "ConsulToken", .omit = true, .secret = true)                             \
	X(T, STR, consul_namespace, "ConsulNamespace")                                   \
	X(T, STR, vault_token, "VaultToken", .omit = true, .secret = true)                               \
	X(T, STR, vault_namespace, "VaultNamespace")                                     \
	X(T, OBJ(job_ui), ui, "UI")                                                      \
	X(T, STR, parent_id, "ParentID")                                                 \
	X(T, BOOL, dispatched, "Dispatched")                                             \
	X(T, STR, dispatch_idempotency_token, "DispatchIdempotencyToken")                \
	X(T, STR, nomad_token_id, "NomadTokenID", .server = true)                        \
	X(T, BOOL, stop, "Stop")                                                         \
	X(T, BOOL, stable, "Stable", .server = true)                                     \
	X(T, INT, version, "Version", .server = true)                                    \
	X(T, OBJ(version_tag), version_tag, "VersionTag", .server = true)                \
	X(T, STR, status, "Status", .server = true)                                      \
	X(T, STR, status_description, "StatusDescription", .server = true)               \
	X(T, INT, submit_time, "SubmitTime", .server = true)                             \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)                           \
	X(T, INT, job_modify_index, "JobModifyIndex", .server = true)

OBJECT_DECLARE(constraint, CONSTRAINT_FIELDS);
OBJECT_DECLARE(affinity, AFFINITY_FIELDS);
OBJECT_DECLARE(spread_target, SPREAD_TARGET_FIELDS);
OBJECT_DECLARE(spread, SPREAD_FIELDS);
OBJECT_DECLARE(restart_policy, RESTART_POLICY_FIELDS);
OBJECT_DECLARE(reschedule_policy, RESCHEDULE_POLICY_FIELDS);
OBJECT_DECLARE(ephemeral_disk, EPHEMERAL_DISK_FIELDS);
OBJECT_DECLARE(update_strategy, UPDATE_STRATEGY_FIELDS);
OBJECT_DECLARE(migrate_strategy, MIGRATE_STRATEGY_FIELDS);
OBJECT_DECLARE(disconnect_strategy, DISCONNECT_STRATEGY_FIELDS);
OBJECT_DECLARE(dns_config, DNS_CONFIG_FIELDS);
OBJECT_DECLARE(port, PORT_FIELDS);
OBJECT_DECLARE(cni_config, CNI_CONFIG_FIELDS);
OBJECT_DECLARE(network_resource, NETWORK_RESOURCE_FIELDS);
OBJECT_DECLARE(device_request, DEVICE_REQUEST_FIELDS);
OBJECT_DECLARE(numa_request, NUMA_REQUEST_FIELDS);
OBJECT_DECLARE(resources, RESOURCES_FIELDS);
OBJECT_DECLARE(log_config, LOG_CONFIG_FIELDS);
OBJECT_DECLARE(artifact, ARTIFACT_FIELDS);
OBJECT_DECLARE(change_script, CHANGE_SCRIPT_FIELDS);
OBJECT_DECLARE(wait_config, WAIT_CONFIG_FIELDS);
OBJECT_DECLARE(template, TEMPLATE_FIELDS);
OBJECT_DECLARE(vault, VAULT_FIELDS);
OBJECT_DECLARE(consul, CONSUL_FIELDS);
OBJECT_DECLARE(dispatch_payload, DISPATCH_PAYLOAD_FIELDS);
OBJECT_DECLARE(lifecycle, LIFECYCLE_FIELDS);
OBJECT_DECLARE(csi_plugin, CSI_PLUGIN_FIELDS);
OBJECT_DECLARE(volume_mount, VOLUME_MOUNT_FIELDS);
OBJECT_DECLARE(scaling_policy, SCALING_POLICY_FIELDS);
OBJECT_DECLARE(workload_identity, WORKLOAD_IDENTITY_FIELDS);
OBJECT_DECLARE(action, ACTION_FIELDS);
OBJECT_DECLARE(secret_request, SECRET_REQUEST_FIELDS);
OBJECT_DECLARE(schedule_cron, SCHEDULE_CRON_FIELDS);
OBJECT_DECLARE(task_schedule, TASK_SCHEDULE_FIELDS);
OBJECT_DECLARE(check_restart, CHECK_RESTART_FIELDS);
OBJECT_DECLARE(service_check, SERVICE_CHECK_FIELDS);
OBJECT_DECLARE(service, SERVICE_FIELDS);
OBJECT_DECLARE(task, TASK_FIELDS);
OBJECT_DECLARE(mount_options, MOUNT_OPTIONS_FIELDS);
OBJECT_DECLARE(volume_request, VOLUME_REQUEST_FIELDS);
OBJECT_DECLARE(task_group, TASK_GROUP_FIELDS);
OBJECT_DECLARE(periodic_config, PERIODIC_CONFIG_FIELDS);
OBJECT_DECLARE(parameterized_job, PARAMETERIZED_JOB_FIELDS);
OBJECT_DECLARE(multiregion_strategy, MULTIREGION_STRATEGY_FIELDS);
OBJECT_DECLARE(multiregion_region, MULTIREGION_REGION_FIELDS);
OBJECT_DECLARE(multiregion, MULTIREGION_FIELDS);
OBJECT_DECLARE(job_ui_link, JOB_UI_LINK_FIELDS);
OBJECT_DECLARE(job_ui, JOB_UI_FIELDS);
OBJECT_DECLARE(version_tag, VERSION_TAG_FIELDS);
OBJECT_DECLARE(job, JOB_FIELDS);

/* Fill in what the user left open, as the API documents it: the name from the ID, the datacenters, and every nested
 * object's defaults, which depend on the job's type. What a job says for all of its groups (update, migrate,
 * reschedule) moves into them. Once more changes nothing more. Works in place, with memory of `mem`, where what it adds
 * may be shared; ERR_NOMEM or 0. */
int job_canonicalize(struct job *job, struct arena *mem);

/* Check a canonicalized job by every rule. All faults are reported together: `out` gets the nested, bulleted text that
 * clients know ("2 errors occurred:\n\t* Missing job ID\n..."), and is empty when the job is valid, which is the
 * return value. */
bool job_validate(const struct job *job, struct buf *out);

/* The same, as a list that others may add to: see proto/faults.h. */
struct faults;
void job_faults(const struct job *job, struct faults *f);

/* What is valid but deserves a word, in the same form; empty when there is nothing. `oversubscribes`: the cluster heeds
 * memory_max. */
void job_warnings(const struct job *job, bool oversubscribes, struct buf *out);

/* The group or task of that name, or NULL. */
struct task_group *job_group(const struct job *job, const char *name);
struct task *group_task(const struct task_group *group, const char *name);

/* A periodic or parameterized parent is never run itself. (A dispatched child keeps its block but runs.) */
bool job_is_parameterized(const struct job *job);
bool job_is_periodic(const struct job *job);

/* The first moment after the given one at which one of its expressions is due, whether it is enabled or not; -1 when
 * there is none. `offset` tells the time zone, NULL is UTC: see proto/cron.h. */
int64_t periodic_next(const struct periodic_config *p, int64_t after_s, cron_offset_cb offset, void *ctx);

#endif /* PROTO_JOB_H_ */
