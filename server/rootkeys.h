/**
 * The leader's care for root keys: there is one, it is replaced when it is old, what a key has sealed that is to go is
 * sealed anew, and keys that nothing needs any more go.
 *
 * Looking after them is one sweep over the variables, in slices:
 *
 *     a variable sealed by a key that is "rekeying"  -> sealed by the active one, up to ROOTKEYS_BATCH in a command
 *     a variable sealed by an inactive key           -> that key is needed
 *     at the end: what was rekeying is inactive; an inactive key that was seen nowhere and is old enough goes
 */
#ifndef SERVER_ROOTKEYS_H_
#define SERVER_ROOTKEYS_H_

#include "raft/fsm.h"
#include "server/keyring.h"
#include "server/part.h"

enum { ROOTKEYS_BATCH = 32, ROOTKEYS_SEEN = 16 };

/* 0 is the default. */
struct rootkeys_config {
	const struct keyring *keyring; /* NULL: this part does nothing. */
	int64_t rotation_ns;           /* How old an active key may get: 30 days. */
	int64_t gc_ns;                 /* How long ago a key was replaced, to go: an hour. */
	int64_t interval_ns;           /* Between two looks when nothing changes: ten minutes. */
};

struct rootkeys {
	struct rootkeys_config config;
	int64_t next_ns; /* Monotonic. */
	bool pending;
	bool sweeping;
	struct row_mark place;
	char seen[ROOTKEYS_SEEN][UUID_TEXT]; /* Keys that variables need; */
	unsigned n_seen;                     /* more than fit: none goes. */
	unsigned failed;                     /* Variables that could not be sealed anew. */
};

void rootkeys_init(struct rootkeys *k, const struct rootkeys_config *config);
void rootkeys_reset(struct rootkeys *k, const struct moment *at);

/* The part: it hears that a root key has changed. */
void rootkeys_changed(struct rootkeys *k, const struct moment *at);
enum part_step rootkeys_step(struct rootkeys *k, struct turn *turn);
void rootkeys_done(struct rootkeys *k, const struct uuid *ref, int status, const struct moment *at);
int64_t rootkeys_due(const struct rootkeys *k, const struct moment *at);

#endif /* SERVER_ROOTKEYS_H_ */
