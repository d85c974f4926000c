#include "client/template.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/template_parts.h"
#include "client/vars.h"
#include "proto/error.h"

enum { PIECES_MAX = 1 << 17 };

enum piece_kind {
	PIECE_TEXT,
	PIECE_ACTION,
	PIECE_IF,
	PIECE_WITH,
	PIECE_RANGE,
	PIECE_ELSE,
	PIECE_END,
	PIECE_BREAK,
	PIECE_CONTINUE
};

/* A piece of text, or an action without its delimiters and its first word. */
struct piece {
	enum piece_kind kind;
	enum piece_kind branch; /* ELSE: what follows: IF, WITH, or END for nothing. */
	const char *at, *end;
	uint32_t other; /* IF, WITH, RANGE, ELSE: the ELSE or END that ends its part. */
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct machine {
	struct template_run t;
	struct piece *pieces;
	uint32_t n, cap;
	uint32_t open[TEMPLATE_DEPTH]; /* While reading: blocks, the last part of each. */
	enum piece_kind blocks[TEMPLATE_DEPTH];
	unsigned depth;
	struct buf *out;
	enum flow flow;
};

void template_refuse(struct template_run *t, const char *format, ...)
{
	va_list args;
	unsigned line = 1;
	const char *p;
	int n;

	if (t->rc != 0) {
		return;
	}
	for (p = t->start; p < t->p; p++) {
		line += *p == '\n';
	}
	n = snprintf(t->why, TEMPLATE_WHY, "line %u: ", line);
	va_start(args, format);
	vsnprintf(t->why + n, TEMPLATE_WHY - (size_t)n, format, args);
	va_end(args);
	t->rc = ERR_INVALID;
}

bool template_step(struct template_run *t)
{
	if (++t->steps > TEMPLATE_STEPS || t->mem.total > TEMPLATE_BYTES) {
		template_refuse(t, "it takes too many steps, or too much memory");
	}
	return t->rc == 0;
}

/* ---- reading ---- */

static struct piece *add_piece(struct machine *m, enum piece_kind kind, const char *at, const char *end)
{
	struct piece *pieces = m->pieces;

	if (m->n == m->cap) {
		uint32_t cap = m->cap == 0 ? 64 : 2 * m->cap;

		pieces = cap > PIECES_MAX ? NULL : realloc(pieces, cap * sizeof(*pieces));
		if (pieces == NULL) {
			m->t.p = at;
			template_refuse(&m->t, "too many actions");
			return NULL;
		}
		m->pieces = pieces;
		m->cap = cap;
	}
	pieces[m->n] = (struct piece){.kind = kind, .branch = PIECE_END, .at = at, .end = end};
	return &pieces[m->n++];
}

static void open_block(struct machine *m, enum piece_kind kind)
{
	if (m->depth == TEMPLATE_DEPTH) {
		template_refuse(&m->t, "too deeply nested");
	} else if (add_piece(m, kind, m->t.p, m->t.end) != NULL) {
		m->blocks[m->depth] = kind;
		m->open[m->depth++] = m->n - 1;
	}
}

/* The part before ends here. */
static bool end_part(struct machine *m, enum piece_kind kind)
{
	if (m->depth == 0) {
		template_refuse(&m->t, "%s without a block", kind == PIECE_END ? "end" : "else");
		return false;
	}
	m->pieces[m->open[m->depth - 1]].other = m->n;
	return add_piece(m, kind, m->t.p, m->t.end) != NULL;
}

static void read_else(struct machine *m)
{
	struct template_run *t = &m->t;
	enum piece_kind branch = template_take_word(t, "if")     ? PIECE_IF
	                         : template_take_word(t, "with") ? PIECE_WITH
	                                                         : PIECE_END;
	const struct piece *before = m->depth == 0 ? NULL : &m->pieces[m->open[m->depth - 1]];

	template_skip_space(t);
	if (before != NULL && before->kind == PIECE_ELSE && before->branch == PIECE_END) {
		template_refuse(t, "nothing may follow the last else but end");
	} else if (branch == PIECE_END && t->p < t->end) {
		template_refuse(t, "else is followed by something else than if or with");
	} else if (before != NULL && branch != PIECE_END && m->blocks[m->depth - 1] == PIECE_RANGE) {
		template_refuse(t, "range has a plain else only");
	} else if (end_part(m, PIECE_ELSE)) {
		m->pieces[m->n - 1].branch = branch;
		m->open[m->depth - 1] = m->n - 1;
	}
}

static bool within_range(const struct machine *m)
{
	unsigned i;

	for (i = 0; i < m->depth; i++) {
		if (m->blocks[i] == PIECE_RANGE) {
			return true;
		}
	}
	return false;
}

static void read_jump(struct machine *m, enum piece_kind kind)
{
	if (!within_range(m)) {
		template_refuse(&m->t, "break and continue belong into a range");
	} else {
		add_piece(m, kind, m->t.p, m->t.end);
	}
}

static bool is_comment(const char *from, const char *to)
{
	return to - from >= 4 && from[0] == '/' && from[1] == '*' && to[-1] == '/' && to[-2] == '*';
}

/* One action, without its delimiters. */
static void read_action(struct machine *m, const char *from, const char *to)
{
	struct template_run *t = &m->t;

	t->p = from;
	t->end = to;
	template_skip_space(t);
	while (t->end > t->p && isspace((unsigned char)t->end[-1])) {
		t->end--;
	}
	if (is_comment(t->p, t->end)) {
		return;
	}
	if (template_take_word(t, "if")) {
		open_block(m, PIECE_IF);
	} else if (template_take_word(t, "with")) {
		open_block(m, PIECE_WITH);
	} else if (template_take_word(t, "range")) {
		open_block(m, PIECE_RANGE);
	} else if (template_take_word(t, "else")) {
		read_else(m);
	} else if (template_take_word(t, "end")) {
		m->depth -= end_part(m, PIECE_END);
	} else if (template_take_word(t, "break")) {
		read_jump(m, PIECE_BREAK);
	} else if (template_take_word(t, "continue")) {
		read_jump(m, PIECE_CONTINUE);
	} else {
		add_piece(m, PIECE_ACTION, t->p, t->end);
	}
}

/* The last byte of the string that begins at `p`, or `end`. */
static const char *string_end(const char *p, const char *end)
{
	char quote = *p++;

	while (p < end && *p != quote) {
		p += *p == '\\' && quote == '"' ? 2 : 1;
	}
	return p < end ? p : end;
}

/* The right delimiter that ends the action: not one within a string or a comment. */
static const char *find_end(const char *p, const char *end, const char *right)
{
	size_t len = strlen(right);

	while (p < end && (isspace((unsigned char)*p) || *p == '-')) {
		p++;
	}
	if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
		const char *close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);

