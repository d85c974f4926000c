/* Policies: a table of documents and questions, and random documents against a slow reading of the same rules. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/policy.h"
#include "test/unit/client/random.h"

/* ---- asking ---- */

static enum acl_cap cap_of(const char *text)
{
	for (unsigned i = 0; i < N_ACL_CAPS; i++) {
		if (strcmp(acl_cap_text((enum acl_cap)i), text) == 0) {
			return (enum acl_cap)i;
		}
	}
	fail_msg("no capability %s", text);
	return N_ACL_CAPS;
}

/* Documents, separated by NULL's end; the ACL of all of them. */
static struct acl *acl_of(const char *const *texts, unsigned n)
{
	const struct policy *policies[8];
	struct arena mem = {0};
	char why[POLICY_WHY];
	struct policy *p;
	struct acl *a;

	for (unsigned i = 0; i < n; i++) {
		if (policy_parse(texts[i], strlen(texts[i]), &mem, &p, why) != 0) {
			fail_msg("%s: %s", texts[i], why);
		}
		policies[i] = p;
	}
	a = acl_new(policies, n);
	assert_non_null(a);
	arena_close(&mem); /* The ACL has all that it needs. */
	return a;
}

/* "ns default read-job", "any list-jobs", "sees web", "var default a/b write", "vars default list", "pool gpu write",
 * "mount data mount-readwrite", "node read" ... */
static bool ask(const struct acl *a, const char *question)
{
	static const char *const subjects[] = {"agent", "node", "operator", "quota", "plugin"};
	static const char *const levels[] = {"list", "read", "write"};
	static const char *const rights[] = {"list", "read", "write", "destroy"};
	static const char *const pools[] = {"read", "write", "delete"};
	char what[32], x[64] = "", y[64] = "", z[64] = "";

	sscanf(question, "%31s %63s %63s %63s", what, x, y, z);
	if (strcmp(what, "ns") == 0) {
		return acl_in_namespace(a, x, cap_of(y));
	}
	if (strcmp(what, "any") == 0) {
		return acl_any_namespace(a, cap_of(x));
	}
	if (strcmp(what, "sees") == 0) {
		return acl_sees_namespace(a, x);
	}
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(what, "var") == 0 && strcmp(z, rights[i]) == 0) {
			return acl_variable(a, x, y, (enum acl_variable_right)i);
		}
		if (strcmp(what, "vars") == 0 && strcmp(y, rights[i]) == 0) {
			return acl_any_variable(a, strcmp(x, "*") == 0 ? NULL : x, (enum acl_variable_right)i);
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(what, "pool") == 0 && strcmp(y, pools[i]) == 0) {
			return strcmp(x, "*") == 0 ? acl_any_node_pool(a, (enum acl_pool_right)i)
						   : acl_node_pool(a, x, (enum acl_pool_right)i);
		}
	}
	if (strcmp(what, "mount") == 0) {
		return acl_host_volume(a, x, strcmp(y, "rw") == 0 ? ACL_MOUNT_READWRITE : ACL_MOUNT_READONLY);
	}
	for (unsigned s = 0; s < N_ACL_SUBJECTS; s++) {
		for (unsigned l = 0; l < 3; l++) {
			if (strcmp(what, subjects[s]) == 0 && strcmp(x, levels[l]) == 0) {
				return acl_may(a, (enum acl_subject)s, (enum acl_level)l);
			}
		}
	}
	fail_msg("what is \"%s\"?", question);
	return false;
}

/* ---- the table ---- */

struct row {
	const char *texts[3];
	const char *yes[12];
	const char *no[12];
};

