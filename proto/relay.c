#include "proto/relay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

/* What one thread tells the other about a stream; the ends of things are embedded in the objects, so that they cannot
 * fail for want of memory. */
struct note {
	struct mail mail;
	void *of; /* The relay_out or relay_in. */
	struct buf data;
	size_t n;
};

static struct note *new_note(void *of, void (*run_cb)(struct mail *mail))
{
	struct note *n = calloc(1, sizeof(*n));

	if (n != NULL) {
		n->mail.run_cb = run_cb;
		n->of = of;
	}
	return n;
}

static void free_note(struct note *n)
{
	buf_close(&n->data);
	free(n);
}

/* --- Out: a request of our client, answered by another agent -------------------------------------------------------
 */

/*
 *     HTTP                          RPC
 *     relay_forward() -- start -->  try
 *                    <-- begin --   a streamed answer begins
 *                    <-- piece --
 *     room again     -- credit -->
 *     client gone    -- cancel -->
 *                    <-- final --   the answer, the end of the stream or an error: always, and the last
 *
 * After `final` RPC has forgotten it.
 */
struct relay_out {
	const struct relay *relay;
	struct mail start, begin, cancel, final;
	char target[RELAY_TARGET_MAX];
	uint32_t timeout_ms;

	/* HTTP's. */
	struct http_request *req; /* NULL: answered. */
	size_t unread;            /* Bytes of the stream that the client's side has not made room for. */
	bool cancelled;
	void *owner_data; /* What the request had before. */
	void (*owner_gone_cb)(struct http_request *req);
	void (*owner_drain_cb)(struct http_request *req);

	/* RPC's, from start to final. */
	struct rpc_request rpc;
	struct list link; /* Of whoever keeps it. */
	struct buf payload;
	unsigned tries;
	bool gone, kept, finished, whole;
	bool repeatable; /* A read: done twice it does no harm. */

	/* From RPC to HTTP, with begin or final. */
	struct buf head; /* An answer as a payload; empty: see err. */
	struct buf body; /* Put together of pieces, if `whole`. */
	int err;
	char why[128];
};

static struct relay_out *out_of_rpc(struct rpc_request *rpc)
{
	return CONTAINER_OF(rpc, struct relay_out, rpc);
}

static void finish_out(struct relay_out *out, int err)
{
	assert(!out->finished);
	out->finished = true;
	out->err = err;
	out->relay->post_http(out->relay->ctx, &out->final);
}

static void fail_out(struct relay_out *out, int err, const char *why, size_t len)
{
	size_t n = len < sizeof(out->why) - 1 ? len : sizeof(out->why) - 1;

	memcpy(out->why, why, n);
	out->why[n] = '\0';
	buf_close(&out->head);
	buf_close(&out->body);
	finish_out(out, err);
}

static void fail_out_text(struct relay_out *out, int err)
{
	const char *text = error_text(err);

	fail_out(out, err, text, strlen(text));
}

/* Surely not carried out, or a read: so it may be tried again. */
static void not_done(struct relay_out *out, int err, const char *why, size_t len)
{
	const struct relay *r = out->relay;

	if (!out->gone && r->again != NULL) {
		out->kept = true;
		if (r->again(r->ctx, out, err)) {
			return;
		}
		out->kept = false;
	}
	fail_out(out, err == ERR_CLOSED ? ERR_NOLEADER : err, why, len);
}

static void on_out_reply(struct rpc_request *rpc, int err, const struct rpc_frame *f);
static void on_out_chunk(struct rpc_request *rpc, int err, const char *data, size_t len, bool last);

void relay_try(struct relay_out *out)
{
	const struct relay *r = out->relay;
	struct rpc_conn *c;
	int err = ERR_NOLEADER;

	out->kept = false;
	out->tries++;
	if (out->gone) {
		fail_out_text(out, ERR_CLOSED);
		return;
	}
	c = r->route(r->ctx, out->target, &err);
	out->rpc.reply_cb = on_out_reply;
	out->rpc.chunk_cb = on_out_chunk;
	if (c != NULL) {
		err = rpc_send(c, &out->rpc, RPC_METHOD_HTTP, out->payload.at, out->payload.len, out->timeout_ms);
	}
	if (c == NULL || err == ERR_CLOSED) {
		not_done(out, err, error_text(err), strlen(error_text(err)));
	} else if (err != 0) {
		fail_out_text(out, err);
	}
}

