/* For operators: the schedulers' configuration, Raft's, and what collects and repairs. */
#include <inttypes.h>

#include "lib/timefmt.h"
#include "proto/error.h"
#include "server/api_handlers.h"

#define SCHEDULER_ANSWER_FIELDS(X, T)                                                                                  \
	X(T, OBJ(scheduler_config), config, "SchedulerConfig")                                                         \
	X(T, INT, index, "Index")                                                                                      \
	X(T, INT, last_contact, "LastContact")                                                                         \
	X(T, BOOL, known_leader, "KnownLeader")                                                                        \
	X(T, STR, next_token, "NextToken")

#define UPDATED_FIELDS(X, T)                                                                                           \
	X(T, BOOL, updated, "Updated")                                                                                 \
	X(T, INT, index, "Index")

#define RAFT_ANSWER_FIELDS(X, T)                                                                                       \
	X(T, LIST(core_peer), servers, "Servers", .brackets = true)                                                    \
	X(T, INT, index, "Index")

OBJECT_DECLARE(scheduler_answer, SCHEDULER_ANSWER_FIELDS);
OBJECT_DECLARE(updated, UPDATED_FIELDS);
OBJECT_DECLARE(raft_answer, RAFT_ANSWER_FIELDS);
OBJECT_DEFINE(scheduler_answer, SCHEDULER_ANSWER_FIELDS);
OBJECT_DEFINE(updated, UPDATED_FIELDS);
OBJECT_DEFINE(raft_answer, RAFT_ANSWER_FIELDS);

/* ---- the schedulers' configuration ---- */

static int find_config(struct query *q)
{
	query_table(q, TABLE_CONFIGS);
	q->stamp = 0; /* Read rarely, and it tells of the leader. */
	return 0;
}

static int render_config(struct query *q, struct buf *out)
{
	struct scheduler_config config;
	struct scheduler_answer a = {.config = &config, .next_token = ""};
	int rv = state_scheduler_config(q->v, &config, &q->req->mem);

	if (rv == 0) {
		a.index = (int64_t)q->index;
		a.last_contact = (int64_t)q->contact_ms;
		a.known_leader = api_info(q->api)->leader_known;
		json_encode(&scheduler_answer_type, &a, out);
	}
	return rv;
}

const struct query_kind query_scheduler_config = {.find = find_config, .render = render_config};

static void answer_updated(struct write *w, const struct apply_result *r)
{
	const struct scheduler_config_put *p = w->own;
	struct updated a = {r->changed || !p->enforce, (int64_t)r->index};

	if (!write_refused(w, r)) {
		answer_object(w->req, &updated_type, &a, r->index);
	}
}

static bool is_algorithm(const char *name)
{
	return strcmp(name, "binpack") == 0 || strcmp(name, "spread") == 0;
}

