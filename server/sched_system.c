/* System and sysbatch jobs: one allocation of each group on every node that can run it.
 *
 * A group with an update block rolls out in a deployment, as those of services do; only that how many it is to have is
 * what has found a node, and that its canaries, a share of what would be replaced, take the place of what ran there. */
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/sched_memory.h"
#include "server/sched_run.h"
#include "server/sched_standing.h"
#include "server/sched_versions.h"

/* What a group has on one node. */
struct seat {
	const struct alloc_row *row; /* It runs there, or is to; NULL: none. */
	uint8_t kind;                /* enum update_kind */
	bool over;                   /* Of a sysbatch job: it has run there. */
};

struct system_group {
	const char *name;
	const struct task_group *group; /* NULL: the job has it no longer. */
	struct seat *seats;             /* By slot. */
	struct desired_updates desired;
	const struct update_strategy *strategy; /* NULL: all at once. */
	struct deployment_group state;          /* In the deployment, if it takes part in one. */
	bool deploys;                           /* Places and updates belong to the deployment. */
	bool canaries;                          /* Only they are placed where an older version runs. */
	bool had_version;                       /* Some allocation was of this version already. */
	int64_t budget;                         /* How many may be replaced now. */
	int64_t taken;                          /* Nodes that have one, or are to. */
	int64_t unplaced;                       /* For so many there is no room. */
	bool limited;                           /* There would have been more to replace. */
};

struct system_run {
	struct run *r;
	bool sysbatch;
	struct deploy_view deploy;
	struct versions versions;
	struct system_group *groups;
	uint32_t n;
	uint32_t cap;
	int64_t followup_ns; /* When a node that is cut off must be looked at; 0: never. */
	struct uuid followup;
};

/* ---- groups ---- */

static struct system_group *group_add(struct system_run *w, const char *name, const struct task_group *group)
{
	struct system_group *g;

	w->groups = arena_grow(&w->r->mem, w->groups, w->n, &w->cap, sizeof(w->groups[0]));
	g = &w->groups[w->n++];
	*g = (struct system_group){.name = name, .group = group, .budget = INT64_MAX};
	g->seats = arena_need(&w->r->mem, w->r->s->nodes.n, sizeof(g->seats[0]));
	object_init(&desired_updates_type, &g->desired);
	object_init(&deployment_group_type, &g->state);
	if (group != NULL && group->update != NULL && group->update->max_parallel.at > 0 && !w->sysbatch) {
		g->strategy = group->update;
	}
	return g;
}

static struct system_group *group_find(struct system_run *w, const char *name)
{
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		if (strcmp(w->groups[i].name, name) == 0) {
			return &w->groups[i];
		}
	}
	return group_add(w, name, NULL);
}

static struct system_group *group_of(struct system_run *w, const struct version *v, const struct alloc_row *row)
{
	int32_t place = v->groups[row->group];

	return place >= 0 ? &w->groups[place] : group_find(w, v->job.task_groups.at[row->group].name);
}

/* ---- what is there ---- */

static void stop(struct system_run *w, struct system_group *g, const struct alloc_row *row, enum fate fate)
{
	const char *why = fate == FATE_MIGRATE ? "alloc not needed as node is tainted" : fate_text(fate);
	const struct change_spec spec = {.row = row,
					 .desired = ALLOC_DESIRED_STOP,
					 .client = fate == FATE_LOST ? ALLOC_CLIENT_LOST : -1,
					 .description = why};

	run_stop(w->r, &spec);
	plan_change(&w->r->build, &spec);
	if (fate == FATE_MIGRATE) {
		g->desired.migrate++;
	} else {
		g->desired.stop++;
	}
}

/* Its node is out of sight: it waits there, for as long as the group allows. */
static bool waits_out(struct system_run *w, struct system_group *g, const struct alloc_row *row)
{
	struct change_spec spec = {.row = row,
				   .desired = -1,
				   .client = ALLOC_CLIENT_UNKNOWN,
				   .client_description = fate_text(FATE_UNKNOWN)};
	const struct node_row *node = state_node(w->r->view, &row->node_id);
	int64_t until = node != NULL ? node->status_time_s * NS_PER_S + group_lost_after_ns(g->group) : 0;

	if (group_lost_after_ns(g->group) == 0 || until <= w->r->now_ns || row->client == ALLOC_CLIENT_PENDING) {
		return false;
	}
	if (row->client != ALLOC_CLIENT_UNKNOWN) {
		if (w->followup_ns == 0) {
			w->followup = run_id(w->r);
		}
		w->followup_ns = until > w->followup_ns ? until : w->followup_ns;
		spec.followup = w->followup;
		plan_change(&w->r->build, &spec);
		g->desired.disconnect++;
	}
	return true;
}

