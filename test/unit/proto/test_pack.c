#include "test/unit/unit.h"

#include <inttypes.h>
#include <msgpack.h>

#include "proto/error.h"
#include "proto/packin.h"
#include "proto/words.h"
#include "test/unit/proto/all_types.h"
#include "test/unit/proto/kinds.h"
#include "test/unit/proto/random_object.h"

#define TYPE_ROW(name) &name##_type,
static const struct type *const types[] = {ALL_TYPES(TYPE_ROW)};
enum { TYPES = sizeof(types) / sizeof(types[0]), ROUNDS = 40 };

OBJECT_DEFINE(inner, INNER_FIELDS);
OBJECT_DEFINE(kinds, KINDS_FIELDS);

static uint64_t seed;

/* An object `a` of each type, some times, with room for another one; every other time `b`'s strings are in `mem`. */
static void with_random_objects(uint64_t s, void (*try)(const struct type *type, void *a, void *b, struct arena *mem))
{
	int i;
	int k;

	for (i = 0; i < TYPES; i++) {
		void *a = malloc(types[i]->size);
		void *b = malloc(types[i]->size);

		for (k = 0; k < ROUNDS; k++) {
			struct arena mem = {0};

			random_object(types[i], a, &mem, &s, 3);
			try(types[i], a, b, k % 2 ? &mem : NULL);
			if (k % 2 == 0) {
				object_free(types[i], b);
			}
			arena_close(&mem);
		}
		free(a);
		free(b);
	}
}

static void pack_twice(const struct type *type, void *a, void *b, struct arena *mem)
{
	struct buf one = {0};
	struct buf two = {0};

	pack_encode(type, a, &one);
	assert_int_equal(pack_decode(type, b, one.at, one.len, mem), 0);
	assert_true(object_equal(type, a, b));
	pack_encode(type, b, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.at, two.at, one.len);
	buf_close(&one);
	buf_close(&two);
}

static void what_is_packed_unpacks_the_same_and_only_one_way(void **state)
{
	(void)state;
	with_random_objects(seed, pack_twice);
}

static void pack_in_short(const struct type *type, void *a, void *b, struct arena *mem)
{
	struct buf plain = {0};
	struct buf brief = {0};

	pack_encode(type, a, &plain);
	pack_encode_short(type, a, &brief);
	assert_true(brief.len <= plain.len);
	assert_int_equal(pack_decode(type, b, brief.at, brief.len, mem), 0);
	assert_true(object_equal(type, a, b));
	buf_close(&plain);
	buf_close(&brief);
}

static void in_short_it_is_the_same_and_no_longer(void **state)
{
	(void)state;
	with_random_objects(seed + 1, pack_in_short);
}

/* Their numbers are in logs and snapshots: they must not change. */
static void well_known_texts_have_numbers(void **state)
{
	struct arena mem = {0};
	struct buf b = {0};
	struct kinds a;
	struct kinds back;

	(void)state;
	assert_int_equal(words_find("pending", 7), 1);
	assert_int_equal(words_find("Task received by client", 23), 10);
	assert_int_equal(words_find("Main tasks in the group died", 28), 56);
	assert_int_equal(words_find("Main tasks in the group die", 27), 0);
	assert_int_equal(words_find("", 0), 0);
	assert_null(words_text(0));
	assert_null(words_text(-1));
	assert_null(words_text(INT64_MAX));
	assert_null(words_text(57));
	for (int64_t i = 1; words_text(i) != NULL; i++) {
		assert_int_equal(words_find(words_text(i), strlen(words_text(i))), i); /* None comes twice. */
	}
	assert_int_equal(pack_decode(&kinds_type, &a, "\x80", 1, &mem), 0);
	a.str = "Tasks are running";
	pack_encode_short(&kinds_type, &a, &b);
	assert_int_equal(b.len, 3);
	assert_int_equal(b.at[2], 5);
	assert_int_equal(pack_decode(&kinds_type, &back, b.at, b.len, &mem), 0);
	assert_string_equal(back.str, a.str);
	b.at[2] = 127; /* A word of a later version. */
	assert_int_equal(pack_decode(&kinds_type, &back, b.at, b.len, &mem), ERR_TYPE);
	buf_close(&b);
	arena_close(&mem);
}

