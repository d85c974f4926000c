#include "server/plan_apply.h"

#include <assert.h>
#include <string.h>

#include "proto/error.h"
#include "server/sched_memory.h"

void applier_init(struct plan_applier *ap)
{
	memset(ap, 0, sizeof(*ap));
	nodes_init(&ap->nodes, false);
	list_init(&ap->queue);
	list_init(&ap->sent);
	list_init(&ap->waiting);
	list_init(&ap->done);
}

void applier_close(struct plan_applier *ap)
{
	nodes_close(&ap->nodes);
}

static struct plan *plan_at(struct list *link)
{
	return CONTAINER_OF(link, struct plan, link);
}

static void finish(struct plan_applier *ap, struct plan *plan)
{
	bool waits;

	nodes_disown(&ap->nodes, plan->owner);
	ap->n_unsent -= plan->n_chunks - plan->sent;
	ap->n_queued -= plan->queued;
	plan->queued = false;
	list_remove(&plan->link);
	waits = plan->status == 0 && plan->met && ap->n_arrived < plan->after;
	list_insert(waits ? &ap->waiting : &ap->done, &plan->link);
}

/* Something of it is refused. */
static void note_refused(struct plan_applier *ap, struct plan *plan, uint32_t refused)
{
	uint64_t own = plan->sent - plan->applied;

	plan->refused += refused;
	ap->stats.refused += refused;
	if (ap->n_sent - ap->n_arrived > own) {
		plan->met = true;
		plan->after = ap->n_sent;
	}
}

/* What waits for no chunk that has not arrived goes on, in the order in which it began to wait. */
static void end_waits(struct plan_applier *ap)
{
	while (!list_empty(&ap->waiting) && plan_at(ap->waiting.next)->after <= ap->n_arrived) {
		list_insert(&ap->done, list_pop(&ap->waiting));
	}
}

static void give_up(struct plan_applier *ap, struct list *plans)
{
	LIST_EACH (e, plans) {
		plan_at(e)->status = ERR_NOTLEADER;
		finish(ap, plan_at(e));
	}
}

void applier_reset(struct plan_applier *ap)
{
	give_up(ap, &ap->queue);
	give_up(ap, &ap->sent);
	give_up(ap, &ap->waiting); /* Known, but too late. */
	ap->n_arrived = ap->n_sent;
	ap->n_unsent = 0;
	nodes_reset(&ap->nodes);
}

void applier_changed(struct plan_applier *ap, const struct view *v, const struct change *changes, size_t n)
{
	struct nodes_news news = {0};

	if (ap->nodes.n_used > 0) {
		news_add(&news, changes, n);
		nodes_update(&ap->nodes, v, &news);
	}
}

/* Behind all that are at least as important. */
static void enqueue(struct plan_applier *ap, struct plan *plan)
{
	struct list *at = ap->queue.prev;

	while (at != &ap->queue && plan_at(at)->priority < plan->priority) {
		at = at->prev;
	}
	list_insert(at->next, &plan->link);
	plan->queued = true;
	ap->n_queued++;
}

static void dequeue(struct plan_applier *ap, struct plan *plan)
{
	list_remove(&plan->link);
	list_insert(&ap->sent, &plan->link);
	plan->queued = false;
	ap->n_queued--;
}

static bool is_last(const struct plan *plan, uint32_t chunk)
{
	return chunk + 1 == plan->n_chunks;
}

/* Whether the next chunk is to be sent now. */
static bool can_send(const struct plan *plan)
{
	return plan->status == 0 && plan->sent < plan->n_chunks &&
	       (!is_last(plan, plan->sent) || plan->applied == plan->sent);
}

static bool is_finished(const struct plan *plan)
{
	return plan->applied == (plan->status != 0 ? plan->sent : plan->n_chunks);
}

/* Put a plan where it belongs, after a step. */
static void settle(struct plan_applier *ap, struct plan *plan)
{
	if (is_finished(plan)) {
		finish(ap, plan);
	} else if (plan->queued && !can_send(plan)) {
		dequeue(ap, plan);
	} else if (!plan->queued && can_send(plan)) {
		list_remove(&plan->link);
		enqueue(ap, plan);
	}
}

void applier_submit(struct plan_applier *ap, struct plan *plan)
{
	assert(plan->n_chunks > 0);
	plan->status = 0;
	plan->refused = 0;
	plan->met = false;
	plan->index = 0;
	plan->checked = plan->sent = plan->applied = 0;
	plan->owner = ++ap->owners;
	ap->n_plans++;
	ap->n_unsent += plan->n_chunks;
	ap->stats.plans++;
	enqueue(ap, plan);
}

