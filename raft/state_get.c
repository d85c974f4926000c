#include "raft/state.h"

#include <stdio.h>
#include <string.h>

#include "proto/error.h"
#include "raft/spec.h"

OBJECT_DEFINE(job_extra, JOB_EXTRA_FIELDS);
OBJECT_DEFINE(alloc_server, ALLOC_SERVER_FIELDS);
OBJECT_DEFINE(alloc_reported, ALLOC_REPORTED_FIELDS);
OBJECT_DEFINE(node_extra, NODE_EXTRA_FIELDS);
OBJECT_DEFINE(service_tags, SERVICE_TAGS_FIELDS);

/* What was stored was encoded by us: bytes that do not decode are damage. */
static int unpack(const struct type *t, const struct blob *blob, void *out, struct arena *mem)
{
	int rv;

	if (blob == NULL) {
		memset(out, 0, t->size);
		return pack_decode(t, out, "\x80", 1, mem);
	}
	rv = pack_decode(t, out, blob->data, blob->len, mem);
	return rv == 0 || rv == ERR_NOMEM ? rv : ERR_CORRUPT;
}

static const char *id_text(const struct uuid *id, struct arena *mem)
{
	char *text;

	if (uuid_is_zero(id)) {
		return "";
	}
	text = arena_alloc(mem, UUID_TEXT);
	if (text != NULL) {
		uuid_format(id, text);
	}
	return text;
}

static const char *bytes_text(const struct bytes *bytes, struct arena *mem)
{
	struct uuid id;

	if (bytes->n != sizeof(id)) {
		return "";
	}
	memcpy(&id, bytes->at, sizeof(id));
	return id_text(&id, mem);
}

int object_row_get(const struct object_row *row, const struct type *t, void *out, struct arena *mem)
{
	return unpack(t, row->object, out, mem);
}

/* ---- jobs ---- */

static int put_datacenters(const struct job_row *row, struct strs *out, struct arena *mem)
{
	unsigned n = job_row_datacenters(row);
	unsigned i;

	out->at = arena_calloc(mem, n, sizeof(out->at[0]));
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	out->n = n;
	for (i = 0; i < n; i++) {
		out->at[i] = job_row_datacenter(row, i);
	}
	return 0;
}

int job_row_get(const struct job_row *row, struct job *out, struct arena *mem)
{
	struct job_extra extra;
	size_t len;
	const void *packed = job_row_packed(row, &len);
	int rv = pack_decode(&job_type, out, packed, len, mem);

	if (rv == 0) {
		rv = unpack(&job_extra_type, row->extra, &extra, mem);
	}
	if (rv == 0) {
		rv = put_datacenters(row, (struct strs *)&out->datacenters, mem);
	}
	if (rv != 0) {
		return rv == ERR_NOMEM ? rv : ERR_CORRUPT;
	}
	out->id = job_row_id(row);
	out->namespace_ = job_row_ns(row);
	out->name = job_row_name(row);
	out->parent_id = job_row_parent(row);
	out->node_pool = job_row_node_pool(row);
	out->dispatch_idempotency_token = job_row_token(row);
	out->stop = (row->flags & JOB_STOP) != 0;
	out->stable = (row->flags & JOB_STABLE) != 0;
	out->version = (int64_t)row->version;
	out->version_tag = extra.tag;
	out->status = job_status_text(row->status);
	out->status_description = extra.status_description;
	out->nomad_token_id = extra.token_id;
	out->submit_time = row->submit_time_ns;
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	out->job_modify_index = (int64_t)row->job_modify_index;
	return 0;
}

