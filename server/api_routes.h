/**
 * The API's routes: one line each, from which the route table, the 405 answers and the declarations of handlers follow.
 *
 * Reads are answered by any server, as new as the request asks (server/api_query.h): X(name, methods, pattern,
 * capability) stands for a `const struct query_kind query_NAME`. Writes are carried out by the leader; the rest as its
 * line says. Both stand for a function `serve_NAME(struct api *, struct http_request *)`.
 *
 * The capability is what a request needs when the server has ACLs, as server/access.h describes. Each line has one, if
 * only to say that it is "open".
 */
#ifndef SERVER_API_ROUTES_H_
#define SERVER_API_ROUTES_H_

#include "proto/http.h"

#define API_ANY (HTTP_BIT_GET | HTTP_BITS_WRITE | HTTP_BIT_DELETE)

#define API_READS(X)                                                                                           \
	X(jobs, HTTP_BIT_GET, "/v1/jobs", "list-jobs")                                                         \
	X(job_statuses, HTTP_BIT_GET | HTTP_BIT_POST, "/v1/jobs/statuses", "list-jobs")                        \
	X(job, HTTP_BIT_GET, "/v1/job/:id...", "read-job")                                                     \
	X(job_versions, HTTP_BIT_GET, "/v1/job/:id.../versions", "read-job")                                   \
	X(job_allocs, HTTP_BIT_GET, "/v1/job/:id.../allocations", "read-job")                                  \
	X(job_evals, HTTP_BIT_GET, "/v1/job/:id.../evaluations", "read-job")                                   \
	X(job_deployments, HTTP_BIT_GET, "/v1/job/:id.../deployments", "read-job")                             \
	X(job_deployment, HTTP_BIT_GET, "/v1/job/:id.../deployment", "read-job")                               \
	X(job_summary, HTTP_BIT_GET, "/v1/job/:id.../summary", "read-job")                                     \
	X(job_scaling, HTTP_BIT_GET, "/v1/job/:id.../scale", "read-job|read-job-scaling")                      \
	X(job_submission, HTTP_BIT_GET, "/v1/job/:id.../submission", "read-job")                               \
	X(job_actions, HTTP_BIT_GET, "/v1/job/:id.../actions", "read-job")                                     \
	X(scaling_policies, HTTP_BIT_GET, "/v1/scaling/policies",                                              \
	  "list-scaling-policies|list-jobs&list-scaling-policies|read-job")                                    \
	X(scaling_policy, HTTP_BIT_GET, "/v1/scaling/policy/:id", "any/read-scaling-policy|read-job")          \
	X(allocs, HTTP_BIT_GET, "/v1/allocations", "read-job")                                                 \
	X(alloc, HTTP_BIT_GET, "/v1/allocation/:id?", "alloc/read-job")                                        \
	X(evals, HTTP_BIT_GET, "/v1/evaluations", "read-job")                                                  \
	X(evals_count, HTTP_BIT_GET, "/v1/evaluations/count", "read-job")                                      \
	X(eval, HTTP_BIT_GET, "/v1/evaluation/:id", "eval/read-job")                                           \
	X(eval_allocs, HTTP_BIT_GET, "/v1/evaluation/:id/allocations", "eval/read-job")                        \
	X(deployments, HTTP_BIT_GET, "/v1/deployments", "read-job")                                            \
	X(deployment, HTTP_BIT_GET, "/v1/deployment/:id", "deployment/read-job")                               \
	X(deployment_allocs, HTTP_BIT_GET, "/v1/deployment/allocations/:id", "deployment/read-job")            \
	X(nodes, HTTP_BIT_GET, "/v1/nodes", "node:read")                                                       \
	X(node, HTTP_BIT_GET, "/v1/node/:id", "node:read")                                                     \
	X(node_allocs, HTTP_BIT_GET, "/v1/node/:id/allocations", "node:read")                                  \
	X(node_pools, HTTP_BIT_GET, "/v1/node/pools", "token")                                                 \
	X(node_pool, HTTP_BIT_GET, "/v1/node/pool/:name", "node_pool:read")                                    \
	X(node_pool_nodes, HTTP_BIT_GET, "/v1/node/pool/:name/nodes", "node:read&node_pool:read")              \
	X(node_pool_jobs, HTTP_BIT_GET, "/v1/node/pool/:name/jobs", "any/node_pool:read")                      \
	X(namespaces, HTTP_BIT_GET, "/v1/namespaces", "token")                                                 \
	X(namespace, HTTP_BIT_GET, "/v1/namespace/:name", "namespace:any")                                     \
	X(scheduler_config, HTTP_BIT_GET, "/v1/operator/scheduler/configuration", "operator:read")             \
	X(services, HTTP_BIT_GET, "/v1/services", "read-job+tasks")                                            \
	X(service, HTTP_BIT_GET, "/v1/service/:name", "read-job+tasks")                                        \
	X(job_services, HTTP_BIT_GET, "/v1/job/:id.../services", "read-job")                                   \
	X(alloc_services, HTTP_BIT_GET, "/v1/allocation/:id/services", "alloc/read-job")                       \
	X(variables, HTTP_BIT_GET, "/v1/vars", "variables:list+tasks")                                         \
	X(variable, HTTP_BIT_GET, "/v1/var/:path...", "variables:read+tasks")                                  \
	X(root_keys, HTTP_BIT_GET, "/v1/operator/keyring/keys", "management")                                  \
	X(jwks, HTTP_BIT_GET, "/.well-known/jwks.json", "open")                                                \
	X(acl_policies, HTTP_BIT_GET, "/v1/acl/policies", "token")                                             \
	X(acl_policy_self, HTTP_BIT_GET, "/v1/acl/policy/self", "token")                                       \
	X(acl_policy, HTTP_BIT_GET, "/v1/acl/policy/:name", "token")                                           \
	X(acl_tokens, HTTP_BIT_GET, "/v1/acl/tokens", "management")                                            \
	X(acl_token_self, HTTP_BIT_GET, "/v1/acl/token/self", "token")                                         \
	X(acl_token, HTTP_BIT_GET, "/v1/acl/token/:accessor", "token")                                         \
	X(acl_roles, HTTP_BIT_GET, "/v1/acl/roles", "token")                                                   \
	X(acl_role, HTTP_BIT_GET, "/v1/acl/role/:id", "token")                                                 \
	X(acl_role_named, HTTP_BIT_GET, "/v1/acl/role/name/:name", "token")                                    \
	X(volumes, HTTP_BIT_GET, "/v1/volumes", "csi-list-volume|host-volume-read")                            \
	X(volume_claims, HTTP_BIT_GET, "/v1/volumes/claims", "host-volume-read")                               \
	X(plugins, HTTP_BIT_GET, "/v1/plugins", "plugin:list")                                                 \
	X(search, HTTP_BITS_WRITE, "/v1/search", "anything")                                                   \
	X(search_fuzzy, HTTP_BITS_WRITE, "/v1/search/fuzzy", "anything")

