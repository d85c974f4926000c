#include "proto/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "proto/walk.h"

const char object_empty[1] = "";

#define PAIR(kind, type)                                                                                               \
	{                                                                                                              \
		kind, sizeof(struct type), offsetof(struct type, value), .keyed = true, .row = true                    \
	}
const struct row_shape row_shapes[VALUE_STRUCT] = {
	[KIND_STRS] = {KIND_STR, sizeof(char *), 0, .row = true},
	[KIND_INTS] = {KIND_INT, sizeof(int64_t), 0, .row = true},
	[KIND_MAP] = PAIR(KIND_STR, pair),
	[KIND_INTMAP] = PAIR(KIND_INT, int_pair),
	[KIND_NUMMAP] = PAIR(KIND_NUM, num_pair),
	[KIND_BOOLMAP] = PAIR(KIND_BOOL, bool_pair),
	[KIND_LIST] = {VALUE_STRUCT, 0, 0, .row = true},
	[KIND_OBJMAP] = {VALUE_STRUCT, 0, 0, .keyed = true, .apart = true, .row = true},
};
#undef PAIR

/* ---- init ---- */

static size_t value_size(uint8_t kind, const struct type *sub)
{
	switch (kind) {
	case KIND_BOOL:
		return sizeof(bool);
	case KIND_BYTES:
		return sizeof(struct bytes);
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return sizeof(struct opt);
	case KIND_OBJMAP:
		return sizeof(struct objmap);
	case VALUE_STRUCT:
		return sub->size;
	default:
		return kind_is_row(kind) ? sizeof(struct objs) : sizeof(int64_t);
	}
}

static void value_zero(uint8_t kind, const struct type *sub, void *v)
{
	if (kind == VALUE_STRUCT) {
		object_zero(sub, v);
	} else if (kind == KIND_STR || kind == KIND_ANY) {
		*(const char **)v = object_empty;
	} else {
		memset(v, 0, value_size(kind, sub));
	}
}

void elem_init(const struct elems *e, uint32_t i)
{
	memset(e->at + (size_t)i * e->stride, 0, e->stride);
	if (e->shape->keyed) {
		*elem_key(e, i) = object_empty;
	}
	value_zero(e->shape->value, e->sub, elem_value(e, i));
}

void object_zero(const struct type *t, void *obj)
{
	const struct field *f;

	memset(obj, 0, t->size);
	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->kind == KIND_STR || f->kind == KIND_ANY) {
			*(const char **)member_of(obj, f) = object_empty;
		}
	}
}

void member_init(const struct field *f, void *m)
{
	switch (f->kind) {
	case KIND_BOOL:
		*(bool *)m = f->dflt != 0;
		break;
	case KIND_NUM:
		*(double *)m = (double)f->dflt;
		break;
	case KIND_INT:
	case KIND_DUR:
		*(int64_t *)m = f->dflt;
		break;
	case KIND_STR:
	case KIND_ANY:
		*(const char **)m = str_default(f);
		break;
	default:
		value_zero(f->kind, f->sub, m);
	}
}

void object_init(const struct type *t, void *obj)
{
	const struct field *f;

	memset(obj, 0, t->size);
	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->kind <= KIND_NUM || f->kind == KIND_STR || f->kind == KIND_ANY) {
			member_init(f, member_of(obj, f));
		}
	}
}

bool str_given(const struct type *t, const void *obj, const char *const *member)
{
	size_t offset = (size_t)((const char *)member - (const char *)obj);
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->offset == offset) {
			return *member != str_default(f);
		}
	}
	return true;
}

/* ---- free ---- */

static void free_str(const char *s)
{
	if (s != object_empty) {
		free((char *)(uintptr_t)s);
	}
}

