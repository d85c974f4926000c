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
