/* Access: every route with every kind of token, and what lists, searches and streams leave out.
 *
 * The walk reads each route's need from its line, makes a token that may do just that and one that may do all but that,
 * and asks. A route without a need ends access_new(). */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "server/api_parts.h"
#include "server/events.h"
#include "test/unit/client/random.h"
#include "test/unit/server/api_case.h"

/* ---- a world with something of everything, all of it named "hidden", beside a namespace "team" ---- */

static struct {
	const char *root; /* Secrets of tokens: management, */
	const char *team; /* everything in the namespace "team", */
	const char *expired;
	struct uuid node, alloc, eval, deployment;
	char policy[64]; /* The ID of a scaling policy. */
} w;

static const char team_rules[] = "namespace \"team\" {\n policy = \"write\"\n capabilities = [\"alloc-node-exec\", "
				 "\"csi-register-plugin\"]\n variables { path \"*\" { capabilities = [\"write\", "
				 "\"read\", \"destroy\"] } } }";

static const char *job_in(const char *ns, const char *id)
{
	return bed_quote(&b,
			 "{'Job':{'ID':'%s','Namespace':'%s','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Count':1,"
			 "'Scaling':{'Min':1,'Max':3,'Enabled':true},"
			 "'Tasks':[{'Name':'t','Driver':'raw_exec','Config':{'command':'/bin/sleep'},"
			 "'Actions':[{'Name':'act','Command':'/bin/true'}]}]}]}}",
			 id, ns);
}

static void fill(const char *ns, const char *job, const char *variable)
{
	char target[128];

	snprintf(target, sizeof(target), "/v1/namespace/%s", ns);
	if (strcmp(ns, "default") != 0) {
		bed_want(&b, "PUT", target, bed_quote(&b, "{'Name':'%s'}", ns), 200, NULL);
	}
	bed_want(&b, "PUT", "/v1/jobs", job_in(ns, job), 200, NULL);
	snprintf(target, sizeof(target), "/v1/var/%s?namespace=%s", variable, ns);
	bed_want(&b, "PUT", target, bed_quote(&b, "{'Items':{'k':'%s'}}", variable), 200, NULL);
}

static void make_world(void)
{
	memset(&w, 0, sizeof(w));
	w.root = bed_token(&b, "", 0);
	bed_policy(&b, "team", team_rules);
	w.team = bed_token(&b, "team", 0);
	w.expired = bed_token(&b, "team", 100);
	b.kit.now += 101 * SECOND;
	b.token = w.root;
	bed_want(&b, "PUT", "/v1/operator/keyring/rotate", NULL, 200, NULL);
	bed_want(&b, "PUT", "/v1/node/pools", bed_quote(&b, "{'Name':'hidden-pool'}"), 200, NULL);
	fill("default", "hidden-web", "hidden/var");
	fill("hidden-ns", "hidden-other", "hidden/other");
	fill("team", "team-web", "team/var");
	w.eval = kit_newest_eval(&b.kit, "hidden-web")->id;
	w.node = bed_place(&b, "hidden-web", 1, &w.alloc);
	kit_serve(&b.kit, &w.alloc, "hidden-svc", 80);
	w.deployment = kit_deployment(&b.kit, "hidden-web", 1, 0);
	bed_want(&b, "GET", "/v1/scaling/policies", NULL, 200, NULL);
	snprintf(w.policy, sizeof(w.policy), "%s", bed_json(&b, "0.ID"));
	memmove(w.policy, w.policy + 1, strlen(w.policy));
	w.policy[strlen(w.policy) - 1] = '\0';
	b.token = NULL;
}

static int open_world(void **state)
{
	(void)state;
	bed_open_acl(&b);
	make_world();
	return 0;
}

static int close_world(void **state)
{
	b.token = NULL;
	return close_bed(state);
}

#define W(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

/* ---- asking ---- */

enum outcome { ALLOWED, DENIED, UNKNOWN, EXPIRED };

static const char *const outcomes[] = {"allowed", "Permission denied", "ACL token not found", "ACL token expired"};

static enum outcome outcome_of(const struct kept *k)
{
	const char *text = k->body.at != NULL ? buf_text((struct buf *)(uintptr_t)&k->body) : "";

	for (unsigned i = 1; k->res.status == 403 && i < 4; i++) {
		if (strcmp(text, outcomes[i]) == 0) {
			return (enum outcome)i;
		}
	}
	return ALLOWED;
}

/* However it goes on: streams are left, what is passed on is answered. */
static enum outcome try_it(const char *token, const char *method, const char *target, const char *body,
			   const struct http_route *route)
{
	struct kept k;
	enum outcome got;

	b.token = token;
	bed_start(&b, &k, method, target, body);
	if (k.req.route != route) {
		fail_msg("%s %s is another route", method, target);
	}
	bed_pump(&b);
	for (unsigned i = 0; i < 100 && k.answers == 0 && b.n_under_way == 0; i++) {
		bed_sleep(&b, 60 * SECOND);
	}
	while (b.n_under_way > 0) {
		bed_answer(&b, 200, "from there");
	}
	if (k.answers != 1) {
		fail_msg("%s %s: %d answers", method, target, k.answers);
	}
	got = outcome_of(&k);
	kept_leave(&k);
	kept_close(&k);
	b.token = NULL;
	return got;
}

/* ---- the walk: what a route is asked with ---- */

static const char *param_of(const char *pattern)
{
	static const char *const rows[][2] = {
		{"/v1/job/", "hidden-web"},
		{"/v1/namespace/", "default"},
		{"/v1/node/pool/", "hidden-pool"},
		{"/v1/var/", "hidden/var"},
		{"/v1/service/", "hidden-svc"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strncmp(pattern, rows[i][0], strlen(rows[i][0])) == 0) {
			return rows[i][1];
		}
	}
	if (strncmp(pattern, "/v1/scaling/policy/", 19) == 0) {
		return w.policy;
	}
	return kit_text(&b.kit, strncmp(pattern, "/v1/node/", 9) == 0         ? &w.node
				: strncmp(pattern, "/v1/evaluation/", 15) == 0 ? &w.eval
				: strncmp(pattern, "/v1/deployment/", 15) == 0 ? &w.deployment
									       : &w.alloc);
}

static const char *target_of(const struct http_route *route)
{
	static char out[512];
	const char *at = route->pattern;
	size_t n = 0;
	bool first = true;

	while (*at != '\0') {
		if (*at != ':') {
			out[n++] = *at++;
			continue;
		}
		n += (size_t)sprintf(out + n, "%s", first ? param_of(route->pattern) : "x");
		first = false;
		at += strcspn(at, "/");
	}
	sprintf(out + n, "%s",
		strcmp(route->pattern, "/v1/job/:id.../action") == 0               ? "?action=act&task=t"
		: strcmp(route->pattern, "/v1/allocation/:id...") == 0             ? "/x"
		: strcmp(route->pattern, "/v1/client/allocation/:id...") == 0      ? "/x"
										   : "");
	return out;
}

