/* Trees as canonical native syntax. Parentheses stand only where the tree needs them. */
#include <string.h>

#include "proto/hcl.h"

/* How tightly what an expression prints as holds together: terms with what follows them above all operators. */
enum { LEVEL_CONDITIONAL = 0, LEVEL_UNARY = 7, LEVEL_TERM = 8 };

static void put_expr(const struct hcl_expr *e, struct buf *out);
static void put_parts(const struct hcl_expr *e, bool more, struct buf *out);

static unsigned level_of(const struct hcl_expr *e)
{
	switch (e->kind) {
	case EXPR_CONDITIONAL:
		return LEVEL_CONDITIONAL;
	case EXPR_BINARY:
		return hcl_operator_level(e->op);
	case EXPR_NOT:
	case EXPR_NEGATE:
		return LEVEL_UNARY;
	case EXPR_LITERAL:
		/* Only JSON makes negative literals. */
		return e->value.kind == HCL_NUMBER && e->value.number.num < 0 ? LEVEL_UNARY : LEVEL_TERM;
	default:
		return LEVEL_TERM;
	}
}

static void put_operand(const struct hcl_expr *e, unsigned level, struct buf *out)
{
	bool parens = level_of(e) < level;

	if (parens) {
		buf_byte(out, '(');
	}
	put_expr(e, out);
	if (parens) {
		buf_byte(out, ')');
	}
}

/* ---- strings ---- */

/* `more`: a template sequence follows inside of the same quotes; a $ or % at the end must not become part of it. */
static void put_text(const char *s, bool more, struct buf *out)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			buf_printf(out, "\\%c", c);
		} else if (c == '\n') {
			buf_str(out, "\\n");
		} else if (c < 0x20) {
			buf_printf(out, "\\u%04x", c);
		} else if (c == 0xc0) {
			buf_str(out, "\\u0000");
			s++;
		} else if ((c == '$' || c == '%') && s[1] == '{') {
			buf_printf(out, "%c%c", c, c);
		} else if ((c == '$' || c == '%') && s[1] == '\0' && more) {
			buf_printf(out, "\\u%04x", c);
		} else {
			buf_byte(out, *s);
		}
	}
}

static void put_quoted(const char *s, struct buf *out)
{
	buf_byte(out, '"');
	put_text(s, false, out);
	buf_byte(out, '"');
}

static void put_names(const struct hcl_expr *e, struct buf *out)
{
	buf_str(out, "for ");
	if (e->loop.key != NULL) {
		buf_printf(out, "%s, ", e->loop.key);
	}
	buf_printf(out, "%s in ", e->loop.value);
	put_expr(e->first, out);
}

static void put_if(const struct hcl_expr *e, struct buf *out)
{
	buf_str(out, "%{ if ");
	put_expr(e->first, out);
	buf_str(out, " }");
	put_parts(e->first->next, true, out);
	if (e->n > 2) {
		buf_str(out, "%{ else }");
		put_parts(e->first->next->next, true, out);
	}
	buf_str(out, "%{ endif }");
}

static void put_part(const struct hcl_expr *part, bool more, struct buf *out)
{
	switch (part->kind) {
	case EXPR_LITERAL:
		put_text(part->value.string, more, out);
		break;
	case EXPR_INTERPOLATION:
		buf_str(out, "${");
		put_expr(part->first, out);
		buf_byte(out, '}');
		break;
	case EXPR_TEMPLATE_IF:
		put_if(part, out);
		break;
	default:
		buf_str(out, "%{ ");
		put_names(part, out);
		buf_str(out, " }");
		put_parts(part->first->next, true, out);
		buf_str(out, "%{ endfor }");
	}
}

static void put_parts(const struct hcl_expr *e, bool more, struct buf *out)
{
	const struct hcl_expr *part;

	for (part = e->first; part != NULL; part = part->next) {
		put_part(part, more || part->next != NULL, out);
	}
}

/* ---- expressions ---- */

static void put_value(const struct hcl_value *v, struct buf *out)
{
	switch (v->kind) {
	case HCL_BOOL:
		buf_str(out, v->boolean ? "true" : "false");
		break;
	case HCL_NUMBER:
		hcl_number_put(&v->number, out);
		break;
	case HCL_STRING:
		put_quoted(v->string, out);
		break;
	default:
		buf_str(out, "null");
	}
}

static void put_list(const struct hcl_expr *e, struct buf *out)
{
	for (e = e->first; e != NULL; e = e->next) {
		put_expr(e, out);
		if (e->next != NULL) {
			buf_str(out, ", ");
		}
	}
}

static void put_object(const struct hcl_expr *e, struct buf *out)
{
	const struct hcl_expr *key;

	buf_byte(out, '{');
	for (key = e->first; key != NULL; key = key->next->next) {
		/* A bare word would be a literal key. */
		bool literal =
			key->kind == EXPR_LITERAL && (key->value.kind == HCL_STRING || key->value.kind == HCL_NUMBER);

		put_operand(key, literal || key->kind == EXPR_TEMPLATE ? 0 : LEVEL_TERM + 1, out);
		buf_str(out, " = ");
		put_expr(key->next, out);
		if (key->next->next != NULL) {
			buf_str(out, ", ");
		}
	}
	buf_byte(out, '}');
}

