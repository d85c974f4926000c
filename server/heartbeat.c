#include "server/heartbeat.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "raft/spec.h"
#include "server/sched_memory.h"
#include "server/sched_standing.h"

#define NODE_OF(l) CONTAINER_OF(l, struct heartbeat_node, by_time)

enum { ROWS_OF_A_DECODE = 50 }; /* What decoding a job costs, in rows looked at. */

static const struct heartbeat_node *node_in(const struct heap_link *l)
{
	return (const struct heartbeat_node *)(const void *)((const char *)l -
							     offsetof(struct heartbeat_node, by_time));
}

static bool is_due_first(const struct heap_link *a, const struct heap_link *b)
{
	return node_in(a)->deadline_ns < node_in(b)->deadline_ns;
}

/* ---- time ---- */

/* Monotonic time that stands still while the leader does. */
static int64_t now_of(const struct heartbeat *hb, const struct moment *at)
{
	return at->mono_ns - hb->forgiven_ns;
}

/* The least TTL, so that all nodes together send no more heartbeats than they may. */
static int64_t base_ttl(const struct heartbeat *hb)
{
	double nodes = (double)(hb->by_id.n + hb->expected);
	int64_t ttl = (int64_t)(nodes / hb->config.max_per_second * (double)NS_PER_S);

	return ttl > hb->config.min_ttl_ns ? ttl : hb->config.min_ttl_ns;
}

/* Until when a node that was told any TTL by anybody must be heard of. */
static int64_t longest(const struct heartbeat *hb, const struct moment *at)
{
	return now_of(hb, at) + 2 * base_ttl(hb) + hb->config.grace_ns;
}

void heartbeat_forgive(struct heartbeat *hb, int64_t ns)
{
	hb->forgiven_ns += ns;
}

/* ---- nodes ---- */

static struct heartbeat_node *find(const struct heartbeat *hb, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&hb->by_id, id_hash(id)); l != NULL; l = hash_next(l)) {
		struct heartbeat_node *node = CONTAINER_OF(l, struct heartbeat_node, by_id);

		if (uuid_equal(&node->id, id)) {
			return node;
		}
	}
	return NULL;
}

static void set_deadline(struct heartbeat *hb, struct heartbeat_node *node, int64_t deadline_ns)
{
	node->deadline_ns = deadline_ns;
	node->scan = (struct uuid){{0}};
	if (heap_has(&node->by_time)) {
		heap_moved(&hb->by_time, &node->by_time);
	}
}

static void arm(struct heartbeat *hb, struct heartbeat_node *node)
{
	if (!heap_has(&node->by_time)) {
		node->scan = (struct uuid){{0}};
		sched_got(heap_add(&hb->by_time, &node->by_time) ? node : NULL);
	}
}

static void disarm(struct heartbeat *hb, struct heartbeat_node *node)
{
	if (heap_has(&node->by_time)) {
		heap_remove(&hb->by_time, &node->by_time);
	}
}

static struct heartbeat_node *get(struct heartbeat *hb, const struct uuid *id, const struct moment *at)
{
	struct heartbeat_node *node = find(hb, id);

	if (node == NULL) {
		node = sched_calloc(1, sizeof(*node));
		node->id = *id;
		list_init(&node->coming);
		hash_add(&hb->by_id, &node->by_id, id_hash(id));
		node->deadline_ns = longest(hb, at);
		arm(hb, node);
	}
	return node;
}

static void drop(struct heartbeat *hb, struct heartbeat_node *node)
{
	disarm(hb, node);
	list_remove(&node->coming);
	hash_remove(&hb->by_id, &node->by_id);
	free(node);
}

/* A command must say that it is ready. */
static void expect(struct heartbeat *hb, struct heartbeat_node *node)
{
	if (list_empty(&node->coming) && !node->asked) {
		list_insert(&hb->coming, &node->coming);
	}
}

/* ---- life ---- */

void heartbeat_init(struct heartbeat *hb, const struct heartbeat_config *config)
{
	*hb = (struct heartbeat){.config = config != NULL ? *config : (struct heartbeat_config){0, 0, 0}};
	if (hb->config.min_ttl_ns <= 0) {
		hb->config.min_ttl_ns = 10 * NS_PER_S;
	}
	if (hb->config.grace_ns <= 0) {
		hb->config.grace_ns = 10 * NS_PER_S;
	}
	if (!(hb->config.max_per_second > 0)) {
		hb->config.max_per_second = 50;
	}
	heap_init(&hb->by_time, is_due_first);
	list_init(&hb->coming);
}

