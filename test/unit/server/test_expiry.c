#include "test/unit/unit.h"

#include "server/expiry.h"
#include "test/unit/server/part_bench.h"

#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

struct bench {
	struct part_bench b;
	struct expiry e;
	unsigned commands;
	uint32_t largest; /* Rows that one command has removed. */
	uint32_t rejected;
	int fail;
};

static struct bench t;

static int open_bench(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	part_bench_open(&t.b);
	expiry_init(&t.e, &(struct expiry_config){0});
	expiry_reset(&t.e, &t.b.at);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	assert_true(state_check(t.b.k.v));
	part_bench_close(&t.b);
	return 0;
}

#define CASE(name) static void name(void **state __attribute__((unused)))
#define T(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)

/* All that is due. */
static void run(void)
{
	enum part_step step;
	unsigned i;

	for (i = 0; (step = expiry_step(&t.e, part_bench_turn(&t.b))) != STEP_IDLE; i++) {
		assert_true(i < 1000);
		if (step == STEP_COMMAND) {
			t.commands++;
			if (t.fail == 0) {
				const struct apply_result *r = part_bench_apply(&t.b);

				t.largest = r->count > t.largest ? r->count : t.largest;
				t.rejected += r->rejected;
			}
			expiry_done(&t.e, &t.b.turn.ref, t.fail, &t.b.at);
		}
	}
}

static void pass(int64_t ns)
{
	part_bench_pass(&t.b, ns);
	run();
}

/* A token that ends so long from now (0: never); its accessor. */
static struct uuid make_token(int64_t ttl_ns)
{
	struct uuid id = kit_id(&t.b.k);
	struct uuid secret = kit_id(&t.b.k);
	const char *names[] = {"p"};
	struct acl_token token;

	object_init(&acl_token_type, &token);
	token.accessor_id = kit_text(&t.b.k, &id);
	token.secret_id = kit_text(&t.b.k, &secret);
	token.type = "client";
	token.policies = (struct strs){names, 1};
	token.expiration_time = ttl_ns != 0 ? t.b.k.now + ttl_ns : 0;
	assert_int_equal(kit_quick(&t.b.k, COMMAND_ACL_TOKEN_PUT, &(struct acl_token_put){&token, true})->status, 0);
	expiry_changed(&t.e, &t.b.at);
	return id;
}

static size_t rows(enum table table)
{
	return view_count(t.b.k.v, table);
}

CASE(a_token_goes_an_hour_after_its_end)
{
	make_token(0);
	make_token(MINUTE);
	make_token(2 * HOUR);
	run();
	assert_true(expiry_due(&t.e, &t.b.at) > t.b.at.mono_ns);
	pass(MINUTE + HOUR - 10 * SECOND);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 3);
	pass(20 * SECOND);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 2);
	pass(100 * HOUR);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 1);
	assert_int_equal(t.commands, 2);
	assert_int_equal(t.rejected, 0);
	assert_int_equal(expiry_due(&t.e, &t.b.at), PART_NEVER);
}

CASE(many_go_in_batches)
{
	for (unsigned i = 0; i < 2 * EXPIRY_BATCH + 10; i++) {
		make_token(MINUTE);
	}
	pass(2 * HOUR);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 0);
	assert_int_equal(t.commands, 3);
	assert_int_equal(t.largest, EXPIRY_BATCH);
}

CASE(a_forced_collection_does_not_wait_for_the_hour)
{
	make_token(MINUTE);
	make_token(HOUR);
	pass(2 * MINUTE);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 2);
	expiry_force(&t.e, &t.b.at);
	run();
	assert_int_equal(rows(TABLE_ACL_TOKENS), 1);
	pass(HOUR);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 1); /* It was forced once. */
	pass(HOUR);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 0);
}

CASE(a_one_time_token_goes_at_its_end)
{
	struct uuid token = make_token(0);
	struct uuid secret = kit_id(&t.b.k);
	const struct acl_once_put p = {uuid_bytes(&token), uuid_bytes(&secret), 10 * MINUTE};

	assert_int_equal(kit_apply(&t.b.k, COMMAND_ACL_ONCE_PUT, &p)->status, 0);
	expiry_changed(&t.e, &t.b.at);
	pass(9 * MINUTE);
	assert_int_equal(rows(TABLE_ACL_ONCE), 1);
	pass(2 * MINUTE);
	assert_int_equal(rows(TABLE_ACL_ONCE), 0);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 1);
}

CASE(what_fails_is_tried_again_later)
{
	make_token(MINUTE);
	t.fail = ERR_BUSY;
	pass(2 * HOUR);
	assert_int_equal(t.commands, 1);
	assert_int_equal(expiry_due(&t.e, &t.b.at), t.b.at.mono_ns + PART_RETRY_NS);
	t.fail = 0;
	pass(PART_RETRY_NS);
	assert_int_equal(rows(TABLE_ACL_TOKENS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_token_goes_an_hour_after_its_end),
		T(many_go_in_batches),
		T(a_forced_collection_does_not_wait_for_the_hour),
		T(a_one_time_token_goes_at_its_end),
		T(what_fails_is_tried_again_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