		p = close == NULL ? end : close + 2;
	}
	for (; p < end && (size_t)(end - p) >= len; p++) {
		if (strncmp(p, right, len) == 0) {
			return p;
		}
		if (*p == '"' || *p == '`') {
			p = string_end(p, end);
		}
	}
	return NULL;
}

/* The action that begins behind a left delimiter. Returns where the text goes on, or NULL. */
static const char *take_action(struct machine *m, const char *p, const char *end, const char *right)
{
	struct template_run *t = &m->t;
	const char *close = find_end(p, end, right);
	const char *to = close;
	const char *after;

	if (close == NULL) {
		t->p = p;
		template_refuse(t, "an action without an end");
		return NULL;
	}
	after = close + strlen(right);
	if (p + 1 < close && p[0] == '-' && isspace((unsigned char)p[1])) {
		p++;
	}
	if (to - p >= 2 && to[-1] == '-' && isspace((unsigned char)to[-2])) {
		to--;
		while (after < end && isspace((unsigned char)*after)) {
			after++;
		}
	}
	read_action(m, p, to);
	return t->rc == 0 ? after : NULL;
}

/* Text before an action, or the last. Space goes if the action begins with a dash. */
static void take_text(struct machine *m, const char *text, const char *end, const char *action, const char *all_end)
{
	if (action != NULL && action + 1 < all_end && action[0] == '-' && isspace((unsigned char)action[1])) {
		while (end > text && isspace((unsigned char)end[-1])) {
			end--;
		}
	}
	if (end > text) {
		add_piece(m, PIECE_TEXT, text, end);
	}
}

static void read_all(struct machine *m, const char *text, size_t len, const char *left, const char *right)
{
	const char *end = text + len;

	while (text != NULL && text < end && m->t.rc == 0) {
		const char *open = memmem(text, (size_t)(end - text), left, strlen(left));
		const char *action = open == NULL ? NULL : open + strlen(left);

		take_text(m, text, open == NULL ? end : open, action, end);
		text = open == NULL ? end : take_action(m, action, end, right);
	}
	if (m->t.rc == 0 && m->depth > 0) {
		m->t.p = m->pieces[m->open[m->depth - 1]].at;
		template_refuse(&m->t, "a block without an end");
	}
}

/* ---- carrying out ---- */

