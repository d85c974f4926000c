/* Fail every allocation of a parse and a decode in turn: each run must report it and leave nothing behind.
 * Linked with --wrap=malloc and --wrap=realloc. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/hcl_decode.h"
#include "proto/job.h"

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

static const char group[] =
	"group \"g%d\" {\n count = 1 + %d\n meta { a = \"x${1}y\", b = [for v in [1]: v][0] }\n"
	" volume \"v\" {}\n task \"t\" {\n  config {\n   args = [\"a\", <<-X\n    b\n   X\n   ]\n  }\n"
	"  kill_timeout = \"5s\"\n } }\n";

/* Large enough for the arena to grow a few times. */
static const char *make_text(struct buf *text)
{
	int i;

	for (i = 0; i < 40; i++) {
		buf_printf(text, group, i, i);
	}
	return buf_text(text);
}

static int run(const char *text)
{
	struct arena mem = {0};
	struct hcl_report report = {.mem = &mem, .file = "x"};
	struct hcl_body *body;
	struct hcl_error error;
	struct job job;
	int rv = hcl_parse(text, strlen(text), &mem, &body, &error);

	if (rv == 0) {
		object_init(&job_type, &job);
		rv = hcl_decode(&job_type, &job, body, NULL, &mem, &report);
	}
	arena_close(&mem);
	return rv;
}

static void every_failed_allocation_is_reported(void **state)
{
	struct buf text = {0};
	const char *doc = make_text(&text);
	long n;

	(void)state;
	assert_int_equal(run(doc), 0);
	for (n = 0;; n++) {
		int rv;

		hit = false;
		countdown = n;
		rv = run(doc);
		countdown = -1;
		if (!hit) {
			assert_int_equal(rv, 0);
			break;
		}
		assert_int_equal(rv, ERR_NOMEM);
	}
	assert_true(n > 20);
	buf_close(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failed_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
