noinst_LIBRARIES += lib/libbase.a
lib_libbase_a_SOURCES = \
	lib/address.c lib/address.h \
	lib/arena.c lib/arena.h \
	lib/base64.c lib/base64.h \
	lib/bell.c lib/bell.h \
	lib/buf.c lib/buf.h \
	lib/crc.c lib/crc.h \
	lib/folder.c lib/folder.h \
	lib/glob.c lib/glob.h \
	lib/hash.c lib/hash.h \
	lib/heap.c lib/heap.h \
	lib/hindex.c lib/hindex.h \
	lib/list.h \
	lib/log.c lib/log.h \
	lib/mailbox.c lib/mailbox.h \
	lib/meter.c lib/meter.h \
	lib/moment.h \
	lib/peer.c lib/peer.h \
	lib/secret.c lib/secret.h \
	lib/timefmt.c lib/timefmt.h \
	lib/utf8.h \
	lib/sm.h \
	lib/uuid.c lib/uuid.h

# What a program links, from the bottom up: each folder's library needs those before it.
BASE_LIBS = lib/libbase.a $(XXHASH_LIBS)

# Libraries that are loaded when they are first needed: in the place of -lcurl and -larchive.
noinst_LIBRARIES += lib/liblate.a
lib_liblate_a_SOURCES = lib/late.c lib/late.h lib/late_archive.c lib/late_curl.c
LATE_LIBS = lib/liblate.a $(BASE_LIBS)

# TLS contexts.
noinst_LIBRARIES += lib/libtls.a
lib_libtls_a_SOURCES = lib/tls.c lib/tls.h
TLS_LIBS = lib/libtls.a $(BASE_LIBS) $(OPENSSL_LIBS)
