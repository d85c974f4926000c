# What is in raft/: added to by its modules.
noinst_LIBRARIES += raft/libstate.a
raft_libstate_a_SOURCES = \
	raft/admission.c raft/admission.h \
	raft/archive.c raft/archive.h \
	raft/command.c raft/command.h \
	raft/fsm.c raft/fsm.h raft/fsm_work.h \
	raft/fsm_acl.c \
	raft/fsm_alloc.c \
	raft/fsm_config.c \
	raft/fsm_deployment.c \
	raft/fsm_eval.c \
	raft/fsm_job.c \
	raft/fsm_node.c \
	raft/fsm_plan.c \
	raft/fsm_restore.c \
	raft/fsm_service.c \
	raft/fsm_summary.c \
	raft/fsm_variable.c \
	raft/persist.c raft/persist.h \
	raft/spec.c raft/spec.h \
	raft/state.c raft/state.h raft/table.h \
	raft/state_acl.c \
	raft/state_check.c \
	raft/state_find.c \
	raft/state_get.c \
	raft/tree.c raft/tree.h \
	raft/watch.c raft/watch.h \
	raft/writer.c raft/writer.h

# The state without the log, and what it needs.
STATE_LIBS = raft/libstate.a $(PROTO_LIBS) $(ZLIB_LIBS) $(OPENSSL_LIBS)

# The replicated log: libraft, which is linked statically, on an I/O back end of our own.
noinst_LIBRARIES += raft/libreplica.a
raft_libreplica_a_SOURCES = \
	raft/bulk.c \
	raft/dial.c raft/dial.h \
	raft/disk.c raft/disk.h \
	raft/inlet.c \
	raft/io.c raft/io.h raft/io_parts.h \
	raft/io_snapshot.c \
	raft/journal.c raft/journal.h raft/journal_format.h \
	raft/journal_load.c \
	raft/mend.c raft/mend.h \
	raft/peer.c \
	raft/replica.c raft/replica.h raft/replica_parts.h \
	raft/replica_apply.c \
	raft/replica_member.c \
	raft/replica_state.c \
	raft/snapshot.c raft/snapshot.h \
	raft/transport.c raft/transport.h raft/transport_parts.h \
	raft/vote.c raft/vote.h \
	raft/weight.c raft/weight.h \
	raft/wire.c raft/wire.h
REPLICA_LIBS = raft/libreplica.a $(CHANNEL_LIBS) $(PROTO_LIBS) $(RAFT_A) $(UV_LIBS) $(LZ4_LIBS) -lpthread
