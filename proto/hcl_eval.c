#include "proto/hcl_eval.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/object.h"

/* The variables of a for expression, for the time of one turn. */
struct local {
	const struct local *outer;
	const char *names[2];
	struct hcl_value values[2];
};

struct eval {
	const struct hcl_scope *scope;
	struct arena *mem;
	struct hcl_error *error;
	const struct local *locals;
	const struct hcl_value *each; /* What EACH stands for. */
	bool unknown;                 /* The error is an unknown variable. */
	struct hcl_budget *budget;
};

static int eval(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out);

static int fail(struct eval *ev, const struct hcl_expr *e, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct eval *ev, const struct hcl_expr *e, int code, const char *format, ...)
{
	va_list args;

	if (ev->error != NULL) {
		ev->error->pos = e->pos;
		va_start(args, format);
		vsnprintf(ev->error->text, sizeof(ev->error->text), format, args);
		va_end(args);
	}
	return code;
}

static int fail_nomem(struct eval *ev, const struct hcl_expr *e)
{
	return fail(ev, e, ERR_NOMEM, "out of memory");
}

/* ---- values ---- */

int hcl_to_string(struct hcl_value *v, struct arena *mem)
{
	struct buf text = {0};
	char *string;

	if (v->kind == HCL_STRING) {
		return 0;
	}
	if (v->kind == HCL_BOOL) {
		*v = (struct hcl_value){.kind = HCL_STRING, .string = v->boolean ? "true" : "false"};
		return 0;
	}
	if (v->kind != HCL_NUMBER) {
		return ERR_TYPE;
	}
	hcl_number_put(&v->number, &text);
	string = text.failed ? NULL : arena_strndup(mem, text.at, text.len);
	buf_close(&text);
	if (string == NULL) {
		return ERR_NOMEM;
	}
	*v = (struct hcl_value){.kind = HCL_STRING, .string = string};
	return 0;
}

int hcl_to_number(struct hcl_value *v)
{
	struct hcl_number n;
	const char *s = v->string;
	size_t len;

	if (v->kind == HCL_NUMBER) {
		return 0;
	}
	if (v->kind != HCL_STRING) {
		return ERR_TYPE;
	}
	s += *s == '-';
	len = hcl_number_len(s);
	if (len == 0 || s[len] != '\0' || !hcl_number_parse(s, len, &n)) {
		return ERR_TYPE;
	}
	*v = (struct hcl_value){.kind = HCL_NUMBER, .number = s > v->string ? hcl_negative(n) : n};
	return 0;
}

int hcl_to_bool(struct hcl_value *v)
{
	if (v->kind == HCL_BOOL) {
		return 0;
	}
	if (v->kind != HCL_STRING || (strcmp(v->string, "true") != 0 && strcmp(v->string, "false") != 0)) {
		return ERR_TYPE;
	}
	*v = (struct hcl_value){.kind = HCL_BOOL, .boolean = v->string[0] == 't'};
	return 0;
}

static bool number_equal(const struct hcl_number *a, const struct hcl_number *b)
{
	return a->exact && b->exact ? a->integer == b->integer : a->num == b->num;
}

bool hcl_equal(const struct hcl_value *a, const struct hcl_value *b)
{
	uint32_t i;

	if (a->kind != b->kind) {
		return false;
	}
	switch (a->kind) {
	case HCL_NULL:
		break;
	case HCL_BOOL:
		return a->boolean == b->boolean;
	case HCL_NUMBER:
		return number_equal(&a->number, &b->number);
	case HCL_STRING:
		return strcmp(a->string, b->string) == 0;
	case HCL_LIST:
		for (i = 0; i < a->list.n && i < b->list.n && hcl_equal(&a->list.at[i], &b->list.at[i]); i++) {
		}
		return i == a->list.n && i == b->list.n;
	case HCL_OBJECT:
		for (i = 0;
		     i < a->object.n && i < b->object.n && strcmp(a->object.at[i].key, b->object.at[i].key) == 0 &&
		     hcl_equal(&a->object.at[i].value, &b->object.at[i].value);
		     i++) {
		}
		return i == a->object.n && i == b->object.n;
	}
	return true;
}

static int compare_key(const void *key, const void *member)
{
	return strcmp(key, ((const struct hcl_member *)member)->key);
}

