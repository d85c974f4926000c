/** Which allocation and which task of it a command means (cli/cmd_alloc.c). What is not clear is told on stderr. */
#ifndef CLI_ALLOC_PICK_H_
#define CLI_ALLOC_PICK_H_

#include "cli/client.h"

/* The ID of the only allocation whose ID begins so, or NULL. */
const char *alloc_by_prefix(struct client *c, const char *prefix);

/* Any allocation of the job, a running one if there is one; of the group that -group names. Or NULL. */
const char *alloc_of_job(struct client *c, const struct args *args, const char *job);

/* The allocation's task, if it has only one; or NULL. */
const char *alloc_only_task(struct client *c, const char *id);

#endif /* CLI_ALLOC_PICK_H_ */
