#include "test/unit/unit.h"

#include <string.h>

#include "lib/base64.h"

static void is(const void *data, size_t n, enum base64_digits digits, bool pads, const char *want)
{
	struct buf out = {0};

	buf_str(&out, "<");
	base64_put(&out, data, n, digits, pads);
	assert_false(out.failed);
	assert_string_equal(buf_text(&out) + 1, want);
	buf_close(&out);
}

/* The examples of RFC 4648, section 10. */
static void test_lengths(void **state)
{
	static const char *const pairs[][3] = {
		{"", "", ""},           {"f", "Zg==", "Zg"},          {"fo", "Zm8=", "Zm8"},          {"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"}, {"fooba", "Zm9vYmE=", "Zm9vYmE"}, {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		is(pairs[i][0], strlen(pairs[i][0]), BASE64_PLAIN, true, pairs[i][1]);
		is(pairs[i][0], strlen(pairs[i][0]), BASE64_URL, false, pairs[i][2]);
	}
}

static void test_digits(void **state)
{
	static const unsigned char bytes[] = {0xfb, 0xef, 0xff, 0x00, 0x10, 0x83};

	(void)state;
	is(bytes, sizeof(bytes), BASE64_PLAIN, true, "++//ABCD");
	is(bytes, sizeof(bytes), BASE64_URL, true, "--__ABCD");
	is(bytes, 1, BASE64_URL, true, "-w==");
}

static void test_values(void **state)
{
	struct buf out = {0};
	unsigned char in[3];

	(void)state;
	for (int v = 0; v < 64; v++) {
		in[0] = (unsigned char)(v << 2);
		out.len = 0;
		base64_put(&out, in, 1, BASE64_PLAIN, false);
		assert_int_equal(base64_value(out.at[0]), v);
	}
	buf_close(&out);
	for (const char *p = "-_=\n \x80"; *p != '\0'; p++) {
		assert_int_equal(base64_value(*p), -1);
	}
	assert_int_equal(base64_value('\0'), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_digits),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
