/* Policies, tokens and roles in the state: found by their keys, expired, saved and loaded. */
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

#define A1 "11111111-1111-4111-8111-111111111111"
#define A2 "22222222-2222-4222-8222-222222222222"
#define S1 "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define S2 "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaab"

static const char *names[] = {"p"};

static struct acl_token token_of(const char *accessor, const char *secret)
{
	struct acl_token t;

	object_init(&acl_token_type, &t);
	t.accessor_id = accessor;
	t.secret_id = secret;
	t.type = "client";
	t.policies = (struct strs){names, 1};
	return t;
}

static int put_token(struct acl_token t, bool create)
{
	return kit_apply(&k, COMMAND_ACL_TOKEN_PUT, &(struct acl_token_put){&t, create})->status;
}

static struct bytes id_of(const char *text)
{
	struct uuid *id = arena_alloc(&k.mem, sizeof(*id));

	assert_true(uuid_parse(text, strlen(text), id));
	return uuid_bytes(id);
}

static int put_once(const char *accessor, const char *secret, int64_t ttl_ns)
{
	const struct acl_once_put p = {id_of(accessor), id_of(secret), ttl_ns};

	return kit_apply(&k, COMMAND_ACL_ONCE_PUT, &p)->status;
}

static int by_id(enum command command, const char *id)
{
	return kit_apply(&k, command, &(struct acl_id){id_of(id)})->status;
}

CASE(a_secret_is_found_whole_or_not_at_all)
{
	assert_int_equal(put_token(token_of(A1, S1), true), 0);
	assert_int_equal(put_token(token_of(A2, S2), true), 0);
	assert_ptr_equal(state_acl_token_by_secret(k.v, S1), state_acl_token(k.v, A1));
	assert_ptr_equal(state_acl_token_by_secret(k.v, S2), state_acl_token(k.v, A2));
	assert_null(state_acl_token_by_secret(k.v, ""));
	assert_null(state_acl_token_by_secret(k.v, "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa"));
	assert_null(state_acl_token_by_secret(k.v, S1 "0"));
	assert_null(state_acl_token_by_secret(k.v, "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaac"));
	assert_null(state_acl_token_by_secret(k.v, A1));
	assert_null(state_acl_token(k.v, S1));
}

CASE(ids_are_taken_once)
{
	assert_int_equal(put_token(token_of(A1, S1), true), 0);
	assert_int_equal(put_token(token_of(A1, S2), true), ERR_EXISTS);
	assert_int_equal(put_token(token_of(A2, S1), true), ERR_EXISTS);
	assert_int_equal(put_token(token_of(A2, ""), true), ERR_INVALID);
	assert_int_equal(put_token(token_of(A2, "x"), true), ERR_INVALID);
	assert_int_equal(put_token(token_of("", S2), true), ERR_INVALID);
	assert_int_equal(put_token(token_of(A2, S2), false), ERR_NOTFOUND);
	assert_int_equal(view_count(k.v, TABLE_ACL_TOKENS), 1);
}

CASE(a_change_keeps_the_secret_and_the_end)
{
	struct acl_token t = token_of(A1, S1);
	struct acl_token out;

	t.expiration_time = k.now + 100 * SECOND;
	t.expiration_ttl = 100 * SECOND;
	assert_int_equal(put_token(t, true), 0);
	t = token_of(A1, "");
	t.name = "new";
	t.type = "management";
	t.policies.n = 0;
	assert_int_equal(put_token(t, false), 0);
	assert_int_equal(acl_token_row_get(k.v, state_acl_token_by_secret(k.v, S1), &out, &k.mem), 0);
	assert_string_equal(out.name, "new");
	assert_string_equal(out.type, "management");
	assert_string_equal(out.secret_id, S1);
	assert_int_equal(out.expiration_ttl, 100 * SECOND);
	assert_true(out.expiration_time > k.now);
	assert_int_equal(out.hash.n, 32);
	t.expiration_time = k.now + SECOND;
	assert_int_equal(put_token(t, false), ERR_INVALID);
}

CASE(what_is_over_is_collected_and_nothing_else)
{
	struct acl_id ids[] = {{id_of(A1)}, {id_of(A2)}};
	struct acl_expire p = {.tokens = {ids, 2}, .once = {ids, 2}};
	struct acl_token t = token_of(A1, S1);
	struct rows r;

	t.expiration_time = k.now + 10 * SECOND;
	assert_int_equal(put_token(t, true), 0);
	assert_int_equal(put_token(token_of(A2, S2), true), 0);
	assert_int_equal(put_once(A1, A1, 5 * SECOND), 0);
	assert_int_equal(put_once(A2, A2, 50 * SECOND), 0);
	rows_expiring_tokens(&r, k.v);
	assert_ptr_equal(acl_token_next(&r), state_acl_token(k.v, A1));
	assert_null(acl_token_next(&r));
	assert_int_equal(kit_apply(&k, COMMAND_ACL_EXPIRE, &p)->status, 0);
	assert_int_equal(k.result.count, 0);
	assert_int_equal(k.result.rejected, 4);
	k.now += 20 * SECOND;
	assert_int_equal(kit_apply(&k, COMMAND_ACL_EXPIRE, &p)->status, 0);
	assert_int_equal(k.result.count, 1); /* The token took its one-time token along. */
	assert_null(state_acl_token_by_secret(k.v, S1));
	assert_int_equal(view_count(k.v, TABLE_ACL_ONCE), 1);
	assert_int_equal(view_count(k.v, INDEX_ACL_TOKENS_EXPIRY), 0);
}

