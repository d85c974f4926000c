/* Functions of the job language: lists, objects, and conversions. */
#include <stdlib.h>

#include "proto/error.h"
#include "proto/jobspec_func.h"

enum { RANGE_MAX = 1024 };

static int give_value(struct call *c, const struct hcl_value *v)
{
	*c->out = *v;
	return 0;
}

/* ---- lists ---- */

static int run_chunklist(struct call *c)
{
	const struct hcl_value *list = &c->args[0];
	struct hcl_value *at;
	int64_t size;
	uint32_t n;
	uint32_t i;

	if (!call_int(c, 1, 0, INT32_MAX, &size)) {
		return ERR_INVALID;
	}
	size = size == 0 || size > list->list.n ? list->list.n : size;
	n = list->list.n == 0 ? 0 : (list->list.n + (uint32_t)size - 1) / (uint32_t)size;
	at = call_alloc(c, n, sizeof(*at));
	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n; i++) {
		uint32_t from = i * (uint32_t)size;
		uint32_t len = list->list.n - from < (uint32_t)size ? list->list.n - from : (uint32_t)size;
		struct call into = *c;
		int rv;

		into.out = &at[i];
		rv = give_list(&into, &list->list.at[from], len);
		if (rv != 0) {
			return rv;
		}
	}
	return give_list(c, at, n);
}

static int run_coalesce(struct call *c)
{
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		if (c->args[i].kind != HCL_NULL) {
			return give_value(c, &c->args[i]);
		}
	}
	return call_fail(c, "no argument that is not null");
}

static int run_coalescelist(struct call *c)
{
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		if (c->args[i].list.n > 0) {
			return give_value(c, &c->args[i]);
		}
	}
	return call_fail(c, "no list that is not empty");
}

/* All elements of all arguments; NULL when memory is exhausted. */
static struct hcl_value *gather(struct call *c, uint32_t *n)
{
	struct hcl_value *at;
	uint32_t i;

	for (*n = 0, i = 0; i < c->n; i++) {
		*n += c->args[i].list.n;
	}
	at = call_alloc(c, *n, sizeof(*at));
	for (*n = 0, i = 0; i < c->n && at != NULL; i++) {
		if (c->args[i].list.n > 0) {
			memcpy(&at[*n], c->args[i].list.at, c->args[i].list.n * sizeof(*at));
			*n += c->args[i].list.n;
		}
	}
	return at;
}

static int run_concat(struct call *c)
{
	uint32_t n;
	struct hcl_value *at = gather(c, &n);

	return at != NULL ? give_list(c, at, n) : call_nomem(c);
}

static bool is_in(const struct hcl_value *at, uint32_t n, const struct hcl_value *v)
{
	uint32_t i;

	for (i = 0; i < n && !hcl_equal(&at[i], v); i++) {
	}
	return i < n;
}

static int run_contains(struct call *c)
{
	return give_bool(c, is_in(c->args[0].list.at, c->args[0].list.n, &c->args[1]));
}

/* Keep the elements of a list that a test is for, each against those that have been kept. */
typedef bool (*keep_fn)(const struct hcl_value *kept, uint32_t n, const struct hcl_value *v);

static int filter(struct call *c, keep_fn keep)
{
	const struct hcl_value *list = &c->args[0];
	struct hcl_value *at = call_alloc(c, list->list.n, sizeof(*at));
	uint32_t n = 0;
	uint32_t i;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < list->list.n; i++) {
		if (keep(at, n, &list->list.at[i])) {
			at[n++] = list->list.at[i];
		}
	}
	return give_list(c, at, n);
}

static bool keep_text(const struct hcl_value *kept, uint32_t n, const struct hcl_value *v)
{
	(void)kept;
	(void)n;
	return v->kind != HCL_NULL && (v->kind != HCL_STRING || v->string[0] != '\0');
}

static int run_compact(struct call *c)
{
	return filter(c, keep_text);
}

static bool keep_new(const struct hcl_value *kept, uint32_t n, const struct hcl_value *v)
{
	return !is_in(kept, n, v);
}

static int run_distinct(struct call *c)
{
	int rv = call_pay(c, (uint64_t)c->args[0].list.n * (c->args[0].list.n + c->args[0].weight) / 8);

	return rv == 0 ? filter(c, keep_new) : rv;
}