/* These bytes are in logs and snapshots: they must not change. */
static void the_bytes_of_every_kind_are_pinned(void **state)
{
	static const char json[] = "{\"B\":true,\"I\":-5,\"Dur\":300,\"Num\":0.5,\"Time\":\"1970-01-01T00:00:01Z\","
				   "\"Str\":\"x\",\"Bytes\":\"AP8=\","
				   "\"Any\":[1],\"Ob\":false,\"Oi\":0,\"Od\":70000,\"Strs\":[\"b\"],\"Ints\":[3,-200],"
				   "\"Map\":{\"k\":\"v\"},"
				   "\"Intmap\":{\"k\":7},\"Nummap\":{\"k\":1},\"Boolmap\":{\"k\":false},\"Obj\":{"
				   "\"Name\":\"\",\"Count\":0},"
				   "\"List\":[{\"Name\":\"n\",\"Count\":0}],\"Objmap\":{\"k\":{\"Count\":2}}}";
	static const uint8_t want[] = "\xde\x00\x14"
				      "\x01\xc3"
				      "\x02\xfb"
				      "\x03\xcd\x01\x2c"
				      "\x04\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"
				      "\x05\xce\x3b\x9a\xca\x00"
				      "\x06\xa1x"
				      "\x07\xc4\x02\x00\xff"
				      "\x08\xa3[1]"
				      "\x09\xc2"
				      "\x0a\x00"
				      "\x0b\xce\x00\x01\x11\x70"
				      "\x0c\x91\xa1"
				      "b"
				      "\x0d\x92\x03\xd1\xff\x38"
				      "\x0e\x81\xa1k\xa1v"
				      "\x0f\x81\xa1k\x07"
				      "\x10\x81\xa1k\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"
				      "\x11\x81\xa1k\xc2"
				      "\x12\x80"
				      "\x13\x91\x81\x01\xa1n"
				      "\x14\x81\xa1k\x82\x01\xa4none\x02\x02";
	struct buf out = {0};
	struct kinds k;

	(void)state;
	assert_int_equal(json_decode(&kinds_type, &k, json, sizeof(json) - 1, NULL, NULL), 0);
	pack_encode(&kinds_type, &k, &out);
	assert_int_equal(out.len, sizeof(want) - 1);
	assert_memory_equal(out.at, want, out.len);
	object_free(&kinds_type, &k);
	buf_close(&out);
}

/* An object that is made piece by piece has the same bytes. */
static void pieces_make_the_same_bytes(void **state)
{
	struct inner inner = {"a", 7};
	const char *texts[] = {"x", "y"};
	int64_t numbers[] = {-1, 300};
	struct buf whole = {0};
	struct buf pieces = {0};
	struct kinds k;

	(void)state;
	memset(&k, 0, sizeof(k));
	object_init(&kinds_type, &k);
	k.b = true;
	k.i = 70000;
	k.strs = (struct strs){texts, 2};
	k.ints = (struct ints){numbers, 2};
	k.list.at = &inner;
	k.list.n = 1;
	pack_encode(&kinds_type, &k, &whole);
	pack_put_object(&pieces, 5);
	pack_put_int(&pieces, 1);
	pack_put_bool(&pieces, true);
	pack_put_int(&pieces, 2);
	pack_put_int(&pieces, 70000);
	pack_put_int(&pieces, 12);
	pack_put_list(&pieces, 2);
	pack_put_str(&pieces, "x");
	pack_put_str(&pieces, "y");
	pack_put_int(&pieces, 13);
	pack_put_list(&pieces, 2);
	pack_put_int(&pieces, -1);
	pack_put_int(&pieces, 300);
	pack_put_int(&pieces, 19);
	pack_put_list(&pieces, 1);
	pack_encode(&inner_type, &inner, &pieces);
	assert_int_equal(pieces.len, whole.len);
	assert_memory_equal(pieces.at, whole.at, whole.len);
	buf_close(&whole);
	buf_close(&pieces);
}

