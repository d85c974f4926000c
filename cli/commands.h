/** The list of all commands, in the order in which help shows them. */
#ifndef CLI_COMMANDS_H_
#define CLI_COMMANDS_H_

#include "cli/command.h"

/* X(variable, is common): each is defined in the file of its group, cli/cmd_GROUP.c. */
#define COMMAND_LIST(X)                                                                                                \
	X(acl_bootstrap, false)                                                                                        \
	X(acl_policy_apply, false)                                                                                     \
	X(acl_policy_delete, false)                                                                                    \
	X(acl_policy_info, false)                                                                                      \
	X(acl_policy_list, false)                                                                                      \
	X(acl_policy_self, false)                                                                                      \
	X(acl_role_create, false)                                                                                      \
	X(acl_role_delete, false)                                                                                      \
	X(acl_role_info, false)                                                                                        \
	X(acl_role_list, false)                                                                                        \
	X(acl_role_update, false)                                                                                      \
	X(acl_token_create, false)                                                                                     \
	X(acl_token_delete, false)                                                                                     \
	X(acl_token_info, false)                                                                                       \
	X(acl_token_list, false)                                                                                       \
	X(acl_token_self, false)                                                                                       \
	X(acl_token_update, false)                                                                                     \
	X(action, false)                                                                                               \
	X(agent, true)                                                                                                 \
	X(alloc_checks, false)                                                                                         \
	X(alloc_exec, false)                                                                                           \
	X(alloc_fs, false)                                                                                             \
	X(alloc_logs, true)                                                                                            \
	X(alloc_restart, false)                                                                                        \
	X(alloc_signal, false)                                                                                         \
	X(alloc_status, false)                                                                                         \
	X(alloc_stop, false)                                                                                           \
	X(config_validate, false)                                                                                      \
	X(deployment_fail, false)                                                                                      \
	X(deployment_list, false)                                                                                      \
	X(deployment_pause, false)                                                                                     \
	X(deployment_promote, false)                                                                                   \
	X(deployment_resume, false)                                                                                    \
	X(deployment_status, false)                                                                                    \
	X(eval_list, false)                                                                                            \
	X(eval_status, false)                                                                                          \
	X(job_allocs, false)                                                                                           \
	X(job_deployments, false)                                                                                      \
	X(job_dispatch, false)                                                                                         \
	X(job_eval, false)                                                                                             \
	X(job_force, false)                                                                                            \
	X(job_history, false)                                                                                          \
	X(job_inspect, false)                                                                                          \
	X(job_plan, false)                                                                                             \
	X(job_promote, false)                                                                                          \
	X(job_revert, false)                                                                                           \
	X(job_run, true)                                                                                               \
	X(job_scale, false)                                                                                            \
	X(job_scaling_events, false)                                                                                   \
	X(job_start, false)                                                                                            \
	X(job_status, false)                                                                                           \
	X(job_stop, true)                                                                                              \
	X(job_tag, false)                                                                                              \
	X(job_untag, false)                                                                                            \
	X(job_validate, false)                                                                                         \
	X(monitor, false)                                                                                              \
	X(namespace_apply, false)                                                                                      \
	X(namespace_delete, false)                                                                                     \
	X(namespace_inspect, false)                                                                                    \
	X(namespace_list, false)                                                                                       \
	X(node_drain, false)                                                                                           \
	X(node_eligibility, false)                                                                                     \
	X(node_meta_apply, false)                                                                                      \
	X(node_meta_read, false)                                                                                       \
	X(node_pool_delete, false)                                                                                     \
	X(node_pool_info, false)                                                                                       \
	X(node_pool_jobs, false)                                                                                       \
	X(node_pool_list, false)                                                                                       \
	X(node_pool_nodes, false)                                                                                      \
	X(node_status, false)                                                                                          \
	X(operator_api, false)                                                                                         \
	X(operator_autopilot_get_config, false)                                                                        \
	X(operator_autopilot_health, false)                                                                            \
	X(operator_autopilot_set_config, false)                                                                        \
	X(operator_metrics, false)                                                                                     \
	X(operator_raft_list_peers, false)                                                                             \
	X(operator_raft_remove_peer, false)                                                                            \
	X(operator_raft_transfer_leadership, false)                                                                    \
	X(operator_root_keyring_list, false)                                                                           \
	X(operator_root_keyring_remove, false)                                                                         \
	X(operator_root_keyring_rotate, false)                                                                         \
	X(operator_scheduler_get_config, false)                                                                        \
	X(operator_snapshot_inspect, false)                                                                            \
	X(operator_snapshot_restore, false)                                                                            \
	X(operator_snapshot_save, false)                                                                               \
	X(scaling_policy_list, false)                                                                                  \
	X(server_force_leave, false)                                                                                   \
	X(server_join, false)                                                                                          \
	X(server_members, false)                                                                                       \
	X(service_delete, false)                                                                                       \
	X(service_info, false)                                                                                         \
	X(service_list, false)                                                                                         \
	X(status, true)                                                                                                \
	X(system_gc, false)                                                                                            \
	X(system_reconcile_summaries, false)                                                                           \
	X(tls_ca_create, false)                                                                                        \
	X(tls_ca_info, false)                                                                                          \
	X(tls_cert_create, false)                                                                                      \
	X(tls_cert_info, false)                                                                                        \
	X(var_get, false)                                                                                              \
	X(var_list, false)                                                                                             \
	X(var_lock, false)                                                                                             \
	X(var_purge, false)                                                                                            \
	X(var_put, false)                                                                                              \
	X(version, false)

#define X(name, common) extern const struct command command_##name;
COMMAND_LIST(X)
#undef X

/* Short for a longer name. */
#define ALIAS_LIST(X)                                                                                                  \
	X("plan", "job plan")                                                                                          \
	X("run", "job run")                                                                                            \
	X("stop", "job stop")                                                                                          \
	X("validate", "job validate")                                                                                  \
	X("exec", "alloc exec")                                                                                        \
	X("logs", "alloc logs")                                                                                        \
	X("node-status", "node status")                                                                                \
	X("alloc-status", "alloc status")                                                                              \
	X("eval-status", "eval status")                                                                                \
	X("server-members", "server members")

/* The first words of names, for help. */
#define GROUP_LIST(X)                                                                                                  \
	X("acl", "Interact with access control")                                                                       \
	X("alloc", "Interact with allocations")                                                                        \
	X("config", "Interact with configurations")                                                                    \
	X("deployment", "Interact with deployments")                                                                   \
	X("eval", "Interact with evaluations")                                                                         \
	X("job", "Interact with jobs")                                                                                 \
	X("namespace", "Interact with namespaces")                                                                     \
	X("node", "Interact with nodes")                                                                               \
	X("operator", "Tools for operators")                                                                           \
	X("scaling", "Interact with scaling policies")                                                                 \
	X("server", "Interact with servers")                                                                           \
	X("service", "Interact with registered services")                                                              \
	X("system", "Interact with the system API")                                                                    \
	X("tls", "Certificates for TLS")                                                                               \
	X("var", "Interact with variables")

#endif /* CLI_COMMANDS_H_ */
