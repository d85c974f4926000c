#include "test/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/folder.h"

static char base[64];

static const char *below(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(below(name), &st), 0);
	return st.st_mode & 07777;
}

static int make(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/test-folder-XXXXXX");
	return mkdtemp(base) == NULL;
}

static int release(void **state)
{
	char command[96];

	(void)state;
	umask(022);
	snprintf(command, sizeof(command), "rm -r %s", base);
	return system(command);
}

static void a_folder_gets_its_mode_whatever_the_umask_is(void **state)
{
	static const mode_t masks[] = {0, 022, 077, 0777};
	char name[16];

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		umask(masks[i]);
		snprintf(name, sizeof(name), "m%zu", i);
		assert_int_equal(folder_make(below(name), 0711), 0);
		assert_int_equal(mode_of(name), 0711);
	}
}

static void missing_folders_above_are_made_and_others_left(void **state)
{
	(void)state;
	umask(022);
	assert_int_equal(folder_make(below("a/b/c/"), 0700), 0);
	assert_int_equal(mode_of("a/b/c"), 0700);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(folder_make(below("a/b"), 0700), 0);
	assert_int_equal(mode_of("a/b"), 0755);
}

static void what_is_there_only_loses_rights(void **state)
{
	(void)state;
	umask(0);
	assert_int_equal(mkdir(below("wide"), 0777), 0);
	assert_int_equal(folder_keep(below("wide"), 0711), 0);
	assert_int_equal(mode_of("wide"), 0711);
	assert_int_equal(mkdir(below("narrow"), 0500), 0);
	assert_int_equal(folder_keep(below("narrow"), 0711), 0);
	assert_int_equal(mode_of("narrow"), 0500);
	assert_int_equal(folder_keep(below("new/one"), 0700), 0);
	assert_int_equal(mode_of("new/one"), 0700);
}

static void what_is_no_folder_is_an_error(void **state)
{
	FILE *f = fopen(below("file"), "w");

	(void)state;
	assert_non_null(f);
	fclose(f);
	assert_int_equal(folder_keep(below("file"), 0700), ENOTDIR);
	assert_int_equal(folder_make(below("file/below"), 0700), ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_folder_gets_its_mode_whatever_the_umask_is, make, release),
		cmocka_unit_test_setup_teardown(missing_folders_above_are_made_and_others_left, make, release),
		cmocka_unit_test_setup_teardown(what_is_there_only_loses_rights, make, release),
		cmocka_unit_test_setup_teardown(what_is_no_folder_is_an_error, make, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
