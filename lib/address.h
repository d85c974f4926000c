/** Addresses as text: "host:port", "10.0.0.1:4647", "[::1]:4647". */
#ifndef LIB_ADDRESS_H_
#define LIB_ADDRESS_H_

#include <stdbool.h>

enum { ADDRESS_HOST_MAX = 254, ADDRESS_MAX = ADDRESS_HOST_MAX + 8 }; /* Both with the closing zero. */

/* The brackets of an IPv6 address are taken off. False, with the outputs untouched, unless there are a host of legal
 * length and a port from 0 to 65535, and nothing else. */
bool address_split(const char *text, char host[ADDRESS_HOST_MAX], unsigned *port);

/* The reverse: a host with a colon gets brackets. */
void address_join(const char *host, unsigned port, char text[ADDRESS_MAX]);

#endif /* LIB_ADDRESS_H_ */
