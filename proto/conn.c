#include "proto/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "proto/error.h"

enum {
	PIECE_SIZE = 64 << 10, /* A piece of output is added to until it is so long. */
	SLOTS_MIN = 8,
	SLOT_BITS = 16,
	TICK_MIN_MS = 10, /* Deadlines are looked at so often, at most. */
	NO_SLOT = UINT32_MAX,
};

struct rpc_piece {
	struct list link;
	struct buf buf;
	size_t sent;
	bool taken; /* By the carrier: not added to any more. */
};

static const struct rpc_handlers no_handlers;

static const struct rpc_handlers *handlers(const struct rpc_conn *c)
{
	return c->config->handlers != NULL ? c->config->handlers : &no_handlers;
}

static uint32_t or_default(uint32_t value, uint32_t dflt)
{
	return value != 0 ? value : dflt;
}

static uint32_t frame_max(const struct rpc_conn *c)
{
	return or_default(c->config->frame_max, RPC_FRAME_MAX);
}

static uint32_t requests_max(const struct rpc_conn *c)
{
	return or_default(c->config->requests_max, RPC_REQUESTS_MAX);
}

static size_t queue_max(const struct rpc_conn *c)
{
	return or_default(c->config->queue_max, RPC_QUEUE_MAX);
}

static size_t held_max(const struct rpc_conn *c)
{
	return c->config->held_bytes_max != 0 ? c->config->held_bytes_max : RPC_HELD_MAX;
}

static int64_t now_ms(struct rpc_conn *c)
{
	return c->carrier->now(c);
}

