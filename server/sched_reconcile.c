#include "server/sched_reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/sched_memory.h"
#include "server/sched_standing.h"
#include "server/sched_versions.h"

static const int64_t followup_window_ns = 5 * NS_PER_S; /* What is due within one is looked at by one evaluation. */

const char *fate_text(enum fate fate)
{
	static const char *const texts[] = {
#define X(id, text) text,
		FATE_LIST(X)
#undef X
	};

	return texts[fate];
}

/* ---- what is at work ---- */

struct work {
	const struct reconcile_input *in;
	struct reconcile *out;
	struct deploy_view deploy;
	struct versions versions;
};

/* One group. */
struct group_work {
	struct work *w;
	struct group_plan *g;
	int64_t want;
	const struct update_strategy *strategy; /* NULL: all at once. */
	bool has_state;                         /* In the deployment that is there. */
	bool canaries;                          /* They run, and wait for promotion. */
	int64_t budget; /* How many may be replaced now. */
	uint32_t n_destructive;
	bool had_version; /* Some allocation was of this version already. */
};

static struct uuid new_id(const struct reconcile_input *in)
{
	return uuid_derive(&in->seed, (*in->ids)++);
}

/* ---- groups and versions ---- */

static uint32_t group_add(struct work *w, const char *name, const struct task_group *group)
{
	struct reconcile *out = w->out;

	out->groups = arena_grow(w->in->mem, out->groups, out->n_groups, &out->groups_cap, sizeof(out->groups[0]));
	out->groups[out->n_groups] = (struct group_plan){.name = name, .group = group};
	object_init(&deployment_group_type, &out->groups[out->n_groups].state);
	object_init(&desired_updates_type, &out->groups[out->n_groups].desired);
	return out->n_groups++;
}

static uint32_t group_find(struct work *w, const char *name)
{
	uint32_t i;

	for (i = 0; i < w->out->n_groups; i++) {
		if (strcmp(w->out->groups[i].name, name) == 0) {
			return i;
		}
	}
	return group_add(w, name, NULL);
}

/* Where an allocation belongs, by the name of its group. */
static struct group_plan *group_of(struct work *w, const struct version *v, const struct alloc_row *row)
{
	int32_t place = v->groups[row->group];

	return &w->out->groups[place >= 0 ? (uint32_t)place : group_find(w, v->job.task_groups.at[row->group].name)];
}

static int member_add(struct work *w, const struct alloc_row *row)
{
	const struct version *v = version_of(&w->versions, row);
	struct group_plan *g;
	struct member m = {.row = row, .index = row->index};
	int rv;

	if (v == NULL) {
		return ERR_CORRUPT;
	}
	g = group_of(w, v, row);
	m.kind = (uint8_t)version_kind(&w->versions, v, row);
	rv = standing_find(w->in, &w->deploy, g->group, &m);
	if (rv != 0 || m.standing == STANDING_GONE) {
		return rv;
	}
	g->members = arena_grow(w->in->mem, g->members, g->n_members, &g->members_cap, sizeof(g->members[0]));
	g->members[g->n_members++] = m;
	return 0;
}

static int members_load(struct work *w)
{
	const struct alloc_row *row;
	struct rows r;
	int rv = 0;

	if (w->in->job->row == NULL) {
		return 0;
	}
	rows_allocs_of_job(&r, w->in->view, w->in->job->row);
	while (rv == 0 && (row = alloc_next(&r)) != NULL) {
		rv = member_add(w, row);
	}
	return rv;
}

/* ---- fates ---- */

static const uint8_t first_fates[] = {
	[STANDING_GONE] = FATE_KEEP,         [STANDING_DONE] = FATE_KEEP,     [STANDING_ALIVE] = FATE_KEEP,
	[STANDING_FAILED] = FATE_KEEP,       [STANDING_WAITING] = FATE_LATER, [STANDING_RETRY] = FATE_RETRY,
	[STANDING_MIGRATING] = FATE_MIGRATE, [STANDING_LOST] = FATE_LOST,     [STANDING_CUT_OFF] = FATE_UNKNOWN,
	[STANDING_UNKNOWN] = FATE_KEEP,      [STANDING_PARKED] = FATE_PARK,   [STANDING_RETURNED] = FATE_KEEP,
};

