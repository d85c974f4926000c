#include "server/sched_plan.h"

#include <string.h>

#include "proto/error.h"
#include "server/sched_memory.h"

/* ---- chunks ---- */

static struct bytes id_bytes(struct plan_build *b, const struct uuid *id)
{
	struct uuid *kept;

	if (uuid_is_zero(id)) {
		return (struct bytes){0};
	}
	kept = arena_need(b->mem, 1, sizeof(*kept));
	*kept = *id;
	return uuid_bytes(kept);
}

static struct chunk_build *chunk_add(struct plan_build *b, struct chunk_key key)
{
	struct chunk_build *c = arena_need(b->mem, 1, sizeof(*c));

	object_init(&plan_result_type, &c->payload);
	c->key = key;
	c->payload.eval_id = id_bytes(b, &b->eval);
	c->payload.namespace_ = b->ns;
	c->payload.job_id = b->job;
	c->payload.job_create_index = (int64_t)b->job_create_index;
	c->payload.job_version = (int64_t)(key.version != NULL ? key.version->version : b->job_version);
	if (key.deploys) {
		c->payload.deployment_id = id_bytes(b, &b->deployment_id);
	}
	b->chunks = arena_grow(b->mem, b->chunks, b->n, &b->cap, sizeof(b->chunks[0]));
	b->chunks[b->n++] = c;
	return c;
}

/* The next after a full one will be full as well: arrays that grow would leave half of the memory behind. */
static struct chunk_build *chunk_after(struct plan_build *b, const struct chunk_build *full)
{
	struct chunk_build *c = chunk_add(b, full->key);

	if (full->payload.places.n == PLAN_CHUNK_PLACES) {
		c->places_cap = c->claims_cap = PLAN_CHUNK_PLACES;
		c->payload.places.at = arena_need(b->mem, c->places_cap, sizeof(c->payload.places.at[0]));
		c->claims = arena_need(b->mem, c->claims_cap, sizeof(c->claims[0]));
	}
	return c;
}

static bool same_key(struct chunk_key a, struct chunk_key b)
{
	bool same_version = a.version == b.version ||
			    (a.version != NULL && b.version != NULL && a.version->version == b.version->version);

	return same_version && a.deploys == b.deploys;
}

static bool has_room(const struct chunk_build *c, uint32_t places, uint32_t changes)
{
	return c->payload.places.n + places <= PLAN_CHUNK_PLACES &&
	       c->payload.changes.n + changes <= PLAN_CHUNK_CHANGES && c->bytes < PLAN_CHUNK_BYTES;
}

/* The latest chunk of its kind is the only one that may have room. */
static struct chunk_build *chunk_for(struct plan_build *b, struct chunk_key key, uint32_t changes)
{
	uint32_t i;

	for (i = b->n; i > 0; i--) {
		if (same_key(b->chunks[i - 1]->key, key)) {
			return has_room(b->chunks[i - 1], 1, changes) ? b->chunks[i - 1]
								      : chunk_after(b, b->chunks[i - 1]);
		}
	}
	return chunk_add(b, key);
}

/* ---- places ---- */

static int64_t metric_add(struct plan_build *b, struct chunk_build *c, const struct bytes *metric)
{
	if (metric->n == 0) {
		return 0;
	}
	if (c->metric != metric->at) {
		c->payload.metrics.at = arena_grow(b->mem, c->payload.metrics.at, c->payload.metrics.n, &c->metrics_cap,
						   sizeof(c->payload.metrics.at[0]));
		c->payload.metrics.at[c->payload.metrics.n++].packed = *metric;
		c->metric = metric->at;
	}
	return c->payload.metrics.n;
}

