/* Requests as h2o hands them over, and their answers. */
#include "server/httpd_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/log.h"
#include "proto/error.h"

/*
 * A trap: while a request waits we read its socket in h2o's place. That may move h2o's input buffer, to which its
 * request still points (method, path and header values, unless it had a body). So whatever we need of them is copied
 * before, and nothing that we ask of h2o afterwards may look at them: no filter of h2o's is used, lengths are always
 * set or chunks made by us, and the Vary header is not h2o's token, which would look for the client's name.
 */

enum {
	HEADERS_MAX = 8 + HTTP_EXTRA_MAX,
	LOGGED_PATH_MAX = 512,
	HOLD_MAX = 64 << 10, /* A longer body is freed as soon as it has left; others with the next request or sweep. */
	RELEASED_SHARE = 4, /* Of so many answers one is of the released ones, if there are any. */
	STREAM_WAIT = 64 << 10,      /* Bytes of a stream under way from which its writer is asked to wait. */
	SLICES_FROM = GZIP_ONCE_MAX, /* Bodies longer than this are compressed slice by slice. */
};

#define TEXT(s)                                                                                                        \
	{                                                                                                              \
		(char *)(uintptr_t)("" s), sizeof(s) - 1                                                               \
	}

static h2o_iovec_t name_content_type = TEXT("Content-Type");
static h2o_iovec_t name_index = TEXT("X-Nomad-Index");
static h2o_iovec_t name_leader = TEXT("X-Nomad-KnownLeader");
static h2o_iovec_t name_contact = TEXT("X-Nomad-LastContact");
static h2o_iovec_t name_next_token = TEXT("X-Nomad-NextToken");
static h2o_iovec_t name_location = TEXT("Location");
static h2o_iovec_t name_encoding = TEXT("Content-Encoding");
static h2o_iovec_t name_transfer = TEXT("Transfer-Encoding");
static h2o_iovec_t name_vary = TEXT("Vary");

/* An answer in pieces: a stream of the handler's, or a long body on its way through gzip. */
struct sender {
	struct buf waiting; /* Bytes behind those that are being sent. */
	struct buf sending; /* In the hands of h2o. */
	struct gzip *gzip;  /* Of a body: then this and the next are set. */
	size_t done;        /* Bytes of the body that have been compressed. */
	bool chunked;
	bool busy;         /* h2o is sending. */
	bool ended, whole; /* By the handler. */
	bool cut;          /* The client has left. */
	bool owes_drain;
};

/* --- Bodies ------------------------------------------------------------------------------------------------------- */

void request_drop_body(struct httpd_conn *c)
{
	buf_close(&c->body);
	http_body_put(c->shared);
	c->shared = NULL;
}

static void drop_response(struct http_response *res)
{
	buf_close(&res->body);
	http_body_put(res->shared);
	*res = (struct http_response){0};
}

static void drop_sender(struct httpd_conn *c)
{
	if (c->sender != NULL) {
		buf_close(&c->sender->waiting);
		buf_close(&c->sender->sending);
		gzip_free(c->sender->gzip);
		free(c->sender);
		c->sender = NULL;
	}
}

size_t request_waiting(const struct httpd_conn *c)
{
	return c->sender != NULL ? c->sender->waiting.len + c->sender->sending.len : 0;
}

static void count_waiting(struct httpd *h, int change)
{
	h->n_waiting += (unsigned)change;
	atomic_store_explicit(&h->waiting_now, h->n_waiting, memory_order_relaxed);
}

static void log_request(const struct httpd_conn *c)
{
	log_debug("http", "request complete: method=%s path=%.*s%s%.*s duration=%.3fms",
		  http_method_text(c->req.method), LOGGED_PATH_MAX, c->req.path != NULL ? c->req.path : "",
		  c->req.query_len > 0 ? "?" : "", LOGGED_PATH_MAX, c->req.query_len > 0 ? c->req.query : "",
		  (double)(uv_hrtime() - c->begun_ns) / 1e6);
}

/* The answer is given: the request's memory goes, and with it the connection if the client has gone. */
void request_finish(struct httpd_conn *c)
{
	assert(c->state != REQUEST_NONE);
	list_remove(&c->waiting);
	if (c->waits) {
		c->waits = false;
		count_waiting(c->h, -1);
	}
	if (!upgrade_has_begun(c)) {
		upgrade_free(c);
	}
	log_request(c);
	http_request_close(&c->req);
	c->state = REQUEST_NONE;
	c->since_ms = uv_now(&c->h->loop);
	c->seen = 0;
	conn_check_free(c);
}

