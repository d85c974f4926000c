#include "proto/regex.h"

#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/utf8.h"
#include "proto/error.h"

/* The translation of a pattern into a POSIX extended one, from left to right. */
struct translation {
	const char *p;
	struct buf out;
	const char *why; /* NULL as long as it is well. */
	unsigned open;   /* Groups. */
	unsigned repeat; /* The product of all counts so far. */
	bool atom;       /* There is something before p that a repetition may follow. */
	bool fold;       /* Without regard to case. */
};

static void fail(struct translation *t, const char *why)
{
	t->why = why;
}

static bool is_special(char c)
{
	return c != '\0' && strchr(".[]()*+?{}|^$\\", c) != NULL;
}

static void put_literal(struct translation *t, char c)
{
	if (is_special(c)) {
		buf_byte(&t->out, '\\');
	}
	buf_byte(&t->out, c);
	t->atom = true;
}

/* What stands for a class letter inside brackets, or NULL. */
static const char *class_of(char c)
{
	switch (c) {
	case 'd':
		return "0-9";
	case 'w':
		return "[:alnum:]_";
	case 's':
		return "[:space:]";
	default:
		return NULL;
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character that an escape stands for, with p at the letter behind the backslash; p moves behind it. 0 when it is
 * no such escape. */
static char escaped_char(struct translation *t)
{
	static const char from[] = "tnrfva";
	static const char into[] = "\t\n\r\f\v\a";
	char c = *t->p;
	const char *at = c != '\0' ? strchr(from, c) : NULL;

	if (at != NULL) {
		t->p++;
		return into[at - from];
	}
	if (c == 'x' && hex_value(t->p[1]) >= 0 && hex_value(t->p[2]) >= 0) {
		c = (char)(hex_value(t->p[1]) << 4 | hex_value(t->p[2]));
		t->p += 3;
		return (unsigned char)c < 0x80 ? c : '\0';
	}
	if (c > ' ' && c < 0x7f && hex_value(c) < 0 && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
		t->p++;
		return c; /* Punctuation stands for itself. */
	}
	return '\0';
}

static void take_escape(struct translation *t)
{
	char c = *++t->p;
	const char *set = class_of((char)(c | 0x20));
	bool known = c == 'A' || c == 'z' || c == 'b' || c == 'B';

	if (c != '\0' && set != NULL) {
		buf_printf(&t->out, (c & 0x20) != 0 ? "[%s]" : "[^%s]", set);
		t->p++;
	} else if (known) {
		buf_str(&t->out, c == 'A' ? "^" : c == 'z' ? "$" : c == 'b' ? "\\b" : "\\B");
		t->p++;
	} else {
		c = escaped_char(t);
		if (c == '\0') {
			fail(t, "invalid escape sequence");
			return;
		}
		put_literal(t, c);
	}
	t->atom = true;
}

/* What is inside of brackets. POSIX has no escapes there: ] must come first and - last. */
struct bracket {
	struct buf body;
	bool right; /* ] */
	bool dash;  /* - */
	bool caret; /* ^, which must not come first. */
	bool left;  /* [, which must not come before one of .:= */
};

static void bracket_char(struct bracket *b, char c)
{
	if (c == ']') {
		b->right = true;
	} else if (c == '-') {
		b->dash = true;
	} else if (c == '^') {
		b->caret = true;
	} else if (c == '[') {
		b->left = true;
	} else {
		buf_byte(&b->body, c);
	}
}

/* One character of a class, escaped or not; 0 when it is a class letter, which is taken, or a fault. */
static char take_bracket_char(struct translation *t, struct bracket *b)
{
	const char *set;
	char c = *t->p;

	if ((unsigned char)c >= 0x80) {
		fail(t, "only ASCII characters are supported in a class");
		return '\0';
	}
	if (c == '[' && t->p[1] == ':') {
		const char *end = strstr(t->p, ":]");

		if (end == NULL) {
			fail(t, "missing closing ]");
			return '\0';
		}
		buf_put(&b->body, t->p, (size_t)(end + 2 - t->p));
		t->p = end + 2;
		return '\0';
	}
	t->p++;
	if (c != '\\') {
		return c;
	}
	set = class_of(*t->p);
	if (set != NULL) {
		buf_str(&b->body, set);
		t->p++;
		return '\0';
	}
	c = escaped_char(t);
	if (c == '\0') {
		fail(t, "invalid escape sequence");
	}
	return c;
}

static void take_range(struct translation *t, struct bracket *b, char from)
{
	char to;

	t->p++; /* The dash. */
	to = take_bracket_char(t, b);
	if (t->why == NULL && (to == '\0' || (unsigned char)to < (unsigned char)from)) {
		fail(t, "invalid character class range");
	}
	/* The ends of a range need no care of their own, but for those that mean something at their place. */
	if (t->why == NULL && (from == ']' || from == '-' || from == '^' || from == '[' || to == ']' || to == '-')) {
		fail(t, "such a range is not supported");
	}
	buf_byte(&b->body, from);
	buf_byte(&b->body, '-');
	buf_byte(&b->body, to);
}

static void put_bracket(struct translation *t, struct bracket *b, bool negated)
{
	buf_str(&t->out, negated ? "[^" : "[");
	if (b->right) {
		buf_byte(&t->out, ']');
	}
	if (b->body.len > 0) {
		buf_put(&t->out, b->body.at, b->body.len);
	}
	if (b->left) {
		buf_byte(&t->out, '[');
	}
	if (b->caret && !negated && !b->right && b->body.len == 0 && !b->left) {
		/* [^] alone, or with -: there is no way to write it but as an alternative. */
		t->out.len--;
		buf_str(&t->out, b->dash ? "(\\^|-)" : "\\^");
		return;
	}
	if (b->caret) {
		buf_byte(&t->out, '^');
	}
	if (b->dash) {
		buf_byte(&t->out, '-');
	}
	buf_byte(&t->out, ']');
}

static void take_bracket(struct translation *t)
{
	struct bracket b = {.body = {0}};
	bool negated = *++t->p == '^';
	bool first = true;

	t->p += negated;
	while (t->why == NULL && (first || *t->p != ']')) {
		char c;

		if (*t->p == '\0') {
			fail(t, "missing closing ]");
			break;
		}
		c = take_bracket_char(t, &b);
		if (c != '\0' && *t->p == '-' && t->p[1] != ']' && t->p[1] != '\0') {
			take_range(t, &b, c);
		} else if (c != '\0') {
			bracket_char(&b, c);
		}
		first = false;
	}
	if (t->why == NULL) {
		t->p++;
		put_bracket(t, &b, negated);
	}
	t->out.failed = t->out.failed || b.body.failed;
	buf_close(&b.body);
	t->atom = true;
}

/* What follows "(?": flags, a name, or nothing. */
static void take_group_kind(struct translation *t)
{
	const char *end;
	bool alone = t->out.len == 0;

	if (*t->p == 'P' || *t->p == '<') {
		end = strchr(t->p, '>');
		if (end == NULL || t->p[t->p[0] == 'P'] != '<') {
			fail(t, "invalid named capture");
			return;
		}
		t->p = end + 1;
		buf_byte(&t->out, '(');
		t->open++;
		return;
	}
	for (; *t->p != '\0' && strchr("ismU", *t->p) != NULL; t->p++) {
		if (*t->p == 'i' && !alone) {
			fail(t, "flags are supported at the beginning only");
		}
		t->fold = t->fold || *t->p == 'i';
	}
	if (*t->p == ':') {
		if (t->fold && t->p[-1] != '?') {
			fail(t, "flags of a group are not supported");
		}
		buf_byte(&t->out, '(');
		t->open++;
	} else if (*t->p != ')') {
		fail(t, "invalid or unsupported Perl syntax");
		return;
	}
	t->p++;
}

static void take_group(struct translation *t)
{
	t->p++;
	if (*t->p == '?') {
		t->p++;
		take_group_kind(t);
	} else {
		buf_byte(&t->out, '(');
		t->open++;
	}
	t->atom = false;
}

static bool take_count(const char **p, unsigned *n)
{
	const char *start = *p;

	for (*n = 0; **p >= '0' && **p <= '9' && *p - start < 5; ++*p) {
		*n = *n * 10 + (unsigned)(**p - '0');
	}
	return *p > start;
}

/* {n}, {n,} or {n,m}; anything else that begins with { is literal. False then. */
static bool take_counts(struct translation *t)
{
	const char *p = t->p + 1;
	unsigned from;
	unsigned to;

	if (!take_count(&p, &from)) {
		return false;
	}
	to = from;
	if (*p == ',') {
		p++;
		if (!take_count(&p, &to)) {
			to = from;
		}
	}
	if (*p != '}') {
		return false;
	}
	t->repeat *= to > 1 ? to : 1;
	if (from > to || to > REGEX_REPEAT_MAX || t->repeat > REGEX_REPEAT_MAX) {
		fail(t, "invalid repeat count");
	}
	buf_put(&t->out, t->p, (size_t)(p + 1 - t->p));
	t->p = p + 1;
	return true;
}

static void take_repetition(struct translation *t)
{
	if (*t->p == '{') {
		if (!take_counts(t)) {
			put_literal(t, *t->p++);
			return;
		}
	} else {
		buf_byte(&t->out, *t->p++);
	}
	if (!t->atom) {
		fail(t, "missing argument to repetition operator");
	}
	t->p += *t->p == '?'; /* Not greedy: the same whether something matches. */
	t->atom = false;
}

static void take_one(struct translation *t)
{
	char c = *t->p;
	size_t n;

	switch (c) {
	case '\\':
		take_escape(t);
		break;
	case '[':
		take_bracket(t);
		break;
	case '(':
		take_group(t);
		break;
	case ')':
	case '|':
		if (c == ')' && t->open-- == 0) {
			fail(t, "unexpected )");
		}
		buf_byte(&t->out, c);
		t->atom = c == ')';
		t->p++;
		break;
	case '*':
	case '+':
	case '?':
	case '{':
		take_repetition(t);
		break;
	case '.':
	case '^':
	case '$':
		buf_byte(&t->out, c);
		t->atom = true;
		t->p++;
		break;
	default:
		n = utf8_len(t->p, strlen(t->p));
		if (n > 1) { /* A group, so that a repetition means all of its bytes. */
			buf_printf(&t->out, "(%.*s)", (int)n, t->p);
			t->p += n;
			t->atom = true;
		} else {
			put_literal(t, *t->p++);
		}
	}
}

int regex_compile(const char *pattern, struct regex *out, char why[REGEX_WHY])
{
	struct translation t = {.p = pattern, .repeat = 1};
	int rv = ERR_SYNTAX;

	if (strlen(pattern) > REGEX_TEXT_MAX) {
		fail(&t, "expression too long");
	}
	while (t.why == NULL && *t.p != '\0') {
		take_one(&t);
	}
	if (t.why == NULL && t.open > 0) {
		fail(&t, "missing closing )");
	}
	buf_text(&t.out);
	if (t.why != NULL) {
		snprintf(why, REGEX_WHY, "%s: `%.40s`", t.why, pattern);
	} else if (t.out.failed) {
		rv = ERR_NOMEM;
	} else {
		rv = regcomp(&out->compiled, t.out.at, REG_EXTENDED | REG_NOSUB | (t.fold ? REG_ICASE : 0));
		if (rv != 0) {
			regerror(rv, &out->compiled, why, REGEX_WHY);
			rv = rv == REG_ESPACE ? ERR_NOMEM : ERR_SYNTAX;
		}
	}
	buf_close(&t.out);
	return rv;
}

void regex_close(struct regex *r)
{
	regfree(&r->compiled);
}

bool regex_match(const struct regex *r, const char *text)
{
	return regexec(&r->compiled, text, 0, NULL, 0) == 0;
}
