#include "test/unit/proto/random_object.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/walk.h"

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_seed(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("SEED=%" PRIu64 "\n", seed);
	return seed;
}

static const char *random_str(struct arena *mem, uint64_t *state)
{
	static const char *const some[] = {"",
					   "a",
					   "web",
					   "quoted \"x\" \\ /",
					   "tab\tnew\nline\r\b\f\x01\x1f",
					   "caf\xc3\xa9",
					   "\xf0\x9f\x98\x80",
					   "nul\xc0\x80in",
					   "\xe2\x80\xa8 <&>",
					   "\x7f",
					   "a text that is longer than eight characters, and than sixteen"};
	uint64_t r = random_next(state);

	if (r % 4 == 0) {
		return arena_printf(mem, "%" PRIx64, random_next(state));
	}
	return arena_strdup(mem, some[(r >> 8) % (sizeof(some) / sizeof(some[0]))]);
}

static const char *random_any(uint64_t *state)
{
	/* Neither null nor {}: the first is always read as absent, the second where it stands for that. */
	static const char *const some[] = {
		"", "true", "1500.25", "\"x \\\" y\"", "[]", "{\"a\":[1,{\"b\":null},{}],\"c\":\"\\u0000\"}", "[[[]]]"};

	return some[random_next(state) % (sizeof(some) / sizeof(some[0]))];
}

static int64_t random_int(uint64_t *state)
{
	uint64_t r = random_next(state);

	switch (r % 6) {
	case 0:
		return 0;
	case 1:
		return INT64_MAX;
	case 2:
		return INT64_MIN;
	default: /* Of all lengths. */
		return (int64_t)random_next(state) >> (r >> 8) % 64;
	}
}

static double random_num(uint64_t *state)
{
	double d = 0;
	uint64_t bits;

	switch (random_next(state) % 4) {
	case 0:
		return 0;
	case 1:
		return (double)(random_int(state) >> 20) / 1000;
	default:
		do {
			bits = random_next(state);
			memcpy(&d, &bits, sizeof(d));
		} while (!isfinite(d));
		return d;
	}
}

static void random_value(uint8_t kind, const struct type *sub, void *v, struct arena *mem, uint64_t *state, int depth)
{
	uint64_t r = random_next(state);

	switch (kind) {
	case KIND_BOOL:
		*(bool *)v = r % 2;
		break;
	case KIND_NUM:
		*(double *)v = random_num(state);
		break;
	case KIND_STR:
		*(const char **)v = random_str(mem, state);
		break;
	case KIND_ANY:
		*(const char **)v = random_any(state);
		break;
	case KIND_BYTES: {
		uint32_t n = (uint32_t)(r % 9);

		*(struct bytes *)v = (struct bytes){(const uint8_t *)arena_strndup(mem, "\0\xff\x80xyz123", n), n};
		break;
	}
	case KIND_OPTBOOL:
		*(struct opt *)v = (struct opt){r % 3 == 0, r % 3 != 2};
		break;
	case KIND_OPTINT:
	case KIND_OPTDUR:
		*(struct opt *)v = (struct opt){r % 2 ? random_int(state) : 0, r % 2};
		break;
	case KIND_OBJ:
		if (r % 3 != 0 && depth > 0) {
			*(void **)v = arena_alloc(mem, sub->size);
			random_object(sub, *(void **)v, mem, state, depth - 1);
		}
		break;
	case VALUE_STRUCT:
		random_object(sub, v, mem, state, depth - 1);
		break;
	default:
		*(int64_t *)v = random_int(state);
	}
}

static void random_row(const struct field *f, void *m, struct arena *mem, uint64_t *state, int depth)
{
	struct elems e = elems_of(f, m);
	uint32_t n = depth <= 0 ? 0 : (uint32_t)(random_next(state) % 4);
	uint32_t i;

	e.at = arena_alloc(mem, 4 * e.stride);
	if (e.shape->apart) {
		e.keys = arena_alloc(mem, 4 * sizeof(char *));
	}
	for (i = 0; i < n; i++) {
		elem_init(&e, e.n++);
		if (e.shape->keyed) {
			*elem_key(&e, i) = arena_printf(mem, "%u key \xc3\xa9\"", i);
		}
		random_value(e.shape->value, e.sub, elem_value(&e, i), mem, state, depth);
	}
	elems_put(&e, m);
}

void random_object(const struct type *t, void *obj, struct arena *mem, uint64_t *state, int depth)
{
	const struct field *f;

	object_zero(t, obj);
	for (f = t->fields; f < t->fields + t->n; f++) {
		void *m = member_of(obj, f);

		if (random_next(state) % 4 == 0) {
			continue;
		}
		if (kind_is_row(f->kind)) {
			random_row(f, m, mem, state, depth);
		} else {
			random_value(f->kind, f->sub, m, mem, state, depth);
		}
	}
}
