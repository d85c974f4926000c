#include "proto/handover.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

/* A part of a stream on its way to the owner. */
struct piece {
	struct mail mail;
	struct handover *handover;
	struct list link;
	size_t len;
	char data[];
};

/* Mail that is on its way, and each of the two threads, holds the handover. */
struct handover {
	const struct handover_route *route;
	atomic_uint refs;

	/* The owner's thread. */
	struct http_request *req; /* NULL once it has been answered. */
	struct list pieces;       /* Not yet written. */
	bool full;                /* The sink has no room: its drain_cb will come. */
	bool ended;               /* The end is here, behind the pieces. */
	bool broken;              /* Some of it was not taken. */
	size_t written;           /* Since room was told last. */

	/* The other thread. */
	struct http_request copy;
	size_t under_way;
	bool waiting; /* drain_cb is owed. */
	bool closed;  /* Answered, to the end: the handler hears no more. */

	/* Written by the other thread before the mail that tells of it. */
	struct http_response res;
	bool streaming;
	bool whole;
	struct mail start, gone, answer, end;

	/* Room that was made: counted first, then told, so that one mail will do. */
	struct mail room;
	atomic_size_t made;
	atomic_bool told;
};

static void unref(struct handover *r)
{
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1) {
		http_request_close(&r->copy);
		free(r);
	}
}