/* Whether it counts as one of the group's allocations: it is there, or will be replaced. */
static bool occupies(const struct member *m)
{
	return m->standing != STANDING_UNKNOWN && m->fate != FATE_STOP && m->fate != FATE_STOP_RECONNECT &&
	       !m->canary && !(m->fate == FATE_LOST && !m->replaced);
}

static bool is_live_canary(const struct member *m)
{
	return m->canary && m->fate != FATE_STOP;
}

static bool may_be_stopped(const struct member *m)
{
	return m->standing != STANDING_DONE && !alloc_row_client_terminal(m->row);
}

static void stop_all(struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		struct member *m = &gw->g->members[i];

		if (m->fate != FATE_LOST && may_be_stopped(m)) {
			m->fate = FATE_STOP;
		} else if (m->fate != FATE_LOST) {
			m->fate = FATE_KEEP;
		}
	}
}

/* Canaries of a deployment that is not under way any more were never promoted: they are in the way. */
static void sort_canaries(struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		struct member *m = &gw->g->members[i];

		if ((m->row->flags & ALLOC_CANARY) == 0) {
			continue;
		}
		m->canary = gw->canaries && uuid_equal(&m->row->deployment_id, &gw->w->deploy.id);
		if (!m->canary && may_be_stopped(m) && m->fate != FATE_LOST) {
			m->fate = FATE_STOP;
		}
	}
}

/* ---- those that came back ---- */

static struct member *member_find(struct group_plan *g, const struct uuid *id)
{
	uint32_t i;

	for (i = 0; i < g->n_members; i++) {
		if (uuid_equal(&g->members[i].row->id, id)) {
			return &g->members[i];
		}
	}
	return NULL;
}

/* The score that its node had when it was placed; 0 when that was not recorded. */
static double score_of(const struct alloc_row *row, struct arena *mem)
{
	struct alloc_metric metric;
	char id[UUID_TEXT];
	uint32_t i;

	uuid_format(&row->node_id, id);
	if (alloc_row_metrics(row, &metric, mem) != 0) {
		return 0;
	}
	for (i = 0; i < metric.score_meta_data.n; i++) {
		if (strcmp(metric.score_meta_data.at[i].node_id, id) == 0) {
			return metric.score_meta_data.at[i].norm_score;
		}
	}
	return 0;
}

static bool keeps_original(const struct group_work *gw, const struct member *original, const struct member *other)
{
	const struct disconnect_strategy *d = gw->g->group->disconnect;
	const char *how = d != NULL ? d->reconcile : "";

	if (original->kind == UPDATE_DESTRUCTIVE || other->standing != STANDING_ALIVE) {
		return original->kind != UPDATE_DESTRUCTIVE;
	}
	if (strcmp(how, "keep_original") == 0 || strcmp(how, "longest_running") == 0) {
		return true;
	}
	return strcmp(how, "keep_replacement") != 0 &&
	       score_of(original->row, gw->w->in->mem) >= score_of(other->row, gw->w->in->mem);
}

static int settle_return(struct group_work *gw, struct member *m)
{
	struct alloc_server server;
	struct member *other;
	struct uuid next;

	if (alloc_row_server(m->row, &server, gw->w->in->mem) != 0) {
		return ERR_CORRUPT;
	}
	other = bytes_uuid(&server.next, &next) ? member_find(gw->g, &next) : NULL;
	m->standing = STANDING_ALIVE;
	if (other == NULL) {
		return 0;
	}
	gw->g->desired.reconnect++;
	if (keeps_original(gw, m, other)) {
		other->fate = may_be_stopped(other) ? FATE_STOP_RECONNECT : FATE_STOP;
	} else {
		m->fate = FATE_STOP_RECONNECT;
	}
	return 0;
}

