#include "server/events.h"

#include <stdlib.h>

#include "raft/table.h"

static const char *const topics[] = {
#define X(id, text) text,
	EVENT_TOPIC_LIST(X)
#undef X
};

static const char *const types[] = {
#define X(id, text) text,
	EVENT_TYPE_LIST(X)
#undef X
};

const char *event_topic_text(enum event_topic topic)
{
	return topics[topic];
}

const char *event_type_text(enum event_type type)
{
	return types[type];
}

/* ---- what is an event ---- */

/* Commands that are told of, and by which name, whatever the object; what the others change is nobody's event. */
#define COMMAND_EVENTS(X)                                                                                              \
	X(JOB_REGISTER, JOB_REGISTERED)                                                                                \
	X(JOB_REVERT, JOB_REGISTERED)                                                                                  \
	X(JOB_SCALE, JOB_REGISTERED)                                                                                   \
	X(JOB_DEREGISTER, JOB_DEREGISTERED)                                                                            \
	X(JOBS_DELETE, JOB_BATCH_DEREGISTERED)                                                                         \
	X(JOB_EVALUATE, EVAL_UPDATED)                                                                                  \
	X(EVALS, EVAL_UPDATED)                                                                                         \
	X(NODE_REGISTER, NODE_REGISTRATION)                                                                            \
	X(NODES_DELETE, NODE_DEREGISTRATION)                                                                           \
	X(NODE_STATUS, NODE_EVENT)                                                                                     \
	X(NODE_EVENTS, NODE_EVENT)                                                                                     \
	X(NODE_EVALUATE, EVAL_UPDATED)                                                                                 \
	X(NODE_ELIGIBILITY, NODE_ELIGIBILITY)                                                                          \
	X(NODE_DRAIN, NODE_DRAIN)                                                                                      \
	X(ALLOC_REPORTS, ALLOC_UPDATED)                                                                                \
	X(ALLOC_TRANSITIONS, ALLOC_DESIRED)                                                                            \
	X(PLAN, PLAN_RESULT)                                                                                           \
	X(DEPLOYMENT_STATUS, DEPLOYMENT_STATUS)                                                                        \
	X(DEPLOYMENT_PROMOTE, DEPLOYMENT_PROMOTION)                                                                    \
	X(DEPLOYMENT_HEALTH, DEPLOYMENT_HEALTH)                                                                        \
	X(NODE_POOL_PUT, NODE_POOL_UPSERTED)                                                                           \
	X(NODE_POOL_DELETE, NODE_POOL_DELETED)

static enum event_type type_of_command(enum command c)
{
	switch (c) {
#define X(command, type)                                                                                               \
	case COMMAND_##command:                                                                                        \
		return EVENT_##type;
		COMMAND_EVENTS(X)
#undef X
	default:
		return N_EVENT_TYPES;
	}
}

/* Tables whose rows are told of: the topic, and the row's own index. */
#define EVENT_TABLES(X)                                                                                                \
	X(JOBS, JOB, job_row)                                                                                          \
	X(EVALS, EVALUATION, eval_row)                                                                                 \
	X(ALLOCS, ALLOCATION, alloc_row)                                                                               \
	X(DEPLOYMENTS, DEPLOYMENT, deployment_row)                                                                     \
	X(NODES, NODE, node_row)                                                                                       \
	X(NODE_POOLS, NODE_POOL, object_row)                                                                           \
	X(SERVICES, SERVICE, service_row)                                                                              \
	X(ACL_POLICIES, ACL_POLICY, object_row)                                                                        \
	X(ACL_TOKENS, ACL_TOKEN, acl_token_row)                                                                        \
	X(ACL_ROLES, ACL_ROLE, acl_role_row)

static enum event_topic topic_of(enum table table)
{
	switch (table) {
#define X(id, topic, type)                                                                                             \
	case TABLE_##id:                                                                                               \
		return EVENT_TOPIC_##topic;
		EVENT_TABLES(X)
#undef X
	default:
		return N_EVENT_TOPICS;
	}
}

