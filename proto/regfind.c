/* An expression is compiled into steps, which are run for all its possible matches side by side, one character of the
 * text after the other. A list of threads is kept in the order in which a backtracking search would try them. Jumps are
 * relative, so a piece of code can be moved and copied; that is how it is built, from the inside outwards. */
#include "proto/regfind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/utf8.h"
#include "proto/error.h"

enum step_kind {
	STEP_CHAR,  /* This character. */
	STEP_CLASS, /* One of a class. */
	STEP_ANY,   /* Any character; a newline only if `also` is set. */
	STEP_JUMP,  /* On at a. */
	STEP_SPLIT, /* On at a, or else at b. */
	STEP_SAVE,  /* Keep the place as a. */
	STEP_AT,    /* The place must be ... */
	STEP_MATCH,
};

enum place { AT_TEXT_BEGIN, AT_TEXT_END, AT_LINE_BEGIN, AT_LINE_END, AT_WORD_EDGE, AT_NO_EDGE };

struct range {
	uint32_t first;
	uint32_t last;
};

struct char_class {
	struct range *at;
	uint32_t n;
	uint32_t cap;
	bool negated;
};

struct regfind_step {
	uint8_t kind;
	bool fold; /* CHAR, CLASS: without regard to case. */
	bool also;
	int32_t a; /* Jumps, relative to this step; SAVE: the slot; AT: the place. */
	int32_t b;
	uint32_t ch;
	const struct char_class *set;
};

/* ---- compiling ---- */

enum { COUNT_MAX = 1000, DEPTH_MAX = 100 };

struct flags {
	bool fold, lines, dot_all, lazy;
};

struct compiler {
	const char *p;
	struct arena *mem;
	struct regfind_step *code;
	int32_t n;
	struct regfind *out;
	struct flags flags;
	unsigned depth;
	const char *why; /* NULL as long as it is well. */
	bool nomem;
};

static bool fail(struct compiler *c, const char *why)
{
	if (c->why == NULL) {
		c->why = why;
	}
	return false;
}

static bool out_of_memory(struct compiler *c)
{
	c->nomem = true;
	return fail(c, "out of memory");
}

/* Room for one more step at i, in front of what is there. */
static struct regfind_step *insert(struct compiler *c, int32_t i, enum step_kind kind)
{
	if (c->n == REGFIND_CODE_MAX) {
		fail(c, "expression too large");
		return &c->code[REGFIND_CODE_MAX]; /* There is one more, for this. */
	}
	memmove(&c->code[i + 1], &c->code[i], (size_t)(c->n - i) * sizeof(*c->code));
	c->n++;
	c->code[i] = (struct regfind_step){.kind = (uint8_t)kind};
	return &c->code[i];
}

static struct regfind_step *emit(struct compiler *c, enum step_kind kind)
{
	return insert(c, c->n, kind);
}

/* ---- characters ---- */

static uint32_t decode(const char *s, size_t *len)
{
	static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t ch = (uint8_t)*s;
	size_t n = utf8_is_nul(s, 2) ? 2 : utf8_len(s, strnlen(s, 4));
	size_t i;

	*len = n > 0 ? n : 1;
	for (ch &= n > 0 ? masks[n] : 0xff, i = 1; i < n; i++) {
		ch = ch << 6 | ((uint8_t)s[i] & 0x3f);
	}
	return ch;
}

static uint32_t take_char(struct compiler *c)
{
	size_t len;
	uint32_t ch = decode(c->p, &len);

	c->p += len;
	return ch;
}

static void emit_char(struct compiler *c, uint32_t ch)
{
	struct regfind_step *s = emit(c, STEP_CHAR);

	s->ch = ch;
	s->fold = c->flags.fold;
}

static bool add_range(struct compiler *c, struct char_class *set, uint32_t first, uint32_t last)
{
	if (set->n == set->cap) {
		uint32_t cap = set->cap > 0 ? set->cap * 2 : 8;
		struct range *at = arena_calloc(c->mem, cap, sizeof(*at));

		if (at == NULL) {
			return out_of_memory(c);
		}
		if (set->n > 0) {
			memcpy(at, set->at, set->n * sizeof(*at));
		}
		set->at = at;
		set->cap = cap;
	}
	set->at[set->n++] = (struct range){first, last};
	return true;
}