static void wake_at(struct rpc_conn *c, int64_t ms)
{
	if (ms < c->wake_ms) {
		c->wake_ms = ms;
		c->carrier->wake(c);
	}
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

static void drop_pieces(struct rpc_conn *c)
{
	struct list *l;

	while ((l = list_pop(&c->pieces)) != NULL) {
		struct rpc_piece *p = CONTAINER_OF(l, struct rpc_piece, link);

		buf_close(&p->buf);
		free(p);
	}
}

static void hold(struct rpc_conn *c)
{
	c->held++;
}

/* The end of each way in: what had to wait until nobody uses the connection is done here. */
static void let_go(struct rpc_conn *c)
{
	assert(c->held > 0);
	if (--c->held > 0 || !c->released || c->n_calls > 0) {
		return;
	}
	assert(c->state == RPC_CONN_CLOSED);
	assert(c->n_requests == 0);
	drop_pieces(c);
	buf_close(&c->input);
	free(c->slots);
	free(c->calls);
	c->carrier->free(c);
}

void rpc_conn_release(struct rpc_conn *c)
{
	assert(c->state == RPC_CONN_CLOSED);
	hold(c);
	c->released = true;
	let_go(c);
}

/* --- Output ------------------------------------------------------------------------------------------------------- */

/* The piece that the next n bytes go to, with room for them; NULL when memory is exhausted. */
static struct rpc_piece *piece_for(struct rpc_conn *c, size_t n)
{
	struct rpc_piece *p = CONTAINER_OF(c->pieces.prev, struct rpc_piece, link);

	if (list_empty(&c->pieces) || p->taken || p->buf.len >= PIECE_SIZE) {
		p = calloc(1, sizeof(*p));
		if (p == NULL) {
			return NULL;
		}
		list_insert(&c->pieces, &p->link);
	}
	if (buf_room(&p->buf, n) == NULL) {
		p->buf.failed = false; /* What was in it before is whole. */
		if (p->buf.len == 0) {
			list_remove(&p->link);
			free(p);
		}
		return NULL;
	}
	return p;
}

static void note_output(struct rpc_conn *c, size_t n)
{
	bool first = c->queued == 0;

	c->queued += n;
	c->put += n;
	if (first) {
		c->moved_ms = now_ms(c);
		c->carrier->flush(c);
	}
}

/* 0, ERR_TOOBIG or ERR_NOMEM; a frame goes in whole or not at all. */
static int put_frame(struct rpc_conn *c, const struct rpc_frame *frame)
{
	struct rpc_piece *p;
	size_t before;
	int rv;

	if (frame->len > frame_max(c)) {
		return ERR_TOOBIG;
	}
	p = piece_for(c, frame->len + RPC_HEAD_MAX);
	if (p == NULL) {
		return ERR_NOMEM;
	}
	before = p->buf.len;
	rv = rpc_frame_put(&p->buf, frame, frame_max(c));
	if (rv != 0) {
		if (before == 0) {
			list_remove(&p->link);
			buf_close(&p->buf);
			free(p);
		}
		return rv;
	}
	note_output(c, p->buf.len - before);
	return 0;
}

/* Until it is closed it swallows its output. */
void rpc_conn_doom(struct rpc_conn *c, int err, const char *why)
{
	if (c->doom_err == 0 && c->state != RPC_CONN_CLOSED) {
		c->doom_err = err;
		c->doom_why = why;
		wake_at(c, 0);
	}
}

/* A frame that the other side waits for: without it the connection is of no use. */
static void must_put(struct rpc_conn *c, const struct rpc_frame *frame)
{
	int rv;

	if (c->state == RPC_CONN_CLOSED || c->doom_err != 0) {
		return;
	}
	rv = put_frame(c, frame);
	if (rv != 0) {
		rpc_conn_doom(c, rv, error_text(rv));
	} else if (c->queued > 2 * queue_max(c)) {
		rpc_conn_doom(c, ERR_BUSY, "the other side does not read");
	}
}

static void put_signal(struct rpc_conn *c, enum rpc_kind kind, uint32_t id, uint32_t code)
{
	must_put(c, &(struct rpc_frame){.kind = kind, .id = id, .code = code, .payload = ""});
}

unsigned rpc_conn_output(struct rpc_conn *c, struct iovec *iov, unsigned n)
{
	unsigned i = 0;

	LIST_EACH (l, &c->pieces) {
		struct rpc_piece *p = CONTAINER_OF(l, struct rpc_piece, link);

		if (i == n) {
			break;
		}
		p->taken = true;
		iov[i].iov_base = p->buf.at + p->sent;
		iov[i].iov_len = p->buf.len - p->sent;
		i++;
	}
	return i;
}

void rpc_conn_sent(struct rpc_conn *c, size_t n)
{
	assert(n <= c->queued);
	c->sent += n;
	c->queued -= n;
	c->moved_ms = now_ms(c);
	while (n > 0) {
		struct rpc_piece *p = CONTAINER_OF(c->pieces.next, struct rpc_piece, link);
		size_t part = p->buf.len - p->sent < n ? p->buf.len - p->sent : n;

		p->sent += part;
		n -= part;
		if (p->sent == p->buf.len) {
			list_remove(&p->link);
			buf_close(&p->buf);
			free(p);
		}
	}
}

/* --- Our requests ------------------------------------------------------------------------------------------------- */

static int grow_slots(struct rpc_conn *c)
{
	uint32_t cap = c->slots_cap == 0 ? SLOTS_MIN : c->slots_cap * 2;
	struct rpc_slot *slots;

	if (cap > requests_max(c)) {
		cap = requests_max(c);
	}
	if (cap <= c->slots_cap) {
		return ERR_BUSY;
	}
	slots = realloc(c->slots, cap * sizeof(*slots));
	if (slots == NULL) {
		return ERR_NOMEM;
	}
	for (uint32_t i = c->slots_cap; i < cap; i++) {
		slots[i] = (struct rpc_slot){.generation = 1, .next_free = (uint16_t)(i + 1 < cap ? i + 1 : i)};
	}
	c->free_slot = c->slots_cap;
	c->slots = slots;
	c->slots_cap = cap;
	return 0;
}

static int take_slot(struct rpc_conn *c, struct rpc_request *req)
{
	int rv = c->free_slot == NO_SLOT ? grow_slots(c) : 0;
	struct rpc_slot *s;

	if (rv != 0) {
		return rv;
	}
	s = &c->slots[c->free_slot];
	req->id = (uint32_t)s->generation << SLOT_BITS | c->free_slot;
	req->conn = c;
	c->free_slot = s->next_free != c->free_slot ? s->next_free : NO_SLOT;
	s->req = req;
	c->n_requests++;
	return 0;
}

/* A slot's next request has another id, so that a late answer to this one is not taken for its. */
static void give_slot(struct rpc_request *req)
{
	struct rpc_conn *c = req->conn;
	uint32_t n = req->id & ((1U << SLOT_BITS) - 1);
	struct rpc_slot *s = &c->slots[n];

	assert(s->req == req);
	s->req = NULL;
	s->generation = s->generation == UINT16_MAX ? 1 : (uint16_t)(s->generation + 1);
	s->next_free = (uint16_t)(c->free_slot != NO_SLOT ? c->free_slot : n);
	c->free_slot = n;
	c->n_requests--;
	req->conn = NULL;
}

static struct rpc_request *request_by_id(struct rpc_conn *c, uint32_t id)
{
	uint32_t n = id & ((1U << SLOT_BITS) - 1);
	struct rpc_request *req = n < c->slots_cap ? c->slots[n].req : NULL;

	return req != NULL && req->id == id ? req : NULL;
}

static int send_request(struct rpc_conn *c, struct rpc_request *req, uint32_t method, const char *payload, size_t len,
			uint32_t timeout_ms)
{
	struct rpc_frame f = {.kind = RPC_REQUEST, .code = method, .payload = payload, .len = len};
	int rv = take_slot(c, req);

	if (rv != 0) {
		return rv;
	}
	f.id = req->id;
	rv = put_frame(c, &f);
	if (rv != 0) {
		give_slot(req);
		return rv;
	}
	req->put_at = c->put;
	req->window = RPC_WINDOW;
	req->consumed = 0;
	req->streaming = false;
	req->deadline_ms = INT64_MAX;
	if (timeout_ms > 0) {
		req->deadline_ms = now_ms(c) + timeout_ms;
		if (req->deadline_ms < c->deadline_ms) {
			c->deadline_ms = req->deadline_ms;
		}
		wake_at(c, req->deadline_ms);
	}
	return 0;
}

int rpc_send(struct rpc_conn *c, struct rpc_request *req, uint32_t method, const char *payload, size_t len,
	     uint32_t timeout_ms)
{
	req->conn = NULL;
	if (c->state != RPC_CONN_READY) {
		return ERR_CLOSED;
	}
	if (c->queued > queue_max(c)) {
		return ERR_BUSY;
	}
	return send_request(c, req, method, payload, len, timeout_ms);
}

int rpc_send_object(struct rpc_conn *c, struct rpc_request *req, uint32_t method, const struct type *t, const void *obj,
		    uint32_t timeout_ms)
{
	struct buf b = {0};
	int rv;

	pack_encode(t, obj, &b);
	rv = b.failed ? ERR_NOMEM : rpc_send(c, req, method, b.at, b.len, timeout_ms);
	buf_close(&b);
	return rv;
}

int rpc_push(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	if (c->state != RPC_CONN_READY) {
		return ERR_CLOSED;
	}
	if (c->queued > queue_max(c)) {
		return ERR_BUSY;
	}
	return put_frame(c, &(struct rpc_frame){.kind = RPC_PUSH, .code = method, .payload = payload, .len = len});
}

int rpc_push_object(struct rpc_conn *c, uint32_t method, const struct type *t, const void *obj)
{
	struct buf b = {0};
	int rv;

	pack_encode(t, obj, &b);
	rv = b.failed ? ERR_NOMEM : rpc_push(c, method, b.at, b.len);
	buf_close(&b);
	return rv;
}

void rpc_cancel(struct rpc_request *req)
{
	struct rpc_conn *c = req->conn;
	uint32_t id = req->id;

	if (c == NULL) {
		return;
	}
	give_slot(req);
	put_signal(c, RPC_CANCEL, id, 0);
}

void rpc_consumed(struct rpc_request *req, size_t n)
{
	struct rpc_conn *c = req->conn;
	uint32_t credit;

	if (c == NULL || !req->streaming) {
		return; /* Its last piece has come. */
	}
	assert(n <= RPC_WINDOW - req->window - req->consumed);
	req->consumed += (uint32_t)n;
	if (req->consumed < RPC_WINDOW / 2) {
		return;
	}
	credit = req->consumed;
	req->consumed = 0;
	req->window += credit;
	put_signal(c, RPC_CREDIT, req->id, credit);
}

/* The last word about a request. */
static void fail_request(struct rpc_request *req, int err, const char *why)
{
	const struct rpc_frame f = {
		.kind = RPC_ERROR, .id = req->id, .code = (uint32_t)-err, .payload = why, .len = strlen(why)};

	give_slot(req);
	if (req->streaming) {
		req->chunk_cb(req, err, "", 0, true);
	} else {
		req->reply_cb(req, err, &f);
	}
}

/* What the other side calls closed or unknown is not what these codes mean on this side of the connection. */
static int error_from(uint32_t code)
{
	if (code == 0 || code > INT32_MAX || (int)code == -ERR_CLOSED) {
		return ERR_UNKNOWN;
	}
	return -(int)code;
}

static void on_reply(struct rpc_conn *c, const struct rpc_frame *f)
{
	struct rpc_request *req = request_by_id(c, f->id);
	bool more = f->kind == RPC_REPLY && (f->flags & RPC_MORE) != 0;

	if (req == NULL) {
		return; /* Cancelled, or too late. */
	}
	if (req->streaming) {
		rpc_conn_close(c, ERR_SYNTAX, "a second answer");
	} else if (more && req->chunk_cb != NULL) {
		req->streaming = true;
		req->deadline_ms = INT64_MAX;
		req->reply_cb(req, 0, f);
	} else if (more) {
		rpc_cancel(req);
		req->reply_cb(req, ERR_UNSUPPORTED, f);
	} else {
		give_slot(req);
		req->reply_cb(req, f->kind == RPC_REPLY ? 0 : error_from(f->code), f);
	}
}

static void on_chunk(struct rpc_conn *c, const struct rpc_frame *f)
{
	struct rpc_request *req = request_by_id(c, f->id);
	bool last = (f->flags & RPC_MORE) == 0;
	int err = f->code != 0 ? error_from(f->code) : 0;

	if (req == NULL) {
		return;
	}
	if (!req->streaming || f->len > req->window) {
		rpc_conn_close(c, ERR_SYNTAX, "a stream without credit");
		return;
	}
	req->window -= (uint32_t)f->len;
	if (last || err != 0) {
		give_slot(req);
	}
	req->chunk_cb(req, err, f->payload, f->len, last || err != 0);
}

/* --- Their requests ----------------------------------------------------------------------------------------------- */

/* Its number is free again: no answer will use it. */
static void detach_call(struct rpc_call *call)
{
	struct rpc_conn *c = call->conn;
	uint32_t n = call->id & ((1U << SLOT_BITS) - 1);

	if (!call->gone) {
		assert(c->calls[n] == call);
		c->calls[n] = NULL;
		call->gone = true;
	}
}

/* Who shares the count may be gone when a closed connection's last calls are answered: see stop_holding(). */
static void give_back(struct rpc_conn *c, size_t n)
{
	if (c->state != RPC_CONN_CLOSED && c->config->held_bytes != NULL) {
		assert(n <= c->held_bytes && n <= *c->config->held_bytes);
		*c->config->held_bytes -= n;
		c->held_bytes -= n;
	}
}

static void stop_holding(struct rpc_conn *c)
{
	if (c->config->held_bytes != NULL) {
		*c->config->held_bytes -= c->held_bytes;
		c->held_bytes = 0;
	}
}

/* False: there is no room for so many bytes. A single request always finds some. */
static bool hold_bytes(struct rpc_conn *c, struct rpc_call *call)
{
	size_t *all = c->config->held_bytes;
	size_t n = call->len + RPC_CALL_COST;

	if (all != NULL) {
		if (*all > 0 && *all + n > held_max(c)) {
			return false;
		}
		*all += n;
		c->held_bytes += n;
		call->held_bytes = n;
	}
	return true;
}

static void free_call(struct rpc_call *call)
{
	struct rpc_conn *c = call->conn;

	hold(c);
	detach_call(call);
	c->n_calls--;
	give_back(c, call->held_bytes);
	buf_close(&call->queue);
	free(call);
	let_go(c);
}

static void answer(struct rpc_call *call, const struct rpc_frame *f)
{
	if (!call->gone) {
		must_put(call->conn, f);
	}
	free_call(call);
}

void rpc_reply(struct rpc_call *call, const char *payload, size_t len)
{
	assert(!call->streaming);
	if (len > frame_max(call->conn) - RPC_HEAD_MAX) {
		rpc_fail(call, ERR_TOOBIG, "the answer is too large");
		return;
	}
	answer(call, &(struct rpc_frame){.kind = RPC_REPLY, .id = call->id, .payload = payload, .len = len});
}

void rpc_reply_object(struct rpc_call *call, const struct type *t, const void *obj)
{
	struct buf b = {0};

	pack_encode(t, obj, &b);
	if (b.failed) {
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
	} else {
		rpc_reply(call, b.at, b.len);
	}
	buf_close(&b);
}

void rpc_fail(struct rpc_call *call, int err, const char *text)
{
	assert(!call->streaming);
	assert(err < 0);
	answer(call, &(struct rpc_frame){.kind = RPC_ERROR,
					 .id = call->id,
					 .code = (uint32_t)-err,
					 .payload = text,
					 .len = strlen(text)});
}

void rpc_reply_begin(struct rpc_call *call, const char *payload, size_t len)
{
	assert(!call->streaming);
	call->streaming = true;
	call->credit = RPC_WINDOW;
	if (!call->gone) {
		must_put(call->conn,
			 &(struct rpc_frame){
				 .kind = RPC_REPLY, .id = call->id, .flags = RPC_MORE, .payload = payload, .len = len});
	}
}

/* Sends what there is credit for; returns how much. */
static size_t put_chunks(struct rpc_call *call, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && call->credit > 0) {
		size_t n = len - done < RPC_CHUNK_MAX ? len - done : RPC_CHUNK_MAX;

		if (n > call->credit) {
			n = call->credit;
		}
		call->credit -= (uint32_t)n;
		must_put(call->conn, &(struct rpc_frame){.kind = RPC_CHUNK,
							 .id = call->id,
							 .flags = RPC_MORE,
							 .payload = data + done,
							 .len = n});
		done += n;
	}
	return done;
}

