#include "server/broker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "server/part.h"
#include "server/sched_memory.h"

/* A job of which something is to be evaluated. */
struct broker_job {
	struct hash_link by_key;
	struct broker_item *current; /* READY, UNACKED or RETRY; NULL: the job is free. */
	struct list waiting;         /* In no order. */
	size_t n;                    /* Its items, the current one included. */
	size_t len;
	char key[];
};

static const struct sm_state states[] = {
#define X(id, name, next) [BROKER_##id] = {name, next},
	BROKER_STATES(X)
#undef X
};

/* ---- order ---- */

#define ITEM_OF(l) CONTAINER_OF(l, struct broker_item, heap)

static const struct broker_item *item_in(const struct heap_link *l)
{
	return (const struct broker_item *)(const void *)((const char *)l - offsetof(struct broker_item, heap));
}

static bool goes_first(const struct heap_link *x, const struct heap_link *y)
{
	const struct broker_item *a = item_in(x);
	const struct broker_item *b = item_in(y);

	if (a->priority != b->priority) {
		return a->priority > b->priority;
	}
	return a->create_index != b->create_index ? a->create_index < b->create_index : a->order < b->order;
}

static bool is_due_first(const struct heap_link *x, const struct heap_link *y)
{
	const struct broker_item *a = item_in(x);
	const struct broker_item *b = item_in(y);

	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

/* The heap that items in this state are in, or NULL. */
static struct heap *heap_of(struct broker *b, const struct broker_item *item)
{
	switch (item->sm.at) {
	case BROKER_READY:
		return &b->ready[item->type];
	case BROKER_DELAYED:
		return &b->delayed;
	case BROKER_UNACKED:
	case BROKER_RETRY:
		return &b->timed;
	default:
		return NULL;
	}
}

/* The list likewise. */
static struct list *list_of(struct broker *b, const struct broker_item *item)
{
	switch (item->sm.at) {
	case BROKER_WAITING:
		return &item->job->waiting;
	case BROKER_FAILED:
		return &b->failed;
	case BROKER_CANCEL:
		return &b->cancel;
	default:
		return NULL;
	}
}

/* ---- states ---- */

/* What must hold of an item by itself. */
static bool is_sound(const struct sm *m)
{
	const struct broker_item *item = CONTAINER_OF(m, const struct broker_item, sm);
	bool current = item->job != NULL && item->job->current == item;

	switch (m->at) {
	case BROKER_READY:
	case BROKER_UNACKED:
	case BROKER_RETRY:
		return current;
	case BROKER_WAITING:
		return item->job != NULL && !current;
	default:
		return item->job == NULL;
	}
}

static void enter(struct broker *b, struct broker_item *item)
{
	struct heap *heap = heap_of(b, item);
	struct list *list = list_of(b, item);

	b->count[item->sm.at]++;
	b->count_type[item->type] += item->sm.at == BROKER_READY;
	if (list != NULL) {
		list_insert(list, &item->link);
	}
	if (heap != NULL && !(item->sm.at == BROKER_UNACKED && item->held) && !heap_add(heap, &item->heap)) {
		sched_got(NULL);
	}
}

static void leave(struct broker *b, struct broker_item *item)
{
	b->count[item->sm.at]--;
	b->count_type[item->type] -= item->sm.at == BROKER_READY;
	list_remove(&item->link);
	if (heap_has(&item->heap)) {
		heap_remove(heap_of(b, item), &item->heap);
	}
}

/* What the new state needs has been set, but for the job, which `leave` still needs as it was. */
static void move(struct broker *b, struct broker_item *item, enum broker_state to, struct broker_job *job)
{
	leave(b, item);
	item->job = job;
	sm_move(&item->sm, (int)to);
	enter(b, item);
}

/* ---- jobs ---- */

static struct broker_job *job_find(const struct broker *b, const char *key, size_t len)
{
	struct uuid ref = job_ref(key, len);
	struct hash_link *l;

	for (l = hash_first(&b->jobs, id_hash(&ref)); l != NULL; l = hash_next(l)) {
		struct broker_job *job = CONTAINER_OF(l, struct broker_job, by_key);

		if (job->len == len && memcmp(job->key, key, len) == 0) {
			return job;
		}
	}
	return NULL;
}

static struct broker_job *job_get(struct broker *b, const char *key, size_t len)
{
	struct broker_job *job = job_find(b, key, len);

	if (job == NULL) {
		struct uuid ref = job_ref(key, len);

		job = sched_calloc(1, sizeof(*job) + len);
		memcpy(job->key, key, len);
		job->len = len;
		list_init(&job->waiting);
		hash_add(&b->jobs, &job->by_key, id_hash(&ref));
	}
	return job;
}

static void job_drop_if_idle(struct broker *b, struct broker_job *job)
{
	if (job->current == NULL && list_empty(&job->waiting)) {
		hash_remove(&b->jobs, &job->by_key);
		free(job);
	}
}

/* Ready if the job is free. */
static void admit(struct broker *b, struct broker_item *item)
{
	struct broker_job *job = job_get(b, item->key, item->len);

	if (job->current == NULL) {
		job->current = item;
		move(b, item, BROKER_READY, job);
	} else {
		move(b, item, BROKER_WAITING, job);
	}
}

static bool is_newer(const struct broker_item *a, const struct broker_item *than)
{
	return a->create_index != than->create_index ? a->create_index > than->create_index : a->order > than->order;
}

/* Of those that wait, the one to go on with: of the highest priority, and of these the newest. */
static struct broker_item *best_waiting(const struct broker_job *job)
{
	struct broker_item *best = NULL;

	LIST_EACH (e, &job->waiting) {
		struct broker_item *item = CONTAINER_OF(e, struct broker_item, link);

		if (best == NULL || item->priority > best->priority ||
		    (item->priority == best->priority && is_newer(item, best))) {
			best = item;
		}
	}
	return best;
}

/* The job's current evaluation has left. When it was processed, one of those that came meanwhile is enough. */
static void go_on(struct broker *b, struct broker_job *job, bool processed)
{
	struct broker_item *next = best_waiting(job);

	job->current = next;
	if (next != NULL) {
		move(b, next, BROKER_READY, job);
	}
	while (processed && !list_empty(&job->waiting)) {
		move(b, CONTAINER_OF(job->waiting.next, struct broker_item, link), BROKER_CANCEL, NULL);
	}
	job_drop_if_idle(b, job);
}

/* ---- items ---- */

static struct broker_item *find(const struct broker *b, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&b->by_id, id_hash(id)); l != NULL; l = hash_next(l)) {
		struct broker_item *item = CONTAINER_OF(l, struct broker_item, by_id);