static const char *body_of(const struct http_route *route, unsigned method)
{
	const char *p = route->pattern;

	if (method != HTTP_PUT && method != HTTP_POST) {
		return NULL;
	}
	if (strcmp(p, "/v1/jobs") == 0 || strcmp(p, "/v1/job/:id...") == 0 || strcmp(p, "/v1/job/:id.../plan") == 0 ||
	    strcmp(p, "/v1/validate/job") == 0) {
		return job_in("default", "hidden-web");
	}
	if (strncmp(p, "/v1/var/", 8) == 0) {
		return bed_quote(&b, "{'Items':{'k':'v'}}");
	}
	if (strncmp(p, "/v1/search", 10) == 0) {
		return bed_quote(&b, "{'Prefix':'hid','Text':'hidden'}");
	}
	return strncmp(p, "/v1/node/pool", 13) == 0 ? bed_quote(&b, "{'Name':'hidden-pool'}") : "{}";
}

/* ---- the walk: needs, read by a second reader ---- */

struct wanted {
	char what[16];
	char terms[4][96];
	unsigned n;
};

static struct wanted wanted_of(const struct http_route *route, unsigned method)
{
	struct wanted out = {.n = 0};
	char text[256];
	char *half = text;
	char *save;

	snprintf(text, sizeof(text), "%s", route->capability);
	if (strchr(text, ';') != NULL) {
		char *second = strchr(text, ';');

		*second = '\0';
		half = method == HTTP_GET ? text : second + 1;
	}
	if (strchr(half, '+') != NULL) {
		*strchr(half, '+') = '\0';
	}
	if (strchr(half, '/') != NULL) {
		snprintf(out.what, sizeof(out.what), "%.*s", (int)strcspn(half, "/"), half);
		half += strcspn(half, "/") + 1;
	}
	for (char *t = strtok_r(half, "&", &save); t != NULL; t = strtok_r(NULL, "&", &save)) {
		snprintf(out.terms[out.n++], sizeof(out.terms[0]), "%s", t);
	}
	return out;
}

static bool is(const struct wanted *n, const char *word)
{
	return n->n == 1 && strcmp(n->terms[0], word) == 0;
}

