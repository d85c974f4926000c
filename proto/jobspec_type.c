/* Types of variables: string, number, bool, any; list, set, map, tuple and object of them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/jobspec_parts.h"

static bool refuse(struct hcl_error *error, struct hcl_pos pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool refuse(struct hcl_error *error, struct hcl_pos pos, const char *format, ...)
{
	va_list args;

	error->pos = pos;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return false;
}

static bool out_of_memory(struct jobspec *js, struct hcl_error *error, struct hcl_pos pos)
{
	js->nomem = true;
	return refuse(error, pos, "out of memory");
}

/* ---- scalars ---- */

static bool convert_scalar(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v,
			   struct hcl_error *error)
{
	const char *is = hcl_kind_text(v->kind);
	int rv;

	if (strcmp(type->name, "any") == 0) {
		return true;
	}
	if (strcmp(type->name, "string") == 0) {
		rv = hcl_to_string(v, js->mem);
	} else if (strcmp(type->name, "number") == 0) {
		rv = hcl_to_number(v);
	} else if (strcmp(type->name, "bool") == 0) {
		rv = hcl_to_bool(v);
	} else if (strcmp(type->name, "list") == 0 || strcmp(type->name, "set") == 0 ||
		   strcmp(type->name, "map") == 0) {
		/* The older short form of list(any). */
		rv = v->kind == (type->name[0] == 'm' ? HCL_OBJECT : HCL_LIST) ? 0 : ERR_TYPE;
	} else {
		return refuse(error, type->pos, "unknown type \"%.80s\"", type->name);
	}
	if (rv == ERR_NOMEM) {
		return out_of_memory(js, error, type->pos);
	}
	return rv == 0 || refuse(error, type->pos, "%s is needed, not %s",
				 type->name[0] == 's' ? "a string" : type->name, is);
}

/* ---- lists and maps ---- */

static int compare_numbers(const struct hcl_number *a, const struct hcl_number *b)
{
	if (a->exact && b->exact) {
		return (a->integer > b->integer) - (a->integer < b->integer);
	}
	return (a->num > b->num) - (a->num < b->num);
}

static int compare_lists(const struct hcl_value *a, const struct hcl_value *b)
{
	uint32_t i;
	int order = 0;

	for (i = 0; i < a->list.n && i < b->list.n && order == 0; i++) {
		order = jobspec_compare(&a->list.at[i], &b->list.at[i]);
	}
	return order != 0 ? order : (a->list.n > b->list.n) - (a->list.n < b->list.n);
}

static int compare_objects(const struct hcl_value *a, const struct hcl_value *b)
{
	uint32_t i;
	int order = 0;

	for (i = 0; i < a->object.n && i < b->object.n && order == 0; i++) {
		order = strcmp(a->object.at[i].key, b->object.at[i].key);
		order = order != 0 ? order : jobspec_compare(&a->object.at[i].value, &b->object.at[i].value);
	}
	return order != 0 ? order : (a->object.n > b->object.n) - (a->object.n < b->object.n);
}

int jobspec_compare(const struct hcl_value *a, const struct hcl_value *b)
{
	if (a->kind != b->kind) {
		return a->kind < b->kind ? -1 : 1;
	}
	switch (a->kind) {
	case HCL_BOOL:
		return (int)a->boolean - (int)b->boolean;
	case HCL_NUMBER:
		return compare_numbers(&a->number, &b->number);
	case HCL_STRING:
		return strcmp(a->string, b->string);
	case HCL_LIST:
		return compare_lists(a, b);
	case HCL_OBJECT:
		return compare_objects(a, b);
	default:
		return 0;
	}
}

static int compare_values(const void *a, const void *b)
{
	return jobspec_compare(a, b);
}

void jobspec_make_set(struct hcl_value *at, uint32_t *n)
{
	uint32_t kept = 0;
	uint32_t i;

	qsort(at, *n, sizeof(*at), compare_values);
	for (i = 0; i < *n; i++) {
		if (kept == 0 || jobspec_compare(&at[kept - 1], &at[i]) != 0) {
			at[kept++] = at[i];
		}
	}
	*n = kept;
}

static bool convert_list(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v, struct hcl_error *error)
{
	struct hcl_value *at;
	uint32_t i;

	if (v->kind != HCL_LIST) {
		return refuse(error, type->pos, "a %s is needed, not %s", type->name, hcl_kind_text(v->kind));
	}
	at = jobspec_alloc(js, v->list.n, sizeof(*at));
	if (at == NULL) {
		return out_of_memory(js, error, type->pos);
	}
	for (i = 0; i < v->list.n; i++) {
		at[i] = v->list.at[i];
		if (!jobspec_convert(js, type->first, &at[i], error)) {
			return false;
		}
	}
	v->list.at = at;
	if (type->name[0] == 's') {
		jobspec_make_set(at, &v->list.n);
	}
	return true;
}

static bool convert_map(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v, struct hcl_error *error)
{
	struct hcl_member *at;
	uint32_t i;

	if (v->kind != HCL_OBJECT) {
		return refuse(error, type->pos, "a map is needed, not %s", hcl_kind_text(v->kind));
	}
	at = jobspec_alloc(js, v->object.n, sizeof(*at));
	if (at == NULL) {
		return out_of_memory(js, error, type->pos);
	}
	for (i = 0; i < v->object.n; i++) {
		at[i] = v->object.at[i];
		if (!jobspec_convert(js, type->first, &at[i].value, error)) {
			return false;
		}
	}
	v->object.at = at;
	return true;
}

