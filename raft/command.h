/**
 * Commands: what changes the state, as it stands in the log.
 *
 * One entry of the log is a batch of commands, which apply runs in their order (raft/fsm.h):
 *
 *     entry    | magic, count | command | command | ...               a multiple of 8 bytes
 *     command  | length, type, flags, padding | time | seed | payload | padding |
 *
 * A payload is a packed object (proto/object.h), one type for each command: COMMAND_LIST names them. Whoever proposes
 * encodes a command on any thread; the leader stamps it with the time and a random seed when it joins a batch, and
 * apply has no other clock and no other source of IDs (uuid_derive()).
 *
 * All integers are little-endian. UUIDs in payloads are 16 bytes unless they are members of an API object. Fields named
 * after an enum hold its number.
 *
 * What a command does, and how it can fail, stands beside its payload below. A failed command has changed nothing. In a
 * result (struct apply_result) `index` is the command's; the rest is 0 or empty unless it says so here.
 */
#ifndef RAFT_COMMAND_H_
#define RAFT_COMMAND_H_

#include "lib/uuid.h"
#include "proto/cluster.h"
#include "raft/state.h"

/* ---- the list: numbers are stored, only append ---- */

#define COMMAND_LIST(X)                                    \
	X(JOB_REGISTER, job_register)                      \
	X(JOB_DEREGISTER, job_deregister)                  \
	X(JOB_REVERT, job_revert)                          \
	X(JOB_STABLE, job_stable)                          \
	X(JOB_TAG, job_tag)                                \
	X(JOB_EVALUATE, job_evaluate)                      \
	X(JOB_SCALE, job_scale)                            \
	X(JOBS_DELETE, jobs_delete)                        \
	X(EVALS, eval_updates)                             \
	X(EVALS_DELETE, evals_delete)                      \
	X(NODE_REGISTER, node_register)                    \
	X(NODES_DELETE, nodes_delete)                      \
	X(NODE_STATUS, node_status_update)                 \
	X(NODE_ELIGIBILITY, node_eligibility)              \
	X(NODE_DRAIN, node_drain)                          \
	X(ALLOC_REPORTS, alloc_reports)                    \
	X(ALLOC_TRANSITIONS, alloc_transitions)            \
	X(PLAN, plan_result)                               \
	X(DEPLOYMENT_STATUS, deployment_change)            \
	X(DEPLOYMENT_PROMOTE, deployment_promote)          \
	X(DEPLOYMENT_HEALTH, deployment_health)            \
	X(DEPLOYMENTS_DELETE, deployments_delete)          \
	X(LAUNCH, launch_record)                           \
	X(NAMESPACE_PUT, namespace_put)                    \
	X(NAMESPACE_DELETE, name_delete)                   \
	X(NODE_POOL_PUT, node_pool_put)                    \
	X(NODE_POOL_DELETE, name_delete)                   \
	X(SCHEDULER_CONFIG, scheduler_config_put)          \
	X(SERVER_PUT, server_put)                          \
	X(SERVER_DELETE, server_delete)                    \
	X(NODE_EVENTS, node_events)                        \
	X(NODE_EVALUATE, node_evaluate)                    \
	X(NOTHING, no_payload)                             \
	X(AUTOPILOT_CONFIG, autopilot_config_put)          \
	X(RESTORE_PART, restore_part)                      \
	X(RESTORE_COMMIT, restore_commit)                  \
	X(RESTORE_DROP, restore_drop)                      \
	X(SERVICE_DELETE, service_delete)                  \
	X(VARIABLE_PUT, variable_put)                      \
	X(VARIABLE_DELETE, variable_delete)                \
	X(VARIABLE_RENEW, variable_lock_ref)               \
	X(VARIABLE_EXPIRE, variable_lock_ref)              \
	X(VARIABLES_REKEY, variables_rekey)                \
	X(ROOT_KEY_PUT, root_key_put)                      \
	X(ROOT_KEY_RETIRE, name_delete)                    \
	X(ROOT_KEY_DELETE, name_delete)                    \
	X(ACL_BOOTSTRAP, acl_bootstrap)                    \
	X(ACL_POLICY_PUT, acl_policy_put)                  \
	X(ACL_POLICY_DELETE, name_delete)                  \
	X(ACL_TOKEN_PUT, acl_token_put)                    \
	X(ACL_TOKEN_DELETE, acl_id)                        \
	X(ACL_ROLE_PUT, acl_role_put)                      \
	X(ACL_ROLE_DELETE, acl_id)                         \
	X(ACL_ONCE_PUT, acl_once_put)                      \
	X(ACL_ONCE_EXCHANGE, acl_id)                       \
	X(ACL_EXPIRE, acl_expire)

enum command {
#define X(id, payload) COMMAND_##id,
	COMMAND_LIST(X)
#undef X
	N_COMMANDS
};

