#include "proto/hcl_decode.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/timefmt.h"
#include "proto/error.h"

/* The way from the outermost object to a member, for messages. */
struct path {
	const struct path *outer;
	const char *name;
	const char *label; /* NULL for none. */
};

struct decode {
	const struct hcl_scope *scope;
	struct arena *mem;
	struct hcl_report *report;
	size_t limit; /* Of mem->total. */
	bool nomem;
};

static void decode_body(struct decode *d, const struct type *t, void *obj, const struct hcl_body *body,
			const struct path *path);

/* ---- the report ---- */

static struct hcl_note *add_note(struct hcl_report *r, bool error)
{
	struct hcl_note *note = NULL;

	if (error) {
		r->errors++;
	} else {
		r->warnings++;
	}
	if (r->n < HCL_MAX_NOTES) {
		note = arena_calloc(r->mem, 1, sizeof(*note));
	}
	if (note != NULL) {
		note->error = error;
		note->file = r->file;
		*(r->first != NULL ? &r->last->next : &r->first) = note;
		r->last = note;
		r->n++;
	}
	return note;
}

static const char *format_text(struct arena *mem, const char *format, va_list args)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	return arena_strdup(mem, text);
}

void hcl_report_add(struct hcl_report *r, bool error, struct hcl_pos pos, const char *format, ...)
{
	struct hcl_note *note = add_note(r, error);
	va_list args;

	if (note != NULL) {
		note->pos = pos;
		va_start(args, format);
		note->text = format_text(r->mem, format, args);
		va_end(args);
	}
}

const struct hcl_place *hcl_report_place(const struct hcl_report *r, const char *path)
{
	const struct hcl_place *place = r->places;

	while (place != NULL && strcmp(place->path, path) != 0) {
		place = place->next;
	}
	return place;
}

void hcl_report_about(struct hcl_report *r, bool error, const char *path, const char *format, ...)
{
	struct hcl_note *note = add_note(r, error);
	const struct hcl_place *place = hcl_report_place(r, path);
	va_list args;

	if (note == NULL) {
		return;
	}
	note->file = place != NULL ? place->file : NULL;
	note->pos = place != NULL ? place->pos : (struct hcl_pos){0, 0};
	va_start(args, format);
	note->text = format_text(r->mem, format, args);
	va_end(args);
}

void hcl_report_print(const struct hcl_report *r, struct buf *out)
{
	const struct hcl_note *note;
	unsigned more = r->errors + r->warnings - r->n;

	for (note = r->first; note != NULL; note = note->next) {
		if (note->file != NULL && note->pos.line > 0) {
			buf_printf(out, "%s:%u,%u: ", note->file, note->pos.line, note->pos.column);
		} else if (note->file != NULL) {
			buf_printf(out, "%s: ", note->file);
		}
		buf_printf(out, "%s: %s\n", note->error ? "error" : "warning", note->text != NULL ? note->text : "");
	}
	if (more > 0) {
		buf_printf(out, "and %u more\n", more);
	}
}

static void put_path(const struct path *path, struct buf *out)
{
	if (path == NULL) {
		return;
	}
	put_path(path->outer, out);
	buf_printf(out, out->len > 0 ? ".%s" : "%s", path->name);
	if (path->label != NULL) {
		buf_printf(out, ".%s", path->label);
	}
}

