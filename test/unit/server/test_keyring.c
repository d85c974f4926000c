/* Root keys: sealing, wrapping, and how the leader looks after them; and locks that run out. */
#include "test/unit/unit.h"

#include "server/keyring.h"
#include "server/locks.h"
#include "server/rootkeys.h"
#include "test/unit/server/part_bench.h"

#define HOUR (3600 * SECOND)

static struct pair some_pairs[] = {{"a", "1"}, {"password", "verysecret"}};
static const struct map some_items = {some_pairs, 2};

static struct root_key new_key(const struct keyring *ring, struct arena *mem)
{
	struct root_key key;

	assert_int_equal(keyring_make(ring, 7, &key, mem), 0);
	return key;
}

static void what_is_sealed_opens_with_its_key_for_its_path(void **state)
{
	struct keyring ring;
	struct arena mem = {0};
	struct root_key key;
	struct root_key other;
	struct bytes sealed;
	struct bytes again;
	struct map items;
	uint8_t *changed;

	(void)state;
	keyring_init(&ring, NULL);
	key = new_key(&ring, &mem);
	other = new_key(&ring, &mem);
	assert_string_not_equal(key.id, other.id);
	assert_int_equal(key.public.n, 32);
	assert_int_equal(keyring_seal(&ring, &key, "default", "a/b", &some_items, &sealed, &mem), 0);
	assert_null(memmem(sealed.at, sealed.n, "verysecret", 10));
	assert_int_equal(keyring_seal(&ring, &key, "default", "a/b", &some_items, &again, &mem), 0);
	assert_true(memcmp(sealed.at, again.at, sealed.n) != 0); /* Another nonce. */
	assert_int_equal(keyring_open(&ring, &key, "default", "a/b", &sealed, &items, &mem), 0);
	assert_int_equal(items.n, 2);
	assert_string_equal(items.at[1].value, "verysecret");
	assert_int_equal(keyring_open(&ring, &key, "default", "a/c", &sealed, &items, &mem), ERR_CORRUPT);
	assert_int_equal(keyring_open(&ring, &key, "team", "a/b", &sealed, &items, &mem), ERR_CORRUPT);
	assert_int_equal(keyring_open(&ring, &other, "default", "a/b", &sealed, &items, &mem), ERR_CORRUPT);
	changed = arena_alloc(&mem, sealed.n);
	for (uint32_t i = 0; i < sealed.n; i++) {
		memcpy(changed, sealed.at, sealed.n);
		changed[i] ^= 1;
		assert_int_equal(keyring_open(&ring, &key, "default", "a/b", &(struct bytes){changed, sealed.n}, &items,
					      &mem),
				 ERR_CORRUPT);
		assert_int_equal(
			keyring_open(&ring, &key, "default", "a/b", &(struct bytes){sealed.at, i}, &items, &mem),
			i == 0 ? 0 : ERR_CORRUPT); /* No data is no items. */
	}
	arena_close(&mem);
}

static void a_wrapped_key_needs_its_wrapping_key(void **state)
{
	uint8_t bytes[KEYRING_KEY] = {1, 2, 3};
	struct keyring ring;
	struct keyring other;
	struct keyring none;
	struct arena mem = {0};
	struct root_key key;
	struct bytes sealed;
	struct map items;

	(void)state;
	keyring_init(&ring, bytes);
	bytes[0] = 9;
	keyring_init(&other, bytes);
	keyring_init(&none, NULL);
	assert_string_not_equal(ring.wrapped_by, other.wrapped_by);
	key = new_key(&ring, &mem);
	assert_string_equal(key.wrapped_by, ring.wrapped_by);
	assert_int_equal(key.secret.n, 64 + KEYRING_OVERHEAD);
	assert_int_equal(keyring_seal(&ring, &key, "default", "a", &some_items, &sealed, &mem), 0);
	assert_int_equal(keyring_open(&ring, &key, "default", "a", &sealed, &items, &mem), 0);
	assert_int_equal(keyring_open(&other, &key, "default", "a", &sealed, &items, &mem), ERR_REFUSED);
	assert_int_equal(keyring_open(&none, &key, "default", "a", &sealed, &items, &mem), ERR_REFUSED);
	key = new_key(&none, &mem); /* One that is not wrapped opens everywhere. */
	assert_int_equal(keyring_seal(&none, &key, "default", "a", &some_items, &sealed, &mem), 0);
	assert_int_equal(keyring_open(&ring, &key, "default", "a", &sealed, &items, &mem), 0);
	arena_close(&mem);
}

