#include "client/driver_env.h"

#include <string.h>
#include <unistd.h>

/* What tasks do not inherit: the agent's secrets, and what it has set for itself. */
static const char *const denied_always[] = {
	"CONSUL_TOKEN",          "CONSUL_HTTP_TOKEN",
	"VAULT_TOKEN",           "NOMAD_TOKEN",
	"NOMAD_LICENSE",         "AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"DROVER_EXECUTOR",       "GOOGLE_APPLICATION_CREDENTIALS",
	"UV_THREADPOOL_SIZE",
};

static bool same_key(const char *pair, const char *key, size_t n)
{
	return strncmp(pair, key, n) == 0 && pair[n] == '=';
}

static bool is_listed(const char *key, size_t n, const char *const *list, size_t list_n)
{
	size_t i;

	for (i = 0; i < list_n; i++) {
		if (strlen(list[i]) == n && memcmp(list[i], key, n) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_denied(const char *key, size_t n, const struct strs *denied, uint32_t lists_n)
{
	bool found = is_listed(key, n, denied_always, sizeof(denied_always) / sizeof(denied_always[0]));
	uint32_t i;

	for (i = 0; i < lists_n && !found; i++) {
		found = is_listed(key, n, (const char *const *)denied[i].at, denied[i].n);
	}
	return found;
}

static bool is_set(const struct driver_spec *spec, const char *key, size_t n)
{
	uint32_t i;

	for (i = 0; i < spec->env_n; i++) {
		if (same_key(spec->env[i], key, n)) {
			return true;
		}
	}
	return false;
}

const char *const *driver_env(const struct driver_spec *spec, const struct strs *denied, uint32_t lists_n,
			      struct arena *mem, uint32_t *n)
{
	const char **env;
	char **own;
	uint32_t at = 0;

	for (own = environ; *own != NULL; own++) {
	}
	env = arena_calloc(mem, (size_t)(own - environ) + spec->env_n + 1, sizeof(*env));
	if (env == NULL) {
		return NULL;
	}
	for (own = environ; *own != NULL; own++) {
		size_t key = strcspn(*own, "=");

		if ((*own)[key] == '=' && !is_denied(*own, key, denied, lists_n) && !is_set(spec, *own, key)) {
			env[at++] = *own;
		}
	}
	if (spec->env_n > 0) {
		memcpy(env + at, spec->env, spec->env_n * sizeof(*env));
	}
	*n = at + spec->env_n;
	return env;
}

const char *driver_env_get(const char *const *env, uint32_t n, const char *key)
{
	size_t len = strlen(key);
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (same_key(env[i], key, len)) {
			return env[i] + len + 1;
		}
	}
	return "";
}
