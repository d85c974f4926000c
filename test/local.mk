# What is in test/: added to by its modules.
# A unit test is test/unit/FOLDER/test_MODULE.c: add a line to check_PROGRAMS and two variables below.
UNIT_LIBS = $(CMOCKA_LIBS)
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
EXTRA_DIST += test/unit/unit.h test/unit/ipv6.h

if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_uuid
endif
test_unit_lib_test_uuid_SOURCES = test/unit/lib/test_uuid.c
test_unit_lib_test_uuid_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_uuid_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_meter
endif
test_unit_lib_test_meter_SOURCES = test/unit/lib/test_meter.c
test_unit_lib_test_meter_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_meter_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

# HCL
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_hcl test/unit/proto/test_hcl_decode test/unit/proto/test_hcl_oom
endif
test_unit_proto_test_hcl_SOURCES = test/unit/proto/test_hcl.c
test_unit_proto_test_hcl_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_hcl_LDADD = $(HCL_LIBS) $(UNIT_LIBS)
test_unit_proto_test_hcl_decode_SOURCES = test/unit/proto/test_hcl_decode.c
test_unit_proto_test_hcl_decode_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_hcl_decode_LDADD = $(HCL_LIBS) $(UNIT_LIBS)
test_unit_proto_test_hcl_oom_SOURCES = test/unit/proto/test_hcl_oom.c
test_unit_proto_test_hcl_oom_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_hcl_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=realloc
test_unit_proto_test_hcl_oom_LDADD = $(HCL_LIBS) $(UNIT_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_hcl
endif
test_fuzz_fuzz_hcl_SOURCES = test/fuzz/fuzz_hcl.c
test_fuzz_fuzz_hcl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_fuzz_fuzz_hcl_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_hcl_LDADD = $(HCL_LIBS) $(JANSSON_LIBS)

# Policies.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_policy
endif
test_unit_proto_test_policy_SOURCES = test/unit/proto/test_policy.c
test_unit_proto_test_policy_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_policy_LDADD = $(HCL_LIBS) $(UNIT_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_policy
endif
test_fuzz_fuzz_policy_SOURCES = test/fuzz/fuzz_policy.c
test_fuzz_fuzz_policy_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_policy_LDADD = $(HCL_LIBS)

# The job language.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_jobspec test/unit/proto/test_jobspec_func test/unit/proto/test_jobspec_oom \
	test/unit/proto/test_regfind
endif
test_unit_proto_test_jobspec_SOURCES = test/unit/proto/test_jobspec.c
test_unit_proto_test_jobspec_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_jobspec_LDADD = $(JOBSPEC_LIBS) $(UNIT_LIBS)
test_unit_proto_test_jobspec_func_SOURCES = test/unit/proto/test_jobspec_func.c
test_unit_proto_test_jobspec_func_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_jobspec_func_LDADD = $(JOBSPEC_LIBS) $(UNIT_LIBS)
test_unit_proto_test_jobspec_oom_SOURCES = test/unit/proto/test_jobspec_oom.c
test_unit_proto_test_jobspec_oom_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_jobspec_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
test_unit_proto_test_jobspec_oom_LDADD = $(JOBSPEC_LIBS) $(UNIT_LIBS)
test_unit_proto_test_regfind_SOURCES = test/unit/proto/test_regfind.c
test_unit_proto_test_regfind_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_regfind_LDADD = $(JOBSPEC_LIBS) $(UNIT_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_jobspec
endif
test_fuzz_fuzz_jobspec_SOURCES = test/fuzz/fuzz_jobspec.c
test_fuzz_fuzz_jobspec_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_jobspec_LDADD = $(JOBSPEC_LIBS)

# cli/: configuration.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/cli/test_config test/unit/cli/test_netaddr test/unit/cli/test_table
endif
test_unit_cli_test_config_SOURCES = test/unit/cli/test_config.c
test_unit_cli_test_config_CFLAGS = $(UNIT_CFLAGS)
test_unit_cli_test_config_LDADD = $(CONFIG_LIBS) $(UNIT_LIBS)
test_unit_cli_test_netaddr_SOURCES = test/unit/cli/test_netaddr.c
test_unit_cli_test_netaddr_CFLAGS = $(UNIT_CFLAGS)
test_unit_cli_test_netaddr_LDADD = $(CONFIG_LIBS) $(UNIT_LIBS)
test_unit_cli_test_table_SOURCES = test/unit/cli/test_table.c
test_unit_cli_test_table_CFLAGS = $(UNIT_CFLAGS)
test_unit_cli_test_table_LDADD = $(COMMAND_LIBS) $(UNIT_LIBS)

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

# raft/: the state and its commands.
STATE_TESTS = \
	test/unit/raft/test_command \
	test/unit/raft/test_fsm_acl \
	test/unit/raft/test_fsm_alloc \
	test/unit/raft/test_fsm_job \
	test/unit/raft/test_fsm_node \
	test/unit/raft/test_fsm_variable \
	test/unit/raft/test_persist \
	test/unit/raft/test_restore \
	test/unit/raft/test_state_get \
	test/unit/raft/test_state_random \
	test/unit/raft/test_stored_order \
	test/unit/raft/test_watch
if HAVE_CMOCKA
check_PROGRAMS += $(STATE_TESTS)
check_LIBRARIES += test/unit/raft/libkit.a
endif
STATE_TEST_LIBS = test/unit/raft/libkit.a $(STATE_LIBS) $(UNIT_LIBS) -lpthread
test_unit_raft_libkit_a_SOURCES = test/unit/raft/kit.c test/unit/raft/kit.h test/unit/raft/stored_order.h
test_unit_raft_libkit_a_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_command_SOURCES = test/unit/raft/test_command.c
test_unit_raft_test_command_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_command_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_fsm_alloc_SOURCES = test/unit/raft/test_fsm_alloc.c
test_unit_raft_test_fsm_alloc_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_fsm_alloc_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_fsm_job_SOURCES = test/unit/raft/test_fsm_job.c
test_unit_raft_test_fsm_job_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_fsm_job_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_fsm_acl_SOURCES = test/unit/raft/test_fsm_acl.c
test_unit_raft_test_fsm_acl_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_fsm_acl_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_fsm_variable_SOURCES = test/unit/raft/test_fsm_variable.c
test_unit_raft_test_fsm_variable_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_fsm_variable_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_fsm_node_SOURCES = test/unit/raft/test_fsm_node.c
test_unit_raft_test_fsm_node_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_fsm_node_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_persist_SOURCES = test/unit/raft/test_persist.c
test_unit_raft_test_persist_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_persist_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_restore_SOURCES = test/unit/raft/test_restore.c
test_unit_raft_test_restore_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_restore_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_state_get_SOURCES = test/unit/raft/test_state_get.c
test_unit_raft_test_state_get_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_state_get_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_state_random_SOURCES = test/unit/raft/test_state_random.c
test_unit_raft_test_state_random_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_state_random_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_stored_order_SOURCES = test/unit/raft/test_stored_order.c
test_unit_raft_test_stored_order_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_stored_order_LDADD = $(STATE_TEST_LIBS)
test_unit_raft_test_watch_SOURCES = test/unit/raft/test_watch.c
test_unit_raft_test_watch_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_watch_LDADD = $(STATE_TEST_LIBS)
EXTRA_PROGRAMS += test/bench/bench_state
test_bench_bench_state_SOURCES = test/bench/bench_state.c
test_bench_bench_state_LDADD = $(STATE_LIBS) $(JEMALLOC_LIBS)
bench: bench-state
bench-state: test/bench/bench_state
	test/bench/bench_state
.PHONY: bench-state
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_command test/fuzz/fuzz_persist
endif
test_fuzz_fuzz_command_SOURCES = test/fuzz/fuzz_command.c
test_fuzz_fuzz_command_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_command_LDADD = $(STATE_LIBS)
test_fuzz_fuzz_persist_SOURCES = test/fuzz/fuzz_persist.c raft/persist.c
test_fuzz_fuzz_persist_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_persist_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_persist_LDADD = $(STATE_LIBS)
# end of the state

# raft/: the log and the replica, and a server for their integration tests (test/integration/raft_*.py).
EXTRA_DIST += test/tsan.supp
EXTRA_PROGRAMS += test/integration/replica_server
check-local: test/integration/replica_server
test_integration_replica_server_SOURCES = test/integration/replica_server.c
test_integration_replica_server_CFLAGS = $(AM_CFLAGS) -UNDEBUG
test_integration_replica_server_LDADD = raft/libstate.a $(REPLICA_LIBS) $(JEMALLOC_LIBS)
LOG_TESTS = test/unit/raft/test_journal test/unit/raft/test_mend test/unit/raft/test_powerloss test/unit/raft/test_replica test/unit/raft/test_snapshot test/unit/raft/test_vote \
	test/unit/raft/test_transport test/unit/raft/test_weight test/unit/raft/test_wire
EXTRA_DIST += test/unit/raft/files.h
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_address test/unit/lib/test_base64 test/unit/lib/test_crc test/unit/lib/test_glob
check_PROGRAMS += test/unit/lib/test_secret $(LOG_TESTS)
endif
LOG_TEST_LIBS = $(REPLICA_LIBS) $(UNIT_LIBS)
test_unit_lib_test_address_SOURCES = test/unit/lib/test_address.c
test_unit_lib_test_address_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_address_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
test_unit_lib_test_base64_SOURCES = test/unit/lib/test_base64.c
test_unit_lib_test_base64_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_base64_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
test_unit_lib_test_glob_SOURCES = test/unit/lib/test_glob.c
test_unit_lib_test_glob_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_glob_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
test_unit_lib_test_crc_SOURCES = test/unit/lib/test_crc.c
test_unit_lib_test_crc_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_crc_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
test_unit_lib_test_secret_SOURCES = test/unit/lib/test_secret.c
test_unit_lib_test_secret_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_secret_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
test_unit_raft_test_journal_SOURCES = test/unit/raft/test_journal.c
test_unit_raft_test_journal_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_journal_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_snapshot_SOURCES = test/unit/raft/test_snapshot.c
test_unit_raft_test_snapshot_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_snapshot_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_powerloss_SOURCES = test/unit/raft/test_powerloss.c test/unit/raft/power.c test/unit/raft/power.h
test_unit_raft_test_powerloss_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_powerloss_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=openat,--wrap=close,--wrap=pwrite,--wrap=fdatasync \
	-Wl,--wrap=fsync,--wrap=posix_fallocate,--wrap=ftruncate,--wrap=renameat,--wrap=unlinkat,--wrap=clock_gettime \
	-Wl,--wrap=pthread_cond_timedwait,--wrap=_exit
test_unit_raft_test_powerloss_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_mend_SOURCES = test/unit/raft/test_mend.c
test_unit_raft_test_mend_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_mend_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_vote_SOURCES = test/unit/raft/test_vote.c
test_unit_raft_test_vote_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_vote_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_transport_SOURCES = test/unit/raft/test_transport.c test/unit/certs.c
test_unit_raft_test_transport_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_transport_LDADD = $(LOG_TEST_LIBS) $(TLS_LIBS)
test_unit_raft_test_replica_SOURCES = test/unit/raft/test_replica.c
test_unit_raft_test_replica_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_replica_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_weight_SOURCES = test/unit/raft/test_weight.c
test_unit_raft_test_weight_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_weight_LDADD = $(LOG_TEST_LIBS)
test_unit_raft_test_wire_SOURCES = test/unit/raft/test_wire.c
test_unit_raft_test_wire_CFLAGS = $(UNIT_CFLAGS)
test_unit_raft_test_wire_LDADD = $(LOG_TEST_LIBS)
# What checksums guard is fuzzed in builds that take any; libraft itself is not instrumented.
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_inlet test/fuzz/fuzz_journal test/fuzz/fuzz_snapshot test/fuzz/fuzz_wire
endif
test_fuzz_fuzz_inlet_SOURCES = test/fuzz/fuzz_inlet.c raft/transport.c raft/peer.c raft/bulk.c raft/dial.c raft/wire.c raft/snapshot.c raft/disk.c
test_fuzz_fuzz_inlet_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_inlet_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_inlet_LDADD = $(CHANNEL_LIBS) $(PROTO_LIBS) $(RAFT_A) $(UV_LIBS) $(LZ4_LIBS) -lpthread
test_fuzz_fuzz_journal_SOURCES = test/fuzz/fuzz_journal.c raft/journal_load.c raft/journal.c raft/vote.c raft/disk.c
test_fuzz_fuzz_journal_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_journal_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_journal_LDADD = $(PROTO_LIBS) $(RAFT_A) $(UV_LIBS) $(LZ4_LIBS) -lpthread
test_fuzz_fuzz_snapshot_SOURCES = test/fuzz/fuzz_snapshot.c raft/snapshot.c raft/disk.c
test_fuzz_fuzz_snapshot_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_snapshot_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_snapshot_LDADD = $(PROTO_LIBS) $(RAFT_A) $(UV_LIBS) $(LZ4_LIBS) -lpthread
test_fuzz_fuzz_wire_SOURCES = test/fuzz/fuzz_wire.c raft/wire.c
test_fuzz_fuzz_wire_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_wire_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_wire_LDADD = $(PROTO_LIBS) $(RAFT_A) $(UV_LIBS) $(LZ4_LIBS) -lpthread

# What travels: mailboxes, HTTP, RPC.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_log
endif
test_unit_lib_test_log_SOURCES = test/unit/lib/test_log.c
test_unit_lib_test_log_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_log_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_mailbox
endif
test_unit_lib_test_mailbox_SOURCES = test/unit/lib/test_mailbox.c
test_unit_lib_test_mailbox_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_lib_test_mailbox_LDADD = $(BASE_LIBS) $(UNIT_LIBS) -lpthread

if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_bell test/unit/lib/test_peer
endif
test_unit_lib_test_peer_SOURCES = test/unit/lib/test_peer.c
test_unit_lib_test_peer_CFLAGS = $(UNIT_CFLAGS) $(UV_CFLAGS)
test_unit_lib_test_peer_LDADD = $(BASE_LIBS) $(UNIT_LIBS) $(UV_LIBS)
test_unit_lib_test_bell_SOURCES = test/unit/lib/test_bell.c
test_unit_lib_test_bell_CFLAGS = $(UNIT_CFLAGS) $(UV_CFLAGS) -pthread
test_unit_lib_test_bell_LDADD = $(BASE_LIBS) $(UNIT_LIBS) $(UV_LIBS) -lpthread

# Filter expressions.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_filter
endif
test_unit_proto_test_filter_SOURCES = test/unit/proto/test_filter.c
test_unit_proto_test_filter_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_filter_LDADD = $(PROTO_LIBS) $(UNIT_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_filter
endif
test_fuzz_fuzz_filter_SOURCES = test/fuzz/fuzz_filter.c
test_fuzz_fuzz_filter_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_filter_LDADD = $(PROTO_LIBS)

# The API, over a real state and without sockets.
API_TESTS = \
	test/unit/server/test_api_acl \
	test/unit/server/test_access \
	test/unit/server/test_api_actions \
	test/unit/server/test_api_agent \
	test/unit/server/test_api_allocs \
	test/unit/server/test_api_blocking \
	test/unit/server/test_api_deployments \
	test/unit/server/test_api_errors \
	test/unit/server/test_api_evals \
	test/unit/server/test_api_events \
	test/unit/server/test_api_jobs \
	test/unit/server/test_api_nodes \
	test/unit/server/test_api_parse \
	test/unit/server/test_api_random \
	test/unit/server/test_api_reads \
	test/unit/server/test_api_scaling \
	test/unit/server/test_api_services \
	test/unit/server/test_api_snapshot \
	test/unit/server/test_api_variables
if HAVE_CMOCKA
if HAVE_JANSSON
check_PROGRAMS += $(API_TESTS)
check_LIBRARIES += test/unit/server/libapibed.a
endif
endif
API_TEST_LIBS = test/unit/server/libapibed.a test/unit/raft/libkit.a $(API_LIBS) $(UNIT_LIBS) $(JANSSON_LIBS)
test_unit_server_libapibed_a_SOURCES = test/unit/server/api_bed.c test/unit/server/api_bed.h test/unit/server/api_case.h
test_unit_server_libapibed_a_CFLAGS = $(UNIT_CFLAGS) $(JANSSON_CFLAGS)
test_unit_server_test_access_SOURCES = test/unit/server/test_access.c
test_unit_server_test_access_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_access_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_actions_SOURCES = test/unit/server/test_api_actions.c
test_unit_server_test_api_actions_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_actions_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_allocs_SOURCES = test/unit/server/test_api_allocs.c
test_unit_server_test_api_allocs_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_allocs_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_blocking_SOURCES = test/unit/server/test_api_blocking.c
test_unit_server_test_api_blocking_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_blocking_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_deployments_SOURCES = test/unit/server/test_api_deployments.c
test_unit_server_test_api_deployments_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_deployments_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_errors_SOURCES = test/unit/server/test_api_errors.c
test_unit_server_test_api_errors_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_errors_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_evals_SOURCES = test/unit/server/test_api_evals.c
test_unit_server_test_api_evals_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_evals_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_jobs_SOURCES = test/unit/server/test_api_jobs.c
test_unit_server_test_api_jobs_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_jobs_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_nodes_SOURCES = test/unit/server/test_api_nodes.c
test_unit_server_test_api_nodes_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_nodes_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_parse_SOURCES = test/unit/server/test_api_parse.c
test_unit_server_test_api_parse_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_parse_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_random_SOURCES = test/unit/server/test_api_random.c test/unit/proto/random_job.c \
	test/unit/proto/random_job.h
test_unit_server_test_api_random_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_random_LDADD = test/libobject_test.a $(API_TEST_LIBS)
test_unit_server_test_api_reads_SOURCES = test/unit/server/test_api_reads.c
test_unit_server_test_api_reads_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_reads_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_snapshot_SOURCES = test/unit/server/test_api_snapshot.c
test_unit_server_test_api_snapshot_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_snapshot_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_scaling_SOURCES = test/unit/server/test_api_scaling.c
test_unit_server_test_api_scaling_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_scaling_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_agent_SOURCES = test/unit/server/test_api_agent.c
test_unit_server_test_api_agent_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_agent_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_events_SOURCES = test/unit/server/test_api_events.c
test_unit_server_test_api_events_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_events_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_services_SOURCES = test/unit/server/test_api_services.c
test_unit_server_test_api_services_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_services_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_acl_SOURCES = test/unit/server/test_api_acl.c
test_unit_server_test_api_acl_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_acl_LDADD = $(API_TEST_LIBS)
test_unit_server_test_api_variables_SOURCES = test/unit/server/test_api_variables.c
test_unit_server_test_api_variables_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_api_variables_LDADD = $(API_TEST_LIBS)
if FUZZ
if HAVE_CMOCKA
if HAVE_JANSSON
noinst_PROGRAMS += test/fuzz/fuzz_api
endif
endif
endif
test_fuzz_fuzz_api_SOURCES = test/fuzz/fuzz_api.c
test_fuzz_fuzz_api_CFLAGS = $(UNIT_CFLAGS)
test_fuzz_fuzz_api_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_api_LDADD = $(API_TEST_LIBS)

# An agent's own folders.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_folder
endif
test_unit_lib_test_folder_SOURCES = test/unit/lib/test_folder.c
test_unit_lib_test_folder_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_folder_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

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

# The object codec.
OBJECT_TEST_LIBS = test/libobject_test.a $(PROTO_LIBS) $(UNIT_LIBS)
if HAVE_CMOCKA
check_LIBRARIES += test/libobject_test.a
check_PROGRAMS += test/unit/proto/test_field_order test/unit/proto/test_json test/unit/proto/test_object \
	test/unit/proto/test_oom test/unit/proto/test_pack
endif
test_libobject_test_a_SOURCES = test/unit/proto/all_types.h test/unit/proto/field_order.h test/unit/proto/kinds.h \
	test/unit/proto/random_object.c test/unit/proto/random_object.h
test_unit_proto_test_field_order_SOURCES = test/unit/proto/test_field_order.c
test_unit_proto_test_field_order_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_field_order_LDADD = $(OBJECT_TEST_LIBS)
test_unit_proto_test_json_SOURCES = test/unit/proto/test_json.c
test_unit_proto_test_json_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_json_LDADD = $(OBJECT_TEST_LIBS)
test_unit_proto_test_object_SOURCES = test/unit/proto/test_object.c
test_unit_proto_test_object_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_object_LDADD = $(OBJECT_TEST_LIBS)
test_unit_proto_test_oom_SOURCES = test/unit/proto/test_oom.c
test_unit_proto_test_oom_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=realloc
test_unit_proto_test_oom_LDADD = $(OBJECT_TEST_LIBS)
test_unit_proto_test_pack_SOURCES = test/unit/proto/test_pack.c
test_unit_proto_test_pack_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_pack_LDADD = $(OBJECT_TEST_LIBS)

EXTRA_PROGRAMS += test/bench/bench_codec
test_bench_bench_codec_SOURCES = test/bench/bench_codec.c
test_bench_bench_codec_LDADD = $(PROTO_LIBS) $(JEMALLOC_LIBS)
bench: bench-codec
bench-codec: test/bench/bench_codec
	test/bench/bench_codec
.PHONY: bench bench-codec

# Run as: test/fuzz/fuzz_json -max_total_time=60 CORPUS
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_json test/fuzz/fuzz_pack
endif
test_fuzz_fuzz_json_SOURCES = test/fuzz/fuzz_json.c test/unit/proto/all_types.h
test_fuzz_fuzz_json_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
test_fuzz_fuzz_json_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_json_LDADD = $(PROTO_LIBS) $(JANSSON_LIBS)
test_fuzz_fuzz_pack_SOURCES = test/fuzz/fuzz_pack.c test/unit/proto/all_types.h
test_fuzz_fuzz_pack_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_pack_LDADD = $(PROTO_LIBS)
# client/: the runners
EXTRA_DIST += test/unit/client/fake_server.h test/unit/client/fake_shell.h test/unit/client/random.h
RUNNER_TESTS = \
	test/unit/client/test_alloc_runner \
	test/unit/client/test_artifact \
	test/unit/client/test_client \
	test/unit/client/test_fingerprint \
	test/unit/client/test_hoststats \
	test/unit/client/test_node_meta \
	test/unit/client/test_link_rpc \
	test/unit/client/test_live \
	test/unit/client/test_restart \
	test/unit/client/test_state \
	test/unit/client/test_task_event \
	test/unit/client/test_taskenv \
	test/unit/client/test_template
if HAVE_CMOCKA
check_PROGRAMS += $(RUNNER_TESTS)
endif
test_unit_client_test_alloc_runner_SOURCES = test/unit/client/test_alloc_runner.c
test_unit_client_test_alloc_runner_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_alloc_runner_LDADD = $(RUNNER_LIBS) $(UNIT_LIBS)
test_unit_client_test_artifact_SOURCES = test/unit/client/test_artifact.c
test_unit_client_test_artifact_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_client_test_artifact_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS) $(ARCHIVE_LIBS) -lpthread
test_unit_client_test_client_SOURCES = test/unit/client/test_client.c
test_unit_client_test_client_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_client_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_node_meta_SOURCES = test/unit/client/test_node_meta.c
test_unit_client_test_node_meta_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_node_meta_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_hoststats_SOURCES = test/unit/client/test_hoststats.c
test_unit_client_test_hoststats_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_hoststats_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_fingerprint_SOURCES = test/unit/client/test_fingerprint.c
test_unit_client_test_fingerprint_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_fingerprint_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_link_rpc_SOURCES = test/unit/client/test_link_rpc.c
test_unit_client_test_link_rpc_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_link_rpc_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_live_SOURCES = test/unit/client/test_live.c
test_unit_client_test_live_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_live_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_restart_SOURCES = test/unit/client/test_restart.c
test_unit_client_test_restart_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_restart_LDADD = $(RUNNER_LIBS) $(UNIT_LIBS)
test_unit_client_test_task_event_SOURCES = test/unit/client/test_task_event.c
test_unit_client_test_task_event_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_task_event_LDADD = $(RUNNER_LIBS) $(UNIT_LIBS)
test_unit_client_test_taskenv_SOURCES = test/unit/client/test_taskenv.c
test_unit_client_test_taskenv_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_taskenv_LDADD = $(RUNNER_LIBS) $(UNIT_LIBS)
test_unit_client_test_state_SOURCES = test/unit/client/test_state.c
test_unit_client_test_state_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_state_LDADD = $(CLIENT_LIBS) $(UNIT_LIBS)
test_unit_client_test_template_SOURCES = test/unit/client/test_template.c
test_unit_client_test_template_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_template_LDADD = $(RUNNER_LIBS) $(UNIT_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_template test/fuzz/fuzz_client_state
endif
test_fuzz_fuzz_template_SOURCES = test/fuzz/fuzz_template.c
test_fuzz_fuzz_template_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_template_LDADD = $(RUNNER_LIBS)
test_fuzz_fuzz_client_state_SOURCES = test/fuzz/fuzz_client_state.c
test_fuzz_fuzz_client_state_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_client_state_LDADD = $(CLIENT_LIBS)

# HTTP as values, RPC frames and connections.
WIRE_TEST_LIBS = $(WIRE_LIBS) $(UNIT_LIBS)
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_conn test/unit/proto/test_http test/unit/proto/test_relay \
	test/unit/proto/test_websocket \
	test/unit/proto/test_rpc test/unit/proto/test_stream test/unit/proto/test_wire_oom
endif
test_unit_proto_test_conn_SOURCES = test/unit/proto/test_conn.c test/unit/proto/conn_pair.h
test_unit_proto_test_conn_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_conn_LDADD = $(WIRE_TEST_LIBS)
test_unit_proto_test_http_SOURCES = test/unit/proto/test_http.c test/unit/proto/http_sink.h
test_unit_proto_test_http_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_http_LDADD = $(WIRE_TEST_LIBS)
test_unit_proto_test_relay_SOURCES = test/unit/proto/test_relay.c test/unit/proto/conn_pair.h \
	test/unit/proto/http_sink.h test/unit/proto/relay_pair.h
test_unit_proto_test_relay_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_relay_LDADD = $(WIRE_TEST_LIBS)
test_unit_proto_test_websocket_SOURCES = test/unit/proto/test_websocket.c
test_unit_proto_test_websocket_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_websocket_LDADD = $(WIRE_TEST_LIBS)
test_unit_proto_test_rpc_SOURCES = test/unit/proto/test_rpc.c test/unit/proto/http_sink.h
test_unit_proto_test_rpc_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_rpc_LDADD = $(WIRE_TEST_LIBS)
test_unit_proto_test_wire_oom_SOURCES = test/unit/proto/test_wire_oom.c test/unit/proto/relay_pair.h
test_unit_proto_test_wire_oom_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_wire_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
test_unit_proto_test_wire_oom_LDADD = $(WIRE_TEST_LIBS)
test_unit_proto_test_stream_SOURCES = test/unit/proto/test_stream.c
test_unit_proto_test_stream_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_proto_test_stream_LDADD = $(STREAM_LIBS) $(UNIT_LIBS) -lpthread
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_http test/fuzz/fuzz_rpc test/fuzz/fuzz_websocket
endif
test_fuzz_fuzz_http_SOURCES = test/fuzz/fuzz_http.c
test_fuzz_fuzz_http_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_http_LDADD = $(WIRE_LIBS)
test_fuzz_fuzz_rpc_SOURCES = test/fuzz/fuzz_rpc.c
test_fuzz_fuzz_rpc_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_rpc_LDADD = $(WIRE_LIBS)
test_fuzz_fuzz_websocket_SOURCES = test/fuzz/fuzz_websocket.c
test_fuzz_fuzz_websocket_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_websocket_LDADD = $(WIRE_LIBS)

# client/: drivers, the executor, files of allocations
DRIVER_TEST_LIBS = $(DRIVER_LIBS) $(PROTO_LIBS) $(UV_LIBS) $(UNIT_LIBS)
EXTRA_DIST += test/unit/client/ran.h test/unit/client/world.h
DRIVER_TESTS = \
	test/unit/client/test_allocdir \
	test/unit/client/test_docker \
	test/unit/client/test_command \
	test/unit/client/test_exec \
	test/unit/client/test_fs_api \
	test/unit/client/test_logs \
	test/unit/client/test_mock \
	test/unit/client/test_raw_exec \
	test/unit/client/test_recover \
	test/unit/client/test_wire
if HAVE_CMOCKA
check_PROGRAMS += $(DRIVER_TESTS)
endif
test_unit_client_test_allocdir_SOURCES = test/unit/client/test_allocdir.c
test_unit_client_test_allocdir_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_allocdir_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_docker_SOURCES = test/unit/client/test_docker.c
test_unit_client_test_docker_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_docker_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_command_SOURCES = test/unit/client/test_command.c
test_unit_client_test_command_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_command_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_exec_SOURCES = test/unit/client/test_exec.c
test_unit_client_test_exec_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_exec_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_fs_api_SOURCES = test/unit/client/test_fs_api.c
test_unit_client_test_fs_api_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_fs_api_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_logs_SOURCES = test/unit/client/test_logs.c
test_unit_client_test_logs_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_logs_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_mock_SOURCES = test/unit/client/test_mock.c
test_unit_client_test_mock_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_mock_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_raw_exec_SOURCES = test/unit/client/test_raw_exec.c
test_unit_client_test_raw_exec_CFLAGS = $(UNIT_CFLAGS) -DEXECUTOR_IS_INSTRUMENTED='("$(DEBUG_CFLAGS)"[0] != 0)'
test_unit_client_test_raw_exec_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_recover_SOURCES = test/unit/client/test_recover.c
test_unit_client_test_recover_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_recover_LDADD = $(DRIVER_TEST_LIBS)
test_unit_client_test_wire_SOURCES = test/unit/client/test_wire.c
test_unit_client_test_wire_CFLAGS = $(UNIT_CFLAGS)
test_unit_client_test_wire_LDADD = $(DRIVER_TEST_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_driver_config
endif
test_fuzz_fuzz_driver_config_SOURCES = test/fuzz/fuzz_driver_config.c
test_fuzz_fuzz_driver_config_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_driver_config_LDADD = $(DRIVER_LIBS) $(PROTO_LIBS) $(UV_LIBS)

# What comes from elsewhere to a node: archives, an engine's answers, what constraints compare; and backups of the state.
# The engine's readers are static: their files are compiled into the targets.
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_archive test/fuzz/fuzz_docker test/fuzz/fuzz_docker_command test/fuzz/fuzz_match \
	test/fuzz/fuzz_unpack
endif
test_fuzz_fuzz_archive_SOURCES = test/fuzz/fuzz_archive.c raft/persist.c
test_fuzz_fuzz_archive_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_archive_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_archive_LDADD = $(STATE_LIBS)
test_fuzz_fuzz_docker_SOURCES = test/fuzz/fuzz_docker.c
test_fuzz_fuzz_docker_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_docker_LDADD = $(DRIVER_LIBS) $(PROTO_LIBS) $(UV_LIBS)
test_fuzz_fuzz_docker_command_SOURCES = test/fuzz/fuzz_docker_command.c
test_fuzz_fuzz_docker_command_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_docker_command_LDADD = $(DRIVER_LIBS) $(PROTO_LIBS) $(UV_LIBS)
test_fuzz_fuzz_match_SOURCES = test/fuzz/fuzz_match.c
test_fuzz_fuzz_match_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_match_LDADD = $(JOBSPEC_LIBS)
test_fuzz_fuzz_unpack_SOURCES = test/fuzz/fuzz_unpack.c
test_fuzz_fuzz_unpack_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_unpack_LDADD = $(CLIENT_LIBS) $(ARCHIVE_LIBS)
EXTRA_PROGRAMS += test/bench/bench_driver
test_bench_bench_driver_SOURCES = test/bench/bench_driver.c
test_bench_bench_driver_CFLAGS = $(UNIT_CFLAGS)
test_bench_bench_driver_LDADD = $(DRIVER_TEST_LIBS)
bench: bench-driver
bench-driver: test/bench/bench_driver drover-executor
	DROVER_EXECUTOR=./drover-executor test/bench/bench_driver
.PHONY: bench-driver

# What the schedulers stand on.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_hindex
endif
test_unit_lib_test_hindex_SOURCES = test/unit/lib/test_hindex.c
test_unit_lib_test_hindex_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_hindex_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

# Jobs: defaults, validation, launches.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_constraint test/unit/proto/test_cron test/unit/proto/test_diff \
	test/unit/proto/test_job
endif
test_unit_proto_test_constraint_SOURCES = test/unit/proto/test_constraint.c
test_unit_proto_test_constraint_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_constraint_LDADD = $(OBJECT_TEST_LIBS)
test_unit_proto_test_cron_SOURCES = test/unit/proto/test_cron.c
test_unit_proto_test_cron_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_cron_LDADD = $(OBJECT_TEST_LIBS)
if HAVE_CMOCKA
if HAVE_JANSSON
check_PROGRAMS += test/unit/proto/test_diff_fields
endif
endif
test_unit_proto_test_diff_fields_SOURCES = test/unit/proto/test_diff_fields.c test/unit/proto/diff_reference.c \
	test/unit/proto/diff_reference.h
test_unit_proto_test_diff_fields_CFLAGS = $(UNIT_CFLAGS) $(JANSSON_CFLAGS)
test_unit_proto_test_diff_fields_LDADD = $(OBJECT_TEST_LIBS) $(JANSSON_LIBS)
test_unit_proto_test_diff_SOURCES = test/unit/proto/test_diff.c
test_unit_proto_test_diff_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_diff_LDADD = $(OBJECT_TEST_LIBS)
test_unit_proto_test_job_SOURCES = test/unit/proto/test_job.c
test_unit_proto_test_job_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_job_LDADD = $(OBJECT_TEST_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_cron test/fuzz/fuzz_job
endif
test_fuzz_fuzz_cron_SOURCES = test/fuzz/fuzz_cron.c
test_fuzz_fuzz_cron_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_cron_LDADD = $(PROTO_LIBS)
test_fuzz_fuzz_job_SOURCES = test/fuzz/fuzz_job.c
test_fuzz_fuzz_job_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_job_LDADD = $(PROTO_LIBS)
# The HTTP front, and a server for its integration test (test/integration/http_front.py).
if HAVE_CMOCKA
check_PROGRAMS += test/unit/server/test_cache test/unit/server/test_gzip
endif
test_unit_server_test_cache_SOURCES = test/unit/server/test_cache.c
test_unit_server_test_cache_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_cache_LDADD = $(HTTPD_LIBS) $(UNIT_LIBS)
test_unit_server_test_gzip_SOURCES = test/unit/server/test_gzip.c
test_unit_server_test_gzip_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_gzip_LDADD = $(HTTPD_LIBS) $(UNIT_LIBS)
# Jobs for test/integration/job_writes.py.
EXTRA_PROGRAMS += test/integration/random_jobs
check-local: test/integration/random_jobs
test_integration_random_jobs_SOURCES = test/integration/random_jobs.c test/unit/proto/random_job.c \
	test/unit/proto/random_job.h test/unit/proto/random_object.c test/unit/proto/random_object.h
test_integration_random_jobs_LDADD = $(PROTO_LIBS)

EXTRA_PROGRAMS += test/integration/http_server
check-local: test/integration/http_server
test_integration_http_server_SOURCES = test/integration/http_server.c
test_integration_http_server_LDADD = $(STREAM_LIBS) $(HTTPD_LIBS) $(JEMALLOC_LIBS)

# What the leader's parts stand on.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_hash test/unit/lib/test_heap
endif
test_unit_lib_test_hash_SOURCES = test/unit/lib/test_hash.c
test_unit_lib_test_hash_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_hash_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
test_unit_lib_test_heap_SOURCES = test/unit/lib/test_heap.c
test_unit_lib_test_heap_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_heap_LDADD = $(BASE_LIBS) $(UNIT_LIBS)


# server/: the schedulers and the plan applier, on a cluster in one process.
SCHED_TESTS = \
	test/unit/server/test_sched_nodes \
	test/unit/server/test_sched_place \
	test/unit/server/test_sched_reconcile \
	test/unit/server/test_sched_system \
	test/unit/server/test_plan_apply \
	test/unit/server/test_sched_random \
	test/unit/server/test_sched_packing
if HAVE_CMOCKA
check_PROGRAMS += $(SCHED_TESTS)
check_LIBRARIES += test/unit/server/libbed.a
endif
SCHED_TEST_LIBS = test/unit/server/libbed.a $(SCHED_LIBS) $(UNIT_LIBS) -lpthread
test_unit_server_libbed_a_SOURCES = test/unit/server/sched_bed.c test/unit/server/sched_bed.h test/unit/server/sched_case.h
test_unit_server_libbed_a_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_nodes_SOURCES = test/unit/server/test_sched_nodes.c
test_unit_server_test_sched_nodes_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_nodes_LDADD = $(SCHED_TEST_LIBS)
test_unit_server_test_sched_place_SOURCES = test/unit/server/test_sched_place.c
test_unit_server_test_sched_place_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_place_LDADD = $(SCHED_TEST_LIBS)
test_unit_server_test_sched_reconcile_SOURCES = test/unit/server/test_sched_reconcile.c
test_unit_server_test_sched_reconcile_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_reconcile_LDADD = $(SCHED_TEST_LIBS)
test_unit_server_test_sched_system_SOURCES = test/unit/server/test_sched_system.c
test_unit_server_test_sched_system_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_system_LDADD = $(SCHED_TEST_LIBS)
test_unit_server_test_plan_apply_SOURCES = test/unit/server/test_plan_apply.c
test_unit_server_test_plan_apply_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_plan_apply_LDADD = $(SCHED_TEST_LIBS)
test_unit_server_test_sched_random_SOURCES = test/unit/server/test_sched_random.c
test_unit_server_test_sched_random_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_random_LDADD = $(SCHED_TEST_LIBS)
test_unit_server_test_sched_packing_SOURCES = test/unit/server/test_sched_packing.c
test_unit_server_test_sched_packing_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_sched_packing_LDADD = $(SCHED_TEST_LIBS)
# end of the schedulers
EXTRA_PROGRAMS += test/bench/bench_sched
test_bench_bench_sched_SOURCES = test/bench/bench_sched.c test/unit/server/sched_bed.c
test_bench_bench_sched_CFLAGS = $(UNIT_CFLAGS)
test_bench_bench_sched_LDADD = $(SCHED_LIBS) $(UNIT_LIBS) $(JEMALLOC_LIBS) -lpthread
bench: bench-sched
bench-sched: test/bench/bench_sched
	test/bench/bench_sched
.PHONY: bench-sched
# What the leader decides and keeps.
LEADER_TEST_LIBS = test/unit/server/libworld.a test/unit/raft/libkit.a $(LEADER_LIBS) $(UNIT_LIBS) -lpthread
EXTRA_DIST += test/unit/server/part_bench.h test/unit/server/rows.h
if HAVE_CMOCKA
check_LIBRARIES += test/unit/server/libworld.a
check_PROGRAMS += test/unit/server/test_leader \
	test/unit/server/test_leader_cluster \
	test/unit/server/test_drain \
	test/unit/server/test_deploy \
	test/unit/server/test_expiry \
	test/unit/server/test_gc \
	test/unit/server/test_keyring \
	test/unit/server/test_periodic \
	test/unit/server/test_heartbeat \
	test/unit/server/test_blocked test/unit/server/test_broker
endif
test_unit_server_libworld_a_SOURCES = test/unit/server/leader_world.c test/unit/server/leader_world.h
test_unit_server_libworld_a_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_leader_cluster_SOURCES = test/unit/server/test_leader_cluster.c
test_unit_server_test_leader_cluster_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_leader_cluster_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_leader_SOURCES = test/unit/server/test_leader.c
test_unit_server_test_leader_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_leader_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_drain_SOURCES = test/unit/server/test_drain.c
test_unit_server_test_drain_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_drain_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_deploy_SOURCES = test/unit/server/test_deploy.c
test_unit_server_test_deploy_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_deploy_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_expiry_SOURCES = test/unit/server/test_expiry.c
test_unit_server_test_expiry_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_expiry_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_gc_SOURCES = test/unit/server/test_gc.c
test_unit_server_test_gc_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_gc_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_keyring_SOURCES = test/unit/server/test_keyring.c
test_unit_server_test_keyring_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_keyring_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_periodic_SOURCES = test/unit/server/test_periodic.c
test_unit_server_test_periodic_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_periodic_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_heartbeat_SOURCES = test/unit/server/test_heartbeat.c
test_unit_server_test_heartbeat_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_heartbeat_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_blocked_SOURCES = test/unit/server/test_blocked.c
test_unit_server_test_blocked_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_blocked_LDADD = $(LEADER_TEST_LIBS)
test_unit_server_test_broker_SOURCES = test/unit/server/test_broker.c
test_unit_server_test_broker_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_broker_LDADD = $(LEADER_TEST_LIBS)

# Requests that are answered on another thread.
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_handover
endif
test_unit_proto_test_handover_SOURCES = test/unit/proto/test_handover.c
test_unit_proto_test_handover_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_proto_test_handover_LDADD = $(WIRE_TEST_LIBS) -lpthread

# The running server.
SERVER_TESTS = \
	test/unit/server/test_founding \
	test/unit/server/test_identity \
	test/unit/server/test_net \
	test/unit/server/test_net_nodes \
	test/unit/server/test_proposer \
	test/unit/server/test_lease \
	test/unit/server/test_reads \
	test/unit/server/test_server \
	test/unit/server/test_zones
if HAVE_CMOCKA
check_PROGRAMS += $(SERVER_TESTS)
endif
SERVER_TEST_LIBS = $(SERVER_LIBS) $(UNIT_LIBS) -lpthread
test_unit_server_test_founding_SOURCES = test/unit/server/test_founding.c
test_unit_server_test_founding_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_founding_LDADD = $(SERVER_TEST_LIBS)
test_unit_server_test_identity_SOURCES = test/unit/server/test_identity.c
test_unit_server_test_identity_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_identity_LDADD = $(SERVER_TEST_LIBS)
test_unit_server_test_net_SOURCES = test/unit/server/test_net.c test/unit/server/net_bed.c test/unit/server/net_bed.h \
	test/unit/server/h2o_leaks.c
test_unit_server_test_net_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_server_test_net_LDADD = $(RUNNING_LIBS) $(UNIT_LIBS) -lpthread
test_unit_server_test_net_nodes_SOURCES = test/unit/server/test_net_nodes.c test/unit/server/net_bed.c test/unit/server/h2o_leaks.c
test_unit_server_test_net_nodes_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_server_test_net_nodes_LDADD = $(RUNNING_LIBS) $(UNIT_LIBS) -lpthread
test_unit_server_test_proposer_SOURCES = test/unit/server/test_proposer.c
test_unit_server_test_proposer_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_proposer_LDADD = $(SERVER_TEST_LIBS)
test_unit_server_test_lease_SOURCES = test/unit/server/test_lease.c server/lease.c
test_unit_server_test_lease_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_lease_LDADD = $(UNIT_LIBS)
test_unit_server_test_reads_SOURCES = test/unit/server/test_reads.c
test_unit_server_test_reads_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_reads_LDADD = $(SERVER_TEST_LIBS)
test_unit_server_test_server_SOURCES = test/unit/server/test_server.c test/unit/server/net_alone.c \
	test/unit/server/h2o_leaks.c
test_unit_server_test_server_CFLAGS = $(UNIT_CFLAGS) -pthread
test_unit_server_test_server_LDADD = $(RUNNING_LIBS) $(UNIT_LIBS) -lpthread
test_unit_server_test_zones_SOURCES = test/unit/server/test_zones.c
test_unit_server_test_zones_CFLAGS = $(UNIT_CFLAGS)
test_unit_server_test_zones_LDADD = $(SERVER_TEST_LIBS)
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_zones
endif
test_fuzz_fuzz_zones_SOURCES = test/fuzz/fuzz_zones.c
test_fuzz_fuzz_zones_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_zones_LDADD = $(SERVER_LIBS)
EXTRA_PROGRAMS += test/bench/bench_leader
test_bench_bench_leader_SOURCES = test/bench/bench_leader.c
test_bench_bench_leader_CFLAGS = $(UNIT_CFLAGS)
test_bench_bench_leader_LDADD = $(LEADER_TEST_LIBS) $(JEMALLOC_LIBS)
bench: bench-leader
bench-leader: test/bench/bench_leader
	test/bench/bench_leader
.PHONY: bench-leader

# Simulated nodes, for scripts/lab sim.
noinst_PROGRAMS += test/bench/node_sim
test_bench_node_sim_SOURCES = test/bench/node_sim.c test/bench/node_sim_alloc.c test/bench/node_sim_node.c test/bench/node_sim.h
test_bench_node_sim_LDADD = $(STREAM_LIBS) $(JEMALLOC_LIBS)

# What scripts/faults makes its faults with: wires, and a clock that goes into the servers' processes as it is.
noinst_PROGRAMS += test/faults/wire
test_faults_wire_SOURCES = test/faults/wire.c
test_faults_wire_LDADD = $(BASE_LIBS)
EXTRA_DIST += test/faults/clock.c
CLEANFILES += test/faults/clock.so
all-local: test/faults/clock.so
test/faults/clock.so: test/faults/clock.c
	@$(MKDIR_P) test/faults
	$(AM_V_GEN)$(CC) -O2 -Wall -Wextra -fPIC -shared -o $@ $(top_srcdir)/test/faults/clock.c

# A whole cluster on simulated time. The linker sends what the program asks of the system to test/sim.
check_PROGRAMS += test/sim/sim
EXTRA_DIST += test/sim/run
test_sim_sim_SOURCES = test/sim/main.c test/sim/sim.c test/sim/sim.h test/sim/disk.c test/sim/loop.c test/sim/net.c \
	test/sim/host.c test/sim/check.c test/sim/nodes.c test/sim/users.c test/sim/faults.c test/sim/members.c test/sim/plant.c
test_sim_sim_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_gettime,--wrap=getrandom,--wrap=RAND_bytes,--wrap=abort \
	-Wl,--wrap=pthread_create,--wrap=pthread_join,--wrap=pthread_mutex_lock,--wrap=pthread_mutex_unlock \
	-Wl,--wrap=pthread_cond_init,--wrap=pthread_cond_destroy,--wrap=pthread_cond_wait \
	-Wl,--wrap=pthread_cond_timedwait,--wrap=pthread_cond_signal,--wrap=pthread_cond_broadcast \
	-Wl,--wrap=open,--wrap=openat,--wrap=flock,--wrap=close,--wrap=pwrite,--wrap=pread,--wrap=fdatasync,--wrap=fsync \
	-Wl,--wrap=posix_fallocate,--wrap=posix_fadvise,--wrap=ftruncate,--wrap=renameat,--wrap=unlinkat \
	-Wl,--wrap=fstat,--wrap=fstatat,--wrap=scandirat,--wrap=fdopendir,--wrap=readdir,--wrap=closedir \
	-Wl,--wrap=fsm_apply,--wrap=disk_die,--wrap=sched_begin,--wrap=sched_resume \
	-Wl,--wrap=blocked_freed,--wrap=broker_put,--wrap=nodes_fit,--wrap=news_add,--wrap=raft_barrier \
	-Wl,--wrap=lease_until,--wrap=mend_append,--wrap=mend_split,--wrap=mend_vote
test_sim_sim_LDADD = server/libserver.a $(LEADER_LIBS) raft/libreplica.a $(PROTO_LIBS) $(RAFT_A) $(LZ4_LIBS) -lpthread

# TLS
if HAVE_CMOCKA
check_PROGRAMS += test/unit/lib/test_tls
endif
EXTRA_DIST += test/unit/certs.h
test_unit_lib_test_tls_SOURCES = test/unit/lib/test_tls.c test/unit/certs.c
test_unit_lib_test_tls_CFLAGS = $(UNIT_CFLAGS)
test_unit_lib_test_tls_LDADD = $(TLS_LIBS) $(UNIT_LIBS)
if HAVE_CMOCKA
check_PROGRAMS += test/unit/proto/test_channel
endif
test_unit_proto_test_channel_SOURCES = test/unit/proto/test_channel.c test/unit/certs.c
test_unit_proto_test_channel_CFLAGS = $(UNIT_CFLAGS)
test_unit_proto_test_channel_LDADD = $(CHANNEL_LIBS) $(UNIT_LIBS) -lpthread
if FUZZ
noinst_PROGRAMS += test/fuzz/fuzz_channel
endif
test_fuzz_fuzz_channel_SOURCES = test/fuzz/fuzz_channel.c test/unit/certs.c
test_fuzz_fuzz_channel_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
test_fuzz_fuzz_channel_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
test_fuzz_fuzz_channel_LDADD = $(TLS_LIBS) $(UV_LIBS) -lpthread
