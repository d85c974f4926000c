/**
 * JSON text read piece by piece, for the decoder and whoever else walks such text.
 *
 * Each function takes one piece at `p`, spaces before it included. Results are 0 or ERR_NOMEM, ERR_SYNTAX, ERR_TYPE,
 * with the reason in the fault; after a failure only the fault is of use.
 *
 * What comes in is made good where Go's decoder does so: bytes that are no UTF-8 and halves of surrogate pairs become
 * U+FFFD. What a small text can make of memory is bounded by `budget`.
 */
#ifndef PROTO_JSONIN_H_
#define PROTO_JSONIN_H_

#include "proto/object.h"

enum {
	JSON_DEPTH_MAX = 64,        /* Levels of nesting. */
	JSON_BUDGET_TIMES = 64,     /* Memory for what is decoded: so many times the text, */
	JSON_BUDGET_FREE = 1 << 20, /* but never less than this. */
};

struct jsonin {
	const char *p;
	const char *end;   /* *end is zero, which no token may contain. */
	const char *start; /* To tell positions. */
	struct arena *mem; /* NULL: malloc(). */
	struct fault *fault;
	size_t budget;
	unsigned depth;
};

void jsonin_init(struct jsonin *in, const char *text, size_t len, struct arena *mem, struct fault *fault);

/* Returns rv, having noted why; a syntax error is told with its position. */
int jsonin_fail(struct jsonin *in, int rv, const char *why);

/* Memory from the budget; NULL when either is exhausted (jsonin_nomem() tells which). */
void *jsonin_alloc(struct jsonin *in, size_t n);
int jsonin_nomem(struct jsonin *in);

/* Room for one more element behind n of the given size; NULL as for jsonin_alloc(). */
void *jsonin_grow(struct jsonin *in, void *at, uint32_t n, size_t size);

/* The next character that is no space; 0 at the end. */
static inline char jsonin_peek(struct jsonin *in)
{
	while (*in->p == ' ' || *in->p == '\n' || *in->p == '\t' || *in->p == '\r') {
		in->p++;
	}
	return *in->p;
}

static inline bool jsonin_take(struct jsonin *in, char c)
{
	if (jsonin_peek(in) != c) {
		return false;
	}
	in->p++;
	return true;
}

/* true, false or null, if it stands here. */
bool jsonin_word(struct jsonin *in, const char *word);

/* Begin an object or array; *more is whether there is a first element. Each element is followed by jsonin_next(), which
 * says whether there is another. ERR_TYPE when something else stands here. */
int jsonin_open(struct jsonin *in, char open, bool *more);
int jsonin_next(struct jsonin *in, char open, bool *more);

/* A string, allocated. */
int jsonin_str(struct jsonin *in, const char **out);

/* A string to look at, in the text itself or in tmp; one that does not fit in tmp comes out as "". With a zero behind
 * it only in the second case. */
enum { JSON_TMP = 128 };
int jsonin_peek_str(struct jsonin *in, char tmp[JSON_TMP], const char **out, size_t *len);

/* The name of an object's member and the colon, seen likewise. */
int jsonin_name(struct jsonin *in, char tmp[JSON_TMP], const char **out, size_t *len);

int jsonin_int(struct jsonin *in, int64_t *out);
int jsonin_num(struct jsonin *in, double *out);

/* Pass over a value. */
int jsonin_skip(struct jsonin *in);

/* A value of any shape as text in one form: without spaces, strings escaped as json_put_str() does, fractions as
 * json_put_num() writes them, the members of objects sorted by name without doubles (the last counts). Allocated. */
int jsonin_any(struct jsonin *in, const char **out);

/* Whether the text is one JSON value. */
bool json_is_text(const char *text, size_t len);

/* The bytes that Base64 stands for, in place of the text. Returns their number, or -1 - N when the text is bad at
 * byte N. As Go does, line ends are passed over. */
int64_t base64_decode(char *text, size_t len);

#endif /* PROTO_JSONIN_H_ */
