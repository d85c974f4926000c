#include "proto/jobspec_func.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"

/* ---- what functions call ---- */

int call_fail(struct call *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->error->text, sizeof(c->error->text), format, args);
	va_end(args);
	return ERR_INVALID;
}

int call_nomem(struct call *c)
{
	c->js->nomem = true;
	call_fail(c, "out of memory");
	return ERR_NOMEM;
}

int call_to_string(struct call *c, struct hcl_value *v, const char *what)
{
	const char *is = hcl_kind_text(v->kind);
	int rv = hcl_to_string(v, c->js->mem);

	if (rv == ERR_NOMEM) {
		return call_nomem(c);
	}
	return rv == 0 ? 0 : call_fail(c, "%s must be a string, not %s", what, is);
}

int call_pay(struct call *c, uint64_t steps)
{
	struct hcl_budget *b = &c->js->budget;

	b->steps = steps > HCL_MAX_STEPS - (b->steps < HCL_MAX_STEPS ? b->steps : HCL_MAX_STEPS)
			   ? HCL_MAX_STEPS + 1
			   : b->steps + (uint32_t)steps;
	if (b->steps <= HCL_MAX_STEPS) {
		return 0;
	}
	call_fail(c, "the job file takes too many steps");
	return ERR_TOOBIG;
}

void *call_alloc(struct call *c, size_t count, size_t size)
{
	return jobspec_alloc(c->js, count, size);
}

int give_bool(struct call *c, bool yes)
{
	*c->out = (struct hcl_value){.kind = HCL_BOOL, .boolean = yes};
	return 0;
}

int give_number(struct call *c, struct hcl_number n)
{
	*c->out = (struct hcl_value){.kind = HCL_NUMBER, .number = n};
	return isfinite(n.num) ? 0 : call_fail(c, "the result is no finite number");
}

bool text_value(struct call *c, const char *text, size_t len, struct hcl_value *out)
{
	struct hcl_budget *b = &c->js->budget;
	char *copy;

	b->text += len;
	if (b->text > HCL_MAX_TEXT) {
		call_fail(c, "the job file makes too much text");
		return false;
	}
	copy = arena_strndup(c->js->mem, text, len);
	if (copy == NULL) {
		call_nomem(c);
		return false;
	}
	*out = (struct hcl_value){.kind = HCL_STRING, .weight = hcl_text_weight(len), .string = copy};
	return true;
}

static int text_failure(const struct call *c)
{
	return c->js->nomem ? ERR_NOMEM : ERR_TOOBIG;
}

int give_text(struct call *c, const char *text, size_t len)
{
	if (!utf8_is_string(text, len)) {
		return call_fail(c, "the result is not text in UTF-8");
	}
	return text_value(c, text, len, c->out) ? 0 : text_failure(c);
}

int give_buf(struct call *c, struct buf *text)
{
	int rv = text->failed ? call_nomem(c) : give_text(c, buf_text(text), text->len);

	buf_close(text);
	return rv;
}

static int give_weight(struct call *c, uint64_t weight)
{
	c->out->weight = (uint32_t)weight;
	if (weight <= HCL_MAX_WEIGHT) {
		return call_pay(c, weight);
	}
	call_fail(c, "the value has too many parts");
	return ERR_TOOBIG;
}

int give_list(struct call *c, const struct hcl_value *at, uint32_t n)
{
	uint64_t weight = 1;
	uint32_t i;

	for (i = 0; i < n; i++) {
		weight += at[i].weight + UINT64_C(1);
	}
	*c->out = (struct hcl_value){.kind = HCL_LIST, .list = {.at = at, .n = n}};
	return give_weight(c, weight);
}

struct entry {
	struct hcl_member member;
	uint32_t order;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *p = a;
	const struct entry *q = b;
	int order = strcmp(p->member.key, q->member.key);

	return order != 0 ? order : p->order < q->order ? -1 : p->order > q->order;
}

int give_object(struct call *c, struct hcl_member *at, uint32_t n)
{
	struct entry *entries = call_alloc(c, n, sizeof(*entries));
	uint64_t weight = 1;
	uint32_t kept = 0;
	uint32_t i;

	if (entries == NULL) {
		return call_nomem(c);
	}
	for (i = 0; i < n; i++) {
		entries[i] = (struct entry){at[i], i};
		weight += at[i].value.weight + UINT64_C(2);
	}
	qsort(entries, n, sizeof(*entries), compare_entries);
	for (i = 0; i < n; i++) {
		kept -= kept > 0 && strcmp(at[kept - 1].key, entries[i].member.key) == 0;
		at[kept++] = entries[i].member;
	}
	*c->out = (struct hcl_value){.kind = HCL_OBJECT, .object = {.at = at, .n = kept}};
	return give_weight(c, weight);
}

