#include "client/template.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/vars.h"
#include "proto/error.h"

enum { DEPTH_MAX = 32 };

struct parser {
	const char *p, *end; /* Within the action. */
	const char *start;   /* Of the whole text, to tell lines. */
	const struct task_env *env;
	struct arena mem; /* Values. */
	char *why;
	unsigned depth;
	int rc;
};

static int refuse(struct parser *t, const char *format, ...)
{
	va_list args;
	unsigned line = 1;
	const char *p;
	int n;

	if (t->rc != 0) {
		return t->rc;
	}
	for (p = t->start; p < t->p; p++) {
		line += *p == '\n';
	}
	n = snprintf(t->why, TEMPLATE_WHY, "line %u: ", line);
	va_start(args, format);
	vsnprintf(t->why + n, TEMPLATE_WHY - (size_t)n, format, args);
	va_end(args);
	t->rc = ERR_INVALID;
	return t->rc;
}

static void skip_space(struct parser *t)
{
	while (t->p < t->end && isspace((unsigned char)*t->p)) {
		t->p++;
	}
}

static bool at_word(const struct parser *t)
{
	return t->p < t->end && (isalnum((unsigned char)*t->p) || *t->p == '_' || *t->p == '.' || *t->p == '$');
}

static const char *keep(struct parser *t, const char *value)
{
	if (value == NULL && t->rc == 0) {
		t->rc = ERR_NOMEM;
	}
	return value == NULL ? "" : value;
}

/* ---- values ---- */

static char escaped(char c)
{
	static const char from[] = "nrt\"\\'";
	static const char to[] = "\n\r\t\"\\'";
	const char *at = c == '\0' ? NULL : strchr(from, c);

	return at == NULL ? '\0' : to[at - from];
}

/* A string in double quotes, in which \ escapes, or in backquotes, as it stands. */
static const char *quoted(struct parser *t)
{
	char quote = *t->p++;
	struct buf out = {0};
	const char *value;

	while (t->p < t->end && *t->p != quote) {
		char c = *t->p++;

		if (quote == '"' && c == '\\') {
			c = t->p < t->end ? escaped(*t->p++) : '\0';
			if (c == '\0') {
				refuse(t, "bad escape in a string");
			}
		}
		buf_byte(&out, c);
	}
	if (t->p >= t->end) {
		refuse(t, "a string without an end");
	} else {
		t->p++;
	}
	value = keep(t, out.failed ? NULL : arena_strndup(&t->mem, out.at == NULL ? "" : out.at, out.len));
	buf_close(&out);
	return value;
}

static const char *f_env(struct parser *t, const char *name)
{
	const char *value = task_env_get(t->env, name);

	(void)t;
	return value == NULL ? "" : value;
}

static const char *changed(struct parser *t, const char *value, int (*change)(int c))
{
	char *copy = arena_strdup(&t->mem, value);
	char *p;

	for (p = copy; p != NULL && *p != '\0'; p++) {
		*p = (char)change((unsigned char)*p);
	}
	return keep(t, copy);
}

static const char *f_upper(struct parser *t, const char *value)
{
	return changed(t, value, toupper);
}

static const char *f_lower(struct parser *t, const char *value)
{
	return changed(t, value, tolower);
}

static const char *f_trim(struct parser *t, const char *value)
{
	size_t len;

	while (isspace((unsigned char)*value)) {
		value++;
	}
	len = strlen(value);
	while (len > 0 && isspace((unsigned char)value[len - 1])) {
		len--;
	}
	return keep(t, arena_strndup(&t->mem, value, len));
}

static const char *f_json(struct parser *t, const char *value)
{
	struct buf out = {0};
	const char *kept;

	json_put_str(&out, value, strlen(value));
	kept = keep(t, out.failed ? NULL : arena_strndup(&t->mem, out.at, out.len));
	buf_close(&out);
	return kept;
}

static const struct function {
	const char *name;
	const char *(*call)(struct parser *t, const char *value);
} functions[] = {{"env", f_env}, {"toUpper", f_upper}, {"toLower", f_lower}, {"trimSpace", f_trim}, {"toJSON", f_json}};

/* ---- expressions ---- */

static const char *pipeline(struct parser *t);

