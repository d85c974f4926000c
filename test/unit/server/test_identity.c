#include "test/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/error.h"
#include "server/identity.h"

static char dir[64];
static char why[512];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_identity.XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void a_server_keeps_who_it_is(void **state)
{
	struct identity a, b;

	(void)state;
	assert_int_equal(identity_open(&a, dir, why, sizeof(why)), 0);
	assert_true(a.raft_id > 0 && a.raft_id <= INT64_MAX);
	a.cluster = uuid_random();
	a.founding.rounds = 7;
	a.founding.decided = true;
	a.founding.promise = (struct founding_list){.round = 6, .n = 2, .at = {{3, "a:1"}, {4, "[::1]:2"}}};
	assert_int_equal(identity_save(&a), 0);
	identity_close(&a);

	assert_int_equal(identity_open(&b, dir, why, sizeof(why)), 0);
	assert_memory_equal(&a.id, &b.id, sizeof(a.id));
	assert_memory_equal(&a.cluster, &b.cluster, sizeof(a.cluster));
	assert_true(a.raft_id == b.raft_id);
	assert_true(b.founding.decided);
	assert_int_equal(b.founding.rounds, 7);
	assert_int_equal(b.founding.promise.round, 6);
	assert_int_equal(b.founding.promise.n, 2);
	assert_string_equal(b.founding.promise.at[1].address, "[::1]:2");
	identity_close(&b);
}

static void directories_are_made(void **state)
{
	struct identity a;
	char deep[128];

	(void)state;
	snprintf(deep, sizeof(deep), "%s/x/y/server", dir);
	assert_int_equal(identity_open(&a, deep, why, sizeof(why)), 0);
	identity_close(&a);
}

static void a_second_process_is_kept_away(void **state)
{
	struct identity a, b;

	(void)state;
	assert_int_equal(identity_open(&a, dir, why, sizeof(why)), 0);
	assert_int_equal(identity_open(&b, dir, why, sizeof(why)), ERR_BUSY);
	assert_non_null(strstr(why, "another process"));
	identity_close(&a);
}

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_damaged_file_is_no_new_server(void **state)
{
	static const char *const bad[] = {"", "{", "{}", "{\"ID\":\"x\",\"RaftID\":1}", "[1]",
	                                  "{\"ID\":\"00000000-0000-4000-8000-000000000001\",\"RaftID\":-1}"};
	struct identity a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put("identity.json", bad[i]);
		assert_int_equal(identity_open(&a, dir, why, sizeof(why)), ERR_CORRUPT);
		assert_non_null(strstr(why, "identity.json"));
	}
}

static void a_log_without_an_identity_is_refused(void **state)
{
	struct identity a;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/raft", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put("raft/vote", "x");
	assert_int_equal(identity_open(&a, dir, why, sizeof(why)), ERR_CORRUPT);
}

static void a_folder_that_cannot_be_made_is_told(void **state)
{
	struct identity a;

	(void)state;
	assert_int_equal(identity_open(&a, "/proc/nothing/here", why, sizeof(why)), ERR_IO);
	assert_non_null(strstr(why, "/proc/nothing/here: "));
}

int main(void)
{
#define IN_DIR(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
	        IN_DIR(a_server_keeps_who_it_is),        IN_DIR(directories_are_made),
	        IN_DIR(a_second_process_is_kept_away),   IN_DIR(a_damaged_file_is_no_new_server),
	        IN_DIR(a_log_without_an_identity_is_refused), IN_DIR(a_folder_that_cannot_be_made_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
