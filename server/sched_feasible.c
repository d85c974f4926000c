#include "server/sched_feasible.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/glob.h"
#include "proto/version.h"
#include "server/sched_memory.h"

/* ---- scope ---- */

void scope_open(struct scope *s, const struct nodes *nodes, const struct job *job)
{
	const char *pool = job->node_pool[0] != 0 ? job->node_pool : "default";

	*s = (struct scope){.nodes = nodes, .job = job, .pool = INTERN_NONE};
	if (strcmp(pool, "all") != 0) {
		s->pool = intern_find(&nodes->names, pool);
		s->no_pool = s->pool == INTERN_NONE;
	}
}

static bool is_in_pool(const struct scope *s, uint32_t pool)
{
	return !s->no_pool && (s->pool == INTERN_NONE || pool == s->pool);
}

bool scope_pool_has(const struct scope *s, uint32_t slot)
{
	return is_in_pool(s, s->nodes->at[slot].pool);
}

static bool in_datacenters(const struct job *job, const char *name)
{
	uint32_t i;

	for (i = 0; i < job->datacenters.n; i++) {
		if (glob_match(job->datacenters.at[i], name)) {
			return true;
		}
	}
	return false;
}

static bool is_in_datacenter(struct scope *s, uint32_t name)
{
	bool in;
	uint32_t i;

	for (i = 0; i < s->n_memo; i++) {
		if (s->memo[i].name == name) {
			return s->memo[i].in;
		}
	}
	in = in_datacenters(s->job, intern_text(&s->nodes->names, name));
	if (s->n_memo < sizeof(s->memo) / sizeof(s->memo[0])) {
		s->memo[s->n_memo].name = name;
		s->memo[s->n_memo++].in = in;
	}
	return in;
}

bool scope_has(struct scope *s, uint32_t slot)
{
	return scope_pool_has(s, slot) && is_in_datacenter(s, s->nodes->at[slot].datacenter);
}

bool scope_has_class(struct scope *s, const struct node_class *class_)
{
	return is_in_pool(s, class_->pool) && is_in_datacenter(s, class_->datacenter);
}

/* ---- operands ---- */

static bool is_target(const char *text)
{
	size_t len = strlen(text);

	return len > 3 && text[0] == '$' && text[1] == '{' && text[len - 1] == '}';
}

/* "node.x", "attr.x", "meta.x"; NULL for all else. */
static bool target_name(const char *target, char *name, size_t room)
{
	size_t len = strlen(target);

	if (!is_target(target) || len - 3 >= room) {
		return false;
	}
	memcpy(name, target + 2, len - 3);
	name[len - 3] = 0;
	return strncmp(name, "attr.", 5) == 0 || strncmp(name, "meta.", 5) == 0 || strncmp(name, "node.", 5) == 0;
}

uint32_t target_key(const struct nodes *nodes, const char *target)
{
	char name[1024];

	return target_name(target, name, sizeof(name)) ? intern_find(&nodes->names, name) : (uint32_t)INTERN_NONE;
}

static struct operand operand_of(const struct nodes *nodes, const char *text)
{
	if (!is_target(text)) {
		return (struct operand){.text = text};
	}
	return (struct operand){.key = target_key(nodes, text)};
}

/* NULL when the node does not have it. */
static const char *value_of(const struct operand *o, const struct nodes *nodes, uint32_t slot)
{
	uint32_t value;

	if (o->text != NULL) {
		return o->text;
	}
	value = o->key != INTERN_NONE ? nodes_fact(nodes, slot, o->key) : (uint32_t)INTERN_NONE;
	return value != INTERN_NONE ? intern_text(&nodes->names, value) : NULL;
}

/* ---- operators: each looks at both sides, which may be NULL ---- */

static bool is_equal(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	const char *l = value_of(&c->left, nodes, slot);
	const char *r = value_of(&c->right, nodes, slot);

	return l != NULL && r != NULL && strcmp(l, r) == 0;
}