/* A note that begins with the path. */
static void note(struct decode *d, bool error, struct hcl_pos pos, const struct path *path, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void note(struct decode *d, bool error, struct hcl_pos pos, const struct path *path, const char *format, ...)
{
	struct buf text = {0};
	va_list args;

	put_path(path, &text);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	hcl_report_add(d->report, error, pos, "%s", buf_text(&text));
	buf_close(&text);
}

static void remember_place(struct decode *d, const struct path *path, struct hcl_pos pos)
{
	struct hcl_report *r = d->report;
	struct hcl_place *place = arena_alloc(r->mem, sizeof(*place));
	struct buf text = {0};
	const char *copy;

	put_path(path, &text);
	copy = text.failed ? NULL : arena_strndup(r->mem, text.at, text.len);
	buf_close(&text);
	if (place == NULL || copy == NULL) {
		d->nomem = true;
		return;
	}
	*place = (struct hcl_place){.next = r->places, .path = copy, .file = r->file, .pos = pos};
	r->places = place;
}

/* ---- scalars ---- */

bool hcl_size_parse(const char *text, int64_t *bytes)
{
	static const char prefixes[] = "kmgtp";
	size_t len = hcl_number_len(text);
	struct hcl_number n;
	double value;
	const char *unit = text + len;
	const char *prefix;
	double base = 1000;

	if (len == 0 || !hcl_number_parse(text, len, &n)) {
		return false;
	}
	unit += strspn(unit, " ");
	value = n.num;
	prefix = *unit != '\0' ? strchr(prefixes, *unit | 0x20) : NULL;
	if (prefix != NULL) {
		unit++;
		if (*unit == 'i') {
			base = 1024;
			unit++;
		}
		for (; prefix >= prefixes; prefix--) {
			value *= base;
		}
	}
	if (*unit == 'b' || *unit == 'B') {
		unit++;
	}
	if (*unit != '\0' || value >= 9.2e18) {
		return false;
	}
	*bytes = (int64_t)value;
	return true;
}

/* Strings of the object are its own: the tree may go before it. */
static int copy_string(struct decode *d, const char *s, const char **out)
{
	const char *copy = arena_strdup(d->mem, s);

	if (copy == NULL) {
		return ERR_NOMEM;
	}
	*out = copy;
	return 0;
}

static int get_int(const struct hcl_value *from, int64_t *out)
{
	struct hcl_value v = *from;

	if (hcl_to_number(&v) != 0 || !v.number.exact) {
		return ERR_TYPE;
	}
	*out = v.number.integer;
	return 0;
}

static int get_dur(const struct hcl_value *from, int64_t *out)
{
	if (from->kind == HCL_STRING) {
		return duration_parse(from->string, strlen(from->string), out) ? 0 : ERR_TYPE;
	}
	return get_int(from, out);
}

static int get_bool(const struct hcl_value *from, bool *out)
{
	struct hcl_value v = *from;

	if (hcl_to_bool(&v) != 0) {
		return ERR_TYPE;
	}
	*out = v.boolean;
	return 0;
}

static int get_num(const struct hcl_value *from, double *out)
{
	struct hcl_value v = *from;

	if (hcl_to_number(&v) != 0) {
		return ERR_TYPE;
	}
	*out = v.number.num;
	return 0;
}

static int get_str(struct decode *d, const struct hcl_value *from, const char **out)
{
	struct hcl_value v = *from;
	int rv = hcl_to_string(&v, d->mem);

	return rv == 0 ? copy_string(d, v.string, out) : rv;
}

static int set_opt(struct opt *m, int rv, int64_t value)
{
	if (rv == 0) {
		*m = (struct opt){.at = value, .set = true};
	}
	return rv;
}

static int set_bool(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	(void)d;
	(void)f;
	return get_bool(v, m);
}

static int set_int(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	(void)d;
	(void)f;
	return get_int(v, m);
}

static int set_dur(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	(void)d;
	(void)f;
	return get_dur(v, m);
}

static int set_num(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	(void)d;
	(void)f;
	return get_num(v, m);
}

static int set_time(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	(void)d;
	(void)f;
	return v->kind == HCL_STRING && time_parse(v->string, strlen(v->string), m) ? 0 : ERR_TYPE;
}

static int set_str(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	(void)f;
	return get_str(d, v, m);
}

/* The text's own bytes: base64 is for JSON, which has no other way. */
static int set_bytes(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	struct bytes *bytes = m;
	const char *copy;
	int rv = v->kind == HCL_STRING ? copy_string(d, v->string, &copy) : ERR_TYPE;

	(void)f;
	if (rv == 0) {
		*bytes = (struct bytes){.at = (const uint8_t *)copy, .n = (uint32_t)strlen(copy)};
	}
	return rv;
}

static int set_any(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	struct buf text = {0};
	int rv;

	(void)f;
	hcl_value_json(v, &text);
	rv = text.failed ? ERR_NOMEM : copy_string(d, buf_text(&text), m);
	buf_close(&text);
	return rv;
}

static int set_optbool(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	bool value = false;
	int rv = get_bool(v, &value);

	(void)d;
	(void)f;
	return set_opt(m, rv, value);
}

static int set_optint(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	int64_t value = 0;
	int rv = get_int(v, &value);

	(void)d;
	(void)f;
	return set_opt(m, rv, value);
}

static int set_optdur(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	int64_t value = 0;
	int rv = get_dur(v, &value);

	(void)d;
	(void)f;
	return set_opt(m, rv, value);
}

/* ---- lists and maps of scalars ---- */

static int set_strs(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	struct strs *strs = m;
	const char **at;
	uint32_t i;
	int rv = 0;

	(void)f;
	if (v->kind != HCL_LIST) {
		return ERR_TYPE;
	}
	at = arena_calloc(d->mem, (size_t)strs->n + v->list.n, sizeof(*at));
	if (at == NULL) {
		return ERR_NOMEM;
	}
	if (strs->n > 0) {
		memcpy(at, strs->at, strs->n * sizeof(*at));
	}
	for (i = 0; i < v->list.n && rv == 0; i++) {
		rv = get_str(d, &v->list.at[i], &at[strs->n + i]);
	}
	if (rv == 0) {
		*strs = (struct strs){.at = at, .n = strs->n + v->list.n};
	}
	return rv;
}

static int set_ints(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)
{
	struct ints *ints = m;
	int64_t *at;
	uint32_t i;
	int rv = 0;

	(void)f;
	if (v->kind != HCL_LIST) {
		return ERR_TYPE;
	}
	at = arena_calloc(d->mem, (size_t)ints->n + v->list.n, sizeof(*at));
	if (at == NULL) {
		return ERR_NOMEM;
	}
	if (ints->n > 0) {
		memcpy(at, ints->at, ints->n * sizeof(*at));
	}
	for (i = 0; i < v->list.n && rv == 0; i++) {
		rv = get_int(&v->list.at[i], &at[ints->n + i]);
	}
	if (rv == 0) {
		*ints = (struct ints){.at = at, .n = ints->n + v->list.n};
	}
	return rv;
}

/* All maps are arrays of pairs that begin with their key; this is how they look when the value does not matter. */
struct any_map {
	char *at;
	uint32_t n;
};

typedef int (*set_value_fn)(struct decode *d, const struct hcl_value *v, void *pair);

static const char *key_at(const char *at, size_t size, uint32_t i)
{
	const char *key;

	memcpy(&key, at + i * size, sizeof(key));
	return key;
}

/* Both are sorted by key: the members of the object are merged into a new array of pairs. */
static int merge_map(struct decode *d, struct any_map *map, size_t size, const struct hcl_value *v, set_value_fn set)
{
	char *at;
	uint32_t n = 0;
	uint32_t i = 0;
	uint32_t j = 0;
	int rv = 0;

	if (v->kind != HCL_OBJECT) {
		return ERR_TYPE;
	}
	at = arena_calloc(d->mem, (size_t)map->n + v->object.n, size);
	if (at == NULL) {
		return ERR_NOMEM;
	}
	while (rv == 0 && (i < map->n || j < v->object.n)) {
		const struct hcl_member *member = &v->object.at[j];
		int order = i == map->n ? 1 : j == v->object.n ? -1 : strcmp(key_at(map->at, size, i), member->key);

		if (order < 0) {
			memcpy(at + n++ * size, map->at + i++ * size, size);
			continue;
		}
		i += order == 0;
		j++;
		if (member->value.kind == HCL_NULL) {
			continue; /* Null takes a key away. */
		}
		rv = copy_string(d, member->key, (const char **)(void *)(at + n * size));
		rv = rv == 0 ? set(d, &member->value, at + n * size) : rv;
		n++;
	}
	if (rv == 0) {
		*map = (struct any_map){.at = at, .n = n};
	}
	return rv;
}

static int pair_str(struct decode *d, const struct hcl_value *v, void *pair)
{
	return get_str(d, v, &((struct pair *)pair)->value);
}

static int pair_int(struct decode *d, const struct hcl_value *v, void *pair)
{
	(void)d;
	return get_int(v, &((struct int_pair *)pair)->value);
}

static int pair_num(struct decode *d, const struct hcl_value *v, void *pair)
{
	(void)d;
	return get_num(v, &((struct num_pair *)pair)->value);
}

static int pair_bool(struct decode *d, const struct hcl_value *v, void *pair)
{
	(void)d;
	return get_bool(v, &((struct bool_pair *)pair)->value);
}

#define SET_MAP(name, type, pair_type, set)                                                                            \
	static int set_##name(struct decode *d, const struct field *f, void *m, const struct hcl_value *v)             \
	{                                                                                                              \
		struct type *map = m;                                                                                  \
		struct any_map any = {.at = (char *)map->at, .n = map->n};                                             \
		int rv = merge_map(d, &any, sizeof(struct pair_type), v, set);                                         \
                                                                                                                       \
		(void)f;                                                                                               \
		*map = (struct type){.at = (struct pair_type *)(void *)any.at, .n = any.n};                            \
		return rv;                                                                                             \
	}

SET_MAP(map, map, pair, pair_str)
SET_MAP(intmap, intmap, int_pair, pair_int)
SET_MAP(nummap, nummap, num_pair, pair_num)
SET_MAP(boolmap, boolmap, bool_pair, pair_bool)

/* ---- one row per kind ---- */

typedef int (*set_fn)(struct decode *d, const struct field *f, void *m, const struct hcl_value *v);

static const struct {
	set_fn set;        /* NULL for what is made of blocks. */
	bool from_block;   /* A block will do for an object. */
	const char *wants; /* "must be ..." */
} kinds[] = {
	[KIND_BOOL] = {set_bool, false, "true or false"},
	[KIND_INT] = {set_int, false, "a whole number"},
	[KIND_DUR] = {set_dur, false, "a duration such as \"30s\""},
	[KIND_NUM] = {set_num, false, "a number"},
	[KIND_TIME] = {set_time, false, "a time such as \"2026-01-31T12:00:00Z\""},
	[KIND_STR] = {set_str, false, "a string"},
	[KIND_BYTES] = {set_bytes, false, "a string"},
	[KIND_ANY] = {set_any, true, "a value"},
	[KIND_OPTBOOL] = {set_optbool, false, "true or false"},
	[KIND_OPTINT] = {set_optint, false, "a whole number"},
	[KIND_OPTDUR] = {set_optdur, false, "a duration such as \"30s\""},
	[KIND_STRS] = {set_strs, false, "a list of strings"},
	[KIND_INTS] = {set_ints, false, "a list of whole numbers"},
	[KIND_MAP] = {set_map, true, "an object of strings"},
	[KIND_INTMAP] = {set_intmap, true, "an object of whole numbers"},
	[KIND_NUMMAP] = {set_nummap, true, "an object of numbers"},
	[KIND_BOOLMAP] = {set_boolmap, true, "an object of true and false"},
	[KIND_OBJ] = {NULL, true, "a block"},
	[KIND_LIST] = {NULL, true, "a block"},
	[KIND_OBJMAP] = {NULL, true, "a block"},
};

/* ---- values of attributes and blocks ---- */

static bool eval_expr(struct decode *d, const struct hcl_expr *e, const struct path *path, struct hcl_value *out)
{
	struct hcl_error error;
	int rv;

	if (d->mem->total > d->limit) {
		note(d, true, e->pos, path, ": the whole makes too large an object");
		return false;
	}
	rv = hcl_eval(e, d->scope, d->mem, out, &error);
	if (rv == ERR_NOMEM) {
		d->nomem = true;
	} else if (rv != 0) {
		note(d, true, error.pos, path, ": %s", error.text);
	}
	return rv == 0;
}

/* A block as a value: its attributes, and under the name of each kind of block a list of their values. */
static bool body_value(struct decode *d, const struct hcl_body *body, const struct path *path, struct hcl_value *out);

/* The labels of a block become objects around its value, the first one outermost. */
static bool block_value(struct decode *d, const struct hcl_item *item, const struct path *path, struct hcl_value *out)
{
	uint32_t i;

	if (!body_value(d, item->body, path, out)) {
		return false;
	}
	for (i = item->n_labels; i > 0; i--) {
		struct hcl_member *member = arena_calloc(d->mem, 1, sizeof(*member));

		if (member == NULL) {
			d->nomem = true;
			return false;
		}
		*member = (struct hcl_member){.key = item->labels[i - 1], .value = *out};
		*out = (struct hcl_value){.kind = HCL_OBJECT, .object = {.at = member, .n = 1}};
	}
	return true;
}

/* The items of a body, sorted by name; those of one name as they stand in the text. */
struct sorted_item {
	const struct hcl_item *item;
	uint32_t order;
};

static int compare_items(const void *a, const void *b)
{
	const struct sorted_item *p = a;
	const struct sorted_item *q = b;
	int order = strcmp(p->item->name, q->item->name);

	return order != 0 ? order : p->order < q->order ? -1 : p->order > q->order;
}

static struct sorted_item *sort_items(struct decode *d, const struct hcl_body *body)
{
	struct sorted_item *at = arena_calloc(d->mem, body->n, sizeof(*at));
	const struct hcl_item *item;
	uint32_t n = 0;

	if (at == NULL) {
		d->nomem = true;
		return NULL;
	}
	for (item = body->first; item != NULL; item = item->next) {
		assert(n < body->n);
		at[n] = (struct sorted_item){item, n};
		n++;
	}
	qsort(at, n, sizeof(*at), compare_items);
	return at;
}

/* The list of the values of n blocks. */
static bool blocks_value(struct decode *d, const struct sorted_item *items, uint32_t n, const struct path *path,
			 struct hcl_value *out)
{
	struct hcl_value *at = arena_calloc(d->mem, n, sizeof(*at));
	uint32_t i;

	if (at == NULL) {
		d->nomem = true;
		return false;
	}
	for (i = 0; i < n; i++) {
		if (!block_value(d, items[i].item, path, &at[i])) {
			return false;
		}
	}
	*out = (struct hcl_value){.kind = HCL_LIST, .list = {.at = at, .n = n}};
	return true;
}

/* The value of n items of one name: one attribute, or blocks. */
static bool items_value(struct decode *d, const struct sorted_item *items, uint32_t n, const struct path *path,
			struct hcl_value *out)
{
	uint32_t i;

	for (i = 1; i < n; i++) {
		if (items[i].item->value != NULL || items[0].item->value != NULL) {
			note(d, true, items[i].item->pos, path, " is given twice");
			return false;
		}
	}
	return items[0].item->value != NULL ? eval_expr(d, items[0].item->value, path, out)
					    : blocks_value(d, items, n, path, out);
}

static bool body_value(struct decode *d, const struct hcl_body *body, const struct path *outer, struct hcl_value *out)
{
	struct sorted_item *items;
	struct hcl_member *members;
	uint32_t n = 0;
	uint32_t i;
	uint32_t end;

	if (body->n > HCL_MAX_ELEMENTS) {
		note(d, true, body->pos, outer, " has more than %d members", HCL_MAX_ELEMENTS);
		return false;
	}
	items = sort_items(d, body);
	members = arena_calloc(d->mem, body->n, sizeof(*members));
	if (items == NULL || members == NULL) {
		d->nomem = true;
		return false;
	}
	for (i = 0; i < body->n; i = end) {
		struct path path = {.outer = outer, .name = items[i].item->name};

		for (end = i + 1; end < body->n && strcmp(items[end].item->name, path.name) == 0; end++) {
		}
		members[n].key = path.name;
		if (!items_value(d, &items[i], end - i, &path, &members[n++].value)) {
			return false;
		}
	}
	*out = (struct hcl_value){.kind = HCL_OBJECT, .object = {.at = members, .n = n}};
	return true;
}

/* ---- setting members ---- */

static bool in_range(const struct field *f, const void *m)
{
	const struct opt *opt = m;
	int64_t value;

	if (f->min == f->max) {
		return true;
	}
	if (f->kind == KIND_OPTINT || f->kind == KIND_OPTDUR) {
		value = opt->at;
	} else if (f->kind == KIND_INT || f->kind == KIND_DUR) {
		value = *(const int64_t *)m;
	} else {
		return true;
	}
	return value >= f->min && value <= f->max;
}

static void note_range(struct decode *d, const struct field *f, struct hcl_pos pos, const struct path *path)
{
	bool duration = f->kind == KIND_DUR || f->kind == KIND_OPTDUR;
	char least[DURATION_TEXT];
	char most[DURATION_TEXT];

	if (duration) {
		duration_format(f->min, least);
		duration_format(f->max, most);
	} else {
		snprintf(least, sizeof(least), "%lld", (long long)f->min);
		snprintf(most, sizeof(most), "%lld", (long long)f->max);
	}
	if (f->max == INT64_MAX) {
		note(d, true, pos, path, " must be at least %s", least);
	} else {
		note(d, true, pos, path, " must be %s to %s", least, most);
	}
}

static bool item_value(struct decode *d, const struct hcl_item *item, const struct path *path, struct hcl_value *out)
{
	return item->value != NULL ? eval_expr(d, item->value, path, out) : block_value(d, item, path, out);
}

/* HCL1's form of an object in JSON is a list with that object in it. */
static void unwrap_list(const struct field *f, struct hcl_value *v)
{
	if (kinds[f->kind].from_block && f->kind != KIND_ANY && v->kind == HCL_LIST && v->list.n == 1) {
		*v = v->list.at[0];
	}
}

static void set_scalar(struct decode *d, const struct field *f, void *m, const struct hcl_item *item,
		       const struct path *path)
{
	struct hcl_pos pos = item->value != NULL ? item->value->pos : item->pos;
	struct hcl_value v;
	int rv;

	if (item->body != NULL && !kinds[f->kind].from_block) {
		note(d, true, item->pos, path, " must be %s, not a block", kinds[f->kind].wants);
		return;
	}
	if (!item_value(d, item, path, &v) || v.kind == HCL_NULL) {
		return;
	}
	unwrap_list(f, &v);
	rv = kinds[f->kind].set(d, f, m, &v);
	if (rv == ERR_NOMEM) {
		d->nomem = true;
	} else if (rv != 0 && v.kind == HCL_STRING) {
		note(d, true, pos, path, " must be %s, not \"%.80s\"", kinds[f->kind].wants, v.string);
	} else if (rv != 0) {
		note(d, true, pos, path, " must be %s, not %s", kinds[f->kind].wants, hcl_kind_text(v.kind));
	} else if (!in_range(f, m)) {
		note_range(d, f, pos, path);
	} else {
		remember_place(d, path, pos);
	}
}

/* ---- objects of blocks ---- */

static const struct field *label_field(const struct type *t)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (f->label) {
			return f;
		}
	}
	return NULL;
}