void heartbeat_reset(struct heartbeat *hb, size_t expected)
{
	struct hash_link *l;

	while ((l = hash_pop(&hb->by_id)) != NULL) {
		free(CONTAINER_OF(l, struct heartbeat_node, by_id));
	}
	hash_close(&hb->by_id);
	heap_close(&hb->by_time);
	list_init(&hb->coming);
	hb->coming_at_ns = 0;
	hb->expected = expected;
}

void heartbeat_close(struct heartbeat *hb)
{
	heartbeat_reset(hb, 0);
}

/* ---- what is heard ---- */

int heartbeat_beat(struct heartbeat *hb, const struct node_row *row, int status, const struct moment *at,
		   int64_t *ttl_ns)
{
	struct heartbeat_node *node;
	int64_t base;

	if (row == NULL) {
		return ERR_NOTFOUND;
	}
	node = get(hb, &row->id, at);
	base = base_ttl(hb);
	*ttl_ns = base + (int64_t)(at->random % (uint64_t)base);
	set_deadline(hb, node, now_of(hb, at) + *ttl_ns + hb->config.grace_ns);
	node->beaten = true;
	hb->beats++;
	if (row->status != NODE_STATUS_READY && status == NODE_STATUS_READY) {
		expect(hb, node);
	}
	return 0;
}

void heartbeat_load(struct heartbeat *hb, const struct node_row *row, const struct moment *at)
{
	if (row->status != NODE_STATUS_DOWN) {
		get(hb, &row->id, at);
	}
	if (hb->expected > 0) {
		hb->expected--;
	}
}

/* It was heard of after the command that says that it is lost was on its way: then it comes back at once. */
static void is_down(struct heartbeat *hb, struct heartbeat_node *node)
{
	if (!heap_has(&node->by_time) && node->beaten) {
		arm(hb, node);
		expect(hb, node);
	} else if (list_empty(&node->coming) && !node->asked) {
		drop(hb, node);
	}
}

void heartbeat_changed(struct heartbeat *hb, const struct node_row *old, const struct node_row *now,
		       const struct moment *at)
{
	struct heartbeat_node *node = find(hb, now != NULL ? &now->id : &old->id);

	if (now == NULL || now->status == NODE_STATUS_DOWN) {
		if (node != NULL && now == NULL) {
			drop(hb, node);
		} else if (node != NULL) {
			is_down(hb, node);
		}
		return;
	}
	node = get(hb, &now->id, at);
	if (now->status == NODE_STATUS_READY) {
		list_remove(&node->coming);
	}
	if (!heap_has(&node->by_time)) {
		if (!node->beaten) {
			node->deadline_ns = longest(hb, at);
		}
		arm(hb, node);
	}
}

/* ---- what is to be done ---- */

static enum part_step say(struct turn *turn, struct heartbeat_node *node, int status, const char *event, bool missed)
{
	struct node_status_update p;

	object_init(&node_status_update_type, &p);
	p.id = uuid_bytes(&node->id);
	p.status = status;
	p.event = event;
	p.missed = missed;
	return turn_command(turn, COMMAND_NODE_STATUS, &p, &node->id);
}

static enum part_step step_coming(struct heartbeat *hb, struct turn *turn)
{
	struct heartbeat_node *node = CONTAINER_OF(hb->coming.next, struct heartbeat_node, coming);
	const struct node_row *row = state_node(turn->v, &node->id);

	list_remove(&node->coming);
	if (row == NULL || row->status == NODE_STATUS_READY) {
		return STEP_MORE;
	}
	node->asked = true;
	return say(turn, node, NODE_STATUS_READY,
		   row->status == NODE_STATUS_INIT ? "" : "Node reregistered by heartbeat", false);
}

/* The job that was decoded last: allocations of a node often share theirs. */
struct decoded {
	const struct job_row *row;
	struct job job;
};

static int64_t lost_after_ns(struct turn *turn, const struct alloc_row *alloc, struct decoded *cache, unsigned *budget)
{
	const struct task_group *group;

	if (cache->row != alloc->job) {
		cache->row = alloc->job;
		*budget -= *budget < ROWS_OF_A_DECODE ? *budget : ROWS_OF_A_DECODE;
		if (job_row_get(alloc->job, &cache->job, turn->mem) != 0) {
			cache->row = NULL;
			return 0;
		}
	}
	group = job_group(&cache->job, alloc_row_group(alloc));
	return group != NULL ? group_lost_after_ns(group) : 0;
}