static struct handover *ref(struct handover *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

static void send_back(struct handover *r, struct mail *mail)
{
	ref(r)->route->back(r->route->ctx, mail);
}

static void send_there(struct handover *r, struct mail *mail)
{
	ref(r)->route->follow(r->route->ctx, mail);
}

/* ---- the owner's thread ---- */

/* The request is going to be answered: from then on it is the sink's. */
static struct http_request *let_go(struct handover *r)
{
	struct http_request *req = r->req;

	r->req = NULL;
	req->gone_cb = NULL;
	req->drain_cb = NULL;
	return req;
}

static void tell_room(struct handover *r)
{
	if (r->written < HANDOVER_WINDOW / 4) {
		return;
	}
	atomic_fetch_add(&r->made, r->written);
	r->written = 0;
	if (!atomic_exchange(&r->told, true)) {
		send_there(r, &r->room);
	}
}

static void write_piece(struct handover *r, const struct piece *p)
{
	int rc = http_stream_write(r->req, p->data, p->len);

	r->full = rc == HTTP_WAIT;
	r->broken |= rc < 0;
	r->written += p->len;
}

/* Write what there is room for, and the end when it is its turn. */
static void pump(struct handover *r)
{
	struct list *e;

	while (!r->full && (e = list_pop(&r->pieces)) != NULL) {
		write_piece(r, CONTAINER_OF(e, struct piece, link));
		free(CONTAINER_OF(e, struct piece, link));
	}
	tell_room(r);
	if (r->ended && r->req != NULL && list_empty(&r->pieces)) {
		http_stream_end(let_go(r), r->whole && !r->broken);
		unref(r);
	}
}

static void run_piece(struct mail *mail)
{
	struct piece *p = CONTAINER_OF(mail, struct piece, mail);
	struct handover *r = p->handover;

	list_insert(&r->pieces, &p->link);
	pump(r);
	unref(r);
}

static void run_end(struct mail *mail)
{
	struct handover *r = CONTAINER_OF(mail, struct handover, end);

	r->ended = true;
	pump(r);
	unref(r);
}

/* For want of memory a text is left out. */
static void keep_text(const char **text, struct arena *mem)
{
	*text = *text != NULL ? arena_strdup(mem, *text) : NULL;
}

/* The texts of an answer are the copy's, and the owner's request outlives that. */
static void keep_texts(struct http_response *res, struct arena *mem)
{
	unsigned n = 0;

	keep_text(&res->type, mem);
	keep_text(&res->next_token, mem);
	keep_text(&res->location, mem);
	for (unsigned i = 0; i < res->n_extra; i++) {
		struct http_header h = res->extra[i];

		keep_text(&h.name, mem);
		keep_text(&h.value, mem);
		if (h.name != NULL && h.value != NULL) {
			res->extra[n++] = h;
		}
	}
	res->n_extra = n;
}

/* A whole answer, or the head of a stream. */
static void run_answer(struct mail *mail)
{
	struct handover *r = CONTAINER_OF(mail, struct handover, answer);
	struct http_response res = r->res;

	keep_texts(&res, &r->req->mem);
	if (r->streaming) {
		http_stream_begin(r->req, &res);
	} else {
		http_answer(let_go(r), &res);
		unref(r);
	}
	unref(r);
}

/* The sink takes nothing any more, and says so: no need to wait for room. */
static void owner_gone_cb(struct http_request *req)
{
	struct handover *r = ref(req->data);

	send_there(r, &r->gone);
	r->full = false;
	pump(r);
	unref(r);
}

static void owner_drain_cb(struct http_request *req)
{
	struct handover *r = ref(req->data);

	r->full = false;
	pump(r);
	unref(r);
}

/* ---- the other thread ---- */

static struct handover *of(struct http_request *copy)
{
	return CONTAINER_OF(copy, struct handover, copy);
}

static void copy_close(struct handover *r, struct mail *last)
{
	r->closed = true;
	send_back(r, last);
	unref(r);
}

static void copy_answer(struct http_request *copy, struct http_response *res)
{
	of(copy)->res = *res;
	copy_close(of(copy), &of(copy)->answer);
}

static void copy_begin(struct http_request *copy, struct http_response *head)
{
	struct handover *r = of(copy);

	r->res = *head;
	r->streaming = true;
	send_back(r, &r->answer);
}

static int copy_write(struct http_request *copy, const void *data, size_t len)
{
	struct handover *r = of(copy);
	struct piece *p;

	if (copy->gone) {
		return ERR_CLOSED;
	}
	p = r->under_way < HTTP_STREAM_MAX ? malloc(sizeof(*p) + len) : NULL;
	if (p == NULL) {
		return ERR_BUSY;
	}
	p->mail.run_cb = run_piece;
	p->handover = r;
	p->len = len;
	memcpy(p->data, data, len);
	r->under_way += len;
	r->waiting = r->under_way >= HANDOVER_WINDOW;
	send_back(r, &p->mail);
	return r->waiting ? HTTP_WAIT : 0;
}

static void copy_end(struct http_request *copy, bool whole)
{
	of(copy)->whole = whole;
	copy_close(of(copy), &of(copy)->end);
}

static const struct http_sink copy_sink = {copy_answer, copy_begin, copy_write, copy_end};

static void run_gone(struct mail *mail)
{
	struct handover *r = CONTAINER_OF(mail, struct handover, gone);

	if (!r->closed) {
		r->copy.gone = true;
		if (r->copy.gone_cb != NULL) {
			r->copy.gone_cb(&r->copy);
		}
	}
	unref(r);
}

static void run_room(struct mail *mail)
{
	struct handover *r = CONTAINER_OF(mail, struct handover, room);

	atomic_store(&r->told, false);
	r->under_way -= atomic_exchange(&r->made, 0);
	if (!r->closed && r->waiting && r->under_way < HANDOVER_WINDOW) {
		r->waiting = false;
		if (r->copy.drain_cb != NULL) {
			r->copy.drain_cb(&r->copy);
		}
	}
	unref(r);
}

static void run_start(struct mail *mail)
{
	struct handover *r = CONTAINER_OF(mail, struct handover, start);

	r->route->handle_cb(r->route->ctx, &r->copy);
	unref(r);
}

/* ---- the beginning ---- */

static int copy_target(struct http_request *to, const struct http_request *req)
{
	struct buf target = {0};
	int rc;

	buf_put(&target, req->path, req->path_len);
	if (req->query_len > 0) {
		buf_byte(&target, '?');
		buf_put(&target, req->query, req->query_len);
	}
	rc = target.failed ? ERR_NOMEM : http_request_target(to, target.at, target.len);
	buf_close(&target);
	return rc;
}

static int copy_request(struct http_request *to, const struct http_request *req)
{
	int rc = copy_target(to, req);

	to->method = req->method;
	to->hops = req->hops;
	to->accepts_gzip = req->accepts_gzip;
	to->plain = true;
	if (rc == 0 && req->token[0] != '\0') {
		to->token = arena_strdup(&to->mem, req->token);
	}
	if (rc == 0 && req->session[0] != '\0') {
		to->session = arena_strdup(&to->mem, req->session);
	}
	if (rc == 0 && req->body_len > 0) {
		to->body = arena_strndup(&to->mem, req->body, req->body_len);
		to->body_len = req->body_len;
	}
	return rc == 0 && (to->token == NULL || to->session == NULL || to->body == NULL) ? ERR_NOMEM : rc;
}

static struct handover *handover_new(const struct handover_route *route, struct http_request *req)
{
	struct handover *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		return NULL;
	}
	r->route = route;
	r->req = req;
	list_init(&r->pieces);
	atomic_init(&r->refs, 2); /* One for each thread. */
	r->start.run_cb = run_start;
	r->gone.run_cb = run_gone;
	r->room.run_cb = run_room;
	r->answer.run_cb = run_answer;
	r->end.run_cb = run_end;
	http_request_init(&r->copy, &copy_sink);
	return r;
}

static void handover_drop(struct handover *r)
{
	unref(r);
	unref(r);
}

void handover_http(const struct handover_route *route, struct http_request *req)
{
	struct handover *r = handover_new(route, req);
	int rc = r != NULL ? copy_request(&r->copy, req) : ERR_NOMEM;

	if (rc != 0) {
		if (r != NULL) {
			handover_drop(r);
		}
		http_answer_error(req, rc);
		return;
	}
	req->data = r;
	req->gone_cb = owner_gone_cb;
	req->drain_cb = owner_drain_cb;
	if (!route->there(route->ctx, &ref(r)->start)) {
		let_go(r);
		unref(r);
		handover_drop(r);
		http_answer_error(req, ERR_BUSY);
	}
}