static const char **label_of(const struct field *label, void *element)
{
	return (const char **)(void *)((char *)element + label->offset);
}

/* The members of a list or an OBJMAP of structs. */
struct elements {
	const struct field *f;
	const struct type *t;
	const struct field *label; /* NULL if the struct has none. */
	const char ***keys;        /* An OBJMAP's; NULL for lists. */
	void **at;
	uint32_t *n;
	uint32_t cap;
};

static struct elements elements_of(const struct field *f, void *m)
{
	struct elements list = {.f = f, .t = f->sub, .label = label_field(f->sub)};

	if (f->kind == KIND_OBJMAP) {
		struct objmap *map = m;

		list.keys = &map->keys;
		list.at = &map->at;
		list.n = &map->n;
	} else {
		struct objs *objs = m;

		list.at = &objs->at;
		list.n = &objs->n;
	}
	return list;
}

static void *element_at(const struct elements *list, uint32_t i)
{
	return (char *)*list->at + (size_t)i * list->t->size;
}

static const char *element_label(const struct elements *list, uint32_t i)
{
	return list->keys != NULL ? (*list->keys)[i] : *label_of(list->label, element_at(list, i));
}

/* Room for `more` elements. */
static bool reserve(struct decode *d, struct elements *list, uint32_t more)
{
	uint32_t cap = *list->n + more;
	void *at = arena_calloc(d->mem, cap, list->t->size);
	const char **keys = list->keys != NULL ? arena_calloc(d->mem, cap, sizeof(*keys)) : NULL;

	if (at == NULL || (list->keys != NULL && keys == NULL)) {
		d->nomem = true;
		return false;
	}
	if (*list->n > 0) {
		memcpy(at, *list->at, (size_t)*list->n * list->t->size);
		if (keys != NULL) {
			memcpy(keys, *list->keys, *list->n * sizeof(*keys));
		}
	}
	*list->at = at;
	if (keys != NULL) {
		*list->keys = keys;
	}
	list->cap = cap;
	return true;
}

