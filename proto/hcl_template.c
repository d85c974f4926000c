/* Strings: quoted ones and heredocs, with their escapes, interpolations and directives. */
#include <string.h>

#include "proto/error.h"
#include "proto/hcl_parser.h"

/* What ended a run of parts. The last three are directives that belong to one outside of the run. */
enum ending { END_NONE, END_TEXT, END_ELSE, END_ENDIF, END_ENDFOR };

/* A literal at the start of a heredoc's line. */
struct line {
	struct line *older;
	struct hcl_expr *literal;
};

struct parts {
	struct buf text; /* The literal that is being read. */
	enum ending ending;
	bool trim_next; /* A sequence ended in ~}: the literal that follows loses its leading space. */

	/* Heredocs only. */
	const char *marker; /* NULL for quoted strings. */
	size_t marker_len;
	bool flush;         /* <<- */
	bool line_start;    /* Nothing of this line has been read. */
	size_t indent;      /* The least of all lines that are not blank. */
	struct line *lines; /* Newest first; kept for <<- only. */
};

static struct hcl_expr *parse_parts(struct hcl_parser *p, struct parts *t, struct hcl_pos pos);

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool at_sequence(const struct hcl_parser *p)
{
	return (*p->at == '$' || *p->at == '%') && p->at[1] == '{';
}

/* ---- literals ---- */

static bool take_escape(struct hcl_parser *p, struct parts *t)
{
	static const char letters[] = "nrt\"\\";
	static const char meanings[] = "\n\r\t\"\\";
	char c = p->at[1];
	const char *letter = c != '\0' ? strchr(letters, c) : NULL;
	char utf8[4];
	uint32_t code;

	if (letter != NULL) {
		buf_byte(&t->text, meanings[letter - letters]);
		p->at += 2;
		return true;
	}
	if (c != 'u' && c != 'U') {
		hcl_fail(p, "an unknown escape: known are \\n \\r \\t \\\" \\\\ \\uNNNN \\UNNNNNNNN");
		return false;
	}
	p->at += 2;
	if (!hcl_hex(p, c == 'u' ? 4 : 8, &code) || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
		hcl_fail(p, "expected the %s hex digits of a character", c == 'u' ? "four" : "eight");
		return false;
	}
	buf_put(&t->text, utf8, hcl_utf8(code, utf8));
	return true;
}

/* One character of a literal; $${ and %%{ stand for ${ and %{. */
static void take_char(struct hcl_parser *p, struct parts *t)
{
	if ((*p->at == '$' || *p->at == '%') && p->at[1] == *p->at && p->at[2] == '{') {
		p->at++;
		buf_put(&t->text, p->at, 2);
		p->at += 2;
		return;
	}
	buf_byte(&t->text, *p->at++);
}

static void read_quoted(struct hcl_parser *p, struct parts *t)
{
	while (p->failed == 0 && !at_sequence(p)) {
		if (p->at == p->end || *p->at == '\n') {
			hcl_fail(p, "a string that does not end in its line: write \\n, or use <<");
		} else if (*p->at == '"') {
			p->at++;
			t->ending = END_TEXT;
			return;
		} else if (*p->at == '\\') {
			take_escape(p, t);
		} else {
			take_char(p, t);
		}
	}
}

/* Whether this line has nothing but the marker in it, which is then taken. */
static bool take_marker(struct hcl_parser *p, const struct parts *t)
{
	const char *s = p->at;

	while (*s == ' ' || *s == '\t') {
		s++;
	}
	if ((size_t)(p->end - s) < t->marker_len || memcmp(s, t->marker, t->marker_len) != 0) {
		return false;
	}
	s += t->marker_len;
	if (s < p->end && *s != '\n' && !(*s == '\r' && s[1] == '\n')) {
		return false;
	}
	p->at = s;
	return true;
}

/* Take note of a line's indentation; blank lines have none. */
static void measure_line(const struct hcl_parser *p, struct parts *t)
{
	const char *s = p->at;

	while (*s == ' ' || *s == '\t') {
		s++;
	}
	if (*s != '\n' && *s != '\r' && s < p->end && (size_t)(s - p->at) < t->indent) {
		t->indent = (size_t)(s - p->at);
	}
}