const struct hcl_value *hcl_member(const struct hcl_value *object, const char *key)
{
	const struct hcl_member *m = NULL;

	if (object->object.n > 0) {
		m = bsearch(key, object->object.at, object->object.n, sizeof(*m), compare_key);
	}
	return m != NULL ? &m->value : NULL;
}

void hcl_value_json(const struct hcl_value *v, struct buf *out)
{
	uint32_t i;

	if (out->len > HCL_MAX_TEXT) {
		out->failed = true;
		return;
	}
	switch (v->kind) {
	case HCL_NULL:
		buf_str(out, "null");
		break;
	case HCL_BOOL:
		buf_str(out, v->boolean ? "true" : "false");
		break;
	case HCL_NUMBER:
		hcl_number_put(&v->number, out);
		break;
	case HCL_STRING:
		json_put_str(out, v->string, strlen(v->string));
		break;
	case HCL_LIST:
		buf_byte(out, '[');
		for (i = 0; i < v->list.n && !out->failed; i++) {
			buf_str(out, i > 0 ? "," : "");
			hcl_value_json(&v->list.at[i], out);
		}
		buf_byte(out, ']');
		break;
	case HCL_OBJECT:
		buf_byte(out, '{');
		for (i = 0; i < v->object.n && !out->failed; i++) {
			buf_str(out, i > 0 ? "," : "");
			json_put_str(out, v->object.at[i].key, strlen(v->object.at[i].key));
			buf_byte(out, ':');
			hcl_value_json(&v->object.at[i].value, out);
		}
		buf_byte(out, '}');
	}
}

/* ---- operands of a wanted type ---- */

static int eval_bool(struct eval *ev, const struct hcl_expr *e, bool *out)
{
	struct hcl_value v;
	int rv = eval(ev, e, &v);

	if (rv == 0) {
		const char *is = hcl_kind_text(v.kind);

		rv = hcl_to_bool(&v) != 0 ? fail(ev, e, ERR_TYPE, "a bool is needed here, not %s", is) : 0;
	}
	if (rv == 0) {
		*out = v.boolean;
	}
	return rv;
}

static int eval_number(struct eval *ev, const struct hcl_expr *e, struct hcl_number *out)
{
	struct hcl_value v;
	int rv = eval(ev, e, &v);

	if (rv == 0) {
		const char *is = hcl_kind_text(v.kind);

		rv = hcl_to_number(&v) != 0 ? fail(ev, e, ERR_TYPE, "a number is needed here, not %s", is) : 0;
	}
	if (rv == 0) {
		*out = v.number;
	}
	return rv;
}

static int eval_string(struct eval *ev, const struct hcl_expr *e, const char **out)
{
	struct hcl_value v;
	int rv = eval(ev, e, &v);

	if (rv == 0) {
		const char *is = hcl_kind_text(v.kind);

		rv = hcl_to_string(&v, ev->mem);
		rv = rv == ERR_TYPE ? fail(ev, e, rv, "a string is needed here, not %s", is) : rv;
	}
	if (rv == 0) {
		*out = v.string;
	}
	return rv;
}

/* ---- growing results ---- */

struct values {
	struct hcl_value *at;
	uint32_t n;
	uint32_t cap;
	uint32_t weight;
};

static int values_add(struct eval *ev, const struct hcl_expr *e, struct values *list, const struct hcl_value *v)
{
	if (list->n == list->cap) {
		uint32_t cap = list->cap > 0 ? list->cap * 2 : 8;
		struct hcl_value *at = arena_alloc(ev->mem, cap * sizeof(*at));

		if (at == NULL) {
			return fail_nomem(ev, e);
		}
		if (list->n > 0) {
			memcpy(at, list->at, list->n * sizeof(*at));
		}
		list->at = at;
		list->cap = cap;
	}
	list->at[list->n++] = *v;
	list->weight += v->weight + 1;
	return list->weight <= HCL_MAX_WEIGHT ? 0 : fail(ev, e, ERR_TOOBIG, "the value has too many parts");
}

static struct hcl_value values_list(const struct values *list)
{
	return (struct hcl_value){.kind = HCL_LIST, .weight = list->weight, .list = {.at = list->at, .n = list->n}};
}

