/* Filter expressions from text to nodes. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "proto/error.h"
#include "proto/filter_parts.h"

static struct filter_node *parse_or(struct filter_parser *p);

void filter_fail(struct filter_parser *p, int rv, const char *format, ...)
{
	va_list args;

	if (p->rv != 0) {
		return;
	}
	p->rv = rv;
	va_start(args, format);
	vsnprintf(p->why, FILTER_WHY, format, args);
	va_end(args);
}

static void *take(struct filter_parser *p, size_t size)
{
	void *at = arena_calloc(p->mem, 1, size);

	if (at == NULL) {
		filter_fail(p, ERR_NOMEM, "out of memory");
	}
	return at;
}

static const char *copy(struct filter_parser *p, const char *text, size_t len)
{
	const char *at = arena_strndup(p->mem, text, len);

	if (at == NULL) {
		filter_fail(p, ERR_NOMEM, "out of memory");
		return "";
	}
	return at;
}

/* ---- words ---- */

static void skip_space(struct filter_parser *p)
{
	while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') {
		p->at++;
	}
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '/' || (unsigned char)c >= 0x80;
}

static bool take_char(struct filter_parser *p, char c)
{
	skip_space(p);
	if (*p->at != c) {
		return false;
	}
	p->at++;
	return true;
}

/* A word of the language, if it stands here as a whole. */
static bool take_word(struct filter_parser *p, const char *word)
{
	size_t len = strlen(word);

	skip_space(p);
	if (strncmp(p->at, word, len) != 0 || is_word(p->at[len]) || p->at[len] == '.') {
		return false;
	}
	p->at += len;
	return true;
}

static void fail_here(struct filter_parser *p, const char *wanted)
{
	if (*p->at == '\0') {
		filter_fail(p, ERR_SYNTAX, "%s is missing at the end", wanted);
	} else {
		filter_fail(p, ERR_SYNTAX, "%s is missing at \"%.32s\"", wanted, p->at);
	}
}

/* ---- strings ---- */

