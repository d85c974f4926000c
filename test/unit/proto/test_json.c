#include "test/unit/unit.h"

#include <inttypes.h>

#include "proto/error.h"
#include "proto/jsonin.h"
#include "test/unit/proto/all_types.h"
#include "test/unit/proto/kinds.h"
#include "test/unit/proto/random_object.h"

#define TYPE_ROW(name) &name##_type,
static const struct type *const types[] = {ALL_TYPES(TYPE_ROW)};
enum { TYPES = sizeof(types) / sizeof(types[0]), ROUNDS = 40 };

OBJECT_DEFINE(inner, INNER_FIELDS);
OBJECT_DEFINE(kinds, KINDS_FIELDS);

static uint64_t seed;

static void every_kind_is_written_as_the_api_has_it(void **state)
{
	static const char text[] = "{\"B\":true,\"I\":-5,\"Dur\":90000000000,\"Num\":0.1,\"Time\":\"2017-05-25T23:41:"
				   "23.24Z\",\"Str\":\"x\",\"Bytes\":"
				   "\"AP8=\",\"Any\":{\"a\":[1,2]},\"Ob\":false,\"Oi\":0,\"Od\":1,\"Strs\":[\"b\","
				   "\"a\"],\"Ints\":[3,-1],\"Map\":{\"k\":"
				   "\"v\"},\"Intmap\":{\"k\":7},\"Nummap\":{\"k\":1.5},\"Boolmap\":{\"k\":true},"
				   "\"Obj\":{\"Name\":\"none\",\"Count\":1},"
				   "\"List\":[{\"Name\":\"n\",\"Count\":0}],\"Objmap\":{\"k\":{\"Name\":\"none\","
				   "\"Count\":2}},\"Omitted\":\"o\","
				   "\"AnyBrackets\":[]}";
	static const char in[] =
		" { \"b\" : true, \"I\":-5 "
		",\"Dur\":\"1m30s\",\"Num\":1e-1,\"Time\":\"2017-05-26T01:41:23.240+02:00\",\"Str\":\"\\u0078\","
		"\"Bytes\":\"AP8=\",\"Any\": { \"a\" : [ 1 , 2 ] } "
		",\"Ob\":false,\"Oi\":0,\"Od\":\"1ns\",\"Strs\":[\"b\",\"a\"],"
		"\"Ints\":[3,-1],\"Map\":{\"k\":\"v\"},\"Intmap\":{\"k\":7},\"Nummap\":{\"k\":1.5},\"Boolmap\":{\"k\":"
		"true},\"Obj\":{},"
		"\"List\":[{\"Name\":\"n\",\"Count\":0}],\"Objmap\":{\"k\":{\"Count\":2}},\"Omitted\":\"o\","
		"\"AnyBrackets\":[]}\n";
	static const char empty[] =
		"{\"B\":false,\"I\":0,\"Dur\":0,\"Num\":0,\"Time\":null,\"Str\":\"\",\"Bytes\":null,\"Any\":null,"
		"\"Ob\":null,"
		"\"Oi\":null,\"Od\":null,\"Strs\":null,\"Ints\":[],\"Map\":null,\"Intmap\":null,\"Nummap\":null,"
		"\"Boolmap\":{},\"Obj\":null,\"List\":null,\"Objmap\":null,\"AnyBrackets\":{}}";
	struct buf out = {0};
	struct fault f;
	struct kinds k;

	(void)state;
	assert_int_equal(json_decode(&kinds_type, &k, in, sizeof(in) - 1, NULL, &f), 0);
	json_encode(&kinds_type, &k, &out);
	assert_string_equal(buf_text(&out), text);
	object_free(&kinds_type, &k);
	out.len = 0;
	object_init(&kinds_type, &k);
	json_encode(&kinds_type, &k, &out);
	assert_string_equal(buf_text(&out), empty);
	buf_close(&out);
}