static void nothing_set_is_one_byte_and_brings_no_defaults(void **state)
{
	struct job j;

	(void)state;
	assert_int_equal(pack_decode(&job_type, &j, "\x80", 1, NULL), 0);
	assert_string_equal(j.type, "");
	assert_int_equal(j.priority, 0);
	object_free(&job_type, &j);
}

static void unknown_numbers_are_passed_over(void **state)
{
	static const uint8_t later[] =
		"\x83\x01\xa1x\x02\x05\xcd\x01\x00\x92\x81\xa1k\xc0\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00";
	struct inner in;

	(void)state;
	assert_int_equal(pack_decode(&inner_type, &in, later, sizeof(later) - 1, NULL), 0);
	assert_string_equal(in.name, "x");
	assert_int_equal(in.count, 5);
	object_free(&inner_type, &in);
}

static void what_is_no_message_of_ours_is_refused(void **state)
{
#define MESSAGE(text, rv)                                                                                              \
	{                                                                                                              \
		text, sizeof(text) - 1, rv                                                                             \
	}
	static const struct {
		const char *at;
		size_t n;
		int rv;
	} bad[] = {
		MESSAGE("", ERR_SYNTAX),
		MESSAGE("\xc0", ERR_TYPE),
		MESSAGE("\x90", ERR_TYPE),
		MESSAGE("\x80\x80", ERR_SYNTAX),           /* More behind it. */
		MESSAGE("\x82\x02\xfb\x01\xc3", ERR_TYPE), /* Not ascending. */
		MESSAGE("\x82\x01\xc3\x01\xc3", ERR_TYPE), /* Twice. */
		MESSAGE("\x81\x00\xc3", ERR_TYPE),         /* Numbers begin with 1. */
		MESSAGE("\x81\xa1"
			"b\xc3",
			ERR_TYPE),                                                 /* A name. */
		MESSAGE("\x81\x01\x01", ERR_TYPE),                                 /* An int for a bool. */
		MESSAGE("\x81\x02\xcf\xff\xff\xff\xff\xff\xff\xff\xff", ERR_TYPE), /* Beyond 63 bits. */
		MESSAGE("\x81\x04\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", ERR_TYPE), /* Infinity. */
		MESSAGE("\x81\x04\xca\x3f\x80\x00\x00", ERR_SYNTAX),               /* A short float. */
		MESSAGE("\x81\x06\xa1\x00", ERR_TYPE),                             /* A zero byte in a string. */
		MESSAGE("\x81\x06\xa1\xff", ERR_TYPE),                             /* Not UTF-8. */
		MESSAGE("\x81\x08\xa1[", ERR_TYPE),                                /* Not JSON. */
		MESSAGE("\x81\x0c\xdd\xff\xff\xff\xff", ERR_SYNTAX),               /* A forged count. */
		MESSAGE("\x81\x0e\xdf\x00\x00\x00\x02\xa1k\xa1v", ERR_SYNTAX),
		MESSAGE("\x81\x0e\x82\xa1k\xa1v\xa1"
			"a\xa1v",
			ERR_TYPE),                                     /* Keys out of order, */
		MESSAGE("\x81\x0e\x82\xa1k\xa1v\xa1k\xa1v", ERR_TYPE), /* and twice. */
		MESSAGE("\x81\x06\xdb\xff\xff\xff\xff", ERR_SYNTAX),
		MESSAGE("\x81\xc1", ERR_SYNTAX),
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *copy = malloc(bad[i].n + 1);
		struct kinds k;

		memcpy(copy, bad[i].at, bad[i].n);
		assert_int_equal(pack_decode(&kinds_type, &k, copy, bad[i].n, NULL), bad[i].rv);
		object_free(&kinds_type, &k);
		free(copy);
	}
}

static void a_message_that_is_cut_is_refused(void **state)
{
	uint64_t s = seed;
	struct arena mem = {0};
	struct buf out = {0};
	struct job a;
	struct job b;
	size_t n;

	(void)state;
	random_object(&job_type, &a, &mem, &s, 4);
	pack_encode(&job_type, &a, &out);
	for (n = 0; n < out.len; n += 1 + out.len / 2000) {
		char *cut = malloc(n + 1);

		memcpy(cut, out.at, n);
		assert_int_not_equal(pack_decode(&job_type, &b, cut, n, NULL), 0);
		object_free(&job_type, &b);
		free(cut);
	}
	buf_close(&out);
	arena_close(&mem);
}

