#include "server/blocked.h"

#include <stdlib.h>
#include <string.h>

#include "raft/table.h"
#include "server/part.h"
#include "server/sched_memory.h"

/* What an evaluation says of a class. */
struct blocked_class {
	uint64_t hash;
	bool eligible;
};

/* When something of a class changed last. */
struct class_change {
	struct hash_link by_hash;
	uint64_t index;
};

/* ---- looking up ---- */

static struct blocked_eval *find(const struct blocked *bl, const struct uuid *id)
{
	struct hash_link *l;

	for (l = hash_first(&bl->by_id, id_hash(id)); l != NULL; l = hash_next(l)) {
		struct blocked_eval *e = CONTAINER_OF(l, struct blocked_eval, by_id);

		if (uuid_equal(&e->id, id)) {
			return e;
		}
	}
	return NULL;
}

/* The one of the same job (and node) that is not a duplicate, or NULL. */
static struct blocked_eval *find_same(const struct blocked *bl, const struct blocked_eval *like)
{
	struct hash_link *l;

	for (l = hash_first(&bl->by_job, like->job_hash); l != NULL; l = hash_next(l)) {
		struct blocked_eval *e = CONTAINER_OF(l, struct blocked_eval, by_job);

		if (!e->duplicate && e->len == like->len && memcmp(e->key, like->key, e->len) == 0 &&
		    uuid_equal(&e->node, &like->node)) {
			return e;
		}
	}
	return NULL;
}

static struct class_change *find_change(const struct blocked *bl, uint64_t class_hash)
{
	struct hash_link *l = hash_first(&bl->classes, class_hash);

	return l != NULL ? CONTAINER_OF(l, struct class_change, by_hash) : NULL;
}

static bool is_eligible(const struct blocked_eval *e, uint64_t class_hash)
{
	uint32_t i;

	for (i = 0; i < e->n_classes; i++) {
		if (e->classes[i].hash == class_hash) {
			return e->classes[i].eligible;
		}
	}
	return true;
}

/* ---- states of an evaluation ---- */

static bool is_blocked(const struct blocked_eval *e)
{
	return !e->released && !e->duplicate;
}

static void count(struct blocked *bl, const struct blocked_eval *e, size_t by)
{
	if (e->released) {
		bl->n_released += by;
	} else if (!e->duplicate) {
		bl->n_blocked += by;
		bl->n_escaped += e->escaped ? by : 0;
	}
}

static void move(struct blocked *bl, struct blocked_eval *e, struct list *to, bool released, bool duplicate)
{
	count(bl, e, (size_t)-1);
	list_remove(&e->link);
	e->released = released;
	e->duplicate = duplicate;
	list_insert(to, &e->link);
	count(bl, e, 1);
}

static void release(struct blocked *bl, struct blocked_eval *e)
{
	move(bl, e, &bl->released, true, false);
}

static void make_duplicate(struct blocked *bl, struct blocked_eval *e)
{
	move(bl, e, &bl->duplicates, false, true);
}

static void take_out(struct blocked *bl, struct blocked_eval *e)
{
	count(bl, e, (size_t)-1);
	list_remove(&e->link);
	hash_remove(&bl->by_id, &e->by_id);
	hash_remove(&bl->by_job, &e->by_job);
	if (!uuid_is_zero(&e->node)) {
		hash_remove(&bl->by_node, &e->by_node);
	}
	free(e->classes);
	free(e);
}

/* ---- life ---- */

void blocked_init(struct blocked *bl)
{
	*bl = (struct blocked){.n_blocked = 0};
	list_init(&bl->todo);
	list_init(&bl->looked);
	list_init(&bl->released);
	list_init(&bl->duplicates);
}

static void forget_changes(struct blocked *bl)
{
	struct hash_link *l;

	while ((l = hash_pop(&bl->classes)) != NULL) {
		free(CONTAINER_OF(l, struct class_change, by_hash));
	}
	hash_close(&bl->classes);
}

