/**
 * Shared by the files of the HCL parser (hcl.c, hcl_expr.c, hcl_template.c, hcl_json.c); not for its users.
 *
 * The parser works on the characters themselves, without a token stream, because what a character means depends on
 * where it stands: in a body, in an expression, in a template. The first error sticks; from then on every function
 * returns NULL (or false), and callers only pass that on.
 */
#ifndef PROTO_HCL_PARSER_H_
#define PROTO_HCL_PARSER_H_

#include "proto/hcl.h"

struct hcl_parser {
	const char *text; /* In `mem`; a zero byte stands behind it. */
	const char *at;
	const char *end;
	struct arena *mem;
	struct hcl_error *error;
	int failed;     /* 0 or the code of the first error. */
	bool multiline; /* Newlines are white space here: between brackets and parentheses. */
	unsigned depth; /* Of recursion. */
	uint32_t nodes;
	const char *counted; /* `counted_pos` is the position of this character. */
	struct hcl_pos counted_pos;
};

/* Copies the text into the arena and checks it: length, UTF-8, no zero bytes. */
bool hcl_parser_init(struct hcl_parser *p, const char *text, size_t len, struct arena *mem, struct hcl_error *error);

/* Remember the first error, here or at `pos`. Returns NULL, as whoever fails does. */
void *hcl_fail(struct hcl_parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *hcl_fail_at(struct hcl_parser *p, struct hcl_pos pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void *hcl_fail_code(struct hcl_parser *p, int code, const char *text);

/* The position of the next character. */
struct hcl_pos hcl_here(struct hcl_parser *p);

/* White space and comments; newlines only where they are white space. */
void hcl_skip(struct hcl_parser *p);

/* Take the character c, after white space. */
bool hcl_take(struct hcl_parser *p, char c);

/* Take these characters if they come next, without white space before. */
bool hcl_take_text(struct hcl_parser *p, const char *text);

/* Take this word if it comes next, as a whole identifier, after white space. */
bool hcl_take_word(struct hcl_parser *p, const char *word);

/* The length of the identifier at p->at; 0 if there is none. */
size_t hcl_identifier_len(const struct hcl_parser *p);

/* The identifier that comes next, or NULL without an error. */
const char *hcl_identifier(struct hcl_parser *p);

/* name.name.name, for attributes of older files; NULL without an error, and nothing taken. */
const char *hcl_dotted_name(struct hcl_parser *p);

/* What comes next, for messages: "end of file", "newline", or the character. */
const char *hcl_next_text(struct hcl_parser *p, char text[16]);

/* Recursion is counted, so that the stack is bounded. Each enter that was true needs its leave. */
bool hcl_enter(struct hcl_parser *p);
void hcl_leave(struct hcl_parser *p);

/* A new node at `pos`. */
struct hcl_expr *hcl_node(struct hcl_parser *p, enum hcl_expr_kind kind, struct hcl_pos pos);

/* Append a child; `tail` is where the last one's next pointer is. False if the child is NULL or the tree too high. */
bool hcl_adopt(struct hcl_parser *p, struct hcl_expr *parent, struct hcl_expr ***tail, struct hcl_expr *child);

struct hcl_expr *hcl_string_node(struct hcl_parser *p, struct hcl_pos pos, const char *text, size_t len);

/* An expression, after white space. */
struct hcl_expr *hcl_expression(struct hcl_parser *p);

/* NAME in, or KEY, VALUE in: the names go into e->loop. */
bool hcl_loop_names(struct hcl_parser *p, struct hcl_expr *e);

/* "..." at the opening quote, <<EOT at the first <. */
struct hcl_expr *hcl_quoted(struct hcl_parser *p);
struct hcl_expr *hcl_heredoc(struct hcl_parser *p);

/* "..." at the opening quote, without interpolation. */
const char *hcl_plain_string(struct hcl_parser *p);

/* A character as UTF-8, U+0000 as C0 80; the number of bytes. */
size_t hcl_utf8(uint32_t c, char out[4]);

/* Four or eight hex digits at p->at, taken; false if they are not. */
bool hcl_hex(struct hcl_parser *p, unsigned digits, uint32_t *c);

/* 0 or the error's code. */
int hcl_parser_result(const struct hcl_parser *p);

#endif /* PROTO_HCL_PARSER_H_ */
