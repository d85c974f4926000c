#include "lib/address.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool port_parse(const char *text, unsigned *port)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 6; i++) {
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	if (i == 0 || text[i] != 0 || n > 65535) {
		return false;
	}
	*port = n;
	return true;
}

/* Where the host begins and ends, and the port begins; false if that cannot be told. */
static bool find_parts(const char *text, const char **host, size_t *len, const char **port)
{
	const char *end;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || end[1] != ':' || memchr(text, ':', (size_t)(end - text)) == NULL) {
			return false;
		}
		*host = text + 1;
		*len = (size_t)(end - text - 1);
		*port = end + 2;
		return true;
	}
	end = strchr(text, ':');
	if (end == NULL || strchr(end + 1, ':') != NULL) {
		return false; /* An IPv6 address without brackets hides its port. */
	}
	*host = text;
	*len = (size_t)(end - text);
	*port = end + 1;
	return true;
}

bool address_split(const char *text, char host[ADDRESS_HOST_MAX], unsigned *port)
{
	const char *from;
	const char *digits;
	size_t len;
	unsigned number;

	if (!find_parts(text, &from, &len, &digits) || len == 0 || len >= ADDRESS_HOST_MAX ||
	    !port_parse(digits, &number)) {
		return false;
	}
	memcpy(host, from, len);
	host[len] = 0;
	*port = number;
	return true;
}

void address_join(const char *host, unsigned port, char text[ADDRESS_MAX])
{
	const char *format = strchr(host, ':') != NULL ? "[%.253s]:%u" : "%.253s:%u";

	snprintf(text, ADDRESS_MAX, format, host, port % 65536);
}
