#include "test/unit/unit.h"

#include <stdlib.h>
#include <zlib.h>

#include "proto/error.h"
#include "raft/archive.h"
#include "test/unit/raft/kit.h"

static const struct uuid first_id = {{1}};
static const struct uuid other_id = {{2}};

/* An archive of a state. */
static void pack(const struct kit *k, struct buf *out)
{
	struct buf plain = {0};
	z_stream z = {0};

	kit_save(k, &plain);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_non_null(buf_room(out, deflateBound(&z, plain.len) + 32));
	z.next_in = (Bytef *)plain.at;
	z.avail_in = (uInt)plain.len;
	z.next_out = (Bytef *)out->at;
	z.avail_out = (uInt)out->cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = out->cap - z.avail_out;
	(void)deflateEnd(&z);
	buf_close(&plain);
}

static int put(struct kit *k, const struct uuid *id, int64_t number, const char *data, size_t len)
{
	struct restore_part p = {uuid_bytes(id), number, {(const uint8_t *)data, (uint32_t)len}};

	return kit_apply(k, COMMAND_RESTORE_PART, &p)->status;
}

static int commit(struct kit *k, const struct uuid *id, int64_t parts)
{
	struct restore_commit p = {uuid_bytes(id), parts};

	return kit_apply(k, COMMAND_RESTORE_COMMIT, &p)->status;
}

static void drop(struct kit *k, const struct uuid *id)
{
	struct restore_drop p = {uuid_bytes(id)};

	assert_int_equal(kit_apply(k, COMMAND_RESTORE_DROP, &p)->status, 0);
}

/* In pieces so small that there are several. */
static int64_t put_all(struct kit *k, const struct uuid *id, const struct buf *archive)
{
	size_t piece = archive->len / 3 + 1;
	int64_t n = 0;

	for (size_t at = 0; at < archive->len; at += piece, n++) {
		size_t left = archive->len - at;

		assert_int_equal(put(k, id, n, archive->at + at, left < piece ? left : piece), 0);
	}
	return n;
}

static void open_both(struct kit *from, struct kit *to, struct buf *archive)
{
	struct uuid node;

	kit_open(from);
	node = kit_node(from, "n1");
	kit_register(from, kit_job(from, "saved", "service"));
	kit_place(from, "saved", &from->result.eval_id, &node, 3, (struct uuid[3]){{{0}}});
	pack(from, archive);
	kit_open(to);
	kit_register(to, kit_job(to, "present", "service"));
}

static void close_both(struct kit *from, struct kit *to, struct buf *archive)
{
	buf_close(archive);
	kit_close(from);
	kit_close(to);
}

static void a_commit_puts_the_saved_state_in_place(void **state)
{
	struct buf archive = {0};
	struct kit from, to;

	(void)state;
	open_both(&from, &to, &archive);
	assert_int_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), 0);
	assert_non_null(kit_find(&to, "saved"));
	assert_null(kit_find(&to, "present"));
	assert_int_equal(view_count(to.v, TABLE_ALLOCS), 3);
	assert_int_equal(view_count(to.v, TABLE_RESTORES), 0);
	assert_int_equal(state_hash(to.v), state_hash(from.v));
	assert_int_equal(kit_register(&to, kit_job(&to, "later", "service"))->status, 0);
	close_both(&from, &to, &archive);
}

static void indexes_go_on_above_both(void **state)
{
	struct buf archive = {0};
	struct kit from, to;
	uint64_t before;

	(void)state;
	open_both(&from, &to, &archive);
	for (int i = 0; i < 20; i++) {
		kit_register(&to, kit_job(&to, "present", "service"));
	}
	before = state_index(to.v);
	assert_int_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), 0);
	assert_int_equal(to.result.index, state_index(to.v));
	assert_true(state_index(to.v) > before && state_index(to.v) > state_index(from.v));
	for (unsigned t = 0; t < N_TABLES; t++) {
		assert_int_equal(state_table_index(to.v, t), state_index(to.v));
	}
	close_both(&from, &to, &archive);

	archive = (struct buf){0};
	kit_open(&from);
	for (int i = 0; i < 50; i++) {
		kit_register(&from, kit_job(&from, "saved", "service"));
	}
	pack(&from, &archive);
	kit_open(&to);
	assert_int_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), 0);
	assert_true(state_index(to.v) > state_index(from.v));
	close_both(&from, &to, &archive);
}