		if (uuid_equal(&item->id, id)) {
			return item;
		}
	}
	return NULL;
}

static size_t key_len(const struct eval_row *row)
{
	return (size_t)row->ns_len + row->id_len + 2;
}

static struct broker_item *item_new(struct broker *b, const struct eval_row *row)
{
	struct broker_item *item = sched_calloc(1, sizeof(*item) + key_len(row));

	item->id = row->id;
	item->create_index = row->create_index;
	item->order = ++b->orders;
	item->priority = row->priority;
	item->type = row->type;
	item->at_ns = row->wait_until_ns;
	item->len = key_len(row);
	memcpy(item->key, row->key, item->len);
	list_init(&item->link);
	sm_init(&item->sm, states, is_sound, BROKER_DELAYED);
	hash_add(&b->by_id, &item->by_id, id_hash(&item->id));
	enter(b, item);
	return item;
}

static void item_free(struct broker *b, struct broker_item *item)
{
	leave(b, item);
	hash_remove(&b->by_id, &item->by_id);
	free(item);
}

/* Take out an item that is not with a scheduler any more, if it was. */
static void drop(struct broker *b, struct broker_item *item, bool processed)
{
	struct broker_job *job = item->job;
	bool current = job != NULL && job->current == item;

	item_free(b, item);
	if (current) {
		job->current = NULL;
		go_on(b, job, processed);
	} else if (job != NULL) {
		job_drop_if_idle(b, job);
	}
}

/* ---- life ---- */

static int64_t or_default(int64_t value, int64_t dflt)
{
	return value > 0 ? value : dflt;
}

void broker_init(struct broker *b, const struct broker_config *config)
{
	unsigned i;

	*b = (struct broker){.config = config != NULL ? *config : (struct broker_config){0, 0, 0}};
	b->config.nack_timeout_ns = or_default(b->config.nack_timeout_ns, 60 * NS_PER_S);
	b->config.first_delay_ns = or_default(b->config.first_delay_ns, NS_PER_S);
	b->config.further_delay_ns = or_default(b->config.further_delay_ns, 20 * NS_PER_S);
	for (i = 0; i < JOB_TYPE_COUNT; i++) {
		heap_init(&b->ready[i], goes_first);
	}
	heap_init(&b->delayed, is_due_first);
	heap_init(&b->timed, is_due_first);
	list_init(&b->failed);
	list_init(&b->cancel);
}

