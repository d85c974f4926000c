#include "client/link_rpc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "proto/rpc_serve.h"
#include "proto/stream.h"

enum {
	SERVERS_MAX = 64,         /* Told beyond that are not remembered. */
	ATTEMPT_MS = 1000,        /* For connecting and the hello. */
	PAUSE_MIN_MS = 50,        /* After all servers have failed in turn; doubled each time, */
	PAUSE_MAX_MS = 3000,      /* up to this. */
	PING_MS = 2000,           /* A server that is silent for so long is asked, */
	SILENCE_MS = 6000,        /* and for so long is given up. */
	ADDRESS_MAX = 256,
};

struct link_rpc {
	struct client_link link;
	uv_loop_t *loop;
	struct rpc_host host;
	struct rpc_hello hello;
	struct arena mem; /* Of the hello's texts. */
	uv_timer_t pause;
	char *servers[SERVERS_MAX]; /* In the order in which they are tried; the first is the present or next one. */
	uint32_t n;
	uint32_t tried;  /* Since one was connected. */
	unsigned rounds; /* In which all of them failed. */
	uint64_t random;
	struct rpc_conn *conn; /* Connecting or connected; NULL while pausing. */
	bool up;
	bool stopping, host_stopped, pause_closed;
	const struct link_events *events;
	void *ctx;
	void (*stopped_cb)(void *ctx);
	void *stopped_ctx;
};

/* A call and the request that carries it. */
struct carried {
	struct rpc_request req;
	struct link_call *call;
};

static struct link_rpc *of(struct client_link *link)
{
	return (struct link_rpc *)(void *)link; /* Its first member. */
}

/* ---- servers ---- */

static uint64_t next_random(struct link_rpc *l)
{
	l->random ^= l->random >> 12;
	l->random ^= l->random << 25;
	l->random ^= l->random >> 27;
	return l->random * UINT64_C(0x2545f4914f6cdd1d);
}

static bool knows(const struct link_rpc *l, const char *address)
{
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		if (strcmp(l->servers[i], address) == 0) {
			return true;
		}
	}
	return false;
}

/* Put a server anywhere behind the first `from`. */
static void add_server(struct link_rpc *l, const char *address, uint32_t from)
{
	uint32_t at;
	char *copy;

	if (l->n == SERVERS_MAX || address[0] == '\0' || strlen(address) >= ADDRESS_MAX || knows(l, address)) {
		return;
	}
	copy = strdup(address);
	if (copy == NULL) {
		return;
	}
	at = l->n < from ? l->n : from + (uint32_t)(next_random(l) % (l->n - from + 1));
	memmove(&l->servers[at + 1], &l->servers[at], (l->n - at) * sizeof(l->servers[0]));
	l->servers[at] = copy;
	l->n++;
}

/* The first is of no use for now: last in line. */
static void rotate(struct link_rpc *l)
{
	char *first = l->servers[0];

	memmove(&l->servers[0], &l->servers[1], (l->n - 1) * sizeof(l->servers[0]));
	l->servers[l->n - 1] = first;
}

/* ---- connecting ---- */

static void pause_cb(uv_timer_t *timer);

static void pause_for(struct link_rpc *l, uint64_t ms)
{
	uv_timer_start(&l->pause, pause_cb, ms, 0);
}

static void connect_next(struct link_rpc *l)
{
	assert(l->conn == NULL && l->n > 0);
	l->conn = rpc_connect(&l->host, l->servers[0], ATTEMPT_MS, l);
	if (l->conn == NULL) {
		pause_for(l, PAUSE_MAX_MS);
	}
}

static void pause_cb(uv_timer_t *timer)
{
	struct link_rpc *l = timer->data;

	if (l->conn == NULL && !l->stopping) {
		connect_next(l);
	}
}

/* How long to wait before the next attempt: not at all while there are servers that were not tried yet. */
static uint64_t pause_ms(struct link_rpc *l)
{
	uint64_t ms;

	if (++l->tried % l->n != 0) {
		return 0;
	}
	ms = (uint64_t)PAUSE_MIN_MS << (l->rounds < 6 ? l->rounds : 6);
	l->rounds++;
	ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	return ms / 2 + next_random(l) % (ms / 2 + 1);
}

static void ready_cb(struct rpc_conn *c)
{
	struct link_rpc *l = c->data;

	log_info("client", "connected to server %s", l->servers[0]);
	l->up = true;
	l->tried = 0;
	l->rounds = 0;
	l->events->up_cb(l->ctx);
}

static void closed_cb(struct rpc_conn *c, int err, const char *why)
{
	struct link_rpc *l = c->data;
	bool was_up = l->up;

	if (l->conn != c) {
		return;
	}
	l->conn = NULL;
	l->up = false;
	if (was_up) {
		log_info("client", "server %s is lost: %s", l->servers[0], why);
		l->events->down_cb(l->ctx);
	} else if (l->rounds == 0) {
		log_warn("client", "server %s: %s", l->servers[0], why != NULL ? why : error_text(err));
	}
	if (!l->stopping) {
		rotate(l);
		pause_for(l, pause_ms(l));
	}
}

