# What is in server/: added to by its modules.

# The schedulers and the plan applier.
noinst_LIBRARIES += server/libsched.a
server_libsched_a_SOURCES = \
	server/plan_apply.h \
	server/sched.h \
	server/sched_holds.h \
	server/sched_intern.c server/sched_intern.h \
	server/sched_memory.c server/sched_memory.h \
	server/sched_nodes.h \
	server/sched_plan.h
