/**
 * Evaluations, allocations, task states and scheduling metrics, as the API shows them.
 */
#ifndef PROTO_ALLOC_H_
#define PROTO_ALLOC_H_

#include "proto/job.h"
#include "proto/status.h"

/* ---- scheduling metrics ---- */

#define NODE_SCORE_FIELDS(X, T)                                                          \
	X(T, STR, node_id, "NodeID")                                                     \
	X(T, NUMMAP, scores, "Scores")                                                   \
	X(T, NUM, norm_score, "NormScore")

#define ALLOC_METRIC_FIELDS(X, T)                                                        \
	X(T, INT, nodes_evaluated, "NodesEvaluated")                                     \
	X(T, INT, nodes_filtered, "NodesFiltered")                                       \
	X(T, INT, nodes_in_pool, "NodesInPool")                                          \
	X(T, STR, node_pool, "NodePool")                                                 \
	X(T, INTMAP, nodes_available, "NodesAvailable", .brackets = true)                \
	X(T, INTMAP, class_filtered, "ClassFiltered")                                    \
	X(T, INTMAP, constraint_filtered, "ConstraintFiltered")                          \
	X(T, INT, nodes_exhausted, "NodesExhausted")                                     \
	X(T, INTMAP, class_exhausted, "ClassExhausted")                                  \
	X(T, INTMAP, dimension_exhausted, "DimensionExhausted")                          \
	X(T, STRS, quota_exhausted, "QuotaExhausted")                                    \
	X(T, OBJMAP(resources), resources_exhausted, "ResourcesExhausted")               \
	X(T, NUMMAP, scores, "Scores")                                                   \
	X(T, DUR, allocation_time, "AllocationTime")                                     \
	X(T, INT, coalesced_failures, "CoalescedFailures")                               \
	X(T, LIST(node_score), score_meta_data, "ScoreMetaData")

#define DESIRED_UPDATES_FIELDS(X, T)                                                     \
	X(T, INT, ignore, "Ignore")                                                      \
	X(T, INT, place, "Place")                                                        \
	X(T, INT, migrate, "Migrate")                                                    \
	X(T, INT, stop, "Stop")                                                          \
	X(T, INT, in_place_update, "InPlaceUpdate")                                      \
	X(T, INT, destructive_update, "DestructiveUpdate")                               \
	X(T, INT, canary, "Canary")                                                      \
	X(T, INT, preemptions, "Preemptions")                                            \
	X(T, INT, disconnect, "Disconnect")                                              \
	X(T, INT, reconnect, "Reconnect")                                                \
	X(T, INT, reschedule_now, "RescheduleNow")                                       \
	X(T, INT, reschedule_later, "RescheduleLater")

#define PLAN_ANNOTATIONS_FIELDS(X, T)                                                    \
	X(T, OBJMAP(desired_updates), desired_tg_updates, "DesiredTGUpdates")            \
	X(T, ANY, preempted_allocs, "PreemptedAllocs")

/* ---- evaluations ---- */

#define EVAL_STUB_FIELDS(X, T)                                                           \
	X(T, STR, id, "ID")                                                              \
	X(T, INT, priority, "Priority")                                                  \
	X(T, STR, type, "Type")                                                          \
	X(T, STR, triggered_by, "TriggeredBy")                                           \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, STR, node_id, "NodeID")                                                     \
	X(T, STR, deployment_id, "DeploymentID")                                         \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, status_description, "StatusDescription")                               \
	X(T, TIME, wait_until, "WaitUntil")                                              \
	X(T, STR, next_eval, "NextEval")                                                 \
	X(T, STR, previous_eval, "PreviousEval")                                         \
	X(T, STR, blocked_eval, "BlockedEval")                                           \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, INT, modify_time, "ModifyTime")