int rpc_reply_chunk(struct rpc_call *call, const char *data, size_t len)
{
	size_t done = 0;

	assert(call->streaming && !call->ending);
	if (call->gone) {
		return ERR_CLOSED;
	}
	if (call->queue.len > 0 && call->queue.len + len > HTTP_STREAM_MAX) {
		return ERR_BUSY;
	}
	if (call->queue.len == 0) {
		done = put_chunks(call, data, len);
	}
	if (done < len) {
		buf_put(&call->queue, data + done, len - done);
	}
	if (call->queue.failed) {
		rpc_conn_doom(call->conn, ERR_NOMEM, error_text(ERR_NOMEM));
		return ERR_CLOSED;
	}
	call->waiting = call->queue.len > 0;
	return call->waiting ? HTTP_WAIT : 0;
}

static void put_last_chunk(struct rpc_call *call, int err)
{
	answer(call, &(struct rpc_frame){.kind = RPC_CHUNK, .id = call->id, .code = (uint32_t)-err, .payload = ""});
}

void rpc_reply_end(struct rpc_call *call, int err)
{
	assert(call->streaming && !call->ending);
	call->drain_cb = NULL;
	call->gone_cb = NULL;
	if (err == 0 && call->queue.len > 0 && !call->gone) {
		call->ending = true;
		return;
	}
	put_last_chunk(call, err);
}