static int settle_returns(struct group_work *gw)
{
	int rv = 0;
	uint32_t i;

	for (i = 0; i < gw->g->n_members && rv == 0; i++) {
		if (gw->g->members[i].standing == STANDING_RETURNED) {
			rv = settle_return(gw, &gw->g->members[i]);
		}
	}
	return rv;
}

/* ---- too many ---- */

/* The lower, the more it is worth keeping. */
static int worth(const struct member *m)
{
	switch (m->standing) {
	case STANDING_DONE:
		return 0;
	case STANDING_ALIVE:
	case STANDING_FAILED:
	case STANDING_WAITING:
	case STANDING_PARKED:
		return 1;
	case STANDING_RETRY:
	case STANDING_MIGRATING:
		return 2;
	default:
		return 3;
	}
}

static int by_worth(const void *a, const void *b)
{
	const struct member *x = *(const struct member *const *)a;
	const struct member *y = *(const struct member *const *)b;
	int rv = worth(x) - worth(y);

	if (rv == 0) {
		rv = (x->index > y->index) - (x->index < y->index);
	}
	if (rv == 0) { /* Of two with the same name the one that need not be updated. */
		rv = (int)x->kind - (int)y->kind;
	}
	return rv != 0 ? rv : memcmp(&x->row->id, &y->row->id, sizeof(x->row->id));
}

static void drop(struct member *m)
{
	if (m->fate == FATE_LOST) {
		m->replaced = false;
	} else if (m->fate != FATE_MIGRATE && m->standing != STANDING_DONE) {
		m->fate = FATE_STOP;
	}
}

/* Of those that are worth most as many as are wanted stay, one for each name. */
static void drop_surplus(struct group_work *gw)
{
	struct group_plan *g = gw->g;
	struct member **order = arena_need(gw->w->in->mem, g->n_members, sizeof(order[0]));
	uint32_t n = 0;
	int64_t kept = 0;
	uint32_t i;

	for (i = 0; i < g->n_members; i++) {
		g->members[i].replaced = g->members[i].fate != FATE_KEEP && g->members[i].fate != FATE_LATER &&
					 g->members[i].fate != FATE_PARK;
		if (occupies(&g->members[i])) {
			order[n++] = &g->members[i];
		}
	}
	sched_sort(order, n, sizeof(order[0]), by_worth);
	for (i = 0; i < n; i++) {
		if (kept < gw->want && names_take(&gw->g->names, order[i]->index)) {
			kept++;
		} else {
			drop(order[i]);
			order[i]->replaced = false;
		}
	}
}

/* ---- updates ---- */

static void judge_update(struct group_work *gw, struct member *m)
{
	bool runs = m->standing == STANDING_ALIVE;

	if ((m->fate != FATE_KEEP && m->fate != FATE_LATER) || m->canary ||
	    (!runs && m->standing != STANDING_FAILED && m->standing != STANDING_WAITING)) {
		return;
	}
	m->update = m->kind;
	if (m->update == UPDATE_IN_PLACE && runs && !gw->w->in->may_stay(gw->w->in->ctx, gw->g, m->row)) {
		m->update = UPDATE_DESTRUCTIVE;
	}
	if (m->update == UPDATE_IN_PLACE) {
		m->fate = runs ? FATE_IN_PLACE : m->fate;
	}
	gw->n_destructive += m->update == UPDATE_DESTRUCTIVE;
}

static void judge_updates(struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		judge_update(gw, &gw->g->members[i]);
	}
}

/* ---- places ---- */

static struct place *place_add(struct group_work *gw, const struct place *place)
{
	struct group_plan *g = gw->g;

	g->places = arena_grow(gw->w->in->mem, g->places, g->n_places, &g->places_cap, sizeof(g->places[0]));
	g->places[g->n_places] = *place;
	if (!place->fresh) {
		g->places[g->n_places].n = 1;
	}
	return &g->places[g->n_places++];
}

static bool is_frozen(const struct group_work *gw)
{
	return gw->has_state && (gw->w->deploy.paused || gw->w->deploy.failed);
}

/* While canaries run the others stay as they are. */
static const struct job_row *version_for(const struct group_work *gw, const struct member *m)
{
	return gw->canaries && !m->canary && m->kind != UPDATE_NONE ? m->row->job : NULL;
}