/* --- Headers ------------------------------------------------------------------------------------------------------ */

struct headers {
	h2o_req_t *req;
	h2o_header_t *at;
	size_t n;
};

static void add_header(struct headers *h, h2o_iovec_t *name, const char *value, size_t len)
{
	assert(h->n < HEADERS_MAX);
	h->at[h->n++] = (h2o_header_t){.name = name, .value = {(char *)(uintptr_t)value, len}};
}

static void add_text(struct headers *h, h2o_iovec_t *name, const char *value)
{
	if (value != NULL && value[0] != '\0') {
		add_header(h, name, value, strlen(value));
	}
}

static void add_number(struct headers *h, h2o_iovec_t *name, uint64_t n)
{
	char *text = h2o_mem_alloc_pool(&h->req->pool, sizeof("18446744073709551615"));
	char *end = text + sizeof("18446744073709551615");
	char *at = end;

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	add_header(h, name, at, (size_t)(end - at));
}

static void add_extra(struct headers *h, const struct http_header *extra)
{
	h2o_iovec_t *name = h2o_mem_alloc_pool(&h->req->pool, sizeof(*name));

	*name = h2o_iovec_init(extra->name, strlen(extra->name));
	add_header(h, name, extra->value, strlen(extra->value));
}

/* Status and headers. Their texts must stay until h2o has made the head of them, which it does when the first piece is
 * sent. */
static void set_head(h2o_req_t *req, const struct http_response *res, bool compressed, bool varies)
{
	struct headers h = {.req = req};

	h2o_vector_reserve(&req->pool, &req->res.headers, HEADERS_MAX);
	h.at = req->res.headers.entries;
	req->res.status = res->status;
	req->res.reason = http_status_text(res->status);
	add_text(&h, &name_content_type, res->type);
	if ((res->has & HTTP_HAS_INDEX) != 0) {
		add_number(&h, &name_index, res->index);
	}
	if ((res->has & HTTP_HAS_LEADER) != 0) {
		add_text(&h, &name_leader, res->known_leader ? "true" : "false");
	}
	if ((res->has & HTTP_HAS_CONTACT) != 0) {
		add_number(&h, &name_contact, res->last_contact_ms);
	}
	add_text(&h, &name_next_token, res->next_token);
	add_text(&h, &name_location, res->location);
	if (compressed) {
		add_text(&h, &name_encoding, "gzip");
	}
	if (varies) {
		add_text(&h, &name_vary, "Accept-Encoding");
	}
	for (unsigned i = 0; i < res->n_extra; i++) {
		add_extra(&h, &res->extra[i]);
	}
	req->res.headers.size = h.n;
}

static void add_chunked_header(h2o_req_t *req)
{
	struct headers h = {.req = req, .at = req->res.headers.entries, .n = req->res.headers.size};

	add_text(&h, &name_transfer, "chunked");
	req->res.headers.size = h.n;
}

/* Before anything is sent: reading is h2o's again. */
static void unwatch(struct httpd_conn *c)
{
	if (c->watched) {
		c->watched = false;
		h2o_socket_read_stop(c->sock);
	}
}

/* h2o is not to be asked for anything about this request any more, but what it does by itself. */
static h2o_req_t *take_h2o(struct httpd_conn *c)
{
	h2o_req_t *req = c->h2o;

	c->h2o = NULL;
	unwatch(c);
	if (c->h->draining) {
		req->http1_is_persistent = 0;
	}
	return req;
}

void request_upgrade(struct httpd_conn *c, const struct http_response *res, h2o_http1_upgrade_cb upgraded_cb)
{
	h2o_req_t *req = take_h2o(c);

	set_head(req, res, false, false);
	h2o_http1_upgrade(req, NULL, 0, upgraded_cb, c);
}

/* --- Pieces ------------------------------------------------------------------------------------------------------- */

static void send_more(struct httpd_conn *c);

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
	struct httpd_conn *c = CONTAINER_OF(generator, struct httpd_conn, generator);

	(void)req;
	c->sender->busy = false;
	send_more(c);
}

