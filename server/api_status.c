/* The cluster and this agent: who leads, who is there, and how it goes. */
#include <math.h>
#include <stdlib.h>

#include "lib/timefmt.h"
#include "proto/error.h"
#include "server/api_handlers.h"

#define MEMBERS_ANSWER_FIELDS(X, T)                                                                                    \
	X(T, STR, name, "ServerName")                                                                                  \
	X(T, STR, region, "ServerRegion")                                                                              \
	X(T, STR, datacenter, "ServerDC")                                                                              \
	X(T, LIST(core_member), members, "Members", .brackets = true)

#define HEALTH_FIELDS(X, T)                                                                                            \
	X(T, BOOL, ok, "ok")                                                                                           \
	X(T, STR, message, "message")

#define HEALTH_ANSWER_FIELDS(X, T)                                                                                     \
	X(T, OBJ(health), client, "client", .omit = true)                                                              \
	X(T, OBJ(health), server, "server", .omit = true)

OBJECT_DECLARE(members_answer, MEMBERS_ANSWER_FIELDS);
OBJECT_DECLARE(health, HEALTH_FIELDS);
OBJECT_DECLARE(health_answer, HEALTH_ANSWER_FIELDS);
OBJECT_DEFINE(members_answer, MEMBERS_ANSWER_FIELDS);
OBJECT_DEFINE(health, HEALTH_FIELDS);
OBJECT_DEFINE(health_answer, HEALTH_ANSWER_FIELDS);

/* JSON that has no index. */
static void answer_body(struct http_request *req, int status, struct buf *body)
{
	struct http_response res = {.status = status, .type = "application/json", .body = *body};

	*body = (struct buf){0};
	http_answer(req, &res);
}

static void put_text(struct buf *out, const char *text)
{
	json_put_str(out, text, strlen(text));
}

static void put_texts(struct buf *out, const struct strs *texts)
{
	buf_byte(out, '[');
	for (uint32_t i = 0; i < texts->n; i++) {
		if (i > 0) {
			buf_byte(out, ',');
		}
		put_text(out, texts->at[i]);
	}
	buf_byte(out, ']');
}

/* ---- status ---- */

void serve_status_leader(struct api *api, struct http_request *req)
{
	struct buf b = {0};

	put_text(&b, api_info(api)->leader_rpc);
	answer_body(req, 200, &b);
}

void serve_status_peers(struct api *api, struct http_request *req)
{
	const struct core_info *info = api_info(api);
	struct buf b = {0};

	buf_byte(&b, '[');
	for (uint32_t i = 0; i < info->peers.n; i++) {
		if (i > 0) {
			buf_byte(&b, ',');
		}
		put_text(&b, info->peers.at[i].address);
	}
	buf_byte(&b, ']');
	answer_body(req, 200, &b);
}

void serve_regions(struct api *api, struct http_request *req)
{
	struct buf b = {0};

	put_texts(&b, &api_info(api)->regions);
	answer_body(req, 200, &b);
}

/* ---- this agent ---- */

void serve_agent_members(struct api *api, struct http_request *req)
{
	const struct core_info *info = api_info(api);
	struct members_answer a = {.name = info->name, .region = info->region, .datacenter = info->datacenter};
	struct buf b = {0};

	a.members.at = info->members.at;
	a.members.n = info->members.n;
	json_encode(&members_answer_type, &a, &b);
	answer_body(req, 200, &b);
}

/* As well as can be told from here: a server that knows a leader is fine, a client that is in this agent too. */
void serve_agent_health(struct api *api, struct http_request *req)
{
	const struct core_info *info = api_info(api);
	const char *type = http_query(req, "type");
	struct health server = {info->leader_known, info->leader_known ? "ok" : error_text(ERR_NOLEADER)};
	struct health client = {info->node_id[0] != '\0', info->node_id[0] != '\0' ? "ok" : "client not enabled"};
	bool all = type == NULL || type[0] == '\0';
	bool ask_client = all ? client.ok : strcmp(type, "client") == 0;
	bool ask_server = all || strcmp(type, "server") == 0;
	struct health_answer a = {ask_client ? &client : NULL, ask_server ? &server : NULL};
	bool ok = (!ask_client || client.ok) && (!ask_server || server.ok);
	struct buf b = {0};

	json_encode(&health_answer_type, &a, &b);
	answer_body(req, ok ? 200 : 500, &b);
}