/* Reads to the end of the line at most, so that each line's start is known. */
static void read_line(struct hcl_parser *p, struct parts *t)
{
	if (t->line_start && take_marker(p, t)) {
		t->ending = END_TEXT;
		return;
	}
	if (t->line_start) {
		measure_line(p, t);
	}
	while (p->at < p->end && !at_sequence(p)) {
		char c = *p->at;

		take_char(p, t);
		if (c == '\n') {
			t->line_start = true;
			return;
		}
	}
	if (p->at == p->end) {
		hcl_fail(p, "a heredoc without its end: \"%.60s\" on a line of its own", t->marker);
	}
	t->line_start = false;
}

static void trim_left(struct parts *t)
{
	size_t n = 0;

	while (n < t->text.len && is_space(t->text.at[n])) {
		n++;
	}
	memmove(t->text.at, t->text.at + n, t->text.len - n);
	t->text.len -= n;
}

static void trim_right(struct parts *t)
{
	while (t->text.len > 0 && is_space(t->text.at[t->text.len - 1])) {
		t->text.len--;
	}
}

static bool remember_line(struct hcl_parser *p, struct parts *t, struct hcl_expr *literal)
{
	struct line *line = arena_alloc(p->mem, sizeof(*line));

	if (line == NULL) {
		hcl_fail_code(p, ERR_NOMEM, "out of memory");
		return false;
	}
	*line = (struct line){.older = t->lines, .literal = literal};
	t->lines = line;
	return true;
}

/* The text up to the next sequence or the end as a child of e; none if there is no text. */
static bool parse_literal(struct hcl_parser *p, struct parts *t, struct hcl_expr *e, struct hcl_expr ***tail)
{
	struct hcl_pos pos = hcl_here(p);
	bool starts_line = t->line_start;
	struct hcl_expr *literal;

	t->text.len = 0;
	if (t->marker != NULL) {
		read_line(p, t);
	} else {
		read_quoted(p, t);
	}
	if (t->trim_next && t->text.len > 0) {
		trim_left(t);
	}
	t->trim_next = false;
	if (p->failed == 0 && at_sequence(p) && t->ending == END_NONE && p->at[2] == '~') {
		trim_right(t);
	}
	if (t->text.failed) {
		hcl_fail_code(p, ERR_NOMEM, "out of memory");
	}
	if (p->failed != 0 || t->text.len == 0) {
		return p->failed == 0;
	}
	literal = hcl_string_node(p, pos, t->text.at, t->text.len);
	return hcl_adopt(p, e, tail, literal) && (!starts_line || !t->flush || remember_line(p, t, literal));
}

/* ---- sequences ---- */

static bool close_sequence(struct hcl_parser *p, struct parts *t)
{
	char next[16];

	t->trim_next = hcl_take(p, '~');
	if (hcl_take(p, '}')) {
		return true;
	}
	hcl_fail(p, "expected } at the end of the template sequence, not %s", hcl_next_text(p, next));
	return false;
}

static struct hcl_expr *parse_interpolation(struct hcl_parser *p, struct parts *t)
{
	struct hcl_expr *e = hcl_node(p, EXPR_INTERPOLATION, hcl_here(p));
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;
	const char *start = p->at;

	p->at += p->at[2] == '~' ? 3 : 2;
	if (e == NULL || !hcl_adopt(p, e, &tail, hcl_expression(p)) || !close_sequence(p, t)) {
		return NULL;
	}
	e->source.at = start;
	e->source.len = (uint32_t)(p->at - start);
	return e;
}

/* The parts up to a directive of `e`, as its next child. */
static bool adopt_parts(struct hcl_parser *p, struct parts *t, struct hcl_expr *e, struct hcl_expr ***tail)
{
	t->ending = END_NONE;
	if (!close_sequence(p, t) || !hcl_enter(p)) {
		return false;
	}
	if (!hcl_adopt(p, e, tail, parse_parts(p, t, hcl_here(p)))) {
		return false;
	}
	hcl_leave(p);
	return true;
}

