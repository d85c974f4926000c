/* regex(), regexall() and regex_replace(). */
#include "proto/error.h"
#include "proto/jobspec_func.h"
#include "proto/regfind.h"

struct finder {
	struct call *c;
	struct regfind r;
	const char *text;
	size_t from;
	size_t last_end; /* Of the match before; an empty one does not follow upon it at once. */
	bool again;
	struct regfind_span spans[REGFIND_GROUPS_MAX + 1];
};

static int finder_init(struct finder *f, struct call *c, const char *pattern, const char *text)
{
	char why[REGFIND_WHY];
	int rv = regfind_compile(pattern, c->js->mem, &f->r, why);

	f->c = c;
	f->text = text;
	f->from = 0;
	f->again = false;
	if (rv == ERR_NOMEM) {
		return call_nomem(c);
	}
	return rv == 0 ? call_pay(c, f->r.n) : call_fail(c, "%s", why);
}

/* One step of the budget is worth some of the finder's. */
enum { COST_OF_STEP = 4 };

static int find_from(struct finder *f, size_t from)
{
	uint64_t left = HCL_MAX_STEPS - f->c->js->budget.steps;
	uint64_t cost = 0;
	int rv = regfind_next(&f->r, f->text, from, f->spans, left * COST_OF_STEP, &cost);

	if (rv == ERR_NOMEM) {
		return call_nomem(f->c);
	}
	if (rv == ERR_TOOBIG) {
		return call_pay(f->c, HCL_MAX_STEPS + 1);
	}
	return call_pay(f->c, cost / COST_OF_STEP + 1) != 0 ? ERR_TOOBIG : rv;
}

/* The next match; ERR_NOTFOUND at the end. */
static int finder_next(struct finder *f)
{
	for (;;) {
		int rv = find_from(f, f->from);
		const struct regfind_span *all = &f->spans[0];

		if (rv != 0) {
			return rv;
		}
		if (all->to > all->from || !f->again || all->from != f->last_end) {
			f->again = true;
			f->last_end = all->to;
			f->from = all->to;
			return 0;
		}
		if (f->text[f->from] == '\0') {
			return ERR_NOTFOUND;
		}
		f->from += char_len(&f->text[f->from]);
		f->again = false;
	}
}

static bool span_value(struct finder *f, uint32_t group, struct hcl_value *out)
{
	const struct regfind_span *span = &f->spans[group];

	*out = (struct hcl_value){.kind = HCL_NULL};
	return !span->set || text_value(f->c, f->text + span->from, span->to - span->from, out);
}

/* What a match is: its text; with groups, a list of theirs; with names, an object. */
static int match_value(struct finder *f, struct hcl_value *out)
{
	uint32_t n = f->r.n_groups;
	struct hcl_value *at = call_alloc(f->c, n + 1, sizeof(*at));
	struct hcl_member *members = call_alloc(f->c, n + 1, sizeof(*members));
	struct call into = *f->c;
	uint32_t named = 0;
	uint32_t i;

	if (at == NULL || members == NULL) {
		return call_nomem(f->c);
	}
	into.out = out;
	for (i = 0; i <= n; i++) {
		if (!span_value(f, i, &at[i])) {
			return f->c->js->nomem ? ERR_NOMEM : ERR_TOOBIG;
		}
		if (f->r.names[i] != NULL) {
			members[named++] = (struct hcl_member){.key = f->r.names[i], .value = at[i]};
		}
	}
	if (n == 0) {
		*out = at[0];
		return 0;
	}
	if (named > 0 && named < n) {
		return call_fail(f->c, "cannot mix groups with names and without in one pattern");
	}
	return named > 0 ? give_object(&into, members, n) : give_list(&into, at + 1, n);
}

int jobspec_regex(struct call *c)
{
	struct finder f;
	int rv = finder_init(&f, c, c->args[0].string, c->args[1].string);

	rv = rv == 0 ? finder_next(&f) : rv;
	if (rv == ERR_NOTFOUND) {
		return call_fail(c, "pattern did not match any part of the given string");
	}
	return rv == 0 ? match_value(&f, c->out) : rv;
}

int jobspec_regexall(struct call *c)
{
	struct hcl_value *at = NULL;
	uint32_t cap = 0;
	uint32_t n = 0;
	struct finder f;
	int rv = finder_init(&f, c, c->args[0].string, c->args[1].string);

	while (rv == 0 && (rv = finder_next(&f)) == 0) {
		if (n == cap) {
			struct hcl_value *more = call_alloc(c, (size_t)cap * 2 + 8, sizeof(*more));

			if (more == NULL) {
				return call_nomem(c);
			}
			if (n > 0) {
				memcpy(more, at, n * sizeof(*at));
			}
			at = more;
			cap = cap * 2 + 8;
		}
		rv = match_value(&f, &at[n++]);
	}
	return rv == ERR_NOTFOUND ? give_list(c, at, n) : rv;
}

/* ---- replacing ---- */

static bool is_name_char(char ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') || ch == '_';
}

static const struct regfind_span *named_span(const struct finder *f, const char *name, size_t len)
{
	static const struct regfind_span none;
	uint32_t number = 0;
	size_t i;

	for (i = 0; i < len && name[i] >= '0' && name[i] <= '9' && number <= REGFIND_GROUPS_MAX; i++) {
		number = number * 10 + (uint32_t)(name[i] - '0');
	}
	if (i == len) {
		return number <= f->r.n_groups ? &f->spans[number] : &none;
	}
	for (i = 1; i <= f->r.n_groups; i++) {
		if (f->r.names[i] != NULL && strlen(f->r.names[i]) == len && memcmp(f->r.names[i], name, len) == 0) {
			return &f->spans[i];
		}
	}
	return &none;
}

/* $1, ${1}, $name, ${name}, and $$ for $; s is behind the $. Returns what is behind it. */
static const char *put_reference(const struct finder *f, const char *s, struct buf *out)
{
	const struct regfind_span *span;
	bool braces = *s == '{';
	const char *name = s + braces;
	size_t len = 0;

	if (*s == '$') {
		buf_byte(out, '$');
		return s + 1;
	}
	while (is_name_char(name[len])) {
		len++;
	}
	if (len == 0 || (braces && name[len] != '}')) {
		buf_byte(out, '$');
		return s;
	}
	span = named_span(f, name, len);
	if (span->set) {
		buf_put(out, f->text + span->from, span->to - span->from);
	}
	return name + len + braces;
}

static void put_replacement(const struct finder *f, const char *with, struct buf *out)
{
	while (*with != '\0' && out->len <= HCL_MAX_TEXT) {
		if (*with == '$') {
			with = put_reference(f, with + 1, out);
		} else {
			buf_byte(out, *with++);
		}
	}
}

int jobspec_regex_replace(struct call *c)
{
	const char *text = c->args[0].string;
	struct buf out = {0};
	size_t done = 0;
	struct finder f;
	int rv = finder_init(&f, c, c->args[1].string, text);

	while (rv == 0 && (rv = finder_next(&f)) == 0) {
		buf_put(&out, text + done, f.spans[0].from - done);
		put_replacement(&f, c->args[2].string, &out);
		done = f.spans[0].to;
	}
	if (rv != ERR_NOTFOUND) {
		buf_close(&out);
		return rv;
	}
	buf_str(&out, text + done);
	return give_buf(c, &out);
}
