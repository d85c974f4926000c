/* Filters: selectors found in field tables, and matching. */
#include "proto/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/timefmt.h"
#include "proto/error.h"
#include "proto/filter_parts.h"
#include "proto/walk.h"

/* ---- binding ---- */

/* Where a path has come to in the table. */
struct spot {
	uint8_t kind;
	const struct field *field;
	const struct type *object; /* If it is a struct. */
	bool whole;                /* All of the field, rather than an element of it. */
};

static bool parse_index(const char *text, uint32_t *out)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || n > UINT32_MAX) {
		return false;
	}
	*out = (uint32_t)n;
	return true;
}

/* From an object to its member. */
static bool enter_field(struct filter_step *step, const char *name, struct spot *at)
{
	const struct field *f = object_field(at->object, name, strlen(name));

	if (f == NULL) {
		return false;
	}
	step->field = f;
	*at = (struct spot){f->kind, f, NULL, true};
	if (f->kind == KIND_OBJ) {
		*at = (struct spot){VALUE_STRUCT, f, f->sub, true};
	}
	return true;
}

/* From a list or map to its element. */
static bool enter_row(struct filter_step *step, const char *name, struct spot *at)
{
	const struct row_shape *shape = &row_shapes[at->kind];

	if (shape->keyed) {
		step->key = name;
	} else if (!parse_index(name, &step->index)) {
		return false;
	}
	*at = (struct spot){shape->value, at->field, shape->value == VALUE_STRUCT ? at->field->sub : NULL, false};
	return true;
}

static bool enter(struct filter_step *step, const char *name, struct spot *at)
{
	if (at->object != NULL) {
		return enter_field(step, name, at);
	}
	return at->whole && kind_is_row(at->kind) && enter_row(step, name, at);
}

static void find_path(struct filter_parser *p, struct filter_node *n, const struct filter_part *parts, struct spot *at)
{
	struct filter_step **tail = &n->path;
	unsigned depth = 0;

	*at = (struct spot){VALUE_STRUCT, NULL, p->type, false};
	for (; parts != NULL && p->rv == 0; parts = parts->next) {
		struct filter_step *step = arena_calloc(p->mem, 1, sizeof(*step));

		if (step == NULL) {
			filter_fail(p, ERR_NOMEM, "out of memory");
		} else if (++depth > FILTER_DEPTH_MAX || !enter(step, parts->name, at)) {
			filter_fail(p, ERR_NOTFOUND, "there is no field \"%.64s\"", parts->name);
		} else {
			*tail = step;
			tail = &step->next;
		}
	}
}

/* ---- what a test can be made on ---- */

/* Kinds that look like a single value of another. */
static uint8_t plain_kind(uint8_t kind)
{
	switch (kind) {
	case KIND_OPTBOOL:
		return KIND_BOOL;
	case KIND_OPTINT:
		return KIND_INT;
	case KIND_OPTDUR:
		return KIND_DUR;
	case KIND_ANY:
		return KIND_STR;
	default:
		return kind;
	}
}

static bool has_single_value(uint8_t kind)
{
	return kind < KIND_STRS && kind != KIND_BYTES && kind != KIND_OBJ;
}

static bool can_be_empty(const struct spot *at)
{
	uint8_t kind = at->kind;

	return kind == KIND_STR || kind == KIND_ANY || kind == KIND_BYTES || kind == KIND_TIME ||
	       kind == KIND_OPTBOOL || kind == KIND_OPTINT || kind == KIND_OPTDUR ||
	       (at->whole && (kind == VALUE_STRUCT || kind_is_row(kind)));
}

/* The kind that the value of a test must be of; VALUE_STRUCT when the test cannot be made. */
static uint8_t wanted_kind(enum filter_test test, const struct spot *at)
{
	uint8_t kind = plain_kind(at->kind);

	if (kind == VALUE_STRUCT) {
		return VALUE_STRUCT;
	}
	if (test == TEST_EQUAL) {
		return has_single_value(kind) ? kind : VALUE_STRUCT;
	}
	if (kind == KIND_STR) {
		return KIND_STR;
	}
	if (test == TEST_IN && kind_is_row(kind)) {
		return row_shapes[kind].keyed ? KIND_STR : plain_kind(row_shapes[kind].value);
	}
	return VALUE_STRUCT;
}

static bool parse_number(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return end != text && *end == '\0' && errno == 0;
}

static bool parse_real(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && *end == '\0';
}

static bool parse_bool(const char *text, int64_t *out)
{
	*out = strcmp(text, "true") == 0;
	return *out != 0 || strcmp(text, "false") == 0;
}

static bool value_fits(struct filter_node *n, uint8_t kind)
{
	switch (kind) {
	case KIND_BOOL:
		return parse_bool(n->text, &n->number);
	case KIND_INT:
		return parse_number(n->text, &n->number);
	case KIND_DUR:
		return parse_number(n->text, &n->number) || duration_parse(n->text, strlen(n->text), &n->number);
	case KIND_TIME:
		return parse_number(n->text, &n->number) || time_parse(n->text, strlen(n->text), &n->number);
	case KIND_NUM:
		return parse_real(n->text, &n->real);
	default:
		return true;
	}
}

static void bind_regex(struct filter_parser *p, struct filter_node *n)
{
	char why[REGFIND_WHY] = "out of memory";
	int rv = regfind_compile(n->text, p->mem, &n->regex, why);

	if (rv != 0) {
		filter_fail(p, rv, "\"%.64s\" is no regular expression: %s", n->text, why);
	}
}

