/**
 * What this machine is: the node object that servers schedule by.
 *
 * Facts are read from /proc and /sys, under a root of the caller's choosing so that a test can make up a machine.
 * Attributes have Nomad's names; those that begin with "unique." do not enter the node's class.
 */
#ifndef CLIENT_FINGERPRINT_H_
#define CLIENT_FINGERPRINT_H_

#include "client/config.h"
#include "lib/arena.h"
#include "proto/node.h"

struct driver_host;

/* The API level that version constraints on nomad.version are checked against. */
#define CLIENT_NOMAD_VERSION "2.0.6"

struct fingerprint_args {
	const struct client_config *config;
	const char *root; /* "" is the real one. */
	const char *node_id, *secret_id;
	struct driver_host *drivers; /* NULL: none. */
	int64_t now_ns;              /* Unix time of the drivers' health. */
};

/* Fill the node, with memory of `mem`: 0 or ERR_NOMEM. What cannot be read is left out. */
int fingerprint(const struct fingerprint_args *args, struct node *out, struct arena *mem);

/* "v1:" and a number: nodes that a scheduler need not tell apart have the same. */
const char *fingerprint_class(const struct node *node, struct arena *mem);

#endif /* CLIENT_FINGERPRINT_H_ */