static void value_free(uint8_t kind, const struct type *sub, void *v)
{
	switch (kind) {
	case KIND_STR:
	case KIND_ANY:
		free_str(*(const char **)v);
		break;
	case KIND_BYTES:
		free((void *)(uintptr_t)((struct bytes *)v)->at);
		break;
	case KIND_OBJ:
		if (*(void **)v != NULL) {
			object_free(sub, *(void **)v);
			free(*(void **)v);
		}
		break;
	case VALUE_STRUCT:
		object_free(sub, v);
		break;
	default:
		break;
	}
}

void elem_free(const struct elems *e, uint32_t i)
{
	if (e->shape->keyed) {
		free_str(*elem_key(e, i));
	}
	value_free(e->shape->value, e->sub, elem_value(e, i));
}

void member_free(const struct field *f, void *m)
{
	if (kind_is_row(f->kind)) {
		struct elems e = elems_of(f, m);
		uint32_t i;

		for (i = 0; i < e.n; i++) {
			elem_free(&e, i);
		}
		free(e.at);
		free(e.keys);
	} else if ((f->kind != KIND_STR && f->kind != KIND_ANY) || *(const char **)m != str_default(f)) {
		value_free(f->kind, f->sub, m);
	}
}

void object_free(const struct type *t, void *obj)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		member_free(f, member_of(obj, f));
	}
}

/* ---- copy ---- */

static int copy_str(const char *from, const char **to, struct arena *mem)
{
	const char *s = *from == '\0' ? object_empty : arena_strdup(mem, from);

	*to = s != NULL ? s : object_empty;
	return s != NULL ? 0 : ERR_NOMEM;
}

static int copy_bytes(const struct bytes *from, struct bytes *to, struct arena *mem)
{
	char *at;

	if (from->n == 0) {
		return 0;
	}
	at = arena_strndup(mem, (const char *)from->at, from->n);
	if (at == NULL) {
		return ERR_NOMEM;
	}
	*to = (struct bytes){(const uint8_t *)at, from->n};
	return 0;
}

static int copy_obj(const struct type *sub, const void *from, void **to, struct arena *mem)
{
	void *obj;

	if (from == NULL) {
		return 0;
	}
	obj = arena_alloc(mem, sub->size);
	if (obj == NULL) {
		return ERR_NOMEM;
	}
	*to = obj;
	return object_copy(sub, obj, from, mem);
}

/* `to` holds its zero, and still does where nothing is copied. */
static int value_copy(uint8_t kind, const struct type *sub, const void *from, void *to, struct arena *mem)
{
	switch (kind) {
	case KIND_STR:
	case KIND_ANY:
		return copy_str(*(const char *const *)from, to, mem);
	case KIND_BYTES:
		return copy_bytes(from, to, mem);
	case KIND_OBJ:
		return copy_obj(sub, *(void *const *)from, to, mem);
	case VALUE_STRUCT:
		return object_copy(sub, to, from, mem);
	default:
		memcpy(to, from, value_size(kind, sub));
		return 0;
	}
}

static int elems_copy(const struct elems *a, struct elems *b, struct arena *mem)
{
	int rv = 0;

	if (a->n == 0) {
		return 0;
	}
	b->at = arena_alloc(mem, a->n * a->stride);
	if (b->at == NULL) {
		return ERR_NOMEM;
	}
	if (a->shape->apart) {
		b->keys = arena_alloc(mem, a->n * sizeof(*a->keys));
		if (b->keys == NULL) {
			return ERR_NOMEM;
		}
	}
	while (rv == 0 && b->n < a->n) {
		uint32_t i = b->n++;

		elem_init(b, i);
		if (a->shape->keyed) {
			rv = copy_str(*elem_key(a, i), elem_key(b, i), mem);
		}
		if (rv == 0) {
			rv = value_copy(a->shape->value, a->sub, elem_value(a, i), elem_value(b, i), mem);
		}
	}
	return rv;
}

static int member_copy(const struct field *f, const void *from, void *to, struct arena *mem)
{
	if (kind_is_row(f->kind)) {
		struct elems a = elems_of(f, from);
		struct elems b = elems_of(f, to);
		int rv = elems_copy(&a, &b, mem);

		elems_put(&b, to);
		return rv;
	}
	if ((f->kind == KIND_STR || f->kind == KIND_ANY) && *(const char *const *)from == str_default(f)) {
		*(const char **)to = str_default(f);
		return 0;
	}
	return value_copy(f->kind, f->sub, from, to, mem);
}