static void what_is_written_reads_back_the_same(void **state)
{
	uint64_t s = seed;
	int i;
	int k;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		void *a = malloc(types[i]->size);
		void *b = malloc(types[i]->size);

		for (k = 0; k < ROUNDS; k++) {
			struct arena mem = {0};
			struct buf out = {0};
			struct buf pretty = {0};
			struct fault f;

			random_object(types[i], a, &mem, &s, 3);
			json_encode(types[i], a, &out);
			if (json_decode(types[i], b, buf_text(&out), out.len, k % 2 ? &mem : NULL, &f) != 0) {
				fail_msg("%s: %s %s", types[i]->name, f.path, f.why);
			}
			assert_true(object_equal(types[i], a, b));
			if (k % 2 == 0) {
				object_free(types[i], b);
			}
			json_pretty(buf_text(&out), out.len, &pretty);
			assert_int_equal(json_decode(types[i], b, buf_text(&pretty), pretty.len, &mem, &f), 0);
			pretty.len = 0;
			json_encode(types[i], b, &pretty);
			assert_string_equal(buf_text(&pretty), buf_text(&out));
			buf_close(&out);
			buf_close(&pretty);
			arena_close(&mem);
		}
		free(a);
		free(b);
	}
}

static void a_text_that_is_cut_is_refused(void **state)
{
	uint64_t s = seed;
	struct arena mem = {0};
	struct buf out = {0};
	struct job a;
	struct job b;
	size_t n;

	(void)state;
	random_object(&job_type, &a, &mem, &s, 4);
	json_encode(&job_type, &a, &out);
	for (n = 0; n < out.len; n += 1 + out.len / 2000) {
		char *cut = malloc(n + 1); /* On the heap, so that a sanitizer sees a step too far. */

		memcpy(cut, out.at, n);
		cut[n] = '\0';
		assert_int_not_equal(json_decode(&job_type, &b, cut, n, NULL, NULL), 0);
		object_free(&job_type, &b);
		free(cut);
	}
	buf_close(&out);
	arena_close(&mem);
}

