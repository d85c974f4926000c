# What is in proto/: added to by its modules.

noinst_LIBRARIES += proto/libobject.a
proto_libobject_a_SOURCES = \
	proto/acl.c proto/acl.h \
	proto/alloc.c proto/alloc.h \
	proto/cluster.c proto/cluster.h \
	proto/cron.c proto/cron.h \
	proto/deployment.c proto/deployment.h \
	proto/diff.c proto/diff.h \
	proto/diff_items.c proto/diff_items.h \
	proto/error.c proto/error.h \
	proto/exec.c proto/exec.h \
	proto/faults.c proto/faults.h \
	proto/filter.c proto/filter.h \
	proto/filter_parse.c proto/filter_parts.h \
	proto/job.c proto/job.h \
	proto/job_canonicalize.c \
	proto/job_check.h \
	proto/job_check_rule.c \
	proto/job_check_network.c \
	proto/job_check_service.c \
	proto/job_check_task.c \
	proto/job_validate.c \
	proto/json_chars.h \
	proto/json_decode.c \
	proto/json_encode.c \
	proto/jsonin.c proto/jsonin.h \
	proto/node.c proto/node.h \
	proto/object.c proto/object.h \
	proto/pack_decode.c \
	proto/pack_encode.c \
	proto/packin.c proto/packin.h \
	proto/regfind.c proto/regfind.h \
	proto/status.c proto/status.h \
	proto/variable.c proto/variable.h \
	proto/version.c proto/version.h \
	proto/walk.h \
	proto/words.c proto/words.h

# The common language without I/O, and what it needs.
PROTO_LIBS = proto/libobject.a $(BASE_LIBS) $(MSGPACK_LIBS) -lm

# What travels between agents and clients: HTTP as values, RPC frames and connections.
noinst_LIBRARIES += proto/libwire.a
proto_libwire_a_SOURCES = \
	proto/agent_facts.c proto/agent_facts.h \
	proto/conn.c proto/conn.h \
	proto/disk_token.c proto/disk_token.h \
	proto/handover.c proto/handover.h \
	proto/http.c proto/http.h \
	proto/logstream.c proto/logstream.h \
	proto/http_query.c \
	proto/http_route.c \
	proto/relay.c proto/relay.h \
	proto/rpc.c proto/rpc.h \
	proto/rpc_objects.h \
	proto/rpc_serve.c proto/rpc_serve.h \
	proto/websocket.c proto/websocket.h proto/websocket_accept.c
WIRE_LIBS = proto/libwire.a $(PROTO_LIBS)

# Bytes over sockets, in TLS where that is wanted; and what carries RPC connections: the parts of proto/ that know a socket.
noinst_LIBRARIES += proto/libchannel.a proto/libstream.a
proto_libchannel_a_SOURCES = proto/channel.c proto/channel.h
CHANNEL_LIBS = proto/libchannel.a $(TLS_LIBS) $(UV_LIBS)
proto_libstream_a_SOURCES = proto/stream.c proto/stream.h
STREAM_LIBS = proto/libstream.a $(WIRE_LIBS) $(CHANNEL_LIBS)

# HCL: the tree, values of expressions, objects from bodies.
noinst_LIBRARIES += proto/libhcl.a
proto_libhcl_a_SOURCES = \
	proto/hcl.c proto/hcl.h \
	proto/hcl_decode.c proto/hcl_decode.h \
	proto/hcl_eval.c proto/hcl_eval.h \
	proto/hcl_expr.c \
	proto/hcl_json.c \
	proto/hcl_parser.h \
	proto/hcl_print.c \
	proto/hcl_template.c \
	proto/policy.c proto/policy.h
HCL_LIBS = proto/libhcl.a $(PROTO_LIBS)

# The job language.
noinst_LIBRARIES += proto/libjobspec.a
proto_libjobspec_a_SOURCES = \
	proto/jobspec.c proto/jobspec.h proto/jobspec_parts.h \
	proto/jobspec_block.c \
	proto/jobspec_format.c \
	proto/jobspec_func.c proto/jobspec_func.h \
	proto/jobspec_func_code.c \
	proto/jobspec_func_list.c \
	proto/jobspec_func_net.c \
	proto/jobspec_func_text.c \
	proto/jobspec_names.c \
	proto/jobspec_regex.c \
	proto/jobspec_tree.c \
	proto/jobspec_type.c
JOBSPEC_LIBS = proto/libjobspec.a $(HCL_LIBS) $(OPENSSL_LIBS)
