/* The functions of templates. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/template_parts.h"
#include "lib/base64.h"
#include "proto/error.h"
#include "proto/jsonin.h"

/* ---- arguments ---- */

const char *text_of(struct template_run *t, const struct args *a, unsigned i)
{
	if (a->at[i].kind == VALUE_TEXT || a->at[i].kind == VALUE_RAW) {
		return a->at[i].text;
	}
	if (a->at[i].kind != VALUE_NIL) {
		template_refuse(t, "%s wants a text", a->name);
	}
	return "";
}

static int64_t int_of(struct template_run *t, const struct args *a, unsigned i)
{
	if (a->at[i].kind != VALUE_INT) {
		template_refuse(t, "%s wants whole numbers", a->name);
		return 0;
	}
	return a->at[i].number;
}

struct value list_of(struct template_run *t, size_t n)
{
	struct value v = {.kind = VALUE_LIST, .n = (uint32_t)n};

	v.at = n <= TEMPLATE_BYTES / sizeof(*v.at) ? arena_calloc(&t->mem, n, sizeof(*v.at)) : NULL;
	if (v.at == NULL) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		v.n = 0;
	}
	return v;
}

/* The text of a buffer, which is closed. */
static struct value text_from(struct template_run *t, struct buf *b)
{
	struct value v;

	if (b->failed) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
	}
	v = value_text(t, b->failed ? "" : b->at, b->failed ? 0 : b->len);
	buf_close(b);
	return v;
}

/* ---- the environment ---- */

static struct value f_env(struct template_run *t, const struct args *a)
{
	const char *value = task_env_get(t->args->env, text_of(t, a, 0));

	return value_text(t, value, value == NULL ? 0 : strlen(value));
}

static struct value f_must_env(struct template_run *t, const struct args *a)
{
	const char *name = text_of(t, a, 0);

	if (task_env_get(t->args->env, name) == NULL) {
		template_refuse(t, "there is no variable \"%.100s\"", name);
	}
	return f_env(t, a);
}

static struct value f_env_or(struct template_run *t, const struct args *a)
{
	const char *value = task_env_get(t->args->env, text_of(t, a, 0));

	return value == NULL || value[0] == '\0' ? a->at[1] : f_env(t, a);
}

/* ---- texts ---- */

static struct value changed(struct template_run *t, const struct args *a, int (*change)(int c), bool first_only)
{
	struct value v = value_text(t, text_of(t, a, 0), strlen(text_of(t, a, 0)));
	char *p = (char *)(uintptr_t)v.text;
	bool begins = true;

	for (; *p != '\0'; p++) {
		if (!first_only || begins) {
			*p = (char)change((unsigned char)*p);
		}
		begins = isspace((unsigned char)*p) != 0;
	}
	return v;
}

static struct value f_upper(struct template_run *t, const struct args *a)
{
	return changed(t, a, toupper, false);
}

static struct value f_lower(struct template_run *t, const struct args *a)
{
	return changed(t, a, tolower, false);
}

static struct value f_title(struct template_run *t, const struct args *a)
{
	return changed(t, a, toupper, true);
}

static struct value f_trim_space(struct template_run *t, const struct args *a)
{
	const char *text = text_of(t, a, 0);
	size_t len;

	while (isspace((unsigned char)*text)) {
		text++;
	}
	len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1])) {
		len--;
	}
	return value_text(t, text, len);
}

static struct value f_trim_prefix(struct template_run *t, const struct args *a)
{
	const char *prefix = text_of(t, a, 0);
	const char *text = text_of(t, a, 1);
	size_t cut = strncmp(text, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;

	return value_text(t, text + cut, strlen(text + cut));
}

static struct value f_trim_suffix(struct template_run *t, const struct args *a)
{
	const char *suffix = text_of(t, a, 0);
	const char *text = text_of(t, a, 1);
	size_t n = strlen(text);
	size_t cut = strlen(suffix);

	return value_text(t, text, n >= cut && strcmp(text + n - cut, suffix) == 0 ? n - cut : n);
}

static struct value f_replace(struct template_run *t, const struct args *a)
{
	const char *from = text_of(t, a, 0);
	const char *to = text_of(t, a, 1);
	const char *text = text_of(t, a, 2);
	const char *found;
	struct buf out = {0};

