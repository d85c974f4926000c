#include "raft/tree.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#ifndef TREE_FAN
#define TREE_FAN 37 /* Entries in a node: a leaf takes 640 bytes, as allocators give them. Tests make it small. */
#endif
#define TREE_MIN (TREE_FAN / 8 < 2 ? 2 : TREE_FAN / 8)
#define PREFIX_MAX 30
#define SPARE_MAX 4096 /* Nodes kept for later, of each kind. */
#define PACE 64        /* Dead objects a commit reclaims at least. */

enum { LEAF, INNER, ROW };

struct tree_node {
	struct tree_row life;
	uint8_t n;
	uint8_t skip; /* Bytes of the prefix. */
	uint8_t prefix[PREFIX_MAX];
	uint64_t head[TREE_FAN]; /* The 8 bytes after the prefix, as a number. */
	struct tree_row *row[TREE_FAN];
	struct tree_node *child[]; /* Inner: TREE_FAN of them; row[i] is the first below child[i]. */
};

void *(*tree_malloc)(size_t size) = malloc;

/* Spare nodes are poisoned, so that AddressSanitizer sees a late reader. */
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

static struct tree_row life_of(uint64_t born, unsigned kind)
{
	return (struct tree_row){.born = born & (UINT64_MAX >> 2), .kind = kind & 3};
}

static size_t node_size(unsigned kind)
{
	return sizeof(struct tree_node) + (kind == INNER ? TREE_FAN * sizeof(struct tree_node *) : 0);
}

/* Nodes: taking and giving back */

static void spare_push(struct forest *f, struct tree_row *life)
{
	unsigned kind = life->kind;

	life->next = f->spare[kind];
	f->spare[kind] = life;
	f->n_spare[kind]++;
	ASAN_POISON_MEMORY_REGION(life + 1, node_size(kind) - sizeof(*life));
}

static struct tree_row *spare_pop(struct forest *f, unsigned kind)
{
	struct tree_row *life = f->spare[kind];

	f->spare[kind] = life->next;
	f->n_spare[kind]--;
	ASAN_UNPOISON_MEMORY_REGION(life, node_size(kind));
	return life;
}

static int spare_fill(struct forest *f, unsigned kind, size_t n)
{
	while (f->n_spare[kind] < n) {
		struct tree_row *life = tree_malloc(node_size(kind));

		if (life == NULL) {
			return TREE_NOMEM;
		}
		*life = life_of(0, kind);
		spare_push(f, life);
	}
	return 0;
}

/* An empty node of the version being built. forest_reserve() has made sure of it. */
static struct tree_node *node_take(struct forest *f, unsigned kind)
{
	struct tree_node *node;

	assert(f->n_spare[kind] > 0);
	node = (struct tree_node *)spare_pop(f, kind);
	node->life = life_of(f->work->version, kind);
	node->n = 0;
	node->skip = 0;
	f->n_nodes[kind]++;
	return node;
}

static void node_give(struct forest *f, struct tree_node *node)
{
	unsigned kind = node->life.kind;

	f->n_nodes[kind]--;
	if (f->n_spare[kind] < SPARE_MAX) {
		spare_push(f, &node->life);
	} else {
		free(node);
	}
}

/* The current view is the newest that sees it, unless it was made since: then
 * nobody but the writer does, and it ends with the commit. */
static void retire(struct forest *f, struct tree_row *life)
{
	struct view *v = atomic_load_explicit(&f->current, memory_order_relaxed);

	if (life->born == f->work->version) {
		v = f->work;
	}
	life->next = v->dead;
	v->dead = life;
	f->n_dead++;
	f->n_retired++;
}

static void bury(struct forest *f, struct tree_row *life)
{
	f->n_dead--;
	if (life->kind == ROW) {
		f->release(life);
	} else {
		node_give(f, (struct tree_node *)life);
	}
}

static void bury_all(struct forest *f, struct view *v)
{
	while (v->dead != NULL) {
		struct tree_row *life = v->dead;

		v->dead = life->next;
		bury(f, life);
	}
}