static void a_wrapping_key_is_32_bytes_in_text(void **state)
{
	static const char hex[] = "  000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1F\n";
	static const char base64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
	static const char *const bad[] = {"", "00", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
					  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH!8=",
					  "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
	uint8_t a[KEYRING_KEY];
	uint8_t c[KEYRING_KEY];

	(void)state;
	assert_int_equal(keyring_parse(hex, strlen(hex), a), 0);
	assert_int_equal(keyring_parse(base64, strlen(base64), c), 0);
	assert_memory_equal(a, c, sizeof(a));
	assert_int_equal(a[31], 31);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(keyring_parse(bad[i], strlen(bad[i]), a), ERR_SYNTAX);
	}
}

/* ---- the leader's part ---- */

struct bench {
	struct part_bench b;
	struct keyring ring;
	struct rootkeys keys;
	struct locks locks;
};

static void open_bench(struct bench *t)
{
	memset(t, 0, sizeof(*t));
	part_bench_open(&t->b);
	keyring_init(&t->ring, NULL);
	rootkeys_init(&t->keys, &(struct rootkeys_config){.keyring = &t->ring});
	rootkeys_reset(&t->keys, &t->b.at);
	locks_init(&t->locks);
	locks_reset(&t->locks, &t->b.at);
}

/* Let all be done that is due. */
static void run(struct bench *t)
{
	enum part_step step;
	unsigned idle = 0;
	unsigned i;

	for (i = 0; idle < 2; i++) {
		bool keys = i % 2 == 0;

		assert_true(i < 10000);
		step = keys ? rootkeys_step(&t->keys, part_bench_turn(&t->b))
			    : locks_step(&t->locks, part_bench_turn(&t->b));
		idle = step == STEP_IDLE ? idle + 1 : 0;
		if (step == STEP_COMMAND) {
			int status = part_bench_apply(&t->b)->status;

			if (keys) {
				rootkeys_changed(&t->keys, &t->b.at);
				rootkeys_done(&t->keys, NULL, status, &t->b.at);
			} else {
				locks_changed(&t->locks, &t->b.at);
				locks_done(&t->locks, NULL, status, &t->b.at);
			}
		}
	}
	assert_true(state_check(t->b.k.v));
}

static void pass(struct bench *t, int64_t ns)
{
	t->b.at.wall_ns = t->b.k.now;
	part_bench_pass(&t->b, ns);
	run(t);
}

static struct root_key active_key(struct bench *t)
{
	struct root_key key;

	assert_int_equal(state_active_key(t->b.k.v, &key, &t->b.k.mem), 0);
	return key;
}

static void put_variable(struct bench *t, const char *path)
{
	struct root_key key = active_key(t);
	struct variable_put p = {.namespace_ = "default", .path = path, .key_id = key.id, .lock_id = ""};

	assert_int_equal(keyring_seal(&t->ring, &key, "default", path, &some_items, &p.data, &t->b.k.mem), 0);
	assert_int_equal(kit_apply(&t->b.k, COMMAND_VARIABLE_PUT, &p)->status, 0);
}

static void rotate(struct bench *t, bool full)
{
	struct root_key key = new_key(&t->ring, &t->b.k.mem);

	key.create_time = t->b.k.now;
	assert_int_equal(kit_apply(&t->b.k, COMMAND_ROOT_KEY_PUT, &(struct root_key_put){&key, full, false})->status, 0);
	rootkeys_changed(&t->keys, &t->b.at);
}

static struct sealed_variable sealed_of(struct bench *t, const char *path)
{
	struct sealed_variable v;

	assert_int_equal(object_row_get(state_variable(t->b.k.v, "default", path), &sealed_variable_type, &v,
					&t->b.k.mem),
			 0);
	return v;
}

static void the_leader_makes_the_first_key_and_replaces_an_old_one(void **state)
{
	const char *first;
	struct bench t;

	(void)state;
	open_bench(&t);
	run(&t);
	assert_int_equal(view_count(t.b.k.v, TABLE_ROOT_KEYS), 1);
	first = active_key(&t).id;
	put_variable(&t, "a");
	pass(&t, 719 * HOUR);
	assert_string_equal(active_key(&t).id, first);
	pass(&t, 2 * HOUR);
	assert_string_not_equal(active_key(&t).id, first);
	assert_int_equal(view_count(t.b.k.v, TABLE_ROOT_KEYS), 2); /* The variable needs it. */
	put_variable(&t, "a");
	pass(&t, 2 * HOUR);
	assert_int_equal(view_count(t.b.k.v, TABLE_ROOT_KEYS), 1);
	part_bench_close(&t.b);
}

