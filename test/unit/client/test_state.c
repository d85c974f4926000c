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
	return state_store_open(&store, dir);
}

static int release(void **state)
{
	char command[128];

	(void)state;
	state_store_close(&store);
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

static struct buf encoded(const char *status)
{
	struct saved_alloc s;
	struct allocation alloc;
	struct saved_task task;
	struct buf b = {0};

	sample(&s, &alloc, &task);
	s.client_status = status;
	state_encode(&s, &b);
	assert_false(b.failed);
	return b;
}

static void save(struct state_file *file, const char *status)
{
	struct buf b = encoded(status);

	assert_int_equal(state_write(&store, id, file, &b), 0);
	buf_close(&b);
}

static unsigned found;
static char found_status[16];

static void found_cb(void *ctx, struct saved_alloc *saved, struct arena *mem)
{
	(void)ctx;
	assert_string_equal(saved->id, id);
	assert_string_equal(saved->alloc->id, id);
	snprintf(found_status, sizeof(found_status), "%s", saved->client_status);
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
	char full[256];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", dir, name);
	return stat(full, &st) == 0;
}

static void what_was_written_last_is_read_back(void **state)
{
	struct state_file file = {0};
	char status[16];
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		snprintf(status, sizeof(status), "status %d", i);
		save(&file, status);
		assert_int_equal(load(), 1);
		assert_string_equal(found_status, status);
	}
	assert_int_equal(state_remove(&store, id), 0);
	assert_int_equal(state_remove(&store, id), 0);
	assert_int_equal(load(), 0);
}

static void what_outgrows_its_slots_is_written_anew(void **state)
{
	struct state_file file = {0};
	struct saved_alloc s;
	struct allocation alloc;
	struct saved_task task;
	struct buf b = {0};
	uint32_t before;
	char *big = malloc(100001);

	(void)state;
	save(&file, "small");
	before = file.slot_bytes;
	sample(&s, &alloc, &task);
	memset(big, 'x', 100000);
	big[100000] = '\0';
	alloc.client_description = big;
	state_encode(&s, &b);
	assert_int_equal(state_write(&store, id, &file, &b), 0);
	assert_true(file.slot_bytes > before);
	assert_int_equal(load(), 1);
	assert_string_equal(found_status, "running");
	buf_close(&b);
	free(big);
}

static void another_writer_begins_anew(void **state)
{
	struct state_file first = {0};
	struct state_file second = {0};

	(void)state;
	save(&first, "one");
	save(&first, "two");
	save(&second, "three");
	assert_int_equal(load(), 1);
	assert_string_equal(found_status, "three");
	save(&second, "four");
	assert_int_equal(load(), 1);
	assert_string_equal(found_status, "four");
}

/* ---- damage ---- */

static const char *path(void)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/allocs/%s", dir, id);
	return text;
}

static struct buf contents(void)
{
	struct buf b = {0};
	FILE *f = fopen(path(), "r");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF) {
		buf_byte(&b, (char)c);
	}
	fclose(f);
	return b;
}

