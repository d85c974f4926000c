/* A node's local state from any bytes: refused or read, never a crash; what is read is written alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "client/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The fuzzer cannot guess a hash: it makes the payload, we the head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena mem = {0};
	struct saved_alloc saved;
	struct buf file = {0};
	struct buf again = {0};
	uint32_t head[2] = {1, (uint32_t)size};
	uint64_t hash = XXH3_64bits(data, size);

	buf_put(&file, "drvalloc", 8);
	buf_put(&file, head, sizeof(head));
	buf_put(&file, &hash, sizeof(hash));
	buf_put(&file, data, size);
	if (state_decode(file.at, file.len, &saved, &mem) == 0) {
		struct saved_alloc twice;

		state_encode(&saved, &again);
		if (again.failed || state_decode(again.at, again.len, &twice, &mem) != 0 ||
		    !object_equal(&saved_alloc_type, &saved, &twice)) {
			abort();
		}
	}
	arena_close(&mem);
	buf_close(&file);
	buf_close(&again);
	return 0;
}