const char *command_name(enum command type); /* "JOB_REGISTER"; "?" for other numbers. */
const struct type *command_payload(enum command type); /* NULL for other numbers. */

/* ---- jobs ---- */

/* Register a job, new or changed. Filled by job_register_fill(); what it cannot know follows `versions_kept`.
 *
 * An unchanged specification keeps version and JobModifyIndex, and gets an evaluation all the same. Jobs that do not
 * run themselves get none.
 *
 * Result: eval_id and eval_index (the evaluation's CreateIndex), job_modify_index (of a changed job the index, of an
 * unchanged one its ModifyIndex, as the API answers), version; `changed`. With an idempotency token that another child
 * of the parent has: eval_id and eval_index of nothing, `text` that child's ID, changed false.
 * ERR_CONFLICT: EnforceIndex; ERR_INVALID: a change of type or nature, an unknown namespace or node pool, a parent that
 * cannot be dispatched. `text` is the API's. */
#define JOB_REGISTER_FIELDS(X, T)                                                        \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, BYTES, spec, "Spec")          /* See job_spec_encode(). */                  \
	X(T, INT, type, "Type")            /* enum job_type */                           \
	X(T, INT, priority, "Priority")                                                  \
	X(T, INT, flags, "Flags")          /* enum job_flag */                           \
	X(T, INT, version, "Version")      /* Taken by a new job. */                     \
	X(T, STR, parent, "Parent")                                                      \
	X(T, STR, node_pool, "NodePool")                                                 \
	X(T, STR, token, "Token")          /* The dispatch's idempotency token. */       \
	X(T, STR, token_id, "TokenID")                                                   \
	X(T, INT, versions_kept, "VersionsKept") /* 0: 6. */                             \
	X(T, BOOL, enforce, "Enforce")     /* Check-and-set against: */                  \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, INT, trigger, "Trigger")      /* enum eval_trigger of its evaluation. */    \
	X(T, INT, eval_priority, "EvalPriority") /* 0: the job's. */                     \
	X(T, INT, launch_ns, "Launch")     /* Record this launch of the periodic parent. */ \
	X(T, OBJ(submission), submission, "Submission")

/* Stop a job, or remove it with all that belongs to it (purge). No such job: status 0 and nothing in the result.
 * Result: eval_id, eval_index (none for jobs that do not run themselves), job_modify_index. */
#define JOB_DEREGISTER_FIELDS(X, T)                                                      \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, BOOL, purge, "Purge")                                                       \
	X(T, INT, eval_priority, "EvalPriority")                                         \
	X(T, BOOL, no_shutdown_delay, "NoShutdownDelay")                                 \
	X(T, INT, versions_kept, "VersionsKept")

/* Make the content of an older version the newest. Result as for a register. ERR_NOTFOUND, ERR_CONFLICT,
 * ERR_INVALID with the API's text. */
#define JOB_REVERT_FIELDS(X, T)                                                          \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, INT, version, "Version")                                                    \
	X(T, OPTINT, enforce_prior, "EnforcePriorVersion")                               \
	X(T, INT, eval_priority, "EvalPriority")                                         \
	X(T, INT, versions_kept, "VersionsKept")

/* ERR_NOTFOUND with the API's text. */
#define JOB_STABLE_FIELDS(X, T)                                                          \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, INT, version, "Version")                                                    \
	X(T, BOOL, stable, "Stable")

/* Name a version, the newest unless one is given; or, with `unset`, take the name off the version that has it.
 * ERR_NOTFOUND; ERR_EXISTS: another version has the name. */
#define JOB_TAG_FIELDS(X, T)                                                             \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, OPTINT, version, "Version")                                                 \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, description, "Description")                                            \
	X(T, BOOL, unset, "Unset")

/* Make an evaluation. Result: eval_id, eval_index, job_modify_index (its ModifyIndex). ERR_NOTFOUND, ERR_INVALID. */
#define JOB_EVALUATE_FIELDS(X, T)                                                        \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, BOOL, force_reschedule, "ForceReschedule")                                  \
	X(T, INT, eval_priority, "EvalPriority")

/* Record a scaling event of a group, and, when `spec` is given, register it: that is the present specification with
 * another count, made from the version with this JobModifyIndex (ERR_CONFLICT when that has passed: make it anew).
 * Result as for a register; no evaluation without `spec`. ERR_NOTFOUND. */
#define JOB_SCALE_FIELDS(X, T)                                                           \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, group, "Group")                                                        \
	X(T, INT, job_modify_index, "JobModifyIndex")                                    \
	X(T, BYTES, spec, "Spec")                                                        \
	X(T, OBJ(scaling_event), event, "Event")                                         \
	X(T, INT, versions_kept, "VersionsKept")