static bool is_unequal(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	const char *l = value_of(&c->left, nodes, slot);
	const char *r = value_of(&c->right, nodes, slot);

	return l == NULL || r == NULL ? l != r : strcmp(l, r) != 0;
}

static bool read_int(const char *text, long long *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return end != text && *end == 0 && errno == 0;
}

static bool read_float(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && *end == 0 && !isnan(*out);
}

/* Numbers are compared as such, all else as text. */
static int compare_values(const char *l, const char *r)
{
	long long l_int;
	long long r_int;
	double l_float;
	double r_float;

	if (read_int(l, &l_int) && read_int(r, &r_int)) {
		return (l_int > r_int) - (l_int < r_int);
	}
	if (read_float(l, &l_float) && read_float(r, &r_float)) {
		return (l_float > r_float) - (l_float < r_float);
	}
	return strcmp(l, r);
}

#define ORDER(name, op)                                                                                                \
	static bool name(const struct check *c, const struct nodes *nodes, uint32_t slot)                              \
	{                                                                                                              \
		const char *l = value_of(&c->left, nodes, slot);                                                       \
		const char *r = value_of(&c->right, nodes, slot);                                                      \
                                                                                                                       \
		return l != NULL && r != NULL && compare_values(l, r) op 0;                                            \
	}
ORDER(is_less, <)
ORDER(is_at_most, <=)
ORDER(is_greater, >)
ORDER(is_at_least, >=)
#undef ORDER

/* Facts of nodes are short: a search that takes longer than this (some 2 ms) is a pattern made for it. */
enum { REGEXP_COST_MAX = 1 << 20 };

static bool finds(const struct regfind *r, const char *text)
{
	uint64_t cost = 0;

	return regfind_test(r, text, REGEXP_COST_MAX, &cost) == 0;
}

static bool does_match(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	const char *l = value_of(&c->left, nodes, slot);
	const char *r = value_of(&c->right, nodes, slot);
	char why[REGFIND_WHY];
	struct arena mem = {0};
	struct regfind own;
	bool match;

	if (l == NULL || r == NULL) {
		return false;
	}
	if (c->regex != NULL) {
		return finds(c->regex, l);
	}
	/* The pattern is a fact of the node. */
	match = regfind_compile(r, &mem, &own, why) == 0 && finds(&own, l);
	arena_close(&mem);
	return match;
}

#define SATISFIES(name, semver)                                                                                        \
	static bool name(const struct check *c, const struct nodes *nodes, uint32_t slot)                              \
	{                                                                                                              \
		const char *l = value_of(&c->left, nodes, slot);                                                       \
		const char *r = value_of(&c->right, nodes, slot);                                                      \
                                                                                                                       \
		return l != NULL && r != NULL && version_satisfies(l, r, semver);                                      \
	}
SATISFIES(has_version, false)
SATISFIES(has_semver, true)
#undef SATISFIES

/* The next piece of a list between commas, without spaces around it. */
static bool next_piece(const char **list, const char **piece, size_t *len)
{
	const char *at = *list;
	size_t n;

	if (at == NULL) {
		return false;
	}
	n = strcspn(at, ",");
	*list = at[n] == ',' ? at + n + 1 : NULL;
	while (n > 0 && *at == ' ') {
		at++;
		n--;
	}
	while (n > 0 && at[n - 1] == ' ') {
		n--;
	}
	*piece = at;
	*len = n;
	return true;
}