static void run(struct machine *m, uint32_t from, uint32_t to);

static void begin_expression(struct machine *m, const struct piece *n)
{
	m->t.p = n->at;
	m->t.end = n->end;
}

/* "$a, $b :=" in front of an expression: how many names; 0 when there is no declaration. */
static unsigned declared(struct template_run *t, const char *names[2], size_t lens[2], bool *assigns)
{
	const char *begin = t->p;
	unsigned n = 0;

	while (n < 2 && template_variable_name(t, &names[n], &lens[n])) {
		n++;
		template_skip_space(t);
		if (n == 2 || t->p >= t->end || *t->p != ',') {
			break;
		}
		t->p++;
	}
	*assigns = n == 1 && t->p < t->end && *t->p == '=';
	if (n > 0 && *assigns) {
		t->p++;
		return n;
	}
	if (n > 0 && t->end - t->p >= 2 && t->p[0] == ':' && t->p[1] == '=') {
		t->p += 2;
		return n;
	}
	t->p = begin;
	return 0;
}

/* The value of an action or of a condition, which may be kept in a variable. */
static struct value evaluate(struct machine *m, const struct piece *n, bool *silent)
{
	struct template_run *t = &m->t;
	const char *names[2];
	size_t lens[2];
	struct value v;
	bool assigns;
	unsigned k;

	begin_expression(m, n);
	k = declared(t, names, lens, &assigns);
	if (k > 1) {
		template_refuse(t, "two variables belong to a range");
	}
	v = template_eval(t);
	if (k == 1 && t->rc == 0) {
		if (assigns) {
			template_assign(t, names[0], lens[0], v);
		} else {
			template_declare(t, names[0], lens[0], v);
		}
	}
	*silent = k > 0;
	return v;
}

/* The parts of an if or a with: the first whose condition holds. */
static void run_branches(struct machine *m, uint32_t i)
{
	struct template_run *t = &m->t;
	unsigned variables = t->n_variables;
	struct value dot = t->dot;
	bool silent;

	for (; t->rc == 0 && m->pieces[i].kind != PIECE_END; i = m->pieces[i].other) {
		const struct piece *n = &m->pieces[i];
		enum piece_kind branch = n->kind == PIECE_ELSE ? n->branch : n->kind;
		struct value v = branch == PIECE_END ? value_bool(true) : evaluate(m, n, &silent);

		if (t->rc == 0 && value_truth(&v)) {
			t->dot = branch == PIECE_WITH ? v : dot;
			run(m, i + 1, n->other);
			break;
		}
	}
	t->n_variables = variables;
	t->dot = dot;
}

/* One turn of a range: false when it is the last. */
static bool run_turn(struct machine *m, uint32_t i, const char *const names[2], const size_t lens[2], unsigned k,
                     struct value key, struct value element)
{
	struct template_run *t = &m->t;
	unsigned variables = t->n_variables;
	bool more;

	if (k == 2) {
		template_declare(t, names[0], lens[0], key);
	}
	if (k > 0) {
		template_declare(t, names[k - 1], lens[k - 1], element);
	}
	t->dot = element;
	if (template_step(t)) {
		run(m, i + 1, m->pieces[i].other);
	}
	more = m->flow != FLOW_BREAK && t->rc == 0;
	m->flow = FLOW_ON;
	t->n_variables = variables;
	return more;
}

static void run_turns(struct machine *m, uint32_t i, const struct value *over, const char *const names[2],
                      const size_t lens[2], unsigned k)
{
	bool counts = over->kind == VALUE_INT;
	int64_t n = counts ? over->number : over->n;
	int64_t at;

	for (at = 0; at < n; at++) {
		struct value key = value_int(at);
		struct value element = counts ? key : over->at[at];

		if (over->kind == VALUE_MAP) {
			key = value_text(&m->t, over->keys[at], strlen(over->keys[at]));
		}
		if (!run_turn(m, i, names, lens, k, key, element)) {
			return;
		}
	}
}

static void run_range(struct machine *m, uint32_t i)
{
	struct template_run *t = &m->t;
	struct value dot = t->dot;
	const char *names[2];
	size_t lens[2];
	struct value over;
	bool assigns;
	unsigned k;

	begin_expression(m, &m->pieces[i]);
	k = declared(t, names, lens, &assigns);
	over = template_eval(t);
	if (over.kind == VALUE_TEXT || over.kind == VALUE_BOOL || over.kind == VALUE_RAW) {
		template_refuse(t, "range wants a list, a map or a number");
	}
	if (t->rc != 0) {
		return;
	}
	if (value_truth(&over)) {
		run_turns(m, i, &over, names, lens, k);
	} else if (m->pieces[m->pieces[i].other].kind == PIECE_ELSE) {
		run(m, m->pieces[i].other + 1, m->pieces[m->pieces[i].other].other);
	}
	t->dot = dot;
}

