#include "proto/variable.h"

#include <string.h>

OBJECT_DEFINE(variable_lock, VARIABLE_LOCK_FIELDS);
OBJECT_DEFINE(variable_stub, VARIABLE_STUB_FIELDS);
OBJECT_DEFINE(variable, VARIABLE_FIELDS);
OBJECT_DEFINE(root_key_stub, ROOT_KEY_STUB_FIELDS);
OBJECT_DEFINE(sealed_variable, SEALED_VARIABLE_FIELDS);
OBJECT_DEFINE(variable_items, VARIABLE_ITEMS_FIELDS);
OBJECT_DEFINE(variable_hold, VARIABLE_HOLD_FIELDS);
OBJECT_DEFINE(root_key, ROOT_KEY_FIELDS);

/* Whether a path is `dir`, or below it. */
static bool is_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

const char *variable_path_fault(const char *path)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_~/";
	size_t len = strspn(path, chars);

	if (len == 0 || len > VARIABLE_PATH_MAX || path[len] != '\0') {
		return "invalid path";
	}
	if (is_within(path, "nomad") && !is_within(path, "nomad/jobs") && !is_within(path, "nomad/job-templates")) {
		return "\"nomad\" is a reserved top-level directory path, but you may write variables to "
		       "\"nomad/jobs\", \"nomad/job-templates\", or below";
	}
	return NULL;
}

size_t variable_bytes(const struct map *items)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < items->n; i++) {
		n += strlen(items->at[i].key) + strlen(items->at[i].value);
	}
	return n;
}
