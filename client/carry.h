/**
 * An allocation's data on its way to the node of the one that replaces it: alloc/data and the local directory of each
 * task, as a tar archive. Files, directories and links go, with modes and owners; pipes, sockets and devices stay.
 *
 * All of it blocks, for worker threads. What is read belongs to tasks, which may still change it: no link is followed.
 */
#ifndef CLIENT_CARRY_H_
#define CLIENT_CARRY_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

enum { CARRY_WHY = 320 };

struct carry;
struct client_config;

/* Begin to read the data of the allocation whose directory `alloc` is; the tasks' names are copied. NULL: no memory. */
struct carry *carry_open(int alloc, const char *const *tasks, unsigned n);

/* Append the archive's next bytes, some hundred KiB at most. 1 when there is more, 0 at the end, or an ERR_ code. */
int carry_next(struct carry *c, struct buf *out);
void carry_close(struct carry *c);

/* Get such an archive from a URL, with a token that the other agent may want to see ("": none), and put its data into
 * the allocation's directory `alloc`. Of the configuration it looks at region and TLS. 0 or an ERR_ code with a text;
 * what had come before a failure may be there. */
int carry_fetch(int alloc, const char *url, const char *token, const struct client_config *config,
		const atomic_bool *canceled, char why[CARRY_WHY]);

#endif /* CLIENT_CARRY_H_ */