static int new_sender(struct httpd_conn *c, h2o_req_t *req)
{
	struct sender *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		return ERR_NOMEM;
	}
	s->whole = true;
	s->chunked = req->version >= 0x101;
	if (s->chunked) {
		add_chunked_header(req);
	} else {
		req->http1_is_persistent = 0; /* The end of the connection is the end of the body. */
	}
	c->sender = s;
	c->generator = (h2o_generator_t){.proceed = on_proceed};
	h2o_start_response(req, &c->generator);
	return 0;
}

/* One call of h2o: the bytes in `sending` as a chunk, and the end of the body if this is it. */
static void send_piece(struct httpd_conn *c, bool last)
{
	static char ends[] = "\r\n0\r\n\r\n";
	struct sender *s = c->sender;
	h2o_req_t *req = c->h2o;
	h2o_iovec_t bufs[3];
	size_t n = 0;
	char *size;

	if (s->sending.len > 0) {
		if (s->chunked) {
			size = h2o_mem_alloc_pool(&req->pool, 24);
			bufs[n++] = h2o_iovec_init(size, (size_t)snprintf(size, 24, "%zx\r\n", s->sending.len));
		}
		bufs[n++] = h2o_iovec_init(s->sending.at, s->sending.len);
		if (s->chunked) {
			bufs[n++] = h2o_iovec_init(ends, last && s->whole ? 7 : 2);
		}
	} else if (last && s->chunked && s->whole) {
		bufs[n++] = h2o_iovec_init(ends + 2, 5);
	}
	count(&c->h->bytes_out, s->sending.len);
	if (last) {
		(void)take_h2o(c); /* It is through with us when this has left. */
		h2o_send(req, bufs, n, s->whole ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_ERROR);
	} else {
		s->busy = true;
		h2o_send(req, bufs, n, H2O_SEND_STATE_IN_PROGRESS);
	}
}

/* The next slice of the body, compressed. */
static void fill_from_body(struct httpd_conn *c)
{
	struct sender *s = c->sender;
	const char *at = c->shared != NULL ? c->shared->at : c->body.at;
	size_t len = c->shared != NULL ? c->shared->len : c->body.len;

	while (!s->ended && s->waiting.len == 0) {
		size_t n = len - s->done < GZIP_ONCE_MAX ? len - s->done : GZIP_ONCE_MAX;
		bool last = s->done + n == len;

		if (!gzip_slice(s->gzip, at + s->done, n, last, &s->waiting)) {
			s->ended = true;
			s->whole = false;
		}
		s->done += n;
		s->ended |= last;
	}
}

static void swap_buffers(struct sender *s)
{
	struct buf sent = s->sending;

	sent.len = 0;
	s->sending = s->waiting;
	s->waiting = sent;
}

static bool handler_is_in_stream(const struct httpd_conn *c)
{
	return c->state == REQUEST_STREAM && !c->sender->ended;
}

static void tell_drained(struct httpd_conn *c)
{
	struct sender *s = c->sender;

	if (s->owes_drain && s->waiting.len < STREAM_WAIT && handler_is_in_stream(c)) {
		s->owes_drain = false;
		if (c->req.drain_cb != NULL) {
			c->req.drain_cb(&c->req);
		}
	}
}

/* Sending the end may close the connection at once (request_lost()). The last piece stays, as h2o still reads it, until
 * the next request, the sweep or the end. */
static void send_last(struct httpd_conn *c)
{
	bool stream = c->state == REQUEST_STREAM;

	if (stream) {
		c->state = REQUEST_QUEUED; /* The handler is through with it. */
	}
	send_piece(c, true);
	request_drop_body(c);
	c->body = c->sender->sending;
	c->sender->sending = (struct buf){0};
	drop_sender(c);
	if (stream) {
		request_finish(c);
	}
}

static void send_more(struct httpd_conn *c)
{
	struct sender *s = c->sender;

	if (s->busy || c->h2o == NULL) {
		return;
	}
	if (s->cut) {
		h2o_send(take_h2o(c), NULL, 0, H2O_SEND_STATE_ERROR); /* It hangs up: see request_lost(). */
		return;
	}
	if (s->gzip != NULL) {
		fill_from_body(c);
	}
	if (s->waiting.failed) {
		s->ended = true;
		s->whole = false;
	}
	swap_buffers(s);
	if (s->ended) {
		send_last(c);
		return;
	}
	if (s->sending.len > 0) {
		send_piece(c, false);
	}
	tell_drained(c);
}