	while (from[0] != '\0' && out.len < TEMPLATE_BYTES && (found = strstr(text, from)) != NULL) {
		buf_put(&out, text, (size_t)(found - text));
		buf_str(&out, to);
		text = found + strlen(from);
	}
	buf_str(&out, text);
	return text_from(t, &out);
}

static struct value f_split(struct template_run *t, const struct args *a)
{
	const char *by = text_of(t, a, 0);
	const char *text = text_of(t, a, 1);
	const char *p;
	struct value list;
	uint32_t i;
	size_t n = 1;

	for (p = text; by[0] != '\0' && (p = strstr(p, by)) != NULL; p += strlen(by)) {
		n++;
	}
	list = list_of(t, text[0] == '\0' ? 0 : n);
	for (i = 0; i < list.n; i++) {
		p = by[0] == '\0' ? NULL : strstr(text, by);
		list.at[i] = value_text(t, text, p == NULL ? strlen(text) : (size_t)(p - text));
		text = p == NULL ? text : p + strlen(by);
	}
	return list;
}

static struct value f_join(struct template_run *t, const struct args *a)
{
	const char *by = text_of(t, a, 0);
	struct buf out = {0};
	uint32_t i;

	if (a->at[1].kind != VALUE_LIST) {
		template_refuse(t, "join wants a list");
		return value_nil;
	}
	for (i = 0; i < a->at[1].n && out.len < TEMPLATE_BYTES; i++) {
		buf_str(&out, i > 0 ? by : "");
		value_print(&a->at[1].at[i], &out);
	}
	return text_from(t, &out);
}

static struct value f_base64_decode(struct template_run *t, const struct args *a)
{
	const char *text = text_of(t, a, 0);
	struct buf out = {0};
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = strcspn(text, "=");
	size_t i;

	for (i = 0; i < n; i++) {
		int digit = base64_value(text[i]);

		if (digit < 0) {
			template_refuse(t, "base64Decode: no base64");
			break;
		}
		bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_byte(&out, (char)(bits >> have & 0xff));
		}
	}
	if (memchr(out.at == NULL ? "x" : out.at, 0, out.len) != NULL) {
		template_refuse(t, "base64Decode: what comes out is no text");
	}
	return text_from(t, &out);
}

static struct value f_base64_encode(struct template_run *t, const struct args *a)
{
	const char *text = text_of(t, a, 0);
	struct buf out = {0};

	base64_put(&out, text, strlen(text), BASE64_PLAIN, true);
	return text_from(t, &out);
}

static void print_all(const struct args *a, const char *between, struct buf *out)
{
	unsigned i;

	for (i = 0; i < a->n; i++) {
		buf_str(out, i > 0 ? between : "");
		value_print(&a->at[i], out);
	}
}

static struct value f_print(struct template_run *t, const struct args *a)
{
	struct buf out = {0};

	print_all(a, "", &out);
	return text_from(t, &out);
}

static struct value f_println(struct template_run *t, const struct args *a)
{
	struct buf out = {0};

	print_all(a, " ", &out);
	buf_byte(&out, '\n');
	return text_from(t, &out);
}

static void print_padded(const struct value *v, char verb, int width, bool zeros, bool left, struct buf *out)
{
	struct buf one = {0};
	int pad;

	if (verb == 'q' && v->kind == VALUE_TEXT) {
		json_put_str(&one, v->text, strlen(v->text));
	} else {
		value_print(v, &one);
	}
	for (pad = width - (int)one.len; pad > 0 && !left; pad--) {
		buf_byte(out, zeros ? '0' : ' ');
	}
	buf_put(out, one.failed ? "" : one.at, one.failed ? 0 : one.len);
	for (; pad > 0 && left; pad--) {
		buf_byte(out, ' ');
	}
	buf_close(&one);
}

/* %s, %v, %d, %q and %%, with a width of up to three digits. */
static struct value f_printf(struct template_run *t, const struct args *a)
{
	const char *p = text_of(t, a, 0);
	struct buf out = {0};
	unsigned next = 1;

	for (; *p != '\0' && t->rc == 0; p++) {
		bool left = false;
		bool zeros = false;
		int width = 0;

		if (*p != '%' || p[1] == '%') {
			p += *p == '%';
			buf_byte(&out, *p);
			continue;
		}
		for (p++; *p == '-' || *p == '0'; p++) {
			left = left || *p == '-';
			zeros = zeros || *p == '0';
		}
		for (; isdigit((unsigned char)*p) && width < 100; p++) {
			width = 10 * width + (*p - '0');
		}
		if (*p == '\0' || strchr("svdq", *p) == NULL || next >= a->n) {
			template_refuse(t, "printf: bad format or too few values");
			break;
		}
		print_padded(&a->at[next++], *p, width, zeros, left, &out);
	}
	return text_from(t, &out);
}

