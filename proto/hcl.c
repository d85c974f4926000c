#include "proto/hcl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/error.h"
#include "proto/hcl_parser.h"

/* ---- names and numbers ---- */

static const struct {
	const char *text;
	unsigned level;
} operators[] = {
#define X(name, text, level) {text, level},
	HCL_OPERATOR_LIST(X)
#undef X
};

static const char *const kind_texts[] = {
#define X(name, text) text,
	HCL_VALUE_LIST(X)
#undef X
};

const char *hcl_operator_text(enum hcl_operator op)
{
	return operators[op].text;
}

unsigned hcl_operator_level(enum hcl_operator op)
{
	return operators[op].level;
}

const char *hcl_kind_text(enum hcl_value_kind kind)
{
	return kind_texts[kind];
}

struct hcl_number hcl_integer(int64_t integer)
{
	return (struct hcl_number){.num = (double)integer, .integer = integer, .exact = true};
}

struct hcl_number hcl_number_of(double num)
{
	if (fabs(num) <= 9007199254740992.0 && num == floor(num)) {
		return hcl_integer((int64_t)num);
	}
	return (struct hcl_number){.num = num};
}

struct hcl_number hcl_negative(struct hcl_number n)
{
	if (n.exact && n.integer != INT64_MIN) {
		return hcl_integer(-n.integer);
	}
	return (struct hcl_number){.num = -n.num};
}

void hcl_number_put(const struct hcl_number *n, struct buf *out)
{
	char text[40];
	int digits;

	if (n->exact) {
		buf_printf(out, "%lld", (long long)n->integer);
		return;
	}
	for (digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, n->num);
		if (strtod(text, NULL) == n->num) {
			break;
		}
	}
	buf_str(out, text);
}

static size_t digits_len(const char *s)
{
	return strspn(s, "0123456789");
}

size_t hcl_number_len(const char *text)
{
	const char *s = text + digits_len(text);

	if (s == text) {
		return 0;
	}
	if (*s == '.' && digits_len(s + 1) > 0) {
		s += 1 + digits_len(s + 1);
	}
	if (*s == 'e' || *s == 'E') {
		const char *exponent = s + 1 + (s[1] == '+' || s[1] == '-');

		if (digits_len(exponent) > 0) {
			s = exponent + digits_len(exponent);
		}
	}
	return (size_t)(s - text);
}

bool hcl_number_parse(const char *text, size_t len, struct hcl_number *n)
{
	int64_t integer = 0;
	char digits[128];
	size_t i;

	for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		if (__builtin_mul_overflow(integer, 10, &integer) ||
		    __builtin_add_overflow(integer, text[i] - '0', &integer)) {
			break;
		}
	}
	if (i == len) {
		*n = hcl_integer(integer);
		return true;
	}
	if (len >= sizeof(digits)) {
		return false;
	}
	memcpy(digits, text, len);
	digits[len] = '\0';
	*n = hcl_number_of(strtod(digits, NULL));
	return isfinite(n->num);
}

/* ---- errors and positions ---- */

static void error_set(struct hcl_parser *p, int code, struct hcl_pos pos, const char *format, va_list args)
{
	if (p->failed != 0) {
		return;
	}
	p->failed = code;
	if (p->error != NULL) {
		p->error->pos = pos;
		vsnprintf(p->error->text, sizeof(p->error->text), format, args);
	}
}

void *hcl_fail(struct hcl_parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set(p, ERR_SYNTAX, hcl_here(p), format, args);
	va_end(args);
	return NULL;
}

void *hcl_fail_at(struct hcl_parser *p, struct hcl_pos pos, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set(p, ERR_SYNTAX, pos, format, args);
	va_end(args);
	return NULL;
}

void *hcl_fail_code(struct hcl_parser *p, int code, const char *text)
{
	if (p->failed == 0) {
		hcl_fail(p, "%s", text);
		p->failed = code;
	}
	return NULL;
}

int hcl_parser_result(const struct hcl_parser *p)
{
	return p->failed;
}

