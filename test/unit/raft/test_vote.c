#include "test/unit/raft/files.h"

#include <errno.h>

#include "proto/error.h"
#include "raft/disk.h"
#include "raft/vote.h"

enum { SLOT = 4096 };

static void what_was_put_is_there_again(void **state)
{
	struct dir d;
	struct vote v;

	(void)state;
	dir_open(&d);
	assert_int_equal(vote_open(&v, d.fd), 0);
	assert_int_equal(v.version, 0);
	assert_int_equal(v.term, 0);
	for (uint64_t i = 1; i < 6; i++) {
		assert_int_equal(vote_put(&v, i, 10 * i, 77), 0);
		vote_close(&v);
		assert_int_equal(vote_open(&v, d.fd), 0);
		assert_int_equal(v.version, i);
		assert_int_equal(v.term, i);
		assert_int_equal(v.voted_for, 10 * i);
		assert_int_equal(v.origin, 77);
	}
	assert_int_equal(file_size(&d, "vote"), 2 * SLOT);
	vote_close(&v);
	dir_close(&d);
}

static void put_two(struct dir *d)
{
	struct vote v;

	dir_open(d);
	assert_int_equal(vote_open(&v, d->fd), 0);
	assert_int_equal(vote_put(&v, 1, 11, 7), 0);
	assert_int_equal(vote_put(&v, 2, 22, 7), 0);
	vote_close(&v);
}

/* The newest is version 2, in the first slot. */
static void a_damaged_slot_leaves_the_one_before(void **state)
{
	struct vote v;

	(void)state;
	for (size_t at = 0; at < 40; at++) {
		struct dir d;

		put_two(&d);
		file_flip(&d, "vote", at, 1);
		assert_int_equal(vote_open(&v, d.fd), 0);
		assert_int_equal(v.version, 1);
		assert_int_equal(v.term, 1);
		assert_int_equal(v.voted_for, 11);
		vote_close(&v);
		dir_close(&d);
	}
}

static void two_damaged_slots_are_refused(void **state)
{
	struct dir d;
	struct vote v;

	(void)state;
	put_two(&d);
	file_flip(&d, "vote", 20, 1);
	file_flip(&d, "vote", SLOT + 20, 1);
	assert_int_equal(vote_open(&v, d.fd), ERR_CORRUPT);
	assert_int_equal(v.fd, -1);
	dir_close(&d);
}

static void a_crash_while_the_file_is_made_leaves_nothing(void **state)
{
	struct dir d;
	struct vote v;

	(void)state;
	dir_open(&d);
	file_write(&d, "vote.tmp", "half", 4, 0);
	assert_int_equal(vote_open(&v, d.fd), 0);
	assert_int_equal(v.version, 0);
	assert_false(file_exists(&d, "vote.tmp"));
	vote_close(&v);
	dir_close(&d);
}

static unsigned vote_syncs, dir_syncs;

static int count_sync(enum disk_op op, enum disk_file file, uint64_t at, size_t len)
{
	(void)at;
	(void)len;
	vote_syncs += op == DISK_SYNC && file == DISK_VOTE;
	dir_syncs += op == DISK_SYNC && file == DISK_DIR;
	return 0;
}

static int fail_sync(enum disk_op op, enum disk_file file, uint64_t at, size_t len)
{
	(void)at;
	(void)len;
	return op == DISK_SYNC && file == DISK_VOTE ? EIO : 0;
}

/* The process that wrote it may have been killed before it was. */
static void what_was_read_is_durable_before_it_counts(void **state)
{
	struct dir d;
	struct vote v;

	(void)state;
	put_two(&d);
	vote_syncs = dir_syncs = 0;
	disk_fault = count_sync;
	assert_int_equal(vote_open(&v, d.fd), 0);
	assert_int_equal(vote_syncs, 1);
	assert_int_equal(dir_syncs, 1);
	vote_close(&v);
	disk_fault = fail_sync;
	assert_int_equal(vote_open(&v, d.fd), ERR_IO);
	assert_int_equal(v.fd, -1);
	disk_fault = NULL;
	dir_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_there_again),
		cmocka_unit_test(a_damaged_slot_leaves_the_one_before),
		cmocka_unit_test(two_damaged_slots_are_refused),
		cmocka_unit_test(what_was_read_is_durable_before_it_counts),
		cmocka_unit_test(a_crash_while_the_file_is_made_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
