#include "test/unit/unit.h"

#include "cli/netaddr.h"

static void hosts_are_told_from_other_texts(void **state)
{
	static const char *const good[] = {"127.0.0.1", "::1", "fe80::1", "localhost", "a.b-c.example",
					   "s1",        "a.",  "a_b",     "x1.2"};
	static const char *const bad[] = {"",
					  ".",
					  "a..b",
					  ".a",
					  "a b",
					  "1.2.3",
					  "1.2.3.400",
					  "a/b",
					  "[::1]",
					  "::g",
					  "{{ GetInterfaceIP \"eth0\" }}",
					  "a:1"};
	char label[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(netaddr_is_host(good[i]));
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(netaddr_is_host(bad[i]));
	}
	memset(label, 'a', sizeof(label));
	label[64] = '\0';
	assert_false(netaddr_is_host(label));
	label[63] = '\0';
	assert_true(netaddr_is_host(label));
	memset(label, 'a', sizeof(label));
	label[50] = label[100] = label[150] = label[200] = label[250] = '.';
	label[254] = '\0';
	assert_false(netaddr_is_host(label));
	label[253] = '\0';
	assert_true(netaddr_is_host(label));
}

static void a_port_may_be_left_out(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned port;
	} good[] = {{"10.0.0.1", "10.0.0.1", 7}, {"10.0.0.1:80", "10.0.0.1", 80}, {"::1", "::1", 7},
		    {"[::1]", "::1", 7},         {"[::1]:80", "::1", 80},         {"web", "web", 7},
		    {"web:65535", "web", 65535}};
	static const char *const bad[] = {
		"",     ":80",     "web:",   "web:0",    "web:65536", "web:8x",     "web:80:80",
		"[::1", "[::1]80", "[::1]:", "[web]:80", "[]:80",     "10.0.0.1:-1"};
	char host[NETADDR_HOST] = "untouched";
	char text[NETADDR_TEXT];
	unsigned port = 9;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(netaddr_parse(bad[i], 7, host, &port));
	}
	assert_string_equal(host, "untouched");
	assert_int_equal(port, 9);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(netaddr_parse(good[i].text, 7, host, &port));
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
		netaddr_format(host, port, text);
		assert_true(netaddr_parse(text, 1, host, &port));
		assert_int_equal(port, good[i].port);
	}
}

static void loopback_and_wildcard_addresses_are_known(void **state)
{
	(void)state;
	assert_true(netaddr_is_loopback("127.0.3.4"));
	assert_true(netaddr_is_loopback("::1"));
	assert_false(netaddr_is_loopback("10.0.0.1"));
	assert_true(netaddr_is_wildcard("0.0.0.0"));
	assert_true(netaddr_is_wildcard("::"));
	assert_false(netaddr_is_wildcard("::1"));
}

static void the_own_address_is_an_address(void **state)
{
	char host[NETADDR_HOST];

	(void)state;
	if (netaddr_own(host)) { /* A machine without a network has none. */
		assert_true(netaddr_is_host(host));
		assert_false(netaddr_is_loopback(host));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_told_from_other_texts),
		cmocka_unit_test(a_port_may_be_left_out),
		cmocka_unit_test(loopback_and_wildcard_addresses_are_known),
		cmocka_unit_test(the_own_address_is_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