/* Collect dead jobs. One that is alive again, or has open evaluations or live allocations, is left.
 * Result: count (removed), rejected. */
#define JOB_NAME_FIELDS(X, T)                                                            \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")
#define JOBS_DELETE_FIELDS(X, T) X(T, LIST(job_name), jobs, "Jobs")

/* ---- evaluations ---- */

/* Put evaluations: new ones, or new states of known ones, whole. Indexes and times of creation and change are set by
 * apply. A terminal one is not changed any more. One that completes without failed groups cancels the job's other
 * blocked ones. Queued allocations go into the job's summary. ERR_INVALID: bad IDs or statuses. Result: count. */
#define EVAL_UPDATES_FIELDS(X, T) X(T, LIST(evaluation), evals, "Evals")

/* Collect evaluations and allocations. Left: open evaluations, evaluations with allocations that are left, live
 * allocations. With `force` none is left. Result: count, rejected. */
#define ID_REF_FIELDS(X, T) X(T, BYTES, id, "ID")
#define EVALS_DELETE_FIELDS(X, T)                                                        \
	X(T, LIST(id_ref), evals, "Evals")                                                   \
	X(T, LIST(id_ref), allocs, "Allocs")                                                 \
	X(T, BOOL, force, "Force")

/* ---- nodes ---- */

/* Register a node, new or again; drain, eligibility and events are kept. A new pool is made. A node that becomes ready
 * gets evaluations as below. Result: count (evaluations made). ERR_INVALID: a bad ID, no name.
 * ERR_REFUSED: the secret is not that of the node with this ID. */
#define NODE_REGISTER_FIELDS(X, T) X(T, OBJ(node), node, "Node")

/* Remove nodes, whatever they are doing; the jobs of their live allocations get evaluations. Result: count. */
#define NODES_DELETE_FIELDS(X, T) X(T, LIST(id_ref), nodes, "Nodes")

/* A node is up, down or disconnected. Going down and coming up makes an evaluation (node-update) for each job with
 * live allocations there, and for each system job when it comes up. Result: count (evaluations made); changed.
 * ERR_NOTFOUND. */
#define NODE_STATUS_UPDATE_FIELDS(X, T)                                                  \
	X(T, BYTES, id, "ID")                                                            \
	X(T, INT, status, "Status")                                                      \
	X(T, STR, description, "Description")                                            \
	X(T, STR, event, "Event") /* Message of a node event to be added, or "". */      \
	X(T, BOOL, missed, "Missed") /* A heartbeat was missed. */

/* ERR_NOTFOUND; ERR_INVALID: eligible while draining. Result: eval_id (the first), eval_index, count. */
#define NODE_ELIGIBILITY_FIELDS(X, T)                                                    \
	X(T, BYTES, id, "ID")                                                            \
	X(T, BOOL, eligible, "Eligible")                                                 \
	X(T, STR, event, "Event") /* "": the usual one. */

/* Begin a drain (strategy given), or end it. Result as above. ERR_NOTFOUND. */
#define NODE_DRAIN_FIELDS(X, T)                                                          \
	X(T, BYTES, id, "ID")                                                            \
	X(T, OBJ(drain_strategy), strategy, "Strategy")                                  \
	X(T, BOOL, mark_eligible, "MarkEligible")                                        \
	X(T, BOOL, complete, "Complete") /* The drain is done, rather than called off. */ \
	X(T, MAP, meta, "Meta")                                                          \
	X(T, STR, accessor_id, "AccessorID")                                             \
	X(T, BOOL, deadlined, "Deadlined") /* With `complete`: its deadline has ended it. */

#define NODE_EVENTS_FIELDS(X, T)                                                         \
	X(T, BYTES, id, "ID")                                                            \
	X(T, LIST(node_event), events, "Events")

/* Evaluations for the jobs of a node, and for system jobs. Result: eval_id (the first), eval_index, count.
 * ERR_NOTFOUND. */
#define NODE_EVALUATE_FIELDS(X, T) X(T, BYTES, id, "ID")

/* ---- allocations ---- */

/* What clients report: see alloc_report_fill(). Complete and failed stay. Unknown allocations are passed over. A
 * failure makes an evaluation (alloc-failure) for its job if that goes on, and so does a return from unknown
 * (reconnect). The services are all that the allocation has from now on; it has none unless it runs, and those that no
 * row can be made of are passed over. Result: count (evaluations made), rejected (not there). */
#define ALLOC_REPORT_FIELDS(X, T)                                                        \
	X(T, BYTES, id, "ID")                                                            \
	X(T, INT, status, "Status")     /* enum alloc_client */                          \
	X(T, BYTES, reported, "Reported") /* A packed alloc_reported. */                 \
	X(T, OPTBOOL, healthy, "Healthy")                                                \
	X(T, INT, health_time_ns, "HealthTime")                                          \
	X(T, LIST(service_registration), services, "Services")
