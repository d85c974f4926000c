#include "test/unit/unit.h"

#include "lib/address.h"

static void splits(const char *text, const char *host, unsigned port)
{
	char got[ADDRESS_HOST_MAX] = "untouched";
	char again[ADDRESS_MAX];
	unsigned got_port = 1;

	assert_true(address_split(text, got, &got_port));
	assert_string_equal(got, host);
	assert_int_equal(got_port, port);
	address_join(host, port, again);
	assert_string_equal(again, text);
}

static void is_refused(const char *text)
{
	char got[ADDRESS_HOST_MAX] = "untouched";
	unsigned port = 77;

	assert_false(address_split(text, got, &port));
	assert_string_equal(got, "untouched");
	assert_int_equal(port, 77);
}

static void names_and_both_families_are_split_and_joined(void **state)
{
	(void)state;
	splits("10.0.0.1:4647", "10.0.0.1", 4647);
	splits("server-1.example.com:1", "server-1.example.com", 1);
	splits("[::1]:65535", "::1", 65535);
	splits("[fe80::1%eth0]:80", "fe80::1%eth0", 80);
	splits("0.0.0.0:0", "0.0.0.0", 0);
}

static void what_has_no_clear_port_is_refused(void **state)
{
	(void)state;
	is_refused("");
	is_refused("host");
	is_refused("host:");
	is_refused(":80");
	is_refused("::1:80");
	is_refused("[::1]80");
	is_refused("[::1]");
	is_refused("[::1:80");
	is_refused("[host]:80");
	is_refused("[]:80");
	is_refused("host:65536");
	is_refused("host:99999999999");
	is_refused("host:-1");
	is_refused("host:+1");
	is_refused("host: 1");
	is_refused("host:80x");
	is_refused("a:b:80");
}

static void a_host_is_as_long_as_a_name_may_be(void **state)
{
	char host[ADDRESS_HOST_MAX + 1] = "";
	char text[ADDRESS_MAX + 8];

	(void)state;
	memset(host, 'a', ADDRESS_HOST_MAX - 1);
	snprintf(text, sizeof(text), "%s:65535", host);
	splits(text, host, 65535);
	memset(host, 'a', ADDRESS_HOST_MAX);
	snprintf(text, sizeof(text), "%s:80", host);
	is_refused(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_both_families_are_split_and_joined),
		cmocka_unit_test(what_has_no_clear_port_is_refused),
		cmocka_unit_test(a_host_is_as_long_as_a_name_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
