/* Service and batch jobs: so many allocations of each group, wherever they fit best. */
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/sched_memory.h"
#include "server/sched_retry.h"
#include "server/sched_run.h"
#include "server/sched_standing.h"

/* ---- may an allocation stay where it is? ---- */

struct stay {
	struct run *r;
	struct feasible *groups; /* Of the job's groups, compiled when first asked for. */
	bool *open;
};

static bool may_stay(void *ctx, const struct group_plan *group, const struct alloc_row *row)
{
	struct stay *s = ctx;
	struct run *r = s->r;
	uint32_t slot = nodes_find(&r->s->nodes, &row->node_id);
	size_t i = (size_t)(group->group - r->job.job->task_groups.at);

	if (slot == NODE_NONE || !scope_has(&r->scope, slot)) {
		return false;
	}
	if (!s->open[i]) {
		feasible_open(&s->groups[i], &r->s->nodes, r->job.job, group->group, &r->mem);
		s->open[i] = true;
	}
	return feasible_why_not(&s->groups[i], slot) == NULL;
}

static void stay_open(struct stay *s, struct run *r)
{
	uint32_t n = r->job.job->task_groups.n;

	s->r = r;
	s->groups = arena_need(&r->mem, n, sizeof(s->groups[0]));
	s->open = arena_need(&r->mem, n, sizeof(s->open[0]));
}

/* ---- changes of what is there ---- */

/* Stops that come whatever becomes of the places. */
static bool stops_anyway(const struct member *m)
{
	switch (m->fate) {
	case FATE_STOP:
	case FATE_STOP_RECONNECT:
	case FATE_LOST:
	case FATE_MIGRATE:
		return true;
	default:
		return false;
	}
}

static struct change_spec stop_spec(const struct member *m)
{
	return (struct change_spec){.row = m->row,
				    .desired = ALLOC_DESIRED_STOP,
				    .client = m->fate == FATE_LOST ? ALLOC_CLIENT_LOST : -1,
				    .description = fate_text((enum fate)m->fate)};
}

static void note_unknown(struct run *r, const struct member *m)
{
	struct change_spec spec = {.row = m->row, .desired = -1, .client = -1, .followup = m->followup};

	if (m->row->client != ALLOC_CLIENT_UNKNOWN) {
		spec.client = ALLOC_CLIENT_UNKNOWN;
		spec.client_description = fate_text((enum fate)m->fate);
	}
	if (spec.client >= 0 || !uuid_is_zero(&spec.followup)) {
		plan_change(&r->build, &spec);
	}
}

static void change_member(struct run *r, const struct member *m)
{
	if (stops_anyway(m)) {
		const struct change_spec spec = stop_spec(m);

		run_stop(r, &spec);
		plan_change(&r->build, &spec);
	} else if (m->fate == FATE_UNKNOWN || m->fate == FATE_PARK) {
		note_unknown(r, m);
	} else if (!uuid_is_zero(&m->followup)) {
		plan_change(&r->build,
			    &(struct change_spec){.row = m->row, .desired = -1, .client = -1, .followup = m->followup});
	}
}

static void change_members(struct run *r, const struct reconcile *rec)
{
	uint32_t i;
	uint32_t j;

	for (i = 0; i < rec->n_groups; i++) {
		for (j = 0; j < rec->groups[i].n_members; j++) {
			change_member(r, &rec->groups[i].members[j]);
		}
	}
}

static void add_followups(struct run *r, const struct reconcile *rec)
{
	uint32_t i;

	for (i = 0; i < rec->n_followups; i++) {
		const struct followup *f = &rec->followups[i];
		struct evaluation eval;

		run_eval(r, f->trigger, &eval);
		eval.id = run_id_text(r, &f->id);
		eval.status = eval_status_text(EVAL_STATUS_PENDING);
		eval.status_description = f->description;
		eval.wait_until = f->when_ns;
		run_eval_always(r, &eval);
	}
}

/* ---- updates in place ---- */

static void update_one(struct run *r, const struct group_plan *g, const struct member *m)
{
	struct place_spec spec = {.id = m->row->id,
				  .node = m->row->node_id,
				  .group = g->name,
				  .index = m->index,
				  .use = {m->row->cpu_mhz, m->row->memory_mb, m->row->disk_mb, 1},
				  .memory_max_mb = m->row->memory_max_mb,
				  .key = {.deploys = g->deploys},
				  .update = true};

	plan_place(&r->build, &spec, 0);
	r->placed++;
}

static void update_members(struct run *r, const struct group_plan *g)
{
	uint32_t i;

	for (i = 0; i < g->n_members; i++) {
		if (g->members[i].fate == FATE_IN_PLACE) {
			update_one(r, g, &g->members[i]);
		}
	}
}

/* ---- places ---- */