static bool has(const struct wanted *n, const char *begin)
{
	for (unsigned i = 0; i < n->n; i++) {
		if (strncmp(n->terms[i], begin, strlen(begin)) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_caps(const char *term)
{
	return strchr(term, ':') == NULL && strcmp(term, "open") != 0 && strcmp(term, "token") != 0 &&
	       strcmp(term, "management") != 0 && strcmp(term, "anything") != 0;
}

static bool runs_command(const struct wanted *n)
{
	return strcmp(n->what, "exec") == 0 || strcmp(n->what, "action") == 0;
}

/* Just what is needed; of alternatives, the one with this number. False: there are fewer. */
static bool put_least(const struct wanted *n, unsigned alternative, char *out)
{
	size_t len = 0;
	bool more = alternative == 0;

	len += (size_t)sprintf(out, "namespace \"default\" { capabilities = [\"sentinel-override\"");
	for (unsigned i = 0; i < n->n; i++) {
		char text[96];
		char *save;
		char *cap;
		unsigned k = 0;

		snprintf(text, sizeof(text), "%s", n->terms[i]);
		if (!is_caps(text)) {
			continue;
		}
		for (cap = strtok_r(text, "|", &save); cap != NULL; cap = strtok_r(NULL, "|", &save)) {
			if (k++ == alternative) {
				len += (size_t)sprintf(out + len, ", \"%s\"", cap);
				more = true;
			}
		}
	}
	len += (size_t)sprintf(out + len, "%s]\n", runs_command(n) ? ", \"alloc-node-exec\"" : "");
	for (unsigned i = 0; i < n->n; i++) {
		if (strncmp(n->terms[i], "variables:", 10) == 0) {
			len += (size_t)sprintf(out + len,
					       "variables { path \"hidden/*\" { capabilities = [\"%s\"] } }\n",
					       n->terms[i] + 10);
		}
	}
	len += (size_t)sprintf(out + len, "}\n");
	for (unsigned i = 0; i < n->n; i++) {
		const char *colon = strchr(n->terms[i], ':');
		const char *t = n->terms[i];

		if (colon == NULL || strncmp(t, "variables", 9) == 0 || strncmp(t, "namespace", 9) == 0) {
			continue;
		}
		len += (size_t)sprintf(out + len,
				       strncmp(t, "node_pool", 9) == 0 ? "%.*s \"hidden-*\" { capabilities = [\"%s\"] }\n"
								       : "%.*s { policy = \"%s\" }\n",
				       (int)(colon - t), t, colon + 1);
	}
	return more;
}

/* Whether having it is having one of those of the term. */
static bool gives(enum acl_cap cap, const char *term)
{
	static const char *const brings[][2] = {
		{"read-fs", "read-logs"}, {"list-jobs", "csi-list-volume"}, {"read-job", "csi-read-volume"},
		{"read-job", "csi-list-volume"}, {"csi-write-volume", "csi-read-volume"},
		{"csi-write-volume", "csi-list-volume"}, {"csi-mount-volume", "csi-read-volume"},
		{"csi-mount-volume", "csi-list-volume"}, {"csi-read-volume", "csi-list-volume"},
		{"host-volume-create", "host-volume-read"}, {"host-volume-register", "host-volume-read"},
		{"host-volume-write", "host-volume-read"}, {"host-volume-write", "host-volume-delete"}};
	char text[96];
	char *save;

	snprintf(text, sizeof(text), "%s", term);
	for (char *one = strtok_r(text, "|", &save); one != NULL; one = strtok_r(NULL, "|", &save)) {
		for (unsigned i = 0; i < sizeof(brings) / sizeof(brings[0]); i++) {
			if (strcmp(brings[i][0], acl_cap_text(cap)) == 0 && strcmp(brings[i][1], one) == 0) {
				return true;
			}
		}
		if (strcmp(one, acl_cap_text(cap)) == 0) {
			return true;
		}
	}
	return false;
}

/* All but one of the terms. */
static void put_most(const struct wanted *n, unsigned without, char *out)
{
	static const char *const subjects[] = {"agent", "node", "operator", "quota", "plugin"};
	const char *term = n->terms[without];
	bool anything = strcmp(term, "namespace:any") == 0 || strcmp(term, "anything") == 0;
	size_t len = (size_t)sprintf(out, "namespace \"*\" { capabilities = [");
	const char *comma = "";

	for (unsigned cap = 1; cap < N_ACL_CAPS && !anything; cap++) {
		if (!is_caps(term) || !gives((enum acl_cap)cap, term)) {
			len += (size_t)sprintf(out + len, "%s\"%s\"", comma, acl_cap_text((enum acl_cap)cap));
			comma = ", ";
		}
	}
	len += (size_t)sprintf(out + len, "]\n");
	if (!anything && strncmp(term, "variables", 9) != 0) {
		len += (size_t)sprintf(
			out + len, "variables { path \"*\" { capabilities = [\"read\", \"write\", \"destroy\"] } }\n");
	}
	len += (size_t)sprintf(out + len, "}\n");
	for (unsigned s = 0; s < 5; s++) {
		size_t name = strlen(subjects[s]);

		if ((strncmp(term, subjects[s], name) != 0 || term[name] != ':') && strcmp(term, "anything") != 0) {
			len += (size_t)sprintf(out + len, "%s { policy = \"write\" }\n", subjects[s]);
		}
	}
	if (strncmp(term, "node_pool", 9) != 0 && strcmp(term, "anything") != 0) {
		sprintf(out + len, "node_pool \"*\" { policy = \"write\" }\n");
	}
}

static void expect(enum outcome want, const char *token, const struct http_route *route, unsigned method,
		   const char *who)
{
	enum outcome got =
		try_it(token, http_method_text((enum http_method)method), target_of(route), body_of(route, method), route);

	/* Of policies, tokens and roles a token may see its own: their handlers look whose they are, as they look at the
	 * secrets of bodies. */
	if (want == ALLOWED && got == DENIED && strncmp(route->pattern, "/v1/acl/", 8) == 0 &&
	    strcmp(route->capability, "management") != 0) {
		return;
	}
	if (got != want) {
		fail_msg("%s %s (%s) with %s: %s", http_method_text((enum http_method)method), target_of(route),
			 route->capability, who, outcomes[got]);
	}
}

/* ---- the walk ---- */

typedef void (*walk_fn)(const struct http_route *route, unsigned method);

static void walk(walk_fn call)
{
	for (size_t i = 0; i < api_n_routes; i++) {
		for (unsigned m = 0; m < HTTP_METHODS; m++) {
			if ((api_routes[i].methods & 1U << m) != 0 && m <= HTTP_DELETE) {
				call(&api_routes[i], m);
			}
		}
	}
}

static void each_has_a_need(const struct http_route *route, unsigned method)
{
	(void)method;
	assert_non_null(route->capability);
	assert_string_not_equal(route->capability, "");
}

/* What nobody may do has no effect at all. */
static void with_tokens_that_are_no_good(const struct http_route *route, unsigned method)
{
	static const char *const none[] = {"11111111-2222-3333-4444-555555555555", "nonsense", "x' OR 1"};
	struct wanted need = wanted_of(route, method);
	bool open = is(&need, "open");
	unsigned writes = b.writes;
	unsigned forwards = b.forwards;

	for (unsigned i = 0; i < 3; i++) {
		expect(open ? ALLOWED : UNKNOWN, none[i], route, method, "a wrong token");
	}
	expect(open ? ALLOWED : EXPIRED, w.expired, route, method, "an expired token");
	expect(open || is(&need, "token") ? ALLOWED : DENIED, NULL, route, method, "no token");
	if (!open && !is(&need, "token")) {
		assert_int_equal(b.writes, writes);
		assert_int_equal(b.forwards, forwards);
	}
}

static bool any_namespace_will_do(const struct wanted *need)
{
	return is(need, "open") || is(need, "token") || (strcmp(need->what, "any") == 0 && is_caps(need->terms[0]));
}

static void with_a_token_for_another_namespace(const struct http_route *route, unsigned method)
{
	struct wanted need = wanted_of(route, method);
	unsigned writes = b.writes;

	expect(any_namespace_will_do(&need) ? ALLOWED : DENIED, w.team, route, method, "another namespace's token");
	assert_true(any_namespace_will_do(&need) || b.writes == writes);
}

static void with_all_but_what_is_needed(const struct http_route *route, unsigned method)
{
	struct wanted need = wanted_of(route, method);
	unsigned writes = b.writes;
	char rules[4096];

	if (is(&need, "open") || is(&need, "token")) {
		return;
	}
	for (unsigned i = 0; i < need.n; i++) {
		put_most(&need, i, rules);
		bed_policy(&b, "most", rules);
		expect(DENIED, bed_token(&b, "most", 0), route, method, "all but what is needed");
	}
	if (runs_command(&need)) {
		bed_policy(&b, "most", "namespace \"*\" { policy = \"write\" }");
		expect(DENIED, bed_token(&b, "most", 0), route, method, "no right to run commands on the node");
	}
	assert_int_equal(b.writes, writes);
}

static void anew(void)
{
	close_world(NULL);
	open_world(NULL);
}

/* In a new world each, as much of it does something. */
static void with_just_what_is_needed(const struct http_route *route, unsigned method)
{
	struct wanted need = wanted_of(route, method);
	char rules[4096];

	for (unsigned i = 0; !has(&need, "management") && put_least(&need, i, rules); i++) {
		anew();
		bed_policy(&b, "least", rules);
		expect(ALLOWED, bed_token(&b, "least", 0), route, method, rules);
	}
	anew();
	expect(ALLOWED, w.root, route, method, "a management token");
}

CASE(every_route_says_what_it_needs)
{
	walk(each_has_a_need);
}

CASE(every_route_refuses_what_is_no_token)
{
	walk(with_tokens_that_are_no_good);
}

CASE(every_route_refuses_a_token_for_another_namespace)
{
	walk(with_a_token_for_another_namespace);
}

CASE(every_route_refuses_a_token_that_lacks_what_it_needs)
{
	walk(with_all_but_what_is_needed);
}

CASE(every_route_takes_a_token_that_has_what_it_needs)
{
	walk(with_just_what_is_needed);
}

/* ---- what is left out ---- */

static const char *const lists[] = {
	"/v1/jobs?namespace=*",
	"/v1/jobs?namespace=*&meta=true",
	"/v1/jobs?namespace=*&filter=ID+contains+%22-%22",
	"/v1/jobs/statuses?namespace=*",
	"/v1/jobs/statuses?namespace=*&include_children=true",
	"/v1/allocations?namespace=*",
	"/v1/evaluations?namespace=*",
	"/v1/deployments?namespace=*",
	"/v1/services?namespace=*",
	"/v1/service/hidden-svc?namespace=*",
	"/v1/service/hidden-svc?namespace=*&choose=2|x",
	"/v1/vars?namespace=*",
	"/v1/scaling/policies?namespace=*",
	"/v1/namespaces",
	"/v1/node/pools",
	"/v1/volumes?namespace=*",
};

/* Answers of those who see more are kept for others who do: asked in turn, nobody gets another's. */
CASE(lists_tell_only_what_may_be_seen)
{
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *whole;

		b.token = w.root;
		bed_want(&b, "GET", lists[i], NULL, 200, NULL);
		whole = arena_strdup(&b.kit.mem, bed_text(&b));
		assert_true(strstr(whole, "hidden") != NULL || strstr(lists[i], "volumes") != NULL ||
			    strstr(lists[i], "deployments") != NULL);
		b.token = w.team;
		bed_want(&b, "GET", lists[i], NULL, 200, NULL);
		if (strstr(bed_text(&b), "hidden") != NULL || strstr(bed_text(&b), "\"Namespace\":\"default\"") != NULL) {
			fail_msg("%s: %s", lists[i], bed_text(&b));
		}
		b.token = w.root;
		bed_want(&b, "GET", lists[i], NULL, 200, whole);
		b.token = w.team;
		bed_want(&b, "GET", lists[i], NULL, 200, NULL);
		assert_null(strstr(bed_text(&b), "hidden"));
	}
	bed_want(&b, "GET", "/v1/jobs?namespace=*", NULL, 200, NULL);
	bed_is(&b, "0.ID", "\"team-web\"");
	bed_want(&b, "GET", "/v1/vars?namespace=*", NULL, 200, NULL);
	bed_is(&b, "0.Path", "\"team/var\"");
	bed_want(&b, "GET", "/v1/evaluations/count?namespace=*", NULL, 200, "{\"Count\":1}");
	bed_want(&b, "GET", "/v1/namespaces", NULL, 200, NULL);
	bed_is(&b, "0.Name", "\"team\"");
	assert_int_equal(bed_length(&b, ""), 1);
}

/* Those who are asked for by name, too, beside what may be seen. */
CASE(jobs_that_are_asked_for_by_name_are_left_out)
{
	b.token = w.team;
	bed_want(&b, "POST", "/v1/jobs/statuses?namespace=team",
		 bed_quote(&b, "{'Jobs':[{'ID':'hidden-web','Namespace':'default'},"
			       "{'ID':'team-web','Namespace':'team'}]}"),
		 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.ID", "\"team-web\"");
}

CASE(a_page_is_full_although_rows_are_passed_over)
{
	char target[256];
	unsigned seen = 0;
	const char *next = "";

	b.token = w.root;
	for (unsigned i = 0; i < 7; i++) {
		char id[16];

		snprintf(id, sizeof(id), "team-%u", i);
		bed_want(&b, "PUT", "/v1/jobs", job_in("team", id), 200, NULL);
		snprintf(id, sizeof(id), "hidden-%u", i);
		bed_want(&b, "PUT", "/v1/jobs", job_in(i % 2 == 0 ? "hidden-ns" : "default", id), 200, NULL);
	}
	b.token = w.team;
	for (const char *const *list = (const char *const[]){"/v1/jobs", "/v1/evaluations", NULL}; *list != NULL; list++) {
		next = "";
		seen = 0;
		do {
			snprintf(target, sizeof(target), "%s?namespace=*&per_page=2&next_token=%s", *list, next);
			bed_want(&b, "GET", target, NULL, 200, NULL);
			assert_null(strstr(bed_text(&b), "hidden"));
			seen += bed_length(&b, "");
			next = b.last.res.next_token != NULL
				       ? arena_strdup(&b.kit.mem, b.last.res.next_token)
				       : "";
			assert_true(bed_length(&b, "") == 2 || next[0] == '\0');
			assert_null(strstr(next, "hidden"));
		} while (next[0] != '\0');
		assert_int_equal(seen, 8);
	}
}

/* ---- random policies: every list tells what the policy says, whatever its pages ---- */

enum { SPACES = 4, ROUNDS = 40 };

static const struct {
	const char *target;
	enum acl_cap cap; /* ACL_DENY: a right of variables. */
} told[] = {
	{"/v1/jobs", ACL_LIST_JOBS},
	{"/v1/jobs/statuses", ACL_LIST_JOBS},
	{"/v1/evaluations", ACL_READ_JOB},
	{"/v1/vars", ACL_DENY},
};

static void make_spaces(struct random *r, unsigned counts[SPACES])
{
	char name[32], id[32], target[96];

	b.token = w.root;
	for (unsigned i = 0; i < SPACES; i++) {
		snprintf(name, sizeof(name), "space-%u", i);
		snprintf(target, sizeof(target), "/v1/namespace/%s", name);
		bed_want(&b, "PUT", target, bed_quote(&b, "{'Name':'%s'}", name), 200, NULL);
		counts[i] = random_below(r, 6);
		for (unsigned k = 0; k < counts[i]; k++) {
			snprintf(id, sizeof(id), "job-%u", k);
			bed_want(&b, "PUT", "/v1/jobs", job_in(name, id), 200, NULL);
			snprintf(target, sizeof(target), "/v1/var/v-%u?namespace=%s", k, name);
			bed_want(&b, "PUT", target, bed_quote(&b, "{'Items':{'k':'v'}}"), 200, NULL);
		}
	}
}

/* Which of the spaces the list tells of, by its policy. */
static void random_policy(struct random *r, bool seen[SPACES][2], bool variables[SPACES])
{
	static const char *const words[] = {"list-jobs", "read-job", "submit-job"};
	char rules[2048];
	size_t len = 0;

	for (unsigned i = 0; i < SPACES; i++) {
		unsigned word = random_below(r, 4);
		const char *right = random_below(r, 2) == 0 ? "destroy" : "list";
		bool deny = random_below(r, 5) == 0;

		seen[i][0] = word == 0 && !deny;
		seen[i][1] = word == 1 && !deny;
		variables[i] = strcmp(right, "list") == 0 && !deny;
		len += (size_t)sprintf(rules + len,
				       "namespace \"space-%u\" { capabilities = [\"%s\"%s]\n"
				       "variables { path \"v-*\" { capabilities = [\"%s\"] } } }\n",
				       i, words[word % 3], deny ? ", \"deny\"" : "", right);
		seen[i][0] = seen[i][0] || (word == 3 && !deny);
	}
	bed_policy(&b, "random", rules);
}

/* The elements that a walk over pages tells, and whether each is of a space that may be seen. */
static unsigned walk_pages(unsigned list, unsigned per_page, const bool seen[SPACES])
{
	const char *next = "";
	unsigned n = 0;

	do {
		char target[256];
		unsigned here;

		snprintf(target, sizeof(target), "%s?namespace=*&per_page=%u&next_token=%s", told[list].target, per_page,
			 next);
		bed_want(&b, "GET", target, NULL, 200, NULL);
		here = bed_length(&b, "");
		for (unsigned i = 0; i < here; i++) {
			char path[32];
			unsigned space;

			snprintf(path, sizeof(path), "%u.Namespace", i);
			assert_int_equal(sscanf(bed_json(&b, path), "\"space-%u\"", &space), 1);
			assert_true(seen[space]);
		}
		n += here;
		next = b.last.res.next_token != NULL ? arena_strdup(&b.kit.mem, b.last.res.next_token) : "";
		assert_true(next[0] == '\0' || here == per_page);
	} while (next[0] != '\0');
	return n;
}

CASE(random_policies_decide_what_lists_tell)
{
	struct random r = random_begin("test_access");
	unsigned counts[SPACES];
	const char *secret;

	make_spaces(&r, counts);
	bed_policy(&b, "random", "");
	secret = bed_token(&b, "random", 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool caps[SPACES][2], variables[SPACES];

		random_policy(&r, caps, variables);
		b.token = secret;
		for (unsigned list = 0; list < sizeof(told) / sizeof(told[0]); list++) {
			bool seen[SPACES];
			unsigned want = 0;
			bool any = false;

			for (unsigned i = 0; i < SPACES; i++) {
				seen[i] = told[list].cap == ACL_LIST_JOBS  ? caps[i][0]
					  : told[list].cap == ACL_READ_JOB ? caps[i][1]
									   : variables[i];
				want += seen[i] ? counts[i] : 0;
				any = any || seen[i];
			}
			if (!any) {
				char target[64];

				snprintf(target, sizeof(target), "%s?namespace=*", told[list].target);
				bed_want(&b, "GET", target, NULL, 403, "Permission denied");
				continue;
			}
			assert_int_equal(walk_pages(list, random_below(&r, 4) + (list == 1 ? 1 : 0), seen), want);
		}
	}
}

CASE(searches_find_only_what_may_be_seen)
{
	static const char *const bodies[] = {"{'Prefix':'hid'}", "{'Prefix':''}", "{'Prefix':'hid','Context':'jobs'}",
					     "{'Prefix':'hid','Context':'vars'}", "{'Prefix':'','Context':'allocs'}",
					     "{'Prefix':'','Context':'namespaces'}"};
	static const char *const texts[] = {"{'Text':'hidden'}", "{'Text':'web'}", "{'Text':'sleep'}",
					    "{'Text':'hidden','Context':'jobs'}"};

	for (unsigned i = 0; i < 6; i++) {
		b.token = w.root;
		bed_want(&b, "POST", "/v1/search?namespace=*", bed_quote(&b, "%s", bodies[i]), 200, NULL);
		b.token = w.team;
		bed_want(&b, "POST", "/v1/search?namespace=*", bed_quote(&b, "%s", bodies[i]), 200, NULL);
		assert_null(strstr(bed_text(&b), "hidden"));
		assert_null(strstr(bed_text(&b), kit_text(&b.kit, &w.alloc)));
		assert_null(strstr(bed_text(&b), kit_text(&b.kit, &w.node)));
	}
	for (unsigned i = 0; i < 4; i++) {
		b.token = w.root;
		bed_want(&b, "POST", "/v1/search/fuzzy?namespace=*", bed_quote(&b, "%s", texts[i]), 200, NULL);
		assert_non_null(strstr(bed_text(&b), "hidden"));
		b.token = w.team;
		bed_want(&b, "POST", "/v1/search/fuzzy?namespace=*", bed_quote(&b, "%s", texts[i]), 200, NULL);
		assert_null(strstr(bed_text(&b), "hidden"));
	}
	bed_want(&b, "POST", "/v1/search/fuzzy?namespace=*", bed_quote(&b, "{'Text':'team'}"), 200, NULL);
	assert_non_null(strstr(bed_text(&b), "team-web"));
}

/* ---- streams ---- */

static void on_changed(void *ctx, const struct change *changes, size_t n)
{
	struct bed *bed = ctx;
	const struct view *v = state_view(&bed->kit.state);

	events_push(api_feed(bed->api), &bed->kit.fsm, v, changes, n);
	view_release(v);
}

static void listen_as(struct kept *k, const char *token, const char *target, int status)
{
	b.kit.fsm.changed = on_changed;
	b.kit.fsm.ctx = &b;
	b.token = token;
	bed_start(&b, k, "GET", target, NULL);
	bed_pump(&b);
	assert_int_equal(k->answers, 1);
	if (k->res.status != status) {
		fail_msg("%s: %d", target, k->res.status);
	}
	b.token = NULL;
}

static void refused(const char *token, const char *target)
{
	struct kept k;

	listen_as(&k, token, target, 403);
	kept_close(&k);
}

/* Something happens in both namespaces, and with a node. */
static void make_noise(void)
{
	b.token = w.root;
	bed_want(&b, "PUT", "/v1/jobs", job_in("default", "hidden-new"), 200, NULL);
	bed_want(&b, "PUT", "/v1/jobs", job_in("team", "team-new"), 200, NULL);
	bed_want(&b, "PUT", "/v1/node/pools", bed_quote(&b, "{'Name':'hidden-too'}"), 200, NULL);
	kit_node(&b.kit, "hidden-node");
	b.token = NULL;
	bed_pump(&b);
}

CASE(streams_tell_only_what_may_be_seen)
{
	struct kept k;

	listen_as(&k, w.team, "/v1/event/stream?namespace=*", 200);
	make_noise();
	assert_non_null(strstr(buf_text(&k.body), "team-new"));
	assert_null(strstr(buf_text(&k.body), "hidden"));
	kept_leave(&k);
	kept_close(&k);
	listen_as(&k, w.root, "/v1/event/stream?namespace=*", 200);
	b.kit.now += SECOND;
	make_noise();
	assert_non_null(strstr(buf_text(&k.body), "hidden-new"));
	assert_non_null(strstr(buf_text(&k.body), "hidden-node"));
	kept_leave(&k);
	kept_close(&k);
}

CASE(a_topic_of_which_nothing_may_be_seen_is_refused)
{
	struct kept k;

	refused(w.team, "/v1/event/stream?topic=Job");
	refused(w.team, "/v1/event/stream?topic=Job&namespace=default");
	refused(w.team, "/v1/event/stream?topic=Node&namespace=*");
	refused(w.team, "/v1/event/stream?topic=Job&topic=Node&namespace=team");
	refused(NULL, "/v1/event/stream");
	listen_as(&k, w.team, "/v1/event/stream?topic=Job&namespace=team", 200);
	kept_leave(&k);
	kept_close(&k);
}

CASE(a_stream_ends_with_its_token)
{
	struct kept k;

	bed_policy(&b, "p", "namespace \"team\" { policy = \"read\" }");
	listen_as(&k, bed_token(&b, "p", 0), "/v1/event/stream?namespace=team", 200);
	make_noise();
	assert_non_null(strstr(buf_text(&k.body), "team-new"));
	assert_true(k.streams);
	bed_policy(&b, "p", "namespace \"team\" { policy = \"deny\" }");
	bed_sleep(&b, 11 * SECOND); /* The next heartbeat. */
	bed_pump(&b);
	assert_int_equal(k.ends, 1);
	assert_false(k.whole);
	kept_close(&k);
}

CASE(a_monitor_ends_with_its_token)
{
	struct kept k;

	bed_policy(&b, "p", "agent { policy = \"read\" }");
	listen_as(&k, bed_token(&b, "p", 60), "/v1/agent/monitor", 200);
	bed_sleep(&b, 30 * SECOND);
	assert_int_equal(k.ends, 0);
	b.kit.now += 61 * SECOND;
	bed_sleep(&b, 2 * SECOND);
	assert_int_equal(k.ends, 1);
	assert_false(k.whole);
	kept_close(&k);
	bed_policy(&b, "q", "agent { policy = \"read\" }");
	listen_as(&k, bed_token(&b, "q", 0), "/v1/agent/monitor", 200);
	bed_policy(&b, "q", "agent { policy = \"deny\" }");
	bed_sleep(&b, 2 * SECOND);
	assert_int_equal(k.ends, 1);
	kept_close(&k);
}

/* ---- objects found by ID ---- */

CASE(an_object_that_is_not_there_is_missing_to_those_who_may_see_such)
{
	static const char *const targets[] = {"/v1/allocation/", "/v1/evaluation/", "/v1/deployment/"};
	char target[128];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(target, sizeof(target), "%s11111111-2222-3333-4444-555555555555", targets[i]);
		b.token = w.team;
		assert_int_equal(bed_ask(&b, "GET", target, NULL), 404);
		b.token = NULL;
		bed_want(&b, "GET", target, NULL, 403, "Permission denied");
	}
}

CASE(the_namespace_of_the_request_does_not_help_with_an_object_of_another)
{
	char target[128];

	b.token = w.team;
	snprintf(target, sizeof(target), "/v1/allocation/%s?namespace=team", kit_text(&b.kit, &w.alloc));
	bed_want(&b, "GET", target, NULL, 403, "Permission denied");
	snprintf(target, sizeof(target), "/v1/client/fs/cat/%s?namespace=team&path=x", kit_text(&b.kit, &w.alloc));
	bed_want(&b, "GET", target, NULL, 403, "Permission denied");
	snprintf(target, sizeof(target), "/v1/job/hidden-web?namespace=team");
	bed_want(&b, "GET", target, NULL, 404, NULL);
	snprintf(target, sizeof(target), "/v1/scaling/policy/%s", w.policy);
	bed_want(&b, "GET", target, NULL, 404, NULL);
}

/* ---- bodies ---- */

CASE(a_job_is_written_where_its_body_says)
{
	b.token = w.team;
	bed_want(&b, "PUT", "/v1/jobs", job_in("team", "mine"), 200, NULL);
	bed_want(&b, "PUT", "/v1/jobs", job_in("default", "mine"), 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/jobs?namespace=team", job_in("default", "mine"), 200, NULL); /* The query decides. */
	bed_want(&b, "PUT", "/v1/jobs?namespace=default", job_in("team", "mine"), 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/jobs?namespace=*", job_in("team", "mine"), 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/job/mine/plan", job_in("default", "mine"), 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/validate/job", job_in("default", "mine"), 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/validate/job", job_in("team", "mine"), 200, NULL);
}

CASE(a_variable_is_written_where_its_body_says)
{
	b.token = w.team;
	bed_want(&b, "PUT", "/v1/var/a?namespace=team", bed_quote(&b, "{'Items':{'k':'v'}}"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/a?namespace=team", bed_quote(&b, "{'Namespace':'default','Items':{'k':'v'}}"), 403,
		 "Permission denied");
}

CASE(volumes_need_rights_of_their_own)
{
	const char *body = bed_quote(&b, "{'Job':{'ID':'v','Datacenters':['dc1'],'TaskGroups':[{'Name':'g','Volumes':"
					 "{'data':{'Name':'data','Type':'host','Source':'disk-1','ReadOnly':false}},"
					 "'Tasks':[{'Name':'t','Driver':'exec','Config':{'command':'/x'}}]}]}}");

	bed_policy(&b, "writes", "namespace \"default\" { policy = \"write\" }");
	b.token = bed_token(&b, "writes", 0);
	bed_want(&b, "PUT", "/v1/jobs", body, 403, "Permission denied");
	bed_policy(&b, "writes",
		   "namespace \"default\" { policy = \"write\" }\nhost_volume \"disk-*\" { policy = \"read\" }");
	bed_want(&b, "PUT", "/v1/jobs", body, 403, "Permission denied");
	bed_policy(&b, "writes",
		   "namespace \"default\" { policy = \"write\" }\nhost_volume \"disk-*\" { policy = \"write\" }");
	bed_want(&b, "PUT", "/v1/jobs", body, 200, NULL);
	bed_want(&b, "PUT", "/v1/node/pools", bed_quote(&b, "{'Name':'x'}"), 403, "Permission denied");
	bed_policy(&b, "writes", "node_pool \"x\" { policy = \"write\" }");
	bed_want(&b, "PUT", "/v1/node/pools", bed_quote(&b, "{'Name':'x'}"), 200, NULL);
	bed_want(&b, "PUT", "/v1/node/pools", bed_quote(&b, "{'Name':'y'}"), 403, "Permission denied");
}

CASE(who_may_not_read_a_variable_is_not_told_it_by_writing)
{
	bed_policy(&b, "blind", "namespace \"default\" { variables { path \"hidden/*\" { capabilities = [\"write\"] } } }");
	b.token = bed_token(&b, "blind", 0);
	bed_want(&b, "GET", "/v1/var/hidden/var", NULL, 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/var/hidden/var?cas=1", bed_quote(&b, "{'Items':{'k':'v'}}"), 409, NULL);
	assert_null(strstr(bed_text(&b), "hidden/var\"}"));
	bed_is(&b, "Items", "null");
	bed_want(&b, "PUT", "/v1/var/hidden/var?lock-acquire", "{}", 200, NULL);
	bed_is(&b, "Items", "null");
}

/* ---- nodes, for the templates of their tasks ---- */

static void node_wants(const char *target, int status)
{
	b.token = NULL;
	b.node = kit_text(&b.kit, &w.node);
	bed_want(&b, "GET", target, NULL, status, status == 403 ? "Permission denied" : NULL);
	b.node = NULL;
}

static void put_variable(const char *path)
{
	char target[128];

	b.token = w.root;
	snprintf(target, sizeof(target), "/v1/var/%s", path);
	bed_want(&b, "PUT", target, bed_quote(&b, "{'Items':{'k':'v'}}"), 200, NULL);
}

CASE(a_node_gets_what_belongs_to_its_tasks_and_nothing_else)
{
	put_variable("nomad/jobs/hidden-web/g/t");
	put_variable("nomad/jobs/hidden-other");
	node_wants("/v1/var/nomad/jobs/hidden-web/g/t", 200);
	node_wants("/v1/var/nomad/jobs", 404);
	node_wants("/v1/var/nomad/jobs/hidden-web", 404);
	node_wants("/v1/var/nomad/jobs/hidden-web/h", 403);
	node_wants("/v1/var/nomad/jobs/hidden-other", 403);
	node_wants("/v1/var/hidden/var", 403);
	node_wants("/v1/var/nomad/jobs/hidden-web/g/t?namespace=team", 403);
	node_wants("/v1/vars?prefix=nomad", 200);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Path", "\"nomad/jobs/hidden-web/g/t\"");
	node_wants("/v1/vars?namespace=*", 403);
	node_wants("/v1/services", 200);
	node_wants("/v1/service/hidden-svc", 200);
	assert_int_equal(bed_length(&b, ""), 1);
	node_wants("/v1/service/hidden-svc?namespace=team", 403);
	node_wants("/v1/services?namespace=*", 403);
	node_wants("/v1/jobs", 403);
	node_wants("/v1/nodes", 403);
	node_wants("/v1/status/leader", 200);
	kit_report(&b.kit, &w.alloc, "complete");
	node_wants("/v1/var/nomad/jobs/hidden-web/g/t", 403);
	node_wants("/v1/services", 403);
}

CASE(policies_that_are_for_a_job_count_where_it_runs)
{
	struct acl_job what = {.namespace_ = "default", .job_id = "hidden-web", .group = "", .task = ""};
	struct acl_policy policy;

	object_init(&acl_policy_type, &policy);
	policy.name = "of-the-job";
	policy.rules = "namespace \"default\" { variables { path \"hidden/*\" { capabilities = [\"read\"] } } }";
	policy.job_acl = &what;
	assert_int_equal(kit_apply(&b.kit, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy})->status, 0);
	node_wants("/v1/var/hidden/var", 200);
	what.job_id = "another";
	assert_int_equal(kit_apply(&b.kit, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy})->status, 0);
	node_wants("/v1/var/hidden/var", 403);
}

static void task_wants(const char *path, const struct uuid *alloc, const char *task, int status)
{
	char id[UUID_TEXT];

	uuid_format(alloc, id);
	node_wants(bed_quote(&b, "/v1/var/%s?task=%s/%s", path, id, task), status);
}

/* Two jobs on a node. */
CASE(a_task_gets_what_is_its_own)
{
	struct uuid other;
	struct uuid eval;

	b.token = w.root;
	bed_register(&b, "hidden-more", "");
	eval = kit_newest_eval(&b.kit, "hidden-more")->id;
	kit_place(&b.kit, "hidden-more", &eval, &w.node, 1, &other);
	put_variable("nomad/jobs/hidden-more");
	put_variable("nomad/jobs/hidden-web/g/t");
	task_wants("nomad/jobs/hidden-web/g/t", &w.alloc, "t", 200);
	task_wants("nomad/jobs/hidden-more", &w.alloc, "t", 403);
	task_wants("nomad/jobs/hidden-more", &other, "t", 200);
	task_wants("nomad/jobs/hidden-web/g/t", &other, "t", 403);
	task_wants("nomad/jobs/hidden-web/g/t", &w.alloc, "u", 403);
	task_wants("nomad/jobs/hidden-web/g/t", &eval, "t", 403);
	node_wants("/v1/var/nomad/jobs/hidden-web/g/t?task=t", 403);
	node_wants("/v1/var/nomad/jobs/hidden-web/g/t?task=", 403);
	node_wants(bed_quote(&b, "/v1/vars?prefix=nomad&task=%s/t", kit_text(&b.kit, &other)), 200);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Path", "\"nomad/jobs/hidden-more\"");
	/* It is another node's. */
	b.token = NULL;
	b.node = kit_text(&b.kit, &eval);
	bed_want(&b, "GET", bed_quote(&b, "/v1/var/nomad/jobs/hidden-more?task=%s/t", kit_text(&b.kit, &other)), NULL, 403,
		 "Permission denied");
	b.node = NULL;
}

