/* Websockets: a handler's lines as messages to the client, and the client's messages as requests to the handlers.
 *
 *     client -- GET, Upgrade -->  upgrade_offer(): a session is named --> handler
 *            <--- 101 ----------  upgrade_begin()                     <-- http_stream_begin(101)
 *            <--- message ------  write_lines()                       <-- http_stream_write("{...}\n")
 *            ---- message ---->   PUT, of the same session            --> handler; one at a time, others gather
 *            <--- close --------                                      <-- http_stream_end()
 *
 * So neither the handlers nor what passes requests on knows of a websocket. While an input request is not answered, the
 * client is read until UP_WAIT bytes have gathered, and then no more. */
#include "server/httpd_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/uuid.h"
#include "proto/error.h"
#include "proto/exec.h"
#include "proto/websocket.h"

enum {
	MESSAGE_MAX = 1 << 20,
	UP_WAIT = 64 << 10,   /* Bytes of messages that wait for their request, */
	DOWN_WAIT = 64 << 10, /* and for the client: from here on the handler is asked to wait. */
	CLOSE_MS = 3000,      /* For the client's answer to our close. */
	PING_MS = 30000,      /* Silence after which we ask for a sign of life, */
	SILENCE_MS = 90000,   /* and after which there is none. */
	TOKEN_MS = 10000,     /* For a first message that has the token. */
	TOKEN_MAX = 128,
};

struct put; /* An input request that has not been answered. */
struct late; /* A request that waits for its token. */

struct upgrade {
	char accept[WEBSOCKET_ACCEPT_TEXT]; /* What a client that knows what it does wants to see. */
	char session[UUID_TEXT];
	char *target; /* Of input requests. */
	char *token;
	bool begun;   /* The head is on its way, */
	bool done;    /* and the socket is ours. */
	struct websocket in;
	struct buf line;    /* Of the handler's, not yet whole. */
	struct buf waiting; /* Frames behind those that are being sent, */
	struct buf sending;
	struct buf up;      /* Messages of the client, as lines. */
	struct put *put;
	struct late *late; /* The handler's, when the first message has the token; NULL: it has begun. */
	uint64_t opened_ms;
	bool busy;       /* Sending. */
	bool reading;
	bool owes_drain;
	bool retry;      /* The last input was not taken. */
	bool deaf;       /* Input is of no use any more. */
	bool ended;      /* By the handler. */
	bool close_sent, close_got;
	bool pinged;
	uint64_t closing_ms; /* When our close was sent, */
	uint64_t heard_ms;   /* and when something came last. */
};

struct put {
	struct http_request req; /* First: the sink finds it by this. */
	struct httpd_conn *c;    /* NULL: it is gone. */
	struct buf body;
};

/* --- The handshake ------------------------------------------------------------------------------------------------ */

static const h2o_iovec_t *find_header(const h2o_req_t *req, const char *name)
{
	for (size_t i = 0; i < req->headers.size; i++) {
		const h2o_header_t *h = &req->headers.entries[i];

		if (h->name->len == strlen(name) && memcmp(h->name->base, name, h->name->len) == 0) {
			return &h->value;
		}
	}
	return NULL;
}

static bool is_text(const h2o_iovec_t *v, const char *text)
{
	return v != NULL && v->len == strlen(text) && strncasecmp(v->base, text, v->len) == 0;
}

/* Pages of other sites may not use a browser's way to us. */
static bool origin_is_ours(const h2o_req_t *req)
{
	const h2o_iovec_t *origin = find_header(req, "origin");
	const char *host = origin != NULL ? memmem(origin->base, origin->len, "://", 3) : NULL;
	size_t len;

	if (origin == NULL) {
		return true;
	}
	if (host == NULL) {
		return false;
	}
	host += 3;
	len = (size_t)(origin->base + origin->len - host);
	return len == req->input.authority.len && strncasecmp(host, req->input.authority.base, len) == 0;
}

static struct upgrade *new_upgrade(struct httpd_conn *c, const h2o_iovec_t *key)
{
	struct upgrade *u = calloc(1, sizeof(*u));
	struct uuid id = uuid_random();