/* Whether it goes on where it is, for what looks at how many there are. */
static bool remains(const struct member *m)
{
	return !alloc_row_terminal(m->row) && !stops_anyway(m);
}

static void count_members(struct group_sched *gs, const struct reconcile *rec)
{
	struct nodes *nodes = &gs->r->s->nodes;
	uint32_t i;
	uint32_t j;

	for (i = 0; i < rec->n_groups; i++) {
		const struct group_plan *g = &rec->groups[i];

		for (j = 0; j < g->n_members; j++) {
			uint32_t slot = remains(&g->members[j]) ? nodes_find(nodes, &g->members[j].row->node_id)
								: (uint32_t)NODE_NONE;

			if (slot != NODE_NONE) {
				rank_count(&gs->rank, slot, g->group == gs->group, 1);
			}
		}
	}
}

/* Allocations of the job's other groups that this plan has placed already. */
static void count_placed(struct group_sched *gs)
{
	struct run *r = gs->r;
	uint32_t i;
	uint32_t j;

	for (i = 0; i < r->build.n; i++) {
		const struct chunk_build *c = r->build.chunks[i];

		for (j = 0; j < c->payload.places.n; j++) {
			uint32_t slot = nodes_find(&r->s->nodes, &c->claims[j].node);

			if (!c->claims[j].update && slot != NODE_NONE) {
				rank_count(&gs->rank, slot, false, 1);
			}
		}
	}
}

static bool counts_matter(const struct group_sched *gs)
{
	uint32_t i;

	for (i = 0; i < gs->feasible.n_distincts; i++) {
		if (gs->feasible.distincts[i].whole_job) {
			return true;
		}
	}
	return gs->feasible.distinct_hosts_job;
}

static uint32_t slot_of_text(const struct nodes *nodes, const char *text)
{
	struct uuid id;

	return uuid_parse(text, strlen(text), &id) ? nodes_find(nodes, &id) : (uint32_t)NODE_NONE;
}

/* Where it has failed before, it is not to go again if there is another way. */
static void put_penalties(struct run *r, const struct alloc_row *row, const struct reschedule_tracker *tracker,
			  struct group_wish *wish)
{
	uint32_t n = tracker != NULL ? tracker->events.n : 0;
	uint32_t *slots = arena_need(&r->mem, n + 1, sizeof(slots[0]));
	uint32_t i;

	slots[0] = nodes_find(&r->s->nodes, &row->node_id);
	for (i = 0; i < n; i++) {
		slots[i + 1] = slot_of_text(&r->s->nodes, tracker->events.at[i].prev_node_id);
	}
	wish->penalties = slots;
	wish->n_penalties = n + 1;
}

static int put_retry(struct run *r, const struct group_plan *g, const struct member *m, struct group_wish *wish)
{
	struct reschedule_event event = {.reschedule_time = r->now_ns, .delay = m->delay_ns};
	struct alloc_server server;

	if (alloc_row_server(m->row, &server, &r->mem) != 0) {
		return ERR_CORRUPT;
	}
	event.prev_alloc_id = run_id_text(r, &m->row->id);
	event.prev_node_id = run_id_text(r, &m->row->node_id);
	wish->tracker = retry_track(g->group->reschedule_policy, server.reschedule_tracker, &event, &r->mem);
	put_penalties(r, m->row, server.reschedule_tracker, wish);
	return 0;
}

/* A sticky disk is where the previous allocation ran; but not when it failed there. */
static uint32_t preferred_slot(struct run *r, const struct group_plan *g, const struct member *m)
{
	bool sticky = g->group->ephemeral_disk != NULL && g->group->ephemeral_disk->sticky;

	return sticky && m->fate == FATE_REPLACE ? nodes_find(&r->s->nodes, &m->row->node_id) : (uint32_t)NODE_NONE;
}

static int wish_of(struct run *r, const struct group_plan *g, const struct place *p, struct group_wish *out)
{
	*out = (struct group_wish){.id = run_id(r),
				   .index = p->index,
				   .canary = p->canary,
				   .preferred = NODE_NONE,
				   .key = {.version = p->version, .deploys = g->deploys && p->version == NULL},
				   .changes = p->stops};
	if (p->previous == NULL) {
		return 0;
	}
	out->previous = p->previous->row;
	out->preferred = preferred_slot(r, g, p->previous);
	return p->previous->fate == FATE_RETRY ? put_retry(r, g, p->previous, out) : 0;
}

/* The old allocation makes room for the new one, if that is placed. */
static void free_previous(struct group_sched *gs, const struct member *m, int by)
{
	struct nodes *nodes = &gs->r->s->nodes;
	uint32_t slot = nodes_find(nodes, &m->row->node_id);

	if (by < 0) {
		run_stop(gs->r, &(struct change_spec){.row = m->row});
	} else {
		nodes_unclaim(nodes, &m->row->id);
	}
	if (slot != NODE_NONE && !alloc_row_terminal(m->row)) {
		rank_count(&gs->rank, slot, true, by);
	}
}