void serve_scheduler_config_put(struct api *api, struct http_request *req)
{
	struct scheduler_config_put *p = arena_calloc(&req->mem, 1, sizeof(*p));
	struct scheduler_config *config = arena_calloc(&req->mem, 1, sizeof(*config));
	int64_t cas = -1;
	struct write *w;

	if (p == NULL || config == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	if (body_decode(req, &scheduler_config_type, config, BODY_REQUIRED, NULL) != 0) {
		return;
	}
	if (http_query_int(req, "cas", &cas) != 0 || !is_algorithm(config->algorithm)) {
		http_answer_text(req, 400, "%s", req->error[0] != '\0' ? req->error : "invalid scheduler algorithm");
		return;
	}
	p->config = config;
	p->enforce = cas >= 0;
	p->modify_index = cas;
	w = write_new(api, req);
	if (w != NULL) {
		w->own = p;
		write_propose(w, COMMAND_SCHEDULER_CONFIG, p, answer_updated);
	}
}

/* ---- Raft and its pilot ---- */

void serve_raft_configuration(struct api *api, struct http_request *req)
{
	const struct core_info *info = api_info(api);
	struct raft_answer a = {.index = (int64_t)info->peers_index};

	a.servers.at = info->peers.at;
	a.servers.n = info->peers.n;
	answer_object(req, &raft_answer_type, &a, info->peers_index);
}

/* Ours alone: servers must have the same hash at the same index. ?index asks for one of the last few thousand. */
void serve_state_hash(struct api *api, struct http_request *req)
{
	const struct view *v = api->link->ops->view(api->link);
	uint64_t hash = state_hash(v);
	int64_t index = (int64_t)state_index(v);
	struct buf b = {0};

	view_release(v);
	if (http_query(req, "index") != NULL) {
		if (http_query_int(req, "index", &index) != 0) {
			http_answer_text(req, 400, "%s", req->error);
			return;
		}
		if (api->link->ops->state_hash == NULL || !api->link->ops->state_hash(api->link, (uint64_t)index, &hash)) {
			http_answer_text(req, 404, "this index is not remembered");
			return;
		}
	}
	buf_printf(&b, "{\"Index\":%" PRId64 ",\"Hash\":\"%016" PRIx64 "\"}", index, hash);
	http_answer_json(req, &b, (uint64_t)index);
}

static void put_duration(struct buf *out, const char *name, int64_t ns)
{
	char text[DURATION_TEXT];

	duration_format(ns, text);
	buf_printf(out, "\"%s\":\"%s\",", name, text);
}

static const char *word(bool yes)
{
	return yes ? "true" : "false";
}

void serve_autopilot_configuration(struct api *api, struct http_request *req)
{
	const struct core_autopilot *p = &api_info(api)->autopilot;
	struct buf b = {0};

	buf_printf(&b, "{\"CleanupDeadServers\":%s,", word(p->cleanup_dead_servers));
	put_duration(&b, "LastContactThreshold", p->last_contact_threshold);
	buf_printf(&b, "\"MaxTrailingLogs\":%lld,\"MinQuorum\":%lld,", (long long)p->max_trailing_logs,
		   (long long)p->min_quorum);
	put_duration(&b, "ServerStabilizationTime", p->server_stabilization_time);
	buf_printf(&b,
		   "\"EnableRedundancyZones\":%s,\"DisableUpgradeMigration\":%s,\"EnableCustomUpgrades\":%s,"
		   "\"CreateIndex\":0,\"ModifyIndex\":0}",
		   word(p->enable_redundancy_zones), word(p->disable_upgrade_migration),
		   word(p->enable_custom_upgrades));
	http_answer_json(req, &b, 0);
}

/* ---- what the leader does ---- */

struct acting {
	struct core_action core;
	struct api *api;
	struct http_request *req;
};

static void act_done(struct core_call *call)
{
	struct acting *a = CONTAINER_OF(call, struct acting, core.call);
	struct api *api = a->api;

	if (call->status == 0) {
		http_answer(a->req, &(struct http_response){.status = 200});
	} else {
		write_failed(api, a->req, call->status, false);
	}
	api_rearm(api);
}

static void act(struct api *api, struct http_request *req, enum core_action_kind kind)
{
	struct acting *a = arena_calloc(&req->mem, 1, sizeof(*a));

	if (a == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	a->api = api;
	a->req = req;
	a->core.kind = kind;
	a->core.ns = a->core.id = "";
	a->core.mem = &req->mem;
	a->core.call.done_cb = act_done;
	api->link->ops->action(api->link, &a->core);
}

void serve_system_gc(struct api *api, struct http_request *req)
{
	act(api, req, CORE_GC);
}

void serve_system_reconcile(struct api *api, struct http_request *req)
{
	act(api, req, CORE_RECONCILE_SUMMARIES);
}

/* ---- what is not there ---- */

void serve_license(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer(req, &(struct http_response){.status = 204});
}

/* No keys sign identities of workloads yet. */
void serve_jwks(struct api *api, struct http_request *req)
{
	struct buf b = {0};

	(void)api;
	buf_str(&b, "{\"keys\":[]}");
	http_answer_json(req, &b, 0);
}

void serve_acl_off(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 400, "ACL support disabled");
}

#define ENTERPRISE_LIST(X) X(quota) X(quota_usage) X(sentinel) X(recommendations)
#define X(name)                                                                                                        \
	void serve_##name##_none(struct api *api, struct http_request *req)                                            \
	{                                                                                                              \
		(void)api;                                                                                             \
		http_answer_text(req, 501, "Nomad Enterprise only endpoint");                                          \
	}
ENTERPRISE_LIST(X)
#undef X
