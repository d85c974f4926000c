#include <stdio.h>
#include <stdlib.h>

#include "lib/timefmt.h"
#include "proto/jsonin.h"
#include "proto/walk.h"

static int take_object(struct jsonin *in, const struct type *t, void *obj);

static int take_bool(struct jsonin *in, bool *out)
{
	if (jsonin_word(in, "true")) {
		*out = true;
		return 0;
	}
	if (jsonin_word(in, "false")) {
		*out = false;
		return 0;
	}
	return jsonin_fail(in, ERR_TYPE, "must be true or false");
}

/* "1h30m", or a count of nanoseconds. */
static int take_dur(struct jsonin *in, int64_t *out)
{
	char tmp[JSON_TMP];
	const char *text;
	size_t len;
	int rv;

	if (jsonin_peek(in) != '"') {
		return jsonin_int(in, out);
	}
	rv = jsonin_peek_str(in, tmp, &text, &len);
	if (rv == 0 && !duration_parse(text, len, out)) {
		rv = jsonin_fail(in, ERR_TYPE, "must be a duration, like \"1m30s\"");
	}
	return rv;
}

static int take_time(struct jsonin *in, int64_t *out)
{
	char tmp[JSON_TMP];
	const char *text;
	size_t len;
	int rv = jsonin_peek_str(in, tmp, &text, &len);

	if (rv == 0 && !time_parse(text, len, out)) {
		rv = jsonin_fail(in, ERR_TYPE, "must be a time, like \"2006-01-02T15:04:05Z\"");
	}
	return rv;
}

static int take_bytes(struct jsonin *in, struct bytes *out)
{
	const char *text = NULL;
	char why[64];
	int64_t n;
	int rv = jsonin_str(in, &text);

	if (rv != 0) {
		return rv;
	}
	*out = (struct bytes){(const uint8_t *)text, 0}; /* Held, so that it is released with the object. */
	n = base64_decode((char *)(uintptr_t)text, strlen(text));
	if (n < 0) {
		snprintf(why, sizeof(why), "illegal base64 data at input byte %lld", (long long)(-1 - n));
		return jsonin_fail(in, ERR_TYPE, why);
	}
	out->n = (uint32_t)n;
	return 0;
}

static int take_opt(struct jsonin *in, uint8_t kind, struct opt *out)
{
	bool b = false;
	int rv;

	if (kind == KIND_OPTBOOL) {
		rv = take_bool(in, &b);
		out->at = b;
	} else {
		rv = kind == KIND_OPTDUR ? take_dur(in, &out->at) : jsonin_int(in, &out->at);
	}
	out->set = rv == 0;
	if (rv != 0) {
		out->at = 0;
	}
	return rv;
}

static int take_obj(struct jsonin *in, const struct type *sub, void **out)
{
	void *obj;

	/* Looked at before there is memory for it, so that its absence costs none. */
	if (jsonin_peek(in) != '{') {
		return jsonin_fail(in, ERR_TYPE, "must be an object");
	}
	obj = jsonin_alloc(in, sub->size);
	if (obj == NULL) {
		return jsonin_nomem(in);
	}
	object_init(sub, obj);
	*out = obj;
	return take_object(in, sub, obj);
}

/* One value that is not null, over a zero. */
static int take_value(struct jsonin *in, uint8_t kind, const struct type *sub, void *v)
{
	switch (kind) {
	case KIND_BOOL:
		return take_bool(in, v);
	case KIND_INT:
		return jsonin_int(in, v);
	case KIND_DUR:
		return take_dur(in, v);
	case KIND_NUM:
		return jsonin_num(in, v);
	case KIND_TIME:
		return take_time(in, v);
	case KIND_STR:
		return jsonin_str(in, v);
	case KIND_BYTES:
		return take_bytes(in, v);
	case KIND_ANY:
		return jsonin_any(in, v);
	case KIND_OBJ:
		return take_obj(in, sub, v);
	case VALUE_STRUCT:
		object_init(sub, v);
		return take_object(in, sub, v);
	default:
		return take_opt(in, kind, v);
	}
}

/* ---- rows ---- */

/* Room for an element behind the last, which then counts. */
static int add_elem(struct jsonin *in, struct elems *e)
{
	void *at = jsonin_grow(in, e->at, e->n, e->stride);

	if (at == NULL) {
		return jsonin_nomem(in);
	}
	e->at = at;
	if (e->shape->apart) {
		at = jsonin_grow(in, (void *)e->keys, e->n, sizeof(*e->keys));
		if (at == NULL) {
			return jsonin_nomem(in);
		}
		e->keys = at;
	}
	elem_init(e, e->n++);
	return 0;
}

static int take_elem(struct jsonin *in, struct elems *e)
{
	uint32_t i = e->n;
	int rv = add_elem(in, e);

	if (rv == 0 && e->shape->keyed) {
		rv = jsonin_peek(in) == '"' ? jsonin_str(in, elem_key(e, i))
					    : jsonin_fail(in, ERR_SYNTAX, "expected a name");
		if (rv == 0 && !jsonin_take(in, ':')) {
			rv = jsonin_fail(in, ERR_SYNTAX, "expected a colon");
		}
		if (rv != 0) {
			return rv;
		}
	}
	/* As in Go, null is the zero, but there is no such zero of a struct. */
	if (rv == 0 && !(e->shape->value != VALUE_STRUCT && jsonin_word(in, "null"))) {
		rv = take_value(in, e->shape->value, e->sub, elem_value(e, i));
		if (rv != 0) {
			fault_at(in->fault, NULL, e->shape->keyed ? *elem_key(e, i) : NULL, i);
		}
	}
	return rv;
}

