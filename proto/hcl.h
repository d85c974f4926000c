/**
 * HCL2's native syntax, and JSON in its place, as trees in an arena.
 *
 *     group "web" {               a body is a list of items: attributes and blocks
 *       count = 2 * var.scale     an attribute's value is an expression, kept unevaluated
 *     }
 *
 * Parsing does no I/O and evaluates nothing: see proto/hcl_eval.h for values of expressions and proto/hcl_decode.h for
 * objects made from bodies. Every node knows its line and column, counted from 1, columns in characters.
 *
 * Beyond the language's definition, bodies take what older configuration files have in them: quoted or dotted
 * attribute names ("driver.raw_exec.enable" = true), several items on one line, and commas between items.
 *
 * Bounds. A text longer than HCL_MAX_BYTES, one that makes more than HCL_MAX_NODES nodes or nests deeper than
 * HCL_MAX_DEPTH is refused with an error; so whoever walks a tree may do it by recursion. Time is proportional to the
 * length of the text.
 */
#ifndef PROTO_HCL_H_
#define PROTO_HCL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"

enum { HCL_MAX_BYTES = 4 << 20, HCL_MAX_NODES = 1 << 20, HCL_MAX_DEPTH = 200, HCL_MAX_LABELS = 8 };

struct hcl_pos {
	uint32_t line;
	uint32_t column;
};

/* Why a text, an expression or a value was refused, and where. */
struct hcl_error {
	struct hcl_pos pos;
	char text[200];
};

/* ---- values ---- */

#define HCL_VALUE_LIST(X)                                                                                              \
	X(NULL, "null")                                                                                                \
	X(BOOL, "a bool")                                                                                              \
	X(NUMBER, "a number")                                                                                          \
	X(STRING, "a string")                                                                                          \
	X(LIST, "a list")                                                                                              \
	X(OBJECT, "an object")

enum hcl_value_kind {
#define X(name, text) HCL_##name,
	HCL_VALUE_LIST(X)
#undef X
};

/* Whole numbers of 64 bits are exact; all others are doubles. `num` is always set. */
struct hcl_number {
	double num;
	int64_t integer; /* Only if exact. */
	bool exact;
};

struct hcl_member;

/* Strings are UTF-8; U+0000 is the two bytes C0 80, as in proto/object.h. */
struct hcl_value {
	enum hcl_value_kind kind;
	uint32_t weight; /* What walking it costs: parts of lists and objects, and a share of the length of texts. */
	union {
		bool boolean;
		struct hcl_number number;
		const char *string;
		struct {
			const struct hcl_value *at;
			uint32_t n;
		} list;
		struct {
			const struct hcl_member *at; /* Sorted by key, without doubles. */
			uint32_t n;
		} object;
	};
};

struct hcl_member {
	const char *key;
	struct hcl_value value;
};

/* ---- expressions ---- */

/* What each kind has in it: children in the order given (`first`, linked by `next`), and members of the union. */
#define HCL_EXPR_LIST(X)                                                                                               \
	X(LITERAL)       /* value: null, bool, number or string */                                                     \
	X(TEMPLATE)      /* parts: string LITERAL, INTERPOLATION, TEMPLATE_IF, TEMPLATE_FOR */                         \
	X(INTERPOLATION) /* the expression; source: the text from ${ to } */                                           \
	X(TEMPLATE_IF)   /* condition, template, template of the else branch or nothing */                             \
	X(TEMPLATE_FOR)  /* collection, template; loop */                                                              \
	X(TUPLE)         /* elements */                                                                                \
	X(OBJECT)        /* key, value, key, value ... */                                                              \
	X(VARIABLE)      /* name */                                                                                    \
	X(ATTR)          /* the object; name */                                                                        \
	X(INDEX)         /* the collection, the key */                                                                 \
	X(SPLAT)         /* the collection, what is made of each element, an EACH at its root */                       \
	X(EACH)          /* the element, in the second child of a SPLAT */                                             \
	X(CALL)          /* arguments; name, spread */                                                                 \
	X(NOT)           /* the operand */                                                                             \
	X(NEGATE)        /* the operand */                                                                             \
	X(BINARY)        /* left, right; op */                                                                         \
	X(CONDITIONAL)   /* condition, value if true, value if false */                                                \
	X(FOR_LIST)      /* collection, value, condition or nothing; loop */                                           \
	X(FOR_OBJECT)    /* collection, key, value, condition or nothing; loop, spread = group */

enum hcl_expr_kind {
#define X(name) EXPR_##name,
	HCL_EXPR_LIST(X)
#undef X
};