/* ---- JSON ---- */

static struct value parse_json(struct template_run *t, struct jsonin *in, unsigned depth);

/* Elements of a list or, with names, of a map; sorted afterwards. */
static struct value parse_many(struct template_run *t, struct jsonin *in, char open, unsigned depth)
{
	struct value v = {.kind = open == '{' ? VALUE_MAP : VALUE_LIST};
	const char **keys;
	struct value *at;
	uint32_t cap = 0;
	bool more;

	if (depth > TEMPLATE_DEPTH || jsonin_open(in, open, &more) != 0) {
		template_refuse(t, "parseJSON: no JSON, or too deeply nested");
		return value_nil;
	}
	while (more && t->rc == 0) {
		if (v.n == cap) {
			cap = cap == 0 ? 8 : 2 * cap;
			keys = arena_calloc(&t->mem, cap, sizeof(*keys));
			at = arena_calloc(&t->mem, cap, sizeof(*at));
			if (keys == NULL || at == NULL) {
				t->rc = ERR_NOMEM;
				break;
			}
			if (v.n > 0) {
				memcpy(keys, v.keys, v.n * sizeof(*keys));
				memcpy(at, v.at, v.n * sizeof(*at));
			}
			v.keys = keys;
			v.at = at;
		}
		if (open == '{' && (jsonin_str(in, &v.keys[v.n]) != 0 || !jsonin_take(in, ':'))) {
			template_refuse(t, "parseJSON: no JSON");
			break;
		}
		v.at[v.n] = parse_json(t, in, depth);
		v.n++;
		if (t->rc == 0 && jsonin_next(in, open, &more) != 0) {
			template_refuse(t, "parseJSON: no JSON");
		}
	}
	return v;
}

struct member {
	const char *key;
	struct value value;
};

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static struct value sorted_map(struct template_run *t, struct value map)
{
	struct member *all = arena_calloc(&t->mem, map.n, sizeof(*all));
	uint32_t i;

	if (all == NULL) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		return value_nil;
	}
	for (i = 0; i < map.n; i++) {
		all[i] = (struct member){map.keys[i], map.at[i]};
	}
	qsort(all, map.n, sizeof(*all), by_key);
	for (i = 0; i < map.n; i++) {
		map.keys[i] = all[i].key;
		map.at[i] = all[i].value;
	}
	return map;
}

static struct value parse_number(struct template_run *t, struct jsonin *in)
{
	const char *text;
	char *end;
	int64_t whole;

	if (jsonin_any(in, &text) != 0) {
		template_refuse(t, "parseJSON: no JSON");
		return value_nil;
	}
	whole = strtoll(text, &end, 10);
	return *end == '\0' && end != text ? value_int(whole) : (struct value){.kind = VALUE_RAW, .text = text};
}

static struct value parse_json(struct template_run *t, struct jsonin *in, unsigned depth)
{
	const char *text;
	char c = jsonin_peek(in);

	if (!template_step(t)) {
		return value_nil;
	}
	if (c == '{') {
		return sorted_map(t, parse_many(t, in, '{', depth + 1));
	}
	if (c == '[') {
		return parse_many(t, in, '[', depth + 1);
	}
	if (c == '"') {
		return jsonin_str(in, &text) == 0 ? value_text(t, text, strlen(text))
		                                  : (template_refuse(t, "parseJSON: no JSON"), value_nil);
	}
	if (jsonin_word(in, "true")) {
		return value_bool(true);
	}
	if (jsonin_word(in, "false")) {
		return value_bool(false);
	}
	if (jsonin_word(in, "null")) {
		return value_nil;
	}
	return parse_number(t, in);
}

struct value value_json(struct template_run *t, const char *text, size_t len)
{
	struct fault fault;
	struct jsonin in;
	struct value v;

	jsonin_init(&in, text, len, &t->mem, &fault);
	v = parse_json(t, &in, 0);
	if (t->rc == 0 && jsonin_peek(&in) != '\0') {
		template_refuse(t, "parseJSON: no JSON");
	}
	return v;
}

struct value map_of(struct template_run *t, const char *const *keys, const struct value *at, size_t n)
{
	struct value list = list_of(t, n);
	struct value v = {.kind = VALUE_MAP, .n = list.n, .at = list.at};

