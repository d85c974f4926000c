/* Fail every allocation in turn: each run must report it, and leave an object that can be released without a leak.
 * Linked with --wrap=malloc and --wrap=realloc. */
#include "test/unit/unit.h"

#include "proto/deployment.h"
#include "proto/diff.h"
#include "proto/error.h"

static long countdown = -1;
static bool hit;

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

static bool fails(void)
{
	if (countdown < 0 || countdown-- > 0) {
		return false;
	}
	hit = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static const char doc[] = "{\"ID\":\"a\",\"ID\":\"b\",\"Name\":\"x\\ny\",\"Datacenters\":[\"1\",\"2\",\"3\",\"4\","
			  "\"5\"],\"Meta\":{\"b\":\"2\",\"a\":\"1\",\"b\":\"3\"},"
			  "\"Payload\":\"AP8=\",\"Update\":{\"MaxParallel\":2},\"TaskGroups\":[{\"Name\":\"web\","
			  "\"Volumes\":{\"b\":{\"Source\":\"s\"},\"a\":{},"
			  "\"b\":{}},\"RestartPolicy\":{\"Mode\":\"delay\"},\"Tasks\":[{\"Name\":\"t\",\"Driver\":"
			  "\"exec\",\"Env\":{\"K\":\"v\"},"
			  "\"Config\":{\"b\":[\"\\u0041\"],\"a\":1,\"b\":2},\"Config\":[],\"Resources\":{\"CPU\":5,"
			  "\"Networks\":[{\"DNS\":{\"Servers\":[\"x\"]}}]}},{},{}]}]}";

struct input {
	struct job job;
	struct buf packed;
};

typedef int (*operation)(const struct input *in, struct job *out, struct arena *mem);

static int decode_json(const struct input *in, struct job *out, struct arena *mem)
{
	(void)in;
	return json_decode(&job_type, out, doc, sizeof(doc) - 1, mem, NULL);
}

static int decode_packed(const struct input *in, struct job *out, struct arena *mem)
{
	return pack_decode(&job_type, out, in->packed.at, in->packed.len, mem);
}

static int copy(const struct input *in, struct job *out, struct arena *mem)
{
	return object_copy(&job_type, out, &in->job, mem);
}

/* Returns how many allocations the operation makes. */
static long fail_each(const struct input *in, operation run, bool with_arena)
{
	long n = 0;
	int rv;

	do {
		struct arena mem = {0};
		struct job out;

		hit = false;
		countdown = n++;
		rv = run(in, &out, with_arena ? &mem : NULL);
		countdown = -1;
		assert_int_equal(rv, hit ? ERR_NOMEM : 0);
		if (rv == 0) {
			assert_true(object_equal(&job_type, &out, &in->job));
		}
		if (!with_arena) {
			object_free(&job_type, &out);
		}
		arena_close(&mem);
	} while (rv != 0);
	return n - 1;
}

static void every_allocation_may_fail(void **state)
{
	static const operation operations[] = {decode_json, decode_packed, copy};
	struct input in = {.packed = {0}};
	size_t i;

	(void)state;
	assert_int_equal(decode_json(NULL, &in.job, NULL), 0);
	pack_encode(&job_type, &in.job, &in.packed);
	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		assert_true(fail_each(&in, operations[i], false) > 20);
		assert_true(fail_each(&in, operations[i], true) > 0);
	}
	object_free(&job_type, &in.job);
	buf_close(&in.packed);
}

/* A job that was decoded before anything fails. */
static int canonicalize(const struct input *in, struct job *out, struct arena *mem)
{
	long n = countdown;
	int rv;

	(void)in;
	countdown = -1;
	assert_int_equal(decode_json(NULL, out, mem), 0);
	mem->next = mem->end; /* So that the next piece needs a new chunk. */
	countdown = n;
	rv = job_canonicalize(out, mem);
	return rv;
}

static void defaults_and_validation_may_fail_too(void **state)
{
	struct arena mem = {0};
	struct job j;
	long n;

	(void)state;
	for (n = 0;; n++) {
		struct arena one = {0};
		int rv;

		hit = false;
		countdown = n;
		rv = canonicalize(NULL, &j, &one);
		countdown = -1;
		assert_int_equal(rv, hit ? ERR_NOMEM : 0);
		arena_close(&one);
		if (rv == 0) {
			break;
		}
	}
	assert_true(n > 0);
	assert_int_equal(canonicalize(NULL, &j, &mem), 0);
	for (n = 0; n < 200; n++) { /* The job is not valid: that must come out whatever can be told of it. */
		struct buf out = {0};

		countdown = n;
		assert_false(job_validate(&j, &out));
		countdown = -1;
		buf_close(&out);
	}
	arena_close(&mem);
}

static void a_diff_may_fail_too(void **state)
{
	static const char other[] =
		"{\"ID\":\"b\",\"Constraints\":[{}],\"TaskGroups\":[{\"Name\":\"web\",\"Tasks\":[{\"Name\":\"t\","
		"\"Config\":{\"x\":[1,\"2\"]}}]}]}";
	struct arena mem = {0};
	struct job a;
	struct job b;
	long n = 0;
	int rv;

	(void)state;
	assert_int_equal(decode_json(NULL, &a, &mem), 0);
	assert_int_equal(json_decode(&job_type, &b, other, sizeof(other) - 1, &mem, NULL), 0);
	do {
		struct arena one = {0};
		struct job_diff d;

		hit = false;
		countdown = n++;
		rv = job_diff(&a, &b, true, &one, &d);
		countdown = -1;
		assert_int_equal(rv, hit ? ERR_NOMEM : 0);
		arena_close(&one);
	} while (rv != 0);
	assert_true(n > 3);
	arena_close(&mem);
}

static void a_buffer_without_memory_has_failed(void **state)
{
	struct buf out = {0};
	struct job j;

	(void)state;
	assert_int_equal(decode_json(NULL, &j, NULL), 0);
	countdown = 0;
	json_encode(&job_type, &j, &out);
	assert_true(out.failed);
	buf_close(&out);
	countdown = 0;
	pack_encode(&job_type, &j, &out);
	assert_true(out.failed);
	countdown = -1;
	buf_close(&out);
	object_free(&job_type, &j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(defaults_and_validation_may_fail_too),
		cmocka_unit_test(a_diff_may_fail_too),
		cmocka_unit_test(a_buffer_without_memory_has_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
