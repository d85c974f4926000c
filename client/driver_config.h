/**
 * A task's driver configuration: the Config of a job's task, read by a driver's own field table.
 *
 * Job files are typed loosely where the driver says what a value is: `args = ["-p", 8080]` and `enabled = "true"` mean
 * what one expects. So scalars are turned into the kind that the table asks for before they are decoded. Unknown keys
 * are errors, unlike everywhere else in the API: a misspelt one would silently change how a task runs.
 */
#ifndef CLIENT_DRIVER_CONFIG_H_
#define CLIENT_DRIVER_CONFIG_H_

#include "client/driver.h"
#include "proto/object.h"

/* 0, ERR_NOMEM, or ERR_INVALID with a text that names the key; then `obj` must not be used. "" and NULL are {}.
 * Members marked `required` must not be empty. */
int driver_config_decode(const struct type *t, void *obj, const char *config, struct arena *mem,
                         struct driver_error *error);

/* Check the settings denied_host_uids and denied_host_gids: 0 or ERR_INVALID. */
int driver_check_ranges(const char *uids, const char *gids, struct driver_error *error);

/* The set of the names that the config's `key` holds: 0 or ERR_INVALID. */
int driver_parse_capabilities(const char *key, const struct strs *names, uint64_t *out, struct driver_error *error);

/* What a task may have: of the usual ones those that are allowed, less what it drops, and what it adds, which must be
 * allowed. 0 or ERR_INVALID. */
int driver_capabilities(uint64_t allowed, const struct strs *cap_add, const struct strs *cap_drop, uint64_t *out,
                        struct driver_error *error);

/* Fill in `error` as a fault that no retry can cure; returns ERR_INVALID. */
int driver_fault(struct driver_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif /* CLIENT_DRIVER_CONFIG_H_ */
