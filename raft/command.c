#include "raft/command.h"

#include <string.h>

#include "proto/error.h"

OBJECT_DEFINE(job_register, JOB_REGISTER_FIELDS);
OBJECT_DEFINE(job_deregister, JOB_DEREGISTER_FIELDS);
OBJECT_DEFINE(job_revert, JOB_REVERT_FIELDS);
OBJECT_DEFINE(job_stable, JOB_STABLE_FIELDS);
OBJECT_DEFINE(job_tag, JOB_TAG_FIELDS);
OBJECT_DEFINE(job_evaluate, JOB_EVALUATE_FIELDS);
OBJECT_DEFINE(job_scale, JOB_SCALE_FIELDS);
OBJECT_DEFINE(job_name, JOB_NAME_FIELDS);
OBJECT_DEFINE(jobs_delete, JOBS_DELETE_FIELDS);
OBJECT_DEFINE(eval_updates, EVAL_UPDATES_FIELDS);
OBJECT_DEFINE(id_ref, ID_REF_FIELDS);
OBJECT_DEFINE(evals_delete, EVALS_DELETE_FIELDS);
OBJECT_DEFINE(node_register, NODE_REGISTER_FIELDS);
OBJECT_DEFINE(nodes_delete, NODES_DELETE_FIELDS);
OBJECT_DEFINE(node_status_update, NODE_STATUS_UPDATE_FIELDS);
OBJECT_DEFINE(node_eligibility, NODE_ELIGIBILITY_FIELDS);
OBJECT_DEFINE(node_drain, NODE_DRAIN_FIELDS);
OBJECT_DEFINE(node_events, NODE_EVENTS_FIELDS);
OBJECT_DEFINE(node_evaluate, NODE_EVALUATE_FIELDS);
OBJECT_DEFINE(alloc_report, ALLOC_REPORT_FIELDS);
OBJECT_DEFINE(alloc_reports, ALLOC_REPORTS_FIELDS);
OBJECT_DEFINE(alloc_transition, ALLOC_TRANSITION_FIELDS);
OBJECT_DEFINE(alloc_transitions, ALLOC_TRANSITIONS_FIELDS);
OBJECT_DEFINE(plan_group, PLAN_GROUP_FIELDS);
OBJECT_DEFINE(plan_metrics, PLAN_METRICS_FIELDS);
OBJECT_DEFINE(plan_place, PLAN_PLACE_FIELDS);
OBJECT_DEFINE(plan_change, PLAN_CHANGE_FIELDS);
OBJECT_DEFINE(deployment_update, DEPLOYMENT_UPDATE_FIELDS);
OBJECT_DEFINE(plan_result, PLAN_RESULT_FIELDS);
OBJECT_DEFINE(deployment_change, DEPLOYMENT_CHANGE_FIELDS);
OBJECT_DEFINE(deployment_promote, DEPLOYMENT_PROMOTE_FIELDS);
OBJECT_DEFINE(deployment_health, DEPLOYMENT_HEALTH_FIELDS);
OBJECT_DEFINE(deployments_delete, DEPLOYMENTS_DELETE_FIELDS);
OBJECT_DEFINE(launch_record, LAUNCH_RECORD_FIELDS);
OBJECT_DEFINE(namespace_put, NAMESPACE_PUT_FIELDS);
OBJECT_DEFINE(node_pool_put, NODE_POOL_PUT_FIELDS);
OBJECT_DEFINE(name_delete, NAME_DELETE_FIELDS);
OBJECT_DEFINE(scheduler_config_put, SCHEDULER_CONFIG_PUT_FIELDS);
OBJECT_DEFINE(autopilot_config_put, AUTOPILOT_CONFIG_PUT_FIELDS);
OBJECT_DEFINE(restore_part, RESTORE_PART_FIELDS);
OBJECT_DEFINE(restore_commit, RESTORE_COMMIT_FIELDS);
OBJECT_DEFINE(restore_drop, RESTORE_DROP_FIELDS);
OBJECT_DEFINE(server_put, SERVER_PUT_FIELDS);
OBJECT_DEFINE(server_delete, SERVER_DELETE_FIELDS);
OBJECT_DEFINE(no_payload, NO_PAYLOAD_FIELDS);
OBJECT_DEFINE(service_delete, SERVICE_DELETE_FIELDS);
OBJECT_DEFINE(variable_put, VARIABLE_PUT_FIELDS);
OBJECT_DEFINE(variable_delete, VARIABLE_DELETE_FIELDS);
OBJECT_DEFINE(variable_lock_ref, VARIABLE_LOCK_REF_FIELDS);
OBJECT_DEFINE(variable_rekey, VARIABLE_REKEY_FIELDS);
OBJECT_DEFINE(variables_rekey, VARIABLES_REKEY_FIELDS);
OBJECT_DEFINE(root_key_put, ROOT_KEY_PUT_FIELDS);
OBJECT_DEFINE(acl_bootstrap, ACL_BOOTSTRAP_FIELDS);
OBJECT_DEFINE(acl_policy_put, ACL_POLICY_PUT_FIELDS);
OBJECT_DEFINE(acl_token_put, ACL_TOKEN_PUT_FIELDS);
OBJECT_DEFINE(acl_id, ACL_ID_FIELDS);
OBJECT_DEFINE(acl_role_put, ACL_ROLE_PUT_FIELDS);
OBJECT_DEFINE(acl_once_put, ACL_ONCE_PUT_FIELDS);
OBJECT_DEFINE(acl_expire, ACL_EXPIRE_FIELDS);

