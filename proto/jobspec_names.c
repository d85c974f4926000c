/* Names of a job file: variables, which are given from outside, and locals, which are made of them. */
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec_parts.h"

/* The names so far as one value. Those that took an older one keep it: additions make a new array. */
static struct hcl_value names_value(const struct jobspec_names *names)
{
	return (struct hcl_value){
		.kind = HCL_OBJECT, .weight = names->weight, .object = {.at = names->at, .n = names->n}};
}

static bool names_has(const struct jobspec_names *names, const char *name)
{
	const struct hcl_value v = names_value(names);

	return hcl_member(&v, name) != NULL;
}

static void names_put(struct jobspec *js, struct jobspec_names *names, const char *name, const struct hcl_value *value)
{
	struct hcl_member *at = jobspec_alloc(js, (size_t)names->n + 1, sizeof(*at));
	uint32_t i = 0;

	if (at == NULL) {
		return;
	}
	for (; i < names->n && strcmp(names->at[i].key, name) < 0; i++) {
		at[i] = names->at[i];
	}
	at[i] = (struct hcl_member){.key = name, .value = *value};
	for (; i < names->n; i++) {
		at[i + 1] = names->at[i];
	}
	*names = (struct jobspec_names){
		.at = at, .n = names->n + 1, .weight = names->weight + 2 + value->weight};
}

int jobspec_variable_cb(void *ctx, const char *name, struct arena *mem, struct hcl_value *value,
			struct hcl_error *error)
{
	const struct jobspec *js = ctx;

	(void)mem;
	(void)error;
	if (strcmp(name, "var") == 0) {
		*value = names_value(&js->variables);
		return 0;
	}
	if (strcmp(name, "local") == 0) {
		*value = names_value(&js->locals);
		return 0;
	}
	return ERR_NOTFOUND;
}

static bool is_block(const struct hcl_item *item, const char *name)
{
	return item->body != NULL && strcmp(item->name, name) == 0;
}

/* ---- variables ---- */

/* What is said of a variable. */
struct declared {
	const struct hcl_item *block;
	const struct hcl_expr *type; /* NULL: any. */
	const struct hcl_expr *dflt; /* NULL: it must be given. */
};

static bool read_declaration(struct jobspec *js, const struct hcl_item *block, struct declared *d)
{
	static const char *const others[] = {"description", "sensitive", "nullable", "ephemeral"};
	const struct hcl_item *item;
	size_t i;

	*d = (struct declared){.block = block};
	if (block->n_labels != 1) {
		jobspec_fault(js, block->pos, "variable needs one label: variable \"name\" {");
		return false;
	}
	for (item = block->body->first; item != NULL; item = item->next) {
		if (item->value != NULL && strcmp(item->name, "type") == 0) {
			d->type = item->value;
		} else if (item->value != NULL && strcmp(item->name, "default") == 0) {
			d->dflt = item->value;
		} else if (!is_block(item, "validation")) {
			for (i = 0; i < sizeof(others) / sizeof(others[0]) && strcmp(item->name, others[i]) != 0; i++) {
			}
			if (item->value == NULL || i == sizeof(others) / sizeof(others[0])) {
				jobspec_fault(js, item->pos, "variable.%s.%s is not known here", block->labels[0],
					      item->name);
			}
		}
	}
	return true;
}

/* On a command line, or in the environment, all that can be given is text: for a list or an object it is read as an
 * expression. */
static bool unfold_text(struct jobspec *js, const struct declared *d, struct hcl_value *v, struct hcl_error *error)
{
	struct hcl_expr *e;

	if (v->kind != HCL_STRING || d->type == NULL || !jobspec_type_is_compound(d->type)) {
		return true;
	}
	return jobspec_note(js, hcl_parse_expr(v->string, strlen(v->string), js->mem, &e, error)) == 0 &&
	       jobspec_note(js, hcl_eval(e, &js->functions, js->mem, v, error)) == 0;
}

