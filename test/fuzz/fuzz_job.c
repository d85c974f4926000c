/* Any text as a job: defaults and validation must take whatever decodes, and defaults once more must change nothing. */
#include <stdlib.h>
#include <string.h>

#include "proto/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void defaults_again(const struct job *job, struct arena *mem)
{
	struct job again;

	if (object_copy(&job_type, &again, job, mem) != 0 || job_canonicalize(&again, mem) != 0) {
		abort();
	}
	/* A name that was given empty cannot be told from none in a copy. */
	if (*job->name != '\0' && !object_equal(&job_type, job, &again)) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	struct arena mem = {0};
	struct buf out = {0};
	struct job job;

	memcpy(text, data, n);
	text[n] = '\0';
	if (json_decode(&job_type, &job, text, n, &mem, NULL) == 0) {
		if (job_canonicalize(&job, &mem) != 0) {
			abort();
		}
		if (job_validate(&job, &out) != (out.len == 0)) {
			abort();
		}
		job_warnings(&job, false, &out);
		defaults_again(&job, &mem);
	}
	buf_close(&out);
	arena_close(&mem);
	free(text);
	return 0;
}
