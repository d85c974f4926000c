#include "proto/version.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '~';
}

static bool take_segment(const char **p, const char *end, uint64_t *v)
{
	const char *start = *p;

	for (*v = 0; *p < end && is_digit(**p); ++*p) {
		if (__builtin_mul_overflow(*v, 10U, v) || __builtin_add_overflow(*v, (uint64_t)(**p - '0'), v)) {
			return false;
		}
	}
	return *p > start;
}

static bool take_segments(const char **p, const char *end, struct version *v)
{
	do {
		if (v->n == VERSION_SEGMENTS || !take_segment(p, end, &v->segments[v->n++])) {
			return false;
		}
	} while (*p < end && **p == '.' && (++*p, true));
	return true;
}

/* Words by dots; their length, 0 when it is malformed. */
static size_t words_len(const char *p, const char *end)
{
	const char *start = p;

	for (;;) {
		const char *word = p;

		while (p < end && is_word(*p)) {
			p++;
		}
		if (p == word) {
			return 0;
		}
		if (p == end || *p != '.') {
			return (size_t)(p - start);
		}
		p++;
	}
}

bool version_parse(const char *text, size_t len, bool semver, struct version *out)
{
	const char *p = text;
	const char *end = text + len;
	struct version v = {.n = 0};

	if (len > VERSION_TEXT_MAX) {
		return false;
	}
	p += !semver && p < end && *p == 'v';
	if (!take_segments(&p, end, &v) || (semver && v.n != 3)) {
		return false;
	}
	if (p < end && *p != '+' && (*p == '-' || !semver)) {
		p += *p == '-';
		v.pre = p;
		v.pre_len = words_len(p, end);
		if (v.pre_len == 0) {
			return false;
		}
		p += v.pre_len;
	}
	if (p < end && *p == '+') {
		size_t n = words_len(p + 1, end);

		p += n == 0 ? 0 : n + 1;
	}
	if (p != end) {
		return false;
	}
	*out = v;
	return true;
}

static bool all_digits(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!is_digit(p[i])) {
			return false;
		}
	}
	return true;
}

/* Numbers as such, and before words; words by their bytes. */
static int word_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
	bool a_number = all_digits(a, a_len);
	bool b_number = all_digits(b, b_len);
	int c;

	if (a_number != b_number) {
		return a_number ? -1 : 1;
	}
	if (a_number) {
		while (a_len > 1 && *a == '0') {
			a++;
			a_len--;
		}
		while (b_len > 1 && *b == '0') {
			b++;
			b_len--;
		}
		if (a_len != b_len) {
			return a_len < b_len ? -1 : 1;
		}
	}
	c = memcmp(a, b, a_len < b_len ? a_len : b_len);
	return c != 0 ? c : (a_len > b_len) - (a_len < b_len);
}

static size_t word_len(const char *p, size_t n)
{
	const char *dot = memchr(p, '.', n);

	return dot != NULL ? (size_t)(dot - p) : n;
}

/* A release is behind its pre-releases; of two, the first word that differs decides, and more words are more. */
static int pre_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len == 0 || b_len == 0) {
		return (a_len == 0) - (b_len == 0);
	}
	while (a_len > 0 && b_len > 0) {
		size_t n = word_len(a, a_len);
		size_t m = word_len(b, b_len);
		int c = word_cmp(a, n, b, m);

		if (c != 0) {
			return c;
		}
		n += n < a_len;
		m += m < b_len;
		a += n;
		a_len -= n;
		b += m;
		b_len -= m;
	}
	return (a_len > 0) - (b_len > 0);
}

static int segments_cmp(const struct version *a, const struct version *b, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (a->segments[i] != b->segments[i]) {
			return a->segments[i] < b->segments[i] ? -1 : 1;
		}
	}
	return 0;
}

int version_cmp(const struct version *a, const struct version *b)
{
	int c = segments_cmp(a, b, VERSION_SEGMENTS);

	return c != 0 ? c : pre_cmp(a->pre, a->pre_len, b->pre, b->pre_len);
}

/* ---- constraints ---- */

#define REL_LIST(X)                                                                                                    \
	X(NOT, "!=")                                                                                                   \
	X(AT_LEAST, ">=")                                                                                              \
	X(AT_MOST, "<=")                                                                                               \
	X(ABOUT, "~>")                                                                                                 \
	X(MORE, ">")                                                                                                   \
	X(LESS, "<")                                                                                                   \
	X(IS, "=")

/* Longer ones first, so that the first that fits is the right one. */
enum rel {
#define X(id, text) REL_##id,
	REL_LIST(X)
#undef X
		REL_COUNT
};

static const char *const rels[] = {
#define X(id, text) text,
	REL_LIST(X)
#undef X
};

struct term {
	enum rel op;
	struct version version;
};

/* One constraint of the list; p moves behind it and its comma. */
static bool take_constraint(const char **p, bool semver, struct term *out)
{
	const char *end = *p + strcspn(*p, ",");
	const char *start = *p + strspn(*p, " ");
	const char *last = end;
	int i;

	out->op = REL_IS;
	for (i = 0; i < REL_COUNT; i++) {
		size_t n = strlen(rels[i]);

		if (strncmp(start, rels[i], n) == 0) {
			out->op = (enum rel)i;
			start += n;
			break;
		}
	}
	start += strspn(start, " ");
	while (last > start && last[-1] == ' ') {
		last--;
	}
	*p = end;
	return start <= last && version_parse(start, (size_t)(last - start), semver, &out->version);
}

/* Up to the last segment that was written they are equal, and that one is not less. */
static bool is_about(const struct version *v, const struct version *c)
{
	return version_cmp(v, c) >= 0 && segments_cmp(v, c, c->n - 1) == 0;
}

/* In the loose dialect a pre-release is only compared with one of the same version. */
static bool comparable(const struct version *v, const struct term *c)
{
	if (c->op == REL_IS || c->op == REL_NOT) {
		return true;
	}
	if (v->pre_len == 0) {
		return c->op != REL_ABOUT || c->version.pre_len == 0;
	}
	return c->version.pre_len != 0 && segments_cmp(v, &c->version, VERSION_SEGMENTS) == 0;
}

static bool holds(const struct version *v, const struct term *c, bool semver)
{
	int order = version_cmp(v, &c->version);

	if (!semver && !comparable(v, c)) {
		return false;
	}
	switch (c->op) {
	case REL_NOT:
		return order != 0;
	case REL_AT_LEAST:
		return order >= 0;
	case REL_AT_MOST:
		return order <= 0;
	case REL_ABOUT:
		return is_about(v, &c->version);
	case REL_MORE:
		return order > 0;
	case REL_LESS:
		return order < 0;
	default:
		return order == 0;
	}
}

/* Whether all of the list is well formed and, if there is a version, satisfied. */
static bool check(const struct version *v, const char *spec, bool semver)
{
	struct term c;

	if (strlen(spec) > VERSION_TEXT_MAX) {
		return false;
	}
	for (;;) {
		if (!take_constraint(&spec, semver, &c) || (v != NULL && !holds(v, &c, semver))) {
			return false;
		}
		if (*spec == '\0') {
			return true;
		}
		spec++;
	}
}

bool version_spec_valid(const char *spec, bool semver)
{
	return check(NULL, spec, semver);
}

bool version_satisfies(const char *version, const char *spec, bool semver)
{
	size_t n = strlen(version);
	struct version v;

	/* A list that is malformed behind what fails is so all the same. */
	return version_parse(version, n, semver, &v) && version_spec_valid(spec, semver) && check(&v, spec, semver);
}