int job_row_stub(const struct view *v, const struct job_row *row, struct job_stub *out, struct arena *mem)
{
	const struct summary_row *summary = state_summary(v, job_row_ns(row), job_row_id(row));
	int rv;

	object_init(&job_stub_type, out);
	rv = put_datacenters(row, (struct strs *)&out->datacenters, mem);
	if (rv == 0 && summary != NULL) {
		out->job_summary = arena_alloc(mem, sizeof(*out->job_summary));
		rv = out->job_summary != NULL ? summary_row_get(summary, out->job_summary, mem) : ERR_NOMEM;
	}
	out->id = job_row_id(row);
	out->namespace_ = job_row_ns(row);
	out->name = job_row_name(row);
	out->parent_id = job_row_parent(row);
	out->node_pool = job_row_node_pool(row);
	out->type = job_type_text(row->type);
	out->priority = row->priority;
	out->periodic = (row->flags & JOB_PERIODIC) != 0;
	out->parameterized = (row->flags & JOB_PARAMETERIZED) != 0;
	out->stop = (row->flags & JOB_STOP) != 0;
	out->status = job_status_text(row->status);
	out->submit_time = row->submit_time_ns;
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	out->job_modify_index = (int64_t)row->job_modify_index;
	return rv;
}

int summary_row_get(const struct summary_row *row, struct job_summary *out, struct arena *mem)
{
	const char *name = (const char *)row->names->data;
	unsigned i;

	object_init(&job_summary_type, out);
	out->summary.keys = arena_calloc(mem, row->groups, sizeof(char *));
	out->summary.at = arena_calloc(mem, row->groups, sizeof(out->summary.at[0]));
	out->children = arena_calloc(mem, 1, sizeof(*out->children));
	if (out->summary.keys == NULL || out->summary.at == NULL || out->children == NULL) {
		return ERR_NOMEM;
	}
	out->summary.n = row->groups;
	for (i = 0; i < row->groups; i++, name += strlen(name) + 1) {
		const uint32_t *count = summary_row_counts(row, i);
		struct group_summary *g = &out->summary.at[i];

		out->summary.keys[i] = name;
#define X(id, member) g->member = count[GROUP_##id];
		GROUP_COUNT_LIST(X)
#undef X
	}
	out->job_id = summary_row_id(row);
	out->namespace_ = summary_row_ns(row);
	out->children->pending = row->children[JOB_STATUS_PENDING];
	out->children->running = row->children[JOB_STATUS_RUNNING];
	out->children->dead = row->children[JOB_STATUS_DEAD];
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	return 0;
}

/* ---- evaluations ---- */

int eval_row_get(const struct eval_row *row, struct evaluation *out, struct arena *mem)
{
	int rv = unpack(&evaluation_type, row->rest, out, mem);

	if (rv != 0) {
		return rv;
	}
	out->id = id_text(&row->id, mem);
	out->namespace_ = eval_row_ns(row);
	out->job_id = eval_row_job(row);
	out->type = job_type_text(row->type);
	out->triggered_by = eval_trigger_text(row->trigger);
	out->status = eval_status_text(row->status);
	out->priority = row->priority;
	out->job_modify_index = (int64_t)row->job_modify_index;
	out->snapshot_index = (int64_t)row->snapshot_index;
	out->wait_until = row->wait_until_ns;
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	out->create_time = row->create_time_ns;
	out->modify_time = row->modify_time_ns;
	return out->id != NULL ? 0 : ERR_NOMEM;
}

int eval_row_stub(const struct eval_row *row, struct eval_stub *out, struct arena *mem)
{
	struct evaluation e;
	int rv = eval_row_get(row, &e, mem);

	if (rv != 0) {
		return rv;
	}
	*out = (struct eval_stub){
		.id = e.id,
		.priority = e.priority,
		.type = e.type,
		.triggered_by = e.triggered_by,
		.namespace_ = e.namespace_,
		.job_id = e.job_id,
		.node_id = e.node_id,
		.deployment_id = e.deployment_id,
		.status = e.status,
		.status_description = e.status_description,
		.wait_until = e.wait_until,
		.next_eval = e.next_eval,
		.previous_eval = e.previous_eval,
		.blocked_eval = e.blocked_eval,
		.create_index = e.create_index,
		.modify_index = e.modify_index,
		.create_time = e.create_time,
		.modify_time = e.modify_time,
	};
	return 0;
}