/* ---- what takes a question to the core loop ---- */

struct asking {
	struct core_stats stats;
	struct api *api;
	struct http_request *req;
	struct arena mem;
	void (*answer)(struct asking *a, struct buf *out);
};

static void ask_done(struct core_call *call)
{
	struct asking *a = CONTAINER_OF(call, struct asking, stats.call);
	struct api *api = a->api;
	struct buf b = {0};

	if (call->status != 0) {
		write_failed(api, a->req, call->status, false);
	} else {
		a->answer(a, &b);
	}
	arena_close(&a->mem);
	free(a);
	api_rearm(api);
}

static void ask(struct api *api, struct http_request *req, void (*answer)(struct asking *a, struct buf *out))
{
	struct asking *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	a->api = api;
	a->req = req;
	a->answer = answer;
	a->stats.mem = &a->mem;
	a->stats.call.done_cb = ask_done;
	api->link->ops->stats(api->link, &a->stats);
}

/* {"raft":{"term":"3",...},...} */
static void put_stats(const struct core_stats *s, struct buf *out)
{
	buf_byte(out, '{');
	for (uint32_t i = 0; i < s->n_stats; i++) {
		bool first = i == 0 || strcmp(s->stats[i].group, s->stats[i - 1].group) != 0;

		if (first) {
			buf_str(out, i == 0 ? "" : "},");
			put_text(out, s->stats[i].group);
			buf_str(out, ":{");
		} else {
			buf_byte(out, ',');
		}
		put_text(out, s->stats[i].name);
		buf_byte(out, ':');
		put_text(out, s->stats[i].value);
	}
	buf_str(out, s->n_stats > 0 ? "}}" : "}");
}

static void answer_self(struct asking *a, struct buf *out)
{
	const struct core_info *info = api_info(a->api);

	buf_printf(out, "{\"config\":%s,\"member\":", info->config_json);
	if (info->self < info->members.n) {
		json_encode(&core_member_type, &info->members.at[info->self], out);
	} else {
		buf_str(out, "null");
	}
	buf_str(out, ",\"stats\":");
	put_stats(&a->stats, out);
	buf_byte(out, '}');
	answer_body(a->req, 200, out);
}

void serve_agent_self(struct api *api, struct http_request *req)
{
	ask(api, req, answer_self);
}

/* ---- metrics ---- */

#define API_METRICS(X)                                                                                                 \
	X("http.requests", METRIC_COUNTER, (double)s.requests)                                                         \
	X("http.blocked", METRIC_COUNTER, (double)s.blocked)                                                           \
	X("http.released", METRIC_COUNTER, (double)s.released)                                                         \
	X("http.rendered", METRIC_COUNTER, (double)s.rendered)                                                         \
	X("http.streamed", METRIC_COUNTER, (double)s.streamed)                                                         \
	X("http.forwarded", METRIC_COUNTER, (double)s.forwarded)                                                       \
	X("http.read_indexes", METRIC_COUNTER, (double)s.read_indexes)                                                 \
	X("http.parked", METRIC_GAUGE, (double)s.parked)                                                               \
	X("http.rendering", METRIC_GAUGE, (double)s.rendering)                                                         \
	X("http.cache.hits", METRIC_COUNTER, (double)c.hits)                                                           \
	X("http.cache.misses", METRIC_COUNTER, (double)c.misses)                                                       \
	X("http.cache.bytes", METRIC_GAUGE, (double)c.bytes)                                                           \
	X("state.jobs", METRIC_GAUGE, (double)view_count(v, INDEX_JOBS_CURRENT))                                       \
	X("state.evaluations", METRIC_GAUGE, (double)view_count(v, TABLE_EVALS))                                       \
	X("state.allocations", METRIC_GAUGE, (double)view_count(v, TABLE_ALLOCS))                                      \
	X("state.nodes", METRIC_GAUGE, (double)view_count(v, TABLE_NODES))                                             \
	X("state.deployments", METRIC_GAUGE, (double)view_count(v, TABLE_DEPLOYMENTS))                                 \
	X("state.latestIndex", METRIC_GAUGE, (double)state_index(v))