static void replace_one(struct group_work *gw, struct member *m)
{
	struct place place = {.index = m->index, .previous = m, .stops = m->fate == FATE_RETRY, .canary = m->canary};

	place.version = version_for(gw, m);
	m->replaced = true;
	place_add(gw, &place);
	gw->budget--;
}

static bool is_replaced(const struct member *m)
{
	switch (m->fate) {
	case FATE_LOST:
	case FATE_MIGRATE:
		return m->replaced || m->canary;
	case FATE_RETRY:
	case FATE_UNKNOWN:
		return true;
	default:
		return false;
	}
}

static void place_replacements(struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		if (is_replaced(&gw->g->members[i])) {
			replace_one(gw, &gw->g->members[i]);
		}
	}
}

static void take_names(struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		if (gw->g->members[i].canary || gw->g->members[i].standing == STANDING_UNKNOWN) {
			names_take(&gw->g->names, gw->g->members[i].index);
		}
	}
}

static int64_t count_members(const struct group_work *gw, bool (*is)(const struct member *m))
{
	int64_t n = 0;
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		n += is(&gw->g->members[i]);
	}
	return n;
}

static void place_missing(struct group_work *gw)
{
	int64_t missing = gw->want - count_members(gw, occupies);

	if (gw->canaries || is_frozen(gw)) {
		return;
	}
	if (missing > 0) {
		place_add(gw, &(struct place){.n = missing, .fresh = true});
		gw->budget -= missing;
	}
}

static bool has_canary(const struct group_work *gw, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		if (is_live_canary(&gw->g->members[i]) && gw->g->members[i].index == index) {
			return true;
		}
	}
	for (i = 0; i < gw->g->n_places; i++) {
		if (gw->g->places[i].canary && gw->g->places[i].index == index) {
			return true;
		}
	}
	return false;
}

static int by_index(const void *a, const void *b)
{
	const struct member *x = a;
	const struct member *y = b;
	int rv = (x->index > y->index) - (x->index < y->index);

	return rv != 0 ? rv : memcmp(&x->row->id, &y->row->id, sizeof(x->row->id));
}

/* Canaries are to take over the names of what they will replace. */
static void place_canaries(struct group_work *gw)
{
	int64_t missing = gw->strategy->canary.at - count_members(gw, is_live_canary);
	uint32_t i;

	if (is_frozen(gw)) {
		return;
	}
	for (i = 0; i < gw->g->n_members && missing > 0; i++) {
		const struct member *m = &gw->g->members[i];

		if (m->update == UPDATE_DESTRUCTIVE && !m->canary && !has_canary(gw, m->index)) {
			place_add(gw, &(struct place){.index = m->index, .canary = true});
			missing--;
			gw->g->desired.canary++;
		}
	}
	if (missing > 0) {
		place_add(gw, &(struct place){.n = missing, .fresh = true, .canary = true});
		gw->g->desired.canary += missing;
	}
}

static void place_updates(struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		struct member *m = &gw->g->members[i];

		if (m->update != UPDATE_DESTRUCTIVE || (m->fate != FATE_KEEP && m->fate != FATE_LATER)) {
			continue;
		}
		if (gw->canaries || is_frozen(gw) || gw->budget <= 0) {
			continue;
		}
		m->fate = FATE_REPLACE;
		m->replaced = true;
		gw->budget--;
		place_add(gw, &(struct place){.index = m->index, .previous = m, .stops = true});
	}
}

/* ---- the deployment's part ---- */

/* As many may change at a time as are allowed, without those whose health is not known yet; and none when one is ill.
 */
static int64_t budget_of(const struct group_work *gw)
{
	int64_t budget;
	uint32_t i;

	if (gw->strategy == NULL) {
		return INT64_MAX;
	}
	budget = gw->strategy->max_parallel.at;
	for (i = 0; i < gw->g->n_members && gw->has_state; i++) {
		const struct member *m = &gw->g->members[i];

		if (!uuid_equal(&m->row->deployment_id, &gw->w->deploy.id) || m->fate == FATE_STOP ||
		    m->fate == FATE_LOST) {
			continue;
		}
		if ((m->row->flags & ALLOC_UNHEALTHY) != 0) {
			return 0;
		}
		budget -= (m->row->flags & ALLOC_HEALTHY) == 0;
	}
	return budget;
}

