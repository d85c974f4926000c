/* Expressions: operators by their levels, terms, and what may follow a term. */
#include <string.h>

#include "proto/error.h"
#include "proto/hcl_parser.h"

static struct hcl_expr *parse_unary(struct hcl_parser *p);
static struct hcl_expr *parse_postfix(struct hcl_parser *p, struct hcl_expr *e);

/* A node over one or two others: b may be NULL. */
static struct hcl_expr *node_over(struct hcl_parser *p, enum hcl_expr_kind kind, struct hcl_pos pos, struct hcl_expr *a,
				  struct hcl_expr *b)
{
	struct hcl_expr *e = hcl_node(p, kind, pos);
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	if (e == NULL || !hcl_adopt(p, e, &tail, a) || (b != NULL && !hcl_adopt(p, e, &tail, b))) {
		return NULL;
	}
	return e;
}

static struct hcl_expr *named_over(struct hcl_parser *p, enum hcl_expr_kind kind, struct hcl_pos pos, const char *name,
				   struct hcl_expr *a)
{
	struct hcl_expr *e = a != NULL ? node_over(p, kind, pos, a, NULL) : hcl_node(p, kind, pos);

	if (e != NULL) {
		e->name = name;
	}
	return e;
}

/* ---- terms ---- */

static struct hcl_expr *parse_number(struct hcl_parser *p)
{
	struct hcl_expr *e = hcl_node(p, EXPR_LITERAL, hcl_here(p));
	size_t n = hcl_number_len(p->at);

	if (e == NULL) {
		return NULL;
	}
	e->value.kind = HCL_NUMBER;
	if (!hcl_number_parse(p->at, n, &e->value.number)) {
		return hcl_fail(p, "a number that is too large");
	}
	p->at += n;
	return e;
}

/* Between brackets newlines are white space; behind them what counted before. */
static bool open_bracket(struct hcl_parser *p, bool multiline)
{
	bool before = p->multiline;

	p->at++;
	p->multiline = multiline;
	return before;
}

static struct hcl_expr *expect(struct hcl_parser *p, char c, const char *after, struct hcl_expr *e)
{
	char next[16];

	if (e != NULL && !hcl_take(p, c)) {
		return hcl_fail(p, "expected \"%c\" after %s, not %s", c, after, hcl_next_text(p, next));
	}
	return e;
}

static struct hcl_expr *parse_parens(struct hcl_parser *p)
{
	bool before = open_bracket(p, true);
	struct hcl_expr *e = expect(p, ')', "the expression in parentheses", hcl_expression(p));

	p->multiline = before;
	return e;
}

/* Elements up to `close`, with commas between them. A spread is "..." after the last argument of a call. */
static struct hcl_expr *parse_elements(struct hcl_parser *p, struct hcl_expr *e, char close, const char *what)
{
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;
	char next[16];

	while (e != NULL && !hcl_take(p, close)) {
		if (!hcl_adopt(p, e, &tail, hcl_expression(p))) {
			return NULL;
		}
		hcl_skip(p);
		if (e->kind == EXPR_CALL && hcl_take_text(p, "...")) {
			e->spread = true;
			return expect(p, close, what, e);
		}
		if (!hcl_take(p, ',') && (hcl_skip(p), p->at == p->end || *p->at != close)) {
			return hcl_fail(p, "expected a comma or \"%c\" in %s, not %s", close, what,
					hcl_next_text(p, next));
		}
	}
	return e;
}

bool hcl_loop_names(struct hcl_parser *p, struct hcl_expr *e)
{
	const char *key = NULL;
	const char *value = hcl_identifier(p);
	char next[16];

	if (value != NULL && hcl_take(p, ',')) {
		key = value;
		value = hcl_identifier(p);
	}
	if (value == NULL || !hcl_take_word(p, "in")) {
		hcl_fail(p, "expected \"for NAME in\" or \"for KEY, VALUE in\", not %s", hcl_next_text(p, next));
		return false;
	}
	e->loop.key = key;
	e->loop.value = value;
	return true;
}