static char unescape(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

static const char *parse_raw(struct filter_parser *p)
{
	const char *end = strchr(p->at + 1, '`');
	const char *text;

	if (end == NULL) {
		fail_here(p, "the end of a string");
		return "";
	}
	text = copy(p, p->at + 1, (size_t)(end - p->at - 1));
	p->at = end + 1;
	return text;
}

static const char *parse_quoted(struct filter_parser *p)
{
	const char *at = p->at + 1;
	char *to = arena_alloc(p->mem, strlen(p->at) + 1);
	char *out = to;

	if (to == NULL) {
		filter_fail(p, ERR_NOMEM, "out of memory");
		return "";
	}
	while (*at != '"' && *at != '\0') {
		if (*at == '\\' && at[1] != '\0') {
			*out++ = unescape(at[1]);
			at += 2;
		} else {
			*out++ = *at++;
		}
	}
	*out = '\0';
	if (*at == '\0') {
		fail_here(p, "the end of a string");
		return "";
	}
	p->at = at + 1;
	return to;
}

static const char *parse_string(struct filter_parser *p)
{
	return *p->at == '`' ? parse_raw(p) : parse_quoted(p);
}

/* ---- selectors ---- */

static void add_part(struct filter_parser *p, struct filter_part ***tail, const char *name)
{
	struct filter_part *part = take(p, sizeof(*part));

	if (part != NULL) {
		part->name = name;
		**tail = part;
		*tail = &part->next;
	}
}

/* Of a JSON pointer: ~1 is /, ~0 is ~. */
static const char *pointer_part(struct filter_parser *p, const char *text, size_t len)
{
	char *at = (char *)(uintptr_t)copy(p, text, len);
	char *out = at;

	for (const char *in = at; *in != '\0'; in++) {
		if (in[0] == '~' && (in[1] == '0' || in[1] == '1')) {
			*out++ = *++in == '0' ? '~' : '/';
		} else {
			*out++ = *in;
		}
	}
	if (p->rv == 0) {
		*out = '\0';
	}
	return at;
}

static struct filter_part *parts_of_pointer(struct filter_parser *p, const char *text)
{
	struct filter_part *first = NULL;
	struct filter_part **tail = &first;

	while (*text == '/' && p->rv == 0) {
		size_t len = strcspn(text + 1, "/");

		add_part(p, &tail, pointer_part(p, text + 1, len));
		text += 1 + len;
	}
	return first;
}

static const char *parse_bare(struct filter_parser *p)
{
	const char *begin = p->at;

	while (is_word(*p->at)) {
		p->at++;
	}
	if (p->at == begin) {
		fail_here(p, "a name");
	}
	return copy(p, begin, (size_t)(p->at - begin));
}

/* ["key"] */
static const char *parse_bracket(struct filter_parser *p)
{
	const char *key;

	p->at++;
	skip_space(p);
	key = *p->at == '"' || *p->at == '`' ? parse_string(p) : parse_bare(p);
	if (!take_char(p, ']')) {
		fail_here(p, "a closing bracket");
	}
	return key;
}

static struct filter_part *parse_path(struct filter_parser *p)
{
	struct filter_part *first = NULL;
	struct filter_part **tail = &first;

	add_part(p, &tail, parse_bare(p));
	while (p->rv == 0 && (*p->at == '.' || *p->at == '[')) {
		if (*p->at == '[') {
			add_part(p, &tail, parse_bracket(p));
		} else {
			p->at++;
			add_part(p, &tail, parse_bare(p));
		}
	}
	return first;
}

/* A selector, in either form. */
static struct filter_part *parse_selector(struct filter_parser *p)
{
	skip_space(p);
	if (*p->at == '"' || *p->at == '`') {
		const char *text = parse_string(p);

		if (p->rv == 0 && text[0] != '/') {
			filter_fail(p, ERR_SYNTAX, "\"%.32s\" is no selector", text);
		}
		return parts_of_pointer(p, text);
	}
	return parse_path(p);
}

/* ---- values ---- */

/* A number or word, up to a space or a parenthesis. */
static const char *parse_plain_value(struct filter_parser *p)
{
	const char *begin = p->at;

	while (is_word(*p->at) || *p->at == '.' || *p->at == '+' || *p->at == ':') {
		p->at++;
	}
	if (p->at == begin) {
		fail_here(p, "a value");
	}
	return copy(p, begin, (size_t)(p->at - begin));
}

static const char *parse_value(struct filter_parser *p)
{
	skip_space(p);
	return *p->at == '"' || *p->at == '`' ? parse_string(p) : parse_plain_value(p);
}

/* ---- tests ---- */

static struct filter_node *new_node(struct filter_parser *p, enum filter_node_kind kind, struct filter_node *a,
				    struct filter_node *b)
{
	struct filter_node *n = take(p, sizeof(*n));

	if (n != NULL) {
		n->kind = kind;
		n->a = a;
		n->b = b;
	}
	return n;
}

static struct filter_node *negate(struct filter_parser *p, bool negative, struct filter_node *n)
{
	return negative ? new_node(p, NODE_NOT, n, NULL) : n;
}

static struct filter_node *new_test(struct filter_parser *p, enum filter_test test, const struct filter_part *parts,
				    const char *value)
{
	struct filter_node *n = new_node(p, NODE_TEST, NULL, NULL);

	if (n != NULL && p->rv == 0) {
		n->test = test;
		filter_bind(p, n, parts, value);
	}
	return n;
}

static bool take_symbol(struct filter_parser *p, const char *symbol)
{
	skip_space(p);
	if (strncmp(p->at, symbol, 2) != 0) {
		return false;
	}
	p->at += 2;
	return true;
}

static struct filter_node *parse_is(struct filter_parser *p, const struct filter_part *parts)
{
	bool negative = take_word(p, "not");

	if (!take_word(p, "empty")) {
		fail_here(p, "\"empty\"");
	}
	return negate(p, negative, new_test(p, TEST_EMPTY, parts, NULL));
}

/* What follows a selector. */
static struct filter_node *parse_operator(struct filter_parser *p, const struct filter_part *parts)
{
	bool negative;

	if (take_symbol(p, "==")) {
		return new_test(p, TEST_EQUAL, parts, parse_value(p));
	}
	if (take_symbol(p, "!=")) {
		return negate(p, true, new_test(p, TEST_EQUAL, parts, parse_value(p)));
	}
	if (take_word(p, "is")) {
		return parse_is(p, parts);
	}
	negative = take_word(p, "not");
	if (take_word(p, "contains")) {
		return negate(p, negative, new_test(p, TEST_IN, parts, parse_value(p)));
	}
	if (take_word(p, "matches")) {
		return negate(p, negative, new_test(p, TEST_MATCHES, parts, parse_value(p)));
	}
	fail_here(p, "an operator");
	return NULL;
}

/* VALUE in SELECTOR, if that stands here; false, and back at the beginning, otherwise. */
static bool parse_in(struct filter_parser *p, struct filter_node **out)
{
	const char *begin = p->at;
	const char *value = parse_value(p);
	bool negative;

	if (p->rv != 0) {
		return true;
	}
	negative = take_word(p, "not");
	if (!take_word(p, "in")) {
		p->at = begin;
		return false;
	}
	*out = negate(p, negative, new_test(p, TEST_IN, parse_selector(p), value));
	return true;
}

/* Whether a bracket follows the name that stands here: then it can only be a selector. */
static bool has_bracket(const char *at)
{
	while (is_word(*at) || *at == '.') {
		at++;
	}
	return *at == '[';
}

static struct filter_node *parse_test(struct filter_parser *p)
{
	struct filter_node *n = NULL;

	if (has_bracket(p->at) || !parse_in(p, &n)) {
		n = parse_operator(p, parse_selector(p));
	}
	return n;
}

/* ---- what holds tests together ---- */

static struct filter_node *parse_not(struct filter_parser *p)
{
	struct filter_node *n;

	if (p->depth == FILTER_DEPTH_MAX) {
		filter_fail(p, ERR_SYNTAX, "it is nested too deeply");
		return NULL;
	}
	p->depth++;
	if (take_word(p, "not")) {
		n = negate(p, true, parse_not(p));
	} else if (take_char(p, '(')) {
		n = parse_or(p);
		if (!take_char(p, ')')) {
			fail_here(p, "a closing parenthesis");
		}
	} else {
		n = parse_test(p);
	}
	p->depth--;
	return n;
}

static struct filter_node *parse_and(struct filter_parser *p)
{
	struct filter_node *n = parse_not(p);

	while (p->rv == 0 && take_word(p, "and")) {
		n = new_node(p, NODE_AND, n, parse_not(p));
	}
	return n;
}

static struct filter_node *parse_or(struct filter_parser *p)
{
	struct filter_node *n = parse_and(p);

	while (p->rv == 0 && take_word(p, "or")) {
		n = new_node(p, NODE_OR, n, parse_and(p));
	}
	return n;
}

int filter_compile(const char *text, const struct type *t, struct arena *mem, struct filter **out, char why[FILTER_WHY])
{
	struct filter_parser p = {.at = text, .type = t, .mem = mem, .why = why};

	p.filter = arena_calloc(mem, 1, sizeof(*p.filter));
	if (p.filter == NULL) {
		filter_fail(&p, ERR_NOMEM, "out of memory");
		return ERR_NOMEM;
	}
	if (strlen(text) > FILTER_TEXT_MAX) {
		filter_fail(&p, ERR_SYNTAX, "it is longer than %d bytes", FILTER_TEXT_MAX);
		return ERR_SYNTAX;
	}
	p.filter->root = parse_or(&p);
	skip_space(&p);
	if (p.rv == 0 && *p.at != '\0') {
		filter_fail(&p, ERR_SYNTAX, "\"%.32s\" is left over", p.at);
	}
	if (p.rv == 0) {
		*out = p.filter;
	}
	return p.rv;
}
