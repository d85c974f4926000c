#include "test/unit/unit.h"

#include <zlib.h>

#include "server/gzip.h"

static void assert_inflates_to(const struct buf *packed, const char *text, size_t len)
{
	z_stream z = {0};
	char *out = malloc(len + 1);

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (Bytef *)packed->at;
	z.avail_in = (uInt)packed->len;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)len + 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, len);
	assert_int_equal(z.avail_in, 0);
	assert_memory_equal(out, text, len);
	inflateEnd(&z);
	free(out);
}

static void whole_and_sliced_texts_come_back(void **state)
{
	enum { LEN = 1000000 };
	static char text[LEN];
	struct gzip *g = gzip_new();
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < LEN; i++) {
		text[i] = (char)(i % 7 == 0 ? random() : 'a' + (int)(i % 26));
	}
	for (int round = 0; round < 2; round++) { /* The same one again. */
		out.len = 0;
		assert_true(gzip_all(g, text, 3000, &out));
		assert_inflates_to(&out, text, 3000);
		out.len = 0;
		assert_true(gzip_all(g, "", 0, &out));
		assert_inflates_to(&out, "", 0);
		out.len = 0;
		for (size_t at = 0; at < LEN; at += 100000) {
			assert_true(gzip_slice(g, text + at, 100000, at + 100000 == LEN, &out));
		}
		assert_inflates_to(&out, text, LEN);
	}
	buf_close(&out);
	gzip_free(g);
}

static void headers_are_understood(void **state)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {
		{"gzip", true},
		{"GZIP", true},
		{"deflate, gzip", true},
		{"gzip;q=1.0", true},
		{"gzip;q=0.001", true},
		{"gzip;q=0", false},
		{"gzip; q=0.000", false},
		{"identity", false},
		{"", false},
		{"gzipx", false},
		{"x-gzip", false},
		{"deflate;q=0, gzip", true},
		{"gzip;q=0, deflate", false},
		{"br,gzip , deflate", true},
		{",,gzip", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(gzip_accepted(cases[i].text, strlen(cases[i].text)), cases[i].yes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_and_sliced_texts_come_back),
		cmocka_unit_test(headers_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