struct place {
	const char *key;
	uint32_t at;
};

static int place_cmp(const void *a, const void *b)
{
	const struct place *p = a;
	const struct place *q = b;
	int c = strcmp(p->key, q->key);

	return c != 0 ? c : (p->at > q->at) - (p->at < q->at);
}

/* Move the elements into `to` in the order of places. Of doubles the last counts; the others are dropped. */
static void pick_elems(struct elems *e, const struct place *places, struct elems *to, bool release)
{
	uint32_t i;

	for (i = 0; i < e->n; i++) {
		uint32_t from = places[i].at;

		if (i + 1 < e->n && strcmp(places[i].key, places[i + 1].key) == 0) {
			if (release) {
				elem_free(e, from);
			}
			continue;
		}
		memcpy(to->at + to->n * e->stride, e->at + (size_t)from * e->stride, e->stride);
		if (e->shape->apart) {
			to->keys[to->n] = e->keys[from];
		}
		to->n++;
	}
}

/* Sort by key; the order of arrival decides among doubles. Only the place of an element changes, not its content. */
static int sort_elems(struct jsonin *in, struct elems *e)
{
	struct elems to = *e;
	struct place *places = malloc(e->n * sizeof(*places));
	uint32_t i;

	to.n = 0;
	to.at = malloc(e->n * e->stride);
	to.keys = e->shape->apart ? malloc(e->n * sizeof(*e->keys)) : NULL;
	if (places == NULL || to.at == NULL || (e->shape->apart && to.keys == NULL)) {
		free(places);
		free(to.at);
		free(to.keys);
		return jsonin_fail(in, ERR_NOMEM, "out of memory");
	}
	for (i = 0; i < e->n; i++) {
		places[i] = (struct place){*elem_key(e, i), i};
	}
	qsort(places, e->n, sizeof(*places), place_cmp);
	pick_elems(e, places, &to, in->mem == NULL);
	memcpy(e->at, to.at, to.n * e->stride);
	if (e->shape->apart) {
		memcpy(e->keys, to.keys, to.n * sizeof(*to.keys));
	}
	e->n = to.n;
	free(places);
	free(to.at);
	free(to.keys);
	return 0;
}

static bool keys_ascend(const struct elems *e)
{
	uint32_t i = 1;

	while (i < e->n && strcmp(*elem_key(e, i - 1), *elem_key(e, i)) < 0) {
		i++;
	}
	return i >= e->n;
}

static int take_row(struct jsonin *in, const struct field *f, void *m)
{
	struct elems e = elems_of(f, m);
	char open = e.shape->keyed ? '{' : '[';
	bool more = false;
	int rv = jsonin_open(in, open, &more);

	while (rv == 0 && more) {
		rv = take_elem(in, &e);
		if (rv == 0) {
			rv = jsonin_next(in, open, &more);
		}
	}
	if (rv == 0 && e.shape->keyed && !keys_ascend(&e)) {
		rv = sort_elems(in, &e);
	}
	elems_put(&e, m);
	return rv;
}

/* ---- objects ---- */

/* A member whose name is taken. Null leaves what is there; a value takes the place of an earlier one. */
static int take_member(struct jsonin *in, const struct field *f, void *m, bool again)
{
	int rv;

	if (jsonin_word(in, "null") || (f->blank && jsonin_word(in, "\"\""))) {
		return 0;
	}
	if (again) {
		if (in->mem == NULL) {
			member_free(f, m);
		}
		member_init(f, m);
	}
	rv = kind_is_row(f->kind) ? take_row(in, f, m) : take_value(in, f->kind, f->sub, m);
	if (rv != 0) {
		fault_at(in->fault, f->name, NULL, 0);
	} else if (f->brackets && f->kind == KIND_ANY && strcmp(*(char **)m, "{}") == 0) {
		/* That is how its absence is written. */
		if (in->mem == NULL) {
			member_free(f, m);
		}
		member_init(f, m);
	}
	return rv;
}

static int take_object(struct jsonin *in, const struct type *t, void *obj)
{
	uint64_t seen[2] = {0, 0};
	unsigned hint = 0;
	bool more = false;
	int rv = jsonin_open(in, '{', &more);

	while (rv == 0 && more) {
		char tmp[JSON_TMP];
		const struct field *f;
		const char *name;
		size_t len;

		rv = jsonin_name(in, tmp, &name, &len);
		if (rv != 0) {
			return rv;
		}
		f = field_find(t, name, len, &hint);
		if (f == NULL) {
			rv = jsonin_skip(in);
		} else {
			unsigned i = (unsigned)(f - t->fields);
			uint64_t bit = UINT64_C(1) << i % 64;

			rv = take_member(in, f, member_of(obj, f), (seen[i / 64] & bit) != 0);
			seen[i / 64] |= bit;
		}
		if (rv == 0) {
			rv = jsonin_next(in, '{', &more);
		}
	}
	return rv;
}

int json_decode(const struct type *t, void *obj, const char *text, size_t len, struct arena *mem, struct fault *fault)
{
	struct fault unread;
	struct jsonin in;
	int rv;

	jsonin_init(&in, text, len, mem, fault != NULL ? fault : &unread);
	object_init(t, obj);
	rv = take_object(&in, t, obj);
	if (rv == 0 && (jsonin_peek(&in) != '\0' || in.p != in.end)) {
		rv = jsonin_fail(&in, ERR_SYNTAX, "text after the end");
	}
	return rv;
}