/* --- Whole answers ------------------------------------------------------------------------------------------------ */

static struct gzip *gzip_of(struct httpd *h)
{
	if (h->gzip == NULL) {
		h->gzip = gzip_new();
	}
	return h->gzip;
}

/* A shared body is compressed once, by the first who asks; another loop may do so at the same time, and then one of the
 * two is thrown away. */
static struct http_body *compress_shared(struct httpd *h, struct http_body *body)
{
	struct http_body *small = atomic_load_explicit(&body->gzip, memory_order_acquire);
	struct http_body *none = NULL;
	struct buf out = {0};

	if (small != NULL) {
		return small;
	}
	if (gzip_of(h) == NULL || !gzip_all(h->gzip, body->at, body->len, &out)) {
		buf_close(&out);
		return NULL;
	}
	small = http_body_new(&out);
	if (small != NULL && !atomic_compare_exchange_strong_explicit(&body->gzip, &none, small, memory_order_acq_rel,
								      memory_order_acquire)) {
		http_body_put(small);
		small = none;
	}
	return small;
}

/* Replaces the held body by its compressed form; false when there is no memory for that. */
static bool compress_held(struct httpd_conn *c)
{
	struct buf out = {0};

	if (c->shared != NULL) {
		struct http_body *small = compress_shared(c->h, c->shared);

		if (small == NULL) {
			return false;
		}
		http_body_get(small);
		http_body_put(c->shared);
		c->shared = small;
		return true;
	}
	if (gzip_of(c->h) == NULL || !gzip_all(c->h->gzip, c->body.at, c->body.len, &out)) {
		buf_close(&out);
		return false;
	}
	buf_close(&c->body);
	c->body = out;
	return true;
}

/* The body has left: h2o finishes by itself. */
static void on_large_sent(h2o_generator_t *generator, h2o_req_t *req)
{
	struct httpd_conn *c = CONTAINER_OF(generator, struct httpd_conn, generator);

	request_drop_body(c);
	(void)take_h2o(c);
	h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
}

static void send_held(struct httpd_conn *c, bool no_body)
{
	h2o_iovec_t body = c->shared != NULL ? h2o_iovec_init(c->shared->at, c->shared->len)
					     : h2o_iovec_init(c->body.at, c->body.len);
	bool large = body.len > HOLD_MAX && !no_body;
	h2o_req_t *req = large ? c->h2o : take_h2o(c);

	unwatch(c);
	count(&c->h->bytes_out, no_body ? 0 : body.len);
	if (req->res.status != 204 && req->res.status != 304) {
		req->res.content_length = body.len;
	}
	c->generator = (h2o_generator_t){.proceed = large ? on_large_sent : NULL};
	h2o_start_response(req, &c->generator);
	h2o_send(req, &body, no_body || body.len == 0 ? 0 : 1,
		 large ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL);
}

static void send_in_slices(struct httpd_conn *c)
{
	struct gzip *gzip = gzip_new();

	unwatch(c);
	if (gzip == NULL || new_sender(c, c->h2o) != 0) {
		gzip_free(gzip);
		c->h2o->res.headers.size = 0;
		c->h2o->res.status = 500;
		request_drop_body(c);
		send_held(c, false);
		return;
	}
	c->sender->gzip = gzip;
	send_more(c);
}

/* Compressing it takes longer than one turn may. */
static bool needs_slices(const struct http_response *res)
{
	if (res->shared != NULL) {
		return res->shared->len > SLICES_FROM &&
		       atomic_load_explicit(&res->shared->gzip, memory_order_acquire) == NULL;
	}
	return res->body.len > SLICES_FROM;
}

static bool is_bodiless(const struct httpd_conn *c, int status)
{
	return c->req.method == HTTP_HEAD || status == 204 || status == 304;
}

