#include "test/unit/unit.h"

#include "lib/secret.h"

static void only_the_same_text_is_equal(void **state)
{
	static const char secret[] = "9f2c1d0e-0000-4000-8000-00000000000a";
	char other[sizeof(secret)];

	(void)state;
	assert_true(secret_equal(secret, secret));
	assert_true(secret_equal("", ""));
	assert_false(secret_equal(secret, ""));
	assert_false(secret_equal("", secret));
	for (size_t i = 0; i < sizeof(secret) - 1; i++) {
		memcpy(other, secret, sizeof(secret));
		other[i] ^= 1;
		assert_false(secret_equal(secret, other));
		other[i] = '\0';
		assert_false(secret_equal(secret, other));
		assert_false(secret_equal(other, secret));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(only_the_same_text_is_equal)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