/* The core's, and then the API's own. */
static struct metric *all_metrics(struct asking *a, uint32_t *n)
{
	const struct view *v = a->api->link->ops->view(a->api->link);
	struct cache_stats c;
	struct api_stats s;
	struct metric *m;

	api_get_stats(a->api, &s);
	cache_get_stats(a->api->cache, &c);
	{
		const struct metric own[] = {
#define X(name_, kind_, value_) {.name = name_, .kind = kind_, .value = value_},
			API_METRICS(X)
#undef X
		};
		uint32_t n_own = sizeof(own) / sizeof(own[0]);

		m = arena_alloc(&a->mem, (a->stats.n_metrics + n_own) * sizeof(*m));
		if (m != NULL) {
			memcpy(m, own, sizeof(own));
			if (a->stats.n_metrics > 0) {
				memcpy(m + n_own, a->stats.metrics, a->stats.n_metrics * sizeof(*m));
			}
			*n = a->stats.n_metrics + n_own;
		}
	}
	view_release(v);
	return m;
}

static void put_number(struct buf *out, double value)
{
	buf_printf(out, "%.15g", value);
}

static void put_gauge(struct buf *out, const struct metric *m)
{
	buf_printf(out, "{\"Name\":\"nomad.%s\",\"Value\":", m->name);
	put_number(out, m->value);
	buf_str(out, ",\"Labels\":{}}");
}

/* Counters count since the start of the server: one observation of that sum. */
static void put_counter(struct buf *out, const struct metric *m)
{
	static const char *const names[] = {"Rate", "Sum", "Min", "Max", "Mean"};

	buf_printf(out, "{\"Name\":\"nomad.%s\",\"Count\":1", m->name);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_printf(out, ",\"%s\":", names[i]);
		put_number(out, m->value);
	}
	buf_str(out, ",\"Stddev\":0,\"Labels\":{}}");
}

static void put_kind(struct buf *out, const struct metric *m, uint32_t n, enum metric_kind kind)
{
	bool first = true;

	for (uint32_t i = 0; i < n; i++) {
		if (m[i].kind != kind) {
			continue;
		}
		if (!first) {
			buf_byte(out, ',');
		}
		first = false;
		if (kind == METRIC_GAUGE) {
			put_gauge(out, &m[i]);
		} else {
			put_counter(out, &m[i]);
		}
	}
}

static void put_timestamp(struct buf *out, int64_t now_ns)
{
	int64_t s = now_ns / NS_PER_S;
	struct date d = date_from_days(s / 86400);

	buf_printf(out, "\"%04lld-%02d-%02d %02d:%02d:%02d +0000 UTC\"", (long long)d.year, d.month, d.day,
		   (int)(s % 86400 / 3600), (int)(s % 3600 / 60), (int)(s % 60));
}

#define HANDLED "http.handle_ms"

static void put_sample(struct buf *out, const struct api *api)
{
	const struct api_sample *h = &api->handled;
	double mean = h->count > 0 ? h->sum / (double)h->count : 0;
	double variance = h->count > 1 ? (h->squares - h->sum * mean) / (double)(h->count - 1) : 0;
	double seconds = (double)(api_now(api) - api->started_ns) / NS_PER_S;
	const struct {
		const char *name;
		double value;
	} members[] = {{"Rate", seconds > 0 ? h->sum / seconds : 0},
		       {"Sum", h->sum},
		       {"Min", h->min},
		       {"Max", h->max},
		       {"Mean", mean},
		       {"Stddev", variance > 0 ? sqrt(variance) : 0}};

	buf_printf(out, "{\"Name\":\"nomad." HANDLED "\",\"Count\":%llu", (unsigned long long)h->count);
	for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		buf_printf(out, ",\"%s\":", members[i].name);
		put_number(out, members[i].value);
	}
	buf_str(out, ",\"Labels\":{}}");
}

