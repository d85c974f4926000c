/*
 * Requests that came to a client's HTTP port, and that a server answers: over a connection of their own, so that large
 * answers do not hold up the node's heartbeats. It is made when the first request comes.
 *
 *     agent_relay_http() --> relay (proto/relay.h) --> a connection to one of the servers that the link knows
 *                                  \--> kept, while there is none <-- connected, or time is up
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/agent_parts.h"
#include "client/client.h"
#include "client/link_rpc.h"
#include "lib/address.h"
#include "lib/log.h"
#include "proto/error.h"
#include "proto/relay.h"
#include "proto/stream.h"

enum {
	HOLD_MS = 5000,        /* A request is tried for so long. */
	KEPT_MAX = 4096,       /* That wait for a server; more fail at once. */
	ATTEMPT_MS = 1000,     /* For connecting and the hello. */
	PAUSE_MS = 50,         /* Before kept requests are tried again, and between two rounds of attempts, */
	PAUSE_MAX_MS = 500,    /* which get longer up to this. */
	PING_MS = 2000,        /* A server that is silent for so long is asked, */
	SILENCE_MS = 6000,     /* and for so long is given up. */
	ANSWER_MS = 11 * 60000, /* Longer than any blocking query. */
};

struct agent_relay {
	struct agent_node *client;
	struct relay relay;
	struct rpc_host host;
	struct rpc_hello hello;
	uv_loop_t *loop;
	uv_timer_t timer; /* Connects, and looks after what is kept. */
	struct list kept;
	unsigned n_kept;
	struct rpc_conn *conn; /* Connecting or connected. */
	char address[ADDRESS_MAX];
	unsigned failed; /* Attempts in a row: which server is next follows from it. */
	uint64_t next_ms; /* Loop time: no attempt before. */
	bool stopping, host_stopped, timer_closed;
	void (*stopped_cb)(void *ctx);
	void *ctx;
};

static void timer_cb(uv_timer_t *timer);

/* ---- servers ---- */

/* The server that the link is connected to is the best guess; after that they have their turns. */
static const char *next_address(struct agent_relay *r)
{
	struct client_link *link = agent_node_link(r->client);
	const char *best = link_rpc_server(link);
	struct strs all = link_rpc_servers(link);

	if (r->failed == 0 && best[0] != '\0') {
		return best;
	}
	return all.n > 0 ? all.at[r->failed % all.n] : NULL;
}

static void connect_server(struct agent_relay *r)
{
	const char *address = next_address(r);

	if (address == NULL || r->stopping || uv_now(r->loop) < r->next_ms) {
		return;
	}
	snprintf(r->address, sizeof(r->address), "%s", address);
	r->conn = rpc_connect(&r->host, r->address, ATTEMPT_MS, r);
	if (r->conn == NULL) {
		r->next_ms = uv_now(r->loop) + PAUSE_MAX_MS;
	}
}

static int hello_cb(struct rpc_conn *c, const struct rpc_hello *peer, const char **why)
{
	struct agent_relay *r = c->data;

	if (strcmp(peer->kind, "server") != 0 || strcmp(peer->region, r->hello.region) != 0) {
		*why = "not a server of this region";
		return ERR_REFUSED;
	}
	return 0;
}

static void ready_cb(struct rpc_conn *c)
{
	struct agent_relay *r = c->data;

	r->failed = 0;
	uv_timer_start(&r->timer, timer_cb, 0, 0);
}

