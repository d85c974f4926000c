/* Policies, tokens, roles and the first token, as the API has them. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

static int open_acl(void **state)
{
	(void)state;
	bed_open_acl(&b);
	return 0;
}

#define A(name) cmocka_unit_test_setup_teardown(name, open_acl, close_bed)

/* A text member of the last answer, without its quotes. */
static const char *text_of(const char *path)
{
	const char *json = bed_json(&b, path);
	size_t n = strlen(json);
	char *text;

	assert_true(n >= 2 && json[0] == '"');
	text = arena_strndup(&b.kit.mem, json + 1, n - 2);
	assert_non_null(text);
	return text;
}

static void put_policy(const char *name)
{
	char target[200];

	snprintf(target, sizeof(target), "/v1/acl/policy/%s", name);
	bed_want(&b, "PUT", target,
		 bed_quote(&b, "{'Name':'%s','Rules':'node { policy = \\\"read\\\" }'}", name), 200, NULL);
}

/* A client token: its secret; the accessor is in the last answer. */
static const char *make_token(const char *more)
{
	bed_want(&b, "POST", "/v1/acl/token", bed_quote(&b, "{'Name':'t','Type':'client',%s}", more), 200, NULL);
	return text_of("SecretID");
}

static const char *path_of(const char *before, const char *id)
{
	return arena_printf(&b.kit.mem, "%s%s", before, id);
}

CASE(without_access_control_everything_says_so)
{
	bed_want(&b, "GET", "/v1/acl/policies", NULL, 400, "ACL support disabled");
	bed_want(&b, "POST", "/v1/acl/bootstrap", "", 400, "ACL support disabled");
	bed_want(&b, "PUT", "/v1/acl/token", "{}", 400, "ACL support disabled");
	bed_want(&b, "GET", "/v1/acl/token/self", NULL, 400, "ACL support disabled");
	bed_want(&b, "GET", "/v1/acl/role/name/x", NULL, 400, "ACL support disabled");
	bed_want(&b, "GET", "/v1/acl/auth-methods", NULL, 400, "ACL support disabled");
	bed_want(&b, "GET", "/v1/acl/whatever", NULL, 400, "ACL support disabled");
}

CASE(the_first_token_is_made_once)
{
	long long index;

	b.token = NULL;
	bed_want(&b, "GET", "/v1/acl/token/self", NULL, 200, NULL);
	bed_is(&b, "AccessorID", "\"anonymous\"");
	b.token = BED_MANAGER;
	bed_want(&b, "GET", "/v1/acl/token/self", NULL, 200, NULL);
	bed_is(&b, "Name", "\"Bootstrap Token\"");
	bed_is(&b, "Type", "\"management\"");
	bed_is(&b, "Global", "true");
	bed_is(&b, "SecretID", "\"" BED_MANAGER "\"");
	bed_is(&b, "ExpirationTime", "none");
	index = bed_number(&b, "CreateIndex");
	bed_want(&b, "POST", "/v1/acl/bootstrap", NULL, 400,
		 bed_quote(&b, "ACL bootstrap already done (reset index: %lld)", index));
	bed_want(&b, "POST", "/v1/acl/bootstrap", "{\"BootstrapSecret\":\"badtoken\"}", 400, "invalid acl token");
}