	v.keys = list.n == 0 ? NULL : arena_calloc(&t->mem, n, sizeof(*v.keys));
	if (v.keys == NULL) {
		t->rc = list.n > 0 && t->rc == 0 ? ERR_NOMEM : t->rc;
		return (struct value){.kind = VALUE_MAP};
	}
	memcpy(v.keys, keys, n * sizeof(*keys));
	memcpy(v.at, at, n * sizeof(*at));
	return v;
}

static struct value f_parse_json(struct template_run *t, const struct args *a)
{
	const char *text = text_of(t, a, 0);

	return text[0] == '\0' ? (struct value){.kind = VALUE_MAP} : value_json(t, text, strlen(text));
}

static void put_json(const struct value *v, struct buf *out)
{
	uint32_t i;

	if (v->kind == VALUE_TEXT) {
		json_put_str(out, v->text, strlen(v->text));
	} else if (v->kind == VALUE_NIL) {
		buf_str(out, "null");
	} else if (v->kind == VALUE_LIST || v->kind == VALUE_MAP) {
		buf_byte(out, v->kind == VALUE_MAP ? '{' : '[');
		for (i = 0; i < v->n; i++) {
			buf_str(out, i > 0 ? "," : "");
			if (v->kind == VALUE_MAP) {
				json_put_str(out, v->keys[i], strlen(v->keys[i]));
				buf_byte(out, ':');
			}
			put_json(&v->at[i], out);
		}
		buf_byte(out, v->kind == VALUE_MAP ? '}' : ']');
	} else {
		value_print(v, out);
	}
}

static struct value f_to_json(struct template_run *t, const struct args *a)
{
	struct buf out = {0};

	put_json(&a->at[0], &out);
	return text_from(t, &out);
}

static struct value f_parse_int(struct template_run *t, const struct args *a)
{
	const char *text = text_of(t, a, 0);
	char *end;
	int64_t n = strtoll(text, &end, 10);

	if (*end != '\0') {
		template_refuse(t, "parseInt: \"%.40s\" is no whole number", text);
	}
	return value_int(n);
}

static struct value f_parse_bool(struct template_run *t, const struct args *a)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"", "0", "f", "F", "false", "FALSE", "False"};
	const char *text = text_of(t, a, 0);
	size_t i;

	for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0) {
			return value_bool(true);
		}
	}
	for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (strcmp(text, no[i]) == 0) {
			return value_bool(false);
		}
	}
	template_refuse(t, "parseBool: \"%.40s\" is neither true nor false", text);
	return value_nil;
}

/* ---- comparing ---- */

static bool equal(const struct value *a, const struct value *b)
{
	if (a->kind != b->kind) {
		return false;
	}
	switch (a->kind) {
	case VALUE_NIL:
		return true;
	case VALUE_BOOL:
	case VALUE_INT:
		return a->number == b->number;
	case VALUE_TEXT:
	case VALUE_RAW:
		return strcmp(a->text, b->text) == 0;
	case VALUE_LIST:
	case VALUE_MAP:
		return false;
	}
	return false;
}

/* Whether the first is equal to any of the others. */
static struct value f_eq(struct template_run *t, const struct args *a)
{
	bool any = false;
	unsigned i;

	(void)t;
	for (i = 1; i < a->n; i++) {
		any = any || equal(&a->at[0], &a->at[i]);
	}
	return value_bool(any);
}

static struct value f_ne(struct template_run *t, const struct args *a)
{
	(void)t;
	return value_bool(!equal(&a->at[0], &a->at[1]));
}

static int order(struct template_run *t, const struct args *a)
{
	if (a->at[0].kind == VALUE_INT && a->at[1].kind == VALUE_INT) {
		return (a->at[0].number > a->at[1].number) - (a->at[0].number < a->at[1].number);
	}
	return strcmp(text_of(t, a, 0), text_of(t, a, 1));
}

static struct value f_lt(struct template_run *t, const struct args *a)
{
	return value_bool(order(t, a) < 0);
}

static struct value f_le(struct template_run *t, const struct args *a)
{
	return value_bool(order(t, a) <= 0);
}

static struct value f_gt(struct template_run *t, const struct args *a)
{
	return value_bool(order(t, a) > 0);
}

static struct value f_ge(struct template_run *t, const struct args *a)
{
	return value_bool(order(t, a) >= 0);
}

/* The first that decides, or the last. */
static struct value first_that(const struct args *a, bool is)
{
	unsigned i = 0;

