/*
 * The HTTP port of an agent that is only a client.
 *
 *     HTTP thread                        client's thread
 *     request -- handover_http() ----->  a route of this file: the agent itself, or this node's client
 *                                        anything else, and what is of another node: agent_relay, a server
 *
 * All of it is decided on the client's thread, which knows what allocations the node has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/agent_parts.h"
#include "client/client.h"
#include "client/link_rpc.h"
#include "lib/timefmt.h"
#include "proto/error.h"
#include "proto/handover.h"
#include "server/httpd.h"

struct agent_front {
	struct agent_node *client;
	struct handover_route route;
	struct http_router *router;
	struct arena mem; /* Of the texts below. */
	const char *address;
	const char *config_json;
	struct httpd *httpd;   /* As the main thread knows it, */
	struct httpd *answers; /* and as the HTTP thread tells it before the first request. */
};

/* ---- answers ---- */

#define FRONT_HEALTH_FIELDS(X, T)                                                                                      \
	X(T, BOOL, ok, "ok")                                                                                           \
	X(T, STR, message, "message")

#define FRONT_HEALTH_ANSWER_FIELDS(X, T)                                                                               \
	X(T, OBJ(front_health), client, "client", .omit = true)                                                        \
	X(T, OBJ(front_health), server, "server", .omit = true)

/* Texts, as all numbers of /v1/agent/self are. */
#define FRONT_CLIENT_STATS_FIELDS(X, T)                                                                                \
	X(T, STR, node_id, "node_id")                                                                                  \
	X(T, STR, known_servers, "known_servers")                                                                      \
	X(T, STR, num_allocations, "num_allocations")                                                                  \
	X(T, STR, last_heartbeat, "last_heartbeat")                                                                    \
	X(T, STR, heartbeat_ttl, "heartbeat_ttl")

#define FRONT_RUNTIME_STATS_FIELDS(X, T)                                                                               \
	X(T, STR, arch, "arch")                                                                                        \
	X(T, STR, cpu_count, "cpu_count")                                                                              \
	X(T, STR, kernel_name, "kernel.name")                                                                          \
	X(T, STR, version, "version")

#define FRONT_STATS_FIELDS(X, T)                                                                                       \
	X(T, OBJ(front_client_stats), client, "client")                                                                \
	X(T, OBJ(front_runtime_stats), runtime, "runtime")

OBJECT_DECLARE(front_health, FRONT_HEALTH_FIELDS);
OBJECT_DECLARE(front_health_answer, FRONT_HEALTH_ANSWER_FIELDS);
OBJECT_DECLARE(front_client_stats, FRONT_CLIENT_STATS_FIELDS);
OBJECT_DECLARE(front_runtime_stats, FRONT_RUNTIME_STATS_FIELDS);
OBJECT_DECLARE(front_stats, FRONT_STATS_FIELDS);
OBJECT_DEFINE(front_health, FRONT_HEALTH_FIELDS);
OBJECT_DEFINE(front_health_answer, FRONT_HEALTH_ANSWER_FIELDS);
OBJECT_DEFINE(front_client_stats, FRONT_CLIENT_STATS_FIELDS);
OBJECT_DEFINE(front_runtime_stats, FRONT_RUNTIME_STATS_FIELDS);
OBJECT_DEFINE(front_stats, FRONT_STATS_FIELDS);

static void answer_body(struct http_request *req, int status, struct buf *body)
{
	struct http_response res = {.status = status, .type = "application/json", .body = *body};

	http_answer(req, &res);
}

/* A text in the request's memory; "" when that is exhausted. */
static const char *text(const char *copy)
{
	return copy != NULL ? copy : "";
}

static const char *duration_text(struct arena *mem, int64_t ns)
{
	char out[DURATION_TEXT];

	duration_format(ns, out);
	return text(arena_strdup(mem, out));
}

/* ---- /v1/agent: the agent itself ---- */

static struct strs known_servers(const struct agent_front *f)
{
	return link_rpc_servers(agent_node_link(f->client));
}

