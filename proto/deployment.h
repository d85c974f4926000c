/** Deployments, job summaries, job stubs, versions and the answers of writes, as the API shows them. */
#ifndef PROTO_DEPLOYMENT_H_
#define PROTO_DEPLOYMENT_H_

#include "proto/node.h"

#define DEPLOYMENT_GROUP_FIELDS(X, T)                                                    \
	X(T, BOOL, auto_revert, "AutoRevert")                                            \
	X(T, BOOL, auto_promote, "AutoPromote")                                          \
	X(T, DUR, progress_deadline, "ProgressDeadline")                                 \
	X(T, TIME, require_progress_by, "RequireProgressBy")                             \
	X(T, BOOL, promoted, "Promoted")                                                 \
	X(T, STRS, placed_canaries, "PlacedCanaries")                                    \
	X(T, INT, desired_canaries, "DesiredCanaries")                                   \
	X(T, INT, desired_total, "DesiredTotal")                                         \
	X(T, INT, placed_allocs, "PlacedAllocs")                                         \
	X(T, INT, healthy_allocs, "HealthyAllocs")                                       \
	X(T, INT, unhealthy_allocs, "UnhealthyAllocs")

#define DEPLOYMENT_FIELDS(X, T)                                                          \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, INT, job_version, "JobVersion")                                             \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, INT, job_spec_modify_index, "JobSpecModifyIndex")                           \
	X(T, INT, job_create_index, "JobCreateIndex")                                    \
	X(T, BOOL, is_multiregion, "IsMultiregion")                                      \
	X(T, OBJMAP(deployment_group), task_groups, "TaskGroups", .brackets = true)      \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, status_description, "StatusDescription")                               \
	X(T, INT, eval_priority, "EvalPriority")                                         \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, create_time, "CreateTime")                                             \
	X(T, INT, modify_time, "ModifyTime")

#define GROUP_SUMMARY_FIELDS(X, T)                                                       \
	X(T, INT, queued, "Queued")                                                      \
	X(T, INT, complete, "Complete")                                                  \
	X(T, INT, failed, "Failed")                                                      \
	X(T, INT, running, "Running")                                                    \
	X(T, INT, starting, "Starting")                                                  \
	X(T, INT, lost, "Lost")                                                          \
	X(T, INT, unknown, "Unknown")

#define CHILDREN_SUMMARY_FIELDS(X, T)                                                    \
	X(T, INT, pending, "Pending")                                                    \
	X(T, INT, running, "Running")                                                    \
	X(T, INT, dead, "Dead")

#define JOB_SUMMARY_FIELDS(X, T)                                                         \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, OBJMAP(group_summary), summary, "Summary", .brackets = true)                \
	X(T, OBJ(children_summary), children, "Children")                                \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

#define JOB_STUB_FIELDS(X, T)                                                            \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, parent_id, "ParentID")                                                 \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STRS, datacenters, "Datacenters")                                           \
	X(T, STR, node_pool, "NodePool")                                                 \
	X(T, ANY, multiregion, "Multiregion")                                            \
	X(T, STR, type, "Type")                                                          \
	X(T, INT, priority, "Priority")                                                  \
	X(T, BOOL, periodic, "Periodic")                                                 \
	X(T, BOOL, parameterized, "ParameterizedJob")                                    \
	X(T, BOOL, stop, "Stop")                                                         \
	X(T, STR, status, "Status")                                                      \
	X(T, STR, status_description, "StatusDescription")                               \
	X(T, OBJ(job_summary), job_summary, "JobSummary")                                \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, INT, submit_time, "SubmitTime")                                             \
	X(T, MAP, meta, "Meta", .omit = true)

/* Bodies of requests. */
#define EVAL_OPTIONS_FIELDS(X, T) X(T, BOOL, force_reschedule, "ForceReschedule")

#define SUBMISSION_FIELDS(X, T)                                                          \
	X(T, STR, source, "Source")                                                      \
	X(T, STR, format, "Format")                                                      \
	X(T, MAP, variable_flags, "VariableFlags")                                       \
	X(T, STR, variables, "Variables")

#define JOB_REQUEST_FIELDS(X, T)                                                         \
	X(T, OBJ(job), job, "Job")                                                       \
	X(T, BOOL, enforce_index, "EnforceIndex")                                        \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, BOOL, policy_override, "PolicyOverride")                                    \
	X(T, BOOL, preserve_counts, "PreserveCounts")                                    \
	X(T, BOOL, preserve_resources, "PreserveResources")                              \
	X(T, INT, eval_priority, "EvalPriority")                                         \
	X(T, OBJ(submission), submission, "Submission")                                  \
	X(T, BOOL, diff, "Diff")

#define EVALUATE_REQUEST_FIELDS(X, T)                                                    \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, OBJ(eval_options), eval_options, "EvalOptions")

/* Answers of writes. */
#define JOB_REGISTERED_FIELDS(X, T)                                                      \
	X(T, STR, eval_id, "EvalID")                                                     \
	X(T, INT, eval_create_index, "EvalCreateIndex")                                  \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, STR, warnings, "Warnings")                                                  \
	X(T, INT, index, "Index")                                                        \
	X(T, INT, last_contact, "LastContact")                                           \
	X(T, BOOL, known_leader, "KnownLeader")                                          \
	X(T, STR, next_token, "NextToken")

#define JOB_DEREGISTERED_FIELDS(X, T)                                                    \
	X(T, STR, eval_id, "EvalID")                                                     \
	X(T, INT, eval_create_index, "EvalCreateIndex")                                  \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, INT, volume_eval_index, "VolumeEvalIndex")                                  \
	X(T, STR, volume_eval_id, "VolumeEvalID")                                        \
	X(T, INT, index, "Index")                                                        \
	X(T, INT, last_contact, "LastContact")                                           \
	X(T, BOOL, known_leader, "KnownLeader")                                          \
	X(T, STR, next_token, "NextToken")

OBJECT_DECLARE(deployment_group, DEPLOYMENT_GROUP_FIELDS);
OBJECT_DECLARE(deployment, DEPLOYMENT_FIELDS);
OBJECT_DECLARE(group_summary, GROUP_SUMMARY_FIELDS);
OBJECT_DECLARE(children_summary, CHILDREN_SUMMARY_FIELDS);
OBJECT_DECLARE(job_summary, JOB_SUMMARY_FIELDS);
OBJECT_DECLARE(job_stub, JOB_STUB_FIELDS);
OBJECT_DECLARE(eval_options, EVAL_OPTIONS_FIELDS);
OBJECT_DECLARE(submission, SUBMISSION_FIELDS);
OBJECT_DECLARE(job_request, JOB_REQUEST_FIELDS);
OBJECT_DECLARE(evaluate_request, EVALUATE_REQUEST_FIELDS);
OBJECT_DECLARE(job_registered, JOB_REGISTERED_FIELDS);
OBJECT_DECLARE(job_deregistered, JOB_DEREGISTERED_FIELDS);

#define DEPLOYMENT_STATUS_LIST(X) X(RUNNING, "running") X(PAUSED, "paused") X(FAILED, "failed") X(SUCCESSFUL, "successful") X(CANCELLED, "cancelled") X(INITIALIZING, "initializing") X(PENDING, "pending") X(BLOCKED, "blocked") X(UNBLOCKING, "unblocking")
#define DEPLOYMENT_STATUS_ENUM(id, text) DEPLOYMENT_STATUS_##id,
STATUS_DECLARE(deployment_status, DEPLOYMENT_STATUS, DEPLOYMENT_STATUS_LIST);

#endif /* PROTO_DEPLOYMENT_H_ */