/* A new element; OBJMAPs stay sorted. */
static void *add_element(struct decode *d, struct elements *list, const char *label)
{
	const char *copy = "";
	uint32_t i = *list->n;

	assert(*list->n < list->cap);
	if (label != NULL && copy_string(d, label, &copy) != 0) {
		d->nomem = true;
		return NULL;
	}
	if (list->keys != NULL) {
		for (; i > 0 && strcmp((*list->keys)[i - 1], label) > 0; i--) {
			(*list->keys)[i] = (*list->keys)[i - 1];
		}
		(*list->keys)[i] = copy;
		memmove((char *)*list->at + (size_t)(i + 1) * list->t->size, element_at(list, i),
			(size_t)(*list->n - i) * list->t->size);
	}
	(*list->n)++;
	object_init(list->t, element_at(list, i));
	if (list->label != NULL && label != NULL) {
		*label_of(list->label, element_at(list, i)) = copy;
	}
	return element_at(list, i);
}

/* The element that a block is laid over: a new one, or the one with its label. */
static void *take_element(struct decode *d, struct elements *list, const char *label, struct hcl_pos pos,
			  const struct path *path)
{
	uint32_t i;

	for (i = 0; label != NULL && i < *list->n; i++) {
		if (strcmp(element_label(list, i), label) == 0) {
			if (d->report->strict) {
				note(d, true, pos, path, " is given twice");
				return NULL;
			}
			return element_at(list, i);
		}
	}
	return add_element(d, list, label);
}