/* Name, text, how tightly it binds. No text stands before a longer one that it begins. */
#define HCL_OPERATOR_LIST(X)                                                                                           \
	X(OR, "||", 1)                                                                                                 \
	X(AND, "&&", 2)                                                                                                \
	X(EQ, "==", 3)                                                                                                 \
	X(NE, "!=", 3)                                                                                                 \
	X(GE, ">=", 4)                                                                                                 \
	X(LE, "<=", 4)                                                                                                 \
	X(GT, ">", 4)                                                                                                  \
	X(LT, "<", 4)                                                                                                  \
	X(ADD, "+", 5)                                                                                                 \
	X(SUB, "-", 5)                                                                                                 \
	X(MUL, "*", 6)                                                                                                 \
	X(DIV, "/", 6)                                                                                                 \
	X(MOD, "%", 6)

enum hcl_operator {
#define X(name, text, level) HCL_OP_##name,
	HCL_OPERATOR_LIST(X)
#undef X
		HCL_N_OPS
};

struct hcl_expr {
	struct hcl_expr *next;  /* The next child of the same parent. */
	struct hcl_expr *first; /* The first child. */
	uint32_t n;             /* Children. */
	uint8_t kind;
	uint8_t op;
	bool spread;     /* CALL: the last argument is spread out; FOR_OBJECT: values are grouped by key. */
	uint16_t height; /* Levels below this node; at most HCL_MAX_DEPTH. */
	struct hcl_pos pos;
	union {
		struct hcl_value value;
		const char *name;
		struct {
			const char *key; /* NULL if only the value has a name. */
			const char *value;
		} loop;
		struct {
			const char *at; /* In the arena's copy of the text. */
			uint32_t len; /* 0 in copies that differ from the text. */
		} source;
	};
};

/* ---- bodies ---- */

struct hcl_body;

struct hcl_item {
	struct hcl_item *next;
	const char *name;
	struct hcl_pos pos;
	struct hcl_expr *value; /* An attribute; NULL for a block. */
	struct hcl_body *body;  /* A block; NULL for an attribute. */
	const char **labels;
	uint32_t n_labels;
};

/* In the order of the text. No two attributes of a body from native syntax have the same name. */
struct hcl_body {
	struct hcl_item *first;
	uint32_t n;
	struct hcl_pos pos;
};

/* All of the result is in `mem`, which holds a copy of the text as well. 0, ERR_NOMEM, ERR_SYNTAX or ERR_TOOBIG, the
 * latter two with `error`. */
int hcl_parse(const char *text, size_t len, struct arena *mem, struct hcl_body **body, struct hcl_error *error);

/* One expression that fills the whole text. */
int hcl_parse_expr(const char *text, size_t len, struct arena *mem, struct hcl_expr **expr, struct hcl_error *error);

/* A JSON object as a body. Each member becomes an attribute; whether an object among them is meant as a block, and
 * which of its keys are labels, only its reader can know (hcl_decode() does). Strings are plain, not templates. */
int hcl_parse_json(const char *text, size_t len, struct arena *mem, struct hcl_body **body, struct hcl_error *error);

/* An object expression as a body of attributes; NULL when memory is exhausted. A key that is no string literal gets
 * the empty name. */
struct hcl_body *hcl_object_body(const struct hcl_expr *object, struct arena *mem);

/* As canonical native syntax: parsing the output gives an equal tree. */
void hcl_print(const struct hcl_body *body, struct buf *out);
void hcl_print_expr(const struct hcl_expr *e, struct buf *out);

/* How an operator is written, and its level. */
const char *hcl_operator_text(enum hcl_operator op);
unsigned hcl_operator_level(enum hcl_operator op);

/* "a number", "a list" ...: for messages. */
const char *hcl_kind_text(enum hcl_value_kind kind);

/* A double as a number, exact if it is whole and small enough to be sure of it. */
struct hcl_number hcl_number_of(double num);
struct hcl_number hcl_integer(int64_t integer);

/* The weight of a string of that length. */
static inline uint32_t hcl_text_weight(size_t len)
{
	return (uint32_t)(1 + len / 64);
}

struct hcl_number hcl_negative(struct hcl_number n);

/* As short as it reads back to the same number. */
void hcl_number_put(const struct hcl_number *n, struct buf *out);

/* The length of the number that `text` begins with, 0 if it does not. */
size_t hcl_number_len(const char *text);

/* Digits with fraction and exponent, no sign; false if it is too large for a double or longer than 127 characters. */
bool hcl_number_parse(const char *text, size_t len, struct hcl_number *n);

#endif /* PROTO_HCL_H_ */