/* Positions are asked for in ascending order, but for errors: so counting goes on from the last one. */
struct hcl_pos hcl_here(struct hcl_parser *p)
{
	if (p->at < p->counted) {
		p->counted = p->text;
		p->counted_pos = (struct hcl_pos){1, 1};
	}
	for (; p->counted < p->at; p->counted++) {
		if (*p->counted == '\n') {
			p->counted_pos.line++;
			p->counted_pos.column = 1;
		} else if (((unsigned char)p->counted[1] & 0xc0) != 0x80) {
			p->counted_pos.column++;
		}
	}
	return p->counted_pos;
}

const char *hcl_next_text(struct hcl_parser *p, char text[16])
{
	size_t n = 1;

	if (p->at == p->end) {
		return "the end of the text";
	}
	if (*p->at == '\n' || *p->at == '\r') {
		return "a newline";
	}
	while (n < 4 && ((unsigned char)p->at[n] & 0xc0) == 0x80) {
		n++;
	}
	snprintf(text, 16, "\"%.*s\"", (int)n, p->at);
	return text;
}

/* ---- characters ---- */

size_t hcl_utf8(uint32_t c, char out[4])
{
	if (c > 0 && c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

bool hcl_hex(struct hcl_parser *p, unsigned digits, uint32_t *c)
{
	uint32_t value = 0;

	for (; digits > 0; digits--, p->at++) {
		char d = p->at < p->end ? *p->at : '\0';

		if (d >= '0' && d <= '9') {
			value = value << 4 | (uint32_t)(d - '0');
		} else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f') {
			value = value << 4 | (uint32_t)((d | 0x20) - 'a' + 10);
		} else {
			return false;
		}
	}
	*c = value;
	return true;
}

/* The bytes of one well-formed, shortest UTF-8 character, or 0. */
static size_t utf8_len(const unsigned char *s, const unsigned char *end)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3 : *s >> 3 == 30 ? 4 : 0;
	uint32_t c = n > 1 ? *s & (0xffu >> (n + 1)) : *s;
	size_t i;

	if (n == 0 || (size_t)(end - s) < n) {
		return 0;
	}
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

static bool check_text(struct hcl_parser *p)
{
	const unsigned char *s = (const unsigned char *)p->at;
	const unsigned char *end = (const unsigned char *)p->end;

	while (s < end) {
		size_t n = utf8_len(s, end);

		if (n == 0 || *s == '\0') {
			p->at = (const char *)s;
			hcl_fail(p, n == 0 ? "invalid UTF-8" : "a zero byte");
			return false;
		}
		s += n;
	}
	return true;
}

bool hcl_parser_init(struct hcl_parser *p, const char *text, size_t len, struct arena *mem, struct hcl_error *error)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";

	*p = (struct hcl_parser){.mem = mem, .error = error, .counted_pos = {1, 1}};
	if (len > HCL_MAX_BYTES) {
		p->text = p->at = p->end = p->counted = "";
		hcl_fail_code(p, ERR_TOOBIG, "the text is too long: at most 4 MiB are read");
		return false;
	}
	p->text = arena_strndup(mem, text, len);
	if (p->text == NULL) {
		p->failed = ERR_NOMEM;
		return false;
	}
	p->end = p->text + len;
	p->at = p->text;
	if (len >= 3 && memcmp(p->text, byte_order_mark, 3) == 0) {
		p->at += 3;
	}
	p->counted = p->text = p->at;
	return check_text(p);
}

static void skip_line(struct hcl_parser *p)
{
	while (p->at < p->end && *p->at != '\n') {
		p->at++;
	}
}

static void skip_comment(struct hcl_parser *p)
{
	const char *s;

	for (s = p->at + 2; s + 1 < p->end; s++) {
		if (s[0] == '*' && s[1] == '/') {
			p->at = s + 2;
			return;
		}
	}
	hcl_fail(p, "a comment that does not end");
	p->at = p->end;
}