/* ---- tuples and objects ---- */

static bool convert_tuple(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v, struct hcl_error *error)
{
	const struct hcl_expr *tuple = type->first;
	const struct hcl_expr *one;
	struct hcl_value *at;
	uint32_t i = 0;

	if (tuple->kind != EXPR_TUPLE) {
		return refuse(error, tuple->pos, "tuple needs a list of types: tuple([string, number])");
	}
	if (v->kind != HCL_LIST || v->list.n != tuple->n) {
		return refuse(error, type->pos, "a list of %u elements is needed", tuple->n);
	}
	at = jobspec_alloc(js, v->list.n, sizeof(*at));
	if (at == NULL) {
		return out_of_memory(js, error, type->pos);
	}
	for (one = tuple->first; one != NULL; one = one->next, i++) {
		at[i] = v->list.at[i];
		if (!jobspec_convert(js, one, &at[i], error)) {
			return false;
		}
	}
	v->list.at = at;
	return true;
}

static int compare_members(const void *a, const void *b)
{
	return strcmp(((const struct hcl_member *)a)->key, ((const struct hcl_member *)b)->key);
}

/* The member of an object type: optional(TYPE), optional(TYPE, DEFAULT), or a TYPE that must be given. */
static bool convert_member(struct jobspec *js, const char *key, const struct hcl_expr *type,
			   const struct hcl_value *given, struct hcl_value *out, struct hcl_error *error)
{
	bool optional = type->kind == EXPR_CALL && strcmp(type->name, "optional") == 0 && type->first != NULL;
	const struct hcl_expr *dflt = optional ? type->first->next : NULL;

	*out = (struct hcl_value){.kind = HCL_NULL};
	if (given != NULL && (given->kind != HCL_NULL || !optional)) {
		*out = *given;
	} else if (!optional) {
		return refuse(error, type->pos, "the member \"%.80s\" is missing", key);
	} else if (dflt != NULL && jobspec_note(js, hcl_eval(dflt, &js->functions, js->mem, out, error)) != 0) {
		return false;
	}
	return jobspec_convert(js, optional ? type->first : type, out, error);
}

static bool convert_object(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v,
			   struct hcl_error *error)
{
	const struct hcl_expr *object = type->first;
	const struct hcl_expr *key;
	struct hcl_member *at;
	uint32_t n = 0;

	if (object->kind != EXPR_OBJECT) {
		return refuse(error, object->pos, "object needs the types of its members: object({name = string})");
	}
	if (v->kind != HCL_OBJECT) {
		return refuse(error, type->pos, "an object is needed, not %s", hcl_kind_text(v->kind));
	}
	at = jobspec_alloc(js, object->n / 2, sizeof(*at));
	if (at == NULL) {
		return out_of_memory(js, error, type->pos);
	}
	for (key = object->first; key != NULL; key = key->next->next, n++) {
		if (key->kind != EXPR_LITERAL || key->value.kind != HCL_STRING) {
			return refuse(error, key->pos, "a name is needed here");
		}
		at[n].key = key->value.string;
		if (!convert_member(js, at[n].key, key->next, hcl_member(v, at[n].key), &at[n].value, error)) {
			return false;
		}
	}
	qsort(at, n, sizeof(*at), compare_members);
	v->object.at = at; /* Members that the type does not have are dropped. */
	v->object.n = n;
	return true;
}

/* ---- the walk ---- */

bool jobspec_type_is_compound(const struct hcl_expr *type)
{
	return type->kind == EXPR_CALL ||
	       (type->kind == EXPR_VARIABLE && strcmp(type->name, "string") != 0 && strcmp(type->name, "number") != 0 &&
		strcmp(type->name, "bool") != 0 && strcmp(type->name, "any") != 0);
}

bool jobspec_convert(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v, struct hcl_error *error)
{
	static const struct {
		const char *name;
		bool (*convert)(struct jobspec *, const struct hcl_expr *, struct hcl_value *, struct hcl_error *);
	} compounds[] = {
		{"list", convert_list},	  {"set", convert_list},      {"map", convert_map},
		{"tuple", convert_tuple}, {"object", convert_object},
	};
	size_t i;

	if (v->kind == HCL_NULL) {
		return true;
	}
	if (++js->budget.steps > HCL_MAX_STEPS) {
		return refuse(error, type->pos, "the job file takes too many steps");
	}
	/* Types in quotes are an older form. */
	if (type->kind == EXPR_LITERAL && type->value.kind == HCL_STRING) {
		const struct hcl_expr plain = {
			.kind = EXPR_VARIABLE, .pos = type->pos, .name = type->value.string};

		return convert_scalar(js, &plain, v, error);
	}
	if (type->kind == EXPR_VARIABLE) {
		return convert_scalar(js, type, v, error);
	}
	for (i = 0; type->kind == EXPR_CALL && type->n == 1 && i < sizeof(compounds) / sizeof(compounds[0]); i++) {
		if (strcmp(type->name, compounds[i].name) == 0) {
			return compounds[i].convert(js, type, v, error);
		}
	}
	return refuse(error, type->pos, "a type is needed here: string, number, bool, any, list(string) ...");
}
