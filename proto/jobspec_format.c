/* format() and formatlist(): texts with verbs in them, %[flags][width][.precision][[argument]]verb. */
#include <math.h>
#include <stdio.h>

#include "proto/error.h"
#include "proto/jobspec_func.h"

enum { FORMAT_MAX_WIDTH = 1000 };

struct verb {
	bool plus, minus, space, zero, sharp;
	int width;     /* -1: none. */
	int precision; /* -1: none. */
	char letter;
};

struct format {
	struct call *c;
	const struct hcl_value *args; /* Of the call, or for formatlist one of each list. */
	uint32_t n;
	uint32_t next;
	uint32_t used; /* Arguments up to here have been used. */
	struct buf out;
};

/* ---- reading verbs ---- */

static bool read_number(const char **s, int *out)
{
	int n = 0;

	if (**s < '0' || **s > '9') {
		return true;
	}
	for (; **s >= '0' && **s <= '9'; ++*s) {
		n = n * 10 + (**s - '0');
		if (n > FORMAT_MAX_WIDTH) {
			return false;
		}
	}
	*out = n;
	return true;
}

static bool read_flag(struct verb *v, char ch)
{
	bool *const flag = ch == '+'   ? &v->plus
			   : ch == '-' ? &v->minus
			   : ch == ' ' ? &v->space
			   : ch == '0' ? &v->zero
			   : ch == '#' ? &v->sharp
				       : NULL;

	if (flag != NULL) {
		*flag = true;
	}
	return flag != NULL;
}

/* The verb behind the % before *s, which moves behind it. */
static int read_verb(struct format *f, const char **s, struct verb *v)
{
	int argument = (int)f->next + 1;
	bool good;

	*v = (struct verb){.width = -1, .precision = -1};
	while (read_flag(v, **s)) {
		++*s;
	}
	good = read_number(s, &v->width);
	if (good && **s == '.') {
		++*s;
		v->precision = 0;
		good = read_number(s, &v->precision);
	}
	if (good && **s == '[') {
		++*s;
		good = read_number(s, &argument) && argument > 0 && **s == ']';
		*s += good;
	}
	if (!good) {
		return call_fail(f->c, "a verb's width, precision or argument number cannot be read: %.40s", *s);
	}
	f->next = (uint32_t)argument - 1;
	v->letter = **s;
	*s += v->letter != '\0';
	return 0;
}

/* ---- putting values ---- */

/* Padded to the width in characters. */
static void put_padded(struct format *f, const struct verb *v, const char *text, size_t len)
{
	int chars = 0;
	size_t i;

	for (i = 0; i < len; i += char_len(text + i)) {
		chars++;
	}
	if (!v->minus && v->width > chars) {
		buf_printf(&f->out, "%*s", v->width - chars, "");
	}
	buf_put(&f->out, text, len);
	if (v->minus && v->width > chars) {
		buf_printf(&f->out, "%*s", v->width - chars, "");
	}
}

/* Digits are padded with zeros behind their sign if the verb says so. */
static void put_digits(struct format *f, const struct verb *v, bool negative, const char *digits)
{
	const char *sign = negative ? "-" : v->plus ? "+" : v->space ? " " : "";
	int pad = v->zero && !v->minus ? v->width - (int)strlen(sign) - (int)strlen(digits) : 0;
	struct buf text = {0};

	buf_str(&text, sign);
	for (; pad > 0; pad--) {
		buf_byte(&text, '0');
	}
	buf_str(&text, digits);
	buf_text(&text);
	if (text.failed) {
		f->out.failed = true;
	} else {
		put_padded(f, v, text.at, text.len);
	}
	buf_close(&text);
}

