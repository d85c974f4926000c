/* Connections with other agents: who may connect, what comes in on them, the timer, begin and end. */
#include "server/net_parts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "server/core.h"

/* A server that is silent is asked soon: whoever waits for it should not wait for long. */
enum { PING_MS = 1000, SILENCE_MS = 4000, ODD_MS = 1000 };

int64_t net_now(const struct net *n)
{
	return server_now_ms(n->s);
}

/* ---- the log ---- */

static bool tell_now(struct net *n)
{
	n->refused++;
	n->odd.untold += net_now(n) < n->odd.next_ms;
	return net_now(n) >= n->odd.next_ms;
}

static void tell(struct net *n, const char *which, const char *address, const char *why)
{
	log_warn("rpc", "%s %s: %.200s (and %u others before)", which, address, why, n->odd.untold);
	n->odd = (struct odd){.next_ms = net_now(n) + ODD_MS};
}

void net_odd(struct net *n, const struct net_conn *nc, const char *why)
{
	char peer[ADDRESS_MAX] = "";

	if (!tell_now(n)) {
		return;
	}
	if (nc->dial != NULL) {
		tell(n, "connecting to", nc->dial->address, why);
		return;
	}
	if (nc->rpc != NULL) {
		rpc_conn_peer(nc->rpc, peer, sizeof(peer));
	}
	tell(n, "from", peer, why);
}

void net_odd_server(struct net *n, const char *address, const char *why)
{
	if (tell_now(n)) {
		tell(n, "a server at", address, why);
	}
}

/* It has not become an agent's connection. */
static void odd_channel(struct net *n, const struct channel *ch, const char *why)
{
	char peer[ADDRESS_MAX];

	if (tell_now(n)) {
		peer_text(ch->tcp, peer, sizeof(peer));
		tell(n, "from", peer, why);
	}
}

/* ---- hello ---- */

static bool is_text(const char *text)
{
	return strlen(text) < NET_TEXT_MAX;
}

static bool is_address(const char *text)
{
	char host[ADDRESS_HOST_MAX];
	unsigned port;

	return is_text(text) && address_split(text, host, &port) && port != 0;
}

static bool is_id(const char *text)
{
	struct uuid id;

	return uuid_parse(text, strlen(text), &id) && !uuid_is_zero(&id);
}

bool net_hello_valid(const struct rpc_hello *h)
{
	return is_text(h->name) && strlen(h->region) <= NET_REGION_MAX && h->region[0] != '\0' &&
	       is_text(h->datacenter) && is_text(h->version) && (h->cluster_id[0] == '\0' || is_id(h->cluster_id)) &&
	       (h->http_addr[0] == '\0' || is_address(h->http_addr)) &&
	       (h->serf_addr[0] == '\0' || is_address(h->serf_addr)) && is_id(h->id) && is_address(h->rpc_addr) &&
	       h->raft_id > 0;
}

static int refuse(const char **why, int err, const char *text)
{
	*why = text;
	return err;
}

static int check_server(const struct net *n, const struct channel *ch, const struct rpc_hello *h, const char **why)
{
	if (!net_hello_valid(h)) {
		return refuse(why, ERR_INVALID, "a malformed hello");
	}
	if (!channel_may(ch, CHANNEL_SERVER, h->region)) {
		return refuse(why, ERR_REFUSED, "its certificate is not that of a server of its region");
	}
	if (strcmp(h->region, n->hello.region) != 0) {
		return 0; /* Known for its region, and no more. */
	}
	if (net_in_cluster(n) && h->cluster_id[0] != '\0' && strcmp(h->cluster_id, n->cluster) != 0) {
		return refuse(why, ERR_REFUSED, "a server of another cluster");
	}
	if ((uint64_t)h->raft_id == n->s->identity.raft_id && strcmp(h->id, n->id) != 0) {
		return refuse(why, ERR_REFUSED, "another server with the same Raft ID");
	}
	return 0;
}

static int check_client(const struct net *n, const struct channel *ch, const struct rpc_hello *h, const char **why)
{
	if (strcmp(h->region, n->hello.region) != 0) {
		return refuse(why, ERR_REFUSED, "a client of another region");
	}
	if (!channel_may(ch, CHANNEL_CLIENT, h->region)) {
		return refuse(why, ERR_REFUSED, "its certificate is not that of a client of this region");
	}
	if (!is_id(h->id) || !is_text(h->name) || !is_text(h->secret) || h->secret[0] == '\0') {
		return refuse(why, ERR_INVALID, "a malformed hello");
	}
	if (caller_is_impostor(n, h)) {
		return refuse(why, ERR_REFUSED, "the node's secret is not this");
	}
	return 0;
}

