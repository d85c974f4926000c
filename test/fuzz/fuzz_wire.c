/* A message's body: decoded to something legal, which is encoded to the same bytes, or refused. */
#include "raft/wire.h"

#include <stdlib.h>
#include <string.h>

static void must(bool truth)
{
	if (!truth) {
		abort();
	}
}

/* The words, entries and data again. */
static void check_append(const struct raft_append_entries *a, const uint8_t *body, size_t size)
{
	const uint8_t *p = body + WIRE_WORDS * 8;

	for (unsigned i = 0; i < a->n_entries; i++, p += 16) {
		uint64_t e[2];

		wire_entry(&a->entries[i], e);
		must(memcmp(e, p, 16) == 0);
		must(i == 0 || a->entries[i].term >= a->entries[i - 1].term);
	}
	for (unsigned i = 0; i < a->n_entries; i++) {
		must(a->entries[i].buf.len == 0 || memcmp(a->entries[i].buf.base, p, a->entries[i].buf.len) == 0);
		p += a->entries[i].buf.len;
	}
	must(p == body + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_message m;

	if (wire_conf_valid(data, size)) {
		struct raft_buffer buf = {(void *)(uintptr_t)data, size};
		struct raft_configuration conf;

		must(raft_configuration_decode(&buf, &conf) == 0);
		raft_configuration_close(&conf);
	}
	if (wire_decode((const char *)data, size, &m) != 0) {
		return 0;
	}
	if (m.type == WIRE_RAFT && m.raft.type == RAFT_APPEND_ENTRIES) {
		check_append(&m.raft.append_entries, data, size);
	}
	wire_message_close(&m);
	return 0;
}
