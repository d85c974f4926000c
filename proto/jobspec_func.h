/**
 * Functions of the job language; for proto/jobspec_func*.c alone.
 *
 * A function is a line in one of the lists below: its name, what it takes, and a C function. What it takes is a letter
 * for each argument: n number, s string, b bool, l list, o object, v any value. Behind a letter ? says that it, and all
 * behind it, may be left out, and * that it comes any number of times. Arguments have been converted when the C
 * function is called, and walking through all of them once has been paid for; what a function does beyond that, it pays
 * by call_pay().
 */
#ifndef PROTO_JOBSPEC_FUNC_H_
#define PROTO_JOBSPEC_FUNC_H_

#include "lib/utf8.h"
#include "proto/jobspec_parts.h"

struct call {
	struct jobspec *js;
	const struct hcl_value *args;
	uint32_t n;
	struct hcl_value *out;
	struct hcl_error *error;
};

typedef int (*function_fn)(struct call *c);

struct function {
	const char *name;
	const char *takes;
	function_fn run;
};

/* Each ends with a name that is NULL. */
extern const struct function jobspec_number_functions[];
extern const struct function jobspec_text_functions[];
extern const struct function jobspec_list_functions[];
extern const struct function jobspec_code_functions[];
extern const struct function jobspec_net_functions[];

/* Those that fill files of their own. */
int jobspec_format(struct call *c);
int jobspec_formatlist(struct call *c);
int jobspec_regex(struct call *c);
int jobspec_regexall(struct call *c);
int jobspec_regex_replace(struct call *c);

/* ERR_INVALID, with the reason; ERR_NOMEM, for the whole file. */
int call_fail(struct call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
int call_nomem(struct call *c);

/* 0, or ERR_TOOBIG if the file may not take that many more steps. */
int call_pay(struct call *c, uint64_t steps);

/* ERR_NOMEM is told. */
void *call_alloc(struct call *c, size_t count, size_t size);

/* The result. Texts are copied, and may hold anything: what cannot be a string is a failure. Elements and members are
 * in the arena; of members with the same key the last one counts. */
int give_bool(struct call *c, bool yes);
int give_number(struct call *c, struct hcl_number n);
int give_text(struct call *c, const char *text, size_t len);
int give_buf(struct call *c, struct buf *text); /* Closes it. */
int give_list(struct call *c, const struct hcl_value *at, uint32_t n);
int give_object(struct call *c, struct hcl_member *at, uint32_t n);
int give_set(struct call *c, struct hcl_value *at, uint32_t n); /* Sorted in place, without doubles. */

/* A text as a value. False when memory or the file's share of text is exhausted. */
bool text_value(struct call *c, const char *text, size_t len, struct hcl_value *out);

/* Make an element a string: 0, or a failure that calls it `what`. */
int call_to_string(struct call *c, struct hcl_value *v, const char *what);

/* An argument as a whole number in a range; false with a failure. */
bool call_int(struct call *c, uint32_t arg, int64_t min, int64_t max, int64_t *out);

/* The length of the character at s, which is not the end of the text; at least 1. */
static inline size_t char_len(const char *s)
{
	size_t n = utf8_is_nul(s, 2) ? 2 : utf8_len(s, strlen(s) < 4 ? strlen(s) : 4);

	return n > 0 ? n : 1;
}

#endif /* PROTO_JOBSPEC_FUNC_H_ */