static int check_hello(const struct net *n, const struct channel *ch, const struct rpc_hello *h, enum peer_kind *kind,
                       const char **why)
{
	if (n->stopping || n->leaving) {
		return refuse(why, ERR_CLOSED, "this server is stopping");
	}
	if (strcmp(h->kind, "server") == 0) {
		*kind = PEER_SERVER;
		return check_server(n, ch, h, why);
	}
	if (strcmp(h->kind, "client") == 0) {
		*kind = PEER_CLIENT;
		return check_client(n, ch, h, why);
	}
	if (strcmp(h->kind, "cli") == 0) {
		*kind = PEER_CLI;
		return channel_may(ch, CHANNEL_CLI, n->hello.region)
		               ? 0
		               : refuse(why, ERR_REFUSED, "its certificate is not that of an agent of this region");
	}
	return refuse(why, ERR_REFUSED, "an unknown kind of agent");
}

/* Of ourselves only the side that has connected says no: so it knows that the address is its own. */
static int hello_cb(struct rpc_conn *c, const struct rpc_hello *peer, const char **why)
{
	struct net_conn *nc = c->data;
	enum peer_kind kind = PEER_NONE;
	int rc = check_hello(nc->net, rpc_conn_channel(c), peer, &kind, why);

	if (rc != 0) {
		net_odd(nc->net, nc, *why);
		return rc;
	}
	if (nc->dial != NULL && strcmp(peer->id, nc->net->id) == 0) {
		nc->dial->self = true;
		return refuse(why, ERR_EXISTS, "this is ourselves");
	}
	if (nc->dial != NULL && kind != PEER_SERVER) {
		return refuse(why, ERR_REFUSED, "not a server");
	}
	if (object_copy(&rpc_hello_type, &nc->hello, peer, &nc->mem) != 0) {
		return refuse(why, ERR_NOMEM, error_text(ERR_NOMEM));
	}
	nc->kind = kind;
	return 0;
}

static void no_longer_half_open(struct net_conn *nc)
{
	if (!nc->ready && nc->dial == NULL) {
		nc->net->n_half_open--;
	}
}

static void ready_cb(struct rpc_conn *c)
{
	struct net_conn *nc = c->data;

	no_longer_half_open(nc);
	nc->ready = true;
	if (nc->kind == PEER_SERVER && strcmp(nc->hello.id, nc->net->id) != 0) {
		members_ready(nc->net, nc);
	}
}

/* ---- what comes in ---- */

/* What comes on a node's own connection is asked by the node itself, for its tasks. */
static void serve_http(struct net_conn *nc, struct rpc_call *call)
{
	if (nc->kind != PEER_CLIENT) {
		relay_serve(&nc->net->relay, call, NULL);
	} else if (caller_is_node(nc)) {
		relay_serve(&nc->net->relay, call, nc->hello.id);
	} else {
		rpc_fail(call, ERR_REFUSED, "the node is not registered");
	}
}

static void serve(struct net *n, struct net_conn *nc, struct rpc_call *call)
{
	switch (call->method) {
	case RPC_METHOD_HTTP:
		serve_http(nc, call);
		break;
	case RPC_METHOD_STATUS:
		info_status(n, call);
		break;
	case RPC_METHOD_STATE_HASH:
		info_hash(n, call);
		break;
	case RPC_METHOD_READ_INDEX:
		info_read_index(n, call);
		break;
	case RPC_METHOD_MEMBERS:
		members_serve(n, nc, call);
		break;
	case RPC_METHOD_JOIN:
	case RPC_METHOD_LEAVE:
	case RPC_METHOD_NODE_REGISTER:
	case RPC_METHOD_NODE_HEARTBEAT:
	case RPC_METHOD_NODE_UPDATE:
		errand_begin(n, nc, call);
		break;
	case RPC_METHOD_NODE_WATCH:
		node_watch(n, nc, call);
		break;
	case RPC_METHOD_NODE_PREVIOUS:
		node_previous(n, nc, call);
		break;
	case RPC_METHOD_NODE_RIGHTS:
		node_rights(n, nc, call);
		break;
	default:
		rpc_fail(call, ERR_UNSUPPORTED, "an unknown request");
	}
}

