#include "server/drain.h"

#include <stdlib.h>
#include <string.h>

#include "lib/list.h"
#include "lib/log.h"
#include "proto/error.h"
#include "server/sched_memory.h"

/* An allocation that may be marked. */
struct candidate {
	struct uuid alloc;
	uint16_t group; /* Of its job as it is now. */
};

/* A node that is drained, or a job of which there is something on such nodes. */
struct drain_item {
	struct hash_link by_ref;
	struct heap_link by_time; /* Unless a command about it is under way. */
	struct uuid ref;          /* The node's ID; of a job: see ref_of_job(). */
	bool is_job;
	bool pending;
	int64_t look_ns;   /* Monotonic: when to look next, */
	int64_t looked_ns; /* and when that was last. */

	/* A look that was cut in slices. */
	bool scanning;
	bool again;       /* Something has changed meanwhile. */
	struct uuid scan; /* The allocation where to go on; of a job its serial, in the first 8 bytes. */
	struct candidate *found;
	uint32_t n_found;

	/* Of a node: what has not ended there. */
	uint32_t left;
	uint32_t systems_left;
	bool systems_too; /* Nothing else is left: they are to go now. */
	bool forced;      /* Something was left when its time was over. */

	/* Of a job. */
	int64_t *healthy; /* Of each group, */
	uint32_t n_groups;
	size_t len;
	char key[]; /* Namespace, zero, ID, zero. */
};

#define ITEM_OF(l) CONTAINER_OF(l, struct drain_item, by_time)

static const struct drain_item *item_in(const struct heap_link *l)
{
	return (const struct drain_item *)(const void *)((const char *)l - offsetof(struct drain_item, by_time));
}

static bool is_due_first(const struct heap_link *a, const struct heap_link *b)
{
	return item_in(a)->look_ns < item_in(b)->look_ns;
}

/* ---- items ---- */

/* No two jobs were made at the same index, and no node has such an ID. */
static struct uuid ref_of_job(const struct job_row *job)
{
	struct uuid ref = {{0}};

	memcpy(ref.at, &job->create_index, sizeof(job->create_index));
	return ref;
}

static struct drain_item *find(const struct drain *d, const struct uuid *ref)
{
	struct hash_link *l;

	for (l = hash_first(&d->by_ref, id_hash(ref)); l != NULL; l = hash_next(l)) {
		struct drain_item *item = CONTAINER_OF(l, struct drain_item, by_ref);

		if (uuid_equal(&item->ref, ref)) {
			return item;
		}
	}
	return NULL;
}

static void disarm(struct drain *d, struct drain_item *item)
{
	if (heap_has(&item->by_time)) {
		heap_remove(&d->by_time, &item->by_time);
	}
}

static void look_at(struct drain *d, struct drain_item *item, int64_t mono_ns)
{
	disarm(d, item);
	if (!item->pending) {
		item->look_ns = mono_ns;
		sched_got(heap_add(&d->by_time, &item->by_time) ? item : NULL);
	}
}

static void look_soon(struct drain *d, struct drain_item *item, const struct moment *at)
{
	int64_t soonest = item->looked_ns + DRAIN_GAP_NS;

	if (item->scanning) {
		item->again = true;
	} else {
		look_at(d, item, soonest > at->mono_ns ? soonest : at->mono_ns);
	}
}

static struct drain_item *make(struct drain *d, const struct uuid *ref, const char *key, size_t len)
{
	struct drain_item *item = sched_calloc(1, sizeof(*item) + len);

	item->ref = *ref;
	item->is_job = len > 0;
	item->len = len;
	if (len > 0) {
		memcpy(item->key, key, len);
	}
	hash_add(&d->by_ref, &item->by_ref, id_hash(ref));
	d->n_nodes += !item->is_job;
	return item;
}

static void item_free(struct drain_item *item)
{
	free(item->found);
	free(item->healthy);
	free(item);
}

static void drop(struct drain *d, struct drain_item *item)
{
	disarm(d, item);
	hash_remove(&d->by_ref, &item->by_ref);
	d->n_nodes -= !item->is_job;
	item_free(item);
}

static bool is_drained(const struct drain *d, const struct uuid *node)
{
	const struct drain_item *item = find(d, node);

	return item != NULL && !item->is_job;
}

/* ---- life ---- */

void drain_init(struct drain *d)
{
	*d = (struct drain){.n_nodes = 0};
	heap_init(&d->by_time, is_due_first);
}

