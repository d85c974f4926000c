/* Variables and root keys. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "test/unit/server/api_case.h"

static void make_key(void)
{
	bed_want(&b, "PUT", "/v1/operator/keyring/rotate", NULL, 200, NULL);
}

/* As open_bed(), with a root key. */
static int open_with_key(void **state)
{
	open_bed(state);
	make_key();
	return 0;
}

#define K(name) cmocka_unit_test_setup_teardown(name, open_with_key, close_bed)

/* An item of so many bytes, with its key of one. */
static const char *items_of(size_t bytes)
{
	static char body[VARIABLE_BYTES_MAX + 64];
	size_t n = (size_t)snprintf(body, sizeof(body), "{\"Items\":{\"k\":\"");

	memset(body + n, 'v', bytes - 1);
	snprintf(body + n + bytes - 1, sizeof(body) - n - bytes + 1, "\"}}");
	return body;
}

static const char *items(const char *value)
{
	return bed_quote(&b, "{'Items':{'k':'%s'}}", value);
}

CASE(without_a_root_key_nothing_is_written)
{
	bed_want(&b, "GET", "/.well-known/jwks.json", NULL, 200, "{\"keys\":[]}");
	bed_want(&b, "GET", "/v1/operator/keyring/keys", NULL, 200, "[]");
	bed_want(&b, "PUT", "/v1/var/a", items("v"), 500, "the keyring is not ready yet: there is no root key");
}

CASE(a_variable_is_written_and_read)
{
	long long index;

	bed_want(&b, "GET", "/v1/var/a/b", NULL, 404, "variable not found");
	bed_want(&b, "PUT", "/v1/var/a/b", bed_quote(&b, "{'Path':'a/b','Items':{'x':'1','y':'zwei'}}"), 200, NULL);
	bed_is(&b, "Items", "{\"x\":\"1\",\"y\":\"zwei\"}");
	bed_is(&b, "Namespace", "\"default\"");
	bed_is(&b, "Path", "\"a/b\"");
	bed_is(&b, "Lock", "none");
	index = bed_number(&b, "ModifyIndex");
	assert_int_equal(bed_number(&b, "CreateIndex"), index);
	assert_true(bed_number(&b, "CreateTime") > 0);
	bed_want(&b, "GET", "/v1/var/a/b", NULL, 200, NULL);
	bed_is(&b, "Items.y", "\"zwei\"");
	assert_int_equal(b.last.res.index, index);
	bed_want(&b, "POST", "/v1/var/a/b", items("drei"), 200, NULL);
	assert_int_equal(bed_number(&b, "CreateIndex"), index);
	assert_true(bed_number(&b, "ModifyIndex") > index);
	bed_want(&b, "GET", "/v1/var/a%2Fb", NULL, 200, NULL);
	bed_is(&b, "Items", "{\"k\":\"drei\"}");
	bed_want(&b, "DELETE", "/v1/var/a/b", NULL, 204, "");
	bed_want(&b, "GET", "/v1/var/a/b", NULL, 404, NULL);
	bed_want(&b, "DELETE", "/v1/var/a/b", NULL, 204, "");
}

CASE(the_state_has_no_item_in_the_clear)
{
	const struct object_row *row;

	bed_want(&b, "PUT", "/v1/var/a", items("verysecrettext"), 200, NULL);
	row = state_variable(b.kit.v, "default", "a");
	assert_null(memmem(row->object->data, row->object->len, "verysecrettext", 14));
	bed_want(&b, "GET", "/v1/vars", NULL, 200, NULL);
	bed_is(&b, "0.Items", "none");
	bed_is(&b, "0.Path", "\"a\"");
}

CASE(what_no_key_opens_is_told)
{
	struct root_key key;
	struct variable_put p = {.namespace_ = "default", .path = "a", .lock_id = ""};

	assert_int_equal(state_active_key(b.kit.v, &key, &b.kit.mem), 0);
	p.key_id = key.id;
	p.data = (struct bytes){(const uint8_t *)"no sealed bytes, but as long as some", 36};
	assert_int_equal(kit_apply(&b.kit, COMMAND_VARIABLE_PUT, &p)->status, 0);
	bed_want(&b, "GET", "/v1/var/a", NULL, 500, "variable \"a\": it cannot be decrypted");
	bed_want(&b, "PUT", "/v1/var/a?cas=1", items("v"), 500, "variable \"a\": it cannot be decrypted");
	bed_want(&b, "PUT", "/v1/var/a", items("v"), 200, NULL);
}

