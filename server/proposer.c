#include "server/proposer.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/error.h"

void proposer_init(struct proposer *p, const struct proposer_effects *effects, void *ctx)
{
	*p = (struct proposer){.effects = effects, .ctx = ctx};
	list_init(&p->queue);
	p->seed = effects->random(ctx);
}

void proposer_close(struct proposer *p)
{
	assert(list_empty(&p->queue) && p->under_way == 0);
	batch_close(&p->batch);
}

int proposer_add(struct proposer *p, struct write *w, bool own)
{
	unsigned max = own ? PROPOSER_MAX_OWN : PROPOSER_MAX;

	if (w->len > ENTRY_MAX - ENTRY_HEADER) {
		return ERR_TOOBIG;
	}
	if (p->n >= max || p->bytes + w->len > PROPOSER_MAX_BYTES) {
		return ERR_BUSY;
	}
	list_insert(&p->queue, &w->link);
	p->n++;
	p->bytes += w->len;
	return 0;
}

/* A list of its own, so that what the callbacks add waits for another turn. */
static void tell_all(struct list *writes, int status, const struct apply_result *results)
{
	struct list *e;
	unsigned i = 0;

	while ((e = list_pop(writes)) != NULL) {
		struct write *w = CONTAINER_OF(e, struct write, link);

		w->done_cb(w, status, status == 0 ? &results[i] : NULL);
		i++;
	}
}

static void move_all(struct list *from, struct list *to)
{
	struct list *e;

	list_init(to);
	while ((e = list_pop(from)) != NULL) {
		list_insert(to, e);
	}
}

void proposer_fail(struct proposer *p, int err)
{
	struct list writes;

	move_all(&p->queue, &writes);
	p->n = 0;
	p->bytes = 0;
	tell_all(&writes, err, NULL);
}

static struct write *first(const struct proposer *p)
{
	return CONTAINER_OF(p->queue.next, struct write, link);
}

static void dequeue(struct proposer *p, struct write *w)
{
	list_remove(&w->link);
	p->n--;
	p->bytes -= w->len;
}

/* A command that cannot be part of any entry. */
static void refuse(struct proposer *p, struct write *w, int err)
{
	dequeue(p, w);
	w->done_cb(w, err, NULL);
}

/* Fill the batch from the queue; its commands go to `writes`. */
static unsigned collect(struct proposer *p, struct list *writes)
{
	int64_t now_ns = p->effects->now_ns(p->ctx);
	unsigned n = 0;

	list_init(writes);
	batch_reset(&p->batch);
	while (!list_empty(&p->queue)) {
		struct write *w = first(p);
		struct uuid seed = uuid_derive(&p->seed, p->seeds);
		int rc = batch_add(&p->batch, w->command, w->len, now_ns, &seed);

		if (rc == ERR_BUSY) {
			break;
		}
		if (rc != 0) {
			refuse(p, w, rc);
			continue;
		}
		p->seeds++;
		dequeue(p, w);
		list_insert(writes, &w->link);
		n++;
	}
	return n;
}

static struct entry *entry_new(struct list *writes, unsigned n)
{
	struct entry *e = calloc(1, sizeof(*e) + n * sizeof(e->results[0]));

	if (e != NULL) {
		move_all(writes, &e->writes);
		e->n = n;
	}
	return e;
}

/* One entry. False: there was nothing to send, or it was refused; those who wait for it have been told. */
static bool send_one(struct proposer *p)
{
	struct list writes;
	unsigned n = collect(p, &writes);
	struct entry *e = n > 0 ? entry_new(&writes, n) : NULL;
	int rc;

	if (e == NULL) {
		tell_all(&writes, ERR_NOMEM, NULL);
		return false;
	}
	p->under_way++;
	rc = p->effects->propose(p->ctx, p->batch.entry.at, p->batch.entry.len, e);
	if (rc == 0) {
		p->n_entries++;
		p->n_commands += n;
		return true;
	}
	p->under_way--;
	tell_all(&e->writes, rc, NULL);
	free(e);
	return false;
}

static bool is_worth_an_entry(const struct proposer *p)
{
	return p->under_way == 0 || p->bytes >= PROPOSER_WORTH;
}

void proposer_turn(struct proposer *p)
{
	while (!list_empty(&p->queue)) {
		int rc = p->effects->room(p->ctx);

		if (rc == ERR_BUSY) {
			return;
		}
		if (rc != 0) {
			proposer_fail(p, rc);
			return;
		}
		if (!is_worth_an_entry(p) || !send_one(p)) {
			return;
		}
	}
}

void proposer_done(struct proposer *p, struct entry *e, int status)
{
	assert(p->under_way > 0);
	p->under_way--;
	tell_all(&e->writes, status, e->results);
	free(e);
}