#define ALLOC_REPORTS_FIELDS(X, T) X(T, LIST(alloc_report), reports, "Reports")

/* Mark allocations for the schedulers, and make an evaluation for each of their jobs with this trigger.
 * Result: eval_id (the first), eval_index, count (of evaluations), rejected (allocations not there).
 * ERR_NOTFOUND: none of them is there. */
#define ALLOC_TRANSITION_FIELDS(X, T)                                                    \
	X(T, BYTES, id, "ID")                                                            \
	X(T, OBJ(desired_transition), transition, "Transition")
#define ALLOC_TRANSITIONS_FIELDS(X, T)                                                   \
	X(T, LIST(alloc_transition), allocs, "Allocs")                                   \
	X(T, INT, trigger, "Trigger")                                                    \
	X(T, INT, eval_priority, "EvalPriority")

/* Take a service off the list, though its allocation runs. ERR_NOTFOUND. */
#define SERVICE_DELETE_FIELDS(X, T)                                                      \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, name, "ServiceName")                                                   \
	X(T, STR, id, "ID")

/* ---- variables ---- */

enum variable_op {
	VARIABLE_WRITE,   /* The items; the lock stays. */
	VARIABLE_ACQUIRE, /* Lock it; also one that is not there, which then is, without items unless they are given. */
	VARIABLE_RELEASE,
	VARIABLE_OPS
};

/* Write a variable, and take or give back its lock. Without `data` the items stay. Who does not hold the lock of one that
 * is locked changes nothing; when a lock has run out nobody may take one for its delay.
 *
 * Result: create_index, create_time_ns, time_ns; made_id: the lock's ID, on acquire. ERR_CONFLICT: the lock, or
 * check-and-set (0: it must not be there). ERR_NOTFOUND: there is nothing to release. ERR_INVALID: a bad path, no such
 * namespace; ERR_BUSY: no such root key, any more: seal it anew. */
#define VARIABLE_PUT_FIELDS(X, T)                                                        \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, path, "Path")                                                          \
	X(T, STR, key_id, "KeyID")                                                       \
	X(T, BYTES, data, "Data")     /* Sealed. */                                      \
	X(T, BOOL, enforce, "Enforce")                                                   \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, INT, op, "Op")           /* enum variable_op */                             \
	X(T, STR, lock_id, "LockID")                                                     \
	X(T, INT, ttl_ns, "TTL")                                                         \
	X(T, INT, lock_delay_ns, "LockDelay")

/* Not there: nothing happens. ERR_CONFLICT as above. */
#define VARIABLE_DELETE_FIELDS(X, T)                                                     \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, path, "Path")                                                          \
	X(T, BOOL, enforce, "Enforce")                                                   \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, STR, lock_id, "LockID")

/* Hold a lock for another TTL, which is no change of the variable; or end one whose time is up. ERR_NOTFOUND;
 * ERR_CONFLICT: it is not held, not any more, or by somebody else; or its time is not up. */
#define VARIABLE_LOCK_REF_FIELDS(X, T)                                                   \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, path, "Path")                                                          \
	X(T, STR, lock_id, "LockID")

/* The same items, sealed by another root key: no change of the variable. Those that have changed since they were read
 * are passed over. Result: count, rejected. */
#define VARIABLE_REKEY_FIELDS(X, T)                                                      \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, path, "Path")                                                          \
	X(T, INT, modify_index, "ModifyIndex")                                           \
	X(T, BYTES, data, "Data")
#define VARIABLES_REKEY_FIELDS(X, T)                                                     \
	X(T, STR, key_id, "KeyID")                                                       \
	X(T, LIST(variable_rekey), variables, "Variables")

/* A new root key, the active one from now on. The one before becomes inactive, or rekeying if it is to be replaced
 * everywhere. `first`: nothing happens if there is one. ERR_INVALID, ERR_EXISTS. */
#define ROOT_KEY_PUT_FIELDS(X, T)                                                        \
	X(T, OBJ(root_key), key, "Key")                                                  \
	X(T, BOOL, full, "Full")                                                         \
	X(T, BOOL, first, "First")

/* ROOT_KEY_RETIRE: what was rekeying is inactive. ROOT_KEY_DELETE: it is gone, and what it has sealed is lost.
 * ERR_NOTFOUND; ERR_INVALID: it is active. */

/* ---- plans ---- */

/* What a scheduler decided and the plan applier accepted; a large plan is several of these, the evaluation's new state
 * in the last.
 *
 * A place with the ID of a known allocation updates it in place: it gets the job version, the evaluation, the
 * deployment and the resources of the plan, and keeps what its client said. Any other makes a new allocation. A place on
 * a node that is gone or down, or of a job that is gone, is rejected: its evaluation must be tried again, and so those
 * evaluations are not put that say that the work is done.
 *
 * Result: count (placed), rejected. ERR_INVALID: it makes no sense (nothing is done). */