static void state_open(struct group_work *gw)
{
	struct work *w = gw->w;
	struct deployment_group *there =
		uuid_is_zero(&w->deploy.id) ? NULL : deploy_group(&w->deploy.object, gw->g->name);
	const struct update_strategy *s = gw->strategy;

	gw->has_state = there != NULL;
	if (there != NULL) {
		gw->g->state = *there;
		gw->g->deploys = w->deploy.active;
		gw->canaries = w->deploy.active && there->desired_canaries > 0 && !there->promoted;
	} else if (s != NULL) {
		deploy_group_open(&gw->g->state, s);
		gw->g->state.desired_total = gw->want;
	}
}

/* Something of the old version would be replaced at once, were there no canaries to go first. */
static bool needs_canaries(const struct group_work *gw)
{
	return gw->strategy != NULL && gw->strategy->canary.at > 0 && gw->n_destructive > 0 && !gw->g->state.promoted &&
	       !gw->w->deploy.failed;
}

static bool changes_version(const struct group_work *gw)
{
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		if (gw->g->members[i].fate == FATE_IN_PLACE || gw->g->members[i].update == UPDATE_DESTRUCTIVE) {
			return true;
		}
	}
	return false;
}

/* A group takes part in a new deployment when something of it is new. */
static bool needs_deployment(const struct group_work *gw)
{
	return gw->strategy != NULL && uuid_is_zero(&gw->w->deploy.id) && gw->want > 0 &&
	       (!gw->had_version || changes_version(gw));
}

/* ---- what comes of it ---- */

static void count_fate(struct desired_updates *d, const struct member *m)
{
	switch (m->fate) {
	case FATE_STOP:
	case FATE_STOP_RECONNECT:
	case FATE_LOST:
		d->stop++;
		break;
	case FATE_MIGRATE:
		d->migrate++;
		break;
	case FATE_RETRY:
		d->stop++;
		d->reschedule_now++;
		break;
	case FATE_REPLACE:
		d->destructive_update++;
		break;
	case FATE_IN_PLACE:
		d->in_place_update++;
		break;
	case FATE_UNKNOWN:
	case FATE_PARK:
		d->disconnect++;
		break;
	case FATE_LATER:
		d->reschedule_later++;
		d->ignore++;
		break;
	default:
		d->ignore++;
	}
}

static void count_all(struct group_work *gw)
{
	struct desired_updates *d = &gw->g->desired;
	uint32_t i;

	for (i = 0; i < gw->g->n_members; i++) {
		count_fate(d, &gw->g->members[i]);
	}
	for (i = 0; i < gw->g->n_places; i++) {
		const struct place *p = &gw->g->places[i];
		bool other =
			p->previous != NULL && (p->previous->fate == FATE_REPLACE || p->previous->fate == FATE_MIGRATE);

		d->place += !p->canary && !other ? p->n : 0;
	}
}

static void group_open(struct group_work *gw)
{
	const struct reconcile_input *in = gw->w->in;
	const struct task_group *group = gw->g->group;
	uint32_t i;

	gw->g->names.mem = in->mem;
	gw->want = group != NULL && !in->job->stopped ? group->count : 0;
	if (group != NULL && !in->job->batch && group->update != NULL && group->update->max_parallel.at > 0) {
		gw->strategy = group->update;
	}
	state_open(gw);
	sched_sort(gw->g->members, gw->g->n_members, sizeof(gw->g->members[0]), by_index);
	for (i = 0; i < gw->g->n_members; i++) {
		struct member *m = &gw->g->members[i];

		m->fate = first_fates[m->standing];
		gw->had_version |= row_is_current(in->job, m->row);
	}
}