/* What servers ask of each other they do so until the end: a leader that goes may answer for what it has committed, and let
 * another one go. */
static bool is_between_servers(uint32_t method)
{
	return method == RPC_METHOD_STATUS || method == RPC_METHOD_READ_INDEX || method == RPC_METHOD_MEMBERS ||
	       method == RPC_METHOD_JOIN || method == RPC_METHOD_LEAVE || method == RPC_METHOD_STATE_HASH;
}

/* An HTTP request that was passed on to a leader waits for the next one, as does a read; a node turns to another server. */
static void refuse_at_end(struct rpc_call *call)
{
	bool waits = call->method == RPC_METHOD_HTTP || call->method == RPC_METHOD_READ_INDEX;

	rpc_fail(call, waits ? ERR_NOTLEADER : ERR_BUSY, "this server is stopping");
}

static void request_cb(struct rpc_conn *c, struct rpc_call *call)
{
	struct net_conn *nc = c->data;
	struct net *n = nc->net;

	if (n->stopping || (n->s->draining && !is_between_servers(call->method))) {
		refuse_at_end(call);
	} else if (caller_may(nc, call)) {
		serve(n, nc, call);
	}
}

static void push_cb(struct rpc_conn *c, uint32_t method, const char *payload, size_t len)
{
	struct net_conn *nc = c->data;

	if (!caller_may_push(nc, method) || nc->net->stopping || nc->member == NULL) {
		return;
	}
	if (method == RPC_METHOD_FOUNDING) {
		cluster_message(nc->net, nc, payload, len);
	} else if (method == RPC_METHOD_NODES_AT) {
		places_learn(nc->net, nc, payload, len);
	}
}

static void closed_cb(struct rpc_conn *c, int err, const char *why)
{
	struct net_conn *nc = c->data;
	struct net *n = nc->net;

	no_longer_half_open(nc);
	/* Whom we have refused was told of before; with 0 it is in order. */
	if (!n->stopping && err != 0 && (nc->ready ? err == ERR_SYNTAX || err == ERR_TOOBIG : nc->dial == NULL)) {
		net_odd(n, nc, why != NULL ? why : error_text(err));
	}
	nc->rpc = NULL;
	list_remove(&nc->link);
	places_forget(n, nc);
	node_closed(n, nc);
	node_rights_closed(n, nc);
	members_closed(n, nc, err);
	arena_close(&nc->mem);
	free(nc);
}

static const struct rpc_handlers handlers = {
	.hello_cb = hello_cb,
	.ready_cb = ready_cb,
	.request_cb = request_cb,
	.push_cb = push_cb,
	.closed_cb = closed_cb,
};

/* ---- those who connect to us ---- */

static bool too_many_from(const struct net *n, const uint8_t from[PEER_KEY])
{
	unsigned count = 0;

	if (n->s->config.rpc_conns_per_client == 0) {
		return false;
	}
	LIST_EACH (l, &n->conns) {
		const struct net_conn *nc = CONTAINER_OF(l, struct net_conn, link);

		count += nc->dial == NULL && memcmp(nc->from, from, PEER_KEY) == 0;
	}
	return count >= n->s->config.rpc_conns_per_client;
}

static const char *why_not(const struct net *n, char first, const uint8_t from[PEER_KEY])
{
	if (first == CHANNEL_TLS_FIRST) {
		return "TLS, which is not configured here (tls.rpc)";
	}
	if (first == CHANNEL_SECRET_FIRST) {
		return "it wants a secret, which is not configured here (encrypt)";
	}
	if (first != RPC_FIRST_BYTE) {
		return "not a connection of an agent";
	}
	if (n->n_half_open >= NET_HALF_OPEN_MAX) {
		return "too many connections that have not said hello";
	}
	return too_many_from(n, from) ? "too many connections from this address" : NULL;
}

void net_connection(struct net *n, struct channel *ch, const char *listener, char first)
{
	struct net_conn *nc = calloc(1, sizeof(*nc));
	const char *why = "out of memory";

	(void)listener; /* Both serve the same: an address of either finds us. */
	if (nc != NULL) {
		peer_key(ch->tcp, nc->from);
		why = why_not(n, first, nc->from);
	}
	if (why != NULL || n->stopping) {
		if (!n->stopping) {
			odd_channel(n, ch, why);
		}
		channel_close(ch, NULL);
		free(nc);
		return;
	}
	nc->net = n;
	list_init(&nc->places);
	list_insert(&n->conns, &nc->link);
	n->n_half_open++;
	nc->rpc = rpc_adopt(&n->host, ch, nc);
	if (nc->rpc == NULL) {
		n->n_half_open--;
		list_remove(&nc->link);
		free(nc);
	}
}