static void set_element(struct decode *d, struct elements *list, const char *label, const struct hcl_body *body,
			struct hcl_pos pos, const struct path *path)
{
	struct path labelled = {.outer = path->outer, .name = path->name, .label = label};
	void *element = take_element(d, list, label, pos, &labelled);

	if (element != NULL) {
		decode_body(d, list->t, element, body, &labelled);
	}
}

static bool wants_label(const struct elements *list)
{
	return list->keys != NULL || list->label != NULL;
}

/* `{...}` or `[{...}, {...}]` in place of blocks: calls back with each object. False if it is neither. */
typedef void (*object_fn)(struct decode *d, struct elements *list, const char *label, const struct hcl_expr *object,
			  const struct path *path);

static bool each_object(struct decode *d, struct elements *list, const char *label, const struct hcl_expr *e,
			const struct path *path, object_fn call)
{
	const struct hcl_expr *child;
	bool good = true;

	if (e->kind == EXPR_OBJECT) {
		call(d, list, label, e, path);
		return true;
	}
	for (child = e->first; child != NULL && e->kind == EXPR_TUPLE && good; child = child->next) {
		good = child->kind == EXPR_OBJECT;
		if (good) {
			call(d, list, label, child, path);
		}
	}
	if (!good || e->kind != EXPR_TUPLE) {
		note(d, true, e->pos, path, " must be a block");
		return false;
	}
	return true;
}