static void node_retire(struct forest *f, struct tree_node *node)
{
	if (node->life.born == f->work->version) {
		node_give(f, node);
	} else {
		retire(f, &node->life);
	}
}

/* Make the node in `slot` ours to edit. */
static struct tree_node *node_own(struct forest *f, struct tree_node **slot)
{
	struct tree_node *old = *slot;
	struct tree_node *node;

	if (old->life.born == f->work->version) {
		return old;
	}
	node = node_take(f, old->life.kind);
	memcpy((char *)node + sizeof(node->life), (char *)old + sizeof(old->life),
	       node_size(old->life.kind) - sizeof(old->life));
	node_retire(f, old);
	*slot = node;
	return node;
}

/* Keys, heads and prefixes */

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int key_order(struct tree_key a, struct tree_key b)
{
	int order = memcmp(a.at, b.at, min_size(a.len, b.len));

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static bool key_starts(struct tree_key key, struct tree_key prefix)
{
	return key.len >= prefix.len && memcmp(key.at, prefix.at, prefix.len) == 0;
}

static size_t key_common(struct tree_key a, struct tree_key b)
{
	const uint8_t *p = a.at;
	const uint8_t *q = b.at;
	size_t n = min_size(a.len, b.len);
	size_t i = 0;

	while (i < n && p[i] == q[i]) {
		i++;
	}
	return i;
}

/* A key shorter than prefix and head is filled up with `pad`. */
static uint64_t key_head(struct tree_key key, size_t skip, uint8_t pad)
{
	uint64_t head;

	if (key.len < skip + sizeof(head)) {
		memset(&head, pad, sizeof(head));
		if (key.len > skip) {
			memcpy(&head, (const char *)key.at + skip, key.len - skip);
		}
	} else {
		memcpy(&head, (const char *)key.at + skip, sizeof(head));
	}
	return be64toh(head);
}

static void node_set_skip(const struct tree_type *type, struct tree_node *node, size_t skip)
{
	unsigned i;

	memcpy(node->prefix, type->key(node->row[0]).at, skip);
	node->skip = (uint8_t)skip;
	for (i = 0; i < node->n; i++) {
		node->head[i] = key_head(type->key(node->row[i]), skip, 0);
	}
}

/* The bytes that all keys have in common: those of the first and the last. */
static size_t node_common(const struct tree_type *type, const struct tree_node *node)
{
	return min_size(PREFIX_MAX, key_common(type->key(node->row[0]), type->key(node->row[node->n - 1])));
}

/* New heads read every row's key, so do it only where half of each head is wasted. */
static void node_tighten(const struct tree_type *type, struct tree_node *node)
{
	size_t common = node_common(type, node);

	if (common >= node->skip + sizeof(node->head[0]) / 2) {
		node_set_skip(type, node, common);
	}
}

/* Let entry `i` point to `row`, whose key may not start with the prefix. */
static void node_set(const struct tree_type *type, struct tree_node *node, unsigned i, struct tree_row *row)
{
	struct tree_key key = type->key(row);
	size_t common = key_common(key, (struct tree_key){node->prefix, node->skip});

	node->row[i] = row;
	if (common < node->skip) {
		node_set_skip(type, node, common);
	} else {
		node->head[i] = key_head(key, node->skip, 0);
	}
}

/* Move n entries; the nodes may be one. Heads go along as they are. */
static void node_move(struct tree_node *to, unsigned i, const struct tree_node *from, unsigned j, unsigned n)
{
	memmove(to->head + i, from->head + j, n * sizeof(to->head[0]));
	memmove(to->row + i, from->row + j, n * sizeof(to->row[0]));
	if (to->life.kind == INNER) {
		memmove(to->child + i, from->child + j, n * sizeof(to->child[0]));
	}
}

static void node_insert(const struct tree_type *type, struct tree_node *node, unsigned i,
                        struct tree_row *row, struct tree_node *child)
{
	assert(i <= node->n && node->n < TREE_FAN);
	node_move(node, i + 1, node, i, node->n - i);
	node->n++;
	if (node->life.kind == INNER) {
		node->child[i] = child;
	}
	node_set(type, node, i, row);
}

static void node_erase(struct tree_node *node, unsigned i)
{
	assert(i < node->n);
	node->n--;
	node_move(node, i, node, i + 1, node->n - i);
}

/* The number of entries before `key`; with `through`, of those before it and
 * those that start with it. */
static unsigned node_search(const struct tree_type *type, const struct tree_node *node, struct tree_key key,
                            bool through)
{
	size_t skip = node->skip;
	int order = memcmp(key.at, node->prefix, min_size(key.len, skip));
	uint64_t head;
	unsigned i = 0;
	unsigned n = node->n;

	if (order != 0) {
		return order < 0 ? 0 : n;
	}
	if (key.len < skip) {
		return through ? n : 0;
	}
	head = key_head(key, skip, through ? 0xff : 0);
	while (n > 0) { /* Halving without branches: the first head that is not less. */
		unsigned half = (n + 1) / 2;

		i += node->head[i + half - 1] < head ? half : 0;
		n -= half;
	}
	for (; i < node->n && node->head[i] == head; i++) {
		struct tree_key at = type->key(node->row[i]);
		int o = through ? memcmp(at.at, key.at, min_size(at.len, key.len)) : key_order(at, key);

		if (through ? o > 0 : o >= 0) {
			break;
		}
	}
	return i;
}

static bool node_has(const struct tree_type *type, const struct tree_node *node, unsigned i, struct tree_key key)
{
	return i < node->n && node->head[i] == key_head(key, node->skip, 0) &&
	       key_order(type->key(node->row[i]), key) == 0;
}

/* Go down to where `key` is or would be: true when it is there. With `through`
 * to where the last key that starts with it ends. */
static bool descend(struct cursor *c, struct tree_key key, bool through)
{
	const struct tree_node *node = c->root->node;
	unsigned level;

	for (level = 0;; level++) {
		unsigned i = node_search(c->type, node, key, through);
		bool found = !through && node_has(c->type, node, i, key);

		c->node[level] = node;
		if (level == c->root->height - 1) {
			c->pos[level] = (uint8_t)i;
			return found;
		}
		i -= !found && i > 0; /* The child whose first key is not after it. */
		c->pos[level] = (uint8_t)i;
		node = node->child[i];
	}
}

/* Changes */

/* Own all nodes of the path. The cursor then points to ours. */
static void path_own(struct forest *f, struct root *root, struct cursor *c)
{
	struct tree_node **slot = &root->node;
	unsigned level;

	for (level = 0;; level++) {
		struct tree_node *node = node_own(f, slot);

		c->node[level] = node;
		if (level + 1 == root->height) {
			return;
		}
		slot = &node->child[c->pos[level]];
	}
}

/* A node of the path; path_own() has made it ours to edit. */
static struct tree_node *path_node(const struct cursor *c, unsigned level)
{
	return (struct tree_node *)c->node[level];
}

/* The first row of the leaf has become `row`: tell the nodes above that point to it. */
static void path_first(struct cursor *c, struct tree_row *row)
{
	unsigned level = c->root->height - 1;

	while (level-- > 0) {
		node_set(c->type, path_node(c, level), c->pos[level], row);
		if (c->pos[level] > 0) {
			return;
		}
	}
}

static struct tree_node *node_split(struct forest *f, const struct tree_type *type, struct tree_node *node, unsigned at)
{
	struct tree_node *right = node_take(f, node->life.kind);

	memcpy(right->prefix, node->prefix, sizeof(node->prefix));
	right->skip = node->skip;
	right->n = (uint8_t)(node->n - at);
	node_move(right, 0, node, at, right->n);
	node->n = (uint8_t)at;
	node_tighten(type, node);
	node_tighten(type, right);
	return right;
}

static void root_grow(struct forest *f, const struct tree_type *type, struct root *root, struct tree_node *right)
{
	struct tree_node *left = root->node;

	assert(root->height < TREE_HEIGHT_MAX);
	root->node = node_take(f, INNER);
	root->height++;
	node_insert(type, root->node, 0, left->row[0], left);
	node_insert(type, root->node, 1, right->row[0], right);
}

/* How many entries a full node keeps. Rows that come in order leave full nodes behind, also when others follow them: a
 * job's allocations, in an index where the next job's are to the right. */
static unsigned split_at(const struct root *root, const struct tree_node *node, unsigned pos)
{
	bool in_order = node->life.kind == LEAF && pos > 0 && node->row[pos - 1] == root->last;

	if (!in_order && pos < TREE_FAN) {
		return TREE_FAN / 2;
	}
	return pos < TREE_MIN ? TREE_MIN : pos > TREE_FAN - TREE_MIN ? TREE_FAN - TREE_MIN : pos;
}

/* Insert at the place of the path, splitting full nodes from the leaf upwards. */
static void path_insert(struct forest *f, struct root *root, struct cursor *c, struct tree_row *row)
{
	struct tree_node *child = NULL;
	unsigned level = root->height - 1;
	unsigned pos = c->pos[level];

	if (pos == 0) {
		path_first(c, row);
	}
	for (;;) {
		struct tree_node *node = path_node(c, level);
		struct tree_node *right;

		if (node->n < TREE_FAN) {
			node_insert(c->type, node, pos, row, child);
			return;
		}
		right = node_split(f, c->type, node, split_at(root, node, pos));
		if (pos <= node->n) {
			node_insert(c->type, node, pos, row, child);
		} else {
			node_insert(c->type, right, pos - node->n, row, child);
		}
		if (level == 0) {
			root_grow(f, c->type, root, right);
			return;
		}
		row = right->row[0];
		child = right;
		level--;
		pos = c->pos[level] + 1u;
	}
}

/* Join children i and i + 1 of `parent`, or share their entries out evenly. */
static void node_balance(struct forest *f, const struct tree_type *type, struct tree_node *parent, unsigned i)
{
	struct tree_node *left = node_own(f, &parent->child[i]);
	struct tree_node *right = node_own(f, &parent->child[i + 1]);
	unsigned total = left->n + right->n;
	unsigned keep = total <= TREE_FAN * 3 / 4 ? total : total / 2;

	if (keep >= left->n) {
		unsigned n = keep - left->n;

		node_move(left, left->n, right, 0, n);
		node_move(right, 0, right, n, right->n - n);
	} else {
		unsigned n = left->n - keep;

		node_move(right, n, right, 0, right->n);
		node_move(right, 0, left, keep, n);
	}
	left->n = (uint8_t)keep;
	right->n = (uint8_t)(total - keep);
	node_set_skip(type, left, node_common(type, left));
	if (right->n > 0) {
		node_set_skip(type, right, node_common(type, right));
		node_set(type, parent, i + 1, right->row[0]);
	} else {
		node_erase(parent, i + 1);
		node_give(f, right);
	}
}

static void path_erase(struct forest *f, struct root *root, struct cursor *c)
{
	unsigned level = root->height - 1;
	struct tree_node *leaf = path_node(c, level);

	node_erase(leaf, c->pos[level]);
	if (leaf->n > 0 && c->pos[level] == 0) {
		path_first(c, leaf->row[0]);
	}
	for (; level > 0 && c->node[level]->n < TREE_MIN; level--) {
		unsigned i = c->pos[level - 1];

		node_balance(f, c->type, path_node(c, level - 1), i > 0 ? i - 1 : 0);
	}
	if (root->height > 1 && root->node->n == 1) {
		struct tree_node *only = root->node->child[0];

		node_give(f, root->node);
		root->node = only;
		root->height--;
	} else if (root->node->n == 0) {
		node_give(f, root->node);
		root->node = NULL;
		root->height = 0;
	}
}

/* On each level a change copies a node, and splits it or copies a neighbour. */
int forest_reserve(struct forest *f, unsigned n)
{
	unsigned height = 1;
	unsigned t;

	for (t = 0; t < f->n; t++) {
		height = f->work->root[t].height > height ? f->work->root[t].height : height;
	}
	/* A tree must grow by hundreds of rows for each level it gains. */
	if (n > 1) {
		height += 2;
	}
	if (spare_fill(f, LEAF, 2 * (size_t)n) != 0 || spare_fill(f, INNER, 2 * (size_t)n * height) != 0) {
		return TREE_NOMEM;
	}
	return 0;
}

static int reserve_one(struct forest *f, const struct root *root)
{
	if (spare_fill(f, LEAF, 2) != 0 || spare_fill(f, INNER, 2 * (size_t)root->height) != 0) {
		return TREE_NOMEM;
	}
	return 0;
}

int forest_put(struct forest *f, unsigned t, struct tree_row *row, struct tree_row **old)
{
	const struct tree_type *type = &f->types[t];
	struct root *root = &f->work->root[t];
	struct tree_row *was = NULL;
	struct cursor c = {.type = type, .root = root};

	assert(t < f->n && (!type->owner || row->born == 0));
	if (reserve_one(f, root) != 0) {
		return TREE_NOMEM;
	}
	if (root->node == NULL) {
		root->node = node_take(f, LEAF);
		root->height = 1;
		node_insert(type, root->node, 0, row, NULL);
		root->count++;
	} else if (descend(&c, type->key(row), false)) {
		unsigned level = root->height - 1;

		path_own(f, root, &c);
		was = c.node[level]->row[c.pos[level]];
		path_node(&c, level)->row[c.pos[level]] = row;
		if (c.pos[level] == 0) {
			path_first(&c, row);
		}
	} else {
		path_own(f, root, &c);
		path_insert(f, root, &c, row);
		root->last = row;
		root->count++;
	}
	if (type->owner) {
		*row = life_of(f->work->version, ROW);
		if (was != NULL) {
			retire(f, was);
		}
	}
	if (old != NULL) {
		*old = was;
	}
	return 0;
}

int forest_remove(struct forest *f, unsigned t, struct tree_key key, struct tree_row **old)
{
	struct root *root = &f->work->root[t];
	struct tree_row *was = NULL;
	struct cursor c = {.type = &f->types[t], .root = root};

	assert(t < f->n);
	if (root->node != NULL && descend(&c, key, false)) {
		if (reserve_one(f, root) != 0) {
			return TREE_NOMEM;
		}
		was = c.node[root->height - 1]->row[c.pos[root->height - 1]];
		path_own(f, root, &c);
		path_erase(f, root, &c);
		root->count--;
		if (c.type->owner) {
			retire(f, was);
		}
	}
	if (old != NULL) {
		*old = was;
	}
	return 0;
}

/* Views */

static struct view *view_take(struct forest *f)
{
	struct view *v = f->spare_views;

	if (v != NULL) {
		f->spare_views = v->next;
		return v;
	}
	v = tree_malloc(sizeof(*v) + f->n * sizeof(v->root[0]));
	if (v != NULL) {
		v->forest = f;
		v->dead = NULL;
		atomic_init(&v->refs, 0);
	}
	return v;
}

/* Publish the work and start the next version as its copy. */
int forest_commit(struct forest *f)
{
	struct view *v = f->work;
	struct view *older = atomic_load_explicit(&f->current, memory_order_relaxed);
	struct view *next = view_take(f);
	size_t budget = 2 * f->n_retired + PACE;

	if (next == NULL) {
		return TREE_NOMEM;
	}
	next->version = v->version + 1;
	memcpy(next->root, v->root, f->n * sizeof(v->root[0]));
	bury_all(f, v);
	v->older = older;
	v->newer = NULL;
	atomic_store_explicit(&v->refs, 1, memory_order_release);
	atomic_store_explicit(&f->current, v, memory_order_release);
	f->work = next;
	f->n_retired = 0;
	if (older != NULL) {
		older->newer = v;
		view_release(older);
	}
	forest_reclaim(f, budget);
	return 0;
}

/* The view may be dropped between the two steps, and even be in use again for a
 * later version. Its memory is a view's for as long as the forest lives, and the
 * count tells: zero means try again, any other is of a version published. */
const struct view *forest_view(struct forest *f)
{
	for (;;) {
		struct view *v = atomic_load_explicit(&f->current, memory_order_acquire);
		unsigned refs = atomic_load_explicit(&v->refs, memory_order_relaxed);

		while (refs != 0) {
			if (atomic_compare_exchange_weak_explicit(&v->refs, &refs, refs + 1,
			                                          memory_order_acquire,
			                                          memory_order_relaxed)) {
				return v;
			}
		}
	}
}

const struct view *view_again(const struct view *cv)
{
	struct view *v = (struct view *)(uintptr_t)cv;

	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return cv;
}

void view_release(const struct view *cv)
{
	struct view *v = (struct view *)cv;
	struct forest *f = v->forest;

	if (atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) > 1) {
		return;
	}
	v->next = atomic_load_explicit(&f->dropped, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&f->dropped, &v->next, v, memory_order_release,
	                                              memory_order_relaxed)) {
	}
}

