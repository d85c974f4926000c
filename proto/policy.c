#include "proto/policy.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/glob.h"
#include "proto/error.h"
#include "proto/hcl_decode.h"

/* ---- documents, as they are written ---- */

#define PATH_RULE_FIELDS(X, T)                                                                                         \
	X(T, STR, path, "Path", .label = true)                                                                         \
	X(T, STRS, capabilities, "Capabilities")

#define VARIABLES_RULE_FIELDS(X, T) X(T, LIST(path_rule), paths, "Paths", .hcl = "path")

#define NAMESPACE_RULE_FIELDS(X, T)                                                                                    \
	X(T, STR, name, "Name", .label = true)                                                                         \
	X(T, STR, policy, "Policy")                                                                                    \
	X(T, STRS, capabilities, "Capabilities")                                                                       \
	X(T, OBJ(variables_rule), variables, "Variables")

#define NAMED_RULE_FIELDS(X, T)                                                                                        \
	X(T, STR, name, "Name", .label = true)                                                                         \
	X(T, STR, policy, "Policy")                                                                                    \
	X(T, STRS, capabilities, "Capabilities")

#define SUBJECT_RULE_FIELDS(X, T) X(T, STR, policy, "Policy")

/* The subjects last, in the order of enum acl_subject. */
#define POLICY_DOCUMENT_FIELDS(X, T)                                                                                   \
	X(T, LIST(namespace_rule), namespaces, "Namespaces", .hcl = "namespace")                                       \
	X(T, LIST(named_rule), node_pools, "NodePools", .hcl = "node_pool")                                            \
	X(T, LIST(named_rule), host_volumes, "HostVolumes", .hcl = "host_volume")                                      \
	X(T, OBJ(subject_rule), agent, "Agent")                                                                        \
	X(T, OBJ(subject_rule), node, "Node")                                                                          \
	X(T, OBJ(subject_rule), operator_, "Operator", .hcl = "operator")                                              \
	X(T, OBJ(subject_rule), quota, "Quota")                                                                        \
	X(T, OBJ(subject_rule), plugin, "Plugin")

OBJECT_DECLARE(path_rule, PATH_RULE_FIELDS);
OBJECT_DECLARE(variables_rule, VARIABLES_RULE_FIELDS);
OBJECT_DECLARE(namespace_rule, NAMESPACE_RULE_FIELDS);
OBJECT_DECLARE(named_rule, NAMED_RULE_FIELDS);
OBJECT_DECLARE(subject_rule, SUBJECT_RULE_FIELDS);
OBJECT_DECLARE(policy_document, POLICY_DOCUMENT_FIELDS);
OBJECT_DEFINE(path_rule, PATH_RULE_FIELDS);
OBJECT_DEFINE(variables_rule, VARIABLES_RULE_FIELDS);
OBJECT_DEFINE(namespace_rule, NAMESPACE_RULE_FIELDS);
OBJECT_DEFINE(named_rule, NAMED_RULE_FIELDS);
OBJECT_DEFINE(subject_rule, SUBJECT_RULE_FIELDS);
OBJECT_DEFINE(policy_document, POLICY_DOCUMENT_FIELDS);

/* ---- words, and what they stand for ---- */

/* Bit 0 of every set is a deny. */
#define DENIED UINT64_C(1)

struct word {
	const char *text;
	uint64_t bits;
};

static const struct word namespace_caps[] = {
#define X(id, text, brings) {text, ACL_BIT(id) | (brings)},
	ACL_CAP_LIST(X)
#undef X
	{NULL, 0}
};

#define READS                                                                                                          \
	(ACL_BIT(LIST_JOBS) | ACL_BIT(PARSE_JOB) | ACL_BIT(READ_JOB) | ACL_BIT(CSI_LIST_VOLUME) |                      \
	 ACL_BIT(CSI_READ_VOLUME) | ACL_BIT(HOST_VOLUME_READ) | ACL_BIT(LIST_SCALING_POLICIES) |                       \
	 ACL_BIT(READ_SCALING_POLICY) | ACL_BIT(READ_JOB_SCALING))
#define SCALES                                                                                                         \
	(ACL_BIT(LIST_SCALING_POLICIES) | ACL_BIT(READ_SCALING_POLICY) | ACL_BIT(READ_JOB_SCALING) | ACL_BIT(SCALE_JOB))