static struct hcl_body *object_body(struct decode *d, const struct hcl_expr *e)
{
	struct hcl_body *body = hcl_object_body(e, d->mem);

	d->nomem = d->nomem || body == NULL;
	return body;
}

static void set_object_element(struct decode *d, struct elements *list, const char *label,
			       const struct hcl_expr *object, const struct path *path)
{
	struct hcl_body *body = object_body(d, object);

	if (body != NULL) {
		set_element(d, list, label, body, object->pos, path);
	}
}

/* {"label": {...}, "label": [{...}, {...}]} */
static void set_labelled_objects(struct decode *d, struct elements *list, const char *label,
				 const struct hcl_expr *object, const struct path *path)
{
	struct hcl_body *body = object_body(d, object);
	const struct hcl_item *item = body != NULL ? body->first : NULL;

	(void)label;
	for (; item != NULL; item = item->next) {
		each_object(d, list, item->name, item->value, path, set_object_element);
	}
}

/* How many elements an item makes at most. */
static uint32_t count_objects(const struct hcl_expr *e, unsigned levels)
{
	const struct hcl_expr *child;
	uint32_t n = 0;

	if (e->kind == EXPR_TUPLE) {
		for (child = e->first; child != NULL; child = child->next) {
			n += count_objects(child, levels);
		}
		return n;
	}
	if (e->kind != EXPR_OBJECT || levels == 0) {
		return 1;
	}
	for (child = e->first; child != NULL; child = child->next->next) {
		n += count_objects(child->next, levels - 1);
	}
	return n;
}