static const struct row table[] = {
	{{""}, {NULL}, {"ns default list-jobs", "node read", "var default a list", "pool default read", "sees default"}},
	{{"namespace \"default\" { policy = \"read\" }"},
	 {"ns default list-jobs", "ns default parse-job", "ns default read-job", "ns default csi-read-volume",
	  "ns default csi-list-volume", "ns default host-volume-read", "ns default list-scaling-policies",
	  "ns default read-scaling-policy", "ns default read-job-scaling", "any read-job", "sees default"},
	 {"ns default submit-job", "ns default scale-job", "ns default read-logs", "ns default dispatch-job",
	  "ns defaul read-job", "ns defaults read-job", "any submit-job", "var default a list", "sees web",
	  "ns default alloc-exec", "ns default csi-mount-volume"}},
	{{"namespace \"a\" { policy = \"write\" }"},
	 {"ns a read-job", "ns a submit-job", "ns a dispatch-job", "ns a read-logs", "ns a read-fs", "ns a alloc-exec",
	  "ns a alloc-lifecycle", "ns a csi-write-volume", "ns a csi-mount-volume", "ns a host-volume-delete",
	  "ns a scale-job", "ns a submit-recommendation"},
	 {"ns a alloc-node-exec", "ns a csi-register-plugin", "ns a sentinel-override", "ns default read-job"}},
	{{"namespace \"a\" { policy = \"scale\" }"},
	 {"ns a list-scaling-policies", "ns a read-scaling-policy", "ns a read-job-scaling", "ns a scale-job"},
	 {"ns a read-job", "ns a list-jobs", "ns a submit-job"}},
	{{"namespace \"a\" {\n policy = \"write\"\n capabilities = [\"deny\"]\n variables { path \"x\" { capabilities = "
	  "[\"read\"] } } }"},
	 {NULL},
	 {"ns a read-job", "ns a submit-job", "any read-job", "sees a", "var a x read", "vars a read", "vars * read"}},
	{{"namespace \"a\" { capabilities = [\"read-fs\", \"csi-write-volume\"] }"},
	 {"ns a read-fs", "ns a read-logs", "ns a csi-read-volume", "ns a csi-list-volume"},
	 {"ns a read-job", "ns a csi-mount-volume"}},
	{{"namespace \"a\" { capabilities = [\"host-volume-register\"] }"},
	 {"ns a host-volume-create", "ns a host-volume-read"},
	 {"ns a host-volume-delete", "ns a host-volume-write"}},
	{{"namespace { policy = \"read\" }"}, {"ns default read-job"}, {"ns a read-job"}},
	/* Exact beats globs, of globs the most letters. */
	{{"namespace \"*\" { policy = \"write\" }\nnamespace \"*-web\" { policy = \"deny\" }\n"
	  "namespace \"dev-web\" { policy = \"read\" }\nnamespace \"dev-*\" { policy = \"scale\" }"},
	 {"ns default submit-job", "ns dev-web read-job", "ns dev-x scale-job", "any submit-job", "ns dev-w scale-job"},
	 {"ns production-web read-job", "ns dev-web submit-job", "ns dev-x read-job", "ns -web read-job"}},
	/* As many letters: the first by bytes. */
	{{"namespace \"a*\" { policy = \"read\" }\nnamespace \"*a\" { policy = \"write\" }"},
	 {"ns aa submit-job", "ns ab read-job"},
	 {"ns ab submit-job"}},
	{{"namespace \"a*c*e\" { policy = \"read\" }"}, {"ns ace read-job", "ns abcde read-job", "ns aceceee read-job"},
	 {"ns acd read-job", "ns ce read-job"}},
	/* Policies add up where their labels are the same, and deny takes all. */
	{{"namespace \"a\" { capabilities = [\"list-jobs\"] }", "namespace \"a\" { capabilities = [\"read-job\"] }"},
	 {"ns a list-jobs", "ns a read-job"},
	 {"ns a submit-job"}},
	{{"namespace \"a\" { policy = \"write\" }", "namespace \"a\" { policy = \"deny\" }"}, {NULL}, {"ns a read-job"}},
	{{"namespace \"a\" { policy = \"read\" }", "namespace \"*\" { policy = \"write\" }"},
	 {"ns a read-job", "ns b submit-job"},
	 {"ns a submit-job"}},
	{{"node { policy = \"read\" }", "node { policy = \"write\" }", "agent { policy = \"read\" }"},
	 {"node write", "node read", "agent read"},
	 {"agent write", "operator read"}},
	{{"operator { policy = \"write\" }", "operator { policy = \"deny\" }"}, {NULL}, {"operator read", "operator write"}},
	{{"plugin { policy = \"list\" }"}, {"plugin list"}, {"plugin read"}},
	{{"quota { policy = \"read\" }"}, {"quota read"}, {"quota write"}},
	{{"node_pool \"dev-*\" { policy = \"read\"\n capabilities = [\"write\"] }\nnode_pool \"dev-x\" { policy = \"deny\" }"},
	 {"pool dev-1 read", "pool dev-1 write", "pool * write"},
	 {"pool dev-1 delete", "pool dev-x read", "pool * delete", "pool default read"}},
	{{"host_volume \"*\" { policy = \"write\" }\nhost_volume \"prod-*\" { policy = \"deny\" }\n"
	  "host_volume \"prod-ca\" { policy = \"read\" }"},
	 {"mount x rw", "mount x ro", "mount prod-ca ro"},
	 {"mount prod-x ro", "mount prod-ca rw"}},
	{{"namespace \"dev\" { variables {\n path \"project/*\" { capabilities = [\"write\", \"destroy\"] }\n"
	  "path \"system/*\" { capabilities = [\"read\"] }\n path \"system/x\" { capabilities = [\"deny\"] } } }"},
	 {"var dev project/a write", "var dev project/a list", "var dev project/a destroy", "var dev project/ list",
	  "var dev system/a/b read", "vars dev write", "vars * list", "sees dev"},
	 {"var dev project/a read", "var dev system/x list", "var dev system read", "var default project/a write",
	  "vars default list", "ns dev list-jobs", "any list-jobs"}},
	/* The namespace first, among the rules that speak of variables. */
	{{"namespace \"*\" { variables { path \"a/very/long/path\" { capabilities = [\"write\"] } } }\n"
	  "namespace \"dev\" { variables { path \"a/*\" { capabilities = [\"list\"] } } }\n"
	  "namespace \"prod\" { policy = \"read\" }"},
	 {"var dev a/very/long/path list", "var prod a/very/long/path write"},
	 {"var dev a/very/long/path write"}},
	{{"{\"namespace\": {\"default\": {\"policy\": \"read\", \"variables\": {\"path\": {\"a\": {\"capabilities\": "
	  "[\"read\"]}}}}, \"x*\": {\"capabilities\": [\"submit-job\"]}}, \"node\": {\"policy\": \"write\"}}"},
	 {"ns default read-job", "var default a read", "ns xy submit-job", "node write"},
	 {"ns xy read-job"}},
	{{"\n {\"namespace\": [{\"default\": [{\"policy\": \"read\"}]}], \"agent\": [{\"policy\": \"read\"}]}"},
	 {"ns default read-job", "agent read"},
	 {"agent write"}},
};

