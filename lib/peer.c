#include "lib/peer.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"

void peer_key_of(const struct sockaddr_storage *addr, uint8_t key[PEER_KEY])
{
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;

	memset(key, 0, PEER_KEY);
	if (addr->ss_family == AF_INET) {
		memcpy(key + 12, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
	} else if (addr->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6)) {
		memcpy(key + 12, v6->s6_addr + 12, 4);
	} else if (addr->ss_family == AF_INET6) {
		memcpy(key, v6->s6_addr, 8);
	}
}

static struct sockaddr_storage address_of(const uv_tcp_t *tcp)
{
	struct sockaddr_storage addr = {0};
	int len = sizeof(addr);

	if (uv_tcp_getpeername(tcp, (struct sockaddr *)&addr, &len) != 0) {
		addr.ss_family = AF_UNSPEC;
	}
	return addr;
}

void peer_key(const uv_tcp_t *tcp, uint8_t key[PEER_KEY])
{
	struct sockaddr_storage addr = address_of(tcp);

	peer_key_of(&addr, key);
}

void peer_text(const uv_tcp_t *tcp, char *text, size_t size)
{
	struct sockaddr_storage addr = address_of(tcp);
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&addr;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&addr;
	char host[INET6_ADDRSTRLEN] = "";
	char joined[ADDRESS_MAX] = "";

	if (addr.ss_family == AF_INET6 && uv_ip6_name(v6, host, sizeof(host)) == 0) {
		address_join(host, ntohs(v6->sin6_port), joined);
	} else if (addr.ss_family == AF_INET && uv_ip4_name(v4, host, sizeof(host)) == 0) {
		address_join(host, ntohs(v4->sin_port), joined);
	}
	snprintf(text, size, "%s", joined);
}