/* Members as they come: keys and values alternate. */
struct entry {
	const char *key;
	uint32_t order;
	struct hcl_value value;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *p = a;
	const struct entry *q = b;
	int order = strcmp(p->key, q->key);

	return order != 0 ? order : p->order < q->order ? -1 : p->order > q->order;
}

enum doubles { LAST_WINS, REFUSE, GROUP };

/* One member from the entries i to j, which have one key. */
static int join_entries(struct eval *ev, const struct hcl_expr *e, enum doubles doubles, const struct entry *entries,
			uint32_t n, struct hcl_value *out)
{
	struct values group = {0};
	uint32_t i;
	int rv = 0;

	if (doubles == REFUSE && n > 1) {
		return fail(ev, e, ERR_EXISTS, "two elements with the key \"%.80s\"; ... behind the value groups them",
			    entries[0].key);
	}
	if (doubles != GROUP) {
		*out = entries[n - 1].value;
		return 0;
	}
	for (i = 0; i < n && rv == 0; i++) {
		rv = values_add(ev, e, &group, &entries[i].value);
	}
	*out = values_list(&group);
	return rv;
}

static int make_object(struct eval *ev, const struct hcl_expr *e, const struct values *flat, enum doubles doubles,
		       struct hcl_value *out)
{
	uint32_t n = flat->n / 2;
	struct entry *entries = arena_calloc(ev->mem, n, sizeof(*entries));
	struct hcl_member *members = arena_calloc(ev->mem, n, sizeof(*members));
	uint32_t i;
	uint32_t end;
	uint32_t kept = 0;

	if (entries == NULL || members == NULL) {
		return fail_nomem(ev, e);
	}
	for (i = 0; i < n; i++) {
		entries[i] = (struct entry){flat->at[2 * i].string, i, flat->at[2 * i + 1]};
	}
	qsort(entries, n, sizeof(*entries), compare_entries);
	for (i = 0; i < n; i = end) {
		int rv;

		for (end = i + 1; end < n && strcmp(entries[end].key, entries[i].key) == 0; end++) {
		}
		members[kept].key = entries[i].key;
		rv = join_entries(ev, e, doubles, &entries[i], end - i, &members[kept++].value);
		if (rv != 0) {
			return rv;
		}
	}
	*out = (struct hcl_value){.kind = HCL_OBJECT, .weight = flat->weight, .object = {.at = members, .n = kept}};
	return 0;
}

/* ---- one function per kind of expression ---- */

static int eval_literal(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	(void)ev;
	*out = e->value;
	return 0;
}

/* Count text that is made or gone through. */
static int charge_text(struct eval *ev, const struct hcl_expr *e, size_t len)
{
	ev->budget->text += len;
	return ev->budget->text <= HCL_MAX_TEXT ? 0 : fail(ev, e, ERR_TOOBIG, "the expression makes too much text");
}

static int make_string(struct eval *ev, const struct hcl_expr *e, const char *text, size_t len, struct hcl_value *out)
{
	int rv = charge_text(ev, e, len);
	char *copy = rv == 0 ? arena_strndup(ev->mem, text, len) : NULL;

	*out = (struct hcl_value){.kind = HCL_STRING, .weight = hcl_text_weight(len), .string = copy};
	return rv != 0 ? rv : copy != NULL ? 0 : fail_nomem(ev, e);
}

/* A variable, and what is taken from it; an unknown one is told by ev->unknown. */
static int refer(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out);

/* Whether the failure was an unknown variable that may stay; it is none then. */
static bool keeps_unknown(struct eval *ev, int rv)
{
	bool keeps = rv == ERR_NOTFOUND && ev->unknown && ev->scope != NULL && ev->scope->keep_unknown;

	ev->unknown = false;
	return keeps;
}

static bool is_reference(const struct hcl_expr *e)
{
	return e->kind == EXPR_VARIABLE || e->kind == EXPR_ATTR || e->kind == EXPR_INDEX;
}

/* The text that an unknown reference leaves. */
static int keep_reference(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct buf text = {0};
	int rv;

	buf_str(&text, "${");
	hcl_print_expr(e, &text);
	buf_byte(&text, '}');
	rv = text.failed ? fail_nomem(ev, e) : make_string(ev, e, text.at, text.len, out);
	buf_close(&text);
	return rv;
}

