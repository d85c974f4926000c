/* Expressions of templates. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/template_parts.h"
#include "proto/error.h"

/* ---- values ---- */

bool value_truth(const struct value *v)
{
	switch (v->kind) {
	case VALUE_NIL:
		return false;
	case VALUE_BOOL:
	case VALUE_INT:
		return v->number != 0;
	case VALUE_TEXT:
		return v->text[0] != '\0';
	case VALUE_RAW:
		return strpbrk(v->text, "123456789") != NULL;
	case VALUE_LIST:
	case VALUE_MAP:
		return v->n > 0;
	}
	return false;
}

/* As Go prints them. */
void value_print(const struct value *v, struct buf *out)
{
	uint32_t i;

	switch (v->kind) {
	case VALUE_NIL:
		buf_str(out, "<no value>");
		break;
	case VALUE_BOOL:
		buf_str(out, v->number != 0 ? "true" : "false");
		break;
	case VALUE_INT:
		buf_printf(out, "%" PRId64, v->number);
		break;
	case VALUE_TEXT:
	case VALUE_RAW:
		buf_str(out, v->text);
		break;
	case VALUE_LIST:
	case VALUE_MAP:
		if (v->kind == VALUE_MAP && v->text != NULL) {
			buf_str(out, v->text);
			break;
		}
		buf_str(out, v->kind == VALUE_MAP ? "map[" : "[");
		for (i = 0; i < v->n; i++) {
			buf_str(out, i > 0 ? " " : "");
			if (v->kind == VALUE_MAP) {
				buf_str(out, v->keys[i]);
				buf_byte(out, ':');
			}
			value_print(&v->at[i], out);
		}
		buf_byte(out, ']');
		break;
	}
}

struct value value_text(struct template_run *t, const char *text, size_t len)
{
	struct value v = {.kind = VALUE_TEXT, .text = arena_strndup(&t->mem, text == NULL ? "" : text, len)};

	if (v.text == NULL) {
		t->rc = t->rc == 0 ? ERR_NOMEM : t->rc;
		v.text = "";
	}
	return v;
}

struct value value_int(int64_t number)
{
	return (struct value){.kind = VALUE_INT, .number = number};
}

struct value value_bool(bool yes)
{
	return (struct value){.kind = VALUE_BOOL, .number = yes};
}

const struct value *value_member(const struct value *map, const char *name, size_t len)
{
	const struct value *hidden = map->hidden != NULL ? value_member(map->hidden, name, len) : NULL;
	uint32_t i;

	if (hidden != NULL) {
		return hidden;
	}
	for (i = 0; map->kind == VALUE_MAP && i < map->n; i++) {
		if (strlen(map->keys[i]) == len && strncmp(map->keys[i], name, len) == 0) {
			return &map->at[i];
		}
	}
	return NULL;
}

struct value value_missing(struct template_run *t, const char *name, size_t len)
{
	if (t->args->error_on_missing_key) {
		template_refuse(t, "map has no entry for key \"%.*s\"", (int)(len > 64 ? 64 : len), name);
	}
	return value_nil;
}

/* ---- words ---- */

void template_skip_space(struct template_run *t)
{
	while (t->p < t->end && isspace((unsigned char)*t->p)) {
		t->p++;
	}
}

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static size_t word_length(const struct template_run *t)
{
	size_t n = 0;

	while (t->p + n < t->end && is_letter(t->p[n])) {
		n++;
	}
	return n;
}

bool template_take_word(struct template_run *t, const char *word)
{
	template_skip_space(t);
	if (word_length(t) != strlen(word) || strncmp(t->p, word, strlen(word)) != 0) {
		return false;
	}
	t->p += strlen(word);
	return true;
}

static bool at(const struct template_run *t, char c)
{
	return t->p < t->end && *t->p == c;
}

/* ---- variables ---- */

bool template_variable_name(struct template_run *t, const char **name, size_t *len)
{
	template_skip_space(t);
	if (!at(t, '$')) {
		return false;
	}
	t->p++;
	*name = t->p;
	*len = word_length(t);
	t->p += *len;
	return true;
}