#define API_WRITES(X)                                                                                          \
	X(jobs_register, HTTP_BITS_WRITE, "/v1/jobs", "body/submit-job")                                       \
	X(job_register, HTTP_BITS_WRITE, "/v1/job/:id...", "body/submit-job")                                  \
	X(job_delete, HTTP_BIT_DELETE, "/v1/job/:id...", "submit-job")                                         \
	X(job_dispatch, HTTP_BITS_WRITE, "/v1/job/:id.../dispatch", "dispatch-job")                            \
	X(job_dispatch_payload, HTTP_BITS_WRITE, "/v1/job/:id.../dispatch/payload", "dispatch-job")            \
	X(job_revert, HTTP_BITS_WRITE, "/v1/job/:id.../revert", "submit-job")                                  \
	X(job_stable, HTTP_BITS_WRITE, "/v1/job/:id.../stable", "submit-job")                                  \
	X(job_evaluate, HTTP_BITS_WRITE, "/v1/job/:id.../evaluate", "submit-job")                              \
	X(job_plan, HTTP_BITS_WRITE, "/v1/job/:id.../plan", "body/submit-job")                                 \
	X(job_force, HTTP_BITS_WRITE, "/v1/job/:id.../periodic/force", "submit-job|dispatch-job")              \
	X(job_scale, HTTP_BITS_WRITE, "/v1/job/:id.../scale", "submit-job|scale-job")                          \
	X(job_tag, HTTP_BITS_WRITE, "/v1/job/:id.../versions/:name/tag", "submit-job")                         \
	X(job_untag, HTTP_BIT_DELETE, "/v1/job/:id.../versions/:name/tag", "submit-job")                       \
	X(alloc_stop, HTTP_BITS_WRITE, "/v1/allocation/:id/stop", "alloc/alloc-lifecycle")                     \
	X(evals_delete, HTTP_BIT_DELETE, "/v1/evaluations", "management")                                      \
	X(deployment_fail, HTTP_BITS_WRITE, "/v1/deployment/fail/:id", "deployment/submit-job")                \
	X(deployment_pause, HTTP_BITS_WRITE, "/v1/deployment/pause/:id", "deployment/submit-job")              \
	X(deployment_promote, HTTP_BITS_WRITE, "/v1/deployment/promote/:id", "deployment/submit-job")          \
	X(deployment_health, HTTP_BITS_WRITE, "/v1/deployment/allocation-health/:id", "deployment/submit-job") \
	X(deployment_unblock, HTTP_BITS_WRITE, "/v1/deployment/unblock/:id", "deployment/submit-job")          \
	X(node_drain, HTTP_BITS_WRITE, "/v1/node/:id/drain", "node:write")                                     \
	X(node_eligibility, HTTP_BITS_WRITE, "/v1/node/:id/eligibility", "node:write")                         \
	X(node_evaluate, HTTP_BITS_WRITE, "/v1/node/:id/evaluate", "node:write")                               \
	X(node_purge, HTTP_BITS_WRITE, "/v1/node/:id/purge", "node:write")                                     \
	X(node_pools_put, HTTP_BITS_WRITE, "/v1/node/pools", "body/node_pool:write")                           \
	X(node_pool_put, HTTP_BITS_WRITE, "/v1/node/pool/:name", "node_pool:write")                            \
	X(node_pool_delete, HTTP_BIT_DELETE, "/v1/node/pool/:name", "node_pool:delete")                        \
	X(namespaces_put, HTTP_BITS_WRITE, "/v1/namespace", "management")                                      \
	X(namespace_put, HTTP_BITS_WRITE, "/v1/namespace/:name", "management")                                 \
	X(namespace_delete, HTTP_BIT_DELETE, "/v1/namespace/:name", "management")                              \
	X(service_delete, HTTP_BIT_DELETE, "/v1/service/:name/:id", "submit-job")                              \
	X(variable_put, HTTP_BITS_WRITE, "/v1/var/:path...", "body/variables:write")                           \
	X(variable_delete, HTTP_BIT_DELETE, "/v1/var/:path...", "variables:destroy")                           \
	X(acl_bootstrap, HTTP_BITS_WRITE, "/v1/acl/bootstrap", "open")                                         \
	X(acl_policy_put, HTTP_BITS_WRITE, "/v1/acl/policy/:name", "management")                               \
	X(acl_policy_delete, HTTP_BIT_DELETE, "/v1/acl/policy/:name", "management")                            \
	X(acl_token_create, HTTP_BITS_WRITE, "/v1/acl/token", "management")                                    \
	X(acl_token_put, HTTP_BITS_WRITE, "/v1/acl/token/:accessor", "management")                             \
	X(acl_token_delete, HTTP_BIT_DELETE, "/v1/acl/token/:accessor", "management")                          \
	X(acl_token_once, HTTP_BITS_WRITE, "/v1/acl/token/onetime", "token")                                   \
	X(acl_token_exchange, HTTP_BITS_WRITE, "/v1/acl/token/onetime/exchange", "open")                       \
	X(acl_role_create, HTTP_BITS_WRITE, "/v1/acl/role", "management")                                      \
	X(acl_role_put, HTTP_BITS_WRITE, "/v1/acl/role/:id", "management")                                     \
	X(acl_role_delete, HTTP_BIT_DELETE, "/v1/acl/role/:id", "management")                                  \
	X(root_key_rotate, HTTP_BITS_WRITE, "/v1/operator/keyring/rotate", "management")                       \
	X(root_key_delete, HTTP_BIT_DELETE, "/v1/operator/keyring/key/:id", "management")                      \
	X(scheduler_config_put, HTTP_BITS_WRITE, "/v1/operator/scheduler/configuration", "operator:write")     \
	X(snapshot_save, HTTP_BIT_GET, "/v1/operator/snapshot", "management")                                  \
	X(snapshot_restore, HTTP_BITS_WRITE, "/v1/operator/snapshot", "management")                            \
	X(raft_peer_remove, HTTP_BIT_DELETE, "/v1/operator/raft/peer", "operator:write")                       \
	X(raft_transfer, HTTP_BITS_WRITE, "/v1/operator/raft/transfer-leadership", "operator:write")           \
	X(autopilot_configuration_put, HTTP_BITS_WRITE, "/v1/operator/autopilot/configuration", "operator:write") \
	X(autopilot_health, HTTP_BIT_GET, "/v1/operator/autopilot/health", "operator:read")                    \
	X(system_gc, HTTP_BIT_PUT, "/v1/system/gc", "management")                                              \
	X(system_reconcile, HTTP_BIT_PUT, "/v1/system/reconcile/summaries", "management")

