#include "server/founding.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

static const struct founder *listed(const struct founding_list *list, uint64_t id)
{
	unsigned i;

	for (i = 0; i < list->n; i++) {
		if (list->at[i].id == id) {
			return &list->at[i];
		}
	}
	return NULL;
}

bool founding_list_valid(const struct founding_list *list)
{
	unsigned i;

	if (list->n > FOUNDING_MAX) {
		return false;
	}
	for (i = 0; i < list->n; i++) {
		char host[ADDRESS_HOST_MAX];
		unsigned port;

		if (list->at[i].id == 0 || (i > 0 && list->at[i - 1].id >= list->at[i].id) ||
		    !address_split(list->at[i].address, host, &port) || port == 0) {
			return false;
		}
	}
	return true;
}

struct uuid founding_cluster(const struct founding_list *list)
{
	struct uuid id = {{0}};
	unsigned i;

	for (i = 0; i < list->n; i++) {
		id = uuid_derive(&id, list->at[i].id);
	}
	return id;
}

static bool same_list(const struct founding_list *a, const struct founding_list *b)
{
	unsigned i;

	if (a->n != b->n || a->round != b->round) {
		return false;
	}
	for (i = 0; i < a->n; i++) {
		if (a->at[i].id != b->at[i].id) {
			return false;
		}
	}
	return true;
}