void hcl_skip(struct hcl_parser *p)
{
	while (p->at < p->end) {
		char c = *p->at;

		if (c == ' ' || c == '\t' || (c == '\r' && p->at[1] == '\n') || (c == '\n' && p->multiline)) {
			p->at++;
		} else if (c == '#' || (c == '/' && p->at[1] == '/')) {
			skip_line(p);
		} else if (c == '/' && p->at[1] == '*') {
			skip_comment(p);
		} else {
			return;
		}
	}
}

bool hcl_take(struct hcl_parser *p, char c)
{
	hcl_skip(p);
	if (p->failed != 0 || p->at == p->end || *p->at != c) {
		return false;
	}
	p->at++;
	return true;
}

bool hcl_take_text(struct hcl_parser *p, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(p->end - p->at) < n || memcmp(p->at, text, n) != 0) {
		return false;
	}
	p->at += n;
	return true;
}

/* Letters of other scripts are taken as they come: all beyond ASCII counts as a letter. */
static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

size_t hcl_identifier_len(const struct hcl_parser *p)
{
	const char *s = p->at;

	if (s == p->end || !is_letter(*s)) {
		return 0;
	}
	while (s < p->end && (is_letter(*s) || *s == '-' || (*s >= '0' && *s <= '9'))) {
		s++;
	}
	return (size_t)(s - p->at);
}

static void *take_copy(struct hcl_parser *p, size_t n)
{
	char *copy = arena_strndup(p->mem, p->at, n);

	if (copy == NULL) {
		return hcl_fail_code(p, ERR_NOMEM, "out of memory");
	}
	p->at += n;
	return copy;
}

const char *hcl_identifier(struct hcl_parser *p)
{
	size_t n;

	hcl_skip(p);
	n = hcl_identifier_len(p);
	return n > 0 && p->failed == 0 ? take_copy(p, n) : NULL;
}

bool hcl_take_word(struct hcl_parser *p, const char *word)
{
	size_t n;

	hcl_skip(p);
	n = hcl_identifier_len(p);
	if (n != strlen(word) || memcmp(p->at, word, n) != 0) {
		return false;
	}
	p->at += n;
	return true;
}

const char *hcl_dotted_name(struct hcl_parser *p)
{
	const char *start;
	size_t n;
	size_t total = 0;

	hcl_skip(p);
	start = p->at;
	for (;;) {
		n = hcl_identifier_len(p);
		total += n;
		p->at += n;
		if (n == 0 || p->at == p->end || *p->at != '.') {
			break;
		}
		total++;
		p->at++;
	}
	p->at = start;
	return n > 0 && p->failed == 0 ? take_copy(p, total) : NULL;
}

/* ---- nodes ---- */

bool hcl_enter(struct hcl_parser *p)
{
	if (p->depth >= HCL_MAX_DEPTH) {
		hcl_fail_code(p, ERR_TOOBIG, "nested too deeply");
		return false;
	}
	p->depth++;
	return p->failed == 0;
}

void hcl_leave(struct hcl_parser *p)
{
	p->depth--;
}

static bool count_node(struct hcl_parser *p)
{
	if (p->failed == 0 && ++p->nodes > HCL_MAX_NODES) {
		hcl_fail_code(p, ERR_TOOBIG, "the text has too many parts");
	}
	return p->failed == 0;
}

struct hcl_expr *hcl_node(struct hcl_parser *p, enum hcl_expr_kind kind, struct hcl_pos pos)
{
	struct hcl_expr *e = count_node(p) ? arena_calloc(p->mem, 1, sizeof(*e)) : NULL;

	if (e == NULL) {
		return hcl_fail_code(p, p->failed != 0 ? p->failed : ERR_NOMEM, "out of memory");
	}
	e->kind = (uint8_t)kind;
	e->pos = pos;
	return e;
}

bool hcl_adopt(struct hcl_parser *p, struct hcl_expr *parent, struct hcl_expr ***tail, struct hcl_expr *child)
{
	if (child == NULL || parent == NULL) {
		return false;
	}
	**tail = child;
	*tail = &child->next;
	parent->n++;
	if (child->height >= parent->height) {
		parent->height = (uint16_t)(child->height + 1);
	}
	if (parent->height > HCL_MAX_DEPTH) {
		hcl_fail_code(p, ERR_TOOBIG, "nested too deeply");
		return false;
	}
	return true;
}