/* ---- deployments ---- */

int deployment_row_get(const struct deployment_row *row, struct deployment *out, struct arena *mem)
{
	int rv = unpack(&deployment_type, row->rest, out, mem);

	if (rv != 0) {
		return rv;
	}
	out->id = id_text(&row->id, mem);
	out->namespace_ = deployment_row_ns(row);
	out->job_id = deployment_row_job(row);
	out->job_version = (int64_t)row->job_version;
	out->job_create_index = (int64_t)row->job_create_index;
	out->status = deployment_status_text(row->status);
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	out->create_time = row->create_time_ns;
	out->modify_time = row->modify_time_ns;
	return out->id != NULL ? 0 : ERR_NOMEM;
}

/* ---- services ---- */

int service_row_tags(const struct service_row *row, struct service_tags *out, struct arena *mem)
{
	return unpack(&service_tags_type, row->tags, out, mem);
}

int service_row_get(const struct view *v, const struct service_row *row, struct service_registration *out,
		    struct arena *mem)
{
	const struct alloc_row *alloc = state_alloc(v, &row->alloc_id);
	struct service_tags tags;
	int rv = unpack(&service_registration_type, row->rest, out, mem);

	if (rv == 0) {
		rv = service_row_tags(row, &tags, mem);
	}
	if (rv != 0 || alloc == NULL) {
		return rv != 0 ? rv : ERR_CORRUPT;
	}
	out->tags = tags.tags;
	out->id = service_row_id(row);
	out->service_name = service_row_name(row);
	out->namespace_ = service_row_ns(row);
	out->node_id = id_text(&alloc->node_id, mem);
	out->job_id = job_row_id(alloc->job);
	out->alloc_id = id_text(&row->alloc_id, mem);
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	return out->node_id != NULL && out->alloc_id != NULL ? 0 : ERR_NOMEM;
}

/* ---- nodes ---- */

int node_row_get(const struct node_row *row, struct node *out, struct arena *mem)
{
	struct node_extra extra;
	int rv = unpack(&node_type, row->base, out, mem);

	if (rv == 0) {
		rv = unpack(&node_extra_type, row->extra, &extra, mem);
	}
	if (rv != 0) {
		return rv;
	}
	out->id = id_text(&row->id, mem);
	out->name = node_row_name(row);
	out->drain = (row->flags & NODE_DRAIN) != 0;
	out->drain_strategy = extra.drain_strategy;
	out->last_drain = extra.last_drain;
	out->scheduling_eligibility = (row->flags & NODE_ELIGIBLE) != 0 ? "eligible" : "ineligible";
	out->status = node_status_text(row->status);
	out->status_description = extra.status_description;
	out->status_updated_at = row->status_time_s;
	out->events.at = extra.events.at;
	out->events.n = extra.events.n;
	out->last_missed_heartbeat_index = (int64_t)row->missed_index;
	out->last_alloc_update_index = (int64_t)row->alloc_index;
	out->create_index = (int64_t)row->create_index;
	out->modify_index = (int64_t)row->modify_index;
	return out->id != NULL ? 0 : ERR_NOMEM;
}

static const char *attribute(const struct node *node, const char *name)
{
	uint32_t i;

	for (i = 0; i < node->attributes.n; i++) {
		if (strcmp(node->attributes.at[i].key, name) == 0) {
			return node->attributes.at[i].value;
		}
	}
	return "";
}

/* "[::1]:4646" and "10.0.0.1:4646" without the port. */
static const char *host_of(const char *address, struct arena *mem)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon != NULL ? (size_t)(colon - address) : strlen(address);

	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	return arena_strndup(mem, address, len);
}

static int stub_os(const struct node *node, struct node_stub *out, struct arena *mem)
{
	struct pair *pair = arena_calloc(mem, 1, sizeof(*pair));

	if (pair == NULL) {
		return ERR_NOMEM;
	}
	*pair = (struct pair){"os.name", attribute(node, "os.name")};
	out->attributes = (struct map){pair, 1};
	return 0;
}

