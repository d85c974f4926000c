# What decides: task and allocation runners, the tasks' environment.
noinst_LIBRARIES += client/librunner.a
client_librunner_a_SOURCES = \
	client/alloc_health.c client/alloc_health.h \
	client/alloc_report.c \
	client/alloc_runner.c client/alloc_runner.h client/alloc_runner_int.h \
	client/alloc_spec.c client/alloc_wish.c \
	client/restart.c client/restart.h \
	client/saved.c client/saved.h \
	client/task_event.c client/task_event.h \
	client/task_runner.c client/task_runner.h \
	client/taskenv.c client/taskenv.h \
	client/template.c client/template.h client/template_parts.h \
	client/template_data.c \
	client/template_expr.c \
	client/template_func.c \
	client/vars.c client/vars.h
RUNNER_LIBS = client/librunner.a $(PROTO_LIBS)

# What does: the client's loop, its files, its way to the servers.
noinst_LIBRARIES += client/libclient.a
client_libclient_a_SOURCES = \
	client/access.c client/access.h \
	client/artifact.c client/artifact.h \
	client/artifact_git.c client/artifact_git.h \
	client/carry.c client/carry.h \
	client/checks.c client/checks.h \
	client/client.c client/client.h client/client_int.h \
	client/config.h \
	client/fingerprint.c client/fingerprint.h client/fingerprint_parts.h \
	client/fingerprint_cpu.c client/fingerprint_net.c \
	client/graft.c client/graft.h \
	client/handlers.c \
	client/handlers_exec.c client/handlers_exec.h \
	client/handlers_agent.c client/handlers_agent.h \
	client/handlers_fs.c client/handlers_fs.h \
	client/hooks.c client/hooks.h \
	client/host.c client/host_int.h \
	client/host_driver.c client/host_life.c client/host_prepare.c client/host_render.c \
	client/host_script.c \
	client/hoststats.c client/hoststats.h \
	client/link.h \
	client/link_rpc.c client/link_rpc.h \
	client/live.c client/live.h \
	client/node_meta.c client/node_meta.h \
	client/migrate.c client/migrate.h \
	client/place.c client/place.h \
	client/probe.c client/probe.h \
	client/reports.c \
	client/saver.c \
	client/script.c client/script.h \
	client/services.c client/services.h \
	client/session.c \
	client/state.c client/state.h \
	client/stats.c client/stats.h client/stats_call.h \
	client/unpack.c client/unpack.h \
	client/work.c client/work.h
CLIENT_LIBS = client/libclient.a $(DRIVER_LIBS) proto/libstream.a $(CHANNEL_LIBS) proto/libwire.a proto/libhcl.a \
	$(RUNNER_LIBS) $(UV_LIBS) $(OPENSSL_LIBS) $(LATE_LIBS)

# What runs: drivers, the executor, the files of allocations.
noinst_LIBRARIES += client/libdriver.a client/executor/libexecutor.a
client_libdriver_a_SOURCES = \
	client/allocdir.c client/allocdir.h \
	client/beneath.c client/beneath.h \
	client/capabilities.c client/capabilities.h \
	client/cgroups.c client/cgroups.h \
	client/driver.c client/driver.h client/driver_host.h \
	client/driver_command.c client/driver_command.h \
	client/driver_config.c client/driver_config.h \
	client/docker_command.c client/docker_command.h \
	client/docker_config.c client/docker_config.h \
	client/docker_engine.c client/docker_engine.h \
	client/driver_docker.c \
	client/driver_env.c client/driver_env.h \
	client/driver_exec.c client/driver_mock.c client/driver_raw_exec.c \
	client/executor.c client/executor.h client/executor_task.h \
	client/executor_command.c \
	client/executor_find.c client/executor_start.c \
	client/fs_api.c client/fs_api.h \
	client/launch.c client/launch.h \
	client/oserror.c client/oserror.h \
	client/user.c client/user.h

# Of the executor all but main(), so that tests can link it.
client_executor_libexecutor_a_SOURCES = \
	client/executor/logs.c client/executor/logs.h \
	client/executor/root.c client/executor/root.h \
	client/executor/start.c client/executor/start.h \
	client/executor/tree.c client/executor/tree.h \
	client/executor/wire.c client/executor/wire.h \
	client/procfs.c client/procfs.h client/text.h

pkglibexec_PROGRAMS += drover-executor
drover_executor_SOURCES = client/executor/main.c
drover_executor_LDADD = client/executor/libexecutor.a lib/libbase.a
# Static: no dynamic loader at each task's start, and no relocated pages of its own.
drover_executor_LDFLAGS = $(AM_LDFLAGS) $(EXECUTOR_LDFLAGS)

# In link order, before what is in BASE_LIBS.
DRIVER_LIBS = client/libdriver.a client/executor/libexecutor.a lib/liblate.a