static int eval_interpolation(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	int rv;

	if (!is_reference(e->first)) {
		return eval(ev, e->first, out);
	}
	rv = refer(ev, e->first, out);
	if (!keeps_unknown(ev, rv)) {
		return rv;
	}
	return e->source.len > 0 ? make_string(ev, e, e->source.at, e->source.len, out)
				 : keep_reference(ev, e->first, out);
}

static int put_part(struct eval *ev, const struct hcl_expr *part, struct buf *text)
{
	const char *string;
	int rv = eval_string(ev, part, &string);

	if (rv == 0) {
		size_t len = strlen(string);

		rv = charge_text(ev, part, len);
		buf_put(text, string, len);
	}
	return rv == 0 && text->failed ? fail_nomem(ev, part) : rv;
}

static int put_parts(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct buf text = {0};
	const struct hcl_expr *part;
	int rv = 0;

	for (part = e->first; part != NULL && rv == 0; part = part->next) {
		rv = put_part(ev, part, &text);
	}
	if (rv == 0) {
		rv = make_string(ev, e, buf_text(&text), text.len, out);
	}
	buf_close(&text);
	return rv;
}

/* A template that is one interpolation has that expression's value, whatever its type. */
static int eval_template(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	if (e->n == 1 && e->first->kind == EXPR_INTERPOLATION) {
		return eval_interpolation(ev, e->first, out);
	}
	return put_parts(ev, e, out);
}

static int eval_template_if(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	bool yes;
	int rv = eval_bool(ev, e->first, &yes);

	if (rv != 0) {
		return rv;
	}
	if (yes || e->n > 2) {
		return put_parts(ev, yes ? e->first->next : e->first->next->next, out);
	}
	return make_string(ev, e, "", 0, out);
}

static int eval_tuple(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct values list = {0};
	const struct hcl_expr *child;
	int rv = 0;

	for (child = e->first; child != NULL && rv == 0; child = child->next) {
		struct hcl_value v;

		rv = eval(ev, child, &v);
		if (rv == 0) {
			rv = values_add(ev, child, &list, &v);
		}
	}
	*out = values_list(&list);
	return rv;
}

/* Append the pair of a member's key and value. */
static int add_member(struct eval *ev, const struct hcl_expr *key, const struct hcl_expr *value, struct values *flat)
{
	struct hcl_value k = {.kind = HCL_STRING};
	struct hcl_value v;
	int rv = eval_string(ev, key, &k.string);

	if (rv == 0) {
		k.weight = hcl_text_weight(strlen(k.string));
		rv = charge_text(ev, key, strlen(k.string)); /* They will be sorted. */
	}
	rv = rv == 0 ? eval(ev, value, &v) : rv;
	rv = rv == 0 ? values_add(ev, key, flat, &k) : rv;
	return rv == 0 ? values_add(ev, key, flat, &v) : rv;
}

static int eval_object(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct values flat = {0};
	const struct hcl_expr *key;

	for (key = e->first; key != NULL; key = key->next->next) {
		int rv = add_member(ev, key, key->next, &flat);

		if (rv != 0) {
			return rv;
		}
	}
	return make_object(ev, e, &flat, LAST_WINS, out);
}

static int refer_variable(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	const struct local *l;
	int rv = ERR_NOTFOUND;
	int i;

	for (l = ev->locals; l != NULL; l = l->outer) {
		for (i = 0; i < 2; i++) {
			if (l->names[i] != NULL && strcmp(l->names[i], e->name) == 0) {
				*out = l->values[i];
				return 0;
			}
		}
	}
	if (ev->scope != NULL && ev->scope->variable_cb != NULL) {
		rv = ev->scope->variable_cb(ev->scope->ctx, e->name, ev->mem, out, ev->error);
	}
	if (rv == ERR_NOTFOUND) {
		ev->unknown = true;
		return fail(ev, e, rv, "unknown variable \"%.80s\"; a text stands in quotes", e->name);
	}
	if (rv != 0 && ev->error != NULL) {
		ev->error->pos = e->pos;
	}
	return rv;
}

static int take_attr(struct eval *ev, const struct hcl_expr *e, const struct hcl_value *from, const char *name,
		     struct hcl_value *out)
{
	const struct hcl_value *member;