static void put(const char *data, size_t len)
{
	FILE *f = fopen(path(), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void a_torn_write_leaves_the_state_before_it(void **state)
{
	struct state_file file = {0};
	struct buf before;
	struct buf after;
	size_t from;
	size_t n;

	(void)state;
	save(&file, "one");
	save(&file, "two");
	before = contents();
	save(&file, "three");
	after = contents();
	assert_int_equal(before.len, after.len);
	from = file.number % 2 * file.slot_bytes; /* Where the last write went. */
	for (n = 1; n < 400; n++) {
		struct buf torn = {0};

		buf_put(&torn, before.at, before.len);
		memcpy(torn.at + from, after.at + from, n);
		put(torn.at, torn.len);
		assert_int_equal(load(), 1);
		assert_true(strcmp(found_status, "two") == 0 || strcmp(found_status, "three") == 0);
		buf_close(&torn);
	}
	buf_close(&before);
	buf_close(&after);
}

static void a_cut_file_is_set_aside(void **state)
{
	struct state_file file = {0};
	struct buf b = encoded("one");
	struct buf whole;
	size_t len;

	(void)state;
	save(&file, "one");
	whole = contents();
	for (len = 0; len < 2 * b.len; len++) {
		put(whole.at, len);
		assert_int_equal(load(), 0);
		assert_true(there("allocs/deadbeef-1111-2222-3333-444444444444.damaged"));
		assert_false(there("allocs/deadbeef-1111-2222-3333-444444444444"));
	}
	buf_close(&b);
	buf_close(&whole);
}

static void a_flipped_bit_is_noticed(void **state)
{
	struct random r = random_begin("state");
	struct state_file file = {0};
	struct buf whole;
	struct buf b = encoded("one");
	size_t used = b.len;
	size_t at;

	(void)state;
	buf_close(&b);
	save(&file, "one");
	whole = contents();
	for (at = 0; at < used; at++) {
		char bit = (char)(1 << random_below(&r, 8));

		whole.at[at] = (char)(whole.at[at] ^ bit);
		put(whole.at, whole.len);
		assert_int_equal(load(), 0);
		whole.at[at] = (char)(whole.at[at] ^ bit);
	}
	buf_close(&whole);
}

static void a_file_under_another_allocations_name_is_not_believed(void **state)
{
	struct state_file file = {0};
	struct buf b = encoded("one");

	(void)state;
	assert_int_equal(state_write(&store, "deadbeef-1111-2222-3333-555555555555", &file, &b), 0);
	assert_int_equal(load(), 0);
	buf_close(&b);
}

static void names_from_peers_do_not_become_paths(void **state)
{
	static const char *const bad[] = {"", ".", "../../../../tmp/x", "deadbeef", "a/b"};
	struct state_file file = {0};
	struct buf b = encoded("one");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(state_write(&store, bad[i], &file, &b), ERR_INVALID);
		assert_int_equal(state_remove(&store, bad[i]), ERR_INVALID);
	}
	buf_close(&b);
}

static void leftovers_of_an_interrupted_write_go(void **state)
{
	char name[256];
	FILE *f;

	(void)state;
	snprintf(name, sizeof(name), "%s/allocs/%s.tmp", dir, id);
	f = fopen(name, "w");
	assert_non_null(f);
	fclose(f);
	state_store_close(&store);
	assert_int_equal(state_store_open(&store, dir), 0);
	assert_false(there("allocs/deadbeef-1111-2222-3333-444444444444.tmp"));
}

static void a_node_keeps_its_ids(void **state)
{
	char a[2][UUID_TEXT];
	char b[2][UUID_TEXT];
	char name[256];
	struct stat st;

	(void)state;
	assert_int_equal(state_ids(dir, a[0], a[1]), 0);
	assert_int_equal(state_ids(dir, b[0], b[1]), 0);
	assert_string_equal(a[0], b[0]);
	assert_string_equal(a[1], b[1]);
	assert_string_not_equal(a[0], a[1]);
	snprintf(name, sizeof(name), "%s/secret-id", dir);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void a_damaged_id_is_an_error_and_not_a_new_node(void **state)
{
	char a[2][UUID_TEXT];
	char name[256];
	FILE *f;

	(void)state;
	snprintf(name, sizeof(name), "%s/client-id", dir);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs("garbage", f);
	fclose(f);
	assert_int_equal(state_ids(dir, a[0], a[1]), ERR_CORRUPT);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(what_was_written_last_is_read_back),
	        T(what_outgrows_its_slots_is_written_anew),
	        T(another_writer_begins_anew),
	        T(a_torn_write_leaves_the_state_before_it),
	        T(a_cut_file_is_set_aside),
	        T(a_flipped_bit_is_noticed),
	        T(a_file_under_another_allocations_name_is_not_believed),
	        T(names_from_peers_do_not_become_paths),
	        T(leftovers_of_an_interrupted_write_go),
	        T(a_node_keeps_its_ids),
	        T(a_damaged_id_is_an_error_and_not_a_new_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
