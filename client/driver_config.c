#include "client/driver_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/capabilities.h"
#include "client/user.h"
#include "proto/error.h"

int driver_fault(struct driver_error *error, const char *format, ...)
{
	va_list args;

	*error = (struct driver_error){0};
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return ERR_INVALID;
}

/* ---- walking over JSON text, which the decoder will check ---- */

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

/* Behind the string that begins at `s`, or at the closing zero. */
static const char *skip_string(const char *s)
{
	for (s++; *s != '\0' && *s != '"'; s++) {
		s += s[0] == '\\' && s[1] != '\0';
	}
	return *s == '"' ? s + 1 : s;
}

static const char *skip_nested(const char *s)
{
	unsigned depth = 0;

	while (*s != '\0') {
		if (*s == '"') {
			s = skip_string(s);
			continue;
		}
		depth += *s == '{' || *s == '[';
		depth -= *s == '}' || *s == ']';
		s++;
		if (depth == 0) {
			break;
		}
	}
	return s;
}

static const char *skip_value(const char *s)
{
	if (*s == '"') {
		return skip_string(s);
	}
	return *s == '{' || *s == '[' ? skip_nested(s) : s + strcspn(s, ",]} \t\r\n");
}

/* ---- turning values into the kind that is asked for ---- */

static bool is_word(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

static void put_quoted(struct buf *out, const char *s, size_t n)
{
	bool scalar = n > 0 && strchr("\"[{", s[0]) == NULL && !is_word(s, n, "null");

	buf_str(out, scalar ? "\"" : "");
	buf_put(out, s, n);
	buf_str(out, scalar ? "\"" : "");
}

/* A string of nothing but `allowed` characters loses its quotes. */
static void put_unquoted(struct buf *out, const char *s, size_t n, const char *allowed)
{
	bool inside = n > 2 && s[0] == '"' && strspn(s + 1, allowed) == n - 2;

	buf_put(out, inside ? s + 1 : s, inside ? n - 2 : n);
}

static void put_list(struct buf *out, const char *s, size_t n)
{
	const char *at;
	const char *end;

	if (n == 0 || s[0] != '[') {
		buf_put(out, s, n);
		return;
	}
	buf_byte(out, '[');
	for (at = skip_space(s + 1); *at != ']' && *at != '\0'; at = skip_space(end)) {
		if (*at == ',') {
			buf_byte(out, ',');
			end = at + 1;
			continue;
		}
		end = skip_value(at);
		put_quoted(out, at, (size_t)(end - at));
		if (end == at) {
			break; /* Not JSON: the decoder says so. */
		}
	}
	buf_byte(out, ']');
}

static int put_members(const struct type *t, struct buf *out, const char **at, struct driver_error *error);

/* A block of a job file comes as a list of one object: that object, or NULL. */
static const char *only_object(const char *s)
{
	const char *inner = *s == '[' ? skip_space(s + 1) : s;

	if (*inner != '{') {
		return NULL;
	}
	return inner == s || *skip_space(skip_nested(inner)) == ']' ? inner : NULL;
}

/* Its values are texts. */
static void put_map(struct buf *out, const char *s, size_t n)
{
	const char *at = only_object(s);
	const char *end;

	if (at == NULL) {
		buf_put(out, s, n);
		return;
	}
	buf_byte(out, '{');
	for (at = skip_space(at + 1); *at == '"' || *at == ','; at = skip_space(end)) {
		end = *at == ',' ? at + 1 : skip_string(at);
		buf_put(out, at, (size_t)(end - at));
		at = skip_space(end);
		if (*at == ':') {
			at = skip_space(at + 1);
			end = skip_value(at);
			buf_byte(out, ':');
			put_quoted(out, at, (size_t)(end - at));
		}
	}
	buf_byte(out, '}');
}

static int put_nested(const struct type *t, struct buf *out, const char *s, size_t n, struct driver_error *error)
{
	const char *at = only_object(s);

	if (at == NULL) {
		buf_put(out, s, n);
		return 0;
	}
	return put_members(t, out, &at, error);
}

/* One block may stand for a list of them. */
static int put_blocks(const struct type *t, struct buf *out, const char *s, size_t n, struct driver_error *error)
{
	const char *at = *s == '[' ? skip_space(s + 1) : s;
	int rv = 0;

	if (*s != '[' && *s != '{') {
		buf_put(out, s, n);
		return 0;
	}
	buf_byte(out, '[');
	while (rv == 0 && *at == '{') {
		rv = put_members(t, out, &at, error);
		at = skip_space(at);
		if (*s == '[' && *at == ',') {
			buf_byte(out, ',');
			at = skip_space(at + 1);
		} else {
			break;
		}
	}
	if (rv == 0 && *s == '[' && *at != ']') {
		rv = driver_fault(error, "config has a list of what are no objects");
	}
	buf_byte(out, ']');
	return rv;
}

static int put_value(struct buf *out, const struct field *f, const char *s, size_t n, struct driver_error *error)
{
	switch (f->kind) {
	case KIND_STR:
		put_quoted(out, s, n);
		break;
	case KIND_STRS:
		put_list(out, s, n);
		break;
	case KIND_MAP:
		put_map(out, s, n);
		break;
	case KIND_OBJ:
		return put_nested(f->sub, out, s, n, error);
	case KIND_LIST:
		return put_blocks(f->sub, out, s, n, error);
	case KIND_BOOL:
	case KIND_OPTBOOL:
		put_unquoted(out, s, n, "truefals");
		break;
	case KIND_INT:
	case KIND_OPTINT:
		put_unquoted(out, s, n, "-0123456789");
		break;
	default:
		buf_put(out, s, n);
		break;
	}
	return 0;
}

/* One `"key": value` at *at, which moves behind it. */
static int put_member(const struct type *t, struct buf *out, const char **at, struct driver_error *error)
{
	const char *key = *at + 1;
	const char *key_end = skip_string(*at);
	const char *value = skip_space(key_end);
	const struct field *f;

	if (**at != '"' || *value != ':') {
		return driver_fault(error, "config is not a JSON object");
	}
	f = object_field(t, key, (size_t)(key_end - 1 - key));
	if (f == NULL) {
		return driver_fault(error, "Invalid label: No argument or block type is named \"%.*s\".",
				    (int)(key_end - 1 - key), key);
	}
	value = skip_space(value + 1);
	*at = skip_value(value);
	buf_put(out, key - 1, (size_t)(key_end - (key - 1)));
	buf_byte(out, ':');
	return put_value(out, f, value, (size_t)(*at - value), error);
}

/* The object that begins at *at, which moves behind it. */
static int put_members(const struct type *t, struct buf *out, const char **at, struct driver_error *error)
{
	int rv;

	buf_byte(out, '{');
	for (*at = skip_space(*at + 1); **at != '}' && **at != '\0'; *at = skip_space(*at)) {
		if (**at == ',') {
			buf_byte(out, **at);
			(*at)++;
			continue;
		}
		rv = put_member(t, out, at, error);
		if (rv != 0) {
			return rv;
		}
	}
	if (**at != '}') {
		return driver_fault(error, "config is not a JSON object");
	}
	(*at)++;
	buf_byte(out, '}');
	return 0;
}

static int put_object(const struct type *t, struct buf *out, const char *config, struct driver_error *error)
{
	const char *at = skip_space(config);
	int rv = *at == '{' ? put_members(t, out, &at, error) : driver_fault(error, "config is not a JSON object");

	if (rv == 0 && *skip_space(at) != '\0') {
		return driver_fault(error, "config is not a JSON object");
	}
	return rv != 0 ? rv : out->failed ? ERR_NOMEM : 0;
}

static bool is_empty(const struct field *f, const void *obj)
{
	const char *at = (const char *)obj + f->offset;

	return f->kind == KIND_STR && (*(const char *const *)(const void *)at)[0] == '\0';
}

static int check_required(const struct type *t, const void *obj, struct driver_error *error)
{
	unsigned i;

	for (i = 0; i < t->n; i++) {
		if (t->fields[i].required && is_empty(&t->fields[i], obj)) {
			return driver_fault(error,
					    "Missing required argument: The argument \"%s\" is required, but no "
					    "definition was found.",
					    t->fields[i].name);
		}
	}
	return 0;
}

int driver_config_decode(const struct type *t, void *obj, const char *config, struct arena *mem,
			 struct driver_error *error)
{
	struct buf strict = {0};
	struct fault f = {0};
	const char *text;
	int rv;

	if (config == NULL || config[0] == '\0' || strcmp(config, "null") == 0) {
		config = "{}";
	}
	rv = put_object(t, &strict, config, error);
	text = arena_strndup(mem, buf_text(&strict), strict.len);
	if (rv == 0 && text == NULL) {
		rv = ERR_NOMEM;
	}
	if (rv == 0) {
		rv = json_decode(t, obj, text, strict.len, mem, &f);
		if (rv == ERR_SYNTAX || rv == ERR_TYPE) {
			rv = driver_fault(error, "Inappropriate value for attribute \"%s\": %s.", f.path, f.why);
		}
	}
	buf_close(&strict);
	if (rv == ERR_NOMEM) {
		driver_fault(error, "%s", error_text(rv));
	}
	return rv != 0 ? rv : check_required(t, obj, error);
}

int driver_check_ranges(const char *uids, const char *gids, struct driver_error *error)
{
	if (!user_ranges_ok(uids)) {
		return driver_fault(error, "invalid denied_host_uids value \"%s\"", uids);
	}
	return user_ranges_ok(gids) ? 0 : driver_fault(error, "invalid denied_host_gids value \"%s\"", gids);
}

int driver_parse_capabilities(const char *key, const struct strs *names, uint64_t *out, struct driver_error *error)
{
	const char *unknown = capabilities_parse(names, out);

	return unknown == NULL ? 0 : driver_fault(error, "%s: there is no capability \"%s\"", key, unknown);
}

int driver_capabilities(uint64_t allowed, const struct strs *cap_add, const struct strs *cap_drop, uint64_t *out,
			struct driver_error *error)
{
	uint64_t add = 0;
	uint64_t drop = 0;
	char text[256];
	int rv = driver_parse_capabilities("cap_add", cap_add, &add, error);

	if (rv == 0) {
		rv = driver_parse_capabilities("cap_drop", cap_drop, &drop, error);
	}
	if (rv == 0 && (add & ~allowed) != 0) {
		capabilities_text(add & ~allowed, text, sizeof(text));
		return driver_fault(error, "driver does not allow the following capabilities: %s", text);
	}
	if (rv == 0) {
		*out = (allowed & capabilities_default() & capabilities_all() & ~drop) | add;
	}
	return rv;
}