static void on_credit(struct rpc_conn *c, struct rpc_call *call, uint32_t credit)
{
	size_t done;

	if (!call->streaming || credit > RPC_WINDOW - call->credit) {
		rpc_conn_close(c, ERR_SYNTAX, "credit out of range");
		return;
	}
	call->credit += credit;
	done = put_chunks(call, call->queue.at, call->queue.len);
	call->queue.len -= done;
	if (call->queue.len > 0) {
		memmove(call->queue.at, call->queue.at + done, call->queue.len);
		return;
	}
	buf_close(&call->queue);
	if (call->ending) {
		put_last_chunk(call, 0);
	} else if (call->waiting) {
		call->waiting = false;
		if (call->drain_cb != NULL) {
			call->drain_cb(call);
		}
	}
}

/* Nobody waits for it any more. An ending stream's handler is through with it already. */
static void lose_call(struct rpc_call *call)
{
	detach_call(call);
	if (call->ending) {
		free_call(call);
	} else if (call->gone_cb != NULL) {
		call->gone_cb(call);
	}
}

static int room_for_call(struct rpc_conn *c, uint32_t n)
{
	uint32_t cap = c->calls_cap == 0 ? SLOTS_MIN : c->calls_cap;
	struct rpc_call **calls;

	while (cap <= n) {
		cap *= 2;
	}
	if (cap == c->calls_cap) {
		return 0;
	}
	calls = realloc(c->calls, cap * sizeof(*calls));
	if (calls == NULL) {
		return ERR_NOMEM;
	}
	memset(calls + c->calls_cap, 0, (cap - c->calls_cap) * sizeof(*calls));
	c->calls = calls;
	c->calls_cap = cap;
	return 0;
}

