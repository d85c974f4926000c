# What is in proto/: added to by its modules.

# What travels between agents and clients: HTTP as values, RPC frames.
noinst_LIBRARIES += proto/libwire.a
proto_libwire_a_SOURCES = \
	proto/conn.h \
	proto/http.h \
	proto/rpc.h \
	proto/rpc_objects.h \
	proto/stream.h