static uint64_t index_of_row(const struct row *row)
{
	switch (row->table) {
#define X(id, topic, type)                                                                                             \
	case TABLE_##id:                                                                                               \
		return ((const struct type *)(const void *)row)->modify_index;
		EVENT_TABLES(X)
#undef X
	default:
		return 0;
	}
}

/* The newest version alone stands for its job; older ones come and go without a word. */
static bool is_current(const struct view *v, const struct row *row)
{
	const struct job_row *job = (const struct job_row *)(const void *)row;

	return state_job(v, job_row_ns(job), job_row_id(job)) == job;
}

static bool job_counts(const struct view *v, const struct view *before, const struct change *c)
{
	const struct job_row *old = (const struct job_row *)(const void *)c->old;

	if (c->now != NULL) {
		return is_current(v, c->now);
	}
	return is_current(before, c->old) && state_job(v, job_row_ns(old), job_row_id(old)) == NULL;
}

static bool removes(enum command c, enum table table)
{
	switch (c) {
	case COMMAND_JOB_DEREGISTER:
	case COMMAND_JOBS_DELETE:
		return table == TABLE_JOBS;
	case COMMAND_NODES_DELETE:
		return table == TABLE_NODES;
	case COMMAND_NODE_POOL_DELETE:
		return table == TABLE_NODE_POOLS;
	case COMMAND_ACL_POLICY_DELETE:
		return table == TABLE_ACL_POLICIES;
	case COMMAND_ACL_TOKEN_DELETE:
	case COMMAND_ACL_EXPIRE:
		return table == TABLE_ACL_TOKENS;
	case COMMAND_ACL_ROLE_DELETE:
		return table == TABLE_ACL_ROLES;
	default:
		return false;
	}
}

/* Rows that go do not say when: the last command of the entry that removes something of that kind did it. */
static uint64_t index_of_end(const struct fsm *fsm, enum table table)
{
	uint64_t end = fsm->first_index + fsm->n_kinds;

	for (uint64_t index = end; index > fsm->first_index; index--) {
		if (removes(fsm_command_at(fsm, index - 1), table)) {
			return index - 1;
		}
	}
	return end - 1;
}

/* Tables whose events are known by whether the row is there, whatever the command. */
static enum event_type type_of_table(enum table table, bool gone, enum event_type otherwise)
{
	switch (table) {
	case TABLE_SERVICES:
		return gone ? EVENT_SERVICE_DEREGISTRATION : EVENT_SERVICE_REGISTRATION;
	case TABLE_ACL_POLICIES:
		return gone ? EVENT_ACL_POLICY_DELETED : EVENT_ACL_POLICY_UPSERTED;
	case TABLE_ACL_TOKENS:
		return gone ? EVENT_ACL_TOKEN_DELETED : EVENT_ACL_TOKEN_UPSERTED;
	case TABLE_ACL_ROLES:
		return gone ? EVENT_ACL_ROLE_DELETED : EVENT_ACL_ROLE_UPSERTED;
	default:
		return otherwise;
	}
}

/* False: it is no event. */
static bool make_event(const struct fsm *fsm, const struct view *v, const struct change *c, struct event *out)
{
	struct event e = {.gone = c->now == NULL};
	enum event_topic topic = topic_of(c->table);
	enum event_type type;

	if (topic == N_EVENT_TOPICS || (c->table == TABLE_JOBS && !job_counts(v, fsm->before, c))) {
		return false;
	}
	e.row = e.gone ? c->old : c->now;
	e.index = e.gone ? index_of_end(fsm, c->table) : index_of_row(e.row);
	type = type_of_table(c->table, e.gone, type_of_command(fsm_command_at(fsm, e.index)));
	if (type == N_EVENT_TYPES) {
		return false;
	}
	/* What goes with its job, or is collected, is not told one by one. */
	if (e.gone && (topic == EVENT_TOPIC_EVALUATION || topic == EVENT_TOPIC_ALLOCATION ||
		       topic == EVENT_TOPIC_DEPLOYMENT)) {
		return false;
	}
	e.topic = (uint8_t)topic;
	e.type = (uint8_t)type;
	*out = e;
	return true;
}