static int hello_cb(struct rpc_conn *c, const struct rpc_hello *peer, const char **why)
{
	struct link_rpc *l = c->data;

	if (strcmp(peer->kind, "server") != 0) {
		*why = "not a server";
		return ERR_REFUSED;
	}
	if (strcmp(peer->region, l->hello.region) != 0) {
		*why = "another region";
		return ERR_REFUSED;
	}
	return 0;
}

/* ---- what servers want ---- */

static void push_cb(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	struct link_rpc *l = c->data;

	l->events->push_cb(l->ctx, method, payload, len);
}

static void http_cb(void *ctx, struct http_request *req)
{
	struct link_rpc *l = ctx;

	l->events->http_cb(l->ctx, req);
}

static void request_cb(struct rpc_conn *c, struct rpc_call *call)
{
	struct link_rpc *l = c->data;

	if (call->method == RPC_METHOD_HTTP && !l->stopping) {
		rpc_serve_http(call, http_cb, l);
	} else {
		rpc_fail(call, ERR_UNSUPPORTED, "a client does not answer that");
	}
}

static const struct rpc_handlers handlers = {
        .hello_cb = hello_cb,
        .ready_cb = ready_cb,
        .request_cb = request_cb,
        .push_cb = push_cb,
        .closed_cb = closed_cb,
};

/* ---- the table ---- */

static void start(struct client_link *link, const char *node_id, const char *secret_id,
                  const struct link_events *events, void *ctx)
{
	struct link_rpc *l = of(link);

	l->hello.id = node_id;
	l->hello.secret = secret_id;
	l->events = events;
	l->ctx = ctx;
	if (l->n == 0) {
		log_error("client", "no servers are configured: this node will not be used");
		return;
	}
	connect_next(l);
}

static void reply_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct carried *carried = CONTAINER_OF(req, struct carried, req);
	struct link_call *call = carried->call;

	free(carried);
	call->done_cb(call, err, frame == NULL ? "" : frame->payload, frame == NULL ? 0 : frame->len);
}

static int call_server(struct client_link *link, struct link_call *call, uint32_t method, const struct type *type,
                       const void *obj, uint32_t timeout_ms)
{
	struct link_rpc *l = of(link);
	struct carried *carried;
	int rc;

	if (!l->up) {
		return ERR_CLOSED;
	}
	carried = calloc(1, sizeof(*carried));
	if (carried == NULL) {
		return ERR_NOMEM;
	}
	carried->call = call;
	carried->req.reply_cb = reply_cb;
	rc = rpc_send_object(l->conn, &carried->req, method, type, obj, timeout_ms);
	if (rc != 0) {
		free(carried);
	}
	return rc;
}

/* ---- reads of the API ---- */

/* A read and the request that carries it. */
struct carried_read {
	struct rpc_request req;
	struct link_read *read;
	struct arena mem;         /* Of the answer's head, */
	struct http_response res; /* whose body may come in pieces. */
	size_t max;
};

static void free_read(struct carried_read *r)
{
	rpc_cancel(&r->req); /* Harmless when it has ended. */
	buf_close(&r->res.body);
	arena_close(&r->mem);
	free(r);
}

static void end_read(struct carried_read *r, int err)
{
	struct link_read *read = r->read;

	rpc_cancel(&r->req);
	read->link_data = NULL;
	read->done_cb(read, err, err == 0 ? &r->res : NULL);
	free_read(r);
}

static void read_reply_cb(struct rpc_request *req, int err, const struct rpc_frame *frame)
{
	struct carried_read *r = CONTAINER_OF(req, struct carried_read, req);

	if (err == 0) {
		err = rpc_get_http_response(&r->res, frame->payload, frame->len, &r->mem);
	}
	if (err == 0 && r->res.body.len > r->max) {
		err = ERR_TOOBIG;
	}
	if (err != 0 || (frame->flags & RPC_MORE) == 0) {
		end_read(r, err);
	}
}

static void read_chunk_cb(struct rpc_request *req, int err, const char *data, size_t len, bool last)
{
	struct carried_read *r = CONTAINER_OF(req, struct carried_read, req);

	if (err == 0) {
		buf_put(&r->res.body, data, len);
		err = r->res.body.failed ? ERR_NOMEM : r->res.body.len > r->max ? ERR_TOOBIG : 0;
	}
	if (err != 0 || last) {
		end_read(r, err);
	} else {
		rpc_consumed(req, len);
	}
}

static int send_read(struct link_rpc *l, struct rpc_request *req, const char *target, uint32_t timeout_ms)
{
	struct http_request http;
	struct buf payload = {0};
	int rc;

	http_request_init(&http, NULL);
	http.method = HTTP_GET;
	rc = http_request_target(&http, target, strlen(target));
	if (rc == 0) {
		rpc_put_http_request(&payload, &http);
		rc = payload.failed ? ERR_NOMEM
		                    : rpc_send(l->conn, req, RPC_METHOD_HTTP, payload.at, payload.len, timeout_ms);
	}
	buf_close(&payload);
	http_request_close(&http);
	return rc;
}

