#include "server/sched_nodes.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/log.h"
#include "server/sched_memory.h"

const char *fit_text(enum fit fit)
{
	static const char *const texts[] = {
#define X(id, text) text,
		FIT_LIST(X)
#undef X
	};

	return texts[fit];
}

/* ---- what is taken ---- */

struct use alloc_row_use(const struct alloc_row *row)
{
	if (alloc_row_terminal(row)) {
		return (struct use){0};
	}
	return (struct use){.cpu_mhz = row->cpu_mhz, .memory_mb = row->memory_mb, .disk_mb = row->disk_mb, .count = 1};
}

static bool use_none(const struct use *u)
{
	return u->cpu_mhz == 0 && u->memory_mb == 0 && u->disk_mb == 0 && u->count == 0;
}

/* ---- news ---- */

static void note_put(struct nodes_news *news, const struct news_note *note)
{
	if (news->all) {
		return;
	}
	if (news->n == NEWS_MAX) {
		news_close(news);
		news->all = true;
		return;
	}
	news->notes = sched_grow(news->notes, news->n, &news->cap, sizeof(news->notes[0]));
	news->notes[news->n++] = *note;
}

static void note_alloc(struct nodes_news *news, const struct alloc_row *old, const struct alloc_row *now)
{
	const struct alloc_row *row = now != NULL ? now : old;
	struct use u = {0};
	struct use was;

	if (now != NULL) {
		u = alloc_row_use(now);
	}
	if (old != NULL) {
		was = alloc_row_use(old);
		use_add(&u, &was, -1);
	}
	if (!use_none(&u)) {
		const struct news_note note = {.node = row->node_id,
					       .alloc = row->id,
					       .cpu_mhz = u.cpu_mhz,
					       .memory_mb = u.memory_mb,
					       .disk_mb = u.disk_mb,
					       .count = (int32_t)u.count,
					       .holds = row->server != NULL};

		note_put(news, &note);
	}
}

void news_add(struct nodes_news *news, const struct change *changes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		const struct row *row = c->now != NULL ? c->now : c->old;

		if (c->table == TABLE_ALLOCS) {
			note_alloc(news, (const struct alloc_row *)c->old, (const struct alloc_row *)c->now);
		} else if (c->table == TABLE_NODES) {
			const struct news_note note = {.node = ((const struct node_row *)row)->id};

			note_put(news, &note);
		}
	}
}

void news_close(struct nodes_news *news)
{
	free(news->notes);
	memset(news, 0, sizeof(*news));
}

/* ---- finding ---- */

static uint64_t id_hash(const struct uuid *id)
{
	return XXH3_64bits(id, sizeof(*id));
}

static bool same_node(const void *array, uint32_t i, const void *key)
{
	return uuid_equal(&((const struct node_more *)array)[i].id, key);
}

static bool same_claim(const void *array, uint32_t i, const void *key)
{
	return uuid_equal(&((const struct claim *)array)[i].alloc, key);
}

static bool same_class(const void *array, uint32_t i, const void *key)
{
	return ((const struct node_class *)array)[i].hash == *(const uint64_t *)key;
}

static void index_add(struct hindex *x, uint64_t hash, uint32_t i)
{
	if (!hindex_add(x, hash, i)) {
		sched_got(NULL);
	}
}

uint32_t nodes_find(const struct nodes *nodes, const struct uuid *id)
{
	return hindex_find(&nodes->by_id, id_hash(id), same_node, nodes->more, id);
}

uint32_t nodes_fact(const struct nodes *nodes, uint32_t slot, uint32_t key)
{
	const struct node_more *more = &nodes->more[slot];
	uint32_t low = 0;
	uint32_t high = more->n_facts;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (more->facts[middle].key < key) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < more->n_facts && more->facts[low].key == key ? more->facts[low].value : (uint32_t)INTERN_NONE;
}

/* ---- slots ---- */

