# What is in raft/: added to by its modules.
noinst_LIBRARIES += raft/libstate.a
raft_libstate_a_SOURCES = raft/tree.c raft/tree.h raft/replica.h
