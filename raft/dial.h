/**
 * Connecting to "host:port": the name is looked up each time, and its addresses are tried in turn.
 *
 * Neither the look-up nor a connection blocks the loop. A dial is one attempt at all addresses; when to dial again is
 * the caller's.
 */
#ifndef RAFT_DIAL_H_
#define RAFT_DIAL_H_

#include <stdint.h>

#include <uv.h>

struct dial;

/* Status 0: the connection is the callee's, from malloc(), with no delay and `data` NULL; else a libuv error, and NULL.
 * Never inside dial_start(). */
typedef void (*dial_cb)(void *data, uv_tcp_t *tcp, int status);

/* NULL: the address makes no sense, or there is no memory. `gone_cb` comes once, when nothing of the dial is left on
 * the loop (but a look-up that cannot be cancelled, which touches nothing of the caller's). */
struct dial *dial_start(uv_loop_t *loop, const char *address, unsigned timeout_ms, dial_cb cb, void *data,
			void (*gone_cb)(void *), void *gone_data);

/* To be called now and then: gives up an address that has not answered in time. May call back. */
void dial_tick(struct dial *d);

/* No dial_cb will come any more. */
void dial_cancel(struct dial *d);

#endif /* RAFT_DIAL_H_ */
