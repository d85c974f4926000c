# What is in test/: added to by its modules.
# A unit test is test/unit/FOLDER/test_MODULE.c: add a line to check_PROGRAMS and two variables below.
UNIT_LIBS = $(CMOCKA_LIBS)
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
EXTRA_DIST += test/unit/unit.h

if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_uuid
endif
test_unit_lib_test_uuid_SOURCES = test/unit/lib/test_uuid.c
test_unit_lib_test_uuid_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_uuid_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

# raft/: the state's trees, the log, the replica.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/raft/test_tree test/unit/raft/test_tree_small
endif
test_unit_raft_test_tree_SOURCES = test/unit/raft/test_tree.c
test_unit_raft_test_tree_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_raft_test_tree_LDADD = raft/libstate.a $(UNIT_LIBS) -lpthread
test_unit_raft_test_tree_small_SOURCES = test/unit/raft/test_tree.c raft/tree.c
test_unit_raft_test_tree_small_CPPFLAGS = $(AM_CPPFLAGS) -DTREE_FAN=8
test_unit_raft_test_tree_small_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_raft_test_tree_small_LDADD = $(UNIT_LIBS) -lpthread

# What travels: mailboxes, HTTP, RPC.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_mailbox
endif
test_unit_lib_test_mailbox_SOURCES = test/unit/lib/test_mailbox.c
test_unit_lib_test_mailbox_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_lib_test_mailbox_LDADD = $(BASE_LIBS) $(UNIT_LIBS) -lpthread

# Durations and times.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_timefmt
endif
test_unit_lib_test_timefmt_SOURCES = test/unit/lib/test_timefmt.c
test_unit_lib_test_timefmt_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_timefmt_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_timefmt
endif
test_fuzz_fuzz_timefmt_SOURCES = test/fuzz/fuzz_timefmt.c
test_fuzz_fuzz_timefmt_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_timefmt_LDADD = $(BASE_LIBS)