int object_copy(const struct type *t, void *to, const void *from, struct arena *mem)
{
	const struct field *f;
	int rv = 0;

	object_zero(t, to);
	for (f = t->fields; rv == 0 && f < t->fields + t->n; f++) {
		rv = member_copy(f, const_member(from, f), member_of(to, f), mem);
	}
	return rv;
}

/* ---- equal ---- */

static bool equal(const struct type *t, const void *a, const void *b, bool spec);

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->at, b->at, a->n) == 0);
}

static bool opt_equal(const struct opt *a, const struct opt *b)
{
	return a->set == b->set && (!a->set || a->at == b->at);
}

static bool obj_equal(const struct type *sub, const void *a, const void *b, bool spec)
{
	return a == b || (a != NULL && b != NULL && equal(sub, a, b, spec));
}

static bool value_equal(uint8_t kind, const struct type *sub, const void *a, const void *b, bool spec)
{
	switch (kind) {
	case KIND_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case KIND_NUM: /* Both zeros are one. */
		return *(const double *)a <= *(const double *)b && *(const double *)a >= *(const double *)b;
	case KIND_STR:
	case KIND_ANY:
		return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
	case KIND_BYTES:
		return bytes_equal(a, b);
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return opt_equal(a, b);
	case KIND_OBJ:
		return obj_equal(sub, *(void *const *)a, *(void *const *)b, spec);
	case VALUE_STRUCT:
		return equal(sub, a, b, spec);
	default:
		return *(const int64_t *)a == *(const int64_t *)b;
	}
}

static bool elems_equal(const struct elems *a, const struct elems *b, bool spec)
{
	uint32_t i;

	if (a->n != b->n) {
		return false;
	}
	for (i = 0; i < a->n; i++) {
		if ((a->shape->keyed && strcmp(*elem_key(a, i), *elem_key(b, i)) != 0) ||
		    !value_equal(a->shape->value, a->sub, elem_value(a, i), elem_value(b, i), spec)) {
			return false;
		}
	}
	return true;
}

static bool member_equal(const struct field *f, const void *a, const void *b, bool spec)
{
	if (kind_is_row(f->kind)) {
		struct elems p = elems_of(f, a);
		struct elems q = elems_of(f, b);

		return elems_equal(&p, &q, spec);
	}
	return value_equal(f->kind, f->sub, a, b, spec);
}

static bool equal(const struct type *t, const void *a, const void *b, bool spec)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (!(spec && f->server) && !member_equal(f, const_member(a, f), const_member(b, f), spec)) {
			return false;
		}
	}
	return true;
}

bool object_equal(const struct type *t, const void *a, const void *b)
{
	return equal(t, a, b, false);
}

bool object_equal_spec(const struct type *t, const void *a, const void *b)
{
	return equal(t, a, b, true);
}

bool member_empty(const struct field *f, const void *m)
{
	switch (f->kind) {
	case KIND_BOOL:
		return !*(const bool *)m;
	case KIND_NUM:
		return !(*(const double *)m < 0 || *(const double *)m > 0);
	case KIND_STR:
	case KIND_ANY:
		return **(const char *const *)m == '\0';
	case KIND_BYTES:
		return ((const struct bytes *)m)->n == 0;
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return !((const struct opt *)m)->set;
	case KIND_OBJ:
		return *(void *const *)m == NULL;
	case KIND_OBJMAP:
		return ((const struct objmap *)m)->n == 0;
	default:
		return kind_is_row(f->kind) ? ((const struct objs *)m)->n == 0 : *(const int64_t *)m == 0;
	}
}

/* ---- valid ---- */

