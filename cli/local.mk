# What is in cli/: added to by its modules.

# The agent's configuration.
noinst_LIBRARIES += cli/libconfig.a
cli_libconfig_a_SOURCES = \
	cli/config.c cli/config.h \
	cli/config_check.c \
	cli/netaddr.c cli/netaddr.h
CONFIG_LIBS = cli/libconfig.a $(HCL_LIBS) $(TLS_LIBS)

# The program: commands, and what they need to talk to a server.
noinst_LIBRARIES += cli/libcommands.a
cli_libcommands_a_SOURCES = \
	cli/alloc_pick.h \
	cli/act.c cli/act.h \
	cli/answers.c cli/answers.h \
	cli/certificate.c cli/certificate.h \
	cli/client.c cli/client.h \
	cli/cmd_agent.c \
	cli/cmd_acl.c \
	cli/cmd_alloc.c \
	cli/cmd_change.c \
	cli/cmd_config.c \
	cli/cmd_deployment.c \
	cli/cmd_eval.c \
	cli/cmd_exec.c \
	cli/cmd_job.c \
	cli/cmd_job_act.c \
	cli/cmd_job_check.c \
	cli/cmd_keyring.c \
	cli/cmd_list.c \
	cli/cmd_node.c \
	cli/cmd_operator.c \
	cli/cmd_raft.c \
	cli/cmd_server.c \
	cli/cmd_service.c \
	cli/cmd_snapshot.c \
	cli/cmd_status.c \
	cli/cmd_system.c \
	cli/cmd_tls.c \
	cli/cmd_var.c \
	cli/cmd_version.c \
	cli/command.c cli/command.h cli/commands.h \
	cli/exec_session.c cli/exec_session.h \
	cli/format.c cli/format.h \
	cli/jobfile.c cli/jobfile.h \
	cli/lookup.c cli/lookup.h \
	cli/monitor.c cli/monitor.h \
	cli/show.c cli/show.h \
	cli/table.c cli/table.h
COMMAND_LIBS = cli/libcommands.a $(CONFIG_LIBS) $(LATE_LIBS)

# What `drover agent` runs.
noinst_LIBRARIES += cli/libagent.a
cli_libagent_a_SOURCES = \
	cli/agent.c cli/agent.h cli/agent_parts.h \
	cli/agent_node.c \
	cli/hostdata.c cli/hostdata.h \
	cli/agent_front.c \
	cli/agent_relay.c \
	cli/agent_server.c \
	cli/agent_tls.c
AGENT_LIBS = cli/libagent.a $(CLIENT_LIBS) $(RUNNING_LIBS)

bin_PROGRAMS += drover
drover_SOURCES = cli/main.c
drover_LDADD = cli/libcommands.a $(AGENT_LIBS) $(COMMAND_LIBS) $(JEMALLOC_LIBS)