void relay_give_up(struct relay_out *out, int err)
{
	assert(out->kept);
	out->kept = false;
	fail_out_text(out, err);
}

/* How much body follows the head in pieces; 0: unknown. */
static size_t length_of(const struct rpc_frame *f)
{
	struct arena mem = {0};
	size_t n = 0;

	(void)rpc_get_http_length(f->payload, f->len, &mem, &n);
	arena_close(&mem);
	return n;
}

static void on_out_reply(struct rpc_request *rpc, int err, const struct rpc_frame *f)
{
	struct relay_out *out = out_of_rpc(rpc);
	size_t length;

	if (err == ERR_CLOSED || err == ERR_NOTLEADER || (err == ERR_UNKNOWN && out->repeatable)) {
		not_done(out, err, f->payload, f->len);
		return;
	}
	if (err != 0) {
		fail_out(out, err, f->payload, f->len);
		return;
	}
	buf_put(&out->head, f->payload, f->len);
	if (out->head.failed) {
		rpc_cancel(rpc);
		fail_out_text(out, ERR_NOMEM);
		return;
	}
	if ((f->flags & RPC_MORE) == 0) {
		finish_out(out, 0);
		return;
	}
	length = length_of(f);
	out->whole = length > 0 && length <= RELAY_WHOLE_MAX;
	if (!out->whole) {
		out->relay->post_http(out->relay->ctx, &out->begin);
	}
}

static void deliver_piece(struct mail *mail);

static void pass_piece_on(struct relay_out *out, const char *data, size_t len)
{
	struct note *n = new_note(out, deliver_piece);

	if (n != NULL) {
		buf_put(&n->data, data, len);
	}
	if (n == NULL || n->data.failed) {
		if (n != NULL) {
			free_note(n);
		}
		rpc_cancel(&out->rpc);
		fail_out_text(out, ERR_NOMEM);
		return;
	}
	out->relay->post_http(out->relay->ctx, &n->mail);
}

static void on_out_chunk(struct rpc_request *rpc, int err, const char *data, size_t len, bool last)
{
	struct relay_out *out = out_of_rpc(rpc);

	if (err != 0) {
		fail_out_text(out, err);
		return;
	}
	if (len > 0 && out->whole) {
		buf_put(&out->body, data, len);
		if (out->body.failed || out->body.len > RELAY_WHOLE_MAX) {
			rpc_cancel(rpc);
			fail_out_text(out, out->body.failed ? ERR_NOMEM : ERR_TOOBIG);
			return;
		}
		rpc_consumed(rpc, len);
	} else if (len > 0) {
		pass_piece_on(out, data, len);
	}
	if (last && !out->finished) {
		finish_out(out, 0);
	}
}

static void start_out(struct mail *mail)
{
	relay_try(CONTAINER_OF(mail, struct relay_out, start));
}

static void cancel_out(struct mail *mail)
{
	struct relay_out *out = CONTAINER_OF(mail, struct relay_out, cancel);

	out->gone = true;
	if (out->finished || out->kept) {
		return; /* Whoever keeps it finds out when he tries. */
	}
	rpc_cancel(&out->rpc);
	fail_out_text(out, ERR_CLOSED);
}

static void credit_out(struct mail *mail)
{
	struct note *n = (struct note *)(void *)mail;
	struct relay_out *out = n->of;

	if (!out->finished) {
		rpc_consumed(&out->rpc, n->n);
	}
	free_note(n);
}

/* HTTP's side. */

/* What has been taken by the client's side may be followed by as much. Without memory to say so it is said the next
 * time. */
static void give_credit(struct relay_out *out)
{
	struct note *n = out->unread > 0 ? new_note(out, credit_out) : NULL;

	if (n != NULL) {
		n->n = out->unread;
		out->unread = 0;
		out->relay->post_rpc(out->relay->ctx, &n->mail);
	}
}