/* Takes over the response's body. The client may have left. */
static void send_response(struct httpd_conn *c, struct http_response *res)
{
	size_t len = res->shared != NULL ? res->shared->len : res->body.len;
	bool no_body = is_bodiless(c, res->status);
	bool varies = len >= GZIP_MIN && !no_body;
	bool compress = varies && c->req.accepts_gzip;

	if (c->h2o == NULL) {
		drop_response(res);
		return;
	}
	request_drop_body(c);
	c->body = res->body;
	c->shared = res->shared;
	if (compress && needs_slices(res)) {
		set_head(c->h2o, res, true, true);
		send_in_slices(c);
		return;
	}
	compress = compress && compress_held(c);
	set_head(c->h2o, res, compress, varies);
	send_held(c, no_body);
}

/* --- The sink ----------------------------------------------------------------------------------------------------- */

static void on_watched_read(h2o_socket_t *sock, const char *err);

static struct httpd_conn *conn_of(struct http_request *req)
{
	return (struct httpd_conn *)(void *)req;
}

static bool on_own_thread(const struct httpd *h)
{
	return h->joined || pthread_equal(pthread_self(), h->thread);
}

static void sink_answer(struct http_request *req, struct http_response *res)
{
	struct httpd_conn *c = conn_of(req);

	assert(on_own_thread(c->h));
	assert(c->state == REQUEST_OPEN);
	if (c->h2o == NULL) {
		drop_response(res);
		request_finish(c);
	} else if (c->handling) {
		send_response(c, res);
		request_finish(c);
	} else {
		c->res = *res;
		c->state = REQUEST_QUEUED;
		list_remove(&c->waiting);
		list_insert(c->watched ? &c->h->released : &c->h->ready, &c->waiting);
	}
}

/* One write may release thousands of queries that were parked; its own answer, and others that are asked for now, do
 * not wait for all of these. But some of them leave always. */
static struct list *next_answer(struct httpd *h, unsigned n)
{
	bool late = list_empty(&h->ready) || n % RELEASED_SHARE == RELEASED_SHARE - 1;
	struct list *l = list_pop(late ? &h->released : &h->ready);

	return l != NULL ? l : list_pop(&h->ready);
}

bool requests_send(struct httpd *h)
{
	unsigned n = 0;
	struct list *l;

	while ((l = next_answer(h, n)) != NULL) {
		struct httpd_conn *c = CONTAINER_OF(l, struct httpd_conn, waiting);

		assert(c->state == REQUEST_QUEUED);
		send_response(c, &c->res);
		request_finish(c);
		if (++n % 8 == 0 && turn_is_over(h)) {
			break;
		}
	}
	return !list_empty(&h->ready) || !list_empty(&h->released);
}

static void sink_begin(struct http_request *req, struct http_response *head)
{
	struct httpd_conn *c = conn_of(req);

	assert(on_own_thread(c->h));
	assert(c->state == REQUEST_OPEN);
	c->state = REQUEST_STREAM;
	list_remove(&c->waiting);
	if (c->h2o == NULL) {
		return;
	}
	unwatch(c);
	if (head->status == 101 && c->upgrade != NULL) {
		upgrade_begin(c, head);
		return;
	}
	set_head(c->h2o, head, false, false);
	if (new_sender(c, c->h2o) != 0) {
		h2o_req_t *h2o = take_h2o(c);

		h2o->res.status = 500;
		h2o->res.content_length = 0;
		c->generator = (h2o_generator_t){0};
		h2o_start_response(h2o, &c->generator);
		h2o_send(h2o, NULL, 0, H2O_SEND_STATE_FINAL);
		return;
	}
	send_piece(c, false); /* The head at once: the client may wait for it. */
	c->watched = true;
	h2o_socket_read_start(c->sock, on_watched_read);
}

static int sink_write(struct http_request *req, const void *data, size_t len)
{
	struct httpd_conn *c = conn_of(req);
	struct sender *s = c->sender;

	assert(on_own_thread(c->h));
	assert(c->state == REQUEST_STREAM);
	if (c->h2o == NULL || s == NULL) {
		return ERR_CLOSED;
	}
	if (s->waiting.len > 0 && s->waiting.len + len > HTTP_STREAM_MAX) {
		return ERR_BUSY;
	}
	if (len > 0) {
		buf_put(&s->waiting, data, len);
	}
	if (s->waiting.failed) {
		return ERR_CLOSED; /* What is missing is missing: the end will not be whole. */
	}
	if (!s->busy && len > 0) {
		swap_buffers(s);
		send_piece(c, false);
	}
	if (s->waiting.len + s->sending.len >= STREAM_WAIT) {
		s->owes_drain = true;
		return HTTP_WAIT;
	}
	return 0;
}