	if (from->kind != HCL_OBJECT) {
		return fail(ev, e, ERR_TYPE, "%s has no member \"%.80s\"", hcl_kind_text(from->kind), name);
	}
	member = hcl_member(from, name);
	if (member == NULL) {
		return fail(ev, e, ERR_NOTFOUND, "the object has no member \"%.80s\"", name);
	}
	*out = *member;
	return 0;
}

static int refer_attr(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_value from;
	int rv = refer(ev, e->first, &from);

	return rv == 0 ? take_attr(ev, e, &from, e->name, out) : rv;
}

static int refer_index(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_value from;
	struct hcl_number n;
	const char *key;
	int rv = refer(ev, e->first, &from);

	if (rv == 0 && from.kind == HCL_OBJECT) {
		rv = eval_string(ev, e->first->next, &key);
		return rv == 0 ? take_attr(ev, e, &from, key, out) : rv;
	}
	if (rv == 0 && from.kind != HCL_LIST) {
		return fail(ev, e, ERR_TYPE, "%s has no elements", hcl_kind_text(from.kind));
	}
	rv = rv == 0 ? eval_number(ev, e->first->next, &n) : rv;
	if (rv != 0) {
		return rv;
	}
	if (!n.exact || n.integer < 0 || n.integer >= from.list.n) {
		return fail(ev, e, ERR_RANGE, "the index is not one of the list's %u elements", from.list.n);
	}
	*out = from.list.at[n.integer];
	return 0;
}

static int refer(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	switch (e->kind) {
	case EXPR_VARIABLE:
		return refer_variable(ev, e, out);
	case EXPR_ATTR:
		return refer_attr(ev, e, out);
	case EXPR_INDEX:
		return refer_index(ev, e, out);
	default:
		return eval(ev, e, out);
	}
}

static int eval_reference(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	int rv = refer(ev, e, out);

	return keeps_unknown(ev, rv) ? keep_reference(ev, e, out) : rv;
}

static int eval_each(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	(void)e;
	assert(ev->each != NULL);
	*out = *ev->each;
	return 0;
}

/* A value that is no list counts as a list of one, and null as the empty list. */
static int eval_splat(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	const struct hcl_value *outer = ev->each;
	struct hcl_value from;
	struct values list = {0};
	const struct hcl_value *at = &from;
	uint32_t n = 1;
	uint32_t i;
	int rv = eval(ev, e->first, &from);

	if (rv != 0) {
		return rv;
	}
	if (from.kind == HCL_LIST) {
		at = from.list.at;
		n = from.list.n;
	} else if (from.kind == HCL_NULL) {
		n = 0;
	}
	for (i = 0; i < n && rv == 0; i++) {
		struct hcl_value v;

		ev->each = &at[i];
		rv = eval(ev, e->first->next, &v);
		rv = rv == 0 ? values_add(ev, e, &list, &v) : rv;
	}
	ev->each = outer;
	*out = values_list(&list);
	return rv;
}

static int spread_last(struct eval *ev, const struct hcl_expr *e, struct values *args)
{
	struct hcl_value last = args->at[--args->n];
	uint32_t i;
	int rv = 0;

	if (last.kind != HCL_LIST) {
		return fail(ev, e, ERR_TYPE, "... needs a list, not %s", hcl_kind_text(last.kind));
	}
	for (i = 0; i < last.list.n && rv == 0; i++) {
		rv = values_add(ev, e, args, &last.list.at[i]);
	}
	return rv;
}

/* Failures of the machine, and of those who bound it, are nobody's to pass over. */
static bool is_passable(int rv)
{
	return rv != 0 && rv != ERR_NOMEM && rv != ERR_TOOBIG;
}

/* try() and can(): their arguments are evaluated here, as what they are about is that it may fail. */
static int eval_attempt(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	const struct local *locals = ev->locals;
	const struct hcl_value *each = ev->each;
	bool can = e->name[0] == 'c';
	const struct hcl_expr *arg;
	int rv = ERR_INVALID;

	if (e->first == NULL || e->spread || (can && e->first->next != NULL)) {
		return fail(ev, e, rv, can ? "can takes one argument" : "try takes at least one argument");
	}
	for (arg = e->first; arg != NULL && is_passable(rv); arg = arg->next) {
		rv = eval(ev, arg, out);
		ev->locals = locals;
		ev->each = each;
		ev->unknown = false;
	}
	if (can && (rv == 0 || is_passable(rv))) {
		*out = (struct hcl_value){.kind = HCL_BOOL, .boolean = rv == 0};
		return 0;
	}
	return rv;
}

