/* Fail every allocation of a job file's parsing in turn: each run must report it and leave nothing behind.
 * Linked with --wrap=malloc, --wrap=calloc and --wrap=realloc. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/jobspec.h"

static long countdown = -1;
static bool hit;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
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

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static const char head[] =
	"variable \"n\" {\n type = object({a = number, b = optional(list(string), [\"x\"])})\n"
	" validation {\n condition = var.n.a > 0\n error_message = \"bad\"\n }\n}\n"
	"locals {\n l = [for x in var.n.b: \"${x}-${local.m}\"]\n m = try(nothing.x + 1, 7)\n}\n"
	"job \"j\" {\n vault { role = \"r\" }\n constraint { distinct_hosts = true }\n task \"alone\" {}\n"
	" meta {\n a = format(\"%05.2f %q %v\", 1.5, \"x\", [1])\n b = join(\",\", formatlist(\"%d\", range(3)))\n"
	" c = regex_replace(\"a(b)c\", \"(?P<x>[a-c]|d)+?\", \"$1$${x}\")\n d = jsonencode(csvdecode(\"a,b\\n1,2\"))\n"
	" e = jsondecode(\"[1]\")[0]\n f = upper(replace(base64encode(\"x\"), \"=\", \"\"))\n g = uuidv4()\n"
	" h = cidrsubnets(\"10.0.0.0/8\", 4, 4)[1]\n i = formatdate(\"YYYY\", timeadd(\"2018-01-02T23:12:01Z\", \"1h\"))\n"
	" j = element(sort(keys(merge({a = 1}, zipmap([\"k\"], [2])))), 0)\n k = flatten(setproduct(toset([1]), [2]))[0]\n"
	" m = regexall(\"(a)|b\", \"ab\")[0][0]\n }\n";
static const char group[] =
	" dynamic \"group\" {\n for_each = local.l\n labels = [\"g%d-${group.value}\"]\n content {\n"
	" task \"t\" {\n config { check \"c\" { a = \"${meta[group.value]}\" } }\n"
	" identity { name = \"w\" } } } }\n";

static const char *make_text(struct buf *text)
{
	int i;

	buf_str(text, head);
	for (i = 0; i < 20; i++) {
		buf_printf(text, group, i);
	}
	buf_str(text, "}");
	return buf_text(text);
}

static int run(const char *text, const char *values)
{
	const struct jobspec_source source = {
		.text = text,
		.len = strlen(text),
		.name = "j",
		.variables = values,
		.variables_len = strlen(values),
		.variables_name = "v",
	};
	struct arena mem = {0};
	struct buf why = {0};
	struct job job;
	int rv = jobspec_parse(&source, &mem, &job, &why);

	if (rv == ERR_INVALID && countdown < 0 && !hit) {
		print_error("%s\n", buf_text(&why));
	}
	buf_close(&why);
	arena_close(&mem);
	return rv;
}

/* The allocations are told, whatever else there would be to tell. */
static void check_all(const char *doc, const char *values, int want)
{
	long n;

	assert_int_equal(run(doc, values), want);
	for (n = 0;; n++) {
		int rv;

		hit = false;
		countdown = n;
		rv = run(doc, values);
		countdown = -1;
		if (!hit) {
			assert_int_equal(rv, want);
			break;
		}
		if (rv != ERR_NOMEM) {
			fail_msg("allocation %ld: %d", n, rv);
		}
	}
	assert_true(n > 10);
}

static void every_failed_allocation_is_reported(void **state)
{
	struct buf text = {0};
	const char *doc = make_text(&text);

	(void)state;
	check_all(doc, "n = {a = \"2\"}", 0);
	buf_close(&text);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_failed_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