#define PLAN_GROUP_FIELDS(X, T)                                                          \
	X(T, STR, name, "Name") /* A group of the job. */                                \
	X(T, INT, cpu_mhz, "CPU")                                                        \
	X(T, INT, memory_mb, "MemoryMB")                                                 \
	X(T, INT, memory_max_mb, "MemoryMaxMB")                                          \
	X(T, INT, disk_mb, "DiskMB")
#define PLAN_METRICS_FIELDS(X, T) X(T, BYTES, packed, "Packed") /* A packed alloc_metric. */
#define PLAN_PLACE_FIELDS(X, T)                                                          \
	X(T, BYTES, id, "ID")                                                            \
	X(T, BYTES, node_id, "NodeID")                                                   \
	X(T, INT, group, "Group")     /* In `groups`, from 0. */                         \
	X(T, INT, index, "Index")     /* In its name. */                                 \
	X(T, INT, metrics, "Metrics") /* In `metrics`, from 1; 0: none. */               \
	X(T, BYTES, previous, "Previous") /* The allocation that it replaces. */         \
	X(T, BOOL, canary, "Canary")                                                     \
	X(T, OBJ(alloc_server), server, "Server") /* Ports, tracker, ...; not the IDs of others. */
/* A change of an allocation that is there: a stop (desired, description), an eviction (also preempted_by), a loss
 * (client), a reschedule later (followup_eval). What is not given stays. */
#define PLAN_CHANGE_FIELDS(X, T)                                                         \
	X(T, BYTES, id, "ID")                                                            \
	X(T, OPTINT, desired, "Desired") /* enum alloc_desired */                        \
	X(T, STR, description, "Description")                                            \
	X(T, OPTINT, client, "Client")   /* enum alloc_client; lost or unknown. */       \
	X(T, STR, client_description, "ClientDescription")                               \
	X(T, BYTES, followup_eval, "FollowupEval")                                       \
	X(T, BYTES, preempted_by, "PreemptedBy")
#define DEPLOYMENT_UPDATE_FIELDS(X, T)                                                   \
	X(T, BYTES, id, "ID")                                                            \
	X(T, INT, status, "Status") /* enum deployment_status */                         \
	X(T, STR, description, "Description")
#define PLAN_RESULT_FIELDS(X, T)                                                         \
	X(T, BYTES, eval_id, "EvalID")                                                   \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, INT, job_create_index, "JobCreateIndex")                                    \
	X(T, INT, job_version, "JobVersion")                                             \
	X(T, BYTES, deployment_id, "DeploymentID") /* Of the places. */                  \
	X(T, LIST(plan_group), groups, "Groups")                                         \
	X(T, LIST(plan_metrics), metrics, "Metrics")                                     \
	X(T, LIST(plan_place), places, "Places")                                         \
	X(T, LIST(plan_change), changes, "Changes")                                      \
	X(T, OBJ(deployment), deployment, "Deployment") /* A new one, or new numbers of the job's. */ \
	X(T, LIST(deployment_update), deployments, "Deployments")                        \
	X(T, LIST(evaluation), evals, "Evals") /* As in EVALS; */                        \
	X(T, INT, evals_always, "EvalsAlways") /* but when a place is rejected only so many, the first. */

/* ---- deployments ---- */

/* Set a status; an inactive deployment stays as it is (ERR_CONFLICT; `verb` makes the text: "can't fail terminal
 * deployment"). Optionally: an evaluation (deployment-watcher) for its job; mark the job's version stable; register
 * the content of an older version anew.
 * Result: eval_id, eval_index, version (of the job as reverted), changed (it was reverted). ERR_NOTFOUND. */
#define DEPLOYMENT_CHANGE_FIELDS(X, T)                                                   \
	X(T, BYTES, id, "ID")                                                            \
	X(T, INT, status, "Status")                                                      \
	X(T, STR, description, "Description")                                            \
	X(T, STR, verb, "Verb")                                                          \
	X(T, BOOL, eval, "Eval")                                                         \
	X(T, BOOL, stable, "Stable")                                                     \
	X(T, OPTINT, revert_to, "RevertTo")                                              \
	X(T, INT, versions_kept, "VersionsKept")

/* Promote the canaries of these groups, of all when there are none. Result: eval_id, eval_index. ERR_NOTFOUND,
 * ERR_CONFLICT (terminal), ERR_INVALID (unknown groups, unhealthy canaries) with the API's text. */
#define DEPLOYMENT_PROMOTE_FIELDS(X, T)                                                  \
	X(T, BYTES, id, "ID")                                                            \
	X(T, STRS, groups, "Groups")