static void collect_dropped(struct forest *f)
{
	struct view *v = atomic_exchange_explicit(&f->dropped, NULL, memory_order_acquire);

	while (v != NULL) {
		struct view *next = v->next;

		v->next = f->dying;
		f->dying = v;
		v = next;
	}
}

bool forest_reclaim(struct forest *f, size_t budget)
{
	if (atomic_load_explicit(&f->dropped, memory_order_relaxed) != NULL) {
		collect_dropped(f);
	}
	while (f->dying != NULL) {
		struct view *v = f->dying;
		struct view *older = v->older;

		for (; v->dead != NULL; budget--) {
			struct tree_row *life = v->dead;

			if (budget == 0) {
				return true;
			}
			v->dead = life->next;
			if (older != NULL && life->born <= older->version) {
				life->next = older->dead;
				older->dead = life;
			} else {
				bury(f, life);
			}
		}
		f->dying = v->next;
		v->newer->older = older;
		if (older != NULL) {
			older->newer = v->newer;
		}
		v->next = f->spare_views;
		f->spare_views = v;
	}
	return false;
}

struct tree_row *view_find(const struct view *v, unsigned t, struct tree_key key)
{
	struct cursor c = {.type = &v->forest->types[t], .root = &v->root[t]};
	unsigned leaf = c.root->height - 1;