void drain_reset(struct drain *d)
{
	struct hash_link *l;

	while ((l = hash_pop(&d->by_ref)) != NULL) {
		item_free(CONTAINER_OF(l, struct drain_item, by_ref));
	}
	hash_close(&d->by_ref);
	heap_close(&d->by_time);
	d->n_nodes = 0;
}

void drain_close(struct drain *d)
{
	drain_reset(d);
}

/* ---- what is heard ---- */

void drain_changed(struct drain *d, const struct node_row *old, const struct node_row *now, const struct moment *at)
{
	const struct uuid *id = now != NULL ? &now->id : &old->id;
	struct drain_item *item = find(d, id);

	if (now == NULL || (now->flags & NODE_DRAIN) == 0) {
		if (item != NULL) {
			drop(d, item);
		}
		return;
	}
	look_soon(d, item != NULL ? item : make(d, id, NULL, 0), at);
}

void drain_load(struct drain *d, const struct node_row *row, const struct moment *at)
{
	if (find(d, &row->id) == NULL) {
		drain_changed(d, NULL, row, at);
	}
}

void drain_alloc_changed(struct drain *d, const struct alloc_row *old, const struct alloc_row *now,
			 const struct moment *at)
{
	const struct alloc_row *row = now != NULL ? now : old;
	struct drain_item *item;
	struct uuid job;

	if (d->n_nodes == 0) {
		return;
	}
	item = find(d, &row->node_id);
	if (item != NULL) {
		look_soon(d, item, at);
	}
	job = ref_of_job(row->job);
	item = find(d, &job);
	if (item != NULL) {
		look_soon(d, item, at);
	}
}

/* ---- marking ---- */

/* Room for candidates is there while a look lasts. */
static void open_scan(struct drain_item *item)
{
	item->scanning = true;
	item->scan = (struct uuid){{0}};
	item->n_found = 0;
	if (item->found == NULL) {
		item->found = sched_calloc(PART_COMMAND_ROWS, sizeof(item->found[0]));
	}
}

static void close_scan(struct drain_item *item)
{
	item->scanning = false;
	free(item->found);
	item->found = NULL;
}

static enum part_step mark(struct drain *d, struct drain_item *item, struct turn *turn)
{
	struct desired_transition migrate;
	struct alloc_transitions p;
	enum part_step step;
	uint32_t i;

	object_init(&desired_transition_type, &migrate);
	object_init(&alloc_transitions_type, &p);
	migrate.migrate = (struct opt){1, true};
	p.trigger = EVAL_TRIGGER_NODE_DRAIN;
	p.allocs.at = turn_need(turn, item->n_found, sizeof(p.allocs.at[0]));
	p.allocs.n = item->n_found;
	for (i = 0; i < item->n_found; i++) {
		p.allocs.at[i].id = uuid_bytes(&item->found[i].alloc);
		p.allocs.at[i].transition = &migrate;
	}
	d->migrated += item->n_found;
	step = turn_command(turn, COMMAND_ALLOC_TRANSITIONS, &p, &item->ref);
	close_scan(item); /* The payload points into it. */
	return step;
}

static bool is_marked(const struct alloc_row *row)
{
	return (row->flags & ALLOC_MIGRATE) != 0;
}

static void found(struct drain_item *item, const struct alloc_row *row, uint16_t group)
{
	item->found[item->n_found++] = (struct candidate){row->id, group};
}

/* ---- a look at a node ---- */

static bool is_system(const struct alloc_row *row)
{
	return row->job->type == JOB_TYPE_SYSTEM || row->job->type == JOB_TYPE_SYSBATCH;
}

static bool is_forced(const struct drain_strategy *s, const struct turn *turn)
{
	return s->deadline < 0 || (s->force_deadline != 0 && s->force_deadline <= turn->at->wall_ns);
}

static void look_at_job(struct drain *d, const struct job_row *job, const struct moment *at)
{
	struct uuid ref = ref_of_job(job);
	struct drain_item *item = find(d, &ref);

	if (item == NULL) {
		item = make(d, &ref, job->key, (size_t)job->ns_len + job->id_len + 2);
		look_at(d, item, at->mono_ns);
	}
}

/* What an allocation means for its node. */
static void judge(struct drain *d, struct drain_item *item, const struct alloc_row *row, const struct drain_strategy *s,
		  const struct turn *turn)
{
	bool system = is_system(row);
	bool may_go = !alloc_row_terminal(row) && !is_marked(row);

	if (alloc_row_client_terminal(row) || (system && s->ignore_system_jobs)) {
		return;
	}
	item->left += !system;
	item->systems_left += system;
	if (may_go && (is_forced(s, turn) || (system && item->systems_too))) {
		item->forced = item->forced || is_forced(s, turn);
		found(item, row, 0);
	} else if (may_go && row->job->type == JOB_TYPE_SERVICE) {
		look_at_job(d, row->job, turn->at);
	}
}