	while (i + 1 < a->n && value_truth(&a->at[i]) != is) {
		i++;
	}
	return a->at[i];
}

static struct value f_and(struct template_run *t, const struct args *a)
{
	(void)t;
	return first_that(a, false);
}

static struct value f_or(struct template_run *t, const struct args *a)
{
	(void)t;
	return first_that(a, true);
}

static struct value f_not(struct template_run *t, const struct args *a)
{
	(void)t;
	return value_bool(!value_truth(&a->at[0]));
}

/* ---- numbers: what is piped comes first in the sum ---- */

static struct value arithmetic(struct template_run *t, const struct args *a, char what)
{
	int64_t right = int_of(t, a, 0);
	int64_t left = int_of(t, a, 1);
	int64_t n = 0;
	bool over = false;

	switch (what) {
	case '+':
		over = __builtin_add_overflow(left, right, &n);
		break;
	case '-':
		over = __builtin_sub_overflow(left, right, &n);
		break;
	case '*':
		over = __builtin_mul_overflow(left, right, &n);
		break;
	default:
		over = right == 0 || (left == INT64_MIN && right == -1);
		n = over ? 0 : what == '/' ? left / right : left % right;
	}
	if (over) {
		template_refuse(t, "%s: the result is no number", a->name);
	}
	return value_int(n);
}

static struct value f_add(struct template_run *t, const struct args *a)
{
	return arithmetic(t, a, '+');
}

static struct value f_subtract(struct template_run *t, const struct args *a)
{
	return arithmetic(t, a, '-');
}

static struct value f_multiply(struct template_run *t, const struct args *a)
{
	return arithmetic(t, a, '*');
}

static struct value f_divide(struct template_run *t, const struct args *a)
{
	return arithmetic(t, a, '/');
}

static struct value f_modulo(struct template_run *t, const struct args *a)
{
	return arithmetic(t, a, '%');
}

static struct value f_minimum(struct template_run *t, const struct args *a)
{
	return int_of(t, a, 0) < int_of(t, a, 1) ? a->at[0] : a->at[1];
}

static struct value f_maximum(struct template_run *t, const struct args *a)
{
	return int_of(t, a, 0) > int_of(t, a, 1) ? a->at[0] : a->at[1];
}

/* ---- lists ---- */

static struct value f_len(struct template_run *t, const struct args *a)
{
	switch (a->at[0].kind) {
	case VALUE_TEXT:
		return value_int((int64_t)strlen(a->at[0].text));
	case VALUE_LIST:
	case VALUE_MAP:
		return value_int(a->at[0].n);
	default:
		template_refuse(t, "len wants a text, a list or a map");
		return value_nil;
	}
}

static struct value f_index(struct template_run *t, const struct args *a)
{
	struct value v = a->at[0];
	unsigned i;

	for (i = 1; i < a->n && t->rc == 0; i++) {
		const struct value *found = NULL;

		if (v.kind == VALUE_MAP) {
			const char *key = text_of(t, a, i);

			found = value_member(&v, key, strlen(key));
			v = found == NULL ? value_missing(t, key, strlen(key)) : *found;
			continue;
		}
		if (v.kind != VALUE_LIST || int_of(t, a, i) < 0 || int_of(t, a, i) >= v.n) {
			template_refuse(t, "index is out of range, or of no list and no map");
			return value_nil;
		}
		v = v.at[a->at[i].number];
	}
	return v;
}

/* Whether the list has the element, or the text the part. */
static struct value f_contains(struct template_run *t, const struct args *a)
{
	uint32_t i;

	if (a->at[1].kind == VALUE_TEXT) {
		return value_bool(strstr(a->at[1].text, text_of(t, a, 0)) != NULL);
	}
	for (i = 0; a->at[1].kind == VALUE_LIST && i < a->at[1].n; i++) {
		if (equal(&a->at[0], &a->at[1].at[i])) {
			return value_bool(true);
		}
	}
	return value_bool(false);
}

/* loop 3 is 0, 1, 2; loop 2 5 is 2, 3, 4. */
static struct value f_loop(struct template_run *t, const struct args *a)
{
	int64_t from = a->n == 2 ? int_of(t, a, 0) : 0;
	int64_t to = int_of(t, a, a->n - 1);
	struct value list;
	uint32_t i;