static void seat_take(struct system_run *w, struct system_group *g, const struct version *v,
		      const struct alloc_row *row, uint32_t slot)
{
	struct seat *seat = &g->seats[slot];
	uint8_t kind = (uint8_t)version_kind(&w->versions, v, row);

	if (seat->row != NULL && seat->kind <= kind) {
		stop(w, g, row, FATE_STOP);
		return;
	}
	if (seat->row != NULL) {
		stop(w, g, seat->row, FATE_STOP);
	}
	*seat = (struct seat){.row = row, .kind = kind};
}

static void take_live(struct system_run *w, struct system_group *g, const struct version *v,
		      const struct alloc_row *row)
{
	struct nodes *nodes = &w->r->s->nodes;
	uint32_t slot = nodes_find(nodes, &row->node_id);
	uint32_t flags = slot != NODE_NONE ? nodes->at[slot].flags : 0;

	if (w->r->job.stopped || g->group == NULL) {
		stop(w, g, row, FATE_STOP);
	} else if (slot == NODE_NONE || (flags & NODE_AT_DOWN) != 0 ||
		   ((flags & NODE_AT_DISCONNECTED) != 0 && !waits_out(w, g, row))) {
		stop(w, g, row, FATE_LOST);
	} else if ((row->flags & ALLOC_MIGRATE) != 0) {
		stop(w, g, row, FATE_MIGRATE);
	} else {
		seat_take(w, g, v, row, slot);
	}
}

/* What a sysbatch job has done on a node it does not do again in the same version. */
static void take_over(struct system_run *w, struct system_group *g, const struct alloc_row *row)
{
	uint32_t slot = nodes_find(&w->r->s->nodes, &row->node_id);
	bool ended = row->client == ALLOC_CLIENT_COMPLETE || row->client == ALLOC_CLIENT_FAILED;

	if (w->sysbatch && ended && row->desired == ALLOC_DESIRED_RUN && slot != NODE_NONE &&
	    row_is_current(&w->r->job, row) && (row->flags & ALLOC_FORCE_RESCHEDULE) == 0) {
		g->seats[slot].over = true;
	}
}

static int take_row(struct system_run *w, const struct alloc_row *row)
{
	const struct version *v = version_of(&w->versions, row);
	struct system_group *g;

	if (v == NULL) {
		return ERR_CORRUPT;
	}
	g = group_of(w, v, row);
	g->had_version = g->had_version || row_is_current(&w->r->job, row);
	if (alloc_row_terminal(row)) {
		take_over(w, g, row);
	} else {
		take_live(w, g, v, row);
	}
	return 0;
}

static int take_rows(struct system_run *w)
{
	const struct alloc_row *row;
	struct rows rows;
	int rv = 0;

	if (w->r->job.row == NULL) {
		return 0;
	}
	rows_allocs_of_job(&rows, w->r->view, w->r->job.row);
	while (rv == 0 && (row = alloc_next(&rows)) != NULL) {
		rv = take_row(w, row);
	}
	return rv;
}

/* ---- what is to be there ---- */

static struct group_wish wish_of(struct run *r, const struct system_group *g, const struct alloc_row *previous)
{
	return (struct group_wish){.id = run_id(r),
				   .previous = previous,
				   .canary = g->canaries && previous != NULL,
				   .preferred = NODE_NONE,
				   .key = {.deploys = g->deploys},
				   .changes = previous != NULL};
}

static void update_in_place(struct system_run *w, struct system_group *g, const struct alloc_row *row)
{
	const struct place_spec spec = {.id = row->id,
					.node = row->node_id,
					.group = g->name,
					.index = row->index,
					.use = {row->cpu_mhz, row->memory_mb, row->disk_mb, 1},
					.memory_max_mb = row->memory_max_mb,
					.key = {.deploys = g->deploys},
					.update = true};

	plan_place(&w->r->build, &spec, 0);
	w->r->placed++;
	g->desired.in_place_update++;
}