static void refuse(struct rpc_conn *c, const struct rpc_frame *f, int err)
{
	const char *text = error_text(err);

	must_put(c,
		 &(struct rpc_frame){
			 .kind = RPC_ERROR, .id = f->id, .code = (uint32_t)-err, .payload = text, .len = strlen(text)});
}

static void on_request(struct rpc_conn *c, const struct rpc_frame *f)
{
	uint32_t n = f->id & ((1U << SLOT_BITS) - 1);
	struct rpc_call *call;

	if (n >= requests_max(c) || (n < c->calls_cap && c->calls[n] != NULL)) {
		rpc_conn_close(c, ERR_SYNTAX, "a request's number out of range or in use");
		return;
	}
	if (c->n_calls >= requests_max(c) || c->queued > queue_max(c)) {
		refuse(c, f, ERR_BUSY); /* Cancelled ones count until they are answered, so there may be too many. */
		return;
	}
	if (handlers(c)->request_cb == NULL) {
		refuse(c, f, ERR_UNSUPPORTED);
		return;
	}
	call = room_for_call(c, n) == 0 ? calloc(1, sizeof(*call)) : NULL;
	if (call == NULL) {
		refuse(c, f, ERR_NOMEM);
		return;
	}
	call->conn = c;
	call->id = f->id;
	call->method = f->code;
	call->payload = f->payload;
	call->len = f->len;
	if (!hold_bytes(c, call)) {
		free(call);
		refuse(c, f, ERR_BUSY);
		return;
	}
	c->calls[n] = call;
	c->n_calls++;
	handlers(c)->request_cb(c, call);
}