static struct variable *find_variable(struct template_run *t, const char *name, size_t len)
{
	unsigned i = t->n_variables;

	while (i-- > 0) {
		if (t->variables[i].len == len && strncmp(t->variables[i].name, name, len) == 0) {
			return &t->variables[i];
		}
	}
	template_refuse(t, "undefined variable \"$%.*s\"", (int)(len > 64 ? 64 : len), name);
	return NULL;
}

void template_declare(struct template_run *t, const char *name, size_t len, struct value value)
{
	if (t->n_variables == TEMPLATE_VARIABLES) {
		template_refuse(t, "too many variables");
		return;
	}
	t->variables[t->n_variables++] = (struct variable){name, len, value};
}

void template_assign(struct template_run *t, const char *name, size_t len, struct value value)
{
	struct variable *v = find_variable(t, name, len);

	if (v != NULL) {
		v->value = value;
	}
}

/* ---- operands ---- */

static char escaped(char c)
{
	static const char from[] = "nrt\"\\'";
	static const char to[] = "\n\r\t\"\\'";
	const char *found = c == '\0' ? NULL : strchr(from, c);

	return found == NULL ? '\0' : to[found - from];
}

/* A string in double quotes, in which \ escapes, or in backquotes, as it stands. */
static struct value quoted(struct template_run *t)
{
	char quote = *t->p++;
	struct buf out = {0};
	struct value v;

	while (t->p < t->end && *t->p != quote) {
		char c = *t->p++;

		if (quote == '"' && c == '\\') {
			c = t->p < t->end ? escaped(*t->p++) : '\0';
			if (c == '\0') {
				template_refuse(t, "bad escape in a string");
			}
		}
		buf_byte(&out, c);
	}
	if (t->p >= t->end) {
		template_refuse(t, "a string without an end");
	} else {
		t->p++;
	}
	t->rc = out.failed && t->rc == 0 ? ERR_NOMEM : t->rc;
	v = value_text(t, out.failed ? "" : out.at, out.failed ? 0 : out.len);
	buf_close(&out);
	return v;
}

static struct value number(struct template_run *t)
{
	char text[32];
	char *end;
	size_t n = 0;
	int64_t value;

	while (t->p + n < t->end && (is_letter(t->p[n]) || (n == 0 && strchr("+-", t->p[n]) != NULL))) {
		n++;
	}
	snprintf(text, sizeof(text), "%.*s", (int)(n < sizeof(text) ? n : sizeof(text) - 1), t->p);
	value = strtoll(text, &end, 0);
	if (n == 0 || *end != '\0' || n >= sizeof(text) || (t->p + n < t->end && t->p[n] == '.')) {
		template_refuse(t, "\"%s\" is no whole number", text);
	}
	t->p += n;
	return value_int(value);
}

static struct value member(struct template_run *t, const struct value *of, const char *name, size_t len)
{
	const struct value *found = value_member(of, name, len);

	if (found == NULL && of->kind != VALUE_MAP && of->kind != VALUE_NIL) {
		template_refuse(t, "there is no field \"%.*s\" here", (int)(len > 64 ? 64 : len), name);
	}
	return found == NULL ? value_missing(t, name, len) : *found;
}

/* .Name.Name behind an operand. */
static struct value with_fields(struct template_run *t, struct value v)
{
	while (t->rc == 0 && at(t, '.') && t->p + 1 < t->end && is_letter(t->p[1])) {
		size_t len;

		t->p++;
		len = word_length(t);
		v = member(t, &v, t->p, len);
		t->p += len;
	}
	return v;
}

static struct value pipeline(struct template_run *t);

static struct value parenthesis(struct template_run *t)
{
	struct value v;

	t->p++;
	v = pipeline(t);
	template_skip_space(t);
	if (!at(t, ')')) {
		template_refuse(t, "a missing )");
	} else {
		t->p++;
	}
	return v;
}