	if (c.root->node == NULL || !descend(&c, key, false)) {
		return NULL;
	}
	return c.node[leaf]->row[c.pos[leaf]];
}

/* Cursors */

/* The row at the cursor, or NULL when it is beyond the prefix. */
static struct tree_row *cursor_row(const struct cursor *c)
{
	unsigned leaf = c->root->height - 1;
	struct tree_row *row = c->node[leaf]->row[c->pos[leaf]];

	return key_starts(c->type->key(row), c->prefix) ? row : NULL;
}

/* Enter the first or last leaf below the entry at `level`. */
static struct tree_row *cursor_enter(struct cursor *c, unsigned level, bool last)
{
	for (; level + 1 < c->root->height; level++) {
		const struct tree_node *child = c->node[level]->child[c->pos[level]];

		c->node[level + 1] = child;
		c->pos[level + 1] = last ? (uint8_t)(child->n - 1) : 0;
	}
	return cursor_row(c);
}

void cursor_open(struct cursor *c, const struct view *v, unsigned t, struct tree_key prefix)
{
	assert(t < v->forest->n);
	c->type = &v->forest->types[t];
	c->root = &v->root[t];
	c->prefix = prefix;
}

struct tree_row *cursor_next(struct cursor *c)
{
	unsigned level = c->root->height;

