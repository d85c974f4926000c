/* The agent itself: its log, its machine, its schedulers; and what another agent tells of these. */
#include <stdlib.h>

#include "proto/agent_facts.h"
#include "proto/error.h"
#include "proto/logstream.h"
#include "server/api_handlers.h"

enum { MONITORS_MAX = 64, STEPS_PER_LOOK = 10 /* At who listens. */ };

/* ---- whose ---- */

/* A server of this region, by its UUID, its name ("s1.global") or the name's first part. NULL: there is none. */
static const struct core_member *member_named(const struct core_info *info, const char *name)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < info->members.n; i++) {
		const struct core_member *m = &info->members.at[i];
		bool yes = strcmp(m->name, name) == 0 || (strncmp(m->name, name, len) == 0 && m->name[len] == '.');

		for (uint32_t k = 0; k < m->tags.n && !yes; k++) {
			yes = strcmp(m->tags.at[k].key, "id") == 0 && strcmp(m->tags.at[k].value, name) == 0;
		}
		if (yes) {
			return m;
		}
	}
	return NULL;
}

static const char *tag_of(const struct core_member *m, const char *key)
{
	for (uint32_t i = 0; i < m->tags.n; i++) {
		if (strcmp(m->tags.at[i].key, key) == 0) {
			return m->tags.at[i].value;
		}
	}
	return "";
}

/* True: the request is for this agent. Otherwise it has been answered, or passed on. */
static bool is_for_server(struct api *api, struct http_request *req, const char *name)
{
	const struct core_info *info = api_info(api);
	const struct core_member *m;

	if (strcmp(name, "leader") == 0) {
		if (!info->leads) {
			api_to_leader(api, req);
		}
		return info->leads;
	}
	m = member_named(info, name);
	if (m == NULL) {
		http_answer_text(req, 400, "unknown nomad server %s", name);
		return false;
	}
	if (strcmp(tag_of(m, "id"), info->id) == 0 || m == &info->members.at[info->self]) {
		return true;
	}
	api_forward(api, req, CORE_TO_SERVER, tag_of(m, "id"));
	return false;
}

static bool is_for_us(struct api *api, struct http_request *req)
{
	const char *server = http_query(req, "server_id");
	const char *node = http_query(req, "node_id");
	bool has_server = server != NULL && server[0] != '\0';
	const char *why;
	struct uuid id;

	if (node == NULL || node[0] == '\0') {
		return has_server ? is_for_server(api, req, server) : true;
	}
	if (has_server) {
		http_answer_text(req, 400, "Cannot target node and server simultaneously");
	} else if (api_uuid(node, &id, &why) != 0) {
		http_answer_text(req, 400, "%s: %s", why, node);
	} else {
		api_forward(api, req, CORE_TO_NODE, uuid_text(&req->mem, &id));
	}
	return false;
}

/* ---- /v1/agent/monitor ---- */

struct monitor {
	struct list link; /* In api->monitors. */
	struct log_stream stream;
	struct deadline next;
	struct api *api;
	unsigned steps;
};

static void end_monitor(struct monitor *m, bool whole)
{
	list_remove(&m->link);
	m->api->n_monitors--;
	deadline_clear(m->api, &m->next);
	log_stream_end(&m->stream, whole); /* It was in the request's memory. */
}

static void step_monitor(struct deadline *d)
{
	struct monitor *m = CONTAINER_OF(d, struct monitor, next);
	struct api *api = m->api;

	if (++m->steps % STEPS_PER_LOOK == 0 && !api_still_allows(api, m->stream.req)) {
		end_monitor(m, false);
		return;
	}
	if (log_stream_step(&m->stream) != 0 ||
	    deadline_set(api, d, api_now(api) + LOG_STREAM_STEP_MS * NS_PER_MS) != 0) {
		end_monitor(m, false);
	}
}

static void monitor_gone(struct http_request *req)
{
	end_monitor(req->data, false);
}

static void monitor_drained(struct http_request *req)
{
	((struct monitor *)req->data)->stream.waiting = false;
}

void monitors_stop(struct api *api)
{
	LIST_EACH (e, &api->monitors) {
		end_monitor(CONTAINER_OF(e, struct monitor, link), true);
	}
}

