#include "lib/secret.h"

#include <string.h>

/* Volatile, so that no compiler finds out that it may stop early. */
bool secret_equal(const char *a, const char *b)
{
	size_t len = strlen(a);
	volatile unsigned char differs = 0;
	size_t i;

	if (strlen(b) != len) {
		return false;
	}
	for (i = 0; i < len; i++) {
		differs = (unsigned char)(differs | (a[i] ^ b[i]));
	}
	return differs == 0;
}
