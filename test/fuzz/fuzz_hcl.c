/* HCL and JSON as configuration: any text is parsed or refused in bounded time; what parses prints as text that parses
 * and prints the same again, evaluates or fails, and is decoded into a job or refused; an object that a second parser
 * accepts as JSON is accepted. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/hcl.h"
#include "proto/hcl_decode.h"
#include "proto/hcl_eval.h"
#include "proto/job.h"

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static void eval_body(const struct hcl_body *body, struct arena *mem)
{
	const struct hcl_scope keep = {.keep_unknown = true};
	const struct hcl_item *item;

	for (item = body->first; item != NULL; item = item->next) {
		struct hcl_value v;
		struct hcl_error error;

		if (item->body != NULL) {
			eval_body(item->body, mem);
		} else if (hcl_eval(item->value, &keep, mem, &v, &error) == 0) {
			struct buf out = {0};

			hcl_value_json(&v, &out);
			check(hcl_equal(&v, &v), "a value differs from itself");
			buf_close(&out);
		} else {
			check(error.text[0] != '\0', "an error without a text");
		}
	}
}

static void check_round_trip(const struct hcl_body *body, struct arena *mem)
{
	struct buf first = {0};
	struct buf second = {0};
	struct hcl_body *again;
	struct hcl_error error;
	int rv;

	hcl_print(body, &first);
	rv = hcl_parse(buf_text(&first), first.len, mem, &again, &error);
	if (rv == ERR_SYNTAX) {
		fprintf(stderr, "%u, %u: %s in:\n%s\n", error.pos.line, error.pos.column, error.text, buf_text(&first));
	}
	check(rv == 0 || rv == ERR_TOOBIG, "what was printed does not parse");
	if (rv == 0) {
		hcl_print(again, &second);
		if (strcmp(buf_text(&first), buf_text(&second)) != 0) {
			fprintf(stderr, "%s\n---\n%s\n", buf_text(&first), buf_text(&second));
			check(false, "it prints otherwise");
		}
	}
	buf_close(&first);
	buf_close(&second);
}

/* A job that was decoded can be written as JSON. */
static void try_job(const struct hcl_body *body, struct arena *mem)
{
	struct hcl_report report = {.mem = mem, .file = "job.hcl"};
	struct buf out = {0};
	struct job job;
	int rv;

	object_init(&job_type, &job);
	rv = hcl_decode(&job_type, &job, body, NULL, mem, &report);
	check((rv == 0) == (report.errors == 0), "errors and the result differ");
	json_encode(&job_type, &job, &out);
	hcl_report_print(&report, &out);
	buf_close(&out);
}

static bool names_are_unique(const struct hcl_body *body)
{
	const struct hcl_item *a;
	const struct hcl_item *b;

	for (a = body->first; a != NULL; a = a->next) {
		for (b = a->next; b != NULL; b = b->next) {
			if (strcmp(a->name, b->name) == 0) {
				return false;
			}
		}
	}
	return true;
}

static void try_json(const char *text, size_t len, struct arena *mem)
{
	struct hcl_body *body;
	struct hcl_error error = {{0, 0}, ""};
	json_t *other = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	int rv = hcl_parse_json(text, len, mem, &body, &error);

	check(!json_is_object(other) || rv != ERR_SYNTAX || strstr(error.text, "too large") != NULL, "JSON is refused");
	json_decref(other);
	if (rv == 0) {
		eval_body(body, mem);
		try_job(body, mem);
		if (names_are_unique(body)) {
			check_round_trip(body, mem);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena mem = {0};
	struct hcl_body *body;
	struct hcl_error error = {{0, 0}, ""};
	int rv = hcl_parse((const char *)data, size, &mem, &body, &error);

	if (rv == 0) {
		eval_body(body, &mem);
		try_job(body, &mem);
		check_round_trip(body, &mem);
	} else {
		check(error.pos.line > 0 && error.text[0] != '\0', "an error without place or text");
	}
	try_json((const char *)data, size, &mem);
	arena_close(&mem);
	return 0;
}