/* What allocations of a group take is written once; reserved cores count differently on different nodes. */
static int64_t group_add(struct plan_build *b, struct chunk_build *c, const struct place_spec *spec)
{
	struct plan_group *g;
	uint32_t i;

	for (i = c->payload.groups.n; i > 0; i--) {
		g = &c->payload.groups.at[i - 1];
		if (strcmp(g->name, spec->group) == 0 && g->cpu_mhz == spec->use.cpu_mhz &&
		    g->memory_mb == spec->use.memory_mb && g->disk_mb == spec->use.disk_mb &&
		    g->memory_max_mb == spec->memory_max_mb) {
			return i - 1;
		}
	}
	c->payload.groups.at =
		arena_grow(b->mem, c->payload.groups.at, c->payload.groups.n, &c->groups_cap, sizeof(*g));
	g = &c->payload.groups.at[c->payload.groups.n];
	*g = (struct plan_group){.name = spec->group,
				 .cpu_mhz = spec->use.cpu_mhz,
				 .memory_mb = spec->use.memory_mb,
				 .memory_max_mb = spec->memory_max_mb,
				 .disk_mb = spec->use.disk_mb};
	return c->payload.groups.n++;
}

/* A port stands in two lists. */
static size_t place_bytes(const struct place_spec *spec)
{
	return 64 + (spec->holds != NULL ? 100 * (size_t)(spec->holds->n_ports + spec->holds->n_devices) : 0);
}

struct plan_spot plan_place(struct plan_build *b, const struct place_spec *spec, uint32_t changes)
{
	struct chunk_build *c = chunk_for(b, spec->key, changes);
	uint32_t n = c->payload.places.n;
	struct plan_place *p;

	c->payload.places.at = arena_grow(b->mem, c->payload.places.at, n, &c->places_cap, sizeof(*p));
	c->claims = arena_grow(b->mem, c->claims, n, &c->claims_cap, sizeof(c->claims[0]));
	p = &c->payload.places.at[n];
	object_init(&plan_place_type, p);
	p->id = id_bytes(b, &spec->id);
	p->node_id = id_bytes(b, &spec->node);
	p->group = group_add(b, c, spec);
	p->index = spec->index;
	p->metrics = metric_add(b, c, &spec->metric);
	p->previous = spec->previous != NULL ? id_bytes(b, spec->previous) : (struct bytes){0};
	p->canary = spec->canary;
	p->server = (struct alloc_server *)(uintptr_t)spec->server;
	c->claims[n] = (struct plan_claim){
		.alloc = spec->id, .node = spec->node, .use = spec->use, .holds = spec->holds, .update = spec->update};
	if (spec->update) {
		c->claims[n].use = (struct use){0};
	}
	c->payload.places.n++;
	c->bytes += place_bytes(spec);
	return (struct plan_spot){c, (int32_t)n};
}

/* ---- changes ---- */

static void change_add(struct plan_build *b, struct chunk_build *c, int32_t place, const struct change_spec *spec)
{
	uint32_t n = c->payload.changes.n;
	struct plan_change *p;

	c->payload.changes.at = arena_grow(b->mem, c->payload.changes.at, n, &c->changes_cap, sizeof(*p));
	c->releases = arena_grow(b->mem, c->releases, n, &c->releases_cap, sizeof(c->releases[0]));
	p = &c->payload.changes.at[n];
	object_init(&plan_change_type, p);
	p->id = id_bytes(b, &spec->row->id);
	p->desired = (struct opt){spec->desired, spec->desired >= 0};
	p->client = (struct opt){spec->client, spec->client >= 0};
	p->description = spec->description != NULL ? spec->description : "";
	p->client_description = spec->client_description != NULL ? spec->client_description : "";
	p->followup_eval = id_bytes(b, &spec->followup);
	p->preempted_by = id_bytes(b, &spec->preempted_by);
	c->releases[n] = (struct plan_release){.alloc = spec->row->id, .node = spec->row->node_id, .place = place};
	if (spec->desired == ALLOC_DESIRED_STOP || spec->desired == ALLOC_DESIRED_EVICT) {
		c->releases[n].frees = alloc_row_use(spec->row);
	}
	c->payload.changes.n++;
}