CASE(one_time_tokens_replace_each_other)
{
	assert_int_equal(put_once(A1, S2, SECOND), ERR_NOTFOUND);
	assert_int_equal(put_token(token_of(A1, S1), true), 0);
	assert_int_equal(put_once(A1, A1, 100 * SECOND), 0);
	assert_int_equal(put_once(A1, A2, 100 * SECOND), 0);
	assert_int_equal(by_id(COMMAND_ACL_ONCE_EXCHANGE, A1), ERR_REFUSED);
	assert_int_equal(by_id(COMMAND_ACL_ONCE_EXCHANGE, A2), 0);
	assert_memory_equal(&k.result.made_id, id_of(A1).at, 16);
	assert_int_equal(by_id(COMMAND_ACL_ONCE_EXCHANGE, A2), ERR_REFUSED);
	assert_int_equal(put_once(A1, A2, 100 * SECOND), 0);
	assert_int_equal(by_id(COMMAND_ACL_TOKEN_DELETE, A1), 0);
	assert_int_equal(view_count(k.v, TABLE_ACL_ONCE), 0);
}

CASE(a_one_time_token_does_not_outlive_its_token)
{
	struct acl_token t = token_of(A1, S1);

	t.expiration_time = k.now + 10 * SECOND;
	assert_int_equal(put_token(t, true), 0);
	assert_int_equal(put_once(A1, A2, 100 * SECOND), 0);
	k.now += 20 * SECOND;
	assert_int_equal(by_id(COMMAND_ACL_ONCE_EXCHANGE, A2), ERR_REFUSED);
}

CASE(the_first_token_needs_the_right_index)
{
	struct acl_token t = token_of(A1, S1);
	struct acl_bootstrap p = {&t, 0};
	uint64_t index;

	t.type = "management";
	t.policies.n = 0;
	assert_int_equal(kit_apply(&k, COMMAND_ACL_BOOTSTRAP, &p)->status, 0);
	index = k.result.index;
	t.accessor_id = A2;
	t.secret_id = S2;
	assert_int_equal(kit_apply(&k, COMMAND_ACL_BOOTSTRAP, &p)->status, ERR_CONFLICT);
	p.reset_index = (int64_t)index + 1;
	assert_int_equal(kit_apply(&k, COMMAND_ACL_BOOTSTRAP, &p)->status, ERR_CONFLICT);
	p.reset_index = (int64_t)index;
	assert_int_equal(kit_apply(&k, COMMAND_ACL_BOOTSTRAP, &p)->status, 0);
	assert_int_equal(view_count(k.v, TABLE_ACL_TOKENS), 2);
}

CASE(a_snapshot_has_it_all)
{
	struct acl_policy policy;
	struct acl_token t = token_of(A1, S1);
	struct acl_role role;
	struct acl_policy_link link = {"p"};
	struct buf saved = {0};
	struct acl_token out;
	uint64_t hash;

	object_init(&acl_policy_type, &policy);
	policy.name = "p";
	assert_int_equal(kit_apply(&k, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy})->status, 0);
	object_init(&acl_role_type, &role);
	role.id = A2;
	role.name = "r";
	role.policies.at = &link;
	role.policies.n = 1;
	assert_int_equal(kit_apply(&k, COMMAND_ACL_ROLE_PUT, &(struct acl_role_put){&role, true})->status, 0);
	t.roles.at = &(struct acl_role_link){"", "r"};
	t.roles.n = 1;
	t.expiration_time = k.now + 100 * SECOND;
	assert_int_equal(put_token(t, true), 0);
	assert_int_equal(put_once(A1, S2, 100 * SECOND), 0);
	hash = state_hash(k.v);
	kit_save(&k, &saved);
	assert_int_equal(kit_load(&k, saved.at, saved.len), 0);
	assert_true(state_check(k.v));
	assert_int_equal(state_hash(k.v), hash);
	assert_int_equal(acl_token_row_get(k.v, state_acl_token_by_secret(k.v, S1), &out, &k.mem), 0);
	assert_int_equal(out.roles.n, 1);
	assert_string_equal(out.roles.at[0].name, "r");
	assert_non_null(state_acl_role_by_name(k.v, "r"));
	assert_non_null(state_acl_once_by_secret(k.v, (const struct uuid *)id_of(S2).at));
	buf_close(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_secret_is_found_whole_or_not_at_all),
		T(ids_are_taken_once),
		T(a_change_keeps_the_secret_and_the_end),
		T(what_is_over_is_collected_and_nothing_else),
		T(one_time_tokens_replace_each_other),
		T(a_one_time_token_does_not_outlive_its_token),
		T(the_first_token_needs_the_right_index),
		T(a_snapshot_has_it_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