static void begin_node(struct drain_item *item)
{
	open_scan(item);
	item->left = 0;
	item->systems_left = 0;
}

/* Look at a slice of its allocations. True: there are more. */
static bool scan_node(struct drain *d, struct drain_item *item, const struct drain_strategy *s, struct turn *turn)
{
	struct uuid from[2] = {item->ref, item->scan};
	const struct alloc_row *row;
	unsigned budget = PART_ROWS;
	struct rows r;

	rows_allocs_of_node(&r, turn->v, &item->ref);
	rows_seek(&r, from, sizeof(from));
	while ((row = alloc_next(&r)) != NULL) {
		if (budget-- == 0 || item->n_found == PART_COMMAND_ROWS) {
			item->scan = row->id;
			return true;
		}
		judge(d, item, row, s, turn);
	}
	return false;
}

static enum part_step complete(struct drain *d, struct drain_item *item, const struct node_row *row, struct turn *turn)
{
	struct node_drain p;

	object_init(&node_drain_type, &p);
	p.id = uuid_bytes(&item->ref);
	p.complete = true;
	p.deadlined = item->forced;
	d->completed++;
	log_info("drain", "node \"%s\" is empty", node_row_name(row));
	return turn_command(turn, COMMAND_NODE_DRAIN, &p, &item->ref);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When to look again if nothing changes. */
static int64_t next_look(const struct drain_strategy *s, const struct turn *turn)
{
	int64_t look = turn->at->mono_ns + DRAIN_LOOK_NS;

	if (s->deadline < 0 || s->force_deadline <= turn->at->wall_ns) {
		return look;
	}
	return earlier(look, due_mono(s->force_deadline, turn->at));
}

/* All of its allocations have been looked at. */
static enum part_step finish_node(struct drain *d, struct drain_item *item, const struct node_row *row,
				  const struct drain_strategy *s, struct turn *turn)
{
	bool systems_next = item->left == 0 && item->systems_left > 0 && !item->systems_too;

	if (item->n_found > 0) {
		return mark(d, item, turn);
	}
	close_scan(item);
	if (item->left + item->systems_left == 0) {
		return complete(d, item, row, turn);
	}
	item->systems_too = item->left == 0;
	look_at(d, item, systems_next ? turn->at->mono_ns : next_look(s, turn));
	return STEP_MORE;
}

static enum part_step look_node(struct drain *d, struct drain_item *item, struct turn *turn)
{
	const struct node_row *row = state_node(turn->v, &item->ref);
	struct node node;

	if (row == NULL || (row->flags & NODE_DRAIN) == 0 || node_row_get(row, &node, turn->mem) != 0 ||
	    node.drain_strategy == NULL) {
		drop(d, item);
		return STEP_MORE;
	}
	if (!item->scanning) {
		begin_node(item);
	}
	if (!scan_node(d, item, node.drain_strategy, turn)) {
		return finish_node(d, item, row, node.drain_strategy, turn);
	}
	look_at(d, item, turn->at->mono_ns);
	if (item->n_found < PART_COMMAND_ROWS) {
		return STEP_MORE;
	}
	return mark(d, item, turn); /* The next look finds the rest. */
}

/* ---- a look at a job ---- */

static void begin_job(struct drain_item *item, const struct job *job)
{
	open_scan(item);
	item->n_groups = job->task_groups.n;
	free(item->healthy);
	item->healthy = sched_calloc(item->n_groups, sizeof(item->healthy[0]));
}

static int group_index(const struct job *job, const char *name)
{
	uint32_t i;

	for (i = 0; i < job->task_groups.n; i++) {
		if (strcmp(job->task_groups.at[i].name, name) == 0) {
			return (int)i;
		}
	}
	return -1;
}

/* What an allocation means for its job. */
static void count(struct drain *d, struct drain_item *item, const struct alloc_row *row, const struct job *job)
{
	int group = alloc_row_terminal(row) || is_marked(row) ? -1 : group_index(job, alloc_row_group(row));

	if (group < 0 || (uint32_t)group >= item->n_groups) {
		return;
	}
	item->healthy[group] += (row->flags & (ALLOC_HEALTHY | ALLOC_UNHEALTHY)) != 0;
	if (item->n_found < PART_COMMAND_ROWS && is_drained(d, &row->node_id)) {
		found(item, row, (uint16_t)group);
	}
}

static bool scan_job(struct drain *d, struct drain_item *item, const struct job_row *row, const struct job *job,
		     struct turn *turn)
{
	uint8_t from[16];
	const struct alloc_row *alloc;
	unsigned budget = PART_ROWS;
	struct rows r;