/* After "for". `close` tells which of the two forms it is. */
static struct hcl_expr *parse_for(struct hcl_parser *p, struct hcl_pos pos, char close)
{
	struct hcl_expr *e = hcl_node(p, close == ']' ? EXPR_FOR_LIST : EXPR_FOR_OBJECT, pos);
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	if (e == NULL || !hcl_loop_names(p, e) || !hcl_adopt(p, e, &tail, hcl_expression(p)) ||
	    !expect(p, ':', "the collection", e) || !hcl_adopt(p, e, &tail, hcl_expression(p))) {
		return NULL;
	}
	if (close == '}') {
		hcl_skip(p);
		if (!hcl_take_text(p, "=>")) {
			return hcl_fail(p, "expected => after the key");
		}
		if (!hcl_adopt(p, e, &tail, hcl_expression(p))) {
			return NULL;
		}
		hcl_skip(p);
		e->spread = hcl_take_text(p, "...");
	}
	if (hcl_take_word(p, "if") && !hcl_adopt(p, e, &tail, hcl_expression(p))) {
		return NULL;
	}
	return expect(p, close, "the for expression", e);
}

static struct hcl_expr *parse_tuple(struct hcl_parser *p)
{
	struct hcl_pos pos = hcl_here(p);
	bool before = open_bracket(p, true);
	struct hcl_expr *e = hcl_take_word(p, "for") ? parse_for(p, pos, ']')
						     : parse_elements(p, hcl_node(p, EXPR_TUPLE, pos), ']', "the list");

	p->multiline = before;
	return e;
}

/* A name before = or : is a literal key, whatever it would mean in an expression. */
static struct hcl_expr *parse_key(struct hcl_parser *p)
{
	struct hcl_pos pos = hcl_here(p);
	const char *start = p->at;
	const char *name = hcl_dotted_name(p);

	hcl_skip(p);
	if (name != NULL && p->at < p->end && (*p->at == ':' || (*p->at == '=' && p->at[1] != '='))) {
		return hcl_string_node(p, pos, name, strlen(name));
	}
	p->at = start;
	return hcl_expression(p);
}

static struct hcl_expr *parse_value_after_key(struct hcl_parser *p)
{
	char next[16];

	hcl_skip(p);
	if (p->at == p->end || (*p->at != '=' && *p->at != ':')) {
		return hcl_fail(p, "expected = or : after the key, not %s", hcl_next_text(p, next));
	}
	p->at++;
	return hcl_expression(p);
}

/* Skips newlines, which separate the members of an object as commas do; true if there was one. */
static bool skip_newlines(struct hcl_parser *p)
{
	const char *before;

	hcl_skip(p);
	before = p->at;
	p->multiline = true;
	hcl_skip(p);
	p->multiline = false;
	return p->at != before;
}

static struct hcl_expr *parse_members(struct hcl_parser *p, struct hcl_expr *e)
{
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;
	char next[16];
	bool apart = true;

	skip_newlines(p);
	while (e != NULL && !hcl_take(p, '}')) {
		if (!apart) {
			return hcl_fail(p, "expected a comma, a newline or } after the value, not %s",
					hcl_next_text(p, next));
		}
		if (!hcl_adopt(p, e, &tail, parse_key(p)) || !hcl_adopt(p, e, &tail, parse_value_after_key(p))) {
			return NULL;
		}
		apart = skip_newlines(p);
		apart = hcl_take(p, ',') || apart;
		skip_newlines(p);
	}
	return e;
}

static struct hcl_expr *parse_object(struct hcl_parser *p)
{
	struct hcl_pos pos = hcl_here(p);
	bool before = open_bracket(p, true);
	struct hcl_expr *e;

	if (hcl_take_word(p, "for")) {
		e = parse_for(p, pos, '}');
	} else {
		p->multiline = false;
		e = parse_members(p, hcl_node(p, EXPR_OBJECT, pos));
	}
	p->multiline = before;
	return e;
}

static struct hcl_expr *parse_call(struct hcl_parser *p, struct hcl_pos pos, const char *name)
{
	bool before = open_bracket(p, true);
	struct hcl_expr *e = parse_elements(p, named_over(p, EXPR_CALL, pos, name, NULL), ')', "the arguments");

	p->multiline = before;
	return e;
}