static void a_damaged_archive_changes_nothing(void **state)
{
	struct buf archive = {0};
	struct kit from, to;

	(void)state;
	open_both(&from, &to, &archive);
	for (size_t at = 0; at < archive.len; at += 1 + archive.len / 61) {
		int64_t parts;

		archive.at[at] ^= 0x20;
		parts = put_all(&to, &first_id, &archive);
		archive.at[at] ^= 0x20;
		if (commit(&to, &first_id, parts) == 0) {
			assert_in_range(at, 3, 9); /* Flags and time in gzip's header mean nothing to us. */
			assert_int_equal(state_hash(to.v), state_hash(from.v));
			kit_deregister(&to, "saved", true);
			kit_register(&to, kit_job(&to, "present", "service"));
			continue;
		}
		assert_non_null(kit_find(&to, "present"));
		assert_non_null(strstr(to.result.text, "the archive cannot be restored: "));
	}
	close_both(&from, &to, &archive);
}

static void an_archive_that_ends_early_is_refused(void **state)
{
	struct buf archive = {0};
	struct kit from, to;
	size_t whole;

	(void)state;
	open_both(&from, &to, &archive);
	whole = archive.len;
	for (archive.len = 3; archive.len < whole; archive.len += 1 + whole / 17) {
		assert_int_not_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), 0);
		assert_non_null(kit_find(&to, "present"));
	}
	archive.len = whole - 1;
	assert_int_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), ERR_CORRUPT);
	assert_non_null(strstr(to.result.text, "ends in the middle"));
	close_both(&from, &to, &archive);
}

static void more_behind_the_end_is_refused(void **state)
{
	struct buf archive = {0};
	struct kit from, to;

	(void)state;
	open_both(&from, &to, &archive);
	buf_str(&archive, "more");
	assert_int_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), ERR_CORRUPT);
	assert_non_null(strstr(to.result.text, "more behind its end"));
	close_both(&from, &to, &archive);
}

static void missing_parts_are_noticed(void **state)
{
	struct buf archive = {0};
	struct kit from, to;
	int64_t parts;

	(void)state;
	open_both(&from, &to, &archive);
	parts = put_all(&to, &first_id, &archive);
	assert_int_equal(commit(&to, &first_id, parts + 1), ERR_CONFLICT);
	assert_int_equal(commit(&to, &first_id, parts - 1), ERR_CONFLICT);
	assert_int_equal(commit(&to, &first_id, 0), ERR_CONFLICT);
	assert_int_equal(put(&to, &first_id, parts + 1, "x", 1), ERR_CONFLICT);
	assert_int_equal(commit(&to, &first_id, parts), 0);
	close_both(&from, &to, &archive);
}

static void the_restore_that_began_last_wins(void **state)
{
	struct buf archive = {0};
	struct kit from, to;
	int64_t parts;

	(void)state;
	open_both(&from, &to, &archive);
	parts = put_all(&to, &first_id, &archive);
	assert_int_equal(put(&to, &other_id, 0, archive.at, 100), 0);
	assert_int_equal(put(&to, &first_id, parts, "x", 1), ERR_CONFLICT);
	assert_int_equal(commit(&to, &first_id, parts), ERR_CONFLICT);
	drop(&to, &first_id); /* Not its own. */
	assert_int_equal(view_count(to.v, TABLE_RESTORES), 1);
	drop(&to, &other_id);
	assert_int_equal(view_count(to.v, TABLE_RESTORES), 0);
	assert_non_null(kit_find(&to, "present"));
	close_both(&from, &to, &archive);
}