static uint32_t slot_take(struct nodes *nodes)
{
	uint32_t more_cap = nodes->cap;

	if (nodes->n_free > 0) {
		return nodes->free[--nodes->n_free];
	}
	nodes->more = sched_grow(nodes->more, nodes->n, &more_cap, sizeof(nodes->more[0]));
	nodes->at = sched_grow(nodes->at, nodes->n, &nodes->cap, sizeof(nodes->at[0]));
	return nodes->n++;
}

static uint32_t slot_new(struct nodes *nodes, const struct uuid *id)
{
	uint32_t slot = slot_take(nodes);

	memset(&nodes->at[slot], 0, sizeof(nodes->at[slot]));
	memset(&nodes->more[slot], 0, sizeof(nodes->more[slot]));
	nodes->more[slot].id = *id;
	nodes->more[slot].claim = CLAIM_NONE;
	index_add(&nodes->by_id, id_hash(id), slot);
	nodes->n_used++;
	return slot;
}

static void holds_drop(struct nodes *nodes, uint32_t slot)
{
	node_holds_free(nodes->more[slot].holds);
	nodes->more[slot].holds = NULL;
}

static void claim_remove(struct nodes *nodes, uint32_t i);

static void slot_free(struct nodes *nodes, uint32_t slot)
{
	struct node_more *more = &nodes->more[slot];

	while (more->claim != CLAIM_NONE) {
		claim_remove(nodes, more->claim);
	}
	holds_drop(nodes, slot);
	hindex_remove(&nodes->by_id, id_hash(&more->id), slot);
	free(more->facts);
	memset(more, 0, sizeof(*more));
	memset(&nodes->at[slot], 0, sizeof(nodes->at[slot]));
	nodes->n_used--;
	nodes->free = sched_grow(nodes->free, nodes->n_free, &nodes->free_cap, sizeof(nodes->free[0]));
	nodes->free[nodes->n_free++] = slot;
}

/* ---- facts ---- */

struct fact_list {
	struct nodes *nodes;
	struct arena *mem;
	struct fact *at;
	uint32_t n;
	uint32_t cap;
	uint64_t class_hash; /* Of those that are not unique to a node, in any order. */
};

static void fact_add(struct fact_list *f, const char *prefix, const char *name, const char *value)
{
	const char *key = sched_got(arena_printf(f->mem, "%s%s", prefix, name));

	f->at = sched_grow(f->at, f->n, &f->cap, sizeof(f->at[0]));
	f->at[f->n++] = (struct fact){intern_add(&f->nodes->names, key), intern_add(&f->nodes->names, value)};
	if (strstr(key, "unique.") == NULL) {
		f->class_hash += XXH3_64bits_withSeed(value, strlen(value), XXH3_64bits(key, strlen(key)));
	}
}

static bool is_true(const char *text)
{
	return strcmp(text, "1") == 0 || strcmp(text, "true") == 0 || strcmp(text, "TRUE") == 0 ||
	       strcmp(text, "True") == 0 || strcmp(text, "t") == 0 || strcmp(text, "T") == 0;
}

static bool has_driver(const struct node *node, const char *name)
{
	uint32_t i;

	for (i = 0; i < node->drivers.n; i++) {
		if (strcmp(node->drivers.keys[i], name) == 0) {
			return true;
		}
	}
	return false;
}

/* A client that tells of no health tells by attributes which drivers it has. */
static void add_drivers(struct fact_list *f, const struct node *node)
{
	static const char prefix[] = "driver.";
	uint32_t i;

	for (i = 0; i < node->drivers.n; i++) {
		if (node->drivers.at[i].detected && node->drivers.at[i].healthy) {
			fact_add(f, FACT_DRIVER, node->drivers.keys[i], "1");
		}
	}
	for (i = 0; i < node->attributes.n; i++) {
		const char *name = node->attributes.at[i].key + sizeof(prefix) - 1;

		if (strncmp(node->attributes.at[i].key, prefix, sizeof(prefix) - 1) == 0 && strchr(name, '.') == NULL &&
		    is_true(node->attributes.at[i].value) && !has_driver(node, name)) {
			fact_add(f, FACT_DRIVER, name, "1");
		}
	}
}