static void put_for(const struct hcl_expr *e, struct buf *out)
{
	const struct hcl_expr *next = e->first->next;

	buf_byte(out, e->kind == EXPR_FOR_LIST ? '[' : '{');
	put_names(e, out);
	buf_str(out, " : ");
	put_expr(next, out);
	if (e->kind == EXPR_FOR_OBJECT) {
		next = next->next;
		buf_str(out, " => ");
		put_expr(next, out);
		buf_str(out, e->spread ? "..." : "");
	}
	if (next->next != NULL) {
		buf_str(out, " if ");
		put_expr(next->next, out);
	}
	buf_byte(out, e->kind == EXPR_FOR_LIST ? ']' : '}');
}

/* list.*.a.b takes only names into the splat, list[*].a[0] all that follows. */
static bool takes_only_names(const struct hcl_expr *splat)
{
	const struct hcl_expr *e = splat->first->next;

	while (e->kind == EXPR_ATTR) {
		e = e->first;
	}
	return e->kind == EXPR_EACH;
}

/* What a name or an index is taken of: in parentheses if that would become part of a splat. */
static void put_base(const struct hcl_expr *e, bool name_follows, struct buf *out)
{
	bool open = e->kind == EXPR_SPLAT && (name_follows || !takes_only_names(e));

	put_operand(e, open ? LEVEL_TERM + 1 : LEVEL_TERM, out);
}

static void put_splat(const struct hcl_expr *e, struct buf *out)
{
	put_base(e->first, false, out);
	buf_str(out, takes_only_names(e) ? ".*" : "[*]");
	put_expr(e->first->next, out);
}

static void put_binary(const struct hcl_expr *e, struct buf *out)
{
	unsigned level = hcl_operator_level(e->op);

	put_operand(e->first, level, out);
	buf_printf(out, " %s ", hcl_operator_text(e->op));
	put_operand(e->first->next, level + 1, out);
}

static void put_conditional(const struct hcl_expr *e, struct buf *out)
{
	put_operand(e->first, LEVEL_CONDITIONAL + 1, out);
	buf_str(out, " ? ");
	put_expr(e->first->next, out);
	buf_str(out, " : ");
	put_expr(e->first->next->next, out);
}

static void put_index(const struct hcl_expr *e, struct buf *out)
{
	put_base(e->first, false, out);
	buf_byte(out, '[');
	put_expr(e->first->next, out);
	buf_byte(out, ']');
}

static void put_expr(const struct hcl_expr *e, struct buf *out)
{
	switch ((enum hcl_expr_kind)e->kind) {
	case EXPR_LITERAL:
		put_value(&e->value, out);
		break;
	case EXPR_TEMPLATE:
		buf_byte(out, '"');
		put_parts(e, false, out);
		buf_byte(out, '"');
		break;
	case EXPR_TUPLE:
		buf_byte(out, '[');
		put_list(e, out);
		buf_byte(out, ']');
		break;
	case EXPR_OBJECT:
		put_object(e, out);
		break;
	case EXPR_VARIABLE:
		buf_str(out, e->name);
		break;
	case EXPR_ATTR:
		put_base(e->first, true, out);
		buf_printf(out, ".%s", e->name);
		break;
	case EXPR_INDEX:
		put_index(e, out);
		break;
	case EXPR_SPLAT:
		put_splat(e, out);
		break;
	case EXPR_CALL:
		buf_printf(out, "%s(", e->name);
		put_list(e, out);
		buf_str(out, e->spread ? "...)" : ")");
		break;
	case EXPR_NOT:
	case EXPR_NEGATE:
		buf_byte(out, e->kind == EXPR_NOT ? '!' : '-');
		put_operand(e->first, LEVEL_UNARY, out);
		break;
	case EXPR_BINARY:
		put_binary(e, out);
		break;
	case EXPR_CONDITIONAL:
		put_conditional(e, out);
		break;
	case EXPR_FOR_LIST:
	case EXPR_FOR_OBJECT:
		put_for(e, out);
		break;
	case EXPR_EACH: /* Nothing: the element is what stands before. */
	case EXPR_INTERPOLATION:
	case EXPR_TEMPLATE_IF:
	case EXPR_TEMPLATE_FOR:
		break;
	}
}

void hcl_print_expr(const struct hcl_expr *e, struct buf *out)
{
	put_expr(e, out);
}

/* ---- bodies ---- */

static bool is_plain_name(const char *s)
{
	const char *c;

	for (c = s; *c != '\0'; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';

		if (!letter && (c == s || (*c != '-' && (*c < '0' || *c > '9')))) {
			return false;
		}
	}
	return c > s;
}

static void put_name(const char *name, struct buf *out)
{
	if (is_plain_name(name)) {
		buf_str(out, name);
	} else {
		put_quoted(name, out);
	}
}

static void put_indent(unsigned depth, struct buf *out)
{
	for (; depth > 0; depth--) {
		buf_str(out, "  ");
	}
}

static void put_body(const struct hcl_body *body, unsigned depth, struct buf *out)
{
	const struct hcl_item *item;
	uint32_t i;

	for (item = body->first; item != NULL; item = item->next) {
		put_indent(depth, out);
		put_name(item->name, out);
		if (item->value != NULL) {
			buf_str(out, " = ");
			put_expr(item->value, out);
			buf_byte(out, '\n');
			continue;
		}
		for (i = 0; i < item->n_labels; i++) {
			buf_byte(out, ' ');
			put_quoted(item->labels[i], out);
		}
		buf_str(out, " {\n");
		put_body(item->body, depth + 1, out);
		put_indent(depth, out);
		buf_str(out, "}\n");
	}
}

void hcl_print(const struct hcl_body *body, struct buf *out)
{
	put_body(body, 0, out);
}
