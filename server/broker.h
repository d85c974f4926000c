/**
 * The evaluation broker: which evaluation a scheduler gets next.
 *
 *                                                    +---- nacked: after a delay ----+
 *                                                    v                               |
 *     put --> DELAYED ----> job busy? --no------> READY --take--> UNACKED --ack--> out
 *              (WaitUntil)      |                    ^                |
 *                              yes                   |                +-- nacked too often --> FAILED
 *                               v                    |
 *                            WAITING ----------------+ the newest, when the job is free; the others -> CANCEL
 *
 * No two evaluations of one job are with schedulers at the same time, so that each sees what the last one did. Those
 * that came meanwhile ask for the same: for a look at the job as it is now. One of them is enough, the others are to be
 * cancelled. Ready ones of each type leave by priority, then by the index at which they were made.
 *
 * Who takes one has a token, and must acknowledge it, or say that it failed (nack), before the time is over; if it does
 * not, the token becomes worthless and the evaluation is delivered again.
 *
 * FAILED and CANCEL are wishes: the evaluation is listed until the state says that it is over.
 *
 * The broker holds an ID and a few numbers for each pending evaluation of the state; it can be filled anew from there
 * at any time, in any order.
 */
#ifndef SERVER_BROKER_H_
#define SERVER_BROKER_H_

#include "lib/hash.h"
#include "lib/heap.h"
#include "lib/list.h"
#include "lib/moment.h"
#include "lib/sm.h"
#include "lib/uuid.h"
#include "raft/state.h"

#define BROKER_STATES(X)                                                                                               \
	X(DELAYED, "delayed", SM_TO(BROKER_READY) | SM_TO(BROKER_WAITING))                                             \
	X(WAITING, "waiting", SM_TO(BROKER_READY) | SM_TO(BROKER_CANCEL))                                              \
	X(READY, "ready", SM_TO(BROKER_UNACKED))                                                                       \
	X(UNACKED, "unacked", SM_TO(BROKER_RETRY) | SM_TO(BROKER_FAILED))                                              \
	X(RETRY, "retry", SM_TO(BROKER_READY))                                                                         \
	X(FAILED, "failed", 0)                                                                                         \
	X(CANCEL, "cancel", 0)

enum broker_state {
#define X(id, name, next) BROKER_##id,
	BROKER_STATES(X)
#undef X
	N_BROKER_STATES
};

/* How often a thing has happened since the program started. */
#define BROKER_COUNTS(X) X(delivered) X(acked) X(nacked) X(timed_out)

enum { BROKER_DELIVERIES_MAX = 3 };

struct broker_config {
	int64_t nack_timeout_ns;  /* 0: 60 s. */
	int64_t first_delay_ns;   /* Before the second delivery; 0: 1 s. */
	int64_t further_delay_ns; /* Before later ones; 0: 20 s. */
};

struct broker_job;

/* An evaluation. */
struct broker_item {
	struct hash_link by_id;
	struct heap_link heap; /* Of its state: READY by order, DELAYED, UNACKED and RETRY by time. */
	struct list link;      /* WAITING: of its job; FAILED and CANCEL: of all such. */
	struct sm sm;
	struct uuid id;
	struct broker_job *job; /* Its job while it is WAITING, READY, UNACKED or RETRY. */
	uint64_t create_index;
	uint64_t order; /* Of arrival. */
	uint64_t token; /* Of the last delivery. */
	int64_t at_ns;  /* When its state's time is over: wall time if DELAYED, else monotonic. */
	uint32_t deliveries;
	int16_t priority;
	uint8_t type;
	bool over; /* UNACKED, and the state says that it has ended. */
	bool held; /* UNACKED, and its time stands still. */
	size_t len;
	char key[]; /* Namespace, zero, job's ID, zero. */
};

struct broker {
	struct broker_config config;
	struct hash_table by_id;
	struct hash_table jobs;
	struct heap ready[JOB_TYPE_COUNT];
	struct heap delayed;
	struct heap timed; /* UNACKED and RETRY. */
	struct list failed;
	struct list cancel;
	uint64_t orders;
	uint64_t tokens;
	bool paused;
	size_t count[N_BROKER_STATES];
	size_t count_type[JOB_TYPE_COUNT]; /* Ready ones. */
#define X(name) uint64_t name;
	BROKER_COUNTS(X)
#undef X
};

struct broker_delivery {
	struct uuid eval;
	uint64_t token;
	uint8_t type;        /* enum job_type */
	uint32_t deliveries; /* How often it has been delivered, this time included. */
};

void broker_init(struct broker *b, const struct broker_config *config); /* NULL: all defaults. */
void broker_close(struct broker *b);

/* Forget all evaluations; tokens that are out become worthless. */
void broker_reset(struct broker *b);

/* An evaluation that is to run: pending, or blocked and to be tried again. One that is known is brought up to date,
 * unless it is with a scheduler. */
void broker_put(struct broker *b, const struct eval_row *row, int64_t wall_ns);

/* It is gone, or over. */
void broker_remove(struct broker *b, const struct uuid *id);

bool broker_has(const struct broker *b, const struct uuid *id);

/* While paused nothing is taken. */
void broker_pause(struct broker *b, bool paused);

/* Take the next one whose type is in the set (bit n: enum job_type n). False: there is none. */
bool broker_take(struct broker *b, unsigned types, const struct moment *at, struct broker_delivery *out);

/* Whether this is the token of the evaluation's present delivery. */
bool broker_owns(const struct broker *b, const struct uuid *id, uint64_t token);

/* The token of the evaluation's present delivery; 0: it is with nobody. */
uint64_t broker_token(const struct broker *b, const struct uuid *id);

/* Let the time of a delivery stand still, as its plan waits elsewhere, or begin anew. */
void broker_hold(struct broker *b, const struct uuid *id, uint64_t token, bool held, const struct moment *at);

/* The work is done, or has failed. ERR_NOTFOUND: unknown, or the token is an old one. */
int broker_ack(struct broker *b, const struct uuid *id, uint64_t token);
int broker_nack(struct broker *b, const struct uuid *id, uint64_t token, const struct moment *at);

/* Let what is due happen, at most `max` of it: delays that end, deliveries whose time is over. True: there is more. */
bool broker_tick(struct broker *b, const struct moment *at, unsigned max);

/* When, monotonic, to tick next; PART_NEVER. */
int64_t broker_due(const struct broker *b, const struct moment *at);

/* The first of those that failed, or are to be cancelled, and the one behind it; NULL: none. */
const struct broker_item *broker_failed(const struct broker *b);
const struct broker_item *broker_cancel(const struct broker *b, const struct broker_item *after);

/* For tests: abort unless all promises hold. */
void broker_check(const struct broker *b);

#endif /* SERVER_BROKER_H_ */