static uint64_t pause_ms(const struct agent_relay *r)
{
	unsigned n = link_rpc_servers(agent_node_link(r->client)).n;
	unsigned rounds = n > 0 ? r->failed / n : r->failed;
	uint64_t ms = (uint64_t)PAUSE_MS << (rounds < 4 ? rounds : 4);

	if (n > 0 && r->failed % n != 0) {
		return 0; /* There are servers that were not tried in this round. */
	}
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static void closed_cb(struct rpc_conn *c, int err, const char *why)
{
	struct agent_relay *r = c->data;

	if (r->conn != c) {
		return;
	}
	log_debug("http", "server %s: %s", r->address, why != NULL ? why : error_text(err));
	r->conn = NULL;
	r->failed++;
	r->next_ms = uv_now(r->loop) + pause_ms(r);
	if (!r->stopping && !list_empty(&r->kept)) {
		uv_timer_start(&r->timer, timer_cb, r->next_ms - uv_now(r->loop), 0);
	}
}

static const struct rpc_handlers handlers = {.hello_cb = hello_cb, .ready_cb = ready_cb, .closed_cb = closed_cb};

/* ---- what the relay asks for ---- */

static void post(void *ctx, struct mail *mail)
{
	struct agent_relay *r = ctx;

	agent_node_post_answer(r->client, mail);
}

static struct rpc_conn *route(void *ctx, const char *target, int *err)
{
	struct agent_relay *r = ctx;

	(void)target;
	if (r->conn == NULL) {
		connect_server(r);
	}
	if (r->conn != NULL && rpc_conn_ready(r->conn)) {
		return r->conn;
	}
	*err = ERR_NOLEADER;
	return NULL;
}

/* The target of a request says until when it is tried. */
static uint64_t until_ms(const struct relay_out *out)
{
	return strtoull(relay_out_target(out), NULL, 10);
}

static bool again(void *ctx, struct relay_out *out, int err)
{
	struct agent_relay *r = ctx;

	(void)err;
	if (r->stopping || r->n_kept >= KEPT_MAX || uv_now(r->loop) >= until_ms(out)) {
		return false;
	}
	list_insert(&r->kept, relay_out_link(out));
	r->n_kept++;
	if (!uv_is_active((uv_handle_t *)&r->timer)) {
		uv_timer_start(&r->timer, timer_cb, PAUSE_MS, 0);
	}
	return true;
}

static void never(void *ctx, struct http_request *req)
{
	(void)ctx;
	http_answer_error(req, ERR_UNSUPPORTED); /* A server has nothing to ask here: it has the client's link. */
}

/* ---- what is kept ---- */

/* Take all: those that are tried may come back at once. */
static void take_kept(struct agent_relay *r, struct list *to)
{
	list_init(to);
	while (!list_empty(&r->kept)) {
		list_insert(to, list_pop(&r->kept));
	}
	r->n_kept = 0;
}

static void try_kept(struct agent_relay *r)
{
	struct list all;

	take_kept(r, &all);
	while (!list_empty(&all)) {
		relay_try(relay_out_of(list_pop(&all)));
	}
}

/* Those whose time is up are tried once more, and then not kept again. */
static void timer_cb(uv_timer_t *timer)
{
	struct agent_relay *r = timer->data;

	try_kept(r);
}

/* ---- the table ---- */

void agent_relay_http(struct agent_relay *r, struct http_request *req)
{
	char target[RELAY_TARGET_MAX];

	snprintf(target, sizeof(target), "%llu", (unsigned long long)(uv_now(r->loop) + HOLD_MS));
	relay_forward(&r->relay, req, target, ANSWER_MS);
}

static void ended(struct agent_relay *r)
{
	if (r->host_stopped && r->timer_closed) {
		r->stopped_cb(r->ctx);
	}
}

static void host_stopped_cb(struct rpc_host *host)
{
	struct agent_relay *r = CONTAINER_OF(host, struct agent_relay, host);

	r->host_stopped = true;
	ended(r);
}

static void timer_closed_cb(uv_handle_t *handle)
{
	struct agent_relay *r = handle->data;

	r->timer_closed = true;
	ended(r);
}

void agent_relay_stop(struct agent_relay *r, void (*stopped_cb)(void *ctx), void *ctx)
{
	struct list all;

	assert(!r->stopping);
	r->stopping = true;
	r->stopped_cb = stopped_cb;
	r->ctx = ctx;
	take_kept(r, &all);
	while (!list_empty(&all)) {
		relay_give_up(relay_out_of(list_pop(&all)), ERR_NOLEADER);
	}
	uv_close((uv_handle_t *)&r->timer, timer_closed_cb);
	rpc_host_stop(&r->host, host_stopped_cb);
}

void agent_relay_free(struct agent_relay *r)
{
	free(r);
}

static void fill_hello(const struct agent_config *config, struct rpc_hello *hello)
{
	object_init(&rpc_hello_type, hello);
	hello->protocol = RPC_VERSION;
	hello->kind = "cli"; /* Not the node itself, which has a connection already. */
	hello->name = config->name;
	hello->region = config->region;
	hello->datacenter = config->datacenter;
	hello->version = DROVER_VERSION;
	hello->http_addr = config->advertise->http;
}

struct agent_relay *agent_relay_new(uv_loop_t *loop, const struct agent_config *config, struct agent_node *client)
{
	struct agent_relay *r = calloc(1, sizeof(*r));
	struct rpc_config rpc = {.handlers = &handlers, .ping_ms = PING_MS, .silence_ms = SILENCE_MS};

	if (r == NULL) {
		return NULL;
	}
	r->client = client;
	r->loop = loop;
	r->relay = (struct relay){
		.ctx = r, .post_http = post, .post_rpc = post, .route = route, .again = again, .handle = never};
	list_init(&r->kept);
	fill_hello(config, &r->hello);
	rpc.hello = &r->hello;
	if (rpc_host_init(&r->host, loop, &rpc) != 0) {
		free(r);
		return NULL;
	}
	rpc_host_secure(&r->host, agent_node_channels(client), config->region);
	uv_timer_init(loop, &r->timer);
	r->timer.data = r;
	return r;
}