static const char *join_texts(struct arena *mem, const struct strs *list)
{
	struct buf b = {0};
	const char *joined;

	for (uint32_t i = 0; i < list->n; i++) {
		buf_str(&b, i > 0 ? "," : "");
		buf_str(&b, list->at[i]);
	}
	joined = text(arena_strdup(mem, buf_text(&b)));
	buf_close(&b);
	return joined;
}

static int64_t wall_ns(void)
{
	uv_timeval64_t now = {0};

	(void)uv_gettimeofday(&now);
	return now.tv_sec * CONFIG_S + now.tv_usec * INT64_C(1000);
}

static void fill_client_stats(const struct agent_front *f, struct arena *mem, struct front_client_stats *s)
{
	struct client_facts facts = client_facts(agent_node_of(f->client));
	struct strs servers = known_servers(f);

	s->node_id = agent_node_id(f->client);
	s->known_servers = join_texts(mem, &servers);
	s->num_allocations = text(arena_printf(mem, "%u", facts.allocs_running));
	s->last_heartbeat = facts.last_heartbeat_ns == 0
				    ? "never"
				    : duration_text(mem, wall_ns() - facts.last_heartbeat_ns);
	s->heartbeat_ttl = duration_text(mem, facts.heartbeat_ttl_ns);
}

static void fill_runtime_stats(struct arena *mem, struct front_runtime_stats *s)
{
	struct utsname name;

	if (uname(&name) != 0) {
		return;
	}
	s->arch = text(arena_strdup(mem, name.machine));
	s->cpu_count = text(arena_printf(mem, "%ld", sysconf(_SC_NPROCESSORS_ONLN)));
	s->kernel_name = "linux";
	s->version = DROVER_VERSION;
}

/* It is no member of the servers' gossip: the API's clients expect the object all the same. */
#define NO_MEMBER                                                                                                      \
	"{\"Name\":\"\",\"Addr\":null,\"Port\":0,\"Tags\":null,\"Status\":\"none\",\"ProtocolMin\":0,"                  \
	"\"ProtocolMax\":0,\"ProtocolCur\":0,\"DelegateMin\":0,\"DelegateMax\":0,\"DelegateCur\":0}"

static void self_cb(void *ctx, struct http_request *req)
{
	struct agent_front *f = ctx;
	struct front_client_stats client;
	struct front_runtime_stats runtime;
	struct front_stats stats = {&client, &runtime};
	struct buf b = {0};

	object_init(&front_client_stats_type, &client);
	object_init(&front_runtime_stats_type, &runtime);
	fill_client_stats(f, &req->mem, &client);
	fill_runtime_stats(&req->mem, &runtime);
	buf_printf(&b, "{\"config\":%s,\"member\":%s,\"stats\":", f->config_json, NO_MEMBER);
	json_encode(&front_stats_type, &stats, &b);
	buf_byte(&b, '}');
	answer_body(req, 200, &b);
}

static void health_cb(void *ctx, struct http_request *req)
{
	bool known = known_servers(ctx).n > 0;
	struct front_health client = {known, known ? "ok" : "no known servers"};
	struct front_health server = {false, "server not enabled"};
	const char *type = http_query(req, "type");
	bool all = type == NULL || type[0] == '\0';
	bool ask_client = all || strcmp(type, "client") == 0;
	bool ask_server = !all && strcmp(type, "server") == 0;
	struct front_health_answer a = {ask_client ? &client : NULL, ask_server ? &server : NULL};
	struct buf b = {0};

	json_encode(&front_health_answer_type, &a, &b);
	answer_body(req, ask_server || (ask_client && !client.ok) ? 500 : 200, &b);
}

static void servers_cb(void *ctx, struct http_request *req)
{
	struct strs servers = known_servers(ctx);
	struct buf b = {0};

	buf_byte(&b, '[');
	for (uint32_t i = 0; i < servers.n; i++) {
		buf_str(&b, i > 0 ? "," : "");
		json_put_str(&b, servers.at[i], strlen(servers.at[i]));
	}
	buf_byte(&b, ']');
	answer_body(req, 200, &b);
}