static void a_table_of_documents_answers_as_documented(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct row *row = &table[i];
		unsigned n = 0;
		struct acl *a;

		while (n < 3 && row->texts[n] != NULL) {
			n++;
		}
		a = acl_of(row->texts, n);
		for (unsigned k = 0; k < 12 && row->yes[k] != NULL; k++) {
			if (!ask(a, row->yes[k])) {
				fail_msg("%s: should be allowed: %s", row->texts[0], row->yes[k]);
			}
			assert_true(ask(acl_management(), row->yes[k]));
		}
		for (unsigned k = 0; k < 12 && row->no[k] != NULL; k++) {
			if (ask(a, row->no[k])) {
				fail_msg("%s: should not be allowed: %s", row->texts[0], row->no[k]);
			}
			assert_true(ask(acl_management(), row->no[k]));
		}
		acl_unref(a);
	}
}

static void what_is_not_known_is_named(void **state)
{
	static const char *const rows[][2] = {
		{"namespace \"a\" { policy = \"reed\" }", "invalid policy \"reed\" of namespace \"a\""},
		{"namespace \"a\" { policy = \"list\" }", "invalid policy \"list\" of namespace \"a\""},
		{"namespace \"a\" { capabilities = [\"read-job\", \"raed-job\"] }",
		 "invalid capability \"raed-job\" of namespace \"a\""},
		{"namespace \"a\" { polcy = \"read\" }", "1,17: namespace.a.polcy is not known here"},
		{"nmespace \"a\" { policy = \"read\" }", "1,1: nmespace is not known here"},
		{"namespace \"a\" { policy = \"read\" }\nnamespace \"a\" { policy = \"read\" }",
		 "2,1: namespace.a is given twice"},
		{"node { policy = \"scale\" }", "invalid policy \"scale\" of node"},
		{"node { }", "invalid policy \"\" of node"},
		{"agent { capabilities = [\"read\"] }", "1,9: agent.capabilities is not known here"},
		{"node_pool \"a\" { capabilities = [\"list\"] }", "invalid capability \"list\" of node_pool \"a\""},
		{"host_volume \"a\" { policy = \"scale\" }", "invalid policy \"scale\" of host_volume \"a\""},
		{"namespace \"a\" { variables { } }", "variables of namespace \"a\" without a path"},
		{"namespace \"a\" { variables { path \"/x\" { capabilities = [\"read\"] } } }",
		 "variables path \"/x\" of namespace \"a\" must not begin with a /"},
		{"namespace \"a\" { variables { path \"x\" { capabilities = [\"submit-job\"] } } }",
		 "invalid capability \"submit-job\" of variables path \"x\""},
		{"namespace \"\" { policy = \"read\" }", "a namespace rule without a name"},
		{"node_pool { policy = \"read\" }", NULL},
		{"namespace \"a\" {", NULL},
		{"{\"namespace\": 5}", NULL},
		{"namespace \"a\" { policy = read }", NULL},
	};
	struct policy *p;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena mem = {0};
		char why[POLICY_WHY] = "";

		assert_int_equal(policy_parse(rows[i][0], strlen(rows[i][0]), &mem, &p, why), ERR_INVALID);
		assert_string_not_equal(why, "");
		if (rows[i][1] != NULL) {
			assert_string_equal(why, rows[i][1]);
		}
		arena_close(&mem);
	}
}