CASE(policies_that_are_for_a_task_count_for_that_alone)
{
	struct acl_job what = {.namespace_ = "default", .job_id = "hidden-web", .group = "g", .task = "t"};
	struct acl_policy policy;

	object_init(&acl_policy_type, &policy);
	policy.name = "of-the-task";
	policy.rules = "namespace \"default\" { variables { path \"hidden/*\" { capabilities = [\"read\"] } } }";
	policy.job_acl = &what;
	assert_int_equal(kit_apply(&b.kit, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy})->status, 0);
	task_wants("hidden/var", &w.alloc, "t", 200);
	node_wants("/v1/var/hidden/var", 403);
	what.task = "u";
	assert_int_equal(kit_apply(&b.kit, COMMAND_ACL_POLICY_PUT, &(struct acl_policy_put){&policy})->status, 0);
	task_wants("hidden/var", &w.alloc, "t", 403);
}

/* Its ID is new each time. */
CASE(a_child_gets_what_is_its_parents)
{
	struct uuid node;
	struct uuid alloc;
	const char *child;

	b.token = w.root;
	bed_register(&b, "hidden-par", "'Type':'batch','ParameterizedJob':{'Payload':'optional'},");
	bed_want(&b, "POST", "/v1/job/hidden-par/dispatch", "{}", 200, NULL);
	child = bed_json(&b, "DispatchedJobID"); /* In quotes. */
	child = arena_strndup(&b.kit.mem, child + 1, strlen(child) - 2);
	node = bed_place(&b, child, 1, &alloc);
	put_variable("nomad/jobs/hidden-par/g");
	b.token = NULL;
	b.node = kit_text(&b.kit, &node);
	bed_want(&b, "GET", bed_quote(&b, "/v1/var/nomad/jobs/hidden-par/g?task=%s/t", kit_text(&b.kit, &alloc)), NULL, 200,
		 NULL);
	b.node = NULL;
}

