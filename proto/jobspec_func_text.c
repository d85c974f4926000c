/* Functions of the job language: texts, but for format() and regular expressions. */
#include <ctype.h>
#include <stdio.h>

#include "proto/error.h"
#include "proto/jobspec_func.h"

static int give_string(struct call *c, const char *text)
{
	return give_text(c, text, strlen(text));
}

/* ---- letters ---- */

/* Between small and capital letters of Latin-1, Greek and Cyrillic lies a constant; others stay as they are. */
static const struct {
	uint32_t first, last; /* Small letters. */
	uint32_t less;        /* The capital is so much less. */
} small_letters[] = {
	{'a', 'z', 32},	     {0xe0, 0xf6, 32},	 {0xf8, 0xfe, 32},   {0x3b1, 0x3c1, 32},
	{0x3c3, 0x3cb, 32}, {0x430, 0x44f, 32}, {0x450, 0x45f, 80},
};

static uint32_t change_case(uint32_t ch, bool upper)
{
	size_t i;

	for (i = 0; i < sizeof(small_letters) / sizeof(small_letters[0]); i++) {
		uint32_t less = small_letters[i].less;
		uint32_t small = upper ? ch : ch + less;

		if (small >= small_letters[i].first && small <= small_letters[i].last) {
			return upper ? ch - less : ch + less;
		}
	}
	return ch;
}

/* The character of n bytes at s. */
static uint32_t char_at(const char *s, size_t n)
{
	static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t ch = (uint8_t)s[0] & masks[n];
	size_t i;

	for (i = 1; i < n; i++) {
		ch = ch << 6 | ((uint8_t)s[i] & 0x3f);
	}
	return ch;
}

static void put_cased(struct buf *out, const char *s, size_t n, bool upper)
{
	char to[4];

	buf_put(out, to, utf8_put(to, change_case(char_at(s, n), upper)));
}

static int run_case(struct call *c, bool upper)
{
	const char *s = c->args[0].string;
	struct buf out = {0};

	while (*s != '\0') {
		size_t n = char_len(s);

		put_cased(&out, s, n, upper);
		s += n;
	}
	return give_buf(c, &out);
}

static int run_lower(struct call *c)
{
	return run_case(c, false);
}

static int run_upper(struct call *c)
{
	return run_case(c, true);
}

static bool is_word(const char *s)
{
	return isalnum((unsigned char)*s) != 0 || *s == '_' || *s == '\'' || (unsigned char)*s >= 0x80;
}

static int run_title(struct call *c)
{
	const char *s = c->args[0].string;
	struct buf out = {0};
	bool inside = false;

	while (*s != '\0') {
		size_t n = char_len(s);

		if (inside) {
			buf_put(&out, s, n);
		} else {
			put_cased(&out, s, n, true);
		}
		inside = is_word(s);
		s += n;
	}
	return give_buf(c, &out);
}

/* ---- ends ---- */

static int run_chomp(struct call *c)
{
	const char *s = c->args[0].string;
	size_t n = strlen(s);

	while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r')) {
		n--;
	}
	return give_text(c, s, n);
}

static int trim_chars(struct call *c, const char *set)
{
	const char *s = c->args[0].string;
	const char *end;
	const char *p;

	while (*s != '\0' && memmem(set, strlen(set), s, char_len(s)) != NULL) {
		s += char_len(s);
	}
	for (p = end = s; *p != '\0'; p += char_len(p)) {
		if (memmem(set, strlen(set), p, char_len(p)) == NULL) {
			end = p + char_len(p);
		}
	}
	return give_text(c, s, (size_t)(end - s));
}

static int run_trim(struct call *c)
{
	if (call_pay(c, strlen(c->args[0].string) * (strlen(c->args[1].string) / 16 + 1)) != 0) {
		return ERR_TOOBIG;
	}
	return trim_chars(c, c->args[1].string);
}

static int run_trimspace(struct call *c)
{
	return trim_chars(c, " \t\n\v\f\r");
}

static int run_trimprefix(struct call *c)
{
	const char *s = c->args[0].string;
	size_t n = strlen(c->args[1].string);

	return give_string(c, strncmp(s, c->args[1].string, n) == 0 ? s + n : s);
}

static int run_trimsuffix(struct call *c)
{
	const char *s = c->args[0].string;
	size_t len = strlen(s);
	size_t n = strlen(c->args[1].string);

	if (len >= n && memcmp(s + len - n, c->args[1].string, n) == 0) {
		len -= n;
	}
	return give_text(c, s, len);
}

/* ---- parts ---- */

static uint32_t count_chars(const char *s)
{
	uint32_t n = 0;

	for (; *s != '\0'; s += char_len(s)) {
		n++;
	}
	return n;
}

static int run_strlen(struct call *c)
{
	return give_number(c, hcl_integer(count_chars(c->args[0].string)));
}

static int run_strrev(struct call *c)
{
	const char *s = c->args[0].string;
	size_t len = strlen(s);
	char *to = call_alloc(c, len + 1, 1);
	size_t at = len;

	if (to == NULL) {
		return call_nomem(c);
	}
	while (at > 0) {
		size_t n = char_len(s);

		at -= n;
		memcpy(to + at, s, n);
		s += n;
	}
	return give_text(c, to, len);
}

static const char *skip_chars(const char *s, int64_t n)
{
	for (; n > 0 && *s != '\0'; n--) {
		s += char_len(s);
	}
	return s;
}