#define WRITES                                                                                                         \
	(READS | SCALES | ACL_BIT(SUBMIT_JOB) | ACL_BIT(DISPATCH_JOB) | ACL_BIT(READ_LOGS) | ACL_BIT(READ_FS) |        \
	 ACL_BIT(ALLOC_EXEC) | ACL_BIT(ALLOC_LIFECYCLE) | ACL_BIT(CSI_WRITE_VOLUME) | ACL_BIT(CSI_MOUNT_VOLUME) |      \
	 ACL_BIT(HOST_VOLUME_WRITE) | ACL_BIT(HOST_VOLUME_CREATE) | ACL_BIT(HOST_VOLUME_REGISTER) |                    \
	 ACL_BIT(HOST_VOLUME_DELETE) | ACL_BIT(SUBMIT_RECOMMENDATION))

static const struct word namespace_policies[] = {
	{"deny", DENIED}, {"read", READS}, {"write", WRITES}, {"scale", SCALES}, {NULL, 0}};

/* Of the smaller sets: the right's bit stands above the deny's. */
#define RIGHT(id) (UINT64_C(2) << (id))

static const struct word pool_caps[] = {{"deny", DENIED},
					{"read", RIGHT(ACL_POOL_READ)},
					{"write", RIGHT(ACL_POOL_WRITE)},
					{"delete", RIGHT(ACL_POOL_DELETE)},
					{NULL, 0}};
static const struct word pool_policies[] = {
	{"deny", DENIED},
	{"read", RIGHT(ACL_POOL_READ)},
	{"write", RIGHT(ACL_POOL_READ) | RIGHT(ACL_POOL_WRITE) | RIGHT(ACL_POOL_DELETE)},
	{NULL, 0}};

static const struct word mount_caps[] = {{"deny", DENIED},
					 {"mount-readonly", RIGHT(ACL_MOUNT_READONLY)},
					 {"mount-readwrite", RIGHT(ACL_MOUNT_READONLY) | RIGHT(ACL_MOUNT_READWRITE)},
					 {NULL, 0}};
static const struct word mount_policies[] = {{"deny", DENIED},
					     {"read", RIGHT(ACL_MOUNT_READONLY)},
					     {"write", RIGHT(ACL_MOUNT_READONLY) | RIGHT(ACL_MOUNT_READWRITE)},
					     {NULL, 0}};

static const struct word variable_caps[] = {{"deny", DENIED},
					    {"list", RIGHT(ACL_VARIABLE_LIST)},
					    {"read", RIGHT(ACL_VARIABLE_LIST) | RIGHT(ACL_VARIABLE_READ)},
					    {"write", RIGHT(ACL_VARIABLE_LIST) | RIGHT(ACL_VARIABLE_WRITE)},
					    {"destroy", RIGHT(ACL_VARIABLE_DESTROY)},
					    {NULL, 0}};

static const struct word subject_policies[] = {{"deny", DENIED},
					       {"read", RIGHT(ACL_LIST) | RIGHT(ACL_READ)},
					       {"write", RIGHT(ACL_LIST) | RIGHT(ACL_READ) | RIGHT(ACL_WRITE)},
					       {NULL, 0}};
static const struct word plugin_policies[] = {{"deny", DENIED},
					      {"list", RIGHT(ACL_LIST)},
					      {"read", RIGHT(ACL_LIST) | RIGHT(ACL_READ)},
					      {"write", RIGHT(ACL_LIST) | RIGHT(ACL_READ) | RIGHT(ACL_WRITE)},
					      {NULL, 0}};

const char *acl_cap_text(enum acl_cap cap)
{
	return namespace_caps[cap].text;
}

static bool find_word(const struct word *words, const char *text, uint64_t *bits)
{
	for (; words->text != NULL; words++) {
		if (strcmp(words->text, text) == 0) {
			*bits |= words->bits;
			return true;
		}
	}
	return false;
}

/* ---- rules of one document ---- */

struct rule {
	const char *name;
	const char *path; /* Of variables; "" else. */
	uint64_t bits;
};