static bool list_has(const char *list, const char *wanted, size_t wanted_len)
{
	const char *piece;
	size_t len;

	while (next_piece(&list, &piece, &len)) {
		if (len == wanted_len && memcmp(piece, wanted, len) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the left list has all, or any, of the right one's pieces. */
static bool set_holds(const struct check *c, const struct nodes *nodes, uint32_t slot, bool any)
{
	const char *l = value_of(&c->left, nodes, slot);
	const char *r = value_of(&c->right, nodes, slot);
	const char *piece;
	size_t len;

	if (l == NULL || r == NULL) {
		return false;
	}
	while (next_piece(&r, &piece, &len)) {
		if (list_has(l, piece, len) == any) {
			return any;
		}
	}
	return !any;
}

static bool has_all(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	return set_holds(c, nodes, slot, false);
}

static bool has_any(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	return set_holds(c, nodes, slot, true);
}

static bool is_set(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	return value_of(&c->left, nodes, slot) != NULL;
}

static bool is_not_set(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	return value_of(&c->left, nodes, slot) == NULL;
}

static bool never(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	(void)c;
	(void)nodes;
	(void)slot;
	return false;
}

#define OPERATOR_LIST(X)                                                                                               \
	X("=", is_equal)                                                                                               \
	X("==", is_equal)                                                                                              \
	X("is", is_equal)                                                                                              \
	X("!=", is_unequal)                                                                                            \
	X("not", is_unequal)                                                                                           \
	X("<", is_less)                                                                                                \
	X("<=", is_at_most)                                                                                            \
	X(">", is_greater)                                                                                             \
	X(">=", is_at_least)                                                                                           \
	X("regexp", does_match)                                                                                        \
	X("version", has_version)                                                                                      \
	X("semver", has_semver)                                                                                        \
	X("set_contains", has_all)                                                                                     \
	X("set_contains_all", has_all)                                                                                 \
	X("set_contains_any", has_any)                                                                                 \
	X("is_set", is_set)                                                                                            \
	X("is_not_set", is_not_set)

static check_fn operator_of(const char *text)
{
	static const struct {
		const char *text;
		check_fn holds;
	} operators[] = {
#define X(text, fn) {text, fn},
		OPERATOR_LIST(X)
#undef X
	};
	size_t i;

	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		if (strcmp(operators[i].text, text) == 0) {
			return operators[i].holds;
		}
	}
	return never;
}

/* ---- compiling ---- */

/* A pattern is compiled once. One that is none matches nowhere. */
static void check_prepare(struct check *c, struct arena *mem)
{
	char why[REGFIND_WHY];

	if (c->holds != does_match || c->right.text == NULL) {
		return;
	}
	c->regex = arena_need(mem, 1, sizeof(*c->regex));
	if (regfind_compile(c->right.text, mem, c->regex, why) != 0) {
		c->regex = NULL;
		c->holds = never;
	}
}

static bool is_unique(const char *text)
{
	return is_target(text) && strstr(text, "unique.") != NULL;
}

static struct check check_of(const struct nodes *nodes, const char *left, const char *operand, const char *right,
			     struct arena *mem)
{
	const char *op = operand[0] != 0 ? operand : "=";
	struct check c = {
		.holds = operator_of(op),
		.text = sched_got(arena_printf(mem, "%s %s %s", left, op, right)),
		.unique = is_unique(left) || is_unique(right),
		.left = operand_of(nodes, left),
		.right = operand_of(nodes, right),
	};

	check_prepare(&c, mem);
	return c;
}

struct compiler {
	struct feasible *f;
	struct arena *mem;
	uint32_t distincts_cap;
	uint32_t affinities_cap;
};

static void add_check(struct compiler *c, struct check check)
{
	struct checks *to = check.unique ? &c->f->of_node : &c->f->of_class;

	to->at = arena_grow(c->mem, to->at, to->n, &to->cap, sizeof(to->at[0]));
	to->at[to->n++] = check;
}

static bool is_off(const char *text)
{
	return strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static void add_distinct(struct compiler *c, const struct constraint *from, bool whole_job)
{
	struct feasible *f = c->f;
	long long limit = 1;

	if (from->r_target[0] != 0 && (!read_int(from->r_target, &limit) || limit < 1)) {
		add_check(c, (struct check){.holds = never, .text = "distinct_property"});
		return;
	}
	f->distincts = arena_grow(c->mem, f->distincts, f->n_distincts, &c->distincts_cap, sizeof(f->distincts[0]));
	f->distincts[f->n_distincts++] = (struct distinct){.key = target_key(f->nodes, from->l_target),
							   .limit = limit,
							   .whole_job = whole_job,
							   .target = from->l_target};
}

static void add_constraint(struct compiler *c, const struct constraint *from, bool whole_job)
{
	if (strcmp(from->operand, "distinct_hosts") == 0) {
		*(whole_job ? &c->f->distinct_hosts_job : &c->f->distinct_hosts_group) |= !is_off(from->r_target);
	} else if (strcmp(from->operand, "distinct_property") == 0) {
		add_distinct(c, from, whole_job);
	} else {
		add_check(c, check_of(c->f->nodes, from->l_target, from->operand, from->r_target, c->mem));
	}
}

static void add_affinity(struct compiler *c, const struct affinity *from)
{
	struct feasible *f = c->f;

	f->affinities =
		arena_grow(c->mem, f->affinities, f->n_affinities, &c->affinities_cap, sizeof(f->affinities[0]));
	f->affinities[f->n_affinities++] = (struct affine){
		check_of(f->nodes, from->l_target, from->operand, from->r_target, c->mem), (double)from->weight};
	f->affinity_weight += fabs((double)from->weight);
}

/* ---- what else a group needs: facts that must be there ---- */

static bool has_fact(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	return value_of(&c->left, nodes, slot) != NULL;
}

static bool has_writable(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	const char *value = value_of(&c->left, nodes, slot);

	return value != NULL && strcmp(value, "rw") == 0;
}

static void add_fact_check(struct compiler *c, check_fn holds, const char *prefix, const char *name, const char *why)
{
	const char *key = sched_got(arena_printf(c->mem, "%s%s", prefix, name));

	add_check(c, (struct check){.holds = holds, .text = why, .left.key = intern_find(&c->f->nodes->names, key)});
}

/* Some device group of the node has as many healthy instances as are asked for. */
static bool has_devices(const struct check *c, const struct nodes *nodes, uint32_t slot)
{
	const struct node_more *more = &nodes->more[slot];
	uint32_t i;

	for (i = 0; i < more->n_facts; i++) {
		const char *key = intern_text(&nodes->names, more->facts[i].key);

		if (strncmp(key, FACT_DEVICE, sizeof(FACT_DEVICE) - 1) == 0 &&
		    device_name_fits(c->right.text, key + sizeof(FACT_DEVICE) - 1) &&
		    strtoul(intern_text(&nodes->names, more->facts[i].value), NULL, 10) >= c->n) {
			return true;
		}
	}
	return false;
}

/* Requests for properties of a device cannot be met: no client of ours tells them. */
static void add_device(struct compiler *c, const struct device_request *from)
{
	add_check(c, (struct check){.holds = from->constraints.n == 0 ? has_devices : never,
				    .text = "missing devices",
				    .right.text = from->name,
				    .n = from->count > 0 ? (uint32_t)from->count : 1});
}

static void add_volume(struct compiler *c, const struct volume_request *from)
{
	if (strcmp(from->type, "host") == 0) {
		add_fact_check(c, from->read_only ? has_fact : has_writable, FACT_VOLUME, from->source,
			       "missing compatible host volumes");
	} else {
		add_check(c, (struct check){
				     .holds = never,
				     .text = sched_got(arena_printf(c->mem, "missing CSI volume(s) %s", from->source))});
	}
}

static void add_port(struct compiler *c, const struct port *p)
{
	if (p->host_network[0] != 0 && strcmp(p->host_network, "default") != 0) {
		add_fact_check(c, has_fact, FACT_HOSTNET, p->host_network,
			       sched_got(arena_printf(c->mem, "missing host network \"%s\" for port \"%s\"",
						      p->host_network, p->label)));
	}
}

static void add_network(struct compiler *c, const struct network_resource *net)
{
	uint32_t i;

	if (net->mode[0] != 0 && strcmp(net->mode, "host") != 0 && strcmp(net->mode, "none") != 0) {
		add_fact_check(c, has_fact, FACT_NETMODE, net->mode, "missing network");
	}
	for (i = 0; i < net->reserved_ports.n; i++) {
		add_port(c, &net->reserved_ports.at[i]);
	}
	for (i = 0; i < net->dynamic_ports.n; i++) {
		add_port(c, &net->dynamic_ports.at[i]);
	}
}

static void add_task(struct compiler *c, const struct task *task)
{
	uint32_t i;

	add_fact_check(c, has_fact, FACT_DRIVER, task->driver, "missing drivers");
	for (i = 0; i < task->constraints.n; i++) {
		add_constraint(c, &task->constraints.at[i], false);
	}
	for (i = 0; i < task->affinities.n; i++) {
		add_affinity(c, &task->affinities.at[i]);
	}
	for (i = 0; task->resources != NULL && i < task->resources->devices.n; i++) {
		add_device(c, &task->resources->devices.at[i]);
	}
}

static void add_job(struct compiler *c, const struct job *job)
{
	uint32_t i;

	for (i = 0; i < job->constraints.n; i++) {
		add_constraint(c, &job->constraints.at[i], true);
	}
	for (i = 0; i < job->affinities.n; i++) {
		add_affinity(c, &job->affinities.at[i]);
	}
}

static void add_group(struct compiler *c, const struct task_group *group)
{
	uint32_t i;

	for (i = 0; i < group->tasks.n; i++) {
		add_task(c, &group->tasks.at[i]);
	}
	for (i = 0; i < group->constraints.n; i++) {
		add_constraint(c, &group->constraints.at[i], false);
	}
	for (i = 0; i < group->affinities.n; i++) {
		add_affinity(c, &group->affinities.at[i]);
	}
	for (i = 0; i < group->volumes.n; i++) {
		add_volume(c, &group->volumes.at[i]);
	}
	for (i = 0; i < group->networks.n; i++) {
		add_network(c, &group->networks.at[i]);
	}
}

void feasible_open(struct feasible *f, const struct nodes *nodes, const struct job *job, const struct task_group *group,
		   struct arena *mem)
{
	struct compiler c = {.f = f, .mem = mem};

	memset(f, 0, sizeof(*f));
	f->nodes = nodes;
	f->classes = arena_need(mem, nodes->n_classes, sizeof(f->classes[0]));
	add_job(&c, job);
	add_group(&c, group);
	f->escapes = f->of_node.n > 0;
}

/* ---- asking ---- */

static void class_judge(struct feasible *f, struct class_verdict *c, uint32_t slot)
{
	uint32_t i;

	c->verdict = CLASS_FEASIBLE;
	for (i = 0; i < f->of_class.n; i++) {
		if (!f->of_class.at[i].holds(&f->of_class.at[i], f->nodes, slot)) {
			*c = (struct class_verdict){CLASS_INFEASIBLE, i};
			return;
		}
	}
}

const char *feasible_why_not(struct feasible *f, uint32_t slot)
{
	struct class_verdict *c = &f->classes[f->nodes->at[slot].class_];
	uint32_t i;

	if (c->verdict == CLASS_UNKNOWN) {
		class_judge(f, c, slot);
	}
	if (c->verdict == CLASS_INFEASIBLE) {
		return f->of_class.at[c->check].text;
	}
	for (i = 0; i < f->of_node.n; i++) {
		if (!f->of_node.at[i].holds(&f->of_node.at[i], f->nodes, slot)) {
			return f->of_node.at[i].text;
		}
	}
	return NULL;
}

double feasible_affinity(const struct feasible *f, uint32_t slot)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < f->n_affinities; i++) {
		const struct check *c = &f->affinities[i].check;

		sum += c->holds(c, f->nodes, slot) ? f->affinities[i].weight : 0;
	}
	return f->affinity_weight > 0 ? sum / f->affinity_weight : 0;
}