/* ---- the leader ---- */

struct net_conn *net_leader_conn(struct net *n)
{
	struct member *m = n->leader_id != 0 ? member_by_raft(n, n->leader_id) : NULL;

	return m != NULL && m->local ? m->conn : NULL;
}

void net_ready(struct net *n, bool ready)
{
	n->change_next_ms = 0;
	server_info_changed(n->s);
	if (ready) {
		errands_retry(n);
	}
}

/* What was asked of the one before is asked of this one, as far as it may be asked twice. */
void net_leader(struct net *n, uint64_t id, const char *address)
{
	(void)address;
	if (n->leader_id != 0 && n->leader_id != id) {
		n->former_id = n->leader_id;
		n->former_ms = net_now(n);
	}
	n->leader_id = id;
	if (id != 0) {
		errands_recall(n);
		info_index_recall(n);
		errands_retry(n);
	}
	server_info_changed(n->s);
}

/* A leader that was replaced may hang, with requests of ours that nobody carries out: they wait for it no longer than
 * it takes to see that it is silent. */
static void watch_former(struct net *n)
{
	struct member *m = n->former_id != 0 ? member_by_raft(n, n->former_id) : NULL;
	struct net_conn *nc = m != NULL ? m->conn : NULL;

	if (n->former_id == 0 || n->leader_id == 0 || net_now(n) - n->former_ms < NET_FORMER_MS) {
		return;
	}
	n->former_id = 0;
	if (nc != NULL && nc->rpc->heard_ms < n->former_ms && nc->rpc->n_requests > 0) {
		rpc_conn_close(nc->rpc, ERR_TIMEOUT, "it leads no more, and is silent");
	}
}

void net_configuration(struct net *n)
{
	members_changed(n);
}

/* ---- turns ---- */

void net_changed(struct net *n, const struct view *v, const struct change *changes, size_t count)
{
	info_remember(n, v);
	push_changed(n, changes, count);
}

void net_replaced(struct net *n)
{
	struct hash_link *l = NULL;

	info_forget(n);
	while ((l = hash_walk(&n->nodes, l)) != NULL) {
		push_all(n, CONTAINER_OF(l, struct node_conn, by_id));
	}
}

void net_turn(struct net *n, bool ends)
{
	if (n->stopping || !n->timer_open) {
		return;
	}
	if (n->founding_due) {
		n->founding_due = false;
		cluster_tick(n);
	}
	places_turn(n);
	if (!ends) {
		errands_turn(n);
		push_turn(n);
	}
}

static void soon_cb(uv_timer_t *timer)
{
	struct net *n = timer->data;

	n->soon_set = false;
	core_wake(n->s); /* The next turn does the work. */
}

void net_soon(struct net *n)
{
	if (!n->soon_set && n->timer_open && !n->stopping) {
		n->soon_set = true;
		uv_timer_start(&n->soon, soon_cb, 0, 0);
	}
}

static void tick_cb(uv_timer_t *timer)
{
	struct net *n = timer->data;

	uv_timer_start(&n->timer, tick_cb, net_in_cluster(n) ? NET_TICK_MS : NET_TICK_FAST_MS, 0);
	watch_former(n);
	members_tick(n);
	cluster_tick(n);
	voters_tick(n);
	errands_tick(n);
}

/* ---- begin and end ---- */

static void fill_hello(struct net *n)
{
	const struct server_config *config = &n->s->config;

	uuid_format(&n->s->identity.id, n->id);
	uuid_format(&n->s->identity.cluster, n->cluster);
	object_init(&rpc_hello_type, &n->hello);
	n->hello.protocol = RPC_VERSION;
	n->hello.kind = "server";
	n->hello.id = n->id;
	n->hello.name = config->name;
	n->hello.region = config->region;
	n->hello.datacenter = config->datacenter;
	n->hello.version = config->version != NULL ? config->version : "";
	n->hello.cluster_id = n->cluster;
	n->hello.rpc_addr = config->rpc_addr;
	n->hello.http_addr = config->http_addr != NULL ? config->http_addr : "";
	n->hello.serf_addr = config->serf_addr != NULL ? config->serf_addr : "";
	n->hello.raft_id = (int64_t)n->s->identity.raft_id;
	n->hello.bootstrap_expect = config->bootstrap_expect;
}