static void put_json_metrics(struct buf *out, const struct metric *m, uint32_t n, const struct api *api)
{
	buf_str(out, "{\"Timestamp\":");
	put_timestamp(out, api_wall(api));
	buf_str(out, ",\"Gauges\":[");
	put_kind(out, m, n, METRIC_GAUGE);
	buf_str(out, "],\"Points\":[],\"Counters\":[");
	put_kind(out, m, n, METRIC_COUNTER);
	buf_str(out, "],\"Samples\":[");
	put_sample(out, api);
	buf_str(out, "]}");
}

/* "broker.total_ready" is nomad_broker_total_ready. */
static void put_prometheus(struct buf *out, const struct metric *m, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char name[128];
		size_t len = strlen(m[i].name) < sizeof(name) ? strlen(m[i].name) : sizeof(name) - 1;

		for (size_t k = 0; k < len; k++) {
			char c = m[i].name[k];

			name[k] = c == '.' || c == '-' || c == '/' ? '_' : c;
		}
		name[len] = '\0';
		buf_printf(out, "# HELP nomad_%s %s\n# TYPE nomad_%s %s\nnomad_%s ", name, m[i].name, name,
			   m[i].kind == METRIC_GAUGE ? "gauge" : "counter", name);
		put_number(out, m[i].value);
		buf_byte(out, '\n');
	}
}

static void put_summary(struct buf *out, const struct api *api)
{
	buf_str(out, "# HELP nomad_http_handle_ms " HANDLED "\n# TYPE nomad_http_handle_ms summary\n"
		     "nomad_http_handle_ms_sum ");
	put_number(out, api->handled.sum);
	buf_printf(out, "\nnomad_http_handle_ms_count %llu\n", (unsigned long long)api->handled.count);
}

static void answer_metrics(struct asking *a, struct buf *out)
{
	const char *format = http_query(a->req, "format");
	bool prometheus = format != NULL && strcmp(format, "prometheus") == 0;
	struct http_response res = {.type = prometheus ? "text/plain; version=0.0.4; charset=utf-8"
						       : "application/json"};
	uint32_t n = 0;
	struct metric *m = all_metrics(a, &n);

	if (m == NULL) {
		http_answer_error(a->req, ERR_NOMEM);
		return;
	}
	if (prometheus) {
		put_prometheus(out, m, n);
		put_summary(out, a->api);
	} else {
		put_json_metrics(out, m, n, a->api);
	}
	res.body = *out;
	http_answer(a->req, &res);
}

void serve_metrics(struct api *api, struct http_request *req)
{
	ask(api, req, answer_metrics);
}

/* ---- autopilot ---- */

#define AUTOPILOT_SERVER_FIELDS(X, T)                                                                                  \
	X(T, STR, id, "ID")                                                                                            \
	X(T, STR, name, "Name")                                                                                        \
	X(T, STR, address, "Address")                                                                                  \
	X(T, STR, serf_status, "SerfStatus")                                                                           \
	X(T, STR, version, "Version")                                                                                  \
	X(T, BOOL, leader, "Leader")                                                                                   \
	X(T, STR, last_contact, "LastContact")                                                                         \
	X(T, INT, last_term, "LastTerm")                                                                               \
	X(T, INT, last_index, "LastIndex")                                                                             \
	X(T, BOOL, healthy, "Healthy")                                                                                 \
	X(T, BOOL, voter, "Voter")

#define AUTOPILOT_HEALTH_FIELDS(X, T)                                                                                  \
	X(T, BOOL, healthy, "Healthy")                                                                                 \
	X(T, INT, failure_tolerance, "FailureTolerance")                                                               \
	X(T, LIST(autopilot_server), servers, "Servers", .brackets = true)                                             \
	X(T, STR, leader, "Leader")                                                                                    \
	X(T, STRS, voters, "Voters", .brackets = true)

