/** What the parts of the job language share; for proto/jobspec*.c alone. */
#ifndef PROTO_JOBSPEC_PARTS_H_
#define PROTO_JOBSPEC_PARTS_H_

#include "proto/hcl_decode.h"
#include "proto/hcl_eval.h"
#include "proto/jobspec.h"

/* A name and its value, in the order of names. */
struct jobspec_names {
	struct hcl_member *at;
	uint32_t n;
	uint32_t weight;
};

struct jobspec {
	struct arena *mem;
	struct hcl_report report; /* Faults so far. */
	struct hcl_budget budget;
	struct hcl_scope scope;     /* What expressions of the job see. */
	struct hcl_scope functions; /* The same without names. */
	struct jobspec_names variables;
	struct jobspec_names locals;
	const struct map *flags; /* See struct jobspec_source. */
	struct uuid seed;
	uint64_t n_uuids;
	uint32_t copies; /* Nodes added to the tree. */
	bool nomem;
};

/* A fault of the file. */
#define jobspec_fault(js, pos, ...) hcl_report_add(&(js)->report, true, pos, __VA_ARGS__)

/* The value of an expression; false when it has none, which is noted. */
bool jobspec_eval(struct jobspec *js, const struct hcl_scope *scope, const struct hcl_expr *e, struct hcl_value *out);

/* The code of a function that may have run out of memory, which is kept in mind. */
int jobspec_note(struct jobspec *js, int rv);

void *jobspec_alloc(struct jobspec *js, size_t count, size_t size);

/* ---- jobspec_tree.c: pieces of trees ---- */

struct hcl_expr *jobspec_literal(struct jobspec *js, const struct hcl_value *v, struct hcl_pos pos);
struct hcl_expr *jobspec_text(struct jobspec *js, const char *text, struct hcl_pos pos);

/* The attribute or block of that name, or NULL. */
struct hcl_item *jobspec_find(const struct hcl_body *body, const char *name);
void jobspec_remove(struct hcl_body *body, const struct hcl_item *item);
struct hcl_item *jobspec_add(struct jobspec *js, struct hcl_body *body, const char *name, struct hcl_pos pos);

/* A copy in which the variable `name` has become that value, but where a for expression has one of the same name. NULL
 * when memory or JOBSPEC_MAX_COPIES is exhausted, which is noted. */
struct hcl_body *jobspec_copy(struct jobspec *js, const struct hcl_body *body, const char *name,
			      const struct hcl_value *value);

/* ---- jobspec_names.c: variables and locals ---- */

void jobspec_read_variables(struct jobspec *js, const struct hcl_body *file, const struct hcl_body *values,
			    const char *values_name);
void jobspec_read_locals(struct jobspec *js, const struct hcl_body *file);

/* The value of a name, with js for ctx: "var" and "local" are known. */
int jobspec_variable_cb(void *ctx, const char *name, struct arena *mem, struct hcl_value *value,
			struct hcl_error *error);

/* ---- jobspec_type.c: types of variables ---- */

/* Convert to what the type expression says. False with `error`. */
bool jobspec_convert(struct jobspec *js, const struct hcl_expr *type, struct hcl_value *v, struct hcl_error *error);

/* A total order of values: by kind, then by what they are. */
int jobspec_compare(const struct hcl_value *a, const struct hcl_value *b);

/* Sort, and drop doubles. */
void jobspec_make_set(struct hcl_value *at, uint32_t *n);

/* Whether a text cannot be of that type, so that it stands for an expression where only texts can be given. */
bool jobspec_type_is_compound(const struct hcl_expr *type);

/* ---- jobspec_func*.c: functions ---- */

/* With js for ctx. */
int jobspec_function_cb(void *ctx, const char *name, const struct hcl_value *args, uint32_t n, struct arena *mem,
			struct hcl_value *value, struct hcl_error *error);

/* ---- jobspec_block.c: what the language has beyond the field tables ---- */

/* Make of the body of a job one that hcl_decode() takes for `job`, in place. */
void jobspec_lower(struct jobspec *js, struct hcl_item *job);

#endif /* PROTO_JOBSPEC_PARTS_H_ */