	if (to > from && (uint64_t)to - (uint64_t)from > TEMPLATE_STEPS) {
		template_refuse(t, "loop is too long");
		return value_nil;
	}
	list = list_of(t, to > from ? (size_t)(to - from) : 0);
	for (i = 0; i < list.n; i++) {
		list.at[i] = value_int(from + i);
	}
	return list;
}

/* ---- the list of them ---- */

struct function {
	const char *name;
	unsigned least, most; /* Arguments. */
	struct value (*call)(struct template_run *t, const struct args *a);
};

static const struct function functions[] = {
        {"add", 2, 2, f_add},
        {"and", 1, TEMPLATE_ARGS, f_and},
        {"base64Decode", 1, 1, f_base64_decode},
        {"base64Encode", 1, 1, f_base64_encode},
        {"contains", 2, 2, f_contains},
        {"divide", 2, 2, f_divide},
        {"env", 1, 1, f_env},
        {"envOrDefault", 2, 2, f_env_or},
        {"eq", 2, TEMPLATE_ARGS, f_eq},
        {"ge", 2, 2, f_ge},
        {"gt", 2, 2, f_gt},
        {"index", 1, TEMPLATE_ARGS, f_index},
        {"join", 2, 2, f_join},
        {"le", 2, 2, f_le},
        {"len", 1, 1, f_len},
        {"loop", 1, 2, f_loop},
        {"lt", 2, 2, f_lt},
        {"maximum", 2, 2, f_maximum},
        {"minimum", 2, 2, f_minimum},
        {"modulo", 2, 2, f_modulo},
        {"multiply", 2, 2, f_multiply},
        {"mustEnv", 1, 1, f_must_env},
        {"ne", 2, 2, f_ne},
        {"nomadService", 1, 3, data_service},
        {"nomadServices", 0, 0, data_services},
        {"nomadVar", 1, 1, data_var},
        {"nomadVarExists", 1, 1, data_var_exists},
        {"nomadVarList", 0, 1, data_var_list},
        {"nomadVarListSafe", 0, 1, data_var_list_safe},
        {"not", 1, 1, f_not},
        {"or", 1, TEMPLATE_ARGS, f_or},
        {"parseBool", 1, 1, f_parse_bool},
        {"parseInt", 1, 1, f_parse_int},
        {"parseJSON", 1, 1, f_parse_json},
        {"print", 0, TEMPLATE_ARGS, f_print},
        {"printf", 1, TEMPLATE_ARGS, f_printf},
        {"println", 0, TEMPLATE_ARGS, f_println},
        {"replaceAll", 3, 3, f_replace},
        {"split", 2, 2, f_split},
        {"subtract", 2, 2, f_subtract},
        {"toJSON", 1, 1, f_to_json},
        {"toLower", 1, 1, f_lower},
        {"toTitle", 1, 1, f_title},
        {"toUpper", 1, 1, f_upper},
        {"trimPrefix", 2, 2, f_trim_prefix},
        {"trimSpace", 1, 1, f_trim_space},
        {"trimSuffix", 2, 2, f_trim_suffix},
};

/* What asks somebody outside of the task. */
static const struct {
	const char *name;
	const char *why;
} outside[] = {
        {"key", "there is no Consul here"},
        {"keyExists", "there is no Consul here"},
        {"keyOrDefault", "there is no Consul here"},
        {"service", "there is no Consul here"},
        {"services", "there is no Consul here"},
        {"secret", "there is no Vault here"},
        {"secrets", "there is no Vault here"},
};

static bool is_named(const char *one, const char *name, size_t len)
{
	return strlen(one) == len && strncmp(one, name, len) == 0;
}

static void refuse_unknown(struct template_run *t, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		if (is_named(outside[i].name, name, len)) {
			template_refuse(t, "\"%s\" is not supported in templates: %s", outside[i].name, outside[i].why);
		}
	}
	template_refuse(t, "\"%.*s\" is not supported in templates", (int)(len > 64 ? 64 : len), name);
}

struct value template_call(struct template_run *t, const char *name, size_t len, const struct value *args, unsigned n)
{
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		const struct function *f = &functions[i];

		if (!is_named(f->name, name, len)) {
			continue;
		}
		if (n < f->least || n > f->most) {
			template_refuse(t, "%s: %s arguments", f->name, n < f->least ? "too few" : "too many");
		}
		return t->rc != 0 || !template_step(t) ? value_nil : f->call(t, &(struct args){args, n, f->name});
	}
	refuse_unknown(t, name, len);
	return value_nil;
}