static bool is_attempt(const struct eval *ev, const struct hcl_expr *e)
{
	return ev->scope != NULL && ev->scope->attempts && (strcmp(e->name, "try") == 0 || strcmp(e->name, "can") == 0);
}

static int eval_convert(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_error error;
	int rv;

	if (e->n != 2 || e->spread) {
		return fail(ev, e, ERR_INVALID, "convert takes a value and a type");
	}
	rv = eval(ev, e->first, out);
	if (rv == 0) {
		rv = ev->scope->convert_cb(ev->scope->ctx, e->first->next, out, &error);
		if (rv != 0 && ev->error != NULL) {
			*ev->error = error;
		}
	}
	return rv;
}

static int eval_call(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct values args = {0};
	const struct hcl_expr *arg;
	int rv = 0;

	if (is_attempt(ev, e)) {
		return eval_attempt(ev, e, out);
	}
	if (ev->scope != NULL && ev->scope->convert_cb != NULL && strcmp(e->name, "convert") == 0) {
		return eval_convert(ev, e, out);
	}
	if (ev->scope == NULL || ev->scope->function_cb == NULL) {
		return fail(ev, e, ERR_NOTFOUND, "unknown function \"%.80s\"", e->name);
	}
	for (arg = e->first; arg != NULL && rv == 0; arg = arg->next) {
		struct hcl_value v;

		rv = eval(ev, arg, &v);
		rv = rv == 0 ? values_add(ev, arg, &args, &v) : rv;
	}
	if (rv == 0 && e->spread) {
		rv = spread_last(ev, e, &args);
	}
	if (rv != 0) {
		return rv;
	}
	rv = ev->scope->function_cb(ev->scope->ctx, e->name, args.at, args.n, ev->mem, out, ev->error);
	if (rv == ERR_NOTFOUND) {
		return fail(ev, e, rv, "unknown function \"%.80s\"", e->name);
	}
	if (rv != 0 && ev->error != NULL) {
		ev->error->pos = e->pos;
	}
	return rv;
}

static int eval_not(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	bool yes = false;
	int rv = eval_bool(ev, e->first, &yes);

	*out = (struct hcl_value){.kind = HCL_BOOL, .boolean = !yes};
	return rv;
}

static int eval_negate(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_number n;
	int rv = eval_number(ev, e->first, &n);

	if (rv == 0) {
		*out = (struct hcl_value){.kind = HCL_NUMBER, .number = hcl_negative(n)};
	}
	return rv;
}

/* ---- operators ---- */

static bool exact_result(enum hcl_operator op, int64_t a, int64_t b, int64_t *out)
{
	switch (op) {
	case HCL_OP_ADD:
		return !__builtin_add_overflow(a, b, out);
	case HCL_OP_SUB:
		return !__builtin_sub_overflow(a, b, out);
	case HCL_OP_MUL:
		return !__builtin_mul_overflow(a, b, out);
	case HCL_OP_DIV:
		*out = b == -1 ? 0 : a / b;
		return b != -1 && a % b == 0;
	default:
		*out = b == -1 ? 0 : a % b;
		return true;
	}
}

static double double_result(enum hcl_operator op, double a, double b)
{
	switch (op) {
	case HCL_OP_ADD:
		return a + b;
	case HCL_OP_SUB:
		return a - b;
	case HCL_OP_MUL:
		return a * b;
	case HCL_OP_DIV:
		return a / b;
	default:
		return fmod(a, b);
	}
}

static int eval_arithmetic(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_number a;
	struct hcl_number b;
	int64_t exact;
	int rv = eval_number(ev, e->first, &a);

	rv = rv == 0 ? eval_number(ev, e->first->next, &b) : rv;
	if (rv != 0) {
		return rv;
	}
	if (b.num == 0 && (e->op == HCL_OP_DIV || e->op == HCL_OP_MOD)) {
		return fail(ev, e, ERR_RANGE, "a division by zero");
	}
	*out = (struct hcl_value){.kind = HCL_NUMBER};
	if (a.exact && b.exact && exact_result(e->op, a.integer, b.integer, &exact)) {
		out->number = hcl_integer(exact);
	} else {
		out->number = hcl_number_of(double_result(e->op, a.num, b.num));
	}
	return isfinite(out->number.num) ? 0 : fail(ev, e, ERR_RANGE, "the result is too large");
}