void serve_agent_monitor(struct api *api, struct http_request *req)
{
	struct monitor *m;

	if (!is_for_us(api, req)) {
		return;
	}
	if (api->n_monitors == MONITORS_MAX) {
		http_answer_text(req, 429, "too many monitors: this agent has %d", MONITORS_MAX);
		return;
	}
	m = arena_calloc(&req->mem, 1, sizeof(*m));
	if (m == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	m->api = api;
	m->next.due_cb = step_monitor;
	req->data = m;
	req->gone_cb = monitor_gone;
	req->drain_cb = monitor_drained;
	if (log_stream_begin(&m->stream, req) == 0) {
		list_insert(&api->monitors, &m->link);
		api->n_monitors++;
		step_monitor(&m->next);
	}
}

void serve_agent_monitor_export(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 501, "the log that is past is not exported: it is in log_file or in the journal; "
				   "/v1/agent/monitor follows it");
}

/* ---- the machine and the process ---- */

void serve_agent_host(struct api *api, struct http_request *req)
{
	if (is_for_us(api, req)) {
		agent_facts_host(api->config.facts, api_info(api)->id, req);
	}
}

void serve_agent_pprof(struct api *api, struct http_request *req)
{
	if (is_for_us(api, req)) {
		agent_facts_pprof(api->config.facts, req->params[0], req);
	}
}

/* ---- schedulers ---- */

#define SCHEDULER_TYPES "[\"service\",\"batch\",\"system\",\"sysbatch\",\"_core\"]"

static void answer_json(struct http_request *req, struct buf *body)
{
	struct http_response res = {.type = "application/json", .body = *body};

	*body = (struct buf){0};
	http_answer(req, &res);
}

/* They are all of a kind: each takes evaluations of every type. */
void serve_agent_schedulers(struct api *api, struct http_request *req)
{
	const char *id = api_info(api)->id;
	struct buf b = {0};

	buf_printf(&b, "{\"server_id\":\"%s\",\"schedulers\":[", id);
	for (unsigned i = 0; i < api->config.schedulers; i++) {
		buf_printf(&b,
			   "%s{\"id\":\"%s-%u\",\"enabled_schedulers\":" SCHEDULER_TYPES
			   ",\"started\":\"\",\"status\":\"%s\",\"workload_status\":\"\"}",
			   i > 0 ? "," : "", id, i, api_info(api)->leads ? "Started" : "Paused");
	}
	buf_str(&b, "]}");
	answer_json(req, &b);
}

#define SCHEDULERS_CONFIG_FIELDS(X, T)                                                                                 \
	X(T, INT, n, "num_schedulers")                                                                                 \
	X(T, STRS, enabled, "enabled_schedulers")
OBJECT_DECLARE(schedulers_config, SCHEDULERS_CONFIG_FIELDS);
OBJECT_DEFINE(schedulers_config, SCHEDULERS_CONFIG_FIELDS);

void serve_agent_schedulers_config(struct api *api, struct http_request *req)
{
	struct buf b = {0};

	buf_printf(&b, "{\"server_id\":\"%s\",\"num_schedulers\":%u,\"enabled_schedulers\":" SCHEDULER_TYPES "}",
		   api_info(api)->id, api->config.schedulers);
	answer_json(req, &b);
}

/* The threads are started with the server, and stay. */
void serve_agent_schedulers_put(struct api *api, struct http_request *req)
{
	struct schedulers_config body;

	if (body_decode(req, &schedulers_config_type, &body, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (body.n < 0) {
		http_answer_text(req, 400, "Invalid request");
	} else if ((uint64_t)body.n == api->config.schedulers) {
		serve_agent_schedulers_config(api, req);
	} else {
		http_answer_text(req, 501, "num_schedulers is not changed while the server runs (it has %u): set "
					   "server.num_schedulers in its configuration", api->config.schedulers);
	}
}

/* ---- gossip keys, servers, reloading ---- */

void serve_agent_keyring(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 500, "keyring is not available: gossip encryption is not enabled");
}

void serve_agent_servers(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 501, "Invalid method");
}

void serve_agent_reload(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 501, "the agent's configuration is read at its start; SIGHUP opens log_file anew");
}