/* --- Hello -------------------------------------------------------------------------------------------------------- */

/* 0, or an ERR_ code and why. */
static int check_hello(struct rpc_conn *c, const struct rpc_frame *f, const char **why)
{
	struct rpc_hello peer;
	struct arena mem = {0};
	int rv = rpc_get(&rpc_hello_type, &peer, f, &mem);

	*why = error_text(rv);
	if (rv == 0 && peer.protocol < 1) {
		rv = ERR_UNSUPPORTED;
		*why = "no protocol version";
	} else if (rv == 0 && handlers(c)->hello_cb != NULL) {
		rv = handlers(c)->hello_cb(c, &peer, why);
	}
	arena_close(&mem);
	return rv;
}

static void become_ready(struct rpc_conn *c)
{
	assert(c->state == RPC_CONN_HELLO);
	c->state = RPC_CONN_READY;
	wake_at(c, now_ms(c) + or_default(c->config->ping_ms, RPC_PING_MS));
	if (handlers(c)->ready_cb != NULL) {
		handlers(c)->ready_cb(c);
	}
}

static void answer_hello(struct rpc_conn *c, const struct rpc_frame *f)
{
	struct rpc_frame reply = {.kind = RPC_REPLY, .id = f->id};
	struct buf b = {0};
	const char *why;
	int rv = check_hello(c, f, &why);

	if (c->state == RPC_CONN_CLOSED) {
		return; /* hello_cb did that. */
	}
	if (rv != 0) {
		must_put(c, &(struct rpc_frame){.kind = RPC_ERROR,
						.id = f->id,
						.code = (uint32_t)-rv,
						.payload = why,
						.len = strlen(why)});
		rpc_conn_close(c, 0, why);
		return;
	}
	pack_encode(&rpc_hello_type, c->config->hello, &b);
	reply.payload = b.at;
	reply.len = b.len;
	if (b.failed) {
		rpc_conn_doom(c, ERR_NOMEM, error_text(ERR_NOMEM));
	} else {
		must_put(c, &reply);
		become_ready(c);
	}
	buf_close(&b);
}

static void on_hello_answered(struct rpc_request *req, int err, const struct rpc_frame *f)
{
	struct rpc_conn *c = CONTAINER_OF(req, struct rpc_conn, hello);
	char text[128];
	const char *why;
	int rv;

	if (c->state == RPC_CONN_CLOSED) {
		return;
	}
	if (err != 0) {
		size_t n = f->len < sizeof(text) - 1 ? f->len : sizeof(text) - 1;

		memcpy(text, f->payload, n);
		text[n] = '\0';
		rpc_conn_close(c, err, text);
		return;
	}
	rv = check_hello(c, f, &why);
	if (rv != 0) {
		rpc_conn_close(c, rv, why);
	} else if (c->state == RPC_CONN_HELLO) {
		become_ready(c);
	}
}

static int say_hello(struct rpc_conn *c)
{
	struct rpc_piece *first = piece_for(c, 1);
	struct buf b = {0};
	int rv;

	if (first == NULL) {
		return ERR_NOMEM;
	}
	buf_byte(&first->buf, RPC_FIRST_BYTE);
	note_output(c, 1);
	pack_encode(&rpc_hello_type, c->config->hello, &b);
	c->hello.reply_cb = on_hello_answered;
	rv = b.failed ? ERR_NOMEM : send_request(c, &c->hello, RPC_METHOD_HELLO, b.at, b.len, 0);
	buf_close(&b);
	return rv;
}

/* --- Input -------------------------------------------------------------------------------------------------------- */

static void on_call_signal(struct rpc_conn *c, const struct rpc_frame *f)
{
	uint32_t n = f->id & ((1U << SLOT_BITS) - 1);
	struct rpc_call *call = n < c->calls_cap ? c->calls[n] : NULL;

	if (call == NULL || call->id != f->id) {
		return; /* Answered meanwhile. */
	}
	if (f->kind == RPC_CANCEL) {
		lose_call(call);
	} else {
		on_credit(c, call, f->code);
	}
}