/* More servers to turn to; those that are known stay. */
static void add_servers_cb(void *ctx, struct http_request *req)
{
	struct agent_front *f = ctx;
	struct client_link *link = agent_node_link(f->client);
	struct http_response res = {.status = 200};
	unsigned at = 0;
	const char *address;
	bool any = false;

	while ((address = http_query_next(req, "address", &at)) != NULL) {
		const struct strs one = {.at = &address, .n = 1};

		link->ops->servers(link, &one);
		any = true;
	}
	if (any) {
		http_answer(req, &res);
	} else {
		http_answer_text(req, 400, "missing server address");
	}
}

/* What only a server can do to itself. */
static void server_only_cb(void *ctx, struct http_request *req)
{
	(void)ctx;
	http_answer_text(req, 501, "Invalid method");
}

/* ---- /v1/metrics ---- */

#define FRONT_METRICS(X)                                                                                               \
	X("client.allocations.known", facts.allocs)                                                                    \
	X("client.allocations.running", facts.allocs_running)                                                          \
	X("client.connected", facts.connected)                                                                         \
	X("client.known_servers", known_servers(f).n)                                                                  \
	X("http.requests", http.requests)                                                                              \
	X("http.connections", http.conns)                                                                              \
	X("http.bytes_out", http.bytes_out)                                                                            \
	X("http.longest_turn_ns", http.turns.clock.longest_ns)

struct front_metric {
	const char *name;
	double value;
};

/* "client.connected" is nomad_client_connected. */
static void put_name(struct buf *out, const char *before, const struct front_metric *m)
{
	buf_printf(out, "%snomad_", before);
	for (const char *c = m->name; *c != '\0'; c++) {
		buf_byte(out, *c == '.' ? '_' : *c);
	}
}

static void put_prometheus(struct buf *out, const struct front_metric *m)
{
	put_name(out, "# HELP ", m);
	buf_printf(out, " %s\n", m->name);
	put_name(out, "# TYPE ", m);
	buf_str(out, " gauge\n");
	put_name(out, "", m);
	buf_printf(out, " %.15g\n", m->value);
}

static void metrics_cb(void *ctx, struct http_request *req)
{
	struct agent_front *f = ctx;
	struct client_facts facts = client_facts(agent_node_of(f->client));
	const char *format = http_query(req, "format");
	bool prometheus = format != NULL && strcmp(format, "prometheus") == 0;
	struct http_response res = {.type = prometheus ? "text/plain; version=0.0.4; charset=utf-8"
						       : "application/json"};
	struct httpd_stats http;
	char when[TIME_TEXT];

	httpd_get_stats(f->answers, &http);
	const struct front_metric metrics[] = {
#define X(name, value) {name, (double)(value)},
		FRONT_METRICS(X)
#undef X
	};
	time_format(wall_ns(), when);
	if (!prometheus) {
		buf_printf(&res.body, "{\"Timestamp\":\"%.10s %.8s +0000 UTC\",\"Gauges\":[", when, when + 11);
	}
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		if (prometheus) {
			put_prometheus(&res.body, &metrics[i]);
		} else {
			buf_printf(&res.body, "%s{\"Name\":\"nomad.%s\",\"Value\":%.15g,\"Labels\":{}}", i > 0 ? "," : "",
				   metrics[i].name, metrics[i].value);
		}
	}
	if (!prometheus) {
		buf_str(&res.body, "],\"Points\":[],\"Counters\":[],\"Samples\":[]}");
	}
	http_answer(req, &res);
}

/* ---- /v1/client: this node, or another one ---- */

static void pass_on(const struct agent_front *f, struct http_request *req)
{
	agent_relay_http(agent_node_relay(f->client), req);
}

static void pass_on_cb(void *ctx, struct http_request *req)
{
	pass_on(ctx, req);
}

/* An allocation's ID is the path's parameter: "" is for the client to complain about. */
static void alloc_cb(void *ctx, struct http_request *req)
{
	struct agent_front *f = ctx;
	struct client *client = agent_node_of(f->client);

	if (req->params[0][0] == '\0' || client_has_alloc(client, req->params[0])) {
		client_http(client, req);
	} else {
		pass_on(f, req);
	}
}

