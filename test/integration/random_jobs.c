/* Random valid jobs for tests of real servers: `random_jobs N SEED` writes N of them, a line of JSON each. */
#include <stdio.h>
#include <stdlib.h>

#include "test/unit/proto/random_job.h"

int main(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[1]) : 0;
	uint64_t state = argc == 3 ? strtoull(argv[2], NULL, 0) : 0;

	if (n <= 0) {
		fputs("usage: random_jobs N SEED\n", stderr);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		struct buf job = {0};
		char id[32];

		snprintf(id, sizeof(id), "random-%d", i);
		random_job(&state, id, &job);
		puts(buf_text(&job));
		buf_close(&job);
	}
	return 0;
}