CASE(an_operator_lets_a_first_token_be_made_again)
{
	long long index;

	bed_want(&b, "GET", "/v1/acl/token/self", NULL, 200, NULL);
	index = bed_number(&b, "CreateIndex");
	b.reset_index = index + 7;
	bed_want(&b, "POST", "/v1/acl/bootstrap", NULL, 400,
		 bed_quote(&b, "Invalid bootstrap reset index (specified %lld, reset index: %lld)", index + 7, index));
	b.reset_index = index;
	bed_want(&b, "POST", "/v1/acl/bootstrap", NULL, 200, NULL);
	assert_true(bed_number(&b, "CreateIndex") > index);
	assert_string_not_equal(text_of("SecretID"), BED_MANAGER);
	bed_want(&b, "POST", "/v1/acl/bootstrap", NULL, 400, NULL); /* The index has been used. */
	bed_want(&b, "GET", "/v1/acl/tokens", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
}

CASE(policies_are_written_listed_read_and_removed)
{
	long long index;

	bed_want(&b, "GET", "/v1/acl/policies", NULL, 200, "[]");
	assert_true(b.last.res.index > 0);
	bed_want(&b, "PUT", "/v1/acl/policy/p1",
		 bed_quote(&b, "{'Name':'p1','Description':'d','Rules':'namespace \\\"default\\\" { policy = \\\"read\\\" }'}"),
		 200, NULL);
	index = (long long)b.last.res.index;
	bed_want(&b, "GET", "/v1/acl/policy/p1", NULL, 200, NULL);
	bed_is(&b, "Name", "\"p1\"");
	bed_is(&b, "Description", "\"d\"");
	bed_is(&b, "Rules", "\"namespace \\\"default\\\" { policy = \\\"read\\\" }\"");
	assert_int_equal(strlen(text_of("Hash")), 44);
	assert_int_equal(bed_number(&b, "CreateIndex"), index);
	put_policy("q1");
	bed_want(&b, "GET", "/v1/acl/policies", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.Rules", "none");
	bed_want(&b, "GET", "/v1/acl/policies?prefix=q", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Name", "\"q1\"");
	bed_want(&b, "DELETE", "/v1/acl/policy/p1", NULL, 200, "");
	bed_want(&b, "DELETE", "/v1/acl/policy/p1", NULL, 404, "ACL policy p1 not found");
	bed_want(&b, "GET", "/v1/acl/policy/p1", NULL, 404, "ACL policy not found");
}

CASE(bad_policies_are_refused)
{
	bed_want(&b, "PUT", "/v1/acl/policy/p", "", 400, "Request body is empty");
	bed_want(&b, "PUT", "/v1/acl/policy/p", "{\"Name\":\"q\"}", 400, "ACL policy name does not match request path");
	bed_want(&b, "PUT", "/v1/acl/policy/a_b", "{\"Name\":\"a_b\"}", 400, NULL);
	assert_non_null(strstr(bed_text(&b), "invalid Name"));
	bed_want(&b, "PUT", "/v1/acl/policy/p", "{\"Name\":\"p\",\"Rules\":\"namespace {\"}", 400, NULL);
	assert_non_null(strstr(bed_text(&b), "failed to parse rules: "));
	bed_want(&b, "PUT", "/v1/acl/policy/p", "{\"Name\":\"p\",\"Rules\":\"node { policy = \\\"fly\\\" }\"}", 400,
		 NULL);
	assert_non_null(strstr(bed_text(&b), "fly"));
	bed_want(&b, "GET", "/v1/acl/policies", NULL, 200, "[]");
}

CASE(a_token_is_made_read_changed_and_removed)
{
	const char *secret = make_token("'Policies':['foo1']");
	const char *accessor = text_of("AccessorID");
	const char *target = path_of("/v1/acl/token/", accessor);
	long long created = bed_number(&b, "CreateIndex");

	assert_int_equal(strlen(accessor), 36);
	bed_is(&b, "Policies", "[\"foo1\"]");
	bed_is(&b, "Global", "false");
	assert_int_equal(strlen(text_of("Hash")), 44);
	bed_want(&b, "GET", target, NULL, 200, NULL);
	assert_string_equal(text_of("SecretID"), secret);
	bed_want(&b, "PUT", target,
		 bed_quote(&b, "{'AccessorID':'%s','Name':'other','Type':'client','Policies':['x','y']}", accessor),
		 200, NULL);
	bed_is(&b, "Name", "\"other\"");
	bed_is(&b, "Policies", "[\"x\",\"y\"]");
	assert_string_equal(text_of("SecretID"), secret);
	assert_int_equal(bed_number(&b, "CreateIndex"), created);
	assert_true(bed_number(&b, "ModifyIndex") > created);
	bed_want(&b, "PUT", target, bed_quote(&b, "{'Type':'client','Policies':['x'],'Global':true}"), 400,
		 "cannot toggle global mode of a token");
	bed_want(&b, "PUT", target,
		 bed_quote(&b, "{'Type':'client','Policies':['x'],'SecretID':'" BED_MANAGER "'}"), 400, NULL);
	bed_want(&b, "PUT", target, bed_quote(&b, "{'Type':'client','Policies':['x'],'ExpirationTTL':'10m'}"), 400,
		 "cannot update expiration TTL");
	bed_want(&b, "PUT", target,
		 bed_quote(&b, "{'AccessorID':'" BED_MANAGER "','Type':'client','Policies':['x']}"), 400,
		 "token accessor ID does not match request path");
	bed_want(&b, "DELETE", target, NULL, 200, "");
	bed_want(&b, "DELETE", target, NULL, 404, "ACL token not found");
	bed_want(&b, "GET", target, NULL, 404, "ACL token not found");
	bed_want(&b, "GET", "/v1/acl/token/nonsense", NULL, 404, "ACL token not found");
}

CASE(bad_tokens_are_refused)
{
	static const struct {
		const char *body, *text;
	} cases[] = {
		{"{'Type':'client'}", "client token missing policies or roles"},
		{"{'Type':'management','Policies':['x']}",
		 "management token cannot be associated with policies or roles"},
		{"{'Type':'boss'}", "Type of a token must be client or management"},
		{"{'Policies':['x']}", "Type of a token must be client or management"},
		{"{'Type':'client','Policies':['a b']}",
		 "Policies has an invalid name: it must match ^[a-zA-Z0-9-]{1,128}$"},
		{"{'Type':'client','Roles':[{'Name':'r'}]}", "cannot find role r"},
		{"{'Type':'client','Policies':['x'],'ExpirationTTL':'10s'}",
		 "expiration time cannot be less than 1m0s in the future"},
		{"{'Type':'client','Policies':['x'],'ExpirationTTL':'25h'}",
		 "expiration time cannot be more than 24h0m0s in the future"},
		{"{'Type':'client','Policies':['x'],'ExpirationTTL':-5}", "ExpirationTTL must not be negative"},
		{"{'Type':'client','Policies':['x'],'ExpirationTime':'2001-01-01T00:00:00Z'}",
		 "expiration time cannot be before create time"},
		{"{'Type':'client','Policies':['x'],'ExpirationTTL':'1h','ExpirationTime':'2101-01-01T00:00:00Z'}",
		 "only one of ExpirationTTL and ExpirationTime may be given"},
		{"{'AccessorID':'" BED_MANAGER "','Type':'management'}",
		 "AccessorID and SecretID of a new token are not given here, but at /v1/acl/token/:accessor"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bed_want(&b, "POST", "/v1/acl/token", bed_quote(&b, "%s", cases[i].body), 400, cases[i].text);
	}
	bed_want(&b, "GET", "/v1/acl/tokens", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
}

#define UPLOADED "b306571d-a3fa-42d2-ac5b-bbe49d8c3c7f"

CASE(a_token_may_come_with_its_own_ids)
{
	const char *secret = "c28ba0f6-ab8d-4e4d-b9f0-7f9f5d1c2e3a";

	bed_want(&b, "PUT", "/v1/acl/token/" UPLOADED, bed_quote(&b, "{'Type':'client','Policies':['x']}"), 404, NULL);
	bed_want(&b, "PUT", "/v1/acl/token/" UPLOADED,
		 bed_quote(&b, "{'Type':'management','SecretID':'%s'}", secret), 400,
		 "cannot upload management tokens");
	bed_want(&b, "PUT", "/v1/acl/token/" UPLOADED,
		 bed_quote(&b, "{'Type':'client','Policies':['x'],'SecretID':'" BED_MANAGER "'}"), 400,
		 "a token with this SecretID exists already");
	bed_want(&b, "PUT", "/v1/acl/token/" UPLOADED,
		 bed_quote(&b, "{'Type':'client','Policies':['x'],'SecretID':'%s'}", secret), 200, NULL);
	bed_is(&b, "AccessorID", "\"" UPLOADED "\"");
	assert_string_equal(text_of("SecretID"), secret);
	b.token = secret;
	bed_want(&b, "GET", "/v1/acl/token/self", NULL, 200, NULL);
	bed_is(&b, "AccessorID", "\"" UPLOADED "\"");
}

CASE(lists_have_no_secrets_and_come_in_pages)
{
	const char *secrets[3];
	const char *next;

	for (unsigned i = 0; i < 3; i++) {
		secrets[i] = make_token("'Policies':['p']");
	}
	bed_want(&b, "POST", "/v1/acl/token", bed_quote(&b, "{'Type':'management','Global':true}"), 200, NULL);
	bed_want(&b, "GET", "/v1/acl/tokens", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 5);
	for (unsigned i = 0; i < 3; i++) {
		assert_null(strstr(bed_text(&b), secrets[i]));
	}
	assert_null(strstr(bed_text(&b), "SecretID"));
	assert_true(bed_number(&b, "1.CreateIndex") < bed_number(&b, "2.CreateIndex"));
	bed_want(&b, "GET", "/v1/acl/tokens?global=true", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_want(&b, "GET", "/v1/acl/tokens?reverse=true&per_page=1", NULL, 200, NULL);
	bed_is(&b, "0.Type", "\"management\"");
	bed_want(&b, "GET", "/v1/acl/tokens?per_page=2", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.Name", "\"Bootstrap Token\"");
	next = arena_strdup(&b.kit.mem, b.last.res.next_token);
	bed_want(&b, "GET", arena_printf(&b.kit.mem, "/v1/acl/tokens?per_page=5&next_token=%s", next), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_want(&b, "GET", "/v1/acl/tokens?filter=Type==%22client%22", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
}

CASE(who_is_no_manager_sees_his_own)
{
	const char *manager_accessor;
	const char *accessor;
	const char *secret;
	const char *role;

	put_policy("p1");
	put_policy("p2");
	put_policy("p3");
	put_policy("anonymous");
	bed_want(&b, "POST", "/v1/acl/role", bed_quote(&b, "{'Name':'r1','Policies':[{'Name':'p2'}]}"), 200, NULL);
	role = text_of("ID");
	bed_want(&b, "POST", "/v1/acl/role", bed_quote(&b, "{'Name':'r2','Policies':[{'Name':'p3'}]}"), 200, NULL);
	bed_want(&b, "GET", "/v1/acl/token/self", NULL, 200, NULL);
	manager_accessor = text_of("AccessorID");
	secret = make_token("'Policies':['p1'],'Roles':[{'Name':'r1'}]");
	accessor = text_of("AccessorID");
	b.token = secret;
	bed_want(&b, "GET", "/v1/acl/policies", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_is(&b, "0.Name", "\"p1\"");
	bed_is(&b, "1.Name", "\"p2\"");
	bed_want(&b, "GET", "/v1/acl/policy/self", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_want(&b, "GET", "/v1/acl/policy/p2", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/acl/policy/p3", NULL, 403, "Permission denied");
	bed_want(&b, "GET", "/v1/acl/policy/none", NULL, 403, "Permission denied");
	bed_want(&b, "GET", path_of("/v1/acl/token/", accessor), NULL, 200, NULL);
	bed_want(&b, "GET", path_of("/v1/acl/token/", manager_accessor), NULL, 403, "Permission denied");
	bed_want(&b, "GET", "/v1/acl/roles", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", path_of("/v1/acl/role/", role), NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/acl/role/name/r1", NULL, 200, NULL);
	bed_want(&b, "GET", "/v1/acl/role/name/r2", NULL, 403, "Permission denied");
	b.token = NULL;
	bed_want(&b, "GET", "/v1/acl/policies", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Name", "\"anonymous\"");
	bed_want(&b, "GET", "/v1/acl/policy/p1", NULL, 403, "Permission denied");
	bed_want(&b, "GET", path_of("/v1/acl/token/", accessor), NULL, 403, "Permission denied");
	bed_want(&b, "GET", "/v1/acl/roles", NULL, 200, "[]");
	bed_want(&b, "PUT", "/v1/acl/token/onetime", NULL, 403, "Permission denied");
}

CASE(roles_are_written_listed_read_and_removed)
{
	const char *id;
	const char *token;

	put_policy("p1");
	put_policy("p2");
	bed_want(&b, "GET", "/v1/acl/roles", NULL, 200, "[]");
	bed_want(&b, "POST", "/v1/acl/role", bed_quote(&b, "{'Name':'r','Policies':[]}"), 400, NULL);
	bed_want(&b, "POST", "/v1/acl/role", bed_quote(&b, "{'Name':'r r','Policies':[{'Name':'p1'}]}"), 400, NULL);
	bed_want(&b, "POST", "/v1/acl/role",
		 bed_quote(&b, "{'Name':'r','Policies':[{'Name':'px'}]}"), 400, "cannot find policy px");
	bed_want(&b, "POST", "/v1/acl/role",
		 bed_quote(&b, "{'Name':'r','Policies':[{'Name':'p1'},{'Name':'p1'}]}"), 200, NULL);
	id = text_of("ID");
	bed_is(&b, "Policies", "[{\"Name\":\"p1\"}]");
	bed_want(&b, "POST", "/v1/acl/role", bed_quote(&b, "{'Name':'r','Policies':[{'Name':'p2'}]}"), 400,
		 "role with name r already exists");
	(void)make_token("'Roles':[{'Name':'r'}]");
	bed_is(&b, "Roles.0.Name", "\"r\"");
	token = path_of("/v1/acl/token/", text_of("AccessorID"));
	bed_want(&b, "PUT", path_of("/v1/acl/role/", id),
		 bed_quote(&b, "{'Name':'renamed','Description':'d','Policies':[{'Name':'p1'},{'Name':'p2'}]}"),
		 200, NULL);
	assert_string_equal(text_of("ID"), id);
	bed_want(&b, "GET", token, NULL, 200, NULL);
	bed_is(&b, "Roles.0.Name", "\"renamed\"");
	bed_want(&b, "GET", "/v1/acl/role/name/r", NULL, 404, "ACL role not found");
	bed_want(&b, "GET", "/v1/acl/role/name/renamed", NULL, 200, NULL);
	bed_want(&b, "DELETE", "/v1/acl/policy/p2", NULL, 200, "");
	bed_want(&b, "GET", path_of("/v1/acl/role/", id), NULL, 200, NULL);
	bed_is(&b, "Policies", "[{\"Name\":\"p1\"}]");
	bed_want(&b, "DELETE", path_of("/v1/acl/role/", id), NULL, 200, "");
	bed_want(&b, "GET", token, NULL, 200, NULL);
	assert_int_equal(bed_length(&b, "Roles"), 0);
	bed_want(&b, "DELETE", path_of("/v1/acl/role/", id), NULL, 404, "ACL role not found");
	bed_want(&b, "GET", path_of("/v1/acl/role/", id), NULL, 404, "ACL role not found");
	bed_want(&b, "PUT", path_of("/v1/acl/role/", id),
		 bed_quote(&b, "{'Name':'r','Policies':[{'Name':'p1'}]}"), 404, NULL);
}

CASE(a_one_time_token_is_good_once)
{
	const char *secret = make_token("'Policies':['p']");
	const char *accessor = text_of("AccessorID");
	const char *body;
	struct kept k;

	b.token = secret;
	bed_want(&b, "PUT", "/v1/acl/token/onetime", NULL, 200, NULL);
	assert_string_equal(text_of("OneTimeToken.AccessorID"), accessor);
	body = bed_quote(&b, "{'OneTimeSecretID':'%s'}", text_of("OneTimeToken.OneTimeSecretID"));
	b.token = NULL;
	b.write_status = ERR_NOTLEADER; /* So it was not exchanged, and may be. */
	bed_start(&b, &k, "PUT", "/v1/acl/token/onetime/exchange", body);
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	b.write_status = 0;
	bed_sleep(&b, SECOND);
	assert_int_equal(k.answers, 1);
	assert_string_equal(kept_json(&b, &k, "Token.SecretID"), arena_printf(&b.kit.mem, "\"%s\"", secret));
	kept_close(&k);
	bed_want(&b, "PUT", "/v1/acl/token/onetime/exchange", body, 403, "Permission denied");
	bed_want(&b, "PUT", "/v1/acl/token/onetime/exchange", "{\"OneTimeSecretID\":\"x\"}", 403, "Permission denied");
	b.token = secret;
	bed_want(&b, "PUT", "/v1/acl/token/onetime", NULL, 200, NULL);
	body = bed_quote(&b, "{'OneTimeSecretID':'%s'}", text_of("OneTimeToken.OneTimeSecretID"));
	b.kit.now += 11 * NS_PER_MIN;
	bed_want(&b, "PUT", "/v1/acl/token/onetime/exchange", body, 403, "Permission denied");
}

CASE(a_token_that_ends_has_a_time)
{
	const char *secret = make_token("'Policies':['p'],'ExpirationTTL':'10m'");

	assert_string_not_equal(bed_json(&b, "ExpirationTime"), "none");
	assert_int_equal(bed_number(&b, "ExpirationTTL"), 10 * NS_PER_MIN);
	b.token = secret;
	bed_want(&b, "GET", "/v1/acl/policies", NULL, 200, "[]");
	assert_true(acl_token_row_expired(state_acl_token_by_secret(b.kit.v, secret), b.kit.now + 10 * NS_PER_MIN));
	assert_false(acl_token_row_expired(state_acl_token_by_secret(b.kit.v, secret), b.kit.now + 9 * NS_PER_MIN));
}

CASE(a_change_wakes_who_waits_for_it)
{
	struct kept k;
	long long index;

	put_policy("p");
	index = (long long)b.last.res.index;
	bed_start(&b, &k, "GET", arena_printf(&b.kit.mem, "/v1/acl/policy/p?index=%lld&wait=1m", index), NULL);
	bed_pump(&b);
	assert_int_equal(k.answers, 0);
	bed_want(&b, "PUT", "/v1/acl/policy/p", bed_quote(&b, "{'Name':'p','Description':'new'}"), 200, NULL);
	assert_int_equal(k.answers, 1);
	assert_string_equal(kept_json(&b, &k, "Description"), "\"new\"");
	kept_close(&k);
}

CASE(what_is_not_built_says_so)
{
	bed_want(&b, "GET", "/v1/acl/auth-methods", NULL, 200, "[]");
	bed_want(&b, "GET", "/v1/acl/binding-rules", NULL, 200, "[]");
	bed_want(&b, "PUT", "/v1/acl/login", "{}", 501, NULL);
	bed_want(&b, "PUT", "/v1/acl/auth-method", "{}", 501, NULL);
	bed_want(&b, "GET", "/v1/acl/whatever", NULL, 404, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_access_control_everything_says_so),
		A(the_first_token_is_made_once),
		A(an_operator_lets_a_first_token_be_made_again),
		A(policies_are_written_listed_read_and_removed),
		A(bad_policies_are_refused),
		A(a_token_is_made_read_changed_and_removed),
		A(bad_tokens_are_refused),
		A(a_token_may_come_with_its_own_ids),
		A(lists_have_no_secrets_and_come_in_pages),
		A(who_is_no_manager_sees_his_own),
		A(roles_are_written_listed_read_and_removed),
		A(a_one_time_token_is_good_once),
		A(a_token_that_ends_has_a_time),
		A(a_change_wakes_who_waits_for_it),
		A(what_is_not_built_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