static void a_small_message_cannot_take_much_memory(void **state)
{
	/* TaskGroups with 999999 elements: one byte in the message, hundreds in memory. */
	static uint8_t message[7 + 999999] = {0x81, 13, 0xdd, 0x00, 0x0f, 0x42, 0x3f};
	struct arena mem = {0};
	struct job j;

	(void)state;
	memset(message + 7, 0x80, sizeof(message) - 7);
	assert_int_equal(pack_decode(&job_type, &j, message, sizeof(message), &mem), ERR_TYPE);
	assert_true(mem.total < 150 * sizeof(message));
	arena_close(&mem);
}

static void nesting_is_bounded(void **state)
{
	uint8_t deep[200] = {0x81, 0x30};
	struct inner in;
	int levels;

	(void)state;
	for (levels = 63; levels <= 64; levels++) {
		memset(deep + 2, 0x91, sizeof(deep) - 2);
		deep[2 + levels] = 0xc0;
		assert_int_equal(pack_decode(&inner_type, &in, deep, (size_t)levels + 3, NULL),
				 levels == 63 ? 0 : ERR_SYNTAX);
	}
}

/* Decoding refuses what is no UTF-8, so it is not encoded: a text cut within a character loses that alone. */
static void what_is_no_text_is_replaced(void **state)
{
	static const char *const texts[][2] = {{"gr\xc3\xbc\xc3", "gr\xc3\xbc\xef\xbf\xbd"},
					       {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
					       {"a\xc0\x80z", "a\xc0\x80z"}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct arena mem = {0};
		struct buf out = {0};
		struct pair pair;
		struct node n;
		struct node back;

		object_init(&node_type, &n);
		n.name = texts[i][0];
		pair = (struct pair){texts[i][0], texts[i][0]};
		n.meta = (struct map){&pair, 1};
		pack_encode(&node_type, &n, &out);
		assert_int_equal(pack_decode(&node_type, &back, out.at, out.len, &mem), 0);
		assert_string_equal(back.name, texts[i][1]);
		assert_string_equal(back.meta.at[0].key, texts[i][1]);
		assert_string_equal(back.meta.at[0].value, texts[i][1]);
		buf_close(&out);
		arena_close(&mem);
	}
}

/* msgpack-c reads the same: the form is msgpack. */
static void it_is_msgpack(void **state)
{
	uint64_t s = seed;
	int k;

	(void)state;
	for (k = 0; k < ROUNDS; k++) {
		struct arena mem = {0};
		struct buf out = {0};
		msgpack_unpacked u;
		struct node n;

		random_object(&node_type, &n, &mem, &s, 4);
		pack_encode(&node_type, &n, &out);
		msgpack_unpacked_init(&u);
		assert_int_equal(msgpack_unpack_next(&u, out.at, out.len, NULL), MSGPACK_UNPACK_SUCCESS);
		assert_int_equal(u.data.type, MSGPACK_OBJECT_MAP);
		msgpack_unpacked_destroy(&u);
		buf_close(&out);
		arena_close(&mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_unpacks_the_same_and_only_one_way),
		cmocka_unit_test(in_short_it_is_the_same_and_no_longer),
		cmocka_unit_test(well_known_texts_have_numbers),
		cmocka_unit_test(the_bytes_of_every_kind_are_pinned),
		cmocka_unit_test(pieces_make_the_same_bytes),
		cmocka_unit_test(nothing_set_is_one_byte_and_brings_no_defaults),
		cmocka_unit_test(unknown_numbers_are_passed_over),
		cmocka_unit_test(what_is_no_message_of_ours_is_refused),
		cmocka_unit_test(a_message_that_is_cut_is_refused),
		cmocka_unit_test(a_small_message_cannot_take_much_memory),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(what_is_no_text_is_replaced),
		cmocka_unit_test(it_is_msgpack),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