static void documents_are_bounded(void **state)
{
	static char text[2 * POLICY_BYTES_MAX];
	struct arena mem = {0};
	char why[POLICY_WHY];
	struct policy *p;
	size_t n = 0;

	(void)state;
	memset(text, ' ', sizeof(text));
	assert_int_equal(policy_parse(text, POLICY_BYTES_MAX, &mem, &p, why), 0);
	assert_int_equal(policy_parse(text, POLICY_BYTES_MAX + 1, &mem, &p, why), ERR_INVALID);
	assert_non_null(strstr(why, "longer than 65536 bytes"));
	for (unsigned i = 0; i < POLICY_RULES_MAX; i++) {
		n += (size_t)sprintf(text + n, "namespace \"%u\"{policy=\"read\"}\n", i);
	}
	assert_int_equal(policy_parse(text, n, &mem, &p, why), 0);
	n += (size_t)sprintf(text + n, "namespace \"x\"{policy=\"read\"}\n");
	assert_int_equal(policy_parse(text, n, &mem, &p, why), ERR_INVALID);
	assert_string_equal(why, "more than 1024 rules");
	n = (size_t)sprintf(text, "namespace \"%*s\" { policy = \"read\" }", POLICY_NAME_MAX + 1, "x");
	assert_int_equal(policy_parse(text, n, &mem, &p, why), ERR_INVALID);
	n = (size_t)sprintf(text, "%s", "namespace ");
	for (unsigned i = 0; i < 5000; i++) {
		text[n++] = '{';
	}
	assert_int_equal(policy_parse(text, n, &mem, &p, why), ERR_INVALID);
	n = (size_t)sprintf(text, "namespace \"a\" { capabilities = [for a in [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] : "
				  "join([for b in [1,1,1,1,1,1,1,1,1,1,1] : 1])] }");
	assert_int_equal(policy_parse(text, n, &mem, &p, why), ERR_INVALID);
	arena_close(&mem);
}