static int group_decide(struct group_work *gw)
{
	int rv = settle_returns(gw);

	if (rv != 0) {
		return rv;
	}
	sort_canaries(gw);
	drop_surplus(gw);
	take_names(gw);
	judge_updates(gw);
	gw->budget = budget_of(gw);
	if (needs_deployment(gw)) {
		gw->g->deploys = true;
	}
	if (needs_canaries(gw)) {
		gw->canaries = true;
		gw->g->state.desired_canaries = gw->strategy->canary.at;
	}
	place_replacements(gw);
	if (gw->canaries) {
		place_canaries(gw);
	}
	place_missing(gw);
	place_updates(gw);
	return 0;
}

static int group_reconcile(struct work *w, struct group_plan *g)
{
	struct group_work gw = {.w = w, .g = g};
	int rv = 0;

	group_open(&gw);
	if (g->group == NULL || w->in->job->stopped) {
		stop_all(&gw);
	} else {
		rv = group_decide(&gw);
	}
	count_all(&gw);
	return rv;
}

/* ---- evaluations for later ---- */

/* One whose node is back is waited for without end: its client will tell. */
static bool is_due_later(const struct member *m)
{
	bool waits = m->fate == FATE_LATER || m->fate == FATE_UNKNOWN ||
		     (m->standing == STANDING_UNKNOWN && m->fate == FATE_KEEP);

	return waits && m->when_ns > 0;
}

/* Some evaluation that has not run yet will look after it. */
static int has_followup(const struct reconcile_input *in, const struct member *m, bool *out)
{
	const struct eval_row *eval;
	struct alloc_server server;
	struct uuid id;

	*out = false;
	if ((m->row->flags & ALLOC_FOLLOWUP) == 0) {
		return 0;
	}
	if (alloc_row_server(m->row, &server, in->mem) != 0) {
		return ERR_CORRUPT;
	}
	if (bytes_uuid(&server.followup_eval, &id) && !uuid_equal(&id, &in->eval)) {
		eval = state_eval(in->view, &id);
		*out = eval != NULL && eval->status == EVAL_STATUS_PENDING;
	}
	return 0;
}

static int by_when(const void *a, const void *b)
{
	const struct member *x = *(const struct member *const *)a;
	const struct member *y = *(const struct member *const *)b;
	int rv = (x->standing == STANDING_WAITING) - (y->standing == STANDING_WAITING);

	return rv != 0 ? rv : (x->when_ns > y->when_ns) - (x->when_ns < y->when_ns);
}

/* A failed one waits for its policy, others for their nodes. */
static bool waits_for_policy(const struct member *m)
{
	return m->row->client == ALLOC_CLIENT_FAILED;
}

static struct followup *followup_add(struct work *w, const struct member *m)
{
	struct reconcile *out = w->out;
	struct followup *f;

	out->followups = arena_grow(w->in->mem, out->followups, out->n_followups, &out->followups_cap,
				    sizeof(out->followups[0]));
	f = &out->followups[out->n_followups++];
	f->id = new_id(w->in);
	f->when_ns = m->when_ns;
	f->trigger = waits_for_policy(m) ? EVAL_TRIGGER_ALLOC_RESCHEDULE : EVAL_TRIGGER_MAX_DISCONNECT_TIMEOUT;
	f->description =
		waits_for_policy(m) ? "created for delayed rescheduling" : "created for delayed disconnect timeout";
	return f;
}

static int followups_collect(struct work *w, struct member **late, uint32_t *n)
{
	uint32_t i;
	uint32_t j;

	for (i = 0; i < w->out->n_groups; i++) {
		for (j = 0; j < w->out->groups[i].n_members; j++) {
			struct member *m = &w->out->groups[i].members[j];
			bool has = true;

			if (is_due_later(m) && has_followup(w->in, m, &has) != 0) {
				return ERR_CORRUPT;
			}
			if (!has) {
				late[(*n)++] = m;
			}
		}
	}
	return 0;
}

static uint32_t count_all_members(const struct reconcile *out)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < out->n_groups; i++) {
		n += out->groups[i].n_members;
	}
	return n;
}