static void add_networks(struct fact_list *f, const struct node *node)
{
	const struct node_resources *has = node->node_resources;
	uint32_t i;
	uint32_t j;

	for (i = 0; has != NULL && i < has->networks.n; i++) {
		const char *mode = has->networks.at[i].mode;

		fact_add(f, FACT_NETMODE, mode[0] != 0 ? mode : "host", "1");
	}
	for (i = 0; has != NULL && i < has->node_networks.n; i++) {
		const struct node_network *net = &has->node_networks.at[i];

		if (net->mode[0] != 0) {
			fact_add(f, FACT_NETMODE, net->mode, "1");
		}
		for (j = 0; j < net->addresses.n; j++) {
			/* The address is unique to the node, that there is one is not. */
			fact_add(f, FACT_HOSTNET, net->addresses.at[j].alias, "1");
		}
	}
}

static void add_devices(struct fact_list *f, const struct node *node)
{
	struct node_devices devices;
	uint32_t i;
	uint32_t j;

	node_devices_get(node, &devices, f->mem);
	for (i = 0; i < devices.devices.n; i++) {
		const struct node_device *d = &devices.devices.at[i];
		unsigned healthy = 0;

		for (j = 0; j < d->instances.n; j++) {
			healthy += d->instances.at[j].healthy;
		}
		fact_add(f, FACT_DEVICE, node_device_text(d, f->mem), sched_got(arena_printf(f->mem, "%u", healthy)));
	}
}

static int by_key(const void *a, const void *b)
{
	uint32_t x = ((const struct fact *)a)->key;
	uint32_t y = ((const struct fact *)b)->key;

	return (x > y) - (x < y);
}

/* Several networks may offer the same mode. */
static uint32_t without_doubles(struct fact *at, uint32_t n)
{
	uint32_t kept = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (kept == 0 || at[kept - 1].key != at[i].key) {
			at[kept++] = at[i];
		}
	}
	return kept;
}

static void facts_collect(struct fact_list *f, const struct node *node)
{
	uint32_t i;

	fact_add(f, "node.unique.", "id", node->id);
	fact_add(f, "node.unique.", "name", node->name);
	fact_add(f, "node.", "datacenter", node->datacenter);
	fact_add(f, "node.", "class", node->node_class);
	fact_add(f, "node.", "pool", node->node_pool);
	for (i = 0; i < node->attributes.n; i++) {
		fact_add(f, "attr.", node->attributes.at[i].key, node->attributes.at[i].value);
	}
	for (i = 0; i < node->meta.n; i++) {
		fact_add(f, "meta.", node->meta.at[i].key, node->meta.at[i].value);
	}
	for (i = 0; i < node->host_volumes.n; i++) {
		fact_add(f, FACT_VOLUME, node->host_volumes.keys[i], node->host_volumes.at[i].read_only ? "ro" : "rw");
	}
	add_drivers(f, node);
	add_networks(f, node);
	add_devices(f, node);
	sched_sort(f->at, f->n, sizeof(f->at[0]), by_key);
	f->n = without_doubles(f->at, f->n);
}

static uint32_t class_of(struct nodes *nodes, uint64_t hash, const char *name, const struct node_at *at)
{
	uint32_t i = hindex_find(&nodes->by_class, hash, same_class, nodes->classes, &hash);

	if (i != HINDEX_NONE) {
		return i;
	}
	i = nodes->n_classes;
	nodes->classes = sched_grow(nodes->classes, i, &nodes->classes_cap, sizeof(nodes->classes[0]));
	nodes->classes[i] = (struct node_class){hash, intern_add(&nodes->names, name), at->datacenter, at->pool};
	index_add(&nodes->by_class, hash, i);
	nodes->n_classes++;
	return i;
}