static void a_policy_without_a_document_takes_names_letter_by_letter(void **state)
{
	struct arena mem = {0};
	struct policy *p = policy_new(&mem, 2);
	const struct policy *list[] = {p};
	struct acl *a;

	(void)state;
	policy_add_caps(p, "*", ACL_BIT(READ_JOB)); /* Passed over. */
	policy_add_caps(p, "a", ACL_BIT(READ_JOB));
	policy_add_variable(p, "a", "nomad/jobs/*", ACL_VARIABLE_READ);
	policy_add_variable(p, "a", "nomad/jobs/x", ACL_VARIABLE_READ);
	policy_add_variable(p, "a", "nomad/jobs/y", ACL_VARIABLE_DESTROY);
	policy_add_variable(p, "a", "nomad/jobs/z", ACL_VARIABLE_READ); /* No room. */
	a = acl_new(list, 1);
	arena_close(&mem);
	assert_true(ask(a, "ns a read-job") && !ask(a, "ns b read-job") && !ask(a, "ns a submit-job"));
	assert_true(ask(a, "var a nomad/jobs/x read") && ask(a, "var a nomad/jobs/x list"));
	assert_true(!ask(a, "var a nomad/jobs/x write") && !ask(a, "var a nomad/jobs/z read"));
	assert_true(ask(a, "var a nomad/jobs/y destroy") && !ask(a, "var a nomad/jobs/y list"));
	acl_unref(a);
}

static void acls_are_told_apart_and_counted(void **state)
{
	static const char *const text[] = {"node { policy = \"read\" }"};
	struct acl *a = acl_of(text, 1);
	struct acl *b = acl_of(text, 1);

	(void)state;
	assert_int_equal(acl_serial(acl_management()), 0);
	assert_true(acl_serial(a) != 0 && acl_serial(b) != 0 && acl_serial(a) != acl_serial(b));
	assert_true(acl_is_management(acl_management()));
	assert_false(acl_is_management(a));
	acl_unref(acl_ref(acl_management()));
	acl_unref(acl_management());
	assert_ptr_equal(acl_ref(a), a);
	acl_unref(a);
	assert_true(acl_may(a, ACL_NODE, ACL_READ));
	acl_unref(a);
	acl_unref(b);
	acl_unref(NULL);
}

/* ---- random documents, read slowly ---- */

enum { RULES = 6, POLICIES = 3, ROUNDS = 3000, QUESTIONS = 40 };

/* What a word stands for, as the documentation lists it. */
static const char *const read_caps[] = {"list-jobs", "parse-job", "read-job", "csi-list-volume", "csi-read-volume",
					"host-volume-read", "list-scaling-policies", "read-scaling-policy",
					"read-job-scaling", NULL};
static const char *const scale_caps[] = {"list-scaling-policies", "read-scaling-policy", "read-job-scaling", "scale-job",
					 NULL};
static const char *const write_caps[] = {
	"list-jobs", "parse-job", "read-job", "submit-job", "dispatch-job", "read-logs", "read-fs", "alloc-exec",
	"alloc-lifecycle", "csi-write-volume", "csi-mount-volume", "csi-read-volume", "csi-list-volume",
	"host-volume-write", "host-volume-read", "host-volume-create", "host-volume-register", "host-volume-delete",
	"list-scaling-policies", "read-scaling-policy", "read-job-scaling", "scale-job", "submit-recommendation", NULL};

static const char *const policy_words[] = {"", "read", "write", "scale", "deny"};
static const char *const *const expansions[] = {NULL, read_caps, write_caps, scale_caps, NULL};

struct slow_rule {
	char ns[8];
	unsigned policy;     /* Of policy_words. */
	const char *cap;     /* One more, or NULL. */
	char path[8];        /* "": no variables. */
	const char *right;
};

struct slow {
	struct slow_rule at[POLICIES * RULES];
	unsigned n;
};

static bool slow_fits(const char *pattern, const char *text)
{
	if (*pattern == '*') {
		return slow_fits(pattern + 1, text) || (*text != '\0' && slow_fits(pattern, text + 1));
	}
	return *pattern == *text && (*text == '\0' || slow_fits(pattern + 1, text + 1));
}

