/**
 * Tokens that have ended leave the state: a while after their end, in batches. One-time tokens leave at once.
 *
 * An ended token is good for nothing from that moment, whether or not it is still there. There is an index by time, so
 * only what is over is looked at.
 */
#ifndef SERVER_EXPIRY_H_
#define SERVER_EXPIRY_H_

#include "server/part.h"

enum { EXPIRY_BATCH = 250 };

/* 0 is the default. */
struct expiry_config {
	int64_t token_age_ns; /* How long ago a token has ended, to go: an hour. */
};

struct expiry {
	struct expiry_config config;
	int64_t next_ns; /* Monotonic: when to look; PART_NEVER: nothing ends. */
	bool pending;
	bool forced; /* The next look takes all that have ended. */
};

void expiry_init(struct expiry *e, const struct expiry_config *config);
void expiry_reset(struct expiry *e, const struct moment *at);

/* Collect all that have ended. */
void expiry_force(struct expiry *e, const struct moment *at);

/* The part: it hears that a token is new or has changed. */
void expiry_changed(struct expiry *e, const struct moment *at);
enum part_step expiry_step(struct expiry *e, struct turn *turn);
void expiry_done(struct expiry *e, const struct uuid *ref, int status, const struct moment *at);
int64_t expiry_due(const struct expiry *e, const struct moment *at);

#endif /* SERVER_EXPIRY_H_ */