static int run_element(struct call *c)
{
	int64_t i;

	if (!call_int(c, 1, 0, INT64_MAX, &i)) {
		return ERR_INVALID;
	}
	if (c->args[0].list.n == 0) {
		return call_fail(c, "an empty list has no elements");
	}
	return give_value(c, &c->args[0].list.at[i % c->args[0].list.n]);
}

/* The elements of lists in lists, at any depth; returns how many there are, and puts them if `at` is not NULL. */
static uint32_t flatten(const struct hcl_value *v, struct hcl_value *at)
{
	uint32_t n = 0;
	uint32_t i;

	if (v->kind != HCL_LIST) {
		if (at != NULL) {
			*at = *v;
		}
		return 1;
	}
	for (i = 0; i < v->list.n; i++) {
		n += flatten(&v->list.at[i], at != NULL ? at + n : NULL);
	}
	return n;
}

static int run_flatten(struct call *c)
{
	uint32_t n = flatten(&c->args[0], NULL);
	struct hcl_value *at = call_alloc(c, n, sizeof(*at));

	if (at == NULL) {
		return call_nomem(c);
	}
	flatten(&c->args[0], at);
	return give_list(c, at, n);
}

static int run_index(struct call *c)
{
	uint32_t i;

	for (i = 0; i < c->args[0].list.n; i++) {
		if (hcl_equal(&c->args[0].list.at[i], &c->args[1])) {
			return give_number(c, hcl_integer(i));
		}
	}
	return call_fail(c, "the list has no such element");
}

static int run_length(struct call *c)
{
	const struct hcl_value *v = &c->args[0];
	const char *s;
	uint32_t n = 0;

	switch (v->kind) {
	case HCL_LIST:
		return give_number(c, hcl_integer(v->list.n));
	case HCL_OBJECT:
		return give_number(c, hcl_integer(v->object.n));
	case HCL_STRING:
		for (s = v->string; *s != '\0'; s += char_len(s)) {
			n++;
		}
		return give_number(c, hcl_integer(n));
	default:
		return call_fail(c, "argument 1 must be a list, an object or a string, not %s", hcl_kind_text(v->kind));
	}
}

/* range(limit), range(start, limit), range(start, limit, step) */
static int run_range(struct call *c)
{
	double start = c->n > 1 ? c->args[0].number.num : 0;
	double limit = c->args[c->n > 1 ? 1 : 0].number.num;
	double step = c->n > 2 ? c->args[2].number.num : limit < start ? -1 : 1;
	struct hcl_value *at = call_alloc(c, RANGE_MAX, sizeof(*at));
	uint32_t n = 0;

	if (at == NULL) {
		return call_nomem(c);
	}
	if (step == 0 || (limit < start) != (step < 0)) {
		return limit == start && step != 0 ? give_list(c, at, 0)
						   : call_fail(c, "the step does not lead from start to limit");
	}
	for (; step > 0 ? start + n * step < limit : start + n * step > limit; n++) {
		if (n == RANGE_MAX) {
			return call_fail(c,
					 "more than %d values: decrease the difference between start and end, or use a "
					 "larger step",
					 RANGE_MAX);
		}
		at[n] = (struct hcl_value){.kind = HCL_NUMBER, .number = hcl_number_of(start + n * step)};
	}
	return give_list(c, at, n);
}

static int run_reverse(struct call *c)
{
	uint32_t n = c->args[0].list.n;
	struct hcl_value *at = call_alloc(c, n, sizeof(*at));
	uint32_t i;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n; i++) {
		at[i] = c->args[0].list.at[n - 1 - i];
	}
	return give_list(c, at, n);
}

static int run_slice(struct call *c)
{
	int64_t from;
	int64_t to;

	if (!call_int(c, 1, 0, c->args[0].list.n, &from) || !call_int(c, 2, from, c->args[0].list.n, &to)) {
		return ERR_INVALID;
	}
	return give_list(c, c->args[0].list.at != NULL ? &c->args[0].list.at[from] : NULL, (uint32_t)(to - from));
}

static struct hcl_value *copy_list(struct call *c, const struct hcl_value *list)
{
	struct hcl_value *at = call_alloc(c, list->list.n, sizeof(*at));