static void facts_load(struct nodes *nodes, uint32_t slot, const struct node *node, struct arena *mem)
{
	struct fact_list f = {.nodes = nodes, .mem = mem};
	struct node_at *at = &nodes->at[slot];

	facts_collect(&f, node);
	free(nodes->more[slot].facts);
	nodes->more[slot].facts = f.at;
	nodes->more[slot].n_facts = f.n;
	at->datacenter = intern_add(&nodes->names, node->datacenter);
	at->pool = intern_add(&nodes->names, node->node_pool[0] != 0 ? node->node_pool : "default");
	at->node_class = intern_add(&nodes->names, node->node_class);
	/* What the client calls the class is part of it: blocked evaluations go by that name. */
	f.class_hash += XXH3_64bits(node->computed_class, strlen(node->computed_class));
	at->class_ = class_of(nodes, f.class_hash, node->computed_class, at);
}

/* ---- a node's row ---- */

static uint32_t above(uint32_t all, uint32_t reserved)
{
	return all > reserved ? all - reserved : 0;
}

static uint32_t flags_of(const struct node_row *row)
{
	uint32_t flags = NODE_AT_USED;

	flags |= node_row_ready(row) ? NODE_AT_READY : 0;
	flags |= row->status == NODE_STATUS_DOWN ? NODE_AT_DOWN : 0;
	flags |= row->status == NODE_STATUS_DISCONNECTED ? NODE_AT_DISCONNECTED : 0;
	return flags;
}

static void row_load(struct nodes *nodes, uint32_t slot, const struct node_row *row)
{
	struct node_at *at = &nodes->at[slot];
	struct arena mem = {0};
	struct node node;

	holds_drop(nodes, slot);
	at->cpu_mhz = above(row->cpu_mhz, row->reserved_cpu_mhz);
	at->memory_mb = above(row->memory_mb, row->reserved_memory_mb);
	at->disk_mb = above(row->disk_mb, row->reserved_disk_mb);
	at->flags = flags_of(row);
	if (node_row_get(row, &node, &mem) == 0) {
		at->max_allocs = node.node_max_allocs > 0 ? (uint32_t)node.node_max_allocs : 0;
		at->core_mhz = node_core_mhz(&node);
		if (nodes->facts) {
			facts_load(nodes, slot, &node, &mem);
		}
	} else {
		at->flags &= ~(uint32_t)NODE_AT_READY;
		log_error("sched", "a node's row is damaged: nothing is placed there");
	}
	arena_close(&mem);
}

static void use_load(struct nodes *nodes, const struct view *v, uint32_t slot)
{
	const struct alloc_row *row;
	struct rows r;
	struct use u;

	rows_allocs_of_node(&r, v, &nodes->more[slot].id);
	while ((row = alloc_next(&r)) != NULL) {
		u = alloc_row_use(row);
		use_add(&nodes->at[slot].used, &u, 1);
	}
}

static uint32_t node_load(struct nodes *nodes, const struct view *v, const struct node_row *row)
{
	uint32_t slot = slot_new(nodes, &row->id);

	row_load(nodes, slot, row);
	use_load(nodes, v, slot);
	return slot;
}

uint32_t nodes_load(struct nodes *nodes, const struct view *v, const struct uuid *id)
{
	uint32_t slot = nodes_find(nodes, id);
	const struct node_row *row = slot == NODE_NONE ? state_node(v, id) : NULL;

	return row != NULL ? node_load(nodes, v, row) : slot;
}

/* ---- claims ---- */

static uint32_t claim_find(const struct nodes *nodes, const struct uuid *alloc)
{
	return nodes->n_claims == 0 ? (uint32_t)CLAIM_NONE
				    : hindex_find(&nodes->by_alloc, id_hash(alloc), same_claim, nodes->claims, alloc);
}