static void a_full_rotation_seals_all_variables_anew(void **state)
{
	struct root_key key;
	struct map items;
	struct bench t;
	char path[16];

	(void)state;
	open_bench(&t);
	run(&t);
	for (unsigned i = 0; i < 2 * ROOTKEYS_BATCH + 5; i++) {
		snprintf(path, sizeof(path), "v/%u", i);
		put_variable(&t, path);
	}
	rotate(&t, true);
	run(&t);
	key = active_key(&t);
	for (unsigned i = 0; i < 2 * ROOTKEYS_BATCH + 5; i++) {
		struct sealed_variable v;

		snprintf(path, sizeof(path), "v/%u", i);
		v = sealed_of(&t, path);
		assert_string_equal(v.key_id, key.id);
		assert_int_equal(keyring_open(&t.ring, &key, "default", path, &v.data, &items, &t.b.k.mem), 0);
		assert_string_equal(items.at[1].value, "verysecret");
	}
	pass(&t, 2 * HOUR);
	assert_int_equal(view_count(t.b.k.v, TABLE_ROOT_KEYS), 1);
	part_bench_close(&t.b);
}

static void keys_that_are_not_wrapped_are_replaced_when_they_can_be(void **state)
{
	const uint8_t bytes[KEYRING_KEY] = {5};
	struct bench t;

	(void)state;
	open_bench(&t);
	run(&t);
	put_variable(&t, "a");
	keyring_init(&t.ring, bytes);
	rootkeys_reset(&t.keys, &t.b.at);
	run(&t);
	assert_string_equal(active_key(&t).wrapped_by, t.ring.wrapped_by);
	assert_string_equal(sealed_of(&t, "a").key_id, active_key(&t).id);
	part_bench_close(&t.b);
}

static const char *lock(struct bench *t, const char *path, int64_t ttl_s)
{
	const struct variable_put p = {.namespace_ = "default",
				       .path = path,
				       .key_id = "",
				       .op = VARIABLE_ACQUIRE,
				       .lock_id = "",
				       .ttl_ns = ttl_s * SECOND,
				       .lock_delay_ns = 10 * SECOND};

	if (kit_apply(&t->b.k, COMMAND_VARIABLE_PUT, &p)->status != 0) {
		return NULL;
	}
	locks_changed(&t->locks, &t->b.at);
	return kit_text(&t->b.k, &t->b.k.result.made_id);
}

static void the_leader_ends_locks_that_are_not_renewed(void **state)
{
	const char *id;
	struct bench t;

	(void)state;
	open_bench(&t);
	run(&t);
	assert_non_null(lock(&t, "a", 20));
	id = lock(&t, "b", 20);
	pass(&t, 15 * SECOND);
	assert_int_equal(
		kit_apply(&t.b.k, COMMAND_VARIABLE_RENEW, &(struct variable_lock_ref){"default", "b", id})->status, 0);
	locks_changed(&t.locks, &t.b.at);
	pass(&t, 6 * SECOND);
	assert_string_equal(sealed_of(&t, "a").lock_id, "");
	assert_string_equal(sealed_of(&t, "b").lock_id, id);
	assert_null(lock(&t, "a", 20)); /* Its delay. */
	pass(&t, 11 * SECOND);
	assert_non_null(lock(&t, "a", 20));
	assert_true(locks_due(&t.locks, &t.b.at) <= t.b.at.mono_ns);
	run(&t);
	assert_true(locks_due(&t.locks, &t.b.at) > t.b.at.mono_ns);
	part_bench_close(&t.b);
}

static void a_new_leader_waits_before_it_ends_locks(void **state)
{
	struct bench t;

	(void)state;
	open_bench(&t);
	assert_non_null(lock(&t, "a", 10));
	part_bench_pass(&t.b, 30 * SECOND);
	locks_reset(&t.locks, &t.b.at);
	run(&t);
	assert_string_not_equal(sealed_of(&t, "a").lock_id, "");
	pass(&t, LOCKS_PATIENCE_NS);
	assert_string_equal(sealed_of(&t, "a").lock_id, "");
	part_bench_close(&t.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_with_its_key_for_its_path),
		cmocka_unit_test(a_wrapped_key_needs_its_wrapping_key),
		cmocka_unit_test(a_wrapping_key_is_32_bytes_in_text),
		cmocka_unit_test(the_leader_makes_the_first_key_and_replaces_an_old_one),
		cmocka_unit_test(a_full_rotation_seals_all_variables_anew),
		cmocka_unit_test(keys_that_are_not_wrapped_are_replaced_when_they_can_be),
		cmocka_unit_test(the_leader_ends_locks_that_are_not_renewed),
		cmocka_unit_test(a_new_leader_waits_before_it_ends_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