static int read_server(struct client_link *link, struct link_read *read, const char *target, size_t max,
                       uint32_t timeout_ms)
{
	struct link_rpc *l = of(link);
	struct carried_read *r;
	int rc;

	if (!l->up) {
		return ERR_CLOSED;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL) {
		return ERR_NOMEM;
	}
	r->read = read;
	r->max = max;
	r->req.reply_cb = read_reply_cb;
	r->req.chunk_cb = read_chunk_cb;
	rc = send_read(l, &r->req, target, timeout_ms);
	if (rc != 0) {
		free(r);
		return rc;
	}
	read->link_data = r;
	return 0;
}

static void cancel_read(struct client_link *link, struct link_read *read)
{
	(void)link;
	free_read(read->link_data);
	read->link_data = NULL;
}

/* ---- the rest of the table ---- */

/* One that knew no server at all begins to look now. */
static void learn(struct client_link *link, const struct strs *addresses)
{
	struct link_rpc *l = of(link);
	bool idle = l->events != NULL && l->n == 0 && !l->stopping;
	uint32_t i;

	for (i = 0; i < addresses->n; i++) {
		add_server(l, addresses->at[i], 1);
	}
	if (idle && l->n > 0) {
		pause_for(l, 0);
	}
}

/* From a timer, because closing calls back. */
static void renew_cb(uv_timer_t *timer)
{
	struct link_rpc *l = timer->data;

	if (l->conn != NULL && !l->stopping) {
		rpc_conn_close(l->conn, ERR_CLOSED, "turning to another server");
	}
}

static void renew(struct client_link *link)
{
	if (of(link)->up) {
		uv_timer_start(&of(link)->pause, renew_cb, 0, 0);
	}
}

static void ended(struct link_rpc *l)
{
	if (l->host_stopped && l->pause_closed) {
		l->stopped_cb(l->stopped_ctx);
	}
}

static void host_stopped_cb(struct rpc_host *host)
{
	struct link_rpc *l = CONTAINER_OF(host, struct link_rpc, host);

	l->host_stopped = true;
	ended(l);
}

static void pause_closed_cb(uv_handle_t *handle)
{
	struct link_rpc *l = handle->data;

	l->pause_closed = true;
	ended(l);
}

static void stop(struct client_link *link, void (*stopped_cb)(void *ctx), void *ctx)
{
	struct link_rpc *l = of(link);

	l->stopping = true;
	l->stopped_cb = stopped_cb;
	l->stopped_ctx = ctx;
	rpc_host_stop(&l->host, host_stopped_cb);
	uv_close((uv_handle_t *)&l->pause, pause_closed_cb);
}

static const struct link_ops ops = {
        .start = start, .call = call_server, .read = read_server, .cancel = cancel_read, .servers = learn,
        .renew = renew, .stop = stop};

/* ---- begin and end ---- */

static const char *keep(struct link_rpc *l, const char *text)
{
	const char *kept = arena_strdup(&l->mem, text);

	return kept == NULL ? "" : kept;
}

static void fill_hello(struct link_rpc *l, const struct link_rpc_config *config)
{
	object_init(&rpc_hello_type, &l->hello);
	l->hello.protocol = RPC_VERSION;
	l->hello.kind = "client";
	l->hello.name = keep(l, config->name);
	l->hello.region = keep(l, config->region);
	l->hello.datacenter = keep(l, config->datacenter);
	l->hello.version = keep(l, config->version);
	l->hello.http_addr = keep(l, config->http_addr);
}

struct client_link *link_rpc_new(uv_loop_t *loop, const struct link_rpc_config *config)
{
	struct link_rpc *l = calloc(1, sizeof(*l));
	struct rpc_config rpc = {.handlers = &handlers, .ping_ms = PING_MS, .silence_ms = SILENCE_MS};
	uint32_t i;

	if (l == NULL) {
		return NULL;
	}
	l->link.ops = &ops;
	l->loop = loop;
	fill_hello(l, config);
	rpc.hello = &l->hello;
	if (rpc_host_init(&l->host, loop, &rpc) != 0) {
		arena_close(&l->mem);
		free(l);
		return NULL;
	}
	rpc_host_secure(&l->host, config->channels, l->hello.region);
	uv_timer_init(loop, &l->pause);
	l->pause.data = l;
	(void)uv_random(NULL, NULL, &l->random, sizeof(l->random), 0, NULL);
	l->random |= 1;
	for (i = 0; i < config->servers.n; i++) {
		add_server(l, config->servers.at[i], 0);
	}
	return &l->link;
}

void link_rpc_free(struct client_link *link)
{
	struct link_rpc *l = of(link);
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		free(l->servers[i]);
	}
	arena_close(&l->mem);
	free(l);
}

const char *link_rpc_server(const struct client_link *link)
{
	const struct link_rpc *l = (const struct link_rpc *)(const void *)link;

	return l->up ? l->servers[0] : "";
}

struct strs link_rpc_servers(const struct client_link *link)
{
	const struct link_rpc *l = (const struct link_rpc *)(const void *)link;

	return (struct strs){.at = (const char **)(uintptr_t)l->servers, .n = l->n};
}
