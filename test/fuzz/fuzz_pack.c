/* Any bytes as a packed object of any type: what decodes must come out in one form that decodes the same. */
#include <stdlib.h>
#include <string.h>

#include "test/unit/proto/all_types.h"

#define TYPE_ROW(name) &name##_type,
static const struct type *const types[] = {ALL_TYPES(TYPE_ROW)};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(const struct type *t, const void *a, void *b, void *c)
{
	struct buf packed = {0};
	struct buf text = {0};

	pack_encode(t, a, &packed);
	if (pack_decode(t, b, packed.at, packed.len, NULL) != 0 || !object_equal(t, a, b)) {
		abort();
	}
	object_free(t, b);
	packed.len = 0;
	pack_encode_short(t, a, &packed);
	if (pack_decode(t, b, packed.at, packed.len, NULL) != 0 || !object_equal(t, a, b)) {
		abort();
	}
	/* ANY may hold JSON in another form than ours, which one pass through JSON settles. */
	json_encode(t, b, &text);
	object_free(t, b);
	buf_text(&text);
	if (json_decode(t, b, text.at, text.len, NULL, NULL) != 0) {
		abort();
	}
	text.len = 0;
	json_encode(t, b, &text);
	buf_text(&text);
	if (json_decode(t, c, text.at, text.len, NULL, NULL) != 0 || !object_equal(t, b, c)) {
		abort();
	}
	object_free(t, b);
	object_free(t, c);
	buf_close(&packed);
	buf_close(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct type *t;
	uint8_t *copy;
	void *objects[3];
	int i;

	if (n == 0) {
		return 0;
	}
	t = types[data[0] % TYPES];
	for (i = 0; i < 3; i++) {
		objects[i] = malloc(t->size);
	}
	copy = malloc(n > 1 ? n - 1 : 1); /* So that AddressSanitizer sees a byte too far. */
	memcpy(copy, data + 1, n - 1);
	if (pack_decode(t, objects[0], copy, n - 1, NULL) == 0) {
		round_trip(t, objects[0], objects[1], objects[2]);
	}
	object_free(t, objects[0]);
	for (i = 0; i < 3; i++) {
		free(objects[i]);
	}
	free(copy);
	return 0;
}