void blocked_reset(struct blocked *bl)
{
	struct hash_link *l;

	while ((l = hash_pop(&bl->by_id)) != NULL) {
		struct blocked_eval *e = CONTAINER_OF(l, struct blocked_eval, by_id);

		free(e->classes);
		free(e);
	}
	hash_close(&bl->by_id);
	hash_close(&bl->by_job);
	hash_close(&bl->by_node);
	forget_changes(bl);
	blocked_init(bl);
}

void blocked_close(struct blocked *bl)
{
	blocked_reset(bl);
}

/* ---- what became free ---- */

static bool is_noted(const struct blocked_notes *notes)
{
	return notes->n > 0 || notes->all_index > 0;
}

static void note(struct blocked_notes *notes, uint64_t class_hash, uint64_t index)
{
	unsigned i;

	for (i = 0; i < notes->n && notes->at[i].class_hash != class_hash; i++) {
	}
	if (i < notes->n) {
		notes->at[i].index = index;
	} else if (i < BLOCKED_NOTES_MAX) {
		notes->at[i] = (struct blocked_note){class_hash, index};
		notes->n++;
	} else {
		notes->all_index = index;
	}
}

static void remember(struct blocked *bl, uint64_t class_hash, uint64_t index)
{
	struct class_change *change = find_change(bl, class_hash);

	if (change == NULL && bl->classes.n == BLOCKED_CLASSES_MAX) {
		forget_changes(bl);
		bl->floor_index = index; /* The latest of all. */
		return;
	}
	if (change == NULL) {
		change = sched_calloc(1, sizeof(*change));
		hash_add(&bl->classes, &change->by_hash, class_hash);
	}
	change->index = index;
}

static void release_of_node(struct blocked *bl, const struct uuid *node, uint64_t index)
{
	struct hash_link *next;
	struct hash_link *l;

	for (l = hash_first(&bl->by_node, id_hash(node)); l != NULL; l = next) {
		struct blocked_eval *e = CONTAINER_OF(l, struct blocked_eval, by_node);

		next = hash_next(l);
		if (is_blocked(e) && uuid_equal(&e->node, node) && index > e->snapshot_index) {
			release(bl, e);
		}
	}
}

void blocked_freed(struct blocked *bl, uint64_t class_hash, const struct uuid *node, uint64_t index)
{
	bl->last_index = index;
	remember(bl, class_hash, index);
	if (bl->n_blocked > 0) {
		note(&bl->next, class_hash, index);
		release_of_node(bl, node, index);
	}
}

void blocked_all(struct blocked *bl, uint64_t index)
{
	bl->last_index = index;
	bl->floor_index = index;
	forget_changes(bl);
	if (bl->n_blocked > 0) {
		bl->next.all_index = index;
	}
}

/* ---- blocking ---- */

/* Something that it could use has become free since the state that it has seen. */
static bool has_missed(const struct blocked *bl, const struct blocked_eval *e)
{
	const struct hash_link *l;

	if (bl->last_index <= e->snapshot_index) {
		return false;
	}
	if (e->escaped || !uuid_is_zero(&e->node) || bl->floor_index > e->snapshot_index) {
		return true;
	}
	for (l = hash_walk(&bl->classes, NULL); l != NULL; l = hash_walk(&bl->classes, l)) {
		if (CONTAINER_OF(l, struct class_change, by_hash)->index > e->snapshot_index &&
		    is_eligible(e, l->hash)) {
			return true;
		}
	}
	return false;
}

static void take_classes(struct blocked_eval *e, const struct boolmap *map)
{
	uint32_t i;

	e->n_classes = map->n;
	e->classes = sched_calloc(map->n, sizeof(e->classes[0]));
	for (i = 0; i < map->n; i++) {
		e->classes[i].hash = blob_hash(map->at[i].key, strlen(map->at[i].key));
		e->classes[i].eligible = map->at[i].value;
	}
}

static struct blocked_eval *make(const struct eval_row *row, const struct evaluation *eval)
{
	size_t len = (size_t)row->ns_len + row->id_len + 2;
	struct blocked_eval *e = sched_calloc(1, sizeof(*e) + len);
	struct uuid ref;