/* Set the health of allocations by hand, and then, when given, the status as above, or else make an evaluation as there.
 * Result as there; ERR_INVALID: an allocation that is not of the deployment. */
#define DEPLOYMENT_HEALTH_FIELDS(X, T)                                                   \
	X(T, BYTES, id, "ID")                                                            \
	X(T, LIST(id_ref), healthy, "Healthy")                                               \
	X(T, LIST(id_ref), unhealthy, "Unhealthy")                                           \
	X(T, INT, time_ns, "Time")                                                       \
	X(T, OBJ(deployment_change), change, "Change")

/* Collect deployments; active ones are left. Result: count, rejected. */
#define DEPLOYMENTS_DELETE_FIELDS(X, T) X(T, LIST(id_ref), deployments, "Deployments")

/* ---- the rest ---- */

/* The last launch of a periodic job. */
#define LAUNCH_RECORD_FIELDS(X, T)                                                       \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, id, "ID")                                                              \
	X(T, INT, launch_ns, "Launch")

#define NAMESPACE_PUT_FIELDS(X, T) X(T, OBJ(namespace_), namespace_, "Namespace")
#define NODE_POOL_PUT_FIELDS(X, T) X(T, OBJ(node_pool), pool, "Pool") /* ERR_INVALID: a built-in one. */

/* ERR_NOTFOUND; ERR_INVALID: built in; ERR_CONFLICT: in use, with a line for each reason. */
#define NAME_DELETE_FIELDS(X, T) X(T, STR, name, "Name")

/* Result: changed. With `enforce` only if its ModifyIndex is this. */
#define SCHEDULER_CONFIG_PUT_FIELDS(X, T)                                                \
	X(T, OBJ(scheduler_config), config, "Config")                                    \
	X(T, BOOL, enforce, "Enforce")                                                   \
	X(T, INT, modify_index, "ModifyIndex")

/* Likewise; what no operator has put has the ModifyIndex 0. */
#define AUTOPILOT_CONFIG_PUT_FIELDS(X, T)                                                \
	X(T, OBJ(autopilot_config), config, "Config")                                    \
	X(T, BOOL, enforce, "Enforce")                                                   \
	X(T, INT, modify_index, "ModifyIndex")

/* ---- access control: raft/fsm_acl.c ---- */

/* The first token, with its accessor and secret; once in a cluster's life, or again when `reset_index` is the index of
 * the last time. ERR_CONFLICT: it was done, with the API's text; ERR_INVALID: what the token must not be. */
#define ACL_BOOTSTRAP_FIELDS(X, T)                                                       \
	X(T, OBJ(acl_token), token, "Token")                                             \
	X(T, INT, reset_index, "ResetIndex")

/* ERR_INVALID with the API's text. Result: changed. */
#define ACL_POLICY_PUT_FIELDS(X, T) X(T, OBJ(acl_policy), policy, "Policy")

/* A token with its accessor; a new one (`create`) has a secret and an expiration time, if it ends. Of one that is there
 * secret, creation and end stay, and what the payload says of them must be nothing or the same. Roles are given by ID
 * or name. Result: create_index. ERR_NOTFOUND: no such token; ERR_EXISTS: the accessor or the secret is taken;
 * ERR_INVALID: also an unknown role. */
#define ACL_TOKEN_PUT_FIELDS(X, T)                                                       \
	X(T, OBJ(acl_token), token, "Token")                                             \
	X(T, BOOL, create, "Create")

/* Of a token, a role, or a secret that is good for once; 16 bytes. ERR_NOTFOUND. An exchange takes the row away and has
 * the token's accessor as made_id; ERR_REFUSED: nothing has this secret, or not any more. */
#define ACL_ID_FIELDS(X, T) X(T, BYTES, id, "ID")

/* A role with its ID, new or again. Its policies are there. Result: create_index. ERR_INVALID. */
#define ACL_ROLE_PUT_FIELDS(X, T)                                                        \
	X(T, OBJ(acl_role), role, "Role")                                                \
	X(T, BOOL, create, "Create")

/* In place of one that the token has. Result: time_ns, its end. ERR_NOTFOUND: no such token. */
#define ACL_ONCE_PUT_FIELDS(X, T)                                                        \
	X(T, BYTES, accessor, "AccessorID")                                              \
	X(T, BYTES, secret, "SecretID")                                                  \
	X(T, INT, ttl_ns, "TTL")

/* Collect tokens and secrets (by accessor) whose time is over. Result: count, rejected. */
#define ACL_EXPIRE_FIELDS(X, T)                                                          \
	X(T, LIST(acl_id), tokens, "Tokens")                                             \
	X(T, LIST(acl_id), once, "Once")

/* ---- another state in place of this one: see raft/fsm_restore.c ---- */

