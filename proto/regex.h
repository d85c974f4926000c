/**
 * Regular expressions of constraints: Go's syntax, as far as it is common, on the C library's matcher.
 *
 * Go's own matcher takes time in proportion to the text whatever the expression; to stay near that, back references
 * and large repetitions are refused (as Go does), and so are long expressions. Characters beyond ASCII match themselves
 * but cannot stand in a class, and . matches one byte of them. Flags are understood at the beginning only: (?i).
 */
#ifndef PROTO_REGEX_H_
#define PROTO_REGEX_H_

#include <regex.h>
#include <stdbool.h>

enum { REGEX_TEXT_MAX = 1024, REGEX_REPEAT_MAX = 1000, REGEX_WHY = 96 };

struct regex {
	regex_t compiled;
};

/* 0; ERR_SYNTAX with the reason; ERR_NOMEM. Nothing to close after a failure. */
int regex_compile(const char *pattern, struct regex *out, char why[REGEX_WHY]);
void regex_close(struct regex *r);

/* Whether it matches somewhere in the text. */
bool regex_match(const struct regex *r, const char *text);

#endif /* PROTO_REGEX_H_ */
