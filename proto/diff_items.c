#include "proto/diff_items.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jsonin.h"

int diff_items_add(struct diff_items *items, const char *key, size_t len, const void *value, struct arena *mem)
{
	struct diff_item *at = items->at;
	uint32_t n = items->n;

	/* Capacity is the next power of two, from 8. */
	if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) {
		at = arena_calloc(mem, n == 0 ? 8 : (size_t)n * 2, sizeof(*at));
		if (at == NULL) {
			return ERR_NOMEM;
		}
		if (n > 0) {
			memcpy(at, items->at, n * sizeof(*at));
		}
		items->at = at;
	}
	at[n] = (struct diff_item){key, len, value, n};
	items->n++;
	return 0;
}

static int key_cmp(const struct diff_item *a, const struct diff_item *b)
{
	int c = memcmp(a->key, b->key, a->len < b->len ? a->len : b->len);

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

static int item_cmp(const void *a, const void *b)
{
	const struct diff_item *p = a;
	const struct diff_item *q = b;
	int c = key_cmp(p, q);

	return c != 0 ? c : (p->at > q->at) - (p->at < q->at);
}

void diff_items_sort(struct diff_items *items)
{
	if (items->n > 1) {
		qsort(items->at, items->n, sizeof(*items->at), item_cmp);
	}
}

void diff_items_unite(struct diff_items *items)
{
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < items->n; i++) {
		if (n == 0 || key_cmp(&items->at[n - 1], &items->at[i]) != 0) {
			items->at[n++] = items->at[i];
		}
	}
	items->n = n;
}

bool diff_items_next(const struct diff_items *a, const struct diff_items *b, struct diff_pair *pair)
{
	const struct diff_item *p = pair->a_next < a->n ? &a->at[pair->a_next] : NULL;
	const struct diff_item *q = pair->b_next < b->n ? &b->at[pair->b_next] : NULL;
	int c = p == NULL ? 1 : q == NULL ? -1 : key_cmp(p, q);

	pair->a = c <= 0 ? p : NULL;
	pair->b = c >= 0 ? q : NULL;
	pair->a_next += pair->a != NULL;
	pair->b_next += pair->b != NULL;
	return pair->a != NULL || pair->b != NULL;
}

/* ---- JSON ---- */

/* Where a walk stands: the path grows and shrinks with it. */
struct flattening {
	struct jsonin in;
	struct buf path;
	struct diff_items *items;
	struct arena *mem;
};

static int flatten(struct flattening *f);

/* A value without parts, as text: strings as they are, everything else as it stands. */
static int flatten_leaf(struct flattening *f)
{
	const char *text;
	const char *path;
	int rv;

	if (jsonin_peek(&f->in) == '"') {
		rv = jsonin_str(&f->in, &text);
	} else {
		const char *start = f->in.p;

		rv = jsonin_skip(&f->in);
		text = rv == 0 ? arena_strndup(f->mem, start, (size_t)(f->in.p - start)) : NULL;
	}
	if (rv != 0) {
		return rv;
	}
	path = arena_strdup(f->mem, buf_text(&f->path));
	if (text == NULL || path == NULL || f->path.failed) {
		return ERR_NOMEM;
	}
	return diff_items_add(f->items, path, strlen(path), text, f->mem);
}

/* The member's name, or the element's number, behind the path. */
static int enter(struct flattening *f, char open, uint32_t i)
{
	const char *name;
	int rv;

	if (open == '[') {
		buf_printf(&f->path, "[%u]", i);
		return 0;
	}
	rv = jsonin_str(&f->in, &name);
	if (rv == 0) {
		buf_printf(&f->path, f->path.len == 0 ? "%s" : "[%s]", name);
		rv = jsonin_take(&f->in, ':') ? 0 : ERR_SYNTAX;
	}
	return rv;
}

static int flatten_parts(struct flattening *f, char open)
{
	size_t len = f->path.len;
	uint32_t i = 0;
	bool more;
	int rv = jsonin_open(&f->in, open, &more);

	while (rv == 0 && more) {
		rv = enter(f, open, i++);
		if (rv == 0) {
			rv = flatten(f);
		}
		f->path.len = len;
		if (rv == 0) {
			rv = jsonin_next(&f->in, open, &more);
		}
	}
	return rv;
}

static int flatten(struct flattening *f)
{
	char c = jsonin_peek(&f->in);

	return c == '{' || c == '[' ? flatten_parts(f, c) : flatten_leaf(f);
}

int diff_items_flatten(struct diff_items *items, const char *json, const char *name, struct arena *mem)
{
	struct flattening f = {.items = items, .mem = mem};
	struct fault fault;
	int rv;

	if (*json == '\0') {
		return 0;
	}
	jsonin_init(&f.in, json, strlen(json), mem, &fault);
	if (*json != '{' && *json != '[') {
		buf_str(&f.path, name);
	}
	rv = flatten(&f);
	buf_close(&f.path);
	return rv;
}
