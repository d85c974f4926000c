/* The packed form, in: see proto/object.h. */
#include <stdlib.h>

#include "lib/utf8.h"
#include "proto/jsonin.h"
#include "proto/packin.h"
#include "proto/walk.h"
#include "proto/words.h"

enum {
	/* Memory for what is decoded: so many times the message, but never less than the second. Not below what JSON
	 * may take (proto/jsonin.h), so that what came in as JSON can be read again when it is packed. */
	BUDGET_TIMES = 128,
	BUDGET_FREE = 1 << 20,
};

struct in {
	struct packin pack;
	struct arena *mem;
	size_t budget;
};

static int take_object(struct in *in, const struct type *t, void *obj, uint32_t n);

/* *out is NULL after a failure: no memory, or more than a message of this size may cost. */
static int take_memory(struct in *in, size_t n, void **out)
{
	if (n > in->budget) {
		return ERR_TYPE;
	}
	in->budget -= n;
	*out = arena_alloc(in->mem, n);
	return *out != NULL ? 0 : ERR_NOMEM;
}

static int copy_str(struct in *in, const struct pack_item *item, const char **out)
{
	void *to = NULL;
	int rv;

	if (item->n == 0) {
		*out = object_empty;
		return 0;
	}
	if (!utf8_is_string(item->s, item->n)) {
		return ERR_TYPE;
	}
	rv = take_memory(in, (size_t)item->n + 1, &to);
	if (rv == 0) {
		memcpy(to, item->s, item->n);
		((char *)to)[item->n] = '\0';
		*out = to;
	}
	return rv;
}

/* A text, or the number of a well-known one. */
static int take_str(struct in *in, const char **out)
{
	struct pack_item item;
	int rv = packin_take(&in->pack, &item);

	if (rv == 0 && item.is == PACK_INT) {
		item.s = words_text(item.i);
		if (item.s == NULL) {
			return ERR_TYPE;
		}
		item.n = (uint32_t)strlen(item.s);
	} else if (rv == 0 && item.is != PACK_STR) {
		return ERR_TYPE;
	}
	return rv != 0 ? rv : copy_str(in, &item, out);
}

static int take_any(struct in *in, const char **out)
{
	const char *text = object_empty;
	int rv = take_str(in, &text);

	*out = text;
	return rv == 0 && *text != '\0' && !json_is_text(text, strlen(text)) ? ERR_TYPE : rv;
}

static int take_bytes(struct in *in, struct bytes *out)
{
	struct pack_item item;
	void *to = NULL;
	int rv = packin_expect(&in->pack, PACK_BIN, &item);

	if (rv == 0 && item.n > 0) {
		rv = take_memory(in, item.n, &to);
		if (rv == 0) {
			memcpy(to, item.s, item.n);
			*out = (struct bytes){to, item.n};
		}
	}
	return rv;
}

static int take_bool(struct in *in, bool *out)
{
	struct pack_item item;
	int rv = packin_expect(&in->pack, PACK_BOOL, &item);

	*out = rv == 0 && item.i != 0;
	return rv;
}

static int take_int(struct in *in, int64_t *out)
{
	struct pack_item item;
	int rv = packin_expect(&in->pack, PACK_INT, &item);

	*out = rv == 0 ? item.i : 0;
	return rv;
}

static int take_num(struct in *in, double *out)
{
	struct pack_item item;
	int rv = packin_expect(&in->pack, PACK_NUM, &item);

	*out = rv == 0 ? item.num + 0.0 : 0.0;
	return rv;
}

static int take_opt(struct in *in, uint8_t kind, struct opt *out)
{
	bool b = false;
	int rv;

	if (kind == KIND_OPTBOOL) {
		rv = take_bool(in, &b);
		out->at = b;
	} else {
		rv = take_int(in, &out->at);
	}
	out->set = rv == 0;
	return rv;
}

static int take_struct(struct in *in, const struct type *sub, void *obj)
{
	struct pack_item item;
	int rv = packin_expect(&in->pack, PACK_MAP, &item);

	return rv != 0 ? rv : take_object(in, sub, obj, item.n);
}

