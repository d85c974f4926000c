/* Snapshots: bytes as they are, and bytes in a piece with the right checksum, so that what is behind it is reached.
 * What is accepted can be saved again. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "lib/log.h"
#include "proto/error.h"
#include "raft/persist.h"

struct source {
	const uint8_t *at;
	size_t left;
};

static int read_source(void *ctx, void *data, size_t len)
{
	struct source *s = ctx;

	if (len > s->left) {
		return ERR_CORRUPT;
	}
	memcpy(data, s->at, len);
	s->at += len;
	s->left -= len;
	return 0;
}

static int write_buf(void *ctx, const void *data, size_t len)
{
	buf_put(ctx, data, len);
	return 0;
}

static void put_piece(struct buf *out, const uint8_t *data, size_t len, uint32_t number)
{
	struct {
		uint32_t len;
		uint32_t number;
		uint64_t checksum;
	} h = {(uint32_t)len, number, XXH3_64bits_withSeed(data, len, number)};

	buf_put(out, &h, sizeof(h));
	buf_put(out, data, len);
}

/* The hash of the whole is looked at last, when every row has been made and is in its trees. */
static void load(const void *data, size_t len)
{
	struct source source = {data, len};
	struct buf saved = {0};
	struct state s;
	const struct view *v;

	if (persist_load(&s, read_source, &source) != 0) {
		return;
	}
	v = state_view(&s);
	if (persist_save(v, write_buf, &saved) != 0 || saved.failed) {
		abort();
	}
	buf_close(&saved);
	view_release(v);
	state_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf framed = {0};

	log_set_level(LOG_OFF);
	load(data, len);
	if (len <= 65536) {
		put_piece(&framed, data, len, 0);
		put_piece(&framed, NULL, 0, 1);
		load(framed.at, framed.len);
		buf_close(&framed);
	}
	return 0;
}