/* Whether the first label decides about the name rather than the second. */
static bool is_better(const char *a, const char *b, const char *name)
{
	size_t a_letters = 0;
	size_t b_letters = 0;

	if (strcmp(a, name) == 0 || strcmp(b, name) == 0) {
		return strcmp(b, name) != 0;
	}
	for (const char *c = a; *c != '\0'; c++) {
		a_letters += *c != '*';
	}
	for (const char *c = b; *c != '\0'; c++) {
		b_letters += *c != '*';
	}
	return a_letters != b_letters ? a_letters > b_letters : strcmp(a, b) < 0;
}

static const char *slow_namespace(const struct slow *s, const char *name, bool of_variables)
{
	const char *best = NULL;

	for (unsigned i = 0; i < s->n; i++) {
		const struct slow_rule *r = &s->at[i];

		if (slow_fits(r->ns, name) && (!of_variables || r->path[0] != '\0') &&
		    (best == NULL || is_better(r->ns, best, name))) {
			best = r->ns;
		}
	}
	return best;
}

static bool rule_denies(const struct slow_rule *r)
{
	return strcmp(policy_words[r->policy], "deny") == 0 || (r->cap != NULL && strcmp(r->cap, "deny") == 0);
}

/* What these capabilities bring along. */
static bool brings(const char *has, const char *cap)
{
	static const char *const pairs[][2] = {
		{"list-jobs", "csi-list-volume"},          {"read-job", "csi-read-volume"},
		{"read-job", "csi-list-volume"},           {"read-fs", "read-logs"},
		{"csi-write-volume", "csi-read-volume"},   {"csi-write-volume", "csi-list-volume"},
		{"csi-mount-volume", "csi-read-volume"},   {"csi-mount-volume", "csi-list-volume"},
		{"csi-read-volume", "csi-list-volume"},    {"host-volume-create", "host-volume-read"},
		{"host-volume-register", "host-volume-read"}, {"host-volume-register", "host-volume-create"},
		{"host-volume-write", "host-volume-read"}, {"host-volume-write", "host-volume-create"},
		{"host-volume-write", "host-volume-register"}, {"host-volume-write", "host-volume-delete"},
	};

	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (strcmp(pairs[i][0], has) == 0 && strcmp(pairs[i][1], cap) == 0) {
			return true;
		}
	}
	return strcmp(has, cap) == 0;
}

static bool slow_denied(const struct slow *s, const char *ns)
{
	const char *label = slow_namespace(s, ns, false);

	for (unsigned i = 0; label != NULL && i < s->n; i++) {
		if (strcmp(s->at[i].ns, label) == 0 && rule_denies(&s->at[i])) {
			return true;
		}
	}
	return false;
}

static bool slow_may(const struct slow *s, const char *ns, const char *cap)
{
	const char *label = slow_namespace(s, ns, false);

	if (label == NULL || slow_denied(s, ns)) {
		return false;
	}
	for (unsigned i = 0; i < s->n; i++) {
		const struct slow_rule *r = &s->at[i];
		const char *const *list = expansions[r->policy];

		if (strcmp(r->ns, label) != 0) {
			continue;
		}
		for (; list != NULL && *list != NULL; list++) {
			if (strcmp(*list, cap) == 0) {
				return true;
			}
		}
		if (r->cap != NULL && brings(r->cap, cap)) {
			return true;
		}
	}
	return false;
}

static bool slow_variable(const struct slow *s, const char *ns, const char *path, const char *right)
{
	const char *label = slow_namespace(s, ns, true);
	const char *best = NULL;
	bool yes = false;

	for (unsigned i = 0; label != NULL && i < s->n; i++) {
		const struct slow_rule *r = &s->at[i];

		if (strcmp(r->ns, label) == 0 && r->path[0] != '\0' && slow_fits(r->path, path) &&
		    (best == NULL || is_better(r->path, best, path))) {
			best = r->path;
		}
	}
	for (unsigned i = 0; best != NULL && i < s->n; i++) {
		const struct slow_rule *r = &s->at[i];

		if (strcmp(r->ns, label) == 0 && strcmp(r->path, best) == 0) {
			if (strcmp(r->right, "deny") == 0) {
				return false;
			}
			yes = yes || strcmp(r->right, right) == 0 ||
			      (strcmp(right, "list") == 0 && strcmp(r->right, "destroy") != 0);
		}
	}
	return yes && !slow_denied(s, ns);
}

