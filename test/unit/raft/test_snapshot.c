#include "test/unit/raft/files.h"

#include "proto/error.h"
#include "raft/disk.h"
#include "raft/snapshot.h"

#include <errno.h>

static char image[3 * SNAPSHOT_CHUNK + 1000];

static struct snapshot_meta meta = {.index = 7, .term = 3, .conf_index = 2, .conf = "configuration", .conf_len = 13};

static void image_fill(void)
{
	for (size_t i = 0; i < sizeof(image); i++) {
		image[i] = (char)(i * 31 + (i >> 9));
	}
}

/* A snapshot of `len` bytes, written in odd pieces. */
static int make(struct dir *d, size_t len, const char *name)
{
	struct snapshot_writer w;
	uint64_t size;
	int rc = snapshot_create(&w, d->fd, &meta);
	size_t piece = 1;

	if (rc != 0) {
		return rc;
	}
	for (size_t at = 0; at < len; at += piece) {
		piece = piece * 3 + 1 < len - at ? piece * 3 + 1 : len - at;
		snapshot_write(&w, image + at, piece);
	}
	return snapshot_finish(&w, name, &size);
}

static int read_back(struct dir *d, const char *name, size_t len)
{
	static char copy[sizeof(image)];
	struct snapshot_reader r;
	int rc = snapshot_open(&r, d->fd, name);

	if (rc != 0) {
		return rc;
	}
	rc = snapshot_read(&r, copy, len);
	rc = rc != 0 ? rc : snapshot_read_end(&r);
	if (rc == 0) {
		assert_memory_equal(copy, image, len);
		assert_int_equal(r.meta.index, meta.index);
		assert_int_equal(r.meta.term, meta.term);
		assert_int_equal(r.meta.conf_index, meta.conf_index);
		assert_int_equal(r.meta.conf_len, meta.conf_len);
		assert_memory_equal(r.meta.conf, meta.conf, meta.conf_len);
	}
	snapshot_close(&r);
	return rc;
}

static void images_of_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = {
		0, 1, 1000, SNAPSHOT_CHUNK - 1, SNAPSHOT_CHUNK, SNAPSHOT_CHUNK + 1, sizeof(image)};
	struct dir d;

	(void)state;
	dir_open(&d);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(make(&d, sizes[i], "s"), 0);
		assert_int_equal(read_back(&d, "s", sizes[i]), 0);
		assert_int_equal(snapshot_verify(d.fd, "s"), 0);
	}
	assert_int_equal(file_count(&d, "tmp-", NULL), 0);
	dir_close(&d);
}

static void more_or_less_than_was_written_is_corrupt(void **state)
{
	struct dir d;

	(void)state;
	dir_open(&d);
	assert_int_equal(make(&d, 5000, "s"), 0);
	assert_int_equal(read_back(&d, "s", 5001), ERR_CORRUPT);
	assert_int_equal(read_back(&d, "s", 4999), ERR_CORRUPT);
	dir_close(&d);
}

static void every_flipped_bit_is_seen(void **state)
{
	struct dir d;
	size_t size;

	(void)state;
	dir_open(&d);
	assert_int_equal(make(&d, 600, "s"), 0);
	size = file_size(&d, "s");
	for (size_t at = 0; at < size; at++) {
		file_flip(&d, "s", at, (unsigned char)(1 << at % 8));
		assert_int_equal(snapshot_verify(d.fd, "s"), ERR_CORRUPT);
		file_flip(&d, "s", at, (unsigned char)(1 << at % 8));
	}
	assert_int_equal(snapshot_verify(d.fd, "s"), 0);
	dir_close(&d);
}

static void every_cut_and_every_addition_is_seen(void **state)
{
	struct dir d;
	size_t size;

	(void)state;
	dir_open(&d);
	assert_int_equal(make(&d, 600, "s"), 0);
	size = file_size(&d, "s");
	file_write(&d, "s", "", 1, size);
	assert_int_equal(snapshot_verify(d.fd, "s"), ERR_CORRUPT);
	while (size-- > 0) {
		file_cut(&d, "s", size);
		assert_int_equal(snapshot_verify(d.fd, "s"), ERR_CORRUPT);
	}
	dir_close(&d);
}

/* --- faults --- */

static int countdown;
static enum disk_op fault_op;

static int fault(enum disk_op op, enum disk_file file, uint64_t at, size_t len)
{
	(void)at;
	(void)len;
	return file == DISK_SNAPSHOT && op == fault_op && countdown-- == 0 ? ENOSPC : 0;
}

static void a_full_disk_at_any_step_leaves_nothing_behind(void **state)
{
	static const enum disk_op ops[] = {DISK_OPEN, DISK_WRITE, DISK_SYNC, DISK_RENAME};
	struct dir d;

	(void)state;
	dir_open(&d);
	disk_fault = fault;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		for (int n = 0;; n++) {
			int rc;

			fault_op = ops[i];
			countdown = n;
			rc = make(&d, sizeof(image), "s");
			if (countdown >= 0) {
				assert_int_equal(rc, 0); /* There was no n-th call any more. */
				break;
			}
			assert_int_not_equal(rc, 0);
			assert_int_equal(file_count(&d, "", NULL), 0);
		}
		unlinkat(d.fd, "s", 0);
	}
	disk_fault = NULL;
	dir_close(&d);
}

static void the_newest_is_found_and_leftovers_go(void **state)
{
	struct dir d;
	char name[SNAPSHOT_NAME];
	char old[SNAPSHOT_NAME];
	char found[SNAPSHOT_NAME];

	(void)state;
	dir_open(&d);
	assert_int_equal(snapshot_find(d.fd, found), 0);
	assert_string_equal(found, "");
	snapshot_name(old, 0xff, 9);
	snapshot_name(name, 0x100, 2);
	assert_int_equal(make(&d, 10, old), 0);
	assert_int_equal(make(&d, 10, name), 0);
	file_write(&d, "tmp-snapshot-1", "x", 1, 0);
	file_write(&d, "incoming-7", "x", 1, 0);
	file_write(&d, "snapshot-not-one", "x", 1, 0);
	file_write(&d, "log-0", "x", 1, 0);
	assert_int_equal(snapshot_find(d.fd, found), 0);
	assert_string_equal(found, name);
	assert_false(file_exists(&d, "tmp-snapshot-1"));
	assert_false(file_exists(&d, "incoming-7"));
	snapshot_prune(d.fd, name);
	assert_false(file_exists(&d, old));
	assert_true(file_exists(&d, name));
	assert_true(file_exists(&d, "log-0"));
	dir_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_of_all_sizes_come_back),
		cmocka_unit_test(more_or_less_than_was_written_is_corrupt),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(every_cut_and_every_addition_is_seen),
		cmocka_unit_test(a_full_disk_at_any_step_leaves_nothing_behind),
		cmocka_unit_test(the_newest_is_found_and_leftovers_go),
	};

	image_fill();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
