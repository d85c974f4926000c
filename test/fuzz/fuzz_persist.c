/* Snapshots: bytes as they are, and bytes as what is in a piece. Built with hashes taken as they come, so that what is
 * behind them is reached. What is accepted can be saved, and what was saved is the same state. */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
	const struct {
		uint32_t len;
		uint32_t number;
		uint64_t hash;
	} h = {(uint32_t)len, number, 0};

	buf_put(out, &h, sizeof(h));
	buf_put(out, data, len);
}

/* Its hash, and what saving writes; false when it is refused. */
static bool load(const void *data, size_t len, uint64_t *hash, struct buf *saved)
{
	struct source source = {data, len};
	const struct view *v;
	struct state s;

	if (persist_load(&s, read_source, &source) != 0) {
		return false;
	}
	v = state_view(&s);
	*hash = state_hash(v);
	assert(persist_save(v, write_buf, saved) == 0 && !saved->failed);
	view_release(v);
	state_close(&s);
	return true;
}

static void look_at(const void *data, size_t len)
{
	struct buf saved = {0};
	struct buf again = {0};
	uint64_t hash;
	uint64_t hash_again;

	if (load(data, len, &hash, &saved)) {
		assert(load(saved.at, saved.len, &hash_again, &again) && hash == hash_again);
		assert(saved.len == again.len && memcmp(saved.at, again.at, saved.len) == 0);
	}
	buf_close(&saved);
	buf_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf framed = {0};

	log_set_level(LOG_OFF);
	look_at(data, len);
	if (len <= 65536) {
		put_piece(&framed, data, len, 0);
		put_piece(&framed, NULL, 0, 1);
		look_at(framed.at, framed.len);
		buf_close(&framed);
	}
	return 0;
}