/* The directive's end has been read by the parts before it. */
static struct hcl_expr *end_directive(struct hcl_parser *p, struct parts *t, struct hcl_expr *e, enum ending ending)
{
	if (t->ending != ending) {
		return hcl_fail_at(p, e->pos, "a template %s without its %s", ending == END_ENDIF ? "if" : "for",
				   ending == END_ENDIF ? "endif" : "endfor");
	}
	t->ending = END_NONE;
	return close_sequence(p, t) ? e : NULL;
}

static struct hcl_expr *parse_if(struct hcl_parser *p, struct parts *t, struct hcl_pos pos)
{
	struct hcl_expr *e = hcl_node(p, EXPR_TEMPLATE_IF, pos);
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	if (!hcl_adopt(p, e, &tail, hcl_expression(p)) || !adopt_parts(p, t, e, &tail) ||
	    (t->ending == END_ELSE && !adopt_parts(p, t, e, &tail))) {
		return NULL;
	}
	return end_directive(p, t, e, END_ENDIF);
}

static struct hcl_expr *parse_for(struct hcl_parser *p, struct parts *t, struct hcl_pos pos)
{
	struct hcl_expr *e = hcl_node(p, EXPR_TEMPLATE_FOR, pos);
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	if (e == NULL || !hcl_loop_names(p, e) || !hcl_adopt(p, e, &tail, hcl_expression(p)) ||
	    !adopt_parts(p, t, e, &tail)) {
		return NULL;
	}
	return end_directive(p, t, e, END_ENDFOR);
}

/* A new directive; or NULL, and t->ending tells which one of an outer directive has been reached. Its closing } is
 * left to that. */
static struct hcl_expr *parse_directive(struct hcl_parser *p, struct parts *t)
{
	static const struct {
		const char *word;
		enum ending ending;
	} endings[] = {{"else", END_ELSE}, {"endif", END_ENDIF}, {"endfor", END_ENDFOR}};
	struct hcl_pos pos = hcl_here(p);
	size_t i;

	p->at += p->at[2] == '~' ? 3 : 2;
	if (hcl_take_word(p, "if")) {
		return parse_if(p, t, pos);
	}
	if (hcl_take_word(p, "for")) {
		return parse_for(p, t, pos);
	}
	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (hcl_take_word(p, endings[i].word)) {
			t->ending = endings[i].ending;
			return NULL;
		}
	}
	return hcl_fail_at(p, pos, "an unknown template directive: known are if, else, endif, for, endfor");
}

static bool parse_sequence(struct hcl_parser *p, struct parts *t, struct hcl_expr *e, struct hcl_expr ***tail)
{
	bool before = p->multiline;
	struct hcl_expr *part;

	p->multiline = true;
	part = *p->at == '$' ? parse_interpolation(p, t) : parse_directive(p, t);
	p->multiline = before;
	return part != NULL ? hcl_adopt(p, e, tail, part) : p->failed == 0;
}

static struct hcl_expr *parse_parts(struct hcl_parser *p, struct parts *t, struct hcl_pos pos)
{
	struct hcl_expr *e = hcl_node(p, EXPR_TEMPLATE, pos);
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	while (p->failed == 0 && t->ending == END_NONE) {
		if (!parse_literal(p, t, e, &tail)) {
			return NULL;
		}
		if (t->ending == END_NONE && at_sequence(p) && !t->line_start && !parse_sequence(p, t, e, &tail)) {
			return NULL;
		}
	}
	return p->failed == 0 ? e : NULL;
}

/* ---- after parsing ---- */

/* Take the common indentation off the lines of <<-. */
static void strip_indent(struct parts *t)
{
	const struct line *line;

	for (line = t->lines; line != NULL; line = line->older) {
		struct hcl_value *v = &line->literal->value;
		size_t n = 0;

		while (n < t->indent && (v->string[n] == ' ' || v->string[n] == '\t')) {
			n++;
		}
		v->string += n;
	}
}