static void on_frame_ready(struct rpc_conn *c, const struct rpc_frame *f)
{
	switch (f->kind) {
	case RPC_REQUEST:
		on_request(c, f);
		break;
	case RPC_REPLY:
	case RPC_ERROR:
		on_reply(c, f);
		break;
	case RPC_CHUNK:
		on_chunk(c, f);
		break;
	case RPC_CREDIT:
	case RPC_CANCEL:
		on_call_signal(c, f);
		break;
	case RPC_PUSH:
		if (handlers(c)->push_cb != NULL) {
			handlers(c)->push_cb(c, f->code, f->payload, f->len);
		}
		break;
	case RPC_PING:
		put_signal(c, RPC_PONG, 0, 0);
		break;
	case RPC_PONG:
		break;
	default:
		rpc_conn_close(c, ERR_SYNTAX, "an unknown kind of frame");
	}
}

static void on_frame(struct rpc_conn *c, const struct rpc_frame *f)
{
	if (c->state == RPC_CONN_READY) {
		on_frame_ready(c, f);
	} else if (c->opener && (f->kind == RPC_REPLY || f->kind == RPC_ERROR)) {
		on_reply(c, f);
	} else if (!c->opener && f->kind == RPC_REQUEST && f->code == RPC_METHOD_HELLO) {
		answer_hello(c, f);
	} else {
		rpc_conn_close(c, ERR_SYNTAX, "no hello");
	}
}

/* Returns how many bytes made whole frames. */
static size_t take_frames(struct rpc_conn *c, const char *data, size_t len)
{
	size_t done = 0;

	while (c->state != RPC_CONN_CLOSED && c->doom_err == 0) {
		struct rpc_frame f;
		size_t used;
		size_t max = c->state == RPC_CONN_HELLO ? RPC_HELLO_MAX : frame_max(c);
		int rv = rpc_frame_get(data + done, len - done, max, &f, &used);

		if (rv <= 0) {
			if (rv < 0) {
				rpc_conn_close(c, rv, rv == ERR_TOOBIG ? "a frame too long" : "not a frame");
			}
			break;
		}
		done += used;
		on_frame(c, &f);
	}
	return done;
}

/* Callbacks may close the connection while its input is walked: so it is taken out meanwhile. */
static void take_joined(struct rpc_conn *c, const char *data, size_t len)
{
	struct buf in = c->input;
	bool begins = in.len == 0;
	size_t done;

	c->input = (struct buf){0};
	buf_put(&in, data, len);
	if (in.failed) {
		rpc_conn_close(c, ERR_NOMEM, error_text(ERR_NOMEM));
	}
	done = take_frames(c, in.at, in.len);
	if (done == in.len || c->state == RPC_CONN_CLOSED) {
		buf_close(&in);
		return;
	}
	memmove(in.at, in.at + done, in.len - done);
	in.len -= done;
	c->input = in;
	if (begins || done > 0) {
		c->input_ms = now_ms(c);
	}
}

static void meet_doom(struct rpc_conn *c)
{
	if (c->doom_err != 0) {
		rpc_conn_close(c, c->doom_err, c->doom_why);
	}
}

void rpc_conn_input(struct rpc_conn *c, const char *data, size_t len)
{
	if (c->state == RPC_CONN_CLOSED) {
		return;
	}
	hold(c);
	c->heard_ms = now_ms(c);
	c->pinged = false;
	if (c->input.len == 0) {
		size_t done = take_frames(c, data, len);

		data += done;
		len -= done;
	}
	if (len > 0 && c->state != RPC_CONN_CLOSED) {
		take_joined(c, data, len);
	}
	meet_doom(c);
	let_go(c);
}

/* --- Time --------------------------------------------------------------------------------------------------------- */

/* Fails the requests that are over time, and finds the next deadline. */
static void check_deadlines(struct rpc_conn *c, int64_t now)
{
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < c->slots_cap && c->state != RPC_CONN_CLOSED; i++) {
		struct rpc_request *req = c->slots[i].req;

		if (req == NULL) {
			continue;
		}
		if (req->deadline_ms <= now) {
			put_signal(c, RPC_CANCEL, req->id, 0);
			fail_request(req, ERR_TIMEOUT, error_text(ERR_TIMEOUT));
		} else if (req->deadline_ms < next) {
			next = req->deadline_ms;
		}
	}
	/* A callback may have sent a request with an earlier deadline, in a slot that had been passed. */
	c->deadline_ms = c->deadline_ms > now && c->deadline_ms < next ? c->deadline_ms : next;
}