#define EVALUATION_FIELDS(X, T)                                                          \
	X(T, STR, id, "ID")                                                              \
	X(T, INT, priority, "Priority")                                                  \
	X(T, STR, type, "Type")                                                          \
	X(T, STR, triggered_by, "TriggeredBy")                                           \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, INT, job_modify_index, "JobModifyIndex", .omit = true)                      \
	X(T, STR, node_id, "NodeID", .omit = true)                                       \
	X(T, INT, node_modify_index, "NodeModifyIndex", .omit = true)                    \
	X(T, STR, deployment_id, "DeploymentID", .omit = true)                           \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, status_description, "StatusDescription", .omit = true)                 \
	X(T, DUR, wait, "Wait", .omit = true)                                            \
	X(T, TIME, wait_until, "WaitUntil", .omit = true)                                \
	X(T, STR, next_eval, "NextEval", .omit = true)                                   \
	X(T, STR, previous_eval, "PreviousEval", .omit = true)                           \
	X(T, STR, blocked_eval, "BlockedEval", .omit = true)                             \
	X(T, LIST(eval_stub), related_evals, "RelatedEvals", .omit = true)               \
	X(T, OBJMAP(alloc_metric), failed_tg_allocs, "FailedTGAllocs", .omit = true)     \
	X(T, OBJ(plan_annotations), plan_annotations, "PlanAnnotations", .omit = true)   \
	X(T, BOOLMAP, class_eligibility, "ClassEligibility", .omit = true)               \
	X(T, BOOL, escaped_computed_class, "EscapedComputedClass", .omit = true)         \
	X(T, STR, quota_limit_reached, "QuotaLimitReached", .omit = true)                \
	X(T, BOOL, annotate_plan, "AnnotatePlan", .omit = true)                          \
	X(T, INTMAP, queued_allocations, "QueuedAllocations", .omit = true)              \
	X(T, INT, snapshot_index, "SnapshotIndex", .omit = true)                         \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, INT, modify_time, "ModifyTime")

/* ---- tasks ---- */

#define TASK_EVENT_FIELDS(X, T)                                                          \
	X(T, STR, type, "Type")                                                          \
	X(T, INT, time, "Time")                                                          \
	X(T, STR, display_message, "DisplayMessage")                                     \
	X(T, MAP, details, "Details", .brackets = true)                                  \
	X(T, STR, message, "Message")                                                    \
	X(T, BOOL, fails_task, "FailsTask")                                              \
	X(T, STR, restart_reason, "RestartReason")                                       \
	X(T, STR, setup_error, "SetupError")                                             \
	X(T, STR, driver_error, "DriverError")                                           \
	X(T, STR, driver_message, "DriverMessage")                                       \
	X(T, INT, exit_code, "ExitCode")                                                 \
	X(T, INT, signal, "Signal")                                                      \
	X(T, DUR, kill_timeout, "KillTimeout")                                           \
	X(T, STR, kill_error, "KillError")                                               \
	X(T, STR, kill_reason, "KillReason")                                             \
	X(T, DUR, start_delay, "StartDelay")                                             \
	X(T, STR, download_error, "DownloadError")                                       \
	X(T, STR, validation_error, "ValidationError")                                   \
	X(T, INT, disk_limit, "DiskLimit")                                               \
	X(T, INT, disk_size, "DiskSize", .omit = true)                                   \
	X(T, STR, failed_sibling, "FailedSibling")                                       \
	X(T, STR, vault_error, "VaultError")                                             \
	X(T, STR, task_signal_reason, "TaskSignalReason")                                \
	X(T, STR, task_signal, "TaskSignal")                                             \
	X(T, STR, generic_source, "GenericSource")

#define TASK_STATE_FIELDS(X, T)                                                          \
	X(T, STR, state, "State")                                                        \
	X(T, BOOL, failed, "Failed")                                                     \
	X(T, INT, restarts, "Restarts")                                                  \
	X(T, TIME, last_restart, "LastRestart")                                          \
	X(T, TIME, started_at, "StartedAt")                                              \
	X(T, TIME, finished_at, "FinishedAt")                                            \
	X(T, LIST(task_event), events, "Events", .brackets = true)                       \
	X(T, STR, paused, "Paused")

/* ---- allocations ---- */

#define ALLOC_PORT_FIELDS(X, T)                                                          \
	X(T, STR, label, "Label")                                                        \
	X(T, INT, value, "Value")                                                        \
	X(T, INT, to, "To")                                                              \
	X(T, STR, host_ip, "HostIP")                                                     \
	X(T, BOOL, ignore_collision, "IgnoreCollision")

#define ALLOCATED_CPU_FIELDS(X, T)                                                       \
	X(T, INT, cpu_shares, "CpuShares")                                               \
	X(T, INTS, reserved_cores, "ReservedCores")

#define ALLOCATED_MEMORY_FIELDS(X, T)                                                    \
	X(T, INT, memory_mb, "MemoryMB")                                                 \
	X(T, INT, memory_max_mb, "MemoryMaxMB")