void filter_bind(struct filter_parser *p, struct filter_node *n, const struct filter_part *parts, const char *value)
{
	static const char *const names[] = {"==", "in", "is empty", "matches"};
	struct spot at;
	uint8_t kind;

	find_path(p, n, parts, &at);
	if (p->rv != 0) {
		return;
	}
	n->value_kind = at.kind;
	n->field = at.field;
	n->whole = at.whole;
	n->text = value;
	if (n->test == TEST_EMPTY) {
		if (!can_be_empty(&at)) {
			filter_fail(p, ERR_SYNTAX, "\"is empty\" cannot be asked of \"%s\"", at.field->name);
		}
		return;
	}
	kind = wanted_kind(n->test, &at);
	if (kind == VALUE_STRUCT) {
		filter_fail(p, ERR_SYNTAX, "\"%s\" cannot be asked of \"%s\"", names[n->test], at.field->name);
	} else if (!value_fits(n, kind)) {
		filter_fail(p, ERR_SYNTAX, "\"%.64s\" is no value for \"%s\"", value, at.field->name);
	} else if (n->test == TEST_MATCHES) {
		bind_regex(p, n);
	}
}

/* ---- matching ---- */

/* The element of a row that a step names, or NULL. */
static const void *find_elem(const struct elems *e, const struct filter_step *step)
{
	if (step->key == NULL) {
		return step->index < e->n ? elem_value(e, step->index) : NULL;
	}
	for (uint32_t i = 0; i < e->n; i++) {
		if (strcmp(*elem_key(e, i), step->key) == 0) {
			return elem_value(e, i);
		}
	}
	return NULL;
}

/* What the path leads to, or NULL. */
static const void *follow(const struct filter_node *n, const void *obj)
{
	const struct field *field = NULL;
	const void *at = obj;

	for (const struct filter_step *step = n->path; step != NULL && at != NULL; step = step->next) {
		if (step->field != NULL) {
			field = step->field;
			at = const_member(at, field);
			if (field->kind == KIND_OBJ) {
				at = *(void *const *)at;
			}
		} else {
			struct elems e = elems_of(field, at);

			at = find_elem(&e, step);
		}
	}
	return at;
}

static bool value_equal(const struct filter_node *n, uint8_t kind, const void *at)
{
	switch (kind) {
	case KIND_BOOL:
		return *(const bool *)at == (n->number != 0);
	case KIND_OPTBOOL:
	case KIND_OPTINT:
	case KIND_OPTDUR:
		return ((const struct opt *)at)->set && ((const struct opt *)at)->at == n->number;
	case KIND_NUM: {
		double d = *(const double *)at - n->real;

		return !(d < 0 || d > 0);
	}
	case KIND_STR:
	case KIND_ANY:
		return strcmp(*(const char *const *)at, n->text) == 0;
	default:
		return *(const int64_t *)at == n->number;
	}
}

static bool holds(const struct filter_node *n, const void *at)
{
	struct elems e;

	if (!kind_is_row(n->value_kind)) {
		return strstr(*(const char *const *)at, n->text) != NULL;
	}
	e = elems_of(n->field, at);
	for (uint32_t i = 0; i < e.n; i++) {
		if (e.shape->keyed ? strcmp(*elem_key(&e, i), n->text) == 0
				   : value_equal(n, e.shape->value, elem_value(&e, i))) {
			return true;
		}
	}
	return false;
}

static bool is_empty(const struct filter_node *n, const void *at)
{
	if (at == NULL) {
		return true;
	}
	if (n->value_kind == VALUE_STRUCT) {
		return false;
	}
	return n->whole ? member_empty(n->field, at) : **(const char *const *)at == '\0';
}

/* One object that is looked at. */
struct look {
	const void *obj;
	uint64_t cost;
	int rv; /* The first failure; what is answered behind it means nothing. */
};

static bool matches(const struct filter_node *n, const char *text, struct look *l)
{
	int rv = l->rv == 0 ? regfind_test(&n->regex, text, FILTER_COST_MAX - l->cost, &l->cost) : l->rv;

	if (rv == 0 && l->cost > FILTER_COST_MAX) {
		rv = ERR_TOOBIG;
	}
	if (rv != 0 && rv != ERR_NOTFOUND) {
		l->rv = rv;
	}
	return rv == 0;
}

static bool test(const struct filter_node *n, struct look *l)
{
	const void *at = follow(n, l->obj);

	if (n->test == TEST_EMPTY || at == NULL) {
		return n->test == TEST_EMPTY && is_empty(n, at);
	}
	switch (n->test) {
	case TEST_EQUAL:
		return value_equal(n, n->value_kind, at);
	case TEST_IN:
		return holds(n, at);
	default:
		return matches(n, *(const char *const *)at, l);
	}
}

static bool match(const struct filter_node *n, struct look *l)
{
	switch (n->kind) {
	case NODE_AND:
		return match(n->a, l) && match(n->b, l);
	case NODE_OR:
		return match(n->a, l) || match(n->b, l);
	case NODE_NOT:
		return !match(n->a, l);
	default:
		return test(n, l);
	}
}

int filter_match(const struct filter *f, const void *obj, uint64_t *cost, bool *yes)
{
	struct look l = {.obj = obj};
	bool wanted = match(f->root, &l);

	*cost += l.cost;
	if (l.rv == 0) {
		*yes = wanted;
	}
	return l.rv;
}