const char *command_name(enum command type)
{
	static const char *const names[] = {
#define X(id, payload) #id,
		COMMAND_LIST(X)
#undef X
	};

	return (unsigned)type < N_COMMANDS ? names[type] : "?";
}

const struct type *command_payload(enum command type)
{
	static const struct type *const types[] = {
#define X(id, payload) &payload##_type,
		COMMAND_LIST(X)
#undef X
	};

	return (unsigned)type < N_COMMANDS ? types[type] : NULL;
}

/* ---- making payloads ---- */

struct bytes uuid_bytes(const struct uuid *id)
{
	return uuid_is_zero(id) ? (struct bytes){NULL, 0} : (struct bytes){id->at, sizeof(id->at)};
}

bool bytes_uuid(const struct bytes *bytes, struct uuid *out)
{
	*out = (struct uuid){{0}};
	if (bytes->n != sizeof(out->at)) {
		return false;
	}
	memcpy(out->at, bytes->at, sizeof(out->at));
	return true;
}

/* The bytes of a buffer, moved to `mem`. */
static int take_bytes(struct buf *b, struct bytes *out, struct arena *mem)
{
	uint8_t *at = b->failed || b->len > ENTRY_MAX ? NULL : arena_alloc(mem, b->len);
	bool big = !b->failed && b->len > ENTRY_MAX;

	if (at != NULL) {
		memcpy(at, b->at, b->len);
		*out = (struct bytes){at, (uint32_t)b->len};
	}
	buf_close(b);
	return big ? ERR_TOOBIG : at != NULL ? 0 : ERR_NOMEM;
}

static bool names_fit(const struct job *job)
{
	uint32_t i;

	if (strlen(job->namespace_) > NAMESPACE_MAX || strlen(job->id) > JOB_ID_MAX ||
	    job->task_groups.n > JOB_GROUPS_MAX || job->datacenters.n > UINT16_MAX) {
		return false;
	}
	for (i = 0; i < job->task_groups.n; i++) {
		if (strlen(job->task_groups.at[i].name) > GROUP_NAME_MAX) {
			return false;
		}
	}
	return true;
}

static int job_flags(const struct job *job)
{
	bool periodic = job_is_periodic(job);

	return (job->stop ? JOB_STOP : 0) | (periodic ? JOB_PERIODIC : 0) |
	       (periodic && job->periodic->enabled ? JOB_PERIODIC_ENABLED : 0) |
	       (job_is_parameterized(job) ? JOB_PARAMETERIZED : 0) | (job->dispatched ? JOB_DISPATCHED : 0) |
	       (job->parent_id[0] != '\0' ? JOB_CHILD : 0);
}

int job_register_fill(struct job_register *out, const struct job *job, struct arena *mem)
{
	struct buf spec = {0};

	object_init(&job_register_type, out);
	if (!names_fit(job)) {
		return ERR_TOOBIG;
	}
	out->namespace_ = job->namespace_;
	out->id = job->id;
	out->type = job_type_parse(job->type);
	out->priority = job->priority;
	out->flags = job_flags(job);
	out->version = job->version;
	out->parent = job->parent_id;
	out->node_pool = job->node_pool;
	out->token = job->dispatch_idempotency_token;
	out->token_id = job->nomad_token_id;
	out->trigger = EVAL_TRIGGER_JOB_REGISTER;
	job_spec_encode(job, &spec);
	return take_bytes(&spec, &out->spec, mem);
}

int alloc_report_fill(struct alloc_report *out, const struct alloc_update *update, struct arena *mem)
{
	struct alloc_reported reported = {.description = update->client_description,
					  .network_status = update->network_status};
	const struct alloc_deployment_status *health = update->deployment_status;
	struct buf b = {0};
	struct uuid *id = arena_alloc(mem, sizeof(*id));

	object_init(&alloc_report_type, out);
	if (id == NULL) {
		return ERR_NOMEM;
	}
	out->status = alloc_client_parse(update->client_status);
	if (!uuid_parse(update->id, strlen(update->id), id) || out->status < 0) {
		return ERR_INVALID;
	}
	out->id = uuid_bytes(id);
	if (health != NULL) {
		out->healthy = health->healthy;
		out->health_time_ns = health->timestamp;
	}
	out->services.at = update->services.at;
	out->services.n = update->services.n;
	reported.task_states.keys = update->task_states.keys;
	reported.task_states.at = update->task_states.at;
	reported.task_states.n = update->task_states.n;
	pack_encode_short(&alloc_reported_type, &reported, &b);
	return take_bytes(&b, &out->reported, mem);
}