static struct hcl_expr *parse_word(struct hcl_parser *p)
{
	static const struct {
		const char *word;
		struct hcl_value value;
	} constants[] = {{"null", {.kind = HCL_NULL}},
			 {"true", {.kind = HCL_BOOL, .boolean = true}},
			 {"false", {.kind = HCL_BOOL, .boolean = false}}};
	struct hcl_pos pos = hcl_here(p);
	const char *name = hcl_identifier(p);
	size_t i;

	if (name == NULL) {
		return NULL;
	}
	hcl_skip(p);
	if (p->at < p->end && *p->at == '(') {
		return parse_call(p, pos, name);
	}
	for (i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (strcmp(name, constants[i].word) == 0) {
			struct hcl_expr *e = hcl_node(p, EXPR_LITERAL, pos);

			if (e != NULL) {
				e->value = constants[i].value;
			}
			return e;
		}
	}
	return named_over(p, EXPR_VARIABLE, pos, name, NULL);
}

static struct hcl_expr *parse_term(struct hcl_parser *p)
{
	char next[16];

	hcl_skip(p);
	switch (p->at < p->end ? *p->at : '\0') {
	case '(':
		return parse_parens(p);
	case '[':
		return parse_tuple(p);
	case '{':
		return parse_object(p);
	case '"':
		return hcl_quoted(p);
	case '<':
		if (p->at[1] == '<') {
			return hcl_heredoc(p);
		}
		break;
	case '0' ... '9':
		return parse_number(p);
	default:
		if (hcl_identifier_len(p) > 0) {
			return parse_word(p);
		}
	}
	return hcl_fail(p, "expected an expression, not %s", hcl_next_text(p, next));
}

/* ---- what may follow a term ---- */

/* .name, or the old form .0 of an index; NULL without an error if it is neither. */
static struct hcl_expr *parse_dot(struct hcl_parser *p, struct hcl_expr *e, struct hcl_pos pos)
{
	const char *name;
	size_t n;

	hcl_skip(p);
	name = hcl_identifier(p);
	if (name != NULL) {
		return named_over(p, EXPR_ATTR, pos, name, e);
	}
	n = strspn(p->at, "0123456789");
	if (n > 0) {
		struct hcl_expr *index = hcl_node(p, EXPR_LITERAL, pos);

		if (index == NULL || !hcl_number_parse(p->at, n, &index->value.number)) {
			return hcl_fail(p, "an index that is too large");
		}
		index->value.kind = HCL_NUMBER;
		p->at += n;
		return node_over(p, EXPR_INDEX, pos, e, index);
	}
	return NULL;
}

/* list.*.a.b: only names belong to the splat. */
static struct hcl_expr *parse_attr_splat(struct hcl_parser *p, struct hcl_expr *e, struct hcl_pos pos)
{
	struct hcl_expr *each = hcl_node(p, EXPR_EACH, pos);

	for (;;) {
		const char *before = p->at;
		struct hcl_pos dot;
		const char *name;

		hcl_skip(p);
		dot = hcl_here(p);
		name = hcl_take(p, '.') ? hcl_identifier(p) : NULL;
		if (name == NULL) {
			p->at = before;
			break;
		}
		each = named_over(p, EXPR_ATTR, dot, name, each);
		if (each == NULL) {
			return NULL;
		}
	}
	return each != NULL ? node_over(p, EXPR_SPLAT, pos, e, each) : NULL;
}

/* list[*].a[0]: all that follows belongs to the splat. */
static struct hcl_expr *parse_full_splat(struct hcl_parser *p, struct hcl_expr *e, struct hcl_pos pos)
{
	struct hcl_expr *each = hcl_node(p, EXPR_EACH, pos);

	if (each == NULL || !hcl_enter(p)) {
		return NULL;
	}
	each = parse_postfix(p, each);
	hcl_leave(p);
	return each != NULL ? node_over(p, EXPR_SPLAT, pos, e, each) : NULL;
}

static struct hcl_expr *parse_index(struct hcl_parser *p, struct hcl_expr *e, struct hcl_pos pos)
{
	bool before = open_bracket(p, true);
	struct hcl_expr *key;

