/**
 * One field list per struct; everything else is derived from it.
 *
 * A list names each field once: its kind, its C member, its name in the API,
 * and, where they apply, its default, its limits and how it is told:
 *
 *     #define TASK_GROUP_FIELDS(X, T)                                      \
 *         X(T, STR,        name,  "Name",  .required = true)          \
 *         X(T, INT,        count, "Count", .dflt = 1, .min = 0)       \
 *         X(T, LIST(task), tasks, "Tasks", .required = true)
 *
 * OBJECT_DECLARE(task_group, TASK_GROUP_FIELDS) in a header makes `struct task_group`;
 * OBJECT_DEFINE(task_group, TASK_GROUP_FIELDS) in one source file makes
 * `task_group_type`, the table that the walkers below read: JSON in and out,
 * msgpack in and out, HCL in, init, copy, free, equal, diff, validate. A list
 * names only structs declared before it or itself, so the objects of a program
 * form a tree.
 *
 * Numbers. In packed form (msgpack: the log, snapshots, RPC) a field is known
 * by its position in the list, counted from 1. So fields are only ever appended
 * to a list, never moved or removed; test_object pins this.
 *
 * Strings are UTF-8 and never NULL: the empty string is their zero. A string of
 * the API may hold the character U+0000; in memory that is the two bytes C0 80,
 * which cannot occur otherwise, so C string functions work on all of them.
 *
 * Given or not. object_init() lets a STR point to its default; a member that
 * was given, even as "", points elsewhere: see str_given().
 */
#ifndef PROTO_OBJECT_H_
#define PROTO_OBJECT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"

enum kind {
	KIND_BOOL,
	KIND_INT,
	KIND_DUR,     /* Nanoseconds; a number in JSON out, on input also "1m30s". */
	KIND_NUM,     /* A double. */
	KIND_TIME,    /* Unix nanoseconds, RFC 3339 in JSON; 0 is null. */
	KIND_STR,
	KIND_BYTES,   /* Base64 in JSON; null when empty. */
	KIND_ANY,     /* JSON text in one form (see jsonin_any()); "" when absent, then null in JSON. */
	KIND_OPTBOOL, /* These three may be absent: null in JSON. */
	KIND_OPTINT,
	KIND_OPTDUR,
	KIND_STRS,
	KIND_INTS,
	KIND_MAP,     /* String to string; all maps are kept sorted by key, without doubles. */
	KIND_INTMAP,  /* String to integer. */
	KIND_NUMMAP,  /* String to double. */
	KIND_BOOLMAP, /* String to bool. */
	KIND_OBJ,     /* Pointer; NULL when absent, then null in JSON. */
	KIND_LIST,    /* Array of structs. */
	KIND_OBJMAP,  /* String to struct. */
};

struct opt {
	int64_t at; /* 0 unless set. */
	bool set;
};
struct bytes { const uint8_t *at; uint32_t n; };
struct strs { const char **at; uint32_t n; };
struct ints { int64_t *at; uint32_t n; };
struct pair { const char *key; const char *value; };
struct map { struct pair *at; uint32_t n; };
struct int_pair { const char *key; int64_t value; };
struct intmap { struct int_pair *at; uint32_t n; };
struct num_pair { const char *key; double value; };
struct nummap { struct num_pair *at; uint32_t n; };
struct bool_pair { const char *key; bool value; };
struct boolmap { struct bool_pair *at; uint32_t n; };
struct objs { void *at; uint32_t n; };                        /* What LIST(S) members look like. */
struct objmap { const char **keys; void *at; uint32_t n; };   /* What OBJMAP(S) members look like. */

struct type;