	if (u == NULL) {
		return NULL;
	}
	websocket_accept(key->base, u->accept);
	uuid_format(&id, u->session);
	u->token = strdup(c->req.token);
	u->in.message_max = MESSAGE_MAX;
	if (asprintf(&u->target, "%.*s%s%.*s", (int)c->req.path_len, c->req.path, c->req.query_len > 0 ? "?" : "",
		     (int)c->req.query_len, c->req.query) < 0) {
		u->target = NULL;
	}
	return u;
}

/* Browsers cannot send headers with a websocket: their token is in the first message. */
static bool token_comes_late(struct httpd_conn *c)
{
	bool said = false;

	return c->h->config.tokens && c->req.token[0] == '\0' && http_query_bool(&c->req, "ws_handshake", &said) == 0 && said;
}

static int late_open(struct httpd_conn *c);
static void late_begin(struct httpd_conn *c);

int upgrade_offer(struct httpd_conn *c, const h2o_req_t *from)
{
	const h2o_iovec_t *key = find_header(from, "sec-websocket-key");

	if (!is_text(&from->upgrade, "websocket") || key == NULL || c->req.method != HTTP_GET) {
		return 0;
	}
	if (key->len != WEBSOCKET_KEY_LEN || !is_text(find_header(from, "sec-websocket-version"), "13")) {
		http_answer_text(&c->req, 400, "Bad Request");
		return ERR_INVALID;
	}
	if (!origin_is_ours(from)) {
		http_answer_text(&c->req, 403, "Forbidden");
		return ERR_INVALID;
	}
	c->upgrade = new_upgrade(c, key);
	if (c->upgrade == NULL || c->upgrade->target == NULL || c->upgrade->token == NULL) {
		http_answer_error(&c->req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	c->req.session = c->upgrade->session;
	if (token_comes_late(c)) {
		return late_open(c);
	}
	return 0;
}

bool upgrade_has_begun(const struct httpd_conn *c)
{
	return c->upgrade != NULL && c->upgrade->begun;
}

bool upgrade_is_done(const struct httpd_conn *c)
{
	return c->upgrade != NULL && c->upgrade->done;
}

void upgrade_free(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;

	c->upgrade = NULL;
	if (u == NULL) {
		return;
	}
	if (u->put != NULL) {
		u->put->c = NULL;
	}
	websocket_free(&u->in);
	buf_close(&u->line);
	buf_close(&u->waiting);
	buf_close(&u->sending);
	buf_close(&u->up);
	free(u->target);
	free(u->token);
	free(u);
}

/* --- Down: to the client ------------------------------------------------------------------------------------------ */

static void send_more(struct httpd_conn *c);

static void on_sent(h2o_socket_t *sock, const char *err)
{
	struct httpd_conn *c = sock->on_close.data;
	struct upgrade *u = c->upgrade;

	if (u == NULL) {
		return;
	}
	u->busy = false;
	if (err != NULL || (u->waiting.len == 0 && u->close_sent && u->close_got)) {
		h2o_socket_close(sock); /* See request_lost(). */
		return;
	}
	send_more(c);
	if (u->owes_drain && u->waiting.len < DOWN_WAIT && !u->ended) {
		u->owes_drain = false;
		if (c->req.drain_cb != NULL) {
			c->req.drain_cb(&c->req);
		}
	}
}

static void send_more(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;
	struct buf sent = u->sending;
	h2o_iovec_t bytes;

	if (!u->done || u->busy || u->waiting.len == 0 || c->sock == NULL) {
		return;
	}
	if (u->waiting.failed) {
		conn_hang_up(c);
		return;
	}
	sent.len = 0;
	u->sending = u->waiting;
	u->waiting = sent;
	u->busy = true;
	count(&c->h->bytes_out, u->sending.len);
	bytes = h2o_iovec_init(u->sending.at, u->sending.len);
	h2o_socket_write(c->sock, &bytes, 1, on_sent);
}

static bool wants_more(const struct upgrade *u)
{
	return !u->close_got && (u->deaf || u->up.len < UP_WAIT);
}

static void on_read(h2o_socket_t *sock, const char *err);

static void read_or_not(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;
	bool on = wants_more(u);

	if (!u->done || c->sock == NULL || on == u->reading) {
		return;
	}
	u->reading = on;
	if (on) {
		h2o_socket_read_start(c->sock, on_read);
	} else {
		h2o_socket_read_stop(c->sock);
	}
}

/* The last that we say. The answer to it must be read. */
static void close_with(struct httpd_conn *c, unsigned code, const char *reason)
{
	struct upgrade *u = c->upgrade;

	u->deaf = true;
	if (!u->close_sent) {
		u->close_sent = true;
		u->closing_ms = uv_now(&c->h->loop);
		websocket_put_close(&u->waiting, code, reason, NULL);
	}
	send_more(c);
	read_or_not(c);
}

static struct httpd_conn *conn_of(struct http_request *req)
{
	return (struct httpd_conn *)(void *)req;
}

/* A line of the handler's: a message, or why it is going to end. */
static void put_line(struct httpd_conn *c, const char *line, size_t len)
{
	char text[WEBSOCKET_CONTROL_MAX + 16];
	char *reason;
	unsigned long code;

	if (len == 0 || line[0] != HTTP_SESSION_END) {
		websocket_put(&c->upgrade->waiting, WEBSOCKET_TEXT, line, len, NULL);
		return;
	}
	snprintf(text, sizeof(text), "%.*s", (int)(len - 1), line + 1);
	code = strtoul(text, &reason, 10);
	close_with(c, (unsigned)code, reason + (*reason == ' '));
}

static void put_lines(struct httpd_conn *c, const char *data, size_t len)
{
	struct upgrade *u = c->upgrade;


	while (len > 0 && !u->close_sent) {
		const char *eol = memchr(data, '\n', len);
		size_t n = eol != NULL ? (size_t)(eol - data) : len;

		if (u->line.len + n > MESSAGE_MAX) {
			close_with(c, WEBSOCKET_TOO_BIG, "a message without an end");
			return;
		}
		if (eol == NULL || u->line.len > 0) {
			buf_put(&u->line, data, n);
		}
		if (eol != NULL && u->line.len > 0) {
			put_line(c, u->line.at, u->line.len);
			u->line.len = 0;
		} else if (eol != NULL) {
			put_line(c, data, n);
		}
		n += eol != NULL;
		data += n;
		len -= n;
	}
	u->waiting.failed |= u->line.failed;
}

static int sink_write(struct http_request *req, const void *data, size_t len)
{
	struct httpd_conn *c = conn_of(req);
	struct upgrade *u = c->upgrade;

	assert(c->state == REQUEST_STREAM);
	if (u == NULL || u->close_sent || u->waiting.failed) {
		return ERR_CLOSED;
	}
	if (u->waiting.len > 0 && u->waiting.len + len > HTTP_STREAM_MAX) {
		return ERR_BUSY;
	}
	put_lines(c, data, len);
	send_more(c);
	u->owes_drain = u->waiting.len + (u->busy ? u->sending.len : 0) >= DOWN_WAIT;
	return u->owes_drain ? HTTP_WAIT : 0;
}

static void sink_end(struct http_request *req, bool whole)
{
	struct httpd_conn *c = conn_of(req);

	assert(c->state == REQUEST_STREAM);
	if (c->upgrade != NULL) {
		c->upgrade->ended = true;
		close_with(c, whole ? WEBSOCKET_NORMAL : WEBSOCKET_INTERNAL, whole ? "" : "the session was lost");
	}
	request_finish(c);
}

static const struct http_sink sink = {.stream_write = sink_write, .stream_end = sink_end};

/* --- Up: from the client ------------------------------------------------------------------------------------------ */

static void read_on(struct httpd_conn *c);

/* What was not taken goes before what has come since. */
static void put_back(struct upgrade *u, struct put *p)
{
	buf_put(&p->body, u->up.at, u->up.len);
	buf_close(&u->up);
	u->up = p->body;
	p->body = (struct buf){0};
	u->deaf |= u->up.failed;
	u->retry = true;
}

static void put_answer(struct http_request *req, struct http_response *res)
{
	struct put *p = (struct put *)(void *)req;
	struct httpd_conn *c = p->c;

	if (c != NULL) {
		struct upgrade *u = c->upgrade;

		u->put = NULL;
		if (res->status == 429) {
			put_back(u, p); /* The sweep tries again: who answered so has waited, or has too much to do. */
		} else if (res->status != 200 && !u->deaf) {
			close_with(c, websocket_status(res->status), res->shared != NULL ? "" : buf_text(&res->body));
		} else {
			read_on(c);
		}
	}
	buf_close(&res->body);
	http_body_put(res->shared);
	buf_close(&p->body);
	http_request_close(&p->req);
	free(p);
}

/* A stream where none was asked for: whoever it is, it is not a session's handler. */
static void put_begin(struct http_request *req, struct http_response *head)
{
	(void)req;
	(void)head;
}

static int put_write(struct http_request *req, const void *data, size_t len)
{
	(void)req;
	(void)data;
	(void)len;
	return ERR_CLOSED;
}

static void put_end(struct http_request *req, bool whole)
{
	struct http_response res = {.status = whole ? 200 : 500};

	put_answer(req, &res);
}

static const struct http_sink put_sink = {put_answer, put_begin, put_write, put_end};

static bool fill_put(struct put *p, const struct upgrade *u)
{
	p->req.method = HTTP_PUT;
	p->req.token = arena_strdup(&p->req.mem, u->token);
	p->req.session = arena_strdup(&p->req.mem, u->session);
	p->req.body = buf_text(&p->body);
	p->req.body_len = p->body.len;
	return p->req.token != NULL && p->req.session != NULL && !p->body.failed &&
	       http_request_target(&p->req, u->target, strlen(u->target)) == 0;
}

/* Hand on what has gathered, unless something is under way. It may be answered at once. */
static void send_up(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;
	struct put *p;

	u->retry = false;
	if (u->put != NULL || u->up.len == 0 || u->deaf) {
		return;
	}
	if (u->late != NULL) {
		late_begin(c);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		conn_hang_up(c);
		return;
	}
	p->body = u->up;
	u->up = (struct buf){0};
	http_request_init(&p->req, &put_sink);
	if (!fill_put(p, u)) {
		buf_close(&p->body);
		http_request_close(&p->req);
		free(p);
		conn_hang_up(c);
		return;
	}
	p->c = c;
	u->put = p;
	c->h->config.handle_cb(c->h->config.ctx, &p->req);
}

/* As a line: line ends in JSON are nothing but space. */
static void take_message(struct upgrade *u, const char *data, size_t len)
{
	size_t at = u->up.len;

	buf_put(&u->up, data, len);
	for (; !u->up.failed && at < u->up.len; at++) {
		if (u->up.at[at] == '\n' || u->up.at[at] == '\r') {
			u->up.at[at] = ' ';
		}
	}
	buf_byte(&u->up, '\n');
	u->deaf |= u->up.failed;
}

static void take_event(struct httpd_conn *c, const struct websocket_event *e)
{
	struct upgrade *u = c->upgrade;

	switch (e->kind) {
	case WEBSOCKET_TEXT:
	case WEBSOCKET_BINARY:
		if (!u->deaf) {
			take_message(u, e->data, e->len);
		}
		break;
	case WEBSOCKET_PING:
		if (u->waiting.len < DOWN_WAIT && !u->close_sent) {
			websocket_put(&u->waiting, WEBSOCKET_PONG, e->data, e->len, NULL);
			send_more(c);
		}
		break;
	case WEBSOCKET_CLOSE:
		u->close_got = true;
		close_with(c, e->code == WEBSOCKET_NO_CODE ? WEBSOCKET_NORMAL : e->code, "");
		break;
	default:
		break;
	}
}

static void take_input(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;
	h2o_buffer_t **in = &c->sock->input;

	while ((*in)->size > 0 && wants_more(u)) {
		struct websocket_event e;
		size_t used;
		int rv = websocket_take(&u->in, (*in)->bytes, (*in)->size, &used, &e);

		h2o_buffer_consume(in, used);
		if (rv != 0) {
			u->close_got = true; /* What follows cannot be understood. */
			close_with(c, websocket_code(rv), "");
			return;
		}
		take_event(c, &e);
	}
}

static void on_read(h2o_socket_t *sock, const char *err)
{
	struct httpd_conn *c = sock->on_close.data;
	struct upgrade *u = c->upgrade;

	if (err != NULL) {
		h2o_socket_read_stop(sock);
		h2o_socket_close(sock);
		return;
	}
	u->heard_ms = uv_now(&c->h->loop);
	u->pinged = false;
	read_on(c);
}

/* What has come, as far as it is wanted; the rest, and more, when it is. */
static void read_on(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;

	if (!u->done || c->sock == NULL) {
		return;
	}
	take_input(c);
	if (u->close_got && u->close_sent && !u->busy && u->waiting.len == 0) {
		h2o_socket_close(c->sock);
		return;
	}
	read_or_not(c);
	send_up(c);
}

/* --- A token in the first message ---------------------------------------------------------------------------------
 *
 * With access control there must be a token before a handler is asked. So the websocket begins without one, its first
 * message is looked at, and then the handler gets a request of its own, whose answer goes down the stream that has begun:
 *
 *     c->req  (begun by us, ended by us)  <---- late->req (the handler's)
 */

struct late {
	struct http_request req; /* First: the sink finds it by this. */
	struct httpd_conn *c;    /* Stays while the stream is not ended. */
	bool asked;              /* It is in the handler's hands. */
};

static struct late *late_of(struct http_request *req)
{
	return (struct late *)(void *)req;
}

/* Both are over: the stream ends with the handler's request. */
static void late_end(struct late *l, bool whole)
{
	struct http_request *stream = &l->c->req;

	if (l->c->upgrade != NULL) {
		l->c->upgrade->late = NULL;
	}
	stream->gone_cb = NULL;
	stream->drain_cb = NULL;
	http_request_close(&l->req);
	free(l);
	http_stream_end(stream, whole);
}

static void late_answer(struct http_request *req, struct http_response *res)
{
	struct late *l = late_of(req);
	int status = res->status == 0 ? 200 : res->status;

	if (l->c->upgrade != NULL) {
		close_with(l->c, websocket_status(status), res->shared != NULL ? "" : buf_text(&res->body));
	}
	buf_close(&res->body);
	http_body_put(res->shared);
	late_end(l, true);
}

static void late_stream_begin(struct http_request *req, struct http_response *head)
{
	struct late *l = late_of(req);
	struct upgrade *u = l->c->upgrade;
	char *target = u != NULL && head->location != NULL ? strdup(head->location) : NULL;

	if (target != NULL) {
		free(u->target);
		u->target = target;
	}
	if (u != NULL) {
		u->late = NULL; /* From now on messages go to the handler, this one first. */
		send_up(l->c);
	}
}

static int late_write(struct http_request *req, const void *data, size_t len)
{
	return http_stream_write(&late_of(req)->c->req, data, len);
}

static void late_stream_end(struct http_request *req, bool whole)
{
	late_end(late_of(req), whole);
}

static const struct http_sink late_sink = {late_answer, late_stream_begin, late_write, late_stream_end};

static void late_gone(struct http_request *stream)
{
	struct late *l = stream->data;

	if (!l->asked) {
		late_end(l, false);
		return;
	}
	l->req.gone = true;
	if (l->req.gone_cb != NULL) {
		l->req.gone_cb(&l->req);
	}
}

static void late_drained(struct http_request *stream)
{
	struct late *l = stream->data;

	if (l->req.drain_cb != NULL) {
		l->req.drain_cb(&l->req);
	}
}

/* The websocket begins, without a handler: the request needs no answer of anybody else. */
static int late_open(struct httpd_conn *c)
{
	struct late *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		http_answer_error(&c->req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	http_request_init(&l->req, &late_sink);
	l->c = c;
	c->upgrade->late = l;
	c->upgrade->opened_ms = uv_now(&c->h->loop);
	c->req.data = l;
	c->req.gone_cb = late_gone;
	c->req.drain_cb = late_drained;
	http_stream_begin(&c->req, &(struct http_response){.status = 101});
	return ERR_EXISTS;
}

/* What the first message says; "" when it says nothing. The handler sees the message, too. */
static char *first_token(const struct upgrade *u)
{
	const char *eol = memchr(u->up.at, '\n', u->up.len);
	size_t len = eol != NULL ? (size_t)(eol - u->up.at) : 0;
	struct arena mem = {0};
	const char *line = arena_strndup(&mem, u->up.at, len);
	struct exec_input in;
	char *token = NULL;

	if (line != NULL && json_decode(&exec_input_type, &in, line, len, &mem, NULL) == 0 &&
	    strlen(in.auth_token) < TOKEN_MAX) {
		token = strdup(in.auth_token);
	}
	arena_close(&mem);
	return token != NULL ? token : strdup("");
}

static void late_begin(struct httpd_conn *c)
{
	struct upgrade *u = c->upgrade;
	struct late *l = u->late;
	char *token;

	if (l->asked) {
		return;
	}
	token = first_token(u);
	if (token != NULL) {
		free(u->token);
		u->token = token;
		l->req.token = arena_strdup(&l->req.mem, u->token);
	}
	l->req.method = HTTP_GET;
	l->req.session = arena_strdup(&l->req.mem, u->session);
	if (token == NULL || l->req.token == NULL || l->req.session == NULL ||
	    http_request_target(&l->req, u->target, strlen(u->target)) != 0) {
		conn_hang_up(c);
		return;
	}
	l->asked = true;
	c->h->config.handle_cb(c->h->config.ctx, &l->req);
}

/* --- Begin and end ------------------------------------------------------------------------------------------------ */

/* If the connection broke before the head had left, it has been closed, and everything is told already. */
static void on_upgraded(void *data, h2o_socket_t *sock, size_t head_size)
{
	struct httpd_conn *c = data;
	struct upgrade *u = c->upgrade;

	if (sock == NULL || u == NULL) {
		return;
	}
	h2o_buffer_consume(&sock->input, head_size);
	u->done = true;
	u->heard_ms = uv_now(&c->h->loop);
	send_more(c);
	read_on(c);
}

void upgrade_begin(struct httpd_conn *c, const struct http_response *head)
{
	struct upgrade *u = c->upgrade;
	const struct http_response res = {
		.status = 101,
		.extra = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", u->accept}},
		.n_extra = 2};

	if (head->location != NULL) {
		char *target = strdup(head->location);

		if (target != NULL) {
			free(u->target);
			u->target = target;
		}
	}
	u->begun = true;
	c->req.sink = &sink;
	request_upgrade(c, &res, on_upgraded);
}

bool upgrade_is_overdue(struct httpd_conn *c, uint64_t now)
{
	struct upgrade *u = c->upgrade;

	if (u->close_sent) {
		return now - u->closing_ms > CLOSE_MS;
	}
	if (u->late != NULL && !u->late->asked && now - u->opened_ms > TOKEN_MS) {
		close_with(c, websocket_status(400), "no handshake has come in time");
		return false;
	}
	if (u->busy && conn_is_stuck(c, now)) {
		return true;
	}
	if (u->retry) {
		send_up(c);
		return false;
	}
	if (!u->reading || now - u->heard_ms < PING_MS) {
		return false; /* We do not listen, so silence means nothing. */
	}
	if (!u->pinged) {
		u->pinged = true;
		websocket_put(&u->waiting, WEBSOCKET_PING, "", 0, NULL);
		send_more(c);
	}
	return now - u->heard_ms > SILENCE_MS;
}
