/* Pieces of trees: making, finding, copying. */
#include <string.h>

#include "proto/jobspec_parts.h"

struct hcl_expr *jobspec_literal(struct jobspec *js, const struct hcl_value *v, struct hcl_pos pos)
{
	struct hcl_expr *e = jobspec_alloc(js, 1, sizeof(*e));

	if (e != NULL) {
		e->kind = EXPR_LITERAL;
		e->pos = pos;
		e->value = *v;
	}
	return e;
}

struct hcl_expr *jobspec_text(struct jobspec *js, const char *text, struct hcl_pos pos)
{
	const struct hcl_value v = {
		.kind = HCL_STRING, .weight = hcl_text_weight(strlen(text)), .string = text};

	return jobspec_literal(js, &v, pos);
}

struct hcl_item *jobspec_find(const struct hcl_body *body, const char *name)
{
	struct hcl_item *item = body->first;

	while (item != NULL && strcmp(item->name, name) != 0) {
		item = item->next;
	}
	return item;
}

void jobspec_remove(struct hcl_body *body, const struct hcl_item *item)
{
	struct hcl_item **at = &body->first;

	while (*at != item) {
		at = &(*at)->next;
	}
	*at = item->next;
	body->n--;
}

struct hcl_item *jobspec_add(struct jobspec *js, struct hcl_body *body, const char *name, struct hcl_pos pos)
{
	struct hcl_item *item = jobspec_alloc(js, 1, sizeof(*item));
	struct hcl_item **at = &body->first;

	if (item == NULL) {
		return NULL;
	}
	while (*at != NULL) {
		at = &(*at)->next;
	}
	*item = (struct hcl_item){.name = name, .pos = pos};
	*at = item;
	body->n++;
	return item;
}

/* ---- copies ---- */

/* A variable that is replaced; NULL where a for expression hides it. */
struct replaced {
	const char *name;
	const struct hcl_value *value;
};

static void *copy_node(struct jobspec *js, const void *from, size_t size, struct hcl_pos pos)
{
	void *to;

	if (++js->copies > JOBSPEC_MAX_COPIES) {
		if (js->copies == JOBSPEC_MAX_COPIES + 1) {
			jobspec_fault(js, pos, "dynamic blocks make too large a job");
		}
		return NULL;
	}
	to = jobspec_alloc(js, 1, size);
	if (to != NULL) {
		memcpy(to, from, size);
	}
	return to;
}

static struct hcl_expr *copy_expr(struct jobspec *js, const struct hcl_expr *e, const struct replaced *r);

static bool has_loop(const struct hcl_expr *e)
{
	return e->kind == EXPR_FOR_LIST || e->kind == EXPR_FOR_OBJECT || e->kind == EXPR_TEMPLATE_FOR;
}

static bool hides(const struct hcl_expr *e, const char *name)
{
	return (e->loop.key != NULL && strcmp(e->loop.key, name) == 0) || strcmp(e->loop.value, name) == 0;
}

/* The collection that a for expression goes through is outside of what its own names hide. */
static bool copy_children(struct jobspec *js, struct hcl_expr *to, const struct hcl_expr *from, const struct replaced *r)
{
	const struct replaced *inner = r != NULL && has_loop(from) && hides(from, r->name) ? NULL : r;
	struct hcl_expr **tail = &to->first;
	const struct hcl_expr *child;

	*tail = NULL;
	for (child = from->first; child != NULL; child = child->next) {
		*tail = copy_expr(js, child, child == from->first ? r : inner);
		if (*tail == NULL) {
			return false;
		}
		tail = &(*tail)->next;
	}
	return true;
}

/* What stands in the place of an expression, or NULL. Members are looked up here, so that an index that is kept as text
 * prints as what it is: meta[port.key] as meta["http"]. */
static const struct hcl_value *replacement(const struct hcl_expr *e, const struct replaced *r)
{
	if (r == NULL) {
		return NULL;
	}
	if (e->kind == EXPR_VARIABLE && strcmp(e->name, r->name) == 0) {
		return r->value;
	}
	if (e->kind == EXPR_ATTR && e->first->kind == EXPR_VARIABLE && strcmp(e->first->name, r->name) == 0 &&
	    r->value->kind == HCL_OBJECT) {
		return hcl_member(r->value, e->name);
	}
	return NULL;
}

static struct hcl_expr *copy_expr(struct jobspec *js, const struct hcl_expr *e, const struct replaced *r)
{
	struct hcl_expr *to = copy_node(js, e, sizeof(*e), e->pos);
	const struct hcl_value *v = replacement(e, r);

	if (to == NULL) {
		return NULL;
	}
	to->next = NULL;
	if (v != NULL) {
		*to = (struct hcl_expr){.kind = EXPR_LITERAL, .pos = e->pos, .value = *v};
		return to;
	}
	if (e->kind == EXPR_INTERPOLATION) {
		to->source.len = 0; /* It may no longer say what was written. */
	}
	return copy_children(js, to, e, r) ? to : NULL;
}

static struct hcl_body *copy_body(struct jobspec *js, const struct hcl_body *body, const struct replaced *r)
{
	struct hcl_body *to = copy_node(js, body, sizeof(*body), body->pos);
	struct hcl_item **tail = to != NULL ? &to->first : NULL;
	const struct hcl_item *item;

	for (item = to != NULL ? body->first : NULL; item != NULL; item = item->next) {
		struct hcl_item *copy = copy_node(js, item, sizeof(*item), item->pos);

		if (copy == NULL) {
			return NULL;
		}
		copy->next = NULL;
		copy->value = item->value != NULL ? copy_expr(js, item->value, r) : NULL;
		copy->body = item->body != NULL ? copy_body(js, item->body, r) : NULL;
		if (copy->value == NULL && copy->body == NULL) {
			return NULL;
		}
		*tail = copy;
		tail = &copy->next;
	}
	return to;
}

struct hcl_body *jobspec_copy(struct jobspec *js, const struct hcl_body *body, const char *name,
			      const struct hcl_value *value)
{
	const struct replaced r = {name, value};

	return copy_body(js, body, &r);
}