static int by_id(const void *a, const void *b)
{
	const struct founder *x = a;
	const struct founder *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* ---- peers ---- */

static struct founding_peer *find_peer(struct founding *f, uint64_t id)
{
	unsigned i;

	for (i = 0; i < f->n_peers; i++) {
		if (f->peers[i].id == id) {
			return &f->peers[i];
		}
	}
	return NULL;
}

static bool in_cluster(const struct founding_peer *p)
{
	return !uuid_is_zero(&p->cluster);
}

/* It could be founded with. */
static bool is_candidate(const struct founding *f, const struct founding_peer *p)
{
	return p->alive && !in_cluster(p) && p->expect == f->expect;
}

static bool sees_cluster(const struct founding *f)
{
	unsigned i;

	for (i = 0; i < f->n_peers; i++) {
		if (f->peers[i].alive && in_cluster(&f->peers[i])) {
			return true;
		}
	}
	return false;
}

static bool sees_lower_candidate(const struct founding *f)
{
	unsigned i;

	for (i = 0; i < f->n_peers; i++) {
		if (f->peers[i].id < f->self.id && is_candidate(f, &f->peers[i])) {
			return true;
		}
	}
	return false;
}

void founding_peer(struct founding *f, uint64_t id, const char *address, unsigned expect, const struct uuid *cluster,
                   bool alive)
{
	struct founding_peer *p = find_peer(f, id);

	if (id == 0 || id == f->self.id || strlen(address) >= ADDRESS_MAX) {
		return;
	}
	if (p == NULL) {
		if (f->n_peers == FOUNDING_PEERS_MAX) {
			return;
		}
		p = &f->peers[f->n_peers++];
		*p = (struct founding_peer){.id = id};
	}
	strcpy(p->address, address);
	p->expect = expect;
	p->cluster = *cluster;
	p->alive = alive;
	f->next_ms = 0; /* Somebody new may have to be told. */
}

/* ---- the promise ---- */

static bool has_promise(const struct founding *f)
{
	return f->saved.promise.n > 0;
}

static uint64_t coordinator(const struct founding *f)
{
	return f->saved.promise.at[0].id;
}

static bool is_coordinator(const struct founding *f)
{
	return has_promise(f) && coordinator(f) == f->self.id;
}

static bool keep(struct founding *f, const struct founding_saved *saved)
{
	if (f->effects->save(f->ctx, saved) != 0) {
		return false;
	}
	f->saved = *saved;
	return true;
}

static void send(struct founding *f, uint64_t to, enum founding_kind kind, const struct founding_list *list)
{
	struct founding_message m = {.kind = kind, .from = f->self.id, .list = *list};

	f->effects->send(f->ctx, to, &m);
}

static void send_members(struct founding *f, enum founding_kind kind, const struct founding_list *list)
{
	unsigned i;

	for (i = 0; i < list->n; i++) {
		if (list->at[i].id != f->self.id) {
			send(f, list->at[i].id, kind, list);
		}
	}
}

/* Another's, or our own list, is void. */
static bool release(struct founding *f)
{
	struct founding_saved saved = f->saved;

	assert(!saved.decided);
	saved.promise.n = 0;
	return keep(f, &saved);
}

/* The coordinator gives up. */
static void drop(struct founding *f)
{
	struct founding_list list = f->saved.promise;

	if (release(f)) {
		send_members(f, FOUNDING_DROPPED, &list);
	}
}

static void begin_cluster(struct founding *f)
{
	f->over = true;
	f->effects->found(f->ctx, &f->saved.promise);
}

/* Somebody who knows says that the list was decided. */
static void learn_decision(struct founding *f)
{
	struct founding_saved saved = f->saved;

	saved.decided = true;
	if (keep(f, &saved)) {
		begin_cluster(f);
	}
}

/* ---- the coordinator ---- */

static bool all_granted(struct founding *f)
{
	const struct founding_list *list = &f->saved.promise;
	unsigned i;

	for (i = 0; i < list->n; i++) {
		struct founding_peer *p = find_peer(f, list->at[i].id);

		if (list->at[i].id != f->self.id && (p == NULL || !p->granted)) {
			return false;
		}
	}
	return true;
}

static void decide_if_granted(struct founding *f)
{
	struct founding_saved saved = f->saved;

	if (!all_granted(f)) {
		return;
	}
	saved.decided = true;
	if (keep(f, &saved)) {
		send_members(f, FOUNDING_DECIDED, &f->saved.promise);
		begin_cluster(f);
	}
}

/* The lowest candidates and this server, which is lower than they: `expect` in all, else none. */
static void choose(const struct founding *f, struct founding_list *list)
{
	struct founder all[FOUNDING_PEERS_MAX + 1];
	unsigned n = 0;
	unsigned i;

	all[n++] = f->self;
	for (i = 0; i < f->n_peers; i++) {
		if (is_candidate(f, &f->peers[i])) {
			all[n].id = f->peers[i].id;
			strcpy(all[n++].address, f->peers[i].address);
		}
	}
	list->n = 0;
	if (n >= f->expect) {
		qsort(all, n, sizeof(all[0]), by_id);
		list->n = f->expect;
		memcpy(list->at, all, f->expect * sizeof(all[0]));
	}
}

static void propose(struct founding *f)
{
	struct founding_saved saved = f->saved;
	unsigned i;

	saved.promise.round = ++saved.rounds;
	choose(f, &saved.promise);
	if (saved.promise.n == 0 || !keep(f, &saved)) {
		return;
	}
	for (i = 0; i < f->n_peers; i++) {
		f->peers[i].granted = false;
		f->peers[i].seen_ms = f->now_ms;
	}
	send_members(f, FOUNDING_PROPOSE, &f->saved.promise);
	f->next_ms = f->now_ms + FOUNDING_RESEND_MS;
	decide_if_granted(f); /* A list of one. */
}

/* A member has been gone for so long that another may take its place, if there is one. */
static bool member_is_lost(struct founding *f)
{
	struct founding_list other;
	bool lost = false;
	unsigned i;

	for (i = 1; i < f->saved.promise.n; i++) {
		struct founding_peer *p = find_peer(f, f->saved.promise.at[i].id);

		if (p != NULL && is_candidate(f, p)) {
			p->seen_ms = f->now_ms;
		} else if (p == NULL || in_cluster(p) || f->now_ms - p->seen_ms > FOUNDING_PATIENCE_MS) {
			lost = true;
		}
	}
	if (lost) {
		choose(f, &other);
		lost = other.n > 0;
	}
	return lost;
}

static void step_coordinator(struct founding *f)
{
	unsigned i;

	if (sees_cluster(f) || sees_lower_candidate(f) || member_is_lost(f)) {
		drop(f);
		return;
	}
	if (f->now_ms < f->next_ms) {
		return;
	}
	f->next_ms = f->now_ms + FOUNDING_RESEND_MS;
	for (i = 1; i < f->saved.promise.n; i++) {
		struct founding_peer *p = find_peer(f, f->saved.promise.at[i].id);

		if (p != NULL && p->alive && !p->granted) {
			send(f, p->id, FOUNDING_PROPOSE, &f->saved.promise);
		}
	}
	decide_if_granted(f);
}

/* ---- the members ---- */

/* Another server is where the coordinator was, so its data is gone; and none of the other members is in a cluster. */
static bool is_orphan(struct founding *f)
{
	const struct founding_list *list = &f->saved.promise;
	bool replaced = false;
	unsigned i;

	for (i = 0; i < f->n_peers; i++) {
		const struct founding_peer *p = &f->peers[i];

		if (p->alive && p->id == list->at[0].id) {
			return false;
		}
		if (p->alive && strcmp(p->address, list->at[0].address) == 0) {
			replaced = true;
		}
	}
	for (i = 1; i < list->n && replaced; i++) {
		const struct founding_peer *p = find_peer(f, list->at[i].id);

		replaced = list->at[i].id == f->self.id || (p != NULL && p->alive && !in_cluster(p));
	}
	return replaced;
}

/* Peers of the cluster that our list has become. */
static bool sees_own_cluster(const struct founding *f)
{
	struct uuid ours = founding_cluster(&f->saved.promise);
	unsigned i;

	for (i = 0; i < f->n_peers; i++) {
		if (uuid_equal(&f->peers[i].cluster, &ours)) {
			return true;
		}
	}
	return false;
}

static void step_member(struct founding *f)
{
	if (sees_own_cluster(f)) {
		learn_decision(f);
	} else if (is_orphan(f)) {
		(void)release(f);
	} else if (f->now_ms >= f->next_ms) {
		f->next_ms = f->now_ms + FOUNDING_RESEND_MS;
		send(f, coordinator(f), FOUNDING_ASK, &f->saved.promise);
	}
}

/* ---- messages ---- */

static bool may_promise(struct founding *f, const struct founding_message *m)
{
	if (is_coordinator(f) && m->list.at[0].id < f->self.id) {
		drop(f);
	}
	if (!has_promise(f)) {
		return true;
	}
	return coordinator(f) == m->list.at[0].id && f->saved.promise.round <= m->list.round;
}

static void on_propose(struct founding *f, const struct founding_message *m)
{
	struct founding_saved saved;

	if (m->list.n == 0 || m->from != m->list.at[0].id || m->from == f->self.id || f->expect != m->list.n ||
	    listed(&m->list, f->self.id) == NULL) {
		return;
	}
	if (!may_promise(f, m)) {
		if (coordinator(f) != m->from) {
			send(f, m->from, FOUNDING_REFUSE, &f->saved.promise);
		}
		return;
	}
	saved = f->saved;
	saved.promise = m->list;
	if (same_list(&saved.promise, &f->saved.promise) || keep(f, &saved)) {
		send(f, m->from, FOUNDING_GRANT, &f->saved.promise);
		f->next_ms = f->now_ms + FOUNDING_RESEND_MS;
	}
}

static void on_grant(struct founding *f, const struct founding_message *m)
{
	struct founding_peer *p = find_peer(f, m->from);

	if (is_coordinator(f) && p != NULL && m->list.round == f->saved.promise.round &&
	    listed(&f->saved.promise, m->from) != NULL) {
		p->granted = true;
		decide_if_granted(f);
	}
}

/* A coordinator with a lower ID goes before us, if it is there; one with a higher gives up when it hears of us. */
static void on_refuse(struct founding *f, const struct founding_message *m)
{
	const struct founding_peer *other = m->list.n > 0 ? find_peer(f, m->list.at[0].id) : NULL;

	if (is_coordinator(f) && other != NULL && other->id < f->self.id && is_candidate(f, other)) {
		drop(f);
	}
}

static void on_ask(struct founding *f, const struct founding_message *m)
{
	bool ours = is_coordinator(f) && f->saved.promise.round == m->list.round;

	if (!ours) {
		send(f, m->from, FOUNDING_DROPPED, &m->list);
	} else if (f->saved.decided) {
		send(f, m->from, FOUNDING_DECIDED, &f->saved.promise);
	}
}

static void on_decided(struct founding *f, const struct founding_message *m)
{
	if (has_promise(f) && same_list(&f->saved.promise, &m->list)) {
		learn_decision(f);
	}
}

static void on_dropped(struct founding *f, const struct founding_message *m)
{
	if (has_promise(f) && !is_coordinator(f) && coordinator(f) == m->from && f->saved.promise.round <= m->list.round) {
		(void)release(f);
	}
}

void founding_receive(struct founding *f, const struct founding_message *m)
{
	static void (*const on[])(struct founding *f, const struct founding_message *m) = {
	        [FOUNDING_PROPOSE] = on_propose, [FOUNDING_GRANT] = on_grant,     [FOUNDING_REFUSE] = on_refuse,
	        [FOUNDING_ASK] = on_ask,         [FOUNDING_DECIDED] = on_decided, [FOUNDING_DROPPED] = on_dropped};

	assert(m->kind < FOUNDING_KIND_COUNT);
	if (m->kind == FOUNDING_ASK || !f->over) {
		on[m->kind](f, m);
	}
}

/* ---- steps ---- */

void founding_init(struct founding *f, uint64_t id, const char *address, unsigned expect,
                   const struct founding_saved *saved, const struct founding_effects *effects, void *ctx)
{
	assert(id != 0 && strlen(address) < ADDRESS_MAX && expect <= FOUNDING_MAX);
	memset(f, 0, sizeof(*f));
	f->effects = effects;
	f->ctx = ctx;
	f->self.id = id;
	strcpy(f->self.address, address);
	f->expect = expect;
	f->saved = *saved;
}

void founding_end(struct founding *f)
{
	f->over = true;
}

void founding_step(struct founding *f, int64_t now_ms, bool may_begin)
{
	f->now_ms = now_ms;
	if (f->over) {
		return;
	}
	if (f->saved.decided) {
		begin_cluster(f); /* It was decided before a restart. */
		return;
	}
	if (has_promise(f)) {
		is_coordinator(f) ? step_coordinator(f) : step_member(f);
	}
	if (!f->over && !has_promise(f) && may_begin && f->expect > 0 && !sees_cluster(f) && !sees_lower_candidate(f)) {
		propose(f);
	}
}

bool founding_may_join(const struct founding *f)
{
	return !f->over && !has_promise(f);
}

uint64_t founding_stuck(const struct founding *f)
{
	unsigned i;

	if (f->over || !has_promise(f) || is_coordinator(f)) {
		return 0;
	}
	for (i = 0; i < f->n_peers; i++) {
		if (f->peers[i].id == coordinator(f) && f->peers[i].alive) {
			return 0;
		}
	}
	return coordinator(f);
}
