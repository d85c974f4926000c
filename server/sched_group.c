#include <string.h>

#include "server/sched_memory.h"
#include "server/sched_run.h"

enum {
	METRICS_EXACT = 10,  /* So many placements of a group have metrics of their own; */
	METRICS_EVERY = 100, /* then they share, as each takes as much memory as its allocation. */
};

void group_sched_open(struct group_sched *gs, struct run *r, const struct task_group *group)
{
	struct rank_input in = {.nodes = &r->s->nodes,
				.view = r->view,
				.scope = &r->scope,
				.feasible = &gs->feasible,
				.ask = &gs->ask,
				.job = r->job.job,
				.group = group,
				.spread_nodes = r->spread_nodes,
				.random = run_random(r),
				.mem = &r->mem};

	memset(gs, 0, sizeof(*gs));
	gs->r = r;
	gs->group = group;
	feasible_open(&gs->feasible, &r->s->nodes, r->job.job, group, &r->mem);
	ask_open(&gs->ask, group, r->oversubscribe, &r->mem);
	rank_open(&gs->rank, &in);
}

/* ---- metrics ---- */

static struct bytes pack_metric(struct run *r, const struct alloc_metric *metric)
{
	struct buf buf = {0};
	struct bytes bytes;
	uint8_t *at;

	pack_encode(&alloc_metric_type, metric, &buf);
	sched_got(buf.failed ? NULL : r);
	at = arena_need(&r->mem, buf.len, 1);
	memcpy(at, buf.at, buf.len);
	bytes = (struct bytes){at, (uint32_t)buf.len};
	buf_close(&buf);
	return bytes;
}

static void metric_now(struct group_sched *gs, struct alloc_metric *out)
{
	rank_metric(&gs->rank, out);
	out->node_pool = gs->r->job.job->node_pool;
	out->allocation_time = run_elapsed_ns(gs->r);
}

static void metric_take(struct group_sched *gs)
{
	struct alloc_metric metric;

	if (gs->placed < METRICS_EXACT || gs->placed % METRICS_EVERY == 0) {
		metric_now(gs, &metric);
		gs->metric = pack_metric(gs->r, &metric);
	}
	gs->placed++;
}

void group_sched_fail(struct group_sched *gs, int64_t n)
{
	struct alloc_metric metric = {0};

	run_failed(gs->r, gs->group, &metric, n);
}

static void tell_failure(struct group_sched *gs)
{
	struct alloc_metric metric;

	if (gs->full) {
		group_sched_fail(gs, 1);
		return;
	}
	metric_now(gs, &metric);
	run_failed(gs->r, gs->group, &metric, 1);
	run_eligibility(gs->r, &gs->feasible);
	gs->full = true;
}

/* ---- what the allocation's row says besides ---- */

static bool server_says(const struct alloc_server *server)
{
	return server->ports.n + server->networks.n + server->tasks.n + server->preempted.n > 0 ||
	       server->reschedule_tracker != NULL;
}

static void put_preempted(struct run *r, struct alloc_server *server, const struct eviction *e)
{
	const char **ids = arena_need(&r->mem, e->n, sizeof(ids[0]));
	uint32_t i;

	for (i = 0; i < e->n; i++) {
		ids[i] = run_id_text(r, &e->rows[i]->id);
	}
	server->preempted.at = ids;
	server->preempted.n = e->n;
}

/* ---- adding to the plan ---- */

struct decision {
	uint32_t slot;
	struct alloc_server server;
	struct eviction eviction;
};

static const struct holds *holds_of(struct run *r, const struct alloc_server *server)
{
	struct holds *holds;

	if (server->ports.n + server->tasks.n == 0) {
		return NULL;
	}
	holds = arena_need(&r->mem, 1, sizeof(*holds));
	alloc_server_holds(server, holds, &r->mem);
	return holds;
}

static void add_place(struct group_sched *gs, const struct group_wish *wish, const struct decision *d,
		      struct plan_spot *spot)
{
	struct run *r = gs->r;
	const struct node_more *more = &r->s->nodes.more[d->slot];
	struct alloc_server *server = NULL;
	struct place_spec spec = {.id = wish->id,
				  .node = more->id,
				  .group = gs->group->name,
				  .index = wish->index,
				  .memory_max_mb = gs->ask.memory_max_mb,
				  .key = wish->key,
				  .metric = gs->metric,
				  .previous = wish->previous != NULL ? &wish->previous->id : NULL,
				  .canary = wish->canary};

	if (server_says(&d->server)) {
		server = arena_need(&r->mem, 1, sizeof(*server));
		*server = d->server;
	}
	spec.server = server;
	spec.use = ask_use(&gs->ask, &r->s->nodes.at[d->slot]);
	spec.holds = holds_of(r, &d->server);
	nodes_claim(&r->s->nodes, d->slot, &wish->id, &spec.use, spec.holds, false, r->owner);
	rank_count(&gs->rank, d->slot, true, 1);
	*spot = plan_place(&r->build, &spec, wish->changes + d->eviction.n);
	r->placed++;
}