static void set_elements(struct decode *d, struct elements *list, const struct hcl_item *item, const struct path *path)
{
	bool labelled = wants_label(list);

	if (item->value != NULL) {
		if (item->value->kind == EXPR_LITERAL && item->value->value.kind == HCL_NULL) {
			return;
		}
		each_object(d, list, NULL, item->value, path, labelled ? set_labelled_objects : set_object_element);
	} else if (item->n_labels != labelled) {
		note(d, true, item->pos, path, labelled ? " needs one label: %s \"name\" {" : " has no labels: %s {",
		     item->name);
	} else {
		set_element(d, list, labelled ? item->labels[0] : NULL, item->body, item->pos, path);
	}
}

/* All items with this name, so that room for them is made once. `first` is the first of them. */
static void set_list(struct decode *d, const struct field *f, void *m, const struct hcl_item *first,
		     const struct path *path)
{
	struct elements list = elements_of(f, m);
	const struct hcl_item *item;
	uint32_t n = 0;

	for (item = first; item != NULL; item = item->next) {
		if (strcmp(item->name, first->name) == 0) {
			n += item->value != NULL ? count_objects(item->value, wants_label(&list)) : 1;
		}
	}
	if (n > HCL_MAX_ELEMENTS || *list.n > HCL_MAX_ELEMENTS - n) {
		note(d, true, first->pos, path, " is given more than %d times", HCL_MAX_ELEMENTS);
		return;
	}
	if (!reserve(d, &list, n)) {
		return;
	}
	for (item = first; item != NULL; item = item->next) {
		if (strcmp(item->name, first->name) == 0) {
			set_elements(d, &list, item, path);
		}
	}
}