/* From an offset, which counts from the end if it is negative; a length of -1 is all that follows. */
static int run_substr(struct call *c)
{
	const char *s = c->args[0].string;
	const char *end;
	int64_t offset;
	int64_t len;

	if (!call_int(c, 1, INT32_MIN, INT32_MAX, &offset) || !call_int(c, 2, -1, INT32_MAX, &len)) {
		return ERR_INVALID;
	}
	if (offset < 0) {
		offset += count_chars(s);
	}
	s = skip_chars(s, offset);
	end = len < 0 ? s + strlen(s) : skip_chars(s, len);
	return give_text(c, s, (size_t)(end - s));
}

static int run_indent(struct call *c)
{
	const char *s = c->args[1].string;
	struct buf out = {0};
	int64_t spaces;

	if (!call_int(c, 0, 0, 1000, &spaces)) {
		return ERR_INVALID;
	}
	for (; *s != '\0' && out.len <= HCL_MAX_TEXT; s++) {
		buf_byte(&out, *s);
		if (*s == '\n') {
			buf_printf(&out, "%*s", (int)spaces, "");
		}
	}
	return give_buf(c, &out);
}

static int run_replace(struct call *c)
{
	const char *s = c->args[0].string;
	const char *from = c->args[1].string;
	const char *to = c->args[2].string;
	struct buf out = {0};

	while (*s != '\0' && out.len <= HCL_MAX_TEXT) {
		if (strncmp(s, from, strlen(from)) != 0) {
			buf_byte(&out, *s++);
			continue;
		}
		buf_str(&out, to);
		if (*from == '\0') { /* Between all characters. */
			buf_put(&out, s, char_len(s));
			s += char_len(s);
		} else {
			s += strlen(from);
		}
	}
	if (*from == '\0') {
		buf_str(&out, to);
	}
	return give_buf(c, &out);
}

/* ---- lists of texts ---- */

static int run_join(struct call *c)
{
	const char *separator = c->args[0].string;
	struct buf out = {0};
	bool first = true;
	uint32_t i;
	uint32_t k;
	int rv;

	for (i = 1; i < c->n; i++) {
		for (k = 0; k < c->args[i].list.n && out.len <= HCL_MAX_TEXT; k++) {
			struct hcl_value v = c->args[i].list.at[k];

			rv = call_to_string(c, &v, "an element");
			if (rv != 0) {
				buf_close(&out);
				return rv;
			}
			buf_str(&out, first ? "" : separator);
			buf_str(&out, v.string);
			first = false;
		}
	}
	return give_buf(c, &out);
}

/* The end of the piece that begins at s; without a separator, a piece is a character. */
static const char *piece_end(const char *s, const char *separator)
{
	const char *end = *separator == '\0' ? s + char_len(s) : strstr(s, separator);

	return end != NULL ? end : s + strlen(s);
}

static uint32_t count_pieces(const char *s, const char *separator)
{
	uint32_t n = 1;

	if (*separator == '\0') {
		return count_chars(s);
	}
	for (s = strstr(s, separator); s != NULL; s = strstr(s + strlen(separator), separator)) {
		n++;
	}
	return n;
}

static int run_split(struct call *c)
{
	const char *separator = c->args[0].string;
	const char *s = c->args[1].string;
	uint32_t n = count_pieces(s, separator);
	struct hcl_value *at = call_alloc(c, n, sizeof(*at));
	uint32_t i;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n; i++) {
		const char *end = piece_end(s, separator);

		if (!text_value(c, s, (size_t)(end - s), &at[i])) {
			return ERR_TOOBIG;
		}
		s = *end != '\0' ? end + strlen(separator) : end;
	}
	return give_list(c, at, n);
}

/* ---- paths, which need no files ---- */

static int run_basename(struct call *c)
{
	const char *s = c->args[0].string;
	size_t end = strlen(s);
	size_t begin;

	while (end > 1 && s[end - 1] == '/') {
		end--;
	}
	for (begin = end; begin > 0 && s[begin - 1] != '/'; begin--) {
	}
	if (begin == end) {
		return give_string(c, end > 0 ? "/" : ".");
	}
	return give_text(c, s + begin, end - begin);
}

static int run_dirname(struct call *c)
{
	const char *s = c->args[0].string;
	const char *slash = strrchr(s, '/');

	if (slash == NULL) {
		return give_string(c, ".");
	}
	while (slash > s && slash[-1] == '/') {
		slash--;
	}
	return give_text(c, s, slash > s ? (size_t)(slash - s) : 1);
}

const struct function jobspec_text_functions[] = {
	{"basename", "s", run_basename},
	{"chomp", "s", run_chomp},
	{"dirname", "s", run_dirname},
	{"format", "sv*", jobspec_format},
	{"formatlist", "sv*", jobspec_formatlist},
	{"indent", "ns", run_indent},
	{"join", "sl*", run_join},
	{"lower", "s", run_lower},
	{"regex", "ss", jobspec_regex},
	{"regex_replace", "sss", jobspec_regex_replace},
	{"regexall", "ss", jobspec_regexall},
	{"replace", "sss", run_replace},
	{"split", "ss", run_split},
	{"strlen", "s", run_strlen},
	{"strrev", "s", run_strrev},
	{"substr", "snn", run_substr},
	{"title", "s", run_title},
	{"trim", "ss", run_trim},
	{"trimprefix", "ss", run_trimprefix},
	{"trimspace", "s", run_trimspace},
	{"trimsuffix", "ss", run_trimsuffix},
	{"upper", "s", run_upper},
	{NULL, NULL, NULL},
};