int give_set(struct call *c, struct hcl_value *at, uint32_t n)
{
	jobspec_make_set(at, &n);
	return give_list(c, at, n);
}

bool call_int(struct call *c, uint32_t arg, int64_t min, int64_t max, int64_t *out)
{
	const struct hcl_number *n = &c->args[arg].number;

	if (!n->exact || n->integer < min || n->integer > max) {
		call_fail(c, "argument %u must be a whole number from %lld to %lld", arg + 1, (long long)min,
			  (long long)max);
		return false;
	}
	*out = n->integer;
	return true;
}

/* ---- numbers ---- */

static int run_abs(struct call *c)
{
	return give_number(c, c->args[0].number.num < 0 ? hcl_negative(c->args[0].number) : c->args[0].number);
}

static int run_ceil(struct call *c)
{
	return give_number(c, c->args[0].number.exact ? c->args[0].number : hcl_number_of(ceil(c->args[0].number.num)));
}

static int run_floor(struct call *c)
{
	return give_number(c,
			   c->args[0].number.exact ? c->args[0].number : hcl_number_of(floor(c->args[0].number.num)));
}

static int run_log(struct call *c)
{
	return give_number(c, hcl_number_of(log(c->args[0].number.num) / log(c->args[1].number.num)));
}

static int run_pow(struct call *c)
{
	return give_number(c, hcl_number_of(pow(c->args[0].number.num, c->args[1].number.num)));
}

static int run_signum(struct call *c)
{
	double n = c->args[0].number.num;

	return give_number(c, hcl_integer((n > 0) - (n < 0)));
}

/* The largest, or with a sign of -1 the smallest. */
static int run_extreme(struct call *c, int sign)
{
	const struct hcl_value *best = &c->args[0];
	uint32_t i;

	for (i = 1; i < c->n; i++) {
		if (jobspec_compare(&c->args[i], best) * sign > 0) {
			best = &c->args[i];
		}
	}
	return give_number(c, best->number);
}

static int run_max(struct call *c)
{
	return run_extreme(c, 1);
}

static int run_min(struct call *c)
{
	return run_extreme(c, -1);
}

static int digit_value(char ch, int64_t base)
{
	if (ch >= '0' && ch <= '9') {
		return ch - '0';
	}
	if (ch >= 'a' && ch <= 'z') {
		return ch - 'a' + 10;
	}
	if (ch >= 'A' && ch <= 'Z') {
		return ch - 'A' + (base <= 36 ? 10 : 36);
	}
	return 99;
}

static int run_parseint(struct call *c)
{
	const char *text = c->args[0].string;
	bool negative = *text == '-';
	const char *s = text + (negative || *text == '+');
	int64_t value = 0;
	int64_t base;

	if (!call_int(c, 1, 2, 62, &base)) {
		return ERR_INVALID;
	}
	if (*s == '\0') {
		return call_fail(c, "\"%.60s\" is no number in base %d", text, (int)base);
	}
	for (; *s != '\0'; s++) {
		int digit = digit_value(*s, base);

		if (digit >= base) {
			return call_fail(c, "\"%.60s\" is no number in base %d", text, (int)base);
		}
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
			return call_fail(c, "\"%.60s\" is too large", text);
		}
	}
	return give_number(c, hcl_integer(value));
}

const struct function jobspec_number_functions[] = {
	{"abs", "n", run_abs},	{"ceil", "n", run_ceil}, {"floor", "n", run_floor},	    {"log", "nn", run_log},
	{"max", "nn*", run_max}, {"min", "nn*", run_min}, {"parseint", "sn", run_parseint}, {"pow", "nn", run_pow},
	{"signum", "n", run_signum}, {NULL, NULL, NULL},
};

/* ---- what is left out ---- */

