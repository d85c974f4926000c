/* Any bytes as websocket frames, cut in any places: what comes out is written and read again. */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "proto/websocket.h"

static void travel(const struct websocket_event *e, bool from_client)
{
	static const uint8_t mask[4] = {1, 2, 3, 255};
	struct websocket ws = {.client = !from_client, .message_max = 1 << 16};
	struct websocket_event again;
	struct buf b = {0};
	size_t used;

	if (e->kind == WEBSOCKET_CLOSE) {
		return;
	}
	websocket_put(&b, e->kind, e->data, e->len, from_client ? mask : NULL);
	assert(websocket_take(&ws, b.at, b.len, &used, &again) == 0);
	assert(used == b.len && again.kind == e->kind && again.len == e->len);
	assert(memcmp(again.data, e->data, e->len) == 0);
	buf_close(&b);
	websocket_free(&ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct websocket ws = {.message_max = 1 << 16};
	struct websocket_event e;
	size_t step = size > 0 ? data[0] % 17 + 1U : 1;
	size_t at = 1;
	size_t used;
	int rv = 0;

	ws.client = size > 0 && (data[0] & 0x80) != 0;
	while (rv == 0 && at < size) {
		size_t n = size - at < step ? size - at : step;

		rv = websocket_take(&ws, (const char *)data + at, n, &used, &e);
		assert(used <= n);
		at += used;
		if (rv == 0 && e.kind == WEBSOCKET_NOTHING) {
			assert(used == n);
		} else if (rv == 0) {
			travel(&e, !ws.client);
		}
	}
	assert(ws.message.len <= 1 << 16);
	websocket_free(&ws);
	return 0;
}
