# What is in raft/: added to by its modules.
noinst_LIBRARIES += raft/libstate.a
raft_libstate_a_SOURCES = raft/tree.c raft/tree.h raft/replica.h \
	raft/command.h raft/fsm.h raft/persist.h raft/state.h raft/watch.h \
	proto/cluster.c proto/cluster.h