/* Whoever points to a claim as its neighbour points to `to` now. */
static void claim_relink(struct nodes *nodes, const struct claim *c, uint32_t to_next, uint32_t to_prev)
{
	if (c->prev != CLAIM_NONE) {
		nodes->claims[c->prev].next = to_next;
	} else {
		nodes->more[c->slot].claim = to_next;
	}
	if (c->next != CLAIM_NONE) {
		nodes->claims[c->next].prev = to_prev;
	}
}

/* The last one takes the place of the one removed, so that they lie close together. */
static void claim_remove(struct nodes *nodes, uint32_t i)
{
	struct claim *c = &nodes->claims[i];
	uint32_t last = nodes->n_claims - 1;

	use_add(&nodes->at[c->slot].used, &c->use, -1);
	if (c->takes != NULL || c->frees) {
		holds_drop(nodes, c->slot);
	}
	free(c->takes);
	hindex_remove(&nodes->by_alloc, id_hash(&c->alloc), i);
	claim_relink(nodes, c, c->next, c->prev);
	if (i != last) {
		*c = nodes->claims[last];
		claim_relink(nodes, c, i, i);
		hindex_move(&nodes->by_alloc, id_hash(&c->alloc), last, i);
	}
	nodes->n_claims = last;
}

void nodes_claim(struct nodes *nodes, uint32_t slot, const struct uuid *alloc, const struct use *use,
		 const struct holds *takes, bool frees, uint64_t owner)
{
	struct claim *c;
	uint32_t i;

	nodes_unclaim(nodes, alloc);
	i = nodes->n_claims;
	nodes->claims = sched_grow(nodes->claims, i, &nodes->claims_cap, sizeof(nodes->claims[0]));
	c = &nodes->claims[i];
	*c = (struct claim){.alloc = *alloc,
			    .use = *use,
			    .owner = owner,
			    .slot = slot,
			    .frees = frees,
			    .next = nodes->more[slot].claim,
			    .prev = CLAIM_NONE};
	if (c->next != CLAIM_NONE) {
		nodes->claims[c->next].prev = i;
	}
	nodes->more[slot].claim = i;
	nodes->n_claims++;
	index_add(&nodes->by_alloc, id_hash(alloc), i);
	use_add(&nodes->at[slot].used, use, 1);
	if (takes != NULL && holds_any(takes)) {
		c->takes = holds_copy(takes);
		if (nodes->more[slot].holds != NULL) {
			node_holds_take(nodes->more[slot].holds, takes, true);
		}
	}
	if (frees) {
		holds_drop(nodes, slot);
	}
}

void nodes_unclaim(struct nodes *nodes, const struct uuid *alloc)
{
	uint32_t i = claim_find(nodes, alloc);

	if (i != CLAIM_NONE) {
		claim_remove(nodes, i);
	}
}

bool nodes_claimed(const struct nodes *nodes, const struct uuid *alloc)
{
	return claim_find(nodes, alloc) != CLAIM_NONE;
}

enum { CLAIMS_KEPT = 4096 };

/* Room for many claims is given back when none is left. */
static void claims_shrink(struct nodes *nodes)
{
	if (nodes->n_claims == 0 && nodes->claims_cap > CLAIMS_KEPT) {
		free(nodes->claims);
		hindex_close(&nodes->by_alloc);
		nodes->claims = NULL;
		nodes->claims_cap = 0;
	}
}

void nodes_disown(struct nodes *nodes, uint64_t owner)
{
	uint32_t i = 0;

	while (i < nodes->n_claims) {
		if (nodes->claims[i].owner == owner) {
			claim_remove(nodes, i);
		} else {
			i++;
		}
	}
	claims_shrink(nodes);
}

/* ---- ports and the like ---- */

static bool is_freed(const struct nodes *nodes, const struct uuid *alloc)
{
	uint32_t i = claim_find(nodes, alloc);

	return i != CLAIM_NONE && nodes->claims[i].frees;
}