/* Whether this allocation may outlive that its node is cut off: then the node is not down yet. */
static bool may_outlive(struct turn *turn, const struct node_row *node, const struct alloc_row *alloc,
			struct decoded *cache, unsigned *budget)
{
	bool runs = alloc->client == ALLOC_CLIENT_RUNNING || alloc->client == ALLOC_CLIENT_UNKNOWN;

	if (alloc_row_terminal(alloc) || !runs ||
	    (job_row_group_flags(alloc->job, alloc->group) & SPEC_GROUP_DISCONNECTS) == 0) {
		return false;
	}
	if (node->status != NODE_STATUS_DISCONNECTED) {
		return true;
	}
	return node->status_time_s * NS_PER_S + lost_after_ns(turn, alloc, cache, budget) > turn->at->wall_ns;
}

static const struct alloc_row *seek(struct rows *r, struct uuid key[2], struct turn *turn,
				    const struct heartbeat_node *node)
{
	rows_allocs_of_node(r, turn->v, &node->id);
	if (!uuid_is_zero(&node->scan)) {
		key[0] = node->id;
		key[1] = node->scan;
		rows_seek(r, key, 2 * sizeof(key[0]));
	}
	return alloc_next(r);
}

/* -1: not all of its allocations have been looked at yet. */
static int is_disconnected(struct heartbeat_node *node, const struct node_row *row, struct turn *turn)
{
	struct decoded cache = {.row = NULL};
	unsigned budget = PART_ROWS;
	const struct alloc_row *alloc;
	struct uuid key[2];
	struct rows r;

	for (alloc = seek(&r, key, turn, node); alloc != NULL; alloc = alloc_next(&r)) {
		if (budget == 0) {
			node->scan = alloc->id;
			return -1;
		}
		budget--;
		if (may_outlive(turn, row, alloc, &cache, &budget)) {
			return 1;
		}
	}
	return 0;
}

static enum part_step step_expired(struct heartbeat *hb, struct heartbeat_node *node, struct turn *turn)
{
	const struct node_row *row = state_node(turn->v, &node->id);
	int disconnected;

	if (row == NULL) {
		drop(hb, node);
		return STEP_MORE;
	}
	disconnected = is_disconnected(node, row, turn);
	if (disconnected < 0) {
		return STEP_MORE;
	}
	if (disconnected != 0 && row->status == NODE_STATUS_DISCONNECTED) { /* It is known, and may still come back. */
		set_deadline(hb, node, longest(hb, turn->at));
		return STEP_MORE;
	}
	disarm(hb, node);
	node->beaten = false;
	hb->expired++;
	return say(turn, node, disconnected != 0 ? NODE_STATUS_DISCONNECTED : NODE_STATUS_DOWN, "Node heartbeat missed",
		   true);
}

enum part_step heartbeat_step(struct heartbeat *hb, struct turn *turn)
{
	struct heap_link *first = heap_first(&hb->by_time);

	if (!list_empty(&hb->coming) && hb->coming_at_ns <= turn->at->mono_ns) {
		return step_coming(hb, turn);
	}
	if (first != NULL && node_in(first)->deadline_ns <= now_of(hb, turn->at)) {
		return step_expired(hb, NODE_OF(first), turn);
	}
	return STEP_IDLE;
}

void heartbeat_done(struct heartbeat *hb, const struct uuid *ref, int status, const struct moment *at)
{
	struct heartbeat_node *node = find(hb, ref);
	bool failed = status != 0 && status != ERR_NOTFOUND;

	if (node == NULL) {
		return;
	}
	if (node->asked) {
		node->asked = false;
		if (failed) {
			expect(hb, node);
			hb->coming_at_ns = at->mono_ns + PART_RETRY_NS;
		}
	}
	if (!heap_has(&node->by_time)) {
		if (!node->beaten) {
			node->deadline_ns = failed ? now_of(hb, at) + PART_RETRY_NS : longest(hb, at);
		}
		arm(hb, node);
	}
}

int64_t heartbeat_due(const struct heartbeat *hb, const struct moment *at)
{
	struct heap_link *first = heap_first(&hb->by_time);
	int64_t due = first != NULL ? node_in(first)->deadline_ns + hb->forgiven_ns : PART_NEVER;

	if (!list_empty(&hb->coming) && hb->coming_at_ns < due) {
		due = hb->coming_at_ns > at->mono_ns ? hb->coming_at_ns : at->mono_ns;
	}
	return due;
}