/* ---- batches ---- */

void event_batch_free(struct event_batch *b)
{
	if (b != NULL) {
		view_release(b->now);
		view_release(b->before);
		free(b);
	}
}

static int by_index(const void *a, const void *b)
{
	const struct event *x = a;
	const struct event *y = b;

	if (x->index != y->index) {
		return x->index < y->index ? -1 : 1;
	}
	return x->topic < y->topic ? -1 : x->topic > y->topic;
}

/* NULL: nothing to tell. */
static struct event_batch *make_batch(const struct fsm *fsm, const struct view *v, const struct change *changes,
				      size_t n)
{
	struct event_batch *b = NULL;
	uint32_t used = 0;

	for (size_t i = 0; i < n; i++) {
		struct event e;

		if (!make_event(fsm, v, &changes[i], &e)) {
			continue;
		}
		if (b == NULL) {
			b = state_malloc(sizeof(*b) + (n - i) * sizeof(b->at[0]));
		}
		b->at[used++] = e;
	}
	if (b != NULL) {
		b->n = used;
		b->now = view_again(v);
		b->before = view_again(fsm->before);
		qsort(b->at, b->n, sizeof(b->at[0]), by_index);
	}
	return b;
}

/* ---- the ring ---- */

void events_init(struct event_feed *f, void (*wake)(void *ctx), void *ctx)
{
	f->wake = wake;
	f->ctx = ctx;
	atomic_init(&f->head, 0);
	atomic_init(&f->tail, 0);
	atomic_init(&f->gap, false);
	atomic_init(&f->signalled, false);
	atomic_init(&f->listening, false);
}

void events_close(struct event_feed *f)
{
	struct event_batch *b;

	while ((b = events_pull(f)) != NULL) {
		event_batch_free(b);
	}
}

static void signal_reader(struct event_feed *f)
{
	if (!atomic_exchange(&f->signalled, true)) {
		f->wake(f->ctx);
	}
}

/* The batch is in the ring before it is looked whether the reader listens, and the reader pulls after it has said so: one of
 * the two sees the other. */
static bool is_to_be_told(struct event_feed *f)
{
	size_t waiting = atomic_load_explicit(&f->head, memory_order_relaxed) -
			 atomic_load_explicit(&f->tail, memory_order_relaxed);

	atomic_thread_fence(memory_order_seq_cst);
	return waiting > EVENTS_RING / 2 || atomic_load(&f->listening);
}

void events_listen(struct event_feed *f, bool on)
{
	(void)atomic_exchange(&f->listening, on);
}

void events_push(struct event_feed *f, const struct fsm *fsm, const struct view *v, const struct change *changes,
		 size_t n)
{
	size_t head = atomic_load_explicit(&f->head, memory_order_relaxed);
	struct event_batch *b = make_batch(fsm, v, changes, n);

	if (b == NULL) {
		return;
	}
	if (head - atomic_load_explicit(&f->tail, memory_order_acquire) == EVENTS_RING) {
		event_batch_free(b);
		atomic_store_explicit(&f->gap, true, memory_order_release);
	} else {
		f->slots[head % EVENTS_RING] = b;
		atomic_store_explicit(&f->head, head + 1, memory_order_release);
	}
	if (is_to_be_told(f)) {
		signal_reader(f);
	}
}

void events_gap(struct event_feed *f)
{
	atomic_store_explicit(&f->gap, true, memory_order_release);
	signal_reader(f);
}

bool events_pull_gap(struct event_feed *f)
{
	atomic_store(&f->signalled, false);
	return atomic_exchange(&f->gap, false);
}

struct event_batch *events_pull(struct event_feed *f)
{
	size_t tail = atomic_load_explicit(&f->tail, memory_order_relaxed);
	struct event_batch *b;

	if (tail == atomic_load_explicit(&f->head, memory_order_acquire)) {
		return NULL;
	}
	b = f->slots[tail % EVENTS_RING];
	atomic_store_explicit(&f->tail, tail + 1, memory_order_release);
	return b;
}