static int compare_numbers(const struct hcl_number *a, const struct hcl_number *b)
{
	if (a->exact && b->exact) {
		return (a->integer > b->integer) - (a->integer < b->integer);
	}
	return (a->num > b->num) - (a->num < b->num);
}

static int eval_comparison(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_number a;
	struct hcl_number b;
	int order;
	bool yes;
	int rv = eval_number(ev, e->first, &a);

	rv = rv == 0 ? eval_number(ev, e->first->next, &b) : rv;
	if (rv != 0) {
		return rv;
	}
	order = compare_numbers(&a, &b);
	switch (e->op) {
	case HCL_OP_LT:
		yes = order < 0;
		break;
	case HCL_OP_GT:
		yes = order > 0;
		break;
	case HCL_OP_LE:
		yes = order <= 0;
		break;
	default:
		yes = order >= 0;
	}
	*out = (struct hcl_value){.kind = HCL_BOOL, .boolean = yes};
	return 0;
}

static int eval_equality(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct hcl_value a;
	struct hcl_value b;
	int rv = eval(ev, e->first, &a);

	rv = rv == 0 ? eval(ev, e->first->next, &b) : rv;
	if (rv == 0) {
		ev->budget->steps += a.weight;
		*out = (struct hcl_value){.kind = HCL_BOOL, .boolean = hcl_equal(&a, &b) == (e->op == HCL_OP_EQ)};
	}
	return rv;
}

/* The right side is evaluated only if the left one does not decide. */
static int eval_logic(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	bool yes = false;
	int rv = eval_bool(ev, e->first, &yes);

	if (rv == 0 && yes == (e->op == HCL_OP_AND)) {
		rv = eval_bool(ev, e->first->next, &yes);
	}
	*out = (struct hcl_value){.kind = HCL_BOOL, .boolean = yes};
	return rv;
}

static int eval_binary(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	static int (*const by_level[])(struct eval *, const struct hcl_expr *, struct hcl_value *) = {
		NULL, eval_logic, eval_logic, eval_equality, eval_comparison, eval_arithmetic, eval_arithmetic,
	};

	return by_level[hcl_operator_level(e->op)](ev, e, out);
}

static int eval_conditional(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	bool yes;
	int rv = eval_bool(ev, e->first, &yes);

	return rv == 0 ? eval(ev, yes ? e->first->next : e->first->next->next, out) : rv;
}

/* ---- loops ---- */

/* One turn: the element's key and value are in ev->locals. */
typedef int (*turn_fn)(struct eval *ev, const struct hcl_expr *e, struct values *result);

static int each_turn(struct eval *ev, const struct hcl_expr *e, const struct hcl_value *from, struct local *local,
		     turn_fn turn, struct values *result)
{
	uint32_t n = from->kind == HCL_LIST ? from->list.n : from->object.n;
	uint32_t i;
	int rv = 0;

	for (i = 0; i < n && rv == 0; i++) {
		if (from->kind == HCL_LIST) {
			local->values[0] = (struct hcl_value){.kind = HCL_NUMBER, .number = hcl_integer(i)};
			local->values[1] = from->list.at[i];
		} else {
			local->values[0] = (struct hcl_value){.kind = HCL_STRING, .string = from->object.at[i].key};
			local->values[1] = from->object.at[i].value;
		}
		rv = turn(ev, e, result);
	}
	return rv;
}

static int loop(struct eval *ev, const struct hcl_expr *e, turn_fn turn, struct values *result)
{
	struct local local = {.outer = ev->locals, .names = {e->loop.key, e->loop.value}};
	struct hcl_value from;
	int rv = eval(ev, e->first, &from);

	if (rv == 0 && from.kind != HCL_LIST && from.kind != HCL_OBJECT) {
		return fail(ev, e->first, ERR_TYPE, "for needs a list or an object, not %s", hcl_kind_text(from.kind));
	}
	if (rv == 0) {
		ev->locals = &local;
		rv = each_turn(ev, e, &from, &local, turn, result);
		ev->locals = local.outer;
	}
	return rv;
}