struct rules {
	struct rule *at;
	size_t n;
	size_t max; /* Of a policy without a document. */
};

enum rule_kind { RULE_NAMESPACE, RULE_NODE_POOL, RULE_HOST_VOLUME, RULE_VARIABLE, N_RULE_KINDS };

/* As parsed: words are bits, and labels are in the arena. */
struct policy {
	struct rules rules[N_RULE_KINDS];
	uint64_t subjects[N_ACL_SUBJECTS];
};

/* What a document is read with. */
struct reading {
	struct arena *mem;
	struct policy *policy;
	char *why; /* "": no fault so far. */
	size_t n;  /* Rules. */
};

static int refuse(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct reading *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->why, POLICY_WHY, format, args);
	va_end(args);
	return ERR_INVALID;
}

static int take_policy(struct reading *r, const struct word *words, const char *where, const char *name,
		       const char *policy, uint64_t *bits)
{
	if (policy[0] == '\0' || find_word(words, policy, bits)) {
		return 0;
	}
	return refuse(r, "invalid policy \"%.64s\" of %s \"%.64s\"", policy, where, name);
}

static int take_caps(struct reading *r, const struct word *words, const char *where, const char *name,
		     const struct strs *caps, uint64_t *bits)
{
	for (uint32_t i = 0; i < caps->n; i++) {
		if (!find_word(words, caps->at[i], bits)) {
			return refuse(r, "invalid capability \"%.64s\" of %s \"%.64s\"", caps->at[i], where, name);
		}
	}
	return 0;
}

static int check_label(struct reading *r, const char *where, const char *label)
{
	if (label[0] == '\0') {
		return refuse(r, "a %s rule without a name", where);
	}
	if (strlen(label) > POLICY_NAME_MAX) {
		return refuse(r, "the name of a %s rule is longer than %d bytes", where, POLICY_NAME_MAX);
	}
	if (++r->n > POLICY_RULES_MAX) {
		return refuse(r, "more than %d rules", POLICY_RULES_MAX);
	}
	return 0;
}

/* `to` has room. */
static void put_rule(struct rules *to, const char *name, const char *path, uint64_t bits)
{
	to->at[to->n++] = (struct rule){name, path, (bits & DENIED) != 0 ? DENIED : bits};
}

static int take_named(struct reading *r, enum rule_kind kind, const char *where, const struct word *policies,
		      const struct word *caps, const struct named_rule *rule)
{
	uint64_t bits = 0;
	int rv = check_label(r, where, rule->name);

	if (rv == 0) {
		rv = take_policy(r, policies, where, rule->name, rule->policy, &bits);
	}
	if (rv == 0) {
		rv = take_caps(r, caps, where, rule->name, &rule->capabilities, &bits);
	}
	if (rv == 0) {
		put_rule(&r->policy->rules[kind], rule->name, "", bits);
	}
	return rv;
}

static int take_path(struct reading *r, const char *ns, const struct path_rule *rule)
{
	uint64_t bits = 0;
	int rv = check_label(r, "path", rule->path);

	if (rv == 0 && rule->path[0] == '/') {
		return refuse(r, "variables path \"%.64s\" of namespace \"%.64s\" must not begin with a /", rule->path,
			      ns);
	}
	if (rv == 0) {
		rv = take_caps(r, variable_caps, "variables path", rule->path, &rule->capabilities, &bits);
	}
	if (rv == 0) {
		put_rule(&r->policy->rules[RULE_VARIABLE], ns, rule->path, bits);
	}
	return rv;
}

static int take_namespace(struct reading *r, const struct namespace_rule *rule)
{
	const struct named_rule named = {rule->name, rule->policy, rule->capabilities};
	int rv = take_named(r, RULE_NAMESPACE, "namespace", namespace_policies, namespace_caps, &named);

	if (rv == 0 && rule->variables != NULL && rule->variables->paths.n == 0) {
		return refuse(r, "variables of namespace \"%.64s\" without a path", rule->name);
	}
	for (uint32_t i = 0; rv == 0 && rule->variables != NULL && i < rule->variables->paths.n; i++) {
		rv = take_path(r, rule->name, &rule->variables->paths.at[i]);
	}
	return rv;
}

