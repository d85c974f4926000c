/**
 * Between the files of templates: values, expressions, functions.
 *
 *     template.c        text and actions; if, with, range
 *     template_expr.c   an action's expression: operands, fields, pipelines, variables
 *     template_func.c   the functions: one line each in its list
 *     template_data.c   those that ask the cluster
 *
 * After a failure all that comes back is of no use; whoever loops looks at `rc`.
 */
#ifndef CLIENT_TEMPLATE_PARTS_H_
#define CLIENT_TEMPLATE_PARTS_H_

#include "client/template.h"

enum {
	TEMPLATE_ARGS = 16,       /* Of one call. */
	TEMPLATE_VARIABLES = 64,  /* At any time. */
	TEMPLATE_DEPTH = 32,      /* Levels of blocks, and of parentheses. */
	TEMPLATE_STEPS = 1 << 20, /* Nodes and calls of one rendering. */
	TEMPLATE_BYTES = 64 << 20, /* That its values take, and that come out. */
};

enum value_kind { VALUE_NIL, VALUE_BOOL, VALUE_INT, VALUE_TEXT, VALUE_RAW, VALUE_LIST, VALUE_MAP };

struct value {
	enum value_kind kind;
	uint32_t n;         /* LIST, MAP: how many. */
	int64_t number;     /* BOOL, INT. */
	const char *text;   /* TEXT; RAW: a number that is none of ours, as it was written; MAP: how it prints, or NULL. */
	struct value *at;   /* LIST, MAP. */
	const char **keys;  /* MAP: ascending. */
	const struct value *hidden; /* MAP: members that are found by name alone, before all others. NULL: none. */
};

static const struct value value_nil = {.kind = VALUE_NIL};

struct variable {
	const char *name; /* In the template. */
	size_t len;
	struct value value;
};

struct template_run {
	const char *p, *end; /* Within the action. */
	const char *start;   /* Of the whole text, to tell lines. */
	const struct template_args *args;
	struct arena mem; /* Values. */
	char *why;
	unsigned depth;
	unsigned steps;
	struct variable variables[TEMPLATE_VARIABLES];
	unsigned n_variables;
	struct value dot;
	bool missing; /* Something that was asked for. */
	int rc;
};

/* ---- template.c ---- */

/* Note the first failure, with the line of `p`. */
void template_refuse(struct template_run *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One more step: false when there have been too many, or values take too much. */
bool template_step(struct template_run *t);

/* ---- template_expr.c ---- */

/* Evaluate the pipeline at `p`, up to the end of the action. */
struct value template_eval(struct template_run *t);

/* "$name" at `p`, of which `name` is all but the dollar. False when something else stands there. */
bool template_variable_name(struct template_run *t, const char **name, size_t *len);

/* Declare a variable, or change one that was declared. */
void template_declare(struct template_run *t, const char *name, size_t len, struct value value);
void template_assign(struct template_run *t, const char *name, size_t len, struct value value);

void template_skip_space(struct template_run *t);

/* Whether `p` stands at this word, which is then passed over. */
bool template_take_word(struct template_run *t, const char *word);

bool value_truth(const struct value *v);
void value_print(const struct value *v, struct buf *out);
struct value value_text(struct template_run *t, const char *text, size_t len);
struct value value_int(int64_t number);
struct value value_bool(bool yes);
const struct value *value_member(const struct value *map, const char *name, size_t len);

/* A member of a map that is not there: nil, or an error if that was asked for. */
struct value value_missing(struct template_run *t, const char *name, size_t len);

/* ---- template_data.c ---- */

struct args {
	const struct value *at;
	unsigned n;
	const char *name; /* Of the function. */
};

struct value data_var(struct template_run *t, const struct args *a);
struct value data_var_exists(struct template_run *t, const struct args *a);
struct value data_var_list(struct template_run *t, const struct args *a);
struct value data_var_list_safe(struct template_run *t, const struct args *a);
struct value data_service(struct template_run *t, const struct args *a);
struct value data_services(struct template_run *t, const struct args *a);

/* ---- template_func.c ---- */

/* The text of an argument; "" and a refusal if it is none. */
const char *text_of(struct template_run *t, const struct args *a, unsigned i);

/* An array of n elements, of which the caller fills all. */
struct value list_of(struct template_run *t, size_t n);

/* A map of `n` members, whose keys ascend. */
struct value map_of(struct template_run *t, const char *const *keys, const struct value *at, size_t n);

/* A JSON text as a value. */
struct value value_json(struct template_run *t, const char *text, size_t len);

/* Call a function by its name. */
struct value template_call(struct template_run *t, const char *name, size_t len, const struct value *args, unsigned n);

#endif /* CLIENT_TEMPLATE_PARTS_H_ */
