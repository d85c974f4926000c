#include "test/unit/unit.h"

#include "lib/crc.h"

static void the_known_values_come_out(void **state)
{
	static const char zeros[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void both_ways_agree_at_every_length_and_offset(void **state)
{
	unsigned char data[300];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (unsigned char)(i * 7 + (i >> 3));
	}
	for (size_t from = 0; from < 9; from++) {
		for (size_t len = 0; from + len <= sizeof(data); len++) {
			assert_int_equal(crc32c(5, data + from, len), crc32c_by_table(5, data + from, len));
		}
	}
}

static void a_checksum_goes_on_where_it_ended(void **state)
{
	const char *text = "the checksum of two parts is that of the whole";
	size_t n = strlen(text);

	(void)state;
	for (size_t i = 0; i <= n; i++) {
		assert_int_equal(crc32c(crc32c(0, text, i), text + i, n - i), crc32c(0, text, n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_values_come_out),
		cmocka_unit_test(both_ways_agree_at_every_length_and_offset),
		cmocka_unit_test(a_checksum_goes_on_where_it_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