int node_row_stub(const struct node_row *row, unsigned what, struct node_stub *out, struct arena *mem)
{
	struct node node;
	int rv = node_row_get(row, &node, mem);

	if (rv != 0) {
		return rv;
	}
	object_init(&node_stub_type, out);
	out->address = host_of(node.http_addr, mem);
	out->id = node.id;
	out->datacenter = node.datacenter;
	out->name = node.name;
	out->node_class = node.node_class;
	out->node_pool = node.node_pool;
	out->version = attribute(&node, "nomad.version");
	out->drain = node.drain;
	out->scheduling_eligibility = node.scheduling_eligibility;
	out->status = node.status;
	out->status_description = node.status_description;
	memcpy(&out->drivers, &node.drivers, sizeof(out->drivers));
	memcpy(&out->host_volumes, &node.host_volumes, sizeof(out->host_volumes));
	out->last_drain = node.last_drain;
	out->create_index = node.create_index;
	out->modify_index = node.modify_index;
	if ((what & NODE_STUB_RESOURCES) != 0) {
		out->node_resources = node.node_resources;
		out->reserved_resources = node.reserved_resources;
	}
	if ((what & NODE_STUB_OS) != 0) {
		rv = stub_os(&node, out, mem);
	}
	return out->address != NULL ? rv : ERR_NOMEM;
}

/* ---- allocations ---- */

void alloc_row_name(const struct alloc_row *row, char name[ALLOC_NAME_MAX])
{
	snprintf(name, ALLOC_NAME_MAX, "%s.%s[%u]", job_row_id(row->job), alloc_row_group(row), row->index);
}

int alloc_row_server(const struct alloc_row *row, struct alloc_server *out, struct arena *mem)
{
	return unpack(&alloc_server_type, row->server, out, mem);
}

int alloc_row_reported(const struct alloc_row *row, struct alloc_reported *out, struct arena *mem)
{
	return unpack(&alloc_reported_type, row->reported, out, mem);
}

int alloc_row_metrics(const struct alloc_row *row, struct alloc_metric *out, struct arena *mem)
{
	return unpack(&alloc_metric_type, row->metrics, out, mem);
}

/* An allocation in the making. */
struct render {
	const struct alloc_row *row;
	struct arena *mem;
	struct alloc_server server;
	struct alloc_reported reported;
	struct job *job;
	const struct task_group *group;
};

static int render_open(struct render *r, const struct alloc_row *row, struct arena *mem)
{
	int rv;

	*r = (struct render){.row = row, .mem = mem};
	rv = alloc_row_server(row, &r->server, mem);
	return rv != 0 ? rv : alloc_row_reported(row, &r->reported, mem);
}

static int render_job(struct render *r, struct job_cache *cache)
{
	const struct job_row *row = r->row->job;
	int rv;

	if (cache != NULL && cache->row == row) {
		r->job = cache->job;
	} else {
		r->job = arena_alloc(r->mem, sizeof(*r->job));
		rv = r->job != NULL ? job_row_get(row, r->job, r->mem) : ERR_NOMEM;
		if (rv != 0) {
			return rv;
		}
	}
	if (cache != NULL) {
		cache->row = row;
		cache->job = r->job;
	}
	if (r->row->group >= r->job->task_groups.n) {
		return ERR_CORRUPT;
	}
	r->group = &r->job->task_groups.at[r->row->group];
	return 0;
}

static void put_opt(struct opt *opt, bool set)
{
	if (set) {
		*opt = (struct opt){1, true};
	}
}

static struct desired_transition *render_transition(const struct render *r)
{
	struct desired_transition *t = arena_calloc(r->mem, 1, sizeof(*t));
	uint32_t flags = r->row->flags;