static void on_client_gone(struct http_request *req)
{
	struct relay_out *out = req->data;

	if (!out->cancelled) {
		out->cancelled = true;
		out->relay->post_rpc(out->relay->ctx, &out->cancel);
	}
}

static void on_client_drained(struct http_request *req)
{
	give_credit(req->data);
}

static void deliver_piece(struct mail *mail)
{
	struct note *n = (struct note *)(void *)mail;
	struct relay_out *out = n->of;
	int rv = http_stream_write(out->req, n->data.at, n->data.len);

	assert(rv != ERR_BUSY); /* It cannot have more than the connection's window. */
	out->unread += n->data.len;
	if (rv == 0) {
		give_credit(out);
	}
	free_note(n); /* An error means that the client has left, of which gone_cb tells. */
}

static void deliver_begin(struct mail *mail)
{
	struct relay_out *out = CONTAINER_OF(mail, struct relay_out, begin);
	struct http_response head;
	int rv = rpc_get_http_response(&head, out->head.at, out->head.len, &out->req->mem);

	if (rv != 0) {
		head = (struct http_response){.status = 502};
		on_client_gone(out->req); /* Nobody wants to see the rest. */
	} else {
		buf_close(&head.body);
	}
	http_stream_begin(out->req, &head);
}

/* Whoever wrote must be told that it may have happened. */
static void answer_error(struct relay_out *out)
{
	const char *why = out->why[0] != '\0' ? out->why : error_text(out->err);
	bool unknown = out->err == ERR_UNKNOWN || out->err == ERR_TIMEOUT;

	if (unknown && !out->repeatable) {
		http_answer_text(out->req, http_status_of(ERR_UNKNOWN), "%s (%s)", error_text(ERR_UNKNOWN), why);
	} else {
		http_answer_text(out->req, http_status_of(out->err), "%s", why);
	}
}

static void answer_out(struct relay_out *out)
{
	struct http_response res;
	int rv = rpc_get_http_response(&res, out->head.at, out->head.len, &out->req->mem);

	if (rv != 0) {
		http_answer_text(out->req, 502, "The other agent's answer makes no sense");
		return;
	}
	if (out->whole) {
		buf_close(&res.body);
		res.body = out->body;
		out->body = (struct buf){0};
	}
	http_answer(out->req, &res);
}

/* To whom it came from. A client that has left wants nothing but its end. */
static void return_request(struct relay_out *out)
{
	struct http_request *req = out->req;

	if (out->relay->returned == NULL || req->gone) {
		answer_error(out);
		return;
	}
	req->data = out->owner_data;
	req->gone_cb = out->owner_gone_cb;
	req->drain_cb = out->owner_drain_cb;
	out->relay->returned(out->relay->ctx, req, out->err);
}

/* RPC says no more. If our cancel is still on its way it must not find us gone: then it comes back once more. */
static void free_out(struct relay_out *out)
{
	buf_close(&out->payload);
	buf_close(&out->head);
	buf_close(&out->body);
	free(out);
}

static void free_out_later(struct mail *mail)
{
	free_out(CONTAINER_OF(mail, struct relay_out, begin));
}

static void return_out(struct mail *mail)
{
	struct relay_out *out = CONTAINER_OF(mail, struct relay_out, start);

	out->begin.run_cb = free_out_later;
	out->relay->post_http(out->relay->ctx, &out->begin);
}

static void deliver_final(struct mail *mail)
{
	struct relay_out *out = CONTAINER_OF(mail, struct relay_out, final);
	struct http_request *req = out->req;

	if (req->answered) {
		http_stream_end(req, out->err == 0);
	} else if (out->err != 0) {
		return_request(out);
	} else {
		answer_out(out);
	}
	/* Credit and cancel may still be on their way to RPC: the last mail goes behind them, there and back. */
	out->start.run_cb = return_out;
	out->relay->post_rpc(out->relay->ctx, &out->start);
}