/* A piece of an archive (raft/archive.h). Number 0 begins, and drops what another restore has left; each further one
 * follows the one before. ERR_CONFLICT: another restore has begun; ERR_INVALID. */
#define RESTORE_PART_FIELDS(X, T)                                                        \
	X(T, BYTES, id, "ID") /* Of the restore. */                                      \
	X(T, INT, number, "Number")                                                      \
	X(T, BYTES, data, "Data")

/* All parts are there: the archive's state takes the place of the present one. Result: index, which is above all that
 * either state had. ERR_CONFLICT: parts are missing, or another restore has begun. ERR_CORRUPT, ERR_UNSUPPORTED: the
 * archive is no good, with a text. */
#define RESTORE_COMMIT_FIELDS(X, T)                                                      \
	X(T, BYTES, id, "ID")                                                            \
	X(T, INT, parts, "Parts")

/* Give up: the restore's parts go. Another one's stay. */
#define RESTORE_DROP_FIELDS(X, T) X(T, BYTES, id, "ID")

#define SERVER_PUT_FIELDS(X, T) X(T, OBJ(server_meta), server, "Server")
#define SERVER_DELETE_FIELDS(X, T) X(T, INT, id, "ID")

/* Changes nothing and takes an index. For tests, and as the cheapest write. */
#define NO_PAYLOAD_FIELDS(X, T) X(T, INT, nothing, "Nothing")

OBJECT_DECLARE(job_register, JOB_REGISTER_FIELDS);
OBJECT_DECLARE(job_deregister, JOB_DEREGISTER_FIELDS);
OBJECT_DECLARE(job_revert, JOB_REVERT_FIELDS);
OBJECT_DECLARE(job_stable, JOB_STABLE_FIELDS);
OBJECT_DECLARE(job_tag, JOB_TAG_FIELDS);
OBJECT_DECLARE(job_evaluate, JOB_EVALUATE_FIELDS);
OBJECT_DECLARE(job_scale, JOB_SCALE_FIELDS);
OBJECT_DECLARE(job_name, JOB_NAME_FIELDS);
OBJECT_DECLARE(jobs_delete, JOBS_DELETE_FIELDS);
OBJECT_DECLARE(eval_updates, EVAL_UPDATES_FIELDS);
OBJECT_DECLARE(id_ref, ID_REF_FIELDS);
OBJECT_DECLARE(evals_delete, EVALS_DELETE_FIELDS);
OBJECT_DECLARE(node_register, NODE_REGISTER_FIELDS);
OBJECT_DECLARE(nodes_delete, NODES_DELETE_FIELDS);
OBJECT_DECLARE(node_status_update, NODE_STATUS_UPDATE_FIELDS);
OBJECT_DECLARE(node_eligibility, NODE_ELIGIBILITY_FIELDS);
OBJECT_DECLARE(node_drain, NODE_DRAIN_FIELDS);
OBJECT_DECLARE(node_events, NODE_EVENTS_FIELDS);
OBJECT_DECLARE(node_evaluate, NODE_EVALUATE_FIELDS);
OBJECT_DECLARE(alloc_report, ALLOC_REPORT_FIELDS);
OBJECT_DECLARE(alloc_reports, ALLOC_REPORTS_FIELDS);
OBJECT_DECLARE(alloc_transition, ALLOC_TRANSITION_FIELDS);
OBJECT_DECLARE(alloc_transitions, ALLOC_TRANSITIONS_FIELDS);
OBJECT_DECLARE(plan_group, PLAN_GROUP_FIELDS);
OBJECT_DECLARE(plan_metrics, PLAN_METRICS_FIELDS);
OBJECT_DECLARE(plan_place, PLAN_PLACE_FIELDS);
OBJECT_DECLARE(plan_change, PLAN_CHANGE_FIELDS);
OBJECT_DECLARE(deployment_update, DEPLOYMENT_UPDATE_FIELDS);
OBJECT_DECLARE(plan_result, PLAN_RESULT_FIELDS);
OBJECT_DECLARE(deployment_change, DEPLOYMENT_CHANGE_FIELDS);
OBJECT_DECLARE(deployment_promote, DEPLOYMENT_PROMOTE_FIELDS);
OBJECT_DECLARE(deployment_health, DEPLOYMENT_HEALTH_FIELDS);
OBJECT_DECLARE(deployments_delete, DEPLOYMENTS_DELETE_FIELDS);
OBJECT_DECLARE(launch_record, LAUNCH_RECORD_FIELDS);
OBJECT_DECLARE(namespace_put, NAMESPACE_PUT_FIELDS);
OBJECT_DECLARE(node_pool_put, NODE_POOL_PUT_FIELDS);
OBJECT_DECLARE(name_delete, NAME_DELETE_FIELDS);
OBJECT_DECLARE(scheduler_config_put, SCHEDULER_CONFIG_PUT_FIELDS);
OBJECT_DECLARE(autopilot_config_put, AUTOPILOT_CONFIG_PUT_FIELDS);
OBJECT_DECLARE(restore_part, RESTORE_PART_FIELDS);
OBJECT_DECLARE(restore_commit, RESTORE_COMMIT_FIELDS);
OBJECT_DECLARE(restore_drop, RESTORE_DROP_FIELDS);
OBJECT_DECLARE(server_put, SERVER_PUT_FIELDS);
OBJECT_DECLARE(server_delete, SERVER_DELETE_FIELDS);
OBJECT_DECLARE(no_payload, NO_PAYLOAD_FIELDS);
OBJECT_DECLARE(service_delete, SERVICE_DELETE_FIELDS);
OBJECT_DECLARE(variable_put, VARIABLE_PUT_FIELDS);
OBJECT_DECLARE(variable_delete, VARIABLE_DELETE_FIELDS);
OBJECT_DECLARE(variable_lock_ref, VARIABLE_LOCK_REF_FIELDS);
OBJECT_DECLARE(variable_rekey, VARIABLE_REKEY_FIELDS);
OBJECT_DECLARE(variables_rekey, VARIABLES_REKEY_FIELDS);
OBJECT_DECLARE(root_key_put, ROOT_KEY_PUT_FIELDS);
OBJECT_DECLARE(acl_bootstrap, ACL_BOOTSTRAP_FIELDS);
OBJECT_DECLARE(acl_policy_put, ACL_POLICY_PUT_FIELDS);
OBJECT_DECLARE(acl_token_put, ACL_TOKEN_PUT_FIELDS);
OBJECT_DECLARE(acl_id, ACL_ID_FIELDS);
OBJECT_DECLARE(acl_role_put, ACL_ROLE_PUT_FIELDS);
OBJECT_DECLARE(acl_once_put, ACL_ONCE_PUT_FIELDS);
OBJECT_DECLARE(acl_expire, ACL_EXPIRE_FIELDS);