void broker_reset(struct broker *b)
{
	struct hash_link *l;
	unsigned i;

	while ((l = hash_pop(&b->by_id)) != NULL) {
		free(CONTAINER_OF(l, struct broker_item, by_id));
	}
	while ((l = hash_pop(&b->jobs)) != NULL) {
		free(CONTAINER_OF(l, struct broker_job, by_key));
	}
	hash_close(&b->by_id);
	hash_close(&b->jobs);
	for (i = 0; i < JOB_TYPE_COUNT; i++) {
		heap_close(&b->ready[i]);
	}
	heap_close(&b->delayed);
	heap_close(&b->timed);
	list_init(&b->failed);
	list_init(&b->cancel);
	memset(b->count, 0, sizeof(b->count));
	memset(b->count_type, 0, sizeof(b->count_type));
}

void broker_close(struct broker *b)
{
	broker_reset(b);
}

/* ---- in and out ---- */

void broker_put(struct broker *b, const struct eval_row *row, int64_t wall_ns)
{
	struct broker_item *item = find(b, &row->id);

	if (item != NULL && item->sm.at == BROKER_DELAYED) { /* Its time may have been changed. */
		drop(b, item, false);
		item = NULL;
	}
	if (item != NULL) {
		return;
	}
	item = item_new(b, row);
	if (item->at_ns <= wall_ns) {
		admit(b, item);
	}
}

void broker_remove(struct broker *b, const struct uuid *id)
{
	struct broker_item *item = find(b, id);

	if (item == NULL) {
		return;
	}
	if (item->sm.at == BROKER_UNACKED) {
		item->over = true;
	} else {
		drop(b, item, false);
	}
}

bool broker_has(const struct broker *b, const struct uuid *id)
{
	return find(b, id) != NULL;
}

void broker_pause(struct broker *b, bool paused)
{
	b->paused = paused;
}

static struct broker_item *first_ready(const struct broker *b, unsigned types)
{
	struct heap_link *best = NULL;
	unsigned i;

	for (i = 0; i < JOB_TYPE_COUNT; i++) {
		struct heap_link *first = (types & 1u << i) != 0 ? heap_first(&b->ready[i]) : NULL;

		if (first != NULL && (best == NULL || goes_first(first, best))) {
			best = first;
		}
	}
	return best != NULL ? ITEM_OF(best) : NULL;
}

bool broker_take(struct broker *b, unsigned types, const struct moment *at, struct broker_delivery *out)
{
	struct broker_item *item = b->paused ? NULL : first_ready(b, types);

	if (item == NULL) {
		return false;
	}
	leave(b, item);
	item->deliveries++;
	item->token = ++b->tokens;
	item->held = false;
	item->at_ns = at->mono_ns + b->config.nack_timeout_ns;
	sm_move(&item->sm, BROKER_UNACKED);
	enter(b, item);
	b->delivered++;
	*out = (struct broker_delivery){item->id, item->token, item->type, item->deliveries};
	return true;
}

static struct broker_item *owned(const struct broker *b, const struct uuid *id, uint64_t token)
{
	struct broker_item *item = find(b, id);

	return item != NULL && item->sm.at == BROKER_UNACKED && item->token == token ? item : NULL;
}

bool broker_owns(const struct broker *b, const struct uuid *id, uint64_t token)
{
	return owned(b, id, token) != NULL;
}

uint64_t broker_token(const struct broker *b, const struct uuid *id)
{
	struct broker_item *item = find(b, id);

	return item != NULL && item->sm.at == BROKER_UNACKED ? item->token : 0;
}

void broker_hold(struct broker *b, const struct uuid *id, uint64_t token, bool held, const struct moment *at)
{
	struct broker_item *item = owned(b, id, token);

	if (item != NULL) {
		leave(b, item);
		item->held = held;
		item->at_ns = at->mono_ns + b->config.nack_timeout_ns;
		enter(b, item);
	}
}

int broker_ack(struct broker *b, const struct uuid *id, uint64_t token)
{
	struct broker_item *item = owned(b, id, token);

	if (item == NULL) {
		return ERR_NOTFOUND;
	}
	b->acked++;
	drop(b, item, true);
	return 0;
}

/* ---- failing ---- */