void fault_at(struct fault *f, const char *name, const char *key, uint32_t index)
{
	const char *dot = f->path[0] == '\0' || f->path[0] == '[' ? "" : ".";
	char was[sizeof(f->path)];

	memcpy(was, f->path, sizeof(was));
	if (name != NULL) {
		snprintf(f->path, sizeof(f->path), "%.60s%s%.128s", name, dot, was);
	} else if (key != NULL) {
		snprintf(f->path, sizeof(f->path), "[%.60s]%s%.128s", key, dot, was);
	} else {
		snprintf(f->path, sizeof(f->path), "[%" PRIu32 "]%s%.160s", index, dot, was);
	}
}

static bool in_limits(const struct field *f, int64_t v, struct fault *fault)
{
	if (v >= f->min && v <= f->max) {
		return true;
	}
	if (f->max == INT64_MAX) {
		snprintf(fault->why, sizeof(fault->why), "must be at least %" PRId64, f->min);
	} else {
		snprintf(fault->why, sizeof(fault->why), "must be %" PRId64 " to %" PRId64, f->min, f->max);
	}
	return false;
}

static bool elems_valid(const struct elems *e, struct fault *fault)
{
	uint32_t i;

	if (e->shape->value != VALUE_STRUCT) {
		return true;
	}
	for (i = 0; i < e->n; i++) {
		if (!object_valid(e->sub, elem_value(e, i), fault)) {
			fault_at(fault, NULL, e->shape->keyed ? *elem_key(e, i) : NULL, i);
			return false;
		}
	}
	return true;
}

static bool member_valid(const struct field *f, const void *m, struct fault *fault)
{
	if (f->required && member_empty(f, m)) {
		snprintf(fault->why, sizeof(fault->why), "is required");
		return false;
	}
	switch (f->kind) {
	case KIND_INT:
	case KIND_DUR:
		return f->min == f->max || in_limits(f, *(const int64_t *)m, fault);
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return f->min == f->max || !((const struct opt *)m)->set ||
		       in_limits(f, ((const struct opt *)m)->at, fault);
	case KIND_OBJ:
		return *(void *const *)m == NULL || object_valid(f->sub, *(void *const *)m, fault);
	case KIND_LIST:
	case KIND_OBJMAP: {
		struct elems e = elems_of(f, m);

		return elems_valid(&e, fault);
	}
	default:
		return true;
	}
}

bool object_valid(const struct type *t, const void *obj, struct fault *fault)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		fault->path[0] = '\0';
		if (!member_valid(f, const_member(obj, f), fault)) {
			fault_at(fault, f->name, NULL, 0);
			return false;
		}
	}
	return true;
}

/* ---- the rest ---- */

void object_hide_secrets(const struct type *t, void *obj)
{
	const struct field *f;
	uint32_t i;

	for (f = t->fields; f < t->fields + t->n; f++) {
		void *m = member_of(obj, f);

		if (f->secret) {
			value_zero(f->kind, f->sub, m);
		} else if (f->kind == KIND_OBJ && *(void **)m != NULL) {
			object_hide_secrets(f->sub, *(void **)m);
		} else if (f->kind == KIND_LIST || f->kind == KIND_OBJMAP) {
			struct elems e = elems_of(f, m);

			for (i = 0; i < e.n; i++) {
				object_hide_secrets(f->sub, elem_value(&e, i));
			}
		}
	}
}

const struct field *field_find(const struct type *t, const char *name, size_t len, unsigned *hint)
{
	const struct field *f = &t->fields[*hint];

	if (*hint < t->n && f->name_len == len && memcmp(f->name, name, len) == 0) {
		++*hint;
		return f;
	}
	f = object_field(t, name, len);
	if (f != NULL) {
		*hint = (unsigned)(f - t->fields) + 1;
	}
	return f;
}

const struct field *object_field(const struct type *t, const char *name, size_t len)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->name_len == len && memcmp(f->name, name, len) == 0) {
			return f;
		}
	}
	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->name_len == len && strncasecmp(f->name, name, len) == 0) {
			return f;
		}
	}
	return NULL;
}