static void faults_are_told_with_their_place(void **state)
{
	static const struct {
		const char *text;
		int rv;
		const char *path;
		const char *why;
	} cases[] = {
		{"{\"TaskGroups\":[{},{\"Count\":\"two\"}]}", ERR_TYPE, "TaskGroups[1].Count", "must be an integer"},
		{"{\"TaskGroups\":[{\"Tasks\":[{\"Env\":{\"K\":1}}]}]}", ERR_TYPE, "TaskGroups[0].Tasks[0].Env[K]",
		 "must be a string"},
		{"{\"ID\":5}", ERR_TYPE, "ID", "must be a string"},
		{"{\"AllAtOnce\":1}", ERR_TYPE, "AllAtOnce", "must be true or false"},
		{"{\"Priority\":5.0}", ERR_TYPE, "Priority", "must be an integer"},
		{"{\"Priority\":2e3}", ERR_TYPE, "Priority", "must be an integer"},
		{"{\"Priority\":9223372036854775808}", ERR_TYPE, "Priority", "is out of range"},
		{"{\"Priority\":-9223372036854775809}", ERR_TYPE, "Priority", "is out of range"},
		{"{\"Priority\":123456789012345678901}", ERR_TYPE, "Priority", "is out of range"},
		{"{\"Priority\":01}", ERR_SYNTAX, "Priority", "bad number at byte 14"},
		{"{\"Datacenters\":{}}", ERR_TYPE, "Datacenters", "must be a list"},
		{"{\"Datacenters\":[\"a\",1]}", ERR_TYPE, "Datacenters[1]", "must be a string"},
		{"{\"Meta\":[]}", ERR_TYPE, "Meta", "must be an object"},
		{"{\"TaskGroups\":[null]}", ERR_TYPE, "TaskGroups[0]", "must be an object"},
		{"{\"Payload\":\"!!!\"}", ERR_TYPE, "Payload", "illegal base64 data at input byte 0"},
		{"{\"Payload\":\"A28C3==\"}", ERR_TYPE, "Payload", "illegal base64 data at input byte 5"},
		{"{\"TaskGroups\":[{\"ShutdownDelay\":\"1x\"}]}", ERR_TYPE, "TaskGroups[0].ShutdownDelay",
		 "must be a duration, like \"1m30s\""},
		{"{} x", ERR_SYNTAX, "", "text after the end at byte 3"},
		{"{\"X\":[1,]}", ERR_SYNTAX, "", "expected a value at byte 8"},
		{"{\"ID\":\"a\",}", ERR_SYNTAX, "", "expected a name at byte 10"},
		{"{\"ID\" \"a\"}", ERR_SYNTAX, "", "expected a colon at byte 6"},
		{"{\"ID\":\"\\x\"}", ERR_SYNTAX, "ID", "bad escape at byte 7"},
		{"{\"ID\":\"\t\"}", ERR_SYNTAX, "ID", "control character in a string at byte 7"},
		{"{\"ID\":", ERR_SYNTAX, "ID", "the text ends early at byte 6"},
		{"", ERR_SYNTAX, "", "the text ends early at byte 0"},
		{"[]", ERR_TYPE, "", "must be an object"},
		{"null", ERR_TYPE, "", "must be an object"},
		{"{\"X\":nul}", ERR_SYNTAX, "", "expected a value at byte 5"},
		{"{\"X\":1e999}", ERR_TYPE, "", "is out of range"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault f;
		struct job j;

		assert_int_equal(json_decode(&job_type, &j, cases[i].text, strlen(cases[i].text), NULL, &f),
				 cases[i].rv);
		assert_string_equal(f.path, cases[i].path);
		assert_string_equal(f.why, cases[i].why);
		object_free(&job_type, &j);
	}
}

static void check(const char *in, const char *want)
{
	struct buf out = {0};
	struct fault f;
	struct kinds k;
	char text[2048];
	int n = snprintf(text, sizeof(text), "{%s}", in);

	if (json_decode(&kinds_type, &k, text, (size_t)n, NULL, &f) != 0) {
		fail_msg("%s: %s %s", text, f.path, f.why);
	}
	json_encode(&kinds_type, &k, &out);
	if (strstr(buf_text(&out), want) == NULL) {
		fail_msg("%s is not in %s", want, buf_text(&out));
	}
	object_free(&kinds_type, &k);
	buf_close(&out);
}

static void strings_come_out_as_they_are_meant(void **state)
{
	(void)state;
	check("\"Str\":\"a\\u0000b\"", "\"Str\":\"a\\u0000b\"");
	check("\"Str\":\"caf\\u00e9 \\ud83d\\ude00\"", "\"Str\":\"caf\xc3\xa9 \xf0\x9f\x98\x80\"");
	check("\"Str\":\"\\ud800x\"", "\"Str\":\"\xef\xbf\xbdx\"");
	check("\"Str\":\"\\ud800\\u0041\"", "\"Str\":\"\xef\xbf\xbd"
					    "A\"");
	check("\"Str\":\"\\udc00\\ud800\\udc00\"", "\"Str\":\"\xef\xbf\xbd\xf0\x90\x80\x80\"");
	check("\"Str\":\"\xff"
	      "a\xc0\x80 twelve bytes more\"",
	      "\"Str\":\"\xef\xbf\xbd"
	      "a\xef\xbf\xbd\xef\xbf\xbd twelve bytes more\"");
	check("\"Str\":\"\xe2\x80\xa8 <&> \\/ \\\\ \\\" \\b\\f\\n\\r\\t\\u001f\x7f\"",
	      "\"Str\":\"\xe2\x80\xa8 <&> / \\\\ \\\" \\b\\f\\n\\r\\t\\u001f\x7f\"");
	check("\"Str\":\"cut \xe2\x80\"", "\"Str\":\"cut \xef\xbf\xbd\xef\xbf\xbd\"");
}

static void names_match_exactly_or_without_case_and_the_last_value_counts(void **state)
{
	(void)state;
	check("\"str\":\"a\"", "\"Str\":\"a\"");
	check("\"S\\u0074r\":\"a\"", "\"Str\":\"a\"");
	check("\"Str\":\"a\",\"STR\":\"b\"", "\"Str\":\"b\"");
	check("\"Str\":\"a\",\"Str\":null", "\"Str\":\"a\"");
	check("\"Strs\":[\"a\",\"b\"],\"Strs\":[\"c\"]", "\"Strs\":[\"c\"]");
	check("\"Obj\":{\"Count\":5},\"Obj\":{\"Name\":\"x\"}", "\"Obj\":{\"Name\":\"x\",\"Count\":1}");
	check("\"Bytes\":\"AAAA\",\"Bytes\":\"AP8=\"", "\"Bytes\":\"AP8=\"");
	check("\"Any\":[1],\"Any\":[2]", "\"Any\":[2]");
	check("\"Map\":{\"b\":\"1\",\"a\":\"2\",\"b\":\"3\",\"c\":null}",
	      "\"Map\":{\"a\":\"2\",\"b\":\"3\",\"c\":\"\"}");
	check("\"Objmap\":{\"b\":{},\"a\":{\"Count\":2},\"b\":{\"Count\":3}}",
	      "\"Objmap\":{\"a\":{\"Name\":\"none\",\"Count\":2},\"b\":{\"Name\":\"none\",\"Count\":3}}");
	check("\"Strs\":[null,\"a\"],\"Ints\":[null]", "\"Strs\":[\"\",\"a\"],\"Ints\":[0]");
}

static void any_value_has_one_form(void **state)
{
	(void)state;
	check("\"Any\": [ 1.0 , \"\\u0041\\/\" , { \"b\" : 1, \"a\":{\"z\":null,\"y\":[ ]} } ]",
	      "\"Any\":[1,\"A/\",{\"a\":{\"y\":[],\"z\":null},\"b\":1}]");
	check("\"Any\":{\"b\":1,\"a\":2,\"b\":3,\"ab\":4,\"\\u0061\":5}", "\"Any\":{\"a\":5,\"ab\":4,\"b\":3}");
	check("\"Any\":{\"a\":1,\"a\":2}", "\"Any\":{\"a\":2}");
	check("\"Any\":[1.50,2e3,-0.10,1E-2,12345678901234567890123]",
	      "\"Any\":[1.5,2000,-0.1,0.01,12345678901234567890123]");
	check("\"Any\":\"\xff\"", "\"Any\":\"\xef\xbf\xbd\"");
	check("\"Any\":null", "\"Any\":null");
}

static void numbers_are_written_as_short_as_they_can_be(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {{"0.1", "0.1"},
		     {"-0", "0"},
		     {"-0.0", "0"},
		     {"1e20", "1e+20"},
		     {"3.0", "3"},
		     {"1e2", "100"},
		     {"0.30000000000000004", "0.30000000000000004"},
		     {"5e-324", "4.94065645841247e-324"},
		     {"1.7976931348623157e308", "1.7976931348623157e+308"}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char in[64];
		char out[64];

		snprintf(in, sizeof(in), "\"Num\":%s", cases[i].in);
		snprintf(out, sizeof(out), "\"Num\":%s,", cases[i].out);
		check(in, out);
	}
}

static int decode(const char *text, size_t len, struct arena *mem, struct fault *f)
{
	struct kinds k;
	int rv = json_decode(&kinds_type, &k, text, len, mem, f);

	if (mem == NULL) {
		object_free(&kinds_type, &k);
	}
	return rv;
}

static void nesting_is_bounded(void **state)
{
	struct buf text = {0};
	struct fault f;
	int levels;
	int i;

	(void)state;
	for (levels = 63; levels <= 64; levels++) {
		text.len = 0;
		buf_str(&text, "{\"Unknown\":");
		for (i = 0; i < levels; i++) {
			buf_byte(&text, '[');
		}
		buf_byte(&text, '1');
		for (i = 0; i < levels; i++) {
			buf_byte(&text, ']');
		}
		buf_byte(&text, '}');
		assert_int_equal(decode(buf_text(&text), text.len, NULL, &f), levels == 63 ? 0 : ERR_SYNTAX);
		memcpy(text.at + 2, "Any\":  ", 7);
		memset(text.at + 7, ' ', 4);
		assert_int_equal(decode(buf_text(&text), text.len, NULL, &f), levels == 63 ? 0 : ERR_SYNTAX);
	}
	assert_string_equal(f.why, "nested too deeply at byte 75");
	buf_close(&text);
}

/* Each {} of three bytes would make a task of hundreds. */
static void a_small_text_cannot_take_much_memory(void **state)
{
	struct buf text = {0};
	struct arena mem = {0};
	struct fault f;
	struct job j;
	int i;

	(void)state;
	buf_str(&text, "{\"TaskGroups\":[{\"Tasks\":[{}");
	for (i = 0; i < 1000000; i++) {
		buf_str(&text, ",{}");
	}
	buf_str(&text, "]}]}");
	assert_int_equal(json_decode(&job_type, &j, buf_text(&text), text.len, &mem, &f), ERR_TYPE);
	assert_string_equal(f.why, "would need too much memory for its size");
	assert_true(mem.total < 200 * text.len);
	assert_int_equal(json_decode(&job_type, &j, buf_text(&text), text.len, NULL, &f), ERR_TYPE);
	object_free(&job_type, &j);
	arena_close(&mem);
	buf_close(&text);
}

static void maps_without_order_are_sorted_in_good_time(void **state)
{
	struct buf text = {0};
	struct kinds k;
	int i;

	(void)state;
	buf_str(&text, "{\"Map\":{");
	for (i = 100000; i > 0; i--) {
		buf_printf(&text, "\"%d\":\"x\",", i);
	}
	buf_str(&text, "\"5\":\"last\"}}");
	assert_int_equal(json_decode(&kinds_type, &k, buf_text(&text), text.len, NULL, NULL), 0);
	assert_int_equal(k.map.n, 100000);
	for (i = 1; i < (int)k.map.n; i++) {
		assert_true(strcmp(k.map.at[i - 1].key, k.map.at[i].key) < 0);
		assert_true(strcmp(k.map.at[i].key, "5") != 0 || strcmp(k.map.at[i].value, "last") == 0);
	}
	object_free(&kinds_type, &k);
	buf_close(&text);
}

static void broken_text_is_made_good_in_good_time(void **state)
{
	const size_t n = 4000000;
	char *text = malloc(n + 11);
	struct kinds k;

	(void)state;
	memcpy(text, "{\"Str\":\"", 8);
	memset(text + 8, 0xff, n);
	strcpy(text + 8 + n, "\"}");
	assert_int_equal(json_decode(&kinds_type, &k, text, n + 10, NULL, NULL), 0);
	assert_int_equal(strlen(k.str), 3 * n);
	object_free(&kinds_type, &k);
	free(text);
}

static void pretty_text_is_indented_by_four(void **state)
{
	static const char in[] = "{\"a\":[1,{\"b\":\"x,{\\\"\"}],\"c\":{},\"d\":[ ],\"e\":null}";
	static const char out[] = "{\n    \"a\": [\n        1,\n        {\n            \"b\": \"x,{\\\"\"\n        }\n "
				  "   ],\n    \"c\": {},\n"
				  "    \"d\": [],\n    \"e\": null\n}\n";
	struct buf b = {0};

	(void)state;
	json_pretty(in, sizeof(in) - 1, &b);
	assert_string_equal(buf_text(&b), out);
	buf_close(&b);
}

static void base64_is_strict(void **state)
{
	static const struct {
		const char *text;
		int64_t n;
	} cases[] = {{"", 0},         {"AA==", 1},   {"AAA=", 2},      {"AAAA", 3},  {"AAAAAA==", 4}, {"AA\nAA\r\n", 3},
		     {"AA=\n=\n", 1}, {"A", -2},     {"AA", -3},       {"AA=", -3},  {"A===", -2},    {"AA=A", -4},
		     {"AAA==", -5},   {"AAAA=", -5}, {"AA==AA==", -5}, {"AA-_", -3}, {"AA A", -3},    {"=", -1}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char tmp[32];

		strcpy(tmp, cases[i].text);
		assert_int_equal(base64_decode(tmp, strlen(tmp)), cases[i].n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_written_as_the_api_has_it),
		cmocka_unit_test(what_is_written_reads_back_the_same),
		cmocka_unit_test(a_text_that_is_cut_is_refused),
		cmocka_unit_test(faults_are_told_with_their_place),
		cmocka_unit_test(strings_come_out_as_they_are_meant),
		cmocka_unit_test(names_match_exactly_or_without_case_and_the_last_value_counts),
		cmocka_unit_test(any_value_has_one_form),
		cmocka_unit_test(numbers_are_written_as_short_as_they_can_be),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_small_text_cannot_take_much_memory),
		cmocka_unit_test(maps_without_order_are_sorted_in_good_time),
		cmocka_unit_test(broken_text_is_made_good_in_good_time),
		cmocka_unit_test(pretty_text_is_indented_by_four),
		cmocka_unit_test(base64_is_strict),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