static bool replace(struct system_run *w, const struct system_group *g, struct group_sched *gs,
		    const struct alloc_row *row, uint32_t slot)
{
	const struct change_spec spec = {
		.row = row, .desired = ALLOC_DESIRED_STOP, .client = -1, .description = fate_text(FATE_REPLACE)};
	struct group_wish wish = wish_of(w->r, g, row);
	struct plan_spot spot;

	run_stop(w->r, &spec);
	rank_count(&gs->rank, slot, true, -1);
	if (!group_sched_place_on(gs, &wish, slot, &spot)) {
		nodes_unclaim(&w->r->s->nodes, &row->id);
		rank_count(&gs->rank, slot, true, 1);
		return false;
	}
	plan_change_with(&w->r->build, spot, &spec);
	return true;
}

static void update_seat(struct system_run *w, struct system_group *g, struct group_sched *gs, uint32_t slot)
{
	const struct seat *seat = &g->seats[slot];
	bool ready = (w->r->s->nodes.at[slot].flags & NODE_AT_READY) != 0;

	g->taken += seat->kind != UPDATE_DESTRUCTIVE || ready;
	if (seat->kind == UPDATE_NONE || (seat->kind == UPDATE_DESTRUCTIVE && !ready)) {
		g->desired.ignore++;
	} else if (seat->kind == UPDATE_IN_PLACE) {
		update_in_place(w, g, seat->row);
	} else if (g->budget <= 0) {
		g->limited = true;
		g->desired.ignore++;
	} else if (replace(w, g, gs, seat->row, slot)) {
		g->budget--;
		g->desired.destructive_update++;
		g->desired.canary += g->canaries;
	} else {
		g->taken--;
		g->unplaced++; /* The old one runs on until there is. */
		g->desired.ignore++;
	}
	rank_settle(&gs->rank, slot);
}

/* Nodes that lack the room are told of together. */
static void tell_failures(struct group_sched *gs, int64_t n)
{
	struct alloc_metric metric;

	if (n == 0) {
		return;
	}
	rank_metric(&gs->rank, &metric);
	metric.node_pool = gs->r->job.job->node_pool;
	metric.allocation_time = run_elapsed_ns(gs->r);
	run_failed(gs->r, gs->group, &metric, n);
	run_eligibility(gs->r, &gs->feasible);
}

static bool fill_seat(struct system_run *w, struct system_group *g, struct group_sched *gs, uint32_t slot)
{
	struct group_wish wish = wish_of(w->r, g, NULL);
	struct plan_spot spot;
	bool placed = group_sched_place_on(gs, &wish, slot, &spot);

	if (placed) {
		rank_settle(&gs->rank, slot);
		g->taken++;
	}
	return placed;
}

/* Where the job may not run any more. Whether the node is ready at the moment is no matter. */
static bool must_go(struct system_run *w, struct group_sched *gs, uint32_t slot)
{
	return !scope_has(&w->r->scope, slot) || feasible_why_not(&gs->feasible, slot) != NULL;
}

static void decide_seats(struct system_run *w, struct system_group *g, struct group_sched *gs)
{
	uint32_t slot;

	for (slot = 0; slot < w->r->s->nodes.n; slot++) {
		struct seat *seat = &g->seats[slot];

		if (seat->row != NULL && must_go(w, gs, slot)) {
			stop(w, g, seat->row, FATE_STOP);
		} else if (seat->row != NULL) {
			rank_count(&gs->rank, slot, true, 1);
			update_seat(w, g, gs, slot);
		} else if (seat->over) {
			rank_settle(&gs->rank, slot);
		}
	}
}

static void fill_seats(struct system_run *w, struct system_group *g, struct group_sched *gs)
{
	uint32_t slot;

	for (slot = 0; slot < w->r->s->nodes.n; slot++) {
		if (g->seats[slot].row == NULL && !g->seats[slot].over && gs->rank.of[slot] != NODE_NONE) {
			g->desired.place++;
			g->unplaced += !fill_seat(w, g, gs, slot);
		}
	}
	tell_failures(gs, g->unplaced);
}

/* ---- how an update rolls out ---- */

/* What there is to change, and what of it is under way. */
struct rollout {
	int64_t destructive;
	int64_t in_place;
	int64_t canaries;
	int64_t unknown; /* Of the deployment, whose health is not known yet. */
};

static struct rollout rollout_of(struct system_run *w, const struct system_group *g, struct group_sched *gs)
{
	struct rollout all = {.destructive = 0};
	uint32_t slot;

