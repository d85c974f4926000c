/**
 * What happened to the cluster's objects, told by the thread that applies to the one that answers /v1/event/stream.
 *
 *     core loop                              HTTP thread (server/api_events.c)
 *     fsm_apply() -> events_push() -> ring -> events_pull() -> kept for a while -> streams
 *
 * A batch is what one entry of the log has changed. It holds the views before and after the entry, and with them the
 * rows, so an object is told as it was then; only who wants to hear of an event has it rendered. What nobody takes out
 * of the ring in time is given up, and so is what was kept then: the reader is told that there is a gap.
 */
#ifndef SERVER_EVENTS_H_
#define SERVER_EVENTS_H_

#include <stdatomic.h>

#include "raft/fsm.h"

#define EVENT_TOPIC_LIST(X)                                                                                            \
	X(JOB, "Job")                                                                                                  \
	X(EVALUATION, "Evaluation")                                                                                    \
	X(ALLOCATION, "Allocation")                                                                                    \
	X(DEPLOYMENT, "Deployment")                                                                                    \
	X(NODE, "Node")                                                                                                \
	X(NODE_POOL, "NodePool")                                                                                       \
	X(SERVICE, "Service")                                                                                          \
	X(ACL_POLICY, "ACLPolicy")                                                                                     \
	X(ACL_TOKEN, "ACLToken")                                                                                       \
	X(ACL_ROLE, "ACLRole")

#define EVENT_TYPE_LIST(X)                                                                                             \
	X(JOB_REGISTERED, "JobRegistered")                                                                             \
	X(JOB_DEREGISTERED, "JobDeregistered")                                                                         \
	X(JOB_BATCH_DEREGISTERED, "JobBatchDeregistered")                                                              \
	X(EVAL_UPDATED, "EvaluationUpdated")                                                                           \
	X(ALLOC_UPDATED, "AllocationUpdated")                                                                          \
	X(ALLOC_DESIRED, "AllocationUpdateDesiredStatus")                                                              \
	X(PLAN_RESULT, "PlanResult")                                                                                   \
	X(DEPLOYMENT_STATUS, "DeploymentStatusUpdate")                                                                 \
	X(DEPLOYMENT_PROMOTION, "DeploymentPromotion")                                                                 \
	X(DEPLOYMENT_HEALTH, "DeploymentAllocHealth")                                                                  \
	X(NODE_REGISTRATION, "NodeRegistration")                                                                       \
	X(NODE_DEREGISTRATION, "NodeDeregistration")                                                                   \
	X(NODE_ELIGIBILITY, "NodeEligibility")                                                                         \
	X(NODE_DRAIN, "NodeDrain")                                                                                     \
	X(NODE_EVENT, "NodeEvent")                                                                                     \
	X(NODE_POOL_UPSERTED, "NodePoolUpserted")                                                                      \
	X(NODE_POOL_DELETED, "NodePoolDeleted")                                                                        \
	X(SERVICE_REGISTRATION, "ServiceRegistration")                                                                 \
	X(SERVICE_DEREGISTRATION, "ServiceDeregistration")                                                             \
	X(ACL_POLICY_UPSERTED, "ACLPolicyUpserted")                                                                    \
	X(ACL_POLICY_DELETED, "ACLPolicyDeleted")                                                                      \
	X(ACL_TOKEN_UPSERTED, "ACLTokenUpserted")                                                                      \
	X(ACL_TOKEN_DELETED, "ACLTokenDeleted")                                                                        \
	X(ACL_ROLE_UPSERTED, "ACLRoleUpserted")                                                                        \
	X(ACL_ROLE_DELETED, "ACLRoleDeleted")

enum event_topic {
#define X(id, text) EVENT_TOPIC_##id,
	EVENT_TOPIC_LIST(X)
#undef X
	N_EVENT_TOPICS
};

enum event_type {
#define X(id, text) EVENT_##id,
	EVENT_TYPE_LIST(X)
#undef X
	N_EVENT_TYPES
};

const char *event_topic_text(enum event_topic topic);
const char *event_type_text(enum event_type type);

/* An object was changed: the row is of the batch's view `now`, or, if it is gone, of `before`. */
struct event {
	const struct row *row;
	uint64_t index; /* Of the command. */
	uint8_t topic;
	uint8_t type;
	bool gone;
};

/* In the order of the index. */
struct event_batch {
	const struct view *now;
	const struct view *before;
	uint32_t n;
	struct event at[];
};

void event_batch_free(struct event_batch *b); /* On any thread; NULL is harmless. */

enum { EVENTS_RING = 256 };

struct event_feed {
	struct event_batch *slots[EVENTS_RING];
	atomic_size_t head;    /* Written by the core thread, */
	atomic_size_t tail;    /* and by the reader. */
	atomic_bool gap;       /* Something was not told since the reader looked. */
	atomic_bool signalled; /* The reader has been told, and has not looked since. */
	atomic_bool listening; /* The reader is to be told of each batch; else only before the ring is full. */
	void (*wake)(void *ctx); /* On the core thread. */
	void *ctx;
};

void events_init(struct event_feed *f, void (*wake)(void *ctx), void *ctx);
void events_close(struct event_feed *f); /* Both threads have done with it. */

/* ---- the core thread ---- */

/* In fsm's callback `changed`, with its arguments; `v` is the view after the entry. */
void events_push(struct event_feed *f, const struct fsm *fsm, const struct view *v, const struct change *changes,
		 size_t n);

/* Another state has taken the place of this one: what was told is to be let go of. */
void events_gap(struct event_feed *f);

/* ---- the reader ---- */

/* Whether it is to be told at once, as it has somebody to tell; at first it has not. It is to pull soon afterwards. */
void events_listen(struct event_feed *f, bool on);

/* Whether something is missing between what was pulled so far and what comes now. To be asked before pulling. */
bool events_pull_gap(struct event_feed *f);

/* The next batch, the caller's then; NULL: there is none now. */
struct event_batch *events_pull(struct event_feed *f);

#endif /* SERVER_EVENTS_H_ */