static int take_row(struct nodes *nodes, struct node_holds *nh, const struct alloc_row *row, struct arena *mem)
{
	struct alloc_server server;
	struct holds holds;

	if (row->server == NULL || alloc_row_terminal(row) || is_freed(nodes, &row->id)) {
		return 0;
	}
	if (alloc_row_server(row, &server, mem) != 0) {
		return -1;
	}
	alloc_server_holds(&server, &holds, mem);
	node_holds_take(nh, &holds, true);
	return 0;
}

static int holds_fill(struct nodes *nodes, const struct view *v, uint32_t slot, struct node_holds *nh,
		      struct arena *mem)
{
	const struct alloc_row *row;
	struct rows r;
	uint32_t i;

	rows_allocs_of_node(&r, v, &nodes->more[slot].id);
	while ((row = alloc_next(&r)) != NULL) {
		if (take_row(nodes, nh, row, mem) != 0) {
			return -1;
		}
	}
	for (i = nodes->more[slot].claim; i != CLAIM_NONE; i = nodes->claims[i].next) {
		if (nodes->claims[i].takes != NULL) {
			node_holds_take(nh, nodes->claims[i].takes, true);
		}
	}
	return 0;
}

struct node_holds *nodes_holds(struct nodes *nodes, const struct view *v, uint32_t slot)
{
	struct node_more *more = &nodes->more[slot];
	const struct node_row *row;
	struct arena mem = {0};
	struct node node;

	if (more->holds != NULL) {
		return more->holds;
	}
	row = state_node(v, &more->id);
	if (row != NULL && node_row_get(row, &node, &mem) == 0) {
		more->holds = node_holds_new(&node);
		if (holds_fill(nodes, v, slot, more->holds, &mem) != 0) {
			log_error("sched", "an allocation's row is damaged: nothing with ports is placed on its node");
			holds_drop(nodes, slot);
		}
	}
	arena_close(&mem);
	return more->holds;
}

enum fit nodes_fit(struct nodes *nodes, const struct view *v, uint32_t slot, const struct use *ask,
		   const struct holds *takes)
{
	enum fit fit = node_fits(&nodes->at[slot], ask);
	const struct node_holds *nh;

	if (fit != FIT_OK || takes == NULL || !holds_any(takes)) {
		return fit;
	}
	nh = nodes_holds(nodes, v, slot);
	if (nh == NULL) {
		return FIT_STATE;
	}
	return node_holds_fit(nh, takes) ? FIT_OK : FIT_PORT;
}

/* ---- all of them ---- */

void nodes_init(struct nodes *nodes, bool facts)
{
	memset(nodes, 0, sizeof(*nodes));
	nodes->facts = facts;
	nodes->stale = facts;
}

/* Everything but the claims. */
static void forget(struct nodes *nodes)
{
	uint32_t i;

	for (i = 0; i < nodes->n; i++) {
		holds_drop(nodes, i);
		free(nodes->more[i].facts);
	}
	nodes->n = nodes->n_used = nodes->n_free = nodes->n_classes = 0;
	hindex_clear(&nodes->by_id);
	hindex_clear(&nodes->by_class);
	intern_close(&nodes->names);
}

static void claims_clear(struct nodes *nodes)
{
	uint32_t i;

	for (i = 0; i < nodes->n_claims; i++) {
		free(nodes->claims[i].takes);
	}
	nodes->n_claims = 0;
	hindex_clear(&nodes->by_alloc);
}

void nodes_close(struct nodes *nodes)
{
	claims_clear(nodes);
	forget(nodes);
	free(nodes->at);
	free(nodes->more);
	free(nodes->free);
	free(nodes->classes);
	free(nodes->claims);
	hindex_close(&nodes->by_id);
	hindex_close(&nodes->by_class);
	hindex_close(&nodes->by_alloc);
	memset(nodes, 0, sizeof(*nodes));
}

void nodes_reset(struct nodes *nodes)
{
	claims_clear(nodes);
	forget(nodes);
	nodes->stale = nodes->facts;
}