static int take_obj(struct in *in, const struct type *sub, void **out)
{
	void *obj = NULL;
	int rv = take_memory(in, sub->size, &obj);

	if (rv != 0) {
		return rv;
	}
	object_zero(sub, obj);
	*out = obj;
	return take_struct(in, sub, obj);
}

/* One value over its zero. */
static int take_value(struct in *in, uint8_t kind, const struct type *sub, void *v)
{
	switch (kind) {
	case KIND_BOOL:
		return take_bool(in, v);
	case KIND_NUM:
		return take_num(in, v);
	case KIND_STR:
		return take_str(in, v);
	case KIND_ANY:
		return take_any(in, v);
	case KIND_BYTES:
		return take_bytes(in, v);
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return take_opt(in, kind, v);
	case KIND_OBJ:
		return take_obj(in, sub, v);
	case VALUE_STRUCT:
		return take_struct(in, sub, v);
	default:
		return take_int(in, v);
	}
}

/* A key behind the one before it: maps are written sorted, so any other order is no message of ours. */
static int take_key(struct in *in, struct elems *e, uint32_t i)
{
	int rv = take_str(in, elem_key(e, i));

	return rv == 0 && i > 0 && strcmp(*elem_key(e, i - 1), *elem_key(e, i)) >= 0 ? ERR_TYPE : rv;
}

static int take_elems(struct in *in, struct elems *e, uint32_t n)
{
	int rv = take_memory(in, n * e->stride, (void **)&e->at);

	if (rv == 0 && e->shape->apart) {
		rv = take_memory(in, n * sizeof(*e->keys), (void **)&e->keys);
	}
	while (rv == 0 && e->n < n) {
		uint32_t i = e->n++;

		elem_init(e, i);
		if (e->shape->keyed) {
			rv = take_key(in, e, i);
		}
		if (rv == 0) {
			rv = take_value(in, e->shape->value, e->sub, elem_value(e, i));
		}
	}
	return rv;
}

static int take_row(struct in *in, const struct field *f, void *m)
{
	struct elems e = elems_of(f, m);
	struct pack_item item;
	int rv = packin_expect(&in->pack, e.shape->keyed ? PACK_MAP : PACK_ARRAY, &item);

	if (rv == 0 && item.n > 0) {
		rv = take_elems(in, &e, item.n);
		elems_put(&e, m);
	}
	return rv;
}

static int take_member(struct in *in, const struct type *t, void *obj, int64_t number)
{
	const struct field *f;

	if (number > t->n) {
		return packin_skip(&in->pack);
	}
	f = &t->fields[number - 1];
	if (kind_is_row(f->kind)) {
		return take_row(in, f, member_of(obj, f));
	}
	return take_value(in, f->kind, f->sub, member_of(obj, f));
}

/* The n members of an object that is zero. */
static int take_object(struct in *in, const struct type *t, void *obj, uint32_t n)
{
	int64_t last = 0;
	int rv = 0;

	if (in->pack.depth == PACK_DEPTH_MAX) {
		return ERR_SYNTAX;
	}
	in->pack.depth++;
	while (rv == 0 && n-- > 0) {
		struct pack_item number;

		rv = packin_expect(&in->pack, PACK_INT, &number);
		if (rv == 0 && number.i <= last) {
			rv = ERR_TYPE; /* They ascend, so none comes twice. */
		}
		if (rv == 0) {
			last = number.i;
			rv = take_member(in, t, obj, last);
		}
	}
	in->pack.depth--;
	return rv;
}

int pack_decode(const struct type *t, void *obj, const void *data, size_t len, struct arena *mem)
{
	struct in in = {.pack = {data, (const uint8_t *)data + len, 0}, .mem = mem};
	int rv;

	in.budget = len > SIZE_MAX / BUDGET_TIMES ? SIZE_MAX : len * BUDGET_TIMES;
	if (in.budget < BUDGET_FREE) {
		in.budget = BUDGET_FREE;
	}
	object_zero(t, obj);
	rv = take_struct(&in, t, obj);
	return rv == 0 && in.pack.p != in.pack.end ? ERR_SYNTAX : rv;
}
