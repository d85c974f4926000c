#include "test/unit/unit.h"

#include <pthread.h>
#include <xxhash.h>

#include "proto/error.h"
#include "test/unit/raft/kit.h"

/* Something in every table. */
static void fill(struct kit *k)
{
	struct uuid node = kit_node(k, "n1");
	struct uuid ids[4];
	struct job *job = kit_job(k, "a", "service");
	struct job_register *p;
	struct submission submission;
	struct server_meta server;
	struct server_put put = {&server};
	struct job_scale scale;
	struct scaling_event event;
	struct launch_record launch = {"default", "a", 5};
	int i;

	object_init(&submission_type, &submission);
	submission.source = "job a";
	p = kit_registration(k, job);
	p->submission = &submission;
	kit_apply(k, COMMAND_JOB_REGISTER, p);
	kit_place(k, "a", &k->result.eval_id, &node, 4, ids);
	kit_report(k, &ids[0], "running");
	kit_serve(k, &ids[2], "web", 80);
	kit_stop_alloc(k, &ids[1], "why");
	kit_deployment(k, "a", 4, 1);
	for (i = 0; i < 7; i++) { /* The version of the allocations goes. */
		job->priority = 60 + i;
		kit_register(k, job);
	}
	kit_register(k, kit_job(k, "sys", "system"));
	object_init(&server_meta_type, &server);
	server.id = 3;
	kit_apply(k, COMMAND_SERVER_PUT, &put);
	kit_apply(k, COMMAND_LAUNCH, &launch);
	object_init(&job_scale_type, &scale);
	object_init(&scaling_event_type, &event);
	scale.namespace_ = "default";
	scale.id = "a";
	scale.group = "g";
	scale.event = &event;
	kit_apply(k, COMMAND_JOB_SCALE, &scale);
}

static void a_state_comes_back_as_it_was(void **state)
{
	struct buf one = {0};
	struct buf two = {0};
	struct kit k;
	struct kit b;
	unsigned t;

	(void)state;
	kit_open(&k);
	kit_open(&b);
	fill(&k);
	kit_save(&k, &one);
	assert_int_equal(kit_load(&b, one.at, one.len), 0);
	assert_true(state_check(b.v));
	assert_int_equal(state_hash(b.v), state_hash(k.v));
	assert_int_equal(state_index(b.v), state_index(k.v));
	for (t = 0; t < N_TREES; t++) {
		assert_int_equal(view_count(b.v, t), view_count(k.v, t));
		assert_int_equal(view_stamp(b.v, t), view_stamp(k.v, t));
	}
	kit_save(&b, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.at, two.at, one.len);
	buf_close(&one);
	buf_close(&two);
	kit_close(&k);
	kit_close(&b);
}

static void what_was_shared_is_shared_again(void **state)
{
	const struct alloc_row *first;
	const struct alloc_row *alloc;
	struct buf b = {0};
	struct rows r;
	struct kit k;

	(void)state;
	kit_open(&k);
	fill(&k);
	kit_save(&k, &b);
	assert_int_equal(kit_load(&k, b.at, b.len), 0);
	rows_allocs(&r, k.v, NULL);
	first = alloc_next(&r);
	assert_int_equal(first->job->refs, 4); /* No longer in the table. */
	assert_null(state_job_version(k.v, "default", "a", first->job->version));
	while ((alloc = alloc_next(&r)) != NULL) {
		assert_ptr_equal(alloc->job, first->job);
		assert_ptr_equal(alloc->metrics, first->metrics);
		assert_ptr_equal(alloc->node_name, first->node_name);
		assert_ptr_equal(alloc->node_name, state_node(k.v, &alloc->node_id)->name);
	}
	buf_close(&b);
	kit_close(&k);
}

static void life_goes_on_after_a_restore(void **state)
{
	struct buf saved = {0};
	struct kit k;
	struct kit b;

	(void)state;
	kit_open(&k);
	kit_open(&b);
	fill(&k);
	kit_save(&k, &saved);
	assert_int_equal(kit_load(&b, saved.at, saved.len), 0);
	kit_deregister(&k, "a", true);
	assert_int_equal(kit_entry(&b, k.batch.entry.at, k.batch.entry.len), 0);
	assert_true(state_check(b.v));
	assert_int_equal(state_hash(b.v), state_hash(k.v));
	buf_close(&saved);
	kit_close(&k);
	kit_close(&b);
}

static void a_damaged_snapshot_is_refused(void **state)
{
	struct buf b = {0};
	struct kit k;
	size_t step;
	size_t i;

	(void)state;
	kit_open(&k);
	fill(&k);
	kit_save(&k, &b);
	step = b.len / 700 + 1;
	for (i = 0; i < b.len; i += step) {
		assert_int_not_equal(kit_load(&k, b.at, i), 0);
		b.at[i] = (char)(b.at[i] ^ (1 << i % 8));
		assert_int_not_equal(kit_load(&k, b.at, b.len), 0);
		b.at[i] = (char)(b.at[i] ^ (1 << i % 8));
	}
	assert_int_equal(kit_load(&k, b.at, b.len), 0);
	buf_close(&b);
	kit_close(&k);
}