/* After too many deliveries it holds up its job no longer. */
static void give_up(struct broker *b, struct broker_item *item)
{
	struct broker_job *job = item->job;

	job->current = NULL;
	move(b, item, BROKER_FAILED, NULL);
	go_on(b, job, false);
}

static void try_again(struct broker *b, struct broker_item *item, const struct moment *at)
{
	leave(b, item);
	item->held = false;
	item->at_ns = at->mono_ns + (item->deliveries == 1 ? b->config.first_delay_ns : b->config.further_delay_ns);
	sm_move(&item->sm, BROKER_RETRY);
	enter(b, item);
}

static void fail(struct broker *b, struct broker_item *item, const struct moment *at)
{
	if (item->over) {
		drop(b, item, false);
	} else if (item->deliveries >= BROKER_DELIVERIES_MAX) {
		give_up(b, item);
	} else {
		try_again(b, item, at);
	}
}

int broker_nack(struct broker *b, const struct uuid *id, uint64_t token, const struct moment *at)
{
	struct broker_item *item = owned(b, id, token);

	if (item == NULL) {
		return ERR_NOTFOUND;
	}
	b->nacked++;
	fail(b, item, at);
	return 0;
}

/* ---- time ---- */

static bool tick_one(struct broker *b, const struct moment *at)
{
	struct heap_link *l = heap_first(&b->delayed);
	struct broker_item *item;

	if (l != NULL && ITEM_OF(l)->at_ns <= at->wall_ns) {
		admit(b, ITEM_OF(l));
		return true;
	}
	l = heap_first(&b->timed);
	if (l == NULL || ITEM_OF(l)->at_ns > at->mono_ns) {
		return false;
	}
	item = ITEM_OF(l);
	if (item->sm.at == BROKER_RETRY) {
		move(b, item, BROKER_READY, item->job);
	} else {
		b->timed_out++;
		fail(b, item, at);
	}
	return true;
}

bool broker_tick(struct broker *b, const struct moment *at, unsigned max)
{
	while (max-- > 0) {
		if (!tick_one(b, at)) {
			return false;
		}
	}
	return true;
}

int64_t broker_due(const struct broker *b, const struct moment *at)
{
	struct heap_link *delayed = heap_first(&b->delayed);
	struct heap_link *timed = heap_first(&b->timed);
	int64_t due = delayed != NULL ? due_mono(ITEM_OF(delayed)->at_ns, at) : PART_NEVER;

	return timed != NULL && ITEM_OF(timed)->at_ns < due ? ITEM_OF(timed)->at_ns : due;
}

/* ---- wishes ---- */

const struct broker_item *broker_failed(const struct broker *b)
{
	return list_empty(&b->failed) ? NULL : CONTAINER_OF(b->failed.next, struct broker_item, link);
}

const struct broker_item *broker_cancel(const struct broker *b, const struct broker_item *after)
{
	struct list *next = after == NULL ? b->cancel.next : after->link.next;

	return next == &b->cancel ? NULL : CONTAINER_OF(next, struct broker_item, link);
}

/* ---- for tests ---- */

static size_t check_job(const struct broker_job *job)
{
	size_t n = 0;

	assert(job->current != NULL);
	assert(job->current->job == job);
	LIST_EACH (e, &job->waiting) {
		struct broker_item *item = CONTAINER_OF(e, struct broker_item, link);

		assert(item->sm.at == BROKER_WAITING && item->job == job);
		assert(item->len == job->len && memcmp(item->key, job->key, job->len) == 0);
		n++;
	}
	return n;
}

void broker_check(const struct broker *b)
{
	size_t total = 0;
	size_t waiting = 0;
	size_t ready = 0;
	const struct hash_link *l;
	size_t i;

	for (i = 0; i < N_BROKER_STATES; i++) {
		total += b->count[i];
	}
	assert(total == b->by_id.n);
	for (l = hash_walk(&b->jobs, NULL); l != NULL; l = hash_walk(&b->jobs, l)) {
		waiting += check_job(CONTAINER_OF(l, struct broker_job, by_key));
	}
	assert(waiting == b->count[BROKER_WAITING]);
	assert(b->jobs.n == b->count[BROKER_READY] + b->count[BROKER_UNACKED] + b->count[BROKER_RETRY]);
	for (i = 0; i < JOB_TYPE_COUNT; i++) {
		assert(b->ready[i].n == b->count_type[i]);
		ready += b->ready[i].n;
	}
	assert(ready == b->count[BROKER_READY] && b->delayed.n == b->count[BROKER_DELAYED]);
	(void)waiting;
	(void)ready;
}