/* ---- checking ---- */

/* What is stopped frees what it takes by the newest view: it may have ended meanwhile. */
static void claim_release(struct plan_applier *ap, const struct view *v, const struct plan *plan,
			  const struct plan_release *release)
{
	const struct alloc_row *row = release->frees.count > 0 ? state_alloc(v, &release->alloc) : NULL;
	uint32_t slot = row != NULL ? nodes_load(&ap->nodes, v, &row->node_id) : (uint32_t)NODE_NONE;
	struct use frees = row != NULL ? alloc_row_use(row) : (struct use){0};
	struct use use = {0};

	if (slot != NODE_NONE && frees.count > 0) {
		use_add(&use, &frees, -1);
		nodes_claim(&ap->nodes, slot, &release->alloc, &use, NULL, row->server != NULL, plan->owner);
	}
}

static bool claim_place(struct plan_applier *ap, const struct view *v, const struct plan *plan,
			const struct plan_claim *claim)
{
	static const struct use nothing;
	uint32_t slot = nodes_load(&ap->nodes, v, &claim->node);
	const struct node_at *at;

	if (slot == NODE_NONE) {
		return false;
	}
	if (claim->update) {
		return true;
	}
	at = &ap->nodes.at[slot];
	if ((at->flags & NODE_AT_READY) == 0 || nodes_fit(&ap->nodes, v, slot, &claim->use, claim->holds) != FIT_OK) {
		return false;
	}
	nodes_claim(&ap->nodes, slot, &claim->alloc, &claim->use, claim->holds, false, plan->owner);
	assert(node_fits(at, &nothing) == FIT_OK);
	return true;
}

/* The changes of a chunk that go with a place are claimed with it, or not at all. */
static void claim_changes(struct plan_applier *ap, const struct view *v, const struct plan *plan,
			  const struct plan_chunk *chunk, int32_t place, bool on)
{
	uint32_t i;

	for (i = 0; i < chunk->payload.changes.n; i++) {
		if (chunk->releases[i].place != place) {
			continue;
		}
		if (on) {
			claim_release(ap, v, plan, &chunk->releases[i]);
		} else {
			nodes_unclaim(&ap->nodes, &chunk->releases[i].alloc);
		}
	}
}

/* Whether changes go with some place: mostly none do, and looking for them each time would take a square of time. */
static bool has_pairs(const struct plan_chunk *chunk)
{
	uint32_t i;

	for (i = 0; i < chunk->payload.changes.n; i++) {
		if (chunk->releases[i].place >= 0) {
			return true;
		}
	}
	return false;
}

/* Claim what fits; `ok` tells of each place. How many do not. */
static uint32_t check(struct plan_applier *ap, const struct view *v, const struct plan *plan,
		      const struct plan_chunk *chunk, bool *ok)
{
	bool pairs = has_pairs(chunk);
	uint32_t refused = 0;
	uint32_t i;

	claim_changes(ap, v, plan, chunk, -1, true);
	for (i = 0; i < chunk->payload.places.n; i++) {
		if (pairs) {
			claim_changes(ap, v, plan, chunk, (int32_t)i, true);
		}
		ok[i] = claim_place(ap, v, plan, &chunk->claims[i]);
		if (!ok[i] && pairs) {
			claim_changes(ap, v, plan, chunk, (int32_t)i, false);
		}
		refused += !ok[i];
	}
	return refused;
}

/* ---- leaving out what does not fit ---- */

static void drop_changes(struct plan_chunk *chunk, const bool *ok)
{
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < chunk->payload.changes.n; i++) {
		if (chunk->releases[i].place < 0 || ok[chunk->releases[i].place]) {
			chunk->payload.changes.at[kept] = chunk->payload.changes.at[i];
			chunk->releases[kept++] = chunk->releases[i];
		}
	}
	chunk->payload.changes.n = kept;
}

static void drop_places(struct plan_chunk *chunk, const bool *ok)
{
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < chunk->payload.places.n; i++) {
		if (ok[i]) {
			chunk->payload.places.at[kept] = chunk->payload.places.at[i];
			chunk->claims[kept++] = chunk->claims[i];
		}
	}
	chunk->payload.places.n = kept;
}