/* ---- encoding ---- */

static const uint32_t entry_magic = 0x31767264; /* "drv1" */

struct entry_header {
	uint32_t magic;
	uint32_t count;
};

struct command_header {
	uint32_t len; /* With this header and the padding. */
	uint16_t type;
	uint8_t padding; /* Bytes behind the payload. */
	uint8_t flags;   /* 0. */
	int64_t now_ns;
	struct uuid seed;
};

_Static_assert(sizeof(struct entry_header) == ENTRY_HEADER, "the entry's header");
_Static_assert(sizeof(struct command_header) == COMMAND_HEADER, "the command's header");

int command_encode(enum command type, const void *payload, struct buf *out)
{
	static const char zeros[8];
	struct command_header h = {.type = (uint16_t)type};
	size_t begin = out->len;
	size_t len;

	buf_put(out, &h, sizeof(h));
	pack_encode(command_payload(type), payload, out);
	len = out->len - begin;
	h.padding = (uint8_t)(-len & 7);
	buf_put(out, zeros, h.padding);
	len += h.padding;
	if (out->failed) {
		return ERR_NOMEM;
	}
	if (len > ENTRY_MAX - ENTRY_HEADER) {
		out->len = begin;
		return ERR_TOOBIG;
	}
	h.len = (uint32_t)len;
	memcpy(out->at + begin, &h, sizeof(h));
	return 0;
}

/* Whether a command begins here that ends within `left` bytes. */
static bool header_read(const uint8_t *at, size_t left, struct command_header *h)
{
	if (left < sizeof(*h)) {
		return false;
	}
	memcpy(h, at, sizeof(*h));
	return h->len >= sizeof(*h) && h->len <= left && h->len % 8 == 0 && h->padding < 8 &&
	       h->padding <= h->len - sizeof(*h) && h->type < N_COMMANDS && h->flags == 0;
}

int batch_add(struct batch *b, const void *command, size_t len, int64_t now_ns, const struct uuid *seed)
{
	struct entry_header entry = {entry_magic, b->count + 1};
	struct command_header h;
	size_t used = b->count == 0 ? ENTRY_HEADER : b->entry.len;

	if (!header_read(command, len, &h) || h.len != len) {
		return ERR_SYNTAX;
	}
	if (used + len > (b->count == 0 ? ENTRY_MAX : ENTRY_BEST)) {
		return b->count == 0 ? ERR_TOOBIG : ERR_BUSY;
	}
	b->entry.len = 0;
	if (buf_room(&b->entry, used + len) == NULL) {
		b->entry.len = used;
		b->entry.failed = false;
		return ERR_NOMEM;
	}
	h.now_ns = now_ns;
	h.seed = *seed;
	memcpy(b->entry.at, &entry, sizeof(entry));
	memcpy(b->entry.at + used, command, len);
	memcpy(b->entry.at + used, &h, sizeof(h));
	b->entry.len = used + len;
	b->count++;
	return 0;
}

void batch_reset(struct batch *b)
{
	b->entry.len = 0;
	b->count = 0;
}

void batch_close(struct batch *b)
{
	buf_close(&b->entry);
	b->count = 0;
}

/* ---- decoding ---- */

static int decode_one(const uint8_t *at, const struct command_header *h, struct command_in *out, struct arena *mem)
{
	const struct type *t = command_payload((enum command)h->type);
	void *payload = arena_alloc(mem, t->size);
	int rv = ERR_NOMEM;

	if (payload != NULL) {
		rv = pack_decode(t, payload, at + sizeof(*h), h->len - sizeof(*h) - h->padding, mem);
	}
	*out = (struct command_in){(enum command)h->type, h->now_ns, h->seed, rv == 0 ? payload : NULL};
	return rv == ERR_NOMEM ? rv : 0;
}

int entry_decode(const void *entry, size_t len, struct command_in **out, unsigned *n, struct arena *mem)
{
	const uint8_t *at = entry;
	const uint8_t *end = at + len;
	struct entry_header e;
	struct command_header h;
	struct command_in *commands;
	uint32_t i;

	if (len < sizeof(e)) {
		return ERR_SYNTAX;
	}
	memcpy(&e, at, sizeof(e));
	at += sizeof(e);
	if (e.magic != entry_magic || e.count == 0 || e.count > len / sizeof(h) || e.count > ENTRY_COMMANDS_MAX) {
		return ERR_SYNTAX;
	}
	commands = arena_alloc(mem, e.count * sizeof(*commands));
	if (commands == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < e.count; i++, at += h.len) {
		int rv = header_read(at, (size_t)(end - at), &h) ? decode_one(at, &h, &commands[i], mem) : ERR_SYNTAX;

		if (rv != 0) {
			return rv;
		}
	}
	if (at != end) {
		return ERR_SYNTAX;
	}
	*out = commands;
	*n = e.count;
	return 0;
}