	if (t != NULL) {
		put_opt(&t->migrate, (flags & ALLOC_MIGRATE) != 0);
		put_opt(&t->reschedule, (flags & ALLOC_RESCHEDULE) != 0);
		put_opt(&t->force_reschedule, (flags & ALLOC_FORCE_RESCHEDULE) != 0);
		put_opt(&t->migrate_disable_placement, (flags & ALLOC_MIGRATE_DISABLE_PLACEMENT) != 0);
		put_opt(&t->no_shutdown_delay, (flags & ALLOC_NO_SHUTDOWN_DELAY) != 0);
	}
	return t;
}

static int render_health(const struct render *r, struct alloc_deployment_status **out)
{
	uint32_t flags = r->row->flags;
	struct alloc_deployment_status *s;

	*out = NULL;
	if ((flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY | ALLOC_CANARY)) == 0) {
		return 0;
	}
	s = arena_calloc(r->mem, 1, sizeof(*s));
	if (s == NULL) {
		return ERR_NOMEM;
	}
	s->healthy = (struct opt){(flags & ALLOC_HEALTHY) != 0, (flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY)) != 0};
	s->canary = (flags & ALLOC_CANARY) != 0;
	s->timestamp = r->row->health_time_ns;
	s->modify_index = (int64_t)r->row->health_index;
	*out = s;
	return 0;
}

/* ---- resources, which follow from the job ---- */

static int64_t opt_value(const struct opt *opt)
{
	return opt->set ? opt->at : 0;
}

static struct resources *new_resources(const struct render *r)
{
	struct resources *out = arena_alloc(r->mem, sizeof(*out));

	if (out != NULL) {
		object_init(&resources_type, out);
		out->cpu = out->memory_mb = (struct opt){0, true};
	}
	return out;
}

/* The place of a task among those of its group in the order of names, which maps of objects have. */
static uint32_t place_by_name(const struct task_group *group, uint32_t task)
{
	uint32_t place = 0;
	uint32_t i;
	int order;

	for (i = 0; i < group->tasks.n; i++) {
		order = strcmp(group->tasks.at[i].name, group->tasks.at[task].name);
		place += order < 0 || (order == 0 && i < task);
	}
	return place;
}

static int render_task_resources(const struct render *r, struct allocation *out)
{
	uint32_t n = r->group->tasks.n;
	uint32_t i;

	out->resources = new_resources(r);
	out->shared_resources = new_resources(r);
	out->task_resources.keys = arena_calloc(r->mem, n, sizeof(char *));
	out->task_resources.at = arena_calloc(r->mem, n, sizeof(struct resources));
	if (out->resources == NULL || out->shared_resources == NULL || out->task_resources.keys == NULL ||
	    out->task_resources.at == NULL) {
		return ERR_NOMEM;
	}
	out->task_resources.n = n;
	for (i = 0; i < n; i++) {
		const struct task *task = &r->group->tasks.at[i];
		uint32_t place = place_by_name(r->group, i);
		struct resources *to = &out->task_resources.at[place];

		out->task_resources.keys[place] = task->name;
		object_init(&resources_type, to);
		if (task->resources != NULL) {
			*to = *task->resources;
		}
		to->disk_mb = 0;
		out->resources->cpu.at += opt_value(&to->cpu);
		out->resources->cores += to->cores;
		out->resources->memory_mb.at += opt_value(&to->memory_mb);
		out->resources->memory_max_mb += to->memory_max_mb;
	}
	out->resources->disk_mb = r->row->disk_mb;
	out->shared_resources->disk_mb = r->row->disk_mb;
	return 0;
}

