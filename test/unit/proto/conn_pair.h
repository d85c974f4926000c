/** Two ends of an RPC connection in memory, on a clock that the test turns. */
#ifndef TEST_UNIT_PROTO_CONN_PAIR_H_
#define TEST_UNIT_PROTO_CONN_PAIR_H_

#include <sys/uio.h>

#include "proto/conn.h"
#include "proto/error.h"

static int64_t pair_now = 1000;
static volatile bool
	pair_is_network; /* What is allocated now is the network's, not the connection's: test_wire_oom.c. */

struct end {
	struct rpc_conn conn; /* First. */
	struct end *other;
	struct rpc_hello hello;
	struct rpc_config config;
	bool blocked; /* The network takes none of its bytes. */
	bool hung_up;
	bool freed;
	bool want_release;
	int closed, ready;
	int err;
	char why[128];
	struct buf wire; /* Bytes on their way to the other end. */
};

static int64_t end_now(struct rpc_conn *c)
{
	(void)c;
	return pair_now;
}

static void end_flush(struct rpc_conn *c)
{
	(void)c; /* pair_turn() looks at both ends anyway. */
}

static void end_wake(struct rpc_conn *c)
{
	(void)c;
}

static void end_write(struct end *e, size_t max)
{
	struct iovec iov[3];
	unsigned n;

	while (!e->blocked && max > 0 && (n = rpc_conn_output(&e->conn, iov, 3)) > 0) {
		size_t part = iov[0].iov_len < max ? iov[0].iov_len : max;

		pair_is_network = true;
		buf_put(&e->wire, iov[0].iov_base, part);
		pair_is_network = false;
		rpc_conn_sent(&e->conn, part);
		max -= part;
	}
}

static void end_end(struct rpc_conn *c, bool flush)
{
	struct end *e = (struct end *)c;

	if (flush) {
		end_write(e, SIZE_MAX);
	}
	e->hung_up = true;
	e->want_release = true;
}

static void end_free(struct rpc_conn *c)
{
	((struct end *)c)->freed = true;
}

static const struct rpc_carrier end_carrier = {end_now, end_flush, end_wake, end_end, end_free};

static void end_ready_cb(struct rpc_conn *c)
{
	((struct end *)c)->ready++;
}

static void end_closed_cb(struct rpc_conn *c, int err, const char *why)
{
	struct end *e = (struct end *)c;

	e->closed++;
	e->err = err;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static void end_init(struct end *e, struct end *other, bool opener, const struct rpc_handlers *h, const char *name)
{
	memset(e, 0, sizeof(*e));
	e->other = other;
	object_init(&rpc_hello_type, &e->hello);
	e->hello.protocol = RPC_VERSION;
	e->hello.name = name;
	e->config.handlers = h;
	e->config.hello = &e->hello;
	rpc_conn_init(&e->conn, &e->config, &end_carrier, opener, 0);
}

/* Deliver up to n bytes, which may be less than a frame. */
static void end_deliver(struct end *from, size_t n)
{
	struct end *to = from->other;
	char *copy;

	if (n > from->wire.len) {
		n = from->wire.len;
	}
	if (n == 0) {
		if (from->hung_up && from->wire.len == 0 && !to->hung_up) {
			rpc_conn_close(&to->conn, ERR_IO, "hung up");
		}
		return;
	}
	pair_is_network = true;
	copy = malloc(n); /* Of its own, so that reading past it is seen. */
	pair_is_network = false;
	memcpy(copy, from->wire.at, n);
	memmove(from->wire.at, from->wire.at + n, from->wire.len - n);
	from->wire.len -= n;
	if (!to->hung_up) {
		rpc_conn_input(&to->conn, copy, n);
	}
	free(copy);
}

static void end_tick(struct end *e)
{
	if (e->conn.state != RPC_CONN_CLOSED && pair_now >= e->conn.wake_ms) {
		rpc_conn_tick(&e->conn);
	}
	if (e->want_release) {
		e->want_release = false;
		rpc_conn_release(&e->conn);
	}
}

static inline void pair_turn(struct end *a, size_t n)
{
	struct end *ends[2] = {a, a->other};

	for (int i = 0; i < 2; i++) {
		if (!ends[i]->hung_up) {
			end_write(ends[i], n);
		}
		end_deliver(ends[i], n);
	}
	for (int i = 0; i < 2; i++) {
		end_tick(ends[i]);
	}
}

/* Until nothing is on its way. */
static void pair_settle(struct end *a)
{
	for (int i = 0; i < 1000; i++) {
		pair_turn(a, SIZE_MAX);
	}
}

static inline void pair_pass(struct end *a, int64_t ms)
{
	while (ms-- > 0) {
		pair_now++;
		pair_turn(a, SIZE_MAX);
	}
}

/* Both must be free of what they had. The opener's first byte goes to nobody, as the acceptor's listener has read it.
 */
static void pair_open(struct end *a, struct end *b, const struct rpc_handlers *ha, const struct rpc_handlers *hb)
{
	end_init(a, b, true, ha, "a");
	end_init(b, a, false, hb, "b");
	end_write(a, 1);
	assert_int_equal(a->wire.at[0], RPC_FIRST_BYTE);
	a->wire.len = 0;
}

static void pair_close(struct end *a)
{
	struct end *b = a->other;

	rpc_conn_close(&a->conn, 0, "the test ends");
	pair_settle(a);
	assert_true(a->freed && b->freed);
	assert_int_equal(a->closed, 1);
	assert_int_equal(b->closed, 1);
	buf_close(&a->wire);
	buf_close(&b->wire);
}

#endif /* TEST_UNIT_PROTO_CONN_PAIR_H_ */