/* Why a value was refused is told where the value stands. */
static bool fit_value(struct jobspec *js, const struct declared *d, const struct hcl_expr *from, struct hcl_value *v)
{
	struct hcl_error error = {from->pos, ""};

	if (unfold_text(js, d, v, &error) && (d->type == NULL || jobspec_convert(js, d->type, v, &error))) {
		return true;
	}
	jobspec_fault(js, from->pos, "the value of variable \"%s\": %s", d->block->labels[0], error.text);
	return false;
}

/* What a flag says of a variable, or NULL. */
static const char *flag_of(const struct jobspec *js, const char *name)
{
	for (uint32_t i = 0; js->flags != NULL && i < js->flags->n; i++) {
		if (strcmp(js->flags->at[i].key, name) == 0) {
			return js->flags->at[i].value;
		}
	}
	return NULL;
}

static void take_flag(struct jobspec *js, const struct declared *d, const char *text)
{
	const struct hcl_expr at = {.pos = d->block->pos};
	struct hcl_value v = {.kind = HCL_STRING, .string = text};

	if (fit_value(js, d, &at, &v)) {
		names_put(js, &js->variables, d->block->labels[0], &v);
	}
}

static void take_variable(struct jobspec *js, const struct declared *d, const struct hcl_item *given,
			  const char *values_name)
{
	const struct hcl_expr *from = given != NULL ? given->value : d->dflt;
	const char *file = js->report.file;
	const char *name = d->block->labels[0];
	const char *flag = flag_of(js, name);
	struct hcl_value v;

	if (names_has(&js->variables, name) || js->variables.n == JOBSPEC_MAX_NAMES) {
		jobspec_fault(js, d->block->pos, js->variables.n == JOBSPEC_MAX_NAMES
							 ? "variable \"%s\" is one too many"
							 : "variable \"%s\" is declared twice",
			      name);
		return;
	}
	if (flag != NULL) {
		take_flag(js, d, flag);
		return;
	}
	if (from == NULL) {
		jobspec_fault(js, d->block->pos,
			      "unset variable \"%s\": a variable must be given a value or have a default", name);
		return;
	}
	js->report.file = given != NULL ? values_name : file;
	if (jobspec_eval(js, &js->functions, from, &v) && fit_value(js, d, from, &v)) {
		names_put(js, &js->variables, name, &v);
	}
	js->report.file = file;
}

static void validate(struct jobspec *js, const struct declared *d, const struct hcl_item *block)
{
	const struct hcl_item *condition = jobspec_find(block->body, "condition");
	const struct hcl_item *text = jobspec_find(block->body, "error_message");
	struct hcl_value yes;
	struct hcl_value why;

	if (condition == NULL || condition->value == NULL || text == NULL || text->value == NULL) {
		jobspec_fault(js, block->pos, "validation needs a condition and an error_message");
		return;
	}
	if (!names_has(&js->variables, d->block->labels[0]) ||
	    !jobspec_eval(js, &js->scope, condition->value, &yes)) {
		return;
	}
	if (hcl_to_bool(&yes) != 0) {
		jobspec_fault(js, condition->value->pos, "a bool is needed here, not %s", hcl_kind_text(yes.kind));
	} else if (!yes.boolean && jobspec_eval(js, &js->scope, text->value, &why) &&
		   jobspec_note(js, hcl_to_string(&why, js->mem)) == 0) {
		jobspec_fault(js, condition->value->pos, "invalid value for variable \"%s\": %s", d->block->labels[0],
			      why.string);
	}
}

void jobspec_read_variables(struct jobspec *js, const struct hcl_body *file, const struct hcl_body *values,
			    const char *values_name)
{
	const struct hcl_item *item;
	const struct hcl_item *inner;
	struct declared d;

	for (item = file->first; item != NULL; item = item->next) {
		if (!is_block(item, "variable") || !read_declaration(js, item, &d)) {
			continue;
		}
		const struct hcl_item *given = values != NULL ? jobspec_find(values, item->labels[0]) : NULL;

		take_variable(js, &d, given != NULL && given->value != NULL ? given : NULL, values_name);
		for (inner = item->body->first; inner != NULL; inner = inner->next) {
			if (is_block(inner, "validation")) {
				validate(js, &d, inner);
			}
		}
	}
}

