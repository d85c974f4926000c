#include "cli/netaddr.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool is_ip(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 characters with dots between, not all of digits: that would be a mistyped address. */
static bool is_name(const char *text)
{
	size_t label = 0;
	bool letters = false;
	const char *c;

	for (c = text; *c != '\0'; c++) {
		label = *c == '.' ? 0 : label + 1;
		letters = letters || (*c != '.' && (*c < '0' || *c > '9'));
		if (label > 63 || (*c == '.' ? c == text || c[1] == '.' : !is_name_char(*c))) {
			return false;
		}
	}
	return letters && c - text < NETADDR_HOST;
}

bool netaddr_is_host(const char *text)
{
	return is_ip(text) || is_name(text);
}

static bool parse_port(const char *text, unsigned *port)
{
	size_t digits = strspn(text, "0123456789");
	unsigned value;

	if (digits == 0 || digits > 5 || text[digits] != '\0') {
		return false;
	}
	sscanf(text, "%u", &value);
	if (value == 0 || value > 65535) {
		return false;
	}
	*port = value;
	return true;
}

bool netaddr_parse(const char *text, unsigned port_default, char host[NETADDR_HOST], unsigned *port)
{
	char copy[NETADDR_TEXT + 2];
	char *from = copy;
	char *colon = NULL;
	unsigned value = port_default;

	if (strlen(text) >= sizeof(copy)) {
		return false;
	}
	strcpy(copy, text);
	if (copy[0] == '[') {
		char *end = strchr(copy, ']');

		if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
			return false;
		}
		from = copy + 1;
		colon = end[1] == ':' ? end + 1 : NULL;
		*end = '\0';
		if (strchr(from, ':') == NULL) {
			return false;
		}
	} else if (!is_ip(copy)) {
		colon = strchr(copy, ':');
		if (colon != NULL) {
			*colon = '\0';
		}
	}
	if (!netaddr_is_host(from) || (colon != NULL && !parse_port(colon + 1, &value))) {
		return false;
	}
	memcpy(host, from, strlen(from) + 1); /* A host is shorter than NETADDR_HOST. */
	*port = value;
	return true;
}

void netaddr_format(const char *host, unsigned port, char text[NETADDR_TEXT])
{
	snprintf(text, NETADDR_TEXT, strchr(host, ':') != NULL ? "[%.253s]:%u" : "%.253s:%u", host, port % 65536);
}

bool netaddr_is_wildcard(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

bool netaddr_is_loopback(const char *host)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1) {
		return ntohl(v4.s_addr) >> 24 == 127;
	}
	return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

static bool is_private(uint32_t address)
{
	return address >> 24 == 10 || address >> 20 == (172u << 4 | 1) || address >> 16 == (192u << 8 | 168);
}

/* How well an interface's address serves as the machine's; 0 is not at all. */
static int rank_of(const struct ifaddrs *i)
{
	if (i->ifa_addr == NULL || (i->ifa_flags & IFF_LOOPBACK) != 0 || (i->ifa_flags & IFF_UP) == 0) {
		return 0;
	}
	if (i->ifa_addr->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)i->ifa_addr;

		return is_private(ntohl(in->sin_addr.s_addr)) ? 3 : 2;
	}
	if (i->ifa_addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;

		return IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? 0 : 1;
	}
	return 0;
}

bool netaddr_own(char host[NETADDR_HOST])
{
	struct ifaddrs *all;
	const struct ifaddrs *i;
	const struct ifaddrs *best = NULL;
	socklen_t size;
	bool found;

	if (getifaddrs(&all) != 0) {
		return false;
	}
	for (i = all; i != NULL; i = i->ifa_next) {
		if (rank_of(i) > (best != NULL ? rank_of(best) : 0)) {
			best = i;
		}
	}
	found = best != NULL;
	if (found) {
		size = best->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
		found = getnameinfo(best->ifa_addr, size, host, NETADDR_HOST, NULL, 0, NI_NUMERICHOST) == 0;
	}
	freeifaddrs(all);
	return found;
}