/* X(name, methods, pattern, capability, consistency) */
#define API_OTHERS(X)                                                                                          \
	X(job_validate, HTTP_BITS_WRITE, "/v1/validate/job", "body/read-job|submit-job", ANY_SERVER)           \
	X(job_parse, HTTP_BITS_WRITE, "/v1/jobs/parse", "parse-job", ANY_SERVER)                               \
	X(status_leader, HTTP_BIT_GET, "/v1/status/leader", "open", ANY_SERVER)                                \
	X(status_peers, HTTP_BIT_GET, "/v1/status/peers", "open", ANY_SERVER)                                  \
	X(event_stream, HTTP_BIT_GET, "/v1/event/stream", "anything", ANY_SERVER)                              \
	X(regions, HTTP_BIT_GET, "/v1/regions", "open", ANY_SERVER)                                            \
	X(agent_self, HTTP_BIT_GET, "/v1/agent/self", "agent:read", LOCAL)                                     \
	X(agent_join, HTTP_BITS_WRITE, "/v1/agent/join", "agent:write", LOCAL)                                 \
	X(agent_force_leave, HTTP_BITS_WRITE, "/v1/agent/force-leave", "agent:write", LOCAL)                   \
	X(agent_members, HTTP_BIT_GET, "/v1/agent/members", "node:read", LOCAL)                                \
	X(agent_health, HTTP_BIT_GET, "/v1/agent/health", "open", LOCAL)                                       \
	X(agent_monitor, HTTP_BIT_GET, "/v1/agent/monitor", "agent:read", LOCAL)                               \
	X(agent_monitor_export, HTTP_BIT_GET, "/v1/agent/monitor/export", "agent:read", LOCAL)                 \
	X(agent_host, HTTP_BIT_GET, "/v1/agent/host", "agent:read", LOCAL)                                     \
	X(agent_pprof, HTTP_BIT_GET, "/v1/agent/pprof/:profile", "agent:write", LOCAL)                         \
	X(agent_schedulers, HTTP_BIT_GET, "/v1/agent/schedulers", "agent:read", LOCAL)                         \
	X(agent_schedulers_config, HTTP_BIT_GET, "/v1/agent/schedulers/config", "agent:read", LOCAL)           \
	X(agent_schedulers_put, HTTP_BITS_WRITE, "/v1/agent/schedulers/config", "agent:write", LOCAL)          \
	X(agent_keyring, HTTP_BIT_GET | HTTP_BITS_WRITE | HTTP_BIT_DELETE, "/v1/agent/keyring/:verb", "agent:write", LOCAL) \
	X(agent_servers, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/agent/servers", "agent:read;agent:write", LOCAL) \
	X(agent_reload, HTTP_BITS_WRITE, "/v1/agent/reload", "agent:write", LOCAL)                             \
	X(metrics, HTTP_BIT_GET, "/v1/metrics", "open", LOCAL)                                                 \
	X(raft_configuration, HTTP_BIT_GET, "/v1/operator/raft/configuration", "operator:read", ANY_SERVER)    \
	X(state_hash, HTTP_BIT_GET, "/v1/operator/raft/hash", "operator:read", LOCAL)                          \
	X(autopilot_configuration, HTTP_BIT_GET, "/v1/operator/autopilot/configuration", "operator:read", ANY_SERVER) \
	X(license, HTTP_BIT_GET | HTTP_BIT_PUT, "/v1/operator/license", "open", ANY_SERVER)                    \
	X(alloc_unknown, HTTP_BITS_ALL, "/v1/allocation/:id...", "open", ANY_SERVER)                           \
	X(client_alloc_signal, HTTP_BITS_WRITE, "/v1/client/allocation/:id/signal", "alloc/alloc-lifecycle", ANY_SERVER) \
	X(client_alloc_restart, HTTP_BITS_WRITE, "/v1/client/allocation/:id/restart", "alloc/alloc-lifecycle", ANY_SERVER) \
	X(client_alloc_stats, HTTP_BIT_GET, "/v1/client/allocation/:id/stats", "alloc/read-job", ANY_SERVER)   \
	X(client_alloc_checks, HTTP_BIT_GET, "/v1/client/allocation/:id/checks", "alloc/read-job", ANY_SERVER) \
	X(client_alloc_exec, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/allocation/:id/exec", "exec/alloc-exec", ANY_SERVER) \
	X(job_action, HTTP_BIT_GET, "/v1/job/:id.../action", "action/alloc-exec", ANY_SERVER)                  \
	X(client_alloc_gc, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/allocation/:id/gc", "alloc/submit-job", ANY_SERVER) \
	X(client_alloc_snapshot, HTTP_BIT_GET, "/v1/client/allocation/:id/snapshot", "alloc/read-fs", ANY_SERVER) \
	X(client_fs_ls, HTTP_BIT_GET, "/v1/client/fs/ls/:id?", "alloc/read-fs", ANY_SERVER)                    \
	X(client_fs_stat, HTTP_BIT_GET, "/v1/client/fs/stat/:id?", "alloc/read-fs", ANY_SERVER)                \
	X(client_fs_cat, HTTP_BIT_GET, "/v1/client/fs/cat/:id?", "alloc/read-fs", ANY_SERVER)                  \
	X(client_fs_readat, HTTP_BIT_GET, "/v1/client/fs/readat/:id?", "alloc/read-fs", ANY_SERVER)            \
	X(client_fs_stream, HTTP_BIT_GET, "/v1/client/fs/stream/:id?", "alloc/read-fs", ANY_SERVER)            \
	X(client_fs_logs, HTTP_BIT_GET, "/v1/client/fs/logs/:id?", "alloc/read-logs", ANY_SERVER)              \
	X(client_fs_unknown, HTTP_BITS_ALL, "/v1/client/fs/:what...", "open", ANY_SERVER)                      \
	X(client_stats, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/stats", "node:read", ANY_SERVER)           \
	X(client_gc, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/gc", "node:write", ANY_SERVER)                \
	X(client_metadata, HTTP_BIT_GET | HTTP_BIT_POST, "/v1/client/metadata", "node:read;node:write", ANY_SERVER) \
	X(client_unknown, HTTP_BITS_ALL, "/v1/client/allocation/:id...", "open", ANY_SERVER)                   \
	X(client_identity, HTTP_BIT_GET, "/v1/client/identity", "node:read", ANY_SERVER)                       \
	X(client_identity_renew, HTTP_BITS_WRITE, "/v1/client/identity/renew", "node:write", ANY_SERVER)       \
	X(client_alloc_pause, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/allocation/:id/pause",               \
	  "alloc/read-job;alloc/alloc-lifecycle", ANY_SERVER)                                                  \
	X(volumes_external, HTTP_BIT_GET, "/v1/volumes/external", "csi-list-volume", ANY_SERVER)               \
	X(volumes_snapshot, HTTP_BIT_GET | HTTP_BITS_WRITE | HTTP_BIT_DELETE, "/v1/volumes/snapshot",          \
	  "csi-list-volume;csi-write-volume", ANY_SERVER)                                                      \
	X(volume_claim, HTTP_BIT_DELETE, "/v1/volumes/claim/:id", "host-volume-delete", ANY_SERVER)            \
	X(volumes_put, HTTP_BITS_WRITE, "/v1/volumes", "csi-write-volume", ANY_SERVER)                         \
	X(volume, HTTP_BIT_GET | HTTP_BITS_WRITE | HTTP_BIT_DELETE, "/v1/volume/:kind/:id...",                 \
	  "csi-read-volume|host-volume-read;csi-write-volume|host-volume-write", ANY_SERVER)                   \
	X(plugin, HTTP_BIT_GET, "/v1/plugin/csi/:id", "plugin:read", ANY_SERVER)                               \
	X(upgrade_check_vault, HTTP_BIT_GET, "/v1/operator/upgrade-check/vault-workload-identity", "operator:read", ANY_SERVER) \
	X(quota_one_none, API_ANY, "/v1/quota", "open", ANY_SERVER)                                            \
	X(quota_named_none, API_ANY, "/v1/quota/:name", "open", ANY_SERVER)                                    \
	X(sentinel_named_none, API_ANY, "/v1/sentinel/policy/:name", "open", ANY_SERVER)                       \
	X(recommendation_one_none, API_ANY, "/v1/recommendation", "open", ANY_SERVER)                          \
	X(recommendation_named_none, API_ANY, "/v1/recommendation/:id", "open", ANY_SERVER)                    \
	X(recommendations_apply_none, API_ANY, "/v1/recommendations/apply", "open", ANY_SERVER)                \
	X(utilization_none, HTTP_BIT_POST, "/v1/operator/utilization", "open", ANY_SERVER)                     \
	X(acl_auth_methods, HTTP_BIT_GET, "/v1/acl/auth-methods", "open", ANY_SERVER)                          \
	X(acl_binding_rules, HTTP_BIT_GET, "/v1/acl/binding-rules", "management", ANY_SERVER)                  \
	X(acl_auth_method, API_ANY, "/v1/acl/auth-method", "management", ANY_SERVER)                           \
	X(acl_auth_method_named, API_ANY, "/v1/acl/auth-method/:name", "management", ANY_SERVER)               \
	X(acl_binding_rule, API_ANY, "/v1/acl/binding-rule", "management", ANY_SERVER)                         \
	X(acl_binding_rule_one, API_ANY, "/v1/acl/binding-rule/:id", "management", ANY_SERVER)                 \
	X(acl_oidc, HTTP_BITS_WRITE, "/v1/acl/oidc/:step", "open", ANY_SERVER)                                 \
	X(acl_login, HTTP_BITS_WRITE, "/v1/acl/login", "open", ANY_SERVER)                                     \
	X(acl_identity, HTTP_BITS_WRITE, "/v1/acl/identity/:what", "management", ANY_SERVER)                   \
	X(acl_other, API_ANY, "/v1/acl/:what...", "open", ANY_SERVER)                                          \
	X(quota_none, API_ANY, "/v1/quotas", "open", ANY_SERVER)                                               \
	X(quota_usage_none, API_ANY, "/v1/quota-usages", "open", ANY_SERVER)                                   \
	X(sentinel_none, API_ANY, "/v1/sentinel/policies", "open", ANY_SERVER)                                 \
	X(recommendations_none, API_ANY, "/v1/recommendations", "open", ANY_SERVER)

#endif /* SERVER_API_ROUTES_H_ */