struct hcl_expr *hcl_string_node(struct hcl_parser *p, struct hcl_pos pos, const char *text, size_t len)
{
	struct hcl_expr *e = hcl_node(p, EXPR_LITERAL, pos);
	const char *copy = e != NULL ? arena_strndup(p->mem, text, len) : NULL;

	if (copy == NULL) {
		return hcl_fail_code(p, p->failed != 0 ? p->failed : ERR_NOMEM, "out of memory");
	}
	e->value = (struct hcl_value){.kind = HCL_STRING, .weight = hcl_text_weight(len), .string = copy};
	return e;
}

/* ---- bodies ---- */

static struct hcl_body *parse_body(struct hcl_parser *p, bool inner);

static struct hcl_body *new_body(struct hcl_parser *p)
{
	struct hcl_body *body = count_node(p) ? arena_calloc(p->mem, 1, sizeof(*body)) : NULL;

	if (body == NULL) {
		return hcl_fail_code(p, p->failed != 0 ? p->failed : ERR_NOMEM, "out of memory");
	}
	body->pos = hcl_here(p);
	return body;
}

static const char *parse_name(struct hcl_parser *p)
{
	char next[16];
	const char *name = *p->at == '"' ? hcl_plain_string(p) : hcl_dotted_name(p);

	if (name == NULL) {
		hcl_fail(p, "expected the name of an attribute or a block, not %s", hcl_next_text(p, next));
	}
	return name;
}

static bool parse_labels(struct hcl_parser *p, struct hcl_item *item)
{
	const char *labels[HCL_MAX_LABELS];
	uint32_t n = 0;
	char next[16];

	while (!hcl_take(p, '{')) {
		const char *label = p->at < p->end && *p->at == '"' ? hcl_plain_string(p) : hcl_identifier(p);

		if (label == NULL) {
			hcl_fail(p, "expected = or { after \"%s\", not %s", item->name, hcl_next_text(p, next));
			return false;
		}
		if (n == HCL_MAX_LABELS) {
			hcl_fail(p, "more than %d labels", HCL_MAX_LABELS);
			return false;
		}
		labels[n++] = label;
	}
	item->labels = arena_calloc(p->mem, n, sizeof(*labels));
	if (item->labels == NULL) {
		hcl_fail_code(p, ERR_NOMEM, "out of memory");
		return false;
	}
	memcpy(item->labels, labels, n * sizeof(*labels));
	item->n_labels = n;
	return true;
}

static struct hcl_item *parse_item(struct hcl_parser *p)
{
	struct hcl_item *item = count_node(p) ? arena_calloc(p->mem, 1, sizeof(*item)) : NULL;

	if (item == NULL) {
		return hcl_fail_code(p, p->failed != 0 ? p->failed : ERR_NOMEM, "out of memory");
	}
	item->pos = hcl_here(p);
	item->name = parse_name(p);
	if (item->name == NULL) {
		return NULL;
	}
	hcl_skip(p);
	if (p->at < p->end && p->at[0] == '=' && p->at[1] != '=') {
		p->at++;
		item->value = hcl_expression(p);
		return item->value != NULL ? item : NULL;
	}
	if (!parse_labels(p, item)) {
		return NULL;
	}
	item->body = parse_body(p, true);
	return item->body != NULL ? item : NULL;
}

/* To the start of the next item: over newlines and over the commas that older files have. */
static void skip_to_item(struct hcl_parser *p)
{
	p->multiline = true;
	hcl_skip(p);
	while (p->at < p->end && *p->at == ',') {
		p->at++;
		hcl_skip(p);
	}
	p->multiline = false;
}