static int allocated_task(const struct render *r, const struct task *task, struct allocated_task *out)
{
	uint32_t i;

	object_init(&allocated_task_type, out);
	for (i = 0; i < r->server.tasks.n; i++) {
		if (strcmp(r->server.tasks.keys[i], task->name) == 0) {
			*out = r->server.tasks.at[i];
		}
	}
	if (out->cpu == NULL) {
		out->cpu = arena_calloc(r->mem, 1, sizeof(*out->cpu));
	}
	if (out->memory == NULL) {
		out->memory = arena_calloc(r->mem, 1, sizeof(*out->memory));
	}
	if (out->cpu == NULL || out->memory == NULL) {
		return ERR_NOMEM;
	}
	if (task->resources != NULL) {
		if (out->cpu->cpu_shares == 0) {
			out->cpu->cpu_shares = opt_value(&task->resources->cpu);
		}
		out->memory->memory_mb = opt_value(&task->resources->memory_mb);
		out->memory->memory_max_mb = task->resources->memory_max_mb;
	}
	return 0;
}

/* {"task":null,"init":{"Hook":"prestart","Sidecar":false}} */
static int render_lifecycles(const struct render *r, const char **out)
{
	struct buf b = {0};
	uint32_t i;

	buf_byte(&b, '{');
	for (i = 0; i < r->group->tasks.n; i++) {
		const struct task *task = &r->group->tasks.at[i];

		if (i > 0) {
			buf_byte(&b, ',');
		}
		json_put_str(&b, task->name, strlen(task->name));
		buf_byte(&b, ':');
		if (task->lifecycle != NULL) {
			json_encode(&lifecycle_type, task->lifecycle, &b);
		} else {
			buf_str(&b, "null");
		}
	}
	buf_byte(&b, '}');
	*out = b.failed ? NULL : arena_strndup(r->mem, b.at, b.len);
	buf_close(&b);
	return *out != NULL ? 0 : ERR_NOMEM;
}

static int render_allocated(const struct render *r, struct allocated_resources **out)
{
	struct allocated_resources *a = arena_alloc(r->mem, sizeof(*a));
	uint32_t n = r->group->tasks.n;
	uint32_t place;
	uint32_t i;
	int rv = 0;

	if (a == NULL) {
		return ERR_NOMEM;
	}
	object_init(&allocated_resources_type, a);
	a->tasks.keys = arena_calloc(r->mem, n, sizeof(char *));
	a->tasks.at = arena_calloc(r->mem, n, sizeof(struct allocated_task));
	a->shared = arena_calloc(r->mem, 1, sizeof(*a->shared));
	if (a->tasks.keys == NULL || a->tasks.at == NULL || a->shared == NULL) {
		return ERR_NOMEM;
	}
	a->tasks.n = n;
	for (i = 0; i < n && rv == 0; i++) {
		place = place_by_name(r->group, i);
		a->tasks.keys[place] = r->group->tasks.at[i].name;
		rv = allocated_task(r, &r->group->tasks.at[i], &a->tasks.at[place]);
	}
	a->shared->disk_mb = r->row->disk_mb;
	a->shared->networks.at = r->server.networks.at;
	a->shared->networks.n = r->server.networks.n;
	a->shared->ports.at = r->server.ports.at;
	a->shared->ports.n = r->server.ports.n;
	*out = a;
	return rv != 0 ? rv : render_lifecycles(r, &a->task_lifecycles);
}

/* ---- the two forms of an allocation ---- */

static const char *render_name(const struct render *r)
{
	return arena_printf(r->mem, "%s.%s[%u]", job_row_id(r->row->job), alloc_row_group(r->row), r->row->index);
}

