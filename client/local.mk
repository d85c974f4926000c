# What is in client/: added to by its modules.
# What decides: task and allocation runners, the tasks' environment.
noinst_LIBRARIES += client/librunner.a
client_librunner_a_SOURCES = \
	client/alloc_health.c client/alloc_health.h \
	client/alloc_runner.c client/alloc_runner.h \
	client/restart.c client/restart.h \
	client/saved.c client/saved.h \
	client/task_event.c client/task_event.h \
	client/task_runner.c client/task_runner.h \
	client/taskenv.c client/taskenv.h \
	client/template.c client/template.h \
	client/vars.c client/vars.h
RUNNER_LIBS = client/librunner.a $(PROTO_LIBS)

# What does: the client's loop, its files, its way to the servers.
noinst_LIBRARIES += client/libclient.a
client_libclient_a_SOURCES = \
	client/state.c client/state.h
CLIENT_LIBS = client/libclient.a $(RUNNER_LIBS)
