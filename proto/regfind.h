/**
 * Regular expressions: whether something matches (constraints, filters), or where, and what its groups matched (functions
 * of job files). Go's syntax and choices: the leftmost match, of those the one that a backtracking search would find
 * first; *? and its like prefer less.
 *
 * A search takes time in proportion to the text and the expression whatever they are, and can be given a limit.
 *
 * Without regard to case, (?i), means ASCII. Classes of Unicode (\pL), and \Q and \C, are refused.
 */
#ifndef PROTO_REGFIND_H_
#define PROTO_REGFIND_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"

enum {
	REGFIND_GROUPS_MAX = 32,
	REGFIND_CODE_MAX = 8192, /* Steps of a compiled expression. */
	REGFIND_WHY = 96,
};

struct regfind_step;

struct regfind {
	const struct regfind_step *code;
	uint32_t n;
	uint32_t n_groups; /* Without the whole, which is group 0. */
	const char *names[REGFIND_GROUPS_MAX + 1]; /* NULL for a group without one. */
};

/* Where a group matched, in bytes. */
struct regfind_span {
	size_t from;
	size_t to;
	bool set; /* Else the match went another way. */
};

/* All of it is in `mem`. 0; ERR_SYNTAX with the reason; ERR_NOMEM. */
int regfind_compile(const char *pattern, struct arena *mem, struct regfind *out, char why[REGFIND_WHY]);

/* The first match that begins at `from` or later: its spans, n_groups + 1 of them. The text is UTF-8. *cost grows by what
 * it took; the search is given up when it is more than `cost_max`. 0, ERR_NOTFOUND, ERR_TOOBIG or ERR_NOMEM. */
int regfind_next(const struct regfind *r, const char *text, size_t from, struct regfind_span *spans, uint64_t cost_max,
		 uint64_t *cost);

/* Whether it matches somewhere: 0, ERR_NOTFOUND, ERR_TOOBIG or ERR_NOMEM. The text and the cost are as above. */
int regfind_test(const struct regfind *r, const char *text, uint64_t cost_max, uint64_t *cost);

#endif /* PROTO_REGFIND_H_ */
