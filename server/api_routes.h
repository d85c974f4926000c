/**
 * The API's routes: one line each, from which the route table, the 405 answers and the declarations of handlers follow.
 *
 * Reads are answered by any server, as new as the request asks (server/api_query.h): X(name, methods, pattern,
 * capability) stands for a `const struct query_kind query_NAME`. Writes are carried out by the leader; the rest as its
 * line says. Both stand for a function `serve_NAME(struct api *, struct http_request *)`.
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
	X(job_scaling, HTTP_BIT_GET, "/v1/job/:id.../scale", "read-job-scaling")                               \
	X(job_submission, HTTP_BIT_GET, "/v1/job/:id.../submission", "read-job")                               \
	X(allocs, HTTP_BIT_GET, "/v1/allocations", "read-job")                                                 \
	X(alloc, HTTP_BIT_GET, "/v1/allocation/:id", "read-job")                                               \
	X(evals, HTTP_BIT_GET, "/v1/evaluations", "read-job")                                                  \
	X(evals_count, HTTP_BIT_GET, "/v1/evaluations/count", "read-job")                                      \
	X(eval, HTTP_BIT_GET, "/v1/evaluation/:id", "read-job")                                                \
	X(eval_allocs, HTTP_BIT_GET, "/v1/evaluation/:id/allocations", "read-job")                             \
	X(deployments, HTTP_BIT_GET, "/v1/deployments", "read-job")                                            \
	X(deployment, HTTP_BIT_GET, "/v1/deployment/:id", "read-job")                                          \
	X(deployment_allocs, HTTP_BIT_GET, "/v1/deployment/allocations/:id", "read-job")                       \
	X(nodes, HTTP_BIT_GET, "/v1/nodes", "node:read")                                                       \
	X(node, HTTP_BIT_GET, "/v1/node/:id", "node:read")                                                     \
	X(node_allocs, HTTP_BIT_GET, "/v1/node/:id/allocations", "node:read")                                  \
	X(node_pools, HTTP_BIT_GET, "/v1/node/pools", "node_pool:read")                                        \
	X(node_pool, HTTP_BIT_GET, "/v1/node/pool/:name", "node_pool:read")                                    \
	X(node_pool_nodes, HTTP_BIT_GET, "/v1/node/pool/:name/nodes", "node:read")                             \
	X(node_pool_jobs, HTTP_BIT_GET, "/v1/node/pool/:name/jobs", "list-jobs")                               \
	X(namespaces, HTTP_BIT_GET, "/v1/namespaces", NULL)                                                    \
	X(namespace, HTTP_BIT_GET, "/v1/namespace/:name", NULL)                                                \
	X(scheduler_config, HTTP_BIT_GET, "/v1/operator/scheduler/configuration", "operator:read")             \
	X(services, HTTP_BIT_GET, "/v1/services", "read-job")                                                  \
	X(service, HTTP_BIT_GET, "/v1/service/:name", "read-job")                                              \
	X(job_services, HTTP_BIT_GET, "/v1/job/:id.../services", "read-job")                                   \
	X(alloc_services, HTTP_BIT_GET, "/v1/allocation/:id/services", "read-job")                             \
	X(search, HTTP_BITS_WRITE, "/v1/search", "list-jobs")                                                  \
	X(search_fuzzy, HTTP_BITS_WRITE, "/v1/search/fuzzy", "list-jobs")

#define API_WRITES(X)                                                                                          \
	X(jobs_register, HTTP_BITS_WRITE, "/v1/jobs", "submit-job")                                            \
	X(job_register, HTTP_BITS_WRITE, "/v1/job/:id...", "submit-job")                                       \
	X(job_delete, HTTP_BIT_DELETE, "/v1/job/:id...", "submit-job")                                         \
	X(job_dispatch, HTTP_BITS_WRITE, "/v1/job/:id.../dispatch", "dispatch-job")                            \
	X(job_dispatch_payload, HTTP_BITS_WRITE, "/v1/job/:id.../dispatch/payload", "dispatch-job")            \
	X(job_revert, HTTP_BITS_WRITE, "/v1/job/:id.../revert", "submit-job")                                  \
	X(job_stable, HTTP_BITS_WRITE, "/v1/job/:id.../stable", "submit-job")                                  \
	X(job_evaluate, HTTP_BITS_WRITE, "/v1/job/:id.../evaluate", "submit-job")                              \
	X(job_plan, HTTP_BITS_WRITE, "/v1/job/:id.../plan", "submit-job")                                      \
	X(job_force, HTTP_BITS_WRITE, "/v1/job/:id.../periodic/force", "submit-job")                           \
	X(job_scale, HTTP_BITS_WRITE, "/v1/job/:id.../scale", "scale-job")                                     \
	X(job_tag, HTTP_BITS_WRITE, "/v1/job/:id.../versions/:name/tag", "submit-job")                         \
	X(job_untag, HTTP_BIT_DELETE, "/v1/job/:id.../versions/:name/tag", "submit-job")                       \
	X(alloc_stop, HTTP_BITS_WRITE, "/v1/allocation/:id/stop", "alloc-lifecycle")                           \
	X(evals_delete, HTTP_BIT_DELETE, "/v1/evaluations", "management")                                      \
	X(deployment_fail, HTTP_BITS_WRITE, "/v1/deployment/fail/:id", "submit-job")                           \
	X(deployment_pause, HTTP_BITS_WRITE, "/v1/deployment/pause/:id", "submit-job")                         \
	X(deployment_promote, HTTP_BITS_WRITE, "/v1/deployment/promote/:id", "submit-job")                     \
	X(deployment_health, HTTP_BITS_WRITE, "/v1/deployment/allocation-health/:id", "submit-job")            \
	X(node_drain, HTTP_BITS_WRITE, "/v1/node/:id/drain", "node:write")                                     \
	X(node_eligibility, HTTP_BITS_WRITE, "/v1/node/:id/eligibility", "node:write")                         \
	X(node_evaluate, HTTP_BITS_WRITE, "/v1/node/:id/evaluate", "node:write")                               \
	X(node_purge, HTTP_BITS_WRITE, "/v1/node/:id/purge", "node:write")                                     \
	X(node_pools_put, HTTP_BITS_WRITE, "/v1/node/pools", "node_pool:write")                                \
	X(node_pool_put, HTTP_BITS_WRITE, "/v1/node/pool/:name", "node_pool:write")                            \
	X(node_pool_delete, HTTP_BIT_DELETE, "/v1/node/pool/:name", "node_pool:delete")                        \
	X(namespaces_put, HTTP_BITS_WRITE, "/v1/namespace", "management")                                      \
	X(namespace_put, HTTP_BITS_WRITE, "/v1/namespace/:name", "management")                                 \
	X(namespace_delete, HTTP_BIT_DELETE, "/v1/namespace/:name", "management")                              \
	X(service_delete, HTTP_BIT_DELETE, "/v1/service/:name/:id", "submit-job")                              \
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
	X(job_validate, HTTP_BITS_WRITE, "/v1/validate/job", "read-job", ANY_SERVER)                           \
	X(job_parse, HTTP_BITS_WRITE, "/v1/jobs/parse", "parse-job", ANY_SERVER)                               \
	X(status_leader, HTTP_BIT_GET, "/v1/status/leader", NULL, ANY_SERVER)                                  \
	X(status_peers, HTTP_BIT_GET, "/v1/status/peers", NULL, ANY_SERVER)                                    \
	X(regions, HTTP_BIT_GET, "/v1/regions", NULL, ANY_SERVER)                                              \
	X(agent_self, HTTP_BIT_GET, "/v1/agent/self", "agent:read", LOCAL)                                     \
	X(agent_join, HTTP_BITS_WRITE, "/v1/agent/join", "agent:write", LOCAL)                                 \
	X(agent_force_leave, HTTP_BITS_WRITE, "/v1/agent/force-leave", "agent:write", LOCAL)                   \
	X(agent_members, HTTP_BIT_GET, "/v1/agent/members", "node:read", LOCAL)                                \
	X(agent_health, HTTP_BIT_GET, "/v1/agent/health", NULL, LOCAL)                                         \
	X(metrics, HTTP_BIT_GET, "/v1/metrics", NULL, LOCAL)                                                   \
	X(raft_configuration, HTTP_BIT_GET, "/v1/operator/raft/configuration", "operator:read", ANY_SERVER)    \
	X(state_hash, HTTP_BIT_GET, "/v1/operator/raft/hash", "operator:read", LOCAL)                          \
	X(autopilot_configuration, HTTP_BIT_GET, "/v1/operator/autopilot/configuration", "operator:read", ANY_SERVER) \
	X(license, HTTP_BIT_GET | HTTP_BIT_PUT, "/v1/operator/license", NULL, ANY_SERVER)                      \
	X(jwks, HTTP_BIT_GET, "/.well-known/jwks.json", NULL, ANY_SERVER)                                      \
	X(alloc_unknown, HTTP_BITS_ALL, "/v1/allocation/:id...", NULL, ANY_SERVER)                             \
	X(client_alloc_signal, HTTP_BITS_WRITE, "/v1/client/allocation/:id/signal", "alloc-lifecycle", ANY_SERVER) \
	X(client_alloc_restart, HTTP_BITS_WRITE, "/v1/client/allocation/:id/restart", "alloc-lifecycle", ANY_SERVER) \
	X(client_alloc_stats, HTTP_BIT_GET, "/v1/client/allocation/:id/stats", "read-job", ANY_SERVER)         \
	X(client_alloc_checks, HTTP_BIT_GET, "/v1/client/allocation/:id/checks", "read-job", ANY_SERVER)       \
	X(client_alloc_exec, HTTP_BIT_GET, "/v1/client/allocation/:id/exec", "alloc-exec", ANY_SERVER)         \
	X(client_alloc_gc, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/allocation/:id/gc", "submit-job", ANY_SERVER) \
	X(client_alloc_snapshot, HTTP_BIT_GET, "/v1/client/allocation/:id/snapshot", "submit-job", ANY_SERVER) \
	X(client_fs_ls, HTTP_BIT_GET, "/v1/client/fs/ls/:id?", "read-fs", ANY_SERVER)                          \
	X(client_fs_stat, HTTP_BIT_GET, "/v1/client/fs/stat/:id?", "read-fs", ANY_SERVER)                      \
	X(client_fs_cat, HTTP_BIT_GET, "/v1/client/fs/cat/:id?", "read-fs", ANY_SERVER)                        \
	X(client_fs_readat, HTTP_BIT_GET, "/v1/client/fs/readat/:id?", "read-fs", ANY_SERVER)                  \
	X(client_fs_stream, HTTP_BIT_GET, "/v1/client/fs/stream/:id?", "read-fs", ANY_SERVER)                  \
	X(client_fs_logs, HTTP_BIT_GET, "/v1/client/fs/logs/:id?", "read-logs", ANY_SERVER)                    \
	X(client_stats, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/stats", "node:read", ANY_SERVER)           \
	X(client_gc, HTTP_BIT_GET | HTTP_BITS_WRITE, "/v1/client/gc", "node:write", ANY_SERVER)                \
	X(client_metadata, HTTP_BIT_GET | HTTP_BIT_POST, "/v1/client/metadata", "node:read", ANY_SERVER)       \
	X(client_unknown, HTTP_BITS_ALL, "/v1/client/allocation/:id...", NULL, ANY_SERVER)                     \
	X(acl_off, API_ANY, "/v1/acl/:what...", NULL, ANY_SERVER)                                              \
	X(quota_none, API_ANY, "/v1/quotas", NULL, ANY_SERVER)                                                 \
	X(quota_usage_none, API_ANY, "/v1/quota-usages", NULL, ANY_SERVER)                                     \
	X(sentinel_none, API_ANY, "/v1/sentinel/policies", NULL, ANY_SERVER)                                   \
	X(recommendations_none, API_ANY, "/v1/recommendations", NULL, ANY_SERVER)

#endif /* SERVER_API_ROUTES_H_ */