CASE(bad_writes_are_refused)
{
	bed_want(&b, "PUT", "/v1/var/a", "{}", 400, "variable missing required Items object");
	bed_want(&b, "PUT", "/v1/var/a", "{\"Items\":{}}", 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a", "", 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a", "{\"Items\":{\"a\":1}}", 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a%20b", items("v"), 400, "invalid path \"a b\"");
	bed_want(&b, "PUT", "/v1/var/a.b", items("v"), 400, "invalid path \"a.b\"");
	bed_want(&b, "PUT", "/v1/var/nomad/x", items("v"), 400, NULL);
	assert_non_null(strstr(bed_text(&b), "reserved top-level directory path"));
	bed_want(&b, "PUT", "/v1/var/nomad/jobs/x", items("v"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/a", bed_quote(&b, "{'Path':'b','Items':{'k':'v'}}"), 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a?cas=x", items("v"), 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a?cas=-1", items("v"), 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a?cas=1&lock-acquire", items("v"), 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a?lock-renew&lock-acquire", items("v"), 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a?namespace=other", items("v"), 500, "namespace \"other\" does not exist");
	bed_want(&b, "PUT", "/v1/var/a?lock-acquire", "{\"Lock\":{\"TTL\":\"1s\"}}", 400, NULL);
	bed_want(&b, "PUT", "/v1/var/a?lock-acquire", "{\"Lock\":{\"LockDelay\":\"soon\"}}", 400, NULL);
	bed_want(&b, "PUT", "/v1/var/big", items_of(VARIABLE_BYTES_MAX), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/big", items_of(VARIABLE_BYTES_MAX + 1), 400, NULL);
	assert_non_null(strstr(bed_text(&b), "limited to 64KiB"));
	bed_want(&b, "GET", "/v1/var/a", NULL, 404, NULL);
}

CASE(check_and_set_shows_what_is_there)
{
	long long index;

	bed_want(&b, "PUT", "/v1/var/a?cas=7", items("one"), 409, NULL);
	bed_is(&b, "ModifyIndex", "0");
	bed_want(&b, "PUT", "/v1/var/a?cas=0", items("one"), 200, NULL);
	index = bed_number(&b, "ModifyIndex");
	bed_want(&b, "PUT", "/v1/var/a?cas=0", items("two"), 409, NULL);
	bed_is(&b, "Items.k", "\"one\"");
	assert_int_equal(bed_number(&b, "ModifyIndex"), index);
	bed_want(&b, "PUT", bed_quote(&b, "/v1/var/a?cas=%lld", index), items("two"), 200, NULL);
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/var/a?cas=%lld", index), NULL, 409, NULL);
	bed_is(&b, "Items.k", "\"two\"");
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/var/a?cas=%lld", bed_number(&b, "ModifyIndex")), NULL, 204, NULL);
}

CASE(variables_are_listed)
{
	const char *token;

	bed_want(&b, "GET", "/v1/vars", NULL, 200, "[]");
	bed_want(&b, "POST", "/v1/namespace", "{\"Name\":\"team\"}", 200, NULL);
	bed_want(&b, "PUT", "/v1/var/a/one", items("1"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/a/two", items("2"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/b", items("3"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/a/team?namespace=team", items("4"), 200, NULL);
	bed_want(&b, "GET", "/v1/vars", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_want(&b, "GET", "/v1/vars?prefix=a/", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_want(&b, "GET", "/v1/vars?prefix=a/&namespace=*", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 3);
	bed_is(&b, "2.Namespace", "\"team\"");
	bed_want(&b, "GET", "/v1/vars?namespace=team", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "GET", "/v1/vars?filter=Path%20matches%20%22o%22", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	bed_want(&b, "GET", "/v1/vars?per_page=2", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 2);
	token = b.last.res.next_token;
	assert_string_equal(token, "default.b");
	bed_want(&b, "GET", bed_quote(&b, "/v1/vars?per_page=2&next_token=%s", token), NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.Path", "\"b\"");
}

CASE(variables_are_found_by_their_paths)
{
	bed_want(&b, "PUT", "/v1/var/team/one", items("1"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/other/team", items("2"), 200, NULL);
	bed_want(&b, "POST", "/v1/search", bed_quote(&b, "{'Prefix':'team','Context':'vars'}"), 200, NULL);
	bed_is(&b, "Matches.vars", "[\"team/one\"]");
	bed_want(&b, "POST", "/v1/search/fuzzy", bed_quote(&b, "{'Text':'team','Context':'vars'}"), 200, NULL);
	assert_int_equal(bed_length(&b, "Matches.vars"), 2);
	bed_is(&b, "Matches.vars.0", "{\"ID\":\"team/one\",\"Scope\":[\"default\",\"team/one\"]}");
}

CASE(a_locked_variable_is_its_holders)
{
	const char *body;
	long long index;

	bed_want(&b, "PUT", "/v1/var/a", items("1"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/a?lock-acquire", bed_quote(&b, "{'Lock':{'TTL':'20s','LockDelay':'1m'}}"), 200,
		 NULL);
	bed_is(&b, "Items.k", "\"1\"");
	bed_is(&b, "Lock.TTL", "\"20s\"");
	bed_is(&b, "Lock.LockDelay", "\"1m0s\"");
	index = bed_number(&b, "ModifyIndex");
	body = bed_quote(&b, "{'Items':{'k':'2'},'Lock':{'ID':%s}}", bed_json(&b, "Lock.ID"));
	bed_want(&b, "GET", "/v1/vars", NULL, 200, NULL);
	bed_is(&b, "0.Lock.TTL", "\"20s\"");
	bed_want(&b, "PUT", "/v1/var/a?lock-acquire", "{}", 409, NULL);
	bed_is(&b, "Lock.ID", "none");
	bed_is(&b, "Lock.TTL", "\"20s\"");
	bed_want(&b, "PUT", "/v1/var/a", items("3"), 409, NULL);
	bed_want(&b, "DELETE", "/v1/var/a", NULL, 409, NULL);
	bed_want(&b, "PUT", "/v1/var/a?lock-renew", "{}", 409, NULL);
	bed_want(&b, "PUT", "/v1/var/a?lock-renew", body, 200, NULL);
	assert_int_equal(bed_number(&b, "ModifyIndex"), index);
	bed_is(&b, "Items", "none");
	bed_want(&b, "PUT", "/v1/var/a", body, 200, NULL);
	bed_is(&b, "Items.k", "\"2\"");
	bed_want(&b, "PUT", "/v1/var/other?lock-release", body, 404, "variable not found");
	bed_want(&b, "PUT", "/v1/var/a?lock-release", "{}", 409, NULL);
	bed_want(&b, "PUT", "/v1/var/a?lock-release", body, 200, NULL);
	bed_is(&b, "Lock", "none");
	bed_want(&b, "PUT", "/v1/var/a", items("3"), 200, NULL);
	bed_want(&b, "PUT", "/v1/var/new?lock-acquire", "{}", 200, NULL);
	bed_is(&b, "Lock.TTL", "\"15s\"");
	bed_is(&b, "Items", "null");
}

CASE(who_waits_for_a_variable_hears_of_its_change)
{
	struct kept k = {0};
	long long index;

	bed_want(&b, "PUT", "/v1/var/a", items("1"), 200, NULL);
	index = bed_number(&b, "ModifyIndex");
	bed_start(&b, &k, "GET", bed_quote(&b, "/v1/var/a?index=%lld", index), NULL);
	bed_want(&b, "PUT", "/v1/var/b", items("1"), 200, NULL);
	assert_int_equal(k.answers, 0);
	bed_want(&b, "PUT", "/v1/var/a", items("2"), 200, NULL);
	assert_int_equal(k.answers, 1);
	assert_string_equal(kept_json(&b, &k, "Items.k"), "\"2\"");
	kept_close(&k);
}

CASE(root_keys_come_and_go)
{
	char old[64];

	bed_want(&b, "GET", "/v1/operator/keyring/keys", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_is(&b, "0.State", "\"active\"");
	bed_is(&b, "0.Algorithm", "\"aes256-gcm\"");
	snprintf(old, sizeof(old), "%s", bed_json(&b, "0.KeyID") + 1);
	old[36] = '\0';
	bed_want(&b, "PUT", "/v1/var/a", items("1"), 200, NULL);
	bed_want(&b, "PUT", "/v1/operator/keyring/rotate?algo=none", NULL, 400, NULL);
	bed_want(&b, "PUT", "/v1/operator/keyring/rotate", NULL, 200, NULL);
	bed_is(&b, "Key.State", "\"active\"");
	bed_want(&b, "GET", "/.well-known/jwks.json", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, "keys"), 2);
	bed_is(&b, "keys.0.alg", "\"EdDSA\"");
	assert_int_equal(strlen(bed_json(&b, "keys.0.x")), 43 + 2);
	bed_want(&b, "GET", "/v1/var/a", NULL, 200, NULL); /* By the old key. */
	bed_is(&b, "Items.k", "\"1\"");
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/operator/keyring/key/%s", old), NULL, 500,
		 "root key in use, cannot delete");
	bed_want(&b, "PUT", "/v1/var/a", items("2"), 200, NULL);
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/operator/keyring/key/%s", old), NULL, 200, NULL);
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/operator/keyring/key/%s", old), NULL, 404, NULL);
	bed_want(&b, "GET", "/v1/operator/keyring/keys", NULL, 200, NULL);
	assert_int_equal(bed_length(&b, ""), 1);
	bed_want(&b, "DELETE", bed_quote(&b, "/v1/operator/keyring/key/%.36s?force=true", bed_json(&b, "0.KeyID") + 1),
		 NULL, 500, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_root_key_nothing_is_written),
		K(a_variable_is_written_and_read),
		K(the_state_has_no_item_in_the_clear),
		K(what_no_key_opens_is_told),
		K(bad_writes_are_refused),
		K(check_and_set_shows_what_is_there),
		K(variables_are_listed),
		K(variables_are_found_by_their_paths),
		K(a_locked_variable_is_its_holders),
		K(who_waits_for_a_variable_hears_of_its_change),
		K(root_keys_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