void plan_change_with(struct plan_build *b, struct plan_spot spot, const struct change_spec *spec)
{
	change_add(b, spot.chunk, spot.place, spec);
}

void plan_change(struct plan_build *b, const struct change_spec *spec)
{
	struct chunk_build *c = b->n > 0 && has_room(b->chunks[b->n - 1], 0, 1) ? b->chunks[b->n - 1] : NULL;

	change_add(b, c != NULL ? c : chunk_add(b, (struct chunk_key){0}), -1, spec);
}

/* ---- the whole ---- */

int plan_chunk_encode(struct plan_chunk *chunk)
{
	struct eval_updates evals;
	int rv;

	chunk->command.len = 0;
	if (chunk->evals_only) {
		memcpy(&evals.evals, &chunk->payload.evals, sizeof(evals.evals));
		rv = command_encode(COMMAND_EVALS, &evals, &chunk->command);
	} else {
		rv = command_encode(COMMAND_PLAN, &chunk->payload, &chunk->command);
	}
	sched_got(rv == ERR_NOMEM ? NULL : chunk);
	return rv;
}

static void put_deployments(struct plan_build *b, struct plan_result *p, const struct plan_end *end)
{
	if (end->deployment != NULL) {
		p->deployment = (struct deployment *)(uintptr_t)end->deployment;
	}
	if (!uuid_is_zero(&end->ended)) {
		p->deployments.at = arena_need(b->mem, 1, sizeof(p->deployments.at[0]));
		p->deployments.at[0] = (struct deployment_update){.id = id_bytes(b, &end->ended),
								  .status = DEPLOYMENT_STATUS_CANCELLED,
								  .description = end->ended_why};
		p->deployments.n = 1;
	}
}

static void put_evals(struct plan_build *b, struct plan_chunk *last, const struct plan_end *end)
{
	struct evaluation *at = arena_need(b->mem, end->n_always + end->n_final, sizeof(at[0]));

	if (end->n_always > 0) {
		memcpy(at, end->always, end->n_always * sizeof(at[0]));
	}
	if (end->n_final > 0) {
		memcpy(at + end->n_always, end->final, end->n_final * sizeof(at[0]));
	}
	last->payload.evals.at = at;
	last->payload.evals.n = end->n_always + end->n_final;
	last->n_always = end->n_always;
	last->payload.evals_always = (int64_t)end->n_always;
}

struct plan *plan_finish(struct plan_build *b, const struct plan_end *end)
{
	struct plan *plan = arena_need(b->mem, 1, sizeof(*plan));
	bool evals_only = b->n == 0 && end->deployment == NULL && uuid_is_zero(&end->ended);
	int rv = 0;
	uint32_t i;

	if (b->n == 0) {
		chunk_add(b, (struct chunk_key){0});
	}
	plan->eval = b->eval;
	plan->priority = end->priority;
	plan->all_at_once = end->all_at_once;
	plan->chunks = arena_need(b->mem, b->n, sizeof(plan->chunks[0]));
	plan->n_chunks = b->n;
	put_deployments(b, &b->chunks[0]->payload, end);
	for (i = 0; i < b->n && rv == 0; i++) {
		plan->chunks[i] = (struct plan_chunk){.payload = b->chunks[i]->payload,
						      .evals_only = evals_only,
						      .claims = b->chunks[i]->claims,
						      .releases = b->chunks[i]->releases};
		if (i + 1 == b->n) {
			put_evals(b, &plan->chunks[i], end);
		}
		rv = plan_chunk_encode(&plan->chunks[i]);
	}
	if (rv != 0) {
		plan_close(plan);
		return NULL;
	}
	return plan;
}

void plan_close(struct plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_chunks; i++) {
		buf_close(&plan->chunks[i].command);
	}
}
