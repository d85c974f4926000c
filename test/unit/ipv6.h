/** Whether this machine's loopback has an address of version 6. */
#ifndef TEST_UNIT_IPV6_H_
#define TEST_UNIT_IPV6_H_

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

static inline bool has_ipv6(void)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

	if (fd >= 0) {
		close(fd);
	}
	return ok;
}

#endif /* TEST_UNIT_IPV6_H_ */