/* ---- preemption ---- */

static void evict(struct run *r, const struct eviction *e, const struct uuid *for_id, struct plan_spot spot)
{
	uint32_t i;

	for (i = 0; i < e->n; i++) {
		char why[64] = "Preempted by alloc ID ";
		struct change_spec spec = {
			.row = e->rows[i], .desired = ALLOC_DESIRED_EVICT, .client = -1, .preempted_by = *for_id};

		strcat(why, run_id_text(r, for_id));
		spec.description = sched_got(arena_strdup(&r->mem, why));
		plan_change_with(&r->build, spot, &spec);
		r->preempted.at =
			arena_grow(&r->mem, r->preempted.at, r->preempted.n, &r->preempted.cap, sizeof(e->rows[0]));
		r->preempted.at[r->preempted.n++] = e->rows[i];
	}
}

/* Free what the evicted take, see whether it is enough, and give it back if not. */
static bool try_eviction(struct group_sched *gs, const struct group_wish *wish, struct decision *d)
{
	struct run *r = gs->r;
	struct rank_wish only = {.preferred = d->eviction.slot, .random = run_random(r)};
	uint32_t i;

	for (i = 0; i < d->eviction.n; i++) {
		run_stop(r, &(struct change_spec){.row = d->eviction.rows[i]});
	}
	rank_touch(&gs->rank, d->eviction.slot);
	only.penalties = wish->penalties;
	only.n_penalties = wish->n_penalties;
	d->slot = rank_pick(&gs->rank, &only, &d->server);
	if (d->slot == d->eviction.slot) {
		return true;
	}
	for (i = 0; i < d->eviction.n; i++) {
		nodes_unclaim(&r->s->nodes, &d->eviction.rows[i]->id);
	}
	rank_touch(&gs->rank, d->eviction.slot);
	return false;
}

static bool place_by_force(struct group_sched *gs, const struct group_wish *wish, uint32_t slot, struct decision *d)
{
	struct run *r = gs->r;

	if (!run_preempts(r) || !preempt_find(r, &gs->rank, &gs->ask, slot, &d->eviction) ||
	    !try_eviction(gs, wish, d)) {
		d->eviction.n = 0;
		return false;
	}
	put_preempted(r, &d->server, &d->eviction);
	return true;
}

/* The jobs of what was preempted look for other places. */
void run_preempted(struct run *r)
{
	uint32_t i;
	uint32_t j;

	for (i = 0; i < r->preempted.n; i++) {
		const struct job_row *job = r->preempted.at[i]->job;
		struct evaluation eval;

		for (j = 0; j < i && r->preempted.at[j]->job->create_index != job->create_index; j++) {
		}
		if (j < i) {
			continue;
		}
		run_eval(r, EVAL_TRIGGER_PREEMPTION, &eval);
		eval.namespace_ = job_row_ns(job);
		eval.job_id = job_row_id(job);
		eval.priority = job->priority;
		eval.type = job_type_text(job->type);
		eval.job_modify_index = (int64_t)job->job_modify_index;
		eval.status = eval_status_text(EVAL_STATUS_PENDING);
		run_eval_always(r, &eval);
	}
}

/* ---- placing ---- */

static void finish_place(struct group_sched *gs, const struct group_wish *wish, struct decision *d,
			 struct plan_spot *spot)
{
	d->server.reschedule_tracker = (struct reschedule_tracker *)(uintptr_t)wish->tracker;
	metric_take(gs);
	add_place(gs, wish, d, spot);
	evict(gs->r, &d->eviction, &wish->id, *spot);
}

bool group_sched_place(struct group_sched *gs, const struct group_wish *wish, struct plan_spot *spot)
{
	struct rank_wish rank_wish = {.penalties = wish->penalties,
				      .n_penalties = wish->n_penalties,
				      .preferred = wish->preferred,
				      .random = run_random(gs->r)};
	struct decision d = {.slot = NODE_NONE};
	bool frees = wish->changes > 0 && !alloc_row_terminal(wish->previous);

	/* Where one attempt found no room the next will not, unless it makes some. */
	if (gs->full && !frees) {
		tell_failure(gs);
		return false;
	}
	d.slot = rank_pick(&gs->rank, &rank_wish, &d.server);
	if (d.slot == NODE_NONE && !place_by_force(gs, wish, NODE_NONE, &d)) {
		tell_failure(gs);
		return false;
	}
	finish_place(gs, wish, &d, spot);
	return true;
}

bool group_sched_place_on(struct group_sched *gs, const struct group_wish *wish, uint32_t slot, struct plan_spot *spot)
{
	struct decision d = {.slot = NODE_NONE};

	if (!rank_try(&gs->rank, slot, run_random(gs->r), &d.server)) {
		if (!place_by_force(gs, wish, slot, &d)) {
			return false;
		}
	} else {
		d.slot = slot;
	}
	finish_place(gs, wish, &d, spot);
	return true;
}