/* How the connections of this server look on the wire. */
static int make_channels(struct server *s)
{
	const struct server_config *c = &s->config;
	const struct channels_config config = {.tls = c->rpc_tls,
					       .upgrade = c->rpc_upgrade,
					       .verify_names = c->rpc_verify_names,
					       .region = c->region,
					       .secret = c->rpc_secret,
					       .secret_len = c->rpc_secret_len};

	if (c->rpc_tls == NULL && c->rpc_secret_len == 0) {
		return 0;
	}
	s->channels = channels_new(&config);
	return s->channels != NULL ? 0 : ERR_NOMEM;
}

int net_new(struct server *s, struct net **out)
{
	struct net *n = calloc(1, sizeof(*n));
	struct rpc_config rpc = {.handlers = &handlers, .ping_ms = PING_MS, .silence_ms = SILENCE_MS};
	int rc;

	if (n == NULL) {
		return ERR_NOMEM;
	}
	n->s = s;
	rpc.hello = &n->hello;
	rpc.hello_ms = s->config.rpc_handshake_ms;
	fill_hello(n);
	list_init(&n->conns);
	list_init(&n->rights);
	errands_init(n);
	node_conns_init(n);
	forward_init(n);
	rc = members_init(n);
	if (rc == 0) {
		rc = make_channels(s);
	}
	if (rc == 0) {
		rc = rpc_host_init(&n->host, &s->loop, &rpc);
	}
	if (rc != 0) {
		channels_free(s->channels);
		s->channels = NULL;
		members_close(n);
		free(n);
		return rc;
	}
	rpc_host_secure(&n->host, s->channels, NULL); /* Servers of other regions are told by what they say. */
	n->host_open = true;
	*out = n;
	return 0;
}

static int listen_at(struct net *n, const char *address, const char *name, bool raft, char *why, size_t why_size)
{
	struct replica_fault f;
	int rc = replica_listen(n->s->replica, address, name, raft, &f);

	if (rc != 0) {
		snprintf(why, why_size, "%s: %s", name, f.text);
	}
	return rc;
}

int net_start(struct net *n, char *why, size_t why_size)
{
	const struct server_config *config = &n->s->config;
	int rc = listen_at(n, config->bind_rpc, "rpc", true, why, why_size);

	if (rc == 0 && config->bind_serf != NULL && config->bind_serf[0] != '\0') {
		rc = listen_at(n, config->bind_serf, "serf", false, why, why_size);
	}
	if (rc != 0) {
		return rc;
	}
	n->incarnation = server_moment(n->s).wall_ns / NS_PER_MS;
	cluster_init(n);
	uv_timer_init(&n->s->loop, &n->timer);
	uv_timer_init(&n->s->loop, &n->soon);
	n->timer.data = n->soon.data = n;
	n->timer_open = true;
	uv_timer_start(&n->timer, tick_cb, 0, 0);
	return 0;
}

static void closed_one(struct net *n)
{
	if (--n->n_closing == 0) {
		n->stopped_cb(n->stopped_ctx);
	}
}

static void timer_closed_cb(uv_handle_t *handle)
{
	closed_one(handle->data);
}

static void host_stopped_cb(struct rpc_host *host)
{
	closed_one(CONTAINER_OF(host, struct net, host));
}

void net_stop(struct net *n, void (*stopped_cb)(void *ctx), void *ctx)
{
	n->stopping = true;
	n->stopped_cb = stopped_cb;
	n->stopped_ctx = ctx;
	n->n_closing = n->timer_open ? 3 : 1;
	cluster_stop(n);
	admin_stop(n);
	errands_stop(n);
	if (n->timer_open) {
		uv_close((uv_handle_t *)&n->timer, timer_closed_cb);
		uv_close((uv_handle_t *)&n->soon, timer_closed_cb);
		n->timer_open = false;
	}
	n->host_open = false;
	rpc_host_stop(&n->host, host_stopped_cb);
}

void net_free(struct net *n)
{
	if (n == NULL) {
		return;
	}
	errands_stop(n);
	node_conns_close(n);
	members_close(n);
	channels_free(n->s->channels);
	n->s->channels = NULL;
	free(n);
}