static int take_subject(struct reading *r, enum acl_subject subject, const char *where,
			const struct subject_rule *rule)
{
	const struct word *words = subject == ACL_PLUGIN ? plugin_policies : subject_policies;

	if (rule == NULL) {
		return 0;
	}
	if (!find_word(words, rule->policy, &r->policy->subjects[subject])) {
		return refuse(r, "invalid policy \"%.64s\" of %s", rule->policy, where);
	}
	return 0;
}

static int room(struct reading *r, enum rule_kind kind, size_t n)
{
	struct rules *rules = &r->policy->rules[kind];

	rules->at = arena_calloc(r->mem, n + 1, sizeof(rules->at[0]));
	return rules->at != NULL ? 0 : ERR_NOMEM;
}

static int make_room(struct reading *r, const struct policy_document *d)
{
	size_t paths = 0;
	int rv = room(r, RULE_NAMESPACE, d->namespaces.n);

	for (uint32_t i = 0; i < d->namespaces.n; i++) {
		paths += d->namespaces.at[i].variables != NULL ? d->namespaces.at[i].variables->paths.n : 0;
	}
	rv = rv == 0 ? room(r, RULE_NODE_POOL, d->node_pools.n) : rv;
	rv = rv == 0 ? room(r, RULE_HOST_VOLUME, d->host_volumes.n) : rv;
	return rv == 0 ? room(r, RULE_VARIABLE, paths) : rv;
}

static int take_document(struct reading *r, const struct policy_document *d)
{
	const struct subject_rule *subjects[N_ACL_SUBJECTS] = {d->agent, d->node, d->operator_, d->quota, d->plugin};
	static const char *const names[] = {"agent", "node", "operator", "quota", "plugin"};
	int rv = make_room(r, d);

	for (uint32_t i = 0; rv == 0 && i < d->namespaces.n; i++) {
		rv = take_namespace(r, &d->namespaces.at[i]);
	}
	for (uint32_t i = 0; rv == 0 && i < d->node_pools.n; i++) {
		rv = take_named(r, RULE_NODE_POOL, "node_pool", pool_policies, pool_caps, &d->node_pools.at[i]);
	}
	for (uint32_t i = 0; rv == 0 && i < d->host_volumes.n; i++) {
		rv = take_named(r, RULE_HOST_VOLUME, "host_volume", mount_policies, mount_caps, &d->host_volumes.at[i]);
	}
	for (unsigned i = 0; rv == 0 && i < N_ACL_SUBJECTS; i++) {
		rv = take_subject(r, (enum acl_subject)i, names[i], subjects[i]);
	}
	return rv;
}

/* ---- text ---- */

static bool is_json(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0') {
		i++;
	}
	return i < len && text[i] == '{';
}

static int parse_text(struct reading *r, const char *text, size_t len, struct arena *tree, struct hcl_body **body)
{
	struct hcl_error error;
	int rv = is_json(text, len) ? hcl_parse_json(text, len, tree, body, &error)
				    : hcl_parse(text, len, tree, body, &error);

	if (rv != 0 && rv != ERR_NOMEM) {
		return refuse(r, "%u,%u: %.200s", error.pos.line, error.pos.column, error.text);
	}
	return rv;
}

/* A namespace rule without a label is one for "default". */
static void label_namespaces(struct hcl_body *body)
{
	static const char *default_label[] = {"default"};

	for (struct hcl_item *item = body->first; item != NULL; item = item->next) {
		if (item->body != NULL && item->n_labels == 0 && strcmp(item->name, "namespace") == 0) {
			item->labels = default_label;
			item->n_labels = 1;
		}
	}
}

/* All expressions together share one budget. */
static int decode(struct reading *r, const struct hcl_body *body, struct policy_document *d, struct arena *tree)
{
	struct hcl_budget budget = {0};
	const struct hcl_scope scope = {.budget = &budget};
	struct hcl_report report = {.mem = tree, .strict = true};
	int rv = hcl_decode(&policy_document_type, d, body, &scope, r->mem, &report);

	if (rv == ERR_INVALID) {
		const struct hcl_note *first = report.first;

		while (first != NULL && !first->error) {
			first = first->next;
		}
		return first != NULL && first->text != NULL
			       ? refuse(r, "%u,%u: %.200s", first->pos.line, first->pos.column, first->text)
			       : ERR_NOMEM;
	}
	return rv;
}

