/**
 * The value of an HCL expression in a scope of variables and functions.
 *
 * An evaluation takes at most HCL_MAX_STEPS steps, makes at most HCL_MAX_TEXT bytes of strings, and no value of more
 * than HCL_MAX_WEIGHT parts, so that nested for expressions cannot run away.
 */
#ifndef PROTO_HCL_EVAL_H_
#define PROTO_HCL_EVAL_H_

#include "proto/hcl.h"

enum { HCL_MAX_STEPS = 1 << 20, HCL_MAX_TEXT = 16 << 20, HCL_MAX_WEIGHT = 1 << 18 };

/* What evaluations took so far. One that many share bounds them together. */
struct hcl_budget {
	uint32_t steps;
	size_t text; /* Bytes of strings. */
};

/* Where names get their meaning. Callbacks that are NULL know nothing. */
struct hcl_scope {
	/* 0; ERR_NOTFOUND for an unknown name; or another error, with `error->text` (the position is filled in). */
	int (*variable_cb)(void *ctx, const char *name, struct arena *mem, struct hcl_value *value,
			   struct hcl_error *error);
	int (*function_cb)(void *ctx, const char *name, const struct hcl_value *args, uint32_t n, struct arena *mem,
			   struct hcl_value *value, struct hcl_error *error);
	void *ctx;
	/* An unknown variable, with all that is taken from it, stands for itself as text: attr.cpu.arch is
	 * "${attr.cpu.arch}". An interpolation that is nothing else stays as it is written. So what is left of it is for
	 * someone who knows more. What a known variable lacks is an error all the same. */
	bool keep_unknown;
	/* try(a, b ...) is the first that has no error, can(a) whether there is none. */
	bool attempts;
	/* convert(value, TYPE): make the value one of the type, which is not evaluated. 0 or an error with `error`, its
	 * position included. */
	int (*convert_cb)(void *ctx, const struct hcl_expr *type, struct hcl_value *value, struct hcl_error *error);
	struct hcl_budget *budget; /* NULL: each evaluation has one of its own. */
};

/* The value is in `mem`, or in the expression's arena. `scope` may be NULL: nothing is known then. 0, ERR_NOMEM,
 * ERR_NOTFOUND (an unknown variable or function), ERR_TYPE, ERR_RANGE (an index, a division by zero) or ERR_TOOBIG,
 * with `error`. */
int hcl_eval(const struct hcl_expr *e, const struct hcl_scope *scope, struct arena *mem, struct hcl_value *value,
	     struct hcl_error *error);

/* The value of an expression that has no variables in it but those of its own for expressions. */
static inline int hcl_literal(const struct hcl_expr *e, struct arena *mem, struct hcl_value *value,
			      struct hcl_error *error)
{
	return hcl_eval(e, NULL, mem, value, error);
}

/* Conversions that lose nothing: "5" and 5, "true" and true. ERR_TYPE if there is none (*v is as it was then), or
 * ERR_NOMEM. */
int hcl_to_string(struct hcl_value *v, struct arena *mem);
int hcl_to_number(struct hcl_value *v);
int hcl_to_bool(struct hcl_value *v);

bool hcl_equal(const struct hcl_value *a, const struct hcl_value *b);

/* The member of an object, or NULL. */
const struct hcl_value *hcl_member(const struct hcl_value *object, const char *key);

/* As JSON text, on one line without spaces. The buffer fails if it becomes longer than HCL_MAX_TEXT. */
void hcl_value_json(const struct hcl_value *v, struct buf *out);

#endif /* PROTO_HCL_EVAL_H_ */