static void node_cb(void *ctx, struct http_request *req)
{
	struct agent_front *f = ctx;
	const char *node = http_query(req, "node_id");

	if (node == NULL || node[0] == '\0' || strcmp(node, agent_node_id(f->client)) == 0) {
		client_http(agent_node_of(f->client), req);
	} else {
		pass_on(f, req);
	}
}

/* A server may be meant: it knows where that is. */
static void agent_cb(void *ctx, struct http_request *req)
{
	const char *server = http_query(req, "server_id");

	if (server != NULL && server[0] != '\0') {
		pass_on(ctx, req);
	} else {
		node_cb(ctx, req);
	}
}

/* ---- routes ---- */

/* Answered here, and not by the client or a server, which ask for a token themselves. */
enum { OWN = 1 };

#define ALLOC(pattern) {pattern, HTTP_BITS_ALL, HTTP_LOCAL, NULL, 0, alloc_cb}

static const struct http_route routes[] = {
	{"/v1/agent/self", HTTP_BIT_GET, HTTP_LOCAL, "agent:read", OWN, self_cb},
	{"/v1/agent/health", HTTP_BIT_GET, HTTP_LOCAL, NULL, 0, health_cb},
	{"/v1/agent/servers", HTTP_BIT_GET, HTTP_LOCAL, "agent:read", OWN, servers_cb},
	{"/v1/agent/servers", HTTP_BITS_WRITE, HTTP_LOCAL, "agent:write", OWN, add_servers_cb},
	{"/v1/agent/join", HTTP_BITS_WRITE, HTTP_LOCAL, "agent:write", OWN, server_only_cb},
	{"/v1/agent/force-leave", HTTP_BITS_WRITE, HTTP_LOCAL, "agent:write", OWN, server_only_cb},
	{"/v1/metrics", HTTP_BIT_GET, HTTP_LOCAL, NULL, OWN, metrics_cb},
	{"/v1/agent/monitor", HTTP_BIT_GET, HTTP_LOCAL, "agent:read", 0, agent_cb},
	{"/v1/agent/host", HTTP_BIT_GET, HTTP_LOCAL, "agent:read", 0, agent_cb},
	{"/v1/agent/pprof/:profile", HTTP_BIT_GET, HTTP_LOCAL, "agent:write", 0, agent_cb},
	ALLOC("/v1/client/allocation/:id..."),
	ALLOC("/v1/client/allocation/:id/signal"),
	ALLOC("/v1/client/allocation/:id/restart"),
	ALLOC("/v1/client/allocation/:id/stats"),
	ALLOC("/v1/client/allocation/:id/checks"),
	ALLOC("/v1/client/allocation/:id/exec"),
	ALLOC("/v1/client/allocation/:id/gc"),
	ALLOC("/v1/client/allocation/:id/snapshot"),
	ALLOC("/v1/client/fs/ls/:id?"),
	ALLOC("/v1/client/fs/stat/:id?"),
	ALLOC("/v1/client/fs/cat/:id?"),
	ALLOC("/v1/client/fs/readat/:id?"),
	ALLOC("/v1/client/fs/stream/:id?"),
	ALLOC("/v1/client/fs/logs/:id?"),
	{"/v1/client/stats", HTTP_BITS_ALL, HTTP_LOCAL, "node:read", 0, node_cb},
	{"/v1/client/gc", HTTP_BITS_ALL, HTTP_LOCAL, "node:write", 0, node_cb},
	{"/v1/client/metadata", HTTP_BITS_ALL, HTTP_LOCAL, "node:read", 0, node_cb},
	{"/:path...", HTTP_BITS_ALL, HTTP_ANY_SERVER, NULL, 0, pass_on_cb},
	{"/", HTTP_BITS_ALL, HTTP_ANY_SERVER, NULL, 0, pass_on_cb},
};