/* Ranges as pairs of characters. */
static bool add_ranges(struct compiler *c, struct char_class *set, const char *pairs, bool negated)
{
	uint32_t next = 0;

	/* In ascending order, so that what is between them is their opposite. */
	for (; *pairs != '\0'; pairs += 2) {
		if (!negated && !add_range(c, set, (uint8_t)pairs[0], (uint8_t)pairs[1])) {
			return false;
		}
		if (negated && (uint8_t)pairs[0] > next && !add_range(c, set, next, (uint8_t)pairs[0] - 1u)) {
			return false;
		}
		next = (uint8_t)pairs[1] + 1u;
	}
	return !negated || add_range(c, set, next, 0x10ffff);
}

/* The ranges of \d and its like; NULL if it is no such letter. */
static const char *letter_ranges(char letter)
{
	switch (letter | 0x20) {
	case 'd':
		return "09";
	case 'w':
		return "09AZ__az";
	case 's':
		return "\t\n\f\r  ";
	default:
		return NULL;
	}
}

static const char *named_ranges(const char *name, size_t len)
{
	static const struct {
		const char *name;
		const char *ranges;
	} names[] = {
		{"alnum", "09AZaz"},   {"alpha", "AZaz"},  {"ascii", "\001\177"},	  {"blank", "\t\t  "},
		{"cntrl", "\001\037\177\177"}, {"digit", "09"}, {"graph", "!~"},	  {"lower", "az"},
		{"print", " ~"},       {"punct", "!/:@[`{~"}, {"space", "\t\r  "},	  {"upper", "AZ"},
		{"word", "09AZ__az"},  {"xdigit", "09AFaf"},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0) {
			return names[i].ranges;
		}
	}
	return NULL;
}