int policy_parse(const char *text, size_t len, struct arena *mem, struct policy **out, char why[POLICY_WHY])
{
	struct reading r = {mem, arena_calloc(mem, 1, sizeof(struct policy)), why, 0};
	struct policy_document d;
	struct arena tree = {0};
	struct hcl_body *body;
	int rv;

	why[0] = '\0';
	if (r.policy == NULL) {
		return ERR_NOMEM;
	}
	if (len > POLICY_BYTES_MAX) {
		return refuse(&r, "the policy is longer than %d bytes", POLICY_BYTES_MAX);
	}
	object_init(&policy_document_type, &d);
	rv = parse_text(&r, text, len, &tree, &body);
	if (rv == 0) {
		label_namespaces(body);
		rv = decode(&r, body, &d, &tree);
	}
	if (rv == 0) {
		rv = take_document(&r, &d);
	}
	arena_close(&tree);
	if (rv == 0) {
		*out = r.policy;
	}
	return rv;
}

/* ---- without a document ---- */

struct policy *policy_new(struct arena *mem, size_t rules_max)
{
	struct policy *p = arena_calloc(mem, 1, sizeof(*p));

	static const enum rule_kind kinds[] = {RULE_NAMESPACE, RULE_VARIABLE};

	for (unsigned i = 0; p != NULL && i < 2; i++) {
		struct rules *rules = &p->rules[kinds[i]];

		rules->at = arena_calloc(mem, rules_max + 1, sizeof(rules->at[0]));
		rules->max = rules_max;
		p = rules->at != NULL ? p : NULL;
	}
	return p;
}

static void add_rule(struct rules *rules, const char *name, const char *path, uint64_t bits)
{
	if (rules->n < rules->max && strchr(name, '*') == NULL && strchr(path, '*') == NULL) {
		put_rule(rules, name, path, bits);
	}
}

void policy_add_caps(struct policy *p, const char *ns, uint64_t bits)
{
	add_rule(&p->rules[RULE_NAMESPACE], ns, "", bits);
}

void policy_add_variable(struct policy *p, const char *ns, const char *path, enum acl_variable_right right)
{
	uint64_t bits = RIGHT(right) | (right != ACL_VARIABLE_DESTROY ? RIGHT(ACL_VARIABLE_LIST) : 0);

	add_rule(&p->rules[RULE_VARIABLE], ns, path, bits);
}

/* ---- compiled ---- */

/* A label and what it allows. Variables have the rules of their paths. */
struct entry {
	const char *name;
	uint32_t letters; /* Besides stars. */
	bool glob;
	uint64_t bits;
	const struct table *paths;
};

/* Names as they are, sorted by bytes; then those with stars, the most telling first. */
struct table {
	struct entry *at;
	size_t n;
	size_t n_exact;
	uint64_t all; /* The bits of all entries without those of a deny, and DENIED if nothing is allowed at all. */
};

struct acl {
	atomic_uint refs;
	bool management;
	uint64_t serial;
	uint64_t subjects[N_ACL_SUBJECTS];
	struct table tables[N_RULE_KINDS];
	struct arena mem;
};

static struct acl management = {.management = true};

struct acl *acl_management(void)
{
	return &management;
}

bool acl_is_management(const struct acl *a)
{
	return a->management;
}

uint64_t acl_serial(const struct acl *a)
{
	return a->serial;
}

struct acl *acl_ref(struct acl *a)
{
	if (!a->management) {
		atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	}
	return a;
}

void acl_unref(struct acl *a)
{
	if (a == NULL || a->management) {
		return;
	}
	if (atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1) {
		arena_close(&a->mem);
		free(a);
	}
}

/* By name and then path, both by bytes. */
static int compare_rules(const void *a, const void *b)
{
	const struct rule *x = a;
	const struct rule *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : strcmp(x->path, y->path);
}

/* Exact ones by bytes; behind them globs, of more letters first. */
static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	if (x->glob != y->glob) {
		return x->glob ? 1 : -1;
	}
	if (x->glob && x->letters != y->letters) {
		return x->letters > y->letters ? -1 : 1;
	}
	return strcmp(x->name, y->name);
}

