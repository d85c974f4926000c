/* What is committed becomes the owner's state, a slice in each turn of the loop.
 *
 * libraft asks to apply all that it has learned to be committed at once, which for a server that has fallen behind is
 * thousands of entries. So its fsm.apply does nothing, and entries are taken from its log when their turn has come:
 *
 *     applied  <=  raft_last_applied()  <=  raft_commit_index()
 *     the state    what libraft calls so
 *
 * Nobody outside may see the difference. Proposals and barriers that libraft calls done are held until the state has
 * them. A snapshot is taken when there is no difference, so the log still has what is to be applied. One that is
 * installed takes the place of what was not yet applied. */
#include "raft/replica_parts.h"

#include "proto/error.h"

#include <stdlib.h>

const struct raft_entry *logGet(struct raft_log *log, raft_index index); /* In libraft.a. */

bool replica_behind(const struct replica *r)
{
	return r->applied < raft_last_applied((struct raft *)&r->raft);
}

/* NULL: there is none, or its place is about to be taken by a snapshot. */
static const struct raft_entry *next_entry(const struct replica *r)
{
	return replica_behind(r) ? logGet(r->raft.legacy.log, r->applied + 1) : NULL;
}

/* --- who waits --- */

/* One whose entry came as a part of a snapshot will not know what became of it. */
static void tell_proposals(struct replica *r)
{
	for (unsigned i = 0; i < r->config.window && r->n_held > 0; i++) {
		struct proposal *p = &r->proposals[i];

		if (p->held && p->apply.index <= r->applied) {
			r->n_held--;
			replica_end_proposal(r, p, p->applied ? 0 : ERR_UNKNOWN);
		}
	}
}

void replica_hold_proposal(struct replica *r, struct proposal *p)
{
	p->held = true;
	r->n_held++;
}

void replica_hold_barrier(struct replica *r, struct barrier *b)
{
	list_insert(&r->held_barriers, &b->link);
}

static void tell_barriers(struct replica *r)
{
	while (!list_empty(&r->held_barriers)) {
		struct barrier *b = CONTAINER_OF(r->held_barriers.next, struct barrier, link);

		if (b->req.index > r->applied) {
			return;
		}
		list_remove(&b->link);
		replica_end_barrier(b, 0);
	}
}

void replica_drop_held(struct replica *r)
{
	struct list *l;

	for (unsigned i = 0; i < r->config.window; i++) {
		struct proposal *p = &r->proposals[i];

		if (p->held) {
			r->n_held--;
			replica_end_proposal(r, p, p->applied ? 0 : ERR_UNKNOWN);
		}
	}
	while ((l = list_pop(&r->held_barriers)) != NULL) {
		replica_end_barrier(CONTAINER_OF(l, struct barrier, link), ERR_UNKNOWN);
	}
}

/* --- entries --- */

/* The proposal that is this entry, if its outcome is still awaited. */
static struct proposal *proposal_of(struct replica *r, uint64_t index, uint64_t term)
{
	for (unsigned i = 0; i < r->config.window && r->n_proposals > 0; i++) {
		struct proposal *p = &r->proposals[i];

		if (p->apply.data != NULL && p->apply.index == index && p->term == term) {
			return p;
		}
	}
	return NULL;
}

static void apply_command(struct replica *r, uint64_t index, const struct raft_entry *e)
{
	struct proposal *p = proposal_of(r, index, e->term);

	r->config.callbacks.apply(r->config.ctx, index, e->term, e->buf.base, e->buf.len, p != NULL ? p->slot : NULL);
	if (p != NULL) {
		p->applied = true;
	}
	r->slice_bytes += e->buf.len;
}

/* False: there is none. */
static bool apply_next(struct replica *r)
{
	const struct raft_entry *e = next_entry(r);

	if (e == NULL) {
		return false;
	}
	if (e->type == RAFT_COMMAND) {
		apply_command(r, r->applied + 1, e);
	}
	r->applied++;
	return true;
}

void replica_apply_all(struct replica *r)
{
	while (apply_next(r)) {
	}
}

static bool has_time(const struct replica *r)
{
	return r->slice_bytes < SLICE_BYTES && replica_turn_ns(r) < SLICE_NS;
}

/* Callbacks may propose, and may end it all. */
void replica_apply_slice(struct replica *r)
{
	r->slice_bytes = 0;
	do {
		if (r->closing || !apply_next(r)) {
			break;
		}
		tell_proposals(r);
	} while (has_time(r));
	if (!r->closing) {
		tell_proposals(r);
		tell_barriers(r);
	}
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* That it is there keeps the loop from waiting. */
}

void replica_apply_more(struct replica *r)
{
	if (next_entry(r) != NULL) {
		uv_idle_start(&r->idle, on_idle);
	} else {
		uv_idle_stop(&r->idle);
	}
}

/* Both are far less than what is held in the log anyway. */
bool replica_lags(const struct replica *r)
{
	return weight_between(io_weight((struct raft_io *)&r->io), r->applied,
			      raft_last_applied((struct raft *)&r->raft)) > LAG_BYTES;
}
