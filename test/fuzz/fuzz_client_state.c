/* A node's local state from any bytes: refused or read, never a crash; what is read is written alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "client/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The fuzzer cannot guess a hash: it makes the payload of one slot and all of the other, we the head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t payload = size / 2;
	struct arena mem = {0};
	struct saved_alloc saved;
	struct buf file = {0};
	struct buf again = {0};
	uint32_t head[2] = {1, (uint32_t)payload};
	uint64_t tail[2] = {2, XXH3_64bits_withSeed(data, payload, 2)};

	buf_put(&file, "drvalloc", 8);
	buf_put(&file, head, sizeof(head));
	buf_put(&file, tail, sizeof(tail));
	buf_put(&file, data, payload);
	buf_put(&file, data + payload, size - payload);
	while (file.len < 2 * (32 + payload)) {
		buf_byte(&file, 0);
	}
	if (state_decode(file.at, file.len, &saved, &mem) == 0) {
		struct saved_alloc twice;

		pack_encode(&saved_alloc_type, &saved, &again);
		if (again.failed || pack_decode(&saved_alloc_type, &twice, again.at, again.len, &mem) != 0 ||
		    !object_equal(&saved_alloc_type, &saved, &twice)) {
			abort();
		}
	}
	arena_close(&mem);
	buf_close(&file);
	buf_close(&again);
	return 0;
}
