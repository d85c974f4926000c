/** The environment of tasks that run on the host: what the agent has, but for secrets and what the task sets itself. */
#ifndef CLIENT_DRIVER_ENV_H_
#define CLIENT_DRIVER_ENV_H_

#include "client/driver.h"
#include "proto/object.h"

/* "KEY=value" texts, borrowed from the agent's own environment and from the spec, without the agent's variables that
 * one of the `lists_n` lists names. NULL: no memory. */
const char *const *driver_env(const struct driver_spec *spec, const struct strs *denied, uint32_t lists_n,
                              struct arena *mem, uint32_t *n);

/* The value that a list of n "KEY=value" texts gives to a key; "" when it gives none. */
const char *driver_env_get(const char *const *env, uint32_t n, const char *key);

#endif /* CLIENT_DRIVER_ENV_H_ */
