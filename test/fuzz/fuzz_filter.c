/* Any text as a filter: compiled or refused, and then matched with a full and an empty job. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/filter.h"
#include "proto/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char sample[] = "{\"ID\":\"web\",\"Datacenters\":[\"dc1\"],\"Meta\":{\"a\":\"b\"},\"TaskGroups\":[{\"Name\":\"g\","
			     "\"Volumes\":{\"v\":{\"Source\":\"s\"}},\"Tasks\":[{\"Name\":\"t\",\"Env\":{\"K\":\"v\"}}]}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena mem = {0};
	char why[FILTER_WHY] = "";
	uint64_t cost = 0;
	bool yes;
	struct filter *f;
	struct job full;
	struct job none;
	char *text = arena_strndup(&mem, (const char *)data, len);
	int rv = filter_compile(text, &job_type, &mem, &f, why);

	if (rv != 0 && (why[0] == '\0' || (rv != ERR_SYNTAX && rv != ERR_NOTFOUND))) {
		abort();
	}
	if (rv == 0) {
		object_init(&job_type, &none);
		if (json_decode(&job_type, &full, sample, sizeof(sample) - 1, &mem, NULL) != 0) {
			abort();
		}
		rv = filter_match(f, &full, &cost, &yes);
		if (rv != 0 && rv != ERR_TOOBIG) {
			abort();
		}
		rv = filter_match(f, &none, &cost, &yes);
		if (rv != 0 && rv != ERR_TOOBIG) {
			abort();
		}
	}
	arena_close(&mem);
	return 0;
}