static void sink_end(struct http_request *req, bool whole)
{
	struct httpd_conn *c = conn_of(req);

	assert(on_own_thread(c->h));
	assert(c->state == REQUEST_STREAM);
	if (c->h2o == NULL || c->sender == NULL) {
		drop_sender(c);
		request_finish(c);
		return;
	}
	c->sender->ended = true;
	c->sender->whole = whole;
	send_more(c); /* Or when what is under way has left. */
}

static const struct http_sink sink = {sink_answer, sink_begin, sink_write, sink_end};

/* --- Requests ----------------------------------------------------------------------------------------------------- */

static bool header_is(const char *line, size_t len, const char *name, size_t name_len)
{
	return len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0;
}

#define HEADER_IS(line, len, name) header_is(line, len, name, sizeof(name) - 1)

/* Two lengths, or a length and chunks: whoever stands between the client and us may have believed the other one, and
 * taken part of this body for a request, or the reverse. h2o believes the first, so we look at the head as it came. */
static bool has_two_lengths(const h2o_req_t *req, const h2o_socket_t *sock)
{
	const char *at = sock->input->bytes;
	const char *end = req->entity.base != NULL ? req->entity.base : at + sock->input->size;
	unsigned lengths = 0;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		size_t len = eol != NULL ? (size_t)(eol - at) : (size_t)(end - at);

		if (len <= 1) {
			break; /* The end of the head; what follows may be the next request. */
		}
		if ((at[0] | 0x20) == 'c') {
			lengths += HEADER_IS(at, len, "content-length");
		} else if ((at[0] | 0x20) == 't') {
			lengths += HEADER_IS(at, len, "transfer-encoding");
		}
		at += len + 1;
	}
	return lengths > 1;
}

static bool name_is(const h2o_header_t *header, const char *name, size_t len)
{
	return header->name->len == len && memcmp(header->name->base, name, len) == 0;
}

static void set_token(struct http_request *req, const char *value, size_t len)
{
	char *copy = len > 0 ? arena_strndup(&req->mem, value, len) : NULL;

	if (copy != NULL) {
		req->token = copy;
	}
}

static void read_headers(struct http_request *to, const h2o_req_t *from)
{
	static const char bearer[] = "Bearer ";

	for (size_t i = 0; i < from->headers.size; i++) {
		const h2o_header_t *h = &from->headers.entries[i];
		h2o_iovec_t v = h->value;

		if (h->name == &H2O_TOKEN_ACCEPT_ENCODING->buf) {
			to->accepts_gzip = gzip_accepted(v.base, v.len);
		} else if (name_is(h, H2O_STRLIT("x-nomad-token"))) {
			set_token(to, v.base, v.len);
		} else if (h->name == &H2O_TOKEN_AUTHORIZATION->buf && to->token[0] == '\0' &&
			   v.len > sizeof(bearer) - 1 && strncasecmp(v.base, bearer, sizeof(bearer) - 1) == 0) {
			set_token(to, v.base + sizeof(bearer) - 1, v.len - (sizeof(bearer) - 1));
		}
	}
}

/* The byte behind the body must be a zero, and belongs to the next request: it is put back afterwards. There is one
 * unless the body ends where h2o's buffer does. */
static char *terminate_body(struct httpd_conn *c, h2o_req_t *from, char *saved)
{
	h2o_buffer_t *in = c->sock->input;
	size_t at = (size_t)(from->entity.base - in->bytes);

	if (from->entity.base + from->entity.len == in->_buf + in->capacity) {
		if (h2o_buffer_reserve(&c->sock->input, 1).base == NULL) {
			return NULL;
		}
		in = c->sock->input;
		from->entity.base = in->bytes + at;
	}
	*saved = from->entity.base[from->entity.len];
	from->entity.base[from->entity.len] = '\0';
	c->req.body = from->entity.base;
	c->req.body_len = from->entity.len;
	return from->entity.base + from->entity.len;
}