	for (slot = 0; slot < w->r->s->nodes.n; slot++) {
		const struct seat *seat = &g->seats[slot];
		bool ready = (w->r->s->nodes.at[slot].flags & NODE_AT_READY) != 0;

		if (seat->row == NULL || must_go(w, gs, slot)) {
			continue;
		}
		all.destructive += seat->kind == UPDATE_DESTRUCTIVE && ready;
		all.in_place += seat->kind == UPDATE_IN_PLACE;
		if (!uuid_is_zero(&w->deploy.id) && uuid_equal(&seat->row->deployment_id, &w->deploy.id)) {
			all.canaries += (seat->row->flags & ALLOC_CANARY) != 0;
			all.unknown += (seat->row->flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY)) == 0;
		}
	}
	return all;
}

/* A share of what is to be replaced, as a percentage, rounded up. */
static int64_t canaries_wanted(const struct update_strategy *s, const struct rollout *all)
{
	int64_t share = ((all->destructive + all->canaries) * s->canary.at + 99) / 100;

	return share < s->max_parallel.at ? share : s->max_parallel.at;
}

/* The part that the group has in the deployment that is there, or in a new one when something of it is new. */
static void join_deployment(struct system_run *w, struct system_group *g, const struct rollout *all)
{
	bool none = uuid_is_zero(&w->deploy.id);
	const struct deployment_group *there = none ? NULL : deploy_group(&w->deploy.object, g->name);

	if (there != NULL) {
		g->state = *there;
		g->deploys = w->deploy.active;
	} else if (none && !w->deploy.over && (!g->had_version || all->destructive + all->in_place > 0)) {
		deploy_group_open(&g->state, g->strategy);
		g->deploys = true;
		if (uuid_is_zero(&w->r->build.deployment_id)) {
			w->r->build.deployment_id = run_id(w->r);
		}
	}
}

static void plan_rollout(struct system_run *w, struct system_group *g, struct group_sched *gs)
{
	struct rollout all;

	if (g->strategy == NULL) {
		return;
	}
	all = rollout_of(w, g, gs);
	join_deployment(w, g, &all);
	g->budget = w->deploy.paused || w->deploy.failed ? 0 : g->strategy->max_parallel.at - all.unknown;
	if (g->deploys && g->strategy->canary.at > 0 && !g->state.promoted && all.destructive > 0 &&
	    w->r->job.version > 0) {
		g->canaries = true;
		g->state.desired_canaries = canaries_wanted(g->strategy, &all);
		if (g->budget > 0) {
			g->budget = g->state.desired_canaries - all.canaries;
		}
	}
}

static int by_group(const void *a, const void *b)
{
	return strcmp((*(const struct system_group *const *)a)->name, (*(const struct system_group *const *)b)->name);
}

static void new_deployment(struct system_run *w)
{
	struct arena *mem = &w->r->mem;
	const struct system_group **in = arena_need(mem, w->n, sizeof(in[0]));
	struct deployment *d = arena_need(mem, 1, sizeof(*d));
	uint32_t i;

	object_init(&deployment_type, d);
	d->task_groups.keys = arena_need(mem, w->n, sizeof(d->task_groups.keys[0]));
	d->task_groups.at = arena_need(mem, w->n, sizeof(d->task_groups.at[0]));
	for (i = 0; i < w->n; i++) {
		if (w->groups[i].deploys && w->groups[i].taken > 0) {
			in[d->task_groups.n++] = &w->groups[i];
		}
	}
	sched_sort(in, d->task_groups.n, sizeof(in[0]), by_group);
	for (i = 0; i < d->task_groups.n; i++) {
		d->task_groups.keys[i] = in[i]->name;
		d->task_groups.at[i] = in[i]->state;
		d->task_groups.at[i].desired_total = in[i]->taken;
	}
	if (d->task_groups.n > 0) {
		deploy_name(d, &w->r->build.deployment_id, &w->r->job, (int)w->r->eval.priority, mem);
		w->r->end.deployment = d;
	}
}

/* Nodes come and go. */
static void same_deployment(struct system_run *w)
{
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		const struct system_group *g = &w->groups[i];
		struct deployment_group *there = g->deploys ? deploy_group(&w->deploy.object, g->name) : NULL;

		if (there != NULL &&
		    (there->desired_total != g->taken || there->desired_canaries != g->state.desired_canaries)) {
			there->desired_total = g->taken;
			there->desired_canaries = g->state.desired_canaries;
			w->r->end.deployment = &w->deploy.object;
		}
	}
}