static int hex_value(char ch)
{
	if (ch >= '0' && ch <= '9') {
		return ch - '0';
	}
	ch = (char)(ch | 0x20);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* xHH or x{H...}, with p at the x. */
static bool take_hex(struct compiler *c, uint32_t *ch)
{
	bool braces = c->p[1] == '{';
	const char *s = c->p + 1 + braces;
	unsigned digits = 0;

	for (*ch = 0; hex_value(*s) >= 0 && digits < (braces ? 6 : 2); s++, digits++) {
		*ch = *ch << 4 | (uint32_t)hex_value(*s);
	}
	if (digits == 0 || (!braces && digits < 2) || (braces && *s != '}') || *ch > 0x10ffff) {
		return fail(c, "invalid escape sequence");
	}
	c->p = s + braces;
	return true;
}

/* The character of an escape, with p behind the backslash. */
static bool take_escaped(struct compiler *c, uint32_t *ch)
{
	static const char from[] = "tnrfva";
	static const char into[] = "\t\n\r\f\v\a";
	const char *at = *c->p != '\0' ? strchr(from, *c->p) : NULL;

	if (*c->p == 'x') {
		return take_hex(c, ch);
	}
	if (at != NULL) {
		*ch = (uint8_t)into[at - from];
	} else if (*c->p > ' ' && *c->p < 0x7f && letter_ranges(*c->p) == NULL && hex_value(*c->p) < 0 &&
		   !((*c->p | 0x20) >= 'a' && (*c->p | 0x20) <= 'z')) {
		*ch = (uint8_t)*c->p; /* Punctuation stands for itself. */
	} else {
		return fail(c, "invalid escape sequence");
	}
	c->p++;
	return true;
}

static struct char_class *new_class(struct compiler *c)
{
	struct char_class *set = arena_calloc(c->mem, 1, sizeof(*set));
	struct regfind_step *s = emit(c, STEP_CLASS);

	if (set == NULL) {
		out_of_memory(c);
		return NULL;
	}
	s->set = set;
	s->fold = c->flags.fold;
	return set;
}

/* [:name:] or [:^name:], with p at the inner bracket. */
static bool take_named(struct compiler *c, struct char_class *set)
{
	const char *name = c->p + 2;
	bool negated = *name == '^';
	const char *end = strstr(name, ":]");
	const char *ranges;

	name += negated;
	ranges = end != NULL && end >= name ? named_ranges(name, (size_t)(end - name)) : NULL;
	if (ranges == NULL) {
		return fail(c, "invalid character class range");
	}
	c->p = end + 2;
	return add_ranges(c, set, ranges, negated);
}

/* One end of a range, or a class of its own: then *one is false. */
static bool take_member(struct compiler *c, struct char_class *set, uint32_t *ch, bool *one)
{
	*one = true;
	if (*c->p == '\0') {
		return fail(c, "missing closing ]");
	}
	if (*c->p == '[' && c->p[1] == ':') {
		*one = false;
		return take_named(c, set);
	}
	if (*c->p != '\\') {
		*ch = take_char(c);
		return true;
	}
	c->p++;
	if (letter_ranges(*c->p) != NULL) {
		*one = false;
		c->p++;
		return add_ranges(c, set, letter_ranges(c->p[-1]), (c->p[-1] & 0x20) == 0);
	}
	return take_escaped(c, ch);
}

static bool take_range(struct compiler *c, struct char_class *set)
{
	uint32_t first = 0;
	uint32_t last;
	bool one;

	if (!take_member(c, set, &first, &one) || !one) {
		return c->why == NULL;
	}
	last = first;
	if (*c->p == '-' && c->p[1] != ']' && c->p[1] != '\0') {
		c->p++;
		if (!take_member(c, set, &last, &one)) {
			return false;
		}
		if (!one || last < first) {
			return fail(c, "invalid character class range");
		}
	}
	return add_range(c, set, first, last);
}

static bool take_class(struct compiler *c)
{
	struct char_class *set = new_class(c);
	bool first = true;

	c->p++;
	if (set != NULL && *c->p == '^') {
		set->negated = true;
		c->p++;
	}
	while (c->why == NULL && (first || *c->p != ']')) {
		take_range(c, set);
		first = false;
	}
	c->p += c->why == NULL;
	return c->why == NULL;
}

/* ---- atoms ---- */

static void emit_place(struct compiler *c, enum place place)
{
	emit(c, STEP_AT)->a = (int32_t)place;
}

static bool take_escape(struct compiler *c)
{
	static const char letters[] = "AzbB";
	static const uint8_t places[] = {AT_TEXT_BEGIN, AT_TEXT_END, AT_WORD_EDGE, AT_NO_EDGE};
	const char *at;
	struct char_class *set;
	uint32_t ch;

	c->p++;
	at = *c->p != '\0' ? strchr(letters, *c->p) : NULL;
	if (at != NULL) {
		c->p++;
		emit_place(c, places[at - letters]);
		return true;
	}
	if (letter_ranges(*c->p) != NULL) {
		set = new_class(c);
		c->p++;
		return set != NULL && add_ranges(c, set, letter_ranges(c->p[-1]), (c->p[-1] & 0x20) == 0);
	}
	if (!take_escaped(c, &ch)) {
		return false;
	}
	emit_char(c, ch);
	return true;
}

static bool take_alternatives(struct compiler *c);

static bool take_name(struct compiler *c, const char **name)
{
	const char *end;

	c->p += *c->p == 'P';
	end = strchr(c->p, '>');
	if (*c->p != '<' || end == NULL || end == c->p + 1) {
		return fail(c, "invalid named capture");
	}
	*name = arena_strndup(c->mem, c->p + 1, (size_t)(end - c->p - 1));
	c->p = end + 1;
	return *name != NULL || out_of_memory(c);
}

/* Flags up to : or ), which is taken. */
static bool take_flags(struct compiler *c, bool *group)
{
	bool on = true;

	for (; *c->p != ':' && *c->p != ')'; c->p++) {
		switch (*c->p) {
		case 'i':
			c->flags.fold = on;
			break;
		case 'm':
			c->flags.lines = on;
			break;
		case 's':
			c->flags.dot_all = on;
			break;
		case 'U':
			c->flags.lazy = on;
			break;
		case '-':
			on = false;
			break;
		default:
			return fail(c, "invalid or unsupported Perl syntax");
		}
	}
	*group = *c->p++ == ':';
	return true;
}

static bool take_inside(struct compiler *c, const struct flags *outside)
{
	bool good = take_alternatives(c);

	c->flags = *outside;
	if (good && *c->p != ')') {
		return fail(c, "missing closing )");
	}
	c->p += good;
	return good;
}

static bool take_capture(struct compiler *c, const char *name, const struct flags *outside)
{
	int32_t group = (int32_t)c->out->n_groups + 1;

	if (group > REGFIND_GROUPS_MAX) {
		return fail(c, "too many groups");
	}
	c->out->n_groups++;
	c->out->names[group] = name;
	emit(c, STEP_SAVE)->a = 2 * group;
	if (!take_inside(c, outside)) {
		return false;
	}
	emit(c, STEP_SAVE)->a = 2 * group + 1;
	return true;
}

static bool take_group(struct compiler *c)
{
	const struct flags outside = c->flags;
	const char *name = NULL;
	bool group = true;

	c->p++;
	if (*c->p != '?') {
		return take_capture(c, NULL, &outside);
	}
	c->p++;
	if (*c->p == 'P' || *c->p == '<') {
		return take_name(c, &name) && take_capture(c, name, &outside);
	}
	if (!take_flags(c, &group)) {
		return false;
	}
	return !group || take_inside(c, &outside); /* Flags alone hold for the rest of the group around them. */
}

static bool take_atom(struct compiler *c)
{
	switch (*c->p) {
	case '(':
		return take_group(c);
	case '[':
		return take_class(c);
	case '\\':
		return take_escape(c);
	case '.':
		c->p++;
		emit(c, STEP_ANY)->also = c->flags.dot_all;
		return true;
	case '^':
		c->p++;
		emit_place(c, c->flags.lines ? AT_LINE_BEGIN : AT_TEXT_BEGIN);
		return true;
	case '$':
		c->p++;
		emit_place(c, c->flags.lines ? AT_LINE_END : AT_TEXT_END);
		return true;
	case '*':
	case '+':
	case '?':
		return fail(c, "missing argument to repetition operator");
	default:
		emit_char(c, take_char(c));
		return true;
	}
}

/* ---- repetitions ---- */

struct count {
	int32_t min;
	int32_t max; /* -1: without end. */
};

static bool take_number(const char **s, int32_t *n)
{
	const char *begin = *s;

	for (*n = 0; **s >= '0' && **s <= '9' && *s - begin < 6; ++*s) {
		*n = *n * 10 + (**s - '0');
	}
	return *s > begin;
}

/* {n}, {n,} or {n,m}; anything else that begins with { stands for itself: false. */
static bool take_braces(struct compiler *c, struct count *k)
{
	const char *s = c->p + 1;

	if (!take_number(&s, &k->min)) {
		return false;
	}
	k->max = k->min;
	if (*s == ',') {
		s++;
		if (!take_number(&s, &k->max)) {
			k->max = -1;
		}
	}
	if (*s != '}') {
		return false;
	}
	c->p = s + 1;
	if (k->min > COUNT_MAX || k->max > COUNT_MAX || (k->max >= 0 && k->max < k->min)) {
		fail(c, "invalid repeat count");
	}
	return true;
}

static bool take_count(struct compiler *c, struct count *k)
{
	switch (*c->p) {
	case '*':
		*k = (struct count){0, -1};
		break;
	case '+':
		*k = (struct count){1, -1};
		break;
	case '?':
		*k = (struct count){0, 1};
		break;
	case '{':
		return take_braces(c, k);
	default:
		return false;
	}
	c->p++;
	return true;
}

static void set_split(struct regfind_step *s, int32_t into, int32_t past, bool lazy)
{
	s->a = lazy ? past : into;
	s->b = lazy ? into : past;
}

static void append(struct compiler *c, const struct regfind_step *piece, int32_t n)
{
	if (n > REGFIND_CODE_MAX - c->n) {
		fail(c, "expression too large");
	} else if (n > 0) {
		memcpy(&c->code[c->n], piece, (size_t)n * sizeof(*piece));
		c->n += n;
	}
}

/* The code from `start` on is the piece that is repeated. */
static bool repeat(struct compiler *c, int32_t start, const struct count *k, bool lazy)
{
	int32_t len = c->n - start;
	int32_t options = k->max >= 0 ? k->max - k->min : 0;
	struct regfind_step *piece = malloc(((size_t)len + 1) * sizeof(*piece));
	int32_t i;

	if (piece == NULL) {
		return out_of_memory(c);
	}
	memcpy(piece, &c->code[start], (size_t)len * sizeof(*piece));
	c->n = start;
	for (i = 0; i < k->min && c->why == NULL; i++) {
		append(c, piece, len);
	}
	/* x* is (x+)?: were there one choice only, an x that is empty would be preferred to what follows. */
	if (k->max < 0 && k->min == 0) {
		set_split(emit(c, STEP_SPLIT), 1, len + 2, lazy);
		append(c, piece, len);
	}
	if (k->max < 0) {
		set_split(emit(c, STEP_SPLIT), -len, 1, lazy);
	}
	for (i = 0; i < options && c->why == NULL; i++) {
		set_split(emit(c, STEP_SPLIT), 1, (options - i) * (len + 1), lazy);
		append(c, piece, len);
	}
	free(piece);
	return c->why == NULL;
}

static bool take_piece(struct compiler *c)
{
	int32_t start = c->n;
	struct count k = {0, 0};
	struct count again;
	bool lazy;

	if (!take_atom(c)) {
		return false;
	}
	if (!take_count(c, &k) || c->why != NULL) {
		return c->why == NULL;
	}
	lazy = (*c->p == '?') != c->flags.lazy;
	c->p += *c->p == '?';
	if (*c->p != '\0' && (strchr("*+?", *c->p) != NULL || (*c->p == '{' && take_braces(c, &again)))) {
		return fail(c, "invalid nested repetition operator");
	}
	return repeat(c, start, &k, lazy);
}

/* a|b|c: SPLIT a, next; a; JUMP end; SPLIT b, next; ... Jumps to the end are a chain until it is known. */
static bool take_alternatives(struct compiler *c)
{
	int32_t start = c->n;
	int32_t jumps = -1;
	int32_t len;

	if (++c->depth > DEPTH_MAX) {
		return fail(c, "expression nests too deeply");
	}
	while (c->why == NULL && *c->p != '\0' && *c->p != ')') {
		if (*c->p != '|') {
			take_piece(c);
			continue;
		}
		len = c->n - start;
		c->p++;
		set_split(insert(c, start, STEP_SPLIT), 1, len + 2, false);
		emit(c, STEP_JUMP)->a = jumps;
		jumps = c->n - 1;
		start = c->n;
	}
	while (c->why == NULL && jumps >= 0) {
		int32_t next = c->code[jumps].a;

		c->code[jumps].a = c->n - jumps;
		jumps = next;
	}
	c->depth--;
	return c->why == NULL;
}

static int compile(struct compiler *c, const char *pattern, char why[REGFIND_WHY])
{
	struct regfind_step *code;

	emit(c, STEP_SAVE)->a = 0;
	if (take_alternatives(c) && *c->p == ')') {
		fail(c, "unexpected )");
	}
	emit(c, STEP_SAVE)->a = 1;
	emit(c, STEP_MATCH);
	if (c->why != NULL) {
		snprintf(why, REGFIND_WHY, "%s: `%.40s`", c->why, pattern);
		return c->nomem ? ERR_NOMEM : ERR_SYNTAX;
	}
	code = arena_calloc(c->mem, (size_t)c->n, sizeof(*code));
	if (code == NULL) {
		return ERR_NOMEM;
	}
	memcpy(code, c->code, (size_t)c->n * sizeof(*code));
	c->out->code = code;
	c->out->n = (uint32_t)c->n;
	return 0;
}

int regfind_compile(const char *pattern, struct arena *mem, struct regfind *out, char why[REGFIND_WHY])
{
	struct compiler c = {.p = pattern, .mem = mem, .out = out};
	int rv = ERR_NOMEM;

	*out = (struct regfind){0};
	c.code = malloc((REGFIND_CODE_MAX + 1) * sizeof(*c.code));
	if (c.code != NULL) {
		rv = compile(&c, pattern, why);
	}
	free(c.code);
	return rv;
}

/* ---- finding ---- */

enum { SLOTS = 2 * (REGFIND_GROUPS_MAX + 1) };

#define NO_PLACE SIZE_MAX

struct threads {
	uint32_t *at;  /* Steps, in the order of preference. */
	size_t *slots; /* n_slots for each. */
	uint32_t n;
};

struct search {
	const struct regfind *r;
	const char *text;
	size_t n_slots;
	uint32_t *seen; /* For each step: the turn in which it was added last. */
	uint32_t turn;
	struct threads now;
	struct threads next;
	uint64_t cost;
};

static bool is_word_char(char ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch == '_';
}

static bool is_at(const char *text, size_t i, enum place place)
{
	bool edge;

	switch (place) {
	case AT_TEXT_BEGIN:
		return i == 0;
	case AT_TEXT_END:
		return text[i] == '\0';
	case AT_LINE_BEGIN:
		return i == 0 || text[i - 1] == '\n';
	case AT_LINE_END:
		return text[i] == '\0' || text[i] == '\n';
	default:
		edge = (i > 0 && is_word_char(text[i - 1])) != is_word_char(text[i]);
		return edge == (place == AT_WORD_EDGE);
	}
}

/* Add the thread at step `pc`, and all that it leads to without a character. The recursion ends with the code: a step
 * is added once a turn. */
static void add(struct search *s, struct threads *list, uint32_t pc, size_t i, size_t *slots)
{
	const struct regfind_step *step = &s->r->code[pc];
	size_t old;

	if (s->seen[pc] == s->turn) {
		return;
	}
	s->seen[pc] = s->turn;
	s->cost++;
	switch (step->kind) {
	case STEP_JUMP:
		add(s, list, (uint32_t)((int32_t)pc + step->a), i, slots);
		break;
	case STEP_SPLIT:
		add(s, list, (uint32_t)((int32_t)pc + step->a), i, slots);
		add(s, list, (uint32_t)((int32_t)pc + step->b), i, slots);
		break;
	case STEP_SAVE:
		old = slots[step->a];
		slots[step->a] = i;
		add(s, list, pc + 1, i, slots);
		slots[step->a] = old;
		break;
	case STEP_AT:
		if (is_at(s->text, i, (enum place)step->a)) {
			add(s, list, pc + 1, i, slots);
		}
		break;
	default:
		memcpy(&list->slots[list->n * s->n_slots], slots, s->n_slots * sizeof(*slots));
		list->at[list->n++] = pc;
		s->cost += s->n_slots / 8;
	}
}

static uint32_t other_case(uint32_t ch)
{
	bool letter = (ch | 0x20) >= 'a' && (ch | 0x20) <= 'z';

	return letter ? ch ^ 0x20 : ch;
}

static bool in_ranges(const struct char_class *set, uint32_t ch)
{
	uint32_t i;

	for (i = 0; i < set->n; i++) {
		if (ch >= set->at[i].first && ch <= set->at[i].last) {
			return true;
		}
	}
	return false;
}

static bool takes(const struct regfind_step *step, uint32_t ch, uint64_t *cost)
{
	switch (step->kind) {
	case STEP_CHAR:
		return ch == step->ch || (step->fold && other_case(ch) == step->ch);
	case STEP_ANY:
		return step->also || ch != '\n';
	default:
		*cost += step->set->n / 4;
		return (in_ranges(step->set, ch) || (step->fold && in_ranges(step->set, other_case(ch)))) !=
		       step->set->negated;
	}
}

/* Let all threads take the character of `len` bytes at i (none at the end). True when one has matched; those behind it
 * are dropped. */
static bool turn(struct search *s, size_t i, size_t len, uint32_t ch, size_t *best)
{
	bool matched = false;
	uint32_t k;

	s->next.n = 0;
	s->turn++;
	for (k = 0; k < s->now.n && !matched; k++) {
		uint32_t pc = s->now.at[k];
		size_t *slots = &s->now.slots[k * s->n_slots];

		s->cost++;
		if (s->r->code[pc].kind == STEP_MATCH) {
			memcpy(best, slots, s->n_slots * sizeof(*best));
			matched = true;
		} else if (len > 0 && takes(&s->r->code[pc], ch, &s->cost)) {
			add(s, &s->next, pc + 1, i + len, slots);
		}
	}
	return matched;
}

static int run(struct search *s, size_t from, size_t *best, uint64_t cost_max)
{
	size_t fresh[SLOTS];
	bool matched = false;
	size_t i = from;
	size_t k;

	for (k = 0; k < s->n_slots; k++) {
		fresh[k] = NO_PLACE;
	}
	s->turn = 1;
	s->now.n = 0;
	for (;;) {
		struct threads old;
		size_t len = 0;
		uint32_t ch = s->text[i] != '\0' ? decode(&s->text[i], &len) : 0;

		/* A match may begin here, unless one that began earlier has been found. */
		if (!matched) {
			add(s, &s->now, 0, i, fresh);
		}
		matched = turn(s, i, len, ch, best) || matched;
		old = s->now;
		s->now = s->next;
		s->next = old;
		if (s->cost > cost_max) {
			return ERR_TOOBIG;
		}
		if (len == 0 || (matched && s->now.n == 0)) {
			return matched ? 0 : ERR_NOTFOUND;
		}
		i += len;
	}
}

static bool new_threads(struct threads *t, size_t n, size_t n_slots)
{
	t->at = malloc(n * sizeof(*t->at));
	t->slots = malloc(n * n_slots * sizeof(*t->slots));
	return t->at != NULL && t->slots != NULL;
}

static void close_threads(struct threads *t)
{
	free(t->at);
	free(t->slots);
}

int regfind_next(const struct regfind *r, const char *text, size_t from, struct regfind_span *spans, uint64_t cost_max,
		 uint64_t *cost)
{
	struct search s = {.r = r, .text = text, .n_slots = 2 * (r->n_groups + 1)};
	size_t best[SLOTS];
	uint32_t i;
	int rv = ERR_NOMEM;

	s.seen = calloc(r->n, sizeof(*s.seen));
	if (new_threads(&s.now, r->n, s.n_slots) && new_threads(&s.next, r->n, s.n_slots) && s.seen != NULL) {
		rv = run(&s, from, best, cost_max);
	}
	for (i = 0; i <= r->n_groups && rv == 0; i++) {
		bool set = best[2 * i] != NO_PLACE && best[2 * i + 1] != NO_PLACE;

		spans[i] = (struct regfind_span){set ? best[2 * i] : 0, set ? best[2 * i + 1] : 0, set};
	}
	free(s.seen);
	close_threads(&s.now);
	close_threads(&s.next);
	*cost += s.cost + r->n / 16; /* Making room takes its time, too. */
	return rv;
}

/* ---- testing ---- */

/* Who only asks whether there is a match needs no slots and no order: a set of steps is all that a turn leaves. */
struct test {
	const struct regfind *r;
	const char *text;
	uint32_t *seen; /* For each step: the turn in which it was added last. */
	uint32_t turn;
	uint32_t *now; /* Steps that take a character. */
	uint32_t *next;
	uint32_t *open; /* Steps that are still to be followed; one more than there are, as each leads to at most two. */
	uint32_t n_now;
	uint32_t n_next;
	uint64_t cost;
};

/* All that step `pc` leads to without a character, at place i. True when that is the end of a match. */
static bool reach(struct test *t, uint32_t pc, size_t i)
{
	uint32_t n = 0;

	t->open[n++] = pc;
	while (n > 0) {
		const struct regfind_step *step;

		pc = t->open[--n];
		step = &t->r->code[pc];
		if (t->seen[pc] == t->turn) {
			continue;
		}
		t->seen[pc] = t->turn;
		t->cost++;
		switch (step->kind) {
		case STEP_MATCH:
			return true;
		case STEP_SPLIT:
			t->open[n++] = (uint32_t)((int32_t)pc + step->b);
			t->open[n++] = (uint32_t)((int32_t)pc + step->a);
			break;
		case STEP_JUMP:
			t->open[n++] = (uint32_t)((int32_t)pc + step->a);
			break;
		case STEP_SAVE:
			t->open[n++] = pc + 1;
			break;
		case STEP_AT:
			if (is_at(t->text, i, (enum place)step->a)) {
				t->open[n++] = pc + 1;
			}
			break;
		default:
			t->next[t->n_next++] = pc;
		}
	}
	return false;
}

/* The step that every match begins with, and nothing but. */
static const struct regfind_step *first_step(const struct regfind *r)
{
	const struct regfind_step *step = r->code;

	while (step->kind == STEP_SAVE) {
		step++;
	}
	return step;
}

/* While nothing is under way: go to where a match may begin next. False when there is no such place. */
static bool skip(struct test *t, const struct regfind_step *first, size_t *i)
{
	const char *at;

	if (first->kind == STEP_AT && first->a == AT_TEXT_BEGIN) {
		return *i == 0;
	}
	if (first->kind != STEP_CHAR || first->fold || first->ch == 0 || first->ch >= 0x80) {
		return true;
	}
	at = strchr(&t->text[*i], (int)first->ch);
	if (at == NULL) {
		return false;
	}
	t->cost += ((size_t)(at - t->text) - *i) / 16;
	*i = (size_t)(at - t->text);
	return true;
}

/* From the steps at a place to those behind the character there. */
static bool advance(struct test *t, size_t next, uint32_t ch)
{
	for (uint32_t k = 0; k < t->n_now; k++) {
		t->cost++;
		if (takes(&t->r->code[t->now[k]], ch, &t->cost) && reach(t, t->now[k] + 1, next)) {
			return true;
		}
	}
	return false;
}

static int run_test(struct test *t, uint64_t cost_max)
{
	const struct regfind_step *first = first_step(t->r);
	size_t i = 0;

	for (;;) {
		uint32_t *old = t->now;
		size_t len;
		uint32_t ch;

		/* In `next` is what a match that began earlier has come to. */
		if (t->n_next == 0 && !skip(t, first, &i)) {
			return ERR_NOTFOUND;
		}
		if (reach(t, 0, i)) {
			return 0;
		}
		if (t->text[i] == '\0') {
			return ERR_NOTFOUND;
		}
		if (t->cost > cost_max) {
			return ERR_TOOBIG;
		}
		t->now = t->next;
		t->n_now = t->n_next;
		t->next = old;
		t->n_next = 0;
		t->turn++;
		ch = decode(&t->text[i], &len);
		i += len;
		if (advance(t, i, ch)) {
			return 0;
		}
	}
}

int regfind_test(const struct regfind *r, const char *text, uint64_t cost_max, uint64_t *cost)
{
	uint32_t few[4 * 128 + 1] = {0};
	size_t size = 4 * (size_t)r->n + 1;
	uint32_t *room = size <= sizeof(few) / sizeof(few[0]) ? few : calloc(size, sizeof(*room));
	struct test t = {.r = r, .text = text, .turn = 1};
	int rv;

	if (room == NULL) {
		return ERR_NOMEM;
	}
	t.seen = room;
	t.now = t.seen + r->n;
	t.next = t.now + r->n;
	t.open = t.next + r->n;
	rv = run_test(&t, cost_max);
	if (room != few) {
		free(room);
	}
	*cost += t.cost + r->n / 16; /* Making room takes its time, too. */
	return rv;
}