/* ---- time ---- */

CASE(what_policies_say_counts_at_once)
{
	bed_policy(&b, "p", "namespace \"default\" { policy = \"read\" }");
	b.token = bed_token(&b, "p", 0);
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 200, NULL);
	bed_policy(&b, "p", "namespace \"default\" { policy = \"deny\" }");
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 403, "Permission denied");
	kit_apply(&b.kit, COMMAND_ACL_POLICY_DELETE, &(struct name_delete){"p"});
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 403, "Permission denied");
	b.token = NULL;
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 403, "Permission denied");
	bed_policy(&b, "anonymous", "namespace \"default\" { policy = \"read\" }");
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 200, NULL);
}

CASE(a_query_that_waits_is_answered_by_what_the_token_may_do_then)
{
	struct kept k;
	char target[128];

	bed_policy(&b, "p", "namespace \"default\" { policy = \"read\" }");
	b.token = bed_token(&b, "p", 50);
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 200, NULL);
	snprintf(target, sizeof(target), "/v1/job/hidden-web?index=%lld", (long long)b.last.res.index);
	bed_start(&b, &k, "GET", target, NULL);
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	b.kit.now += 51 * SECOND;
	b.token = w.root;
	bed_want(&b, "PUT", "/v1/job/hidden-web/evaluate", NULL, 200, NULL);
	bed_want(&b, "DELETE", "/v1/job/hidden-web", NULL, 200, NULL);
	bed_pump(&b);
	assert_int_equal(k.answers, 1);
	assert_int_equal(k.res.status, 403);
	assert_string_equal(buf_text(&k.body), "ACL token expired");
	kept_close(&k);
}

