# What is in server/: added to by its modules.

# The schedulers and the plan applier.
noinst_LIBRARIES += server/libsched.a
server_libsched_a_SOURCES = \
	server/plan_apply.c server/plan_apply.h \
	server/sched.c server/sched.h server/sched_run.h \
	server/sched_feasible.c server/sched_feasible.h \
	server/sched_generic.c \
	server/sched_group.c \
	server/sched_holds.c server/sched_holds.h \
	server/sched_intern.c server/sched_intern.h \
	server/sched_memory.c server/sched_memory.h \
	server/sched_names.c server/sched_names.h \
	server/sched_nodes.c server/sched_nodes.h \
	server/sched_plan.c server/sched_plan.h \
	server/sched_preempt.c \
	server/sched_rank.c server/sched_rank.h \
	server/sched_reconcile.c server/sched_reconcile.h \
	server/sched_retry.c server/sched_retry.h \
	server/sched_standing.c server/sched_standing.h \
	server/sched_system.c \
	server/sched_update.c server/sched_update.h \
	server/sched_versions.c server/sched_versions.h
SCHED_LIBS = server/libsched.a $(STATE_LIBS)

# The HTTP front.
noinst_LIBRARIES += server/libhttpd.a
server_libhttpd_a_SOURCES = \
	server/cache.c server/cache.h \
	server/gzip.c server/gzip.h \
	server/httpd.c server/httpd.h \
	server/httpd_client.c \
	server/httpd_linger.c \
	server/httpd_parts.h \
	server/httpd_request.c \
	server/httpd_tls.c \
	server/httpd_websocket.c
HTTPD_LIBS = server/libhttpd.a $(WIRE_LIBS) $(TLS_LIBS) $(H2O_LIBS) $(OPENSSL_LIBS) $(UV_LIBS) $(ZLIB_LIBS) -lpthread

# What the leader decides and keeps.
noinst_LIBRARIES += server/libleader.a
server_libleader_a_SOURCES = \
	server/blocked.c server/blocked.h \
	server/broker.c server/broker.h \
	server/deploy.c server/deploy.h \
	server/drain.c server/drain.h \
	server/expiry.c server/expiry.h \
	server/gc.c server/gc.h \
	server/heartbeat.c server/heartbeat.h \
	server/keyring.c server/keyring.h \
	server/leader.c server/leader.h server/leader_parts.h \
	server/leader_evals.c \
	server/leader_load.c \
	server/leader_plans.c \
	server/lease.c server/lease.h \
	server/locks.c server/locks.h \
	server/metrics.c server/metrics.h \
	server/part.c server/part.h \
	server/periodic.c server/periodic.h \
	server/rootkeys.c server/rootkeys.h
LEADER_LIBS = server/libleader.a server/libsched.a $(STATE_LIBS) $(OPENSSL_LIBS)

# The API: handlers of requests, and what they ask the rest of the server.
noinst_LIBRARIES += server/libapi.a
server_libapi_a_SOURCES = \
	server/access.c server/access.h \
	server/api.c server/api.h \
	server/acl_config.h \
	server/api_acl.c \
	server/api_agent.c \
	server/api_allocs.c \
	server/api_answer.c server/api_answer.h \
	server/api_client.c \
	server/api_deployments.c \
	server/api_evals.c \
	server/api_events.c \
	server/api_forward.c \
	server/api_handlers.h \
	server/api_job.c \
	server/api_job_action.c \
	server/api_job_dispatch.c \
	server/api_job_draft.c server/api_job_draft.h \
	server/api_job_plan.c \
	server/api_job_register.c \
	server/api_job_write.c \
	server/api_jobs.c \
	server/api_keyring.c \
	server/api_list.c \
	server/api_namespaces.c \
	server/api_nodes.c \
	server/api_operator.c \
	server/api_parse.c \
	server/api_parts.h \
	server/api_query.c server/api_query.h \
	server/api_routes.c server/api_routes.h \
	server/api_search.c \
	server/api_scaling.c server/api_scaling.h \
	server/api_services.c \
	server/api_snapshot.c \
	server/api_status.c \
	server/api_variables.c \
	server/api_volumes.c \
	server/api_write.c server/api_write.h \
	server/core_link.c server/core_link.h \
	server/events.c server/events.h
API_LIBS = server/libapi.a $(LEADER_LIBS) $(JOBSPEC_LIBS) $(HTTPD_LIBS)

# The running server.
noinst_LIBRARIES += server/libserver.a
server_libserver_a_SOURCES = \
	server/chores.c server/chores.h \
	server/cluster.c \
	server/core.c server/core.h \
	server/core_info.c \
	server/errands.c \
	server/forward.c \
	server/founding.c server/founding.h \
	server/identity.c server/identity.h \
	server/link.c server/link.h \
	server/link_calls.c \
	server/link_stats.c \
	server/membership.c \
	server/net.c server/net_parts.h \
	server/net_admin.c \
	server/net_info.c \
	server/node_conns.c \
	server/node_push.c \
	server/callers.c server/nodes.c server/node_previous.c server/node_rights.c \
	server/proposer.c server/proposer.h \
	server/reads.c server/reads.h \
	server/recover.c server/recover.h \
	server/server.c server/server.h \
	server/shell.h \
	server/voters.c \
	server/workers.c server/workers.h \
	server/zones.c server/zones.h
SERVER_LIBS = server/libserver.a proto/libwire.a $(STATE_LIBS)
# All that a running server is made of.
RUNNING_LIBS = server/libserver.a $(API_LIBS) $(STREAM_LIBS) $(REPLICA_LIBS)