static struct entry make_entry(const char *name, uint64_t bits)
{
	struct entry e = {.name = name, .bits = bits};

	for (; *name != '\0'; name++) {
		e.glob = e.glob || *name == '*';
		e.letters += *name != '*';
	}
	return e;
}

static void finish_table(struct table *t)
{
	qsort(t->at, t->n, sizeof(t->at[0]), compare_entries);
	for (size_t i = 0; i < t->n; i++) {
		t->n_exact += !t->at[i].glob;
		t->at[i].bits = (t->at[i].bits & DENIED) != 0 ? DENIED : t->at[i].bits;
		t->all |= t->at[i].bits & ~DENIED;
	}
}

/* The rules from..to of a sorted list, those with the same label as one; of variables, by path. */
static int make_table(struct acl *a, const struct rule *at, size_t n, bool by_path, struct table *t)
{
	t->at = arena_calloc(&a->mem, n + 1, sizeof(t->at[0]));
	if (t->at == NULL) {
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const char *label = by_path ? at[i].path : at[i].name;

		if (t->n == 0 || strcmp(t->at[t->n - 1].name, label) != 0) {
			t->at[t->n++] = make_entry(label, 0);
		}
		t->at[t->n - 1].bits |= at[i].bits;
	}
	finish_table(t);
	return 0;
}

/* A table of namespaces, each with one of its paths. */
static int make_variables(struct acl *a, const struct rule *at, size_t n, struct table *t)
{
	size_t end;

	t->at = arena_calloc(&a->mem, n + 1, sizeof(t->at[0]));
	if (t->at == NULL) {
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n; i = end) {
		struct table *paths = arena_calloc(&a->mem, 1, sizeof(*paths));

		for (end = i + 1; end < n && strcmp(at[end].name, at[i].name) == 0; end++) {
		}
		if (paths == NULL || make_table(a, at + i, end - i, true, paths) != 0) {
			return ERR_NOMEM;
		}
		t->at[t->n] = make_entry(at[i].name, paths->all);
		t->at[t->n++].paths = paths;
	}
	finish_table(t);
	return 0;
}

/* The rules of one kind of all policies, with names of the ACL's own. */
static int gather(struct acl *a, const struct policy *const *policies, size_t n, enum rule_kind kind,
		  struct rules *all)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++) {
		total += policies[i]->rules[kind].n;
	}
	all->at = calloc(total + 1, sizeof(all->at[0]));
	if (all->at == NULL) {
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < policies[i]->rules[kind].n; k++) {
			struct rule rule = policies[i]->rules[kind].at[k];

			rule.name = arena_strdup(&a->mem, rule.name);
			rule.path = arena_strdup(&a->mem, rule.path);
			if (rule.name == NULL || rule.path == NULL) {
				return ERR_NOMEM;
			}
			all->at[all->n++] = rule;
		}
	}
	qsort(all->at, all->n, sizeof(all->at[0]), compare_rules);
	return 0;
}

static int compile(struct acl *a, const struct policy *const *policies, size_t n, enum rule_kind kind)
{
	struct rules all = {NULL, 0, 0};
	int rv = gather(a, policies, n, kind, &all);

	if (rv == 0 && kind == RULE_VARIABLE) {
		rv = make_variables(a, all.at, all.n, &a->tables[kind]);
	} else if (rv == 0) {
		rv = make_table(a, all.at, all.n, false, &a->tables[kind]);
	}
	free(all.at);
	return rv;
}

struct acl *acl_new(const struct policy *const *policies, size_t n)
{
	static atomic_uint_least64_t serials;
	struct acl *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		return NULL;
	}
	atomic_init(&a->refs, 1);
	a->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
	for (unsigned kind = 0; kind < N_RULE_KINDS; kind++) {
		if (compile(a, policies, n, (enum rule_kind)kind) != 0) {
			acl_unref(a);
			return NULL;
		}
	}
	for (size_t i = 0; i < n; i++) {
		for (unsigned s = 0; s < N_ACL_SUBJECTS; s++) {
			a->subjects[s] |= policies[i]->subjects[s];
		}
	}
	return a;
}

/* ---- decisions ---- */