/* ---- servers that follow ---- */

CASE(a_follower_looks_again_for_a_token_it_does_not_know)
{
	bed_lead(&b, false, true);
	b.token = "11111111-2222-3333-4444-555555555555";
	b.reads = 0;
	bed_want(&b, "PUT", "/v1/jobs/parse", bed_quote(&b, "{'JobHCL':'job'}"), 403, "ACL token not found");
	assert_int_equal(b.reads, 1);
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 403, "ACL token not found");
	assert_int_equal(b.reads, 2);
	bed_want(&b, "GET", "/v1/job/hidden-web?stale", NULL, 403, "ACL token not found");
	assert_int_equal(b.reads, 3);
	b.token = w.root;
	bed_want(&b, "GET", "/v1/job/hidden-web?stale", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/job/hidden-web", NULL, 200, NULL);
	assert_int_equal(b.reads, 4);
}

CASE(requests_with_tokens_a_follower_does_not_know_share_reads)
{
	struct kept all[8];

	bed_lead(&b, false, true);
	b.token = "11111111-2222-3333-4444-555555555555";
	b.reads = 0;
	b.hold = true;
	for (unsigned i = 0; i < 8; i++) {
		bed_start(&b, &all[i], "PUT", "/v1/jobs/parse", "{}");
	}
	assert_int_equal(b.reads, 1);
	b.hold = false;
	bed_pump(&b);
	assert_int_equal(b.reads, 2); /* The first has its own; all that came meanwhile the second. */
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(all[i].answers, 1);
		assert_int_equal(outcome_of(&all[i]), UNKNOWN);
		kept_close(&all[i]);
	}
	b.read_status = ERR_NOLEADER;
	bed_start(&b, &all[0], "PUT", "/v1/jobs/parse", "{}"); /* There may be one soon. */
	bed_start(&b, &all[1], "PUT", "/v1/jobs/parse", "{}");
	bed_sleep(&b, SECOND);
	assert_int_equal(all[0].answers + all[1].answers, 0);
	b.read_status = 0;
	bed_sleep(&b, SECOND);
	assert_int_equal(outcome_of(&all[0]), UNKNOWN);
	assert_int_equal(outcome_of(&all[1]), UNKNOWN);
	kept_close(&all[0]);
	kept_close(&all[1]);
	b.read_status = ERR_NOLEADER;
	b.token = "22222222-2222-3333-4444-555555555555";
	bed_start(&b, &all[0], "PUT", "/v1/jobs/parse", "{}");
	bed_sleep(&b, 6 * SECOND);
	assert_int_equal(all[0].answers, 1);
	assert_int_equal(all[0].res.status, 500);
	assert_string_equal(buf_text(&all[0].body), "No cluster leader");
	kept_close(&all[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		W(every_route_says_what_it_needs),
		W(every_route_refuses_what_is_no_token),
		W(every_route_refuses_a_token_for_another_namespace),
		W(every_route_refuses_a_token_that_lacks_what_it_needs),
		W(every_route_takes_a_token_that_has_what_it_needs),
		W(lists_tell_only_what_may_be_seen),
		W(jobs_that_are_asked_for_by_name_are_left_out),
		W(a_page_is_full_although_rows_are_passed_over),
		W(random_policies_decide_what_lists_tell),
		W(searches_find_only_what_may_be_seen),
		W(streams_tell_only_what_may_be_seen),
		W(a_topic_of_which_nothing_may_be_seen_is_refused),
		W(a_stream_ends_with_its_token),
		W(a_monitor_ends_with_its_token),
		W(an_object_that_is_not_there_is_missing_to_those_who_may_see_such),
		W(the_namespace_of_the_request_does_not_help_with_an_object_of_another),
		W(a_job_is_written_where_its_body_says),
		W(a_variable_is_written_where_its_body_says),
		W(volumes_need_rights_of_their_own),
		W(who_may_not_read_a_variable_is_not_told_it_by_writing),
		W(a_node_gets_what_belongs_to_its_tasks_and_nothing_else),
		W(policies_that_are_for_a_job_count_where_it_runs),
		W(a_task_gets_what_is_its_own),
		W(policies_that_are_for_a_task_count_for_that_alone),
		W(a_child_gets_what_is_its_parents),
		W(what_policies_say_counts_at_once),
		W(a_query_that_waits_is_answered_by_what_the_token_may_do_then),
		W(a_follower_looks_again_for_a_token_it_does_not_know),
		W(requests_with_tokens_a_follower_does_not_know_share_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