static const struct function *function_word(struct parser *t)
{
	const char *from = t->p;
	size_t len;
	size_t i;

	while (at_word(t)) {
		t->p++;
	}
	len = (size_t)(t->p - from);
	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strlen(functions[i].name) == len && strncmp(functions[i].name, from, len) == 0) {
			return &functions[i];
		}
	}
	refuse(t, "\"%.*s\" is not supported in templates", (int)(len > 64 ? 64 : len), from);
	return NULL;
}

static const char *operand(struct parser *t)
{
	const char *value = "";

	skip_space(t);
	if (t->p < t->end && (*t->p == '"' || *t->p == '`')) {
		return quoted(t);
	}
	if (t->p < t->end && *t->p == '(') {
		t->p++;
		value = pipeline(t);
		skip_space(t);
		if (t->p >= t->end || *t->p != ')') {
			refuse(t, "a missing )");
		} else {
			t->p++;
		}
		return value;
	}
	refuse(t, "a value is missing");
	return value;
}

/* "text", (a), or: function operand. A function that is piped into takes that as its operand. */
static const char *command(struct parser *t, const char *piped)
{
	const struct function *f;

	skip_space(t);
	if (!at_word(t)) {
		if (piped != NULL) {
			refuse(t, "| must be followed by a function");
		}
		return operand(t);
	}
	f = function_word(t);
	if (f == NULL) {
		return "";
	}
	return f->call(t, piped != NULL ? piped : operand(t));
}

static const char *pipeline(struct parser *t)
{
	const char *value;

	if (++t->depth > DEPTH_MAX) {
		refuse(t, "too deeply nested");
		return "";
	}
	value = command(t, NULL);
	skip_space(t);
	while (t->rc == 0 && t->p < t->end && *t->p == '|') {
		t->p++;
		value = command(t, value);
		skip_space(t);
	}
	t->depth--;
	return value;
}

/* ---- text and actions ---- */

static void drop_space_behind(struct buf *out, size_t from)
{
	while (out->len > from && isspace((unsigned char)out->at[out->len - 1])) {
		out->len--;
	}
}

static bool is_comment(const char *from, const char *to)
{
	return to - from >= 4 && from[0] == '/' && from[1] == '*' && to[-1] == '/' && to[-2] == '*';
}

/* One action, without its delimiters. */
static void action(struct parser *t, const char *from, const char *to, struct buf *out)
{
	const char *value;

	t->p = from;
	t->end = to;
	skip_space(t);
	while (t->end > t->p && isspace((unsigned char)t->end[-1])) {
		t->end--;
	}
	if (is_comment(t->p, t->end)) {
		return;
	}
	value = pipeline(t);
	if (t->rc == 0 && t->p < t->end) {
		refuse(t, "\"%.*s\" is not supported in templates", (int)(t->end - t->p > 32 ? 32 : t->end - t->p), t->p);
	}
	if (t->rc == 0) {
		buf_str(out, value);
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
static const char *take_action(struct parser *t, const char *p, const char *end, const char *right, size_t text_from,
                               struct buf *out)
{
	const char *close = find_end(p, end, right);
	const char *to = close;
	const char *after;

	if (close == NULL) {
		t->p = p;
		refuse(t, "an action without an end");
		return NULL;
	}
	after = close + strlen(right);
	if (p + 1 < close && p[0] == '-' && isspace((unsigned char)p[1])) {
		drop_space_behind(out, text_from);
		p++;
	}
	if (to - p >= 2 && to[-1] == '-' && isspace((unsigned char)to[-2])) {
		to--;
		while (after < end && isspace((unsigned char)*after)) {
			after++;
		}
	}
	action(t, p, to, out);
	return t->rc == 0 ? after : NULL;
}

int template_render(const char *text, size_t len, const char *left, const char *right, const struct task_env *env,
                    struct buf *out, char why[TEMPLATE_WHY])
{
	struct parser t = {.start = text, .env = env, .why = why};
	const char *end = text + len;

	left = left[0] == '\0' ? "{{" : left;
	right = right[0] == '\0' ? "}}" : right;
	why[0] = '\0';
	while (text != NULL && text < end) {
		const char *open = memmem(text, (size_t)(end - text), left, strlen(left));
		size_t from = out->len;

		buf_put(out, text, (size_t)((open == NULL ? end : open) - text));
		text = open == NULL ? end : take_action(&t, open + strlen(left), end, right, from, out);
	}
	arena_close(&t.mem);
	return t.rc != 0 ? t.rc : out->failed ? ERR_NOMEM : 0;
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
