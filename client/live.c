#include "client/live.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "proto/error.h"
#include "proto/job.h"

#define MS NS_PER_MS

struct live_item {
	struct list link;
	struct link_read read;
	struct live *live;
	char *target;
	char *body; /* With a zero behind. */
	size_t len;
	int status;        /* 0: there was no answer yet. */
	uint64_t index;    /* Of the answer. */
	uint32_t users;    /* Sets that have it. */
	unsigned failures; /* In a row. */
	int64_t began_ns;  /* The read under way, or the last one. */
	int64_t due_ns;    /* Of the next; 0: one is under way. */
};

void live_init(struct live *l, struct client_link *link)
{
	*l = (struct live){.link = link, .random = 1};
	list_init(&l->items);
	list_init(&l->sets);
}

/* ---- items ---- */

static struct live_item *item_find(struct live *l, const char *target)
{
	LIST_EACH(e, &l->items) {
		struct live_item *item = CONTAINER_OF(e, struct live_item, link);

		if (strcmp(item->target, target) == 0) {
			return item;
		}
	}
	return NULL;
}

static struct live_item *item_new(struct live *l, const char *target)
{
	struct live_item *item = l->n_items < LIVE_ITEMS_MAX ? calloc(1, sizeof(*item)) : NULL;

	if (item == NULL) {
		return NULL;
	}
	item->target = strdup(target);
	if (item->target == NULL) {
		free(item);
		return NULL;
	}
	item->live = l;
	item->due_ns = 1; /* At once. */
	list_insert(&l->items, &item->link);
	l->n_items++;
	return item;
}

static void item_free(struct live_item *item)
{
	struct live *l = item->live;

	if (item->due_ns == 0) {
		l->link->ops->cancel(l->link, &item->read);
	}
	list_remove(&item->link);
	l->n_items--;
	free(item->target);
	free(item->body);
	free(item);
}

static void item_drop(struct live_item *item)
{
	if (--item->users == 0) {
		item_free(item);
	}
}

/* ---- answers ---- */

static bool has(const struct live_set *set, const struct live_item *item)
{
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		if (set->at[i] == item) {
			return true;
		}
	}
	return false;
}

static void tell(struct live_item *item)
{
	LIST_EACH(e, &item->live->sets) {
		struct live_set *set = CONTAINER_OF(e, struct live_set, link);

		if (has(set, item)) {
			set->changed_cb(set);
		}
	}
}

static int64_t retry_ns(struct live_item *item)
{
	int64_t ms = (int64_t)LIVE_PAUSE_MS << (item->failures < 7 ? item->failures : 7);

	item->failures++;
	ms = ms > LIVE_RETRY_MAX_MS ? LIVE_RETRY_MAX_MS : ms;
	item->live->random = item->live->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (ms / 2 + (int64_t)((item->live->random >> 33) % (uint64_t)ms) / 2 + 1) * MS;
}

/* Whether it differs from the one before. */
static bool keep(struct live_item *item, int status, const struct buf *body)
{
	bool same = item->status == status && item->len == body->len;
	char *copy;

	if (same && (body->len == 0 || memcmp(item->body, body->at, body->len) == 0)) {
		return false;
	}
	copy = malloc(body->len + 1);
	if (copy == NULL) {
		return false; /* The next read brings it. */
	}
	if (body->len > 0) {
		memcpy(copy, body->at, body->len);
	}
	copy[body->len] = '\0';
	free(item->body);
	item->body = copy;
	item->len = body->len;
	item->status = status;
	return true;
}

static bool is_answer(const struct http_response *res)
{
	return res->status == 200 || res->status == 404;
}

static void done_cb(struct link_read *read, int err, const struct http_response *res)
{
	struct live_item *item = CONTAINER_OF(read, struct live_item, read);
	int64_t now_ns = item->began_ns;
	bool changed;

	if (err != 0 || !is_answer(res)) {
		if (item->failures == 3) {
			log_warn("client", "%s: %s%.*s", item->target, err != 0 ? error_text(err) : "the server says: ",
			         err != 0 ? 0 : (int)(res->body.len < 200 ? res->body.len : 200),
			         err != 0 || res->body.at == NULL ? "" : res->body.at);
		}
		item->due_ns = now_ns + retry_ns(item);
		return;
	}
	changed = keep(item, res->status, &res->body);
	item->failures = 0;
	/* An index that goes back: another state has taken its place. */
	item->due_ns = now_ns + (res->index == 0 ? LIVE_IDLE_MS : LIVE_PAUSE_MS) * MS;
	item->index = res->index >= item->index ? res->index : 0;
	if (changed) {
		tell(item);
	}
}

