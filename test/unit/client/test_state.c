#include "test/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "client/state.h"
#include "proto/error.h"
#include "test/unit/client/random.h"

static const char id[] = "deadbeef-1111-2222-3333-444444444444";
static char dir[64];
static struct state_store store;

static int make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/drover-state-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return state_open(&store, dir);
}

static int release(void **state)
{
	char command[128];

	(void)state;
	state_close(&store);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void sample(struct saved_alloc *s, struct allocation *alloc, struct saved_task *task)
{
	object_init(&saved_alloc_type, s);
	object_init(&allocation_type, alloc);
	object_init(&saved_task_type, task);
	alloc->id = id;
	task->name = "web";
	task->handle = (struct bytes){(const uint8_t *)"handle", 6};
	s->id = id;
	s->client_status = "running";
	s->alloc = alloc;
	s->tasks.at = task;
	s->tasks.n = 1;
}

static struct buf encoded(void)
{
	struct saved_alloc s;
	struct allocation alloc;
	struct saved_task task;
	struct buf b = {0};

	sample(&s, &alloc, &task);
	state_encode(&s, &b);
	assert_false(b.failed);
	return b;
}

static unsigned found;

static void found_cb(void *ctx, struct saved_alloc *saved, struct arena *mem)
{
	(void)ctx;
	assert_string_equal(saved->id, id);
	assert_string_equal(saved->alloc->id, id);
	assert_string_equal(saved->client_status, "running");
	assert_int_equal(saved->tasks.n, 1);
	assert_string_equal(saved->tasks.at[0].name, "web");
	assert_memory_equal(saved->tasks.at[0].handle.at, "handle", 6);
	found++;
	arena_close(mem);
}

static unsigned load(void)
{
	found = 0;
	assert_int_equal(state_load(&store, found_cb, NULL), 0);
	return found;
}

static bool there(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) == 0;
}

static void what_was_written_is_read_back(void **state)
{
	struct buf b = encoded();

	(void)state;
	assert_int_equal(state_write(&store, id, b.at, b.len), 0);
	assert_int_equal(state_write(&store, id, b.at, b.len), 0);
	assert_int_equal(load(), 1);
	assert_int_equal(state_remove(&store, id), 0);
	assert_int_equal(state_remove(&store, id), 0);
	assert_int_equal(load(), 0);
	buf_close(&b);
}

static void a_torn_file_is_set_aside(void **state)
{
	struct buf b = encoded();
	size_t len;

	(void)state;
	for (len = 0; len < b.len; len++) {
		assert_int_equal(state_write(&store, id, b.at, len), 0);
		assert_int_equal(load(), 0);
		assert_true(there("allocs/deadbeef-1111-2222-3333-444444444444.damaged"));
		assert_false(there("allocs/deadbeef-1111-2222-3333-444444444444"));
	}
	buf_close(&b);
}

static void a_flipped_bit_is_noticed(void **state)
{
	struct random r = random_begin("state");
	struct buf b = encoded();
	size_t at;

	(void)state;
	for (at = 0; at < b.len; at++) {
		char bit = (char)(1 << random_below(&r, 8));

		b.at[at] = (char)(b.at[at] ^ bit);
		assert_int_equal(state_write(&store, id, b.at, b.len), 0);
		assert_int_equal(load(), 0);
		b.at[at] = (char)(b.at[at] ^ bit);
	}
	buf_close(&b);
}

static void a_file_under_another_allocations_name_is_not_believed(void **state)
{
	struct buf b = encoded();

	(void)state;
	assert_int_equal(state_write(&store, "deadbeef-1111-2222-3333-555555555555", b.at, b.len), 0);
	assert_int_equal(load(), 0);
	buf_close(&b);
}

static void names_from_peers_do_not_become_paths(void **state)
{
	static const char *const bad[] = {"", ".", "../../../../tmp/x", "deadbeef", "a/b"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(state_write(&store, bad[i], "x", 1), ERR_INVALID);
		assert_int_equal(state_remove(&store, bad[i]), ERR_INVALID);
	}
}

static void leftovers_of_an_interrupted_write_go(void **state)
{
	char path[256];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/allocs/%s.tmp", dir, id);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	state_close(&store);
	assert_int_equal(state_open(&store, dir), 0);
	assert_false(there("allocs/deadbeef-1111-2222-3333-444444444444.tmp"));
}

static void a_node_keeps_its_ids(void **state)
{
	char a[2][UUID_TEXT];
	char b[2][UUID_TEXT];
	char path[256];
	struct stat st;

	(void)state;
	assert_int_equal(state_ids(dir, a[0], a[1]), 0);
	assert_int_equal(state_ids(dir, b[0], b[1]), 0);
	assert_string_equal(a[0], b[0]);
	assert_string_equal(a[1], b[1]);
	assert_string_not_equal(a[0], a[1]);
	snprintf(path, sizeof(path), "%s/secret-id", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void a_damaged_id_is_an_error_and_not_a_new_node(void **state)
{
	char a[2][UUID_TEXT];
	char path[256];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/client-id", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("garbage", f);
	fclose(f);
	assert_int_equal(state_ids(dir, a[0], a[1]), ERR_CORRUPT);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(what_was_written_is_read_back),
	        T(a_torn_file_is_set_aside),
	        T(a_flipped_bit_is_noticed),
	        T(a_file_under_another_allocations_name_is_not_believed),
	        T(names_from_peers_do_not_become_paths),
	        T(leftovers_of_an_interrupted_write_go),
	        T(a_node_keeps_its_ids),
	        T(a_damaged_id_is_an_error_and_not_a_new_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