static void call_handler(struct httpd_conn *c, h2o_req_t *from)
{
	struct httpd *h = c->h;
	char *end = NULL;
	char saved = '\0';
	const char *given;

	if (from->entity.base != NULL) {
		end = terminate_body(c, from, &saved);
		if (end == NULL) {
			http_answer_error(&c->req, ERR_NOMEM);
			return;
		}
	}
	given = c->req.body;
	h->config.handle_cb(h->config.ctx, &c->req);
	if (end != NULL) {
		*end = saved; /* h2o has not gone on: it does so only when the answer has been written, in a later turn.
			       */
	}
	if (c->state != REQUEST_NONE && c->req.body == given) { /* Else the handler has put a copy there. */
		c->req.body = NULL; /* Whoever still wants it finds out soon. */
		c->req.body_len = 0;
	}
}

static void wait_for_answer(struct httpd_conn *c)
{
	struct httpd *h = c->h;

	c->waits = true;
	count_waiting(h, 1);
	c->open_ms = uv_now(&h->loop);
	list_insert(&h->open, &c->waiting);
	if (!uv_is_active((uv_handle_t *)&h->watch)) {
		uv_timer_again(&h->watch);
	}
}

static int check_target(struct httpd_conn *c, const h2o_req_t *from)
{
	int rv = http_request_target(&c->req, from->input.path.base, from->input.path.len);

	switch (rv) {
	case 0:
		break;
	case ERR_TOOBIG:
		http_answer_text(&c->req, 414, "The path and query are too long");
		break;
	case ERR_NOMEM:
		http_answer_error(&c->req, rv);
		break;
	default:
		http_answer_text(&c->req, 400, rv == ERR_RANGE ? "Too many query parameters" : "Malformed path");
	}
	return rv;
}

static void use_own_memory(struct httpd_conn *c)
{
	c->req.mem.next = c->memory;
	c->req.mem.end = c->memory + sizeof(c->memory);
}

/* 0, or it has been answered. */
static int check_rate(struct httpd_conn *c)
{
	struct http_response res = {.status = 429, .n_extra = 1};
	unsigned wait_s = 0;
	char *text;

	if (client_may_ask(c->h, c->client, &wait_s)) {
		return 0;
	}
	count(&c->h->limited, 1);
	text = arena_printf(&c->req.mem, "%u", wait_s);
	res.extra[0] = (struct http_header){"Retry-After", text != NULL ? text : "1"};
	buf_str(&res.body, "too many requests from this address");
	http_answer(&c->req, &res);
	return ERR_BUSY;
}

int request_begin(h2o_handler_t *handler, h2o_req_t *from)
{
	h2o_socket_t *sock = from->conn->callbacks->get_socket(from->conn);
	struct httpd_conn *c = sock->on_close.data;

	(void)handler;
	assert(c->state == REQUEST_NONE);
	request_drop_body(c); /* Of the answer before, which has left. */
	drop_sender(c);
	http_request_init(&c->req, &sink);
	use_own_memory(c);
	c->req.method = http_method_parse(from->input.method.base, from->input.method.len);
	c->h2o = from;
	c->state = REQUEST_OPEN;
	c->handling = true;
	c->begun_ns = uv_hrtime();
	count(&c->h->requests, 1);
	read_headers(&c->req, from);
	if (has_two_lengths(from, sock)) {
		from->http1_is_persistent = 0;
		http_answer_text(&c->req, 400, "More than one length");
	} else if (check_rate(c) == 0 && check_target(c, from) == 0 && upgrade_offer(c, from) == 0) {
		call_handler(c, from);
	}
	c->handling = false;
	if (c->state == REQUEST_OPEN) {
		wait_for_answer(c);
	}
	return 0;
}

/* --- Clients that leave ------------------------------------------------------------------------------------------- */

/* Only the answer lets the request go; the handler may give it here. */
static void tell_gone(struct httpd_conn *c)
{
	c->req.gone = true;
	count(&c->h->gone, 1);
	if (c->req.gone_cb != NULL) {
		c->req.gone_cb(&c->req);
	}
}

static bool is_in_handlers_hands(const struct httpd_conn *c)
{
	return c->state == REQUEST_OPEN || (c->state == REQUEST_STREAM && !(c->sender != NULL && c->sender->ended));
}

/* A stream's handler that waits for room would wait for ever: its next write tells it. */
static void tell_stream_gone(struct httpd_conn *c)
{
	bool owed = c->sender != NULL && c->sender->owes_drain;

	tell_gone(c);
	if (c->state == REQUEST_STREAM && owed && c->req.drain_cb != NULL) {
		c->req.drain_cb(&c->req);
	}
}