/* ---- reads ---- */

static void begin(struct live_item *item, int64_t now_ns)
{
	struct client_link *link = item->live->link;
	struct arena mem = {0};
	const char *target = item->target;
	int rc = ERR_NOMEM;

	if (item->index > 0 && item->status != 0) {
		target = arena_printf(&mem, "%s&index=%llu&wait=%ds", item->target, (unsigned long long)item->index,
		                      LIVE_WAIT_S);
	}
	item->read.done_cb = done_cb;
	item->began_ns = now_ns;
	item->due_ns = 0;
	if (target != NULL) {
		rc = link->ops->read(link, &item->read, target, LIVE_BODY_MAX, (LIVE_WAIT_S + 60) * 1000);
	}
	if (rc != 0) {
		item->due_ns = now_ns + retry_ns(item);
	}
	arena_close(&mem);
}

void live_step(struct live *l, int64_t now_ns)
{
	LIST_EACH(e, &l->items) {
		struct live_item *item = CONTAINER_OF(e, struct live_item, link);

		if (item->due_ns != 0 && item->due_ns <= now_ns) {
			begin(item, now_ns);
		}
	}
}

int64_t live_due(const struct live *l)
{
	int64_t due = 0;

	LIST_EACH(e, &l->items) {
		const struct live_item *item = CONTAINER_OF(e, struct live_item, link);

		if (item->due_ns != 0 && (due == 0 || item->due_ns < due)) {
			due = item->due_ns;
		}
	}
	return due;
}

void live_up(struct live *l, int64_t now_ns)
{
	LIST_EACH(e, &l->items) {
		struct live_item *item = CONTAINER_OF(e, struct live_item, link);

		if (item->due_ns != 0) {
			item->due_ns = now_ns;
		}
	}
}

/* ---- sets ---- */

static void set_clear(struct live_item **at, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		item_drop(at[i]);
	}
	free(at);
}

/* New items are known before old ones go, so that what stays is not asked again. */
int live_want(struct live *l, struct live_set *set, const struct template_want *wants, uint32_t n)
{
	struct live_item **at = n == 0 ? NULL : calloc(n, sizeof(*at));
	uint32_t i;

	if (n > 0 && at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < n; i++) {
		at[i] = item_find(l, wants[i].target);
		at[i] = at[i] != NULL ? at[i] : item_new(l, wants[i].target);
		if (at[i] == NULL) {
			int rc = l->n_items >= LIVE_ITEMS_MAX ? ERR_TOOBIG : ERR_NOMEM;

			set_clear(at, i);
			return rc;
		}
		at[i]->users++;
	}
	set_clear(set->at, set->n);
	set->at = at;
	set->n = n;
	list_remove(&set->link);
	if (n > 0) {
		list_insert(&l->sets, &set->link);
	}
	return 0;
}

void live_close(struct live *l)
{
	while (!list_empty(&l->sets)) {
		(void)live_want(l, CONTAINER_OF(l->sets.next, struct live_set, link), NULL, 0);
	}
	assert(list_empty(&l->items));
}

bool live_known(const struct live_set *set)
{
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		if (set->at[i]->status == 0) {
			return false;
		}
	}
	return true;
}

int live_answers(const struct live_set *set, const struct template_answer **out, uint32_t *n, struct arena *mem)
{
	struct template_answer *at = arena_calloc(mem, set->n + 1, sizeof(*at));
	uint32_t kept = 0;
	uint32_t i;

	if (at == NULL) {
		return ERR_NOMEM;
	}
	for (i = 0; i < set->n; i++) {
		const struct live_item *item = set->at[i];

		if (item->status == 0) {
			continue;
		}
		at[kept] = (struct template_answer){.target = arena_strdup(mem, item->target),
		                                    .status = item->status,
		                                    .body = arena_strndup(mem, item->body, item->len),
		                                    .len = item->len};
		if (at[kept].target == NULL || at[kept].body == NULL) {
			return ERR_NOMEM;
		}
		kept++;
	}
	*out = at;
	*n = kept;
	return 0;
}
