/* A segment of the log as it may be found on disk: loaded to something legal, or refused. Built with checksums taken as
 * they come. */
#include "raft/journal_format.h"

#include "lib/log.h"

#include <raft.h>
#include <stdlib.h>
#include <string.h>

static void must(bool truth)
{
	if (!truth) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal j = {.start_index = 1, .next_index = 1};
	char text[JOURNAL_TEXT];
	struct load ld = {.j = &j, .text = text};
	struct journal_segment seg = {0};
	size_t end = 0;
	char *exact;
	bool last;
	int rc;

	log_set_level(LOG_OFF);
	if (size < 2) {
		return 0;
	}
	last = data[0] & 1;
	ld.synced = data[1] & 7;
	exact = malloc(size); /* So that AddressSanitizer sees a byte too far. */
	memcpy(exact, data + 2, size - 2);
	if (size - 2 >= sizeof(struct segment_header)) {
		memcpy(&seg.first_seq, exact + offsetof(struct segment_header, first_seq), sizeof(seg.first_seq));
	}
	rc = journal_load_records(&ld, exact, size - 2, last, &seg, &end);
	must(rc != 0 || end <= size - 2);
	for (size_t i = 0; i < j.n_entries; i++) {
		must(j.entries[i].term > 0 && j.entries[i].type >= RAFT_COMMAND && j.entries[i].type <= RAFT_CHANGE);
	}
	journal_load_truncate(&j, 0);
	raft_free(j.entries);
	free(exact);
	return 0;
}
