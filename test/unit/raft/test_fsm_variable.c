/* Variables, their locks and root keys, as the state keeps them. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/raft/kit.h"

static struct kit k;

static int open_kit(void **state)
{
	(void)state;
	kit_open(&k);
	return 0;
}

static int close_kit(void **state)
{
	(void)state;
	kit_close(&k);
	return 0;
}

#define CASE(name) static void name(void **state __attribute__((unused)))
#define T(name) cmocka_unit_test_setup_teardown(name, open_kit, close_kit)

static struct bytes data(const char *text)
{
	return (struct bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static int put_key(const char *id, bool full, bool first)
{
	struct root_key key;

	object_init(&root_key_type, &key);
	key.id = id;
	key.secret = data("secret");
	return kit_apply(&k, COMMAND_ROOT_KEY_PUT, &(struct root_key_put){&key, full, first})->status;
}

static const char *state_of_key(const char *id)
{
	const struct object_row *row = state_root_key(k.v, id);
	struct root_key key;

	if (row == NULL) {
		return "none";
	}
	assert_int_equal(object_row_get(row, &root_key_type, &key, &k.mem), 0);
	return key.state;
}

static struct variable_put write_of(const char *path, const char *text)
{
	return (struct variable_put){
		.namespace_ = "default", .path = path, .key_id = "k1", .data = data(text), .lock_id = ""};
}

static int put(const struct variable_put *p)
{
	return kit_apply(&k, COMMAND_VARIABLE_PUT, p)->status;
}

static int put_text(const char *path, const char *text)
{
	const struct variable_put p = write_of(path, text);

	return put(&p);
}

/* The lock's ID. */
static const char *acquire(const char *path, int64_t ttl_s, int64_t delay_s)
{
	struct variable_put p = write_of(path, "");

	p.op = VARIABLE_ACQUIRE;
	p.ttl_ns = ttl_s * NS_PER_S;
	p.lock_delay_ns = delay_s * NS_PER_S;
	return put(&p) == 0 ? kit_text(&k, &k.result.made_id) : NULL;
}

static struct sealed_variable get(const char *path)
{
	const struct object_row *row = state_variable(k.v, "default", path);
	struct sealed_variable v;

	assert_non_null(row);
	assert_int_equal(object_row_get(row, &sealed_variable_type, &v, &k.mem), 0);
	return v;
}

static int64_t index_of_variable(const char *path)
{
	return (int64_t)state_variable(k.v, "default", path)->modify_index;
}

static int lock_command(enum command type, const char *path, const char *id)
{
	return kit_apply(&k, type, &(struct variable_lock_ref){"default", path, id})->status;
}

CASE(a_variable_is_kept_as_it_was_sealed)
{
	struct sealed_variable v;
	uint64_t created;

	assert_int_equal(put_key("k1", false, false), 0);
	assert_int_equal(put_text("a/b", "one"), 0);
	created = k.result.index;
	assert_int_equal(k.result.create_index, created);
	assert_int_equal(put_text("a/b", "two"), 0);
	assert_int_equal(k.result.create_index, created);
	v = get("a/b");
	assert_memory_equal(v.data.at, "two", 3);
	assert_string_equal(v.key_id, "k1");
	assert_true(v.modify_time_ns > v.create_time_ns);
	assert_int_equal(v.create_time_ns, k.result.create_time_ns);
	assert_int_equal(index_of_variable("a/b"), k.result.index);
}

CASE(bad_writes_change_nothing)
{
	struct variable_put p;

	assert_int_equal(put_text("a", "one"), ERR_BUSY); /* Without a key. */
	assert_int_equal(put_key("k1", false, false), 0);
	assert_int_equal(put_text("", "one"), ERR_INVALID);
	assert_int_equal(put_text("a b", "one"), ERR_INVALID);
	assert_int_equal(put_text("nomad", "one"), ERR_INVALID);
	assert_int_equal(put_text("nomad/other", "one"), ERR_INVALID);
	assert_int_equal(put_text("nomad/jobs/web", "one"), 0);
	assert_int_equal(put_text("nomadic", "one"), 0);
	p = write_of("a", "one");
	p.namespace_ = "other";
	assert_int_equal(put(&p), ERR_INVALID);
	p = write_of("a", "one");
	p.op = VARIABLE_OPS;
	assert_int_equal(put(&p), ERR_INVALID);
	assert_int_equal(view_count(k.v, TABLE_VARIABLES), 2);
}