/* Behind the end of the block that begins at i. */
static uint32_t behind(const struct machine *m, uint32_t i)
{
	while (m->pieces[i].kind != PIECE_END) {
		i = m->pieces[i].other;
	}
	return i + 1;
}

static void run_action(struct machine *m, const struct piece *n)
{
	bool silent;
	struct value v = evaluate(m, n, &silent);

	if (m->t.rc == 0 && !silent) {
		value_print(&v, m->out);
	}
}

static void run(struct machine *m, uint32_t from, uint32_t to)
{
	unsigned variables = m->t.n_variables;

	while (from < to && m->flow == FLOW_ON && template_step(&m->t)) {
		const struct piece *n = &m->pieces[from];

		switch (n->kind) {
		case PIECE_TEXT:
			buf_put(m->out, n->at, (size_t)(n->end - n->at));
			break;
		case PIECE_ACTION:
			run_action(m, n);
			break;
		case PIECE_RANGE:
			run_range(m, from);
			break;
		case PIECE_BREAK:
			m->flow = FLOW_BREAK;
			break;
		case PIECE_CONTINUE:
			m->flow = FLOW_CONTINUE;
			break;
		default:
			run_branches(m, from);
		}
		if (m->out->len > TEMPLATE_BYTES) {
			template_refuse(&m->t, "too much comes out");
		}
		from = n->kind == PIECE_IF || n->kind == PIECE_WITH || n->kind == PIECE_RANGE ? behind(m, from) : from + 1;
	}
	m->t.n_variables = variables;
}

static const char *or_usual(const char *delimiter, const char *usual)
{
	return delimiter[0] == '\0' ? usual : delimiter;
}

int template_render(const char *text, size_t len, const struct template_args *args, struct buf *out,
                    char why[TEMPLATE_WHY])
{
	struct machine *m = calloc(1, sizeof(*m));
	int rc;

	why[0] = '\0';
	if (m == NULL) {
		return ERR_NOMEM;
	}
	m->t.start = m->t.p = m->t.end = text;
	m->t.args = args;
	m->t.why = why;
	m->out = out;
	template_declare(&m->t, "", 0, value_nil);
	read_all(m, text, len, or_usual(args->left, "{{"), or_usual(args->right, "}}"));
	if (m->t.rc == 0) {
		run(m, 0, m->n);
	}
	rc = m->t.rc != 0 ? m->t.rc : out->failed ? ERR_NOMEM : 0;
	rc = m->t.missing && rc != ERR_NOMEM ? ERR_BUSY : rc; /* What went wrong may be for want of it. */
	arena_close(&m->t.mem);
	free(m->pieces);
	free(m);
	return rc;
}

/* ---- variables ---- */

static const char *unquoted(struct arena *mem, const char *value, size_t len)
{
	if (len >= 2 && (value[0] == '"' || value[0] == '\'') && value[len - 1] == value[0]) {
		value++;
		len -= 2;
	}
	return arena_strndup(mem, value, len);
}

static bool take_line(struct vars *v, const char *line, size_t len)
{
	const char *equals;

	while (len > 0 && isspace((unsigned char)line[0])) {
		line++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)line[len - 1])) {
		len--;
	}
	if (len == 0 || line[0] == '#') {
		return true;
	}
	if (len > 7 && strncmp(line, "export ", 7) == 0) {
		line += 7;
		len -= 7;
	}
	equals = memchr(line, '=', len);
	if (equals == NULL || equals == line) {
		return false;
	}
	vars_put(v, arena_strndup(v->mem, line, (size_t)(equals - line)),
	         unquoted(v->mem, equals + 1, len - (size_t)(equals + 1 - line)));
	return true;
}

int template_variables(const char *text, size_t len, struct map *out, struct arena *mem, char why[TEMPLATE_WHY])
{
	struct vars v = {.mem = mem};
	const char *end = text + len;
	unsigned line = 0;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		line++;
		stop = stop == NULL ? end : stop;
		if (!take_line(&v, text, (size_t)(stop - text))) {
			snprintf(why, TEMPLATE_WHY, "line %u is not KEY=value", line);
			return ERR_INVALID;
		}
		text = stop + 1;
	}
	*out = v.map;
	return v.failed ? ERR_NOMEM : 0;
}