/* End a run of literals: the first one holds the text of all. False when memory is exhausted. */
static bool join_run(struct hcl_parser *p, struct parts *t, struct hcl_expr **run)
{
	if (*run != NULL) {
		(*run)->value.string = t->text.failed ? NULL : arena_strndup(p->mem, buf_text(&t->text), t->text.len);
		if ((*run)->value.string == NULL) {
			hcl_fail_code(p, ERR_NOMEM, "out of memory");
			return false;
		}
		(*run)->value.weight = hcl_text_weight(t->text.len);
	}
	*run = NULL;
	t->text.len = 0;
	return true;
}

/* Join literals that stand side by side and drop empty ones, in e and in the templates of its directives. */
static bool join_literals(struct hcl_parser *p, struct parts *t, struct hcl_expr *e)
{
	struct hcl_expr **tail = &e->first;
	struct hcl_expr *part;
	struct hcl_expr *run = NULL;

	t->text.len = 0;
	for (part = e->first; part != NULL; part = part->next) {
		if (part->kind == EXPR_LITERAL && (run != NULL || part->value.string[0] == '\0')) {
			buf_str(&t->text, part->value.string);
			e->n--;
			continue;
		}
		if (part->kind == EXPR_LITERAL) {
			buf_str(&t->text, part->value.string);
			run = part;
		} else if (!join_run(p, t, &run)) {
			return false;
		}
		*tail = part;
		tail = &part->next;
	}
	*tail = NULL;
	return join_run(p, t, &run);
}

static bool join_templates(struct hcl_parser *p, struct parts *t, struct hcl_expr *e)
{
	struct hcl_expr *part;
	struct hcl_expr *child;

	if (!join_literals(p, t, e)) {
		return false;
	}
	for (part = e->first; part != NULL; part = part->next) {
		if (part->kind != EXPR_TEMPLATE_IF && part->kind != EXPR_TEMPLATE_FOR) {
			continue;
		}
		for (child = part->first->next; child != NULL; child = child->next) {
			if (!join_templates(p, t, child)) {
				return false;
			}
		}
	}
	return true;
}

/* A template that is only text is a literal. */
static struct hcl_expr *finish(struct hcl_parser *p, struct parts *t, struct hcl_expr *e)
{
	if (e == NULL || !join_templates(p, t, e)) {
		return NULL;
	}
	if (e->n == 0) {
		return hcl_string_node(p, e->pos, "", 0);
	}
	if (e->n == 1 && e->first->kind == EXPR_LITERAL) {
		e->first->pos = e->pos;
		return e->first;
	}
	return e;
}

static struct hcl_expr *parse_template(struct hcl_parser *p, struct parts *t, struct hcl_pos pos)
{
	struct hcl_expr *e = parse_parts(p, t, pos);

	if (e != NULL && t->ending != END_TEXT) {
		hcl_fail(p, "a template directive that ends nothing");
		e = NULL;
	}
	if (t->flush) {
		strip_indent(t);
	}
	e = finish(p, t, e);
	buf_close(&t->text);
	return e;
}

struct hcl_expr *hcl_quoted(struct hcl_parser *p)
{
	struct parts t = {.ending = END_NONE};
	struct hcl_pos pos = hcl_here(p);

	p->at++;
	return parse_template(p, &t, pos);
}

struct hcl_expr *hcl_heredoc(struct hcl_parser *p)
{
	struct parts t = {.line_start = true, .indent = SIZE_MAX};
	struct hcl_pos pos = hcl_here(p);

	p->at += 2;
	t.flush = hcl_take_text(p, "-");
	t.marker_len = hcl_identifier_len(p);
	t.marker = t.marker_len > 0 ? hcl_identifier(p) : NULL;
	if (t.marker == NULL) {
		return hcl_fail(p, "expected the marker of a heredoc after <<");
	}
	hcl_take_text(p, "\r");
	if (!hcl_take_text(p, "\n")) {
		return hcl_fail(p, "expected a newline after <<%.60s", t.marker);
	}
	return parse_template(p, &t, pos);
}

const char *hcl_plain_string(struct hcl_parser *p)
{
	struct hcl_pos pos = hcl_here(p);
	struct hcl_expr *e = hcl_quoted(p);

	if (e != NULL && e->kind != EXPR_LITERAL) {
		return hcl_fail_at(p, pos, "a name cannot have ${ or %%{ in it");
	}
	return e != NULL ? e->value.string : NULL;
}