/* A claim whose effect the view shows has had its time. */
static bool claim_stands(const struct view *v, const struct claim *c)
{
	const struct alloc_row *row = state_alloc(v, &c->alloc);

	return c->use.count > 0 ? row == NULL : row != NULL && !alloc_row_terminal(row);
}

struct kept {
	struct claim claim;
	struct uuid node;
};

static struct kept *claims_keep(struct nodes *nodes, const struct view *v, uint32_t *n)
{
	struct kept *kept = sched_calloc(nodes->n_claims, sizeof(kept[0]));
	uint32_t i;

	*n = 0;
	for (i = 0; i < nodes->n_claims; i++) {
		if (claim_stands(v, &nodes->claims[i])) {
			kept[*n].node = nodes->more[nodes->claims[i].slot].id;
			kept[(*n)++].claim = nodes->claims[i];
			nodes->claims[i].takes = NULL;
		}
	}
	claims_clear(nodes);
	return kept;
}

static void claims_restore(struct nodes *nodes, struct kept *kept, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct claim *c = &kept[i].claim;
		uint32_t slot = nodes_find(nodes, &kept[i].node);

		if (slot != NODE_NONE) {
			nodes_claim(nodes, slot, &c->alloc, &c->use, c->takes, c->frees, c->owner);
		}
		free(c->takes);
	}
	free(kept);
}

static void build(struct nodes *nodes, const struct view *v)
{
	const struct node_row *row;
	struct rows r;
	uint32_t n;
	struct kept *kept = claims_keep(nodes, v, &n);

	forget(nodes);
	if (nodes->facts) {
		rows_nodes(&r, v, NULL);
		while ((row = node_next(&r)) != NULL) {
			node_load(nodes, v, row);
		}
	} else {
		uint32_t i;

		for (i = 0; i < n; i++) {
			nodes_load(nodes, v, &kept[i].node);
		}
	}
	claims_restore(nodes, kept, n);
	nodes->built = nodes->names.mem.total;
	nodes->stale = false;
}

static void take_alloc_note(struct nodes *nodes, const struct news_note *note)
{
	const struct use u = {note->cpu_mhz, note->memory_mb, note->disk_mb, note->count};
	uint32_t slot = nodes_find(nodes, &note->node);

	if (slot == NODE_NONE) {
		return;
	}
	nodes_unclaim(nodes, &note->alloc);
	use_add(&nodes->at[slot].used, &u, 1);
	if (note->holds) {
		holds_drop(nodes, slot);
	}
}

/* What a node has taken when it is loaded is what the view says: so it is loaded after all notes of allocations. */
static void take_node_note(struct nodes *nodes, const struct view *v, const struct news_note *note)
{
	const struct node_row *row = state_node(v, &note->node);
	uint32_t slot = nodes_find(nodes, &note->node);

	if (row == NULL && slot != NODE_NONE) {
		slot_free(nodes, slot);
	} else if (row != NULL && slot != NODE_NONE) {
		row_load(nodes, slot, row);
	} else if (row != NULL && nodes->facts) {
		node_load(nodes, v, row);
	}
}

/* Values that no node has any more stay interned. */
static bool overgrown(const struct nodes *nodes)
{
	return nodes->names.mem.total > 4 * nodes->built + (1 << 20);
}

void nodes_update(struct nodes *nodes, const struct view *v, struct nodes_news *news)
{
	uint32_t i;

	if (news->all || nodes->stale || overgrown(nodes)) {
		build(nodes, v);
		news_close(news);
		return;
	}
	for (i = 0; i < news->n; i++) {
		if (!uuid_is_zero(&news->notes[i].alloc)) {
			take_alloc_note(nodes, &news->notes[i]);
		}
	}
	for (i = 0; i < news->n; i++) {
		if (uuid_is_zero(&news->notes[i].alloc)) {
			take_node_note(nodes, v, &news->notes[i]);
		}
	}
	news_close(news);
}
