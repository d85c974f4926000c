/** Addresses as people write them: hosts and ports, each of which may be left out. */
#ifndef CLI_NETADDR_H_
#define CLI_NETADDR_H_

#include <stdbool.h>

enum { NETADDR_HOST = 254, NETADDR_TEXT = NETADDR_HOST + 8 }; /* Both with the closing zero. */

/* An IPv4 or IPv6 address without brackets, or a host name of legal characters. */
bool netaddr_is_host(const char *text);

/* "host", "host:port", "::1", "[::1]" or "[::1]:port"; without a port it is `port_default`. False, with the outputs
 * untouched, if it is anything else. */
bool netaddr_parse(const char *text, unsigned port_default, char host[NETADDR_HOST], unsigned *port);

/* "host:port", with brackets around IPv6. */
void netaddr_format(const char *host, unsigned port, char text[NETADDR_TEXT]);

/* All addresses of the machine: "0.0.0.0" or "::". */
bool netaddr_is_wildcard(const char *host);

/* An address that only this machine can reach. */
bool netaddr_is_loopback(const char *host);

/* The address of this machine that others most likely reach it at: that of a private network, else any but the
 * loopback's; IPv4 before IPv6. False if there is none. */
bool netaddr_own(char host[NETADDR_HOST]);

#endif /* CLI_NETADDR_H_ */
