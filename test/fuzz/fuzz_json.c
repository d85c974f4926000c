/* Any text into any type of the API: what decodes must survive encode and decode, and be JSON to jansson too. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/proto/all_types.h"

#define TYPE_ROW(name) &name##_type,
static const struct type *const types[] = {ALL_TYPES(TYPE_ROW)};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool jansson_reads(const char *text, size_t n)
{
	json_t *v = json_loadb(text, n, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);

	json_decref(v);
	return v != NULL;
}

/* What is written is JSON without any reservation, and what is read from it is the same. */
static void round_trip(const struct type *t, const void *a, void *b)
{
	struct buf text = {0};
	struct buf pretty = {0};
	struct buf packed = {0};
	struct fault f;

	json_encode(t, a, &text);
	buf_text(&text);
	if (!jansson_reads(text.at, text.len) || json_decode(t, b, text.at, text.len, NULL, &f) != 0 ||
	    !object_equal(t, a, b)) {
		abort();
	}
	object_free(t, b);
	json_pretty(text.at, text.len, &pretty);
	buf_text(&pretty);
	if (json_decode(t, b, pretty.at, pretty.len, NULL, &f) != 0 || !object_equal(t, a, b)) {
		abort();
	}
	object_free(t, b);
	pack_encode(t, a, &packed);
	if (pack_decode(t, b, packed.at, packed.len, NULL) != 0 || !object_equal(t, a, b)) {
		abort();
	}
	object_free(t, b);
	buf_close(&text);
	buf_close(&pretty);
	buf_close(&packed);
}

/* jansson refuses what we make good: bytes that are no UTF-8, halves of surrogate pairs. And it knows numbers up to its
 * own bounds. Everything else that we take, it must take. */
static bool comparable(const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if ((unsigned char)text[i] >= 0x80) {
			return false;
		}
	}
	return memmem(text, n, "\\u", 2) == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct type *t;
	struct fault f;
	char *text;
	void *a;
	void *b;

	if (n == 0) {
		return 0;
	}
	t = types[data[0] % TYPES];
	a = malloc(t->size);
	b = malloc(t->size);
	text = malloc(n);
	memcpy(text, data + 1, n - 1);
	text[n - 1] = '\0';
	if (json_decode(t, a, text, n - 1, NULL, &f) == 0) {
		if (comparable(text, n - 1) && !jansson_reads(text, n - 1)) {
			abort();
		}
		round_trip(t, a, b);
	}
	object_free(t, a);
	free(a);
	free(b);
	free(text);
	return 0;
}