static const struct {
	const char *name;
	const char *why;
} refused[] = {
	{"abspath", "filesystem function disabled"},
	{"file", "filesystem function disabled"},
	{"filebase64", "filesystem function disabled"},
	{"fileexists", "filesystem function disabled"},
	{"fileset", "filesystem function disabled"},
	{"pathexpand", "filesystem function disabled"},
	{"templatefile", "filesystem function disabled"},
	{"bcrypt", "not supported here: give the hash itself, as a variable"},
	{"rsadecrypt", "not supported here: give the decrypted text, as a variable"},
	{"yamldecode", "YAML is not supported here: use jsondecode()"},
	{"yamlencode", "YAML is not supported here: jsonencode() makes text that is YAML, too"},
};

static bool is_refused(struct call *c, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (strcmp(refused[i].name, name) == 0) {
			call_fail(c, "%s", refused[i].why);
			return true;
		}
	}
	return false;
}

/* ---- calls ---- */

static const struct function *find_function(const char *name)
{
	static const struct function *const lists[] = {
		jobspec_number_functions, jobspec_text_functions, jobspec_list_functions,
		jobspec_code_functions,	  jobspec_net_functions,
	};
	const struct function *f;
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (f = lists[i]; f->name != NULL; f++) {
			if (strcmp(f->name, name) == 0) {
				return f;
			}
		}
	}
	return NULL;
}

static int convert(struct call *c, char to, uint32_t i, struct hcl_value *v)
{
	static const char letters[] = "nsblo";
	static const char *const wanted[] = {"a number", "a string", "a bool", "a list", "an object"};
	const char *is = hcl_kind_text(v->kind);
	int rv = 0;

	switch (to) {
	case 'n':
		rv = hcl_to_number(v);
		break;
	case 's':
		rv = hcl_to_string(v, c->js->mem);
		break;
	case 'b':
		rv = hcl_to_bool(v);
		break;
	case 'l':
		rv = v->kind == HCL_LIST ? 0 : ERR_TYPE;
		break;
	case 'o':
		rv = v->kind == HCL_OBJECT ? 0 : ERR_TYPE;
		break;
	default:
		break;
	}
	if (rv == ERR_NOMEM) {
		return call_nomem(c);
	}
	if (rv != 0) {
		return call_fail(c, "argument %u must be %s, not %s", i + 1, wanted[strchr(letters, to) - letters], is);
	}
	return 0;
}

static uint64_t cost_of(const struct hcl_value *v)
{
	return 1 + v->weight + (v->kind == HCL_STRING ? hcl_text_weight(strlen(v->string)) : 0);
}

/* Convert the arguments by the function's letters. */
static int take_arguments(struct call *c, const char *takes, struct hcl_value *args)
{
	bool enough = false;
	uint64_t cost = 0;
	uint32_t i;
	int rv = 0;

	for (i = 0; i < c->n && rv == 0; i++) {
		if (*takes == '\0') {
			return call_fail(c, "too many arguments: %u", c->n);
		}
		args[i] = c->args[i];
		rv = convert(c, *takes, i, &args[i]);
		cost += cost_of(&args[i]);
		if (takes[1] == '?') {
			takes += 2;
			enough = true;
		} else if (takes[1] != '*') {
			takes++;
		}
	}
	if (rv == 0 && !enough && *takes != '\0' && takes[1] != '?' && takes[1] != '*') {
		return call_fail(c, "too few arguments: %u", c->n);
	}
	return rv == 0 ? call_pay(c, cost) : rv;
}

int jobspec_function_cb(void *ctx, const char *name, const struct hcl_value *given, uint32_t n, struct arena *mem,
			struct hcl_value *value, struct hcl_error *error)
{
	struct call c = {.js = ctx, .args = given, .n = n, .out = value, .error = error};
	const struct function *f = find_function(name);
	struct hcl_value *args;
	char why[sizeof(error->text)];
	int rv;

	(void)mem;
	if (f == NULL && !is_refused(&c, name)) {
		return ERR_NOTFOUND;
	}
	rv = ERR_INVALID;
	if (f != NULL) {
		args = call_alloc(&c, n, sizeof(*args));
		rv = args != NULL ? take_arguments(&c, f->takes, args) : call_nomem(&c);
		c.args = args;
	}
	if (f != NULL && rv == 0) {
		rv = f->run(&c);
	}
	if (rv != 0) {
		memcpy(why, error->text, sizeof(why));
		snprintf(error->text, sizeof(error->text), "call to function \"%.30s\" failed: %.130s", name, why);
	}
	return rv;
}