#define ALLOCATED_TASK_FIELDS(X, T)                                                      \
	X(T, OBJ(allocated_cpu), cpu, "Cpu")                                             \
	X(T, OBJ(allocated_memory), memory, "Memory")                                    \
	X(T, LIST(network_resource), networks, "Networks")                               \
	X(T, ANY, devices, "Devices")

#define ALLOCATED_SHARED_FIELDS(X, T)                                                    \
	X(T, INT, disk_mb, "DiskMB")                                                     \
	X(T, LIST(network_resource), networks, "Networks")                               \
	X(T, LIST(alloc_port), ports, "Ports")

#define ALLOCATED_RESOURCES_FIELDS(X, T)                                                 \
	X(T, OBJMAP(allocated_task), tasks, "Tasks", .brackets = true)                   \
	X(T, ANY, task_lifecycles, "TaskLifecycles")                                     \
	X(T, OBJ(allocated_shared), shared, "Shared")

#define ALLOC_DEPLOYMENT_STATUS_FIELDS(X, T)                                             \
	X(T, OPTBOOL, healthy, "Healthy")                                                \
	X(T, TIME, timestamp, "Timestamp")                                               \
	X(T, BOOL, canary, "Canary")                                                     \
	X(T, INT, modify_index, "ModifyIndex")

#define ALLOC_NETWORK_STATUS_FIELDS(X, T)                                                \
	X(T, STR, interface_name, "InterfaceName")                                       \
	X(T, STR, address, "Address")                                                    \
	X(T, STR, address_ipv6, "AddressIPv6")                                           \
	X(T, OBJ(dns_config), dns, "DNS")

#define RESCHEDULE_EVENT_FIELDS(X, T)                                                    \
	X(T, INT, reschedule_time, "RescheduleTime")                                     \
	X(T, STR, prev_alloc_id, "PrevAllocID")                                          \
	X(T, STR, prev_node_id, "PrevNodeID")                                            \
	X(T, DUR, delay, "Delay")

#define RESCHEDULE_TRACKER_FIELDS(X, T)                                                  \
	X(T, LIST(reschedule_event), events, "Events")                                   \
	X(T, STR, last_reschedule, "LastReschedule", .omit = true)

#define DESIRED_TRANSITION_FIELDS(X, T)                                                  \
	X(T, OPTBOOL, migrate, "Migrate")                                                \
	X(T, OPTBOOL, reschedule, "Reschedule")                                          \
	X(T, OPTBOOL, force_reschedule, "ForceReschedule")                               \
	X(T, OPTBOOL, migrate_disable_placement, "MigrateDisablePlacement")              \
	X(T, OPTBOOL, no_shutdown_delay, "NoShutdownDelay")

#define ALLOC_STATE_FIELDS(X, T)                                                         \
	X(T, INT, field, "Field") /* 0: ClientStatus; there is no other. */              \
	X(T, STR, value, "Value")                                                        \
	X(T, TIME, time, "Time")

#define ALLOCATION_FIELDS(X, T)                                                          \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, eval_id, "EvalID")                                                     \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, node_id, "NodeID")                                                     \
	X(T, STR, node_name, "NodeName")                                                 \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, OBJ(job), job, "Job")                                                       \
	X(T, STR, task_group, "TaskGroup")                                               \
	X(T, OBJ(resources), resources, "Resources")                                     \
	X(T, OBJ(resources), shared_resources, "SharedResources")                        \
	X(T, OBJMAP(resources), task_resources, "TaskResources")                         \
	X(T, OBJ(allocated_resources), allocated_resources, "AllocatedResources")        \
	X(T, OBJ(alloc_metric), metrics, "Metrics")                                      \
	X(T, STR, desired_status, "DesiredStatus")                                       \
	X(T, STR, desired_description, "DesiredDescription", .omit = true)               \
	X(T, OBJ(desired_transition), desired_transition, "DesiredTransition", .omit = true) \
	X(T, STR, client_status, "ClientStatus")                                         \
	X(T, STR, client_description, "ClientDescription", .omit = true)                 \
	X(T, OBJMAP(task_state), task_states, "TaskStates", .omit = true)                \
	X(T, LIST(alloc_state), alloc_states, "AllocStates", .omit = true)               \
	X(T, STR, deployment_id, "DeploymentID", .omit = true)                           \
	X(T, OBJ(alloc_deployment_status), deployment_status, "DeploymentStatus", .omit = true) \
	X(T, OBJ(alloc_network_status), network_status, "NetworkStatus", .omit = true)   \
	X(T, OBJ(reschedule_tracker), reschedule_tracker, "RescheduleTracker", .omit = true) \
	X(T, STR, followup_eval_id, "FollowupEvalID", .omit = true)                      \
	X(T, STR, previous_allocation, "PreviousAllocation", .omit = true)               \
	X(T, STR, next_allocation, "NextAllocation", .omit = true)                       \
	X(T, STRS, preempted_allocations, "PreemptedAllocations", .omit = true)          \
	X(T, STR, preempted_by_allocation, "PreemptedByAllocation", .omit = true)        \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, alloc_modify_index, "AllocModifyIndex")                                \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, INT, modify_time, "ModifyTime")

