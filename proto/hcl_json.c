/* JSON as configuration syntax: the same tree from other characters. */
#include <string.h>

#include "proto/error.h"
#include "proto/hcl_parser.h"

static struct hcl_expr *parse_value(struct hcl_parser *p);

static void skip(struct hcl_parser *p)
{
	while (p->at < p->end && strchr(" \t\r\n", *p->at) != NULL) {
		p->at++;
	}
}

static bool take(struct hcl_parser *p, char c)
{
	skip(p);
	if (p->at == p->end || *p->at != c) {
		return false;
	}
	p->at++;
	return true;
}

static struct hcl_expr *fail_expecting(struct hcl_parser *p, const char *what)
{
	char next[16];

	return hcl_fail(p, "expected %s, not %s", what, hcl_next_text(p, next));
}

/* ---- strings ---- */

/* After \u; a pair of surrogates is one character, a lone one becomes U+FFFD. */
static bool take_code(struct hcl_parser *p, struct buf *text)
{
	const char *after;
	uint32_t c;
	uint32_t low;
	char utf8[4];

	if (!hcl_hex(p, 4, &c)) {
		hcl_fail(p, "expected four hex digits");
		return false;
	}
	if (c >= 0xd800 && c <= 0xdfff) {
		after = p->at;
		if (c < 0xdc00 && hcl_take_text(p, "\\u") && hcl_hex(p, 4, &low) && low >= 0xdc00 && low <= 0xdfff) {
			c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
		} else {
			p->at = after;
			c = 0xfffd;
		}
	}
	buf_put(text, utf8, hcl_utf8(c, utf8));
	return true;
}

static bool take_escape(struct hcl_parser *p, struct buf *text)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter = *p->at != '\0' ? strchr(letters, *p->at) : NULL;

	if (letter != NULL) {
		buf_byte(text, meanings[letter - letters]);
		p->at++;
		return true;
	}
	if (hcl_take_text(p, "u")) {
		return take_code(p, text);
	}
	hcl_fail(p, "an unknown escape");
	return false;
}

static bool read_string(struct hcl_parser *p, struct buf *text)
{
	for (;;) {
		if (p->at == p->end || (unsigned char)*p->at < 0x20) {
			hcl_fail(p, "a string that does not end in its line");
			return false;
		}
		if (hcl_take_text(p, "\"")) {
			return true;
		}
		if (!hcl_take_text(p, "\\")) {
			buf_byte(text, *p->at++);
		} else if (!take_escape(p, text)) {
			return false;
		}
	}
}

static struct hcl_expr *parse_string(struct hcl_parser *p)
{
	struct hcl_pos pos = hcl_here(p);
	struct buf text = {0};
	struct hcl_expr *e = NULL;

	p->at++;
	if (read_string(p, &text)) {
		e = text.failed ? hcl_fail_code(p, ERR_NOMEM, "out of memory")
				: hcl_string_node(p, pos, buf_text(&text), text.len);
	}
	buf_close(&text);
	return e;
}

/* ---- the rest ---- */

static struct hcl_expr *parse_number(struct hcl_parser *p)
{
	struct hcl_expr *e = hcl_node(p, EXPR_LITERAL, hcl_here(p));
	bool negative = hcl_take_text(p, "-");
	size_t n = hcl_number_len(p->at);

	if (n == 0 || (*p->at == '0' && p->at[1] >= '0' && p->at[1] <= '9')) {
		return fail_expecting(p, "a number");
	}
	if (e == NULL || !hcl_number_parse(p->at, n, &e->value.number)) {
		return hcl_fail(p, "a number that is too large");
	}
	p->at += n;
	e->value.kind = HCL_NUMBER;
	if (negative) {
		e->value.number = hcl_negative(e->value.number);
	}
	return e;
}

static struct hcl_expr *parse_array(struct hcl_parser *p)
{
	struct hcl_expr *e = hcl_node(p, EXPR_TUPLE, hcl_here(p));
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	p->at++;
	if (e == NULL || take(p, ']')) {
		return e;
	}
	do {
		if (!hcl_adopt(p, e, &tail, parse_value(p))) {
			return NULL;
		}
	} while (take(p, ','));
	return take(p, ']') ? e : fail_expecting(p, "a comma or ]");
}

static struct hcl_expr *parse_object(struct hcl_parser *p)
{
	struct hcl_expr *e = hcl_node(p, EXPR_OBJECT, hcl_here(p));
	struct hcl_expr **tail = e != NULL ? &e->first : NULL;

	p->at++;
	if (e == NULL || take(p, '}')) {
		return e;
	}
	do {
		skip(p);
		if (p->at == p->end || *p->at != '"') {
			return fail_expecting(p, "a name in quotes");
		}
		if (!hcl_adopt(p, e, &tail, parse_string(p))) {
			return NULL;
		}
		if (!take(p, ':')) {
			return fail_expecting(p, "a colon");
		}
		if (!hcl_adopt(p, e, &tail, parse_value(p))) {
			return NULL;
		}
	} while (take(p, ','));
	return take(p, '}') ? e : fail_expecting(p, "a comma or }");
}

static struct hcl_expr *parse_word(struct hcl_parser *p)
{
	struct hcl_expr *e = hcl_node(p, EXPR_LITERAL, hcl_here(p));

	if (e == NULL || hcl_take_text(p, "null")) {
		return e;
	}
	e->value.kind = HCL_BOOL;
	e->value.boolean = hcl_take_text(p, "true");
	return e->value.boolean || hcl_take_text(p, "false") ? e : fail_expecting(p, "a value");
}

static struct hcl_expr *parse_value(struct hcl_parser *p)
{
	struct hcl_expr *e;

	skip(p);
	if (!hcl_enter(p)) {
		return NULL;
	}
	switch (p->at < p->end ? *p->at : '\0') {
	case '"':
		e = parse_string(p);
		break;
	case '[':
		e = parse_array(p);
		break;
	case '{':
		e = parse_object(p);
		break;
	case '-':
	case '0' ... '9':
		e = parse_number(p);
		break;
	default:
		e = parse_word(p);
	}
	hcl_leave(p);
	return p->failed == 0 ? e : NULL;
}

static struct hcl_body *parse_top(struct hcl_parser *p)
{
	struct hcl_expr *e = parse_value(p);
	struct hcl_body *body;

	if (e == NULL) {
		return NULL;
	}
	skip(p);
	if (p->at < p->end) {
		return hcl_fail(p, "text after the end of the value");
	}
	if (e->kind != EXPR_OBJECT) {
		return hcl_fail_at(p, e->pos, "expected an object");
	}
	body = hcl_object_body(e, p->mem);
	return body != NULL ? body : hcl_fail_code(p, ERR_NOMEM, "out of memory");
}

int hcl_parse_json(const char *text, size_t len, struct arena *mem, struct hcl_body **body, struct hcl_error *error)
{
	struct hcl_parser p;
	struct hcl_body *parsed = hcl_parser_init(&p, text, len, mem, error) ? parse_top(&p) : NULL;

	if (parsed != NULL) {
		*body = parsed;
	}
	return hcl_parser_result(&p);
}