	rows_allocs_of_job(&r, turn->v, row);
	if (!uuid_is_zero(&item->scan)) {
		memcpy(from, item->scan.at, sizeof(from));
		rows_seek(&r, from, sizeof(from));
	}
	while ((alloc = alloc_next(&r)) != NULL) {
		if (budget-- == 0) {
			memcpy(item->scan.at, alloc->job_key, sizeof(alloc->job_key));
			memcpy(item->scan.at + sizeof(alloc->job_key), alloc->job_serial, sizeof(alloc->job_serial));
			return true;
		}
		count(d, item, alloc, job);
	}
	return false;
}

static int64_t max_parallel(const struct task_group *group)
{
	const struct migrate_strategy *m = group->migrate;

	return m != NULL && m->max_parallel.set && m->max_parallel.at > 0 ? m->max_parallel.at : 1;
}

/* Keep as many as each group can do without. */
static void choose(struct drain_item *item, const struct job *job)
{
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < item->n_groups && i < job->task_groups.n; i++) {
		const struct task_group *g = &job->task_groups.at[i];

		item->healthy[i] -= g->count - max_parallel(g); /* How many may go. */
	}
	for (i = 0; i < item->n_found; i++) {
		if (item->healthy[item->found[i].group]-- > 0) {
			item->found[kept++] = item->found[i];
		}
	}
	item->n_found = kept;
}

static enum part_step finish_job(struct drain *d, struct drain_item *item, const struct job *job, struct turn *turn)
{
	if (item->n_found == 0 && !item->again) {
		drop(d, item); /* A look at a node finds it again. */
		return STEP_MORE;
	}
	choose(item, job);
	if (item->n_found > 0) {
		return mark(d, item, turn);
	}
	close_scan(item);
	look_at(d, item, turn->at->mono_ns + DRAIN_LOOK_NS);
	return STEP_MORE;
}

static enum part_step look_job(struct drain *d, struct drain_item *item, struct turn *turn)
{
	const struct job_row *row = state_job(turn->v, item->key, item->key + strlen(item->key) + 1);
	struct uuid ref = row != NULL ? ref_of_job(row) : (struct uuid){{0}};
	struct job job;

	if (!uuid_equal(&ref, &item->ref) || (row->flags & JOB_STOP) != 0 || d->n_nodes == 0 ||
	    job_row_get(row, &job, turn->mem) != 0) {
		drop(d, item);
		return STEP_MORE;
	}
	if (!item->scanning || item->n_groups != job.task_groups.n) {
		begin_job(item, &job);
	}
	if (scan_job(d, item, row, &job, turn)) {
		look_at(d, item, turn->at->mono_ns);
		return STEP_MORE;
	}
	return finish_job(d, item, &job, turn);
}

/* ---- the part ---- */

/* The item may be gone after a look that asks for nothing. */
static enum part_step look(struct drain *d, struct drain_item *item, struct turn *turn)
{
	struct uuid ref = item->ref;
	enum part_step step;

	disarm(d, item);
	item->looked_ns = turn->at->mono_ns;
	step = item->is_job ? look_job(d, item, turn) : look_node(d, item, turn);
	if (step == STEP_COMMAND) {
		item->pending = true;
		disarm(d, item);
		return step;
	}
	item = find(d, &ref);
	if (item != NULL && item->again && !item->scanning) {
		item->again = false;
		look_soon(d, item, turn->at);
	}
	return step;
}

enum part_step drain_step(struct drain *d, struct turn *turn)
{
	struct heap_link *first = heap_first(&d->by_time);

	if (first == NULL || item_in(first)->look_ns > turn->at->mono_ns) {
		return STEP_IDLE;
	}
	return look(d, ITEM_OF(first), turn);
}

void drain_done(struct drain *d, const struct uuid *ref, int status, const struct moment *at)
{
	struct drain_item *item = find(d, ref);

	if (item != NULL) {
		item->pending = false;
		item->again = false;
		look_at(d, item, at->mono_ns + (status == 0 || status == ERR_NOTFOUND ? DRAIN_GAP_NS : PART_RETRY_NS));
	}
}

int64_t drain_due(const struct drain *d, const struct moment *at)
{
	struct heap_link *first = heap_first(&d->by_time);

	(void)at;
	return first != NULL ? item_in(first)->look_ns : PART_NEVER;
}