static int wanted(struct eval *ev, const struct hcl_expr *condition, bool *yes)
{
	*yes = true;
	return condition != NULL ? eval_bool(ev, condition, yes) : 0;
}

static int list_turn(struct eval *ev, const struct hcl_expr *e, struct values *result)
{
	const struct hcl_expr *value = e->first->next;
	struct hcl_value v;
	bool yes;
	int rv = wanted(ev, value->next, &yes);

	if (rv != 0 || !yes) {
		return rv;
	}
	rv = eval(ev, value, &v);
	return rv == 0 ? values_add(ev, e, result, &v) : rv;
}

static int eval_for_list(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct values list = {0};
	int rv = loop(ev, e, list_turn, &list);

	*out = values_list(&list);
	return rv;
}

static int object_turn(struct eval *ev, const struct hcl_expr *e, struct values *result)
{
	const struct hcl_expr *key = e->first->next;
	bool yes;
	int rv = wanted(ev, key->next->next, &yes);

	return rv == 0 && yes ? add_member(ev, key, key->next, result) : rv;
}

static int eval_for_object(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct values flat = {0};
	int rv = loop(ev, e, object_turn, &flat);

	return rv == 0 ? make_object(ev, e, &flat, e->spread ? GROUP : REFUSE, out) : rv;
}

static int template_turn(struct eval *ev, const struct hcl_expr *e, struct values *result)
{
	struct hcl_value v;
	int rv = put_parts(ev, e->first->next, &v);

	return rv == 0 ? values_add(ev, e, result, &v) : rv;
}

static int eval_template_for(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	struct values list = {0};
	struct buf text = {0};
	uint32_t i;
	int rv = loop(ev, e, template_turn, &list);

	for (i = 0; i < list.n && rv == 0; i++) {
		buf_str(&text, list.at[i].string);
	}
	if (rv == 0) {
		rv = text.failed ? fail_nomem(ev, e) : make_string(ev, e, buf_text(&text), text.len, out);
	}
	buf_close(&text);
	return rv;
}

/* ---- the walk ---- */

static int eval(struct eval *ev, const struct hcl_expr *e, struct hcl_value *out)
{
	static int (*const by_kind[])(struct eval *, const struct hcl_expr *, struct hcl_value *) = {
		[EXPR_LITERAL] = eval_literal,
		[EXPR_TEMPLATE] = eval_template,
		[EXPR_INTERPOLATION] = eval_interpolation,
		[EXPR_TEMPLATE_IF] = eval_template_if,
		[EXPR_TEMPLATE_FOR] = eval_template_for,
		[EXPR_TUPLE] = eval_tuple,
		[EXPR_OBJECT] = eval_object,
		[EXPR_VARIABLE] = eval_reference,
		[EXPR_ATTR] = eval_reference,
		[EXPR_INDEX] = eval_reference,
		[EXPR_SPLAT] = eval_splat,
		[EXPR_EACH] = eval_each,
		[EXPR_CALL] = eval_call,
		[EXPR_NOT] = eval_not,
		[EXPR_NEGATE] = eval_negate,
		[EXPR_BINARY] = eval_binary,
		[EXPR_CONDITIONAL] = eval_conditional,
		[EXPR_FOR_LIST] = eval_for_list,
		[EXPR_FOR_OBJECT] = eval_for_object,
	};

	if (++ev->budget->steps > HCL_MAX_STEPS) {
		return fail(ev, e, ERR_TOOBIG, "the expression takes too many steps");
	}
	return by_kind[e->kind](ev, e, out);
}

int hcl_eval(const struct hcl_expr *e, const struct hcl_scope *scope, struct arena *mem, struct hcl_value *value,
	     struct hcl_error *error)
{
	struct hcl_budget own = {0};
	struct eval ev = {.scope = scope, .mem = mem, .error = error, .budget = &own};
	struct hcl_value v;
	int rv;

	if (scope != NULL && scope->budget != NULL) {
		ev.budget = scope->budget;
	}
	rv = eval(&ev, e, &v);

	if (rv == 0) {
		*value = v;
	}
	return rv;
}