void relay_forward(const struct relay *r, struct http_request *req, const char *target, uint32_t timeout_ms)
{
	struct relay_out *out = calloc(1, sizeof(*out));

	if (out != NULL) {
		rpc_put_http_request(&out->payload, req);
	}
	if (out == NULL || out->payload.failed || strlen(target) >= sizeof(out->target)) {
		if (out != NULL) {
			free_out(out);
		}
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	out->relay = r;
	out->req = req;
	out->timeout_ms = timeout_ms;
	out->repeatable = req->method == HTTP_GET && req->session[0] == '\0';
	strcpy(out->target, target);
	out->owner_data = req->data;
	out->owner_gone_cb = req->gone_cb;
	out->owner_drain_cb = req->drain_cb;
	list_init(&out->link);
	out->start.run_cb = start_out;
	out->begin.run_cb = deliver_begin;
	out->cancel.run_cb = cancel_out;
	out->final.run_cb = deliver_final;
	req->data = out;
	req->gone_cb = on_client_gone;
	req->drain_cb = on_client_drained;
	r->post_rpc(r->ctx, &out->start);
}

const char *relay_out_target(const struct relay_out *out)
{
	return out->target;
}

unsigned relay_out_tries(const struct relay_out *out)
{
	return out->tries;
}

bool relay_out_gone(const struct relay_out *out)
{
	return out->gone;
}

struct list *relay_out_link(struct relay_out *out)
{
	return &out->link;
}

struct relay_out *relay_out_of(struct list *link)
{
	return CONTAINER_OF(link, struct relay_out, link);
}

/* --- In: a request of another agent, answered by our handler --------------------------------------------------------
 */

/*
 *     RPC                          HTTP
 *     relay_serve() -- start -->   handle()
 *                   <-- answer --  the whole answer, or
 *                   <-- begin --   the head of a stream
 *                   <-- piece --
 *     room again    -- taken -->
 *     nobody waits  -- gone -->
 *                   <-- end --
 *                   -- final -->   freed. RPC has forgotten it
 */
struct relay_in {
	struct http_request req; /* First: the sink finds it by this. HTTP's. */
	struct relay *relay;
	struct mail start, answer, gone, end, final;

	/* RPC's. */
	struct rpc_call *call; /* NULL: answered. */
	size_t done;           /* Bytes of the answer's body that have been sent in pieces. */
	size_t unsent;         /* Bytes of pieces that the connection took, but asked to wait after. */

	/* HTTP's. */
	size_t under_way; /* Bytes of pieces that RPC has not told to be taken. */
	bool owes_drain, ended;

	/* From RPC to HTTP with start, and back with answer or end. */
	struct buf payload; /* A request, then an answer. */
	struct buf body;    /* Too long to travel with its head: one of these two. */
	struct http_body *shared;
	int err;
};

static struct relay_in *in_of(struct http_request *req)
{
	return (struct relay_in *)(void *)req;
}

static void free_in(struct relay_in *in)
{
	buf_close(&in->payload);
	buf_close(&in->body);
	http_body_put(in->shared);
	http_request_close(&in->req);
	free(in);
}

/* HTTP's side: the sink. */

static void post_rpc(struct relay_in *in, struct mail *mail)
{
	in->relay->post_rpc(in->relay->ctx, mail);
}

static void take_call_answer(struct mail *mail);
static void take_call_refusal(struct mail *mail);
static void take_call_begin(struct mail *mail);
static void take_call_piece(struct mail *mail);

static void sink_answer(struct http_request *req, struct http_response *res)
{
	struct relay_in *in = in_of(req);
	size_t len = res->shared != NULL ? res->shared->len : res->body.len;

	in->relay->serving--;
	buf_close(&in->payload);
	if (res->not_done) {
		buf_close(&res->body);
		http_body_put(res->shared);
		in->answer.run_cb = take_call_refusal;
		post_rpc(in, &in->answer);
		return;
	}
	if (len > RELAY_PIECE_FROM) {
		in->body = res->body;
		in->shared = res->shared;
		res->body = (struct buf){0};
		res->shared = NULL;
		rpc_put_http_head(&in->payload, res, len);
	} else {
		rpc_put_http_response(&in->payload, res);
		buf_close(&res->body);
		http_body_put(res->shared);
	}
	in->answer.run_cb = take_call_answer;
	post_rpc(in, &in->answer);
}

static void sink_begin(struct http_request *req, struct http_response *head)
{
	struct relay_in *in = in_of(req);

	in->relay->serving--;
	buf_close(&in->payload);
	rpc_put_http_head(&in->payload, head, 0);
	in->answer.run_cb = take_call_begin;
	post_rpc(in, &in->answer);
}

static int sink_write(struct http_request *req, const void *data, size_t len)
{
	struct relay_in *in = in_of(req);
	struct note *n;

	if (req->gone || in->err != 0) {
		return ERR_CLOSED;
	}
	if (in->under_way > 0 && in->under_way + len > HTTP_STREAM_MAX) {
		return ERR_BUSY;
	}
	if (len > 0) {
		n = new_note(in, take_call_piece);
		if (n != NULL) {
			buf_put(&n->data, data, len);
		}
		if (n == NULL || n->data.failed) {
			if (n != NULL) {
				free_note(n);
			}
			in->err = ERR_NOMEM;
			return ERR_CLOSED;
		}
		in->under_way += len;
		post_rpc(in, &n->mail);
	}
	in->owes_drain = in->under_way >= RELAY_WINDOW;
	return in->owes_drain ? HTTP_WAIT : 0;
}

static void sink_end(struct http_request *req, bool whole)
{
	struct relay_in *in = in_of(req);

	in->ended = true;
	if (!whole && in->err == 0) {
		in->err = ERR_IO;
	}
	post_rpc(in, &in->end);
}

static const struct http_sink sink = {sink_answer, sink_begin, sink_write, sink_end};

static void start_in(struct mail *mail)
{
	struct relay_in *in = CONTAINER_OF(mail, struct relay_in, start);
	struct buf payload = in->payload;
	const char *given;
	int rv;

	in->payload = (struct buf){0};
	in->relay->serving++;
	rv = rpc_get_http_request(&in->req, payload.at, payload.len);
	given = in->req.body;
	if (rv != 0) {
		http_answer_text(&in->req, http_status_of(rv), "%s",
				 rv == ERR_TOOBIG ? "Passed on too often, or too long" : error_text(rv));
	} else {
		in->relay->handle(in->relay->ctx, &in->req);
	}
	buf_close(&payload); /* The request may have been answered, but is freed by `final` alone. */
	if (in->req.body == given) { /* Else the handler has put a copy there. */
		in->req.body = NULL;
		in->req.body_len = 0;
	}
}

static void tell_in_gone(struct mail *mail)
{
	struct relay_in *in = CONTAINER_OF(mail, struct relay_in, gone);
	bool stream = in->req.answered && !in->ended;

	if (in->ended || (in->req.answered && in->answer.run_cb != take_call_begin)) {
		return;
	}
	in->req.gone = true;
	if (in->req.gone_cb != NULL) {
		in->req.gone_cb(&in->req);
	}
	if (stream && !in->ended && in->owes_drain && in->req.drain_cb != NULL) {
		in->req.drain_cb(&in->req); /* It would wait for ever; its next write tells it. */
	}
}

static void note_taken(struct mail *mail)
{
	struct note *n = (struct note *)(void *)mail;
	struct relay_in *in = n->of;

	in->under_way -= n->n;
	free_note(n);
	if (in->owes_drain && in->under_way < RELAY_WINDOW && !in->ended) {
		in->owes_drain = false;
		if (in->req.drain_cb != NULL) {
			in->req.drain_cb(&in->req);
		}
	}
}

static void finish_in(struct mail *mail)
{
	free_in(CONTAINER_OF(mail, struct relay_in, final));
}

/* RPC's side. */

static void forget_in(struct relay_in *in)
{
	in->call = NULL;
	in->relay->post_http(in->relay->ctx, &in->final);
}

static void on_call_gone(struct rpc_call *call)
{
	struct relay_in *in = call->data;

	in->relay->post_http(in->relay->ctx, &in->gone);
}

/* The body in pieces, as far as the other side makes room. */
static void pump_body(struct rpc_call *call)
{
	struct relay_in *in = call->data;
	const char *at = in->shared != NULL ? in->shared->at : in->body.at;
	size_t len = in->shared != NULL ? in->shared->len : in->body.len;
	int rv = 0;

	while (rv == 0 && in->done < len) {
		size_t n = len - in->done < RPC_CHUNK_MAX ? len - in->done : RPC_CHUNK_MAX;

		rv = rpc_reply_chunk(call, at + in->done, n);
		in->done += rv >= 0 ? n : 0;
	}
	if (rv < 0 || in->done == len) {
		rpc_reply_end(call, rv < 0 ? rv : 0);
		forget_in(in);
	}
}

static void drop_body(struct rpc_call *call)
{
	struct relay_in *in = call->data;

	rpc_reply_end(call, ERR_CLOSED);
	forget_in(in);
}

static void take_call_answer(struct mail *mail)
{
	struct relay_in *in = CONTAINER_OF(mail, struct relay_in, answer);

	if (in->payload.failed) {
		rpc_fail(in->call, ERR_NOMEM, error_text(ERR_NOMEM));
	} else if (in->body.len > 0 || in->shared != NULL) {
		in->call->gone_cb = drop_body;
		in->call->drain_cb = pump_body;
		rpc_reply_begin(in->call, in->payload.at, in->payload.len);
		pump_body(in->call);
		return;
	} else {
		rpc_reply(in->call, in->payload.at, in->payload.len);
	}
	forget_in(in);
}

static void take_call_refusal(struct mail *mail)
{
	struct relay_in *in = CONTAINER_OF(mail, struct relay_in, answer);

	rpc_fail(in->call, ERR_NOTLEADER, "not carried out");
	forget_in(in);
}

static void tell_taken(struct relay_in *in, size_t bytes)
{
	struct note *n = bytes > 0 ? new_note(in, note_taken) : NULL;

	if (n != NULL) {
		n->n = bytes;
		in->relay->post_http(in->relay->ctx, &n->mail);
	} else {
		in->unsent = bytes; /* It is told with the next. */
	}
}

static void on_call_drained(struct rpc_call *call)
{
	struct relay_in *in = call->data;
	size_t n = in->unsent;

	in->unsent = 0;
	tell_taken(in, n);
}

static void take_call_begin(struct mail *mail)
{
	struct relay_in *in = CONTAINER_OF(mail, struct relay_in, answer);

	in->call->drain_cb = on_call_drained;
	rpc_reply_begin(in->call, in->payload.at, in->payload.len);
}

static void take_call_piece(struct mail *mail)
{
	struct note *n = (struct note *)(void *)mail;
	struct relay_in *in = n->of;
	int rv = rpc_reply_chunk(in->call, n->data.at, n->data.len);
	size_t bytes = in->unsent + n->data.len;

	free_note(n);
	in->unsent = 0;
	if (rv == HTTP_WAIT) {
		in->unsent = bytes;
	} else {
		tell_taken(in, bytes); /* Also when nobody listens any more: the handler hears of that by `gone`. */
	}
}

static void take_call_end(struct mail *mail)
{
	struct relay_in *in = CONTAINER_OF(mail, struct relay_in, end);

	rpc_reply_end(in->call, in->err);
	forget_in(in);
}

void relay_serve(struct relay *r, struct rpc_call *call, const char *node)
{
	struct relay_in *in = calloc(1, sizeof(*in));

	if (in != NULL) {
		buf_put(&in->payload, call->payload, call->len);
	}
	if (in == NULL || in->payload.failed) {
		if (in != NULL) {
			free_in(in);
		}
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
		return;
	}
	http_request_init(&in->req, &sink);
	in->req.node = node != NULL ? arena_strdup(&in->req.mem, node) : "";
	if (in->req.node == NULL) {
		free_in(in);
		rpc_fail(call, ERR_NOMEM, error_text(ERR_NOMEM));
		return;
	}
	in->relay = r;
	in->call = call;
	in->start.run_cb = start_in;
	in->gone.run_cb = tell_in_gone;
	in->end.run_cb = take_call_end;
	in->final.run_cb = finish_in;
	call->data = in;
	call->gone_cb = on_call_gone;
	r->post_http(r->ctx, &in->start);
}