static struct value word(struct template_run *t)
{
	const char *name = t->p;
	size_t len = word_length(t);

	t->p += len;
	if (len == 4 && strncmp(name, "true", 4) == 0) {
		return value_bool(true);
	}
	if (len == 5 && strncmp(name, "false", 5) == 0) {
		return value_bool(false);
	}
	if (len == 3 && strncmp(name, "nil", 3) == 0) {
		return value_nil;
	}
	return template_call(t, name, len, NULL, 0);
}

static struct value operand(struct template_run *t)
{
	const char *name;
	size_t len;

	template_skip_space(t);
	if (at(t, '"') || at(t, '`')) {
		return quoted(t);
	}
	if (at(t, '(')) {
		return with_fields(t, parenthesis(t));
	}
	if (template_variable_name(t, &name, &len)) {
		struct variable *v = find_variable(t, name, len);

		return with_fields(t, v == NULL ? value_nil : v->value);
	}
	if (at(t, '.')) {
		if (t->p + 1 < t->end && is_letter(t->p[1])) {
			return with_fields(t, t->dot);
		}
		t->p++;
		return t->dot;
	}
	if (t->p < t->end && (isdigit((unsigned char)*t->p) || strchr("+-", *t->p) != NULL)) {
		return number(t);
	}
	if (t->p < t->end && is_letter(*t->p)) {
		return word(t);
	}
	template_refuse(t, "a value is missing");
	return value_nil;
}

/* ---- commands and pipelines ---- */

static bool at_operand(struct template_run *t)
{
	template_skip_space(t);
	return t->rc == 0 && t->p < t->end && strchr("|)", *t->p) == NULL;
}

/* A function and its arguments; what is piped comes last. */
static struct value function_call(struct template_run *t, const struct value *piped)
{
	struct value args[TEMPLATE_ARGS];
	const char *name = t->p;
	size_t len = word_length(t);
	unsigned n = 0;

	t->p += len;
	while (at_operand(t)) {
		if (n + 1 >= TEMPLATE_ARGS) {
			template_refuse(t, "too many arguments");
			return value_nil;
		}
		args[n++] = operand(t);
	}
	if (piped != NULL) {
		args[n++] = *piped;
	}
	return t->rc == 0 ? template_call(t, name, len, args, n) : value_nil;
}

static bool at_function(const struct template_run *t)
{
	size_t len = word_length(t);

	return len > 0 && !isdigit((unsigned char)*t->p) && !(len == 4 && strncmp(t->p, "true", 4) == 0) &&
	       !(len == 5 && strncmp(t->p, "false", 5) == 0) && !(len == 3 && strncmp(t->p, "nil", 3) == 0);
}

static struct value command(struct template_run *t, const struct value *piped)
{
	struct value v;

	template_skip_space(t);
	if (at_function(t)) {
		return function_call(t, piped);
	}
	if (piped != NULL) {
		template_refuse(t, "| must be followed by a function");
		return value_nil;
	}
	v = operand(t);
	if (at_operand(t)) {
		template_refuse(t, "\"%.*s\" is not supported in templates",
		                (int)(t->end - t->p > 32 ? 32 : t->end - t->p), t->p);
	}
	return v;
}

static struct value pipeline(struct template_run *t)
{
	struct value v;

	if (++t->depth > TEMPLATE_DEPTH) {
		template_refuse(t, "too deeply nested");
		return value_nil;
	}
	v = command(t, NULL);
	template_skip_space(t);
	while (t->rc == 0 && at(t, '|')) {
		struct value piped = v;

		t->p++;
		v = command(t, &piped);
		template_skip_space(t);
	}
	t->depth--;
	return v;
}

struct value template_eval(struct template_run *t)
{
	struct value v = pipeline(t);

	if (t->rc == 0 && t->p < t->end) {
		template_refuse(t, "\"%.*s\" is not supported in templates",
		                (int)(t->end - t->p > 32 ? 32 : t->end - t->p), t->p);
	}
	return v;
}
