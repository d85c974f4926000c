/**
 * Connecting to "host:port": the name is looked up each time, and its addresses are tried in turn.
 *
 * Neither the look-up nor a connection blocks the loop. A dial is one attempt at all addresses; when to dial again is
 * the caller's.
 */
#ifndef RAFT_DIAL_H_
#define RAFT_DIAL_H_

#include <stdint.h>

#include "proto/channel.h"

struct dial;

/* Status 0: the channel is the callee's, open, with no delay and `data` NULL; else a libuv error, and NULL. Never inside
 * dial_start(). */
typedef void (*dial_cb)(void *data, struct channel *ch, int status);

/* Where to, and how. All is borrowed. */
struct dial_to {
	uv_loop_t *loop;
	struct channels *channels; /* NULL: plain text. */
	const char *region;        /* Whose server it must be, if its certificate is asked. */
	const char *address;       /* Needed only in dial_start(). */
	unsigned timeout_ms;       /* For each address, with the handshake. */
};

/* NULL: the address makes no sense, or there is no memory. `gone_cb` comes once, when nothing of the dial is left on
 * the loop (but a look-up that cannot be cancelled, which touches nothing of the caller's). */
struct dial *dial_start(const struct dial_to *to, dial_cb cb, void *data, void (*gone_cb)(void *), void *gone_data);

/* To be called now and then: gives up an address that has not answered in time. May call back. */
void dial_tick(struct dial *d);

/* No dial_cb will come any more. */
void dial_cancel(struct dial *d);

#endif /* RAFT_DIAL_H_ */