CASE(check_and_set_wants_the_index_that_was_seen)
{
	struct variable_put p = write_of("a", "one");
	struct variable_delete d = {.namespace_ = "default", .path = "a", .enforce = true, .lock_id = ""};

	assert_int_equal(put_key("k1", false, false), 0);
	p.enforce = true;
	p.modify_index = 5;
	assert_int_equal(put(&p), ERR_CONFLICT);
	p.modify_index = 0;
	assert_int_equal(put(&p), 0);
	assert_int_equal(put(&p), ERR_CONFLICT);
	p.modify_index = index_of_variable("a");
	assert_int_equal(put(&p), 0);
	d.modify_index = p.modify_index;
	assert_int_equal(kit_apply(&k, COMMAND_VARIABLE_DELETE, &d)->status, ERR_CONFLICT);
	d.modify_index = index_of_variable("a");
	assert_int_equal(kit_apply(&k, COMMAND_VARIABLE_DELETE, &d)->status, 0);
	assert_null(state_variable(k.v, "default", "a"));
}

CASE(only_who_holds_the_lock_may_write)
{
	struct variable_delete d = {.namespace_ = "default", .path = "a", .lock_id = ""};
	struct variable_put p = write_of("a", "two");
	const char *id;
	int64_t index;

	assert_int_equal(put_key("k1", false, false), 0);
	assert_int_equal(put_text("a", "one"), 0);
	id = acquire("a", 60, 5);
	assert_non_null(id);
	assert_memory_equal(get("a").data.at, "one", 3); /* Items stay. */
	assert_int_equal(get("a").ttl_ns, 60 * NS_PER_S);
	assert_null(acquire("a", 60, 5));
	assert_int_equal(put(&p), ERR_CONFLICT);
	assert_int_equal(kit_apply(&k, COMMAND_VARIABLE_DELETE, &d)->status, ERR_CONFLICT);
	p.lock_id = id;
	assert_int_equal(put(&p), 0);
	assert_string_equal(get("a").lock_id, id);
	index = index_of_variable("a");
	assert_int_equal(lock_command(COMMAND_VARIABLE_RENEW, "a", "other"), ERR_CONFLICT);
	assert_int_equal(lock_command(COMMAND_VARIABLE_RENEW, "b", id), ERR_NOTFOUND);
	assert_int_equal(lock_command(COMMAND_VARIABLE_RENEW, "a", id), 0);
	assert_int_equal(index_of_variable("a"), index);
	p = write_of("a", "");
	p.op = VARIABLE_RELEASE;
	p.lock_id = "other";
	assert_int_equal(put(&p), ERR_CONFLICT);
	p.lock_id = id;
	assert_int_equal(put(&p), 0);
	assert_string_equal(get("a").lock_id, "");
	assert_int_equal(view_count(k.v, TABLE_VARIABLE_HOLDS), 0);
	assert_non_null(acquire("a", 60, 5)); /* Given back: no delay. */
}

CASE(a_lock_runs_out_and_is_not_given_again_for_its_delay)
{
	const char *id;

	assert_int_equal(put_key("k1", false, false), 0);
	id = acquire("fresh", 10, 20); /* Makes it. */
	assert_non_null(id);
	assert_int_equal(get("fresh").data.n, 0);
	assert_int_equal(lock_command(COMMAND_VARIABLE_EXPIRE, "fresh", id), ERR_CONFLICT); /* Not yet. */
	k.now += 5 * SECOND;
	assert_int_equal(lock_command(COMMAND_VARIABLE_RENEW, "fresh", id), 0);
	k.now += 8 * SECOND;
	assert_int_equal(lock_command(COMMAND_VARIABLE_EXPIRE, "fresh", id), ERR_CONFLICT); /* It was renewed. */
	k.now += 3 * SECOND;
	assert_int_equal(lock_command(COMMAND_VARIABLE_EXPIRE, "fresh", id), 0);
	assert_string_equal(get("fresh").lock_id, "");
	assert_int_equal(lock_command(COMMAND_VARIABLE_RENEW, "fresh", id), ERR_CONFLICT);
	assert_int_equal(put_text("fresh", "written"), 0); /* The delay is for locks only. */
	assert_null(acquire("fresh", 10, 20));
	k.now += 20 * SECOND;
	assert_int_equal(lock_command(COMMAND_VARIABLE_EXPIRE, "fresh", ""), 0);
	assert_int_equal(view_count(k.v, TABLE_VARIABLE_HOLDS), 0);
	assert_non_null(acquire("fresh", 10, 0));
	k.now += 20 * SECOND;
	assert_int_equal(lock_command(COMMAND_VARIABLE_EXPIRE, "fresh", id), ERR_CONFLICT); /* The one before. */
	assert_int_equal(lock_command(COMMAND_VARIABLE_EXPIRE, "fresh", get("fresh").lock_id), 0);
	assert_int_equal(view_count(k.v, TABLE_VARIABLE_HOLDS), 0); /* No delay. */
}