static int followups_make(struct work *w)
{
	struct member **late = arena_need(w->in->mem, count_all_members(w->out), sizeof(late[0]));
	struct followup *f = NULL;
	uint32_t n = 0;
	uint32_t i;
	int rv = followups_collect(w, late, &n);

	if (rv != 0) {
		return rv;
	}
	sched_sort(late, n, sizeof(late[0]), by_when);
	for (i = 0; i < n; i++) {
		bool fits = f != NULL && late[i]->when_ns <= f->when_ns + followup_window_ns &&
			    (f->trigger == EVAL_TRIGGER_ALLOC_RESCHEDULE) == waits_for_policy(late[i]);

		if (!fits) {
			f = followup_add(w, late[i]);
		}
		late[i]->followup = f->id;
	}
	return 0;
}

/* ---- deployments ---- */

static int by_group_name(const void *a, const void *b)
{
	return strcmp((*(const struct group_plan *const *)a)->name, (*(const struct group_plan *const *)b)->name);
}

/* Groups that take part, by name. */
static void deployment_groups(struct work *w, struct deployment *d)
{
	struct arena *mem = w->in->mem;
	const struct group_plan **in = arena_need(mem, w->out->n_groups, sizeof(in[0]));
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < w->out->n_groups; i++) {
		if (w->out->groups[i].deploys) {
			in[n++] = &w->out->groups[i];
		}
	}
	sched_sort(in, n, sizeof(in[0]), by_group_name);
	d->task_groups.keys = arena_need(mem, n, sizeof(d->task_groups.keys[0]));
	d->task_groups.at = arena_need(mem, n, sizeof(d->task_groups.at[0]));
	for (i = 0; i < n; i++) {
		d->task_groups.keys[i] = in[i]->name;
		d->task_groups.at[i] = in[i]->state;
	}
	d->task_groups.n = n;
}

static void deployment_new(struct work *w)
{
	struct deployment *d = arena_need(w->in->mem, 1, sizeof(*d));

	object_init(&deployment_type, d);
	deployment_groups(w, d);
	if (d->task_groups.n == 0) {
		return;
	}
	w->out->deployment_id = new_id(w->in);
	w->out->new_deployment = true;
	w->out->deployment = d;
	deploy_name(d, &w->out->deployment_id, w->in->job, w->in->priority, w->in->mem);
}

/* Canaries may turn out to be needed only when the deployment is there. */
static void deployment_again(struct work *w)
{
	uint32_t i;

	if (!w->deploy.active) {
		return;
	}
	w->out->deployment_id = w->deploy.id;
	for (i = 0; i < w->out->n_groups; i++) {
		const struct group_plan *g = &w->out->groups[i];
		struct deployment_group *there = g->deploys ? deploy_group(&w->deploy.object, g->name) : NULL;

		if (there != NULL && there->desired_canaries != g->state.desired_canaries) {
			there->desired_canaries = g->state.desired_canaries;
			w->out->deployment = &w->deploy.object;
		}
	}
}

int reconcile(const struct reconcile_input *in, struct reconcile *out)
{
	struct work *w = arena_need(in->mem, 1, sizeof(*w));
	uint32_t i;
	int rv;

	memset(out, 0, sizeof(*out));
	w->in = in;
	w->out = out;
	w->versions = (struct versions){.job = in->job, .mem = in->mem};
	for (i = 0; i < in->job->job->task_groups.n; i++) {
		group_add(w, in->job->job->task_groups.at[i].name, &in->job->job->task_groups.at[i]);
	}
	rv = deploy_view_load(in->view, in->job, in->mem, &w->deploy);
	out->ended = w->deploy.ended;
	out->ended_why = w->deploy.ended_why;
	if (rv == 0) {
		rv = members_load(w);
	}
	for (i = 0; i < out->n_groups && rv == 0; i++) {
		rv = group_reconcile(w, &out->groups[i]);
	}
	if (rv == 0) {
		rv = followups_make(w);
	}
	if (rv != 0) {
		return rv;
	}
	if (uuid_is_zero(&w->deploy.id) && !in->job->stopped) {
		deployment_new(w);
	} else {
		deployment_again(w);
	}
	return 0;
}