#define ALLOC_STUB_FIELDS(X, T)                                                          \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, eval_id, "EvalID")                                                     \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, node_id, "NodeID")                                                     \
	X(T, STR, node_name, "NodeName")                                                 \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, STR, job_type, "JobType")                                                   \
	X(T, INT, job_version, "JobVersion")                                             \
	X(T, STR, task_group, "TaskGroup")                                               \
	X(T, OBJ(allocated_resources), allocated_resources, "AllocatedResources", .omit = true) \
	X(T, STR, desired_status, "DesiredStatus")                                       \
	X(T, STR, desired_description, "DesiredDescription")                             \
	X(T, OBJ(desired_transition), desired_transition, "DesiredTransition")           \
	X(T, STR, client_status, "ClientStatus")                                         \
	X(T, STR, client_description, "ClientDescription")                               \
	X(T, OBJMAP(task_state), task_states, "TaskStates")                              \
	X(T, OBJ(alloc_deployment_status), deployment_status, "DeploymentStatus")        \
	X(T, STR, followup_eval_id, "FollowupEvalID")                                    \
	X(T, STR, next_allocation, "NextAllocation")                                     \
	X(T, OBJ(reschedule_tracker), reschedule_tracker, "RescheduleTracker")           \
	X(T, STRS, preempted_allocations, "PreemptedAllocations")                        \
	X(T, STR, preempted_by_allocation, "PreemptedByAllocation")                      \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, INT, modify_time, "ModifyTime")

/* A service of an allocation, as others find it. */
#define SERVICE_REGISTRATION_FIELDS(X, T)                                                \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, service_name, "ServiceName")                                           \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, node_id, "NodeID")                                                     \
	X(T, STR, datacenter, "Datacenter")                                              \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, STR, alloc_id, "AllocID")                                                   \
	X(T, STRS, tags, "Tags")                                                         \
	X(T, STR, address, "Address")                                                    \
	X(T, INT, port, "Port")                                                          \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

/* What a client reports of an allocation that it runs. Services: all that it offers now; of each its ID, name, tags,
 * address, port and datacenter count, the rest servers know. */
#define ALLOC_UPDATE_FIELDS(X, T)                                                        \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, client_status, "ClientStatus")                                         \
	X(T, STR, client_description, "ClientDescription")                               \
	X(T, OBJMAP(task_state), task_states, "TaskStates")                              \
	X(T, OBJ(alloc_deployment_status), deployment_status, "DeploymentStatus")        \
	X(T, OBJ(alloc_network_status), network_status, "NetworkStatus")                 \
	X(T, LIST(service_registration), services, "Services")