static int compare_items(const void *a, const void *b)
{
	const struct hcl_item *p = *(const struct hcl_item *const *)a;
	const struct hcl_item *q = *(const struct hcl_item *const *)b;
	int order = strcmp(p->name, q->name);

	if (order == 0) {
		order = p->pos.line != q->pos.line ? (p->pos.line < q->pos.line ? -1 : 1)
						   : (p->pos.column < q->pos.column ? -1 : 1);
	}
	return order;
}

static bool check_doubles(struct hcl_parser *p, const struct hcl_body *body)
{
	const struct hcl_item **sorted = malloc((body->n + 1) * sizeof(*sorted)); /* Not an empty one. */
	const struct hcl_item *item;
	size_t n = 0;
	size_t i;

	if (sorted == NULL) {
		hcl_fail_code(p, ERR_NOMEM, "out of memory");
		return false;
	}
	for (item = body->first; item != NULL; item = item->next) {
		if (item->value != NULL) {
			sorted[n++] = item;
		}
	}
	qsort(sorted, n, sizeof(*sorted), compare_items);
	for (i = 1; i < n; i++) {
		if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0) {
			hcl_fail_at(p, sorted[i]->pos, "\"%.80s\" is given twice, first in line %u", sorted[i]->name,
				    sorted[i - 1]->pos.line);
			break;
		}
	}
	free(sorted);
	return p->failed == 0;
}

/* An inner body starts after its { and takes its }. */
static struct hcl_body *parse_body(struct hcl_parser *p, bool inner)
{
	struct hcl_body *body = new_body(p);
	struct hcl_item **tail = body != NULL ? &body->first : NULL;

	if (body == NULL || !hcl_enter(p)) {
		return NULL;
	}
	for (;;) {
		skip_to_item(p);
		if (p->failed != 0 || p->at == p->end || *p->at == '}') {
			break;
		}
		*tail = parse_item(p);
		if (*tail == NULL) {
			return NULL;
		}
		tail = &(*tail)->next;
		body->n++;
	}
	hcl_leave(p);
	if (inner ? !hcl_take(p, '}') : p->at < p->end) {
		char next[16];

		return hcl_fail(p, inner ? "expected }, not %s" : "%s closes nothing", hcl_next_text(p, next));
	}
	return p->failed == 0 && check_doubles(p, body) ? body : NULL;
}

int hcl_parse(const char *text, size_t len, struct arena *mem, struct hcl_body **body, struct hcl_error *error)
{
	struct hcl_parser p;
	struct hcl_body *parsed = hcl_parser_init(&p, text, len, mem, error) ? parse_body(&p, false) : NULL;

	if (parsed != NULL) {
		*body = parsed;
	}
	return hcl_parser_result(&p);
}

int hcl_parse_expr(const char *text, size_t len, struct arena *mem, struct hcl_expr **expr, struct hcl_error *error)
{
	struct hcl_parser p;
	struct hcl_expr *parsed = NULL;
	char next[16];

	if (hcl_parser_init(&p, text, len, mem, error)) {
		p.multiline = true;
		parsed = hcl_expression(&p);
		hcl_skip(&p);
		if (p.at < p.end) {
			hcl_fail(&p, "expected the end of the expression, not %s", hcl_next_text(&p, next));
		}
	}
	if (hcl_parser_result(&p) == 0) {
		*expr = parsed;
	}
	return hcl_parser_result(&p);
}

struct hcl_body *hcl_object_body(const struct hcl_expr *object, struct arena *mem)
{
	struct hcl_body *body = arena_calloc(mem, 1, sizeof(*body));
	struct hcl_item **tail = body != NULL ? &body->first : NULL;
	const struct hcl_expr *key;

	if (body == NULL) {
		return NULL;
	}
	body->pos = object->pos;
	for (key = object->first; key != NULL; key = key->next->next) {
		struct hcl_item *item = arena_calloc(mem, 1, sizeof(*item));

		if (item == NULL) {
			return NULL;
		}
		item->name = key->kind == EXPR_LITERAL && key->value.kind == HCL_STRING ? key->value.string : "";
		item->pos = key->pos;
		item->value = key->next;
		*tail = item;
		tail = &item->next;
		body->n++;
	}
	return body;
}