CASE(one_root_key_is_active)
{
	struct variable_rekey again = {"default", "a", 0, data("new")};
	struct variables_rekey p = {.key_id = "k2", .variables = {&again, 1}};
	struct root_key key;

	assert_int_equal(state_active_key(k.v, &key, &k.mem), ERR_NOTFOUND);
	assert_int_equal(put_key("k1", false, true), 0);
	assert_int_equal(put_key("k9", false, true), 0); /* Not the first: nothing happens. */
	assert_int_equal(view_count(k.v, TABLE_ROOT_KEYS), 1);
	assert_int_equal(put_text("a", "old"), 0);
	assert_int_equal(put_key("k1", false, false), ERR_EXISTS);
	assert_int_equal(put_key("k2", true, false), 0);
	assert_string_equal(state_of_key("k1"), "rekeying");
	assert_int_equal(state_active_key(k.v, &key, &k.mem), 0);
	assert_string_equal(key.id, "k2");

	again.modify_index = index_of_variable("a") + 1;
	assert_int_equal(kit_apply(&k, COMMAND_VARIABLES_REKEY, &p)->rejected, 1);
	again.modify_index = index_of_variable("a");
	assert_int_equal(kit_apply(&k, COMMAND_VARIABLES_REKEY, &p)->count, 1);
	assert_string_equal(get("a").key_id, "k2");
	assert_memory_equal(get("a").data.at, "new", 3);
	assert_int_equal(index_of_variable("a"), again.modify_index);

	assert_int_equal(kit_apply(&k, COMMAND_ROOT_KEY_RETIRE, &(struct name_delete){"k1"})->status, 0);
	assert_string_equal(state_of_key("k1"), "inactive");
	assert_int_equal(kit_apply(&k, COMMAND_ROOT_KEY_DELETE, &(struct name_delete){"k2"})->status, ERR_INVALID);
	assert_int_equal(kit_apply(&k, COMMAND_ROOT_KEY_DELETE, &(struct name_delete){"k1"})->status, 0);
	assert_int_equal(kit_apply(&k, COMMAND_ROOT_KEY_DELETE, &(struct name_delete){"k1"})->status, ERR_NOTFOUND);
}

CASE(a_namespace_with_variables_stays)
{
	struct namespace_ ns;
	struct variable_put p = write_of("a", "one");

	object_init(&namespace__type, &ns);
	ns.name = "team";
	assert_int_equal(put_key("k1", false, false), 0);
	assert_int_equal(kit_apply(&k, COMMAND_NAMESPACE_PUT, &(struct namespace_put){&ns})->status, 0);
	p.namespace_ = "team";
	assert_int_equal(put(&p), 0);
	assert_int_equal(kit_apply(&k, COMMAND_NAMESPACE_DELETE, &(struct name_delete){"team"})->status, ERR_CONFLICT);
	assert_int_equal(kit_apply(&k, COMMAND_VARIABLE_DELETE,
				   &(struct variable_delete){.namespace_ = "team", .path = "a", .lock_id = ""})
				 ->status,
			 0);
	assert_int_equal(kit_apply(&k, COMMAND_NAMESPACE_DELETE, &(struct name_delete){"team"})->status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_variable_is_kept_as_it_was_sealed),
		T(bad_writes_change_nothing),
		T(check_and_set_wants_the_index_that_was_seen),
		T(only_who_holds_the_lock_may_write),
		T(a_lock_runs_out_and_is_not_given_again_for_its_delay),
		T(one_root_key_is_active),
		T(a_namespace_with_variables_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
