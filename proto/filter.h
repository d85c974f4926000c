/**
 * Filter expressions: which objects of a list a client wants.
 *
 *     Status == "running" and (Priority != 50 or "dc1" in Datacenters) and not (Meta.owner is empty)
 *
 *     SELECTOR == VALUE    SELECTOR != VALUE
 *     VALUE in SELECTOR    VALUE not in SELECTOR    SELECTOR contains VALUE    SELECTOR not contains VALUE
 *     SELECTOR is empty    SELECTOR is not empty
 *     SELECTOR matches VALUE    SELECTOR not matches VALUE        a regular expression: see proto/regfind.h
 *     not, and, or, parentheses; `and` binds closer than `or`
 *
 * A selector is a path over the API's names: Name, JobSummary.Children.Dead, Meta.owner or Meta["owner"],
 * TaskGroups.0.Name; also as a JSON pointer in quotes: "/Meta/owner". A value is a "quoted" or `raw` string, a number or a
 * word. Strings contain parts of themselves, lists their elements, maps their keys.
 *
 * An expression is parsed and its selectors are found in an object's field table once; then it is matched with any
 * number of objects. What a selector does not find in an object (no such key, no such element, an object that is not
 * there) is empty, and equal to nothing.
 */
#ifndef PROTO_FILTER_H_
#define PROTO_FILTER_H_

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "proto/object.h"

enum {
	FILTER_TEXT_MAX = 8192,
	FILTER_DEPTH_MAX = 64, /* Of parentheses and `not`, and of a selector's path. */
	FILTER_WHY = 256,
	FILTER_COST_MAX = 8 << 20, /* Of the expressions of one object, as proto/regfind.h counts: some 20 ms. */
};

struct filter;

/* In the memory of `mem`. ERR_SYNTAX: it cannot be parsed, or an operator or a value does not fit what it is used on;
 * ERR_NOTFOUND: a selector names no field of `t`; both with the reason in `why`. ERR_NOMEM. */
int filter_compile(const char *text, const struct type *t, struct arena *mem, struct filter **out, char why[FILTER_WHY]);

/* Whether the object is wanted. *cost grows by what its regular expressions took; more than FILTER_COST_MAX for one object
 * is ERR_TOOBIG, to be told in the words of FILTER_TOO_COSTLY. ERR_NOMEM. */
int filter_match(const struct filter *f, const void *obj, uint64_t *cost, bool *yes);

#define FILTER_TOO_COSTLY "failed to evaluate filter expression: its regular expressions take too long"

#endif /* PROTO_FILTER_H_ */
