/* Backups of the state: any bytes as an archive, in pieces of any size, and any bytes compressed into one, so that what
 * is behind gzip's checksum is reached. Built with the snapshot's hashes taken as they come. */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "lib/log.h"
#include "raft/archive.h"

struct pieces {
	const uint8_t *at;
	size_t left;
	size_t size;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t next(void *ctx, const void **data)
{
	struct pieces *p = ctx;
	size_t n = p->left < p->size ? p->left : p->size;

	*data = p->at;
	p->at += n;
	p->left -= n;
	return n;
}

static void inspect(const void *data, size_t len, size_t size)
{
	struct pieces p = {data, len, size};
	struct archive_info info;
	const char *why = NULL;
	uint64_t index;

	assert(archive_verify(next, &p, &index, &why) == 0 || why != NULL);
	p = (struct pieces){data, len, size};
	why = NULL;
	assert(archive_inspect(next, &p, &info, &why) == 0 || why != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t small[1 << 20];
	z_stream z = {0};

	log_set_level(LOG_OFF);
	if (len == 0) {
		return 0;
	}
	inspect(data + 1, len - 1, 1 + data[0]);
	if (len < sizeof(small) / 2) {
		assert(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
		z.next_in = (uint8_t *)(uintptr_t)(data + 1);
		z.avail_in = (uInt)(len - 1);
		z.next_out = small;
		z.avail_out = sizeof(small);
		assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
		inspect(small, z.total_out, 1 + data[0]);
		deflateEnd(&z);
	}
	return 0;
}
