#include "proto/status.h"

#include <string.h>

const char *status_text(const char *const *texts, size_t n, int status)
{
	return status >= 0 && (size_t)status < n ? texts[status] : "";
}

int status_parse(const char *const *texts, size_t n, const char *text)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(texts[i], text) == 0) {
			return (int)i;
		}
	}
	return -1;
}