	while (level-- > 0) {
		if (c->pos[level] + 1 < c->node[level]->n) {
			c->pos[level]++;
			return cursor_enter(c, level, false);
		}
	}
	return NULL;
}

struct tree_row *cursor_prev(struct cursor *c)
{
	unsigned level = c->root->height;

	while (level-- > 0) {
		if (c->pos[level] > 0) {
			c->pos[level]--;
			return cursor_enter(c, level, true);
		}
	}
	return NULL;
}

struct tree_row *cursor_seek(struct cursor *c, struct tree_key key)
{
	unsigned leaf = c->root->height - 1;

	if (c->root->node == NULL) {
		return NULL;
	}
	if (key_order(key, c->prefix) < 0) {
		key = c->prefix;
	}
	descend(c, key, false);
	if (c->pos[leaf] < c->node[leaf]->n) {
		return cursor_row(c);
	}
	c->pos[leaf]--;
	return cursor_next(c);
}

struct tree_row *cursor_first(struct cursor *c)
{
	return cursor_seek(c, c->prefix);
}

struct tree_row *cursor_last(struct cursor *c)
{
	if (c->root->node == NULL) {
		return NULL;
	}
	descend(c, c->prefix, true);
	return cursor_prev(c);
}

/* Beginning, end, and the check */