	if (at != NULL && list->list.n > 0) {
		memcpy(at, list->list.at, list->list.n * sizeof(*at));
	}
	return at;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(((const struct hcl_value *)a)->string, ((const struct hcl_value *)b)->string);
}

static int run_sort(struct call *c)
{
	uint32_t n = c->args[0].list.n;
	struct hcl_value *at = copy_list(c, &c->args[0]);
	uint32_t i;
	int rv = at != NULL ? 0 : call_nomem(c);

	for (i = 0; i < n && rv == 0; i++) {
		rv = call_to_string(c, &at[i], "an element");
	}
	if (rv != 0) {
		return rv;
	}
	qsort(at, n, sizeof(*at), compare_texts);
	return give_list(c, at, n);
}

/* ---- sets ---- */

static int run_setunion(struct call *c)
{
	uint32_t n;
	struct hcl_value *at = gather(c, &n);

	return at != NULL ? give_set(c, at, n) : call_nomem(c);
}

/* What is in the first set and, as `in` says, in all others or in none of them. */
static int choose(struct call *c, bool in)
{
	struct hcl_value *at = copy_list(c, &c->args[0]);
	uint32_t n = c->args[0].list.n;
	uint32_t kept;
	uint32_t i;
	uint32_t k;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 1; i < c->n; i++) {
		const struct hcl_value *other = &c->args[i];
		int rv = call_pay(c, (uint64_t)n * (other->list.n + other->weight) / 8);

		if (rv != 0) {
			return rv;
		}
		for (kept = 0, k = 0; k < n; k++) {
			if (is_in(other->list.at, other->list.n, &at[k]) == in) {
				at[kept++] = at[k];
			}
		}
		n = kept;
	}
	return give_set(c, at, n);
}

static int run_setintersection(struct call *c)
{
	return choose(c, true);
}

static int run_setsubtract(struct call *c)
{
	return choose(c, false);
}

/* The i-th combination: the last list turns fastest. */
static int combination(struct call *c, uint64_t i, struct hcl_value *out)
{
	struct hcl_value *at = call_alloc(c, c->n, sizeof(*at));
	struct call into = *c;
	uint32_t k;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (k = c->n; k > 0; k--) {
		const struct hcl_value *list = &c->args[k - 1];

		at[k - 1] = list->list.at[i % list->list.n];
		i /= list->list.n;
	}
	into.out = out;
	return give_list(&into, at, c->n);
}

static int run_setproduct(struct call *c)
{
	struct hcl_value *at;
	uint64_t n = 1;
	uint64_t i;
	int rv = 0;

	for (i = 0; i < c->n && n <= HCL_MAX_WEIGHT; i++) {
		n *= c->args[i].list.n;
	}
	if (n > HCL_MAX_WEIGHT) {
		call_fail(c, "the value has too many parts");
		return ERR_TOOBIG;
	}
	at = call_alloc(c, (size_t)n, sizeof(*at));
	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n && rv == 0; i++) {
		rv = combination(c, i, &at[i]);
	}
	return rv == 0 ? give_list(c, at, (uint32_t)n) : rv;
}

/* ---- objects ---- */

static int run_keys(struct call *c)
{
	uint32_t n = c->args[0].object.n;
	struct hcl_value *at = call_alloc(c, n, sizeof(*at));
	uint32_t i;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n; i++) {
		const char *key = c->args[0].object.at[i].key;

		at[i] = (struct hcl_value){
			.kind = HCL_STRING, .weight = hcl_text_weight(strlen(key)), .string = key};
	}
	return give_list(c, at, n);
}

static int run_values(struct call *c)
{
	uint32_t n = c->args[0].object.n;
	struct hcl_value *at = call_alloc(c, n, sizeof(*at));
	uint32_t i;

	if (at == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n; i++) {
		at[i] = c->args[0].object.at[i].value;
	}
	return give_list(c, at, n);
}

static int run_lookup(struct call *c)
{
	const struct hcl_value *v = hcl_member(&c->args[0], c->args[1].string);

	if (v == NULL && c->n < 3) {
		return call_fail(c, "the object has no member \"%.80s\", and no default is given", c->args[1].string);
	}
	return give_value(c, v != NULL ? v : &c->args[2]);
}