static void lay_over(struct decode *d, struct elements *list, const char *label, const struct hcl_expr *object,
		     const struct path *path)
{
	struct hcl_body *body = object_body(d, object);

	(void)label;
	if (body != NULL) {
		decode_body(d, list->t, *list->at, body, path);
	}
}

static void set_object(struct decode *d, const struct field *f, void *m, const struct hcl_item *item,
		       const struct path *path)
{
	const struct field *label = label_field(f->sub);
	void **object = m;
	struct elements one = {.f = f, .t = f->sub, .at = object};

	if (item->value != NULL && item->value->kind == EXPR_LITERAL && item->value->value.kind == HCL_NULL) {
		return;
	}
	if (item->body != NULL && item->n_labels > (label != NULL)) {
		note(d, true, item->pos, path, " has too many labels");
		return;
	}
	if (*object == NULL) {
		*object = arena_alloc(d->mem, f->sub->size);
		if (*object == NULL) {
			d->nomem = true;
			return;
		}
		object_init(f->sub, *object);
	}
	if (item->value != NULL) {
		each_object(d, &one, NULL, item->value, path, lay_over);
		return;
	}
	if (item->n_labels > 0 && copy_string(d, item->labels[0], label_of(label, *object)) != 0) {
		d->nomem = true;
	}
	decode_body(d, f->sub, *object, item->body, path);
}

/* ---- bodies ---- */

static const struct field *find_field(const struct type *t, const char *name)
{
	const struct field *f;

	for (f = t->fields; f < t->fields + t->n; f++) {
		if (!f->server && !f->label && strcmp(f->hcl, name) == 0) {
			return f;
		}
	}
	return NULL;
}

static void set_member(struct decode *d, const struct field *f, void *obj, const struct hcl_item *item, bool again,
		       const struct path *path)
{
	void *m = (char *)obj + f->offset;

	if (f->kind == KIND_LIST || f->kind == KIND_OBJMAP) {
		if (!again) {
			set_list(d, f, m, item, path);
		}
	} else if (again) {
		note(d, true, item->pos, path, " is given twice");
	} else if (f->kind == KIND_OBJ) {
		set_object(d, f, m, item, path);
	} else {
		set_scalar(d, f, m, item, path);
	}
}

static void decode_body(struct decode *d, const struct type *t, void *obj, const struct hcl_body *body,
			const struct path *outer)
{
	uint64_t seen[4] = {0};
	const struct hcl_item *item;

	assert(t->n <= 64 * sizeof(seen) / sizeof(seen[0]));
	for (item = body->first; item != NULL && !d->nomem; item = item->next) {
		const struct field *f = find_field(t, item->name);
		struct path path = {.outer = outer, .name = item->name};
		size_t i = f != NULL ? (size_t)(f - t->fields) : 0;

		if (f == NULL) {
			note(d, d->report->strict, item->pos, &path, " is not known here");
			continue;
		}
		set_member(d, f, obj, item, (seen[i / 64] >> i % 64 & 1) != 0, &path);
		seen[i / 64] |= UINT64_C(1) << i % 64;
	}
}

int hcl_decode(const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope,
	       struct arena *mem, struct hcl_report *report)
{
	struct decode d = {.scope = scope, .mem = mem, .report = report, .limit = mem->total + HCL_MAX_DECODE};
	unsigned before = report->errors;

	decode_body(&d, t, obj, body, NULL);
	return d.nomem ? ERR_NOMEM : report->errors > before ? ERR_INVALID : 0;
}