/* ---- making payloads ---- */

/* The 16 bytes of an ID as a member of a payload, which they must outlive; the zero UUID is nothing. */
struct bytes uuid_bytes(const struct uuid *id);

/* And back: false, and the zero UUID, unless it is 16 bytes. */
bool bytes_uuid(const struct bytes *bytes, struct uuid *out);

/* From a canonicalized and valid job; `out` points into it and into `mem`. The evaluation's trigger is job-register.
 * ERR_NOMEM; ERR_TOOBIG: an ID, a namespace or a group's name is too long. */
int job_register_fill(struct job_register *out, const struct job *job, struct arena *mem);

/* From what a client sent. ERR_NOMEM; ERR_INVALID: a bad ID or status. */
int alloc_report_fill(struct alloc_report *out, const struct alloc_update *update, struct arena *mem);

/* ---- encoding ---- */

enum {
	COMMAND_HEADER = 32,
	ENTRY_HEADER = 8,
	ENTRY_BEST = 16 << 10, /* A batch grows to this, as several entries may be applied in one turn; an entry of one command may be larger. */
	ENTRY_MAX = 8 << 20,   /* One for which this is too little is ERR_TOOBIG. */
	RESTORE_PART_MAX = 256 << 10, /* Bytes of a restore's part. */
	RESTORE_PARTS_MAX = 4096,
	ENTRY_COMMANDS_MAX = ENTRY_BEST / COMMAND_HEADER,
};

/* Append a command without its stamp to `out`. ERR_NOMEM, ERR_TOOBIG. */
int command_encode(enum command type, const void *payload, struct buf *out);

/* A batch in the making. All zero is empty. */
struct batch {
	struct buf entry;
	unsigned count;
};

/* Add an encoded command with its stamp. ERR_BUSY: full, and unchanged: send it first. ERR_NOMEM, ERR_TOOBIG;
 * ERR_SYNTAX: not one whole command. The n-th command added has the n-th result of the entry. */
int batch_add(struct batch *b, const void *command, size_t len, int64_t now_ns, const struct uuid *seed);

/* Begin anew, keeping the memory. */
void batch_reset(struct batch *b);
void batch_close(struct batch *b);

/* ---- decoding ---- */

struct command_in {
	enum command type;
	int64_t now_ns;
	struct uuid seed;
	const void *payload; /* The object; NULL if it is malformed. */
};

/* Decode a whole entry into memory of `mem`: `out` gets the commands. One whose payload is malformed does no harm to the
 * others. ERR_SYNTAX: the entry is none, or has a command of an unknown type or out of bounds; ERR_NOMEM. */
int entry_decode(const void *entry, size_t len, struct command_in **out, unsigned *n, struct arena *mem);

#endif /* RAFT_COMMAND_H_ */