struct field {
	const char *name; /* In the API. */
	const char *json; /* As it stands in JSON text: "Name": */
	const char *hcl;  /* In HCL: the C member's name unless the list says otherwise. */
	uint16_t name_len;
	uint16_t offset;
	uint8_t kind;
	bool required; /* Empty or absent is a validation error. */
	bool omit;     /* Left out of JSON output when empty. */
	bool brackets; /* Empty is [] or {} in JSON output, not null; for ANY it is {}. */
	bool key;      /* Identifies the object in a list, for the diff. */
	bool server;   /* Set by servers alone: not part of what a user specifies (spec equality, diff). */
	bool secret;   /* Never leaves by the API (object_hide_secrets). */
	bool scarce;   /* A diff shows it only where it is set. */
	bool quiet;    /* A diff shows it only where it differs. */
	bool blank;    /* A duration that JSON may give as "", which is 0: some clients write it so. */
	bool label;    /* In HCL the block's label: group "web" { ... }. */
	const char *diff; /* The name of objects of this field in a job diff ("Constraint" for Constraints). */
	const struct type *sub;
	const char *dflt_str;
	int64_t dflt;
	int64_t min, max; /* Checked by object_valid() when they differ. */
};

struct type {
	const char *name;
	const struct field *fields;
	uint16_t n;
	uint16_t size;
};

#define CTYPE_BOOL bool
#define CTYPE_INT int64_t
#define CTYPE_DUR int64_t
#define CTYPE_NUM double
#define CTYPE_TIME int64_t
#define CTYPE_STR const char *
#define CTYPE_BYTES struct bytes
#define CTYPE_ANY const char *
#define CTYPE_OPTBOOL struct opt
#define CTYPE_OPTINT struct opt
#define CTYPE_OPTDUR struct opt
#define CTYPE_STRS struct strs
#define CTYPE_INTS struct ints
#define CTYPE_MAP struct map
#define CTYPE_INTMAP struct intmap
#define CTYPE_NUMMAP struct nummap
#define CTYPE_BOOLMAP struct boolmap
#define CTYPE_OBJ(S) struct S *
#define CTYPE_LIST(S) struct { struct S *at; uint32_t n; }
#define CTYPE_OBJMAP(S) struct { const char **keys; struct S *at; uint32_t n; }

#define ROW_BOOL .kind = KIND_BOOL
#define ROW_INT .kind = KIND_INT
#define ROW_DUR .kind = KIND_DUR
#define ROW_NUM .kind = KIND_NUM
#define ROW_TIME .kind = KIND_TIME
#define ROW_STR .kind = KIND_STR
#define ROW_BYTES .kind = KIND_BYTES
#define ROW_ANY .kind = KIND_ANY
#define ROW_OPTBOOL .kind = KIND_OPTBOOL
#define ROW_OPTINT .kind = KIND_OPTINT
#define ROW_OPTDUR .kind = KIND_OPTDUR
#define ROW_STRS .kind = KIND_STRS
#define ROW_INTS .kind = KIND_INTS
#define ROW_MAP .kind = KIND_MAP
#define ROW_INTMAP .kind = KIND_INTMAP
#define ROW_NUMMAP .kind = KIND_NUMMAP
#define ROW_BOOLMAP .kind = KIND_BOOLMAP
#define ROW_OBJ(S) .kind = KIND_OBJ, .sub = &S##_type
#define ROW_LIST(S) .kind = KIND_LIST, .sub = &S##_type
#define ROW_OBJMAP(S) .kind = KIND_OBJMAP, .sub = &S##_type

