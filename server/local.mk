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

# The HTTP front.
noinst_LIBRARIES += server/libhttpd.a
server_libhttpd_a_SOURCES = \
	server/cache.c server/cache.h \
	server/gzip.c server/gzip.h \
	server/httpd.c server/httpd.h \
	server/httpd_linger.c \
	server/httpd_parts.h \
	server/httpd_request.c
HTTPD_LIBS = server/libhttpd.a $(WIRE_LIBS) $(H2O_LIBS) $(OPENSSL_LIBS) $(UV_LIBS) $(ZLIB_LIBS) -lpthread

# What the leader decides and keeps.
noinst_LIBRARIES += server/libleader.a
server_libleader_a_SOURCES = \
	server/blocked.h \
	server/broker.h \
	server/deploy.h \
	server/drain.h \
	server/gc.h \
	server/heartbeat.h \
	server/leader.h \
	server/metrics.h \
	server/part.c server/part.h \
	server/periodic.h
LEADER_LIBS = server/libleader.a server/libsched.a $(STATE_LIBS)
