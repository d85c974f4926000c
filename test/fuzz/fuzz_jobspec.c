/* Job files: any text is a job or refused, in bounded time; a job that was parsed is the same after a way through JSON,
 * and what is told of faults names the file. The values of variables are what stands behind a line of three dashes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec.h"

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

static void check_round_trip(const struct job *job, struct arena *mem)
{
	struct buf first = {0};
	struct buf second = {0};
	struct fault fault = {"", ""};
	struct job again;

	json_encode_given(&job_type, job, &first);
	if (json_decode(&job_type, &again, buf_text(&first), first.len, mem, &fault) != 0) {
		/* Numbers of the job language go further than the API's. */
		check(fault.why[0] != '\0', "a fault without a reason");
	} else {
		json_encode_given(&job_type, &again, &second);
		check(strcmp(buf_text(&first), buf_text(&second)) == 0, "the job is another after a way through JSON");
	}
	buf_close(&first);
	buf_close(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *split = size > 0 ? memmem(text, size, "\n---\n", 5) : NULL;
	struct jobspec_source source = {.text = text, .len = size, .name = "job.hcl", .variables_name = "job.vars"};
	struct arena mem = {0};
	struct buf why = {0};
	struct job job;
	int rv;

	if (split != NULL) {
		source.len = (size_t)(split - text);
		source.variables = split + 5;
		source.variables_len = size - source.len - 5;
	}
	rv = jobspec_parse(&source, &mem, &job, &why);
	check((rv == 0) == (why.len == 0), "the result and the faults differ");
	check(rv == 0 || strncmp(buf_text(&why), "job.", 4) == 0, "a fault without a file");
	if (rv == 0) {
		check_round_trip(&job, &mem);
	}
	buf_close(&why);
	arena_close(&mem);
	return 0;
}