static int put_integer(struct format *f, const struct verb *v, const struct hcl_value *arg)
{
	static const char small[] = "0123456789abcdef";
	static const char capital[] = "0123456789ABCDEF";
	unsigned base = v->letter == 'd' ? 10 : v->letter == 'b' ? 2 : v->letter == 'o' ? 8 : 16;
	char digits[72];
	char *p = digits + sizeof(digits) - 1;
	uint64_t u;

	if (!arg->number.exact) {
		return call_fail(f->c, "%%%c needs a whole number", v->letter);
	}
	u = arg->number.integer < 0 ? 0 - (uint64_t)arg->number.integer : (uint64_t)arg->number.integer;
	*p = '\0';
	do {
		*--p = (v->letter == 'X' ? capital : small)[u % base];
		u /= base;
	} while (u != 0);
	if (v->sharp && base == 16) {
		*--p = v->letter;
		*--p = '0';
	}
	put_digits(f, v, arg->number.integer < 0, p);
	return 0;
}

static int put_double(struct format *f, const struct verb *v, const struct hcl_value *arg)
{
	char spec[] = "%.*f";
	char digits[1400]; /* 309 digits before the point and FORMAT_MAX_WIDTH behind it. */
	double d = fabs(arg->number.num);

	spec[3] = v->letter;
	if (v->precision < 0 && (v->letter | 0x20) == 'g') {
		struct hcl_number n = {.num = d};
		struct buf shortest = {0};

		hcl_number_put(&n, &shortest);
		snprintf(digits, sizeof(digits), "%s", buf_text(&shortest));
		f->out.failed = f->out.failed || shortest.failed;
		buf_close(&shortest);
	} else {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(digits, sizeof(digits), spec, v->precision < 0 ? 6 : v->precision, d);
#pragma GCC diagnostic pop
	}
	put_digits(f, v, arg->number.num < 0, digits);
	return 0;
}

static int put_text(struct format *f, const struct verb *v, const struct hcl_value *arg)
{
	size_t len = strlen(arg->string);
	struct buf quoted = {0};
	int chars = v->precision;
	size_t i;

	for (i = 0; v->precision >= 0 && i < len && chars > 0; chars--) {
		i += char_len(arg->string + i);
	}
	len = v->precision >= 0 ? i : len;
	if (v->letter != 'q') {
		put_padded(f, v, arg->string, len);
		return 0;
	}
	json_put_str(&quoted, arg->string, len);
	buf_text(&quoted);
	if (quoted.failed) {
		f->out.failed = true;
	} else {
		put_padded(f, v, quoted.at, quoted.len);
	}
	buf_close(&quoted);
	return 0;
}

static int put_hex_text(struct format *f, const struct verb *v, const struct hcl_value *arg)
{
	const char *s = arg->string;
	struct buf hex = {0};

	for (; *s != '\0'; s++) {
		buf_printf(&hex, v->letter == 'X' ? "%02X" : "%02x", (unsigned char)*s);
	}
	put_padded(f, v, buf_text(&hex), hex.len);
	f->out.failed = f->out.failed || hex.failed;
	buf_close(&hex);
	return 0;
}

/* Any value: texts as they are, numbers and bools as one writes them, all else as JSON. */
static int put_any(struct format *f, const struct verb *v, const struct hcl_value *arg)
{
	struct buf text = {0};

	if (arg->kind == HCL_STRING && !v->sharp) {
		return put_text(f, v, arg);
	}
	hcl_value_json(arg, &text);
	put_padded(f, v, buf_text(&text), text.len);
	f->out.failed = f->out.failed || text.failed;
	buf_close(&text);
	return 0;
}

static int put_value(struct format *f, const struct verb *v, const struct hcl_value *arg)
{
	struct hcl_value to = *arg;
	bool hex = (v->letter | 0x20) == 'x';
	int rv;

	if (v->letter == 'v' || (hex && to.kind == HCL_STRING)) {
		return v->letter == 'v' ? put_any(f, v, arg) : put_hex_text(f, v, arg);
	}
	if (v->letter == 't') {
		rv = hcl_to_bool(&to);
	} else if (v->letter == 's' || v->letter == 'q') {
		rv = hcl_to_string(&to, f->c->js->mem);
	} else {
		rv = hcl_to_number(&to);
	}
	if (rv == ERR_NOMEM) {
		return call_nomem(f->c);
	}
	if (rv != 0) {
		return call_fail(f->c, "%%%c cannot stand for %s", v->letter, hcl_kind_text(arg->kind));
	}
	switch (to.kind) {
	case HCL_BOOL:
		put_padded(f, v, to.boolean ? "true" : "false", to.boolean ? 4 : 5);
		return 0;
	case HCL_STRING:
		return put_text(f, v, &to);
	default:
		return strchr("dboxX", v->letter) != NULL ? put_integer(f, v, &to) : put_double(f, v, &to);
	}
}