static int fail_later(void *ctx, const void *data, size_t len)
{
	int *left = ctx;

	(void)data;
	(void)len;
	return --*left < 0 ? ERR_NOSPACE : 0;
}

static void the_writers_error_ends_it(void **state)
{
	struct kit k;
	int left;

	(void)state;
	kit_open(&k);
	fill(&k);
	for (left = 0; left < 2; left++) {
		int n = left;

		assert_int_equal(persist_save(k.v, fail_later, &n), ERR_NOSPACE);
	}
	assert_true(persist_estimate(k.v) > 0);
	kit_close(&k);
}

/* ---- what an older program wrote ---- */

enum { PIECE_HEADER = 16, SECTION = 16, PADDING = 6 };

static void put_piece(struct buf *out, const void *data, size_t len, uint32_t number)
{
	uint64_t checksum = XXH3_64bits_withSeed(data, len, number);
	uint32_t head[2] = {(uint32_t)len, number};

	buf_put(out, head, sizeof(head));
	buf_put(out, &checksum, sizeof(checksum));
	buf_put(out, data, len);
}

/* A snapshot of one piece whose nodes lack the last bytes of their plain part, which are padding. */
static struct buf without_padding(const struct buf *saved)
{
	size_t plain = offsetof(struct node_row, name) - sizeof(struct row);
	uint8_t want[SECTION] = {TABLE_NODES, 0, 3, 0, (uint8_t)plain, 0, 0, 0, 1};
	const char *content = saved->at + PIECE_HEADER;
	size_t len = saved->len - 2 * PIECE_HEADER;
	struct buf inner = {0};
	struct buf out = {0};
	const char *section = memmem(content, len, want, sizeof(want));
	size_t at;

	assert_non_null(section);
	at = (size_t)(section - content) + SECTION + plain;
	want[4] = (uint8_t)(plain - PADDING);
	buf_put(&inner, content, (size_t)(section - content));
	buf_put(&inner, want, sizeof(want));
	buf_put(&inner, section + SECTION, plain - PADDING);
	buf_put(&inner, content + at, len - at);
	put_piece(&out, inner.at, inner.len, 0);
	put_piece(&out, "", 0, 1);
	buf_close(&inner);
	return out;
}

static void rows_with_fewer_members_are_read(void **state)
{
	struct buf saved = {0};
	struct buf older;
	uint64_t hash;
	struct kit k;

	(void)state;
	kit_open(&k);
	fill(&k);
	hash = state_hash(k.v);
	kit_save(&k, &saved);
	older = without_padding(&saved);
	assert_int_equal(older.len, saved.len - PADDING);
	assert_int_equal(kit_load(&k, older.at, older.len), 0);
	assert_int_equal(state_hash(k.v), hash);
	assert_true(state_check(k.v));
	buf_close(&saved);
	buf_close(&older);
	kit_close(&k);
}

/* ---- a worker saves while commands are applied ---- */

struct worker {
	struct state *state;
	atomic_bool stop;
	unsigned saved;
};

static int count_bytes(void *ctx, const void *data, size_t len)
{
	(void)data;
	*(size_t *)ctx += len;
	return 0;
}

static void *save_on_and_on(void *ctx)
{
	struct worker *w = ctx;

	do {
		const struct view *v = state_view(w->state);
		size_t bytes = 0;

		if (persist_save(v, count_bytes, &bytes) != 0 || !state_check(v)) {
			abort();
		}
		view_release(v);
		w->saved++;
	} while (!atomic_load(&w->stop));
	return NULL;
}

static void a_worker_saves_while_commands_are_applied(void **state)
{
	struct worker w = {0};
	struct uuid ids[4];
	struct uuid node;
	struct uuid eval;
	struct kit k;
	pthread_t thread;
	int i;

	(void)state;
	kit_open(&k);
	node = kit_node(&k, "n1");
	eval = kit_register(&k, kit_job(&k, "a", "service"))->eval_id;
	w.state = &k.state;
	assert_int_equal(pthread_create(&thread, NULL, save_on_and_on, &w), 0);
	for (i = 0; i < 150; i++) {
		struct job *job = kit_job(&k, "a", "service");

		job->priority = 20 + i % 50;
		kit_quick(&k, COMMAND_JOB_REGISTER, kit_registration(&k, job));
		kit_quick(&k, COMMAND_PLAN, kit_plan(&k, "a", &eval, &node, 4, ids));
		kit_report(&k, &ids[i % 4], "running");
		kit_stop_alloc(&k, &ids[i % 3], "why");
	}
	kit_deregister(&k, "a", true);
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	assert_true(w.saved > 0);
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_comes_back_as_it_was),
		cmocka_unit_test(what_was_shared_is_shared_again),
		cmocka_unit_test(life_goes_on_after_a_restore),
		cmocka_unit_test(a_damaged_snapshot_is_refused),
		cmocka_unit_test(the_writers_error_ends_it),
		cmocka_unit_test(rows_with_fewer_members_are_read),
		cmocka_unit_test(a_worker_saves_while_commands_are_applied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