OBJECT_DECLARE(autopilot_server, AUTOPILOT_SERVER_FIELDS);
OBJECT_DECLARE(autopilot_health, AUTOPILOT_HEALTH_FIELDS);
OBJECT_DEFINE(autopilot_server, AUTOPILOT_SERVER_FIELDS);
OBJECT_DEFINE(autopilot_health, AUTOPILOT_HEALTH_FIELDS);

static const struct core_contact *contact_of(const struct core_stats *s, const char *id)
{
	for (uint32_t i = 0; i < s->n_contacts; i++) {
		if (strcmp(s->contacts[i].id, id) == 0) {
			return &s->contacts[i];
		}
	}
	return NULL;
}

static const struct core_member *member_of(const struct core_info *info, const char *name)
{
	for (uint32_t i = 0; i < info->members.n; i++) {
		if (strcmp(info->members.at[i].name, name) == 0) {
			return &info->members.at[i];
		}
	}
	return NULL;
}

static const char *ms_text(struct arena *mem, uint64_t ms)
{
	char text[DURATION_TEXT];
	const char *copy;

	if (ms >= (uint64_t)INT64_MAX / NS_PER_MS) {
		return "never";
	}
	duration_format((int64_t)ms * NS_PER_MS, text);
	copy = arena_strdup(mem, text);
	return copy != NULL ? copy : "";
}

static void put_server(struct asking *a, const struct core_peer *p, struct autopilot_server *s)
{
	const struct core_info *info = api_info(a->api);
	const struct core_contact *c = contact_of(&a->stats, p->id);
	const struct core_member *m = member_of(info, p->node);
	uint64_t threshold_ms = (uint64_t)(info->autopilot.last_contact_threshold / NS_PER_MS);

	object_init(&autopilot_server_type, s);
	s->id = p->id;
	s->name = p->node;
	s->address = p->address;
	s->serf_status = m != NULL ? m->status : "none";
	s->version = a->api->config.version;
	s->leader = p->leader;
	s->voter = p->voter;
	s->last_contact = ms_text(&a->mem, c != NULL ? c->contact_ms : UINT64_MAX);
	s->last_term = c != NULL ? (int64_t)c->term : 0;
	s->last_index = c != NULL ? (int64_t)c->index : 0;
	s->healthy = c != NULL && (p->leader || c->contact_ms <= (threshold_ms > 0 ? threshold_ms : 200));
}

static void answer_autopilot(struct asking *a, struct buf *out)
{
	const struct core_info *info = api_info(a->api);
	struct autopilot_health h = {.healthy = true, .leader = ""};
	int64_t healthy = 0;

	h.servers.at = arena_alloc(&a->mem, info->peers.n * sizeof(h.servers.at[0]));
	h.voters.at = arena_alloc(&a->mem, info->peers.n * sizeof(char *));
	if (h.servers.at == NULL || h.voters.at == NULL) {
		http_answer_error(a->req, ERR_NOMEM);
		return;
	}
	for (; h.servers.n < info->peers.n; h.servers.n++) {
		struct autopilot_server *s = &h.servers.at[h.servers.n];

		put_server(a, &info->peers.at[h.servers.n], s);
		h.healthy = h.healthy && s->healthy;
		healthy += s->voter && s->healthy;
		if (s->voter) {
			h.voters.at[h.voters.n++] = s->id;
		}
		if (s->leader) {
			h.leader = s->id;
		}
	}
	h.failure_tolerance = healthy - ((int64_t)h.voters.n / 2 + 1);
	h.failure_tolerance = h.failure_tolerance > 0 ? h.failure_tolerance : 0;
	json_encode(&autopilot_health_type, &h, out);
	answer_body(a->req, h.healthy ? 200 : 429, out);
}

void serve_autopilot_health(struct api *api, struct http_request *req)
{
	ask(api, req, answer_autopilot);
}
