/* Any text as a cron expression: what parses must give moments that ascend, within the years that it has. */
#include <stdlib.h>
#include <string.h>

#include "proto/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Two hours ahead in the second half of each 182 days. */
static int64_t offset(void *ctx, int64_t unix_s)
{
	(void)ctx;
	return unix_s / (91 * 86400) % 2 * 7200;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	int64_t last = 1795336003;
	const char *why;
	struct cron c;
	int i;

	memcpy(text, data, n);
	text[n] = '\0';
	if (cron_parse(text, &c, &why) == 0) {
		for (i = 0; i < 20; i++) {
			int64_t next = cron_next(&c, last, i % 2 ? offset : NULL, NULL);

			if (next == -1) {
				break;
			}
			if (next <= last || (c.every_s == 0 && next > INT64_C(4102531200))) {
				abort();
			}
			last = next;
		}
	}
	free(text);
	return 0;
}
