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

bool algorithm_is_valid(struct http_request *req, const char *name)
{
	if (name[0] == '\0' || strcmp(name, "binpack") == 0 || strcmp(name, "spread") == 0) {
		return true;
	}
	http_answer_text(req, 400, "invalid scheduler algorithm: %.200s", name);
	return false;
}

/* ?cas=INDEX; -1 without. 0, or answered. */
static int get_cas(struct http_request *req, int64_t *out)
{
	const char *text = http_query(req, "cas");

	*out = -1;
	if (text == NULL || (http_query_int(req, "cas", out) == 0 && *out >= 0)) {
		return 0;
	}
	http_answer_text(req, 400, "Error parsing cas value: strconv.ParseUint: parsing \"%.200s\": invalid syntax", text);
	return ERR_INVALID;
}

void serve_scheduler_config_put(struct api *api, struct http_request *req)
{
	struct scheduler_config_put *p = arena_calloc(&req->mem, 1, sizeof(*p));
	struct scheduler_config *config = arena_calloc(&req->mem, 1, sizeof(*config));
	struct preemption_config *none = arena_calloc(&req->mem, 1, sizeof(*none));
	struct write *w;
	int64_t cas;

	if (p == NULL || config == NULL || none == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	if (body_decode(req, &scheduler_config_type, config, BODY_REQUIRED, NULL) != 0 ||
	    !algorithm_is_valid(req, config->algorithm) || get_cas(req, &cas) != 0) {
		return;
	}
	if (config->algorithm[0] == '\0') {
		config->algorithm = "binpack";
	}
	if (config->preemption == NULL) { /* Whoever says nothing of it wants none. */
		config->preemption = none;
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
	const struct autopilot_config *p = &api_info(api)->autopilot;
	struct buf b = {0};

	buf_printf(&b, "{\"CleanupDeadServers\":%s,", word(p->cleanup_dead_servers));
	put_duration(&b, "LastContactThreshold", p->last_contact_threshold);
	buf_printf(&b, "\"MaxTrailingLogs\":%lld,\"MinQuorum\":%lld,", (long long)p->max_trailing_logs,
		   (long long)p->min_quorum);
	put_duration(&b, "ServerStabilizationTime", p->server_stabilization_time);
	buf_printf(&b,
		   "\"EnableRedundancyZones\":%s,\"DisableUpgradeMigration\":%s,\"EnableCustomUpgrades\":%s,"
		   "\"CreateIndex\":%lld,\"ModifyIndex\":%lld}",
		   word(p->enable_redundancy_zones), word(p->disable_upgrade_migration),
		   word(p->enable_custom_upgrades), (long long)p->create_index, (long long)p->modify_index);
	http_answer_json(req, &b, (uint64_t)p->modify_index);
}

/* true or false, and no more. */
static void answer_pilot(struct write *w, const struct apply_result *r)
{
	struct buf b = {0};

	if (!write_refused(w, r)) {
		buf_str(&b, word(r->changed));
		http_answer_json(w->req, &b, r->index);
	}
}

void serve_autopilot_configuration_put(struct api *api, struct http_request *req)
{
	struct autopilot_config config;
	struct autopilot_config_put p = {.config = &config};
	struct write *w;
	int64_t cas;

	if (body_decode(req, &autopilot_config_type, &config, BODY_REQUIRED, NULL) != 0 || get_cas(req, &cas) != 0) {
		return;
	}
	if (config.last_contact_threshold < 0 || config.server_stabilization_time < 0 || config.min_quorum < 0) {
		http_answer_text(req, 400, "the times and the quorum must not be negative");
		return;
	}
	p.enforce = cas >= 0;
	p.modify_index = cas;
	w = write_new(api, req);
	if (w != NULL) {
		write_propose(w, COMMAND_AUTOPILOT_CONFIG, &p, answer_pilot);
	}
}

/* ---- what the leader does, and each server for its operator ---- */

struct acting {
	struct core_action core;
	struct api *api;
	struct http_request *req;
	void (*answer)(struct acting *a);      /* It is done. NULL: an empty 200. */
	const char *(*why)(int err);           /* What an error means here, for a 400. NULL: nothing special. */
	const char *missing;                   /* What ERR_NOTFOUND means, with what was asked for, and its status. */
	int missing_status;
};

static void act_done(struct core_call *call)
{
	struct acting *a = CONTAINER_OF(call, struct acting, core.call);
	struct api *api = a->api;

	if (call->status == 0 && a->answer != NULL) {
		a->answer(a);
	} else if (call->status == 0) {
		http_answer(a->req, &(struct http_response){.status = 200});
	} else if (a->missing != NULL && call->status == ERR_NOTFOUND) {
		http_answer_text(a->req, a->missing_status, "%s", a->missing);
	} else if (a->why != NULL && a->why(call->status) != NULL) {
		http_answer_text(a->req, 400, "%s", a->why(call->status));
	} else {
		write_failed(api, a->req, call->status, a->core.kind == CORE_TRANSFER);
	}
	api_rearm(api);
}

/* NULL, and answered, when there is no memory. */
static struct acting *acting_new(struct api *api, struct http_request *req, enum core_action_kind kind)
{
	struct acting *a = arena_calloc(&req->mem, 1, sizeof(*a));

	if (a == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return NULL;
	}
	a->api = api;
	a->req = req;
	a->core.kind = kind;
	a->core.ns = a->core.id = "";
	a->core.mem = &req->mem;
	a->core.call.done_cb = act_done;
	return a;
}

static void act(struct acting *a)
{
	if (a != NULL) {
		a->api->link->ops->action(a->api->link, &a->core);
	}
}

void serve_system_gc(struct api *api, struct http_request *req)
{
	act(acting_new(api, req, CORE_GC));
}

void serve_system_reconcile(struct api *api, struct http_request *req)
{
	act(acting_new(api, req, CORE_RECONCILE_SUMMARIES));
}

/* ---- servers ---- */

/* ?id= or ?address=; "" when there is neither. */
static const char *named_peer(const struct http_request *req)
{
	const char *id = http_query(req, "id");
	const char *address = http_query(req, "address");

	return id != NULL && id[0] != '\0' ? id : address != NULL ? address : "";
}

static const char *missing_peer(struct http_request *req, const char *which)
{
	return arena_printf(&req->mem, "%s \"%s\" was not found in the Raft configuration",
			    http_query(req, "id") != NULL ? "id" : "address", which);
}

static const char *remove_why(int err)
{
	return err == ERR_INVALID ? "this server leads: transfer leadership before it is removed" : NULL;
}

void serve_raft_peer_remove(struct api *api, struct http_request *req)
{
	const char *which = named_peer(req);
	struct acting *a;

	if (which[0] == '\0' || (http_query(req, "id") != NULL && http_query(req, "address") != NULL)) {
		http_answer_text(req, 400, "Must specify the peer's ID to remove, or else its ?address");
		return;
	}
	a = acting_new(api, req, CORE_REMOVE_PEER);
	if (a != NULL) {
		a->core.id = which;
		a->missing = missing_peer(req, which);
		a->missing_status = 500;
		a->why = remove_why;
	}
	act(a);
}

/* By its ID or address. */
static const struct core_peer *peer_named(const struct core_info *info, const char *which)
{
	for (uint32_t i = 0; i < info->peers.n; i++) {
		const struct core_peer *p = &info->peers.at[i];

		if (strcmp(p->id, which) == 0 || strcmp(p->address, which) == 0) {
			return p;
		}
	}
	return NULL;
}

/* {"ID":...,"Address":...} */
static void put_peer(struct buf *out, const char *name, const struct core_peer *p)
{
	buf_printf(out, "\"%s\":{\"ID\":", name);
	json_put_str(out, p != NULL ? p->id : "", p != NULL ? strlen(p->id) : 0);
	buf_str(out, ",\"Address\":");
	json_put_str(out, p != NULL ? p->address : "", p != NULL ? strlen(p->address) : 0);
	buf_str(out, "},");
}

static void answer_transfer(struct acting *a, bool noop)
{
	const struct core_info *info = api_info(a->api);
	struct buf b = {0};

	buf_byte(&b, '{');
	put_peer(&b, "From", peer_named(info, info->id));
	put_peer(&b, "To", noop ? peer_named(info, info->id) : peer_named(info, a->core.id));
	buf_printf(&b, "\"Noop\":%s,\"Err\":null}", word(noop));
	http_answer_json(a->req, &b, info->peers_index);
}

static void answer_transferred(struct acting *a)
{
	answer_transfer(a, false);
}

static const char *transfer_why(int err)
{
	return err == ERR_TIMEOUT ? "the server did not take over in time: this one still leads" : NULL;
}

/* ?id= or ?address=, once. NULL: that is in order, as is neither: then any other server will do. */
static const char *wrong_peer(const struct http_request *req)
{
	const char *id = http_query(req, "id");
	const char *address = http_query(req, "address");
	unsigned at = 0;
	unsigned n = 0;

	while (http_query_next(req, id != NULL ? "id" : "address", &at) != NULL) {
		n++;
	}
	return id != NULL && address != NULL           ? "must specify either id or address"
	       : id != NULL && id[0] == '\0'           ? "id must be non-empty"
	       : address != NULL && address[0] == '\0' ? "address must be non-empty"
	       : n > 1 && id != NULL                   ? "must specify only one id"
	       : n > 1                                 ? "must specify only one address"
						       : NULL;
}

void serve_raft_transfer(struct api *api, struct http_request *req)
{
	const struct core_info *info = api_info(api);
	const char *wrong = wrong_peer(req);
	struct acting *a;

	if (wrong != NULL) {
		http_answer_text(req, 400, "%s", wrong);
		return;
	}
	a = acting_new(api, req, CORE_TRANSFER);
	if (a == NULL) {
		return;
	}
	a->core.id = named_peer(req);
	if (a->core.id[0] != '\0' && peer_named(info, a->core.id) == peer_named(info, info->id) &&
	    peer_named(info, info->id) != NULL) {
		answer_transfer(a, true);
		return;
	}
	a->answer = answer_transferred;
	a->why = transfer_why;
	a->missing = a->core.id[0] != '\0' ? missing_peer(req, a->core.id) : "there is no other voter";
	a->missing_status = 400;
	act(a);
}

static void answer_joined(struct acting *a)
{
	bool any = a->core.result.count > 0;
	struct buf b = {0};

	buf_printf(&b, "{\"num_joined\":%u,\"error\":\"%s\"}", a->core.result.count,
		   any ? "" : "no server could be reached at these addresses");
	http_answer_json(a->req, &b, 0);
}

static const char *join_why(int err)
{
	return err == ERR_INVALID ? "too many addresses to join" : NULL;
}

void serve_agent_join(struct api *api, struct http_request *req)
{
	struct acting *a = acting_new(api, req, CORE_JOIN);
	const char *address;
	unsigned at = 0;

	if (a == NULL) {
		return;
	}
	a->core.addresses.at = arena_calloc(&req->mem, HTTP_QUERY_MAX, sizeof(char *));
	if (a->core.addresses.at == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	while ((address = http_query_next(req, "address", &at)) != NULL) {
		a->core.addresses.at[a->core.addresses.n++] = address;
	}
	if (a->core.addresses.n == 0) {
		http_answer_text(req, 400, "missing address to join");
		return;
	}
	a->answer = answer_joined;
	a->why = join_why;
	act(a);
}

static const char *leave_why(int err)
{
	return err == ERR_EXISTS ? "this member is alive: it has not failed" : NULL;
}

/* ?prune may be a flag without a value. */
void serve_agent_force_leave(struct api *api, struct http_request *req)
{
	const char *name = http_query(req, "node");
	const char *prune = http_query(req, "prune");
	bool pruned = prune != NULL;
	struct acting *a;

	if (name == NULL || name[0] == '\0') {
		http_answer_text(req, 400, "missing node to force leave");
		return;
	}
	if (pruned && prune[0] != '\0' && http_query_bool(req, "prune", &pruned) != 0) {
		http_answer_text(req, 400, "invalid prune value");
		return;
	}
	a = acting_new(api, req, pruned ? CORE_PRUNE : CORE_FORCE_LEAVE);
	if (a != NULL) {
		a->core.id = name;
		a->why = leave_why;
	}
	act(a);
}

/* ---- what is not there ---- */

void serve_license(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer(req, &(struct http_response){.status = 204});
}

#define ENTERPRISE_LIST(X)                                                                                             \
	X(quota) X(quota_one) X(quota_named) X(quota_usage) X(sentinel) X(sentinel_named) X(recommendations)           \
	X(recommendation_one) X(recommendation_named) X(recommendations_apply) X(utilization)
#define X(name)                                                                                                        \
	void serve_##name##_none(struct api *api, struct http_request *req)                                            \
	{                                                                                                              \
		(void)api;                                                                                             \
		http_answer_text(req, 501, "Nomad Enterprise only endpoint");                                          \
	}
ENTERPRISE_LIST(X)
#undef X
