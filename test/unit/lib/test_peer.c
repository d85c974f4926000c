#include "test/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "lib/peer.h"

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage addr = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&addr;

	if (strchr(text, ':') != NULL) {
		assert_int_equal(uv_ip6_addr(text, 1234, v6), 0);
	} else {
		assert_int_equal(uv_ip4_addr(text, 1234, v4), 0);
	}
	return addr;
}

static bool counted_as_one(const char *a, const char *b)
{
	const struct sockaddr_storage addrs[2] = {address(a), address(b)};
	uint8_t keys[2][PEER_KEY];

	peer_key_of(&addrs[0], keys[0]);
	peer_key_of(&addrs[1], keys[1]);
	return memcmp(keys[0], keys[1], PEER_KEY) == 0;
}

static void clients_are_counted_by_what_they_cannot_choose(void **state)
{
	(void)state;
	assert_true(counted_as_one("10.0.0.1", "10.0.0.1"));
	assert_false(counted_as_one("10.0.0.1", "10.0.0.2"));
	assert_true(counted_as_one("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
	assert_false(counted_as_one("2001:db8:1:2::1", "2001:db8:1:3::1"));
	assert_true(counted_as_one("fe80::1", "fe80::2"));
	assert_false(counted_as_one("::1", "127.0.0.1"));
}

/* As a socket for both families tells them. */
static void an_ipv4_address_is_one_however_it_is_written(void **state)
{
	(void)state;
	assert_true(counted_as_one("::ffff:10.0.0.1", "10.0.0.1"));
	assert_false(counted_as_one("::ffff:10.0.0.1", "::ffff:10.0.0.2"));
	assert_false(counted_as_one("::ffff:10.0.0.1", "::1"));
}

static void what_is_not_known_is_no_text(void **state)
{
	const struct sockaddr_storage none = {.ss_family = AF_UNSPEC};
	const uint8_t zero[PEER_KEY] = {0};
	uint8_t key[PEER_KEY];
	char text[64] = "x";
	uv_loop_t loop;
	uv_tcp_t tcp;

	(void)state;
	peer_key_of(&none, key);
	assert_memory_equal(key, zero, PEER_KEY);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_tcp_init(&loop, &tcp), 0);
	peer_text(&tcp, text, sizeof(text));
	assert_string_equal(text, "");
	uv_close((uv_handle_t *)&tcp, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_are_counted_by_what_they_cannot_choose),
		cmocka_unit_test(an_ipv4_address_is_one_however_it_is_written),
		cmocka_unit_test(what_is_not_known_is_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
