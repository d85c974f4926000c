#include "server/reads.h"

#include "proto/error.h"

void reads_init(struct reads *rs, const struct reads_effects *effects, void *ctx)
{
	*rs = (struct reads){.effects = effects, .ctx = ctx};
	list_init(&rs->fresh);
	list_init(&rs->asked);
	list_init(&rs->waiting);
}

int reads_add(struct reads *rs, struct read *r, int64_t now_ms)
{
	if (rs->n >= READS_MAX) {
		return ERR_BUSY;
	}
	r->until_ms = now_ms + READS_PATIENCE_MS;
	r->index = 0;
	rs->n++;
	list_insert(&rs->fresh, &r->link);
	return 0;
}

static void finish(struct reads *rs, struct read *r, int status)
{
	list_remove(&r->link);
	rs->n--;
	r->done_cb(r, status);
}

static void move_all(struct list *from, struct list *to)
{
	struct list *e;

	while ((e = list_pop(from)) != NULL) {
		list_insert(to, e);
	}
}

static void finish_all(struct reads *rs, struct list *reads, int status)
{
	struct list done;
	struct list *e;

	list_init(&done);
	move_all(reads, &done);
	while ((e = list_pop(&done)) != NULL) {
		finish(rs, CONTAINER_OF(e, struct read, link), status);
	}
}

static void set_index(struct list *reads, uint64_t index)
{
	LIST_EACH(e, reads) {
		CONTAINER_OF(e, struct read, link)->index = index;
	}
}

/* The oldest are first; those that were put back stand in front of younger ones. */
static void expire(struct reads *rs, struct list *reads, int64_t now_ms, int status)
{
	while (!list_empty(reads)) {
		struct read *r = CONTAINER_OF(reads->next, struct read, link);

		if (now_ms < r->until_ms) {
			return;
		}
		finish(rs, r, status);
	}
}

static void release_applied(struct reads *rs)
{
	while (!list_empty(&rs->waiting)) {
		struct read *r = CONTAINER_OF(rs->waiting.next, struct read, link);

		if (r->index > rs->applied) {
			return;
		}
		finish(rs, r, 0);
	}
}

static void ask(struct reads *rs, int64_t now_ms)
{
	if (rs->failed) {
		rs->failed = false;
		rs->next_ms = now_ms + READS_RETRY_MS;
	}
	if (rs->asking || list_empty(&rs->fresh) || now_ms < rs->next_ms || rs->effects->ask(rs->ctx) != 0) {
		return;
	}
	rs->asking = true;
	rs->questions++;
	move_all(&rs->fresh, &rs->asked);
}

/* Those that are asked for by the leader itself. */
static void wait_for(struct reads *rs, uint64_t index)
{
	if (index <= rs->applied) {
		finish_all(rs, &rs->fresh, 0);
	} else {
		set_index(&rs->fresh, index);
		move_all(&rs->fresh, &rs->waiting);
	}
}

void reads_turn(struct reads *rs, uint64_t applied, int64_t now_ms)
{
	uint64_t index = 0;

	rs->applied = applied;
	if (rs->n == 0) {
		return;
	}
	release_applied(rs);
	if (rs->effects->leads(rs->ctx, &index)) {
		wait_for(rs, index);
	} else {
		ask(rs, now_ms);
	}
	expire(rs, &rs->fresh, now_ms, ERR_NOLEADER);
	expire(rs, &rs->asked, now_ms, ERR_NOLEADER);
	expire(rs, &rs->waiting, now_ms, ERR_TIMEOUT);
}

void reads_answer(struct reads *rs, int err, uint64_t index)
{
	struct list again;

	rs->asking = false;
	if (err != 0) {
		list_init(&again);
		move_all(&rs->asked, &again);
		move_all(&rs->fresh, &again);
		move_all(&again, &rs->fresh);
		rs->failed = true;
		return;
	}
	set_index(&rs->asked, index);
	move_all(&rs->asked, &rs->waiting);
	release_applied(rs);
}

void reads_fail(struct reads *rs, int err)
{
	finish_all(rs, &rs->fresh, err);
	finish_all(rs, &rs->asked, err);
	finish_all(rs, &rs->waiting, err);
}
