/** Sets of Linux capabilities by their names, as job files and plugin settings have them: "net_bind_service". */
#ifndef CLIENT_CAPABILITIES_H_
#define CLIENT_CAPABILITIES_H_

#include <stddef.h>
#include <stdint.h>

#include "proto/object.h"

/* Those that a task has unless something else is said: what most programs need that were made to start as root. */
uint64_t capabilities_default(void);

/* All that a child of ours can have. */
uint64_t capabilities_all(void);

/* The set of the names, in any case, with or without "CAP_"; "all" is all. NULL, or the first name that is none. */
const char *capabilities_parse(const struct strs *names, uint64_t *out);

/* The names of a set, separated by ", ", for texts. Cut where it does not fit. */
void capabilities_text(uint64_t set, char *out, size_t size);

#endif /* CLIENT_CAPABILITIES_H_ */