static int run_merge(struct call *c)
{
	struct hcl_member *at;
	uint32_t n = 0;
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		if (c->args[i].kind != HCL_OBJECT && c->args[i].kind != HCL_NULL) {
			return call_fail(c, "argument %u must be an object, not %s", i + 1,
					 hcl_kind_text(c->args[i].kind));
		}
		n += c->args[i].kind == HCL_OBJECT ? c->args[i].object.n : 0;
	}
	at = call_alloc(c, n, sizeof(*at));
	if (at == NULL) {
		return call_nomem(c);
	}
	for (n = 0, i = 0; i < c->n; i++) {
		if (c->args[i].kind == HCL_OBJECT && c->args[i].object.n > 0) {
			memcpy(&at[n], c->args[i].object.at, c->args[i].object.n * sizeof(*at));
			n += c->args[i].object.n;
		}
	}
	return give_object(c, at, n);
}

static int run_zipmap(struct call *c)
{
	uint32_t n = c->args[0].list.n;
	struct hcl_member *at = call_alloc(c, n, sizeof(*at));
	uint32_t i;

	if (at == NULL) {
		return call_nomem(c);
	}
	if (c->args[1].list.n != n) {
		return call_fail(c, "there are %u keys and %u values", n, c->args[1].list.n);
	}
	for (i = 0; i < n; i++) {
		struct hcl_value key = c->args[0].list.at[i];
		int rv = call_to_string(c, &key, "a key");

		if (rv != 0) {
			return rv;
		}
		at[i] = (struct hcl_member){.key = key.string, .value = c->args[1].list.at[i]};
	}
	return give_object(c, at, n);
}

/* ---- conversions ---- */

static int run_same(struct call *c)
{
	return give_value(c, &c->args[0]);
}

/* Elements of different kinds become texts, if they can. */
static struct hcl_value *unify(struct call *c, const struct hcl_value *list)
{
	struct hcl_value *at = copy_list(c, list);
	bool same = true;
	uint32_t i;

	for (i = 1; i < list->list.n && at != NULL; i++) {
		same = same && at[i].kind == at[0].kind;
	}
	for (i = 0; i < list->list.n && at != NULL && !same; i++) {
		if (hcl_to_string(&at[i], c->js->mem) == ERR_NOMEM) {
			return NULL;
		}
	}
	return at;
}

static int run_tolist(struct call *c)
{
	struct hcl_value *at = unify(c, &c->args[0]);

	return at != NULL ? give_list(c, at, c->args[0].list.n) : call_nomem(c);
}

static int run_toset(struct call *c)
{
	struct hcl_value *at = unify(c, &c->args[0]);

	return at != NULL ? give_set(c, at, c->args[0].list.n) : call_nomem(c);
}

const struct function jobspec_list_functions[] = {
	{"chunklist", "ln", run_chunklist},
	{"coalesce", "vv*", run_coalesce},
	{"coalescelist", "ll*", run_coalescelist},
	{"compact", "l", run_compact},
	{"concat", "ll*", run_concat},
	{"contains", "lv", run_contains},
	{"distinct", "l", run_distinct},
	{"element", "ln", run_element},
	{"flatten", "l", run_flatten},
	{"index", "lv", run_index},
	{"keys", "o", run_keys},
	{"length", "v", run_length},
	{"lookup", "osv?", run_lookup},
	{"merge", "v*", run_merge},
	{"range", "nn?n?", run_range},
	{"reverse", "l", run_reverse},
	{"setintersection", "ll*", run_setintersection},
	{"setproduct", "ll*", run_setproduct},
	{"setsubtract", "ll", run_setsubtract},
	{"setunion", "ll*", run_setunion},
	{"slice", "lnn", run_slice},
	{"sort", "l", run_sort},
	{"tobool", "b", run_same},
	{"tolist", "l", run_tolist},
	{"tomap", "o", run_same},
	{"tonumber", "n", run_same},
	{"toset", "l", run_toset},
	{"tostring", "s", run_same},
	{"values", "o", run_values},
	{"zipmap", "ll", run_zipmap},
	{NULL, NULL, NULL},
};