/* On the client's thread: the copy of a request. */
static void handle_copy(void *ctx, struct http_request *copy)
{
	struct agent_front *f = ctx;

	if (agent_node_of(f->client) == NULL) {
		http_answer_text(copy, 500, "the agent is stopping");
	} else if (http_route_find(f->router, copy) == 0) {
		if ((copy->route->flags & OWN) != 0) {
			client_guard(agent_node_of(f->client), copy, copy->route->handle_cb, f);
		} else {
			copy->route->handle_cb(f, copy);
		}
	}
}

/* ---- the way to the client's thread ---- */

static bool there(void *ctx, struct mail *mail)
{
	return agent_node_post(((struct agent_front *)ctx)->client, mail);
}

static void follow(void *ctx, struct mail *mail)
{
	agent_node_post_answer(((struct agent_front *)ctx)->client, mail);
}

static void back(void *ctx, struct mail *mail)
{
	httpd_post(((struct agent_front *)ctx)->answers, mail);
}

/* On the HTTP thread. */
static void handle_cb(void *ctx, struct http_request *req)
{
	handover_http(&((struct agent_front *)ctx)->route, req);
}

static void start_cb(void *ctx, struct httpd *h, uv_loop_t *loop)
{
	(void)loop;
	((struct agent_front *)ctx)->answers = h;
}

/* ---- begin and end ---- */

static void front_free(struct agent_front *f)
{
	if (f->router != NULL) {
		http_router_free(f->router);
	}
	arena_close(&f->mem);
	free(f);
}

static int set_texts(struct agent_front *f, const struct agent_config *config, char why[AGENT_WHY])
{
	struct buf json = {0};
	int rv = config_json(config, &json);

	f->config_json = rv == 0 ? arena_strndup(&f->mem, json.at, json.len) : NULL;
	buf_close(&json);
	if (f->config_json == NULL) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	f->address = agent_numeric_host("addresses.http", config->addresses->http, &f->mem, why);
	return f->address != NULL ? 0 : ERR_INVALID;
}

static int listen_http(struct agent_front *f, const struct agent_config *config, struct tls *tls, char why[AGENT_WHY])
{
	const struct httpd_config http = {.address = f->address,
					  .port = (uint16_t)config->ports->http,
					  .tls = tls,
					  .handshake_ms = config_ms(config->limits->https_handshake_timeout),
					  .conns_per_client_max = (unsigned)config->limits->http_max_conns_per_client,
					  .requests_per_s = config->limits->http_request_rate_per_client,
					  .requests_burst = (unsigned)config->limits->http_request_burst_per_client,
					  .tokens = config->acl->enabled,
					  .start_cb = start_cb,
					  .handle_cb = handle_cb,
					  .ctx = f};

	return httpd_start(&http, &f->httpd, why, AGENT_WHY);
}

int agent_front_start(const struct agent_config *config, struct tls *tls, struct agent_node *client,
		      struct agent_front **out, char why[AGENT_WHY])
{
	struct agent_front *f = calloc(1, sizeof(*f));
	int rv;

	if (f == NULL) {
		snprintf(why, AGENT_WHY, "%s", error_text(ERR_NOMEM));
		return ERR_NOMEM;
	}
	f->client = client;
	f->route = (struct handover_route){
		.there = there, .follow = follow, .back = back, .handle_cb = handle_copy, .ctx = f};
	f->router = http_router_new(routes, sizeof(routes) / sizeof(routes[0]));
	rv = f->router != NULL ? set_texts(f, config, why) : ERR_NOMEM;
	if (rv == 0) {
		rv = listen_http(f, config, tls, why);
	}
	if (rv != 0) {
		front_free(f);
		return rv;
	}
	*out = f;
	return 0;
}

void agent_front_stop(struct agent_front *f, uint32_t grace_ms)
{
	httpd_stop(f->httpd, grace_ms);
}

void agent_front_close(struct agent_front *f)
{
	do {
		httpd_run_mail(f->httpd);
	} while (agent_node_run_mail(f->client) > 0);
	httpd_close(f->httpd);
	front_free(f);
}