#define OBJECT_MEMBER(T, KIND, member, key, ...) CTYPE_##KIND member;
#define OBJECT_ROW(T, KIND, member, key_, ...)       \
	{ .name = key_, .name_len = sizeof(key_) - 1, \
	  .json = "\"" key_ "\":",                   \
	  .hcl = #member,                            \
	  .offset = offsetof(struct T, member),      \
	  ROW_##KIND, __VA_ARGS__ },

#define OBJECT_DECLARE(T, FIELDS)                    \
	struct T { FIELDS(OBJECT_MEMBER, T) };       \
	extern const struct type T##_type

/* .hcl may be given a second time by a list line; the last one counts. */
#define OBJECT_DEFINE(T, FIELDS)                                                 \
	_Pragma("GCC diagnostic push")                                           \
	_Pragma("GCC diagnostic ignored \"-Woverride-init\"")                    \
	static const struct field T##_fields[] = { FIELDS(OBJECT_ROW, T) };      \
	_Pragma("GCC diagnostic pop")                                            \
	const struct type T##_type = {                                           \
	    .name = #T, .fields = T##_fields,                                    \
	    .n = sizeof(T##_fields) / sizeof(T##_fields[0]), .size = sizeof(struct T) \
	}

/* Why a decode or a validation failed, and where: "TaskGroups[0].Count". */
struct fault {
	char path[192];
	char why[96];
};

/* Set every field to its default. Cannot fail: defaults are not copied. */
void object_init(const struct type *t, void *obj);

/* Whether a string member was given, as opposed to left at its default. Lost by copying and packing. */
bool str_given(const struct type *t, const void *obj, const char *const *member);

/* For objects made without an arena only. */
void object_free(const struct type *t, void *obj);

/* 0 or ERR_NOMEM; `to` need not be initialized, and is safe to free after a failure. */
int object_copy(const struct type *t, void *to, const void *from, struct arena *mem);

bool object_equal(const struct type *t, const void *a, const void *b);

/* Equal in what a user can specify: fields marked `server` are not compared. */
bool object_equal_spec(const struct type *t, const void *a, const void *b);

/* Check `required` and the limits, depth first; the first fault is told. */
bool object_valid(const struct type *t, const void *obj, struct fault *f);

/* Set members marked `secret` to their zero, at any depth. The object must be in an arena. */
void object_hide_secrets(const struct type *t, void *obj);

/* JSON. text[len] must be readable and zero. The object is initialized first; on failure it is left consistent and
 * `f`, which may be NULL, says where and why. Types are strict, and no number with a point or an exponent is an integer.
 * Unknown keys are skipped, null leaves the default (in a list or map of values it is their zero). Names match exactly
 * or else without regard to case; of doubles, also in maps, the last counts. Nesting and the memory that a small text
 * may take are bounded: see proto/jsonin.h. 0, ERR_NOMEM, ERR_SYNTAX or ERR_TYPE. */
int json_decode(const struct type *t, void *obj, const char *text, size_t len, struct arena *mem, struct fault *f);

/* One line, without spaces. */
void json_encode(const struct type *t, const void *obj, struct buf *out);

/* The same of an object that is still to get its defaults: strings that were not given, but have a default, are null, so
 * that whoever decodes them is free to give another. */
void json_encode_given(const struct type *t, const void *obj, struct buf *out);

/* The text indented by four spaces, with a closing newline, as ?pretty asks. */
void json_pretty(const char *text, size_t len, struct buf *out);

/* The shortest text that is read as the same number; whole numbers without a point. */
void json_put_num(struct buf *out, double v);

/* `text` as a JSON string with its quotes. */
void json_put_str(struct buf *out, const char *text, size_t len);

/* Packed form: a msgpack map from field number to value, in ascending order; members that are zero are left out, so
 * equal objects have equal bytes. Decoding checks all lengths before it allocates, refuses more than 64 levels, and
 * does not let a message allocate more than a small multiple of its own size; defaults are not applied (a missing
 * member is zero). Unknown numbers are skipped. 0, ERR_NOMEM, ERR_SYNTAX or ERR_TYPE. */
void pack_encode(const struct type *t, const void *obj, struct buf *out);
int pack_decode(const struct type *t, void *obj, const void *data, size_t len, struct arena *mem);

/* The same with the well-known texts of proto/words.h as their numbers, for what is kept a million times. Decoding takes
 * either form. */
void pack_encode_short(const struct type *t, const void *obj, struct buf *out);

/* For a packed object that is made piece by piece, being too large for one go: the head with the number of members that
 * follow, each of which is its place in the field list (from 1) and its value, in ascending order; a list's head with the
 * number of elements that follow. */
void pack_put_object(struct buf *out, uint32_t members);
void pack_put_list(struct buf *out, uint32_t n);
void pack_put_int(struct buf *out, int64_t value);
void pack_put_bool(struct buf *out, bool value);
void pack_put_str(struct buf *out, const char *text);

/* The field of an object by its API name, or NULL. */
const struct field *object_field(const struct type *t, const char *name, size_t len);

#endif /* PROTO_OBJECT_H_ */