OBJECT_DECLARE(node_score, NODE_SCORE_FIELDS);
OBJECT_DECLARE(alloc_metric, ALLOC_METRIC_FIELDS);
OBJECT_DECLARE(desired_updates, DESIRED_UPDATES_FIELDS);
OBJECT_DECLARE(plan_annotations, PLAN_ANNOTATIONS_FIELDS);
OBJECT_DECLARE(eval_stub, EVAL_STUB_FIELDS);
OBJECT_DECLARE(evaluation, EVALUATION_FIELDS);
OBJECT_DECLARE(task_event, TASK_EVENT_FIELDS);
OBJECT_DECLARE(task_state, TASK_STATE_FIELDS);
OBJECT_DECLARE(alloc_port, ALLOC_PORT_FIELDS);
OBJECT_DECLARE(allocated_cpu, ALLOCATED_CPU_FIELDS);
OBJECT_DECLARE(allocated_memory, ALLOCATED_MEMORY_FIELDS);
OBJECT_DECLARE(allocated_task, ALLOCATED_TASK_FIELDS);
OBJECT_DECLARE(allocated_shared, ALLOCATED_SHARED_FIELDS);
OBJECT_DECLARE(allocated_resources, ALLOCATED_RESOURCES_FIELDS);
OBJECT_DECLARE(alloc_deployment_status, ALLOC_DEPLOYMENT_STATUS_FIELDS);
OBJECT_DECLARE(alloc_network_status, ALLOC_NETWORK_STATUS_FIELDS);
OBJECT_DECLARE(reschedule_event, RESCHEDULE_EVENT_FIELDS);
OBJECT_DECLARE(reschedule_tracker, RESCHEDULE_TRACKER_FIELDS);
OBJECT_DECLARE(desired_transition, DESIRED_TRANSITION_FIELDS);
OBJECT_DECLARE(alloc_state, ALLOC_STATE_FIELDS);
OBJECT_DECLARE(allocation, ALLOCATION_FIELDS);
OBJECT_DECLARE(alloc_stub, ALLOC_STUB_FIELDS);
OBJECT_DECLARE(service_registration, SERVICE_REGISTRATION_FIELDS);
OBJECT_DECLARE(alloc_update, ALLOC_UPDATE_FIELDS);

/* The values of status fields: see proto/status.h. */
#define EVAL_STATUS_LIST(X) X(PENDING, "pending") X(COMPLETE, "complete") X(FAILED, "failed") X(BLOCKED, "blocked") X(CANCELED, "canceled")
#define ALLOC_DESIRED_LIST(X) X(RUN, "run") X(STOP, "stop") X(EVICT, "evict")
#define ALLOC_CLIENT_LIST(X) X(PENDING, "pending") X(RUNNING, "running") X(COMPLETE, "complete") X(FAILED, "failed") X(LOST, "lost") X(UNKNOWN, "unknown")
#define JOB_TYPE_LIST(X) X(SERVICE, "service") X(BATCH, "batch") X(SYSTEM, "system") X(SYSBATCH, "sysbatch") X(CORE, "_core")
#define JOB_STATUS_LIST(X) X(PENDING, "pending") X(RUNNING, "running") X(DEAD, "dead")
#define EVAL_TRIGGER_LIST(X)                                                             \
	X(JOB_REGISTER, "job-register") X(JOB_DEREGISTER, "job-deregister")              \
	X(PERIODIC_JOB, "periodic-job") X(NODE_DRAIN, "node-drain") X(NODE_UPDATE, "node-update") \
	X(ALLOC_STOP, "alloc-stop") X(SCHEDULED, "scheduled") X(ROLLING_UPDATE, "rolling-update") \
	X(DEPLOYMENT_WATCHER, "deployment-watcher") X(FAILED_FOLLOW_UP, "failed-follow-up") \
	X(MAX_PLANS, "max-plan-attempts") X(RETRY_FAILED_ALLOC, "alloc-failure")         \
	X(QUEUED_ALLOCS, "queued-allocs") X(PREEMPTION, "preemption") X(SCALING, "job-scaling") \
	X(MAX_DISCONNECT_TIMEOUT, "max-disconnect-timeout") X(RECONNECT, "reconnect")    \
	X(ALLOC_RESCHEDULE, "alloc-reschedule")

#define EVAL_STATUS_ENUM(id, text) EVAL_STATUS_##id,
#define ALLOC_DESIRED_ENUM(id, text) ALLOC_DESIRED_##id,
#define ALLOC_CLIENT_ENUM(id, text) ALLOC_CLIENT_##id,
#define JOB_TYPE_ENUM(id, text) JOB_TYPE_##id,
#define JOB_STATUS_ENUM(id, text) JOB_STATUS_##id,
#define EVAL_TRIGGER_ENUM(id, text) EVAL_TRIGGER_##id,
STATUS_DECLARE(eval_status, EVAL_STATUS, EVAL_STATUS_LIST);
STATUS_DECLARE(alloc_desired, ALLOC_DESIRED, ALLOC_DESIRED_LIST);
STATUS_DECLARE(alloc_client, ALLOC_CLIENT, ALLOC_CLIENT_LIST);
STATUS_DECLARE(job_type, JOB_TYPE, JOB_TYPE_LIST);
STATUS_DECLARE(job_status, JOB_STATUS, JOB_STATUS_LIST);
STATUS_DECLARE(eval_trigger, EVAL_TRIGGER, EVAL_TRIGGER_LIST);

#endif /* PROTO_ALLOC_H_ */
