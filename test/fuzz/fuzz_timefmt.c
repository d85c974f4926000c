/* Any text as a duration and as a time: what is read must be written and read back as the same. */
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *exact = malloc(n > 0 ? n : 1); /* Not closed by a zero: nothing may be read behind it. */
	char out[DURATION_TEXT];
	char when[TIME_TEXT];
	int64_t v;
	int64_t back;

	memcpy(exact, data, n);
	if (duration_parse(exact, n, &v) && (!duration_parse(out, duration_format(v, out), &back) || back != v)) {
		abort();
	}
	if (time_parse(exact, n, &v) && (!time_parse(when, time_format(v, when), &back) || back != v)) {
		abort();
	}
	free(exact);
	return 0;
}