static void tell_deployment(struct system_run *w)
{
	w->r->end.ended = w->deploy.ended;
	w->r->end.ended_why = w->deploy.ended_why;
	if (w->deploy.active) {
		same_deployment(w);
	} else if (uuid_is_zero(&w->deploy.id) && !w->r->job.stopped) {
		new_deployment(w);
	}
}

static void decide_group(struct system_run *w, struct system_group *g)
{
	struct group_sched gs;

	tally_add(&w->r->queued, g->name, 0, &w->r->mem);
	if (g->group == NULL || w->r->job.stopped) {
		return;
	}
	group_sched_open(&gs, w->r, g->group);
	plan_rollout(w, g, &gs);
	decide_seats(w, g, &gs);
	fill_seats(w, g, &gs);
}

/* ---- the whole ---- */

static void add_eval(struct run *r, enum eval_trigger trigger, const struct uuid *id, int64_t when_ns, const char *why)
{
	struct evaluation eval;

	run_eval(r, trigger, &eval);
	if (id != NULL) {
		eval.id = run_id_text(r, id);
	}
	eval.status = eval_status_text(EVAL_STATUS_PENDING);
	eval.status_description = why;
	eval.wait_until = when_ns;
	run_eval_always(r, &eval);
}

/* What no deployment brings on, as a node that was away when there was one, follows after a while. */
static bool rolls_on(const struct system_run *w, const struct system_group *g)
{
	return g->limited && !g->deploys && !w->deploy.failed;
}

static void add_rolling(struct system_run *w)
{
	struct run *r = w->r;
	int64_t stagger = 0;
	uint32_t i;

	for (i = 0; i < w->n; i++) {
		if (rolls_on(w, &w->groups[i])) {
			int64_t own = w->groups[i].group->update->stagger.at;

			stagger = own > stagger ? own : stagger;
		}
	}
	for (i = 0; i < w->n; i++) {
		if (rolls_on(w, &w->groups[i])) {
			add_eval(r, EVAL_TRIGGER_ROLLING_UPDATE, NULL, r->now_ns + stagger, "");
			r->eval.next_eval = r->evals[r->n_evals - 1].id;
			return;
		}
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct system_group *)a)->name, ((const struct system_group *)b)->name);
}

static void annotate(struct system_run *w)
{
	struct plan_annotations *to = &w->r->annotations;
	uint32_t i;

	sched_sort(w->groups, w->n, sizeof(w->groups[0]), by_name);
	to->desired_tg_updates.keys = arena_need(&w->r->mem, w->n, sizeof(char *));
	to->desired_tg_updates.at = arena_need(&w->r->mem, w->n, sizeof(to->desired_tg_updates.at[0]));
	for (i = 0; i < w->n; i++) {
		to->desired_tg_updates.keys[i] = w->groups[i].name;
		to->desired_tg_updates.at[i] = w->groups[i].desired;
	}
	to->desired_tg_updates.n = w->n;
}

int system_decide(struct run *r)
{
	struct system_run *w = arena_need(&r->mem, 1, sizeof(*w));
	uint32_t i;
	int rv;

	w->r = r;
	w->sysbatch = strcmp(r->job.job->type, job_type_text(JOB_TYPE_SYSBATCH)) == 0;
	w->versions = (struct versions){.job = &r->job, .mem = &r->mem};
	for (i = 0; i < r->job.job->task_groups.n; i++) {
		group_add(w, r->job.job->task_groups.at[i].name, &r->job.job->task_groups.at[i]);
	}
	rv = deploy_view_load(r->view, &r->job, &r->mem, &w->deploy);
	if (rv == 0) {
		rv = take_rows(w);
	}
	if (rv != 0) {
		return rv;
	}
	r->build.deployment_id = w->deploy.active ? w->deploy.id : (struct uuid){0};
	for (i = 0; i < w->n; i++) {
		decide_group(w, &w->groups[i]);
	}
	if (w->followup_ns != 0) {
		add_eval(r, EVAL_TRIGGER_MAX_DISCONNECT_TIMEOUT, &w->followup, w->followup_ns,
			 "created for delayed disconnect timeout");
	}
	add_rolling(w);
	tell_deployment(w);
	run_preempted(r);
	annotate(w);
	return 0;
}