static int place_one(struct group_sched *gs, const struct group_plan *g, const struct place *p)
{
	struct group_wish wish;
	struct plan_spot spot;
	int rv = wish_of(gs->r, g, p, &wish);

	if (rv != 0) {
		return rv;
	}
	if (p->stops) {
		free_previous(gs, p->previous, -1);
	}
	if (group_sched_place(gs, &wish, &spot)) {
		if (p->stops) {
			const struct change_spec spec = stop_spec(p->previous);

			plan_change_with(&gs->r->build, spot, &spec);
		}
	} else if (p->stops) {
		free_previous(gs, p->previous, 1);
	}
	return 0;
}

/* New ones, until there is no more room, or too many for one evaluation. */
static int place_fresh(struct group_sched *gs, struct group_plan *g, const struct place *p)
{
	struct place one = *p;
	int rv = 0;
	int64_t i;

	for (i = 0; i < p->n && rv == 0; i++) {
		if (gs->full) {
			group_sched_fail(gs, p->n - i);
			return 0;
		}
		if (gs->r->placed >= RUN_PLACES_MAX) {
			tally_add(&gs->r->queued, g->name, p->n - i, &gs->r->mem);
			gs->r->unfinished = true;
			return 0;
		}
		one.index = names_next(&g->names);
		rv = place_one(gs, g, &one);
	}
	return rv;
}

static int place_group(struct run *r, const struct reconcile *rec, struct group_plan *g)
{
	struct group_sched gs;
	int rv = 0;
	uint32_t i;

	tally_add(&r->queued, g->name, 0, &r->mem);
	if (g->n_places == 0) {
		return 0;
	}
	group_sched_open(&gs, r, g->group);
	count_members(&gs, rec);
	if (counts_matter(&gs)) {
		count_placed(&gs);
	}
	for (i = 0; i < g->n_places && rv == 0; i++) {
		const struct place *p = &g->places[i];

		rv = p->fresh ? place_fresh(&gs, g, p) : place_one(&gs, g, p);
	}
	return rv;
}

/* ---- the whole ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct group_plan *const *)a)->name, (*(const struct group_plan *const *)b)->name);
}

static void annotate(struct run *r, const struct reconcile *rec)
{
	const struct group_plan **order = arena_need(&r->mem, rec->n_groups, sizeof(order[0]));
	uint32_t i;

	for (i = 0; i < rec->n_groups; i++) {
		order[i] = &rec->groups[i];
	}
	sched_sort(order, rec->n_groups, sizeof(order[0]), by_name);
	r->annotations.desired_tg_updates.keys = arena_need(&r->mem, rec->n_groups, sizeof(char *));
	r->annotations.desired_tg_updates.at =
		arena_need(&r->mem, rec->n_groups, sizeof(r->annotations.desired_tg_updates.at[0]));
	for (i = 0; i < rec->n_groups; i++) {
		r->annotations.desired_tg_updates.keys[i] = order[i]->name;
		r->annotations.desired_tg_updates.at[i] = order[i]->desired;
	}
	r->annotations.desired_tg_updates.n = rec->n_groups;
}

static int reconcile_job(struct run *r, struct reconcile *rec)
{
	struct stay stay;
	struct reconcile_input in = {.view = r->view,
				     .nodes = &r->s->nodes,
				     .job = &r->job,
				     .eval = r->build.eval,
				     .priority = (int)r->eval.priority,
				     .now_ns = r->now_ns,
				     .seed = r->seed,
				     .ids = &r->ids,
				     .may_stay = may_stay,
				     .ctx = &stay,
				     .mem = &r->mem};

	stay_open(&stay, r);
	return reconcile(&in, rec);
}

int generic_decide(struct run *r)
{
	struct reconcile *rec = arena_need(&r->mem, 1, sizeof(*rec));
	int rv = reconcile_job(r, rec);
	uint32_t i;

	if (rv != 0) {
		return rv;
	}
	r->build.deployment_id = rec->deployment_id;
	r->end.deployment = rec->deployment;
	r->end.ended = rec->ended;
	r->end.ended_why = rec->ended_why;
	add_followups(r, rec);
	change_members(r, rec);
	for (i = 0; i < rec->n_groups; i++) {
		update_members(r, &rec->groups[i]);
	}
	for (i = 0; i < rec->n_groups && rv == 0; i++) {
		rv = rec->groups[i].group != NULL ? place_group(r, rec, &rec->groups[i]) : 0;
	}
	run_preempted(r);
	annotate(r, rec);
	return rv;
}