/* ---- locals ---- */

enum { LOCALS_MAX_CHAIN = 64 }; /* Of locals that are made of locals: looking through them is recursion. */

enum local_state { LOCAL_NEW, LOCAL_OPEN, LOCAL_DONE };

struct local {
	const struct hcl_item *item;
	enum local_state state;
};

struct locals {
	struct jobspec *js;
	struct local *at;
	uint32_t n;
	uint32_t chain;
};

static void settle(struct locals *all, struct local *l);

static void settle_named(struct locals *all, const char *name)
{
	uint32_t i;

	for (i = 0; i < all->n; i++) {
		if (strcmp(all->at[i].item->name, name) == 0) {
			settle(all, &all->at[i]);
			return;
		}
	}
}

static bool is_local(const struct hcl_expr *e)
{
	return e->kind == EXPR_VARIABLE && strcmp(e->name, "local") == 0;
}

/* Have all locals that an expression names. */
static void settle_mentioned(struct locals *all, const struct hcl_expr *e)
{
	const struct hcl_expr *child;

	if (e->kind == EXPR_ATTR && is_local(e->first)) {
		settle_named(all, e->name);
	} else if (e->kind == EXPR_INDEX && is_local(e->first) && e->first->next->kind == EXPR_LITERAL &&
		   e->first->next->value.kind == HCL_STRING) {
		settle_named(all, e->first->next->value.string);
	}
	for (child = e->first; child != NULL; child = child->next) {
		settle_mentioned(all, child);
	}
}

/* Each is looked at once, so all of it takes no longer than the text; a chain is as long as there are locals. */
static void settle(struct locals *all, struct local *l)
{
	const struct jobspec *js = all->js;
	unsigned before = js->report.errors;
	struct hcl_value v;

	if (l->state == LOCAL_OPEN) {
		jobspec_fault(all->js, l->item->pos, "local \"%s\" is made of itself", l->item->name);
		l->state = LOCAL_DONE;
	}
	if (l->state == LOCAL_DONE) {
		return;
	}
	if (all->chain == LOCALS_MAX_CHAIN) {
		jobspec_fault(all->js, l->item->pos, "local \"%s\" ends a chain of more than %d locals", l->item->name,
			      LOCALS_MAX_CHAIN);
		return;
	}
	l->state = LOCAL_OPEN;
	all->chain++;
	settle_mentioned(all, l->item->value);
	all->chain--;
	/* What is made of something faulty has no fault of its own. */
	if (js->report.errors == before && jobspec_eval(all->js, &all->js->scope, l->item->value, &v)) {
		names_put(all->js, &all->js->locals, l->item->name, &v);
	}
	l->state = LOCAL_DONE;
}

static void gather_locals(struct locals *all, const struct hcl_item *block)
{
	const struct hcl_item *item;
	uint32_t i;

	for (item = block->body->first; item != NULL; item = item->next) {
		for (i = 0; i < all->n && strcmp(all->at[i].item->name, item->name) != 0; i++) {
		}
		if (item->value == NULL) {
			jobspec_fault(all->js, item->pos, "locals have no blocks");
		} else if (i < all->n) {
			jobspec_fault(all->js, item->pos, "local \"%s\" is given twice", item->name);
		} else if (all->n == JOBSPEC_MAX_NAMES) {
			jobspec_fault(all->js, item->pos, "local \"%s\" is one too many", item->name);
			return;
		} else {
			all->at[all->n++] = (struct local){.item = item};
		}
	}
}

void jobspec_read_locals(struct jobspec *js, const struct hcl_body *file)
{
	struct locals all = {.js = js, .at = jobspec_alloc(js, JOBSPEC_MAX_NAMES, sizeof(*all.at))};
	const struct hcl_item *item;
	uint32_t i;

	for (item = file->first; item != NULL && all.at != NULL; item = item->next) {
		if (is_block(item, "locals")) {
			gather_locals(&all, item);
		}
	}
	for (i = 0; i < all.n; i++) {
		settle(&all, &all.at[i]);
	}
}