static void drop(struct plan_chunk *chunk, const bool *ok)
{
	drop_changes(chunk, ok);
	drop_places(chunk, ok);
}

static bool says_something(const struct plan_chunk *chunk)
{
	const struct plan_result *p = &chunk->payload;

	return p->places.n + p->changes.n + p->evals.n + p->deployments.n > 0 || p->deployment != NULL;
}

/* The evaluation goes on when something was refused: what ends it is left out. */
static void go_on(const struct plan *plan, struct plan_chunk *chunk)
{
	if (is_last(plan, plan->sent)) {
		chunk->payload.evals.n = chunk->n_always;
	}
}

/* ---- sending ---- */

/* Nothing of it is made. */
static void refuse_all(struct plan_applier *ap, struct plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_chunks; i++) {
		note_refused(ap, plan, plan->chunks[i].payload.places.n);
	}
	finish(ap, plan);
}

/* All chunks of an all-or-nothing plan are checked before the first is sent, one a call. True: go on. */
static bool check_ahead(struct plan_applier *ap, const struct view *v, struct plan *plan)
{
	bool ok[PLAN_CHUNK_PLACES];

	if (check(ap, v, plan, &plan->chunks[plan->checked], ok) > 0) {
		refuse_all(ap, plan);
		return false;
	}
	plan->checked++;
	return plan->checked == plan->n_chunks;
}

static void check_chunk(struct plan_applier *ap, const struct view *v, struct plan *plan, struct plan_chunk *chunk)
{
	bool ok[PLAN_CHUNK_PLACES];
	uint32_t refused = check(ap, v, plan, chunk, ok);

	if (refused > 0) {
		drop(chunk, ok);
		note_refused(ap, plan, refused);
	}
}

/* What is left out makes a command smaller. */
static void encode_again(struct plan_chunk *chunk)
{
	sched_got(plan_chunk_encode(chunk) == 0 ? chunk : NULL);
}

static void send(struct plan_applier *ap, struct plan *plan, struct plan_step *step)
{
	const struct plan_chunk *chunk = &plan->chunks[plan->sent];

	*step = (struct plan_step){plan, plan->sent, chunk->command.at, chunk->command.len};
	ap->stats.chunks++;
	ap->n_sent++;
	ap->n_unsent--;
	plan->sent++;
	settle(ap, plan);
}

/* There is nothing left of the chunk. */
static void skip(struct plan_applier *ap, struct plan *plan)
{
	ap->n_unsent--;
	plan->sent++;
	plan->applied++;
	settle(ap, plan);
}

bool applier_next(struct plan_applier *ap, const struct view *v, struct plan_step *step)
{
	struct plan *plan = list_empty(&ap->queue) ? NULL : plan_at(ap->queue.next);
	struct plan_chunk *chunk;

	if (plan == NULL || (plan->all_at_once && plan->checked < plan->n_chunks && !check_ahead(ap, v, plan))) {
		return false;
	}
	chunk = &plan->chunks[plan->sent];
	if (!plan->all_at_once) {
		check_chunk(ap, v, plan, chunk);
	}
	if (plan->refused > 0) {
		go_on(plan, chunk);
		if (!says_something(chunk)) {
			skip(ap, plan);
			return false;
		}
		encode_again(chunk);
	}
	send(ap, plan, step);
	return true;
}

/* ---- what became of it ---- */

static void take_result(struct plan_applier *ap, struct plan *plan, const struct apply_result *result, bool evals_only)
{
	if (result == NULL) {
		return;
	}
	plan->index = result->index;
	if (evals_only) {
		return;
	}
	plan->refused += result->rejected;
	ap->stats.placed += result->count;
	ap->stats.rejected += result->rejected;
}

void applier_applied(struct plan_applier *ap, const struct plan_step *step, int status,
		     const struct apply_result *result)
{
	struct plan *plan = step->plan;

	plan->applied++;
	ap->n_arrived++;
	if (status != 0 && plan->status == 0) {
		plan->status = status;
	}
	take_result(ap, plan, result, plan->chunks[step->chunk].evals_only);
	settle(ap, plan);
	end_waits(ap);
}

struct plan *applier_done(struct plan_applier *ap)
{
	struct list *link = list_pop(&ap->done);

	if (link == NULL) {
		return NULL;
	}
	ap->n_plans--;
	ap->stats.partial += plan_at(link)->refused > 0;
	return plan_at(link);
}