static void random_name(struct random *r, char out[8], bool stars)
{
	static const char letters[] = "ab*";
	unsigned n = 1 + random_below(r, 4);

	for (unsigned i = 0; i < n; i++) {
		out[i] = letters[random_below(r, stars ? 3 : 2)];
	}
	out[n] = '\0';
}

static struct slow_rule random_rule(struct random *r)
{
	static const char *const rights[] = {"list", "read", "write", "destroy", "deny"};
	struct slow_rule rule = {.policy = random_below(r, 10) == 0 ? 4 : random_below(r, 4)};

	random_name(r, rule.ns, true);
	if (random_below(r, 2) == 0) {
		rule.cap = acl_cap_text((enum acl_cap)(1 + random_below(r, N_ACL_CAPS - 1)));
	}
	if (random_below(r, 2) == 0) {
		random_name(r, rule.path, true);
		rule.right = rights[random_below(r, 5)];
	}
	return rule;
}

/* No label twice in one document. */
static size_t put_document(struct random *r, struct slow *s, char *text)
{
	unsigned from = s->n;
	size_t n = 0;

	for (unsigned i = random_below(r, RULES + 1); i > 0; i--) {
		struct slow_rule rule = random_rule(r);
		bool twice = false;

		for (unsigned k = from; k < s->n; k++) {
			twice = twice || strcmp(s->at[k].ns, rule.ns) == 0;
		}
		if (twice) {
			continue;
		}
		s->at[s->n++] = rule;
		n += (size_t)sprintf(text + n, "namespace \"%s\" { policy = \"%s\"\n", rule.ns,
				     policy_words[rule.policy]);
		if (rule.cap != NULL) {
			n += (size_t)sprintf(text + n, "capabilities = [\"%s\"]\n", rule.cap);
		}
		if (rule.path[0] != '\0') {
			n += (size_t)sprintf(text + n, "variables { path \"%s\" { capabilities = [\"%s\"] } }\n",
					     rule.path, rule.right);
		}
		n += (size_t)sprintf(text + n, "}\n");
	}
	text[n] = '\0';
	return n;
}

static void compare(struct random *r, const struct slow *s, const struct acl *a)
{
	static const char *const rights[] = {"list", "read", "write", "destroy"};
	char ns[8];
	char path[8];

	for (unsigned i = 0; i < QUESTIONS; i++) {
		enum acl_cap cap = (enum acl_cap)(1 + random_below(r, N_ACL_CAPS - 1));
		unsigned right = random_below(r, 4);

		random_name(r, ns, false);
		random_name(r, path, false);
		if (acl_in_namespace(a, ns, cap) != slow_may(s, ns, acl_cap_text(cap))) {
			fail_msg("%s in %s", acl_cap_text(cap), ns);
		}
		if (acl_variable(a, ns, path, (enum acl_variable_right)right) !=
		    slow_variable(s, ns, path, rights[right])) {
			fail_msg("%s of %s in %s", rights[right], path, ns);
		}
	}
}

static void random_documents_mean_what_a_slow_reading_says(void **state)
{
	struct random r = random_begin("test_policy");
	static char texts[POLICIES][8192];
	const char *list[POLICIES];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct slow s = {.n = 0};
		struct acl *a;

		for (unsigned i = 0; i < POLICIES; i++) {
			put_document(&r, &s, texts[i]);
			list[i] = texts[i];
		}
		a = acl_of(list, POLICIES);
		compare(&r, &s, a);
		acl_unref(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_of_documents_answers_as_documented),
		cmocka_unit_test(what_is_not_known_is_named),
		cmocka_unit_test(documents_are_bounded),
		cmocka_unit_test(a_policy_without_a_document_takes_names_letter_by_letter),
		cmocka_unit_test(acls_are_told_apart_and_counted),
		cmocka_unit_test(random_documents_mean_what_a_slow_reading_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