void request_lost(struct httpd_conn *c)
{
	bool stream = c->state == REQUEST_STREAM;

	c->h2o = NULL;
	c->sock = NULL;
	c->watched = false;
	if (!is_in_handlers_hands(c)) {
		if (stream) {
			drop_sender(c);
			request_finish(c);
		}
	} else if (stream) {
		tell_stream_gone(c);
	} else if (!c->req.gone) {
		tell_gone(c);
	}
	upgrade_free(c);
}

/* A trap: when reading has failed (a reset), libuv refuses to write, and h2o does not look at what uv_write() returns:
 * it would wait for the end of the write for ever. */
static void end_refused_write(struct httpd_conn *c)
{
	h2o_socket_t *sock = c->sock;
	h2o_socket_cb written = sock->_cb.write;

	if (written != NULL && !uv_is_writable((uv_stream_t *)&c->tcp)) {
		sock->_cb.write = NULL;
		written(sock, h2o_socket_error_io);
	}
}

/* An answer in the handler's place, which closes the connection; maybe at once. */
static void answer_and_hang_up(struct httpd_conn *c, int status, const char *text)
{
	static h2o_generator_t no_generator;
	h2o_req_t *req = take_h2o(c);
	h2o_iovec_t body = h2o_iovec_init(text, strlen(text));

	set_head(req, &(struct http_response){.status = status, .type = "text/plain; charset=utf-8"}, false, false);
	req->http1_is_persistent = 0;
	req->res.content_length = body.len;
	h2o_start_response(req, &no_generator);
	h2o_send(req, &body, body.len > 0 ? 1 : 0, H2O_SEND_STATE_FINAL);
	end_refused_write(c);
}

static void on_watched_read(h2o_socket_t *sock, const char *err)
{
	struct httpd_conn *c = sock->on_close.data;

	if (err == NULL) {
		if (sock->bytes_read > 0) {
			h2o_socket_read_stop(sock); /* The next request, early: h2o will find it in its buffer. */
		}
		return;
	}
	assert(c->watched && c->h2o != NULL);
	if (c->state == REQUEST_STREAM) { /* In the middle of an answer there is nothing to say any more. */
		unwatch(c);
		c->sender->cut = true;
		conn_hang_up(c); /* What is on its way shall not wait either. */
		send_more(c);
		return;
	}
	if (c->state == REQUEST_OPEN) { /* Else its answer is about to be sent, to nobody. */
		list_remove(&c->waiting);
	}
	answer_and_hang_up(c, 499, "");
	if (c->state == REQUEST_OPEN && !c->req.gone) {
		tell_gone(c);
	}
}

bool requests_watch(struct httpd *h)
{
	uint64_t now = uv_now(&h->loop);

	while (!list_empty(&h->open)) {
		struct httpd_conn *c = CONTAINER_OF(h->open.next, struct httpd_conn, waiting);

		if (now - c->open_ms < h->config.watch_ms) {
			return true;
		}
		list_remove(&c->waiting);
		list_insert(&h->watched, &c->waiting);
		if (c->h2o != NULL) {
			c->watched = true;
			h2o_socket_read_start(c->sock, on_watched_read);
		}
	}
	return false;
}

static void abandon(struct list *l)
{
	struct list *e;

	while ((e = list_pop(l)) != NULL) {
		struct httpd_conn *c = CONTAINER_OF(e, struct httpd_conn, waiting);

		if (c->h2o != NULL && (c->req.method == HTTP_GET || c->req.method == HTTP_HEAD)) {
			answer_and_hang_up(c, 503, "The server is stopping");
		} else if (c->h2o != NULL) { /* Whoever has it may still carry it out. */
			answer_and_hang_up(c, http_status_of(ERR_UNKNOWN), error_text(ERR_UNKNOWN));
		}
		if (c->state == REQUEST_OPEN && !c->req.gone) {
			tell_gone(c);
		}
	}
}

void requests_abandon(struct httpd *h)
{
	abandon(&h->open);
	abandon(&h->watched);
	LIST_EACH (l, &h->conns) {
		struct httpd_conn *c = CONTAINER_OF(l, struct httpd_conn, link);

		if (c->state == REQUEST_STREAM && is_in_handlers_hands(c) && !c->req.gone) {
			tell_gone(c); /* It is to end its stream. */
		}
	}
}
