#include "test/unit/unit.h"

#include <time.h>

#include "client/executor/wire.h"
#include "proto/error.h"

static const char *const args[] = {"cmd", "-x", ""};
static const char *const env[] = {"A=1", "B="};
static const uint32_t groups[] = {7, 8, 9};

static struct executor_spec example(void)
{
	struct executor_spec s = {0};

#define X(name) s.name = #name;
	EXECUTOR_TEXTS(X)
#undef X
#define X(name) s.name = -(int64_t)sizeof(#name);
	EXECUTOR_NUMBERS(X)
#undef X
	s.args = (char *const *)(uintptr_t)args;
	s.args_n = 3;
	s.env = (char *const *)(uintptr_t)env;
	s.env_n = 2;
	s.groups = groups;
	s.groups_n = 3;
	return s;
}

static void a_spec_survives_a_round_trip(void **state)
{
	struct executor_spec s = example();
	struct executor_spec t;
	struct buf b = {0};

	(void)state;
	executor_spec_encode(&s, &b);
	assert_int_equal(executor_spec_decode(b.at, b.len, &t), 0);
#define X(name) assert_string_equal(t.name, #name);
	EXECUTOR_TEXTS(X)
#undef X
#define X(name) assert_int_equal(t.name, s.name);
	EXECUTOR_NUMBERS(X)
#undef X
	assert_int_equal(t.args_n, 3);
	assert_string_equal(t.args[1], "-x");
	assert_string_equal(t.args[2], "");
	assert_null(t.args[3]);
	assert_string_equal(t.env[1], "B=");
	assert_null(t.env[2]);
	assert_int_equal(t.groups_n, 3);
	assert_int_equal(t.groups[2], 9);
	buf_close(&b);
}

static void cut_and_changed_specs_are_refused(void **state)
{
	struct executor_spec s = example();
	struct executor_spec t;
	unsigned seed = (unsigned)time(NULL);
	struct buf b = {0};
	char *copy;
	size_t n;
	int i;

	(void)state;
	printf("seed %u\n", seed);
	srand(seed);
	executor_spec_encode(&s, &b);
	copy = malloc(b.len);
	for (n = 0; n < b.len; n++) {
		memcpy(copy, b.at, n);
		assert_int_equal(executor_spec_decode(copy, n, &t), ERR_CORRUPT);
	}
	/* Whatever is changed: an error, or texts within the bytes. */
	for (i = 0; i < 20000; i++) {
		memcpy(copy, b.at, b.len);
		copy[(size_t)rand() % b.len] = (char)rand();
		copy[(size_t)rand() % 32] ^= (char)(1 << rand() % 8);
		if (executor_spec_decode(copy, b.len, &t) == 0) {
			assert_true(t.command >= copy && t.command + strlen(t.command) < copy + b.len);
		}
	}
	free(copy);
	buf_close(&b);
}

static void another_version_is_refused(void **state)
{
	struct executor_spec s = example();
	struct executor_spec t;
	struct buf b = {0};

	(void)state;
	executor_spec_encode(&s, &b);
	b.at[4]++;
	assert_int_equal(executor_spec_decode(b.at, b.len, &t), ERR_UNSUPPORTED);
	buf_close(&b);
}

static void messages_of_other_ages_are_understood(void **state)
{
	struct executor_request q = {.size = 16, .type = EXECUTOR_SIGNAL, .id = 7, .signal = 9, .timeout_ns = 5};

	(void)state;
	/* Of an older program: what it did not know is zero. */
	assert_true(executor_message_fix(&q, sizeof(q), 16));
	assert_int_equal(q.id, 7);
	assert_int_equal(q.signal, 0);
	assert_int_equal(q.timeout_ns, 0);
	/* Of a newer one: the rest was cut off by recv(). */
	q.size = sizeof(q) + 100;
	assert_true(executor_message_fix(&q, sizeof(q), sizeof(q)));
	assert_false(executor_message_fix(&q, sizeof(q), 0));
	assert_false(executor_message_fix(&q, sizeof(q), -1));
	assert_false(executor_message_fix(&q, sizeof(q), 7));
	q.size = 12;
	assert_false(executor_message_fix(&q, sizeof(q), 16));
	q.size = 0;
	assert_false(executor_message_fix(&q, sizeof(q), 16));
}

/* They are spoken between programs of different ages: a change here must be an addition at the end. */
static void messages_keep_their_shape(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct executor_request, signal), 24);
	assert_int_equal(sizeof(struct executor_request), 32);
	assert_int_equal(offsetof(struct executor_report, start), 32);
	assert_int_equal(offsetof(struct executor_report, finished_ns), 56);
	assert_int_equal(offsetof(struct executor_report, pids), 104);
	assert_int_equal(offsetof(struct executor_report, abilities), 112);
	assert_int_equal(sizeof(struct executor_report), 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spec_survives_a_round_trip), cmocka_unit_test(cut_and_changed_specs_are_refused),
		cmocka_unit_test(another_version_is_refused),   cmocka_unit_test(messages_of_other_ages_are_understood),
		cmocka_unit_test(messages_keep_their_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