/* ---- the text ---- */

static int put_verb(struct format *f, const char **s)
{
	struct verb v;
	int rv = read_verb(f, s, &v);

	if (rv != 0) {
		return rv;
	}
	if (v.letter == '%') {
		buf_byte(&f->out, '%');
		return 0;
	}
	if (v.letter == '\0' || strchr("vtbdoxXeEfgGsq", v.letter) == NULL) {
		return call_fail(f->c, "unknown verb %%%c", v.letter != '\0' ? v.letter : ' ');
	}
	if (f->next >= f->n) {
		return call_fail(f->c, "%%%c has no argument %u: there are %u", v.letter, f->next + 1, f->n);
	}
	rv = put_value(f, &v, &f->args[f->next++]);
	f->used = f->next > f->used ? f->next : f->used;
	return rv;
}

static int put_all(struct format *f, const char *s)
{
	int rv = 0;

	while (*s != '\0' && rv == 0) {
		size_t plain = strcspn(s, "%");

		buf_put(&f->out, s, plain);
		s += plain;
		if (*s == '%') {
			s++;
			rv = put_verb(f, &s);
		}
		if (f->out.len > HCL_MAX_TEXT) {
			call_fail(f->c, "the result is too long");
			return ERR_TOOBIG;
		}
	}
	if (rv == 0 && f->used < f->n) {
		return call_fail(f->c, "too many arguments: the format uses %u", f->used);
	}
	return rv == 0 && f->out.failed ? call_nomem(f->c) : rv;
}

int jobspec_format(struct call *c)
{
	struct format f = {.c = c, .args = c->args + 1, .n = c->n - 1};
	int rv = put_all(&f, c->args[0].string);

	if (rv == 0) {
		return give_buf(c, &f.out);
	}
	buf_close(&f.out);
	return rv;
}

/* The i-th text is made of the i-th elements of lists, and of what is no list each time. */
static int format_nth(struct call *c, uint32_t i, struct hcl_value *args, struct hcl_value *out)
{
	struct format f = {.c = c, .args = args, .n = c->n - 1};
	uint32_t k;
	int rv;

	for (k = 1; k < c->n; k++) {
		args[k - 1] = c->args[k].kind == HCL_LIST ? c->args[k].list.at[i] : c->args[k];
	}
	rv = put_all(&f, c->args[0].string);
	if (rv == 0 && !text_value(c, buf_text(&f.out), f.out.len, out)) {
		rv = ERR_TOOBIG;
	}
	buf_close(&f.out);
	return rv;
}

int jobspec_formatlist(struct call *c)
{
	struct hcl_value *args = call_alloc(c, c->n, sizeof(*args));
	struct hcl_value *at;
	bool lists = false;
	uint32_t n = 1;
	uint32_t i;
	int rv;

	for (i = 1; i < c->n; i++) {
		if (c->args[i].kind == HCL_LIST && lists && c->args[i].list.n != n) {
			return call_fail(c, "the lists must have the same length: one has %u elements, another %u", n,
					 c->args[i].list.n);
		}
		if (c->args[i].kind == HCL_LIST) {
			lists = true;
			n = c->args[i].list.n;
		}
	}
	rv = call_pay(c, (uint64_t)n * (c->n + strlen(c->args[0].string) / 16));
	at = rv == 0 ? call_alloc(c, n, sizeof(*at)) : NULL;
	if (at == NULL || args == NULL) {
		return rv != 0 ? rv : call_nomem(c);
	}
	for (i = 0; i < n && rv == 0; i++) {
		rv = format_nth(c, i, args, &at[i]);
	}
	return rv == 0 ? give_list(c, at, n) : rv;
}
