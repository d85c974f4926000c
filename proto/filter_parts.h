/** What parsing and matching of filters share; for proto/filter*.c alone. */
#ifndef PROTO_FILTER_PARTS_H_
#define PROTO_FILTER_PARTS_H_

#include "proto/filter.h"
#include "proto/regfind.h"

/* One step of a selector. */
struct filter_step {
	struct filter_step *next;
	const struct field *field; /* The member of an object, or NULL: */
	const char *key;           /* of a map, or NULL: */
	uint32_t index;            /* of a list. */
};

enum filter_test {
	TEST_EQUAL,
	TEST_IN, /* The selected holds the value. */
	TEST_EMPTY,
	TEST_MATCHES,
};

enum filter_node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_TEST };

struct filter_node {
	enum filter_node_kind kind;
	struct filter_node *a; /* Of AND, OR and NOT, */
	struct filter_node *b; /* and of the first two. */

	enum filter_test test;
	struct filter_step *path;
	uint8_t value_kind;        /* enum kind of what the path ends at, or VALUE_STRUCT. */
	const struct field *field; /* The field that it is in, */
	bool whole;                /* and whether it is all of that. */
	const char *text;          /* The value, */
	int64_t number;            /* as what it is compared with. */
	double real;
	struct regfind regex;
};

struct filter {
	struct filter_node *root;
};

/* Parses text into nodes and calls filter_bind() for each test. */
struct filter_parser {
	const char *at;
	const struct type *type;
	struct arena *mem;
	struct filter *filter;
	unsigned depth;
	int rv; /* The first failure, */
	char *why;
};

/* Notes the first failure. */
void filter_fail(struct filter_parser *p, int rv, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One name of a selector, as it was written. */
struct filter_part {
	struct filter_part *next;
	const char *name;
};

/* Find what the parts of a selector name in the field table, and what the value is there. */
void filter_bind(struct filter_parser *p, struct filter_node *n, const struct filter_part *parts, const char *value);

#endif /* PROTO_FILTER_PARTS_H_ */