/* What both have. */
#define RENDER_COMMON(out, r)                                                                                          \
	do {                                                                                                           \
		const struct alloc_row *row_ = (r)->row;                                                               \
		(out)->id = id_text(&row_->id, (r)->mem);                                                              \
		(out)->eval_id = id_text(&row_->eval_id, (r)->mem);                                                    \
		(out)->node_id = id_text(&row_->node_id, (r)->mem);                                                    \
		(out)->name = render_name(r);                                                                          \
		(out)->node_name = (const char *)row_->node_name->data;                                                \
		(out)->namespace_ = job_row_ns(row_->job);                                                             \
		(out)->job_id = job_row_id(row_->job);                                                                 \
		(out)->task_group = alloc_row_group(row_);                                                             \
		(out)->desired_status = alloc_desired_text(row_->desired);                                             \
		(out)->desired_description = (r)->server.desired_description;                                          \
		(out)->desired_transition = render_transition(r);                                                      \
		(out)->client_status = alloc_client_text(row_->client);                                                \
		(out)->client_description = (r)->reported.description;                                                 \
		(out)->followup_eval_id = bytes_text(&(r)->server.followup_eval, (r)->mem);                            \
		(out)->next_allocation = bytes_text(&(r)->server.next, (r)->mem);                                      \
		(out)->preempted_by_allocation = bytes_text(&(r)->server.preempted_by, (r)->mem);                      \
		(out)->preempted_allocations = (r)->server.preempted;                                                  \
		(out)->reschedule_tracker = (r)->server.reschedule_tracker;                                            \
		(out)->create_index = (int64_t)row_->create_index;                                                     \
		(out)->modify_index = (int64_t)row_->modify_index;                                                     \
		(out)->create_time = row_->create_time_ns;                                                             \
		(out)->modify_time = row_->modify_time_ns;                                                             \
	} while (0)

#define RENDER_FAILED(out)                                                                                             \
	((out)->id == NULL || (out)->eval_id == NULL || (out)->node_id == NULL || (out)->name == NULL ||               \
	 (out)->desired_transition == NULL || (out)->followup_eval_id == NULL || (out)->next_allocation == NULL ||     \
	 (out)->preempted_by_allocation == NULL)

int alloc_row_get(const struct alloc_row *row, struct allocation *out, struct job_cache *cache, struct arena *mem)
{
	struct render r;
	int rv = render_open(&r, row, mem);

	if (rv == 0) {
		rv = render_job(&r, cache);
	}
	if (rv != 0) {
		return rv;
	}
	object_init(&allocation_type, out);
	RENDER_COMMON(out, &r);
	out->job = r.job;
	memcpy(&out->task_states, &r.reported.task_states, sizeof(out->task_states));
	out->network_status = r.reported.network_status;
	memcpy(&out->alloc_states, &r.server.states, sizeof(out->alloc_states));
	out->deployment_id = id_text(&row->deployment_id, mem);
	out->previous_allocation = bytes_text(&r.server.previous, mem);
	out->alloc_modify_index = (int64_t)row->alloc_modify_index;
	out->metrics = arena_alloc(mem, sizeof(*out->metrics));
	if (RENDER_FAILED(out) || out->deployment_id == NULL || out->previous_allocation == NULL ||
	    out->metrics == NULL) {
		return ERR_NOMEM;
	}
	rv = alloc_row_metrics(row, out->metrics, mem);
	if (rv == 0) {
		rv = render_health(&r, &out->deployment_status);
	}
	if (rv == 0) {
		rv = render_task_resources(&r, out);
	}
	return rv != 0 ? rv : render_allocated(&r, &out->allocated_resources);
}

int alloc_row_stub(const struct alloc_row *row, unsigned what, struct alloc_stub *out, struct job_cache *cache,
		   struct arena *mem)
{
	struct render r;
	int rv = render_open(&r, row, mem);

	if (rv != 0) {
		return rv;
	}
	object_init(&alloc_stub_type, out);
	RENDER_COMMON(out, &r);
	out->job_type = job_type_text(row->job->type);
	out->job_version = (int64_t)row->job->version;
	if ((what & ALLOC_STUB_TASK_STATES) != 0) {
		memcpy(&out->task_states, &r.reported.task_states, sizeof(out->task_states));
	}
	if (RENDER_FAILED(out)) {
		return ERR_NOMEM;
	}
	rv = render_health(&r, &out->deployment_status);
	if (rv == 0 && (what & ALLOC_STUB_RESOURCES) != 0) {
		rv = render_job(&r, cache);
		return rv != 0 ? rv : render_allocated(&r, &out->allocated_resources);
	}
	return rv;
}