int forest_init(struct forest *f, const struct tree_type *types, unsigned n,
                void (*release)(struct tree_row *row))
{
	*f = (struct forest){.types = types, .n = n, .release = release};
	f->work = view_take(f);
	if (f->work == NULL) {
		return TREE_NOMEM;
	}
	f->work->version = 1; /* A row of version 0 has never been in a tree. */
	memset(f->work->root, 0, n * sizeof(f->work->root[0]));
	if (forest_commit(f) != 0) {
		free(f->work);
		return TREE_NOMEM;
	}
	return 0;
}

static void node_close(struct forest *f, struct tree_node *node, bool owner)
{
	unsigned i;

	for (i = 0; i < node->n; i++) {
		if (node->life.kind == INNER) {
			node_close(f, node->child[i], owner);
		} else if (owner) {
			f->release(node->row[i]);
		}
	}
	node_give(f, node);
}

void forest_close(struct forest *f)
{
	struct view *v = atomic_load_explicit(&f->current, memory_order_relaxed);
	unsigned kind;
	unsigned t;

	forest_reclaim(f, SIZE_MAX);
	assert(v->older == NULL && atomic_load(&v->refs) == 1); /* No view is in use. */
	bury_all(f, v); /* What changes replaced that were never committed. */
	bury_all(f, f->work);
	for (t = 0; t < f->n; t++) {
		if (f->work->root[t].node != NULL) {
			node_close(f, f->work->root[t].node, f->types[t].owner);
		}
	}
	assert(f->n_dead == 0 && f->n_nodes[LEAF] == 0 && f->n_nodes[INNER] == 0);
	for (kind = LEAF; kind <= INNER; kind++) {
		while (f->spare[kind] != NULL) {
			free(spare_pop(f, kind));
		}
	}
	f->work->next = f->spare_views;
	v->next = f->work;
	while (v != NULL) {
		struct view *next = v->next;

		free(v);
		v = next;
	}
}

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static size_t node_check(const struct tree_type *type, const struct tree_node *node, unsigned levels, bool is_root)
{
	size_t count = 0;
	unsigned i;

	check(node->life.kind == (levels > 1 ? INNER : LEAF));
	check(node->n <= TREE_FAN && node->n >= (!is_root ? TREE_MIN : levels > 1 ? 2 : 1));
	for (i = 0; i < node->n; i++) {
		struct tree_key key = type->key(node->row[i]);

		check(key_starts(key, (struct tree_key){node->prefix, node->skip}));
		check(node->head[i] == key_head(key, node->skip, 0));
		check(i == 0 || key_order(type->key(node->row[i - 1]), key) < 0);
		if (levels > 1) {
			const struct tree_node *child = node->child[i];

			check(child->row[0] == node->row[i]);
			check(i + 1 == node->n ||
			      key_order(type->key(child->row[child->n - 1]), type->key(node->row[i + 1])) < 0);
			count += node_check(type, child, levels - 1, false);
		} else {
			count++;
		}
	}
	return count;
}

void view_check(const struct view *v, unsigned t)
{
	const struct root *root = &v->root[t];

	check((root->node == NULL) == (root->height == 0));
	check(root->count == (root->node == NULL ? 0 : node_check(&v->forest->types[t], root->node, root->height, true)));
}