/* A server that gets the state by a snapshot in between comes to the same end. */
static void parts_are_in_snapshots(void **state)
{
	struct buf archive = {0};
	struct buf snapshot = {0};
	struct kit from, to, third;
	int64_t parts;

	(void)state;
	open_both(&from, &to, &archive);
	parts = put_all(&to, &first_id, &archive);
	kit_save(&to, &snapshot);
	kit_open(&third);
	assert_int_equal(kit_load(&third, snapshot.at, snapshot.len), 0);
	assert_int_equal(commit(&to, &first_id, parts), 0);
	assert_int_equal(commit(&third, &first_id, parts), 0);
	assert_int_equal(state_index(third.v), state_index(to.v));
	assert_int_equal(state_hash(third.v), state_hash(to.v));
	buf_close(&snapshot);
	kit_close(&third);
	close_both(&from, &to, &archive);
}

static void an_archive_made_during_a_restore_is_refused(void **state)
{
	struct buf archive = {0};
	struct kit from, to;

	(void)state;
	open_both(&from, &to, &archive);
	assert_int_equal(put(&from, &other_id, 0, "x", 1), 0);
	buf_close(&archive);
	archive = (struct buf){0};
	pack(&from, &archive);
	assert_int_equal(commit(&to, &first_id, put_all(&to, &first_id, &archive)), ERR_INVALID);
	close_both(&from, &to, &archive);
}

/* What comes behind it in its entry finds the new state. */
static void the_rest_of_the_entry_goes_on_in_the_new_state(void **state)
{
	struct buf archive = {0};
	struct buf commands[2] = {{0}, {0}};
	struct restore_commit p = {uuid_bytes(&first_id), 0};
	struct no_payload nothing = {0};
	struct batch batch = {0};
	struct apply_result results[2];
	struct kit from, to;

	(void)state;
	open_both(&from, &to, &archive);
	p.parts = put_all(&to, &first_id, &archive);
	assert_int_equal(command_encode(COMMAND_RESTORE_COMMIT, &p, &commands[0]), 0);
	assert_int_equal(command_encode(COMMAND_NOTHING, &nothing, &commands[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(batch_add(&batch, commands[i].at, commands[i].len, 1, &first_id), 0);
	}
	assert_int_equal(fsm_apply(&to.fsm, batch.entry.at, batch.entry.len, results), 0);
	assert_int_equal(results[0].status, 0);
	assert_int_equal(results[1].index, results[0].index + 1);
	assert_non_null(kit_find(&to, "saved"));
	assert_int_equal(to.state.index, results[1].index);
	buf_close(&commands[0]);
	buf_close(&commands[1]);
	batch_close(&batch);
	close_both(&from, &to, &archive);
}

static void the_pilots_configuration_is_put_by_check_and_set(void **state)
{
	struct autopilot_config config;
	struct autopilot_config_put p = {&config, true, 0};
	struct kit k;

	(void)state;
	kit_open(&k);
	object_init(&autopilot_config_type, &config);
	assert_int_equal(state_autopilot_config(k.v, &config, &k.mem), ERR_NOTFOUND);
	config.min_quorum = 3;
	p.modify_index = 7;
	assert_false(kit_apply(&k, COMMAND_AUTOPILOT_CONFIG, &p)->changed);
	p.modify_index = 0;
	assert_true(kit_apply(&k, COMMAND_AUTOPILOT_CONFIG, &p)->changed);
	assert_int_equal(state_autopilot_config(k.v, &config, &k.mem), 0);
	assert_int_equal(config.min_quorum, 3);
	assert_int_equal(config.modify_index, state_index(k.v));
	assert_false(kit_apply(&k, COMMAND_AUTOPILOT_CONFIG, &p)->changed);
	p.enforce = false;
	assert_true(kit_apply(&k, COMMAND_AUTOPILOT_CONFIG, &p)->changed);
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_puts_the_saved_state_in_place),
		cmocka_unit_test(indexes_go_on_above_both),
		cmocka_unit_test(a_damaged_archive_changes_nothing),
		cmocka_unit_test(an_archive_that_ends_early_is_refused),
		cmocka_unit_test(more_behind_the_end_is_refused),
		cmocka_unit_test(missing_parts_are_noticed),
		cmocka_unit_test(the_restore_that_began_last_wins),
		cmocka_unit_test(parts_are_in_snapshots),
		cmocka_unit_test(an_archive_made_during_a_restore_is_refused),
		cmocka_unit_test(the_rest_of_the_entry_goes_on_in_the_new_state),
		cmocka_unit_test(the_pilots_configuration_is_put_by_check_and_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