/* What the frame that is coming may take, as far as it has come. */
static int64_t frame_ms(const struct rpc_conn *c)
{
	return RPC_FRAME_MS + (int64_t)(c->input.len * 1000 / RPC_BYTES_PER_S_MIN);
}

static void check_silence(struct rpc_conn *c, int64_t now)
{
	int64_t silence = or_default(c->config->silence_ms, RPC_SILENCE_MS);
	int64_t ping = or_default(c->config->ping_ms, RPC_PING_MS);

	if (now - c->heard_ms >= silence) {
		rpc_conn_close(c, ERR_TIMEOUT, "the other side is silent");
	} else if (c->input.len > 0 && now - c->input_ms > frame_ms(c)) {
		rpc_conn_close(c, ERR_TIMEOUT, "a frame comes too slowly");
	} else if (c->queued > 0 && now - c->moved_ms >= silence) {
		rpc_conn_close(c, ERR_TIMEOUT, "the other side does not read");
	} else if (now - c->heard_ms >= ping) {
		if (!c->pinged) {
			c->pinged = true;
			put_signal(c, RPC_PING, 0, 0);
		}
		wake_at(c, c->heard_ms + silence);
	} else {
		wake_at(c, c->heard_ms + ping);
	}
}

static void tick_hello(struct rpc_conn *c, int64_t now)
{
	if (now >= c->open_by_ms) {
		rpc_conn_close(c, ERR_TIMEOUT, "no connection, or no hello, in time");
	} else {
		wake_at(c, c->open_by_ms);
	}
}

static void tick_ready(struct rpc_conn *c, int64_t now)
{
	if (now >= c->deadline_ms) {
		c->deadline_ms = INT64_MAX;
		check_deadlines(c, now);
	}
	if (c->state != RPC_CONN_CLOSED) {
		check_silence(c, now);
	}
	if (c->state != RPC_CONN_CLOSED && c->deadline_ms != INT64_MAX) {
		wake_at(c, c->deadline_ms > now + TICK_MIN_MS ? c->deadline_ms : now + TICK_MIN_MS);
	}
}

void rpc_conn_tick(struct rpc_conn *c)
{
	int64_t now = now_ms(c);

	if (c->state == RPC_CONN_CLOSED) {
		return;
	}
	hold(c);
	c->wake_ms = INT64_MAX;
	if (c->doom_err != 0) {
		meet_doom(c);
	} else if (c->state == RPC_CONN_HELLO) {
		tick_hello(c, now);
	} else {
		tick_ready(c, now);
	}
	let_go(c);
}

/* --- Begin and end ------------------------------------------------------------------------------------------------ */

void rpc_conn_init(struct rpc_conn *c, const struct rpc_config *config, const struct rpc_carrier *carrier, bool opener,
		   uint32_t open_ms)
{
	int rv;

	*c = (struct rpc_conn){.config = config,
			       .carrier = carrier,
			       .opener = opener,
			       .free_slot = NO_SLOT,
			       .deadline_ms = INT64_MAX,
			       .wake_ms = INT64_MAX};
	assert(requests_max(c) <= UINT16_MAX);
	list_init(&c->pieces);
	c->heard_ms = now_ms(c);
	c->open_by_ms = c->heard_ms + or_default(open_ms, or_default(config->hello_ms, RPC_HELLO_MS));
	wake_at(c, c->open_by_ms);
	rv = opener ? say_hello(c) : 0;
	if (rv != 0) {
		rpc_conn_doom(c, rv, error_text(rv));
	}
}

static void lose_calls(struct rpc_conn *c)
{
	for (uint32_t i = 0; i < c->calls_cap; i++) {
		if (c->calls[i] != NULL) {
			lose_call(c->calls[i]);
		}
	}
}

/* A request whose frame has not left whole cannot have been carried out. */
static void fail_requests(struct rpc_conn *c, const char *why)
{
	for (uint32_t i = 0; i < c->slots_cap; i++) {
		struct rpc_request *req = c->slots[i].req;

		if (req != NULL) {
			fail_request(req, req->put_at > c->sent ? ERR_CLOSED : ERR_UNKNOWN, why);
		}
	}
}

void rpc_conn_close(struct rpc_conn *c, int err, const char *why)
{
	if (c->state == RPC_CONN_CLOSED) {
		return;
	}
	hold(c);
	c->state = RPC_CONN_CLOSED;
	stop_holding(c);
	c->carrier->end(c, err == 0);
	lose_calls(c);
	fail_requests(c, why);
	if (handlers(c)->closed_cb != NULL) {
		handlers(c)->closed_cb(c, err, why);
	}
	let_go(c);
}