	hcl_skip(p);
	if (hcl_take(p, '*')) {
		e = expect(p, ']', "*", e);
		p->multiline = before;
		return e != NULL ? parse_full_splat(p, e, pos) : NULL;
	}
	key = expect(p, ']', "the index", hcl_expression(p));
	p->multiline = before;
	return key != NULL ? node_over(p, EXPR_INDEX, pos, e, key) : NULL;
}

static struct hcl_expr *parse_postfix(struct hcl_parser *p, struct hcl_expr *e)
{
	char next[16];

	while (e != NULL) {
		struct hcl_pos pos;

		hcl_skip(p);
		pos = hcl_here(p);
		if (p->at < p->end && *p->at == '[') {
			e = parse_index(p, e, pos);
		} else if (p->at < p->end && *p->at == '.' && p->at[1] != '.') {
			p->at++;
			if (hcl_take(p, '*')) {
				e = parse_attr_splat(p, e, pos);
				continue;
			}
			e = parse_dot(p, e, pos);
			if (e == NULL) {
				hcl_fail(p, "expected a name after the dot, not %s", hcl_next_text(p, next));
			}
		} else {
			break;
		}
	}
	return e;
}

/* ---- operators ---- */

static struct hcl_expr *parse_unary(struct hcl_parser *p)
{
	struct hcl_pos pos;
	struct hcl_expr *e;
	enum hcl_expr_kind kind;

	hcl_skip(p);
	pos = hcl_here(p);
	if (p->at == p->end || (*p->at != '-' && *p->at != '!')) {
		return parse_postfix(p, parse_term(p));
	}
	kind = *p->at++ == '-' ? EXPR_NEGATE : EXPR_NOT;
	if (!hcl_enter(p)) {
		return NULL;
	}
	e = parse_unary(p);
	hcl_leave(p);
	return e != NULL ? node_over(p, kind, pos, e, NULL) : NULL;
}

/* The operator that comes next, if it binds at least as tightly as `level`; HCL_N_OPS if none does. => is none. */
static enum hcl_operator peek_operator(struct hcl_parser *p, unsigned level)
{
	unsigned op;

	hcl_skip(p);
	for (op = 0; op < HCL_N_OPS; op++) {
		const char *text = hcl_operator_text(op);
		size_t n = strlen(text);

		if ((size_t)(p->end - p->at) >= n && memcmp(p->at, text, n) == 0) {
			return hcl_operator_level(op) >= level ? op : HCL_N_OPS;
		}
	}
	return HCL_N_OPS;
}

static struct hcl_expr *parse_binary(struct hcl_parser *p, unsigned level)
{
	struct hcl_expr *left = parse_unary(p);

	while (left != NULL) {
		enum hcl_operator op = peek_operator(p, level);
		struct hcl_pos pos = hcl_here(p);
		struct hcl_expr *right;

		if (op == HCL_N_OPS || p->failed != 0) {
			break;
		}
		p->at += strlen(hcl_operator_text(op));
		right = parse_binary(p, hcl_operator_level(op) + 1);
		left = right != NULL ? node_over(p, EXPR_BINARY, pos, left, right) : NULL;
		if (left != NULL) {
			left->op = (uint8_t)op;
		}
	}
	return left;
}

static struct hcl_expr *parse_conditional(struct hcl_parser *p, struct hcl_expr *condition)
{
	struct hcl_expr *e = hcl_node(p, EXPR_CONDITIONAL, condition->pos);
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	if (!hcl_adopt(p, e, &tail, condition) || !hcl_adopt(p, e, &tail, hcl_expression(p)) ||
	    !expect(p, ':', "the value if true", e) || !hcl_adopt(p, e, &tail, hcl_expression(p))) {
		return NULL;
	}
	return e;
}

struct hcl_expr *hcl_expression(struct hcl_parser *p)
{
	struct hcl_expr *e;

	if (!hcl_enter(p)) {
		return NULL;
	}
	e = parse_binary(p, 1);
	if (e != NULL && hcl_take(p, '?')) {
		e = parse_conditional(p, e);
	}
	hcl_leave(p);
	return p->failed == 0 ? e : NULL;
}