static const struct entry *find_exact(const struct table *t, const char *name)
{
	size_t low = 0;
	size_t high = t->n_exact;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, t->at[middle].name);

		if (order == 0) {
			return &t->at[middle];
		}
		if (order < 0) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return NULL;
}

/* The one that decides about a name; NULL if there is none. */
static const struct entry *decider(const struct table *t, const char *name)
{
	const struct entry *e = find_exact(t, name);

	for (size_t i = t->n_exact; e == NULL && i < t->n; i++) {
		if (glob_match(t->at[i].name, name)) {
			e = &t->at[i];
		}
	}
	return e;
}

static uint64_t bits_of(const struct table *t, const char *name)
{
	const struct entry *e = decider(t, name);

	return e != NULL ? e->bits : 0;
}

bool acl_in_namespace_any(const struct acl *a, const char *ns, uint64_t bits)
{
	return a->management || (bits_of(&a->tables[RULE_NAMESPACE], ns) & bits) != 0;
}

bool acl_in_namespace(const struct acl *a, const char *ns, enum acl_cap cap)
{
	assert(cap != ACL_DENY);
	return acl_in_namespace_any(a, ns, UINT64_C(1) << cap);
}

bool acl_any_namespace_any(const struct acl *a, uint64_t bits)
{
	return a->management || (a->tables[RULE_NAMESPACE].all & bits) != 0;
}

bool acl_any_namespace(const struct acl *a, enum acl_cap cap)
{
	return acl_any_namespace_any(a, UINT64_C(1) << cap);
}

static bool is_denied(const struct acl *a, const char *ns)
{
	return (bits_of(&a->tables[RULE_NAMESPACE], ns) & DENIED) != 0;
}

/* The rules of a namespace's variables, NULL if there are none, or all is denied. */
static const struct table *variable_rules(const struct acl *a, const char *ns)
{
	const struct entry *e = decider(&a->tables[RULE_VARIABLE], ns);

	return e != NULL && !is_denied(a, ns) ? e->paths : NULL;
}

bool acl_sees_namespace(const struct acl *a, const char *ns)
{
	const struct table *variables = a->management ? NULL : variable_rules(a, ns);

	return acl_in_namespace_any(a, ns, ~DENIED) || (variables != NULL && variables->all != 0);
}

bool acl_variable(const struct acl *a, const char *ns, const char *path, enum acl_variable_right right)
{
	const struct table *paths = a->management ? NULL : variable_rules(a, ns);

	return a->management || (paths != NULL && (bits_of(paths, path) & RIGHT(right)) != 0);
}

/* Of names with stars nobody knows whether all that they fit are denied. */
static bool some_variable(const struct acl *a, enum acl_variable_right right)
{
	const struct table *t = &a->tables[RULE_VARIABLE];

	for (size_t i = 0; i < t->n; i++) {
		if ((t->at[i].bits & RIGHT(right)) != 0 && (t->at[i].glob || !is_denied(a, t->at[i].name))) {
			return true;
		}
	}
	return false;
}

bool acl_any_variable(const struct acl *a, const char *ns, enum acl_variable_right right)
{
	const struct table *paths = a->management || ns == NULL ? NULL : variable_rules(a, ns);

	if (a->management) {
		return true;
	}
	return ns == NULL ? some_variable(a, right) : paths != NULL && (paths->all & RIGHT(right)) != 0;
}

bool acl_node_pool(const struct acl *a, const char *pool, enum acl_pool_right right)
{
	return a->management || (bits_of(&a->tables[RULE_NODE_POOL], pool) & RIGHT(right)) != 0;
}

bool acl_any_node_pool(const struct acl *a, enum acl_pool_right right)
{
	return a->management || (a->tables[RULE_NODE_POOL].all & RIGHT(right)) != 0;
}

bool acl_host_volume(const struct acl *a, const char *source, enum acl_mount_right right)
{
	return a->management || (bits_of(&a->tables[RULE_HOST_VOLUME], source) & RIGHT(right)) != 0;
}

bool acl_may(const struct acl *a, enum acl_subject subject, enum acl_level level)
{
	uint64_t bits = a->subjects[subject];

	return a->management || ((bits & DENIED) == 0 && (bits & RIGHT(level)) != 0);
}