	e->id = row->id;
	e->create_index = row->create_index;
	e->snapshot_index = row->snapshot_index;
	e->escaped = eval->escaped_computed_class;
	e->len = len;
	memcpy(e->key, row->key, len);
	ref = job_ref(e->key, len);
	e->job_hash = id_hash(&ref);
	if (!uuid_parse(eval->node_id, strlen(eval->node_id), &e->node)) {
		e->node = (struct uuid){{0}};
	}
	take_classes(e, &eval->class_eligibility);
	list_init(&e->link);
	return e;
}

static void add(struct blocked *bl, struct blocked_eval *e)
{
	hash_add(&bl->by_id, &e->by_id, id_hash(&e->id));
	hash_add(&bl->by_job, &e->by_job, e->job_hash);
	if (!uuid_is_zero(&e->node)) {
		hash_add(&bl->by_node, &e->by_node, id_hash(&e->node));
	}
	list_insert(&bl->looked, &e->link);
	count(bl, e, 1);
}

int blocked_put(struct blocked *bl, const struct eval_row *row, struct arena *mem)
{
	struct blocked_eval *there = find(bl, &row->id);
	struct blocked_eval *same;
	struct blocked_eval *e;
	struct evaluation eval;
	int rv = eval_row_get(row, &eval, mem);

	if (rv != 0 || (there != NULL && there->duplicate)) {
		return rv;
	}
	if (there != NULL) {
		take_out(bl, there);
	}
	e = make(row, &eval);
	same = find_same(bl, e);
	add(bl, e);
	if (same != NULL) {
		make_duplicate(bl, same->create_index < e->create_index ? same : e);
	}
	if (is_blocked(e) && has_missed(bl, e)) {
		release(bl, e);
	}
	return 0;
}

void blocked_remove(struct blocked *bl, const struct uuid *id)
{
	struct blocked_eval *e = find(bl, id);

	if (e != NULL) {
		take_out(bl, e);
	}
}

bool blocked_has(const struct blocked *bl, const struct uuid *id)
{
	return find(bl, id) != NULL;
}

/* ---- releasing ---- */

static bool is_met(const struct blocked_eval *e, const struct blocked_notes *notes)
{
	unsigned i;

	if (notes->all_index > e->snapshot_index) {
		return true;
	}
	if (!uuid_is_zero(&e->node)) {
		return false;
	}
	for (i = 0; i < notes->n; i++) {
		if (notes->at[i].index > e->snapshot_index && (e->escaped || is_eligible(e, notes->at[i].class_hash))) {
			return true;
		}
	}
	return false;
}

static void splice(struct list *to, struct list *from)
{
	if (!list_empty(from)) {
		from->next->prev = to->prev;
		to->prev->next = from->next;
		from->prev->next = to;
		to->prev = from->prev;
		list_init(from);
	}
}

static void begin_pass(struct blocked *bl)
{
	bl->now = bl->next;
	bl->next.n = 0;
	bl->next.all_index = 0;
	splice(&bl->todo, &bl->looked);
}

bool blocked_is_busy(const struct blocked *bl)
{
	return !list_empty(&bl->todo) || is_noted(&bl->next);
}

bool blocked_pass(struct blocked *bl, unsigned max)
{
	if (list_empty(&bl->todo) && is_noted(&bl->next)) {
		begin_pass(bl);
	}
	while (max-- > 0 && !list_empty(&bl->todo)) {
		struct blocked_eval *e = CONTAINER_OF(bl->todo.next, struct blocked_eval, link);

		if (is_met(e, &bl->now)) {
			release(bl, e);
		} else {
			list_remove(&e->link);
			list_insert(&bl->looked, &e->link);
		}
	}
	return blocked_is_busy(bl);
}

bool blocked_take(struct blocked *bl, struct uuid *id)
{
	struct blocked_eval *e;

	if (list_empty(&bl->released)) {
		return false;
	}
	e = CONTAINER_OF(bl->released.next, struct blocked_eval, link);
	*id = e->id;
	take_out(bl, e);
	return true;
}

const struct blocked_eval *blocked_duplicate(const struct blocked *bl, const struct blocked_eval *after)
{
	struct list *next = after == NULL ? bl->duplicates.next : after->link.next;

	return next == &bl->duplicates ? NULL : CONTAINER_OF(next, struct blocked_eval, link);
}
